"""The learning-rate search: Optuna's own choices, replayed from shards; diverged trials stop nothing."""

import math
from functools import partial

import numpy as np
import optuna
import pandas as pd
import pytest

from kinks.pipeline import shards
from kinks.pipeline.errors import JobError
from kinks.train import search, trial
from kinks.train.search import Study

INLINE = partial(shards.run_jobs, executor="inline")
EPOCHS, BEST = 3, -2.0  # the accuracy is best at a rate of 0.01
TRAINED: list[float] = []


def epochs(*, rate, seed, epochs, peak=BEST, steep=0.1):
    """A training run whose accuracy is known; above 0.05 it diverges in the second epoch."""
    TRAINED.append(rate)
    for epoch in range(epochs):
        accuracy = 0.9 - steep * (math.log10(rate) - peak) ** 2 + 0.01 * epoch
        bad = rate > 0.05 and epoch > 0
        yield {
            "seed": seed, "peak": peak, "rate": rate, "epoch": epoch, "diverged_step": 7 if bad else -1,
            "validation_accuracy": math.nan if bad else accuracy, "test_accuracy": math.nan if bad else 0.5 + rate,
        }  # fmt: skip


@pytest.fixture(autouse=True)
def stub(monkeypatch, tmp_path):
    TRAINED.clear()
    monkeypatch.setattr(trial.loop, "epochs", epochs)
    monkeypatch.setattr(shards, "code_hash", lambda job: "one")  # which reads every module, round by round
    monkeypatch.setenv("KINKS_SHARDS", str(tmp_path / "shards"))


def study(seed=0, peak=BEST, **given):
    return Study({"seed": seed, "epochs": EPOCHS, "peak": peak}, **{"trials": 12, "random": 4} | given)


def run(*studies):
    return search.search(studies, INLINE)


def by_optuna(one):
    """The same study by Optuna alone, its pruner asked after every epoch."""
    pruner = optuna.pruners.MedianPruner(n_startup_trials=one.unpruned)
    made = optuna.create_study(direction="maximize", pruner=pruner)
    for number in range(one.trials):
        seed = one.settings["seed"] * 1_000_003 + number
        made.sampler = optuna.samplers.TPESampler(n_startup_trials=one.random, seed=seed)
        asked = made.ask()
        rate, pruned = asked.suggest_float("rate", 1e-5, 1e-1, log=True), False
        for row in epochs(rate=rate, **one.settings):
            value = row["validation_accuracy"]
            value = 0.0 if math.isnan(value) else value
            asked.report(value, row["epoch"])
            if pruned := asked.should_prune():
                break
        state = optuna.trial.TrialState.PRUNED if pruned else None
        made.tell(asked, None if pruned else value, state)
    return [(done.params["rate"], done.state.name.lower(), len(done.intermediate_values)) for done in made.trials]


@pytest.mark.parametrize("seed", [0, 5])
def test_the_trials_are_those_of_optuna(seed):
    one = study(seed)
    table = run(one)
    found = list(zip(table["rate"], table["state"], table["epoch"] + 1, strict=True))
    assert found == by_optuna(one)
    assert {"complete", "pruned"} <= set(table["state"]), "this study tests both"


def test_finished_trials_are_not_trained_again_and_the_table_is_equal():
    studies = [study(0), study(1, at_once=3), study(0, peak=-3.0)]
    first = run(*studies)
    count = len(TRAINED)
    pd.testing.assert_frame_equal(run(*studies), first, check_exact=True)
    assert len(TRAINED) == count == len(first)
    alone = run(studies[1]).drop(columns="study")
    pd.testing.assert_frame_equal(alone, first[first["study"] == 1].drop(columns="study").reset_index(drop=True))


def test_studies_of_one_seed_begin_with_the_same_rates():
    table = run(study(2), study(2, peak=-3.0), study(3))
    first, other, elsewhere = (table[table["study"] == number]["rate"].tolist() for number in range(3))
    assert first[:4] == other[:4] and first[4:] != other[4:]
    assert set(first).isdisjoint(elsewhere)
    assert all(1e-5 <= rate <= 1e-1 for rate in table["rate"])


def test_tpe_moves_towards_the_best_rate():
    table = run(*(study(seed, trials=25, random=5, unpruned=100) for seed in range(6)))
    away = (np.log10(table["rate"]) - BEST).abs()
    assert away[table["trial"] >= 15].median() < 0.5 * away[table["trial"] < 5].median()


def test_a_diverged_trial_is_worth_nothing_counted_and_never_selected():
    table = run(study(seed=1, trials=20, random=20, unpruned=100))
    diverged = table[table["rate"] > 0.05]
    assert len(diverged) >= 2 and (diverged["value"] == 0).all() and (diverged["diverged_step"] == 7).all()
    assert (diverged["state"] == "complete").all() and len(table) == 20
    assert search.selected(table, "test")["rate"].item() == table.loc[table["rate"] < 0.05, "rate"].max()
    assert abs(math.log10(search.selected(table)["rate"].item()) - BEST) < 0.3
    nothing = search.selected(diverged)
    assert nothing.empty


def test_the_objective_decides_what_is_sought():
    table = run(study(trials=20, random=5, unpruned=100, objective="test"))
    assert (table["value"] == table["test_accuracy"].fillna(0)).all() and (table["objective"] == "test").all()


def test_a_rate_given_is_trained_to_the_end():
    studies = [study(0), study(1)]
    found = search.at(studies, [0.01, 0.06], INLINE)
    assert found["rate"].tolist() == [0.01, 0.06] and found["epoch"].tolist() == [2, 2]
    assert found["trial"].tolist() == [-1, -1] and found["diverged_step"].tolist() == [-1, 7]


def test_wrong_words_are_named():
    with pytest.raises(ValueError, match=r"study: settings hold rate=0\.1, which is what is searched for"):
        Study({"seed": 0, "epochs": 1, "rate": 0.1})
    with pytest.raises(ValueError, match="study: objective is 'loss'; allowed: validation, test"):
        study(objective="loss")
    with pytest.raises(ValueError, match="study: at_once is 0; allowed: a whole number of at least 1"):
        study(at_once=0)
    with pytest.raises(ValueError, match="selected: rule is 'best'; allowed: validation, test"):
        search.selected(pd.DataFrame(), "best")
    with pytest.raises(ValueError, match="trial: 1 floors for 3 epochs; give one per epoch"):
        trial.job(settings={"seed": 0, "epochs": 3}, rate=0.1, objective="test", floors=[None])
    with pytest.raises(JobError, match="peak"):
        run(Study({"seed": 0, "epochs": 1, "peak": "high"}, trials=1))
