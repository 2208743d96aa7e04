"""max_pool2d with the mixed forward: the published layer, and what its rounding does to the maximum."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pool_cases import BETAS, INF, gradient
from slow_reference import DTYPES, lattice, same_bits
from torch.autograd import grad

from kinks.ops import PoolDerivative, max_pool2d


def published(x, beta):
    """The layer as the paper's section a1 describes its code: two pools, blended forward, and autograd for the rest."""

    class Minimal(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            n, c, h, w = x.shape
            entries = x.reshape(n, c, h // 2, 2, w // 2, 2)
            top = entries.amax((3, 5), keepdim=True)
            ctx.save_for_backward(entries == top)
            return top.reshape(n, c, h // 2, w // 2)

        @staticmethod
        def backward(ctx, upstream):
            (equal,) = ctx.saved_tensors
            n, c, h, _, w, _ = equal.shape
            copied = torch.where(equal, upstream.reshape(n, c, h, 1, w, 1), 0)
            return (copied / equal.sum((3, 5), keepdim=True)).reshape(n, c, 2 * h, 2 * w)

    return beta * Minimal.apply(x) + (1 - beta) * F.max_pool2d(x, 2)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("beta", BETAS)
def test_mixed_is_the_published_layer_bit_for_bit(beta, dtype):
    x = torch.cat([lattice((2, 3, 8, 8), dtype, 32, levels=1).abs(), torch.randn(2, 3, 8, 8).to(dtype)])
    x.requires_grad_()
    upstream = torch.randn(4, 3, 4, 4).to(dtype)
    ours, theirs = max_pool2d(x, PoolDerivative(beta, "mixed"), 2), published(x, beta)
    assert same_bits(ours.detach(), theirs.detach())
    assert same_bits(grad(ours, x, upstream)[0], grad(theirs, x, upstream)[0])
    if beta in (0.0, 1.0):
        assert same_bits(gradient(x, upstream, PoolDerivative(beta), 2), grad(published(x, beta), x, upstream)[0])


# dtype, beta: root mean square and maximal relative error, share of exact values: measured with NumPy on the
# same 400,000 half-normal inputs.
MIXED_ERROR = {
    torch.float16: {
        1: (0, 0, 1.0),
        10: (0.00253, 0.00546, 0.116),
        100: (0.0286, 0.0778, 0.010),
        1000: (0.283, 0.886, 0.001),
        10000: (2.41, 8.67, 0.0),
    },
    torch.float32: {
        1: (0, 0, 1.0),
        10: (3.1e-07, 6.71e-07, 0.115),
        100: (3.46e-06, 9.96e-06, 0.011),
        1000: (3.55e-05, 0.000117, 0.001),
        10000: (0.000359, 0.00118, 0.0),
    },
    torch.float64: {
        1: (0, 0, 1.0),
        10: (5.75e-16, 1.25e-15, 0.114),
        100: (6.45e-15, 1.85e-14, 0.011),
        1000: (6.61e-14, 2.17e-13, 0.001),
        10000: (6.68e-13, 2.19e-12, 0.0),
    },
}


@pytest.mark.parametrize("dtype", MIXED_ERROR, ids=str)
def test_the_error_of_the_mixed_forward_is_the_known_one(dtype):
    x = torch.from_numpy(np.abs(np.random.default_rng(0).standard_normal(400_000))).to(dtype).reshape(1, 1, 1, -1)
    for beta, (rms, most, exact) in MIXED_ERROR[dtype].items():
        # Windows of one entry: the maximum is the entry.
        out = max_pool2d(x, PoolDerivative(beta, "mixed"), 1)
        error = ((out.double() - x.double()) / x.double()).abs()
        assert error.square().mean().sqrt().item() == pytest.approx(rms, rel=0.005)
        assert error.max().item() == pytest.approx(most, rel=0.005)
        assert (out == x).double().mean().item() == pytest.approx(exact, abs=0.0005)


def test_the_mixed_forward_overflows_where_beta_times_the_maximum_does():
    for beta, limit in ((10, 6550.0), (100, 655.0), (1000, 65.5), (10000, 6.55)):
        below, above = (torch.full((1, 1, 1), limit * factor, dtype=torch.float16) for factor in (0.99, 1.01))
        assert max_pool2d(below, PoolDerivative(beta, "mixed"), 1).isfinite()
        assert not max_pool2d(above, PoolDerivative(beta, "mixed"), 1).isfinite()
        assert same_bits(max_pool2d(above, PoolDerivative(beta), 1), above)
    infinite = torch.full((1, 1, 1), INF)
    assert max_pool2d(infinite, PoolDerivative(0.0, "mixed"), 1).isnan()
