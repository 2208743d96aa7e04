"""The max-pool training sweep in sentences, every number computed."""

import pandas as pd

from kinks.report import training
from kinks.report.max_pool.sweep import DIFFERENT
from kinks.report.networks import network_name
from kinks.report.training import names
from kinks.report.training.sentences import count, interval, listed

SMALL = 10  # the largest beta that the paper calls one of low norm


def text(outcomes: pd.DataFrame, effects: pd.DataFrame, bounds: pd.DataFrame, causes: pd.DataFrame, source: str) -> str:
    """Say what the tables `sweep.outcomes`, `training.effects`, `boundary` and `causes` show, every number computed."""
    parts = [
        f"Data: {source}. {length(outcomes)}",
        answer(outcomes),
        "### Jacobians of low norm",
        low_norm(effects),
        "### Which runs fail",
        failures(outcomes),
        "### Where a loss begins",
        training.say_boundary(bounds, "beta"),
        "### The rounded layer, or the Jacobian?",
        training.say_causes(causes, "beta"),
        "### Ties",
        training.say_kinks(effects, "beta"),
    ]
    return "\n\n".join(parts)


def length(outcomes: pd.DataFrame) -> str:
    """Say how long the runs are, and which networks stand for larger ones."""
    steps, runs = outcomes["steps"], int(outcomes.loc[_trained_once(outcomes), "n"].sum())
    span = f"{steps.min():,}" if steps.min() == steps.max() else f"{steps.min():,} to {steps.max():,}"
    line = f"{runs:,} runs of {span} steps."
    smaller = outcomes.loc[~outcomes["same_network"].astype(bool), "network"].unique()
    return line + (f" Smaller than published: {listed(map(network_name, smaller))}." if len(smaller) else "")


def answer(outcomes: pd.DataFrame) -> str:
    """Say from which beta most runs fail, by precision and forward, and whether the rounded layer or the Jacobian does.

    Cells that do not learn with beta = 0 are left out.
    """
    rows = outcomes[outcomes["trains"].astype(bool) & (outcomes["dose"] > 1) & (outcomes["variant"] != names.REORDERED)]
    rows = rows.assign(most=2 * rows["failed"] > rows["n"])
    lines = [_from(part, variant) for variant in ("mixed", "exact") if len(part := rows[rows["variant"] == variant])]
    keys = [*names.CELL, "dose"]
    wide = rows.pivot(index=keys, columns="variant", values="most").reindex(columns=["mixed", "exact"]).dropna()
    layer, both = (wide[wide["mixed"].eq(True) & wide["exact"].eq(fails)] for fails in (False, True))
    lines.append(
        f"{count(len(wide), 'combination')} of a network, precision, learning rate and β > 1 were trained with both "
        f"forwards. Most runs fail with the released one alone at {_places(layer)}: there the rounded layer is the "
        f"cause. They fail with both at {_places(both)}: there the Jacobian is enough."
    )
    return "\n\n".join(lines)


def _from(rows: pd.DataFrame, variant: str) -> str:
    """From which beta most runs of one forward fail, precision by precision."""
    said = []
    for label, part in rows.groupby("precision", sort=False):
        worst, largest = part.loc[part["most"], "dose"], part["dose"].max()
        if len(worst):
            said.append(f"in {names.precision(label)} from β = {worst.min():g}")
        else:
            failed = f"{part['failed'].sum()} of {count(part['n'].sum(), 'run')} failed"
            said.append(f"in {names.precision(label)} for no β up to {largest:g} ({failed})")
    return f"{names.VARIANTS[variant].capitalize()}: most runs of a network fail " + listed(said) + "."


def _places(wide: pd.DataFrame) -> str:
    rows = wide.reset_index()
    said = [f"{names.cell(row)}, β = {row['dose']:g}" for _, row in rows.assign(rates="").iterrows()]
    return f"{len(rows)} ({'; '.join(said)})" if said else "none"


def low_norm(effects: pd.DataFrame) -> str:
    """Say whether beta = 1 and 10 were told apart from beta = 0 anywhere, and how much could have been missed."""
    rows = effects[(effects["dose"] > 0) & (effects["dose"] <= SMALL)]
    if rows.empty:
        return f"No β up to {SMALL} other than 0 was trained."
    apart, failed = int(rows["verdict"].isin(DIFFERENT).sum()), int(rows["failed"].sum())
    zero = int(rows["failed_against"].sum())
    doses = listed(f"{dose:g}" for dose in sorted(rows["dose"].unique()))
    widest = rows.loc[(rows["high"] - rows["low"]).idxmax()] if rows["low"].notna().any() else None
    line = (
        f"β = {doses} against β = 0: {apart} of {count(len(rows), 'comparison')} differ significantly; "
        f"{failed} of {count(rows['n'].sum(), 'run')} failed, against {zero} with β = 0."
    )
    if widest is None:
        return line + " One seed each gives no interval."
    ends = interval(widest["low"], widest["high"])
    return line + f" The widest interval, {ends} points, is that of β = {widest['dose']:g}, {names.cell(widest)}."


def failures(outcomes: pd.DataFrame) -> str:
    """Say, network by network, which beta fail in which precision and at which learning rate, forward by forward."""
    rows, parts = outcomes[outcomes["variant"] != names.REORDERED], []
    for key, group in rows.groupby(["network", "dataset", "batch_norm", "optimiser"], sort=False):
        network, dataset, batch_norm, optimiser = key
        head = f"**{network_name(network)} {names.norm(batch_norm)}, {names.DATASETS.get(dataset, dataset)}, "
        items = [
            f"- {names.precision(precision)}, rate {rate:.3g}{_share(part)}: {_forwards(part)}."
            for (precision, rate), part in group.groupby(["precision", "rate"], sort=False)
        ]
        parts.append(head + f"{names.OPTIMISERS.get(optimiser, optimiser)}**\n\n" + "\n".join(items))
    return "\n\n".join(parts)


def _share(part: pd.DataFrame) -> str:
    share = part["rate_share"].iloc[0]
    return "" if share == 1 else f" ({share:g} × the published one)"


def _forwards(part: pd.DataFrame) -> str:
    zero = part[part["dose"] == 0].iloc[0]
    said = [f"β = 0 reaches {zero['mean']:.1%}, {zero['failed']} of {zero['n']} failed"]
    for variant in ("mixed", "exact"):
        rows = part[(part["variant"] == variant) & (part["dose"] > 0)].sort_values("dose")
        if len(rows):
            said.append(f"{names.VARIANTS[variant]}: {_doses(rows)}")
    return "; ".join(said)


def _doses(rows: pd.DataFrame) -> str:
    failed = rows[rows["failed"] > 0]
    if failed.empty:
        return f"none of {count(rows['n'].sum(), 'run')} failed up to β = {rows['dose'].max():g}"
    return listed(
        f"β = {row['dose']:g} failed in {row['failed']} of {row['n']}" + _how(row) for _, row in failed.iterrows()
    )


def _how(row: pd.Series) -> str:
    if not row["diverged"]:
        return " (at chance)"
    cause = row["cause"].partition(":")[0]
    return f" ({row['diverged']} diverged, the first after {count(row['first_divergence'], 'step')}: {cause})"


def _trained_once(outcomes: pd.DataFrame) -> pd.Series:
    """Rows that stand for runs of their own: beta = 0 and 1 are one program in both forwards."""
    return ~((outcomes["variant"] == "mixed") & outcomes["dose"].isin([0, 1]))
