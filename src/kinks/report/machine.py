"""What computed the results: the machine's arithmetic, kept in reports/machine.json, and the scale of the run."""

import json
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from kinks import paths

FILE = "machine.json"


def save_machine(fingerprint: Mapping[str, object]) -> None:
    """Write the fingerprint of `kinks.precision.fingerprint` to REPORTS/machine.json; the first stage does.

    Raises:
        ValueError: it has no entry `arithmetic`, by which machines are compared.
    """
    if "arithmetic" not in fingerprint:
        raise ValueError(f"a fingerprint needs an entry 'arithmetic', got {', '.join(fingerprint) or 'nothing'}")
    paths.REPORTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(dict(fingerprint), indent=2, sort_keys=True) + "\n"
    (paths.REPORTS / FILE).write_text(text, encoding="utf-8", newline="\n")


def arithmetic(reports: Path) -> str | None:
    """Return the arithmetic hash of the machine that computed the results in `reports`, None where none is recorded."""
    path = reports / FILE
    return json.loads(path.read_text(encoding="utf-8"))["arithmetic"] if path.is_file() else None


def scale() -> str:
    """Return the scale of this run, smoke, laptop or paper: KINKS_SCALE if set, else the word in params.yaml."""
    return os.environ.get("KINKS_SCALE") or _written_scale(paths.ROOT / "params.yaml")


@lru_cache(maxsize=4)
def _written_scale(params: Path) -> str:
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(params.read_text(encoding="utf-8"))["scale"]
