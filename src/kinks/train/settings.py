"""The settings of a training run, checked, with the papers' values for what is not said."""

import difflib
from collections.abc import Callable
from dataclasses import MISSING, asdict, dataclass, fields

import torch

from kinks.nets.registry import architecture
from kinks.ops import PoolDerivative, ReLUDerivative
from kinks.precision import Precision, named
from kinks.train.optimise import NAMES as OPTIMISERS
from kinks.train.optimise import SCHEDULES

CROPPED = ("photographs", "cifar10", "cifar100", "folder")  # data sets that are cropped and mirrored, as published
PRECISIONS = ("fp64", "fp32", "tf32", "fp16", "bf16")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One training run; every value is plain JSON. Those with a default here are the papers'.

    Attributes:
        network, batch_norm, dropout, init, classes: as `kinks.nets.registry.build` takes them (None: the papers').
        precision: fp64, fp32, tf32 (CUDA only), fp16 or bf16, of weights, activations, gradients and optimiser.
        autocast: fp32 weights and optimiser with layers in fp16 or bf16, evaluated in fp32 (the papers' "24 bits").
        loss_scaling: "none", "dynamic" (the rules of torch.amp.GradScaler) or a factor.
        bias: as in `kinks.precision`; None: PyTorch's own, after the convolution in 16 bits, else with it.
        optimiser, rate, momentum, weight_decay, eps: sgd (decay 5e-4 if None) or adam (0 if None; no momentum).
        schedule: "cosine" to 0 over `epochs`, stepped per epoch, or "constant".
        augment: whether images are cropped and mirrored (None: as published for the data set).
        seed: of the weights, the order of the images, their crops and the dropped units.
        alpha, rule: ReLU'(0) and how it is used; beta, forward: the max-pool's Jacobian at ties and its forward.
        reorder: whether the examples of each mini-batch are permuted: the same sums in another order.
        count: whether exact zeros before ReLUs and tied windows are counted in training.
        dataset, source, folder, split, checksum, images, validation, test_checksum, held_out: as
            `kinks.train.loop.data` returns them.
        deterministic: whether cuDNN is held to deterministic kernels. A CPU always is.
    """

    network: str
    epochs: int
    rate: float
    dataset: str
    source: str | None
    folder: str | None
    checksum: str
    images: int
    validation: int
    test_checksum: str | None
    held_out: int
    split: str = "train"
    classes: int | None = None
    batch_norm: bool = False
    dropout: float = 0.0
    init: str | None = None
    precision: str = "fp32"
    autocast: bool = False
    loss_scaling: str | float = "none"
    bias: str | None = None
    optimiser: str = "sgd"
    momentum: float = 0.9
    weight_decay: float | None = None
    eps: float = 1e-8
    schedule: str = "cosine"
    batch: int = 128
    augment: bool | None = None
    seed: int = 0
    alpha: float = 0.0
    rule: str = "chain"
    beta: float = 0.0
    forward: str = "exact"
    reorder: bool = False
    count: bool = True
    device: str = "cpu"
    deterministic: bool = True

    def __post_init__(self) -> None:
        for name, allowed in _WORDS.items():
            _known(name, getattr(self, name), allowed)
        for name, (allowed, fits) in _NUMBERS.items():
            given = getattr(self, name)
            if isinstance(given, bool) or not isinstance(given, int | float) or not fits(given):
                raise ValueError(f"{name} is {given!r}; allowed: {allowed}")
        for name, filled in self._papers().items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, filled)
        self._check_together()

    def _papers(self) -> dict[str, object]:
        """What None stands for."""
        return {
            "init": architecture(self.network).init,
            "classes": architecture(self.network).classes,
            "bias": "after_convolution" if self.precision in ("fp16", "bf16") else "accumulator",
            "weight_decay": 5e-4 if self.optimiser == "sgd" else 0.0,
            "augment": self.dataset in CROPPED,
        }

    def _check_together(self) -> None:
        sixteen = self.precision in ("fp16", "bf16")
        if self.autocast and not sixteen:
            raise ValueError(f"autocast with precision {self.precision!r}; allowed: 'fp16', 'bf16'")
        if self.precision == "tf32" and torch.device(self.device).type != "cuda":
            raise ValueError(f"precision is 'tf32' on device {self.device!r}, which has none; allowed: a CUDA device")
        scaling = self.loss_scaling
        number = isinstance(scaling, int | float) and not isinstance(scaling, bool) and scaling > 0
        if scaling not in ("none", "dynamic") and not number:
            raise ValueError(f"loss_scaling is {scaling!r}; allowed: 'none', 'dynamic' or a positive number")
        ReLUDerivative(self.alpha, self.rule)
        PoolDerivative(self.beta, self.forward)
        named(self.layers.name, self.bias)

    @property
    def layers(self) -> Precision:
        """The precision in which layers compute."""
        if self.precision == "tf32":
            return Precision("fp32", self.bias, tf32=True)
        return named(self.precision, self.bias, self.device)

    @property
    def storage(self) -> torch.dtype:
        """The format of the weights and of the images."""
        return torch.float32 if self.autocast else self.layers.storage

    @property
    def label(self) -> str:
        """The precision in the words of a table: "fp16", "fp16, scaled", "fp16 autocast", "tf32"."""
        scaled = "" if self.loss_scaling == "none" else ", scaled"
        return f"{self.precision}{' autocast' if self.autocast else ''}{scaled}"

    def row(self) -> dict[str, object]:
        """The columns that identify the run."""
        kept = {name: value for name, value in asdict(self).items() if name not in _NOT_IN_ROWS}
        kept["loss_scaling"] = str(self.loss_scaling)
        exact = self.layers.row() | {"precision": self.precision, "autocast": self.autocast}
        determined = self.deterministic or torch.device(self.device).type == "cpu"
        return kept | exact | {"precision_label": self.label, "deterministic": determined}


_NOT_IN_ROWS = ("source", "folder", "checksum", "test_checksum", "device", "count")
_WORDS = {"split": ("train", "extra"), "precision": PRECISIONS, "optimiser": OPTIMISERS, "schedule": SCHEDULES}
_NUMBERS: dict[str, tuple[str, Callable[[float], bool]]] = {
    "epochs": ("a whole number of at least 1", lambda n: isinstance(n, int) and n >= 1),
    "batch": ("a whole number of at least 1", lambda n: isinstance(n, int) and n >= 1),
    "images": ("a whole number of at least 1", lambda n: isinstance(n, int) and n >= 1),
    "validation": ("a whole number of at least 0", lambda n: isinstance(n, int) and n >= 0),
    "held_out": ("a whole number of at least 0", lambda n: isinstance(n, int) and n >= 0),
    "seed": ("a whole number of at least 0", lambda n: isinstance(n, int) and n >= 0),
    "rate": ("a number above 0", lambda n: 0 < n < float("inf")),
    "momentum": ("a number from 0 up to, but not including, 1", lambda n: 0 <= n < 1),
    "dropout": ("a number from 0 up to, but not including, 1", lambda n: 0 <= n < 1),
    "eps": ("a number of at least 0", lambda n: 0 <= n < float("inf")),
}


def _known(name: str, given: object, allowed: tuple[str, ...]) -> None:
    if given not in allowed:
        raise ValueError(f"{name} is {given!r}; allowed: {', '.join(map(repr, allowed))}")


def settings(**given: object) -> dict[str, object]:
    """Return the settings of `kinks.train.loop.job`: `given`, checked, and the papers' values for the rest.

    Raises:
        ValueError: a name that is no setting, one that is missing, or a value that is not allowed.
    """
    known = {field.name: field for field in fields(Settings)}
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"{name} is no setting of a training run; allowed: {', '.join(known)}{hint}")
    missing = [name for name, field in known.items() if field.default is MISSING and name not in given]
    if missing:
        raise ValueError(f"a training run lacks {', '.join(missing)}; `data` returns those of the images")
    return asdict(Settings(**given))
