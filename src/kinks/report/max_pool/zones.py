"""The zones (M5): published shares beside ours, the figures, the table of all cells, and the sentences."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks import stats
from kinks.audit.zone_cells import BATCHES, CELL, COMMON, PUBLISHED, yardsticks
from kinks.report import panels
from kinks.report.networks import NETWORKS
from kinks.report.panels import BITS

SHOWN = [
    "network", "batch_norm", "init", "batch_size", "precision", "published", "repaired", "error", "noise",
    "bifurcation_published", "bifurcation", "compensation", "n",
]  # fmt: skip
# What is drawn against Ninf, from the top: label and the arm of style.ARM_COLOURS that it takes its colour from.
SPREADS = {
    "beta": ("Jacobians 0 and 1", "published"),
    "reordered": ("examples reordered", "noise"),
    "repeated": ("same program twice", "noise"),
    "error": ("rounding error\n(against 64 bits)", "corrected"),
}


def published_cells(reference: pd.DataFrame) -> pd.DataFrame:
    """Return the published mini-batch counts keyed like `kinks.audit.zone_cells.shares`, with 95 % intervals.

    Counts of one cell with a known threshold are pooled (VGG-11 with mini-batches of 128 was measured three times).
    The batch-size panel names no network (D11): its counts stand with VGG-11 and with VGG-19, marked `unsure`.

    Returns:
        network, batch_norm, batch_size, precision; published, published_low, published_high, published_n, unsure.
    """
    known = reference[(reference["unit"] == "minibatch") & reference["threshold"].notna()]
    unsure = known["network"] == "unknown"
    known = pd.concat([known[~unsure], *(known[unsure].assign(network=name) for name in ("vgg11", "vgg19"))])
    known = known.assign(unsure=known["factor"] == "batch_size")
    keys = ["network", "batch_norm", "batch_size", "precision"]
    pooled = known.groupby(keys, sort=True).agg({"count": "sum", "n": "sum", "unsure": "first"}).reset_index()
    low, high = stats.clopper_pearson(pooled["count"].to_numpy(), pooled["n"].to_numpy())
    values = {"published": pooled["count"] / pooled["n"], "published_low": low, "published_high": high}
    return pooled[keys].assign(**values, published_n=pooled["n"], unsure=pooled["unsure"])


def overview(rows: pd.DataFrame, counted: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell: both thresholds, the noise floor, the rounding error, and the zones under each.

    Args:
        rows: of `kinks.audit.zones.job`. counted: of `kinks.audit.zone_cells.shares`.

    Returns:
        Per cell: inits, n pairs; median and largest Ninf between the Jacobians; thresholds `published` (literal),
        `repaired` (largest of `repaired_n` reordered mini-batches), `error` (largest of `error_n` distances to
        float64) and `noise` (same program twice); shares bifurcation and compensation under `published`, and under
        `repaired` with the former's 95 % interval low, high; `beyond_error`, the share above `error`; equal. NaN where
        a threshold was not measured.
    """
    beta = rows[rows["arm"] == "beta"].groupby(CELL, sort=True)["ninf"]
    found = beta.agg(median="median", largest="max").reset_index().merge(_floors(rows), on=CELL)
    pairs = counted[(counted["level"] == "minibatch") & (counted["arm"] == "beta")]
    for threshold, names in (
        ("published", {"tau": "published", "share": "bifurcation_published", "compensation": "compensation_published"}),
        ("reordered", {"share": "bifurcation", "low": "low", "high": "high", "compensation": "compensation"}),
        ("error", {"share": "beyond_error"}),
    ):
        part = pairs.loc[pairs["threshold"] == threshold, [*CELL, *names]].rename(columns=names)
        found = found.merge(part, on=CELL, how="left")
    values = rows[rows["arm"] == "beta"].assign(equal=lambda table: table["ninf"] == 0).groupby(CELL, sort=True)
    about = values.agg(inits=("seed", "nunique"), n=("ninf", "size"), equal=("equal", "mean")).reset_index()
    return found.merge(about, on=CELL)


def _floors(rows: pd.DataFrame) -> pd.DataFrame:
    floors = yardsticks(rows)
    names = {"reordered": "repaired", "reordered_n": "repaired_n", "repeated": "noise", "repeated_n": "noise_n"}
    return floors.rename(columns=names)[[*CELL, "repaired", "repaired_n", "error", "error_n", "noise", "noise_n"]]


def bars(shares: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the published panels (network, mini-batch size, batch norm), and mini-batch size for VGG-19 as well.

    Args:
        shares: level `minibatch`, arm `beta`, threshold `published`, with the columns of `published_cells`.
    """
    shares = shares[shares["batch_size"].isin(BATCHES)]
    own = {key: shares[key] == value for key, value in COMMON.items()}
    deep = (shares["network"] == "vgg19") & own["batch_norm"]
    wanted = [
        (shares[own["batch_size"] & own["batch_norm"]], "network", "Network"),
        (shares[own["network"] & own["batch_norm"]], "batch_size", "Mini-batch size (VGG-11)"),
        (shares[deep], "batch_size", "Mini-batch size (VGG-19)"),
        (shares[own["network"] & own["batch_size"]], "batch_norm", "Batch norm (VGG-11)"),
    ]
    drawn = [panel for panel in wanted if len(panel[0])]
    widths = [panel[0][panel[1]].nunique() for panel in drawn]
    fig, axes = plt.subplots(1, len(drawn), figsize=(12, 3.4), sharey=True, width_ratios=widths, squeeze=False)
    axes = axes[0]
    for ax, (rows, column, label) in zip(axes, drawn, strict=True):
        names = sorted(rows[column].unique())
        at = rows.assign(at=rows[column].map(names.index)).astype({"at": int})
        panels.bars(ax, at, "at", colours, published="published")
        words = {"network": NETWORKS, "batch_norm": {False: "no", True: "yes"}}.get(column, {})
        ax.set_xticks(range(len(names)), [words.get(name, str(name)) for name in names])
        ax.set(xlabel=label, xlim=(-0.6, len(names) - 0.4))
    axes[0].set_ylabel("Share above the published threshold (%)")
    handles, labels = max((ax.get_legend_handles_labels() for ax in axes), key=lambda pair: len(pair[0]))
    fig.legend(handles, labels, loc="lower right", ncols=len(labels), bbox_to_anchor=(1.0, 1.0), fontsize=8)
    return fig


def common(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the cell that the published panels have in common: VGG-11, mini-batches of 128."""
    return rows[(rows[list(COMMON)] == pd.Series(COMMON)).all(axis=1)]


def spread(rows: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw Ninf of every pair of one cell on a log axis, one panel per precision: the Jacobians against the yardsticks.

    A dotted line is the published threshold; the shaded part is what reordering the examples does, which no choice of
    a Jacobian is needed for. Pairs that are exactly equal are counted at the right; what was not measured has no line.
    """
    precisions = [name for name in BITS if name in set(rows["precision"])]
    arms = [[arm for arm in SPREADS if arm in set(rows.loc[rows["precision"] == name, "arm"])] for name in precisions]
    heights = [len(drawn) + 0.8 for drawn in arms]
    size = (6.8, 0.5 + 0.45 * sum(heights))
    fig, axes = plt.subplots(max(len(precisions), 1), 1, figsize=size, height_ratios=heights or [1], squeeze=False)
    for ax, precision, drawn in zip(axes[:, 0], precisions, arms, strict=True):
        _spread(ax, rows[rows["precision"] == precision], colours, drawn, PUBLISHED["minibatch"].get(precision))
        ax.set_title(BITS[precision])
    axes[-1, 0].set_xlabel("Ninf of the difference of two gradients")
    return fig


def _spread(ax: Axes, rows: pd.DataFrame, colours: dict[str, str], arms: list[str], literal: float | None) -> None:
    jitter = np.random.default_rng(0)
    seen = rows.loc[rows["ninf"] > 0, "ninf"].tolist() + ([literal] if literal else [])
    left, right = (min(seen) / 4, 4 * max(seen)) if seen else (0.1, 1.0)
    floor = rows.loc[rows["arm"] == "reordered", "ninf"].max()
    if floor > 0:
        ax.axvspan(left, floor, color="#eeeeee", zorder=0)
    for rank, arm in enumerate(arms):
        values = rows.loc[rows["arm"] == arm, "ninf"].to_numpy(float)
        shown = values[values > 0]
        at = -rank + jitter.uniform(-0.2, 0.2, len(shown))
        ax.scatter(shown, at, s=12, lw=0, alpha=0.75, color=colours[SPREADS[arm][1]], zorder=3)
        if len(shown):
            ax.plot([np.median(shown)] * 2, [-rank - 0.3, -rank + 0.3], color="black", lw=1.4, zorder=4)
        note = f"n = {len(values)}" + (f", {len(values) - len(shown)} equal" if len(values) > len(shown) else "")
        ax.text(1.01, -rank, note, transform=ax.get_yaxis_transform(), va="center", fontsize=7, color="#555555")
    if literal:
        ax.axvline(literal, color="black", lw=1.0, ls=":")
        ax.text(literal, 1.0, " published threshold", transform=ax.get_xaxis_transform(), va="bottom", fontsize=7)
    ax.set(xscale="log", xlim=(left, right), ylim=(-len(arms) + 0.5, 0.5))
    ax.set_yticks([-rank for rank in range(len(arms))], [SPREADS[arm][0] for arm in arms])
    ax.grid(axis="y", visible=False)


def text(table: pd.DataFrame, counted: pd.DataFrame, source: str) -> str:
    """Say what the zones are, every number computed.

    Args:
        table: of `overview`. counted: of `kinks.audit.zone_cells.shares`, with the columns of `published_cells`.
    """
    lines = [f"Data: {source}. Random networks, never trained; a pair is an initialisation with a mini-batch."]
    cells = common(table)
    for precision in [name for name in BITS if name in set(cells["precision"])]:
        row = cells[cells["precision"] == precision].iloc[0]
        lines.append(f"**{BITS[precision]}, VGG-11, mini-batches of 128.** {_published(row, counted)} {_repaired(row)}")
    level = counted[(counted["level"] == "minibatch") & (counted["precision"] == "fp32")]
    beta = level[(level["arm"] == "beta") & (level["threshold"] == "published")].merge(table, on=CELL, how="left")
    same = (beta["network"] == "vgg11") & ~beta["batch_norm"]
    sizes = beta[same].sort_values("batch_size")
    listed = [
        f"{int(row['batch_size'])}: {row['share']:.0%} of {int(row['n_x'])} above the published threshold, median "
        f"{row['median']:.1g}" + (f" against {row['repaired']:.1g} by reordering" if row["repaired"] > 0 else "")
        for _, row in sizes.iterrows()
    ]
    lines.append(
        "**Mini-batch size, 32 bits, VGG-11.** "
        + "; ".join(listed)
        + ". Ninf belongs to the gradient of a mean, so one "
        "tie weighs less in a larger mini-batch while there are more of them: a fixed threshold mixes the two."
    )
    norms = beta[(beta["network"] == "vgg11") & (beta["batch_size"] == 128)].set_index("batch_norm")
    if {True, False} <= set(norms.index):
        without, with_ = norms.loc[False], norms.loc[True]
        growth, floor = with_["median"] / without["median"], with_["repaired"] / without["repaired"]
        lines.append(
            f"**Batch norm, 32 bits, VGG-11.** {with_['share']:.0%} with it against {without['share']:.0%} without are "
            f"above the published threshold: the median grows {growth:.2g} times"
            + (f", and what reordering does {floor:.2g} times." if floor > 0 else ".")
        )
    return "\n\n".join(lines)


def _published(row: pd.Series, counted: pd.DataFrame) -> str:
    """The share above the published threshold, the paper's, and that of the yardsticks."""
    here = counted[(counted[CELL] == row[CELL]).all(axis=1) & (counted["threshold"] == "published")]
    pairs = here[here["level"] == "minibatch"].set_index("arm")
    if "beta" not in pairs.index:
        return f"No threshold is published; the Jacobians are up to {row['largest']:.2g} apart."
    beta = pairs.loc["beta"]
    said = (
        f"{int(beta['count'])} of {int(beta['n'])} pairs ({beta['share']:.0%}, 95 % interval {beta['low']:.0%} to "
        f"{beta['high']:.0%}) exceed the published {beta['tau']:.0e}"
    )
    if beta["published"] == beta["published"]:
        said += f"; the paper has {beta['published']:.0%}"
    if "reordered" in pairs.index:
        other = pairs.loc["reordered"]
        said += (
            ". Reordering the examples, where no Jacobian is changed, exceeds it in "
            f"{int(other['count'])} of {int(other['n'])}"
        )
    return f"{said}."


def _repaired(row: pd.Series) -> str:
    if not row["repaired"] > 0:
        return f"The Jacobians are up to {row['largest']:.2g} apart."
    said = (
        f"Reordering can do {row['repaired']:.2g} (largest of {int(row['repaired_n'])}): {row['bifurcation']:.0%} "
        f"of the pairs lie above it, {row['compensation']:.0%} are positive and below, {row['equal']:.0%} equal."
    )
    if row["bifurcation_published"] > 0:
        within = max(1 - row["bifurcation"] / row["bifurcation_published"], 0)
        said += f" Of what the published threshold calls bifurcation, {within:.0%} is no more than that."
    if row["error"] > 0:
        said += (
            f" The gradient itself is {row['error']:.2g} away from its value in 64 bits (largest of "
            f"{int(row['error_n'])}), {row['error'] / row['largest']:.2g} times the largest difference between the "
            f"Jacobians: {row['beyond_error']:.0%} of the pairs lie above that."
        )
    return said
