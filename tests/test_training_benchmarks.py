"""The benchmarks of training: each runs once in a small form, and each refuses to time what is wrong."""

import math
import multiprocessing

import benchmarks.__main__ as command
import pandas as pd
import pytest
import torch
from benchmarks import costs, described_training, loaders, packing, timing, training, ways
from benchmarks.timing import COLUMNS, CheckError, Clock, Cost, SpeedUp, skipped

from kinks.data import load
from kinks.nets.registry import build


@pytest.fixture(autouse=True)
def one_short_sample(monkeypatch):
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0.0)


def measured(result):
    assert result.correct, result.row["correct"]
    assert list(result.row) == COLUMNS and result.row["ratio_median"] > 0
    return result.row


def failed(result, said):
    assert not result.correct and result.row["correct"] == f"FAILED: {said}" and result.row["ratio_median"] is None


def test_the_loaders_are_compared():
    row = measured(loaders.loading("mnist", SpeedUp(), images=96, batch=32))
    assert row["correct"] == "images equal in all bits"


def test_a_loader_with_other_bits_is_not_timed(monkeypatch):
    right = loaders.normalise
    monkeypatch.setattr(loaders, "normalise", lambda *given: right(*given) * (1 + 1e-6))
    failed(loaders.loading("mnist", SpeedUp(), images=64, batch=32), "images equal in all bits")


def test_crops_are_compared_with_torchvision_s(monkeypatch):
    pixels = torch.randint(0, 256, (64, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert "64 crops" in loaders.check_loader(pixels, "photographs", augment=True)
    right = loaders.Epoch.images
    monkeypatch.setattr(
        loaders.Epoch,
        "images",
        lambda draw, *given: right(draw, *given) if draw.corners is None else right(draw, *given).flip(-1),
    )
    with pytest.raises(CheckError, match="crops equal torchvision's"):
        loaders.check_loader(pixels, "photographs", augment=True)


def test_the_described_loader_shuffles_and_crops_at_random():
    data = load("mnist")
    images, labels = data.images[:40], data.labels[:40]
    torch.manual_seed(0)
    x, y = zip(*described_training.loader(images, labels, "mnist", 16, augment=True), strict=True)
    assert [len(part) for part in x] == [16, 16, 8] and x[0].shape[1:] == (1, 28, 28) and x[0].dtype == torch.float32
    assert not torch.equal(torch.cat(y), labels) and torch.equal(torch.cat(y).sort()[0], labels.sort()[0])


@pytest.mark.parametrize("kink", [{"beta": 0.0}, {"beta": 1.0}, {"alpha": 0.5, "rule": "assign"}], ids=str)
def test_steps_are_compared(kink):
    row = measured(training.stepping("lenet5", 8, SpeedUp(), **kink))
    assert "weights of 3 steps equal in all bits" in row["correct"] and row["limit_share"] > 0
    assert ("beta = 1000" in row["correct"]) == ("beta" in kink)


def test_a_step_with_other_weights_is_not_timed(monkeypatch):
    right = described_training.optimiser
    monkeypatch.setattr(described_training, "optimiser", lambda net, kind, rate: right(net, kind, rate * 1.001))
    failed(training.stepping("lenet5", 8, SpeedUp(), beta=1.0), "loss and accuracy equal in all bits")
    failed(training.torchs_layers("lenet5", 8, Cost()), "loss and accuracy equal in all bits")


def test_a_forward_that_is_not_the_maximum_is_not_timed(monkeypatch):
    right = training.run
    mixed = lambda *given, **changes: right(*given, **changes | {"forward": "mixed"})  # noqa: E731
    monkeypatch.setattr(training, "run", mixed)
    with pytest.raises(CheckError, match="logits at beta = 1000 are torch's"):
        training.check_steps("lenet5", 8, beta=1.0)


@pytest.mark.parametrize("count", [False, True])
def test_torch_s_own_layers_are_compared(count):
    row = measured(training.torchs_layers("mlp 1x16", 8, Cost(), count=count))
    assert row["name"].endswith("counting") == count


def test_whole_passes_are_compared(monkeypatch):
    measured(training.whole_pass("lenet5", 128, SpeedUp()))
    monkeypatch.setattr(training.Training, "one_pass", lambda *_: None)
    failed(training.whole_pass("lenet5", 128, SpeedUp()), "all losses are finite")


def test_the_described_training_anneals_its_rate_and_learns():
    data = load("mnist")
    loader = described_training.loader(data.images[:256], data.labels[:256], "mnist", 32, augment=False)
    torch.manual_seed(0)
    net = described_training.network("lenet5", batch_norm=True, seed=0, beta=1.0)
    passes = described_training.train(net, loader, kind="adam", rate=0.003, epochs=3)
    assert passes[0].loss > passes[2].loss and passes[2].accuracy > 0.7


def test_every_way_of_packing_gives_the_losses_of_networks_alone():
    result = packing.ways("mlp 1x8", "cpu", ["batched weights"], seeds=2, steps=1)[0]
    assert measured(result)["correct"] == "losses of 2 networks equal within 1e-4"


def test_a_process_trains_the_network_that_it_is_given_until_it_is_told_to_end():
    run = training.run("mlp 1x8", 128, seed=1, count=False)
    here, there = multiprocessing.Pipe()
    for wanted in (True, False):
        here.send(wanted)
    ways._serve(there, run)
    assert [here.recv()] == ways.Alone([run])() and not here.poll()


def test_a_way_of_packing_that_trains_something_else_is_not_timed(monkeypatch):
    monkeypatch.setitem(packing.WAYS, "wrong", lambda runs, stack: lambda: [1.0] * len(runs))
    (result,) = packing.ways("mlp 1x8", "cpu", ["wrong"], seeds=2, steps=1)
    assert not result.correct and "agree within 1e-4" in result.row["correct"]


def test_the_best_way_has_the_goal():
    def found(name, low):
        row = dict.fromkeys(COLUMNS) | {"name": name, "ratio_q1": low, "ratio_median": low, "ratio_q3": low + 1}
        return timing.Result(row, correct=low > 0, reached=True)

    top = packing.best("lenet5", [found("a", 1.9), found("b", 2.1), found("c", -1)])
    assert top.row["name"] == "b (best way)" and top.reached and top.row["goal"] == "speed-up >= 2"
    assert not packing.best("lenet5", [found("a", 1.9)]).reached
    assert not packing.best("lenet5", [found("c", -1)]).correct


def test_multiplications_are_those_of_the_layers():
    net = build("mlp 1x8", batch_norm=False, seed=0)
    assert packing.multiplications(net, torch.zeros(3, 1, 28, 28)) == 3 * (784 * 8 + 8 * 10)
    lenet = build("lenet5", batch_norm=False, seed=0)
    convolutions = 24 * 24 * 6 * 25 + 8 * 8 * 16 * 150
    assert packing.multiplications(lenet, torch.zeros(2, 1, 28, 28)) == 2 * (convolutions + 256 * 120 + 120 * 84 + 840)


def test_without_a_gpu_its_rows_say_so(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(packing, "ways", lambda *_, **__: [skipped("", "", Cost(), "")])
    rows = list(packing.rows())[2:]
    assert len(rows) == 5 and all(result.correct and result.reached for result in rows)
    assert command.line(rows[0]) == "lenet5, 8 seeds, best way: skipped: needs a CUDA device, and there is none"
    assert list(rows[0].row) == COLUMNS


def test_a_clock_decides_what_a_second_is():
    now = iter(range(10**6))
    clock = Clock(lambda: float(next(now)), lambda: "a clock")
    result = timing.paired("a", lambda: next(now), "b", int, check=lambda: "", goal=Cost(), rounds=7, clock=clock)
    assert result.row["ratio_median"] == 2.0 and result.row["device"] == "a clock"


TINY = {"paper": "max-pool", "network": "lenet5", "optimiser": "adam", "precision": "fp16", "batch_norm": True}


@pytest.fixture
def few_steps(monkeypatch):
    monkeypatch.setattr(costs, "BATCH", 16)
    monkeypatch.setattr(costs, "SECONDS", 0.0)


def test_costs_are_published_sizes_times_measured_steps(few_steps, monkeypatch, tmp_path, capsys):
    taken = {"step_s": 0.01, "test_s": 0.001, "memory_mib": 100, "device": "a machine"}
    monkeypatch.setattr(costs, "apart", lambda jobs: [taken for _ in jobs])
    monkeypatch.setattr(costs.paths, "RESULTS", tmp_path)
    assert command.main(["costs"]) == 0
    table = pd.read_csv(tmp_path / "costs.csv").set_index(["name", "batch_norm"])
    row = table.loc[("M8a", True)]
    epoch = math.ceil(60_000 / costs.BATCH) * 0.01 + 10_000 * 0.001
    assert row["epoch_s"] == pytest.approx(epoch, abs=0.05) and row["runs"] == 6 * 10 and row["epochs"] == 100
    assert row["run_h"] == pytest.approx(100 * epoch / 3600, abs=1e-3)
    assert row["total_h"] == pytest.approx(60 * 100 * epoch / 3600, abs=0.05)
    assert row["runs_per_h"] == pytest.approx(3600 / (100 * epoch), rel=1e-2)
    assert table.loc[("M8g", True), "memory_mib"] == 100 + round(557_163 * 3072 / 2**20)
    dropouts = table.loc[("E10", False)].set_index("dropout")["runs"]
    assert dropouts.tolist() == [3 * 10, 3 * 10 * 9]
    page = (tmp_path / "costs.md").read_text()
    assert f"{table['runs'].sum():,} runs" in page and "a machine" in page and "costs.csv" in capsys.readouterr().out


def test_every_published_configuration_is_in_the_table():
    listed = costs.listed()
    assert set(listed["name"]) == set(costs.published.names())
    for given in listed[costs.KEY].drop_duplicates().to_dict("records"):
        costs.settings(given, "cpu")


def test_a_measurement_trains_the_network_that_is_asked_for(few_steps, monkeypatch):
    seen = []
    right = costs.Training.step
    monkeypatch.setattr(costs.Training, "step", lambda one, *given: (seen.append(one.run), right(one, *given))[1])
    found = costs.measure(TINY | {"dropout": 0.0}, "cpu")
    run = seen[0]
    assert (run.network, run.optimiser, run.precision, run.batch_norm, run.beta) == (
        "lenet5",
        "adam",
        "fp16",
        True,
        1.0,
    )
    assert len(seen) == 1 + costs.STEPS[0] and found["step_s"] > 0 and found["test_s"] > 0
    assert found["memory_mib"] > 50 and found["device"] == timing.device()
