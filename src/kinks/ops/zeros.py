"""The exact-zero test: does a tensor hold a value at which ReLU has its kink?"""

import torch
from torch import Tensor

# The bit pattern of -0.0 in a 16-bit float, read as a signed integer: the smallest one there is.
NEGATIVE_ZERO_BITS = -(2**15)


def has_zero(z: Tensor) -> bool:
    """Whether a real floating-point tensor `z`, of any shape, holds 0.0 or -0.0; NaN and subnormals are not zero.

    On a CPU a compiled loop looks, several times faster than `z.all()`; elsewhere the answer waits for the device.
    """
    if z.device.type != "cpu":
        return not bool(z.all())
    if z.dtype in (torch.float32, torch.float64):
        from kinks.ops import loops  # loads a compiler

        return loops.has_zero(z.numpy(force=True).reshape(-1))
    # NumPy has no bfloat16 and is slow on float16: as integers, 0.0 is 0 and -0.0 the smallest number.
    bits = z.detach().resolve_neg().view(torch.int16).numpy()
    return bits.size > 0 and (not bits.all() or bits.min() == NEGATIVE_ZERO_BITS)
