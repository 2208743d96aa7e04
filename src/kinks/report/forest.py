"""Estimates against published values, one line per claim and arm."""

from collections.abc import Sequence
from math import isfinite

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from kinks.report.claims import Result
from kinks.report.style import ARM_MARKERS, VERDICT_COLOURS

SHOWN = 100  # a ratio beyond this factor from 1 says no more than one at it
NAMES = {"published": "as published", "corrected": "as the mathematics says"}


def forest_table(results: Sequence[Result]) -> pd.DataFrame:
    """Return what the figure shows: id, arm, verdict, published, measured, low, high, and these three over `published`.

    Only claims with a positive published number, which is brought to the number of images of the run.
    """
    rows = []
    for result in results:
        found = result.finding
        if result.arm not in NAMES or found is None or not (found.target > 0 and isfinite(found.measured)):
            continue
        values = {"measured": found.measured, "low": found.low, "high": found.high}
        ratios = {f"{name}_ratio": value / found.target for name, value in values.items()}
        name = f"{result.claim.id} (larger run)" if result.evidence else result.claim.id
        row = {"id": name, "arm": result.arm, "verdict": result.verdict, "published": found.target}
        rows.append(row | values | ratios)
    columns = ["id", "arm", "verdict", "published", "measured", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "measured_ratio", "low_ratio", "high_ratio"])


def forest(table: pd.DataFrame) -> Figure:
    """Draw measured over published with 95 % intervals on a log axis; an estimate of 0 is an arrow at its upper end."""
    names = list(dict.fromkeys(table["id"]))
    fig, ax = plt.subplots(figsize=(6.4, 0.8 + 0.34 * max(len(names), 1)))
    ax.axvline(1, color="#333333", lw=0.9)
    for _, row in table.iterrows():
        at = names.index(row["id"]) + (-0.14 if row["arm"] == "published" else 0.14)
        colour, filled = VERDICT_COLOURS[row["verdict"]], row["arm"] == "corrected"
        ends = [row["low_ratio"], row["high_ratio"]]
        if row["measured_ratio"] > 0:
            high = ends[1] if isfinite(ends[1]) else row["measured_ratio"] * 1e3
            ax.plot([max(ends[0], row["measured_ratio"] / 1e3), high], [at, at], color=colour, lw=1.2)
            face = colour if filled else "white"
            ax.plot(row["measured_ratio"], at, ARM_MARKERS[row["arm"]], ms=5, color=colour, mfc=face)
        elif isfinite(ends[1]):
            ax.plot(ends[1], at, "<", ms=5, color=colour, mfc="white")
    ax.set(xscale="log", ylim=(len(names) - 0.4, -0.6), xlabel="measured / published")
    ax.set_yticks(range(len(names)), names)
    low, high = ax.get_xlim()
    ax.set_xlim(max(low, 1 / SHOWN), min(high, SHOWN))
    ax.xaxis.set_major_locator(LogLocator(subs=(1, 3)))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.grid(axis="y", visible=False)
    _legend(ax, table)
    return fig


def _legend(ax, table: pd.DataFrame) -> None:
    handles = [
        Line2D([], [], ls="", marker=ARM_MARKERS[arm], ms=5, color="#333333", label=NAMES[arm],
               mfc="#333333" if arm == "corrected" else "white")
        for arm in NAMES
    ]  # fmt: skip
    seen = [verdict for verdict in VERDICT_COLOURS if verdict in set(table["verdict"])]
    handles += [Line2D([], [], color=VERDICT_COLOURS[verdict], label=verdict) for verdict in seen]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0))
