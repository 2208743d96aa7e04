"""Patches of 32 x 32 pixels cut from six photographs that the wheels of scikit-learn and scikit-image carry.

Real colour images of CIFAR's size for a machine that reaches no data host. The class of a patch is the photograph it
is from. The right fifth of every photograph is the test split; the rest is the training split, so no pixel is in both.
Patches are cut every 16 pixels, from the photograph and from the photograph at half its size (every 8 pixels there),
where 32 x 32 pixels show as much of a scene as a CIFAR image does.
"""

import importlib.util
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kinks.data.images import DataError, Images, assemble, md5, mixed

SOURCES = ("embedded",)
SPLITS = ("train", "test")
SIDE = 32
STEP = 16  # pixels of the photograph between one patch and the next


class Photograph(NamedTuple):
    """A photograph inside a wheel: the package, the file in it, the md5 of the file, terms and whom to name."""

    package: str
    file: str
    checksum: str
    licence: str
    credit: str


PHOTOGRAPHS = {
    "china": Photograph(
        "sklearn", "datasets/images/china.jpg", "1c6116212e35016fa7c3b67c81ec1335", "CC BY 2.0", "danielbuechele"
    ),
    "flower": Photograph(
        "sklearn", "datasets/images/flower.jpg", "5896f0d20066ea484089d086cd8e5a8d", "CC BY 2.0", "vultilion"
    ),
    "astronaut": Photograph(
        "skimage", "data/astronaut.png", "97066e0a8baf4cd0be9859f9825aa3a2", "public domain", "NASA"
    ),
    "chelsea": Photograph(
        "skimage", "data/chelsea.png", "0f1b4a59504988622035d850dc0555ac", "CC0", "Stéfan van der Walt"
    ),
    "coffee": Photograph("skimage", "data/coffee.png", "f24210802e8d0690e0c1c2302f907cc4", "CC0", "Rachel Michetti"),
    "rocket": Photograph("skimage", "data/rocket.jpg", "511130d2072cc744a1fa5015bc23557a", "public domain", "SpaceX"),
}
DISTRIBUTIONS = {"sklearn": "scikit-learn", "skimage": "scikit-image"}


def read(source: str, split: str, root: Path) -> Images:
    """Return the patches of one split, uint8 `(N, 3, 32, 32)`, in an order that mixes the photographs.

    Raises:
        DataError: a package is not installed, or a photograph in it is missing or another one.
    """
    import PIL  # here, so that other data load where Pillow is not installed

    cut = [patches(part) for part in _parts(split)]
    images = np.concatenate(cut)
    labels = np.repeat(np.arange(len(cut)), [len(of_class) for of_class in cut])
    order = mixed(len(images))
    kind, side = {"train": ("training", "left four fifths"), "test": ("test", "right fifth")}[split]
    return assemble(
        images[order],
        labels[order],
        name="photographs",
        source=source,
        split=split,
        classes=tuple(PHOTOGRAPHS),
        label=f"Six photographs, {len(images):,} {kind} patches (embedded)",
        licence="; ".join(f"{name}: {item.licence}" for name, item in PHOTOGRAPHS.items()),
        credit="; ".join(f"{name}: {item.credit}" for name, item in PHOTOGRAPHS.items()),
        provenance=(
            f"cut every {STEP} pixels, at full and at half size, from the {side} of "
            f"photographs in the wheels of scikit-learn and scikit-image, decoded by Pillow {PIL.__version__}"
        ),
    )


def patches(part: np.ndarray) -> np.ndarray:
    """Return the patches of part of a photograph, uint8 `(H, W, 3)`, as uint8 `(N, 3, 32, 32)`: whole, then halved."""
    return np.concatenate([_grid(part, STEP), _grid(_halved(part), STEP // 2)])


def _grid(part: np.ndarray, step: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(part, (SIDE, SIDE), axis=(0, 1))[::step, ::step]
    return windows.reshape(-1, *windows.shape[2:])


def _halved(part: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 pixels, halves rounded up; an odd last row or column is left out."""
    height, width = (size // 2 for size in part.shape[:2])
    boxes = part[: 2 * height, : 2 * width].reshape(height, 2, width, 2, 3).astype(np.uint16)
    return ((boxes.sum((1, 3)) + 2) // 4).astype(np.uint8)


def _parts(split: str) -> list[np.ndarray]:
    """Return the left four fifths or the right fifth of each photograph, uint8 `(H, W, 3)`."""
    whole = [_decoded(name, item) for name, item in PHOTOGRAPHS.items()]
    borders = [photograph.shape[1] * 4 // 5 for photograph in whole]
    columns = [slice(border) if split == "train" else slice(border, None) for border in borders]
    return [photograph[:, part] for photograph, part in zip(whole, columns, strict=True)]


def _decoded(name: str, item: Photograph) -> np.ndarray:
    from PIL import Image

    distribution = DISTRIBUTIONS[item.package]
    remedy = f"install it with `pip install --force-reinstall {distribution}`, at the version in requirements.lock"
    spec = importlib.util.find_spec(item.package)  # finds a package without importing it
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"the photograph {name} is part of the package {distribution}, which is not installed; {remedy}"
        )
    path = Path(spec.submodule_search_locations[0]) / item.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"the photograph {path} cannot be read ({error.strerror}); {remedy}") from None
    if md5(content) != item.checksum:
        raise DataError(
            f"the photograph {path} is another one: its md5 is {md5(content)}, not {item.checksum}; {remedy}"
        )
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
