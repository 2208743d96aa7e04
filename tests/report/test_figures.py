"""Figures: the same bytes every time, the data source at the foot, the paper's colours."""

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from kinks import paths
from kinks.report import figures, style
from kinks.report.claims import results
from kinks.report.forest import forest, forest_table

DATA = pd.DataFrame({"step": [1, 2], "difference": [0.1, 0.30000000000000004]})


@pytest.fixture
def drawn():
    """A styled figure with one line, closed afterwards."""
    with plt.rc_context():
        style.use()
        fig, ax = plt.subplots()
        ax.plot(DATA["step"], DATA["difference"])
        ax.set_xlabel(r"$\alpha$")
        yield fig
        plt.close("all")


def written() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (paths.FIGURES / "stage").iterdir()}


def test_saving_twice_writes_the_same_bytes(project, drawn):
    figures.save_figure(drawn, "stage/name", DATA, source="MNIST, first 10,000 training images (embedded)")
    first = written()
    assert set(first) == {"name.pdf", "name.png", "name.csv"}
    figures.save_figure(drawn, "stage/name", DATA, source="MNIST, first 10,000 training images (embedded)")
    assert first == written()
    assert b"CreationDate" not in first["name.pdf"] and b"atplotlib" not in first["name.png"]
    assert first["name.csv"] == b"step,difference\n1,0.1\n2,0.30000000000000004\n"


def test_the_data_source_is_printed_once(project, drawn):
    for source in ("one", "two"):
        figures.save_figure(drawn, "stage/name", DATA, source=source)
    assert [text.get_text() for text in drawn.texts] == ["Data: two"]


@pytest.mark.parametrize(
    ("name", "source", "message"), [("name", "s", "named 'stage/name'"), ("stage/name", "", "on which data it stands")]
)
def test_a_figure_without_name_or_source_is_refused(project, drawn, name, source, message):
    with pytest.raises(ValueError, match=message):
        figures.save_figure(drawn, name, DATA, source=source)


def test_the_papers_colours(drawn):
    assert style.PRECISION_COLOURS["fp16"] == "#3274a1"
    assert style.PRECISION_COLOURS["fp32"] == "#e1812c"
    assert style.PRECISION_COLOURS["fp64"] == "#3a923a"
    assert plt.rcParams["axes.prop_cycle"].by_key()["color"][:3] == ["#3274a1", "#e1812c", "#3a923a"]


def test_the_forest_shows_claims_with_a_published_number(full, drawn):
    table = forest_table(results(paths.TABLES))
    shown = table.set_index(["id", "arm"])
    assert ("E3-effect-fp32", "published") not in shown.index  # nothing was published
    assert ("E2-fp64-none", "published") not in shown.index  # nothing over nothing
    assert "noise" not in set(table["arm"])
    half = shown.loc[("E2-fp32-half", "published")]
    assert half["published"] == pytest.approx(0.0984, abs=5e-5)
    assert half["low_ratio"] < half["measured_ratio"] == half["measured"] / half["published"] < half["high_ratio"]
    figures.save_figure(forest(table), "stage/forest", table, source="x")
    first = written()
    figures.save_figure(forest(table), "stage/forest", table, source="x")
    assert first == written()


def test_an_estimate_of_zero_is_drawn_as_an_arrow(drawn):
    row = {"id": "E-x", "arm": "published", "verdict": "not reproduced", "published": 0.5, "measured": 0.0}
    row |= {"low": 0.0, "high": 0.1, "measured_ratio": 0.0, "low_ratio": 0.0, "high_ratio": 0.2}
    markers = [line.get_marker() for line in forest(pd.DataFrame([row])).axes[0].lines]
    assert "<" in markers
