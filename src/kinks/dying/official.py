"""The paper's likely regression sets, from UCI files that the user has fetched, beside the sets that need no file.

Nothing is downloaded. `official_sets.csv` says for each set which file it is, what is predicted, what is left out and
how it is split, as the first author's public package of UCI sets (`ucimlr`) does. Spreadsheets (power plant, real
estate) are wanted as CSV: open the file and save it as such.
"""

import csv
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path

import pandas as pd

from kinks.data import DataError
from kinks.dying import regression, tables
from kinks.dying.regression import Regression

SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t"}
ADDRESS = "https://archive.ics.uci.edu/dataset/"
ABSENT = -200.0  # how the air quality table says that a number is missing


@cache
def recipes() -> dict[str, dict[str, str]]:
    """Return the official sets by name: the rows of `official_sets.csv`, fields as text, empty where nothing applies.

    `page` is part of the address at UCI under which the set is found by search.
    """
    text = (files(__package__) / "official_sets.csv").read_text(encoding="utf-8")
    return {row["name"]: row for row in csv.DictReader(text.splitlines())}


def load(name: str, seed: int = 0, rows: int | None = None, folder: Path | str | None = None) -> Regression:
    """Return an official set from the files in `folder`, or what `regression.load` has under that name.

    Args:
        name: of the set.
        seed: of the split, and of a teacher.
        rows: of a teacher, in all; None for its own number.
        folder: where the official set's files lie, at any depth.

    Raises:
        DataError: an unknown name, no folder, or a file that is missing or does not fit the recipe.
    """
    if name not in recipes():
        if folder is not None and name != "diabetes" and name.partition("-")[0] not in regression.TEACHERS:
            raise DataError(f"official set is {name!r}; allowed: {', '.join(recipes())}")
        return regression.load(name, seed, rows)
    given = recipes()[name]
    if folder is None:
        raise DataError(f"{name}: no folder; fetch {given['file']} ({ADDRESS}, {given['page']}) and name its folder")
    test = _found(folder, given["test_file"], name) if given["test_file"] else None
    first, _, last = given["pages"].partition("-")
    return tables.read(
        _found(folder, given["file"], name)[0],
        given["target"],
        categories=[one for one in given["categories"].split(";") if one],
        ignored=[one for one in given["ignored"].split(";") if one],
        log_offset=float(given["log_offset"]) if given["log_offset"] else None,
        group=given["group"] or None,
        pages=[str(place) for place in range(int(first), int(last) + 1)] if first else (),
        test_from=float(given["test_from"]) if given["test_from"] else None,
        test_file=test,
        separator=SEPARATORS[given["separator"]],
        header=given["header"] == "yes",
        mend=MENDS.get(name),
        name=name,
        seed=seed,
    )


def _found(folder: Path | str, pattern: str, name: str) -> list[Path]:
    found = sorted(path for path in Path(folder).rglob(pattern) if path.is_file())
    if not found:
        page = recipes()[name]["page"]
        raise DataError(f"{name}: no {pattern} in {folder}; fetch it ({ADDRESS}, {page}) or leave the set out")
    return found


def _air_quality(table: pd.DataFrame) -> pd.DataFrame:
    """Empty lines and columns go, so do rows without a target; dates become days and hours, commas become points.

    A missing carbon monoxide becomes -10, near the numbers that are not missing; other gaps stay at -200.
    """
    table = table.dropna(how="all").dropna(axis=1, how="all").copy()
    day = pd.to_datetime(table["Date"], dayfirst=True)
    table["Date"], table["Time"] = (day - day.min()).dt.days, table["Time"].str.partition(".")[0].astype(int)
    for column in table.select_dtypes(exclude="number"):
        table[column] = table[column].str.replace(",", ".").astype(float)
    table["CO(GT)"] = table["CO(GT)"].replace(ABSENT, -10.0)
    return table[table["C6H6(GT)"] != ABSENT]


MENDS: dict[str, Callable[[pd.DataFrame], pd.DataFrame]] = {"air-quality": _air_quality}
