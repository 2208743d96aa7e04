"""Depth (D7): plain and residual networks of 1 to 16 layers, what dies in which layer, whether depth makes it worse.

`depth_effects` holds the differences that claims are judged by; every one is taken within pairs of networks that start
from the same weights and see the same mini-batches.
"""

import pandas as pd

from kinks.report.dying_relu import effects, outcomes
from kinks.report.dying_relu.networks import CELL, RULE, chosen, labelled, last

NAMES = {
    "plain": "plain", "residual": "residual, x + relu(Wx + b)", "residual_two": "residual, x + V relu(Wx + b) + c"
}  # fmt: skip


def cells(nets: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes per cell, rule, rate and gamma after the last step; `chosen` marks the rate of gamma = 1."""
    keys = [*CELL, *RULE, "rate", "gamma"]
    table = outcomes.table(last(nets), keys)
    best = chosen(nets, [*CELL, *RULE])[[*CELL, *RULE, "rate"]].drop_duplicates().assign(chosen=True)
    table = table.merge(best, on=[*CELL, *RULE, "rate"], how="left")
    table["chosen"] = table["chosen"].eq(True)
    return table


def table_of_effects(nets: pd.DataFrame, mus: list[float]) -> pd.DataFrame:
    """Return every measure of `effects.all_measures`, and the two that pool depths: `growth of excess` per doubling of
    the depth, and `excess over depths` (mean over depths of 2 and more), whose depth is 0."""
    single = effects.all_measures(nets, mus)
    single["depths"] = single["depth"].astype(str)
    pooled = effects.over_all_depths(nets).assign(depth=0)
    return pd.concat([single, pooled], ignore_index=True)


def layers(rows: pd.DataFrame, settings: list[dict], nets: pd.DataFrame) -> pd.DataFrame:
    """Return the mean share of ReLUs that died by layer and gamma, at the rate chosen for gamma = 1, deepest networks.

    Columns: those of a cell and a rule, gamma, layer, gained (less the share at step 0), dead_start, n.
    """
    told = labelled(rows, settings)
    deepest = told.groupby(["data", "kind", "initialisation", "zero_last"])["depth"].transform("max")
    told = told[(told["depth"] == deepest) & told["step"].isin([0, told["step"].max()])]
    best = chosen(nets, [*CELL, *RULE])[[*CELL, *RULE, "rate"]].drop_duplicates()
    told = told.merge(best, on=[*CELL, *RULE, "rate"]).assign(share=lambda one: one["dead"] / one["width"])
    same = [*CELL, *RULE, "rate", "gamma", "layer", "seed"]
    start = told[told["step"] == 0].set_index(same)["share"].rename("dead_start")
    ends = told[told["step"] > 0].join(start, on=same)
    ends["gained"] = ends["share"] - ends["dead_start"]
    grouped = ends.groupby([*CELL, *RULE, "rate", "gamma", "layer"], sort=False)
    return grouped.agg(
        gained=("gained", "mean"), dead_start=("dead_start", "mean"), n=("gained", "count")
    ).reset_index()
