"""Drawn digits for tests: sparse bright strokes on black with 8-bit levels, like MNIST's, but no data at all."""

import numpy as np
import torch

from kinks.data.images import Card, Images, md5

SIDE = 28
# Corners of a seven-segment display in units of its half width, x right and y down, and the segments of each digit.
_SEGMENTS = {
    "a": ((-1, -2), (1, -2)),
    "b": ((1, -2), (1, 0)),
    "c": ((1, 0), (1, 2)),
    "d": ((-1, 2), (1, 2)),
    "e": ((-1, 0), (-1, 2)),
    "f": ((-1, -2), (-1, 0)),
    "g": ((-1, 0), (1, 0)),
}
_DIGITS = ("abcdef", "bc", "abged", "abgcd", "fgbc", "afgcd", "afgedc", "abc", "abcdefg", "abcdfg")


def synthetic_digits(n: int, seed: int = 0) -> Images:
    """Draw `n` digits as `Images`, uint8 `(n, 28, 28)`; equal `n` and `seed` give equal bytes.

    About four pixels in five are exactly 0, as in MNIST. For tests only: never a result.

    Raises:
        ValueError: `n` is below 1.
    """
    if n < 1:
        raise ValueError(f"n is {n}; draw at least 1 digit")
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 10, n)
    images = np.stack([_draw(_DIGITS[label], generator) for label in labels])
    card = Card(
        name="mnist",
        source="synthetic",
        split="train",
        n=n,
        classes=tuple("0123456789"),
        shape=(SIDE, SIDE),
        checksum=md5(images.tobytes()),
        label=f"{n:,} synthetic digits (no real data)",
        licence="MIT, as this repository",
        credit="drawn by this program",
        provenance=f"synthetic: drawn for tests with seed {seed}",
    )
    return Images(torch.from_numpy(images), torch.from_numpy(labels), card)


def _draw(segments: str, generator: np.random.Generator) -> np.ndarray:
    """Return one digit, uint8 `(28, 28)`, with its own place, size, slant, thickness and brightness."""
    size, slant, thickness, level = generator.uniform((3.5, -0.3, 0.9, 200), (4.8, 0.3, 1.6, 255))
    centre = SIDE / 2 + generator.uniform(-2, 2, 2)
    pixels = np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1) + 0.5
    distance = np.full((SIDE, SIDE), np.inf)
    for segment in segments:
        start, end = (centre + size * np.array((x - slant * y, y)) for x, y in _SEGMENTS[segment])
        along = np.clip(((pixels - start) @ (end - start)) / ((end - start) @ (end - start)), 0, 1)
        distance = np.minimum(
            distance, np.hypot(*np.moveaxis(pixels - start - along[..., None] * (end - start), -1, 0))
        )
    return np.rint(level * np.clip(thickness + 0.5 - distance, 0, 1)).astype(np.uint8)
