"""CIFAR-10, CIFAR-100 and SVHN as published: colour images of 32 x 32 pixels.

`fetch` gets the published files from a mirror folder or through torchvision's loader and puts them where torchvision
looks for them below `data/CIFAR10`, `data/CIFAR100` and `data/SVHN`. Every load checks the md5 of each file it reads;
the md5s are those that torchvision knows.
"""

import io
import pickle
import tarfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from kinks.data.fetching import gathering, is_verified, network, read_verified, verified
from kinks.data.images import DataError, Images, assemble

Parsed = tuple[np.ndarray, np.ndarray, tuple[str, ...]]  # images uint8 (N, 3, 32, 32), labels (N,), classes


@dataclass(frozen=True)
class Published:
    """A data set as published.

    Attributes:
        name: as `kinks.data.load` takes it.
        title: as a figure prints it; also the name of torchvision's loader, without the hyphen.
        home: where its files lie below the data folder.
        files: split -> file -> md5.
        archive: the file in which all of them are published, as `home.name/FILE`, or None if each is published alone.
        parse: makes arrays of the contents of a split's files.
        licence: terms, as published.
        credit: whom to name.
    """

    SOURCES: ClassVar[tuple[str, ...]] = ("official",)

    name: str
    title: str
    home: Path
    files: Mapping[str, Mapping[str, str]]
    archive: str | None
    parse: Callable[[Mapping[str, bytes]], Parsed]
    licence: str
    credit: str

    @property
    def SPLITS(self) -> tuple[str, ...]:
        """The splits it was published with."""
        return tuple(self.files)

    def read(self, source: str, split: str, root: Path) -> Images:
        """Return one split, in the published order; never downloads.

        Raises:
            DataError: a file is missing or altered.
        """
        files = {root / self.home / name: checksum for name, checksum in self.files[split].items()}
        if absent := [path for path in files if not path.exists()]:
            raise DataError(f"official {self.name} was not fetched ({absent[0]} is missing); {self._get(split)}")
        contents = {path.name: read_verified(path, checksum, self._get(split)) for path, checksum in files.items()}
        images, labels, classes = self.parse(contents)
        kind = {"train": "training"}.get(split, split)
        return assemble(
            images,
            labels,
            name=self.name,
            source=source,
            split=split,
            classes=classes,
            label=f"{self.title}, {len(images):,} {kind} images (official)",
            licence=self.licence,
            credit=self.credit,
            provenance="the official files, verified by their md5",
        )

    def fetch(
        self, root: Path, mirror: Path | None = None, download: bool = True, splits: Sequence[str] = ("train", "test")
    ) -> None:
        """Put the files of `splits`, verified, below `root`, unless they are there already.

        They come from the folder `mirror`, which holds the published archive, or the files themselves, or else from
        the network by torchvision's loader.

        Raises:
            DataError: no mirror given and downloading not allowed, a file of the mirror is missing or wrong, or no
                host could be reached.
        """
        wanted = {name: checksum for split in splits for name, checksum in self.files[split].items()}
        wrong = [name for name, checksum in wanted.items() if not is_verified(root / self.home / name, checksum)]
        if not wrong:
            return
        if mirror is None and not download:
            raise DataError(
                f"official {self.name} is not complete ({root / self.home / wrong[0]} is missing or altered) and "
                f"`download` is false; give a `mirror:` folder that holds {self._published(wrong)}, "
                "or set `download: true`"
            )
        with gathering(root / f"{self.home.parts[0]}.partial") as partial:
            origin = self._downloaded(partial, wrong) if mirror is None else mirror
            self._unpack(origin, {name: wanted[name] for name in wrong}, partial)
            (root / self.home).mkdir(parents=True, exist_ok=True)
            for name in wrong:
                (partial / f"{name}.verified").replace(root / self.home / name)

    def _unpack(self, origin: Path, files: Mapping[str, str], target: Path) -> None:
        """Write `files` (name -> md5) from the folder `origin` to `target/NAME.verified`, each verified."""
        remedy = f"give a folder that holds {self._published(list(files))}"
        if not origin.is_dir():
            raise DataError(f"the mirror {origin} is not a folder; {remedy}")
        if self.archive and (origin / self.archive).exists():
            contents = self._from_archive(origin / self.archive, files, remedy)
        else:
            folder = origin / self.home.name if self.archive else origin
            contents = ((name, read_verified(folder / name, check, remedy)) for name, check in files.items())
        for name, content in contents:
            (target / f"{name}.verified").write_bytes(content)

    def _from_archive(self, path: Path, files: Mapping[str, str], remedy: str):
        """Yield name and content of `files` in the published archive at `path`."""
        try:
            with tarfile.open(path, "r:gz") as archive:
                for name, checksum in files.items():
                    content = archive.extractfile(f"{self.home.name}/{name}").read()
                    yield name, verified(content, checksum, f"{path}, {name},", remedy)
        except (OSError, EOFError, KeyError, AttributeError, tarfile.TarError, zlib.error) as error:
            raise DataError(f"{path} is truncated, damaged or another archive ({error}); {remedy}") from None

    def _downloaded(self, target: Path, files: Sequence[str]) -> Path:
        """Download what holds `files` by torchvision, which knows where it lies and its md5; return the folder."""
        import torchvision  # here, so that embedded data load where only torch is installed
        from torchvision.datasets.utils import download_url

        loader = getattr(torchvision.datasets, self.title.replace("-", ""))
        if self.archive:
            parts = [(loader.url, loader.filename, loader.tgz_md5)]
        else:
            parts = [part for part in loader.split_list.values() if part[1] in files]
        otherwise = f"or give a folder that holds {self._published(files)} as `mirror:` in params.yaml"
        with network(self.title, otherwise):
            for url, name, checksum in parts:
                download_url(url, target, name, checksum)
        return target

    def _published(self, files: Sequence[str]) -> str:
        if self.archive is None:
            return ", ".join(files)
        return f"{self.archive}, or {self.home.name}/ unpacked from it"

    def _get(self, split: str) -> str:
        if split not in ("train", "test"):
            return f"get it with `kinks.data.fetch({self.name!r}, extra=True, mirror=FOLDER)`, or without a mirror"
        return (
            f"set `dataset: {self.name}` and `mirror: FOLDER` (or `download: true`) in the section data of "
            "params.yaml, then run `dvc repro data`"
        )


def _cifar(contents: Mapping[str, bytes]) -> Parsed:
    """Read pickled batches (verified, so they can be trusted) and the one that has the classes' names."""
    unpickled = {name: pickle.loads(content, encoding="latin1") for name, content in contents.items()}
    (meta,) = (unpickled.pop(name) for name in list(unpickled) if name.endswith("meta"))
    images = np.concatenate([batch["data"] for batch in unpickled.values()]).reshape(-1, 3, 32, 32)
    labels = [label for batch in unpickled.values() for label in batch.get("labels", batch.get("fine_labels"))]
    return images, np.array(labels), tuple(meta.get("label_names", meta.get("fine_label_names")))


def _svhn(contents: Mapping[str, bytes]) -> Parsed:
    """Read one MATLAB file, in which the digit 0 has the label 10."""
    from scipy.io import loadmat  # here, since it takes long to import

    (content,) = contents.values()
    parts = loadmat(io.BytesIO(content))
    return parts["X"].transpose(3, 2, 0, 1), parts["y"].ravel().astype(np.int64) % 10, tuple("0123456789")


_KRIZHEVSKY = "Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)"
_BATCHES_META = {"batches.meta": "5ff9c542aee3614f3951f8cda6e48888"}
_META = {"meta": "7973b15100ade9c7d40fb424638fde48"}

CIFAR10 = Published(
    name="cifar10",
    title="CIFAR-10",
    home=Path("CIFAR10", "cifar-10-batches-py"),
    files={
        "train": {
            "data_batch_1": "c99cafc152244af753f735de768cd75f",
            "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
            "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
            "data_batch_4": "634d18415352ddfa80567beed471001a",
            "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
            **_BATCHES_META,
        },
        "test": {"test_batch": "40351d587109b95175f43aff81a1287e", **_BATCHES_META},
    },
    archive="cifar-10-python.tar.gz",
    parse=_cifar,
    licence="none is published",
    credit=_KRIZHEVSKY,
)
CIFAR100 = Published(
    name="cifar100",
    title="CIFAR-100",
    home=Path("CIFAR100", "cifar-100-python"),
    files={
        "train": {"train": "16019d7e3df5f24257cddd939b257f8d", **_META},
        "test": {"test": "f0ef6b0ae62326f3e7ffdfab6717acfc", **_META},
    },
    archive="cifar-100-python.tar.gz",
    parse=_cifar,
    licence="none is published",
    credit=_KRIZHEVSKY,
)
SVHN = Published(
    name="svhn",
    title="SVHN",
    home=Path("SVHN"),
    files={
        "train": {"train_32x32.mat": "e26dedcc434d2e4c54c9b2d4a06d8373"},
        "extra": {"extra_32x32.mat": "a93ce644f1a588dc4d68dda5feec44a7"},
        "test": {"test_32x32.mat": "eb5a983be6a315427106f1b164d9cef3"},
    },
    archive=None,
    parse=_svhn,
    licence="for non-commercial use only, as published",
    credit="Netzer, Wang, Coates, Bissacco, Wu and Ng, Reading Digits in Natural Images (2011)",
)
SETS = {published.name: published for published in (CIFAR10, CIFAR100, SVHN)}
