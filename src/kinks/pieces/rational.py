"""An oracle in exact rationals: the same pieces by the plainest recursion, slow and independent of the rest (c2)."""

from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

from kinks.pieces.network import Float, Network


class Rational(NamedTuple):
    """Exact pieces and regions.

    Attributes:
        boundaries: points inside (0, 1) at which the activation pattern changes.
        breakpoints: those of them at which the slope of the output changes.
        slopes: of each piece, one tuple of the outputs' slopes in s.
    """

    boundaries: list[Fraction]
    breakpoints: list[Fraction]
    slopes: list[tuple[Fraction, ...]]


def rational(network: Network, start: Float, end: Float) -> Rational:
    """Compute the regions of the first draw on x(s) = start + s (end - start), 0 <= s <= 1, with `fractions` only.

    Args:
        start, end: float64 `(inputs,)`.
    """
    p, q = ([Fraction(float(x)) for x in point] for point in (start, end))
    cells = [(Fraction(0), Fraction(1), [(b - a, a) for a, b in zip(p, q, strict=True)])]
    for layer in network.layers:
        weight = [[Fraction(w) for w in row] for row in layer.weight.tolist()]
        bias = [Fraction(b) for b in layer.bias[0].tolist()]
        cells = [new for cell in cells for new in _through(*cell, weight, bias, layer.relu)]
    boundaries = [left for left, _, _ in cells[1:]]
    slopes = [tuple(slope for slope, _ in lines) for _, _, lines in cells]
    kept = [k for k in range(len(boundaries)) if slopes[k] != slopes[k + 1]]
    return Rational(boundaries, [boundaries[k] for k in kept], [slopes[0], *(slopes[k + 1] for k in kept)])


def _through(left, right, lines, weight, bias, relu):
    slopes, intercepts = zip(*lines, strict=True)
    z = [(_dot(row, slopes), _dot(row, intercepts) + b) for row, b in zip(weight, bias, strict=True)]
    if not relu:
        return [(left, right, z)]
    roots = sorted({-c / s for s, c in z if s != 0 and left < -c / s < right})
    ends = [left, *roots, right]
    return [(a, b, [_relu(line, (a + b) / 2) for line in z]) for a, b in pairwise(ends)]


def _dot(row, numbers):
    return sum(w * x for w, x in zip(row, numbers, strict=True))


def _relu(line, middle):
    slope, intercept = line
    return line if slope * middle + intercept > 0 else (Fraction(0), Fraction(0))
