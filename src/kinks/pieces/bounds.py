"""The theorem's bounds on the expected number of activation regions after a perturbed update (a5 to a7, a9)."""

from collections.abc import Sequence
from math import inf, prod

import numpy as np
from numpy.typing import ArrayLike

from kinks.pieces.neurons import Neurons


def crossing_bound(neurons: Neurons, widths: Sequence[ArrayLike]) -> float:
    """Return 1 + sum of E[V_ji] / width_ji: the crossing lemma for biases with noise uniform on intervals (a5).

    Args:
        neurons: measured on draws of the perturbed network; E is the mean over the draws.
        widths: of the noise in each layer's biases, `(N,)` or a number for each layer with a ReLU.

    Returns:
        The bound, or infinity if a neuron without noise changes sign: nothing bounds how often it does.
    """
    total = 1.0
    for variation, crossing, width in zip(neurons.variation, neurons.crossing, widths, strict=True):
        width = np.broadcast_to(np.asarray(width, dtype=np.float64), variation.shape[1:])
        if (crossing.any(0) & (width == 0)).any():
            return inf
        noisy = width > 0
        total += float((variation.mean(0)[noisy] / width[noisy]).sum())
    return total


def update_bound(neurons: Neurons, updates: Sequence[ArrayLike], delta: float) -> float:
    """Return bound (2) for the update (1): relative noise uniform on [-delta/2, delta/2] in the biases' updates.

    Args:
        neurons: measured on draws of the network after the update.
        updates: ideal updates -lambda g_ji of the biases, `(N,)` for each layer with a ReLU.
    """
    return crossing_bound(neurons, [delta * np.abs(np.asarray(update, dtype=np.float64)) for update in updates])


def polynomial_bound(
    *, slope: float, reciprocal: float, length: float, delta: float, hidden_layers: int, width: int, power: float
) -> float:
    """Return bound (3): 1 + C_B C_A |I| / delta (L - 1) N^(1 + p), where L - 1 is the number of hidden layers.

    Args:
        slope: C_B, the largest derivative of any pre-activation.
        reciprocal, power: C_A and p, such that the mean reciprocal of the non-zero updates is at most C_A N^p.
        length: of the interval.
    """
    return 1 + slope * reciprocal * length / delta * hidden_layers * width ** (1 + power)


def persistence(bound: float, regions: float, steps: int) -> float:
    """Bound the probability that there are at least `regions` regions at every one of `steps` steps (a7, Markov)."""
    return min(1.0, bound / regions) ** steps


def most_regions(widths: Sequence[int]) -> int:
    """Return the largest possible number of regions on a segment: the product of the widths + 1 (a9)."""
    return prod(width + 1 for width in widths)


def shallow_expectation(neurons: int, weight_sd: float, bias_sd: float) -> float:
    """Return the mean number of regions on (0, 1) of one hidden layer with normal weights and biases (a9)."""
    return 1 + neurons * float(np.arctan2(weight_sd, bias_sd)) / np.pi
