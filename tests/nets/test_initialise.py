import math

import pytest
import torch
from torch import nn

from kinks.nets.registry import architecture, build, initialise


def of_type(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("name", ["lenet5", "vgg11", "resnet18-3x3", "densenet121"])
def test_default_is_pytorchs_own_start_bit_for_bit(name):
    with torch.random.fork_rng():
        torch.manual_seed(11)
        theirs = architecture(name).make(batch_norm=True, classes=10)
    ours = build(name, batch_norm=True, seed=11, init="default").state_dict()
    for (key, mine), other in zip(ours.items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(mine, other), key


@pytest.mark.parametrize("name", ["lenet5", "resnet18-2x2"])
def test_a_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(name):
    state = torch.get_rng_state()
    first, again, other = (build(name, batch_norm=True, seed=seed) for seed in (5, 5, 6))
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    different = [not torch.equal(a, b) for a, b in zip(first.parameters(), other.parameters(), strict=True)]
    assert sum(different) == len(different) - 2 * len(of_type(first, nn.BatchNorm2d | nn.BatchNorm1d))


def check_normal(weight, deviation):
    """Mean, spread and tail of `weight` are those of N(0, deviation^2), within six standard errors."""
    n = weight.numel()
    assert abs(weight.mean()) < 6 * deviation / math.sqrt(n)
    assert abs(weight.std() / deviation - 1) < 6 / math.sqrt(2 * n)
    assert weight.abs().max() > 2.5 * deviation, "a uniform start would end at 1.73"


def check_uniform(weight, bound):
    """`weight` fills the interval [-bound, bound] and is spread over it as U(-bound, bound) is."""
    assert bound * (1 - 20 / weight.numel()) < weight.abs().max() <= bound * (1 + 1e-6)
    assert abs(weight.std() * math.sqrt(3) / bound - 1) < 3 / math.sqrt(weight.numel())


def test_resnets_start_from_kaiming_normal_by_fan_out():
    net = build("resnet18-3x3", batch_norm=True, seed=2)
    for layer in of_type(net, nn.Conv2d):
        check_normal(layer.weight, math.sqrt(2 / (layer.out_channels * layer.kernel_size[0] ** 2)))
    for norm in of_type(net, nn.BatchNorm2d):  # the last one of a block is not set to zero
        assert torch.all(norm.weight == 1) and torch.all(norm.bias == 0)
    check_uniform(net[-1].weight, 1 / math.sqrt(512))
    assert net[-1].bias.abs().max() > 0


def test_volume_start_of_the_maxpool_paper():
    net = build("vgg11", batch_norm=False, seed=2, init="kaiming_uniform")
    for layer in of_type(net, nn.Conv2d):
        check_uniform(layer.weight, math.sqrt(6 / (layer.in_channels * 9)))
        assert torch.all(layer.bias == 0)
    check_normal(net[-1].weight, 0.01)
    assert torch.all(net[-1].bias == 0)


def test_densenet_starts_from_kaiming_normal_by_fan_in():
    net = build("densenet121", batch_norm=False, seed=2)
    for layer in of_type(net, nn.Conv2d):
        check_normal(layer.weight, math.sqrt(2 / (layer.in_channels * layer.kernel_size[0] ** 2)))
    check_uniform(net[-1].weight, 1 / math.sqrt(1024))
    assert torch.all(net[-1].bias == 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_redraw_is_the_fp32_draw_cast_and_resets_batch_norm(dtype):
    net = build("lenet5", batch_norm=True, seed=0).to(dtype)
    net(torch.ones(2, 1, 28, 28, dtype=dtype))
    assert net[3].num_batches_tracked == 1
    again = initialise(net, "default", seed=7).state_dict()
    fresh = build("lenet5", batch_norm=True, seed=7).to(dtype).state_dict()
    assert again.keys() == fresh.keys() and all(torch.equal(again[key], fresh[key]) for key in fresh)
