"""Learning-rate searches (M7, E13): accuracy against the rate, and the rates at which a network trains."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinks.report.networks import network_name
from kinks.report.training import names
from kinks.report.training.search import CELL, RULES

LANE = -0.09  # where runs that diverged are drawn: no accuracy lies there
LIMITS = (7e-6, 1.4e-1)


def accuracies(trials: pd.DataFrame, selections: pd.DataFrame) -> Figure:
    """Draw the trials of one cell, accuracy against rate: a panel per dose, a colour and marker per variant.

    Hollow marks were given up early, crosses in the lane below diverged. A ring is what a study selects by the
    validation rule, a square what it selects by the test rule. The solid line is the rate that the paper selected for
    the dose, the dotted one that for dose 0, which the second paper used for all.
    """
    doses = sorted(trials["dose"].unique(), key=lambda dose: (abs(dose), dose))
    fig, axes = plt.subplots(1, len(doses), figsize=(0.6 + 2.6 * len(doses), 2.9), sharey=True, squeeze=False)
    for ax, dose in zip(axes[0], doses, strict=True):
        _lines(ax, selections, dose)
        for variant, group in trials[trials["dose"] == dose].groupby("variant", sort=True):
            chosen = selections[(selections["dose"] == dose) & (selections["variant"] == variant)]
            _points(ax, group, variant)
            _chosen(ax, chosen, names.colour(variant))
        _axis(ax)
        ax.set(title=f"{symbol(trials)} = {dose:,g}", ylim=(LANE - 0.06, 1.03))
        ax.set_yticks([LANE, 0, 0.25, 0.5, 0.75, 1], ["diverged", "0", "0.25", "0.5", "0.75", "1"])
        ax.axhline(-0.03, color="#bbbbbb", lw=0.7)
    rules = trials["objective"].unique()
    axes[0][0].set_ylabel(f"Accuracy, {rules[0]} images")
    heading = f"{trials['experiment'].iloc[0]}: {title(trials.iloc[0])}"
    _legend(fig, sorted(trials["variant"].unique()), heading)
    return fig


def useful(ranges: pd.DataFrame) -> Figure:
    """Draw the lowest to the highest useful rate of every dose and variant, a panel per cell.

    The bar's thin end reaches to the next rate that was tried and failed. Diamonds are the rates that the paper
    selected; a dose without a bar trained at no rate.
    """
    cells = [part for _, part in ranges.groupby(CELL, sort=True)]
    heights = [0.8 + 0.28 * len(part) for part in cells]
    fig, axes = plt.subplots(
        len(cells), 1, figsize=(6.4, sum(heights) + 0.5), sharex=True, squeeze=False, height_ratios=heights
    )
    for ax, cell in zip(axes[:, 0], cells, strict=True):
        part = cell.sort_values(
            ["dose", "variant"], key=lambda column: column.abs() if column.name == "dose" else column
        )
        for place, (_, row) in enumerate(part.iterrows()):
            _bar(ax, row, place)
        labels = [f"{symbol(part)} = {row['dose']:,g}{_short(row)}" for _, row in part.iterrows()]
        ax.set_yticks(range(len(part)), labels)
        ax.set_ylim(len(part) - 0.4, -0.6)
        ax.set_title(f"{cell['experiment'].iloc[0]}: {title(cell.iloc[0])}", fontsize=8)
        ax.grid(axis="y", visible=False)
        _axis(ax, label=cell is cells[-1])
    return fig


def symbol(table: pd.DataFrame) -> str:
    """Return the letter of the dose of a cell, from any rows of it."""
    return names.SYMBOLS[names.symbol(table["variant"])]


def title(row: pd.Series) -> str:
    """Return the name of a cell, from any row of it."""
    return (
        f"{network_name(row['network'])} {names.norm(row['batch_norm'])}, "
        f"{names.DATASETS.get(row['dataset'], row['dataset'])}, "
        f"{names.OPTIMISERS.get(row['optimiser'], row['optimiser'])}, {names.precision(row['precision'])}"
    )


def _points(ax: Axes, group: pd.DataFrame, variant: str) -> None:
    colour, marker = names.colour(variant), names.marker(variant)
    height = group[RULES[group["objective"].iloc[0]]]
    for state, face in (("complete", colour), ("pruned", "none")):
        part = (group["state"] == state) & ~group["diverged"]
        ax.scatter(group["rate"][part], height[part], s=22, marker=marker, facecolors=face, edgecolors=colour, lw=0.9)
    gone = group[group["diverged"]]
    shift = 0.025 if variant in names.PUBLISHED else -0.025  # so that crosses of both variants are seen
    ax.scatter(gone["rate"], np.full(len(gone), LANE + shift), s=24, marker="x", color=colour, lw=1.2)


def _chosen(ax: Axes, chosen: pd.DataFrame, colour: str) -> None:
    for rule, marker, size in (("validation", "o", 95), ("test", "s", 130)):
        part = chosen[(chosen["rule"] == rule) & chosen["rate"].notna()]
        column = "validation_accuracy" if part["validation_accuracy"].notna().all() else "test_accuracy"
        ax.scatter(part["rate"], part[column], s=size, marker=marker, facecolors="none", edgecolors=colour, lw=0.9)


def _lines(ax: Axes, selections: pd.DataFrame, dose: float) -> None:
    for wanted, dash, width in ((0.0, ":", 1.2), (dose, "-", 0.9)):
        rates = selections.loc[selections["dose"] == wanted, "published"].dropna()
        if len(rates):
            ax.axvline(rates.iloc[0], color="#666666", ls=dash, lw=width, zorder=0)


def _axis(ax: Axes, label: bool = True) -> None:
    ax.set_xscale("log")
    ax.set_xlim(*LIMITS)
    ax.set_xticks([1e-5, 1e-4, 1e-3, 1e-2, 1e-1])
    if label:
        ax.set_xlabel("Learning rate")


def _bar(ax: Axes, row: pd.Series, place: int) -> None:
    colour = names.colour(row["variant"])
    if row["useful"]:
        ax.plot([row["lowest"], row["highest"]], [place, place], color=colour, lw=6, marker="s", ms=6, mew=0)
        if row["above"] == row["above"]:
            ax.plot([row["highest"], row["above"]], [place, place], color=colour, lw=1)
            ax.plot([row["above"]], [place], "|", color=colour, ms=8)
    else:
        ax.text(1.2e-5, place, f"trains at none of {row['n']} rates", va="center", fontsize=7, color=colour)
    if row.get("published", np.nan) == row.get("published", np.nan):
        ax.scatter([row["published"]], [place], marker="D", s=22, facecolors="white", edgecolors="black", zorder=4)


def _short(row: pd.Series) -> str:
    return "" if row["dose"] == 0 else f", {names.ARMS[row['variant']]}"


def _legend(fig: Figure, variants: Sequence[str], text: str) -> None:
    handles = [
        Line2D([], [], color=names.colour(name), marker=names.marker(name), ls="", ms=4.5, label=names.VARIANTS[name])
        for name in variants
    ]
    grey: dict[str, object] = {"color": "#555555", "ls": ""}
    handles += [
        Line2D([], [], marker="o", mfc="none", ms=5, label="given up early", **grey),
        Line2D([], [], marker="x", ms=5, label="diverged", **grey),
        Line2D([], [], marker="o", mfc="none", ms=9, label="selected on validation images", **grey),
        Line2D([], [], marker="s", mfc="none", ms=10, label="selected on test images", **grey),
        Line2D([], [], color="#666666", lw=0.9, label="published for this value"),
        Line2D([], [], color="#666666", lw=1.2, ls=":", label="published for value 0"),
    ]
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": 4}
    fig.legend(handles=handles, title=text, fontsize=7, title_fontsize=8.5, **place)
