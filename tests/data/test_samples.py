import numpy as np
import pytest
import torch
from PIL import Image

from kinks.audit import samples
from kinks.data import load


@pytest.fixture(autouse=True)
def forget():
    samples.images.cache_clear()


def checksum(*names: str, **choice) -> str:
    return load(*names, **choice).card.checksum


def test_photographs():
    images, labels = samples.images("photographs", None, "test", checksum("photographs", split="test"), None)
    data = load("photographs", split="test")
    assert torch.equal(images, data.images) and torch.equal(labels, data.labels)


def test_the_first_images_of_mnist_have_a_channel():
    images, labels = samples.images("mnist", None, "train", checksum(), 100, source="embedded")
    data = load()
    assert images.shape == (100, 1, 28, 28) and images.dtype == torch.uint8 and labels.dtype == torch.int64
    assert torch.equal(images[:, 0], data.images[:100]) and torch.equal(labels, data.labels[:100])


def test_images_are_read_once():
    asked = ("photographs", None, "test", checksum("photographs", split="test"), 50)
    assert samples.images(*asked)[0] is samples.images(*asked)[0]


def test_other_images_than_those_of_the_settings():
    with pytest.raises(
        samples.ChecksumError, match=r"the test images of photographs have checksum .*, the settings 123: "
    ):
        samples.images("photographs", None, "test", "123", 10)
    with pytest.raises(samples.ChecksumError, match=r"embedded MNIST images have checksum .*run stage `data`"):
        samples.pixels("embedded", "123", 10, torch.float32, "cpu")


@pytest.mark.parametrize("count", [0, -1, 1443])
def test_more_images_than_there_are(count):
    with pytest.raises(ValueError, match=f"{count} images asked for; Six photographs, 1,442 test patches"):
        samples.images("photographs", None, "test", checksum("photographs", split="test"), count)


def test_images_of_another_size_than_the_networks_take(tmp_path, monkeypatch):
    monkeypatch.setattr("kinks.paths.SCRATCH", tmp_path / "scratch")
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(tmp_path / "set" / name / "0.png")
    folder = str(tmp_path / "set")
    with pytest.raises(ValueError, match=r"set \(2 images, folder\): images of 64 x 48 pixels.*take 32 x 32"):
        samples.images("folder", folder, "train", checksum("folder", folder=folder), None)
    assert (tmp_path / "scratch" / "folders").is_dir()
