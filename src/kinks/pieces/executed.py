"""Regions of the network as it is executed in a format: what happens at every input that the format has (c3)."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from kinks.pieces.arithmetic import Arithmetic
from kinks.pieces.network import Network
from kinks.precision import Precision

INTEGERS = {"fp16": torch.int16, "bf16": torch.int16, "fp32": torch.int32, "fp64": torch.int64}
AT_ONCE = 2**16


@dataclass(frozen=True, eq=False)
class Executed:
    """What a network does at neighbouring inputs of a format.

    Attributes:
        regions: runs of inputs with one pattern of z >= 0.
        strict_regions: runs with one pattern of z > 0, the definition over the reals; there an exact zero in an
            otherwise positive run cuts it in two.
        zeros: pre-activations that are exactly zero.
        outputs: `(n, outputs)` in the storage format.
    """

    regions: int
    strict_regions: int
    zeros: int
    outputs: Tensor


@torch.no_grad()
def executed(network: Network, inputs: Tensor, arithmetic: Arithmetic) -> Executed:
    """Run the first draw of a network, its parameters rounded to the storage format, at all of `inputs`, in order.

    Args:
        inputs: `(n,)` for one input dimension, else `(n, inputs)`, representable in the storage format.

    Raises:
        ValueError: an input is not a number of the storage format.
    """
    x = arithmetic.store(inputs if inputs.ndim == 2 else inputs[:, None])
    if not torch.equal(x.to(torch.float64), inputs.reshape(x.shape).to(torch.float64)):
        raise ValueError(f"an input is not a {arithmetic.storage} number; round them first")
    layers = [(arithmetic.store(one.weight.T), arithmetic.store(one.bias[0]), one.relu) for one in network.layers]
    counted, outputs = np.ones(3, np.int64) - [0, 0, 1], []
    for begin in range(0, len(x), AT_ONCE):
        # Each group begins with the last input of the one before: runs are counted by their ends.
        overlap = int(begin > 0)
        new, y = _run(layers, x[begin - overlap : begin + AT_ONCE], arithmetic, overlap)
        counted += new
        outputs.append(y[overlap:])
    return Executed(*counted.tolist(), torch.cat(outputs))


def _run(layers, x, arithmetic, overlap):
    changes, zeros = torch.zeros(2, len(x) - 1, dtype=torch.bool), 0
    for weight, bias, relu in layers:
        x = arithmetic.product(x, weight, bias)
        if relu:
            for kind, on in enumerate((x >= 0, x > 0)):
                changes[kind] |= (on[1:] != on[:-1]).any(1)
            zeros += int((x[overlap:] == 0).sum())
            x = x.relu()
    return np.array([*changes.sum(1).tolist(), zeros]), x


def every_number(name: str, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return all numbers of a 16-bit format from `low` to `high`, ascending, subnormal ones and one zero included.

    Raises:
        ValueError: the format has more than 16 bits.
    """
    if name not in ("fp16", "bf16"):
        raise ValueError(f"{name} has too many numbers; give fp16 or bf16, or use neighbours()")
    numbers = torch.arange(-(2**15), 2**15, dtype=torch.int16).view(Precision(name).storage).double()
    numbers = numbers[(numbers >= low) & (numbers <= high)]
    return torch.unique(numbers + 0.0).to(Precision(name).storage)  # -0.0 + 0.0 is 0.0; unique sorts


def neighbours(positions: ArrayLike, name: str, each: int = 2) -> Tensor:
    """Return the numbers of a format nearest to `positions` and `each` of their neighbours on both sides, ascending."""
    dtype, whole = Precision(name).storage, INTEGERS[name]
    bits = torch.as_tensor(np.asarray(positions, dtype=np.float64)).to(dtype).view(whole).long()
    lowest = torch.iinfo(whole).min
    # Bit patterns of negative numbers run backwards; turned round, neighbours are neighbouring whole numbers.
    order = torch.where(bits < 0, lowest - bits, bits)
    near = torch.unique(order[:, None] + torch.arange(-each, each + 1))
    return torch.where(near < 0, lowest - near, near).to(whole).view(dtype)
