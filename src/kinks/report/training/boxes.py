"""Final accuracies as the papers draw them: boxes against the dose, with the runs that failed in a lane below."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinks.report.networks import network_name
from kinks.report.training import frames, names

PANEL = ["network", "dataset", "dropout", "optimiser", "precision"]
COLOURS = ("#3274a1", "#e1812c", "#3a923a", "#9372b2", "#845b53", "#7f7f7f")
BOXED = 3  # with fewer runs there are points alone


def box(
    finals: pd.DataFrame,
    *,
    dose: str | None = None,
    x: str = "dose",
    hue: str = "batch_norm",
    published: pd.DataFrame | None = None,
) -> Figure:
    """Draw final accuracy against the dose: a row of panels per network, precision and rate, a column per variant.

    Every run is a point; boxes reach over the quartiles of the runs that trained, whiskers over all of them. Runs that
    failed are crosses in a lane below, with their number. Runs with reordered examples are left out.

    Args:
        dose: label of the dose, the paper's own if None.
        x, hue: what stands on the axis and what is told apart by colour; "dropout" and "dose" draw E10.
        published: values to overlay as diamonds: column `x`, and any of `hue`, CELL and variant to say where; `median`
            or `mean`; `low` and `high`, or `sd`.
    """
    runs = frames.with_zero(finals[finals["variant"] != names.REORDERED])
    columns, groups = frames.variants(runs), _panels(runs, {x, hue})
    fig, rows = frames.grid([_heading(group, {x, hue}) for group in groups], len(columns))
    colours = dict(zip(sorted(runs[hue].unique()), COLOURS * 9, strict=False))
    if hue == "dose":
        colours = frames.dose_colours(runs["dose"])
    for group, axes in zip(groups, rows, strict=True):
        theirs = _belonging(published, group)
        levels = sorted(set(group[x]))
        for ax, variant in zip(axes, columns, strict=True):
            shown = theirs[theirs["variant"] == variant] if "variant" in theirs else theirs
            _panel(ax, group[group["variant"] == variant], levels, x, hue, colours, shown)
            ax.set_title(names.VARIANTS[variant], fontweight="normal")
            frames.categories(ax, levels, _label(x, runs, dose))
        _limits(axes, group["accuracy"][~group["failed"]], theirs)
        axes[0].set_ylabel("Test accuracy (%)")
    frames.legend(fig, _handles(colours, hue, runs, published))
    return fig


def _panels(runs: pd.DataFrame, drawn: set[str]) -> list[pd.DataFrame]:
    """The runs panel by panel: one for all rates where batch norm alone decides which is used."""
    found, keys = [], [name for name in PANEL if name not in drawn]
    for _, group in runs.groupby([*keys, "rates"], sort=False):
        single = group["rates"].iloc[0] or group.groupby("batch_norm")["rate"].nunique().max() == 1
        found += [group] if single else [part for _, part in group.groupby("rate", sort=True)]
    if "batch_norm" not in drawn:
        found = [part for group in found for _, part in group.groupby("batch_norm", sort=True)]
    return found


def _heading(group: pd.DataFrame, drawn: set[str]) -> str:
    first = group.iloc[0]
    said = [network_name(first["network"]), names.DATASETS.get(first["dataset"], first["dataset"])]
    said += [names.OPTIMISERS.get(first["optimiser"], first["optimiser"]), names.precision(first["precision"])]
    if "batch_norm" not in drawn:
        said[0] += " " + names.norm(first["batch_norm"])
    if first["rates"]:
        said.append(f"rate {first['rates']}")
    else:
        said.append("rate " + " and ".join(f"{rate:.3g}" for rate in group.sort_values("batch_norm")["rate"].unique()))
    if "dropout" not in drawn and first["dropout"]:
        said.append(f"dropout {first['dropout']:g}")
    counts = group.groupby(["variant", "dose", "batch_norm", "dropout"]).size()
    low, high = counts.min(), counts.max()
    runs = f"{low}" if low == high else f"{low} to {high}"
    return ", ".join(said) + f": {runs} " + ("run each" if runs == "1" else "runs each")


def _panel(
    ax: Axes, runs: pd.DataFrame, levels: list, x: str, hue: str, colours: dict, published: pd.DataFrame
) -> None:
    seen = [value for value in colours if value in set(runs[hue])]
    width = min(0.76 / max(len(seen), 1), 0.4)
    for rank, value in enumerate(seen):
        shift = (rank - (len(seen) - 1) / 2) * width
        for at, level in enumerate(levels):
            cell = runs[(runs[x] == level) & (runs[hue] == value)]
            _cell(ax, cell, at + shift, width, colours[value])
            marks = published[published[x] == level] if len(published) else published
            if hue in marks:
                marks = marks[marks[hue] == value]
            _published(ax, marks, at + shift)


def _cell(ax: Axes, runs: pd.DataFrame, at: float, width: float, colour) -> None:
    accuracy = 100 * runs.loc[~runs["failed"], "accuracy"].to_numpy()
    if len(accuracy) >= BOXED:
        line = {"color": "#333333", "lw": 0.8}
        face = {"facecolor": colour, "edgecolor": "#333333", "lw": 0.8, "alpha": 0.65}
        ax.boxplot(
            [accuracy], positions=[at], widths=0.82 * width, whis=(0, 100), patch_artist=True, boxprops=face,
            medianprops=line | {"lw": 1.4}, whiskerprops=line, capprops=line, manage_ticks=False,
        )  # fmt: skip
    spread = np.linspace(-0.22, 0.22, len(accuracy)) * width if len(accuracy) > 1 else 0.0
    ax.scatter(
        at + np.zeros(len(accuracy)) + spread, accuracy, s=6, color=colour, edgecolors="#222222", lw=0.3, zorder=4
    )
    if failed := int(runs["failed"].sum()):
        place = {"transform": ax.get_xaxis_transform(), "clip_on": False, "zorder": 5}
        ax.plot(at, 0.04, "x", color=colour, ms=5, mew=1.6, **place)
        ax.text(at, 0.075, str(failed), color=frames.FAILED, ha="center", va="bottom", fontsize=7, **place)


def _published(ax: Axes, marks: pd.DataFrame, at: float) -> None:
    for _, row in marks.iterrows():
        middle = row["median"] if row.get("median", np.nan) == row.get("median", np.nan) else row.get("mean", np.nan)
        low, high = row.get("low", np.nan), row.get("high", np.nan)
        if low != low and row.get("sd", np.nan) == row.get("sd", np.nan):
            low, high = middle - row["sd"], middle + row["sd"]
        ax.vlines(at, 100 * low, 100 * high, color="black", lw=0.7, linestyles=(0, (1, 1)), zorder=6)
        ax.plot(at, 100 * middle, "D", ms=4, mfc="white", mec="black", mew=0.9, zorder=7)


def _belonging(published: pd.DataFrame | None, group: pd.DataFrame) -> pd.DataFrame:
    """The published values that belong into the panels of a group of runs."""
    if published is None:
        return pd.DataFrame()
    keep = pd.Series(True, index=published.index)
    for name in (name for name in names.CELL if name in published):
        keep &= published[name].isin(group[name].unique()) | published[name].isna()
    return published[keep]


def _limits(axes: Sequence[Axes], trained: pd.Series, published: pd.DataFrame) -> None:
    """Accuracies of the runs that trained fill the panel; below them there is a lane for those that did not."""
    values = [*trained, *(v for name in ("median", "mean") if name in published for v in published[name].dropna())]
    low, high = (100 * min(values), 100 * max(values)) if values else (0.0, 100.0)
    room = max(high - low, 0.5)
    bottom, top = low - 0.28 * room, high + 0.06 * room
    for ax in axes:
        ax.axhspan(bottom, bottom + 0.17 * (top - bottom), color=frames.LANE, lw=0, zorder=0)
        ax.set_ylim(bottom, top)
    ticks = [tick for tick in axes[0].get_yticks() if bottom + 0.2 * (top - bottom) <= tick <= top]
    axes[0].set_yticks([bottom + 0.085 * (top - bottom), *ticks], ["failed", *(f"{tick:g}" for tick in ticks)])
    axes[0].get_yticklabels()[0].set_color(frames.FAILED)


def _label(x: str, runs: pd.DataFrame, dose: str | None) -> str:
    return (dose or names.AXES[names.symbol(runs["variant"])]) if x == "dose" else x.replace("_", " ").capitalize()


def _handles(colours: dict, hue: str, runs: pd.DataFrame, published: pd.DataFrame | None) -> list[Artist]:
    words = {True: "with batch norm", False: "without batch norm"} if hue == "batch_norm" else {}
    symbol = names.SYMBOLS[names.symbol(runs["variant"])] if hue == "dose" else hue
    handles = [
        Line2D([], [], ls="", marker="s", ms=6, color=colour, label=words.get(value, f"{symbol} = {value:g}"))
        for value, colour in colours.items()
        if value in set(runs[hue])
    ]
    handles.append(Line2D([], [], ls="", marker="x", ms=5, mew=1.6, color="#555555", label="failed runs, number"))
    if published is not None and len(published):
        label = published["label"].iloc[0] if "label" in published else "as published"
        handles.append(Line2D([], [], ls="", marker="D", ms=4, mfc="white", mec="black", label=label))
    return handles
