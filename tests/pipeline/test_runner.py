"""The runner around one notebook: what it writes, what it says when things go wrong, what it leaves behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import nbformat
import psutil
import pytest

from kinks import paths
from kinks.pipeline.__main__ import main
from kinks.pipeline.errors import PipelineError
from kinks.pipeline.processes import Stopped, stop_on_signals
from kinks.pipeline.run import run_stage

HANG = """
import time
from pathlib import Path


def hang(number):
    Path(f"started-{number}").touch()
    time.sleep(600)
"""


def _page(executed: Path, target: Path) -> None:
    target.write_text(f"page of {executed.name}")


def _output(path: Path, cell: int) -> str:
    return "".join(output.get("text", "") for output in nbformat.read(path, as_version=4).cells[cell].outputs)


def test_a_stage_leaves_notebook_page_and_folders(
    project: Path, notebook: Callable, capfd: pytest.CaptureFixture
) -> None:
    environment = "print(*(os.environ[n] for n in ('KINKS_SCALE', 'OMP_NUM_THREADS', 'PYTHONHASHSEED')))"
    folders = "from kinks import paths; print(paths.ROOT, paths.REPORTS)"
    source = notebook(
        "import os, sys; print(sys.executable)", environment, folders, "import warnings; warnings.warn('noise')",
        kernel="a-kernel-nobody-has",
    )  # fmt: skip
    before = source.read_bytes()
    run_stage(project, "one", page=_page)
    executed = project / "reports" / "notebooks" / "10_one.ipynb"
    assert _output(executed, 1).strip() == sys.executable
    assert _output(executed, 2).strip() == "laptop 1 0"
    assert _output(executed, 3).strip() == f"{project} {project / 'reports'}"
    assert nbformat.read(executed, as_version=4).cells[4].outputs == []
    assert (project / "reports" / "html" / "10_one.html").read_text() == "page of 10_one.ipynb"
    for kind in ("tables", "figures"):  # DVC expects them, and git keeps no empty folder
        assert [path.name for path in (project / "reports" / kind / "one").iterdir()] == [".gitkeep"]
    assert list((project / ".kinks" / "failed").iterdir()) == []
    assert source.read_bytes() == before
    assert capfd.readouterr() == ("", "")


def test_a_failing_cell_is_named_and_the_partial_notebook_kept(
    project: Path, notebook: Callable, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(paths, "ROOT", project)
    source = notebook(
        "print('first')", "def f():\n    return {}['key']\n\nf()", "print('never')", parameters="n: int = 1"
    )
    (project / "params.yaml").write_text("scale: laptop\none: {all: {n: 1}, smoke: {}, laptop: {}, paper: {}}\n")
    assert main(["run", "one"]) == 1
    out, error = capfd.readouterr()
    first, *frames, last = error.strip().splitlines()
    partial = project / ".kinks" / "failed" / "10_one.ipynb"
    assert out == ""
    assert first == f"error: {source}, cell 4: KeyError"
    assert frames[-1].strip() == "KeyError: 'key'" and any("return {}['key']" in line for line in frames)
    assert last == f"partial notebook: {partial}" and len(frames) <= 14
    assert "first" in partial.read_text() and "\x1b" not in error
    assert not (project / "reports" / "notebooks" / "10_one.ipynb").exists()


def test_a_kernel_that_dies_is_one_line(project: Path, notebook: Callable) -> None:
    source = notebook("import os", "os.write(2, b'last words\\n'); os.kill(os.getpid(), 9)")
    with pytest.raises(PipelineError) as caught:
        run_stage(project, "one", page=_page)
    message = str(caught.value)
    assert message.startswith(f"{source}: the kernel died in cell 3 (killed") and "\n" not in message
    assert "last words" in (project / ".kinks" / "logs" / "one.log").read_text()
    assert (project / ".kinks" / "failed" / "10_one.ipynb").is_file()


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("10_two.ipynb", "{}", r"no notebook notebooks/NN_one.ipynb; known stages: two"),
        ("10_one.ipynb", "{not json", r"10_one.ipynb: not a readable notebook"),
        ("10_one.ipynb", '{"worksheets": []}', r"10_one.ipynb: not a readable notebook"),
        ("10_one.ipynb", '{"cells": [{"cell_type": "code", "source": "1 +"}]}', r"cell 1: invalid syntax"),
    ],
)
def test_a_notebook_that_cannot_be_run_is_one_line(project: Path, name: str, text: str, message: str) -> None:
    (project / "notebooks" / name).write_text(text)
    with pytest.raises(PipelineError, match=message) as caught:
        run_stage(project, "one", page=_page)
    assert "\n" not in str(caught.value)


def test_two_notebooks_for_a_stage_are_refused(project: Path, notebook: Callable) -> None:
    source = notebook("1")
    source.with_name("20_one.ipynb").write_bytes(source.read_bytes())
    with pytest.raises(PipelineError, match=r"two notebooks for stage one: 10_one.ipynb and 20_one.ipynb"):
        run_stage(project, "one", page=_page)


@pytest.fixture
def hanging(
    project: Path, notebook: Callable, wait_for: Callable
) -> Iterator[tuple[subprocess.Popen, Callable[[], list[int]]]]:
    """A runner whose notebook computes forever in two workers, and a function listing what runs beneath it."""
    source = notebook(
        "import jobs\nfrom kinks.pipeline.shards import run_jobs",
        "run_jobs(jobs.hang, [{'number': 1}, {'number': 2}], workers=2)",
    )
    (source.parent / "jobs.py").write_text(HANG)
    command = [sys.executable, "-m", "kinks.pipeline", "run", "one"]
    runner = subprocess.Popen(command, cwd=project, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(list(source.parent.glob("started-*"))) == 2)
    below = psutil.Process(runner.pid).children(recursive=True)
    assert len(below) >= 3

    def alive() -> list[int]:
        return [p.pid for p in below if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    yield runner, alive
    runner.kill()
    runner.wait()
    runner.stderr.close()
    for pid in alive():
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_trap_13_a_signal_stops_the_kernel_and_all_below_it(hanging: tuple, number: int, wait_for: Callable) -> None:
    runner, alive = hanging
    runner.send_signal(number)
    assert runner.wait(timeout=20) == 128 + number
    wait_for(lambda: alive() == [], seconds=2)
    said = runner.stderr.read().splitlines()  # on a busy machine lines of progress come first
    assert said[-1] == "one: stopped; finished shards are kept"


def test_trap_13_nothing_lingers_when_the_runner_is_killed(hanging: tuple, wait_for: Callable) -> None:
    runner, alive = hanging
    runner.kill()
    runner.wait()
    wait_for(lambda: alive() == [], seconds=20)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_become_one_exception_and_handlers_come_back(number: int) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Stopped) as caught, stop_on_signals():
        os.kill(os.getpid(), number)
        pytest.fail("the signal was lost")
    assert caught.value.signum == number
    assert signal.getsignal(number) == before


def test_what_nohup_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_on_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
