"""The specification's remaining checks: how sharp death is, shares of the reference, both conventions."""

import math

import pytest
import torch

from kinks.dying import canonical, cones, finite, linear, outcomes, population
from kinks.dying.initial import single
from kinks.dying.rules import SGD


@pytest.mark.parametrize("mu", [0.25, 0.5, 0.9])
@pytest.mark.parametrize("distance", [1e-2, 1e-3])
def test_death_without_target_is_a_step_at_the_threshold(mu, distance):
    """D3: just below eta = (1 - sqrt(mu))^2 no start dies, just above it all do, at the step of the closed form."""
    x = cones.cube(2)
    starts, threshold = cones.starts_in_live_cone(x, 8, seed=1), (1 - math.sqrt(mu)) ** 2
    for by, dies in ((SGD((1 - distance) * threshold, mu), False), (SGD((1 + distance) * threshold, mu), True)):
        step = linear.jump_step(by)
        found = finite.run(x, cones.affine_targets(x, 0.0), starts, by, max(500, step + 5))
        assert (found.dead == dies).all() and (found.death == step).all() and (step > 0) == dies


def starts(count):
    w, b = single("library", 10, count, 0)
    return canonical.coordinates(w, b, torch.eye(10, dtype=w.dtype)[0])


def test_shares_at_a_tenth_of_the_first_scale():
    """Reference, 4000 other starts: 0.03725 nearly dead, 0.9605 converged."""
    end = population.run(starts(600), canonical.affine(0.1), SGD(0.01, 0.9), 20_000).last
    nearly = (canonical.active(*end) < outcomes.NEARLY_DEAD).double().mean()
    converged = (outcomes.classes(end, 0.1) == 0).double().mean()
    for share, expected in ((nearly, 0.03725), (converged, 0.9605)):
        assert abs(float(share) - expected) < 3 * math.sqrt(expected * (1 - expected) / 600)


def test_both_conventions_move_a_population_alike():
    heavy, averaged = (
        population.run(starts(100), canonical.affine(0.3), by, 500)
        for by in (SGD(0.02, 0.9), SGD(0.2, 0.9, "averaged"))
    )
    for one, other in zip(heavy.last, averaged.last, strict=True):
        assert float((one - other).abs().max()) < 1e-12
