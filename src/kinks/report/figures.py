"""Figures on disk: PDF and PNG, with the table they are drawn from beside them."""

import re

import pandas as pd
from matplotlib import rc_context, rcParams
from matplotlib.figure import Figure

from kinks import paths
from kinks.report.tables import to_csv, write

FOOT = "data source"


def save_figure(fig: Figure, name: str, table: pd.DataFrame, *, source: str) -> None:
    """Write a figure as FIGURES/name.pdf and .png, and the table behind it as .csv, the same bytes on every run.

    The figure's layout is settled here, once, and kept for all that is drawn of it afterwards.

    Args:
        name: "stage/name".
        table: what the figure shows, tidy.
        source: the data's label (`Card.label`), printed at the figure's foot.

    Raises:
        ValueError: a malformed name, or no source.
    """
    if not re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+", name):
        raise ValueError(f"a figure is named 'stage/name' in lower case, got {name!r}")
    if not source:
        raise ValueError(f"figure {name}: say on which data it stands (source is empty)")
    _foot(fig, source)
    path = paths.FIGURES / f"{name}.csv"
    write(path, to_csv(table))
    undated = {"CreationDate": None, "Creator": None, "Producer": None}
    # Left to itself, each file is laid out and measured anew, which takes longer than drawing it.
    if engine := fig.get_layout_engine():
        engine.execute(fig)
    with rc_context({"figure.constrained_layout.use": False}):  # else None would mean the style's engine
        fig.set_layout_engine(None)
        box = fig.get_tightbbox().padded(rcParams["savefig.pad_inches"])
        fig.savefig(path.with_suffix(".pdf"), bbox_inches=box, metadata=undated)
        fig.savefig(path.with_suffix(".png"), bbox_inches=box, metadata={"Software": None})


def _foot(fig: Figure, source: str) -> None:
    """Print the data source below the figure, once however often it is saved."""
    for text in [text for text in fig.texts if text.get_gid() == FOOT]:
        text.remove()
    below = -0.02 / fig.get_figheight() * 3.6
    fig.text(0.01, below, f"Data: {source}", ha="left", va="top", fontsize=6.5, color="#666666", gid=FOOT)
