"""The images of an audit, read once per process."""

from functools import lru_cache

import torch

from kinks.data import Images, as_float, load


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
    _check(data, f"{source} MNIST images", checksum)
    if not 1 <= images <= len(data.labels):
        raise ValueError(f"{images} images asked for; the {source} MNIST training set has {len(data.labels)}")
    rows = as_float(data.images[:images], dtype=dtype, device=device).flatten(1)
    return rows, data.labels[:images].to(device)


@lru_cache(maxsize=4)
def images(
    dataset: str,
    folder: str | None,
    split: str,
    checksum: str,
    count: int | None = None,
    source: str | None = None,
    device: str = "cpu",
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first `count` images of a data set, uint8 `(count, C, H, W)`, and their labels, int64 `(count,)`.

    Args:
        dataset: a name that `kinks.data.load` takes; grey images come with `C = 1`.
        folder: the images' folder for dataset `folder`, else None.
        split: `train`, `test` or `extra`.
        checksum: of the whole split, as in the table of stage `data`.
        count: all, if None.
        source: as `load` takes it; the data set's first, if None.
        device: where both are put, once per process.

    Raises:
        ChecksumError: the images at hand do not have this checksum.
        ValueError: more images are asked for than there are, or they have not the size that the networks take.
    """
    data = load(dataset, source=source, split=split, folder=folder)
    _check(data, f"{split} images of {dataset}", checksum)
    side = 28 if dataset == "mnist" else 32
    if data.card.shape != (side, side):
        raise ValueError(
            f"{data.card.label}: images of {data.card.shape[0]} x {data.card.shape[1]} pixels; "
            f"the networks of the study take {side} x {side}, so resize them first"
        )
    if count is not None and not 1 <= count <= len(data):
        raise ValueError(f"{count} images asked for; {data.card.label} has {len(data)}")
    first = data.images[:count]
    return (first if first.ndim == 4 else first.unsqueeze(1)).to(device), data.labels[:count].to(device)


def _check(data: Images, what: str, checksum: str) -> None:
    if data.card.checksum != checksum:
        raise ChecksumError(f"the {what} have checksum {data.card.checksum}, the settings {checksum}: run stage `data`")
