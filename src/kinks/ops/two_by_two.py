"""The papers' pool on a CPU: 2x2 windows side by side, with their ties for less than half the price of torch's maximum.

PyTorch's kernel goes through the windows one by one; here each of the four places is one slice, compared at once. The
bits are the same, the index of the first maximum included.
"""

import numpy as np
import torch
from torch import Tensor

from kinks.ops.kinked import values_can_be_read
from kinks.ops.pool_windows import Windows

SIDE_BY_SIDE = Windows((2, 2), (2, 2), (0, 0), (1, 1), False)
NUMPYS = (torch.float32, torch.float64)  # NumPy has no bfloat16, and computes float16 one by one


def applies(x: Tensor, cells: Windows) -> bool:
    """Whether `x`, its values, and the windows are such that `pooled` can be asked."""
    even = x.shape[-1] % 2 == 0 == x.shape[-2] % 2
    return even and cells == SIDE_BY_SIDE and x.dtype in NUMPYS and x.is_contiguous() and values_can_be_read(x)


def pooled(x: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
    """The maximum of each window of `x` `(..., H, W)`, its place as PyTorch counts it (int64), and how often it occurs.

    The count is uint8. None if a window holds a NaN, for which PyTorch has a rule of its own.
    """
    height, width = x.shape[-2:]
    above, below = x.detach().unflatten(-2, (-1, 2)).unbind(-2)
    rows = torch.maximum(above, below)
    top = torch.maximum(rows[..., ::2], rows[..., 1::2])
    equal = [_equal(x.detach()[..., i::2, j::2], top) for i in (0, 1) for j in (0, 1)]
    count = (equal[0] + equal[1]).add_(equal[2]).add_(equal[3])
    if not count.numpy().all():
        return None
    place = (1 - equal[2]).add_(1).mul_(1 - equal[1]).add_(1).mul_(1 - equal[0])  # 0 where the first is maximal, ...
    corner = 2 * (width * torch.arange(height // 2, dtype=torch.int32)[:, None] + torch.arange(width // 2).int())
    indices = (place >> 1).int().mul_(width).add_(place & 1).add_(corner).long()
    # Among equal zeros the maximum above may have another sign than the first one, which PyTorch returns.
    torch.gather(x.detach().flatten(-2), -1, indices.flatten(-2), out=top.view(*top.shape[:-2], -1))
    return top, indices, count


def _equal(entries: Tensor, top: Tensor) -> Tensor:
    """1 where equal, else 0, as uint8; NumPy reads every other entry of a row twice as fast as PyTorch."""
    return torch.from_numpy(np.equal(entries.numpy(), top.numpy()).view(np.uint8))
