"""Pictures that sliders redraw (notebooks/playground.ipynb): paths of a ReLU, a shaken sawtooth, eigenvalues."""

from collections.abc import Callable

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
from IPython.display import display
from matplotlib.figure import Figure

from kinks.dying import field, linear
from kinks.dying.rules import SGD
from kinks.pieces import along
from kinks.pieces.noise import shaken
from kinks.pieces.sawtooth import sawtooth
from kinks.report.dying_relu.field import marks

SPAN, RING, STEPS = 2.2, 24, 1500


def sliders(draw: Callable[..., Figure], **ranges: tuple[float, float, float, bool]) -> ipywidgets.Widget:
    """Show the picture of the first values, for readers without a kernel, and return sliders that redraw it.

    Args:
        draw: the picture as a function of the sliders' values.
        ranges: by argument: lowest, highest and first value, and whether the slider is logarithmic.
    """
    _show(draw, **{name: first for name, (_, _, first, _) in ranges.items()})
    return ipywidgets.interactive(lambda **values: _show(draw, **values), **{
        name: _slider(*given) for name, given in ranges.items()
    })  # fmt: skip


def trajectories(gamma: float, momentum: float, rate: float) -> Figure:
    """Draw the paths of a ring of starts through the gradient field of one ReLU on Gaussian inputs (w2 = 0.5).

    Args:
        gamma: standard deviation of the targets.
        momentum: of the heavy ball.
        rate: its learning rate; an unstable one is said to be, with the limit.
    """
    fig, ax = plt.subplots(figsize=(6.8, 4.6))
    try:
        linear.check_step(SGD(rate, momentum))
        table = field.trajectories(
            gamma=gamma, radius=1.5, w2=0.5, count=RING, optimiser="sgd", rate=rate, momentum=momentum, epsilon=0.0,
            steps=field.schedule(STEPS),
        )  # fmt: skip
    except ValueError as error:
        return _refused(fig, ax, error)
    colours = plt.colormaps["RdYlBu_r"]
    marks(ax, gamma, 0.5, SPAN)
    for _, path in table.groupby("start"):
        ax.plot(path["w1"], path["b"], color=colours(2 * path["loss"].iloc[0] - 1), lw=1.1)
        ax.plot(path["w1"].iloc[-1], path["b"].iloc[-1], "x", ms=4, color="black")
    last = table[table["step"] == STEPS]
    dead, best = int((last["active"] < 1e-3).sum()), int((last["loss"] < 0.525).sum())
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    ax.set(xlabel="w₁", ylabel="b", title=f"{dead} of {RING} starts (nearly) dead, {best} at the optimum")
    return fig


def saw(levels: int, noise: float) -> Figure:
    """Draw the sawtooth network, exact and with noise on its biases, and count its affine pieces.

    Args:
        levels: hidden layers.
        noise: width of the uniform noise on every bias.
    """
    levels = int(levels)
    exact = sawtooth(levels)
    drawn = along(shaken(exact, noise, [0]), 0.0, 1.0)
    fig, ax = plt.subplots(figsize=(6.4, 3.2))
    along(exact, 0.0, 1.0).plot(ax, color="#bbbbbb", lw=1, label=f"exact: {2**levels} pieces")
    drawn.plot(ax, color="#c44e52", lw=1, label=f"biases shaken: {drawn.pieces} pieces")
    ax.set(xlabel="x", ylabel="output", title=f"{levels} levels, noise {noise:.2g}")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def eigenvalues(momentum: float, step: float) -> Figure:
    """Draw both eigenvalues of the linear system and the oscillation that they make.

    Args:
        momentum: of the heavy ball.
        step: eta h.
    """
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 3.4))
    try:
        by = SGD(step, momentum)
        linear.check_step(by)
    except ValueError as error:
        axes[1].axis("off")
        return _refused(fig, axes[0], error)
    angle = np.linspace(0, 2 * np.pi, 300)
    axes[0].plot(np.cos(angle), np.sin(angle), color="#999999", lw=0.8)
    axes[0].plot(np.sqrt(momentum) * np.cos(angle), np.sqrt(momentum) * np.sin(angle), ":", color="#999999", lw=0.8)
    found = linear.eigenvalues(by)
    axes[0].plot(found.real, found.imag, "o", color="#c44e52", ms=7)
    low, high = linear.oscillating(by)
    kind = "complex" if low < step < high else "real"
    axes[0].set(aspect="equal", xlabel="Real part", ylabel="Imaginary part")
    axes[0].set_title(f"{kind} (complex above η h = {low:.3g})")
    distances = linear.amplitudes(by, 100)
    axes[1].axhspan(min(distances.min(), -0.1) * 1.1, 0, color="#f3dada", lw=0)
    axes[1].plot(distances, color="#2b5c8a")
    first = linear.jump_step(by)
    axes[1].set(xlabel="step", ylabel="distance to the optimum")
    axes[1].set_title("never passes" if first == linear.NEVER else f"passes at step {first}: without a target, death")
    return fig


def _slider(low: float, high: float, first: float, logarithmic: bool) -> ipywidgets.Widget:
    if logarithmic:
        given = {"value": first, "min": np.log10(low), "max": np.log10(high), "readout_format": ".2g"}
        return ipywidgets.FloatLogSlider(**given, continuous_update=False)
    if isinstance(low, int) and isinstance(high, int):
        return ipywidgets.IntSlider(value=first, min=low, max=high, continuous_update=False)
    given = {"value": first, "min": low, "max": high, "step": (high - low) / 100, "readout_format": ".3g"}
    return ipywidgets.FloatSlider(**given, continuous_update=False)


def _show(draw: Callable[..., Figure], **values: float) -> None:
    fig = draw(**values)
    display(fig)
    plt.close(fig)


def _refused(fig: Figure, ax: plt.Axes, error: ValueError) -> Figure:
    ax.axis("off")
    ax.text(0.5, 0.5, str(error), ha="center", va="center", wrap=True, transform=ax.transAxes, color="#b2182b")
    return fig
