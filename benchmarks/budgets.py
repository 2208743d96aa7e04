"""Goals in seconds or bytes: measured rounds as shares of what is allowed, in the columns of the other benchmarks."""

import statistics
from collections.abc import Callable

from benchmarks.timing import COLUMNS, CPU, CheckError, Cost, Result, device, one_thread

ROUNDS, WHOLE = 5, Cost(1.0)


def within(
    name: str,
    allowed_name: str,
    allowed: float,
    measure: Callable[[], float],
    check: Callable[[], str],
    *,
    rounds: int,
    goal: Cost = WHOLE,
) -> Result:
    """Judge `rounds` measurements of `measure` as shares of `allowed`, of which the goal is to need no more than 1.

    `check` runs first: it returns what it found equal, or raises CheckError, and then nothing is measured.
    """
    row = dict.fromkeys(COLUMNS) | {"name": name, "baseline": allowed_name, "goal": str(goal), "device": device()}
    with one_thread():
        try:
            row["correct"] = check()
        except CheckError as error:
            return Result(row | {"rounds": 0, "correct": f"FAILED: {error}"}, correct=False, reached=False)
        shares = [measure() / allowed for _ in range(rounds)]
    low, median, high = statistics.quantiles(shares, n=4, method="inclusive") if rounds > 1 else shares * 3
    row |= {"ratio_q1": round(low, 3), "ratio_median": round(median, 3), "ratio_q3": round(high, 3), "rounds": rounds}
    return Result(row, correct=True, reached=goal.reached(low, high))


def seconds(
    name: str,
    allowed: float,
    program: Callable[[], object],
    check: Callable[[], str],
    *,
    times: float = 1.0,
    rounds: int = ROUNDS,
    goal: Cost = WHOLE,
) -> Result:
    """Judge `times` the CPU seconds of `program` on one core against `allowed` seconds, after a discarded round."""

    def measure() -> float:
        start = CPU.now()
        program()
        return times * (CPU.now() - start)

    def checked() -> str:
        found = check()
        program()
        return found

    return within(name, f"{allowed:g} s", allowed, measure, checked, rounds=rounds, goal=goal)
