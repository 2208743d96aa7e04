"""An affine model under SGD with momentum: a discrete-time linear autonomous system (abstract of the paper).

For every eigenvalue h of M = E[(x, 1)(x, 1)^T] the state s = (velocity, distance to the optimum) obeys s <- A s. Rates
enter as eta h, momenta as mu; the averaged convention is mapped to the heavy ball's. All arithmetic is float64.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from kinks.dying.rules import SGD, Rule

NEVER = -1
FADED = 30  # time constants after which a swing has no size left
LONGEST = 10_000_000  # steps after which a sequence is taken for one that never crosses zero


class Range(NamedTuple):
    """An open interval."""

    low: float
    high: float


def transition(rule: SGD, curvature: float = 1.0) -> np.ndarray:
    """Return A, `(2, 2)`, in the rule's own convention: velocity v of the heavy ball, mean m of the averaged one."""
    rate, mu, h = float(rule.rate), rule.momentum, curvature
    if rule.nesterov:
        return np.array([[mu, h], [-rate * mu**2, 1 - rate * h * (1 + mu)]])
    part = 1 - mu if rule.convention == "averaged" else 1.0
    return np.array([[mu, part * h], [-rate * mu, 1 - rate * part * h]])


def eigenvalues(rule: SGD, curvature: ArrayLike = 1.0) -> np.ndarray:
    """Return both eigenvalues of A, complex `(..., 2)`: the roots of z^2 - (1 + mu - eta h) z + mu, or Nesterov's."""
    trace, determinant = _coefficients(rule, np.asarray(curvature, float))
    root = np.emath.sqrt(trace**2 - 4 * determinant + 0j)
    return np.stack([(trace + root) / 2, (trace - root) / 2], -1)


def _coefficients(rule: SGD, curvature: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    step, mu = float(rule.heavy_ball.rate) * curvature, rule.momentum
    if rule.nesterov:
        return (1 + mu) * (1 - step), mu * (1 - step)
    return 1 + mu - step, mu + 0 * step


def spectral_radius(rule: SGD, curvature: ArrayLike = 1.0) -> np.ndarray:
    """Return the largest modulus of A's eigenvalues, `(...)`: sqrt(mu) wherever the heavy ball oscillates."""
    return np.abs(eigenvalues(rule, curvature)).max(-1)


def stability_limit(rule: SGD) -> float:
    """Return the value that eta h must stay below: 2 (1 + mu), or 2 (1 + mu) / (1 + 2 mu) for Nesterov's form."""
    mu = rule.momentum
    return 2 * (1 + mu) / (1 + 2 * mu) if rule.nesterov else 2 * (1 + mu)


def oscillating(rule: SGD) -> Range:
    """Return between which values of eta h the eigenvalues are complex: (1 -+ sqrt(mu))^2; empty at mu = 0."""
    root = math.sqrt(rule.momentum)
    if rule.nesterov:
        return Range(((1 - rule.momentum) / (1 + rule.momentum)) ** 2, 1.0)
    return Range((1 - root) ** 2, (1 + root) ** 2)


def amplitudes(rule: SGD, steps: int, curvature: float = 1.0) -> np.ndarray:
    """Return a_0 .. a_steps, `(steps + 1,)`: the distance to the optimum of a start at rest at distance 1."""
    trace, determinant = (float(value) for value in _coefficients(rule, np.asarray(curvature, float)))
    found = [1.0, float(transition(rule, curvature)[1] @ (0.0, 1.0))]
    while len(found) <= steps:
        found.append(trace * found[-1] - determinant * found[-2])
    return np.array(found[: steps + 1])


def amplitude(rule: SGD, step: ArrayLike, curvature: float = 1.0) -> np.ndarray:
    """Return a_step in closed form, `(...)`, where the eigenvalues are complex.

    Raises:
        ValueError: real eigenvalues.
    """
    trace, determinant = (float(value) for value in _coefficients(rule, np.asarray(curvature, float)))
    if trace**2 >= 4 * determinant:
        low, high = oscillating(rule)
        raise ValueError(f"eta h is {float(rule.heavy_ball.rate) * curvature!r}; complex only in ({low}, {high})")
    modulus, cosine = math.sqrt(determinant), trace / (2 * math.sqrt(determinant))
    angle, first = math.acos(cosine), float(transition(rule, curvature)[1, 1])
    sine_part = (first / modulus - cosine) / math.sin(angle)
    step = np.asarray(step, float)
    return modulus**step * (np.cos(step * angle) + sine_part * np.sin(step * angle))


def overshoot(rule: SGD, curvature: float = 1.0) -> float:
    """Return rho = -min over t of a_t, or 0 where the optimum is never passed.

    Raises:
        ValueError: a step that is not stable.
    """
    check_step(rule, curvature)
    if jump_step(rule, curvature) == NEVER:
        return 0.0
    # Near the limit of stability later swings are larger than the first, so all of them are looked at.
    steps = math.ceil(FADED / (1 - float(spectral_radius(rule, curvature))))
    return float(-amplitudes(rule, steps, curvature).min())


def overshoot_estimate(rule: SGD, curvature: float = 1.0) -> float:
    """Return rho of the damped oscillator that the heavy ball is in the limit of small steps; 0 if overdamped."""
    damping = (1 - rule.momentum) / (2 * math.sqrt(float(rule.heavy_ball.rate) * curvature))
    return math.exp(-math.pi * damping / math.sqrt(1 - damping**2)) if damping < 1 else 0.0


def jump_step(rule: SGD, curvature: float = 1.0) -> int:
    """Return the first t with a_t < 0, or -1: for targets zero, the step at which a live ReLU dies (exactly).

    It exists if and only if eta h > (1 - sqrt(mu))^2, that is with complex eigenvalues, or negative real ones.

    Raises:
        ValueError: a step that is not stable.
    """
    check_step(rule, curvature)
    if float(rule.heavy_ball.rate) * curvature <= oscillating(rule).low:
        return NEVER
    trace, determinant = (float(value) for value in _coefficients(rule, np.asarray(curvature, float)))
    before, now = 1.0, float(transition(rule, curvature)[1, 1])
    for step in range(1, LONGEST):
        if now < 0:
            return step
        before, now = now, trace * now - determinant * before
    return NEVER


def rest_point(rule: SGD, curvature: float = 1.0) -> float:
    """Return where a ReLU with targets zero comes to rest, over its start: it dies and coasts; 0 if it never dies.

    Raises:
        ValueError: a step that is not stable.
    """
    step = jump_step(rule, curvature)
    if step == NEVER:
        return 0.0
    before, now = amplitudes(rule, step, curvature)[-2:]
    mu = rule.momentum
    if not rule.nesterov:
        return float(now + mu / (1 - mu) * (now - before))
    # Nesterov's velocity is not the last displacement: it is what A says it is.
    velocity = (np.linalg.matrix_power(transition(rule, curvature), step) @ (0.0, 1.0))[0]
    return float(now - float(rule.rate) * mu**2 / (1 - mu) * velocity)


def check_step(rule: SGD, curvature: float = 1.0) -> None:
    """Refuse a rate for which the affine model diverges, naming the limit.

    Args:
        rule: SGD; its rate may be a tensor, of which the largest counts.
        curvature: the largest eigenvalue h of M.

    Raises:
        ValueError: eta h at or above the limit.
    """
    eta = rule.heavy_ball.rate
    step, limit = float(eta if isinstance(eta, float | int) else eta.max()) * curvature, stability_limit(rule)
    if not 0 < step < limit:
        formula = "2 (1 + mu) / (1 + 2 mu)" if rule.nesterov else "2 (1 + mu)"
        raise ValueError(
            f"eta * h is {step:g} with momentum {rule.momentum:g}: unstable; allowed: 0 < eta * h < {formula} = "
            f"{limit:g}, so eta < {limit / curvature:g} with h = {curvature:g}"
        )


def check_gamma(gamma: float, rule: object = None, curvature: float = 1.0) -> None:
    """Refuse a target scale that is not positive, naming the stability limit of the rule too, where it has one.

    Raises:
        ValueError: gamma <= 0, or not finite.
    """
    if not (0 < gamma < math.inf):
        limit = ""
        if isinstance(rule, SGD):
            limit = f"; steps are stable at any gamma for 0 < eta < {stability_limit(rule) / curvature:g}"
        raise ValueError(f"gamma is {gamma!r}; allowed: > 0, as the standard deviation of the targets{limit}")


def check_all(rules: Iterable[Rule], gammas: Iterable[float], curvature: float = 1.0) -> None:
    """Refuse, before anything is run, rules at which the affine model diverges and target scales not positive.

    Raises:
        ValueError: the first of them; the message names the limit.
    """
    rules = list(rules)
    for rule in rules:
        if isinstance(rule, SGD):
            check_step(rule, curvature)
    plain = next((rule for rule in rules if isinstance(rule, SGD)), None)
    for gamma in gammas:
        check_gamma(gamma, plain, curvature)
