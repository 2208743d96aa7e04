"""Sizes of bias updates (K1): zeros, reciprocals, their tail, and how they grow with the width."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats
from kinks.pieces.updates import hill, reciprocals

GROUP = ["task", "target", "init", "bias_sd", "rule", "step_size", "batch"]  # what is trained, and how
CELL = [*GROUP, "hidden_layers", "width"]
STATISTICS = {"median": "median", "trimmed_mean": "1 % trimmed mean", "mean": "mean (infinite expectation)"}
ENOUGH = 20  # reciprocals that a tail index is estimated from
TAIL = [
    "task", "init", "bias_sd", "when", "tail_index", "low", "high", "scaled", "scaled_low", "scaled_high", "smallest",
    "largest", "n", "reciprocals",
]  # fmt: skip
OUTCOMES = ("zero_fraction", "mean", "median", "trimmed_mean", "tail_index", "scaled")


def statistics(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise 1/|lambda g| of each cell and step, neurons of all layers and seeds pooled.

    Returns:
        One row per cell and step: networks, n (neurons), non_zero, zero_fraction, mean, median, trimmed_mean and Hill's
        tail_index, from a tenth of the non-zero ones, NaN from fewer than 20; `scaled`, the same of reciprocals over
        the median of their own layer and seed, so that layers of different size do not make a tail together.
    """
    return _summed(rows, [*CELL, "step"])


def networks(rows: pd.DataFrame) -> pd.DataFrame:
    """The same for each seed alone."""
    return _summed(rows, [*CELL, "step", "seed"])


def _summed(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    found = []
    for key, group in rows[rows["finite"]].groupby(list(keys), sort=False):
        about = dict(zip(keys, key, strict=True))
        row = reciprocals([about["step_size"] * np.asarray(one) for one in group["gradient"]])
        row |= {"non_zero": round(row["n"] * (1 - row["zero_fraction"]))}
        enough = row["non_zero"] >= 10 * ENOUGH
        row |= {"scaled": _scaled(group["gradient"]) if enough else np.nan}
        row |= {} if enough else {"tail_index": np.nan}
        found.append(about | {"networks": group["seed"].nunique()} | row)
    return pd.DataFrame(found)


def _scaled(gradients: pd.Series) -> float:
    """The tail index of reciprocals over the median of their layer and seed, of those with four updates or more."""
    sizes = [np.abs(np.asarray(one)) for one in gradients]
    sizes = [one[one > 0] for one in sizes if (one > 0).sum() >= 4]
    return hill(np.concatenate([np.median(one) / one for one in sizes])) if sizes else np.nan


def exponents(single: pd.DataFrame) -> pd.DataFrame:
    """Fit log(statistic) = p log N + a constant per depth, over networks.

    Args:
        single: as `networks` returns.

    Returns:
        One row per group, step, statistic and number of hidden layers (0: all, with one p): p with Student's interval,
        `quadratic`, bound's power of N (1 + p, a6), and n, the networks. Groups with fewer than three widths are left
        out.
    """
    found = []
    for key, group in single.groupby([*GROUP, "step"], sort=False):
        about = dict(zip([*GROUP, "step"], key, strict=True))
        for depth in (0, *sorted(group["hidden_layers"].unique())):
            part = group if depth == 0 else group[group["hidden_layers"] == depth]
            if part["width"].nunique() < 3:
                continue
            for name in STATISTICS:
                good = part[part[name] > 0]
                slope = fit(np.log(good["width"]), np.log(good[name]), good["hidden_layers"])
                found.append(about | {"hidden_layers": depth, "statistic": name, "n": len(good)} | _power(slope))
    return pd.DataFrame(found)


def _power(slope: stats.Estimate) -> dict[str, float]:
    names = ("p", "p_low", "p_high"), ("power", "low", "high")
    return dict(zip(names[0], slope, strict=True)) | {
        name: 1 + value for name, value in zip(names[1], slope, strict=True)
    }


def fit(x: Sequence[float], y: Sequence[float], groups: Sequence[object]) -> stats.Estimate:
    """Return the slope of least squares of y on x with a constant for each group, and Student's interval.

    NaN where nothing is left to estimate the spread from.
    """
    frame = pd.DataFrame({"x": np.asarray(x, float), "y": np.asarray(y, float), "g": np.asarray(groups)})
    centred = frame[["x", "y"]] - frame.groupby("g")[["x", "y"]].transform("mean")
    free = len(frame) - frame["g"].nunique() - 1
    square = float((centred["x"] ** 2).sum())
    if free < 1 or square == 0:
        return stats.Estimate(np.nan, np.nan, np.nan)
    slope = float((centred["x"] * centred["y"]).sum()) / square
    error = np.sqrt(((centred["y"] - slope * centred["x"]) ** 2).sum() / free / square)
    half = float(special.stdtrit(free, (1 + stats.LEVEL) / 2) * error)
    return stats.Estimate(slope, slope - half, slope + half)


def tails(cells: pd.DataFrame) -> pd.DataFrame:
    """Average Hill's tail index of 1/|update| over the cells of each initialisation.

    Returns:
        One row per task and initialisation, and one over all (task `all`), for step 0, the later steps and all steps
        (`when`): the mean over cells (their steps averaged first) with Student's interval, `scaled` likewise, smallest,
        largest, n (cells) and reciprocals (non-zero updates behind them).
    """
    known = cells[cells["tail_index"].notna()]
    parts = {"step 0": known[known["step"] == 0], "later": known[known["step"] > 0], "all": known}
    found = []
    for when, part in parts.items():
        each = part.groupby(CELL, sort=False).agg(
            tail_index=("tail_index", "mean"), scaled=("scaled", "mean"), non_zero=("non_zero", "sum")
        ).reset_index()  # fmt: skip
        found += [_tail(group, *key, when) for key, group in each.groupby(["task", "init", "bias_sd"], sort=False)]
        found += [_tail(each, "all", "all", 0.0, when)] if len(each) else []
    return pd.DataFrame(found, columns=TAIL)


def _tail(group: pd.DataFrame, task: str, init: str, bias_sd: float, when: str) -> dict[str, object]:
    mean, low, high = stats.student(group["tail_index"])
    scaled = dict(zip(("scaled", "scaled_low", "scaled_high"), stats.student(group["scaled"]), strict=True))
    return scaled | {
        "task": task, "init": init, "bias_sd": bias_sd, "when": when, "tail_index": mean, "low": low, "high": high,
        "smallest": group["tail_index"].min(), "largest": group["tail_index"].max(), "n": len(group),
        "reciprocals": int(group["non_zero"].sum()),
    }  # fmt: skip


def histograms(rows: pd.DataFrame, by: str, bins: np.ndarray) -> pd.DataFrame:
    """Count log10 of the sizes of non-zero updates: columns `by`, size (of the bin's middle), share of the non-zero."""
    found = []
    for key, group in rows.groupby(by, sort=True):
        sizes = np.concatenate([np.abs(scale * np.asarray(one)) for scale, one in _pairs(group)])
        logs = np.clip(np.log10(sizes[sizes > 0]), bins[0], bins[-1])
        counted, _ = np.histogram(logs, bins)
        middle = (bins[1:] + bins[:-1]) / 2
        about = {by: key, "size": middle, "share": counted / max(len(logs), 1), "non_zero": len(logs)}
        found.append(pd.DataFrame(about | {"zeros": int((sizes == 0).sum())}))
    return pd.concat(found, ignore_index=True)


def _pairs(group: pd.DataFrame):
    return zip(group["step_size"], group["gradient"], strict=True)
