"""relu: forward, gradient, second derivative and every way PyTorch can transform it."""

import pytest
import torch
from slow_reference import DTYPES, lattice, relu_gradient, same_bits, special_values
from torch.autograd import grad, gradcheck, gradgradcheck
from torch.func import hessian, jacfwd, jacrev, jvp, vmap

from kinks.ops import DerivativeSwitch, ReLU, ReLUDerivative, relu

# PyTorch's own forward mode warns of torch.jit.script the first time it is used, for torch.relu too.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

CHOICES = [ReLUDerivative(alpha, rule) for alpha in (0.0, 1.0, 0.1, -0.75, 100.0) for rule in ("chain", "assign")]
ALPHAS = [choice for choice in CHOICES if choice.alpha != 0.0]
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.fixture(autouse=True)
def skip_without_gpu(request):
    if request.node.get_closest_marker("gpu") and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")


def gradient(z, upstream, derivative):
    z = z.detach().clone().requires_grad_()
    return grad(relu(z, derivative), z, upstream)[0]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("derivative", CHOICES, ids=str)
def test_forward_is_that_of_torch_bit_for_bit(derivative, dtype, device):
    for z in (special_values(dtype), lattice((7, 33), dtype, seed=1), torch.randn(5, 64).to(dtype)):
        z = z.to(device)
        expected = torch.relu(z)
        assert same_bits(relu(z, derivative), expected)
        assert same_bits(relu(z.clone().requires_grad_(), derivative).detach(), expected)
        assert same_bits(relu(z.clone().requires_grad_(), DerivativeSwitch(derivative)).detach(), expected)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("derivative", CHOICES, ids=str)
def test_gradient_equals_the_slow_reference_bit_for_bit(derivative, dtype, device):
    generator = torch.Generator().manual_seed(2)
    for z in (special_values(dtype), lattice((7, 33), dtype, seed=3), lattice((512,), dtype, 4, levels=1)):
        upstream = torch.randn(z.shape, generator=generator).to(dtype)
        expected = relu_gradient(z, upstream, derivative.alpha, derivative.rule)
        assert (z == 0).sum() >= 8
        assert same_bits(gradient(z.to(device), upstream.to(device), derivative).cpu(), expected)


@pytest.mark.parametrize("derivative", CHOICES, ids=str)
def test_non_finite_upstream_gradients(derivative):
    z = torch.tensor([0.0, -0.0, 1.0, -1.0]).repeat(3)
    upstream = torch.tensor([float("inf"), float("-inf"), float("nan")]).repeat_interleave(4)
    expected = relu_gradient(z, upstream, derivative.alpha, derivative.rule)
    assert same_bits(gradient(z, upstream, derivative), expected)
    if derivative.alpha == 0.0:
        assert same_bits(expected, grad(torch.relu(leaf := z.clone().requires_grad_()), leaf, upstream)[0])


@pytest.mark.parametrize("derivative", ALPHAS, ids=str)
def test_gradient_at_nan_is_that_of_torch(derivative):
    z = torch.full((33,), float("nan"), requires_grad=True)
    upstream = torch.randn(33)
    assert same_bits(grad(relu(z, derivative), z, upstream)[0], upstream)
    assert same_bits(grad(torch.relu(z), z, upstream)[0], upstream)


@pytest.mark.parametrize("alpha", [0.0, 0.1, -0.75, 100.0])
@pytest.mark.parametrize("dtype", DTYPES[:2], ids=str)
def test_chain_equals_the_plain_expression(alpha, dtype):
    z = lattice((64, 33), dtype, seed=5).requires_grad_()
    upstream = torch.randn(64, 33).to(dtype)
    expression = torch.relu(z) + alpha * torch.where(z == 0, z, torch.zeros_like(z))
    # torch.equal: the expression adds 0.0 to every gradient, which turns -0.0 into 0.0.
    assert torch.equal(grad(expression, z, upstream)[0], gradient(z, upstream, ReLUDerivative(alpha)))


def test_the_paper_s_example_where_only_the_derivative_at_zero_differs():
    # relu(x) - relu(-x) = x (introduction of the NeurIPS 2021 paper): its derivative at 0 comes out as 2 alpha.
    for alpha in (0.0, 0.5, 1.0, 3.0):
        x = torch.zeros(1, requires_grad=True)
        identity = relu(x, ReLUDerivative(alpha)) - relu(-x, ReLUDerivative(alpha))
        assert grad(identity, x)[0].item() == 2 * alpha


def test_assign_ignores_even_a_zero_upstream_gradient():
    z = torch.tensor([0.0, 1.0, -1.0])
    assert gradient(z, torch.zeros(3), ReLUDerivative(0.5, "assign")).tolist() == [0.5, 0.0, 0.0]
    assert gradient(z, torch.zeros(3), ReLUDerivative(0.5, "chain")).tolist() == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("rule", ["chain", "assign"])
def test_alpha_beyond_the_range_of_half_precision_becomes_infinite(rule):
    z = torch.zeros(1, dtype=torch.float16)
    assert gradient(z, torch.ones(1, dtype=torch.float16), ReLUDerivative(1e6, rule)).item() == float("inf")


@pytest.mark.parametrize("derivative", ALPHAS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_paths_with_and_without_a_zero_agree_bit_for_bit(derivative, dtype):
    z = torch.randn(513).to(dtype)
    z[z == 0] = 1.0
    upstream = torch.randn(513).to(dtype)
    leaf = z.clone().requires_grad_()
    native = relu(leaf, derivative)
    assert type(native.grad_fn).__name__ == "ReluBackward0"
    padded = torch.cat([z, torch.zeros(1, dtype=dtype)]).requires_grad_()
    ours = relu(padded, derivative)
    assert type(ours.grad_fn).__name__ != "ReluBackward0"
    from_ours = grad(ours, padded, torch.cat([upstream, upstream[:1]]))[0]
    assert same_bits(grad(native, leaf, upstream)[0], from_ours[:-1])


@pytest.mark.parametrize("layout", ["transposed", "expanded", "strided", "empty", "scalar", "channels_last"])
def test_every_memory_layout(layout):
    base = lattice((6, 8), torch.float32, seed=6)
    z = {
        "transposed": base.t(),
        "expanded": base[:1].expand(5, 8),
        "strided": base[::2, 1::3],
        "empty": base[:0],
        "scalar": torch.tensor(-0.0),
        "channels_last": lattice((2, 3, 4, 4), torch.float32, 7).to(memory_format=torch.channels_last),
    }[layout]
    leaf = z.detach().requires_grad_()
    upstream = torch.randn(z.shape)
    assert same_bits(grad(relu(leaf, ReLUDerivative(0.3)), leaf, upstream)[0], relu_gradient(z, upstream, 0.3, "chain"))


def test_second_derivative_at_the_kink():
    z = torch.tensor([0.0, -0.0, 2.0, -2.0], dtype=torch.float64, requires_grad=True)
    upstream = torch.tensor([3.0, 5.0, 7.0, 11.0], dtype=torch.float64, requires_grad=True)
    for rule, at_kink in (("chain", 0.25), ("assign", 0.0)):
        first = grad(relu(z, ReLUDerivative(0.25, rule)), z, upstream, create_graph=True)[0]
        to_upstream, to_z = grad(first.sum(), (upstream, z), allow_unused=True, materialize_grads=True)
        assert to_upstream.tolist() == [at_kink, at_kink, 1.0, 0.0]
        assert to_z.tolist() == [0.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("derivative", CHOICES, ids=str)
def test_gradcheck_and_gradgradcheck_away_from_the_kink(derivative):
    generator = torch.Generator().manual_seed(8)
    z = torch.randn(40, dtype=torch.float64, generator=generator).requires_grad_()
    # A switch keeps the custom function in the graph even where no zero would have called for it.
    for choice in (derivative, DerivativeSwitch(derivative)):
        padded = lambda z, choice=choice: relu(torch.cat([z, z.new_zeros(1)]), choice)  # noqa: E731
        assert gradcheck(padded, z, check_forward_ad=True, check_batched_grad=True)
        assert gradgradcheck(padded, z, check_fwd_over_rev=True)


@pytest.mark.parametrize("rule", ["chain", "assign"])
def test_gradgradcheck_at_the_kink_with_respect_to_upstream(rule):
    z = lattice((20,), torch.float64, seed=9).requires_grad_()
    backward = lambda u: grad(relu(z, ReLUDerivative(0.3, rule)), z, u, create_graph=True)[0]  # noqa: E731
    assert gradcheck(backward, torch.randn(20, dtype=torch.float64, requires_grad=True), check_forward_ad=True)


@pytest.mark.parametrize("derivative", ALPHAS, ids=str)
def test_vmap_of_grad_equals_a_loop_bit_for_bit(derivative):
    batch = lattice((9, 17), torch.float32, seed=10)
    weights = torch.randn(17)
    one = lambda z: (weights * relu(z, derivative)).sum()  # noqa: E731
    looped = torch.stack([gradient(z, weights, derivative) for z in batch])
    assert same_bits(vmap(torch.func.grad(one))(batch), looped)
    assert same_bits(vmap(torch.func.grad(one), in_dims=1)(batch.t()), looped)
    assert same_bits(vmap(lambda z: relu(z, derivative))(batch), torch.relu(batch))


@pytest.mark.parametrize("alpha", [0.0, 0.3, -2.0])
def test_jacobians_of_the_chain_rule_agree_and_the_tangent_is_scaled(alpha):
    z = torch.tensor([0.0, -0.0, 2.0, -2.0, float("nan")], dtype=torch.float64)
    call = lambda z: relu(z, ReLUDerivative(alpha))  # noqa: E731
    expected = torch.tensor([alpha, alpha, 1.0, 0.0, 1.0], dtype=torch.float64)
    assert torch.equal(jacrev(call)(z), expected.diag())
    assert torch.equal(jacfwd(call)(z), expected.diag())
    tangent = torch.tensor([2.0, 3.0, 5.0, 7.0, 11.0], dtype=torch.float64)
    assert torch.equal(jvp(call, (z,), (tangent,))[1], expected * tangent)


def test_forward_mode_scales_the_tangent_under_assign_too():
    z = torch.tensor([0.0, 2.0, -2.0])
    _, tangent = jvp(lambda z: relu(z, ReLUDerivative(0.5, "assign")), (z,), (torch.tensor([4.0, 4.0, 4.0]),))
    assert tangent.tolist() == [2.0, 4.0, 0.0]
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z, torch.tensor([4.0, 4.0, 4.0]))
        out = relu(dual, ReLUDerivative(0.5, "assign"))
        assert torch.autograd.forward_ad.unpack_dual(out).tangent.tolist() == [2.0, 4.0, 0.0]


def test_hessians_of_the_chain_rule_agree_with_the_closed_form():
    z = torch.tensor([0.0, -0.0, 2.0, -2.0], dtype=torch.float64)
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    loss = lambda z: (weights * relu(z, ReLUDerivative(0.5)) ** 2).sum()  # noqa: E731
    # Twice weight x (derivative of relu) squared: the second derivative of relu itself is 0.
    expected = (2 * weights * torch.tensor([0.25, 0.25, 1.0, 0.0], dtype=torch.float64)).diag()
    assert torch.equal(hessian(loss)(z), expected)
    assert torch.equal(jacrev(jacrev(loss))(z), expected)
    assert torch.equal(torch.autograd.functional.hessian(loss, z), expected)


@pytest.mark.parametrize("rule", ["chain", "assign"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_compiled_without_graph_break_equals_eager(rule):
    z = lattice((64,), torch.float32, seed=11).requires_grad_()
    weights = torch.randn(64)
    loss = lambda z: (weights * relu(z, ReLUDerivative(0.3, rule))).sum()  # noqa: E731
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    assert same_bits(grad(compiled(z), z)[0], grad(loss(z), z)[0])


def test_autocast_changes_neither_value_nor_gradient():
    z = lattice((64,), torch.float32, seed=12).requires_grad_()
    upstream = torch.randn(64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = relu(z, ReLUDerivative(0.3))
        assert same_bits(out.detach(), torch.relu(z).detach())
        assert same_bits(grad(out, z, upstream)[0], relu_gradient(z.detach(), upstream, 0.3, "chain"))


def test_an_input_changed_in_place_after_forward_is_an_error_not_a_wrong_gradient():
    leaf = lattice((64,), torch.float32, seed=13).requires_grad_()
    z = leaf * 1.0
    out = relu(z, ReLUDerivative(0.3))
    z.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.sum().backward()


def test_without_gradients_nothing_is_recorded():
    with torch.no_grad():
        out = relu(torch.zeros(3, requires_grad=True), ReLUDerivative(0.3))
    assert out.grad_fn is None and not out.requires_grad


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.complex64], ids=str)
def test_a_tensor_without_a_kink_is_refused(dtype):
    with pytest.raises(TypeError, match=rf"relu: got a torch.strided tensor of {dtype}; allowed: .*float64"):
        relu(torch.zeros(3).to(dtype), ReLUDerivative(0.3))


def test_a_sparse_tensor_is_refused():
    with pytest.raises(TypeError, match=r"relu: got a torch.sparse_coo tensor"):
        relu(torch.zeros(3, 3).to_sparse(), ReLUDerivative(0.3))


def test_a_bare_number_is_refused():
    with pytest.raises(TypeError, match=r"relu: got 0.5; allowed: a ReLUDerivative or a DerivativeSwitch"):
        relu(torch.zeros(3), 0.5)


def test_module_prints_copies_and_computes():
    module = ReLU(ReLUDerivative(0.5, "assign"))
    assert repr(module) == "ReLU(ReLUDerivative(alpha=0.5, rule='assign'))"
    z = torch.zeros(2, requires_grad=True)
    assert grad(module(z).sum(), z)[0].tolist() == [0.5, 0.5]
    assert not list(module.parameters()) and not module.state_dict()
