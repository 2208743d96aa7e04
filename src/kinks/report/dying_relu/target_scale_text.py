"""Target scale on regression data (D1) in sentences, every number computed."""

import pandas as pd

from kinks.report.dying_relu.networks import RULE, optimiser_name, rule_and_start, start_name
from kinks.report.dying_relu.target_scale_figures import label_of


def setup(rows: pd.DataFrame) -> str:
    """Say on what and how long the networks of `kinks.dying.sweep.job`'s rows were trained."""
    told = []
    for name, part in rows.groupby("data", sort=False):
        first = part.iloc[0]
        origin = "a synthetic teacher" if first["source"] == "teacher" else f"from {first['source']}"
        told.append(f"{name} ({origin}; {first['train_rows']:,} training rows, {first['inputs']} inputs)")
    seeds, steps = rows["seed"].nunique(), rows["step"].max()
    coarse = sorted(set(rows.loc[rows["train_rows"] <= 1000, "data"]))
    line = f"Data: {label_of(told)}. {seeds} seeds of weights and mini-batches each, {steps:,} steps."
    if coarse:
        line += (
            f" On {label_of(coarse)} a ReLU that is active on a single training row is active on more than a "
            "thousandth of them, so there nearly dead and dead are the same."
        )
    return line


def best(table: pd.DataFrame) -> str:
    """Say where the best gamma lies, from `target_scale.best_scale`."""
    lines = []
    for choice, said in (("chosen", "With the rate chosen once, at γ = 1"), ("retuned", "With the rate chosen anew")):
        rows = table[(table["choice"] == choice) & (table["n"] > 0)]
        if rows.empty:
            continue
        far, close = (rows.loc[rows["gain"].agg(pick)] for pick in ("idxmax", "idxmin"))
        lines.append(
            f"**{said}**, the best γ is within a factor 10 of 1 in {rows['near'].sum()} of {rows['sets'].sum()} cases "
            f"(data sets x optimisers x first weights). The error there is lower than at the best γ farther off by a "
            f"factor {_factor(close)} to {_factor(far)}."
        )
    return "\n\n".join(lines)


def _factor(row: pd.Series) -> str:
    named = rule_and_start(*(row[name] for name in (*RULE, "initialisation")))
    return f"{10 ** row['gain']:.3g} [{10 ** row['low']:.3g}, {10 ** row['high']:.3g}] ({named})"


def apart(table: pd.DataFrame) -> str:
    """Say how undertraining and death are told apart, from `target_scale.cells`."""
    rows = table[table["choice"] == "chosen"]
    small, lines = rows["gamma"].min(), []
    for key, part in rows[rows["gamma"] == small].groupby([*RULE, "initialisation"], sort=False):
        lines.append(
            f"- {rule_and_start(*key)}: {part['worse'].mean():.0%} of the networks are worse than the constant "
            f"prediction (median normalised test error {part['test_error'].median():.2g}), "
            f"{part['worse_alive'].mean():.0%} are so without having lost a ReLU; {part['gained'].mean():.1%} of all "
            "ReLUs died"
        )
    head = (
        f"At γ = {small:g}, after the last step, with the rate chosen at γ = 1. What is worse than the constant "
        "has its first outputs still to unlearn: undertraining, whatever has died.\n\n"
    )
    return head + "\n".join(lines)


def rest(table: pd.DataFrame) -> str:
    """Say whether training had come to rest, from `target_scale.progress`: the smallest gamma against gamma = 1."""
    lines = []
    for key, part in table.groupby([*RULE, "initialisation"], sort=False):
        ends = part.set_index("gamma")
        small = ends.index.min()
        if 1.0 in ends.index:
            lines.append(
                f"{optimiser_name(*key[:3])} ({start_name(key[3])}): {ends.loc[small, 'fall']:.3g} against "
                f"{ends.loc[1.0, 'fall']:.3g}"
            )
    first = table.iloc[0]
    return (
        f"Between steps {first['before']} and {first['after']} the training error still fell by these factors at the "
        f"smallest γ and at γ = 1 (1 would be rest): {'; '.join(lines)}."
    )


def effects(table: pd.DataFrame) -> str:
    """Say what small targets and momentum do to the share that dies, from `effects.all_measures`."""
    lines = []
    for measure, wanted, said in (
        ("excess", "chosen", "Share that died at γ = 0.01 less that at γ = 1, rate chosen at γ = 1"),
        (
            "momentum at equal speed",
            "chosen",
            "At γ = 0.01, with momentum less without, at the η/(1 - μ) of the latter",
        ),
        ("momentum at equal speed", "every", "The same over every η/(1 - μ)"),
        ("momentum at equal rate", "every", "The same at equal η, over every η that both have"),
    ):
        rows = table[(table["measure"] == measure) & (table["choice"] == wanted)]
        above, below = rows[rows["low"] > 0], rows[rows["high"] < 0]
        if len(rows):
            told = [
                f"above 0 in {len(above)} of {len(rows)} sweeps{_listed(above)}",
                f"below in {len(below)}{_listed(below)}",
            ]
            lines.append(f"**{said}** (percent of all ReLUs, n = {int(rows['n'].min())}): " + "; ".join(told) + ".")
    return "\n\n".join(lines)


def _listed(rows: pd.DataFrame) -> str:
    parts = [
        f"{row.data}, {start_name(row.initialisation)}, {optimiser_name(row.optimiser, row.momentum, row.epsilon)} "
        f"{100 * row.value:.2g} [{100 * row.low:.2g}, {100 * row.high:.2g}]"
        for row in rows.itertuples()
    ]
    return f" ({'; '.join(parts)})" if parts else ""


def epsilon(table: pd.DataFrame) -> str:
    """Say what Adam's epsilon changes at the smallest gamma, from `target_scale.epsilon`."""
    if table.empty:
        return "No other epsilon was run."
    default = table[table["epsilon"] == 1e-8].set_index("rate")
    parts = []
    for row in table[table["epsilon"] != 1e-8].itertuples():
        if row.rate in default.index:
            there = default.loc[row.rate]
            parts.append(
                f"ε = {row.epsilon:g} at rate {row.rate:g}: {row.gained:.2%} died against {there['gained']:.2%}, "
                f"normalised error {row.test_error:.4g} against {there['test_error']:.4g}"
            )
    first = table.iloc[0]
    return f"Adam at γ = {first['gamma']:g} on {first['data']}, beside ε = 1e-08: " + "; ".join(parts) + "."
