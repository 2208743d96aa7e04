"""Measured perturbation levels of formats (K5)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.pieces.arithmetic import SIGNIFICAND
from kinks.report.affine_pieces.updates import fit

FORMAT = ["storage", "accumulate", "against"]
KEYS = ["hidden_layers", "width", "layer", *FORMAT]
OUTCOMES = ("n", "median", "ninth_decile", "largest", "median_in_u", "above_one")
TYPICAL = ("n_networks", "typical_in_u", "low", "high")


def by_format(rows: pd.DataFrame) -> pd.DataFrame:
    """Summarise the relative errors delta per depth, width and format; neurons of all layers, seeds, steps pooled.

    Returns:
        n (finite errors), median, ninth_decile, largest, median_in_u (in unit roundoffs of the storage format),
        above_one (errors of 1 or more, infinite ones included), networks.
    """
    return _summed(rows, ["hidden_layers", "width", *FORMAT])


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """The same per layer."""
    return _summed(rows, ["hidden_layers", "width", "layer", *FORMAT])


def overall(rows: pd.DataFrame) -> pd.DataFrame:
    """The same per format over all networks, and what is typical of one.

    Returns:
        Beside `by_format`'s columns: `typical_in_u`, the geometric mean over networks (those of one seed, at all their
        steps) of their median, in unit roundoffs, with Student's interval `low`, `high`; networks whose median is zero
        are left out, and n_networks counts the others.
    """
    table = _summed(rows, FORMAT)
    single = _summed(rows, [*FORMAT, "hidden_layers", "width", "seed"])
    single = single[single["median_in_u"] > 0]
    found = []
    for key, group in single.groupby(FORMAT, sort=False):
        ends = [float(np.exp(one)) for one in stats.student(np.log(group["median_in_u"]))]
        about = dict(zip(FORMAT, key, strict=True)) | {"n_networks": len(group)}
        found.append(about | dict(zip(("typical_in_u", "low", "high"), ends, strict=True)))
    columns = [*FORMAT, "n_networks", "typical_in_u", "low", "high"]
    return table.merge(pd.DataFrame(found, columns=columns), on=FORMAT, how="left")


def _summed(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    network = rows.groupby(["hidden_layers", "width", "seed"]).ngroup()
    found = []
    for key, group in rows.groupby(list(keys), sort=False):
        about = dict(zip(keys, key, strict=True))
        deltas = np.concatenate([np.asarray(one, float) for one in group["delta"]])
        found.append(about | _row(deltas, about["storage"]) | {"networks": network[group.index].nunique()})
    return pd.DataFrame(found)


def _row(deltas: np.ndarray, storage: str) -> dict[str, float]:
    finite = deltas[np.isfinite(deltas)]
    median, ninth, largest = np.quantile(finite, [0.5, 0.9, 1.0]) if len(finite) else (np.nan,) * 3
    return {
        "n": len(finite), "median": median, "ninth_decile": ninth, "largest": largest,
        "median_in_u": median * 2.0 ** SIGNIFICAND[storage], "above_one": int((deltas >= 1).sum()),
    }  # fmt: skip


def growth(rows: pd.DataFrame) -> pd.DataFrame:
    """Fit median delta of a network = constant per width x factor^(hidden layers).

    Returns:
        One row per format and reference: factor per hidden layer with Student's interval, n (networks x steps).
    """
    keys = [*FORMAT, "hidden_layers", "width", "seed", "step"]
    single = _summed(rows, keys)
    single = single[single["median"] > 0]
    found = []
    for key, group in single.groupby(FORMAT, sort=False):
        slope = fit(group["hidden_layers"], np.log(group["median"]), group["width"])
        value, low, high = (float(np.exp(one)) for one in slope)
        about = dict(zip(FORMAT, key, strict=True))
        found.append(about | {"factor": value, "low": low, "high": high, "n": len(group)})
    return pd.DataFrame(found)


def drawn(table: pd.DataFrame, layers: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the figure shows: the largest width that all depths have, and the layers of the deepest network."""
    depths = table["hidden_layers"].nunique()
    counted = table.groupby("width")["hidden_layers"].nunique()
    width = counted[counted == depths].index.max() if (counted == depths).any() else counted.idxmax()
    kept = table[(table["width"] == width) & (table["accumulate"] != "numpy")]
    here = layers[(layers["width"] == width) & layers["accumulate"].isin(["fp32", "fp64"])]
    return kept, here[here["hidden_layers"] == here["hidden_layers"].max()]
