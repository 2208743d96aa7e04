"""Networks at every number of a format: exponential until the significand is used up, then nothing."""

import numpy as np
import pytest
import torch

from kinks.pieces.arithmetic import Arithmetic, named
from kinks.pieces.executed import every_number, executed, neighbours
from kinks.pieces.initial import initial
from kinks.pieces.sawtooth import sawtooth


def test_a_format_has_so_many_numbers_between_zero_and_one():
    assert len(every_number("fp16")) == 15361 and len(every_number("bf16")) == 16257
    both = every_number("fp16", -1.0, 1.0)
    assert len(both) == 2 * 15360 + 1 and (both[1:] > both[:-1]).all()
    with pytest.raises(ValueError, match="fp32 has too many numbers"):
        every_number("fp32")


@pytest.mark.parametrize("accumulate", ["fp16", "fp32", "fp64"])
def test_the_sawtooth_in_half_precision_at_every_input(accumulate):
    x, arithmetic = every_number("fp16"), Arithmetic("fp16", accumulate)
    runs = {5: 32, 8: 256, 10: 1024, 11: 1793, 12: 2817, 13: 3841, 16: 6913, 20: 11009, 30: 15361}
    found = {levels: executed(sawtooth(levels), x, arithmetic) for levels in (*runs, 24, 25)}
    assert {levels: found[levels].regions for levels in runs} == runs
    assert found[5].strict_regions == 41 and found[5].zeros > 0
    above = x >= 0.5
    assert found[11].outputs[above].any() and not found[12].outputs[above].any()
    assert found[24].outputs.any() and not found[25].outputs.any()


@pytest.mark.parametrize("name, bits, levels", [("fp32", 24, 25), ("fp64", 53, 54)])
def test_wider_formats_lose_the_upper_half_at_their_own_depth(name, bits, levels):
    odd = 2 * np.random.default_rng(0).integers(2 ** (bits - 2), 2 ** (bits - 1), 4000) + 1
    x = torch.from_numpy(odd.astype(np.float64) * 2.0**-bits)
    before, after = (executed(sawtooth(n), x, named(name)).outputs for n in (levels - 1, levels))
    assert before.any() and not after.any()


def test_every_sum_in_sixteen_bits_is_rounded_in_order():
    random = np.random.default_rng(1)
    a, b = (torch.from_numpy(random.standard_normal(shape)).half() for shape in ((5, 7), (7, 3)))
    bias = torch.from_numpy(random.standard_normal(3)).half()
    expected = np.zeros((5, 3), np.float16)
    for i in range(5):
        for j in range(3):
            total = np.float16(0)
            for k in range(7):
                product = np.float16(np.float64(a[i, k]) * np.float64(b[k, j]))
                total = np.float16(np.float64(total) + np.float64(product))
            expected[i, j] = np.float16(np.float64(total) + np.float64(bias[j]))
    assert np.array_equal(Arithmetic("fp16", "fp16").product(a, b, bias).numpy(), expected)
    wide = Arithmetic("fp16", "fp64").product(a, b, bias)
    assert torch.equal(wide, (a.double() @ b.double() + bias.double()).half())
    assert not torch.equal(wide, torch.from_numpy(expected))


def test_groups_of_inputs_are_counted_as_one(monkeypatch):
    network, x = initial([1, 8, 8, 1], "default", 0), every_number("bf16", -1.0, 1.0)
    whole = executed(network, x, named("bf16"))
    monkeypatch.setattr("kinks.pieces.executed.AT_ONCE", 1000)
    parts = executed(network, x, named("bf16"))
    assert (whole.regions, whole.strict_regions, whole.zeros) == (parts.regions, parts.strict_regions, parts.zeros)
    assert torch.equal(whole.outputs, parts.outputs)


def test_neighbours_of_a_number_are_the_nearest_of_the_format():
    assert neighbours([0.0], "fp16", 1).tolist() == [-(2.0**-24), 0.0, 2.0**-24]
    assert neighbours([1.0, 1.0], "fp32", 1).tolist() == [1 - 2.0**-24, 1.0, 1 + 2.0**-23]
    assert neighbours([-1.0], "fp64", 1).tolist() == [-1 - 2.0**-52, -1.0, -1 + 2.0**-53]


def test_formats_that_are_not_computed_and_inputs_that_are_not_numbers_of_it_are_refused():
    with pytest.raises(ValueError, match="fp32 accumulated in fp16 is not computed"):
        Arithmetic("fp32", "fp16")
    with pytest.raises(ValueError, match="not a fp16 number"):
        executed(sawtooth(1), torch.tensor([0.1], dtype=torch.float64), named("fp16"))
