"""One ReLU r(x) = max(0, w.x + b) on Gaussian inputs and the affine target lambda.x + c: loss and gradients exactly.

x is N(0, I_d), the loss half a mean square. Weights are `(..., d)` and biases `(...)` tensors of any floating dtype;
`s = |w|`, `t = b / s`, and phi and Phi are the normal density and distribution function. At the origin, where there is
no gradient, the one that automatic differentiation gives with ReLU'(0) = 0 is returned: zero.
"""

import math

import torch
from torch import Tensor

FAR = 40.0  # standard deviations; the density beyond is 0 in float64
_ROOT_HALF, _LOG_ROOT = math.sqrt(0.5), math.log(2 * math.pi) / 2


def density(t: Tensor) -> Tensor:
    """Return phi(t)."""
    return (t * t).mul_(-0.5).sub_(_LOG_ROOT).exp_()


def distribution(t: Tensor) -> Tensor:
    """Return Phi(t), with full relative precision in the lower tail."""
    return torch.erfc(t * -_ROOT_HALF).mul_(0.5)


def active_fraction(w: Tensor, b: Tensor) -> Tensor:
    """Return the share of inputs on which the ReLU is active, Phi(b / |w|), `(...)`; 0 or 1 where w = 0."""
    return distribution(_ratio(w.norm(dim=-1), b))


def log_active_fraction(w: Tensor, b: Tensor) -> Tensor:
    """Return its natural logarithm, which does not underflow: for comparing shares below 1e-300."""
    return torch.special.log_ndtr(b / w.norm(dim=-1))


def _ratio(s: Tensor, b: Tensor) -> Tensor:
    """t = b / s within +-FAR; a ReLU without weights is active for b > 0 only."""
    t = (b / s.clamp(min=torch.finfo(s.dtype).tiny)).clamp(-FAR, FAR)
    return torch.where((s == 0) & (b <= 0), -FAR, t)


def _parts(w: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    s = w.norm(dim=-1)
    t = _ratio(s, b)
    u = w / s.clamp(min=torch.finfo(s.dtype).tiny)[..., None]
    return s, t, u, density(t), distribution(t)


def loss(w: Tensor, b: Tensor, slope: Tensor, offset: float = 0.0) -> Tensor:
    """Return the loss, `(...)`, of weights `(..., d)` and biases `(...)`.

    Args:
        w: weights of the ReLU.
        b: its bias.
        slope: lambda, `(d,)`; gamma is its length.
        offset: c.
    """
    s, _, u, phi, share = _parts(w, b)
    along = u @ slope
    square = (s * s + b * b) * share + s * b * phi
    overlap = along * s * share + offset * (s * phi + b * share)
    return square / 2 - overlap + (slope @ slope + offset**2) / 2


def gradient(w: Tensor, b: Tensor, slope: Tensor, offset: float = 0.0) -> tuple[Tensor, Tensor]:
    """Return dL/dw, `(..., d)`, and dL/db, `(...)`; arguments as `loss` takes them."""
    s, t, u, phi, share = _parts(w, b)
    along = u @ slope
    by_w = (w - slope) * share[..., None] - u * (phi * (offset - t * along))[..., None]
    return by_w, (s - along) * phi + (b - offset) * share


def hessian_at_optimum(slope: Tensor, offset: float = 0.0) -> Tensor:
    """Return the Hessian at (w, b) = (lambda, c), the only critical point with a live ReLU, `(d + 1, d + 1)`.

    Raises:
        ValueError: lambda = 0, where the loss is not smooth.
    """
    gamma = slope.norm()
    if not float(gamma) > 0:
        raise ValueError("lambda is 0, so gamma is 0; allowed: > 0 (stable steps: 0 < eta < 2 (1 + mu) for h <= 1)")
    u, k = slope / gamma, offset / gamma
    phi, share = density(k), distribution(k)
    top = share * torch.eye(len(slope), dtype=slope.dtype) - k * phi * torch.outer(u, u)
    return torch.cat([torch.cat([top, (phi * u)[:, None]], 1), torch.cat([phi * u, share[None]])[None]])


def slope_at_origin(dw: Tensor, db: Tensor, slope: Tensor, offset: float = 0.0) -> Tensor:
    """Return the derivative of the loss at the origin, a saddle, in the directions (dw, db): `(...)`.

    It is -E[max(0, dw.x + db)(lambda.x + c)]; with c = 0, -(lambda.dw) Phi(db / |dw|).
    """
    s, _, _, phi, share = _parts(dw, db)
    return -((dw @ slope) * share + offset * (s * phi + db * share))
