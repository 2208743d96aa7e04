"""CIFAR-10, CIFAR-100 and SVHN, read from tiny files in the published formats."""

import dataclasses
import io
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from scipy.io import savemat

import kinks.data
from kinks import paths
from kinks.data import fetch, fetching, load, official, splits
from kinks.data.images import md5

ARCHIVES = {"cifar10": "cifar-10-python.tar.gz", "cifar100": "cifar-100-python.tar.gz"}
CLASSES = ("airplane", "automobile", "bird")


def batch(n: int, seed: int, fine: bool) -> tuple[bytes, np.ndarray, list[int]]:
    """Return a pickled batch as published, its images `(n, 3, 32, 32)` and its labels."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (n, 3, 32, 32), dtype=np.uint8)
    labels = generator.integers(0, 3, n).tolist()
    extra = {"fine_labels": labels, "coarse_labels": [0] * n} if fine else {"labels": labels}
    content = {"batch_label": "a batch", "data": images.reshape(n, -1), "filenames": ["x.png"] * n, **extra}
    return pickle.dumps(content, protocol=2), images, labels


@dataclasses.dataclass
class Tiny:
    """A stand-in for a published set: contents of its files, and what a split of it holds."""

    files: dict[str, bytes]
    images: dict[str, np.ndarray]
    labels: dict[str, list[int]]


def tiny_cifar(name: str) -> Tiny:
    fine = name == "cifar100"
    tiny = Tiny({}, {}, {})
    for split, names in official.SETS[name].files.items():
        parts = {file: batch(4, seed, fine) for seed, file in enumerate(names) if not file.endswith("meta")}
        tiny.files |= {file: content for file, (content, _, _) in parts.items()}
        tiny.images[split] = np.concatenate([images for _, images, _ in parts.values()])
        tiny.labels[split] = [label for _, _, labels in parts.values() for label in labels]
    key, file = ("fine_label_names", "meta") if fine else ("label_names", "batches.meta")
    tiny.files[file] = pickle.dumps({key: list(CLASSES), "num_vis": 3072}, protocol=2)
    return tiny


def tiny_svhn() -> Tiny:
    tiny = Tiny({}, {}, {})
    for seed, split in enumerate(("train", "extra", "test")):
        generator = np.random.default_rng(seed)
        images = generator.integers(0, 256, (5 + seed, 3, 32, 32), dtype=np.uint8)
        labels = np.resize([10, 1, 9, 0], 5 + seed) % 10
        file = io.BytesIO()
        published = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        savemat(file, {"X": images.transpose(2, 3, 1, 0), "y": published}, do_compression=True)
        tiny.files[f"{split}_32x32.mat"] = file.getvalue()
        tiny.images[split], tiny.labels[split] = images, labels.tolist()
    return tiny


@pytest.fixture(params=list(official.SETS))
def name(request) -> str:
    return request.param


@pytest.fixture
def tiny(name, monkeypatch) -> Tiny:
    """A stand-in for the set `name`, which the code now takes for the real one."""
    tiny = tiny_svhn() if name == "svhn" else tiny_cifar(name)
    published = official.SETS[name]
    files = {split: {file: md5(tiny.files[file]) for file in part} for split, part in published.files.items()}
    monkeypatch.setitem(kinks.data.NAMES, name, dataclasses.replace(published, files=files))
    return tiny


def pack(path: Path, name: str, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as archive:
        for file, content in files.items():
            member = tarfile.TarInfo(f"{official.SETS[name].home.name}/{file}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


@pytest.fixture
def mirror(name, tiny, tmp_path) -> Path:
    """A folder with what is published: an archive, or for SVHN the files."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    if name in ARCHIVES:
        pack(folder / ARCHIVES[name], name, tiny.files)
    else:
        for file, content in tiny.files.items():
            (folder / file).write_bytes(content)
    return folder


def spoiled(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


def replace(mirror: Path, name: str, files: dict[str, bytes]) -> None:
    """Put other files into the mirror."""
    if name in ARCHIVES:
        pack(mirror / ARCHIVES[name], name, files)
        return
    for path in mirror.iterdir():
        path.unlink()
    for file, content in files.items():
        (mirror / file).write_bytes(content)


def check(tiny: Tiny, name: str, split: str, root: Path) -> None:
    data = load(name, split=split, root=root)
    assert np.array_equal(data.images.numpy(), tiny.images[split]) and data.images.is_contiguous()
    assert data.labels.tolist() == tiny.labels[split] and data.labels.dtype == torch.int64
    kind = {"train": "training"}.get(split, split)
    assert data.card.label == f"{official.SETS[name].title}, {len(data)} {kind} images (official)"
    assert (data.card.name, data.card.source, data.card.split) == (name, "official", split)
    assert data.card.checksum == md5(tiny.images[split].tobytes()) and data.card.shape == (32, 32)
    assert data.card.classes == (tuple("0123456789") if name == "svhn" else CLASSES)


def test_loads_from_a_mirror(name, tiny, mirror, root):
    fetch(name, root=root, mirror=mirror)
    assert splits(name) == ("train", "test")
    for split in ("train", "test"):
        check(tiny, name, split, root)
    assert [path.name for path in root.iterdir()] == [official.SETS[name].home.parts[0]]


@pytest.mark.parametrize("name", list(ARCHIVES), indirect=True)
def test_loads_from_a_mirror_of_the_unpacked_archive(name, tiny, mirror, root):
    (mirror / ARCHIVES[name]).unlink()
    folder = mirror / official.SETS[name].home.name
    folder.mkdir()
    for file, content in tiny.files.items():
        (folder / file).write_bytes(content)
    fetch(name, None, root=root, mirror=str(mirror))
    check(tiny, name, "train", root)


@pytest.mark.parametrize("name", ["svhn"], indirect=True)
def test_the_extra_split_is_fetched_on_request(name, tiny, mirror, root, refused):
    fetch(name, root=root, mirror=mirror)
    with refused("official svhn was not fetched", "extra_32x32.mat", "fetch('svhn', extra=True"):
        load(name, split="extra", root=root)
    fetch(name, root=root, mirror=mirror, extra=True)
    check(tiny, name, "extra", root)


@pytest.mark.parametrize("name", ["cifar10"], indirect=True)
def test_other_sets_have_no_extra_split(name, root, refused):
    with refused("unknown split 'extra' of cifar10", "train, test"):
        fetch(name, root=root, extra=True)
    with refused("unknown source 'embedded' of cifar10", "allowed: official"):
        load(name, source="embedded", root=root)


def test_the_checksums_are_those_of_torchvision(name):
    published, loader = official.SETS[name], getattr(torchvision.datasets, official.SETS[name].title.replace("-", ""))
    files = {file: checksum for part in published.files.values() for file, checksum in part.items()}
    if name == "svhn":
        assert files == {file: checksum for _, file, checksum in loader.split_list.values()}
        assert list(published.files) == list(loader.split_list) or set(published.files) == set(loader.split_list)
    else:
        meta = {loader.meta["filename"]: loader.meta["md5"]}
        assert published.files["train"] == {**dict(loader.train_list), **meta}
        assert published.files["test"] == {**dict(loader.test_list), **meta}
        assert (published.archive, published.home.name) == (loader.filename, loader.base_folder)


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "svhn"], indirect=True)
def test_torchvision_reads_what_was_fetched(name, tiny, mirror, root, monkeypatch):
    fetch(name, root=root, mirror=mirror)
    published, loader = (
        kinks.data.NAMES[name],
        getattr(torchvision.datasets, official.SETS[name].title.replace("-", "")),
    )
    if name == "svhn":
        entry = ["", "test_32x32.mat", published.files["test"]["test_32x32.mat"]]
        monkeypatch.setattr(loader, "split_list", {"test": entry})
        theirs = loader(root / "SVHN", split="test")
        assert np.array_equal(theirs.data, tiny.images["test"]) and theirs.labels.tolist() == tiny.labels["test"]
        return
    for split, attribute in (("train", "train_list"), ("test", "test_list")):
        parts = [item for item in published.files[split].items() if not item[0].endswith("meta")]
        monkeypatch.setattr(loader, attribute, parts)
    meta = loader.meta["filename"]
    monkeypatch.setattr(loader, "meta", {**loader.meta, "md5": published.files["test"][meta]})
    theirs = loader(root / published.home.parts[0], train=True)
    assert np.array_equal(theirs.data, tiny.images["train"].transpose(0, 2, 3, 1))
    assert theirs.targets == tiny.labels["train"] and tuple(theirs.classes) == CLASSES


def test_not_fetched(name, root, refused):
    with refused(f"official {name} was not fetched", f"`dataset: {name}`", "`mirror: FOLDER`", "`dvc repro data`"):
        load(name, root=root)


def test_fetched_then_altered(name, tiny, mirror, root, refused):
    fetch(name, root=root, mirror=mirror)
    published = kinks.data.NAMES[name]
    file = next(iter(published.files["train"]))
    path = root / published.home / file
    path.write_bytes(spoiled(tiny.files[file]))
    with refused(f"{path} is truncated or was altered", "`dvc repro data`"):
        load(name, root=root)
    check(tiny, name, "test", root)
    fetch(name, root=root, mirror=mirror)
    check(tiny, name, "train", root)


def test_fetched_files_are_not_fetched_again(name, mirror, root):
    fetch(name, root=root, mirror=mirror)
    fetch(name, root=root, mirror="nowhere", download=False)


def test_neither_mirror_nor_download(name, root, refused):
    with refused(f"official {name} is not complete", "`download` is false", "`mirror:`"):
        fetch(name, root=root, download=False)
    assert not list(root.iterdir())


def test_mirror_is_no_folder(name, root, refused):
    with refused("no/such/folder is not a folder", ARCHIVES.get(name, "train_32x32.mat")):
        fetch(name, root=root, mirror="no/such/folder")


def test_mirror_is_empty(name, root, tmp_path, refused):
    with refused("is missing", ARCHIVES.get(name, "train_32x32.mat")):
        fetch(name, root=root, mirror=tmp_path)
    assert not list(root.iterdir())


def test_mirror_holds_an_altered_file(name, tiny, mirror, root, refused):
    file = next(iter(tiny.files))
    replace(mirror, name, {**tiny.files, file: spoiled(tiny.files[file])})
    with refused(file, "is truncated or was altered", "give a folder that holds"):
        fetch(name, root=root, mirror=mirror)
    assert not list(root.iterdir())


def test_mirror_lacks_a_file(name, tiny, mirror, root, refused):
    replace(mirror, name, dict(list(tiny.files.items())[:1]))
    with refused("give a folder that holds"):
        fetch(name, root=root, mirror=mirror)
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", list(ARCHIVES), indirect=True)
@pytest.mark.parametrize(
    "spoil", [lambda stored: stored[: len(stored) // 2], lambda stored: b"<html>", lambda stored: b""]
)
def test_a_truncated_archive_or_none(name, spoil, mirror, root, refused):
    path = mirror / ARCHIVES[name]
    path.write_bytes(spoil(path.read_bytes()))
    with refused(f"{path} is truncated, damaged or another archive", "give a folder that holds"):
        fetch(name, root=root, mirror=mirror)
    assert not list(root.iterdir())


@pytest.mark.parametrize("name", list(ARCHIVES), indirect=True)
def test_a_folder_in_a_file_s_place(name, tiny, mirror, root, refused):
    replace(mirror, name, {f"{next(iter(tiny.files))}/inner": b"", **dict(list(tiny.files.items())[1:])})
    with refused("give a folder that holds"):
        fetch(name, root=root, mirror=mirror)


def test_no_network_is_one_line(name, root, refused):
    with refused(f"{official.SETS[name].title} could not be downloaded", "`mirror:`", "Name or service not known"):
        fetch(name, root=root)
    assert not list(root.iterdir())


@pytest.fixture
def host(name, mirror, serve, monkeypatch):
    """A host on this machine that serves the mirror; torchvision's addresses and checksums lead to it."""
    address = serve(mirror)
    loader = getattr(torchvision.datasets, official.SETS[name].title.replace("-", ""))
    if name in ARCHIVES:
        monkeypatch.setattr(loader, "url", address + ARCHIVES[name])
        monkeypatch.setattr(loader, "tgz_md5", md5((mirror / ARCHIVES[name]).read_bytes()))
    else:
        entries = {
            path.name[:-10]: [address + path.name, path.name, md5(path.read_bytes())] for path in mirror.iterdir()
        }
        monkeypatch.setattr(loader, "split_list", entries)
    return mirror


def test_download_through_torchvision(name, tiny, host, root, capfd):
    fetch(name, root=root)
    for split in ("train", "test"):
        check(tiny, name, split, root)
    assert capfd.readouterr() == ("", "")
    home = root / official.SETS[name].home
    assert sorted(path.name for path in home.iterdir()) == sorted(file for file in tiny.files if "extra" not in file)
    assert [path.name for path in root.iterdir()] == [official.SETS[name].home.parts[0]]


def test_host_serves_another_file(name, host, root, refused):
    for path in host.iterdir():
        path.write_bytes(b"another file")
    with refused("could not be downloaded", "corrupted"):
        fetch(name, root=root)
    assert not list(root.iterdir())


def test_interrupted_fetch_leaves_nothing_that_looks_finished(name, tiny, mirror, root, refused, monkeypatch):
    write = Path.write_bytes

    def interrupted(path, content):
        write(path, content[: len(content) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Path, "write_bytes", interrupted)
        fetch(name, root=root, mirror=mirror)
    with refused("was not fetched"):
        load(name, root=root)
    assert not list(root.iterdir())


def test_remains_of_a_killed_fetch_are_cleared_away(name, tiny, mirror, root):
    remains = root / f"{official.SETS[name].home.parts[0]}.partial"
    remains.mkdir()
    (remains / "half").write_bytes(b"half a download")
    fetch(name, root=root, mirror=mirror)
    assert not remains.exists()
    check(tiny, name, "train", root)


def test_the_readme_says_what_a_mirror_holds(name):
    text = (paths.DATA / "README.md").read_text(encoding="utf-8")
    published = official.SETS[name]
    assert f"`{name}`" in text
    if published.archive:
        assert f"`{published.archive}`" in text and f"`{published.home.name}/`" in text
        return
    for part in published.files.values():
        for file, checksum in part.items():
            assert any(f"`{file}`" in line and f"`{checksum}`" in line for line in text.splitlines()), file


def test_a_verified_file_is_read_or_named(tmp_path, refused):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    assert fetching.read_verified(path, md5(b"content"), "mend it") == b"content"
    with refused(f"{tmp_path} cannot be read", "directory", "mend it"):
        fetching.read_verified(tmp_path, "", "mend it")
