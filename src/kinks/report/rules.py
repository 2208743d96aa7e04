"""The rules by which a claim is judged: rows of a result table in, numbers and a verdict out.

Every rule has a power guard: `reproduced` is given only where the same run, had it come out otherwise, would have
refuted the claim; where it could not, the verdict is `inconclusive`. Rows in which nothing was counted were not run.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import isnan, nan
from typing import Literal

import numpy as np
import pandas as pd
from scipy.stats import binomtest, rankdata

from kinks import stats
from kinks.report.finding import UNRUN, Finding, RuleError

FEW = 10  # events under which the normal approximation of a trend of rates says nothing
SEEN = 4.0  # a trend whose expected statistic is this large shows at p < 0.01 in at least 95 of 100 runs


def covers(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    target: Mapping[str, float | str],
    factor: float = 2.0,
    measured: str = "share",
    low: str = "low",
    high: str = "high",
    n: str = "n",
) -> Finding:
    """Judge whether the interval of one row meets the published value, itself an estimate with an interval.

    Args:
        target: `value` or `column`, the published number; `n`, the trials behind it; `error`, its reading error;
            `images`, the images it was found on, if the row's `images` may be fewer.
        factor: power guard: the interval must exclude the target divided, and multiplied, by this.
    """
    row = _only(rows)
    if not row[n]:
        return UNRUN
    value, floor, ceiling, paper = published(row, target)
    shown = Finding(float(row[measured]), float(row[low]), float(row[high]), int(row[n]), target=value, paper=paper)
    if isnan(value):
        return replace(shown, verdict="inconclusive", note="no published value for this row")
    if shown.low > ceiling or shown.high < floor:
        return replace(shown, verdict="not reproduced", note=f"expected {floor:.3g} to {ceiling:.3g}")
    narrow = shown.low > value / factor and shown.high < value * factor
    note = "" if narrow else f"too wide to exclude {value / factor:.3g} or {value * factor:.3g}"
    return replace(shown, verdict="reproduced" if narrow else "inconclusive", note=note)


def at_least(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    threshold: float,
    images: int | None = None,
    measured: str = "share",
    low: str | None = "low",
    high: str | None = "high",
    n: str = "n",
) -> Finding:
    """Judge whether one row's value lies above a threshold, its whole interval with it.

    Args:
        images: the images on which the threshold was stated, if the row's `images` may be fewer.
        low, high: columns of the interval's ends; None for a value without an interval (a minimum over all trials).
    """
    row = _only(rows)
    if not row[n]:
        return UNRUN
    value = float(row[measured])
    ends = [value if column is None else float(row[column]) for column in (low, high)]
    paper = None
    if images is not None and row["images"] != images:
        stated, threshold = threshold, stats.rescaled_share(threshold, row["images"], images)
        paper = f"at least {stated:g} at {images:,} images, so {threshold:.3g} at {int(row['images']):,}"
    verdict = "reproduced" if ends[0] >= threshold else "not reproduced" if ends[1] < threshold else "inconclusive"
    return Finding(value, *ends, int(row[n]), verdict, paper=paper, note=f"threshold {threshold:.3g}")


def within(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    band: Sequence[float],
    target: float = nan,
    measured: str = "share",
    low: str | None = "low",
    high: str | None = "high",
    n: str = "n",
) -> Finding:
    """Judge whether one row's value lies in a band: reproduced where its whole interval does.

    Args:
        target: the published number, if there is one beside the band.
        low, high: columns of the interval's ends; None for a value without an interval (an extreme over all trials).
    """
    row = _only(rows)
    if not row[n]:
        return UNRUN
    value = float(row[measured])
    ends = [value if column is None else float(row[column]) for column in (low, high)]
    inside = band[0] <= ends[0] and ends[1] <= band[1]
    outside = ends[1] < band[0] or ends[0] > band[1]
    verdict = "reproduced" if inside else "not reproduced" if outside else "inconclusive"
    return Finding(value, *ends, int(row[n]), verdict, target=target, note=f"band {band[0]:.3g} to {band[1]:.3g}")


def equals(rows: pd.DataFrame, table: pd.DataFrame, *, value: float, measured: str, n: str | None = None) -> Finding:
    """Judge whether something computed without chance equals the published number in every row, bit for bit.

    Args:
        n: column of what each row counted; None where every row counts once.
    """
    found = rows[measured].astype(float)
    wrong = found[found != value]
    shown = float(wrong.iloc[0] if len(wrong) else found.iloc[0])
    verdict = "not reproduced" if len(wrong) else "reproduced"
    note = f"{len(wrong)} of {len(found)} differ from {value:.17g}"
    size = len(found) if n is None else _sum(rows, n)
    return Finding(shown, shown, shown, size, verdict, target=value, note=note)


def none(rows: pd.DataFrame, table: pd.DataFrame, *, against: str, count: str = "count", n: str = "n") -> Finding:
    """Judge whether something never happens; rows are pooled.

    Args:
        against: query for rows where it does happen. Power guard: zero counts only where the upper end of its interval
            lies below the lower end of theirs.
    """
    seen, trials = _sum(rows, count), _sum(rows, n)
    if not trials:
        return UNRUN
    low, high = stats.clopper_pearson(seen, trials)
    shown = Finding(seen / trials, low, high, trials, target=0.0)
    if seen:
        return replace(shown, verdict="not reproduced", note=f"seen {seen} times")
    others = _query(table, against)
    if others.empty or _sum(others, n) == 0:
        return replace(shown, verdict="inconclusive", note="nothing to hold it against")
    floor = stats.clopper_pearson(_sum(others, count), _sum(others, n)).low
    verdict = "reproduced" if high < floor else "inconclusive"
    return replace(shown, verdict=verdict, note=f"where it happens: at least {floor:.3g}")


def occurs(
    rows: pd.DataFrame, table: pd.DataFrame, *, at_least: float = 0.5, count: str = "count", n: str = "n"
) -> Finding:
    """Judge whether something happens at all; rows are pooled.

    Args:
        at_least: power guard: never seeing it would have put the upper end of the interval below this share.
    """
    seen, trials = _sum(rows, count), _sum(rows, n)
    if not trials:
        return UNRUN
    low, high = stats.clopper_pearson(seen, trials)
    refutable = stats.clopper_pearson(0, trials).high < at_least
    verdict = ("reproduced" if seen else "not reproduced") if refutable else "inconclusive"
    return Finding(seen / trials, low, high, trials, verdict, note=f"seen {seen} times")


def trend(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    score: str,
    direction: Literal["increasing", "decreasing"],
    target: Mapping[str, float | str] | None = None,
    count: str = "count",
    n: str = "n",
) -> Finding:
    """Test for a trend of shares along `score` (Cochran-Armitage on ranks); shows the last share less the first.

    Args:
        score: column, or expression of columns, along which rows are ordered.
        target: the published shares, as in `covers`. Power guard: the absence of a trend refutes the claim only where
            these shares would have shown theirs.
    """
    rows, ranks = _ordered(rows[rows[n] > 0], score)
    if len(rows) < 2:
        return UNRUN
    test = stats.cochran_armitage(rows[count], rows[n], ranks)
    first, last = rows.iloc[0], rows.iloc[-1]
    shown = stats.difference(int(last[count]), int(last[n]), int(first[count]), int(first[n]))
    found = Finding(*shown, _sum(rows, n), p=_directed(test, direction))
    if score in rows:
        found = replace(found, note=f"share at {score} {last[score]:g} less that at {first[score]:g}")
    return found if target is None else _expected(found, rows, ranks, target, n)


def _expected(
    found: Finding, rows: pd.DataFrame, ranks: np.ndarray, target: Mapping[str, float | str], n: str
) -> Finding:
    """Hold a trend against the published shares: their difference, and whether this run would have shown theirs."""
    shares = np.array([published(row, target)[0] for _, row in rows.iterrows()])
    known = ~np.isnan(shares)
    if known.sum() < 2:
        return found
    there = stats.cochran_armitage((shares * rows[n])[known], rows[n][known], ranks[known])
    step = float(shares[-1] - shares[0])
    paper, images = None, int(rows["images"].iloc[0])
    if images != target.get("images", images) and not np.isnan(step):
        stated = rows[target["column"]]
        paper = f"{stated.iloc[-1] - stated.iloc[0]:.3g} at {target['images']:,} images, so {step:.3g} at {images:,}"
    return replace(found, target=step, powered=abs(there.statistic) >= SEEN, paper=paper)


def rate_trend(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    score: str,
    direction: Literal["increasing", "decreasing"],
    events: str,
    exposure: str | None = None,
) -> Finding:
    """Test for a trend of rare events along `score` (ranks); shows the upper half's rate over the lower half's.

    Args:
        exposure: column of the exposure; None where every row counts alike (events per network). Power guard: fewer
            than ten events say nothing.
    """
    rows, ranks = _ordered(rows, score)
    if len(rows) < 2:
        return UNRUN
    weight = np.ones(len(rows)) if exposure is None else rows[exposure].to_numpy(dtype=float)
    test = stats.rate_trend(rows[events], weight, ranks)
    if _sum(rows, events) < FEW:
        test = stats.Test(0.0, 1.0, 1.0)
    half = len(rows) // 2
    shown = stats.rate_ratio(
        int(rows[events][half:].sum()), weight[half:].sum(), int(rows[events][:half].sum()), weight[:half].sum()
    )
    note = f"upper half over lower half of {len(rows)} networks"
    return Finding(*shown, _sum(rows, events), p=_directed(test, direction), note=note)


def greater(
    rows: pd.DataFrame,
    table: pd.DataFrame,
    *,
    events: str,
    exposure: str,
    than: str | None = None,
    than_events: str | None = None,
    expected: float | None = None,
) -> Finding:
    """Test whether one rate of rare events exceeds another (exact, conditional on the sum); shows their ratio.

    Args:
        than: query for the rows with the other rate; None for the same rows.
        than_events: column of the other events; None for the same column.
        expected: the published ratio. Power guard: without a difference the claim is refuted only where the interval
            lies below its square root.
    """
    others = rows if than is None else _query(table, than)
    if others.empty:
        return UNRUN
    left, right = _sum(rows, events), _sum(others, than_events or events)
    weights = _sum(rows, exposure), _sum(others, exposure)
    shown = stats.rate_ratio(left, weights[0], right, weights[1])
    share = weights[0] / sum(weights)
    p = (1.0, 1.0) if left + right == 0 else tuple(
        float(binomtest(left, left + right, share, alternative=side).pvalue) for side in ("greater", "less")
    )  # fmt: skip
    powered = expected is not None and shown.high < expected**0.5
    target = nan if expected is None else expected
    return Finding(*shown, left + right, target=target, p=p, powered=powered, note=f"{left} events against {right}")


def rate_within(
    rows: pd.DataFrame, table: pd.DataFrame, *, events: str, exposure: str, band: Sequence[float], target: float
) -> Finding:
    """Judge whether a rate of rare events, rows pooled, lies in a band: reproduced where the whole interval does."""
    seen, weight = _sum(rows, events), _sum(rows, exposure)
    low, high = stats.poisson_rate(seen, weight)
    inside = band[0] <= low and high <= band[1]
    outside = high < band[0] or low > band[1]
    verdict = "reproduced" if inside else "not reproduced" if outside else "inconclusive"
    note = f"{seen} events; band {band[0]:.2g} to {band[1]:.2g}"
    return Finding(seen / weight, low, high, seen, verdict, target=target, note=note)


RULES: dict[str, Callable[..., Finding]] = {
    rule.__name__: rule
    for rule in (covers, at_least, within, equals, none, occurs, trend, rate_trend, greater, rate_within)
}


def published(row: pd.Series, target: Mapping[str, float | str]) -> tuple[float, float, float, str | None]:
    """Return a published share as (value, low, high, text if it was brought to fewer images), as `covers` says."""
    stated = float(row[target["column"]]) if "column" in target else float(target["value"])
    if isnan(stated):
        return nan, nan, nan, None
    ends = (stated, stated)
    if "n" in target:
        ends = stats.clopper_pearson(round(stated * target["n"]), target["n"])
    error = target.get("error", 0.0)
    numbers = [stated, max(ends[0] - error, 0.0), ends[1] + error]
    images = target.get("images")
    if images is None or row["images"] == images:
        return *numbers, f"{stated:.4g}"
    value, low, high = (stats.rescaled_share(min(number, 1.0), row["images"], images) for number in numbers)
    return value, low, high, f"{stated:.4g} at {images:,} images, so {value:.3g} at {int(row['images']):,}"


def _only(rows: pd.DataFrame) -> pd.Series:
    if len(rows) != 1:
        raise RuleError(f"one row wanted, the query leaves {len(rows)}")
    return rows.iloc[0]


def _sum(rows: pd.DataFrame, column: str) -> int:
    return int(rows[column].sum())


def _query(table: pd.DataFrame, query: str) -> pd.DataFrame:
    return table.query(query, engine="python")


def _ordered(rows: pd.DataFrame, score: str) -> tuple[pd.DataFrame, np.ndarray]:
    """The rows in the order of their score, and its ranks (ties share one)."""
    scores = rows.eval(score, engine="python")
    order = scores.sort_values(kind="stable").index
    return rows.loc[order].reset_index(drop=True), rankdata(scores.loc[order])


def _directed(test: stats.Test, direction: str) -> tuple[float, float]:
    """The p-values for and against a trend in the claimed direction."""
    pair = (test.p_increasing, test.p_decreasing)
    return pair if direction == "increasing" else pair[::-1]
