"""The two sawtooth families of depth-separation theory (a8): exactly 2^L pieces and regions on [0, 1]."""

import random
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from kinks.pieces.network import Float, Network

Family = Literal["unit", "bounded"]


def sawtooth(levels: int, family: Family = "unit", width: int = 2) -> Network:
    """Return the network of `levels` hidden layers whose output on [0, 1] is the tent map, applied `levels` times.

    Args:
        family: `unit`, of height 1, whose slopes reach 2^levels, so that it violates assumption (B); or `bounded`, of
            height 2^-levels, whose pre-activations all have slopes 1 and -1.
        width: neurons per layer; 2, or 3 for a tent that vanishes beyond its right end too.

    Raises:
        ValueError: fewer than one level, another family or another width.
    """
    if levels < 1 or family not in ("unit", "bounded") or width not in (2, 3):
        raise ValueError(f"levels={levels}, family={family!r}, width={width}; give 1 or more, unit or bounded, 2 or 3")
    row = np.array([2.0, -4.0, 2.0] if family == "unit" else [1.0, -2.0, 1.0])[:width]
    weights, biases = [np.ones((width, 1))], []
    for level in range(levels):
        height = 1.0 if family == "unit" else 2.0**-level
        biases.append(-height * np.array([0.0, 0.5, 1.0])[:width])
        weights.append(np.tile(row, (width, 1)))
    weights[-1] = row[None]
    return Network.of(weights, [*biases, [0.0]])


def tooth(x: ArrayLike, levels: int, family: Family = "unit") -> Float:
    """Return the sawtooth's value at x in [0, 1] in closed form, exact in float64; `(n,)` for `(n,)`."""
    x = np.asarray(x, dtype=np.float64)
    phase = np.mod(np.ldexp(x, levels - 1), 1.0)
    height = 1.0 if family == "unit" else 2.0**-levels
    return height * 2 * np.minimum(phase, 1 - phase)


def rational_sample(n: int, levels: int, family: Family, seed: int, bits: int = 96) -> tuple[list, list]:
    """Return n random inputs in [0, 1] of `bits` bits and the sawtooth's values there, both as exact fractions.

    Rounded to a format, they are no longer on its dyadic grid together, so that residuals are rounding errors and not
    exact zeros (K4c, first trap).
    """
    draw = random.Random(seed)
    inputs = [Fraction(draw.getrandbits(bits), 2**bits) for _ in range(n)]
    phases = [x * Fraction(2) ** (levels - 1) % 1 for x in inputs]
    height = Fraction(1) if family == "unit" else Fraction(1, 2**levels)
    return inputs, [2 * height * min(phase, 1 - phase) for phase in phases]
