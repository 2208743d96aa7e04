"""Target scale on regression data (D1): settings, errors and dead shares against gamma, and where the best gamma is."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.dying import grids, official
from kinks.report.dying_relu import outcomes
from kinks.report.dying_relu.networks import CELL, RULE, chosen

CHOICES = {"chosen": "rate chosen once, at γ = 1", "retuned": "rate chosen anew at every γ"}
FACTOR = 10.0  # how far from 1 the best gamma may lie
RESAMPLES = 2000


def settings(
    datasets: Sequence[str],
    initialisations: Sequence[str],
    optimisers: Sequence[dict],
    speeds: Sequence[float],
    adam_rates: Sequence[float],
    epsilons: Sequence[float],
    common: dict,
) -> tuple[list[dict], list[dict]]:
    """Return the jobs of the sweep and those of Adam's epsilon, which take the first set and the smallest gamma.

    Args:
        datasets: as `kinks.dying.official.load` names them.
        initialisations: `library`, `he`; all but the first for the first set only.
        optimisers: `optimiser` and `momentum` each.
        speeds: eta / (1 - mu) of SGD.
        adam_rates: learning rates of Adam.
        epsilons: of Adam, other than its default.
        common: all other settings of `kinks.dying.sweep.job`, `depth` and `gammas` among them.
    """
    pairs = [(name, initialisations[0]) for name in datasets]
    pairs += [(datasets[0], other) for other in initialisations[1:]]
    cells = [
        {"data": name, "initialisation": start, "kind": "plain", "depth": common["depth"], "speeds": list(speeds)}
        for name, start in pairs
    ]
    adam = [{"optimiser": "adam", "momentum": 0.0, "epsilon": epsilon} for epsilon in epsilons]
    small = common | {"gammas": [min(common["gammas"])]}
    epsilon_jobs = grids.sweeps(cells[:1], adam, adam_rates, small) if adam else []
    return grids.sweeps(cells, optimisers, adam_rates, common), epsilon_jobs


def sources(jobs: Sequence[dict]) -> str:
    """Return the label of the jobs' data: names, where they come from, and rows of the training parts."""
    found = {}
    for one in jobs:
        if one["data"] not in found:
            card = official.load(one["data"], one["data_seed"], one.get("rows"), one.get("folder")).card()
            origin = "synthetic teacher" if card["source"] == "teacher" else card["source"]
            found[one["data"]] = f"{card['data']} ({origin}, {card['train_rows']:,} training rows)"
    return "; ".join(found.values())


def cells(nets: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes per set, initialisation, rule, gamma and choice of the rate (see `outcomes.table`)."""
    keys = [*CELL, *RULE]
    tables = []
    for choice in CHOICES:
        rows = chosen(nets, keys, retuned=choice == "retuned")
        tables.append(outcomes.table(rows.assign(choice=choice), ["choice", *keys, "gamma", "rate"]))
    return pd.concat(tables, ignore_index=True)


def best_scale(nets: pd.DataFrame) -> pd.DataFrame:
    """Return, per initialisation, rule and choice, how much better the best gamma near 1 is than the best far from it.

    Columns: gain, log10 of the smallest median error at a gamma farther than a factor 10 from 1 over the smallest
    within, averaged over sets (above 0: the best gamma is near 1), with low and high by bootstrap over seeds; best, the
    gamma with the smallest median in each set; near, in how many of them it is within the factor; sets; n, seeds.
    """
    keys, rows = ["initialisation", "zero_last", "depth", "kind", *RULE], []
    for choice in CHOICES:
        picked = chosen(nets, [*CELL, *RULE], retuned=choice == "retuned")
        for key, group in picked.groupby(keys, sort=False):
            errors = [_errors(part) for _, part in group.groupby("data", sort=False)]
            rows.append({"choice": choice, **dict(zip(keys, key, strict=True)), **_gain(errors)})
    return pd.DataFrame(rows)


def _errors(rows: pd.DataFrame) -> pd.DataFrame:
    """Test errors `(seeds, gammas)`; a network that diverged is infinitely bad."""
    error = rows["test_error"].where(~rows["diverged"], np.inf).fillna(np.inf)
    return rows.assign(_error=error).pivot(index="seed", columns="gamma", values="_error")


def _gain(errors: Sequence[pd.DataFrame]) -> dict[str, object]:
    gammas = errors[0].columns.to_numpy(float)
    near = np.abs(np.log10(gammas)) <= np.log10(FACTOR) + 1e-9
    seeds = len(errors[0])
    if near.all() or not near.any():
        return {"gain": np.nan, "low": np.nan, "high": np.nan, "best": "", "near": 0, "sets": len(errors), "n": 0}
    draws = np.random.default_rng(0).integers(seeds, size=(RESAMPLES, seeds))
    gains = []
    for chosen_seeds in (np.arange(seeds)[None], draws):
        medians = [np.median(one.to_numpy()[chosen_seeds], axis=1) for one in errors]
        gains.append(np.mean([_log_ratio(one, near) for one in medians], axis=0))
    low, high = np.quantile(gains[1], [0.025, 0.975])
    best = [gammas[np.median(one.to_numpy(), axis=0).argmin()] for one in errors]
    return {
        "gain": float(gains[0][0]), "low": float(low), "high": float(high),
        "best": ", ".join(f"{value:g}" for value in best),
        "near": int(sum(abs(np.log10(value)) <= np.log10(FACTOR) + 1e-9 for value in best)),
        "sets": len(errors), "n": seeds,
    }  # fmt: skip


def _log_ratio(medians: np.ndarray, near: np.ndarray) -> np.ndarray:
    """log10 of the smallest median far from 1 over the smallest near 1, within 6: both may be infinite."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log10(medians[:, ~near].min(1)) - np.log10(medians[:, near].min(1))
    return np.clip(np.nan_to_num(ratio, nan=0.0), -6, 6)


def progress(nets: pd.DataFrame) -> pd.DataFrame:
    """Return by what factor the median training error still fell from the last but one record to the last.

    A row per initialisation, rule and gamma, with the rate chosen at gamma = 1, sets pooled. Columns: before and after
    (steps), fall (geometric mean over networks that did not diverge; 1: training had come to rest), low and high
    (Student's on logarithms, over seeds), n.
    """
    keys = [*CELL, *RULE]
    steps = sorted(nets["step"].unique())[-2:]
    ends = chosen(nets, keys)
    before = nets[nets["step"] == steps[0]]
    same = [*keys, "rate", "gamma", "seed"]
    both = ends.merge(before[[*same, "train_error", "diverged"]], on=same, suffixes=("", "_before"))
    both = both[~both["diverged"] & ~both["diverged_before"]]
    both["value"] = np.log10(both["train_error_before"] / both["train_error"])
    by = ["initialisation", *RULE, "gamma"]
    rows = []
    for key, group in both.groupby(by, sort=False):
        per_seed = group.groupby("seed")["value"].mean()
        mean, low, high = stats.student(per_seed)
        row = dict(zip(by, key, strict=True)) | {"before": steps[0], "after": steps[1]}
        rows.append(row | {"fall": 10**mean, "low": 10**low, "high": 10**high, "n": len(per_seed)})
    return pd.DataFrame(rows)


def epsilon(nets: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes of Adam at the smallest gamma for every epsilon and rate (the first set and initialisation).

    Args:
        nets: of the sweep, from which the default epsilon is taken.
        others: of the other epsilons.
    """
    if others.empty:
        return pd.DataFrame()
    first = others.iloc[0]
    same = (nets["optimiser"] == "adam") & (nets["gamma"] == first["gamma"]) & (nets["data"] == first["data"])
    same &= nets["initialisation"] == first["initialisation"]
    both = pd.concat([nets[same], others], ignore_index=True)
    return outcomes.table(both[both["step"] == both["step"].max()], [*CELL, *RULE, "gamma", "rate"])
