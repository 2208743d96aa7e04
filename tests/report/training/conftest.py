"""Rows as the training loop writes them, of runs whose outcome is set by the test."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.report import training

HELD_OUT, CHANCE = 2000, 0.115
SETTINGS = {
    "network": "lenet5", "dataset": "mnist", "batch_norm": False, "dropout": 0.0, "optimiser": "sgd",
    "precision": "fp32", "rate": 0.05, "autocast": False, "loss_scaling": "none", "reorder": False, "alpha": 0.0,
    "rule": "chain", "beta": 0.0, "forward": "exact", "held_out": HELD_OUT, "images": 8000, "batch": 128, "seed": 0,
}  # fmt: skip


def run(accuracy, *, status="trained", epochs=3, ends=0, zeros=5, ties=900, cause="gradient: c1", **given):
    """The rows of one run that ends at `accuracy`; a diverged one has its first number that is not finite in `ends`."""
    rows, seed = [], given.get("seed", 0)
    for epoch in range(epochs):
        lost = status == "diverged" and epoch >= ends
        stays = status == "chance"
        loss = 2.3 if stays else 2.0 * np.exp(-0.9 * epoch) + 0.02 * seed + (1 - accuracy)
        measured = CHANCE if stays else accuracy - 0.1 * 0.4**epoch + 0.1 * 0.4 ** (epochs - 1)
        values = {
            "train_loss": loss,
            "train_accuracy": measured,
            "test_accuracy": round(measured * HELD_OUT) / HELD_OUT,
        }
        values |= {"validation_accuracy": measured, "test_loss": loss, "overflowed": 0.0}
        values |= {"zeros": float(zeros), "ties": float(ties)}
        row = SETTINGS | given | (dict.fromkeys(values, np.nan) if lost else values)
        row |= {"epoch": epoch, "step": 63 * (epoch + 1), "status": status, "skipped": 0, "dead_layers": 0}
        stopped = status == "diverged"
        rows.append(row | {"diverged_step": 63 * ends + 7 if stopped else -1, "cause": cause if stopped else ""})
    return rows


def arm(losses, *, dose=None, level=0.95, spread=0.002, **given):
    """Runs of one dose: `losses` seed by seed, in accuracy; "chance" or "diverged" for a run that failed."""
    found = []
    for seed, loss in enumerate(losses):
        noise = spread * np.sin(7.0 * seed + 3)
        failed = isinstance(loss, str)
        accuracy = level + noise - (0 if failed else loss)
        ends = seed % 3
        found += run(accuracy, status=loss if failed else "trained", ends=ends, seed=seed, **given)
    return found


def relu_sweep(seeds=6):
    """A sweep over alpha: the released rule harms from 0.3 on and fails at 1; the chain rule is equal up to 1."""
    rows = []
    for batch_norm in (False, True):
        for precision in ("fp32", "fp16", "fp64"):
            for rate in (0.05, 0.01):
                cell = {"batch_norm": batch_norm, "precision": precision, "rate": rate}
                cell |= {"zeros": 0} if precision == "fp64" else {}
                rows += arm([0.0] * seeds, **cell) + arm(_jitter(seeds, 0.0, 0.001), reorder=True, **cell)
                hurt = 0.0 if batch_norm or precision == "fp64" else 1.0
                for alpha, loss in ((0.1, 0.002), (0.3, 0.03), (0.5, 0.06), (1.0, 0.1)):
                    rows += arm(_jitter(seeds, 0.0002 * (precision != "fp64"), 0.001 * (precision != "fp64")),
                                alpha=alpha, rule="chain", **cell)  # fmt: skip
                    losses = _jitter(seeds, hurt * loss, 0.002 * (precision != "fp64"))
                    if hurt and alpha == 1.0 and rate == 0.05:
                        losses = ["diverged"] * (seeds - 1) + ["chance"]
                    elif hurt and alpha == 0.5 and rate == 0.05:
                        losses[0] = "diverged"
                    rows += arm(losses, alpha=alpha, rule="assign", **cell)
    return pd.DataFrame(rows)


def _jitter(seeds, loss, size):
    return [loss + size * np.cos(5.0 * seed + 100 * loss + 1) for seed in range(seeds)]


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def make():
    """`arm`, as a function that returns what `dosed` makes of its rows: make(dose, arm1, arm2, ...)."""

    def rows(dose, *arms):
        return training.dosed(pd.DataFrame([row for part in arms for row in part]), dose)

    rows.arm, rows.run, rows.chance = arm, run, CHANCE
    return rows


@pytest.fixture(scope="session")
def relu():
    """All tables of a sweep over alpha with five doses, three precisions, two rates, with and without batch norm."""
    rows = training.dosed(relu_sweep(), "alpha")
    finals = training.finals(rows, CHANCE)
    effects, apart = training.effects(finals), training.interaction(finals)
    return {
        "rows": rows, "finals": finals, "summary": training.summary(finals), "effects": effects, "interaction": apart,
        "boundary": training.boundary(effects), "causes": training.causes(effects, apart),
    }  # fmt: skip
