"""The learning-rate searches of a stage: published ones, as they are or smaller, and the data they stand on."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kinks.train import loop, published, search
from kinks.train.search import Study

OWN = ("name", "values", "batch_norms", "arms", "study")  # of an entry; its other keys change the loop's settings
STAND_INS = {"mnist": "mnist", "cifar10": "photographs", "svhn": "photographs"}  # embedded data, by published data set


def places(
    searches: Sequence[Mapping[str, object]], source: str, images: int | None, validation: int, held_out: int
) -> tuple[dict[str, dict], dict[str, str]]:
    """Return, by published data set, the settings that name the data, and, by data set used, its label.

    Args:
        searches: entries as `grid` takes them.
        source: `official`, whose sizes are the published ones, or `embedded`, with stand-ins for colour images.
        images, validation, held_out: as `kinks.train.loop.data` takes them; official data have all their test images.
    """
    known = published.table().drop_duplicates("name").set_index("name")["dataset"]
    settings, labels = {}, {}
    for name in dict.fromkeys(known[_name(entry)] for entry in searches):
        if source == "official":
            given = published.DATA[name] | {"images": images, "validation": validation}
        else:
            given = {"dataset": STAND_INS[name], "source": source, "images": images}
            given |= {"validation": validation, "held_out": held_out}
        settings[name], label = loop.data(**given)
        labels[settings[name]["dataset"]] = label
    return settings, labels


def grid(
    searches: Sequence[Mapping[str, object]],
    *,
    seeds: int,
    data: Mapping[str, Mapping[str, object]],
    objective: str = "validation",
    study: Mapping[str, int | None] | None = None,
    **common: object,
) -> tuple[list[Study], pd.DataFrame]:
    """Return the studies, and a table that labels each: `experiment`, and `symbol`, alpha or beta.

    Args:
        searches: entries with the `name` of a published search ("M7-lenet5-sgd-16", "E13-mnist-sgd") and what differs
            from it: `values`, `batch_norms`, `arms`, `study` (see `published.studies`), and settings of the loop.
        seeds: how often each search is repeated, with other rates, weights and mini-batches.
        data: settings that name the data, by published data set.
        objective: `validation` or `test`.
        study: attributes of `Study` for all; None stands for the published one.
        **common: settings of the loop for all; None stands for the published one, and an entry's own come first.

    Raises:
        ValueError: an entry without a name, an unknown search or setting, or no search at all.
    """
    studies, labels = [], []
    known = published.table().drop_duplicates("name").set_index("name")
    for entry in searches:
        about = known.loc[_name(entry)]
        own = {key: entry[key] for key in OWN if key in entry and key != "study"}
        changes = {key: value for key, value in common.items() if value is not None}
        changes |= {key: value for key, value in entry.items() if key not in OWN}
        sizes = {key: value for key, value in (study or {}).items() if value is not None} | dict(entry.get("study", {}))
        place = {"seeds": range(seeds), "data": data[about["dataset"]], "objective": objective, "study": sizes}
        found = published.studies(**own, **place, **changes)
        studies += found
        symbol = "alpha" if about["paper"] == "relu-prime" else "beta"
        labels += [{"experiment": own["name"], "symbol": symbol}] * len(found)
    if not studies:
        raise ValueError("no learning rate to search for; give at least one search with a value and a seed")
    return studies, pd.DataFrame(labels)


def at_zero(studies: Sequence[Study], labels: pd.DataFrame, trials: pd.DataFrame, run: search.Run) -> pd.DataFrame:
    """Return, per study of another value than 0, its network trained at the rate that value 0 selects in that seed.

    A trial that a study already made at that rate is taken from `trials`; others are trained now.

    Args:
        studies, labels: of `grid`. trials: of `kinks.train.search.search`. run: as there.

    Returns:
        Rows like those of `trials`.
    """
    chosen = search.selected(trials, trials["objective"].iloc[0])["rate"]
    bases = {
        _same(one, label): number for number, (one, label) in enumerate(_pairs(studies, labels)) if not _value(one)
    }
    found, missing = [], []
    for number, (one, label) in enumerate(_pairs(studies, labels)):
        base = bases.get(_same(one, label))
        if not _value(one) or base not in chosen.index:
            continue
        made = trials[(trials["study"] == number) & (trials["rate"] == chosen[base]) & (trials["state"] == "complete")]
        if len(made):
            found.append(made.head(1))
        else:
            missing.append((number, chosen[base]))
    numbers, rates = zip(*missing, strict=True) if missing else ((), ())
    if missing:
        rows = search.at([studies[number] for number in numbers], rates, run)
        found.append(rows.assign(study=list(numbers)))
    return pd.concat(found, ignore_index=True) if found else trials.head(0)


def _name(entry: Mapping[str, object]) -> str:
    searches = [name for name in published.names() if name.startswith(("M7-", "E13-"))]
    if entry.get("name") not in searches:
        raise ValueError(f"no published search {entry.get('name')!r}; allowed: {', '.join(searches)}")
    return entry["name"]


def _pairs(studies: Sequence[Study], labels: pd.DataFrame):
    return zip(studies, labels["experiment"], strict=True)


def _value(study: Study) -> bool:
    """Whether a derivative at a kink is another than PyTorch's."""
    return bool(study.settings["alpha"] or study.settings["beta"])


def _same(study: Study, experiment: str) -> tuple:
    """What studies share that differ in their value alone."""
    varied = ("alpha", "rule", "beta", "forward")
    return experiment, *(str(value) for key, value in sorted(study.settings.items()) if key not in varied)
