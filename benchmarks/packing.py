"""Several seeds at once: what trains most networks per hour where one does not fill the machine, and how full that is.

Against one after another: processes that share the device, streams, CUDA graphs, batched weights, batched weights under
a graph. Processes and streams need a GPU to gain anything, graphs to run at all; on a CPU only batched weights are
timed, to say what they cost there. GPU rows were written without one at hand.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import isclose

import torch
from torch import Tensor, nn

from benchmarks import training
from benchmarks.timing import CPU, GPU, Clock, Cost, Result, SpeedUp, paired, require, skipped
from benchmarks.ways import WAYS, Alone
from kinks.precision import fixed
from kinks.train.settings import Settings
from kinks.train.training import Training

SEEDS, STEPS, ROUNDS = 8, 20, 7
PACKED = ("lenet5", "mlp 3x2048")
WHY = "needs a CUDA device, and there is none"
GOAL = SpeedUp(2)


def rows() -> Iterator[Result]:
    """Every way on a GPU, and the best of them; on a CPU batched weights alone, of small networks too."""
    if not torch.cuda.is_available():
        for network in ("mlp 2x64", "lenet5"):
            yield ways(network, "cpu", ["batched weights"], seeds=4, steps=3)[0]
        for network in PACKED:
            yield skipped(f"{network}, {SEEDS} seeds, best way", "one after another", GOAL, WHY)
        for network in training.NETWORKS:
            yield skipped(f"{network}, training step, GPU", "torch's layers and optimiser", Cost(1.05), WHY)
        return
    for network in PACKED:
        found = ways(network, "cuda", list(WAYS))
        yield from found
        yield best(network, found)
    for network in training.NETWORKS:
        yield filled(network)


def ways(network: str, device: str, names: Sequence[str], seeds: int = SEEDS, steps: int = STEPS) -> list[Result]:
    """Some ways of training `seeds` networks for `steps` steps, each against one after another."""
    runs = [training.run(network, 128, images=128 * steps, seed=s, device=device, count=False) for s in range(seeds)]
    return [way(name, network, runs) for name in names]


def way(name: str, network: str, runs: Sequence[Settings]) -> Result:
    """One way against one after another; their first losses agree to rounding."""
    clock: Clock = GPU if runs[0].device == "cuda" else CPU
    with fixed(runs[0].layers), ExitStack() as stack:
        alone, together = Alone(runs), WAYS[name](runs, stack)

        def check() -> str:
            pairs = list(zip(alone(), together(), strict=True))
            require(all(isclose(*pair, rel_tol=1e-4) for pair in pairs), f"losses {pairs} agree within 1e-4")
            return f"losses of {len(runs)} networks equal within 1e-4"

        return paired(
            f"{network}, {len(runs)} seeds, {name}",
            together,
            "one after another",
            alone,
            check=check,
            goal=SpeedUp(),
            rounds=ROUNDS,
            clock=clock,
        )


def best(network: str, found: Sequence[Result]) -> Result:
    """The way with the highest lower quartile, which has a goal."""
    right = [result for result in found if result.correct]
    if not right:
        return Result(found[0].row | {"name": f"{network}, best way", "goal": str(GOAL)}, False, False)
    top = max(right, key=lambda result: result.row["ratio_q1"])
    low, high = top.row["ratio_q1"], top.row["ratio_q3"]
    return Result(top.row | {"name": f"{top.row['name']} (best way)", "goal": str(GOAL)}, True, GOAL.reached(low, high))


def filled(network: str, batch: int = 128) -> Result:
    """A step against torch's own layers; the limit is a square product with as many multiplications: the peak."""
    x, labels = (one.cuda() for one in training.minibatch(network, batch))
    with fixed(training.run(network, batch).layers):
        ours = Training(training.run(network, batch, device="cuda", count=False))
        theirs = training.Peer.of(network, training.RATE)
        theirs.net.cuda()
        side = round((3 * multiplications(ours.net, x)) ** (1 / 3))  # forward, and twice as much backward
        a, b = (torch.randn(side, side, device=x.device) for _ in range(2))

        def check() -> str:
            losses = float(ours.step(0, x, labels)[0]), float(theirs.unread_step(x, labels))
            require(isclose(*losses, rel_tol=1e-4), f"losses {losses} agree within 1e-4")
            return "losses equal within 1e-4"

        return paired(
            f"{network}, training step, GPU",
            lambda: ours.step(0, x, labels),
            "torch's layers and optimiser",
            lambda: theirs.unread_step(x, labels),
            check=check,
            goal=Cost(1.05),
            limit=lambda: a @ b,
            rounds=ROUNDS,
            clock=GPU,
        )


@torch.no_grad()
def multiplications(net: nn.Module, x: Tensor) -> int:
    """How many multiplications the layers of `net` need for `x`, forward."""
    found = []

    def note(layer: nn.Conv2d | nn.Linear, inputs: tuple, output: Tensor) -> None:
        found.append(output.numel() * layer.weight[0].numel())

    hooks = [m.register_forward_hook(note) for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    net(x)
    for hook in hooks:
        hook.remove()
    return sum(found)
