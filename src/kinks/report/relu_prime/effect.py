"""The size of the difference (E3): which mini-batches to look at, what they say, and the figure."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks import stats
from kinks.audit.cells import proportion
from kinks.report.panels import BITS

QUARTILES = ("relative_q25", "relative_q50", "relative_q75", "median_low", "median_high")
RULES = {"assign": "published rule", "chain": "chain rule", "reordered": "reordered", "noise": "repeated"}


def jobs(hit: pd.DataFrame, most: int, per_job: int, **common: object) -> list[dict]:
    """Cut mini-batches into jobs, at most `most` per network and precision (the first ones, by seed and position)."""
    cut = []
    for (network, precision), group in hit.groupby(["network", "precision"], sort=True):
        pairs = group.sort_values(["seed", "minibatch"])[["seed", "minibatch"]].to_numpy().tolist()[:most]
        cell = {"network": network, "precision": precision, "bias": "accumulator"} | common
        cut += [cell | {"minibatches": pairs[first : first + per_job]} for first in range(0, len(pairs), per_job)]
    return cut


def summary(rows: pd.DataFrame, exposure: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network, precision, rule and alpha.

    `affected` of `minibatches` differ (every mini-batch without an exact zero is bit-equal, so it counts as not
    affected; where fewer were compared than hit, the share among those compared is applied to all hit ones);
    `relative_q25, _q50, _q75` are quartiles of the relative L2 difference over the affected ones and `median_low`,
    `median_high` the bootstrap interval of their median.

    Args:
        rows: of `kinks.audit.effect.job`. exposure: network, precision, inits, minibatches, hit.
    """
    found = []
    index = exposure.set_index(["network", "precision"])
    for key, group in rows.groupby(["network", "precision", "rule", "alpha"], sort=True):
        seen = index.loc[key[:2]]
        values = group.loc[group["differs"], "relative"].to_numpy(float)
        affected = round(int(seen["hit"]) * len(values) / len(group))
        row = dict(zip(["network", "precision", "rule", "alpha"], key, strict=True))
        row |= {"compared": len(group), "inits": int(seen["inits"]), "minibatches": int(seen["minibatches"])}
        share = proportion(affected, int(seen["minibatches"]))
        row |= {"affected": affected} | {name: share[name] for name in ("share", "low", "high")}
        quartiles = np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else [np.nan] * 3
        row |= dict(zip(["relative_q25", "relative_q50", "relative_q75"], map(float, quartiles), strict=True))
        if len(values):
            _, low, high = stats.bootstrap(values, groups=group.loc[group["differs"], "seed"])
        else:
            low = high = float("nan")
        found.append(row | {"median_low": low, "median_high": high})
    return pd.DataFrame(found)


def figure(rows: pd.DataFrame, colours: dict[str, str], alphas: Sequence[float]) -> Figure:
    """Draw the relative difference of every affected mini-batch, by rule and alpha; one panel per network."""
    networks = sorted(set(rows["network"]), reverse=True)
    groups = [(rule, alpha) for rule in ("assign", "chain") for alpha in alphas] + [("reordered", 0.0), ("noise", 0.0)]
    fig, axes = plt.subplots(1, len(networks), figsize=(5 * len(networks), 3.6), sharey=True, squeeze=False)
    spread = np.random.default_rng(0)
    for ax, network in zip(axes[0], networks, strict=True):
        precisions = [name for name in BITS if name in set(rows.loc[rows["network"] == network, "precision"])]
        for rank, precision in enumerate(precisions):
            part = rows[(rows["network"] == network) & (rows["precision"] == precision) & rows["differs"]]
            for at, (rule, alpha) in enumerate(groups):
                values = part[(part["rule"] == rule) & np.isclose(part["alpha"], alpha)]["relative"].to_numpy()
                x = at + (rank - (len(precisions) - 1) / 2) * 0.28
                jitter = spread.uniform(-0.09, 0.09, len(values))
                label = BITS[precision] if at == 0 else None
                ax.scatter(x + jitter, values, s=5, alpha=0.35, lw=0, color=colours[precision], label=label)
                if len(values):
                    ax.hlines(np.median(values), x - 0.12, x + 0.12, color="black", lw=1.6, zorder=3)
                else:
                    ax.text(x, 0.02, "0", transform=ax.get_xaxis_transform(), ha="center", color=colours[precision])
        ax.axhline(1, color="#555555", lw=0.7)
        ax.set(yscale="log", title=f"{network} network")
        names = [f"{RULES[r]}\n$\\alpha$ = {a:g}" if r in ("assign", "chain") else RULES[r] for r, a in groups]
        ax.set_xticks(range(len(groups)), names, fontsize=7, rotation=40, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.6, len(groups) - 0.4)
        ax.grid(axis="x", visible=False)
    axes[0][0].set_ylabel("Change of the gradient / its norm")
    legend = axes[0][0].legend(fontsize=8, markerscale=3, loc="upper right")
    for handle in legend.legend_handles:
        handle.set_alpha(1)
    return fig


def text(found: pd.DataFrame, source: str) -> str:
    """Say what the summary shows, every number computed."""
    lines = [f"Data: {source}."]
    for (network, precision), group in found.groupby(["network", "precision"], sort=True):
        top = group[group["alpha"] == group["alpha"].max()].set_index("rule")
        rest = group[group["alpha"] == 0].set_index("rule")
        a, b, r, c = top.loc["assign"], top.loc["chain"], rest.loc["reordered"], rest.loc["noise"]
        alpha, factor = top["alpha"].iloc[0], a["relative_q50"] / b["relative_q50"]
        lines.append(
            f"**{network} network, {BITS[precision]}.** {int(a['affected'])} of {int(a['minibatches']):,} mini-batches "
            f"are affected ({a['share']:.2%}, 95 % interval {a['low']:.2%} to {a['high']:.2%}). There, ReLU'(0) = "
            f"{alpha:g} instead of 0 changes the gradient by {a['relative_q50']:.3g} times its norm under the "
            f"published rule and by {b['relative_q50']:.3g} under the chain rule (medians), a factor of {factor:,.0f}. "
            f"Reordering the examples changes it by {r['relative_q50']:.2g}; the same program run again differed in "
            f"{int(c['affected'])} of {int(c['compared'])}."
        )
    return "\n\n".join(lines)
