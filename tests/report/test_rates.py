"""Learning-rate searches (M7, E13): tables, figures and sentences from trials whose answers are known."""

import math

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from kinks.report.training import search, search_figures, search_tables, search_text

RATES = (1e-4, 1e-3, 0.01, 0.1)  # of every study: the same trials for every dose
LABELS = pd.DataFrame({"experiment": "M7-lenet5-sgd-16", "symbol": "beta"}, index=range(20))
PUBLISHED = pd.DataFrame(
    {"name": "M7-lenet5-sgd-16", "batch_norm": True, "value": [0.0, 1000.0], "rate": [0.02, 0.002]}
).assign(accuracy=[0.99, 0.95])


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def study(number, beta, forward, seed, accuracies, tests=None, pruned=()):
    """The trials of one study: a validation accuracy per rate, NaN where the run diverged."""
    cell = {"network": "lenet5", "dataset": "mnist", "batch_norm": True, "dropout": 0.0, "optimiser": "sgd"}
    cell |= {"precision": "fp16", "autocast": False, "loss_scaling": "none", "reorder": False, "alpha": 0.0}
    cell |= {"rule": "chain", "beta": float(beta), "forward": forward, "seed": seed, "chance": 0.1, "epoch": 1}
    rows = []
    for trial, (rate, value) in enumerate(zip(RATES, accuracies, strict=True)):
        bad = math.isnan(value)
        measured = {"validation_accuracy": value, "test_accuracy": (tests or accuracies)[trial], "train_loss": value}
        ended = {"train_accuracy": value, "diverged_step": 3 if bad else -1, "cause": "loss" if bad else ""}
        about = {"study": number, "trial": trial, "objective": "validation", "rate": rate, "zeros": 0.0, "ties": 5.0}
        state = "pruned" if trial in pruned else "complete"
        rows.append(cell | about | measured | ended | {"state": state, "value": 0.0 if bad else value})
    return rows


@pytest.fixture
def rows():
    """Three seeds: beta = 1000 trains as 0 does with the exact forward, ten times slower and lower with the released;
    beta = 10,000 always diverges."""
    found, number = [], 0
    for seed, better in enumerate((0.0, 0.01, 0.02)):
        for beta in (0, 1000):  # with the same bits
            same = {"tests": [0.2, 0.5, 0.96, 0.92]}
            found += study(number + (beta > 0), beta, "exact", seed, [0.2, 0.5, 0.9, 0.95 + better], **same)
        found += study(number + 2, 1000, "mixed", seed, [0.2, 0.55, 0.3, math.nan], pruned=(2,))
        found += study(number + 3, 10_000, "mixed", seed, [math.nan] * 4)
        number += 4
    return pd.DataFrame(found)


def of(table, dose, variant):
    return table.set_index(["dose", "variant"]).loc[(dose, variant)]


@pytest.fixture
def trials(rows):
    return search.trials(rows, LABELS)


@pytest.fixture
def selections(trials):
    return search.selections(trials, PUBLISHED)


def test_a_rate_is_useful_halfway_from_chance_to_the_best_of_dose_0(trials):
    # the best is 0.97, chance 0.1: halfway is 0.535
    assert len(trials) == 48 and trials["diverged"].sum() == 15
    useful = trials[trials["useful"]].groupby(["dose", "variant"])["rate"].agg(["min", "max", "size"])
    assert useful.loc[(0, "exact")].tolist() == [0.01, 0.1, 6]
    assert useful.loc[(1000, "mixed")].tolist() == [1e-3, 1e-3, 3]
    assert (10_000, "mixed") not in useful.index


def test_each_rule_selects_by_its_accuracy(selections):
    rows = selections.set_index(["dose", "variant", "seed", "rule"])
    assert rows.loc[(0, "exact", 0, "validation"), ["rate", "test_accuracy"]].tolist() == [0.1, 0.92]
    assert rows.loc[(0, "exact", 0, "test"), ["rate", "test_accuracy", "published"]].tolist() == [0.01, 0.96, 0.02]
    lost = rows.loc[(10_000, "mixed", 0, "validation")]
    assert math.isnan(lost["rate"]) and lost["trial"] == -1 and lost["diverged"] == 4 and not lost["learnt"]
    assert rows.loc[(1000, "mixed", 0, "validation"), "pruned"] == 1


def test_the_test_rule_moves_the_choice_and_flatters_it(selections):
    base = of(search_tables.choices(selections), 0, "exact")
    assert base["moved"] == 3 and base["shift"] == pytest.approx(1.0) and base["gain"] == pytest.approx(0.04)
    assert base["rate"] == pytest.approx(0.1) and base["spread"] == pytest.approx(0) and math.isnan(base["ratio"])


def test_the_selected_rate_is_held_against_that_of_dose_0_by_seed(selections):
    found = search_tables.choices(selections)
    slower = of(found, 1000, "mixed")
    assert slower["ratio"] == pytest.approx(0.01) and slower["published_ratio"] == pytest.approx(0.1)
    assert slower["n"] == 3 and slower["failed"] == 0
    assert of(found, 1000, "exact")["ratio"] == pytest.approx(1.0)
    never = of(found, 10_000, "mixed")
    assert never["failed"] == 3 and math.isnan(never["rate"]) and math.isnan(never["p"])


def test_a_choice_that_learnt_nothing_is_no_rate(rows):
    rows.loc[rows["beta"] == 10_000, ["validation_accuracy", "test_accuracy", "diverged_step"]] = [0.11, 0.11, -1]
    selections = search.selections(search.trials(rows, LABELS), PUBLISHED)
    assert (selections.loc[selections["dose"] == 10_000, "rate"] == 1e-4).all()
    assert of(search_tables.choices(selections), 10_000, "mixed")["failed"] == 3


def test_rates_are_compared_one_by_one(trials):
    found = search_tables.ranges(trials)
    fewer, none, same = (of(found, *key) for key in ((1000, "mixed"), (10_000, "mixed"), (1000, "exact")))
    assert fewer[["pairs", "base", "lost", "won", "share"]].tolist() == [12, 6, 6, 3, 1.0]
    assert (fewer["lowest"], fewer["highest"], fewer["above"]) == (1e-3, 1e-3, 0.01)
    # six of six lost: p = 2/64, times three for Holm's correction
    assert none["useful"] == 0 and none["lost"] == 6 and none["p"] == pytest.approx(3 * 2 / 64)
    assert same["verdict"] == "same runs" and same["same"] == 12 and same["lost"] == 0


def test_more_seeds_tell_fewer_rates_apart(rows):
    again = [rows.assign(seed=rows["seed"] + 3 * more, study=rows["study"] + 12 * more) for more in range(2)]
    labels = pd.DataFrame({"experiment": "M7-lenet5-sgd-16", "symbol": "beta"}, index=range(24))
    found = search_tables.ranges(search.trials(pd.concat(again, ignore_index=True), labels))
    assert of(found, 10_000, "mixed")["verdict"] == "fewer rates"


def test_the_rate_of_zero_against_the_own_one(trials, selections, rows):
    ran = rows[(rows["beta"] != 0) & (rows["rate"] == 0.1)].assign(trial=-1)
    found = search_tables.transfer(trials, selections, search.trials(ran, LABELS, rows))
    slower, same = of(found, 1000, "mixed"), of(found, 1000, "exact")
    assert slower[["own", "of_zero", "failed_of_zero"]].tolist() == pytest.approx([0.55, 0.1, 3])
    assert slower["loss"] == pytest.approx(0.45) and same["loss"] == pytest.approx(0)
    assert of(found, 10_000, "mixed")[["own", "of_zero", "failed_own"]].tolist() == pytest.approx([0.1, 0.1, 3])
    assert 0 not in set(found["dose"])


def test_the_figures_show_every_trial(trials, selections):
    fig = search_figures.accuracies(trials, search.same_cell(selections, trials))
    titles = [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes]
    assert titles == ["β = 0", "β = 1,000", "β = 10,000"]
    diverged = [points.get_offsets()[:, 1] for points in fig.axes[2].collections if len(points.get_offsets())]
    assert sum(map(len, diverged)) == 12 and all((height < 0).all() for height in diverged)
    ranges = search_tables.ranges(trials).assign(published=0.02)
    texts = [text.get_text() for text in search_figures.useful(ranges).axes[0].texts]
    assert texts == ["trains at none of 12 rates"]


def test_the_sentences_hold_the_numbers(trials, selections, rows):
    choices, ranges = search_tables.choices(selections), search_tables.ranges(trials)
    ran = search.trials(rows[(rows["beta"] != 0) & (rows["rate"] == 0.1)].assign(trial=-1), LABELS, rows)
    carried = search_tables.transfer(trials, selections, ran)
    said = search_text.text(trials, choices, ranges, carried, "drawn digits")
    assert (
        "48 trials in 12 searches: 15 diverged, which stopped none of them, and 3 others were given up early." in said
    )
    assert "LeNet-5 with batch norm, MNIST, SGD, 16 bits" in said
    assert "β = 10,000 (published) trains at none of 12 rates" in said
    assert "β = 1,000 (published) 45.0 points" in said and "3 of 3 diverge there" in said
    assert "β = 10,000 (published) has no own rate" in said
    assert "takes another trial in 6 of 12 searches, " in said
