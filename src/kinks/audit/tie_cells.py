"""The cells of the tie census: which networks, precisions and images, the job that counts, and the shares.

Shares are of windows; their intervals are over initialisations, each of which sees mini-batches of its own.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from kinks import stats
from kinks.audit.passes import Pass
from kinks.audit.ties import census, up_to_last_pool
from kinks.nets.initialise import initialise
from kinks.nets.precise import at
from kinks.nets.registry import build
from kinks.precision import fixed, named

CELL = ["network", "batch_norm", "init", "augment", "precision", "bias"]
WORDS = {  # what a cell's name may say beside the network
    "bn": {"batch_norm": True},
    "default": {"init": "default"},
    "uncropped": {"augment": False},
    "late": {"bias": "after_convolution"},
}


def jobs(
    inits: Mapping[str, Mapping[str, int]],
    batch_sizes: Mapping[str, int],
    seeds_per_job: int,
    *,
    digits: Mapping[str, object],
    pictures: Mapping[str, object],
    **common: object,
) -> list[dict]:
    """Read cells from names such as `vgg11`, `vgg11 bn` or `vgg11 uncropped` as settings of `job`, slow ones first.

    Args:
        inits: per cell and precision, how many initialisations.
        batch_sizes: of each precision.
        seeds_per_job: into how many initialisations a cell is cut.
        digits, pictures: the settings that name the data, for LeNet-5 and for all other networks.
        **common: further settings of every job.

    Raises:
        ValueError: a name with another word than those of `WORDS`, or a precision without batch size.
    """
    found = []
    for name, counts in inits.items():
        network, *words = name.split()
        if odd := sorted(set(words) - set(WORDS)):
            raise ValueError(f"cell {name!r}: {odd[0]!r}; allowed: a network and any of {', '.join(WORDS)}")
        cell = {"network": network, "batch_norm": False, "init": "kaiming_uniform", "bias": "accumulator"}
        cell |= {"augment": network != "lenet5", **common, **(digits if network == "lenet5" else pictures)}
        for word in words:
            cell |= WORDS[word]
        for precision, seeds in counts.items():
            if precision not in batch_sizes:
                raise ValueError(f"no batch size for {precision}; there are {', '.join(batch_sizes)}")
            more = {"precision": precision, "batch_size": batch_sizes[precision]}
            for first in range(0, seeds, seeds_per_job):
                found.append(cell | more | {"first_seed": first, "seeds": min(seeds_per_job, seeds - first)})
    return sorted(found, key=lambda job: (job["precision"] != "fp64", job["network"] == "lenet5"))


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
    augment: bool,
    batch_size: int,
    first_seed: int,
    seeds: int,
    minibatches: int,
    device: str,
) -> pd.DataFrame:
    """Count the ties of `seeds` random networks on `minibatches` mini-batches each, never training them.

    Args:
        dataset: `mnist` (of `source`, shuffled once) or colour images (in their order).
        augment: whether images are cropped and mirrored, as for the published volumes.

    Returns:
        The rows of `census` per initialisation and mini-batch, with the settings. Equal seeds draw equal weights and
        see the same images in every cell.
    """
    how = named(precision, bias=bias, device=device)
    rows = []
    with fixed(how):
        data = Pass.over(dataset, source, folder, checksum, augment, how, device)
        model = at(up_to_last_pool(build(network, batch_norm=batch_norm, seed=0)), how, device)
        for seed in range(first_seed, first_seed + seeds):
            initialise(model, init, seed)
            for index in data.indices(seed, minibatches, batch_size):
                x, _ = data.minibatch(index, batch_size)
                rows += [{"seed": seed, "minibatch": index} | row for row in census(model, x)]
    cell = {"network": network, "batch_norm": batch_norm, "init": init, "augment": augment, "batch_size": batch_size}
    return pd.DataFrame(rows).assign(**cell, **how.row())


def by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of windows with a tie, per cell, layer and kind.

    Returns:
        count of windows; share with its 95 % interval low, high; border, how many of them lie there; border_share,
        the share of the border's windows; two, three, four (or more) maximal entries; merged by batch norm; inits;
        batch_size.
    """
    return _shares(rows, [*CELL, "layer", "kind"])


def by_kind(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of windows with a tie, per cell and kind, all layers of a network together.

    Returns:
        The columns of `by_layer` and: hit, in how many of `minibatches` there is such a tie; per_minibatch, how many
        there are on average.
    """
    keys = [*CELL, "kind"]
    found = _shares(rows, keys)
    minibatches = rows.groupby([*keys, "seed", "minibatch"], sort=True)["count"].sum().groupby(keys, sort=True)
    counted = minibatches.agg(hit=lambda counts: int((counts > 0).sum()), minibatches="size", per_minibatch="mean")
    return found.merge(counted.reset_index(), on=keys)


def _shares(rows: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    found = []
    sums = ["count", "windows", "two", "three", "four", "merged"]
    for key, group in rows.groupby(list(keys), sort=True):
        at_border = group[group["place"] == "border"]
        border, border_windows = int(at_border["count"].sum()), int(at_border["windows"].sum())
        totals = {name: int(total) for name, total in group[sums].sum().items()}
        inits = group.groupby("seed")[["count", "windows"]].sum()
        low, high = interval(inits["count"].to_numpy(float), inits["windows"].to_numpy(float))
        shares = {"share": totals["count"] / totals["windows"], "low": low, "high": high}
        more = {"border": border, "border_windows": border_windows, "border_share": border / border_windows}
        more["batch_size"] = int(group["batch_size"].iloc[0])
        found.append(dict(zip(keys, key, strict=True)) | totals | shares | more | {"inits": len(inits)})
    return pd.DataFrame(found)


def interval(count: np.ndarray, windows: np.ndarray) -> tuple[float, float]:
    """Return the 95 % interval of a share of windows from each initialisation's count, both `(inits,)`.

    Student's, over initialisations, of the share's logarithm; widened to the Poisson interval of the sums, which alone
    speaks where there are no ties or a single initialisation.
    """
    low, high = stats.poisson_rate(count.sum(), windows.sum())
    if len(count) > 1 and count.any():
        shares, share = count / windows, count.sum() / windows.sum()
        error = shares.std(ddof=1) / shares.mean() / np.sqrt(len(count))
        factor = np.exp(stdtrit(len(count) - 1, (1 + stats.LEVEL) / 2) * error)
        low, high = min(low, share / factor), min(max(high, share * factor), 1.0)
    return float(low), float(high)
