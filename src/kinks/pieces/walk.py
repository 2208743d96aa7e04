"""From one segment to all its activation regions, layer by layer, a bounded number of intervals at a time."""

from collections.abc import Callable, Iterator

import numpy as np

from kinks.pieces.affine import Affine, affine
from kinks.pieces.cells import Cells, bytes_of, pattern, whole_segment
from kinks.pieces.cuts import cuts
from kinks.pieces.exact import Exact
from kinks.pieces.network import Float, Network
from kinks.pieces.signs import Signs, signs
from kinks.pieces.split import split

AT_ONCE = 2**18  # intervals x neurons of a layer: arrays of 2 MB stay in the processor's cache
Watch = Callable[[int, Cells, Affine, Signs], None]


def walk(
    network: Network, start: Float, end: Float, exact: Exact, watch: Watch | None = None, at_once: int = AT_ONCE
) -> Iterator[Cells]:
    """Yield the activation regions on the segment from `start` to `end`, in order, in groups.

    The work goes depth first, so that memory holds a few groups of each layer however many regions there are.

    Args:
        start, end: float64 `(inputs,)`.
        exact: decides what float64 cannot.
        watch: is given each layer's number, intervals, pre-activations and their signs at the ends, before its ReLU.
        at_once: intervals x neurons that are treated together.
    """
    waiting = [(0, whole_segment(network, start, end))]
    while waiting:
        number, cells = waiting.pop()
        if number == len(network.layers):
            yield cells
            continue
        most = max(1, at_once // max(network.layers[number].weight.shape))
        if len(cells) > most:
            groups = np.array_split(np.arange(len(cells)), -(-len(cells) // most))
            waiting += [(number, cells.take(slice(one[0], one[-1] + 1))) for one in reversed(groups)]
        else:
            waiting.append((number + 1, advance(network, number, cells, exact, watch)))


def advance(network: Network, number: int, cells: Cells, exact: Exact, watch: Watch | None = None) -> Cells:
    """Return the intervals on which the first `number` + 1 layers are affine, given those of the first `number`."""
    layer = network.layers[number]
    on = pattern(network, number - 1, cells) if number and network.layers[number - 1].relu else None
    found = affine(cells, layer, on)
    if not layer.relu:
        alive = np.ones((2, len(layer.weight), len(cells)), bool)
        kept = (cells.draw, cells.numerator, cells.denominator, cells.error, cells.owner)
        return Cells(*kept, found.line, found.drift, alive, cells.bits, found.grid)
    decided = signs(cells, found, number, exact)
    if watch is not None:
        watch(number, cells, found, decided)
    changes = cuts(cells, found, decided, number, exact)
    return split(cells, found, decided, changes, number, bytes_of(network, number))
