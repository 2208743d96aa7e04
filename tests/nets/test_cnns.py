import pytest
import torch
import torchvision
from torch import nn

from kinks.nets.densenet import densenet121
from kinks.nets.registry import ARCHITECTURES, architecture, build, check_images, initialise
from kinks.nets.resnet import resnet18
from kinks.nets.vgg import vgg
from kinks.ops import ReLUDerivative, swap, swapped

BOTH = [(name, batch_norm) for name in ARCHITECTURES for batch_norm in (False, True)]
SMALL = {"lenet5": (1, 28, 28), "resnet50-2x2": (3, 32, 32), "resnet50-3x3": (3, 32, 32)}


def skeleton(name, batch_norm, classes=None):
    """The network on the meta device, where nothing is drawn or computed."""
    entry = architecture(name)
    with torch.device("meta"):
        return entry.make(batch_norm=batch_norm, classes=entry.classes if classes is None else classes)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def of_type(model, kind):
    return [module for module in model.modules() if isinstance(module, kind)]


def work(model, image):
    """ReLU units and multiply-adds for one image, counted by hooks."""
    counts = {"units": 0, "macs": 0}

    def count(module, _, out):
        if isinstance(module, nn.ReLU):
            counts["units"] += out.numel()
        else:
            counts["macs"] += out.numel() * module.weight[0].numel()

    for module in of_type(model, nn.ReLU | nn.Conv2d | nn.Linear):
        module.register_forward_hook(count)
    model.eval()(torch.empty(1, *image, device="meta"))
    return counts["units"], counts["macs"]


def pools(model):
    return [(pool.kernel_size, pool.stride, pool.padding) for pool in of_type(model, nn.MaxPool2d)]


def batch(name, dtype):
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, *SMALL.get(name, (3, 32, 32)), generator=generator).to(dtype)


# ---- Counts of the specifications of both papers -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "batch_norm", "count"),
    [
        ("lenet5", False, 44_426),
        ("lenet5", True, 44_878),
        ("vgg11", False, 9_225_610),
        ("vgg11", True, 9_231_114),
        ("resnet18-2x2", False, 11_164_362),
        ("resnet18-2x2", True, 11_173_962),
        ("resnet18-3x3", False, 11_164_362),
        ("resnet18-3x3", True, 11_173_962),
    ],
)
def test_the_papers_parameter_counts(name, batch_norm, count):
    assert parameters(skeleton(name, batch_norm)) == count


@pytest.mark.parametrize("name", ["resnet50-2x2", "resnet50-3x3"])
def test_resnet50_has_25_56_million_parameters_for_a_thousand_classes(name):
    assert round(parameters(skeleton(name, True)) / 1e6, 2) == 25.56
    # The released code of the first paper builds it with ten outputs.
    assert parameters(skeleton(name, True, classes=10)) == 25_557_032 - 990 * 2049


@pytest.mark.parametrize("depth", [11, 13, 16, 19])
def test_vgg_has_as_many_weight_layers_as_torchvision_before_its_classifier(depth):
    for batch_norm, suffix in ((False, ""), (True, "_bn")):
        with torch.device("meta"):
            theirs = getattr(torchvision.models, f"vgg{depth}{suffix}")(init_weights=False).features
            ours = vgg(depth, batch_norm=batch_norm)
        shapes = [tuple(p.shape) for p in theirs.parameters()]
        assert [tuple(p.shape) for p in ours.parameters()] == [*shapes, (10, 512), (10,)]
        assert pools(ours) == [(2, 2, 0)] * 5


@pytest.mark.parametrize(
    ("name", "units", "millions"),
    [("vgg11", 151_552, 152.8), ("resnet18-3x3", 188_416, 140.2), ("resnet18-2x2", 188_416, 140.2)],
)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_relu_units_and_multiply_adds_per_image(name, units, millions, batch_norm):
    counted, macs = work(skeleton(name, batch_norm), (3, 32, 32))
    assert counted == units and round(macs / 1e6, 1) == millions


def test_resnet50_does_4_09_billion_multiply_adds():
    assert round(work(skeleton("resnet50-3x3", True), (3, 224, 224))[1] / 1e9, 2) == 4.09


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lenet5", [(2, 2, 0)] * 2),
        ("resnet18-2x2", [(2, 2, 0)]),
        ("resnet18-3x3", [(3, 2, 1)]),
        ("resnet50-2x2", [(2, 2, 0)]),
        ("resnet50-3x3", [(3, 2, 1)]),
        ("densenet121", [(2, 2, 0)]),
    ],
)
def test_max_pools(name, expected):
    assert pools(skeleton(name, True)) == expected


def test_lenet5_normalises_after_the_pool_and_after_the_relu():
    kinds = [type(layer).__name__ for layer in skeleton("lenet5", True)]
    convolution = ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d"]
    assert kinds == [*convolution * 2, "Flatten", *["Linear", "ReLU", "BatchNorm1d"] * 2, "Linear"]


# ---- The same function as an independent implementation ------------------------------------------------------------


def take_weights(ours, theirs):
    """Copy the weights of `theirs` into `ours` in the order in which the layers were registered."""
    assert [p.shape for p in ours.parameters()] == [p.shape for p in theirs.parameters()]
    with torch.no_grad():
        for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
            mine.copy_(other)
    return ours


@pytest.mark.parametrize(
    ("name", "theirs"), [("resnet50-3x3", "resnet50"), ("resnet18-3x3", "resnet18"), ("densenet121", "densenet121")]
)
def test_the_network_computes_what_torchvision_computes(name, theirs):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        other = getattr(torchvision.models, theirs)(num_classes=10)
        if name == "resnet18-3x3":  # the CIFAR form: another stem, everything else equal
            other.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
        if name == "densenet121":
            other.features.pool0 = nn.MaxPool2d(2)
    ours = take_weights(build(name, batch_norm=True, seed=0, classes=10), other).double()
    # Training mode, so that a batch norm in another place shows; 64x64, so that no map is a single pixel.
    images = torch.randn(2, 3, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(ours(images), other.double()(images))


def test_published_densenet_has_two_batch_norms_and_equals_the_intended_one_without():
    published, intended, plain = (
        skeleton(name, batch_norm)
        for name, batch_norm in (("densenet121-published", True), ("densenet121", True), ("densenet121", False))
    )
    assert [norm.num_features for norm in of_type(published, nn.BatchNorm2d)] == [64, 1024]
    assert len(of_type(intended, nn.BatchNorm2d)) == 121
    assert of_type(plain, nn.BatchNorm2d) == []
    assert parameters(published) - parameters(plain) == 2 * (64 + 1024)
    assert str(skeleton("densenet121-published", False)) == str(plain)
    for net in (published, intended, plain):
        assert len(of_type(net, nn.ReLU)) == 2 * 58 + 5


# ---- Derivatives can be put in, and the networks run ---------------------------------------------------------------


@pytest.mark.parametrize(("name", "batch_norm"), BOTH)
def test_every_relu_and_every_pool_is_a_module_of_its_own(name, batch_norm):
    net = skeleton(name, batch_norm)
    relus, all_names = of_type(net, nn.ReLU), net.named_modules(remove_duplicate=False)
    assert len(relus) == sum(isinstance(module, nn.ReLU) for _, module in all_names), "one is shared"
    assert not any(relu.inplace for relu in relus)
    calls = {"relu": 0, "pool": 0}
    for module in of_type(net, nn.ReLU | nn.MaxPool2d):
        kind = "relu" if isinstance(module, nn.ReLU) else "pool"
        module.register_forward_hook(lambda *_, kind=kind: calls.update({kind: calls[kind] + 1}))
    net.eval()(torch.empty(1, *architecture(name).image, device="meta"))
    assert calls == {"relu": len(relus), "pool": len(of_type(net, nn.MaxPool2d))}


@pytest.mark.parametrize(("name", "batch_norm"), BOTH)
def test_swap_replaces_every_relu(name, batch_norm):
    net = skeleton(name, batch_norm)
    replaced = swap(net, relu=ReLUDerivative(1.0))  # raises if a functional relu hides
    assert len(swapped(replaced)) == len(of_type(net, nn.ReLU)) > 0
    assert of_type(replaced, nn.ReLU) == []


@pytest.mark.parametrize("name", ["lenet5", "vgg11", "resnet18-2x2"])
def test_no_functional_relu_runs_and_alpha_reaches_the_gradient(name):
    net, images = build(name, batch_norm=False, seed=0), torch.zeros(2, *architecture(name).image)
    initialise(net, "kaiming_uniform", 0)  # with biases 0, a black image makes every pre-activation exactly 0
    for alpha, moved in ((0.0, False), (1.0, True)):
        replaced = swap(net, relu=ReLUDerivative(alpha), example=images)
        image = images.clone().requires_grad_()
        replaced(image).sum().backward()
        assert bool(image.grad.any()) is moved


@pytest.mark.parametrize(
    ("name", "batch_norm"), [pair for pair in BOTH if pair[0] not in ("vgg13", "vgg16", "resnet50-2x2")]
)
def test_forward_and_backward(name, batch_norm):
    classes = 100 if name == "densenet121" else 7
    net = build(name, batch_norm=batch_norm, seed=1, classes=classes)
    for dtype in (torch.float32, torch.float64):
        net.to(dtype).zero_grad()
        scores = net(batch(name, dtype))
        assert scores.shape == (2, classes) and scores.dtype == dtype
        nn.functional.cross_entropy(scores, torch.tensor([0, 6])).backward()
        gradients = [parameter.grad for parameter in net.parameters()]
        assert all(g is not None and g.dtype == dtype and torch.isfinite(g).all() for g in gradients)
        assert gradients[0].any()


# ---- Bad input -----------------------------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"no network is called 'vgg12'; allowed: lenet5, .*; did you mean") as caught:
        build("vgg12", batch_norm=False, seed=0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: build("vgg11", batch_norm=False, seed=0, classes=1),
            "classes is 1; allowed: an integer of at least 2",
        ),
        (lambda: build("vgg11", batch_norm=False, seed=0, classes=True), "classes is True"),
        (lambda: build("lenet5", batch_norm=False, seed=0, init="he"), "init is 'he'; allowed: 'default'"),
        (lambda: initialise(nn.Sequential(nn.LayerNorm(3)), "default", 0), r"0 \(LayerNorm\) has parameters"),
        (lambda: vgg(12, batch_norm=False), "depth is 12; allowed: 11, 13, 16, 19"),
        (lambda: resnet18(pool="4x4", batch_norm=False), "pool is '4x4'; allowed: '2x2', '3x3'"),
        (lambda: densenet121(batch_norm=True, wiring="both"), "wiring is 'both'; allowed"),
    ],
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize(
    "images",
    [
        torch.zeros(2, 3, 31, 31),
        torch.zeros(2, 1, 32, 32),
        torch.zeros(0, 3, 32, 32),
        torch.zeros(3, 32, 32),
        torch.zeros(2, 3, 32, 32, dtype=torch.uint8),
    ],
)
def test_images_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match=r"vgg11: given torch\..* of shape .*; allowed: .* \(N, 3, 32, 32\)"):
        check_images("vgg11", images)
    check_images("vgg11", torch.zeros(1, 3, 32, 32, dtype=torch.float16))
