"""The audit of random networks against the described loop: MLP 784-256x3-10 on mini-batches of 256 MNIST images."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.described_loop import (
    all_differences,
    described_audit,
    first_gradients,
    in_memory,
    torchvision,
    two_networks,
)
from benchmarks.timing import Cost, Result, SpeedUp, paired, require
from kinks.audit import samples, volume
from kinks.audit.forward import cast, chunks, widen
from kinks.audit.gradients import first_layer_gradients
from kinks.data import as_float, load
from kinks.nets.mlp import MLP, Layers, draw
from kinks.precision import Precision, linear, named

NET, BATCH, IMAGES = MLP.of(3, 256), 256, 2560
SEEDS = range(4)


def rows() -> Iterator[Result]:
    """Compute only per precision, the whole experiment, and five batch sizes for the price of one."""
    for precision in ("fp32", "fp64"):
        yield compute_only(named(precision), SpeedUp(6))
    for precision, goal in (("fp32", 9), ("fp64", 8)):
        yield _end_to_end(named(precision), SpeedUp(goal))
    yield _five_batch_sizes(named("fp32"))


def compute_only(precision: Precision, goal: SpeedUp) -> Result:
    """Decide every mini-batch of one network: images and weights are in memory, in the format computed in."""
    x, labels = _pixels(precision)
    layers = cast(draw(NET, 0), precision)
    networks = two_networks(NET.sizes, precision.storage, layers=layers)
    wide, raw = _wide(x, precision), widen(layers, precision)
    return paired(
        f"audit, {precision.name}, compute only",
        lambda: _affected(layers, raw, wide, x, labels, precision),
        "described loop" + (", native half" if precision.emulated else ""),
        lambda: all_differences(networks, in_memory(x, labels, BATCH), precision.storage),
        check=lambda: _check(precision),
        goal=goal,
        limit=lambda: _products(raw, wide, volume.chunk(precision, "cpu")),
    )


def _end_to_end(precision: Precision, goal: SpeedUp) -> Result:
    """The first differing mini-batch of several networks, from their seeds and from uint8 images in memory."""
    data = load("mnist", source="embedded", split="train")
    images, labels = data.images[:IMAGES], data.labels[:IMAGES]

    def ours() -> list[int | None]:
        x = as_float(images, dtype=precision.storage, device="cpu").flatten(1)
        found = []
        for seed in SEEDS:
            audited = volume.audit_seed(seed, True, 256, [3], (BATCH,), precision, x, x, labels, False, True)
            found += [row["first_assign"] for row in audited if row["kind"] == "decision"]
        return [None if index < 0 else index for index in found]

    def described() -> list[int | None]:
        return described_audit(NET.sizes, SEEDS, images, labels, BATCH, precision.storage, convert=torchvision)

    def check() -> str:
        require(ours() == described(), "first differing mini-batch of every network equals the described loop's")
        return f"first difference equal, {len(SEEDS)} networks"

    name = f"audit, {precision.name}, with loader and start"
    return paired(name, ours, "described loop, torchvision's loader and start", described, check=check, goal=goal)


def _five_batch_sizes(precision: Precision) -> Result:
    x, labels = _pixels(precision)

    def audit(batches: tuple[int, ...]) -> dict[int, int]:
        rows = volume.audit_seed(0, True, 256, [3], batches, precision, x, x, labels, False, False)
        return {row["batch_size"]: row["first_assign"] for row in rows if row["kind"] == "decision"}

    def check() -> str:
        together, apart = audit((16, 64, 256, 512, 1024)), {}
        for batch in together:
            apart |= audit((batch,))
        require(together == apart, "decisions of five batch sizes equal those of five audits")
        return "decisions equal those of five audits"

    five = lambda: audit((16, 64, 256, 512, 1024))  # noqa: E731
    return paired(
        "five batch sizes, fp32", five, "one batch size", lambda: audit((BATCH,)), check=check, goal=Cost(1.1)
    )


def _affected(layers: Layers, raw: Layers, wide: Tensor, x: Tensor, labels: Tensor, precision: Precision) -> list[bool]:
    """Ours: for every mini-batch, whether its gradients differ. Backward passes run for those with a zero only."""
    decision = _Every(0, NET, BATCH, precision)
    decision.layers = layers
    volume.walk(NET, raw, precision, wide, volume.chunk(precision, "cpu"), [decision], x, labels, False)
    return [index in decision.affected for index in range(-(-len(x) // BATCH))]


class _Every(volume.Decision):
    """A decision that resolves every mini-batch with a zero, not only the first, on weights given to it."""

    settled = False

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.affected: set[int] = set()

    def gradients(self, index: int, derivatives, x: Tensor, labels: Tensor) -> list[Tensor]:
        part = slice(index * BATCH, (index + 1) * BATCH)
        found = first_layer_gradients(NET, self.layers, x[part], labels[part], derivatives[:2], self.precision)
        if not torch.equal(*found):
            self.affected.add(index)
        return [*found, found[1]]


def _check(precision: Precision) -> str:
    """Decisions on natural and on zero-rich networks equal the described loop's; so do gradients, bit for bit."""
    x, labels = _pixels(precision)
    rich = [((w * 16).round() / 16, (b * 16).round() / 16) for w, b in draw(NET, 1)]
    hits = 0
    for layers, inputs in ((draw(NET, 0), x), (draw(NET, 1), x), (rich, (x * 4).round() / 4)):
        layers = cast(layers, precision)
        networks = two_networks(NET.sizes, precision.storage, layers=layers)
        if not precision.emulated:  # a native half kernel sums in another order, so its zeros are others
            theirs = all_differences(networks, in_memory(inputs, labels, BATCH), precision.storage)
            ours = _affected(layers, widen(layers, precision), _wide(inputs, precision), inputs, labels, precision)
            require(ours == theirs, "decisions equal the described loop's")
            hits += sum(theirs)
            found = first_layer_gradients(
                NET, layers, inputs[:BATCH], labels[:BATCH], (volume.ZERO, volume.ASSIGN), precision
            )
            reference = first_gradients(networks, inputs[:BATCH], labels[:BATCH])
            require(all(map(torch.equal, found, reference)), "gradients equal the described loop's, bit for bit")
    if precision.emulated:
        same = float((_first(x, precision) == _first(x, Precision(precision.name))).double().mean())
        require(same > 0.99, "emulated pre-activations equal native ones in 99 % of units")
        return f"{same:.4f} of first-layer pre-activations equal the native kernel's; zeros are not compared"
    require(hits > 0, "the zero-rich network has affected mini-batches")
    return f"decisions and gradients bit-equal, {hits} affected mini-batches among them"


def _first(x: Tensor, precision: Precision) -> Tensor:
    (weight, bias), *_ = cast(draw(NET, 0), precision)
    return linear(x[:BATCH], weight, bias, precision)


def _products(raw: Layers, wide: Tensor, rows: int) -> None:
    """The least any audit has to do: the products of the hidden layers, once."""
    for part in chunks(len(wide), rows):
        h = wide[part]
        for weight, bias in raw[:-1]:
            h = F.linear(h, weight, bias)


def _pixels(precision: Precision) -> tuple[Tensor, Tensor]:
    card = load("mnist", source="embedded", split="train").card
    return samples.pixels("embedded", card.checksum, IMAGES, precision.storage, "cpu")


def _wide(x: Tensor, precision: Precision) -> Tensor:
    return x.float() if precision.emulated else x
