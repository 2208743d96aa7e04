"""From rows per epoch to one row per run, in which a failed run counts at chance."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from kinks.report.training.names import CELL, REORDERED

FORMS = {"alpha": "rule", "beta": "forward"}  # which column says in what form a dose is computed
RUN = [*CELL, "rates", "variant", "dose", "seed"]
TRAINED, FAILED = "trained", ("chance", "diverged")
LAST = ["train_loss", "train_accuracy", "validation_accuracy", "test_accuracy", "overflowed", "dead_layers"]
ABOUT = [
    "schedule", "momentum", "weight_decay", "batch", "augment", "images", "held_out", "init", "bias", "deterministic",
]  # fmt: skip


def dosed(rows: pd.DataFrame, dose: str) -> pd.DataFrame:
    """Return the loop's rows with `dose` (column alpha or beta), `variant`, and `precision` as a label.

    `variant` is "assign" or "chain" for alpha, "mixed" or "exact" for beta, and "reordered" where `reorder` is set. The
    label of a precision is the loop's `precision_label`, as "fp16 autocast, scaled". A column `rates` names how the
    learning rate was chosen where doses that are compared have different ones ("own"); it is "" where they share one.

    Raises:
        ValueError: a dose other than "alpha" or "beta", or a missing column.
    """
    if dose not in FORMS:
        raise ValueError(f"a dose is alpha or beta, got {dose!r}")
    _needs(rows, [dose, FORMS[dose], *CELL, "seed", "epoch"])
    variant = rows[FORMS[dose]].where(~_flag(rows, "reorder"), REORDERED)
    label = rows["precision_label" if "precision_label" in rows else "precision"]
    rates = rows["rates"] if "rates" in rows else ""
    return rows.assign(dose=rows[dose].astype(float), variant=variant, precision=label, rates=rates)


def finals(
    rows: pd.DataFrame, chance: float | Mapping[str, float] | None = None, measure: str = "test_accuracy"
) -> pd.DataFrame:
    """Return one row per run: `accuracy` after the last epoch, which is chance where the run `failed`.

    A run failed if its status is "diverged" or "chance". Columns: CELL, rates, variant, dose, seed; accuracy, chance,
    failed, status; diverged_step and cause; best test accuracy of any epoch; train_loss, train_accuracy,
    validation_accuracy, test_accuracy, overflowed and dead_layers of the last epoch as measured; skipped, zeros, ties
    (totals, NaN where nothing was counted); epochs, steps; and settings.

    Args:
        rows: of `dosed`.
        chance: share of the largest class among the test images, one number or by data set; unless rows have it.
        measure: the column that is the accuracy.

    Raises:
        ValueError: a missing column, two runs that nothing tells apart, or failed runs and no chance.
    """
    _needs(rows, [*RUN, "epoch", "status", "train_loss", "diverged_step", "cause", measure])
    _distinct(rows)
    ordered = rows.sort_values("epoch", kind="stable")
    runs = ordered.groupby(RUN, sort=True, dropna=False)
    last = runs.tail(1).set_index(RUN).sort_index()
    failed = last["status"].isin(FAILED)
    level = _chance(last, chance, failed)
    found = pd.DataFrame({"accuracy": last[measure].astype(float).where(~failed, level), "chance": level})
    found = found.assign(failed=failed, status=last["status"], cause=last["cause"].fillna(""))
    found["diverged_step"] = last["diverged_step"].astype(int)
    if "test_accuracy" in rows:
        found["best"] = runs["test_accuracy"].max()
    for name in LAST:
        found[name] = last[name].astype(float) if name in last else np.nan
    for name in ("skipped", "zeros", "ties"):
        found[name] = runs[name].sum(min_count=1).astype(float) if name in rows else np.nan
    found["epochs"] = runs["epoch"].nunique()
    found["steps"] = runs["step"].max() if "step" in rows else -1
    return pd.concat([found, last[[name for name in ABOUT if name in last]]], axis=1).reset_index()


def _chance(last: pd.DataFrame, chance: float | Mapping[str, float] | None, failed: pd.Series) -> pd.Series:
    """The share of the largest class, run by run."""
    if chance is None:
        level = last["chance"] if "chance" in last else pd.Series(np.nan, index=last.index)
    elif isinstance(chance, Mapping):
        level = pd.Series(last.index.get_level_values("dataset").map(chance), index=last.index)
    else:
        level = pd.Series(float(chance), index=last.index)
    if level[failed].isna().any():
        names = sorted(set(last[failed & level.isna()].index.get_level_values("dataset")))
        raise ValueError(f"{', '.join(names)}: runs failed, so `chance`, the share of the largest class, is needed")
    return level.astype(float)


def _distinct(rows: pd.DataFrame) -> None:
    twice = rows[rows.duplicated([*RUN, "epoch"], keep=False)]
    if twice.empty:
        return
    key = twice.iloc[0][[*RUN, "epoch"]]
    same = twice[(twice[[*RUN, "epoch"]] == key).all(axis=1)]
    settings = [name for name in same if name not in RUN and name in ABOUT and same[name].astype(str).nunique() > 1]
    said = ", ".join(f"{name}={key[name]}" for name in ("network", "precision", "rate", "variant", "dose", "seed"))
    raise ValueError(f"two runs of one cell ({said}); they differ in {', '.join(settings) or 'no setting'}")


def _flag(rows: pd.DataFrame, name: str) -> pd.Series:
    return rows[name].astype(bool) if name in rows else pd.Series(False, index=rows.index)


def _needs(rows: pd.DataFrame, columns: list[str]) -> None:
    if missing := [name for name in columns if name not in rows]:
        raise ValueError(f"rows of a sweep lack {', '.join(missing)}; they have {', '.join(map(str, rows.columns))}")
