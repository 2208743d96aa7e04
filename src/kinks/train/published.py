"""Every training run and learning-rate search that the two papers published, as settings of `kinks.train.loop`.

`configuration("M8d")` lists the runs of one experiment, `studies("M7-lenet5-sgd-16")` the searches of another; both
take any of their settings in other words, so that a notebook names an experiment and what it does differently.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import product
from pathlib import Path

import pandas as pd

from kinks.train import loop
from kinks.train.search import Study

TABLES = {"configurations": "published_configurations.csv", "rates": "published_rates.csv"}
ARMS = ("published", "corrected", "reordered")  # A: as the public code computes it, B: the mathematics, C: noise floor
RATES = ("published", "own", "of_zero")
KEY = ["paper", "dataset", "network", "optimiser", "precision", "batch_norm"]  # what a rate was searched for
FORMATS = {
    "fp32": {"precision": "fp32"},
    "fp16": {"precision": "fp16"},  # weights, statistics and momenta too, and no loss scaling
    "autocast": {"precision": "fp16", "autocast": True, "loss_scaling": "dynamic"},  # the author's "24 bits"
}
DATA = {  # both papers train on the extra split of SVHN alone
    "mnist": {"dataset": "mnist", "source": "official", "held_out": 10_000},
    "cifar10": {"dataset": "cifar10", "source": "official", "held_out": 10_000},
    "svhn": {"dataset": "svhn", "source": "official", "split": "extra", "held_out": 26_032},
}


@cache
def table(name: str = "configurations") -> pd.DataFrame:
    """Return the published `configurations` (one row per name and batch norm) or `rates` (one row per value)."""
    if name not in TABLES:
        raise ValueError(f"no published table {name!r}; allowed: {', '.join(TABLES)}")
    return pd.read_csv(
        Path(__file__).parent / TABLES[name],
        comment="#",
        keep_default_na=False,
        na_values={"rate": [""], "accuracy": [""]},
    )


def names() -> list[str]:
    """Return the names of all configurations; those of searches begin with M7-."""
    return list(dict.fromkeys(table()["name"]))


def configuration(
    name: str,
    *,
    arms: Sequence[str] = ("published", "corrected"),
    values: Sequence[float] | None = None,
    batch_norms: Sequence[bool] | None = None,
    seeds: Sequence[int] | None = None,
    rate: str = "published",
    data: Mapping[str, object] | None = None,
    **changes: object,
) -> list[dict]:
    """Return the settings of `kinks.train.loop.job`, one per run of a published experiment.

    Args:
        name: one of `names()` that is not a search.
        arms: `published` as the public code computes it (rule `assign`, forward `mixed`), `corrected` (rule `chain`,
            forward `exact`), `reordered` (value 0 with the examples of each mini-batch in another order). Programs that
            are one program (value 0, and beta = 1) are listed once, as corrected.
        values: of ReLU'(0) or beta; all published ones by default.
        batch_norms: those published by default.
        seeds: one per run; by default as many as were published.
        rate: `published`, the one that was used (for E4 to E10 not recorded, so their scripts' default), `own`, the one
            that the paper's search selected for the value, `of_zero`, the one that it selected for value 0.
        data: settings of the loop that name the data; by default those of the official data set, which must be there.
        **changes: any other setting of the loop.

    Raises:
        ValueError: an unknown name, arm or rate, or a value without a published rate.
    """
    found = []
    for row in _rows(name, batch_norms, search=False):
        runs, common = range(row["runs"]) if seeds is None else seeds, _common(row, data)
        for dropout, (value, kink), seed in product(_numbers(row["dropouts"]), _kinks(row, values, arms), runs):
            given = common | kink | {"dropout": dropout} | {"seed": seed, "rate": _rate(row, value, rate)}
            found.append(loop.settings(**given | changes))
    return found


def studies(
    name: str,
    *,
    arms: Sequence[str] = ("published", "corrected"),
    values: Sequence[float] | None = None,
    batch_norms: Sequence[bool] | None = None,
    seeds: Sequence[int] = (0,),
    validation: int = 0,
    objective: str = "test",
    data: Mapping[str, object] | None = None,
    study: Mapping[str, int] | None = None,
    **changes: object,
) -> list[Study]:
    """Return the searches (`kinks.train.search.Study`) of a configuration that begins with M7, or of E13.

    The trials and epochs of E13 are those of its script's defaults, since the real ones are not recorded. By default
    trials are judged on test images, as published; `objective="validation"` needs `validation` images held out.

    Args:
        validation, objective: how many training images of the official data are held out, and what trials are judged
            on.
        study: `trials`, `random`, `unpruned` or `at_once` of the study, where not as published.

    Raises:
        ValueError: an unknown name or arm, or a configuration without a search.
    """
    found = []
    for row in _rows(name, batch_norms, search=True):
        trials, epochs = (int(row["trials"]), row["epochs"]) if row["trials"] != "" else (2, 1)
        given = {"trials": trials, "objective": objective} | dict(study or {})
        common = _common(row, data, validation) | {"epochs": epochs, "schedule": "constant", "rate": 1.0}
        for (_, kink), seed in product(_kinks(row, values, arms), seeds):
            settings = loop.settings(**common | kink | {"seed": seed} | changes)
            found.append(Study({key: value for key, value in settings.items() if key != "rate"}, **given))
    return found


def rates(name: str) -> pd.DataFrame:
    """Return the rates that the paper's searches selected for the configuration `name`, one row per value.

    Columns: name, batch_norm, value, rate, accuracy (of the search, on test images; NaN where not recorded).
    """
    found = [_searched(row).assign(name=name) for row in _rows(name, None)]
    return pd.concat(found)[["name", "batch_norm", "value", "rate", "accuracy"]].reset_index(drop=True)


def _searched(row: Mapping) -> pd.DataFrame:
    """The published rates for one row of the configurations."""
    found = table("rates")
    for column in KEY:
        found = found[found[column] == row[column]]
    return found[found["version"] == "published"]


def _rows(name: str, batch_norms: Sequence[bool] | None, search: bool | None = None) -> list[dict]:
    if name not in names():
        raise ValueError(f"no published configuration {name!r}; allowed: {', '.join(names())}")
    rows = [row for row in table().to_dict("records") if row["name"] == name]
    rows = [row for row in rows if batch_norms is None or row["batch_norm"] in batch_norms]
    if search is False and name.startswith("M7"):
        raise ValueError(f"{name} is a search; use `studies`")
    if search and not name.startswith(("M7", "E13")):
        raise ValueError(f"{name} is no search; use `configuration`")
    return rows


def _numbers(text: object) -> list[float]:
    return [float(word) for word in str(text).split()]


def _kinks(row: Mapping, values: Sequence[float] | None, arms: Sequence[str]) -> Iterator[tuple[float, dict]]:
    """Each distinct program as (value, its settings of the derivative)."""
    if odd := [arm for arm in arms if arm not in ARMS]:
        raise ValueError(f"{row['name']}: arm {odd[0]!r}; allowed: {', '.join(ARMS)}")
    relu = row["paper"] == "relu-prime"
    for value in _numbers(row["values"]) if values is None else map(float, values):
        one_program = value == 0 or (value == 1 and not relu)
        for arm in ("corrected",) if one_program else [arm for arm in arms if arm != "reordered"]:
            variant = {"published": ("assign", "mixed"), "corrected": ("chain", "exact")}[arm]
            yield value, {"alpha": value, "rule": variant[0]} if relu else {"beta": value, "forward": variant[1]}
        if value == 0 and "reordered" in arms:
            yield value, {"reorder": True}


def _common(row: Mapping, data: Mapping[str, object] | None, validation: int = 0) -> dict[str, object]:
    """What all runs of one row of the table share."""
    names = ("network", "batch_norm", "optimiser", "schedule", "epochs")
    places = loop.data(**DATA[row["dataset"]], validation=validation)[0] if data is None else data
    return {name: row[name] for name in names} | FORMATS[row["precision"]] | dict(places)


def _rate(row: Mapping, value: float, which: str) -> float:
    if which not in RATES:
        raise ValueError(f"{row['name']}: rate is {which!r}; allowed: {', '.join(RATES)}")
    if which == "published" and row["rate"] != "own":
        return float(row["rate"])
    wanted = 0.0 if which == "of_zero" else value
    known = _searched(row)
    if wanted not in set(known["value"]):
        raise ValueError(f"{row['name']}: no rate was published for {wanted:g}; allowed: {known['value'].tolist()}")
    return float(known.loc[known["value"] == wanted, "rate"].iloc[0])
