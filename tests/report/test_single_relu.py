"""The single ReLU (D2 to D6): tables, figures and sentences from rows whose answers are known; the playground."""

import math
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.dying import affine_checks, basins, critical, field, populations, whitened
from kinks.report import playground
from kinks.report.dying_relu import (
    agreement,
    cones,
    curves,
    curves_text,
    field_text,
    linear,
    linear_text,
    maps,
    maps_text,
    momentum,
    pilot,
    single,
)
from kinks.report.dying_relu import field as field_report

PLAIN = {"optimiser": "sgd", "rate": 0.1, "momentum": 0.0, "epsilon": 1e-8}
HEAVY = {"optimiser": "sgd", "rate": 0.01, "momentum": 0.9, "epsilon": 1e-8}
ADAM = {"optimiser": "adam", "rate": 0.01, "momentum": 0.9}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def drawn(fig):
    """The figure, once it could be drawn without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fig.draw_without_rendering()
    return fig


@pytest.fixture(scope="module")
def starts():
    common = {"points": 5, "half_width": 2.0, "w2": [0.5], "gammas": [1.0, 0.1], "teacher": "affine", "steps": 400}
    rules = [PLAIN, HEAVY, ADAM | {"epsilon": 1e-8}]
    return pd.concat([basins.job(**one) for one in basins.settings(rules, 1000, **common)], ignore_index=True)


@pytest.fixture(scope="module")
def drawn_curves():
    common = {"dimensions": {"1": 30, "10": 60}, "steps": [10, 100], "seed": 0}
    slow = [PLAIN | {"rate": 0.01}, HEAVY | {"rate": 0.001}, HEAVY]
    first = populations.job(rules=[PLAIN, HEAVY], **common | {"steps": [200]}, gammas=[1.0, 0.01])
    second = populations.job(rules=slow, **common, gammas=[1.0, 0.01])
    third = populations.job(rules=[ADAM | {"epsilon": one} for one in (1e-8, 1e-12)], **common, gammas=[1.0, 0.01])
    return pd.concat([first, second, third], ignore_index=True)


def test_pairs_have_the_exact_test_and_its_interval():
    table = single.pairs(pd.DataFrame({"n": [100, 100], "only": [9, 3], "only_first": [1, 3]}))
    assert table["gain"].tolist() == pytest.approx([0.08, 0.0]) and table["p"].tolist() == pytest.approx(
        [0.021484375, 1]
    )
    assert (table["gain_low"] < table["gain"]).all() and (table["gain"] < table["gain_high"]).all()
    assert table.loc[0, "gain_low"] > 0 > table.loc[1, "gain_low"]


def test_agreement_counts_the_noise_of_both_samples():
    ours = pd.DataFrame({"gamma": [1.0, 0.1, 0.5], "count": [10, 60, 0], "n": [100, 100, 100]})
    theirs = pd.DataFrame({"gamma": [1.0, 0.1, 0.5], "share": [0.12, 0.3, 0.0], "n": [400, 400, 400]})
    found = single.agreement(ours, theirs, ["gamma"]).set_index("gamma")
    assert (found["z"].abs() > 3).to_dict() == {1.0: False, 0.1: True, 0.5: False}
    p = (10 + 48) / 500
    assert found.loc[1.0, "z"] == pytest.approx(-0.02 / math.sqrt(p * (1 - p) * (1 / 100 + 1 / 400)))
    assert found.loc[0.5, "error"] > 0 and single.limit_for(1) == pytest.approx(2.5758, abs=1e-4)
    assert single.limit_for(100) > single.limit_for(10)


def test_names_of_rules_and_numbers():
    assert single.rule_name("sgd", 0.9, 0.01) == "SGD, μ = 0.9, η = 0.01"
    assert single.rule_name("adam", 0.9, 0.001, 1e-8) == "Adam, η = 0.001, ε = 1e-08"
    assert [single.percent(one) for one in (0.25, 0.0002, 1.0, math.nan)] == ["25.0%", "0.02%", "100.0%", "–"]


def test_the_affine_model():
    powers = affine_checks.powers(momenta=[0.0, 0.9], share=0.05, steps=20, d=2, n=30, seed=0)
    thresholds = affine_checks.thresholds([0.5, 0.9])
    summary = linear.summary(powers, thresholds).set_index("check")
    assert summary["n"].tolist() == [6 * 21, 2, 100] and (summary["largest"] < 1e-9).all()
    overshoot = affine_checks.overshoots(linear.momenta(5, 0.1), [0.01, 0.1])
    said = linear_text.affine(powers, thresholds, overshoot)
    assert "0 of 10 cells are exceptions" in said and "6 runs of 21 iterates" in said
    drawn(linear.eigenvalues(affine_checks.eigenvalue_paths([0.01, 0.1], linear.momenta(10))))
    drawn(linear.oscillation(thresholds, overshoot, affine_checks.paths([0, 0.9], 0.3, 20, (-1.0, 1.0), 0.5)))


def test_the_sharp_step_and_what_breaks_it():
    rows = whitened.threshold_job(data="cube", d=2, n=4, starts=2, steps=200, seed=0, **whitened.axes(4, 6, 0.1, 0.01))
    cells = cones.steps(rows, 200)
    summary = cones.step_summary(cells)
    total = summary[(summary["points"] == "all") & (summary["side"] == "any")].iloc[0]
    assert total["wrong"] == 0 and total["late"] == 0 and total["cells"] == len(cells) > 10
    assert {"below", "complex", "above"} <= set(summary["side"])
    assert "0 starts do other" in linear_text.step(summary, cells) and "dies for η h > 1" in linear_text.step(
        summary, cells
    )
    drawn(cones.heat(cells))
    wrong = rows.assign(count=np.where(rows["predicted"] < 0, 1, rows["count"]))
    assert cones.step_summary(cones.steps(wrong, 200)).query("points == 'all' and side == 'any'")["wrong"].iloc[0] > 0
    later = rows.assign(last=np.where(rows["predicted"] > 0, rows["last"] + 1, rows["last"]))
    assert cones.step_summary(cones.steps(later, 200)).query("points == 'all' and side == 'any'")["late"].iloc[0] > 0
    assert len(cones.steps(rows, 3)) < len(rows), "a death that is due later says nothing"


def test_deaths_on_finite_data():
    given = {"data": "cube", "d": 2, "n": 4, "gammas": [0.0, 1.0], "rules": whitened.rules_at([0.0, 0.9], 0.1)}
    parts = [whitened.deaths_job(**given, where=one, starts=8, steps=100, seed=0) for one in ("live", "anywhere")]
    rows = cones.by_norm(pd.concat(parts, ignore_index=True))
    assert not rows.duplicated(cones.KEYS).any()
    assert rows.groupby("norm")["momentum"].unique().map(sorted).to_dict() == {
        "equal rate": [0.0, 0.9], "equal speed": [0.0, 0.9],
    }  # fmt: skip
    said = linear_text.deaths(rows)
    assert "SGD, μ = 0: 0.0% at γ = 0" in said and "SGD, μ = 0.9: 100.0% at γ = 0" in said
    drawn(cones.deaths(rows))
    drawn(cones.paths(whitened.paths_job(gamma=0.1, mus=[0.0, 0.9], speed=0.1, d=2, starts=2, steps=30, seed=0)))


def test_the_field():
    searched = critical.search(gamma=1.0, offset=0.0, starts=20, iterations=40, seed=0)
    saddles = critical.saddle(gamma=1.0, offset=0.0, directions=50, seed=0)
    sample, narrow = critical.on_sample(gamma=1.0, n=50, d=3, seed=0), critical.narrowest()
    rings = field_report.followed([1.0, 0.1], [0.0, 0.9], 0.1, 6, 400)
    ends = field_report.ends(rings)
    assert ends["n"].tolist() == [6] * 4 and (ends["optimum"] + ends["dead"] <= 6).all()
    said = field_text.text(searched, saddles, sample, narrow, ends)
    assert "0 at another point with a live ReLU" in said and "On 50 inputs a ReLU that is active on 1 of them" in said
    drawn(field_report.rings(rings, 2.0))
    planes = field_report.planes([1.0, 0.1], [0.0, 0.5], 5)
    assert len(planes) == 6 and isinstance(planes[0], pd.DataFrame)
    drawn(field_report.panels(planes, 2))
    assert len(field.schedule(100)) < 102


def test_maps_and_what_momentum_moves(starts):
    shares, moved = maps.shares(starts), maps.moved(starts)
    assert len(shares) == 6 and (shares[list(maps.CLASSES)].sum(axis=1) - 1).abs().max() < 1e-12
    assert len(moved) == 2 * 2 * 2 and set(moved["n"]) == {25}
    one = moved.iloc[0]
    cell = starts[(starts["gamma"] == one["gamma"])].set_index("start")
    here = cell[(cell["optimiser"] == one["optimiser"]) & (cell["momentum"] == one["momentum"])]
    there = cell[(cell["optimiser"] == "sgd") & (cell["momentum"] == 0)]
    assert one["changed"] == (here["class"] != there["class"]).sum()
    drawn(maps.figure(starts, 2.0))
    twin = maps.against_pilot(starts, pilot.grid(), 5)
    assert set(twin["quantity"]) == {*maps.LIMITS, "converged"} and len(twin) == 2 * 2 * 3
    finer = starts.assign(points=9, start=starts["start"] // 5 * 2 * 9 + starts["start"] % 5 * 2)
    pd.testing.assert_frame_equal(maps.against_pilot(finer, pilot.grid(), 5), twin)


def test_pairs_curves_and_the_pilot(starts, drawn_curves):
    population, drawn_rows, epsilons = curves.parted(drawn_curves, [200])
    assert set(population["step"]) == {200} and set(drawn_rows["step"]) == {10, 100}
    assert set(epsilons["epsilon"]) == {1e-12} and epsilons.attrs["first"] == 1e-8
    rules = [PLAIN, HEAVY]
    given = {
        "data": "gaussian",
        "d": 3,
        "n": 40,
        "where": "anywhere",
        "gammas": [0.01, 1.0],
        "starts": 10,
        "steps": 100,
    }
    sample = pd.concat([whitened.deaths_job(**given, rules=rules, seed=seed) for seed in (0, 1)], ignore_index=True)
    paired = momentum.collected(sample, population, maps.moved(starts))
    assert set(paired["source"]) == {
        "sample",
        "random starts, d = 1",
        "random starts, d = 10",
        "grid, w₂ = 0.5",
    } and set(paired["momentum"]) == {0.9}
    assert paired.query("source == 'sample'")["n"].tolist() == [20, 20] and not paired.duplicated(momentum.KEYS).any()
    drawn(momentum.figure(paired))
    compared = agreement.against_pilot(population.assign(step=20_000), sample.assign(steps=8000), drawn_rows)
    pilots = agreement.summary(compared, maps.against_pilot(starts, pilot.grid(), 5))
    assert pilots["experiment"].tolist() == ["D5 random starts", "D5 sample", "D6 curves", "D5 grid"]
    grid = pilots.set_index("experiment").loc["D5 grid"]
    assert grid["agree"] == int(grid["largest"] <= 0.02) == 0, "400 steps on 5 x 5 starts are not the pilot's"
    said = maps_text.text(maps.shares(starts), maps.moved(starts), paired) + maps_text.agreement(pilots)
    assert "killed" in said and "do not all agree" in said


def test_curves_of_death(drawn_curves):
    _, rows, epsilons = curves.parted(drawn_curves, [200])
    drawn(curves.figure(rows, pilot.curves()))
    drawn(curves.slow_death(rows, 10))
    streams = curves.streams(
        populations.stream_job(
            rules=[HEAVY], d=10, groups=2, starts=5, batch=16, gammas=[1.0, 0.01], steps=[10, 100], seed=0
        ),
        rows,
    )
    assert streams["exact"].notna().all() and (streams["n"] == 10).all()
    drawn(curves.figure(streams))
    said = curves_text.text(rows, streams, epsilons, 10)
    assert "after 100 steps" in said and "Mini-batches" in said and "Adam's ε" in said
    paired = curves.paired(rows)
    assert set(paired["momentum"]) == {0.9} and (paired["gain_low"] <= paired["gain_high"]).all()
    assert "Mini-batches" not in curves_text.text(rows, curves.streams(pd.DataFrame(), rows), epsilons, 10)


@pytest.mark.parametrize(
    ("picture", "values"),
    [
        (playground.trajectories, {"gamma": 0.1, "momentum": 0.9, "rate": 0.01}),
        (playground.saw, {"levels": 4, "noise": 0.05}),
        (playground.eigenvalues, {"momentum": 0.9, "step": 0.1}),
        (playground.eigenvalues, {"momentum": 0.0, "step": 0.1}),
    ],
)
def test_pictures_of_the_playground(picture, values, monkeypatch):
    monkeypatch.setattr(playground, "STEPS", 100)
    drawn(picture(**values))


@pytest.mark.parametrize(
    ("picture", "values"),
    [
        (playground.trajectories, {"gamma": 0.1, "momentum": 0.0, "rate": 3.0}),
        (playground.eigenvalues, {"momentum": 0.0, "step": 3.0}),
    ],
)
def test_a_slider_that_goes_too_far_says_so(picture, values):
    fig = picture(**values)
    assert "unstable; allowed: 0 < eta * h < 2 (1 + mu) = 2" in fig.axes[0].texts[0].get_text()


def test_sliders_show_the_first_picture(capsys):
    seen = []

    def draw(**values):
        seen.append(values)
        return plt.figure()

    widget = playground.sliders(
        draw, levels=(1, 9, 3, False), noise=(1e-3, 0.1, 0.01, True), part=(0.0, 1.0, 0.5, False)
    )
    assert seen[0] == {"levels": 3, "noise": 0.01, "part": 0.5}
    names = [type(one).__name__ for one in widget.children[:3]]
    assert names == ["IntSlider", "FloatLogSlider", "FloatSlider"]
