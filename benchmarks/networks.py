"""The audits of convolutional networks against the described loops: VGG-11 and ResNet-18 on CIFAR-sized images."""

from collections.abc import Iterator

import torch
from torch import Tensor

from benchmarks.described_networks import (
    first_differs,
    gradients,
    largest_difference,
    pool_networks,
    relu_networks,
)
from benchmarks.timing import Result, SpeedUp, paired, require
from kinks.audit.bare import meets_zero
from kinks.audit.first_difference import RULES, ZERO, Network
from kinks.audit.pool_gradients import compare
from kinks.data import load, normalise
from kinks.data.epoch import Epoch
from kinks.nets.precise import at
from kinks.nets.registry import build
from kinks.ops import PoolSwitch, swap
from kinks.precision import Precision, named

NETWORKS = ("vgg11", "resnet18-3x3")
PUBLISHED_RATE = 0.110  # of mini-batches that meet a zero: VGG-11, fp32 (E8)
ROUNDS = 7


def rows() -> Iterator[Result]:
    """ReLU'(0): no hit and blended, fp32 and fp64; max-pool: with ties at the border and without."""
    for network in NETWORKS:
        yield no_hit(network, named("fp32"), 32, SpeedUp(6))
    for network in NETWORKS:
        yield no_hit(network, named("fp64"), 4, SpeedUp(6))
    yield _blended(named("fp32"), 8, SpeedUp(5))
    yield _pools("border ties", 32, SpeedUp(4))
    yield _pools("no positive tie", 32, SpeedUp(8))


def no_hit(network: str, precision: Precision, batch: int, goal: SpeedUp) -> Result:
    """Decide a mini-batch on which no ReLU meets an exact zero, as most are."""
    x, labels = _images(batch, precision.storage)
    seed = _seed_without_zero(network, precision, x)
    ours = Network.of(build(network, batch_norm=False, seed=seed, init="default"), precision)
    theirs = relu_networks(network, seed, precision.storage, init="default")
    return paired(
        f"{network}, ReLU'(0), {precision.name}, no zero",
        lambda: meets_zero(ours.model, x),
        "described loop" + (", native half" if precision.emulated else ""),
        lambda: first_differs(theirs, x, labels),
        check=lambda: _check_relu(network, precision, batch),
        goal=goal,
        limit=_products(ours, x),
        rounds=ROUNDS,
    )


def _blended(precision: Precision, batch: int, goal: SpeedUp) -> Result:
    """Nine mini-batches, one of them with an exact zero: the published hit rate."""
    x, labels = _images(batch, precision.storage)
    seed = _seed_without_zero("vgg11", precision, x)
    without, hit = _with_and_without_zero(precision, x, seed)
    theirs = relu_networks("vgg11", seed, precision.storage, init="default")
    misses = round(1 / PUBLISHED_RATE) - 1

    def ours() -> None:
        for network in [*[without] * misses, hit]:
            if meets_zero(network.model, x):
                network.gradients(x, labels, [ZERO, *RULES.values()])

    def described() -> None:
        for _ in range(misses + 1):
            first_differs(theirs, x, labels)

    def check() -> str:
        require(meets_zero(hit.model, x) and not meets_zero(without.model, x), "one network meets a zero, one does not")
        return _check_relu("vgg11", precision, batch)

    name = f"vgg11, ReLU'(0), {precision.name}, 1 zero in {misses + 1}"
    return paired(name, ours, "described loop", described, check=check, goal=goal, rounds=ROUNDS)


def _pools(kind: str, batch: int, goal: SpeedUp) -> Result:
    """The norm of the difference between beta = 0 and 1, with cropped images (constant borders) and without."""
    x, labels = _images(batch, torch.float32, augment=kind == "border ties")
    if kind != "border ties":  # photographs have flat patches, noise has none
        x = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    switch = PoolSwitch()
    ours = at(swap(build("vgg11", batch_norm=False, seed=0), pool=switch), named("fp32"))
    theirs = pool_networks("vgg11", 0, torch.float32)

    def check() -> str:
        found, expected = compare(ours, switch, x, labels), largest_difference(theirs, x, labels)
        ties = sum(found.tied)
        require((ties > 0) == (kind == "border ties"), f"{ties} positive ties suit '{kind}'")
        require(found.norms.ninf == expected, f"norm {found.norms.ninf:g} equals the described loop's {expected:g}")
        return f"norm {expected:.3g} equal in all bits, {ties:,} positive ties"

    return paired(
        f"vgg11, max-pool, fp32, {kind}",
        lambda: compare(ours, switch, x, labels),
        "described loop",
        lambda: largest_difference(theirs, x, labels),
        check=check,
        goal=goal,
        rounds=ROUNDS,
    )


def _check_relu(network: str, precision: Precision, batch: int) -> str:
    """Decisions and first-layer gradients equal the described loop's, bit for bit, without a zero and with one."""
    x, labels = _images(min(batch, 8), precision.storage)
    hits = 0
    for seed, inputs in ((0, x), (1, x), (1, torch.zeros_like(x))):  # black images make many equal values
        ours = Network.of(build(network, batch_norm=False, seed=seed, init="default"), precision)
        theirs = relu_networks(network, seed, precision.storage, init="default")
        if precision.emulated:  # a native half kernel sums in another order, so its zeros are others
            continue
        if inputs is not x:
            for one in (ours.model, *theirs):
                _plant(one)
        expected = [found[0] for found in gradients(theirs, inputs, labels)]
        (reference, assigned), _ = ours.gradients(inputs, labels, [ZERO, RULES["assign"]])
        require(torch.equal(reference, expected[0]), "gradients with ReLU'(0) = 0 equal the described loop's")
        require(torch.equal(assigned, expected[1]), "gradients with ReLU'(0) = 1 equal the described loop's")
        met, differ = meets_zero(ours.model, inputs), not torch.equal(*expected)
        require(met or not differ, "no difference is missed")
        hits += met
    if precision.emulated:
        return _agreement(network, precision, x)
    require(hits > 0, "one of the networks meets a zero")
    return f"decisions and gradients bit-equal, {hits} of 3 with a zero"


def _agreement(network: str, precision: Precision, x: Tensor) -> str:
    first = Network.of(build(network, batch_norm=False, seed=0, init="default"), precision).model[0]
    native = torch.nn.functional.conv2d(x, first.weight, first.bias, first.stride, first.padding)
    same = float((first(x) == native).double().mean())
    require(same > 0.99, "emulated pre-activations equal native ones in 99 % of units")
    model = f"{precision.name} emulated: fp32 sums, bias in the accumulator, one rounding"
    return f"{model}; {same:.4f} of first-layer pre-activations equal the native kernel's; zeros are not compared"


@torch.no_grad()
def _plant(model: torch.nn.Module) -> None:
    """Make one unit of the first layer exactly zero everywhere."""
    model[0].weight[0] = 0
    if model[0].bias is not None:
        model[0].bias[0] = 0


def _with_and_without_zero(precision: Precision, x: Tensor, seed: int) -> tuple[Network, Network]:
    """Two copies of VGG-11, in the second of which one pre-activation of the fifth convolution is exactly zero."""
    pair = [Network.of(build("vgg11", batch_norm=False, seed=seed, init="default"), precision) for _ in range(2)]
    model = pair[1].model
    place = [i for i, layer in enumerate(model) if isinstance(layer, torch.nn.Conv2d)][4]
    with torch.no_grad():
        z = model[: place + 1](x)[0, :, 0, 0]
        for unit in range(len(z)):
            before = model[place].bias[unit].clone()
            model[place].bias[unit] -= z[unit]
            if meets_zero(model, x):
                return pair[0], pair[1]
            model[place].bias[unit] = before
    raise ValueError("no unit of the fifth convolution can be moved to an exact zero")


def _products(ours: Network, x: Tensor) -> object:
    """The least any audit has to do: one matrix product with the operations of each convolution."""
    operands, hooks = [], []

    def note(layer: torch.nn.Conv2d, given: tuple, z: Tensor) -> None:
        rows, inner = z.numel() // z.shape[1], layer.weight[0].numel()
        operands.append(
            (given[0].new_ones(rows, inner), layer.weight.detach().flatten(1).T, z.new_empty(rows, z.shape[1]))
        )

    for layer in ours.model.modules():
        if isinstance(layer, torch.nn.Conv2d):
            hooks.append(layer.register_forward_hook(note))
    with torch.no_grad():
        ours.model(x)
    for hook in hooks:
        hook.remove()

    def products() -> None:
        for a, b, out in operands:
            torch.mm(a, b, out=out)

    return products


def _seed_without_zero(network: str, precision: Precision, x: Tensor) -> int:
    for seed in range(100):
        ours = Network.of(build(network, batch_norm=False, seed=seed, init="default"), precision)
        if not meets_zero(ours.model, x):
            return seed
    raise ValueError(f"{network}: each of 100 starts meets a zero on this mini-batch")


def _images(batch: int, dtype: torch.dtype, augment: bool = False) -> tuple[Tensor, Tensor]:
    data = load("photographs")
    epoch = Epoch.draw(len(data), 0, shuffle=True, augment=augment)
    part = slice(0, batch)
    return normalise(epoch.images(data.images, part), "photographs", dtype, "cpu"), data.labels[epoch.order[part]]
