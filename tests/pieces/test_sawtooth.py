"""The sawtooth families: 2^L pieces, their closed form, and what noise does to them."""

import numpy as np
import pytest

from kinks.pieces import along, counts
from kinks.pieces.bounds import crossing_bound
from kinks.pieces.noise import scaled, shaken
from kinks.pieces.rational import rational
from kinks.pieces.sawtooth import rational_sample, sawtooth, tooth

FAMILIES = ("unit", "bounded")


@pytest.mark.parametrize("width", [2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_pieces_and_regions_are_two_to_the_levels(family, width):
    for levels in range(1, 17):
        found = along(sawtooth(levels, family, width), 0.0, 1.0)
        assert (found.pieces, found.regions) == (2**levels, 2**levels)
        assert np.array_equal(found.breakpoints, np.arange(1, 2**levels) / 2**levels)
        assert set(np.abs(found.slopes[:, 0])) == {2.0**levels if family == "unit" else 1.0}
        assert found.decided_exactly == 0


def test_twenty_levels_are_exact_in_groups_too():
    found = counts(sawtooth(20), 0.0, 1.0)
    assert (found.pieces.tolist(), found.regions.tolist()) == ([2**20], [2**20])
    assert counts(sawtooth(12), 0.0, 1.0, at_once=100).pieces.tolist() == [2**12]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_closed_form_is_the_network(family):
    x = np.random.default_rng(0).random(200)
    for levels in (1, 2, 7, 12):
        network = sawtooth(levels, family)
        assert np.array_equal(network(x[:, None])[:, 0], tooth(x, levels, family))
        np.testing.assert_allclose(along(network, 0.0, 1.0)(x)[:, 0], tooth(x, levels, family), atol=1e-12)
        exact_x, exact_y = rational_sample(20, levels, family, seed=1)
        near = tooth([float(one) for one in exact_x], levels, family)
        np.testing.assert_allclose([float(one) for one in exact_y], near, atol=2.0 ** (levels - 52))


def test_the_third_neuron_only_matters_beyond_one():
    x = np.array([[0.25], [0.75], [1.0], [1.5]])
    assert sawtooth(1, width=3)(x)[:, 0].tolist() == [0.5, 0.5, 0.0, 0.0]
    assert sawtooth(1, width=2)(x)[3, 0] == -1.0


@pytest.mark.parametrize("family", FAMILIES)
def test_translating_input_and_bias_changes_nothing(family):
    network = sawtooth(6, family)
    first = network.layers[0]
    for shift in (3.0, 0.3):  # on the dyadic grid and off it
        moved = network.with_biases(
            [first.bias - shift * first.weight[:, 0], *(one.bias for one in network.layers[1:-1])]
        )
        found = along(moved, shift - 0.5, shift + 1.5)
        plain = along(network, -0.5, 1.5)
        if shift == 3.0:
            assert (found.regions, found.pieces) == (plain.regions, plain.pieces)
        np.testing.assert_allclose(found(np.linspace(0, 1, 50)), plain(np.linspace(0, 1, 50)), atol=1e-9)


@pytest.mark.parametrize("changes", [{"levels": 0}, {"levels": 2, "family": "flat"}, {"levels": 2, "width": 4}])
def test_other_sawteeth_are_refused(changes):
    with pytest.raises(ValueError, match="give 1 or more"):
        sawtooth(**changes)


def test_noise_leaves_a_plateau_where_slopes_are_bounded_and_growth_where_they_are_not():
    eta = 2.0**-4
    bounded = [counts(shaken(sawtooth(levels, "bounded"), eta, range(100)), 0.0, 1.0) for levels in (9, 13)]
    for found in bounded:
        assert 3.5 < found.regions.mean() * eta < 5.5
    assert bounded[1].pieces.mean() < 0.6 * bounded[0].pieces.mean()
    unit = [counts(shaken(sawtooth(levels), eta, range(5)), 0.0, 1.0).regions.mean() for levels in (8, 12)]
    assert 12 < unit[1] / unit[0] < 20


def test_the_bound_of_the_bounded_family_is_two_a_level_over_the_noise():
    for levels, eta in ((4, 0.125), (10, 2.0**-6)):
        found = counts(shaken(sawtooth(levels, "bounded"), eta, range(50)), 0.0, 1.0, neurons=True)
        bound = crossing_bound(found.neurons, [eta] * levels)
        assert found.regions.mean() <= min(bound, 1 + 2 * levels / eta)
        plain = along(sawtooth(levels, "bounded"), 0.0, 1.0, neurons=True).neurons
        assert {one.max() for one in plain.steepest} == {1.0} and plain.variation[0].tolist() == [[1.0, 1.0]]


def test_zero_biases_make_breakpoints_coincide_that_rounding_would_part():
    """Relative noise keeps zero biases: a neuron fed by one other starts where that one does, exactly."""
    for seed in range(3):
        network = scaled(sawtooth(7), 0.03, seed)
        true = rational(network, np.zeros(1), np.ones(1))
        found = along(network, 0.0, 1.0)
        assert (found.regions, found.pieces) == (len(true.boundaries) + 1, len(true.breakpoints) + 1)


def test_relative_noise_in_every_parameter_lowers_the_unit_sawtooth_gradually():
    means = [np.mean([along(scaled(sawtooth(9), size, seed), 0.0, 1.0).regions for seed in range(6)])
             for size in (0.3, 0.03, 0.0)]  # fmt: skip
    assert means[0] < 0.6 * means[1] and means[2] == 2**9
