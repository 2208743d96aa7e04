"""Our own earlier runs of the single ReLU, in NumPy and float64, in the form that this package's tables have."""

import pandas as pd

from kinks.report.references import reference

STARTS, SAMPLE_STARTS, GRID_POINTS = 4000, 400, 41
_BELOW = {"p_active_below_1e-3": "below_1e-3", "p_active_below_1e-6": "below_1e-6"}
_RULE = {"optimizer": "optimiser", "lr": "rate"}


def population() -> pd.DataFrame:
    """Return shares of random starts after many steps: the rule, steps, gamma, limit, share and n."""
    table = reference("dying_pilot_population").rename(columns=_RULE | _BELOW)
    keys = ["optimiser", "momentum", "rate", "steps", "gamma"]
    return table.melt(keys, list(_BELOW.values()), "limit", "share").assign(n=STARTS)


def curves() -> pd.DataFrame:
    """Return shares of random starts by step: the rule, gamma, step, limit, share, n and d."""
    table = reference("dying_pilot_curves").rename(columns=_RULE | _BELOW)
    keys = ["optimiser", "momentum", "rate", "gamma", "step"]
    return table.melt(keys, list(_BELOW.values()), "limit", "share").assign(n=STARTS, d=10)


def sample() -> pd.DataFrame:
    """Return shares of starts on 1000 whitened inputs: momentum, rate, gamma, steps, quantity, share and n."""
    names = {"p_dead_on_sample": "count", "p_active_below_1pct": "below_1pct", "p_converged_10pct": "converged"}
    table = reference("dying_pilot_sample").rename(columns=_RULE | names)
    return table.melt(["momentum", "rate", "gamma"], list(names.values()), "quantity", "share").assign(
        n=SAMPLE_STARTS, steps=8000
    )


def grid() -> pd.DataFrame:
    """Return shares of the grid of starts: gamma, momentum, and a column per limit and for `converged`."""
    return reference("dying_pilot_grid").rename(columns=_RULE | _BELOW | {"p_converged_5pct": "converged"})
