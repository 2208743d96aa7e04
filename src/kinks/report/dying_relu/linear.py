"""The affine model (D2): where its eigenvalues go with momentum, where they turn complex, and how it oscillates."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks.dying.linear import oscillating, stability_limit
from kinks.dying.rules import SGD
from kinks.report.dying_relu.single import MOMENTUM_COLOURS

SHADES = plt.colormaps["viridis"]


def eigenvalues(table: pd.DataFrame) -> Figure:
    """Draw the paths of both eigenvalues near 1, one panel per alpha, coloured by beta, and the unit circle."""
    rates = sorted(table["rate"].unique())
    fig, axes = plt.subplots(1, len(rates), figsize=(10, 3.3), squeeze=False)
    angle = np.linspace(-0.7, 0.7, 4001)
    for ax, rate in zip(axes[0], rates, strict=True):
        rows = table[table["rate"] == rate]
        ax.plot(np.cos(angle), np.sin(angle), color="#999999", lw=0.8)
        gap = 1 - rows["momentum"]
        dots = ax.scatter(rows["real"], rows["imag"], c=gap, s=7, cmap=SHADES, norm="log", zorder=3)
        turn = (1 - rate) / (1 + rate)
        ax.plot(turn, 0, "o", mfc="none", mec="#c44e52", ms=8, zorder=4)
        ax.annotate(f"β = {turn**2:.4g}", (turn, 0), (-6, 10), textcoords="offset points", ha="right", fontsize=8)
        ax.set(
            title=f"α h = {rate:g}", xlabel="Real part", xlim=(1 - 6 * rate, 1 + rate), ylim=(-1.3 * rate, 1.3 * rate)
        )
        ax.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("Imaginary part")
    fig.colorbar(dots, ax=axes[0], label="1 - β")
    return fig


def oscillation(found: pd.DataFrame, overshoot: pd.DataFrame, paths: pd.DataFrame) -> Figure:
    """Draw the threshold of oscillation, the overshoot against momentum, and paths of the affine model."""
    fig, axes = plt.subplots(1, 3, figsize=(11, 3.5))
    _threshold(axes[0], found)
    shades = plt.colormaps["plasma"](np.linspace(0.1, 0.85, overshoot["step"].nunique()))
    for shade, (step, rows) in zip(shades, overshoot.groupby("step"), strict=True):
        axes[1].plot(1 - rows["momentum"], rows["overshoot"], color=shade, label=f"η h = {step:g}")
        axes[1].plot(1 - rows["momentum"], rows["estimate"], color=shade, lw=0.8, ls=":")
    axes[1].set(xscale="log", xlabel="1 - μ", ylabel="Overshoot ρ", title="Overshoot (dotted: small steps)")
    axes[1].invert_xaxis()
    axes[1].legend(fontsize=7)
    for mu, rows in paths.groupby("momentum"):
        axes[2].plot(rows["w1"], rows["b"], color=MOMENTUM_COLOURS[mu], lw=1, label=f"μ = {mu:g}")
    axes[2].plot(paths["w1"].iloc[0], paths["b"].iloc[0], "ks", label="start")
    axes[2].plot(1, 0, "k*", ms=9, label="optimum")
    axes[2].set(xlabel="w₁", ylabel="b", title="Affine model, equal η/(1 - μ)")
    axes[2].legend(fontsize=7)
    return fig


def _threshold(ax: plt.Axes, found: pd.DataFrame) -> None:
    gap = np.geomspace(found["momentum"].rsub(1).min() / 2, 1, 300)
    ends = [oscillating(SGD(1.0, 1 - one)) for one in gap]
    limit = [stability_limit(SGD(1.0, 1 - one)) for one in gap]
    ax.fill_between(gap, [one.low for one in ends], [one.high for one in ends], color="#dbe6f0", label="complex")
    ax.plot(gap, [one.low for one in ends], color="#2b5c8a", label="(1 - √μ)²")
    ax.plot(gap, limit, color="#c44e52", lw=1, label="limit of stability")
    ax.plot(1 - found["momentum"], found["measured"], "o", color="#222222", label="measured")
    ax.set(xscale="log", yscale="log", xlabel="1 - μ", ylabel="η h", title="Where the affine model oscillates")
    ax.invert_xaxis()
    ax.legend(fontsize=7, loc="lower left")


def summary(powers: pd.DataFrame, thresholds: pd.DataFrame) -> pd.DataFrame:
    """Return the largest error of each check of the linear system, with how many numbers were compared."""
    checks = [
        ("iterates against powers", powers["error"], powers["n"]),
        ("threshold of complex eigenvalues", thresholds["error"], thresholds["n"] * 0 + 1),
        ("modulus against the root of the momentum", thresholds["radius_error"], thresholds["n"]),
    ]
    return pd.DataFrame({"check": name, "largest": float(error.max()), "n": int(n.sum())} for name, error, n in checks)


def momenta(count: int, least: float = 0.001) -> list[float]:
    """Return momenta from 0 up to 1 - `least`, dense towards 1."""
    return (1 - np.geomspace(1, least, count)).tolist()
