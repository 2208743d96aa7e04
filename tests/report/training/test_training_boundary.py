"""Where harm begins, and what does it."""

import numpy as np
import pandas as pd
import pytest

from kinks.report import training


def tables(make, *arms, dose="beta"):
    finals = training.finals(make(dose, *arms), make.chance)
    effects, apart = training.effects(finals), training.interaction(finals)
    return training.boundary(effects), training.causes(effects, apart)


def doses(make, losses, seeds=6, **given):
    """Arms of several doses: {dose: loss in accuracy, the same in every seed but for a little}."""
    rows = []
    for dose, loss in losses.items():
        each = loss if isinstance(loss, list) else [loss + 0.001 * np.cos(3 * seed + dose) for seed in range(seeds)]
        rows += make.arm(each, beta=float(dose), **given)
    return rows


def test_harm_begins_at_the_smallest_dose_with_a_significant_loss(make):
    mixed = doses(make, {1: 0.0, 10: 0.0, 100: 0.04, 1000: ["diverged"] * 6}, forward="mixed")
    exact = doses(make, {1: 0.0, 10: 0.0, 100: 0.0, 1000: 0.0}, forward="exact")
    bounds, causes = tables(make, make.arm([0.0] * 6), mixed, exact)
    released, corrected = (bounds[bounds["variant"] == name].iloc[0] for name in ("mixed", "exact"))
    assert released[["harm", "equal", "doses", "n", "verdict"]].tolist() == [100, 10, 4, 6, "loss from 100"]
    assert (
        released["harm_low"] < -0.04 < released["harm_high"] < 0 and released["harm_p"] < 0.01 and released["monotone"]
    )
    assert np.isnan(corrected["harm"]) and corrected[["equal", "verdict"]].tolist() == [1000, "none up to 1000"]
    assert causes.set_index("dose")["cause"].to_dict() == {
        1: "neither", 10: "neither", 100: "released form only", 1000: "released form only",
    }  # fmt: skip


def test_both_causes_may_be_real(make):
    mixed = doses(make, {10: 0.05, 100: 0.05, 1000: 0.08}, forward="mixed")
    exact = doses(make, {10: 0.0, 100: 0.05, 1000: 0.04}, forward="exact")
    causes = tables(make, make.arm([0.0] * 6), mixed, exact)[1].set_index("dose")["cause"]
    assert causes.to_dict() == {10: "released form only", 100: "derivative", 1000: "both"}


def test_what_was_not_found_is_not_what_is_absent(make):
    noisy = [0.03, -0.03, 0.02, -0.02, 0.03, -0.02]
    mixed = doses(make, {10: noisy, 100: noisy}, forward="mixed")
    exact = doses(make, {10: 0.0, 100: noisy}, forward="exact")
    bounds, causes = tables(make, make.arm([0.0] * 6), mixed, exact)
    assert bounds["verdict"].tolist() == ["none found up to 100", "none found up to 100"]
    assert causes["cause"].tolist() == ["none found", "none found"]
    wide = doses(make, {10: [5 * loss for loss in noisy]}, forward="mixed")
    bounds, causes = tables(make, make.arm([0.0] * 6), wide, doses(make, {10: 0.0}, forward="exact"))
    assert (
        bounds["verdict"].tolist() == ["undecided up to 10", "none up to 10"] and causes["cause"].item() == "undecided"
    )


def test_sides_of_zero_and_gaps_are_told(make):
    rows = [row | {"alpha": row["beta"], "rule": "assign"} for row in doses(make, {-1: 0.0, 1: 0.05, 2: 0.0})]
    bounds, causes = tables(make, make.arm([0.0] * 6), rows, dose="alpha")
    assert bounds["side"].tolist() == ["negative", "positive"] and bounds["monotone"].tolist() == [True, False]
    assert bounds["verdict"].tolist() == ["none up to 1", "loss from 1"] and causes.empty
    assert "equal to 0 up to |α| = 1" in training.say_boundary(bounds)
    assert "not at every larger one" in training.say_boundary(bounds)
    assert training.say_causes(causes) == "No dose was trained in both variants."


def test_a_sweep_with_an_effect_of_the_released_rule_alone(relu):
    bounds = relu["boundary"].set_index(["batch_norm", "precision", "rate", "variant"])["verdict"]
    for precision in ("fp16", "fp32"):
        assert bounds[False, precision, 0.05, "assign"] == "loss from 0.3"
        assert bounds[False, precision, 0.05, "chain"] == bounds[True, precision, 0.01, "assign"] == "none up to 1"
    assert bounds[False, "fp64", 0.05, "assign"] == "no kink met"
    assert set(relu["causes"]["cause"]) == {"released form only", "neither", "no kink met"}


def test_sentences_are_computed(relu):
    said = training.say_summary(relu["summary"])
    assert "**LeNet-5 without batch norm, MNIST, SGD**" in said and "released rule, α = 1: 6 of 6" in said
    assert "after 7 steps (gradient: c1)" in said and "16 bits, rate 0.05: α = 0 reaches 94.9% (6 runs" in said
    said = training.say_effects(relu["effects"])
    assert "1 of 6 failed, against 0; where both trained −6.0 points" in said
    assert "fails at α = 1 (6 of 6 failed, against 0; −83 points" in said
    assert "chain rule: equal within 1 point at α = 0.1, 0.3, 0.5, 1 (−0.1 to +0.1)" in said
    said = training.say_boundary(relu["boundary"])
    assert "released rule: loss from α = 0.3 (−3.0 points" in said and "chain rule: no kink met" in said
    said = training.say_causes(relu["causes"])
    assert "48 combinations" in said and "released form only 12" in said and "α = 1 (−83; 0.0)" in said
    assert "Corrected, the lowest difference from dose 0 is 0.0 points" in said
    said = training.say_kinks(relu["effects"])
    assert "64 bits: 0 of 192 runs met a ReLU input of exactly 0, 0 in all" in said
    assert "32 comparisons of 92 met none in any run and could not have shown an effect" in said


def test_a_table_without_a_pair_of_variants_has_columns(relu):
    effects = relu["effects"]
    empty = training.causes(effects, relu["interaction"].iloc[:0])
    assert empty.empty and list(empty.columns) == list(relu["causes"].columns)
    assert isinstance(training.boundary(effects.iloc[:0]), pd.DataFrame)


@pytest.mark.parametrize(("share", "said"), [(0.0004, "0.0"), (-0.031, "−3.1"), (0.012, "+1.2"), (-0.8342, "−83")])
def test_differences_are_told_in_points(share, said):
    from kinks.report.training.sentences import signed

    assert signed(share) == said
