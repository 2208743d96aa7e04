"""Which windows of a max-pool attain their maximum more than once, and why? The census of one mini-batch.

A tie of zeros does not matter: the ReLU below passes no gradient there. A positive tie is `structural` if its entries
come from equal patches of the input of the convolution below: then every Jacobian of the pool gives that convolution
the same weight gradient in exact arithmetic, and what differs is rounding. Otherwise it is `coincidental`: unequal
patches whose products were rounded to one number, so that the gradients differ as the patches do. "A MaxPool case
study" (TMLR 2024) speaks of compensation and bifurcation zones (a3) and does not report how often either happens.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.ops import MaxPool2d, ReLU
from kinks.ops.pool_windows import maximal, windows

KINDS = ("zero", "structural", "coincidental")
PADDING = 4  # pixels of zeros that a crop may show at an edge of the image
Pair = tuple[int, int]


def up_to_last_pool(model: nn.Sequential) -> nn.Sequential:
    """The children of a network up to its last max-pool: nothing above it changes what it pools."""
    pools = [place for place, child in enumerate(model) if isinstance(child, nn.MaxPool2d | MaxPool2d)]
    if not pools:
        raise ValueError(f"no max-pool among the {len(model)} children of the model; allowed: at least one")
    return model[: pools[-1] + 1]


@torch.no_grad()
def census(model: nn.Sequential, x: Tensor) -> list[dict]:
    """Count the ties of every max-pool among the children of `model` on one mini-batch `(B, C, H, W)`.

    Returns:
        One row per layer (pool, from 1 at the input), place and kind of tie: windows there; count, the tied ones;
        two, three and four (or more) maximal entries; merged, the coincidental ones whose convolution outputs were
        unequal, so that batch norm made the tie. Place is `border`, the outermost windows, as many as the padding of
        a crop reaches, or `inside`.

    Raises:
        ValueError: a pool that does not follow a ReLU, only batch norm and ReLU lying between it and a convolution, or
            one with padding, dilation or ceil_mode.
    """
    image, below, layer, rows = x.shape[-2:], None, 0, []
    for place, child in enumerate(model):
        given, x = x, child(x)
        if isinstance(child, nn.Conv2d):
            below = (child, given, x)
        elif isinstance(child, nn.MaxPool2d | MaxPool2d):
            if below is None or not isinstance(model[place - 1], nn.ReLU | ReLU):
                raise ValueError(f"census: child {place} pools; allowed below it: a convolution, batch norm, a ReLU")
            layer += 1
            found = ties(child, given, x, *below)
            rows += [{"layer": layer} | row for row in found.rows(_border(x.shape[-2:], image).to(x.device))]
            below = None
        elif not isinstance(child, nn.BatchNorm2d | nn.ReLU | ReLU):
            below = None
    return rows


@dataclass(frozen=True)
class Ties:
    """The ties of one pool.

    Attributes:
        zero: which windows have a tie of zeros, bool `(B, C, h, w)`.
        where: the n windows with a positive tie, `(n, 4)`; order: how many of their entries are maximal, `(n,)`.
        structural, merged: of these, the ones of equal patches, and the ones that batch norm made, bool `(n,)`.
    """

    zero: Tensor
    where: Tensor
    order: Tensor
    structural: Tensor
    merged: Tensor

    def rows(self, border: Tensor) -> Iterator[dict]:
        """Rows as `census` returns them; `border` is bool `(h, w)`."""
        inside = border[self.where[:, 2], self.where[:, 3]]
        for name, side, here in (("border", border, inside), ("inside", ~border, ~inside)):
            windows = self.zero.shape[:2].numel() * int(side.sum())
            zeros = int((self.zero & side).sum())  # after a ReLU all entries of a window of maximum 0 are 0
            yield {"place": name, "kind": "zero", "windows": windows, **_orders(self.order[:0], zeros), "merged": 0}
            for kind, chosen in (("structural", here & self.structural), ("coincidental", here & ~self.structural)):
                merged = int(self.merged[chosen].sum())
                yield {"place": name, "kind": kind, "windows": windows, **_orders(self.order[chosen]), "merged": merged}


def ties(pool: nn.MaxPool2d | MaxPool2d, x: Tensor, top: Tensor, conv: nn.Conv2d, given: Tensor, raw: Tensor) -> Ties:
    """Find the ties of `pool`, whose input is `x` and output `top`, above `conv` with input `given`, output `raw`."""
    size, stride = _pair(pool.kernel_size), _pair(pool.stride)
    if _pair(pool.padding) != (0, 0) or _pair(pool.dilation) != (1, 1) or pool.ceil_mode:
        raise ValueError(f"census: {pool}; allowed: a pool without padding, dilation and ceil_mode")
    tied = maximal(x, top, windows("census", size, stride))[0] > 1
    where = (tied & (top > 0)).nonzero()
    b, c, i, j = where.unbind(1)
    places = list(product(*map(range, size)))
    values, before = (
        torch.stack([tensor[b, c, i * stride[0] + down, j * stride[1] + right] for down, right in places])
        for tensor in (x, raw)
    )
    tops = values == top[b, c, i, j]
    structural = torch.ones_like(b, dtype=torch.bool)
    maps: dict[Pair, Tensor] = {}
    for (first, here), (second, there) in combinations(enumerate(places), 2):
        both = tops[first] & tops[second]
        if not both.any():
            continue
        step = (there[0] - here[0], there[1] - here[1])
        if step not in maps:
            maps[step] = equal_patches(given, conv, step)
        same = maps[step][b, i * stride[0] + here[0], j * stride[1] + here[1] + min(step[1], 0)]
        structural &= ~both | same
    spread = [before.where(tops, end * torch.inf) for end in (-1, 1)]
    merged = ~structural & (spread[0].amax(0) > spread[1].amin(0))
    return Ties(tied & (top == 0), where, tops.sum(0), structural, merged)


def equal_patches(given: Tensor, conv: nn.Conv2d, step: Pair) -> Tensor:
    """Say where `conv` reads equal patches of `given` `(B, C, H, W)` for two outputs that lie `step` apart.

    Args:
        step: rows (not negative) and columns from the first output to the second.

    Returns:
        bool `(B, H' - rows, W' - |columns|)`, indexed by the upper row and by the left column of the two.
    """
    padding = [side for side in reversed(_pair(conv.padding)) for _ in range(2)]
    down, right = (along * by for along, by in zip(step, conv.stride, strict=True))
    padded = F.pad(given, padding)
    height, width = padded.shape[-2:]
    first = padded[..., : height - down, max(0, -right) : width - max(0, right)]
    second = padded[..., down:, max(0, right) : width - max(0, -right)]
    unequal = (first != second).any(1, keepdim=True).float()
    return F.max_pool2d(unequal, conv.kernel_size, conv.stride, 0, conv.dilation)[:, 0] == 0


def _orders(order: Tensor, fours: int = 0) -> dict[str, int]:
    two, three = (int((order == k).sum()) for k in (2, 3))
    return {"count": len(order) + fours, "two": two, "three": three, "four": len(order) - two - three + fours}


def _border(pooled: Pair, image: Pair) -> Tensor:
    """Which windows, bool `(h, w)`, lie in the outermost rows and columns, as many as PADDING pixels are."""
    inner = []
    for length, side in zip(pooled, image, strict=True):
        depth, along = ceil(PADDING * length / side), torch.arange(length)
        inner.append((along >= depth) & (along < length - depth))
    return ~(inner[0][:, None] & inner[1])


def _pair(size: int | Pair) -> Pair:
    return (size, size) if isinstance(size, int) else tuple(size)
