"""Networks that differ in nothing but their max-pool, trained side by side by plain gradient descent (M6)."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from kinks.data.epoch import Epoch
from kinks.nets.initialise import Init
from kinks.nets.precise import at, loss
from kinks.nets.registry import architecture, build
from kinks.ops import Forward, MaxPool2d, PoolDerivative, swap
from kinks.precision import Precision

# `twice` is the program of `base` once more; `reordered` is that on mini-batches whose examples are permuted.
ARMS: dict[str, Forward] = {
    "base": "exact", "published": "mixed", "corrected": "exact", "twice": "exact", "reordered": "exact",
}  # fmt: skip


@dataclass
class Run:
    """One network in training.

    Attributes:
        beta, forward: of its pools. rate: learning rate.
        arms: those that are this very program; beta = 1 is two, because 1 x m + 0 x m is m.
        losses: those of the steps since they were last looked at.
        first_nonfinite: number of steps taken before a number was not finite; -1 as long as all are.
        cause: where that number arose, as the function `cause` says it.
    """

    beta: float
    forward: Forward
    net: nn.Sequential
    rate: float
    arms: list[str] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    first_nonfinite: int = -1
    cause: str = ""

    @property
    def alive(self) -> bool:
        """Whether every number has been finite so far."""
        return self.first_nonfinite < 0

    def stop(self, step: int, cause: str) -> None:
        """Train no further: after `step` steps a number was not finite."""
        self.first_nonfinite, self.cause = step, cause


def start(
    network: str,
    init: Init,
    arms: Sequence[tuple[str, float]],
    seed: int,
    rate: float,
    precision: Precision,
    device: str = "cpu",
) -> list[Run]:
    """Return the networks to train, that of arm `base` first, all with the weights that `init` draws from `seed`."""
    example = torch.zeros(2, *architecture(network).image)  # spares torch.fx, which loads for seconds
    model = build(network, batch_norm=False, seed=seed, init=init)
    template, runs = at(swap(model, pool=PoolDerivative(), example=example), precision, device), {}
    for arm, beta in [("base", 0.0), *arms]:
        forward = "exact" if beta == 1 else ARMS[arm]
        key = (beta, forward, arm if arm in ("twice", "reordered") else "")
        if key not in runs:
            net = copy.deepcopy(template)
            for layer in net.modules():
                if isinstance(layer, MaxPool2d):
                    layer.derivative = PoolDerivative(beta, forward)
            runs[key] = Run(beta, forward, net, rate)
        if arm not in runs[key].arms:
            runs[key].arms.append(arm)
    return list(runs.values())


def batches(images: Tensor, labels: Tensor, batch: int, seed: int, augment: bool) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield mini-batches, uint8 `(B, C, H, W)` and labels, for ever: each pass shuffled, its shorter last one kept."""
    epoch = 0
    while True:
        yield from one_pass(images, labels, batch, seed, epoch, augment)
        epoch += 1


def one_pass(
    images: Tensor, labels: Tensor, batch: int, seed: int, epoch: int, augment: bool
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the mini-batches of one pass, counted from 0, as `batches` does; its draws are on the device at once."""
    draw = drawn(len(images), seed, epoch, augment).to(images.device)
    for first in range(0, len(images), batch):
        part = slice(first, first + batch)
        yield draw.images(images, part), labels[draw.order[part]]


def drawn(images: int, seed: int, epoch: int, augment: bool) -> Epoch:
    """Return the order and the crops of one pass, counted from 0, over so many images."""
    return Epoch.draw(images, seed * 1_000_003 + epoch, shuffle=True, augment=augment)


def permutation(rows: int, seed: int, step: int) -> Tensor:
    """Return the order, int64 `(rows,)`, in which the arm `reordered` takes the examples of its mini-batch."""
    return torch.randperm(rows, generator=torch.Generator().manual_seed(seed * 1_000_003 + step))


def advance(run: Run, step: int, x: Tensor, labels: Tensor) -> None:
    """Take one step, in the storage format, or stop the run where its loss is not finite."""
    weights = list(run.net.parameters())
    value = loss(run.net(x), labels)
    number = float(value.detach())
    if number - number != 0:
        run.stop(step, cause(run.net, x))
        return
    run.losses.append(number)
    gradients = torch.autograd.grad(value, weights)
    with torch.no_grad():
        # The bits of torch.optim.SGD, without the seconds that every worker would spend on importing it.
        torch._foreach_add_(weights, gradients, alpha=-run.rate)


@torch.no_grad()
def cause(net: nn.Sequential, x: Tensor) -> str:
    """Say where the first number that is not finite arises when `net` is applied to a mini-batch.

    `update` if weights are not finite already (a gradient, or the step along it, was not), `pool` if a pool makes it
    from finite inputs (beta x m overflows), `layer` if another layer does, `loss` if none does.
    """
    if not all(bool(torch.isfinite(weight).all()) for weight in net.parameters()):
        return "update"
    for layer in net:
        x = layer(x)
        if not torch.isfinite(x).all():
            return "pool" if isinstance(layer, MaxPool2d) else "layer"
    return "loss"


@torch.no_grad()
def distance(net: nn.Module, others: Sequence[Tensor]) -> float:
    """Return the L1 distance in fp64 of all parameters of `net` to `others`, which are in fp64."""
    pairs = zip(net.parameters(), others, strict=True)
    return float(torch.stack([(weight.double() - other).abs().sum() for weight, other in pairs]).sum())


@torch.no_grad()
def classified(net: nn.Module, parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Return the share of images `net` classifies rightly, and the share whose logits are not finite (never right).

    Both are NaN without images.
    """
    right = lost = total = 0
    for x, labels in parts:
        logits = net(x)
        finite = torch.isfinite(logits).all(1)
        right += int(((logits.argmax(1) == labels) & finite).sum())
        lost, total = lost + int((~finite).sum()), total + len(labels)
    return (right / total, lost / total) if total else (float("nan"), float("nan"))
