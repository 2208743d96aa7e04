"""What a data card shows: counts, pixel statistics and samples, computed in whole numbers so that they are exact."""

import math

import numpy as np
import pandas as pd
import torch

from kinks.data.images import Images


def card_row(data: Images) -> dict[str, object]:
    """Return one row of the card table: the card's words and the statistics of its pixels, in levels of [0, 1]."""
    card, levels = data.card, level_counts(data)
    value, n = np.arange(256), int(levels.sum())
    total, squares = int((levels * value).sum()), int((levels * value**2).sum())
    return {
        "name": card.name,
        "source": card.source,
        "split": card.split,
        "n": card.n,
        "classes": len(card.classes),
        "height": card.shape[0],
        "width": card.shape[1],
        "checksum": card.checksum,
        "mean": total / n / 255,
        "sd": math.sqrt(n * squares - total * total) / n / 255,
        "zeros": int(levels[0]) / n,
        "blank_pixels": int((data.images == 0).all(0).sum()),
        "levels": int((levels > 0).sum()),
        "data": card.label,
        "licence": card.licence,
        "credit": card.credit,
        "provenance": card.provenance,
    }


def level_counts(data: Images) -> np.ndarray:
    """Return how many values of pixels have each of the 256 levels, int64 `(256,)`."""
    return torch.bincount(data.images.flatten(), minlength=256).numpy()


def class_table(data: Images) -> pd.DataFrame:
    """Return one row per class: split, class, images, share of all, and the mean share of pixels that are not 0."""
    inked = (data.images != 0).flatten(1).sum(1)
    return _by_class(data, "ink", inked, data.images[0].numel())


def tie_table(data: Images) -> pd.DataFrame:
    """Return one row per class: split, class, images, share of all, and the mean share of tied windows in an image.

    Windows are those of a max-pool of 2 x 2, channel by channel; one is tied if its largest value occurs twice.
    """
    height, width = (size // 2 * 2 for size in data.card.shape)
    corners = [data.images[..., i:height:2, j:width:2] for i in (0, 1) for j in (0, 1)]
    largest = torch.stack(corners).amax(0)
    tied = sum((corner == largest).to(torch.uint8) for corner in corners) > 1
    return _by_class(data, "ties", tied.flatten(1).sum(1), tied[0].numel())


def _by_class(data: Images, column: str, counts: torch.Tensor, of: int) -> pd.DataFrame:
    """Return one row per class, with the mean over its images of `counts` `(N,)` as a share of `of`."""
    rows = []
    for label, name in enumerate(data.card.classes):
        of_class = data.labels == label
        n = int(of_class.sum())
        mean = int(counts[of_class].sum()) / (max(n, 1) * of)
        rows.append({"split": data.card.split, "class": name, "n": n, "share": n / len(data), column: mean})
    return pd.DataFrame(rows)


def mosaic(data: Images, per_class: int = 10, classes: int | None = None) -> np.ndarray:
    """Return the first images of each class in one picture, a row per class; missing images are black.

    Args:
        data: grey images give uint8 `(classes * H, per_class * W)`, colour images `(classes * H, per_class * W, 3)`.
        per_class: images in a row.
        classes: rows; all classes, if None.
    """
    rows = len(data.card.classes) if classes is None else min(classes, len(data.card.classes))
    images = data.images if data.images.ndim == 4 else data.images.unsqueeze(1)
    _, channels, height, width = images.shape
    picture = np.zeros((rows, height, per_class, width, channels), np.uint8)
    for label in range(rows):
        first = images[data.labels == label][:per_class].numpy()
        picture[label, :, : len(first)] = first.transpose(2, 0, 3, 1)
    picture = picture.reshape(rows * height, per_class * width, channels)
    return picture if channels > 1 else picture[..., 0]
