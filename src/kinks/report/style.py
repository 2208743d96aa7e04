"""The look of every figure, set in one place."""

from importlib.resources import as_file, files

import matplotlib.pyplot as plt
import pandas as pd

# The paper's colours for 16, 32 and 64 bits, and a fourth for bf16; told apart with any colour vision.
PRECISION_COLOURS = {"fp16": "#3274a1", "fp32": "#e1812c", "fp64": "#3a923a", "bf16": "#9372b2"}
ARM_COLOURS = {"published": "#c44e52", "corrected": "#2b5c8a", "noise": "#8c8c8c"}
ARM_MARKERS = {"published": "o", "corrected": "s", "noise": "^"}
VERDICT_COLOURS = {
    "reproduced": "#1b7837",
    "not reproduced": "#b2182b",
    "inconclusive": "#8a6d00",
    "not run at this scale": "#6b6b6b",
}


def use() -> None:
    """Set the project's style for all figures drawn from here on; those shown in a notebook included."""
    with as_file(files(__package__) / "kinks.mplstyle") as path:
        plt.style.use(path)
    pd.set_option("styler.format.formatter", _short)
    _inline()


def _short(value: object) -> object:
    """A cell of a table shown in a notebook: floats to three digits (a rate may be 1e-8), a dash for none."""
    if not isinstance(value, float):
        return value
    return "–" if value != value else f"{value:.3g}"


def _inline() -> None:
    """Let the notebook's inline figures carry no software name, so that an executed notebook is byte-stable."""
    from IPython import get_ipython

    shell = get_ipython()
    if shell is not None and hasattr(shell, "kernel"):
        from matplotlib_inline.config import InlineBackend

        options = {"bbox_inches": "tight", "metadata": {"Software": None}}
        InlineBackend.instance(parent=shell).print_figure_kwargs = options
