"""Training with another ReLU'(0) (E4 to E13): the tables of a sweep, experiment by experiment."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report import training
from kinks.report.training.names import CELL, PUBLISHED, REORDERED
from kinks.train.relu_sweep import met_zeros

EXPERIMENT = "experiment"
ABOUT = ["seeds", "met", "share", "share_low", "share_high", "zeros", "evaluations", "rate_of_zeros", "low", "high"]
ABOUT += ["zero_every", "moved"]
PAIR = ["n", "difference", "low", "high", "failed", "failed_against"]


def each(function: Callable[..., pd.DataFrame], table: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Apply a function of `kinks.report.training` to every experiment and return its tables as one.

    Experiments may share runs, and what is tested together (Holm's correction) is one experiment.
    """
    found = []
    for name, group in table.groupby(EXPERIMENT, sort=False):
        parts = [other[other[EXPERIMENT] == name].drop(columns=EXPERIMENT) for other in others]
        found.append(function(group.drop(columns=EXPERIMENT), *parts).assign(**{EXPERIMENT: name}))
    together = pd.concat(found, ignore_index=True)
    return together[[EXPERIMENT, *(name for name in together if name != EXPERIMENT)]]


def screening(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per experiment and cell, how many runs with ReLU'(0) = 0 met a ReLU input of exactly 0.

    Columns: EXPERIMENT, CELL; `seeds`, how many of them `met` one, as `share` with a Clopper-Pearson interval; all
    `zeros`, the ReLU `evaluations` counted, and zeros per evaluation (`rate_of_zeros`) with a Poisson interval; in how
    many mini-batches one was rounded to 0 (`zero_every`; 0: none was), and the median of what that `moved` most.
    """
    base = rows[(rows["alpha"] == 0) & ~rows["reorder"].astype(bool) & rows["zeros"].notna()]
    base = base.drop_duplicates([EXPERIMENT, *CELL, "seed", "epoch"])
    found = []
    for key, group in base.groupby([EXPERIMENT, *CELL], sort=False):
        met = met_zeros(group.assign(entry=0))
        seen, passed = group["zeros"].sum(), (group["zeros"] / group["zeros_share"].where(group["zeros"] > 0)).median()
        # A pass without a zero has a share of 0, from which its evaluations do not follow; they are those of any other.
        evaluations = passed * len(group)
        ends = stats.clopper_pearson(int(met["met"].sum()), len(met))
        rate = stats.poisson_rate(int(seen), evaluations) if seen else (np.nan, np.nan)
        values = (len(met), int(met["met"].sum()), met["met"].mean(), *ends, seen, evaluations, seen / evaluations)
        rounds = int(group["zero_every"].iloc[0]), group.groupby("seed")["moved"].max().median()
        found.append(dict(zip([EXPERIMENT, *CELL, *ABOUT], (*key, *values, *rate, *rounds), strict=True)))
    return pd.DataFrame(found, columns=[EXPERIMENT, *CELL, *ABOUT])


def outcomes(summary: pd.DataFrame) -> pd.DataFrame:
    """Return `training.summary` with the share of failed runs, its Clopper-Pearson interval, and zeros per run."""
    low, high = stats.clopper_pearson(summary["failed"].to_numpy(), summary["n"].to_numpy())
    share = summary["failed"] / summary["n"]
    return summary.assign(
        failed_share=share, failed_low=low, failed_high=high, zeros_per_run=summary["zeros"] / summary["n"]
    )


def with_loss(effects: pd.DataFrame) -> pd.DataFrame:
    """Return comparisons with `loss`, what is lost against the other side, and its interval: minus the difference."""
    return effects.assign(loss=-effects["difference"], loss_low=-effects["high"], loss_high=-effects["low"])


def rivals(effects: pd.DataFrame) -> pd.DataFrame:
    """Return, per cell and rule, the value of ReLU'(0) other than 0 that did best, against 0: the row of `effects`."""
    others = effects[(effects["variant"] != REORDERED) & (effects["dose"] != 0)]
    best = others.groupby([EXPERIMENT, *CELL[:-1], "rates", "variant"], sort=False)["difference"].idxmax()
    return others.loc[best.to_numpy()].reset_index(drop=True)


def signs(finals: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy with a negative ReLU'(0) less that with the positive one of equal size, paired by seed.

    One row per experiment, cell, rule and `size`: `n` pairs, the mean `difference` with Student's 95 % interval, failed
    runs at chance, and how many `failed` with the negative value and `failed_against`, with the positive one.
    """
    keys = [EXPERIMENT, *CELL, "rates", "variant"]
    minus = finals[finals["dose"] < 0].assign(size=lambda table: -table["dose"])
    plus = finals[finals["dose"] > 0].assign(size=lambda table: table["dose"])
    pairs = minus.merge(plus, on=[*keys, "size", "seed"], suffixes=("", "_against"))
    return _pairs(pairs, [*keys, "size"], pairs["accuracy"] - pairs["accuracy_against"])


def interplay(finals: pd.DataFrame) -> pd.DataFrame:
    """Return how much more, or less, ReLU'(0) matters with dropout than without: a difference of differences.

    One row per experiment, cell with dropout, rule and dose: (accuracy at the dose less that at 0, with dropout) less
    (the same without), paired by seed, columns as in `signs`. Experiments without dropout give no row.
    """
    keys = [EXPERIMENT, *(name for name in CELL if name != "dropout"), "rates"]
    runs = finals[finals["variant"] != REORDERED]
    zero = runs[runs["dose"] == 0].drop_duplicates([*keys, "dropout", "seed"])
    gains = runs[runs["dose"] != 0].merge(zero, on=[*keys, "dropout", "seed"], suffixes=("", "_zero"))
    gains = gains.assign(gain=gains["accuracy"] - gains["accuracy_zero"])
    without, dropped = gains[gains["dropout"] == 0], gains[gains["dropout"] > 0]
    pairs = dropped.merge(without, on=[*keys, "variant", "dose", "seed"], suffixes=("", "_against"))
    return _pairs(pairs, [*keys, "dropout", "variant", "dose"], pairs["gain"] - pairs["gain_against"])


def _pairs(pairs: pd.DataFrame, keys: Sequence[str], differences: pd.Series) -> pd.DataFrame:
    found = []
    for key, group in pairs.assign(_difference=differences).groupby(list(keys), sort=False, dropna=False):
        ends = stats.student(group["_difference"])
        failed = int(group["failed"].sum()), int(group["failed_against"].sum())
        values = len(group), ends.value, max(ends.low, -2.0), min(ends.high, 2.0), *failed
        found.append(dict(zip([*keys, *PAIR], (*key, *values), strict=True)))
    return pd.DataFrame(found, columns=[*keys, *PAIR])


def boxes(final: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """Return the published accuracies as `training.box` overlays them, from tables `relu_final_accuracy` and the boxes.

    The released rule made them, in 32 bits; their learning rates are not known.
    """
    columns = ["dataset", "network", "optimiser", "batch_norm", "dropout", "alpha", "median", "low", "high"]
    measured = final.rename(columns={"smallest": "low", "largest": "high"}).assign(dropout=0.0)
    read = drawn.rename(columns={"q1": "low", "q3": "high"})
    table = pd.concat([measured[columns], read[columns]], ignore_index=True).dropna(subset="median")
    return table.rename(columns={"alpha": "dose"}).assign(variant=PUBLISHED[0], precision="fp32")


def losses(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the published training losses as `training.curves` overlays them, from table `relu_training_curves`."""
    table = curves.rename(columns={"alpha": "dose", "train_loss": "mean"})
    return table[["dataset", "network", "optimiser", "batch_norm", "dose", "epoch", "mean"]].assign(
        variant=PUBLISHED[0], precision="fp32", dropout=0.0
    )


def like(published: pd.DataFrame, group: pd.DataFrame) -> pd.DataFrame:
    """Return the published values for the networks, images, optimisers and precisions that runs have."""
    keys = ["network", "dataset", "optimiser", "precision"]
    return published.merge(group[keys].drop_duplicates(), on=keys)


def saving(table: pd.DataFrame, *more: str) -> dict[str, object]:
    """Return `keys` and `tolerance` for `save_table`, of any table of this module."""
    given = training.saving(table)
    keys = [EXPERIMENT, *given["keys"], *more]
    kept = {name: kind for name, kind in given["tolerance"].items() if name not in keys}
    return {"keys": keys, "tolerance": kept}


def slug(*words: str) -> str:
    """Return words as part of a file's name: "resnet18-2x2/8" is "resnet18_2x2_8"."""
    return re.sub(r"[^a-z0-9]+", "_", "_".join(words).lower())
