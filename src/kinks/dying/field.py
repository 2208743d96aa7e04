"""The gradient field of one ReLU on the plane of w1 and b, and paths of starts through it (D4)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks.dying import canonical, population
from kinks.dying.initial import grid, ring
from kinks.dying.linear import check_gamma
from kinks.dying.rules import rule


def arrows(*, gamma: float, w2: float, half_width: float, points: int) -> pd.DataFrame:
    """Return the descent direction on a grid: columns w1, b, minus the gradient's two components, active share.

    Args:
        gamma: target scale.
        w2: of the plane.
        half_width: of the grid in w1 and b.
        points: per side.

    Raises:
        ValueError: gamma <= 0, or a grid that does not exist.
    """
    check_gamma(gamma)
    w1, rest, b = grid(points, half_width, w2)
    by_w1, _, by_b = canonical.affine(gamma)(w1, rest, b)
    share = canonical.active(w1, rest, b)
    columns = {"w1": w1, "b": b, "down_w1": -by_w1, "down_b": -by_b, "active": share}
    return pd.DataFrame({name: value.numpy() for name, value in columns.items()}).assign(gamma=gamma, w2=w2)


def trajectories(
    *,
    gamma: float,
    radius: float,
    w2: float,
    count: int,
    optimiser: str,
    rate: float,
    momentum: float,
    epsilon: float,
    steps: Sequence[int],
) -> pd.DataFrame:
    """Follow a ring of starts.

    Args:
        gamma: target scale.
        radius: of the ring, around the origin of the plane of w1 and b.
        w2: of all starts.
        count: of starts.
        optimiser: with `rate`, `momentum` and `epsilon` as `rules.rule` takes them.
        rate: see there.
        momentum: see there.
        epsilon: see there.
        steps: after which to record, increasing.

    Returns:
        One row per start and step: w1, w2, b, active share, and the start's `loss` after the last step, over
        gamma^2 / 2: 1 if dead, 0.5 at the optimum.

    Raises:
        ValueError: gamma <= 0, or an unstable step.
    """
    by = rule(optimiser, rate, momentum, epsilon)
    check_gamma(gamma, by)
    paths = population.run(ring(count, radius, w2), canonical.affine(gamma), by, steps)
    loss = canonical.loss(*paths.last, gamma) / (gamma**2 / 2)
    columns = {"w1": paths.w1, "w2": paths.w2, "b": paths.b, "active": canonical.active(*paths[1:])}
    table = pd.DataFrame({name: value.flatten().numpy() for name, value in columns.items()})
    start = np.tile(np.arange(count), len(paths.steps))
    named = {"gamma": gamma, "momentum": momentum, "start": start, "step": np.repeat(paths.steps, count)}
    return table.assign(**named, loss=np.tile(loss.numpy(), len(paths.steps)))


def schedule(last: int, dense: int = 40, sparse: int = 60) -> list[int]:
    """Return steps to record for a smooth path: the first `dense`, then about `sparse` on a logarithmic scale."""
    late = np.geomspace(max(dense, 1), last, sparse) if last > dense else []
    return sorted({*range(min(dense, last) + 1), *(int(step) for step in late), last})
