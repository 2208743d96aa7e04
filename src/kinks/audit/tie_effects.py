"""Do ties tell the zones apart? The gradients of one mini-batch for max-pool Jacobians 0 and 1, beside its ties.

Where all positive ties are structural the gradients should differ by rounding alone; a coincidental tie should move
them by a part of the gradient of one example.
"""

import pandas as pd
import torch

from kinks import stats
from kinks.audit.passes import Pass
from kinks.audit.pool_gradients import compare, distance, gradient
from kinks.audit.tie_cells import CELL
from kinks.audit.ties import census
from kinks.audit.zone_cells import PUBLISHED
from kinks.nets.initialise import initialise
from kinks.nets.precise import at
from kinks.nets.registry import architecture, build
from kinks.ops import PoolSwitch, swap
from kinks.precision import fixed, named

GROUPS = {"structural": "no coincidental tie", "coincidental": "a coincidental tie"}


def job(
    *,
    network: str,
    batch_norm: bool,
    init: str,
    precision: str,
    bias: str,
    dataset: str,
    source: str | None,
    folder: str | None,
    checksum: str,
    classes: int,
    augment: bool,
    batch_size: int,
    first_seed: int,
    seeds: int,
    reordered: int,
    device: str,
) -> pd.DataFrame:
    """Compare the gradients of `seeds` random networks on one mini-batch each and count its ties.

    Args:
        reordered: for how many of the seeds, from 0, the mini-batch is also run with its examples permuted.

    Returns:
        One row per initialisation: structural and coincidental ties of all pools, ninf (sum over parameter tensors of
        the largest absolute difference), reordered (the same between two orders of the examples, NaN where not asked).
    """
    how = named(precision, bias=bias, device=device)
    rows = []
    with fixed(how):
        data = Pass.over(dataset, source, folder, checksum, augment, how, device)
        pools = PoolSwitch()
        plain = build(network, batch_norm=batch_norm, seed=0, classes=classes)
        model = at(swap(plain, pool=pools, example=torch.zeros(2, *architecture(network).image)), how, device)
        for seed in range(first_seed, first_seed + seeds):
            initialise(model, init, seed)
            (index,) = data.indices(seed, 1, batch_size)
            x, labels = data.minibatch(index, batch_size)
            found = {"seed": seed, "minibatch": index, "structural": 0, "coincidental": 0}
            for row in census(model, x):
                if row["kind"] in found:
                    found[row["kind"]] += row["count"]
            found |= {"ninf": compare(model, pools, x, labels).norms.ninf, "reordered": float("nan")}
            if seed < reordered:
                order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).to(x.device)
                once, again = gradient(model, x, labels), gradient(model, x[order], labels[order])
                found["reordered"] = distance(once, again).ninf
            rows.append(found)
    cell = {"network": network, "batch_norm": batch_norm, "init": init, "augment": augment, "batch_size": batch_size}
    return pd.DataFrame(rows).assign(**cell, **how.row())


def split(rows: pd.DataFrame) -> pd.DataFrame:
    """Return Ninf apart for mini-batches without and with a coincidental tie.

    Returns:
        One row per cell and group (`structural`: no coincidental tie): n mini-batches; smallest, median and largest
        Ninf; above, how many exceed the published threshold, with the share's 95 % Clopper-Pearson interval;
        reordered, the largest distance between two orders of the examples, of all mini-batches of the cell.
    """
    found = []
    keys = [*CELL, "batch_size"]
    for key, cell in rows.groupby(keys, sort=True):
        threshold = PUBLISHED["minibatch"].get(cell["precision"].iloc[0], float("nan"))
        for group in GROUPS:
            here = cell[(cell["coincidental"] > 0) == (group == "coincidental")]["ninf"]
            if len(here) == 0:
                continue
            above = int((here > threshold).sum())
            low, high = stats.clopper_pearson(above, len(here))
            row = dict(zip(keys, key, strict=True)) | {"group": group, "n": len(here)}
            row |= {"smallest": here.min(), "median": here.median(), "largest": here.max(), "threshold": threshold}
            row |= {"above": above, "share": above / len(here), "low": low, "high": high}
            found.append(row | {"reordered": cell["reordered"].max()})
    return pd.DataFrame(found)
