"""Learning-rate searches (M7, E13) in sentences, every number computed."""

import pandas as pd

from kinks.report.training import names
from kinks.report.training.search import CELL
from kinks.report.training.search_figures import symbol, title


def text(trials: pd.DataFrame, choices: pd.DataFrame, ranges: pd.DataFrame, transfer: pd.DataFrame, source: str) -> str:
    """Say what the tables of `kinks.report.training.search` show, cell by cell."""
    lines = [f"Data: {source}.", _counts(trials)]
    for key, part in trials.groupby(CELL, sort=True):
        letter = symbol(part)
        tables = [_of(table, key) for table in (choices, ranges, transfer)]
        said = [f"**{key[0]}: {title(part.iloc[0])}**.", *_selected(tables[0], letter)]
        said += [*_useful(tables[1], letter), *_moved(tables[0]), *_carried(tables[2], letter)]
        lines.append(" ".join(said))
    return "\n\n".join(lines)


def _of(table: pd.DataFrame, key: tuple) -> pd.DataFrame:
    return table[(table[CELL] == list(key)).all(axis=1)] if len(table) else table


def _counts(trials: pd.DataFrame) -> str:
    diverged, pruned = int(trials["diverged"].sum()), int(((trials["state"] == "pruned") & ~trials["diverged"]).sum())
    studies = len(trials.drop_duplicates([*CELL, "dose", "variant", "seed"]))
    return (
        f"{len(trials)} trials in {studies} searches: {diverged} diverged, which stopped none of them, and {pruned} "
        "others were given up early."
    )


def _name(row: pd.Series, letter: str) -> str:
    form = "" if row["dose"] == 0 else f" ({names.ARMS[row['variant']]})"
    return f"{letter} = {row['dose']:,g}{form}"


def _selected(choices: pd.DataFrame, letter: str) -> list[str]:
    """The rate that repeated searches select, and whether it moves with the dose."""
    base = choices[choices["dose"] == 0]
    said = []
    if len(base) and base["rate"].notna().any():
        row = base.iloc[0]
        spread = "" if row["spread"] != row["spread"] else f", {row['spread']:.2f} decades apart (standard deviation)"
        said.append(f"At {letter} = 0, {row['n']} searches select {row['rate']:.2g} on average{spread}.")
    known = choices[(choices["dose"] != 0) & choices["ratio"].notna()]
    told = [_ratio(row, letter) for _, row in known[known["p"] < 0.05].iterrows()]
    if told:
        said.append("Selected rate over that of 0: " + "; ".join(told) + ".")
    rest = [_ratio(row, letter) for _, row in known[~(known["p"] < 0.05)].iterrows()]
    if rest:
        said.append("Not told apart from the rate of 0: " + "; ".join(rest) + ".")
    none = choices[choices["rate"].isna()]
    if len(none):
        said.append(
            "No trial that had learnt anything was left to select: "
            + ", ".join(_name(row, letter) for _, row in none.iterrows())
            + "."
        )
    return said


def _ratio(row: pd.Series, letter: str) -> str:
    ends = "" if row["ratio_low"] != row["ratio_low"] else f" [{row['ratio_low']:.2g}, {row['ratio_high']:.2g}]"
    return f"{_name(row, letter)} x {row['ratio']:.2g}{ends}"


def _useful(ranges: pd.DataFrame, letter: str) -> list[str]:
    said = []
    for _, row in ranges.sort_values("dose", key=abs).iterrows():
        if row["useful"]:
            span = f"trains from {row['lowest']:.2g} to {row['highest']:.2g}"
        else:
            span = f"trains at none of {row['n']} rates"
        if row["verdict"] in ("fewer rates", "more rates"):
            span += (
                f", {row['verdict']} than 0 ({row['lost']} of {row['base']} lost, {row['won']} won, p = {row['p']:.2g})"
            )
        elif row["verdict"] == "same runs":
            span += f", with the bits of 0 in all {row['pairs']} shared rates"
        said.append(f"{_name(row, letter)} {span}")
    return ["; ".join(said) + "."] if said else []


def _moved(choices: pd.DataFrame) -> list[str]:
    moved, n = int(choices["moved"].sum()), int(choices["n"].sum())
    able = choices.dropna(subset="gain")
    if able.empty:
        return []
    gain = 100 * (able["gain"] * able["n"]).sum() / able["n"].sum()
    shift = (able["shift"] * able["n"]).sum() / able["n"].sum()
    return [
        f"Selecting on test images takes another trial in {moved} of {n} searches, {shift:.2f} decades away on "
        f"average, and reports {gain:.2f} points more."
    ]


def _carried(transfer: pd.DataFrame, letter: str) -> list[str]:
    said = []
    for _, row in transfer.iterrows():
        if row["failed_own"] == row["n"]:
            said.append(f"{_name(row, letter)} has no own rate")
            continue
        ends = "" if row["low"] != row["low"] else f" [{100 * row['low']:.1f}, {100 * row['high']:.1f}]"
        lost = f", {row['failed_of_zero']} of {row['n']} diverge there" if row["failed_of_zero"] else ""
        said.append(f"{_name(row, letter)} {100 * row['loss']:.1f} points{ends}{lost}")
    return ["Lost at the rate of 0 against the own one: " + "; ".join(said) + "."] if said else []
