"""Training sweeps in sentences, every number computed."""

from collections.abc import Callable, Iterable

import pandas as pd

from kinks.report.training import names
from kinks.report.training.cells import split
from kinks.report.training.verdicts import is_equal, tested, trained_alone

SHORT = {"assign": "released rule", "chain": "chain rule", "mixed": "released forward", "exact": "exact forward",
         "reordered": "examples reordered"}  # fmt: skip
SIZED = (*names.LOSS, "higher", "undecided", "no difference found")


def say_summary(summary: pd.DataFrame, dose: str = "alpha") -> str:
    """Say, cell by cell, how well dose 0 trains and which runs failed, after how many steps and where."""
    return _by_network(summary, lambda cell: _trained(cell, names.SYMBOLS[dose]))


def _by_network(table: pd.DataFrame, say: Callable[[pd.DataFrame], str]) -> str:
    """A heading per network, an item per precision and rate."""
    parts = []
    for _, group in table.groupby(names.NETWORK, sort=False):
        items = [f"- {names.setting(cell.iloc[0])}: {say(cell)}." for cell in split(group)]
        parts.append(f"**{names.heading(group.iloc[0])}**\n\n" + "\n".join(items))
    return "\n\n".join(parts)


def _trained(cell: pd.DataFrame, symbol: str) -> str:
    zero = cell[(cell["dose"] == 0) & (cell["variant"] != names.REORDERED)]
    line = "not trained"
    if len(zero):
        row = zero.iloc[0]
        ends = f", {row['low']:.1%} to {row['high']:.1%}" if row["low"] == row["low"] else ""
        line = f"{symbol} = 0 reaches {row['mean']:.1%} ({count(row['n'], 'run')}{ends})"
    failed = cell[cell["failed"] > 0]
    said = [f"{SHORT[row['variant']]}, {symbol} = {row['dose']:g}: {_failed(row)}" for _, row in failed.iterrows()]
    return line + ("; failed: " + "; ".join(said) if said else "; no run failed")


def _failed(row: pd.Series) -> str:
    said = f"{row['failed']} of {row['n']}"
    if not row["diverged"]:
        return said + ", at chance"
    return said + f", the first after {count(row['first_divergence'], 'step')} ({row['cause']})"


def say_effects(effects: pd.DataFrame, dose: str = "alpha") -> str:
    """Say, cell by cell and variant by variant, what each dose does against what it was held against."""
    symbol = names.SYMBOLS[dose]
    return _by_network(effects, lambda cell: f"{count(cell['n'].min(), 'pair')} each; {_variants(cell, symbol)}")


def _variants(cell: pd.DataFrame, symbol: str) -> str:
    parts = cell.groupby("variant", sort=False)
    return "; ".join(f"{SHORT[variant]}: {_doses(rows, symbol)}" for variant, rows in parts)


def _doses(rows: pd.DataFrame, symbol: str) -> str:
    """The doses of one variant by their verdicts, with sizes where there is one to tell."""
    said = []
    for verdict, part in rows.groupby("verdict", sort=False):
        doses = part.sort_values("dose")
        if verdict in SIZED:
            values = [f"{symbol} = {row['dose']:g} {_size(row)}" for _, row in doses.iterrows()]
            said.append(f"{verdict} at " + ", ".join(values))
        else:
            ends = (
                f" ({interval(doses['trained_low'].min(), doses['trained_high'].max())})"
                if verdict not in names.SAME
                else ""
            )
            said.append(f"{verdict} at {symbol} = " + listed(f"{value:g}" for value in doses["dose"]) + ends)
    return ", ".join(said)


def _size(row: pd.Series) -> str:
    """The difference that was tested, with its interval."""
    difference, low, high = tested(row)
    failed = ""
    if row["failed"] or row["failed_against"]:
        failed = f"{row['failed']} of {row['n']} failed, against {row['failed_against']}; "
        failed += "where both trained " if trained_alone(row) else ""
    return f"({failed}{signed(difference)} points, {interval(low, high)}; p = {row['p']:.2g})"


def say_boundary(bounds: pd.DataFrame, dose: str = "alpha") -> str:
    """Say, cell by cell, from which dose on there is a loss, and up to which there is none."""
    symbol = names.SYMBOLS[dose]
    return _by_network(bounds, lambda cell: "; ".join(_bound(row, symbol) for _, row in cell.iterrows()))


def _bound(row: pd.Series, symbol: str) -> str:
    size = f"|{symbol}|" if row["side"] == "negative" else symbol
    said = f"{SHORT[row['variant']]}: {row['verdict']}"
    if row["harm"] == row["harm"]:
        failed = f"{row['harm_failed']:.0f} of {row['harm_n']:.0f} failed; " if row["harm_failed"] else ""
        said = f"{SHORT[row['variant']]}: loss from {size} = {row['harm']:g} ({failed}{signed(row['harm_difference'])} "
        said += (
            f"points, {interval(row['harm_low'], row['harm_high'])}; p = {row['harm_p']:.2g}, n = {row['harm_n']:.0f})"
        )
        said += "" if row["monotone"] else ", not at every larger one"
    if row["equal"] == row["equal"] and row["verdict"] != "no kink met":
        ends = interval(row["equal_low"], row["equal_high"])
        said += f", equal to 0 up to {size} = {row['equal']:g} ({ends}; n = {row['equal_n']:.0f})"
    return said


def say_causes(causes: pd.DataFrame, dose: str = "alpha") -> str:
    """Answer the causal question: which of the two harms, in how many cells and doses, and where."""
    if causes.empty:
        return "No dose was trained in both variants."
    symbol, counts = names.SYMBOLS[dose], causes["cause"].value_counts()
    lines = [f"Both variants were trained at {len(causes)} combinations of a cell and a dose: {_counted(counts)}."]
    for cause in (word for word in counts.index if word not in ("no kink met", "neither")):
        lines.append(f"{cause.capitalize()} (released; corrected, points):")
        lines.append(_by_network(causes[causes["cause"] == cause], lambda cell: _pairs(cell, symbol)))
    return "\n\n".join([*lines, _worst(causes, symbol)])


def _counted(counts: pd.Series) -> str:
    return listed(f"{word} {number}" for word, number in counts.items())


def _pairs(cell: pd.DataFrame, symbol: str) -> str:
    sizes = zip(cell["dose"], cell["published_difference"], cell["corrected_difference"], strict=True)
    return listed(
        f"{symbol} = {dose:g} ({signed(released)}; {signed(corrected)})" for dose, released, corrected in sizes
    )


def _worst(causes: pd.DataFrame, symbol: str) -> str:
    """The largest loss with the corrected derivative: how much there could be that was not found."""
    row = causes.loc[causes["corrected_difference"].idxmin()]
    return (
        f"Corrected, the lowest difference from dose 0 is {signed(row['corrected_difference'])} points "
        f"({interval(row['corrected_low'], row['corrected_high'])}; n = {row['corrected_n']}, p = "
        f"{row['corrected_p']:.2g}), at {symbol} = {row['dose']:g}, {names.cell(row)}."
    )


def say_kinks(effects: pd.DataFrame, dose: str = "alpha") -> str:
    """Say how many kinks the compared runs met, and which comparisons could not have shown an effect."""
    rows = effects[(effects["variant"] != names.REORDERED) & effects["kinks"].notna()]
    lines = []
    for label, part in rows.groupby("precision", sort=False):
        runs, met = int(part["n"].sum()), int(part["met"].sum())
        total = f"{part['kinks'].sum():,.0f} in all"
        lines.append(f"{names.precision(label)}: {met} of {runs} runs met a {names.KINKS[dose]}, {total}")
    silent = int(rows["verdict"].eq("no kink met").sum())
    said = f"{listed(lines)}." if lines else "Kinks were not counted."
    if silent:
        said += f" {count(silent, 'comparison')} of {len(rows)} met none in any run and could not have shown an effect."
    same = rows["verdict"].eq("exactly equal")
    if same.any():
        said += f" {count(int(same.sum()), 'comparison')} met some and changed no bit of the outcome."
    equal = int((is_equal(rows) & ~rows["verdict"].isin(names.SAME)).sum())
    return said + f" {count(equal, 'comparison')} could have shown an effect and lie within the margin."


def count(number: float, noun: str) -> str:
    """Return a number with its noun in the right form: "1 run", "6 runs"."""
    return f"{int(number)} {noun}" + ("" if int(number) == 1 else "s")


def signed(share: float) -> str:
    """Return a difference of shares in points, with its sign: "+0.3", "−83"."""
    points = 100 * share
    if abs(points) < 0.05:
        return "0.0"
    return f"{points:+.{1 if abs(points) < 9.95 else 0}f}".replace("-", "−")


def interval(low: float, high: float) -> str:
    """Return an interval of a difference in points; "no interval" for a single pair."""
    return f"{signed(low)} to {signed(high)}" if low == low else "no interval"


def listed(values: Iterable[str]) -> str:
    """Return values with commas between them."""
    return ", ".join(values)
