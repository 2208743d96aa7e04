"""The user's images by class: `folder/{train,test}/CLASS/*.jpg`, or `folder/CLASS/*.jpg` with split train only.

All images must have one size. They are decoded once and kept as one file under `.kinks/folders`, named by the folder
and by the names, sizes and dates of its files, so that a changed folder is decoded anew.
"""

import hashlib
import os
import zipfile
from pathlib import Path

import numpy as np

from kinks.data.images import DataError, Images, assemble, mixed

SOURCES = ("folder",)
SPLITS = ("train", "test")
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
_LAYOUT = "images belong in FOLDER/train/CLASS/ and FOLDER/test/CLASS/, or all in FOLDER/CLASS/"


def read(folder: Path | str | None, split: str, cache: Path | None = None) -> Images:
    """Return the images of one split, uint8 RGB `(N, 3, H, W)`, in a fixed order that mixes the classes.

    Labels are the places of the classes' names in sorted order. Grey images become RGB; transparency is dropped.

    Args:
        folder: holds the images; a file `label.txt` in it has a name for figures, which is the folder's name otherwise.
        split: `train` or `test`.
        cache: where decoded images are kept; the project's scratch folder by default.

    Raises:
        DataError: no such folder or split, fewer than two classes, a class without images, a broken image, or images
            of several sizes.
    """
    folder = _existing(folder)
    part = _part(folder, split)
    classes = _classes(part)
    if part.name == "test" and part.parent == folder:
        _same_classes(folder, classes)
    files = {name: _files(part / name) for name in classes}
    images, labels, pillow = _decoded(part, files, cache)
    return assemble(
        images,
        labels,
        name="folder",
        source="folder",
        split=split,
        classes=tuple(classes),
        label=f"{_title(folder)} ({len(images):,} images, folder)",
        licence="as the owner of the folder says",
        credit="the owner of the folder",
        provenance=f"images by class from a folder of the user's, decoded by Pillow {pillow}",
    )


def splits(folder: Path | str | None) -> tuple[str, ...]:
    """Return the splits that a folder has.

    Raises:
        DataError: no such folder, or one with `test/` but no `train/`.
    """
    folder = _existing(folder)
    there = tuple(name for name in SPLITS if (folder / name).is_dir())
    if there == ("test",):
        raise DataError(f"the folder {folder} has test/ but no train/; {_LAYOUT}")
    return there or ("train",)


def _existing(folder: Path | str | None) -> Path:
    if folder is None:
        raise DataError(f"data set folder needs `folder: PATH`; {_LAYOUT}")
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise DataError(f"the folder {folder} is missing; {_LAYOUT}")
    return folder


def _part(folder: Path, split: str) -> Path:
    """Return the folder that holds the classes of a split."""
    if split not in splits(folder):
        raise DataError(f"the folder {folder} has the split train only, without {split}/; {_LAYOUT}")
    return folder / split if (folder / "train").is_dir() else folder


def _classes(part: Path) -> list[str]:
    names = sorted(entry.name for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    if not names:
        raise DataError(f"{part} has no class folders; {_LAYOUT}")
    if len(names) == 1:
        raise DataError(f"{part} has one class only, {names[0]}; at least two are needed")
    return names


def _same_classes(folder: Path, classes: list[str]) -> None:
    """Labels number the classes of a split, so both splits must have the same ones."""
    train = _classes(folder / "train")
    if odd := sorted(set(train) ^ set(classes)):
        where = "train" if odd[0] in train else "test"
        raise DataError(f"the class {odd[0]} is in {folder / where} only; train and test need the same classes")


def _files(folder: Path) -> list[os.DirEntry]:
    """Return the images of a class, sorted by name; files that are no images by their suffix are passed over."""
    entries = (entry for entry in os.scandir(folder) if entry.is_file() and not entry.name.startswith("."))
    files = sorted((entry for entry in entries if entry.name.lower().endswith(SUFFIXES)), key=lambda file: file.name)
    if not files:
        raise DataError(f"{folder} has no images; known are {', '.join(SUFFIXES)}")
    return files


def _title(folder: Path) -> str:
    """Return the first line of label.txt, or the folder's name: never the path, which is this machine's affair."""
    try:
        lines = (folder / "label.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    return (lines[0].strip() if lines else "") or folder.resolve().name


def _decoded(part: Path, files: dict[str, list[os.DirEntry]], cache: Path | None) -> tuple[np.ndarray, np.ndarray, str]:
    """Return images, labels and Pillow's version: from the cache, or decoded and kept there."""
    import PIL  # here, so that other data load where Pillow is not installed

    path = _scratch(cache) / f"{_fingerprint(part, files, PIL.__version__)}.npz"
    try:
        with path.open("rb") as file, np.load(file) as kept:
            return kept["images"], kept["labels"], PIL.__version__
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):  # not there, or damaged: then it is made anew
        pass
    images = _decode([file.path for of_class in files.values() for file in of_class])
    labels = np.repeat(np.arange(len(files)), [len(of_class) for of_class in files.values()])
    order = mixed(len(images))
    images, labels = images[order], labels[order]
    _keep(path, images=images, labels=labels)
    return images, labels, PIL.__version__


def _fingerprint(part: Path, files: dict[str, list[os.DirEntry]], version: str) -> str:
    listed = hashlib.sha256(f"{part.resolve()}\n{version}\n".encode())
    for name, of_class in files.items():
        for file in of_class:
            about = file.stat()
            listed.update(f"{name}/{file.name}\0{about.st_size}\0{about.st_mtime_ns}\n".encode())
    return listed.hexdigest()[:16]


def _decode(paths: list[str]) -> np.ndarray:
    """Return all images as RGB, uint8 `(N, 3, H, W)`."""
    first = _pixels(paths[0])
    images = np.empty((len(paths), 3, *first.shape[:2]), np.uint8)
    for place, path in enumerate(paths):
        pixels = _pixels(path)
        if pixels.shape != first.shape:
            (height, width, _), (high, wide, _) = first.shape, pixels.shape
            raise DataError(
                f"{path} has {high} x {wide} pixels (height x width), {paths[0]} {height} x {width}; "
                "all images of a folder must have one size"
            )
        images[place] = pixels.transpose(2, 0, 1)
    return images


def _pixels(path: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except Exception as error:  # a broken file makes Pillow raise almost anything
        reason = type(error).__name__ if isinstance(error, Image.UnidentifiedImageError) else error
        raise DataError(f"{path} is no image or a broken one ({reason}); mend or remove it") from None


def _keep(path: Path, **arrays: np.ndarray) -> None:
    """Write a file under a temporary name and rename it: a file with the final name is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial")
    with partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _scratch(cache: Path | None) -> Path:
    if cache is not None:
        return Path(cache) / "folders"
    from kinks import paths  # here, so that importing the science needs no repository around it

    return paths.SCRATCH / "folders"
