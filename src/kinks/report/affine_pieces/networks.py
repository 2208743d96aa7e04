"""Regions of networks at initialisation and in training (K3), the bounds on them, and our pilot's numbers."""

from math import nan, sqrt

import numpy as np
import pandas as pd

from kinks.pieces.bounds import most_regions
from kinks.report.affine_pieces.updates import CELL, fit

MANY = 4  # regions per neuron that count as superlinearly many
START = ["init", "bias_sd", "width"]


def each(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per network and step: regions, pieces, loss and neurons (in all)."""
    keys = [*CELL, "seed", "step"]
    grouped = rows[rows["finite"]].groupby(keys, sort=False)
    kept = {"regions": "first", "pieces": "first", "loss": "first", "neurons": "sum"}
    return grouped.agg(kept).reset_index()


def by_step(single: pd.DataFrame) -> pd.DataFrame:
    """Average `each` over seeds: regions with their standard error, smallest and largest; pieces, loss, neurons.

    `most` is the largest number of regions that the widths allow, prod(N_j + 1).
    """
    grouped = single.groupby([*CELL, "step"], sort=False)
    table = grouped.agg(
        networks=("regions", "size"), regions=("regions", "mean"), error=("regions", "sem"),
        smallest=("regions", "min"), largest=("regions", "max"), pieces=("pieces", "mean"), loss=("loss", "mean"),
        neurons=("neurons", "first"),
    ).reset_index()  # fmt: skip
    pairs = zip(table["width"], table["hidden_layers"], strict=True)
    return table.assign(most=[float(most_regions([width] * depth)) for width, depth in pairs])


def persistence(single: pd.DataFrame) -> pd.DataFrame:
    """Count runs that have more than four regions per neuron at all recorded steps, by where they start (C9)."""
    keys = [*CELL, "seed"]
    above = single.assign(above=single["regions"] > MANY * single["neurons"])
    runs = above.groupby(keys, sort=False).agg(kept=("above", "all"), once=("above", "any"), steps=("step", "max"))
    runs = runs.reset_index()
    runs["start"] = np.where(runs["init"] == "sawtooth", "unit sawtooth", "random")
    grouped = runs.groupby("start", sort=False)
    table = grouped.agg(count=("kept", "sum"), at_some_step=("once", "sum"), n=("kept", "size"), steps=("steps", "max"))
    ratio = (single["regions"] / single["neurons"]).groupby(single["init"] == "sawtooth").max()
    most = {"unit sawtooth" if saw else "random": value for saw, value in ratio.items()}
    return table.reset_index().assign(most_per_neuron=lambda rows: rows["start"].map(most))


def initial(rows: pd.DataFrame, pilot: pd.DataFrame) -> pd.DataFrame:
    """Average regions at initialisation over networks, and hold them against our pilot's table.

    Args:
        pilot: `initial_regions_check`, means and standard errors of 50 networks a row.

    Returns:
        One row per start, width and depth: n, neurons, regions, error, pieces, per_neuron; pilot, pilot_error, and `z`,
        the difference over its standard error, where the pilot has the row.
    """
    grouped = rows.groupby([*START, "hidden_layers"], sort=False)
    table = grouped.agg(
        n=("regions", "size"), neurons=("neurons", "first"), regions=("regions", "mean"), error=("regions", "sem"),
        pieces=("pieces", "mean"),
    ).reset_index()  # fmt: skip
    table["per_neuron"] = table["regions"] / table["neurons"]
    known = pilot.rename(columns={"mean_regions": "pilot", "se": "pilot_error"})
    known["init"] = known["init"].map({"torch_default": "default", "he_bias_normal": "he"})
    known["bias_sd"] = known["bias_sd"].fillna(0.0)
    table = table.merge(known.drop(columns="neurons"), on=[*START, "hidden_layers"], how="left")
    error = np.hypot(table["error"], table["pilot_error"])
    apart = table["regions"] - table["pilot"]
    return table.assign(z=np.where(error > 0, apart / error.where(error > 0), np.where(apart == 0, 0.0, nan)))


def linearity(table: pd.DataFrame) -> pd.DataFrame:
    """Compare regions per neuron in the deepest networks with those in the shallowest, at each width (C11).

    Returns:
        One row per start and width: the ratio with a 95 % interval (delta method on its logarithm), the two depths, n
        (networks of both), and `spread`, the largest over the smallest of all depths' regions per neuron.
    """
    found = []
    for key, group in table.groupby(START, sort=False):
        group = group.sort_values("hidden_layers")
        first, last = group.iloc[0], group.iloc[-1]
        if first["hidden_layers"] == last["hidden_layers"]:
            continue
        ratio = last["per_neuron"] / first["per_neuron"]
        error = sqrt(sum((one["error"] / one["regions"]) ** 2 for one in (first, last)))
        low, high = ratio * np.exp(np.array([-1, 1]) * 1.96 * error)
        found.append(dict(zip(START, key, strict=True)) | {
            "shallowest": first["hidden_layers"], "deepest": last["hidden_layers"], "ratio": ratio, "low": low,
            "high": high, "n": int(first["n"] + last["n"]),
            "spread": group["per_neuron"].max() / group["per_neuron"].min(),
        })  # fmt: skip
    return pd.DataFrame(found)


def pilot_training(cells: pd.DataFrame, steps: pd.DataFrame, errors: pd.DataFrame, pilot: pd.DataFrame) -> pd.DataFrame:
    """Put our numbers of T1 at lambda = 0.05 beside those of our pilot run (`bias_gradients_check`).

    Args:
        cells: `updates.statistics`; steps: `by_step`; errors: `levels.by_format`, of which those over all layers.

    Returns:
        One row per depth, width and quantity: ours, pilot, and their ratio.
    """
    plain = "task == 'interval' and target == 'sine' and init == 'default' and rule == 'descent' and batch == 0"
    cells, steps = (one.query(f"{plain} and step_size == 0.05") for one in (cells, steps))
    found = []
    for _, row in pilot.iterrows():
        here = {"hidden_layers": row["hidden_layers"], "width": row["width"]}
        ours = _of(cells[cells["step"].isin([0, 200, 400])], here).groupby("width").mean(numeric_only=True)
        counted, known = _of(steps, here), _of(errors, here)
        pairs = [
            ("median of 1/|g|", _first(ours["median"]) * 0.05, row["median_inv_abs_grad"]),
            ("zero fraction", _first(ours["zero_fraction"]), row["zero_fraction"]),
            ("tail index", _first(ours["tail_index"]), row["tail_index"]),
            ("regions before training", _first(counted.loc[counted["step"] == 0, "regions"]), row["regions_init"]),
            ("regions after 400 steps", _first(counted.loc[counted["step"] == 400, "regions"]),
             row["regions_after_400"]),
            ("fp32 error, median", _level(known, "fp32", "fp32"), row["relerr_fp32_median"]),
            ("fp16 error, median, sums as NumPy's", _level(known, "fp16", "numpy"), row["relerr_fp16_median"]),
            ("fp16 error, median, sums in fp32", _level(known, "fp16", "fp32"), row["relerr_fp16_median"]),
        ]  # fmt: skip
        found += [here | {"quantity": name, "ours": mine, "pilot": float(theirs)} for name, mine, theirs in pairs]
    table = pd.DataFrame(found).dropna(subset=["ours"]).reset_index(drop=True)
    return table.assign(ratio=table["ours"] / table["pilot"])


def _of(table: pd.DataFrame, here: dict) -> pd.DataFrame:
    return table[(table["hidden_layers"] == here["hidden_layers"]) & (table["width"] == here["width"])]


def _first(values: pd.Series) -> float:
    return float(values.iloc[0]) if len(values) else nan


def _level(errors: pd.DataFrame, storage: str, accumulate: str) -> float:
    chosen = errors.query(f"storage == '{storage}' and accumulate == '{accumulate}' and against == 'fp64'")
    return _first(chosen["median"])


def width_growth(single: pd.DataFrame) -> pd.DataFrame:
    """Fit regions = constant per depth x N^power over networks, at each step that three widths or more have recorded.

    Returns:
        One row per initialisation and step of full-batch descent on the sine: power, Student's interval, n networks.
    """
    found = []
    plain = single[(single["target"] == "sine") & (single["rule"] == "descent") & (single["batch"] == 0)]
    for key, group in plain.groupby(["init", "bias_sd", "step_size", "step"], sort=False):
        if group["width"].nunique() >= 3:
            power = fit(np.log(group["width"]), np.log(group["regions"]), group["hidden_layers"])
            found.append(dict(zip(["init", "bias_sd", "step_size", "step"], key, strict=True)) | {
                "power": power.value, "low": power.low, "high": power.high, "n": len(group),
            })  # fmt: skip
    return pd.DataFrame(found)


def share_within(table: pd.DataFrame, limit: float = 3.0) -> tuple[int, int, float]:
    """How many of the pilot's rows are met within `limit` standard errors, of how many, and the largest |z|."""
    known = table.dropna(subset=["z"])
    return int((known["z"].abs() <= limit).sum()), len(known), float(known["z"].abs().max()) if len(known) else nan
