"""The volume experiment of "Numerical influence of ReLU'(0) on backpropagation" (section 3), from its description.

Two networks with the same parameters, ReLU'(0) = 0 in one and 1 in the other; for each minibatch two forward
passes, two full backward passes of the mean cross-entropy, and a comparison of the first layer's weight
gradients. It is the baseline that the audit is timed against and, being simple, its reference for correctness.
Nothing in it is slower than the description asks for: tensors stay in memory and gradients are freed.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms.functional import to_tensor

Layers = Sequence[tuple[Tensor, Tensor]]
Convert = Callable[[np.ndarray], Tensor]


class AssignedReLU(torch.autograd.Function):
    """max(z, 0) whose backward puts the number alpha itself where z is exactly zero."""

    @staticmethod
    def forward(ctx, z: Tensor, alpha: float) -> Tensor:
        ctx.save_for_backward(z)
        ctx.alpha = alpha
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None]:
        (z,) = ctx.saved_tensors
        gradient = upstream.clone()
        gradient[z < 0] = 0
        gradient[z == 0] = ctx.alpha
        return gradient, None


class DescribedMLP(nn.Module):
    """Linear layers of the given sizes in PyTorch's default start, with ReLU'(0) = alpha between them.

    `first_relu=False` leaves out the activation after the first layer.
    """

    def __init__(self, sizes: Sequence[int], alpha: float, first_relu: bool = True) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(sizes))
        self.alpha = alpha
        self.first_relu = first_relu

    def forward(self, x: Tensor) -> Tensor:
        """Logits of images given as (n, 1, rows, columns) or (n, pixels)."""
        h = x.flatten(1)
        for depth, linear in enumerate(self.linears[:-1]):
            h = linear(h)
            if depth > 0 or self.first_relu:
                h = AssignedReLU.apply(h, self.alpha)
        return self.linears[-1](h)


def two_networks(
    sizes: Sequence[int], dtype: torch.dtype, *, layers: Layers | None = None, first_relu: bool = True
) -> tuple[DescribedMLP, DescribedMLP]:
    """The pair with ReLU'(0) = 0 and 1: PyTorch's default start, or `layers` of (weight, bias), cast to `dtype`."""
    first, second = (DescribedMLP(sizes, alpha, first_relu) for alpha in (0.0, 1.0))
    if layers is not None:
        with torch.no_grad():
            for linear, (weight, bias) in zip(first.linears, layers, strict=True):
                linear.weight.copy_(weight)
                linear.bias.copy_(bias)
    second.load_state_dict(first.state_dict())
    return first.to(dtype), second.to(dtype)


def first_gradients(networks: Sequence[DescribedMLP], x: Tensor, labels: Tensor) -> list[Tensor]:
    """The first layer's weight gradient of each network, after a full backward of the mean cross-entropy."""
    gradients = []
    for network in networks:
        network.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        gradients.append(network.linears[0].weight.grad)
    return gradients


def differs(networks: Sequence[DescribedMLP], x: Tensor, labels: Tensor) -> bool:
    """Whether the two networks' gradients differ on this minibatch, in any bit that `torch.equal` sees."""
    first, second = first_gradients(networks, x, labels)
    return not torch.equal(first, second)


def lean(image: np.ndarray) -> Tensor:
    """One uint8 image as a (1, rows, columns) fp32 tensor in [0, 1], by the shortest way there is."""
    return torch.from_numpy(image).unsqueeze(0).to(torch.float32).div(255)


def torchvision(image: np.ndarray) -> Tensor:
    """The same bits by the way of the description, torchvision's MNIST with ToTensor: through a PIL image."""
    return to_tensor(Image.fromarray(image))


class _Digits(Dataset):
    """uint8 images that are converted one by one when they are asked for."""

    def __init__(self, images: Tensor, labels: Tensor, convert: Convert) -> None:
        self.images, self.labels, self.convert = images.numpy(), labels.tolist(), convert

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.convert(self.images[index]), self.labels[index]


def loader(images: Tensor, labels: Tensor, batch: int, convert: Convert = lean) -> DataLoader:
    """The described loader over uint8 `images` (n, rows, columns): unshuffled minibatches, stacked from images."""
    return DataLoader(_Digits(images, labels, convert), batch_size=batch, shuffle=False)


def in_memory(pixels: Tensor, labels: Tensor, batch: int) -> Iterator[tuple[Tensor, Tensor]]:
    """The same minibatches from `pixels` that were converted beforehand: for timing the computation alone."""
    yield from zip(pixels.split(batch), labels.split(batch), strict=True)


def first_difference(
    networks: Sequence[DescribedMLP], minibatches: Iterable[tuple[Tensor, Tensor]], dtype: torch.dtype
) -> int | None:
    """Index of the first minibatch on which the networks' gradients differ; None if there is none."""
    for index, (x, labels) in enumerate(minibatches):
        if differs(networks, x.to(dtype), labels):
            return index
    return None


def all_differences(
    networks: Sequence[DescribedMLP], minibatches: Iterable[tuple[Tensor, Tensor]], dtype: torch.dtype
) -> list[bool]:
    """For every minibatch, whether the networks' gradients differ on it."""
    return [differs(networks, x.to(dtype), labels) for x, labels in minibatches]


def described_audit(
    sizes: Sequence[int],
    seeds: Iterable[int],
    images: Tensor,
    labels: Tensor,
    batch: int,
    dtype: torch.dtype,
    *,
    first_relu: bool = True,
    convert: Convert = lean,
) -> list[int | None]:
    """The whole experiment, loader and start included: the first differing minibatch for each seed.

    A start is that of `torch.manual_seed(seed)` and PyTorch's default for `nn.Linear`, drawn in fp32 and cast.
    """
    found = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks = two_networks(sizes, dtype, first_relu=first_relu)
        found.append(first_difference(networks, loader(images, labels, batch, convert), dtype))
    return found
