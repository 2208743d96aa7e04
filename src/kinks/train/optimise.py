"""Steps of SGD and Adam with the bits of torch.optim, in the storage format of the weights.

torch.optim loads torch._dynamo at its first step, seconds that every worker of a sweep would pay; so its arithmetic is
written out here, on a CPU tensor by tensor and on a GPU by the same foreach kernels that it uses there.
"""

import math
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

Name = Literal["sgd", "adam"]
Schedule = Literal["cosine", "constant"]
NAMES, SCHEDULES = get_args(Name), get_args(Schedule)
BETAS = (0.9, 0.999)  # of Adam, as published
# Where torch's fused CPU kernel rounds as its separate operations do: in vectors, but not in what is left over of one.
FUSED, LANES = (torch.float32, torch.float64), 64


def rates(rate: float, schedule: Schedule, epochs: int) -> list[float]:
    """Return the learning rate of every epoch: `rate`, or a half cosine from it that would reach 0 after the last.

    The cosine goes from one rate to the next, as torch's CosineAnnealingLR does, and so has its bits.
    """
    found = [rate]
    for epoch in range(1, epochs):
        now, before = (1 + math.cos(math.pi * place / epochs) for place in (epoch, epoch - 1))
        found.append(now / before * found[-1] if schedule == "cosine" else rate)
    return found


class SGD:
    """Gradient descent with momentum (no dampening, not Nesterov's) and weight decay added to the gradient."""

    def __init__(self, weights: Sequence[Tensor], momentum: float, decay: float) -> None:
        self.weights, self.momentum, self.decay = list(weights), momentum, decay
        self.buffers = [torch.zeros_like(weight) for weight in self.weights] if momentum else []

    @property
    def state(self) -> list[Tensor]:
        """What a snapshot has to keep besides the weights."""
        return self.buffers

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Move the weights along `gradients`, which may be overwritten, in place."""
        weights = self.weights
        if weights[0].is_cuda:
            found = torch._foreach_add(gradients, weights, alpha=self.decay) if self.decay else gradients
            if self.momentum:
                torch._foreach_mul_(self.buffers, self.momentum)
                torch._foreach_add_(self.buffers, found)
                found = self.buffers
            torch._foreach_add_(weights, found, alpha=-rate)
            return
        for index, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            if self.momentum and weight.dtype in FUSED and weight.numel() % LANES == 0:
                self._fused(weight, gradient, self.buffers[index], rate)
                continue
            if self.decay:
                gradient = gradient.add_(weight, alpha=self.decay)
            if self.momentum:
                gradient = self.buffers[index].mul_(self.momentum).add_(gradient)
            weight.add_(gradient, alpha=-rate)

    def _fused(self, weight: Tensor, gradient: Tensor, buffer: Tensor, rate: float) -> None:
        """One pass over memory instead of three; the kernel would mix up the elements of a transposed gradient."""
        sizes = {"lr": rate, "momentum": self.momentum, "weight_decay": self.decay, "dampening": 0.0}
        flags = {"nesterov": False, "maximize": False, "is_first_step": False}
        torch._fused_sgd_([weight], [gradient.contiguous()], [buffer], **sizes, **flags)


class Adam:
    """Adam without weight decay (or with decay added to the gradient), its state in the format of the weights.

    In pure 16 bits its `eps` of 1e-8 rounds to 0 and weights without a gradient become 0 / 0, as published.
    """

    def __init__(self, weights: Sequence[Tensor], eps: float, decay: float) -> None:
        self.weights, self.eps, self.decay = list(weights), eps, decay
        self.means = [torch.zeros_like(weight) for weight in self.weights]
        self.squares = [torch.zeros_like(weight) for weight in self.weights]
        self.steps = torch.zeros((), dtype=torch.float64)

    @property
    def state(self) -> list[Tensor]:
        """What a snapshot has to keep besides the weights."""
        return [*self.means, *self.squares, self.steps]

    @torch.no_grad()
    def step(self, gradients: Sequence[Tensor], rate: float) -> None:
        """Move the weights along `gradients`, which may be overwritten, in place."""
        self.steps += 1
        first, second = (1 - beta ** float(self.steps) for beta in BETAS)
        if self.weights[0].is_cuda:
            self._foreach(list(gradients), rate / first, math.sqrt(second))
            return
        for weight, gradient, mean, square in zip(self.weights, gradients, self.means, self.squares, strict=True):
            if self.decay:
                gradient = gradient.add_(weight, alpha=self.decay)
            mean.lerp_(gradient, 1 - BETAS[0])
            square.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
            below = (square.sqrt() / math.sqrt(second)).add_(self.eps)
            weight.addcdiv_(mean, below, value=-rate / first)

    def _foreach(self, gradients: list[Tensor], size: float, root: float) -> None:
        if self.decay:
            gradients = torch._foreach_add(gradients, self.weights, alpha=self.decay)
        torch._foreach_lerp_(self.means, gradients, 1 - BETAS[0])
        torch._foreach_mul_(self.squares, BETAS[1])
        torch._foreach_addcmul_(self.squares, gradients, gradients, 1 - BETAS[1])
        below = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(below, root)
        torch._foreach_add_(below, self.eps)
        torch._foreach_addcdiv_(self.weights, self.means, below, -size)
