"""The share of dead ReLUs against training time (D6), for SGD and Adam, by closed form and on mini-batches."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from kinks.dying.initial import active_without_target
from kinks.report.dying_relu.single import colour, pairs, rule_name, with_shares

RULE = ["optimiser", "rate", "momentum", "epsilon"]
CELL = [*RULE, "d", "gamma", "step", "limit"]
CHAOTIC = ["share", "low", "high", "only", "only_first", "median", "converged", "nearly dead", "dead", "other"]
PAIRED = ["count", "only", "only_first", "gain", "gain_low", "gain_high", "p"]
DASHES = {"below_1e-3": "-", "below_1e-6": ":"}
SAME_RATE = "#b2182b"  # momentum at the rate of SGD without
EPSILON = 1e-8  # of the Adam that is drawn


def parted(rows: pd.DataFrame, steps: list[int]) -> tuple[pd.DataFrame, ...]:
    """Part the rows of `populations.job`: long runs come first, then SGD's curves and Adam's.

    Args:
        rows: of all jobs, one after the other.
        steps: recorded in the long runs, whose counts are summed over seeds.

    Returns:
        The population after `steps`; the curves with shares and intervals; of these, Adam's with another epsilon than
        the first, whose `only` and `only_first` are against that one (`.attrs["first"]`).
    """
    long = rows["step"].isin(steps).to_numpy()
    first = int(long.argmin()) if not long.all() else len(rows)
    population = rows[:first].groupby(CELL, as_index=False)[["n", "count", "only", "only_first"]].sum()
    curves = with_shares(rows[first:].reset_index(drop=True))
    adam = curves[curves["optimiser"] == "adam"]
    epsilon = float(adam["epsilon"].iloc[0])
    others = adam[adam["epsilon"] != epsilon].copy()
    others.attrs["first"] = epsilon
    return population, curves, others


def streams(rows: pd.DataFrame, exact: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `populations.stream_job` with shares, and `exact`, the share by the closed form."""
    if rows.empty:
        return rows
    theirs = exact.rename(columns={"share": "exact"})[[*CELL, "exact"]]
    return with_shares(rows).merge(theirs, on=CELL, how="left")


def paired(curves: pd.DataFrame) -> pd.DataFrame:
    """Return the curves of SGD with momentum against those without, start by start, with the interval of `pairs`."""
    rows = curves[(curves["optimiser"] == "sgd") & (curves["momentum"] > 0)]
    return pairs(rows[[*CELL, "n", "count", "only", "only_first"]].reset_index(drop=True))


def figure(table: pd.DataFrame, pilot: pd.DataFrame | None = None, rows: str = "d") -> Figure:
    """Draw the share below either limit against the step (log axis): a panel per level of `rows` and gamma.

    Args:
        table: columns of `populations.job`.
        pilot: d, gamma, the rule, step, limit and share of the pilot runs: points.
        rows: column whose levels are rows of panels.
    """
    drawn = with_shares(table[(table["optimiser"] != "adam") | (table["epsilon"] == EPSILON)])
    levels, gammas = sorted(drawn[rows].unique()), sorted(drawn["gamma"].unique(), reverse=True)
    shape = len(levels), len(gammas)
    fig, axes = plt.subplots(*shape, figsize=(2.2 * shape[1] + 0.6, 1.9 * shape[0] + 0.5), sharex=True, sharey=True)
    axes = np.reshape(axes, shape)
    for (level, gamma), part in drawn.groupby([rows, "gamma"]):
        ax = axes[levels.index(level), gammas.index(gamma)]
        _lines(ax, part)
        if pilot is not None:
            _points(ax, pilot[(pilot[rows] == level) & (pilot["gamma"] == gamma)])
        ax.set(xscale="log", ylim=(-0.03, 1.03))
        ax.minorticks_off()  # half of the time that drawing takes
    for ax, gamma in zip(axes[0], gammas, strict=True):
        ax.set_title(f"γ = {gamma:g}")
    for ax, level in zip(axes[:, 0], levels, strict=True):
        ax.set_ylabel(f"{rows} = {level}\nshare" if len(levels) > 1 else "share")
    for ax in axes[-1]:
        ax.set_xlabel("step")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    kept = {label: handle for handle, label in zip(handles, labels, strict=True)}
    for limit, dash in DASHES.items():
        kept[f"active on less than {limit.removeprefix('below_')}"] = Line2D([], [], color="#555555", ls=dash)
    fig.legend(kept.values(), kept, loc="lower center", ncols=min(len(kept), 5), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def _lines(ax: Axes, part: pd.DataFrame) -> None:
    plain = part.loc[(part["optimiser"] == "sgd") & (part["momentum"] == 0), "rate"].max()
    for (optimiser, rate, momentum, _, limit), one in part.groupby([*RULE, "limit"], sort=True):
        one, shade = one.sort_values("step"), colour(optimiser, momentum)
        if optimiser == "sgd" and momentum and rate == plain:
            shade = SAME_RATE
        name = rule_name(optimiser, momentum, rate) if limit == "below_1e-3" else None
        ax.plot(one["step"], one["share"], DASHES[limit], color=shade, label=name)
        ax.fill_between(one["step"], one["low"], one["high"], color=shade, alpha=0.12, lw=0)


def _points(ax: Axes, rows: pd.DataFrame) -> None:
    for limit, marker in (("below_1e-3", "o"), ("below_1e-6", "x")):
        one = rows[rows["limit"] == limit]
        name = "pilot runs" if limit == "below_1e-3" else None
        ax.plot(one["step"], one["share"], marker, ms=3, mfc="none", mec="#333333", mew=0.6, ls="none", label=name)


def slow_death(table: pd.DataFrame, d: int) -> Figure:
    """Draw the median active share without momentum against tau = eta step, and the flow without a target."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    rows = table[(table["optimiser"] == "sgd") & (table["momentum"] == 0) & (table["d"] == d)]
    rows = rows[rows["limit"] == "below_1e-3"]
    for gamma, one in rows.groupby("gamma"):
        one = one.sort_values("step")
        ax.plot(one["step"] * one["rate"], one["median"], marker="o", ms=3, label=f"γ = {gamma:g}, median of starts")
    tau = np.geomspace(2, 1e4, 200)
    ax.plot(tau, active_without_target(tau), color="black", lw=1, label="gradient flow, γ = 0, from b = 0")
    late = tau[tau > 10]
    ax.plot(late, 1 / (2 * late * np.log(late)), "--", color="black", lw=1, label="1 / (2 τ ln τ)")
    ax.axhline(1e-3, color="#c44e52", lw=0.8)
    ax.text(tau[0], 1.1e-3, "nearly dead", color="#c44e52", fontsize=7.5, va="bottom")
    ax.set(xscale="log", yscale="log", xlabel="τ = η step", ylabel="Active share of the inputs", ylim=(1e-6, 1.2))
    ax.legend(fontsize=7)
    return fig
