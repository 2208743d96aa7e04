"""Affine pieces of networks (K1, K2, K3, K5): tables, figures and sentences from rows whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.report import reference
from kinks.report.affine_pieces import (
    assumptions,
    bound_tables,
    networks,
    networks_figures,
    networks_text,
    noise_text,
    selection,
    updates,
    updates_figures,
)
from kinks.report.affine_pieces import levels as level_tables

STEPS = (0, 10, 100)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def network(depth, width, seed, init="default", bias_sd=0.0, regions=None, revived=0, **more):
    """The rows of one network: gradients Pareto with tail index 1, median growing as width^1.5, a third zero."""
    draw = np.random.default_rng([depth, width, seed])
    cell = {"task": "interval", "target": "sine", "init": init, "bias_sd": bias_sd, "rule": "descent"}
    cell |= {"step_size": 0.05, "batch": 0, "hidden_layers": depth, "width": width, "seed": seed} | more
    found = []
    for step in STEPS:
        for layer in range(1, depth + 1):
            sizes = draw.uniform(0.02, 1, width) * width**-1.5
            sizes[: width // 3] = 0
            found.append(cell | {
                "step": step, "layer": layer, "neurons": width, "gradient": sizes.tolist(), "finite": True,
                "regions": float(depth * width / 2 if regions is None else regions), "pieces": depth * width / 2 - 1,
                "steepest": 1.5 ** (depth if init == "he" else 0), "mean_steepest": 0.5, "variation": 1.0,
                "mean_variation": 0.5, "dead": width // 3, "revived": revived if step else 0, "crossing_unmoved": 0,
                "loss": 1.0,
            })  # fmt: skip
    return found


@pytest.fixture(scope="module")
def rows():
    found = []
    for depth in (1, 2, 4):
        for width in (8, 16, 64):
            for seed in range(3):
                found += network(depth, width, seed)
                found += network(depth, width, seed, "he", 0.1, revived=1)
    found += network(8, 2, 0, "sawtooth", regions=256.0, step_size=1e-9, target="sawtooth")
    return pd.DataFrame(found)


def test_slopes_are_fitted_within_groups():
    x, groups = np.tile([0.0, 1.0, 2.0], 2), np.repeat(["a", "b"], 3)
    exact = updates.fit(x, 3 * x + np.where(groups == "a", 5.0, -7.0), groups)
    assert exact.value == pytest.approx(3) and exact.high - exact.low < 1e-9
    noisy = updates.fit(x, 3 * x + np.array([0.1, -0.1, 0.1, -0.1, 0.2, -0.1]), groups)
    assert noisy.low < 3 < noisy.high and noisy.high - noisy.low > 0.1
    assert np.isnan(updates.fit([1.0, 2.0], [1.0, 2.0], [0, 0]).value)


def test_zeros_medians_and_exponents_are_those_put_in(rows):
    cells = updates.statistics(rows)
    one = cells.query("init == 'default' and hidden_layers == 4 and width == 64 and step == 0").iloc[0]
    assert one["networks"] == 3 and one["n"] == 3 * 4 * 64 and one["zero_fraction"] == pytest.approx(21 / 64)
    assert one["median"] == pytest.approx(64**1.5 / 0.05 / 0.51, rel=0.1)
    slopes = updates.exponents(updates.networks(rows))
    whole = slopes.query("init == 'default' and hidden_layers == 0 and step == 100 and statistic == 'median'").iloc[0]
    assert whole["p"] == pytest.approx(1.5, abs=0.2) and whole["p_low"] < 1.5 < whole["p_high"]
    assert whole["power"] == 1 + whole["p"] and whole["n"] == 27
    assert set(slopes["hidden_layers"]) == {0, 1, 2, 4} and "sawtooth" not in set(slopes["init"])


def test_tail_indices_are_averaged_over_cells():
    cells = pd.DataFrame(
        {"task": "interval", "target": "sine", "init": "default", "bias_sd": 0.0, "rule": "descent", "batch": 0,
         "step_size": 0.05, "hidden_layers": 1, "width": 8, "step": [0, 10], "non_zero": 500,
         "tail_index": [1.0, 0.8], "scaled": [1.0, 0.8]}
    )  # fmt: skip
    both = pd.concat([cells, cells.assign(width=16, tail_index=[1.2, 1.0]), cells.assign(width=4, tail_index=np.nan)])
    found = updates.tails(both).set_index(["task", "when"])
    assert found.loc[("all", "all"), "tail_index"] == pytest.approx(1.0) and found.loc[("all", "all"), "n"] == 2
    assert found.loc[("all", "step 0"), "tail_index"] == pytest.approx(1.1)
    assert found.loc[("interval", "all"), "reciprocals"] == 2000
    assert list(updates.tails(cells.assign(tail_index=np.nan))) == updates.TAIL


def test_histograms_hold_every_non_zero_update(rows):
    parts = updates.histograms(rows[rows["init"] == "default"], "width", selection.BINS)
    assert parts.groupby("width")["share"].sum().tolist() == pytest.approx([1, 1, 1])
    assert (parts["zeros"] > 0).all()


def test_revivals_are_shares_of_dead_neurons_with_intervals_over_networks(rows):
    found = assumptions.revivals(rows).set_index("init")
    he, plain = found.loc["he"], found.loc["default"]
    assert plain["share"] == 0 and plain["high"] < 0.01 and he["n"] == plain["n"] == 27
    assert he["share"] == he["revived"] / he["dead"] and he["low"] < he["share"] < he["high"]
    assert np.isnan(assumptions.cluster_share(pd.Series([0]), pd.Series([0])).value)


def test_slopes_grow_by_the_factor_put_in_and_the_sawtooth_doubles(rows):
    started = pd.DataFrame([
        {"init": init, "bias_sd": 0.0, "width": 2, "hidden_layers": depth, "steepest": base**depth}
        for init, base in (("sawtooth", 2.0), ("default", 1.0)) for depth in (1, 2, 4)
    ])  # fmt: skip
    found = assumptions.growth(started, assumptions.slopes(rows)).set_index(["init", "step"])["factor"]
    assert found[("sawtooth", -1)] == pytest.approx(2) and found[("he", 100)] == pytest.approx(1.5)
    assert found[("default", 0)] == pytest.approx(1)
    same = {name: 0.5 for name in assumptions.SLOPES[1:]}
    table = assumptions.by_depth(started.assign(**same), assumptions.slopes(rows)).set_index("step")
    assert table.loc[-1, "n"].eq(1).all() and table.loc[100, "mean_variation"].to_numpy() == pytest.approx(0.5)
    assert set(assumptions.shown(assumptions.slopes(rows))["hidden_layers"]) == {2, 4}


def test_persistence_needs_many_regions_at_every_recorded_step(rows):
    single = networks.each(rows)
    found = networks.persistence(single).set_index("start")
    assert found.loc["random", ["count", "n", "at_some_step"]].tolist() == [0, 54, 0]
    assert found.loc["unit sawtooth", ["count", "n"]].tolist() == [1, 1]
    assert found.loc["random", "most_per_neuron"] == 0.5
    once = single.copy()
    once.loc[(once["init"] == "default") & (once["step"] == 0), "regions"] = 1e6
    again = networks.persistence(once).set_index("start").loc["random"]
    assert again["count"] == 0 and again["at_some_step"] == 27


def test_regions_by_step_know_the_neurons_and_the_largest_number(rows):
    table = networks.by_step(networks.each(rows))
    row = table.query("init == 'default' and hidden_layers == 2 and width == 8").iloc[0]
    assert row["neurons"] == 16 and row["most"] == 81 and row["regions"] == 8 and row["pieces"] == 7
    width = networks.width_growth(networks.each(rows))
    assert width["power"].to_numpy() == pytest.approx(1.0)


def test_initial_regions_meet_the_check_values_they_are_drawn_from():
    check = reference("initial_regions_check")
    draw = np.random.default_rng(0)
    found = []
    for row in check.query("width == 16 and (init == 'torch_default' or bias_sd == 0.001)").itertuples():
        init, sd = ("default", 0.0) if row.init == "torch_default" else ("he", row.bias_sd)
        for seed in range(30):
            regions = round(row.mean_regions + row.se * 50**0.5 * draw.standard_normal())
            found.append({"init": init, "bias_sd": sd, "width": 16, "hidden_layers": row.hidden_layers, "seed": seed,
                          "regions": regions, "pieces": regions, "neurons": row.neurons})  # fmt: skip
    table = networks.initial(pd.DataFrame(found), check)
    within, known, worst = networks.share_within(table)
    assert known == 16 and within >= 15 and worst < 5
    linear = networks.linearity(table).set_index("init")
    assert linear.loc["he", "low"] < 1 < linear.loc["he", "high"] or linear.loc["he", "ratio"] == pytest.approx(
        1, abs=0.1
    )
    assert linear.loc["default", "high"] < 0.3 and linear.loc["default", "n"] == 60
    assert f"in {within} of 16 rows" in networks_text.starts(table, linear.reset_index())
    networks_figures.started(table)


def bounds():
    base = {"init": "default", "bias_sd": 0.0, "hidden_layers": 1, "width": 8, "seed": 0, "step": 0, "neurons": 8,
            "most": 9.0, "draws": 10, "before": 5, "mean_regions": 5.0, "polynomial": 1e9}  # fmt: skip
    return pd.DataFrame([
        base | {"source": "fp16", "delta": 0.01, "bound": 5e5, "t": -9.0, "t_tenfold": -9.0},
        base | {"source": "fp16", "delta": 0.02, "bound": np.inf, "t": np.nan, "t_tenfold": np.nan, "seed": 1},
        base | {"source": "given", "delta": 1e4, "bound": 6.0, "t": -1.0, "t_tenfold": 5.0},
        base | {"source": "given", "delta": 1e6, "bound": 4.0, "t": 4.0, "t_tenfold": 9.0},
    ])  # fmt: skip


def test_bounds_are_counted_where_they_are_finite():
    found = bound_tables.exceeded(bounds()).set_index(["levels", "bound"])
    assert found.loc[("of formats", "as stated"), ["count", "n", "infinite", "cells"]].tolist() == [0, 1, 1, 2]
    assert found.loc[("all", "as stated"), ["count", "n"]].tolist() == [1, 3]
    assert found.loc[("all", "tenfold"), ["count", "n"]].tolist() == [2, 3]
    assert found.loc[("of formats", "as stated"), "slack"] == 1e5
    table = bound_tables.slack(bounds())
    assert set(table["delta_label"]) == {"fp16", "10000", "1e+06"} and table["exceeded"].sum() == 1
    assert "1.0e+05" in noise_text.bounds(bound_tables.exceeded(bounds()), table)
    networks_figures.slack(table)


def test_levels_are_pooled_by_format_and_typical_of_a_network():
    base = {"hidden_layers": 1, "width": 2, "step": 0, "layer": 1}
    rows = pd.DataFrame([
        base | {"seed": seed, "storage": "fp32", "accumulate": "fp32", "against": against, "delta": delta}
        for against, scale in (("fp64", 1.0), ("stored", 0.5), ("reordered", 0.25))
        for seed, delta in ((0, [scale * 2.0**-24, scale * 2.0**-20]), (1, [scale * 2.0**-22, np.inf]))
    ])  # fmt: skip
    found = level_tables.overall(rows).set_index("against")
    whole = found.loc["fp64"]
    assert whole["n"] == 3 and whole["median_in_u"] == 4 and whole["above_one"] == 1 and whole["networks"] == 2
    assert whole["typical_in_u"] == pytest.approx((8.5 * 4) ** 0.5) and whole["n_networks"] == 2
    assert level_tables.by_format(rows)["networks"].eq(2).all() and "layer" in level_tables.by_layer(rows)
    check = pd.DataFrame(columns=["quantity", "ratio"], data=[["fp16 error, median, sums in fp32", 0.5]])
    said = noise_text.noise(found.reset_index(), level_tables.growth(rows), check, level_tables.by_format(rows))
    assert "= 4 u" in said and "0.50 times with sums in fp32" in said


def test_our_numbers_stand_beside_those_of_the_check_run(rows):
    cells, table = updates.statistics(rows), networks.by_step(networks.each(rows))
    errors = pd.DataFrame({"hidden_layers": [4], "width": [64], "storage": "fp16", "accumulate": "numpy",
                           "against": "fp64", "median": [0.042]})  # fmt: skip
    check = networks.pilot_training(cells, table, errors, reference("bias_gradients_check"))
    row = check.query("hidden_layers == 4 and width == 64").set_index("quantity")
    assert row.loc["regions before training", "ours"] == 128
    assert row.loc["fp16 error, median, sums as NumPy's", "ratio"] == pytest.approx(2)
    assert "| zero fraction |" in noise_text.pilot(check)


def test_figures_and_sentences_are_drawn_from_the_tables(rows):
    cells, single = updates.statistics(rows), networks.each(rows)
    slopes, tails, table = updates.exponents(updates.networks(rows)), updates.tails(cells), networks.by_step(single)
    plain = selection.plain_cells(cells)
    updates_figures.histograms(selection.size_panels(rows))
    updates_figures.reciprocals(plain, selection.exponents_beside(slopes, plain))
    updates_figures.zeros_and_tails(plain, tails)
    revived = assumptions.revivals(rows)
    shown = updates_figures.revivals(revived, networks_text.LIMIT).axes[0].get_yticklabels()
    assert len(shown) == 2 and len(revived) == 3  # the sawtooth has no dead neuron
    assert "p = 1." in networks_text.updates(cells, slopes, tails)
    assert "(n = 27 networks)" in networks_text.assumptions(revived, assumptions.growth(
        pd.DataFrame(columns=["init", "bias_sd", "width", "hidden_layers", "steepest"]), assumptions.slopes(rows)
    ))  # fmt: skip
    said = networks_text.regions(table, networks.persistence(single), networks.width_growth(single))
    assert "0 of 54 runs" in said and "1 of 1 that start at the unit sawtooth" in said
    panels = selection.step_panels(networks_figures.labelled(table))
    assert len(networks_figures.steps(table, panels).axes) == len(panels) == 3
    depths = selection.depths(table)
    assert set(depths["step"]) == {0, 100} and depths["width"].nunique() == 1
    networks_figures.depth(depths, selection.bounds_beside(bound_tables.slack(bounds()), depths))
