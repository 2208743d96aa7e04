"""What became of a population of single ReLUs: classes of starts, their counts and maps, as jobs for shards."""

from collections.abc import Sequence

import pandas as pd
import torch
from torch import Tensor

from kinks.dying import canonical, relu_teacher
from kinks.dying.canonical import Gradient, State
from kinks.dying.initial import grid, single
from kinks.dying.linear import check_gamma
from kinks.dying.population import run
from kinks.dying.rules import Rule, rule

NEARLY_DEAD, DEAD, CONVERGED = 1e-3, 1e-6, 0.05
CLASSES = ("converged", "nearly dead", "dead", "other")
TEACHERS = {"affine": canonical.affine, "relu": relu_teacher.canonical}


def classes(state: State, gamma: float) -> Tensor:
    """Return for each state the place of its name in `CLASSES`, uint8 `(...)`.

    Converged: w1 within 5 % of gamma from gamma, w2 and b from 0. Dead: active on less than 1e-6 of the inputs; nearly
    dead: on less than 1e-3.
    """
    w1, w2, b = state
    share, near = canonical.active(w1, w2, b), CONVERGED * gamma
    converged = ((w1 - gamma).abs() < near) & (w2.abs() < near) & (b.abs() < near)
    found = torch.full(w1.shape, 3, dtype=torch.uint8, device=w1.device)
    found[converged] = 0
    found[share < NEARLY_DEAD] = 1
    found[share < DEAD] = 2
    return found


def job(
    *,
    initialisation: str,
    d: int,
    starts: int,
    seed: int,
    gamma: float,
    teacher: str,
    optimiser: str,
    rate: float,
    momentum: float,
    epsilon: float,
    steps: Sequence[int],
    dtype: str = "float64",
) -> pd.DataFrame:
    """Run a population of random starts and count (D5, D6): one row per recorded step.

    Args:
        initialisation: `library` or `he`, in `d` dimensions.
        d: dimension of the inputs.
        starts: how many.
        seed: of the starts.
        gamma: target scale.
        teacher: `affine` or `relu`, with c = 0.
        optimiser: `sgd`, `averaged`, `nesterov` or `adam`.
        rate: learning rate, in the optimiser's own convention.
        momentum: mu or beta; Adam has its own.
        epsilon: of Adam.
        steps: after which to count, increasing.
        dtype: `float64` or `float32`.

    Returns:
        Columns step, n, a count per class, and `below_1e-3`, `below_1e-6`: starts active on less than that.

    Raises:
        ValueError: gamma <= 0, an unstable step, or an unknown name.
    """
    by, gradient = _descent(optimiser, rate, momentum, epsilon, gamma, teacher)
    w, b = single(initialisation, d, starts, seed)
    begun = canonical.coordinates(w, b, torch.eye(d, dtype=w.dtype)[0] * gamma)
    paths = run(_as(begun, dtype), gradient, by, steps)
    return pd.DataFrame([_counts(step, state, gamma) for step, *state in zip(*paths, strict=True)])


def map_job(
    *,
    points: int,
    half_width: float,
    w2: float,
    first: int,
    starts: int,
    gamma: float,
    teacher: str,
    optimiser: str,
    rate: float,
    momentum: float,
    epsilon: float,
    steps: int,
    dtype: str = "float64",
) -> pd.DataFrame:
    """Run `starts` starts of a grid of w1 and b, from number `first` on (D5): jobs for several processes.

    Args:
        points: per side of the grid; `half_width` and `w2` as `initial.grid` takes them.
        half_width: of the grid.
        w2: of all starts.
        first: number of the first start, 0 to points^2 - 1.
        starts: how many; fewer where the grid ends.
        gamma: target scale; this and the rest as `job` takes them.
        teacher: see there.
        optimiser: see there.
        rate: see there.
        momentum: see there.
        epsilon: see there.
        steps: how many.
        dtype: see there.

    Returns:
        One row per start: start, w1, b, `class` (a name of `CLASSES`), active (share of inputs at the end) and loss
        (over gamma^2 / 2: 1 if dead, 0.5 at the optimum; affine teacher only, else NaN).

    Raises:
        ValueError: gamma <= 0, an unstable step, or an unknown name.
    """
    by, gradient = _descent(optimiser, rate, momentum, epsilon, gamma, teacher)
    begun = tuple(one[first : first + starts] for one in grid(points, half_width, w2))
    end = tuple(one.double() for one in run(_as(begun, dtype), gradient, by, steps).last)
    table = pd.DataFrame({"start": range(first, first + len(begun[0])), "w1": begun[0].numpy(), "b": begun[2].numpy()})
    names = pd.Categorical.from_codes(classes(end, gamma).numpy(), CLASSES)
    loss = (canonical.loss(*end, gamma) / (gamma**2 / 2)).numpy() if teacher == "affine" else float("nan")
    return table.assign(**{"class": names, "active": canonical.active(*end).numpy(), "loss": loss})


def _descent(
    optimiser: str, rate: float, momentum: float, epsilon: float, gamma: float, teacher: str
) -> tuple[Rule, Gradient]:
    by = rule(optimiser, rate, momentum, epsilon)
    check_gamma(gamma, by)
    if teacher not in TEACHERS:
        raise ValueError(f"teacher is {teacher!r}; allowed: {', '.join(TEACHERS)}")
    return by, TEACHERS[teacher](gamma)


def _as(state: State, dtype: str) -> State:
    if dtype not in ("float32", "float64"):
        raise ValueError(f"dtype is {dtype!r}; allowed: float32, float64")
    return tuple(one.to(getattr(torch, dtype)) for one in state)


def _counts(step: int, state: list[Tensor], gamma: float) -> dict[str, object]:
    found, share = classes(tuple(state), gamma), canonical.active(*state)
    by_class = {name: int((found == place).sum()) for place, name in enumerate(CLASSES)}
    below = {f"below_{limit:.0e}".replace("e-0", "e-"): int((share < limit).sum()) for limit in (NEARLY_DEAD, DEAD)}
    return {"step": step, "n": len(found), **by_class, **below}
