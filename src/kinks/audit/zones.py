"""Thresholds (M3) and zones (M5) of the MaxPool paper: the gradients of random networks, compared.

A pair (initialisation, mini-batch) lies in the bifurcation zone where the gradients for max-pool Jacobians 0 and 1 are
further apart than a threshold, and in the compensation zone where they differ by less (a3, a5). The threshold is
what rounding alone can do, so it is measured: the same network and norm, the mini-batch's examples in another order.
"""

from collections.abc import Iterator, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kinks.audit.bare import watched
from kinks.audit.passes import Pass
from kinks.audit.pool_gradients import EQUAL, Norms, compare, distance, gradient
from kinks.nets.initialise import initialise
from kinks.nets.precise import at, loss
from kinks.nets.registry import architecture, build
from kinks.ops import DerivativeSwitch, PoolSwitch, ReLUDerivative, has_zero, swap
from kinks.precision import Precision, fixed, named

ARMS = ("beta", "swapped")  # the intended comparison, and what the released call compares (defect D2)
YARDSTICKS = ("reordered", "error", "repeated")
STRIDE = 10_000  # cells take their seeds from ranges of their own


def job(
    *,
    network: str,
    batch_norm: bool,
    init: str,
    precision: str,
    bias: str,
    dataset: str,
    source: str | None,
    folder: str | None,
    checksum: str,
    classes: int,
    batch_size: int,
    first_seed: int,
    seeds: int,
    minibatches: int,
    arms: list[str],
    yardsticks: list[str],
    deterministic: bool,
    device: str,
) -> pd.DataFrame:
    """Compare gradients of `seeds` random networks on `minibatches` mini-batches each, never training them.

    Args:
        dataset: `mnist` (of `source`, shuffled once) or colour images (augmented, in their order, as published).
        arms: `beta`, Jacobians 0 and 1 with ReLU'(0) = 0; `swapped`, ReLU'(0) = 0 and 1 with native pools.
        yardsticks: what the first mini-batch of each is also held against: `repeated` (the same program from its own
            forward pass), `reordered` (its examples permuted), `error` (float64, on the same rounded weights and
            inputs).
        deterministic: whether a GPU's convolutions must be; the published floor is that of those that need not.

    Returns:
        One row per initialisation, mini-batch and arm: n1, ninf (as released, in the network's dtype), n1_wide,
        ninf_wide (norms added up in float64); with arm `beta` tied and windows (all pools) and topmost (pool with a
        tie, from 0 at the input, -1 for none).
    """
    how = named(precision, bias=bias, device=device)
    rows = []
    with fixed(how):
        torch.backends.cudnn.deterministic = deterministic
        data = Pass.over(dataset, source, folder, checksum, dataset != "mnist", how, device)
        net = Network(network, batch_norm, classes, how, "swapped" in arms, "error" in yardsticks, device)
        for seed in range(first_seed, first_seed + seeds):
            initialise(net.model, init, seed)
            chosen = data.indices(seed % STRIDE, minibatches, batch_size, partial=True)
            for number, index in enumerate(chosen):
                wanted = [*arms, *(yardsticks if number == 0 else [])]
                measured = net.measured(wanted, *data.minibatch(index, batch_size), seed)
                rows += [{"seed": seed, "minibatch": index, "arm": arm} | values for arm, values in measured]
    cell = {"network": network, "batch_norm": batch_norm, "init": init, "batch_size": batch_size}
    cell |= {"deterministic": deterministic}
    return pd.DataFrame(rows).assign(**cell, **how.row())


class Network:
    """A network with its switches, and the ways to compare its gradients."""

    def __init__(
        self, name: str, batch_norm: bool, classes: int, precision: Precision, relus: bool, error: bool, device: str
    ) -> None:
        plain = build(name, batch_norm=batch_norm, seed=0, classes=classes)
        self.pools, self.relus = PoolSwitch(), DerivativeSwitch()
        choices = {"pool": self.pools} | ({"relu": self.relus} if relus else {})
        # An example spares torch.fx, whose first use in a process loads for four seconds.
        example = torch.zeros(2, *architecture(name).image)
        self.model = at(swap(plain, **choices, example=example), precision, device)
        self.wide = unfolded(at(plain, named("fp64"), device)) if error else None

    def measured(self, arms: Sequence[str], x: Tensor, labels: Tensor, seed: int) -> Iterator[tuple[str, dict]]:
        """Yield each arm's name with its norms, and with what else its rows carry."""
        native = gradient(self.model, x, labels) if set(arms) & set(YARDSTICKS) else []
        for arm in arms:
            if arm == "beta":
                found = compare(self.model, self.pools, x, labels)
                ties = {"tied": sum(found.tied), "windows": sum(found.windows), "topmost": found.topmost}
                yield arm, vars(found.norms) | ties
            elif arm == "swapped":
                yield arm, vars(self._swapped(x, labels))
            else:
                yield arm, vars(self._yardstick(arm, native, x, labels, seed))

    def _swapped(self, x: Tensor, labels: Tensor) -> Norms:
        met: list[bool] = []
        with watched(self.model, lambda z: met.append(has_zero(z.detach()))):
            value = loss(self.model(x), labels)
        if not any(met):
            return EQUAL
        found = []
        for alpha in (0.0, 1.0):
            self.relus.derivative = ReLUDerivative(alpha)
            found.append(torch.autograd.grad(value, list(self.model.parameters()), retain_graph=alpha == 0.0))
        self.relus.derivative = ReLUDerivative(0.0)
        return distance(found[1], found[0])

    def _yardstick(self, name: str, native: list[Tensor], x: Tensor, labels: Tensor, seed: int) -> Norms:
        if name == "repeated":
            return distance(gradient(self.model, x, labels), native)
        if name == "reordered":
            order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed)).to(x.device)
            return distance(gradient(self.model, x[order], labels[order]), native)
        assert self.wide is not None
        with torch.no_grad():
            for exact, rounded in zip(self.wide.parameters(), self.model.parameters(), strict=True):
                exact.copy_(rounded)
        return distance([g.double() for g in native], gradient(self.wide, x.double(), labels))


class _Unfolded(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        columns = F.unfold(x, self.kernel_size, self.dilation, self.padding, self.stride)
        y = self.weight.flatten(1) @ columns
        side = (x.shape[-2] + 2 * self.padding[0] - self.kernel_size[0]) // self.stride[0] + 1
        return (y if self.bias is None else y + self.bias[:, None]).unflatten(-1, (side, -1))


def unfolded(model: nn.Module) -> nn.Module:
    """Let the convolutions of `model` itself (no groups, no dilation) be one product each, and return it.

    Twice as fast as PyTorch's float64 kernel on a CPU; the last bits differ, so it serves as a yardstick only.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            layer.__class__ = _Unfolded
    return model
