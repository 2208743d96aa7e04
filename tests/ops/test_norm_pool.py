"""norm_pool2d: the norm of a window, and the derivative where the norm is zero."""

import pytest
import torch
from slow_pool import norm_gradient
from slow_reference import DTYPES, lattice, same_bits
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, vmap

from kinks.ops import NormPool2d, NormPoolDerivative, norm_pool2d

# PyTorch's own forward mode warns of torch.jit.script the first time it is used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

CHOICES = [NormPoolDerivative(value, rule) for value in (0.0, 1.0, -0.5) for rule in ("chain", "assign")]
SHAPES = [(2,), (3, 2), ((1, 3), (2, 1))]


def gradient(x, upstream, derivative, *windows):
    x = x.detach().requires_grad_()
    return grad(norm_pool2d(x, derivative, *windows), x, upstream)[0]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_forward_rounds_squares_sum_and_root_and_does_not_depend_on_the_choice(dtype):
    x = torch.randn(2, 3, 4, 6).to(dtype)
    entries = x.reshape(2, 3, 2, 2, 3, 2).movedim(4, 3).flatten(-2)
    accumulator = dtype if dtype == torch.float64 else torch.float32
    squares = (entries * entries).to(accumulator)
    expected = squares.sum(-1).to(dtype).to(accumulator).sqrt().to(dtype)
    results = [norm_pool2d(x, derivative) for derivative in CHOICES]
    assert torch.allclose(results[0], expected, rtol=2 * torch.finfo(dtype).eps, atol=0.0)
    assert all(same_bits(result, results[0]) for result in results)
    if dtype in (torch.float16, torch.bfloat16):
        assert same_bits(results[0], expected)


@pytest.mark.parametrize("derivative", CHOICES, ids=str)
@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_gradient_equals_the_slow_reference(windows, derivative):
    x = lattice((2, 2, 7, 6), torch.float64, 40, levels=1)
    x[:, :, :5, :4] *= -0.0
    for given in (x, x[0]):
        out = norm_pool2d(given, derivative, *windows)
        upstream = torch.randn(out.shape, dtype=torch.float64)
        expected = norm_gradient(given, upstream, derivative.at_zero, derivative.rule, *windows)
        assert (out == 0).sum() >= 4 and (out != 0).sum() >= 4
        assert torch.allclose(gradient(given, upstream, derivative, *windows), expected, rtol=1e-12, atol=1e-14)


def test_the_two_pools_of_the_paper_at_a_window_of_zeros():
    x, upstream = torch.zeros(1, 2, 2), torch.tensor([[[3.0]]])
    assert gradient(x, upstream, NormPoolDerivative(0.0)).flatten().tolist() == [0.0] * 4
    assert gradient(x, upstream, NormPoolDerivative(1.0)).flatten().tolist() == [3.0] * 4
    assert gradient(x, upstream, NormPoolDerivative(1.0, "assign")).flatten().tolist() == [1.0] * 4


def test_in_half_precision_a_small_window_underflows_to_the_kink():
    # Section a6: 1.70e-4 squares to 0 and 1.73e-4 to 2^-24.
    for value, at_kink in ((1.70e-4, True), (1.73e-4, False)):
        x = torch.tensor([[[value, 0.0], [0.0, 0.0]]], dtype=torch.float16)
        out = norm_pool2d(x, NormPoolDerivative(1.0))
        assert (out.item() == 0.0) is at_kink
        last = gradient(x, torch.ones_like(out), NormPoolDerivative(1.0))[0, 1, 1].item()
        assert last == (1.0 if at_kink else 0.0)


@pytest.mark.parametrize("windows", SHAPES, ids=str)
@pytest.mark.parametrize("derivative", CHOICES, ids=str)
def test_gradcheck_and_gradgradcheck_away_from_the_kink(derivative, windows):
    x = torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(41)).requires_grad_()
    call = lambda x: norm_pool2d(x, derivative, *windows)  # noqa: E731
    assert gradcheck(call, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, x, check_fwd_over_rev=True)


@pytest.mark.parametrize("value", [0.0, 1.0, -0.5])
def test_transforms_agree_with_a_loop_and_with_each_other_at_the_kink(value):
    batch = lattice((4, 2, 4, 4), torch.float64, 42, levels=1)
    batch[:, :, :2, :2] = 0.0
    call = lambda x: norm_pool2d(x, NormPoolDerivative(value))  # noqa: E731
    loss = lambda x: (call(x) ** 2).sum()  # noqa: E731
    looped = torch.stack([gradient(x, 2 * call(x), NormPoolDerivative(value)) for x in batch])
    assert same_bits(vmap(torch.func.grad(loss))(batch), looped)
    assert torch.allclose(jacrev(call)(batch[0]), jacfwd(call)(batch[0]), rtol=1e-14)
    curvature = hessian(loss)(batch[0]).reshape(32, 32)
    assert curvature.isfinite().all() and torch.allclose(curvature, jacrev(jacrev(loss))(batch[0]).reshape(32, 32))
    # The sum of squares has the curvature 2 where norms are smooth.
    smooth = (call(batch[0]) != 0).repeat_interleave(2, -1).repeat_interleave(2, -2).flatten()
    assert torch.allclose(curvature[smooth][:, smooth], 2 * torch.eye(int(smooth.sum()), dtype=torch.float64))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_without_graph_break_equals_eager():
    x = lattice((1, 2, 4, 4), torch.float32, 43, levels=1).requires_grad_()
    loss = lambda x: norm_pool2d(x, NormPoolDerivative(1.0)).sum()  # noqa: E731
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert same_bits(grad(compiled(x), x)[0], grad(loss(x), x)[0])


def test_bad_input_gets_one_clear_line():
    with pytest.raises(TypeError, match=r"norm_pool2d: got a torch.strided tensor of torch.int64; allowed: "):
        norm_pool2d(torch.ones(1, 2, 2, dtype=torch.int64), NormPoolDerivative())
    with pytest.raises(TypeError, match=r"norm_pool2d: got 1.0; allowed: a NormPoolDerivative"):
        norm_pool2d(torch.ones(1, 2, 2), 1.0)
    with pytest.raises(ValueError, match=r"norm_pool2d: got a tensor of shape \(1, 1, 1\); allowed: height and width"):
        norm_pool2d(torch.ones(1, 1, 1), NormPoolDerivative())
    with pytest.raises(ValueError, match=r"NormPoolDerivative: at_zero is inf; allowed: a finite number"):
        NormPoolDerivative(float("inf"))


def test_module_prints_and_computes():
    module = NormPool2d(NormPoolDerivative(1.0))
    shown = "kernel_size=(2, 2), stride=(2, 2), NormPoolDerivative(at_zero=1.0, rule='chain')"
    assert repr(module) == f"NormPool2d({shown})"
    assert module(torch.tensor([[[3.0, 0.0], [-4.0, 0.0]]])).item() == 5.0
