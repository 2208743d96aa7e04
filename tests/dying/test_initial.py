import math

import pytest
import torch

from kinks.dying import initial
from kinks.dying.gaussian import active_fraction


@pytest.mark.parametrize(
    ("d", "radius", "share"),
    [(1, 1, 0.25), (1, 3, 0.102416), (2, 1, 0.146447), (5, 0.5, 0.157186), (10, 0.3, 0.182572), (10, 1, 0.00505978)],
)
def test_dead_in_a_ball(d, radius, share):
    assert initial.dead_in_ball(d, radius) == pytest.approx(share, rel=5e-6)
    draws = torch.randn(200_000, d + 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    dead = (draws[:, d] + radius * draws[:, :d].norm(dim=1) <= 0).double().mean()
    assert abs(float(dead) - share) < 5 * math.sqrt(share / 200_000)


@pytest.mark.parametrize(("radius", "share"), [(0.5, 0.375), (1, 0.25), (2, 0.125), (4, 0.0625)])
def test_dead_on_an_interval(radius, share):
    assert initial.dead_on_interval(radius) == share
    w, b = initial.single("library", 1, 200_000, seed=0)
    dead = (b + radius * w[:, 0].abs() <= 0).double().mean()
    assert abs(float(dead) - share) < 5 * math.sqrt(share / 200_000)


def test_the_distribution_of_first_weights():
    w, b = initial.single("library", 10, 50_000, seed=1)
    bound = 1 / math.sqrt(10)
    assert float(w.abs().max()) <= bound and float(b.abs().max()) <= bound
    assert float(w.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    assert float(b.std()) == pytest.approx(bound / math.sqrt(3), rel=0.01)
    w, b = initial.single("he", 10, 50_000, seed=1, scale=2.0)
    assert float(w.std()) == pytest.approx(2 * math.sqrt(2 / 10), rel=0.01) and not b.any()
    with pytest.raises(ValueError, match="initialisation is 'xavier'; allowed: library, he"):
        initial.single("xavier", 10, 1, seed=0)


def test_active_fraction_without_target():
    """Gradient flow at gamma = 0, in closed form, against the tabulated ODE and the rate at which it decays."""
    times = [1e2, 1e3, 1e4, 1e5, 1e6]
    found = initial.active_without_target(times)
    assert found == pytest.approx([1.1573e-3, 7.119e-5, 5.2254e-6, 4.1556e-7, 3.4593e-8], rel=1e-4)
    assert all(abs(share * 2 * t * math.log(t) - 1) < 0.07 for share, t in zip(found, times, strict=True))
    assert initial.active_without_target(0.0, ratio=1.3) == pytest.approx(float(
        active_fraction(torch.ones(1, dtype=torch.float64), torch.tensor(1.3, dtype=torch.float64))
    ))  # fmt: skip
    with pytest.raises(ValueError, match=r"time is -1.0; allowed: >= 0"):
        initial.active_without_target(-1.0)


def test_grids_and_rings():
    w1, w2, b = initial.grid(3, 2.0, 0.5)
    assert w1.tolist() == [-2, 0, 2] * 3 and b.tolist() == [-2] * 3 + [0] * 3 + [2] * 3 and (w2 == 0.5).all()
    w1, w2, b = initial.ring(4, 2.0)
    assert torch.allclose(w1.square() + b.square(), torch.full((4,), 4.0, dtype=torch.float64)) and not w2.any()
    with pytest.raises(ValueError, match=r"points is 1, w2 is 0.0; allowed: points >= 2"):
        initial.grid(1)
