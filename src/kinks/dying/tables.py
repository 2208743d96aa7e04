"""Regression sets from CSV files that the user points to, split and standardised as `kinks.dying.regression` says.

The paper's likely sets (UCI) differ in their columns, so those are arguments. Four of the sets have splits of their
own: a test file, or test rows above a number of patient or subject, and validation by groups, too.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from kinks.data import DataError
from kinks.dying.regression import VALIDATION, Regression, prepare, split


def read(
    path: Path | str,
    target: str,
    *,
    categories: Sequence[str] = (),
    ignored: Sequence[str] = (),
    log_offset: float | None = None,
    group: str | None = None,
    pages: Sequence[str] = (),
    test_from: float | None = None,
    test_file: Path | str | Sequence[Path | str] | None = None,
    separator: str = ",",
    decimal: str = ".",
    header: bool = True,
    mend: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
    name: str | None = None,
    seed: int = 0,
) -> Regression:
    """Return the regression set of a CSV file; nothing is downloaded.

    Args:
        path: the file.
        target: column of the targets.
        categories: columns that become one-hot.
        ignored: columns that are left out: identifiers, other targets.
        log_offset: targets become log(y + log_offset) where one is given (0 for news, 0.01 for blogs).
        group: column of patients or subjects; it is no input, and validation takes whole groups.
        pages: columns whose equal values make a group instead (posts of one page); they stay inputs.
        test_from: groups at or above this number are the test part (80 for CT slices, 31 for Parkinson).
        test_file: a file, or several, with the test part instead.
        separator: between fields.
        decimal: point or comma of numbers.
        header: whether the first line names the columns; they are "0", "1", ... where it does not.
        mend: what is done to a table as it was read: rows dropped, dates made numbers.
        name: of the set; the file's without suffix unless given.
        seed: of what is split at random.

    Raises:
        DataError: no such file or column, fields that are empty or no numbers, targets without a logarithm, or both
            ways of giving a test part.
    """
    if test_from is not None and (group is None or test_file is not None):
        raise DataError("test_from needs group and excludes test_file")
    files = [Path(path)]
    if test_file is not None:
        files += map(Path, [test_file] if isinstance(test_file, (str, Path)) else test_file)
    needed = [target, *categories, *ignored, *pages, *([group] if group else [])]
    frames = [_frame(file, separator, decimal, header, mend, needed) for file in files]
    table = pd.concat(frames, ignore_index=True)
    groups = table[group].to_numpy() if group else None
    if pages:
        groups = table.groupby(list(pages), sort=False).ngroup().to_numpy()
    x = table.drop(columns=[target, *ignored, *([group] if group else [])])
    x = pd.get_dummies(x, columns=list(categories), dtype=float)
    y = _numbers(table[[target]], files[0]).to_numpy()[:, 0]
    if log_offset is not None:
        if not (y + log_offset > 0).all():
            raise DataError(f"{files[0]}: log(y + {log_offset:g}) of targets down to {y.min():g}; give a larger offset")
        y = np.log(y + log_offset)
    held = len(frames[0]) if test_file is not None else None
    parts = _parts(groups, len(table), test_from, held, seed)
    return prepare(name or files[0].stem, "file", _numbers(x, files[0]).to_numpy(), y, parts)


def _frame(
    path: Path,
    separator: str,
    decimal: str,
    header: bool,
    mend: Callable[[pd.DataFrame], pd.DataFrame] | None,
    columns: Sequence[str],
) -> pd.DataFrame:
    first = "infer" if header else None
    try:
        table = pd.read_csv(path, sep=separator, decimal=decimal, header=first, skipinitialspace=True)
        table = table.rename(columns=str)
        table = table if mend is None else mend(table)
    except KeyError as error:
        raise DataError(f"{path} has no column {error}") from None
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path}: {error}") from None
    if missing := [name for name in columns if name not in table]:
        raise DataError(f"{path} has no column {missing[0]!r}; it has {', '.join(map(str, table.columns))}")
    if lines := table.isna().any(axis=1).sum():
        raise DataError(f"{path}: {lines} of {len(table)} rows have empty fields; fill or remove them")
    return table


def _numbers(table: pd.DataFrame, path: Path) -> pd.DataFrame:
    for name in table:
        if not (pd.api.types.is_numeric_dtype(table[name]) or pd.api.types.is_bool_dtype(table[name])):
            raise DataError(f"{path}: column {name!r} holds {table[name].iloc[0]!r}; name it in categories or ignored")
    return table.astype(float)


def _parts(
    groups: np.ndarray | None, rows: int, test_from: float | None, held: int | None, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the training, validation and test part; `held` is the first row of the test file."""
    if groups is None and held is None:
        return split(rows, seed)
    every = np.arange(rows)
    if held is not None:
        test = every >= held
    elif test_from is not None:
        test = groups >= test_from
    else:
        test = np.isin(every, split(rows, seed)[2])
    labels = every if groups is None else groups
    rest = np.unique(labels[~test])
    chosen = np.random.default_rng(seed).permutation(rest)[: round(VALIDATION * len(rest))]
    validation = ~test & np.isin(labels, chosen)
    return every[~test & ~validation], every[validation], every[test]
