import pytest
import torch
from torch import nn

from kinks.nets.mlp import MLP, module
from kinks.train import zero_counts


@pytest.fixture
def pixels(monkeypatch):
    def coarse(source, checksum, images, dtype, device):
        g = torch.Generator().manual_seed(0)
        x = torch.randint(0, 5, (images, 784), generator=g) / 4 * (torch.rand(images, 784, generator=g) < 0.02)
        return x.to(dtype), torch.randint(0, 10, (images,), generator=g)

    monkeypatch.setattr(zero_counts, "pixels", coarse)
    monkeypatch.setattr(zero_counts, "draw", lambda net, seed: [
        ((w * 8).round() / 8, (b * 8).round() / 8) for w, b in zero_counts_draw(net, seed)
    ])  # fmt: skip
    return coarse


zero_counts_draw = zero_counts.draw
COMMON = dict(
    hidden_layers=2, neurons=16, epochs=2, batch=32, seed=3, source="x", checksum="x", images=96, device="cpu", repeat=0
)


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_counts_and_training_are_those_of_an_ordinary_loop(pixels, precision):
    ours = zero_counts.job(precision=precision, alpha=0.0, rule="chain", **COMMON)
    model = module(MLP.of(2, 16), 3)
    with torch.no_grad():
        for p in model.parameters():
            p.copy_((p * 8).round() / 8)
    dtype = {"fp32": torch.float32, "fp64": torch.float64}[precision]
    model, (x, y) = model.to(dtype), pixels("x", "x", 96, dtype, "cpu")
    optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    counts = []
    for relu in (m for m in model if isinstance(m, nn.ReLU)):
        relu.register_forward_hook(lambda _m, args, _o: counts.append(int((args[0] == 0).sum())))
    per_epoch, losses = [], []
    for _ in range(2):
        counts.clear()
        epoch = []
        for rows, labels in zip(x.split(32), y.split(32), strict=True):
            loss = nn.functional.cross_entropy(model(rows), labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            epoch.append(loss.item())
        per_epoch.append(sum(counts))
        losses.append(sum(epoch) / len(epoch))
    assert ours["zeros"].tolist() == per_epoch and sum(per_epoch) > 0
    assert ours["loss"].tolist() == pytest.approx(losses, rel=1e-12)
    assert ours["evaluations"].tolist() == [96 * 32] * 2 and ours["finite"].all()


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_sixteen_bits_train_and_count(pixels, precision):
    ours = zero_counts.job(precision=precision, alpha=0.0, rule="chain", **COMMON)
    assert ours["zeros"].sum() > 0 and ours["finite"].all()


def test_a_diverging_run_goes_on_and_says_so(pixels, monkeypatch):
    monkeypatch.setattr(zero_counts, "RATE", 3e4)
    ours = zero_counts.job(precision="fp16", alpha=1.0, rule="assign", **COMMON)
    assert len(ours) == 2 and not ours["finite"].all()
