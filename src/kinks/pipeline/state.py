"""What each stage last ran on, and the rule for when its shards are computed again.

A stage that is killed goes on from its shards. A stage that is asked to run although it is done and nothing it
depends on has changed was forced (`dvc repro -f`, `make reproduce`): somebody wants it computed, not looked up.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kinks.pipeline.processes import hold


def must_recompute(last: dict | None, inputs: dict, run: str | None) -> bool:
    """Whether the shards of a stage are to be set aside before it runs on `inputs`.

    `last` is the record of its last run, None if there is none: then shards can only have been copied in, to be
    used. `run` names the reproduction this run is part of, which computes every stage once however often it is
    interrupted. Other versions of the packages always count: the names of shards do not know them.
    """
    if last is None:
        return False
    if last["inputs"]["provenance"]["packages"] != inputs["provenance"]["packages"]:
        return True
    if run is not None:
        return last["run"] != run
    return last["state"] == "done" and last["inputs"] == inputs


@contextmanager
def recorded(root: Path, stage: str, inputs: dict, run: str | None) -> Iterator[bool]:
    """Hold `stage` for this process, set its shards aside if they must not be used, and record how it ends.

    Yields whether shards were set aside. Raises PipelineError if another process is running the stage.
    """
    folder = root / ".kinks" / "stages"
    with hold(folder / f"{stage}.lock", f"stage {stage}"):
        record = folder / f"{stage}.json"
        aside = must_recompute(_read(record), inputs, run) and _set_aside(root, stage)
        _write(record, {"inputs": inputs, "state": "running", "run": run})
        yield aside
        _write(record, {"inputs": inputs, "state": "done", "run": run})


def _set_aside(root: Path, stage: str) -> bool:
    """Rename the shard store of `stage`, replacing the one set aside before; False if it has none."""
    store, previous = root / ".kinks" / "shards" / stage, root / ".kinks" / "shards.previous" / stage
    if not store.exists():
        return False
    shutil.rmtree(previous, ignore_errors=True)
    previous.parent.mkdir(parents=True, exist_ok=True)
    store.rename(previous)
    return True


def _read(record: Path) -> dict | None:
    try:
        return json.loads(record.read_text())
    except (OSError, ValueError):
        return None


def _write(record: Path, content: dict) -> None:
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(content, indent=1) + "\n")
    temporary.replace(record)
