"""Networks trained side by side (M6), against the same training written out plainly."""

import pytest
import torch
from torch import nn

from kinks.data import normalise
from kinks.data.epoch import Epoch
from kinks.nets.precise import at, loss
from kinks.nets.registry import build
from kinks.ops import MaxPool2d, PoolDerivative, swap
from kinks.precision import fixed, named
from kinks.train import divergence, trajectory

IMAGES, HELD_OUT, BATCH, STEPS, SEED = 40, 10, 16, 4, 3
LENET = {"network": "lenet5", "init": "default", "bias": "accumulator", "augment": False, "deterministic": True}
SETTINGS = LENET | {
    "seed": SEED, "steps": STEPS, "batch": BATCH, "dataset": "mnist", "source": None, "folder": None, "checksum": "x",
    "images": IMAGES, "test_checksum": None, "held_out": HELD_OUT, "device": "cpu",
}  # fmt: skip


@pytest.fixture
def pictures(monkeypatch):
    """Coarse images on a constant background, so that windows tie at positive values."""
    g = torch.Generator().manual_seed(0)
    images = torch.zeros(IMAGES + HELD_OUT, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 6:22, 6:22] = torch.randint(0, 3, (len(images), 1, 16, 16), generator=g, dtype=torch.uint8) * 100
    labels = torch.randint(0, 10, (len(images),), generator=g)
    monkeypatch.setattr(divergence.samples, "images", lambda *, count, **_: (images[:count], labels[:count]))
    return images, labels


def plainly(pictures, precision, pool, *, reorder=False):
    """The weights after four steps of torch's own gradient descent, with torch's own max-pool where `pool` is None."""
    model = build("lenet5", batch_norm=False, seed=SEED, init="default")
    model = model if pool is None else swap(model, pool=pool, example=torch.zeros(2, 1, 28, 28))
    model = at(model, precision) if precision.emulated else model.to(precision.storage)
    u = float(torch.rand((), generator=torch.Generator().manual_seed(SEED)))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01 * (1 + u / 5))
    images, labels = pictures
    step, seed = 0, SEED * 1_000_003
    while step < STEPS:
        order = Epoch.draw(IMAGES, seed, shuffle=True, augment=False).order
        for part in order.split(BATCH):
            if step == STEPS:
                break
            if reorder:
                part = part[trajectory.permutation(len(part), SEED, step + 1)]
            optimiser.zero_grad()
            loss(model(normalise(images[part], "mnist", precision.storage)), labels[part]).backward()
            optimiser.step()
            step += 1
        seed += 1
    return model


def l1(model, other):
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return float(torch.stack([(a.detach().double() - b.detach().double()).abs().sum() for a, b in pairs]).sum())


@pytest.mark.parametrize("name", ["fp32", "fp64", "fp16"])
def test_every_arm_is_the_plain_training_of_one_network_bit_for_bit(pictures, name):
    precision = named(name)
    table = divergence.job(precision=name, arms=divergence.plan([1, 100])[0], **SETTINGS)
    last = table[table["step"] == STEPS].set_index(["arm", "beta"])
    with fixed(precision):
        base = plainly(pictures, precision, None)
        assert sum(type(layer) is nn.MaxPool2d for layer in base) == 2
        for (arm, beta), row in last.iterrows():
            pool = PoolDerivative(beta, row["forward"]) if beta else None
            net = plainly(pictures, precision, pool, reorder=arm == "reordered")
            assert row["distance"] == l1(net, base), (arm, beta)
        x, labels = (part[IMAGES:] for part in pictures)
        right = (base(normalise(x, "mnist", precision.storage)).argmax(1) == labels).double().mean()
    assert last.loc[("base", 0.0), "accuracy"] == float(right)
    assert last.loc[("twice", 0.0), "distance"] == 0 and last.loc[("published", 100.0), "distance"] > 0
    assert last.loc[("corrected", 100.0), "distance"] > 0
    norm = sum(float(weight.detach().double().abs().sum()) for weight in base.parameters())
    assert last.loc[("published", 100.0), "relative"] == pytest.approx(
        last.loc[("published", 100.0), "distance"] / norm
    )


@pytest.mark.parametrize("name", ["fp32", "fp64", "fp16", "bf16"])
def test_at_beta_one_the_released_forward_and_the_exact_one_are_one_program(pictures, name):
    precision = named(name, "after_convolution")
    runs = trajectory.start("lenet5", "default", [("published", 1.0), ("corrected", 1.0)], 0, 0.01, precision)
    assert [run.arms for run in runs] == [["base"], ["published", "corrected"]]
    with fixed(precision):
        ends = [plainly(pictures, precision, PoolDerivative(1.0, forward)) for forward in ("mixed", "exact")]
    assert all(torch.equal(a, b) for a, b in zip(*(net.parameters() for net in ends), strict=True))


def test_a_network_that_overflows_stops_and_is_kept(pictures):
    arms = [["base", 0.0], ["published", 1e6], ["corrected", 1e6]]
    table = divergence.job(precision="fp16", arms=arms, **SETTINGS | {"steps": 2})
    row = table.set_index(["arm", "step"])
    assert row.loc[("published", 2), ["first_nonfinite", "cause"]].tolist() == [0, "pool"]
    assert row.loc[("published", 0), "distance"] == 0 and row.loc[("published", 0), "overflowed"] == 1
    assert row.loc[("published", 0), "accuracy"] == 0  # logits that are not finite are never right
    assert row.loc[("published", [1, 2]), ["distance", "accuracy", "loss"]].isna().all(axis=None)
    assert row.loc[("base", 2), "distance"] == 0 and row.loc[("base", 2), "first_nonfinite"] == -1
    corrected = row.loc[("corrected", 2)]
    assert corrected["first_nonfinite"] > 0 and corrected["cause"] == "update"


def test_causes_are_told_apart():
    precision = named("fp16")
    x = torch.ones(2, 1, 28, 28, dtype=torch.float16)
    net = trajectory.start("lenet5", "default", [], 0, 0.01, precision)[0].net
    assert trajectory.cause(net, x) == "loss"
    next(layer for layer in net if isinstance(layer, MaxPool2d)).derivative = PoolDerivative(1e7, "mixed")
    assert trajectory.cause(net, x) == "pool"
    net[0].weight.data.fill_(6e4)
    assert trajectory.cause(net, x) == "layer"
    net[-1].bias.data[0] = float("nan")
    assert trajectory.cause(net, x) == "update"


def test_reordering_is_a_permutation_that_changes_with_the_step():
    orders = [trajectory.permutation(50, seed=1, step=step) for step in (1, 2)]
    assert all(sorted(order.tolist()) == list(range(50)) for order in orders)
    assert not torch.equal(*orders) and torch.equal(orders[0], trajectory.permutation(50, seed=1, step=1))


def test_batches_shuffle_every_pass_and_keep_its_shorter_last_one():
    images, labels = torch.zeros(10, 1, 4, 4, dtype=torch.uint8), torch.arange(10)
    stream = trajectory.batches(images, labels, 4, seed=0, augment=False)
    first, second = ([next(stream)[1] for _ in range(3)] for _ in range(2))
    assert [len(part) for part in first] == [4, 4, 2] and sorted(torch.cat(first).tolist()) == list(range(10))
    assert not torch.equal(torch.cat(first), torch.cat(second))


def test_arms_are_dealt_onto_jobs_and_give_the_same_rows(pictures):
    whole = divergence.job(precision="fp32", arms=divergence.plan([1, 10])[0], **SETTINGS)
    parts = [divergence.job(precision="fp32", arms=arms, **SETTINGS) for arms in divergence.plan([1, 10], jobs=2)]
    keys = ["arm", "beta", "step"]
    one, two = (
        {tuple(row[key] for key in keys): row["distance"] for row in rows}
        for rows in (whole.to_dict("records"), [row for part in parts for row in part.to_dict("records")])
    )
    assert one == two and len(whole) == sum(map(len, parts))


def test_colour_networks_train_on_crops(monkeypatch):
    images = torch.randint(0, 256, (8, 3, 32, 32), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    monkeypatch.setattr(divergence.samples, "images", lambda *, count, **_: (images[:count], torch.arange(8)[:count]))
    settings = {"network": "vgg11", "init": "kaiming_uniform", "augment": True, "dataset": "photographs", "images": 8}
    settings |= {"held_out": 0, "steps": 1, "batch": 4}
    table = divergence.job(precision="fp32", arms=[["reordered", 0.0], ["published", 1e4]], **SETTINGS | settings)
    last = table[table["step"] == 1].set_index("arm")
    assert 0 <= last.loc["reordered", "distance"] < last.loc["published", "distance"]
    assert table["accuracy"].isna().all() and set(table["arm"]) == {"reordered", "published"}


def test_recorded_steps_grow_and_end_with_the_last():
    assert divergence.recorded(16, 1000) == [0, 1, 2, 5, 10, 16]
    assert {391, 782, 1955} <= set(divergence.recorded(1955, 391))


def test_settings_name_the_data_and_keep_held_out_images_apart():
    settings, label = divergence.data("mnist", "embedded", None, None, 500)
    assert (settings["images"], settings["held_out"], settings["test_checksum"]) == (9500, 500, None)
    assert "MNIST" in label
    train, test = divergence._images(**settings, device="cpu")
    assert len(train[0]) == 9500 and sum(len(x) for x, _ in test) == 500 and train[0].shape[1:] == (1, 28, 28)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: divergence.plan([0, 1]), "leave it out"),
        (lambda: divergence.grid({"fp32": 1}, {}, betas=[1], twice_seeds=0, jobs=1), "name the same ones"),
    ],
)
def test_wrong_settings_are_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_the_first_seeds_run_the_same_program_twice():
    jobs = divergence.grid({"fp32": 5}, {"fp32": 2}, betas=[1], twice_seeds=1, jobs=1, network="lenet5")
    assert [["twice", 0.0] in job["arms"] for job in jobs] == [True, False]
    assert jobs[0] == {"network": "lenet5", "precision": "fp32", "seed": 0, "steps": 5, "arms": jobs[0]["arms"]}
