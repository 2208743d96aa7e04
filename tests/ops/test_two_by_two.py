"""The fast path for 2x2 windows: the bits of torch's own maximum and index, and the count of tied_windows."""

import pytest
import torch
import torch.nn.functional as F
from pool_cases import ties
from slow_reference import same_bits, special_values

from kinks.ops import PoolDerivative, PoolSwitch, max_pool2d_with_ties, tied_windows, two_by_two
from kinks.ops.pool_windows import windows

CELLS = windows("test", 2)


def inputs(dtype):
    finite = special_values(dtype)
    finite = finite[~finite.isnan()]
    shuffled = finite[torch.randint(len(finite), (4 * 3 * 8 * 6,), generator=torch.Generator().manual_seed(0))]
    yield shuffled.reshape(4, 3, 8, 6)
    yield ties(dtype, (2, 3, 8, 10))
    yield torch.relu(torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1)).to(dtype))
    yield -torch.zeros(1, 2, 4, 4, dtype=dtype)
    yield ties(dtype, (3, 6, 8))
    yield ties(dtype, (2, 3, 4, 2))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_maximum_index_and_count_are_those_of_torch_and_of_tied_windows(dtype):
    for x in inputs(dtype):
        assert two_by_two.applies(x, CELLS)
        top, indices, count = two_by_two.pooled(x)
        expected, places = F.max_pool2d(x, 2, return_indices=True)
        assert same_bits(top, expected) and torch.equal(indices, places)
        assert torch.equal(count.int(), tied_windows(x, 2)) and (count > 1).any()


def test_a_nan_is_left_to_torch():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 3, 3] = float("nan")
    assert two_by_two.pooled(x) is None
    top, count = max_pool2d_with_ties(x, PoolDerivative(1.0), 2)
    assert same_bits(top, F.max_pool2d(x, 2)) and count.flatten().tolist() == [4, 4, 4, 0]


@pytest.mark.parametrize(
    ("x", "cells"),
    [
        (torch.zeros(1, 1, 4, 5), CELLS),
        (torch.zeros(1, 1, 5, 4), CELLS),
        (torch.zeros(1, 2, 4, 4).to(memory_format=torch.channels_last), CELLS),
        (torch.zeros(1, 1, 4, 4), windows("test", 3, 2, 1)),
        (torch.zeros(1, 1, 4, 4), windows("test", 2, 1)),
    ],
)
def test_whatever_else_is_left_to_torch(x, cells):
    assert not two_by_two.applies(x, cells)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("arguments", [(2,), (3, 2, 1)], ids=str)
def test_ties_come_with_the_pool(arguments, dtype):
    x = ties(dtype, (2, 3, 8, 8)).requires_grad_()
    top, count = max_pool2d_with_ties(x, PoolSwitch(), *arguments)
    assert torch.equal(count.int().clamp(min=1), tied_windows(x, *arguments))
    assert same_bits(top.detach(), F.max_pool2d(x, *arguments).detach()) and top.requires_grad
