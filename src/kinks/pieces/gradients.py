"""Gradients of a ReLU network as a format computes them, for many networks at once, and in exact rationals (c4)."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kinks.pieces.arithmetic import Arithmetic
from kinks.pieces.network import Network

Loss = Literal["squared", "cross_entropy"]
Parameters = list[tuple[Tensor, Tensor]]  # weights (..., out, in) and biases (..., out); ReLUs between the layers


def parameters(network: Network, arithmetic: Arithmetic, copies: int = 0) -> Parameters:
    """Return a network's weights and biases in the storage format, `copies` times along a new first axis if not 0.

    Raises:
        ValueError: the network is several draws, or has no ReLU after a hidden layer or one after the last.
    """
    if network.draws != 1 or [layer.relu for layer in network.layers] != [True] * (len(network.layers) - 1) + [False]:
        raise ValueError("gradients are computed for one draw with ReLUs after all layers but the last")
    found = [(arithmetic.store(layer.weight), arithmetic.store(layer.bias[0])) for layer in network.layers]
    return [(w.repeat(copies, 1, 1), b.repeat(copies, 1)) for w, b in found] if copies else found


def stacked(several: Sequence[Parameters]) -> Parameters:
    """Return the parameters of networks of one shape, one after the other along a new first axis."""
    return [
        (torch.stack([one[layer][0] for one in several]), torch.stack([one[layer][1] for one in several]))
        for layer in range(len(several[0]))
    ]


def network(found: Parameters, draw: int | None = None) -> Network:
    """Return the network with these stored numbers, or one of several along the first axis."""
    chosen = found if draw is None else [(w[draw], b[draw]) for w, b in found]
    return Network.of(*([one[k].double().cpu().numpy() for one in chosen] for k in (0, 1)))


def gradients(
    found: Parameters, x: Tensor, y: Tensor, arithmetic: Arithmetic, loss: Loss = "squared"
) -> tuple[Parameters, Tensor]:
    """Return the gradient of the mean loss, each operation rounded to the storage format, and the outputs.

    The derivative of ReLU at 0 is 0. `squared` is the mean of (R(x) - y)^2; the softmax of `cross_entropy` is computed
    in fp32 or fp64 and rounded.

    Args:
        found: parameters in the storage format, with any leading axes.
        x: `(n, inputs)`. y: `(n, outputs)`, or class numbers `(n,)`. Both are rounded to the storage format.

    Returns:
        Gradients shaped as the parameters, and outputs `(..., n, outputs)`.
    """
    inputs, before = _forward(found, x, arithmetic)
    result: Parameters = []
    for number, back, sums in _backward(found, inputs, before, y, arithmetic, loss):
        result.append((arithmetic.product(back.mT, inputs[number]), sums))
    return result[::-1], before[-1]


def bias_gradients(
    found: Parameters, x: Tensor, y: Tensor, arithmetic: Arithmetic, loss: Loss = "squared"
) -> list[Tensor]:
    """Return the biases' gradients alone, `(..., out)` a layer: those of `gradients`, bit for bit, for less work."""
    inputs, before = _forward(found, x, arithmetic)
    return [sums for _, _, sums in _backward(found, inputs, before, y, arithmetic, loss)][::-1]


def _forward(found: Parameters, x: Tensor, arithmetic: Arithmetic) -> tuple[list[Tensor], list[Tensor]]:
    """The inputs of each layer and what it makes of them."""
    inputs, before = [arithmetic.store(x)], []
    for weight, bias in found:
        before.append(arithmetic.product(inputs[-1], weight.mT, bias))
        inputs.append(before[-1].relu())
    return inputs[:-1], before


def _backward(found, inputs, before, y, arithmetic, loss) -> Iterator[tuple[int, Tensor, Tensor]]:
    """From the last layer to the first: its number, derivatives by its pre-activations, and their sum over examples."""
    back = _residual(before[-1], y, arithmetic, loss)
    ones = torch.ones(1, back.shape[-2], dtype=arithmetic.dtype, device=back.device)
    for number in range(len(found) - 1, -1, -1):
        yield number, back, arithmetic.product(ones, back)[..., 0, :]
        if number:
            back = arithmetic.product(back, found[number][0])
            back = torch.ops.aten.threshold_backward(back, before[number - 1], 0)


def _residual(outputs: Tensor, y: Tensor, arithmetic: Arithmetic, loss: Loss) -> Tensor:
    """Derivative of the mean loss with respect to the outputs."""
    n = outputs.shape[-2]
    if loss == "squared":
        return (outputs - arithmetic.store(y)) * (2 / n)
    if loss != "cross_entropy":
        raise ValueError(f"loss is {loss!r}; allowed: squared, cross_entropy")
    wide = outputs if outputs.dtype == torch.float64 else outputs.float()
    hot = torch.nn.functional.one_hot(y, outputs.shape[-1])
    return arithmetic.store((wide.softmax(-1) - hot) / n)


def exact_gradients(network: Network, x: Sequence[Fraction], y: Sequence[Fraction]) -> list[np.ndarray]:
    """Return the biases' gradients of the mean squared error in exact rationals, one array (dtype object) a layer.

    Args:
        x, y: inputs and targets of a network with one input and one output, `(n,)`; any exact numbers.
    """
    layers = [(_fractions(layer.weight), _fractions(layer.bias[0])) for layer in network.layers]
    inputs, before = [np.array([[Fraction(one)] for one in x], dtype=object)], []
    for weight, bias in layers:
        z = inputs[-1] @ weight.T + bias
        before.append(z)
        inputs.append(np.where(z > 0, z, Fraction(0)))
    back = (before[-1] - np.array([[Fraction(one)] for one in y], dtype=object)) * Fraction(2, len(x))
    result = []
    for number in range(len(layers) - 1, -1, -1):
        result.append(back.sum(0))
        if number:
            back = np.where(before[number - 1] > 0, back @ layers[number][0], Fraction(0))
    return result[::-1]


def _fractions(numbers: np.ndarray) -> np.ndarray:
    exact = np.empty(numbers.shape, dtype=object)
    exact.ravel()[:] = [Fraction(one) for one in numbers.ravel().tolist()]
    return exact


def curvature(found: Parameters, x: Tensor) -> float:
    """Return the largest Gauss-Newton eigenvalue of the mean squared error, float64, for one output and one network.

    Gradient descent with step lambda multiplies rounding errors in that direction by 1 - lambda times it: lambda times
    this number above 2 makes them grow (K4c, second trap).
    """
    wide = Arithmetic("fp64", "fp64")
    inputs, before = [wide.store(x)], []
    for weight, bias in ((w.double(), b.double()) for w, b in found):
        before.append(inputs[-1] @ weight.mT + bias)
        inputs.append(before[-1].relu())
    back, gram = torch.ones_like(before[-1]), torch.zeros(len(x), len(x), dtype=torch.float64)
    for number in range(len(found) - 1, -1, -1):
        gram += (back @ back.mT) * (inputs[number] @ inputs[number].mT + 1)
        if number:
            back = (back @ found[number][0].double()) * (before[number - 1] > 0)
    return 2 / len(x) * float(torch.linalg.eigvalsh(gram)[-1])
