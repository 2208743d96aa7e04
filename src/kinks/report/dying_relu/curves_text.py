"""Dead shares against time (D6) in sentences, every number computed."""

import pandas as pd

from kinks.report.dying_relu.single import percent, rule_name


def text(curves: pd.DataFrame, streams: pd.DataFrame, adam_pairs: pd.DataFrame, d: int) -> str:
    """Say how the curves differ between rules, with mini-batches, and with Adam's epsilon."""
    rows = curves[(curves["d"] == d) & (curves["limit"] == "below_1e-3")]
    adam = rows[
        (rows["optimiser"] != "adam") | (rows["epsilon"] == rows.loc[rows["optimiser"] == "adam", "epsilon"].max())
    ]
    gamma, steps = min(set(adam.loc[adam["optimiser"] == "sgd", "gamma"])), sorted(adam["step"].unique())
    lines = []
    for step in (steps[-3], steps[-1]) if len(steps) > 2 else steps:
        cells = adam[(adam["gamma"] == gamma) & (adam["step"] == step)]
        said = [
            f"{rule_name(row.optimiser, row.momentum, row.rate)} {percent(row.share)} "
            f"[{percent(row.low)}, {percent(row.high)}]" for row in cells.itertuples()
        ]  # fmt: skip
        lines.append(f"after {step} steps {'; '.join(said)}")
    n = int(adam["n"].iloc[0])
    found = [
        f"**Curves of death (R9).** Active on less than 10⁻³, γ = {gamma:g}, d = {d}, {n} starts: {'. '.join(lines)}."
    ]
    found += _revival(adam, gamma) + _stream(streams) + [_epsilon(adam_pairs)]
    return "\n\n".join(found)


def _revival(rows: pd.DataFrame, gamma: float) -> list[str]:
    """Nearly dead starts that come back, where there are any."""
    best = None
    for key, one in rows.groupby(["optimiser", "rate", "momentum", "gamma"]):
        one = one.sort_values("step")
        fall = (one["share"].cummax() - one["share"]).max()
        if best is None or fall > best[0]:
            best = (fall, key, one)
    fall, (optimiser, rate, momentum, level), one = best
    if not fall > 0:
        return []
    return [
        f"**Nearly dead is not dead.** Under {rule_name(optimiser, momentum, rate)} at γ = {level:g} the share of the "
        f"nearly dead falls again, by {percent(fall)}, from {percent(one['share'].max())}: Gaussian inputs always "
        "leave some gradient."
    ]


def _stream(streams: pd.DataFrame) -> list[str]:
    if streams.empty:
        return []
    rows = streams[streams["limit"] == "below_1e-3"]
    last = rows[(rows["step"] == rows["step"].max()) & (rows["gamma"] == rows["gamma"].min())]
    said = [f"{rule_name(row.optimiser, row.momentum, row.rate)} {percent(row.share)} [{percent(row.low)}, "
            f"{percent(row.high)}] (closed form {percent(row.exact)})" for row in last.itertuples()]  # fmt: skip
    n, gamma, step = int(last["n"].iloc[0]), last["gamma"].iloc[0], last["step"].iloc[0]
    return [f"**Mini-batches of 64 from a stream.** {n} starts, γ = {gamma:g}, after {step} steps: {'; '.join(said)}."]


def _epsilon(pairs: pd.DataFrame) -> str:
    """How many starts Adam's epsilon decides, at the smallest gamma and at all others."""
    if pairs.empty:
        return "**Adam's ε.** Only one value was run."
    last = pairs[pairs["step"] == pairs["step"].max()]
    least = last[last["gamma"] == last["gamma"].min()]
    other = last[last["gamma"] > last["gamma"].min()]
    changed, n = int((least["only"] + least["only_first"]).sum()), int(least["n"].sum())
    return (
        f"**Adam's ε.** With {least['epsilon'].min():g} in place of {pairs.attrs['first']:g}, {changed} of {n} "
        f"outcomes (starts of all d, both limits) at γ = {least['gamma'].iloc[0]:g} differ, and "
        f"{int((other['only'] + other['only_first']).sum())} of {int(other['n'].sum())} at larger γ."
    )
