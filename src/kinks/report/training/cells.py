"""Cells of a sweep: the runs that differ in nothing but the dose, its variant and the seed; and their summary."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report.training.names import CELL

SHARED = [name for name in CELL if name != "rate"]  # equal within a cell in which each dose has its own rate


def split(table: pd.DataFrame, *more: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of `table` cell by cell (and by the columns `more`), in their order."""
    shared = table["rate"].where(table["rates"] == "")
    keys = [*(table[name] for name in (*SHARED, "rates")), shared, *(table[name] for name in more)]
    for _, group in table.groupby(keys, sort=False, dropna=False):
        yield group


def summary(finals: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell, variant and dose, all runs counted: failed ones at chance.

    Columns: CELL, rates, variant, dose; n, failed, diverged; mean, sd, median, q1, q3, min, max of accuracy, low and
    high (Student's 95 % interval of the mean); trained_mean (of the runs that did not fail); first_divergence (steps)
    and the most frequent cause; train_loss (mean of finite ones); zeros and ties (totals); met (runs that met a kink:
    an exact zero for alpha, a tie for beta; NaN if not counted).
    """
    keys = [*CELL, "rates", "variant", "dose"]
    found = [
        dict(zip(keys, key, strict=True)) | _accuracies(group) | _failures(group) | _kinks(group)
        for key, group in finals.groupby(keys, sort=True, dropna=False)
    ]
    return pd.DataFrame(found)


def kinks(runs: pd.DataFrame) -> pd.Series:
    """Return, run by run, how many kinks it met: zeros where variants are of alpha, ties where they are of beta."""
    return runs["zeros"].where(runs["variant"].isin(["assign", "chain"]), runs["ties"])


def _accuracies(group: pd.DataFrame) -> dict[str, float]:
    accuracy = group["accuracy"]
    ends = stats.student(accuracy)
    low, q1, median, q3, high = np.quantile(accuracy, [0, 0.25, 0.5, 0.75, 1])
    return {
        "n": len(group),
        "failed": int(group["failed"].sum()),
        "diverged": int((group["status"] == "diverged").sum()),
        "mean": ends.value,
        "sd": accuracy.std(ddof=1),
        "median": median,
        "q1": q1,
        "q3": q3,
        "min": low,
        "max": high,
        "low": max(ends.low, 0.0),
        "high": min(ends.high, 1.0),
        "trained_mean": accuracy[~group["failed"]].mean(),
    }


def _failures(group: pd.DataFrame) -> dict[str, object]:
    diverged = group[group["status"] == "diverged"]
    return {
        "first_divergence": int(diverged["diverged_step"].min()) if len(diverged) else -1,
        "cause": diverged["cause"].mode().iloc[0] if len(diverged) else "",
        "train_loss": group["train_loss"].mean(),
    }


def _kinks(group: pd.DataFrame) -> dict[str, float]:
    met = kinks(group)
    totals = {name: group[name].sum(min_count=1) for name in ("zeros", "ties")}
    return totals | {"met": np.nan if met.isna().all() else float((met > 0).sum())}
