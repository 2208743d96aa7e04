"""The second half of assumption (A), dead neurons stay dead, and assumption (B), bounded slopes (K2)."""

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats
from kinks.report.affine_pieces.updates import CELL, GROUP, fit

NETWORK = [*CELL, "seed"]
SLOPES = ("steepest", "mean_steepest", "variation", "mean_variation")


def revivals(rows: pd.DataFrame) -> pd.DataFrame:
    """Count neurons dead on the domain before a step and alive after it, at all recorded steps.

    Returns:
        One row per group of networks: dead, revived, their `share` with an interval that takes networks, not neurons,
        as independent (exact where none was revived), `at_start`, the share at step 0 alone, n (networks),
        crossing_unmoved (neurons that change sign on the segment with a gradient of exactly zero) among `alive`, and
        stopped (networks whose numbers became infinite).
    """
    found = []
    for key, group in rows.groupby(GROUP, sort=False):
        begun = group.loc[group["step"] == 0, ["revived", "dead"]].sum()
        summed = group.groupby(NETWORK, sort=False)[["dead", "revived", "neurons", "crossing_unmoved"]].sum()
        share = cluster_share(summed["revived"], summed["dead"])
        found.append(dict(zip(GROUP, key, strict=True)) | {
            "dead": int(summed["dead"].sum()), "revived": int(summed["revived"].sum()), **share._asdict(),
            "at_start": begun["revived"] / begun["dead"] if begun["dead"] else np.nan, "n": len(summed),
            "alive": int(summed["neurons"].sum() - summed["dead"].sum()),
            "crossing_unmoved": int(summed["crossing_unmoved"].sum()),
            "stopped": int((~group.groupby(NETWORK)["finite"].all()).sum()),
        })  # fmt: skip
    return pd.DataFrame(found).rename(columns={"value": "share"})


def cluster_share(counts: pd.Series, totals: pd.Series) -> stats.Estimate:
    """Return sum(counts) / sum(totals) with Student's interval over the clusters; exact (binomial) where it is 0."""
    counts, totals = np.asarray(counts, float), np.asarray(totals, float)
    whole = totals.sum()
    if not whole:
        return stats.Estimate(np.nan, np.nan, np.nan)
    share = float(counts.sum() / whole)
    if not share:
        return stats.Estimate(0.0, *stats.clopper_pearson(0, int(whole)))
    used = int((totals > 0).sum())
    if used < 2:
        return stats.Estimate(share, np.nan, np.nan)
    error = np.sqrt(((counts - share * totals) ** 2).sum() * used / (used - 1)) / whole
    half = float(special.stdtrit(used - 1, (1 + stats.LEVEL) / 2) * error)
    return stats.Estimate(share, max(share - half, 0.0), share + half)


def slopes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return C_B and the largest V of each trained network and step: the maxima over its layers."""
    finite = rows[rows["finite"]]
    kept = {"steepest": "max", "variation": "max", "mean_steepest": "mean", "mean_variation": "mean"}
    return finite.groupby([*NETWORK, "step"], sort=False).agg(kept).reset_index()


def shown(trained: pd.DataFrame) -> pd.DataFrame:
    """Of `slopes`, full-batch descent on the sine at the width and the depths that most starts share."""
    rows = trained.query("target == 'sine' and rule == 'descent' and batch == 0 and init != 'sawtooth'")
    starts = rows.groupby("width")[["init", "bias_sd"]].apply(lambda part: len(part.drop_duplicates()))
    rows = rows[rows["width"] == starts[starts == starts.max()].index.max()]
    found = sorted(set.intersection(*(set(part["hidden_layers"]) for _, part in rows.groupby(["init", "bias_sd"]))))
    rows = rows[rows["hidden_layers"].isin([found[len(found) // 3], found[-1]])]
    return rows[rows["step_size"] == rows["step_size"].mode().iloc[0]]


def by_depth(started: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Average slopes and variations over networks, geometrically, at initialisation and along training.

    Args:
        started: networks at initialisation, on [-1, 1]; trained: as `slopes` returns, on the segments of their task.

    Returns:
        One row per group, width, depth and step (-1: those of `started`): steepest, C_B; mean_steepest, the mean over
        neurons; variation and mean_variation likewise; smallest and largest C_B, n networks.
    """
    before = {"task": "none", "target": "", "rule": "none", "step_size": 0.0, "batch": 0, "step": -1}
    both = pd.concat([started.assign(**before), trained], ignore_index=True)
    logs = both.assign(**{name: np.log(both[name].where(both[name] > 0)) for name in SLOPES})
    grouped = logs.groupby([*CELL, "step"], sort=False)
    table = np.exp(grouped[list(SLOPES)].mean())
    ends = np.exp(grouped["steepest"].agg(smallest="min", largest="max"))
    return table.join(ends).assign(n=grouped.size()).reset_index()


def growth(started: pd.DataFrame, trained: pd.DataFrame) -> pd.DataFrame:
    """Fit C_B = constant per width x factor^(hidden layers), over networks.

    Args:
        started: networks at initialisation, as `kinks.pieces.started.job` returns, the unit sawtooth among them.
        trained: as `slopes` returns; of these, full-batch descent on the sine at a step that at least three depths
            have recorded.

    Returns:
        One row per initialisation and step (-1: the networks of `started`): the factor per hidden layer with Student's
        interval (the sawtooth's has no spread), n networks, and the depths.
    """
    found = [_growth(group, *key, -1) for key, group in started.groupby(["init", "bias_sd"], sort=False)]
    plain = trained[(trained["target"] == "sine") & (trained["rule"] == "descent") & (trained["batch"] == 0)]
    plain = plain[plain["init"] != "sawtooth"]
    for key, group in plain.groupby(["init", "bias_sd", "step_size", "step"], sort=False):
        if group["hidden_layers"].nunique() >= 3:
            found.append(_growth(group, *key[:2], key[3]))
    table = pd.DataFrame(found).sort_values("n", ascending=False, kind="stable")
    return table.drop_duplicates(["init", "bias_sd", "step"]).sort_index().reset_index(drop=True)


def _growth(group: pd.DataFrame, init: str, bias_sd: float, step: int) -> dict[str, object]:
    slope = fit(group["hidden_layers"], np.log(group["steepest"]), group["width"])
    value, low, high = (float(np.exp(one)) for one in slope)
    depths = sorted(group["hidden_layers"].unique())
    return {
        "init": init, "bias_sd": bias_sd, "step": step, "factor": value, "low": low, "high": high, "n": len(group),
        "shallowest": depths[0], "deepest": depths[-1],
    }  # fmt: skip
