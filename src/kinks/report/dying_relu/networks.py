"""Networks of many sweeps in one table: what each was, what became of it, and which learning rate was chosen for it.

A dead ReLU is inactive on the whole training set. `gained` is the share of dead ReLUs less that before the first step,
so that what an initialisation leaves inactive is never counted as dying.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

SETTINGS = {
    "kind": "plain", "depth": 1, "initialisation": "library", "optimiser": "sgd", "momentum": 0.0, "epsilon": 1e-8,
    "zero_last": False, "slope": 0.0, "batch_norm": False, "clip": 0.0, "running_scale": False, "scale": 1.0,
}  # fmt: skip
CELL = ["data", "kind", "initialisation", "zero_last", "depth"]  # data and architecture
RULE = ["optimiser", "momentum", "epsilon"]
NETWORK = [*SETTINGS, "data", "rate", "gamma", "seed", "step"]
ERRORS = ("train_error", "validation_error", "test_error")
UNIT = 1.0  # the target scale at which a rate is chosen once


def labelled(rows: pd.DataFrame, settings: Sequence[dict]) -> pd.DataFrame:
    """Return the rows of `kinks.dying.sweep.job`, in the order of `settings`, with the settings as columns.

    Raises:
        ValueError: rows of other settings.
    """
    counts = [
        np.prod([len(one[name]) for name in ("gammas", "rates", "seeds", "record")]) * one["depth"] for one in settings
    ]
    if sum(counts) != len(rows):
        raise ValueError(f"{len(rows)} rows for settings that make {sum(counts)}")
    told = pd.DataFrame([{name: one.get(name, value) for name, value in SETTINGS.items()} for one in settings])
    told["clip"] = pd.to_numeric(told["clip"]).fillna(0.0)
    repeated = told.loc[np.repeat(told.index, counts)].reset_index(drop=True)
    return pd.concat([rows.reset_index(drop=True), repeated], axis=1)


def per_network(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per network and recorded step, layers together.

    Columns: those of `NETWORK`; relus (how many); dead and nearly_dead (shares of them), dead_start, gained and
    nearly_gained (less the share at step 0); dead_layer (every ReLU of some layer is dead); the three errors; diverged;
    and speed, eta / (1 - mu), NaN for Adam.
    """
    grouped = rows.assign(dead_layer=rows["dead"] >= rows["width"]).groupby(NETWORK, sort=False)
    firsts = grouped[[*ERRORS, "diverged", "train_rows"]].first()
    sums = grouped[["dead", "nearly_dead", "width"]].sum(min_count=1)
    table = firsts.assign(
        dead=sums["dead"] / sums["width"],
        nearly_dead=sums["nearly_dead"] / sums["width"],
        relus=sums["width"],
        dead_layer=grouped["dead_layer"].any(),
    ).reset_index()
    same = [name for name in NETWORK if name != "step"]
    start = table[table["step"] == 0].set_index(same)[["dead", "nearly_dead"]].add_suffix("_start")
    table = table.join(start, on=same)
    table["gained"] = table["dead"] - table["dead_start"]
    table["nearly_gained"] = table["nearly_dead"] - table["nearly_dead_start"]
    table["speed"] = speed(table)
    return table


def speed(table: pd.DataFrame) -> pd.Series:
    """Return eta / (1 - mu) of SGD and Nesterov's form, rounded to twelve digits; NaN for Adam."""
    found = (table["rate"] / (1 - table["momentum"])).where(table["optimiser"] != "adam")
    return found.map(lambda value: float(f"{value:.12g}"))


def last(nets: pd.DataFrame) -> pd.DataFrame:
    """Return the rows after the last step."""
    return nets[nets["step"] == nets["step"].max()]


def equal_time(nets: pd.DataFrame) -> pd.DataFrame:
    """Return SGD's networks at steps of equal time eta / (1 - mu) x steps: the time that the slowest rate reaches.

    A rate on whose recorded steps that time does not fall, within a fifth, is left out; Adam's rates have no such time.
    """
    rows = nets[(nets["optimiser"] != "adam") & (nets["step"] > 0)]
    if rows.empty:
        return rows
    time = rows["speed"] * rows["step"]
    longest = time.groupby([rows[name] for name in [*CELL, "speed"]]).transform("max")
    goal = longest.groupby([rows[name] for name in CELL]).transform("min")
    return rows[(time / goal - 1).abs() <= 0.2]


def chosen(nets: pd.DataFrame, keys: Sequence[str], retuned: bool = False) -> pd.DataFrame:
    """Return the networks with the learning rate that a validation set would have chosen, after the last step.

    The rate of each group of `keys` is that with the smallest median validation error over seeds, a diverged network
    counting as infinitely bad: at gamma = 1 for all gammas, or, `retuned`, at every gamma anew.
    """
    ends = last(nets)
    judged = ends if retuned else ends[ends["gamma"] == UNIT]
    by = [*keys, "gamma"] if retuned else [*keys]
    error = judged["validation_error"].where(~judged["diverged"], np.inf).fillna(np.inf)
    medians = judged.assign(_error=error).groupby([*by, "rate"])["_error"].median().reset_index()
    best = medians.loc[medians.groupby(by)["_error"].idxmin(), [*by, "rate"]]
    return ends.merge(best, on=[*by, "rate"])


def optimiser_name(optimiser: str, momentum: float, epsilon: float = 1e-8) -> str:
    """Return an optimiser as a figure names it."""
    if optimiser == "adam":
        return "Adam" + ("" if epsilon == 1e-8 else f", ε = {epsilon:g}")
    return {"sgd": "SGD", "nesterov": "Nesterov", "averaged": "averaged SGD"}[optimiser] + f", μ = {momentum:g}"


def rule_and_start(optimiser: str, momentum: float, epsilon: float, initialisation: str) -> str:
    """Return an optimiser and a way to draw first weights as a sentence names them."""
    return f"{optimiser_name(optimiser, momentum, epsilon)}, {start_name(initialisation)} first weights"


def start_name(initialisation: str) -> str:
    """Return a way to draw first weights as a sentence names it."""
    return {"library": "library", "he": "He"}[initialisation]
