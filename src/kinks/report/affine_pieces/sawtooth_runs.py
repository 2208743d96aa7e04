"""Sawteeth after one real update (K4b) and in training (K4c): medians, pairs of formats, and what is kept."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats

TRIAL = ["family", "levels", "seed"]
STABLE = 2.0  # step size x largest Gauss-Newton eigenvalue above which errors grow from step to step
KEPT = 4  # regions for each neuron: more is superlinear, as the reference list of claims says
CELL = ["family", "levels", "kind", "storage", "order", "step_size", "step"]
PAIRED = ["n", "count", "share", "low", "high", "ratio", "ratio_low", "ratio_high"]


def updates(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each family, depth, format and step size (K4b): medians over seeds of regions and pieces.

    Also `delta` and `delta_largest`, median over seeds of the median and of the largest relative error of the hidden
    biases' gradients; `above_one`, how many of `gradients` were wrong by 100 % or more; `nonfinite` updates.
    """
    given = rows[rows["order"] == "given"]
    groups = given.groupby(["family", "levels", "storage", "step_size"], sort=True)
    return groups.agg(
        n=("seed", "size"), regions=("regions", "median"), fewest=("regions", "min"), most=("regions", "max"),
        pieces=("pieces", "median"), delta=("median", "median"), delta_largest=("largest", "median"),
        above_one=("above_one", "sum"), gradients=("n", "sum"),
        nonfinite=("regions", lambda one: int(one.isna().sum())),
    ).reset_index()  # fmt: skip


def update_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, for each format, in how many trials the regions after one update differ, at any step size, from others.

    A trial is a family, depth and seed. `against` is `exact` rationals, or `order`: the same format with the examples
    in another order, which is the noise floor. `ratio` is the geometric mean of regions over those of the other.
    """
    found, given = [], rows[rows["order"] == "given"]
    exact = given[given["storage"] == "exact"]
    for storage in sorted(set(rows["storage"]) - {"exact"}):
        ours = given[given["storage"] == storage]
        other = rows[(rows["storage"] == storage) & (rows["order"] == "shuffled")]
        for against, theirs in (("exact", exact), ("order", other)):
            found.append({"storage": storage, "against": against} | paired(ours, theirs))
    return pd.DataFrame(found)


def training(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each setting and recorded step (K4c): regions over the n seeds, and lambda x lambda_max.

    `product` is the median over seeds of the step size times the largest Gauss-Newton eigenvalue at the start, and
    `stable` whether all are below 2; `moved` runs have any other stored number than at the start.
    """
    groups = rows.groupby(CELL, sort=True)
    found = groups.agg(
        n=("seed", "size"), product=("product", "median"), largest_product=("product", "max"),
        regions=("regions", "median"), fewest=("regions", "min"), most=("regions", "max"), pieces=("pieces", "median"),
        moved=("moved", "sum"), nonfinite=("regions", lambda one: int(one.isna().sum())),
        neurons=("neurons", "first"), inputs=("inputs", "first"),
    ).reset_index()  # fmt: skip
    found["stable"] = found.pop("largest_product") < STABLE
    return found.assign(start=2 ** found["levels"])


def training_pairs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return in how many trials the regions after the last step differ from fp64, by kind of examples and stability.

    A trial is a family, depth and seed, over all its step sizes. `against` is `fp64`, or `order`: the same format with
    the examples in another order.
    """
    found, last = [], _last(rows).assign(stable=lambda table: table["product"] < STABLE)
    for (kind, stable), part in last.groupby(["kind", "stable"], sort=True):
        given, wide = part[part["order"] == "given"], part[(part["storage"] == "fp64") & (part["order"] == "given")]
        for storage in sorted(set(part["storage"])):
            ours = given[given["storage"] == storage]
            shuffled = part[(part["storage"] == storage) & (part["order"] == "shuffled")]
            for against, theirs in (("fp64", wide), ("order", shuffled)):
                if len(theirs) and (storage, against) != ("fp64", "fp64"):
                    row = {"kind": kind, "stable": bool(stable), "storage": storage, "against": against}
                    found.append(row | paired(ours, theirs))
    return pd.DataFrame(found)


def kept(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many runs have more than 4 regions for each neuron at all recorded steps (C9).

    Only runs that start with as many count, one for each seed and step size. `moved` ones differ from the start.
    """
    runs = rows[(rows["order"] == "given") & (2 ** rows["levels"] > KEPT * rows["neurons"])]
    runs = runs.assign(above=runs["regions"] > KEPT * runs["neurons"], stable=runs["product"] < STABLE)
    key = ["family", "levels", "kind", "storage", "step_size", "seed"]
    each = runs.groupby(key, sort=True).agg(
        above=("above", "all"), moved=("moved", "any"), stable=("stable", "all"), steps=("steps", "first")
    )
    found = []
    for names, group in each.reset_index().groupby(["family", "kind", "stable", "storage"], sort=True):
        row = dict(zip(["family", "kind", "stable", "storage"], names, strict=True))
        row |= {"n": len(group), "count": int(group["above"].sum()), "moved": int(group["moved"].sum())}
        low, high = stats.clopper_pearson(row["count"], row["n"])
        shares = {"share": row["count"] / row["n"], "low": low, "high": high, "moved_share": row["moved"] / row["n"]}
        found.append(row | shares | {"steps": int(group["steps"].iloc[0])})
    return pd.DataFrame(found)


def dyadic(table: pd.DataFrame, check: pd.DataFrame) -> pd.DataFrame:
    """Return the cells of `training` on float64's grid after 100 steps beside the check values, medians of pieces.

    `inside` tells whether our median lies between the check's fewest and most pieces.
    """
    ours = table[(table["kind"] == "float64") & (table["order"] == "given") & (table["step"] == 100)]
    key = ["family", "levels", "storage", "step_size"]
    theirs = check.rename(columns={"pieces": "check", "fewest": "check_fewest", "most": "check_most"})
    both = ours.merge(theirs[[*key, "check", "check_fewest", "check_most"]], on=key)
    both = both.assign(inside=both["pieces"].between(both["check_fewest"], both["check_most"]))
    return both[[*key, "n", "product", "start", "pieces", "check", "check_fewest", "check_most", "inside"]]


def paired(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, float]:
    """Return trials, those in which regions differ at any step size, and the geometric mean ratio with its interval.

    Pairs in which a count is missing are left out.
    """
    key = [*TRIAL, "step_size"]
    both = ours.merge(theirs[[*key, "regions"]], on=key, suffixes=("", "_other")).dropna(
        subset=["regions", "regions_other"]
    )
    if both.empty:
        return dict.fromkeys(PAIRED, np.nan) | {"n": 0, "count": 0}
    both = both.assign(
        differs=both["regions"] != both["regions_other"], log=np.log(both["regions"] / both["regions_other"])
    )
    trials = both.groupby(TRIAL).agg(differs=("differs", "any"), log=("log", "mean"))
    count, n = int(trials["differs"].sum()), len(trials)
    low, high = stats.clopper_pearson(count, n)
    ratio = np.exp(stats.student(trials["log"]))
    return dict(zip(PAIRED, [n, count, count / n, low, high, *map(float, ratio)], strict=True))


def settings(
    levels: dict[str, Sequence[int]],
    step_sizes: dict[str, Sequence[float]],
    kinds: dict[str, Sequence[str]],
    formats: Sequence[str],
    **common: object,
) -> list[dict]:
    """List the settings of `kinks.pieces.sawtooth_training.job`.

    Args:
        levels, step_sizes: by family. kinds: the orders of the examples, by kind.
        common: all other settings.

    Raises:
        ValueError: levels and step sizes that do not name the same families.
    """
    if set(levels) != set(step_sizes):
        raise ValueError(
            f"levels are given for {', '.join(levels)}, step sizes for {', '.join(step_sizes)}; name the same families"
        )
    return [
        common | {"family": family, "levels": depth, "kind": kind, "storage": storage, "order": order}
        | {"step_sizes": list(step_sizes[family])}
        for family, depths in levels.items()
        for depth in depths
        for kind, orders in kinds.items()
        for order in orders
        for storage in formats
    ]  # fmt: skip


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["step"] == rows["step"].max()]
