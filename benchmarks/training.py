"""The training loop on one core: its step against the described one and against torch's own layers, and a pass."""

from collections.abc import Callable, Iterator
from math import isfinite

import torch
from torch import Tensor

from benchmarks import described_training as described
from benchmarks.timing import Cost, Result, SpeedUp, paired, require
from kinks.data import load, normalise
from kinks.nets.registry import build
from kinks.train import loop
from kinks.train.settings import Settings
from kinks.train.training import Training

NETWORKS = ("lenet5", "vgg11", "mlp 3x2048")
RATE = 1e-6  # so small that the numbers stay those of a start, however often a step is timed
CHECKED = 3  # steps after which weights are compared, at a rate that moves them
ROUNDS = 7


def rows() -> Iterator[Result]:
    """Steps with each Jacobian of the max-pool, torch's own layers, a step of the first paper, and a whole pass."""
    for network, batch, goal in (("lenet5", 128, 3), ("vgg11", 32, 1.3)):
        for beta in (0.0, 1.0):
            yield stepping(network, batch, SpeedUp(goal), beta=beta)
        yield torchs_layers(network, batch, Cost(1.05))
    yield torchs_layers("lenet5", 128, Cost(), count=True)
    yield stepping("mlp 3x2048", 128, SpeedUp(), alpha=0.5, rule="assign")
    yield whole_pass("lenet5", 1280, SpeedUp())


def stepping(network: str, batch: int, goal: SpeedUp, **kink: object) -> Result:
    """A step of our loop, zeros and ties counted, against the described one; the limit is a step of torch's layers."""
    x, labels = minibatch(network, batch)
    ours, theirs = Training(run(network, batch, **kink)), Peer.of(network, RATE, **_described(kink))
    torchs = Peer.of(network, RATE)
    value = ", ".join(f"{name} {kink[name]:g}" for name in ("alpha", "beta") if name in kink)
    return paired(
        f"{network}, training step, {batch}, {value}",
        lambda: our_step(ours, x, labels),
        "described loop",
        lambda: theirs.step(x, labels),
        check=lambda: check_steps(network, batch, **kink),
        goal=goal,
        limit=lambda: torchs.step(x, labels),
        rounds=ROUNDS,
    )


def torchs_layers(network: str, batch: int, goal: Cost, count: bool = False) -> Result:
    """A step at alpha = beta = 0 against nn.ReLU, nn.MaxPool2d and torch.optim.SGD, which read no loss."""
    x, labels = minibatch(network, batch)
    ours, theirs = Training(run(network, batch, count=count)), Peer.of(network, RATE)
    return paired(
        f"{network}, training step, {batch}, alpha = beta = 0{', counting' if count else ''}",
        lambda: our_step(ours, x, labels),
        "torch's layers and optimiser",
        lambda: theirs.unread_step(x, labels),
        check=lambda: check_steps(network, batch, count=count),
        goal=goal,
        rounds=ROUNDS if network == "vgg11" else 15,  # its goal is close to 1
    )


def whole_pass(network: str, images: int, goal: SpeedUp) -> Result:
    """A pass as it is: loader, steps, and what is written down about them."""
    data = load(dataset_of(network))
    ours, theirs = Training(run(network, 128, images=images)), Peer.of(network, RATE, beta=0.0)
    loader = described.loader(data.images[:images], data.labels[:images], dataset_of(network), 128, augment=False)

    def described_pass() -> None:
        described.one_pass(theirs.net, theirs.optimiser, loader)

    def check() -> str:
        require(ours.one_pass(0) is not None, "all losses are finite")
        return check_steps(network, 128, beta=0.0)

    name = f"{network}, pass over {images} images, beta 0"
    return paired(
        name,
        lambda: ours.one_pass(0),
        "described loop and loader",
        described_pass,
        check=check,
        goal=goal,
        rounds=ROUNDS,
    )


def check_steps(network: str, batch: int, count: bool = True, **kink: object) -> str:
    """Losses and weights of a few steps equal the described loop's, bit for bit; beta = 1000 keeps torch's maximum."""
    x, labels = minibatch(network, min(batch, 32 if dataset_of(network) == "mnist" else 8))
    ours, theirs = (
        Training(run(network, batch, rate=0.01, count=count, **kink)),
        Peer.of(network, 0.01, **_described(kink)),
    )
    same_steps(ours, theirs, x, labels)
    found = f"losses and weights of {CHECKED} steps equal in all bits"
    if "beta" not in kink:
        return found
    mixed = {"beta": 1000.0, "forward": "mixed"}
    same_steps(Training(run(network, batch, **mixed)), Peer.of(network, RATE, beta=1000.0), x, labels)
    exact = Training(run(network, batch, beta=1000.0))
    with torch.no_grad():
        require(torch.equal(exact.net(x), Peer.of(network, RATE).net(x)), "logits at beta = 1000 are torch's")
    return f"{found}, those of the mixed forward at beta = 1000 too; logits of the exact one are torch's"


def same_steps(ours: Training, theirs: "Peer", x: Tensor, labels: Tensor) -> None:
    """Take the same steps with both; CheckError if a loss or a weight differs in any bit."""
    for _ in range(CHECKED):
        loss, right = theirs.step(x, labels)
        found = our_step(ours, x, labels)
        require((float(found[0]), int(found[1])) == (loss, right), "loss and accuracy equal in all bits")
    pairs = zip(ours.net.parameters(), theirs.net.parameters(), strict=True)
    require(all(torch.equal(a, b) for a, b in pairs), "weights equal in all bits")


def our_step(training: Training, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """What our loop does with a mini-batch: loss, and how many images were classified rightly."""
    loss, logits, _ = training.step(0, x, labels)
    require(isfinite(loss), "the loss is finite")
    return loss, (logits.argmax(1) == labels).sum()


class Peer:
    """A network trained by torch's optimiser: as described, or with torch's own layers."""

    def __init__(self, net: torch.nn.Module, rate: float) -> None:
        self.net, self.optimiser = net, described.optimiser(net, "sgd", rate)

    @classmethod
    def of(cls, network: str, rate: float, **kink: float) -> "Peer":
        """With the described layers if a value at a kink is given, alpha or beta."""
        made: Callable = described.network if kink else build
        return cls(made(network, batch_norm=False, seed=0, **kink), rate)

    def step(self, x: Tensor, labels: Tensor) -> tuple[float, int]:
        """The described step."""
        return described.step(self.net, self.optimiser, x, labels)

    def unread_step(self, x: Tensor, labels: Tensor) -> Tensor:
        """A step that reads neither loss nor accuracy."""
        self.optimiser.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.net(x), labels)
        loss.backward()
        self.optimiser.step()
        return loss.detach()


def dataset_of(network: str) -> str:
    """Embedded images of the size that a network takes."""
    return "mnist" if network.startswith(("lenet", "mlp")) else "photographs"


def run(network: str, batch: int, images: int | None = None, rate: float = RATE, **changes: object) -> Settings:
    """Settings of our loop for one of the networks on the embedded images."""
    data, _ = loop.data(dataset_of(network), images=images or batch)
    return Settings(network=network, batch=batch, epochs=1, rate=rate, **data | {"classes": None} | changes)


def minibatch(network: str, batch: int) -> tuple[Tensor, Tensor]:
    """The first images of a data set, normalised fp32 `(batch, C, H, W)`, and their labels."""
    data = load(dataset_of(network))
    images = data.images[:batch]
    images = images if images.ndim == 4 else images[:, None]
    return normalise(images, dataset_of(network), torch.float32), data.labels[:batch]


def _described(kink: dict[str, object]) -> dict[str, float]:
    return {name: value for name, value in kink.items() if name in ("alpha", "beta")}
