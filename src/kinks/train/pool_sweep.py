"""The max-pool training sweep (M8 to M11): published configurations, as they are or smaller, as jobs of the loop."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kinks.train import loop, published

OWN = ("name", "norm", "betas", "seeds", "arms", "noise", "rate_share")  # of an entry; others are settings of the loop
ARMS = ("published", "corrected")
LABELS = ["experiment", "rate_share", "published_network", "published_dataset"]


def grid(
    runs: Sequence[Mapping[str, object]],
    *,
    common: Mapping[str, object] | None = None,
    places: Mapping[str, Mapping[str, object]] | None = None,
) -> tuple[list[dict], pd.DataFrame]:
    """Return the settings of `kinks.train.loop.job`, one per network to train, and a table that labels each.

    Args:
        runs: entries with the `name` of a published configuration ("M8b") and what differs from it: `norm` (with or
            without batch norm; both if absent), `betas`, `seeds` (how many), `arms` (both of `ARMS` if absent), `noise`
            (whether beta = 0 is also trained on reordered examples), `rate_share` (the learning rate as a share of the
            published one), and any setting of the loop (`network`, `epochs`, ...).
        common: settings of the loop that all entries share; an entry's own come first.
        places: as the function `places` returns them; the official data sets by default.

    Returns:
        The settings, and one row per job in the same order: `experiment`; `rate_share`; the published network and data
        set that it stands for, which a small machine replaces by smaller ones.

    Raises:
        ValueError: an entry without a name, an unknown configuration, arm or setting, or no network at all.
    """
    settings, labels = [], []
    for entry in runs:
        own = {key: entry[key] for key in OWN if key in entry}
        changes = dict(common or {}) | {key: value for key, value in entry.items() if key not in OWN}
        found, label = _entry(own, changes, places or {})
        settings += found
        labels += [label] * len(found)
    if not settings:
        raise ValueError("pool sweep: no network to train; give at least one entry with a beta and a seed")
    return settings, pd.DataFrame(labels, columns=LABELS)


def places(
    runs: Sequence[Mapping[str, object]],
    *,
    source: str,
    dataset: str,
    folder: str | None,
    grey: tuple[int | None, int],
    colour: tuple[int | None, int],
) -> tuple[dict[str, dict], dict[str, str]]:
    """Return the settings that name the data, by published data set, and the label of each set of images used.

    Args:
        runs: as `grid` takes them; data sets that none of them needs are not loaded.
        source: of MNIST, "embedded" or "official".
        dataset, folder: of all colour images; "published" takes the official sets that the papers name.
        grey, colour: how many images to train on (None: all) and how many to test on. Official colour sets are whole.
    """
    known = published.table().set_index("name")["dataset"]
    needed = {known[entry["name"]].iloc[0] for entry in runs if entry.get("name") in known}
    found, labels = {}, {}
    for name in sorted(needed):
        if name == "mnist":
            settings, label = loop.data(name, source, None, *grey)
        elif dataset == "published":
            settings, label = loop.data(**published.DATA[name])
        else:
            settings, label = loop.data(dataset, None, folder, *colour)
        found[name], labels[settings["dataset"]] = settings, label
    return found, labels


def labelled(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all jobs, in the order of `grid`, with the labels of their job.

    The networks with beta = 0 and beta = 1 are trained once, since 1 x m + 0 x m is m, and stand here in both forwards.

    Raises:
        ValueError: rows of another number of jobs.
    """
    job = (rows["epoch"] == 0).cumsum() - 1  # every job begins with its epoch 0
    if len(rows) == 0 or job.iloc[-1] + 1 != len(labels):
        raise ValueError(f"rows of {0 if len(rows) == 0 else job.iloc[-1] + 1} jobs are given, labels of {len(labels)}")
    rows = pd.concat([rows.reset_index(drop=True), labels.iloc[job.to_numpy()].reset_index(drop=True)], axis=1)
    both = rows[rows["beta"].isin([0.0, 1.0]) & ~rows["reorder"].astype(bool)]
    return pd.concat([rows, both.assign(forward="mixed")], ignore_index=True)


def _entry(own: dict, changes: dict, places: Mapping[str, Mapping]) -> tuple[list[dict], dict]:
    """The settings of one entry, and the label of all of them."""
    if "name" not in own:
        raise ValueError(f"pool sweep: {changes or 'an entry'} names no configuration; allowed: {', '.join(names())}")
    if own["name"] not in names():
        raise ValueError(f"pool sweep: no configuration {own['name']!r}; allowed: {', '.join(names())}")
    about = published.table().query("name == @own['name']").iloc[0]
    share, seeds, norm = own.get("rate_share", 1.0), own.get("seeds"), own.get("norm")
    _check(own["name"], share, seeds, norm)
    found = published.configuration(
        own["name"],
        arms=[*own.get("arms", ARMS), *(["reordered"] if own.get("noise") else [])],
        values=own.get("betas"),
        batch_norms=None if norm is None else [norm],
        seeds=None if seeds is None else range(seeds),
        data=places.get(about["dataset"]),
        **changes,
    )
    label = dict(zip(LABELS, (own["name"], float(share), about["network"], about["dataset"]), strict=True))
    return [loop.settings(**settings | {"rate": settings["rate"] * share}) for settings in found], label


def _check(name: str, share: object, seeds: object, norm: object) -> None:
    if isinstance(share, bool) or not isinstance(share, int | float) or not share > 0:
        raise ValueError(f"pool sweep: {name}: rate_share is {share!r}; allowed: a number above 0")
    if seeds is not None and (isinstance(seeds, bool) or not isinstance(seeds, int) or seeds < 0):
        raise ValueError(f"pool sweep: {name}: seeds is {seeds!r}; allowed: a whole number, how many")
    if norm not in (None, True, False):
        raise ValueError(f"pool sweep: {name}: norm is {norm!r}; allowed: true, false, or absent for both")


def names() -> list[str]:
    """Return the configurations that a sweep may name: the second paper's, its searches left out."""
    known = published.table()
    return list(dict.fromkeys(known.loc[(known["paper"] == "max-pool") & ~known["name"].str.startswith("M7"), "name"]))
