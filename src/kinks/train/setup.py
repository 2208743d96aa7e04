"""The images and the network that the settings of a training run name."""

import torch
from torch import Tensor, nn

from kinks.audit import samples
from kinks.data import load, splits
from kinks.nets.autocast import autocast
from kinks.nets.precise import at
from kinks.nets.registry import architecture, build
from kinks.ops import PoolDerivative, ReLUDerivative, swap
from kinks.train.settings import Settings


def data(
    dataset: str,
    source: str | None = None,
    folder: str | None = None,
    images: int | None = None,
    held_out: int = 0,
    validation: int = 0,
    split: str = "train",
) -> tuple[dict[str, object], str]:
    """Return the settings of a run that name its data, and the label of the training images.

    Networks train on the first `images` of `split`, "train" or (svhn) "extra" (None: all that are left), the next
    `validation` are for choosing learning rates, and the first `held_out` of the test split are the test images; where
    there is no test split, as in the embedded MNIST, they are the training images after those for validation.

    Raises:
        ValueError: more images are asked for than there are.
    """
    card = load(dataset, source=source, folder=folder, split=split).card
    tested = "test" in splits(dataset, source=source, folder=folder)
    test = load(dataset, source=source, folder=folder, split="test").card if tested and held_out else None
    rest = card.n - validation - (0 if tested else held_out)
    images = rest if images is None else images
    if not 1 <= images <= rest or (test and held_out > test.n):
        given = f"images {images}, validation {validation}, held_out {held_out}"
        raise ValueError(f"{given}: {card.label} has {card.n}" + (f", {test.label} has {test.n}" if test else ""))
    found = {"dataset": dataset, "source": source, "folder": folder, "split": split, "checksum": card.checksum}
    found |= {
        "images": images,
        "validation": validation,
        "held_out": held_out,
        "test_checksum": test.checksum if test else None,
    }
    # The papers' networks have ten outputs at least, whatever the images.
    return found | {"classes": max(len(card.classes), 10)}, card.label


Part = tuple[Tensor, Tensor]


def parts(run: Settings) -> tuple[Part, Part, Part]:
    """Return images, uint8 `(N, C, H, W)`, and labels for training, validation and test, on the run's device."""
    place = {"dataset": run.dataset, "folder": run.folder, "source": run.source, "device": run.device}
    apart = run.test_checksum is not None
    sizes = [run.images, run.validation, 0 if apart else run.held_out]
    both = samples.images(split=run.split, checksum=run.checksum, count=sum(sizes), **place)
    train, validation, test = zip(*(one.split(sizes) for one in both), strict=True)
    if apart and run.held_out:
        test = samples.images(split="test", checksum=run.test_checksum, count=run.held_out, **place)
    _check_fit(run, train)
    return train, validation, test


def _check_fit(run: Settings, train: Part) -> None:
    shape, allowed = tuple(train[0].shape[1:]), architecture(run.network).image
    if shape != allowed:
        raise ValueError(f"{run.network} takes images of shape {allowed}; those of {run.dataset} are {shape}")
    if int(train[1].max()) >= run.classes:
        raise ValueError(f"classes is {run.classes}; {run.dataset} has a label {int(train[1].max())}")


def network(run: Settings) -> nn.Module:
    """Return the network with the run's start, derivatives and precision, on its device, in training mode.

    Where the derivative is PyTorch's own (alpha = 0; beta = 0, whatever the forward), so are the modules.
    """
    model = build(
        run.network, batch_norm=run.batch_norm, seed=run.seed, classes=run.classes, init=run.init, dropout=run.dropout
    )
    example = torch.zeros(2, *architecture(run.network).image)  # spares torch.fx, which loads for seconds
    exact = run.beta in (0, 1)  # there beta x m + (1 - beta) x m is m
    chosen = {
        "relu": ReLUDerivative(run.alpha, run.rule) if run.alpha else None,
        "pool": PoolDerivative(run.beta, "exact" if exact else run.forward) if run.beta else None,
    }
    if any(chosen.values()):
        model = swap(model, **chosen, example=example, inplace=True)
    bring = autocast if run.autocast else at
    return bring(model, run.layers, run.device)
