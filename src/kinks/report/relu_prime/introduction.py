"""The introduction's experiment (E1, E1b): what its rows say, and the figures in the paper's form."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from kinks import stats
from kinks.report.panels import BITS

ARMS = {
    "assign": "1 vs 0, published rule",
    "chain": "1 vs 0, chain rule",
    "noise": "0 vs 0",
    "reordered": "0 vs 0, examples reordered",
}
EXTREMES = ("min_activation", "min_distance_to_six", "max_difference", "median_difference")
FLOOR = 1e-17  # where an exact zero is drawn on a logarithmic axis


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per variant, precision and arm: n seeds, `separated` (with its 95 % interval) and extremes.

    `zero_seeds` counts the seeds that met an exact kink at any ReLU; `min_activation` and `min_distance_to_six` are the
    smallest of the first hidden layer over all seeds and steps; `median_difference` is the median over the separated
    seeds of the L1 distance after the last step (NaN if none).
    """
    found = []
    for (variant, precision), group in rows.groupby(["variant", "precision"], sort=True):
        kinks = group.groupby("seed")["exact_kinks"].sum() > 0
        for arm in ARMS:
            seeds = group.dropna(subset=arm).groupby("seed")[arm] if arm in group else None
            if seeds is None or not len(seeds):
                continue
            apart, last = seeds.max() > 0, seeds.last()
            low, high = stats.clopper_pearson(int(apart.sum()), len(apart))
            found.append(
                {
                    "variant": variant,
                    "precision": precision,
                    "arm": arm,
                    "n": len(apart),
                    "separated": int(apart.sum()),
                    "low": low,
                    "high": high,
                    "zero_seeds": int(kinks.loc[apart.index].sum()),
                    "min_activation": group["min_activation"].min(),
                    "min_distance_to_six": group["min_distance_to_six"].min(),
                    "max_difference": float(seeds.max().max()),
                    "median_difference": float(last[apart].median()) if apart.any() else float("nan"),
                }
            )
    return pd.DataFrame(found)


def first_zero(rows: pd.DataFrame) -> dict[str, int]:
    """Return seed, step, sample and unit of the first exact zero of a first hidden layer in 32 bits; {} if none."""
    met = rows[(rows["variant"] == "relu") & (rows["precision"] == "fp32") & (rows["unit"] >= 0)]
    columns = ["seed", "step", "sample", "unit"]
    return (
        {name: int(value) for name, value in met.sort_values(["seed", "step"])[columns].iloc[0].items()}
        if len(met)
        else {}
    )


def telling_seed(rows: pd.DataFrame) -> int:
    """Return the first seed whose 32-bit ReLU network met an exact kink, or the first seed if none did."""
    relu = rows[(rows["variant"] == "relu") & (rows["precision"] == "fp32")]
    met = relu[relu["exact_kinks"] > 0]["seed"]
    return int(met.min() if len(met) else rows["seed"].min())


def differences(rows: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the L1 weight difference of every arm against the step, one panel per precision."""
    precisions = [name for name in ("fp32", "fp64", "fp16", "bf16") if name in set(rows["precision"])]
    fig, axes = plt.subplots(1, len(precisions), figsize=(2.9 * len(precisions), 3), sharey=True, squeeze=False)
    styles = {"assign": "-", "chain": "-", "noise": ":", "reordered": "--"}
    tones = {"assign": "#b2182b", "chain": "#2166ac", "noise": "#111111", "reordered": "#888888"}
    for ax, precision in zip(axes[0], precisions, strict=True):
        part = rows[rows["precision"] == precision]
        for arm, label in ARMS.items():
            if arm in part and part[arm].notna().any():
                ax.plot(part["step"], part[arm].clip(lower=FLOOR), styles[arm], color=tones[arm], lw=1.4, label=label)
        ax.set(yscale="log", ylim=(FLOOR / 3, 1e3), xlabel="Iteration")
        ax.set_title(f"{BITS[precision]}, seed {part['seed'].iloc[0]}", color=colours[precision])
        ax.set_yticks([FLOOR, 1e-12, 1e-8, 1e-4, 1], ["exactly 0", "$10^{-12}$", "$10^{-8}$", "$10^{-4}$", "1"])
        ax.minorticks_off()
    axes[0][0].set_ylabel("Weight difference (L1)")
    handles, labels = axes[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=4, fontsize=8, bbox_to_anchor=(0.5, 1.0))
    return fig


def activations(rows: pd.DataFrame, colours: dict[str, str]) -> Figure:
    """Draw the smallest absolute pre-activation per mini-batch, and the smallest distance to 6 of the ReLU6 network."""
    drawn = [("relu", "min_activation", "ReLU: min |z|"), ("relu6", "min_activation", "ReLU6: min |z|")]
    drawn += [("relu6", "min_distance_to_six", "ReLU6: min |z - 6|")]
    drawn = [item for item in drawn if item[0] in set(rows["variant"])]
    fig, axes = plt.subplots(1, len(drawn), figsize=(3.4 * len(drawn), 2.8), squeeze=False)
    for ax, (variant, column, title) in zip(axes[0], drawn, strict=True):
        for precision, part in rows[rows["variant"] == variant].groupby("precision", sort=True):
            value = part[column].to_numpy(float)
            ax.plot(
                part["step"], np.where(value > 0, value, np.nan), color=colours[precision], lw=1, label=BITS[precision]
            )
            at = part["step"][value == 0]
            ax.scatter(
                at,
                np.full(len(at), 0.03),
                marker="v",
                s=28,
                color=colours[precision],
                transform=ax.get_xaxis_transform(),
            )
        ax.set(title=title, xlabel="Iteration", yscale="linear" if column == "min_distance_to_six" else "log")
    handles, labels = axes[0][0].get_legend_handles_labels()
    fig.legend(handles, labels, loc="lower center", ncols=len(labels), fontsize=8, bbox_to_anchor=(0.5, 1.0))
    return fig


def plane(rows: pd.DataFrame) -> Figure:
    """Draw |pre-activation| over the plane of weights, exact zeros white: one panel per precision, one colour scale.

    Without rows (no 32-bit network met a zero) the figure says so.
    """
    if rows.empty:
        fig = plt.figure(figsize=(5, 1))
        fig.text(0.5, 0.5, met_text({}), ha="center", va="center", wrap=True)
        return fig
    precisions = list(dict.fromkeys(rows["precision"]))
    fig, axes = plt.subplots(1, len(precisions), figsize=(4 * len(precisions), 3.4), squeeze=False, sharey=True)
    positive = rows.loc[rows["value"] > 0, "value"]
    norm = LogNorm(positive.quantile(0.001), positive.max())
    for ax, precision in zip(axes[0], precisions, strict=True):
        grid = rows[rows["precision"] == precision].pivot(index="y", columns="x", values="value")
        image = ax.pcolormesh(
            grid.columns, grid.index, grid.where(grid > 0), norm=norm, cmap="viridis", rasterized=True
        )
        share = float((grid == 0).to_numpy().mean())
        ax.set(title=f"{BITS[precision]}: {share:.2%} of the points exactly zero", xlabel="x (along P)")
        ax.ticklabel_format(scilimits=(0, 0))
    axes[0][0].set_ylabel("y (along Q)")
    fig.colorbar(image, ax=axes[0], label="|pre-activation|", pad=0.02)
    return fig


def plane_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the plane as one row per precision and y, one column per x, in single precision to keep the file small."""
    if rows.empty:
        return rows
    values = rows.assign(value=rows["value"].astype("float32"))
    wide = values.pivot(index=["precision", "y"], columns="x", values="value")
    return wide.rename(columns=lambda x: f"x={x:.3e}").reset_index()


def met_text(met: dict[str, int]) -> str:
    """Say which zero the picture shows, or that none was met."""
    if not met:
        return (
            "No 32-bit network met an exact zero in its first hidden layer, so there is nothing to picture in this run."
        )
    return (
        f"The picture shows seed {met['seed']} at step {met['step']}: image {met['sample']} of the mini-batch, "
        f"unit {met['unit']} (the paper's run met its zero at step 65, image 117, unit 267)."
    )


def text(found: pd.DataFrame, source: str) -> str:
    """Say what the summary shows, every number computed."""
    index = found.set_index(["variant", "precision", "arm"])
    lines = [f"Data: {source}."]
    for variant, precision in sorted(set(zip(found["variant"], found["precision"], strict=True))):
        a, b = (index.loc[(variant, precision, arm)] for arm in ("assign", "chain"))
        line = (
            f"**{'ReLU' if variant == 'relu' else 'ReLU6'}, {BITS[precision]}.** {int(a['zero_seeds'])} of "
            f"{int(a['n'])} networks met an exact kink; {int(a['separated'])} parted under the published rule, "
            f"{int(b['separated'])} under the chain rule."
        )
        if a["separated"] and b["separated"]:
            line += (
                f" After the last step the median difference is {a['median_difference']:.2g} (published rule) and "
                f"{b['median_difference']:.2g} (chain rule)"
            )
            known = (variant, precision, "reordered") in index.index
            noise = index.loc[(variant, precision, "reordered")]["median_difference"] if known else float("nan")
            line += f", against {noise:.2g} for one network on reordered examples." if noise == noise else "."
        lines.append(line)
    return "\n\n".join(lines)
