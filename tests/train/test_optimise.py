"""Steps of SGD and Adam have the bits of torch.optim, in every format; loss scaling has the rules of its GradScaler."""

import pytest
import torch

from kinks.train.optimise import SGD, Adam, rates
from kinks.train.scaling import DynamicScaling, scaling, undoable

SHAPES = ((64, 70), (1001,), (16, 3, 5, 5), (5,))
DTYPES = [torch.float64, torch.float32, torch.float16, torch.bfloat16]


def tensors(generator, dtype, scale=1.0):
    return [(torch.randn(shape, generator=generator) * scale).to(dtype) for shape in SHAPES]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("sgd", {"momentum": 0.9, "weight_decay": 5e-4}),
        ("sgd", {"momentum": 0.9, "weight_decay": 0.0}),
        ("sgd", {"momentum": 0.0, "weight_decay": 5e-4}),
        ("adam", {"eps": 1e-4, "weight_decay": 0.0}),
        ("adam", {"eps": 1e-3, "weight_decay": 1e-2}),
    ],
    ids=str,
)
def test_steps_have_the_bits_of_torch_optim(dtype, kind, words):
    g = torch.Generator().manual_seed(0)
    ours = tensors(g, dtype)
    theirs = [torch.nn.Parameter(weight.clone()) for weight in ours]
    made, optim = {"sgd": (SGD, torch.optim.SGD), "adam": (Adam, torch.optim.Adam)}[kind]
    mine = made(ours, words["momentum" if kind == "sgd" else "eps"], words["weight_decay"])
    published = optim(theirs, lr=0.1, **words)
    for step in range(8):
        gradients, rate = tensors(g, dtype, 0.1), 0.1 / (step + 1)
        published.param_groups[0]["lr"] = rate
        for weight, gradient in zip(theirs, gradients, strict=True):
            weight.grad = gradient.clone()
        published.step()
        mine.step(gradients, rate)
        assert all(torch.equal(a, b.detach()) for a, b in zip(ours, theirs, strict=True)), step


def test_a_transposed_gradient_lands_where_it_belongs():
    weight, gradient = torch.zeros(64, 64), torch.arange(64.0 * 64).view(64, 64).T
    SGD([weight], 0.9, 0.0).step([gradient], 1.0)
    assert torch.equal(weight, -gradient)


@pytest.mark.parametrize(("eps", "finite"), [(1e-8, False), (1e-4, True)])
def test_adams_eps_rounds_to_nothing_in_half_precision(eps, finite):
    for dtype in (torch.float16, torch.float32, torch.bfloat16):
        weight = torch.ones(2, dtype=dtype)
        Adam([weight], eps, 0.0).step([torch.tensor([0.0, 1.0], dtype=dtype)], 0.1)
        assert bool(torch.isfinite(weight).all()) == (finite or dtype != torch.float16)


def test_rates_are_those_of_torchs_schedule():
    weight = torch.nn.Parameter(torch.zeros(1))
    optim = torch.optim.SGD([weight], lr=0.037)
    schedule, expected = torch.optim.lr_scheduler.CosineAnnealingLR(optim, 30), []
    for _ in range(30):
        expected.append(optim.param_groups[0]["lr"])
        optim.step()
        schedule.step()
    assert rates(0.037, "cosine", 30) == expected and rates(0.037, "constant", 3) == [0.037] * 3


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_dynamic_scaling_is_torchs_grad_scaler(kind):
    weight = torch.nn.Parameter(torch.full((8,), 2.0))
    optim = torch.optim.SGD([weight], lr=0.5, momentum=0.9) if kind is SGD else torch.optim.Adam([weight], lr=0.5)
    theirs = torch.amp.GradScaler("cpu", init_scale=2.0**16, growth_interval=2000)
    ours, mine = weight.detach().clone().requires_grad_(), DynamicScaling(torch.device("cpu"))
    stepper, skips = (SGD([ours], 0.9, 0.0) if kind is SGD else Adam([ours], 1e-8, 0.0)), []
    mine.tracker.fill_(1997)
    theirs._lazy_init_scale_growth_tracker("cpu")
    theirs._growth_tracker.fill_(1997)
    for factor in (1.0, float("inf"), 3.0, float("nan"), 1.0, 2.0):
        optim.zero_grad()
        theirs.scale((weight * factor).sum()).backward()
        theirs.step(optim)
        theirs.update()
        gradients = torch.autograd.grad(mine.scaled((ours * factor).sum()), [ours])
        skips.append(float(mine.step(stepper, gradients, 0.5)))
        assert torch.equal(ours, weight) and float(mine.scale) == theirs.get_scale()
    assert skips == [0, 1, 0, 1, 0, 0]


def test_a_step_is_undone_without_asking_the_device():
    for skipped in (0.0, 1.0):
        weights = [torch.ones(3), torch.zeros(64)]
        optimiser, reference = (SGD([w.clone() for w in weights], 0.9, 5e-4) for _ in range(2))
        gradients = [torch.full((3,), float("nan") if skipped else 2.0), torch.ones(64)]
        undoable(optimiser, [g.clone() for g in gradients], 0.1, torch.tensor(skipped))
        if not skipped:
            reference.step(gradients, 0.1)
        pairs = zip(optimiser.weights + optimiser.state, reference.weights + reference.state, strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


def test_a_fixed_scale_keeps_what_half_precision_would_lose():
    def half(power):
        return torch.tensor(2.0**power, dtype=torch.float16)

    found = {}
    for given in ("none", 256):
        weight = torch.zeros(4, dtype=torch.float16, requires_grad=True)
        value = (weight * half(10) * half(-14)).sum() * half(-12)  # 2^-26 on its way, which is 0 in 16 bits
        gradients = torch.autograd.grad(scaling(given, weight.device).scaled(value), [weight])
        scaling(given, weight.device).step(SGD([weight], 0.0, 0.0), gradients, 1.0)
        found[given] = weight.tolist()
    assert found == {"none": [0.0] * 4, 256: [-(2.0**-16)] * 4}
