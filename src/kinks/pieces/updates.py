"""Sizes of bias updates (K1), of their perturbation by rounding (K5), and revived neurons (K2)."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from kinks.pieces.arithmetic import Arithmetic
from kinks.pieces.neurons import Neurons


def reciprocals(updates: Sequence[ArrayLike], trim: float = 0.01, tail: float = 0.1) -> dict[str, float]:
    """Summarise 1/|update| over the non-zero updates of all hidden biases (assumption (A), a4).

    Where updates have a continuous density near 0, the mean of their reciprocals is infinite (tail index 1), and a
    sample's mean says more about the sample's size: read it with the median, the trimmed mean and the tail index.

    Args:
        updates: arrays of any shape, joined.
        trim: share of the largest and of the smallest reciprocals that the trimmed mean leaves out.
        tail: share of the largest that the tail index is estimated from.

    Returns:
        n (all), zero_fraction, mean, median, trimmed_mean, tail_index (Hill); NaN where nothing is left.
    """
    sizes = np.abs(np.concatenate([np.ravel(np.asarray(one, dtype=np.float64)) for one in updates]))
    inverse = np.sort(1 / sizes[sizes > 0])
    row = {"n": len(sizes), "zero_fraction": float((sizes == 0).mean()) if len(sizes) else np.nan}
    if not len(inverse):
        return row | dict.fromkeys(("mean", "median", "trimmed_mean", "tail_index"), np.nan)
    cut = int(trim * len(inverse))
    middle = inverse[cut : len(inverse) - cut]
    found = {"mean": inverse.mean(), "median": np.median(inverse), "trimmed_mean": middle.mean()}
    return row | {name: float(value) for name, value in found.items()} | {"tail_index": hill(inverse, tail)}


def hill(numbers: ArrayLike, tail: float = 0.1) -> float:
    """Return Hill's estimate of the tail index of positive numbers, from the largest share `tail`; NaN below two."""
    ordered = np.sort(np.asarray(numbers, dtype=np.float64))
    count = int(tail * len(ordered))
    if count < 2:
        return float("nan")
    excess = np.log(ordered[-count:] / ordered[-count - 1]).mean()
    return float(1 / excess) if excess > 0 else float("inf")


def perturbation(computed: Sequence[ArrayLike], reference: Sequence[ArrayLike]) -> list[np.ndarray]:
    """Return delta_ji = |g - reference| / |reference| for each layer's bias gradients (K5), float64.

    Args:
        computed: gradients in some format. reference: the same in float64, or exact rationals (dtype object).

    Returns:
        Arrays shaped as given; NaN where the reference is zero and the gradient too, infinity where only it is.
    """
    return [_relative(np.asarray(one), np.asarray(true)) for one, true in zip(computed, reference, strict=True)]


def _relative(computed: np.ndarray, true: np.ndarray) -> np.ndarray:
    if true.dtype == object:
        exact = [_fraction(a, b) for a, b in zip(computed.ravel().tolist(), true.ravel().tolist(), strict=True)]
        return np.array(exact, dtype=np.float64).reshape(true.shape)
    difference = np.abs(computed.astype(np.float64) - true)
    with np.errstate(divide="ignore", invalid="ignore"):
        return difference / np.abs(true)


def _fraction(computed, true) -> float:
    if not np.isfinite(float(computed)):
        return float("inf")
    difference = abs(type(true)(computed) - true)
    return float(difference / abs(true)) if true else (float("nan") if difference == 0 else float("inf"))


def perturbation_row(deltas: ArrayLike, arithmetic: Arithmetic) -> dict[str, float]:
    """Summarise perturbations: n, median and largest, also in units of u, and how many gradients came out as noise.

    Returns:
        n (finite ones), median, largest, median_in_u, above_one (relative error 1 or more, infinite ones included).
    """
    deltas = np.ravel(np.asarray(deltas, dtype=np.float64))
    finite = deltas[np.isfinite(deltas)]
    median, largest = (float(np.median(finite)), float(finite.max())) if len(finite) else (np.nan, np.nan)
    above = int((deltas >= 1).sum())
    return {
        "n": len(finite),
        "median": median,
        "largest": largest,
        "median_in_u": median / arithmetic.roundoff,
        "above_one": above,
    }


def revivals(before: Neurons, after: Neurons) -> tuple[int, int]:
    """Count neurons that were dead on the segment, and how many of them are alive after the update: (revived, dead)."""
    revived = sum(int((old & new).sum()) for old, new in zip(before.dead, after.active, strict=True))
    return revived, sum(int(one.sum()) for one in before.dead)
