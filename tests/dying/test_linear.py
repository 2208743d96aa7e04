"""An affine model with momentum: the tables of the specification, and iterates against powers of the matrix."""

import math

import numpy as np
import pytest
import torch

from kinks.dying import linear
from kinks.dying.rules import SGD, Adam

HEAVY, AVERAGED, NESTEROV = SGD(0.05, 0.9), SGD(0.5, 0.9, "averaged"), SGD(0.05, 0.9, nesterov=True)

OVERSHOOTS = [
    (0.5, 0.1, 0.000468794),
    (0.5, 1, 0.5),
    (0.9, 0.01, 0.153156),
    (0.9, 0.1, 0.603717),
    (0.9, 1, 0.9),
    (0.99, 0.001, 0.603978),
    (0.99, 0.01, 0.85518),
    (0.99, 0.1, 0.957161),
    (0.99, 1, 0.99),
]


@pytest.mark.parametrize(("mu", "step", "rho"), OVERSHOOTS)
def test_overshoot(mu, step, rho):
    assert linear.overshoot(SGD(step, mu)) == pytest.approx(rho, rel=2e-6)
    assert linear.overshoot(SGD(step / 4, mu), curvature=4.0) == pytest.approx(rho, rel=2e-6)


def test_overshoot_of_small_steps_is_that_of_the_oscillator():
    for mu, step in ((0.99, 1e-3), (0.999, 1e-4)):
        rule = SGD(step, mu)
        assert linear.overshoot_estimate(rule) == pytest.approx(linear.overshoot(rule), abs=0.01)
    assert linear.overshoot_estimate(SGD(0.001, 0.5)) == 0


@pytest.mark.parametrize(("mu", "low"), [(0.5, 0.0857864), (0.9, 0.0026334), (0.99, 2.51258e-05), (0.0, 1.0)])
def test_oscillation_begins(mu, low):
    assert linear.oscillating(SGD(0.1, mu)).low == pytest.approx(low, rel=1e-5)
    below, above = (linear.eigenvalues(SGD(low * factor, mu)) for factor in (0.99, 1.01))
    assert not below.imag.any()
    assert above.imag.any() == (mu > 0)


@pytest.mark.parametrize(("beta", "low"), [(0.5, 0.171573), (0.9, 0.026334), (0.99, 0.00251258)])
def test_oscillation_begins_in_the_averaged_convention(beta, low):
    assert linear.oscillating(SGD(0.1, beta)).low / (1 - beta) == pytest.approx(low, rel=1e-5)
    assert (1 - math.sqrt(beta)) / (1 + math.sqrt(beta)) == pytest.approx(low, rel=1e-5)
    below, above = (linear.eigenvalues(SGD(low * factor, beta, "averaged")) for factor in (0.99, 1.01))
    assert not below.imag.any() and above.imag.any()


@pytest.mark.parametrize("rule", [HEAVY, AVERAGED, NESTEROV, SGD(0.3)])
@pytest.mark.parametrize("h", [0.3, 1.0, 2.5])
def test_eigenvalues_are_those_of_the_matrix(rule, h):
    expected = np.sort_complex(np.linalg.eigvals(linear.transition(rule, h)).astype(complex))
    assert np.allclose(np.sort_complex(linear.eigenvalues(rule, h)), expected, atol=1e-12)
    assert linear.spectral_radius(rule, h) == pytest.approx(np.abs(expected).max())


def test_where_it_oscillates_the_spectral_radius_is_the_root_of_the_momentum():
    for mu in (0.5, 0.9, 0.99):
        low, high = linear.oscillating(SGD(1.0, mu))
        steps = np.linspace(low, high, 9)[1:-1]
        assert np.allclose(linear.spectral_radius(SGD(1.0, mu), steps), math.sqrt(mu), atol=1e-12)


@pytest.mark.parametrize("mu", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("nesterov", [False, True])
def test_the_limit_of_stability_separates(mu, nesterov):
    limit = linear.stability_limit(SGD(1.0, mu, nesterov=nesterov))
    inside, outside = (linear.spectral_radius(SGD(limit * factor, mu, nesterov=nesterov)) for factor in (0.999, 1.001))
    assert inside < 1 < outside


@pytest.mark.parametrize("rule", [HEAVY, AVERAGED, NESTEROV, SGD(0.3)])
def test_iterates_are_powers_of_the_matrix(rule):
    """Descent itself, on an affine model of three eigenvalues, against matrix powers to 1e-12 (claim R4)."""
    h = torch.tensor([0.2, 1.0, 1.7], dtype=torch.float64)
    distance = [torch.ones(3, dtype=torch.float64)]
    state = rule.state(distance)
    for step in range(1, 61):
        rule.step(distance, [h * distance[0]], state, step)
    for place, curvature in enumerate(h.tolist()):
        power = np.linalg.matrix_power(linear.transition(rule, curvature), 60)
        assert float(distance[0][place]) == pytest.approx(power[1, 1], abs=1e-12)
        assert linear.amplitudes(rule, 60, curvature)[60] == pytest.approx(power[1, 1], abs=1e-12)
        if state:
            assert float(state[0][place]) == pytest.approx(power[0, 1], abs=1e-12)


def test_both_conventions_agree_after_mapping():
    assert AVERAGED.heavy_ball == SGD(0.5 * (1 - 0.9), 0.9)
    assert np.allclose(linear.amplitudes(AVERAGED, 100), linear.amplitudes(AVERAGED.heavy_ball, 100), atol=1e-13)
    assert SGD.at_speed(0.1, 0.9).speed == pytest.approx(SGD.at_speed(0.1).speed)


def test_amplitudes_in_closed_form():
    found = linear.amplitude(HEAVY, np.arange(50), 1.5)
    assert np.allclose(found, linear.amplitudes(HEAVY, 49, 1.5), atol=1e-12)
    with pytest.raises(ValueError, match=r"eta h is 0.001; complex only in \(0.0857"):
        linear.amplitude(SGD(0.001, 0.5), 1)


JUMPS = [
    (0.9, 0.01, 24, -0.276509),
    (0.9, 0.1, 5, -2.3328),
    (0.5, 0.2, 6, -0.109192),
    (0.5, 0.05, linear.NEVER, 0.0),
    (0.9, 0.002, linear.NEVER, 0.0),
    (0.0, 0.5, linear.NEVER, 0.0),
]


@pytest.mark.parametrize(("mu", "eta", "step", "rest"), JUMPS)
def test_jump_and_rest(mu, eta, step, rest):
    assert linear.jump_step(SGD(eta, mu)) == step
    assert linear.rest_point(SGD(eta, mu)) == pytest.approx(rest, rel=2e-6)
    averaged = SGD(eta / (1 - mu), mu, "averaged")
    assert (linear.jump_step(averaged), linear.rest_point(averaged)) == (step, pytest.approx(rest, rel=2e-6))


def test_steps_beyond_the_oscillating_range_pass_the_optimum_too():
    """Without momentum nothing oscillates, but a step beyond 1 / h lands on the other side at once."""
    assert linear.oscillating(SGD(1.5)) == (1.0, 1.0)
    assert linear.jump_step(SGD(1.5)) == 1 and linear.rest_point(SGD(1.5)) == -0.5


def test_what_cannot_be_is_refused_with_the_limit():
    with pytest.raises(ValueError, match=r"eta \* h is 4 .* 2 \(1 \+ mu\) = 3.8, so eta < 1.9 with h = 2"):
        linear.check_step(SGD(2.0, 0.9), 2.0)
    with pytest.raises(ValueError, match=r"unstable; allowed: 0 < eta \* h < 2 \(1 \+ mu\) / \(1 \+ 2 mu\) = 1.357"):
        linear.overshoot(SGD(1.5, 0.9, nesterov=True))
    with pytest.raises(ValueError, match="unstable"):
        linear.check_step(SGD(torch.tensor([0.1, 4.0]), 0.9))
    with pytest.raises(ValueError, match=r"gamma is 0.0; allowed: > 0, .*; steps are stable .* 0 < eta < 3.8"):
        linear.check_gamma(0.0, SGD(0.1, 0.9))
    for gamma in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match=r"allowed: > 0, as the standard deviation of the targets$"):
            linear.check_gamma(gamma, Adam(0.1))
