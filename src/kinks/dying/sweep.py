"""Target scales x learning rates x seeds of one architecture as one ensemble (D1, D7, D8): the job behind shards."""

import itertools
from collections.abc import Sequence

import pandas as pd
import torch

from kinks.dying import official
from kinks.dying.architecture import Architecture
from kinks.dying.ensemble import Ensemble
from kinks.dying.regression import Regression
from kinks.dying.rules import rule
from kinks.dying.training import Plan, train


def job(
    *,
    data: str | Regression,
    data_seed: int,
    width: int,
    depth: int,
    kind: str,
    initialisation: str,
    gammas: Sequence[float],
    rates: Sequence[float],
    seeds: Sequence[int],
    optimiser: str,
    momentum: float,
    epsilon: float,
    batch: int,
    record: Sequence[int],
    rows: int | None = None,
    folder: str | None = None,
    scale: float = 1.0,
    zero_last: bool = False,
    slope: float = 0.0,
    batch_norm: bool = False,
    clip: float | None = None,
    running_scale: bool = False,
    layout: str = "stacked",
    dtype: str = "float32",
    device: str = "cpu",
    compiled: bool = False,
    together: int = 1024,
) -> pd.DataFrame:
    """Train a network for every gamma, rate and seed.

    Args:
        data: a name that `official.load` knows, or a set (of the user's files, by `tables.read`).
        data_seed: of a named set.
        width: ReLUs per layer; this to `initialisation`, and `scale` to `batch_norm`, as `Architecture` has them.
        depth: layers of ReLUs.
        kind: `plain`, `residual` or `residual_two`.
        initialisation: `library` or `he`.
        gammas: target scales.
        rates: learning rates, in the optimiser's own convention.
        seeds: of weights and mini-batches.
        optimiser: `sgd`, `averaged`, `nesterov` or `adam`; with `momentum` and `epsilon` as `rules.rule` takes them.
        momentum: mu or beta; Adam has its own.
        epsilon: of Adam.
        batch: rows per mini-batch; this, `record`, `clip`, `running_scale` and `compiled` as `Plan` has them.
        record: steps after which to count.
        rows: of a synthetic teacher, in all; None for its own number.
        folder: of the files of an official set.
        scale: factor of first weights.
        zero_last: second layers of blocks start at zero.
        slope: of the ReLU for negative inputs.
        batch_norm: before every ReLU.
        clip: largest norm of a gradient.
        running_scale: targets are normalised while training.
        layout: `stacked`, or `innermost` for layers of a few units.
        dtype: `float32` or `float64`.
        device: to train on.
        compiled: whether torch.compile fuses a step.
        together: networks per ensemble, so that their activations stay in the cache; rows do not depend on it but for
            rounding.

    Returns:
        The rows of `training.train` with the rate, and the data's card, in the order of gammas, rates and seeds.

    Raises:
        ValueError: gamma <= 0, or settings that do not exist; also DataError, of unknown data.
    """
    given = official.load(data, data_seed, rows, folder) if isinstance(data, str) else data
    shape = Architecture(
        given.train.x.shape[1], width, depth, kind, initialisation, scale, zero_last, slope, batch_norm
    )
    cells = list(itertools.product(gammas, rates, seeds))
    tables = []
    for first in range(0, len(cells), together):
        chosen = cells[first : first + together]
        gamma, rate, seed = (list(values) for values in zip(*chosen, strict=True))
        by = rule(optimiser, torch.tensor(rate, dtype=torch.float64), momentum, epsilon)
        ensemble = Ensemble(shape, seed, layout, getattr(torch, dtype), device)
        plan = Plan(by, batch, record, clip, running_scale, compiled=compiled)
        table = train(ensemble, given, seed, gamma, plan)
        rates_by_net = torch.tensor(rate, dtype=torch.float64).numpy()[table["net"]]
        tables.append(table.assign(rate=rates_by_net, net=table["net"] + first))
    return pd.concat(tables, ignore_index=True).assign(**given.card())
