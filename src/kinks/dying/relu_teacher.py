"""One ReLU on Gaussian inputs that learns from another: target max(0, lambda.x + c), loss and gradients exactly.

Float64 NumPy arrays (Owen's T function comes from SciPy); notation as in `kinks.dying.gaussian`. The loss follows from
the gradient of the overlap E[r(x) y], which is homogeneous of degree one in (w, b).
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import special

from kinks.dying.canonical import Gradient, State

_TINY = 1e-150  # stands for an exact zero where only the limit is defined; its square is still a number
_ROOT = np.sqrt(2 * np.pi)


class Overlap(NamedTuple):
    """Derivatives of E[r(x) y] by w, `(..., d)`, and b, `(...)`."""

    by_w: np.ndarray
    by_b: np.ndarray


def bivariate(h: ArrayLike, k: ArrayLike, correlation: ArrayLike) -> np.ndarray:
    """Return P(z > -h, y > -k) of standard normals with that correlation in [-1, 1], `(...)`, by Owen's T."""
    h, k, r = np.broadcast_arrays(*(np.asarray(one, float) for one in (h, k, correlation)))
    h, k = (np.where(one == 0, _TINY, one) for one in (h, k))
    q = np.maximum(np.sqrt((1 - r) * (1 + r)), _TINY)
    with np.errstate(over="ignore"):  # a slope that is infinite is what Owen's T takes
        towards_k, towards_h = (k - r * h) / (h * q), (h - r * k) / (k * q)
    apart = np.where(h * k < 0, 0.5, 0.0)
    total = (special.ndtr(h) + special.ndtr(k)) / 2 - special.owens_t(h, towards_k) - special.owens_t(k, towards_h)
    return np.clip(total - apart, 0, 1)


def overlap(w: ArrayLike, b: ArrayLike, slope: ArrayLike, offset: float = 0.0) -> Overlap:
    """Return the gradient of E[max(0, w.x + b) max(0, lambda.x + c)].

    Raises:
        ValueError: lambda = 0.
    """
    w, b, slope = (np.asarray(one, float) for one in (w, b, slope))
    gamma = np.linalg.norm(slope)
    if not gamma > 0:
        raise ValueError("lambda is 0, so gamma is 0; allowed: > 0 (stable steps: 0 < eta < 2 (1 + mu) for h <= 1)")
    s = np.maximum(np.linalg.norm(w, axis=-1), _TINY)
    u, h, k = w / s[..., None], np.clip(b / s, -40, 40), offset / gamma
    r = np.clip(u @ slope / gamma, -1, 1)
    q = np.maximum(np.sqrt((1 - r) * (1 + r)), _TINY)
    both, at_h = bivariate(h, k, r), _density(h)
    middle, spread = offset - r * gamma * h, gamma * q
    mean_there = middle * special.ndtr(middle / spread) + spread * _density(middle / spread)
    by_w = slope * both[..., None] + u * (at_h * mean_there)[..., None]
    edges = _density(k) * special.ndtr((h - r * k) / q) + r * at_h * special.ndtr((k - r * h) / q)
    return Overlap(by_w, gamma * edges + offset * both)


def _density(t: np.ndarray) -> np.ndarray:
    return np.exp(-np.square(np.clip(t, -40, 40)) / 2) / _ROOT


def gradient(w: ArrayLike, b: ArrayLike, slope: ArrayLike, offset: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return dL/dw, `(..., d)`, and dL/db, `(...)`.

    Args:
        w: weights of the ReLU, `(..., d)`.
        b: its bias, `(...)`.
        slope: lambda, `(d,)`, not zero.
        offset: c.
    """
    w, b = np.asarray(w, float), np.asarray(b, float)
    shared = overlap(w, b, slope, offset)
    s = np.maximum(np.linalg.norm(w, axis=-1), _TINY)
    h = np.clip(b / s, -40, 40)
    by_w = w * special.ndtr(h)[..., None] - shared.by_w
    return by_w, s * _density(h) + b * special.ndtr(h) - shared.by_b


def loss(w: ArrayLike, b: ArrayLike, slope: ArrayLike, offset: float = 0.0) -> np.ndarray:
    """Return half the mean square of ReLU minus teacher, `(...)`; arguments as `gradient` takes them."""
    w, b, slope = (np.asarray(one, float) for one in (w, b, slope))
    shared = overlap(w, b, slope, offset)
    product = (w * shared.by_w).sum(-1) + b * shared.by_b
    own, target = (_mean_square(np.linalg.norm(one, axis=-1), c) for one, c in ((w, b), (slope, offset)))
    return (own + target) / 2 - product


def _mean_square(s: ArrayLike, b: ArrayLike) -> np.ndarray:
    """E[max(0, s z + b)^2] of a standard normal z."""
    h = np.clip(b / np.maximum(s, _TINY), -40, 40)
    return (np.square(s) + np.square(b)) * special.ndtr(h) + s * b * _density(h)


def canonical(gamma: float | torch.Tensor, offset: float = 0.0) -> Gradient:
    """Return the gradient as a function of canonical (w1, w2, b), for populations (CPU tensors).

    Args:
        gamma: the length of lambda: the scale of the teacher, whose output has standard deviation 0.58 gamma at c = 0.
            A tensor gives every start its own.
        offset: c; of a single gamma.

    Raises:
        ValueError: an offset together with several gammas.
    """
    if offset and isinstance(gamma, torch.Tensor):
        raise ValueError(f"offset is {offset!r} with a gamma for every start; allowed: 0, or one gamma")
    slope, unit = np.array([1.0, 0.0]), offset / gamma if offset else 0.0

    def by_state(w1: torch.Tensor, w2: torch.Tensor, b: torch.Tensor) -> State:
        # One ReLU is equivariant: divided by gamma, every problem is that of gamma = 1.
        unit_w1, unit_w2, unit_b = ((one.double() / gamma).numpy() for one in (w1, w2, b))
        by_w, by_b = gradient(np.stack([unit_w1, unit_w2], -1), unit_b, slope, unit)
        return tuple((torch.from_numpy(np.ascontiguousarray(one)) * gamma).to(w1) for one in (*by_w.T, by_b))

    return by_state
