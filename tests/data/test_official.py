import gc
import gzip
import socket
import time
from pathlib import Path

import pytest
import torch
import torchvision

from kinks.data import fetch, fetching, idx, load, mnist, synthetic_digits
from kinks.data.images import md5

TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS = mnist.OFFICIAL_FILES


def test_official_loads_from_a_mirror_of_plain_and_gzipped_files(mirror, root):
    fetch(root=root, mirror=mirror)
    for split, count in (("train", 60), ("test", 20)):
        drawn, digits = synthetic_digits(count), load(source="official", split=split, root=root)
        assert torch.equal(digits.images, drawn.images) and torch.equal(digits.labels, drawn.labels)
        assert digits.card.checksum == drawn.card.checksum
        assert (digits.card.source, digits.card.split, digits.card.n) == ("official", split, count)
    assert digits.card.label == "MNIST, 20 test images (official)"


def test_torchvision_reads_what_was_fetched(mirror, root):
    fetch(root=root, mirror=str(mirror))
    theirs = torchvision.datasets.MNIST(root, train=True)
    ours = load(source="official", root=root)
    assert torch.equal(theirs.data, ours.images) and torch.equal(theirs.targets, ours.labels)


def test_not_fetched(root, refused):
    with refused("was not fetched", "`source: official`", "`mirror: FOLDER`", "`dvc repro data`"):
        load(source="official", root=root)


def test_fetched_then_altered(tiny, mirror, root, refused):
    fetch(root=root, mirror=mirror)
    path = root / mnist.RAW / TRAIN_LABELS
    path.write_bytes(tiny[TRAIN_LABELS][:-1] + b"\x07")
    with refused(TRAIN_LABELS, "was altered", "`dvc repro data`"):
        load(source="official", root=root)
    fetch(root=root, mirror=mirror)
    assert load(source="official", root=root).card.n == 60


def test_fetched_files_are_not_fetched_again(mirror, root):
    fetch(root=root, mirror=mirror)
    fetch(root=root, mirror="nowhere", download=False)


def test_neither_mirror_nor_download(root, refused):
    with refused("`download` is false", "`mirror:`", TRAIN_IMAGES):
        fetch(root=root, download=False)


def test_mirror_is_no_folder(root, refused):
    with refused("no/such/folder is not a folder", "four IDX files"):
        fetch(root=root, mirror="no/such/folder")


def test_mirror_lacks_a_file(mirror, root, refused):
    (mirror / f"{TEST_LABELS}.gz").unlink()
    with refused(TEST_LABELS, "is missing", "plain or as .gz"):
        fetch(root=root, mirror=mirror)
    assert not list(root.iterdir())


@pytest.mark.parametrize(
    ("name", "spoil", "word"),
    [
        (TRAIN_IMAGES, lambda content: content[:-1], "truncated"),
        (TRAIN_IMAGES, lambda content: content[:10], "truncated"),
        (TRAIN_IMAGES, lambda content: b"", "starts with nothing"),
        (TRAIN_IMAGES, lambda content: b"<html>not found</html>", "not an IDX file"),
        (TRAIN_IMAGES, lambda content: content[:-1] + b"\x01", "was altered"),
        (f"{TRAIN_LABELS}.gz", lambda stored: stored[:-20], "truncated or damaged"),
    ],
)
def test_mirror_holds_a_wrong_file(name, spoil, word, mirror, root, refused):
    path = mirror / name
    path.write_bytes(spoil(path.read_bytes()))
    with refused(str(path), word, "a mirror holds"):
        fetch(root=root, mirror=mirror)
    with refused("was not fetched"):
        load(source="official", root=root)


def test_no_network_is_quick_and_clear(root, refused):
    began = time.perf_counter()
    with refused("could not be downloaded", "`mirror:`", "`source: embedded`", "Name or service not known"):
        fetch(root=root)
    assert time.perf_counter() - began < 5
    assert not list(root.iterdir())


@pytest.fixture
def host(tiny, tmp_path, serve, monkeypatch):
    """A host on this machine that serves the four files, gzipped, from the folder returned."""
    folder = tmp_path / "host"
    folder.mkdir()
    packed = {f"{name}.gz": idx.compress(content) for name, content in tiny.items()}
    for name, stored in packed.items():
        (folder / name).write_bytes(stored)
    resources = [(name, md5(stored)) for name, stored in packed.items()]
    monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [serve(folder)])
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    return folder


def test_download_through_torchvision(host, root, capfd):
    fetch(root=root)
    assert load(source="official", split="test", root=root).card.n == 20
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in root.iterdir()] == ["MNIST"]


def test_host_serves_an_altered_file(host, root, refused):
    path = host / f"{TRAIN_LABELS}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:-1] + b"\x07"))
    with refused("could not be downloaded", "corrupted"):
        fetch(root=root)
    assert not list(root.iterdir())


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_host_lacks_a_file(host, root, refused):
    (host / f"{TEST_IMAGES}.gz").unlink()
    with refused("could not be downloaded", TEST_IMAGES, "404"):
        fetch(root=root)
    gc.collect()  # torchvision leaves the refused answer open in a cycle; collected here, its warning is ignored


def test_silent_host_is_given_up(host, root, refused, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(torchvision.datasets.MNIST, "mirrors", [address])
        monkeypatch.setattr(fetching, "TIMEOUT", 0.2)
        with refused("could not be downloaded", "timed out"):
            fetch(root=root)
    assert socket.getdefaulttimeout() is None


def test_interrupted_fetch_leaves_nothing_that_looks_finished(mirror, root, refused, monkeypatch):
    write, written = Path.write_bytes, []

    def interrupted(path, content):
        written.append(path.name)
        write(path, content[: len(content) // 2])
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", interrupted)
        fetch(root=root, mirror=mirror)
    assert written == [TRAIN_IMAGES, TRAIN_LABELS]
    with refused("was not fetched"):
        load(source="official", root=root)


def test_remains_of_a_killed_fetch_are_cleared_away(mirror, root):
    remains = root / "MNIST.partial" / mnist.RAW
    remains.mkdir(parents=True)
    (remains / TRAIN_IMAGES).write_bytes(b"half a download")
    fetch(root=root, mirror=mirror)
    assert load(source="official", root=root).card.n == 60
    assert [path.name for path in root.iterdir()] == ["MNIST"]
