"""LeNet-5 as the MaxPool paper trains it on MNIST: every pool after a ReLU, batch norm after the pool."""

from torch import nn


def lenet5(*, batch_norm: bool, classes: int = 10) -> nn.Sequential:
    """LeNet-5 for images (N, 1, 28, 28): two unpadded 5x5 convolutions with 2x2 pools, three linear layers.

    44,426 parameters for ten classes, 44,878 with batch norm.
    """
    layers: list[nn.Module] = []
    for channels, out in ((1, 6), (6, 16)):
        layers += [nn.Conv2d(channels, out, 5), nn.ReLU(), nn.MaxPool2d(2)]
        layers += [nn.BatchNorm2d(out)] if batch_norm else []
    layers.append(nn.Flatten())
    for features, out in ((16 * 4 * 4, 120), (120, 84)):
        layers += [nn.Linear(features, out), nn.ReLU()]
        layers += [nn.BatchNorm1d(out)] if batch_norm else []
    return nn.Sequential(*layers, nn.Linear(84, classes))
