"""The exact-zero test."""

import math

import pytest
import torch
from slow_reference import DTYPES

from kinks.ops import has_zero

NOT_ZERO = [math.nan, math.inf, -math.inf, 1.0, -1.0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_finds_zeros_of_both_signs_anywhere_and_nothing_else(dtype):
    info = torch.finfo(dtype)
    subnormal = info.smallest_normal * info.eps
    z = torch.tensor([*NOT_ZERO, subnormal, -subnormal, info.max, info.min] * 5, dtype=torch.float64).to(dtype)
    assert not has_zero(z)
    assert not has_zero(z.reshape(5, 9).t())
    for zero in (0.0, -0.0):
        for place in (0, 21, 44):
            hit = z.clone()
            hit[place] = zero
            assert has_zero(hit) and has_zero(hit.reshape(5, 9).t()) and has_zero(hit.requires_grad_())


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_small_and_strided_tensors(dtype):
    assert not has_zero(torch.empty(0, 3, dtype=dtype))
    assert has_zero(torch.tensor(-0.0, dtype=dtype))
    columns = torch.ones(4, 6, dtype=dtype)
    columns[:, 1] = 0.0
    assert has_zero(columns[:, 1::2]) and not has_zero(columns[:, ::2])
    assert has_zero(columns[:1].expand(3, 6))


def test_a_lazily_negated_view():
    lazy = torch.imag(torch.tensor([1 + 2j, 3 + 4j]).conj())
    assert lazy.is_neg() and not has_zero(lazy)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_on_a_gpu(dtype):
    z = torch.ones(1000, dtype=dtype, device="cuda")
    assert not has_zero(z)
    z[500] = -0.0
    assert has_zero(z)
