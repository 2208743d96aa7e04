"""Death on finite whitened data (D3): the sharp step without a target, the shares that die with one, and two cones."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.dying_relu import momentum
from kinks.report.dying_relu.single import MOMENTUM_COLOURS, rule_name, with_shares

DIES = "#b2182b"
STARTS = {"live": "starts in the live cone", "anywhere": "starts anywhere"}
KEYS = ["points", "where", "norm", "momentum", "gamma"]
CHAOTIC = ["death", "only", "only_first", "below_1pct", "converged"]


def by_norm(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `whitened.deaths_job` with `norm`: how a rule compares with the one without momentum.

    The one without momentum is of both kinds, and its rows appear in both.
    """
    found = rows.assign(norm=momentum.norm(rows))
    plain = found[found["momentum"] == 0]
    return pd.concat([found, plain.assign(norm="equal speed")], ignore_index=True).drop_duplicates(KEYS)


def steps(rows: pd.DataFrame, run: int) -> pd.DataFrame:
    """Return the cells of `whitened.threshold_job` that were run long enough, with what the linear system says of each.

    Adds `side` (below: eta under (1 - sqrt(mu))^2; complex; above: real again, and negative), `wrong` (starts that did
    otherwise), `late` (1 where a death came at another step than predicted) and `cells` (1 each).

    Args:
        rows: of the jobs.
        run: steps of the runs; a cell whose death is due later says nothing.
    """
    rows = rows[rows["predicted"] <= run]
    side = np.where(rows["rate"] <= rows["low"], "below", np.where(rows["rate"] < rows["high"], "complex", "above"))
    expected = np.where(side == "below", 0, rows["n"])
    late = (side != "below") & ((rows["first"] != rows["predicted"]) | (rows["last"] != rows["predicted"]))
    return rows.assign(side=side, wrong=(rows["count"] - expected).abs(), late=late.astype(int), cells=1)


def step_summary(cells: pd.DataFrame) -> pd.DataFrame:
    """Return per data set and side of the threshold, and over all (`any`): cells, starts, deaths, exceptions."""
    keys, sums = ["points", "side"], {"cells": "sum", "n": "sum", "count": "sum", "wrong": "sum", "late": "sum"}
    parts = [cells, cells.assign(side="any"), cells.assign(points="all"), cells.assign(points="all", side="any")]
    return pd.concat([part.groupby(keys, as_index=False).agg(sums) for part in parts], ignore_index=True)


def heat(cells: pd.DataFrame) -> Figure:
    """Draw the share that dies over eta and momentum, one panel per data set, with the exact threshold on top."""
    names = list(cells["points"].unique())
    fig, axes = plt.subplots(
        1, len(names), figsize=(3.6 * len(names) + 1, 3.6), sharex=True, sharey=True, squeeze=False
    )
    for ax, name in zip(axes[0], names, strict=True):
        rows = cells[cells["points"] == name]
        share = (rows["count"] / rows["n"]).to_frame("share").assign(mu=rows["mu"], rate=rows["rate"])
        grid = share.pivot(index="mu", columns="rate", values="share")
        gap, rate = 1 - grid.index.to_numpy(), grid.columns.to_numpy()
        mesh = ax.pcolormesh(_edges(rate), _edges(gap), grid.to_numpy(), cmap="RdBu_r", vmin=-0.15, vmax=1.15)
        fine = np.geomspace(gap.min() / 1.2, 1.0, 400)
        ax.plot((1 - np.sqrt(1 - fine)) ** 2, fine, color="black", lw=1.6, label="η = (1 - √μ)²")
        upper = (1 + np.sqrt(1 - fine)) ** 2
        ax.plot(upper, fine, color="black", lw=1, ls="--", label="η = (1 + √μ)²")
        ax.plot(2 * (2 - fine), fine, color="black", lw=1, ls=":", label="limit of stability")
        ax.set(xscale="log", yscale="log", xlabel="Learning rate η (h = 1)", title=name)
        ax.set(xlim=(rate.min(), 4.2), ylim=(gap.max(), gap.min()))
        ax.grid(visible=False)
    axes[0, 0].set_ylabel("1 - μ")
    axes[0, 0].legend(fontsize=7, loc="lower left", frameon=True)
    bar = fig.colorbar(mesh, ax=axes[0], label="Share that dies", shrink=0.8, ticks=[0, 0.5, 1])
    bar.ax.set_ylim(0, 1)
    return fig


def _edges(values: np.ndarray) -> np.ndarray:
    """Edges of cells around values that grow by a factor."""
    logs = np.log(values)
    middle = (logs[1:] + logs[:-1]) / 2
    return np.exp([2 * logs[0] - middle[0], *middle, 2 * logs[-1] - middle[-1]])


def deaths(table: pd.DataFrame) -> Figure:
    """Draw the share that dies against gamma: rows of starts (in the live cone, anywhere), a panel per data set."""
    wheres, names = list(table["where"].unique()), list(table["points"].unique())
    shape = len(wheres), len(names)
    fig, axes = plt.subplots(*shape, figsize=(1.9 * shape[1] + 1, 2.0 * shape[0] + 0.6), sharey=True, squeeze=False)
    levels = sorted(table["gamma"].unique())
    for row, where in enumerate(wheres):
        for column, name in enumerate(names):
            part = table[(table["where"] == where) & (table["points"] == name)]
            _death_lines(axes[row, column], part, levels)
            if row == 0:
                axes[row, column].set_title(name, fontsize=8)
            if row == len(wheres) - 1:
                axes[row, column].set_xlabel("γ")
        axes[row, 0].set_ylabel(f"{STARTS[where]}\nshare that dies")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=4, bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def _death_lines(ax: Axes, part: pd.DataFrame, levels: list[float]) -> None:
    place = {level: number for number, level in enumerate(levels)}
    for (norm, mu), rows in part.groupby(["norm", "momentum"], sort=True):
        if norm == "equal rate" and not mu:
            continue  # the same run
        alive = rows["n"] - rows["early"]
        rows = with_shares(rows.assign(count=rows["count"] - rows["early"], n=alive)[alive > 0]).sort_values("gamma")
        at, dash = rows["gamma"].map(place), "-" if norm == "equal speed" else ":"
        name = rule_name("sgd", mu) + ("" if norm == "equal speed" else ", same η as μ = 0")
        ax.plot(at, rows["share"], dash, marker="o", ms=3, color=MOMENTUM_COLOURS[mu], label=name)
        ax.fill_between(at, rows["low"], rows["high"], color=MOMENTUM_COLOURS[mu], alpha=0.12, lw=0)
    ax.set_xticks(range(len(levels)), [f"{level:g}" for level in levels], fontsize=7)
    ax.set_ylim(-0.03, 1.03)


def paths(table: pd.DataFrame) -> Figure:
    """Draw paths in the plane of mean and smallest pre-activation, one panel per momentum, each at its own scale.

    The cube is symmetric about its mean, so that its largest pre-activation is twice the mean less the smallest.
    """
    momenta = sorted(table["mu"].unique())
    fig, axes = plt.subplots(1, len(momenta), figsize=(2.9 * len(momenta), 2.9))
    for ax, mu in zip(axes, momenta, strict=True):
        rows = table[table["mu"] == mu]
        span = 1.1 * np.abs(rows[["mean", "least"]]).to_numpy().max()
        ax.axhspan(0, span, color="#dbe6f0", lw=0)
        ax.fill([0, -span, -span / 2], [0, -span, -span], color="#f3dada", lw=0)
        for _, one in rows.groupby("start"):
            ax.plot(one["mean"], one["least"], color=MOMENTUM_COLOURS[mu], lw=0.8)
            ax.plot(one["mean"].iloc[0], one["least"].iloc[0], "o", ms=3, color="#333333")
            ax.plot(one["mean"].iloc[-1], one["least"].iloc[-1], "x", ms=5, color="#000000")
        ax.set(title=f"μ = {mu:g}", xlabel="Mean pre-activation", xlim=(-span, span), ylim=(-span, span))
        ax.text(-0.95 * span, 0.9 * span, "live cone", va="top", fontsize=8, color="#2b5c8a")
        ax.text(-0.72 * span, -0.97 * span, "dead cone", ha="center", va="bottom", fontsize=8, color=DIES)
    axes[0].set_ylabel("Smallest pre-activation")
    return fig
