"""One ReLU whose targets, first weights (and Adam's rate) are scaled by one factor does the same, scaled: in every bit.

Small targets and large first weights are therefore one thing: only their ratio matters. The job measures it on whitened
Gaussian data: a sweep of first scales at gamma = 1 beside the sweep of gamma at first scale 1.
"""

from collections.abc import Sequence

import pandas as pd
import torch

from kinks.dying import cones, finite, initial
from kinks.dying.rules import rule


def job(
    *,
    d: int,
    n: int,
    starts: int,
    seed: int,
    optimiser: str,
    momentum: float,
    rate: float,
    steps: int,
    powers: Sequence[int],
) -> pd.DataFrame:
    """Train single ReLUs at gamma = 2^-p from first scale 1, and at gamma = 1 from first scale 2^p.

    Args:
        d: dimension of the inputs.
        n: rows, whitened exactly.
        starts: ReLUs.
        seed: of data and starts.
        optimiser: `sgd` or `adam` (without epsilon, its rate scaled with the weights).
        momentum: mu.
        rate: learning rate at first scale 1.
        steps: of full batches.
        powers: p, whole numbers.

    Returns:
        A row per power: gamma, scale, n (starts), dead_by_gamma, dead_by_scale (shares dead after the last step) and
        different: ReLUs of which any bit of weights or bias differs once the scale is divided out.
    """
    generator = torch.Generator().manual_seed(seed)
    x = cones.whiten(torch.randn(n, d, generator=generator, dtype=torch.float64))
    w, b = initial.single("library", d, starts, seed)
    first, rows = torch.cat([w, b[:, None]], 1), []
    for power in powers:
        found = []
        for gamma, scale in ((2.0**-power, 1.0), (1.0, 2.0**power)):
            by = rule(optimiser, rate * (scale if optimiser == "adam" else 1.0), momentum, 0.0)
            found.append(finite.run(x, gamma * x[:, 0], first * scale, by, steps))
        different = (found[0].weights != found[1].weights / 2.0**power).any(1) | (found[0].death != found[1].death)
        dead = {
            f"dead_by_{name}": float(one.dead.double().mean())
            for name, one in zip(("gamma", "scale"), found, strict=True)
        }
        rows.append({"gamma": 2.0**-power, "scale": 2.0**power, "n": starts, **dead, "different": int(different.sum())})
    return pd.DataFrame(rows).assign(optimiser=optimiser, momentum=momentum, rate=rate, d=d, rows=n, steps=steps)
