"""The papers' pool where a network trains on a CPU: 2x2 windows side by side, reverse mode only.

Bit for bit `max_pool2d` and faster: the forward notes which entries are maximal, and that is all that the backward, for
every beta, has to read. It can stand for a ReLU and the pool behind it, too.
"""

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kinks.ops.derivative import PoolDerivative
from kinks.ops.pool import blend, shares
from kinks.ops.two_by_two import INTEGERS, WIDE, Maxima, applies, first, maxima, twice

__all__ = ["Maxima", "applies", "maxima", "pool"]
Rows = tuple[np.ndarray, np.ndarray]


class _Pool(Function):
    """Reverse mode, once."""

    @staticmethod
    def forward(ctx, x: Tensor, found: Maxima, derivative: PoolDerivative, rectified: bool) -> Tensor:
        ctx.found, ctx.derivative, ctx.rectified = found, derivative, rectified
        return blend(found.top, derivative)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        found = ctx.found
        if ctx.rectified:
            upstream = torch.ops.aten.threshold_backward(upstream, found.top, 0)
        return _spread(_shared(upstream, found, ctx.derivative)), None, None, None


def _shared(upstream: Tensor, found: Maxima, derivative: PoolDerivative) -> list[tuple[Tensor, Rows]]:
    """What the entries of a window receive, `(..., H / 2, W / 2)`, and which ones receive it, once or twice."""
    if derivative.forward == "exact":
        if derivative.beta == 0 or found.count.numpy().max() == 1:
            return [(upstream, first(found.equal))]
        if derivative.beta == 1:
            wide = upstream.to(WIDE.get(upstream.dtype, upstream.dtype))
            return [((wide / found.count).to(upstream.dtype), found.equal)]
    share, further = shares(upstream, found.count, derivative)
    leading = first(found.equal)
    return [(share, leading), (further, tuple(a ^ b for a, b in zip(found.equal, leading, strict=True)))]


def _spread(shared: list[tuple[Tensor, Rows]]) -> Tensor:
    """The gradient of the pool's input, `(..., H, W)`."""
    *outer, height, width = shared[0][0].shape
    storage = shared[0][0].dtype
    wide = WIDE.get(storage, storage)
    gradient = torch.empty(*outer, 2 * height, 2 * width, dtype=wide)
    rows = gradient.view(INTEGERS[wide][0]).view(-1, 2, 2 * width).unbind(1)
    for place, (share, receiving) in enumerate(shared):
        # Chosen by integers: bits times 0 or 1, whatever the number is, and fifteen times faster than torch.where.
        bits = twice(share.to(wide)).view(INTEGERS[wide][0]).view_as(rows[0])
        for row, receives in zip(rows, map(torch.from_numpy, receiving), strict=True):
            if place == 0:
                torch.mul(bits, receives, out=row)
            else:
                row |= bits * receives
    return gradient.to(storage)


def pool(x: Tensor, found: Maxima, derivative: PoolDerivative, rectified: bool = False) -> Tensor:
    """The maximum of each window of `x`, whose `maxima` were found, with the chosen Jacobian at ties.

    With `rectified`, as `maxima` was told, that of ReLU(x) with ReLU'(0) = 0. It is differentiated in reverse mode, and
    once.
    """
    return _Pool.apply(x, found, derivative, rectified)
