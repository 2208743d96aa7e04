"""Populations of single ReLUs on Gaussian inputs, moved together by their closed-form gradients.

A step is the same few elementwise operations on every start, so starts are taken in chunks whose temporaries stay in
the cache: a third of the time of one long tensor. A map of 401 x 401 starts and 20,000 steps takes two processes well
under a minute each, in float64, if every one is given half of the starts (`kinks.dying.outcomes.map_job`).
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from kinks.dying.canonical import Gradient, State
from kinks.dying.linear import check_step
from kinks.dying.rules import SGD, Rule

CHUNK = 16_384  # starts at a time: some 15 temporaries of 128 KB


class Paths(NamedTuple):
    """Where starts are after the recorded steps: w1, w2 and b, each `(records, starts)`."""

    steps: tuple[int, ...]
    w1: Tensor
    w2: Tensor
    b: Tensor

    @property
    def last(self) -> State:
        """The states after the last recorded step."""
        return self.w1[-1], self.w2[-1], self.b[-1]


def run(starts: State, gradient: Gradient, by: Rule, steps: int | Sequence[int], chunk: int = CHUNK) -> Paths:
    """Move every start, each by itself, and return where it is after each of `steps`.

    Args:
        starts: canonical (w1, w2, b), `(starts,)` each, in the format and on the device to compute with.
        gradient: of `kinks.dying.canonical` or `relu_teacher.canonical`.
        by: the rule of descent.
        steps: how many, or after which to record, increasing.
        chunk: starts at a time; without influence on the result.

    Raises:
        ValueError: steps that do not increase, or a rate at which even whitened data (h = 1) diverge.
    """
    recorded = (steps,) if isinstance(steps, int) else tuple(steps)
    if not recorded or list(recorded) != sorted({*recorded}) or recorded[0] < 0:
        raise ValueError(f"steps are {recorded}; allowed: one or more, increasing, >= 0")
    if isinstance(by, SGD):
        check_step(by)
    chunks = zip(*(one.split(chunk) for one in starts), strict=True)
    parts = [_run([one.clone() for one in part], gradient, by, recorded) for part in chunks]
    return Paths(recorded, *(torch.cat(found, 1) for found in zip(*parts, strict=True)))


def _run(weights: list[Tensor], gradient: Gradient, by: Rule, recorded: tuple[int, ...]) -> list[Tensor]:
    """One chunk: w1, w2 and b, `(records, starts)` each."""
    w1, w2, b = begun = [one.clone() for one in weights]
    unmoved = (w1 == 0) & (w2 == 0) & (b == 0)  # no gradient at the origin: ReLU'(0) = 0
    state, found, done = by.state(weights), [], 0
    for goal in recorded:
        for count in range(done + 1, goal + 1):
            by.step(weights, gradient(*weights), state, count)
        done = goal
        found.append([torch.where(unmoved, first, one) for first, one in zip(begun, weights, strict=True)])
    return [torch.stack(one) for one in zip(*found, strict=True)]
