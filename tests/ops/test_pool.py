"""max_pool2d: forward, and gradient at every kind of tie."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from pool_cases import BETAS, EXACT, INF, MIXED, NAN, SHAPES, distinct, gradient, ties
from slow_pool import pool_gradient, tie_counts
from slow_reference import DTYPES, same_bits, special_values
from torch.autograd import grad
from torch.func import vjp

from kinks.ops import PoolDerivative, PoolSwitch, max_pool2d, tied_windows

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def skip_without_gpu(request):
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def window_gradient(entries, derivative, upstream=1.0):
    """The gradient in a single window of two rows."""
    x = torch.tensor(entries, dtype=torch.float64).reshape(1, 2, -1)
    up = torch.full((1, 1, 1), upstream, dtype=torch.float64)
    return gradient(x, up, derivative, tuple(x.shape[-2:])).flatten().tolist()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_exact_forward_is_that_of_torch_bit_for_bit(windows, dtype, device):
    special = special_values(dtype)[torch.randperm(72, generator=torch.Generator().manual_seed(1))]
    for x in (special.reshape(1, 2, 6, 6), ties(dtype), ties(dtype)[0], torch.randn(2, 2, 8, 8).to(dtype)):
        x = x.to(device)
        expected = F.max_pool2d(x, *windows)
        for derivative in [*EXACT, PoolSwitch(PoolDerivative(10.0))]:
            assert same_bits(max_pool2d(x, derivative, *windows), expected)
            assert same_bits(max_pool2d(x.clone().requires_grad_(), derivative, *windows).detach(), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("derivative", EXACT, ids=str)
@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_gradient_equals_the_slow_reference(windows, derivative, device):
    for x in (ties(torch.float64), ties(torch.float64)[0], ties(torch.float64).to(memory_format=torch.channels_last)):
        upstream = torch.randn(F.max_pool2d(x, *windows).shape, dtype=torch.float64)
        expected = pool_gradient(x, upstream, derivative.beta, *windows)
        result = gradient(x.to(device), upstream.to(device), derivative, *windows).cpu()
        assert torch.allclose(result, expected, rtol=1e-12, atol=1e-12 * max(1.0, abs(derivative.beta)))
        assert (tie_counts(x, *windows) >= 2).any()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("derivative", EXACT, ids=str)
def test_shares_are_rounded_to_the_dtype_once_more_than_the_reference(derivative, dtype, device):
    x = ties(dtype, (4, 3, 8, 8))
    upstream = torch.randn(4, 3, 4, 4).to(dtype)
    result = gradient(x.to(device), upstream.to(device), derivative, 2).cpu()
    expected = pool_gradient(x, upstream, derivative.beta, 2)
    # Three roundings in the accumulator of a number that is at most beta x upstream, and one to storage.
    assert torch.allclose(result.double(), expected, rtol=3 * torch.finfo(dtype).eps, atol=0.0)


@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("value", [0.0, 1.5, -2.0, INF])
def test_every_tie_of_a_two_by_two_window_has_the_paper_s_jacobian(order, value):
    # Section a1: (1 - beta) + beta/k at the first maximal entry, beta/k at the others, norms as tabulated.
    for places in itertools.combinations(range(4), order):
        entries = [value if i in places else -3.0 for i in range(4)]
        for beta in BETAS:
            row = window_gradient(entries, PoolDerivative(beta))
            expected = [beta / order * (i in places) + (1 - beta) * (i == places[0]) for i in range(4)]
            assert row == pytest.approx(expected, rel=1e-12) and sum(row) == pytest.approx(1.0, rel=1e-9)


def test_norms_of_the_rows_are_those_of_the_paper():
    published = {1: (0.707, 0.577, 0.5), 10: (6.40, 7.37, 7.81), 100: (70.0, 80.8, 85.7), 1000: (706, 816, 865)}
    for beta, norms in published.items():
        for order, norm in zip((2, 3, 4), norms, strict=True):
            row = torch.tensor(window_gradient([1.0] * order + [0.0] * (4 - order), PoolDerivative(beta)))
            assert row.norm().item() == pytest.approx(norm, rel=1e-3)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_minimal_norm_share_is_the_same_for_all_and_rounded_once(dtype):
    for order in (2, 3, 4, 7, 9):
        x = torch.zeros(1, 3, 3, dtype=dtype)
        x.view(-1)[order:] = -1.0
        upstream = torch.tensor([[[0.7]]], dtype=dtype)
        shared = gradient(x, upstream, PoolDerivative(1.0), 3).flatten()
        once = (upstream.double() / order).to(dtype).flatten()
        assert same_bits(shared[:order], once.expand(order)) and not shared[order:].any()


def test_signed_zeros_tie():
    assert window_gradient([-0.0, 0.0, -1.0, -2.0], PoolDerivative(1.0)) == [0.5, 0.5, 0.0, 0.0]
    assert window_gradient([0.0, -0.0, -0.0, -2.0], PoolDerivative(3.0)) == [-1.0, 1.0, 1.0, 0.0]


def test_minus_infinity_ties_with_itself_but_not_with_padding():
    assert window_gradient([-INF] * 4, PoolDerivative(1.0)) == [0.25] * 4
    x = torch.full((1, 2, 2), -INF, dtype=torch.float64)
    assert tied_windows(x, 2, 2, 1).flatten().tolist() == [1, 1, 1, 1]
    assert gradient(x, torch.ones(1, 2, 2, dtype=torch.float64), PoolDerivative(10.0), 2, 2, 1).eq(1.0).all()


def test_nan_wins_and_takes_the_gradient_where_torch_sends_it():
    for derivative in (*EXACT, *MIXED[1:2]):
        assert window_gradient([NAN, 1.0, NAN, 2.0], derivative) == [0.0, 0.0, 1.0, 0.0]
        assert window_gradient([2.0, 2.0, NAN, 2.0], derivative) == [0.0, 0.0, 1.0, 0.0]
    # A NaN beside a tied window leaves that one alone.
    x = torch.tensor([[[NAN, 1.0, 3.0, 3.0]]])
    assert gradient(x, torch.ones(1, 1, 2), PoolDerivative(1.0), (1, 2)).flatten().tolist() == [1.0, 0.0, 0.5, 0.5]


def test_an_infinite_upstream_gradient_reaches_only_maximal_entries():
    assert window_gradient([5.0, 5.0, 1.0, 5.0], PoolDerivative(1.0), INF) == [INF, INF, 0.0, INF]
    assert window_gradient([5.0, 4.0, 1.0, 3.0], PoolDerivative(10.0), -INF) == [-INF, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_beta_zero_is_torch_s_own_function(dtype):
    x = ties(dtype).requires_grad_()
    out = max_pool2d(x, PoolDerivative(0.0), 3, 2, 1)
    assert type(out.grad_fn).__name__ == type(F.max_pool2d(x, 3, 2, 1).grad_fn).__name__


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last], ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_without_a_tie_the_gradient_is_that_of_torch_bit_for_bit_on_both_paths(windows, dtype, memory_format):
    x = distinct((1, 3, 7, 9), dtype).to(memory_format=memory_format).requires_grad_()
    native = F.max_pool2d(x, *windows)
    upstream = torch.randn(native.shape).to(dtype)
    expected = grad(native, x, upstream)[0]
    assert tied_windows(x, *windows).eq(1).all()
    for beta in BETAS:
        assert same_bits(gradient(x, upstream, PoolDerivative(beta), *windows), expected)
        # Inside a transform values cannot be read, so that the plain path runs.
        call = lambda x, beta=beta: max_pool2d(x, PoolDerivative(beta), *windows)  # noqa: E731
        assert same_bits(vjp(call, x.detach())[1](upstream)[0], expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("derivative", [*EXACT, *MIXED], ids=str)
def test_one_tie_far_away_changes_no_other_window(derivative, dtype):
    untied, tied = distinct((1, 1, 6, 6), dtype), distinct((1, 1, 6, 6), dtype)
    tied[..., :2, :2] = 50.0
    upstream = torch.randn(1, 1, 3, 3).to(dtype)
    first, second = (gradient(x, upstream, derivative, 2) for x in (untied, tied))
    assert same_bits(first[..., 2:, :], second[..., 2:, :])
