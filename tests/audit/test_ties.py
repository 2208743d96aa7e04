from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from kinks.audit import samples, tie_cells, tie_effects
from kinks.audit.pool_gradients import compare
from kinks.audit.ties import census, equal_patches, up_to_last_pool
from kinks.nets.initialise import initialise
from kinks.nets.precise import at
from kinks.nets.registry import build
from kinks.ops import PoolSwitch, swap, tied_windows
from kinks.precision import named


def images(n, channels=1, side=28, levels=256, seed=0):
    return torch.randint(levels, (n, channels, side, side), generator=torch.Generator().manual_seed(seed)).byte()


def flat_images(n, channels, side, block, dtype=torch.float64):
    """Images of constant blocks, so that many patches are equal."""
    small = torch.randn(n, channels, side // block, side // block, generator=torch.Generator().manual_seed(1))
    return small.repeat_interleave(block, -1).repeat_interleave(block, -2).to(dtype)


def small(conv, *between, pool=None):
    """A network with one convolution and one pool whose products are exact: small integers everywhere."""
    model = nn.Sequential(conv, *between, nn.ReLU(), pool or nn.MaxPool2d(2)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in conv.parameters():
            parameter.copy_(torch.randint(-2, 3, parameter.shape, generator=generator))
    return model


def count(rows, **wanted):
    return sum(row["count"] for row in rows if all(row[name] == value for name, value in wanted.items()))


def patch(given, conv, b, i, j):
    padded = F.pad(given, [conv.padding[1]] * 2 + [conv.padding[0]] * 2)
    rows, columns = (
        slice(place * stride, place * stride + dilation * (kernel - 1) + 1, dilation)
        for place, stride, dilation, kernel in zip((i, j), conv.stride, conv.dilation, conv.kernel_size, strict=True)
    )
    return padded[b, :, rows, columns]


CONVOLUTIONS = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 5},
    {"kernel_size": 7, "stride": 2, "padding": 3},
    {"kernel_size": (3, 2), "padding": (0, 1), "dilation": 2},
]


@pytest.mark.parametrize("arguments", CONVOLUTIONS)
@pytest.mark.parametrize("step", [(0, 1), (1, 0), (1, 1), (1, -1), (2, -2)])
def test_equal_patches_are_those_of_a_comparison_one_by_one(arguments, step):
    conv = nn.Conv2d(2, 3, **arguments)
    given = flat_images(2, 2, 18, 9, torch.float32)
    found = equal_patches(given, conv, step)
    height, width = conv(given).shape[-2:]
    assert found.shape == (2, height - step[0], width - abs(step[1]))
    for b, i, j in product(*map(range, found.shape)):
        left = j + max(0, -step[1])
        first, second = patch(given, conv, b, i, left), patch(given, conv, b, i + step[0], left + step[1])
        assert bool(found[b, i, j]) == torch.equal(first, second)
    assert found.sum() < found.numel() and (found.any() or max(conv.kernel_size) + step[0] > 5)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.MaxPool2d(3, stride=2), nn.MaxPool2d((1, 2))], ids=str)
@pytest.mark.parametrize("arguments", CONVOLUTIONS[:2])
def test_census_is_that_of_a_look_at_every_window(pool, arguments):
    model = small(nn.Conv2d(2, 3, **arguments), pool=pool)
    given = flat_images(2, 2, 16, 8).round()
    x = model[1](model[0](given))
    top = model[2](x)
    size, stride = (v if isinstance(v, tuple) else (v, v) for v in (pool.kernel_size, pool.stride))
    expected = {"zero": [0] * 10, "structural": [0] * 10, "coincidental": [0] * 10}
    for b, c, i, j in product(*map(range, top.shape)):
        cells = product(range(i * stride[0], i * stride[0] + size[0]), range(j * stride[1], j * stride[1] + size[1]))
        tied = [cell for cell in cells if x[b, c, *cell] == top[b, c, i, j]]
        if len(tied) < 2:
            continue
        patches = [patch(given, model[0], b, *cell) for cell in tied]
        kind = "structural" if all(torch.equal(one, patches[0]) for one in patches) else "coincidental"
        expected[kind if top[b, c, i, j] > 0 else "zero"][len(tied)] += 1
    rows = census(model, given)
    for kind, orders in expected.items():
        assert count(rows, kind=kind) == sum(orders) > 0
        if kind != "zero":
            ours = {name: sum(row[name] for row in rows if row["kind"] == kind) for name in ("two", "three", "four")}
            assert list(ours.values()) == [orders[2], orders[3], sum(orders[4:])]
    assert sum(row["windows"] for row in rows if row["kind"] == "zero") == top.numel()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "fp64"])
def test_all_ties_of_all_pools_are_counted(precision):
    model = at(build("lenet5", batch_norm=True, seed=3), named(precision))
    x = (images(8, levels=3) / 2).to(named(precision).storage)
    seen = []
    for child in model:
        if isinstance(child, nn.MaxPool2d):
            child.register_forward_pre_hook(lambda _, given: seen.append(int((tied_windows(given[0], 2) > 1).sum())))
    rows = census(model, x)
    assert [count(rows, layer=layer) for layer in (1, 2)] == seen and min(seen) > 0
    assert rows == census(up_to_last_pool(model), x)


def test_structural_ties_move_the_gradient_by_rounding_and_coincidental_ones_by_more():
    given, labels = flat_images(8, 1, 16, 8), torch.arange(8) % 3
    lattice = small(nn.Conv2d(1, 4, 3, padding=1))
    random = initialise(nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)).double(), "default", 0)
    found = {}
    for name, below, x in (("structural", random, given), ("coincidental", lattice, given.round())):
        rows = census(below, x)
        assert count(rows, kind="structural") > 0 and (count(rows, kind="coincidental") > 0) == (name == "coincidental")
        head = initialise(nn.Sequential(nn.Flatten(), nn.Linear(4 * 64, 3)).double(), "default", 1)
        switch = PoolSwitch()
        model = swap(nn.Sequential(*below, *head), pool=switch)
        found[name] = compare(model, switch, x, labels).norms.ninf
        assert census(up_to_last_pool(model), x) == rows  # swapped pools are counted alike
    assert 0 < found["structural"] < 1e-14 and found["coincidental"] > 1e-3


def test_ties_made_by_batch_norm_are_told_apart():
    norm = nn.BatchNorm2d(3)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), norm, nn.ReLU(), nn.MaxPool2d(2))
    initialise(model, "default", 0)
    x = torch.randn(2, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    assert count(census(model, x), kind="coincidental") == 0
    with torch.no_grad():
        norm.weight.fill_(1e-6)
        norm.bias.fill_(1.0)
    made = [row for row in census(model, x) if row["kind"] == "coincidental"]
    assert sum(row["merged"] for row in made) == sum(row["count"] for row in made) > 0


def test_border_is_as_deep_as_the_padding_of_a_crop():
    rows = census(build("lenet5", batch_norm=False, seed=0), torch.zeros(1, 1, 28, 28))
    windows = {(row["layer"], row["place"]): row["windows"] for row in rows}
    assert windows == {(1, "border"): 6 * (144 - 64), (1, "inside"): 6 * 64, (2, "border"): 16 * 12, (2, "inside"): 64}


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([nn.ReLU(), nn.MaxPool2d(2)], "child 1 pools; allowed below it: a convolution"),
        ([nn.Conv2d(1, 1, 3), nn.MaxPool2d(2)], "child 1 pools"),
        ([nn.Conv2d(1, 1, 3), nn.Sigmoid(), nn.ReLU(), nn.MaxPool2d(2)], "child 3 pools"),
        ([nn.Conv2d(1, 1, 3), nn.ReLU(), nn.MaxPool2d(3, 2, 1)], "allowed: a pool without padding"),
    ],
)
def test_networks_that_the_census_cannot_explain_are_refused(layers, words):
    with pytest.raises(ValueError, match=words):
        census(nn.Sequential(*layers), torch.zeros(1, 1, 8, 8))


def test_a_network_without_a_pool_is_refused():
    with pytest.raises(ValueError, match="no max-pool among the 1 children"):
        up_to_last_pool(nn.Sequential(nn.ReLU()))


@pytest.fixture
def data(monkeypatch):
    """Noise instead of a data set: without a crop no two patches are equal."""

    def read(dataset, folder, split, checksum, source=None, device="cpu"):
        channels, side = (1, 28) if dataset == "mnist" else (3, 32)
        return images(8, channels, side), torch.arange(8) % 5

    monkeypatch.setattr(samples, "images", read)
    places = {"source": None, "folder": None, "checksum": "synthetic"}
    return {"digits": {"dataset": "mnist"} | places, "pictures": {"dataset": "cifar10"} | places, "device": "cpu"}


def test_crops_bring_structural_ties_to_the_border(data):
    names = {"vgg11": {"fp32": 1}, "vgg11 uncropped": {"fp32": 1}, "densenet121": {"fp32": 1}}
    settings = tie_cells.jobs(names, {"fp32": 4}, 1, minibatches=2, **data)
    rows = pd.concat([tie_cells.job(**one) for one in settings])
    found = tie_cells.by_layer(rows).set_index(["network", "augment", "layer", "kind"])["count"]
    assert found["vgg11", True, 1, "structural"] > 0 and found["vgg11", False, 1, "structural"] == 0
    kinds = tie_cells.by_kind(rows).set_index(["network", "augment", "kind"])
    cropped = kinds.loc["vgg11", True, "structural"]
    assert cropped["border"] == cropped["count"] and cropped["hit"] == cropped["minibatches"] == 2
    assert set(rows.query("network == 'vgg11'")["layer"]) == {1, 2, 3, 4, 5}
    assert set(rows.query("network == 'densenet121'")["layer"]) == {1}


def test_effects_are_split_by_coincidental_ties(data):
    data["digits"]["classes"] = data["pictures"]["classes"] = 5
    settings = tie_cells.jobs({"lenet5": {"fp16": 2}}, {"fp16": 4}, 2, reordered=1, **data)
    rows = tie_effects.job(**settings[0])
    assert rows["reordered"].notna().tolist() == [True, False] and rows["coincidental"].any()
    made = pd.concat([rows.assign(coincidental=0, ninf=1e-4), rows.assign(coincidental=3, ninf=0.5)])
    split = tie_effects.split(made).set_index("group")
    assert split["n"].tolist() == [2, 2] and split["above"].to_dict() == {"structural": 0, "coincidental": 2}
    assert split["threshold"].tolist() == [1e-3, 1e-3]


def test_cell_names_say_what_is_varied(data):
    names = {"vgg11 bn default": {"fp32": 5}, "lenet5 late": {"fp64": 1}}
    settings = tie_cells.jobs(names, {"fp32": 4, "fp64": 2}, 2, **data)
    assert [(one["first_seed"], one["seeds"]) for one in settings if one["network"] == "vgg11"] == [
        (0, 2),
        (2, 2),
        (4, 1),
    ]
    first = settings[0]
    assert first["network"] == "lenet5" and first["bias"] == "after_convolution" and not first["augment"]
    assert settings[1]["batch_norm"] and settings[1]["init"] == "default" and settings[1]["dataset"] == "cifar10"
    with pytest.raises(ValueError, match="'bnn'; allowed: a network and any of bn, default, uncropped, late"):
        tie_cells.jobs({"vgg11 bnn": {}}, {}, 1, **data)
    with pytest.raises(ValueError, match="no batch size for fp16"):
        tie_cells.jobs({"vgg11": {"fp16": 1}}, {"fp32": 1}, 1, **data)


def test_too_few_images_are_refused(data):
    (settings,) = tie_cells.jobs({"lenet5": {"fp32": 1}}, {"fp32": 16}, 1, minibatches=1, **data)
    with pytest.raises(ValueError, match="mini-batches of 16 images asked for; given 8 images"):
        tie_cells.job(**settings)


def test_intervals_are_those_of_initialisations_and_never_narrower_than_chance():
    windows = np.full(4, 1e6)
    low, high = tie_cells.interval(np.array([0.0, 0, 0, 0]), windows)
    assert low == 0 and high == pytest.approx(3.689 / 4e6, rel=1e-3)
    low, high = tie_cells.interval(np.array([900.0, 1100, 1000, 1000]), windows)
    assert low < 0.9e-3 < 1e-3 < 1.1e-3 < high < 1.2e-3
    assert tie_cells.interval(np.array([100.0]), windows[:1]) == pytest.approx((81.36e-6, 121.6e-6), rel=1e-3)
