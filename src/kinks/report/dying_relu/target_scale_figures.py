"""Target scale on regression data (D1) drawn: normalised error and dead share against gamma, a row per optimiser."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.dying_relu.networks import RULE, optimiser_name, start_name

COLOURS = ("#3274a1", "#e1812c", "#3a923a", "#9372b2", "#845b53", "#7f7f7f")
SHOWN = (1e-3, 1e3)  # normalised errors beyond are drawn at the edge


def against_gamma(table: pd.DataFrame) -> Figure:
    """Draw `target_scale.cells` of one choice of the rate: normalised test error and dead share, a row per optimiser.

    A line per data set, dashed with He's first weights. Errors are medians over seeds, an arrow at the upper edge
    stands for more than a thousand or a run that diverged; dead shares are means with Student's intervals, thin lines
    the share before the first step.
    """
    rules = list(table.groupby(RULE, sort=False))
    fig, axes = plt.subplots(len(rules), 2, figsize=(7.6, 0.7 + 1.75 * len(rules)), sharex=True, squeeze=False)
    names = list(dict.fromkeys(table["data"]))
    for row, (rule, rows) in zip(axes, rules, strict=True):
        for (name, start), group in rows.groupby(["data", "initialisation"], sort=False):
            colour, dash = COLOURS[names.index(name) % len(COLOURS)], "-" if start == "library" else "--"
            _error(row[0], group.sort_values("gamma"), colour, dash, f"{name}, {start_name(start)} first weights")
            _dead(row[1], group.sort_values("gamma"), colour, dash)
        row[0].set_ylabel("Test error / γ²")
        row[1].set_ylabel("Dead ReLUs")
        row[0].set_title(optimiser_name(*rule))
        row[0].axhline(1, color="#333333", lw=0.8, ls=":")
        row[1].set_ylim(-0.02, min(1.0, 1.1 * float(table["dead"].max()) + 0.02))
        row[0].minorticks_off()
    for ax in axes[-1]:
        ax.set_xlabel("Target scale γ (standard deviation)")
        ax.minorticks_off()
    axes[0][1].set_title("inactive on the whole training set")
    _legend(fig, axes[0][0], columns=2)
    return fig


def _error(ax: Axes, rows: pd.DataFrame, colour: str, dash: str, label: str) -> None:
    error = rows["test_error"].to_numpy(float)
    shown = np.clip(error, *SHOWN)
    ax.loglog(rows["gamma"], shown, dash, color=colour, marker="o", ms=3, label=label)
    beyond = error > SHOWN[1]
    if beyond.any():
        ax.plot(rows["gamma"][beyond], shown[beyond], "^", color=colour, ms=5, clip_on=False)
    ax.set_ylim(3e-2, SHOWN[1])


def _dead(ax: Axes, rows: pd.DataFrame, colour: str, dash: str) -> None:
    ax.semilogx(rows["gamma"], rows["dead"], dash, color=colour, marker="o", ms=3)
    low, high = (rows["dead_start"] + rows[name] for name in ("low", "high"))
    ax.fill_between(rows["gamma"], low.clip(0, 1), high.clip(0, 1), color=colour, alpha=0.15, lw=0)
    ax.semilogx(rows["gamma"], rows["dead_start"], dash, color=colour, lw=0.6)


def gains(table: pd.DataFrame) -> Figure:
    """Draw `target_scale.best_scale`: how much better the best gamma near 1 is than the best far from it."""
    fig, axes = plt.subplots(1, 2, figsize=(7.6, 0.9 + 0.32 * len(table) / 2), sharey=True, sharex=True)
    for ax, (choice, rows) in zip(axes, table.groupby("choice", sort=False), strict=True):
        names = [
            f"{optimiser_name(*rule)}, {start_name(start)}"
            for *rule, start in rows[[*RULE, "initialisation"]].itertuples(index=False)
        ]
        place = np.arange(len(rows))[::-1]
        errors = np.clip(np.stack([rows["gain"] - rows["low"], rows["high"] - rows["gain"]]), 0, None)
        ax.errorbar(rows["gain"], place, xerr=errors, fmt="o", color="#2b5c8a", ms=4)
        ax.axvline(0, color="#333333", lw=0.8)
        ax.set_yticks(place, names)
        ax.set(title={"chosen": "rate chosen once, at γ = 1", "retuned": "rate chosen at every γ"}[choice])
        ax.set_xlabel("log10 of error far from 1 / error near 1")
        ax.grid(axis="y", visible=False)
    return fig


def kinds(table: pd.DataFrame) -> Figure:
    """Draw what became of the networks of `target_scale.cells`, sets pooled, beside the share of ReLUs that died."""
    rules = list(table.groupby([*RULE, "initialisation"], sort=False))
    columns = min(4, len(rules))
    lines = -(-len(rules) // columns)
    fig, axes = plt.subplots(lines, columns, figsize=(8, 0.5 + 1.9 * lines), sharey=True, squeeze=False)
    told = {"learnt": "#3a923a", "constant": "#bbbbbb", "worse": "#e1812c", "diverged": "#c44e52"}
    for ax in axes.flat[len(rules) :]:
        ax.set_axis_off()
    for ax, (key, rows) in zip(axes.flat, rules, strict=False):
        means = rows.groupby("gamma")[[*told, "gained"]].mean()
        place, base = np.arange(len(means)), np.zeros(len(means))
        for name, colour in told.items():
            ax.bar(place, means[name], 0.85, base, color=colour, label=NAMES[name])
            base = base + means[name].to_numpy()
        ax.plot(place, means["gained"], "D-", color="black", ms=3.5, lw=1, label="ReLUs that died (share)")
        ax.set_xticks(place, [f"{np.log10(gamma):.0f}" for gamma in means.index])
        ax.set(title=f"{optimiser_name(*key[:3])}\n{start_name(key[3])} first weights", ylim=(-0.03, 1))
        ax.title.set_fontsize(8)
        ax.grid(axis="x", visible=False)
    for ax in axes[-1]:
        ax.set_xlabel("log10 γ")
    for row in axes:
        row[0].set_ylabel("Share")
    _legend(fig, axes[0][0], columns=5)
    return fig


NAMES = {
    "learnt": "beats the constant", "constant": "like the constant", "worse": "worse than the constant",
    "diverged": "diverged",
}  # fmt: skip


def _legend(fig: Figure, ax: Axes, columns: int = 4, **given: object) -> None:
    handles, labels = ax.get_legend_handles_labels()
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": min(columns, len(labels))} | given
    fig.legend(handles, labels, fontsize=8, **place)


def label_of(names: Sequence[str]) -> str:
    """Return names as a list in a sentence."""
    names = list(dict.fromkeys(names))
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
