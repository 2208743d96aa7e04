"""A network under a precision model: weights in the storage format, products and biases rounded as the model says."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.precision import Precision, conv2d, linear


class Linear(nn.Linear):
    """A linear layer that rounds as `precision` says; made by `at`."""

    precision: Precision

    def forward(self, x: Tensor) -> Tensor:
        """Features `(..., in)` to `(..., out)`, in the storage format."""
        return linear(x, self.weight, self.bias, self.precision)


class Conv2d(nn.Conv2d):
    """A convolution with zero padding that rounds as `precision` says; made by `at`."""

    precision: Precision

    def forward(self, x: Tensor) -> Tensor:
        """Images `(B, in, H, W)` to `(B, out, H', W')`, in the storage format."""
        arguments = (self.stride, self.padding, self.dilation, self.groups)
        return conv2d(x, self.weight, self.bias, self.precision, *arguments)


ROUNDED = {nn.Linear: Linear, nn.Conv2d: Conv2d}


def at(model: nn.Module, precision: Precision, device: torch.device | str = "cpu") -> nn.Module:
    """Bring `model` itself to `device` and into the storage format, as `model.half()` does, and return it.

    Its Conv2d and Linear layers then round as `precision` says. Swap derivatives in first: torch.fx, which looks for
    hidden activations, does not follow these layers. Weights drawn afterwards by `kinks.nets.initialise` are rounded
    to the storage format too.

    Raises:
        ValueError: a layer pads otherwise than with zeros, or autocast, which `torch.autocast` itself provides.
    """
    if precision.autocast:
        raise ValueError("at: autocast keeps weights in fp32; run the fp32 model under torch.autocast")
    model.to(device, precision.storage)
    for name, layer in model.named_modules():
        if type(layer) not in (*ROUNDED, *ROUNDED.values()):
            continue
        if isinstance(layer, nn.Conv2d) and (layer.padding_mode != "zeros" or isinstance(layer.padding, str)):
            raise ValueError(f"at: {name} pads with {layer.padding!r}, {layer.padding_mode}; allowed: numbers, zeros")
        layer.__class__ = ROUNDED.get(type(layer), type(layer))
        layer.precision = precision
    return model


def loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The papers' loss, mean cross-entropy of `(B, classes)` and int64 `(B,)`, a scalar in the format of `logits`."""
    return F.cross_entropy(logits, labels)
