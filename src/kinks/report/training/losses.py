"""Training loss against the epoch as the papers draw it: mean and deviation over runs, those that diverged marked."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinks.report.training import frames, names
from kinks.report.training.cells import split

KEYS = [*names.CELL, "rates", "variant", "dose", "epoch"]


def losses(rows: pd.DataFrame, column: str = "train_loss") -> pd.DataFrame:
    """Return, per cell, variant, dose and epoch, what `curves` draws: n finite runs, mean, sd, and ended.

    `ended` counts the runs that met their first number that is not finite in that epoch.

    Args:
        rows: of `dosed`, one per run and epoch.
        column: what is averaged.
    """
    found = rows.groupby(KEYS, sort=True, dropna=False)[column].agg(n="count", mean="mean", sd="std").reset_index()
    diverged = rows[(rows["status"] == "diverged") & rows[column].isna()]
    if diverged.empty:
        return found.assign(ended=0)
    first = diverged.loc[diverged.groupby([*KEYS[:-1], "seed"], dropna=False)["epoch"].idxmin()]
    ended = first.groupby(KEYS, dropna=False).size().rename("ended").reset_index()
    found = found.merge(ended, on=KEYS, how="left")
    return found.assign(ended=found["ended"].fillna(0).astype(int))


def curves(
    rows: pd.DataFrame,
    *,
    doses: Sequence[float] | None = None,
    column: str = "train_loss",
    label: str = "Training loss (nats)",
    published: pd.DataFrame | None = None,
) -> Figure:
    """Draw the training loss against the epoch: a row of panels per cell, a column per variant, a colour per dose.

    Lines are means over the runs that are still finite, bands one standard deviation to each side. A cross at the top
    marks the epoch in which runs of that dose diverged, with their number; in long trainings, a few epochs share one.
    Runs with reordered examples are left out.

    Args:
        rows: of `dosed`. doses: those to draw, all if None.
        published: dotted lines: columns dose, epoch, mean, and any of CELL and variant to say where.
    """
    shown = rows[rows["variant"] != names.REORDERED]
    if doses is not None:
        shown = shown[shown["dose"].isin(doses)]
    table = frames.with_zero(losses(shown, column))
    columns, groups = frames.variants(table), list(split(table))
    fig, axes = frames.grid([names.cell(group.iloc[0]) for group in groups], len(columns))
    colours = frames.dose_colours(table["dose"])
    for group, row in zip(groups, axes, strict=True):
        theirs = _belonging(published, group.iloc[0])
        for ax, variant in zip(row, columns, strict=True):
            _panel(ax, group[group["variant"] == variant], colours)
            marks = theirs[theirs["variant"] == variant] if "variant" in theirs else theirs
            _published(ax, marks, colours, group["epoch"].max())
            ax.set_title(names.VARIANTS[variant], fontweight="normal")
            ax.set_xlabel("Epoch")
            ax.locator_params(axis="x", integer=True, nbins=8)
        row[0].set_ylim(*_limits(group, colours))
        row[0].set_ylabel(label)
    frames.legend(fig, _handles(table, colours, published))
    return fig


def _panel(ax: Axes, table: pd.DataFrame, colours: dict) -> None:
    if table.empty:
        ax.text(0.5, 0.5, "not trained", transform=ax.transAxes, ha="center", va="center", color="#777777")
        return
    few = table["epoch"].nunique() <= 12
    falls, wide = 0, 1 + int(table["epoch"].max()) // 25
    groups = sorted(table.groupby("dose"), key=lambda item: (abs(item[0]), item[0]))
    for rank, (dose, group) in enumerate(groups):
        group = group.sort_values("epoch")
        width = 2.6 - 1.7 * rank / max(len(groups) - 1, 1)  # so that lines that coincide are all seen
        epoch, mean, sd = (group[name].to_numpy(float) for name in ("epoch", "mean", "sd"))
        ax.plot(epoch, mean, color=colours[dose], lw=width, marker="." if few else None, ms=3)
        ax.fill_between(
            epoch, mean - np.nan_to_num(sd), mean + np.nan_to_num(sd), color=colours[dose], alpha=0.15, lw=0
        )
        ended = _ended(group, wide)
        height = 0.95 - 0.1 * falls
        for at, count in ended.items():
            place = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 6}
            ax.plot(at, height, "x", color=colours[dose], ms=5, mew=1.6, **place)
            ax.annotate(str(count), (at, height), (4, 0), xycoords=ax.get_xaxis_transform(), va="center",
                        textcoords="offset points", fontsize=7, color=frames.FAILED)  # fmt: skip
        falls += len(ended) > 0


def _ended(group: pd.DataFrame, wide: int) -> pd.Series:
    """How many runs diverged, by the first epoch of every `wide` in which one did: marks keep apart."""
    found = group[group["ended"] > 0]
    parts = found.groupby(found["epoch"] // wide)
    return pd.Series(parts["ended"].sum().to_numpy(), index=parts["epoch"].min().to_numpy())


def _limits(group: pd.DataFrame, colours: dict) -> tuple[float, float]:
    """From 0 to above the loss that training at dose 0 begins with; what lies beyond goes off the panel."""
    least = group[group["dose"].abs() == group["dose"].abs().min()]
    start = least[least["epoch"] == least["epoch"].min()]["mean"].max()
    largest = (group["mean"] + group["sd"].fillna(0)).max()
    top = np.nanmin([1.15 * largest, 2.5 * start]) if start == start else 1.15 * largest
    return 0.0, float(top) if top == top and top > 0 else 1.0


def _belonging(published: pd.DataFrame | None, first: pd.Series) -> pd.DataFrame:
    if published is None:
        return pd.DataFrame()
    keep = pd.Series(True, index=published.index)
    for name in (name for name in names.CELL if name in published):
        keep &= (published[name] == first[name]) | published[name].isna()
    return published[keep]


def _published(ax: Axes, marks: pd.DataFrame, colours: dict, last: int) -> None:
    if marks.empty:
        return
    for dose, group in marks[marks["epoch"] <= last].groupby("dose"):
        if dose in colours:
            ax.plot(group["epoch"], group["mean"], ":", color=colours[dose], lw=1.2)


def _handles(table: pd.DataFrame, colours: dict, published: pd.DataFrame | None) -> list[Line2D]:
    symbol = names.SYMBOLS[names.symbol(table["variant"])]
    order = sorted(set(table["dose"]), key=lambda dose: (abs(dose), dose))
    handles = [Line2D([], [], color=colours[dose], label=f"{symbol} = {dose:g}") for dose in order]
    if table["ended"].any():
        handles.append(Line2D([], [], ls="", marker="x", ms=5, mew=1.6, color="#555555", label="diverged, number"))
    if published is not None and len(published):
        handles.append(Line2D([], [], ls=":", color="#555555", label="as published"))
    return handles
