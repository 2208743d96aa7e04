"""Regions of starts, momentum and the pilot's tables (D5) in sentences, every number computed."""

import pandas as pd

from kinks.report.dying_relu.single import percent, rule_name

NAMES = {"below_1e-3": "active on less than 10⁻³", "below_1e-6": "active on less than 10⁻⁶"}


def text(shares: pd.DataFrame, moved: pd.DataFrame, paired: pd.DataFrame) -> str:
    """Say how the class maps differ and on which side of gamma momentum kills."""
    wide = shares["w2"].max()
    affine = shares[(shares["teacher"] == "affine") & (shares["w2"] == wide)]
    lines = []
    for gamma, rows in affine.groupby("gamma", sort=False):
        said = "; ".join(f"{rule_name(row.optimiser, row.momentum)} {percent(row.fails)}" for row in _named(rows))
        lines.append(f"γ = {gamma:g}: {said}")
    drawn = moved[(moved["teacher"] == "affine") & (moved["optimiser"] == "sgd") & (moved["limit"] == "below_1e-3")]
    least, most = drawn["changed_share"].min(), drawn["changed_share"].max()
    n = int(affine["n"].iloc[0])
    text = [
        f"**Regions that die (R8).** Share of the {n} starts with w₂ = {wide:g} that end (nearly) dead. "
        + ". ".join(lines) + f". Momentum takes between {percent(least)} and {percent(most)} of the starts of a map to "
        "another class.",
    ]  # fmt: skip
    return "\n\n".join([*text, *_momentum(paired)])


def _named(rows: pd.DataFrame):
    return rows.assign(fails=rows["below_1e-3"]).itertuples()


def _momentum(paired: pd.DataFrame) -> list[str]:
    """What momentum does to the same starts, by source."""
    lines = ["**Small targets together with momentum (R3).** The same starts with and without momentum, μ = 0.9:"]
    rows = paired[(paired["momentum"] == 0.9) & (paired["norm"] == "equal speed")]
    for (source, limit), part in rows.groupby(["source", "limit"], sort=False):
        said = [
            f"γ = {row.gamma:g}: {row.only} killed, {row.only_first} rescued of {row.n} ({row.gain:+.1%}, 95 % "
            f"interval {row.gain_low:+.1%} to {row.gain_high:+.1%})"
            for row in part.sort_values("gamma").itertuples()
        ]
        lines.append(f"- {source}, {NAMES.get(limit, limit)}: {'; '.join(said)}.")
    return ["\n".join(lines)]


def agreement(pilots: pd.DataFrame) -> str:
    """Say whether the tables of the pilot runs come out again."""
    lines = []
    for row in pilots.itertuples():
        verdict = "agree" if row.agree else "do not all agree"
        if row.experiment == "D5 grid":
            lines.append(f"{row.cells} shares on the pilot's own grid {verdict} within {row.allowed:g}: the largest "
                         f"difference is {row.largest:.2g}")  # fmt: skip
        else:
            lines.append(
                f"{row.experiment}: {row.cells} cells ({row.n} or more starts each) {verdict} within {row.allowed:.2f} "
                f"standard errors (the largest is {row.largest_z:.2f}; the widest standard error is {row.error:.3f})"
            )
    return "**Against the pilot runs.** " + ". ".join(lines) + "."
