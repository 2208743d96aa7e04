"""Finite data seen by one ReLU: the cone where it is affine, the cone where it is dead, and the optimum between them.

Weights are rows (w, b) and data rows (x, 1), so that a pre-activation is one product. Arrays are float64 tensors unless
said otherwise. C+ holds the weights whose pre-activations are all positive, and there the linear system of
`kinks.dying.linear` is exact; C- those whose pre-activations are all <= 0, and there the gradient is zero: at 0 the
derivative of ReLU counts as 0. Both are convex cones that meet at the origin.
"""

import itertools

import torch
from torch import Tensor

from kinks.dying.linear import stability_limit
from kinks.dying.rules import SGD

RANK = 1e-10  # eigenvalues of M below this share of the largest count as zero


def with_one(x: Tensor) -> Tensor:
    """Return inputs `(n, d)` as `(n, d + 1)`: a column of ones for the bias."""
    return torch.cat([x, x.new_ones(len(x), 1)], 1)


def cube(d: int) -> Tensor:
    """Return the corners of {-1, 1}^d, float64 `(2^d, d)`: exactly whitened, and bounded."""
    return torch.tensor(list(itertools.product((-1.0, 1.0), repeat=d)), dtype=torch.float64)


def whiten(x: Tensor) -> Tensor:
    """Return inputs `(n, d)` shifted and mixed so that their mean is 0 and their covariance the identity.

    Raises:
        ValueError: singular data: fewer than d + 1 points in general position.
    """
    centred = x - x.mean(0)
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(x))
    _check_regular(values, None, "the covariance of the inputs")
    return centred @ vectors / values.sqrt() @ vectors.T


def second_moment(x: Tensor) -> Tensor:
    """Return M = E[(x, 1)(x, 1)^T], `(d + 1, d + 1)`, of inputs `(n, d)`: the identity for whitened data."""
    rows = with_one(x)
    return rows.T @ rows / len(x)


def curvature(x: Tensor) -> float:
    """Return the largest eigenvalue h of M: steps are stable for eta h below `linear.stability_limit`."""
    return float(torch.linalg.eigvalsh(second_moment(x))[-1])


def optimum(x: Tensor, y: Tensor, rule: SGD | None = None) -> Tensor:
    """Return the least-squares solution (w, b), `(d + 1,)`, of inputs `(n, d)` and targets `(n,)`.

    Raises:
        ValueError: singular data, which leave it open; the message names the limit of stable steps (of `rule`).
    """
    moment = second_moment(x)
    _check_regular(torch.linalg.eigvalsh(moment), rule, "E[(x, 1)(x, 1)^T]")
    return torch.linalg.solve(moment, with_one(x).T @ y / len(x))


def _check_regular(values: Tensor, rule: SGD | None, name: str) -> None:
    largest = float(values[-1])
    lost = int((values <= RANK * largest).sum())
    if lost:
        limit, formula = (2.0, "2 / h") if rule is None else (stability_limit(rule), "the limit of this momentum / h")
        bound = f"{limit / largest:g}" if largest > 0 else "infinity"
        raise ValueError(
            f"the data are singular: {lost} of {len(values)} eigenvalues of {name} are zero, so the optimum is not "
            f"unique; stable in the others are steps below {formula} = {bound}"
        )


def live(weights: Tensor, x: Tensor) -> Tensor:
    """Say which of the weights `(..., d + 1)` lie in C+ of the inputs `(n, d)`: bool `(...)`."""
    return (weights @ with_one(x).T > 0).all(-1)


def dead(weights: Tensor, x: Tensor) -> Tensor:
    """Say which of the weights `(..., d + 1)` lie in C- of the inputs `(n, d)`: bool `(...)`."""
    return (weights @ with_one(x).T <= 0).all(-1)


def starts_in_live_cone(x: Tensor, count: int, seed: int, margin: float = 1.0) -> Tensor:
    """Draw weights in C+, `(count, d + 1)`: w is normal, b exceeds what the data need by an exponential of `margin`.

    C+ of finitely many inputs is never empty, for b may be as large as it takes.
    """
    generator = torch.Generator().manual_seed(seed)
    w = torch.randn(count, x.shape[1], generator=generator, dtype=x.dtype)
    extra = torch.empty(count, dtype=x.dtype).exponential_(generator=generator) * margin
    return torch.cat([w, (extra - (w @ x.T).min(1).values)[:, None]], 1)


def affine_targets(x: Tensor, gamma: float, slope: Tensor | None = None) -> Tensor:
    """Return gamma times a linear function of the inputs `(n, d)` with unit variance on whitened data, `(n,)`.

    Args:
        gamma: standard deviation; 0 is allowed here, as the limit that `kinks.dying.linear` solves exactly.
        slope: a unit vector `(d,)`; the first axis by default.

    Raises:
        ValueError: a negative gamma.
    """
    if not gamma >= 0:
        raise ValueError(f"gamma is {gamma!r}; allowed: >= 0, as the standard deviation of the targets")
    return gamma * (x[:, 0] if slope is None else x @ slope)
