"""Every published configuration names only what the loop can do: each form of them is built and takes two steps."""

import math

import pytest
import torch

from kinks.train import loop, published
from kinks.train.setup import samples

FORM = ("network", "batch_norm", "optimiser", "precision", "dropout")  # of a run; its data set's form is the images'
IMAGES, BATCH = 4, 2
SEARCHES = [name for name in published.names() if name.startswith(("M7-", "E13-"))]
RUNS = [name for name in published.names() if not name.startswith("M7-")]


def place(dataset):
    """The settings that name a published data set, with four images of it instead of all."""
    names = {key: value for key, value in published.DATA[dataset].items() if key not in ("held_out",)}
    rest = {"folder": None, "checksum": "x", "images": IMAGES, "validation": 0, "test_checksum": "x", "held_out": 2}
    return names | rest | {"classes": 10}


def forms():
    """One row of the table for each distinct form, and for each data set that a network is trained on."""
    table = published.table()
    table = table.assign(dropout=table["dropouts"].map(lambda text: str(text) != "0"))
    again = table.duplicated(list(FORM)) & table.duplicated(["dataset", "network"])
    return table[~again].to_dict("records")


def two_steps(row):
    """Settings of a run of this row's form, its largest value as the public code computes it."""
    value = max(map(float, str(row["values"]).split()), key=abs)
    given = {"arms": ["published"], "values": [value], "batch_norms": [row["batch_norm"]], "seeds": [0]}
    given |= {"data": place(row["dataset"]), "epochs": 1, "batch": BATCH}
    if row["name"].startswith("M7-"):
        return dict(published.studies(row["name"], **given)[0].settings) | {"rate": 1e-3}
    return published.configuration(row["name"], **given)[-1]


@pytest.fixture
def pictures(monkeypatch):
    def images(*, dataset, count, **_):
        shape = (1, 28, 28) if dataset == "mnist" else (3, 32, 32)
        generator = torch.Generator().manual_seed(0)
        return torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8), torch.arange(count) % 10

    monkeypatch.setattr(samples, "images", images)


@pytest.mark.parametrize("row", forms(), ids=lambda row: " ".join(str(row[name]) for name in ("dataset", *FORM)))
def test_every_form_takes_two_steps(row, pictures):
    given = two_steps(row)
    found = loop.job(**given).iloc[0]
    assert found["optimiser"] == row["optimiser"] and found["batch_norm"] == row["batch_norm"]
    assert found["step"] == 2 or found["cause"], "either both steps were taken or the row says what failed"
    if row["precision"] == "fp32" and row["paper"] == "max-pool":
        assert math.isfinite(found["train_loss"])
    sixteen_bit_adam = row["optimiser"] == "adam" and row["precision"] == "fp16"
    assert not sixteen_bit_adam or found["diverged_step"] >= 0, "eps rounds to 0, as published"


def test_every_configuration_lists_what_was_published():
    for name in RUNS:
        rows = published.table().query("name == @name")
        given = {"data": place(rows["dataset"].iloc[0]), "arms": ["published"]} | (
            {} if name == "M8a" else {"seeds": [0]}
        )
        found = published.configuration(name, **given)
        runs = rows["values"].str.split().str.len() * rows["dropouts"].str.split().str.len()
        assert len(found) == (runs * (10 if name == "M8a" else 1)).sum()
        assert {one["epochs"] for one in found} == set(rows["epochs"])
        assert all(1e-5 < one["rate"] < 0.1 and one["schedule"] == rows["schedule"].iloc[0] for one in found)


def test_an_experiment_in_other_words():
    given = {"values": [0, 1, 100], "batch_norms": [False], "seeds": [3], "data": place("cifar10")}
    found = published.configuration("M8d", arms=["published", "corrected", "reordered"], **given, epochs=3)
    kinks = [(one["beta"], one["forward"], one["reorder"]) for one in found]
    # beta = 1 is 1 x m + 0 x m: one program, listed once
    assert kinks == [(0, "exact", False), (0, "exact", True), (1, "exact", False), (100, "mixed", False),
                     (100, "exact", False)]  # fmt: skip
    first = found[0]
    assert (first["precision"], first["autocast"], first["epochs"], first["seed"]) == ("fp16", False, 3, 3)
    assert first["rate"] == 0.01818681 and first["weight_decay"] == 5e-4 and first["augment"]
    scaled = published.configuration("M10b", values=[0], batch_norms=[True], data=place("mnist"))[0]
    assert (scaled["precision"], scaled["autocast"], scaled["loss_scaling"]) == ("fp16", True, "dynamic")


def test_the_rule_of_the_rate():
    given = {"batch_norms": [True], "arms": ["published"], "seeds": [0], "data": place("mnist")}
    rates = [published.configuration("M8b", values=[1000], rate=rule, **given)[0]["rate"] for rule in published.RATES]
    assert rates == [0.02104981, 0.00137618, 0.0210498]  # the one used, its own, and that of beta = 0 once more
    tuned = published.configuration("E13-mnist-sgd", values=[-50], **given)[0]
    assert (tuned["rate"], tuned["rule"], tuned["schedule"]) == (0.00529, "assign", "constant")
    with pytest.raises(ValueError, match=r"E9: no rate was published for 7; allowed: \[-50.0"):
        published.configuration("E9", values=[7], rate="own", **given)


def test_every_search_is_a_study():
    for name in SEARCHES:
        rows = published.table().query("name == @name")
        found = published.studies(name, data=place(rows["dataset"].iloc[0]), arms=["published"])
        assert len(found) == rows["values"].str.split().str.len().sum()
        assert all(one.objective == "test" and one.random == 10 and one.unpruned == 5 for one in found)
    study = published.studies("M7-lenet5-sgd-32", data=place("mnist"), values=[0], batch_norms=[False])[0]
    assert (study.trials, study.settings["epochs"], study.settings["schedule"]) == (10, 10, "constant")
    searched = published.rates("M7-lenet5-sgd-32").query("batch_norm and value == 1000")
    assert searched[["rate", "accuracy"]].to_numpy().tolist() == [[0.0153418, 0.9906]]


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match="no published configuration 'M8z'; allowed: E4, "):
        published.configuration("M8z")
    with pytest.raises(ValueError, match="M8a: arm 'released'; allowed: published, corrected, reordered"):
        published.configuration("M8a", arms=["released"], data=place("mnist"))
    with pytest.raises(ValueError, match="M8a: rate is 'best'; allowed: published, own, of_zero"):
        published.configuration("M8a", rate="best", data=place("mnist"))
    with pytest.raises(ValueError, match="M7-lenet5-sgd-16 is a search; use `studies`"):
        published.configuration("M7-lenet5-sgd-16", data=place("mnist"))
    with pytest.raises(ValueError, match="E4 is no search; use `configuration`"):
        published.studies("E4", data=place("cifar10"))
    with pytest.raises(ValueError, match="no published table 'lr'; allowed: configurations, rates"):
        published.table("lr")
