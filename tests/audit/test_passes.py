"""The one pass over the data that every audited network sees."""

import pytest
import torch

from kinks.audit.passes import Pass
from kinks.data.epoch import Epoch
from kinks.precision import named


@pytest.fixture
def hundred() -> Pass:
    images = torch.arange(100, dtype=torch.uint8)[:, None, None, None].expand(100, 3, 2, 2)
    epoch = Epoch.draw(100, 0, shuffle=True, augment=False)
    return Pass(images, torch.arange(100), epoch, "photographs", named("fp32"), "cpu")


def test_each_initialisation_goes_on_where_the_one_before_it_ended(hundred):
    assert [hundred.indices(seed, 2, 32) for seed in range(3)] == [[0, 1], [2, 0], [1, 2]]
    assert [hundred.indices(seed, 2, 32, partial=True) for seed in range(3)] == [[0, 1], [2, 3], [0, 1]]
    assert hundred.indices(5, 9, 50, partial=True) == [1, 0], "no mini-batch twice, none that is empty"


def test_fewer_images_than_a_minibatch_are_refused(hundred):
    with pytest.raises(ValueError, match="mini-batches of 128 images asked for; given 100 images"):
        hundred.indices(0, 1, 128, partial=True)


def test_minibatches_are_those_of_the_pass(hundred):
    for index, size in ((0, 32), (3, 4)):
        x, labels = hundred.minibatch(index, 32)
        assert len(x) == len(labels) == size and x.dtype == torch.float32
        assert labels.tolist() == hundred.epoch.order[index * 32 : index * 32 + 32].tolist()
