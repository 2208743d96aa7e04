"""The max-pool training sweep: entries that name published configurations become jobs of the loop, with labels."""

import json

import pandas as pd
import pytest

from kinks.train import loop, pool_sweep, published

PLACE = {
    "dataset": "mnist", "source": "embedded", "folder": None, "checksum": "of the images", "images": 64,
    "validation": 0, "test_checksum": None, "held_out": 16,
}  # fmt: skip


def grid(*runs, **common):
    return pool_sweep.grid(runs, common=common, places={"mnist": PLACE, "cifar10": PLACE, "svhn": PLACE})


def test_a_name_alone_is_the_published_experiment_in_three_arms():
    jobs, labels = grid({"name": "M8b", "noise": True})
    assert len(jobs) == len(labels) == 2 * 10 * (1 + 1 + 1 + 2 * 4)  # batch norm, seeds; 0, reordered, 1, four in two
    assert {job["rate"] for job in jobs if not job["batch_norm"]} == {0.02326495}
    assert {(job["precision"], job["epochs"], job["batch"], job["schedule"]) for job in jobs} == {
        ("fp16", 100, 128, "cosine")
    }
    assert {job["forward"] for job in jobs if job["beta"] in (0, 1)} == {"exact"}
    assert sum(job["reorder"] for job in jobs) == 20 and all(job["beta"] == 0 for job in jobs if job["reorder"])
    assert json.loads(json.dumps(jobs)) == jobs
    assert labels.drop_duplicates().values.tolist() == [["M8b", 1.0, "lenet5", "mnist"]]


def test_an_entry_says_what_differs_and_comes_before_what_all_share():
    entry = {"name": "M8d", "norm": True, "betas": [0, 1000], "seeds": 2, "arms": ["published"]}
    jobs, labels = grid(entry | {"network": "vgg11/8", "rate_share": 0.5, "epochs": 3}, epochs=2, batch=16)
    assert [(job["beta"], job["forward"], job["seed"]) for job in jobs] == [
        (0.0, "exact", 0), (0.0, "exact", 1), (1000.0, "mixed", 0), (1000.0, "mixed", 1),
    ]  # fmt: skip
    assert {(job["network"], job["epochs"], job["batch"]) for job in jobs} == {("vgg11/8", 3, 16)}
    assert jobs[0]["rate"] == 0.5 * 0.01854882
    assert labels.iloc[0].tolist() == ["M8d", 0.5, "vgg11", "cifar10"]


def test_mixed_precision_is_autocast_with_loss_scaling():
    jobs, _ = grid({"name": "M10b", "betas": [0], "seeds": 1, "norm": False})
    assert (jobs[0]["autocast"], jobs[0]["loss_scaling"], jobs[0]["rate"]) == (True, "dynamic", 0.0092503)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"epochs": 2}, "names no configuration; allowed: M8a, M8b"),
        ({"name": "M8z"}, "no configuration 'M8z'; allowed: M8a"),
        ({"name": "E4"}, "no configuration 'E4'; allowed: M8a"),
        ({"name": "M7-lenet5-sgd-16"}, "no configuration 'M7-lenet5-sgd-16'"),
        ({"name": "M8b", "epoch": 2}, "epoch is no setting of a training run"),
        ({"name": "M8b", "arms": ["noise"]}, "arm 'noise'; allowed: published"),
        ({"name": "M8b", "seeds": 0}, "no network to train"),
        ({"name": "M8b", "rate_share": 0}, "rate_share is 0; allowed: a number above 0"),
        ({"name": "M8b", "seeds": True}, "seeds is True; allowed: a whole number"),
        ({"name": "M8b", "norm": "yes"}, "norm is 'yes'; allowed: true, false"),
    ],
)
def test_what_an_entry_may_not_say(entry, said):
    with pytest.raises(ValueError, match=said):
        grid(entry)


def rows_of(jobs, epochs=2):
    """Rows as the loop returns them, without training."""
    kept = ("beta", "forward", "reorder", "seed")
    return pd.DataFrame(
        {name: job[name] for name in kept} | {"epoch": epoch} for job in jobs for epoch in range(epochs)
    )


def test_programs_that_are_one_stand_in_both_forwards():
    jobs, labels = grid({"name": "M8b", "betas": [0, 1, 10], "seeds": 2, "norm": False, "noise": True})
    rows = pool_sweep.labelled(rows_of(jobs), labels)
    counts = rows.groupby(["beta", "forward", "reorder"])["seed"].nunique()
    assert counts.to_dict() == {
        (0.0, "exact", False): 2, (0.0, "exact", True): 2, (0.0, "mixed", False): 2, (1.0, "exact", False): 2,
        (1.0, "mixed", False): 2, (10.0, "exact", False): 2, (10.0, "mixed", False): 2,
    }  # fmt: skip
    assert (rows["experiment"] == "M8b").all() and len(rows) == 2 * 2 * 7


def test_each_job_keeps_its_own_label():
    jobs, labels = grid(
        {"name": "M8b", "betas": [10], "seeds": 1, "norm": False, "arms": ["corrected"]},
        {"name": "M9a", "betas": [10], "seeds": 2, "norm": False, "arms": ["corrected"], "rate_share": 0.1},
    )
    rows = pool_sweep.labelled(rows_of(jobs, epochs=3), labels)
    assert rows["experiment"].tolist() == ["M8b"] * 3 + ["M9a"] * 6
    assert rows["rate_share"].tolist() == [1.0] * 3 + [0.1] * 6


def test_rows_of_other_jobs_are_refused():
    jobs, labels = grid({"name": "M8b", "betas": [10], "seeds": 2, "norm": False})
    with pytest.raises(ValueError, match="rows of 3 jobs are given, labels of 4"):
        pool_sweep.labelled(rows_of(jobs[:3]), labels)


def test_only_the_images_that_are_needed_are_read():
    sizes = {"grey": (64, 16), "colour": (32, 8)}
    places, labels = pool_sweep.places(
        [{"name": "M8b"}], source="embedded", dataset="photographs", folder=None, **sizes
    )
    assert list(places) == ["mnist"] and places["mnist"]["images"] == 64
    assert labels == {"mnist": "MNIST, first 10,000 training images (embedded)"}
    places, labels = pool_sweep.places(
        [{"name": "M8c"}, {"name": "M8g"}], source="embedded", dataset="photographs", folder=None, **sizes
    )
    assert {place["dataset"] for place in places.values()} == {"photographs"} and set(places) == {"cifar10", "svhn"}
    assert list(labels) == ["photographs"]


def test_every_published_experiment_of_the_paper_can_be_named():
    known = pool_sweep.names()
    assert known == ["M8a", "M8b", "M8c", "M8d", "M8e", "M8f", "M8g", "M8h", "M9a", "M9b", "M10b", "M10c", "M11"]
    assert set(known) < set(published.names())


@pytest.mark.parametrize("beta", [0, 10_000])
def test_a_job_of_the_sweep_trains(beta):
    places, _ = pool_sweep.places(
        [{"name": "M8b"}], source="embedded", dataset="photographs", folder=None, grey=(64, 16), colour=(1, 0)
    )
    entry = {"name": "M8b", "betas": [beta], "seeds": 1, "norm": False, "arms": ["published"]}
    jobs, labels = pool_sweep.grid([entry], common={"epochs": 1, "batch": 16}, places=places)
    rows = pool_sweep.labelled(loop.job(**jobs[0]), labels)
    assert len(rows) == (2 if beta == 0 else 1)
    assert (rows["status"] == "diverged").all() == (beta == 10_000)
