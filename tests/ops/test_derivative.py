"""The frozen choices and the switch."""

import pickle

import pytest
import torch
from slow_reference import DTYPES, lattice, same_bits
from torch import nn
from torch.autograd import grad

from kinks.ops import DerivativeSwitch, LeakyReLUDerivative, ReLU6Derivative, ReLUDerivative, relu


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), True, "0.5", None, 1j])
def test_a_value_that_is_no_finite_number_is_refused(bad):
    for make in (ReLUDerivative, lambda v: ReLU6Derivative(at_six=v)):
        with pytest.raises(ValueError, match=r"Derivative: \w+ is .*; allowed: a finite number"):
            make(bad)


def test_an_unknown_rule_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"LeakyReLUDerivative: rule is 'multiply'; allowed: 'chain', 'assign'"):
        LeakyReLUDerivative(0.5, "multiply")


def test_choices_are_values():
    assert ReLUDerivative(1) == ReLUDerivative(1.0) and hash(ReLUDerivative(1)) == hash(ReLUDerivative(1.0))
    assert ReLUDerivative(0.5) != ReLUDerivative(0.5, "assign")
    assert pickle.loads(pickle.dumps(ReLU6Derivative(0.5, 1.0))) == ReLU6Derivative(0.5, 1.0)
    assert str(ReLUDerivative(-0.0).alpha) == "0.0"
    with pytest.raises(AttributeError):
        ReLUDerivative().alpha = 1.0


def test_the_slope_stands_for_a_missing_value():
    assert LeakyReLUDerivative().with_slope(0.1) == LeakyReLUDerivative(0.1)
    assert LeakyReLUDerivative(0.5).with_slope(0.1) == LeakyReLUDerivative(0.5)


def test_a_switch_refuses_a_number():
    switch = DerivativeSwitch(ReLUDerivative(0.5))
    with pytest.raises(TypeError, match=r"DerivativeSwitch: got 0.5; allowed: a ReLUDerivative"):
        switch.derivative = 0.5
    assert repr(switch) == "DerivativeSwitch(ReLUDerivative(alpha=0.5, rule='chain'))"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_graph_serves_every_choice_bit_for_bit(dtype):
    generator = torch.Generator().manual_seed(20)
    x, first = lattice((16, 12), dtype, 21), lattice((12, 10), dtype, 22)
    second = torch.randn(10, 4, generator=generator).to(dtype)
    choices = [ReLUDerivative(a, rule) for a in (0.0, 1.0, 0.1, -3.0) for rule in ("chain", "assign")]

    def loss(weights, derivative):
        hidden = relu(relu(x @ weights, derivative) - 1.0, derivative)
        return nn.functional.cross_entropy(hidden @ second, torch.arange(16) % 4)

    switch = DerivativeSwitch()
    shared = first.clone().requires_grad_()
    once = loss(shared, switch)
    from_switch = []
    for switch.derivative in choices:
        from_switch.append(grad(once, shared, retain_graph=True)[0])
    for choice, gradient in zip(choices, from_switch, strict=True):
        separate = first.clone().requires_grad_()
        assert same_bits(gradient, grad(loss(separate, choice), separate)[0]), choice
    assert not torch.equal(from_switch[0], from_switch[2])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_switch_stays_live_under_compile():
    switch = DerivativeSwitch(ReLUDerivative(0.5))
    compiled = torch.compile(lambda z: relu(z, switch).sum(), backend="eager")
    z = torch.zeros(4, requires_grad=True)
    out = compiled(z)
    switch.derivative = ReLUDerivative(0.25)
    assert grad(out, z)[0].tolist() == [0.25] * 4
