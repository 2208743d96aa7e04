"""The pool of the training loop: bit for bit the public one, forward, backward and count, wherever it applies."""

import gc
import weakref

import pytest
import torch
import torch.nn.functional as F
from pool_cases import ties
from slow_reference import same_bits, special_values

from kinks.ops import PoolDerivative, max_pool2d_with_ties, pool_in_training
from kinks.ops.pool_windows import windows

CELLS = windows("test", 2)
DERIVATIVES = [PoolDerivative(beta, forward) for beta in (0.0, 1.0, 37.0, -0.3) for forward in ("exact", "mixed")]


def inputs(dtype):
    finite = special_values(dtype)
    finite = finite[torch.isfinite(finite)]
    shuffled = finite[torch.randint(len(finite), (4 * 3 * 8 * 6,), generator=torch.Generator().manual_seed(0))]
    yield shuffled.reshape(4, 3, 8, 6)
    yield ties(dtype, (2, 3, 8, 10))
    yield torch.relu(torch.randn(3, 4, 12, 12, generator=torch.Generator().manual_seed(1)).to(dtype))
    yield -torch.zeros(1, 2, 4, 4, dtype=dtype)
    yield torch.randn(3, 6, 8, generator=torch.Generator().manual_seed(2)).to(dtype)


@pytest.mark.parametrize("derivative", DERIVATIVES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_it_is_the_public_pool(dtype, derivative):
    for x in inputs(dtype):
        ours, theirs = (x.clone().requires_grad_() for _ in range(2))
        assert pool_in_training.applies(ours, CELLS)
        found = pool_in_training.maxima(ours)
        assert same_bits(found.top, F.max_pool2d(x, 2))
        y = pool_in_training.pool(ours, found, derivative)
        expected, count = max_pool2d_with_ties(theirs, derivative, 2)
        assert torch.equal(found.count.int(), count.int())
        assert torch.equal(torch.nan_to_num(y, 7.0), torch.nan_to_num(expected, 7.0))
        upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(dtype)
        gradients = [torch.autograd.grad(*pair, upstream)[0] for pair in ((y, ours), (expected, theirs))]
        assert torch.equal(*gradients)


@pytest.mark.parametrize("derivative", DERIVATIVES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_with_the_relu_before_it_it_is_both(dtype, derivative):
    for x in inputs(dtype):
        ours, theirs = (x.clone().requires_grad_() for _ in range(2))
        found = pool_in_training.maxima(ours, rectified=True)
        y = pool_in_training.pool(ours, found, derivative, rectified=True)
        expected, count = max_pool2d_with_ties(torch.relu(theirs), derivative, 2)
        assert torch.equal(torch.nan_to_num(y, 7.0), torch.nan_to_num(expected, 7.0))
        positive = found.top > 0
        assert torch.equal(positive, F.max_pool2d(x, 2) > 0)
        assert torch.equal(found.count[positive].int(), count[positive].int())
        upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(dtype)
        gradients = [torch.autograd.grad(*pair, upstream)[0] for pair in ((y, ours), (expected, theirs))]
        assert torch.equal(*gradients)


def test_infinite_gradients_stay_where_they_belong():
    x = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]]).requires_grad_()
    y = pool_in_training.pool(x, pool_in_training.maxima(x), PoolDerivative(1.0))
    (gradient,) = torch.autograd.grad(y, x, torch.full_like(y, float("inf")))
    assert gradient.tolist() == [[[float("inf"), 0.0], [float("inf"), 0.0]]]


def test_a_nan_is_left_to_the_public_pool():
    x = torch.zeros(1, 1, 4, 4)
    x[0, 0, 3, 3] = float("nan")
    assert pool_in_training.maxima(x) is None


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
def test_other_shapes_and_windows_are_left_to_it_too(x, cells):
    assert not pool_in_training.applies(x, cells)


def test_it_is_differentiated_once():
    x = torch.rand(1, 1, 2, 2, dtype=torch.float64).requires_grad_()
    y = pool_in_training.pool(x, pool_in_training.maxima(x), PoolDerivative(2.0))
    (gradient,) = torch.autograd.grad(y.pow(2).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@pytest.mark.parametrize("derivative", DERIVATIVES, ids=str)
def test_its_graph_goes_with_its_output(derivative):
    x = torch.rand(1, 1, 4, 4).requires_grad_()
    gc.disable()
    try:
        y = pool_in_training.pool(x, pool_in_training.maxima(x), derivative)
        graph = weakref.ref(y.grad_fn)
        assert graph() is not None
        del y
        assert graph() is None
    finally:
        gc.enable()
