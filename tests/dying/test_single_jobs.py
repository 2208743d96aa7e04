"""Jobs on a single ReLU: populations, streams, whitened data, the affine model, critical points and the field."""

import math

import numpy as np
import pytest
import torch

from kinks.dying import affine_checks, critical, field, linear, outcomes, populations, relu_teacher, whitened
from kinks.dying.rules import SGD, Adam

PLAIN = {"optimiser": "sgd", "rate": 0.1, "momentum": 0.0, "epsilon": 0.0}
HEAVY = {"optimiser": "sgd", "rate": 0.01, "momentum": 0.9, "epsilon": 0.0}


def test_a_population_is_that_of_the_single_job():
    given = {"steps": [30, 100], "seed": 3}
    rows = populations.job(
        rules=[PLAIN, HEAVY], dimensions={"1": 20, "10": 300}, gammas=[1.0, 0.01], dtype="float64", **given
    )
    assert len(rows) == 2 * 2 * 2 * 2 * 2 and rows.groupby("d")["n"].unique().map(list).to_dict() == {
        1: [20],
        10: [300],
    }
    one = outcomes.job(initialisation="library", d=10, starts=300, gamma=0.01, teacher="affine", **HEAVY, **given)
    mine = rows.query("d == 10 and gamma == 0.01 and momentum == 0.9 and limit == 'below_1e-3'").set_index("step")
    assert mine["count"].to_dict() == one.set_index("step")["below_1e-3"].to_dict()
    assert mine.loc[100, "count"] > 60
    first = rows[rows["momentum"] == 0]
    assert (first["only"] == 0).all() and (first["only_first"] == 0).all()
    assert (mine["only"] - mine["only_first"] == mine["count"] - first.query(
        "d == 10 and gamma == 0.01 and limit == 'below_1e-3'").set_index("step")["count"]).all()  # fmt: skip


def test_a_stream_kills_like_the_closed_form():
    given = {"gammas": [1.0, 0.01], "steps": [100], "seed": 0}
    rows = populations.stream_job(rules=[HEAVY], d=10, groups=3, starts=30, batch=64, **given)
    exact = populations.job(rules=[HEAVY], dimensions={"10": 400}, **given)
    share = {
        name: (table.set_index(["gamma", "limit"])["count"] / table.set_index(["gamma", "limit"])["n"])
        for name, table in (("stream", rows), ("exact", exact))
    }
    assert share["stream"][1.0, "below_1e-3"] == share["exact"][1.0, "below_1e-3"] == 0
    assert abs(share["stream"] - share["exact"]).max() < 4 * math.sqrt(0.25 / 90)


@pytest.mark.parametrize("data", ["cube", "gaussian"])
def test_the_step_of_death_is_sharp_for_all_rates_at_once(data):
    axes = whitened.axes(6, 12, least_gap=0.05, least_rate=1e-3)
    rows = whitened.threshold_job(data=data, d=3, n=20, starts=3, steps=400, seed=1, **axes)
    due = rows[rows["predicted"] <= 400]
    assert len(due) > 50 and ((due["count"] == due["n"]) == (due["predicted"] >= 0)).all()
    assert (due["count"].isin([0, 3])).all() and (due["first"] == due["predicted"]).all()
    assert (due["last"] == due["predicted"]).all()
    above = due[due["rate"] > due["high"]]
    assert len(above) and (above["count"] == above["n"]).all(), "real, negative eigenvalues kill, too"


def test_weights_that_shrink_for_ever_are_not_dead():
    """Without a target and without momentum they end as exact zeros, if only one waits: no death, but underflow."""
    rows = whitened.threshold_job(data="cube", d=2, n=4, mus=[0.0], rates=[0.9], starts=3, steps=1000, seed=0)
    assert rows["count"].tolist() == [0]


def test_deaths_on_whitened_data():
    rules = whitened.rules_at([0.0, 0.9], 0.1)
    assert [(one["momentum"], round(one["rate"], 12)) for one in rules] == [(0.0, 0.1), (0.9, 0.01), (0.9, 0.1)]
    given = {
        "data": "gaussian",
        "d": 3,
        "n": 50,
        "gammas": [0.0, 0.01, 1.0],
        "rules": rules,
        "starts": 30,
        "steps": 200,
    }
    rows = whitened.deaths_job(**given, where="live", seed=0).set_index(["momentum", "rate", "gamma"])
    assert rows.loc[0.0, "count"].tolist() == [0, 0, 0], "nothing in C+ dies without momentum"
    slow = rows.loc[0.9].iloc[:3]
    assert slow["count"].iloc[0] == 30 and slow["death"].iloc[0] == linear.jump_step(SGD(0.01, 0.9))
    assert slow["count"].iloc[2] < 10 and (slow["only"] == slow["count"]).all()
    anywhere = whitened.deaths_job(**given, where="anywhere", seed=0)
    assert (anywhere["early"] <= anywhere["count"]).all() and set(anywhere["points"]) == {"Gaussian, d = 3, n = 50"}
    with pytest.raises(ValueError, match="starts are 'dead'; allowed: live, anywhere"):
        whitened.deaths_job(**given, where="dead", seed=0)
    with pytest.raises(ValueError, match=r"gamma is -1.0; allowed: >= 0"):
        whitened.deaths_job(**given | {"gammas": [-1.0]}, where="live", seed=0)
    with pytest.raises(ValueError, match="data are 'uniform'; allowed: cube, gaussian"):
        whitened.inputs("uniform", 2, 3, 0)
    with pytest.raises(ValueError, match="the data are singular"):
        whitened.inputs("gaussian", 5, 4, 0)


def test_data_and_starts_are_drawn_apart():
    """Equal seeds would give weights that are functions of the inputs."""
    x = whitened.inputs("gaussian", 5, 40, 0)
    starts = whitened._starts(x, "live", 8, 0)
    drawn = torch.randn(40, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert not torch.isclose(starts[:, :5], drawn[:8]).any()


def test_paths_begin_in_the_live_cone_and_end_dead_with_momentum():
    table = whitened.paths_job(gamma=0.01, mus=[0.0, 0.9], speed=0.1, d=3, starts=4, steps=100, seed=0)
    first, last = (table[table["step"] == step] for step in (0, 100))
    assert (first["least"] > 0).all()
    largest = (2 * last["mean"] - last["least"]).groupby(last["mu"]).max()
    assert largest[0.9] < 0 < largest[0.0]


def test_the_affine_model_is_the_linear_system():
    table = affine_checks.powers(momenta=[0.0, 0.9], share=0.05, steps=100, d=2, n=50, seed=0)
    assert len(table) == 6 and table["error"].max() < 1e-12 and table["error"].max() > 0
    found = affine_checks.thresholds([0.5, 0.99])
    assert found["error"].max() < 1e-10 and found["radius_error"].max() < 1e-12
    assert found["measured"].tolist() == pytest.approx([0.0857864, 2.51258e-05], rel=1e-5)
    assert affine_checks.measured_map(SGD(0.1, 0.5), 2.0) == pytest.approx(linear.transition(SGD(0.1, 0.5), 2.0))
    overshoot = affine_checks.overshoots([0.5, 0.9], [0.1, 1.0]).set_index(["momentum", "step"])["overshoot"]
    assert overshoot.tolist() == pytest.approx([0.000468794, 0.603717, 0.5, 0.9], abs=1e-6)
    paths = affine_checks.paths([0.0, 0.9], 0.2, 300, (-1.0, 1.0), 0.5)
    assert np.allclose(paths[paths["step"] == 300][["w1", "b"]], [1.0, 0.0], atol=1e-3)
    assert len(affine_checks.eigenvalue_paths([0.1], [0.0, 0.9])) == 4


@pytest.mark.parametrize("offset", [0.0, 0.5, -1.0])
def test_the_only_critical_point_is_the_optimum(offset):
    row = critical.search(gamma=0.1, offset=offset, starts=200, iterations=60, seed=1).iloc[0]
    assert row["elsewhere"] == 0 and row["optimum"] >= 190 and row["farthest"] < 1e-6
    assert row["optimum"] + row["lost"] == 200


def test_the_search_finds_what_is_there(monkeypatch):
    """A gradient with two more roots: the search must report them, or its zero means nothing."""

    def other(gamma, offset):
        def gradient(w1, w2, b):
            share = critical.canonical.active(w1, w2, b)
            return (w1 - gamma) * (w1 - 2 * gamma) / gamma * share, w2 * share, b * share

        return gradient

    monkeypatch.setattr(critical.canonical, "affine_with_offset", other)
    row = critical.search(gamma=0.1, offset=0.0, starts=200, iterations=60, seed=1).iloc[0]
    assert row["optimum"] > 20 and row["elsewhere"] > 20


def test_saddle_sample_and_the_narrowest_curvature():
    row = critical.saddle(gamma=0.5, offset=0.0, directions=400, seed=0).iloc[0]
    assert 100 < row["descending"] < 300 and row["steepest_down"] < 0 < row["steepest_up"]
    extra = critical.on_sample(gamma=0.1, n=200, d=4, seed=0).iloc[0]
    assert extra["active"] == 1 and extra["gradient"] < 1e-12 and extra["away"] > 0.5
    table = critical.narrowest()
    assert table["eigenvalue"].min() > 0 and table["eigenvalue"].iloc[-1] == pytest.approx(1)
    half = table.iloc[(table["t"]).abs().argmin()]
    # The Hessian at the optimum is M_A: its eigenvalues are 0.5 and 0.5 +- phi(0), over the active half.
    assert half["eigenvalue"] == pytest.approx(2 * 0.101058, rel=0.1)
    with pytest.raises(ValueError, match=r"gamma is 0\.0"):
        critical.search(gamma=0.0, offset=0.0, starts=1, iterations=1, seed=0)


def test_the_field_vanishes_at_the_optimum_and_paths_end_at_the_levels():
    plane = field.arrows(gamma=1.0, w2=0.0, half_width=2.0, points=5)
    best = plane[(plane["w1"] == 1) & (plane["b"] == 0)].iloc[0]
    assert abs(best["down_w1"]) < 1e-15 and abs(best["down_b"]) < 1e-15 and best["active"] == pytest.approx(0.5)
    given = {"radius": 1.5, "w2": 0.5, "count": 8, "optimiser": "sgd", "epsilon": 0.0, "steps": field.schedule(3000)}
    table = field.trajectories(gamma=1.0, rate=0.1, momentum=0.0, **given)
    last = table[table["step"] == 3000]
    assert (((last["loss"] - 0.5).abs() < 0.01) | ((last["loss"] - 1).abs() < 0.02)).all()
    assert last["loss"].nunique() > 1 and len(table) == 8 * len(field.schedule(3000))
    assert field.schedule(3) == [0, 1, 2, 3] and field.schedule(3000)[-1] == 3000
    with pytest.raises(ValueError, match=r"eta \* h is 5"):
        field.trajectories(gamma=1.0, rate=5.0, momentum=0.0, **given)


def test_scales_of_their_own_for_a_relu_as_teacher():
    gamma = torch.tensor([1.0, 0.1], dtype=torch.float64)
    state = tuple(torch.tensor(one, dtype=torch.float64) for one in ([0.3, 0.2], [0.5, 0.1], [0.1, -0.2]))
    both = relu_teacher.canonical(gamma)(*state)
    for place, scale in enumerate(gamma.tolist()):
        w = np.array([[float(state[0][place]), float(state[1][place])]])
        by_w, by_b = relu_teacher.gradient(w, np.array([float(state[2][place])]), np.array([scale, 0.0]))
        assert [float(one[place]) for one in both] == pytest.approx([*by_w[0], by_b[0]], abs=1e-14)


def test_rules_and_scales_are_refused_before_anything_runs():
    linear.check_all([SGD(0.1, 0.9), Adam(1.0)], [1.0, 0.1])
    with pytest.raises(ValueError, match=r"eta \* h is 4 .* so eta < 3.8"):
        linear.check_all([SGD(4.0, 0.9)], [1.0])
    with pytest.raises(ValueError, match=r"gamma is -1.0; allowed: > 0, .* 0 < eta < 3.8"):
        linear.check_all([SGD(0.1, 0.9)], [1.0, -1.0])
