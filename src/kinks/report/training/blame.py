"""Which of two does the harm: the derivative at the kink, or the form in which the released code computes it."""

import numpy as np
import pandas as pd

from kinks.report.training.cells import split
from kinks.report.training.names import CELL, LOSS, PUBLISHED, REORDERED
from kinks.report.training.verdicts import is_equal

SIZES = ("n", "failed", "difference", "low", "high", "p", "verdict")
ARMS = ("published", "corrected", "apart")
COLUMNS = [*CELL, "rates", "dose", "cause", *(f"{arm}_{name}" for arm in ARMS for name in SIZES)]


def causes(effects: pd.DataFrame, interaction: pd.DataFrame) -> pd.DataFrame:
    """Return, per cell and dose, which of released form and derivative does harm: `cause`, and the evidence.

    `cause`: "released form only" (it harms, the corrected variant equals dose 0 within the margin, and the two differ);
    "released form" (it harms, the two differ, and no harm of the corrected one was found); "both" (both harm, the
    released form more); "derivative" (the corrected variant harms, the released form adds nothing that was found);
    "neither" (both equal dose 0 within the margin); "none found"; "undecided"; "no kink met"; "base fails".

    For each of the variants `published` and `corrected` against dose 0, and for the one `apart` from the other, there
    are n, failed, difference, low, high, p and verdict, as published_n and so on. Doses that were trained in one
    variant alone are left out.
    """
    rows = effects[(effects["variant"] != REORDERED) & (effects["dose"] != 0)]
    arm = np.where(rows["variant"].isin(PUBLISHED), "published", "corrected")
    table = pd.concat([rows.assign(arm=arm), interaction.assign(arm="apart")])
    found = []
    for group in split(table, "dose"):
        sides = {name: rows.iloc[0] for name, rows in group.groupby("arm")}
        if len(sides) == len(ARMS):
            about = group.iloc[0][[*CELL, "rates", "dose"]].to_dict()
            values = {f"{name}_{column}": sides[name][column] for name in ARMS for column in SIZES}
            found.append(about | {"cause": _cause(group.set_index("arm"))} | values)
    return pd.DataFrame(found, columns=COLUMNS)


def _cause(sides: pd.DataFrame) -> str:
    words, equal = sides["verdict"], is_equal(sides)
    for word in ("no kink met", "base fails"):
        if words["published"] == words["corrected"] == word:
            return word
    worse = words["apart"] in LOSS
    if words["corrected"] in LOSS:
        return "both" if worse and words["published"] in LOSS else "derivative"
    if words["published"] in LOSS:
        if not worse or words["corrected"] in ("undecided", "base fails"):
            return "undecided"
        return "released form only" if equal["corrected"] else "released form"
    if equal["published"] and equal["corrected"]:
        return "neither"
    sure = not set(words[["published", "corrected"]]) & {"undecided", "base fails"}
    return "none found" if sure else "undecided"
