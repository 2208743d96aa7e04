"""Batch norm in the order of operations of GPU kernels: the mean is subtracted before anything is multiplied.

Where x equals the mean, (x - mean) * scale + bias is exactly the bias. A CPU rounds x * scale + (bias - mean * scale)
once, which practically never is 0: in fp32 the two differ in their last bits, and in how often a ReLU behind them
meets an exact zero.
"""

import torch
from torch import Tensor, nn
from torch.autograd import Function

from kinks.nets.precise import BatchNorm1d, BatchNorm2d

WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def centred(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return weight * (x - mean) * scale + bias of `(B, channels, ...)`, rounded after each operation, mean and scale.

    Mean and scale, 1 / sqrt(variance + eps), are those of PyTorch's batch norm, `(channels,)` each.
    """
    y, mean, scale = torch.native_batch_norm(x, None, None, None, None, True, 0.0, eps)
    column = [one.view(-1, *[1] * (x.ndim - 2)) for one in (mean, weight, scale, bias)]
    return torch.sub(x, column[0], out=y).mul_(column[1]).mul_(column[2]).add_(column[3]), mean, scale


class _Centred(Function):
    """Reverse mode; the backward is PyTorch's, on the same statistics."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        ctx.eps, ctx.storage = eps, x.dtype
        x, weight, bias = (one.to(WIDE.get(ctx.storage, ctx.storage)) for one in (x, weight, bias))
        y, mean, scale = centred(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, mean, scale)
        return y.to(ctx.storage)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, mean, scale = ctx.saved_tensors
        upstream, wanted = upstream.to(x.dtype), list(ctx.needs_input_grad[:3])
        given = (upstream, x, weight, None, None, mean, scale, True, ctx.eps, wanted)
        found = torch.ops.aten.native_batch_norm_backward(*given)
        return *(None if one is None else one.to(ctx.storage) for one in found), None


class CentredNorm:
    """Batch norm whose training mode subtracts the mean first, rounds 16 bits once at its end, and keeps no average."""

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, channels, ...)` normalised by their own statistics; in evaluation, as PyTorch does it."""
        return _Centred.apply(x, self.weight, self.bias, self.eps) if self.training else super().forward(x)


class CentredNorm1d(CentredNorm, nn.BatchNorm1d):
    """Of `(B, features)`; made by `centre`."""


class CentredNorm2d(CentredNorm, nn.BatchNorm2d):
    """Of `(B, channels, H, W)`; made by `centre`."""


CENTRED = {
    nn.BatchNorm1d: CentredNorm1d, BatchNorm1d: CentredNorm1d,
    nn.BatchNorm2d: CentredNorm2d, BatchNorm2d: CentredNorm2d,
}  # fmt: skip


def centre(model: nn.Module) -> nn.Module:
    """Let every batch norm of `model` itself (with weights) subtract the mean first, and return the model."""
    for layer in model.modules():
        if type(layer) in CENTRED:
            layer.__class__ = CENTRED[type(layer)]
    return model
