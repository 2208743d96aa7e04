"""Controls (D8) in sentences, every number computed."""

import pandas as pd

from kinks.report.dying_relu.controls import LEAKS
from kinks.report.dying_relu.networks import optimiser_name, rule_and_start


def remedies(table: pd.DataFrame) -> str:
    """Say what each control changes at the smallest gamma, from `controls.against_none`."""
    rows, lines = table[table["gamma"] == table["gamma"].min()], []
    for (base, start, momentum), part in rows.groupby(["base", "initialisation", "momentum"], sort=False):
        known = part[part["n"] > 0]
        told = [
            f"{row.control} {100 * row.value:+.2g} [{100 * row.low:.2g}, {100 * row.high:.2g}]"
            for row in known.itertuples()
        ]
        lines.append(
            f"**{rule_and_start(base, momentum, 1e-8, start)}**, γ = {part['gamma'].iloc[0]:g}, change of the share "
            f"that died in percentage points (pairs of seeds, n = {int(known['n'].min())}): {'; '.join(told)}."
        )
    lines.append(
        f"With {LEAKS.removeprefix('leaky ')} a ReLU that is inactive everywhere still passes a gradient: it is "
        "inactive, not dead. Nesterov's form is that of SGD; clipping limits the norm of one network's gradient."
    )
    return "\n\n".join(lines)


def scales(single: pd.DataFrame, nets: pd.DataFrame) -> str:
    """Say how well first weights scaled up stand for targets scaled down."""
    wrong, total = int(single["different"].sum()), int(single["n"].sum())
    told = (
        f"**One ReLU.** Targets times 2^-p, or first weights times 2^p at γ = 1: {wrong} of {total:,} ReLUs differ in "
        f"any bit of their weights or in the step at which they die ({', '.join(_rules(single))}), while the share "
        f"that dies goes from {single['dead_by_gamma'].min():.0%} to {single['dead_by_gamma'].max():.0%}."
    )
    parts = []
    for depth, rows in nets.groupby("depth"):
        far = rows.loc[rows["first_scale"].idxmax()]
        parts.append(
            f"with {depth} hidden {'layer' if depth == 1 else 'layers'} (degree {depth + 1}), γ = {far['gamma']:.2g} "
            f"against first weights times {far['first_scale']:g}: {far['gained_by_gamma']:.2%} and "
            f"{far['gained_by_scale']:.2%} died, mean difference {100 * far['difference']:.2g} "
            f"[{100 * far['low']:.2g}, {100 * far['high']:.2g}] "
            f"percentage points (n = {far['n']:g}), test errors in the ratio {far['error_ratio']:.3f}"
        )
    return (
        told + "\n\n**Networks.** Without biases the output is of degree depth + 1 in the weights and the match would "
        "be exact; biases do not scale with the rest, so it is not: " + "; ".join(parts) + "."
    )


def _rules(single: pd.DataFrame) -> list[str]:
    pairs = single[["optimiser", "momentum"]].drop_duplicates()
    return [optimiser_name(*pair) for pair in pairs.itertuples(index=False)]
