"""The specification's remaining checks: deep sawteeth, 200 small networks in exact rationals, translation."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from kinks.pieces import Network, along, counts
from kinks.pieces.rational import rational
from kinks.pieces.sawtooth import sawtooth

SAWTOOTH_PIECES = {17: 131_072, 18: 262_144, 19: 524_288, 20: 1_048_576}  # up to 16 levels: test_sawtooth.py


@pytest.mark.parametrize("family", ["unit", "bounded"])
@pytest.mark.parametrize(("levels", "pieces"), SAWTOOTH_PIECES.items())
def test_deep_sawteeth_have_two_to_the_levels_pieces(levels, pieces, family):
    found = counts(sawtooth(levels, family), 0.0, 1.0)
    assert (found.pieces.tolist(), found.regions.tolist(), found.decided_exactly) == ([pieces], [pieces], 0)


def small(seed):
    """A network of 1 to 3 hidden layers of 2 to 6 neurons; every third has few bits, so that breakpoints coincide."""
    random = np.random.default_rng(seed)
    sizes = [int(random.integers(1, 4)), *random.integers(2, 7, random.integers(1, 4)).tolist(), 1]
    weights = [random.standard_normal((after, before)) for before, after in pairwise(sizes)]
    biases = [random.standard_normal(size) for size in sizes[1:]]
    start, end = random.standard_normal((2, sizes[0]))
    if seed % 3 == 0:
        weights, biases = ([np.round(2 * one) / 2 for one in ones] for ones in (weights, biases))
        start, end = np.full(sizes[0], -4.0), np.full(sizes[0], 4.0)
    return Network.of(weights, biases), start, end


@pytest.mark.parametrize("first", range(0, 200, 50))
def test_two_hundred_small_networks_agree_with_exact_rationals(first):
    """Regions, pieces, and which boundaries are breakpoints, exactly; places to the last bits."""
    several = 0
    for seed in range(first, first + 50):
        network, start, end = small(seed)
        found, true = along(network, start, end), rational(network, start, end)
        assert (found.regions, found.pieces) == (len(true.boundaries) + 1, len(true.breakpoints) + 1)
        kept = [true.boundaries.index(one) for one in true.breakpoints]
        assert found.breakpoints.tolist() == found.boundaries[kept].tolist()
        for place, error, exact in zip(found.boundaries, found.error, true.boundaries, strict=True):
            assert abs(Fraction(place) - exact) <= min(Fraction(error), Fraction(1e-9))
        np.testing.assert_allclose(found.slopes, np.array(true.slopes, float), rtol=1e-9, atol=1e-12)
        several += found.regions > found.pieces > 1
    assert several > 5, "networks whose regions are more than their pieces are among them"


def test_places_are_exact_where_all_numbers_have_few_bits():
    for seed in range(0, 60, 3):
        network, start, end = small(seed)
        found, true = along(network, start, end), rational(network, start, end)
        if found.decided_exactly == 0:
            assert found.boundaries.tolist() == [float(one) for one in true.boundaries]
            assert [tuple(map(Fraction, row)) for row in found.slopes.tolist()] == true.slopes


@pytest.mark.parametrize("seed", range(4))
def test_translating_the_input_of_a_network_changes_nothing(seed):
    """Half-precision weights and a dyadic shift, so that the translated biases are exact."""
    random, shift = np.random.default_rng(seed), np.array([3.0, -5.5])
    sizes = [2, 12, 9, 1]
    weights = [np.float64(np.float16(random.standard_normal((b, a)))) for a, b in pairwise(sizes)]
    biases = [np.float64(np.float16(random.standard_normal(size))) for size in sizes[1:]]
    network = Network.of(weights, biases)
    moved = Network.of(weights, [biases[0] - weights[0] @ shift, *biases[1:]])
    start, end = np.array([-2.0, 1.0]), np.array([2.0, -0.5])
    one, other = along(network, start, end), along(moved, start + shift, end + shift)
    assert (one.regions, one.pieces) == (other.regions, other.pieces) and one.regions > 10
    np.testing.assert_allclose(one.boundaries, other.boundaries, rtol=0, atol=1e-13)
    np.testing.assert_allclose(one.slopes, other.slopes, rtol=1e-12)
