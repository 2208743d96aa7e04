import gzip

import numpy as np
import pytest
import torch
from torchvision.transforms import ToTensor

from kinks.data import as_float, idx, load, synthetic_digits

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
