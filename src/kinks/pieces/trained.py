"""Networks before, during and after training: bias gradients (K1), slopes and dead neurons (K2), regions (K3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kinks.pieces import gradients as slopes
from kinks.pieces.arithmetic import named
from kinks.pieces.descent import descent
from kinks.pieces.gradients import Parameters
from kinks.pieces.initial import initial
from kinks.pieces.network import Float, Network
from kinks.pieces.sawtooth import sawtooth
from kinks.pieces.segment import counts
from kinks.pieces.tasks import Task, task, with_data

WIDE = named("fp64")
COUNTED = ("regions", "pieces", "steepest", "mean_steepest", "variation", "mean_variation", "crossing_unmoved")


def grid(
    entries: Sequence[Mapping[str, object]], common: Mapping[str, object], source: str
) -> tuple[list[dict], dict[str, str]]:
    """List the settings of `job`, one for each number of hidden layers of each entry, and the data's label by task.

    Args:
        entries: `hidden_layers`, a list, and other arguments of `job`; what an entry leaves out is in `common`.
        source: of the MNIST images, as `kinks.data.load` takes it.
    """
    settings, labels = [], {}
    for entry in ({**common, **entry} for entry in entries):
        data, labels[entry["task"]["name"]] = with_data(entry["task"], source)
        settings += [{**entry, "task": data, "hidden_layers": depth} for depth in entry["hidden_layers"]]
    return settings, labels


def job(
    *,
    task: Mapping[str, object],
    init: str,
    bias_sd: float,
    hidden_layers: int,
    widths: Sequence[int],
    rule: str,
    step_size: float,
    batch: int | None,
    seeds: int,
    first_seed: int,
    steps: Sequence[int],
    device: str,
) -> pd.DataFrame:
    """Train networks in float64, all seeds at once, and record them before the steps of these numbers.

    Args:
        task: `name` and settings of a task.
        init, bias_sd: as `initial` takes them; `sawtooth` starts from the unit sawtooth instead, whatever the widths.
        rule: as `descent` takes it.
        batch: examples of a step, drawn for each step and shared by the seeds; None for all.

    Returns:
        One row per width, seed, step and hidden layer, with its neurons' `gradient`, dLoss/db, a list, and

        - regions, pieces: of the whole network, means over the segments; the same in all its rows.
        - steepest, mean_steepest: largest and mean over neurons of sup |dz/dx| along the segments; variation and
          mean_variation likewise of the total variation V of z (a6).
        - dead: neurons that are zero on the domain (the segment if it is the domain, else the data); revived: those of
          them that are not after the step. crossing_unmoved: neurons that change sign on a segment though their
          gradient is exactly zero.
        - loss: before the step. finite: whether all parameters are; if not, nothing else is known.
    """
    data = _moved(task, device)
    parts = []
    for width in widths:
        start = [_start(init, hidden_layers, width, data, seed, bias_sd) for seed in _range(first_seed, seeds)]
        rows = _trained(start, data, steps, rule, step_size, batch)
        parts.append(rows.assign(width=width, seed=rows["seed"] + first_seed))
    name, target = task["name"], task.get("target", "")
    return pd.concat(parts, ignore_index=True).assign(
        task=name, target=target, init=init, bias_sd=bias_sd, hidden_layers=hidden_layers, rule=rule,
        step_size=step_size, batch=batch or 0,
    )  # fmt: skip


def _range(first: int, count: int) -> range:
    return range(first, first + count)


def _moved(settings: Mapping[str, object], device: str) -> Task:
    found = task(**settings)
    return Task(found.x.to(device), found.y.to(device), found.loss, found.outputs, found.ends, found.whole)


def _start(init: str, hidden_layers: int, width: int, data: Task, seed: int, bias_sd: float) -> Network:
    if init == "sawtooth":
        return sawtooth(hidden_layers)
    sizes = [data.x.shape[1], *[width] * hidden_layers, data.outputs]
    return initial(sizes, init, seed, bias_sd)


def _trained(start: list[Network], data: Task, steps, rule: str, step_size: float, batch: int | None) -> pd.DataFrame:
    several = [slopes.parameters(one, WIDE) for one in start]
    found = [(w.to(data.x.device), b.to(data.x.device)) for w, b in slopes.stacked(several)]
    draw = None if batch is None else _minibatch(len(data.x), batch)
    walk = descent(found, data.x, data.y, step_size, WIDE, rule=rule, loss=data.loss, batch=draw)
    rows, marks = [], set(steps)
    for step in range(max(steps) + 1):
        after = next(walk)
        if step in marks:
            rows += _rows(found, after, data, step, None if draw is None else draw(step))
        found = after
    return pd.DataFrame(rows)


def _minibatch(n: int, batch: int) -> Callable[[int], Tensor]:
    """Which examples a step takes: a random `batch` of all, keyed by the step."""
    return lambda step: torch.randperm(n, generator=torch.Generator().manual_seed(step))[:batch]


def _rows(found: Parameters, after: Parameters, data: Task, step: int, rows: Tensor | None) -> list[dict]:
    kept = slice(None) if rows is None else rows
    slope, outputs = slopes.gradients(found, data.x[kept], data.y[kept], WIDE, data.loss)
    alive = [None, None] if data.whole else [active(one, data.x) for one in (found, after)]
    losses = loss(outputs, data.y[kept], data.loss)
    result = []
    for seed in range(len(outputs)):
        gradient = [bias[seed].cpu().numpy() for _, bias in slope[:-1]]
        both = [_measured(one, data, seed, gradient, on) for one, on in zip((found, after), alive, strict=True)]
        about = {"seed": seed, "step": step, "loss": float(losses[seed]), "finite": all(both)}
        for layer, one in enumerate(gradient):
            row = about | {"layer": layer + 1, "neurons": len(one), "gradient": one.tolist()}
            if all(both):
                row |= {name: both[0].row[name][layer] for name in COUNTED}
                dead = ~both[0].active[layer]
                row |= {"dead": int(dead.sum()), "revived": int((dead & both[1].active[layer]).sum())}
            else:
                row |= dict.fromkeys(COUNTED, nan) | {"dead": 0, "revived": 0, "gradient": []}
            result.append(row)
    return result


def active(found: Parameters, x: Tensor) -> list[np.ndarray]:
    """Which neurons are positive for some example, bool `(networks, N)` for each hidden layer."""
    result = []
    for weight, bias in found[:-1]:
        x = WIDE.product(x, weight.mT, bias).relu()
        result.append((x > 0).any(-2).cpu().numpy())
    return result


def loss(outputs: Tensor, y: Tensor, kind: str) -> Float:
    """The mean loss of each network, float64 `(networks,)`, of outputs `(networks, n, outputs)`."""
    if kind == "squared":
        return ((outputs - y) ** 2).mean((-2, -1)).cpu().numpy()
    chosen = outputs.log_softmax(-1).gather(-1, y.expand(len(outputs), -1)[..., None])
    return -chosen.mean((-2, -1)).cpu().numpy()


@dataclass(frozen=True, eq=False)
class _Measured:
    """Numbers per layer by name, and which neurons are active on the domain, per layer `(N,)`."""

    row: dict[str, list[float]]
    active: list[np.ndarray]


def _measured(found: Parameters, data: Task, seed: int, gradient: list[Float], on) -> _Measured | None:
    """One network on the task's segments; None where a parameter is not finite, or a slope beyond float64."""
    try:
        network = slopes.network(found, seed)
        segments = [counts(network, *ends, neurons=True) for ends in zip(*data.ends, strict=True)]
    except (ValueError, OverflowError):
        return None
    row: dict[str, list[float]] = {name: [] for name in COUNTED}
    alive = []
    for layer, slope in enumerate(gradient):
        seen = [one.neurons for one in segments]
        steep = np.max([one.steepest[layer][0] / size for one, size in zip(seen, data.lengths, strict=True)], axis=0)
        variation = np.max([one.variation[layer][0] for one in seen], axis=0)
        crossing = np.any([one.crossing[layer][0] for one in seen], axis=0)
        numbers = (
            np.mean([one.regions[0] for one in segments]), np.mean([one.pieces[0] for one in segments]), steep.max(),
            steep.mean(), variation.max(), variation.mean(), (crossing & (slope == 0)).sum(),
        )  # fmt: skip
        for name, number in zip(COUNTED, numbers, strict=True):
            row[name].append(float(number))
        alive.append(seen[0].active[layer][0] if on is None else on[layer][seed])
    return _Measured(row, alive)
