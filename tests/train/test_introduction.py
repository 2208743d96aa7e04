from itertools import pairwise

import pytest
import torch

from kinks.audit import samples
from kinks.train import introduction
from kinks.train.introduction import VARIANTS, activation, batches


@pytest.fixture
def tiny(monkeypatch):
    """Small networks on a coarse lattice of pixels, so that exact kinks are met within a few steps."""
    from kinks.nets.mlp import MLP

    monkeypatch.setitem(VARIANTS, "relu", MLP((16, 12, 8, 10)))
    monkeypatch.setitem(VARIANTS, "relu6", MLP((16, 12, 8, 10)))

    def lattice_draw(net, seed):
        g = torch.Generator().manual_seed(seed)
        pairs = pairwise(net.sizes)
        return [(torch.randint(-2, 3, (b, a), generator=g) / 4, torch.zeros(b)) for a, b in pairs]

    monkeypatch.setattr(introduction, "draw", lattice_draw)

    def pixels(source, checksum, images, dtype, device):
        g = torch.Generator().manual_seed(0)
        return (torch.randint(0, 3, (images, 16), generator=g) / 2).to(dtype), torch.randint(
            0, 10, (images,), generator=g
        )

    monkeypatch.setattr(introduction, "pixels", pixels)
    return dict(seed=1, rate=0.01, steps=8, batch=16, source="x", checksum="x", images=40, device="cpu")


@pytest.mark.parametrize("variant", ["relu", "relu6"])
@pytest.mark.parametrize("arm", ["assign", "chain"])
def test_sharing_until_the_first_kink_equals_training_apart(tiny, variant, arm, monkeypatch):
    table = introduction.job(variant=variant, precision="fp32", noise=True, **tiny)
    # The same arm trained for itself from the first step: bit-equal distances mean bit-equal weights here.
    real = introduction._step

    def apart(networks, *rest):
        for name in ("assign", "chain"):
            if networks[name] is networks["base"]:
                networks[name] = [
                    tuple(t.detach().clone().requires_grad_() for t in layer) for layer in networks["base"]
                ]
        return real(networks, *rest)

    monkeypatch.setattr(introduction, "_step", apart)
    separate = introduction.job(variant=variant, precision="fp32", noise=True, **tiny)
    assert table[arm].tolist() == separate[arm].tolist()
    assert table["exact_kinks"].sum() > 0 and table[arm].iloc[-1] > 0


def test_the_same_program_twice_stays_equal_and_a_reordering_does_not_cost_more_than_rounding(tiny):
    table = introduction.job(variant="relu", precision="fp32", noise=True, **tiny)
    assert (table["noise"] == 0).all()
    assert table["reordered"].iloc[0] < 1e-4


def test_without_a_kink_nothing_differs(tiny, monkeypatch):
    monkeypatch.setattr(introduction, "draw", lambda net, seed: [
        (torch.rand(b, a, generator=torch.Generator().manual_seed(seed)) + 0.1, torch.rand(b) + 0.1)
        for a, b in pairwise(net.sizes)
    ])  # fmt: skip
    table = introduction.job(variant="relu", precision="fp64", noise=False, **tiny)
    assert table["exact_kinks"].sum() == 0 and (table[["assign", "chain"]] == 0).all(axis=None)
    assert (table["min_activation"] > 0).all()


def test_batches_start_again_at_the_end_of_the_data():
    parts = batches(10, 4, 5)
    assert [len(p) for p in parts] == [4, 4, 2, 4, 4] and torch.equal(parts[3], parts[0])


def test_base_network_takes_zero_at_every_kink():
    z = torch.tensor([0.0, 6.0, 3.0, -1.0], requires_grad=True)
    activation("relu6", "base")(0, z).sum().backward()
    assert z.grad.tolist() == [0.0, 0.0, 1.0, 0.0]
    z.grad = None
    activation("relu6", "chain")(1, z).sum().backward()
    assert z.grad.tolist() == [1.0, 1.0, 1.0, 0.0]


def test_wrong_data_are_named(monkeypatch):
    samples.pixels.cache_clear()
    with pytest.raises(samples.ChecksumError, match="run stage `data`"):
        samples.pixels("embedded", "not-the-checksum", 10, torch.float32, "cpu")
