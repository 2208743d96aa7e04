"""Networks under a precision model: the wide formats are torch itself, the 16-bit ones round each product once."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinks.nets.precise import Conv2d, Linear, at, loss
from kinks.nets.registry import build
from kinks.precision import Precision, conv2d, fixed, named

NAMES = ("fp64", "fp32", "fp16", "bf16")


def operands(dtype):
    g = torch.Generator().manual_seed(0)
    x, w, b = (torch.randn(size, generator=g) for size in ((4, 6, 10, 10), (8, 6, 3, 3), (8,)))
    return x.to(dtype), (w / 7).to(dtype), b.to(dtype)


@pytest.mark.parametrize("name", ["fp32", "fp64"])
def test_a_wide_convolution_is_torch_itself(name):
    x, w, b = operands(named(name).storage)
    assert torch.equal(conv2d(x, w, b, named(name), padding=1), F.conv2d(x, w, b, padding=1))
    late = conv2d(x, w, b, named(name, "after_convolution"), padding=1)
    assert torch.equal(late, F.conv2d(x, w, padding=1) + b[:, None, None])


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_an_emulated_convolution_rounds_the_exact_sum_once(name):
    precision = named(name)
    x, w, b = operands(precision.storage)
    exact = F.conv2d(x.double(), w.double(), b.double(), padding=1)
    ours = conv2d(x, w, b, precision, padding=1)
    assert (ours == exact.to(precision.storage)).float().mean() > 0.99
    ulp = exact.abs().clamp_min(1e-5) * torch.finfo(precision.storage).eps
    assert ((ours.double() - exact).abs() <= 0.51 * ulp + 1e-6).all()


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_a_late_bias_is_a_second_rounding(name):
    precision = named(name, "after_convolution")
    x, w, b = operands(precision.storage)
    product = F.conv2d(x.float(), w.float(), padding=1).to(precision.storage)
    assert torch.equal(conv2d(x, w, b, precision, padding=1), product + b[:, None, None])


@pytest.mark.parametrize("stride", [1, (2, 1)])
@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_emulated_gradients_are_rounded_sums(name, stride):
    precision = named(name)
    x, w, b = (t.requires_grad_() for t in operands(precision.storage))
    y = conv2d(x, w, b, precision, stride=stride, padding=1)
    upstream = torch.linspace(-1, 1, y.numel()).reshape(y.shape).to(y.dtype)
    ours = torch.autograd.grad(y, (x, w, b), upstream)
    wide = [t.detach().float().requires_grad_() for t in (x, w, b)]
    theirs = torch.autograd.grad(F.conv2d(*wide, stride, 1), wide, upstream.float())
    assert all(torch.equal(a, c.to(precision.storage)) for a, c in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_network_keeps_its_names_and_computes_in_its_format(name, batch_norm):
    precision = named(name)
    plain = build("lenet5", batch_norm=batch_norm, seed=1)
    ours = at(build("lenet5", batch_norm=batch_norm, seed=1), precision)
    assert list(ours.state_dict()) == list(plain.state_dict())
    assert isinstance(ours[0], Conv2d) and isinstance(ours[-1], Linear) and repr(ours[0]) == repr(plain[0])
    x, labels = torch.rand(4, 1, 28, 28, generator=torch.Generator().manual_seed(0)), torch.arange(4)
    with fixed(precision):
        value = loss(ours(x.to(precision.storage)), labels)
        value.backward()
    value = value.detach()
    assert value.dtype == precision.storage and ours[0].weight.grad.dtype == precision.storage
    reference = loss(plain.double()(x.double()), labels).detach()
    assert abs(float(value) - float(reference)) < 100 * torch.finfo(precision.storage).eps
    if name == "fp64":
        assert torch.equal(value, reference)


def test_emulation_agrees_with_a_native_kernel_up_to_the_order_of_summation():
    x, w, b = operands(torch.float16)
    ours, theirs = conv2d(x, w, b, named("fp16"), padding=1), F.conv2d(x, w, b, padding=1)
    assert (ours == theirs).float().mean() > 0.98


def test_other_padding_autocast_and_wrong_formats_are_refused():
    with pytest.raises(ValueError, match="pads with"):
        at(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), named("fp32"))
    with pytest.raises(ValueError, match="autocast"):
        at(nn.Sequential(nn.Linear(1, 1)), Precision("fp16", autocast=True))
    with pytest.raises(TypeError, match=r"the input is torch\.float32; fp16 stores torch\.float16"):
        at(nn.Sequential(nn.Conv2d(1, 1, 3)), named("fp16"))(torch.zeros(1, 1, 4, 4))


@pytest.mark.parametrize("training", [True, False])
def test_emulated_batch_norm_keeps_its_statistics_in_fp32_and_rounds_once(training):
    x = torch.randn(64, 5, 6, 6, generator=torch.Generator().manual_seed(0)).half()
    ours = at(nn.Sequential(nn.BatchNorm2d(5)), named("fp16")).train(training)
    wide = nn.BatchNorm2d(5).train(training)
    assert torch.equal(ours(x), wide(x.float()).half())
    assert torch.equal(ours[0].running_mean, wide.running_mean.half()) and ours[0].weight.dtype == torch.float16
    assert ours[0].num_batches_tracked == wide.num_batches_tracked
    native = nn.BatchNorm2d(5).half().train(training)
    assert torch.allclose(ours(x).float(), native(x).float(), atol=0.02)


def test_sixteen_bit_statistics_would_make_zeros_that_fp32_ones_do_not():
    generator, ours, native = torch.Generator().manual_seed(0), 0, 0
    norm, plain = at(nn.Sequential(nn.BatchNorm2d(64)), named("fp16")), nn.BatchNorm2d(64).half()
    for _ in range(4):
        x = (0.3 * torch.randn(128, 64, 8, 8, generator=generator)).half()
        ours, native = ours + int((norm(x) == 0).sum()), native + int((plain(x) == 0).sum())
    assert native > 3 * ours


def test_batch_norm_is_differentiated_in_fp32_and_rounded_once():
    x = torch.randn(32, 4, generator=torch.Generator().manual_seed(0)).bfloat16().requires_grad_()
    ours, wide = at(nn.Sequential(nn.BatchNorm1d(4)), named("bf16")), nn.BatchNorm1d(4)
    upstream = torch.linspace(-1, 1, x.numel()).reshape(x.shape).bfloat16()
    given = torch.autograd.grad(ours(x), (x, ours[0].weight, ours[0].bias), upstream)
    z = x.detach().float().requires_grad_()
    expected = torch.autograd.grad(wide(z), (z, wide.weight, wide.bias), upstream.float())
    assert all(torch.equal(a, b.bfloat16()) for a, b in zip(given, expected, strict=True))
