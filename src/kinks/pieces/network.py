"""A ReLU network as affine maps in float64 (a1 of the affine-pieces paper): what every count here works on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
UNSEEN = 1e-150  # numbers this small, relative to others, are lost when squared


@dataclass(frozen=True, eq=False)
class Layer:
    """One affine map z = A x + b, and whether a ReLU follows it.

    Attributes:
        weight: float64 `(out, in)`.
        bias: float64 `(draws, out)`: one row, or one for each of several networks that differ in their biases only.
        relu: whether max(z, 0) is passed on, or z itself.
    """

    weight: Float
    bias: Float
    relu: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight", np.ascontiguousarray(self.weight, dtype=np.float64))
        object.__setattr__(self, "bias", np.atleast_2d(np.asarray(self.bias, dtype=np.float64)))
        if self.weight.ndim != 2 or self.bias.ndim != 2 or self.bias.shape[1] != len(self.weight):
            raise ValueError(
                f"weight {self.weight.shape} and bias {self.bias.shape} do not fit; give (out, in) and (out,)"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ValueError("a weight or bias is not finite, so the network is not piecewise affine")

    @cached_property
    def scale(self) -> float:
        """The largest absolute weight (1 if all are zero), by which norms are scaled so that no square underflows."""
        return float(np.abs(self.weight).max(initial=0.0)) or 1.0

    @cached_property
    def row_norms(self) -> Float:
        """Euclidean norm of each row of the weight, rounded up, `(out,)`."""
        return (np.linalg.norm(self.weight / self.scale, axis=1) * (1 + 1e-9) + UNSEEN) * self.scale

    @cached_property
    def column_squares(self) -> Float:
        """Squared Euclidean norm of each column of the weight over its scale, rounded up, `(in,)`."""
        return ((self.weight / self.scale) ** 2).sum(0) * (1 + 1e-9) + UNSEEN**2

    @cached_property
    def frobenius(self) -> float:
        """The Frobenius norm of the weight, rounded up."""
        return float(np.linalg.norm(self.row_norms / self.scale)) * (1 + 1e-9) * self.scale

    @cached_property
    def spectral(self) -> float:
        """An upper bound of the weight's largest singular value: a few per cent above it, or the Frobenius norm."""
        if min(self.weight.shape) > 1024:
            return self.frobenius
        unit = torch.from_numpy(self.weight / self.scale)
        gram = unit.T @ unit if len(unit) > len(unit.T) else unit @ unit.T
        # The norm of B^8 is at least the 8th power of the largest eigenvalue of B = A^T A. No SVD: 4 products.
        total = float(gram.abs().sum(0).max()) + UNSEEN
        power = gram / total
        for _ in range(3):
            power = power @ power
        return min(self.frobenius, float((total * power.norm() ** (1 / 8)) ** 0.5) * 1.001 * self.scale)


@dataclass(frozen=True, eq=False)
class Network:
    """Affine maps with ReLUs between them: `draws` networks that share their weights.

    Raises:
        ValueError: no layer, or layers whose sizes or numbers of draws do not fit.
    """

    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise ValueError("the network has no layer with weights; give at least one")
        for number, (layer, following) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if len(layer.weight) != following.weight.shape[1]:
                raise ValueError(
                    f"layer {number} has {len(layer.weight)} outputs, the next {following.weight.shape[1]} inputs"
                )
        if len({len(layer.bias) for layer in self.layers} - {1}) > 1:
            raise ValueError(f"numbers of draws differ: {[len(layer.bias) for layer in self.layers]}")

    @classmethod
    def of(cls, weights: Sequence[ArrayLike], biases: Sequence[ArrayLike]) -> "Network":
        """Build a network with ReLUs after all layers but the last from `(out, in)` and `(out,)` arrays."""
        relus = [True] * (len(weights) - 1) + [False]
        return cls(tuple(Layer(*both) for both in zip(weights, biases, relus, strict=True)))

    @property
    def draws(self) -> int:
        """How many networks this is."""
        return max(len(layer.bias) for layer in self.layers)

    @property
    def inputs(self) -> int:
        """Dimension of the input."""
        return self.layers[0].weight.shape[1]

    @property
    def hidden(self) -> tuple[Layer, ...]:
        """The layers that a ReLU follows."""
        return tuple(layer for layer in self.layers if layer.relu)

    @property
    def neurons(self) -> int:
        """How many ReLUs there are."""
        return sum(len(layer.weight) for layer in self.hidden)

    def with_biases(self, hidden: Sequence[ArrayLike]) -> "Network":
        """The same weights with other biases of the layers with a ReLU: one `(draws, out)` array for each of them.

        Raises:
            ValueError: the number of arrays is not that of layers with a ReLU, or a shape does not fit.
        """
        if len(hidden) != len(self.hidden):
            raise ValueError(f"got biases of {len(hidden)} layers; {len(self.hidden)} have a ReLU")
        biases = iter(hidden)
        return Network(tuple(replace(one, bias=next(biases)) if one.relu else one for one in self.layers))

    def only(self, draw: int) -> "Network":
        """One of the draws, as a network of its own."""
        return Network(tuple(replace(one, bias=one.bias[draw % len(one.bias)]) for one in self.layers))

    def __call__(self, x: ArrayLike) -> Float:
        """Evaluate the first draw in float64 at the points `(n, inputs)`; `(n, outputs)`."""
        x = np.asarray(x, dtype=np.float64)
        for layer in self.layers:
            x = x @ layer.weight.T + layer.bias[0]
            x = np.maximum(x, 0.0) if layer.relu else x
        return x
