"""Sawteeth: what the tables show, in sentences whose numbers are all computed."""

import pandas as pd

NAMES = {"bounded": "bounded-slope", "unit": "unit"}


def exact(table: pd.DataFrame, crossed: pd.DataFrame) -> str:
    """Say whether both sawteeth have 2^L pieces, and how often a level is crossed."""
    right, met = table["count"] == table["expected"], crossed["count"] == 2.0 ** crossed["levels"]
    return (
        f"Without noise, {right.sum()} of {len(right)} counts (regions and pieces of both families, up to "
        f"{table['levels'].max()} levels) are exactly $2^L$. The crossing lemma is an equality for them: a level drawn "
        f"uniformly from [0, 1] is met exactly $2^L$ times in {met.sum():,} of {len(met):,} draws (up to "
        f"{crossed['levels'].max()} levels), which is the measured variation."
    )


def noise(findings: pd.DataFrame, growth: pd.DataFrame, check: dict[str, float]) -> str:
    """Say how regions grow with depth and noise (C1, C3), what tiny noise does, and whether the bounds hold (C7)."""
    found = findings.set_index(["quantity", "family"])
    lines = [_growth(growth, family) for family in ("bounded", "unit") if family in set(growth["family"])]
    if ("plateau ratio", "bounded") in found.index:
        ratio, power = found.loc[("plateau ratio", "bounded")], found.loc[("plateau power", "bounded")]
        lines.append(
            f"**The plateau.** η x regions beyond the knee: largest over smallest {_ends(ratio)} over "
            f"the noises from $2^{{-4}}$ on; as a power of 1/η, {_ends(power)} (n = {ratio['n']:,.0f} draws)."
        )
    tiny = [(family, found.loc[("tiny noise, regions", family)]) for family in NAMES
            if ("tiny noise, regions", family) in found.index]  # fmt: skip
    if tiny:
        said = "; ".join(f"{NAMES[family]} x {_ends(row)} (n = {row['n']:.0f} draws)" for family, row in tiny)
        lines.append(
            f"**Tiny noise raises the count.** An exact sawtooth touches the threshold 0 at each minimum, and half of "
            f"all perturbations make two crossings of a touch. Regions over $2^L$: {said}."
        )
    lines.append(
        f"**The same numbers from another program.** {check['n']} means have a check value; the largest difference is "
        f"{check['largest']:.2f} standard errors ({check['limit']:.2f} would be significant at 5 % among so many), "
        f"the root mean square {check['rms']:.2f}."
    )
    return "\n\n".join(lines)


def bounds(findings: pd.DataFrame, updates: pd.DataFrame) -> str:
    """Say how much of each bound the means reach, and what relative noise adds to an update."""
    found, said = findings.set_index(["quantity", "family"]), []
    for quantity, name in (("noise bound", "measured variations"), ("linear bound", "1 + 2 L / η")):
        for family in NAMES:
            if (quantity, family) in found.index:
                row = found.loc[(quantity, family)]
                said.append(f"{NAMES[family]}, {name}: at most {row['measured']:.2g} of it in {row['cells']:.0f} cells")
    text = f"Mean regions over the bound, absolute noise: {'; '.join(said)}."
    if len(updates):
        reach = (updates["regions"] / updates["bound"]).max()
        loosest = (updates["bound"] / updates["regions"]).max()
        moved = (updates["regions"] / updates["without"] - 1).abs().max()
        text += (
            f" After one update with relative noise δ from $2^{{-{updates['neg_log2'].min()}}}$ to "
            f"$2^{{-{updates['neg_log2'].max()}}}$ (λ = {updates['step_size'].iloc[0]:g}), bound (2) is "
            f"{1 / reach:,.0f} to {loosest:.0e} times the mean count: it holds, and says little. There the noise moves "
            f"the mean count by at most {moved:.1%}: what changes the count is the update itself."
        )
    return text


def multiplied(table: pd.DataFrame) -> str:
    """Say what relative noise in every parameter leaves, and why plain float64 counts more."""
    said = ", ".join(f"{row['regions']:,.0f} at size {row['size']:g}" for _, row in table[::-1].iterrows())
    checked = table.dropna(subset="check")
    text = (
        f"Every parameter of the unit sawtooth of {table['levels'].iloc[0]} levels ({table['expected'].iloc[0]:,} "
        f"regions) multiplied by 1 + U(-e, e): {said} (means of {table['n'].iloc[0]} draws). Biases that are 0 stay 0, "
        f"so breakpoints of different neurons coincide exactly; plain float64 rounds them apart and counts "
        f"{table['split'].min() - 1:.1%} to {table['split'].max() - 1:.1%} more regions, in "
        f"{table['overcounted'].sum()} of {table['n'].sum()} draws."
    )
    if len(checked):
        inside = checked["check"].between(checked["naive_low"], checked["naive_high"]).sum()
        exact_inside = checked["check"].between(checked["regions_low"], checked["regions_high"]).sum()
        text += (
            f" Of {len(checked)} check values, counted in float64 on an unknown number of draws, {inside} lie in the "
            f"95 % interval of our float64 mean and {exact_inside} in that of the exact one."
        )
    return text


def executed(table: pd.DataFrame, vanishing: pd.DataFrame) -> str:
    """Say how many regions the executed sawtooth has, and from which depth on it is zero."""
    lines = []
    for storage, rows in table.groupby("storage", sort=False):
        rows = rows.sort_values("levels")
        full = rows[rows["regions"] == 2 ** rows["levels"]]["levels"].max()
        last = rows.iloc[-1]
        if rows["exhaustive"].all():
            gone = rows[rows["nonzero"] == 0]["levels"]
            zero = f", and is 0 everywhere from {gone.min()} levels on" if len(gone) else ""
            lines.append(
                f"- **{storage}** (all {rows['inputs'].iloc[0]:,} inputs): $2^L$ regions up to {full} levels, then "
                f"{last['regions']:,} at {last['levels']}; the output is 0 on [1/2, 1] from "
                f"{rows[rows['upper_nonzero'] == 0]['levels'].min()} levels on{zero}. Counted by z > 0, every exact "
                f"zero is a region of its own: {_strict(rows)}."
            )
        else:
            lines.append(
                f"- **{storage}** (five inputs around each cut): $2^L$ regions up to {full} levels; counted up to "
                f"{last['levels']}."
            )
    said = ", ".join(f"{row['storage']} {row['levels']}" for _, row in vanishing.iterrows())
    more = " or ".join(map(str, sorted(set(vanishing["excess"]))))
    return "\n".join(lines) + (
        f"\n\nFewest levels from which it is 0 on [1/2, 1]: {said}: {more} more than the "
        f"format has significant bits (fp32 and fp64 by sampling). Each level "
        "doubles the input and drops a leading bit: when the bits are used up, nothing is left. Training has no part "
        "in it, and as a real function the network has $2^L$ pieces all the while."
    )


def _strict(rows: pd.DataFrame) -> str:
    row = rows[rows["strict"] > rows["regions"]].iloc[0]
    row = next((one for _, one in rows.iterrows() if one["levels"] == 5), row)
    return f"{row['strict']:,} instead of {row['regions']:,} at {row['levels']} levels"


def _growth(growth: pd.DataFrame, family: str) -> str:
    rows = growth[growth["family"] == family]
    rejected, bent = int((rows["p_doubling"] < 0.01).sum()), rows[rows["p_line"] < 0.01]
    return (
        f"**{NAMES[family].capitalize()} sawtooth.** Beyond the knee regions grow like the power "
        f"{_span(rows['exponent'])} of the depth (95 % intervals from {rows['exponent_low'].min():.2g} to "
        f"{rows['exponent_high'].max():.2g}); a line has 1, and $2^L$ would have {_span(rows['exponential'])} over the "
        f"same depths. An exponential fit finds {_span(rows['doublings'])} doublings a level; that regions double with "
        f"each level is rejected (p < 0.01) at {rejected} of {len(rows)} noises, with {_span(rows['n'], '.0f')} draws "
        f"each; that they lie on a line at {len(bent)}, of which {(bent['bend'] < 0).sum()} grow ever more slowly."
    )


def _span(values: pd.Series, form: str = ".2g") -> str:
    ends = [format(end, form) for end in (values.min(), values.max())]
    return " to ".join(dict.fromkeys(ends))


def _ends(row: pd.Series) -> str:
    return f"{row['measured']:.3g} ({row['low']:.3g} to {row['high']:.3g})"
