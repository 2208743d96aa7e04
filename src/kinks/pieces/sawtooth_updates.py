"""One real update of a sawtooth whose gradient is computed in a format or in exact rationals (K4b): a pure job."""

import numpy as np
import pandas as pd

from kinks.pieces.arithmetic import named
from kinks.pieces.gradients import exact_gradients, gradients, parameters
from kinks.pieces.network import Network
from kinks.pieces.sawtooth import Family, sawtooth
from kinks.pieces.sawtooth_data import Order, columns, examples, ordered
from kinks.pieces.segment import along
from kinks.pieces.updates import perturbation, perturbation_row


def job(
    *, family: Family, levels: int, formats: list[str], step_sizes: list[float], inputs: int, seed: int
) -> pd.DataFrame:
    """Count a sawtooth after bias updates from gradients in several formats, all applied to the same fp64 biases.

    The targets are the sawtooth plus a smooth term, at random rational inputs. 16-bit formats accumulate in fp32.

    Returns:
        One row for each `storage` format (`exact` for rationals), step size and `order` of the examples (`given`, or
        `shuffled`): regions and pieces, missing where an update is infinite; and, of the relative errors delta of the
        gradients of the hidden biases, `n` finite ones, `median`, `largest`, and how many are `above_one`.
    """
    network = sawtooth(levels, family)
    x, y = examples(inputs, levels, family, seed, "smooth", "fp64")
    true = exact_gradients(network, x, y)[:-1]
    orders: tuple[Order, ...] = ("given", "shuffled")
    found = {("exact", "given"): [one.astype(float) for one in true]}
    for name in formats:
        arithmetic = named(name)
        for order in orders:
            sample = columns(*ordered(x, y, order, seed))
            slopes, _ = gradients(parameters(network, arithmetic), *sample, arithmetic)
            found[name, order] = [bias.double().numpy() for _, bias in slopes[:-1]]
    rows = []
    for (name, order), slopes in found.items():
        deltas = np.concatenate([one.ravel() for one in perturbation(slopes, true)])
        about = {"storage": name, "order": order} | perturbation_row(deltas, named("fp64" if name == "exact" else name))
        rows += [about | {"step_size": size} | _after(network, slopes, size) for size in step_sizes]
    return pd.DataFrame(rows).assign(family=family, levels=levels, seed=seed, inputs=inputs)


def _after(network: Network, slopes: list[np.ndarray], step_size: float) -> dict[str, float]:
    biases = [layer.bias[0] - step_size * slope for layer, slope in zip(network.hidden, slopes, strict=True)]
    if not all(np.isfinite(bias).all() for bias in biases):
        return {"regions": np.nan, "pieces": np.nan}
    found = along(network.with_biases(biases), 0.0, 1.0)
    return {"regions": float(found.regions), "pieces": float(found.pieces)}
