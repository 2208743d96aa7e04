"""Where harm begins: the boundary in dose, for each precision and learning rate."""

import numpy as np
import pandas as pd

from kinks.report.training.cells import split
from kinks.report.training.names import CELL, LOSS, REORDERED
from kinks.report.training.verdicts import is_equal, tested

SIDES = {1.0: "positive", -1.0: "negative"}
TESTED = ("difference", "low", "high")
HARM = ("n", *TESTED, "p", "failed")
EQUAL = ("n", *TESTED)
FIXED = ["doses", "largest", "n"]
COLUMNS = [*CELL, "rates", "variant", "side", *FIXED, "harm", *(f"harm_{name}" for name in HARM), "equal"]
COLUMNS += [*(f"equal_{name}" for name in EQUAL), "monotone", "margin", "verdict"]


def boundary(effects: pd.DataFrame) -> pd.DataFrame:
    """Return where harm begins: one row per cell, variant and side (sign of the dose).

    Columns: CELL, rates, variant, side; `doses` tested, the `largest` of them, the fewest pairs `n` behind one; `harm`,
    the smallest |dose| with a significant loss, and its harm_n, harm_difference, harm_low, harm_high, harm_p (after
    correction), harm_failed; `equal`, the largest |dose| below harm that equals dose 0 within the margin, and its
    equal_n, equal_difference, equal_low, equal_high; `monotone`: every dose beyond `harm` harms. Doses are NaN where
    there is none; where each dose has its own rate, `rate` is that of the smallest. `verdict`: "loss from 1000"; "none
    up to 10000" (every dose is equal to dose 0), "none found up to 10000" (no loss is significant, and no interval is
    wide), "undecided up to 10000", "no kink met" or "base fails".

    Args:
        effects: of `effects(finals, "dose 0")`.
    """
    rows = effects[(effects["variant"] != REORDERED) & (effects["dose"] != 0)]
    side = np.sign(rows["dose"]).map(SIDES)
    found = [_bound(group) for group in split(rows.assign(side=side, size=rows["dose"].abs()), "variant", "side")]
    return pd.DataFrame(found, columns=COLUMNS)


def _bound(group: pd.DataFrame) -> dict[str, object]:
    """The boundary of one cell, variant and side."""
    group = group.sort_values("size")
    first = group.iloc[0]
    row = first[[*CELL, "rates", "variant", "side", "margin"]].to_dict()
    row |= {"doses": len(group), "largest": group["size"].max(), "n": int(group["n"].min())}
    harmful = group[group["verdict"].isin(LOSS)]
    start = harmful["size"].min() if len(harmful) else np.inf
    equal = group[is_equal(group) & (group["size"] < start)].tail(1)
    beyond = group[group["size"] > start]
    row |= {"monotone": bool(beyond["verdict"].isin([*LOSS, "base fails"]).all())}
    row |= _at("harm", harmful.head(1), HARM) | _at("equal", equal, EQUAL)
    return row | {"verdict": _verdict(group, harmful)}


def _at(name: str, rows: pd.DataFrame, columns: tuple[str, ...]) -> dict[str, float]:
    """The dose and what was found at it, from a table of one row or none."""
    if rows.empty:
        return {name: np.nan} | {f"{name}_{column}": np.nan for column in columns}
    row = rows.iloc[0]
    values = {"n": row["n"], "p": row["p"], "failed": row["failed"]} | dict(zip(TESTED, tested(row), strict=True))
    return {name: row["size"]} | {f"{name}_{column}": float(values[column]) for column in columns}


def _verdict(group: pd.DataFrame, harmful: pd.DataFrame) -> str:
    words = group["verdict"]
    if len(harmful):
        return f"loss from {harmful['size'].min():g}"
    for word in ("no kink met", "base fails"):
        if (words == word).all():
            return word
    end = f"up to {group['size'].max():g}"
    if is_equal(group).all():
        return f"none {end}"
    return f"undecided {end}" if words.isin(["undecided", "base fails"]).any() else f"none found {end}"
