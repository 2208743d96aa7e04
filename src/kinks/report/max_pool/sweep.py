"""The max-pool training sweep (M8 to M11): its tables with the experiment they belong to, and published numbers."""

import re
from collections.abc import Mapping

import pandas as pd

from kinks import stats
from kinks.report.training import CELL

LABELS = ["experiment", "rate_share", "same_network"]
SHARED = [name for name in CELL if name != "rate"]  # the tables of losses do not repeat the rates
BATCH, IMAGES = 128, 50_000  # from here on an epoch is as long as a published one, or nearly
SIZES = ["steps", "epochs", "batch", "images", "held_out"]
DIFFERENT = ("lower", "higher", "fails")  # verdicts of a significant difference
FORMATS = {"fp16": "fp16 autocast, scaled"}  # the published 24 bits, as the tables of a sweep name them


def named(table: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return a table of `kinks.report.training` with the experiment of each of its cells, from the rows of the sweep.

    Columns added: `experiment`; `rate_share`, the learning rate as a share of the published one; `same_network`,
    whether the network is the published one and no smaller; `steps` per run, `epochs`, `batch`, `images`, `held_out`.
    """
    about = rows.assign(same_network=rows["network"] == rows["published_network"])
    about["steps"] = about["epochs"] * -(-about["images"] // about["batch"])
    about = about[[*CELL, *LABELS, *SIZES]].drop_duplicates()
    kept = table.drop(columns=[name for name in SIZES if name in table])
    return kept.merge(about, on=CELL, how="left", validate="many_to_one")


def outcomes(summary: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `kinks.report.training.summary` with the shares of runs that failed and diverged, and `named`'s columns.

    A share has its exact 95 % interval: `failed_share`, `failed_low`, `failed_high`, and so for `diverged`. `trains`
    says whether most runs of the cell with beta = 0 learnt anything: a cell that does not can show no effect.
    """
    table = named(summary, rows)
    for name in ("failed", "diverged"):
        low, high = stats.clopper_pearson(table[name], table["n"])
        table = table.assign(**{f"{name}_share": table[name] / table["n"], f"{name}_low": low, f"{name}_high": high})
    return table.merge(_trains(summary), on=CELL, how="left")


def compared(effects: pd.DataFrame, summary: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return `kinks.report.training.effects` with `named`'s columns and those that claims are judged by.

    `loss` is the difference turned round, with its interval `loss_low`, `loss_high`; `half_width` half the length of
    the interval; `differs` 1 where the difference is significant, of `compared` 1; `trains` as in `outcomes`.
    """
    table = named(effects, rows)
    table = table.assign(loss=-table["difference"], loss_low=-table["high"], loss_high=-table["low"], compared=1)
    table["half_width"] = (table["high"] - table["low"]) / 2
    table["differs"] = table["verdict"].isin(DIFFERENT).astype(int)
    return table.merge(_trains(summary), on=CELL, how="left")


def _trains(summary: pd.DataFrame) -> pd.DataFrame:
    zero = summary[summary["dose"] == 0].groupby(CELL)[["failed", "n"]].sum().reset_index()
    return zero.assign(trains=2 * zero["failed"] < zero["n"])[[*CELL, "trains"]]


def boxes(reference: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the published final accuracies as `kinks.report.training.box` takes them, of cells trained as long.

    Doses of which every run diverged are left out.
    """
    table = _keyed(reference).merge(_as_published(rows)[[*CELL, "epochs"]].drop_duplicates(), on=[*CELL, "epochs"])
    return table[table["diverged"] < table["runs"]].assign(label="published mean and sd")


def losses(reference: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Return the published training losses as `kinks.report.training.curves` takes them, of cells with equal epochs."""
    table = _keyed(reference).merge(_as_published(rows)[SHARED].drop_duplicates(), on=SHARED)
    return table.rename(columns={"train_loss": "mean"}).dropna(subset="mean")


def _as_published(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of cells whose epochs are as many steps of as large mini-batches as the published ones."""
    return rows[(rows["batch"] == BATCH) & (rows["images"] >= IMAGES) & (rows["rate_share"] == 1)]


def _keyed(reference: pd.DataFrame) -> pd.DataFrame:
    """Published rows with the columns of a cell, of the released forward."""
    label = reference["precision"].where(~reference["autocast"], reference["precision"].map(FORMATS))
    return reference.assign(
        precision=label, dose=reference["beta"].astype(float), variant="mixed", dropout=0.0
    ).drop(columns=["autocast", "beta"])  # fmt: skip


def slug(network: str) -> str:
    """Return a network's name as part of a file's: "resnet18-2x2/8" is "resnet18_2x2_8"."""
    return re.sub(r"[^a-z0-9]+", "_", network.lower())


def source(rows: pd.DataFrame, labels: Mapping[str, str]) -> str:
    """Return the labels of the images on which `rows` stand, for the foot of a figure."""
    return "; ".join(labels[name] for name in rows["dataset"].unique())
