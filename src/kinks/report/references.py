"""Published numbers, carried over as facts with their source."""

from importlib.resources import files

import pandas as pd

FILES = {
    "volume_mnist_architecture": "reference/volume_mnist_architecture.csv",
    "volume_mnist_sample_size": "reference/volume_mnist_sample_size.csv",
    "zeros_by_architecture": "reference/zeros_by_architecture.csv",
    "error_bounds": "reference/error_bounds.csv",
}


def reference(name: str) -> pd.DataFrame:
    """Return a table of published numbers by its name in `FILES`; `.attrs["source"]` says where they come from.

    Raises:
        KeyError: unknown name; the message lists the known ones.
    """
    if name not in FILES:
        raise KeyError(f"no published table {name!r}; there are {', '.join(FILES)}")
    with (files(__package__) / FILES[name]).open(encoding="utf-8") as lines:
        source = lines.readline().removeprefix("#").strip()
        table = pd.read_csv(lines)
    table.attrs["source"] = source
    return table
