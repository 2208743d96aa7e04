"""The networks by name: `build` makes one, `check_images` says whether images fit it.

Besides those of `ARCHITECTURES` there are perceptrons, "mlp 3x2048" (hidden layers x neurons), and, for small machines,
VGG and ResNet-18 with every number of channels divided, "vgg11/8" or "resnet18-2x2/8".
"""

import difflib
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn

from kinks.nets.densenet import densenet121
from kinks.nets.initialise import Init, initialise
from kinks.nets.lenet import lenet5
from kinks.nets.mlp import perceptron
from kinks.nets.resnet import resnet18, resnet50
from kinks.nets.vgg import vgg


@dataclass(frozen=True)
class Architecture:
    """A network of the papers.

    Attributes:
        make: builds it from the keywords `batch_norm` and `classes`.
        image: channels, height and width of the images it is given.
        classes: how many, unless said otherwise.
        init: the start that the papers train it from.
    """

    make: Callable[..., nn.Sequential]
    image: tuple[int, int, int] = (3, 32, 32)
    classes: int = 10
    init: Init = "default"


ARCHITECTURES = {
    "lenet5": Architecture(lenet5, image=(1, 28, 28)),
    "vgg11": Architecture(partial(vgg, 11)),
    "vgg13": Architecture(partial(vgg, 13)),
    "vgg16": Architecture(partial(vgg, 16)),
    "vgg19": Architecture(partial(vgg, 19)),
    "resnet18-2x2": Architecture(partial(resnet18, pool="2x2"), init="kaiming_normal"),
    "resnet18-3x3": Architecture(partial(resnet18, pool="3x3"), init="kaiming_normal"),
    "resnet50-2x2": Architecture(partial(resnet50, pool="2x2"), (3, 224, 224), 1000, "kaiming_normal"),
    "resnet50-3x3": Architecture(partial(resnet50, pool="3x3"), (3, 224, 224), 1000, "kaiming_normal"),
    "densenet121": Architecture(densenet121, init="densenet"),
    "densenet121-published": Architecture(partial(densenet121, wiring="published"), init="densenet"),
}


DIVIDED = ("vgg", "resnet18")  # those whose channels can be divided, by a power of two
CHANNELS = 64  # the fewest of them


def architecture(name: str) -> Architecture:
    """The entry called `name`; ValueError, with the nearest known name, if there is none."""
    if perceptron_name := re.fullmatch(r"mlp ([1-9]\d*)x([1-9]\d*)", str(name)):
        return Architecture(partial(perceptron, *map(int, perceptron_name.groups())), image=(1, 28, 28))
    whole, _, divisor = str(name).partition("/")
    if whole.startswith(DIVIDED) and whole in ARCHITECTURES and divisor:
        if not divisor.isdecimal() or int(divisor) < 1 or CHANNELS % int(divisor):
            raise ValueError(f"{name}: channels are divided by {divisor}; allowed: 2, 4, 8, 16, 32, 64")
        entry = ARCHITECTURES[whole]
        return replace(entry, make=partial(entry.make, divisor=int(divisor)))
    if name not in ARCHITECTURES:
        near = difflib.get_close_matches(str(name), ARCHITECTURES, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        known = f"{', '.join(ARCHITECTURES)}, 'mlp LAYERSxNEURONS', and VGG and ResNet-18 with '/DIVISOR'"
        raise ValueError(f"no network is called {name!r}; allowed: {known}{hint}")
    return ARCHITECTURES[name]


def build(
    name: str,
    *,
    batch_norm: bool,
    seed: int,
    classes: int | None = None,
    init: Init | None = None,
    dropout: float = 0.0,
) -> nn.Sequential:
    """Build the network called `name` with weights drawn from `seed`, in fp32, on the CPU, in training mode.

    `classes` and `init` (see `initialise`) are the papers' unless given. Equal arguments give equal weights, bit for
    bit, and no global generator is read or moved. Every ReLU is an `nn.ReLU` of its own and every maximum an
    `nn.MaxPool2d`, so that derivatives can be swapped in. `dropout` is the share of units that perceptrons drop after
    every ReLU. Raises ValueError for an unknown name or start, for fewer than two classes, and for dropout elsewhere.
    """
    entry = architecture(name)
    if dropout and not name.startswith("mlp "):
        raise ValueError(f"{name}: dropout is {dropout!r}; only perceptrons, as 'mlp 3x2048', have dropout")
    classes = entry.classes if classes is None else classes
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"{name}: classes is {classes!r}; allowed: an integer of at least 2")
    # PyTorch's layers draw when they are made. The meta device would avoid it, but takes 2 s to leave, loading sympy.
    with torch.random.fork_rng(devices=[]):
        model = entry.make(batch_norm=batch_norm, classes=classes, **({"dropout": dropout} if dropout else {}))
    return initialise(model, entry.init if init is None else init, seed)


def check_images(name: str, images: Tensor) -> None:
    """Raise ValueError unless `images` is a floating-point batch (N, channels, height, width) for network `name`."""
    image = architecture(name).image
    if not images.is_floating_point() or tuple(images.shape[1:]) != image or len(images) == 0:
        shape = ", ".join(map(str, image))
        raise ValueError(
            f"{name}: given {images.dtype} of shape {tuple(images.shape)}; "
            f"allowed: floating-point images of shape (N, {shape}), N at least 1"
        )
