"""Sawteeth under noise (K4a): how regions grow with depth, the plateau, and the shares of the bounds."""

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats

KNEE = 3  # levels beyond log2(1/eta) from which a depth counts as beyond the knee
FEWEST = 4  # depths beyond the knee that a growth is fitted to
RESAMPLES = 2000
TINY = 4  # levels by which noise is below the smallest tooth where it counts as tiny
SHARE = (1 - stats.LEVEL) / 2
GROWTH = [
    "family", "neg_log2", "first", "last", "n", "exponential", "exponent", "exponent_low", "exponent_high", "doublings",
    "doublings_low", "doublings_high", "p_constant", "p_line", "p_doubling", "bend",
]  # fmt: skip


def growth(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how regions grow with depth from `KNEE` levels beyond log2(1/eta), one row for each family and noise.

    Columns: `first`, `last` depth; `n` draws; `exponent` p of regions ~ levels^p with its 95 % bootstrap interval over
    draws (which all depths share); `doublings` per level, the rate of an exponential fit, with interval; `exponential`,
    the exponent that 2^levels would show over the same depths; p-values that the means are constant, lie on a line, or
    double with each level (Hotelling's test of differences, second differences, and R(L+1) - 2 R(L)); `bend`, the last
    increment less the first: below 0, regions grow ever more slowly.
    """
    found = []
    for (family, k), group in rows.groupby(["family", "neg_log2"], sort=True):
        wide = _wide(group, k)
        if wide.shape[1] < FEWEST:
            continue
        depths = wide.columns.to_numpy(float)
        fits = [_fits(means, depths) for means in (wide.mean().to_numpy()[None], _resampled(wide))]
        row = {"family": family, "neg_log2": k, "first": int(depths[0]), "last": int(depths[-1]), "n": len(wide)}
        row["exponential"] = float(_slope(np.log(depths), depths[None] * np.log(2))[0])
        for place, name in enumerate(("exponent", "doublings")):
            low, high = np.quantile(fits[1][place], [SHARE, 1 - SHARE])
            row |= {name: float(fits[0][place][0]), f"{name}_low": float(low), f"{name}_high": float(high)}
        step = np.diff(np.eye(len(depths)), axis=0)
        contrasts = {"constant": step, "line": np.diff(step, axis=0), "doubling": step - np.eye(len(depths))[:-1]}
        increments = np.diff(wide.mean().to_numpy())
        row["bend"] = float(increments[-1] - increments[0])
        found.append(row | {f"p_{name}": hotelling(wide.to_numpy() @ by.T) for name, by in contrasts.items()})
    return pd.DataFrame(found, columns=GROWTH)


def plateau(rows: pd.DataFrame) -> pd.DataFrame:
    """Return eta times the mean regions beyond the knee of the bounded-slope sawtooth, one row for each noise.

    With 95 % bootstrap intervals over draws; noises from 2^-4 to 2^-10, with at least two depths beyond the knee + 1.
    """
    found = []
    for k, wide in _plateaus(rows).items():
        means = _resampled(wide).mean(1) * 2.0**-k
        low, high = np.quantile(means, [SHARE, 1 - SHARE])
        row = {"family": "bounded", "neg_log2": k, "first": int(wide.columns[0]), "last": int(wide.columns[-1])}
        mean = float(wide.to_numpy().mean() * 2.0**-k)
        found.append(row | {"n": len(wide), "plateau": mean, "low": float(low), "high": float(high)})
    columns = ["family", "neg_log2", "first", "last", "n", "plateau", "low", "high"]
    return pd.DataFrame(found, columns=columns)


def findings(rows: pd.DataFrame, counted: pd.DataFrame, updates: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each quantity and family: measured, low and high (95 %), n draws and, of bounds, their cells.

    Quantities: `depth exponent`, the mean of `growth`'s over all noises; `plateau ratio`, the largest over the smallest
    of `plateau`, and `plateau power` of 1/eta that fits them; `noise bound`, `linear bound` and `update bound`, the
    largest share of a bound that a mean count reaches; `tiny noise, regions` and `pieces`, over 2^levels.

    Args:
        counted: of `table`. updates: of `update_table`.
    """
    found = [*_exponents(rows), *_plateau_findings(rows), *_bound_findings(counted, updates), *_tiny_findings(rows)]
    return pd.DataFrame(found, columns=["quantity", "family", "measured", "low", "high", "n", "cells"])


def finding(quantity: str, family: str, measured: float, low: float, high: float, n: int) -> dict[str, object]:
    """Return one row of the table `findings`."""
    ends = {"measured": measured, "low": float(low), "high": float(high)}
    return {"quantity": quantity, "family": family} | ends | {"n": n, "cells": np.nan}


def hotelling(values: np.ndarray) -> float:
    """Return the p-value that all columns of `values` `(n, k)` have mean 0; NaN without more rows than directions.

    Directions in which no draw differs from 0, as between depths at which nothing happens any more, say nothing.
    """
    n, covariance = len(values), np.atleast_2d(np.cov(values, rowvar=False))
    spread, directions = np.linalg.eigh(covariance)
    kept = spread > 1e-12 * max(spread.max(), 1e-300)
    k = int(kept.sum())
    if not k or n <= k:
        return float("nan")
    square = n * float(((values.mean(0) @ directions[:, kept]) ** 2 / spread[kept]).sum())
    return float(special.fdtrc(k, n - k, square * (n - k) / (k * (n - 1))))


def _exponents(rows: pd.DataFrame) -> list[dict]:
    found = []
    for family, group in rows.groupby("family", sort=True):
        parts = [_wide(part, k) for k, part in group.groupby("neg_log2", sort=True)]
        parts = [wide for wide in parts if wide.shape[1] >= FEWEST]
        if parts:
            depths = [wide.columns.to_numpy(float) for wide in parts]
            means = [[wide.mean().to_numpy()[None] for wide in parts], [_resampled(wide) for wide in parts]]
            once, many = (np.mean([_fits(*pair)[0] for pair in zip(one, depths, strict=True)], axis=0) for one in means)
            ends = np.quantile(many, [SHARE, 1 - SHARE])
            found.append(finding("depth exponent", family, float(once[0]), *ends, sum(map(len, parts))))
    return found


def _plateau_findings(rows: pd.DataFrame) -> list[dict]:
    parts = _plateaus(rows)
    if len(parts) < 2:
        return []
    scale = np.array([2.0**-k for k in parts])
    once = np.array([[wide.to_numpy().mean() for wide in parts.values()]])
    many = np.stack([_resampled(wide).mean(1) for wide in parts.values()], axis=1)
    draws, found = sum(map(len, parts.values())), []
    for name, statistic in (("plateau ratio", _spread), ("plateau power", _power)):
        ends = np.quantile(statistic(many, scale), [SHARE, 1 - SHARE])
        found.append(finding(name, "bounded", float(statistic(once, scale)[0]), *ends, draws))
    return found


def _bound_findings(counted: pd.DataFrame, updates: pd.DataFrame) -> list[dict]:
    found = []
    named = (("noise", counted, "bound"), ("linear", counted, "linear"), ("update", updates, "bound"))
    for name, cells, column in named:
        for family, group in cells.groupby("family", sort=True):
            shares = [group[f"regions{end}"] / group[column] for end in ("", "_low", "_high")]
            row = finding(f"{name} bound", family, *(float(one.max()) for one in shares), int(group["n"].sum()))
            found.append(row | {"cells": float(len(group))})
    return found


def _tiny_findings(rows: pd.DataFrame) -> list[dict]:
    """The mean over depths and noises in each draw is one value; Student's interval is over draws."""
    found = []
    small = rows[(rows["neg_log2"] >= rows["levels"] + TINY) & (rows["levels"] >= TINY)]
    for family, group in small.groupby("family", sort=True):
        # The unit sawtooth amplifies noise up to 2^levels times before its last layer.
        group = group[group["neg_log2"] >= 2 * group["levels"]] if family == "unit" else group
        for name in ("regions", "pieces"):
            values = (group[name] / 2.0 ** group["levels"]).groupby(group["seed"]).mean()
            if len(values) > 1:
                found.append(finding(f"tiny noise, {name}", family, *stats.student(values), len(values)))
    return found


def _wide(group: pd.DataFrame, k: int) -> pd.DataFrame:
    """Regions by draw and depth, beyond the knee."""
    return group[group["levels"] >= k + KNEE].pivot(index="seed", columns="levels", values="regions")


def _plateaus(rows: pd.DataFrame) -> dict[int, pd.DataFrame]:
    groups = rows[(rows["family"] == "bounded") & rows["neg_log2"].between(4, 10)].groupby("neg_log2", sort=True)
    parts = {int(k): _wide(group, k + 1) for k, group in groups}
    return {k: wide for k, wide in parts.items() if wide.shape[1] >= 2}


def _resampled(wide: pd.DataFrame) -> np.ndarray:
    """Means over draws drawn anew, `(resamples, depths)`."""
    n = len(wide)
    times = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=RESAMPLES)
    return times @ wide.to_numpy(float) / n


def _fits(means: np.ndarray, depths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of log regions against log depth, and of log2 regions against depth."""
    return _slope(np.log(depths), np.log(means)), _slope(depths, np.log2(means))


def _slope(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    centred = x - x.mean()
    return y @ centred / (centred @ centred)


def _spread(means: np.ndarray, scale: np.ndarray) -> np.ndarray:
    levels = means * scale
    return levels.max(1) / levels.min(1)


def _power(means: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return _slope(-np.log(scale), np.log(means))
