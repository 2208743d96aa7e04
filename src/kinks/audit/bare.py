"""Does a mini-batch put an exact zero into a ReLU? One bare forward pass of a network, with the model's own bits.

Nothing is kept: there is no graph, activations are overwritten, the running statistics of batch norm stay as they are,
and on a CPU a max-pool is a maximum of slices, an order of magnitude faster than a kernel that notes where each lies.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.nets.centred import CentredNorm
from kinks.nets.precise import BatchNorm1d, BatchNorm2d, Conv2d
from kinks.nets.resnet import Residual
from kinks.ops import MaxPool2d, ReLU, has_zero
from kinks.precision import conv2d

# Kernel, stride, padding and dilation of the pools that are maxima of slices, where both sides are even.
SLICED = {((2, 2), (2, 2), (0, 0), (1, 1)), ((3, 3), (2, 2), (1, 1), (1, 1))}


class _ZeroMetError(Exception):
    """A ReLU's input holds an exact zero."""


def meets_zero(model: nn.Module, x: Tensor) -> bool:
    """Say whether any ReLU of `model` meets 0.0 or -0.0 at its input when it is given the mini-batch `x`.

    If not, the gradients for all values of ReLU'(0) are the same program on the same numbers, so they have equal bits.

    Args:
        model: a module whose ReLUs all are modules, `nn.ReLU` or swapped in (`kinks.ops.swap` refuses others). In
            training mode, batch norm takes the statistics of the mini-batch.
        x: `(B, ...)`, in the model's format and on its device.
    """
    return bare_outputs(model, x) is None


@torch.no_grad()
def bare_outputs(model: nn.Module, x: Tensor) -> Tensor | None:
    """Return the bits of `model(x)`, or None if any ReLU meets an exact zero; arguments as in `meets_zero`.

    A CPU stops at the first zero; elsewhere the answer is waited for once, at the end. Containers that are neither
    `nn.Sequential` nor residual blocks run as they are, and then their batch norms do note their statistics.
    """
    met: list[Tensor] = []
    try:
        outputs = _forward(model, x, False, met)
    except _ZeroMetError:
        return None
    return None if met and bool(torch.stack(met).any()) else outputs


@contextmanager
def watched(model: nn.Module, look: Callable[[Tensor], None]) -> Iterator[None]:
    """Call `look` on the input of every ReLU module of `model` while inside."""
    relus = [part for part in model.modules() if isinstance(part, nn.ReLU | ReLU)]
    handles = [part.register_forward_pre_hook(lambda _, given: look(given[0])) for part in relus]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _forward(module: nn.Module, x: Tensor, free: bool, met: list[Tensor]) -> Tensor:
    """The output of one module; `free` says that nobody else needs `x`, so that it may be overwritten."""
    match module:
        case nn.ReLU() | ReLU():
            _look(x, met)
            return x.relu_() if free else x.relu()
        case nn.Sequential():
            for part in module:
                y = _forward(part, x, free, met)
                x, free = y, free or y.data_ptr() != x.data_ptr()
            return x
        case Residual():
            shortcut, y = (_forward(part, x, False, met) for part in (module.shortcut, module.body))
            y = y + shortcut if y.data_ptr() == x.data_ptr() else y.add_(shortcut)
            return _forward(module.relu, y, True, met)
        case Conv2d() if module.bias is not None and module.precision.bias != "accumulator":
            places = (module.stride, module.padding, module.dilation, module.groups)
            return conv2d(x, module.weight, None, module.precision, *places).add_(module.bias[:, None, None])
        case nn.BatchNorm1d() | nn.BatchNorm2d() if _by_batch(module):
            return _normalised(module, x, free)
        case nn.MaxPool2d() | MaxPool2d() if x.device.type == "cpu":
            return _pooled(module, x)
    # A container of unknown make runs as it is, its ReLUs under watch; everything else does so alone.
    with watched(module, lambda z: _look(z, met)):
        return module(x)


def _look(z: Tensor, met: list[Tensor]) -> None:
    if z.device.type != "cpu":
        met.append(~z.all())
    elif has_zero(z):
        raise _ZeroMetError


def _by_batch(norm: nn.BatchNorm1d | nn.BatchNorm2d) -> bool:
    """Whether `_normalised` stands for this batch norm: in training, with weights, in PyTorch's order of operations."""
    return norm.training and norm.affine and not isinstance(norm, CentredNorm)


def _normalised(norm: nn.BatchNorm1d | nn.BatchNorm2d, x: Tensor, free: bool) -> Tensor:
    """Batch norm by the mini-batch's statistics, in the place of its input if that is free; 16 bits as `at` does it."""
    emulated = isinstance(norm, BatchNorm1d | BatchNorm2d)
    wide, weight, bias = (one.float() if emulated else one for one in (x, norm.weight, norm.bias))
    if wide.device.type != "cpu" or wide.dtype not in (torch.float32, torch.float64) or not (free or emulated):
        return F.batch_norm(wide, None, None, weight, bias, True, 0.0, norm.eps).to(x.dtype)
    given = (wide, weight, bias, None, None, True, 0.0, norm.eps)
    statistics = {name: wide.new_empty(0) for name in ("save_mean", "save_invstd")}
    return torch.ops.aten.native_batch_norm.out(*given, out=wide, **statistics)[0].to(x.dtype)


def _pooled(pool: nn.MaxPool2d | MaxPool2d, x: Tensor) -> Tensor:
    """The maximum of each window; 0.0 and -0.0 may change places, which no sum and no comparison sees."""
    window = tuple(_pair(getattr(pool, name)) for name in ("kernel_size", "stride", "padding", "dilation"))
    if window not in SLICED or pool.ceil_mode or x.shape[-1] % 2 or x.shape[-2] % 2:
        return pool(x)
    for dim in (-2, -1):  # rows first: their slices are contiguous
        even, odd = x.unflatten(dim, (-1, 2)).unbind(dim)
        x = torch.maximum(even, odd)
        if window[0] == (3, 3):
            later, before = x.narrow(dim, 1, x.shape[dim] - 1), odd.narrow(dim, 0, x.shape[dim] - 1)
            torch.maximum(later, before, out=later)
    return x


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
