"""One trial of a learning-rate search: a network trained at one rate, given up where earlier trials did better.

A trial is a pure job. What the pruner knew of earlier trials comes with its settings, so a search that was killed asks
for the same trials again and finds those that are finished.
"""

from collections.abc import Sequence
from contextlib import closing

import pandas as pd

from kinks.train import loop

OBJECTIVES = {"validation": "validation_accuracy", "test": "test_accuracy"}
WORST = 0.0  # what a trial that diverged is worth: below any accuracy that a network ever has


def job(*, settings: dict, rate: float, objective: str, floors: Sequence[float | None]) -> pd.DataFrame:
    """Train at `rate` until the last epoch, or the first after which the best value so far lies below its floor.

    Args:
        settings: of `kinks.train.loop.job`, without `rate`.
        rate: learning rate.
        objective: `validation` (images held out of training), or `test`, as both papers chose.
        floors: one per epoch; None where a trial is never given up.

    Returns:
        The rows of `kinks.train.loop.job`, one per epoch trained, with `value`, what the search maximises (0 from the
        epoch in which the run diverged), and `pruned`, whether the trial was given up after this epoch.

    Raises:
        ValueError: an unknown objective, or not one floor per epoch.
    """
    if objective not in OBJECTIVES:
        raise ValueError(f"trial: objective is {objective!r}; allowed: {', '.join(OBJECTIVES)}")
    if len(floors) != settings["epochs"]:
        raise ValueError(f"trial: {len(floors)} floors for {settings['epochs']} epochs; give one per epoch")
    rows, best = [], WORST
    with closing(loop.epochs(**settings, rate=rate)) as run:
        for row, floor in zip(run, floors, strict=True):
            value = row[OBJECTIVES[objective]]
            value = WORST if value != value else float(value)
            best = max(best, value)
            rows.append(row | {"value": value, "pruned": floor is not None and best < floor})
            if rows[-1]["pruned"]:
                break
    return pd.DataFrame(rows)
