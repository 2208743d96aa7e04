"""Ensembles of networks in training, with their dead and nearly dead ReLUs by layer, counted from step 0.

A network has its own seed, target scale and learning rate, so that a whole sweep of one architecture is one ensemble.
Networks of one seed start from the same weights and see the same mini-batches, whatever else differs: they are pairs.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from kinks.dying.ensemble import Ensemble, descend
from kinks.dying.linear import check_gamma
from kinks.dying.regression import Part, Regression
from kinks.dying.rules import Rule
from kinks.dying.target_scale import RunningScale, as_tensor, per_unit_variance, predictions

NEARLY_DEAD = 1e-3  # a ReLU that is active on a smaller share of the training set is nearly dead


@dataclass(frozen=True)
class Plan:
    """How an ensemble is trained.

    Attributes:
        by: the rule of descent; its rate may be `(nets,)` numbers, one per network.
        batch: rows per mini-batch; at least as many as there are for full batches. A pass leaves out the rest.
        record: after which steps to count, increasing; the last is the number of steps.
        clip: largest norm of one network's gradient, or None.
        running_scale: whether targets are normalised while training (`RunningScale`).
        shared: whether all networks see the mini-batches of the first seed, instead of their own.
        compiled: whether torch.compile fuses a step (it needs a C++ compiler, and a minute at first).
    """

    by: Rule
    batch: int
    record: Sequence[int]
    clip: float | None = None
    running_scale: bool = False
    shared: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        steps = list(self.record)
        if not steps or steps != sorted({*steps}) or steps[0] < 0:
            raise ValueError(f"record is {steps}; allowed: one or more steps, increasing, >= 0")
        if self.batch < 1 or (self.clip is not None and not self.clip > 0):
            raise ValueError(f"batch is {self.batch!r}, clip is {self.clip!r}; allowed: batch >= 1, clip > 0 or None")


def train(
    ensemble: Ensemble, data: Regression, seeds: Sequence[int], gamma: float | Sequence[float], plan: Plan
) -> pd.DataFrame:
    """Train every network of the ensemble, in place.

    Args:
        ensemble: as many networks as seeds.
        data: whose training part is learnt, its targets multiplied by gamma.
        seeds: of the networks' mini-batches.
        gamma: target scale of all, or of each.
        plan: how.

    Returns:
        A row per network, recorded step and layer: net, seed, gamma, step, layer (from 1), width, dead (ReLUs inactive
        on the whole training part), nearly_dead (active on less than a thousandth of it, dead included), train_error,
        validation_error, test_error (mean square over gamma^2: 1 for the constant prediction) and diverged: outputs
        are not finite; the counts are NaN then, for nobody knows.

    Raises:
        ValueError: gamma <= 0, or numbers that do not fit the ensemble.
    """
    scales = as_tensor(gamma, ensemble.nets)
    for value in scales.unique().tolist():
        check_gamma(value, plan.by)
    if len(seeds) != ensemble.nets:
        raise ValueError(f"{len(seeds)} seeds for {ensemble.nets} networks; allowed: one per network")
    device = ensemble.weights[0].device
    parts = {name: Part(*(one.to(device) for one in getattr(data, name))) for name in ("train", "validation", "test")}
    scale = RunningScale(ensemble) if plan.running_scale else None
    told = {"seed": torch.as_tensor(list(seeds)), "gamma": scales}
    by, step = _rule(ensemble, plan.by), torch.compile(descend) if plan.compiled else descend
    state, spread = by.state(ensemble.weights), ensemble.per_net(scales.to(device))
    batches = minibatches(parts["train"], seeds, plan, ensemble)
    rows, done = [], 0
    for goal in plan.record:
        while done < goal:
            x, y = next(batches)
            y = y * spread
            y = y if scale is None else scale.normalise(y)
            done += 1
            count = torch.tensor(float(done)) if plan.compiled else done
            met = step(ensemble.shape, ensemble.layout, ensemble.weights, state, x, y, by, count, plan.clip)
            ensemble.note(met, x.shape[1])
        rows.append(_counted(ensemble, parts, scales.to(device), scale, told, done))
    return pd.concat(rows, ignore_index=True)


def _rule(ensemble: Ensemble, by: Rule) -> Rule:
    """The rule with a rate that broadcasts against the ensemble's weights."""
    if not isinstance(by.rate, Tensor):
        return by
    return type(by)(**{**vars(by), "rate": ensemble.per_net(by.rate.to(ensemble.weights[0].device))})


def minibatches(data: Part, seeds: Sequence[int], plan: Plan, ensemble: Ensemble) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets, `(nets or 1, B, features)` as laid out, pass after pass, for ever."""
    n, targets = len(data.y), data.y[:, None]
    if plan.batch >= n:
        whole = ensemble.lay(data.x[None]), ensemble.lay(targets[None])
        while True:
            yield whole
    distinct = sorted({*seeds}) if not plan.shared else [seeds[0]]
    place = torch.tensor([distinct.index(seed) for seed in seeds]) if not plan.shared else torch.zeros(1, dtype=int)
    generators = [torch.Generator().manual_seed(seed) for seed in distinct]
    x, targets = data.x.to(ensemble.weights[0]), targets.to(ensemble.weights[0])
    while True:
        order = torch.stack([torch.randperm(n, generator=one) for one in generators])[place].to(x.device)
        for first in range(0, n - plan.batch + 1, plan.batch):
            chosen = order[:, first : first + plan.batch]
            yield ensemble.lay(x[chosen]), ensemble.lay(targets[chosen])


def _counted(
    ensemble: Ensemble,
    parts: dict[str, Part],
    gamma: Tensor,
    scale: RunningScale | None,
    told: dict[str, Tensor],
    step: int,
) -> pd.DataFrame:
    active, outputs = ensemble.activity(parts["train"].x)
    found = {"train": outputs} | {name: ensemble.outputs(parts[name].x) for name in ("validation", "test")}
    errors = {
        f"{name}_error": per_unit_variance(predictions(one, scale), parts[name].y, gamma) for name, one in found.items()
    }
    few = NEARLY_DEAD * len(parts["train"].y)
    lost = ~torch.isfinite(outputs).all(1)
    counts = {"dead": active == 0, "nearly_dead": active < max(few, 1)}
    counts = {name: one.sum(2).double().masked_fill(lost, torch.nan) for name, one in counts.items()}
    rows = []
    for layer in range(ensemble.shape.depth):
        columns = {name: one.cpu() for name, one in (told | errors).items()}
        columns |= {name: one[layer].cpu() for name, one in counts.items()} | {"diverged": lost.cpu()}
        table = pd.DataFrame({name: one.numpy() for name, one in columns.items()})
        rows.append(table.assign(net=range(ensemble.nets), step=step, layer=layer + 1, width=ensemble.shape.width))
    return pd.concat(rows, ignore_index=True)
