"""Images as two tensors and a card: loaded and verified, fetched on request, never swapped or downloaded silently."""

from pathlib import Path

from kinks.data import mnist
from kinks.data.images import Card, DataError, Images, as_float
from kinks.data.synthetic import synthetic_digits

__all__ = ["Card", "DataError", "Images", "as_float", "fetch", "load", "synthetic_digits"]

NAMES = {"mnist": mnist}
SOURCES = ("embedded", "official")
SPLITS = ("train", "test")


def load(name: str = "mnist", source: str = "embedded", split: str = "train", root: Path | None = None) -> Images:
    """Return a data set whose content was checked against its known md5; never downloads.

    Args:
        name: `mnist`.
        source: `embedded` (the first 10,000 training images, in this repository) or `official` (after `fetch`).
        split: `train`, or `test` where the source has one.
        root: the data folder; the repository's by default.

    Raises:
        DataError: an unknown name, source or split, or files that are missing, truncated or altered.
    """
    _known("data set", name, NAMES)
    if source == "synthetic":
        raise DataError("synthetic images are for tests only, never a result: kinks.data.synthetic_digits draws them")
    _known("source", source, SOURCES)
    _known("split", split, SPLITS)
    return NAMES[name].read(source, split, _folder(root))


def fetch(
    name: str = "mnist",
    source: str = "official",
    root: Path | None = None,
    mirror: Path | str | None = None,
    download: bool = True,
) -> None:
    """Make sure that the files of a source lie in the data folder; the embedded ones always do.

    Args:
        name: `mnist`.
        source: `official` or `embedded`.
        root: the data folder; the repository's by default.
        mirror: a folder that holds the official files, plain or gzipped, used instead of the network.
        download: whether the network may be used when there is no mirror.

    Raises:
        DataError: an unknown name or source, a mirror that lacks a file or holds a wrong one, or no network.
    """
    _known("data set", name, NAMES)
    _known("source", source, SOURCES)
    if source == "official":
        NAMES[name].fetch(_folder(root), None if mirror is None else Path(mirror).expanduser(), download)


def _known(what: str, given: str, allowed) -> None:
    if given not in allowed:
        raise DataError(f"unknown {what} {given!r}; allowed: {', '.join(allowed)}")


def _folder(root: Path | None) -> Path:
    if root is not None:
        return Path(root)
    from kinks import paths  # here, so that importing the science needs no repository around it

    return paths.DATA
