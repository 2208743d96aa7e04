"""Hashes of modules follow what they mean, and what they import."""

from pathlib import Path

import pytest

from kinks.pipeline.code_hash import closure, module_hash

BASE = "import math\n\n\ndef area(r):\n    return 3 * r\n"


def _hash(tmp_path: Path, text: str) -> str:
    path = tmp_path / "module.py"
    path.write_text(text)
    return module_hash(path)


@pytest.mark.parametrize(
    "text",
    [
        "# a remark\n" + BASE,
        '"""A docstring."""\n' + BASE,
        BASE.replace("    return", '    """Area."""\n    return'),
        BASE.replace("3 * r", "(3\n        * r)  # layout"),
    ],
)
def test_remarks_and_layout_do_not_count(tmp_path: Path, text: str) -> None:
    assert _hash(tmp_path, text) == _hash(tmp_path, BASE)


@pytest.mark.parametrize(
    "text",
    [
        BASE.replace("3", "4"),
        BASE.replace("3", "3.0"),
        BASE.replace("3", "None"),
        BASE.replace("3", "'3'"),
        BASE.replace("area", "volume"),
        BASE.replace("(r)", "(r=None)"),
        BASE.replace("import math", "import cmath"),
    ],
)
def test_meaning_counts(tmp_path: Path, text: str) -> None:
    assert _hash(tmp_path, text) != _hash(tmp_path, BASE)


def test_data_files_count_for_the_module_that_names_them(tmp_path: Path) -> None:
    (tmp_path / "style.css").write_text("a")
    names, silent = "FILE = 'style.css'\n", "FILE = None\n"
    before = _hash(tmp_path, names), _hash(tmp_path, silent)
    (tmp_path / "style.css").write_text("b")
    assert _hash(tmp_path, names) != before[0]
    assert _hash(tmp_path, silent) == before[1]


def test_folders_of_data_count_too(tmp_path: Path) -> None:
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "a.csv").write_text("1")
    texts = "FOLDER = 'reference'\n", "FILE = 'reference/a.csv'\n"
    before = [_hash(tmp_path, text) for text in texts]
    (tmp_path / "reference" / "a.csv").write_text("2")
    assert all(_hash(tmp_path, text) != old for text, old in zip(texts, before, strict=True))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    files = {
        "__init__.py": "",
        "a.py": "from . import b\n",
        "b.py": "def f():\n    from pack.inner.c import value\n",
        "inner/__init__.py": "from .d import other\n",
        "inner/c.py": "import numpy\nvalue = 1\n",
        "inner/d.py": "from ..e import thing as other\n",
        "e.py": "thing = 1\n",
        "unused.py": "",
    }
    for name, text in files.items():
        path = tmp_path / "pack" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "pack"


def test_closure_follows_relative_late_and_parent_imports(tree: Path) -> None:
    found = closure(["pack.a"], tree, skip=lambda name: False)
    assert list(found) == ["pack", "pack.a", "pack.b", "pack.e", "pack.inner", "pack.inner.c", "pack.inner.d"]


def test_closure_stops_at_what_is_skipped(tree: Path) -> None:
    found = closure(["pack.a"], tree, skip=lambda name: name.startswith("pack.inner"))
    assert list(found) == ["pack", "pack.a", "pack.b"]


def test_closure_ignores_other_packages_and_attributes(tree: Path) -> None:
    assert list(closure(["numpy.linalg", "pack.e.thing"], tree, skip=lambda name: False)) == ["pack", "pack.e"]
