"""The intervals of a segment on which the layers so far are affine, side by side in arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kinks.pieces.dyadic import Grid, exponent
from kinks.pieces.network import Float, Network

Bool = NDArray[np.bool_]
START, END = -1, -2
NEURON = 1 << 32  # an owner is layer * NEURON + neuron
ROUND = 2.0**-53


@dataclass(eq=False)
class Cells:
    """P consecutive intervals of s in [0, 1], where x(s) = start + s (end - start); first axis 2: left and right end.

    Attributes:
        draw: which of the networks with common weights, int64 `(P,)`, ascending.
        numerator, denominator: of the ends, `(2, P)`; an end is their quotient (denominator 1 off the grid).
        error: bound of the ends' errors, `(2, P)`.
        owner: what lies at the end: START, END or the number of the neuron that is zero there, int64 `(2, P)`.
        line: slopes and intercepts of the latest layer's outputs, `(N, 2, P)`.
        drift: bound of the Euclidean norm of the errors of the slopes, and of the intercepts, `(P,)`.
        alive: neurons (or inputs) not known to be exactly zero at that end, `(2, N, P)`.
        bits: activation patterns of the layers so far, eight neurons a byte, uint8 `(bytes, P)`.
        grid: the dyadic grid on which all numbers are exact, or None.
    """

    draw: NDArray[np.int64]
    numerator: Float
    denominator: Float
    error: Float
    owner: NDArray[np.int64]
    line: Float
    drift: Float
    alive: Bool
    bits: NDArray[np.uint8]
    grid: Grid | None

    def __len__(self) -> int:
        return len(self.draw)

    @property
    def ends(self) -> Float:
        """Left and right ends as floats, `(2, P)`."""
        return self.numerator / self.denominator

    def take(self, which: NDArray[np.intp] | slice) -> "Cells":
        """Some of the intervals."""
        if isinstance(which, slice):
            every = [one[..., which] for one in self._arrays()]
        else:
            every = [one.take(which, axis=-1) for one in self._arrays()]
        return Cells(*every, grid=self.grid)

    def _arrays(self):
        return (
            self.draw, self.numerator, self.denominator, self.error, self.owner, self.line, self.drift, self.alive,
            self.bits,
        )  # fmt: skip


def whole_segment(network: Network, start: Float, end: Float) -> Cells:
    """Return [0, 1] once for each draw, with the input x(s) as its line.

    Args:
        start, end: float64 `(inputs,)`.
    """
    draws, inputs = network.draws, len(start)
    step = end - start
    # Knuth's two-sum: the difference is exact if its rounding error is zero.
    back = step - end
    exact = not ((end - (step - back)) + (-start - back)).any()
    line = np.empty((inputs, 2, draws))
    line[:, 0], line[:, 1] = step[:, None], start[:, None]
    alive = np.stack([start != 0, end != 0])[:, :, None].repeat(draws, 2)
    return Cells(
        draw=np.arange(draws),
        numerator=np.array([[0.0], [1.0]]).repeat(draws, 1),
        denominator=np.ones((2, draws)),
        error=np.zeros((2, draws)),
        owner=np.array([[START], [END]]).repeat(draws, 1),
        line=line,
        drift=np.full(draws, 0.0 if exact else 2 * ROUND * float(np.linalg.norm(step))),
        alive=alive,
        bits=np.zeros((sum(-(-len(layer.weight) // 8) for layer in network.hidden), draws), np.uint8),
        grid=Grid(exponent(step), exponent(start), 0, 0) if exact else None,
    )


def bytes_of(network: Network, layer: int) -> slice:
    """Return the rows of `Cells.bits` that hold the pattern of layer number `layer`."""
    sizes = [-(-len(one.weight) // 8) if one.relu else 0 for one in network.layers[: layer + 1]]
    return slice(sum(sizes[:-1]), sum(sizes))


def pattern(network: Network, layer: int, cells: Cells) -> Bool:
    """Return which neurons of layer number `layer` are active on the cells, `(N, P)`."""
    return np.unpackbits(cells.bits[bytes_of(network, layer)], axis=0, count=len(network.layers[layer].weight)) > 0
