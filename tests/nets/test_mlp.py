from itertools import pairwise

import pytest
import torch
from torch import nn

from kinks.nets import MLP, draw, module


@pytest.mark.parametrize("sizes", [(784, 256, 256, 256, 10), (784, 16, 10), (784, 2000, 128, 10), (7, 5, 3, 2)])
def test_draw_is_torch_default_start_bit_for_bit(sizes):
    state = torch.get_rng_state()
    layers = draw(MLP(sizes), seed=11)
    assert torch.equal(state, torch.get_rng_state())
    with torch.random.fork_rng():
        torch.manual_seed(11)
        theirs = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    for (weight, bias), layer in zip(layers, theirs, strict=True):
        assert torch.equal(weight, layer.weight) and torch.equal(bias, layer.bias)


def test_deeper_networks_share_their_first_layers():
    shallow, deep = draw(MLP.of(2, 32), 5), draw(MLP.of(6, 32), 5)
    for (a, b), (c, d) in zip(shallow[:2], deep[:2], strict=True):
        assert torch.equal(a, c) and torch.equal(b, d)


def test_published_network_lacks_its_first_relu():
    parts = [type(part).__name__ for part in module(MLP.of(3, 8, first_relu=False), 0)]
    assert parts == ["Linear", "Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_headline_network_has_the_papers_parameter_count():
    assert sum(p.numel() for p in module(MLP.of(3, 256), 0).parameters()) == 335_114
    assert sum(p.numel() for p in module(MLP((784, 2000, 128, 10)), 0).parameters()) == 1_827_418


def test_bad_sizes_are_refused():
    with pytest.raises(ValueError, match="each at least 1"):
        MLP((784, 0, 10))
