"""Networks trained as one against the loop that trains them one by one."""

import pandas as pd
import pytest
import torch

from kinks.audit import samples
from kinks.nets.packed import pack, side_by_side
from kinks.nets.precise import at
from kinks.nets.registry import build
from kinks.precision import Precision, named
from kinks.train import loop, packed
from kinks.train.settings import Settings

SEEDS, BATCH = [0, 1, 4], 16
DATA = {
    "dataset": "mnist", "source": None, "folder": None, "checksum": "x", "images": 40, "validation": 5,
    "test_checksum": None, "held_out": 10,
}  # fmt: skip
NUMBERS = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Coarse images on a constant background, so that windows tie at positive values."""
    g = torch.Generator().manual_seed(0)

    def images(*, dataset, count, **_):
        shape = (1, 28, 28) if dataset == "mnist" else (3, 32, 32)
        found = torch.zeros(55, *shape, dtype=torch.uint8)
        found[..., 6:22, 6:22] = torch.randint(0, 3, (55, shape[0], 16, 16), generator=g.manual_seed(0)).byte() * 100
        return found[:count], torch.arange(55)[:count] % 10

    monkeypatch.setattr(samples, "images", images)


def given(**changes):
    full = loop.settings(**DATA | {"network": "lenet5", "epochs": 2, "rate": 0.02, "batch": BATCH} | changes)
    return {name: value for name, value in full.items() if name != "seed"}


def alone(settings):
    return pd.concat([loop.job(seed=seed, **settings) for seed in SEEDS], ignore_index=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp64", "beta": 1.0, "batch_norm": True},
        {"precision": "fp64", "beta": 3.0, "forward": "mixed", "augment": True},
        {"precision": "fp64", "network": "mlp 2x16", "alpha": 0.5, "batch_norm": True, "optimiser": "adam"},
        {"precision": "fp64", "network": "resnet18-2x2/64", "dataset": "photographs", "batch_norm": True, "epochs": 1},
        {"precision": "fp32", "network": "mlp 1x16", "alpha": 1.0, "rule": "assign", "count": False},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_rows_are_those_of_the_loop_to_rounding(changes):
    """Losses of 6 steps within 1e-9 in fp64 (Adam divides by small gradients: 1e-6), 1e-4 in fp32; the rest equal."""
    settings = given(**changes)
    expected, found = alone(settings), packed.job(seeds=SEEDS, **settings)
    assert list(found) == list(expected) and (found.dtypes == expected.dtypes).all()
    tolerance = 1e-4 if changes["precision"] == "fp32" else 1e-6 if "optimiser" in changes else 1e-9
    pd.testing.assert_frame_equal(found[NUMBERS], expected[NUMBERS], atol=tolerance, rtol=tolerance)
    pd.testing.assert_frame_equal(found.drop(columns=NUMBERS), expected.drop(columns=NUMBERS))
    assert found["train_loss"].nunique() == len(found), "the networks differ"


def test_zeros_and_ties_are_those_of_each_network():
    """Black images and weights on a lattice: many exact zeros, many positive ties."""
    settings = given(precision="fp64", beta=1.0, rate=1e-30)
    found, expected = packed.job(seeds=SEEDS, **settings), alone(settings)
    assert (found["ties"] > 0).all() and found["ties"].nunique() > 1
    pd.testing.assert_series_equal(found["ties"], expected["ties"])
    runs = [Settings(seed=seed, **settings) for seed in SEEDS]
    one = packed.Pack(runs)
    with torch.no_grad():
        one.net[0].weight[1, 2] = 0  # the third unit of the second network gives nothing but zeros
        one.net[0].bias[1, 2] = 0
    assert [row["zeros"] for row in one.epoch(0)] == [0, 40 * 24 * 24, 0]


def test_all_networks_diverge_as_they_do_alone():
    settings = given(rate=1e30)
    found, expected = packed.job(seeds=SEEDS, **settings), alone(settings)
    pd.testing.assert_frame_equal(found, expected)
    assert (found["diverged_step"] >= 0).all() and found["status"].eq("diverged").all()


def test_a_network_that_diverges_disturbs_no_other():
    settings = given(precision="fp64", batch_norm=True)
    runs, expected = [Settings(seed=seed, **settings) for seed in SEEDS], alone(settings)
    one = packed.Pack(runs)
    with torch.no_grad():
        one.net[0].weight[1, 0, 0, 0, 0] = float("nan")
    found = pd.DataFrame([row for epoch in range(2) for row in one.epoch(epoch)]).sort_values(["seed", "epoch"])
    lost = found[found["seed"] == SEEDS[1]]
    assert (lost["diverged_step"] == 0).all() and lost["train_loss"].isna().all()
    others = expected["seed"] != SEEDS[1]
    kept = found[found["seed"] != SEEDS[1]].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept[NUMBERS], expected.loc[others, NUMBERS].reset_index(drop=True), atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network": "mlp 1x8", "dropout": 0.5}, "dropout is 0.5; networks are not packed with it"),
        ({"reorder": True}, "reorder is True"),
        ({"loss_scaling": 8.0}, "loss_scaling is 8.0"),
        ({"precision": "fp16", "autocast": True}, "autocast is True"),
        ({"precision": "fp16"}, "16 bits of 0 are emulated"),
        ({"network": "densenet121", "dataset": "photographs"}, "allowed: convolutions, linear layers"),
        ({"graph": True}, "graph=True with sgd on cpu; allowed: sgd on a CUDA device"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_cannot_be_packed_is_refused(changes, said):
    graph = changes.pop("graph", False)
    with pytest.raises(ValueError, match=said):
        packed.job(seeds=SEEDS, graph=graph, **given(**changes))


def test_seeds_are_given_once_each():
    with pytest.raises(ValueError, match=r"seeds are \[1, 1\]; allowed: one or more, each once"):
        packed.job(seeds=[1, 1], **given())


@pytest.mark.parametrize("bias", ["accumulator", "after_rounding"])
@pytest.mark.parametrize("evaluating", [False, True])
def test_a_packed_network_gives_the_logits_of_each_of_its_own(bias, evaluating):
    precision = Precision("fp64", bias=bias)
    nets = [at(build("vgg11/32", batch_norm=True, seed=seed), precision) for seed in SEEDS]
    one = pack(nets)
    images = torch.randn(3, 4, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for net in [*nets, one]:
        net.train(not evaluating)
    found = one(side_by_side(images))
    expected = torch.stack([net(x) for net, x in zip(nets, images, strict=True)])
    assert float((found - expected).detach().abs().max()) < 1e-12
    statistics = torch.stack([net[1].running_mean for net in nets])
    assert float((dict(one.named_buffers())["1.running_mean"] - statistics).abs().max()) < 1e-12


def test_the_bias_of_packed_linear_layers_is_rounded_as_that_of_one():
    """In fp32 the sums of 512 numbers, with the bias inside: equal bits in nearly all, not two roundings."""
    nets = [at(build("mlp 1x512", batch_norm=False, seed=seed), named("fp32")) for seed in SEEDS]
    x = torch.rand(3, 64, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    first = pack(nets)[:2](side_by_side(x))
    expected = torch.stack([net[:2](images) for net, images in zip(nets, x, strict=True)])
    assert float((first == expected).double().mean()) > 0.95


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_captured_step_trains_as_the_step_itself():
    settings = given(precision="fp64", device="cuda", batch=8)
    found, expected = packed.job(seeds=SEEDS, graph=True, **settings), packed.job(seeds=SEEDS, **settings)
    pd.testing.assert_frame_equal(found, expected, atol=1e-9)
