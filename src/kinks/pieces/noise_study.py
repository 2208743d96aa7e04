"""What noise does to the number of regions of a sawtooth (K4a, K6): pure jobs, one row for each draw."""

import numpy as np
import pandas as pd

from kinks.pieces.arithmetic import named
from kinks.pieces.bounds import crossing_bound, update_bound
from kinks.pieces.descent import perturbed
from kinks.pieces.gradients import gradients, parameters
from kinks.pieces.network import Float, Network
from kinks.pieces.noise import scaled, shaken, theta
from kinks.pieces.sawtooth import Family, sawtooth
from kinks.pieces.sawtooth_data import columns, examples
from kinks.pieces.segment import Counts, along, counts

PICTURED = 5  # levels of the sawtooth of K6


def absolute(*, family: Family, neg_log2: int, levels: int, draws: int) -> pd.DataFrame:
    """Count sawteeth of 1 to `levels` levels whose hidden biases got noise uniform of width eta = 2^-neg_log2.

    A draw's noise is keyed by its seed, layer and neuron: all levels and all eta share it.

    Returns:
        One row for each number of levels and seed: regions, pieces; and `bound`, of the mean over the draws, by the
        crossing lemma from the variations measured on them (a5).
    """
    eta, rows = 2.0**-neg_log2, []
    for depth in range(1, levels + 1):
        found = counts(shaken(sawtooth(depth, family), eta, range(draws)), 0.0, 1.0, neurons=True)
        bound = crossing_bound(found.neurons, [eta] * depth)
        rows.append(_rows(found).assign(levels=depth, bound=bound))
    return pd.concat(rows).assign(family=family, neg_log2=neg_log2)


def relative(
    *, family: Family, levels: list[int], neg_log2: list[int], step_size: float, inputs: int, draws: int
) -> pd.DataFrame:
    """Count sawteeth after one perturbed update (1): relative noise delta = 2^-k in the updates of the hidden biases.

    The gradient, in fp64, is that of the mean squared error on `inputs` random rational inputs whose targets are the
    sawtooth plus a smooth term (K4b).

    Returns:
        One row for each number of levels, k of `neg_log2` and seed: regions, pieces; `bound` (2); and `without`, the
        regions after the same update without noise.
    """
    wide, rows = named("fp64"), []
    for depth in levels:
        network = sawtooth(depth, family)
        x, y = columns(*examples(inputs, depth, family, 0, "smooth", "fp64"))
        slopes, _ = gradients(parameters(network, wide), x, y, wide)
        weights, biases = ([-step_size * one[k].numpy() for one in slopes] for k in (0, 1))
        without = int(counts(perturbed(network, weights, biases, 0.0, [0]), 0.0, 1.0).regions[0])
        for k in neg_log2:
            draw = perturbed(network, weights, biases, 2.0**-k, range(draws))
            found = counts(draw, 0.0, 1.0, neurons=True)
            bound = update_bound(found.neurons, biases[:-1], 2.0**-k)
            rows.append(_rows(found).assign(levels=depth, neg_log2=k, bound=bound, without=without))
    return pd.concat(rows).assign(family=family, step_size=step_size, inputs=inputs)


def multiplied(*, size: float, levels: int, draws: int) -> pd.DataFrame:
    """Count unit sawteeth with every parameter multiplied by 1 + U(-size, size) (a8, third row), one row for each seed.

    Returns:
        regions, pieces; and `naive`, the regions that float64 alone would count.
    """
    rows = []
    for seed in range(draws):
        network = scaled(sawtooth(levels), size, seed)
        found = along(network, 0.0, 1.0)
        rows.append({"seed": seed, "regions": found.regions, "pieces": found.pieces, "naive": naive_regions(network)})
    return pd.DataFrame(rows).assign(size=size, levels=levels)


def naive_regions(network: Network) -> int:
    """Count activation regions on [0, 1] in plain float64: breakpoints that coincide, but round apart, count twice.

    Args:
        network: one draw with one input; its ReLUs follow all layers but the last.
    """
    ends, slope, shift = np.array([0.0, 1.0]), np.ones((1, 1)), np.zeros((1, 1))
    pattern = np.zeros((1, 0), bool)
    for layer in network.hidden:
        slope, shift = slope @ layer.weight.T, shift @ layer.weight.T + layer.bias[0]
        with np.errstate(divide="ignore", invalid="ignore"):
            roots = -shift / slope
        cell, neuron = np.nonzero((roots > ends[:-1, None]) & (roots < ends[1:, None]))
        left = np.concatenate([ends[:-1], roots[cell, neuron]])
        owner = np.concatenate([np.arange(len(slope)), cell])
        order = np.lexsort((left, owner))
        ends, owner = np.append(left[order], 1.0), owner[order]
        on = slope[owner] * ((ends[:-1] + ends[1:]) / 2)[:, None] + shift[owner] > 0
        slope, shift = slope[owner] * on, shift[owner] * on
        pattern = np.concatenate([pattern[owner], on], axis=1)
    return 1 + int((pattern[1:] != pattern[:-1]).any(1).sum())


def exact(*, levels: int) -> pd.DataFrame:
    """Count both sawteeth without noise: a row for each family, number of levels and what is `counted` (C10).

    Returns:
        `count`, of regions or pieces; `expected`, 2^levels; `ratio` of the two.
    """
    rows = []
    for family in ("unit", "bounded"):
        for depth in range(1, levels + 1):
            found = counts(sawtooth(depth, family), 0.0, 1.0)
            for name, number in (("regions", found.regions[0]), ("pieces", found.pieces[0])):
                rows.append({"family": family, "levels": depth, "counted": name, "count": int(number)})
    return pd.DataFrame(rows).assign(expected=lambda table: 2 ** table["levels"], ratio=_ratio)


def crossings(*, levels: int, draws: int) -> pd.DataFrame:
    """Count how often the unit sawtooth of 1 to `levels` levels meets a level uniform on [0, 1], one row for each draw.

    The crossing lemma (a5) says: in the mean as often as its variation, 2^levels, says; here in every draw.

    Returns:
        levels, seed; count, of crossings; expected, the variation as measured; ratio of the two.
    """
    rows = []
    for depth in range(1, levels + 1):
        tent = sawtooth(depth)
        # The read-out becomes a hidden neuron whose bias is minus the level: it creates a region at each crossing.
        weights = [*(layer.weight for layer in tent.layers), [[1.0]]]
        network = Network.of(weights, [*(layer.bias[0] for layer in tent.hidden), [0.0], [0.0]])
        level = 0.5 + theta(np.arange(draws), 0, 0, 0)
        met = network.with_biases([*(layer.bias for layer in tent.hidden), -level[:, None]])
        found = counts(met, 0.0, 1.0, neurons=True)
        extra, variation = found.regions - 2**depth, found.neurons.variation[-1][:, 0]
        rows.append(pd.DataFrame({"seed": range(draws), "count": extra, "expected": variation, "levels": depth}))
    return pd.concat(rows, ignore_index=True).assign(ratio=_ratio)


def pictured(etas: list[float], seed: int, family: Family = "bounded") -> pd.DataFrame:
    """Return the curve of a sawtooth of 5 levels, rescaled to unit height, at each noise width (K6).

    Returns:
        eta, x and y of every breakpoint and both ends; regions and pieces of the whole curve.
    """
    parts = []
    for eta in etas:
        network = shaken(sawtooth(PICTURED, family), eta, [seed]).only(0)
        found = along(network, 0.0, 1.0)
        x = np.concatenate([[0.0], found.breakpoints, [1.0]])
        part = pd.DataFrame({"eta": eta, "x": x, "y": _height(found(x)[:, 0], family)})
        parts.append(part.assign(regions=found.regions, pieces=found.pieces))
    return pd.concat(parts, ignore_index=True)


def _height(y: Float, family: Family) -> Float:
    return y * 2.0**PICTURED if family == "bounded" else y


def _ratio(table: pd.DataFrame) -> pd.Series:
    return table["count"] / table["expected"]


def _rows(found: Counts) -> pd.DataFrame:
    return pd.DataFrame({"seed": range(len(found.regions)), "regions": found.regions, "pieces": found.pieces})
