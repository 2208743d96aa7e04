import os
import shutil
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from kinks.data import folders, load, splits
from kinks.data.images import mixed

CLASSES = ("apple", "pear", "zebra")


def paint(path: Path, seed: int = 0, size: tuple[int, int] = (8, 6), mode: str = "RGB") -> np.ndarray:
    """Write a random picture of height and width `size` and return its pixels as RGB."""
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    image = Image.fromarray(pixels).convert(mode)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path)
    return np.asarray(image.convert("RGB"))


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder of three classes with four training and two test images each."""
    for split, count in (("train", 4), ("test", 2)):
        for label, name in enumerate(CLASSES):
            for number in range(count):
                paint(tmp_path / "fruit" / split / name / f"{number}.png", seed=100 * label + 10 * count + number)
    return tmp_path / "fruit"


@pytest.fixture
def read(folder, root):
    """Load the folder with a cache of its own."""
    return lambda split="train", folder=folder: load("folder", split=split, root=root, folder=folder)


def test_images_by_class(folder, read):
    data = read()
    assert data.images.shape == (12, 3, 8, 6) and data.images.dtype == torch.uint8
    files = [
        (label, folder / "train" / name / f"{number}.png") for label, name in enumerate(CLASSES) for number in range(4)
    ]
    for place, number in enumerate(mixed(12)):
        label, path = files[number]
        assert data.labels[place] == label
        assert np.array_equal(data.images[place].permute(1, 2, 0), np.asarray(Image.open(path)))
    assert splits("folder", folder=folder) == ("train", "test")
    assert len(read("test")) == 6


def test_the_card(read, folder):
    card = read().card
    assert (card.name, card.source, card.split, card.n, card.shape) == ("folder", "folder", "train", 12, (8, 6))
    assert card.classes == CLASSES and card.label == "fruit (12 images, folder)"
    assert f"Pillow {PIL.__version__}" in card.provenance
    assert str(folder.parent) not in repr(card)


def test_label_txt_names_the_folder(folder, read):
    (folder / "label.txt").write_text("Fruit (JPEG)\nand more\n")
    assert read("test").card.label == "Fruit (JPEG) (6 images, folder)"
    (folder / "label.txt").write_text("\n")
    assert read("test").card.label == "fruit (6 images, folder)"


def test_a_path_with_dots_or_as_text(folder, read, monkeypatch):
    monkeypatch.chdir(folder)
    assert read(folder=".").card.label == "fruit (12 images, folder)"
    assert read(folder=str(folder)).card.n == 12


def test_classes_without_splits(folder, read, refused):
    assert splits("folder", folder=folder / "train") == ("train",)
    assert read(folder=folder / "train").card.classes == CLASSES
    with refused("has the split train only", "FOLDER/test/CLASS/"):
        read("test", folder / "train")


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGBA", "LA", "CMYK"])
def test_other_kinds_of_pixels_become_rgb(mode, folder, read):
    path = folder / "train" / "pear" / ("x.tif" if mode == "CMYK" else "x.png")
    expected = paint(path, 5, mode=mode)
    data = read()
    assert any(np.array_equal(image.permute(1, 2, 0), expected) for image in data.images[data.labels == 1])


def test_jpegs_of_any_suffix_count_and_other_files_do_not(folder, read):
    for name in ("a.jpg", "b.JPG", "c.Jpeg", "d.bmp", "e.gif", "f.webp", "g.ppm"):
        paint(folder / "train" / "pear" / name)
    for name in ("notes.txt", ".hidden.png", "Thumbs.db"):
        (folder / "train" / "pear" / name).write_text("no image")
    (folder / "train" / ".cache").mkdir()
    assert len(read()) == 12 + 7


def kept(root: Path) -> list[Path]:
    return sorted((root / "folders").iterdir())


def test_images_are_decoded_once(folder, read, root, monkeypatch):
    first = read()
    assert [path.suffix for path in kept(root)] == [".npz"]

    def undecodable(paths):
        raise AssertionError("decoded again")

    monkeypatch.setattr(folders, "_decode", undecodable)
    again = read()
    assert again.card == first.card
    assert torch.equal(again.images, first.images) and torch.equal(again.labels, first.labels)


def repaint(folder: Path) -> None:
    path = folder / "train" / "pear" / "0.png"
    before = path.stat()
    paint(path, seed=999)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: paint(folder / "train" / "pear" / "new.png", 77),
        lambda folder: (folder / "train" / "pear" / "0.png").rename(folder / "train" / "pear" / "9.png"),
        lambda folder: (folder / "train" / "pear" / "0.png").rename(folder / "train" / "apple" / "9.png"),
        lambda folder: (folder / "train" / "pear" / "0.png").unlink(),
        repaint,
    ],
)
def test_a_changed_folder_is_decoded_anew(change, folder, read, root):
    before = read()
    change(folder)
    after = read()
    assert len(kept(root)) == 2
    assert after.card.checksum != before.card.checksum or not torch.equal(after.labels, before.labels)


def test_equal_files_elsewhere_are_another_folder(folder, read, root, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    assert read(folder=tmp_path / "copy").card.checksum == read().card.checksum
    assert len(kept(root)) == 2


def test_remains_of_a_killed_run_are_ignored(read, root, monkeypatch):
    def killed(self, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "replace", killed)
        read()
    (remains,) = kept(root)
    assert remains.name.startswith(".") and remains.suffix == ".partial"
    remains.write_bytes(remains.read_bytes()[:100])
    assert len(read()) == 12


@pytest.mark.parametrize(
    "spoil", [lambda b: b"", lambda b: b[:50], lambda b: b[:-200], lambda b: b[:600] + b"x" + b[601:]]
)
def test_a_damaged_cache_is_made_anew(spoil, read, root):
    before = read()
    (path,) = kept(root)
    path.write_bytes(spoil(path.read_bytes()))
    after = read()
    assert after.card == before.card and torch.equal(after.labels, before.labels)
    assert kept(root) == [path]


def test_missing_folder(read, tmp_path, refused):
    with refused("nowhere is missing", "FOLDER/train/CLASS/"):
        read(folder=tmp_path / "nowhere")


def test_no_folder_given_or_one_too_many(refused, folder):
    with refused("needs `folder: PATH`"):
        load("folder")
    with refused("is given for data set photographs"):
        load("photographs", folder=folder)
    with refused("is given for data set cifar10"):
        splits("cifar10", folder=folder)
    with refused("unknown source 'official' of folder", "allowed: folder"):
        load("folder", source="official", folder=folder)


def test_no_class_folders(read, tmp_path, refused):
    paint(tmp_path / "flat" / "0.png")
    with refused("flat has no class folders", "FOLDER/CLASS/"):
        read(folder=tmp_path / "flat")


def test_one_class_only(folder, read, refused):
    for name in ("apple", "pear"):
        shutil.rmtree(folder / "train" / name)
    with refused("one class only, zebra", "at least two"):
        read()


def test_a_class_without_images(folder, read, refused):
    (folder / "train" / "empty").mkdir()
    with refused("train/empty has no images", ".jpeg, .jpg"):
        read()


def test_a_class_of_one_split_only(folder, read, refused):
    shutil.rmtree(folder / "test" / "pear")
    with refused("the class pear is in", "train only", "same classes"):
        read("test")
    paint(folder / "test" / "pear" / "0.png")
    paint(folder / "test" / "plum" / "0.png")
    with refused("the class plum is in", "test only"):
        read("test")


def test_a_test_split_alone(folder, read, refused):
    shutil.rmtree(folder / "train")
    with refused("has test/ but no train/"):
        read("test")


@pytest.mark.parametrize(
    "content", [b"", b"no image at all", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF", "half", "png half"]
)
def test_a_broken_image_is_named(content, folder, read, root, refused):
    path = folder / "train" / "pear" / "2.jpg"
    paint(path, size=(8, 6))
    if content == "png half":
        content = (folder / "train" / "apple" / "0.png").read_bytes()[:60]
    path.write_bytes(path.read_bytes()[:-20] if content == "half" else content)
    with refused("pear/2.jpg is no image or a broken one", "mend or remove it"):
        read()
    assert not (root / "folders").exists()


def test_images_of_several_sizes(folder, read, refused):
    paint(folder / "train" / "pear" / "2.png", size=(6, 8))
    paint(folder / "train" / "zebra" / "2.png", size=(7, 8))
    with refused("pear/2.png has 6 x 8 pixels (height x width)", "apple/0.png 8 x 6", "one size"):
        read()
