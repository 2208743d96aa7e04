"""The papers' pool on a CPU: 2x2 windows side by side, their maxima, and which of their entries are maximal.

Compiled loops take whole rows at once, which PyTorch's kernel does not. The bits are the same, the index of the first
maximum included.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinks.ops.kinked import values_can_be_read
from kinks.ops.pool_windows import Windows

SIDE_BY_SIDE = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
WIDE = {torch.float16: torch.float32, torch.bfloat16: torch.float32}  # compiled loops know neither of these


class Maxima(NamedTuple):
    """The maximum of each window, `(..., H / 2, W / 2)`, and which entries have it.

    Attributes:
        top: in the format of the input; of ReLU(input), if that was asked for.
        which: uint8 `(windows' rows, W / 2)`: 1, 2, 4 and 8 for the maximal ones of the four entries, added up.
    """

    top: Tensor
    which: np.ndarray

    @property
    def count(self) -> Tensor:
        """How many entries of a window are maximal, uint8."""
        return torch.from_numpy(np.bitwise_count(self.which)).view(self.top.shape)


def applies(x: Tensor, cells: Windows) -> bool:
    """Whether `x`, its values, and the windows are such that `maxima` can be asked."""
    even = x.shape[-1] % 2 == 0 == x.shape[-2] % 2
    return even and cells == SIDE_BY_SIDE and x.is_contiguous() and values_can_be_read(x)


def maxima(x: Tensor, rectified: bool = False) -> Maxima | None:
    """Find the maxima of `x` `(..., H, W)`; None if a window holds a NaN, for which PyTorch has a rule of its own.

    With `rectified`, `top` is that of ReLU(x); `which` means something where it is positive.
    """
    from kinks.ops import loops  # loads a compiler

    *outer, height, width = x.shape
    wide = x.detach().to(WIDE.get(x.dtype, x.dtype))
    top = torch.empty(*outer, height // 2, width // 2, dtype=wide.dtype)
    which = np.empty((top.numel() // (width // 2), width // 2), np.uint8)
    loops.find(wide.view(-1, 2, width).numpy(), top.view(which.shape).numpy(), which)
    if not which.all():
        return None
    return Maxima((top.clamp_min_(0) if rectified else top).to(x.dtype), which)


def places(found: Maxima) -> Tensor:
    """Where the first maximal entry of each window is, as PyTorch counts it: int64."""
    from kinks.ops import loops

    at = np.empty(found.which.shape, np.int64)
    loops.places(found.which, found.top.shape[-2], at)
    return torch.from_numpy(at).view(found.top.shape)


def pooled(x: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The maximum of each window of `x` `(..., H, W)`, its place as PyTorch counts it (int64), and how often it occurs.

    The count is uint8. None if a window holds a NaN.
    """
    found = maxima(x)
    return None if found is None else (found.top, places(found), found.count)
