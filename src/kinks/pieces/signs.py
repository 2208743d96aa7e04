"""Signs of the pre-activations at the ends of the intervals: by error bound, by structure, or in whole numbers."""

import numpy as np
from numpy.typing import NDArray

from kinks.pieces.affine import SAFE, Affine
from kinks.pieces.cells import ROUND, Cells
from kinks.pieces.exact import Exact

Signs = NDArray[np.int8]


def signs(cells: Cells, found: Affine, layer: int, exact: Exact) -> Signs:
    """Return the true sign (-1, 0, 1) of every neuron at both ends of every interval, int8 `(2, N, P)`."""
    slope, intercept = found.line[:, 0], found.line[:, 1]
    decided = np.empty((2, *slope.shape), np.int8)
    if found.grid is None:
        norms = found.layer.row_norms
        common = 2 * (norms.max() * found.common + found.own.max(0))
        steepest = np.maximum(slope.max(0), -slope.min(0))
    for end in (0, 1):
        value = slope * cells.numerator[end]
        value += intercept if found.grid is None else intercept * cells.denominator[end]
        np.subtract(value > 0, value < 0, out=decided[end], dtype=np.int8)
        if found.grid is None:
            limit = SAFE * (common + steepest * (cells.error[end] + 2 * ROUND))
            doubtful = np.abs(value) <= limit
            if doubtful.any():
                _decide(cells, found, layer, end, value, np.nonzero(doubtful), exact, decided[end])
    return decided


def _decide(cells, found, layer, end, value, doubtful, exact, decided) -> None:
    """Settle the neurons whose value is within the interval's bound: first by a bound of their own."""
    neuron, cell = doubtful
    steep = np.abs(found.line[neuron, 0, cell])
    limit = SAFE * (2 * found.error(neuron, cell) + steep * (cells.error[end, cell] + 2 * ROUND))
    still = np.abs(value[neuron, cell]) <= limit
    neuron, cell = neuron[still], cell[still]
    # A neuron none of whose inputs is alive at that end is its bias there, whatever the slopes are.
    for some in np.array_split(np.arange(len(neuron)), 1 + len(neuron) * len(cells.line) // 2**22):
        fed = (cells.alive[end][:, cell[some]].T & (found.layer.weight[neuron[some]] != 0)).any(1)
        bias = found.layer.bias[cells.draw[cell[some]] % len(found.layer.bias), neuron[some]]
        decided[neuron[some], cell[some]] = np.sign(bias)
        for i, k in zip(neuron[some][fed].tolist(), cell[some][fed].tolist(), strict=True):
            decided[i, k] = exact.sign(cells, k, end, layer, i)
