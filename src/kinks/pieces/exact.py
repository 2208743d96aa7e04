"""The same decisions in whole numbers, for the few that float64 cannot make (c2).

Every stored number is a whole number times a power of two, so slopes and intercepts are too. All of a layer share one
power, which signs, quotients and comparisons do not need: only the whole numbers are kept.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from kinks.pieces.cells import END, NEURON, START, Cells, bytes_of
from kinks.pieces.network import Float, Network

Line = tuple[np.ndarray, np.ndarray]  # slopes and intercepts, whole numbers (dtype object)
KEPT = 2**19  # numbers remembered


class Exact:
    """Exact slopes and intercepts of a network along a segment, computed where they are asked for.

    Attributes:
        asked: how many decisions were made here.
    """

    def __init__(self, network: Network, start: Float, end: Float) -> None:
        self.network, self.asked = network, 0
        self._widest = max(max(layer.weight.shape) for layer in network.layers)
        points, unit = _whole(np.stack([start, end]))
        self._input, self._units = (points[1] - points[0], points[0]), [unit]  # of the inputs of each layer
        self._layers: list[tuple[np.ndarray, int, np.ndarray]] = []
        self._known: dict[tuple[int, int, bytes], Line] = {}

    def sign(self, cells: Cells, cell: int, end: int, layer: int, neuron: int) -> int:
        """Sign of neuron `neuron` of layer `layer` at the left (0) or right (1) end of a cell: -1, 0 or 1."""
        self.asked += 1
        slopes, intercepts = self._before(int(cells.draw[cell]), cells.bits[:, cell], layer)
        slope, intercept = slopes[neuron], intercepts[neuron]
        owner = int(cells.owner[end, cell])
        if owner == START:
            value = intercept
        elif owner == END:
            value = slope + intercept
        else:
            above, below = self._root(cells, cell, *divmod(owner, NEURON))
            value = slope * above + intercept * below
        return (value > 0) - (value < 0)

    def roots(self, cells: Cells, cell: int, layer: int, neurons: Sequence[int]) -> list[Fraction]:
        """Where these neurons of a layer are zero, if their lines are continued beyond the cell."""
        self.asked += 1
        return [Fraction(*self._root(cells, cell, layer, neuron)) for neuron in neurons]

    def same(self, one: Cells, at: int, other: Cells, there: int) -> bool:
        """Whether two cells have the same slopes of the network's outputs."""
        self.asked += 1
        both = ((one, at), (other, there))
        last = len(self.network.layers)
        left, right = (self._given(int(cells.draw[k]), cells.bits[:, k], last)[0] for cells, k in both)
        return bool((left == right).all())

    def _root(self, cells: Cells, cell: int, layer: int, neuron: int) -> tuple[int, int]:
        slopes, intercepts = self._before(int(cells.draw[cell]), cells.bits[:, cell], layer)
        above, below = -intercepts[neuron], slopes[neuron]
        return (above, below) if below > 0 else (-above, -below)

    def _before(self, draw: int, bits: np.ndarray, layer: int) -> Line:
        """Lines of layer `layer` before its ReLU; `bits` are a cell's patterns."""
        prefix = bits[: bytes_of(self.network, layer).start].tobytes()
        key = (draw, layer, prefix)
        if key not in self._known:
            if len(self._known) * self._widest > KEPT:
                self._known.clear()
            weight, shift, bias = self._layer(layer, draw)
            slopes, intercepts = self._given(draw, bits, layer)
            used = np.flatnonzero((slopes != 0) | (intercepts != 0))
            part = weight[:, used]
            self._known[key] = ((part @ slopes[used]) * shift, (part @ intercepts[used]) * shift + bias)
        return self._known[key]

    def _given(self, draw: int, bits: np.ndarray, layer: int) -> Line:
        """Lines of what layer `layer` is given; of the network's outputs for the number after the last."""
        if layer == 0:
            return self._input
        slopes, intercepts = self._before(draw, bits, layer - 1)
        if not self.network.layers[layer - 1].relu:
            return slopes, intercepts
        on = np.unpackbits(bits[bytes_of(self.network, layer - 1)])[: len(slopes)].astype(object)
        return slopes * on, intercepts * on

    def _layer(self, layer: int, draw: int) -> tuple[np.ndarray, int, np.ndarray]:
        """The weight as whole numbers, what its product must be multiplied by, and the bias in the same unit."""
        for number in range(len(self._layers), layer + 1):
            weight, fine = _whole(self.network.layers[number].weight)
            bias, unit = _whole(self.network.layers[number].bias)
            given = self._units[number] + fine
            common = max(given, unit)
            self._layers.append((weight, 1 << (common - given), bias * (1 << (common - unit))))
            self._units.append(common)
        weight, shift, biases = self._layers[layer]
        return weight, shift, biases[draw % len(biases)]


def _whole(numbers: Float) -> tuple[np.ndarray, int]:
    """Return whole numbers (dtype object) and e >= 0 such that `numbers` are the whole numbers times 2^-e."""
    ratios = [number.as_integer_ratio() for number in numbers.ravel().tolist()]
    common = max((below for _, below in ratios), default=1)
    whole = np.empty(numbers.size, dtype=object)
    whole[:] = [above * (common // below) for above, below in ratios]
    return whole.reshape(numbers.shape), common.bit_length() - 1
