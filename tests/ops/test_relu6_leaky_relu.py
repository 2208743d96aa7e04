"""relu6 and leaky_relu: forward, gradient and second derivative, with a value for every kink."""

import pytest
import torch
import torch.nn.functional as F
from slow_reference import DTYPES, lattice, leaky_relu_gradient, relu6_gradient, same_bits, special_values
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, vmap

from kinks.ops import LeakyReLU, LeakyReLUDerivative, ReLU6, ReLU6Derivative, leaky_relu, relu6

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
RULES = ["chain", "assign"]
AT_KINKS = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, -2.0)]
SLOPES = [(0.01, None), (0.01, 0.0), (0.01, 1.0), (0.25, -3.0), (-0.5, 0.1), (0.0, 0.5)]


def finite(dtype):
    z = special_values(dtype)
    return z[~z.isnan()]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("at_zero", "at_six"), AT_KINKS)
def test_relu6_equals_the_slow_reference_bit_for_bit(at_zero, at_six, rule, dtype):
    derivative = ReLU6Derivative(at_zero, at_six, rule)
    assert same_bits(relu6(special_values(dtype), derivative), F.relu6(special_values(dtype)))
    for z in (finite(dtype), lattice((7, 33), dtype, seed=1, step=2.0, levels=4)):
        assert (z == 0).any() and (z == 6).any()
        leaf, upstream = z.clone().requires_grad_(), torch.randn(z.shape).to(dtype)
        out = relu6(leaf, derivative)
        assert same_bits(out.detach(), F.relu6(z))
        expected = relu6_gradient(z, upstream, at_zero, at_six, rule)
        assert same_bits(grad(out, leaf, upstream)[0], expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("slope", "at_zero"), SLOPES)
def test_leaky_relu_equals_the_slow_reference_bit_for_bit(slope, at_zero, rule, dtype):
    derivative = LeakyReLUDerivative(at_zero, rule)
    native = F.leaky_relu(special_values(dtype), slope)
    assert same_bits(leaky_relu(special_values(dtype), slope, derivative), native)
    for z in (finite(dtype), lattice((7, 33), dtype, seed=2)):
        leaf, upstream = z.clone().requires_grad_(), torch.randn(z.shape).to(dtype)
        out = leaky_relu(leaf, slope, derivative)
        assert same_bits(out.detach(), F.leaky_relu(z, slope))
        expected = leaky_relu_gradient(z, upstream, slope, slope if at_zero is None else at_zero, rule)
        # torch.equal where slope x upstream may be a zero of either sign.
        same = torch.equal if slope == 0.0 else same_bits
        assert same(grad(out, leaf, upstream)[0], expected)


@pytest.mark.parametrize("slope", [0.01, 0.25])
def test_torch_s_own_value_at_zero_is_the_slope(slope):
    z = torch.zeros(33, requires_grad=True)
    assert torch.equal(grad(F.leaky_relu(z, slope).sum(), z)[0], torch.full((33,), slope))


@pytest.mark.parametrize("rule", RULES)
def test_gradients_at_nan_are_those_of_torch(rule):
    for count in (1, 3, 33):
        z = torch.full((count,), float("nan"), requires_grad=True)
        ours = relu6(z, ReLU6Derivative(0.5, 0.5, rule))
        assert same_bits(grad(ours.sum(), z)[0], grad(F.relu6(z).sum(), z)[0])
        ours = leaky_relu(z, 0.1, LeakyReLUDerivative(0.5, rule))
        assert same_bits(grad(ours.sum(), z)[0], torch.full((count,), 0.1))


CALLS = [
    (lambda z, rule: relu6(z, ReLU6Derivative(0.5, 0.25, rule)), [0.5, 0.5, 1.0, 0.0, 0.25, 0.0]),
    (lambda z, rule: leaky_relu(z, 0.1, LeakyReLUDerivative(0.5, rule)), [0.5, 0.5, 1.0, 0.1, 1.0, 1.0]),
]
POINTS = torch.tensor([0.0, -0.0, 2.0, -2.0, 6.0, 8.0], dtype=torch.float64)


@pytest.mark.parametrize(("call", "slopes"), CALLS, ids=["relu6", "leaky_relu"])
def test_transforms_of_the_chain_rule(call, slopes):
    slopes = torch.tensor(slopes, dtype=torch.float64)
    assert torch.equal(jacrev(call)(POINTS, "chain"), slopes.diag())
    assert torch.equal(jacfwd(call)(POINTS, "chain"), slopes.diag())
    loss = lambda z: (call(z, "chain") ** 2).sum()  # noqa: E731
    assert torch.equal(hessian(loss)(POINTS), (2 * slopes**2).diag())
    batch = torch.stack([POINTS, -POINTS])
    looped = torch.stack([torch.func.grad(loss)(z) for z in batch])
    assert same_bits(vmap(torch.func.grad(loss))(batch), looped)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize(("call", "slopes"), CALLS, ids=["relu6", "leaky_relu"])
def test_second_derivatives(call, slopes, rule):
    z, upstream = POINTS.clone().requires_grad_(), torch.randn(6, dtype=torch.float64, requires_grad=True)
    first = grad(call(z, rule), z, upstream, create_graph=True)[0]
    to_upstream, to_z = grad(first.sum(), (upstream, z), allow_unused=True, materialize_grads=True)
    kinks = [place == 0 or (place == 6 and slope == 0.25) for place, slope in zip(POINTS, slopes, strict=True)]
    constant = [0.0 if rule == "assign" and kink else slope for kink, slope in zip(kinks, slopes, strict=True)]
    assert to_upstream.tolist() == constant and not to_z.any()
    smooth = (torch.randn(20, dtype=torch.float64) * 3).requires_grad_()
    assert gradcheck(call, (smooth, rule), check_forward_ad=True)
    assert gradgradcheck(call, (smooth, rule))


def test_wrong_arguments_are_refused():
    z = torch.zeros(3)
    with pytest.raises(TypeError, match=r"relu6: got 0.5; allowed: a ReLU6Derivative"):
        relu6(z, 0.5)
    with pytest.raises(TypeError, match=r"leaky_relu: got 0.5; allowed: a LeakyReLUDerivative"):
        leaky_relu(z, 0.1, 0.5)
    with pytest.raises(ValueError, match=r"leaky_relu: slope is nan; allowed: a finite number"):
        leaky_relu(z, float("nan"), LeakyReLUDerivative())
    for call in (lambda t: relu6(t, ReLU6Derivative()), lambda t: leaky_relu(t, 0.1, LeakyReLUDerivative())):
        with pytest.raises(TypeError, match=r"got a torch.strided tensor of torch.int64; allowed"):
            call(torch.arange(3))


def test_modules_print_and_compute():
    six, leaky = ReLU6(ReLU6Derivative(0.5, 1.0)), LeakyReLU(0.1, LeakyReLUDerivative(0.5))
    assert repr(six) == "ReLU6(ReLU6Derivative(at_zero=0.5, at_six=1.0, rule='chain'))"
    assert repr(leaky) == "LeakyReLU(slope=0.1, LeakyReLUDerivative(at_zero=0.5, rule='chain'))"
    z = torch.tensor([0.0, 6.0], requires_grad=True)
    assert grad(six(z).sum(), z)[0].tolist() == [0.5, 1.0]
    assert grad(leaky(z).sum(), z)[0].tolist() == [0.5, 1.0]
    assert torch.equal(grad(LeakyReLU(0.1)(z).sum(), z)[0], grad(F.leaky_relu(z, 0.1).sum(), z)[0])
