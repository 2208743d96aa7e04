"""Images as two tensors and a card: loaded and verified, fetched on request, never swapped or downloaded silently."""

from collections.abc import Iterable
from pathlib import Path

from kinks.data import folders, mnist, official, photographs
from kinks.data.images import Card, DataError, Images, as_float, normalise
from kinks.data.synthetic import synthetic_digits

__all__ = ["Card", "DataError", "Images", "as_float", "fetch", "load", "normalise", "splits", "synthetic_digits"]

# Each has SOURCES (the first is the default), SPLITS and read; those with a source official have fetch, too.
NAMES = {"mnist": mnist, "photographs": photographs, **official.SETS, "folder": folders}


def load(
    name: str = "mnist",
    source: str | None = None,
    split: str = "train",
    root: Path | None = None,
    folder: Path | str | None = None,
) -> Images:
    """Return a data set whose content was checked against its known md5; never downloads.

    Args:
        name: `mnist`, `photographs`, `cifar10`, `cifar100`, `svhn` or `folder`.
        source: `embedded` (mnist: the first 10,000 training images, in this repository; photographs: in installed
            wheels), `official` (mnist, cifar10, cifar100, svhn, after `fetch`) or `folder`; the first that the data
            set has, if None.
        split: `train` or `test`, where the source has it, or `extra` (svhn).
        root: the data folder; the repository's by default. For data set `folder`, where decoded images are kept.
        folder: the user's images by class, for data set `folder` only: `folder/{train,test}/CLASS/*.jpg` or
            `folder/CLASS/*.jpg`.

    Raises:
        DataError: an unknown name, source or split, a folder that is not needed or not given, or files that are
            missing, truncated or altered.
    """
    source = _source(name, source)
    _no_folder_but_for_folders(name, folder)
    _known("split", split, NAMES[name].SPLITS, of=name)
    if name == "folder":
        return folders.read(folder, split, root)
    return NAMES[name].read(source, split, _data_folder(root))


def splits(name: str, source: str | None = None, folder: Path | str | None = None) -> tuple[str, ...]:
    """Return which of `train` and `test` a data set has; arguments as `load` takes them.

    Raises:
        DataError: an unknown name or source, or a folder that is not needed, not given, or not laid out by class.
    """
    source = _source(name, source)
    _no_folder_but_for_folders(name, folder)
    if name == "folder":
        return folders.splits(folder)
    return ("train",) if (name, source) == ("mnist", "embedded") else ("train", "test")


def fetch(
    name: str = "mnist",
    source: str | None = "official",
    root: Path | None = None,
    mirror: Path | str | None = None,
    download: bool = True,
    extra: bool = False,
) -> None:
    """Make sure that the files of a source lie in the data folder; only official ones ever have to be fetched.

    Args:
        name: as `load` takes it.
        source: as `load` takes it.
        root: the data folder; the repository's by default.
        mirror: a folder that holds the published files, used instead of the network.
        download: whether the network may be used when there is no mirror.
        extra: svhn only: its 531,131 images of split `extra` (1.3 GB) too.

    Raises:
        DataError: an unknown name or source, an extra split where there is none, a mirror that lacks a file or holds a
            wrong one, or no network.
    """
    source = _source(name, source)
    if extra:
        _known("split", "extra", NAMES[name].SPLITS, of=name)
    if source == "official":
        places = (_data_folder(root), None if mirror is None else Path(mirror).expanduser())
        splits = {"splits": NAMES[name].SPLITS} if extra else {}
        NAMES[name].fetch(*places, download, **splits)


def _source(name: str, source: str | None) -> str:
    """Return the source meant, which must be one of that data set."""
    _known("data set", name, NAMES)
    if source == "synthetic":
        raise DataError("synthetic images are for tests only, never a result: kinks.data.synthetic_digits draws them")
    if source is None:
        return NAMES[name].SOURCES[0]
    _known("source", source, NAMES[name].SOURCES, of=name)
    return source


def _no_folder_but_for_folders(name: str, folder: Path | str | None) -> None:
    if folder is not None and name != "folder":
        raise DataError(f"`folder: {folder}` is given for data set {name}; only data set folder takes one")


def _known(what: str, given: str, allowed: Iterable[str], of: str = "") -> None:
    if given not in allowed:
        raise DataError(f"unknown {what} {given!r}{of and f' of {of}'}; allowed: {', '.join(allowed)}")


def _data_folder(root: Path | None) -> Path:
    if root is not None:
        return Path(root)
    from kinks import paths  # here, so that importing the science needs no repository around it

    return paths.DATA
