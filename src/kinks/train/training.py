"""A network in training: passes, evaluation, and what is told about them."""

from collections.abc import Iterator
from contextlib import nullcontext
from math import isfinite, nan

import torch
import torch.nn.functional as F
from torch import Tensor

from kinks.data import normalise
from kinks.nets.dropout import Dropout
from kinks.train.census import Census
from kinks.train.diverged import Listener, all_finite, failed_at, first_bad
from kinks.train.optimise import SGD, Adam, rates
from kinks.train.scaling import scaling
from kinks.train.settings import Settings
from kinks.train.setup import Part, network, parts
from kinks.train.trajectory import one_pass, permutation

CHUNK = 500  # images that are classified at once
MEASURED = (
    "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "test_loss", "test_accuracy",
    "overflowed", "zeros", "zeros_share", "ties", "skipped", "dead_layers",
)  # fmt: skip


class Training:
    """A network with everything that its training needs."""

    def __init__(self, run: Settings) -> None:
        self.run = run
        self.train, self.validation, self.test = parts(run)
        self.net = network(run)
        self.weights = list(self.net.parameters())
        self.census = Census(self.net, run.count)
        kind = (SGD, run.momentum) if run.optimiser == "sgd" else (Adam, run.eps)
        self.optimiser = kind[0](self.weights, kind[1], run.weight_decay)
        self.scaling = scaling(run.loss_scaling, self.train[0].device)
        self.rates = rates(run.rate, run.schedule, run.epochs)
        self.dropouts = [layer for layer in self.net.modules() if isinstance(layer, Dropout)]
        self.masks = torch.Generator(self.train[0].device)
        for layer in self.dropouts:
            layer.generator = self.masks
        self.per_pass = -(-run.images // run.batch)
        judged = next(part for part in (self.test, self.validation, self.train) if len(part[1]))
        self.chances = {"chance": largest_share(judged[1]), "train_chance": largest_share(self.train[1])}
        self.diverged, self.cause = -1, ""

    def epoch(self, epoch: int) -> dict[str, object]:
        """Train for one pass, evaluate, and return the row."""
        found = dict.fromkeys(MEASURED, nan)
        if self.diverged < 0:
            before = self.snapshot()
            measured = self.one_pass(epoch)
            if measured is None:
                at, self.cause = self.replayed(epoch, before)
                self.diverged = epoch * self.per_pass + at
                found |= self.counted()
            else:
                found |= measured | self.evaluated()
        ended = {"diverged_step": self.diverged, "cause": self.cause, **self.chances}
        step = (epoch + 1) * self.per_pass if self.diverged < 0 else self.diverged
        return {**self.run.row(), "epoch": epoch, "step": step, "epoch_rate": self.rates[epoch], **found, **ended}

    def one_pass(self, epoch: int) -> dict[str, float] | None:
        """Train on every mini-batch once; None if a number was not finite."""
        self.net.train()
        self.census.start()
        self.failed = None
        losses, skips, right = [], [], 0
        for index, (x, labels) in enumerate(self.minibatches(epoch)):
            with self.census.watched() if index == self.per_pass - 1 else nullcontext():
                loss, logits, skipped = self.step(epoch, x, labels)
            losses.append(loss)
            skips += [] if skipped is None else [skipped]
            right = right + (logits.argmax(1) == labels).sum()
            if not loss.is_cuda and not skips and not isfinite(loss):
                self.failed = index
                return None
        values, left_out = torch.stack(losses).double().cpu(), torch.stack(skips).cpu() if skips else None
        self.failed = failed_at(values, left_out)
        if self.failed is not None or not all_finite(self.weights):
            return None
        taken = values[torch.isfinite(values)]
        return {
            "train_loss": float(taken.mean()),
            "train_accuracy": int(right) / self.run.images,
            "skipped": 0.0 if left_out is None else float(left_out.sum()),
            "dead_layers": float(self.census.dead_layers()),
        } | self.counted()

    def counted(self) -> dict[str, float]:
        """The census of the pass, as far as it went."""
        if not self.run.count:
            return {}
        zeros, seen = float(self.census.zeros), self.census.evaluations
        return {"zeros": zeros, "zeros_share": zeros / seen if seen else nan, "ties": float(self.census.ties)}

    def minibatches(self, epoch: int) -> Iterator[Part]:
        """Normalised images and labels; the arm `reorder` permutes the examples of each."""
        run = self.run
        self.masks.manual_seed(2**40 + run.seed * 1_000_003 + epoch)
        for index, (x, labels) in enumerate(one_pass(*self.train, run.batch, run.seed, epoch, run.augment)):
            if run.reorder:
                step = epoch * self.per_pass + index + 1
                order = permutation(len(x), run.seed, step).to(x.device, non_blocking=True)
                x, labels = x[order], labels[order]
                for layer in self.dropouts:
                    layer.order = order
            yield normalise(x, run.dataset, run.storage, x.device), labels

    def forward(self, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The mini-batch's mean cross-entropy (in fp32 under autocast) and its logits."""
        logits = self.net(x)
        return F.cross_entropy(logits.float() if self.run.autocast else logits, labels), logits.detach()

    def step(self, epoch: int, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Take one step; returns the loss, the logits, and whether loss scaling skipped it (None: it never does)."""
        loss, logits = self.forward(x, labels)
        gradients = torch.autograd.grad(self.scaling.scaled(loss), self.weights)
        return loss.detach(), logits, self.scaling.step(self.optimiser, gradients, self.rates[epoch])

    @torch.no_grad()
    def evaluated(self) -> dict[str, float]:
        """Losses and accuracies on validation and test images."""
        self.net.eval()
        loss, accuracy, _ = self.classified(self.validation)
        names = ("test_loss", "test_accuracy", "overflowed")
        tested = dict(zip(names, self.classified(self.test), strict=True))
        return {"validation_loss": loss, "validation_accuracy": accuracy, **tested}

    def classified(self, part: Part) -> tuple[float, float, float]:
        """Mean loss, share of images classified rightly, share with a logit that is not finite; NaN without images."""
        sums = []
        for x, labels in zip(*(one.split(CHUNK) for one in part), strict=True):
            if not len(x):
                return nan, nan, nan
            logits = self.net(normalise(x, self.run.dataset, self.run.storage, x.device))
            finite = torch.isfinite(logits).all(1)
            wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
            right = (logits.argmax(1) == labels) & finite
            loss = F.cross_entropy(wide, labels, reduction="sum").double()
            sums.append(torch.stack([loss, right.sum().double(), (~finite).sum().double()]))
        return tuple((torch.stack(sums).sum(0) / len(part[1])).tolist())

    def snapshot(self) -> list[Tensor]:
        """Copies of everything that a step changes."""
        return [tensor.detach().clone() for tensor in self._changing()]

    def _changing(self) -> list[Tensor]:
        return [*self.weights, *self.net.buffers(), *self.optimiser.state, *self.scaling.state]

    def replayed(self, epoch: int, before: list[Tensor]) -> tuple[int, str]:
        """Train the pass again from its snapshot and look at every step: the first failing one, and the cause."""
        with torch.no_grad():
            for tensor, old in zip(self._changing(), before, strict=True):
                tensor.copy_(old)
        self.net.train()
        self.census.start()
        with Listener().on(self.net) as listener:
            for index, (x, labels) in enumerate(self.minibatches(epoch)):
                cause = self.examined(epoch, x, labels, listener)
                if cause and (not self.scaling.skips or index == self.failed):
                    return index, cause
                if index == self.failed:
                    break
        # Only kernels that do not repeat themselves come here: the step is known, the cause is not.
        return (self.per_pass - 1 if self.failed is None else self.failed), "unknown"

    def examined(self, epoch: int, x: Tensor, labels: Tensor, listener: Listener) -> str:
        """Take one step as `step` does, and say where it met a number that is not finite; "" if nowhere."""
        loss, _ = self.forward(x, labels)
        cause = "" if torch.isfinite(loss) else listener.found or "loss"
        if cause and not self.scaling.skips:
            return cause
        gradients = torch.autograd.grad(self.scaling.scaled(loss), self.weights)
        names = [name for name, _ in self.net.named_parameters()]
        # Backward comes to the last layer first.
        bad = first_bad(list(zip(names, gradients, strict=True))[::-1])
        self.scaling.step(self.optimiser, gradients, self.rates[epoch])
        worse = first_bad(list(self.net.named_parameters()))
        return cause or (bad and f"gradient: {bad}") or (worse and f"update: {worse}") or ""


def largest_share(labels: Tensor) -> float:
    """The share of the most frequent class, which is what a network that has learnt nothing gets right."""
    return float(torch.bincount(labels).max()) / len(labels)
