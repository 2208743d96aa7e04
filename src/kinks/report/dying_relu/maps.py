"""Regions of starts that converge and that die (D5): class maps, their shares, and what momentum changes in them."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from kinks import stats
from kinks.dying.basins import image
from kinks.dying.outcomes import CLASSES
from kinks.report.dying_relu.single import PILOT, pairs, rule_name

COLOURS = ("#4575b4", "#fdae61", "#a50026", "#f7f7f7")  # of CLASSES
SHARES = [*CLASSES, "below_1e-3", "below_1e-6"]
LIMITS = ("below_1e-3", "below_1e-6")
RULE = ["optimiser", "momentum"]
MOVED = ["count", "only", "only_first", "changed", "changed_share", "changed_low", "changed_high", "gain", "gain_low",
         "gain_high", "p"]  # fmt: skip
CELL = ["teacher", "points", "w2", "gamma", *RULE]


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return per map (`CELL`): n grid points, the share of each class, and of each limit of the active share."""
    parts = []
    for key, cell in rows.groupby(CELL, sort=False):
        counts = np.bincount(cell["class"], minlength=len(CLASSES)) / len(cell)
        below = {name: float(cell[name].mean()) for name in LIMITS}
        parts.append(
            dict(zip(CELL, key, strict=True)) | {"n": len(cell), **dict(zip(CLASSES, counts, strict=True))} | below
        )
    return pd.DataFrame(parts)


def moved(rows: pd.DataFrame) -> pd.DataFrame:
    """Compare every map with the one without momentum, start by start.

    Returns:
        One row per map with momentum, and Adam's, and limit of the active share: n, `count` below it, `only` below it
        under this rule, `only_first` without momentum, `pairs`' interval, and `changed`, the starts of another class.
    """
    same = ["teacher", "points", "w2", "gamma"]
    found = []
    for key, cell in rows.groupby(same, sort=False):
        plain = cell[(cell["optimiser"] == "sgd") & (cell["momentum"] == 0)].set_index("start")
        for rule, other in cell.groupby(RULE, sort=False):
            if rule == ("sgd", 0) or plain.empty:
                continue
            both = other.set_index("start").loc[plain.index]
            changed = int((both["class"].to_numpy() != plain["class"].to_numpy()).sum())
            for limit in LIMITS:
                here, there = both[limit].to_numpy(), plain[limit].to_numpy()
                row = {"only": int((here & ~there).sum()), "only_first": int((there & ~here).sum())}
                named = dict(zip([*same, *RULE], (*key, *rule), strict=True)) | {"limit": limit}
                found.append(named | {"n": len(both), "count": int(here.sum()), "changed": changed} | row)
    table = pairs(pd.DataFrame(found))
    low, high = stats.wilson(table["changed"].to_numpy(), table["n"].to_numpy())
    return table.assign(changed_share=table["changed"] / table["n"], changed_low=low, changed_high=high)


def against_pilot(rows: pd.DataFrame, pilot: pd.DataFrame, points: int) -> pd.DataFrame:
    """Hold shares against the pilot's, on the pilot's grid: the same starts, so there is no noise but rounding.

    Args:
        rows: of the jobs.
        pilot: momentum, gamma and the shares of `LIMITS` and `converged`, on points x points starts at w2 = 0.5.
        points: per side of its grid.

    Returns:
        One row per map and quantity: n, share, pilot, and the absolute `difference`.
    """
    used = rows[(rows["teacher"] == "affine") & (rows["optimiser"] == "sgd") & (rows["w2"] == 0.5)]
    used = used[(used["points"] - 1) % (points - 1) == 0]
    skip = (used["points"] - 1) // (points - 1)
    on_grid = (used["start"] % used["points"] % skip == 0) & (used["start"] // used["points"] % skip == 0)
    used = used[on_grid].assign(converged=lambda table: table["class"] == CLASSES.index("converged"))
    names = [*LIMITS, "converged"]
    ours = used.groupby(["gamma", "momentum"], as_index=False)[names].mean()
    sizes = used.groupby(["gamma", "momentum"], as_index=False).size().rename(columns={"size": "n"})
    long = ours.melt(["gamma", "momentum"], names, "quantity", "share").merge(sizes)
    theirs = pilot.melt(["gamma", "momentum"], names, "quantity", PILOT)
    both = long.merge(theirs, on=["gamma", "momentum", "quantity"])
    return both.assign(difference=(both["share"] - both[PILOT]).abs())


def figure(rows: pd.DataFrame, half_width: float) -> Figure:
    """Draw the class maps of one w2: rows of gamma, columns of rules, the share of each class printed below."""
    gammas = sorted(rows["gamma"].unique(), reverse=True)
    rules = list(rows[RULE].drop_duplicates().itertuples(index=False, name=None))
    shape = len(gammas), len(rules)
    fig, axes = plt.subplots(*shape, figsize=(2.15 * shape[1] + 0.4, 2.3 * shape[0] + 0.4), sharex=True, sharey=True)
    axes, colours = np.reshape(axes, shape), ListedColormap(COLOURS)
    for (gamma, *rule), cell in rows.groupby(["gamma", *RULE]):
        ax, points = axes[gammas.index(gamma), rules.index(tuple(rule))], int(cell["points"].iloc[0])
        picture = image(cell.set_index("start")["class"], points)
        ends = (-half_width, half_width, -half_width, half_width)
        ax.imshow(picture, origin="lower", extent=ends, cmap=colours, vmin=-0.5, vmax=3.5, interpolation="nearest")
        ax.plot(gamma, 0, "*", color="black", ms=7, mec="white", mew=0.5)
        counts = np.bincount(picture.ravel(), minlength=len(CLASSES)) / picture.size
        ax.set_title(" / ".join(f"{100 * share:.0f}" for share in counts) + " %", fontsize=7.5, fontweight="normal")
        ax.grid(visible=False)
    for ax, rule in zip(axes[0], rules, strict=True):
        ax.set_title(f"{rule_name(*rule)}\n{ax.get_title(loc='left')}", fontsize=7.5)
    for ax, gamma in zip(axes[:, 0], gammas, strict=True):
        ax.set_ylabel(f"γ = {gamma:g}\nb")
    for ax in axes[-1]:
        ax.set_xlabel("w₁ at the start")
    handles = [Patch(fc=one, ec="#888888", label=name) for one, name in zip(COLOURS, CLASSES, strict=True)]
    fig.legend(handles=handles, loc="lower center", ncols=len(handles), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig
