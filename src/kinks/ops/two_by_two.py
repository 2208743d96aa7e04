"""The papers' pool on a CPU: 2x2 windows side by side, their maxima, and which of their entries are maximal.

PyTorch's kernel goes through the windows one by one; here whole rows are compared at once. The bits are the same, the
index of the first maximum included.
"""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from kinks.ops.kinked import values_can_be_read
from kinks.ops.pool_windows import Windows

SIDE_BY_SIDE = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}  # NumPy has no bfloat16, and is slow on float16
INTEGERS = {torch.float32: (torch.int32, -(2**31)), torch.float64: (torch.int64, -(2**63))}  # and the bits of -0.0
PAIR = np.dtype("<u2")  # two neighbours in a row of booleans, the left one in the lower byte


class Maxima(NamedTuple):
    """The maximum of each window, `(..., H / 2, W / 2)`, and which entries have it.

    Attributes:
        top: in the format of the input; of ReLU(input), if that was asked for.
        equal: whether each entry is maximal, bool `(windows' rows, W)`, for the upper and for the lower rows.
        count: uint8, how many entries of a window are.
    """

    top: Tensor
    equal: tuple[np.ndarray, np.ndarray]
    count: Tensor


def applies(x: Tensor, cells: Windows) -> bool:
    """Whether `x`, its values, and the windows are such that `maxima` can be asked."""
    even = x.shape[-1] % 2 == 0 == x.shape[-2] % 2
    return even and cells == SIDE_BY_SIDE and x.is_contiguous() and values_can_be_read(x)


def maxima(x: Tensor, rectified: bool = False) -> Maxima | None:
    """Find the maxima of `x` `(..., H, W)`; None if a window holds a NaN, for which PyTorch has a rule of its own.

    With `rectified`, `top` is that of ReLU(x); entries and counts mean something where it is positive.
    """
    shape = (*x.shape[:-2], x.shape[-2] // 2, x.shape[-1] // 2)
    wide = x.detach().to(WIDE.get(x.dtype, x.dtype))
    rows = [row.contiguous() for row in wide.reshape(-1, 2, x.shape[-1]).unbind(1)]
    top = F.max_pool1d(torch.maximum(*rows).view(1, 1, -1), 2).resize_(shape)  # a view could not be changed in place
    pairs = twice(top).view_as(rows[0]).numpy()
    above, below = (np.equal(row.numpy(), pairs) for row in rows)
    both = (above.view(np.uint8) + below.view(np.uint8)).view(PAIR)
    count = torch.from_numpy(((both & 255) + (both >> 8)).astype(np.uint8)).view(shape)
    if not count.numpy().all():
        return None
    found = Maxima(top.clamp_min_(0) if rectified else top, (above, below), count)
    bits, negative_zero = INTEGERS[wide.dtype]
    if not rectified and wide.view(bits).numpy().min() == negative_zero:
        # Among equal zeros the maximum above may have another sign than the first one, which PyTorch returns.
        found = found._replace(top=wide.flatten(-2).gather(-1, places(found).flatten(-2)).view(shape))
    return found._replace(top=found.top.to(x.dtype))


def twice(numbers: Tensor) -> Tensor:
    """Every number two times in a row, `(..., 2)`; complex numbers are the fastest way."""
    return torch.view_as_real(torch.complex(numbers, numbers))


def first(equal: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Of the entries that are maximal, the first of each window in row-major order, in the form of `Maxima.equal`."""
    above, below = (row.view(PAIR) for row in equal)
    above, below = above & ~(above << 8), (below & ~(below << 8)) * (above == 0)
    return above.view(bool), below.view(bool)


def places(found: Maxima) -> Tensor:
    """Where the first maximal entry of each window is, as PyTorch counts it: int64."""
    height, width = found.count.shape[-2:]
    above, below = (row.view(PAIR) for row in first(found.equal))
    # From the corner of a window it is one row to the lower entries, and 1 to the right ones.
    steps = (above == 0).astype(np.int32) * (2 * width) + ((above | below) >> 8)
    corners = 4 * width * np.arange(height)[:, None] + 2 * np.arange(width)
    return torch.from_numpy(corners + steps.reshape(found.count.shape))


def pooled(x: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The maximum of each window of `x` `(..., H, W)`, its place as PyTorch counts it (int64), and how often it occurs.

    The count is uint8. None if a window holds a NaN.
    """
    found = maxima(x)
    return None if found is None else (found.top, places(found), found.count)
