"""The tables and sentences of the ReLU'(0) sweep, from rows whose outcome the test sets."""

import numpy as np
import pandas as pd
import pytest

from kinks.report import reference, training
from kinks.report.relu_prime import sweep, sweep_text

FIXED = {
    "network": "lenet5", "dataset": "mnist", "batch_norm": False, "dropout": 0.0, "optimiser": "sgd",
    "precision": "fp32", "rate": 0.1, "rates": "", "reorder": False, "rule": "chain", "alpha": 0.0, "beta": 0.0,
    "forward": "exact", "seed": 0, "experiment": "E9", "entry": 0, "held_out": 1000, "chance": 0.1, "ties": 9.0,
    "zero_every": 0, "moved": np.nan,
}  # fmt: skip


def run(*accuracies: float, zeros: float = 3.0, **given) -> list[dict]:
    """One row per seed of runs of one epoch; NaN stands for a run that diverged."""
    return [
        FIXED | given | {
            "seed": seed, "epoch": 0, "step": 10, "zeros": zeros, "zeros_share": zeros / 1e6,
            "test_accuracy": accuracy, "train_loss": 1 - accuracy, "diverged_step": 5 if np.isnan(accuracy) else -1,
            "cause": "loss" if np.isnan(accuracy) else "", "status": "diverged" if np.isnan(accuracy) else "trained",
        }
        for seed, accuracy in enumerate(accuracies)
    ]  # fmt: skip


BASE = (0.90, 0.91, 0.89, 0.90)


def tables(*parts: list[dict]) -> dict[str, pd.DataFrame]:
    rows = training.dosed(pd.DataFrame([row for part in parts for row in part]), "alpha")
    finals = sweep.each(training.finals, rows)
    effects, apart = sweep.each(training.effects, finals), sweep.each(training.interaction, finals)
    return {"rows": rows, "finals": finals, "effects": effects, "apart": apart}


@pytest.fixture(scope="module")
def found() -> dict[str, pd.DataFrame]:
    nan = float("nan")
    return tables(
        run(*BASE), run(*BASE, alpha=1.0), run(0.60, 0.62, 0.58, 0.61, alpha=1.0, rule="assign"),
        run(nan, nan, nan, nan, alpha=-1.0, rule="assign"), run(0.90, 0.905, 0.895, 0.9, reorder=True),
        run(*BASE, experiment="E5", zeros=0.0), run(*BASE, experiment="E5", alpha=1.0, rule="assign", zeros=0.0),
    )  # fmt: skip


def test_experiments_are_compared_one_by_one_and_may_share_runs(found):
    assert set(found["finals"]["experiment"]) == {"E9", "E5"} and found["finals"].columns[0] == "experiment"
    words = found["effects"].set_index(["experiment", "variant", "dose"])["verdict"]
    assert words["E9", "assign", 1.0] == "lower" and words["E9", "chain", 1.0] == "exactly equal"
    assert words["E5", "assign", 1.0] == "no kink met"


def test_screening_counts_who_met_a_zero_and_how_rare_they_are(found):
    table = sweep.screening(found["rows"]).set_index("experiment")
    assert table.loc["E9", ["seeds", "met", "zeros", "evaluations"]].tolist() == [4, 4, 12, 4e6]
    assert table.loc["E9", "rate_of_zeros"] == pytest.approx(3e-6)
    assert table.loc["E9", "low"] < 3e-6 < table.loc["E9", "high"]
    assert table.loc["E5", "met"] == 0 and np.isnan(table.loc["E5", "evaluations"])
    assert table.loc["E5", "share_high"] == pytest.approx(0.602, abs=1e-3)  # none of four


def test_failed_runs_are_a_share_with_an_interval(found):
    table = sweep.outcomes(sweep.each(training.summary, found["finals"])).set_index(["experiment", "variant", "dose"])
    row = table.loc[("E9", "assign", -1.0)]
    assert row["failed_share"] == 1 and row["failed_low"] == pytest.approx(0.398, abs=1e-3)


def test_a_negative_value_is_held_against_the_positive_one_of_its_size(found):
    table = sweep.signs(found["finals"])
    assert len(table) == 1 and table.loc[0, ["size", "n", "failed", "failed_against"]].tolist() == [1, 4, 4, 0]
    assert table.loc[0, "difference"] == pytest.approx(0.1 - np.mean([0.60, 0.62, 0.58, 0.61]))  # failed: at chance


def test_the_best_other_value_and_losses_have_the_sign_that_claims_read(found):
    best = sweep.rivals(found["effects"]).set_index(["experiment", "variant"])
    assert best.loc[("E9", "assign"), "dose"] == 1 and best.loc[("E9", "chain"), "difference"] == 0
    lost = sweep.with_loss(found["effects"]).query("experiment == 'E9' and variant == 'assign' and dose == 1").iloc[0]
    assert lost["loss"] == pytest.approx(0.2975) and lost["loss_low"] < lost["loss"] < lost["loss_high"]


def test_interplay_is_a_difference_of_differences():
    same = {"experiment": "E10", "alpha": 1.0, "rule": "assign"}
    parts = [run(*BASE, experiment="E10"), run(*(value - 0.1 for value in BASE), **same)]
    parts += [run(*BASE, experiment="E10", dropout=0.5), run(*(value - 0.3 for value in BASE), dropout=0.5, **same)]
    table = sweep.interplay(tables(*parts)["finals"])
    assert len(table) == 1 and table.loc[0, "dropout"] == 0.5 and table.loc[0, "difference"] == pytest.approx(-0.2)
    assert "-20.0 points" in sweep_text.dropout(table)


def test_what_is_said_is_computed(found):
    bounds = sweep.each(training.boundary, found["effects"])
    causes = sweep.each(training.causes, found["effects"], found["apart"])
    said = sweep_text.text(
        sweep.screening(found["rows"]), bounds, causes, sweep.signs(found["finals"]), sweep.interplay(found["finals"])
    )
    assert "4 of 8 networks met one, 3 each on average, 3e-06 per evaluation" in said
    assert "4 of 4 runs failed with a negative value, 0 with the positive one" in said
    assert "released rule, α itself: a significant loss in 2 of 2 (cell and sign), the first at α = " in said
    assert "chain rule, α × gradient: no significant loss in any of 1 " in said
    assert "Dropout" not in said and "nan" not in said


def test_every_table_is_told_apart_by_its_keys(found):
    bounds = sweep.each(training.boundary, found["effects"])
    tables = {"outcomes": sweep.each(training.summary, found["finals"]), "effects": found["effects"], "bounds": bounds}
    for table in (*tables.values(), sweep.screening(found["rows"]), sweep.rivals(found["effects"])):
        given = sweep.saving(table)
        assert not table.duplicated(given["keys"]).any() and not set(given["keys"]) & set(given["tolerance"])
    assert "size" in sweep.saving(sweep.signs(found["finals"]), "size")["keys"]


def test_published_values_are_those_of_the_figures():
    boxes = sweep.boxes(reference("relu_final_accuracy"), reference("relu_box_plots"))
    at = boxes.set_index(["network", "dataset", "optimiser", "batch_norm", "dropout", "dose"])["median"].sort_index()
    assert at["vgg11", "cifar10", "sgd", False, 0.0, 1.0].item() == 0.8682
    assert at["resnet18-3x3", "cifar10", "sgd", True, 0.0, 1.0].item() == 0.89805
    assert set(boxes["variant"]) == {"assign"} and boxes["median"].notna().all()
    curves = sweep.losses(reference("relu_training_curves"))
    first = curves.query("network == 'resnet18-3x3' and batch_norm and dose == 1 and epoch == 0")
    assert first["mean"].item() == pytest.approx(1.775, abs=5e-4)
    dropout = reference("relu_dropout").set_index("dropout")["mean"]
    assert dropout.idxmax() == 0.6 and dropout[0.9] < 0.5


def test_names_of_files_are_plain():
    assert sweep.slug("E13-vgg11-sgd", "resnet18-3x3/16") == "e13_vgg11_sgd_resnet18_3x3_16"
