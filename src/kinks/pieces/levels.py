"""Measured perturbation level of formats (K5): bias gradients against float64, and against exact rationals."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
import pandas as pd
import torch

from kinks.pieces import gradients as slopes
from kinks.pieces.arithmetic import Arithmetic, named
from kinks.pieces.descent import descent
from kinks.pieces.gradients import Parameters, exact_gradients
from kinks.pieces.initial import initial
from kinks.pieces.tasks import Task, task
from kinks.pieces.updates import perturbation

WIDE = named("fp64")


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
    formats: Sequence[Sequence[str]],
) -> pd.DataFrame:
    """Train in float64, and at these steps compute the bias gradients in each format.

    Args:
        formats: [storage, accumulation] each, as `compared` takes them.

    Returns:
        One row per width, seed, step, hidden layer, format and `against`, with the neurons' relative errors `delta`,
        a list: NaN where both gradients are zero, infinite where only the reference is. `against` says what is
        compared: `fp64`, the float64 gradient at the parameters before they are rounded to the format; `stored`, that
        at the rounded parameters and data, so that only the computation differs; `reordered`, the format's own gradient
        with the examples summed in another order (its size relative to float64's gradient).
    """
    data, rows = _task(task), []
    for width in widths:
        sizes = [data.x.shape[1], *[width] * hidden_layers, data.outputs]
        start = [slopes.parameters(initial(sizes, init, seed, bias_sd), WIDE) for seed in range(seeds)]
        found = slopes.stacked(start)
        walk = descent(found, data.x, data.y, step_size, WIDE, loss=data.loss)
        for step in range(max(steps) + 1):
            if step in steps:
                for storage, accumulate in formats:
                    about = {"width": width, "step": step, "storage": storage, "accumulate": accumulate}
                    rows += [about | one for one in _by_layer(compared(found, data, storage, accumulate))]
            found = next(walk)
    about = {"task": task["name"], "target": task.get("target", ""), "init": init, "bias_sd": bias_sd}
    return pd.DataFrame(rows).assign(**about, hidden_layers=hidden_layers, step_size=step_size)


def _task(settings: Mapping[str, object]) -> Task:
    return task(**settings)


def compared(found: Parameters, data: Task, storage: str, accumulate: str) -> dict[str, list[np.ndarray]]:
    """Return the relative errors of the hidden biases' gradients, `(networks, N)` a layer, by what they are against.

    Args:
        found: parameters of several networks in float64.
        accumulate: as `Arithmetic` takes it, or `numpy`, see `as_numpy`, which is compared with `fp64` only.
    """
    exact = _biases(found, data.x, data.y, WIDE, data)
    if accumulate == "numpy":
        return {"fp64": perturbation(as_numpy(found, data, storage), exact)}
    arithmetic = Arithmetic(storage, accumulate)
    stored = [(arithmetic.store(w), arithmetic.store(b)) for w, b in found]
    x, y = arithmetic.store(data.x), data.y if data.loss == "cross_entropy" else arithmetic.store(data.y)
    computed = _biases(stored, x, y, arithmetic, data)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    other = _biases(stored, x[order], y[order], arithmetic, data)
    again = [(w.double(), b.double()) for w, b in stored]
    rounded = _biases(again, x.double(), y.double() if y.is_floating_point() else y, WIDE, data)
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = [np.abs(a - b) / np.abs(true) for a, b, true in zip(other, computed, exact, strict=True)]
    return {
        "fp64": perturbation(computed, exact),
        "stored": perturbation(computed, rounded),
        "reordered": apart,
    }


def as_numpy(found: Parameters, data: Task, storage: str) -> list[np.ndarray]:
    """Return the hidden biases' gradients of the mean squared error as a plain NumPy program computes them.

    NumPy sums the products of two matrices in fp32 and rounds once, adds biases in the format, and adds the examples of
    a bias gradient up one after the other in the format.
    """
    kind = named(storage).store(0.0).numpy().dtype
    layers = [(w.numpy().astype(kind), b.numpy().astype(kind)) for w, b in found]
    inputs, before = [data.x.numpy().astype(kind)], []
    for weight, bias in layers:
        before.append(inputs[-1] @ np.swapaxes(weight, -1, -2) + bias[..., None, :])
        inputs.append(np.maximum(before[-1], 0))
    back = (before[-1] - data.y.numpy().astype(kind)) * kind.type(2 / len(data.x))
    result = []
    for number in range(len(layers) - 1, 0, -1):
        back = (back @ layers[number][0]) * (before[number - 1] > 0)
        result.append(back.sum(-2))
    return result[::-1]


def _biases(found: Parameters, x, y, arithmetic: Arithmetic, data: Task) -> list[np.ndarray]:
    return [one.double().numpy() for one in slopes.bias_gradients(found, x, y, arithmetic, data.loss)[:-1]]


def _by_layer(errors: Mapping[str, list[np.ndarray]]) -> list[dict]:
    """One row per layer, and network where there are several."""
    return [
        {"against": against, "layer": layer, "seed": seed, "delta": np.ravel(values).tolist()}
        for against, layers in errors.items()
        for layer, one in enumerate(layers, 1)
        for seed, values in enumerate(np.atleast_2d(one))
    ]


def exact_job(
    *, hidden_layers: Sequence[int], width: int, points: int, seeds: int, formats: Sequence[str]
) -> pd.DataFrame:
    """Compare formats with exact rationals on small networks at initialisation, T1 with `points` points.

    Returns:
        Rows as `job`'s, `against` = `exact`: the exact gradient at the stored numbers.
    """
    data, rows = _task({"name": "interval", "points": points}), []
    for depth in hidden_layers:
        for seed in range(seeds):
            network = initial([1, *[width] * depth, 1], "default", seed)
            for name in formats:
                arithmetic = named(name)
                stored = slopes.parameters(network, arithmetic)
                x, y = arithmetic.store(data.x), arithmetic.store(data.y)
                ones = [[Fraction(one) for one in values[:, 0].tolist()] for values in (x, y)]
                true = exact_gradients(slopes.network(stored), *ones)[:-1]
                errors = {"exact": perturbation(_biases(stored, x, y, arithmetic, data), true)}
                about = {"hidden_layers": depth, "width": width, "step": 0, "storage": name}
                about |= {"accumulate": arithmetic.accumulate}
                rows += [about | one | {"seed": seed} for one in _by_layer(errors)]
    return pd.DataFrame(rows).assign(task="interval", target="sine", init="default", bias_sd=0.0)
