"""Ways of training several networks; each is made from their settings, and a call trains every one for a pass."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from multiprocessing.connection import Connection

import torch
from torch import Tensor

from kinks.precision import fixed
from kinks.train.packed import Pack, Replayed
from kinks.train.settings import Settings
from kinks.train.training import Training

Losses = list[float]  # the training loss of each network


class Alone:
    """One network after the other."""

    kind = Training

    def __init__(self, runs: Sequence[Settings], stack: ExitStack | None = None) -> None:
        self.trainings = [self.kind(run) for run in runs]

    def __call__(self) -> Losses:
        return [training.one_pass(0)["train_loss"] for training in self.trainings]


class Streams(Alone):
    """A thread and a CUDA stream for each network."""

    def __init__(self, runs: Sequence[Settings], stack: ExitStack) -> None:
        super().__init__(runs)
        self.streams = [torch.cuda.Stream() for _ in runs]
        self.threads = stack.enter_context(ThreadPoolExecutor(len(runs)))

    def __call__(self) -> Losses:
        return list(self.threads.map(self._one, self.trainings, self.streams))

    def _one(self, training: Training, stream: torch.cuda.Stream) -> float:
        with torch.cuda.stream(stream):
            return training.one_pass(0)["train_loss"]


class _Captured(Training):
    """A network whose step is a CUDA graph."""

    def __init__(self, run: Settings) -> None:
        super().__init__(run)
        self.replayed = Replayed(lambda x, labels: Training.step(self, 0, x, labels)[:2])

    def step(self, epoch: int, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, None]:
        return *self.replayed(x, labels), None


class Graphs(Alone):
    """One network after the other, each step of it one launch."""

    kind = _Captured


class Batched:
    """All networks as one with stacked weights."""

    graph = False

    def __init__(self, runs: Sequence[Settings], stack: ExitStack) -> None:
        self.pack = Pack(runs, self.graph)

    def __call__(self) -> Losses:
        told = self.pack.one_pass(0)
        return torch.stack([losses for losses, _, _ in told]).mean(0).tolist()


class BatchedGraph(Batched):
    """The same, each step one launch."""

    graph = True


class Processes:
    """A process for each network, started before anything is timed."""

    def __init__(self, runs: Sequence[Settings], stack: ExitStack) -> None:
        context = multiprocessing.get_context("spawn")
        self.ends = []
        for run in runs:
            here, there = context.Pipe()
            worker = context.Process(target=_serve, args=(there, run), daemon=True)
            worker.start()
            self.ends.append(stack.enter_context(here))
            stack.callback(worker.join)
            stack.callback(here.send, False)

    def __call__(self) -> Losses:
        for end in self.ends:
            end.send(True)
        return [end.recv() for end in self.ends]


def _serve(end: Connection, run: Settings) -> None:
    with fixed(run.layers):
        training = Training(run)
        while end.recv():
            end.send(training.one_pass(0)["train_loss"])


WAYS: dict[str, Callable[[Sequence[Settings], ExitStack], Callable[[], Losses]]] = {
    "processes": Processes, "streams": Streams, "CUDA graphs": Graphs, "batched weights": Batched,
    "batched weights in a CUDA graph": BatchedGraph,
}  # fmt: skip
