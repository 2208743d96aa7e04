"""Bias updates (K1), dead neurons and slopes (K2), and levels of noise (K5) as figures."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.affine_pieces.updates import STATISTICS
from kinks.report.style import PRECISION_COLOURS

STARTS = {"default": "library default", "he": "He", "sawtooth": "unit sawtooth"}
TASKS = {"interval": "T1", "mnist": "T2", "cube": "T3"}


def shades(values) -> dict:
    """A colour for each value, dark for small ones."""
    found = sorted(set(values))
    return {value: mpl.colormaps["viridis"](0.88 * k / max(len(found) - 1, 1)) for k, value in enumerate(found)}


def start_name(init: str, bias_sd: float) -> str:
    """An initialisation in words."""
    return f"He, bias sd {bias_sd:g}" if init == "he" else STARTS[init]


def histograms(parts: pd.DataFrame) -> Figure:
    """Draw histograms of log10|update|: a panel per `panel`, whose lines `by` names; columns as `histograms` gives."""
    names = list(parts["panel"].unique())
    fig, axes = plt.subplots(1, len(names), figsize=(3.1 * len(names), 3.0), squeeze=False)
    for ax, name in zip(axes[0], names, strict=True):
        part = parts[parts["panel"] == name]
        colours = shades(part["order"])
        for _, line in part.groupby("order", sort=True):
            row = line.iloc[0]
            share = row["zeros"] / (row["zeros"] + row["non_zero"])
            label = f"{row['label']} ({share:.0%} zero)"
            ax.step(line["size"], line["share"], where="mid", color=colours[row["order"]], lw=1.2, label=label)
        ax.set(title=name, xlabel="log10 of the bias update's size", ylim=(0, part["share"].max() * 1.7))
        ax.legend(loc="upper left", fontsize=7)
    axes[0][0].set_ylabel("Share of non-zero updates")
    return fig


def reciprocals(cells: pd.DataFrame, slopes: pd.DataFrame) -> Figure:
    """Draw statistics of 1/|update| against the width, a panel per statistic, a line per depth with its slope p."""
    fig, axes = plt.subplots(1, len(STATISTICS), figsize=(9.4, 3.3), sharey=True)
    colours = shades(cells["hidden_layers"])
    for ax, (name, title) in zip(axes, STATISTICS.items(), strict=True):
        for depth, line in cells.groupby("hidden_layers", sort=True):
            fitted = slopes[(slopes["hidden_layers"] == depth) & (slopes["statistic"] == name)]
            p = f", p = {fitted['p'].iloc[0]:.1f}" if len(fitted) else ""
            ax.plot(line["width"], line[name], "o-", color=colours[depth], label=f"{depth} hidden{p}")
        ax.set(xscale="log", yscale="log", title=title, xlabel="Width N")
        widths = sorted(cells["width"].unique())
        ax.set_xticks(widths, widths)
        ax.minorticks_off()
        ax.legend(fontsize=6.5, loc="upper right")
    low, high = cells[list(STATISTICS)].min().min(), cells[list(STATISTICS)].max().max()
    axes[0].set_ylim(low / 3, high * (high / low) ** 0.35)
    axes[0].set_ylabel("1 / |update|")
    return fig


def zeros_and_tails(cells: pd.DataFrame, tails: pd.DataFrame) -> Figure:
    """Draw the share of exact zeros against the width, and Hill's tail index of 1/|update| by initialisation."""
    tails = tails[tails["when"] == "all"]
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2), width_ratios=(1, 1.1))
    colours = shades(cells["hidden_layers"])
    for depth, line in cells.groupby("hidden_layers", sort=True):
        left.plot(line["width"], line["zero_fraction"], "o-", color=colours[depth], label=f"{depth} hidden")
    widths = sorted(cells["width"].unique())
    left.set(xscale="log", ylim=(0, 1), xlabel="Width N", ylabel="Share of updates exactly zero")
    left.set_xticks(widths, widths)
    left.minorticks_off()
    left.legend(ncols=2)
    names = ["all" if row.task == "all" else f"{TASKS[row.task]}, {start_name(row.init, row.bias_sd)}"
             for row in tails.itertuples()]  # fmt: skip
    place = np.arange(len(tails))[::-1]
    right.errorbar(
        tails["tail_index"], place, xerr=[tails["tail_index"] - tails["low"], tails["high"] - tails["tail_index"]],
        fmt="o", color="#2b5c8a", label="mean over cells, 95 %",
    )  # fmt: skip
    right.hlines(place, tails["smallest"], tails["largest"], color="#2b5c8a", alpha=0.25, lw=5, label="range of cells")
    right.axvline(1, color="#b2182b", lw=1, ls="--")
    right.text(0.99, -0.75, "infinite mean", color="#b2182b", fontsize=7, va="bottom", ha="right")
    right.set(xlabel="Hill tail index of 1/|update|", ylim=(-0.8, len(tails) - 0.4))
    right.set_yticks(place, names)
    right.legend(loc="upper left", bbox_to_anchor=(0, 1.16), ncols=2, fontsize=7)
    return fig


def steepness(by_depth: pd.DataFrame, trained: pd.DataFrame) -> Figure:
    """Draw C_B against depth by initialisation with the unit sawtooth's, and the deepest common networks' by step."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.3))
    by_depth = by_depth[by_depth["step"] < 0]
    widest = by_depth.groupby(["init", "bias_sd"])["width"].transform("max") == by_depth["width"]
    colours = dict(zip(["default", "he 0", "he 0.001", "he 0.1", "he 1", "sawtooth"],
                       ["#3274a1", "#e1812c", "#c44e52", "#9372b2", "#845b53", "#111111"], strict=True))  # fmt: skip
    for (init, sd), line in by_depth[widest].groupby(["init", "bias_sd"], sort=False):
        colour, line = colours[_key(init, sd)], line.sort_values("hidden_layers")
        label = start_name(init, sd) + ("" if init == "sawtooth" else f", width {line['width'].iloc[0]}")
        left.plot(line["hidden_layers"], line["steepest"], "o-", color=colour, label=label)
        left.fill_between(line["hidden_layers"], line["smallest"], line["largest"], color=colour, alpha=0.12, lw=0)
    left.set(yscale="log", xlabel="Hidden layers", ylabel="C_B: largest |dz/dx|", title="At initialisation")
    left.legend(fontsize=7)
    top = 0.0
    for (init, sd, depth), line in trained.groupby(["init", "bias_sd", "hidden_layers"], sort=True):
        shown = line.groupby("step")["steepest"].median()
        top = max(top, shown.max())
        dash = {1: ":", 2: "--"}.get(depth, "-")
        colour = colours[_key(init, sd)]
        label = f"{start_name(init, sd)}, {depth} hidden"
        right.plot(shown.index, shown, dash, marker=".", color=colour, label=label, alpha=0.9)
    step_axis(right, int(trained["step"].max()))
    right.set(
        title=f"In training, width {trained['width'].iloc[0]}, median over seeds",
        ylim=(0, 1.5 * trained["steepest"].median() + 5),
    )
    right.legend(fontsize=6, ncols=2, loc="upper right")
    return fig


def _key(init: str, sd: float) -> str:
    return f"he {sd:g}" if init == "he" else init


def revivals(table: pd.DataFrame, limit: float) -> Figure:
    """Draw the share of dead neurons that a step revives, a row per group of networks; 0 stands at the left edge."""
    table = table[table["dead"] > 0]
    names = [f"{group_name(row)} (n = {row.n})" for row in table.itertuples()]
    place = np.arange(len(table))[::-1]
    floor = 1e-5
    fig, ax = plt.subplots(figsize=(7.2, 1.0 + 0.22 * len(table)))
    share = table["share"].clip(lower=floor)
    reach = [share - table["low"].clip(lower=floor).fillna(floor), (table["high"].fillna(1) - share).clip(lower=0)]
    ax.errorbar(share, place, xerr=reach, fmt="o", color="#2b5c8a", ms=3.5, lw=1)
    ax.axvline(limit, color="#b2182b", lw=1, ls="--", label=f"{limit:.1%} of dead neurons")
    ax.set(xscale="log", xlim=(floor / 2, 1.5), xlabel="Share of dead neurons alive after one step")
    ax.set_xticks([floor, 1e-4, 1e-3, 1e-2, 0.1, 1], ["0", "0.01 %", "0.1 %", "1 %", "10 %", "100 %"])
    ax.minorticks_off()
    ax.set_yticks(place, names, fontsize=7)
    ax.legend(loc="lower right")
    return fig


def group_name(row) -> str:
    """What a group of networks is trained on, from what start and how."""
    task = TASKS[row.task] + (f" {row.target}" if row.target else "")
    rule = {"descent": "GD", "momentum": "momentum", "adam": "Adam"}[row.rule] + (
        f", batch {row.batch}" * bool(row.batch)
    )
    return f"{task}, {start_name(row.init, row.bias_sd)}, {rule} {row.step_size:g}"


def levels(table: pd.DataFrame, layers: pd.DataFrame) -> Figure:
    """Draw the median relative error of bias gradients against depth, and by layer in the deepest networks."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.8, 3.5), sharey=True)
    for ax, part, x in ((left, table, "hidden_layers"), (right, layers, "layer")):
        for (storage, accumulate, against), line in part.groupby(["storage", "accumulate", "against"], sort=False):
            dash = {"fp64": "-", "stored": "--", "reordered": ":"}[against]
            marker = "o" if accumulate == storage else "s"
            shown = line[line["median"] > 0].sort_values(x)
            label = f"{storage}, sums {accumulate}" if against == "fp64" else None
            ax.plot(
                shown[x], shown["median"], dash, marker=marker, ms=3.5, color=PRECISION_COLOURS[storage], label=label
            )
        for storage in part["storage"].unique():
            u = 2.0 ** -{"fp16": 11, "bf16": 8, "fp32": 24, "fp64": 53}[storage]
            ax.axhline(u, color=PRECISION_COLOURS[storage], lw=0.6, alpha=0.6)
            ax.text(1.0, u, f"u {storage}", transform=ax.get_yaxis_transform(), fontsize=6.5, va="center",
                    color=PRECISION_COLOURS[storage])  # fmt: skip
        ax.set(yscale="log")
    depth, width = layers["hidden_layers"].iloc[0], layers["width"].iloc[0]
    left.set(xlabel="Hidden layers", ylabel="Median relative error of a bias gradient", title=f"Width {width}")
    right.set(xlabel="Layer", title=f"By layer, {depth} hidden layers")
    left.legend(fontsize=7, loc="center right", bbox_to_anchor=(1.0, 0.45))
    lines = [plt.Line2D([], [], color="#555555", ls=dash) for dash in ("-", "--", ":")]
    names = ["against fp64", "against fp64 at the rounded parameters", "against itself, examples reordered"]
    right.legend(lines, names, fontsize=7, loc="center right", bbox_to_anchor=(1.0, 0.45))
    return fig


def step_axis(ax: Axes, last: int) -> None:
    """A logarithmic axis of steps that begins at 0."""
    ax.set_xscale("symlog", linthresh=1)
    ticks = [0, *(10**power for power in range(len(str(last))) if 10**power < last / 1.5), last]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set(xlim=(-0.1, last * 1.15), xlabel="Step")
