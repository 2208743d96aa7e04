"""The jobs of the ReLU'(0) sweep: what an entry stands for, and which runs are spared as they would be the same."""

import pandas as pd
import pytest

from kinks.train import published, relu_sweep, rounded

PLACE = {
    "dataset": "mnist", "source": "embedded", "folder": None, "checksum": "-", "images": 64, "validation": 0,
    "held_out": 16, "test_checksum": None, "classes": 10,
}  # fmt: skip
DATA = dict.fromkeys(("mnist", "cifar10", "svhn"), PLACE)
SMALL = {"name": "E9", "network": "lenet5", "batch_norms": [False], "rate": 0.1, "seeds": 2, "epochs": 1}


def doses(jobs: list[dict]) -> list[tuple]:
    return [(job["alpha"], job["rule"], job["reorder"]) for job in jobs if job["seed"] == 0]


def test_an_entry_has_a_base_trained_once_its_reordering_and_each_alpha_under_the_rules_it_names():
    entry = SMALL | {"alphas": {"published": [0, 1, -50], "corrected": [1e5]}}
    jobs, labels = relu_sweep.grid([entry], data=DATA)
    assert doses(jobs) == [
        (0, "chain", False), (0, "chain", True), (1, "assign", False), (-50, "assign", False), (1e5, "chain", False),
    ]  # fmt: skip
    assert len(jobs) == 10 and {job["rate"] for job in jobs} == {0.1}
    assert labels.to_dict("list") == {"experiment": ["E9"] * 10, "rates": [""] * 10, "entry": [0] * 10}


def test_a_published_configuration_is_one_word_away():
    for name in relu_sweep.names():
        jobs, labels = relu_sweep.grid([{"name": name}], data=DATA)
        table = published.table().query("name == @name")
        runs = sum(len(str(row["values"]).split()) * len(str(row["dropouts"]).split()) * row["runs"] for row in
                   table.to_dict("records"))  # fmt: skip
        bases = sum(len(str(row["dropouts"]).split()) * row["runs"] for row in table.to_dict("records"))
        assert len(jobs) == 2 * runs  # both rules share the base, and another run reorders it
        assert sum(job["reorder"] for job in jobs) == bases
        assert set(labels["rates"]) == {"own" if name.startswith("E13") else ""}


def test_alphas_with_rates_of_their_own_are_marked_so_that_they_are_compared():
    jobs, labels = relu_sweep.grid([{"name": "E13-vgg11-sgd", "batch_norms": [False], "alphas": [1], "seeds": 1}],
                                   data=DATA)  # fmt: skip
    assert {job["alpha"]: job["rate"] for job in jobs} == {0: 0.00776, 1: 0.01155}
    assert set(labels["rates"]) == {"own"}
    _, labels = relu_sweep.grid([{"name": "E13-vgg11-sgd", "rate": 0.01, "alphas": [9], "seeds": 1}], data=DATA)
    assert set(labels["rates"]) == {""}  # one rate, given, also for a value that the paper did not search for
    jobs, _ = relu_sweep.grid([{"name": "E5", "rates": "of_zero", "batch_norms": [False], "seeds": 1}], data=DATA)
    assert {job["rate"] for job in jobs} == {0.00035}


def test_runs_that_two_dropouts_of_an_entry_share_are_listed_once():
    jobs, _ = relu_sweep.grid([SMALL | {"name": "E10", "network": "mlp 2x8", "dropout": 0.5, "alphas": [1]}], data=DATA)
    assert len(jobs) == 2 * (1 + 1 + 2)


def rows(*zeros: float) -> pd.DataFrame:
    """Two epochs of runs with ReLU'(0) = 0, seeds 0, 1, ..., that met so many zeros in the second."""
    found = [
        {"entry": 0, "batch_norm": False, "dropout": 0.0, "seed": seed, "epoch": epoch, "alpha": 0.0, "reorder": False,
         "zeros": count if epoch else 0.0}
        for seed, count in enumerate(zeros)
        for epoch in (0, 1)
    ]  # fmt: skip
    return pd.DataFrame(found)


def test_screened_entries_train_other_alphas_from_seeds_that_met_a_zero_alone():
    entry = SMALL | {"alphas": [1], "screened": True}
    jobs, _ = relu_sweep.grid([entry], data=DATA)
    assert doses(jobs) == [(0, "chain", False)]
    jobs, labels = relu_sweep.follow([entry], rows(0.0, 2.0), data=DATA)
    assert [(job["seed"], job["alpha"], job["rule"], job["reorder"]) for job in jobs] == [
        (1, 0, "chain", True), (1, 1, "assign", False), (1, 1, "chain", False),
    ]  # fmt: skip
    assert list(labels["entry"]) == [0, 0, 0]
    assert relu_sweep.follow([entry], rows(0.0, 0.0), data=DATA)[0] == []
    assert relu_sweep.follow([SMALL | {"alphas": [1]}], rows(1.0), data=DATA)[0] == []  # all of it was trained at once


def test_a_run_that_meets_no_zero_is_the_same_bit_for_bit_whatever_alpha_and_rule():
    entry = {"name": "E9", "network": "mlp 1x8", "batch_norms": [False], "seeds": 1, "epochs": 1, "alphas": [50]}
    sizes = {"images": {"mnist": 128}, "held_out": 32}
    data, labels = relu_sweep.places([entry], source="embedded", dataset="photographs", folder=None, **sizes)
    jobs, _ = relu_sweep.grid([entry], data=data)
    base, _, *others = [rounded.job(**job).iloc[0] for job in jobs]
    assert base["zeros"] == 0 and len(others) == 2 and list(labels) == ["mnist"]
    measured = ["train_loss", "train_accuracy", "test_loss", "test_accuracy"]
    for other in others:
        assert other["alpha"] == 50 and (other[measured] == base[measured]).all()


def test_labels_go_to_the_rows_of_their_jobs():
    labels = pd.DataFrame({"experiment": ["E4", "E5"], "rates": "", "entry": [0, 1]})
    found = relu_sweep.labelled(rows(0.0, 1.0).drop(columns="entry"), labels)
    assert list(found["experiment"]) == ["E4", "E4", "E5", "E5"]
    with pytest.raises(ValueError, match="rows of 2 jobs are given, labels of 1"):
        relu_sweep.labelled(rows(0.0, 1.0), labels[:1])
    assert relu_sweep.labelled(pd.DataFrame(), labels[:0]).empty


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({}, "an entry names none; allowed names: E4"),
        ({"name": "M8a"}, "'M8a' is given; allowed names: E4"),
        (SMALL | {"arms": ["twice"]}, "E9: arm 'twice'; allowed: published, corrected, reordered"),
        (SMALL | {"alphas": [1], "depth": 3}, "depth is no setting"),
        ({"name": "E13-vgg11-sgd", "alphas": [0.3]}, "no rate was published for 0.3"),
    ],
)
def test_what_is_wrong_with_an_entry_is_said_in_one_line(entry, said):
    with pytest.raises(ValueError, match=said):
        relu_sweep.grid([entry], data=DATA)
    with pytest.raises(ValueError, match="no network to train"):
        relu_sweep.grid([], data=DATA)
