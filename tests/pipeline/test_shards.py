"""run_jobs: the same rows however they were computed, interrupted, or found."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from kinks import paths
from kinks.pipeline.errors import JobError
from kinks.pipeline.shards import run_jobs

JOBS = """
import os
from pathlib import Path

import pandas as pd


def rows(x, log=None):
    if log:
        with Path(log).open("a") as file:
            file.write(f"{x}\\n")
    return [{"x": x, "y": x / 3, "name": None if x == 0 else f"n{x}"} for _ in range(x % 3)]


def frame(x):
    return pd.DataFrame({"x": [x], "threads": [os.environ["OMP_NUM_THREADS"]]}, index=[7])


def fail(x):
    if x == 1:
        raise ValueError("no such thing")
    return []


def die(x):
    if x == 1:
        os.kill(os.getpid(), 9)
    return []


def slow(x, log):
    import time
    time.sleep(0.1)
    return rows(x + 1, log)
"""
GRID = [{"x": x} for x in (5, 0, 2, 4, 1)]


def test_rows_are_bit_identical_whatever_the_executor_and_workers(package: Callable, tmp_path: Path) -> None:
    job = package(JOBS).rows
    inline = run_jobs(job, GRID, executor="inline", folder=tmp_path / "a")
    two = run_jobs(job, GRID, workers=2, folder=tmp_path / "b")
    again = run_jobs(job, GRID, folder=tmp_path / "b")
    assert list(inline["x"]) == [5, 5, 2, 2, 4, 1]
    pd.testing.assert_frame_equal(inline, two, check_exact=True)
    pd.testing.assert_frame_equal(inline, again, check_exact=True)
    assert inline.to_csv() == two.to_csv() == again.to_csv()


def test_finished_shards_are_not_computed_again(package: Callable, tmp_path: Path) -> None:
    job, log = package(JOBS).rows, tmp_path / "log"
    grid = [{"x": x, "log": str(log)} for x in (1, 2, 1)]
    run_jobs(job, grid[:1], executor="inline", folder=tmp_path)
    run_jobs(job, grid, executor="inline", folder=tmp_path)
    assert log.read_text().split() == ["1", "2"]


def test_every_executor_computes_on_one_thread(
    package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    job = package(JOBS).frame
    for executor in ("inline", "processes"):
        found = run_jobs(job, [{"x": 1}], executor=executor, workers=1, folder=tmp_path / executor)
        assert found.to_dict("records") == [{"x": 1, "threads": "1"}]
        assert list(found.index) == [0]
    assert os.environ["OMP_NUM_THREADS"] == "4"


def test_torch_computes_inline_on_one_thread_and_gets_its_threads_back(package: Callable, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    job = package("import torch\n\n\ndef job():\n    return [{'threads': torch.get_num_threads()}]\n").job
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert run_jobs(job, [{}], executor="inline", folder=tmp_path)["threads"].item() == 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("executor", ["inline", "processes"])
def test_a_job_that_raises_is_named_with_its_settings(package: Callable, tmp_path: Path, executor: str) -> None:
    job = package(JOBS).fail
    with pytest.raises(JobError, match=r"jobs:fail with settings \{'x': 1\}: ValueError: no such thing"):
        run_jobs(job, [{"x": 0}, {"x": 1}, {"x": 2}], executor=executor, workers=1, folder=tmp_path)
    assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_worker_that_is_killed_names_its_job(package: Callable, tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"settings \{'x': 1\}: its worker died, killed by SIGKILL .*out of memory"):
        run_jobs(package(JOBS).die, [{"x": 0}, {"x": 1}], workers=2, folder=tmp_path)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 99])
def test_a_broken_shard_is_reported_and_computed_again(
    package: Callable, tmp_path: Path, capsys: pytest.CaptureFixture, damage: Callable
) -> None:
    job = package(JOBS).rows
    good = run_jobs(job, GRID, executor="inline", folder=tmp_path)
    shard = sorted(tmp_path.rglob("*.parquet"))[2]
    shard.write_bytes(damage(shard.read_bytes()))
    pd.testing.assert_frame_equal(run_jobs(job, GRID, executor="inline", folder=tmp_path), good)
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if f"broken shard {shard}" in line and "computed again" in line]) == 1


def test_changed_code_is_computed_again_and_changed_remarks_are_not(package: Callable, tmp_path: Path) -> None:
    log = tmp_path / "log"
    module = package(JOBS)
    source = Path(module.__file__)
    settings = [{"x": 1, "log": str(log)}]
    for text in (JOBS, "# a remark\n" + JOBS, JOBS.replace("x / 3", "x / 4")):
        source.write_text(text)
        run_jobs(module.rows, settings, executor="inline", folder=tmp_path / "store")
    assert log.read_text().split() == ["1", "1"]


def test_shards_from_another_machine_are_used(package: Callable, tmp_path: Path) -> None:
    job, log = package(JOBS).rows, tmp_path / "log"
    settings = [{"x": 2, "log": str(log)}]
    there = run_jobs(job, settings, executor="inline", folder=tmp_path / "there")
    (tmp_path / "there").rename(tmp_path / "here")
    pd.testing.assert_frame_equal(run_jobs(job, settings, folder=tmp_path / "here"), there)
    assert log.read_text().split() == ["2"]


def test_an_interactive_session_reads_the_shards_of_every_stage(
    package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SCRATCH", tmp_path)
    job, log = package(JOBS).rows, tmp_path / "log"
    settings = [{"x": 2, "log": str(log)}]
    monkeypatch.setenv("KINKS_SHARDS", str(tmp_path / "shards" / "volume"))
    staged = run_jobs(job, settings, executor="inline")
    monkeypatch.delenv("KINKS_SHARDS")
    pd.testing.assert_frame_equal(run_jobs(job, settings, executor="inline"), staged)
    assert log.read_text().split() == ["2"]
    run_jobs(job, [{"x": 1}], executor="inline")
    assert len(list((tmp_path / "shards" / "lab").rglob("*.parquet"))) == 1


def test_the_runner_reads_the_shards_of_its_own_stage_only(
    package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "SCRATCH", tmp_path)
    job, log = package(JOBS).rows, tmp_path / "log"
    for stage in ("volume", "effect"):
        monkeypatch.setenv("KINKS_SHARDS", str(tmp_path / "shards" / stage))
        run_jobs(job, [{"x": 2, "log": str(log)}], executor="inline")
    assert log.read_text().split() == ["2", "2"]


def test_shards_of_differing_columns_and_types_join(package: Callable, tmp_path: Path) -> None:
    text = "def job(k):\n    return [[{'a': 1}], [{'a': 2.5, 'b': 'x'}], [], [{'a': None}]][k]\n"
    found = run_jobs(package(text).job, [{"k": k} for k in range(4)], executor="inline", folder=tmp_path)
    assert found["a"].tolist()[:2] == [1.0, 2.5] and found["a"].isna().tolist() == [False, False, True]
    assert found["b"].isna().tolist() == [True, False, True]


def test_no_settings_give_no_rows(package: Callable, tmp_path: Path) -> None:
    assert run_jobs(package(JOBS).rows, [], folder=tmp_path).empty


def test_wrong_arguments_say_what_is_allowed(
    package: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = package(JOBS).rows
    with pytest.raises(ValueError, match="executor='slrum', allowed: inline, processes"):
        run_jobs(job, GRID, executor="slrum", folder=tmp_path)
    with pytest.raises(ValueError, match="workers=0, allowed: a whole number of at least 1"):
        run_jobs(job, GRID, workers=0, folder=tmp_path)
    with pytest.raises(TypeError, match=r"function at the top level of a module, got .*<lambda>"):
        run_jobs(lambda x: [], GRID, folder=tmp_path)
    with pytest.raises(TypeError, match=r"plain JSON values, got .*Path"):
        run_jobs(job, [{"x": tmp_path}], folder=tmp_path)
    with pytest.raises(ValueError, match=r"plain JSON values, got .*nan"):
        run_jobs(job, [{"x": float("nan")}], folder=tmp_path)
    monkeypatch.setenv("KINKS_WORKERS", "many")
    with pytest.raises(ValueError, match="KINKS_WORKERS='many', allowed: a whole number"):
        run_jobs(job, GRID, folder=tmp_path)


def test_kill_9_leaves_no_worker_and_the_next_run_goes_on(
    package: Callable, tmp_path: Path, wait_for: Callable, running_in_group: Callable
) -> None:
    module = package(JOBS)
    name, folder = module.__name__, Path(module.__file__).parents[1]
    log, store = tmp_path / "log", tmp_path / "store"
    grid = [{"x": x, "log": str(log)} for x in range(8)]
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys\nfrom pathlib import Path\nfrom {name} import slow\nfrom kinks.pipeline.shards import run_jobs\n"
        f"if __name__ == '__main__':\n    run_jobs(slow, {grid!r}, workers=2, folder=Path({str(store)!r}))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(folder), "KINKS_ROOT": str(paths.ROOT)}
    started = subprocess.Popen([sys.executable, str(script)], env=environment, start_new_session=True)
    wait_for(lambda: len(list(store.rglob("*.parquet"))) >= 3)
    started.kill()
    started.wait()
    wait_for(lambda: not running_in_group(started.pid))
    finished = len(list(store.rglob("[!.]*.parquet")))
    assert 3 <= finished < 8
    before = len(log.read_text().split())
    resumed = run_jobs(module.slow, grid, workers=2, folder=store)
    assert len(log.read_text().split()) - before == 8 - finished
    fresh = run_jobs(module.slow, grid, executor="inline", folder=tmp_path / "fresh")
    assert resumed.to_csv() == fresh.to_csv()


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc, as on Linux")
def test_workers_have_their_libraries_from_a_process_without_a_second_thread(tmp_path: Path) -> None:
    (tmp_path / "looked.py").write_text(
        "import os, sys\n"
        "FOUND = [name for name in ('torch', 'numba', 'pandas', 'pyarrow', 'scipy.special') if name in sys.modules]\n"
        "def job(x):\n"
        "    return [{'found': ' '.join(FOUND), 'threads': len(os.listdir(f'/proc/{os.getppid()}/task'))}]\n"
    )
    script = (
        "from pathlib import Path; import torch, looked; from kinks.pipeline.shards import run_jobs\n"
        "print(*run_jobs(looked.job, [{'x': 1}], folder=Path('out')).iloc[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["torch", "numba", "pandas", "pyarrow", "scipy.special", "1"]
