"""Canonical coordinates: one ReLU on Gaussian inputs is three numbers, whatever the dimension.

Rotate so that lambda = gamma e_1. Gradients and updates stay in the plane of e_1 and the start's other direction, so
the state is (w1, w2, b): the weight along the target, the norm of the rest (negative once a step has passed 0), the
bias. All operations scale with the weights, so scaling weights and gamma by a power of two scales the iterates bit for
bit.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from kinks.dying.gaussian import FAR, density, distribution

State = tuple[Tensor, Tensor, Tensor]
Gradient = Callable[[Tensor, Tensor, Tensor], State]


def coordinates(w: Tensor, b: Tensor, slope: Tensor) -> State:
    """Return (w1, w2, b), each `(...)`, of weights `(..., d)` and biases `(...)` for the target slope `(d,)`."""
    axis = slope / slope.norm()
    first = w @ axis
    return first, (w - first[..., None] * axis).norm(dim=-1), b


def active(w1: Tensor, w2: Tensor, b: Tensor) -> Tensor:
    """Return the share of inputs on which the ReLU is active, `(...)`."""
    return distribution(_polar(w1, w2, b)[1])


def _polar(w1: Tensor, w2: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """1 / s and t = b / s within +-FAR."""
    inverse = torch.addcmul(w1 * w1, w2, w2).clamp_(min=torch.finfo(w1.dtype).tiny).rsqrt_()
    return inverse, (b * inverse).clamp_(-FAR, FAR)


def affine(gamma: float) -> Gradient:
    """Return the gradient for the target gamma x_1 as a function of (w1, w2, b).

    Few operations with few temporaries: the maps of starts spend nearly all of their time here.
    """

    def gradient(w1: Tensor, w2: Tensor, b: Tensor) -> State:
        inverse, t = _polar(w1, w2, b)
        phi, share = density(t), distribution(t)
        along = (w1 * inverse).mul_(gamma)
        pull = (along * t).mul_(phi).mul_(inverse).add_(share)
        by_w1 = torch.addcmul(share * -gamma, w1, pull)
        by_b = torch.addcmul(inverse.reciprocal_().sub_(along).mul_(phi), b, share)
        return by_w1, w2 * pull, by_b

    return gradient


def affine_with_offset(gamma: float, offset: float) -> Gradient:
    """Return the gradient for the target gamma x_1 + offset as a function of (w1, w2, b)."""

    def gradient(w1: Tensor, w2: Tensor, b: Tensor) -> State:
        inverse, t = _polar(w1, w2, b)
        phi, share = density(t), distribution(t)
        along = w1 * inverse * gamma
        pull = (along * t - offset) * phi * inverse + share
        return w1 * pull - gamma * share, w2 * pull, (1 / inverse - along) * phi + (b - offset) * share

    return gradient


def loss(w1: Tensor, w2: Tensor, b: Tensor, gamma: float, offset: float = 0.0) -> Tensor:
    """Return the loss for the target gamma x_1 + offset, `(...)`: over gamma^2 / 2 it is 1 if dead, 0.5 at best."""
    inverse, t = _polar(w1, w2, b)
    phi, share, s = density(t), distribution(t), 1 / inverse
    square = (s * s + b * b) * share + s * b * phi
    return square / 2 - gamma * w1 * share - offset * (s * phi + b * share) + (gamma**2 + offset**2) / 2
