"""The sawtooth as a format computes it, at every number that the format has, or around every breakpoint (c3)."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kinks.pieces.arithmetic import SIGNIFICAND, named
from kinks.pieces.executed import every_number, executed, neighbours
from kinks.pieces.sawtooth import sawtooth


def everywhere(*, storage: str, levels: list[int]) -> pd.DataFrame:
    """Run the unit sawtooth at all fp16 or bf16 numbers of [0, 1], or at the fp32 or fp64 numbers around its cuts.

    Args:
        levels: of the sawteeth; beyond fp16 and bf16 each has 5 inputs for each of its 2^levels cuts.

    Returns:
        One row for each number of levels: `inputs`; `regions`, runs of inputs with one pattern of z >= 0; `strict`, the
        same of z > 0; `zeros`, pre-activations that are exactly 0; `nonzero`, inputs whose output is not 0, and
        `upper_nonzero`, those of them in [1/2, 1].
    """
    rows = []
    for depth in levels:
        exhaustive = storage in ("fp16", "bf16")
        x = every_number(storage) if exhaustive else _around_cuts(depth, storage)
        found = executed(sawtooth(depth), x, named(storage))
        output = found.outputs[:, 0] != 0
        row = {"levels": depth, "inputs": len(x), "regions": found.regions, "strict": found.strict_regions}
        row |= {"zeros": found.zeros, "nonzero": int(output.sum()), "upper_nonzero": int((output & (x >= 0.5)).sum())}
        rows.append(row | {"exhaustive": exhaustive})
    return pd.DataFrame(rows).assign(storage=storage)


def vanishing(*, storage: str, inputs: int, seed: int) -> pd.DataFrame:
    """Find the fewest levels from which the executed unit sawtooth is 0 at all tested inputs of [1/2, 1], one row.

    fp16 and bf16 are tested at all their numbers there, fp32 and fp64 at `inputs` random ones with a last bit of 1.

    Returns:
        `levels`; `significand`, the format's bits; `excess`, levels less significand; `inputs`, the tested ones.
    """
    bits = SIGNIFICAND[storage]
    x = every_number(storage, 0.5, 1.0) if storage in ("fp16", "bf16") else _odd(bits, inputs, seed)
    depth = 1
    while executed(sawtooth(depth), x, named(storage)).outputs.any():
        depth += 1
    row = {"storage": storage, "levels": depth, "significand": bits, "excess": depth - bits, "inputs": len(x)}
    return pd.DataFrame([row | {"exhaustive": storage in ("fp16", "bf16")}])


def _around_cuts(levels: int, storage: str) -> Tensor:
    x = neighbours(np.arange(1, 2**levels) / 2**levels, storage)
    return x[(x >= 0) & (x <= 1)]


def _odd(bits: int, inputs: int, seed: int) -> Tensor:
    whole = 2 * np.random.default_rng(seed).integers(2 ** (bits - 2), 2 ** (bits - 1), inputs) + 1
    return torch.from_numpy(whole.astype(np.float64) * 2.0**-bits)
