"""The benchmark's own honesty: what is timed, what is refused, and a described loop that finds what is there."""

import time
from itertools import pairwise

import benchmarks.__main__ as command
import pandas as pd
import pytest
import torch
from benchmarks import described_loop, operators, timing
from benchmarks.timing import COLUMNS, Cost, SpeedUp, paired, require
from slow_reference import lattice
from torch.autograd import grad
from torchvision.transforms.functional import to_tensor

from kinks.ops import ReLUDerivative, relu

SIZES = (9, 8, 8, 8, 4)
DTYPES = [torch.float32, torch.float64, torch.float16]


def work(units):
    def program():
        until = time.process_time() + units * 1e-3
        while time.process_time() < until:
            pass

    return program


@pytest.fixture(autouse=True)
def short_samples(monkeypatch):
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0.004)


def test_ratios_quartiles_and_goals_in_both_directions():
    result = paired(
        "ours", work(1), "theirs", work(3), check=lambda: "equal", goal=SpeedUp(2.0), limit=work(0.5), rounds=7
    )
    row = result.row
    assert list(row) == COLUMNS and row["rounds"] == 7 and row["correct"] == "equal"
    assert row["ratio_q1"] <= row["ratio_median"] <= row["ratio_q3"]
    assert row["ratio_median"] == pytest.approx(3.0, rel=0.2) and row["limit_share"] == pytest.approx(0.5, rel=0.2)
    assert result.correct and result.reached and row["goal"] == "speed-up >= 2"
    slow = paired("ours", work(3), "theirs", work(1), check=lambda: "equal", goal=Cost(1.15), rounds=7)
    assert slow.row["ratio_median"] == pytest.approx(3.0, rel=0.2) and not slow.reached


def test_goals_are_judged_by_the_unfavourable_quartile():
    assert SpeedUp(6).reached(6.0, 9.0) and not SpeedUp(6).reached(5.9, 9.0)
    assert Cost(1.6).reached(1.0, 1.6) and not Cost(1.6).reached(1.0, 1.61)
    assert SpeedUp().reached(0.1, 0.1) and str(Cost()) == "cost, no goal"


def test_a_failed_check_times_nothing_and_prints_no_time(capsys, monkeypatch):
    def check():
        require(False, "gradients are equal")

    def never():
        raise AssertionError("timed although the check failed")

    result = paired("ours", never, "theirs", never, check=check, goal=SpeedUp(6))
    assert not result.correct and not result.reached
    assert result.row["correct"] == "FAILED: gradients are equal" and result.row["ratio_median"] is None
    monkeypatch.setattr(operators, "rows", lambda: iter([result]))
    assert command.main(["operators"]) == 1
    printed = capsys.readouterr()
    assert "ours: FAILED: gradients are equal\n" in printed.out and "[" not in printed.out


def test_fewer_than_seven_rounds_are_refused():
    with pytest.raises(ValueError, match=r"paired: rounds is 6; allowed: 7 or more"):
        paired("a", work(1), "b", work(1), check=lambda: "", goal=Cost(), rounds=6)


def test_threads_are_one_while_timing_and_restored():
    before = torch.get_num_threads()
    with timing.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_command_writes_both_files_and_shows_a_missed_goal(tmp_path, capsys, monkeypatch):
    reached = paired("fast", work(1), "theirs", work(2), check=lambda: "equal", goal=SpeedUp(1.2), rounds=7)
    missed = paired("slow", work(2), "theirs", work(1), check=lambda: "equal", goal=SpeedUp(1.2), rounds=7)
    monkeypatch.setattr(command.paths, "RESULTS", tmp_path / "reports")
    for module in command.available().values():
        monkeypatch.setattr(module, "rows", lambda: iter([]))
    monkeypatch.setattr(operators, "rows", lambda: iter([reached, missed]))
    assert command.main([]) == 1
    assert capsys.readouterr().out.count("GOAL MISSED") == 1
    table = pd.read_csv(tmp_path / "reports" / "benchmarks.csv")
    assert list(table.columns) == COLUMNS and list(table.name) == ["fast", "slow"]
    text = (tmp_path / "reports" / "benchmarks.md").read_text()
    assert "GOAL MISSED" in text and "GFLOP/s" in text
    monkeypatch.setattr(operators, "rows", lambda: iter([reached]))
    assert command.main([]) == 0


def test_an_unknown_benchmark_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        command.main(["operatrs"])
    assert "no benchmark 'operatrs'; allowed: " in capsys.readouterr().err


def test_the_operator_s_check_refuses_a_wrong_derivative_and_a_wrong_input():
    z, upstream = torch.tensor([1.0, -1.0, 0.2]), torch.ones(3)
    half = ReLUDerivative(0.5)
    assert "equal the definition" in operators._check(lambda t: relu(t, half), half, z, upstream, zeros=False)
    with pytest.raises(timing.CheckError, match="gradient equals its definition"):
        operators._check(torch.relu, half, z, upstream, zeros=False)
    with pytest.raises(timing.CheckError, match="the timed input has no zero"):
        operators._check(lambda t: relu(t, half), half, torch.zeros(3), upstream, zeros=False)


def layers_on_a_lattice(seed):
    return [
        (lattice((fan_out, fan_in), torch.float32, seed + depth), lattice((fan_out,), torch.float32, seed - depth))
        for depth, (fan_in, fan_out) in enumerate(pairwise(SIZES))
    ]


def minibatches(batch=8):
    images = torch.randint(0, 2, (24, 3, 3), generator=torch.Generator().manual_seed(1), dtype=torch.uint8) * 255
    return images, torch.arange(24) % 4, batch


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("first_relu", [True, False])
def test_the_described_loop_finds_the_differences_that_exact_zeros_cause(dtype, first_relu):
    images, labels, batch = minibatches()
    pixels = images.float().div(255).flatten(1)
    networks = described_loop.two_networks(SIZES, dtype, layers=layers_on_a_lattice(30), first_relu=first_relu)
    assert all(parameter.dtype == dtype for network in networks for parameter in network.parameters())
    found = described_loop.all_differences(networks, described_loop.in_memory(pixels, labels, batch), dtype)
    assert any(found)
    for (x, y), differs in zip(described_loop.in_memory(pixels, labels, batch), found, strict=True):
        ours = [first_gradient(networks[0], x.to(dtype), y, alpha, first_relu) for alpha in (0.0, 1.0)]
        theirs = described_loop.first_gradients(networks, x.to(dtype), y)
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
        assert differs == (not torch.equal(*ours))
    again = described_loop.first_difference(networks, described_loop.in_memory(pixels, labels, batch), dtype)
    assert again == found.index(True)


def first_gradient(network, x, labels, alpha, first_relu):
    h = x
    for depth, linear in enumerate(network.linears[:-1]):
        h = linear(h)
        h = relu(h, ReLUDerivative(alpha, "assign")) if depth > 0 or first_relu else h
    loss = torch.nn.functional.cross_entropy(network.linears[-1](h), labels)
    return grad(loss, network.linears[0].weight)[0]


def test_equal_alphas_never_differ():
    images, labels, batch = minibatches()
    networks = described_loop.two_networks(SIZES, torch.float32, layers=layers_on_a_lattice(30))
    networks[1].alpha = 0.0
    pixels = images.float().div(255)
    batches = described_loop.in_memory(pixels, labels, batch)
    assert described_loop.first_difference(networks, batches, torch.float32) is None


@pytest.mark.parametrize("convert", [described_loop.lean, described_loop.torchvision])
def test_the_described_loader_gives_the_bits_of_torchvision_s_conversion_in_order(convert):
    images = torch.arange(256, dtype=torch.uint8).repeat(3).reshape(12, 8, 8)
    labels = torch.arange(12) % 10
    loaded = list(described_loop.loader(images, labels, 5, convert))
    assert [len(y) for _, y in loaded] == [5, 5, 2]
    assert torch.equal(torch.cat([y for _, y in loaded]), labels)
    expected = torch.stack([to_tensor(image.unsqueeze(-1).numpy()) for image in images])
    assert torch.equal(torch.cat([x for x, _ in loaded]), expected)


def test_the_whole_described_experiment_depends_on_the_seed_alone():
    images, labels, batch = minibatches()
    first = described_loop.described_audit(SIZES, range(3), images, labels, batch, torch.float16)
    torch.manual_seed(99)
    assert described_loop.described_audit(SIZES, range(3), images, labels, batch, torch.float16) == first
    torch.manual_seed(2)
    network, other = described_loop.two_networks(SIZES, torch.float32)
    torch.manual_seed(2)
    expected = [torch.nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(SIZES)]
    for ours, theirs, same in zip(expected, network.linears, other.linears, strict=True):
        assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)
        assert torch.equal(theirs.weight, same.weight) and torch.equal(theirs.bias, same.bias)
