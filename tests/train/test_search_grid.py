"""The searches of a stage: published ones, made smaller; and the runs at the rate that value 0 selects."""

import pandas as pd
import pytest

from kinks.train import loop, search, search_grid

PLACE = {
    "dataset": "mnist", "source": "embedded", "folder": None, "checksum": "x", "images": 100, "validation": 10,
    "test_checksum": None, "held_out": 10,
}  # fmt: skip
STAND_IN = {"name": "E13-mnist-sgd", "values": [0, 1], "network": "lenet5", "precision": "fp16", "study": {"trials": 3}}
SEARCHES = [
    {"name": "M7-lenet5-sgd-16", "values": [0, 1000], "batch_norms": [True]},
    {**STAND_IN, "batch_norms": [True]},
]


def grid(searches=SEARCHES, seeds=2, **given):
    return search_grid.grid(searches, seeds=seeds, data={"mnist": PLACE}, **given)


def test_each_entry_is_a_published_search_with_its_changes():
    studies, labels = grid(study={"trials": 5, "random": None}, epochs=2, batch=None)
    # beta: 0, 1000 in two forms; alpha: 0, 1 in two forms; two seeds each
    assert len(studies) == len(labels) == 12
    assert labels["symbol"].value_counts().to_dict() == {"beta": 6, "alpha": 6}
    first, last = studies[0], studies[-1]
    assert (first.trials, first.random, last.trials) == (5, 10, 3)
    assert first.settings["epochs"] == 2 and first.settings["batch"] == 128 and first.objective == "validation"
    assert (last.settings["network"], last.settings["precision"], last.settings["alpha"]) == ("lenet5", "fp16", 1.0)
    assert studies[0].settings == studies[6].settings, "value 0 is one program for both papers, trained once"


def test_the_sizes_are_the_published_ones_unless_told():
    studies, _ = grid([{"name": "M7-lenet5-sgd-32"}], seeds=1)
    assert len(studies) == 2 * (2 + 4 * 2), "betas 0 and 1, and four in two forms, with and without batch norm"
    assert {(one.trials, one.settings["epochs"]) for one in studies} == {(10, 10)}


def trials(studies, labels, rates):
    """What `search` returns, one trial per study at each of its rates, the first the best."""
    rows = [
        {"study": number, "trial": trial, "rate": rate, "state": "complete", "objective": "validation"}
        | {"validation_accuracy": 0.9 - 0.1 * trial, "seed": one.settings["seed"]}
        for number, one in enumerate(studies)
        for trial, rate in enumerate(rates[labels["symbol"][number], one.settings["seed"], search_grid._value(one)])
    ]
    return pd.DataFrame(rows)


def test_runs_at_the_rate_of_zero_are_found_or_made(monkeypatch):
    studies, labels = grid()
    asked = []

    def at(ones, rates, run):
        asked.extend(zip([one.settings["seed"] for one in ones], rates, strict=True))
        return pd.DataFrame({"study": range(len(ones)), "trial": -1, "rate": rates})

    monkeypatch.setattr(search, "at", at)
    tried = {("beta", seed, False): [0.01, 0.1] for seed in (0, 1)} | {("beta", 0, True): [0.1, 0.01]}
    tried |= {("beta", 1, True): [0.1, 0.5]} | {("alpha", seed, other): [0.3] for seed in (0, 1) for other in (0, 1)}
    found = search_grid.at_zero(studies, labels, trials(studies, labels, tried), run=None)
    assert asked == [(1, 0.01)] * 2, "seed 1 never tried the rate of beta = 0, with either forward"
    assert found.groupby("rate").size().to_dict() == {0.01: 4, 0.3: 4}
    values = {search_grid._value(studies[number]) for number in found["study"]}
    assert values == {True}, "value 0 itself is left out"


def test_the_embedded_data_stand_in_for_the_official(monkeypatch):
    asked = []
    monkeypatch.setattr(loop, "data", lambda **given: asked.append(given) or ({"dataset": given["dataset"]}, "label"))
    searches = [*SEARCHES, {"name": "M7-vgg11-sgd-32"}]
    settings, labels = search_grid.places(searches, "embedded", 100, 10, 20)
    assert settings == {"mnist": {"dataset": "mnist"}, "cifar10": {"dataset": "photographs"}}
    assert set(labels) == {"mnist", "photographs"} and asked[1]["held_out"] == 20
    search_grid.places([{"name": "M7-svhn-sgd-16"}], "official", None, 5000, 20)
    assert asked[-1] == {"dataset": "svhn", "source": "official", "split": "extra", "held_out": 26032} | {
        "images": None, "validation": 5000,
    }  # fmt: skip


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match="no published search 'M8a'; allowed: E13-vgg11-sgd, "):
        grid([{"name": "M8a"}])
    with pytest.raises(ValueError, match="no published search None; allowed"):
        grid([{"values": [0]}])
    with pytest.raises(ValueError, match="no learning rate to search for"):
        grid([])
    with pytest.raises(ValueError, match=r"epoch is no setting of a training run; .*; did you mean epochs\?"):
        grid([{"name": "M7-lenet5-sgd-32", "epoch": 3}])
