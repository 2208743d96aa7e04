import dataclasses
import gzip
import shutil
from pathlib import Path

import pytest
import torch

from kinks import paths
from kinks.data import fetch, load, mnist, splits
from kinks.data.images import md5

FOLDER = paths.DATA / mnist.EMBEDDED
IMAGES, LABELS = mnist.EMBEDDED_FILES


@pytest.fixture
def copy(root) -> Path:
    """A copy of the embedded files, to be broken."""
    shutil.copytree(FOLDER, root / mnist.EMBEDDED)
    return root


def test_embedded_is_the_head_of_the_official_training_set():
    digits = load()
    assert digits.images.shape == (10_000, 28, 28) and digits.images.dtype == torch.uint8
    assert digits.labels.shape == (10_000,) and digits.labels.dtype == torch.int64
    assert digits.labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    # Class counts of the first 10,000 training labels, and the first stroke of the first image, the well-known five.
    assert torch.bincount(digits.labels).tolist() == [1001, 1127, 991, 1032, 980, 863, 1014, 1070, 944, 978]
    assert digits.images[0, 5, 12:24].tolist() == [3, 18, 18, 18, 126, 136, 175, 26, 166, 255, 247, 127]


def test_the_card_says_what_was_loaded():
    digits = load()
    card = digits.card
    assert card.checksum == md5(digits.images.numpy().tobytes())
    assert (card.name, card.source, card.split, card.n) == ("mnist", "embedded", "train", len(digits))
    assert card.shape == (28, 28) and len(card.classes) == 10
    assert card.label == "MNIST, first 10,000 training images (embedded)"
    assert "LeCun" in card.credit and "CC BY-SA 3.0" in card.licence
    assert not any("://" in str(value) for value in dataclasses.astuple(card))


def test_the_card_and_the_images_cannot_be_reassigned():
    digits = load()
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.images = digits.images[:1]
    with pytest.raises(dataclasses.FrozenInstanceError):
        digits.card.source = "official"


@pytest.mark.parametrize("name", [IMAGES, LABELS])
def test_the_files_carry_neither_name_nor_date(name):
    header = (FOLDER / name).read_bytes()[:10]
    assert header[3] == 0 and header[4:8] == bytes(4)


def test_missing_file(copy, refused):
    (copy / mnist.EMBEDDED / LABELS).unlink()
    with refused(LABELS, "is missing", "git checkout -- data/embedded", "data/README.md"):
        load(root=copy)


def test_truncated_file(copy, refused):
    path = copy / mnist.EMBEDDED / IMAGES
    path.write_bytes(path.read_bytes()[:100_000])
    with refused(IMAGES, "truncated", "git checkout -- data/embedded"):
        load(root=copy)


def test_truncated_before_compression(copy, refused):
    path = copy / mnist.EMBEDDED / IMAGES
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-784], 1))
    with refused(IMAGES, "7839232 bytes, not 7840016"):
        load(root=copy)


def test_one_altered_pixel(copy, refused):
    path = copy / mnist.EMBEDDED / IMAGES
    content = bytearray(gzip.decompress(path.read_bytes()))
    content[5_000_000] ^= 1
    path.write_bytes(gzip.compress(content, 1))
    with refused(IMAGES, "was altered", mnist.EMBEDDED_FILES[IMAGES], "git checkout -- data/embedded"):
        load(root=copy)


def test_damaged_bytes_of_the_archive(copy, refused):
    path = copy / mnist.EMBEDDED / IMAGES
    stored = bytearray(path.read_bytes())
    stored[500_000:500_010] = bytes(10)
    path.write_bytes(stored)
    with refused(IMAGES, "git checkout -- data/embedded"):
        load(root=copy)


def test_files_swapped(copy, refused):
    folder = copy / mnist.EMBEDDED
    shutil.copy(folder / LABELS, folder / IMAGES)
    with refused(IMAGES, "it starts with 00000801, not 00000803"):
        load(root=copy)


def test_a_folder_in_the_file_s_place(copy, refused):
    path = copy / mnist.EMBEDDED / LABELS
    path.unlink()
    path.mkdir()
    with refused(LABELS, "cannot be read", "directory"):
        load(root=copy)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"name": "minst"}, ("unknown data set 'minst'", "allowed: mnist")),
        ({"source": "oficial"}, ("unknown source 'oficial'", "embedded, official")),
        ({"split": "valid"}, ("unknown split 'valid'", "train, test")),
        ({"split": "test"}, ("the split train only", "source official")),
        ({"source": "synthetic"}, ("tests only", "synthetic_digits")),
    ],
)
def test_unknown_words(wrong, words, refused):
    with refused(*words):
        load(**wrong)


def test_fetching_what_is_embedded_does_nothing(root):
    fetch(source="embedded", root=root)
    assert not list(root.iterdir())


def test_fetch_refuses_unknown_words(root, refused):
    with refused("unknown source 'web'"):
        fetch(source="web", root=root)
    with refused("unknown data set 'cifar'"):
        fetch(name="cifar", root=root)


def test_the_readme_states_the_checksums():
    text = (paths.DATA / "README.md").read_text(encoding="utf-8")
    for name, checksum in {**mnist.EMBEDDED_FILES, **mnist.OFFICIAL_FILES}.items():
        assert any(f"`{name}`" in line and f"`{checksum}`" in line for line in text.splitlines()), name
    assert load().card.checksum in text


def test_splits_that_mnist_has():
    assert splits("mnist") == splits("mnist", "embedded") == ("train",)
    assert splits("mnist", "official") == ("train", "test")
