"""Result tables of networks in training: what chance and rounding decide is not compared between machines."""

from collections.abc import Sequence

import pandas as pd

from kinks.dying import sweep
from kinks.report import Ignore, provenance, save_table

CHANCE = (
    "test_error", "dead_start", "dead", "nearly_dead", "nearly_gained", "gained", "low", "high", "diverged", "learnt",
    "constant", "worse", "dead_layer", "worse_alive", "value", "gain", "best", "near", "fall", "n", "rate", "chosen",
    "gained_by_gamma", "gained_by_scale", "difference", "largest", "error_ratio",
)  # fmt: skip


def save(table: pd.DataFrame, name: str, keys: Sequence[str], *, source: str, device: str, drawn: bool = False) -> None:
    """Write the table as target_scale/`name`, stamped; column `data` stays where there is one.

    Args:
        table: of networks that `kinks.dying.sweep.job` trained.
        name: without the stage's.
        keys: columns that tell rows apart.
        source: label of the data of a table without column `data`.
        device: on which the networks were trained.
        drawn: as `save_table` has it.
    """
    tolerance = {column: Ignore() for column in CHANCE if column in table and column not in keys}
    stamped = provenance.stamped(table, source, device, sweep.job)
    if "data" in table:
        stamped["data"] = table["data"]
    save_table(stamped, f"target_scale/{name}", keys=keys, tolerance=tolerance, drawn=drawn)
