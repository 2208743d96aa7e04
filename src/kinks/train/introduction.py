"""The introduction's experiment (E1, E1b): the same network trained with two values of ReLU'(0), step by step.

Networks that have met no exact kink are the same program on the same numbers, so the network with the other derivative
shares every step of the base network until the first pre-activation lies exactly on a kink; from then on it is trained
for itself. The noise floor is never shared: it is a second run of the base program.
"""

from collections.abc import Callable

import pandas as pd
import torch
import torch.nn.functional as F

from kinks.audit.forward import cast, logits
from kinks.audit.samples import pixels
from kinks.nets.mlp import MLP, Layers, draw
from kinks.ops import ReLU6Derivative, ReLUDerivative, relu, relu6
from kinks.precision import Precision, fixed, named

Activation = Callable[[int, torch.Tensor], torch.Tensor]
VARIANTS = {"relu": MLP((784, 2000, 128, 10)), "relu6": MLP((784, 4000, 256, 10))}


def activation(variant: str, arm: str) -> Activation:
    """Return an arm's activation: `base` takes 0 at every kink, `assign` and `chain` the first network's values.

    relu: ReLU'(0) = 1. relu6 (E1b): (ReLU6'(0), ReLU6'(6)) = (1, 0) in layer 1 and (1, 1) in layer 2.
    """
    if arm == "base":
        values, rule = ((0.0, 0.0), (0.0, 0.0)), "chain"
    else:
        values, rule = ((1.0, 0.0), (1.0, 1.0)), arm
    if variant == "relu6":
        return lambda layer, z: relu6(z, ReLU6Derivative(*values[layer], rule))
    return lambda layer, z: relu(z, ReLUDerivative(values[layer][0], rule))


def job(
    *,
    variant: str,
    precision: str,
    seed: int,
    rate: float,
    steps: int,
    batch: int,
    noise: bool,
    source: str,
    checksum: str,
    images: int,
    device: str,
) -> pd.DataFrame:
    """Train for `steps` steps of plain SGD on mini-batches in file order (starting again at the end of the data).

    Returns:
        One row per step: L1 distance over all weights and biases to the base network, for the arms `assign`, `chain`
        and, if `noise`, `noise` (the base program run twice) and `reordered` (the base network on the same mini-batches
        with their examples permuted: what one rounding difference grows to); before the update: smallest absolute
        pre-activation and smallest distance to 6 of the first hidden layer, and exact kinks met at any layer.
    """
    model = named(precision, device=device)
    with fixed(model):
        x, labels = pixels(source, checksum, images, model.storage, device)
        networks = _start(variant, seed, model, device, noise)
        rows = []
        for step, part in enumerate(batches(len(x), batch, steps)):
            kinks = _step(networks, variant, model, x[part], labels[part], rate, seed * 1_000_003 + step)
            base = networks["base"]
            rows.append({"step": step, **kinks} | {arm: _distance(net, base) for arm, net in networks.items()})
    columns = {"variant": variant, "seed": seed, "rate": rate, **model.row()}
    return pd.DataFrame(rows).drop(columns="base").assign(**columns)


def batches(rows: int, batch: int, steps: int) -> list[torch.Tensor]:
    """Index mini-batches in file order; a pass ends with its (shorter) last one and the next begins at the front."""
    one_pass = torch.arange(rows).split(batch)
    return [one_pass[step % len(one_pass)] for step in range(steps)]


def _start(variant: str, seed: int, precision: Precision, device: str, noise: bool) -> dict[str, Layers]:
    def fresh() -> Layers:
        layers = cast(draw(VARIANTS[variant], seed), precision, device)
        return [(w.requires_grad_(), b.requires_grad_()) for w, b in layers]

    base = fresh()
    networks = {"base": base, "assign": base, "chain": base}
    return networks | {"noise": fresh(), "reordered": fresh()} if noise else networks


def _step(networks, variant, precision, x, labels, rate, permutation_seed) -> dict[str, float]:
    """Take one step with every network; part `assign` and `chain` from the base where it meets an exact kink."""
    net, base = VARIANTS[variant], networks["base"]
    seen: list[torch.Tensor] = []
    found = {"base": gradients(net, base, x, labels, activation(variant, "base"), precision, seen)}
    kinks = _describe(seen, variant)
    for arm in ("assign", "chain"):
        if networks[arm] is base and not kinks["exact_kinks"]:
            continue
        if networks[arm] is base:
            networks[arm] = [
                (w.detach().clone().requires_grad_(), b.detach().clone().requires_grad_()) for w, b in base
            ]
        found[arm] = gradients(net, networks[arm], x, labels, activation(variant, arm), precision)
    if "noise" in networks:
        found["noise"] = gradients(net, networks["noise"], x, labels, activation(variant, "base"), precision)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(permutation_seed)).to(x.device)
        found["reordered"] = gradients(
            net, networks["reordered"], x[order], labels[order], activation(variant, "base"), precision
        )
    for arm, gradient in found.items():
        descend(networks[arm], gradient, rate)
    return kinks


def gradients(
    net: MLP,
    layers: Layers,
    x: torch.Tensor,
    labels: torch.Tensor,
    act: Activation,
    precision: Precision,
    seen: list[torch.Tensor] | None = None,
) -> list[torch.Tensor]:
    """Return the gradients of the mean cross-entropy by all weights and biases, in their order and shapes.

    Args:
        x: `(B, inputs)` and labels: int64 `(B,)`, the mini-batch; layers: the weights, which require gradients.
        seen: every pre-activation `(B, units)` is appended to it, layer by layer.
    """

    def watched(layer: int, z: torch.Tensor) -> torch.Tensor:
        if seen is not None:
            seen.append(z.detach())
        return act(layer, z)

    loss = F.cross_entropy(logits(net, layers, x, watched, precision), labels)
    return list(torch.autograd.grad(loss, _flat(layers)))


@torch.no_grad()
def descend(layers: Layers, gradients: list[torch.Tensor], rate: float) -> None:
    """Take one step of plain gradient descent, in place and in the weights' own format."""
    for tensor, gradient in zip(_flat(layers), gradients, strict=True):
        tensor.add_(gradient, alpha=-rate)


def _describe(seen: list[torch.Tensor], variant: str) -> dict[str, float]:
    exact = sum(int((z == 0).sum()) for z in seen)
    if variant == "relu6":
        exact += sum(int((z == 6).sum()) for z in seen)
    first = seen[0]
    where = (first == 0).nonzero()
    return {
        "exact_kinks": exact,
        "min_activation": float(first.abs().min()),
        "min_distance_to_six": float((first - 6).abs().min()),
        "sample": int(where[0, 0]) if len(where) else -1,
        "unit": int(where[0, 1]) if len(where) else -1,
    }


@torch.no_grad()
def _distance(layers: Layers, base: Layers) -> float:
    if layers is base:
        return 0.0
    # Weights of one format differ by a number that fp32 (fp64 for fp64) holds to within rounding; sums are in fp64.
    wide = torch.promote_types(base[0][0].dtype, torch.float32)
    pairs = zip(_flat(layers), _flat(base), strict=True)
    return sum(float((a.to(wide) - b.to(wide)).abs().sum(dtype=torch.float64)) for a, b in pairs)


def _flat(layers: Layers) -> list[torch.Tensor]:
    return [tensor for layer in layers for tensor in layer]
