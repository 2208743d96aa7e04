import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from kinks.data import as_float, load, synthetic_digits
from kinks.data.images import Images, assemble
from kinks.data.summary import card_row, class_table, level_counts, mosaic, tie_table
from kinks.ops import tied_windows
from kinks.report.data_cards import class_figure


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


def colour(n: int = 4, classes: tuple[str, ...] = ("a", "b", "c"), side: int = 6) -> Images:
    """Random colour images of the classes in turn."""
    images = np.random.default_rng(0).integers(0, 256, (n, 3, side, side), dtype=np.uint8)
    words = dict.fromkeys(("name", "source", "split", "label", "licence", "credit", "provenance"), "synthetic")
    return assemble(images, np.arange(n) % len(classes), classes=classes, **words)


def test_card_row_of_colour_images():
    data = colour(7)
    row = card_row(data)
    values = data.images.double() / 255
    assert row["mean"] == pytest.approx(values.mean().item()) and row["n"] == 7 and row["classes"] == 3
    assert row["sd"] == pytest.approx(values.std(correction=0).item())
    assert (row["height"], row["width"]) == (6, 6) and level_counts(data).sum() == 7 * 3 * 36


@pytest.mark.parametrize("side", [6, 7])
def test_tie_table_counts_the_windows_of_a_pool(side):
    data = colour(9, side=side)
    data.images[:] = data.images // 64  # four levels: many ties
    expected = tied_windows(data.images.float(), 2) > 1
    table = tie_table(data)
    assert table["class"].tolist() == ["a", "b", "c"] and table["n"].tolist() == [3, 3, 3]
    for label in range(3):
        assert table["ties"][label] == pytest.approx(expected[data.labels == label].double().mean().item())


def test_tie_table_of_images_without_and_with_ties_alone():
    data = colour(2, classes=("a", "b"), side=4)
    data.images[0] = torch.arange(48, dtype=torch.uint8).reshape(3, 4, 4)
    data.images[1] = 9
    assert tie_table(data)["ties"].tolist() == [0, 1]


def test_tie_table_of_grey_images():
    data = synthetic_digits(50)
    expected = (tied_windows(data.images[:, None].float(), 2) > 1).double().mean().item()
    table = tie_table(data)
    assert (table["n"] * table["ties"]).sum() / 50 == pytest.approx(expected)


def test_mosaic_of_colour_images():
    data = colour(7)
    picture = mosaic(data, per_class=2)
    assert picture.shape == (18, 12, 3) and picture.dtype == np.uint8
    assert np.array_equal(picture[6:12, 6:12], data.images[4].permute(1, 2, 0))
    assert np.array_equal(mosaic(data, per_class=2, classes=2), picture[:12])
    assert mosaic(data, per_class=4)[6:, 12:].max() == 0


@pytest.mark.parametrize(("data", "rows"), [(colour(30), 3), (colour(13, tuple("abcdefghijklm")), 10)])
def test_class_figure_shows_ten_classes_at_most(data, rows):
    fig = class_figure(data, tie_table(data))
    left, right = fig.axes
    assert len(right.patches) == rows and left.images[0].get_array().shape[0] == 6 * rows
    assert [label.get_text() for label in left.get_yticklabels()] == list(data.card.classes[:rows])
    title = left.get_title(loc="left") or left.get_title()
    assert title.endswith("each class" if rows == 3 else "the first 10 of 13 classes")
    plt.close(fig)
