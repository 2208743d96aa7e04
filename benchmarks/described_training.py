"""The training of both papers from its description (sections 4.2, and 4 of the first): the baseline of our loop.

torchvision's loader; a ReLU of its own; the pool beta x minimal + (1 - beta) x native in forward and backward; SGD with
momentum and weight decay, or Adam; loss and accuracy read after every step. Nothing is slower than that asks for.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from benchmarks.described_networks import Assigned, Beta, Multiplied, with_modules
from kinks.data.images import MOMENTS
from kinks.nets.registry import build


class Pictures(Dataset):
    """uint8 images `(n, H, W)` or `(n, C, H, W)` that become PIL images, and then tensors, when they are asked for."""

    def __init__(self, images: Tensor, labels: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.pixels = (images if images.ndim == 3 else images.permute(0, 2, 3, 1)).contiguous().numpy()
        self.labels, self.transform = labels.tolist(), transform

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def transform(dataset: str, size: int, augment: bool) -> transforms.Compose:
    """To [0, 1] and normalised; with `augment`, cropped from 4 zeros around and mirrored at random before that."""
    random = [transforms.RandomCrop(size, padding=4), transforms.RandomHorizontalFlip()] if augment else []
    return transforms.Compose([*random, transforms.ToTensor(), transforms.Normalize(*MOMENTS[dataset])])


def loader(
    images: Tensor, labels: Tensor, dataset: str, batch: int, *, augment: bool, shuffle: bool = True
) -> DataLoader:
    """Mini-batches of fp32 images `(B, C, H, W)` and labels; the last one may be shorter."""
    pictures = Pictures(images, labels, transform(dataset, images.shape[-1], augment))
    return DataLoader(pictures, batch_size=batch, shuffle=shuffle)


def network(
    name: str,
    *,
    batch_norm: bool,
    seed: int,
    beta: float | None = None,
    alpha: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> nn.Module:
    """The network in training mode: the second paper's, with its pool and ReLU, or, given `alpha`, the first's."""
    net = build(name, batch_norm=batch_norm, seed=seed)
    if alpha is not None:
        return with_modules(net, nn.ReLU, lambda: Assigned(alpha)).to(dtype)
    return with_modules(with_modules(net, nn.ReLU, Multiplied), nn.MaxPool2d, lambda: Beta(beta)).to(dtype)


def optimiser(net: nn.Module, kind: str, rate: float) -> torch.optim.Optimizer:
    """SGD with momentum 0.9 and weight decay 5e-4, or Adam, both torch's."""
    if kind == "sgd":
        return torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    return torch.optim.Adam(net.parameters(), lr=rate)


def step(net: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor, labels: Tensor) -> tuple[float, int]:
    """One step on a mini-batch; its loss, and how many of its images were classified rightly."""
    optimiser.zero_grad()
    logits = net(x)
    loss = F.cross_entropy(logits, labels)
    loss.backward()
    optimiser.step()
    return loss.item(), (logits.argmax(1) == labels).sum().item()


class Epoch(NamedTuple):
    """What is written down after a pass: mean of the mini-batches' losses, and the share of images classified right."""

    loss: float
    accuracy: float


def one_pass(
    net: nn.Module, optimiser: torch.optim.Optimizer, batches: Iterable[tuple[Tensor, Tensor]], dtype=torch.float32
) -> Epoch:
    """Train on every mini-batch once."""
    losses, right, seen = [], 0, 0
    for x, labels in batches:
        loss, hits = step(net, optimiser, x.to(dtype), labels)
        losses.append(loss)
        right, seen = right + hits, seen + len(labels)
    return Epoch(sum(losses) / len(losses), right / seen)


def train(
    net: nn.Module,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    kind: str,
    rate: float,
    epochs: int,
    dtype: torch.dtype = torch.float32,
) -> list[Epoch]:
    """Passes over `batches`, the rate annealed by a cosine to 0, once per pass."""
    optim, passes = optimiser(net, kind, rate), []
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optim, T_max=epochs)
    for _ in range(epochs):
        passes.append(one_pass(net, optim, batches, dtype))
        schedule.step()
    return passes
