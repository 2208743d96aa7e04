"""Gradient descent from a sawtooth, all in one format, with the exact count of the stored numbers (K4c): a pure job."""

from collections.abc import Iterator, Sequence
from functools import cache

import pandas as pd
import torch
from torch import Tensor

from kinks.pieces.arithmetic import Arithmetic, named
from kinks.pieces.gradients import Parameters, curvature, gradients, network, parameters
from kinks.pieces.sawtooth import Family, sawtooth
from kinks.pieces.sawtooth_data import Kind, Order, columns, examples, ordered
from kinks.pieces.segment import along


def job(
    *,
    family: Family,
    levels: int,
    kind: Kind,
    storage: str,
    order: Order,
    step_sizes: list[float],
    steps: int,
    inputs: int,
    seeds: list[int],
    device: str,
) -> pd.DataFrame:
    """Train from the exact sawtooth by full-batch gradient descent on the mean squared error.

    Args:
        kind, order: of the examples, see `kinks.pieces.sawtooth_data`.
        storage: format of parameters, inputs, targets and gradients; 16-bit formats accumulate in fp32.
        seeds: of the examples.
        device: on which gradients are computed; counting is done on the CPU.

    Returns:
        One row for each seed, step size and recorded step: regions and pieces of the stored numbers on [0, 1], missing
        once a number is not finite; `moved`, whether any number differs from the start; `lambda_max`, the largest
        Gauss-Newton eigenvalue at the start, in fp64, and `product`, the step size times it.
    """
    arithmetic, rows = named(storage), []
    start = [(w.to(device), b.to(device)) for w, b in parameters(sawtooth(levels, family), arithmetic)]
    samples = [columns(*ordered(*examples(inputs, levels, family, one, kind, storage), order, one)) for one in seeds]
    x, y = (torch.stack(some)[:, None].to(device) for some in zip(*samples, strict=True))
    # Targets and order do not matter to it, and a format matters only where the inputs are on its own grid.
    alike = (kind, storage) if kind == "own" else (kind.replace("smooth", "rational"), "fp64")
    largest = {seed: steepest(family, levels, inputs, seed, *alike) for seed in seeds}
    for step, found in descended(start, x, y, step_sizes, arithmetic, recorded(steps)):
        for one, seed in enumerate(seeds):
            for k, size in enumerate(step_sizes):
                about = {"seed": seed, "step_size": size, "step": step, "lambda_max": largest[seed]}
                counted = _counts([(w[one, k], b[one, k]) for w, b in found], start)
                rows.append(about | {"product": size * largest[seed]} | counted)
    table = pd.DataFrame(rows).assign(family=family, levels=levels, kind=kind, storage=storage, order=order)
    return table.assign(inputs=inputs, steps=steps, neurons=2 * levels)


@cache
def steepest(family: Family, levels: int, inputs: int, seed: int, kind: Kind, storage: str) -> float:
    """Return the largest Gauss-Newton eigenvalue of the exact sawtooth on these inputs, in fp64."""
    (x,) = columns(examples(inputs, levels, family, seed, kind, storage)[0])
    return curvature(parameters(sawtooth(levels, family), named("fp64")), x)


def recorded(steps: int) -> list[int]:
    """Return the steps after which regions are counted: 0, 1, 3, 10, 30, 100, ... and the last."""
    series = {digit * 10**power for power in range(len(str(steps))) for digit in (1, 3)}
    return [0, *sorted({mark for mark in series if mark <= steps} | {steps})]


def descended(
    start: Parameters, x: Tensor, y: Tensor, step_sizes: Sequence[float], arithmetic: Arithmetic, marks: Sequence[int]
) -> Iterator[tuple[int, Parameters]]:
    """Yield (step, parameters) at the steps `marks`; weights are `(samples, step sizes, out, in)`.

    All descend together, because a step of networks this small costs what starting its operations costs.

    Args:
        x, y: `(samples, 1, n, 1)`, float64.
    """
    lead = (len(x), len(step_sizes))
    found = [(w.expand(*lead, *w.shape), b.expand(*lead, *b.shape)) for w, b in start]
    still = False  # a step that moves nothing is followed by others that do not
    for step in range(marks[-1] + 1):
        if step and not still:
            slopes, _ = gradients(found, x, y, arithmetic)
            after = [_moved(old, new, step_sizes) for old, new in zip(found, slopes, strict=True)]
            still, found = _same(after, found), after
        if step in marks:
            yield step, found


def _moved(old: tuple[Tensor, Tensor], slope: tuple[Tensor, Tensor], step_sizes: Sequence[float]):
    """The stored numbers after one step; each step size times the gradient is rounded to the format once."""
    pairs = [zip(step_sizes, part.unbind(1), strict=True) for part in slope]
    updates = [torch.stack([size * one for size, one in pair], 1) for pair in pairs]
    return old[0] - updates[0], old[1] - updates[1]


def _counts(found: Parameters, start: Parameters) -> dict[str, float]:
    row = {"regions": float("nan"), "pieces": float("nan"), "moved": not _same(found, start)}
    if not all(torch.isfinite(one).all() for pair in found for one in pair):
        return row
    counted = along(network(found), 0.0, 1.0)
    return row | {"regions": float(counted.regions), "pieces": float(counted.pieces)}


def _same(one: Parameters, other: Parameters) -> bool:
    pairs = zip((part for pair in one for part in pair), (part for pair in other for part in pair), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
