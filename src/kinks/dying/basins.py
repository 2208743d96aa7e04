"""Which starts converge and which die (D5): one grid of starts for many target scales at once, as jobs for shards."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from kinks.dying import canonical, settling
from kinks.dying.initial import grid
from kinks.dying.outcomes import CLASSES, TEACHERS, classes
from kinks.dying.rules import rule


def job(
    *,
    points: int,
    half_width: float,
    w2: Sequence[float],
    gammas: Sequence[float],
    teacher: str,
    optimiser: str,
    rate: float,
    momentum: float,
    epsilon: float,
    steps: int,
    first: int,
    starts: int,
    dtype: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Run the grid of w1 and b from every w2 at every gamma; a job takes `starts` of all these, from `first` on.

    Args:
        points: per side of the grid; `half_width` as `initial.grid` takes it.
        half_width: of the grid.
        w2: of starts.
        gammas: target scales.
        teacher: `affine` or `relu` (CPU only), with c = 0.
        optimiser: with `rate`, `momentum` and `epsilon` as `rules.rule` takes them.
        rate: see there.
        momentum: see there.
        epsilon: see there.
        steps: how many.
        first: number of the first start.
        starts: how many; fewer where there are no more.
        dtype: `float32` or `float64`.
        device: to compute on.

    Returns:
        One row per start: teacher, points, optimiser, momentum, gamma, w2, start (its place in the grid), class (its
        place in `outcomes.CLASSES`, uint8) and `below_1e-3`, `below_1e-6`: whether it ends active on a smaller share
        of the inputs.

    Raises:
        ValueError: gamma <= 0, an unstable step, or an unknown name.
    """
    by, cells = rule(optimiser, rate, momentum, epsilon), points**2
    if teacher not in TEACHERS:
        raise ValueError(f"teacher is {teacher!r}; allowed: {', '.join(TEACHERS)}")
    number = torch.arange(first, min(first + starts, cells * len(w2) * len(gammas)))
    place, plane = number % cells, number // cells
    w1, _, b = (one[place] for one in grid(points, half_width))
    begun = (w1, torch.tensor(list(w2), dtype=torch.float64)[plane % len(w2)], b)
    gamma = torch.tensor(list(gammas), dtype=torch.float64)[plane // len(w2)]
    given = [one.to(device, getattr(torch, dtype)) for one in (*begun, gamma)]
    end = settling.run(tuple(given[:3]), given[3], TEACHERS[teacher], by, [steps]).last
    end = tuple(one.double().cpu() for one in end)
    share = canonical.active(*end).numpy()
    named = {"gamma": gamma.numpy(), "w2": begun[1].numpy(), "start": place.numpy().astype(np.int32)}
    below = {"below_1e-3": share < 1e-3, "below_1e-6": share < 1e-6}
    about = {"teacher": teacher, "points": points, "optimiser": optimiser, "momentum": float(momentum)}
    return pd.DataFrame(named | {"class": classes(end, gamma).numpy()} | below).assign(**about)


def settings(rules: Sequence[dict], size: int, **common: object) -> list[dict]:
    """Return the jobs for every rule of descent, of at most `size` starts each.

    Args:
        rules: values of optimiser, rate, momentum, epsilon and steps.
        size: starts per job.
        common: the other arguments of `job`.
    """
    whole = common["points"] ** 2 * len(common["w2"]) * len(common["gammas"])
    return [
        dict(common) | dict(one) | {"first": first, "starts": size} for one in rules for first in range(0, whole, size)
    ]


def image(codes: pd.Series, points: int) -> np.ndarray:
    """Return the classes of one plane of starts as a picture, `(points, points)`: rows of b, columns of w1."""
    picture = np.full(points**2, len(CLASSES), dtype=np.uint8)
    picture[codes.index] = codes.to_numpy()
    return picture.reshape(points, points)
