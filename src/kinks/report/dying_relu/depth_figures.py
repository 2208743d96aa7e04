"""Depth (D7) drawn: dead share against gamma by depth, layer x gamma maps, and the differences that claims are on."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.report.dying_relu.networks import RULE, optimiser_name, start_name

KINDS = {"plain": "plain", "residual": "residual", "residual_two": "two layers a block"}
ARMS = {0.0: "#3274a1", 0.9: "#c44e52", 0.99: "#845b53"}  # SGD by momentum; Adam has a colour of its own
ADAM = "#3a923a"


def against_gamma(table: pd.DataFrame) -> Figure:
    """Draw the share that died (less that at step 0) against gamma at the chosen rate, a line per depth.

    `depth.cells` of one data set: a row per optimiser, a column per kind of network and first weights; bands are
    Student's 95 % intervals over seeds.
    """
    table = _default_epsilon(table[table["chosen"]])
    rules, columns = list(table.groupby(RULE, sort=False)), _columns(table)
    shape = (len(rules), len(columns))
    fig, axes = plt.subplots(*shape, figsize=(1.4 + 2.1 * shape[1], 0.7 + 1.8 * shape[0]), **SHARED)
    depths = sorted(table["depth"].unique())
    tones = plt.get_cmap("viridis")(np.linspace(0.0, 0.85, len(depths)))
    for place, (row, (rule, rows)) in enumerate(zip(axes, rules, strict=True)):
        for ax, (key, label) in zip(row, columns.items(), strict=True):
            part = rows[_is(rows, key)]
            for depth, group in part.groupby("depth"):
                group, colour = group.sort_values("gamma"), tones[depths.index(depth)]
                ax.semilogx(group["gamma"], group["gained"], marker="o", ms=3, color=colour)
                ax.fill_between(group["gamma"], group["low"], group["high"], color=colour, alpha=0.15, lw=0)
            ax.axhline(0, color="#333333", lw=0.6)
            ax.set_title("" if place else label, fontsize=8)
        row[0].set_ylabel(f"{optimiser_name(*rule)}\nReLUs that died")
    for ax in axes[-1]:
        ax.set_xlabel("Target scale γ")
        ax.minorticks_off()
    handles = [plt.Line2D([], [], color=tone, marker="o", ms=3) for tone in tones]
    names = ["1 layer" if depth == 1 else f"{depth} layers" for depth in depths]
    fig.legend(handles, names, loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=len(names), fontsize=8)
    return fig


def maps(table: pd.DataFrame) -> Figure:
    """Draw `depth.layers` of one data set: the share that died in each layer of the deepest networks, by gamma."""
    table = _default_epsilon(table)
    rules, columns = list(table.groupby(RULE, sort=False)), _columns(table)
    shape = (len(rules), len(columns))
    fig, axes = plt.subplots(*shape, figsize=(1.6 + 1.9 * shape[1], 0.6 + 1.8 * shape[0]), squeeze=False)
    bound = max(float(table["gained"].abs().max()), 0.05)
    for place, (row, (rule, rows)) in enumerate(zip(axes, rules, strict=True)):
        for ax, (key, label) in zip(row, columns.items(), strict=True):
            part = rows[_is(rows, key)]
            if part.empty:
                ax.set_axis_off()
                continue
            grid = part.pivot_table(index="layer", columns="gamma", values="gained")
            image = ax.imshow(grid, aspect="auto", origin="lower", cmap="RdBu_r", vmin=-bound, vmax=bound)
            ax.set_xticks(range(len(grid.columns)), [f"{np.log10(gamma):.0f}" for gamma in grid.columns])
            step = max(1, len(grid) // 4)
            ax.set_yticks(range(0, len(grid), step), [str(layer) for layer in grid.index[::step]])
            ax.grid(visible=False)
            ax.set_title("" if place else f"{label}\n{int(part['depth'].iloc[0])} layers", fontsize=8)
        row[0].set_ylabel(f"{optimiser_name(*rule)}\nLayer")
    for ax in axes[-1]:
        ax.set_xlabel("log10 γ")
    fig.colorbar(image, ax=axes, label="ReLUs that died, less step 0", shrink=0.8)
    return fig


def effects(table: pd.DataFrame, choice: str = "chosen") -> Figure:
    """Draw the excess (died at gamma = 0.01 less died at gamma = 1) against depth with its intervals.

    `depth.table_of_effects`: a column per kind of network, first weights and data set; a line per optimiser.
    """
    table = _default_epsilon(table)
    rows = table[(table["measure"] == "excess") & (table["choice"] == choice)]
    keys = ["data", "kind", "initialisation", "zero_last"]
    groups = list(rows.groupby(keys, sort=False))
    columns = min(4, len(groups))
    lines = -(-len(groups) // columns)
    figure = {"figsize": (0.9 + 1.9 * columns, 0.5 + 2.0 * lines)}
    fig, axes = plt.subplots(lines, columns, sharey=True, sharex=True, squeeze=False, **figure)
    for ax in axes.flat[len(groups) :]:
        ax.set_axis_off()
    handles = {}
    for ax, (key, group) in zip(axes.flat, groups, strict=False):
        for shift, (rule, part) in enumerate(group.groupby(RULE, sort=False)):
            part = part.sort_values("depth")
            errors = np.clip(np.stack([part["value"] - part["low"], part["high"] - part["value"]]), 0, None)
            colour = ADAM if rule[0] == "adam" else ARMS.get(rule[1], "#7f7f7f")
            place = part["depth"] * 1.07 ** (shift - 1)
            handles[optimiser_name(*rule)] = ax.errorbar(place, part["value"], errors, fmt="o-", color=colour, ms=3)
        ax.axhline(0, color="#333333", lw=0.8)
        ax.set_xscale("log", base=2)
        depths = sorted(rows["depth"].unique())
        ax.set_xticks(depths, [str(depth) for depth in depths])
        ax.minorticks_off()
        ax.set_title(f"{key[0]}\n{_name(key[1], key[2], key[3])}", fontsize=8)
    for ax in axes.flat[max(0, len(groups) - columns) : len(groups)]:  # the lowest of each column
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("Layers of ReLUs")
    for row in axes:
        row[0].set_ylabel("Died at γ = 0.01\nless at γ = 1")
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": len(handles)}
    fig.legend(handles.values(), handles.keys(), fontsize=8, **place)
    return fig


SHARED = {"sharex": True, "sharey": "row", "squeeze": False}


def _default_epsilon(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["epsilon"] == 1e-8]


def _columns(table: pd.DataFrame) -> dict[tuple, str]:
    keys = table[["kind", "initialisation", "zero_last"]].drop_duplicates()
    return {tuple(key): _name(*key) for key in keys.itertuples(index=False)}


def _name(kind: str, start: str, zero_last: bool) -> str:
    return f"{KINDS[kind]}, {start_name(start)}" + (",\nlast layers 0" if zero_last else "")


def _is(rows: pd.DataFrame, key: tuple) -> pd.Series:
    return (rows["kind"] == key[0]) & (rows["initialisation"] == key[1]) & (rows["zero_last"] == key[2])
