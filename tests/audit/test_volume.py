import sys
from pathlib import Path

import pytest
import torch

from kinks.audit import volume
from kinks.audit.forward import cast, chunks, exact_zeros, logits, positions, widen
from kinks.audit.gradients import differs, first_layer_gradients
from kinks.nets.mlp import MLP
from kinks.ops import ReLUDerivative, relu
from kinks.precision import named

sys.path.insert(0, str(Path(__file__).parent))
import lattice

BATCHES = (16, 64, 256)
DEPTHS = (1, 2, 3)
NEURONS = 16


@pytest.fixture
def lattice_networks(monkeypatch):
    monkeypatch.setattr(volume, "draw", lattice.draw)
    volume._weights.cache_clear()
    yield
    volume._weights.cache_clear()


def audit(precision, seed=0, first_relu=True, rows=1000, stop=False, batches=BATCHES):
    model = named(precision)
    x, labels = lattice.images(rows, 784)
    x = x.to(model.storage)
    wide = x.float() if model.emulated else x
    return volume.audit_seed(seed, first_relu, NEURONS, DEPTHS, batches, model, x, wide, labels, True, stop)


def decisions(rows):
    return {(r["hidden_layers"], r["batch_size"]): r for r in rows if r["kind"] == "decision"}


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize("first_relu", [True, False])
def test_first_differences_are_those_of_the_described_loop(lattice_networks, precision, first_relu):
    found = set()
    for seed in range(3):
        ours = decisions(audit(precision, seed, first_relu))
        x, labels = lattice.images(1000, 784)
        for (depth, batch), row in ours.items():
            net = MLP.of(depth, NEURONS, first_relu)
            layers = cast(lattice.draw(net, seed), named(precision))
            for rule in ("assign", "chain"):
                expected = lattice.described_first_difference(
                    net, layers, x.to(layers[0][0].dtype), labels, batch, rule
                )
                assert row[f"first_{rule}"] == expected, (seed, depth, batch, rule)
                found.add(expected)
    assert len(found) > 2 and max(found) > 0  # the case is rich: some first differences, not all at index 0


@pytest.mark.parametrize("precision", ["fp16", "bf16", "fp32"])
def test_stopping_early_changes_no_decision(lattice_networks, precision):
    whole, stopped = decisions(audit(precision, rows=6000)), decisions(audit(precision, rows=6000, stop=True))
    for key, row in whole.items():
        assert {k: v for k, v in row.items() if k.startswith("first")} == {
            k: v for k, v in stopped[key].items() if k.startswith("first")
        }
    assert min(row["seen"] for row in stopped.values()) < 6000


def test_how_many_rows_are_computed_at_once_changes_no_decision(lattice_networks, monkeypatch):
    def found():
        return {key: {k: v for k, v in row.items() if k != "noise"} for key, row in decisions(audit("fp64")).items()}

    small = found()
    monkeypatch.setattr(volume, "chunk", lambda precision, device: volume.CHUNK)
    volume.passes.cache_clear()
    try:
        assert found() == small
    finally:
        volume.passes.cache_clear()


def test_a_batch_size_whose_rows_change_bits_gets_its_own_pass(lattice_networks, monkeypatch):
    together = decisions(audit("fp32"))
    monkeypatch.setattr(volume, "rows_keep_their_bits", lambda net, layers, x, precision, batch: batch != 16)
    volume.passes.cache_clear()
    try:
        assert [batches for _, batches in volume.passes(MLP.of(3, NEURONS), named("fp32"), BATCHES, "cpu")] == [
            (64, 256),
            (16,),
        ]
        assert {key: row["first_chain"] for key, row in decisions(audit("fp32")).items()} == {
            key: row["first_chain"] for key, row in together.items()
        }
    finally:
        volume.passes.cache_clear()


def test_rows_that_change_bits_are_noticed():
    net = MLP.of(1, 8)
    layers = [(torch.rand(8, 784), torch.rand(8)), (torch.rand(10, 8), torch.rand(10))]
    x = torch.rand(64, 784)
    assert volume.rows_keep_their_bits(net, layers, x, named("fp32"), 64)
    # One row takes the matrix-vector kernel, which sums in another order: the test must see it.
    many = MLP.of(1, 512)
    layers = [(torch.rand(512, 784), torch.rand(512)), (torch.rand(10, 512), torch.rand(10))]
    assert not volume.rows_keep_their_bits(many, layers, x, named("fp32"), 1)


def test_census_counts_every_zero_once(lattice_networks):
    rows = audit("fp32")
    events = [r for r in rows if r["kind"] == "event"]
    census = [r for r in rows if r["kind"] == "census"]
    assert len(events) == sum(r["zeros"] for r in census) > 0
    x, _ = lattice.images(1000, 784)
    layers, h = lattice.draw(MLP.of(3, NEURONS), 0), x
    for layer, row in enumerate(census):
        z = h @ layers[layer][0].T + layers[layer][1]
        h = z.clamp(min=0)
        assert row["evaluations"] == 1000 * NEURONS
        if layer == 0:  # lattice products are exact, so any kernel gives these zeros; deeper ones may round
            assert row["zeros"] == int((z == 0).sum())


def test_noise_floor_is_measured_and_zero_on_a_cpu(lattice_networks):
    found = {cell: row["noise"] for cell, row in decisions(audit("fp32")).items()}
    assert found.pop(volume.NOISE_CELL) == 0.0 and all(value != value for value in found.values())  # NaN elsewhere


def test_noise_floor_sees_a_program_that_does_not_repeat(lattice_networks, monkeypatch):
    real = volume.first_layer_gradients
    state = iter(range(10_000))
    monkeypatch.setattr(volume, "first_layer_gradients", lambda *a: [g + 1e-3 * next(state) for g in real(*a)])
    assert any(row["noise"] == 1.0 for row in decisions(audit("fp32")).values())


@pytest.mark.parametrize("precision", ["fp64", "fp32", "fp16", "bf16"])
@pytest.mark.parametrize("bias", ["accumulator", "after_rounding"])
def test_bare_forward_sees_the_zeros_of_the_graph(precision, bias):
    model, net = named(precision, bias), MLP.of(3, 32)
    layers = cast(lattice.draw(net, 1), model)
    x = lattice.images(128, 784)[0].to(model.storage)
    seen = []

    def watched(_, z):
        seen.append((z.detach() == 0).nonzero())
        return relu(z, ReLUDerivative())

    logits(net, layers, x, watched, model)
    bare = exact_zeros(net, widen(layers, model), x.float() if model.emulated else x.clone(), model)
    assert sum(len(s) for s in seen) > 0
    for ours, theirs in zip(bare, seen, strict=True):
        assert torch.equal(torch.empty(0, 2, dtype=torch.int64) if ours is None else ours, theirs)


def test_zeros_are_both_signs_and_not_nan():
    z = torch.tensor([[0.0, -0.0, float("nan")], [1e-45, float("inf"), 1.0]])
    assert positions(z).tolist() == [[0, 0], [0, 1]]
    assert positions(torch.tensor([[float("nan"), 1e-45]])) is None


def test_gradients_from_one_graph_equal_those_of_separate_networks():
    net, model = MLP.of(3, 32), named("fp32")
    layers = lattice.draw(net, 2)
    x, labels = lattice.images(128, 784)
    choices = [ReLUDerivative(a, r) for a in (0.0, 0.3, 1.0, -2.0) for r in ("chain", "assign")]
    together = first_layer_gradients(net, layers, x, labels, choices, model)
    for choice, gradient in zip(choices, together, strict=True):
        alone = first_layer_gradients(net, layers, x, labels, [choice], model)[0]
        assert torch.equal(gradient, alone)
    assert not torch.equal(together[0], together[-1])


def test_a_gradient_that_is_not_finite_is_refused():
    with pytest.raises(FloatingPointError, match="not finite"):
        differs(torch.tensor([float("nan")]), torch.tensor([1.0]))


def test_chunks_cover_every_row_once():
    assert [(c.start, c.stop) for c in chunks(10, 4)] == [(0, 4), (4, 8), (8, 10)]
