"""The figures that answer the causal question: is it the derivative at the kink, or the released code's form of it?"""

from itertools import groupby

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator
from matplotlib.transforms import ScaledTranslation

from kinks.report.training import frames, names
from kinks.report.training.cells import split

SHIFT = 3.5  # points by which the two variants stand to the left and right of a dose
COLUMNS = 3
BAND = "#e3f0e3"
SAME = "no kink met, or exactly equal"
DECADES = (-100, -10, -1, 0, 1, 10, 100)


def causal(effects: pd.DataFrame, interaction: pd.DataFrame | None = None, *, dose: str | None = None) -> Figure:
    """Draw the difference from dose 0 against the dose, released beside corrected: a panel per precision and rate.

    Points are mean differences in accuracy of the pairs that both trained, with 95 % intervals; filled where
    significant after correction, hollow where not. Crosses are mean differences where runs failed, these at chance,
    with the number of failed runs. The green band is the margin within which accuracies count as equal. Triangles are
    what another order of the examples does. Stars above a dose, where `interaction` is given, say that the two variants
    differ there. The difference is linear within the margin and logarithmic beyond.

    Args:
        effects: of `effects(finals)`. interaction: of `interaction(finals)`.
    """
    lines = [line for _, group in effects.groupby(names.NETWORK, sort=False) for line in _lines(group)]
    columns = max(map(len, lines), default=0)
    fig, axes = frames.grid([names.heading(line[0].iloc[0]) for line in lines], columns, 2.35)
    symbol = names.symbol(effects["variant"])
    for line, panels in zip(lines, axes, strict=True):
        for ax in panels[len(line) :]:
            ax.set_visible(False)
        for ax, cell in zip(panels, line, strict=False):
            _panel(ax, cell, _apart(interaction, cell), dose or names.AXES[symbol])
        _points_axis(panels[0], pd.concat(line))
        panels[0].set_ylabel("Accuracy less that of\ndose 0 (points)")
    frames.legend(fig, _handles(effects, interaction))
    return fig


def _lines(group: pd.DataFrame) -> list[list[pd.DataFrame]]:
    """The cells of one network in rows of panels; those of a precision stand together."""
    rows = [[]]
    for _, cells in groupby(split(group), key=lambda cell: cell["precision"].iloc[0]):
        cells = list(cells)
        if rows[-1] and len(rows[-1]) + len(cells) > COLUMNS:
            rows.append([])
        for cell in cells:
            if len(rows[-1]) == COLUMNS:
                rows.append([])
            rows[-1].append(cell)
    return rows


def _apart(interaction: pd.DataFrame | None, cell: pd.DataFrame) -> pd.DataFrame:
    if interaction is None or interaction.empty:
        return pd.DataFrame(columns=["dose", "verdict", "p"])
    keys = [*names.NETWORK, "precision", "rates"] + ([] if cell["rates"].iloc[0] else ["rate"])
    return interaction[(interaction[keys] == cell.iloc[0][keys]).all(axis=1)]


def _panel(ax: Axes, cell: pd.DataFrame, apart: pd.DataFrame, label: str) -> None:
    first, margin = cell.iloc[0], 100 * cell["margin"].iloc[0]
    ax.axhspan(-margin, margin, color=BAND, lw=0, zorder=0)
    ax.axhline(0, color="#777777", lw=0.8)
    ax.set_xscale("symlog", linthresh=_threshold(cell["dose"]))
    for variant in [*frames.variants(cell), *({names.REORDERED} & set(cell["variant"]))]:
        shift = SHIFT * {"published": -1, "corrected": 1, "noise": 0}[names.ARMS[variant]]
        _points(ax, cell[cell["variant"] == variant], variant, shift)
    for _, row in apart[apart["verdict"].isin([*names.LOSS, "higher"])].iterrows():
        ax.text(row["dose"], 0.97, "*", transform=ax.get_xaxis_transform(), ha="center", va="center", fontsize=11)
    _doses(ax, cell)
    ax.set_xlabel(label)
    ax.set_title(names.setting(first), fontweight="normal")


def _points(ax: Axes, rows: pd.DataFrame, variant: str, shift: float) -> None:
    colour, marker = names.colour(variant), names.marker(variant)
    moved = ax.transData + ScaledTranslation(shift / 72, 0, ax.figure.get_figure(root=True).dpi_scale_trans)
    for _, row in rows.iterrows():
        at, style = row["dose"], {"color": colour, "transform": moved, "zorder": 4}
        if row["verdict"] in names.SAME:
            ax.plot(at, 0, ".", ms=3, **style)
            continue
        failed = row["failed"] or row["failed_against"]
        significant = row["verdict"] in (*names.LOSS, "higher")
        if failed:
            ax.plot(at, 100 * row["difference"], "x", ms=6, mew=2.4 if significant else 0.9, **style)
            said = f"{row['failed']}/{row['n']}" if row["failed"] else f"base {row['failed_against']}/{row['n']}"
            ax.annotate(said, (at, 100 * row["difference"]), (2.6 * shift or 7, 0), textcoords="offset points",
                        va="center", ha="right" if shift < 0 else "left", fontsize=7, color=colour)  # fmt: skip
        start = "trained_" if failed else ""
        middle, low, high = (100 * row[f"{start}{name}"] for name in ("difference", "low", "high"))
        ax.vlines(at, low, high, lw=1.1, **style)
        ax.plot(at, middle, marker, ms=4.5, mfc=colour if significant and low * high > 0 else "white", **style)


def _threshold(doses: pd.Series) -> float:
    sizes = doses.abs()[doses != 0]
    return float(sizes.min()) if len(sizes) else 1.0


def _doses(ax: Axes, cell: pd.DataFrame) -> None:
    """Ticks at the doses, as many as there is room for."""
    doses = sorted(set(cell["dose"]) | {0.0})
    scale = ax.xaxis.get_transform()
    places = scale.transform(np.array(doses))
    ticks = [doses[0]]
    for value, place in zip(doses[1:], places[1:], strict=True):
        if place - scale.transform(np.array([ticks[-1]]))[0] >= (places[-1] - places[0]) / 9:
            ticks.append(value)
    ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_xticks([], minor=True)
    edge = 0.07 * (places[-1] - places[0])
    ax.set_xlim(*scale.inverted().transform(np.array([places[0] - edge, places[-1] + edge])))


def _points_axis(ax: Axes, table: pd.DataFrame) -> None:
    """An axis of points that holds every interval of a row of panels, linear within the margin."""
    margin = 100 * table["margin"].iloc[0]
    ends = 100 * table[["difference", "trained_low", "trained_high"]].to_numpy(float)
    low, high = min(np.nanmin(ends, initial=0), -margin), max(np.nanmax(ends, initial=0), margin)
    ax.set_yscale("symlog", linthresh=margin)
    ax.set_ylim(2.5 * low, 4 * high)
    ax.set_yticks([tick for tick in DECADES if 2.5 * low <= tick <= 4 * high])
    ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    ax.yaxis.set_minor_locator(NullLocator())


def _handles(effects: pd.DataFrame, interaction: pd.DataFrame | None) -> list:
    shown = [*frames.variants(effects), *({names.REORDERED} & set(effects["variant"]))]
    handles = [
        Line2D([], [], color=names.colour(name), marker=names.marker(name), ms=4.5, lw=1.1, label=names.VARIANTS[name])
        for name in shown
    ]
    grey = {"ls": "", "color": "#555555"}
    handles.append(Line2D([], [], marker="o", ms=4.5, mfc="white", label="hollow, thin: not significant", **grey))
    if effects["failed"].any():
        handles.append(Line2D([], [], marker="x", ms=6, mew=2.4, label="some or all failed, of n", **grey))
    if effects["verdict"].isin(names.SAME).any():
        handles.append(Line2D([], [], marker=".", ms=4, label=SAME, **grey))
    points = f"{100 * effects['margin'].iloc[0]:g}"
    handles.append(Patch(color=BAND, label=f"within {points} point" + ("" if points == "1" else "s")))
    if interaction is not None and len(interaction):
        handles.append(Line2D([], [], marker="$*$", ms=6, label="the variants differ", **grey))
    return handles
