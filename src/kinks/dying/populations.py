"""Random starts of several dimensions and target scales, moved by several rules (D5, D6): jobs for shards."""

from collections.abc import Mapping, Sequence

import pandas as pd
import torch
from torch import Tensor

from kinks.dying import canonical, settling
from kinks.dying.canonical import State
from kinks.dying.finite import run_on_stream, stream
from kinks.dying.initial import single
from kinks.dying.outcomes import CLASSES, TEACHERS, classes
from kinks.dying.rules import rule

APART = 1_000_003  # between the seeds of starts and of streams: equal ones would draw the same numbers twice
LIMITS = {"below_1e-3": 1e-3, "below_1e-6": 1e-6}


def job(
    *,
    rules: Sequence[Mapping],
    dimensions: Mapping[str, int],
    gammas: Sequence[float],
    steps: Sequence[int],
    seed: int,
    initialisation: str = "library",
    teacher: str = "affine",
    dtype: str = "float32",
    device: str = "cpu",
) -> pd.DataFrame:
    """Move one population by each rule, by closed-form gradients on Gaussian inputs, and count.

    Args:
        rules: values of optimiser, rate, momentum and epsilon, as `rules.rule` takes them.
        dimensions: of the inputs, as text, with the number of starts.
        gammas: target scales; all have the same starts.
        steps: after which to count, increasing.
        seed: of the starts.
        initialisation: `library` or `he`.
        teacher: `affine` or `relu`, with c = 0.
        dtype: `float32` or `float64`.
        device: to compute on.

    Returns:
        One row per rule, d, gamma, step and limit of the active share: n, `count` of starts below it, a count per
        class, the `median` active share, and for the comparison with the first of the rules start by start, `only`
        below under this rule and `only_first` below under that.

    Raises:
        ValueError: gamma <= 0, an unstable step, or an unknown name.
    """
    begun, dimension = _drawn(dimensions, initialisation, seed)
    target = torch.tensor(list(gammas), dtype=torch.float64).repeat_interleave(len(dimension))
    given = [one.repeat(len(gammas)).to(device, getattr(torch, dtype)) for one in begun]
    gamma = target.to(device, getattr(torch, dtype))
    groups = {(int(d), float(g)): (dimension.repeat(len(gammas)) == int(d)) & (target == g)
              for d in dimensions for g in gammas}  # fmt: skip
    tables, first = [], None
    for one in rules:
        paths = settling.run(tuple(given), gamma, TEACHERS[teacher], rule(**one), steps)
        states = [tuple(part.double().cpu() for part in state) for state in zip(*paths[1:], strict=True)]
        first = first or states
        counted = [
            {**one, "step": step, **row}
            for step, state, other in zip(steps, states, first, strict=True)
            for row in _rows(state, other, target, groups)
        ]
        tables.append(pd.DataFrame(counted))
    return pd.concat(tables, ignore_index=True)


def stream_job(
    *,
    rules: Sequence[Mapping],
    d: int,
    groups: int,
    starts: int,
    batch: int,
    gammas: Sequence[float],
    steps: Sequence[int],
    seed: int,
    dtype: str = "float32",
) -> pd.DataFrame:
    """Move random starts by fresh mini-batches from a stream, and count as `job` does.

    Args:
        rules: as `job` takes them; this to `seed` too.
        d: dimension of the inputs.
        groups: streams per gamma; rules and gammas share their mini-batches' seed.
        starts: per stream.
        batch: inputs per mini-batch.
        gammas: target scales.
        steps: after which to count, increasing.
        seed: of starts and streams.
        dtype: `float32` or `float64`.

    Returns:
        The columns of `job`; active shares are those on all Gaussian inputs, Phi(b / |w|).
    """
    w, b = single("library", d, groups * starts, seed)
    kind = getattr(torch, dtype)
    given = torch.cat([w, b[:, None]], 1).view(groups, starts, d + 1).repeat(len(gammas), 1, 1).to(kind)
    target = torch.tensor(list(gammas), dtype=torch.float64).repeat_interleave(groups)
    whole = target[:, None].expand(-1, starts).flatten()
    masks = {(d, float(g)): whole == g for g in gammas}
    tables, first = [], None
    for one in rules:
        minibatch = stream(d, target[:, None].to(kind), batch, len(target), seed + APART, kind)
        ends = run_on_stream(minibatch, given, rule(**one), steps).double().flatten(1, 2)
        axis = torch.eye(d, dtype=torch.float64)[0]
        states = [canonical.coordinates(end[:, :d], end[:, d], axis) for end in ends]
        first = first or states
        counted = [
            {**one, "step": step, **row}
            for step, state, other in zip(steps, states, first, strict=True)
            for row in _rows(state, other, whole, masks)
        ]
        tables.append(pd.DataFrame(counted))
    return pd.concat(tables, ignore_index=True)


def _drawn(dimensions: Mapping[str, int], initialisation: str, seed: int) -> tuple[State, Tensor]:
    """Canonical starts of all dimensions one after the other, and which dimension each has."""
    parts = []
    for d, count in dimensions.items():
        w, b = single(initialisation, int(d), count, seed)
        parts.append(canonical.coordinates(w, b, torch.eye(int(d), dtype=w.dtype)[0]))
    counts = torch.tensor(list(dimensions.values()))
    kinds = torch.tensor([int(d) for d in dimensions]).repeat_interleave(counts)
    return tuple(torch.cat(one) for one in zip(*parts, strict=True)), kinds


def _rows(state: State, other: State, gamma: Tensor, groups: Mapping[tuple, Tensor]) -> list[dict]:
    found, share, theirs = classes(state, gamma), canonical.active(*state), canonical.active(*other)
    rows = []
    for (d, scale), mask in groups.items():
        by_class = {name: int((found[mask] == place).sum()) for place, name in enumerate(CLASSES)}
        for name, limit in LIMITS.items():
            here, there = share[mask] < limit, theirs[mask] < limit
            pairs = {"only": int((here & ~there).sum()), "only_first": int((there & ~here).sum())}
            row = {"d": d, "gamma": scale, "limit": name, "n": int(mask.sum()), "count": int(here.sum())}
            rows.append(row | pairs | by_class | {"median": float(share[mask].median())})
    return rows
