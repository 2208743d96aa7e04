"""Weight divergence while training (M6): one network per max-pool Jacobian, all fed the same mini-batches.

Every network starts from the same weights and takes the same plain steps of gradient descent in its storage format, so
whatever parts it from the network with beta = 0 is its pool. Two more networks with beta = 0 say what parts networks
without that: the same program once more, and the same mini-batches with their examples in another order.
"""

from collections.abc import Mapping, Sequence
from itertools import chain, islice
from math import isfinite, nan

import pandas as pd
import torch

from kinks.audit import samples
from kinks.data import load, normalise, splits
from kinks.precision import fixed, named
from kinks.train.trajectory import ARMS, Run, advance, batches, classified, distance, permutation, start

RATE, SPREAD = 0.01, 0.2  # rate = RATE x (1 + SPREAD x u), u uniform on [0, 1), as published; there u has no seed
CHUNK = 500  # held-out images that are classified at once


def plan(betas: Sequence[float], twice: bool = True, jobs: int = 1) -> list[list[list]]:
    """Return the arms, [name, beta] each, dealt onto `jobs` jobs; every job also trains the network they are held to.

    Args:
        betas: each gives an arm `published` (forward beta x m + (1 - beta) x m) and an arm `corrected` (forward m).
        twice: whether the program with beta = 0 is run once more.

    Raises:
        ValueError: a beta that is 0, which is the network that the others are held to.
    """
    if 0 in betas:
        raise ValueError(f"betas are {list(betas)}; beta = 0 is what the others are compared with, so leave it out")
    units = [[["base", 0.0], ["reordered", 0.0]]] + ([[["twice", 0.0]]] if twice else [])
    for beta in map(float, betas):
        pair = [["published", beta], ["corrected", beta]]
        units += [pair] if beta == 1 else [pair[:1], pair[1:]]  # at beta = 1 both are one network, trained once
    return [list(chain.from_iterable(units[first::jobs])) for first in range(min(jobs, len(units)))]


def grid(
    steps: Mapping[str, int],
    seeds: Mapping[str, int],
    *,
    betas: Sequence[float],
    twice_seeds: int,
    jobs: int,
    **common: object,
) -> list[dict]:
    """List the settings of `job` for one network: `seeds` and `steps` per precision, `jobs` jobs per seed.

    The first `twice_seeds` seeds run the program with beta = 0 twice; `common` holds all other settings.

    Raises:
        ValueError: steps and seeds that do not name the same precisions, or a beta of 0.
    """
    if set(steps) != set(seeds):
        raise ValueError(f"steps are given for {', '.join(steps)}, seeds for {', '.join(seeds)}; name the same ones")
    return [
        common | {"precision": precision, "seed": seed, "steps": steps[precision], "arms": arms}
        for precision, count in seeds.items()
        for seed in range(count)
        for arms in plan(betas, seed < twice_seeds, jobs)
    ]


def data(dataset: str, source: str | None, folder: str | None, images: int | None, held_out: int) -> tuple[dict, str]:
    """Return the settings of `job` that name its data, and the label of the training images.

    Networks train on the first `images` (None: all) of the training split and classify the first `held_out` of the test
    split; where there is none, as in the embedded MNIST, the `held_out` training images after the first `images`.
    """
    card = load(dataset, source=source, folder=folder, split="train").card
    tested = "test" in splits(dataset, source=source, folder=folder)
    test = load(dataset, source=source, folder=folder, split="test").card if tested and held_out else None
    rest = card.n if tested else card.n - held_out
    settings = {"dataset": dataset, "source": source, "folder": folder, "checksum": card.checksum}
    settings |= {"images": rest if images is None else images, "held_out": held_out}
    return settings | {"test_checksum": test.checksum if test else None}, card.label


def job(
    *,
    network: str,
    init: str,
    precision: str,
    bias: str,
    seed: int,
    arms: list[list],
    steps: int,
    batch: int,
    augment: bool,
    dataset: str,
    source: str | None,
    folder: str | None,
    checksum: str,
    images: int,
    test_checksum: str | None,
    held_out: int,
    deterministic: bool,
    device: str,
) -> pd.DataFrame:
    """Train the network with beta = 0 and those of `arms` (see `plan`) for `steps` steps, and record how far they part.

    Args:
        seed: of the weights, the learning rate, the order of the images and their crops.
        dataset, source, folder, checksum, images, test_checksum, held_out: as `data` returns them.
        deterministic: whether cuDNN is held to deterministic kernels; the published runs were not. A CPU always is.

    Returns:
        One row per arm and recorded step: `distance`, the L1 distance in fp64 of all weights and biases to those of the
        network with beta = 0, and `relative`, over the L1 norm of the latter; `loss`, mean since the last record;
        `accuracy` on held-out images and `overflowed`, the share of them whose logits are not finite. A network stops
        at the first number that is not finite: `first_nonfinite` steps it had taken (-1: it never stopped), `cause` as
        in `kinks.train.trajectory.cause`, and NaN in its later rows.
    """
    model = named(precision, bias, device)
    with fixed(model):
        torch.backends.cudnn.deterministic = deterministic
        train, test = _images(dataset, source, folder, checksum, images, test_checksum, held_out, device)
        rate = RATE * (1 + SPREAD * float(torch.rand((), generator=torch.Generator().manual_seed(seed))))
        runs = start(network, init, arms, seed, rate, model, device)
        tests = [(normalise(x, dataset, model.storage, device), labels) for x, labels in test]
        marks, rows = recorded(steps, -(-images // batch)), _rows(runs, 0, tests)
        for step, (x, labels) in enumerate(islice(batches(*train, batch, seed, augment), steps), start=1):
            x = normalise(x, dataset, model.storage, device)
            order = permutation(len(x), seed, step).to(x.device)
            for run in runs:
                if run.alive:
                    advance(run, step - 1, *((x[order], labels[order]) if "reordered" in run.arms else (x, labels)))
            if step in marks:
                rows += _rows(runs, step, tests)
    ends = [
        {"arm": arm, "beta": run.beta, "first_nonfinite": run.first_nonfinite, "cause": run.cause}
        for run in runs
        for arm in run.arms
        if [arm, run.beta] in arms
    ]
    table = pd.DataFrame(rows).merge(pd.DataFrame(ends), on=["arm", "beta"])
    return table.assign(
        network=network, init=init, batch_norm=False, batch_size=batch, images=images, seed=seed, rate=rate,
        epoch=table["step"] * batch / images, held_out=held_out,
        deterministic=deterministic or torch.device(device).type == "cpu", **model.row(),
    )  # fmt: skip


def recorded(steps: int, per_pass: int) -> list[int]:
    """Return the steps after which networks are compared: 0, 1, 2, 5, 10, ..., the same numbers of passes, the last."""
    series = [digit * 10**power for power in range(len(str(steps))) for digit in (1, 2, 5)]
    marks = {*series, *(per_pass * passes for passes in series), steps}
    return [0, *sorted(mark for mark in marks if mark <= steps)]


def _rows(runs: list[Run], step: int, tests: list[tuple[torch.Tensor, torch.Tensor]]) -> list[dict]:
    """One row per arm; a run whose weights are not finite is stopped. Nothing is known once that of `base` is."""
    base = [weight.detach().double() for weight in runs[0].net.parameters()]
    norm, rows = float(sum(weight.abs().sum() for weight in base)), []
    for run in runs:
        row = {"step": step} | dict.fromkeys(("distance", "relative", "loss", "accuracy", "overflowed"), nan)
        apart = distance(run.net, base)
        if run.alive and runs[0].alive and not isfinite(apart):
            run.stop(step, "update")
        if run.alive and runs[0].alive:
            accuracy, overflowed = classified(run.net, tests)
            row |= {"distance": apart, "relative": apart / norm, "accuracy": accuracy, "overflowed": overflowed}
            row |= {"loss": sum(run.losses) / len(run.losses)} if run.losses else {}
        run.losses.clear()
        rows += [{"arm": arm, "beta": run.beta, "forward": ARMS[arm], **row} for arm in run.arms]
    return rows


def _images(dataset, source, folder, checksum, images, test_checksum, held_out, device):
    """The training images and labels, uint8 on the device, and the held-out ones in parts."""
    place = {"dataset": dataset, "folder": folder, "source": source, "device": device}
    if not held_out or test_checksum is not None:
        train = samples.images(split="train", checksum=checksum, count=images, **place)
        if not held_out:
            return train, []
        test = samples.images(split="test", checksum=test_checksum, count=held_out, **place)
    else:
        both = samples.images(split="train", checksum=checksum, count=images + held_out, **place)
        train, test = (tuple(part[half] for part in both) for half in (slice(images), slice(images, None)))
    return train, list(zip(*(part.split(CHUNK) for part in test), strict=True))
