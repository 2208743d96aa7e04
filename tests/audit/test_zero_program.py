import numpy as np
import pytest
import torch

from kinks.audit import mixed_forward, zero_program
from kinks.ops import PoolDerivative, max_pool2d
from kinks.report.references import reference

DTYPES = {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@pytest.fixture(scope="module")
def values():
    return zero_program.values().set_index(["variant", "input", "precision"]).sort_index()


def plain(x, t):
    """The published listing, one number at a time."""
    t = torch.tensor(t, dtype=x.dtype, requires_grad=True)
    y = t * x
    top = y[0]
    for entry in y[1:]:
        if bool(entry.detach() > top.detach()):
            top = entry
    (derivative,) = torch.autograd.grad(top - y.max(), t)
    return float(derivative)


def test_the_derivative_of_zero_is_the_published_one(values):
    found = values.loc[("published", "1.14 four times", "fp32")]
    assert len(found) == 5 and (found["derivative"] == 2**-24).all() and (found["value"] == 0).all()
    found = values.loc[("published", "1.14 four times", "fp64")]
    assert (found["derivative"] == 2**-53).all()


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", zero_program.INPUTS)
def test_rows_are_those_of_the_listing(values, precision, name):
    x = torch.tensor(zero_program.INPUTS[name], dtype=DTYPES[precision])
    found = values.loc[("published", name, precision)].sort_values("t")
    assert found["derivative"].tolist() == [plain(x, t) for t in sorted(zero_program.STEPS)]
    assert (found["value"] == 0).all() and (found["true_derivative"] == 0).all()


def test_other_ways_to_write_it_are_right_except_at_the_kink(values):
    for variant in ("two products", "same program", "relu"):
        assert (values.loc[(variant, "1.14 four times")]["derivative"] == 0).all()
        rows = values.loc[(variant, "1, 2, 3, 4")]
        assert (rows[rows["t"] != 0]["derivative"] == 0).all()
    at_kink = values[values["t"] == 0]["derivative"]
    expected = {"published": -1.5, "two products": -1.5, "same program": 0.0, "relu": -3.0}
    for variant, derivative in expected.items():
        assert (at_kink.loc[(variant, "1, 2, 3, 4")] == derivative).all()


def test_the_error_is_there_where_the_format_does_not_hold_three_quarters():
    shares = zero_program.shares(1500).set_index(["variant", "precision"]).sort_index()
    published = shares.loc["published"]
    assert (published["agree"] == published["n"]).all() and (published["count"] == published["inexact"]).all()
    assert published["n"].to_dict() == {"fp64": 1500, "fp32": 1500, "fp16": 1024, "bf16": 128}  # all of the 16-bit ones
    assert published["share"].between(0.62, 0.71).all()  # two thirds: three quarters need two bits more
    assert (published["low"] <= published["share"]).all() and published.loc["fp16", "low"] == 683 / 1024
    assert (shares.drop("published", level="variant")["count"] == 0).all()


def test_the_terms_add_up_to_the_derivative():
    rows = zero_program.mechanism().set_index("precision")
    assert rows.loc["fp32", ["derivative", "one_by_one"]].tolist() == [2**-24, 2**-24]
    assert rows.loc["fp16", "derivative"] == -(2**-12) and rows.loc["fp16", "one_by_one"] == -(2**-11)
    assert rows.loc["bf16", ["rounding", "derivative"]].tolist() == [0, 0]
    c = np.float32(1.14)
    assert rows.loc["fp32", "rounding"] == float(np.float32(0.75) * c) - 0.75 * float(c)


def test_an_unknown_variant_is_refused():
    with pytest.raises(ValueError, match="zero program 'other'; allowed: published, two products"):
        zero_program.evaluate("other", torch.ones(4), torch.ones(()))


def test_the_error_of_the_released_forward_is_that_of_the_independent_measurement():
    ours = mixed_forward.errors(400_000)
    both = reference("forward_mix_error").merge(ours, on=["precision", "beta"], suffixes=("_reference", ""))
    assert len(both) == 18
    exact = both["beta"] <= 1
    assert (both[exact][["rms_relative", "max_relative"]] == 0).all(axis=None) and (both[exact]["exact"] == 1).all()
    for name, tolerance in (("rms_relative", 0.01), ("max_relative", 0.02)):
        np.testing.assert_allclose(both[~exact][name], both[~exact][f"{name}_reference"], rtol=tolerance)
    np.testing.assert_allclose(both["exact"], both["exact_reference"], atol=0.003)
    finite = np.isfinite(both["overflow_above_reference"])
    np.testing.assert_allclose(both[finite]["overflow_above"], both[finite]["overflow_above_reference"], rtol=1e-3)


@pytest.mark.parametrize("beta", [10.0, 1000.0, 10000.0])
def test_the_released_forward_overflows_where_it_is_said_to(beta):
    numbers = torch.arange(2**15, dtype=torch.int16).view(torch.float16)
    numbers = numbers[numbers.isfinite()]  # every half-precision number that is not negative
    released = max_pool2d(numbers.view(1, 1, -1), PoolDerivative(beta, "mixed"), 1).flatten()
    limit = mixed_forward.errors(100).query("precision == 'fp16' and beta == @beta")["overflow_above"].item()
    # The last number below the limit may go either way: beta x maximum rounds down to the largest finite number.
    sure = (numbers.double() - limit).abs() > limit * 2**-10
    assert torch.equal(released.isfinite()[sure], (numbers.double() < limit)[sure])


def test_the_exact_forward_is_the_maximum_for_every_beta():
    x = torch.randn(2, 3, 9, 8, generator=torch.Generator().manual_seed(0)).relu()
    found = mixed_forward.exactness({"noise": x, "zeros of both signs": torch.tensor([0.0, -0.0]).repeat(1, 1, 5, 4)})
    assert (found["share"] == 1).all() and found["n"].min() > 0
    assert len(found) == 2 * 4 * len(mixed_forward.BETAS) * len(mixed_forward.WINDOWS)


def test_published_values_are_at_hand():
    for name in ("zero_program", "tie_illustration", "forward_mix_error"):
        assert reference(name).attrs["source"]
    assert reference("zero_program")["derivative"].unique().tolist() == [2**-24]
