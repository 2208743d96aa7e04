"""The fp16 audit against the described loop with native half, on this processor and on one without half arithmetic.

The goal is meant for processors that have no 16-bit floating-point instructions, where a native half product is 20 to
100 times slower than fp32; with such instructions it is as fast as fp32, and the emulation gains nothing by its format.
On a processor that has them, the comparison is made a second time in a process of its own in which the matrix library
(oneDNN) is told not to use them.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks import audit, networks
from benchmarks.timing import Result, SpeedUp
from kinks.precision import named

SWITCH = {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16"}
GOAL = SpeedUp(25)


def rows() -> Iterator[Result]:
    """The audits where the processor has no half arithmetic; else twice, the goal being that of the second time."""
    if not _has_half_arithmetic():
        yield from _audits(GOAL)
        return
    yield from _audits(SpeedUp())
    printed = subprocess.run(
        [sys.executable, "-m", "benchmarks.half"], env=os.environ | SWITCH, capture_output=True, text=True, check=True
    ).stdout
    for line in printed.splitlines():
        row = json.loads(line)
        yield Result(row["row"], row["correct"], row["reached"])


def _audits(goal: SpeedUp) -> Iterator[Result]:
    yield audit.compute_only(named("fp16"), goal)
    for network in networks.NETWORKS:
        yield networks.no_hit(network, named("fp16"), 2, goal)


def _has_half_arithmetic() -> bool:
    info = Path("/proc/cpuinfo")
    return info.is_file() and "avx512_fp16" in info.read_text()


if __name__ == "__main__":
    for result in _audits(GOAL):
        result.row["baseline"] += " without 16-bit instructions"
        print(json.dumps({"row": result.row, "correct": result.correct, "reached": result.reached}))
