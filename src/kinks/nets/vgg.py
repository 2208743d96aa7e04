"""VGG networks in the form both papers use for 32x32 images: one linear layer, no dropout."""

from torch import nn

# Channels of the 3x3 convolutions before each of the five pools.
STAGES = {
    11: ((64,), (128,), (256, 256), (512, 512), (512, 512)),
    13: ((64, 64), (128, 128), (256, 256), (512, 512), (512, 512)),
    16: ((64, 64), (128, 128), (256,) * 3, (512,) * 3, (512,) * 3),
    19: ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,) * 4),
}


def vgg(depth: int, *, batch_norm: bool, classes: int = 10, divisor: int = 1) -> nn.Sequential:
    """VGG-`depth` (11, 13, 16 or 19; ValueError otherwise) for images (N, 3, 32, 32).

    Each 3x3 convolution has a bias, also before batch norm; each stage ends in a 2x2 pool. The published networks
    average the last 1x1 map before the linear layer, which changes no bit and is left out. All channels are divided by
    `divisor`.
    """
    if depth not in STAGES:
        raise ValueError(f"vgg: depth is {depth!r}; allowed: {', '.join(map(str, STAGES))}")
    layers: list[nn.Module] = []
    channels = 3
    for stage in STAGES[depth]:
        for out in (full // divisor for full in stage):
            layers.append(nn.Conv2d(channels, out, 3, padding=1))
            layers += [nn.BatchNorm2d(out)] if batch_norm else []
            layers.append(nn.ReLU())
            channels = out
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels, classes))
