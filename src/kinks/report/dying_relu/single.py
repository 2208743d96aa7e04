"""What the reports on a single ReLU share: names and colours of rules, and the comparison with pilot runs."""

import math

import numpy as np
import pandas as pd

from kinks import stats

MOMENTUM_COLOURS = {0.0: "#3274a1", 0.5: "#9372b2", 0.9: "#e1812c", 0.99: "#3a923a"}
ADAM_COLOUR = "#7a4a3a"
PILOT = "pilot"  # our own earlier runs, in NumPy and float64


def colour(optimiser: str, momentum: float) -> str:
    """Return the colour of a rule."""
    return ADAM_COLOUR if optimiser == "adam" else MOMENTUM_COLOURS.get(float(momentum), "#7f7f7f")


def rule_name(optimiser: str, momentum: float, rate: float | None = None, epsilon: float | None = None) -> str:
    """Return how a figure names a rule of descent; its rate, and Adam's epsilon, where given."""
    name = "Adam" if optimiser == "adam" else f"SGD, μ = {momentum:g}"
    parts = [] if rate is None else [f"η = {rate:g}"]
    parts += [] if epsilon is None or optimiser != "adam" else [f"ε = {epsilon:g}"]
    return ", ".join([name, *parts])


def with_shares(table: pd.DataFrame, count: str = "count", n: str = "n") -> pd.DataFrame:
    """Return the table with columns share, low and high: `count` of `n` with its 95 % Wilson interval."""
    low, high = stats.wilson(table[count].to_numpy(), table[n].to_numpy())
    return table.assign(share=table[count] / table[n], low=low, high=high)


def agreement(ours: pd.DataFrame, pilot: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Hold shares of independent random starts against those of the pilot runs.

    Args:
        ours: `keys`, count and n.
        pilot: `keys`, share and n.
        keys: what tells cells apart.

    Returns:
        Cells that both have: count, n, share, pilot, pilot_n, difference, `error` (its standard error under one common
        share, not below that of a single event) and z.
    """
    theirs = pilot.rename(columns={"share": PILOT, "n": "pilot_n"})[[*keys, PILOT, "pilot_n"]]
    both = ours.merge(theirs, on=keys).assign(share=lambda table: table["count"] / table["n"])
    total = both["n"] + both["pilot_n"]
    events = (both["count"] + both[PILOT] * both["pilot_n"]).clip(lower=1).clip(upper=total - 1)
    common = events / total
    error = np.sqrt(common * (1 - common) * (1 / both["n"] + 1 / both["pilot_n"]))
    difference = both["share"] - both[PILOT]
    return both.assign(difference=difference, error=error, z=difference / error)


def pairs(table: pd.DataFrame) -> pd.DataFrame:
    """Return, for counts of starts that died under one rule `only`, what the exact test of McNemar says of them.

    Adds `gain` (the difference of the two shares, with the interval of a paired difference by Wald, widened by the
    half-event of Agresti and Min) as `gain_low`, `gain_high`, and `p`, two-sided.
    """
    more, fewer, n = (table[name].to_numpy(float) for name in ("only", "only_first", "n"))
    p = [stats.sign_test(np.repeat([1.0, -1.0], [int(a), int(b)])) for a, b in zip(more, fewer, strict=True)]
    half_more, half_fewer, wide = more + 0.5, fewer + 0.5, n + 2
    centre = (half_more - half_fewer) / wide
    spread = 1.96 * np.sqrt(half_more + half_fewer - (half_more - half_fewer) ** 2 / wide) / wide
    return table.assign(gain=(more - fewer) / n, gain_low=centre - spread, gain_high=centre + spread, p=p)


def limit_for(cells: int, risk: float = 0.01) -> float:
    """Return how many standard errors all of that many independent cells stay within, at a total risk (Bonferroni)."""
    from scipy.special import ndtri

    return float(-ndtri(risk / 2 / max(cells, 1)))


def percent(value: float) -> str:
    """Return a share as text: percent, with as many digits as it needs."""
    return "–" if math.isnan(value) else f"{value:.1%}" if 0.001 <= value < 1 or value in (0, 1) else f"{value:.2%}"
