"""Statistics of bias updates on distributions whose answers are known."""

from fractions import Fraction

import numpy as np
import pytest

from kinks.pieces import counts
from kinks.pieces.arithmetic import named
from kinks.pieces.sawtooth import sawtooth
from kinks.pieces.updates import hill, perturbation, perturbation_row, reciprocals, revivals


@pytest.mark.parametrize("index", [0.7, 1.0, 2.0])
def test_the_tail_index_of_a_pareto_law_is_found(index):
    sample = np.random.default_rng(0).pareto(index, 20_000) + 1
    assert hill(sample) == pytest.approx(index, rel=4 / 2000**0.5)


def test_updates_with_a_density_at_zero_have_reciprocals_of_tail_index_one():
    row = reciprocals([np.random.default_rng(1).standard_normal((100, 200))])
    assert row["tail_index"] == pytest.approx(1.0, abs=0.1)
    assert row["median"] == pytest.approx(1 / 0.6745, rel=0.05) and row["median"] < row["trimmed_mean"] < row["mean"]


def test_zeros_are_counted_and_left_out():
    row = reciprocals([[0.0, -0.5], [0.25, 0.0]])
    assert row["n"] == 4 and row["zero_fraction"] == 0.5 and row["mean"] == row["median"] == 3.0
    assert np.isnan(row["tail_index"])
    nothing = reciprocals([[0.0]])
    assert nothing["zero_fraction"] == 1.0 and np.isnan(nothing["mean"])


def test_perturbations_are_relative_and_exact_references_are_used_exactly():
    found = perturbation([[1.5, 0.0, 1.0]], [[1.0, 0.0, 0.0]])[0]
    assert found[0] == 0.5 and np.isnan(found[1]) and found[2] == np.inf
    tenth = perturbation([[0.1]], [np.array([Fraction(1, 10)], dtype=object)])[0]
    assert tenth[0] == float(abs(Fraction(0.1) - Fraction(1, 10)) * 10)
    row = perturbation_row([2.0**-11, 3 * 2.0**-11, 2.0, np.inf, np.nan], named("fp16"))
    assert row["n"] == 3 and row["median_in_u"] == 3.0 and row["above_one"] == 2 and row["largest"] == 2.0


def test_revived_neurons_are_those_dead_before_and_active_after():
    network = sawtooth(2)
    dead = network.with_biases([[0.0, -2.0], [0.0, -0.5]])
    before, after = (counts(one, 0.0, 1.0, neurons=True).neurons for one in (dead, network))
    assert before.dead[0].tolist() == [[False, True]]
    assert revivals(before, after) == (1, 1) and revivals(after, before) == (0, 0)
