"""Training in which an exact zero is met as often as in the published networks, whatever the size of the network.

In 32 bits an exact zero is one ReLU input in a billion, so a small network hardly meets one, while the published ones
meet one every few mini-batches. Here, every so many mini-batches, the ReLU input nearest to 0 is rounded to 0, so that
ReLU'(0) counts there; `moved` says how little that moves it. With ReLU'(0) = 0 a network is trained in the same way.
"""

from collections.abc import Iterator
from math import nan

import pandas as pd
import torch
from torch import Tensor, nn

from kinks.nets.registry import architecture
from kinks.precision import fixed
from kinks.train import loop
from kinks.train.setup import Part, Settings


def job(*, zero_every: int, **given: object) -> pd.DataFrame:
    """Train one network as `kinks.train.loop.job` does, with the ReLU input nearest to 0 rounded to 0 now and then.

    Args:
        zero_every: once in so many mini-batches, in a layer drawn by its number of units; 0: never.
        **given: settings of `kinks.train.loop.job`.

    Returns:
        The rows of that job with `zero_every` and `moved`, the largest number that was rounded to 0 so far; where any
        was, `precision_label` ends in "rounded".

    Raises:
        ValueError: a negative `zero_every`.
    """
    if isinstance(zero_every, bool) or not isinstance(zero_every, int) or zero_every < 0:
        raise ValueError(f"zero_every is {zero_every!r}; allowed: a whole number of mini-batches, 0 for never")
    if not zero_every:
        return loop.job(**given).assign(zero_every=0, moved=nan)
    run = Settings(**given)
    with fixed(run.layers):
        torch.backends.cudnn.deterministic = run.deterministic
        training = Rounded(run, zero_every)
        rows = [training.epoch(epoch) | {"moved": float(training.moved)} for epoch in range(run.epochs)]
    table = loop.ended(rows)
    return table.assign(zero_every=zero_every, precision_label=table["precision_label"] + " rounded")


class Rounded(loop.Training):
    """A training run that rounds one ReLU input to 0 in every so many mini-batches."""

    def __init__(self, run: Settings, zero_every: int) -> None:
        super().__init__(run)
        self.every, self.now = zero_every, -1
        self.moved: float | Tensor = 0.0
        self.relus = self.census.relus
        self.sizes = self._sizes()
        for place, relu in enumerate(self.relus):
            # First, so that whoever counts zeros sees this one.
            relu.register_forward_pre_hook(lambda layer, inputs, at=place: self._hook(layer, inputs, at), prepend=True)

    def minibatches(self, epoch: int) -> Iterator[Part]:
        """As they are; `now` is the layer that rounds during this one, -1 for none."""
        for index, part in enumerate(super().minibatches(epoch)):
            step = epoch * self.per_pass + index
            self.now = self._drawn(step) if step % self.every == 0 else -1
            yield part
        self.now = -1

    def _drawn(self, step: int) -> int:
        """The layer of that step: an exact zero is as likely at each unit."""
        generator = torch.Generator().manual_seed(self.run.seed * 1_000_003 + step)
        return int(torch.multinomial(self.sizes, 1, generator=generator))

    def _hook(self, relu: nn.Module, inputs: tuple[Tensor], place: int) -> tuple[Tensor] | None:
        if not relu.training or place != self.now:
            return None
        z, found = rounded(inputs[0])
        self.moved = torch.maximum(torch.as_tensor(self.moved, device=found.device, dtype=found.dtype), found)
        return (z,)

    @torch.no_grad()
    def _sizes(self) -> Tensor:
        """Units of each ReLU layer."""
        found: dict[nn.Module, int] = {}
        hooks = [
            relu.register_forward_pre_hook(lambda layer, inputs: found.update({layer: inputs[0].numel()}))
            for relu in self.relus
        ]
        self.net.eval()
        image = torch.zeros(1, *architecture(self.run.network).image, dtype=self.run.storage, device=self.run.device)
        self.net(image)
        for hook in hooks:
            hook.remove()
        return torch.tensor([float(found[relu]) for relu in self.relus])


def rounded(z: Tensor) -> tuple[Tensor, Tensor]:
    """Return `z` with the entry nearest to 0 replaced by 0, and that entry's size; gradients pass as if it were `z`."""
    flat = z.detach().flatten()
    at = flat.abs().argmin()[None]
    taken = flat[at]
    correction = torch.zeros_like(flat).index_copy(0, at, -taken)
    return z + correction.view_as(z), taken.abs().squeeze()
