"""Forward passes of a perceptron under a precision model: with a graph, and bare for counting exact zeros."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F

from kinks.nets.mlp import MLP, Layers
from kinks.ops import has_zero
from kinks.precision import Precision, linear


def cast(layers: Layers, precision: Precision, device: str = "cpu") -> Layers:
    """Round fp32 weights to the storage format, as `net.half()` or `net.double()` after initialisation does."""
    return [(w.to(device, precision.storage), b.to(device, precision.storage)) for w, b in layers]


def logits(
    net: MLP,
    layers: Layers,
    x: torch.Tensor,
    activation: Callable[[int, torch.Tensor], torch.Tensor],
    precision: Precision,
) -> torch.Tensor:
    """Return the network's outputs `(B, classes)` with a graph.

    Args:
        activation: called as `activation(hidden layer from 0, pre-activations)` where the network has a ReLU.
    """
    for index, (weight, bias) in enumerate(layers):
        x = linear(x, weight, bias, precision)
        if index < len(net.relus) and net.relus[index]:
            x = activation(index, x)
    return x


def widen(layers: Layers, precision: Precision) -> Layers:
    """Return the weights in the format in which emulated products are computed (no copy when nothing is emulated)."""
    return [(w.float(), b.float()) for w, b in layers] if precision.emulated else layers


def positions(z: torch.Tensor) -> torch.Tensor | None:
    """Return the `(row, unit)` positions of exact zeros (+0, -0), `(k, 2)` int64, or None if there are none."""
    return (z == 0).nonzero() if has_zero(z) else None


def exact_zeros(net: MLP, layers: Layers, x: torch.Tensor, precision: Precision) -> list[torch.Tensor | None]:
    """Find the exact zeros at every ReLU input of one chunk, without a graph, and stop before the output layer.

    Args:
        layers: hidden layers (and more: the rest is not computed) as `widen` returns them.
        x: `(rows, inputs)` in the format of `layers`.

    Returns:
        One entry per hidden layer: positions `(k, 2)`, or None (no zero, or no ReLU after that layer).
    """
    found: list[torch.Tensor | None] = []
    for has_relu, (weight, bias) in zip(net.relus, layers, strict=False):
        x = _bare_linear(x, weight, bias, precision)
        found.append(positions(x) if has_relu else None)
        if has_relu:
            x.relu_()
    return found


def _bare_linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, precision: Precision) -> torch.Tensor:
    if not precision.emulated:
        return linear(x, weight, bias, precision)
    if precision.bias == "after_rounding":
        return _rounded(_rounded(F.linear(x, weight), precision).add_(bias), precision)
    return _rounded(F.linear(x, weight, bias), precision)


def _rounded(z: torch.Tensor, precision: Precision) -> torch.Tensor:
    return z.to(precision.storage).float()


def chunks(rows: int, size: int) -> Iterator[slice]:
    """Cut `rows` rows into consecutive slices of `size` (the last may be shorter)."""
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


@torch.no_grad()
def rows_keep_their_bits(net: MLP, layers: Layers, x: torch.Tensor, precision: Precision, batch: int) -> bool:
    """Test that a row's pre-activations have the same bits in a mini-batch of `batch` rows as in the whole of `x`.

    This is what allows one pass over the data to serve every batch size. It holds for the matrix kernels of ordinary
    batches (16 rows or more) and is not promised by any library, so it is tested on the machine at hand.
    """
    whole, parts = x, list(x.split(batch))
    for weight, bias in layers[: len(net.relus)]:
        whole = _bare_linear(whole, weight, bias, precision)
        parts = [_bare_linear(part, weight, bias, precision) for part in parts]
        if not torch.equal(whole, torch.cat(parts)):
            return False
    return True
