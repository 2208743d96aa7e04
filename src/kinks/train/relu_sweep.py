"""The ReLU'(0) training sweep (E4 to E13): published configurations, as they are or smaller, as jobs of the loop.

In 32 bits a small network seldom meets a pre-activation that is exactly 0, and one that meets none is trained to the
same bits whatever ReLU'(0) is. An entry that is `screened` is therefore trained with ReLU'(0) = 0 first, and with the
other values only from those seeds whose run met an exact zero. Until that step all of them are one run, so which seeds
these are does not depend on what ReLU'(0) does.
"""

import json
from collections.abc import Mapping, Sequence

import pandas as pd

from kinks.train import loop, published

# Of an entry; its other keys change the loop's settings.
OWN = ("name", "experiment", "alphas", "batch_norms", "seeds", "arms", "rates", "rate", "screened", "zero_every")
ARMS = ("published", "corrected", "reordered")
LABELS = ["experiment", "rates", "entry"]
START = ["batch_norm", "dropout", "seed"]  # what, beside the rate, tells the runs of ReLU'(0) = 0 of one entry apart

Entries = Sequence[Mapping[str, object]]
Places = Mapping[str, Mapping[str, object]]


def places(
    runs: Entries, *, source: str, dataset: str, folder: str | None, images: Mapping[str, int], held_out: int
) -> tuple[dict[str, dict], dict[str, str]]:
    """Return, by published data set, the settings that name the data, and, by data set used, its label.

    Args:
        runs: as `grid` takes them; data sets that none of them needs are not loaded.
        source: of MNIST, "embedded" or "official".
        dataset, folder: of all colour images; "published" takes the official sets that the paper names.
        images: training images, by published data set ("mnist", "cifar10", "svhn"); all where nothing is said.
        held_out: test images; official colour sets that are "published" have all of theirs.
    """
    known, settings, labels = published.table().drop_duplicates("name").set_index("name")["dataset"], {}, {}
    for name in dict.fromkeys(known[_known(entry)] for entry in runs):
        count = images.get(name)
        if name == "mnist":
            given = {"dataset": name, "source": source, "images": count, "held_out": held_out}
        elif dataset == "published":
            given = published.DATA[name] | {"images": count}
        else:
            given = {"dataset": dataset, "folder": folder, "images": count, "held_out": held_out}
        settings[name], label = loop.data(**given)
        labels[settings[name]["dataset"]] = label
    return settings, labels


def grid(
    runs: Entries, *, common: Mapping[str, object] | None = None, data: Places | None = None
) -> tuple[list[dict], pd.DataFrame]:
    """Return the settings of `kinks.train.rounded.job`, one per network to train, and a table that labels each.

    Args:
        runs: entries with the `name` of a published configuration ("E7") and what differs from it: `experiment`, how
            results are named (the name); `alphas`, values of ReLU'(0), or lists of them by arm; `batch_norms`; `seeds`,
            a number or a list; `arms` (see `ARMS`); `rates`, which published learning rate ("published", "own",
            "of_zero"), or `rate`, a number; `zero_every`, as in `kinks.train.rounded` (0); `screened`; and any setting
            of the loop (`network`, `epochs`, ...).
        common: settings of the loop that all entries share; an entry's own come first.
        data: settings that name the data, by the published data set they stand for; those not named are official.

    Returns:
        The settings, those of screened entries with ReLU'(0) = 0 alone, and one row per job in the same order:
        experiment, rates ("own" where each ReLU'(0) has its own, else ""), entry (its place in `runs`).

    Raises:
        ValueError: an entry without a name, an unknown configuration, arm or setting, or no network at all.
    """
    found = [
        (settings, label)
        for place, entry in enumerate(runs)
        for settings, label in _entry(place, entry, common or {}, data or {})
        if not entry.get("screened") or _is_base(settings)
    ]
    if not found:
        raise ValueError("relu sweep: no network to train; give at least one entry with a seed")
    return _split(found)


def follow(
    runs: Entries,
    rows: pd.DataFrame,
    *,
    common: Mapping[str, object] | None = None,
    data: Places | None = None,
) -> tuple[list[dict], pd.DataFrame]:
    """Return the jobs of screened entries that `grid` left out and that can differ from ReLU'(0) = 0, and their labels.

    Args:
        rows: what the jobs of `grid` returned, `labelled`.
    """
    met = met_zeros(rows)
    seeds = {(key[0], *key[1:]) for key in met[met["met"]][["entry", *START]].itertuples(index=False, name=None)}
    found = [
        (settings, label)
        for place, entry in enumerate(runs)
        if entry.get("screened")
        for settings, label in _entry(place, entry, common or {}, data or {})
        if not _is_base(settings) and (place, *(settings[name] for name in START)) in seeds
    ]
    return _split(found)


def met_zeros(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per run with ReLU'(0) = 0, how many ReLU inputs were exactly 0 and whether any was (`zeros`, `met`)."""
    base = rows[(rows["alpha"] == 0) & ~rows["reorder"].astype(bool)]
    found = base.groupby(["entry", *START], sort=False)["zeros"].sum().reset_index()
    return found.assign(met=found["zeros"] > 0)


def labelled(rows: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of all jobs, in the order of `grid` or `follow`, with the labels of their job.

    Raises:
        ValueError: rows of another number of jobs.
    """
    if not len(labels) and not len(rows):
        return pd.DataFrame()
    job = (rows["epoch"] == 0).cumsum() - 1  # every job begins with its epoch 0
    if len(rows) == 0 or job.iloc[-1] + 1 != len(labels):
        raise ValueError(f"rows of {0 if len(rows) == 0 else job.iloc[-1] + 1} jobs are given, labels of {len(labels)}")
    return pd.concat([rows.reset_index(drop=True), labels.iloc[job.to_numpy()].reset_index(drop=True)], axis=1)


def names() -> list[str]:
    """Return the configurations that a sweep may name: those of the ReLU'(0) paper."""
    known = published.table()
    return list(dict.fromkeys(known.loc[known["paper"] == "relu-prime", "name"]))


def _known(entry: Mapping[str, object]) -> str:
    """The name of the configuration of an entry."""
    name = entry.get("name")
    if name not in names():
        given = "an entry names none" if name is None else f"{name!r} is given"
        raise ValueError(f"relu sweep: {given}; allowed names: {', '.join(names())}")
    return name


def _entry(place: int, entry: Mapping, common: Mapping, data: Places) -> list[tuple[dict, dict]]:
    """Each run of one entry once: its settings and its label."""
    name, seeds = _known(entry), entry.get("seeds")
    about = published.table().query("name == @name").iloc[0]
    # A rate that is given replaces one that need not exist: the paper selected none for every value.
    which = "of_zero" if "rate" in entry and about["rate"] == "own" else entry.get("rates", "published")
    fixed = {key: entry[key] for key in ("rate",) if key in entry}
    given = {"batch_norms": entry.get("batch_norms"), "rate": which, "data": data.get(about["dataset"])}
    given |= {"seeds": range(seeds) if isinstance(seeds, int) else seeds}
    given |= dict(common) | {key: value for key, value in entry.items() if key not in OWN}
    own = "rate" not in entry and (which == "own" or (which == "published" and about["rate"] == "own"))
    label = {"experiment": entry.get("experiment", name), "rates": "own" if own else "", "entry": place}
    found = [one for part in _parts(name, entry) for one in published.configuration(name, **part, **given)]
    distinct = {json.dumps(one, sort_keys=True): one for one in (loop.settings(**run | fixed) for run in found)}
    rounds = {"zero_every": entry.get("zero_every", 0)}
    return [(settings | rounds, label) for settings in distinct.values()]


def _parts(name: str, entry: Mapping) -> list[dict]:
    """The arms of one entry with their values of ReLU'(0), as `published.configuration` takes them."""
    arms, alphas = entry.get("arms", ARMS), entry.get("alphas")
    if odd := [arm for arm in arms if arm not in ARMS]:
        raise ValueError(f"{name}: arm {odd[0]!r}; allowed: {', '.join(ARMS)}")
    parts = [{"arms": ("corrected", *({"reordered"} & set(arms))), "values": [0.0]}]
    for arm in (arm for arm in arms if arm != "reordered"):
        chosen = alphas.get(arm, []) if isinstance(alphas, Mapping) else alphas
        others = None if chosen is None else [alpha for alpha in chosen if alpha != 0]
        if others != []:
            parts.append({"arms": (arm,), "values": others})
    return parts


def _is_base(settings: Mapping[str, object]) -> bool:
    return settings["alpha"] == 0 and not settings["reorder"]


def _split(found: list[tuple[dict, dict]]) -> tuple[list[dict], pd.DataFrame]:
    return [settings for settings, _ in found], pd.DataFrame([label for _, label in found], columns=LABELS)
