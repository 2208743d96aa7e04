"""swap for max-pools: every nn.MaxPool2d of a model is replaced, or the model is refused with one line."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad

from kinks.ops import MaxPool2d, PoolDerivative, PoolSwitch, ReLUDerivative, max_pool2d, restore, swap, swapped

MINIMAL = PoolDerivative(1.0)
WINDOWS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")


class Calls(nn.Module):
    """Pools once by a module and once by the call given."""

    def __init__(self, call):
        super().__init__()
        self.pool, self.call = nn.MaxPool2d(2), call

    def forward(self, x):
        return self.call(self.pool(x))


def network():
    pool = nn.MaxPool2d(3, 2, 1, ceil_mode=True)
    return nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.ReLU(), pool, nn.Conv2d(2, 2, 1), pool, nn.MaxPool2d((1, 2), dilation=1)
    )


def test_every_pool_is_replaced_with_its_windows_and_comes_back():
    model, x = network(), torch.randn(2, 1, 16, 16)
    result = swap(model, pool=MINIMAL)
    assert swapped(result) == ["2", "4", "5"] and result[2] is result[4]
    assert type(result[2]) is MaxPool2d and type(result[1]) is nn.ReLU and type(model[2]) is nn.MaxPool2d
    assert torch.equal(result(x), model(x))
    assert type(restore(result)[5]) is nn.MaxPool2d


def test_pools_and_relus_in_one_call():
    result = swap(network(), relu=ReLUDerivative(0.5), pool=MINIMAL)
    assert swapped(result) == ["1", "2", "4", "5"]


def test_the_chosen_jacobian_reaches_the_gradient_and_a_switch_stays_live():
    x = torch.zeros(1, 1, 2, 2, requires_grad=True)
    switch = PoolSwitch(MINIMAL)
    out = swap(nn.Sequential(nn.MaxPool2d(2)), pool=switch)(x)
    assert grad(out, x, retain_graph=True)[0].flatten().tolist() == [0.25] * 4
    switch.derivative = PoolDerivative(2.0)
    assert grad(out, x)[0].flatten().tolist() == [-0.5, 0.5, 0.5, 0.5]


def test_swapping_again_changes_the_choice_and_restores_to_the_first_original():
    again = swap(swap(network(), pool=MINIMAL), pool=PoolDerivative(10.0, "mixed"))
    assert again[2].derivative == PoolDerivative(10.0, "mixed")
    assert [getattr(again[2], name) for name in WINDOWS] == [(3, 3), (2, 2), (1, 1), (1, 1), True]
    assert type(restore(again)[2]) is nn.MaxPool2d


@pytest.mark.parametrize("example", [None, torch.randn(1, 8, 8)], ids=["traced", "example"])
@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 2),
        lambda x: torch.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    ],
)
def test_a_functional_pool_is_refused_by_either_way_of_looking(call, example):
    with pytest.raises(ValueError, match=r"swap: would miss max_pool2d\w*\(\) at \S*test_swap_pool.py:\d+"):
        swap(Calls(call), pool=MINIMAL, example=example)


def test_our_own_pool_and_other_kinds_of_pool_are_no_missed_call():
    for call in (lambda x: max_pool2d(x, MINIMAL, 2), lambda x: F.avg_pool2d(x, 2)):
        for example in (None, torch.randn(1, 8, 8)):
            assert swapped(swap(Calls(call), pool=MINIMAL, example=example)) == ["pool"]


def test_returned_indices_and_a_model_without_a_pool_are_refused():
    with pytest.raises(ValueError, match=r"swap: 0 \(MaxPool2d\) has return_indices=True; allowed: return_indices=Fa"):
        swap(nn.Sequential(nn.MaxPool2d(2, return_indices=True)), pool=MINIMAL)
    with pytest.raises(ValueError, match=r"swap: Sequential has no nn.MaxPool2d for pool="):
        swap(nn.Sequential(nn.ReLU()), pool=MINIMAL)
    with pytest.raises(ValueError, match=r"no derivative given; allowed: one or more of relu=, .*, pool="):
        swap(network())
