"""Training that meets exact zeros at a set rate: where they are, that they change nothing else, and that they count."""

import pandas as pd
import pytest
import torch

from kinks.train import loop, rounded

GIVEN = {"network": "lenet5", "epochs": 2, "batch": 32, "rate": 0.05}


@pytest.fixture(scope="module")
def data():
    return loop.data("mnist", "embedded", None, images=128, held_out=32)[0]


def run(data, zero_every, **more) -> pd.DataFrame:
    return rounded.job(zero_every=zero_every, **loop.settings(**data, **GIVEN | more))


def test_the_entry_nearest_to_zero_becomes_zero_and_gradients_pass():
    z = torch.tensor([[0.5, -1e-3, 2.0], [-0.25, 4e-3, -7.0]], requires_grad=True)
    found, moved = rounded.rounded(z)
    expected = z.detach().clone()
    expected[0, 1] = 0.0
    assert torch.equal(found, expected) and moved.item() == pytest.approx(1e-3)
    (gradient,) = torch.autograd.grad((found * torch.arange(6.0).view(2, 3)).sum(), z)
    assert torch.equal(gradient, torch.arange(6.0).view(2, 3))


def test_one_zero_is_met_in_every_so_many_mini_batches(data):
    plain, few, many = run(data, 0), run(data, 4), run(data, 1)
    assert plain["zeros"].sum() == 0 and plain["moved"].isna().all()
    assert list(few["zeros"]) == [1, 1] and list(many["zeros"]) == [4, 4]
    assert (few["moved"] < 0.01).all() and list(few["zero_every"]) == [4, 4]
    assert few["train_loss"].iloc[-1] == pytest.approx(plain["train_loss"].iloc[-1], rel=0.05)


def test_with_the_zeros_the_rule_counts_and_the_same_run_is_the_same(data):
    base, again = run(data, 2), run(data, 2)
    pd.testing.assert_frame_equal(base, again)
    released = run(data, 2, alpha=10.0, rule="assign")
    assert released["train_loss"].iloc[-1] != base["train_loss"].iloc[-1]


def test_a_run_that_diverges_says_where_as_the_loop_does(data):
    lost = run(data, 1, alpha=-1e6, rule="assign")
    assert set(lost["status"]) == {"diverged"} and (lost["cause"] != "").all() and "unknown" not in set(lost["cause"])
    assert lost["diverged_step"].iloc[0] >= 1


def test_an_odd_number_of_mini_batches_is_refused(data):
    with pytest.raises(ValueError, match="zero_every is -1; allowed: a whole number of mini-batches"):
        run(data, -1)
