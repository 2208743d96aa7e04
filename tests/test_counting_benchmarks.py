"""The benchmarks of pieces and of dying ReLUs: each runs once in a small form, and refuses to time what is wrong."""

import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from benchmarks import budgets, dying, pieces, timing
from benchmarks.timing import COLUMNS, CheckError, SpeedUp


@pytest.fixture(autouse=True)
def one_short_sample(monkeypatch):
    monkeypatch.setattr(timing, "SAMPLE_SECONDS", 0.0)


@pytest.fixture
def few_modules(monkeypatch):
    monkeypatch.setattr(dying, "ALONE", 2)
    monkeypatch.setattr(dying, "STEPS", 3)


def measured(result):
    assert result.correct, result.row["correct"]
    assert list(result.row) == COLUMNS and result.row["ratio_median"] > 0
    return result.row


def failed(result, said):
    assert not result.correct and result.row["correct"] == f"FAILED: {said}" and result.row["ratio_median"] is None


def test_budgets_are_shares_of_what_is_allowed():
    spent = iter([1.0, 3.0, 2.0])
    result = budgets.within("a", "4 GiB", 4.0, lambda: next(spent), lambda: "right", rounds=3)
    quartiles = [result.row[f"ratio_{name}"] for name in ("q1", "median", "q3")]
    assert quartiles == [0.375, 0.5, 0.625] and result.reached and list(result.row) == COLUMNS
    assert not budgets.within("a", "1 s", 1.0, lambda: 1.5, lambda: "right", rounds=1).reached
    program = lambda: sum(range(10_000))  # noqa: E731
    once, often = (budgets.seconds("a", 1e-9, program, str, times=times) for times in (1.0, 1e6))
    assert measured(often)["ratio_median"] > 1e3 * measured(once)["ratio_median"] and not once.reached

    def wrong():
        raise CheckError("one is two")

    failed(budgets.seconds("a", 1.0, program, wrong), "one is two")


def test_sawteeth_are_timed():
    row = measured(pieces.tent(4, 0.001))
    assert row["correct"].startswith("16 pieces and regions") and row["baseline"] == "0.001 s"


def test_exact_regions_are_compared_with_a_grid():
    row = measured(pieces.against_grid("32x2", SpeedUp(), points=2000))
    assert row["correct"] == "56 regions, each confirmed by its pattern; the grid finds 94.6%"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (lambda found: found.boundaries[1:], "the grid sees no change where there is none"),
        (lambda found: sorted([*found.boundaries, 0.987654]), "patterns in the middle of neighbouring regions differ"),
    ],
)
def test_regions_too_few_or_too_many_are_not_timed(monkeypatch, changed, said):
    right = pieces.along
    wrong = lambda *given: replace(found := right(*given), boundaries=pieces.np.array(changed(found)))  # noqa: E731
    monkeypatch.setattr(pieces, "along", wrong)
    failed(pieces.against_grid("32x2", SpeedUp(), points=2000), said)


def test_the_other_package_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "relucent", None)
    result = pieces.against_relucent("32x2")
    assert result.row["correct"] == "skipped: the package relucent is not installed" and result.reached


class Complex(list):
    """Stands for the other package's, with as many regions as a test says."""

    def __init__(self, model):
        assert isinstance(model, torch.nn.Sequential)

    def bfs(self, **_):
        self.extend(range(self.regions))


@pytest.mark.parametrize("regions", [59, 58])
def test_the_other_package_counts_the_same(monkeypatch, regions):
    fake = SimpleNamespace(Complex=Complex, update_settings=lambda **_: None, __version__="0")
    monkeypatch.setitem(sys.modules, "relucent", fake)
    monkeypatch.setattr(Complex, "regions", regions, raising=False)
    result = pieces.against_relucent("32x2")
    if regions == 59:
        assert measured(result)["correct"] == "59 regions, both" and result.row["baseline"] == "relucent 0"
    else:
        failed(result, "59 regions of ours and 58 of relucent are equal")


def test_memory_is_that_of_a_process_of_its_own():
    row = measured(pieces.memory(4, 4))
    assert row["correct"].startswith("16 pieces, peak 0.") and 0.01 < row["ratio_median"] < 1
    count, peak = pieces.pieces_and_peak(10)
    assert count == 1024 and peak > 50 * 2**20


def test_draws_are_compared():
    assert "regions and pieces of 5 draws equal" in measured(pieces.draws(3, 5))["correct"]


@pytest.mark.parametrize("layout", ["stacked", "innermost"])
@pytest.mark.parametrize("by", [dying.SGD(0.01, 0.9), dying.Adam(1e-3)])
def test_ensembles_are_compared_with_modules(few_modules, layout, by):
    row = measured(dying.against_loop(6, 3, layout, by))
    assert "of 40 ReLUs, flags equal after 3 steps" in row["correct"]


def test_a_speed_up_per_network_counts_them():
    assert dying.PerNetwork(40, 5.0).ratio(2.0, 20.0) == 50 and str(dying.PerNetwork(40, 5.0)) == "speed-up >= 40"


def test_an_ensemble_that_moves_otherwise_is_not_timed(few_modules, monkeypatch):
    right = dying.descend
    monkeypatch.setattr(dying, "descend", lambda *given: right(*given[:6], dying.SGD(9.0), given[7]))
    result = dying.against_loop(6, 3, "stacked", dying.BY)
    assert not result.correct and "of network 0" in result.row["correct"]


def test_without_a_compiler_the_row_says_so(monkeypatch):
    monkeypatch.setattr(dying, "COMPILER", "no-such-compiler")
    result = dying.against_loop(6, 3, "innermost", dying.BY, compiled=True, at_least=200)
    assert result.row["correct"].startswith("skipped: torch.compile needs a C++ compiler") and result.reached


def test_the_map_is_reckoned_from_some_steps(monkeypatch):
    monkeypatch.setattr(dying, "SAMPLE", 2)
    row = measured(dying.map_of_starts(dying.BY))
    assert row["correct"].startswith("classes of 81 starts equal after 2,000 steps (12 converged")
    monkeypatch.setattr(dying.gaussian, "gradient", lambda w, b, slope: (w, b))
    failed(dying.map_of_starts(dying.BY), "classes equal those of the gradient in two dimensions")
