"""Weight divergence (M6) in sentences, every number computed."""

from collections.abc import Sequence

import pandas as pd

from kinks.report.max_pool.divergence import CELL
from kinks.report.networks import network_name
from kinks.report.panels import BITS

CAUSES = {
    "pool": "in a pool's forward", "layer": "in a layer's forward", "update": "in a gradient", "loss": "in the loss",
}  # fmt: skip
SAID = {
    "farther": "{} farther than reordering goes",
    "nearer": "{} less far than reordering goes",
    "not told apart": "{} not told apart from reordering",
    "yardstick is 0": "{} apart, where reordering changes no bit",
    "too few seeds": "{} on too few seeds to test",
    "exactly equal": "{} exactly equal",
}


def text(found: pd.DataFrame, parts: pd.DataFrame, accuracy: pd.DataFrame, source: str) -> str:
    """Say what the tables `summary`, `forwards` and `accuracies` show, every number computed."""
    lines = [f"Data: {source}.", _twice(found[found["arm"] == "twice"])]
    for key, cell in found.groupby(CELL, sort=False):
        first = cell.iloc[0]
        line = (
            f"**{network_name(key[0])}, {BITS[key[1]]}** ({first['step']} steps of {first['batch_size']} images, "
            f"{first['n']} {'seed' if first['n'] == 1 else 'seeds'})."
        )
        yardstick = cell[cell["arm"] == "reordered"]
        if len(yardstick):
            line += f" Examples reordered: median distance {yardstick['median'].iloc[0]:.2g}."
        line += "".join(_arm(cell, arm) for arm in ("published", "corrected"))
        lines.append(line + _forward(_of(parts, key)) + _learnt(_of(accuracy, key)))
    return "\n\n".join(filter(None, lines))


def _of(table: pd.DataFrame, key: Sequence[str]) -> pd.DataFrame:
    return table[(table["network"] == key[0]) & (table["precision"] == key[1])] if len(table) else table


def _twice(rows: pd.DataFrame) -> str:
    if rows.empty:
        return ""
    line = f"The same program run twice parted in {rows['apart'].sum()} of {rows['n'].sum()} pairs of runs."
    if rows["deterministic"].all():
        line += (
            " On a machine that always sums in one order it cannot part, so here networks are held against one that "
            "takes the examples of each mini-batch in another order: that is what the published line 0 vs 0, from a "
            "GPU that does not, measures."
        )
    return line


def _arm(cell: pd.DataFrame, arm: str) -> str:
    """One sentence: the values of beta of one arm by their verdicts, with ratios (or distances) and stopped runs."""
    rows, said = cell[cell["arm"] == arm].sort_values("beta"), []
    for verdict, pattern in SAID.items():
        members = [row for _, row in rows.iterrows() if row["verdict"] == verdict]
        if members:
            said.append(pattern.format("β = " + ", ".join(map(_value, members))))
    for _, row in rows[rows["stopped"] > 0].iterrows():
        cause = CAUSES.get(row["cause"], "")
        said.append(f"β = {row['beta']:g} stopped in {row['stopped']} of {row['n']} seeds, on an overflow {cause}")
    return f" {arm.capitalize()}: " + "; ".join(said) + "." if said else ""


def _value(row: pd.Series) -> str:
    if row["verdict"] == "exactly equal":
        return f"{row['beta']:g}"
    if row["ratio"] != row["ratio"]:
        return f"{row['beta']:g} (at {row['median']:.2g})"
    ends = "" if row["low"] != row["low"] else f", {row['low']:.2g} to {row['high']:.2g}"
    return f"{row['beta']:g} (x {row['ratio']:.2g}{ends})"


def _forward(parts: pd.DataFrame) -> str:
    """What the rounded forward adds, from the cell's rows of `forwards`."""
    if parts.empty:
        return ""
    told = [row for _, row in parts.sort_values("beta").iterrows() if row["verdict"] in ("farther", "nearer")]
    if not told:
        return " At no β are the two forwards told apart."
    return " Published over corrected, where they are told apart: β = " + ", ".join(map(_value, told)) + "."


def _learnt(accuracy: pd.DataFrame) -> str:
    base = accuracy[accuracy["arm"] == "base"] if len(accuracy) else accuracy
    if base.empty:
        return ""
    last = base.sort_values("step").iloc[-1]
    return f" By then β = 0 classifies {last['accuracy']:.1%} of {last['held_out']} held-out images rightly."
