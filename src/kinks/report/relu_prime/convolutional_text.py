"""The curves of E8 and E11 in the published form, and the sentences about them, every number computed."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kinks import stats
from kinks.report.networks import network_name
from kinks.report.panels import BITS
from kinks.report.relu_prime.convolutional import CODE_BATCH, PRECISIONS, REGISTERED, TABLE_BATCH

NORMS = {"none": "without batch norm", "centred": "with batch norm", "fused": "with batch norm in a CPU's order"}
RULES = {"assign": "-", "chain": (0, (4, 2))}
ENOUGH = 0.99  # a panel ends where the published curves have reached this share


def published_curves(reference: pd.DataFrame) -> pd.DataFrame:
    """Return published curves as network, batch_norm, precision, images and proportion, from either table of them."""
    named = reference.assign(precision=reference["precision_bits"].map(PRECISIONS))
    if "minibatches_seen" in named:
        images, network = named["minibatches_seen"] * CODE_BATCH, named["network"].map(REGISTERED)
        named = named.assign(images=images, network=network, proportion=named["proportion_in_S01"])
    return named


def curves(survival: pd.DataFrame, shares: pd.DataFrame, published: pd.DataFrame, colours: Mapping[str, str]) -> Figure:
    """Draw the share of draws affected against images seen, one panel per network without and with batch norm.

    Steps are ours, under both rules; a band is what the interval of the published rule's rate per mini-batch implies.

    Args:
        survival, shares: of `kinks.report.relu_prime.convolutional`. published: of `published_curves`.
    """
    networks = list(dict.fromkeys(survival["network"]))
    size = (7.5, 2.4 * len(networks) + 0.4)
    fig, axes = plt.subplots(len(networks), 2, figsize=size, sharey=True, squeeze=False)
    for row, network in zip(axes, networks, strict=True):
        for ax, norm in zip(row, ("none", "centred"), strict=True):
            ours, band = (_drawn(table, network, norm) for table in (survival, shares))
            theirs = published[(published["network"] == network) & (published["batch_norm"] == (norm != "none"))]
            _panel(ax, ours, band[band["rule"] == "assign"], theirs, colours)
            ax.set_title(f"{network_name(network)} {NORMS[norm]}")
        row[0].set_ylabel("Share of draws affected (%)")
    for ax in axes[-1]:
        ax.set_xlabel("Images seen")
    _legend(fig, axes[0][0], [name for name in BITS if name in set(survival["precision"])], colours)
    return fig


def _drawn(table: pd.DataFrame, network: str, norm: str) -> pd.DataFrame:
    """The rows of one panel: of convolutions, those whose bias is added late."""
    rows = table[(table["network"] == network) & (table["norm"] == norm)]
    return rows if network.startswith("3x") else rows[rows["bias"] == "after_convolution"]


def _panel(ax: Axes, ours: pd.DataFrame, band: pd.DataFrame, theirs: pd.DataFrame, colours: Mapping[str, str]) -> None:
    end = max([*theirs[theirs["proportion"] < ENOUGH]["images"], *ours["images"]], default=1)
    for (name, rule), rows in ours.groupby(["precision", "rule"], sort=True):
        last = [(end, rows["share"].iloc[-1])] if rows["share"].iloc[-1] == 1 else []
        images, share = zip(*[*rows[["images", "share"]].itertuples(index=False), *last], strict=True)
        ax.step(images, 100 * np.array(share), where="post", color=colours[name], ls=RULES[rule])
    for _, row in band.iterrows():
        followed = ours[(ours["precision"] == row["precision"]) & (ours["rule"] == "assign")]["images"].max()
        images = np.linspace(0, followed, 200)
        low, high = (100 * stats.rescaled_share(row[side], images, row["batch_size"]) for side in ("low", "high"))
        ax.fill_between(images, low, high, color=colours[row["precision"]], alpha=0.15, lw=0)
    for name, rows in theirs[theirs["images"] <= end].groupby("precision", sort=True):
        style = {"marker": "D", "ms": 3.5, "mfc": "white", "mec": colours[name], "lw": 0.9}
        ax.plot(rows["images"], 100 * rows["proportion"], "k:", **style)
    ax.set(xlim=(0, end), ylim=(-2, 103))
    ax.locator_params(axis="x", nbins=5)


def _legend(fig: Figure, ax: Axes, precisions: list[str], colours: Mapping[str, str]) -> None:
    handles = [ax.plot([], [], color=colours[name], label=BITS[name])[0] for name in precisions]
    for rule, words in (("assign", "published rule"), ("chain", "chain rule")):
        handles += ax.plot([], [], color="#555555", ls=RULES[rule], label=words)
    handles += ax.plot([], [], "k:", marker="D", ms=3.5, mfc="white", lw=0.9, label="as published")
    fig.legend(handles=handles, loc="lower center", ncols=len(handles), bbox_to_anchor=(0.5, 1.0), fontsize=8)


def text(shares: pd.DataFrame, zeros: pd.DataFrame, source: str) -> str:
    """Say what the tables show: rates, what the chain rule leaves of them, and what the order of operations does."""
    lines = [f"Data: {source}. Intervals are 95 %."]
    for precision in BITS:
        rows = shares[(shares["precision"] == precision) & (shares["rule"] == "assign") & (shares["n"] > 0)]
        if len(rows):
            lines.append(
                f"**{BITS[precision]}.** Mini-batches affected under the published rule; under the chain rule:"
            )
            lines.append("\n".join(_item(row, shares) for _, row in rows.iterrows()))
    return "\n\n".join([*lines, *_chain(shares), *_order(zeros), *_batch(shares), _noise(shares)])


def _item(row: pd.Series, shares: pd.DataFrame) -> str:
    cell = ["network", "norm", "precision", "bias"]
    chain = shares[(shares[cell] == row[cell]).all(axis=1) & (shares["rule"] == "chain")].iloc[0]
    early = row["bias"] == "accumulator" and not row["network"].startswith("3x")
    name = f"{network_name(row['network'])} {NORMS[row['norm']]}"
    name += ", bias in the accumulator" if early else ""
    known = row["published"] == row["published"] and row["norm"] != "fused" and not early
    line = f"- {name}: {_counted(row)}; {_counted(chain)}."
    return line + (f" Published: {row['published']:.1%}." if known else "")


def _counted(row: pd.Series) -> str:
    return f"{int(row['count'])} of {int(row['n'])} ({row['low']:.1%} to {row['high']:.1%})"


def _chain(shares: pd.DataFrame) -> list[str]:
    """Of the mini-batches with an exact zero, those whose gradient each rule changes, without batch norm."""
    lines, fewer = [], False
    rows = shares[(shares["precision"] == "fp32") & (shares["norm"] == "none")]
    for network, group in rows.groupby("network", sort=False):
        counts = group.groupby("rule")["count"].sum()
        if counts["zero"]:
            fewer = fewer or counts["chain"] < counts["assign"]
            lines.append(
                f"{network_name(network)}: mini-batches with an exact zero: {counts['zero']}; of these, the "
                f"published rule changes the gradient of {counts['assign']}, the chain rule that of {counts['chain']}."
            )
    if fewer:
        lines.append(
            "A pre-activation of 0 before a max-pool is hardly ever the maximum of its window, so no gradient reaches "
            "it: there the chain rule has nothing to multiply, and the published rule puts a 1 where nothing was."
        )
    return [f"**What the chain rule leaves, in 32 bits without batch norm.** {' '.join(lines)}"] if lines else []


def _order(zeros: pd.DataFrame) -> list[str]:
    """Exact zeros per pre-activation with batch norm in a GPU's order of operations and in a CPU's."""
    lines = []
    for (network, precision), group in zeros.groupby(["network", "precision"], sort=False):
        forms = group.groupby("norm")[["events", "evaluations"]].sum()
        if {"centred", "fused"} <= set(forms.index):
            pairs = [forms.loc[norm].astype(int).tolist() for norm in ("centred", "fused")]
            said = [f"{events} of {evaluations:.2g}" for events, evaluations in pairs]
            p = stats.two_rates(*pairs[0], *pairs[1])
            lines.append(
                f"{network_name(network)}, {BITS[precision]}: {said[0]} pre-activations are exactly 0 where the "
                f"mean is subtracted first, {said[1]} where batch norm is one multiply-add (p = {p:.1g})."
            )
    return [f"**The order of operations in batch norm.** {' '.join(lines)}"] if lines else []


def _batch(shares: pd.DataFrame) -> list[str]:
    """What the published rates would be if the published mini-batches held 100 images."""
    if "published_if_100" not in shares:
        return []
    rows = shares[(shares["rule"] == "assign") & (shares["norm"] != "fused") & (shares["published"] < 1)]
    rows = rows[rows["bias"] == "after_convolution"]
    said = [
        f"{network_name(row['network'])} {NORMS[row['norm']]}, {BITS[row['precision']]}: {row['published_if_100']:.2g} "
        f"(not {row['published']:.2g})"
        for _, row in rows.iterrows()
    ]
    if not said:
        return []
    size = int(rows["batch_size"].iloc[0])
    return [
        f"**Mini-batches of {CODE_BATCH} or {TABLE_BATCH}?** The published notebooks say the one, their tables the "
        f"other. If it was {TABLE_BATCH}, the published rates mean, in mini-batches of {size}: {'; '.join(said)}."
    ]


def _noise(shares: pd.DataFrame) -> str:
    count, n = shares.loc[shares["rule"] == "noise", ["count", "n"]].astype(int).sum()
    return f"**Noise.** The same program run twice differed {count} of {n} times."
