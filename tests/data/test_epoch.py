import pytest
import torch
import torchvision.transforms.functional as theirs

from kinks.data import load
from kinks.data.epoch import Epoch

N = 60


def colour(n: int = N, size: tuple[int, int] = (32, 32), channels: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randint(1, 256, (n, channels, *size), dtype=torch.uint8, generator=generator)


def slowly(epoch: Epoch, images: torch.Tensor, position: int) -> torch.Tensor:
    """One image of a pass, pixel by pixel: zero outside, shifted, then mirrored."""
    image = images[epoch.order[position]]
    _, height, width = image.shape
    top, left = (epoch.corners[position] - epoch.padding).tolist()
    crop = torch.zeros_like(image)
    for row in range(height):
        for column in range(width):
            if 0 <= row + top < height and 0 <= column + left < width:
                to = width - 1 - column if epoch.mirrored[position] else column
                crop[:, row, to] = image[:, row + top, column + left]
    return crop


@pytest.mark.parametrize(("size", "channels", "padding"), [((32, 32), 3, 4), ((5, 7), 1, 2), ((6, 4), 2, 0)])
def test_crops_and_mirrors_as_a_slow_loop_does(size, channels, padding):
    images = colour(12, size, channels)
    epoch = Epoch.draw(12, 3, shuffle=True, augment=True, padding=padding)
    assert torch.equal(
        epoch.images(images, slice(0, 12)), torch.stack([slowly(epoch, images, place) for place in range(12)])
    )


def test_crops_and_mirrors_as_torchvision_does():
    images = load("photographs", split="test").images[:N]
    epoch = Epoch.draw(N, 11, shuffle=True, augment=True)
    expected = []
    for image, (top, left), mirrored in zip(images[epoch.order], epoch.corners.tolist(), epoch.mirrored, strict=True):
        crop = theirs.crop(theirs.pad(image, [4]), top, left, 32, 32)
        expected.append(theirs.hflip(crop) if mirrored else crop)
    assert torch.equal(epoch.images(images, slice(None)), torch.stack(expected))


def test_every_batch_size_sees_the_same_images_in_the_same_order():
    images, epoch = colour(), Epoch.draw(N, 0, shuffle=True, augment=True)
    whole = epoch.images(images, slice(0, N))
    for batch in (1, 7, 32, 100):
        parts = [epoch.images(images, slice(first, first + batch)) for first in range(0, N, batch)]
        assert torch.equal(torch.cat(parts), whole)


def test_labels_follow_the_order():
    images, labels = colour(), torch.arange(N)
    epoch = Epoch.draw(N, 0, shuffle=True, augment=False)
    part = slice(10, 20)
    assert torch.equal(epoch.images(images, part), images[labels[epoch.order[part]]])


def test_draws_depend_on_the_seed_alone():
    torch.manual_seed(1)
    first = Epoch.draw(N, 5, shuffle=True, augment=True)
    torch.manual_seed(2)
    again, other = Epoch.draw(N, 5, shuffle=True, augment=True), Epoch.draw(N, 6, shuffle=True, augment=True)
    for name in ("order", "corners", "mirrored"):
        assert torch.equal(getattr(first, name), getattr(again, name))
        assert not torch.equal(getattr(first, name), getattr(other, name))
    assert first.order.sort().values.tolist() == list(range(N)) and first.order.dtype == torch.int64


def test_order_and_crops_do_not_depend_on_each_other():
    both = Epoch.draw(N, 5, shuffle=True, augment=True)
    still = Epoch.draw(N, 5, shuffle=False, augment=True)
    plain = Epoch.draw(N, 5, shuffle=True, augment=False)
    assert torch.equal(both.corners, still.corners) and torch.equal(both.mirrored, still.mirrored)
    assert torch.equal(both.order, plain.order) and still.order.tolist() == list(range(N))


def test_crops_are_uniform_and_half_of_them_mirrored():
    epoch = Epoch.draw(81_000, 0, shuffle=False, augment=True)
    places = torch.bincount(9 * epoch.corners[:, 0] + epoch.corners[:, 1], minlength=81)
    chi_square = ((places - 1000.0) ** 2 / 1000).sum().item()
    assert len(places) == 81 and 45 < chi_square < 130  # 80 degrees of freedom
    assert abs(epoch.mirrored.float().mean().item() - 0.5) < 0.007


def test_without_augmentation_images_are_untouched():
    images = colour()
    epoch = Epoch.draw(N, 0, shuffle=False, augment=False)
    assert torch.equal(epoch.images(images, slice(None)), images)


def test_grey_images_get_a_channel():
    images, epoch = colour(channels=1), Epoch.draw(N, 0, shuffle=True, augment=True)
    seen = epoch.images(images[:, 0], slice(0, 8))
    assert seen.shape == (8, 1, 32, 32) and seen.dtype == torch.uint8
    assert torch.equal(seen, epoch.images(images, slice(0, 8)))


def test_a_pass_may_visit_the_first_images_only():
    images = colour()
    assert torch.equal(Epoch.draw(10, 0, shuffle=False, augment=False).images(images, slice(0, 99)), images[:10])


def test_the_images_are_left_alone():
    images = colour()
    before = images.clone()
    Epoch.draw(N, 0, shuffle=True, augment=True).images(images, slice(0, 5)).zero_()
    Epoch.draw(N, 0, shuffle=False, augment=False).images(images, slice(0, 5)).zero_()
    assert torch.equal(images, before)


@pytest.mark.parametrize(
    ("images", "part", "error", "words"),
    [
        (colour().float(), slice(0, 5), TypeError, r"torch\.float32; a pass takes the uint8"),
        (colour(), 5, TypeError, "part is 5; give a slice"),
        (colour(), slice(N, N + 5), ValueError, "none of the 60 positions"),
        (colour(), slice(5, 5), ValueError, "none of the 60 positions"),
        (colour(N - 1), slice(0, 5), ValueError, r"images are \(59, 3, 32, 32\).*N at least 60"),
        (colour().flatten(1), slice(0, 5), ValueError, r"images are \(60, 3072\)"),
    ],
)
def test_wrong_images_or_parts(images, part, error, words):
    with pytest.raises(error, match=words):
        Epoch.draw(N, 0, shuffle=True, augment=True).images(images, part)


@pytest.mark.parametrize(("n", "padding"), [(0, 4), (3, -1)])
def test_wrong_draws(n, padding):
    with pytest.raises(ValueError, match=f"n is {n}, padding {padding}"):
        Epoch.draw(n, 0, shuffle=True, augment=True, padding=padding)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_gpu_sees_the_same_images():
    images, epoch = colour(), Epoch.draw(N, 0, shuffle=True, augment=True)
    there = epoch.images(images.cuda(), slice(0, 32))
    assert there.is_cuda and torch.equal(there.cpu(), epoch.images(images, slice(0, 32)))
