"""The affine model and death on finite data (D2, D3) in sentences, every number computed."""

import pandas as pd

from kinks.report.dying_relu.single import percent, rule_name


def affine(powers: pd.DataFrame, thresholds: pd.DataFrame, overshoot: pd.DataFrame) -> str:
    """Say how closely the program follows the linear system, and when it oscillates."""
    worst, last = powers["error"].max(), thresholds.iloc[-1]
    without = overshoot[overshoot["momentum"] == 0]
    most = overshoot.loc[overshoot["overshoot"].idxmax()]
    wrong = int(((overshoot["overshoot"] > 0) != (overshoot["step"] > (1 - overshoot["momentum"] ** 0.5) ** 2)).sum())
    return (
        f"**A linear system (R4).** {len(powers)} runs of {powers['n'].iloc[0]} iterates each, in three conventions of "
        f"momentum, differ from the powers of the 2 x 2 matrix by at most {worst:.1g} of the first distance.\n\n"
        f"**Complex eigenvalues (R5).** Found by bisection, the eigenvalues turn complex at η h = (1 - √μ)² to "
        f"{thresholds['error'].max():.1g} relative, for {len(thresholds)} momenta up to {last['momentum']:g}; within "
        f"the range their modulus is √μ to {thresholds['radius_error'].max():.1g}. At μ = {last['momentum']:g} a step "
        f"of η h = {last['formula']:.3g} is enough. The optimum is passed exactly where η h exceeds the threshold: "
        f"{wrong} of {len(overshoot)} cells are exceptions. Without momentum no step below 1 / h overshoots (the "
        f"largest of {len(without)} is {without['overshoot'].max():.2g}); with μ = {most['momentum']:g} and η h = "
        f"{most['step']:g} it is passed by {percent(most['overshoot'])} of the first distance."
    )


def step(summary: pd.DataFrame, cells: pd.DataFrame) -> str:
    """Say how sharp the step of death without a target is, and what the sentence "iff complex" leaves out."""
    of = summary[summary["points"] == "all"].set_index("side")
    row = of.loc["any"]
    lines = [
        f"**A sharp step (R6).** {int(row['cells'])} cells of momentum and rate on {cells['points'].nunique()} data "
        f"sets, {int(row['n'])} starts in the live cone: {int(row['wrong'])} starts do other than η > (1 - √μ)² says, "
        f"and {int(row['late'])} cells die at another step than the linear system predicts, to the step."
    ]
    if "above" in of.index:
        above = of.loc["above"]
        lines.append(
            f"**More than complex eigenvalues.** Above η = (1 + √μ)² (dashed) the eigenvalues are real again, but one "
            f"is negative: {int(above['count'])} of {int(above['n'])} starts in {int(above['cells'])} such cells die, "
            "too. So a ReLU without a target dies if and only if η h > (1 - √μ)², not only where it oscillates; at μ = "
            "0, where no eigenvalue is ever complex, it dies for η h > 1."
        )
    return "\n\n".join(lines)


def deaths(table: pd.DataFrame) -> str:
    """Say how death on finite data depends on gamma and momentum, from the live cone."""
    rows = table[(table["where"] == "live") & (table["norm"] == "equal speed")]
    pooled = rows.groupby(["gamma", "momentum"], as_index=False)[["n", "count"]].sum()
    small, large = pooled["gamma"].min(), pooled["gamma"].max()
    parts = []
    for mu, one in pooled.groupby("momentum"):
        by = one.set_index("gamma")
        shares = [percent(by.loc[gamma, "count"] / by.loc[gamma, "n"]) for gamma in (small, large)]
        parts.append(f"{rule_name('sgd', mu)}: {shares[0]} at γ = {small:g}, {shares[1]} at γ = {large:g}")
    n = int(pooled["n"].iloc[0])
    died = rows[(rows["momentum"] > 0) & (rows["count"] > 0)]
    when = (
        f" Those that die do so after {died['death'].min():.0f} to {died['death'].max():.0f} steps."
        if len(died)
        else ""
    )
    return (
        f"**With a target.** From the live cone, {rows['points'].nunique()} data sets pooled ({n} starts per γ and "
        f"momentum), the share that dies at equal η/(1 - μ). {'; '.join(parts)}.{when} A larger γ takes the optimum "
        "away from the apex, and fewer overshoot into the dead cone."
    )
