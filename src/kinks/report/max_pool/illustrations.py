"""Three small facts: the zero program (M1), ties in a digit (M2), and the released layer's forward value (D1)."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from kinks.data import as_float
from kinks.ops import tied_windows
from kinks.report.panels import BITS

ORDERS = {"two": 2, "three": 3, "four": 4}
LEADING = "1.14 four times"
OTHERS = {
    "two products": "each maximum with a product t x of its own, so that the quarters add up again",
    "relu": "maxima written with ReLUs whose derivatives at 0 are 0 and 1, so that there are no quarters",
    "same program": "a program against itself",
}


def digit(image: Tensor, reference: pd.DataFrame) -> pd.DataFrame:
    """Count the ties among the 2x2 windows of one grey image, uint8 `(H, W)`, with raw pixels in [0, 1].

    Returns:
        Rows all, two, three and four (entries that share the maximum): windows, dots (maximal pixels in them), zero
        (windows whose maximum is 0), positive; published windows and dots.
    """
    count, top = _windows(image)
    rows = []
    for name, chosen in (("all", count > 1), *((name, count == order) for name, order in ORDERS.items())):
        zero = int((chosen & (top == 0)).sum())
        row = {"ties": name, "windows": int(chosen.sum()), "dots": int(count[chosen].sum()), "zero": zero}
        rows.append(row | {"positive": row["windows"] - zero, "total": count.size})
    published = reference.rename(columns={"windows": "published_windows", "dots": "published_dots"})
    return pd.DataFrame(rows).merge(published, how="left")


def dots(image: Tensor) -> pd.DataFrame:
    """Return every pixel of an image that attains a shared maximum of its 2x2 window: row, column, value."""
    count, top = (np.kron(values, np.ones((2, 2))) for values in _windows(image))
    value = as_float(image, torch.float32).numpy()
    row, column = np.nonzero((count > 1) & (value == top))
    return pd.DataFrame({"row": row, "column": column, "value": value[row, column]})


def digit_figure(image: Tensor) -> Figure:
    """Draw the digit with a dot on every maximal pixel of a tie, as published; beside it, zero apart from positive."""
    fig, axes = plt.subplots(1, 2, figsize=(10, 5.2))
    marked = dots(image)
    zero = marked["value"] == 0
    for ax in axes:
        ax.matshow(image.numpy(), cmap="viridis")
        ax.grid(visible=False)
        ax.tick_params(top=False, labeltop=False, bottom=True, labelbottom=True)
    _dots(axes[0], marked, "red", "a maximum attained more than once")
    _dots(axes[1], marked[zero], "#b0b0b0", "of value 0: stopped by ReLU'(0) = 0")
    _dots(axes[1], marked[~zero], "red", "positive: the Jacobians differ")
    axes[0].set_title("Ties in windows of 2x2 pixels")
    axes[1].set_title("The same ties by their value")
    for ax in axes:
        ax.legend(loc="upper center", bbox_to_anchor=(0.5, -0.05), fontsize=8)
    return fig


def mixed_figure(errors: pd.DataFrame, reference: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the relative error of the released forward value against beta: rms solid, largest dashed, both log."""
    fig, ax = plt.subplots(figsize=(6.4, 3.8))
    shown = errors[errors["rms_relative"] > 0]
    for precision in BITS:
        rows = shown[shown["precision"] == precision].sort_values("beta")
        ax.plot(rows["beta"], rows["rms_relative"], "o-", color=colours[precision], label=BITS[precision])
        ax.plot(rows["beta"], rows["max_relative"], "--", lw=0.9, color=colours[precision])
    known = reference[reference["rms_relative"] > 0]
    ax.scatter(known["beta"], known["rms_relative"], marker="D", s=26, facecolors="none", edgecolors="black",
               lw=0.8, zorder=5, label="independent measurement")  # fmt: skip
    ax.axhline(1.0, color="black", lw=0.8, ls=":")
    ax.set(xscale="log", yscale="log", xlabel="beta (0 and 1 are exact)", ylabel="Relative error of the forward value")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def zero_text(values: pd.DataFrame, mechanism: pd.DataFrame, shares: pd.DataFrame) -> str:
    """Say what the zero program returns and why, every number computed."""
    lines = []
    published = values[values["variant"] == "published"]
    by = mechanism.set_index("precision")
    for precision in BITS:
        found = published[(published["precision"] == precision) & (published["input"] == LEADING)]["derivative"]
        row = by.loc[precision]
        power = f" = {_power(found.iloc[0])}" if found.iloc[0] else ""
        same = f"{found.iloc[0]:.3g}{power} at every t" if found.nunique() == 1 else f"{sorted(set(found))}"
        lines.append(
            f"**{BITS[precision]}.** The derivative is {same}. Three quarters of {row['constant']:.6g} are rounded by "
            f"{row['rounding']:.3g}; the four terms added one by one in this format leave {row['one_by_one']:.3g}."
        )
    by = shares[shares["variant"] == "published"].set_index("precision")
    counted = "; ".join(
        f"{BITS[name]}: {int(by.loc[name, 'count'])} of {int(by.loc[name, 'n'])} ({by.loc[name, 'share']:.1%})"
        for name in BITS
    )
    agree, total = int(by["agree"].sum()), int(by["n"].sum())
    lines.append(
        f"**How many constants.** The derivative is not 0 for {counted} of the constants in [1, 2). For {agree} of "
        f"{total} this is so exactly when the format does not hold three quarters of the constant."
    )
    others = shares[shares["variant"] != "published"].groupby("variant")[["count", "n"]].sum()
    listed = "; ".join(f"{OTHERS[name]}: {int(row['count'])} of {int(row['n'])}" for name, row in others.iterrows())
    lines.append(f"**Other ways to write it.** Derivatives that are not 0, all formats together: {listed}.")
    kink = published[(published["input"] != LEADING) & (published["t"] == 0)]["derivative"]
    off = published[(published["input"] != LEADING) & (published["t"] != 0)]["derivative"]
    lines.append(
        f"**Without equal entries.** For x = (1, 2, 3, 4) the derivative is {', '.join(f'{v:g}' for v in set(kink))} "
        f"at t = 0, where all entries of t x tie, in every format, and {', '.join(f'{v:g}' for v in set(off))} at "
        "every other t. That error does not come from rounding: it is there over the reals as well."
    )
    return "\n\n".join(lines)


def mixed_text(errors: pd.DataFrame, exact: pd.DataFrame) -> str:
    """Say how far the released forward value is from the maximum, and that ours is the maximum."""
    lines = []
    for precision in BITS:
        rows = errors[(errors["precision"] == precision) & (errors["beta"] > 1)].sort_values("beta")
        listed = ", ".join(f"{row['rms_relative']:.2g} (beta {row['beta']:g})" for _, row in rows.iterrows())
        limit = rows.iloc[-1]
        lines.append(
            f"**{BITS[precision]}.** Relative rms error {listed}; beta x maximum overflows above "
            f"{limit['overflow_above']:.3g} at beta {limit['beta']:g}."
        )
    lines.append(
        f"**Our forward value.** {int(exact['equal'].sum()):,} of {int(exact['n'].sum()):,} values have the bits of "
        f"torch's max-pool, over {exact['beta'].nunique()} betas, {exact['precision'].nunique()} precisions, "
        f"{exact['windows'].nunique()} kinds of windows and {exact['input'].nunique()} inputs."
    )
    return "\n\n".join(lines)


def digit_text(table: pd.DataFrame, source: str) -> str:
    """Say how many windows of the digit are tied, and how many of these ties could matter."""
    row = table.set_index("ties").loc["all"]
    return (
        f"Data: {source}. {int(row['windows'])} of {int(row['total'])} windows are tied, with {int(row['dots'])} "
        f"maximal pixels (published: {int(row['published_windows'])} and {int(row['published_dots'])}). Of these ties "
        f"{int(row['zero'])} are ties of zeros, where a ReLU with ReLU'(0) = 0 lets no gradient through whatever the "
        f"pool's Jacobian is; {int(row['positive'])} are positive."
    )


def _windows(image: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """How many entries of each 2x2 window are maximal, and the maximum."""
    x = as_float(image, torch.float32)[None, None]
    return tied_windows(x, 2)[0, 0].numpy(), torch.max_pool2d(x, 2)[0, 0].numpy()


def _dots(ax: Axes, marked: pd.DataFrame, colour: str, label: str) -> None:
    ax.scatter(marked["column"], marked["row"], s=14, color=colour, label=f"{label} ({len(marked)})")


def _power(value: float) -> str:
    """A power of two as one, anything else as nothing more than its digits."""
    mantissa, exponent = np.frexp(abs(value))
    return f"{'-' if value < 0 else ''}2^{exponent - 1}" if mantissa == 0.5 else f"{value:.6g}"
