"""Progress as seen from the work: a bar for a person, a file for the runner, nothing in a notebook's outputs."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def progress(label: str, total: int, done: int = 0) -> Iterator[Callable[[], None]]:
    """Yield a function to call once per finished unit out of `total`, of which `done` were there before.

    Under the runner (KINKS_PROGRESS names its file) each call appends a line to that file; elsewhere a tqdm bar is
    drawn, if somebody can see it.
    """
    if path := os.environ.get("KINKS_PROGRESS"):
        count = done
        _append(path, label=label, total=total, done=count, first=done, start=time.time())

        def advance() -> None:
            nonlocal count
            count += 1
            _append(path, label=label, done=count)

        yield advance
    else:
        from tqdm.auto import tqdm

        in_notebook = "ipykernel" in sys.modules
        with tqdm(desc=label, total=total, initial=done, disable=False if in_notebook else None) as bar:
            yield bar.update


def note(message: str) -> None:
    """Say `message` once: through the runner, or on stderr where there is none."""
    if path := os.environ.get("KINKS_PROGRESS"):
        _append(path, note=message)
    else:
        print(message, file=sys.stderr)


def _append(path: str, **fields: object) -> None:
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")
