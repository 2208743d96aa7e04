"""Many networks of one architecture as one: no operation meets two of them, so one that diverges disturbs no other.

Layout `stacked` keeps the network first, weights `(nets, in, out)`, activations `(nets, B, features)`, and multiplies
by batched products. Layout `innermost` is the transpose of everything, weights `(out, in, nets)`, activations
`(features, B, nets)`: products are written out over the few inputs of a tiny layer, so that processor lanes hold
networks, and torch.compile can fuse a whole step. Sums are taken in other orders than by a network alone, so numbers
agree to rounding (at width 2 mostly in every bit), and which ReLUs are dead agrees.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from kinks.dying.architecture import Architecture, Network
from kinks.dying.rules import Rule

Layout = Literal["stacked", "innermost"]
Statistics = list[tuple[Tensor, Tensor]]
NORM_MOMENTUM, NORM_EPS = 0.1, 1e-5  # of torch's batch norm
VALUES = 2**21  # activations of one layer that an evaluation holds at a time


def turned(tensor: Tensor, layout: Layout) -> Tensor:
    """Bring `(nets, ..., features)` into the layout, or back: the order of axes is reversed, or kept."""
    return tensor if layout == "stacked" else tensor.permute(2, 1, 0).contiguous()


def forward(
    shape: Architecture,
    layout: Layout,
    weights: Sequence[Tensor],
    x: Tensor,
    running: Statistics | None = None,
    look: Callable[[int, Tensor], None] | None = None,
) -> tuple[Tensor, Statistics]:
    """Return outputs, `(nets, B, 1)` as laid out, and the mean and variance that every batch norm met.

    Args:
        shape: of the networks.
        layout: of the tensors.
        weights: as `Architecture.first_weights` orders them, as laid out.
        x: `(nets or 1, B, inputs)` as laid out; 1 if all networks see the same.
        running: statistics for batch norm to use instead of the batch's: evaluation.
        look: called with layer and input of every ReLU, `(nets, B, width)` as laid out.
    """
    linear = _stacked if layout == "stacked" else _innermost
    pairs, met, h = iter(zip(weights[::2], weights[1::2], strict=True)), [], x
    norms = weights[2 * len(shape.shapes) :]
    for place in range(shape.depth):
        z = linear(h, *next(pairs))
        if shape.batch_norm:
            z, found = _normalised(z, norms[2 * place], norms[2 * place + 1], running[place] if running else None)
            met.append(found)
        if look is not None:
            look(place, z)
        a = F.leaky_relu(z, shape.slope) if shape.slope else torch.relu(z)
        if place and shape.kind != "plain":
            a = h + (linear(a, *next(pairs)) if shape.kind == "residual_two" else a)
        h = a
    return linear(h, *next(pairs)), met


def _stacked(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return torch.baddbmm(bias, x.expand(len(weight), -1, -1), weight)


def _innermost(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    y = bias
    for place in range(weight.shape[1]):
        y = y + weight[:, place, None] * x[place]
    return y


def _normalised(z: Tensor, gain: Tensor, offset: Tensor, given: tuple[Tensor, Tensor] | None):
    mean, variance = given or (z.mean(1, keepdim=True), z.var(1, correction=0, keepdim=True))
    return (z - mean) * torch.rsqrt(variance + NORM_EPS) * gain + offset, (mean, variance)


class Ensemble:
    """Networks in training, with their statistics.

    Attributes:
        shape: their architecture.
        layout: of `weights` and `running`.
        weights: as `Architecture.first_weights` orders them.
        running: mean and variance of every batch norm, for evaluation.
        nets: how many.
    """

    def __init__(
        self,
        shape: Architecture,
        seeds: Sequence[int],
        layout: Layout = "stacked",
        dtype: torch.dtype = torch.float32,
        device: str = "cpu",
    ) -> None:
        if layout not in get_args(Layout):
            raise ValueError(f"layout is {layout!r}; allowed: {', '.join(get_args(Layout))}")
        if not seeds:
            raise ValueError("seeds are empty; allowed: one or more, one per network")
        drawn = [one.to(device) for one in shape.first_weights(seeds, dtype)]
        self.shape, self.layout, self.nets = shape, layout, len(seeds)
        self.weights = [turned(one, layout) for one in drawn]
        gains = self.weights[2 * len(shape.shapes) :: 2]
        self.running = [(torch.zeros_like(one), torch.ones_like(one)) for one in gains]

    def per_net(self, values: Tensor) -> Tensor:
        """Return one number per network, `(nets,)`, so that it broadcasts against weights and activations."""
        return turned(values.to(self.weights[0])[:, None, None], self.layout)

    def lay(self, values: Tensor) -> Tensor:
        """Bring inputs or targets, `(nets or 1, B, features)`, into the ensemble's format and layout."""
        return turned(values.to(self.weights[0]), self.layout)

    @torch.no_grad()
    def outputs(self, x: Tensor, look: Callable[[int, Tensor], None] | None = None) -> Tensor:
        """Return `(nets, n)` for inputs `(n, d)`, in evaluation mode; `look` as `forward` takes it, slice by slice."""
        size = max(1, VALUES // (self.nets * max(self.shape.width, self.shape.inputs)))
        found = []
        for part in x.split(size):
            laid = forward(self.shape, self.layout, self.weights, self.lay(part[None]), self.running, look)[0]
            found.append(turned(laid, self.layout)[..., 0])
        return torch.cat(found, 1)

    def activity(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return on how many of the inputs `(n, d)` each ReLU is active, `(depth, nets, width)`, and the outputs.

        Active means a positive input of the ReLU, in evaluation mode: 0 counts as inactive.
        """
        counts = torch.zeros(self.shape.depth, self.nets, self.shape.width, dtype=torch.int64, device=x.device)

        def look(place: int, z: Tensor) -> None:
            active = (z > 0).sum(1)
            counts[place] += active if self.layout == "stacked" else active.T

        outputs = self.outputs(x, look)
        return counts, outputs

    def module(self, net: int) -> Network:
        """Return a torch module with copies of the weights that one network has now."""
        return self.shape.module([turned(one, self.layout) for one in self.weights], net)

    def note(self, met: Statistics, rows: int) -> None:
        """Take the statistics of a mini-batch of `rows` into the running ones, as torch's batch norm does."""
        for (mean, variance), (new_mean, new_variance) in zip(self.running, met, strict=True):
            mean.lerp_(new_mean, NORM_MOMENTUM)
            variance.lerp_(new_variance * (rows / (rows - 1)), NORM_MOMENTUM)


def descend(
    shape: Architecture,
    layout: Layout,
    weights: list[Tensor],
    state: list[Tensor],
    x: Tensor,
    y: Tensor,
    by: Rule,
    count: int | Tensor,
    clip: float | None = None,
) -> Statistics:
    """Take one step with every network, in place; torch.compile makes one loop of it in layout `innermost`.

    Args:
        shape: of the networks.
        layout: of all tensors.
        weights: moved in place.
        state: of the rule, moved in place.
        x: inputs, as `forward` takes them.
        y: targets `(nets or 1, B, 1)`, as laid out.
        by: the rule of descent.
        count: number of the step, from 1.
        clip: largest norm of one network's gradient; larger ones are scaled down to it.

    Returns:
        What the batch norms met.
    """
    if torch.compiler.is_compiling():  # torch.func loads torch._dynamo: seconds that nobody else should pay
        gradients, met = torch.func.grad(_loss, has_aux=True)(weights, shape, layout, x, y)
    else:
        leaves = [one.detach().requires_grad_() for one in weights]
        loss, met = _loss(leaves, shape, layout, x, y)
        gradients = torch.autograd.grad(loss, leaves)
        met = [(mean.detach(), variance.detach()) for mean, variance in met]
    if clip is not None:
        gradients = clipped(gradients, clip, layout)
    by.step(weights, gradients, state, count)
    return met


def _loss(
    weights: list[Tensor], shape: Architecture, layout: Layout, x: Tensor, y: Tensor
) -> tuple[Tensor, Statistics]:
    outputs, met = forward(shape, layout, weights, x)
    return 0.5 * (outputs - y).square().mean(1).sum(), met


def clipped(gradients: Sequence[Tensor], limit: float, layout: Layout) -> list[Tensor]:
    """Return the gradients, those of a network with a norm above `limit` scaled down to it, as torch's utility does."""
    axes = (1, 2) if layout == "stacked" else (0, 1)
    squares = sum(one.square().sum(axes, keepdim=True) for one in gradients)
    factor = (limit / (squares.sqrt() + 1e-6)).clamp(max=1)
    return [one * factor for one in gradients]
