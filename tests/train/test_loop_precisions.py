"""The training loop in 16 bits, pure and under autocast, with and without loss scaling, and how runs diverge there."""

import pytest
import torch
from loop_runs import COUNTS, NUMBERS, given, run, same, training, words
from torch import nn

from kinks.train import loop
from kinks.train.diverged import PATIENCE, Listener, failed_at
from kinks.train.optimise import SGD
from kinks.train.scaling import DynamicScaling

CELLS = {
    "fp64": {"precision": "fp64"},
    "fp32": {"precision": "fp32"},
    "bf16": {"precision": "bf16"},
    "fp16": {"precision": "fp16"},
    "fp16, scaled": {"precision": "fp16", "loss_scaling": "dynamic"},
    "fp16 autocast, scaled": {"precision": "fp16", "autocast": True, "loss_scaling": "dynamic"},
    "bf16 autocast": {"precision": "bf16", "autocast": True},
}


@pytest.mark.parametrize("label", CELLS)
@pytest.mark.parametrize(
    ("network", "dataset"), [("lenet5", "mnist"), ("resnet18-2x2/32", "photographs"), ("mlp 2x16", "mnist")]
)
def test_every_precision_trains_every_kind_of_network(monkeypatch, label, network, dataset):
    given(monkeypatch, dataset)
    table = run(network, dataset, **CELLS[label], batch_norm=True, rate=0.02)
    assert (table["precision_label"] == label).all() and table["diverged_step"].eq(-1).all()
    assert table[NUMBERS].notna().all(axis=None) and table["train_loss"].iloc[-1] < 3
    if label == "fp16, scaled":
        assert table["skipped"].iloc[0] > 0  # 2^16 is no half-precision number
    elif "scaled" not in label:
        assert table["skipped"].eq(0).all()


def test_weights_are_in_the_storage_format_or_in_fp32_under_autocast(monkeypatch):
    given(monkeypatch)
    for label, dtype in (("fp16", torch.float16), ("bf16 autocast", torch.float32), ("fp64", torch.float64)):
        trained = training(**CELLS[label], batch_norm=True)
        trained.epoch(0)
        tensors = [*trained.weights, *trained.optimiser.state]
        assert {tensor.dtype for tensor in tensors} == {dtype}


def test_under_autocast_networks_are_evaluated_in_fp32(monkeypatch):
    given(monkeypatch)
    trained = training(**CELLS["fp16 autocast, scaled"])
    x, _ = next(trained.minibatches(0))
    assert trained.net(x).dtype == torch.float16 and trained.net.eval()(x).dtype == torch.float32


def test_adam_in_pure_half_precision_is_lost_at_once_for_its_eps_is_zero_there(monkeypatch):
    given(monkeypatch)
    adam = {"optimiser": "adam", "rate": 1e-3}
    table = run(**adam, precision="fp16")
    assert (table["diverged_step"] == 0).all() and table["cause"].str.startswith("update: ").all()
    assert (table["status"] == "diverged").all() and len(table) == 2
    for kept in ({"precision": "fp16", "eps": 1e-4}, {"precision": "bf16"}, {"precision": "fp32"}):
        assert run(**adam, **kept)["diverged_step"].eq(-1).all(), kept
    assert run(**adam, **CELLS["fp16 autocast, scaled"])["diverged_step"].eq(-1).all()


def test_the_mixed_forward_overflows_at_a_pool_where_the_exact_one_does_not(monkeypatch):
    given(monkeypatch)
    mixed, exact = (run(precision="fp16", beta=1e6, forward=forward) for forward in ("mixed", "exact"))
    assert (mixed["diverged_step"] == 0).all() and (mixed["cause"] == "pool: 2 MaxPool2d").all()
    assert mixed[NUMBERS].isna().all(axis=None) and mixed.loc[0, COUNTS].notna().all()
    assert not exact["cause"].str.startswith("pool").any()


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda net: net[3].weight.data.fill_(6e4), "forward: 3 Conv2d"),
        (lambda net: net[-1].bias.data.copy_(torch.linspace(-6e4, 6e4, 10)), "loss"),
    ],
)
def test_the_layer_that_overflows_is_named(monkeypatch, spoil, cause):
    given(monkeypatch)
    trained = training(precision="fp16", epochs=1)
    spoil(trained.net)
    row = trained.epoch(0)
    assert row["diverged_step"] == 0 and row["cause"] in (cause, "gradient: 11.bias")


def test_a_loss_that_grows_ends_with_its_step_and_cause(monkeypatch):
    given(monkeypatch)
    table = run(rate=1e12, epochs=3)
    last, step = table.iloc[-1], table["diverged_step"].iloc[-1]
    assert 0 < step <= 6 and last["step"] == step and last["cause"].split(":")[0] in ("forward", "gradient", "update")
    trained = training(rate=1e12, epochs=3)
    parts = [part for epoch in (0, 1) for part in trained.minibatches(epoch)]
    seen = []
    for x, labels in parts[: step + 1]:
        loss, _, _ = trained.step(0, x, labels)
        seen.append(bool(torch.isfinite(loss)) and all(bool(torch.isfinite(w).all()) for w in trained.weights))
    assert seen == [True] * step + [False]


def test_addition_inside_a_block_is_blamed_on_the_block():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(-x - x)

    net = nn.Sequential(nn.Identity(), Doubled())
    with Listener().on(net) as listener:
        net(torch.full((1, 4), 6e4, dtype=torch.float16))
        assert listener.found == "forward: 1 Doubled"
        net(torch.ones(1, 4))
        assert not listener.found


def test_skipped_steps_end_a_run_only_where_nothing_else_follows():
    finite, infinite = torch.ones(60), torch.full((60,), torch.inf)
    skips = torch.zeros(60)
    skips[5 : 5 + PATIENCE] = 1
    assert failed_at(finite, skips) == 5 and failed_at(infinite, torch.ones(60)) == 0
    skips[30] = 0
    assert failed_at(infinite.index_fill(0, torch.tensor([59]), 1.0), skips) is None
    assert failed_at(finite, None) is None and failed_at(infinite, None) == 0


def test_a_forward_that_always_overflows_ends_a_scaled_run(monkeypatch):
    given(monkeypatch)
    table = run(**CELLS["fp16 autocast, scaled"], beta=1e6, forward="mixed")
    assert (table["diverged_step"] == 0).all() and (table["cause"] == "pool: 2 MaxPool2d").all()


def test_a_skipped_step_leaves_the_weights_alone(monkeypatch):
    given(monkeypatch)
    trained = training(precision="fp16", loss_scaling="dynamic")
    before = [weight.detach().clone() for weight in trained.weights]
    x, labels = next(trained.minibatches(0))
    _, _, skipped = trained.step(0, x, labels)
    assert float(skipped) == 1 and float(trained.scaling.scale) == 2**15
    assert all(torch.equal(a, b) for a, b in zip(before, trained.weights, strict=True))
    assert isinstance(trained.scaling, DynamicScaling) and isinstance(trained.optimiser, SGD)


def test_dropout_keeps_its_masks_when_examples_are_reordered(monkeypatch):
    given(monkeypatch)
    dropped = {"network": "mlp 2x16", "dropout": 0.5}
    base, reordered, other = run(**dropped), run(**dropped, reorder=True), run(**dropped | {"dropout": 0.4})
    assert base["train_loss"].tolist() == pytest.approx(reordered["train_loss"].tolist(), rel=1e-5)
    assert not same(base, other)
    fp16 = run(**dropped, precision="fp16")
    assert fp16["train_loss"].tolist() == pytest.approx(base["train_loss"].tolist(), abs=0.02)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"precision": "fp8"}, "precision is 'fp8'; allowed: 'fp64', 'fp32', 'tf32'"),
        ({"precision": "tf32"}, "'tf32' on device 'cpu', which has none; allowed: a CUDA device"),
        ({"autocast": True}, "autocast with precision 'fp32'; allowed: 'fp16', 'bf16'"),
        ({"loss_scaling": "static"}, "loss_scaling is 'static'; allowed: 'none', 'dynamic' or a positive number"),
        ({"optimiser": "lion"}, "optimiser is 'lion'; allowed: 'sgd', 'adam'"),
        ({"schedule": "step"}, "schedule is 'step'; allowed: 'cosine', 'constant'"),
        ({"rate": 0}, "rate is 0; allowed: a number above 0"),
        ({"epochs": 1.5}, "epochs is 1.5; allowed: a whole number of at least 1"),
        ({"dropout": 0.5}, "lenet5: dropout is 0.5; only perceptrons"),
        ({"rule": "ignore"}, "rule is 'ignore'; allowed: 'chain', 'assign'"),
        ({"network": "vgg11"}, r"vgg11 takes images of shape \(3, 32, 32\); those of mnist are \(1, 28, 28\)"),
        ({"network": "lenet"}, "no network is called 'lenet'"),
        ({"betas": 1}, "betas is no setting of a training run; .*did you mean beta"),
        ({"network": "mlp 2x8", "beta": 2.0}, "no nn.MaxPool2d for pool="),
        ({"classes": 5}, "classes is 5; mnist has a label 9"),
    ],
    ids=str,
)
def test_bad_settings_are_named(monkeypatch, changes, says):
    given(monkeypatch)
    with pytest.raises(ValueError, match=says):
        run(**changes)


def test_missing_settings_are_named():
    with pytest.raises(ValueError, match="lacks network, dataset"):
        loop.settings(**{name: value for name, value in words().items() if name not in ("network", "dataset")})


def test_data_settings_name_what_there_is():
    settings, label = loop.data("mnist", "embedded", None, None, 500, 300)
    assert (settings["images"], settings["validation"], settings["held_out"]) == (9200, 300, 500) and "MNIST" in label
    colour, _ = loop.data("photographs", images=100, held_out=50)
    assert colour["test_checksum"] and colour["classes"] == 10
    with pytest.raises(ValueError, match=r"images 9900, validation 0, held_out 500: MNIST.* has 10000"):
        loop.data("mnist", "embedded", None, 9900, 500)
