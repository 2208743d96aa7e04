"""Published numbers, carried over as facts with their source."""

from importlib.resources import files

import pandas as pd


def reference(name: str) -> pd.DataFrame:
    """Return a table of published numbers by the name of its file in `reference`, with its `.attrs["source"]`.

    Raises:
        KeyError: unknown name; the message lists the known ones.
    """
    known = {path.name.removesuffix(".csv"): path for path in (files(__package__) / "reference").iterdir()}
    if name not in known:
        raise KeyError(f"no published table {name!r}; there are {', '.join(sorted(known))}")
    with known[name].open(encoding="utf-8") as lines:
        source = lines.readline().removeprefix("#").strip()
        table = pd.read_csv(lines)
    table.attrs["source"] = source
    return table
