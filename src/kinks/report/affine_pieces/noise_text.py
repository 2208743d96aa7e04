"""The bound (C7), the noise of formats (K5) and our check run in sentences, every number computed."""

import numpy as np
import pandas as pd


def bounds(counted: pd.DataFrame, table: pd.DataFrame) -> str:
    """What C7 shows."""
    rows = counted.set_index(["levels", "bound"])
    whole = ["count", "n", "infinite", "cells"]
    counts = {kind: rows.loc[(kind, "as stated"), whole].astype(int) for kind in ("of formats", "all")}
    formats, all_, tenfold = counts["of formats"], counts["all"], rows.loc[("all", "tenfold"), whole].astype(int)
    near, far = (rows.loc[(kind, "as stated")] for kind in ("of formats", "given"))
    names = " and ".join(dict.fromkeys(table.loc[table["source"] != "given", "source"]))
    return (
        f"**The bound holds and says little.** At the noise levels of {names} the mean number of regions over "
        f"{int(table['draws'].max())} draws stays below bound (2) in {formats['n'] - formats['count']} of "
        f"{formats['n']} cells (networks x steps x levels), with a slack of at least {near['slack']:.1e} (median "
        f"{near['median_slack']:.1e}). At levels far above 1, which no rounding reaches, the slack falls to "
        f"{far['slack']:.2f}, and still no more than {all_['count']} of {all_['n']} means lie three standard errors "
        f"above (a bound for ten times the noise is passed in {tenfold['count']} of {tenfold['n']}). In "
        f"{all_['infinite']} further cells ({formats['infinite']} at the formats' levels) the bound is infinite, "
        "because a neuron that changes sign got no update: the second half of (A) fails there."
    )


def noise(overall: pd.DataFrame, growth: pd.DataFrame, check: pd.DataFrame, exact: pd.DataFrame) -> str:
    """What K5 shows."""
    lines = []
    for row in overall[overall["against"] == "fp64"].itertuples():
        if row.accumulate == "numpy" or row.storage == "fp64":
            continue
        stored = _other(overall, row, "stored")
        order = _other(overall, row, "reordered")
        grown = growth[(growth["storage"] == row.storage) & (growth["accumulate"] == row.accumulate)
                       & (growth["against"] == "fp64")]  # fmt: skip
        per = "".join(f"; x {g.factor:.2f} [{g.low:.2f}, {g.high:.2f}] per hidden layer" for g in grown.itertuples())
        lines.append(
            f"- **{row.storage}, sums in {row.accumulate}**: median δ {row.median:.2g} = {row.median_in_u:,.0f} u, "
            f"largest {row.largest:.2g}, {row.above_one} of {row.n:,} at 1 or more; computation alone {stored:.2g}, "
            f"examples reordered {order:.2g}{per}."
        )
    said = "**Measured level.** Relative errors of the hidden biases' gradients against float64:\n\n" + "\n".join(lines)
    true = exact[exact["storage"] == "fp64"]
    if len(true):
        said += (
            f"\n\nfloat64 itself is off the exact rational gradient by {true['median'].median():.1e} in the median and "
            f"{true['largest'].max():.1e} at most (n = {int(true['n'].sum())}): a sound reference."
        )
    return said + _pilot(check)


def _other(overall: pd.DataFrame, row, against: str) -> float:
    here = overall[(overall["storage"] == row.storage) & (overall["accumulate"] == row.accumulate)]
    return float(here.loc[here["against"] == against, "median"].iloc[0])


def _pilot(check: pd.DataFrame) -> str:
    sixteen = check[check["quantity"].str.startswith("fp16")]
    if sixteen.empty:
        return ""
    ratios = {name: np.exp(np.log(rows["ratio"]).mean()) for name, rows in sixteen.groupby("quantity")}
    parts = [f"{ratio:.2f} times with {name.rsplit(', ', 1)[1]}" for name, ratio in ratios.items()]
    return (
        f"\n\nOur pilot's fp16 medians are met {' and '.join(parts)} (geometric mean over "
        f"{len(sixteen) // len(ratios)} shapes): NumPy adds the examples of a bias gradient up in the storage format. "
        "A level of fp16 means little without the format of the sums. With sums in fp32, what the rounded *parameters* "
        "change is the larger part wherever the level against the rounded network is the smaller number above."
    )


def pilot(check: pd.DataFrame) -> str:
    """How our numbers compare with our pilot's, quantity by quantity."""
    rows = [
        f"| {name} | {len(part)} | {np.exp(np.log(part['ratio']).mean()):.2f} | {part['ratio'].min():.2f} to "
        f"{part['ratio'].max():.2f} |"
        for name, part in check[check["ratio"] > 0].groupby("quantity", sort=False)
    ]
    return "\n".join(
        ["| quantity | shapes | ours / pilot, geometric mean | range |", "| --- | --- | --- | --- |", *rows]
    )
