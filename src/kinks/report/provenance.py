"""Who made a result: the columns that every result table carries."""

from collections.abc import Callable

import pandas as pd
import torch

from kinks.pipeline.store import code_hash
from kinks.precision import device_name


def stamped(table: pd.DataFrame, data: str, device: str, job: Callable) -> pd.DataFrame:
    """Return the table with columns data (`Card.label`), device, torch (version) and code (hash of the job)."""
    return table.assign(data=data, device=device_name(device), torch=torch.__version__, code=code_hash(job)[:12])
