"""Gradient descent whose bias updates carry relative noise (a3, Definition 2.3), in any format, many runs at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from kinks.pieces.arithmetic import Arithmetic
from kinks.pieces.gradients import Loss, Parameters, gradients
from kinks.pieces.network import Float, Network
from kinks.pieces.noise import thetas

Rule = Literal["descent", "momentum", "adam"]


def perturbed(
    network: Network,
    weight_updates: Sequence[Float],
    bias_updates: Sequence[Float],
    delta: float,
    seeds: Sequence[int],
    step: int = 0,
) -> Network:
    """Return draws of a network after one update (1): b + update (1 + theta), theta uniform on [-delta/2, delta/2].

    The weights, and the biases of layers without a ReLU, get their ideal updates; all draws share them.

    Args:
        weight_updates, bias_updates: -lambda times the gradient, `(out, in)` and `(out,)` for each layer.
        seeds: one for each draw.
    """
    sizes = [len(layer.weight) if layer.relu else 0 for layer in network.layers]
    hidden = iter(thetas([size for size in sizes if size], seeds, step))
    weights, biases = [], []
    for layer, by, shift in zip(network.layers, weight_updates, bias_updates, strict=True):
        weights.append(layer.weight + by)
        biases.append(layer.bias + shift * (1 + delta * next(hidden)) if layer.relu else layer.bias[0] + shift)
    moved = Network.of(weights, [np.atleast_2d(bias)[0] for bias in biases])
    return moved.with_biases([bias for layer, bias in zip(network.layers, biases, strict=True) if layer.relu])


def descent(
    found: Parameters,
    x: Tensor,
    y: Tensor,
    step_size: float,
    arithmetic: Arithmetic,
    *,
    delta: float = 0.0,
    seeds: Sequence[int] = (),
    rule: Rule = "descent",
    loss: Loss = "squared",
    first_step: int = 0,
    batch: Callable[[int], Tensor] | None = None,
) -> Iterator[Parameters]:
    """Yield the parameters after each step, for ever, everything rounded to the storage format.

    Args:
        found: parameters in the storage format; with noise, one copy for each seed along a first axis.
        x, y: as for `gradients`.
        delta: relative noise of the updates of the hidden biases, keyed by (seed, step, layer, neuron); 0 for none.
        rule: `momentum` is 0.9 times the last update plus this one; `adam` has the usual 0.9, 0.999 and 1e-8.
        first_step: number of the first step, which keys its noise.
        batch: returns the rows of x and y that the step of this number uses; None for all of them at every step.

    Raises:
        ValueError: noise without seeds, or another number of seeds than of copies.
    """
    if delta and (not len(seeds) or found[0][1].shape[:1] != (len(seeds),) or found[0][1].ndim != 2):
        raise ValueError(f"{len(seeds)} seeds for biases {tuple(found[0][1].shape)}; give one copy for each seed")
    if rule not in ("descent", "momentum", "adam"):
        raise ValueError(f"rule is {rule!r}; allowed: descent, momentum, adam")
    states: list[tuple] = [(0.0, 0.0)] * (2 * len(found))
    sizes = [bias.shape[-1] for _, bias in found[:-1]]
    step = first_step
    while True:
        rows = slice(None) if batch is None else batch(step)
        slopes, _ = gradients(found, x[rows], y[rows], arithmetic, loss)
        noise = [torch.from_numpy(one).to(x.device) for one in thetas(sizes, seeds, step)] if delta else []
        moved: Parameters = []
        for layer, (old, slope) in enumerate(zip(found, slopes, strict=True)):
            new = []
            for kind in (0, 1):
                place = 2 * layer + kind
                update, states[place] = _update(rule, slope[kind], states[place], step - first_step + 1, step_size)
                if kind and delta and layer < len(noise):
                    update = arithmetic.store(update.double() * (1 + delta * noise[layer]))
                new.append(old[kind] - update)
            moved.append((new[0], new[1]))
        found, step = moved, step + 1
        yield found


def _update(rule: Rule, slope: Tensor, state: tuple, count: int, step_size: float) -> tuple[Tensor, tuple]:
    """What is subtracted from a parameter, and the optimiser's memory, in the gradient's format."""
    if rule == "descent":
        return step_size * slope, state
    if rule == "momentum":
        velocity = 0.9 * state[0] + slope
        return step_size * velocity, (velocity, 0.0)
    mean, square = 0.9 * state[0] + 0.1 * slope, 0.999 * state[1] + 0.001 * slope * slope
    root = (square / (1 - 0.999**count)).sqrt() + 1e-8
    return step_size * (mean / (1 - 0.9**count)) / root, (mean, square)
