"""Paired statistics of a sweep: what is tested, what is corrected, and the word for it."""

import numpy as np
import pytest

from kinks import stats
from kinks.report import training
from kinks.report.training import verdicts


def finals(make, *arms, dose="alpha"):
    return training.finals(make(dose, *arms), make.chance)


def one(table, **given):
    rows = table
    for name, value in given.items():
        rows = rows[rows[name] == value]
    assert len(rows) == 1
    return rows.iloc[0]


def test_doses_are_paired_with_dose_0_by_seed(make):
    runs = finals(make, make.arm([0.0] * 5), make.arm([0.02, 0.03, 0.04, 0.03, 0.02], alpha=1.0, rule="assign"))
    row = one(training.effects(runs))
    assert row["n"] == 5 and row["against"] == "dose 0" and row["verdict"] == "lower" and row["test"] == "accuracy"
    wide = runs.pivot(index="seed", columns="dose", values="accuracy")
    difference = (wide[1.0] - wide[0.0]).to_numpy()
    assert row["difference"] == pytest.approx(difference.mean()) and row["low"] < -0.028 < row["high"] < 0
    assert row["p"] == row["p_accuracy"] == pytest.approx(stats.student_test(difference, 1 / 2000))
    assert row["p_flip"] == 2 / 2**5 and row["tests"] == 1 and np.isnan(row["p_failures"])


def test_every_dose_precision_and_rate_of_a_family_is_corrected_together(relu):
    effects = relu["effects"]
    for _, family in effects.groupby(["batch_norm", "variant"]):
        raw = family[["p_accuracy", "p_failures"]].stack().dropna()
        assert (family["tests"] == len(raw)).all()
        least = np.sort(raw)[0]
        assert family["p"].min() == pytest.approx(min(1, least * len(raw)))
    assert effects["p"].between(0, 1).all()


def test_all_failing_is_significant_with_few_seeds_though_mcnemar_cannot_be(make):
    runs = finals(make, make.arm([0.0] * 5), make.arm(["diverged"] * 5, alpha=1.0, rule="assign"))
    row = one(training.effects(runs))
    assert row["verdict"] == "fails" and row["test"] == "failures" and row["failed"] == 5
    assert row["p"] == pytest.approx(2 / 4**5) and row["p_mcnemar"] == pytest.approx(2 / 2**5)
    many = finals(make, make.arm([0.0] * 10), make.arm(["diverged"] * 10, alpha=1.0, rule="assign"))
    assert one(training.effects(many))["p"] == pytest.approx(2 / 2**10)


def test_one_failure_hides_no_loss_of_the_others(make):
    runs = finals(
        make, make.arm([0.0] * 6), make.arm(["chance", *[0.05, 0.06, 0.05, 0.06, 0.05]], alpha=1.0, rule="assign")
    )
    row = one(training.effects(runs))
    assert (
        row["verdict"] == "lower"
        and row["trained"] == 5
        and row["trained_difference"] == pytest.approx(-0.054, abs=1e-3)
    )
    assert row["low"] < -0.3 < row["difference"] < row["trained_low"]


def test_some_fail_and_the_others_lose_is_one_finding(make):
    runs = finals(make, make.arm([0.0] * 5), make.arm([*["diverged"] * 3, 0.6, 0.05], alpha=1.0, rule="assign"))
    row = one(training.effects(runs))
    assert row["failed"] == 3 and row["test"] == "accuracy" and row["verdict"] == "fails"
    assert row["p_accuracy"] == pytest.approx(2 / 252) and row["p"] == pytest.approx(4 / 252)
    assert row["p_failures"] > 0.05
    assert verdicts.tested(row) == tuple(row[["difference", "low", "high"]])


def test_no_effect_is_a_statement_with_an_interval(make):
    jitter = [0.001, -0.001, 0.002, 0.0, -0.001, 0.001]
    runs = finals(make, make.arm([0.0] * 6), make.arm(jitter, alpha=0.1), make.arm([10 * j for j in jitter], alpha=0.5))
    effects = training.effects(runs)
    same, between = one(effects, dose=0.1), one(effects, dose=0.5)
    assert same["equal"] and same["verdict"] == "equal within 1 point" and same["high"] < 0.01
    assert not between["equal"] and between["verdict"] == "no difference found"
    assert one(training.effects(runs, margin=0.05), dose=0.5)["verdict"] == "equal within 5 points"
    few = finals(make, make.arm([0.0] * 2), make.arm([0.03, -0.02], alpha=0.1))
    assert one(training.effects(few))["verdict"] == "undecided"
    single = one(training.effects(finals(make, make.arm([0.0]), make.arm([0.3], alpha=0.1))))
    assert single["verdict"] == "undecided" and np.isnan(single["p"]) and single["n"] == 1


def test_runs_without_a_kink_could_not_have_shown_an_effect(make):
    base = {"zeros": 0, "ties": 0}
    runs = finals(make, make.arm([0.0] * 4, **base), make.arm([0.0] * 4, alpha=1.0, **base))
    row = one(training.effects(runs))
    assert row["verdict"] == "no kink met" and row["met"] == 0 and row["identical"] == 4
    met = finals(make, make.arm([0.0] * 4), make.arm([0.0] * 4, alpha=1.0))
    assert one(training.effects(met))["verdict"] == "exactly equal"
    pool = finals(make, make.arm([0.0] * 4, **base), make.arm([0.1] * 4, beta=100.0, forward="mixed", **base),
                  make.arm([0.0] * 4, beta=100.0, forward="exact", **base), dose="beta")  # fmt: skip
    effects = training.effects(pool)
    assert one(effects, variant="mixed")["verdict"] == "lower", "the released forward rounds without a tie, too"
    assert one(effects, variant="exact")["verdict"] == "no kink met"
    uncounted = finals(make, make.arm([0.0] * 4, zeros=np.nan), make.arm([0.0] * 4, alpha=1.0, zeros=np.nan))
    assert one(training.effects(uncounted))["verdict"] == "exactly equal"


def test_a_base_that_fails_says_nothing(make):
    arms = make.arm(["chance"] * 4), make.arm(["diverged"] * 4, alpha=1.0, rule="assign")
    assert one(training.effects(finals(make, *arms)))["verdict"] == "base fails"
    rescued = make.arm(["chance"] * 6), make.arm([0.0] * 6, alpha=1.0, rule="assign")
    assert one(training.effects(finals(make, *rescued)))["verdict"] == "higher"
    both = make.arm(["chance", *[0.0] * 4]), make.arm(["chance", *[0.0] * 4], alpha=1.0, rule="assign")
    assert one(training.effects(finals(make, *both)))["trained"] == 4, "a pair that failed twice is no equal pair"


def test_better_but_rarer_is_undecided(make):
    losses = ["diverged", "diverged", -0.03, -0.03, -0.03, -0.031]
    row = one(training.effects(finals(make, make.arm([0.0] * 6), make.arm(losses, alpha=1.0, rule="assign"))))
    assert row["trained_low"] > 0 and row["failed"] == 2 and row["verdict"] == "undecided"


def test_dose_0_is_shared_and_reordering_is_the_noise(relu):
    effects = relu["effects"]
    assert set(effects["variant"]) == {"assign", "chain", "reordered"}  # dose 0 was trained under one rule only
    noise = effects[effects["variant"] == "reordered"]
    assert (noise["dose"] == 0).all() and (noise["verdict"] == "equal within 1 point").all()
    assert set(relu["interaction"]["variant"]) == {"assign"} and set(relu["interaction"]["against"]) == {"chain"}
    assert verdicts.COLUMNS == list(effects.columns)


def test_missing_partners_are_named(make):
    with pytest.raises(ValueError, match=r"no run with dose 0 .*network=lenet5.*precision=fp32"):
        training.effects(finals(make, make.arm([0.0], alpha=1.0)))
    with pytest.raises(ValueError, match="'dose 0' or 'corrected', got 'beta'"):
        training.effects(finals(make, make.arm([0.0])), "beta")
    nothing = training.effects(finals(make, make.arm([0.0])))
    assert nothing.empty and list(nothing.columns) == verdicts.COLUMNS


def test_doses_with_rates_of_their_own_share_a_cell(make):
    rows = make("alpha", make.arm([0.0] * 4, rate=0.1), make.arm([0.1] * 4, alpha=1.0, rule="assign", rate=0.02))
    with pytest.raises(ValueError, match=r"no run with dose 0"):
        training.effects(training.finals(rows, 0.1))
    own = training.effects(training.finals(rows.assign(rates="own"), 0.1))
    assert one(own)[["rate", "rates", "verdict"]].tolist() == [0.02, "own", "lower"]
    assert "rate own" in training.say_effects(own)
