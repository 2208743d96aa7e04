"""What each hidden neuron does on a segment: its variation, its steepest slope, whether it is dead (a4, a6, K2)."""

from dataclasses import dataclass

import numpy as np

from kinks.pieces.affine import Affine
from kinks.pieces.cells import Cells
from kinks.pieces.network import Float, Network
from kinks.pieces.signs import Signs


@dataclass(eq=False)
class Neurons:
    """Sums and maxima over the intervals of a segment, per layer with a ReLU; slopes are in s, per whole segment.

    Attributes:
        variation: total variation of the pre-activation (V_ji), float64 `(draws, N)` each.
        steepest: largest |dz/ds| on any interval.
        active, crossing: whether the neuron is ever positive, and whether it changes sign, bool `(draws, N)`, certain.
    """

    variation: list[Float]
    steepest: list[Float]
    active: list[np.ndarray]
    crossing: list[np.ndarray]

    @classmethod
    def of(cls, network: Network) -> "Neurons":
        """Nothing seen yet."""
        shapes = [(network.draws, len(layer.weight)) for layer in network.hidden]
        return cls(*([np.zeros(shape, kind) for shape in shapes] for kind in (float, float, bool, bool)))

    @property
    def dead(self) -> list[np.ndarray]:
        """Neurons that are zero on the whole segment, bool `(draws, N)` for each layer with a ReLU."""
        return [~one for one in self.active]

    def watcher(self, network: Network):
        """Return what `walk` calls with each layer's intervals."""
        place = {number: k for k, number in enumerate(n for n, one in enumerate(network.layers) if one.relu)}

        def watch(number: int, cells: Cells, found: Affine, signs: Signs) -> None:
            self._add(place[number], cells, np.abs(found.line[:, 0]), signs)

        return watch

    def _add(self, layer: int, cells: Cells, steep: Float, signs: Signs) -> None:
        left, right = cells.ends
        begin = np.flatnonzero(np.r_[True, cells.draw[1:] != cells.draw[:-1]])
        draw = cells.draw[begin]
        positive, negative = (signs > 0).any(0), (signs < 0).any(0)
        self.variation[layer][draw] += np.add.reduceat(steep * (right - left), begin, axis=1).T
        self.steepest[layer][draw] = np.maximum(self.steepest[layer][draw], np.maximum.reduceat(steep, begin, axis=1).T)
        self.active[layer][draw] |= np.logical_or.reduceat(positive, begin, axis=1).T
        self.crossing[layer][draw] |= np.logical_or.reduceat(positive & negative, begin, axis=1).T
