"""The volume experiment (E2): published values beside ours, the figures in the paper's form, and the sentences."""

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from kinks import stats
from kinks.audit.cells import COMMON
from kinks.report import panels
from kinks.report.panels import BITS

PANELS = {"neurons": "Neurons per layer", "hidden_layers": "Hidden layers", "batch_size": "Mini-batch size"}
PUBLISHED_IMAGES = 60_000


def published_cells(reference: pd.DataFrame, images: int) -> pd.DataFrame:
    """Return the published shares keyed like `shares`: `published` (60,000 images) and `implied` (at `images` images).

    `implied_low` and `implied_high` bring the published count's 95 % Clopper-Pearson interval to `images` images: 1000
    of 1000 at 60,000 images says little more than "most" at 10,000.

    The 3x256 cell was measured three times (once per panel); its rows are pooled. Cells that the published loop never
    ran (64 bits by layers) are left out.
    """
    measured = reference[reference["status"] == "measured"]
    precision = measured["precision_bits"].map({16: "fp16", 32: "fp32", 64: "fp64"})
    keys = measured[["hidden_layers", "neurons", "batch_size"]].assign(precision=precision)
    pooled = measured[["count_in_S01", "n_inits"]].groupby([keys[c] for c in keys], sort=True).sum().reset_index()
    share = pooled["count_in_S01"] / pooled["n_inits"]
    interval = stats.clopper_pearson(pooled["count_in_S01"].to_numpy(), pooled["n_inits"].to_numpy())
    values = {"implied": share, "implied_low": interval.low, "implied_high": interval.high}
    implied = {name: stats.rescaled_share(value, images, PUBLISHED_IMAGES) for name, value in values.items()}
    return pooled[list(keys)].assign(network="intended", bias="accumulator", published=share, **implied)


def published_curve(reference: pd.DataFrame) -> pd.DataFrame:
    """Return the digitised sample-size curve keyed like `sample_size`: that panel used the published network."""
    precision = reference["precision_bits"].map({16: "fp16", 32: "fp32"})
    columns = {"images": reference["sample_size"], "published": reference["proportion_digitised"]}
    return pd.DataFrame({"network": "published", "precision": precision, **columns})


def bars(shares: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the layers, neurons and batch-size panels; diamonds are the published shares at as many images."""
    fig, axes = plt.subplots(1, len(PANELS), figsize=(10, 3.3), sharey=True)
    for ax, (column, label) in zip(axes, PANELS.items(), strict=True):
        fixed = [shares[name] == value for name, value in COMMON.items() if name != column]
        panels.bars(ax, shares[fixed[0] & fixed[1]], column, colours, published="implied")
        ax.set_xlabel(label)
    axes[0].set_ylabel("Share of draws affected (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=len(labels), bbox_to_anchor=(0.5, 1.0), fontsize=8)
    return fig


def curve(shares: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the sample-size panel: share against images seen, the published network solid, the intended one dashed."""
    fig, ax = plt.subplots(figsize=(6, 3.6))
    panels.curves(ax, shares, "images", colours)
    points = shares[shares["network"] == "published"].dropna(subset="published")
    style = {"marker": "D", "s": 20, "facecolors": "white", "edgecolors": "black", "zorder": 5}
    ax.scatter(points["images"], 100 * points["published"], label="as published (read off the figure)", **style)
    ax.set(xlabel="Images seen", ylabel="Share of draws affected (%)", ylim=(-2, 103))
    ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def text(shares: pd.DataFrame, rates: pd.DataFrame, source: str) -> str:
    """Say what the tables show, every number computed."""
    cell = (shares["bias"] == "accumulator") & (shares["network"] == "intended")
    for name, value in COMMON.items():
        cell &= shares[name] == value
    lines = [f"Data: {source}. The network is 784-256x3-10 with mini-batches of 256."]
    for precision, group in shares[cell].groupby("precision", sort=True):
        row = group.set_index("rule")
        a, b, c = row.loc["assign"], row.loc["chain"], row.loc["noise"]
        line = (
            f"**{BITS[precision]}.** {int(a['count'])} of {int(a['n'])} draws are affected under the published rule "
            f"({a['share']:.1%}, 95 % interval {a['low']:.1%} to {a['high']:.1%}) and {int(b['count'])} under the "
            f"chain rule; the same program run twice differed for {int(c['count'])} of {int(c['n'])}."
        )
        if a["implied"] == a["implied"]:
            line += f" The paper's {a['published']:.1%} at 60,000 images implies {a['implied']:.1%} at as many as here."
        pool = (rates["network"] == "all") & (rates["precision"] == precision) & (rates["bias"] == "accumulator")
        rate = rates[pool].iloc[0]
        line += (
            f" Over all networks {int(rate['events'])} of {rate['evaluations']:.3g} pre-activations were exactly zero: "
            f"{rate['rate']:.2g} each (95 % interval {rate['low']:.2g} to {rate['high']:.2g})."
        )
        lines.append(line)
    return "\n\n".join([*lines, *_late_bias(shares), _disagreements(shares)])


def _disagreements(shares: pd.DataFrame) -> str:
    """Name the cells whose 95 % interval and the one that the paper's count implies have nothing in common."""
    known = shares[(shares["rule"] == "assign") & shares["implied"].notna()]
    missed = known[(known["implied_high"] < known["low"]) | (known["implied_low"] > known["high"])]
    listed = [
        f"{BITS[row['precision']]}, {int(row['hidden_layers'])}x{int(row['neurons'])}, batch {int(row['batch_size'])} "
        f"(ours {row['low']:.1%} to {row['high']:.1%}, implied {row['implied_low']:.1%} to {row['implied_high']:.1%})"
        for _, row in missed.iterrows()
    ]
    head = f"**Cells that disagree.** Of {len(known)} published cells, {len(missed)} have an interval apart from ours"
    return f"{head}: {'; '.join(listed)}." if listed else f"{head}."


def _late_bias(shares: pd.DataFrame) -> list[str]:
    """Say what adding the bias after the product was rounded changes, cell by cell."""
    lines = []
    keys = ["network", "precision", "hidden_layers", "neurons", "batch_size"]
    one_rule = shares[shares["rule"] == "assign"]
    early = one_rule[one_rule["bias"] == "accumulator"].set_index(keys)
    for _, row in one_rule[one_rule["bias"] == "after_rounding"].iterrows():
        other = early.loc[tuple(row[keys])]
        p = stats.two_proportions(int(row["count"]), int(row["n"]), int(other["count"]), int(other["n"]))
        line = (
            f"**{BITS[row['precision']]}, {int(row['hidden_layers'])}x{int(row['neurons'])}, bias added after the "
            f"product was rounded.** {row['share']:.1%} of {int(row['n'])} draws (95 % interval {row['low']:.1%} to "
            f"{row['high']:.1%}), against {other['share']:.1%} of {int(other['n'])} with the bias in the accumulator "
            f"(p = {p:.1g})."
        )
        if other["implied"] == other["implied"]:
            line += f" The paper's share implies {other['implied']:.1%}."
        lines.append(line)
    return lines
