"""Several seeds of one configuration trained at once, with stacked weights: for networks too small to fill a GPU.

Each network starts from the weights, and sees the mini-batches, that `kinks.train.loop.job` gives it, and its rows are
made by the same code. But its sums are taken in another order: its numbers agree with those of a run alone to rounding
at first, and then part as those of any two orders of summation do. So rows are equal in distribution, not in bits, and
one table holds networks of one kind only. A network that diverges disturbs no other.
"""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from kinks.data import normalise
from kinks.nets.packed import pack, side_by_side
from kinks.precision import fixed
from kinks.train.loop import ended
from kinks.train.optimise import SGD, Adam
from kinks.train.settings import Settings
from kinks.train.setup import Part, network
from kinks.train.tally import Tally
from kinks.train.training import Training
from kinks.train.trajectory import drawn


def job(*, seeds: Sequence[int], graph: bool = False, **given: object) -> pd.DataFrame:
    """Train a network from each of `seeds`; `given` are the other settings of `kinks.train.loop.job`.

    Args:
        graph: whether steps are captured once per epoch and replayed, on a CUDA device and with SGD only.

    Returns:
        The rows of `kinks.train.loop.job` for each seed, one seed after the other.

    Raises:
        ValueError: settings that networks cannot be packed with: dropout, `reorder`, autocast, loss scaling, emulated
            16 bits, DenseNet, or a graph elsewhere than said above.
    """
    runs = [Settings(**given | {"seed": seed}) for seed in seeds]
    _check(runs, graph)
    with fixed(runs[0].layers):
        torch.backends.cudnn.deterministic = runs[0].deterministic
        pack = Pack(runs, graph)
        rows = [pack.epoch(epoch) for epoch in range(runs[0].epochs)]
    return pd.concat([ended(found) for found in zip(*rows, strict=True)], ignore_index=True)


def _check(runs: Sequence[Settings], graph: bool) -> None:
    if not runs or len({run.seed for run in runs}) < len(runs):
        raise ValueError(f"seeds are {[run.seed for run in runs]}; allowed: one or more, each once")
    run = runs[0]
    refused = {"dropout": run.dropout, "reorder": run.reorder, "autocast": run.autocast}
    refused |= {"loss_scaling": run.loss_scaling != "none" and run.loss_scaling}
    for name, given in refused.items():
        if given:
            raise ValueError(f"{name} is {given!r}; networks are not packed with it: train them with kinks.train.loop")
    if graph and (torch.device(run.device).type != "cuda" or run.optimiser != "sgd"):
        given = f"{run.optimiser} on {run.device}"
        raise ValueError(f"graph=True with {given}; allowed: sgd on a CUDA device")


class Pack:
    """Networks in training that differ in their seed."""

    def __init__(self, runs: Sequence[Settings], graph: bool = False) -> None:
        self.members = [_Member(run) for run in runs]
        self.run = runs[0]
        self.net = pack([network(run) for run in runs])
        self.weights = list(self.net.parameters())
        kind = (SGD, self.run.momentum) if self.run.optimiser == "sgd" else (Adam, self.run.eps)
        self.optimiser = kind[0](self.weights, kind[1], self.run.weight_decay)
        self.tally = Tally(self.net, len(runs), self.run.count)
        self.graph = graph

    def epoch(self, epoch: int) -> list[dict[str, object]]:
        """Train for one pass, and return the row of every network."""
        told = self.one_pass(epoch)
        for place, member in enumerate(self.members):
            member.told = [(losses[place], logits[place], labels[place]) for losses, logits, labels in told]
            member.after = lambda member=member, place=place: self.hand(member, place)
        return [member.epoch(epoch) for member in self.members]

    def one_pass(self, epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Train on every mini-batch once; returns losses `(n,)`, logits `(n, B, classes)` and labels `(n, B)`."""
        self.net.train()
        self.tally.start()
        rate, told, last = self.members[0].rates[epoch], [], self.members[0].per_pass - 1
        replayed = Replayed(lambda x, labels: self.step(x, labels, rate)) if self.graph else None
        for index, (x, labels) in enumerate(self.minibatches(epoch)):
            self.tally.watching = index == last
            eager = replayed is None or index == last  # the last may be shorter, and is watched
            told.append((*(self.step(x, labels, rate) if eager else replayed(x, labels)), labels))
        return told

    def minibatches(self, epoch: int) -> Iterator[Part]:
        """Images `(B, n * C, H, W)`, normalised, and labels `(n, B)`: for each network those that it sees alone."""
        run, (images, labels) = self.run, self.members[0].train
        draws = [drawn(run.images, member.run.seed, epoch, run.augment).to(images.device) for member in self.members]
        for first in range(0, run.images, run.batch):
            part = slice(first, first + run.batch)
            chosen = torch.cat([draw.images(images, part) for draw in draws])
            x = normalise(chosen, run.dataset, run.storage, images.device).unflatten(0, (len(draws), -1))
            yield side_by_side(x), labels[torch.stack([draw.order[part] for draw in draws])]

    def step(self, x: Tensor, labels: Tensor, rate: float) -> tuple[Tensor, Tensor]:
        """Take one step with every network; returns losses `(n,)` and logits `(n, B, classes)`."""
        logits = self.net(x)
        losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none").view_as(labels).mean(1)
        gradients = torch.autograd.grad(losses.sum(), self.weights)
        # Torch's fused CPU kernel puts the elements of a transposed gradient into wrong places.
        self.optimiser.step([gradient.contiguous() for gradient in gradients], rate)
        return losses.detach(), logits.detach()

    @torch.no_grad()
    def hand(self, member: "_Member", place: int) -> None:
        """Give a network its weights, statistics and optimiser as they are now, and what was counted for it."""
        here = dict(self.net.named_buffers())
        pairs = [*zip(member.weights, self.weights, strict=True)]
        pairs += [(own, here[name]) for name, own in member.net.named_buffers() if name in here]
        pairs += zip(member.optimiser.state, self.optimiser.state, strict=True)
        for own, shared in pairs:
            own.copy_(shared[place] if shared.ndim > own.ndim else shared)
        self.tally.tell(member.census, place, self.run.images)


class _Member(Training):
    """A run whose passes are trained by the pack; it evaluates, replays and reports by itself, as the loop does."""

    told: list[tuple[Tensor, Tensor, Tensor]] | None = None

    def one_pass(self, epoch: int) -> dict[str, float] | None:
        try:
            return super().one_pass(epoch)
        finally:
            self.told = None  # what follows, a replay, computes

    def minibatches(self, epoch: int) -> Iterator[Part]:
        if self.told is None:
            yield from super().minibatches(epoch)
            return
        for told in self.told:
            self.now = told
            yield told[1], told[2]

    def step(self, epoch: int, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, None]:
        loss, logits, _ = self.now
        if self.now is self.told[-1]:
            self.after()
        return loss, logits, None


class Replayed:
    """A step that a CUDA graph repeats. NOT TESTED: it was written without a GPU at hand.

    The first call runs the step as it is, on a stream of its own as capturing wants it; the second captures it.
    """

    def __init__(self, step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]) -> None:
        self.step, self.calls, self.graph, self.stream = step, 0, torch.cuda.CUDAGraph(), torch.cuda.Stream()

    def __call__(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        self.calls += 1
        if self.calls == 1:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                found = self.step(x, labels)
            torch.cuda.current_stream().wait_stream(self.stream)
            return found
        if self.calls == 2:
            self.x, self.labels = x.clone(), labels.clone()
            with torch.cuda.graph(self.graph):
                self.found = self.step(self.x, self.labels)
        self.x.copy_(x)
        self.labels.copy_(labels)
        self.graph.replay()
        return tuple(one.clone() for one in self.found)
