"""A slow, independent reference: plain Python loops over float64 numbers, and bit-for-bit comparison."""

import math

import torch

INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)


def same_bits(a, b):
    """Equal shape, dtype and bits, so that -0.0 differs from 0.0; any NaN equals any NaN."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    integer = INTEGERS[a.element_size()]
    equal = a.contiguous().view(integer) == b.contiguous().view(integer)
    return bool((equal | (a.isnan() & b.isnan())).all())


def _scaled(value, upstream, dtype):
    """value x upstream as the hardware rounds it: the value to the accumulator first, then the product."""
    if dtype == torch.float64:
        return value * upstream
    rounded = torch.tensor(value, dtype=torch.float32).item()
    # The product of two fp32 numbers is exact in fp64, so these are the accumulator's and the storage's rounding.
    return torch.tensor(rounded * upstream, dtype=torch.float64).float().to(dtype).item()


def relu_gradient(z, upstream, alpha, rule):
    """The gradient that `relu` promises, element by element."""
    return _gradient(z, upstream, {0.0: alpha}, rule, below=0.0, above=None)


def relu6_gradient(z, upstream, at_zero, at_six, rule):
    """The gradient that `relu6` promises for a `z` without NaN, element by element."""
    return _gradient(z, upstream, {0.0: at_zero, 6.0: at_six}, rule, below=0.0, above=6.0)


def leaky_relu_gradient(z, upstream, slope, at_zero, rule):
    """The gradient that `leaky_relu` promises for a `z` without NaN, element by element."""
    return _gradient(z, upstream, {0.0: at_zero}, rule, below=slope, above=None)


def _gradient(z, upstream, kinks, rule, below, above):
    result = []
    for x, g in zip(z.double().flatten().tolist(), upstream.double().flatten().tolist(), strict=True):
        if x in kinks:  # 0.0 and -0.0 are the same key
            value = kinks[x]
            if rule == "assign":
                result.append(value)
            else:
                result.append(_scaled(value, g, z.dtype) if value != 0.0 else 0.0)
        elif x < 0.0:
            result.append(_scaled(below, g, z.dtype) if below != 0.0 else 0.0)
        elif above is not None and x > above:
            result.append(0.0)
        else:
            assert x > 0.0 or math.isnan(x)
            result.append(g)
    return torch.tensor(result, dtype=torch.float64).to(z.dtype).reshape(z.shape)


def lattice(shape, dtype, seed, step=0.5, levels=3):
    """Multiples of `step` in both signs: many exact zeros, a third of them negative."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randint(-levels, levels + 1, shape, generator=generator).to(dtype) * step
    sign = torch.where(torch.rand(shape, generator=generator) < 1 / 3, -1.0, 1.0).to(dtype)
    return torch.where(z == 0, z.abs() * sign, z)


def special_values(dtype):
    """Signed zeros, NaN, infinities, subnormals, extremes and ordinary numbers; more than one vector register."""
    info = torch.finfo(dtype)
    tiny = info.smallest_normal
    once = [0.0, -0.0, math.nan, math.inf, -math.inf, tiny * info.eps, -tiny * info.eps, tiny / 2, -tiny / 2]
    once += [info.max, info.min, tiny, -tiny, 1.0, -1.0, 6.0, 5.5, 7.0]
    return torch.tensor(once * 4, dtype=torch.float64).to(dtype)
