"""The known traps between DVC, papermill and notebooks, one test each, by the number of the list they come from.

07, 08, 09, 12: also in test_dvc.py. 13: signals in test_runner.py.
"""

import configparser
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from ruamel.yaml import YAML

from kinks import paths
from kinks.pipeline import shards
from kinks.pipeline.errors import PipelineError
from kinks.pipeline.notebooks import leftovers, read_cells, stage_notebooks
from kinks.pipeline.parameter_cell import declared, stage_parameters
from kinks.pipeline.provenance import differences, provenance
from kinks.pipeline.run import run_stage
from kinks.pipeline.scales import read_params

NOTEBOOKS = sorted((paths.ROOT / "notebooks").glob("*.ipynb"))
CELL = "rate: float = 0.5\nflag: bool = True\nlimit: int | None = 3\nname: str = ''\ngrid: dict[str, list[int]] = {}"
VALUES = "{rate: 1e-3, flag: false, limit: null, name: 'a \"b\" \\ {c}', grid: {x: [1, 2]}}"
SHOW = "print(repr((rate, flag, limit, name, grid)))"
WORK = """
import matplotlib.pyplot as plt
from kinks.pipeline.progress import progress
with progress("work", total=3) as advance:
    for _ in range(3):
        advance()
plt.plot([0, 1])
object()
"""


@pytest.fixture(scope="module")
def pipeline() -> dict:
    """The stages of the project's own dvc.yaml, templates as written."""
    return YAML(typ="safe", pure=True).load(paths.ROOT / "dvc.yaml")["stages"]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[bytes]]:
    """A stage with values of every kind, run twice: its executed notebook and the bytes it had each time."""
    root = tmp_path_factory.mktemp("traps")
    (root / "notebooks").mkdir()
    (root / "dvc.yaml").write_text("stages: {}\n")
    empty = "smoke: {}, laptop: {}, paper: {}"
    other = f"other: {{all: {{unwanted: 1}}, {empty}}}"
    (root / "params.yaml").write_text(
        f"scale: laptop\none:\n  all: {VALUES}\n  smoke: {{}}\n  laptop: {{}}\n  paper: {{}}\n{other}\n"
    )
    cells = [nbformat.v4.new_code_cell(CELL, metadata={"tags": ["parameters"]})]
    cells += [nbformat.v4.new_code_cell(text) for text in (SHOW, "print('unwanted' in globals())", WORK)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / "10_one.ipynb")
    path = root / "reports" / "notebooks" / "10_one.ipynb"
    seen = []
    for _ in range(2):
        run_stage(root, "one", page=lambda executed, target: target.write_text("page"))
        seen.append(path.read_bytes())
    return path, seen


def _printed(path: Path, cell: int) -> str:
    return nbformat.read(path, as_version=4).cells[cell].outputs[0].text.strip()


def test_trap_01_yaml_12_numbers_arrive_as_numbers(executed: tuple) -> None:
    assert _printed(executed[0], 2).startswith("(0.001, ")


def test_trap_02_values_arrive_as_objects_not_as_text(executed: tuple) -> None:
    assert _printed(executed[0], 2) == "(0.001, False, None, 'a \"b\" \\\\ {c}', {'x': [1, 2]})"


def test_trap_03_other_sections_stay_out(executed: tuple) -> None:
    assert _printed(executed[0], 3) == "False"


def test_trap_03_a_misspelt_parameter_stops_the_stage(project: Path, notebook: Callable, params: Callable) -> None:
    notebook("1", parameters="limit: int | None = None")  # a type that papermill's own inspection overlooks
    params(all="{limt: 3}")
    with pytest.raises(PipelineError, match=r"limt is not a parameter of .*did you mean limit\?"):
        run_stage(project, "one")


def test_trap_04_two_runs_are_equal_byte_for_byte(executed: tuple) -> None:
    first, second = executed[1]
    assert first == second
    assert b"image/png" in first and b"at 0x0>" in first


def test_trap_05_no_stage_depends_on_an_executed_notebook(pipeline: dict) -> None:
    inputs = [name for stage in pipeline.values() for name in stage["deps"]]
    assert inputs and not [name for name in inputs if name.startswith(("reports/notebooks", "reports/html"))]


def test_trap_06_a_notebook_opened_and_saved_changes_nothing_but_itself(project: Path, notebook: Callable) -> None:
    path = notebook("x = 1", parameters="n: int = 1")
    before = provenance(project, "one")
    saved = nbformat.read(path, as_version=4)
    for cell in saved.cells[1:]:
        cell.execution_count, cell.outputs = 5, [nbformat.v4.new_output("stream", text="seen")]
        cell.metadata["collapsed"] = False
    saved.metadata["language_info"] = {"name": "python", "version": "3.12.1"}
    nbformat.write(saved, path)
    assert differences(before, provenance(project, "one")) == []
    saved.cells[2].source = "x = 2"
    nbformat.write(saved, path)
    assert differences(before, provenance(project, "one")) == ["its notebook changed"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_trap_06_committed_notebooks_carry_no_outputs(path: Path) -> None:
    assert leftovers(read_cells(path)) == [], "clear them: nbstripout notebooks/*.ipynb"


def test_trap_07_the_partial_notebook_lies_outside_the_outputs(project: Path, notebook: Callable) -> None:
    notebook("print('done')", "1 / 0")
    with pytest.raises(
        PipelineError, match=r"cell 3: ZeroDivisionError\n(.*\n)+partial notebook: .*failed/10_one"
    ) as caught:
        run_stage(project, "one")
    assert "papermill" not in str(caught.value)
    assert "done" in (project / ".kinks" / "failed" / "10_one.ipynb").read_text()


def test_trap_08_shards_lie_outside_the_declared_outputs(pipeline: dict) -> None:
    outputs = [name for stage in pipeline.values() for entry in stage["outs"] for name in entry]
    assert all(name.startswith("reports/") for name in outputs)
    assert paths.SCRATCH.relative_to(paths.ROOT).parts[0] != "reports"


def test_trap_10_every_stage_resolves_for_every_scale(pipeline: dict) -> None:
    text = (paths.ROOT / "dvc.yaml").read_text()
    assert not re.search(r"^[^#]*\[", text, flags=re.MULTILINE), "flow style breaks templates"
    assert not re.search(r"\$\{[^}]*\$\{", text), "templates do not nest"
    sections = read_params(paths.ROOT)
    for name in pipeline.keys() - {"sources"}:
        assert pipeline[name]["params"] == ["scale", f"{name}.all", f"{name}.${{scale}}"]
        assert list(sections[name]) == ["all", "smoke", "laptop", "paper"]


def test_trap_11_few_stages_and_jobs_side_by_side_within(
    pipeline: dict, package: Callable, tmp_path: Path, wait_for: Callable
) -> None:
    assert len(pipeline) <= 20
    meet = (
        "import os, time\nfrom pathlib import Path\n\n\ndef job(me, other, folder):\n"
        "    (Path(folder) / me).touch()\n    end = time.monotonic() + 30\n"
        "    while not (Path(folder) / other).exists():\n"
        "        assert time.monotonic() < end\n        time.sleep(0.01)\n    return [{'pid': os.getpid()}]\n"
    )
    settings = [{"me": a, "other": b, "folder": str(tmp_path)} for a, b in ("ab", "ba")]
    found = shards.run_jobs(package(meet).job, settings, workers=2, folder=tmp_path / "store")
    assert found["pid"].nunique() == 2 and os.getpid() not in set(found["pid"])


def test_trap_12_nothing_runs_dvc_quietly() -> None:
    for name in ("Makefile", ".ci/run", "src/kinks/pipeline/reproduce.py"):
        for line in (paths.ROOT / name).read_text().splitlines():
            assert not ("repro" in line and re.search(r"(?<!\w)(-q|--quiet)\b", line)), f"{name}: {line}"


def test_trap_13_and_14_neither_warnings_nor_bars_reach_the_notebook(executed: tuple) -> None:
    outputs = [output for cell in nbformat.read(executed[0], as_version=4).cells for output in cell.get("outputs", [])]
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}
    assert not re.search(rb"TCP|work:|it/s|papermill", executed[1][0])


def test_trap_15_no_plots_that_load_scripts_from_elsewhere(pipeline: dict) -> None:
    assert not [name for name, stage in pipeline.items() if "plots" in stage]


def test_trap_16_no_analytics_and_no_update_check() -> None:
    config = configparser.ConfigParser()
    config.read(paths.ROOT / ".dvc" / "config")
    assert config["core"]["analytics"] == config["core"]["check_update"] == "false"
    assert "export DVC_NO_ANALYTICS := 1" in (paths.ROOT / "Makefile").read_text()


def test_trap_17_the_runner_makes_the_output_folders(executed: tuple) -> None:
    reports = executed[0].parents[1]
    assert sorted(path.name for path in reports.iterdir()) == ["figures", "html", "notebooks", "tables"]


def test_trap_18_dvc_writes_no_ignore_rules(pipeline: dict) -> None:
    for name, stage in pipeline.items():
        for entry in stage["outs"]:
            assert [options for options in entry.values() if options != {"cache": False}] == [], name


def test_every_stage_has_its_place_in_the_pipeline(pipeline: dict) -> None:
    assert list(stage_notebooks(paths.ROOT)) == [name for name in pipeline if name != "sources"]
    for name, path in stage_notebooks(paths.ROOT).items():
        outputs = {file for entry in pipeline[name]["outs"] for file in entry}
        assert f"reports/provenance/{name}.json" in pipeline[name]["deps"]
        assert pipeline[name]["cmd"] == f"${{python}} run {name}"
        assert {f"reports/notebooks/{path.name}", f"reports/html/{path.stem}.html"} <= outputs
        assert {f"reports/tables/{name}", f"reports/figures/{name}"} <= outputs


@pytest.mark.parametrize("stage", list(stage_notebooks(paths.ROOT)))
@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_the_values_of_every_stage_fit_its_notebook(stage: str, scale: str) -> None:
    notebook = stage_notebooks(paths.ROOT)[stage]
    values = stage_parameters(read_params(paths.ROOT), stage, notebook, scale)
    if scale == "laptop":
        assert values == {name: parameter.default for name, parameter in declared(notebook).items()}


@pytest.mark.parametrize("stage", list(stage_notebooks(paths.ROOT)))
def test_provenance_reaches_what_a_stage_imports(stage: str) -> None:
    found = provenance(paths.ROOT, stage)
    text = "".join(cell["source"] for cell in read_cells(stage_notebooks(paths.ROOT)[stage]))
    for module in re.findall(r"^from (kinks[.\w]*) import", text, flags=re.MULTILINE):
        assert module in found["modules"] or module.startswith("kinks.pipeline")
    assert "kinks.report.html" in found["modules"] and "kinks.pipeline.normalise" in found["modules"]
    assert json.loads(json.dumps(found)) == found
