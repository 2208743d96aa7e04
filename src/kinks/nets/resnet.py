"""Residual networks of both papers; the ReLU'(0) paper pools 3x3 after the stem, the MaxPool paper 2x2."""

from typing import Literal

from torch import Tensor, nn

Pool = Literal["2x2", "3x3"]


class Residual(nn.Module):
    """relu(body(x) + shortcut(x)); an empty shortcut is the identity."""

    def __init__(self, body: nn.Sequential, shortcut: nn.Sequential) -> None:
        super().__init__()
        self.body, self.shortcut, self.relu = body, shortcut, nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """Images (N, channels in, H, W) to (N, channels out, H / stride, W / stride)."""
        return self.relu(self.body(x) + self.shortcut(x))


def resnet18(*, pool: Pool, batch_norm: bool, classes: int = 10, divisor: int = 1) -> nn.Sequential:
    """ResNet-18 in CIFAR form, for images (N, 3, 32, 32): a 3x3 stem with stride 1, and the pool kept.

    11,164,362 parameters for ten classes, 11,173,962 with batch norm. No convolution has a bias, with or without it.
    All channels are divided by `divisor`.
    """
    channels = 64 // divisor
    layers = _stem(channels, 3, 1, pool, batch_norm)
    for stage, out in enumerate(full // divisor for full in (64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage > 0 and block == 0 else 1
            body = [*_conv(channels, out, 3, stride, batch_norm), nn.ReLU(), *_conv(out, out, 3, 1, batch_norm)]
            layers.append(_residual(body, channels, out, stride, batch_norm))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def resnet50(*, pool: Pool, batch_norm: bool, classes: int = 1000) -> nn.Sequential:
    """ResNet-50 for images (N, 3, 224, 224): a 7x7 stem with stride 2, bottlenecks with their stride on the 3x3.

    25,557,032 parameters for 1000 classes with batch norm, which the papers always give it.
    """
    channels = 64
    layers = _stem(channels, 7, 2, pool, batch_norm)
    for stage, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for block in range(blocks):
            stride, out = 2 if stage > 0 and block == 0 else 1, 4 * width
            body = [*_conv(channels, width, 1, 1, batch_norm), nn.ReLU()]
            body += [*_conv(width, width, 3, stride, batch_norm), nn.ReLU()]
            body += _conv(width, out, 1, 1, batch_norm)
            layers.append(_residual(body, channels, out, stride, batch_norm))
            channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def _stem(channels: int, kernel: int, stride: int, pool: Pool, batch_norm: bool) -> list[nn.Module]:
    pools = {"2x2": nn.MaxPool2d(2), "3x3": nn.MaxPool2d(3, stride=2, padding=1)}
    if pool not in pools:
        raise ValueError(f"resnet: pool is {pool!r}; allowed: {', '.join(map(repr, pools))}")
    return [*_conv(3, channels, kernel, stride, batch_norm), nn.ReLU(), pools[pool]]


def _residual(body: list[nn.Module], channels: int, out: int, stride: int, batch_norm: bool) -> Residual:
    shortcut = _conv(channels, out, 1, stride, batch_norm) if stride != 1 or channels != out else []
    return Residual(nn.Sequential(*body), nn.Sequential(*shortcut))


def _conv(channels: int, out: int, kernel: int, stride: int, batch_norm: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(channels, out, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, nn.BatchNorm2d(out)] if batch_norm else [convolution]
