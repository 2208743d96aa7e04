"""Populations of single ReLUs: invariances bit for bit, and the shares of the reference runs within their noise."""

import math

import pytest
import torch

from kinks.dying import canonical, outcomes, population, relu_teacher
from kinks.dying.initial import active_without_target, grid, single
from kinks.dying.rules import SGD, Adam

RULES = [SGD(0.1), SGD(0.01, 0.9), SGD(0.1, 0.9, "averaged"), SGD(0.02, 0.9, nesterov=True)]
ids = ["plain", "heavy ball", "averaged", "nesterov"]


def starts(count=200, d=10, seed=0, scale=1.0):
    w, b = single("library", d, count, seed, scale)
    return canonical.coordinates(w, b, torch.eye(d, dtype=w.dtype)[0])


def equal(one, other, factor=1.0):
    return all(torch.equal(factor * a, b) for a, b in zip(one.last, other.last, strict=True))


@pytest.mark.parametrize("by", RULES, ids=ids)
@pytest.mark.parametrize("factor", [0.25, 8.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_scaling_weights_and_targets_by_a_power_of_two_scales_every_bit(by, factor, dtype):
    """Small gamma and large first weights are the same thing."""
    begun = tuple(one.to(dtype) for one in starts())
    once = population.run(begun, canonical.affine(0.3), by, 250)
    scaled = population.run(tuple(factor * one for one in begun), canonical.affine(factor * 0.3), by, 250)
    assert equal(once, scaled, factor)


@pytest.mark.parametrize("factor", [0.25, 8.0])
def test_adam_without_epsilon_scales_if_its_rate_does(factor):
    begun = starts()
    once = population.run(begun, canonical.affine(0.3), Adam(1e-3, epsilon=0.0), 250)
    by = Adam(factor * 1e-3, epsilon=0.0)
    scaled = population.run(tuple(factor * one for one in begun), canonical.affine(factor * 0.3), by, 250)
    assert equal(once, scaled, factor)
    with_epsilon = population.run(begun, canonical.affine(0.3), Adam(1e-3, epsilon=1e-3), 250)
    assert not equal(once, with_epsilon)


def test_shares_depend_on_gamma_over_the_first_scale_only():
    shares = set()
    for scale in (0.1, 1.0, 10.0):
        end = population.run(starts(scale=scale), canonical.affine(0.1 * scale), SGD(0.1), 1500).last
        found = outcomes.classes(end, 0.1 * scale)
        shares.add(tuple(int((found == place).sum()) for place in range(4)))
    assert len(shares) == 1 and shares.pop()[0] > 100


def test_the_size_of_chunks_changes_no_bit():
    begun = grid(15, w2=0.5)
    one, other = (population.run(begun, canonical.affine(1.0), SGD(0.01, 0.9), 500, chunk) for chunk in (100, 225))
    assert equal(one, other)


def test_records_are_states_on_the_way():
    by, begun = SGD(0.01, 0.9), starts(50)
    whole = population.run(begun, canonical.affine(0.1), by, [0, 7, 350])
    assert whole.steps == (0, 7, 350) and whole.w1.shape == (3, 50)
    assert torch.equal(whole.w1[0], begun[0])
    for place, step in enumerate(whole.steps):
        assert torch.equal(population.run(begun, canonical.affine(0.1), by, step).b[0], whole.b[place])


def test_the_origin_never_moves():
    zero = tuple(torch.zeros(1, dtype=torch.float64) for _ in range(3))
    assert all(not one.any() for one in population.run(zero, canonical.affine(1.0), SGD(0.1), 10).last)


def test_without_target_the_active_fraction_falls_as_the_flow_says():
    """No momentum, gamma = 0: the ReLU dies slowly, by 1 / (2 tau ln tau)."""
    begun = tuple(torch.tensor([value], dtype=torch.float64) for value in (0.0, 1.0, 0.0))
    paths = population.run(begun, canonical.affine(0.0), SGD(0.05), [200, 2_000])
    found = canonical.active(paths.w1, paths.w2, paths.b)[:, 0].numpy()
    assert found == pytest.approx(active_without_target([10.0, 100.0]), rel=0.02)


def test_shares_of_the_grid():
    """Every fourth start of the reference's 41 x 41 with w2 = 0.5, gamma = 0.1: within three standard errors of 121."""
    end = population.run(grid(11, w2=0.5), canonical.affine(0.1), SGD(0.01, 0.9), 20_000).last
    found, share = outcomes.classes(end, 0.1), canonical.active(*end)
    for count, expected in (((share < 1e-3), 0.449137), ((share < 1e-6), 0.111838), ((found == 0), 0.449137)):
        assert abs(float(count.double().mean()) - expected) < 3 * math.sqrt(expected * (1 - expected) / 121)


def given(**changes):
    return dict(
        initialisation="library", d=10, starts=600, seed=0, gamma=0.01, teacher="affine", optimiser="sgd", rate=0.01,
        momentum=0.9, epsilon=1e-8, steps=[30, 100, 300],
    ) | changes  # fmt: skip


def test_death_curves():
    """The reference run of 4000 other starts: 0.391 and 0.218 at step 100, 0.406 at 300; without momentum none."""
    table = outcomes.job(**given()).set_index("step")
    share = table[["below_1e-3", "below_1e-6"]].div(table["n"], axis=0)
    error = 3 * math.sqrt(0.25 / 600)
    assert share.loc[100].tolist() == pytest.approx([0.39075, 0.21775], abs=error)
    assert share.loc[300].tolist() == pytest.approx([0.406, 0.218], abs=error)
    assert (table[list(outcomes.CLASSES)].sum(axis=1) == 600).all()
    assert (table["nearly dead"] + table["dead"] >= table["below_1e-3"]).all()
    plain = outcomes.job(**given(momentum=0.0, rate=0.1)).set_index("step")
    assert plain.loc[300, "below_1e-3"] == 0 and plain.loc[300, "below_1e-6"] == 0


def test_a_relu_teacher_is_learnt():
    begun = starts(30)
    end = population.run(begun, relu_teacher.canonical(1.0), SGD(0.5), 400).last
    assert int((outcomes.classes(end, 1.0) == 0).sum()) > 20
    found = outcomes.job(**given(teacher="relu", starts=20, gamma=1.0, steps=[100], rate=0.05))
    assert found["n"].tolist() == [20]


def test_a_map_in_parts_is_the_map():
    settings = dict(
        points=9, half_width=2.0, w2=0.5, gamma=1.0, teacher="affine", optimiser="sgd", rate=0.1, momentum=0.0
    )
    settings |= dict(epsilon=1e-8, steps=800)
    whole = outcomes.map_job(first=0, starts=81, **settings)
    parts = [outcomes.map_job(first=first, starts=50, **settings) for first in (0, 50)]
    assert [len(part) for part in parts] == [50, 31] and parts[1]["start"].tolist() == list(range(50, 81))
    for column in ("class", "active", "loss", "w1", "b"):
        assert [*parts[0][column], *parts[1][column]] == whole[column].tolist()
    assert set(whole["class"]) >= {"converged", "nearly dead"}
    assert whole.loc[whole["class"] == "nearly dead", "loss"].sub(1).abs().max() < 1e-2
    assert whole.loc[whole["class"] == "converged", "loss"].sub(0.5).abs().max() < 1e-2


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gamma": 0.0}, r"gamma is 0.0; allowed: > 0, .* 0 < eta < 3.8"),
        ({"gamma": -0.5}, "gamma is -0.5"),
        (
            {"rate": 4.0},
            r"eta \* h is 4 with momentum 0.9: unstable; .* < 2 \(1 \+ mu\) = 3.8, so eta < 3.8 with h = 1",
        ),
        ({"teacher": "cubic"}, "teacher is 'cubic'; allowed: affine, relu"),
        ({"dtype": "float16"}, "dtype is 'float16'; allowed: float32, float64"),
        ({"steps": [10, 5]}, r"steps are \(10, 5\); allowed: one or more, increasing"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        outcomes.job(**given(**changes))
