"""Ensembles of tiny networks against a loop of torch modules, per network; and the map of starts of a single ReLU.

A loop's cost per network does not depend on how many there are, so that two dozen modules stand for ten thousand.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from benchmarks.budgets import WHOLE, seconds
from benchmarks.timing import Cost, Result, SpeedUp, paired, require, skipped
from kinks.dying import canonical, gaussian, outcomes, population
from kinks.dying.architecture import Architecture
from kinks.dying.ensemble import Ensemble, Layout, descend
from kinks.dying.initial import grid
from kinks.dying.rules import SGD, Adam, Rule

NETS, TOGETHER, ALONE, BATCH, STEPS = 10_000, 1000, 24, 64, 50
TINY = Architecture(inputs=2, width=2, depth=10)
BY = SGD(0.01, momentum=0.9)
POINTS, MAP_STEPS, CORES, MINUTE = 401, 20_000, 2, 60.0
SAMPLE = 400  # steps of one chunk from which those of the whole map are reckoned
COMPILER = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch.compile looks for it
NO_COMPILER = f"torch.compile needs a C++ compiler, and there is no {COMPILER}"


@dataclass(frozen=True)
class PerNetwork(SpeedUp):
    """A speed-up where one call of ours moves `more` times as many networks as one of the baseline."""

    more: float = 1.0

    def ratio(self, ours: float, baseline: float) -> float:
        """The speed-up of one round, per network."""
        return self.more * baseline / ours


def rows() -> Iterator[Result]:
    """Without compilation as one batch, then with it in batches that stay in the cache; then the maps."""
    yield against_loop(NETS, NETS, "stacked", BY, at_least=40)
    yield against_loop(NETS, TOGETHER, "innermost", BY)
    yield against_loop(NETS, TOGETHER, "innermost", Adam(1e-3))
    yield against_loop(NETS, TOGETHER, "innermost", BY, compiled=True, at_least=200)
    yield map_of_starts(BY)
    yield map_of_starts(Adam(1e-3), Cost())


def against_loop(
    nets: int, together: int, layout: Layout, by: Rule, *, compiled: bool = False, at_least: float | None = None
) -> Result:
    """A step of `nets` networks, `together` of them at a time, against a step of each of some modules."""
    goal = PerNetwork(at_least, nets / ALONE)
    way = f"{layout}, {together:,} at a time" + (", compiled" if compiled else "")
    name = f"{nets:,} networks of width 2 and depth 10, {type(by).__name__}, {way}"
    if compiled and shutil.which(COMPILER) is None:
        return skipped(name, "loop of modules", goal, NO_COMPILER)
    step = torch.compile(descend) if compiled else descend
    groups = [Group(range(first, first + together), layout, by, step) for first in range(0, nets, together)]
    alone = Loop(by)

    def ours() -> None:
        for group in groups:
            group.step()

    return paired(
        name, ours, "loop of modules", alone.step, check=lambda: _check(layout, together, by, step), goal=goal, rounds=7
    )


@cache
def batch(seed: int) -> tuple[Tensor, Tensor]:
    """One network's own mini-batch: inputs `(BATCH, 2)` and targets `(BATCH, 1)`."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(BATCH, 2, generator=generator), torch.randn(BATCH, 1, generator=generator)


class Group:
    """Networks that are moved together, each on its own mini-batch."""

    def __init__(self, seeds: range, layout: Layout, by: Rule, step) -> None:
        self.nets, self.by, self.count, self._step = Ensemble(TINY, seeds, layout), by, 0, step
        self.state = by.state(self.nets.weights)
        self.given = [self.nets.lay(torch.stack(one)) for one in zip(*map(batch, seeds), strict=True)]

    def step(self) -> None:
        """One step of every network."""
        self.count += 1
        count = self.count if self._step is descend else torch.tensor(float(self.count))
        self._step(TINY, self.nets.layout, self.nets.weights, self.state, *self.given, self.by, count)


class Loop:
    """The same networks as torch modules, one after another, moved by torch's optimiser."""

    def __init__(self, by: Rule) -> None:
        drawn = Ensemble(TINY, range(ALONE))
        self.modules = [drawn.module(net) for net in range(ALONE)]
        self.optimisers = [_optimiser(module, by) for module in self.modules]
        self.given = [(x, y[:, 0]) for x, y in map(batch, range(ALONE))]

    def step(self) -> None:
        """One step of every module."""
        for module, optimiser, (x, y) in zip(self.modules, self.optimisers, self.given, strict=True):
            optimiser.zero_grad()
            (0.5 * (module(x) - y).square().mean()).backward()
            optimiser.step()


def _optimiser(module: torch.nn.Module, by: Rule) -> torch.optim.Optimizer:
    if isinstance(by, SGD):
        return torch.optim.SGD(module.parameters(), lr=by.rate, momentum=by.momentum)
    return torch.optim.Adam(module.parameters(), lr=by.rate, betas=by.decays, eps=by.epsilon)


def _check(layout: Layout, together: int, by: Rule, step) -> str:
    """The modules' networks, among others: the same dead ReLUs after some steps, and outputs equal to rounding."""
    group, alone = Group(range(min(together, TOGETHER)), layout, by, step), Loop(by)
    for _ in range(STEPS):
        group.step()
        alone.step()
    x = torch.randn(1000, 2, generator=torch.Generator().manual_seed(7))
    active, outputs = group.nets.activity(x)
    same_bits, dead = 0, 0
    for net, module in enumerate(alone.modules):
        inputs: list[Tensor] = []
        with torch.no_grad():
            expected = module(x, inputs)
        flags = torch.stack([(z <= 0).all(0) for z in inputs])
        require(torch.equal(active[:, net] == 0, flags), f"dead flags of network {net} equal the module's")
        require(torch.allclose(outputs[net], expected, atol=1e-4), f"outputs of network {net} agree within 1e-4")
        same_bits, dead = same_bits + torch.equal(outputs[net], expected), dead + int(flags.sum())
    return (
        f"{dead} dead of {ALONE * 20} ReLUs, flags equal after {STEPS} steps; {same_bits} of {ALONE} equal in all bits"
    )


def map_of_starts(by: Rule, goal: Cost = WHOLE, gamma: float = 0.1) -> Result:
    """The map of 401 x 401 starts on two cores, from the cost of some steps of one chunk, within a minute."""
    chunk = tuple(one[-population.CHUNK :] for one in grid(POINTS, w2=0.5))
    gradient = canonical.affine(gamma)
    work = POINTS**2 / population.CHUNK * MAP_STEPS / SAMPLE / CORES
    name = f"map of {POINTS} x {POINTS} starts, {MAP_STEPS:,} steps, {type(by).__name__}, {CORES} cores"
    program = lambda: population.run(chunk, gradient, by, SAMPLE)  # noqa: E731
    return seconds(name, MINUTE, program, lambda: _check_map(by, gamma), times=work, goal=goal)


def _check_map(by: Rule, gamma: float, points: int = 9, steps: int = 2000) -> str:
    """A coarse map by the gradient in two dimensions, as the paper writes it, ends in the same classes."""
    w1, w2, b = grid(points, w2=0.5)
    found = outcomes.classes(population.run((w1, w2, b), canonical.affine(gamma), by, steps).last, gamma)
    slope, weights = torch.tensor([gamma, 0.0], dtype=torch.float64), [torch.stack([w1, w2], 1), b.clone()]
    state = by.state(weights)
    for count in range(1, steps + 1):
        by.step(weights, gaussian.gradient(*weights, slope), state, count)
    plain = outcomes.classes((*weights[0].T, weights[1]), gamma)
    require(torch.equal(found, plain), "classes equal those of the gradient in two dimensions")
    counts = ", ".join(f"{int((found == k).sum())} {name}" for k, name in enumerate(outcomes.CLASSES))
    return (
        f"classes of {points**2} starts equal after {steps:,} steps ({counts}); reckoned from {SAMPLE} steps of a chunk"
    )
