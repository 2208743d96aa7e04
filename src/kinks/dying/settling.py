"""Populations of single ReLUs whose settled members are put aside, so that long runs pay for the undecided only.

The arithmetic of a start is that of `kinks.dying.population.run`, with a target scale for every start. Under SGD two
fates are final long before the last step: at the optimum, and so far inside the dead region that no gradient is left.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from kinks.dying.canonical import Gradient, State
from kinks.dying.linear import check_gamma, check_step
from kinks.dying.population import Paths
from kinks.dying.rules import SGD, Rule

LOOK = 250  # steps between looks for starts that have settled
AT_OPTIMUM = 1e-3  # of gamma: a fiftieth of what counts as converged
FAR_DEAD = 12.0  # standard deviations: the density there is 2e-32


def run(
    starts: State,
    gamma: Tensor,
    teacher: Callable[[Tensor], Gradient],
    by: Rule,
    steps: Sequence[int],
    look: int = LOOK,
) -> Paths:
    """Move every start and return where it is after each of `steps`; a settled one is where it comes to rest.

    Args:
        starts: canonical (w1, w2, b), `(starts,)` each, in the format and on the device to compute with.
        gamma: target scale of every start, `(starts,)`.
        teacher: `canonical.affine` or `relu_teacher.canonical`, both with c = 0, so that the optimum is (gamma, 0, 0).
        by: the rule of descent; under Adam, which may leave an optimum again, nothing is put aside.
        steps: after which to record, increasing.
        look: steps between looks; without influence on any class.

    Raises:
        ValueError: steps that do not increase, a gamma that is not positive, or an unstable step.
    """
    recorded = tuple(steps)
    if not recorded or list(recorded) != sorted({*recorded}) or recorded[0] < 0:
        raise ValueError(f"steps are {recorded}; allowed: one or more, increasing, >= 0")
    check_gamma(float(gamma.min()), by)
    if isinstance(by, SGD):
        check_step(by)
    whole, place = torch.stack(starts), torch.arange(len(gamma), device=gamma.device)
    weights, scale, gradient, found = [one.clone() for one in starts], gamma, teacher(gamma), []
    state = by.state(weights)
    for count in range(1, recorded[-1] + 1):
        if count - 1 in recorded:
            found.append(_with(whole, place, weights))
        if len(place):
            by.step(weights, gradient(*weights), state, count)
        if count % look == 0 and isinstance(by, SGD):
            gone, ends = _settled(weights, state, by, scale)
            if gone.any():
                whole[:, place[gone]] = ends[:, gone]
                left = ~gone
                place, scale = place[left], scale[left]
                weights, state = ([one[left] for one in some] for some in (weights, state))
                gradient = teacher(scale)
    found.append(_with(whole, place, weights))
    return Paths(recorded, *torch.stack(found, 1))


def _with(whole: Tensor, place: Tensor, weights: list[Tensor]) -> Tensor:
    """All states, `(3, starts)`: those put aside and those still moving."""
    whole = whole.clone()
    whole[:, place] = torch.stack(weights)
    return whole


def _settled(weights: list[Tensor], state: list[Tensor], by: SGD, gamma: Tensor) -> tuple[Tensor, Tensor]:
    """Which starts have settled, `(starts,)`, and where they come to rest, `(3, starts)`."""
    now = torch.stack(weights)
    ends = now
    if state:
        reach = by.rate * by.momentum / (1 - by.momentum) * (by.momentum if by.nesterov else 1)
        ends = now - reach * torch.stack(state)
    # Far dead is a convex cone: if a start is in it, and where it coasts to is, so is the way between.
    dead = _far_dead(now) & _far_dead(ends)
    distance = torch.maximum((now[0] - gamma).abs(), now[1:].abs().amax(0))
    still = (ends - now).abs().amax(0)
    at_optimum = torch.maximum(distance, still) < AT_OPTIMUM * gamma
    return dead | at_optimum, torch.where(dead, ends, now)


def _far_dead(state: Tensor) -> Tensor:
    return state[2] < -FAR_DEAD * torch.hypot(state[0], state[1])
