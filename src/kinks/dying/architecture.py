"""Plain and residual networks for regression: their shapes, their first weights, and one of them as a torch module.

`depth` counts layers of ReLUs in every kind, the first of which reads the inputs: `plain` maps h to relu(W h + b),
`residual` adds h to that, `residual_two` adds V relu(W h + b) + c to h. A linear layer with one output ends them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.dying.initial import Initialisation, draw

Kind = Literal["plain", "residual", "residual_two"]


@dataclass(frozen=True)
class Architecture:
    """A family of networks that differ in their weights only.

    Attributes:
        inputs: dimension of the data.
        width: ReLUs per layer.
        depth: layers of ReLUs.
        kind: `plain`, `residual` or `residual_two`.
        initialisation: `library` or `he` (whose biases are zero).
        scale: factor of all first weights and biases.
        zero_last: `residual_two` only: second layers of the blocks start at zero.
        slope: of the ReLU for negative inputs, also its derivative at 0.
        batch_norm: before every ReLU.

    Raises:
        ValueError: a size below 1, an unknown name, or `zero_last` for another kind.
    """

    inputs: int
    width: int
    depth: int
    kind: Kind = "plain"
    initialisation: Initialisation = "library"
    scale: float = 1.0
    zero_last: bool = False
    slope: float = 0.0
    batch_norm: bool = False

    def __post_init__(self) -> None:
        if min(self.inputs, self.width, self.depth) < 1:
            raise ValueError(f"inputs, width, depth are {self.inputs}, {self.width}, {self.depth}; allowed: >= 1")
        for name, allowed in (("kind", get_args(Kind)), ("initialisation", get_args(Initialisation))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(allowed)}")
        if self.zero_last and self.kind != "residual_two":
            raise ValueError(f"zero_last with kind {self.kind!r}; allowed: residual_two")

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Inputs and outputs of the linear layers: first, then per block one or two, then the last."""
        per_block = 2 if self.kind == "residual_two" else 1
        blocks = [(self.width, self.width)] * (per_block * (self.depth - 1))
        return [(self.inputs, self.width), *blocks, (self.width, 1)]

    def first_weights(self, seeds: Sequence[int], dtype: torch.dtype = torch.float32) -> list[Tensor]:
        """Return weights `(nets, in, out)` and biases `(nets, 1, out)`, alternating, then gains and offsets of norms.

        The weights of a seed are the same in any company, and in float32 those of float64, rounded.
        """
        count = sum((fan_in + 1) * fan_out for fan_in, fan_out in self.shapes)
        drawn = torch.stack([torch.cat([*self._numbers(seed, count)]) for seed in seeds])
        uniform, normal = drawn[:, :count], drawn[:, count:]
        found, first = [], 0
        for place, (fan_in, fan_out) in enumerate(self.shapes):
            for rows in (fan_in, 1):
                part = slice(first, first + rows * fan_out)
                given = (uniform[:, part].flatten(), normal[:, part].flatten())
                layer = draw(self.initialisation, fan_in, (len(seeds), rows, fan_out), *given) * self.scale
                he_bias = self.initialisation == "he" and len(found) % 2
                found.append((layer * 0 if he_bias or self._starts_at_zero(place) else layer).to(dtype))
                first = part.stop
        if self.batch_norm:
            for _ in range(self.depth):
                norm = torch.ones(len(seeds), 1, self.width, dtype=dtype)
                found += [norm, 0 * norm]
        return found

    def _numbers(self, seed: int, count: int) -> Iterator[Tensor]:
        generator = torch.Generator().manual_seed(seed)
        yield torch.rand(count, generator=generator, dtype=torch.float64)
        yield torch.randn(count, generator=generator, dtype=torch.float64)

    def _starts_at_zero(self, place: int) -> bool:
        return self.zero_last and place % 2 == 0 and 0 < place < len(self.shapes) - 1

    def module(self, weights: Sequence[Tensor], net: int) -> "Network":
        """Return one of the networks with these `weights`, ordered as by `first_weights`, as a torch module: copies."""
        return Network(self, [one[net] for one in weights])


class Network(nn.Module):
    """One network, layer by layer: `(B, inputs)` to `(B,)`. What an ensemble is checked against."""

    def __init__(self, shape: Architecture, weights: Sequence[Tensor]) -> None:
        super().__init__()
        self.shape, linears = shape, 2 * len(shape.shapes)
        self.linears = nn.ModuleList(nn.Linear(*sizes, dtype=weights[0].dtype) for sizes in shape.shapes)
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(shape.width, dtype=weights[0].dtype) for _ in range(shape.depth * shape.batch_norm)
        )
        with torch.no_grad():
            for layer, weight, bias in zip(self.linears, weights[:linears:2], weights[1:linears:2], strict=True):
                layer.weight.copy_(weight.T)
                layer.bias.copy_(bias[0])

    def forward(self, x: Tensor, inputs: list[Tensor] | None = None) -> Tensor:
        """Predictions; what every ReLU is given, `(B, width)` a layer, is appended to `inputs`."""
        h, layers = x, iter(self.linears)
        for place in range(self.shape.depth):
            z = next(layers)(h)
            z = self.norms[place](z) if self.shape.batch_norm else z
            if inputs is not None:
                inputs.append(z)
            a = F.leaky_relu(z, self.shape.slope) if self.shape.slope else torch.relu(z)
            if place and self.shape.kind != "plain":
                a = h + (next(layers)(a) if self.shape.kind == "residual_two" else a)
            h = a
        return next(layers)(h)[:, 0]
