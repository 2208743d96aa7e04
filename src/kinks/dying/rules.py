"""Descent rules that move many models at once: SGD in both momentum conventions, Nesterov's form, and Adam.

They work elementwise on lists of tensors, so that a start of a population and a network of an ensemble are moved by the
same arithmetic; with a single model and one rate it is that of torch.optim. `rate` may be a tensor that broadcasts
against the parameters: a rate for every model.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torch import Tensor

Convention = Literal["heavy_ball", "averaged"]
Rate = float | Tensor


@dataclass(frozen=True)
class SGD:
    """Gradient descent with momentum.

    Attributes:
        rate: eta of the heavy ball, alpha of the averaged convention.
        momentum: mu, or beta; 0 for none.
        convention: `heavy_ball` (v <- mu v + g, w <- w - eta v: libraries) or `averaged` (m <- beta m + (1 - beta) g,
            w <- w - alpha m); both give the same iterates when mu = beta and eta = alpha (1 - beta).
        nesterov: w <- w - eta (g + mu v) instead; heavy ball only.

    Raises:
        ValueError: a rate that is not positive, a momentum outside [0, 1), or Nesterov's form of averaged momentum.
    """

    rate: Rate
    momentum: float = 0.0
    convention: Convention = "heavy_ball"
    nesterov: bool = False

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"momentum is {self.momentum!r}; allowed: 0 <= momentum < 1")
        if self.convention not in get_args(Convention):
            raise ValueError(f"convention is {self.convention!r}; allowed: {', '.join(get_args(Convention))}")
        if self.nesterov and self.convention == "averaged":
            raise ValueError("nesterov=True with averaged momentum; allowed: heavy_ball")

    @classmethod
    def at_speed(cls, speed: float, momentum: float = 0.0, **given: object) -> "SGD":
        """The heavy ball whose long-run speed, eta / (1 - mu), is `speed`: how momenta are compared fairly."""
        return cls(speed * (1 - momentum), momentum, **given)

    @property
    def heavy_ball(self) -> "SGD":
        """The same iterates in the libraries' convention."""
        if self.convention == "heavy_ball":
            return self
        return replace(self, rate=self.rate * (1 - self.momentum), convention="heavy_ball")

    @property
    def speed(self) -> Rate:
        """eta / (1 - mu): displacement per unit of a constant gradient, in the long run."""
        return self.heavy_ball.rate / (1 - self.momentum)

    def state(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """Velocities at rest, shaped as the weights; none without momentum."""
        return [torch.zeros_like(weight) for weight in weights] if self.momentum else []

    @torch.no_grad()
    def step(self, weights: Sequence[Tensor], gradients: Sequence[Tensor], state: list[Tensor], count: int) -> None:
        """Move `weights` and `state` in place along `gradients`; `count` is for rules that need the step's number."""
        part = 1 - self.momentum if self.convention == "averaged" else 1.0
        for place, (weight, gradient) in enumerate(zip(weights, gradients, strict=True)):
            if self.momentum:
                velocity = state[place].mul_(self.momentum).add_(gradient, alpha=part)
                gradient = gradient + self.momentum * velocity if self.nesterov else velocity
            _subtract(weight, self.rate, gradient)


@dataclass(frozen=True)
class Adam:
    """Adam as published and as in torch.optim, with bias correction; `epsilon` is outside the square root.

    With `epsilon` 0 a weight whose gradients were all zero stays (0 / 0 counts as 0), and scaling weights, targets and
    rate by one factor scales the iterates.

    Raises:
        ValueError: a rate that is not positive, decays outside [0, 1), or a negative epsilon.
    """

    rate: Rate
    decays: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        _check_rate(self.rate)
        if not all(0 <= decay < 1 for decay in self.decays) or self.epsilon < 0:
            raise ValueError(f"decays {self.decays}, epsilon {self.epsilon!r}; allowed: 0 <= decay < 1, epsilon >= 0")

    def state(self, weights: Sequence[Tensor]) -> list[Tensor]:
        """First moments of all weights, then second moments."""
        return [torch.zeros_like(weight) for _ in range(2) for weight in weights]

    @torch.no_grad()
    def step(
        self, weights: Sequence[Tensor], gradients: Sequence[Tensor], state: list[Tensor], count: int | Tensor
    ) -> None:
        """Move `weights` and `state` in place along `gradients`; `count` is 1 at the first step."""
        first, second = self.decays
        means, squares = state[: len(weights)], state[len(weights) :]
        rate, root = self.rate / (1 - first**count), (1 - second**count) ** 0.5
        for weight, gradient, mean, square in zip(weights, gradients, means, squares, strict=True):
            mean.lerp_(gradient, 1 - first)
            square.mul_(second).addcmul_(gradient, gradient, value=1 - second)
            moved = mean / square.sqrt().div_(root).add_(self.epsilon)
            _subtract(weight, rate, moved if self.epsilon else moved.nan_to_num_(0.0, None, None))


Rule = SGD | Adam


def rule(optimiser: str, rate: Rate, momentum: float = 0.0, epsilon: float = 1e-8) -> Rule:
    """Return the rule of that name: `sgd` (heavy ball), `averaged`, `nesterov` or `adam`.

    Raises:
        ValueError: an unknown name, or values that the rule refuses.
    """
    match optimiser:
        case "sgd":
            return SGD(rate, momentum)
        case "averaged":
            return SGD(rate, momentum, "averaged")
        case "nesterov":
            return SGD(rate, momentum, nesterov=True)
        case "adam":
            return Adam(rate, epsilon=epsilon)
    raise ValueError(f"optimiser is {optimiser!r}; allowed: sgd, averaged, nesterov, adam")


def _check_rate(rate: Rate) -> None:
    smallest = float(rate.min()) if isinstance(rate, Tensor) else rate
    if not smallest > 0:
        raise ValueError(f"rate is {smallest!r}; allowed: > 0")


def _subtract(weight: Tensor, rate: Rate, move: Tensor) -> None:
    if isinstance(rate, Tensor):
        weight.sub_(rate * move)
    else:
        weight.add_(move, alpha=-rate)
