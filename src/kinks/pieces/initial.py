"""Networks at initialisation (K1, K3): the library's default, and He's with small normal biases."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from kinks.pieces.network import Network

Init = Literal["default", "he"]


def initial(sizes: Sequence[int], init: Init, seed: int, bias_sd: float = 0.0) -> Network:
    """Draw a network of sizes (inputs, hidden ..., outputs) in float64.

    Args:
        init: `default`: weights and biases uniform on +-1/sqrt(fan_in), PyTorch's for linear layers; `he`: normal
            weights of variance 2/fan_in, and normal biases of standard deviation `bias_sd`.
        bias_sd: of `he` only.

    Raises:
        ValueError: another initialisation.
    """
    if init not in ("default", "he"):
        raise ValueError(f"init is {init!r}; allowed: default, he")
    random = np.random.default_rng(seed)
    weights, biases = [], []
    for before, after in pairwise(sizes):
        if init == "default":
            bound = before**-0.5
            weights.append(random.uniform(-bound, bound, (after, before)))
            biases.append(random.uniform(-bound, bound, after))
        else:
            weights.append(random.standard_normal((after, before)) * (2 / before) ** 0.5)
            biases.append(random.standard_normal(after) * bias_sd)
    return Network.of(weights, biases)
