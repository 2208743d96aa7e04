import numpy as np
import pytest
import torch

from kinks.data import as_float, load, synthetic_digits
from kinks.data.summary import card_row, class_table, level_counts, mosaic


def test_pixel_statistics_are_those_of_the_pixels():
    data = load()
    pixels, row = as_float(data.images, torch.float64), card_row(data)
    assert row["mean"] == pytest.approx(pixels.mean().item(), rel=1e-6)
    assert row["sd"] == pytest.approx(pixels.std(correction=0).item(), rel=1e-6)
    assert row["zeros"] == (data.images == 0).double().mean().item()
    assert row["checksum"] == data.card.checksum and row["n"] == 10_000
    assert row["data"] == data.card.label


def test_statistics_of_a_picture_known_by_hand():
    data = synthetic_digits(2)
    data.images[:] = 0
    data.images[0, 0, 0] = 255
    row = card_row(data)
    n = 2 * 784
    assert row["mean"] == pytest.approx(1 / n) and row["sd"] == pytest.approx(((1 - 1 / n) / n) ** 0.5)
    assert row["zeros"] == 1 - 1 / n and row["levels"] == 2 and row["blank_pixels"] == 783


def test_level_counts_cover_every_pixel():
    data = synthetic_digits(20)
    counts = level_counts(data)
    assert counts.shape == (256,) and counts.sum() == data.images.numel()
    assert counts[0] == (data.images == 0).sum()


def test_class_table_counts_images_and_ink():
    data = synthetic_digits(200)
    table = class_table(data)
    assert table["class"].tolist() == list(data.card.classes)
    assert table["n"].tolist() == torch.bincount(data.labels, minlength=10).tolist()
    assert table["share"].sum() == pytest.approx(1)
    eights = data.images[data.labels == 8]
    assert table["ink"][8] == pytest.approx((eights != 0).double().mean().item())


def test_class_table_of_a_set_that_lacks_classes():
    table = class_table(synthetic_digits(1))
    assert table["n"].sum() == 1 and (table["ink"][table["n"] == 0] == 0).all()


def test_mosaic_shows_the_first_images_of_each_class_in_order():
    data = synthetic_digits(60, seed=4)
    picture = mosaic(data, per_class=3)
    assert picture.shape == (280, 84) and picture.dtype == np.uint8
    sevens = data.images[data.labels == 7].numpy()
    assert np.array_equal(picture[7 * 28 : 8 * 28, 28:56], sevens[1])


def test_mosaic_leaves_missing_images_black():
    assert mosaic(synthetic_digits(1), per_class=2)[:, 28:].max() == 0
