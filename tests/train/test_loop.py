"""The training loop: equal seeds pair its arms, and it is the plain loop of torch's own modules, bit for bit."""

import copy

import pytest
import torch
from loop_runs import BATCH, COUNTS, HELD_OUT, IMAGES, NUMBERS, VALIDATION, given, run, same, training, words
from torch import nn

from kinks.data import normalise
from kinks.data.epoch import Epoch
from kinks.nets.registry import build
from kinks.ops import ReLUDerivative, swap
from kinks.precision import fixed, named
from kinks.train import loop
from kinks.train.trajectory import permutation

COLOUR = {"network": "vgg11/32", "dataset": "photographs"}


def plainly(
    network, dataset, pictures, precision, optimiser, epochs, *, seed=3, augment=False, reorder=False, relu=None
):
    """Train with torch's own modules, optimiser and schedule; the mean losses of the passes, and the network."""
    model = build(network, batch_norm=True, seed=seed).to(named(precision).storage)
    if relu is not None:
        model = swap(model, relu=relu, example=torch.zeros(2, *pictures[0].shape[1:], dtype=named(precision).storage))
    kinds = {"sgd": {"momentum": 0.9, "weight_decay": 5e-4}, "adam": {}}
    kind = {"sgd": torch.optim.SGD, "adam": torch.optim.Adam}[optimiser]
    optim = kind(model.parameters(), lr=0.05, **kinds[optimiser])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, epochs)
    images, labels, losses, step = *pictures, [], 0
    for epoch in range(epochs):
        draw = Epoch.draw(IMAGES, seed * 1_000_003 + epoch, shuffle=True, augment=augment)
        passed = []
        for first in range(0, IMAGES, BATCH):
            part, step = slice(first, first + BATCH), step + 1
            x, y = normalise(draw.images(images, part), dataset, named(precision).storage), labels[draw.order[part]]
            order = permutation(len(x), seed, step) if reorder else slice(None)
            optim.zero_grad()
            loss = nn.functional.cross_entropy(model(x[order]), y[order])
            loss.backward()
            optim.step()
            passed.append(loss.detach().double())
        schedule.step()
        losses.append(float(torch.stack(passed).mean()))
    return losses, model


@pytest.mark.parametrize("optimiser", ["sgd", "adam"])
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize(("network", "dataset"), [("lenet5", "mnist"), ("vgg11/32", "photographs")])
def test_it_is_the_plain_loop_of_torchs_own_modules(monkeypatch, network, dataset, precision, optimiser):
    pictures = given(monkeypatch, dataset)
    chosen = {"precision": precision, "optimiser": optimiser, "batch_norm": True, "epochs": 3}
    table, trained = run(network, dataset, **chosen), training(network, dataset, **chosen)
    for epoch in range(3):
        trained.epoch(epoch)
    with fixed(named(precision)):
        augment = dataset == "photographs"
        losses, model = plainly(network, dataset, pictures, precision, optimiser, 3, augment=augment)
        x, labels = (part[IMAGES + VALIDATION :] for part in pictures)
        logits = model.eval()(normalise(x, dataset, named(precision).storage))
    assert table["train_loss"].tolist() == losses
    state = trained.net.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())
    assert table["test_accuracy"].iloc[-1] == float((logits.argmax(1) == labels).double().mean())


def test_reordering_permutes_the_examples_of_each_minibatch_and_nothing_else(monkeypatch):
    pictures = given(monkeypatch)
    table, base = run(batch_norm=True, reorder=True), run(batch_norm=True)
    with fixed(named("fp32")):
        losses, _ = plainly("lenet5", "mnist", pictures, "fp32", "sgd", 2, reorder=True)
    assert table["train_loss"].tolist() == losses != base["train_loss"].tolist()
    assert table["train_loss"].tolist() == pytest.approx(base["train_loss"].tolist(), rel=1e-3)


@pytest.mark.parametrize("chosen", [{}, COLOUR, {"network": "mlp 2x32", "batch_norm": True, "dropout": 0.3}], ids=str)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_arms_that_are_one_program_give_equal_rows(monkeypatch, chosen, precision):
    given(monkeypatch, chosen.get("dataset", "mnist"))
    chosen = chosen | {"precision": precision}
    base = run(**chosen)
    assert base["train_loss"].notna().all() and base["diverged_step"].eq(-1).all()
    for arm in ({"rule": "assign"}, {"forward": "mixed"}, {"count": False}):
        assert same(base, run(**chosen | arm))
    assert not same(base, run(**chosen, seed=4))


def test_mixed_equals_exact_at_beta_one_and_not_beyond(monkeypatch):
    given(monkeypatch)
    one, hundred = (
        {forward: run(beta=beta, forward=forward) for forward in ("mixed", "exact")} for beta in (1.0, 100.0)
    )
    assert same(one["mixed"], one["exact"], NUMBERS + COUNTS) and one["exact"]["ties"].gt(0).all()
    assert not same(hundred["mixed"], hundred["exact"])


def test_the_rule_matters_only_where_a_zero_is_met(monkeypatch):
    given(monkeypatch)
    without = [run(alpha=1.0, rule=rule) for rule in ("chain", "assign")]
    assert without[0]["zeros"].sum() == 0 and same(*without) and same(without[0], run())
    with_zeros = [training(alpha=1.0, rule=rule) for rule in ("chain", "assign")]
    for trained in with_zeros:
        trained.net[0].weight.data[0], trained.net[0].bias.data[0] = 0, 0  # a channel of exact zeros
    rows = [trained.epoch(0) for trained in with_zeros]
    assert rows[0]["zeros"] > 0 and rows[0]["train_loss"] != rows[1]["train_loss"]


def test_the_chosen_derivative_is_the_one_of_the_operators(monkeypatch):
    pictures = given(monkeypatch)
    pictures[0][:] = pictures[0] // 200 * 200
    chosen = ReLUDerivative(0.5, "assign")
    with fixed(named("fp32")):
        losses, _ = plainly("lenet5", "mnist", pictures, "fp32", "sgd", 2, relu=chosen)
    assert run(batch_norm=True, alpha=0.5, rule="assign")["train_loss"].tolist() == losses


def test_zeros_and_ties_are_counted_in_training_only(monkeypatch):
    pictures = given(monkeypatch)
    trained = training("lenet5", "mnist", rate=1e-30, epochs=1)
    row = trained.epoch(0)
    net, zeros, ties = build("lenet5", batch_norm=False, seed=3), 0, 0
    x = normalise(pictures[0][:IMAGES], "mnist", torch.float32)
    for layer in net:
        zeros += int((x == 0).sum()) if isinstance(layer, nn.ReLU) else 0
        if isinstance(layer, nn.MaxPool2d):
            windows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
            top = windows.amax(-1, keepdim=True)
            ties += int((((windows == top).sum(-1) > 1) & (top[..., 0] > 0)).sum())
        x = layer(x)
    assert row["zeros"] == zeros and row["ties"] == pytest.approx(ties, rel=0.01) and ties > 0
    units = 6 * 24 * 24 + 16 * 8 * 8 + 120 + 84
    assert trained.census.evaluations == IMAGES * units and row["zeros_share"] == zeros / (IMAGES * units)
    assert run(count=False)[COUNTS].isna().all(axis=None)


def test_overlapping_windows_are_counted_too(monkeypatch):
    given(monkeypatch, "photographs")
    chosen = {"network": "resnet18-3x3/32", "dataset": "photographs", "beta": 10.0, "forward": "mixed", "epochs": 1}
    counted = run(**chosen)
    assert counted["ties"].iloc[0] > 0 and same(counted, run(**chosen, count=False))


def test_training_validation_and_test_images_are_apart(monkeypatch):
    images, _ = given(monkeypatch)
    trained = training("lenet5", "mnist")
    assert [len(part[0]) for part in (trained.train, trained.validation, trained.test)] == [
        IMAGES,
        VALIDATION,
        HELD_OUT,
    ]
    assert torch.equal(torch.cat([part[0] for part in (trained.train, trained.validation, trained.test)]), images)


def test_without_validation_and_test_images_their_columns_are_nan(monkeypatch):
    given(monkeypatch)
    table = run(validation=0, held_out=0, epochs=1)
    assert (
        table[["validation_loss", "validation_accuracy", "test_loss", "test_accuracy", "overflowed"]]
        .isna()
        .all(axis=None)
    )
    assert table["train_loss"].notna().all() and (table["chance"] == table["train_chance"]).all()


def test_dead_layers_are_told(monkeypatch):
    given(monkeypatch)
    trained = training("mlp 2x8", "mnist", epochs=1, rate=1e-30)
    trained.net[3].bias.data.fill_(-1e6)  # the second linear layer: nothing behind it is positive
    assert trained.epoch(0)["dead_layers"] == 1
    assert training("mlp 2x8", "mnist", epochs=1).epoch(0)["dead_layers"] == 0


def test_rows_name_the_run_and_say_how_it_ended(monkeypatch):
    _, labels = given(monkeypatch)
    table = run(epochs=12, batch_norm=True, schedule="constant")
    assert table["epoch"].tolist() == list(range(12)) and table["step"].tolist() == [3 * n for n in range(1, 13)]
    assert (table["status"] == "trained").all() and (table["epoch_rate"] == 0.05).all()
    assert {"network", "alpha", "rule", "beta", "forward", "precision", "backend", "bias", "rate"} <= set(table)
    assert not {"folder", "checksum", "device"} & set(table)
    labels[:IMAGES] = torch.arange(IMAGES) % 10
    assert (run(rate=1e-30)["status"] == "chance").all() and (run(rate=1e-30)["train_chance"] == 0.1).all()


def test_a_run_can_be_left_between_epochs_and_restores_the_switches(monkeypatch):
    given(monkeypatch)
    before = torch.backends.cudnn.deterministic
    rows = loop.epochs(**words(epochs=5))
    first = copy.deepcopy(next(rows))
    rows.close()
    assert first["epoch"] == 0 and torch.backends.cudnn.deterministic == before
