"""Every rule, with rows for every verdict it can give."""

from math import inf, isnan, nan

import pandas as pd
import pytest

from kinks import stats
from kinks.report import finding as findings
from kinks.report import rules
from kinks.report.finding import Finding, RuleError, floor, settled

YES, NO, OPEN, UNRUN = "reproduced", "not reproduced", "inconclusive", "not run at this scale"


def counted(*pairs: tuple[int, int], **columns) -> pd.DataFrame:
    """Rows of counts with their exact intervals."""
    rows = []
    for count, n in pairs:
        low, high = stats.clopper_pearson(count, n) if n else (nan, nan)
        rows.append({"count": count, "n": n, "share": count / n if n else nan, "low": low, "high": high})
    return pd.DataFrame(rows).assign(**columns)


def judged(finding: Finding, significance: float = 0.01) -> str:
    """The verdict of a tested finding that is a family of its own."""
    assert finding.verdict is None
    return settled(finding, *finding.p, significance).verdict


@pytest.mark.parametrize(
    ("count", "n", "verdict"),
    [(463, 1000, YES), (700, 1000, NO), (200, 1000, NO), (5, 10, OPEN), (0, 0, UNRUN)],
)
def test_covers(count, n, verdict):
    rows = counted((count, n), images=60_000)
    found = rules.covers(rows, rows, target={"value": 0.463, "n": 1000, "images": 60_000})
    assert found.verdict == verdict
    assert found.n == n


def test_covers_brings_the_published_share_to_the_images_of_the_run():
    target = {"value": 0.463, "n": 1000, "images": 60_000}
    fewer = counted((98, 1000), images=10_000)
    found = rules.covers(fewer, fewer, target=target)
    assert found.verdict == YES and found.target == pytest.approx(0.0984, abs=5e-5)
    assert found.paper == "0.463 at 60,000 images, so 0.0984 at 10,000"
    same = counted((463, 1000), images=10_000)  # half within a sixth of the images is too many
    assert rules.covers(same, same, target=target).verdict == NO


def test_covers_counts_the_published_numbers_own_uncertainty():
    rows = counted((500, 1000), images=60_000)
    assert rules.covers(rows, rows, target={"value": 0.463}).verdict == NO
    assert rules.covers(rows, rows, target={"value": 0.463, "n": 1000}).verdict == YES
    assert rules.covers(rows, rows, target={"value": 0.463, "error": 0.01}).verdict == YES


def test_covers_reads_the_published_number_from_a_column():
    rows = counted((463, 1000), images=60_000, published=0.463)
    assert rules.covers(rows, rows, target={"column": "published"}).verdict == YES
    rows["published"] = nan
    assert rules.covers(rows, rows, target={"column": "published"}).verdict == OPEN


@pytest.mark.parametrize(("count", "n", "verdict"), [(1000, 1000, YES), (900, 1000, NO), (20, 20, OPEN), (0, 0, UNRUN)])
def test_at_least(count, n, verdict):
    rows = counted((count, n), images=60_000)
    assert rules.at_least(rows, rows, threshold=0.99, images=60_000).verdict == verdict


def test_at_least_with_fewer_images_asks_for_less():
    rows = counted((80, 100), images=10_000)
    found = rules.at_least(rows, rows, threshold=0.99, images=60_000)
    assert found.verdict == YES  # 0.99 in 60,000 images is 0.54 in 10,000
    assert found.paper.startswith("at least 0.99 at 60,000 images, so 0.536")


@pytest.mark.parametrize(("value", "verdict"), [(4.6, YES), (0.2, NO)])
def test_at_least_of_a_value_without_an_interval(value, verdict):
    rows = pd.DataFrame({"distance": [value], "n": [5]})
    found = rules.at_least(rows, rows, threshold=1.0, measured="distance", low=None, high=None)
    assert (found.verdict, found.low, found.high) == (verdict, value, value)


@pytest.mark.parametrize(
    ("count", "n", "verdict"),
    [(0, 1000, YES), (1, 1000, NO), (0, 5, OPEN), (0, 0, UNRUN)],
)
def test_none(count, n, verdict):
    table = pd.concat([counted((count, n), precision="fp64"), counted((400, 1000), precision="fp32")])
    found = rules.none(table[table["precision"] == "fp64"], table, against="precision == 'fp32'")
    assert found.verdict == verdict


def test_none_with_nothing_to_hold_it_against_is_inconclusive():
    rows = counted((0, 1000), precision="fp64")
    assert rules.none(rows, rows, against="precision == 'fp32'").verdict == OPEN
    table = pd.concat([rows, counted((0, 1000), precision="fp32")])  # it does not happen there either
    assert rules.none(rows, table, against="precision == 'fp32'").verdict == OPEN


@pytest.mark.parametrize(
    ("count", "n", "verdict"), [(3, 20, YES), (0, 20, NO), (1, 2, OPEN), (0, 2, OPEN), (0, 0, UNRUN)]
)
def test_occurs(count, n, verdict):
    rows = counted((count, n))
    assert rules.occurs(rows, rows).verdict == verdict


@pytest.mark.parametrize(
    ("pairs", "direction", "verdict"),
    [
        ([(50, 1000), (258, 1000), (463, 1000)], "increasing", YES),
        ([(50, 1000), (258, 1000), (463, 1000)], "decreasing", NO),
        ([(100, 1000), (104, 1000), (98, 1000)], "increasing", OPEN),
    ],
)
def test_trend(pairs, direction, verdict):
    rows = counted(*pairs, layers=[1, 2, 3], images=60_000)
    found = rules.trend(rows, rows, score="layers", direction=direction)
    assert judged(found) == verdict
    first, last = pairs[0], pairs[-1]
    assert found.measured == pytest.approx(last[0] / last[1] - first[0] / first[1])


@pytest.mark.parametrize(("n", "verdict"), [(1000, NO), (20, OPEN)])
def test_a_missing_trend_refutes_only_where_the_published_one_would_have_shown(n, verdict):
    flat = counted((n // 4, n), (n // 4, n), (n // 4, n), layers=[1, 2, 3], published=[0.05, 0.26, 0.46], images=60_000)
    found = rules.trend(
        flat, flat, score="layers", direction="increasing", target={"column": "published", "images": 60_000}
    )
    assert found.target == pytest.approx(0.41)
    assert found.paper is None
    assert judged(found) == verdict


def test_trend_brings_the_published_difference_to_the_images_of_the_run():
    rows = counted((10, 1000), (100, 1000), layers=[1, 3], published=[0.054, 0.463], images=10_000)
    found = rules.trend(
        rows, rows, score="layers", direction="increasing", target={"column": "published", "images": 60_000}
    )
    assert found.paper == "0.409 at 60,000 images, so 0.0892 at 10,000"


def test_trend_follows_the_score_not_the_order_of_rows_and_needs_two():
    rows = counted((463, 1000), (50, 1000), (258, 1000), layers=[3, 1, 2], neurons=[2, 2, 2])
    assert judged(rules.trend(rows, rows, score="layers * neurons", direction="increasing")) == YES
    assert rules.trend(rows.head(1), rows, score="layers", direction="increasing").verdict == UNRUN
    none = counted((0, 0), (5, 10), layers=[1, 2])
    assert rules.trend(none, none, score="layers", direction="increasing").verdict == UNRUN


@pytest.mark.parametrize(
    ("events", "verdict"),
    [([5, 20, 80, 300], YES), ([300, 80, 20, 5], NO), ([9, 10, 8, 10], OPEN), ([0, 1, 0, 8], OPEN)],
)
def test_rate_trend(events, verdict):
    rows = pd.DataFrame({"zeros": events, "units": [16, 64, 256, 512]})
    found = rules.rate_trend(rows, rows, score="units", direction="increasing", events="zeros")
    assert judged(found) == verdict
    assert found.measured == pytest.approx(sum(events[2:]) / sum(events[:2]))


def test_rate_trend_divides_by_the_exposure():
    rows = pd.DataFrame({"zeros": [10, 100, 1000], "calls": [1e9, 1e10, 1e11], "units": [1, 2, 3]})
    found = rules.rate_trend(rows, rows, score="units", direction="increasing", events="zeros", exposure="calls")
    assert judged(found) == OPEN


@pytest.mark.parametrize(
    ("left", "right", "expected", "verdict"),
    [(280, 10, 28, YES), (10, 280, 28, NO), (20, 22, 28, NO), (20, 22, None, OPEN), (0, 0, None, OPEN)],
)
def test_greater(left, right, expected, verdict):
    table = pd.DataFrame({"precision": ["fp16", "fp32"], "zeros": [left, right], "calls": [10**9, 10**9]})
    found = rules.greater(
        table.head(1), table, events="zeros", exposure="calls", than="precision == 'fp32'", expected=expected
    )
    assert judged(found) == verdict


def test_greater_of_two_columns_and_of_nothing():
    rows = pd.DataFrame({"first": [40], "last": [10], "calls": [10**9]})
    found = rules.greater(rows, rows, events="first", than_events="last", exposure="calls")
    assert judged(found) == YES and found.measured == pytest.approx(4)
    assert rules.greater(rows, rows, events="first", exposure="calls", than="first == 0").verdict == UNRUN


@pytest.mark.parametrize(("events", "verdict"), [(100, YES), (5000, NO), (1, NO), (34, OPEN)])
def test_rate_within(events, verdict):
    rows = pd.DataFrame({"zeros": [events], "calls": [10**9]})
    found = rules.rate_within(rows, rows, events="zeros", exposure="calls", band=[3e-8, 3e-7], target=1e-7)
    assert found.verdict == verdict
    assert found.measured == pytest.approx(events * 1e-9)


def test_floor():
    effect = Finding(0.1, 0.08, 0.12, 1000, YES)
    assert floor(Finding(0.0, 0.0, 0.01, 100, OPEN), effect).verdict == YES
    assert floor(Finding(0.0, 0.0, 0.5, 3, OPEN), effect).verdict == OPEN
    assert floor(Finding(0.3, 0.2, 0.4, 100, OPEN), effect).verdict == NO
    assert floor(Finding(0.3, nan, nan, 100, OPEN), effect).verdict == NO
    assert floor(findings.UNRUN, effect).verdict == OPEN


def test_settled_corrections_decide():
    found = Finding(1.0, 0.5, inf, 10, p=(0.008, 0.99))
    assert settled(found, 0.008, 0.99, 0.01).verdict == YES
    assert settled(found, 0.024, 0.99, 0.01).verdict == OPEN  # after Holm over three
    assert "p = 0.024" in settled(found, 0.024, 0.99, 0.01).note


def test_several_rows_where_one_is_wanted_are_refused():
    rows = counted((1, 2), (1, 2))
    with pytest.raises(RuleError, match="one row wanted, the query leaves 2"):
        rules.covers(rows, rows, target={"value": 0.5})


def test_a_published_number_that_is_missing_stays_missing():
    row = pd.Series({"published": nan, "images": 10_000})
    value, low, high, paper = rules.published(row, {"column": "published", "n": 1000, "images": 60_000})
    assert isnan(value) and isnan(low) and isnan(high) and paper is None


@pytest.mark.parametrize(
    ("count", "n", "verdict"),
    [(50, 100, YES), (20, 100, NO), (80, 100, NO), (36, 100, OPEN), (5, 10, OPEN), (0, 0, UNRUN)],
)
def test_within(count, n, verdict):
    rows = counted((count, n))
    found = rules.within(rows, rows, band=[0.35, 0.65], target=0.51)
    assert found.verdict == verdict and (verdict == UNRUN or found.target == 0.51)


def test_within_takes_an_extreme_without_an_interval():
    rows = pd.DataFrame({"largest": [8e-4], "n": [30]})
    given = {"measured": "largest", "low": None, "high": None}
    assert rules.within(rows, rows, band=[0, 1e-3], **given).verdict == YES
    assert rules.within(rows, rows, band=[0, 5e-4], **given).verdict == NO


def test_equals_is_exact_and_asks_every_row():
    rows = pd.DataFrame({"value": [2.0**-24] * 5})
    assert rules.equals(rows, rows, value=5.960464477539063e-08, measured="value").verdict == YES
    rows.loc[3, "value"] = 0.0
    found = rules.equals(rows, rows, value=2.0**-24, measured="value")
    assert found.verdict == NO and found.measured == 0.0 and found.n == 5
