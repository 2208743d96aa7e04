"""Controls (D8) drawn: remedies beside the plain network, and first scale beside target scale."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.report.dying_relu.networks import optimiser_name, start_name

COLOURS = ("#111111", "#3274a1", "#e1812c", "#3a923a", "#9372b2", "#c44e52")
LIMITS = (3e-2, 1e3)


def remedies(table: pd.DataFrame) -> Figure:
    """Draw `controls.cells`: normalised error and share that died against gamma, a line per control, a row per base."""
    bases = list(table.groupby(["base", "initialisation", "momentum"], sort=False))
    fig, axes = plt.subplots(len(bases), 2, figsize=(7.6, 0.7 + 2.1 * len(bases)), sharex=True, squeeze=False)
    names = list(dict.fromkeys(table["control"]))
    for row, ((base, start, momentum), rows) in zip(axes, bases, strict=True):
        for name, group in rows.groupby("control", sort=False):
            group, colour = group.sort_values("gamma"), COLOURS[names.index(name)]
            label = name.replace("none", "no control")
            error = group["test_error"].clip(*LIMITS)
            row[0].loglog(group["gamma"], error, "o-", ms=3, color=colour, label=label)
            row[1].semilogx(group["gamma"], group["gained"], "o-", ms=3, color=colour)
            row[1].fill_between(group["gamma"], group["low"], group["high"], color=colour, alpha=0.12, lw=0)
        row[0].axhline(1, color="#333333", lw=0.8, ls=":")
        row[0].set(
            ylim=LIMITS,
            ylabel="Test error / γ²",
            title=f"{optimiser_name(base, momentum)}, {start_name(start)} weights",
        )
        row[1].set(ylabel="ReLUs that died", title="inactive at the end, less at the start")
    for ax in axes[-1]:
        ax.set_xlabel("Target scale γ")
    handles, labels = axes[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=3, fontsize=8)
    return fig


def scales(single: pd.DataFrame, nets: pd.DataFrame) -> Figure:
    """Draw dead shares by target scale and by first scale: one ReLU (left), networks (right); on the diagonal in both.

    Args:
        single: rows of `kinks.dying.equivariance.job`.
        nets: `controls.equivalence`.
    """
    fig, axes = plt.subplots(1, 2, figsize=(7.2, 3.2))
    for rank, (key, rows) in enumerate(single.groupby(["optimiser", "momentum"], sort=False)):
        label, colour = optimiser_name(*key), COLOURS[rank + 1]
        axes[0].plot(rows["dead_by_gamma"], rows["dead_by_scale"], "o", ms=5, color=colour, label=label)
    for rank, (depth, rows) in enumerate(nets.groupby("depth")):
        style = {"fmt": "s", "ms": 4, "color": COLOURS[rank + 3]}
        half = np.nan_to_num((rows["high"] - rows["low"]) / 2)
        label = f"{depth} hidden {'layer' if depth == 1 else 'layers'}, degree {depth + 1}"
        axes[1].errorbar(rows["gained_by_gamma"], rows["gained_by_scale"], half, label=label, **style)
    for ax, title in zip(axes, ("One ReLU", "Networks"), strict=True):
        top = max(0.05, *ax.get_xlim(), *ax.get_ylim())
        ax.plot([0, top], [0, top], color="#999999", lw=0.8, zorder=0)
        ax.set(title=title, xlabel="Died: targets scaled down", ylabel="Died: first weights scaled up")
        ax.legend(loc="upper left")
    return fig
