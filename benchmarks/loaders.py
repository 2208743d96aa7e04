"""Mini-batches from images in memory against torchvision's transforms, image by image."""

from collections.abc import Iterator

import torch
from torch import Tensor
from torchvision.transforms import functional as vision

from benchmarks import described_training as described
from benchmarks.timing import Result, SpeedUp, paired, require
from kinks.data import load, normalise
from kinks.data.epoch import Epoch
from kinks.data.images import MOMENTS


def rows() -> Iterator[Result]:
    """Grey images as they are, colour images cropped and mirrored."""
    for dataset in ("mnist", "photographs"):
        yield loading(dataset, SpeedUp(5))


def loading(dataset: str, goal: SpeedUp, images: int = 1280, batch: int = 128) -> Result:
    """Every mini-batch of a pass over shuffled, for photographs also cropped and mirrored, images in memory."""
    data = load(dataset)
    pixels, labels, augment = data.images[:images], data.labels[:images], dataset == "photographs"
    theirs = described.loader(pixels, labels, dataset, batch, augment=augment)

    def ours() -> None:
        draw = Epoch.draw(images, 0, shuffle=True, augment=augment)
        for first in range(0, images, batch):
            part = slice(first, first + batch)
            normalise(draw.images(pixels, part), dataset, torch.float32)
            labels[draw.order[part]]

    return paired(
        f"loader, {dataset}{', cropped' if augment else ''}, {batch}",
        ours,
        "torchvision's transforms, image by image",
        lambda: [None for _ in theirs],
        check=lambda: check_loader(pixels, dataset, augment),
        goal=goal,
        rounds=7,
    )


def check_loader(pixels: Tensor, dataset: str, augment: bool, count: int = 64) -> str:
    """Images in order equal the described loader's; crops equal torchvision's at the same corners, bit for bit."""
    labels = torch.arange(count)
    plain = described.loader(pixels[:count], labels, dataset, count, augment=False, shuffle=False)
    ordered = Epoch.draw(count, 0, shuffle=False, augment=False).images(pixels[:count], slice(0, count))
    require(torch.equal(next(iter(plain))[0], normalise(ordered, dataset, torch.float32)), "images equal in all bits")
    if not augment:
        return "images equal in all bits"
    draw, size = Epoch.draw(count, 1, shuffle=True, augment=True), pixels.shape[-1]
    for place, image in enumerate(draw.images(pixels[:count], slice(0, count))):
        padded = vision.pad(vision.to_pil_image(pixels[draw.order[place]]), 4)
        cropped = vision.crop(padded, *draw.corners[place].tolist(), size, size)
        expected = vision.to_tensor(vision.hflip(cropped) if draw.mirrored[place] else cropped)
        found = normalise(image[None], dataset, torch.float32)[0]
        require(torch.equal(found, vision.normalize(expected, *MOMENTS[dataset])), "crops equal torchvision's")
    return f"images equal in all bits, and {count} crops those of torchvision at the same corners"
