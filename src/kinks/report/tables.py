"""Result tables on disk: CSV for machines, Markdown for readers, JSON for what its columns mean."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from kinks import paths
from kinks.report import machine
from kinks.report.tolerance import Exact, Ignore, Poisson, Proportion, Tolerance, from_dict, to_dict

PROVENANCE = ("device", "torch", "code")  # who computed it: never part of a comparison
SHOWN = 200  # rows of a table that its Markdown page shows


def save_table(
    table: pd.DataFrame,
    name: str,
    *,
    keys: Sequence[str],
    tolerance: Mapping[str, Tolerance] | None = None,
    note: str = "",
    drawn: bool = False,
) -> None:
    """Write `table` as TABLES/name.csv, .md and .json.

    Args:
        name: "stage/name".
        keys: the columns that tell rows apart.
        tolerance: by how much a column may differ on a machine that rounds otherwise; `Exact` where none is given.
            Columns that follow from others (ends of intervals) are best `Ignore`d.
        note: one or two sentences on what the table holds.
        drawn: the rows themselves are chance events (which mini-batch met a zero), so a machine that rounds otherwise
            has others; their number is then compared in the table that counts them.

    Raises:
        ValueError: a malformed name, an unknown column, or keys that do not tell the rows apart.
    """
    tolerance = dict(tolerance or {})
    _check(table, name, list(keys), tolerance)
    tolerance |= {column: Ignore() for column in PROVENANCE if column in table}
    about = {
        "keys": list(keys),
        "tolerances": {column: to_dict(kind) for column, kind in sorted(tolerance.items())},
        "note": note,
        "drawn": drawn,
        "scale": machine.scale(),
        "dtypes": {column: str(dtype) for column, dtype in table.dtypes.items()},
    }
    path = paths.TABLES / f"{name}.csv"
    write(path, to_csv(table))
    write(path.with_suffix(".md"), markdown(table, path.stem, note))
    write(path.with_suffix(".json"), json.dumps(about, indent=2) + "\n")


def read_table(path: Path) -> pd.DataFrame:
    """Read a table written by `save_table`, with the types it was saved with."""
    dtypes = describe(path)["dtypes"]
    return pd.read_csv(path, dtype=dtypes, keep_default_na=False, na_values=[""])


def load_table(name: str) -> pd.DataFrame:
    """Read the table "stage/name": this session's own if it made one, else the committed one.

    Raises:
        FileNotFoundError: there is neither; the message says which stage makes it.
    """
    return read_table(paths.find_table(name))


def describe(path: Path) -> dict:
    """Return what lies beside the table's CSV: keys, tolerances (as values), note, scale, dtypes."""
    about = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return about | {"tolerances": {column: from_dict(kind) for column, kind in about["tolerances"].items()}}


def to_csv(table: pd.DataFrame) -> str:
    """Return a table as CSV text that has the same bytes everywhere: shortest exact floats, newline line ends."""
    return table.to_csv(index=False, lineterminator="\n")


def markdown(table: pd.DataFrame, title: str, note: str) -> str:
    """Return a table as a Markdown page, floats to four digits, at most 200 rows."""
    head = table.head(SHOWN)
    plain = {column: head[column].map(_cell) for column in head.columns}
    body = pd.DataFrame(plain).to_markdown(index=False, disable_numparse=True) if len(table) else "No rows."
    more = f"\n{len(table) - SHOWN} more rows in {title}.csv.\n" if len(table) > SHOWN else ""
    return f"# {title}\n\n" + (f"{note}\n\n" if note else "") + f"{body}\n{more}"


def write(path: Path, text: str) -> None:
    """Write text as UTF-8 with newline line ends, making the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None else str(value).replace("|", "\\|")


def _check(table: pd.DataFrame, name: str, keys: list[str], tolerance: Mapping[str, Tolerance]) -> None:
    if not re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+", name):
        raise ValueError(f"a table is named 'stage/name' in lower case, got {name!r}")
    used = [*keys, *tolerance]
    used += [kind.n_column for kind in tolerance.values() if isinstance(kind, Proportion)]
    used += [kind.exposure_column for kind in tolerance.values() if isinstance(kind, Poisson)]
    if unknown := sorted(set(used) - set(table.columns)):
        raise ValueError(f"table {name}: no column {unknown[0]!r}; it has {', '.join(table.columns)}")
    if any(not isinstance(tolerance.get(key, Exact()), Exact) for key in keys):
        raise ValueError(f"table {name}: keys are compared exactly, so they take no tolerance")
    twice = table[table.duplicated(keys)] if keys else table.iloc[1:]
    if len(twice):
        raise ValueError(f"table {name}: keys {keys} do not tell rows apart, e.g. {_named(twice.iloc[0], keys)}")


def _named(row: pd.Series, keys: Sequence[str]) -> str:
    return ", ".join(f"{key}={row[key]}" for key in keys)
