"""The whole study at the smoke scale, in a copy of the project: every notebook runs, every result is in its place."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from kinks.pipeline.notebooks import stage_notebooks
from kinks.pipeline.parameter_cell import declared, stage_parameters
from kinks.pipeline.scales import read_params

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "id paper experiment claim quantity paper_value measured low high n arm scale data device verdict evidence"
).split()

EXPERIMENTS = {
    *("E1", "E1b", "E2", "E3", "E4", "E5", "E6", "E7", "E8", "E9", "E10", "E11", "E12", "E13"),
    *("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", *(f"M8{panel}" for panel in "abcdefgh"), "M9a", "M9b"),
    *("M10b", "M11", "K1", "K2", "K3", "K4", "K4a", "K4b", "K4c", "K5"),
    *("D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8"),
}


def run(folder: Path, *command: str) -> subprocess.CompletedProcess:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KINKS_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = kept | {"DVC_NO_ANALYTICS": "1", "PATH": path, "PYTHONPATH": str(folder / "src")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    for name in ("src", "notebooks", "data/embedded", ".dvc"):
        ignored = shutil.ignore_patterns("__pycache__", "tmp", "cache", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in (
        "dvc.yaml",
        "params.yaml",
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        ".dvcignore",
        ".gitignore",
    ):
        shutil.copy(ROOT / name, folder / name)
    assert run(folder, "git", "init", "-q").returncode == 0
    assert run(folder, sys.executable, "-m", "kinks.pipeline", "scale", "smoke").returncode == 0
    done = run(folder, sys.executable, "-m", "dvc", "repro")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_stage_leaves_its_notebook_page_tables_and_figures(copy):
    stages = [path.stem for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb"))]
    assert len(stages) == 17
    for stage in stages:
        assert (copy / "reports" / "notebooks" / f"{stage}.ipynb").is_file()
        assert (copy / "reports" / "html" / f"{stage}.html").is_file()
        if stage != "90_claims":
            assert list((copy / "reports" / "tables" / stage[3:]).glob("*.csv"))
        assert list((copy / "reports" / "figures" / stage[3:]).glob("*.png"))
    assert (copy / "reports" / "html" / "index.html").is_file()


@pytest.mark.slow
def test_every_claim_has_a_verdict_and_none_is_reproduced_beyond_its_power(copy):
    claims = pd.read_csv(copy / "reports" / "claims.csv")
    assert list(claims.columns) == COLUMNS
    assert set(claims["scale"]) == {"smoke"} and set(claims["experiment"]) == EXPERIMENTS
    headline = claims[(claims["id"] == "E2-fp32-half") & (claims["arm"] == "corrected")].iloc[0]
    assert headline["n"] == 40 and headline["verdict"] != "reproduced"  # 40 draws on 2,048 images cannot tell


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_second_run_does_nothing_and_the_first_screen_names_the_scale(copy):
    again = run(copy, sys.executable, "-m", "dvc", "repro")
    assert again.returncode == 0 and "Running stage" not in again.stdout
    assert "(scale smoke;" in (copy / "README.md").read_text()


@pytest.mark.parametrize("scale", ["smoke", "laptop", "paper"])
def test_every_scale_fits_every_notebook_and_its_cell_holds_the_laptops_values(scale):
    params = read_params(ROOT)
    for stage, notebook in stage_notebooks(ROOT).items():
        values = stage_parameters(params, stage, notebook, scale)
        parameters = declared(notebook)
        assert set(values) == set(parameters), stage
        if scale == "laptop":
            assert values == {name: parameter.default for name, parameter in parameters.items()}, stage
