"""Thresholds and zones: jobs measure what they say, cells are read and cut, pairs are counted by the definitions."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch

from kinks import stats
from kinks.audit import zone_cells, zones
from kinks.data import load, normalise
from kinks.data.epoch import Epoch
from kinks.nets.initialise import initialise
from kinks.nets.precise import at, loss
from kinks.nets.registry import build
from kinks.ops import PoolDerivative, ReLUDerivative, swap
from kinks.precision import fixed, named

BATCH = 24


def settings(**changes):
    card = load("mnist", source="embedded").card
    values = {"network": "lenet5", "batch_norm": False, "init": "default", "precision": "fp16", "bias": "accumulator"}
    values |= {"dataset": "mnist", "source": "embedded", "folder": None, "checksum": card.checksum, "classes": 10}
    values |= {
        "batch_size": BATCH,
        "first_seed": 3,
        "seeds": 2,
        "minibatches": 2,
        "deterministic": True,
        "device": "cpu",
    }
    return values | {"arms": ["beta", "swapped"], "yardsticks": ["reordered", "error", "repeated"]} | changes


def minibatch(index, dtype):
    data = load("mnist", source="embedded")
    epoch, part = Epoch.draw(len(data), 0, shuffle=True, augment=False), slice(index * BATCH, (index + 1) * BATCH)
    return normalise(epoch.images(data.images, part), "mnist", dtype), data.labels[epoch.order[part]]


def described(choices, seed, index, precision):
    """N1 and Ninf of two networks of equal weights, built and differentiated one after the other."""
    x, labels = minibatch(index, precision.storage)
    gradients = []
    with fixed(precision):
        for choice in choices:
            plain = build("lenet5", batch_norm=False, seed=0)
            model = at(swap(plain, **choice, example=torch.zeros(2, 1, 28, 28)), precision)
            initialise(model, "default", seed)
            loss(model(x), labels).backward()
            gradients.append([p.grad for p in model.parameters()])
    n1 = ninf = torch.zeros((), dtype=precision.storage)
    for a, b in zip(*gradients, strict=True):
        n1, ninf = n1 + torch.linalg.vector_norm(a - b, 1), ninf + (a - b).abs().max()
    return float(n1), float(ninf)


def test_a_job_measures_what_two_networks_give():
    rows = zones.job(**settings())
    counted = rows.groupby("arm").size().to_dict()
    assert counted == {"beta": 4, "swapped": 4, "reordered": 2, "error": 2, "repeated": 2}
    assert rows["minibatch"].unique().tolist() == [6, 7, 8, 9]
    jacobians = [{"pool": PoolDerivative(0.0)}, {"pool": PoolDerivative(1.0)}]
    values = [{"relu": ReLUDerivative(0.0)}, {"relu": ReLUDerivative(1.0)}]
    for arm, choices in (("beta", jacobians), ("swapped", values)):
        for row in rows[rows["arm"] == arm].to_dict("records"):
            assert (row["n1"], row["ninf"]) == described(choices, row["seed"], row["minibatch"], named("fp16"))
    beta = rows[rows["arm"] == "beta"]
    assert (beta["ninf"] > 0).all() and (beta["windows"] == BATCH * (6 * 144 + 16 * 16)).all()
    assert (beta["tied"] > 0).all() and beta["topmost"].isin([0, 1]).all()


def test_yardsticks_are_rounding_and_nothing_else():
    rows = zones.job(**settings(precision="fp32", arms=[])).set_index("arm")
    assert (rows.loc["repeated", ["n1", "ninf"]] == 0).all(axis=None)
    assert rows.loc[["reordered", "error"], "ninf"].between(1e-12, 1e-5).all()
    wide = zones.job(**settings(precision="fp64", arms=[], yardsticks=["error"]))
    assert (wide["ninf"] < 1e-12).all(), "in 64 bits only the order of summation is left"


def test_swapped_arguments_are_equal_where_no_relu_meets_a_zero():
    rows = zones.job(**settings(precision="fp64", arms=["swapped"], yardsticks=[], seeds=1))
    assert (rows["n1"] == 0).all()


def test_unfolded_convolutions_are_convolutions():
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    model = build("resnet18-2x2", batch_norm=False, seed=0).double()
    expected = model(x)
    assert torch.allclose(zones.unfolded(model)(x), expected, rtol=0, atol=1e-12)


def test_cells_are_read_from_their_names():
    found = zone_cells.cells({"vgg11": {"fp32": [9, 2, 0, 0], "fp64": [0, 0, 0, 0]}, "vgg19 bn 64": {"fp16": [1] * 4}})
    assert [(c["network"], c["batch_norm"], c["batch_size"], c["precision"]) for c in found] == [
        ("vgg11", False, 128, "fp32"),
        ("vgg19", True, 64, "fp16"),
    ]
    for name in ("vgg11 64 128", "vgg11 norm", "vgg11 bn bn"):
        with pytest.raises(ValueError, match="allowed: a network, perhaps bn"):
            zone_cells.cells({name: {"fp32": [1, 0, 0, 0]}})
    for numbers in ([1], [1, 2, 0, 0]):
        with pytest.raises(ValueError, match="allowed: four numbers"):
            zone_cells.cells({"vgg11": {"fp32": numbers}})


def test_jobs_cover_every_initialisation_once_and_start_with_the_longest():
    grid = {"vgg11": {"fp32": [9, 2, 1, 0]}, "vgg11 64": {"fp32": [3, 0, 0, 0]}, "vgg19 bn": {"fp16": [1, 1, 0, 1]}}
    cut = zone_cells.jobs(grid, 4, 1, device="cpu")
    assert cut[0]["network"] == "vgg19" and cut[0]["device"] == "cpu"
    ours = sorted((c for c in cut if c["network"] == "vgg11" and c["batch_size"] == 128), key=lambda c: c["first_seed"])
    assert [c["seeds"] for c in ours] == [1, 1, 4, 3]
    assert [c["yardsticks"] for c in ours] == [["reordered", "error"], ["reordered"], [], []]
    assert all(a["first_seed"] + a["seeds"] == b["first_seed"] for a, b in pairwise(ours))
    seeds = [{*range(c["first_seed"], c["first_seed"] + c["seeds"])} for c in cut]
    assert sum(map(len, seeds)) == len(set().union(*seeds)) == 13, "every panel has initialisations of its own"


def rows(values, arm="beta", precision="fp32", **cell):
    """Rows of a cell from [[Ninf of the mini-batches of one initialisation], ...]."""
    cell = {"network": "vgg11", "batch_norm": False, "init": "kaiming_uniform", "batch_size": 128} | cell
    cell |= {"precision": precision, "bias": "accumulator", "deterministic": True, "arm": arm}
    return pd.DataFrame(
        {"seed": seed, "minibatch": index, "n1": 2 * value, "ninf": value} | cell
        for seed, per_init in enumerate(values)
        for index, value in enumerate(per_init)
    )


def test_zones_are_counted_by_their_definitions():
    table = pd.concat([rows([[0.0, 5e-8], [1e-7, 3e-6], [2e-7, 4e-7]]), rows([[3e-7], [1e-7]], "reordered")])
    found = zone_cells.shares(table).set_index(["level", "arm", "threshold"])
    pairs = found.loc["minibatch", "beta", "published"]
    assert pairs[["tau", "inits", "n", "count"]].tolist() == [1e-7, 3, 6, 3], "the inequality is strict"
    assert pairs["share"] == 0.5 and pairs["compensation"] == pytest.approx(2 / 6) and pairs["equal"] == 1 / 6
    assert pairs["low"] < 0.5 < pairs["high"] and pairs["hoeffding"] == stats.hoeffding(3)
    networks = found.loc["network", "beta", "published"]
    assert networks[["tau", "n", "count"]].tolist() == [1e-6, 3, 1]
    assert (networks["low"], networks["high"]) == stats.clopper_pearson(1, 3)
    assert found.loc["first", "beta", "published"]["count"] == 1
    repaired = found.loc["minibatch", "beta", "reordered"]
    assert repaired[["tau", "count"]].tolist() == [3e-7, 2]
    assert found.loc["minibatch", "reordered", "published"]["count"] == 1
    assert ("minibatch", "beta", "error") not in found.index, "what was not measured has no row"
    assert set(zone_cells.shares(rows([[1.0]], precision="bf16")).columns) <= {"threshold"}


def test_intervals_know_that_minibatches_of_one_network_are_dependent():
    above, seeds = pd.Series([True, False, True, True]), pd.Series([0, 1, 2, 3])
    assert zone_cells.interval(above, seeds) == stats.clopper_pearson(3, 4)
    none = pd.Series([False] * 40)
    assert zone_cells.interval(none, pd.Series(np.repeat([0, 1], 20))) == stats.clopper_pearson(0, 2)
    assert zone_cells.interval(~none, pd.Series(np.repeat([0, 1], 20))) == stats.clopper_pearson(2, 2)
    mixed = pd.Series([True, False] * 20)
    assert zone_cells.interval(mixed, pd.Series([0] * 40)) == (0.0, 1.0)
    low, high = zone_cells.interval(pd.Series([True] * 20 + [False] * 20), pd.Series(np.repeat([0, 1], 20)))
    assert (low, high) == (0.0, 1.0), "two networks that disagree say little, however many mini-batches they have"


def test_yardsticks_are_the_largest_of_each():
    table = pd.concat([rows([[1e-7]]), rows([[3e-7], [1e-7]], "reordered"), rows([[0.0]], "repeated")])
    found = zone_cells.yardsticks(table).iloc[0]
    assert found[["reordered", "reordered_median", "reordered_n", "repeated", "error_n"]].tolist() == [
        3e-7, pytest.approx(2e-7), 2, 0.0, 0,
    ]  # fmt: skip
    assert np.isnan(found["error"])
