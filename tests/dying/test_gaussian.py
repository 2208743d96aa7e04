"""Closed forms of one ReLU on Gaussian inputs against automatic differentiation, Monte Carlo and finite differences."""

import numpy as np
import pytest
import torch

from kinks.dying import canonical, gaussian, relu_teacher

D, SAMPLES = 3, 1_000_000
SLOPE = torch.tensor([0.6, -0.3, 0.2], dtype=torch.float64)


def weights(count=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(*shape, generator=generator, dtype=torch.float64) for shape in ((count, D), (count,)))


@pytest.mark.parametrize("offset", [0.0, 0.7, -1.2])
def test_gradients_are_those_of_automatic_differentiation(offset):
    w, b = (one.requires_grad_() for one in weights())
    expected = torch.autograd.grad(gaussian.loss(w, b, SLOPE, offset).sum(), (w, b))
    for found, want in zip(gaussian.gradient(w.detach(), b.detach(), SLOPE, offset), expected, strict=True):
        assert float((found - want).abs().max()) < 1e-12


@pytest.mark.parametrize("offset", [0.0, 0.7, -1.2])
def test_gradients_are_finite_differences(offset):
    w, b = weights()
    by_w, by_b = gaussian.gradient(w, b, SLOPE, offset)
    theirs = relu_teacher.gradient(w, b, SLOPE, offset)
    step = 1e-5
    for axis in range(D + 1):
        dw = step * torch.eye(D, dtype=torch.float64)[axis] if axis < D else torch.zeros(D, dtype=torch.float64)
        db = step * (axis == D)
        difference = gaussian.loss(w + dw, b + db, SLOPE, offset) - gaussian.loss(w - dw, b - db, SLOPE, offset)
        assert float((difference / (2 * step) - (by_w[:, axis] if axis < D else by_b)).abs().max()) < 4e-10
        difference = relu_teacher.loss(w + dw, b + db, SLOPE, offset) - relu_teacher.loss(w - dw, b - db, SLOPE, offset)
        assert np.abs(difference / (2 * step) - (theirs[0][:, axis] if axis < D else theirs[1])).max() < 1e-9


@pytest.mark.parametrize("teacher", ["affine", "relu"])
@pytest.mark.parametrize("offset", [0.0, -0.4])
def test_loss_and_gradients_are_means_over_samples(teacher, offset):
    """Within five standard errors of a million samples, of the program that is differentiated."""
    x = torch.randn(SAMPLES, D, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    y = x @ SLOPE + offset
    y = y.relu() if teacher == "relu" else y
    w, b = weights(3, seed=2)
    loss, gradient = (getattr(relu_teacher if teacher == "relu" else gaussian, name) for name in ("loss", "gradient"))
    for net in range(3):
        z = x @ w[net] + b[net]
        error = z.relu() - y
        samples = [error.square() / 2, *(error * (z > 0) * column for column in (*x.T, 1.0))]
        by_w, by_b = gradient(w[net], b[net], SLOPE, offset)
        exact = [loss(w[net], b[net], SLOPE, offset), *by_w, by_b]
        for sample, value in zip(samples, exact, strict=True):
            assert abs(float(sample.mean()) - float(value)) < 5 * float(sample.std()) / SAMPLES**0.5
        assert float((z > 0).double().mean()) == pytest.approx(
            float(gaussian.active_fraction(w[net], b[net])), abs=3e-3
        )


def test_dead_is_one_and_the_optimum_one_half():
    """Half the mean square over gamma^2 / 2, for targets without offset, at any gamma."""
    for gamma in (1e-4, 1.0, 30.0):
        slope = gamma * SLOPE / SLOPE.norm()
        dead = gaussian.loss(0 * slope, torch.tensor(-1.0, dtype=torch.float64), slope)
        best = gaussian.loss(slope, torch.tensor(0.0, dtype=torch.float64), slope)
        assert float(dead / (gamma**2 / 2)) == pytest.approx(1, abs=1e-12)
        assert float(best / (gamma**2 / 2)) == pytest.approx(0.5, abs=1e-12)


@pytest.mark.parametrize("offset", [0.0, 0.5])
def test_the_optimum_is_critical_and_its_hessian_positive(offset):
    at = torch.tensor(offset, dtype=torch.float64)
    assert all(float(part.abs().max()) < 1e-15 for part in gaussian.gradient(SLOPE, at, SLOPE, offset))
    hessian = gaussian.hessian_at_optimum(SLOPE, offset)
    joined = torch.cat([SLOPE, at[None]])
    expected = torch.autograd.functional.hessian(lambda v: gaussian.loss(v[:-1], v[-1], SLOPE, offset), joined)
    assert float((hessian - expected).abs().max()) < 1e-12
    assert float(torch.linalg.eigvalsh(hessian)[0]) > 0


def test_curvatures_at_the_optimum():
    values, vectors = torch.linalg.eigh(gaussian.hessian_at_optimum(SLOPE))
    assert values.tolist() == pytest.approx([0.101058, 0.5, 0.5, 0.898942], abs=1e-6)
    assert float(values[-1] / values[0]) == pytest.approx(8.9, abs=0.01)
    slowest = vectors[:, 0] * torch.sign(vectors[0, 0])
    assert float(slowest[:-1] @ SLOPE) * float(slowest[-1]) < 0, "the slowest direction is (u, -b)"


def test_nothing_else_is_critical_with_a_live_relu():
    """Where descent from many starts ends it is the optimum, or hardly an input is active."""
    at = torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradient = canonical.affine_with_offset(1.0, 0.3)
    for _ in range(1_000):
        at = at - 1.5 * torch.stack(gradient(*at.T), 1)
    found = torch.stack(gradient(*at.T), 1).norm(dim=1) < 1e-9
    live = canonical.active(*at.T) > 1e-3
    target = torch.tensor([1.0, 0.0, 0.3], dtype=torch.float64)
    assert int((found & live).sum()) > 100
    assert float((at[found & live] - target).abs().max()) < 1e-7


def test_the_origin_is_a_saddle():
    directions, db = weights(50, seed=3)
    origin = gaussian.loss(torch.zeros(D, dtype=torch.float64), torch.zeros((), dtype=torch.float64), SLOPE)
    for offset in (0.0, 0.4):
        at_zero = origin + offset**2 / 2
        expected = (gaussian.loss(1e-7 * directions, 1e-7 * db, SLOPE, offset) - at_zero) / 1e-7
        assert float((gaussian.slope_at_origin(directions, db, SLOPE, offset) - expected).abs().max()) < 1e-5
    slopes = gaussian.slope_at_origin(torch.stack([SLOPE, -SLOPE, 0 * SLOPE]), torch.tensor([0.1, 0.1, -1.0]), SLOPE)
    assert slopes[0] < 0 < slopes[1] and slopes[2] == 0, "descent, ascent, and the flat ray of dead ReLUs"


def test_the_gradient_at_the_origin_is_that_of_the_program():
    """ReLU'(0) = 0: automatic differentiation moves a ReLU without weights only if its bias is positive."""
    w = torch.zeros(3, D, dtype=torch.float64)
    b = torch.tensor([0.0, -1.0, 2.0], dtype=torch.float64)
    by_w, by_b = gaussian.gradient(w, b, SLOPE)
    assert not by_w[:2].any() and not by_b[:2].any()
    assert torch.allclose(by_w[2], -SLOPE) and float(by_b[2]) == 2.0


def test_shares_below_the_smallest_number_are_compared_by_their_logarithm():
    w, b = torch.tensor([[1.0], [1.0]], dtype=torch.float64), torch.tensor([-40.0, -50.0], dtype=torch.float64)
    logs = gaussian.log_active_fraction(w, b)
    assert logs[1] < logs[0] < -800 and torch.isfinite(logs).all()


@pytest.mark.parametrize("offset", [0.0, 0.6])
def test_canonical_coordinates_are_a_rotation(offset):
    w, b = weights()
    gamma = float(SLOPE.norm())
    w1, w2, _ = canonical.coordinates(w, b, SLOPE)
    by_w, by_b = gaussian.gradient(w, b, SLOPE, offset)
    axis = SLOPE / gamma
    aside = (w - w1[:, None] * axis) / w2[:, None]
    found = [canonical.affine_with_offset(gamma, offset)(w1, w2, b)] + [canonical.affine(gamma)(w1, w2, b)] * (
        not offset
    )
    for by_w1, by_w2, by_bias in found:
        assert torch.allclose(by_w1, by_w @ axis, atol=1e-13)
        assert torch.allclose(by_w2, (by_w * aside).sum(1), atol=1e-13)
        assert torch.allclose(by_bias, by_b, atol=1e-13)
    assert torch.allclose(canonical.loss(w1, w2, b, gamma, offset), gaussian.loss(w, b, SLOPE, offset), atol=1e-13)
    assert torch.allclose(canonical.active(w1, w2, b), gaussian.active_fraction(w, b), atol=1e-15)


def test_the_canonical_gradient_of_a_relu_teacher():
    w, b = weights()
    gamma = float(SLOPE.norm())
    w1, w2, _ = canonical.coordinates(w, b, SLOPE)
    by_w, by_b = relu_teacher.gradient(w, b, SLOPE, 0.3)
    by_w1, _, by_bias = relu_teacher.canonical(gamma, 0.3)(w1, w2, b)
    assert np.allclose(by_w1, by_w @ SLOPE.numpy() / gamma, atol=1e-13) and np.allclose(by_bias, by_b, atol=1e-13)


def test_a_relu_that_equals_its_teacher_has_no_loss():
    w, b = SLOPE[None], torch.zeros(1, dtype=torch.float64)
    for offset in (0.0, 0.4, -0.4):
        by_w, by_b = relu_teacher.gradient(w, b + offset, SLOPE, offset)
        assert np.abs(by_w).max() < 1e-15 and np.abs(by_b).max() < 1e-15
        assert abs(relu_teacher.loss(w, b + offset, SLOPE, offset)[0]) < 1e-15


def test_orthants_of_two_normals():
    """Quadrature of the conditional probability, the arcsine law at the origin, and the edges of the correlation."""
    for h, k, r in ((0.3, -0.5, 0.4), (-1.0, 0.0, 0.5), (0.0, 0.7, -0.6), (1.2, 0.4, -0.3), (-0.3, -0.2, 0.1)):
        z = np.linspace(-h, 12, 200_001)
        inner = relu_teacher.special.ndtr((k + r * z) / np.sqrt(1 - r * r)) * np.exp(-z * z / 2) / np.sqrt(2 * np.pi)
        assert relu_teacher.bivariate(h, k, r) == pytest.approx(np.trapezoid(inner, z), abs=1e-9)
    for r in (-1.0, -0.5, 0.0, 0.9, 1.0):
        assert relu_teacher.bivariate(0, 0, r) == pytest.approx(0.25 + np.arcsin(r) / (2 * np.pi), abs=1e-12)
    assert relu_teacher.bivariate([0.5, 1.0], [1.0, 1.0], 1.0) == pytest.approx(relu_teacher.special.ndtr([0.5, 1.0]))
    assert relu_teacher.bivariate(0.5, -1.0, -1.0) == pytest.approx(0, abs=1e-15)


def test_a_target_without_scale_is_refused():
    with pytest.raises(ValueError, match=r"gamma is 0; allowed: > 0 \(stable steps: 0 < eta < 2 \(1 \+ mu\)"):
        gaussian.hessian_at_optimum(0 * SLOPE)
    with pytest.raises(ValueError, match="gamma is 0"):
        relu_teacher.gradient(*weights(), 0 * SLOPE)
