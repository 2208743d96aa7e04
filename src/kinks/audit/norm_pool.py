"""NormPool in LeNet-5 (M4 of the MaxPool paper): does the derivative chosen at a window of norm 0 matter?

Over the reals it does not: the window follows a ReLU, so where its norm is 0 all entries are 0 and ReLU'(0) = 0 stops
whatever is routed there. In floating point small squares underflow, so that the norm is 0 although an entry is not.
Only such windows can make the two gradients differ; where there is none, no backward pass is run.
"""

import pandas as pd
import torch
from torch import Tensor, nn

from kinks.audit.passes import Pass
from kinks.audit.pool_gradients import EQUAL, Norms, distance, gradient
from kinks.nets.initialise import initialise
from kinks.nets.precise import at
from kinks.nets.registry import build
from kinks.ops import NormPool2d, NormPoolDerivative
from kinks.precision import Precision, fixed, named


def job(
    *,
    precision: str,
    bias: str,
    rule: str,
    init: str,
    source: str,
    checksum: str,
    batch_size: int,
    first_seed: int,
    seeds: int,
    minibatches: int,
    device: str,
) -> pd.DataFrame:
    """Compare NormPool1 with NormPool2 on `minibatches` shuffled MNIST mini-batches of each of `seeds` LeNet-5.

    Args:
        rule: `chain`, NormPool2 passes the upstream gradient on to a window of norm 0; `assign`, it puts 1 there.

    Returns:
        One row per initialisation and mini-batch: n1, ninf, n1_wide, ninf_wide; underflowed of `windows` have norm 0
        and an entry that is not.
    """
    how = named(precision, bias=bias, device=device)
    rows = []
    with fixed(how):
        data = Pass.over("mnist", source, None, checksum, False, how, device)
        first, second = (network(value, rule, how, device) for value in (0.0, 1.0))
        for seed in range(first_seed, first_seed + seeds):
            for model in (first, second):
                initialise(model, init, seed)
            for index in data.indices(seed, minibatches, batch_size, partial=True):
                norms, underflowed, windows = compare(first, second, *data.minibatch(index, batch_size))
                row = {"seed": seed, "minibatch": index, "underflowed": underflowed, "windows": windows}
                rows.append(row | vars(norms))
    return pd.DataFrame(rows).assign(network="lenet5", init=init, rule=rule, batch_size=batch_size, **how.row())


def network(at_zero: float, rule: str, precision: Precision, device: str = "cpu") -> nn.Sequential:
    """LeNet-5 without batch norm, a 2x2 NormPool with that derivative at 0 in the place of each max-pool."""
    model = build("lenet5", batch_norm=False, seed=0)
    for place, child in enumerate(model):
        if isinstance(child, nn.MaxPool2d):
            model[place] = NormPool2d(NormPoolDerivative(at_zero, rule), 2)
    return at(model, precision, device)


def compare(first: nn.Sequential, second: nn.Sequential, x: Tensor, labels: Tensor) -> tuple[Norms, int, int]:
    """Return the norms of the difference of the gradients of two networks that differ in their NormPools' derivative
    at 0, and how many of how many windows have norm 0 but an entry that is not; EQUAL, unseen, if none has.

    Args:
        first, second: Sequentials with equal weights. x: `(B, ...)` in their dtype.
    """
    underflowed, windows = _underflowed(first, x)
    if not underflowed:
        return EQUAL, 0, windows
    return distance(gradient(second, x, labels), gradient(first, x, labels)), underflowed, windows


@torch.no_grad()
def _underflowed(model: nn.Sequential, x: Tensor) -> tuple[int, int]:
    """How many windows have norm 0 and an entry that is not 0, and how many there are; stops after the last pool."""
    pools = [place for place, child in enumerate(model) if isinstance(child, NormPool2d)]
    count = windows = 0
    for child in model[: pools[-1] + 1]:
        entries, x = x, child(x)
        if isinstance(child, NormPool2d):
            largest = nn.functional.max_pool2d(entries.abs(), child.kernel_size, child.stride)
            count += int(torch.count_nonzero((x == 0) & (largest != 0)))
            windows += x.numel()
    return count, windows
