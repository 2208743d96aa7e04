"""Progress: a dated line per interval when nobody watches, and nobody's work is done for nothing."""

import io
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kinks.pipeline import reporting
from kinks.pipeline.progress import note, progress
from kinks.pipeline.reporting import Reporter, duration


@pytest.fixture
def reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    """A reporter of stage `one` that writes to memory, and this process as its kernel."""
    monkeypatch.setattr(reporting, "POLL", 0.01)
    made = Reporter("one", tmp_path / "progress.jsonl", cells=7)
    made.stream = io.StringIO()
    monkeypatch.setenv("KINKS_PROGRESS", str(made.file))
    return made


def test_a_headless_line_gives_time_stage_cell_jobs_and_time_left(reporter: Reporter, wait_for: Callable) -> None:
    reporter.first_line = 0.1
    with reporter:
        reporter.at_cell(3)
        with progress("kinks.job", total=10, done=4) as advance:
            advance()
            wait_for(lambda: "kinks.job" in reporter.stream.getvalue())
    (line,) = reporter.stream.getvalue().splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, one: cell 3/7, kinks.job 5/10, \d+ s left, \d+ s so far", line
    )


def test_one_line_per_interval_and_none_before_the_first(reporter: Reporter) -> None:
    reporter.first_line, reporter.interval = 0.3, 0.5
    with reporter, progress("kinks.job", total=1000) as advance:
        for _ in range(100):
            advance()
            time.sleep(0.01)
    assert 1 <= len(reporter.stream.getvalue().splitlines()) <= 3


def test_a_short_stage_says_nothing(reporter: Reporter) -> None:
    with reporter, progress("kinks.job", total=1) as advance:
        advance()
    assert reporter.stream.getvalue() == ""


def test_notes_are_passed_on_at_once(reporter: Reporter) -> None:
    with reporter:
        note("broken shard: computed again")
    assert reporter.stream.getvalue() == "one: broken shard: computed again\n"


def test_a_terminal_gets_a_bar_and_no_lines(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    reporter.first_line = 0.0
    monkeypatch.setattr(reporter.stream, "isatty", lambda: True)
    with reporter, progress("kinks.job", total=10, done=4) as advance:
        advance()
        time.sleep(0.3)
    assert "one: cell 0/7 kinks.job" in reporter.stream.getvalue()
    assert "5/10" in reporter.stream.getvalue()
    assert "so far" not in reporter.stream.getvalue()


def test_nothing_reaches_the_outputs_of_a_notebook_under_the_runner(
    reporter: Reporter, capfd: pytest.CaptureFixture
) -> None:
    with progress("kinks.job", total=2) as advance:
        advance()
    note("a remark")
    assert capfd.readouterr() == ("", "")


def test_the_run_stops_when_the_process_it_is_for_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wait_for: Callable
) -> None:
    monkeypatch.setattr(reporting, "POLL", 0.01)
    signals: list[int] = []
    monkeypatch.setattr(signal, "SIGTERM", signal.SIGURG)  # harmless, and caught below
    before = signal.signal(signal.SIGURG, lambda number, frame: signals.append(number))
    keeper = subprocess.Popen(["sleep", "60"])
    try:
        with Reporter("one", tmp_path / "progress.jsonl", cells=1, keepers=(keeper.pid,)):
            time.sleep(0.1)
            assert signals == []
            keeper.kill()
            keeper.wait()
            wait_for(lambda: signals == [signal.SIGURG])
    finally:
        signal.signal(signal.SIGURG, before)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "0 s"), (59.6, "1 min 00 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
