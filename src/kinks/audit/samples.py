"""The images of an audit, cut and cast once per process."""

from functools import lru_cache

import torch

from kinks.data import as_float, load


class ChecksumError(ValueError):
    """The data at hand are not those that the settings name."""


@lru_cache(maxsize=2)
def pixels(
    source: str, checksum: str, images: int, dtype: torch.dtype, device: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first `images` MNIST training images as rows in [0, 1], `(images, 784)`, and their labels `(images,)`.

    Raises:
        ChecksumError: the stored images do not have this checksum.
        ValueError: more images are asked for than there are.
    """
    data = load("mnist", source=source, split="train")
    if data.card.checksum != checksum:
        raise ChecksumError(
            f"the {source} MNIST images have checksum {data.card.checksum}, the settings {checksum}: run stage `data`"
        )
    if not 1 <= images <= len(data.labels):
        raise ValueError(f"{images} images asked for; the {source} MNIST training set has {len(data.labels)}")
    rows = as_float(data.images[:images], dtype=dtype, device=device).flatten(1)
    return rows, data.labels[:images].to(device)
