"""Figures of a sweep: every run is drawn, those that failed as crosses with their number."""

import numpy as np
import pandas as pd
import pytest

from kinks.report import training
from kinks.report.training import frames


def panels(fig):
    return [ax for ax in fig.axes if ax.get_visible()]


def crosses(ax):
    return [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]


def words(ax):
    return [text.get_text() for text in ax.texts]


def texts(fig):
    return [text.get_text() for part in fig.subfigs for text in [part._suptitle]]


def legend(fig):
    return [text.get_text() for text in fig.legends[0].get_texts()]


@pytest.fixture
def some(relu):
    """One precision and one rate of the sweep."""
    tables = {name: table[(table["precision"] == "fp32") & (table["rate"] == 0.05)] for name, table in relu.items()}
    return tables


def test_boxes_stand_against_the_dose_with_batch_norm_as_hue(some):
    published = pd.DataFrame({"dose": [0.0, 1.0], "batch_norm": False, "median": [0.9, 0.8], "sd": 0.01})
    fig = training.box(some["finals"], published=published.assign(variant="assign", label="published"))
    released, corrected = panels(fig)
    assert [ax.get_title() for ax in (released, corrected)] == ["released rule, α itself", "chain rule, α × gradient"]
    assert [tick.get_text() for tick in released.get_xticklabels()] == ["0", "0.1", "0.3", "0.5", "1"]
    assert texts(fig) == ["LeNet-5, MNIST, SGD, 32 bits, rate 0.05: 6 runs each"]
    assert [len(crosses(ax)) for ax in (released, corrected)] == [2, 0] and words(released) == ["1", "6"]
    assert sum(line.get_marker() == "D" for line in released.lines) == 2
    assert not any(line.get_marker() == "D" for line in corrected.lines)
    assert legend(fig) == ["without batch norm", "with batch norm", "failed runs, number", "published"]
    points = sum(len(offsets.get_offsets()) for offsets in released.collections if hasattr(offsets, "get_sizes"))
    assert points == 2 * 5 * 6 - 7


def test_batch_norm_with_a_rate_of_its_own_shares_a_panel(relu):
    finals = relu["finals"][relu["finals"]["precision"] == "fp32"]
    kept = finals[(finals["rate"] == 0.05) == finals["batch_norm"]]
    assert texts(training.box(kept)) == ["LeNet-5, MNIST, SGD, 32 bits, rate 0.01 and 0.05: 6 runs each"]
    assert len(panels(training.box(finals))) == 4


def test_dropout_may_stand_on_the_axis_and_the_dose_be_the_hue(make):
    arms = [
        make.arm([0.0] * 3, alpha=alpha, rule="assign", dropout=share) for alpha in (0.0, 1.0) for share in (0.0, 0.5)
    ]
    fig = training.box(training.finals(make("alpha", *arms), 0.1), x="dropout", hue="dose")
    assert panels(fig)[0].get_xlabel() == "Dropout" and legend(fig)[:2] == ["α = 0", "α = 1"]
    assert texts(fig) == ["LeNet-5 without batch norm, MNIST, SGD, 32 bits, rate 0.05: 3 runs each"]


def test_a_single_run_and_a_panel_of_failures_are_drawn(make):
    finals = training.finals(make("alpha", make.arm([0.0]), make.arm(["diverged"], alpha=1.0, rule="assign")), 0.1)
    fig = training.box(finals)
    assert words(panels(fig)[0]) == ["1"] and texts(fig)[0].endswith("1 run each")
    fig = training.box(finals[finals["failed"]])
    assert words(panels(fig)[0]) == ["1"] and panels(fig)[0].get_yticklabels()[0].get_text() == "failed"
    with pytest.raises(ValueError, match="no run to draw"):
        training.box(finals.iloc[:0])


def test_curves_have_bands_and_mark_where_runs_diverged(some):
    rows = some["rows"][~some["rows"]["batch_norm"]]
    fig = training.curves(rows)
    released, corrected = panels(fig)
    assert len(released.collections) == len(corrected.collections) == 5 and not crosses(corrected)
    assert words(released) == ["1", "2", "2", "1"] and "diverged, number" in legend(fig)
    assert texts(fig) == ["LeNet-5 without batch norm, MNIST, SGD, 32 bits, rate 0.05"]
    table = training.losses(rows)
    ended = table[(table["variant"] == "assign") & (table["dose"] == 1)]
    assert ended["ended"].tolist() == [2, 2, 1] and ended["n"].tolist() == [4, 2, 1] and np.isnan(ended["sd"].iloc[-1])
    published = pd.DataFrame({"dose": 1.0, "epoch": [0, 1, 200], "mean": [2.0, 1.0, 0.1], "network": "lenet5"})
    fig = training.curves(rows, doses=[0.0, 1.0], published=published)
    assert sum(line.get_linestyle() == ":" for line in panels(fig)[0].lines) == 1 and "as published" in legend(fig)


def test_curves_of_a_single_run_have_no_band_to_show(make):
    rows = make("beta", make.arm([0.0]), make.arm([0.1], beta=100.0, forward="mixed"))
    assert len(panels(training.curves(rows))) == 2 and training.losses(rows)["sd"].isna().all()


def test_a_cell_trained_in_one_variant_alone_leaves_the_other_panel_empty(make):
    wide = [make.arm([0.0] * 3, beta=beta, forward="exact", precision="fp64") for beta in (0.0, 100.0)]
    narrow = [make.arm([0.0] * 3, beta=beta, forward="mixed") for beta in (0.0, 100.0)]
    rows = make("beta", *wide, *narrow)
    finals = training.finals(rows)
    effects = training.effects(finals)
    assert [words(ax) for ax in panels(training.curves(rows))] == [[], ["not trained"], ["not trained"], []]
    assert len(panels(training.box(finals))) == 4 and len(panels(training.frontier(training.boundary(effects)))) == 2
    fig = training.causal(effects)
    assert len(fig.subfigs) == 1 and [ax.get_title()[:7] for ax in panels(fig)] == ["32 bits", "64 bits"]


def test_the_causal_figure_has_a_panel_per_precision_and_rate(relu):
    effects = relu["effects"][~relu["effects"]["batch_norm"]]
    fig = training.causal(effects, relu["interaction"])
    titles = [ax.get_title() for ax in panels(fig)]
    assert titles == [f"{bits} bits, rate {rate}" for bits in (16, 32, 64) for rate in (0.01, 0.05)]
    gentle, harsh = panels(fig)[:2]
    assert not crosses(gentle) and len(crosses(harsh)) == 2 and [w for w in words(harsh) if "/" in w] == ["1/6", "6/6"]
    assert words(gentle).count("*") == 4 and not words(panels(fig)[-1])
    assert gentle.get_xscale() == gentle.get_yscale() == "symlog"
    assert {"within 1 point", "examples reordered", "the variants differ"} <= set(legend(fig))


def test_without_the_other_variant_there_are_no_stars(make):
    rows = make("beta", make.arm(["chance", 0.0, 0.0]), make.arm([0.2] * 3, beta=100.0, forward="mixed"))
    fig = training.causal(training.effects(training.finals(rows, 0.1)))
    assert words(panels(fig)[0]) == ["base 1/3"] and panels(fig)[0].get_xlabel() == "Max-pool Jacobian β"


def test_the_frontier_shows_harm_and_its_absence(relu):
    fig = training.frontier(relu["boundary"])
    released, corrected = panels(fig)[:2]
    assert len(crosses(released)) == 4 and not crosses(corrected)
    assert sum(line.get_marker() == "^" for line in corrected.lines) == 4
    assert [tick.get_text() for tick in released.get_xticklabels()] == ["0.01", "0.05"]


def test_doses_have_dark_to_light_colours_and_zero_is_black():
    colours = frames.dose_colours([1.0, 0.0, -0.5])
    assert colours[0.0] == "#111111" and list(colours) == [0.0, -0.5, 1.0]
