"""The source notebooks: which belongs to which stage, and what in them counts."""

import json
import re
from pathlib import Path

from kinks.pipeline.code_hash import digest
from kinks.pipeline.errors import PipelineError

STAGE_NOTEBOOK = re.compile(r"\d\d_(?P<stage>[a-z0-9_]+)\.ipynb")


def stage_notebooks(root: Path) -> dict[str, Path]:
    """Stage name -> its source notebook, for every notebooks/NN_STAGE.ipynb, in order of NN."""
    found: dict[str, Path] = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        if match := STAGE_NOTEBOOK.fullmatch(path.name):
            stage = match["stage"]
            if stage in found:
                raise PipelineError(f"two notebooks for stage {stage}: {found[stage].name} and {path.name}")
            found[stage] = path
    return found


def stage_notebook(root: Path, stage: str) -> Path:
    """The source notebook of `stage`; PipelineError, listing the known stages, if there is none."""
    known = stage_notebooks(root)
    if stage not in known:
        raise PipelineError(f"no notebook notebooks/NN_{stage}.ipynb; known stages: {', '.join(known) or 'none'}")
    return known[stage]


def read_cells(path: Path) -> list[dict]:
    """The cells of the notebook at `path`, each source as one string; PipelineError if it is not a notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [{**cell, "source": "".join(cell["source"])} for cell in cells]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PipelineError(f"{path}: not a readable notebook of format 4 ({error!r})") from error


def tags(cell: dict) -> list[str]:
    """The tags of `cell`, sorted."""
    return sorted(cell.get("metadata", {}).get("tags", []))


def stripped_hash(cells: list[dict]) -> str:
    """Hash of what a reader wrote: kinds, sources and tags; not outputs, counts, ids or other metadata."""
    return digest(json.dumps([[cell["cell_type"], cell["source"], tags(cell)] for cell in cells]))


def leftovers(cells: list[dict]) -> list[int]:
    """Numbers (from 1) of the code cells that carry outputs or an execution count."""
    return [number for number, cell in enumerate(cells, 1) if cell.get("outputs") or cell.get("execution_count")]
