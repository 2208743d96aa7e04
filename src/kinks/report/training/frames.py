"""What the figures of a sweep share: rows of panels with a heading, doses on an axis, one legend."""

from collections.abc import Iterable, Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.training.cells import split
from kinks.report.training.names import REORDERED, VARIANTS

WIDTH = 8.4  # inches; what a page shows at its own size
FAILED = "#b2182b"
LANE = "#f6e7e7"


def variants(table: pd.DataFrame) -> list[str]:
    """Return the variants of a table in the order in which they are drawn: released, corrected."""
    return [name for name in VARIANTS if name in set(table["variant"]) and name != REORDERED]


def with_zero(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table with the rows of dose 0 under every variant: where one lacks them they are the other's."""
    parts = [table]
    for group in split(table[table["variant"] != REORDERED]):
        zero = group[group["dose"] == 0]
        for name in set(group["variant"]) - set(zero["variant"]):
            if len(zero):
                parts.append(zero[zero["variant"] == zero["variant"].iloc[0]].assign(variant=name))
    return pd.concat(parts, ignore_index=True)


def grid(headings: Sequence[str], columns: int, height: float = 2.2) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with one row of `columns` panels below each heading, and its axes row by row.

    Raises:
        ValueError: no heading, so nothing to draw.
    """
    if not headings or not columns:
        raise ValueError("there is no run to draw")
    width = WIDTH if columns > 1 else 0.62 * WIDTH
    fig = plt.figure(figsize=(width, height * len(headings)))
    parts = fig.subfigures(len(headings), 1, squeeze=False)[:, 0]
    rows = []
    for part, heading in zip(parts, headings, strict=True):
        part.suptitle(heading, x=0.01, ha="left", fontsize=9, fontweight="bold")
        rows.append(list(part.subplots(1, columns, sharey=True, squeeze=False)[0]))
    return fig, rows


def legend(fig: Figure, handles: Iterable[Artist], title: str | None = None) -> None:
    """Draw one legend above all panels."""
    handles = list(handles)
    widths = [0.5 + 0.062 * len(handle.get_label()) for handle in handles]  # inches
    room = fig.get_figwidth()
    columns = len(handles) if sum(widths) <= room else max(1, int(room / max(widths)))
    fig.legend(handles=handles, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=columns, title=title)


def dose_colours(doses: Iterable[float]) -> dict[float, object]:
    """Return a colour per dose: black for 0, from dark to light the farther from it."""
    found = sorted(set(doses) - {0.0}, key=lambda dose: (abs(dose), dose))
    tones = mpl.colormaps["plasma"]
    return {0.0: "#111111"} | {dose: tones(0.88 * rank / max(len(found) - 1, 1)) for rank, dose in enumerate(found)}


def categories(ax: Axes, levels: Sequence[float], label: str) -> None:
    """Set evenly spaced ticks, one per level, turned where there are many."""
    names = [level if isinstance(level, str) else f"{level:g}" for level in levels]
    turned = 90 if len(names) > 12 else 0
    ax.set_xticks(range(len(names)), names, rotation=turned)
    ax.set(xlim=(-0.6, len(names) - 0.4), xlabel=label)
    ax.grid(axis="x", visible=False)
