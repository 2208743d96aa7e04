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


class _RoundedNorm:
    """Batch norm of 16-bit features with fp32 statistics and one rounding at its end, as on a GPU.

    PyTorch's CPU kernel rounds the mean and the variance to the format of the weights, and 16-bit means leave far more
    outputs that are exactly 0.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, channels, ...)` normalised, in the storage format."""
        running = [None if one is None else one.float() for one in (self.running_mean, self.running_var)]
        by_batch = self.training or running[0] is None
        affine = [None if one is None else one.float() for one in (self.weight, self.bias)]
        y = F.batch_norm(x.float(), *running, *affine, by_batch, self.momentum, self.eps).to(x.dtype)
        if self.training and running[0] is not None:
            self.num_batches_tracked += 1
            self.running_mean.copy_(running[0])
            self.running_var.copy_(running[1])
        return y


class BatchNorm1d(_RoundedNorm, nn.BatchNorm1d):
    """Batch norm of `(B, features)`; made by `at`."""


class BatchNorm2d(_RoundedNorm, nn.BatchNorm2d):
    """Batch norm of `(B, channels, H, W)`; made by `at`."""


ROUNDED = {nn.Linear: Linear, nn.Conv2d: Conv2d}
NORMS = {nn.BatchNorm1d: BatchNorm1d, nn.BatchNorm2d: BatchNorm2d}


def at(model: nn.Module, precision: Precision, device: torch.device | str = "cpu") -> nn.Module:
    """Bring `model` itself to `device` and into the storage format, as `model.half()` does, and return it.

    Its Conv2d and Linear layers then round as `precision` says, and so, where 16 bits are emulated, does batch norm.
    Swap derivatives in first: torch.fx, which looks for hidden activations, does not follow these layers. Weights
    drawn afterwards by `kinks.nets.initialise` are rounded to the storage format too.

    Raises:
        ValueError: a layer pads otherwise than with zeros, or autocast, which `torch.autocast` itself provides.
    """
    if precision.autocast:
        raise ValueError("at: autocast keeps weights in fp32; run the fp32 model under torch.autocast")
    model.to(device, precision.storage)
    for name, layer in model.named_modules():
        if precision.emulated and type(layer) in NORMS:
            if layer.momentum is None:
                raise ValueError(f"at: {name} averages its statistics (momentum=None); allowed: a number")
            layer.__class__ = NORMS[type(layer)]
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
