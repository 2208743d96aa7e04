"""Inputs, windows and choices that the tests of the max-pool share."""

import torch
from slow_reference import lattice
from torch.autograd import grad

from kinks.ops import PoolDerivative, max_pool2d

BETAS = (0.0, 1.0, 10.0, 1e4, 0.3, -0.5)
EXACT = [PoolDerivative(beta) for beta in BETAS]
MIXED = [PoolDerivative(beta, "mixed") for beta in BETAS]
NAN, INF = float("nan"), float("inf")
# kernel_size, stride, padding, dilation, ceil_mode, of which the papers need the first two.
SHAPES = [
    (2,),
    (3, 2, 1),
    (3, 1, 1),
    ((3, 2), (2, 1), (1, 0), (1, 2)),
    (2, 3),
    (3, 2, 1, 1, True),
    (2, 2, 1, 2, True),
    ((1, 4), None, (0, 2), 1, True),
]


def ties(dtype, shape=(2, 3, 7, 9), seed=30):
    """Few levels, so that most windows tie, with signed zeros and runs of either infinity."""
    z = lattice(shape, dtype, seed, levels=1)
    z[..., 0, :3], z[..., -1, 3:] = INF, -INF
    return z


def distinct(shape, dtype=torch.float64, seed=31):
    """No two entries equal."""
    order = torch.randperm(torch.Size(shape).numel(), generator=torch.Generator().manual_seed(seed))
    return (order.to(dtype) - 20.0).reshape(shape)


def gradient(x, upstream, derivative, *windows):
    x = x.detach().requires_grad_()
    return grad(max_pool2d(x, derivative, *windows), x, upstream)[0]
