"""max_pool2d and tied_windows: the tie census, what is refused and in which words, and the module."""

import pytest
import torch
import torch.nn.functional as F
from pool_cases import INF, NAN, SHAPES, ties
from slow_pool import tie_counts
from slow_reference import DTYPES, lattice, same_bits
from torch.autograd import grad
from torch.func import vmap

from kinks.ops import MaxPool2d, PoolDerivative, PoolSwitch, max_pool2d, tied_windows


@pytest.mark.parametrize("windows", SHAPES, ids=str)
def test_tied_windows_counts_as_the_slow_reference_does(windows):
    for dtype in DTYPES:
        x = ties(dtype)
        x[1, 0, 2, 2:4] = NAN
        counts = tied_windows(x, *windows)
        assert counts.dtype == torch.int32 and torch.equal(counts.long(), tie_counts(x, *windows))
        assert torch.equal(tied_windows(x[0], *windows), counts[0])
    assert torch.equal(vmap(lambda x: tied_windows(x, *windows))(x), counts)


def test_an_input_changed_in_place_after_forward_is_an_error_and_an_output_may_be():
    leaf = lattice((1, 1, 4, 4), torch.float32, 37).requires_grad_()
    x = leaf * 1.0
    out = max_pool2d(x, PoolDerivative(1.0), 2)
    x.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()
    flat = torch.zeros(1, 2, 2, requires_grad=True)
    assert grad(max_pool2d(flat, PoolDerivative(1.0), 2).add_(1.0).sum(), flat)[0].eq(0.25).all()


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.complex64], ids=str)
@pytest.mark.parametrize("call", [lambda x: max_pool2d(x, PoolDerivative(0.0), 2), lambda x: tied_windows(x, 2)])
def test_a_tensor_of_another_dtype_is_refused(call, dtype):
    with pytest.raises(TypeError, match=rf"got a torch.strided tensor of {dtype}; allowed: .*float64"):
        call(torch.zeros(1, 2, 2).to(dtype))


@pytest.mark.parametrize("shape", [(0, 3, 4, 4), (3, 0, 4), (4, 4), (1, 1, 1, 4, 4)], ids=str)
def test_an_empty_batch_and_other_dimensions_are_refused(shape):
    with pytest.raises(ValueError, match=r"max_pool2d: got a tensor of shape \(.*\); allowed: \(channels, height"):
        max_pool2d(torch.zeros(shape), PoolDerivative(1.0), 2)


BAD_WINDOWS = [
    (dict(kernel_size=0), r"kernel_size is 0; allowed: an integer >= 1, or two of them"),
    (dict(kernel_size=2.0), r"kernel_size is 2.0; allowed"),
    (dict(kernel_size=(2, 2, 2)), r"kernel_size is \(2, 2, 2\); allowed"),
    (dict(kernel_size=2, stride=0), r"stride is 0; allowed"),
    (dict(kernel_size=2, padding=-1), r"padding is -1; allowed: an integer >= 0"),
    (dict(kernel_size=2, dilation=True), r"dilation is True; allowed"),
    (dict(kernel_size=3, padding=2), r"padding is \(2, 2\) for kernel_size \(3, 3\) .*; allowed: at most half"),
    (dict(kernel_size=(5, 2)), r"got a tensor of shape \(1, 4, 4\); allowed: height and width that leave an entry"),
]


@pytest.mark.parametrize(("windows", "message"), BAD_WINDOWS, ids=lambda value: str(value)[:30])
def test_windows_that_torch_refuses_are_refused_in_one_line(windows, message):
    for derivative in (PoolDerivative(0.0), PoolDerivative(1.0)):
        with pytest.raises(ValueError, match=rf"^max_pool2d: {message}"):
            max_pool2d(torch.zeros(1, 4, 4), derivative, **windows)


def test_a_window_of_padding_alone_is_refused_though_torch_reads_beyond_the_input():
    assert F.max_pool2d(torch.zeros(1, 1, 1), 2, 1, 1, 2).item() == -INF
    with pytest.raises(ValueError, match=r"allowed: height and width that leave an entry in every window"):
        max_pool2d(torch.zeros(1, 1, 1), PoolDerivative(1.0), 2, 1, 1, 2)


def test_a_bare_number_is_refused():
    with pytest.raises(TypeError, match=r"max_pool2d: got 0.5; allowed: a PoolDerivative or a PoolSwitch"):
        max_pool2d(torch.zeros(1, 2, 2), 0.5, 2)


def test_choices_are_validated_and_a_switch_holds_only_the_exact_forward():
    with pytest.raises(ValueError, match=r"PoolDerivative: forward is 'published'; allowed: 'exact', 'mixed'"):
        PoolDerivative(1.0, "published")
    with pytest.raises(ValueError, match=r"PoolDerivative: beta is nan; allowed: a finite number"):
        PoolDerivative(NAN)
    with pytest.raises(ValueError, match=r"PoolSwitch: got .*'mixed'.*; allowed: forward='exact'"):
        PoolSwitch(PoolDerivative(1.0, "mixed"))
    with pytest.raises(TypeError, match=r"PoolSwitch: got 1.0; allowed: a PoolDerivative"):
        PoolSwitch().derivative = 1.0


def test_module_prints_and_computes():
    module = MaxPool2d(PoolDerivative(1.0), 3, 2, padding=1, ceil_mode=True)
    assert repr(module) == (
        "MaxPool2d(kernel_size=(3, 3), stride=(2, 2), padding=(1, 1), dilation=(1, 1), ceil_mode=True, "
        "PoolDerivative(beta=1.0, forward='exact'))"
    )
    x = ties(torch.float32)
    assert same_bits(module(x), F.max_pool2d(x, 3, 2, 1, ceil_mode=True))
    assert not list(module.parameters()) and not module.state_dict()
