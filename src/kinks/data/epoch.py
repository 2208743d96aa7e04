"""One pass over a set of images: which image comes when, where it is cropped and whether it is mirrored."""

from dataclasses import dataclass, replace
from typing import Self

import torch
import torch.nn.functional as F


@dataclass(frozen=True)
class Epoch:
    """The draws of one pass, made before it begins, so that every batch size sees the same images in the same order.

    Attributes:
        order: int64 `(n,)`: the image at each position of the pass; `labels[epoch.order[part]]` are a part's labels.
        corners: int64 `(n, 2)`: top and left of each crop in the padded image; None without augmentation.
        mirrored: bool `(n,)`: which crops are mirrored left to right; None without augmentation.
        padding: how many zeros are put around an image before it is cropped to its size again.
    """

    order: torch.Tensor
    corners: torch.Tensor | None
    mirrored: torch.Tensor | None
    padding: int

    @classmethod
    def draw(cls, n: int, seed: int, *, shuffle: bool, augment: bool, padding: int = 4) -> Self:
        """Draw a pass over the first `n` images; equal arguments give equal draws, whatever else has been drawn.

        Args:
            n: number of images.
            seed: of a generator of its own.
            shuffle: whether the order is drawn, or that of the images.
            augment: whether each image is cropped and, with probability 1/2, mirrored: the distribution of
                torchvision's `RandomCrop(size, padding)` and `RandomHorizontalFlip()`. It changes no order.
            padding: zeros around an image that is cropped.

        Raises:
            ValueError: `n` is below 1 or `padding` below 0.
        """
        if n < 1 or padding < 0:
            raise ValueError(f"n is {n}, padding {padding}; a pass needs at least 1 image and no negative padding")
        generator = torch.Generator().manual_seed(seed)
        shuffled = torch.randperm(n, generator=generator)  # drawn in any case: crops do not depend on `shuffle`
        order = shuffled if shuffle else torch.arange(n)
        if not augment:
            return cls(order, None, None, padding)
        corners = torch.randint(2 * padding + 1, (n, 2), generator=generator)
        return cls(order, corners, torch.rand(n, generator=generator) < 0.5, padding)

    def __len__(self) -> int:
        return len(self.order)

    def to(self, device: torch.device | str) -> Self:
        """Return the pass with its draws on `device`, so that no mini-batch has to bring its own there."""
        corners, mirrored = (None if draw is None else draw.to(device) for draw in (self.corners, self.mirrored))
        return replace(self, order=self.order.to(device), corners=corners, mirrored=mirrored)

    def images(self, images: torch.Tensor, part: slice) -> torch.Tensor:
        """Return the images at the positions `part` of the pass, uint8 `(B, C, H, W)` on the device of `images`.

        Args:
            images: all images, uint8 `(N, C, H, W)` or, grey, `(N, H, W)`, which come out with `C = 1`.
            part: positions, as in `slice(first, first + batch)`; what lies beyond the end is left out, as in lists.

        Raises:
            TypeError: images that are not uint8, or a part that is not a slice.
            ValueError: images of other dimensions or fewer than the pass visits, or a part without positions.
        """
        _check(images, part, len(self))
        order = self.order[part].to(images.device)
        if not len(order):
            raise ValueError(f"{part} holds none of the {len(self)} positions of this pass")
        chosen = images[order]
        chosen = chosen if chosen.ndim == 4 else chosen.unsqueeze(1)
        if self.corners is None:
            return chosen
        corners, mirrored = self.corners[part].to(images.device), self.mirrored[part].to(images.device)
        return _cropped(chosen, corners, mirrored, self.padding)


def _cropped(images: torch.Tensor, corners: torch.Tensor, mirrored: torch.Tensor, padding: int) -> torch.Tensor:
    """Return uint8 `(B, C, H, W)` images cropped at `corners` `(B, 2)` of their padded selves, `mirrored` `(B,)`."""
    batch, channels, height, width = images.shape
    padded = F.pad(images, (padding,) * 4)
    down, right = (torch.arange(size, device=images.device) for size in (height, width))
    rows = corners[:, :1] + down
    columns = corners[:, 1:] + torch.where(mirrored[:, None], width - 1 - right, right)
    places = (rows[:, :, None] * padded.shape[-1] + columns[:, None, :]).flatten(1)
    places = places[:, None].expand(-1, channels, -1)
    return padded.flatten(2).gather(2, places).view(batch, channels, height, width)


def _check(images: torch.Tensor, part: slice, n: int) -> None:
    if images.dtype != torch.uint8:
        raise TypeError(f"images are {images.dtype}; a pass takes the uint8 images of kinks.data.load")
    if not isinstance(part, slice):
        raise TypeError(f"part is {part!r}; give a slice of positions, as slice(0, 128)")
    if images.ndim not in (3, 4) or len(images) < n:
        raise ValueError(
            f"images are {tuple(images.shape)}; this pass takes (N, C, H, W) or (N, H, W) with N at least {n}"
        )
