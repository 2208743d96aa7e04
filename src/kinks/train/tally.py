"""Counts exact zeros before ReLUs and tied windows of pools for networks that train packed together."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.ops import MaxPool2d, ReLU, tied_windows
from kinks.train.census import Census


class Tally:
    """The census of `n` packed networks: `n` numbers where that of a network alone has one, and none leaves the device.

    Attributes:
        zeros, ties: int64 `(n,)`, of the training passes since `start`.
        watching: whether the mini-batch of the next pass is the one whose ReLUs are asked for a positive output.
    """

    def __init__(self, net: nn.Module, n: int, count: bool) -> None:
        device = next(net.parameters()).device
        self.n, self.watching = n, False
        self.zeros, self.ties = (torch.zeros(n, dtype=torch.int64, device=device) for _ in range(2))
        for layer in net.modules():
            if isinstance(layer, nn.ReLU | ReLU):
                layer.register_forward_hook(self._alive)
                if count:
                    layer.register_forward_pre_hook(self._zeros)
            elif count and isinstance(layer, nn.MaxPool2d | MaxPool2d):
                layer.register_forward_pre_hook(self._ties)
        self.start()

    def start(self) -> None:
        """Forget what was counted."""
        self.zeros.zero_()
        self.ties.zero_()
        self.per_image, self.alive = 0, []

    def tell(self, census: Census, place: int, images: int) -> None:
        """Put what was counted for one network, in a pass over so many images, where it looks."""
        census.zeros, census.ties = self.zeros[place], self.ties[place]
        census.evaluations, census.alive = images * self.per_image, [found[place] for found in self.alive]

    # Counters are changed in place and by the device alone, so that a CUDA graph that replays a pass counts, too.
    def _zeros(self, relu: nn.Module, inputs: tuple[Tensor]) -> None:
        if relu.training:
            self.zeros += (self._apart(inputs[0]) == 0).sum(1)

    def _alive(self, relu: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        if self.watching:
            batch = output.shape[1] if output.ndim == 3 else output.shape[0]
            self.per_image += output.numel() // self.n // batch
            self.alive.append((self._apart(output) > 0).any(1))

    def _ties(self, pool: nn.Module, inputs: tuple[Tensor]) -> None:
        if pool.training:
            windows = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
            x = inputs[0].detach()
            self.ties += self._apart((tied_windows(x, *windows) > 1) & (F.max_pool2d(x, *windows) > 0)).sum(1)

    def _apart(self, x: Tensor) -> Tensor:
        """`(n, ...)` of features `(n, B, F)` or of images side by side, `(B, n * C, H, W)`."""
        return (x if x.ndim == 3 else x.unflatten(1, (self.n, -1)).transpose(0, 1)).detach().flatten(1)
