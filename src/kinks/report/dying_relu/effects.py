"""Differences between networks that start from the same weights and see the same mini-batches: pairs, seed by seed.

Every measure is a number per seed, and its table gives the mean over seeds with Student's 95 % interval. Pairs of which
a network diverged are left out, and counted.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report.dying_relu.networks import CELL, RULE, UNIT, chosen, equal_time, last

SMALL = 0.01  # the target scale at which the papers' claims are judged
ENDS = ("value", "low", "high")


def excess(nets: pd.DataFrame, keys: Sequence[str], small: float = SMALL, column: str = "gained") -> pd.DataFrame:
    """Return per group of `keys` and seed what a network gained at gamma = `small` less what it gained at gamma = 1.

    Rates (and steps) that the networks still differ in are averaged, so `nets` decide which they are.
    """
    by = [*keys, "seed", "rate", "step", "relus"]
    low, unit = (nets[nets["gamma"] == gamma].set_index(by)[column] for gamma in (small, UNIT))
    return _per_seed((low - unit).rename("value").reset_index(), keys)


def gained(nets: pd.DataFrame, keys: Sequence[str], gamma: float) -> pd.DataFrame:
    """Return per group of `keys` and seed the share gained at that gamma: below 0 where ReLUs dead at first revived."""
    return _per_seed(nets[nets["gamma"] == gamma].rename(columns={"gained": "value"}), keys)


def fall(nets: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return per group of `keys` and seed by how much the share falls per decade of gamma, over gamma <= 1: a slope."""
    small = nets[(nets["gamma"] <= UNIT) & nets["gained"].notna()]
    rows = small.assign(x=-np.log10(small["gamma"]), value=small["gained"], resolution=1 / small["relus"])
    return _slopes(rows, keys)


def momentum(nets: pd.DataFrame, equal: str, keys: Sequence[str], mu: float, small: float = SMALL) -> pd.DataFrame:
    """Return per group and seed what SGD with momentum `mu` gained at gamma = `small` less what it gained without.

    Args:
        equal: `speed` (eta / (1 - mu)) or `rate` (eta): what the two have in common; averaged over all values that both
            have.
    """
    rows = nets[(nets["optimiser"] == "sgd") & (nets["gamma"] == small)]
    by = [*keys, "seed", equal, "relus"]
    one, other = (rows[rows["momentum"] == value].set_index(by)["gained"] for value in (mu, 0.0))
    return _per_seed((one - other).rename("value").reset_index(), keys)


def over_depths(pairs: pd.DataFrame, keys: Sequence[str], least: int = 2) -> pd.DataFrame:
    """Return per group of `keys` and seed the mean of a measure over depths from `least` on, all of them."""
    whole = _whole(pairs[pairs["depth"] >= least], keys)
    rows = whole.assign(_square=whole["resolution"] ** 2).groupby([*keys, "seed"])
    means = rows.agg(value=("value", "mean"), _sum=("_square", "sum"), _n=("value", "size")).reset_index()
    return means.assign(resolution=np.sqrt(means["_sum"]) / means["_n"]).drop(columns=["_sum", "_n"])


def growth(pairs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return per group of `keys` and seed the slope of a measure against log2(depth): its growth per doubling.

    Seeds that lack a depth are left out: a slope over fewer depths is another number.
    """
    whole = _whole(pairs, keys)
    return _slopes(whole.assign(x=np.log2(whole["depth"])), keys)


def _whole(pairs: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    depths = pairs.groupby([*keys])["depth"].transform("nunique")
    return pairs[pairs.groupby([*keys, "seed"])["depth"].transform("nunique") == depths]


def _per_seed(values: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    known = values.dropna(subset="value").assign(resolution=lambda rows: 1 / rows["relus"])
    return known.groupby([*keys, "seed"], as_index=False)[["value", "resolution"]].mean()


def _slopes(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Slopes of `value` against `x` per seed, and the resolution of their differences: that of the values, weighted."""
    group = rows.groupby([*keys, "seed"])
    centred = rows["x"] - group["x"].transform("mean")
    spread = (centred**2).groupby([rows[name] for name in (*keys, "seed")]).transform("sum")
    weight = centred / spread.where(spread > 0)
    parts = rows.assign(_value=weight * rows["value"], _square=(weight * rows["resolution"]) ** 2)
    sums = parts.groupby([*keys, "seed"])[["_value", "_square"]].sum(min_count=1).dropna().reset_index()
    return sums.assign(value=sums["_value"], resolution=np.sqrt(sums["_square"])).drop(columns=["_value", "_square"])


def summary(pairs: pd.DataFrame, keys: Sequence[str], **told: object) -> pd.DataFrame:
    """Return mean, 95 % interval and number of seeds of the values of each group of `keys`, with columns `told`.

    Dead ReLUs are counted, so a share has a step; what it adds to the variance is in the interval, and seeds in which
    nothing dies are no proof that nothing ever does.
    """
    rows = [
        {**dict(zip(keys, key, strict=True)), **told}
        | dict(zip(ENDS, stats.student(group["value"], float(group["resolution"].mean())), strict=True))
        | {"n": len(group)}
        for key, group in pairs.groupby(list(keys), sort=False)
    ]
    return pd.DataFrame(rows, columns=[*keys, *told, *ENDS, "n"])


def over_all_depths(nets: pd.DataFrame) -> pd.DataFrame:
    """Return the two measures of the excess that pool depths: a row per cell without depth, rule and choice of rates.

    `growth of excess`: per doubling of the depth; `excess over depths`: the mean over depths of 2 and more. Column
    `depths` lists them, `steps` is the last step.
    """
    keys = [name for name in (*CELL, *RULE) if name != "depth"]
    tables = []
    for choice, rows in (("chosen", chosen(nets, [*CELL, *RULE])), ("every", last(nets))):
        pairs = excess(rows, [*CELL, *RULE])
        for measure, least, values in (
            ("growth of excess", 1, growth(pairs, keys)), ("excess over depths", 2, over_depths(pairs, keys))
        ):  # fmt: skip
            found = pairs[pairs["depth"] >= least].groupby(keys)["depth"]
            depths = found.agg(lambda part: ", ".join(map(str, sorted(set(part))))).rename("depths")
            tables.append(summary(values, keys, choice=choice, measure=measure).join(depths, on=keys))
    return pd.concat(tables, ignore_index=True).assign(steps=nets["step"].max())


def _at_the_plain_speed(nets: pd.DataFrame) -> pd.DataFrame:
    """SGD of any momentum at the speed that is chosen, at gamma = 1, for descent without momentum."""
    sgd = last(nets[nets["optimiser"] == "sgd"])
    plain = chosen(sgd[sgd["momentum"] == 0], CELL)[[*CELL, "speed"]].drop_duplicates()
    return sgd.merge(plain, on=[*CELL, "speed"])


def all_measures(nets: pd.DataFrame, mus: Sequence[float]) -> pd.DataFrame:
    """Return the summary of every measure that the networks' settings allow, one row per cell, rule and measure.

    Columns: those of a cell and a rule; choice (which rates: `chosen` once at gamma = 1; `every` rate, pairs of which
    none diverged; every rate of SGD at `equal time`), measure, value, low, high, n and steps (the last). Momenta are
    compared at the speed chosen for descent without momentum, or over every speed, or rate, that both have.
    """
    keys, tables = [*CELL, *RULE], []
    for choice, rows in (("chosen", chosen(nets, keys)), ("every", last(nets)), ("equal time", equal_time(nets))):
        told = {"choice": choice}
        tables += [
            summary(excess(rows, keys), keys, **told, measure="excess"),
            summary(excess(rows, keys, column="nearly_gained"), keys, **told, measure="nearly dead excess"),
            summary(fall(rows, keys), keys, **told, measure="fall per decade"),
            summary(gained(rows, keys, SMALL), keys, **told, measure=f"gained at {SMALL:g}"),
            summary(gained(rows, keys, UNIT), keys, **told, measure=f"gained at {UNIT:g}"),
        ]
    same = [*CELL, "optimiser", "epsilon"]
    for mu in mus:
        for equal, choice, rows in (
            ("speed", "chosen", _at_the_plain_speed(nets)),
            ("speed", "every", last(nets)),
            ("rate", "every", last(nets)),
        ):
            pairs = momentum(rows, equal, same, mu).assign(momentum=mu)
            tables.append(summary(pairs, keys, choice=choice, measure=f"momentum at equal {equal}"))
    return pd.concat([table for table in tables if len(table)], ignore_index=True).assign(steps=nets["step"].max())
