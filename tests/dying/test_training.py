"""Sweeps as ensembles: networks of one seed are pairs, counts start at step 0, and controls do what they are for."""

import pytest
import torch

from kinks.data import DataError
from kinks.dying import regression, sweep
from kinks.dying.architecture import Architecture
from kinks.dying.ensemble import Ensemble, descend
from kinks.dying.rules import SGD
from kinks.dying.target_scale import RunningScale, per_unit_variance
from kinks.dying.training import Plan, minibatches, train


@pytest.fixture(scope="module")
def small():
    return regression.teacher("sine", 4, n=125, seed=0)


def given(small, **changes):
    return dict(
        data=small, data_seed=0, width=4, depth=2, kind="plain", initialisation="library", gammas=[0.01, 1.0],
        rates=[0.1], seeds=[0, 1, 2], optimiser="sgd", momentum=0.9, epsilon=1e-8, batch=16, record=[0, 7, 20],
        dtype="float64",
    ) | changes  # fmt: skip


def test_rows_of_a_sweep(small):
    table = sweep.job(**given(small, rates=[0.1, 0.05]))
    assert len(table) == 2 * 2 * 3 * 3 * 2, "gammas, rates, seeds, records, layers"
    assert table.groupby(["gamma", "rate", "seed"])["net"].nunique().eq(1).all() and table["net"].nunique() == 12
    first = table[table["step"] == 0]
    assert first.groupby(["seed", "layer"])["dead"].nunique().eq(1).all(), "pairs start alike"
    assert (table["nearly_dead"] >= table["dead"]).all() and (table["width"] == 4).all()
    assert not table.isna().any().any() and not table["diverged"].any()
    assert (table["train_rows"] == 80).all() and (table["data"] == "sine-4").all()


def test_a_sweep_in_parts_is_the_sweep(small):
    whole, parts = sweep.job(**given(small)), sweep.job(**given(small, together=2))
    order = ["net", "step", "layer"]
    one, other = (table.sort_values(order).reset_index(drop=True) for table in (whole, parts))
    assert one[["net", "seed", "gamma", "dead"]].equals(other[["net", "seed", "gamma", "dead"]])
    assert (one["train_error"] / other["train_error"] - 1).abs().max() < 1e-9


def test_counts_and_errors_are_those_of_a_module(small):
    table = sweep.job(**given(small, gammas=[0.5], seeds=[4], record=[0]))
    module = Ensemble(Architecture(4, 4, 2), [4], dtype=torch.float64).module(0)
    inputs = []
    with torch.no_grad():
        predicted = module(small.train.x, inputs)
    assert table["dead"].tolist() == [float((z <= 0).all(0).sum()) for z in inputs]
    assert table["train_error"][0] == pytest.approx(float((predicted / 0.5 - small.train.y).square().mean()))


def test_every_seed_has_its_own_mini_batches(small):
    nets = Ensemble(Architecture(4, 2, 1), [5, 6, 5], dtype=torch.float64)
    batches = minibatches(small.train, [5, 6, 5], Plan(SGD(0.1), 16, [1]), nets)
    drawn = [next(batches) for _ in range(5)]
    x, y = drawn[0]
    assert x.shape == (3, 16, 4) and y.shape == (3, 16, 1)
    assert torch.equal(x[0], x[2]) and not torch.equal(x[0], x[1])
    rows = torch.cat([y[1, :, 0] for _, y in drawn])
    assert torch.equal(rows.sort().values, small.train.y.sort().values), "a pass sees every row once"
    assert next(minibatches(small.train, [5, 6, 5], Plan(SGD(0.1), 16, [1], shared=True), nets))[0].shape[0] == 1
    assert next(minibatches(small.train, [5, 6, 5], Plan(SGD(0.1), 99, [1]), nets))[0].shape == (1, 80, 4)


@pytest.mark.parametrize("layout", ["stacked", "innermost"])
def test_a_running_scale_makes_training_blind_to_powers_of_two(small, layout):
    settings = given(small, running_scale=True, layout=layout, gammas=[2**-13, 1.0, 64.0], record=[0, 1, 20])
    table = sweep.job(**settings).query("step > 0")
    for column in ("dead", "nearly_dead", "train_error", "test_error"):
        assert table.groupby(["seed", "step", "layer"])[column].nunique().eq(1).all(), column
    plain = sweep.job(**settings | {"running_scale": False}).query("step == 20 and layer == 1")
    assert plain.groupby("seed")["train_error"].nunique().eq(3).all()


def test_a_running_scale_preserves_predictions_and_finds_the_moments():
    nets = Ensemble(Architecture(3, 4, 2), range(2), dtype=torch.float64)
    scale, x = RunningScale(nets, memory=0.99), torch.randn(10, 3, dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    targets = 3 + 0.2 * torch.randn(40, 1, 25, 1, generator=generator, dtype=torch.float64)
    assert torch.equal(scale.predictions(nets.outputs(x)), nets.outputs(x))
    scale.normalise(targets[0])
    before = scale.predictions(nets.outputs(x))
    for y in targets[1:]:
        normalised = scale.normalise(y)
    assert torch.allclose(scale.predictions(nets.outputs(x)), before, atol=1e-11)
    assert float(scale.mean) == pytest.approx(float(targets.mean())) and float(scale.scale) == pytest.approx(
        0.2, rel=0.1
    )
    assert float(normalised.mean().abs()) < 1 and 0.5 < float(normalised.std()) < 2
    with pytest.raises(ValueError, match="memory is 1; allowed"):
        RunningScale(nets, 1)


def test_targets_that_never_vary_do_not_divide_by_zero():
    nets = Ensemble(Architecture(3, 4, 2), [0], dtype=torch.float64)
    for value in (0.0, 5.0):
        assert torch.isfinite(RunningScale(nets).normalise(torch.full((1, 8, 1), value, dtype=torch.float64))).all()


def test_diverged_networks_are_shown(small):
    table = sweep.job(**given(small, rates=[1e9, 0.01], dtype="float32"))
    last = table[table["step"] == 20]
    assert last.groupby("rate")["diverged"].all().to_dict() == {0.01: False, 1e9: True}
    assert last.loc[last["diverged"], ["dead", "nearly_dead"]].isna().all().all()


def test_a_dead_network_has_the_error_of_its_constant():
    y = torch.tensor([1.0, -1.0, 1.0, -1.0])
    found = per_unit_variance(torch.zeros(2, 4), y, torch.tensor([1e-4, 10.0]))
    assert found.tolist() == [1.0, 1.0]


def test_one_rate_or_one_per_network(small):
    shape, seeds = Architecture(4, 4, 2), [0, 1]
    both = Ensemble(shape, seeds, dtype=torch.float64)
    each = Plan(SGD(torch.tensor([0.1, 0.02], dtype=torch.float64)), 16, [10])
    table = train(both, small, seeds, 1.0, each)
    for net, rate in enumerate((0.1, 0.02)):
        alone = Ensemble(shape, [seeds[net]], dtype=torch.float64)
        expected = train(alone, small, [seeds[net]], 1.0, Plan(SGD(rate), 16, [10]))
        found = table[table["net"] == net]
        assert found["train_error"].to_list() == pytest.approx(expected["train_error"].to_list(), rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"gammas": [1.0, 0.0]}, r"gamma is 0.0; allowed: > 0, .* 0 < eta < 3.8"),
        ({"gammas": [-2.0]}, "gamma is -2.0"),
        ({"rates": [0.0]}, "rate is 0.0; allowed: > 0"),
        ({"record": [5, 1]}, "record is .* increasing"),
        ({"clip": 0.0}, "clip is 0.0"),
        ({"optimiser": "lamb"}, "optimiser is 'lamb'"),
        ({"data": "boston"}, "regression set is 'boston'"),
    ],
    ids=lambda value: str(next(iter(value))) if isinstance(value, dict) else "",
)
def test_what_a_sweep_refuses(small, changes, said):
    with pytest.raises((ValueError, DataError), match=said):
        sweep.job(**given(small, **changes))


def test_numbers_that_do_not_fit_the_ensemble(small):
    nets = Ensemble(Architecture(4, 4, 2), [0, 1])
    with pytest.raises(ValueError, match="3 values for 2 networks"):
        train(nets, small, [0, 1], [1.0, 2.0, 3.0], Plan(SGD(0.1), 16, [1]))
    with pytest.raises(ValueError, match="1 seeds for 2 networks"):
        train(nets, small, [0], 1.0, Plan(SGD(0.1), 16, [1]))


def test_statistics_carry_no_graph(small):
    shape = Architecture(4, 3, 2, batch_norm=True)
    nets = Ensemble(shape, [0], dtype=torch.float64)
    x, y = nets.lay(small.train.x[None]), nets.lay(small.train.y[None, :, None])
    nets.note(descend(shape, "stacked", nets.weights, [], x, y, SGD(0.1), 1), 80)
    assert not any(one.requires_grad for pair in nets.running for one in pair)
