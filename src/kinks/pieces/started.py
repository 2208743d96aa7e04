"""Networks at initialisation: how many regions a segment meets (K3 at step 0), and how steep they are (K2)."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from kinks.pieces.initial import initial
from kinks.pieces.sawtooth import sawtooth
from kinks.pieces.segment import counts


def job(
    *, init: str, bias_sd: float, hidden_layers: int, widths: Sequence[int], seeds: int, ends: Sequence[float]
) -> pd.DataFrame:
    """Count regions and pieces of networks with one input and one output between two inputs.

    Args:
        init, bias_sd: as `initial` takes them, or `sawtooth`, of which one seed is enough, and width 2 alone.

    Returns:
        One row per width and seed: regions, pieces, neurons, `steepest` and `variation`: the largest over neurons of
        sup |dz/dx| and of the total variation of z; mean_steepest and mean_variation, their means.
    """
    rows, length = [], abs(ends[1] - ends[0])
    for width in widths:
        for seed in range(seeds):
            sizes = [1, *[width] * hidden_layers, 1]
            net = sawtooth(hidden_layers) if init == "sawtooth" else initial(sizes, init, seed, bias_sd)
            found = counts(net, *ends, neurons=True)
            steep = np.concatenate([one[0] for one in found.neurons.steepest]) / length
            variation = np.concatenate([one[0] for one in found.neurons.variation])
            rows.append({
                "width": width, "seed": seed, "regions": int(found.regions[0]), "pieces": int(found.pieces[0]),
                "neurons": net.neurons, "steepest": steep.max(), "mean_steepest": steep.mean(),
                "variation": variation.max(), "mean_variation": variation.mean(),
            })  # fmt: skip
    about = {"init": init, "bias_sd": bias_sd, "hidden_layers": hidden_layers, "start": ends[0], "end": ends[1]}
    return pd.DataFrame(rows).assign(**about)
