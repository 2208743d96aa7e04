"""Weight divergence (M6): tables and sentences from rows whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.report.max_pool import divergence, divergence_figures, divergence_text

PUBLISHED = pd.DataFrame(
    {"precision": "fp32", "beta": [0, 1], "epoch": [1, 1], "distance": [493.0, 495.0], "accuracy": [0.39, 0.4]}
)
STEPS = (0, 1, 391)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def run(arm, beta, distances, seed, precision="fp32", network="vgg11", stop=-1, cause="", deterministic=True):
    """The rows of one network: its distances after 0, 1 and 391 steps."""
    cell = {"network": network, "precision": precision, "arm": arm, "beta": float(beta), "seed": seed}
    cell |= {"forward": "mixed" if arm == "published" else "exact", "first_nonfinite": stop, "cause": cause}
    cell |= {"init": "default", "bias": "accumulator", "batch_size": 128, "images": 50_000, "held_out": 100}
    cell |= {"deterministic": deterministic, "overflowed": 0.0, "loss": 2.0}
    accuracy = 0.1 + 0.1 * (arm == "published")
    return [
        cell | {"step": step, "epoch": step * 128 / 50_000, "distance": value, "relative": value / 1000}
        | {"accuracy": accuracy if value == value else float("nan")}
        for step, value in zip(STEPS, distances, strict=True)
    ]  # fmt: skip


@pytest.fixture
def rows():
    """Four seeds: beta = 1 drifts as reordering does, beta = 10,000 thirty times as far with the released forward."""
    found = []
    for seed, jitter in enumerate((0.9, 1.0, 1.1, 1.2)):
        drift = (0.0, 1e-6, 500.0)
        found += run("base", 0, (0.0, 0.0, 0.0), seed) + run("twice", 0, (0.0, 0.0, 0.0), seed)
        found += run("reordered", 0, drift, seed)
        for arm in ("published", "corrected"):
            found += run(arm, 1, (0.0, 2e-6, 500 * jitter), seed)
        found += run("published", 10_000, (0.0, 1e-3, 15_000 * jitter), seed)
        found += run("corrected", 10_000, (0.0, 1e-6, 500 / jitter), seed)
    return pd.DataFrame(found)


def test_distances_over_that_of_reordered_examples_are_tested_by_seed(rows):
    found = divergence.summary(rows).set_index(["arm", "beta"])
    far, one = found.loc[("published", 10_000.0)], found.loc[("published", 1.0)]
    assert far["ratio"] == pytest.approx(30 * np.exp(np.mean(np.log([0.9, 1.0, 1.1, 1.2]))))
    assert far["low"] < 30 < far["high"] and far["verdict"] == "farther" and far["p"] < 0.001
    assert one["low"] < 1 < one["high"] and one["verdict"] == "not told apart" and one["pairs"] == 4
    assert found.loc[("twice", 0.0), ["verdict", "apart", "ratio"]].tolist() == ["exactly equal", 0, 0.0]
    assert found.loc[("reordered", 0.0), "verdict"] == "yardstick" and (found["yardstick"] == 500).all()
    assert "base" not in found.index


def test_the_interval_is_students_on_logarithms():
    found = divergence.ratio(np.array([2.0, 8.0]), np.array([1.0, 1.0]))
    assert found["ratio"] == pytest.approx(4.0)
    assert found["high"] / found["ratio"] == pytest.approx(np.exp(12.706 * np.log(2)), rel=1e-3)  # t at 1 degree
    assert found["p"] == pytest.approx(0.2952, abs=1e-3)  # t = 2, 1 degree of freedom


@pytest.mark.parametrize(
    ("values", "others", "verdict"),
    [
        ([], [], "stopped"),
        ([0.0, 0.0], [1.0, 2.0], "exactly equal"),
        ([1.0, 2.0], [0.0, 0.0], "yardstick is 0"),
        ([1.0], [2.0], "too few seeds"),
        ([1.0, 0.0, 3.0], [0.0, 2.0, 4.0], "too few seeds"),
    ],
)
def test_what_cannot_be_tested_says_why(values, others, verdict):
    assert divergence.ratio(np.array(values), np.array(others))["verdict"] == verdict


def test_one_forward_is_held_against_the_other(rows):
    found = divergence.forwards(rows)
    assert found["beta"].tolist() == [10_000.0] and found["arm"].tolist() == ["published"]
    assert found["verdict"].iloc[0] == "farther" and found["ratio"].iloc[0] > 30
    assert list(divergence.forwards(rows[rows["beta"] <= 1]).columns) == divergence.COLUMNS


def test_distances_stand_beside_the_published_ones(rows):
    found = divergence.distances(rows, PUBLISHED[["precision", "beta", "epoch", "distance"]])
    last = found[found["step"] == 391].set_index(["arm", "beta"])
    assert last.loc[("twice", 0.0), "published"] == 493 and last.loc[("published", 1.0), "published"] == 495
    assert last.loc[[("corrected", 1.0), ("reordered", 0.0), ("published", 10_000.0)], "published"].isna().all()
    assert last.loc[("published", 1.0), ["smallest", "largest", "n"]].tolist() == [450.0, 600.0, 4]
    assert last.loc[("twice", 0.0), "mean"] == 0 and found[found["step"] == 1]["published"].isna().all()
    fewer = divergence.distances(rows.assign(batch_size=64), PUBLISHED[["precision", "beta", "epoch", "distance"]])
    assert fewer["published"].isna().all()


def test_stopped_runs_are_counted_and_named(rows):
    nan = float("nan")
    extra = [run("published", 100, (0.0, nan, nan), seed, stop=1, cause="pool") for seed in range(4)]
    rows = pd.concat([rows, pd.DataFrame([row for part in extra for row in part])])
    row = divergence.summary(rows).set_index(["arm", "beta"]).loc[("published", 100.0)]
    assert row[["n", "stopped", "first_stop", "cause", "apart", "verdict"]].tolist() == [4, 4, 1, "pool", 4, "stopped"]
    table = divergence.distances(rows, PUBLISHED[["precision", "beta", "epoch", "distance"]])
    step = table[(table["beta"] == 100) & (table["step"] == 1)].iloc[0]
    assert step["stopped"] == 4 and step["n"] == 0 and np.isnan(step["median"])
    said = divergence_text.text(divergence.summary(rows), divergence.forwards(rows), accuracy(rows), "some images")
    assert "β = 100 stopped in 4 of 4 seeds, on an overflow in a pool's forward" in said
    fig = divergence_figures.differences(table, PUBLISHED)
    assert any(line.get_marker() == "x" for line in fig.axes[0].lines)


def accuracy(rows):
    return divergence.accuracies(rows, PUBLISHED[["precision", "beta", "epoch", "accuracy"]])


def test_accuracies_are_paired_with_those_of_the_base(rows):
    found = accuracy(rows)
    last = found[found["step"] == 391].set_index(["arm", "beta"])
    assert last.loc[("published", 1.0), "gain"] == pytest.approx(0.1) and last.loc[("corrected", 1.0), "gain"] == 0
    assert last.loc[("published", 1.0), "published"] == 0.4
    empty = accuracy(rows.assign(accuracy=float("nan")))
    assert empty.empty and set(divergence.SHARES) <= set(empty.columns)
    assert divergence_figures.accuracies(empty).texts


def test_text_is_computed_from_the_tables(rows):
    found, parts = divergence.summary(rows), divergence.forwards(rows)
    text = divergence_text.text(found, parts, accuracy(rows), "some images")
    assert "Data: some images." in text and "parted in 0 of 4 pairs of runs" in text and "cannot part" in text
    assert "**VGG-11, 32 bits** (391 steps of 128 images, 4 seeds)" in text
    assert "Published: β = 10000 (x 31" in text and "β = 1 (x 1, 0.86 to 1.3) not told apart" in text
    assert "Published over corrected, where they are told apart: β = 10000" in text
    assert "β = 0 classifies 10.0% of 100 held-out images" in text
    drifting = found.assign(deterministic=False, apart=found["n"])
    assert "parted in 4 of 4" in divergence_text.text(drifting, parts, accuracy(rows), "x")


def test_figures_draw_both_forwards_and_the_published_points(rows):
    table = divergence.distances(rows, PUBLISHED[["precision", "beta", "epoch", "distance"]])
    fig = divergence_figures.differences(table, PUBLISHED)
    assert [len(ax.lines) for ax in fig.axes] == [4, 4] and len(fig.axes[0].collections[-1].get_offsets()) == 2
    assert fig.axes[0].get_yticklabels()[0].get_text() == "exactly 0"
    assert len(divergence_figures.accuracies(accuracy(rows)).axes) == 2
