"""Several networks of one architecture as one: their weights are stacked, and every layer computes all of them at once.

Images of `n` networks lie side by side as channels, `(B, n * C, H, W)`, so that convolutions become grouped ones and
activations and pools need no change; features lie as `(n, B, F)`, so that linear layers become batched products with
the bias in the accumulator. Networks never meet: a number that is not finite stays in its own network.
"""

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks import ops
from kinks.nets.precise import Conv2d, Linear
from kinks.nets.resnet import Residual
from kinks.precision import Precision, conv2d

APART = (nn.ReLU, nn.MaxPool2d, nn.AdaptiveAvgPool2d, ops.ReLU, ops.MaxPool2d)  # work on each channel, or number, alone
FRAMES = (nn.Sequential, Residual)


class PackedConv2d(nn.Module):
    """`n` convolutions of `(B, n * C, H, W)` as one grouped convolution; weight `(n, out, in, k, k)`."""

    def __init__(self, layers: Sequence[Conv2d]) -> None:
        super().__init__()
        self.weight, self.bias = _stacked(layers, "weight"), _stacked(layers, "bias")
        first = layers[0]
        self.places = (first.stride, first.padding, first.dilation, len(layers) * first.groups)
        self.precision: Precision = first.precision

    def forward(self, x: Tensor) -> Tensor:
        """Images of all networks to images of all networks."""
        bias = None if self.bias is None else self.bias.flatten()
        return conv2d(x, self.weight.flatten(0, 1), bias, self.precision, *self.places)


class PackedLinear(nn.Module):
    """`n` linear layers of `(n, B, in)` as one batched product; weight `(n, out, in)`."""

    def __init__(self, layers: Sequence[Linear]) -> None:
        super().__init__()
        self.weight, self.bias = _stacked(layers, "weight"), _stacked(layers, "bias")
        self.precision: Precision = layers[0].precision

    def forward(self, x: Tensor) -> Tensor:
        """Features of all networks to features of all networks."""
        turned = self.weight.transpose(1, 2)
        if self.bias is None:
            return torch.bmm(x, turned)
        if self.precision.bias == "after_rounding":
            return torch.bmm(x, turned) + self.bias[:, None]
        return torch.baddbmm(self.bias[:, None], x, turned)


class PackedNorm(nn.Module):
    """`n` batch norms, of `(B, n * C, H, W)` or `(n, B, F)`, as one over `n` times as many channels."""

    def __init__(self, layers: Sequence[nn.BatchNorm1d | nn.BatchNorm2d]) -> None:
        super().__init__()
        self.weight, self.bias = _stacked(layers, "weight"), _stacked(layers, "bias")
        for name in ("running_mean", "running_var"):
            self.register_buffer(name, torch.stack([getattr(layer, name) for layer in layers]))
        self.momentum, self.eps = layers[0].momentum, layers[0].eps

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers, normalised within their network and channel."""
        if x.ndim == 3:
            wide = x.transpose(0, 1).flatten(1)
            return self._normalised(wide).view(x.shape[1], x.shape[0], -1).transpose(0, 1)
        return self._normalised(x)

    def _normalised(self, x: Tensor) -> Tensor:
        running = self.running_mean.view(-1), self.running_var.view(-1)
        affine = self.weight.flatten(), self.bias.flatten()
        return F.batch_norm(x, *running, *affine, self.training, self.momentum, self.eps)


class PackedFlatten(nn.Module):
    """`(B, n * C, H, W)` to `(n, B, C * H * W)`."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, x: Tensor) -> Tensor:
        """Images of all networks to features of all networks."""
        return x.flatten(1).unflatten(1, (self.count, -1)).transpose(0, 1)


def pack(models: Sequence[nn.Module]) -> nn.Module:
    """Return one network of `(B, n * C, H, W)` whose logits are `(n, B, classes)`, from `n` that `precise.at` brought.

    Their weights are copied, `(n, ...)` each. Every product is a sum in another order than that of a network alone.

    Raises:
        ValueError: a layer that has no packed form, or one whose 16 bits are emulated.
    """
    models = list(models)
    frame = copy.deepcopy(models[0])
    _fill(frame, models, "")
    return frame


def side_by_side(images: Tensor) -> Tensor:
    """Return `(n, B, C, H, W)`, a mini-batch for each network, as `pack`'s networks take them, `(B, n * C, H, W)`."""
    return images.transpose(0, 1).flatten(1, 2)


def _fill(frame: nn.Module, models: Sequence[nn.Module], path: str) -> None:
    """Put the packed form of each child of `models` into `frame`, which is built as they are."""
    for name, child in list(frame.named_children()):
        layers = [getattr(model, name) for model in models]
        if isinstance(child, FRAMES):
            _fill(child, layers, f"{path}{name}.")
        else:
            setattr(frame, name, _packed(layers, path + name))


def _packed(layers: Sequence[nn.Module], name: str) -> nn.Module:
    kind = type(layers[0])
    if kind in (Conv2d, Linear):
        if layers[0].precision.emulated:
            raise ValueError(f"pack: 16 bits of {name} are emulated; allowed: formats that the processor computes in")
        return (PackedConv2d if kind is Conv2d else PackedLinear)(layers)
    if kind in (nn.BatchNorm1d, nn.BatchNorm2d) and layers[0].track_running_stats and layers[0].affine:
        return PackedNorm(layers)
    if kind is nn.Flatten:
        return PackedFlatten(len(layers))
    if kind in APART:
        return layers[0]
    raise ValueError(f"pack: {name} is a {kind.__name__}; allowed: convolutions, linear layers, ReLUs, pools, norms")


def _stacked(layers: Sequence[nn.Module], name: str) -> nn.Parameter | None:
    if getattr(layers[0], name) is None:
        return None
    return nn.Parameter(torch.stack([getattr(layer, name).detach() for layer in layers]))
