import pytest
import torch
import torch.nn.functional as F

from kinks.precision import Precision, fingerprint, fixed, linear, named

SIZES = (64, 784, 32)


def operands(dtype, seed=0):
    g = torch.Generator().manual_seed(seed)
    rows, inner, out = SIZES
    x, w, b = (
        torch.rand(rows, inner, generator=g),
        torch.rand(out, inner, generator=g),
        torch.rand(out, generator=g),
    )
    return x.to(dtype), ((w - 0.5) / 14).to(dtype), ((b - 0.5) / 14).to(dtype)


@pytest.mark.parametrize("name", ["fp32", "fp64"])
def test_wide_formats_are_torch_itself(name):
    precision = named(name)
    x, w, b = operands(precision.storage)
    assert torch.equal(linear(x, w, b, precision), F.linear(x, w, b))


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_emulation_rounds_the_exact_product_once(name):
    # In float64 products of 16-bit numbers and their sums here are exact to far below half a 16-bit ulp, so the
    # correctly rounded result is known; fp32 accumulation may miss it only next to a rounding boundary.
    precision = named(name)
    assert precision.emulated
    x, w, b = operands(precision.storage)
    exact = F.linear(x.double(), w.double(), b.double())
    ours = linear(x, w, b, precision)
    assert (ours == exact.to(precision.storage)).float().mean() > 0.99
    ulp = exact.abs().clamp_min(1e-6) * torch.finfo(precision.storage).eps
    assert ((ours.double() - exact).abs() <= 0.51 * ulp + 1e-7).all()


@pytest.mark.parametrize("name", ["fp16", "bf16"])
def test_emulation_agrees_with_native_kernels_up_to_summation_order(name):
    emulated, native = named(name), Precision(name)
    x, w, b = operands(emulated.storage)
    ours, theirs = linear(x, w, b, emulated), linear(x, w, b, native)
    assert (ours == theirs).float().mean() > 0.98  # measured 0.998 to 0.9995 for fp16
    assert torch.allclose(ours.float(), theirs.float(), rtol=0, atol=float(ours.float().abs().max()) * 2**-7)


@pytest.mark.parametrize("name", ["fp16", "bf16"])
@pytest.mark.parametrize("bias", ["accumulator", "after_rounding"])
def test_emulated_gradients_are_rounded_products(name, bias):
    precision = named(name, bias)
    x, w, b = (t.requires_grad_() for t in operands(precision.storage))
    upstream = torch.linspace(-1, 1, 64 * 32).reshape(64, 32).to(precision.storage)
    linear(x, w, b, precision).backward(upstream)
    wide = upstream.float()
    assert torch.equal(x.grad, (wide @ w.float()).to(x.dtype))
    assert torch.equal(w.grad, (wide.T @ x.float()).to(x.dtype))
    assert torch.equal(b.grad, wide.sum(0).to(x.dtype))


def test_bias_after_rounding_rounds_twice():
    once, twice = named("fp16"), named("fp16", "after_rounding")
    x, w, b = operands(torch.float16)
    product = F.linear(x.float(), w.float()).half()
    assert torch.equal(linear(x, w, b, twice), product + b)
    assert not torch.equal(linear(x, w, b, once), linear(x, w, b, twice))


def test_fixed_sets_and_restores_the_switches():
    torch.backends.cuda.matmul.allow_tf32 = True
    before = torch.get_num_threads()
    with fixed(named("fp32"), threads=1):
        assert not torch.backends.cuda.matmul.allow_tf32
        assert torch.get_num_threads() == 1 and torch.backends.cudnn.deterministic
    assert torch.backends.cuda.matmul.allow_tf32 and torch.get_num_threads() == before
    torch.backends.cuda.matmul.allow_tf32 = False


def test_fingerprint_repeats_and_names_the_arithmetic():
    first, second = fingerprint(), fingerprint()
    assert first == second and len(first["arithmetic"]) == 16


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: named("fp8"), "precision is 'fp8'; allowed: fp64, fp32, fp16, bf16"),
        (lambda: named("fp16", bias="last"), "bias placement is 'last'"),
        (lambda: Precision("fp32", emulated=True), "computed natively"),
        (lambda: Precision("fp16", emulated=True, autocast=True), "autocast cannot be emulated"),
        (lambda: linear(*operands(torch.float32), named("fp16")), "fp16 stores torch.float16"),
    ],
)
def test_bad_precisions_are_one_clear_line(make, message):
    with pytest.raises((ValueError, TypeError), match=message) as error:
        make()
    assert "\n" not in str(error.value)
