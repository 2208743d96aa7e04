"""Intervals and tests for counts, rates and paired differences.

Numbers or arrays in, plain values or small named tuples out. Every interval is two-sided; `level` is its coverage.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations
from math import comb
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

LEVEL = 0.95


class Interval(NamedTuple):
    """The ends of an interval (floats, or arrays of one shape)."""

    low: float | np.ndarray
    high: float | np.ndarray


class Estimate(NamedTuple):
    """An estimate with the ends of its interval."""

    value: float
    low: float
    high: float


class Test(NamedTuple):
    """A test statistic and its two p-values, one per direction."""

    __test__ = False  # not a test case for pytest

    statistic: float
    p_increasing: float
    p_decreasing: float

    @property
    def p(self) -> float:
        """The two-sided p-value."""
        return min(1.0, 2 * min(self.p_increasing, self.p_decreasing))


def clopper_pearson(count: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Return the exact interval of a proportion, `count` of `n`: coverage is never below `level`.

    Raises:
        ValueError: n < 1, or a count outside 0..n.
    """
    count, n = _counts(count, n)
    tail = (1 - level) / 2
    low = np.where(count == 0, 0.0, special.betaincinv(np.maximum(count, 1), n - count + 1, tail))
    high = np.where(count == n, 1.0, special.betaincinv(count + 1, np.maximum(n - count, 1), 1 - tail))
    return Interval(*_plain(low, high))


def wilson(count: ArrayLike, n: ArrayLike, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval of a proportion, `count` of `n`: coverage is `level` on average.

    Raises:
        ValueError: n < 1, or a count outside 0..n.
    """
    count, n = _counts(count, n)
    z, share = special.ndtri((1 + level) / 2), count / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    # At 0 and n the ends are exact; floating point would leave 1e-17 there.
    low, high = np.where(count == 0, 0.0, centre - half), np.where(count == n, 1.0, centre + half)
    return Interval(*_plain(low, high))


def poisson_rate(events: ArrayLike, exposure: ArrayLike = 1.0, level: float = LEVEL) -> Interval:
    """Return the exact (Garwood) interval of a Poisson rate, `events` per unit of `exposure`.

    Raises:
        ValueError: negative events, or an exposure that is not positive.
    """
    events, exposure = np.asarray(events, dtype=float), np.asarray(exposure, dtype=float)
    if np.any(~(events >= 0)) or np.any(~(exposure > 0)):
        raise ValueError(f"a rate needs events >= 0 and exposure > 0, got {events.tolist()} in {exposure.tolist()}")
    tail = (1 - level) / 2
    low = np.where(events == 0, 0.0, special.gammaincinv(np.maximum(events, 1), tail))
    high = special.gammaincinv(events + 1, 1 - tail)
    return Interval(*_plain(low / exposure, high / exposure))


def hoeffding(inits: int, risk: float = 1 - LEVEL) -> float:
    """Return Hoeffding's half-width for a proportion over `inits` independent initialisations at that risk."""
    return float(np.sqrt(np.log(2 / risk) / (2 * inits)))


def mcdiarmid(inits: int, minibatches: int, risk: float = 1 - LEVEL) -> float:
    """Return McDiarmid's half-width for a mean over `inits` x `minibatches`: one of either moves it by 1/its number.

    It holds when the mini-batches, too, are independent draws; those of a fixed data set are not.
    """
    return float(np.sqrt(np.log(2 / risk) / 2 * (1 / inits + 1 / minibatches)))


def rescaled_share(share: ArrayLike, images: ArrayLike, of: int) -> float | np.ndarray:
    """Return the share of initialisations hit within `images` images, given the share hit within `of` images.

    Images hit independently at a constant rate, so shares compose as 1-(1-p)^(images/of).
    """
    return _plain(1 - (1 - np.asarray(share, dtype=float)) ** (np.asarray(images) / of))[0]


def difference(count: int, n: int, other_count: int, other_n: int, level: float = LEVEL) -> Estimate:
    """Return Newcombe's hybrid-score interval of the difference of two independent proportions, first minus second."""
    (low, high), (other_low, other_high) = wilson(count, n, level), wilson(other_count, other_n, level)
    share, other = count / n, other_count / other_n
    below, above = np.hypot(share - low, other_high - other), np.hypot(high - share, other - other_low)
    return Estimate(share - other, float(share - other - below), float(share - other + above))


def two_proportions(count: int, n: int, other_count: int, other_n: int) -> float:
    """Return the two-sided p-value of Fisher's exact test that two independent proportions are equal."""
    _counts([count, other_count], [n, other_n])
    from scipy.stats import fisher_exact  # a second to import, and few callers test

    return float(fisher_exact([[count, n - count], [other_count, other_n - other_count]]).pvalue)


def two_rates(events: int, exposure: float, other_events: int, other_exposure: float) -> float:
    """Return the two-sided p-value of the exact conditional test that two independent Poisson rates are equal."""
    total = int(events) + int(other_events)
    if total == 0:
        return 1.0
    from scipy.stats import binomtest

    return float(binomtest(int(events), total, exposure / (exposure + other_exposure)).pvalue)


def rate_ratio(
    events: int, exposure: float, other_events: int, other_exposure: float, level: float = LEVEL
) -> Estimate:
    """Return the exact interval of the ratio of two independent Poisson rates, first over second.

    NaN where neither has an event; the estimate and upper end are infinite where the second has none.
    """
    if events + other_events == 0:
        return Estimate(np.nan, 0.0, np.inf)
    low, high = clopper_pearson(events, events + other_events, level)
    shares = np.array([events / (events + other_events), low, high])
    with np.errstate(divide="ignore"):
        return Estimate(*_plain(*(shares / (1 - shares) * other_exposure / exposure)))


def cochran_armitage(counts: ArrayLike, n: ArrayLike, scores: ArrayLike | None = None) -> Test:
    """Return the Cochran-Armitage test for a trend of proportions along `scores` (default 0, 1, 2, ...), all `(k,)`.

    The statistic is normal under no trend, and 0 (p = 1/2 each way) where no trend can show: all counts 0, or all n.

    Raises:
        ValueError: fewer than two groups, or a count outside 0..n.
    """
    counts, n = _counts(counts, n)
    scores = _scores(scores, len(np.atleast_1d(counts)))
    pooled = counts.sum() / n.sum()
    centred = scores - (n * scores).sum() / n.sum()
    variance = pooled * (1 - pooled) * (n * centred**2).sum()
    return _normal((centred * counts).sum(), variance)


def rate_trend(events: ArrayLike, exposure: ArrayLike, scores: ArrayLike | None = None) -> Test:
    """Return the score test for a trend of Poisson rates along `scores`: Cochran-Armitage in the limit of rare events.

    Raises:
        ValueError: fewer than two groups.
    """
    events, exposure = np.asarray(events, dtype=float), np.asarray(exposure, dtype=float)
    scores = _scores(scores, len(np.atleast_1d(events)))
    expected = exposure / exposure.sum()
    centred = scores - (expected * scores).sum()
    return _normal((centred * events).sum(), events.sum() * (expected * centred**2).sum())


def holm(p_values: ArrayLike) -> np.ndarray:
    """Return Holm's adjusted p-values `(k,)`, in the given order: reject where one is at most the family's risk."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def sign_test(differences: ArrayLike) -> float:
    """Return the two-sided p-value of the sign test on paired differences `(k,)`; zeros say nothing and are dropped."""
    differences = np.asarray(differences, dtype=float)
    positive, negative = int((differences > 0).sum()), int((differences < 0).sum())
    from scipy.stats import binomtest

    return 1.0 if positive + negative == 0 else float(binomtest(positive, positive + negative).pvalue)


def student(values: ArrayLike, resolution: float = 0.0, level: float = LEVEL) -> Estimate:
    """Return the mean of `values` `(k,)` with Student's interval; its ends are NaN for fewer than two values.

    Args:
        resolution: the step of the scale that values were read on (one test image of so many). Where it is given, what
            rounding to it adds to the variance of a difference is added, so that a few equal differences are no proof.
    """
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        return Estimate(float(values[0]) if values.size else np.nan, np.nan, np.nan)
    half = special.stdtrit(values.size - 1, (1 + level) / 2) * _standard_error(values, resolution)
    return Estimate(float(values.mean()), float(values.mean() - half), float(values.mean() + half))


def student_test(values: ArrayLike, resolution: float = 0.0) -> float:
    """Return the two-sided p-value of Student's test that values `(k,)`, such as paired differences, have mean 0.

    NaN for fewer than two values. Values that are all equal have no spread to compare with, so without a `resolution`
    (see `student`) they are tested by `sign_flip`.
    """
    values = np.asarray(values, dtype=float)
    if values.size < 2:
        return np.nan
    error = _standard_error(values, resolution)
    if not error or not values.any():
        return sign_flip(values)
    return float(2 * special.stdtr(values.size - 1, -abs(values.mean()) / error))


def sign_flip(differences: ArrayLike, resamples: int = 20_000, seed: int = 0) -> float:
    """Return the two-sided p-value of the permutation test that paired differences `(k,)` are as likely of either sign.

    All 2^k flips are counted for up to 16 differences, so p is exact and at least 2^(1-k); beyond, `resamples` random
    ones, the one observed among them. NaN for no difference.
    """
    differences = np.asarray(differences, dtype=float)
    size = differences.size
    if size == 0:
        return np.nan
    if size <= 16:
        signs = 1 - 2 * (np.arange(2**size)[:, None] >> np.arange(size) & 1)
    else:
        signs = np.random.default_rng(seed).choice((-1, 1), size=(resamples, size))
        signs[0] = 1
    sums = np.abs(signs @ differences)
    # The same sum in another order may round below the observed one.
    return float(np.mean(sums >= abs(differences.sum()) - 1e-12 * np.abs(differences).sum()))


def rank_sum(values: ArrayLike, other: ArrayLike) -> float:
    """Return the two-sided p-value of the rank-sum test that two samples `(k,)`, `(m,)` come from one distribution.

    Twice the share of all divisions of the ranks (ties at their mean) that lie as far to the observed side: exact for
    up to 20,000 divisions, so up to 8 against 8, and the normal approximation beyond. Conservative where the samples
    are pairs that tend to agree. NaN where one is empty.
    """
    values, other = np.asarray(values, dtype=float), np.asarray(other, dtype=float)
    if not values.size or not other.size:
        return np.nan
    from scipy.stats import mannwhitneyu, rankdata

    if comb(values.size + other.size, values.size) > 20_000:
        return float(mannwhitneyu(values, other, method="asymptotic").pvalue)
    ranks = rankdata(np.concatenate([values, other]))
    sums = ranks[np.array(list(combinations(range(ranks.size), values.size)))].sum(axis=1)
    observed = ranks[: values.size].sum()
    return float(min(1.0, 2 * min(np.mean(sums <= observed), np.mean(sums >= observed))))


@cache
def boschloo(count: int, n: int, other_count: int, other_n: int) -> float:
    """Return the two-sided p-value of Boschloo's exact unconditional test that two proportions are equal.

    The samples are taken as independent; where they are paired and tend to agree, the test is conservative. It rejects
    where McNemar's test of few pairs cannot: 5 of 5 against 0 of 5 has p = 2 / 4^5, not 2 / 2^5.
    """
    _counts([count, other_count], [n, other_n])
    from scipy.stats import boschloo_exact

    return min(1.0, float(boschloo_exact([[count, other_count], [n - count, other_n - other_count]]).pvalue))


def bootstrap(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float] = np.median,
    *,
    groups: ArrayLike | None = None,
    seed: int = 0,
    resamples: int = 2000,
    level: float = LEVEL,
) -> Estimate:
    """Return the percentile bootstrap interval of a statistic of `values` `(k,)`, the median unless told.

    Args:
        groups: labels `(k,)`, where values of one group (mini-batches of one initialisation) are not independent: whole
            groups are drawn then.

    Raises:
        ValueError: no values, or NaN among them.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or np.isnan(values).any():
        raise ValueError(f"a bootstrap needs numbers, got {values.size} values, {np.isnan(values).sum()} of them NaN")
    members = np.arange(values.size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    order = np.argsort(members, kind="stable")
    parts = np.split(values[order], np.flatnonzero(np.diff(members[order])) + 1)
    generator = np.random.default_rng(seed)
    draws = [
        statistic(np.concatenate([parts[i] for i in generator.integers(len(parts), size=len(parts))]))
        for _ in range(resamples)
    ]
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return Estimate(float(statistic(values)), float(low), float(high))


def geometric_mean(values: Sequence[float] | np.ndarray) -> float:
    """Return the geometric mean of positive values.

    Raises:
        ValueError: no values, or one that is not positive.
    """
    values = np.asarray(values, dtype=float)
    if values.size == 0 or np.any(~(values > 0)):
        raise ValueError(f"a geometric mean needs positive values, got {values.tolist()}")
    return float(np.exp(np.mean(np.log(values))))


def _counts(count: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    count, n = np.asarray(count, dtype=float), np.asarray(n, dtype=float)
    if np.any(~(n >= 1)) or np.any(~((count >= 0) & (count <= n))):
        raise ValueError(f"a proportion needs 0 <= count <= n and n >= 1, got {count.tolist()} of {n.tolist()}")
    return count, n


def _standard_error(values: np.ndarray, resolution: float) -> float:
    """Of the mean; the variance of a difference of two values rounded to `resolution` added."""
    return float(np.sqrt((values.var(ddof=1) + resolution**2 / 6) / values.size))


def _scores(scores: ArrayLike | None, groups: int) -> np.ndarray:
    if groups < 2:
        raise ValueError(f"a trend needs at least two groups, got {groups}")
    return np.arange(groups, dtype=float) if scores is None else np.asarray(scores, dtype=float)


def _normal(score: float, variance: float) -> Test:
    z = float(score / np.sqrt(variance)) if variance > 0 else 0.0
    return Test(z, float(special.ndtr(-z)), float(special.ndtr(z)))


def _plain(*values: ArrayLike) -> tuple[float | np.ndarray, ...]:
    """Zero-dimensional arrays as Python floats, others as they are."""
    return tuple(float(value) if np.ndim(value) == 0 else value for value in map(np.asarray, values))
