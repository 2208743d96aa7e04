"""Regression sets: what they hold, how they are split and standardised, and files that do not fit."""

import numpy as np
import pandas as pd
import pytest
import torch

from kinks.data import DataError
from kinks.dying import regression, tables


def test_diabetes():
    data = regression.load("diabetes", seed=3)
    assert (data.train.x.shape, data.validation.x.shape, data.test.x.shape) == ((283, 11), (71, 11), (88, 11))
    assert data.target == pytest.approx((150, 77), abs=10) and data.constant == 0 and data.source == "scikit-learn"
    assert float(data.train.x.mean(0).abs().max()) < 1e-12 and float(data.train.y.mean().abs()) < 1e-12
    assert data.train.x.std(0, correction=0).tolist() == pytest.approx([1] * 11)
    assert float(data.train.y.std(correction=0)) == pytest.approx(1)
    assert float(data.test.y.mean().abs()) > 1e-6, "the test part is standardised by statistics that are not its own"
    assert data.checksum == regression.load("diabetes", seed=4).checksum
    assert not torch.equal(data.test.y, regression.load("diabetes", seed=4).test.y)
    assert data.card()["train_rows"] == 283 and data.card()["data"] == "diabetes"


def test_diabetes_files_that_are_others(monkeypatch):
    monkeypatch.setitem(regression._DIABETES, "diabetes_target.csv.gz", "0")
    with pytest.raises(DataError, match=r"diabetes_target.csv.gz has md5 3e38.*, not 0; install the scikit-learn of"):
        regression.load("diabetes")
    monkeypatch.setitem(regression._DIABETES, "none.csv.gz", "0")
    with pytest.raises(DataError, match=r"No such file|has md5"):
        regression.load("diabetes")
    monkeypatch.setattr(regression.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="install it, or choose another set"):
        regression.load("diabetes")


@pytest.mark.parametrize("name", ["net-8", "net-32", "sine-8", "sine-32"])
def test_teachers(name):
    data = regression.load(name, seed=1)
    assert (len(data.train.y), len(data.validation.y), len(data.test.y)) == (6400, 1600, 2000)
    assert data.train.x.shape[1] == int(name.partition("-")[2]) and data.source == "teacher"
    assert float(data.test.y.square().mean()) == pytest.approx(1, abs=0.1)
    assert torch.equal(data.train.y, regression.load(name, seed=1).train.y)


def test_the_sine_teacher_is_its_formula():
    """Regressing the targets on the formula leaves the noise: 0.01 of a variance of 0.5 + 1 + 0.25 + 0.01."""
    data = regression.teacher("sine", 8, seed=2)
    x = data.train.x  # standardised, hence the tolerance
    formula = (2 * x[:, 0]).sin() + x[:, 1] * x[:, 2] + x[:, 3] / 2
    correlation = float(np.corrcoef(formula, data.train.y)[0, 1])
    assert 1 - correlation**2 == pytest.approx(0.01 / 1.76, rel=0.5)


def test_columns_that_hardly_vary_become_zero():
    generator = np.random.default_rng(0)
    x = np.stack([generator.normal(size=50), np.full(50, 7.0)], 1)
    data = regression.prepare("two", "file", x, x[:, 0] * 3 + 1, regression.split(50, 0))
    assert data.constant == 1 and not data.train.x[:, 1].any() and not data.test.x[:, 1].any()
    assert torch.allclose(data.train.x[:, 0], data.train.y)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, y * 0), "targets have standard deviation 0"),
        (lambda x, y: (x * np.nan, y), "not finite"),
        (lambda x, y: (x[:2], y[:2]), "parts have"),
    ],
)
def test_sets_that_cannot_be_used(change, said):
    generator = np.random.default_rng(0)
    x, y = change(generator.normal(size=(20, 2)), generator.normal(size=20))
    with pytest.raises(DataError, match=said):
        regression.prepare("bad", "file", x, y, regression.split(len(y), 0))


def test_unknown_names():
    with pytest.raises(DataError, match=r"regression set is 'boston'; allowed: diabetes, net-8, .* or a CSV file"):
        regression.load("boston")
    with pytest.raises(DataError, match="teacher is 'sine' of dimension 2"):
        regression.teacher("sine", 2)


@pytest.fixture
def file(tmp_path):
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"a": generator.normal(size=100), "kind": generator.choice(list("xyz"), 100)})
    table["patient"], table["other"] = np.repeat(np.arange(20), 5), generator.normal(size=100)
    table["y"] = np.exp(table["a"] + (table["kind"] == "x"))
    path = tmp_path / "blood.csv"
    table.to_csv(path, index=False)
    return path


def test_a_file_is_one_hot_and_standardised(file):
    data = tables.read(file, "y", categories=["kind"], ignored=["patient", "other"], log_offset=0.0)
    assert (data.name, data.source, data.train.x.shape) == ("blood", "file", (64, 4))
    assert all(len(column.unique()) == 2 for column in data.train.x.T[1:])
    raw = pd.read_csv(file)
    assert data.target[0] == pytest.approx(np.log(raw["y"]).mean(), abs=0.5)
    rebuilt = torch.linalg.lstsq(data.train.x, data.train.y[:, None]).solution
    assert torch.allclose(data.test.x @ rebuilt, data.test.y[:, None], atol=1e-8), "log y is linear in the columns"


def test_groups_stay_together(file):
    data = tables.read(file, "y", categories=["kind"], group="patient", test_from=16)
    assert (len(data.train.y), len(data.validation.y), len(data.test.y)) == (65, 15, 20)
    assert data.train.x.shape[1] == 5, "the group is no input"
    assert tables.read(file, "y", categories=["kind"], group="patient").test.y.shape == (20,)


def test_a_test_file_of_its_own(file, tmp_path):
    other = tmp_path / "later.csv"
    pd.read_csv(file).head(10).to_csv(other, index=False)
    data = tables.read(file, "y", categories=["kind"], test_file=other)
    assert (len(data.train.y), len(data.validation.y), len(data.test.y)) == (80, 20, 10)


def test_commas_and_semicolons(file, tmp_path):
    other = tmp_path / "european.csv"
    pd.read_csv(file).to_csv(other, index=False, sep=";", decimal=",")
    settings = {"categories": ["kind"], "seed": 1}
    one, two = tables.read(file, "y", **settings), tables.read(other, "y", separator=";", decimal=",", **settings)
    assert torch.equal(one.train.x, two.train.x) and one.checksum == two.checksum


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"target": "z"}, "has no column 'z'; it has a, kind, patient"),
        ({"target": "y"}, r"column 'kind' holds '[xyz]'; name it in categories or ignored"),
        ({"target": "a", "categories": ["kind"], "log_offset": 0.0}, "give a larger offset"),
        ({"target": "y", "categories": ["kind"], "test_from": 3}, "test_from needs group and excludes test_file"),
        ({"target": "y", "separator": ";"}, "has no column 'y'"),
    ],
)
def test_files_that_do_not_fit(file, given, said):
    with pytest.raises(DataError, match=said):
        tables.read(file, given.pop("target"), **given)


def test_missing_files_and_fields(file, tmp_path):
    with pytest.raises(DataError, match="No such file"):
        tables.read(tmp_path / "none.csv", "y")
    table = pd.read_csv(file)
    table.loc[3, "a"] = None
    table.to_csv(file, index=False)
    with pytest.raises(DataError, match="1 of 100 rows have empty fields; fill or remove them"):
        tables.read(file, "y", categories=["kind"])
