"""The cells of the MaxPool paper's volume tables (M5), and the shares of their pairs in each zone.

A pair (initialisation, mini-batch) lies in the bifurcation zone where Ninf exceeds a threshold, in the compensation
zone where it is positive and does not (a3, a5).
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from kinks import stats
from kinks.audit.zones import STRIDE, YARDSTICKS

BATCHES = (64, 128, 256, 512, 1024)  # as published
COMMON = {"network": "vgg11", "batch_size": 128, "batch_norm": False}  # each panel varies one of these
CELL = ["network", "batch_norm", "init", "batch_size", "precision", "bias", "deterministic"]
WORK = {"lenet5": 0.02, "densenet121": 0.4, "vgg13": 1.6, "vgg16": 2.0, "vgg19": 2.6}  # against VGG-11
SLOW = {"fp64": 8.0, "fp16": 2.0, "bf16": 2.0}  # against fp32
# The thresholds that the released notebook has as literals (D4), for mini-batches and for networks.
PUBLISHED = {
    "minibatch": {"fp16": 1e-3, "fp32": 1e-7, "fp64": 1e-15},
    "network": {"fp16": 1e-3, "fp32": 1e-6, "fp64": 1e-15},
}


def cells(inits: Mapping[str, Mapping[str, Sequence[int]]]) -> list[dict]:
    """Read cells from names such as `vgg11`, `vgg11 bn` or `vgg11 1024` (128 where no batch size is given).

    Args:
        inits: per cell and precision, how many initialisations are compared, and of how many of these the first
            mini-batch is also `reordered`, measured for its `error` and `repeated`: four numbers.

    Raises:
        ValueError: a name or numbers that do not read like this.
    """
    found = []
    for name, counts in inits.items():
        network, *rest = name.split()
        sizes = [int(word) for word in rest if word.isdecimal()]
        if len(sizes) > 1 or len(rest) != len(sizes) + ("bn" in rest):
            raise ValueError(f"cell {name!r}; allowed: a network, perhaps bn, perhaps a batch size, as 'vgg11 bn 64'")
        cell = {"network": network, "batch_norm": "bn" in rest, "batch_size": sizes[0] if sizes else 128}
        for precision, numbers in counts.items():
            if len(numbers) != 4 or max(numbers[1:]) > numbers[0]:
                raise ValueError(
                    f"cell {name!r}, {precision}: initialisations {list(numbers)}; allowed: four numbers (compared, "
                    f"{', '.join(YARDSTICKS)}), the first the largest"
                )
            found.append(cell | {"precision": precision, "seeds": numbers[0], "yardsticks": list(numbers[1:])})
    return [cell for cell in found if cell["seeds"]]


def jobs(
    inits: Mapping[str, Mapping[str, Sequence[int]]], seeds_per_job: int, minibatches: int, **common: object
) -> list[dict]:
    """Cut `cells` into settings of `kinks.audit.zones.job`, the longest first.

    Batch sizes and batch norm have initialisations of their own, so that panels compare independent samples. Those that
    are also held against a yardstick come in jobs of one each.
    """
    cut = []
    for cell in cells(inits):
        first = STRIDE * (BATCHES.index(cell["batch_size"]) + 1 if cell["batch_size"] in BATCHES else 0)
        first += 100 * STRIDE if cell["batch_norm"] else 0
        alone = max(cell["yardsticks"])
        starts = [*range(alone), *range(alone, cell["seeds"], seeds_per_job)]
        for start, stop in zip(starts, [*starts[1:], cell["seeds"]], strict=True):
            settings = {"first_seed": first + start, "seeds": stop - start, "minibatches": minibatches}
            wanted = [name for name, count in zip(YARDSTICKS, cell["yardsticks"], strict=True) if start < count]
            names = {key: cell[key] for key in ("network", "batch_norm", "batch_size", "precision")}
            cut.append(names | settings | {"yardsticks": wanted} | common)
    return longest_first(cut)


def longest_first(settings: Sequence[dict]) -> list[dict]:
    """Sort settings of `kinks.audit.zones.job` so that no process is left with a long one when the others are done."""
    return sorted(settings, key=_work, reverse=True)


def _work(settings: dict) -> float:
    """A guess at the time of a job, in passes of VGG-11 over an image."""
    per_image = WORK.get(settings["network"], 1.0) * SLOW.get(settings["precision"], 1.0)
    passes = 2 * settings["minibatches"] * settings["seeds"] + 20 * len(settings["yardsticks"])
    return per_image * settings["batch_size"] * passes


def yardsticks(rows: pd.DataFrame) -> pd.DataFrame:
    """Return per cell what rounding alone does to Ninf: largest and median of `reordered`, `error`, `repeated`, with n.

    The largest `reordered` is the repaired threshold: one rule for every precision, and the norm of the volumes (D3,
    D4). `error` is the distance to float64 of the gradient with the native Jacobian: how wrong it is to begin with.
    """
    found = []
    for key, group in rows.groupby(CELL, sort=True):
        row = dict(zip(CELL, key, strict=True))
        for name in YARDSTICKS:
            values = group.loc[group["arm"] == name, "ninf"]
            row |= {name: values.max(), f"{name}_median": values.median(), f"{name}_n": len(values)}
        found.append(row)
    return pd.DataFrame(found)


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how many pairs lie in each zone, per cell, level, arm and threshold.

    Arm `beta` is held against the published threshold and against the largest `reordered` and `error` of its cell;
    the yardsticks, in which no Jacobian is changed, against the published one. Levels: `minibatch` (all pairs),
    `network` (initialisations of which some mini-batch exceeds the threshold) and `first` (the first mini-batch of each
    initialisation, so that trials are independent).

    Returns:
        tau, inits, minibatches; n trials and count in the bifurcation zone, share, low, high (95 %); compensation and
        equal (shares); hoeffding (half-width over inits). See `interval` for low and high.
    """
    found = []
    floors = yardsticks(rows).set_index(CELL)
    for key, cell in rows.groupby(CELL, sort=True):
        precision = cell["precision"].iloc[0]
        for level in ("minibatch", "network", "first"):
            literal = PUBLISHED["network" if level == "network" else "minibatch"].get(precision, float("nan"))
            held = [("beta", name, floors.loc[key, name]) for name in ("reordered", "error")]
            held += [(arm, "published", literal) for arm in ("beta", *YARDSTICKS)]
            for arm, threshold, tau in held:
                group = cell[cell["arm"] == arm]
                if len(group) and tau == tau:
                    names = dict(zip(CELL, key, strict=True)) | {"level": level, "arm": arm, "threshold": threshold}
                    found.append(names | {"tau": tau} | _zones(_units(group, level), tau))
    return pd.DataFrame(found)


def _units(group: pd.DataFrame, level: str) -> pd.DataFrame:
    """Columns seed and ninf, one row per trial: a network counts by its largest Ninf."""
    if level == "minibatch":
        return group[["seed", "ninf"]]
    by_seed = group.groupby("seed", sort=True)["ninf"]
    return (by_seed.max() if level == "network" else by_seed.first()).reset_index()


def _zones(units: pd.DataFrame, tau: float) -> dict:
    above, equal = units["ninf"] > tau, units["ninf"] == 0
    inits, n = units["seed"].nunique(), len(units)
    low, high = interval(above, units["seed"])
    row = {"inits": inits, "n": n, "count": int(above.sum()), "share": float(above.mean()), "low": low, "high": high}
    row |= {"compensation": float((~above & ~equal).mean()), "equal": float(equal.mean())}
    return row | {"hoeffding": stats.hoeffding(inits), "mcdiarmid": stats.mcdiarmid(inits, -(-n // inits))}


def interval(above: pd.Series, seeds: pd.Series) -> tuple[float, float]:
    """Return the 95 % interval of a share of trials that are independent between initialisations only.

    Clopper-Pearson with one trial per initialisation. Otherwise a bootstrap over initialisations; where all of them
    agree on 0 or on 1 that would be a point, so there it is Clopper-Pearson of as many initialisations.
    """
    inits = seeds.nunique()
    if inits == len(above):
        return tuple(stats.clopper_pearson(int(above.sum()), inits))
    if above.nunique() == 1:
        return tuple(stats.clopper_pearson(inits * int(above.iloc[0]), inits))
    if inits == 1:
        return 0.0, 1.0
    return tuple(stats.bootstrap(above.to_numpy(float), np.mean, groups=seeds)[1:])
