"""max_pool2d: second derivative, switch, and every way PyTorch can transform it."""

import pytest
import torch
from pool_cases import BETAS, EXACT, MIXED, NAN, SHAPES, distinct, gradient, ties
from slow_reference import DTYPES, lattice, same_bits
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from kinks.ops import PoolDerivative, PoolSwitch, max_pool2d

# PyTorch's own forward mode warns of torch.jit.script the first time it is used.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_switch_serves_every_beta_from_one_graph_bit_for_bit(dtype):
    switch = PoolSwitch()
    x, weights = ties(dtype, (2, 2, 8, 8)).nan_to_num(posinf=2, neginf=-2), torch.randn(2, 2, 2, 2).to(dtype)
    shared = x.clone().requires_grad_()
    hidden = max_pool2d(max_pool2d(shared, switch, 3, 2, 1) * 2, switch, 2)
    for derivative in EXACT:
        switch.derivative = derivative
        separate = x.clone().requires_grad_()
        out = max_pool2d(max_pool2d(separate, derivative, 3, 2, 1) * 2, derivative, 2)
        assert same_bits(grad(hidden, shared, weights, retain_graph=True)[0], grad(out, separate, weights)[0])


@pytest.mark.parametrize("derivative", [EXACT[1], EXACT[2], MIXED[2]], ids=str)
@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_gradcheck_and_gradgradcheck_away_from_ties(windows, derivative):
    x = (distinct((1, 1, 4, 5)) / 7).requires_grad_()
    call = lambda x: max_pool2d(x, derivative, *windows)  # noqa: E731
    assert gradcheck(call, x, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(call, x, check_fwd_over_rev=True)


@pytest.mark.parametrize("derivative", [*EXACT, *MIXED], ids=str)
def test_gradcheck_at_ties_with_respect_to_upstream(derivative):
    x = lattice((1, 2, 5, 5), torch.float64, 33, levels=1).requires_grad_()
    backward = lambda u: grad(max_pool2d(x, derivative, 3, 2, 1), x, u, create_graph=True)[0]  # noqa: E731
    upstream = torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    # Differences of a value multiplied by beta lose as many digits.
    tolerance = {"atol": 1e-5 * max(1.0, abs(derivative.beta)), "rtol": 1e-3}
    assert gradcheck(backward, upstream, check_forward_ad=True, **tolerance)
    # The gradient is constant where it is defined, so its own derivative with respect to the input is 0.
    second = grad(backward(upstream).sum(), x, allow_unused=True, materialize_grads=True)[0]
    assert not second.any()


@pytest.mark.parametrize("derivative", [*EXACT, *MIXED], ids=str)
@pytest.mark.parametrize("windows", [(2,), (3, 2, 1)], ids=str)
def test_vmap_of_grad_equals_a_loop_bit_for_bit(windows, derivative):
    batch = lattice((5, 2, 6, 6), torch.float32, 34, levels=1)
    weights = torch.randn(2, 3, 3)
    one = lambda x: (weights * max_pool2d(x, derivative, *windows)).sum()  # noqa: E731
    looped = torch.stack([gradient(x, weights, derivative, *windows) for x in batch])
    assert same_bits(vmap(torch.func.grad(one))(batch), looped)
    assert same_bits(vmap(torch.func.grad(one), in_dims=-1)(batch.movedim(0, -1)), looped)
    together = vmap(lambda x: max_pool2d(x, derivative, *windows))(batch[:, None])[:, 0]
    assert same_bits(together, max_pool2d(batch, derivative, *windows))


@pytest.mark.parametrize("beta", BETAS)
@pytest.mark.parametrize("forward", ["exact", "mixed"])
def test_forward_and_reverse_mode_jacobians_agree_at_ties(forward, beta):
    x = lattice((1, 4, 5), torch.float64, 35, levels=1)
    x[0, 0, 0] = NAN
    call = lambda x: max_pool2d(x, PoolDerivative(beta, forward), 3, 2, 1)  # noqa: E731
    backward, onward = jacrev(call)(x), jacfwd(call)(x)
    assert torch.allclose(backward, onward, rtol=1e-12, atol=1e-12)
    batched = torch.autograd.functional.jacobian(call, x, vectorize=True)
    assert torch.equal(batched, backward)
    assert torch.allclose(backward.sum((-3, -2, -1)), torch.ones(1, 2, 3, dtype=torch.float64), atol=1e-10)
    tangent = torch.randn(1, 4, 5, dtype=torch.float64)
    scaled = (onward * tangent).sum((-3, -2, -1))
    assert torch.allclose(jvp(call, (x,), (tangent,))[1], scaled, rtol=1e-9, atol=1e-9)


def test_hessians_agree_with_the_closed_form():
    x = torch.tensor([[[2.0, 2.0], [2.0, 1.0]]], dtype=torch.float64)
    loss = lambda x: (max_pool2d(x, PoolDerivative(3.0), 2) ** 2).sum()  # noqa: E731
    row = torch.tensor([-1.0, 1.0, 1.0, 0.0], dtype=torch.float64)
    # Twice the outer product of the row with itself: the second derivative of the pool is 0.
    expected = 2 * torch.outer(row, row)
    for result in (hessian(loss)(x), jacrev(jacrev(loss))(x), torch.autograd.functional.hessian(loss, x)):
        assert torch.allclose(result.reshape(4, 4), expected, rtol=1e-14)


@pytest.mark.parametrize("derivative", [PoolDerivative(10.0), PoolDerivative(10.0, "mixed")], ids=str)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_without_graph_break_equals_eager(derivative):
    x = lattice((1, 2, 6, 6), torch.float32, 36, levels=1).requires_grad_()
    weights = torch.randn(1, 2, 3, 3)
    loss = lambda x: (weights * max_pool2d(x, derivative, 3, 2, 1)).sum()  # noqa: E731
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert same_bits(grad(compiled(x), x)[0], grad(loss(x), x)[0])
