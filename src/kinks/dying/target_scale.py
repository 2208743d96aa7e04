"""Targets normalised while training (after PopArt): running moments per network, outputs preserved as they move."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kinks.dying.ensemble import Ensemble, turned


class RunningScale:
    """Mean and standard deviation of the targets met so far by every network.

    The network learns targets of mean 0 and variance 1 by these statistics; its predictions are its outputs in the
    units of the targets. When the statistics move, the last layer is rescaled so that predictions do not. The first
    mini-batch sets them, and rescales nothing: predictions before it have no unit yet. So training does not depend on
    the scale of the targets, and, for powers of two, not by a single bit.

    Args:
        ensemble: whose last layer is rescaled.
        memory: share of the old moments that a mini-batch leaves, once there were 1 / (1 - memory) of them; a plain
            mean before.
    """

    def __init__(self, ensemble: Ensemble, memory: float = 0.999) -> None:
        if not 0 <= memory < 1:
            raise ValueError(f"memory is {memory!r}; allowed: 0 <= memory < 1")
        self.ensemble, self.memory, self.seen = ensemble, memory, 0
        self.mean = self.square = self.scale = torch.zeros(())

    @torch.no_grad()
    def normalise(self, y: Tensor) -> Tensor:
        """Take a mini-batch's targets, `(nets or 1, B, 1)` as laid out, into the statistics; return them normalised."""
        self.seen += 1
        share = max(1 / self.seen, 1 - self.memory)
        mean, square = y.mean(1, keepdim=True), y.square().mean(1, keepdim=True)
        old_mean, old_scale = self.mean, self.scale
        self.mean = mean if self.seen == 1 else self.mean + share * (mean - self.mean)
        self.square = square if self.seen == 1 else self.square + share * (square - self.square)
        variance = self.square - self.mean.square()
        # No smaller than rounding leaves it where all targets so far were alike.
        self.scale = variance.clamp(min=0).sqrt().maximum(1e-6 * self.square.sqrt())
        self.scale = torch.where(self.scale > 0, self.scale, torch.ones_like(self.scale))
        if self.seen > 1:
            self._preserve(old_mean, old_scale)
        return (y - self.mean) / self.scale

    def _preserve(self, old_mean: Tensor, old_scale: Tensor) -> None:
        place = 2 * len(self.ensemble.shape.shapes)
        weight, bias = self.ensemble.weights[place - 2 : place]
        weight.mul_(old_scale / self.scale)
        bias.mul_(old_scale).add_(old_mean - self.mean).div_(self.scale)

    def predictions(self, outputs: Tensor) -> Tensor:
        """Return outputs `(nets, n)` in the units of the targets; before the first mini-batch, as they are."""
        if not self.seen:
            return outputs
        scale, mean = (turned(one, self.ensemble.layout)[:, :, 0] for one in (self.scale, self.mean))
        return outputs * scale + mean


def predictions(outputs: Tensor, scale: RunningScale | None) -> Tensor:
    """Return outputs `(nets, n)` in the units of the targets, whether or not they are normalised while training."""
    return outputs if scale is None else scale.predictions(outputs)


def per_unit_variance(predicted: Tensor, y: Tensor, gamma: Tensor) -> Tensor:
    """Return each network's mean square error over gamma^2, `(nets,)`: 1 for the constant prediction at unit variance.

    Args:
        predicted: `(nets, n)`.
        y: targets of variance 1, `(n,)`.
        gamma: `(nets,)`.
    """
    scaled = predicted.double() / gamma.double()[:, None]
    return (scaled - y.double()).square().mean(1)


def as_tensor(values: float | Sequence[float], nets: int) -> Tensor:
    """Return one number per network, float64 `(nets,)`, from one for all or as many as there are networks.

    Raises:
        ValueError: another number of them.
    """
    found = torch.as_tensor(values, dtype=torch.float64)
    if found.ndim == 0:
        return found.repeat(nets)
    if found.shape != (nets,):
        raise ValueError(f"{len(found)} values for {nets} networks; allowed: one, or one per network")
    return found
