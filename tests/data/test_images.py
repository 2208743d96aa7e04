import gzip
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchvision.transforms import Normalize, ToTensor

from kinks.data import as_float, idx, load, normalise, synthetic_digits
from kinks.data.images import MOMENTS, assemble, md5, mixed

LEVELS = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16)


def test_as_float_is_totensor_bit_for_bit_at_every_level():
    theirs = ToTensor()(LEVELS[0].numpy()[..., None])
    assert torch.equal(as_float(LEVELS, torch.float32), theirs)


def test_as_float_is_totensor_bit_for_bit_on_digits():
    images = load().images[:50]
    theirs = torch.cat([ToTensor()(image.numpy()[..., None]) for image in images])
    assert torch.equal(as_float(images, torch.float32), theirs)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_as_float_casts_the_fp32_pixels(dtype):
    pixels = as_float(LEVELS, dtype)
    assert pixels.dtype == dtype and pixels.shape == LEVELS.shape
    assert torch.equal(pixels, as_float(LEVELS, torch.float32).to(dtype))
    assert pixels.min() == 0 and pixels.max() == 1


def test_as_float_in_fp64_is_not_a_division_in_fp64():
    assert not torch.equal(as_float(LEVELS, torch.float64), LEVELS.double() / 255)


def test_as_float_leaves_the_images_alone():
    before = LEVELS.clone()
    as_float(LEVELS, torch.float32)
    assert torch.equal(LEVELS, before)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_as_float_has_the_same_bits_on_a_gpu():
    assert torch.equal(as_float(LEVELS, torch.float32, "cuda").cpu(), as_float(LEVELS, torch.float32))


def test_as_float_refuses_pixels_already_converted():
    with pytest.raises(TypeError, match=r"images are torch\.float32"):
        as_float(LEVELS.float(), torch.float32)


def test_synthetic_digits_depend_on_the_seed_alone():
    first, again, other = synthetic_digits(30, 1), synthetic_digits(30, 1), synthetic_digits(30, 2)
    assert torch.equal(first.images, again.images) and torch.equal(first.labels, again.labels)
    assert not torch.equal(first.images, other.images)


def test_synthetic_digits_look_like_digits_and_say_that_they_are_none():
    digits = synthetic_digits(500)
    assert digits.images.dtype == torch.uint8 and digits.labels.dtype == torch.int64
    assert digits.images.shape == (500, 28, 28) and digits.labels.unique().tolist() == list(range(10))
    zeros = (digits.images == 0).float().mean().item()
    assert 0.7 < zeros < 0.9
    assert digits.images.unique().numel() > 150 and digits.images.max() > 240
    assert digits.card.source == "synthetic" and "synthetic" in digits.card.label


def test_synthetic_digits_of_a_class_resemble_each_other():
    digits = synthetic_digits(600)
    pixels = digits.images.float().flatten(1)
    means = torch.stack([pixels[:300][digits.labels[:300] == digit].mean(0) for digit in range(10)])
    nearest = torch.cdist(pixels[300:], means).argmin(1)
    assert (nearest == digits.labels[300:]).float().mean() > 0.6


def test_no_synthetic_digits():
    with pytest.raises(ValueError, match="n is 0"):
        synthetic_digits(0)


def test_idx_returns_what_was_encoded():
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    assert np.array_equal(idx.parse(idx.encode(array), 3, "here", "mend it"), array)


def test_idx_files_are_equal_for_equal_content():
    content = idx.encode(np.arange(7, dtype=np.uint8))
    assert idx.compress(content) == idx.compress(content)
    assert gzip.decompress(idx.compress(content)) == content
    assert idx.compress(content)[:8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@pytest.mark.parametrize("name", ["photographs", "cifar10", "cifar100", "folder", "svhn"])
def test_normalise_is_torchvision_bit_for_bit_at_every_level(name):
    mean, sd = MOMENTS[name]
    levels = LEVELS.expand(3, 16, 16)
    theirs = Normalize(mean, sd)(ToTensor()(levels.permute(1, 2, 0).numpy()))
    ours = normalise(levels[None], name, torch.float32)
    assert torch.equal(ours[0], theirs)


def test_normalise_is_torchvision_bit_for_bit_on_digits():
    images = load().images[:50]
    theirs = torch.stack([Normalize((0.5,), (0.5,))(ToTensor()(image.numpy()[..., None])) for image in images])
    assert torch.equal(normalise(images[:, None], "mnist", torch.float32), theirs)


def test_the_papers_moments():
    cifar = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
    assert {name for name, moments in MOMENTS.items() if moments == cifar} == {
        "photographs",
        "cifar10",
        "cifar100",
        "folder",
    }
    assert MOMENTS["mnist"] == ((0.5,), (0.5,)) and MOMENTS["svhn"] == ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_normalise_casts_the_fp32_values(dtype):
    images = LEVELS.expand(2, 3, 16, 16)
    values = normalise(images, "cifar10", dtype)
    assert values.dtype == dtype and torch.equal(values, normalise(images, "cifar10", torch.float32).to(dtype))


def test_normalise_twice_gives_the_same():
    images = LEVELS.expand(2, 3, 16, 16)
    assert torch.equal(normalise(images, "svhn", torch.float32), normalise(images, "svhn", torch.float32))


@pytest.mark.parametrize(
    ("images", "name", "error", "words"),
    [
        (LEVELS.expand(2, 3, 16, 16), "mnist", ValueError, r"\(2, 3, 16, 16\); those of mnist are \(B, 1, H, W\)"),
        (LEVELS[None], "cifar10", ValueError, r"\(1, 1, 16, 16\); those of cifar10 are \(B, 3, H, W\)"),
        (LEVELS, "mnist", ValueError, r"\(1, 16, 16\); those of mnist"),
        (LEVELS[None], "imagenet", ValueError, "'imagenet'; allowed: mnist, photographs"),
        (LEVELS[None].float(), "mnist", TypeError, r"images are torch\.float32"),
    ],
)
def test_normalise_refuses_other_images(images, name, error, words):
    with pytest.raises(error, match=words):
        normalise(images, name, torch.float32)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_normalise_has_the_same_bits_on_a_gpu():
    images = LEVELS.expand(2, 3, 16, 16)
    ours = normalise(images, "cifar10", torch.float32)
    assert torch.equal(normalise(images, "cifar10", torch.float32, "cuda").cpu(), ours)


def test_mixed_is_a_fixed_order():
    assert mixed(12).tolist() == [6, 9, 11, 7, 4, 1, 2, 8, 0, 10, 5, 3]
    order = mixed(5000)
    assert np.array_equal(np.sort(order), np.arange(5000))
    halves = (order.reshape(-1, 50) < 2500).sum(1)
    assert halves.min() > 8 and halves.max() < 42


def test_assemble_copies_what_torch_cannot_share():
    read_only = np.frombuffer(bytes(range(24)), np.uint8).reshape(2, 3, 2, 2)
    words = dict.fromkeys(("name", "source", "split", "label", "licence", "credit", "provenance"), "a word")
    data = assemble(read_only[..., ::-1], np.array([1, 0]), classes=("a", "b"), **words)
    assert data.images.is_contiguous() and data.images[0, 0].tolist() == [[1, 0], [3, 2]]
    assert data.card.shape == (2, 2) and data.card.n == len(data) == 2
    assert data.card.checksum == md5(data.images.numpy().tobytes())
    data.images.zero_()
    assert read_only.max() == 23


def test_importing_the_data_is_light():
    code = "import sys; import kinks.data, kinks.data.epoch; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torchvision", "PIL", "sklearn", "skimage", "scipy", "matplotlib"} & set(loaded)
