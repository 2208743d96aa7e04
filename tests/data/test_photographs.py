import dataclasses
import importlib.util
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch

from kinks import paths
from kinks.data import fetch, load, photographs, splits
from kinks.data.images import md5


@pytest.mark.parametrize(("split", "least"), [("train", 5000), ("test", 800)])
def test_there_are_enough_patches_of_every_photograph(split, least):
    data = load("photographs", split=split)
    assert data.images.shape == (len(data), 3, 32, 32) and data.images.dtype == torch.uint8 and len(data) >= least
    assert data.labels.dtype == torch.int64 and len(data.labels) == len(data)
    assert (torch.bincount(data.labels, minlength=6) > 0.04 * len(data)).all()


def test_the_card_names_photographs_terms_and_decoder():
    card = load("photographs").card
    assert (card.name, card.source, card.split, card.shape) == ("photographs", "embedded", "train", (32, 32))
    assert card.classes == tuple(photographs.PHOTOGRAPHS)
    for name, item in photographs.PHOTOGRAPHS.items():
        assert f"{name}: {item.licence}" in card.licence and f"{name}: {item.credit}" in card.credit
    assert f"Pillow {PIL.__version__}" in card.provenance
    assert card.label == f"Six photographs, {card.n:,} training patches (embedded)"
    assert not any("://" in str(value) for value in dataclasses.astuple(card))


def test_the_same_patches_every_time():
    first, again = load("photographs", split="test"), load("photographs", source="embedded", split="test")
    assert first.card.checksum == again.card.checksum == md5(first.images.numpy().tobytes())
    assert torch.equal(first.labels, again.labels)


def test_the_readme_states_files_and_checksums():
    text = (paths.DATA / "README.md").read_text(encoding="utf-8")
    for item in photographs.PHOTOGRAPHS.values():
        assert any(f"`{item.file}`" in line and f"`{item.checksum}`" in line for line in text.splitlines()), item.file
    for split in ("train", "test"):
        assert f"`{load('photographs', split=split).card.checksum}` ({split})" in text


def test_mini_batches_of_the_fixed_order_mix_the_photographs():
    labels = load("photographs").labels
    batches = labels[: len(labels) // 128 * 128].reshape(-1, 128)
    assert min(len(batch.unique()) for batch in batches) == 6


def painted(monkeypatch, shape=(100, 250)):
    """Put pictures in the photographs' place whose pixels say which side of the border they are on."""
    picture = np.zeros((*shape, 3), np.uint8)
    picture[:, shape[1] * 4 // 5 :] = 200
    monkeypatch.setattr(photographs, "_decoded", lambda name, item: picture)


@pytest.mark.parametrize(("split", "level"), [("train", 0), ("test", 200)])
def test_no_pixel_is_in_both_splits(split, level, monkeypatch):
    painted(monkeypatch, (67, 331))
    images = load("photographs", split=split).images
    assert images.min() == images.max() == level


def test_patches_are_cut_at_full_and_at_half_size():
    part = np.random.default_rng(0).integers(0, 256, (81, 75, 3), dtype=np.uint8)
    cut = photographs.patches(part)
    corners = [(16 * row, 16 * column) for row in range(4) for column in range(3)]
    for patch, (top, left) in zip(cut, corners, strict=False):
        assert np.array_equal(patch, part[top : top + 32, left : left + 32].transpose(2, 0, 1))
    halved = [
        [[int(part[2 * r : 2 * r + 2, 2 * c : 2 * c + 2, k].sum() + 2) // 4 for c in range(37)] for r in range(40)]
        for k in range(3)
    ]
    assert len(cut) == 12 + 2
    assert np.array_equal(cut[12], np.array(halved)[:, :32, :32])
    assert np.array_equal(cut[13], np.array(halved)[:, 8:40, :32])


def test_a_package_that_is_not_installed(monkeypatch, refused):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "skimage" else find(name))
    with refused("astronaut", "scikit-image, which is not installed", "pip install"):
        load("photographs")


@pytest.fixture
def wheels(tmp_path, monkeypatch) -> Path:
    """Two packages with other files in the photographs' places."""
    for item in photographs.PHOTOGRAPHS.values():
        path = tmp_path / item.package / item.file
        path.parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / item.package / "__init__.py").touch()
        path.write_bytes(b"another picture")

    def find_spec(name):
        return importlib.util.spec_from_file_location(
            name, tmp_path / name / "__init__.py", submodule_search_locations=[str(tmp_path / name)]
        )

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    return tmp_path


def test_another_picture(wheels, refused):
    with refused("china.jpg is another one", md5(b"another picture"), "pip install --force-reinstall scikit-learn"):
        load("photographs")


def test_a_picture_that_is_missing(wheels, refused):
    (wheels / "sklearn" / "datasets" / "images" / "china.jpg").unlink()
    with refused("china.jpg cannot be read", "No such file", "scikit-learn"):
        load("photographs")


def test_there_is_nothing_to_fetch_and_no_other_source(root, refused):
    fetch("photographs", None, root=root)
    fetch("photographs", "embedded", root=root)
    assert not list(root.iterdir())
    assert splits("photographs") == ("train", "test")
    with refused("unknown source 'official' of photographs", "allowed: embedded"):
        load("photographs", source="official")
    with refused("unknown split 'extra' of photographs", "allowed: train, test"):
        load("photographs", split="extra")
