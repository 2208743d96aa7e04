"""Figures of the data card."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from kinks.data import Images
from kinks.data.summary import mosaic

MOST_CLASSES = 10
PER_CLASS = 10


def class_figure(data: Images, table: pd.DataFrame) -> Figure:
    """Draw the first ten images of each class beside the number of images per class; of ten classes at most.

    Args:
        data: the images.
        table: one row per class in the order of the labels, with columns class and n.
    """
    shown = table.head(MOST_CLASSES)
    rows = len(shown)
    fig, (left, right) = plt.subplots(1, 2, figsize=(6.4, 0.75 + 0.315 * rows), width_ratios=[1, 0.62])
    picture = mosaic(data, PER_CLASS, rows)
    extent = (0, PER_CLASS, rows - 0.5, -0.5)
    left.imshow(picture, cmap="gray_r", extent=extent, aspect="auto", interpolation="nearest")
    of = "each class" if rows == len(table) else f"the first {rows} of {len(table)} classes"
    left.set(title=f"First ten images of {of}", ylabel="class", xticks=[])
    left.set_yticks(range(rows), shown["class"])
    right.barh(range(rows), shown["n"], height=0.66)
    right.bar_label(right.containers[0], fmt="{:,.0f}", padding=3, fontsize=8)
    right.set(title="Images per class", ylim=extent[2:], xlim=(0, 1.22 * shown["n"].max()), xticks=[], yticks=[])
    for ax in (left, right):
        ax.grid(False)
        ax.tick_params(left=False)
        ax.spines[:].set_visible(False)
    return fig
