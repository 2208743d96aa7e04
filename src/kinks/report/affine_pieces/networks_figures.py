"""Regions of networks at initialisation and in training (K3), and the bounds (C7), as figures."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.report.affine_pieces.updates import GROUP
from kinks.report.affine_pieces.updates_figures import TASKS, group_name, shades, start_name, step_axis


def depth(table: pd.DataFrame, bounds: pd.DataFrame) -> Figure:
    """Draw regions against depth: counted, linear, with the number of neurons; and with the bounds, logarithmic.

    Args:
        table: `by_step` of one width: library default, He; the steps to draw.
        bounds: `slack` of the same width and start, one level of noise.
    """
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.5))
    width = table["width"].iloc[0]
    depths = np.array(sorted(table["hidden_layers"].unique()))
    for (init, sd), start in table.groupby(["init", "bias_sd"], sort=False):
        colour = {"default": "#3274a1", "he": "#e1812c"}[init]
        for dash, (step, line) in zip(("--", "-"), start.groupby("step", sort=True), strict=False):
            line = line.sort_values("hidden_layers")
            label = f"{start_name(init, sd)}, step {step}"
            for ax in (left, right):
                ax.errorbar(line["hidden_layers"], line["regions"], 1.96 * line["error"].fillna(0), fmt="o" + dash,
                            color=colour, label=label, ms=3.5)  # fmt: skip
    for ax in (left, right):
        ax.plot(depths, depths * width, color="#111111", lw=1, ls=":", label="number of neurons")
        ax.set_xlabel("Hidden layers")
    for source, line in bounds.groupby("source", sort=False):
        finite = line[np.isfinite(line["bound"])].sort_values("hidden_layers")
        tone = {"fp16": "#c44e52", "fp32": "#9372b2"}.get(source, "#777777")
        right.plot(finite["hidden_layers"], finite["bound"], "^-", color=tone, ms=3.5,
                   label=f"bound (2), noise of {source}")  # fmt: skip
    right.plot(depths, (width + 1.0) ** depths, color="#777777", lw=1, ls="-.", label="most possible, (N + 1)^depth")
    right.set(yscale="log", title="The same, and the bounds")
    right.legend(fontsize=6.5)
    left.set(ylabel="Regions on [0, 1]", title=f"Counted, width {width}", ylim=(0, None))
    left.legend(fontsize=7)
    return fig


def steps(table: pd.DataFrame, panels: dict[str, tuple[pd.DataFrame, str]]) -> Figure:
    """Draw regions against the step: a panel per entry, its rows and the column that tells lines apart."""
    fig, axes = plt.subplots(1, len(panels), figsize=(2.9 * len(panels), 3.1), squeeze=False)
    for ax, (title, (rows, column)) in zip(axes[0], panels.items(), strict=True):
        values = list(dict.fromkeys(rows[column]))
        colours = dict(zip(values, shades(range(len(values))).values(), strict=True))
        for value, line in rows.groupby(column, sort=False):
            line = line.sort_values("step")
            ax.plot(line["step"], line["regions"], "o-", ms=3, color=colours[value], label=str(value))
            ax.fill_between(line["step"], line["smallest"], line["largest"], color=colours[value], alpha=0.12, lw=0)
        if rows["neurons"].nunique() == 1:
            ax.axhline(rows["neurons"].iloc[0], color="#111111", lw=1, ls=":", label="neurons")
        step_axis(ax, int(rows["step"].max()))
        ax.set(title=title, ylim=(0, None))
        ax.legend(fontsize=6.5)
    axes[0][0].set_ylabel("Regions, mean and range")
    return fig


def started(table: pd.DataFrame) -> Figure:
    """Draw regions per neuron at initialisation against depth, a panel per width; crosses are our pilot's numbers."""
    widths = sorted(table["width"].unique())
    fig, axes = plt.subplots(1, len(widths), figsize=(2.9 * len(widths), 3.1), sharey=True, squeeze=False)
    starts = list(dict.fromkeys(zip(table["init"], table["bias_sd"], strict=True)))
    colours = dict(zip(starts, shades(range(len(starts))).values(), strict=True))
    for ax, width in zip(axes[0], widths, strict=True):
        for start, colour in colours.items():
            rows = table[(table["init"] == start[0]) & (table["bias_sd"] == start[1]) & (table["width"] == width)]
            line = rows.sort_values("hidden_layers")
            ax.errorbar(line["hidden_layers"], line["per_neuron"], 1.96 * line["error"] / line["neurons"], fmt="o-",
                        ms=3.5, color=colour, label=start_name(*start))  # fmt: skip
            ax.plot(line["hidden_layers"], line["pilot"] / line["neurons"], "x", color=colour, ms=6)
        ax.axhline(1, color="#111111", lw=1, ls=":")
        ax.set(title=f"Width {width}", xlabel="Hidden layers", ylim=(0, None))
    axes[0][0].set_ylabel("Regions on [-1, 1] per neuron")
    handles, labels = axes[0][0].get_legend_handles_labels()
    cross = plt.Line2D([], [], color="#555555", ls="", marker="x")
    fig.legend([*handles, cross], [*labels, "our pilot"], loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=5)
    return fig


def slack(table: pd.DataFrame) -> Figure:
    """Draw bound (2) over mean regions against the noise level: medians and smallest per start and depth."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.4))
    given = table[table["source"] == "given"]
    cells = list(given.groupby(["init", "bias_sd", "hidden_layers"], sort=False))
    colours = shades(range(len(cells)))
    for number, ((init, sd, layers), rows) in enumerate(cells):
        line = rows.groupby("delta").agg(low=("smallest", "min"), median=("median", "median")).reset_index()
        line = line[np.isfinite(line["low"])]
        label = f"{start_name(init, sd)}, {layers} hidden"
        left.plot(line["delta"], line["low"], "o-", ms=3, color=colours[number], label=label)
        share = rows.groupby("delta")[["infinite", "cells"]].sum()
        right.plot(share.index, share["infinite"] / share["cells"], "o-", ms=3, color=colours[number], label=label)
    for name, rows in table[table["source"] != "given"].groupby("source"):
        finite, tone = rows[np.isfinite(rows["smallest"])], {"fp16": "#c44e52"}.get(name, "#9372b2")
        left.plot(finite["delta"], finite["smallest"], "s", ms=4, mfc="none", color=tone, label=f"level of {name}")
    left.axhline(1, color="#111111", lw=1, ls=":")
    left.set(xscale="log", yscale="log", xlabel="Noise level δ", ylabel="Bound (2) / mean regions, smallest",
             title="Slack of the finite bounds")  # fmt: skip
    right.set(xscale="log", ylim=(-0.02, 1), xlabel="Noise level δ", ylabel="Share of networks",
              title="Bound infinite: a neuron moves without update")  # fmt: skip
    left.legend(fontsize=6.5)
    return fig


def labelled(table: pd.DataFrame) -> pd.DataFrame:
    """Add what a line of `steps` is called: its group, and its shape."""
    names = [group_name(row) for row in table[GROUP].itertuples()]
    shapes = [f"{row.hidden_layers} x {row.width}" for row in table.itertuples()]
    return table.assign(group=names, shape=shapes, task_name=[TASKS[task] for task in table["task"]])
