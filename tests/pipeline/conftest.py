"""Tiny projects and packages, made anew for each test."""

import importlib
import itertools
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import nbformat
import psutil
import pytest

SECTIONS = "".join(f"  {part}: {{}}\n" for part in ("all", "smoke", "laptop", "paper"))
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def no_runner(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests start as if no runner had started them."""
    for name in ("KINKS_ROOT", "KINKS_REPORTS", "KINKS_SHARDS", "KINKS_PROGRESS", "KINKS_WORKERS", "KINKS_RUN"):
        monkeypatch.delenv(name, raising=False)
    for name in ("DVC_STAGE", "KINKS_KEEPER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with one stage `one`, without parameters, and no notebook yet."""
    root = tmp_path / "project"
    (root / "notebooks").mkdir(parents=True)
    (root / "dvc.yaml").write_text("stages: {}\n")
    (root / "params.yaml").write_text(f"scale: laptop  # a remark\none:\n{SECTIONS}")
    return root


@pytest.fixture
def notebook(project: Path) -> Callable[..., Path]:
    """Write notebooks/10_STAGE.ipynb from code cells; `parameters` is the text of the parameters cell."""

    def write(*code: str, stage: str = "one", parameters: str | None = None, kernel: str = "python3") -> Path:
        cells = [nbformat.v4.new_markdown_cell("# A title", id="title")]
        if parameters is not None:
            cell = nbformat.v4.new_code_cell(parameters, id="parameters")
            cell.metadata["tags"] = ["parameters"]
            cells.append(cell)
        cells += [nbformat.v4.new_code_cell(text, id=f"code-{i}") for i, text in enumerate(code)]
        metadata = {"kernelspec": {"name": kernel, "display_name": kernel, "language": "python"}}
        path = project / "notebooks" / f"10_{stage}.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return path

    return write


@pytest.fixture
def params(project: Path) -> Callable[..., None]:
    """Write params.yaml with one section; each argument is the flow-style text of a part."""

    def write(all: str = "{}", smoke: str = "{}", laptop: str = "{}", paper: str = "{}", scale: str = "laptop") -> None:
        parts = {"all": all, "smoke": smoke, "laptop": laptop, "paper": paper}
        lines = "".join(f"  {name}: {text}\n" for name, text in parts.items())
        (project / "params.yaml").write_text(f"scale: {scale}\none:\n{lines}")

    return write


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a new package from the source of its only module; worker processes can import it too."""
    folder = tmp_path / "packages"
    monkeypatch.syspath_prepend(str(folder))
    made: list[str] = []

    def make(source: str) -> ModuleType:
        name = f"made{next(NUMBERS)}"
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
        (folder / name / "jobs.py").write_text(source)
        made.append(name)
        importlib.invalidate_caches()
        return importlib.import_module(f"{name}.jobs")

    yield make
    for name in made:
        sys.modules.pop(name, None)
        sys.modules.pop(f"{name}.jobs", None)


@pytest.fixture
def wait_for() -> Callable[..., None]:
    """Wait until a condition holds; fail when it never does."""

    def wait(condition: Callable[[], bool], seconds: float = 40) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)

    return wait


@pytest.fixture
def running_in_group() -> Callable[[int], list[int]]:
    """Numbers of the processes of a group that still run; dead ones that nobody has collected do not count."""

    def members(leader: int) -> list[int]:
        found = []
        for process in psutil.process_iter():
            try:
                if os.getpgid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except (ProcessLookupError, psutil.NoSuchProcess):
                pass
        return found

    return members
