"""Learning-rate searches (M7, E13): their trials, and what each rule selects.

A `dose` is ReLU'(0) or beta; its `variant` is "assign" or "mixed" as the public code computes it, "chain" or "exact" as
the mathematics does. Dose 0 is one program, so it stands for both. Tables that compare doses are in `search_tables`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from kinks.report import Ignore, Tolerance, provenance
from kinks.report.training.rows import dosed

CELL = ["experiment", "network", "dataset", "batch_norm", "optimiser", "precision"]
KEY = [*CELL, "dose", "variant"]
ABOUT = ["schedule", "epochs", "batch", "images", "validation", "held_out", "deterministic"]  # equal within a cell
MEASURED = ["train_loss", "train_accuracy", "validation_accuracy", "test_accuracy", "chance"]
ENDED = ["zeros", "ties", "diverged_step", "cause"]
RULES = {"validation": "validation_accuracy", "test": "test_accuracy"}  # ours, and the papers'
HALF = 0.5  # a rate is useful where accuracy comes this far from chance to the best at dose 0
LEARNT = 0.05  # an accuracy that is not this far above chance says that nothing was learnt


def trials(rows: pd.DataFrame, labels: pd.DataFrame, scale: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per trial of `kinks.train.search.search`, told apart by KEY, seed and trial.

    Columns: objective, rate; state (`complete` or `pruned`), diverged, ran (epochs); losses and accuracies of the last
    of them (NaN where it diverged), zeros and ties met in it; `useful`: its accuracy by the objective lies at least
    halfway from chance to the best of dose 0 in its cell.

    Args:
        labels: `experiment` and `symbol` of every study, as `kinks.train.search_grid.grid` returns them.
        scale: rows of trials among which the best of dose 0 is looked for; `rows` themselves by default.
    """
    table, base = (_labelled(part, labels) for part in (rows, rows if scale is None else scale))
    table = table.assign(diverged=table["diverged_step"] >= 0, ran=table["epoch"] + 1)
    best = base[(base["dose"] == 0) & (base["state"] == "complete")]
    top = _score(best).groupby(cells(best)).max()
    halfway = table["chance"] + HALF * (cells(table).map(top) - table["chance"])
    table = table.assign(useful=_score(table) >= halfway)
    known = [name for name in (*MEASURED, *ENDED, *ABOUT) if name in table]
    return table[[*KEY, "seed", "trial", "objective", "rate", "state", "diverged", "useful", "ran", *known]]


def same_cell(table: pd.DataFrame, cell: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `table` that belong to the cell of which `cell` holds rows."""
    return table[(table[CELL] == cell[CELL].iloc[0]).all(axis=1)]


def selections(trials: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return what each study selects by each rule: one row per KEY, seed and rule.

    Columns: rate and trial, NaN and -1 where every trial diverged or was given up; its accuracies; learnt, whether that
    by which it was selected lies at least five points above chance; trials, pruned, diverged; `published`, the rate
    that the paper selected for the dose, with `published_accuracy`.

    Args:
        published: `kinks.train.published.rates` of the experiments.
    """
    found = []
    for key, group in trials.groupby([*KEY, "seed"], sort=True):
        counts = {"trials": len(group), "pruned": int((group["state"] == "pruned").sum())}
        counts |= {"diverged": int(group["diverged"].sum())}
        for rule, column in RULES.items():
            able = group[(group["state"] == "complete") & group[column].notna()]
            row = dict(zip([*KEY, "seed"], key, strict=True)) | {"rule": rule, **counts}
            best = able.sort_values([column, "trial"], ascending=[False, True]).head(1)
            names = ["rate", "trial", "validation_accuracy", "test_accuracy"]
            values = best[names].iloc[0].to_dict() if len(best) else dict.fromkeys(names, np.nan) | {"trial": -1}
            found.append(row | values | {"learnt": bool(values[column] >= group["chance"].iloc[0] + LEARNT)})
    table = pd.DataFrame(found).astype({"trial": int})
    names = {"name": "experiment", "value": "dose", "rate": "published", "accuracy": "published_accuracy"}
    known = published.rename(columns=names)
    known = known[["experiment", "batch_norm", "dose", "published", "published_accuracy"]]
    return table.merge(known, on=["experiment", "batch_norm", "dose"], how="left")


def stamped(table: pd.DataFrame, labels: Mapping[str, str], device: str, job: Callable) -> pd.DataFrame:
    """Return the table with the columns of `kinks.report.provenance.stamped`, the data's label by data set."""
    return provenance.stamped(table, "", device, job).assign(data=table["dataset"].map(labels))


def saving(table: pd.DataFrame, more: Sequence[str] = ()) -> dict[str, object]:
    """Return `keys` and `tolerance` for `save_table`: what training measured is chaotic and compared with nothing."""
    keys = [*KEY, *more]
    fixed = {*keys, *ABOUT, "n", "trials", "objective", "published", "published_accuracy", "published_ratio", "data"}
    tolerance: dict[str, Tolerance] = {name: Ignore() for name in table.columns if name not in fixed}
    return {"keys": keys, "tolerance": tolerance}


def cells(table: pd.DataFrame) -> pd.Series:
    """Return the cell of every row, as one value."""
    return pd.Series(list(table[CELL].itertuples(index=False, name=None)), index=table.index)


def _labelled(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """The rows with the name of their experiment, `dose`, `variant` and the label of their precision."""
    rows = rows.join(labels, on="study")
    return pd.concat([dosed(part, symbol) for symbol, part in rows.groupby("symbol")]).sort_index()


def _score(table: pd.DataFrame) -> pd.Series:
    """What the search maximised, NaN where a run diverged."""
    return table["validation_accuracy"].where(table["objective"] == "validation", table["test_accuracy"])
