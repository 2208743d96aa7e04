"""From rows per epoch to runs, cells and signed tables."""

import numpy as np
import pandas as pd
import pytest

from kinks.report import read_table, save_table, training
from kinks.report.networks import network_name
from kinks.report.training import names


def test_dose_variant_and_precision_are_named():
    base = {"precision": "fp16", "reorder": False, "alpha": 1, "rule": "assign"}
    base |= {"network": "lenet5", "dataset": "mnist", "batch_norm": False, "dropout": 0.0, "optimiser": "sgd"}
    base |= {"rate": 0.1, "seed": 0, "epoch": 0, "beta": 100, "forward": "mixed"}
    labels = ["fp16", "fp16 autocast, scaled"]
    changes = [{"precision_label": labels[0]}, {"precision_label": labels[1]}, {"reorder": True}]
    rows = training.dosed(pd.DataFrame([base | change for change in changes[:2]]), "alpha")
    assert rows["precision"].tolist() == labels
    rows = training.dosed(pd.DataFrame([base | change for change in ({}, changes[2])]), "alpha")
    assert rows["variant"].tolist() == ["assign", "reordered"]
    assert rows["dose"].dtype == float and (rows["rates"] == "").all()
    assert training.dosed(pd.DataFrame([base]), "beta")[["dose", "variant"]].iloc[0].tolist() == [100.0, "mixed"]
    with pytest.raises(ValueError, match="alpha or beta, got 'gamma'"):
        training.dosed(rows, "gamma")
    with pytest.raises(ValueError, match="lack beta, forward"):
        training.dosed(pd.DataFrame([base]).drop(columns=["beta", "forward"]), "beta")


def test_a_failed_run_counts_at_chance_and_keeps_its_cause(make):
    rows = make("alpha", make.arm([0.0, "diverged", "chance"], alpha=1.0, rule="assign"))
    found = training.finals(rows, make.chance).set_index("seed")
    assert found["failed"].tolist() == [False, True, True] and found["status"].tolist()[1:] == ["diverged", "chance"]
    assert found["accuracy"].tolist()[1:] == [make.chance, make.chance] and np.isnan(found.loc[1, "test_accuracy"])
    assert found.loc[1, ["diverged_step", "cause", "zeros"]].tolist() == [63 + 7, "gradient: c1", 5.0]
    assert found.loc[0, ["zeros", "ties", "epochs", "steps"]].tolist() == [15.0, 2700.0, 3, 189]
    assert found.loc[0, "best"] == found.loc[0, "accuracy"]


def test_chance_comes_from_the_rows_or_by_data_set(make):
    rows = make("alpha", make.arm(["diverged"], alpha=1.0))
    assert training.finals(rows, {"mnist": 0.2})["accuracy"].tolist() == [0.2]
    assert training.finals(rows.assign(chance=0.3))["accuracy"].tolist() == [0.3]
    with pytest.raises(ValueError, match="mnist: runs failed, so `chance`"):
        training.finals(rows)
    assert training.finals(make("alpha", make.arm([0.0])))["accuracy"].notna().all()


def test_runs_that_nothing_tells_apart_are_refused(make):
    rows = make("alpha", make.arm([0.0]), make.arm([0.0], batch=64))
    with pytest.raises(ValueError, match=r"two runs of one cell .*seed=0.*differ in batch"):
        training.finals(rows)


def test_summary_counts_every_run(make):
    arms = make.arm([0.0, 0.01, "diverged", "chance"], alpha=1.0, rule="assign", precision="fp16")
    finals = training.finals(make("alpha", arms), make.chance)
    row = training.summary(finals).iloc[0]
    assert row[["n", "failed", "diverged", "met"]].tolist() == [4, 2, 1, 4.0]
    assert row["mean"] == pytest.approx(finals["accuracy"].mean()) and row["trained_mean"] > 0.9
    assert row["low"] == 0 and row["min"] == make.chance and row["first_divergence"] == 2 * 63 + 7
    single = training.summary(training.finals(make("alpha", make.arm([0.0])))).iloc[0]
    assert single["n"] == 1 and np.isnan(single["low"]) and single["first_divergence"] == -1


def test_every_table_can_be_saved_signed_and_read(relu, project):
    for name, table in relu.items():
        save_table(table, f"sweep/{name}", **training.saving(table))
        again = read_table(project / "reports" / "tables" / "sweep" / f"{name}.csv")
        assert len(again) == len(table)
    signed = training.stamped(relu["boundary"], {"mnist": "MNIST"}, "cpu")
    assert (signed["data"] == "MNIST").all() and {"device", "torch", "code"} <= set(signed)
    assert training.saving(signed) == training.saving(relu["boundary"])
    how = training.saving(relu["effects"])
    assert how["keys"][-2:] == ["variant", "dose"] and type(how["tolerance"]["failed"]).__name__ == "Proportion"
    assert type(how["tolerance"]["verdict"]).__name__ == "Ignore" and "n" not in how["tolerance"]


def test_names_for_readers():
    assert network_name("vgg11/8") == "VGG-11 with 1/8 of the channels"
    assert network_name("mlp 3x2048") == "MLP 3 × 2048" and network_name("other") == "other"
    assert names.precision("fp16 autocast, scaled") == "16 bits, autocast, loss scaling"
    assert names.precision("tf32") == "TF32"
    with pytest.raises(ValueError, match=r"got .*assign.*mixed"):
        names.symbol(pd.Series(["assign", "mixed"]))
