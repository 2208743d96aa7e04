"""The papers' pool where a network trains on a CPU: 2x2 windows side by side, reverse mode only.

Bit for bit `max_pool2d` and faster: the forward notes which entries are maximal, and that is all that the backward, for
every beta, has to read. It can stand for a ReLU and the pool behind it, too.
"""

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kinks.ops.derivative import PoolDerivative
from kinks.ops.pool import blend, shares
from kinks.ops.two_by_two import WIDE, Maxima, applies, maxima

__all__ = ["Maxima", "applies", "maxima", "pool"]


class _Pool(Function):
    """Reverse mode, once."""

    @staticmethod
    def forward(ctx, x: Tensor, found: Maxima, derivative: PoolDerivative, rectified: bool) -> Tensor:
        ctx.which, ctx.derivative, ctx.rectified = found.which, derivative, rectified
        # The maxima may be the output: held any other way, they would hold their own graph, until Python looks for it.
        ctx.save_for_backward(found.top)
        return blend(found.top, derivative)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None, None]:
        found = Maxima(*ctx.saved_tensors, ctx.which)
        if ctx.rectified:
            upstream = torch.ops.aten.threshold_backward(upstream, found.top, 0)
        return _spread(_shared(upstream, found, ctx.derivative), found), None, None, None


def _shared(upstream: Tensor, found: Maxima, derivative: PoolDerivative) -> list[Tensor]:
    """What the first maximal entry of a window receives and, if there are further ones, what each of them does."""
    if derivative.forward == "exact":
        if derivative.beta == 0:
            return [upstream]
        count = found.count
        if count.numpy().max(initial=1) == 1:
            return [upstream]
        if derivative.beta == 1:
            wide = upstream.to(WIDE.get(upstream.dtype, upstream.dtype))
            return 2 * [(wide / count).to(upstream.dtype)]
    return list(shares(upstream, found.count, derivative))


def _spread(shared: list[Tensor], found: Maxima) -> Tensor:
    """The gradient of the pool's input, `(..., H, W)`."""
    from kinks.ops import loops

    *outer, height, width = found.top.shape
    storage = found.top.dtype
    gradient = torch.empty(*outer, 2 * height, 2 * width, dtype=WIDE.get(storage, storage))
    given = [one.to(gradient.dtype).contiguous().view(found.which.shape).numpy() for one in shared]
    spread = loops.to_first if len(given) == 1 else loops.to_all
    spread(*given, found.which, gradient.view(-1, 2, 2 * width).numpy())
    return gradient.to(storage)


def pool(x: Tensor, found: Maxima, derivative: PoolDerivative, rectified: bool = False) -> Tensor:
    """The maximum of each window of `x`, whose `maxima` were found, with the chosen Jacobian at ties.

    With `rectified`, as `maxima` was told, that of ReLU(x) with ReLU'(0) = 0. It is differentiated in reverse mode, and
    once.
    """
    return _Pool.apply(x, found, derivative, rectified)
