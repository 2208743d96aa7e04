"""Counting affine pieces: sawteeth, random networks against a dense grid and against `relucent`, memory, many draws."""

import platform
import resource
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.budgets import seconds, within
from benchmarks.timing import Clock, Result, SpeedUp, device, paired, require, skipped
from kinks.pieces import Network, Segment, along, counts
from kinks.pieces.initial import initial
from kinks.pieces.noise import shaken
from kinks.pieces.sawtooth import sawtooth

POINTS, CHUNK = 100_000, 2048
NETWORKS = {"32x2": (32, 2), "64x3": (64, 3), "128x4": (128, 4), "256x6": (256, 6)}
GIBIBYTE = 2**30


def rows() -> Iterator[Result]:
    """The goals, and, without a goal, smaller networks, the other package and many draws."""
    for levels, allowed in ((16, 0.1), (20, 2.0)):
        yield tent(levels, allowed)
    for name in NETWORKS:
        yield against_grid(name, SpeedUp(10) if name == "256x6" else SpeedUp())
    yield against_relucent("32x2")
    yield memory(22, 4)
    yield draws(8, 200)


def tent(levels: int, allowed: float) -> Result:
    """All pieces of the unit sawtooth, with their places, within `allowed` seconds."""
    network = sawtooth(levels)

    def check() -> str:
        found, n = along(network, 0.0, 1.0), 2**levels
        require((found.pieces, found.regions) == (n, n), f"{n:,} pieces and regions")
        require(np.array_equal(found.breakpoints, np.arange(1, n) / n), "breakpoints are the multiples of 1 / pieces")
        return f"{n:,} pieces and regions, breakpoints equal in all bits"

    return seconds(f"sawtooth, 2^{levels} pieces", allowed, lambda: along(network, 0.0, 1.0), check)


def against_grid(name: str, goal: SpeedUp, points: int = POINTS) -> Result:
    """Exact regions on [-1, 1] against the activation patterns at `points` points of it."""
    network = random_network(*NETWORKS[name])
    return paired(
        f"regions, {name}, exact",
        lambda: along(network, -1.0, 1.0),
        f"patterns at {points:,} points",
        lambda: grid_regions(network, points),
        check=lambda: check_regions(network, points),
        goal=goal,
        rounds=7,
    )


def random_network(width: int, depth: int, seed: int = 0) -> Network:
    """He's initialisation with biases of standard deviation 0.1, one input and one output."""
    return initial([1, *[width] * depth, 1], "he", seed, bias_sd=0.1)


def patterns(layers: list[tuple[Tensor, Tensor]], x: Tensor) -> tuple[Tensor, Tensor]:
    """Activation patterns at points `(n, 1)`, bool `(n, neurons)`, and outputs `(n, outputs)`."""
    on = []
    for weight, bias in layers[:-1]:
        x = torch.addmm(bias, x, weight).relu_()
        on.append(x > 0)
    return torch.cat(on, 1), torch.addmm(layers[-1][1], x, layers[-1][0])


def grid_changes(network: Network, points: int) -> Tensor:
    """Whether the pattern changes from each of `points` points of [-1, 1] to the next, bool `(points - 1,)`."""
    layers, s = tensors(network), torch.linspace(-1, 1, points, dtype=torch.float64)[:, None]
    found = []
    for first in range(0, points - 1, CHUNK):
        on, _ = patterns(layers, s[first : first + CHUNK + 1])
        found.append((on[1:] != on[:-1]).any(1))
    return torch.cat(found)


def grid_regions(network: Network, points: int) -> int:
    """Regions that a grid sees."""
    return 1 + int(grid_changes(network, points).sum())


def tensors(network: Network) -> list[tuple[Tensor, Tensor]]:
    """Weights `(in, out)` and biases `(out,)`."""
    return [(torch.from_numpy(one.weight).T, torch.from_numpy(one.bias[0])) for one in network.layers]


def check_regions(network: Network, points: int) -> str:
    """Every change that the grid sees lies where we have one, ours are all changes, and the pieces are the function."""
    found, layers = along(network, -1.0, 1.0), tensors(network)
    ends = np.r_[0.0, found.boundaries, 1.0]
    on, _ = patterns(layers, torch.from_numpy(ends[1:] + ends[:-1])[:, None] - 1)
    require(bool((on[1:] != on[:-1]).any(1).all()), "patterns in the middle of neighbouring regions differ")
    s = np.linspace(0, 1, points)
    inside = np.searchsorted(found.boundaries, s[1:] + 1e-12) > np.searchsorted(found.boundaries, s[:-1] - 1e-12)
    changes = grid_changes(network, points).numpy()
    require(not (changes & ~inside).any(), "the grid sees no change where there is none")
    _, outputs = patterns(layers, torch.from_numpy(2 * s - 1)[:, None])
    require(np.allclose(found(s), outputs.numpy(), rtol=0, atol=1e-9), "the pieces are the network's values")
    share = (1 + changes.sum()) / found.regions
    return f"{found.regions:,} regions, each confirmed by its pattern; the grid finds {share:.1%}"


def against_relucent(name: str) -> Result:
    """All regions of the real line against the package of that name, if it is installed; its worker's time counts."""
    label = f"regions of the whole line, {name}"
    try:
        import relucent
    except ImportError:
        return skipped(label, "relucent", SpeedUp(), "the package relucent is not installed")
    relucent.update_settings(VERBOSE=0)
    model = perceptron(random_network(*NETWORKS[name]))

    def theirs() -> int:
        found = relucent.Complex(model)
        found.bfs(nworkers=1, verify=False, verbose=0)
        return len(found)

    def check() -> str:
        ours, other = whole_line(model), theirs()
        require(ours.regions == other, f"{ours.regions} regions of ours and {other} of relucent are equal")
        return f"{other} regions, both"

    baseline = f"relucent {relucent.__version__}"
    clock = Clock(cpu_with_children, device)
    whole = lambda: whole_line(model)  # noqa: E731
    return paired(label, whole, baseline, theirs, check=check, goal=SpeedUp(), rounds=7, clock=clock)


def whole_line(model: nn.Sequential, end: float = 2.0**30) -> Segment:
    """All regions of a network of one input: those of a segment with nothing near its ends."""
    found = along(model, -end, end)
    require(np.abs(found.boundaries - 0.5).max(initial=0.0) < 0.25, "no boundary is near the ends of the segment")
    return found


def perceptron(network: Network) -> nn.Sequential:
    """The network as torch's layers."""
    parts: list[nn.Module] = []
    for layer in network.layers:
        linear = nn.Linear(*layer.weight.T.shape, dtype=torch.float64)
        linear.weight.data, linear.bias.data = torch.from_numpy(layer.weight), torch.from_numpy(layer.bias[0])
        parts += [linear, nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def cpu_with_children() -> float:
    """CPU seconds of this process and of those it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def memory(levels: int, gibibytes: float) -> Result:
    """Peak memory of a process of its own that finds all pieces of a sawtooth and keeps them."""
    found: list[tuple[int, int]] = []

    def check() -> str:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            found.append(pool.submit(pieces_and_peak, levels).result())
        require(found[0][0] == 2**levels, f"{2**levels:,} pieces")
        return f"{found[0][0]:,} pieces, peak {found[0][1] / GIBIBYTE:.2f} GiB with PyTorch"

    name, allowed = f"memory, sawtooth, 2^{levels} pieces", gibibytes * GIBIBYTE
    return within(name, f"{gibibytes:g} GiB", allowed, lambda: found[0][1], check, rounds=1)


def pieces_and_peak(levels: int) -> tuple[int, int]:
    """How many pieces there are, and the peak of this process's resident memory in bytes."""
    pieces = along(sawtooth(levels), 0.0, 1.0).pieces
    status = Path("/proc/self/status")
    if status.is_file():  # what getrusage tells a child may be its parent's peak
        (line,) = (one for one in status.read_text().splitlines() if one.startswith("VmHWM"))
        return pieces, int(line.split()[1]) * 1024
    return pieces, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if platform.system() == "Darwin" else 1024)


def draws(levels: int, count: int) -> Result:
    """Many noise draws of the bounded-slope sawtooth at once against one after another."""
    noisy = shaken(sawtooth(levels, "bounded"), 2.0**-6, range(count))
    alone = [noisy.only(draw) for draw in range(count)]

    def one_by_one() -> list[tuple[int, int]]:
        found = [counts(one, 0.0, 1.0) for one in alone]
        return [(int(one.regions[0]), int(one.pieces[0])) for one in found]

    def check() -> str:
        together = counts(noisy, 0.0, 1.0)
        pairs = list(zip(together.regions.tolist(), together.pieces.tolist(), strict=True))
        require(pairs == one_by_one(), "regions and pieces of all draws equal those of draws alone")
        return f"regions and pieces of {count} draws equal, {together.regions.mean():.0f} regions on average"

    name = f"{count} noise draws at once, {levels} levels"
    return paired(
        name, lambda: counts(noisy, 0.0, 1.0), "one after another", one_by_one, check=check, goal=SpeedUp(), rounds=7
    )
