"""Single ReLUs on a finite data set, or on mini-batches from a stream: many starts, one matrix product per step."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from torch import Tensor

from kinks.dying.cones import curvature, with_one
from kinks.dying.linear import NEVER, check_step
from kinks.dying.rules import SGD, Rule

Minibatch = Callable[[int], tuple[Tensor, Tensor]]
LOOK = 10  # steps between looks for starts that are dead for good


class Outcome(NamedTuple):
    """What became of the starts.

    Attributes:
        weights: `(starts, d + 1)`, (w, b) after the last step.
        death: int64 `(starts,)`, the first step after which no input was active, -1 for none; 0 if dead from the start.
        active: `(starts,)`, share of inputs active after the last step; dead is 0.
        steps: those that were recorded.
        paths: `(records, starts, 2)`: mean and smallest pre-activation then.
    """

    weights: Tensor
    death: Tensor
    active: Tensor
    steps: tuple[int, ...]
    paths: Tensor

    @property
    def dead(self) -> Tensor:
        """Inactive on every input after the last step, bool `(starts,)`."""
        return self.active == 0


def run(
    x: Tensor,
    y: Tensor,
    starts: Tensor,
    by: Rule,
    steps: int,
    record: Sequence[int] = (),
    settle: float | Tensor = 0.0,
) -> Outcome:
    """Descend on half the mean square over all data, every start by itself.

    Args:
        x: inputs `(n, d)`.
        y: targets, already scaled by gamma: `(n,)`, or `(starts, n)` for targets of their own.
        starts: (w, b), `(starts, d + 1)`; its dtype is computed with.
        by: the rule of descent; its rate may be `(starts, 1)`.
        steps: how many.
        record: after which of them to keep pre-activations.
        settle: a start is left where it is once all steps to come, at its present speed and gradient, would move it by
            less than this: a number, or `(starts,)`. SGD only; 0 for never.

    Raises:
        ValueError: a step at which the affine model diverges on these data; the message names the limit.
    """
    if isinstance(by, SGD):
        check_step(by, curvature(x.double()))
    rows, y, whole = with_one(x).to(starts), y.to(starts), starts.clone()
    death, paths = torch.full((len(starts),), NEVER), []
    still = torch.as_tensor(settle, dtype=starts.dtype).expand(len(starts))
    place, weights, state = torch.arange(len(starts)), [starts.clone()], by.state([starts])
    for count in range(steps + 1):
        z = weights[0] @ rows.T
        died = (death[place] == NEVER) & (z.amax(1) <= 0)
        death[place[died]] = count
        if count in record:
            whole[place] = weights[0]
            at = whole @ rows.T
            paths.append(torch.stack([at.mean(1), at.amin(1)], 1))
        if count == steps:
            break
        slope = _gradient(z, rows, y)
        by.step(weights, [slope], state, count + 1)
        if count % LOOK == 0 and isinstance(by, SGD) and not record:
            left = steps - count - 1
            gone, ends = _coasting(weights[0], state, by, rows, left)
            whole[place[gone]] = ends[gone]
            _mark(death, place[gone], count + 1)
            resting = ~gone & (_reach(slope, state, by, left) < still)
            whole[place[resting]] = weights[0][resting]
            gone |= resting
            if gone.all():
                place = place[:0]
                break
            if gone.any():
                (place, still, *moving), by, y = _without(gone, [place, still, weights[0], *state], by, y)
                weights, state = moving[:1], moving[1:]
    if len(place):
        whole[place] = weights[0]
    active = (whole @ rows.T > 0).to(starts.dtype).mean(1)
    recorded = tuple(sorted({*record} & {*range(steps + 1)}))
    return Outcome(whole, death, active, recorded, torch.stack(paths) if paths else starts.new_empty(0))


def _mark(death: Tensor, places: Tensor, step: int) -> None:
    death[places] = torch.where(death[places] == NEVER, step, death[places])


def _without(gone: Tensor, rows: list[Tensor], by: SGD, y: Tensor) -> tuple[list[Tensor], SGD, Tensor]:
    """What belongs to the starts that are not gone."""
    if isinstance(by.rate, Tensor) and by.rate.ndim:
        by = replace(by, rate=by.rate[~gone])
    return [one[~gone] for one in rows], by, y[~gone] if y.ndim == 2 else y


def _gradient(z: Tensor, rows: Tensor, y: Tensor) -> Tensor:
    """Gradients `(starts, d + 1)` from pre-activations `(starts, n)`; ReLU'(0) = 0."""
    return ((z - y).mul_(z > 0) @ rows).div_(len(rows))


def _reach(slope: Tensor, state: list[Tensor], by: SGD, left: int) -> Tensor:
    """How far each start goes in `left` steps if its gradient stays as it is, at most, `(starts,)`."""
    far = by.speed * slope.abs() * left
    if state:
        far = far + by.rate * by.momentum / (1 - by.momentum) * state[0].abs()
    return far.amax(1)


def _coasting(weights: Tensor, state: list[Tensor], by: SGD, rows: Tensor, left: int) -> tuple[Tensor, Tensor]:
    """Which starts are dead for good, and where all would be after `left` steps without a gradient.

    Without a gradient they go straight on, and the dead cone is convex: if both ends are in it, so is the way.
    """
    ends = weights
    if state:
        mu = by.momentum
        reach = by.rate * mu * (1 - mu**left) / (1 - mu) * (mu if by.nesterov else 1)
        ends = weights - reach * state[0]
    gone = (weights @ rows.T).amax(1) <= 0
    if state and gone.any():
        gone &= (ends @ rows.T).amax(1) <= 0
    return gone, ends


def stream(
    d: int, gamma: float | Tensor, batch: int, groups: int, seed: int, dtype: torch.dtype = torch.float64
) -> Minibatch:
    """Return a stream of Gaussian mini-batches with targets gamma x_1: inputs `(groups, batch, d + 1)` and targets.

    Each group of starts has a stream of its own, so that starts of different groups are independent.

    Args:
        d: dimension of the inputs.
        gamma: target scale, or one per group, `(groups, 1)`.
        batch: inputs per mini-batch.
        groups: how many streams.
        seed: of all of them.
        dtype: of inputs and targets.
    """
    generator = torch.Generator().manual_seed(seed)

    def minibatch(_: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(groups, batch, d, generator=generator, dtype=dtype)
        return torch.cat([x, x.new_ones(groups, batch, 1)], 2), gamma * x[..., 0]

    return minibatch


def run_on_stream(minibatch: Minibatch, starts: Tensor, by: Rule, steps: Sequence[int]) -> Tensor:
    """Descend on fresh mini-batches and return (w, b) after each of `steps`, `(records, groups, starts, d + 1)`.

    Args:
        minibatch: of `stream`; it is called once per step.
        starts: (w, b), `(groups, starts, d + 1)`.
        by: the rule of descent.
        steps: after which to record, increasing.
    """
    weights, state, found = [starts.clone()], by.state([starts]), []
    if 0 in steps:
        found.append(starts.clone())
    for count in range(1, max(steps) + 1):
        rows, y = minibatch(count)
        z = weights[0] @ rows.mT
        errors = (z - y[:, None]).mul_(z > 0)
        by.step(weights, [(errors @ rows).div_(rows.shape[1])], state, count)
        if count in steps:
            found.append(weights[0].clone())
    return torch.stack(found)
