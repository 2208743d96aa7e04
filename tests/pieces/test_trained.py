"""Jobs on networks at initialisation and in training, against direct computations and closed forms."""

import numpy as np
import pytest
import torch

from kinks.pieces import along, counts, started, tasks, trained
from kinks.pieces.arithmetic import named
from kinks.pieces.descent import descent
from kinks.pieces.gradients import bias_gradients, gradients, network, parameters, stacked
from kinks.pieces.initial import initial

WIDE = named("fp64")
T1 = {"name": "interval", "target": "sine", "points": 64}
JOB = {
    "task": T1, "init": "default", "bias_sd": 0.0, "hidden_layers": 2, "widths": [6], "rule": "descent",
    "step_size": 0.1, "batch": None, "seeds": 2, "first_seed": 0, "steps": [0, 5], "device": "cpu",
}  # fmt: skip


def test_bias_gradients_alone_are_the_same_bits():
    task = tasks.interval("sine", 32)
    for name in ("fp64", "fp16"):
        found = parameters(initial([1, 7, 5, 1], "default", 0), named(name))
        both, _ = gradients(found, task.x, task.y, named(name))
        alone = bias_gradients(found, task.x, task.y, named(name))
        assert all(torch.equal(bias, one) for (_, bias), one in zip(both, alone, strict=True))


def test_rows_hold_the_gradient_and_exact_counts_of_each_network_and_step():
    rows = trained.job(**JOB)
    assert len(rows) == 2 * 2 * 2 and rows["finite"].all()
    task = tasks.task(**T1)
    walk = descent(parameters(initial([1, 6, 6, 1], "default", 1), WIDE), task.x, task.y, 0.1, WIDE)
    found = [next(walk) for _ in range(5)][-1]
    slope, outputs = gradients(found, task.x, task.y, WIDE)
    exact = along(network(found), 0.0, 1.0, neurons=True)
    for layer in (1, 2):
        row = rows[(rows["seed"] == 1) & (rows["step"] == 5) & (rows["layer"] == layer)].iloc[0]
        np.testing.assert_allclose(row["gradient"], slope[layer - 1][1].numpy(), rtol=1e-9, atol=1e-13)
        assert (row["regions"], row["pieces"]) == (exact.regions, exact.pieces)
        assert row["steepest"] == pytest.approx(exact.neurons.steepest[layer - 1].max())
        assert row["mean_variation"] == pytest.approx(exact.neurons.variation[layer - 1].mean())
        assert row["dead"] == exact.neurons.dead[layer - 1].sum()
        assert row["loss"] == pytest.approx(float(((outputs - task.y) ** 2).mean()))


def test_neurons_without_gradient_are_dead_on_the_data():
    rows = trained.job(**JOB | {"widths": [12], "seeds": 3})
    first = rows[rows["layer"] == 2]
    zeros = [sum(value == 0 for value in one) for one in first["gradient"]]
    assert (first["dead"] <= zeros).all() and (first["crossing_unmoved"] <= np.array(zeros) - first["dead"]).all()


def test_a_revived_neuron_is_counted(monkeypatch):
    dead = initial([1, 3, 1], "default", 0)
    low = dead.with_biases([dead.layers[0].bias[0] - 10])
    monkeypatch.setattr(trained, "_start", lambda *arguments: low)
    monkeypatch.setattr(trained, "descent", lambda found, *_, **__: iter([parameters(dead, WIDE, 1)] * 2))
    rows = trained.job(**JOB | {"hidden_layers": 1, "widths": [3], "seeds": 1, "steps": [0]})
    alive = sum(int(one.sum()) for one in counts(dead, 0.0, 1.0, neurons=True).neurons.active)
    assert rows["dead"].iloc[0] == 3 and rows["revived"].iloc[0] == alive > 0


def test_a_run_that_leaves_the_numbers_is_recorded_as_stopped():
    rows = trained.job(**JOB | {"step_size": 1e60, "steps": [0, 8], "seeds": 1})
    assert not rows[rows["step"] == 8]["finite"].any() and rows[rows["step"] == 8]["regions"].isna().all()


def test_minibatches_are_keyed_by_the_step():
    rows, again = (trained.job(**JOB | {"batch": 16}) for _ in range(2))
    assert rows["regions"].equals(again["regions"]) and (rows["batch"] == 16).all()
    assert rows["gradient"].iloc[0] != trained.job(**JOB)["gradient"].iloc[0]


def test_the_cube_is_counted_between_data_and_dead_on_the_data():
    task = tasks.cube(dimension=4, points=32, segments=3)
    assert task.ends.shape == (2, 3, 4) and not task.whole
    rows = trained.job(**JOB | {"task": {"name": "cube", "dimension": 4, "points": 32, "segments": 3}, "steps": [0]})
    found = parameters(initial([4, 6, 6, 1], "default", 0), WIDE)
    on = trained.active(stacked([found]), task.x)
    assert rows["dead"].iloc[0] == (~on[0]).sum()
    regions = [along(network(found), *ends).regions for ends in zip(*task.ends, strict=True)]
    assert rows["regions"].iloc[0] == np.mean(regions)


def test_cross_entropy_is_the_loss_of_torch():
    outputs, labels = torch.randn(2, 5, 3, dtype=torch.float64), torch.tensor([0, 2, 1, 1, 0])
    expected = [float(torch.nn.functional.cross_entropy(one, labels)) for one in outputs]
    np.testing.assert_allclose(trained.loss(outputs, labels, "cross_entropy"), expected)


def test_training_may_start_at_the_sawtooth():
    job = JOB | {"init": "sawtooth", "hidden_layers": 5, "widths": [2], "seeds": 1, "steps": [0]}
    assert trained.job(**job)["regions"].iloc[0] == 32


def test_a_grid_is_a_job_per_depth_and_names_its_data():
    settings, label = trained.grid([{"hidden_layers": [1, 2], "widths": [8]}], {"task": T1, "seeds": 3}, "embedded")
    assert [one["hidden_layers"] for one in settings] == [1, 2] and settings[0]["seeds"] == 3
    assert label["interval"].startswith("T1")
    mnist, label = trained.grid([{"hidden_layers": [1], "task": {"name": "mnist", "images": 8}}], {}, "embedded")
    assert mnist[0]["task"]["checksum"] and "MNIST" in label["mnist"]


def test_initial_networks_without_biases_have_two_regions_and_the_sawtooth_doubles():
    rows = started.job(init="he", bias_sd=0.0, hidden_layers=3, widths=[8, 16], seeds=2, ends=[-1.0, 1.0])
    assert (rows["regions"] == 2).all() and rows["neurons"].tolist() == [24, 24, 48, 48]
    saw = started.job(init="sawtooth", bias_sd=0.0, hidden_layers=4, widths=[2], seeds=1, ends=[0.0, 1.0])
    assert saw["regions"].tolist() == [16] and saw["steepest"].tolist() == [8.0]
    assert saw["mean_steepest"].tolist() == [(1 + 2 + 4 + 8) / 4] and saw["variation"].tolist() == [8.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tasks.task("circle"), "task is 'circle'; allowed: interval, mnist, cube"),
        (lambda: tasks.interval("cosine"), "target is 'cosine'; allowed: sine, square, absolute, sawtooth"),
    ],
)
def test_unknown_names_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
