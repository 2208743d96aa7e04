"""Sawteeth after real updates and in training: what the tables show, in sentences whose numbers are all computed."""

import numpy as np
import pandas as pd

from kinks.report.affine_pieces.sawtooth_runs import KEPT, STABLE
from kinks.report.affine_pieces.sawtooth_text import NAMES

HALF_PRECISION = 11  # -log2 of fp16's unit roundoff
KINDS = {
    "own": "inputs on the format's own grid and exact targets",
    "float64": "inputs on float64's grid and exact targets",
    "rational": "random inputs and exact targets",
    "smooth": "random inputs and a smooth term in the targets",
}


def updates(pairs: pd.DataFrame, table: pd.DataFrame) -> str:
    """Say in how many trials a format's gradient leads to another count after one update (K4b)."""
    lines = []
    for storage in pairs["storage"].unique():
        rows = pairs[pairs["storage"] == storage].set_index("against")
        exact, order = rows.loc["exact"], rows.loc["order"]
        part = table[table["storage"] == storage]
        lines.append(
            f"- **{storage}**: another count than with the exact gradient in {exact['count']:.0f} of {exact['n']:.0f} "
            f"trials (regions x {_ratio(exact)}); with the examples in another order in {order['count']:.0f} of "
            f"{order['n']:.0f}. Median relative error δ {part['delta'].min():.1g} to {part['delta'].max():.1g}; "
            f"{part['above_one'].sum():,} of {part['gradients'].sum():,} gradients are wrong by 100 % or more."
        )
    return "\n".join(lines)


def training(
    trained: pd.DataFrame, pairs: pd.DataFrame, kept: pd.DataFrame, dyadic: pd.DataFrame, updates: pd.DataFrame
) -> str:
    """Say what the formats do in training, beside both traps, and how many runs keep their regions (K4c).

    Args:
        updates: bounds after one update, of `sawtooth_noise.update_table`.
    """
    lines = _formats(pairs)
    own = kept[kept["kind"] == "own"]
    if len(own):
        lines.append(
            f"**Trap 1.** Where inputs and targets are exact in the working format, the residual is exactly 0: "
            f"{own['moved'].sum()} of {own['n'].sum()} runs moved, in any format. With inputs exact in fp64 alone, "
            f"fp64 alone stands still: {_still(kept, 'float64')}. That is an effect of zeros, not of precision."
        )
    if len(dyadic):
        lines.append(
            f"The other program's table of this trap: {dyadic['inside'].sum()} of {len(dyadic)} of our medians lie "
            f"between its smallest and largest count."
        )
    lines.append(f"**Trap 2.** {_unstable(trained)}")
    lines.append(_kept(kept, updates))
    return "\n\n".join(filter(None, lines))


def _formats(pairs: pd.DataFrame) -> list[str]:
    """One list, an item for each kind of examples."""
    lines = []
    for kind in (one for one in KINDS if one in set(pairs["kind"])):
        part = pairs[(pairs["kind"] == kind) & pairs["stable"]]
        said = [
            f"{row['storage']} in {row['count']:.0f} of {row['n']:.0f} (x {_ratio(row)})"
            for _, row in part[part["against"] == "fp64"].iterrows()
        ]
        line = f"- **{KINDS[kind]}**, λ λ_max below {STABLE:g}: regions other than in fp64, {'; '.join(said)}."
        order = part[part["against"] == "order"]
        if len(order):
            said = [f"{row['storage']} {row['count']:.0f} of {row['n']:.0f}" for _, row in order.iterrows()]
            line += f" The same format with the examples in another order: {', '.join(said)}."
        lines.append(line)
    return ["\n".join(lines)]


def _ratio(row: pd.Series) -> str:
    if np.isnan(row["ratio"]):
        return "–"
    ends = "" if np.isnan(row["ratio_low"]) else f", {row['ratio_low']:.2f} to {row['ratio_high']:.2f}"
    return f"{row['ratio']:.2f}{ends}"


def _still(kept: pd.DataFrame, kind: str) -> str:
    rows = kept[kept["kind"] == kind].groupby("storage")[["moved", "n"]].sum()
    return ", ".join(f"{storage} moved in {row['moved']} of {row['n']} runs" for storage, row in rows.iterrows())


def _unstable(trained: pd.DataFrame) -> str:
    rows = trained[(trained["kind"] == "rational") & ~trained["stable"] & (trained["step"] == trained["step"].max())]
    if rows.empty:
        return f"No run has λ λ_max of {STABLE:g} or more here."
    rows = rows[rows["product"] >= rows["product"].max() / 2]
    said = ", ".join(f"{row['storage']} {row['regions']:.0f}" for _, row in rows.iterrows())
    return (
        f"Above λ λ_max = {STABLE:g} rounding errors grow from step to step, in fp64 as in the others. Random inputs, "
        f"exact targets, λ λ_max = {rows['product'].median():,.0f}, {NAMES[rows['family'].iloc[0]]} sawtooth, median "
        f"regions after {rows['step'].max()} steps: {said}, of {rows['start'].iloc[0]}."
    )


def _kept(kept: pd.DataFrame, updates: pd.DataFrame) -> str:
    rows = kept[(kept["kind"] == "smooth") & kept["stable"]]
    if rows.empty:
        return ""
    said = [f"{NAMES[family]} {part['count'].sum()} of {part['n'].sum()}" for family, part in rows.groupby("family")]
    all_kept = rows["count"].sum() == rows["n"].sum()
    verdict = " In every format superlinearly many regions survive a descent of this length." if all_kept else ""
    smallest = updates.loc[updates["neg_log2"] >= HALF_PRECISION, "bound"].min()
    return (
        f"**Are pieces kept?** With a gradient that is not rounding error alone and λ λ_max below {STABLE:g}, runs "
        f"with more than {KEPT} regions a neuron at all recorded steps (up to {rows['steps'].max():,}): "
        f"{', '.join(said)}.{verdict} The theorem does not forbid it: at "
        f"the relative noise of fp16 or less, bound (2) was {smallest:.1g} or more above, and powers of a bound that "
        f"large say nothing about {KEPT} regions a neuron."
    )
