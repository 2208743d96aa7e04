"""Official sets: the recipes on small files of their formats, and what is said where a file is missing or odd."""

import numpy as np
import pandas as pd
import pytest

from kinks.data import DataError
from kinks.dying import official, sweep


@pytest.fixture
def folder(tmp_path):
    """Made-up rows in the formats of some UCI files; not the sets themselves."""
    generator = np.random.default_rng(0)
    numbers = generator.normal(size=(60, 8)).round(3)
    lines = [",".join([*"MFI"[place % 3], *map(str, row)]) for place, row in enumerate(numbers)]
    (tmp_path / "abalone.data").write_text("\n".join(lines) + "\n")
    posts = pd.DataFrame(np.repeat(generator.normal(size=(20, 281)), 4, axis=0))
    posts[250], posts[280] = generator.normal(size=80), generator.integers(0, 50, 80)
    nested = tmp_path / "blog"
    nested.mkdir()
    posts.to_csv(nested / "blogData_train.csv", header=False, index=False)
    for day in (1, 2):
        name = f"blogData_test-2012.02.0{day}.00_00.csv"
        posts.head(5 * day).to_csv(nested / name, header=False, index=False)
    air = pd.DataFrame({"Date": ["10/03/2004"] * 30 + ["11/03/2004"] * 30, "Time": ["18.00.00", "19.00.00"] * 30})
    air["CO(GT)"] = ["2,6", "-200"] * 30
    air["C6H6(GT)"] = ["-200,0"] * 10 + [f"{value:.1f}".replace(".", ",") for value in generator.uniform(1, 9, 50)]
    air["T"] = [f"{value:.2f}".replace(".", ",") for value in generator.normal(size=60)]
    text = air.to_csv(sep=";", index=False).replace("\n", ";;\n")
    (tmp_path / "AirQualityUCI.csv").write_text(text + ";;;;;;\n")
    return tmp_path


def test_every_recipe_is_whole():
    found = official.recipes()
    assert len(found) == 13, "twelve sets, one of which has two targets"
    for recipe in found.values():
        assert recipe["separator"] in official.SEPARATORS and recipe["header"] in ("yes", "no") and recipe["page"]
    assert {name for name, one in found.items() if one["log_offset"]} == {"online-news", "blog-feedback"}
    assert {one["test_from"] for one in found.values()} == {"", "80", "31"}


def test_headless_files_and_categories(folder):
    data = official.load("abalone", folder=folder)
    assert (data.name, data.source, data.train.x.shape[1]) == ("abalone", "file", 3 + 7)
    assert len(data.train.y) + len(data.validation.y) + len(data.test.y) == 60


def test_test_files_pages_and_logarithms(folder):
    data = official.load("blog-feedback", folder=folder)
    assert len(data.test.y) == 15 and len(data.train.y) + len(data.validation.y) == 80, "two test files"
    pages = {tuple(row) for row in data.train.x[:, :50].tolist()}
    assert pages.isdisjoint({tuple(row) for row in data.validation.x[:, :50].tolist()}), "a page is in one part"
    assert data.train.x.shape[1] == 280, "what tells pages apart stays an input"
    assert data.target[0] < 4, "a logarithm"


def test_air_quality(folder):
    data = official.load("air-quality", folder=folder)
    assert len(data.train.y) + len(data.validation.y) + len(data.test.y) == 50, "rows without a target are gone"
    assert data.train.x.shape[1] == 4, "days, hours, carbon monoxide, temperature"
    assert 1 < data.target[0] < 9


def test_a_sweep_of_an_official_set(folder):
    table = sweep.job(
        data="abalone", folder=str(folder), data_seed=0, width=3, depth=1, kind="plain", initialisation="library",
        gammas=[1.0], rates=[0.1], seeds=[0], optimiser="sgd", momentum=0.0, epsilon=1e-8, batch=8, record=[0, 2],
    )  # fmt: skip
    assert (table["data"] == "abalone").all() and (table["source"] == "file").all()


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("white-wine", True, r"white-wine: no winequality-white.csv in .*; fetch it \(https://archive.ics.uci.edu"),
        ("white-wine", False, "white-wine: no folder; fetch winequality-white.csv"),
        ("boston", True, "official set is 'boston'; allowed: abalone, airfoil"),
        ("boston", False, "regression set is 'boston'; allowed: diabetes"),
    ],
)
def test_what_cannot_be_read(folder, name, given, said):
    with pytest.raises(DataError, match=said) as error:
        official.load(name, folder=folder if given else None)
    assert "\n" not in str(error.value)


def test_a_file_of_another_format(folder):
    (folder / "winequality-white.csv").write_text("a;b\n1;2\n")
    with pytest.raises(DataError, match="has no column 'quality'"):
        official.load("white-wine", folder=folder)
    (folder / "AirQualityUCI.csv").write_text("a;b\n1;2\n")
    with pytest.raises(DataError, match="has no column 'Date'"):
        official.load("air-quality", folder=folder)


def test_teachers_with_a_number_of_rows():
    data = official.load("sine-8", seed=1, rows=50, folder=None)
    assert (len(data.train.y), len(data.validation.y), len(data.test.y)) == (32, 8, 10)
