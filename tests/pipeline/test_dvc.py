"""The stages under DVC itself, in one tiny project: skip, force, resume, clone, verify."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from kinks.pipeline import reproduce as reproduction
from kinks.pipeline.__main__ import main
from kinks.pipeline.reproduce import snapshot
from kinks.pipeline.verify import verify

JOBS = """
import time
from pathlib import Path


def job(number, wait):
    with (Path(__file__).parents[1] / "log").open("a") as log:
        log.write(f"{number}\\n")
    time.sleep(wait)
    return [{"number": number, "third": number / 3}]
"""
COMPUTE = """
import jobs
from kinks.pipeline.shards import run_jobs
from kinks.report import save_table
table = run_jobs(jobs.job, [{"number": n, "wait": wait} for n in range(count)], executor="inline")
save_table(table, "one/thirds", keys=["number"])
table
"""
CELL = "from kinks.pipeline.parameters import Count\ncount: Count = 6\nwait: float = 0.2"
PARAMS = """# a remark
scale: laptop
one:
  all: {wait: 0.2}
  smoke: {count: 2}
  laptop: {count: 6}
  paper: {count: 60}
two: {all: {}, smoke: {}, laptop: {}, paper: {}}
"""
# The stage's command leaves out the HTML page, which takes longer than all the rest.
RUN = """
import sys
from kinks import paths
from kinks.pipeline import __main__, run
real = run.run_stage
run.run_stage = lambda root, stage: real(root, stage, page=lambda executed, target: target.write_text("page"))
sys.exit(__main__.main(sys.argv[1:]))
"""
STAGE = """
  {stage}:
    cmd: ${{python}} run.py run {stage}
    params:
      - scale
      - {stage}.all
      - {stage}.${{scale}}
    deps:
      - reports/provenance/{stage}.json{deps}
    outs:
      - reports/notebooks/10_{stage}.ipynb:
          cache: false
      - reports/html/10_{stage}.html:
          cache: false
      - reports/tables/{stage}:
          cache: false
      - reports/figures/{stage}:
          cache: false
"""
PIPELINE = """
vars:
  - python: PYTHON
stages:
  sources:
    cmd: ${python} -m kinks.pipeline sources
    deps:
      - notebooks
    outs:
      - reports/provenance:
          cache: false
"""


def _notebook(path: Path, *code: str, parameters: str | None = None) -> None:
    cells = [nbformat.v4.new_code_cell(text, id=f"c{i}") for i, text in enumerate(code)]
    if parameters:
        cells.insert(0, nbformat.v4.new_code_cell(parameters, id="p", metadata={"tags": ["parameters"]}))
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


def _dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "dvc", *arguments]
    return subprocess.run(command, cwd=root, capture_output=True, text=True)


def _git(root: Path, *arguments: str) -> None:
    name = ["-c", "user.name=test", "-c", "user.email=test@localhost"]
    subprocess.run(["git", *name, *arguments], cwd=root, check=True, capture_output=True)


def _results(root: Path) -> dict[str, bytes]:
    files = (path for path in (root / "reports").rglob("*") if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(files)}


def _log(root: Path) -> list[int]:
    return sorted(int(line) for line in (root / "log").read_text().split())


@pytest.fixture(autouse=True)
def quiet_dvc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    monkeypatch.setenv("SHELL", "/bin/sh")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project under git and DVC whose two stages have run once and whose results are committed."""
    root = tmp_path_factory.mktemp("tiny") / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "notebooks" / "jobs.py").write_text(JOBS)
    _notebook(root / "notebooks" / "10_one.ipynb", COMPUTE, parameters=CELL)
    _notebook(
        root / "notebooks" / "10_two.ipynb", "from kinks import paths", "print(paths.find_table('one/thirds').name)"
    )
    (root / "run.py").write_text(RUN)
    (root / "params.yaml").write_text(PARAMS)
    stages = STAGE.format(stage="one", deps="") + STAGE.format(stage="two", deps="\n      - reports/tables/one")
    (root / "dvc.yaml").write_text(PIPELINE.replace("PYTHON", sys.executable) + stages)
    (root / ".gitignore").write_text(".kinks\nlab\n__pycache__\nlog\n")
    (root / ".dvcignore").write_text("__pycache__\nlog\n")
    _git(root, "init", "--quiet", "--initial-branch", "main")
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1", "SHELL": "/bin/sh"}
    for arguments in (["init", "--quiet"], ["repro", "--quiet"]):
        subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, env=environment)
    _git(root, "add", "--all")
    _git(root, "commit", "--quiet", "--message", "results")
    return root


@pytest.fixture
def tiny(built: Path, tmp_path: Path) -> Path:
    """A copy of the project, for one test to work in."""
    return Path(shutil.copytree(built, tmp_path / "project"))


def test_the_second_repro_does_nothing_and_a_saved_notebook_reruns_sources_only(tiny: Path) -> None:
    before = _results(tiny)
    assert _log(tiny) == [0, 1, 2, 3, 4, 5]
    done = _dvc(tiny, "repro")
    assert "up to date" in done.stdout and "Running" not in done.stdout
    # Opened and saved in JupyterLab: outputs, counts, metadata.
    path = tiny / "notebooks" / "10_one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[1].execution_count = 12
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="seen")]
    notebook.metadata["kernelspec"] = {"name": "other", "display_name": "Other"}
    nbformat.write(notebook, path)
    assert verify(tiny) == 0
    done = _dvc(tiny, "repro")
    assert re.findall(r"Running stage '(\w+)'", done.stdout) == ["sources"]
    assert _results(tiny) == before


def test_trap_09_a_clone_is_verified_and_skipped(built: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    clone = tmp_path / "clone"
    _git(tmp_path, "clone", "--quiet", str(built), str(clone))
    assert verify(clone) == 0
    assert "belong to this code" in capsys.readouterr().out
    done = _dvc(clone, "repro")
    assert "Running" not in done.stdout and not (clone / "log").exists()


def test_verify_names_the_stage_and_what_changed(tiny: Path, capsys: pytest.CaptureFixture) -> None:
    table = tiny / "reports" / "tables" / "one" / "thirds.csv"
    table.write_text(table.read_text().replace("0.0", "0.1"))
    (tiny / "params.yaml").write_text(PARAMS.replace("count: 6", "count: 7"))
    path = tiny / "notebooks" / "10_two.ipynb"
    path.write_text(path.read_text().replace("print(", "print(1, "))
    assert verify(tiny) == 1
    out, error = capsys.readouterr()
    lines = out.splitlines()
    assert "two: its notebook changed" in lines
    assert "one: parameter one.laptop modified" in lines
    assert "one: result reports/tables/one modified" in lines
    assert error == "error: results and code do not belong together; `make reproduce` makes them anew\n"


def test_trap_07_and_12_a_failing_stage_is_named_below_dvc_and_its_shards_survive(tiny: Path) -> None:
    path = tiny / "notebooks" / "10_one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell("table['nothing']", id="last"))
    nbformat.write(notebook, path)
    done = _dvc(tiny, "repro")
    assert done.returncode != 0
    assert f"error: {path}, cell 3: KeyError" in done.stderr and "KeyError: 'nothing'" in done.stderr
    assert (tiny / ".kinks" / "failed" / "10_one.ipynb").is_file()
    assert _log(tiny) == [0, 1, 2, 3, 4, 5]


def test_trap_08_reproduce_goes_on_after_kill_9_and_ends_bit_for_bit_the_same(
    tiny: Path, wait_for: Callable, running_in_group: Callable
) -> None:
    before = _results(tiny)  # of a run that nobody interrupted
    (tiny / "log").unlink()
    store = tiny / ".kinks" / "shards" / "one"
    command = [sys.executable, "-m", "kinks.pipeline", "reproduce"]
    with (tiny / ".kinks" / "output").open("w+") as output:
        started = subprocess.Popen(command, cwd=tiny, start_new_session=True, stdout=output, stderr=output)
        wait_for(lambda: (tiny / "log").is_file() and len(_log(tiny)) >= 3)
        started.kill()  # only the topmost: DVC and the stage must notice
        started.wait()
        wait_for(lambda: running_in_group(started.pid) == [])
        assert "one: asked for again, so everything is computed again" in Path(output.name).read_text()
    finished, begun = len(list(store.rglob("[!.]*.parquet"))), len(_log(tiny))
    assert 2 <= finished < 6
    assert not (tiny / "reports" / "tables" / "one" / "thirds.csv").exists()

    done = subprocess.run(command, cwd=tiny, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(_log(tiny)) - begun == 6 - finished
    assert _results(tiny) == before
    assert "going on with the reproduction begun at" in done.stdout
    assert "one/thirds: identical" in done.stdout
    assert f"report: {tiny / 'reports' / 'html' / 'index.html'}" in done.stdout and "took " in done.stdout
    assert not (tiny / ".kinks" / "reproduce.json").exists()


def test_a_table_that_differs_is_an_error_that_names_table_and_row(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    table = tiny / "reports" / "tables" / "one" / "thirds.csv"
    table.write_text(table.read_text().replace("4,1.3333333333333333", "4,1.25"))
    (tiny / "params.yaml").write_text(PARAMS.replace("wait: 0.2", "wait: 0.3"))
    monkeypatch.setattr(reproduction, "_run_dvc", lambda *_: 0)
    assert reproduction.reproduce(tiny) == 1
    out, error = capfd.readouterr()
    line = next(line for line in out.splitlines() if line.startswith("one/thirds: different"))
    assert "number=4" in line.replace(" ", "") and "third 1.3333333333333333 committed, 1.25 now" in line
    assert "params.yaml is not the committed one" in out
    assert error == "error: 1 of 1 tables differ from the committed ones\n"


def test_a_reproduction_that_fails_goes_on_next_time(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    runs: list[str] = []
    monkeypatch.setattr(reproduction, "_run_dvc", lambda root, run, lock: runs.append(run) or 1)
    assert [reproduction.reproduce(tiny), reproduction.reproduce(tiny)] == [1, 1]
    (tiny / "params.yaml").write_text(PARAMS.replace("scale: laptop", "scale: smoke"))
    assert reproduction.reproduce(tiny) == 1
    assert runs[0] == runs[1] != runs[2]
    assert capfd.readouterr().err.count("the same command goes on where this one stopped") == 3


def test_the_committed_results_are_those_of_git(tiny: Path, tmp_path: Path) -> None:
    table = Path("reports") / "tables" / "one" / "thirds.csv"
    committed = (tiny / table).read_bytes()
    (tiny / table).write_text("changed")
    assert (snapshot(tiny, tmp_path / "copy", keep=False) / table).read_bytes() == committed
    shutil.rmtree(tiny / ".git")
    assert (snapshot(tiny, tmp_path / "copy", keep=True) / table).read_bytes() == committed
    assert (snapshot(tiny, tmp_path / "copy", keep=False) / table).read_text() == "changed"


def test_provenance_is_written_without_torch_or_jupyter(tiny: Path) -> None:
    code = (
        "import sys; from kinks.pipeline.__main__ import main; main(['sources']); "
        "print(*sorted({'torch', 'pandas', 'papermill', 'nbformat', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tiny, capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
    assert set(json.loads((tiny / "reports" / "provenance" / "one.json").read_text())) == {
        "notebook", "modules", "packages",
    }  # fmt: skip


def test_the_scale_command(tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("kinks.paths.ROOT", tiny)
    assert main(["scale"]) == 0 and main(["scale", "smoke"]) == 0
    assert capsys.readouterr().out == "laptop\nsmoke\n"
    assert main(["scale", "paper-sized"]) == 1
    assert capsys.readouterr().err == (
        "error: params.yaml: scale is 'paper-sized', allowed: smoke, laptop, paper; did you mean paper?\n"
    )
