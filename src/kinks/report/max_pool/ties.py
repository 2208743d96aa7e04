"""The tie census by layer, network and precision: figures and sentences."""

from collections.abc import Iterator

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks.report.networks import NETWORKS, network_name
from kinks.report.panels import BITS

POSITIVE = {"structural": "Structural: entries of equal patches", "coincidental": "Coincidental: unequal patches"}
COMMON = {"init": "kaiming_uniform", "augment": True, "bias": "accumulator"}
SHIFT = {"fp64": -0.12, "fp32": -0.04, "bf16": 0.04, "fp16": 0.12}  # apart, so that intervals show


def label(cell: pd.Series) -> str:
    """The words for a cell of the census: the network, and what sets it apart."""
    words = [network_name(cell["network"])]
    words += ["BN"] if cell["batch_norm"] else []
    words += ["default init"] if cell["init"] == "default" else []
    words += ["late bias"] if cell["bias"] != "accumulator" else []
    words += ["uncropped"] if not cell["augment"] and cell["network"] != "lenet5" else []
    return ", ".join(words)


def layers(table: pd.DataFrame, colours: dict[str, str], network: str = "vgg11") -> Figure:
    """Draw the share of windows with a positive tie by layer: rows without and with batch norm, a column per kind.

    A share of exactly zero is a hollow triangle at the upper end of its interval. Hollow circles: images not cropped.

    Args:
        table: of `kinks.audit.tie_cells.by_layer`.
    """
    chosen = table[(table["network"] == network) & (table["init"] == COMMON["init"])]
    chosen = chosen[chosen["bias"] == COMMON["bias"]]
    norms = sorted(chosen["batch_norm"].unique())
    size = {"figsize": (8.2, 0.6 + 2.6 * len(norms))}
    fig, axes = plt.subplots(len(norms), 2, sharex=True, sharey=True, squeeze=False, **size)
    for line, norm in zip(axes, norms, strict=True):
        for ax, (kind, title) in zip(line, POSITIVE.items(), strict=True):
            rows = chosen[(chosen["batch_norm"] == norm) & (chosen["kind"] == kind)]
            for precision in [name for name in BITS if name in set(rows["precision"])]:
                for cropped in (True, False):
                    some = rows[(rows["precision"] == precision) & (rows["augment"] == cropped)].sort_values("layer")
                    _points(ax, some["layer"].to_numpy(float) + SHIFT[precision], some, colours[precision], cropped)
            ax.set_title(f"{title}{', batch norm' if norm else ''}")
            ax.set(yscale="log", xticks=sorted(chosen["layer"].unique()))
            ax.grid(axis="x", visible=False)
        line[0].set_ylabel("Share of windows")
    for ax in axes[-1]:
        ax.set_xlabel(f"Max-pool of {network_name(network)}, from the input")
    _legend(fig, axes[0, 0], set(chosen["precision"]), colours, uncropped=not chosen["augment"].all())
    return fig


def networks(table: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the share of windows with a positive tie, all layers together, by network: a panel per kind.

    Args:
        table: of `kinks.audit.tie_cells.by_kind`.
    """
    names = set(table.apply(lambda row: (list(NETWORKS).index(row["network"]), label(row)), axis=1))
    names = [name for _, name in sorted(names, key=lambda pair: (pair[0], len(pair[1])))]
    fig, axes = plt.subplots(1, 2, figsize=(8.2, 0.9 + 0.27 * len(names)), sharey=True, sharex=True)
    for ax, (kind, title) in zip(axes, POSITIVE.items(), strict=True):
        rows = table[table["kind"] == kind]
        for precision in [name for name in BITS if name in set(rows["precision"])]:
            some = rows[rows["precision"] == precision]
            at = [-names.index(name) - SHIFT[precision] for name in some.apply(label, axis=1)]
            _points(ax, np.array(at, dtype=float), some, colours[precision], True, across=True)
        ax.set_title(title)
        ax.set(xscale="log", xlabel="Share of windows")
    axes[0].set_yticks([-place for place in range(len(names))], names)
    _legend(fig, axes[0], set(table["precision"]), colours, uncropped=False)
    return fig


def _points(ax: Axes, at: np.ndarray, rows: pd.DataFrame, colour: str, filled: bool, across: bool = False) -> None:
    """Shares with their intervals; a share of zero is a triangle at the interval's upper end."""
    share, low, high = (rows[name].to_numpy(float) for name in ("share", "low", "high"))
    seen = share > 0
    faces = colour if filled else "none"
    for place, a, b in zip(at[seen], low[seen], high[seen], strict=True):
        ax.plot(*(([a, b], [place] * 2) if across else ([place] * 2, [a, b])), color=colour, lw=1, zorder=2)
    for chosen, values, mark in ((seen, share, "o"), (~seen, high, "<" if across else "v")):
        xy = (values[chosen], at[chosen]) if across else (at[chosen], values[chosen])
        face = faces if mark == "o" else "none"
        ax.scatter(*xy, s=20, marker=mark, facecolors=face, edgecolors=colour, lw=1, zorder=3)


def _legend(fig: Figure, ax: Axes, precisions: set[str], colours: dict[str, str], uncropped: bool) -> None:
    for name in [name for name in BITS if name in precisions]:
        ax.scatter([], [], s=20, color=colours[name], label=BITS[name])
    ax.scatter([], [], s=20, marker="v", facecolors="none", edgecolors="#555555", label="none seen (upper end)")
    if uncropped:
        ax.scatter([], [], s=20, facecolors="none", edgecolors="#555555", label="images not cropped")
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=len(labels), bbox_to_anchor=(0.5, 1.0), fontsize=8)


def text(kinds: pd.DataFrame, by_layer: pd.DataFrame, source: str) -> str:
    """Say how often each kind of tie happens, every number computed.

    Args:
        kinds: of `kinks.audit.tie_cells.by_kind`. by_layer: of `by_layer`. source: the label of the colour images.
    """
    lines = [f"Data: {source}. Random networks, never trained. Shares are of windows, all layers of VGG-11 together."]
    cell = (kinds["network"] == "vgg11") & ~kinds["batch_norm"]
    for name, value in COMMON.items():
        cell &= kinds[name] == value
    groups = dict(list(kinds[cell].groupby("precision")))
    lines += [_precision(groups[name]) for name in BITS if name in groups]
    return "\n\n".join([*lines, *_crops(kinds), *_ratio(kinds[cell]), *_norm(kinds), *_absent(by_layer)])


def _precision(group: pd.DataFrame) -> str:
    row = group.set_index("kind")
    structural, coincidental, zero = row.loc["structural"], row.loc["coincidental"], row.loc["zero"]
    inside = structural["count"] - structural["border"]
    return (
        f"**{BITS[group['precision'].iloc[0]]}.** Zero ties {zero['share']:.1%}; structural {structural['share']:.2%} "
        f"(95 % interval {structural['low']:.2%} to {structural['high']:.2%}), "
        f"{structural['border'] / max(structural['count'], 1):.0%} of them at the border ({int(inside):,} are not); "
        f"coincidental {coincidental['share']:.2g} ({coincidental['low']:.2g} to {coincidental['high']:.2g}), "
        f"{coincidental['per_minibatch']:.3g} per mini-batch, in {int(coincidental['hit'])} of "
        f"{int(coincidental['minibatches'])} mini-batches of {int(coincidental['batch_size'])} images, each with a "
        f"network of its own.{_at_128(coincidental)}"
    )


def _at_128(row: pd.Series) -> str:
    """The share of the paper's mini-batches that would hold a tie, if ties fell on mini-batches by chance."""
    windows = row["windows"] / row["minibatches"] * 128 / row["batch_size"]
    share, low, high = (1 - np.exp(-windows * row[name]) for name in ("share", "low", "high"))
    if row["count"] == 0 or low > 0.9999:
        return ""
    return f" Mini-batches of 128 would hold one in {share:.0%} of cases ({low:.0%} to {high:.0%}) if it were chance."


def _crops(kinds: pd.DataFrame) -> Iterator[str]:
    """What cropping changes: the same seeds and precisions with and without it."""
    plain = kinds[(kinds["init"] == COMMON["init"]) & (kinds["bias"] == COMMON["bias"]) & (kinds["network"] == "vgg11")]
    keys = ["batch_norm", "precision", "kind"]
    both = plain[plain["augment"]].merge(plain[~plain["augment"]], on=keys, suffixes=("", "_uncropped"))
    for (norm, precision), group in both.groupby(keys[:2], sort=True):
        row = group.set_index("kind")
        s, c = row.loc["structural"], row.loc["coincidental"]
        name = f"{BITS[precision]}{' with batch norm' if norm else ''}"
        yield (
            f"**Cropping, {name}.** Structural ties: {s['share']:.2%} of windows with crops, "
            f"{s['share_uncropped']:.2%} without ({s['border_share']:.1%} against {s['border_share_uncropped']:.1%} of "
            f"the border's windows). Coincidental: {c['share']:.2g} and {c['share_uncropped']:.2g}."
        )


def _ratio(cell: pd.DataFrame) -> Iterator[str]:
    by = cell[cell["kind"] == "coincidental"].set_index("precision")["share"]
    if {"fp16", "fp32"} <= set(by.index) and by["fp32"] > 0:
        yield (
            f"**16 against 32 bits.** Coincidental ties are {by['fp16'] / by['fp32']:,.0f} times as frequent in 16 "
            f"bits; the formats' spacings differ by a factor of {2**13:,}."
        )


def _norm(kinds: pd.DataFrame) -> Iterator[str]:
    some = kinds[(kinds["kind"] == "coincidental") & kinds["batch_norm"] & (kinds["count"] > 0)]
    for _, row in some[(some["network"] == "vgg11") & some["augment"]].iterrows():
        yield (
            f"**{label(row)}, {BITS[row['precision']]}.** {int(row['merged']):,} of {int(row['count']):,} coincidental "
            "ties were made by batch norm: the convolution's outputs were unequal."
        )


def _absent(by_layer: pd.DataFrame) -> Iterator[str]:
    """Where no tie was seen at all, by kind and precision."""
    for kind in POSITIVE:
        rows = by_layer[by_layer["kind"] == kind]
        none = rows.groupby("precision", sort=True).apply(
            lambda g: f"{BITS[g.name]}: {int((g['count'] == 0).sum())} of {len(g)}", include_groups=False
        )
        yield f"**Pools without a single {kind} tie** (of all networks' pools): {'; '.join(none)}."
