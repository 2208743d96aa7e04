"""Training with another ReLU'(0) (E4 to E13) in sentences, every number computed."""

import pandas as pd

from kinks.report import training
from kinks.report.relu_prime.sweep import EXPERIMENT
from kinks.report.training import names


def text(
    screened: pd.DataFrame, bounds: pd.DataFrame, causes: pd.DataFrame, opposite: pd.DataFrame, interplay: pd.DataFrame
) -> str:
    """Say what a sweep shows, from the tables `screening`, `training.boundary`, `training.causes`, `signs`,
    `interplay`.
    """
    parts = [met(screened), answer(bounds), signs(opposite), dropout(interplay)]
    for name, group in bounds.groupby(EXPERIMENT, sort=False):
        parts.append(f"### {name}")
        parts.append(training.say_boundary(group.drop(columns=EXPERIMENT), "alpha"))
        both = causes[causes[EXPERIMENT] == name]
        parts.append(training.say_causes(both.drop(columns=EXPERIMENT), "alpha") if len(both) else "")
    return "\n\n".join(filter(None, parts))


def met(screened: pd.DataFrame) -> str:
    """Say how often networks that train meet a ReLU input of exactly 0, without which no choice could matter."""
    lines = []
    for (label, every), group in screened.groupby(["precision", "zero_every"], sort=False):
        seeds, seen, zeros = (int(group[name].sum()) for name in ("seeds", "met", "zeros"))
        line = f"{names.precision(label)}: {seen} of {seeds} networks met one"
        if zeros:
            per = zeros / group["evaluations"].where(group["zeros"] > 0, 0).fillna(0).sum()
            line += f", {zeros / seen:.3g} each on average, {per:.1g} per evaluation where any was met"
        if every:
            line += (
                f"; here the input nearest to 0 was rounded to 0 once in {every} mini-batches, which moved it by "
                f"{group['moved'].median():.1g} at most in the median run"
            )
        lines.append(f"- {line}")
    return "**ReLU inputs of exactly 0**, while training with ReLU'(0) = 0:\n\n" + "\n".join(lines)


def answer(bounds: pd.DataFrame) -> str:
    """Answer the causal question: from which ReLU'(0) on each rule does harm, and up to which none was found."""
    lines = []
    for label, group in bounds[bounds["verdict"] != "no kink met"].groupby("precision", sort=False):
        said = [_rule(part, variant) for variant, part in group.groupby("variant", sort=True)]
        lines.append(f"- {names.precision(label)}: " + "; ".join(said) + ".")
    if not lines:
        return ""
    return "**Where harm begins**, over all networks, optimisers and rates of a precision:\n\n" + "\n".join(lines)


def _rule(part: pd.DataFrame, variant: str) -> str:
    harmed = part[part["harm"].notna()]
    name = names.VARIANTS[variant]
    if harmed.empty:
        return (
            f"{name}: no significant loss in any of {len(part)} (cell and sign), up to |α| = {part['largest'].max():g}"
        )
    least = harmed.loc[harmed["harm"].idxmin()]
    sign = "−" if least["side"] == "negative" else ""
    line = f"{name}: a significant loss in {len(harmed)} of {len(part)} (cell and sign), the first at α = {sign}"
    line += f"{least['harm']:g} ({100 * least['harm_difference']:+.1f} points, {100 * least['harm_low']:+.1f} to "
    line += f"{100 * least['harm_high']:+.1f}, n = {least['harm_n']:.0f}, p = {least['harm_p']:.2g})"
    most = harmed["harm"].max()
    return line + (f"; in others it begins as late as |α| = {most:g}" if most > least["harm"] else "")


def signs(opposite: pd.DataFrame) -> str:
    """Say whether a negative ReLU'(0) harms more than a positive one of the same size, under the released rule."""
    rows = opposite[opposite["variant"] == names.PUBLISHED[0]]
    told = rows[(rows["high"] < 0) | (rows["low"] > 0)]
    if rows.empty:
        return ""
    worse = int((told["difference"] < 0).sum())
    line = (
        f"**Signs.** Under the released rule a negative value ends lower than the positive one of the same size in "
        f"{worse} of {len(rows)} comparisons whose 95 % interval excludes 0, higher in {len(told) - worse}; "
        f"{rows['failed'].sum()} of {rows['n'].sum()} runs failed with a negative value, "
        f"{rows['failed_against'].sum()} with the positive one."
    )
    return line + (
        " A step along a gradient of α lowers the pre-activation where α is positive, which at worst switches the unit "
        "off, and raises it where α is negative, which feeds all later layers."
    )


def dropout(interplay: pd.DataFrame) -> str:
    """Say whether dropout changes what ReLU'(0) does."""
    if interplay.empty:
        return ""
    lines = []
    for _, row in interplay.iterrows():
        where = f"{names.VARIANTS[row['variant']]}, α = {row['dose']:g}, dropout {row['dropout']:g}"
        size = " to ".join(f"{100 * row[end]:+.1f}" for end in ("low", "high"))
        lines.append(f"- {where}: {100 * row['difference']:+.1f} points ({size}, n = {row['n']})")
    return "**Dropout.** What α does with dropout, less what it does without:\n\n" + "\n".join(lines)
