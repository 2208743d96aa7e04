"""The windows of a two-dimensional max-pool: which entries each one holds, and how many of those are maximal."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops.kinked import check_input

Pair = tuple[int, int]
Index = tuple[object, slice, slice]


@dataclass(frozen=True)
class Windows:
    """Size, stride, padding, dilation and rounding of the windows, as torch.nn.MaxPool2d has them."""

    size: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    ceil_mode: bool

    @property
    def arguments(self) -> tuple[Pair, Pair, Pair, Pair, bool]:
        """The windows as PyTorch's functions take them."""
        return self.size, self.stride, self.padding, self.dilation, self.ceil_mode

    def starts(self, axis: int, length: int) -> range:
        """Where windows start along one axis (0: rows, 1: columns) of `length` entries; padding is below 0."""
        stride, padding = self.stride[axis], self.padding[axis]
        room = length + 2 * padding - self.dilation[axis] * (self.size[axis] - 1) - 1
        count = (room + (stride - 1 if self.ceil_mode else 0)) // stride + 1
        if self.ceil_mode and (count - 1) * stride >= length + padding:
            count -= 1
        return range(-padding, -padding + count * stride, stride)

    def offsets(self, shape: torch.Size) -> Iterator[tuple[Index, Index]]:
        """For each place in a window, in row-major order: the entries of the input there, and their windows."""
        for place in product(*map(range, self.size)):
            inside, holders = zip(*(self._along(axis, shape[axis - 2], place[axis]) for axis in (0, 1)), strict=True)
            yield (..., *inside), (..., *holders)

    def _along(self, axis: int, length: int, place: int) -> tuple[slice, slice]:
        """The entries at one place of all windows along `axis`, and the windows for which it is in the input."""
        entries = [start + place * self.dilation[axis] for start in self.starts(axis, length)]
        valid = [window for window, entry in enumerate(entries) if 0 <= entry < length]
        if not valid:
            return slice(0, 0), slice(0, 0)
        return slice(entries[valid[0]], entries[valid[-1]] + 1, self.stride[axis]), slice(valid[0], valid[-1] + 1, 1)


def windows(
    name: str,
    size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> Windows:
    """The windows that torch.nn.MaxPool2d makes of these arguments; a ValueError starting with `name` for others."""
    size = _pair(name, "kernel_size", size, least=1)
    stride = size if stride is None else _pair(name, "stride", stride, least=1)
    padding, dilation = _pair(name, "padding", padding, least=0), _pair(name, "dilation", dilation, least=1)
    for pad, entries, step in zip(padding, size, dilation, strict=True):
        if 2 * pad > step * (entries - 1) + 1:
            raise ValueError(
                f"{name}: padding is {padding} for kernel_size {size} and dilation {dilation}; "
                "allowed: at most half of the window, dilation x (kernel_size - 1) + 1"
            )
    return Windows(size, stride, padding, dilation, bool(ceil_mode))


def check_pooled(name: str, x: Tensor, cells: Windows) -> None:
    """Raise TypeError or ValueError unless `x` is a tensor whose every window holds an entry of it."""
    check_input(name, x)
    shape = tuple(x.shape)
    if x.dim() not in (3, 4) or 0 in shape:
        raise ValueError(
            f"{name}: got a tensor of shape {shape}; allowed: (channels, height, width) or "
            "(batch, channels, height, width), none of them 0"
        )
    for axis in (0, 1):
        length, step = shape[axis - 2], cells.dilation[axis]
        starts = cells.starts(axis, length)
        # PyTorch lets a dilated window step over a short input, and its backward then writes out of bounds.
        if not starts or any(start < 0 and start % step >= length for start in starts[: cells.padding[axis]]):
            raise ValueError(
                f"{name}: got a tensor of shape {shape}; allowed: height and width that leave an entry in every "
                f"window of size {cells.size}, padding {cells.padding} and dilation {cells.dilation}"
            )


def part(x: Tensor, index: Index) -> Tensor:
    """A view of `x`, input or pooled, at one of the indices that `Windows.offsets` gives."""
    whole = all(along == slice(0, length, 1) for along, length in zip(index[1:], x.shape[-2:], strict=True))
    # A slice of the whole is an alias, which autograd.grad(..., is_grads_batched=True) refuses to make.
    return x if whole else x[index]


def maximal(x: Tensor, top: Tensor, cells: Windows) -> tuple[Tensor, list[tuple[Index, Index, Tensor]]]:
    """How many entries of each window equal its maximum `top`, and masks of all but the first of them.

    The count has dtype int32 and the shape of `top`; it is 0 for a window with a NaN, since NaN equals nothing.
    Each mask comes with the indices of its entries in `x` and of its windows in `top`.
    """
    count = torch.zeros_like(top, dtype=torch.int32)
    seen = torch.zeros_like(top, dtype=torch.bool)
    later = []
    for inside, holders in cells.offsets(x.shape):
        equal = part(x, inside) == part(top, holders)
        later.append((inside, holders, equal & part(seen, holders)))
        part(seen, holders).logical_or_(equal)
        part(count, holders).add_(equal)
    return count, later[1:]


def tied_windows(
    x: Tensor,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """How many entries of each window are maximal: 1 without a tie, 2 or more with one; int32, shaped as the pool.

    0.0 and -0.0 tie, as do equal infinities; padding never does; a window with a NaN counts as 1, since PyTorch
    routes its gradient to one NaN. Arguments and errors are those of `max_pool2d`.
    """
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    if has_torch_function_unary(x):
        return handle_torch_function(tied_windows, (x,), x, *arguments)
    cells = windows("tied_windows", *arguments)
    check_pooled("tied_windows", x, cells)
    x = x.detach()
    return maximal(x, F.max_pool2d(x, *cells.arguments), cells)[0].clamp(min=1)


def _pair(name: str, what: str, given: object, least: int) -> Pair:
    """`given` as two integers, one for rows and one for columns."""
    pair = tuple(given) if isinstance(given, tuple | list) else (given, given)
    if len(pair) == 1:
        pair *= 2
    if len(pair) != 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < least for n in pair):
        raise ValueError(f"{name}: {what} is {given!r}; allowed: an integer >= {least}, or two of them")
    return pair
