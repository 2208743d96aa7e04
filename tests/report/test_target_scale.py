"""Tables, figures and sentences of target scale, depth and controls, on tiny sweeps and on made-up numbers."""

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt

from kinks.dying import equivariance, grids, sweep
from kinks.dying.architecture import Architecture
from kinks.dying.ensemble import Ensemble, forward
from kinks.report.dying_relu import (
    controls,
    controls_figures,
    controls_text,
    depth,
    depth_figures,
    depth_text,
    effects,
    networks,
    outcomes,
    saving,
    target_scale,
    target_scale_figures,
    target_scale_text,
)  # fmt: skip
from kinks.report.tables import describe, read_table

COMMON = {
    "data_seed": 0, "rows": 80, "gammas": [0.0001, 0.01, 0.1, 1.0, 100.0], "seeds": [0, 1, 2], "width": 6, "batch": 16,
    "record": [0, 4, 12], "depth": 2,
}  # fmt: skip
OPTIMISERS = [
    {"optimiser": "sgd", "momentum": 0.0}, {"optimiser": "sgd", "momentum": 0.9}, {"optimiser": "adam", "momentum": 0.0}
]  # fmt: skip


def run(jobs):
    return pd.concat([sweep.job(**job) for job in jobs], ignore_index=True)


@pytest.fixture(scope="module")
def swept():
    jobs, others = target_scale.settings(
        ["sine-8", "net-8"], ["library", "he"], OPTIMISERS, [0.3, 0.03], [0.01], [1e-12], COMMON
    )
    return networks.per_network(networks.labelled(run(jobs), jobs)), networks.per_network(
        networks.labelled(run(others), others)
    )


@pytest.fixture(scope="module")
def deep():
    cells = [
        {"data": "sine-8", "kind": kind, "initialisation": "library", "depth": depths, "speeds": [0.1, 0.01]}
        for kind, depths in (("plain", [1, 2, 4]), ("residual", [2, 4]))
    ]
    common = COMMON | {"gammas": [0.01, 1.0, 10.0]}
    jobs = grids.sweeps(cells, OPTIMISERS, [0.01], common)
    rows = run(jobs)
    return rows, jobs, networks.per_network(networks.labelled(rows, jobs))


def made(**columns):
    """Networks as `per_network` has them, made up: one cell, the given columns, everything else as it was at first."""
    table = pd.DataFrame(columns)
    rest = networks.SETTINGS | {"data": "sine-8", "rate": 0.1, "step": 5, "relus": 10.0, "diverged": False}
    rest |= {"nearly_gained": 0.0, "train_error": 1.0, "validation_error": 1.0, "test_error": 1.0, "speed": 0.1}
    return table.assign(**{name: value for name, value in rest.items() if name not in table})


def test_networks_have_their_settings_and_their_start(swept):
    nets, _ = swept
    assert len(nets) == 3 * (2 + 2 + 1) * 5 * 3 * 3, "sets and starts, rates, gammas, seeds, records"
    assert nets.loc[nets["step"] == 0, "gained"].eq(0).all() and (nets["relus"] == 12).all()
    assert set(nets["speed"].dropna()) == {0.3, 0.03} and nets.loc[nets["optimiser"] == "adam", "speed"].isna().all()
    with pytest.raises(ValueError, match="0 rows for settings that make"):
        networks.labelled(pd.DataFrame(), [COMMON | {"rates": [1]}])


def test_the_rate_is_chosen_on_the_validation_part_at_gamma_one():
    gamma, rate = np.repeat([0.01, 1.0], 4), np.tile([0.1, 0.1, 0.2, 0.2], 2)
    error = [5, 5, 1, 1, 1, 1, 2, np.nan]
    nets = made(gamma=gamma, rate=rate, seed=[0, 1] * 4, validation_error=error, gained=0.0)
    nets["diverged"] = np.isnan(error)
    assert set(networks.chosen(nets, ["data"])["rate"]) == {0.1}
    anew = networks.chosen(nets, ["data"], retuned=True)
    assert anew.groupby("gamma")["rate"].first().to_dict() == {0.01: 0.2, 1.0: 0.1}


def test_effects_are_differences_of_pairs():
    seeds = [0, 1, 2] * 3
    nets = made(
        gamma=np.repeat([0.01, 0.1, 1.0], 3), seed=seeds, gained=[0.3, 0.4, 0.5, 0.2, 0.3, 0.4, 0.1, 0.2, np.nan]
    )
    pairs = effects.excess(nets, ["data"])
    assert pairs["value"].tolist() == pytest.approx([0.2, 0.2]), "a pair with a network that diverged is left out"
    slopes = effects.fall(nets[nets["seed"] < 2], ["data"])
    assert slopes["value"].tolist() == pytest.approx([0.1, 0.1])
    assert slopes["resolution"].tolist() == pytest.approx([0.1 / np.sqrt(2)] * 2)
    assert effects.gained(nets, ["data"], 1.0)["value"].tolist() == pytest.approx([0.1, 0.2])
    found = effects.summary(pairs, ["data"], measure="excess").iloc[0]
    assert found["n"] == 2 and found["value"] == pytest.approx(0.2) and found["low"] < 0.2 < found["high"]
    assert found["high"] - found["low"] > 0.1, "equal differences of so few ReLUs are no proof"


def test_momentum_is_compared_at_equal_speed_and_at_equal_rate():
    nets = made(
        gamma=0.01, seed=0, momentum=[0.0, 0.0, 0.9, 0.9], rate=[0.1, 0.01, 0.01, 0.001], gained=[0.1, 0.3, 0.5, 0.4],
        speed=[0.1, 0.01, 0.1, 0.01],
    )  # fmt: skip
    assert effects.momentum(nets, "speed", ["data"], 0.9)["value"].item() == pytest.approx((0.4 + 0.1) / 2)
    assert effects.momentum(nets, "rate", ["data"], 0.9)["value"].item() == pytest.approx(0.2)


def test_growth_is_a_slope_over_doublings_of_all_depths():
    pairs = pd.DataFrame({"seed": [0, 0, 0, 1, 1], "depth": [1, 2, 4, 1, 2], "value": [0.0, 0.1, 0.2, 0.0, 5.0]})
    pairs = pairs.assign(data="sine-8", resolution=0.1)
    found = effects.growth(pairs, ["data"])
    assert found["value"].tolist() == pytest.approx([0.1]), "a seed that lacks a depth is left out"
    assert effects.over_depths(pairs, ["data"])["value"].tolist() == pytest.approx([0.15])


def test_equal_time_takes_each_rate_at_its_own_step():
    nets = made(speed=[1.0, 1.0, 0.1, 0.1], step=[10, 100, 10, 100], gamma=1.0, seed=0, gained=0.0)
    assert networks.equal_time(nets)[["speed", "step"]].to_numpy().tolist() == [[1.0, 10], [0.1, 100]]
    assert networks.equal_time(nets.assign(optimiser="adam")).empty


def test_kinds_of_outcomes_tell_undertraining_from_death():
    nets = made(gamma=1.0, seed=range(4), train_error=[0.5, 1.0, 30.0, np.inf], gained=[0.0, 0.5, 0.0, np.nan])
    nets = nets.assign(diverged=[False, False, False, True], dead=nets["gained"], dead_start=0.0, nearly_dead=0.0)
    nets["dead_layer"] = [False, True, False, False]
    assert outcomes.kind_of(nets).tolist() == ["learnt", "constant", "worse", "diverged"]
    row = outcomes.table(nets, ["gamma"]).iloc[0]
    assert (row["worse_alive"], row["dead_layer"], row["diverged"]) == (0.25, 0.25, 0.25)


@pytest.mark.parametrize(("best", "sign"), [(1.0, 1), (100.0, -1)])
def test_the_best_scale_can_lie_near_or_far(best, sign):
    gammas = np.tile([0.0001, 0.1, 1.0, 100.0], 5)
    noise = np.random.default_rng(0).normal(size=20) * 0.01
    nets = made(
        gamma=gammas, seed=np.repeat(range(5), 4), gained=0.0, test_error=np.where(gammas == best, 0.1, 1) + noise
    )
    row = target_scale.best_scale(nets).iloc[0]
    assert sign * row["gain"] > 0.9 and row["low"] <= row["gain"] <= row["high"] and np.sign(row["low"]) == sign
    assert row["near"] == (best == 1.0) and row["best"] == f"{best:g}" and row["n"] == 5


def test_target_scale_from_the_sweep_to_sentences(swept):
    nets, others = swept
    cells, best = target_scale.cells(nets), target_scale.best_scale(nets)
    assert not cells.duplicated(["choice", "data", "initialisation", *networks.RULE, "gamma"]).any()
    measured, epsilon = effects.all_measures(nets, [0.9]), target_scale.epsilon(nets, others)
    assert {"chosen", "every", "equal time"} == set(measured["choice"])
    assert not measured.duplicated(["data", "initialisation", *networks.RULE, "choice", "measure"]).any()
    assert set(epsilon["epsilon"]) == {1e-8, 1e-12} and (epsilon["gamma"] == 0.0001).all()
    for fig in (
        target_scale_figures.against_gamma(cells[cells["choice"] == "chosen"]),
        target_scale_figures.gains(best),
    ):
        plt.close(fig)
    plt.close(target_scale_figures.kinds(cells[cells["choice"] == "chosen"]))
    said = [
        target_scale_text.best(best), target_scale_text.apart(cells), target_scale_text.effects(measured),
        target_scale_text.rest(target_scale.progress(nets)), target_scale_text.epsilon(epsilon),
    ]  # fmt: skip
    assert all(said) and not any("nan" in text for text in said)


def test_depth_from_the_sweep_to_sentences(deep):
    rows, jobs, nets = deep
    cells, found, layers = depth.cells(nets), depth.table_of_effects(nets, [0.9]), depth.layers(rows, jobs, nets)
    assert cells["chosen"].any() and not cells["chosen"].all()
    assert not found.duplicated([*networks.CELL, *networks.RULE, "choice", "measure"]).any()
    assert set(found.loc[found["measure"] == "growth of excess", "depths"]) == {"1, 2, 4", "2, 4"}
    assert set(layers["depth"]) == {4} and set(layers["layer"]) == {1, 2, 3, 4}
    whole = nets.merge(cells[cells["chosen"]][[*networks.CELL, *networks.RULE, "rate"]].drop_duplicates())
    deepest = whole[(whole["depth"] == 4) & (whole["step"] == 12) & (whole["gamma"] == 1)]
    assert layers.loc[layers["gamma"] == 1, "gained"].mean() == pytest.approx(deepest["gained"].mean(), abs=1e-9), (
        "layers make up the network"
    )
    for fig in (depth_figures.against_gamma(cells), depth_figures.maps(layers), depth_figures.effects(found)):
        assert fig.axes
        plt.close(fig)
    assert list(depth_text.shown(found).columns)[-3:] == ["1 layer", "2 layers", "4 layers"]
    assert "Does depth make it worse?" in depth_text.text(found, cells) and "12 steps" in depth_text.limits(
        cells, 12, 6
    )


def test_controls_from_the_sweep_to_sentences():
    bases = [
        {"optimiser": "sgd", "momentum": 0.9, "initialisation": "he", "rates": [0.05]},
        {"optimiser": "adam", "momentum": 0.0, "initialisation": "library", "rates": [0.01]},
    ]
    common = COMMON | {"data": "sine-8", "kind": "plain", "gammas": [0.01, 1.0]}
    jobs, names = controls.settings(bases, common)
    assert len(jobs) == 6 + 5 and names.count("Nesterov") == 1
    nets = controls.networks(run(jobs), jobs, names)
    assert nets.groupby("control").size().gt(0).all() and len(nets) == 11 * 2 * 3 * 3
    changes = controls.against_none(nets)
    assert "none" not in set(changes["control"]) and (changes["n"] + changes["diverged"] >= 3).all()
    cells = controls.cells(nets)
    blind = cells[cells["control"] == "running target scale"]
    assert blind.groupby("base")["gained"].nunique().eq(1).all(), "the scale of the targets is not seen"
    plt.close(controls_figures.remedies(cells))
    assert "batch norm" in controls_text.remedies(changes)


def test_first_scales_stand_for_target_scales():
    common = COMMON | {"data": "sine-8", "kind": "plain", "initialisation": "he", "optimiser": "sgd", "momentum": 0.9}
    jobs = controls.scaled_settings([1, 2], [1.0, 2.0], 0.02, common)
    assert [(job["gammas"], job["scale"], job["rates"]) for job in jobs[2:4]] == [
        ([0.25], 1.0, [0.02]), ([1.0], 2.0, [0.005])
    ]  # fmt: skip
    table = controls.equivalence(run(jobs), jobs)
    same = table[table["first_scale"] == 1.0]
    assert (same["largest"] == 0).all() and (same["error_ratio"] == 1).all()
    assert (table["degree"] == table["depth"] + 1).all() and (table["n"] == 3).all()
    settings = {"d": 3, "n": 20, "starts": 10, "seed": 0, "momentum": 0.9, "rate": 0.1, "steps": 20, "powers": [0, 2]}
    single = equivariance.job(optimiser="sgd", **settings)
    plt.close(controls_figures.scales(single, table))
    assert "0 of 20 ReLUs differ" in controls_text.scales(single, table)


@pytest.mark.parametrize("depth", [1, 3])
def test_without_biases_a_network_is_of_that_degree_bit_for_bit(depth):
    """What `scaled_settings` scales is exact where biases stay zero: the rest of the difference is theirs."""
    k, scale, steps = depth + 1, 2.0, 6
    x = torch.randn(20, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = torch.sin(x[:, :1])
    ends = []
    for first, gamma, rate in ((1.0, scale**-k, 0.125), (scale, 1.0, 0.125 * scale ** (2 - 2 * k))):
        nets = Ensemble(Architecture(3, 5, depth, initialisation="he", scale=first), [0, 1], dtype=torch.float64)
        for _ in range(steps):
            leaves = [one.detach().requires_grad_() for one in nets.weights]
            outputs, _ = forward(nets.shape, "stacked", leaves, x[None])
            loss = 0.5 * (outputs - gamma * y).square().mean(1).sum()
            for weight, slope in zip(nets.weights[::2], torch.autograd.grad(loss, leaves[::2]), strict=True):
                weight -= rate * slope
        ends.append([weight / first for weight in nets.weights])
    start = Ensemble(Architecture(3, 5, depth, initialisation="he"), [0, 1], dtype=torch.float64).weights
    assert all(torch.equal(*pair) for pair in zip(*ends, strict=True))
    assert not any(torch.equal(*pair) for pair in zip(ends[0][::2], start[::2], strict=True)), "they were trained"


def test_tables_say_what_chance_decides(project):
    table = pd.DataFrame({"gamma": [0.01, 1.0], "value": [0.1, 0.2], "rate": [0.1, 0.1], "data": ["sine-8", "net-8"]})
    saving.save(table, "effects", ["gamma"], source="elsewhere", device="cpu")
    about = describe(project / "reports" / "tables" / "target_scale" / "effects.csv")
    assert about["keys"] == ["gamma"] and {"value", "rate"} <= set(about["tolerances"])
    found = read_table(project / "reports" / "tables" / "target_scale" / "effects.csv")
    assert found["data"].tolist() == ["sine-8", "net-8"] and (found["code"].str.len() == 12).all()
    saving.save(table.drop(columns="data"), "best", ["gamma"], source="elsewhere", device="cpu")
    assert (read_table(project / "reports" / "tables" / "target_scale" / "best.csv")["data"] == "elsewhere").all()
