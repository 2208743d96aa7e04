"""Figures of the sawteeth: before and after noise, counts against depth, against the step, and as executed."""

from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.affine_pieces.sawtooth_runs import KEPT
from kinks.report.style import PRECISION_COLOURS

FAMILIES = {"bounded": "slopes bounded by 1", "unit": "unit height, slopes to $2^L$"}
KINDS = {
    "own": "inputs on the format's own grid,\ntargets exact",
    "float64": "inputs on float64's grid,\ntargets exact",
    "rational": "inputs of 96 random bits,\ntargets exact",
    "smooth": "inputs of 96 random bits,\nsmooth term in the targets",
}
LINES = PRECISION_COLOURS | {"exact": "#111111"}
STYLES = {"fp16": "-", "bf16": "-", "fp32": "-", "fp64": "-", "exact": ":"}
AROUND = {"fp32": "x", "fp64": "+"}  # they coincide as far as they are counted
BOUND, START = "#888888", "#111111"


def picture(table: pd.DataFrame) -> Figure:
    """Draw the sawtooth before and after noise (K6): a row for each family, a column for each eta."""
    families = [name for name in FAMILIES if name in set(table["family"])]
    etas = sorted(table["eta"].unique())
    size = (2.7 * len(etas), 0.5 + 1.7 * len(families))
    fig, axes = plt.subplots(len(families), len(etas), figsize=size, squeeze=False, sharex=True, sharey="row")
    for row, family in zip(axes, families, strict=True):
        before = _curve(table, family, min(etas))
        for ax, eta in zip(row, etas, strict=True):
            curve = _curve(table, family, eta)
            if eta:
                ax.plot(before["x"], before["y"], color="#bbbbbb", lw=0.8, zorder=1)
            ax.plot(curve["x"], curve["y"], color="#3274a1", lw=1.2)
            ax.plot(curve["x"], curve["y"], ".", color="#e1812c", ms=3, zorder=3)
            ax.set_title(f"{_eta(eta)}: {curve['pieces'].iloc[0]} pieces, {curve['regions'].iloc[0]} regions")
        row[0].set_ylabel(f"{FAMILIES[family]}\noutput, full height 1")
    for ax in axes[-1]:
        ax.set_xlabel("Input")
    return fig


def noise(table: pd.DataFrame) -> Figure:
    """Draw mean regions against depth, one line for each noise; dots are the bound, the dashed line is 2^L."""
    families = [name for name in FAMILIES if name in set(table["family"])]
    fig, axes = plt.subplots(1, len(families), figsize=(4.3 * len(families), 3.9), sharey=True, squeeze=False)
    colours = eta_colours(table["neg_log2"])
    for ax, family in zip(axes[0], families, strict=True):
        part = table[table["family"] == family]
        depths = np.arange(1, part["levels"].max() + 1)
        ax.plot(depths, 2.0**depths, "--", color=START, lw=1, label="$2^L$, without noise")
        for k, cells in part.groupby("neg_log2", sort=True):
            ax.plot(cells["levels"], cells["regions"], ".-", color=colours[k], ms=4, label=f"$\\eta = 2^{{-{k}}}$")
            ax.fill_between(
                cells["levels"], cells["regions_low"], cells["regions_high"], color=colours[k], alpha=0.2, lw=0
            )
            style = {"color": colours[k], "lw": 0.9, "alpha": 0.7}
            ax.plot(cells["levels"], cells["linear"], ":", **style)
        ax.plot([], [], ":", color=BOUND, label="bound $1 + 2L/\\eta$\nof slopes up to 1")
        ax.set(title=f"Sawtooth, {FAMILIES[family]}", xlabel="Hidden layers L")
    axes[0, 0].set_yscale("log", base=2)
    axes[0, 0].set_ylim(1.5, _top(table))
    axes[0, 0].set_ylabel("Activation regions on [0, 1], mean")
    _legend(fig, axes[0], 1.0, columns=7)
    return fig


def plateau(table: pd.DataFrame, counted: pd.DataFrame) -> Figure:
    """Draw eta x regions beyond the knee against eta, and the pieces of the output against depth."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(8.4, 3.2))
    errors = np.stack([table["plateau"] - table["low"], table["high"] - table["plateau"]])
    left.errorbar(table["neg_log2"], table["plateau"], errors, fmt="o", color="#2b5c8a")
    middle = np.exp(np.log(table["plateau"]).mean())
    left.axhspan(middle / 1.3**0.5, middle * 1.3**0.5, color="#2b5c8a", alpha=0.1, lw=0, label="a factor of 1.3")
    left.set(xlabel="$-\\log_2 \\eta$", ylabel="$\\eta$ × regions, beyond the knee", ylim=(0, 1.5 * middle))
    left.set_title("The plateau is inverse to the noise")
    left.legend(loc="lower right")
    bounded = counted[(counted["family"] == "bounded") & counted["neg_log2"].isin(table["neg_log2"])]
    colours = eta_colours(counted["neg_log2"])
    for k, cells in bounded.groupby("neg_log2", sort=True):
        right.plot(cells["levels"], cells["pieces"], ".-", color=colours[k], ms=4, label=f"$\\eta = 2^{{-{k}}}$")
    right.set_yscale("log", base=2)
    right.set(xlabel="Hidden layers L", ylabel="Pieces of the output, mean")
    right.set_title("Pieces of the output drown in the noise")
    right.legend(loc="upper left", ncols=2, fontsize=7)
    return fig


def updates(table: pd.DataFrame) -> Figure:
    """Draw regions after one update against the step size, one line for each format of the gradient (K4b).

    Lines are medians over seeds; the band is from the smallest to the largest count with the exact gradient.
    """
    panels = [key for key, _ in table.groupby(["family", "levels"], sort=True) if key[1] == table["levels"].max()]
    fig, axes = plt.subplots(1, len(panels), figsize=(4.2 * len(panels), 3.3), squeeze=False, sharey=True)
    for ax, (family, levels) in zip(axes[0], panels, strict=True):
        part = table[(table["family"] == family) & (table["levels"] == levels)]
        for name in (one for one in LINES if one in set(part["storage"])):
            rows = part[part["storage"] == name].sort_values("step_size")
            delta = rows["delta"].iloc[0]
            label = "exact rationals" if name == "exact" else f"{name}, δ = {delta:.1g}"
            ax.plot(
                rows["step_size"], rows["regions"], STYLES[name], marker=".", color=LINES[name], label=label, zorder=3
            )
            if name == "exact":
                ax.fill_between(rows["step_size"], rows["fewest"], rows["most"], color="#dddddd", lw=0)
        ax.axhline(2**levels, color=START, lw=1, ls="--", label=f"before: $2^{{{levels}}}$")
        ax.set(xscale="log", xlabel="Step size λ", title=f"{levels} levels, {FAMILIES[family]}")
        ax.legend(fontsize=7, loc="lower left")
    axes[0, 0].set_ylim(0, 1.08 * table.loc[table["levels"] == table["levels"].max(), "most"].max())
    axes[0, 0].set_ylabel("Regions after one update, median")
    return fig


def training(table: pd.DataFrame, family: str, levels: int) -> Figure:
    """Draw regions against the step by format: a row for each kind of examples, a column for each step size (K4c).

    Lines are medians over seeds, bands reach from the smallest to the largest.
    """
    part = table[(table["family"] == family) & (table["levels"] == levels) & (table["order"] == "given")]
    kinds = [kind for kind in KINDS if kind in set(part["kind"])]
    sizes, marks = sorted(part["step_size"].unique()), sorted(part["step"].unique())
    size = (2.8 * len(sizes), 0.8 + 1.75 * len(kinds))
    fig, axes = plt.subplots(len(kinds), len(sizes), figsize=size, squeeze=False, sharex=True, sharey=True)
    for row, kind in zip(axes, kinds, strict=True):
        for ax, step_size in zip(row, sizes, strict=True):
            cell = part[(part["kind"] == kind) & (part["step_size"] == step_size)]
            _panel(ax, cell, marks)
            ax.set_title(f"λ = {step_size:g}, λ λ$_{{max}}$ = {short(cell['product'].median())}", fontsize=8)
        row[0].set_ylabel(KINDS[kind], fontsize=7)
    for ax in axes[-1]:
        ax.set_xlabel("Step")
    axes[0, 0].set_yscale("log", base=2)
    axes[0, 0].set_xticks(range(len(marks)), [f"{mark:,}" for mark in marks])
    fig.supylabel("Activation regions of the stored numbers", fontsize=9)
    _legend(fig, axes[0], 1.0, columns=6)
    # So many panels take seconds to lay out: once is enough, however often the figure is saved.
    fig.draw_without_rendering()
    fig.set_layout_engine("none")
    return fig


def executed(table: pd.DataFrame) -> Figure:
    """Draw the regions of the executed unit sawtooth against its depth: z >= 0 as lines, z > 0 dotted."""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    depths = np.arange(1, table["levels"].max() + 1)
    ax.plot(depths, 2.0**depths, "--", color=START, lw=1, label="$2^L$, over the reals")
    for name in (one for one in PRECISION_COLOURS if one in set(table["storage"])):
        rows = table[table["storage"] == name].sort_values("levels")
        every = bool(rows["exhaustive"].all())
        label = f"{name}, all {int(rows['inputs'].iloc[0]):,} inputs" if every else f"{name}, inputs around the cuts"
        style = {"color": PRECISION_COLOURS[name], "zorder": 3 if every else 2}
        ax.plot(rows["levels"], rows["regions"], "-" if every else AROUND[name], ms=6, label=label, **style)
        if every:
            ax.plot(rows["levels"], rows["strict"], ":", lw=1.2, **style)
            ax.axhline(rows["inputs"].iloc[0], lw=0.7, alpha=0.6, **style)
            gone = rows[rows["upper_nonzero"] == 0]["levels"]
            if len(gone):
                height = rows.loc[rows["levels"] == gone.iloc[0], "regions"].iloc[0]
                ax.plot(gone.iloc[0], height, "o", ms=7, mfc="white", **style)
    ax.plot([], [], ":", color=BOUND, label="runs of z > 0 instead of z ≥ 0")
    ax.plot([], [], "o", ms=7, mfc="white", color=BOUND, label="output 0 on [1/2, 1] from here")
    ax.set_yscale("log", base=2)
    ax.set(xlabel="Hidden layers L", ylabel="Regions as executed", ylim=(1.5, 2.0**17))
    ax.set_title("The unit sawtooth as executed")
    ax.legend(loc="lower right", fontsize=7)
    return fig


def eta_colours(neg_log2: Sequence[int]) -> dict[int, tuple]:
    """Return a colour for each noise 2^-k, dark for large noise."""
    found = sorted(set(neg_log2))
    return {k: mpl.colormaps["viridis"](0.92 * rank / max(len(found) - 1, 1)) for rank, k in enumerate(found)}


def short(value: float) -> str:
    """Return a number to two digits, without an exponent from 100 on."""
    return f"{value:.2g}" if value < 100 else f"{value:,.0f}"


def _panel(ax: Axes, cell: pd.DataFrame, marks: list[int]) -> None:
    place = {mark: rank for rank, mark in enumerate(marks)}
    start, neurons = cell["start"].iloc[0], cell["neurons"].iloc[0]
    ax.axhline(start, color=START, lw=0.8, ls="--", label="exact sawtooth")
    ax.axhline(KEPT * neurons, color=BOUND, lw=0.8, ls=":", label=f"{KEPT} × neurons")
    for name in (one for one in PRECISION_COLOURS if one in set(cell["storage"])):
        rows = cell[cell["storage"] == name].sort_values("step")
        at = [place[step] for step in rows["step"]]
        ax.plot(at, rows["regions"], ".-", color=PRECISION_COLOURS[name], ms=3, lw=1.1, label=name)
        ax.fill_between(at, rows["fewest"], rows["most"], color=PRECISION_COLOURS[name], alpha=0.12, lw=0)


def _curve(table: pd.DataFrame, family: str, eta: float) -> pd.DataFrame:
    return table[(table["family"] == family) & (table["eta"] == eta)]


def _eta(eta: float) -> str:
    return f"η = $2^{{{int(np.log2(eta))}}}$" if eta else "η = 0"


def _top(table: pd.DataFrame) -> float:
    return 2.0 ** (np.ceil(np.log2(table["regions_high"].max())) + 2)


def _legend(fig: Figure, axes: Sequence[Axes], height: float, columns: int) -> None:
    handles = {}
    for ax in axes:
        handles |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, height), "ncols": min(len(handles), columns)}
    fig.legend(handles.values(), handles, fontsize=8, **place)
