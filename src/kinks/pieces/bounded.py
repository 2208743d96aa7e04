"""Regions after one perturbed update against the theorem's bounds, at the noise levels of formats and others (C7)."""

from collections.abc import Mapping, Sequence
from math import sqrt

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from kinks.pieces import gradients as slopes
from kinks.pieces.arithmetic import named
from kinks.pieces.bounds import polynomial_bound, update_bound
from kinks.pieces.descent import descent, perturbed
from kinks.pieces.gradients import Parameters
from kinks.pieces.initial import initial
from kinks.pieces.network import Float, Network
from kinks.pieces.neurons import Neurons
from kinks.pieces.segment import counts
from kinks.pieces.tasks import Task, task
from kinks.pieces.updates import perturbation, reciprocals

WIDE = named("fp64")
TAKEN = ("task", "init", "bias_sd", "hidden_layers", "widths", "step_size", "seeds", "steps")  # beside the noise


def job(
    *,
    task: Mapping[str, object],
    init: str,
    bias_sd: float,
    hidden_layers: int,
    widths: Sequence[int],
    step_size: float,
    seeds: int,
    steps: Sequence[int],
    formats: Sequence[str],
    deltas: Sequence[float],
    draws: int,
) -> pd.DataFrame:
    """Train in float64, and at these steps draw noisy updates and count regions on the task's first segment.

    Args:
        formats: each gives the level of noise that its gradients have on this network, see `level`.
        deltas: further levels, relative to the updates; those far above 1 are no rounding, but make the bound tight.

    Returns:
        One row per width, seed, step and level: delta, its `source` (a format, or `given`), mean_regions over the
        draws; `bound` (2), and (3) as `polynomial`, with p = 0 and the mean reciprocal as C_A; `before`, the regions
        before the update; neurons; `most`, the largest number that the widths allow. The bound holds for means: `t` is
        the mean over draws of regions less the bound's terms, over its standard error, and `t_tenfold` the same for the
        bound of ten times that noise, which need not hold. Both are NaN where the bound is infinite.
    """
    data, rows = _task(task), []
    for width in widths:
        sizes = [data.x.shape[1], *[width] * hidden_layers, data.outputs]
        for seed in range(seeds):
            found = slopes.parameters(initial(sizes, init, seed, bias_sd), WIDE)
            walk = descent(found, data.x, data.y, step_size, WIDE, loss=data.loss)
            for step in range(max(steps) + 1):
                if step in steps:
                    about = {"width": width, "seed": seed, "step": step}
                    new = _levels(found, data, step_size, step, formats, deltas, draws)
                    rows += [about | one for one in new]
                found = next(walk)
    about = {"task": task["name"], "target": task.get("target", ""), "init": init, "bias_sd": bias_sd}
    return pd.DataFrame(rows).assign(**about, hidden_layers=hidden_layers, step_size=step_size, draws=draws)


def _task(settings: Mapping[str, object]) -> Task:
    return task(**settings)


def level(computed: Sequence[ArrayLike], reference: Sequence[ArrayLike]) -> float:
    """Return the delta of noise uniform on [-delta/2, delta/2] whose size has the median of the measured errors."""
    errors = np.concatenate(perturbation(computed, reference))
    errors = errors[np.isfinite(errors)]
    return 4 * float(np.median(errors)) if len(errors) else float("nan")


def _levels(found: Parameters, data: Task, step_size: float, step: int, formats, deltas, draws: int) -> list[dict]:
    slope, _ = slopes.gradients(found, data.x, data.y, WIDE, data.loss)
    exact = [bias.numpy() for _, bias in slope[:-1]]
    levels = [(name, level(_biases(found, data, name), exact)) for name in formats]
    levels += [("given", float(delta)) for delta in deltas]
    network = slopes.network(found)
    before = int(counts(network, *data.ends[:, 0]).regions[0])
    rows = []
    for source, delta in levels:
        if not delta > 0:
            continue
        updates = [tuple(-step_size * one.numpy() for one in pair) for pair in slope]
        drawn = perturbed(network, *map(list, zip(*updates, strict=True)), delta, range(draws), step)
        rows.append({"source": source, "delta": delta, "before": before} | _counted(drawn, data, updates, delta))
    return rows


def _biases(found: Parameters, data: Task, name: str) -> list[np.ndarray]:
    """Gradients of the hidden biases as the format computes them from these parameters, rounded to it."""
    arithmetic = named(name)
    stored = [(arithmetic.store(w), arithmetic.store(b)) for w, b in found]
    found = slopes.bias_gradients(stored, data.x, data.y, arithmetic, data.loss)
    return [one.double().numpy() for one in found[:-1]]


def _counted(drawn: Network, data: Task, updates: list, delta: float) -> dict[str, float]:
    seen = counts(drawn, *data.ends[:, 0], neurons=True)
    hidden = [bias for _, bias in updates[:-1]]
    length, widths = float(data.lengths[0]), [len(one) for one in hidden]
    steepest = max(float(one.max()) for one in seen.neurons.steepest) / length
    bound = update_bound(seen.neurons, hidden, delta)
    terms = _terms(seen.neurons, hidden, delta) if np.isfinite(bound) else np.full(drawn.draws, np.nan)
    return {
        "mean_regions": float(seen.regions.mean()),
        "bound": bound,
        "polynomial": polynomial_bound(
            slope=steepest, reciprocal=reciprocals(hidden)["mean"], length=length, delta=delta,
            hidden_layers=len(hidden), width=max(widths), power=0,
        ),
        "t": _student(seen.regions - 1 - terms),
        "t_tenfold": _student(seen.regions - 1 - terms / 10),
        "neurons": sum(widths),
        "most": float(np.prod([width + 1.0 for width in widths])),
    }  # fmt: skip


def _terms(neurons: Neurons, updates: Sequence[Float], delta: float) -> Float:
    """The sum in bound (2) for each draw, with its own V, `(draws,)`."""
    total = 0.0
    for variation, update in zip(neurons.variation, updates, strict=True):
        moved = update != 0
        total = total + (variation[:, moved] / (delta * np.abs(update[moved]))).sum(1)
    return np.asarray(total)


def _student(values: Float) -> float:
    """The mean over its standard error; infinite where all are equal and not 0."""
    spread, mean = values.std(ddof=1) / sqrt(len(values)), values.mean()
    return float(mean / spread) if spread else float(np.sign(mean) * np.inf) if mean else 0.0
