"""Where neurons change sign inside an interval, in certain order, coinciding ones as one."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kinks.pieces.affine import Affine
from kinks.pieces.cells import ROUND, Cells
from kinks.pieces.exact import Exact
from kinks.pieces.network import Float
from kinks.pieces.signs import Signs

Index = NDArray[np.intp]


@dataclass(eq=False)
class Cuts:
    """Sign changes, sorted by cell and then by position.

    Attributes:
        cell, neuron: which, `(K,)`.
        numerator, denominator, error: as in `Cells`, `(K,)`.
        first: whether the change is the first at its point, bool `(K,)`: False where it coincides with the one before.
    """

    cell: Index
    neuron: Index
    numerator: Float
    denominator: Float
    error: Float
    first: NDArray[np.bool_]

    def take(self, order: Index) -> None:
        """Put the changes into another order."""
        for name in ("cell", "neuron", "numerator", "denominator", "error"):
            setattr(self, name, getattr(self, name)[order])


def cuts(cells: Cells, found: Affine, signs: Signs, layer: int, exact: Exact) -> Cuts:
    """Return all sign changes strictly inside the intervals."""
    cell, neuron = np.nonzero((signs[0] * signs[1] < 0).T)
    slope, intercept = found.line[neuron, 0, cell], found.line[neuron, 1, cell]
    numerator, denominator = np.where(slope > 0, -intercept, intercept), np.abs(slope)
    if found.grid is None:
        numerator, error = _floats(found, cells, layer, exact, neuron, cell)
        denominator = np.ones_like(denominator)
    else:
        error = ROUND * (numerator / denominator)
    every = Cuts(cell, neuron, numerator, denominator, error, np.ones(len(cell), bool))
    together = cell[1:] == cell[:-1]
    if together.any():
        _sort(every, together)
        _settle(every, cells, layer, exact)
    return every


def _floats(found, cells, layer, exact, neuron, cell) -> tuple[Float, Float]:
    """Positions off the grid, and bounds of their errors."""
    slope, intercept = found.line[neuron, 0, cell], found.line[neuron, 1, cell]
    doubt = found.error(neuron, cell)
    lost = np.abs(slope) <= 2 * doubt  # slopes so close to zero that float64 says nothing about the position
    slope = np.where(lost, 1.0, slope)
    position, error = np.clip(-intercept / slope, 0.0, 1.0), 2 * doubt / np.abs(slope) + 2 * ROUND
    for k in np.flatnonzero(lost).tolist():
        position[k] = float(exact.roots(cells, int(cell[k]), layer, [int(neuron[k])])[0])
        error[k] = 2 * ROUND
    return position, error


def _sort(every: Cuts, together: NDArray[np.bool_]) -> None:
    several = np.zeros(len(every.cell), bool)
    several[1:] = together
    several[:-1] |= together
    where = np.flatnonzero(several)
    order = np.arange(len(every.cell))
    position = every.numerator[where] / every.denominator[where]
    order[where] = where[np.lexsort((position, every.cell[where]))]
    every.take(order)


def _settle(every: Cuts, cells: Cells, layer: int, exact: Exact) -> None:
    """Order the changes of those cells in which two are closer than their errors."""
    position, error = every.numerator / every.denominator, every.error
    close = (position[1:] - position[:-1] <= error[1:] + error[:-1]) & (every.cell[1:] == every.cell[:-1])
    for cell in np.unique(every.cell[1:][close]).tolist():
        low, high = np.searchsorted(every.cell, [cell, cell + 1])
        roots = exact.roots(cells, cell, layer, every.neuron[low:high].tolist())
        order = sorted(range(high - low), key=roots.__getitem__)
        every.take(np.concatenate([np.arange(low), low + np.array(order), np.arange(high, len(every.cell))]))
        every.first[low + 1 : high] = [roots[a] != roots[b] for a, b in pairwise(order)]
