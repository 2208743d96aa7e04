"""Expectations in closed form, and changes of a network that leave its pieces alone."""

import numpy as np
import pytest

from kinks.pieces import Network, along, counts
from kinks.pieces.bounds import most_regions, shallow_expectation
from kinks.pieces.initial import initial


def shallow(draws, neurons, weight, bias):
    """One layer of `neurons` for each draw, as draws of one network: x -> weight x + bias changes sign at -bias/weight.

    Dividing by the weight's size leaves a weight of 1 or -1 and every root where it was.
    """
    sign = np.where(np.arange(neurons) % 2 == 0, 1.0, -1.0)
    network = Network.of([sign[:, None], np.ones((1, neurons))], [np.zeros(neurons), [0.0]])
    return network.with_biases([sign * bias / weight])


@pytest.mark.parametrize(
    "weight_sd, bias_sd, expected", [(1.0, 1.0, 17.0), (1.41421, 0.5, 26.0769), (1.41421, 2.0, 13.5384)]
)
def test_shallow_normal_networks_have_the_expected_regions(weight_sd, bias_sd, expected):
    rng, draws, neurons = np.random.default_rng(0), 1000, 64
    weight, bias = (rng.standard_normal((draws, neurons)) * sd for sd in (weight_sd, bias_sd))
    found = counts(shallow(draws, neurons, weight, bias), 0.0, 1.0).regions
    assert shallow_expectation(neurons, weight_sd, bias_sd) == pytest.approx(expected, abs=1e-4)
    assert abs(found.mean() - expected) < 4 * found.std() / draws**0.5


@pytest.mark.parametrize("start, expected", [(0.0, 17.0), (-1.0, 33.0)])
def test_shallow_uniform_networks_have_the_expected_regions(start, expected):
    rng, draws, neurons = np.random.default_rng(1), 1000, 64
    weight, bias = rng.uniform(-1, 1, (2, draws, neurons))
    found = counts(shallow(draws, neurons, weight, bias), start, 1.0).regions
    assert abs(found.mean() - expected) < 4 * found.std() / draws**0.5


@pytest.mark.parametrize("hidden", [(5,), (16, 16, 16), (64,) * 8])
def test_without_biases_all_breakpoints_are_at_zero(hidden):
    network = initial([1, *hidden, 1], "he", seed=0)
    found = along(network, -1.0, 1.0)
    assert found.regions == 2 and found.boundaries.tolist() == [0.5]
    assert along(network, -1.0, 0.7).regions == 2 and along(network, 0.1, 0.7).regions == 1


@pytest.mark.parametrize("widths, most", [((2, 2, 2), 27), ((8, 8, 8), 729), ((32, 32, 32), 35937)])
def test_the_largest_number_of_regions(widths, most):
    assert most_regions(widths) == most
    assert along(initial([1, *widths, 1], "default", seed=0), -1.0, 1.0).regions <= most


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("init, bias_sd", [("default", 0.0), ("he", 0.1)])
def test_permuting_and_rescaling_neurons_changes_nothing(seed, init, bias_sd):
    rng = np.random.default_rng(seed)
    network = initial([3, 12, 10, 8, 2], init, seed, bias_sd)
    weights = [layer.weight.copy() for layer in network.layers]
    biases = [layer.bias[0].copy() for layer in network.layers]
    for layer in range(3):
        order, factor = rng.permutation(len(biases[layer])), 2.0 ** rng.integers(-3, 4, len(biases[layer]))
        weights[layer], biases[layer] = weights[layer][order] * factor[:, None], biases[layer][order] * factor
        weights[layer + 1] = weights[layer + 1][:, order] / factor
    start, end = rng.standard_normal((2, 3))
    one, other = (along(n, start, end) for n in (network, Network.of(weights, biases)))
    assert (one.regions, one.pieces) == (other.regions, other.pieces) and one.regions >= one.pieces
    np.testing.assert_allclose(one.boundaries, other.boundaries, atol=1e-12)
    np.testing.assert_allclose(one.slopes, other.slopes, atol=1e-12)


def test_variation_is_the_sum_of_slopes_times_lengths_and_what_a_fine_grid_sees():
    network = initial([2, 8, 8, 1], "he", 3, 0.5)
    start, end = np.array([-2.0, 1.0]), np.array([2.0, -0.5])
    found = along(network, start, end, neurons=True)
    lengths = np.diff(np.r_[0.0, found.breakpoints, 1.0])
    s = np.linspace(0, 1, 200_001)[:, None]
    x = start + s * (end - start)
    seen = np.abs(np.diff(network(x)[:, 0])).sum()
    assert (np.abs(found.slopes[:, 0]) * lengths).sum() == pytest.approx(seen, rel=1e-4)
    for layer, one in enumerate(network.hidden):
        z = x @ one.weight.T + one.bias[0]
        np.testing.assert_allclose(found.neurons.variation[layer][0], np.abs(np.diff(z, axis=0)).sum(0), rtol=1e-4)
        steepest = np.abs(np.diff(z, axis=0)).max(0) * 200_000
        np.testing.assert_allclose(found.neurons.steepest[layer][0], steepest, rtol=1e-5)
        assert np.array_equal(found.neurons.active[layer][0], (z > 0).any(0))
        assert np.array_equal(found.neurons.crossing[layer][0], (z > 0).any(0) & (z < 0).any(0))
        x = np.maximum(z, 0)


def test_the_pieces_are_the_function():
    network = initial([4, 16, 16, 3], "default", 5)
    start, end = np.random.default_rng(5).standard_normal((2, 4))
    found, s = along(network, start, end), np.random.default_rng(6).random(500)
    np.testing.assert_allclose(found(s), network(start + s[:, None] * (end - start)), atol=1e-12)
    assert found.points.shape == (found.pieces - 1, 4) and (np.diff(found.boundaries) >= 0).all()
