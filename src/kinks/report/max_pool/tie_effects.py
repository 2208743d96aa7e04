"""What ties do to gradients: Ninf without and with a coincidental tie, as a figure and in sentences."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.audit.tie_cells import CELL
from kinks.audit.tie_effects import GROUPS
from kinks.report.max_pool.ties import label
from kinks.report.panels import BITS


def figure(rows: pd.DataFrame, table: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw Ninf between Jacobians 0 and 1 of every mini-batch, without and with a coincidental tie, per cell.

    A dotted line is the published threshold; grey marks are two orders of the same examples.

    Args:
        rows: of `kinks.audit.tie_effects.job`. table: of `kinks.audit.tie_effects.split`.
    """
    kinds = {"structural": colours["corrected"], "coincidental": colours["published"]}
    cells = list(rows.groupby([*CELL, "batch_size"], sort=True))
    fig, ax = plt.subplots(figsize=(7.2, 1.0 + 0.62 * len(cells)))
    jitter, names = np.random.default_rng(0), []
    for place, (_, cell) in enumerate(cells):
        first = cell.iloc[0]
        names.append(f"{label(first)}, {BITS[first['precision']]}\nmini-batches of {int(first['batch_size'])}")
        for kind, colour in kinds.items():
            values = cell[(cell["coincidental"] > 0) == (kind == "coincidental")]["ninf"].to_numpy(float)
            height = -place + jitter.uniform(-0.18, 0.18, len(values))
            ax.scatter(values, height, s=14, lw=0, alpha=0.8, color=colour, zorder=3)
        threshold = table[(table[CELL] == first[CELL]).all(axis=1)]["threshold"].iloc[0]
        ax.plot([threshold] * 2, [-place - 0.4, -place + 0.4], ":", color="black", lw=1.2)
        order = cell["reordered"].dropna()
        ax.scatter(order, np.full(len(order), -place - 0.32), s=14, marker="|", color=colours["noise"], zorder=3)
    for kind, colour in kinds.items():
        ax.scatter([], [], s=14, color=colour, label=GROUPS[kind])
    ax.plot([], [], ":", color="black", label="published threshold")
    ax.scatter([], [], s=14, marker="|", color=colours["noise"], label="examples reordered")
    ax.set_yticks([-place for place in range(len(names))], names)
    ax.set(xscale="log", xlabel="Ninf of the difference of two gradients")
    ax.grid(axis="y", visible=False)
    ax.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=4, fontsize=7.5)
    return fig


def text(table: pd.DataFrame) -> str:
    """Say what the two kinds of ties do to the gradient, every number computed."""
    lines = []
    for key, cell in table.groupby([*CELL, "batch_size"], sort=True):
        names = dict(zip([*CELL, "batch_size"], key, strict=True))
        head = f"**{label(pd.Series(names))}, {BITS[names['precision']]}.**"
        groups = " ".join(map(_group, cell.to_dict("records")))
        lines.append(f"{head} {groups}{_told_apart(cell)}{_noise(cell)}")
    return "\n\n".join(lines)


def _group(row: dict) -> str:
    return (
        f"With {GROUPS[row['group']]} (n = {row['n']}) Ninf is {row['smallest']:.2g} to {row['largest']:.2g}, median "
        f"{row['median']:.2g}; {row['above']} exceed the published threshold {row['threshold']:g}."
    )


def _told_apart(cell: pd.DataFrame) -> str:
    by = cell.set_index("group")
    if set(by.index) != set(GROUPS):
        return ""
    none, some = by.loc["structural"], by.loc["coincidental"]
    if none["largest"] <= none["threshold"] < some["smallest"]:
        return " The published threshold tells the two apart without an error."
    wrong = int(none["above"] + some["n"] - some["above"])
    return f" The published threshold puts {wrong} of {int(none['n'] + some['n'])} on the wrong side."


def _noise(cell: pd.DataFrame) -> str:
    order = cell["reordered"].iloc[0]
    return f" Reordering the examples moves the gradient by up to {order:.2g}." if order == order else ""
