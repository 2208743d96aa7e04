import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.report import reference, style
from kinks.report.relu_prime import effect, introduction, volume, zero_counts

COLOURS = style.PRECISION_COLOURS


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def steps(precision="fp32", seed=123, assign=(0, 0, 2.0), chain=(0, 0, 0.1), variant="relu", unit=7):
    kinks = [0, 0, 1] if max(assign) else [0, 0, 0]
    return pd.DataFrame(
        {"step": range(3), "exact_kinks": kinks, "min_activation": [1e-7, 1e-8, 0.0 if max(assign) else 1e-9],
         "min_distance_to_six": 5.0, "sample": [-1, -1, 4 if max(assign) else -1],
         "unit": [-1, -1, unit if max(assign) else -1], "assign": assign, "chain": chain, "noise": 0.0,
         "reordered": 1e-6, "variant": variant, "seed": seed, "precision": precision, "rate": 0.01}
    )  # fmt: skip


@pytest.fixture
def runs():
    still = (0.0, 0.0, 0.0)
    return pd.concat([steps(), steps(seed=124, assign=still, chain=still), steps("fp64", assign=still, chain=still)])


def test_introduction_counts_the_seeds_that_part(runs):
    found = introduction.summary(runs).set_index(["precision", "arm"])
    assert found.loc[("fp32", "assign"), ["n", "separated", "zero_seeds"]].tolist() == [2, 1, 1]
    assert found.loc[("fp32", "assign"), "median_difference"] == 2.0
    assert found.loc[("fp32", "chain"), "max_difference"] == 0.1
    assert found.loc[("fp32", "noise"), "separated"] == 0 and found.loc[("fp64", "assign"), "separated"] == 0
    assert found.loc[("fp32", "assign"), "min_activation"] == 0.0


def test_introduction_pictures_the_first_zero_or_says_there_is_none(runs):
    assert introduction.first_zero(runs) == {"seed": 123, "step": 2, "sample": 4, "unit": 7}
    assert introduction.telling_seed(runs) == 123
    without = runs[runs["seed"] == 124]
    assert introduction.first_zero(without) == {} and "nothing to picture" in introduction.met_text({})
    assert introduction.plane(pd.DataFrame()).texts


def test_introduction_text_is_computed_from_the_rows(runs):
    text = introduction.text(introduction.summary(runs), "some digits")
    assert "**ReLU, 32 bits.** 1 of 2 networks met an exact kink" in text and "some digits" in text
    assert "2 (published rule) and 0.1 (chain rule)" in text


def test_introduction_figures_show_every_arm(runs):
    fig = introduction.differences(runs[runs["seed"] == 123], COLOURS)
    assert len(fig.axes) == 2 and all(len(ax.lines) == 4 for ax in fig.axes)
    fig = introduction.activations(runs[runs["seed"] == 123], COLOURS)
    assert len(fig.axes) == 1
    grid = pd.DataFrame({"x": [0, 0, 1, 1], "y": [0, 1, 0, 1], "value": [0.0, 1e-8, 2e-8, 0.0], "precision": "fp32"})
    assert (
        "50.00% of the points"
        in introduction.plane(grid).axes[0].get_title(loc="left") + introduction.plane(grid).axes[0].get_title()
    )
    assert introduction.plane_table(grid).shape == (2, 4)


def test_published_cells_pool_the_three_measurements_of_the_common_cell():
    cells = volume.published_cells(reference("volume_mnist_architecture"), 10_000).set_index(
        ["precision", "hidden_layers", "neurons", "batch_size"]
    )
    common = cells.loc[("fp32", 3, 256, 256)]
    assert common["published"] == pytest.approx((463 + 478 + 488) / 3000)
    assert common["implied"] == pytest.approx(1 - (1 - common["published"]) ** (1 / 6))
    assert common["implied_low"] < common["implied"] < common["implied_high"]
    assert cells.loc[("fp16", 3, 64, 256), "implied_low"] < 0.7  # 1000 of 1000 does not imply all of them earlier
    assert ("fp64", 1, 256, 256) not in cells.index  # never run, so not a published zero


def test_zero_counts_tell_the_arms_apart():
    base = {"precision": "fp16", "hidden_layers": 3, "neurons": 16, "repeat": 0, "rule": "chain", "alpha": 0.0}
    rows = pd.DataFrame(
        [base | {"epoch": e, "zeros": z, "evaluations": 1000, "loss": 1.0, "finite": True} for e, z in ((1, 5), (2, 2))]
        + [base | {"alpha": 1.0, "rule": r, "epoch": 1, "zeros": 3, "evaluations": 1000, "loss": 1.0, "finite": True}
           for r in ("assign", "chain")]
        + [base | {"repeat": 1, "epoch": 1, "zeros": 5, "evaluations": 1000, "loss": 1.0, "finite": True}]
    )  # fmt: skip
    found = zero_counts.totals(rows).set_index("arm")
    assert found.loc["base", ["zeros", "evaluations", "first_epoch", "last_epoch"]].tolist() == [7, 2000, 5, 2]
    assert set(found.index) == {"base", "published", "corrected", "noise"}
    pool = zero_counts.pooled(found.reset_index())
    assert pool["zeros"].tolist() == [7] and pool["networks"].tolist() == [1]
    text = zero_counts.text(found.reset_index(), pool, reference("zeros_by_architecture"), "some digits")
    assert "7 exact zeros in 2e+03 ReLU calls of 1 networks" in text and "3 under the corrected rule" in text


def test_zero_count_grid_trains_every_published_network_in_both_precisions():
    grid = zero_counts.grid([1, 2, 3, 5, 6], [16, 64, 256, 512], ["fp16", "fp32"], ["fp64", "bf16"], ["fp16"], 3)
    base = [c for c in grid if c["alpha"] == 0 and not c["repeat"]]
    assert len([c for c in base if c["precision"] in ("fp16", "fp32")]) == 40 and len(base) == 48
    assert len({tuple(sorted(c.items())) for c in grid}) == len(grid) == 48 + 2 * 4 + 1
    assert grid[0]["hidden_layers"] == 6 and grid[0]["neurons"] == 512


def effects():
    rows = []
    for index in range(4):
        for rule, alpha, relative in (("assign", 1.0, 50.0), ("chain", 1.0, 0.002), ("reordered", 0.0, 1e-7)):
            rows.append({"rule": rule, "alpha": alpha, "relative": relative * (1 + index), "differs": index < 3})
        rows.append({"rule": "noise", "alpha": 0.0, "relative": 0.0, "differs": False})
    return pd.DataFrame(rows).assign(network="intended", precision="fp32", seed=np.repeat([0, 0, 1, 1], 4))


def test_effect_counts_affected_minibatches_out_of_all_looked_at():
    exposure = pd.DataFrame(
        {"network": ["intended"], "precision": ["fp32"], "inits": [10], "minibatches": [400], "hit": [8]}
    )
    found = effect.summary(effects(), exposure).set_index("rule")
    assert found.loc["assign", ["compared", "affected", "minibatches"]].tolist() == [4, 6, 400]  # 3 of 4, of 8 hit
    assert found.loc["assign", "relative_q50"] == 100.0 and found.loc["chain", "relative_q50"] == 0.004
    assert found.loc["noise", "affected"] == 0 and np.isnan(found.loc["noise", "relative_q50"])
    text = effect.text(found.reset_index(), "some digits")
    assert "6 of 400 mini-batches are affected (1.50%" in text and "a factor of 25,000" in text
    fig = effect.figure(effects(), COLOURS, [1.0])
    assert [label.get_text() for label in fig.axes[0].get_xticklabels()][-1] == "repeated"


def test_effect_jobs_take_the_first_minibatches_of_each_network():
    hit = pd.DataFrame(
        {"network": "intended", "precision": ["fp32"] * 5, "seed": [2, 1, 1, 3, 0], "minibatch": [0, 5, 3, 1, 2]}
    )
    jobs = effect.jobs(hit, 4, 3, images=10)
    assert [job["minibatches"] for job in jobs] == [[[0, 2], [1, 3], [1, 5]], [[2, 0]]]


def test_volume_figures_draw_no_bar_for_zero():
    rows = [
        {"network": "intended", "precision": p, "bias": "accumulator", "hidden_layers": 3, "neurons": 256,
         "batch_size": 256, "rule": "assign", "count": c, "n": 10, "share": c / 10, "low": 0.0, "high": 0.5,
         "implied": 0.1, "implied_low": 0.05, "implied_high": 0.2, "published": 0.4}
        for p, c in (("fp32", 2), ("fp64", 0))
    ]  # fmt: skip
    fig = volume.bars(pd.DataFrame(rows), COLOURS)
    assert all(len(ax.patches) == 1 and ax.patches[0].get_height() == 20 for ax in fig.axes)
    assert [text.get_text() for text in fig.legends[0].get_texts()] == ["32 bits", "64 bits"]
