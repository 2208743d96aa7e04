"""K1, K2 and K3 in sentences, every number computed."""

import pandas as pd

from kinks.report.affine_pieces.networks import MANY, share_within
from kinks.report.affine_pieces.selection import main
from kinks.report.affine_pieces.updates_figures import group_name, start_name

LIMIT = 0.001  # of dead neurons revived in a step, above which the second half of (A) is taken to fail


def updates(cells: pd.DataFrame, slopes: pd.DataFrame, tails: pd.DataFrame) -> str:
    """What K1 shows."""
    plain = main(cells)
    fitted = slopes[(slopes["hidden_layers"] == 0) & (slopes["statistic"] == "median")]
    fitted = main(fitted).sort_values("step")
    lines = [
        f"**Zeros.** In {len(plain)} cells of T1 from the library's default (depth x width x step, "
        f"{int(plain['networks'].min())} to {int(plain['networks'].max())} networks each) between "
        f"{plain['zero_fraction'].min():.0%} and {plain['zero_fraction'].max():.0%} of the updates are exactly zero, "
        f"{plain['zero_fraction'].mean():.0%} on average.",
        *_tail(cells, tails),
    ]
    if len(fitted):
        first, last = fitted.iloc[0], fitted.iloc[-1]
        lines.append(
            f"**Growth with the width.** The median grows as N^p with p = {_interval(first, 'p')} at step "
            f"{first['step']} and {_interval(last, 'p')} at step {last['step']} (common slope of all depths, "
            f"n = {last['n']} networks), so the bound's power of N, 1 + p, is {last['power']:.2f} there; the paper "
            f"finds 2 in practice." + _shallow(slopes)
        )
    return "\n\n".join(lines)


def _shallow(slopes: pd.DataFrame) -> str:
    """The depth and step whose median grows fastest."""
    each = main(slopes[(slopes["hidden_layers"] > 0) & (slopes["statistic"] == "median")])
    if each.empty:
        return ""
    row, over = each.loc[each["p"].idxmax()], each[each["low"] > 2]
    return (
        f" By depth and step the slopes scatter: {len(over)} of {len(each)} have 1 + p above 2 with the whole "
        f"interval; the largest p is at step {row['step']} with {row['hidden_layers']} hidden "
        f"layer{'s' if row['hidden_layers'] > 1 else ''}, {_interval(row, 'p')} (n = {row['n']})."
    )


def _tail(cells: pd.DataFrame, tails: pd.DataFrame) -> list[str]:
    if tails.empty:
        return ["**Reciprocals.** No cell of this run has the 200 non-zero updates that a tail index needs."]
    by_time = tails[tails["task"] == "all"].set_index("when")
    whole, mean = by_time.loc["all"], cells["mean"] / cells["median"]
    named = {"step 0": "at step 0", "later": "later"}
    times = ", ".join(f"{row['tail_index']:.2f} {named[when]}" for when, row in by_time.iterrows() if when in named)
    return [
        f"**Reciprocals.** Hill's tail index of 1/|update| is {whole['tail_index']:.2f} "
        f"[{whole['low']:.2f}, {whole['high']:.2f}] on average over {whole['n']} cells ({times}; cells from "
        f"{whole['smallest']:.2f} to {whole['largest']:.2f}; {whole['reciprocals']:,} non-zero "
        f"updates). Relative to the median of their own layer and network it is {whole['scaled']:.2f} "
        f"[{whole['scaled_low']:.2f}, {whole['scaled_high']:.2f}]. Gradients with a density near 0 make it 1, and at "
        "or below 1 the mean of the reciprocals is infinite: what a sample calls its mean "
        f"({mean.median():,.0f} times the median in the middle cell, {mean.max():.1g} times at most) is set by "
        "its smallest update and its size. Assumption (A) can therefore hold with high probability, not on average; "
        "median and trimmed mean are what can be fitted."
    ]


def _interval(row: pd.Series, name: str) -> str:
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"


def assumptions(revived: pd.DataFrame, growth: pd.DataFrame) -> str:
    """What K2 shows."""
    above = revived[revived["low"] > LIMIT]
    below = revived[revived["high"] < LIMIT]
    total = revived["revived"].sum()
    lines = [
        f"**Dead neurons.** Over all recorded steps {total:,} of {revived['dead'].sum():,} neurons dead on the domain "
        f"were alive after the step. The share lies above {LIMIT:.1%} with its whole interval in {len(above)} of "
        f"{len(revived)} groups of networks, below it in {len(below)}"
        + (f"; highest in {_worst(revived)}." if total else ".")
        + _first_step(revived)
        + f" {revived['crossing_unmoved'].sum():,} of {revived['alive'].sum():,} living neurons change sign on the "
        "segment with a gradient of exactly zero: bound (2) is infinite for their networks.",
    ]
    stopped = revived["stopped"].sum()
    if stopped:
        lines.append(f"{stopped} of {revived['n'].sum()} runs reached numbers that are not finite; they are left out.")
    said = []
    for row in growth.itertuples():
        when = "at initialisation" if row.step < 0 else f"at step {row.step}"
        depths = f"{row.shallowest} to {row.deepest} hidden layers, n = {row.n}"
        text = f"x {row.factor:.3f} [{row.low:.3f}, {row.high:.3f}] {when} ({depths})"
        said.append((row.init, row.bias_sd, text))
    parts = []
    for init, sd in dict.fromkeys((one[0], one[1]) for one in said):
        of_start = [text for a, b, text in said if (a, b) == (init, sd)]
        if init == "sawtooth":
            parts.append(f"the unit sawtooth's x {growth[growth['init'] == 'sawtooth']['factor'].iloc[0]:.3f}, exactly")
        else:
            parts.append(f"{start_name(init, sd)}: {'; '.join(_ends(of_start, growth, init, sd))}")
    return "\n\n".join([*lines, "**Slopes.** C_B per hidden layer: " + ". ".join(parts) + "."])


def _ends(said: list[str], growth: pd.DataFrame, init: str, sd: float) -> list[str]:
    """Of the sentences on one start: the first, that of the last step all depths have, and the last."""
    rows = growth[(growth["init"] == init) & (growth["bias_sd"] == sd)].reset_index(drop=True)
    kept = {0, int(rows.index[rows["deepest"] == rows["deepest"].max()].max()), len(said) - 1}
    return [said[place] for place in sorted(kept)]


def _first_step(revived: pd.DataFrame) -> str:
    plain = revived[(revived["rule"] == "descent") & (revived["batch"] == 0) & revived["at_start"].gt(revived["share"])]
    plain = plain.sort_values("at_start", ascending=False).head(3)
    said = [f"{row.at_start:.1%} ({group_name(row)})" for row in plain.itertuples()]
    return f" The first step alone revives {'; '.join(said)}." if said else ""


def _worst(revived: pd.DataFrame) -> str:
    row = revived.loc[revived["share"].idxmax()]
    return f"{group_name(row)}: {row['share']:.2%} of {row['dead']:,} (n = {row['n']} networks)"


def regions(table: pd.DataFrame, kept: pd.DataFrame, width: pd.DataFrame) -> str:
    """What K3 shows of training."""
    plain = main(table)
    ends = plain.groupby(["hidden_layers", "width"]).apply(_change, include_groups=False)
    random = kept[kept["start"] == "random"].iloc[0]
    saw = kept[kept["start"] != "random"]
    differ = table[(table["regions"] != table["pieces"])]
    lines = [
        f"**In training.** Over T1 from the default start ({len(ends)} shapes), regions change by factors of "
        f"{ends.min():.2f} to {ends.max():.2f} between the first and the last recorded step; the largest growth is at "
        "{} hidden layers, width {}. ".format(*ends.idxmax())
        + f"No network of any task, rule or random start has more than {random['most_per_neuron']:.2f} regions per "
        "neuron at any recorded step.",
        f"**Many regions do not appear, let alone stay.** {random['count']} of {random['n']} runs from random starts "
        f"have more than {MANY} regions per neuron at all recorded steps ({random['at_some_step']} at some step)"
        + "".join(f"; {row['count']} of {row['n']} that start at the unit sawtooth do" for _, row in saw.iterrows())
        + ".",
        f"Regions and pieces differ in {len(differ)} of {len(table)} cells (means over seeds), by at most "
        f"{((table['regions'] - table['pieces']) / table['regions']).max():.0%}: there a change of pattern leaves the "
        "output's slope alone.",
    ]
    plain_width = width[width["init"] == "default"]
    if len(plain_width):
        last = plain_width.sort_values("step").iloc[-1]
        lines.append(
            f"Regions grow as N^{last['power']:.2f} [{last['low']:.2f}, {last['high']:.2f}] with the width at step "
            f"{last['step']} (n = {last['n']} networks): linearly, where the bound allows the square."
        )
    return "\n\n".join(lines)


def _change(group: pd.DataFrame) -> float:
    group = group.sort_values("step")
    return group["regions"].iloc[-1] / group["regions"].iloc[0]


def starts(table: pd.DataFrame, linear: pd.DataFrame) -> str:
    """What K3 shows at initialisation, and how it compares with our pilot."""
    within, known, worst = share_within(table)
    said = [
        f"{start_name(row.init, row.bias_sd)}, width {row.width}: {row.ratio:.2f} [{row.low:.2f}, {row.high:.2f}] "
        f"(n = {row.n})"
        for row in linear.itertuples()
    ]
    check = f" Our pilot's table agrees within three standard errors in {within} of {known} rows (largest {worst:.1f})."
    depths = f"{linear['deepest'].max()} against {linear['shallowest'].min()}" if len(linear) else "deepest, shallowest"
    return (
        f"**At initialisation.** Regions per neuron with {depths} hidden layers, as a ratio: " + "; ".join(said) + "."
        + (check if known else "")
    )  # fmt: skip
