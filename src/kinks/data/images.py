"""What a data set is here: uint8 images and int64 labels as two tensors, with a card that says where they come from."""

import hashlib
from dataclasses import dataclass

import torch


class DataError(Exception):
    """Data that is missing, damaged or unknown; the message is one line that says what to do about it."""


@dataclass(frozen=True)
class Card:
    """Where images come from and how to know that they are the ones meant.

    Attributes:
        name: `mnist`.
        source: `official`, `embedded` or `synthetic`.
        split: `train` or `test`.
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
    """A data set in memory: `images` uint8 `(N, H, W)`, `labels` int64 `(N,)`, and their `card`."""

    images: torch.Tensor
    labels: torch.Tensor
    card: Card

    def __len__(self) -> int:
        return len(self.images)


def md5(content: bytes) -> str:
    """Return the md5 of `content` in hexadecimal (a check of integrity, not of trust)."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


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
    return pixels.div_(torch.tensor(255.0, device=pixels.device)).to(dtype)
