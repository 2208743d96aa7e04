"""Perceptrons and divided networks by name, and dropout from a seed."""

import pytest
import torch
from torch import nn

from kinks.nets.dropout import Dropout
from kinks.nets.mlp import MLP, draw
from kinks.nets.registry import architecture, build


def size(name, **words):
    model = build(name, **{"batch_norm": False, "seed": 0} | words)
    return sum(weight.numel() for weight in model.parameters())


def test_the_published_perceptron_has_its_size():
    assert size("mlp 3x2048") == 10_020_874 and size("mlp 3x256") == 335_114


def test_perceptrons_start_as_those_of_the_volumes():
    ours = list(build("mlp 3x16", batch_norm=False, seed=5).parameters())
    theirs = [tensor for layer in draw(MLP.of(3, 16), 5) for tensor in layer]
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_batch_norm_comes_before_each_relu_and_dropout_after_it():
    layers = [type(layer) for layer in build("mlp 2x8", batch_norm=True, seed=0, dropout=0.3)]
    hidden = [nn.Linear, nn.BatchNorm1d, nn.ReLU, Dropout]
    assert layers == [nn.Flatten, *hidden, *hidden, nn.Linear]
    bare = [type(layer) for layer in build("mlp 1x8", batch_norm=False, seed=0)]
    assert bare == [nn.Flatten, nn.Linear, nn.ReLU, nn.Linear]


@pytest.mark.parametrize(("name", "whole"), [("vgg11/8", "vgg11"), ("resnet18-2x2/8", "resnet18-2x2")])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_divided_networks_have_the_same_layers_with_fewer_channels(name, whole, batch_norm):
    small, large = (build(one, batch_norm=batch_norm, seed=0) for one in (name, whole))
    assert [type(layer) for layer in small.modules()] == [type(layer) for layer in large.modules()]
    pairs = zip(small.modules(), large.modules(), strict=True)
    channels = [(a.out_channels, b.out_channels) for a, b in pairs if isinstance(a, nn.Conv2d)]
    assert all(8 * few == many for few, many in channels)
    assert small(torch.zeros(2, *architecture(name).image)).shape == (2, 10)


def test_a_divisor_of_one_changes_nothing():
    pairs = zip(*(build(name, batch_norm=False, seed=1).parameters() for name in ("vgg11/1", "vgg11")), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("vgg11/7", "channels are divided by 7; allowed: 2, 4, 8"),
        ("vgg11/x", "channels are divided by x"),
        ("lenet5/2", "no network is called 'lenet5/2'"),
        ("mlp 0x5", "'mlp LAYERSxNEURONS'"),
    ],
)
def test_wrong_names_say_what_is_allowed(name, says):
    with pytest.raises(ValueError, match=says):
        architecture(name)


def test_only_perceptrons_have_dropout():
    with pytest.raises(ValueError, match=r"vgg11: dropout is 0\.5; only perceptrons"):
        build("vgg11", batch_norm=False, seed=0, dropout=0.5)
    with pytest.raises(ValueError, match="share is 1; allowed"):
        Dropout(1)


def test_dropout_draws_from_its_generator_in_fp32_and_follows_the_order():
    layer, x = Dropout(0.25), torch.ones(2000, 5)
    layer.generator = torch.Generator().manual_seed(0)
    first = layer(x)
    assert set(first.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
    assert (first == 0).double().mean() == pytest.approx(0.25, abs=0.02)
    layer.generator.manual_seed(0)
    assert torch.equal(layer(x.half()) == 0, first == 0)
    layer.generator.manual_seed(0)
    layer.order = torch.arange(2000).flip(0)
    assert torch.equal(layer(x), first.flip(0)) and torch.equal(layer.eval()(x), x)
