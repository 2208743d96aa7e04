"""Columns, words and colours that every part of the report on training sweeps shares."""

import pandas as pd

from kinks.report.networks import network_name
from kinks.report.panels import BITS
from kinks.report.style import ARM_COLOURS, ARM_MARKERS

CELL = ["network", "dataset", "batch_norm", "dropout", "optimiser", "precision", "rate"]
NETWORK = ["network", "dataset", "batch_norm", "dropout", "optimiser"]
FAMILY = ["network", "dataset", "batch_norm", "optimiser", "variant"]  # one family of tests: one Holm correction
MARGIN = 0.01  # accuracies that differ by less are called equal
WIDE = 0.05  # an interval that reaches farther than this to each side decides nothing

PUBLISHED = ("assign", "mixed")  # variants of the released code
CORRECTED = ("chain", "exact")
REORDERED = "reordered"
ARMS = {"assign": "published", "mixed": "published", "chain": "corrected", "exact": "corrected", REORDERED: "noise"}
VARIANTS = {
    "assign": "released rule, α itself", "chain": "chain rule, α × gradient",
    "mixed": "released forward, β m + (1 − β) m",
    "exact": "exact forward, m", REORDERED: "examples reordered",
}  # fmt: skip
SYMBOLS = {"alpha": "α", "beta": "β"}
KINKS = {"alpha": "ReLU input of exactly 0", "beta": "tied window"}
AXES = {"alpha": "ReLU'(0) = α", "beta": "Max-pool Jacobian β"}

LOSS = ("lower", "fails")  # verdicts that harm
SAME = ("exactly equal", "no kink met")  # verdicts of runs that were the same, bit for bit or for lack of a kink

DATASETS = {
    "mnist": "MNIST", "cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "svhn": "SVHN", "photographs": "photographs",
    "imagenet": "ImageNet", "folder": "own images",
}  # fmt: skip
OPTIMISERS = {"sgd": "SGD", "adam": "Adam"}


def colour(variant: str) -> str:
    """Return the colour of a variant in every figure."""
    return ARM_COLOURS[ARMS[variant]]


def marker(variant: str) -> str:
    """Return the marker of a variant in every figure."""
    return ARM_MARKERS[ARMS[variant]]


def precision(label: str) -> str:
    """Return a precision's name: "fp16 autocast, scaled" is "16 bits, autocast, loss scaling"."""
    storage, *more = label.replace(",", "").split()
    words = {"scaled": "loss scaling", "rounded": "zeros rounded in"}
    return ", ".join([BITS.get(storage, storage.upper()), *(words.get(word, word) for word in more)])


def rate(row: pd.Series) -> str:
    """Return how a row's learning rate is named: a number, or how it was chosen where doses have their own."""
    return f"rate {row['rates']}" if row["rates"] else f"rate {row['rate']:.3g}"


def norm(batch_norm: bool) -> str:
    """Return "with batch norm" or "without batch norm"."""
    return "with batch norm" if batch_norm else "without batch norm"


def heading(row: pd.Series) -> str:
    """Return the name of the network, its data and its optimiser, from any row of a cell."""
    dropout = f", dropout {row['dropout']:g}" if row["dropout"] else ""
    return (
        f"{network_name(row['network'])} {norm(row['batch_norm'])}, {DATASETS.get(row['dataset'], row['dataset'])}, "
        f"{OPTIMISERS.get(row['optimiser'], row['optimiser'])}{dropout}"
    )


def setting(row: pd.Series) -> str:
    """Return the name of a cell within its network: precision and learning rate."""
    return f"{precision(row['precision'])}, {rate(row)}"


def cell(row: pd.Series) -> str:
    """Return the whole name of a cell, from any row of it."""
    return f"{heading(row)}, {setting(row)}"


def symbol(variants: pd.Series) -> str:
    """Return which dose variants have: "alpha" or "beta".

    Raises:
        ValueError: variants of both papers, or of neither.
    """
    seen = set(variants) - {REORDERED}
    if seen and seen <= {"assign", "chain"}:
        return "alpha"
    if seen and seen <= {"mixed", "exact"}:
        return "beta"
    raise ValueError(f"one sweep has the variants assign and chain, or mixed and exact, got {sorted(set(variants))}")
