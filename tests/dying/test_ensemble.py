"""Ensembles against a loop of torch modules: the same descent, the same dead ReLUs, for every architecture."""

import sys
from pathlib import Path

import pytest
import torch

from kinks.dying import ensemble as ensembles
from kinks.dying.architecture import Architecture
from kinks.dying.ensemble import Ensemble, clipped, descend, turned
from kinks.dying.rules import SGD, Adam

sys.path.insert(0, str(Path(__file__).parent))
from descent import Torch

SEEDS = (3, 0, 7)
SHAPES = {
    "plain": Architecture(2, 2, 4),
    "one layer": Architecture(3, 4, 1, initialisation="he"),
    "residual": Architecture(2, 3, 3, "residual", scale=2.0),
    "two-layer blocks": Architecture(2, 3, 3, "residual_two", zero_last=True),
    "leaky": Architecture(2, 3, 3, slope=0.01),
    "batch norm": Architecture(2, 3, 3, batch_norm=True),
    "residual with batch norm": Architecture(2, 3, 3, "residual_two", "he", batch_norm=True),
}
LAYOUTS = ("stacked", "innermost")


def data(shape, n=24):
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(*size, generator=generator, dtype=torch.float64) for size in ((n, shape.inputs), (n,)))


def trained(shape, layout, by, steps=15, clip=None, dtype=torch.float64):
    x, y = data(shape)
    nets = Ensemble(shape, SEEDS, layout, dtype)
    state = by.state(nets.weights)
    for count in range(1, steps + 1):
        batch = slice(0, 12) if count % 2 else slice(12, 24)
        given = nets.lay(x[None, batch]), nets.lay(y[None, batch, None])
        nets.note(descend(shape, layout, nets.weights, state, *given, by, count, clip), 12)
    return nets


def trained_alone(shape, net, by, steps=15, clip=None, dtype=torch.float64):
    x, y = (one.to(dtype) for one in data(shape))
    module = Ensemble(shape, SEEDS, dtype=dtype).module(net)
    theirs = Torch(module.parameters(), by)
    for count in range(1, steps + 1):
        batch = slice(0, 12) if count % 2 else slice(12, 24)
        for one in module.parameters():
            one.grad = None
        ((module(x[batch]) - y[batch]).square().mean() / 2).backward()
        if clip is not None:
            torch.nn.utils.clip_grad_norm_(module.parameters(), clip)
        theirs.step()
    return module.eval()


def agree(shape, nets, alone, tolerance):
    x, _ = (one.to(nets.weights[0].dtype) for one in data(shape))
    active, outputs = nets.activity(x)
    for net in range(len(SEEDS)):
        module, inputs = alone(net), []
        with torch.no_grad():
            expected = module(x, inputs)
        assert torch.allclose(outputs[net], expected, atol=tolerance, rtol=tolerance)
        for layer, z in enumerate(inputs):
            assert torch.equal(active[layer, net] == 0, (z <= 0).all(0)), "dead flags are equal"
            assert torch.equal(active[layer, net], (z > 0).sum(0))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("by", [SGD(0.03, 0.9), Adam(0.01)], ids=["sgd", "adam"])
def test_every_network_is_trained_as_alone(shape, layout, by):
    # The bias before a norm has no gradient but rounding, which Adam magnifies.
    tolerance = 1e-5 if shape.batch_norm else 1e-7
    agree(shape, trained(shape, layout, by), lambda net: trained_alone(shape, net, by), tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("by", "clip"), [(SGD(0.1, 0.9, nesterov=True), None), (SGD(0.1, 0.9), 0.05), (SGD(0.2), None)]
)
def test_controls_are_those_of_torch(layout, by, clip):
    shape = SHAPES["plain"]
    agree(shape, trained(shape, layout, by, clip=clip), lambda net: trained_alone(shape, net, by, clip=clip), 1e-7)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_dead_flags_in_single_precision(layout):
    shape, by = SHAPES["plain"], SGD(0.1, 0.9)
    nets = trained(shape, layout, by, 50, dtype=torch.float32)
    agree(shape, nets, lambda net: trained_alone(shape, net, by, 50, dtype=torch.float32), 1e-4)
    active, _ = nets.activity(next(data(shape)).float())
    assert (active == 0).any() and (active > 0).any()


def test_a_network_that_diverges_disturbs_no_other():
    shape = SHAPES["batch norm"]
    x, y = data(shape)
    for layout in LAYOUTS:
        nets, other = (Ensemble(shape, SEEDS, layout, torch.float64) for _ in range(2))
        turned(nets.weights[0], layout)[1] = 0 if layout == "stacked" else 1
        (nets.weights[0] if layout == "stacked" else nets.weights[0].permute(2, 1, 0))[1] = float("nan")
        for one in (nets, other):
            by, given = SGD(0.1), (one.lay(x[None]), one.lay(y[None, :, None]))
            for count in range(1, 4):
                one.note(descend(shape, layout, one.weights, [], *given, by, count), len(y))
        kept = [net for net in range(len(SEEDS)) if net != 1]
        assert torch.equal(nets.outputs(x)[kept], other.outputs(x)[kept]) and nets.outputs(x)[1].isnan().all()


def test_a_seed_has_its_weights_in_any_company():
    for shape in SHAPES.values():
        together, alone = shape.first_weights(SEEDS), shape.first_weights([7])
        assert all(torch.equal(one[2], other[0]) for one, other in zip(together, alone, strict=True))


def test_first_weights():
    shape = Architecture(50, 40, 2)
    weights = shape.first_weights(range(20), torch.float64)
    for (fan_in, _), weight, bias in zip(shape.shapes, weights[::2], weights[1::2], strict=True):
        for one in (weight, bias):
            assert float(one.abs().max()) <= fan_in**-0.5 and float(one.std()) == pytest.approx(
                (3 * fan_in) ** -0.5, rel=0.2
            )
    he = Architecture(50, 40, 2, initialisation="he", scale=3.0).first_weights(range(20), torch.float64)
    assert float(he[2].std()) == pytest.approx(3 * (2 / 40) ** 0.5, rel=0.02) and not any(b.any() for b in he[1::2])
    blocks = Architecture(50, 40, 3, "residual_two", zero_last=True).first_weights([0])
    assert [bool(one.any()) for one in blocks[::2]] == [True, True, False, True, False, True]


def test_dead_at_first_grows_with_depth():
    """Reference, width 32, 8 inputs, 256 rows: plain 0, 9 and 28 % at 1, 4 and 8 layers; residual 2 and 10 %."""
    x = torch.randn(256, 8, generator=torch.Generator().manual_seed(0))
    for kind, depth, low, high in (("plain", 1, 0, 0.01), ("plain", 4, 0.05, 0.14), ("plain", 8, 0.2, 0.36)):
        active, _ = Ensemble(Architecture(8, 32, depth, kind), range(20)).activity(x)
        assert low <= float((active == 0).double().mean()) <= high
    shares = [
        float((Ensemble(Architecture(8, 32, depth, "residual"), range(20)).activity(x)[0] == 0).double().mean())
        for depth in (4, 8)
    ]
    assert shares == pytest.approx([0.02, 0.1], abs=0.03)


def test_slices_of_an_evaluation_add_up(monkeypatch):
    shape = SHAPES["plain"]
    x = next(data(shape))
    whole = Ensemble(shape, SEEDS, dtype=torch.float64).activity(x)
    monkeypatch.setattr(ensembles, "VALUES", 70)
    parts = Ensemble(shape, SEEDS, dtype=torch.float64).activity(x)
    assert torch.equal(whole[0], parts[0]) and torch.allclose(whole[1], parts[1], atol=1e-14)


def test_zero_is_inactive():
    nets = Ensemble(Architecture(1, 2, 1), [0])
    with torch.no_grad():
        for one in nets.weights:
            one.zero_()
    assert not nets.activity(torch.ones(3, 1))[0].any()


def test_clipping_is_per_network():
    gradients = [torch.tensor([[[3.0]], [[0.3]]]), torch.tensor([[[4.0]], [[0.4]]])]
    found = clipped(gradients, 1.0, "stacked")
    assert found[0].flatten().tolist() == pytest.approx([0.6, 0.3]) and found[1][0].item() == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Architecture(2, 0, 1), "inputs, width, depth are 2, 0, 1; allowed: >= 1"),
        (lambda: Architecture(2, 2, 1, "dense"), "kind is 'dense'; allowed: plain, residual, residual_two"),
        (lambda: Architecture(2, 2, 1, initialisation="x"), "initialisation is 'x'; allowed: library, he"),
        (lambda: Architecture(2, 2, 1, zero_last=True), "zero_last with kind 'plain'; allowed: residual_two"),
        (lambda: Ensemble(Architecture(2, 2, 1), [0], "outer"), "layout is 'outer'; allowed: stacked, innermost"),
        (lambda: Ensemble(Architecture(2, 2, 1), []), "seeds are empty"),
    ],
)
def test_what_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()
