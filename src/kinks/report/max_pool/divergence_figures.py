"""Weight divergence (M6): the figures in the published form, released code and exact forward side by side."""

import math
from collections.abc import Sequence

import matplotlib as mpl
import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.max_pool.divergence import CELL, PER_PASS
from kinks.report.networks import network_name
from kinks.report.panels import BITS

FORWARDS = {"published": "published forward, β m + (1 - β) m", "corrected": "exact forward, m"}
YARDSTICKS = {"twice": ("0 vs 0", "#111111", ":"), "reordered": ("0 vs 0, examples reordered", "#777777", "--")}


def differences(table: pd.DataFrame, published: pd.DataFrame) -> Figure:
    """Draw the distances of one network in one precision against the step: a panel per forward, a line per beta.

    Lines are medians over seeds, bands reach from the smallest to the largest. A cross at the top marks the recorded
    step by which a seed of that beta had stopped, for a number that is not finite. Diamonds are the published
    distances, at the steps of their epochs, where the run is as long.
    """
    table, floor, powers = _on_log_axis(table)
    decades = [10.0**power for power in powers]
    precision, last = table["precision"].iloc[0], table["step"].max()
    fig, axes = plt.subplots(1, 2, figsize=(8.4, 3.3), sharey=True)
    colours = beta_colours(table["beta"])
    marks = published[(published["precision"] == precision) & (published["epoch"] * PER_PASS <= last)]
    marks = marks[(marks["epoch"] > 0) & (table["network"].iloc[0] == "vgg11")]
    for ax, arm in zip(axes, FORWARDS, strict=True):
        for name, (label, colour, dash) in YARDSTICKS.items():
            _line(ax, table[table["arm"] == name], "median", colour, label, dash)
        for beta, group in table[table["arm"] == arm].groupby("beta", sort=True):
            _line(ax, group, "median", colours[beta], f"0 vs {beta:g}")
        if arm == "published":
            shown = marks[marks["beta"].isin([0, *colours])]
            tones = [colours.get(beta, "#111111") for beta in shown["beta"]]
            style = {"marker": "D", "s": 16, "facecolors": "white", "zorder": 5}
            ax.scatter(shown["epoch"] * PER_PASS, shown["distance"], edgecolors=tones, **style)
        ax.set(title=FORWARDS[arm], xlabel="Step")
        _steps(ax, last)
    axes[0].set_yscale("log")
    axes[0].set_yticks([floor, *decades], ["exactly 0", *(f"$10^{{{power}}}$" for power in powers)])
    axes[0].minorticks_off()
    axes[0].set_ylabel("Weight difference (L1)")
    _finish(fig, axes, f"{network_name(table['network'].iloc[0])}, {BITS[precision]}, {int(table['n'].max())} seeds")
    return fig


def accuracies(table: pd.DataFrame) -> Figure:
    """Draw held-out accuracy against the step: a row per network and precision, a column per forward.

    Bands are Student's 95 % intervals of the mean over seeds. Without a row the figure says so.
    """
    cells = list(table.groupby(CELL, sort=False))
    if not cells:
        fig = plt.figure(figsize=(5, 1))
        fig.text(0.5, 0.5, "No network of this run classified held-out images.", ha="center", va="center")
        return fig
    fig, axes = plt.subplots(len(cells), 2, figsize=(8.4, 0.6 + 2 * len(cells)), sharey="row", squeeze=False)
    for row, (key, cell) in zip(axes, cells, strict=True):
        colours = beta_colours(cell["beta"])
        for ax, arm in zip(row, FORWARDS, strict=True):
            _line(ax, cell[cell["arm"] == "base"], "accuracy", "#111111", "0", ":")
            for beta, group in cell[cell["arm"] == arm].groupby("beta", sort=True):
                _line(ax, group, "accuracy", colours[beta], f"{beta:g}")
            ax.set(title=f"{network_name(key[0])}, {BITS[key[1]]}, {arm}", ylim=(0, 1))
            _steps(ax, int(cell["step"].max()))
        row[0].set_ylabel("Accuracy")
    for ax in axes[-1]:
        ax.set_xlabel("Step")
    _finish(fig, axes[0], "Networks with β =")
    return fig


def beta_colours(betas: Sequence[float]) -> dict[float, tuple]:
    """Return a colour per beta other than 0, dark for small ones."""
    found = sorted(set(betas) - {0.0})
    return {beta: mpl.colormaps["plasma"](0.85 * rank / max(len(found) - 1, 1)) for rank, beta in enumerate(found)}


def _on_log_axis(table: pd.DataFrame) -> tuple[pd.DataFrame, float, list[int]]:
    """The table with exact zeros moved to a floor, the floor, and the powers of ten to label."""
    positive = table.loc[table["smallest"] > 0, ["smallest", "largest"]].to_numpy()
    low, high = (positive.min(), positive.max()) if positive.size else (1.0, 1.0)
    floor = 10.0 ** (math.floor(math.log10(low)) - 1)
    lowest, highest = math.ceil(math.log10(low)), math.floor(math.log10(high))
    step = max(1, -(-(highest - lowest) // 6))
    columns = ["median", "smallest", "largest"]
    raised = table[columns].where(table["median"].isna(), table[columns].clip(lower=floor))
    return table.assign(**{name: raised[name] for name in columns}), floor, list(range(lowest, highest + 1, step))


def _steps(ax: Axes, last: int) -> None:
    """A logarithmic axis of steps that begins at 0."""
    ax.set_xscale("symlog", linthresh=1)
    powers = [10**power for power in range(len(str(last)))]
    ticks = [0, *(power for power in powers if power < last / 1.5), last]
    ax.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    ax.minorticks_off()
    ax.set_xlim(-0.1, last * 1.1)


def _line(ax: Axes, rows: pd.DataFrame, column: str, colour, label: str, dash: str = "-") -> None:
    if rows.empty:
        return
    rows = rows.sort_values("step")
    low, high, alpha = ("smallest", "largest", 0.15) if column == "median" else ("low", "high", 0.05)
    ax.plot(rows["step"], rows[column], dash, color=colour, lw=1.4, label=label, marker=".", ms=3)
    ax.fill_between(rows["step"], rows[low], rows[high], color=colour, alpha=alpha, lw=0)
    if "stopped" in rows and rows["stopped"].any():
        first = rows.loc[rows["stopped"] > 0, "step"].min()
        top = ax.get_xaxis_transform()
        ax.plot([first], [0.98], "x", color=colour, ms=6, mew=1.6, transform=top, clip_on=False)


def _finish(fig: Figure, axes: Sequence[Axes], title: str) -> None:
    """One legend for all panels, above them."""
    handles = {}
    for ax in axes:
        handles |= dict(zip(*ax.get_legend_handles_labels()[::-1], strict=True))
    place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0), "ncols": min(len(handles), 7)}
    fig.legend(handles.values(), handles, title=title or None, fontsize=8, title_fontsize=9, **place)
