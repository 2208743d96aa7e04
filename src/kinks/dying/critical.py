"""Critical points of one ReLU on Gaussian inputs (D4): a numerical search, the saddle, and what a sample adds.

On the inputs where the ReLU is active it is affine, and so is the target: the gradient is M_A (theta - theta*), with
M_A the second moment of (x, 1) restricted to them. M_A is regular for every half-space of a Gaussian, so theta* is the
only critical point with a live ReLU. A finite sample has others: half-spaces with fewer than d + 1 inputs.
"""

import math

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from kinks import stats
from kinks.dying import canonical, cones, gaussian
from kinks.dying.linear import check_gamma

ROOT = 1e-9  # of gamma, of the gradient per active input: a critical point
NEAR = 1e-6  # of gamma: the same point
STEP = 1e-6  # of finite differences, over gamma
HEAVIEST = 1e8  # damping at which a search has stopped moving


def search(*, gamma: float, offset: float, starts: int, iterations: int, seed: int) -> pd.DataFrame:
    """Look for zeros of the gradient from random starts with a live ReLU, by Levenberg-Marquardt.

    The gradient is divided by the active share: else every dead ReLU were a root in finite precision.

    Args:
        gamma: length of lambda.
        offset: c over gamma.
        starts: (w1, w2, b) uniform within 3 gamma, w2 >= 0.
        iterations: of the search.
        seed: of the starts.

    Returns:
        One row: n starts; how many ended in a root at the `optimum`, in one `elsewhere`, and in none (`lost`: in the
        dead directions or at the origin); `farthest`, of the roots at the optimum, over gamma.

    Raises:
        ValueError: gamma <= 0.
    """
    check_gamma(gamma)
    point = _starts(starts, gamma, seed)
    gradient, damping = canonical.affine_with_offset(gamma, offset * gamma), torch.full((starts,), 1e-2).double()
    value = _per_active(gradient, point)
    for _ in range(iterations):
        slope = _jacobian(gradient, point, STEP * gamma)
        square = slope.mT @ slope
        loaded = square + damping[:, None, None] * (square.diagonal(dim1=1, dim2=2) + 1e-12).diag_embed()
        tried = point - torch.linalg.solve(loaded, slope.mT @ value[..., None])[..., 0]
        new = _per_active(gradient, tried)
        better = new.norm(dim=1) < value.norm(dim=1)
        point, value = torch.where(better[:, None], tried, point), torch.where(better[:, None], new, value)
        damping = torch.where(better, damping / 5, damping * 4).clamp(1e-12, HEAVIEST)
    root = value.norm(dim=1) < ROOT * gamma
    distance = (point - torch.tensor([gamma, 0.0, offset * gamma]).double()).norm(dim=1) / gamma
    at = root & (distance < NEAR)
    row = {"optimum": int(at.sum()), "elsewhere": int((root & ~at).sum()), "lost": int((~root).sum())}
    row["farthest"] = float(distance[at].max()) if at.any() else math.nan
    return pd.DataFrame([{"gamma": gamma, "offset": offset, "n": starts, **row}])


def saddle(*, gamma: float, offset: float, directions: int, seed: int) -> pd.DataFrame:
    """Derive the loss at the origin in random directions of the half-space without a dead ReLU.

    Returns:
        One row: n directions, how many descend (and their `share`, with its interval) and ascend, and the steepest of
        each, over gamma.
    """
    w1, w2, b = _starts(directions, 1.0, seed).T
    slope = torch.tensor([gamma, 0.0], dtype=torch.float64)
    down = gaussian.slope_at_origin(torch.stack([w1, w2], 1), b, slope, offset * gamma) / gamma
    down = down / torch.stack([w1, w2, b]).norm(dim=0)
    counts = {"descending": int((down < 0).sum()), "ascending": int((down > 0).sum())}
    ends = {"steepest_down": float(down.min()), "steepest_up": float(down.max())}
    low, high = stats.clopper_pearson(counts["descending"], directions)
    share = {"share": counts["descending"] / directions, "low": low, "high": high}
    return pd.DataFrame([{"gamma": gamma, "offset": offset, "n": directions, **counts, **share, **ends}])


def on_sample(*, gamma: float, n: int, d: int, seed: int) -> pd.DataFrame:
    """Put the ReLU where it is active on the farthest of n whitened inputs alone, and fits it (target positive).

    Returns:
        One row: n inputs, how many are active there, the largest component of the gradient, and the distance to the
        least-squares optimum, both over gamma.
    """
    x = cones.whiten(torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64))
    y = cones.affine_targets(x, gamma)
    norms = torch.where(y > 0, x.norm(dim=1), 0.0)
    place = int(norms.argmax())
    axis, target = x[place] / norms[place], float(y[place])
    second = float((x @ axis).sort().values[-2])
    edge = (second + float(norms[place])) / 2
    w = axis * target / (float(norms[place]) - edge)
    weights = torch.cat([w, -w.norm()[None] * edge])[None]
    z = weights @ cones.with_one(x).T
    slope = ((z - y) * (z > 0)) @ cones.with_one(x) / n
    away = float((weights[0] - cones.optimum(x, y)).norm() / gamma)
    largest = float(slope.abs().max() / gamma)
    return pd.DataFrame([{"gamma": gamma, "n": n, "active": int((z > 0).sum()), "gradient": largest, "away": away}])


def narrowest(points: int = 400, limit: float = 12.0) -> pd.DataFrame:
    """Return the smallest eigenvalue of M_A over the active share, by t = b / |w| within +-limit: never zero."""
    t = torch.linspace(-limit, limit, points, dtype=torch.float64)
    hazard = torch.exp(-t.square() / 2 - math.log(2 * math.pi) / 2 - torch.special.log_ndtr(t))
    # Along w: z given z > -t has mean m = hazard and second moment 1 - t m.
    trace, determinant = 2 - t * hazard, 1 - t * hazard - hazard.square()
    least = trace / 2 - (trace.square() / 4 - determinant).clamp(min=0).sqrt()
    return pd.DataFrame({"t": t.numpy(), "eigenvalue": np.minimum(least.numpy(), 1.0)})


def _starts(count: int, gamma: float, seed: int) -> Tensor:
    """(w1, w2, b) within 3 gamma, w2 >= 0, `(count, 3)`."""
    drawn = torch.rand(count, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    low, high = torch.tensor([[-3.0, 0.0, -3.0], [3.0, 3.0, 3.0]], dtype=torch.float64) * gamma
    return low + (high - low) * drawn


def _per_active(gradient: canonical.Gradient, point: Tensor) -> Tensor:
    w1, w2, b = point.T
    share = canonical.active(w1, w2, b).clamp(min=1e-300)
    return torch.stack(gradient(w1, w2, b), 1) / share[:, None]


def _jacobian(gradient: canonical.Gradient, point: Tensor, step: float) -> Tensor:
    shifts = torch.eye(3, dtype=torch.float64) * step
    columns = [(_per_active(gradient, point + one) - _per_active(gradient, point - one)) / (2 * step) for one in shifts]
    return torch.stack(columns, 2)
