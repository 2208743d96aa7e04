"""Split the intervals at a layer's sign changes and let its ReLUs act."""

import numpy as np

from kinks.pieces.affine import Affine
from kinks.pieces.cells import NEURON, Cells
from kinks.pieces.cuts import Cuts
from kinks.pieces.signs import Signs


def split(cells: Cells, found: Affine, signs: Signs, cuts: Cuts, layer: int, rows: slice) -> Cells:
    """Return the intervals between the cells' ends and the cuts, with the ReLU's outputs on them.

    Args:
        rows: those of `Cells.bits` that take the layer's pattern.
    """
    first = np.flatnonzero(cuts.first)
    cell = cuts.cell[first]
    each = np.bincount(cell, minlength=len(cells))
    parent = np.arange(len(cells)).repeat(each + 1)
    after = np.arange(1, len(first) + 1) + cell  # the interval to the right of each cut
    change = np.zeros((len(found.line), len(parent)), bool)
    change[cuts.neuron, after[np.cumsum(cuts.first) - 1]] = True
    on = np.where(signs[0] == 0, signs[1], signs[0]) > 0
    if len(first):
        on = _spread(on, change, parent, after, each[cell])
    zero = _zeros(signs, change, parent, after)
    grid = found.grid
    if grid is not None:
        low, high = min(grid.numerator, grid.intercept), min(grid.denominator, grid.slope)
        grid = grid._replace(numerator=low, denominator=high)
    line = (found.line.take(parent, axis=-1) if len(first) else found.line) * on[:, None]
    new = Cells(
        draw=cells.draw[parent],
        numerator=_cut(cells.numerator, parent, after, cuts.numerator[first]),
        denominator=_cut(cells.denominator, parent, after, cuts.denominator[first]),
        error=_cut(cells.error, parent, after, cuts.error[first]),
        owner=_cut(cells.owner, parent, after, layer * NEURON + cuts.neuron[first]),
        line=line,
        drift=found.drift[parent] * on.any(0),
        alive=on & ~zero,
        bits=cells.bits.take(parent, axis=-1),
        grid=grid,
    )
    new.bits[rows] = np.packbits(on, axis=0)
    return new


def _spread(on, change, parent, after, in_cell):
    """Activity on the new intervals: that at the cell's left end, switched at every cut before."""
    on = on.take(parent, axis=-1)
    on[:, after] ^= change[:, after]
    several = np.flatnonzero(in_cell > 1)
    # Cuts of one cell follow each other: the switches of the earlier ones are added one place at a time.
    if len(several):
        nth = _place(several, parent[after[several]])
        for place in range(1, int(nth.max()) + 1):
            at = after[several[nth == place]]
            on[:, at] = on[:, at - 1] ^ change[:, at]
    return on


def _place(several, cell):
    """The number of each cut within its cell, from 0."""
    start = np.flatnonzero(np.r_[True, cell[1:] != cell[:-1]])
    return np.arange(len(several)) - start.repeat(np.diff(np.r_[start, len(several)]))


def _zeros(signs, change, parent, after):
    """Neurons known to be exactly zero at the ends of the new intervals, `(2, N, P)`."""
    zero = (signs == 0).take(parent, axis=-1)
    zero[0][:, after] = change[:, after]
    zero[1][:, after - 1] = change[:, after]
    return zero


def _cut(ends, parent, after, inner):
    new = ends.take(parent, axis=-1)
    new[0, after] = inner
    new[1, after - 1] = inner
    return new
