"""Paired timing: two programs in turn, round after round, judged by the quartiles of the rounds' own ratios.

The machine may be busy with other work, so CPU time of one thread is measured, never the wall clock, and only
ratios decide. A result is checked before it is timed: a failed check leaves no time to print.
"""

import gc
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

COLUMNS = (
    "name baseline ratio_q1 ratio_median ratio_q3 rounds correct limit_share goal device"  # of reports/benchmarks.csv
).split()
ROUNDS = 9
SAMPLE_SECONDS = 0.03


class CheckError(Exception):
    """A program about to be timed gives a wrong result."""


@dataclass(frozen=True)
class SpeedUp:
    """Ratio = time of the baseline / time of ours; the lower quartile has to reach `at_least`, if given."""

    at_least: float | None = None

    def ratio(self, ours: float, baseline: float) -> float:
        """The speed-up of one round."""
        return baseline / ours

    def reached(self, low: float, high: float) -> bool:
        """Whether the quartiles `low` and `high` reach the goal; True where there is none."""
        return self.at_least is None or low >= self.at_least

    def __str__(self) -> str:
        return "speed-up, no goal" if self.at_least is None else f"speed-up >= {self.at_least:g}"


@dataclass(frozen=True)
class Cost:
    """Ratio = time of ours / time of the baseline; the upper quartile has to stay within `at_most`, if given."""

    at_most: float | None = None

    def ratio(self, ours: float, baseline: float) -> float:
        """The cost of one round."""
        return ours / baseline

    def reached(self, low: float, high: float) -> bool:
        """Whether the quartiles `low` and `high` keep to the goal; True where there is none."""
        return self.at_most is None or high <= self.at_most

    def __str__(self) -> str:
        return "cost, no goal" if self.at_most is None else f"cost <= {self.at_most:g}"


@dataclass(frozen=True)
class Clock:
    """A clock in seconds, and the name of what it times."""

    now: Callable[[], float]
    device: Callable[[], str]


@dataclass(frozen=True)
class Result:
    """One row of reports/benchmarks.csv, and whether it is as it should be."""

    row: dict[str, object]
    correct: bool
    reached: bool


def paired(
    name: str,
    ours: Callable[[], object],
    baseline_name: str,
    baseline: Callable[[], object],
    *,
    check: Callable[[], str],
    goal: SpeedUp | Cost,
    limit: Callable[[], object] | None = None,
    rounds: int = ROUNDS,
    clock: Clock | None = None,
) -> Result:
    """Time `ours` against `baseline` in `rounds` interleaved rounds (at least 7) after a discarded one.

    `check` runs first: it returns what it found equal, or raises CheckError, and then nothing is timed. `limit`
    is the least work any implementation has to do; `limit_share` is its time over ours (median of the rounds).
    `clock` is `CPU` unless given.
    """
    clock = CPU if clock is None else clock
    if rounds < 7:
        raise ValueError(f"paired: rounds is {rounds}; allowed: 7 or more, or the quartiles mean nothing")
    row = dict.fromkeys(COLUMNS) | {
        "name": name, "baseline": baseline_name, "rounds": rounds, "goal": str(goal), "device": clock.device(),
    }  # fmt: skip
    try:
        with one_thread():  # the bits that are compared are those of the program that is timed
            row["correct"] = check()
    except CheckError as error:
        return Result(row | {"rounds": 0, "correct": f"FAILED: {error}"}, correct=False, reached=False)
    programs = [ours, baseline] if limit is None else [ours, baseline, limit]
    with one_thread():
        repeats = [_repeats(program, clock) for program in programs]
        times = [
            [_seconds(program, count, clock) for program, count in zip(programs, repeats, strict=True)]
            for _ in range(rounds + 1)
        ][1:]
    low, median, high = statistics.quantiles([goal.ratio(*pair[:2]) for pair in times], n=4, method="inclusive")
    row |= {"ratio_q1": round(low, 3), "ratio_median": round(median, 3), "ratio_q3": round(high, 3)}
    if limit is not None:
        row["limit_share"] = round(statistics.median(least / mine for mine, _, least in times), 3)
    return Result(row, correct=True, reached=goal.reached(low, high))


def skipped(name: str, baseline_name: str, goal: SpeedUp | Cost, why: str) -> Result:
    """A row that cannot be measured here, neither reached nor missed."""
    row = dict.fromkeys(COLUMNS) | {"name": name, "baseline": baseline_name, "rounds": 0, "correct": f"skipped: {why}"}
    return Result(row | {"goal": str(goal), "device": device()}, correct=True, reached=True)


def require(condition: bool, what: str) -> None:
    """Raise CheckError saying `what` does not hold unless `condition`."""
    if not condition:
        raise CheckError(what)


@contextmanager
def one_thread() -> Iterator[None]:
    """One PyTorch thread and no garbage collection, so that CPU time is the time of the work."""
    threads, collecting = torch.get_num_threads(), gc.isenabled()
    torch.set_num_threads(1)
    gc.disable()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        if collecting:
            gc.enable()


def _seconds(program: Callable[[], object], repeats: int, clock: Clock) -> float:
    start = clock.now()
    for _ in range(repeats):
        program()
    return (clock.now() - start) / repeats


def _repeats(program: Callable[[], object], clock: Clock) -> int:
    """How often to call `program` for a sample that the clock and the caches do not disturb."""
    program()
    return max(1, round(SAMPLE_SECONDS / max(_seconds(program, 1, clock), 1e-7)))


def device() -> str:
    """The processor, thread count and PyTorch version that a row was measured with."""
    return f"{_processor()}, 1 thread, torch {torch.__version__}"


def _gpu() -> str:
    return f"{torch.cuda.get_device_name()}, torch {torch.__version__}"


def _after_all_kernels() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


CPU = Clock(time.process_time, device)
GPU = Clock(_after_all_kernels, _gpu)


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def rates() -> dict[str, float]:
    """Absolute rates of this machine, kept beside the ratios so that drift can be told from regress; never judged."""
    gigaflops = {}
    with one_thread():
        for dtype in (torch.float32, torch.float64):
            x, w = torch.randn(256, 784).to(dtype), torch.randn(784, 256).to(dtype)
            product = lambda x=x, w=w: x @ w  # noqa: E731
            seconds = statistics.median(_seconds(product, _repeats(product, CPU), CPU) for _ in range(5))
            gigaflops[f"{dtype} product 256x784x256, GFLOP/s"] = round(2 * 256 * 784 * 256 / seconds / 1e9, 1)
    return gigaflops
