"""Do the results that lie here belong to the code that lies here? Nothing is computed."""

import json
import os
import subprocess
import sys
from pathlib import Path

from kinks.pipeline.errors import PipelineError
from kinks.pipeline.notebooks import stage_notebooks
from kinks.pipeline.provenance import FOLDER, differences, provenance
from kinks.pipeline.scales import current_scale, read_params


def verify(root: Path) -> int:
    """Print what is out of step, stage by stage; 0 if nothing is, else 1."""
    scale = current_scale(read_params(root))
    problems = [*_changed_sources(root), *_changed_files(root)]
    for line in dict.fromkeys(problems):
        print(line)
    if problems:
        print("error: results and code do not belong together; `make reproduce` makes them anew", file=sys.stderr)
        return 1
    print(f"the results (scale {scale}) belong to this code, these parameters and this data")
    return 0


def _changed_sources(root: Path) -> list[str]:
    """What the provenance of each stage says now that it did not say when it was written."""
    lines = []
    for stage in stage_notebooks(root):
        file = root / FOLDER / f"{stage}.json"
        if not file.is_file():
            lines.append(f"{stage}: {file.relative_to(root)} is missing")
            continue
        now = provenance(root, stage)
        lines += [f"{stage}: {change}" for change in differences(json.loads(file.read_text()), now)]
    return lines


def _changed_files(root: Path) -> list[str]:
    """What DVC finds changed since the stages ran: inputs, parameters, commands, results.

    The inputs of the stage `sources` are left out: they were compared above, remarks and layout aside.
    """
    command = [sys.executable, "-m", "dvc", "status", "--json"]
    environment = {**os.environ, "DVC_NO_ANALYTICS": "1"}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise PipelineError(f"dvc status: {' '.join(done.stderr.split())}")
    lines = []
    for stage, changes in json.loads(done.stdout).items():
        for change in changes:
            if change == "changed command":
                lines.append(f"{stage}: its command in dvc.yaml changed")
            elif isinstance(change, dict):
                for kind, files in change.items():
                    if (stage, kind) != ("sources", "changed deps"):
                        lines += [f"{stage}: {text}" for text in _describe(kind, files)]
    return lines


def _describe(kind: str, files: dict) -> list[str]:
    what = "input" if kind == "changed deps" else "result"
    lines = []
    for name, state in files.items():
        if isinstance(state, dict):  # a file of parameters
            lines += [f"parameter {key} {how}" for key, how in state.items()]
        else:
            lines.append(f"{what} {name} {state}")
    return lines
