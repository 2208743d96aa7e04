"""Counts exact zeros before ReLUs and tied windows of pools while a network trains, without waiting for a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.ops import MaxPool2d, PoolDerivative, ReLU, max_pool2d_with_ties
from kinks.ops.pool_in_training import applies, maxima, pool
from kinks.ops.pool_windows import windows

NATIVE = PoolDerivative()


class Census:
    """Watches the ReLUs and, if asked to count, the pools of `net`, whose ReLUs are modules of their own.

    Attributes:
        zeros, ties: of the training passes since `start`: ReLU inputs that were exactly 0, and windows whose positive
            maximum occurs more than once; numbers or 0-dimensional tensors on the device.
        evaluations: ReLU inputs in all.
    """

    def __init__(self, net: nn.Module, count: bool) -> None:
        self.relus = [layer for layer in net.modules() if isinstance(layer, nn.ReLU | ReLU)]
        self.count = count
        self.alive: list[Tensor] = []
        self.start()
        for layer in net.modules():
            if isinstance(layer, nn.MaxPool2d | MaxPool2d):
                layer.__class__ = ChosenPool if isinstance(layer, MaxPool2d) else NativePool
                layer.census = self
        self._defer(net)
        if count:
            for relu in self.relus:
                relu.register_forward_pre_hook(self._zeros)

    def start(self) -> None:
        """Forget what was counted."""
        self.zeros: int | Tensor = 0
        self.ties: int | Tensor = 0
        self.evaluations = 0

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Within this context, note for every ReLU that is called whether it has a positive output."""
        self.alive = []
        hooks = [relu.register_forward_hook(self._note) for relu in self.relus]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def dead_layers(self) -> int:
        """Number of ReLUs without a positive output when they were last watched."""
        return len(self.alive) - int(sum(self.alive)) if self.alive else 0

    def _defer(self, net: nn.Module) -> None:
        """Let pools directly behind torch's ReLU in a sequence do its work, too."""
        for sequence in net.modules():
            for before, layer in pairwise(sequence if isinstance(sequence, nn.Sequential) else ()):
                if type(before) is nn.ReLU and isinstance(layer, _Pool):
                    before.__class__, layer.rectifies = DeferredReLU, True

    def _note(self, relu: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        self.alive.append((output.detach() > 0).any())

    def _zeros(self, relu: nn.Module, inputs: tuple[Tensor]) -> None:
        if not relu.training:
            return
        z = inputs[0].detach()
        self.evaluations += z.numel()
        self.zeros = self.zeros + ((z == 0).sum() if z.is_cuda else _zeros(z))


class _Pool:
    """A pool that tells its census about ties in training, and on a CPU takes the fast way where there is one."""

    census: Census
    rectifies = False  # whether the ReLU before it is left to it

    def forward(self, x: Tensor) -> Tensor:
        """The maximum of each window."""
        derivative = getattr(self, "derivative", NATIVE)
        cells = windows("pool", self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode)
        counted = self.training and self.census.count
        found = maxima(x, self.rectifies) if applies(x, cells) else None
        if found is not None:
            if counted:
                self._tell(found.count, found.top)
            return pool(x, found, derivative, self.rectifies)
        x = F.relu(x) if self.rectifies else x
        if not counted:
            return super().forward(x)
        top, count = max_pool2d_with_ties(x, derivative, *cells.arguments)
        exact = top.detach() if derivative.forward == "exact" else F.max_pool2d(x.detach(), *cells.arguments)
        self._tell(count, exact)
        return top

    def _tell(self, count: Tensor, top: Tensor) -> None:
        self.census.ties = self.census.ties + _tied(count, top.detach())


class DeferredReLU(nn.ReLU):
    """PyTorch's ReLU, which the pool behind it computes: there are fewer maxima than numbers."""

    def forward(self, z: Tensor) -> Tensor:
        """The input itself."""
        return z


class NativePool(_Pool, nn.MaxPool2d):
    """PyTorch's max-pool."""


class ChosenPool(_Pool, MaxPool2d):
    """A max-pool with a chosen Jacobian."""


def _zeros(z: Tensor) -> int:
    """How many entries of a CPU tensor are 0; NumPy counts four times faster than PyTorch."""
    if z.element_size() > 2:
        return int(np.count_nonzero(z.numpy() == 0))
    without_sign = z.view(torch.int16).numpy() & 0x7FFF  # NumPy has no bfloat16, and is slow on float16
    return z.numel() - int(np.count_nonzero(without_sign))


def _tied(count: Tensor, top: Tensor) -> Tensor | int:
    """How many windows have a positive maximum more than once; NumPy compares five times faster than PyTorch."""
    if top.is_cuda or top.element_size() == 2:
        return ((count > 1) & (top > 0)).sum()
    return int(np.count_nonzero((count.numpy() > 1) & (top.numpy() > 0)))
