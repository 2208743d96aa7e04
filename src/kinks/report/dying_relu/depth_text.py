"""Depth (D7) in sentences, every number computed; what a run can settle is part of what is said."""

import pandas as pd

from kinks.report.dying_relu.depth import NAMES
from kinks.report.dying_relu.networks import RULE, optimiser_name, start_name

START = "initialisation"
ENOUGH = 1000  # steps below which networks have hardly begun to learn, as the claims have it
VISIBLE = 0.002  # the least difference of dead shares that counts as one: two ReLUs in a thousand


def text(table: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Say whether depth makes it worse, from `depth.table_of_effects` and `depth.cells`."""
    lines = [_size(cells)]
    for (data, kind, start, zero), rows in table.groupby(["data", "kind", "initialisation", "zero_last"], sort=False):
        named = (
            f"**{data}, {NAMES[kind]}, {start_name(start)} first weights{', last layers from zero' if zero else ''}.**"
        )
        lines += [" ".join([named, *found]) for found in [_growth(rows)] if found]
    lines.append(_answer(table))
    return "\n\n".join(filter(None, lines))


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """Return the excess as a table for readers, in percent: a row per sweep, a column per depth.

    A cell holds the excess with its interval and, in brackets, the two shares of which it is the difference: what died
    at gamma = 0.01 less what died at gamma = 1, negative where ReLUs that were dead at first revived.
    """
    keys = ["data", "kind", "initialisation", "zero_last", *RULE, "depth"]
    rows = table[(table["choice"] == "chosen") & (table["depth"] > 0)]
    values = rows.pivot_table(index=keys, columns="measure", values=["value", "low", "high"], sort=False)
    values = (100 * values).reset_index()
    found = [
        {
            "data": row["data", ""], "network": NAMES[row["kind", ""]], "first weights": start_name(row[START, ""]),
            "optimiser": optimiser_name(*(row[name, ""] for name in RULE)),
            "depth": f"{row['depth', '']} layer{'' if row['depth', ''] == 1 else 's'}",
            "cell": f"{row['value', 'excess']:.2g} [{row['low', 'excess']:.2g}, {row['high', 'excess']:.2g}] "
            f"({row['value', 'gained at 0.01']:.2g} less {row['value', 'gained at 1']:.2g})",
        }
        for _, row in values.iterrows()
    ]  # fmt: skip
    names = ["data", "network", "first weights", "optimiser"]
    wide = pd.DataFrame(found).pivot_table(index=names, columns="depth", values="cell", aggfunc="first", sort=False)
    order = sorted(wide.columns, key=lambda name: int(name.split()[0]))
    return wide[order].fillna("–").reset_index()


def _size(cells: pd.DataFrame) -> str:
    depths = ", ".join(str(depth) for depth in sorted(cells["depth"].unique()))
    rates = cells.groupby([*RULE, "kind", "depth", "data"])["rate"].nunique().max()
    return (
        f"{int(cells['n'].median())} seeds per cell, depths {depths}, up to {rates} learning rates each; at the rates "
        f"chosen for γ = 1, {cells.loc[cells['chosen'], 'diverged'].mean():.1%} of the networks diverged, over all "
        f"rates {cells['diverged'].mean():.1%}. Numbers are percent of all ReLUs with 95 % intervals over seeds."
    )


def _growth(rows: pd.DataFrame) -> list[str]:
    part = rows[(rows["measure"] == "growth of excess") & (rows["choice"] == "chosen")]
    parts = [f"{optimiser_name(row.optimiser, row.momentum, row.epsilon)} {_number(row)}" for row in part.itertuples()]
    return ["Growth per doubling of the depth: " + "; ".join(parts) + "."] if parts else []


def _number(row: object) -> str:
    return f"{100 * row.value:.2g} [{100 * row.low:.2g}, {100 * row.high:.2g}]"


def _answer(table: pd.DataFrame) -> str:
    """One sentence per kind of network: in how many of its sweeps the intervals lie above, below or around nothing."""
    lines = []
    answered = table[(table["choice"] == "chosen") & (table["epsilon"] == 1e-8)]
    for measure, said in (
        ("growth of excess", "grows with depth"), ("excess over depths", "is positive, depths of 2 and more together,")
    ):  # fmt: skip
        for kind, rows in answered[answered["measure"] == measure].groupby("kind", sort=False):
            above = int((rows["low"] >= VISIBLE).sum())
            below = int((rows["high"] < VISIBLE).sum())
            lines.append(
                f"In {NAMES[kind]} networks the excess {said} in {above} of {len(rows)} sweeps (its interval lies "
                f"above {VISIBLE:.1%}), does not in {below}, and is undecided in {len(rows) - above - below}."
            )
    died = answered[(answered["measure"] == "gained at 0.01") & (answered["depth"] > 1)]
    for rule, rows in died.groupby(RULE, sort=False):
        lines.append(
            f"{optimiser_name(*rule)}: at γ = 0.01 itself, more ReLUs are dead than at the start in "
            f"{int((rows['low'] >= VISIBLE).sum())} of {len(rows)} networks of 2 layers and more, fewer in "
            f"{int((rows['high'] <= -VISIBLE).sum())}."
        )
    return "**Does depth make it worse?** " + " ".join(lines)


def limits(cells: pd.DataFrame, steps: int, width: int) -> str:
    """Say what these runs cannot settle."""
    used = cells[cells["chosen"]]
    small, large = used["gamma"].min(), used["gamma"].max()
    worse = {gamma: rows["worse"].mean() for gamma, rows in used.groupby("gamma")}
    short = (
        f" A run of fewer than {ENOUGH:,} steps may confirm, not refute: the claims count it as undecided where it "
        "does not confirm."
        if steps < ENOUGH
        else ""
    )
    return (
        f"Limits: width {width}, {steps:,} steps of mini-batches, one split of {' and '.join(used['data'].unique())}. "
        f"At γ = {small:g}, {worse[small]:.0%} of the networks are still worse than the constant after the last step "
        f"(γ = 0.01: {worse.get(0.01, float('nan')):.0%}), so what longer training would kill is not known. What dies "
        f"at γ = {large:g} ({used.loc[used['gamma'] == large, 'gained'].mean():.0%}) is no effect of small variance. "
        f"The paper's architectures, data and rates are not known.{short}"
    )
