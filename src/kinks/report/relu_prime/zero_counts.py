"""Exact zeros while training (E12): totals with intervals, the figure in the paper's form, and the sentences."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kinks import stats
from kinks.report.panels import BITS

CELL = ["precision", "hidden_layers", "neurons", "alpha", "rule"]


def grid(
    hidden_layers: Sequence[int],
    neurons: Sequence[int],
    precisions: Sequence[str],
    small_precisions: Sequence[str],
    rule_precisions: Sequence[str],
    rule_layers: int,
) -> list[dict]:
    """List the networks to train, as settings of `kinks.train.zero_counts.job` without the common ones.

    The whole grid with ReLU'(0) = 0 in `precisions`; in `small_precisions` its networks of `rule_layers` layers. In
    `rule_precisions` these are also trained with ReLU'(0) = 1 under both rules, and the widest of them a second time.
    The longest jobs come first, so that no core waits for the last one.
    """
    cells = [
        {"hidden_layers": depth, "neurons": width, "precision": name, "alpha": 0.0, "rule": "chain", "repeat": 0}
        for name in precisions
        for depth in hidden_layers
        for width in neurons
    ]
    some = [{"hidden_layers": rule_layers, "neurons": width, "repeat": 0} for width in neurons]
    cells += [cell | {"precision": name, "alpha": 0.0, "rule": "chain"} for name in small_precisions for cell in some]
    for name in rule_precisions:
        cells += [
            cell | {"precision": name, "alpha": 1.0, "rule": rule} for rule in ("assign", "chain") for cell in some
        ]
        cells.append(some[-1] | {"precision": name, "alpha": 0.0, "rule": "chain", "repeat": 1})
    return sorted(cells, key=lambda cell: -cell["hidden_layers"] * cell["neurons"] ** 2)


def totals(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per cell: zeros over all epochs, evaluations, their ratio with its exact Poisson interval.

    `first_epoch`, `last_epoch`: zeros of those epochs; `finite`: every loss was finite; `arm` names what the cell is
    for: `base` (ReLU'(0) = 0, as published), `published` and `corrected` (another alpha by rule), `noise` (the base
    cell trained a second time, if asked for).
    """
    found = []
    for key, group in rows.groupby([*CELL, "repeat"], sort=True):
        group = group.sort_values("epoch")
        zeros, evaluations = int(group["zeros"].sum()), int(group["evaluations"].sum())
        low, high = stats.poisson_rate(zeros, evaluations)
        cell = dict(zip([*CELL, "repeat"], key, strict=True))
        arm = "base" if cell["alpha"] == 0 else {"assign": "published", "chain": "corrected"}[cell["rule"]]
        found.append(
            cell
            | {
                "arm": "noise" if cell["repeat"] else arm,
                "zeros": zeros,
                "evaluations": evaluations,
                "ratio": zeros / evaluations,
                "low": low,
                "high": high,
                "epochs": len(group),
                "first_epoch": int(group["zeros"].iloc[0]),
                "last_epoch": int(group["zeros"].iloc[-1]),
                "loss": float(group["loss"].iloc[-1]),
                "finite": bool(group["finite"].all()),
            }
        )
    return pd.DataFrame(found)


def pooled(found: pd.DataFrame) -> pd.DataFrame:
    """Return zeros per ReLU call by precision, pooled over the base cells: zeros, evaluations, ratio, low, high."""
    rows = []
    for precision, group in found[found["arm"] == "base"].groupby("precision", sort=True):
        zeros, evaluations = int(group["zeros"].sum()), int(group["evaluations"].sum())
        low, high = stats.poisson_rate(zeros, evaluations)
        row = {
            "precision": precision,
            "zeros": zeros,
            "evaluations": evaluations,
            "ratio": zeros / evaluations,
            "low": low,
            "high": high,
        }
        first = int(group["first_epoch"].sum())
        rows.append(row | {"networks": len(group), "first_epoch": first, "last_epoch": int(group["last_epoch"].sum())})
    return pd.DataFrame(rows)


def figure(found: pd.DataFrame, reference: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw zeros per ReLU call against ReLU calls per image: one point per network, published ones hollow.

    A network without any zero is drawn as a triangle at the upper end of its interval.
    """
    fig, ax = plt.subplots(figsize=(7, 3.8))
    base = found[found["arm"] == "base"]
    for precision, group in base.groupby("precision", sort=True):
        units = (group["hidden_layers"] * group["neurons"]).to_numpy(float)
        units = units * {"fp16": 0.97, "fp32": 1.03, "bf16": 1.0, "fp64": 1.06}[precision]  # apart, so that bars show
        ratio, low, high = (group[name].to_numpy(float) for name in ("ratio", "low", "high"))
        seen = ratio > 0
        errors = np.stack([ratio - low, high - ratio])[:, seen]
        colour = colours[precision]
        ax.errorbar(units[seen], ratio[seen], errors, fmt="o", ms=4, lw=1, color=colour, label=BITS[precision])
        ax.scatter(units[~seen], high[~seen], marker="v", s=18, facecolors="none", edgecolors=colour)
    for bits, group in reference.groupby("precision_bits"):
        seen = group[group["zeros_total"] > 0]
        label = f"{bits} bits, as published (100 epochs of 60,000)"
        ax.scatter(seen["units"], seen["true_ratio"], marker="D", s=22, facecolors="none",
                   edgecolors=colours[f"fp{bits}"], label=label)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="ReLU calls per image", ylabel="Exact zeros per ReLU call")
    ax.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return fig


def text(found: pd.DataFrame, pool: pd.DataFrame, reference: pd.DataFrame, source: str) -> str:
    """Say what the tables show, every number computed."""
    published = reference.groupby("precision_bits").apply(
        lambda g: g["zeros_total"].sum() / (100 * g["relu_calls_per_epoch"].sum()), include_groups=False
    )
    lines = [f"Data: {source}."]
    for _, row in pool.iterrows():
        line = (
            f"**{BITS[row['precision']]}.** {int(row['zeros'])} exact zeros in {row['evaluations']:.3g} ReLU calls of "
            f"{int(row['networks'])} networks: {row['ratio']:.2g} per call (95 % interval {row['low']:.2g} to "
            f"{row['high']:.2g}); {int(row['first_epoch'])} in the first epoch, {int(row['last_epoch'])} in the last."
        )
        bits = {"fp16": 16, "fp32": 32}.get(row["precision"])
        if bits:
            line += f" The paper's totals over 100 epochs give {published[bits]:.2g}."
        lines.append(line)
    by = pool.set_index("precision")
    if {"fp16", "fp32"} <= set(by.index):
        a, b = by.loc["fp16"], by.loc["fp32"]
        ratio = stats.rate_ratio(int(a["zeros"]), float(a["evaluations"]), int(b["zeros"]), float(b["evaluations"]))
        lines.append(
            f"**16 against 32 bits.** {ratio[0]:.3g} times as many zeros per call (95 % interval {ratio[1]:.3g} to "
            f"{ratio[2]:.3g}); the paper's totals give {published[16] / published[32]:.3g}."
        )
    other = found[found["arm"].isin(["published", "corrected"])]
    if len(other):
        parts = [f"{int(g['zeros'].sum())} under the {name} rule" for name, g in other.groupby("arm", sort=True)]
        cells = other[["precision", "hidden_layers", "neurons"]].drop_duplicates()
        same = found[found["arm"] == "base"].merge(cells)
        lines.append(
            f"**Does the choice change the count?** Trained with ReLU'(0) = {other['alpha'].iloc[0]:g}, the same "
            f"{len(cells)} networks met {' and '.join(parts)}, against {int(same['zeros'].sum())} with ReLU'(0) = 0."
        )
    return "\n\n".join(lines)
