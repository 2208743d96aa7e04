"""Doses and variants held against each other, seed by seed: equal seeds have equal starts and mini-batches."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report.training.cells import kinks, split
from kinks.report.training.names import CELL, CORRECTED, MARGIN, PUBLISHED, REORDERED, VARIANTS
from kinks.report.training.verdicts import COLUMNS, settled

Key = tuple[str, float]  # variant and dose
AGAINST = ("dose 0", "corrected")
PAIRED = 10  # with fewer pairs McNemar's test cannot reach 5 % after correction, whatever the pairs


def effects(finals: pd.DataFrame, against: str = "dose 0", margin: float = MARGIN) -> pd.DataFrame:
    """Return each dose against dose 0 of its variant ("dose 0"), or each released dose against the "corrected" one.

    One row per cell, variant and dose, runs paired by seed, failed runs at chance. Columns: CELL, rates, variant, dose,
    against; `n` pairs; `failed`, `failed_against`; `mean`, `mean_against`; `difference` of the means with Student's
    95 % interval `low`, `high`; the same of the pairs of which both `trained` (`trained_difference`, ...).

    Two tests: `p_accuracy`, Student's on the differences of the pairs or, where a run failed, the exact rank sum of all
    runs, failed ones lowest (some may fail and the others lose: neither alone tells; NaN where all of one side failed);
    `p_failures` of the number of failed runs, by McNemar's exact test from 10 pairs on and by Boschloo's below
    (`p_mcnemar` in any case). `p` is the smaller, by the test named in `test`, after Holm's correction over all `tests`
    of the family (network, data set, batch norm, optimiser and variant: all doses, precisions, rates); 1 where nothing
    differs. As a check, `p_flip` counts all sign flips of the differences, failed runs at chance: with n pairs it
    cannot be below 2^(1-n).

    `kinks` met in all runs of the dose, `met`: how many of them met one; `identical`: pairs equal bit for bit; `equal`:
    the interval of the pairs that both trained lies within the margin, and no run failed that its partner survived;
    `verdict`: see `kinks.report.training.verdicts`.

    A variant without dose 0 is held against that of the other, which computes the same. The examples of each
    mini-batch in another order are a variant, too, with one row: its difference is what rounding does.

    Raises:
        ValueError: an unknown `against`, or a cell without the runs to hold others against.
    """
    if against not in AGAINST:
        raise ValueError(f"effects are held against {' or '.join(map(repr, AGAINST))}, got {against!r}")
    found = []
    for group in split(finals):
        arms = {key: runs for key, runs in sorted(group.groupby(["variant", "dose"]), key=_order)}
        for key, runs in arms.items():
            other = _zero(arms, key) if against == "dose 0" else _corrected(arms, key)
            if other is not None:
                about = dict(zip([*CELL, "rates", "variant", "dose"], [*_cell(runs), *key], strict=True))
                name = against if against == "dose 0" else other[0]
                found.append(about | {"against": name} | _compared(runs, arms[other], margin))
    return settled(pd.DataFrame(found, columns=None if found else COLUMNS), margin)


def interaction(finals: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """Return the released variant less the corrected one at equal dose: `effects(finals, "corrected", margin)`.

    At dose 0 both compute the same, so this is also the difference of the two effects of the dose.
    """
    return effects(finals, "corrected", margin)


def _order(item: tuple[Key, pd.DataFrame]) -> tuple[int, float]:
    """Released before corrected, small doses before large ones."""
    (variant, dose), _ = item
    return list(VARIANTS).index(variant), dose


def _cell(runs: pd.DataFrame) -> list:
    return [runs[name].iloc[0] for name in (*CELL, "rates")]


def _zero(arms: dict[Key, pd.DataFrame], key: Key) -> Key | None:
    """The runs with dose 0 that others are held against; None for these themselves."""
    variant, dose = key
    if dose == 0 and variant != REORDERED:
        return None
    zero = [one for one in arms if one[1] == 0 and one[0] != REORDERED]
    if not zero:
        said = ", ".join(f"{name}={value}" for name, value in zip(CELL, _cell(arms[key]), strict=False))
        raise ValueError(f"no run with dose 0 to hold others against ({said})")
    return (variant, 0.0) if (variant, 0.0) in zero else zero[-1]  # the corrected variant's, which comes last


def _corrected(arms: dict[Key, pd.DataFrame], key: Key) -> Key | None:
    variant, dose = key
    if variant not in PUBLISHED or dose == 0:
        return None
    other = CORRECTED[PUBLISHED.index(variant)], dose
    return other if other in arms else None


class Side(NamedTuple):
    """One side of a comparison, an array `(n,)` per quantity, in the order of the seeds."""

    accuracy: np.ndarray
    failed: np.ndarray
    kinks: np.ndarray
    train_loss: np.ndarray
    diverged_step: np.ndarray


def _side(runs: pd.DataFrame, at: np.ndarray) -> Side:
    counted = kinks(runs)
    columns = [counted if name == "kinks" else runs[name] for name in Side._fields]
    return Side(*(column.to_numpy(bool if column is columns[1] else float)[at] for column in columns))


def _compared(runs: pd.DataFrame, other: pd.DataFrame, margin: float) -> dict[str, object]:
    """What the pairs of one comparison show."""
    seeds, ours, theirs = np.intersect1d(runs["seed"], other["seed"], return_indices=True)
    one, two = _side(runs, ours), _side(other, theirs)
    difference, step = one.accuracy - two.accuracy, _resolution(runs)
    ends = stats.student(difference, step)
    row = {"n": len(seeds), "failed": int(one.failed.sum()), "failed_against": int(two.failed.sum())}
    row |= {
        f"mean{end}": side.accuracy.mean() if len(seeds) else np.nan for end, side in (("", one), ("_against", two))
    }
    row |= {"difference": ends.value, "low": max(ends.low, -1.0), "high": min(ends.high, 1.0)}
    both = ~(one.failed | two.failed)
    row |= _trained(difference[both], step) | _tests(one, two, step) | _mechanism(one, two)
    inside = -margin <= row["trained_low"] and row["trained_high"] <= margin
    return row | {"equal": bool(inside and (one.failed == two.failed).all())}


def _resolution(runs: pd.DataFrame) -> float:
    """The share that one test image is; 0 where their number is not known."""
    held_out = runs["held_out"].max() if "held_out" in runs else 0
    return 1 / held_out if held_out > 0 else 0.0


def _trained(difference: np.ndarray, step: float) -> dict[str, float]:
    names = ("trained_difference", "trained_low", "trained_high")
    return {"trained": len(difference)} | dict(zip(names, stats.student(difference, step), strict=True))


def _tests(one: Side, two: Side, step: float) -> dict[str, float]:
    """The p-values of one comparison, uncorrected; NaN where there is nothing that could differ."""
    n, difference = len(one.accuracy), one.accuracy - two.accuracy
    row = dict.fromkeys(("p_accuracy", "p_failures", "p_flip", "p_mcnemar"), np.nan)
    if n < 2 or not (difference.any() or (one.failed != two.failed).any()):
        return row
    if not (one.failed | two.failed).any():
        row["p_accuracy"] = stats.student_test(difference, step)
    elif not (one.failed.all() or two.failed.all()):
        row["p_accuracy"] = stats.rank_sum(*(np.where(side.failed, -np.inf, side.accuracy) for side in (one, two)))
    row["p_flip"] = stats.sign_flip(difference)
    if (one.failed != two.failed).any():
        row["p_mcnemar"] = stats.sign_test(one.failed.astype(int) - two.failed)
        unpaired = stats.boschloo(int(one.failed.sum()), n, int(two.failed.sum()), n)
        row["p_failures"] = row["p_mcnemar"] if n >= PAIRED else unpaired
    return row


def _mechanism(one: Side, two: Side) -> dict[str, float]:
    """How many kinks the runs with the dose met, and how many pairs were the same, bit for bit."""
    known = len(one.kinks) > 0 and not np.isnan(one.kinks).any()
    same = np.ones(len(one.kinks), bool)
    for ours, theirs in ((one.accuracy, two.accuracy), (one.train_loss, two.train_loss),
                         (one.diverged_step, two.diverged_step)):  # fmt: skip
        same &= (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return {
        "kinks": one.kinks.sum() if known else np.nan,
        "met": float((one.kinks > 0).sum()) if known else np.nan,
        "identical": int(same.sum()),
    }
