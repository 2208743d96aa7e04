"""What the released max-pool layer computes forwards: beta x maximum + (1 - beta) x maximum in working precision.

Over the reals that is the maximum. In floating point it is not (defect D1 of the code released with "A MaxPool case
study", TMLR 2024), so that programs which should differ in a Jacobian only also differ in every activation.
"""

from collections.abc import Iterator, Mapping

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from kinks.ops import PoolDerivative, max_pool2d
from kinks.precision import NAMES, named

BETAS = (0.0, 1.0, 10.0, 100.0, 1000.0, 10000.0)
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
WINDOWS = {  # as torch.nn.functional.max_pool2d takes them
    "2x2": {"kernel_size": 2},
    "3x3, stride 2, padding 1": {"kernel_size": 3, "stride": 2, "padding": 1},
    "3x3, stride 2, ceil_mode": {"kernel_size": 3, "stride": 2, "ceil_mode": True},
    "3x2, dilation 2": {"kernel_size": (3, 2), "stride": 1, "dilation": 2},
}


def half_normal(n: int, seed: int = 0) -> Tensor:
    """Return |N(0, 1)| draws, float64 `(n,)`."""
    return torch.randn(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)).abs()


def errors(n: int, seed: int = 0, device: str = "cpu") -> pd.DataFrame:
    """Measure the released forward value against the maximum, per precision and beta, on `n` half-normal maxima.

    Returns:
        One row each: rms_relative and max_relative error, exact (share of values that are the maximum), n (positive
        maxima with a finite result), overflow_above (a larger maximum makes beta x maximum overflow).
    """
    rows = []
    for precision in NAMES:
        dtype = named(precision).storage
        top = half_normal(n, seed).to(device, dtype)
        top = top[top > 0]  # the smallest draws may be 0 in 16 bits
        for beta in BETAS:
            released = max_pool2d(top.view(1, 1, -1), PoolDerivative(beta, "mixed"), 1).flatten()
            finite = released.isfinite()
            relative = ((released.double() - top.double()) / top.double())[finite]
            row = {"precision": precision, "beta": beta, "n": int(finite.sum())}
            row |= {"rms_relative": float(relative.square().mean().sqrt()), "max_relative": float(relative.abs().max())}
            row |= {"exact": float((relative == 0).double().mean())}
            rows.append(row | {"overflow_above": torch.finfo(dtype).max / max(beta, 1.0)})
    return pd.DataFrame(rows)


def exactness(inputs: Mapping[str, Tensor], device: str = "cpu") -> pd.DataFrame:
    """Compare our exact forward with torch's max-pool, bit for bit, for every beta.

    Args:
        inputs: name -> floating-point `(N, C, H, W)`, cast to every precision.

    Returns:
        One row per input, precision, windows and beta: n values, equal (how many have the same bits), share.
    """
    return pd.DataFrame(list(_compared(inputs, device)))


def _compared(inputs: Mapping[str, Tensor], device: str) -> Iterator[dict]:
    for name, numbers in inputs.items():
        for precision in NAMES:
            x = numbers.to(device, named(precision).storage)
            for label, window in WINDOWS.items():
                expected = _bits(F.max_pool2d(x, **window))
                for beta in BETAS:
                    equal = int((_bits(max_pool2d(x, PoolDerivative(beta), **window)) == expected).sum())
                    cell = {"input": name, "precision": precision, "windows": label, "beta": beta}
                    yield cell | {"n": expected.numel(), "equal": equal, "share": equal / expected.numel()}


def _bits(x: Tensor) -> Tensor:
    return x.view(INTEGERS[x.element_size()])
