"""Pre-activations of a layer on every interval, with a bound of what rounding did to them (c1)."""

from dataclasses import dataclass

import numpy as np
import torch

from kinks.pieces.cells import ROUND, Bool, Cells
from kinks.pieces.dyadic import Grid, after, ends_exact
from kinks.pieces.network import UNSEEN, Float, Layer

TINY = 1e-290  # more than any underflow loses
SAFE = 1.01  # covers the roundings made in computing the bounds themselves


@dataclass(eq=False)
class Affine:
    """A layer's z = slope s + intercept on P intervals, and the bounds that decisions about it need.

    Attributes:
        line: slopes and intercepts `(N, 2, P)`.
        grid: the dyadic grid on which they are exact, or None.
        common: `(P,)`; the error of a slope, and of an intercept, is at most row_norm * common + own.
        own: `(N,)` or `(N, P)`: the part of that error that comes from the neuron's bias.
        drift: bound of the norm of the errors of all slopes, and of all intercepts, `(P,)`.
    """

    layer: Layer
    line: Float
    grid: Grid | None
    common: Float
    own: Float
    drift: Float

    def error(self, neuron: np.ndarray, cell: np.ndarray) -> Float:
        """Bound of the error of these neurons' slopes and intercepts on these cells, `(n,)`."""
        own = self.own[neuron] if self.own.ndim == 1 else self.own[neuron, cell]
        return self.layer.row_norms[neuron] * self.common[cell] + own


def affine(cells: Cells, layer: Layer, on: Bool | None) -> Affine:
    """Return the layer's pre-activations on the cells; off the grid, the cells' ends become plain floats.

    Args:
        on: which inputs are active, `(in, P)`, if they come from a ReLU.

    Raises:
        OverflowError: a slope or intercept is beyond float64.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        return _affine(cells, layer, on)


def _affine(cells: Cells, layer: Layer, on: Bool | None) -> Affine:
    inputs, _, count = cells.line.shape
    line = _product(layer.weight, cells.line.reshape(inputs, 2 * count)).reshape(-1, 2, count)
    bias = layer.bias[0][:, None] if len(layer.bias) == 1 else layer.bias[cells.draw].T
    line[:, 1] += bias
    grid = None if cells.grid is None else after(cells.grid, layer, cells.line)
    if grid is not None and ends_exact(grid, line, cells.numerator, cells.denominator):
        zero = np.zeros(count)
        return Affine(layer, line, grid, zero, np.zeros(len(layer.weight)), zero)
    if cells.grid is not None:
        cells.numerator, cells.denominator, cells.grid = cells.ends, np.ones_like(cells.denominator), None
    # Only the columns of active inputs count: a bound that narrow networks need and wide ones lose nothing by.
    frobenius = layer.scale * np.sqrt(layer.column_squares @ on) if on is not None else layer.frobenius
    size = np.sqrt(np.einsum("ijk,ijk->jk", cells.line, cells.line).max(0)) + UNSEEN
    if not (np.isfinite(size).all() and np.isfinite(line).all()):
        raise OverflowError("a slope or intercept of the network is beyond 1e150; scale its weights down")
    # A sum of n products and a bias, in any order: at most n + 1 roundings touch each term.
    gamma = SAFE * (inputs + 2) * ROUND
    own = SAFE * gamma * np.abs(bias if len(layer.bias) > 1 else layer.bias[0]) + TINY
    own_norm = np.linalg.norm(own, axis=0)
    return Affine(
        layer,
        line,
        None,
        SAFE * (cells.drift + gamma * size),
        own,
        SAFE * (np.minimum(layer.spectral, frobenius) * cells.drift + gamma * frobenius * size + own_norm),
    )


def _product(weight: Float, columns: Float) -> Float:
    # PyTorch's product is several times faster than numpy's wheel for matrices of hundreds of rows.
    if weight.size < 256:
        return weight @ columns
    return (torch.from_numpy(weight) @ torch.from_numpy(columns)).numpy()
