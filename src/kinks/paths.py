"""Where things lie. Imports the standard library only, so that it costs nothing anywhere."""

import os
from pathlib import Path


def find_root(start: Path) -> Path | None:
    """The nearest folder at or above `start` that holds dvc.yaml and params.yaml, or None."""
    for folder in (start, *start.parents):
        if (folder / "dvc.yaml").is_file() and (folder / "params.yaml").is_file():
            return folder
    return None


def _root() -> Path:
    """KINKS_ROOT if set, else the project around the working directory, else the one around this file."""
    if given := os.environ.get("KINKS_ROOT"):
        root = Path(given).resolve()
        if find_root(root) != root:
            raise FileNotFoundError(f"KINKS_ROOT={given}: no dvc.yaml and params.yaml there")
        return root
    root = find_root(Path.cwd()) or find_root(Path(__file__).resolve().parent)
    if root is None:
        raise FileNotFoundError(
            f"no dvc.yaml and params.yaml at or above {Path.cwd()}: "
            "work inside a clone of the project, or set KINKS_ROOT to one"
        )
    return root


ROOT = _root()
DATA = ROOT / "data"
SCRATCH = ROOT / ".kinks"  # shards, logs, state: ignored by git and by DVC, removed by `make clean`
RESULTS = ROOT / "reports"  # the committed results

# Only the runner writes to the committed results: it sets KINKS_REPORTS. A notebook played with in JupyterLab
# writes to lab/, which git ignores.
REPORTS = Path(os.environ.get("KINKS_REPORTS") or ROOT / "lab")
TABLES = REPORTS / "tables"
FIGURES = REPORTS / "figures"
NOTEBOOKS = REPORTS / "notebooks"
HTML = REPORTS / "html"


def find_table(name: str) -> Path:
    """The CSV file of table `name` ("volume/cells"): this session's own if it made one, else the committed one.

    Raises FileNotFoundError, naming the stage that makes the table, if neither exists.
    """
    for folder in (TABLES, RESULTS / "tables"):
        if (path := folder / f"{name}.csv").is_file():
            return path
    raise FileNotFoundError(f"no table {name}.csv in {RESULTS / 'tables'}: run `dvc repro {name.split('/')[0]}`")
