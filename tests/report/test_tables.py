"""Tables, tolerances, machine and published numbers."""

import json

import numpy as np
import pandas as pd
import pytest

from kinks import paths, stats
from kinks.report import (
    Exact,
    Ignore,
    Poisson,
    Proportion,
    Relative,
    load_table,
    machine,
    read_table,
    reference,
    save_table,
)
from kinks.report.tolerance import KINDS, from_dict, to_dict


def sample() -> pd.DataFrame:
    generator = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "precision": ["fp16", "fp32", "None"],
            "count": [3, 5, 2**60],
            "rate": generator.random(3) * [1e-300, 1.0, 1e300],
            "median": [0.1, np.nan, np.inf],
            "finite": [True, False, True],
            "device": ["cpu"] * 3,
        }
    )


def test_a_table_comes_back_as_it_was_saved(project):
    table = sample()
    save_table(table, "stage/name", keys=["precision"], note="What it holds.")
    pd.testing.assert_frame_equal(load_table("stage/name"), table)
    pd.testing.assert_frame_equal(read_table(paths.TABLES / "stage" / "name.csv"), table)


def test_saving_twice_writes_the_same_bytes(project):
    def written():
        save_table(sample(), "stage/name", keys=["precision"], tolerance={"rate": Relative(0.1), "count": Exact()})
        return {path.name: path.read_bytes() for path in (paths.TABLES / "stage").iterdir()}

    first = written()
    assert set(first) == {"name.csv", "name.md", "name.json"}
    assert first == written()
    assert b"\r" not in first["name.csv"]


def test_what_lies_beside_a_table(project):
    save_table(sample(), "stage/name", keys=["precision"], tolerance={"rate": Poisson("count")}, note="A note.")
    about = json.loads((paths.TABLES / "stage" / "name.json").read_text())
    assert about["keys"] == ["precision"] and about["scale"] == "laptop" and about["note"] == "A note."
    assert about["tolerances"] == {
        "device": {"kind": "Ignore"}, "rate": {"kind": "Poisson", "exposure_column": "count"}
    }  # fmt: skip
    page = (paths.TABLES / "stage" / "name.md").read_text()
    assert page.startswith("# name\n\nA note.\n\n| precision")


def test_a_long_table_is_cut_on_its_page_and_says_so(project):
    save_table(pd.DataFrame({"i": range(250)}), "stage/long", keys=["i"])
    page = (paths.TABLES / "stage" / "long.md").read_text()
    assert "50 more rows in long.csv" in page and page.count("\n|") == 202


def test_an_empty_table_keeps_its_columns(project):
    save_table(sample().head(0), "stage/empty", keys=["precision"])
    pd.testing.assert_frame_equal(load_table("stage/empty"), sample().head(0))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("name", {"keys": ["precision"]}, "named 'stage/name' in lower case, got 'name'"),
        ("stage/Name", {"keys": ["precision"]}, "in lower case"),
        ("stage/name", {"keys": ["presicion"]}, "no column 'presicion'; it has precision"),
        ("stage/name", {"keys": ["device"]}, "do not tell rows apart, e.g. device=cpu"),
        ("stage/name", {"keys": ["precision"], "tolerance": {"share": Relative(1)}}, "no column 'share'"),
        ("stage/name", {"keys": ["precision"], "tolerance": {"rate": Proportion("n")}}, "no column 'n'"),
        ("stage/name", {"keys": ["precision"], "tolerance": {"precision": Ignore()}}, "keys are compared exactly"),
    ],
)
def test_a_table_that_cannot_be_compared_is_refused(project, name, arguments, message):
    with pytest.raises(ValueError, match=message) as caught:
        save_table(sample(), name, **arguments)
    assert "\n" not in str(caught.value)
    assert not paths.TABLES.exists()


@pytest.mark.parametrize("tolerance", [Exact(), Relative(0.1), Proportion("n"), Poisson("calls"), Ignore()])
def test_a_tolerance_survives_being_written(tolerance):
    assert from_dict(json.loads(json.dumps(to_dict(tolerance)))) == tolerance
    assert type(tolerance).__name__ in KINDS


@pytest.mark.parametrize(
    ("tolerance", "committed", "fresh", "allowed"),
    [
        (Exact(), {"x": 1.0}, {"x": 1.0}, True),
        (Exact(), {"x": float("nan")}, {"x": float("nan")}, True),
        (Exact(), {"x": 1.0}, {"x": 1.0000000001}, False),
        (Relative(0.1), {"x": 1.0}, {"x": 1.05}, True),
        (Relative(0.1), {"x": 1.0}, {"x": 1.2}, False),
        (Relative(0.1), {"x": float("nan")}, {"x": 1.0}, False),
        (Proportion("n"), {"x": 463, "n": 1000}, {"x": 488, "n": 1000}, True),
        (Proportion("n"), {"x": 463, "n": 1000}, {"x": 873, "n": 1000}, False),
        (Proportion("n"), {"x": 0.463, "n": 1000}, {"x": 0.488, "n": 1000}, True),
        (Proportion("n"), {"x": 0.463, "n": 1000}, {"x": 0.873, "n": 1000}, False),
        (Proportion("n"), {"x": float("nan"), "n": 0}, {"x": 0.5, "n": 10}, False),
        (Poisson("n"), {"x": 12, "n": 10**9}, {"x": 20, "n": 10**9}, True),
        (Poisson("n"), {"x": 12, "n": 10**9}, {"x": 120, "n": 10**9}, False),
        (Poisson("n"), {"x": 1.2e-8, "n": 10**9}, {"x": 2e-8, "n": 10**9}, True),
        (Poisson("n"), {"x": 1.2e-8, "n": 10**9}, {"x": 1.2e-7, "n": 10**9}, False),
        (Ignore(), {"x": "cpu"}, {"x": "cuda"}, True),
    ],
)
def test_tolerances(tolerance, committed, fresh, allowed):
    assert tolerance.allows(committed, fresh, "x") is allowed


def test_machine_is_written_and_read(project):
    assert machine.arithmetic(paths.REPORTS) is None
    machine.save_machine({"cpu": "x", "arithmetic": "abc"})
    assert machine.arithmetic(paths.REPORTS) == "abc"
    with pytest.raises(ValueError, match="needs an entry 'arithmetic', got cpu"):
        machine.save_machine({"cpu": "x"})


def test_scale_is_the_runners_word_or_the_files(project, monkeypatch):
    assert machine.scale() == "laptop"
    monkeypatch.setenv("KINKS_SCALE", "paper")
    assert machine.scale() == "paper"
    monkeypatch.delenv("KINKS_SCALE")
    (project / "params.yaml").write_text("scale: smoke\n")
    assert machine.scale() == "smoke"


def test_published_numbers_name_their_source_and_agree_with_our_arithmetic():
    cells = reference("volume_mnist_architecture")
    assert "deel-ai/relu-prime" in cells.attrs["source"] and "6c359e0" in cells.attrs["source"]
    measured = cells[cells["status"] == "measured"]
    low, high = stats.clopper_pearson(measured["count_in_S01"], measured["n_inits"])
    assert low == pytest.approx(measured["cp95_low"], abs=6e-5)
    assert high == pytest.approx(measured["cp95_high"], abs=6e-5)
    bounds = reference("error_bounds")
    for _, row in bounds.iterrows():
        assert stats.hoeffding(row["n_inits"], row["delta"]) == pytest.approx(row["hoeffding_halfwidth"], abs=6e-6)
        widths = stats.mcdiarmid(row["n_inits"], row["n_minibatches"], row["delta"])
        assert widths == pytest.approx(row["mcdiarmid_halfwidth"], abs=6e-6)
    zeros = reference("zeros_by_architecture")
    assert zeros.groupby("precision_bits")["zeros_total"].sum().to_dict() == {16: 7219, 32: 251}
    assert "digitised" in reference("volume_mnist_sample_size").attrs["source"]


def test_an_unknown_published_table_lists_the_known_ones():
    with pytest.raises(KeyError, match=r"no published table 'x'; there are .*error_bounds"):
        reference("x")
