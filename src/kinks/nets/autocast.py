"""Layers in 16 bits, weights in fp32: what torch.autocast does to the networks of the study, on every device.

Under torch.autocast convolutions and linear layers cast their inputs and weights to 16 bits and give 16 bits on; batch
norm, activations, pools and sums then work on 16-bit features (batch norm with its fp32 weights and statistics), and
the cross-entropy is taken in fp32. On a CPU torch.autocast would run native half kernels, whose bits depend on the
instruction set; here the 16-bit layers are those of `kinks.precision`, emulated there and native on a GPU.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.precision import Precision, conv2d, linear


class _Cast:
    """A layer whose weights are in fp32 and which computes in the 16 bits of `precision` while it is trained."""

    precision: Precision

    def _cast(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        storage = self.precision.storage
        return x.to(storage), self.weight.to(storage), None if self.bias is None else self.bias.to(storage)


class Linear(_Cast, nn.Linear):
    """Made by `autocast`."""

    def forward(self, x: Tensor) -> Tensor:
        """Features `(..., in)` to `(..., out)`: 16 bits in training, fp32 in evaluation."""
        if not self.training:
            return F.linear(x, self.weight, self.bias)
        return linear(*self._cast(x), self.precision)


class Conv2d(_Cast, nn.Conv2d):
    """Made by `autocast`."""

    def forward(self, x: Tensor) -> Tensor:
        """Images `(B, in, H, W)` to `(B, out, H', W')`: 16 bits in training, fp32 in evaluation."""
        arguments = (self.stride, self.padding, self.dilation, self.groups)
        if not self.training:
            return F.conv2d(x, self.weight, self.bias, *arguments)
        return conv2d(*self._cast(x), self.precision, *arguments)


class _Norm:
    """Batch norm of 16-bit features in fp32, rounded once, with fp32 weights and statistics."""

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, channels, ...)` normalised, in the format of `x`."""
        return super().forward(x.float()).to(x.dtype)


class BatchNorm1d(_Norm, nn.BatchNorm1d):
    """Made by `autocast`."""


class BatchNorm2d(_Norm, nn.BatchNorm2d):
    """Made by `autocast`."""


CAST = {nn.Linear: Linear, nn.Conv2d: Conv2d}
NORMS = {nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d}


def autocast(model: nn.Module, precision: Precision, device: torch.device | str = "cpu") -> nn.Module:
    """Bring `model` itself, in fp32, to `device`, let its layers train in 16 bits as said above, and return it.

    In evaluation it is the fp32 network. Gradients of the weights are in fp32.

    Raises:
        ValueError: a precision that has not 16 bits, or a layer that pads otherwise than with zeros.
    """
    if precision.bits != 16:
        raise ValueError(f"autocast: precision is {precision.name}; allowed: fp16, bf16")
    model.to(device, torch.float32)
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
            raise ValueError(f"autocast: {name} pads with {layer.padding!r}, {layer.padding_mode}; allowed: zeros")
        if type(layer) in CAST:
            layer.__class__ = CAST[type(layer)]
            layer.precision = precision
        layer.__class__ = NORMS.get(type(layer), type(layer))
    return model
