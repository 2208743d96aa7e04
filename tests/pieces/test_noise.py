"""Noise that is a function of (seed, step, layer, neuron), and the bounds that it obeys."""

from math import inf

import numpy as np
import pytest
import torch

from kinks.pieces import Network, counts
from kinks.pieces.arithmetic import named
from kinks.pieces.bounds import crossing_bound, persistence, polynomial_bound, update_bound
from kinks.pieces.descent import perturbed
from kinks.pieces.gradients import gradients, parameters
from kinks.pieces.initial import initial
from kinks.pieces.noise import philox, shaken, theta, thetas
from kinks.pieces.sawtooth import sawtooth

PI = ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0))


@pytest.mark.parametrize(
    "counter, key, words",
    [
        ((0,) * 4, (0,) * 2, (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((2**32 - 1,) * 4, (2**32 - 1,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (*PI, (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ],
)
def test_the_generator_gives_the_published_answers(counter, key, words):
    assert tuple(philox(counter, key).tolist()) == words


def test_noise_depends_on_its_key_alone():
    wide = thetas([4, 8], range(10), step=3)
    narrow = thetas([2, 3], [7], step=3)
    assert np.array_equal(wide[0][7, :2], narrow[0][0]) and np.array_equal(wide[1][7, :3], narrow[1][0])
    seeds, steps, layers, neurons = np.ogrid[0:5, 0:5, 0:5, 0:5]
    assert len(np.unique(theta(seeds, steps, layers, neurons))) == 5**4
    assert theta(0, 0, 0, 0, 1) != theta(0, 0, 0, 0)
    with pytest.raises(ValueError, match="from 0 to 2"):
        theta(2**32, 0, 0, 0)


def test_noise_is_uniform_and_independent_between_neighbours():
    noise = theta(np.arange(300)[:, None], 0, 0, np.arange(300))
    assert noise.min() >= -0.5 and noise.max() < 0.5
    assert abs(noise.mean()) < 4 / 300 / 12**0.5 and noise.var() == pytest.approx(1 / 12, rel=0.02)
    for one, other in ((noise[1:], noise[:-1]), (noise[:, 1:], noise[:, :-1])):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 4 / 300


def test_levels_of_noise_are_paired():
    one, other = (shaken(sawtooth(3), eta, [1, 2]).hidden[1].bias for eta in (0.25, 0.5))
    plain = sawtooth(3).hidden[1].bias
    np.testing.assert_allclose(other - plain, 2 * (one - plain), atol=1e-15)


@pytest.mark.parametrize("levels", [3, 8])
def test_the_crossing_lemma_is_an_equality_for_a_level_uniform_over_the_range(levels):
    """A tent map, applied L times, meets a level uniform on [0, 1] exactly 2^L times: that is its variation."""
    tent = sawtooth(levels)
    last = tent.layers[-1].weight
    weights = [*(layer.weight for layer in tent.hidden), last, [[1.0]]]
    network = Network.of(weights, [*(layer.bias[0] for layer in tent.hidden), [0.0], [0.0]])
    levels_met = 0.5 + theta(np.arange(50), 0, 0, 0)
    draws = network.with_biases([*(layer.bias for layer in tent.hidden), -levels_met[:, None]])
    found = counts(draws, 0.0, 1.0, neurons=True)
    assert set((found.regions - 2**levels).tolist()) == {2**levels}
    assert found.neurons.variation[-1].tolist() == [[2.0**levels]] * 50


@pytest.mark.parametrize("hidden, width, delta", [(2, 8, 1.0), (4, 32, 0.1), (8, 8, 0.01)])
def test_mean_regions_after_a_perturbed_update_stay_below_the_bound(hidden, width, delta):
    network, wide, step = initial([1, *[width] * hidden, 1], "default", seed=0), named("fp64"), 0.01
    x = torch.linspace(0, 1, 256, dtype=torch.float64)[:, None]
    found, _ = gradients(parameters(network, wide), x, torch.sin(2 * torch.pi * x), wide)
    weights, biases = ([-step * one[k].numpy() for one in found] for k in (0, 1))
    draws = perturbed(network, weights, biases, delta, range(30))
    counted = counts(draws, 0.0, 1.0, neurons=True)
    bound = update_bound(counted.neurons, biases[:-1], delta)
    assert counted.regions.mean() <= bound < inf
    update = biases[0] * (1 + delta * theta(np.arange(30)[:, None], 0, 0, np.arange(width)))
    assert np.array_equal(draws.hidden[0].bias, network.hidden[0].bias + update)
    assert np.array_equal(draws.layers[-1].bias[0], network.layers[-1].bias[0] + biases[-1])


def test_a_neuron_without_noise_that_changes_sign_has_no_bound():
    found = counts(sawtooth(2), 0.0, 1.0, neurons=True).neurons
    assert crossing_bound(found, [1.0, 1.0]) == 1 + 1 + 1 + 2 + 2
    assert crossing_bound(found, [1.0, [1.0, 0.0]]) == inf
    assert crossing_bound(found, [[0.0, 1.0], 1.0]) == 1 + 1 + 2 + 2, "its touch of zero at the end is no crossing"


def test_the_bounds_in_closed_form():
    common = {"slope": 2.0, "reciprocal": 5.0, "length": 1.0, "hidden_layers": 3, "width": 10}
    assert polynomial_bound(**common, delta=0.1, power=1.0) == pytest.approx(1 + 2 * 5 / 0.1 * 3 * 100)
    assert persistence(10.0, 40.0, 3) == pytest.approx(1 / 64) and persistence(10.0, 5.0, 3) == 1.0
