"""One finished job, one Parquet file, named by its settings and the code it depends on."""

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from kinks.pipeline.code_hash import closure, digest, module_hash


class Task(NamedTuple):
    """A job still to be done: "module:function", its settings, the file its rows go to."""

    job: str
    settings: dict
    path: Path


def job_name(job: Callable) -> str:
    """ "module:function" of `job`; TypeError unless another process can import it under that name."""
    module, name = getattr(job, "__module__", None), getattr(job, "__qualname__", repr(job))
    if module in (None, "__main__") or "." in name or "<" in name:
        raise TypeError(f"run_jobs: job must be a function at the top level of a module, got {name} of {module}")
    return f"{module}:{name}"


def load_job(name: str) -> Callable:
    """The function that `job_name` named."""
    module, function = name.split(":")
    return getattr(importlib.import_module(module), function)


def code_hash(job: Callable) -> str:
    """Hash of the module of `job` and of all modules of its package that it loads, without pipeline and report.

    A comment, a docstring or the layout does not change it; neither does the version of Python.
    """
    top, _, _ = job.__module__.partition(".")
    file = importlib.import_module(top).__file__
    if file is None or Path(file).name != "__init__.py":
        return module_hash(Path(file)) if file else ""
    aside = (f"{top}.pipeline", f"{top}.report")

    def skip(name: str) -> bool:
        return name in aside or name.startswith(tuple(f"{part}." for part in aside))

    modules = closure([job.__module__], Path(file).parent, skip)
    return digest(repr([(name, module_hash(path)) for name, path in modules.items()]))


def canonical(settings: dict) -> str:
    """`settings` as JSON with sorted keys; TypeError or ValueError naming them if they are not plain JSON values."""
    try:
        return json.dumps(settings, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise type(error)(f"run_jobs: settings must be plain JSON values, got {settings!r}: {error}") from error


def perform(task: Task) -> None:
    """Compute `task` and write its file, under a temporary name first: a file with the final name is complete."""
    rows = load_job(task.job)(**task.settings)
    frame = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(rows)
    table = pa.Table.from_pandas(frame, preserve_index=False)
    label = json.dumps({"job": task.job, "settings": task.settings}, sort_keys=True)
    temporary = task.path.with_name(f".{task.path.stem}.{os.getpid()}.tmp")
    task.path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("wb") as file:
        # What pandas would note in the schema differs between shards; the columns' own types are enough.
        pq.write_table(table.replace_schema_metadata({"kinks": label}), file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(task.path)


def read_shard(path: Path, task: Task) -> pa.Table:
    """The table at `path`; ValueError if the file is broken or holds another job or other settings."""
    try:
        table = pq.read_table(path, memory_map=False)
        label = json.loads((table.schema.metadata or {})[b"kinks"])
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise ValueError(f"broken shard {path} ({type(error).__name__})") from error
    if label != {"job": task.job, "settings": task.settings}:
        raise ValueError(f"shard {path} holds other settings")
    return table.replace_schema_metadata(None)
