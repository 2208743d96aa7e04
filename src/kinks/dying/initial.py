"""Where descent starts: library and He initialisation, grids and rings, and who is dead before the first step."""

import math
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import special
from torch import Tensor

Initialisation = Literal["library", "he"]


def draw(kind: Initialisation, fan_in: int, shape: tuple[int, ...], uniform: Tensor, normal: Tensor) -> Tensor:
    """Return weights of `shape` from as many standard uniform and normal numbers, one of which is used.

    Args:
        kind: `library` (torch.nn.Linear: uniform within 1 / sqrt(fan_in)) or `he` (normal of variance 2 / fan_in).
        fan_in: inputs of the layer.
        shape: of the result.
        uniform: numbers in [0, 1).
        normal: standard normal numbers.

    Raises:
        ValueError: an unknown kind.
    """
    if kind == "library":
        return (2 * uniform - 1).view(shape) / math.sqrt(fan_in)
    if kind == "he":
        return normal.view(shape) * math.sqrt(2 / fan_in)
    raise ValueError(f"initialisation is {kind!r}; allowed: {', '.join(get_args(Initialisation))}")


def single(kind: Initialisation, d: int, count: int, seed: int, scale: float = 1.0) -> tuple[Tensor, Tensor]:
    """Draw single ReLUs: weights float64 `(count, d)` and biases `(count,)`; He's biases are zero.

    Raises:
        ValueError: an unknown kind.
    """
    generator = torch.Generator().manual_seed(seed)
    uniform, normal = (
        make(count, d + 1, generator=generator, dtype=torch.float64) for make in (torch.rand, torch.randn)
    )
    rows = draw(kind, d, (count, d + 1), uniform, normal) * scale
    return rows[:, :d], rows[:, d] * (kind == "library")


def grid(points: int = 401, half_width: float = 2.0, w2: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return canonical starts (w1, w2, b), float64 `(points^2,)` each: rows of equal b, in them w1 from left to right.

    Raises:
        ValueError: fewer than two points, or a negative w2, which is a norm.
    """
    if points < 2 or w2 < 0:
        raise ValueError(f"points is {points!r}, w2 is {w2!r}; allowed: points >= 2, w2 >= 0")
    axis = torch.linspace(-half_width, half_width, points, dtype=torch.float64)
    b, w1 = torch.meshgrid(axis, axis, indexing="ij")
    return w1.flatten(), torch.full((points**2,), w2, dtype=torch.float64), b.flatten()


def ring(count: int = 32, radius: float = 1.0, w2: float = 0.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return canonical starts (w1, w2, b), float64 `(count,)` each, on a circle in the plane of w1 and b."""
    angle = 2 * math.pi * torch.arange(count, dtype=torch.float64) / count
    return radius * angle.cos(), torch.full((count,), w2, dtype=torch.float64), radius * angle.sin()


def dead_in_ball(d: int, radius: float) -> float:
    """Return the share of isotropic normal (w, b) that is dead on all inputs of a ball: P(T_d > R sqrt(d))."""
    return float(special.stdtr(d, -radius * math.sqrt(d)))


def dead_on_interval(half_width: float) -> float:
    """Return the share of w, b uniform on (-1, 1) that is dead on inputs [-R, R]: the library's choice at fan-in 1."""
    return 1 / (4 * half_width) if half_width >= 1 else 0.5 - half_width / 4


def active_without_target(time: ArrayLike, ratio: float = 0.0) -> np.ndarray:
    """Return the active fraction of a ReLU that descends towards the target 0 without momentum, `(...)`.

    Gradient flow moves the ratio t = b / |w| by -phi(t), whatever the scale, so erfi(-t / sqrt 2) grows by time / pi:
    the ReLU dies, but slowly, with an active fraction near 1 / (2 time ln time). This is the limit gamma -> 0.

    Args:
        time: eta * steps, or eta * steps / (1 - mu), >= 0.
        ratio: t at the start.

    Raises:
        ValueError: a negative time.
    """
    time = np.asarray(time, float)
    if not (time >= 0).all():
        raise ValueError(f"time is {float(time.min())!r}; allowed: >= 0")
    goal = special.erfi(-ratio / math.sqrt(2)) + time / math.pi
    return special.ndtr(-math.sqrt(2) * _inverse_erfi(goal))


def _inverse_erfi(goal: np.ndarray) -> np.ndarray:
    """The x with erfi(x) = goal, by bisection: erfi is increasing and overflows at 27."""
    low, high = np.full(goal.shape, -26.0), np.full(goal.shape, 26.0)
    for _ in range(64):
        middle = (low + high) / 2
        below = special.erfi(middle) < goal
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return (low + high) / 2
