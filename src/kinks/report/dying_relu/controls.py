"""Controls (D8): what remedies change, and first weights scaled up instead of targets scaled down."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.report.dying_relu import effects, outcomes
from kinks.report.dying_relu.networks import chosen, labelled, last, per_network

CONTROLS = {
    "none": {},
    "leaky slope 0.01": {"slope": 0.01},
    "batch norm": {"batch_norm": True},
    "Nesterov": {"optimiser": "nesterov"},
    "clipping at norm 1": {"clip": 1.0},
    "running target scale": {"running_scale": True},
}
KEYS = ["base", "initialisation", "momentum", "control"]
LEAKS = "leaky slope 0.01"  # of which inactive is not dead: a gradient still passes


def settings(bases: Sequence[dict], common: dict) -> tuple[list[dict], list[str]]:
    """Return the jobs of every base with every control, and each job's control; Adam has no Nesterov's form here.

    Args:
        bases: `optimiser`, `momentum`, `rates` and `initialisation` each.
        common: all other settings of `kinks.dying.sweep.job`.
    """
    jobs, names = [], []
    for base in bases:
        for name, change in CONTROLS.items():
            if name == "Nesterov" and base["optimiser"] != "sgd":
                continue
            jobs.append({"epsilon": 1e-8, **common, **base, **change})
            names.append(name)
    return jobs, names


def networks(rows: pd.DataFrame, jobs: Sequence[dict], names: Sequence[str]) -> pd.DataFrame:
    """Return `networks.per_network` of the jobs' rows, with columns control and base (optimiser of the base)."""
    found = per_network(labelled(rows, jobs))
    told = pd.DataFrame([_identity(job) for job in jobs]).assign(control=list(names))
    told["base"] = told["optimiser"].replace("nesterov", "sgd")
    return found.merge(told, on=[column for column in told if column not in ("control", "base")])


def _identity(job: dict) -> dict[str, object]:
    given = {"slope": 0.0, "batch_norm": False, "running_scale": False, "clip": 0.0} | job
    names = ("optimiser", "momentum", "initialisation", "slope", "batch_norm", "clip", "running_scale")
    return {name: given[name] for name in names} | {"clip": float(given["clip"] or 0.0)}


def cells(nets: pd.DataFrame) -> pd.DataFrame:
    """Return the outcomes per base, control and gamma after the last step, at the rate chosen for gamma = 1."""
    return outcomes.table(chosen(nets, KEYS), ["data", *KEYS, "rate", "gamma"])


def against_none(nets: pd.DataFrame) -> pd.DataFrame:
    """Return what each control changes in the share gained, at the smallest gamma and at the largest, pairs by seed.

    Columns: gamma, value (the control's less that without), low, high (Student), n; pairs of which one diverged count
    for neither, and where the network without the control diverged in every pair, n is 0.
    """
    ends = chosen(nets, KEYS)
    ends = ends[ends["gamma"].isin([ends["gamma"].min(), ends["gamma"].max()])]
    by = ["base", "initialisation", "momentum", "gamma", "seed"]
    none = ends[ends["control"] == "none"].set_index(by)["gained"].rename("without")
    pairs = ends[ends["control"] != "none"].join(none, on=by)
    pairs["value"] = pairs["gained"] - pairs["without"]
    rows = []
    for key, group in pairs.groupby([*KEYS, "gamma"], sort=False):
        known = group["value"].dropna()
        rows.append(
            dict(zip([*KEYS, "gamma"], key, strict=True))
            | dict(zip(effects.ENDS, stats.student(known), strict=True))
            | {"n": len(known), "diverged": int(group["diverged"].sum())}
        )
    return pd.DataFrame(rows)


def scaled_settings(depths: Sequence[int], scales: Sequence[float], rate: float, common: dict) -> list[dict]:
    """Return pairs of jobs: gamma = scale^-k at first scale 1, then first weights times scale at gamma = 1.

    With `depth` layers of ReLUs the output is of degree k = depth + 1 in the weights (but for biases), so that plain
    descent is the same in both when the rate of the second is that of the first times scale^(2 - 2k).
    """
    jobs = []
    for depth in depths:
        k = depth + 1
        for scale in scales:
            base = {"epsilon": 1e-8, **common, "depth": depth}
            jobs.append({**base, "gammas": [scale**-k], "rates": [rate], "scale": 1.0})
            jobs.append({**base, "gammas": [1.0], "rates": [rate * scale ** (2 - 2 * k)], "scale": float(scale)})
    return jobs


def equivalence(rows: pd.DataFrame, jobs: Sequence[dict]) -> pd.DataFrame:
    """Return, per depth and scale, networks with small targets beside networks with large first weights.

    Columns: degree, gamma, first_scale, n (pairs by seed), gained_by_gamma, gained_by_scale, difference (mean, second
    less first) with low and high (Student), largest (absolute) and error_ratio (geometric mean of the test errors,
    second over first).
    """
    nets = [last(per_network(labelled(part, [job]))) for part, job in zip(_parts(rows, jobs), jobs, strict=True)]
    found = []
    for place in range(0, len(jobs), 2):
        small, large = (one.set_index("seed") for one in nets[place : place + 2])
        difference = (large["gained"] - small["gained"]).dropna()
        mean, low, high = stats.student(difference)
        ratio = np.log(large["test_error"] / small["test_error"]).replace([np.inf, -np.inf], np.nan).dropna()
        found.append({
            "depth": jobs[place]["depth"], "degree": jobs[place]["depth"] + 1, "gamma": jobs[place]["gammas"][0],
            "first_scale": jobs[place + 1]["scale"], "n": len(difference),
            "gained_by_gamma": float(small["gained"].mean()), "gained_by_scale": float(large["gained"].mean()),
            "difference": mean, "low": low, "high": high, "largest": float(difference.abs().max()),
            "error_ratio": float(np.exp(ratio.mean())),
        })  # fmt: skip
    return pd.DataFrame(found)


def _parts(rows: pd.DataFrame, jobs: Sequence[dict]) -> list[pd.DataFrame]:
    sizes = [len(job["seeds"]) * len(job["record"]) * job["depth"] for job in jobs]
    ends = np.cumsum(sizes)
    return [rows.iloc[end - size : end] for end, size in zip(ends, sizes, strict=True)]
