"""When float64 is exact: numbers on a common dyadic grid whose sums and products fit into 53 bits.

Sawtooth networks and networks with small integer or low-precision parameters live on such grids, and it is there that
breakpoints coincide exactly and no error bound could decide. The grid is followed from layer to layer.
"""

from typing import NamedTuple

import numpy as np

from kinks.pieces.network import Float, Layer

COARSEST = 4096  # the exponent of an array of zeros
BITS = 52  # one less than float64 has, because the magnitudes below are rounded themselves
LARGEST = 2.0**900
FINEST = -900  # below, products may underflow


class Grid(NamedTuple):
    """Exponents e such that all slopes, intercepts, numerators and denominators are multiples of 2^e."""

    slope: int
    intercept: int
    numerator: int
    denominator: int


def exponent(numbers: Float) -> int:
    """Return the largest e such that every number is a multiple of 2^e; COARSEST if all are zero."""
    mantissa, power = np.frexp(numbers[numbers != 0])
    if not len(mantissa):
        return COARSEST
    whole = np.ldexp(mantissa, 53).astype(np.int64)
    return int((np.frexp((whole & -whole).astype(np.float64))[1] - 1 + power - 53).min())


def magnitude(numbers: Float) -> float:
    """Return the largest absolute value; 0.0 if there is none."""
    return float(max(numbers.max(initial=0.0), -numbers.min(initial=0.0)))


def fits(largest: float, finest: int) -> bool:
    """Whether every multiple of 2^finest up to `largest` in size is a float64, and its products do not underflow."""
    return finest > FINEST and largest < LARGEST and np.frexp(largest)[1] - finest <= BITS


def after(grid: Grid, layer: Layer, line: Float) -> Grid | None:
    """Return the grid of the layer's pre-activations, or None if float64 sums might not be exact.

    Args:
        line: `(in, 2, cells)`, slopes and intercepts of the layer's inputs.
    """
    slope, intercept = magnitude(line[:, 0]), magnitude(line[:, 1])
    rows = float(np.abs(layer.weight).sum(1).max(initial=0.0)) * (1 + 1e-9)
    step, shift = exponent(layer.weight), exponent(layer.bias)
    found = grid._replace(slope=step + grid.slope, intercept=min(step + grid.intercept, shift))
    reach = rows * intercept + magnitude(layer.bias)
    return found if fits(rows * slope, found.slope) and fits(reach, found.intercept) else None


def ends_exact(grid: Grid, line: Float, numerator: Float, denominator: Float) -> bool:
    """Whether slope x numerator + intercept x denominator is exact for every neuron and end."""
    reach = magnitude(line[:, 0]) * magnitude(numerator) + magnitude(line[:, 1]) * magnitude(denominator)
    return fits(reach, min(grid.slope + grid.numerator, grid.intercept + grid.denominator))
