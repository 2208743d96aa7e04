"""Counts equal those of exact rationals, whatever coincides, cancels or is smaller than float64 sees."""

from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest

from kinks.pieces import Layer, Network, along, counts
from kinks.pieces.rational import rational

KINDS = ("normal", "integers", "tenths", "no biases", "few biases", "duplicates", "half precision", "far apart")


def random_case(kind, rng):
    """A small network of any depth, not always with a ReLU between its maps, and two inputs."""
    inputs, outputs = rng.integers(1, 4), rng.integers(1, 3)
    sizes = [int(inputs), *rng.integers(1, 7, size=rng.integers(1, 5)).tolist(), int(outputs)]
    layers = []
    for before, after in pairwise(sizes):
        weight, bias = rng.standard_normal((after, before)), rng.standard_normal(after)
        if kind in ("integers", "tenths"):
            unit = 1.0 if kind == "integers" else 0.1
            weight, bias = rng.integers(-3, 4, (after, before)) * unit, rng.integers(-2, 3, after) * unit
        elif kind == "no biases":
            bias = np.zeros(after)
        elif kind == "few biases":
            bias *= rng.random(after) < 0.3
        elif kind == "duplicates":
            factor = rng.choice([1.0, 2.0, 3.0, 1 / 3], after)
            weight, bias = np.outer(factor, weight[0]), factor * bias[0]
        elif kind == "half precision":
            weight, bias = np.float64(np.float16(weight)), np.float64(np.float16(bias))
        elif kind == "far apart":
            weight *= 10.0 ** rng.integers(-9, 3, weight.shape)
        layers.append(Layer(weight, bias, len(layers) < len(sizes) - 2 and rng.random() < 0.85))
    start, end = rng.standard_normal((2, inputs))
    if rng.random() < 0.5:
        start, end = -np.ones(inputs), np.ones(inputs)
    return Network(tuple(layers)), start, end


@pytest.mark.parametrize("kind", KINDS)
def test_small_random_networks_agree_with_exact_rationals(kind):
    rng = np.random.default_rng(KINDS.index(kind))
    for _ in range(40):
        network, start, end = random_case(kind, rng)
        found = along(network, start, end, at_once=int(rng.choice([1, 16, 2**18])))
        true = rational(network, start, end)
        assert (found.regions, found.pieces) == (len(true.boundaries) + 1, len(true.breakpoints) + 1)
        for position, error, exact in zip(found.boundaries, found.error, true.boundaries, strict=True):
            assert abs(Fraction(position) - exact) <= Fraction(error)
        np.testing.assert_allclose(found.slopes, np.array(true.slopes, dtype=float), rtol=1e-6, atol=1e-9)


def test_three_layers_of_six_agree_with_exact_rationals():
    rng = np.random.default_rng(1)
    for _ in range(20):
        sizes = [1, 6, 6, 6, 1]
        weights = [rng.standard_normal((after, before)) for before, after in pairwise(sizes)]
        network = Network.of(weights, [rng.standard_normal(size) for size in sizes[1:]])
        found, true = along(network, -4.0, 4.0), rational(network, np.array([-4.0]), np.array([4.0]))
        assert (found.regions, found.pieces) == (len(true.boundaries) + 1, len(true.breakpoints) + 1)


def brute_force(network):
    """Regions of two hidden layers on [0, 1]: the second layer's roots for every pattern of the first, exactly."""
    (a, b), (c, d) = ([[Fraction(x) for x in one.ravel()] for one in (n.weight, n.bias)] for n in network.layers[:2])
    roots = [-y / x for x, y in zip(a, b, strict=True) if x]
    rows = [c[k : k + len(a)] for k in range(0, len(c), len(a))]
    for on in product((0, 1), repeat=len(a)):
        for row, bias in zip(rows, d, strict=True):
            slope = sum(o * w * x for o, w, x in zip(on, row, a, strict=True))
            if slope:
                roots.append(-(bias + sum(o * w * y for o, w, y in zip(on, row, b, strict=True))) / slope)
    points = sorted({x for x in roots if 0 < x < 1} | {Fraction(0), Fraction(1)})

    def active(x):
        first = [w * x + y for w, y in zip(a, b, strict=True)]
        second = [
            sum(w * max(z, 0) for w, z in zip(row, first, strict=True)) + y for row, y in zip(rows, d, strict=True)
        ]
        return [z > 0 for z in first + second]

    patterns = [active((left + right) / 2) for left, right in pairwise(points)]
    return 1 + sum(one != other for one, other in pairwise(patterns))


def test_two_hidden_layers_agree_with_brute_force():
    rng = np.random.default_rng(2)
    for _ in range(10):
        weights = [rng.standard_normal(shape) for shape in ((4, 1), (3, 4), (1, 3))]
        network = Network.of(weights, [rng.standard_normal(size) * 0.5 for size in (4, 3, 1)])
        assert along(network, 0.0, 1.0).regions == brute_force(network)


def test_breakpoints_a_rounding_error_apart_are_two_and_coinciding_ones_are_one():
    third = 1 / 3  # rounded: x - third and 3 x - 1 change sign at neighbouring points, not at the same
    apart = Network.of([[[1.0], [3.0]], [[1.0, 1.0]]], [[-third, -1.0], [0.0]])
    assert along(apart, 0.0, 1.0).regions == 3
    together = Network.of([[[1.0], [3.0]], [[1.0, 1.0]]], [[-0.1, -3 * Fraction(0.1)], [0.0]])
    assert Fraction(float(-3 * Fraction(0.1))) != -3 * Fraction(0.1), "3 x 0.1 must be rounded for this test"
    assert along(together, 0.0, 1.0).regions == 3
    exact = Network.of([[[0.1], [0.2]], [[1.0, 1.0]]], [[-0.07, -0.14], [0.0]])
    assert along(exact, 0.0, 1.0).regions == 2
    assert along(exact, 0.0, 1.0).decided_exactly > 0


def test_a_kink_that_the_read_out_cancels_is_a_region_and_no_piece():
    network = Network.of([[[0.1], [0.2]], [[-2.0, 1.0]]], [[-0.03, -0.06], [0.0]])
    found = along(network, 0.0, 1.0)
    assert (found.regions, found.pieces) == (2, 1)


def test_a_neuron_that_only_touches_zero_is_no_region():
    # |x - 0.3| as relu(x - 0.3) + relu(0.3 - x): the next neuron is positive on both sides of its zero.
    network = Network.of([[[1.0], [-1.0]], [[1.0, 1.0]], [[1.0]]], [[-0.3, 0.3], [0.0], [0.0]])
    found = along(network, 0.0, 1.0)
    assert (found.regions, found.pieces) == (2, 2)
    below = Network.of([[[1.0], [-1.0]], [[-1.0, -1.0]], [[1.0]]], [[-0.3, 0.3], [0.0], [0.0]])
    assert along(below, 0.0, 1.0).pieces == 1


def test_a_segment_of_length_zero_is_one_region():
    network = Network.of([np.ones((3, 2)), np.ones((1, 3))], [np.zeros(3), np.zeros(1)])
    assert along(network, [0.3, -0.3], [0.3, -0.3]).regions == 1


def test_draws_counted_together_are_the_networks_counted_alone():
    rng = np.random.default_rng(3)
    weights = [rng.standard_normal((after, before)) for before, after in pairwise([1, 5, 4, 1])]
    network = Network.of(weights, [rng.standard_normal(size) for size in (5, 4, 1)])
    draws = network.with_biases([rng.standard_normal((7, size)) for size in (5, 4)])
    for at_once in (1, 20, 2**18):
        found = counts(draws, -1.0, 1.0, neurons=True, at_once=at_once)
        alone = [along(draws.only(k), -1.0, 1.0, neurons=True) for k in range(7)]
        assert found.regions.tolist() == [one.regions for one in alone]
        assert found.pieces.tolist() == [one.pieces for one in alone]
        for layer in (0, 1):
            expected = np.concatenate([one.neurons.variation[layer] for one in alone])
            np.testing.assert_allclose(found.neurons.variation[layer], expected)


def test_what_overflows_or_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        Network.of([[[np.nan]]], [[0.0]])
    huge = Network.of([[[1e200]], [[1e200]]], [[0.1], [0.0]])
    with pytest.raises(OverflowError, match="beyond 1e150"):
        along(huge, 0.0, 1.0)
    with pytest.raises(ValueError, match="is not finite"):
        along(Network.of([[[1.0]]], [[0.0]]), 0.0, np.inf)
