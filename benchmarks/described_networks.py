"""The loops of both papers on convolutional networks, from their descriptions: the baselines of the faster audits.

For each mini-batch two networks with the same parameters make a forward pass and a full backward pass each, and their
gradients are compared: the first layer's in "Numerical influence of ReLU'(0) on backpropagation" (section 4.4), all of
them, by norms, in "A MaxPool case study" (section 4.1). Nothing is slower than the description asks for.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.described_loop import AssignedReLU
from kinks.nets.registry import build


class Assigned(nn.Module):
    """The first paper's ReLU: at zero its gradient is the number alpha."""

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, z: Tensor) -> Tensor:
        """max(z, 0)."""
        return AssignedReLU.apply(z, self.alpha)


class MultipliedReLU(torch.autograd.Function):
    """The second paper's ReLU with ReLU'(0) = 0."""

    @staticmethod
    def forward(ctx, z: Tensor) -> Tensor:
        ctx.save_for_backward(z)
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> Tensor:
        (z,) = ctx.saved_tensors
        gradient = upstream.clone()
        gradient[z <= 0] = 0
        return gradient


class Multiplied(nn.Module):
    """`MultipliedReLU` as a module."""

    def forward(self, z: Tensor) -> Tensor:
        """max(z, 0)."""
        return MultipliedReLU.apply(z)


class Minimal(torch.autograd.Function):
    """2x2 max-pool whose backward gives each of k maximal entries 1/k of the upstream gradient."""

    @staticmethod
    def forward(ctx, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        windows = x.reshape(n, channels, height // 2, 2, width // 2, 2)
        top = windows.amax((3, 5))
        ctx.save_for_backward(windows, top)
        return top

    @staticmethod
    def backward(ctx, upstream: Tensor) -> Tensor:
        windows, top = ctx.saved_tensors
        at_maximum = (windows == top[:, :, :, None, :, None]).to(upstream.dtype)
        share = upstream[:, :, :, None, :, None] * at_maximum / at_maximum.sum((3, 5), keepdim=True)
        return share.flatten(4, 5).flatten(2, 3)


class Beta(nn.Module):
    """beta x minimal + (1 - beta) x native, forward and backward, as the second paper's layer is described."""

    def __init__(self, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, x: Tensor) -> Tensor:
        """The maximum of every 2x2 window."""
        return self.beta * Minimal.apply(x) + (1 - self.beta) * F.max_pool2d(x, 2)


def with_modules(model: nn.Module, kind: type[nn.Module], make: Callable[[], nn.Module]) -> nn.Module:
    """`model` itself, every module of `kind` replaced by a new one."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is kind:
                setattr(parent, name, make())
    return model


def relu_networks(name: str, seed: int, dtype: torch.dtype, **options: object) -> list[nn.Module]:
    """The pair that differs in ReLU'(0), 0 and 1."""
    pair = [build(name, batch_norm=False, seed=seed, **options) for _ in range(2)]
    return [
        with_modules(net, nn.ReLU, lambda a=a: Assigned(a)).to(dtype) for net, a in zip(pair, (0.0, 1.0), strict=True)
    ]


def pool_networks(name: str, seed: int, dtype: torch.dtype, **options: object) -> list[nn.Module]:
    """The pair that differs in the max-pool's beta, 0 and 1; ReLU'(0) = 0 in both."""
    pair = [with_modules(build(name, batch_norm=False, seed=seed, **options), nn.ReLU, Multiplied) for _ in range(2)]
    return [
        with_modules(net, nn.MaxPool2d, lambda b=b: Beta(b)).to(dtype) for net, b in zip(pair, (0.0, 1.0), strict=True)
    ]


def gradients(networks: Sequence[nn.Module], x: Tensor, labels: Tensor) -> list[list[Tensor]]:
    """All gradients of the mean cross-entropy, per network, after a full backward."""
    found = []
    for network in networks:
        network.zero_grad()
        F.cross_entropy(network(x), labels).backward()
        found.append([parameter.grad for parameter in network.parameters()])
    return found


def first_differs(networks: Sequence[nn.Module], x: Tensor, labels: Tensor) -> bool:
    """Whether the first layer's weight gradients differ in any bit."""
    first, second = gradients(networks, x, labels)
    return not torch.equal(first[0], second[0])


def largest_difference(networks: Sequence[nn.Module], x: Tensor, labels: Tensor) -> float:
    """The sum over parameter tensors of the largest absolute difference of their gradients, in the networks' dtype."""
    first, second = gradients(networks, x, labels)
    return float(torch.stack([(a - b).abs().max() for a, b in zip(first, second, strict=True)]).sum())
