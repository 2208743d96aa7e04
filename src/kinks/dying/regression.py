"""Regression data: standardised inputs and targets in three parts, from scikit-learn, the user's files, or a teacher.

Preprocessing is that of the first author's public package of UCI data sets, the likely source of the paper's data: a
fifth of the rows for testing, a fifth of the rest for validation, categories one-hot, every column of inputs and
targets at mean 0 and variance 1 by statistics of the training part, columns that hardly vary set to 0. Targets are
multiplied by gamma where they are used, not here.
"""

import gzip
import hashlib
import importlib.util
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kinks.data import DataError
from kinks.data.images import md5

CONSTANT = 1e-6  # standard deviation below which a column counts as constant
TEST, VALIDATION = 0.2, 0.2
TEACHER_ROWS = 10_000
_DIABETES = {  # md5 of what is compressed in scikit-learn's files
    "diabetes_data_raw.csv.gz": "e022ac43b66f542dff1d4b331d7eef66",
    "diabetes_target.csv.gz": "3e3835cad7a1565b5142786dfbd64bc6",
}
_SEX = 1  # column: 1 or 2, a category


class Part(NamedTuple):
    """Inputs `(n, d)` and targets `(n,)`, float64."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Regression:
    """A regression set ready for training.

    Attributes:
        name: of the set.
        source: `scikit-learn`, `file` or `teacher`.
        train: the part whose statistics standardised all three.
        validation: for choosing learning rates.
        test: for nothing but reporting.
        target: mean and standard deviation of the raw training targets.
        constant: input columns that were set to 0.
        checksum: the first 16 digits of the SHA-256 of the raw inputs and targets.
    """

    name: str
    source: str
    train: Part
    validation: Part
    test: Part
    target: tuple[float, float]
    constant: int
    checksum: str

    def card(self) -> dict[str, object]:
        """The columns that a result row carries about its data."""
        parts = {"train": self.train, "validation": self.validation, "test": self.test}
        counts = {f"{name}_rows": len(part.y) for name, part in parts.items()}
        return {"data": self.name, "source": self.source, "inputs": self.train.x.shape[1], **counts} | {
            "constant_columns": self.constant,
            "checksum": self.checksum,
        }


def load(name: str, seed: int = 0, rows: int | None = None) -> Regression:
    """Return `diabetes`, or a synthetic teacher: `net-8`, `net-32`, `sine-8` or `sine-32` (kind and dimension).

    Args:
        name: see above; files are read by `kinks.dying.tables.read`.
        seed: of the split, and of a teacher.
        rows: of a teacher, in all; 10,000 where none is given. Other sets have theirs.

    Raises:
        DataError: an unknown name, or scikit-learn is missing.
    """
    kind, _, dimension = name.partition("-")
    if name == "diabetes":
        return diabetes(seed)
    if kind in TEACHERS and dimension in ("8", "32"):
        return teacher(kind, int(dimension), TEACHER_ROWS if rows is None else rows, seed)
    names = ", ".join(["diabetes", *(f"{kind}-{d}" for kind in TEACHERS for d in (8, 32))])
    raise DataError(f"regression set is {name!r}; allowed: {names}, or a CSV file through kinks.dying.tables.read")


def diabetes(seed: int = 0) -> Regression:
    """Return the diabetes set inside scikit-learn: 442 patients, 10 inputs (sex is a category: 11 columns).

    Raises:
        DataError: scikit-learn is missing, or its files are others than they were.
    """
    spec = importlib.util.find_spec("sklearn")  # finds the package without the seconds that importing it takes
    if spec is None:
        raise DataError("the diabetes set lies inside scikit-learn: install it, or choose another set")
    folder = Path(spec.submodule_search_locations[0], "datasets", "data")
    x, y = (_numbers(folder / name, checksum) for name, checksum in _DIABETES.items())
    x = np.concatenate([np.delete(x, _SEX, 1), x[:, [_SEX]] == np.unique(x[:, _SEX])], 1)
    return prepare("diabetes", "scikit-learn", x, y, split(len(y), seed))


def _numbers(path: Path, checksum: str) -> np.ndarray:
    try:
        content = gzip.decompress(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: {error}; install the scikit-learn of the lock file") from None
    if md5(content) != checksum:
        raise DataError(f"{path} has md5 {md5(content)}, not {checksum}; install the scikit-learn of the lock file")
    return np.loadtxt(io.BytesIO(content))


def _net(x: Tensor, generator: torch.Generator) -> Tensor:
    """A random network with two hidden layers of 64 ReLUs, initialised as He et al. do."""
    for width in (64, 64, 1):
        weight = torch.randn(x.shape[1], width, generator=generator, dtype=x.dtype) * math.sqrt(2 / x.shape[1])
        x = x @ weight if width == 1 else (x @ weight).relu()
    return x[:, 0]


def _sine(x: Tensor, generator: torch.Generator) -> Tensor:
    noise = 0.1 * torch.randn(len(x), generator=generator, dtype=x.dtype)
    return (2 * x[:, 0]).sin() + x[:, 1] * x[:, 2] + x[:, 3] / 2 + noise


TEACHERS = {"net": _net, "sine": _sine}


def teacher(kind: str, d: int, n: int = TEACHER_ROWS, seed: int = 0) -> Regression:
    """Return Gaussian inputs and the targets of a teacher.

    Args:
        kind: `net` (two hidden layers of random ReLUs) or `sine` (sin 2 x1 + x2 x3 + x4 / 2 + noise of 0.1).
        d: dimension of the inputs; at least 4 for `sine`.
        n: rows in all.
        seed: of inputs, teacher and split.

    Raises:
        DataError: an unknown kind, or too small a dimension.
    """
    if kind not in TEACHERS or d < (4 if kind == "sine" else 1):
        raise DataError(f"teacher is {kind!r} of dimension {d}; allowed: net (d >= 1), sine (d >= 4)")
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=generator, dtype=torch.float64)
    y = TEACHERS[kind](x, generator)
    return prepare(f"{kind}-{d}", "teacher", x.numpy(), y.numpy(), split(n, seed))


def split(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows of the training, validation and test part, at random."""
    order = np.random.default_rng(seed).permutation(n)
    test = round(TEST * n)
    validation = round(VALIDATION * (n - test))
    return order[test + validation :], order[test : test + validation], order[:test]


def prepare(name: str, source: str, x: np.ndarray, y: np.ndarray, parts: Sequence[np.ndarray]) -> Regression:
    """Standardise by the training part.

    Args:
        name: of the set.
        source: as `Regression` has it.
        x: raw inputs `(n, d)`, numbers.
        y: raw targets `(n,)`.
        parts: rows of the training, validation and test part.

    Raises:
        DataError: numbers that are not finite, an empty part, or targets that do not vary.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise DataError(f"{name}: inputs or targets are not finite; mend or drop those rows")
    if not all(len(part) for part in parts):
        raise DataError(f"{name}: parts have {[len(part) for part in parts]} rows; allowed: at least 1 each")
    checksum = hashlib.sha256(np.ascontiguousarray(x).tobytes() + y.tobytes()).hexdigest()[:16]
    mean, spread = x[parts[0]].mean(0), x[parts[0]].std(0)
    constant = spread < CONSTANT
    x = np.where(constant, 0.0, (x - mean) / np.where(constant, 1.0, spread))
    centre, scale = float(y[parts[0]].mean()), float(y[parts[0]].std())
    if not scale >= CONSTANT:
        raise DataError(f"{name}: the targets have standard deviation {scale:g}; allowed: >= {CONSTANT:g}")
    y = (y - centre) / scale
    made = (Part(torch.from_numpy(x[part]), torch.from_numpy(y[part])) for part in parts)
    return Regression(name, source, *made, (centre, scale), int(constant.sum()), checksum)
