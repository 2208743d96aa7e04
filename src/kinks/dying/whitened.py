"""Death on finite whitened data (D3, and D5's finite sample): many target scales and rates at once, jobs for shards."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kinks.dying import cones, finite, linear
from kinks.dying.initial import single
from kinks.dying.rules import SGD, rule

FADED = 1e-100  # distance to the optimum at which a start counts as there
APART = 1_000_003  # between the seeds of data and of starts: equal ones would draw the same numbers twice
HIGHEST = 3.9  # rate; none above 4 is stable
FAINT = 1e-30  # the same in float32
SETTLED = 1e-3  # of gamma: how far a start may still move when it is put aside


def inputs(kind: str, d: int, n: int, seed: int) -> Tensor:
    """Return whitened inputs, float64 `(n, d)`: the corners of a cube (`n` and `seed` unused) or a Gaussian sample.

    Raises:
        ValueError: an unknown kind, or fewer points than whitening needs.
    """
    if kind == "cube":
        return cones.cube(d)
    if kind != "gaussian":
        raise ValueError(f"data are {kind!r}; allowed: cube, gaussian")
    return cones.whiten(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))


def name(data: str, d: int, n: int) -> str:
    """Return how figures and tables call a data set."""
    return f"cube, d = {d}" if data == "cube" else f"Gaussian, d = {d}, n = {n}"


def rules_at(momenta: Sequence[float], speed: float) -> list[dict]:
    """Return the heavy ball of every momentum at equal eta / (1 - mu), then those with momentum at equal eta.

    Raises:
        ValueError: an unstable step.
    """
    slow = [SGD.at_speed(speed, mu) for mu in momenta]
    same = [SGD(speed, mu) for mu in momenta if mu]
    linear.check_all([*slow, *same], [])
    return [{"optimiser": "sgd", "rate": by.rate, "momentum": by.momentum, "epsilon": 0.0} for by in (*slow, *same)]


def axes(momenta: int, rates: int, least_gap: float, least_rate: float) -> dict[str, list[float]]:
    """Return `mus` and `rates` for `threshold_job`: 1 - mu from 1 to `least_gap`, eta up to nearly 4, by factors."""
    gaps = np.geomspace(1, least_gap, momenta)
    return {"mus": (1 - gaps).tolist(), "rates": np.geomspace(least_rate, HIGHEST, rates).tolist()}


def threshold_job(
    *, data: str, d: int, n: int, mus: Sequence[float], rates: Sequence[float], starts: int, steps: int, seed: int
) -> pd.DataFrame:
    """Descend from C+ towards targets zero with every momentum and rate, and see who dies when (D3's heat map).

    Args:
        data: with `d`, `n` and `seed` as `inputs` takes them.
        d: dimension.
        n: inputs of a sample.
        mus: momenta of the heavy ball.
        rates: eta; those at which even the affine model diverges are left out.
        starts: per momentum and rate.
        steps: how many.
        seed: of data and starts.

    Returns:
        One row per mu and rate: the `name` of the points, n, `count` that died, first and last `death` step seen (-1:
        none), the step that the linear system predicts (-1: never), and the ends of the range with complex eigenvalues.
    """
    x = inputs(data, d, n, seed)
    begun, rows = _starts(x, "live", starts, seed), []
    for mu in mus:
        stable = [rate for rate in rates if rate < linear.stability_limit(SGD(1.0, mu))]
        by = SGD(torch.tensor(stable, dtype=x.dtype).repeat_interleave(starts)[:, None], mu)
        given = x, cones.affine_targets(x, 0.0), begun.repeat(len(stable), 1), by, steps
        found = finite.run(*given, settle=FADED)  # else weights that shrink for ever end as exact zeros, and look dead
        death, dead = found.death.view(-1, starts).numpy(), found.dead.view(-1, starts).numpy()
        for place, rate in enumerate(stable):
            one = SGD(rate, mu)
            low, high = linear.oscillating(one)
            steps_seen = {"first": int(death[place].min()), "last": int(death[place].max())}
            row = {"mu": mu, "rate": rate, "n": starts, "count": int(dead[place].sum()), **steps_seen}
            rows.append(row | {"predicted": linear.jump_step(one), "low": low, "high": high})
    return pd.DataFrame(rows).assign(points=name(data, d, n))


def deaths_job(
    *,
    data: str,
    d: int,
    n: int,
    where: str,
    gammas: Sequence[float],
    rules: Sequence[Mapping],
    starts: int,
    steps: int,
    seed: int,
    dtype: str = "float64",
) -> pd.DataFrame:
    """Descend with every rule and target scale from the same starts, on one data set.

    Args:
        data: with `d`, `n` and `seed` as `inputs` takes them.
        d: dimension.
        n: inputs of a sample.
        where: `live` starts in C+ (see `cones.starts_in_live_cone`), or `anywhere`: the library's initialisation.
        gammas: target scales, 0 among them if wanted.
        rules: values of optimiser, rate, momentum and epsilon, as `rules.rule` takes them.
        starts: how many.
        steps: how many.
        seed: of data and starts.
        dtype: `float32` or `float64`.

    Returns:
        One row per rule and gamma: the `name` of the points, n, `count` dead on the sample at the end, `early` of them
        dead from the start, the median step of `death` of the others (NaN: none), `only` dead under this rule and
        `only_first` under the first of them, `below_1pct` active on less than 1 % of the inputs, and `converged` within
        10 % of gamma in w1 and b.

    Raises:
        ValueError: gamma < 0, an unstable step, singular data, or an unknown name.
    """
    kind = getattr(torch, dtype)
    x = inputs(data, d, n, seed)
    begun = _starts(x, where, starts, seed).to(kind)
    gamma = torch.tensor(list(gammas), dtype=torch.float64).repeat_interleave(starts)
    y = torch.cat([cones.affine_targets(x, scale).expand(starts, -1) for scale in gammas]).to(kind)
    rows, first = [], None
    for one in rules:
        by = rule(**one)
        found = finite.run(x, y, begun.repeat(len(gammas), 1), by, steps, settle=(SETTLED * gamma).clamp(min=FAINT))
        first = found.dead if first is None else first
        for place, scale in enumerate(gammas):
            part = slice(place * starts, (place + 1) * starts)
            rows.append({**one, "gamma": scale, **_counts(found, first, part, scale)})
    return pd.DataFrame(rows).assign(points=name(data, d, n), where=where, steps=steps, data_seed=seed)


def paths_job(*, gamma: float, mus: Sequence[float], speed: float, d: int, starts: int, steps: int, seed: int):
    """Follow starts in C+ of the cube through the plane of mean and smallest pre-activation (D3).

    Args:
        gamma: target scale.
        mus: momenta, at equal eta / (1 - mu).
        speed: eta / (1 - mu).
        d: dimension of the cube.
        starts: how many.
        steps: how many; every one is recorded.
        seed: of the starts.

    Returns:
        One row per mu, start and step: mean and smallest pre-activation.
    """
    x = cones.cube(d)
    begun, tables = cones.starts_in_live_cone(x, starts, seed), []
    for mu in mus:
        by = SGD.at_speed(speed, mu)
        found = finite.run(x, cones.affine_targets(x, gamma), begun, by, steps, record=range(steps + 1))
        mean, least = found.paths.flatten(0, 1).T.numpy()
        at = np.repeat(np.arange(steps + 1), starts), np.tile(np.arange(starts), steps + 1)
        tables.append(pd.DataFrame({"mu": mu, "start": at[1], "step": at[0], "mean": mean, "least": least}))
    return pd.concat(tables, ignore_index=True)


def _starts(x: Tensor, where: str, count: int, seed: int) -> Tensor:
    if where == "live":
        return cones.starts_in_live_cone(x, count, seed + APART)
    if where != "anywhere":
        raise ValueError(f"starts are {where!r}; allowed: live, anywhere")
    w, b = single("library", x.shape[1], count, seed + APART)
    return torch.cat([w, b[:, None]], 1)


def _counts(found: finite.Outcome, first: Tensor, part: slice, gamma: float) -> dict[str, object]:
    dead, death, other = found.dead[part], found.death[part], first[part]
    late = death[dead & (death > 0)].double()
    near = (found.weights[part][:, [0, -1]] - torch.tensor([gamma, 0.0])).abs().amax(1) < 0.1 * gamma
    return {
        "n": len(dead), "count": int(dead.sum()), "early": int((death == 0).sum()),
        "death": float(late.median()) if len(late) else math.nan,
        "only": int((dead & ~other).sum()), "only_first": int((other & ~dead).sum()),
        "below_1pct": int((found.active[part] < 0.01).sum()), "converged": int(near.sum()),
    }  # fmt: skip
