"""Dropout whose masks come from a seed, so that networks which differ in something else drop the same units."""

import torch
from torch import Tensor, nn


class Dropout(nn.Module):
    """Features times 0 with probability `share`, else times 1 / (1 - share), in training; themselves in evaluation.

    Attributes:
        generator: on the features' device, or None for the global one; masks are drawn in fp32, whatever the format.
        order: int64 `(B,)`, if the examples of the mini-batch are permuted, so that each keeps its mask; else None.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        if not 0 <= share < 1:
            raise ValueError(f"Dropout: share is {share!r}; allowed: from 0 up to, but not including, 1")
        self.share = share
        self.generator: torch.Generator | None = None
        self.order: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Features `(B, ...)` with some set to 0, rounded once."""
        if not self.training or self.share == 0:
            return x
        kept = torch.rand(x.shape, generator=self.generator, device=x.device) >= self.share
        kept = kept if self.order is None else kept[self.order]
        return x * kept * (1 / (1 - self.share))

    def extra_repr(self) -> str:
        """The share, for printing."""
        return f"share={self.share}"
