"""What a data set is here: uint8 images and int64 labels as two tensors, with a card that says where they come from."""

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

_CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
# Data set -> mean and standard deviation per channel that the papers normalise with; those of CIFAR-10 for colour.
MOMENTS = {
    "mnist": ((0.5,), (0.5,)),
    "photographs": _CIFAR,
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "svhn": ((0.5,) * 3, (0.5,) * 3),
    "folder": _CIFAR,
}


class DataError(Exception):
    """Data that is missing, damaged or unknown; the message is one line that says what to do about it."""


@dataclass(frozen=True)
class Card:
    """Where images come from and how to know that they are the ones meant.

    Attributes:
        name: `mnist`, `photographs`, `cifar10`, `cifar100`, `svhn` or `folder`.
        source: `official`, `embedded`, `folder` or `synthetic`.
        split: `train`, `test` or `extra`.
        n: number of images.
        classes: the classes' names in the order of their labels.
        shape: height and width of an image.
        checksum: md5 of the raw image bytes in order, without any file header.
        label: the words a figure prints about its data.
        licence: under which terms the images are passed on.
        credit: whom to name.
        provenance: how these bytes came here.
    """

    name: str
    source: str
    split: str
    n: int
    classes: tuple[str, ...]
    shape: tuple[int, int]
    checksum: str
    label: str
    licence: str
    credit: str
    provenance: str


@dataclass(frozen=True)
class Images:
    """In memory: `images` uint8, grey `(N, H, W)` or colour `(N, 3, H, W)`; `labels` int64 `(N,)`; and their `card`."""

    images: torch.Tensor
    labels: torch.Tensor
    card: Card

    def __len__(self) -> int:
        return len(self.images)


def md5(content: bytes | np.ndarray) -> str:
    """Return the md5 of `content`, bytes or a contiguous array, in hexadecimal (a check of integrity, not of trust)."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def assemble(images: np.ndarray, labels: np.ndarray, **words: str | tuple[str, ...]) -> Images:
    """Put arrays, uint8 `(N, ..., H, W)` and integers `(N,)`, and the words of their card together.

    Args:
        images: copied only where torch could not share them.
        labels: the classes' numbers.
        **words: name, source, split, classes, label, licence, credit and provenance of the `Card`.
    """
    images = np.require(images, np.uint8, ["C", "W"])
    card = Card(n=len(images), shape=images.shape[-2:], checksum=md5(images), **words)
    return Images(torch.from_numpy(images), torch.tensor(labels, dtype=torch.int64), card)


def mixed(n: int) -> np.ndarray:
    """Return the numbers below `n` in an order, int64 `(n,)`, that looks random and is the same everywhere, always.

    Sets that come sorted by class are put into it, so that mini-batches drawn without shuffling have all classes.
    """
    return np.argsort([md5(str(number).encode()) for number in range(n)])


def as_float(images: torch.Tensor, dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return pixels in [0, 1] of `dtype` on `device`, in the images' shape, bit for bit as torchvision's ToTensor.

    The division by 255 is done in fp32 and the result cast afterwards, so that every precision sees roundings of the
    same fp32 pixels; the divisor is a tensor because CUDA multiplies by a reciprocal when it is a number.

    Raises:
        TypeError: the images are not uint8.
    """
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; as_float takes the uint8 images of kinks.data.load")
    pixels = images.to(device).to(torch.float32)
    return pixels.div_(_brightest(str(pixels.device))).to(dtype)


def normalise(images: torch.Tensor, name: str, dtype: torch.dtype, device: torch.device | str = "cpu") -> torch.Tensor:
    """Return `(x / 255 - mean) / sd` of `dtype` on `device`, bit for bit as torchvision's ToTensor and Normalize.

    Computed in fp32 and cast afterwards, so that every precision sees roundings of the same fp32 values.

    Args:
        images: uint8 `(B, C, H, W)`.
        name: the data set, which decides on mean and standard deviation per channel (`MOMENTS`).
        dtype: of the result.
        device: of the result.

    Raises:
        TypeError: the images are not uint8.
        ValueError: a name without moments, or images of other dimensions or channels than that data set has.
    """
    if name not in MOMENTS:
        raise ValueError(f"no mean and sd are known for data set {name!r}; allowed: {', '.join(MOMENTS)}")
    channels = len(MOMENTS[name][0])
    if images.ndim != 4 or images.shape[1] != channels:
        raise ValueError(f"images are {tuple(images.shape)}; those of {name} are (B, {channels}, H, W)")
    mean, sd = _moments(name, str(device))
    return as_float(images, torch.float32, device).sub_(mean).div_(sd).to(dtype)


@cache
def _brightest(device: str) -> torch.Tensor:
    """255 on the device, once: making it there anew would wait for a GPU at every mini-batch."""
    return torch.tensor(255.0, device=device)


@cache
def _moments(name: str, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return mean and standard deviation, fp32 `(C, 1, 1)`, on the device once per process."""
    mean, sd = (torch.tensor(values, dtype=torch.float32, device=device)[:, None, None] for values in MOMENTS[name])
    return mean, sd
