"""Weight divergence (M6): how far networks part, held against what a reordering of the examples does to them."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats
from kinks.report import provenance
from kinks.train.divergence import job

CELL = ["network", "precision"]
ARM = ["arm", "beta"]
ABOUT = ["init", "bias", "batch_size", "images", "deterministic"]  # the same in every row of a cell
SIZES = ("median", "smallest", "largest", "mean", "low", "high", "relative")  # of `distances`
SHARES = ("n", "accuracy", "low", "high", "overflowed", "gain", "gain_low", "gain_high")  # of `accuracies`
OUTCOMES = ("first_stop", "cause", "median", "largest", "pairs", "ratio", "low", "high", "p", "verdict")
COLUMNS = [*CELL, *ARM, "step", "n", "stopped", "apart", *OUTCOMES, *ABOUT]  # of `summary` and `forwards`
PER_PASS = 391  # mini-batches of 128 in the published 50,000 images
RISK = 1 - stats.LEVEL


def distances(rows: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network, precision, arm, beta and recorded step: L1 distance to the network with beta = 0.

    Over the `n` seeds whose numbers are all finite so far (`stopped` counts the others): `median`, `smallest` and
    `largest`; the geometric `mean` (0 if one is 0) with Student's 95 % interval of its logarithm; `relative`, median of
    the distance over the L1 norm of the weights. `published` is the digitised distance after as many steps of as large
    mini-batches of as many images, of the released code (arms `published` and, for the same program twice, `twice`).
    """
    found = []
    for key, group in rows.groupby([*CELL, *ARM, "step"], sort=True):
        values = group["distance"].dropna()
        mean, low, high = geometric(values)
        found.append(
            dict(zip([*CELL, *ARM, "step"], key, strict=True))
            | {"epoch": group["epoch"].iloc[0], "n": len(values), "stopped": len(group) - len(values)}
            | {"median": values.median(), "smallest": values.min(), "largest": values.max()}
            | {"mean": mean, "low": low, "high": high, "relative": group["relative"].median()}
            | {name: group[name].iloc[0] for name in ABOUT}
        )
    return _beside(pd.DataFrame(found), published, "distance")


def accuracies(rows: pd.DataFrame, published: pd.DataFrame) -> pd.DataFrame:
    """Return mean accuracy per network, precision, arm, beta and recorded step, with 95 % intervals.

    `gain` is the mean over seeds of the accuracy less that of the network with beta = 0. Rows without a finite run, or
    without held-out images, are left out.
    """
    found, tested = [], rows.dropna(subset="accuracy")
    base = tested[tested["arm"] == "base"].set_index([*CELL, "step", "seed"])["accuracy"]
    for key, group in tested.groupby([*CELL, *ARM, "step"], sort=True):
        low, high = mean_interval(group["accuracy"])
        gains = group["accuracy"].to_numpy() - base.loc[pd.MultiIndex.from_frame(group[[*CELL, "step", "seed"]])]
        below, above = mean_interval(gains)
        found.append(
            dict(zip([*CELL, *ARM, "step"], key, strict=True))
            | {"epoch": group["epoch"].iloc[0], "n": len(group), "held_out": group["held_out"].iloc[0]}
            | {"accuracy": group["accuracy"].mean(), "low": low, "high": high, "overflowed": group["overflowed"].mean()}
            | {"gain": gains.mean(), "gain_low": below, "gain_high": above}
            | {name: group[name].iloc[0] for name in ABOUT}
        )
    columns = [*CELL, *ARM, "step", "epoch", "held_out", *SHARES, *ABOUT]
    return _beside(pd.DataFrame(found, columns=columns), published, "accuracy")


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, after the last step, each arm's distance over that of `reordered`: one row per cell, arm and beta.

    Columns: `n` seeds; how many `stopped`, the first after `first_stop` steps, mostly for `cause`; how many came
    `apart` (a distance above 0, or stopped); `median` and `largest` distance; `ratio`, a geometric mean over the
    `pairs` of distances above 0, with Student's 95 % interval of its logarithm; `p`, that the ratio is 1, after Holm's
    correction over the cell; `yardstick`, the median distance of `reordered`. `verdict` is `farther` or `nearer` than
    rounding at 5 %, or why it is neither.
    """
    last = _last(rows)
    found = _tested(last, lambda arm, beta: ("reordered", 0.0) if arm != "base" else None)
    yardstick = last[last["arm"] == "reordered"].groupby(CELL)["distance"].median().rename("yardstick")
    return found.merge(yardstick, on=CELL, how="left")


def forwards(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, after the last step, the distance of arm `published` over that of `corrected`, beta by beta.

    Columns as in `summary`. A ratio above 1 is what the rounded forward adds to the Jacobian.
    """
    return _tested(_last(rows), lambda arm, beta: ("corrected", beta) if arm == "published" and beta != 1 else None)


def _last(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["step"] == rows.groupby(CELL)["step"].transform("max")]


def _tested(last: pd.DataFrame, other: Callable[[str, float], tuple[str, float] | None]) -> pd.DataFrame:
    """The distance of each arm over that of the arm and beta that `other` names, tested cell by cell."""
    found = []
    for key, cell in last.groupby(CELL, sort=True):
        wide = cell.pivot(index="seed", columns=ARM, values="distance")
        part = []
        for (arm, beta), group in cell.groupby(ARM, sort=True):
            against = other(arm, beta)
            if against is None or against not in wide:
                continue
            values = np.stack([wide[arm, beta], wide[against]])
            values = values[:, np.isfinite(values).all(0)]
            row = dict(zip([*CELL, *ARM], [*key, arm, beta], strict=True)) | {"step": int(cell["step"].iloc[0])}
            row |= _counts(group) | {name: group[name].iloc[0] for name in ABOUT}
            itself = {"verdict": "yardstick"} if against == (arm, beta) else {}
            part.append(row | ratio(*values) | itself)
        found += _settled(part)
    return pd.DataFrame(found, columns=COLUMNS)


def _counts(group: pd.DataFrame) -> dict[str, object]:
    """What the seeds of one arm have come to."""
    stopped = group[group["distance"].isna()]
    known = group["distance"].dropna()
    return {
        "n": len(group),
        "stopped": len(stopped),
        "first_stop": int(stopped["first_nonfinite"].min()) if len(stopped) else -1,
        "cause": stopped["cause"].mode().iloc[0] if len(stopped) else "",
        "apart": int((known > 0).sum()) + len(stopped),
        "median": known.median(),
        "largest": known.max(),
    }


def ratio(values: np.ndarray, others: np.ndarray) -> dict[str, object]:
    """Return how paired distances `(k,)` compare: pairs, ratio, low, high, p and, where nothing is to test, verdict.

    Few seeds are the rule here, so the interval is Student's on logarithms: a bootstrap of three is far too short.
    """
    both = (values > 0) & (others > 0)
    row = {"pairs": int(both.sum()), "ratio": np.nan, "low": np.nan, "high": np.nan, "p": np.nan, "verdict": ""}
    if both.any():
        row |= geometric(values[both] / others[both])._asdict()
        row["ratio"] = row.pop("value")
    if not len(values):
        return row | {"verdict": "stopped"}
    if not values.any():
        return row | {"ratio": 0.0 if others.any() else np.nan, "verdict": "exactly equal"}
    if not others.any():
        return row | {"verdict": "yardstick is 0"}
    if both.sum() < 2:
        return row | {"verdict": "too few seeds"}
    logs = np.log(values[both] / others[both])
    spread = logs.std(ddof=1) / np.sqrt(len(logs))
    p = 2 * special.stdtr(len(logs) - 1, -abs(logs.mean()) / spread) if spread else float(logs.mean() == 0)
    return row | {"p": float(p)}


def _settled(part: list[dict]) -> list[dict]:
    """The rows of one cell with Holm's correction over those that were tested, and their verdicts."""
    tested = [row for row in part if not row["verdict"]]
    for row, p in zip(tested, stats.holm([row["p"] for row in tested]) if tested else [], strict=True):
        side = "farther" if row["ratio"] > 1 else "nearer"
        row |= {"p": float(p), "verdict": side if p < RISK else "not told apart"}
    return part


def geometric(values: pd.Series | np.ndarray) -> stats.Estimate:
    """Return the geometric mean with Student's 95 % interval of its logarithm; 0, without one, if a value is 0."""
    values = np.asarray(values, dtype=float)
    if not len(values) or not values.all():
        return stats.Estimate(0.0 if len(values) else np.nan, np.nan, np.nan)
    logs = np.log(values)
    return stats.Estimate(*(float(np.exp(end)) for end in (logs.mean(), *mean_interval(logs))))


def mean_interval(values: pd.Series | np.ndarray) -> tuple[float, float]:
    """Return Student's 95 % interval of a mean; NaN for fewer than two values."""
    values = np.asarray(values, dtype=float)
    if len(values) < 2:
        return np.nan, np.nan
    half = special.stdtrit(len(values) - 1, (1 + stats.LEVEL) / 2) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean() - half), float(values.mean() + half)


def stamped(table: pd.DataFrame, labels: Mapping[str, str], device: str) -> pd.DataFrame:
    """Return the table with the columns of `kinks.report.provenance.stamped`, the data's label by network."""
    return provenance.stamped(table, "", device, job).assign(data=table["network"].map(labels))


def _beside(table: pd.DataFrame, published: pd.DataFrame, column: str) -> pd.DataFrame:
    """The table with the published value of `column` where the same number of the same steps was taken."""
    known = published.rename(columns={column: "published"}).astype({"beta": float, "epoch": float})
    same = table["arm"].isin(["published", "twice"]) & (table["network"] == "vgg11") & (table["batch_size"] == 128)
    same &= table["images"] == 50_000
    epoch = (table["step"] / PER_PASS).where(same)
    merged = table.assign(_epoch=epoch).merge(
        known.rename(columns={"epoch": "_epoch"}), on=["precision", "beta", "_epoch"], how="left"
    )
    return merged.drop(columns="_epoch")
