"""Compare two folders of result tables: the committed ones and those just computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from kinks.report import machine
from kinks.report.tables import PROVENANCE, describe, read_table
from kinks.report.tolerance import Exact, Ignore, Tolerance, same

Status = Literal["identical", "within tolerance", "different", "missing", "new", "other scale"]
# The list of claims has no description beside it: its numbers follow from the tables, its verdicts must hold.
CLAIMS = {"keys": ["id", "arm", "scale"], "exact": ["verdict"]}


@dataclass(frozen=True)
class Comparison:
    """What became of one table."""

    table: str
    status: Status
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether the committed table stands: not when it differs, or was not computed again."""
        return self.status not in ("different", "missing")

    def __str__(self) -> str:
        return f"{self.table}: {self.status}" + (f" ({self.detail})" if self.detail else "")


def compare(committed: Path, fresh: Path) -> list[Comparison]:
    """Compare every table of two `reports` folders (or two `tables` folders), in order of their names.

    Tolerances apply only where reports/machine.json says that the machines round differently; on the same arithmetic,
    or where nothing is recorded, results must be identical. Tables of another scale are named and not compared.
    """
    before, after = machine.arithmetic(_reports(committed)), machine.arithmetic(_reports(fresh))
    elsewhere = None not in (before, after) and before != after
    tables = [_tables(folder) for folder in (committed, fresh)]
    found = [_pair(name, *(one.get(name) for one in tables), elsewhere) for name in sorted(set().union(*tables))]
    claims = [_reports(folder) / "claims.csv" for folder in (committed, fresh)]
    return found + ([_claims(*claims, elsewhere)] if all(path.is_file() for path in claims) else [])


def _reports(folder: Path) -> Path:
    return folder.parent if folder.name == "tables" else folder


def _tables(folder: Path) -> dict[str, Path]:
    root = _reports(folder) / "tables" if folder.name != "tables" else folder
    return {path.relative_to(root).with_suffix("").as_posix(): path for path in root.rglob("*.csv")}


def _pair(name: str, committed: Path | None, fresh: Path | None, elsewhere: bool) -> Comparison:
    if fresh is None:
        return Comparison(name, "missing", "committed, but not computed now")
    if committed is None:
        return Comparison(name, "new", "computed now, but not committed")
    about, now = describe(committed), describe(fresh)
    if about["scale"] != now["scale"]:
        return Comparison(name, "other scale", f"committed {about['scale']}, now {now['scale']}: not compared")
    if committed.read_bytes() == fresh.read_bytes():
        return Comparison(name, "identical")
    if elsewhere and about.get("drawn"):
        return Comparison(name, "within tolerance", "its rows are chance events of a machine that rounds otherwise")
    return _frames(name, read_table(committed), read_table(fresh), about["keys"], about["tolerances"], elsewhere)


def _claims(committed: Path, fresh: Path, elsewhere: bool) -> Comparison:
    if committed.read_bytes() == fresh.read_bytes():
        return Comparison("claims", "identical")
    before, after = (pd.read_csv(path, keep_default_na=False, dtype=str) for path in (committed, fresh))
    scales = [", ".join(sorted(set(frame["scale"]))) for frame in (before, after)]
    if scales[0] != scales[1]:
        return Comparison("claims", "other scale", f"committed {scales[0]}, now {scales[1]}: not compared")
    free = set(before.columns) - {*CLAIMS["keys"], *CLAIMS["exact"]}
    return _frames("claims", before, after, CLAIMS["keys"], dict.fromkeys(free, Ignore()), elsewhere)


def _frames(
    name: str,
    committed: pd.DataFrame,
    fresh: pd.DataFrame,
    keys: list[str],
    tolerances: Mapping[str, Tolerance],
    elsewhere: bool,
) -> Comparison:
    """Compare two tables row by row; the first difference is named by its keys, its column and both values."""
    if list(committed.columns) != list(fresh.columns):
        odd = sorted(set(committed.columns) ^ set(fresh.columns)) or ["their order"]
        return Comparison(name, "different", f"columns: {', '.join(odd)}")
    before, after = _rows(committed, keys), _rows(fresh, keys)
    if lone := [key for key in [*before, *after] if (key in before) != (key in after)]:
        where = "committed only" if lone[0] in before else "computed now only"
        return Comparison(name, "different", f"{len(lone)} rows differ; first {_label(keys, lone[0])}: {where}")
    changed, refused = [], []
    for key, column in ((key, column) for key in before for column in committed.columns):
        if same(before[key][column], after[key][column]):
            continue
        if column in PROVENANCE:
            continue
        changed.append((key, column))
        tolerance = tolerances.get(column, Exact())
        if not (elsewhere and tolerance.allows(before[key], after[key], column)):
            refused.append((key, column))
    if refused:
        key, column = refused[0]
        values = f"{column} {before[key][column]} committed, {after[key][column]} now"
        return Comparison(name, "different", f"{len(refused)} values; first {_label(keys, key)}: {values}")
    if list(before) != list(after):
        return Comparison(name, "different", "the same rows in another order")
    if changed:
        return Comparison(name, "within tolerance", f"{len(changed)} values, on a machine that rounds otherwise")
    return Comparison(name, "identical", "but for who computed it")


def _rows(table: pd.DataFrame, keys: list[str]) -> dict[tuple, dict]:
    return {tuple(str(row[key]) for key in keys): row for row in table.to_dict("records")}


def _label(keys: list[str], values: tuple) -> str:
    return ", ".join(f"{key}={value}" for key, value in zip(keys, values, strict=True)) or "row"
