"""Where harm begins, drawn: the boundary in dose against the learning rate, precision by precision."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinks.report.style import PRECISION_COLOURS
from kinks.report.training import frames, names


def frontier(bounds: pd.DataFrame, *, dose: str | None = None) -> Figure:
    """Draw the boundary in dose against the learning rate: a row of panels per network, a column per variant.

    For each precision a thick line reaches from 0 to the largest dose that equals dose 0 within the margin; a thin one
    from there to the smallest dose with a significant loss (cross), or to the largest dose tested (hollow triangle)
    where there is none. Doses without a kink met are drawn as grey dots.

    Args:
        bounds: of `boundary`; negative doses are left out.
    """
    shown = bounds[bounds["side"] == "positive"]
    columns, groups = frames.variants(shown), [group for _, group in shown.groupby(names.NETWORK, sort=False)]
    fig, rows = frames.grid([names.heading(group.iloc[0]) for group in groups], len(columns))
    symbol = names.symbol(shown["variant"])
    precisions = list(dict.fromkeys(shown["precision"]))
    for group, axes in zip(groups, rows, strict=True):
        rates = sorted(dict.fromkeys(map(_rate, group.to_dict("records"))), key=_number)
        for ax, variant in zip(axes, columns, strict=True):
            _panel(ax, group[group["variant"] == variant], rates, precisions)
            ax.set_title(names.VARIANTS[variant], fontweight="normal")
            frames.categories(ax, rates, "Learning rate")
        _doses(axes[0], shown)
        axes[0].set_ylabel(dose or names.AXES[symbol])
    frames.legend(fig, _handles(precisions))
    return fig


def _rate(row: dict) -> str:
    return row["rates"] or f"{row['rate']:.3g}"


def _number(label: str) -> float:
    try:
        return float(label)
    except ValueError:
        return np.inf


def _panel(ax: Axes, bounds: pd.DataFrame, rates: list[str], precisions: list[str]) -> None:
    for row in bounds.to_dict("records"):
        rank = precisions.index(row["precision"]) - (len(precisions) - 1) / 2
        at, colour = rates.index(_rate(row)) + 0.5 * rank / max(len(precisions), 2), _colour(row["precision"])
        if row["verdict"] in ("no kink met", "base fails"):
            ax.plot(at, row["largest"], "." if row["verdict"] == "no kink met" else "+", color="#999999", ms=5)
            continue
        equal = row["equal"] if row["equal"] == row["equal"] else 0.0
        ax.vlines(at, 0, equal, color=colour, lw=4, zorder=2)
        harmed = row["harm"] == row["harm"]
        end = row["harm"] if harmed else row["largest"]
        ax.vlines(at, equal, end, color=colour, lw=1, linestyles=(0, (2, 1.5)), zorder=2)
        style = {"color": colour, "ms": 6, "mew": 1.8 if harmed else 1, "mfc": "white", "zorder": 4, "clip_on": False}
        ax.plot(at, end, "x" if harmed else "^", **style)


def _doses(ax: Axes, bounds: pd.DataFrame) -> None:
    sizes = bounds[["harm", "equal", "largest"]].to_numpy(float).ravel()
    seen = sorted(set(sizes[~np.isnan(sizes)]))
    ax.set_yscale("symlog", linthresh=seen[0])
    ax.set_yticks([0, *seen], [f"{dose:g}" for dose in (0, *seen)])
    ax.set_yticks([], minor=True)
    ax.set_ylim(0, seen[-1] * 1.6)


def _colour(label: str) -> str:
    return PRECISION_COLOURS.get(label, "#845b53" if "autocast" in label else "#555555")


def _handles(precisions: list[str]) -> list[Line2D]:
    handles = [Line2D([], [], color=_colour(name), lw=4, label=names.precision(name)) for name in precisions]
    grey = {"ls": "", "color": "#555555", "ms": 6}
    handles.append(Line2D([], [], marker="x", mew=1.8, label="smallest dose with a loss", **grey))
    handles.append(Line2D([], [], marker="^", mfc="white", label="largest dose tested", **grey))
    return [*handles, Line2D([], [], marker=".", ls="", color="#999999", ms=5, label="no kink met")]
