"""Examples that a sawtooth is trained on (K4b, K4c): which numbers the inputs are decides what rounding can show."""

import random
from fractions import Fraction
from typing import Literal, get_args

import torch
from torch import Tensor

from kinks.pieces.arithmetic import SIGNIFICAND
from kinks.pieces.sawtooth import Family, rational_sample

Kind = Literal["own", "float64", "rational", "smooth"]
Order = Literal["given", "shuffled"]
SMOOTH = Fraction(1, 10)  # height of the smooth term


def examples(n: int, levels: int, family: Family, seed: int, kind: Kind, storage: str) -> tuple[list, list]:
    """Return n inputs in [0, 1] and their targets as exact fractions; only afterwards are they rounded to a format.

    Args:
        kind: `own`: inputs on the grid 2^-p of the p significant bits of `storage`, and the sawtooth's values: the
            network's residual is exactly zero in that format. `float64`: the same on the grid of float64, so zero in
            float64 alone. `rational`: inputs of 96 random bits, on no format's grid. `smooth`: the same inputs, and
            targets with `SMOOTH` 4 x (1 - x) added, so that there is something to learn.

    Raises:
        ValueError: another kind.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind of inputs is {kind!r}; allowed: {', '.join(get_args(Kind))}")
    bits = {"own": SIGNIFICAND[storage], "float64": SIGNIFICAND["fp64"]}.get(kind, 96)
    x, y = rational_sample(n, levels, family, seed, bits)
    if kind == "smooth":
        y = [value + 4 * SMOOTH * place * (1 - place) for place, value in zip(x, y, strict=True)]
    return x, y


def columns(*numbers: list) -> tuple[Tensor, ...]:
    """Round exact fractions to float64, each list of n to a tensor `(n, 1)`."""
    return tuple(torch.tensor([[float(one)] for one in some], dtype=torch.float64) for some in numbers)


def ordered(x: list, y: list, order: Order, seed: int) -> tuple[list, list]:
    """Return the examples as given or shuffled: over the reals the same gradient, in a format another sum."""
    places = list(range(len(x)))
    if order == "shuffled":
        random.Random(seed).shuffle(places)
    return [x[k] for k in places], [y[k] for k in places]
