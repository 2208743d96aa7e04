"""What the networks of K1 to K3 are trained on, and the segments on which their regions are counted."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kinks.audit.samples import pixels
from kinks.data import load
from kinks.pieces.gradients import Loss
from kinks.pieces.network import Float
from kinks.pieces.sawtooth import tooth

TEETH = 5  # levels of the sawtooth with 16 teeth
TARGETS = {
    "sine": lambda x: np.sin(2 * np.pi * x),
    "square": lambda x: x**2,
    "absolute": lambda x: np.abs(x - 0.5),
    "sawtooth": lambda x: tooth(x, TEETH),
}
NAMES = {"interval": "T1", "mnist": "T2", "cube": "T3"}
ABOUT = {
    "interval": "256 equispaced points of [0, 1]",
    "cube": "a smooth sum at uniform points of [0, 1]^10",
}


@dataclass(frozen=True, eq=False)
class Task:
    """Training data, float64, and segments.

    Attributes:
        x: `(n, inputs)`. y: `(n, 1)`, or class numbers `(n,)`.
        outputs: of the network.
        ends: the segments' starts and ends, `(2, segments, inputs)`.
        whole: whether the one segment is the whole domain, so that a neuron dead on it is dead on the domain; if not,
            the domain is taken to be the data.
    """

    x: Tensor
    y: Tensor
    loss: Loss
    outputs: int
    ends: Float
    whole: bool

    @property
    def lengths(self) -> Float:
        """Euclidean lengths of the segments."""
        return np.linalg.norm(self.ends[1] - self.ends[0], axis=1)


def task(name: str, **settings: object) -> Task:
    """Return a task by name, see `interval`, `cube` and `digits` for its settings.

    Raises:
        ValueError: another name.
    """
    if name not in NAMES:
        raise ValueError(f"task is {name!r}; allowed: {', '.join(NAMES)}")
    return {"interval": interval, "mnist": digits, "cube": cube}[name](**settings)


def interval(target: str = "sine", points: int = 256) -> Task:
    """T1: a function at equispaced points of [0, 1], mean squared error; regions on [0, 1].

    Raises:
        ValueError: another target.
    """
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; allowed: {', '.join(TARGETS)}")
    x = np.linspace(0, 1, points)[:, None]
    ends = np.array([[[0.0]], [[1.0]]])
    return Task(torch.from_numpy(x), torch.from_numpy(TARGETS[target](x)), "squared", 1, ends, True)


def cube(dimension: int = 10, points: int = 512, segments: int = 1) -> Task:
    """T3: the mean of sin(pi x_i) at uniform points of the cube, mean squared error; regions between data points."""
    x = np.random.default_rng(10).random((points, dimension))
    y = np.sin(np.pi * x).mean(1, keepdims=True)
    return Task(torch.from_numpy(x), torch.from_numpy(y), "squared", 1, _between(x, segments), False)


def digits(source: str, checksum: str, images: int, segments: int = 1) -> Task:
    """T2: the first MNIST training images, pixels in [0, 1], cross-entropy; regions between random ones of them."""
    x, labels = pixels(source, checksum, images, torch.float64, "cpu")
    return Task(x, labels, "cross_entropy", 10, _between(x.numpy(), segments), False)


def with_data(settings: Mapping[str, object], source: str) -> tuple[dict, str]:
    """Return a task's settings, for MNIST with the checksum of its images, and the label of its data."""
    if settings["name"] != "mnist":
        return dict(settings), label(settings)
    card = load("mnist", source=source).card
    return {**settings, "source": source, "checksum": card.checksum}, card.label


def label(settings: Mapping[str, object]) -> str:
    """What a figure says about data that a formula gives."""
    return f"{NAMES[str(settings['name'])]}, {ABOUT[str(settings['name'])]}"


def _between(x: Float, segments: int) -> Float:
    pairs = np.random.default_rng(0)
    return np.stack([x[pairs.choice(len(x), 2, replace=False)] for _ in range(segments)], axis=1)
