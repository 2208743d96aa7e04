"""Bound (2) on the regions after one perturbed update against regions counted over noise draws (C7)."""

import numpy as np
import pandas as pd

EXCEEDED = 3.0  # standard errors by which a mean must pass a bound to count as above it
LEVEL = ["init", "bias_sd", "hidden_layers", "width", "source", "delta_label"]
COUNTS = ("count", "n", "infinite", "cells", "slack", "median_slack")
OUTCOMES = (
    "infinite", "exceeded", "smallest", "median", "delta", "before", "mean_regions", "bound", "polynomial",
)  # fmt: skip


def labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Name levels: those that formats have by the format, others by their delta."""
    given = [f"{delta:g}" for delta in rows["delta"]]
    return rows.assign(delta_label=np.where(rows["source"] == "given", given, rows["source"]))


def slack(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise bound / mean regions per start, shape and noise level.

    Returns:
        One row each: cells (networks x steps), infinite (bounds that say nothing, because a neuron that changes sign
        got no update), exceeded (finite ones that the mean passes by 3 standard errors), smallest and median slack,
        median delta, before, mean_regions and bound (medians), polynomial (median of bound (3)), neurons, most.
    """
    rows = labelled(rows)
    rows = rows.assign(slack=rows["bound"] / rows["mean_regions"], infinite=~np.isfinite(rows["bound"]))
    rows["exceeded"] = rows["t"] > EXCEEDED
    kept = {name: (name, "median") for name in ("delta", "before", "mean_regions", "bound", "polynomial")}
    table = rows.groupby(LEVEL, sort=False).agg(
        cells=("bound", "size"), infinite=("infinite", "sum"), exceeded=("exceeded", "sum"),
        smallest=("slack", "min"), median=("slack", "median"), neurons=("neurons", "first"), most=("most", "first"),
        draws=("draws", "first"), **kept,
    )  # fmt: skip
    return table.reset_index()


def exceeded(rows: pd.DataFrame) -> pd.DataFrame:
    """Count cells whose mean passes the bound, and those that pass the bound for ten times their noise.

    Returns:
        One row per `levels` (of formats, given, all) and `bound` (as stated, tenfold): count, n (cells with a finite
        bound), infinite (the others), cells (both), and the smallest and median slack (tenfold: with a tenth of the
        bound's sum).
    """
    finite = np.isfinite(rows["bound"])
    kinds = {"of formats": rows["source"] != "given", "given": rows["source"] == "given", "all": finite | ~finite}
    found = []
    for levels, chosen in kinds.items():
        part = rows[chosen & finite]
        for bound, column, share in (("as stated", "t", 1.0), ("tenfold", "t_tenfold", 10.0)):
            slacks = (1 + (part["bound"] - 1) / share) / part["mean_regions"]
            found.append({
                "levels": levels, "bound": bound, "count": int((part[column] > EXCEEDED).sum()), "n": len(part),
                "infinite": int((chosen & ~finite).sum()), "cells": int(chosen.sum()),
                "slack": slacks.min(), "median_slack": slacks.median(),
            })  # fmt: skip
    return pd.DataFrame(found)
