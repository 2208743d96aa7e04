"""On which mini-batches does a gradient depend on ReLU'(0)? Random networks, with and without batch norm (E8, E11).

An initialisation is followed from mini-batch to mini-batch until the gradient of the first layer's weights with
ReLU'(0) = 1 differs from that with ReLU'(0) = 0 (section 4.4 of the ReLU'(0) paper, and its appendix). Where no ReLU
meets an exact zero both have the same bits: a bare forward pass decides most mini-batches, one graph each of the rest.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import count, islice

import pandas as pd
import torch
from torch import Tensor, nn

from kinks.audit import samples
from kinks.audit.bare import bare_outputs
from kinks.audit.first_weight import ZERO, Network
from kinks.data import normalise
from kinks.data.epoch import Epoch
from kinks.nets.initialise import initialise
from kinks.nets.registry import architecture, build
from kinks.ops import ReLUDerivative
from kinks.precision import Precision, fixed, named

RULES = {"assign": ReLUDerivative(1.0, "assign"), "chain": ReLUDerivative(1.0, "chain")}
PASSES = 10_000  # seeds of the images' order: far from those of the weights, one for each pass over the data


def job(
    *,
    network: str,
    norm: str,
    precision: str,
    bias: str,
    data: dict,
    batch_size: int,
    most: int,
    first_seed: int,
    seeds: int,
    noise_seeds: int,
    device: str,
) -> pd.DataFrame:
    """Follow `seeds` initialisations of a network, first_seed onwards.

    Args:
        network: a convolutional network's name, or `3xN`, the perceptron with three hidden layers of N neurons.
        norm: `none`, `centred` or `fused` batch norm (see `kinks.audit.first_weight`).
        data: dataset, folder, split, checksum, classes and augment of colour images, which come shuffled (E8); or
            dataset `mnist`, source, checksum and images, in [0, 1] and in their order (E11).
        most: mini-batches after which an initialisation is given up.

    Returns:
        One row per initialisation, as `follow` describes it, with the settings that name its cell.
    """
    how = named(precision, bias=bias, device=device)
    with fixed(how):
        batch_norm, classes = norm != "none", data.get("classes", 10)
        if network.startswith("3x"):
            plain, image = perceptron(int(network.removeprefix("3x")), batch_norm), (784,)
        else:
            plain = build(network, batch_norm=batch_norm, seed=0, classes=classes, init="default")
            image = architecture(network).image
        ours, rows = Network.of(plain, how, device, norm, example=torch.zeros(2, *image)), []
        for seed in range(first_seed, first_seed + seeds):
            initialise(ours.model, "default", seed)
            stream = digits if data["dataset"] == "mnist" else colours
            given = islice(stream(data, seed, batch_size, how, device), most)
            rows.append({"seed": seed} | follow(ours, given, seed < noise_seeds))
    return pd.DataFrame(rows).assign(network=network, norm=norm, **how.row(), batch_size=batch_size)


def perceptron(neurons: int, batch_norm: bool) -> nn.Sequential:
    """The network 784-neurons-neurons-neurons-10, batch norm before each ReLU or none."""
    layers: list[nn.Module] = []
    for inputs in (784, neurons, neurons):
        layers += [nn.Linear(inputs, neurons), *([nn.BatchNorm1d(neurons)] if batch_norm else []), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(neurons, 10))


def digits(data: Mapping, seed: int, batch_size: int, precision: Precision, device: str) -> Iterator:
    """Yield whole mini-batches `(pixels, labels)` of one pass over the digits, the same for every seed."""
    x, labels = samples.pixels(data["source"], data["checksum"], data["images"], precision.storage, device)
    whole = _whole(len(x), batch_size, data)
    yield from islice(zip(x.split(batch_size), labels.split(batch_size), strict=True), whole)


def colours(data: Mapping, seed: int, batch_size: int, precision: Precision, device: str) -> Iterator:
    """Yield whole mini-batches `(images, labels)` for ever: one shuffled pass after another, augmented anew."""
    where = (data["dataset"], data["folder"], data["split"], data["checksum"])
    pictures, labels = samples.images(*where, device=device)
    whole = _whole(len(pictures), batch_size, data)
    for number in count(1):
        epoch = Epoch.draw(len(pictures), PASSES * number + seed, shuffle=True, augment=data["augment"])
        for part in (slice(index * batch_size, (index + 1) * batch_size) for index in range(whole)):
            x = normalise(epoch.images(pictures, part), data["dataset"], precision.storage, device)
            yield x, labels[epoch.order[part].to(labels.device)]


def follow(network: Network, given: Iterable[tuple[Tensor, Tensor]], noise: bool) -> dict:
    """Follow one initialisation through mini-batches until a zero and both rules have made a difference.

    Returns:
        minibatches looked at; of these, with_zero (a ReLU meets an exact zero), with_assign and with_chain (the
        gradient differs from that with ReLU'(0) = 0); first_zero, first_assign, first_chain, the first of each, from 0,
        -1 for none; zeros met in evaluations of a ReLU; finite, whether all numbers were (those that are not make no
        difference); noise, whether ReLU'(0) = 0 differed from itself on the last mini-batch, NaN where not asked.
    """
    where: dict[str, list[int]] = {name: [] for name in ("zero", *RULES)}
    zeros, images, finite = 0, 0, True
    for index, (x, labels) in enumerate(given):
        images += len(x)
        reference = None
        if (outputs := bare_outputs(network.model, x)) is not None:
            finite = finite and _finite(outputs)
            continue
        (reference, *others), met = network.gradients(x, labels, [ZERO, *RULES.values()])
        zeros, finite = zeros + met, finite and all(map(_finite, (reference, *others)))
        where["zero"].append(index)
        for rule, gradient in zip(RULES, others, strict=True):
            where[rule] += [] if _same(gradient, reference) else [index]
        if all(where.values()):
            break
    row = {"minibatches": index + 1} | {f"with_{name}": len(found) for name, found in where.items()}
    row |= {f"first_{name}": found[0] if found else -1 for name, found in where.items()}
    row |= {"zeros": zeros, "evaluations": images * network.units(x[:1]), "finite": finite}
    return row | {"noise": _noise(network, x, labels, reference) if noise else float("nan")}


def _noise(network: Network, x: Tensor, labels: Tensor, once: Tensor | None) -> float:
    """Whether the gradient with ReLU'(0) = 0 differs from itself, computed `once` more from its own forward pass."""
    once = network.gradients(x, labels, [ZERO])[0][0] if once is None else once
    return float(not _same(network.gradients(x, labels, [ZERO])[0][0], once))


def _same(ours: Tensor, reference: Tensor) -> bool:
    """Whether two gradients agree in every entry; two NaN agree."""
    return bool(((ours == reference) | (ours.isnan() & reference.isnan())).all())


def _finite(numbers: Tensor) -> bool:
    return bool(torch.isfinite(numbers).all())


def _whole(images: int, batch_size: int, data: Mapping) -> int:
    """How many whole mini-batches there are; ValueError for none."""
    if images < batch_size:
        raise ValueError(f"mini-batches of {batch_size} images asked for; given {images} images of {data['dataset']}")
    return images // batch_size
