"""16-bit layers with fp32 weights are what torch.autocast does, up to the order of summation and the CPU's kernels."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinks.nets.autocast import Conv2d, Linear, autocast
from kinks.nets.registry import build
from kinks.precision import Precision, named

FORMATS = {"fp16": torch.float16, "bf16": torch.bfloat16}


def networks(name, network="lenet5", batch_norm=False):
    plain = build(network, batch_norm=batch_norm, seed=1)
    return plain, autocast(build(network, batch_norm=batch_norm, seed=1), named(name, "after_convolution"))


def images(network="lenet5"):
    shape = (8, 1, 28, 28) if network == "lenet5" else (8, 3, 32, 32)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)), torch.arange(8)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("network", ["lenet5", "resnet18-2x2/16"])
def test_training_agrees_with_torch_autocast(name, network):
    plain, ours = networks(name, network)
    x, labels = images(network)
    with torch.autocast("cpu", FORMATS[name]):
        expected = plain(x)
        F.cross_entropy(expected.float(), labels).backward()
    found = ours(x)
    F.cross_entropy(found.float(), labels).backward()
    assert found.dtype == expected.dtype == FORMATS[name]
    eps = torch.finfo(FORMATS[name]).eps
    assert torch.allclose(found.float(), expected.float(), atol=8 * eps, rtol=8 * eps)
    for (label, one), other in zip(ours.named_parameters(), plain.parameters(), strict=True):
        assert one.grad.dtype == other.grad.dtype == torch.float32, label
        apart = float((one.grad - other.grad).norm() / other.grad.norm())
        assert apart < 40 * eps, (label, apart)


@pytest.mark.parametrize("name", FORMATS)
def test_evaluation_is_the_fp32_network(name):
    plain, ours = networks(name, batch_norm=True)
    x, _ = images()
    assert torch.equal(ours.eval()(x), plain.eval()(x))


def test_a_layer_rounds_its_weights_and_its_output_and_batch_norm_stays_in_fp32():
    model = autocast(nn.Sequential(nn.Linear(5, 3), nn.BatchNorm1d(3)), named("fp16"))
    x = torch.randn(7, 5, generator=torch.Generator().manual_seed(0))
    linear, norm = model
    half = F.linear(x.half().float(), linear.weight.half().float(), linear.bias.half().float()).half()
    assert isinstance(linear, Linear) and torch.equal(linear(x), half)
    expected = nn.BatchNorm1d(3)(half.float()).half()
    assert torch.equal(model(x), expected) and norm.running_mean.dtype == torch.float32


def test_other_precisions_and_paddings_are_refused():
    with pytest.raises(ValueError, match="precision is fp32; allowed: fp16, bf16"):
        autocast(nn.Sequential(nn.Linear(1, 1)), Precision("fp32"))
    with pytest.raises(ValueError, match="pads with"):
        autocast(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), named("fp16"))
    assert isinstance(autocast(nn.Sequential(nn.Conv2d(1, 1, 3)), named("bf16"))[0], Conv2d)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", FORMATS)
def test_on_a_gpu_it_is_torch_autocast_bit_for_bit(name):
    plain = build("lenet5", batch_norm=True, seed=1).cuda()
    ours = autocast(build("lenet5", batch_norm=True, seed=1), named(name, "after_convolution", "cuda"), "cuda")
    x, _ = images()
    with torch.autocast("cuda", FORMATS[name]):
        expected = plain(x.cuda())
    assert torch.equal(ours(x.cuda()), expected)
