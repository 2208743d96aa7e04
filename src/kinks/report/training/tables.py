"""How tables of training sweeps are signed and saved."""

from collections.abc import Mapping

import pandas as pd

from kinks.report import Ignore, Proportion, Tolerance, provenance
from kinks.report.training.names import CELL
from kinks.report.training.rows import ABOUT

KEYS = [*CELL, "rates", "variant", "side", "dose", "seed", "epoch"]
FIXED = ["n", "doses", "largest", "margin", "epochs", "against", "chance", *ABOUT]  # follow from the settings
COUNTS = ("failed", "failed_against", "diverged")
SIGNED = ("data", "device", "torch", "code")


def stamped(table: pd.DataFrame, labels: Mapping[str, str] | str, device: str) -> pd.DataFrame:
    """Return the table with the columns of `kinks.report.provenance.stamped`, the data's label by data set."""
    from kinks.train.loop import job

    signed = provenance.stamped(table, "", device, job)
    return signed.assign(data=labels if isinstance(labels, str) else table["dataset"].map(labels))


def saving(table: pd.DataFrame) -> dict[str, object]:
    """Return `keys` and `tolerance` for `save_table`, of any table of this package.

    Training is chaotic, so on a machine that rounds otherwise runs differ one by one: numbers of failed runs are
    compared as shares of `n`, settings exactly, and all that is measured not at all.
    """
    keys = [name for name in KEYS if name in table]
    counts = {name: Proportion("n") for name in COUNTS if name in table and "n" in table}
    free = [name for name in table if name not in {*KEYS, *FIXED, *counts, *SIGNED}]
    tolerance: dict[str, Tolerance] = {name: Ignore() for name in free} | counts
    return {"keys": keys, "tolerance": tolerance}
