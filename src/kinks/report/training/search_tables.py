"""Learning-rate searches (M7, E13): one dose held against dose 0, in what is selected and in what trains at all."""

import numpy as np
import pandas as pd
from scipy import special

from kinks import stats
from kinks.report.training.search import CELL, KEY, cells


def choices(selections: pd.DataFrame) -> pd.DataFrame:
    """Return, per KEY, what repeating the search with other seeds says: one row each.

    Columns: n studies; failed, those in which none was selected or one that had learnt nothing, and which have no part
    in what follows; rate, low, high (geometric mean of the rates selected on validation images, Student's 95 %
    interval); spread, spread_low, spread_high (their standard deviation in decades, chi-squared interval); ratio,
    ratio_low, ratio_high, p (the rate over that of dose 0, paired by seed, with Holm's correction within the cell);
    moved (studies in which the test rule selects another trial), shift (by how many decades, on average), gain,
    gain_low, gain_high (its test accuracy less that of the validation rule, which flatters it); published,
    published_ratio (to its own dose 0).
    """
    able = selections.assign(rate=selections["rate"].where(selections["learnt"]))
    by_rule = {rule: part.set_index([*KEY, "seed"]) for rule, part in able.groupby("rule")}
    found = []
    for key, group in by_rule["validation"].groupby(level=KEY, sort=True):
        row = dict(zip(KEY, key, strict=True)) | {"n": len(group), "failed": int(group["rate"].isna().sum())}
        mean = stats.student(np.log10(group["rate"].dropna()))
        row |= dict(zip(("rate", "low", "high"), (10**end for end in mean), strict=True))
        row |= _spread(np.log10(group["rate"].dropna()))
        found.append(row | _against_zero(by_rule["validation"], group, key) | _moved(group, by_rule["test"]))
    table = pd.DataFrame(found)
    base = table[table["dose"] == 0].groupby(CELL)["published"].first().rename("_base")
    table = table.merge(base, on=CELL, how="left")
    table = table.assign(published_ratio=table["published"] / table["_base"]).drop(columns="_base")
    return _corrected(table)


def ranges(trials: pd.DataFrame) -> pd.DataFrame:
    """Return, per KEY, at which rates a network trains: one row each.

    Columns: n trials, useful, diverged, pruned; lowest and highest useful rate, above (the next higher rate that was
    tried, NaN if none); and, over the rates that the studies of the dose and of dose 0 share: pairs, same (equal loss
    and accuracies, bit for bit), base (useful at dose 0), lost (of those, not useful here), share (lost of base; low,
    high: Clopper-Pearson), won (useful here only), p (exact McNemar test, Holm's correction within the cell), verdict.
    """
    found = []
    for cell, part in trials.groupby(CELL, sort=True):
        base = part[part["dose"] == 0].set_index(["seed", "trial", "rate"])
        rows = [
            dict(zip(KEY, (*cell, *key), strict=True)) | _edges(group) | _paired(group, base, key[0])
            for key, group in part.groupby(["dose", "variant"], sort=True)
        ]
        found += _judged(rows)
    return pd.DataFrame(found)


def transfer(trials: pd.DataFrame, selections: pd.DataFrame, at_zero: pd.DataFrame) -> pd.DataFrame:
    """Return, per KEY but dose 0, what training at the rate of dose 0 costs against the own rate: one row each.

    Columns: n studies; own, of_zero (mean test accuracy, at chance where the run diverged, or where no trial was
    selected that had learnt anything); failed_own, failed_of_zero (how many were); loss, low, high (own less of_zero,
    Student's 95 % interval over seeds).

    Args:
        at_zero: rows like `trials`, one per KEY and seed: the run at the rate that dose 0 selects in that seed.
    """
    able = selections[(selections["rule"] == "validation") & selections["learnt"]]
    own = able.set_index([*KEY, "seed"])["test_accuracy"]
    zero = at_zero.set_index([*KEY, "seed"])["test_accuracy"]
    chance = trials["chance"].groupby(cells(trials)).first()
    found = []
    for key, group in zero.groupby(level=KEY, sort=True):
        if key[KEY.index("dose")] == 0:
            continue
        pairs = pd.DataFrame({"own": own.reindex(group.index), "of_zero": group})
        failed = pairs.isna().sum()
        pairs = pairs.fillna(chance[key[: len(CELL)]])
        loss = stats.student(pairs["own"] - pairs["of_zero"])
        row = dict(zip(KEY, key, strict=True)) | {"n": len(pairs)} | pairs.mean().to_dict()
        row |= {f"failed_{name}": int(count) for name, count in failed.items()}
        found.append(row | dict(zip(("loss", "low", "high"), loss, strict=True)))
    return pd.DataFrame(found)


def _spread(logs: pd.Series) -> dict[str, float]:
    """The standard deviation of logarithms of rates, with its interval if they are normal."""
    found = dict.fromkeys(("spread", "spread_low", "spread_high"), np.nan)
    if len(logs) < 2:
        return found
    freedom, spread = len(logs) - 1, float(logs.std(ddof=1))
    tail = (1 - stats.LEVEL) / 2
    low, high = (spread * np.sqrt(freedom / special.chdtri(freedom, share)) for share in (tail, 1 - tail))
    return {"spread": spread, "spread_low": float(low), "spread_high": float(high)}


def _against_zero(table: pd.DataFrame, group: pd.DataFrame, key: tuple) -> dict[str, float]:
    """The selected rate over that of dose 0, paired by seed."""
    row = dict.fromkeys(("ratio", "ratio_low", "ratio_high", "p"), np.nan)
    names = dict(zip(KEY, key, strict=True))
    if names["dose"] == 0:
        return row
    flat = table.reset_index()
    same = (flat[CELL] == pd.Series({name: names[name] for name in CELL})).all(axis=1) & (flat["dose"] == 0)
    base = flat[same].set_index("seed")["rate"]
    logs = (np.log10(group.droplevel(KEY)["rate"]) - np.log10(base)).dropna()
    if len(logs):
        row |= dict(zip(("ratio", "ratio_low", "ratio_high"), (10**end for end in stats.student(logs)), strict=True))
    return row | {"p": stats.student_test(logs) if len(logs) > 1 else np.nan}


def _moved(group: pd.DataFrame, by_test: pd.DataFrame) -> dict[str, float]:
    """How far the papers' rule moves the choice of the studies of one dose, and how much it flatters it."""
    other = by_test.loc[group.index]
    gain = stats.student((other["test_accuracy"] - group["test_accuracy"]).dropna())
    row = {"moved": int((other["trial"] != group["trial"]).sum())}
    row["shift"] = float((np.log10(other["rate"]) - np.log10(group["rate"])).abs().mean())
    row |= dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
    return row | {"published": group["published"].iloc[0]}


def _corrected(table: pd.DataFrame) -> pd.DataFrame:
    """The table with Holm's correction over the doses of each cell that were tested."""
    for _, part in table.groupby(CELL, sort=False):
        tested = part["p"].dropna()
        if len(tested):
            table.loc[tested.index, "p"] = stats.holm(tested)
    return table


def _edges(group: pd.DataFrame) -> dict[str, float]:
    able = group.loc[group["useful"], "rate"]
    beyond = group.loc[group["rate"] > able.max(), "rate"] if len(able) else group["rate"][:0]
    counts = {"n": len(group), "useful": len(able), "diverged": int(group["diverged"].sum())}
    counts["pruned"] = int((group["state"] == "pruned").sum())
    return counts | {"lowest": able.min(), "highest": able.max(), "above": beyond.min()}


def _paired(group: pd.DataFrame, base: pd.DataFrame, dose: float) -> dict[str, object]:
    """The trials that ran at a rate of dose 0's, held against those."""
    row: dict[str, object] = dict.fromkeys(("pairs", "same", "base", "lost", "won"), 0)
    row |= dict.fromkeys(("share", "low", "high", "p"), np.nan) | {"verdict": "is dose 0"}
    if dose == 0:
        return row
    both = group.set_index(["seed", "trial", "rate"]).join(base.add_suffix("_zero"), how="inner")
    there, here = both["useful_zero"].astype(bool), both["useful"].astype(bool)
    names = ("train_loss", "validation_accuracy", "test_accuracy")
    same = [both[name].eq(both[f"{name}_zero"]) | (both[name].isna() & both[f"{name}_zero"].isna()) for name in names]
    row |= {"pairs": len(both), "same": int(np.logical_and.reduce(same).sum()), "verdict": ""}
    row |= {"base": int(there.sum()), "lost": int((there & ~here).sum()), "won": int((here & ~there).sum())}
    if row["base"]:
        ends = stats.clopper_pearson(row["lost"], row["base"])
        row |= {"share": row["lost"] / row["base"], "low": ends.low, "high": ends.high}
    return row | {"p": stats.sign_test([*[-1] * row["lost"], *[1] * row["won"]])}


def _judged(rows: list[dict]) -> list[dict]:
    """The rows of one cell with Holm's correction and a verdict."""
    tested = [row for row in rows if not row["verdict"] and row["pairs"]]
    for row, p in zip(tested, stats.holm([row["p"] for row in tested]) if tested else [], strict=True):
        fewer = row["lost"] > row["won"]
        told = ("fewer rates" if fewer else "more rates") if p < 1 - stats.LEVEL else "not told apart"
        row |= {"p": float(p), "verdict": "same runs" if row["same"] == row["pairs"] else told}
    return rows
