"""Single ReLUs on finite data: the two cones, exact death at gamma = 0, and everything that data can do wrong."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from kinks.dying import cones, finite, linear
from kinks.dying.initial import single
from kinks.dying.rules import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
from descent import Torch

CUBE = cones.cube(3)
STARTS = cones.starts_in_live_cone(CUBE, 40, seed=0)


def gaussian(n=200, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def joined(kind, d, count, seed):
    w, b = single(kind, d, count, seed)
    return torch.cat([w, b[:, None]], 1)


def test_the_cube_and_whitened_samples_have_the_identity():
    for x in (CUBE, cones.whiten(gaussian() @ torch.randn(4, 4, dtype=torch.float64) + 3)):
        moment = cones.second_moment(x)
        assert float((moment - torch.eye(x.shape[1] + 1, dtype=x.dtype)).abs().max()) < 1e-12
        assert cones.curvature(x) == pytest.approx(1, abs=1e-12)


def test_the_cones():
    assert cones.live(STARTS, CUBE).all() and cones.dead(-STARTS, CUBE).all()
    assert (STARTS[:, 3] > STARTS[:, :3].abs().sum(1)).all(), "on the cube, b > |w|_1"
    assert cones.dead(torch.zeros(4, dtype=torch.float64), CUBE) and not cones.live(torch.zeros(4).double(), CUBE)
    mixed = torch.tensor([1.0, 0.0, 0.0, 0.5], dtype=torch.float64)
    assert not cones.dead(mixed, CUBE) and not cones.live(mixed, CUBE)


def test_inside_the_live_cone_the_linear_system_is_exact():
    x = gaussian(50, 2)
    y = cones.affine_targets(x, 0.1) + 5  # the optimum is deep inside the cone
    by, optimum = SGD(0.05, 0.9), cones.optimum(x, y)
    start = optimum + 0.1 * torch.randn(5, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    values, vectors = torch.linalg.eigh(cones.second_moment(x))
    found = finite.run(x, y, start, by, 40)
    factors = torch.tensor([linear.amplitudes(by, 40, float(h))[40] for h in values], dtype=torch.float64)
    expected = optimum + (start - optimum) @ vectors * factors @ vectors.T
    assert float((found.weights - expected).abs().max()) < 1e-12 and (found.death == -1).all()


JUMPS = [(0.99, 1e-4), (0.9, 0.01), (0.9, 0.1), (0.5, 0.2), (0.5, 0.05), (0.9, 0.002), (0.0, 0.5)]


@pytest.mark.parametrize(("mu", "eta"), JUMPS)
@pytest.mark.parametrize("d", [2, 5])
@pytest.mark.parametrize("form", ["heavy_ball", "averaged", "nesterov"])
def test_death_and_rest_without_target_are_exact(mu, eta, d, form):
    x = cones.cube(d)
    starts = cones.starts_in_live_cone(x, 5, seed=d)
    by = SGD(eta, mu, nesterov=form == "nesterov") if form != "averaged" else SGD(eta / (1 - mu), mu, "averaged")
    steps = 100 + int(25 / (1 - mu))
    found = finite.run(x, cones.affine_targets(x, 0.0), starts, by, steps)
    step = linear.jump_step(by)
    assert (found.death == step).all() and (found.dead == (step >= 0)).all()
    rest = linear.rest_point(by) if step >= 0 else linear.amplitudes(by, steps)[steps]
    assert torch.allclose(found.weights, rest * starts, atol=1e-9)


def test_death_without_target_is_a_sharp_step():
    """D3: on whitened data the share that dies is 0 below eta = (1 - sqrt(mu))^2 and 1 above it, for all data."""
    for x in (CUBE, cones.whiten(gaussian(10, 2)), cones.whiten(gaussian(100, 3))):
        starts = cones.starts_in_live_cone(x, 10, seed=1)
        for mu in (0.25, 0.5, 0.9):
            threshold = linear.oscillating(SGD(1.0, mu)).low
            for factor, share in ((0.5, 0.0), (0.98, 0.0), (1.1, 1.0), (2.0, 1.0)):
                by = SGD(factor * threshold, mu)
                steps = max(300, linear.jump_step(by) + 1)
                found = finite.run(x, cones.affine_targets(x, 0.0), starts, by, steps)
                assert float(found.dead.double().mean()) == share, (mu, factor)


@pytest.mark.parametrize("eta", [0.05, 0.5, 0.99])
def test_without_momentum_and_target_nothing_in_the_live_cone_dies(eta):
    found = finite.run(CUBE, cones.affine_targets(CUBE, 0.0), STARTS, SGD(eta), 50)
    assert not found.dead.any()


@pytest.mark.parametrize("by", [SGD(0.05), SGD(0.01, 0.9), SGD(0.05, 0.9, "averaged"), SGD(0.01, 0.9, nesterov=True)])
def test_starts_that_coast_end_where_they_would(by, monkeypatch):
    """Dead for good is settled early, with the step and the place that running on would give."""
    x = cones.whiten(gaussian())
    given = x, cones.affine_targets(x, 0.02), joined("library", 4, 60, 1), by, 300
    quick = finite.run(*given)
    monkeypatch.setattr(finite, "LOOK", 10**9)
    slow = finite.run(*given)
    assert torch.equal(quick.death, slow.death) and torch.equal(quick.dead, slow.dead)
    assert float((quick.weights - slow.weights).abs().max()) < 1e-12
    assert slow.dead.any() and not slow.dead.all()


@pytest.mark.parametrize("by", [SGD(0.01, 0.9), Adam(1e-3, epsilon=0.0)])
@pytest.mark.parametrize("factor", [0.25, 16.0])
def test_scaling_by_a_power_of_two_scales_every_bit(by, factor):
    x, starts = cones.whiten(gaussian()), joined("library", 4, 30, 2)
    scaled = by if isinstance(by, SGD) else Adam(factor * by.rate, epsilon=0.0)
    once = finite.run(x, cones.affine_targets(x, 0.1), starts, by, 200)
    other = finite.run(x, factor * cones.affine_targets(x, 0.1), factor * starts, scaled, 200)
    assert torch.equal(factor * once.weights, other.weights) and torch.equal(once.death, other.death)


def test_rotating_the_data_rotates_the_result():
    x, starts = cones.whiten(gaussian()), joined("library", 4, 30, 2)
    turn = torch.linalg.qr(gaussian(4, 4, seed=5)).Q
    y = cones.affine_targets(x, 0.1)
    turned = torch.cat([starts[:, :4] @ turn, starts[:, 4:]], 1)
    once, other = (finite.run(*given, SGD(0.01, 0.9), 300) for given in ((x, y, starts), (x @ turn, y, turned)))
    assert torch.allclose(once.weights[:, :4] @ turn, other.weights[:, :4], atol=1e-10)
    assert torch.equal(once.death, other.death)


@pytest.mark.parametrize("by", [SGD(0.05, 0.9), Adam(0.01)])
def test_descent_is_that_of_a_module(by):
    x, starts = cones.whiten(gaussian()), joined("library", 4, 3, 3)
    y = cones.affine_targets(x, 0.2, torch.tensor([0.6, 0.8, 0, 0], dtype=torch.float64))
    found = finite.run(x, y, starts, by, 25)
    for place in range(3):
        layer = torch.nn.Linear(4, 1, dtype=torch.float64)
        with torch.no_grad():
            layer.weight.copy_(starts[place : place + 1, :4])
            layer.bias.copy_(starts[place, 4:])
        theirs = Torch(layer.parameters(), by)
        for _ in range(25):
            theirs.descend((layer(x).relu()[:, 0] - y).square().mean() / 2)
        expected = torch.cat([layer.weight[0], layer.bias]).detach()
        assert torch.allclose(found.weights[place], expected, atol=1e-12)


def test_paths_are_recorded():
    found = finite.run(CUBE, cones.affine_targets(CUBE, 0.0), STARTS, SGD(0.1, 0.9), 10, record=[0, 5, 10])
    assert found.steps == (0, 5, 10) and found.paths.shape == (3, 40, 2)
    assert torch.allclose(found.paths[0, :, 0], STARTS[:, 3]), "the mean pre-activation is b on centred data"
    assert torch.allclose(found.paths[0, :, 1], STARTS[:, 3] - STARTS[:, :3].abs().sum(1))
    assert (found.paths[1, :, 1] < 0).all() and (found.death == 5).all()


def test_a_stream_of_mini_batches_is_descent_on_their_gradients():
    starts = joined("library", 3, 8, 0).view(2, 4, 4)
    found = finite.run_on_stream(finite.stream(3, 0.1, 16, 2, seed=0), starts, SGD(0.05, 0.9), [0, 1, 40])
    assert found.shape == (3, 2, 4, 4) and torch.equal(found[0], starts)
    rows, y = finite.stream(3, 0.1, 16, 2, seed=0)(1)
    assert torch.equal(y, 0.1 * rows[..., 0]) and (rows[..., 3] == 1).all()
    for group in range(2):
        for place in range(4):
            w = starts[group, place].clone().requires_grad_()
            loss = ((rows[group] @ w).relu() - y[group]).square().mean() / 2
            expected = starts[group, place] - 0.05 * torch.autograd.grad(loss, w)[0]
            assert torch.allclose(found[1, group, place], expected, atol=1e-14)


def test_momentum_kills_at_small_gamma():
    """Reference, 1000 whitened samples in 10 dimensions: 0.235 without and 0.5725 with momentum at gamma = 0.01."""
    x, starts = cones.whiten(gaussian(300, 10)).float(), joined("library", 10, 100, 0).float()
    y = cones.affine_targets(x, 0.01)
    plain, heavy = (finite.run(x, y, starts, SGD.at_speed(0.1, mu), 400).dead.double().mean() for mu in (0.0, 0.9))
    assert heavy > plain + 0.3


def test_bad_data_and_bad_steps_are_refused_with_the_limit():
    flat = torch.cat([CUBE, CUBE[:, :1]], 1)
    with pytest.raises(ValueError, match=r"the data are singular: 1 of 5 eigenvalues .* the limit of this .* = 1.9"):
        cones.optimum(flat, flat[:, 0], SGD(0.1, 0.9))
    with pytest.raises(ValueError, match=r"the data are singular: 1 of 4 .* steps below 2 / h = 1$"):
        cones.whiten(flat)
    with pytest.raises(ValueError, match=r"singular: 3 of 3 .* = infinity"):
        cones.whiten(torch.zeros(5, 3))
    with pytest.raises(ValueError, match=r"eta \* h is 4.* unstable; .* so eta < 0.95 with h = 4"):
        finite.run(2 * CUBE, CUBE[:, 0], STARTS, SGD(1.0, 0.9), 10)
    with pytest.raises(ValueError, match=r"gamma is -1.0; allowed: >= 0"):
        cones.affine_targets(CUBE, -1.0)
    solved = cones.optimum(CUBE, cones.affine_targets(CUBE, 0.3))
    assert np.allclose(solved, [0.3, 0, 0, 0], atol=1e-14)
