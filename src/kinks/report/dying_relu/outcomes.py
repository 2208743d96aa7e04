"""What became of networks after training, in kinds that tell undertraining from death."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats

LEARNT, WORSE = 0.95, 1.05  # normalised training error below, above which a network beats, loses to, the constant


def kind_of(nets: pd.DataFrame) -> pd.Series:
    """Return one of `learnt`, `constant`, `worse` or `diverged` per network.

    Compared with the constant prediction, whose normalised error is 1, on the training set: what is `worse` still has
    the first outputs to unlearn (undertrained, or thrown there by too large a step); what is `constant` may be dead.
    """
    error = nets["train_error"]
    found = np.select([error <= LEARNT, error <= WORSE], ["learnt", "constant"], "worse")
    return pd.Series(np.where(nets["diverged"], "diverged", found), nets.index, name="kind")


def table(nets: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return a row per group of `keys`: errors, dead shares with Student's intervals, and the kinds of networks.

    Columns: n (networks), test_error (median over all, a diverged one counting as infinite), dead_start, dead, gained
    with low and high, nearly_dead and nearly_gained (means over those that did not diverge), and the shares diverged,
    learnt, constant, worse, dead_layer, and worse_alive: worse than the constant, and no ReLU has died.
    """
    rows = []
    marked = nets.assign(_kind=kind_of(nets), _error=nets["test_error"].where(~nets["diverged"], np.inf))
    for key, group in marked.groupby(list(keys), sort=False):
        gained = stats.student(group["gained"].dropna())
        row = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True)) | {"n": len(group)}
        row |= {"test_error": float(group["_error"].median())}
        row |= {name: float(group[name].mean()) for name in ("dead_start", "dead", "nearly_dead", "nearly_gained")}
        row |= dict(zip(("gained", "low", "high"), gained, strict=True))
        row |= {name: float((group["_kind"] == name).mean()) for name in ("diverged", "learnt", "constant", "worse")}
        row["dead_layer"] = float(group["dead_layer"].mean())
        row["worse_alive"] = float(((group["_kind"] == "worse") & (group["gained"] <= 0)).mean())
        rows.append(row)
    return pd.DataFrame(rows)
