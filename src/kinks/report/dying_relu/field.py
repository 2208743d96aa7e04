"""The gradient field of one ReLU (D4): arrows with the critical points, and paths of a ring of starts."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from scipy.special import ndtri

from kinks.dying import field

LEVELS = (1e-1, 1e-2, 1e-3)  # active shares that are drawn as lines
DEAD, BEST = 1.0, 0.5  # loss over gamma^2 / 2


def planes(gammas: list[float], w2: list[float], points: int) -> list[pd.DataFrame]:
    """Return `field.arrows` for every gamma and w2, on planes that reach to 2 and to 2 gamma."""
    spans = [(gamma, span) for gamma in gammas for span in sorted({2.0, 2 * gamma}, reverse=True)]
    return [field.arrows(gamma=gamma, w2=one, half_width=span, points=points) for gamma, span in spans for one in w2]


def followed(gammas: list[float], momenta: list[float], speed: float, count: int, steps: int) -> pd.DataFrame:
    """Return `field.trajectories` of a ring of starts for every gamma and momentum, at equal eta / (1 - mu)."""
    common = {"radius": 1.5, "w2": 0.5, "count": count, "optimiser": "sgd", "epsilon": 0.0}
    common |= {"steps": field.schedule(steps)}
    cells = [(gamma, mu) for gamma in gammas for mu in momenta]
    tables = [field.trajectories(gamma=gamma, rate=speed * (1 - mu), momentum=mu, **common) for gamma, mu in cells]
    return pd.concat(tables, ignore_index=True)


def panels(planes: list[pd.DataFrame], columns: int) -> Figure:
    """Draw one panel per plane of `field.arrows`, in rows of `columns`: direction and size of descent."""
    rows = -(-len(planes) // columns)
    fig, axes = plt.subplots(rows, columns, figsize=(2.5 * columns + 0.8, 2.3 * rows), squeeze=False)
    for ax, plane in zip(axes.flat, planes, strict=True):
        dots = _arrows(ax, plane)
        gamma, w2 = plane["gamma"].iloc[0], plane["w2"].iloc[0]
        marks(ax, gamma, w2, plane["w1"].max())
        ax.set_title(f"γ = {gamma:g}, w₂ = {w2:g}")
    for ax in axes[-1]:
        ax.set_xlabel("w₁")
    for ax in axes[:, 0]:
        ax.set_ylabel("b")
    fig.colorbar(dots, ax=axes, label="Length of the gradient over γ", shrink=0.6)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=len(labels), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def _arrows(ax: Axes, plane: pd.DataFrame):
    size = np.hypot(plane["down_w1"], plane["down_b"]) / plane["gamma"]
    unit = size.clip(lower=1e-300) * plane["gamma"]
    norm = LogNorm(1e-3, 10)
    return ax.quiver(
        plane["w1"], plane["b"], plane["down_w1"] / unit, plane["down_b"] / unit, size.clip(1e-3, 10),
        cmap="viridis_r", norm=norm, scale=24, width=0.006, pivot="mid",
    )  # fmt: skip


def marks(ax: Axes, gamma: float, w2: float, span: float) -> None:
    """Draw on the plane of w1 and b: optimum, origin, dead ray, and the lines of equal active share."""
    w1 = np.linspace(-span, span, 201)
    for level, dash in zip(LEVELS, (":", "--", "-"), strict=True):
        ax.plot(w1, ndtri(level) * np.hypot(w1, w2), dash, color="#c44e52", lw=0.9, label=f"active on {level:g}")
    ax.plot([0, 0], [-span, 0], color="black", lw=2, alpha=0.7, label="dead ray (at w₂ = 0)")
    ax.plot(0, 0, "o", mfc="white", mec="black", ms=6, label="origin (saddle)", zorder=6)
    ax.plot(gamma, 0, "*", color="black", ms=10, label="optimum", zorder=6, mec="white", mew=0.5)
    ax.set(xlim=(-span, span), ylim=(-span, span))
    ax.grid(visible=False)


def rings(table: pd.DataFrame, span: float) -> Figure:
    """Draw the paths of `field.trajectories`: rows of gamma, columns of momentum, coloured by the loss at the end."""
    gammas, momenta = sorted(table["gamma"].unique(), reverse=True), sorted(table["momentum"].unique())
    shape = len(gammas), len(momenta)
    fig, axes = plt.subplots(*shape, figsize=(2.7 * shape[1] + 0.8, 2.6 * shape[0]), sharex=True, sharey=True)
    colours = plt.colormaps["RdYlBu_r"]
    axes = np.reshape(axes, shape)
    for (gamma, mu), rows in table.groupby(["gamma", "momentum"]):
        ax = axes[gammas.index(gamma), momenta.index(mu)]
        marks(ax, gamma, float(rows["w2"].iloc[0]), span)
        for _, path in rows.groupby("start"):
            shade = colours((path["loss"].iloc[0] - BEST) / (DEAD - BEST))
            ax.plot(path["w1"], path["b"], color=shade, lw=1.1)
            ax.plot(path["w1"].iloc[0], path["b"].iloc[0], "o", ms=3, color=shade, mec="#333333", mew=0.4)
            ax.plot(path["w1"].iloc[-1], path["b"].iloc[-1], "x", ms=4, color="black", mew=0.8, zorder=7)
        ax.set_title(f"γ = {gamma:g}, μ = {mu:g}")
    for ax in axes[-1]:
        ax.set_xlabel("w₁")
    for ax in axes[:, 0]:
        ax.set_ylabel("b")
    scale = plt.cm.ScalarMappable(cmap=colours, norm=plt.Normalize(BEST, DEAD))
    fig.colorbar(scale, ax=axes, label="Loss at the end over γ²/2 (0.5 optimum, 1 dead)", shrink=0.7)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=len(labels), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def ends(table: pd.DataFrame) -> pd.DataFrame:
    """Return how the paths ended: by gamma and momentum, n starts, how many within 5 % of each calibration level."""
    last = table.groupby(["gamma", "momentum", "start"], as_index=False).last()
    last = last.assign(n=1, optimum=(last["loss"] - BEST).abs() < 0.025, dead=(last["loss"] - DEAD).abs() < 0.05)
    found = last.groupby(["gamma", "momentum"], as_index=False)[["n", "optimum", "dead"]].sum()
    return found.astype({"n": int, "optimum": int, "dead": int})
