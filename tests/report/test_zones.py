"""Reports of thresholds and zones: tables and sentences from rows whose answers are known."""

import numpy as np
import pandas as pd
import pytest

from kinks.audit import zone_cells
from kinks.report import reference, style
from kinks.report.max_pool import thresholds, zones

CELL = {
    "network": "vgg11",
    "batch_norm": False,
    "init": "kaiming_uniform",
    "batch_size": 128,
    "bias": "accumulator",
} | {"deterministic": True}


def rows(norms, arm="beta", precision="fp32", first_seed=0, **cell):
    """One row per initialisation with Ninf, and N1 ten times as large."""
    cell = CELL | cell | {"precision": precision, "arm": arm, "minibatch": 0, "tied": 3.0, "windows": 9.0}
    return pd.DataFrame({"seed": first_seed + k, "ninf": v, "n1": 10 * v} | cell for k, v in enumerate(norms))


@pytest.fixture
def measured():
    return pd.concat(
        [
            rows([5e-8, 2e-7, 4e-7, 5e-6]), rows([3e-7, 2e-7], "reordered"), rows([2e-6], "error"),
            rows([0.0], "repeated"),
            rows([2e-6, 3e-6], batch_norm=True), rows([6e-7], "reordered", batch_norm=True),
            rows([3e-7, 3e-7], batch_size=64), rows([2e-8], network="vgg19", batch_size=64),
            rows([2e-3, 3e-3], precision="fp16"), rows([1e-4], "reordered", "fp16"), rows([5e-3], "error", "fp16"),
            rows([0.0], precision="fp64"),
        ]
    )  # fmt: skip


@pytest.fixture
def counted(measured):
    cells = zones.published_cells(reference("volume_estimates"))
    return zone_cells.shares(measured).merge(cells, how="left")


def test_published_counts_are_pooled_by_cell():
    cells = zones.published_cells(reference("volume_estimates"))
    index = cells.set_index(["network", "batch_norm", "batch_size", "precision"])
    assert index.loc[("vgg11", False, 128, "fp32"), "published_n"] == 3 * 391
    assert index.loc[("vgg11", False, 128, "fp32"), "published"] == pytest.approx((216 + 190 + 211) / (3 * 391))
    assert index.loc[("vgg11", True, 128, "fp32"), "published"] == pytest.approx(311 / 391)
    for network in ("vgg11", "vgg19"):  # nobody knows which of the two it was
        assert index.loc[(network, False, 64, "fp32"), "published"] == pytest.approx(208 / 782)
    unsure = cells[cells["unsure"]]
    assert set(unsure["batch_size"]) == {64, 256, 512, 1024} and not cells.duplicated(index.index.names).any()


def test_the_overview_holds_both_thresholds_and_their_zones(measured, counted):
    table = zones.overview(measured, counted).set_index(["network", "batch_norm", "batch_size", "precision"])
    row = table.loc[("vgg11", False, 128, "fp32")]
    assert row[["published", "repaired", "error", "noise", "n"]].tolist() == [1e-7, 3e-7, 2e-6, 0.0, 4]
    assert row[["bifurcation_published", "bifurcation", "beyond_error"]].tolist() == [0.75, 0.5, 0.25]
    assert row[["compensation_published", "compensation", "equal"]].tolist() == [0.25, 0.5, 0.0]
    assert table.loc[("vgg11", False, 128, "fp64"), "equal"] == 1.0
    assert np.isnan(table.loc[("vgg11", False, 64, "fp32"), "bifurcation"]), "no yardstick, no share"
    assert set(zones.SHOWN) <= set(table.reset_index().columns)


def test_the_sentences_compute_their_numbers(measured, counted):
    said = zones.text(zones.overview(measured, counted), counted, "some images")
    assert "3 of 4 pairs (75%" in said and "exceed the published 1e-07; the paper has 53%" in said
    assert "exceeds it in 2 of 2" in said and "50% of the pairs lie above it" in said
    assert "Of what the published threshold calls bifurcation, 33% is no more than that." in said
    assert "0.4 times the largest difference" in said and "25% of the pairs lie above that" in said
    assert "the median grows 8.3 times, and what reordering does 2 times" in said
    assert "64: 100% of 2 above the published threshold" in said


def test_figures_draw_what_was_measured_and_nothing_else(measured, counted):
    drawn = counted.query("level == 'minibatch' and arm == 'beta' and threshold == 'published'")
    fig = zones.bars(drawn, style.PRECISION_COLOURS)
    assert [ax.get_xlabel() for ax in fig.axes] == [
        "Network", "Mini-batch size (VGG-11)", "Mini-batch size (VGG-19)", "Batch norm (VGG-11)",
    ]  # fmt: skip
    assert [text.get_text() for text in fig.axes[3].get_xticklabels()] == ["no", "yes"]
    assert sorted(bar.get_height() for bar in fig.axes[0].patches) == [75, 100], "a share of 0 has no bar"
    fig = zones.spread(zones.common(measured), style.ARM_COLOURS)
    assert [ax.get_title() for ax in fig.axes] == ["16 bits", "32 bits", "64 bits"]
    assert [len(ax.get_yticks()) for ax in fig.axes] == [3, 4, 1]


def test_histograms_drop_nothing():
    norms = [0.0, 1e-3, 9.99e-4, 2e-2, 3e-2, 1e-12, np.inf, 5.0]
    table = thresholds.histogram(pd.DataFrame({"arm": "beta", "n1": norms}), ["arm"]).set_index("decade")
    assert table["count"].to_dict() == {"zero": 1, "-11": 1, "-3": 1, "-2": 1, "-1": 2, "1": 1, "not finite": 1}
    assert table["percent"].sum() == 100 and (table["n"] == len(norms)).all()


def test_histograms_have_the_published_form():
    table = thresholds.histogram(rows([1e-4, 2e-4, 3e-3], precision="fp16"), ["arm"])
    published = reference("threshold_histograms").query("figure == 'deterministic_threshold_16'")
    fig = thresholds.bars(table, published, style.ARM_COLOURS, thresholds.ARMS, "arm")
    ax = fig.axes[0]
    assert tuple(fig.get_size_inches()) == (8, 5) and ax.get_yscale() == "log"
    assert [text.get_text() for text in ax.get_xticklabels()] == ["exactly 0", "-3", "-2", "-1"]
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[0] == "published, n = 469" and labels[1].endswith("n = 3")


def test_released_thresholds_follow_the_released_procedure():
    norms = pd.Series([0.0, 3.0, 1.0])
    assert thresholds.released_threshold(norms, "fp16") == 1.0
    assert thresholds.released_threshold(norms, "fp32") == thresholds.released_threshold(norms, "fp64") == 3.0
    assert np.isnan(thresholds.released_threshold(norms * 0, "fp16"))


def test_thresholds_name_both_procedures(measured):
    table = pd.concat([measured, rows([0.0, 1e-6], "swapped")])
    row = zones.common(thresholds.procedures(table)).set_index("precision").loc["fp32"]
    assert row[["released", "intended", "noise"]].tolist() == pytest.approx([1e-5, 5e-5, 0.0])
    assert row[["repaired", "repaired_n", "released_n", "inits"]].tolist() == [3e-7, 2, 2, 4]


def test_norms_are_counted_by_arm():
    half = pd.concat([rows([0.0, 1e-3, 2e-3], precision="fp16"), rows([1e-2], "swapped", "fp16", network="lenet5")])
    table = thresholds.norms(half).set_index("arm")
    assert table.loc["beta", ["count", "n", "share", "within"]].tolist() == [
        2,
        3,
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
    ]
    assert table.loc["swapped", "within"] == 0.0, "0.1 lies outside"
    assert table.loc["beta", ["n1_smallest", "n1_largest", "ninf_median"]].tolist() == [1e-2, 2e-2, 1e-3]


def test_thresholds_are_told_in_words(measured):
    lenet = [rows([0.0, 1e-3], arm, "fp16", network="lenet5") for arm in ("swapped", "beta", "reordered")]
    table = pd.concat([measured, rows([0.0, 1e-6], "swapped"), *lenet])
    found = zones.overview(table, zone_cells.shares(table))
    said = thresholds.text(thresholds.procedures(table), found, thresholds.norms(table), "some images")
    assert "Of the mini-batches 50% with the bias in the accumulator are exactly 0" in said
    assert "The released call is, but for 1 of 2 mini-batches" in said and "run twice differs in 0 of 1" in said


def test_norm_pool_is_summarised_over_networks():
    cell = {"precision": "fp16", "bias": "accumulator", "rule": "chain", "underflowed": 2, "windows": 100}
    table = pd.DataFrame({"seed": k // 2, "n1": v} | cell for k, v in enumerate([0.0, 1e-5, 2e-4, 5e-4]))
    row = thresholds.norm_pool(table).iloc[0]
    assert row[["inits", "n", "zeros", "zero", "above", "largest", "smallest"]].tolist() == [
        2,
        4,
        1,
        0.25,
        0,
        5e-4,
        1e-5,
    ]
    assert row["zero_low"] <= 0.25 <= row["zero_high"] and row["underflowed"] == 8
    published = reference("threshold_histograms").query("figure == 'normpool_16'")
    said = thresholds.norm_pool_text(pd.DataFrame([row]), published, "digits")
    assert (
        "the paper has 3.17% zeros among 46,900" in said
        and "25.00% are exactly 0" in said
        and "0.00% reach 0.001" in said
    )


def test_norm_pool_jobs_cover_every_network():
    cut = thresholds.norm_pool_jobs({"fp16": 5, "fp32": 2}, 3, 4, 2, device="cpu")
    assert [(j["precision"], j["rule"], j["first_seed"], j["seeds"]) for j in cut] == [
        ("fp16", "chain", 0, 4), ("fp16", "chain", 4, 1), ("fp32", "chain", 0, 2), ("fp16", "assign", 0, 3),
    ]  # fmt: skip
