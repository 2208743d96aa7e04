"""The papers' pool where a network trains on a CPU: 2x2 windows side by side, reverse mode only.

Bit for bit `max_pool2d` and faster: the forward compares each of the four places of all windows at once and notes which
are maximal, and that is all that the backward, for every beta, has to read.
"""

import sys
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from kinks.ops.derivative import PoolDerivative
from kinks.ops.kinked import values_can_be_read
from kinks.ops.pool import blend, shares
from kinks.ops.pool_windows import Windows

SIDE_BY_SIDE = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}  # NumPy has no bfloat16, and is slow on float16
INTEGERS = {torch.float32: (torch.int32, -(2**31)), torch.float64: (torch.int64, -(2**63))}  # and the bits of -0.0
PAIRS = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class Maxima(NamedTuple):
    """The maximum of each window, `(..., H / 2, W / 2)`, and whether each of its places, in row-major order, has it.

    Attributes:
        top: in the format of the input.
        equal: four bool tensors of that shape.
        count: uint8, how many places have it.
    """

    top: Tensor
    equal: tuple[Tensor, ...]
    count: Tensor


def applies(x: Tensor, cells: Windows) -> bool:
    """Whether `x`, its values, and the windows are such that `maxima` can be asked."""
    even = x.shape[-1] % 2 == 0 == x.shape[-2] % 2
    return even and cells == SIDE_BY_SIDE and x.is_contiguous() and values_can_be_read(x)


def maxima(x: Tensor) -> Maxima | None:
    """Find the maxima of `x` `(..., H, W)`; None if a window holds a NaN, for which PyTorch has a rule of its own."""
    shape, x = (*x.shape[:-2], x.shape[-2] // 2, x.shape[-1] // 2), x.detach()
    wide = x.to(WIDE.get(x.dtype, x.dtype))
    above, below = wide.reshape(-1, 2, x.shape[-1]).unbind(1)
    rows = torch.maximum(above, below)
    sides = [torch.from_numpy(np.ascontiguousarray(side)) for side in _pairs(rows)]
    top = torch.maximum(*sides)
    horizontal = [np.equal(side.numpy(), top.numpy()) for side in sides]
    vertical = [_bytes_apart(np.equal(row.numpy(), rows.numpy())) for row in (above, below)]
    equal = [up & across for row in vertical for up, across in zip(row, horizontal, strict=True)]
    first, *others = (one.view(np.uint8) for one in equal)
    count = sum(others, start=first)
    if not count.all():
        return None
    *equal, count = (torch.from_numpy(one).view(shape) for one in (*equal, count))
    top = top.view(shape)
    bits, negative_zero = INTEGERS[wide.dtype]
    if wide.view(bits).numpy().min() == negative_zero:
        # Among equal zeros the maximum above may have another sign than the first one, which PyTorch returns.
        top = wide.flatten(-2).gather(-1, _first(tuple(equal)).flatten(-2)).view(shape)
    return Maxima(top.to(x.dtype), tuple(equal), count)


def _pairs(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The even and the odd entries of every row, as views; pairs of numbers are complex numbers."""
    pairs = rows.view(PAIRS[rows.dtype]).numpy()
    return pairs.real, pairs.imag


def _bytes_apart(equal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The even and the odd entries of every row of booleans."""
    pairs = equal.view(np.uint16)
    even, odd = (pairs & 255, pairs >> 8) if sys.byteorder == "little" else (pairs >> 8, pairs & 255)
    return even.astype(bool), odd.astype(bool)


class _Pool(Function):
    """Reverse mode, once."""

    @staticmethod
    def forward(ctx, x: Tensor, found: Maxima, derivative: PoolDerivative) -> Tensor:
        ctx.found, ctx.derivative = found, derivative
        ctx.save_for_backward(x)
        return blend(found.top, derivative)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None]:
        found, derivative, (x,) = ctx.found, ctx.derivative, ctx.saved_tensors
        if derivative.beta == 0 or (derivative.forward == "exact" and found.count.numpy().max() == 1):
            native = torch.ops.aten.max_pool2d_with_indices_backward
            return native(upstream, x, *SIDE_BY_SIDE.arguments, _first(found.equal)), None, None
        return _spread(*shares(upstream, found.count, derivative), found.equal), None, None


def _first(equal: tuple[Tensor, ...]) -> Tensor:
    """Where the first maximal entry of each window is, as PyTorch counts it: int64."""
    height, width = equal[0].shape[-2:]
    not_first = ~equal[0].numpy()
    below = not_first & ~equal[1].numpy()
    last = below & ~equal[2].numpy()
    # Places 0, 1, 2, 3 of a window lie 0, 1, one row, one row and 1 after its corner.
    offset = not_first.astype(np.int64)
    offset += np.multiply(below, 2 * width - 1, dtype=np.int64)
    offset += last
    offset += 4 * width * np.arange(height)[:, None] + 2 * np.arange(width)
    return torch.from_numpy(offset)


def _spread(first: Tensor, further: Tensor, equal: tuple[Tensor, ...]) -> Tensor:
    """The gradient: `first` at the first maximal place of each window, `further` at the others."""
    storage, wide = first.dtype, WIDE.get(first.dtype, first.dtype)
    # Chosen by integers: bits times 0 or 1, whatever the number is, and fifteen times faster than torch.where.
    first, further = (one.to(wide).contiguous().view(INTEGERS[wide][0]) for one in (first, further))
    places, seen = [first * equal[0]], equal[0]
    for here in equal[1:]:
        places.append(first * (here & ~seen) | further * (here & seen))
        seen = seen | here
    places = [place.view(wide) for place in places]
    *outer, height, width = first.shape
    gradient = torch.empty(*outer, height, 2, 2 * width, dtype=wide)
    pairs = gradient.view(PAIRS[wide])
    torch.complex(places[0], places[1], out=pairs[..., 0, :])
    torch.complex(places[2], places[3], out=pairs[..., 1, :])
    return gradient.view(*outer, 2 * height, 2 * width).to(storage)


def pool(x: Tensor, found: Maxima, derivative: PoolDerivative) -> Tensor:
    """The maximum of each window of `x`, whose `maxima` were found, with the chosen Jacobian at ties.

    It is differentiated in reverse mode, and once.
    """
    return _Pool.apply(x, found, derivative)
