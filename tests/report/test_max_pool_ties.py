import matplotlib.pyplot as plt
import pandas as pd
import pytest
import torch

from kinks.audit import mixed_forward, tie_cells, tie_effects, zero_program
from kinks.data import load
from kinks.report import reference, style
from kinks.report.max_pool import illustrations, ties
from kinks.report.max_pool import tie_effects as effects

COLOURS = style.PRECISION_COLOURS
CELL = {"network": "vgg11", "batch_norm": False, "init": "kaiming_uniform", "augment": True, "bias": "accumulator"}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def census_rows(precision="fp32", coincidental=2, **cell):
    rows = []
    for seed in range(3):
        for layer in (1, 2):
            for place, windows in (("border", 1000), ("inside", 3000)):
                counts = {"zero": 500, "structural": 90 if place == "border" else 10, "coincidental": coincidental}
                rows += [
                    {"seed": seed, "minibatch": seed, "layer": layer, "place": place, "kind": kind, "windows": windows,
                     "count": count, "two": count, "three": 0, "four": 0, "merged": count // 2, "batch_size": 32}
                    for kind, count in counts.items()
                ]  # fmt: skip
    return pd.DataFrame(rows).assign(**{**CELL, "precision": precision, **cell})


@pytest.fixture
def rows():
    return pd.concat(
        [census_rows(), census_rows("fp64", 0), census_rows("fp16", 200), census_rows(augment=False),
         census_rows(batch_norm=True), census_rows(network="lenet5", augment=False)]
    )  # fmt: skip


def test_the_first_digit_has_the_published_ties():
    digits = load("mnist", source="embedded")
    table = illustrations.digit(digits.images[0], reference("tie_illustration")).set_index("ties")
    assert (table["windows"] == table["published_windows"]).all() and (table["dots"] == table["published_dots"]).all()
    assert table.loc["all", ["windows", "dots", "total"]].tolist() == [154, 596, 196]
    assert (table["zero"] + table["positive"] == table["windows"]).all() and table.loc["all", "positive"] > 0
    marked = illustrations.dots(digits.images[0])
    assert len(marked) == 596
    fig = illustrations.digit_figure(digits.images[0])
    drawn = [sum(len(points.get_offsets()) for points in ax.collections) for ax in fig.axes]
    assert drawn == [596, 596]
    assert "154 of 196 windows are tied, with 596" in illustrations.digit_text(table.reset_index(), "a digit")


def test_dots_are_the_maximal_pixels_of_tied_windows():
    image = torch.tensor([[0, 9, 5, 5], [9, 1, 5, 5], [0, 0, 1, 2], [0, 0, 3, 3]], dtype=torch.uint8)
    marked = illustrations.dots(image)
    places = set(zip(marked["row"], marked["column"], strict=True))
    assert places == {(0, 1), (1, 0), (0, 2), (0, 3), (1, 2), (1, 3), (2, 0), (2, 1), (3, 0), (3, 1), (3, 2), (3, 3)}
    table = illustrations.digit(image, reference("tie_illustration")).set_index("ties")
    assert table["windows"].to_dict() == {"all": 4, "two": 2, "three": 0, "four": 2}
    assert table["zero"].to_dict() == {"all": 1, "two": 0, "three": 0, "four": 1}


def test_zero_text_is_computed_from_the_rows():
    text = illustrations.zero_text(zero_program.values(), zero_program.mechanism(), zero_program.shares(50))
    assert "**32 bits.** The derivative is 5.96e-08 = 2^-24 at every t." in text
    assert "**bf16.** The derivative is 0 at every t." in text and "bf16: 85 of 128" not in text
    assert "exactly when the format does not hold three quarters" in text and "-1.5 at t = 0" in text


def test_mixed_figure_leaves_out_the_exact_betas():
    errors = mixed_forward.errors(500)
    fig = illustrations.mixed_figure(errors, reference("forward_mix_error"), COLOURS)
    assert all(min(line.get_xdata()) == 10 for line in fig.axes[0].lines if len(line.get_xdata()) == 4)
    exact = mixed_forward.exactness({"noise": torch.randn(1, 1, 6, 6)})
    text = illustrations.mixed_text(errors, exact)
    assert f"{exact['n'].sum():,} of {exact['n'].sum():,} values have the bits" in text
    assert "overflows above 6.55 at beta 10000" in text


def test_shares_are_over_initialisations_and_know_the_border(rows):
    layers = tie_cells.by_layer(rows)
    row = layers.query("network == 'vgg11' and precision == 'fp32' and augment and not batch_norm and layer == 2")
    row = row.set_index("kind").loc["structural"]
    assert row[["count", "windows", "border", "border_windows", "inits"]].tolist() == [300, 12000, 270, 3000, 3]
    assert row["share"] == 0.025 and row["low"] < 0.025 < row["high"] and row["border_share"] == 0.09
    kinds = tie_cells.by_kind(rows)
    none = kinds[(kinds["precision"] == "fp64") & (kinds["kind"] == "coincidental")].iloc[0]
    assert none["count"] == none["hit"] == none["low"] == 0 < none["high"] and none["minibatches"] == 3


def test_census_figures_draw_a_share_of_zero_as_the_end_of_its_interval(rows):
    layers, kinds = tie_cells.by_layer(rows), tie_cells.by_kind(rows)
    fig = ties.layers(layers, COLOURS)
    assert len(fig.axes) == 4 and [ax.get_yscale() for ax in fig.axes] == ["log"] * 4
    top = layers[(layers["precision"] == "fp64") & (layers["kind"] == "coincidental")]["high"].iloc[0]
    heights = [y for points in fig.axes[1].collections for _, y in points.get_offsets()]
    assert top in heights and 0 not in heights
    fig = ties.networks(kinds, COLOURS)
    names = [tick.get_text() for tick in fig.axes[0].get_yticklabels()]
    assert names == ["LeNet-5", "VGG-11", "VGG-11, BN", "VGG-11, uncropped"]


def test_census_text_is_computed_from_the_rows(rows):
    text = ties.text(tie_cells.by_kind(rows), tie_cells.by_layer(rows), "some pictures")
    assert "some pictures" in text and "**64 bits.** Zero ties 25.0%; structural 2.50%" in text
    assert "coincidental 0 (0 to 0.00015), 0 per mini-batch, in 0 of 3" in text and "90% of them at the border" in text
    assert "100 times as frequent in 16 bits" in text and "12 of 24 coincidental ties were made by batch norm" in text
    assert "32 bits: 0 of 8; 64 bits: 2 of 2" in text


def pairs(ninf, coincidental=(0, 0, 1, 2), precision="fp32", reordered=3e-7):
    found = pd.DataFrame({"seed": range(4), "coincidental": coincidental, "structural": 50, "ninf": ninf})
    return found.assign(**CELL, precision=precision, batch_size=16, reordered=reordered, minibatch=0)


def test_effects_text_says_whether_the_threshold_tells_ties_apart():
    clear = tie_effects.split(pairs([3e-8, 4e-8, 1e-6, 2e-6]))
    text = effects.text(clear)
    assert "With no coincidental tie (n = 2) Ninf is 3e-08 to 4e-08" in text
    assert "tells the two apart without an error" in text and "by up to 3e-07" in text
    mixed = tie_effects.split(pairs([3e-7, 4e-8, 1e-6, 2e-8], reordered=float("nan")))
    assert "puts 2 of 4 on the wrong side" in effects.text(mixed) and "Reordering" not in effects.text(mixed)
    one = tie_effects.split(pairs([3e-8] * 4, coincidental=0))
    assert "apart" not in effects.text(one) and "wrong" not in effects.text(one)


def test_effects_figure_has_a_line_of_points_per_cell():
    found = pd.concat([pairs([3e-8, 4e-8, 1e-6, 2e-6]), pairs([1e-17] * 4, 0, "fp64")])
    fig = effects.figure(found, tie_effects.split(found), style.ARM_COLOURS)
    names = [tick.get_text() for tick in fig.axes[0].get_yticklabels()]
    assert names == ["VGG-11, 32 bits\nmini-batches of 16", "VGG-11, 64 bits\nmini-batches of 16"]
