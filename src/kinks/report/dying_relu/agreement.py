"""The reference tables again: our shares against the pilot runs', cell by cell, and a line of summary for each."""

import pandas as pd

from kinks.report.dying_relu import pilot
from kinks.report.dying_relu.single import agreement, limit_for

SHOWN = ["experiment", "optimiser", "momentum", "rate", "gamma", "step", "limit", "n", "count", "share", "pilot",
         "pilot_n", "difference", "error", "z"]  # fmt: skip
KEYS = SHOWN[:7]
CHAOTIC = ["count", "share", "difference", "error", "z", "largest", "largest_z", "agree"]
PILOT_EPSILON = 1e-8  # of the pilot's Adam


def against_pilot(population: pd.DataFrame, sample: pd.DataFrame, curves: pd.DataFrame) -> pd.DataFrame:
    """Return every cell that ours and the pilot's runs of random starts have in common, with its z.

    Args:
        population: columns of `populations.job`, summed over seeds (D5).
        sample: rows of `whitened.deaths_job` on 1000 inputs, pooled over data sets here.
        curves: columns of `populations.job` (D6).
    """
    rule = ["optimiser", "momentum", "rate", "gamma"]
    theirs = pilot.population().rename(columns={"steps": "step"})
    parts = [agreement(population, theirs, [*rule, "step", "limit"]).assign(experiment="D5 random starts")]
    counts = sample.groupby([*rule, "steps"], as_index=False)[["n", "count", "below_1pct", "converged"]].sum()
    long = counts.melt([*rule, "steps", "n"], ["count", "below_1pct", "converged"], "limit", "events")
    long = long.rename(columns={"events": "count", "steps": "step"})
    theirs = pilot.sample().rename(columns={"quantity": "limit", "steps": "step"}).assign(optimiser="sgd")
    parts.append(agreement(long, theirs, [*rule, "step", "limit"]).assign(experiment="D5 sample"))
    used = curves[(curves["optimiser"] != "adam") | (curves["epsilon"] == PILOT_EPSILON)]
    parts.append(agreement(used, pilot.curves(), [*rule, "d", "step", "limit"]).assign(experiment="D6 curves"))
    return pd.concat([part[SHOWN] for part in parts], ignore_index=True)


def summary(cells: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """Return one line per reference table: cells compared, the largest difference, and whether all agree.

    Columns: experiment, cells, n (fewest starts behind a cell), `largest` absolute difference, its `allowed` value on
    the grid or the standard errors allowed elsewhere, `largest_z`, `error` (the largest standard error of a
    difference), and `agree` (0 or 1): on the grid, which is the pilot's own, the difference, elsewhere z, stays within.
    """
    rows = []
    for name, part in cells.groupby("experiment", sort=False):
        allowed, worst = limit_for(len(part)), float(part["z"].abs().max())
        row = {
            "allowed": allowed,
            "largest_z": worst,
            "error": float(part["error"].max()),
            "agree": int(worst <= allowed),
        }
        rows.append(_line(name, part) | row)
    if len(grid):
        line = _line("D5 grid", grid)
        rows.append(line | {"allowed": 0.02, "error": 0.0, "agree": int(line["largest"] <= 0.02)})
    return pd.DataFrame(rows)


def _line(name: str, part: pd.DataFrame) -> dict[str, object]:
    largest = float(part["difference"].abs().max())
    return {"experiment": name, "cells": len(part), "n": int(part["n"].min()), "largest": largest}
