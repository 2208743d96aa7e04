"""Committed tables against fresh ones: every outcome, and the row it names."""

import pandas as pd
import pytest

from kinks import paths
from kinks.report import Ignore, Proportion, machine, save_table
from kinks.report.compare import compare


@pytest.fixture
def write(project, monkeypatch):
    """Write a table (and optionally the machine) into one of two reports folders."""

    def into(folder, table, *, arithmetic=None, name="volume/cells", scale="laptop", **arguments):
        monkeypatch.setattr(paths, "REPORTS", project / folder)
        monkeypatch.setattr(paths, "TABLES", project / folder / "tables")
        monkeypatch.setenv("KINKS_SCALE", scale)
        if arithmetic:
            machine.save_machine({"arithmetic": arithmetic})
        save_table(table, name, keys=["precision"], **arguments)

    return into


def cells(count: int = 463, **columns) -> pd.DataFrame:
    rows = {"precision": ["fp16", "fp32"], "count": [1000, count], "n": [1000, 1000]}
    return pd.DataFrame(rows | {"low": [0.99, count / 1001]} | columns)


def outcome(project):
    found = compare(project / "committed", project / "fresh")
    assert len(found) == 1
    return found[0]


def test_identical(project, write):
    for folder in ("committed", "fresh"):
        write(folder, cells())
    assert str(outcome(project)) == "volume/cells: identical"
    assert outcome(project).ok


def test_who_computed_it_does_not_count(project, write):
    write("committed", cells(device="cpu", torch="2.13.0", code="aaa"))
    write("fresh", cells(device="cuda", torch="2.11.0", code="bbb"))
    assert outcome(project).status == "identical"


@pytest.mark.parametrize("arithmetic", [(None, None), ("a", "a"), ("a", None)])
def test_any_difference_counts_on_the_same_arithmetic(project, write, arithmetic):
    for folder, count, known in zip(("committed", "fresh"), (463, 471), arithmetic, strict=True):
        write(folder, cells(count), arithmetic=known, tolerance={"count": Proportion("n"), "low": Ignore()})
    found = outcome(project)
    assert found.status == "different" and not found.ok
    assert "precision=fp32: count 463 committed, 471 now" in str(found)


@pytest.mark.parametrize(("count", "status"), [(471, "within tolerance"), (900, "different")])
def test_other_arithmetic_may_differ_within_the_tolerance(project, write, count, status):
    for folder, value in (("committed", 463), ("fresh", count)):
        write(folder, cells(value), arithmetic=folder, tolerance={"count": Proportion("n"), "low": Ignore()})
    assert outcome(project).status == status


def test_a_column_without_a_tolerance_is_exact_on_any_machine(project, write):
    for folder, value in (("committed", 463), ("fresh", 471)):
        write(folder, cells(value), arithmetic=folder, tolerance={"low": Ignore()})
    assert outcome(project).status == "different"


def test_the_committed_tolerance_holds_not_the_fresh_one(project, write):
    write("committed", cells(463), arithmetic="a", tolerance={"low": Ignore()})
    write("fresh", cells(471), arithmetic="b", tolerance={"count": Ignore(), "low": Ignore()})
    assert outcome(project).status == "different"


def test_missing_and_new_tables(project, write):
    write("committed", cells(), name="volume/old")
    write("fresh", cells(), name="volume/cells")
    found = {one.table: one for one in compare(project / "committed", project / "fresh")}
    assert found["volume/old"].status == "missing" and not found["volume/old"].ok
    assert found["volume/cells"].status == "new" and found["volume/cells"].ok


def test_rows_and_columns_that_come_and_go(project, write):
    write("committed", cells())
    write("fresh", cells().head(1))
    assert "1 rows differ; first precision=fp32: committed only" in str(outcome(project))
    write("fresh", cells(extra=1))
    assert "columns: extra" in str(outcome(project))
    write("fresh", cells().iloc[::-1])
    assert "another order" in str(outcome(project))


def test_another_scale_is_not_compared(project, write):
    write("committed", cells())
    write("fresh", cells(5), scale="smoke")
    found = outcome(project)
    assert found.status == "other scale" and found.ok
    assert "committed laptop, now smoke" in str(found)


def test_missing_values_equal_each_other_only(project, write):
    write("committed", cells(median=[float("nan"), 1.0]))
    write("fresh", cells(median=[float("nan"), 1.0], device="x").drop(columns="device"))
    assert outcome(project).status == "identical"
    write("fresh", cells(median=[2.0, 1.0]))
    assert outcome(project).status == "different"


def test_tables_folders_may_be_given_instead(project, write):
    for folder, value in (("committed", 463), ("fresh", 471)):
        write(folder, cells(value), arithmetic=folder, tolerance={"count": Proportion("n"), "low": Ignore()})
    found = compare(project / "committed" / "tables", project / "fresh" / "tables")
    assert [one.status for one in found] == ["within tolerance"]


@pytest.mark.parametrize(("verdict", "status"), [("reproduced", "within tolerance"), ("inconclusive", "different")])
def test_verdicts_must_hold_on_other_machines(project, write, verdict, status):
    for folder in ("committed", "fresh"):
        write(folder, cells(), arithmetic=folder)
    row = {"id": "E2-x", "arm": "published", "measured": 0.1, "scale": "laptop", "verdict": "reproduced"}
    pd.DataFrame([row]).to_csv(project / "committed" / "claims.csv", index=False)
    pd.DataFrame([row | {"measured": 0.11, "verdict": verdict}]).to_csv(project / "fresh" / "claims.csv", index=False)
    claims = compare(project / "committed", project / "fresh")[-1]
    assert claims.table == "claims"
    assert claims.status == status
    assert claims.ok is (status == "within tolerance")


@pytest.mark.parametrize("arithmetic, status", [("b", "within tolerance"), ("a", "different")])
def test_rows_that_are_chance_events_are_others_on_other_arithmetic_only(project, write, arithmetic, status):
    write("committed", cells(), arithmetic="a", drawn=True)
    write("fresh", cells().head(1), arithmetic=arithmetic, drawn=True)
    assert outcome(project).status == status
