"""What a comparison of two arms of training says, in one word after correction for the family it belongs to.

lower, higher   significant at 5 %
fails           significant, and more than half of the runs failed for their dose
equal within    the 95 % interval of the pairs that both trained lies within the margin, and as many runs failed:
                an absence of an effect that was measured
no difference   not significant, and the interval excludes differences beyond 5 points
undecided       not significant, and the interval is wider, or there are fewer than 3 pairs
exactly equal   every pair is the same, bit for bit: the dose changed nothing
no kink met     no run met a point where the dose counts, so none could have shown an effect
base fails      not significant, and more than half of the runs it is held against failed: they could not have shown
                harm
"""

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report.training.names import CELL, FAMILY, LOSS, SAME, WIDE

FEW = 3  # pairs
TESTS = ["p_accuracy", "test", "p_failures", "p_flip", "p_mcnemar", "tests", "p"]
SIZES = ["n", "failed", "failed_against", "mean", "mean_against", "difference", "low", "high"]
TRAINED = ["trained", "trained_difference", "trained_low", "trained_high"]
MECHANISM = ["kinks", "met", "identical", "equal", "margin", "verdict"]
COLUMNS = [*CELL, "rates", "variant", "dose", "against", *SIZES, *TRAINED, *TESTS, *MECHANISM]
MEASURED_BY_KINKS = ("assign", "chain", "exact")  # a released max-pool forward differs without a tie, too


def settled(table: pd.DataFrame, margin: float) -> pd.DataFrame:
    """Return comparisons with `tests`, `p` (after Holm's correction over each family) and `verdict`."""
    table = table.assign(tests=0, test="", p=np.nan, margin=margin)
    table.loc[table["n"] > 1, "p"] = 1.0
    for _, family in table.groupby(FAMILY, sort=False):
        raw = family[["p_accuracy", "p_failures"]].astype(float).stack().dropna()
        if raw.empty:
            continue
        corrected = pd.Series(stats.holm(raw), index=raw.index)
        table.loc[family.index, "tests"] = len(raw)
        table.loc[corrected.index.get_level_values(0), "p"] = corrected.groupby(level=0).min()
        smaller = raw.groupby(level=0).idxmin().map(lambda pair: pair[1])
        table.loc[smaller.index, "test"] = smaller.map({"p_accuracy": "accuracy", "p_failures": "failures"})
    table["verdict"] = [verdict(row) for _, row in table.iterrows()]
    return table[COLUMNS]


def equal_words(margin: float) -> str:
    """Return the verdict of two arms that are equal: "equal within 1 point" for a margin of 0.01."""
    points = f"{100 * margin:g}"
    return f"equal within {points} point" + ("" if points == "1" else "s")


def verdict(row: pd.Series) -> str:
    """Return the word for one comparison, after correction."""
    n = row["n"]
    if n and row["met"] == 0 and _by_kinks_alone(row):
        return "no kink met"
    if n and row["identical"] == n and row["failed"] <= n / 2:
        return "exactly equal"
    if row["p"] <= 1 - stats.LEVEL:
        return _significant(row)
    if row["failed_against"] > n / 2:
        return "base fails"
    if row["equal"]:
        return equal_words(row["margin"])
    wide = not (row["low"] >= -WIDE and row["high"] <= WIDE)
    return "undecided" if n < FEW or wide else "no difference found"


def tested(row: pd.Series) -> tuple[float, float, float]:
    """Return the difference that a comparison is about, with its interval.

    Failed runs count at chance, but for those that `trained_alone` leaves out.
    """
    start = "trained_" if trained_alone(row) else ""
    return tuple(float(row[f"{start}{name}"]) for name in ("difference", "low", "high"))


def trained_alone(row: pd.Series) -> bool:
    """Return whether the size of a comparison is that of the pairs that both trained.

    Where most did, or where no difference is found: a failure or two make an interval that hides what the others show.
    """
    lost = row["p"] <= 1 - stats.LEVEL and row["trained"] <= row["n"] / 2
    return bool(row["trained"] >= 2 and not lost)


def is_equal(table: pd.DataFrame) -> pd.Series:
    """Return which comparisons show no effect beyond the margin, or were of the same runs."""
    return table["equal"].astype(bool) & ~table["verdict"].isin([*LOSS, "base fails"]) | table["verdict"].isin(SAME)


def _significant(row: pd.Series) -> str:
    more = row["failed"] - row["failed_against"]
    gain = -more if row["test"] == "failures" else row["difference"]
    if gain > 0:
        return "higher" if more <= 0 else "undecided"  # what trains is better, but less of it trains
    if more < 0:
        return "undecided"
    return "fails" if more > row["n"] / 2 else "lower"


def _by_kinks_alone(row: pd.Series) -> bool:
    """Whether the two arms of the comparison can differ at kinks alone."""
    return row["variant"] in MEASURED_BY_KINKS and row["against"] != "exact"
