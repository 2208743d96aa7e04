"""Sawteeth under noise (K4a): tables of the counts, and the check values of another program beside them."""

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats

CELL = ["family", "neg_log2", "levels"]


def table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each family, noise and depth: means over the n draws with Student's 95 % intervals.

    Columns: regions and pieces, each with `_low`, `_high`; `expected`, 2^levels; `ratio`, regions over that; `linear`,
    1 + 2 levels / eta, the bound where slopes are at most 1; `bound`, the same by the measured variation.
    """
    found = []
    for key, cell in rows.groupby(CELL, sort=True):
        row = dict(zip(CELL, key, strict=True)) | {"n": len(cell)}
        for name in ("regions", "pieces"):
            mean = stats.student(cell[name])
            row |= {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
        row |= {"expected": 2 ** row["levels"], "linear": 1 + 2 * row["levels"] * 2.0 ** row["neg_log2"]}
        found.append(row | {"ratio": row["regions"] / row["expected"], "bound": float(cell["bound"].iloc[0])})
    return pd.DataFrame(found)


def against_check(counted: pd.DataFrame, check: pd.DataFrame) -> pd.DataFrame:
    """Return the cells that the check values have too: both means, and z, their difference over its standard error.

    The check's standard error of the regions is not recorded; it is taken as that of as many of our draws.
    """
    ours = counted[counted["family"] == "bounded"]
    both = ours.merge(check, on=["neg_log2", "levels"], suffixes=("", "_check"))
    draws = np.where(both["neg_log2"] < 9, 200, 60)
    for name in ("regions", "pieces"):
        half = (both[f"{name}_high"] - both[f"{name}_low"]) / 2
        error = half / special.stdtrit(both["n"] - 1, (1 + stats.LEVEL) / 2)
        theirs = error * np.sqrt(both["n"] / draws) if name == "regions" else both["pieces_error"]
        apart = both[name] - both[f"{name}_check"]
        total = np.hypot(error, theirs)
        both[f"z_{name}"] = np.where(total > 0, apart / total.where(total > 0, 1.0), np.where(apart == 0, 0.0, np.nan))
    kept = [*CELL, "n", "regions", "regions_check", "z_regions", "pieces", "pieces_check", "z_pieces"]
    return both[kept].assign(n_check=draws)


def agreement(compared: pd.DataFrame) -> dict[str, float]:
    """Return how the z-scores of `against_check` lie: how many, the largest, the root mean square.

    `limit` is what the largest of so many exceeds by chance in at most 5 of 100 cases, by Bonferroni's bound, which
    holds although cells share their draws.
    """
    z = compared[["z_regions", "z_pieces"]].to_numpy().ravel()
    z = z[~np.isnan(z)]
    limit = float(special.ndtri(1 - 0.025 / len(z)))
    return {"n": len(z), "largest": float(np.abs(z).max()), "limit": limit, "rms": float(np.sqrt((z**2).mean()))}


def update_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each family, depth and relative noise delta = 2^-neg_log2 of the updates (1).

    Means over the n draws with 95 % intervals; `without`, the regions after the update without noise; `bound` (2).
    """
    found = []
    for key, cell in rows.groupby(CELL, sort=True):
        mean = stats.student(cell["regions"])
        row = dict(zip(CELL, key, strict=True)) | {"n": len(cell), "step_size": float(cell["step_size"].iloc[0])}
        row |= {"regions": mean.value, "regions_low": mean.low, "regions_high": mean.high}
        row |= {"without": int(cell["without"].iloc[0]), "expected": 2 ** row["levels"]}
        found.append(row | {"bound": float(cell["bound"].iloc[0])})
    return pd.DataFrame(found)


def multiplied_table(rows: pd.DataFrame, check: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each size of relative noise in every parameter: exact means, and what float64 alone counts.

    `split` is the naive over the exact mean; `check` a naive count by another program, where there is one.
    """
    found = []
    for (size, levels), cell in rows.groupby(["size", "levels"], sort=True):
        row = {"size": size, "levels": levels, "n": len(cell), "expected": 2**levels}
        for name in ("regions", "pieces", "naive"):
            mean = stats.student(cell[name])
            row |= {name: mean.value, f"{name}_low": mean.low, f"{name}_high": mean.high}
        extra = int((cell["naive"] > cell["regions"]).sum())
        found.append(row | {"split": row["naive"] / row["regions"], "overcounted": extra})
    return pd.DataFrame(found).merge(check.rename(columns={"naive": "check"}), on=["size", "levels"], how="left")
