"""The `zero` program (M1 of "A MaxPool case study", TMLR 2024): two ways to write a maximum, and their difference.

zero(t) = max1(t x) - max2(t x) is 0 for every t, and so is its derivative. max1 is a running maximum, whose gradient
goes to the first maximal entry; max2 is the library's reduction, whose gradient is split evenly over ties. Plain torch
programs through autograd: none of this package's operators is used.
"""

from collections.abc import Callable
from fractions import Fraction

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from kinks import stats
from kinks.precision import NAMES, named

CONSTANT = 1.14
INPUTS = {"1.14 four times": (CONSTANT,) * 4, "1, 2, 3, 4": (1.0, 2.0, 3.0, 4.0)}
STEPS = (0.0, 0.1, 1.0, -1e-4, -6.0)  # the published values of t
Program = Callable[[Tensor], Tensor]


def running(y: Tensor) -> Tensor:
    """The maximum of `(..., n)` as a running one with a strict comparison: the first maximal entry wins."""
    top = y[..., 0]
    for place in range(1, y.shape[-1]):
        top = torch.where(y[..., place] > top, y[..., place], top)
    return top


def reduced(y: Tensor) -> Tensor:
    """The maximum of `(..., n)` as the library's reduction."""
    return y.amax(-1)


def with_relu(relu: Program) -> Program:
    """A maximum of `(..., 4)` from a ReLU: max(a, b) = a + relu(b - a), nested."""

    def pair(a: Tensor, b: Tensor) -> Tensor:
        return a + relu(b - a)

    return lambda y: pair(pair(y[..., 0], y[..., 1]), pair(y[..., 2], y[..., 3]))


# Variant -> the two maxima, and whether both read one product t x or each its own.
VARIANTS: dict[str, tuple[Program, Program, bool]] = {
    "published": (running, reduced, True),
    "two products": (running, reduced, False),
    "same program": (running, running, True),
    "relu": (with_relu(F.relu), with_relu(lambda z: torch.where(z >= 0, z, 0)), True),  # derivatives 0 and 1 at 0
}


def evaluate(variant: str, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """Return zero(t) and its derivative by autograd, each `(...)`, for inputs `x` `(..., 4)` and `t` `(...)`.

    Raises:
        ValueError: unknown variant.
    """
    if variant not in VARIANTS:
        raise ValueError(f"zero program {variant!r}; allowed: {', '.join(VARIANTS)}")
    first, second, shared = VARIANTS[variant]
    t = t.detach().unsqueeze(-1).requires_grad_()
    y = t * x
    value = first(y) - second(y if shared else t * x)
    (derivative,) = torch.autograd.grad(value.sum(), t)
    return value.detach(), derivative.squeeze(-1)


def values(device: str = "cpu") -> pd.DataFrame:
    """Return zero(t) and its derivative for every variant, input, precision and published t (one row each)."""
    rows = []
    for precision in NAMES:
        dtype = named(precision).storage
        for variant in VARIANTS:
            for name, numbers in INPUTS.items():
                x = torch.tensor(numbers, dtype=dtype, device=device)
                for step in STEPS:
                    value, derivative = evaluate(variant, x, torch.tensor(step, dtype=dtype, device=device))
                    cell = {"variant": variant, "input": name, "precision": precision, "t": step}
                    rows.append(cell | {"value": float(value), "derivative": float(derivative), "true_derivative": 0.0})
    return pd.DataFrame(rows)


def mechanism(constant: float = CONSTANT) -> pd.DataFrame:
    """Return, per precision, the terms whose sum is the derivative at four equal entries.

    The difference of the two Jacobians is (3/4, -1/4, -1/4, -1/4). Quarters of a number are exact, three quarters of it
    are rounded: `three_quarters`, with its `rounding` error. `one_by_one` adds the terms from the first to the last,
    each sum rounded to the format (a 16-bit sum is accumulated in 32 bits and rounded once).
    """
    rows = []
    for precision in NAMES:
        dtype = named(precision).storage
        c = torch.tensor(constant, dtype=dtype)
        measured = evaluate("published", c.expand(4), torch.ones((), dtype=dtype))[1]
        terms = [0.75 * c, *[-0.25 * c] * 3]
        total = terms[0]
        for term in terms[1:]:
            total = total + term
        row = {"precision": precision, "constant": float(c), "three_quarters": float(terms[0])}
        row |= {"rounding": float(_rounding(c)), "quarter": float(-terms[1])}
        rows.append(row | {"derivative": float(measured), "one_by_one": float(total)})
    return pd.DataFrame(rows)


def shares(constants: int, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """Return for how many constants, four equal entries each, the derivative at t = 1 is not 0.

    Args:
        constants: numbers of each format drawn from [1, 2) (a power of two as a factor changes nothing); all there are,
            in 16 bits, if there are fewer.

    Returns:
        One row per variant and precision: n, count of derivatives that are not 0, their share with its Wilson interval
        (of no width if all constants were tried), inexact: constants whose three quarters the format does not hold,
        agree: constants for which just these two coincide.
    """
    rows = []
    for precision in NAMES:
        c = _constants(precision, constants, seed)
        inexact = torch.tensor([_rounding(number) != 0 for number in c])
        for variant in VARIANTS:
            x = c.to(device)[:, None].expand(-1, 4)
            found = (evaluate(variant, x, torch.ones_like(x[:, 0]))[1] != 0).cpu()
            count, n = int(found.sum()), len(c)
            low, high = (count / n, count / n) if n < constants else stats.wilson(count, n)
            row = {"variant": variant, "precision": precision, "n": n, "count": count, "share": count / n}
            row |= {"low": low, "high": high, "inexact": int(inexact.sum()), "agree": int((found == inexact).sum())}
            rows.append(row)
    return pd.DataFrame(rows)


def _constants(precision: str, count: int, seed: int) -> Tensor:
    """Numbers of the format in [1, 2): `count` drawn, or each of them once if there are no more than that."""
    dtype = named(precision).storage
    steps = round(1 / torch.finfo(dtype).eps)
    if steps <= count:
        picked = torch.arange(steps)
    else:
        picked = torch.randint(steps, (count,), generator=torch.Generator().manual_seed(seed))
    return (1 + picked.double() / steps).to(dtype)


def _rounding(c: Tensor) -> Fraction:
    """What rounding adds to three quarters of the number `c` in its format, exactly."""
    return Fraction(float(0.75 * c)) - Fraction(3, 4) * Fraction(float(c))
