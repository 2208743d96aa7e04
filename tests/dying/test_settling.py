"""Starts that are put aside: nothing is decided otherwise, whether it is one run or many, one format or the other."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from kinks.dying import basins, canonical, cones, finite, outcomes, population, settling
from kinks.dying.initial import grid
from kinks.dying.rules import SGD, Adam
from kinks.report.dying_relu import pilot

GAMMAS = torch.tensor([1.0, 0.1, 0.03], dtype=torch.float64)
RULES = [SGD(0.1), SGD(0.01, 0.9), SGD(0.1, 0.9, "averaged"), SGD(0.01, 0.9, nesterov=True), Adam(0.01)]


def many(points=7):
    begun = grid(points, w2=0.5)
    return tuple(one.repeat(3) for one in begun), GAMMAS.repeat_interleave(points**2)


@pytest.mark.parametrize("by", RULES, ids=["plain", "heavy ball", "averaged", "nesterov", "adam"])
def test_outcomes_are_those_of_running_on(by):
    begun, gamma = many()
    found = settling.run(begun, gamma, canonical.affine, by, [300, 1500], look=50)
    for place, scale in enumerate(GAMMAS.tolist()):
        part = slice(place * 49, (place + 1) * 49)
        whole = population.run(tuple(one[part] for one in begun), canonical.affine(scale), by, [300, 1500])
        for record in range(2):
            quick, slow = (tuple(one[record] for one in paths[1:]) for paths in (found, whole))
            quick = tuple(one[part] for one in quick)
            assert torch.equal(outcomes.classes(quick, scale), outcomes.classes(slow, scale))
            alive = canonical.active(*slow) > 1e-6
            assert all(float((a - b)[alive].abs().max()) < 0.01 * scale for a, b in zip(quick, slow, strict=True))


def test_a_look_changes_no_bit_of_those_that_go_on():
    begun, gamma = many(5)
    one, other = (settling.run(begun, gamma, canonical.affine, SGD(0.1), [300], look=look) for look in (10, 10**9))
    moving = (one.w1[0] - gamma).abs() > 0.01 * gamma
    assert moving.any() and torch.equal(one.w1[0][moving], other.w1[0][moving])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gamma": torch.tensor([0.1, 0.0])}, r"gamma is 0.0; allowed: > 0, .* 0 < eta < 2"),
        ({"by": SGD(2.5)}, r"eta \* h is 2.5 with momentum 0: unstable; .* < 2 \(1 \+ mu\) = 2"),
        ({"steps": [5, 3]}, r"steps are \(5, 3\)"),
    ],
)
def test_what_is_refused(changes, said):
    given = {"gamma": torch.tensor([0.1, 0.2]), "by": SGD(0.1), "steps": [3]} | changes
    with pytest.raises(ValueError, match=said):
        settling.run((torch.ones(2),) * 3, given["gamma"], canonical.affine, given["by"], given["steps"])


def given(**changes):
    return dict(
        points=11, half_width=2.0, w2=[0.0, 0.5], gammas=[1.0, 0.1], teacher="affine", optimiser="sgd", rate=0.1,
        momentum=0.0, epsilon=1e-8, steps=600, first=0, starts=10_000,
    ) | changes  # fmt: skip


def test_a_map_is_that_of_the_single_job_and_of_its_parts():
    whole = basins.job(**given(dtype="float64"))
    assert len(whole) == 2 * 2 * 121 and whole.groupby(["gamma", "w2"]).size().tolist() == [121] * 4
    one = outcomes.map_job(
        points=11, half_width=2.0, w2=0.5, first=0, starts=121, gamma=0.1, teacher="affine", optimiser="sgd",
        rate=0.1, momentum=0.0, epsilon=1e-8, steps=600,
    )  # fmt: skip
    same = whole[(whole["gamma"] == 0.1) & (whole["w2"] == 0.5)]
    assert [outcomes.CLASSES[code] for code in same["class"]] == one["class"].tolist()
    parts = [basins.job(**given(dtype="float64", first=first, starts=200)) for first in (0, 200, 400)]
    pd.testing.assert_frame_equal(pd.concat(parts, ignore_index=True), whole)
    jobs = basins.settings([{"rate": 0.1}], 200, points=11, w2=[0.0, 0.5], gammas=[1.0, 0.1])
    assert [one["first"] for one in jobs] == [0, 200, 400]


def test_the_pilot_grid_comes_out_again():
    """Every fourth start of the pilot's grid at gamma = 1, where most settle early: within 0.05 of 121."""
    rows = basins.job(**given(w2=[0.5], gammas=[1.0], rate=0.01, momentum=0.9, steps=20_000))
    found = rows.groupby("gamma")["below_1e-3"].mean()
    theirs = pilot.grid().query("momentum == 0.9").set_index("gamma")["below_1e-3"]
    assert abs(found - theirs.loc[[1.0]]).max() < 0.05


def test_both_teachers_are_offered_and_a_third_is_refused():
    rows = basins.job(**given(points=5, teacher="relu", w2=[0.5], steps=300))
    assert set(rows["class"]) >= {0} and (rows["teacher"] == "relu").all()
    with pytest.raises(ValueError, match="teacher is 'cubic'; allowed: affine, relu"):
        basins.job(**given(teacher="cubic"))


def test_a_picture_has_rows_of_b():
    codes = pd.Series([3, 1], index=[0, 5])
    picture = basins.image(codes, 3)
    assert picture[0, 0] == 3 and picture[1, 2] == 1 and (picture[2] == len(outcomes.CLASSES)).all()


@pytest.mark.parametrize("by", [SGD(0.1), SGD(0.01, 0.9), SGD(0.1, 0.9, "averaged"), SGD(0.01, 0.9, nesterov=True)])
def test_on_data_too_starts_that_rest_end_where_they_would(by):
    """With a target scale for every start, and a rate for every start."""
    x = cones.whiten(torch.randn(60, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    gamma = torch.tensor([1.0, 0.1]).double().repeat_interleave(20)
    starts = cones.starts_in_live_cone(x, 40, seed=1)
    given = x, gamma[:, None] * x[:, 0], starts
    rates = replace(by, rate=torch.full((40, 1), by.rate, dtype=torch.float64))
    quick, slow = finite.run(*given, rates, 1500, settle=1e-3 * gamma), finite.run(*given, by, 1500)
    assert torch.equal(quick.dead, slow.dead) and torch.equal(quick.death, slow.death)
    assert float(((quick.weights - slow.weights).abs().amax(1) / gamma).max()) < 0.01
