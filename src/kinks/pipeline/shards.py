"""Long work as a list of pure jobs whose finished ones are files: killed, it goes on where it stopped."""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from kinks import paths
from kinks.pipeline.code_hash import digest
from kinks.pipeline.executors import EXECUTORS
from kinks.pipeline.progress import note, progress
from kinks.pipeline.store import Task, canonical, code_hash, job_name, read_shard


def run_jobs(
    job: Callable[..., pd.DataFrame | list[dict]],
    settings: Sequence[dict],
    *,
    executor: str = "processes",
    workers: int | None = None,
    folder: Path | None = None,
) -> pd.DataFrame:
    """The rows of `job(**s)` for each s of `settings`, in that order, from shards where they exist.

    The result is equal bit for bit whatever the executor, the number of workers, and however often the work was
    interrupted. `job` is a function of an importable module and a settings dict holds plain JSON values.
    `workers` defaults to KINKS_WORKERS, or the number of usable cores. Shards lie in `folder`, else in
    KINKS_SHARDS (set by the runner, one store per stage); an interactive session also reads those of all stages.
    Raises JobError naming the settings of a job that fails.
    """
    if executor not in EXECUTORS:
        raise ValueError(f"run_jobs: executor={executor!r}, allowed: {', '.join(EXECUTORS)}")
    workers = _workers(workers)
    tasks, others = _tasks(job, settings, folder)
    tables = {task.path: table for task in tasks if (table := _finished(task, others)) is not None}
    missing = list({task.path: task for task in tasks if task.path not in tables}.values())
    if missing:
        with progress(job_name(job).replace(":", "."), len(missing) + len(tables), len(tables)) as advance:
            for task in EXECUTORS[executor](missing, workers):
                tables[task.path] = read_shard(task.path, task)
                advance()
    if not tasks:
        return pd.DataFrame()
    return pa.concat_tables([tables[task.path] for task in tasks], promote_options="permissive").to_pandas()


def usable_cores() -> int:
    """Number of cores this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on every system
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _workers(given: int | None) -> int:
    source, value = "workers", given
    if value is None and (text := os.environ.get("KINKS_WORKERS")):
        source, value = "KINKS_WORKERS", int(text) if text.isdecimal() else text
    if value is None:
        return usable_cores()
    if not isinstance(value, int) or value < 1:
        raise ValueError(f"run_jobs: {source}={value!r}, allowed: a whole number of at least 1")
    return value


def _tasks(job: Callable, settings: Sequence[dict], folder: Path | None) -> tuple[list[Task], list[Path]]:
    """One task per settings, and the other folders where a finished shard of this job may lie."""
    name, code = job_name(job), code_hash(job)
    subfolder = name.replace(":", ".")
    all_stores = paths.SCRATCH / "shards"
    if folder:
        own, others = folder, []
    elif given := os.environ.get("KINKS_SHARDS"):
        own, others = Path(given), []
    else:
        own = all_stores / "lab"
        others = [store / subfolder for store in sorted(all_stores.glob("*")) if store != own]
    texts = [canonical(one) for one in settings]
    files = [own / subfolder / f"{digest(f'{text} {code}')}.parquet" for text in texts]
    return [Task(name, json.loads(text), file) for text, file in zip(texts, files, strict=True)], others


def _finished(task: Task, others: list[Path]) -> pa.Table | None:
    """The rows of `task` if a store holds them; a file that cannot be used is reported and ignored."""
    for path in (task.path, *(folder / task.path.name for folder in others)):
        if path.is_file():
            try:
                return read_shard(path, task)
            except ValueError as error:
                note(f"{error}: computed again")
    return None
