"""What the tests of the training loop share: synthetic images and settings of small runs."""

import torch

from kinks.train import loop
from kinks.train.settings import Settings
from kinks.train.setup import samples
from kinks.train.training import Training

IMAGES, VALIDATION, HELD_OUT, BATCH = 40, 10, 10, 16
PLACE = {"source": None, "folder": None, "checksum": "x", "images": IMAGES}
PLACE |= {"validation": VALIDATION, "test_checksum": None, "held_out": HELD_OUT}
COUNTS = ["zeros", "zeros_share", "ties"]
NUMBERS = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy"]


def digits(count=IMAGES + VALIDATION + HELD_OUT):
    """Coarse grey images on a constant background, so that windows tie at positive values."""
    g = torch.Generator().manual_seed(0)
    images = torch.zeros(count, 1, 28, 28, dtype=torch.uint8)
    images[:, :, 6:22, 6:22] = torch.randint(0, 3, (count, 1, 16, 16), generator=g, dtype=torch.uint8) * 100
    return images, torch.randint(0, 10, (count,), generator=g)


def scenes(count=IMAGES + VALIDATION + HELD_OUT):
    """Coarse colour images."""
    g = torch.Generator().manual_seed(1)
    small = torch.randint(0, 256, (count, 3, 8, 8), generator=g, dtype=torch.uint8)
    return small.repeat_interleave(4, 2).repeat_interleave(4, 3), torch.randint(0, 10, (count,), generator=g)


def given(monkeypatch, dataset="mnist"):
    """Let `kinks.train` read synthetic images in the place of `dataset`, and return them and their labels."""
    images, labels = digits() if dataset == "mnist" else scenes()
    monkeypatch.setattr(samples, "images", lambda *, count, **_: (images[:count], labels[:count]))
    return images, labels


def words(network="lenet5", dataset="mnist", **changes):
    """The settings of a small run."""
    chosen = {"network": network, "dataset": dataset, "epochs": 2, "rate": 0.05, "batch": BATCH, "seed": 3, **PLACE}
    return loop.settings(**chosen | changes)


def run(*network, **changes):
    """The rows of a small run."""
    return loop.job(**words(*network, **changes))


def training(*network, **changes):
    """A small run that has not begun."""
    return Training(Settings(**words(*network, **changes)))


def same(one, other, columns=NUMBERS):
    """Whether two runs have equal numbers, bit for bit, NaN equal to NaN."""
    return one[columns].equals(other[columns])
