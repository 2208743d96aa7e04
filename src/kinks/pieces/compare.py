"""Does the slope change from one activation region to the next? Adjacent regions of equal slope are one piece (a2)."""

import numpy as np
from numpy.typing import NDArray

from kinks.pieces.cells import Cells, pattern
from kinks.pieces.exact import Exact
from kinks.pieces.network import Network


def slope_changes(network: Network, left: Cells, right: Cells, exact: Exact) -> NDArray[np.bool_]:
    """Say for each pair of neighbours (`left[k]`, `right[k]`) whether some output's slope differs, bool `(n,)`."""
    difference = np.abs(right.line[:, 0] - left.line[:, 0]).max(0)
    if left.grid is not None and right.grid is not None:
        return difference > 0
    # The difference of two slopes is rounded once more, relative to itself.
    limit = 1.01 * (left.drift + right.drift)
    changed = difference > limit
    doubtful = np.flatnonzero(~changed)
    if len(doubtful):
        doubtful = doubtful[_may_differ(network, left.take(doubtful), right.take(doubtful))]
    for pair in doubtful.tolist():
        changed[pair] = not exact.same(left, pair, right, pair)
    return changed


def _may_differ(network: Network, left: Cells, right: Cells) -> NDArray[np.bool_]:
    """Follow which neurons' lines may differ to the outputs: what only inactive neurons see is erased for certain."""
    differ = np.zeros((network.inputs, len(left)), bool)
    for number, layer in enumerate(network.layers):
        differ = (layer.weight != 0).astype(np.float32) @ differ.astype(np.float32) > 0
        if layer.relu:
            one, other = (pattern(network, number, cells) for cells in (left, right))
            differ = (one != other) | (differ & one)
    return differ.any(0)
