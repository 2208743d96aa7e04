"""The affine model run as a program, against the linear system that it is (D2): iterates, thresholds, paths."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from kinks.dying import cones, linear
from kinks.dying.rules import SGD, rule

BISECTIONS = 60  # halvings of [0, stable limit]: more than float64 resolves


def powers(*, momenta: Sequence[float], share: float, steps: int, d: int, n: int, seed: int) -> pd.DataFrame:
    """Descend with an affine model on a Gaussian sample as it is, and compare every iterate with powers of A.

    Args:
        momenta: mu, each in all three conventions; at mu = 0 they are one.
        share: eta times the largest curvature, over its limit of stability.
        steps: compared, 0 to this.
        d: dimension; inputs have unequal scales and a mean, so that the d + 1 curvatures differ.
        n: inputs of the sample.
        seed: of inputs, targets and start.

    Returns:
        One row per momentum and convention: n of compared steps, curvatures and the largest `error` of an iterate's
        component, over the first distance to the optimum.
    """
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=draw, dtype=torch.float64) * torch.linspace(0.5, 1.5, d).double() + 0.3
    y, start = (torch.randn(size, generator=draw, dtype=torch.float64) for size in (n, d + 1))
    best, (values, vectors) = cones.optimum(x, y), torch.linalg.eigh(cones.second_moment(x))
    rows = []
    for mu in momenta:
        for name in ("sgd", "averaged", "nesterov"):
            stretch = (1 - mu) if name == "averaged" else 1.0
            limit = linear.stability_limit(SGD(1.0, mu, nesterov=name == "nesterov"))
            by = rule(name, share * limit / float(values[-1]) / stretch, mu)
            found = (_iterates(x, y, start, by, steps) - best) @ vectors
            first = (start - best) @ vectors
            expected = torch.stack(
                [one * _by_powers(by, float(h), steps) for h, one in zip(values, first, strict=True)]
            )
            error = float((found - expected.T).abs().max() / first.norm())
            row = {"momentum": mu, "convention": name, "n": steps + 1, "error": error}
            rows.append(row | {"least_curvature": float(values[0]), "largest_curvature": float(values[-1])})
    return pd.DataFrame(rows)


def measured_map(by: SGD, curvature: float = 1.0) -> np.ndarray:
    """Return the map of one step on (velocity, distance), `(2, 2)`, as the rule itself carries it out."""
    columns = []
    for velocity, distance in ((1.0, 0.0), (0.0, 1.0)):
        weights, state = [torch.tensor([distance]).double()], [torch.tensor([velocity]).double()]
        by.step(weights, [curvature * weights[0]], state, 1)
        columns.append([float(state[0]), float(weights[0])])
    return np.array(columns).T


def thresholds(momenta: Sequence[float], between: int = 50) -> pd.DataFrame:
    """Find by bisection where the eigenvalues of the carried out step turn complex, and their modulus above.

    Returns:
        One row per momentum > 0: the `measured` eta h, the `formula` (1 - sqrt(mu))^2, their relative `error`; over
        `n` rates in the complex range the largest deviation `radius_error` of a modulus from sqrt(mu).
    """
    rows = []
    for mu in momenta:
        low, high = 0.0, 1.0 + mu
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            low, high = (low, middle) if _complex(mu, middle) else (middle, high)
        ends = linear.oscillating(SGD(1.0, mu))
        inside = ends.low + (ends.high - ends.low) * np.linspace(0, 1, between + 2)[1:-1]
        moduli = np.abs([np.linalg.eigvals(measured_map(SGD(float(rate), mu))) for rate in inside])
        row = {"momentum": mu, "measured": high, "formula": ends.low, "error": abs(high / ends.low - 1)}
        rows.append(row | {"radius_error": float(np.abs(moduli - mu**0.5).max()), "n": between})
    return pd.DataFrame(rows)


def eigenvalue_paths(rates: Sequence[float], momenta: Sequence[float], curvature: float = 1.0) -> pd.DataFrame:
    """Return both eigenvalues for every alpha and beta of the averaged convention: rate, momentum, real, imag."""
    rows = []
    for rate in rates:
        for mu in momenta:
            found = linear.eigenvalues(SGD(rate, mu, "averaged"), curvature)
            rows += [{"rate": rate, "momentum": mu, "real": one.real, "imag": one.imag} for one in found]
    return pd.DataFrame(rows)


def overshoots(momenta: Sequence[float], steps: Sequence[float]) -> pd.DataFrame:
    """Return the overshoot rho and its estimate for every mu and eta h: columns momentum, step."""
    cells = [(SGD(float(step), float(mu)), mu, step) for step in steps for mu in momenta]
    return pd.DataFrame(
        {"momentum": mu, "step": step, "overshoot": linear.overshoot(by), "estimate": linear.overshoot_estimate(by)}
        for by, mu, step in cells
    )


def paths(momenta: Sequence[float], speed: float, steps: int, start: tuple[float, float], mean: float) -> pd.DataFrame:
    """Follow (w1, b) of an affine model towards (1, 0), inputs of variance 1 and that mean, at equal eta / (1 - mu)."""
    moment = torch.tensor([[1 + mean**2, mean], [mean, 1.0]], dtype=torch.float64)
    best, tables = torch.tensor([1.0, 0.0], dtype=torch.float64), []
    for mu in momenta:
        by, weights = SGD.at_speed(speed, mu), [torch.tensor(start, dtype=torch.float64)]
        linear.check_step(by, float(torch.linalg.eigvalsh(moment)[-1]))
        state, found = by.state(weights), [weights[0].clone()]
        for count in range(1, steps + 1):
            by.step(weights, [moment @ (weights[0] - best)], state, count)
            found.append(weights[0].clone())
        w1, b = torch.stack(found).T.numpy()
        tables.append(pd.DataFrame({"momentum": mu, "step": range(steps + 1), "w1": w1, "b": b}))
    return pd.concat(tables, ignore_index=True)


def _complex(mu: float, rate: float) -> bool:
    step = measured_map(SGD(rate, mu))
    return np.trace(step) ** 2 - 4 * np.linalg.det(step) < 0


def _iterates(x: torch.Tensor, y: torch.Tensor, start: torch.Tensor, by: SGD, steps: int) -> torch.Tensor:
    rows, weights = cones.with_one(x), [start.clone()]
    state, found = by.state(weights), [start.clone()]
    for count in range(1, steps + 1):
        by.step(weights, [rows.T @ (rows @ weights[0] - y) / len(rows)], state, count)
        found.append(weights[0].clone())
    return torch.stack(found)


def _by_powers(by: SGD, curvature: float, steps: int) -> torch.Tensor:
    """Distances after 0 to `steps` steps of a start at rest at distance 1, by powers of A."""
    once = linear.transition(by, curvature)
    found = [np.linalg.matrix_power(once, count)[1, 1] for count in range(steps + 1)]
    return torch.tensor(np.array(found))
