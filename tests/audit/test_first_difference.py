"""The first differing mini-batch of a network, against a slow loop of two networks and two full backwards."""

import copy
import sys
from itertools import islice
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinks.audit import first_difference as audit
from kinks.audit.bare import bare_outputs, meets_zero, watched
from kinks.audit.first_weight import NORMS, ZERO, Network
from kinks.nets.centred import centre
from kinks.nets.precise import at
from kinks.nets.registry import architecture, build
from kinks.nets.resnet import Residual
from kinks.precision import fixed, named

sys.path.insert(0, str(Path(__file__).parent))
import lattice

ROUNDED = [("fp32", "accumulator"), ("fp64", "accumulator"), ("fp16", "accumulator"), ("fp16", "after_convolution")]


class SlowReLU(nn.Module):
    """The described ReLU, one object for one value of ReLU'(0)."""

    def __init__(self, alpha, rule):
        super().__init__()
        self.alpha, self.rule = alpha, rule

    def forward(self, z):
        return lattice.SlowReLU.apply(z, self.alpha, self.rule)


def described(model, alpha, rule):
    """A second network of its own, every ReLU replaced, all of its parameters trained."""
    model = copy.deepcopy(model).requires_grad_(True)
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.ReLU):
                setattr(parent, name, SlowReLU(alpha, rule))
    return model


def full_backward(model, x, labels):
    model.zero_grad()
    F.cross_entropy(model(x), labels).backward()
    return next(model.parameters()).grad


def slow_first(model, given, rule):
    pair = [described(model, alpha, rule) for alpha in (0.0, 1.0)]
    for index, (x, labels) in enumerate(given):
        if not torch.equal(*(full_backward(net, x, labels) for net in pair)):
            return index
    return -1


def tiny(batch_norm):
    """Every layer that the bare pass treats by itself: late biases, both pools, a residual block, batch norm."""
    norm = [nn.BatchNorm2d(4)] if batch_norm else []
    body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), *copy.deepcopy(norm), nn.ReLU(), nn.Conv2d(4, 4, 1))
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(3, 2, 1),
        Residual(body, nn.Sequential()), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 10),
    )  # fmt: skip


def networks(batch_norm):
    yield tiny(batch_norm), (3, 8, 8)
    yield build("lenet5", batch_norm=batch_norm, seed=0), (1, 28, 28)


@torch.no_grad()
def on_a_lattice(model, seed):
    g = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            few = torch.rand(layer.weight.shape, generator=g) < 4 / layer.weight[0].numel()
            layer.weight.copy_(torch.randint(-2, 3, layer.weight.shape, generator=g) / 4 * few)
            if layer.bias is not None:
                layer.bias.copy_(torch.randint(-2, 3, layer.bias.shape, generator=g) / 8)
    return model


def batches(image, dtype, coarse, number=4, size=8):
    """Mini-batches, of which those in `coarse` hold images on the lattice too."""
    g = torch.Generator().manual_seed(5)
    for index in range(number):
        x = torch.rand(size, *image, generator=g)
        labels = torch.randint(10, (size,), generator=g)
        yield ((x * 4).round() / 4 if index in coarse else x).to(dtype), labels


def network(model, how, norm="fused"):
    with fixed(how):
        return Network.of(model, how, norm=norm)


@pytest.mark.parametrize(("precision", "bias"), ROUNDED)
@pytest.mark.parametrize("norm", NORMS)
def test_decisions_and_gradients_are_those_of_two_networks(precision, bias, norm):
    how, found = named(precision, bias), []
    for plain, image in networks(norm != "none"):
        for seed, coarse in ((0, ()), (1, (1, 3)), (2, (2,)), (3, (0,))):
            model = on_a_lattice(plain, seed) if seed else plain
            ours = network(model, how, norm)
            given = list(batches(image, how.storage, coarse))
            row = audit.follow(ours, given, noise=True)
            reference = at(copy.deepcopy(model), how)
            reference = centre(reference) if norm == "centred" else reference
            for rule in audit.RULES:
                assert row[f"first_{rule}"] == slow_first(reference, given, rule)
                found.append(row[f"first_{rule}"])
            assert row["finite"] and row["noise"] == 0.0
            for x, labels in given:
                gradients, _ = ours.gradients(x, labels, [ZERO, *audit.RULES.values()])
                slow = [described(reference, *choice) for choice in ((0.0, "chain"), (1.0, "assign"), (1.0, "chain"))]
                assert all(map(torch.equal, gradients, (full_backward(net, x, labels) for net in slow)))
    assert -1 in found and max(found) > 0 and len(set(found)) > 2  # rich: none, the first and later mini-batches


@pytest.mark.parametrize(
    ("name", "precision", "bias", "norm"),
    [
        *[(name, "fp32", "accumulator", norm) for name in ("vgg11", "resnet18-3x3") for norm in NORMS],
        *[("lenet5", *how, norm) for how in ROUNDED for norm in NORMS],
        ("densenet121", "fp32", "accumulator", "fused"),
        ("resnet18-2x2", "bf16", "after_convolution", "fused"),
        ("vgg11", "fp32", "after_convolution", "none"),
    ],
)
def test_the_bare_pass_has_the_bits_of_the_model(name, precision, bias, norm):
    how = named(precision, bias)
    model = at(build(name, batch_norm=norm != "none", seed=1, init="default"), how)
    model = centre(model) if norm == "centred" else model
    g = torch.Generator().manual_seed(2)
    with fixed(how), torch.no_grad():
        for _ in range(2):
            x = torch.rand(2, *architecture(name).image, generator=g).to(how.storage)
            before, kept = x.clone(), {name: value.clone() for name, value in model.state_dict().items()}
            ours = bare_outputs(model, x)
            assert torch.equal(x, before)
            if name != "densenet121":  # a container of unknown make runs as it is
                assert all(torch.equal(v, kept[k]) for k, v in model.state_dict().items())
            zeros = []
            with watched(model, lambda z, zeros=zeros: zeros.append(int((z == 0).sum()))):
                theirs = model(x)
            assert meets_zero(model, x) == bool(sum(zeros)) == (ours is None)
            assert ours is None or torch.equal(ours, theirs)


@pytest.mark.parametrize("value", [0.0, -0.0])
def test_a_single_zero_of_either_sign_is_met_wherever_it_lies(value):
    class Shift(nn.Module):
        def forward(self, x):
            return x + 0.0 if value == 0.0 else x

    x = torch.rand(4, 3, 6, 6, generator=torch.Generator().manual_seed(0)) + 0.1
    stages = [nn.ReLU(), nn.MaxPool2d(3, 2, 1), nn.Sequential(Shift(), nn.ReLU()), nn.MaxPool2d(3)]
    model = nn.Sequential(*stages)
    assert not meets_zero(model, x)
    x[2, 1, 3, 3] = value
    kept = x.clone()
    assert meets_zero(model, x) and torch.equal(x, kept)
    assert meets_zero(nn.Sequential(Residual(nn.Sequential(nn.Identity()), nn.Sequential())), x)


def test_pools_that_are_sliced_pass_on_nan_and_infinities():
    x = torch.randn(2, 3, 8, 6, generator=torch.Generator().manual_seed(1))
    x[0, 0, 0, 0], x[0, 1, 7, 5], x[1, 2, 3, 2] = float("nan"), float("inf"), -float("inf")
    for pool in (nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d(2, 1), nn.MaxPool2d((2, 1)), nn.MaxPool2d(3)):
        ours, theirs = bare_outputs(pool, x), pool(x)
        assert torch.equal(ours.isnan(), theirs.isnan()) and torch.equal(ours.nan_to_num(), theirs.nan_to_num())
    odd = torch.randn(2, 3, 7, 5)
    assert torch.equal(bare_outputs(nn.MaxPool2d(2), odd), nn.MaxPool2d(2)(odd))


def test_numbers_that_are_not_finite_are_labelled_and_are_no_difference():
    model, image = tiny(False), (3, 8, 8)
    x, labels = next(batches(image, torch.float32, ()))
    row = audit.follow(network(model, named("fp32")), [(x / 0, labels), (x, labels)], noise=False)
    assert not row["finite"] and row["minibatches"] == 2 and row["noise"] != row["noise"]
    assert row["first_zero"] == row["first_assign"] == row["first_chain"] == -1


def test_an_initialisation_that_never_differs_is_given_up_and_counts_every_evaluation():
    model, image = tiny(True), (3, 8, 8)
    given = list(batches(image, torch.float64, (), number=3))
    row = audit.follow(network(model, named("fp64")), given, noise=True)
    assert row["minibatches"] == 3 and row["first_assign"] == -1 and row["zeros"] == 0
    assert row["evaluations"] == 3 * 8 * (4 * 8 * 8 + 2 * 4 * 4 * 4)


def test_zeros_are_counted_until_both_rules_have_differed():
    model, image = on_a_lattice(tiny(False), 1), (3, 8, 8)
    given = list(batches(image, torch.float32, (1, 2, 3)))
    row = audit.follow(network(model, named("fp32")), given, noise=False)
    zeros: list[int] = []
    with watched(model, lambda z: zeros.append(int((z == 0).sum()))):
        for x, _ in given[: row["minibatches"]]:
            model(x)
    assert 0 <= row["first_zero"] <= max(row["first_assign"], row["first_chain"]) == row["minibatches"] - 1
    assert row["minibatches"] >= row["with_zero"] >= row["with_assign"] >= 1 == row["with_chain"]
    assert row["zeros"] == sum(zeros) > 0


@pytest.mark.parametrize("name", ["fp64", "fp32", "fp16"])
@pytest.mark.parametrize("shape", [(64, 6), (16, 6, 5, 4)])
def test_centred_batch_norm_is_batch_norm_but_for_its_last_bits(name, shape):
    how, g = named(name), torch.Generator().manual_seed(0)
    kind = nn.BatchNorm1d if len(shape) == 2 else nn.BatchNorm2d
    x = torch.randn(shape, generator=g).to(how.storage)
    found = []
    for norm in (lambda model: model, centre):
        layer = norm(at(nn.Sequential(kind(6)), how))
        with torch.no_grad():
            layer[0].weight.copy_(torch.linspace(-1, 1, 6))
            layer[0].bias.copy_(torch.linspace(0, 1, 6))
        leaf = x.clone().requires_grad_()
        y = layer(leaf)
        upstream = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
        found.append((y.detach(), *torch.autograd.grad(y, (leaf, layer[0].weight, layer[0].bias), upstream)))
        assert y.dtype == how.storage and layer[0].eval()(x).dtype == how.storage
    for fused, centred in zip(*found, strict=True):
        assert torch.allclose(fused, centred, rtol=0, atol=64 * torch.finfo(how.storage).eps)


def test_centred_batch_norm_is_exactly_its_bias_at_the_mean():
    x = torch.tensor([[0.1], [0.3], [0.2], [0.2]])
    mean = torch.native_batch_norm(x, None, None, None, None, True, 0.0, 1e-5)[1]
    x[2:] = mean
    layer = centre(nn.Sequential(nn.BatchNorm1d(1)))
    _, mean, _ = torch.native_batch_norm(x, None, None, None, None, True, 0.0, 1e-5)
    assert torch.equal(layer(x) == 0, x == mean) and bool((x == mean).any())


def test_the_perceptron_is_the_papers():
    assert sum(p.numel() for p in audit.perceptron(2048, False).parameters()) == 10_020_874
    kinds = [type(layer).__name__ for layer in audit.perceptron(8, True)]
    assert kinds == ["Linear", "BatchNorm1d", "ReLU"] * 3 + ["Linear"]


def settings(**changes):
    data = dict(dataset="folder", folder="x", split="train", checksum="", classes=10, augment=True)
    return dict(
        network="vgg11", norm="centred", precision="fp16", bias="after_convolution", data=data, batch_size=4, most=2,
        first_seed=0, seeds=2, noise_seeds=1, device="cpu",
    ) | changes  # fmt: skip


@pytest.fixture
def pictures(monkeypatch):
    g = torch.Generator().manual_seed(0)
    images = torch.randint(256, (20, 3, 32, 32), generator=g, dtype=torch.uint8), torch.arange(20) % 10
    monkeypatch.setattr(audit.samples, "images", lambda *_, device: images)


def test_minibatches_are_whole_reproducible_and_never_end(pictures):
    def stream(seed, size=8):
        return list(islice(audit.colours(settings()["data"], seed, size, named("fp32"), "cpu"), 5))

    first, again, other = stream(0), stream(0), stream(1)
    assert all(torch.equal(a, b) and torch.equal(k, m) for (a, k), (b, m) in zip(first, again, strict=True))
    assert {len(x) for x, _ in first} == {8} and not torch.equal(first[0][1], other[0][1])
    assert not torch.equal(first[0][1], first[2][1])  # the second pass has an order of its own
    with pytest.raises(ValueError, match="mini-batches of 21 images asked for; given 20 images of folder"):
        stream(0, 21)


def test_a_job_gives_one_row_per_initialisation_whatever_its_cut(pictures):
    whole = audit.job(**settings())
    assert whole["seed"].tolist() == [0, 1] and whole["noise"].tolist()[0] == 0.0 and whole["noise"].isna()[1]
    assert set(whole["precision"]) == {"fp16"} and set(whole["batch_size"]) == {4} and set(whole["norm"]) == {"centred"}
    second = audit.job(**settings(first_seed=1, seeds=1))
    assert second.iloc[0].dropna().to_dict() == whole.iloc[1].dropna().to_dict()
    with pytest.raises(ValueError, match="norm is 'gpu'; allowed: none, centred, fused"):
        audit.job(**settings(norm="gpu"))


def test_perceptrons_are_followed_over_whole_minibatches(monkeypatch):
    monkeypatch.setattr(audit.samples, "pixels", lambda *_: lattice.images(64, 784))
    data = dict(dataset="mnist", source="embedded", checksum="", images=64)
    ours = settings(network="3x16", norm="none", precision="fp32", data=data, most=100)
    rows = audit.job(**(ours | {"batch_size": 30}))
    assert rows["minibatches"].max() == 2 and rows["network"].tolist() == ["3x16", "3x16"]
    with pytest.raises(ValueError, match="given 64 images of mnist"):
        audit.job(**(ours | {"batch_size": 65}))
