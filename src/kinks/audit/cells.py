"""The cells of the volume experiment (E2): which networks, how many initialisations, and what their decisions say."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

import pandas as pd

from kinks import stats

LAYERS, WIDTHS, BATCHES = (1, 2, 3, 5, 6), (16, 64, 512, 1024), (16, 64, 256, 512, 1024)  # as published
DEPTH, WIDTH, BATCH = 3, 256, 256  # the cell that the panels have in common
CELL = ["network", "precision", "bias", "hidden_layers", "neurons", "batch_size", "images"]
RULES = ("assign", "chain", "noise")
COMMON = {"hidden_layers": DEPTH, "neurons": WIDTH, "batch_size": BATCH}  # each panel varies one of these


def grid(
    shallow: Mapping[str, int],
    deep: Mapping[str, int],
    batch: Mapping[str, int],
    width: Mapping[str, Sequence[int]],
    published: Mapping[str, int],
) -> list[dict]:
    """List the cells of the published panels as settings of `kinks.audit.volume.job`, without seeds' split into jobs.

    Args:
        shallow: initialisations per precision of the 256-wide networks of 1, 2 and 3 layers, mini-batches of 256.
        deep: of these, how many also have 5 and 6 layers. batch: how many also have the other batch sizes (3 layers).
        width: initialisations per precision of 3 layers of 16, 64, 512 and 1024 neurons (0 leaves one out).
        published: of the 3x256 network without its first ReLU.

    Raises:
        ValueError: more deep or batch initialisations than shallow ones, or not four widths.
    """
    cells = []
    for precision, inits in shallow.items():
        cells += _common(precision, inits, deep.get(precision, 0), batch.get(precision, 0))
    for precision, counts in width.items():
        if len(counts) != len(WIDTHS):
            raise ValueError(f"width_inits of {precision} are {list(counts)}; give one number for each of {WIDTHS}")
        cells += [_cell(precision, n, [DEPTH], [BATCH], 0, inits) for n, inits in zip(WIDTHS, counts, strict=True)]
    cells += [
        _cell(precision, WIDTH, [DEPTH], [BATCH], 0, n, network="published") for precision, n in published.items()
    ]
    return [cell for cell in cells if cell["seeds"]]


def late_bias(half: Mapping[str, int], single: int) -> list[dict]:
    """List the cells in which the bias is added after the product was rounded, as settings like those of `grid`.

    Args:
        half: initialisations per width of fp16, 3 layers. single: of fp32, 256 wide with 1, 2 and 3 layers.
    """
    cells = [_cell("fp16", int(n), [DEPTH], [BATCH], 0, inits, bias="after_rounding") for n, inits in half.items()]
    shallow = [depth for depth in LAYERS if depth <= DEPTH]
    cells.append(_cell("fp32", WIDTH, shallow, [BATCH], 0, single, bias="after_rounding"))
    return [cell for cell in cells if cell["seeds"]]


def _common(precision: str, shallow: int, deep: int, batch: int) -> Iterator[dict]:
    if max(deep, batch) > shallow:
        raise ValueError(
            f"{precision}: {deep} deep and {batch} batch-size initialisations are among the {shallow} shallow ones; "
            "give no more than those"
        )
    edges = sorted({0, shallow, deep, batch})
    for first, last in pairwise(edges):
        layers = [d for d in LAYERS if d <= DEPTH or first < deep]
        yield _cell(precision, WIDTH, layers, list(BATCHES) if first < batch else [BATCH], first, last - first)


def _cell(precision, neurons, hidden_layers, batch_sizes, first_seed, seeds, network="intended", bias="accumulator"):
    return {
        "network": network, "precision": precision, "bias": bias, "neurons": neurons, "hidden_layers": hidden_layers,
        "batch_sizes": batch_sizes, "first_seed": first_seed, "seeds": seeds,
    }  # fmt: skip


def jobs(cells: Sequence[dict], noise_seeds: int, early: Sequence[str], per_job: int, **common: object) -> list[dict]:
    """Cut cells into jobs of at most `per_job` seeds.

    `early` names the precisions whose passes over the data stop once every decision is made; the published network is
    always audited to the end, because the effect-size experiment needs all of its mini-batches.
    """
    return [
        cell
        | {"first_seed": first, "seeds": min(per_job, cell["first_seed"] + cell["seeds"] - first)}
        | {"noise_seeds": noise_seeds}
        | {"stop_when_decided": cell["precision"] in early and cell["network"] == "intended"}
        | common
        for cell in cells
        for first in range(cell["first_seed"], cell["first_seed"] + cell["seeds"], per_job)
    ]


def shares(decisions: pd.DataFrame) -> pd.DataFrame:
    """Count, per cell of the panels and rule, the initialisations in the zone: count, n, share, low, high (95 %)."""
    common = [decisions[name] == value for name, value in COMMON.items()]
    rows = []
    for key, group in decisions[sum(common) >= 2].groupby(CELL, sort=True):
        for rule in RULES:
            hits = group["noise"].dropna() if rule == "noise" else group[f"first_{rule}"] >= 0
            rows.append(dict(zip(CELL, key, strict=True)) | {"rule": rule} | proportion(int(hits.sum()), len(hits)))
    return pd.DataFrame(rows)


def sample_size(decisions: pd.DataFrame, sizes: Sequence[int]) -> pd.DataFrame:
    """Count the initialisations in the zone after the first `sizes` images: the same decisions, cut short."""
    rows = []
    for key, group in decisions.groupby(["network", "precision"], sort=True):
        for rule in ("assign", "chain"):
            for size in sizes:
                first, batches = group[f"first_{rule}"], -(-size // BATCH)
                count = int(((first >= 0) & (first < batches)).sum())
                labels = dict(zip(["network", "precision"], key, strict=True))
                rows.append(labels | {"rule": rule, "images": size} | proportion(count, len(group)))
    return pd.DataFrame(rows)


def sizes(images: int) -> list[int]:
    """Return the numbers of images at which the sample-size curve is read, up to `images`."""
    wanted = [256, 500, 1000, 2000, 3000, 5000, 7500, *range(10_000, 60_001, 5000)]
    return sorted({size for size in wanted if size <= images} | {images})


def rates(census: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """Exact zeros per pre-activation, with the exact 95 % Poisson interval: events, evaluations, rate, low, high."""
    rows = []
    for key, group in census.groupby(list(by), sort=True):
        events, evaluations = int(group["zeros"].sum()), int(group["evaluations"].sum())
        low, high = stats.poisson_rate(events, evaluations)
        rate = {
            "events": events,
            "evaluations": evaluations,
            "rate": events / evaluations,
            "low": low,
            "high": high,
        }
        rows.append(dict(zip(by, key, strict=True)) | rate)
    return pd.DataFrame(rows)


def affected_minibatches(decisions: pd.DataFrame, events: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Find the mini-batches of the 3x256 networks (bias in the accumulator) that hold an exact zero.

    Returns:
        (hit, exposure). hit: network, precision, seed, minibatch, zeros, in which something may differ. exposure, per
        network and precision: inits, minibatches looked at, hit.
    """
    where = (decisions["bias"] == "accumulator") & (decisions["neurons"] == WIDTH)
    where &= (decisions["hidden_layers"] == DEPTH) & (decisions["batch_size"] == BATCH)
    key = ["network", "precision", "seed"]
    seen = decisions.loc[where, [*key, "seen"]]
    found = events[(events["bias"] == "accumulator") & (events["neurons"] == WIDTH) & (events["layer"] <= DEPTH)]
    found = found[[*key, "image"]].merge(seen, on=key)
    found = found[found["image"] < found["seen"]]
    found = found.assign(minibatch=(found["image"] // BATCH).astype(int), seed=found["seed"].astype(int))
    hit = found.groupby([*key, "minibatch"], sort=True).size().rename("zeros").reset_index()
    looked_at = seen.assign(minibatches=-(-seen["seen"] // BATCH)).groupby(key[:2], sort=True)["minibatches"]
    exposure = looked_at.agg(inits="size", minibatches="sum").astype(int)
    exposure["hit"] = hit.groupby(key[:2]).size()
    return hit, exposure.fillna({"hit": 0}).astype({"hit": int}).reset_index()


def proportion(count: int, n: int) -> dict[str, float]:
    """Return count, n, share and its Clopper-Pearson 95 % interval; NaN where nothing was counted."""
    if n == 0:
        return {"count": 0, "n": 0, "share": float("nan"), "low": float("nan"), "high": float("nan")}
    low, high = stats.clopper_pearson(count, n)
    return {"count": count, "n": n, "share": count / n, "low": low, "high": high}
