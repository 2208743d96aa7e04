"""Drawing of shares with intervals: dodged bars by precision, published values beside them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

BITS = {"fp16": "16 bits", "fp32": "32 bits", "fp64": "64 bits", "bf16": "bf16"}


def bars(ax: Axes, table: pd.DataFrame, x: str, colours: dict[str, str], published: str | None = None) -> None:
    """Draw `share` in percent against the levels of column `x`, one bar per precision, with its interval.

    A share of zero has no bar: its interval alone is drawn, from zero to the upper bound. Column `published`, where it
    holds a number, is drawn as a hollow diamond, and its interval (columns `published` + `_low`, `_high`) dotted.
    """
    table = table.astype({x: int})
    levels = sorted(table[x].unique())
    precisions = [name for name in BITS if name in set(table["precision"])]
    width = 0.8 / len(precisions)
    for rank, name in enumerate(precisions):
        rows = table[table["precision"] == name].set_index(x).reindex(levels)
        at = np.arange(len(levels)) + (rank - (len(precisions) - 1) / 2) * width
        share, low, high = (100 * rows[column].to_numpy(float) for column in ("share", "low", "high"))
        solid = share > 0
        ax.bar(at[solid], share[solid], width * 0.94, color=colours[name], zorder=2)
        ax.plot([], [], "s", color=colours[name], label=BITS[name])  # the legend's square, where there may be no bar
        known = ~np.isnan(share)
        errors = np.clip(np.stack([share - low, high - share])[:, known], 0, None)
        colour = np.where(solid[known], "#333333", colours[name])
        ax.vlines(at[known], share[known] - errors[0], share[known] + errors[1], colors=list(colour), lw=1.2, zorder=3)
        ax.scatter(at[known & ~solid], share[known & ~solid], marker="_", s=36, color=colours[name], zorder=4)
        if published is not None:
            values, low, high = (100 * rows[f"{published}{end}"].to_numpy(float) for end in ("", "_low", "_high"))
            ax.vlines(at, low, high, colors="black", lw=0.6, linestyles=(0, (1, 1)), zorder=4)
            ax.scatter(at, values, marker="D", s=20, facecolors="white", edgecolors="black", lw=0.9, zorder=5)
    ax.set_xticks(range(len(levels)), [f"{level:,}" if level >= 10_000 else str(level) for level in levels])
    ax.set_ylim(-2, 103)
    ax.grid(axis="x", visible=False)


def curves(ax: Axes, table: pd.DataFrame, x: str, colours: dict[str, str], dashes: Sequence[str] = ("-", "--")) -> None:
    """Draw `share` in percent against `x` as lines with interval bands: colour by precision, dashes by network."""
    for (precision, network), rows in table.groupby(["precision", "network"], sort=True):
        rows = rows.sort_values(x)
        style = dashes[0] if network == "published" else dashes[1]
        label = f"{BITS[precision]}, {network} network"
        ax.plot(rows[x], 100 * rows["share"], style, color=colours[precision], label=label)
        ax.fill_between(rows[x], 100 * rows["low"], 100 * rows["high"], color=colours[precision], alpha=0.15, lw=0)
