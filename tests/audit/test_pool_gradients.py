"""The comparison of max-pool Jacobians equals the described loop, bit for bit: with ties at borders, inside, above."""

import copy

import pytest
import torch
from torch import nn

from kinks.audit import pool_gradients
from kinks.audit.pool_gradients import EQUAL, compare, distance, gradient
from kinks.nets.precise import at, loss
from kinks.nets.registry import architecture, build
from kinks.ops import DerivativeSwitch, MaxPool2d, PoolDerivative, PoolSwitch, ReLU, ReLUDerivative, swap
from kinks.precision import fixed, named

NAMES = ("fp64", "fp32", "fp16", "bf16")


class SlowPool(nn.Module):
    """A 2x2 pool whose backward hands 1/k of the gradient to each of a window's k maxima: the minimal Jacobian."""

    def forward(self, x):
        return _Shared.apply(x)


class _Shared(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        n, c, h, w = x.shape
        cells = x.reshape(n, c, h // 2, 2, w // 2, 2)
        top = cells.amax((3, 5), keepdim=True)
        ctx.save_for_backward(cells == top)
        return top[:, :, :, 0, :, 0]

    @staticmethod
    def backward(ctx, upstream):
        (mask,) = ctx.saved_tensors
        n, c, h, _, w, _ = mask.shape
        each = upstream.double()[:, :, :, None, :, None] / mask.sum((3, 5), keepdim=True)
        return (mask * each).to(upstream.dtype).reshape(n, c, 2 * h, 2 * w)


def described(model, x, labels, beta):
    """Two networks, two forward passes, two full backward passes, and the norms of the difference (N1, Ninf)."""
    gradients = []
    for value in (0.0, beta):
        net = copy.deepcopy(model)
        for place, child in enumerate(net):
            if isinstance(child, MaxPool2d):
                net[place] = SlowPool() if value == 1.0 else MaxPool2d(PoolDerivative(value), 2)
        loss(net(x), labels).backward()
        gradients.append([p.grad for p in net.parameters()])
    n1 = ninf = torch.zeros((), dtype=x.dtype)
    for a, b in zip(*gradients, strict=True):
        n1, ninf = n1 + torch.linalg.vector_norm(a - b, 1), ninf + (a - b).abs().max()
    return float(n1), float(ninf)


def tiny(batch_norm=False):
    """A VGG in small: three pools after ReLUs, and parameters above, between and below them."""
    torch.manual_seed(3)
    layers, channels = [], 3
    for out in (4, 6, 8):
        layers += [nn.Conv2d(channels, out, 3, padding=1), *([nn.BatchNorm2d(out)] if batch_norm else []), nn.ReLU()]
        layers, channels = [*layers, nn.MaxPool2d(2)], out
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8 * 4, 5))


def images(kind, rows=4, size=16, channels=3):
    g = torch.Generator().manual_seed(1)
    x = torch.randn(rows, channels, size, size, generator=g)
    if kind == "border":
        x[:, :, :4] = x[:, :, :, -3:] = -2.0
    elif kind == "interior":
        x[:, :, 4:10, 4:10] = 0.5
    elif kind == "constant":
        x[:] = 1.0
    return x, torch.arange(rows) % 5


def prepared(model, precision, shape=(3, 16, 16)):
    switch = PoolSwitch()
    return at(swap(model, pool=switch, example=torch.zeros(2, *shape)), precision), switch


@pytest.mark.parametrize("beta", [1.0, 10.0])
@pytest.mark.parametrize("kind", ["none", "border", "interior", "constant"])
@pytest.mark.parametrize("name", NAMES)
def test_norms_are_the_described_loops_bit_for_bit(name, kind, beta):
    precision = named(name)
    model, switch = prepared(tiny(), precision)
    x, labels = images(kind)
    x = x.to(precision.storage)
    with fixed(precision):
        found = compare(model, switch, x, labels, beta)
        assert (found.norms.n1, found.norms.ninf) == described(model, x, labels, beta)
    if kind == "constant":
        assert found.tied[0] > 0 and found.topmost >= 1
    elif kind != "none":
        assert found.tied[0] > 0
    elif name in ("fp64", "fp32"):
        assert found.tied == (0, 0, 0) and found.norms == EQUAL and found.topmost == -1


@pytest.mark.parametrize(
    ("network", "batch_norm", "name"),
    [("lenet5", False, "fp32"), ("lenet5", True, "fp16"), ("vgg11", False, "fp32"), ("resnet18-2x2", True, "fp32"),
     ("resnet18-2x2", False, "fp16")],
)  # fmt: skip
def test_norms_of_the_papers_networks(network, batch_norm, name):
    precision = named(name)
    plain = build(network, batch_norm=batch_norm, seed=0, init="kaiming_uniform")
    model, switch = prepared(plain, precision, architecture(network).image)
    x, labels = images("interior", 16, 28, 1) if network == "lenet5" else images("border", 2, 32)
    x = x.to(precision.storage)
    with fixed(precision):
        found = compare(model, switch, x, labels)
        assert found.norms.n1 > 0 and len(found.tied) == {"lenet5": 2, "vgg11": 5}.get(network, 1)
        assert (found.norms.n1, found.norms.ninf) == described(model, x, labels, 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_norms_with_batch_norm_in_every_precision(name):
    precision = named(name)
    model, switch = prepared(tiny(batch_norm=True), precision)
    x, labels = images("border")
    with fixed(precision):
        found = compare(model, switch, x.to(precision.storage), labels)
        assert (found.norms.n1, found.norms.ninf) == described(model, x.to(precision.storage), labels, 1.0)


def test_no_backward_pass_is_run_without_a_tie(monkeypatch):
    model, switch = prepared(tiny(), named("fp32"))
    monkeypatch.setattr(torch.autograd, "grad", None)
    assert compare(model, switch, *images("none")).norms == EQUAL


def test_only_what_lies_below_the_topmost_tie_is_differentiated_twice(monkeypatch):
    model, switch = prepared(tiny(), named("fp32"))
    asked, grad = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: asked.append(a[1]) or grad(*a, **k))
    compare(model, switch, *images("border"))
    assert [len(one) if isinstance(one, list) else 1 for one in asked] == [1, 1, 2, 2]
    assert all(p.requires_grad for p in model.parameters()) and switch.derivative == PoolDerivative(0.0)


def test_zero_ties_count_unless_a_relu_stops_them():
    x, labels = torch.zeros(2, 1, 4, 4), torch.zeros(2, dtype=torch.int64)
    for layers, tied in (([nn.ReLU()], 0), ([nn.Tanh()], 8)):
        model = nn.Sequential(nn.Conv2d(1, 1, 1, bias=False), *layers, nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4, 2))
        model, switch = prepared(model, named("fp32"), (1, 4, 4))
        found = compare(model, switch, x, labels)
        assert found.tied == (tied,) and found.windows == (8,)
    for alpha, tied in ((0.0, 0), (1.0, 8)):
        model[1] = ReLU(DerivativeSwitch(ReLUDerivative(alpha)))
        assert compare(model, switch, x, labels).tied == (tied,)


@pytest.mark.parametrize(
    "window", [{"kernel_size": 3, "stride": 2, "padding": 1}, {"kernel_size": 2, "ceil_mode": True}]
)
def test_windows_that_overlap_or_leave_the_input(window):
    precision = named("fp32")
    torch.manual_seed(5)
    layers = [
        nn.Conv2d(3, 4, 3),
        nn.ReLU(),
        nn.MaxPool2d(**window),
        nn.Conv2d(4, 4, 3),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
    ]
    model, switch = prepared(nn.Sequential(*layers, nn.Flatten(), nn.Linear(4, 5)), precision, (3, 17, 17))
    x, labels = images("interior", size=17)
    gradients = []
    for beta in (0.0, 1.0):
        net = swap(model, pool=PoolDerivative(beta), example=x)
        loss(net(x), labels).backward()
        gradients.append([p.grad for p in net.parameters()])
    found = compare(model, switch, x, labels)
    assert found.norms == distance(gradients[1], gradients[0]) and found.norms.n1 > 0


def test_frozen_parameters_are_left_out():
    model, switch = prepared(tiny(), named("fp32"))
    whole = compare(model, switch, *images("border")).norms
    model[0].bias.requires_grad_(False)
    less = compare(model, switch, *images("border")).norms
    assert 0 < less.n1 < whole.n1 and not model[0].bias.requires_grad
    model[0].weight.requires_grad_(False)
    assert compare(model, switch, *images("border")).norms == EQUAL


def test_norms_are_added_up_in_the_gradients_dtype():
    ours = [torch.full((1,), 2048.0), torch.ones(1), torch.ones(1)]
    norms = distance([t.half() for t in ours], [torch.zeros(1).half()] * 3)
    assert (norms.n1, norms.n1_wide, norms.ninf, norms.ninf_wide) == (2048.0, 2050.0, 2048.0, 2050.0)
    model, _ = prepared(tiny(), named("fp32"))
    once, twice = gradient(model, *images("border")), gradient(model, *images("border"))
    assert len(once) == 8 and distance(once, twice) == EQUAL


def inner():
    return nn.Sequential(nn.Sequential(nn.Conv2d(3, 2, 1), nn.ReLU(), nn.MaxPool2d(2)), nn.Flatten(), nn.Linear(128, 5))


def tied_weights():
    shared = nn.Conv2d(3, 3, 1)
    return nn.Sequential(shared, nn.ReLU(), nn.MaxPool2d(2), shared, nn.Flatten(), nn.Linear(192, 5))


def test_models_that_cannot_be_cut_are_refused():
    x, labels = images("none")
    with pytest.raises(ValueError, match="0 pools with this switch are children of the model and 1 lie deeper"):
        compare(*prepared(inner(), named("fp32")), x, labels)
    with pytest.raises(ValueError, match="on both sides of a pool"):
        compare(*prepared(tied_weights(), named("fp32")), x, labels)
    with pytest.raises(ValueError, match=r"got a Linear; allowed: a torch\.nn\.Sequential"):
        compare(nn.Linear(1, 1), PoolSwitch(), x, labels)
    model, switch = prepared(tiny(), named("fp32"))
    with pytest.raises(ValueError, match="0 pools with this switch"):
        compare(model, PoolSwitch(), x, labels)
    with pytest.raises(FloatingPointError, match="the loss is nan"):
        compare(model, switch, x * torch.nan, labels)
    monster = images("border")[0] * torch.tensor(6e4)
    half, switch = prepared(tiny(), named("fp16"))
    with pytest.raises(FloatingPointError):
        compare(half, switch, monster.half(), labels, loss=lambda z, y: loss(z, y) * 0 + z.float().clamp(-1, 1).sum())


def test_pools_are_found_in_order():
    model, switch = prepared(tiny(), named("fp32"))
    assert pool_gradients._pools(model, switch) == [2, 5, 8]
