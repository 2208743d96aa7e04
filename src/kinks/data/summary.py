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
    """Return how many pixels have each of the 256 grey levels, int64 `(256,)`."""
    return torch.bincount(data.images.flatten(), minlength=256).numpy()


def class_table(data: Images) -> pd.DataFrame:
    """Return one row per class: split, class, images, share of all, and the mean share of pixels that are not 0."""
    inked = (data.images != 0).flatten(1).sum(1)
    rows = []
    for label, name in enumerate(data.card.classes):
        of_class = data.labels == label
        count = int(of_class.sum())
        ink = int(inked[of_class].sum()) / (max(count, 1) * math.prod(data.card.shape))
        rows.append({"split": data.card.split, "class": name, "n": count, "share": count / len(data), "ink": ink})
    return pd.DataFrame(rows)


def mosaic(data: Images, per_class: int = 10) -> np.ndarray:
    """Return the first images of each class in one picture, uint8 `(classes * H, per_class * W)`, a row per class.

    Places of a class with too few images stay 0.
    """
    height, width = data.card.shape
    picture = np.zeros((len(data.card.classes), height, per_class, width), np.uint8)
    for label in range(len(data.card.classes)):
        first = data.images[data.labels == label][:per_class].numpy()
        picture[label, :, : len(first)] = first.transpose(1, 0, 2)
    return picture.reshape(len(data.card.classes) * height, per_class * width)
