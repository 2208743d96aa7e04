"""Run one stage: check its values, execute its notebook, write notebook and page."""

import os
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from kinks.pipeline.code_hash import content_hash
from kinks.pipeline.execute import execute
from kinks.pipeline.kernel import kernel_environment
from kinks.pipeline.normalise import write_notebook
from kinks.pipeline.notebooks import read_cells, stage_notebook
from kinks.pipeline.parameter_cell import stage_parameters
from kinks.pipeline.provenance import FOLDER, provenance
from kinks.pipeline.reporting import Reporter
from kinks.pipeline.scales import current_scale, read_params
from kinks.pipeline.state import recorded


def run_stage(root: Path, stage: str, page: Callable[[Path, Path], object] | None = None) -> None:
    """Execute the notebook of `stage` with its section of params.yaml; write the notebook and its HTML page.

    `page(executed, target)` makes the page, `kinks.report.html.page` by default. The folders of the stage's tables
    and figures exist afterwards, even if empty, for DVC expects them. Raises PipelineError.
    """
    source = stage_notebook(root, stage)
    params = read_params(root)
    values = stage_parameters(params, stage, source)
    inputs = {"provenance": provenance(root, stage), "parameters": values, "data": dependencies(root, stage)}
    reports = root / "reports"
    executed, html = reports / "notebooks" / source.name, reports / "html" / f"{source.stem}.html"
    declared = reports / "tables" / stage, reports / "figures" / stage
    for folder in (*declared, executed.parent, html.parent):
        folder.mkdir(parents=True, exist_ok=True)
    progress = root / ".kinks" / "progress" / f"{stage}.jsonl"
    reporter = Reporter(stage, progress, len(read_cells(source)), keepers())
    environment = kernel_environment(root, stage, current_scale(params), progress)
    with recorded(root, stage, inputs, os.environ.get("KINKS_RUN")) as aside:
        if aside:
            print(f"{stage}: asked for again, so everything is computed again", file=sys.stderr)
        if page is None:
            # nbconvert takes a second to import, which the kernel's own start hides.
            threading.Thread(target=import_module, args=("kinks.report.html",), daemon=True).start()
        notebook = execute(source, values, environment, reporter, root / ".kinks")
        for folder in declared:
            if not any(folder.iterdir()):
                (folder / ".gitkeep").touch()  # git keeps no empty folder, and DVC would miss it in a clone
        write_notebook(notebook, executed)
        if page is None:
            from kinks.report.html import page
        page(executed, html)


def keepers() -> tuple[int, ...]:
    """Processes this run is for: DVC, if it started this one, and the reproduction it belongs to."""
    found = [os.getppid()] if "DVC_STAGE" in os.environ else []
    if owner := os.environ.get("KINKS_KEEPER"):
        found.append(int(owner))
    return tuple(found)


def dependencies(root: Path, stage: str) -> dict[str, str]:
    """Hash of each file or folder that dvc.yaml declares as input of `stage`, the provenance file excepted."""
    from ruamel.yaml import YAML

    stages = (YAML(typ="safe", pure=True).load(root / "dvc.yaml") or {}).get("stages", {})
    declared = stages.get(stage, {}).get("deps", [])
    return {name: content_hash(root / name) for name in declared if not Path(name).is_relative_to(FOLDER)}
