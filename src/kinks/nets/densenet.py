"""DenseNet-121 with the MaxPool paper's 2x2 pool, its batch norm wired as intended or as published."""

from typing import Literal

import torch
from torch import Tensor, nn

BLOCKS = (6, 12, 24, 16)
GROWTH = 32
BOTTLENECK = 4 * GROWTH
Wiring = Literal["intended", "published"]


class DenseBlock(nn.Module):
    """Layers that each read everything before them, (N, channels, H, W), and add GROWTH channels to it."""

    def __init__(self, layers: list[nn.Sequential]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        """The input and the output of every layer, concatenated."""
        # A list, not a growing tensor: gradients are then summed in the order of the published network.
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


def densenet121(*, batch_norm: bool, classes: int = 10, wiring: Wiring = "intended") -> nn.Sequential:
    """DenseNet-121 with its ImageNet stem on images (N, 3, 32, 32), which reach the last block as 1x1 maps.

    `wiring` says which layers `batch_norm` reaches: `intended`, all of them; `published`, the stem and the last one
    only, since the released code does not pass the flag on to blocks and transitions. Without batch norm both are the
    same network.
    """
    if wiring not in ("intended", "published"):
        raise ValueError(f"densenet121: wiring is {wiring!r}; allowed: 'intended', 'published'")
    inside = batch_norm and wiring == "intended"
    channels = 64
    stem = nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False)
    layers: list[nn.Module] = [stem, *_norm_relu(channels, batch_norm), nn.MaxPool2d(2)]
    for index, count in enumerate(BLOCKS):
        if index > 0:
            transition = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [*_norm_relu(channels, inside), transition, nn.AvgPool2d(2)]
            channels //= 2
        layers.append(DenseBlock([_dense_layer(channels + i * GROWTH, inside) for i in range(count)]))
        channels += count * GROWTH
    layers += [*_norm_relu(channels, batch_norm), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(channels, classes))


def _dense_layer(channels: int, batch_norm: bool) -> nn.Sequential:
    return nn.Sequential(
        *_norm_relu(channels, batch_norm),
        nn.Conv2d(channels, BOTTLENECK, 1, bias=False),
        *_norm_relu(BOTTLENECK, batch_norm),
        nn.Conv2d(BOTTLENECK, GROWTH, 3, padding=1, bias=False),
    )


def _norm_relu(channels: int, batch_norm: bool) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU()] if batch_norm else [nn.ReLU()]
