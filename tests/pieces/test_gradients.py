"""Gradients in formats, in float64 and in exact rationals; descent with and without noise."""

import numpy as np
import pytest
import torch
from torch import nn

from kinks.pieces import along
from kinks.pieces.arithmetic import Arithmetic, named
from kinks.pieces.descent import descent
from kinks.pieces.gradients import curvature, exact_gradients, gradients, network, parameters
from kinks.pieces.initial import initial
from kinks.pieces.noise import theta
from kinks.pieces.sawtooth import rational_sample, sawtooth, tooth

WIDE = named("fp64")


def close(one, other):
    """torch.testing does the same, but loads for seconds."""
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


def module(found):
    parts = []
    for weight, bias in found:
        layer = nn.Linear(*weight.shape[::-1], dtype=torch.float64)
        layer.weight.data, layer.bias.data = weight.clone(), bias.clone()
        parts += [layer, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def data(inputs, seed=0):
    x = torch.from_numpy(np.random.default_rng(seed).random((40, inputs)))
    return x, torch.sin(6 * x.sum(1, keepdim=True))


def test_gradients_in_float64_are_those_of_autograd():
    start, (x, y) = parameters(initial([3, 9, 7, 1], "default", 0), WIDE), data(3)
    model = module(start)
    nn.functional.mse_loss(model(x), y).backward()
    found, outputs = gradients(start, x, y, WIDE)
    for ours, theirs in zip([one for pair in found for one in pair], model.parameters(), strict=True):
        close(ours, theirs.grad)
    close(outputs, model(x).detach())


def test_cross_entropy_gradients_are_those_of_autograd():
    start, (x, _) = parameters(initial([3, 9, 4], "default", 1), WIDE), data(3)
    labels, model = torch.arange(40) % 4, module(start)
    nn.functional.cross_entropy(model(x), labels).backward()
    found, _ = gradients(start, x, labels, WIDE, "cross_entropy")
    for ours, theirs in zip([one for pair in found for one in pair], model.parameters(), strict=True):
        close(ours, theirs.grad)
    with pytest.raises(ValueError, match="loss is 'absolute'"):
        gradients(start, x, labels, WIDE, "absolute")


def test_float64_is_within_its_rounding_of_exact_rationals_and_sixteen_bits_are_not():
    levels = 4
    x, y = rational_sample(20, levels, "bounded", seed=0, bits=10)
    y = [one + place**2 / 10 for one, place in zip(y, x, strict=True)]
    start = sawtooth(levels, "bounded")
    exact = exact_gradients(start, x, y)
    points = torch.tensor([[float(one)] for one in x], dtype=torch.float64)
    targets = torch.tensor([[float(one)] for one in y], dtype=torch.float64)
    errors = {}
    for arithmetic in (WIDE, named("fp32"), named("fp16"), Arithmetic("fp16", "fp16"), named("bf16")):
        found, _ = gradients(parameters(start, arithmetic), points, targets, arithmetic)
        pairs = [(ours[1].double().numpy(), true.astype(float)) for ours, true in zip(found, exact, strict=True)]
        largest = max(np.abs(true).max() for _, true in pairs)
        errors[arithmetic] = max(np.abs(ours - true).max() for ours, true in pairs) / largest / arithmetic.roundoff
    assert all(0 < error < 300 for error in errors.values()), errors


def test_copies_are_computed_together():
    one, other = initial([1, 5, 5, 1], "default", 0), initial([1, 5, 5, 1], "default", 1)
    both = [tuple(torch.stack(pair) for pair in zip(*layers, strict=True))
            for layers in zip(parameters(one, WIDE), parameters(other, WIDE), strict=True)]  # fmt: skip
    x, y = data(1)
    found, outputs = gradients(both, x, y, WIDE)
    for k, alone in enumerate((one, other)):
        expected, own = gradients(parameters(alone, WIDE), x, y, WIDE)
        close(outputs[k], own)
        for (weight, bias), (w, b) in zip(found, expected, strict=True):
            close(weight[k], w)
            close(bias[k], b)
    assert np.array_equal(network(both, 1).layers[1].weight, other.layers[1].weight)


def textbook(rule, slopes, size):
    """The total of the updates for the gradients met so far, from the rule written as sums over the past."""
    past, total = len(slopes), 0.0
    for t in range(1, past + 1):
        if rule == "descent":
            update = slopes[t - 1]
        elif rule == "momentum":
            update = sum(0.9 ** (t - 1 - k) * slopes[k] for k in range(t))
        else:
            mean = sum(0.1 * 0.9 ** (t - 1 - k) * slopes[k] for k in range(t)) / (1 - 0.9**t)
            square = sum(0.001 * 0.999 ** (t - 1 - k) * slopes[k] ** 2 for k in range(t)) / (1 - 0.999**t)
            update = mean / (square.sqrt() + 1e-8)
        total = total + size * update
    return total


@pytest.mark.parametrize("rule", ["descent", "momentum", "adam"])
def test_steps_are_those_of_the_textbook(rule):
    start, (x, y) = parameters(initial([2, 6, 1], "default", 2), WIDE), data(2)
    steps, found, met = descent(start, x, y, 0.05, WIDE, rule=rule), start, []
    for _ in range(4):
        met.append(gradients(found, x, y, WIDE)[0])
        found = next(steps)
        for layer, pair in enumerate(start):
            for kind in (0, 1):
                close(pair[kind] - found[layer][kind], textbook(rule, [one[layer][kind] for one in met], 0.05))


def test_noise_of_a_step_is_keyed_by_seed_and_step_and_leaves_weights_alone():
    start, (x, y) = initial([1, 6, 6, 1], "default", 0), data(1)
    seeds, delta = [5, 9], 0.25
    plain = next(descent(parameters(start, WIDE), x, y, 0.1, WIDE))
    noisy = next(descent(parameters(start, WIDE, 2), x, y, 0.1, WIDE, delta=delta, seeds=seeds, first_step=7))
    for layer, ((weight, bias), (w, b)) in enumerate(zip(noisy, plain, strict=True)):
        close(weight, w.expand(2, *w.shape))
        update = b - torch.from_numpy(start.layers[layer].bias[0])
        noise = delta * theta(np.array(seeds)[:, None], 7, layer, np.arange(len(b))) if layer < 2 else 0.0
        close(bias, b + update * torch.as_tensor(noise) + torch.zeros(2, 1))
    with pytest.raises(ValueError, match="1 seeds for biases"):
        next(descent(parameters(start, WIDE, 2), x, y, 0.1, WIDE, delta=delta, seeds=[1]))


def test_dyadic_inputs_and_exact_targets_leave_the_sawtooth_still_in_float64_alone():
    """The first trap of K4c: residuals are exact zeros in the format of the data, which looks like an effect of it."""
    levels, moved = 6, {}
    x = torch.from_numpy(np.random.default_rng(0).random((256, 1)))
    y = torch.from_numpy(tooth(x.numpy(), levels))
    for name in ("fp16", "fp32", "fp64"):
        steps = descent(parameters(sawtooth(levels), named(name)), x, y, 1e-3, named(name))
        final = [next(steps) for _ in range(30)][-1]
        moved[name] = along(network(final), 0.0, 1.0).pieces
    assert moved["fp64"] == 2**levels and moved["fp16"] != 2**levels and moved["fp32"] != 2**levels
    exact_x, exact_y = rational_sample(256, levels, "unit", seed=0)
    x, y = (torch.tensor([[float(one)] for one in values], dtype=torch.float64) for values in (exact_x, exact_y))
    found, _ = gradients(parameters(sawtooth(levels), WIDE), x, y, WIDE)
    assert any(bias.any() for _, bias in found)


def test_the_curvature_is_the_largest_eigenvalue_of_the_gauss_newton_matrix():
    start, (x, _) = parameters(initial([2, 5, 4, 1], "default", 3), WIDE), data(2)
    model = module(start)
    rows = []
    for one in x:
        slopes = torch.autograd.grad(model(one[None])[0, 0], list(model.parameters()))
        rows.append(torch.cat([slope.flatten() for slope in slopes]))
    jacobian = torch.stack(rows)
    expected = torch.linalg.eigvalsh(2 / len(x) * jacobian.T @ jacobian)[-1]
    assert curvature(start, x) == pytest.approx(float(expected))
    points = torch.from_numpy(np.random.default_rng(0).random((256, 1)))
    for levels in (4, 6, 8):
        assert 7 < curvature(parameters(sawtooth(levels), WIDE), points) / 4**levels < 11


def test_networks_that_gradients_do_not_know_are_refused():
    several = sawtooth(2).with_biases([np.zeros((2, 2)), np.zeros((2, 2))])
    with pytest.raises(ValueError, match="one draw with ReLUs after all layers but the last"):
        parameters(several, WIDE)
