"""What momentum does to the same starts (claim R3): pairs from a sample, from random starts and from the grid."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.report.dying_relu.single import MOMENTUM_COLOURS, pairs, rule_name

KEYS = ["source", "limit", "norm", "gamma", "optimiser", "momentum", "rate"]
CHAOTIC = ["only", "only_first", "gain", "gain_low", "gain_high", "p"]
COUNTS = ["n", "count", "only", "only_first"]


def norm(table: pd.DataFrame) -> pd.Series:
    """Say how each rule compares with the one without momentum: `equal speed` (eta / (1 - mu)) or `equal rate`."""
    plain = table.loc[(table["optimiser"] == "sgd") & (table["momentum"] == 0), "rate"].max()
    same = (table["rate"] - plain).abs() < 1e-9 * plain
    return same.map({True: "equal rate", False: "equal speed"})


def collected(sample: pd.DataFrame, population: pd.DataFrame, grid: pd.DataFrame) -> pd.DataFrame:
    """Return all pairs: one row per source, limit, gamma and rule with momentum.

    Args:
        sample: rows of `whitened.deaths_job`, data sets pooled here.
        population: rows of `populations.job`; the last step counts.
        grid: rows of `maps.moved`.
    """
    keys = ["optimiser", "rate", "momentum", "gamma"]
    finite = sample.groupby(keys, as_index=False)[COUNTS].sum().assign(source="sample", limit="dead on the sample")
    random = population[population["step"] == population["step"].max()]
    random = random.assign(source="random starts, d = " + random["d"].astype(str))
    squares = grid[(grid["optimiser"] == "sgd") & (grid["teacher"] == "affine")]
    squares = squares.assign(source="grid, w₂ = " + squares["w2"].map("{:g}".format), rate=float("nan"))
    parts = [part.assign(norm=norm(part)) for part in (finite, random)] + [squares.assign(norm="equal speed")]
    table = pd.concat(parts, ignore_index=True)
    table = table[(table["momentum"] > 0) & (table["optimiser"] == "sgd")]
    return pairs(table[KEYS + COUNTS].reset_index(drop=True))


def figure(table: pd.DataFrame) -> Figure:
    """Draw how many more of the same starts die with momentum, against gamma: a panel per source and limit."""
    panels = list(table[["source", "limit"]].drop_duplicates().itertuples(index=False, name=None))
    columns = -(-len(panels) // 2) if len(panels) > 4 else len(panels)
    rows = -(-len(panels) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(2.6 * columns + 0.6, 2.4 * rows + 0.4), sharey=True, squeeze=False)
    for ax, (source, limit) in zip(axes.flat, panels, strict=False):
        part = table[(table["source"] == source) & (table["limit"] == limit)]
        levels = sorted(part["gamma"].unique())
        ax.axhline(0, color="#888888", lw=0.8)
        for (norm, mu), one in part.groupby(["norm", "momentum"]):
            at = one["gamma"].map({level: number for number, level in enumerate(levels)}).to_numpy(float)
            error = np.abs(one[["gain_low", "gain_high"]].to_numpy().T - one["gain"].to_numpy())
            name = rule_name("sgd", mu) + ("" if norm == "equal speed" else ", same η as μ = 0")
            style = {"fmt": "o" if norm == "equal speed" else "s", "mfc": "white" if norm != "equal speed" else None}
            ax.errorbar(at, one["gain"], error, color=MOMENTUM_COLOURS.get(mu, "#7f7f7f"), label=name, ms=4, **style)
        ax.set_xticks(range(len(levels)), [f"{level:g}" for level in levels], fontsize=7)
        ax.set_title(f"{source}\n{_said(limit)}", fontsize=7.5)
    for ax in axes.flat[len(panels) :]:
        ax.set_visible(False)
    for ax in axes[-1]:
        ax.set_xlabel("γ")
    for ax in axes[:, 0]:
        ax.set_ylabel("share with less without")
    found = {label: handle for ax in axes.flat for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(found.values(), found, loc="lower center", ncols=len(found), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def _said(limit: str) -> str:
    return limit.replace("below_", "active on less than ") if limit.startswith("below_") else limit
