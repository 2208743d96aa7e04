"""swap: every ReLU of a model is replaced, or the model is refused with one line that names what was missed."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import grad

from kinks.ops import (
    DerivativeSwitch,
    LeakyReLU,
    LeakyReLUDerivative,
    ReLU,
    ReLU6,
    ReLU6Derivative,
    ReLUDerivative,
    relu,
    restore,
    swap,
    swapped,
)

HALF = ReLUDerivative(0.5)


class Block(nn.Module):
    """Nested containers, one shared activation and a residual sum."""

    def __init__(self, act):
        super().__init__()
        self.act = act
        self.steps = nn.ModuleList([nn.Linear(6, 6), act, nn.Sequential(nn.Linear(6, 6), nn.ReLU())])
        self.named = nn.ModuleDict({"zero": nn.ReLU(), "out": nn.Linear(6, 6)})
        self.nothing = None
        self.register_module("absent", None)

    def forward(self, x):
        h = x
        for step in self.steps:
            h = step(h)
        return self.act(self.named["out"](self.named["zero"](h)) + x)


class Calls(nn.Module):
    """Calls an activation as a function, in the way given."""

    def __init__(self, call, branch=False):
        super().__init__()
        self.first, self.act, self.call, self.branch = nn.Linear(6, 6), nn.ReLU(), call, branch

    def forward(self, x):
        h = self.act(self.first(x))
        if self.branch and h.sum() > -1e9:
            h = h + 1.0
        return self.call(h)


class Scaled(nn.ReLU):
    """A ReLU with a forward of its own."""

    def forward(self, x):
        return 2 * super().forward(x)


class Tagged(nn.ReLU):
    """A ReLU with a parameter of construction, but ReLU's forward."""

    def __init__(self, tag):
        super().__init__()
        self.tag = tag


def block():
    return nn.Sequential(nn.Linear(6, 6), Block(nn.ReLU()), Block(nn.ReLU()), nn.Linear(6, 3))


def test_every_relu_of_a_nested_model_is_replaced_and_the_original_is_not():
    model, x = block(), torch.randn(4, 6)
    before = repr(model)
    result = swap(model, relu=HALF)
    assert repr(model) == before and not swapped(model)
    assert not any(isinstance(m, nn.ReLU) for m in result.modules())
    assert swapped(result) == [f"{i}.{name}" for i in (1, 2) for name in ("act", "steps.1", "steps.2.1", "named.zero")]
    assert torch.equal(result(x), model(x))
    assert result.state_dict().keys() == model.state_dict().keys()
    assert result[1].act is result[1].steps[1] and result[1].act is not result[2].act


def test_the_chosen_derivative_reaches_the_gradient():
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.ReLU())
    x = torch.zeros(1, 1, requires_grad=True)
    weight = model[0].weight.item()
    for alpha in (0.0, 0.5, 2.0):
        slope = grad(swap(model, relu=ReLUDerivative(alpha))(x).sum(), x)[0].item()
        assert slope == pytest.approx(alpha * weight, rel=1e-6)


def test_inplace_changes_the_model_itself_and_restore_puts_the_originals_back():
    model = block()
    originals = {name: m for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, nn.ReLU)}
    assert swap(model, relu=HALF, inplace=True) is model
    assert set(swapped(model)) == set(originals)
    back = restore(model)
    assert len(swapped(model)) == 8 and not swapped(back)
    assert restore(model, inplace=True) is model
    assert all(model.get_submodule(name) is module for name, module in originals.items())


def test_all_three_kinds_in_one_call_and_kinds_not_asked_for_stay():
    model = nn.Sequential(nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(0.2), nn.Tanh())
    only = swap(model, relu6=ReLU6Derivative(0.5, 0.5))
    assert [type(m) for m in only] == [nn.ReLU, ReLU6, nn.LeakyReLU, nn.Tanh]
    every = swap(model, HALF, ReLU6Derivative(0.5, 0.5), LeakyReLUDerivative(0.5))
    assert [type(m) for m in every] == [ReLU, ReLU6, LeakyReLU, nn.Tanh]
    assert every[2].slope == 0.2 and every[2].derivative == LeakyReLUDerivative(0.5)
    x = torch.randn(5, 3)
    assert torch.equal(every(x), model(x))


def test_swapping_again_changes_the_choice_and_restores_to_the_first_original():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), LeakyReLU(0.3))
    again = swap(swap(model, relu=HALF), relu=ReLUDerivative(1.0), leaky_relu=LeakyReLUDerivative(1.0))
    assert again[1].derivative == ReLUDerivative(1.0) and again[2].slope == 0.3
    back = restore(again)
    assert type(back[1]) is nn.ReLU and back[2].derivative == LeakyReLUDerivative()


def test_one_switch_drives_the_whole_copy():
    switch = DerivativeSwitch(HALF)
    result = swap(block(), relu=switch)
    assert {id(result.get_submodule(name).derivative) for name in swapped(result)} == {id(switch)}


def test_a_lone_activation_is_replaced_but_not_inplace():
    assert type(swap(nn.ReLU(), relu=HALF)) is ReLU
    with pytest.raises(ValueError, match=r"a lone ReLU cannot be replaced inplace; use the result"):
        swap(nn.ReLU(), relu=HALF, inplace=True)


def test_hooks_and_mode_stay():
    model, seen = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval(), []
    handle = model[1].register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    swap(model, relu=HALF, inplace=True)
    assert not model[1].training
    model(torch.ones(1, 2))
    assert seen == [ReLU]
    handle.remove()
    model(torch.ones(1, 2))
    assert seen == [ReLU]


def test_parametrised_weights_and_subclasses_with_relu_s_forward():
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3)), Tagged("a"))
    result = swap(model, relu=HALF)
    assert type(result[1]) is ReLU and restore(result)[1].tag == "a"
    x = torch.randn(4, 3)
    assert torch.equal(result(x), model(x))


FUNCTIONS = [F.relu, torch.relu, torch.relu_, lambda x: x.relu(), lambda x: F.relu(x, inplace=True)]


@pytest.mark.parametrize("branch", [False, True], ids=["traced", "example"])
@pytest.mark.parametrize("call", FUNCTIONS)
def test_a_functional_relu_is_refused_by_either_way_of_looking(call, branch):
    model = Calls(call, branch)
    before = repr(model)
    example = torch.randn(2, 6) if branch else None
    with pytest.raises(ValueError, match=r"swap: would miss relu_?\(\) at \S*test_swap.py:\d+; allowed: registered"):
        swap(model, relu=HALF, inplace=True, example=example)
    assert repr(model) == before


def test_functional_calls_of_other_kinds_are_refused_only_when_asked_for():
    model = Calls(F.relu6)
    assert swapped(swap(model, relu=HALF)) == ["act"]
    with pytest.raises(ValueError, match=r"would miss relu6\(\) at"):
        swap(model, relu=HALF, relu6=ReLU6Derivative(0.5))
    with pytest.raises(ValueError, match=r"would miss leaky_relu\(\) at"):
        swap(Calls(F.leaky_relu), leaky_relu=LeakyReLUDerivative(0.5), example=torch.ones(1, 6))


def test_our_own_function_is_no_missed_call():
    for example in (None, torch.randn(2, 6)):
        assert swapped(swap(Calls(lambda x: relu(x, HALF)), relu=HALF, example=example)) == ["act"]


def test_control_flow_needs_an_example_and_is_accepted_with_one():
    model = Calls(torch.tanh, branch=True)
    with pytest.raises(ValueError, match=r"torch.fx cannot follow Calls \(TraceError.*pass example="):
        swap(model, relu=HALF)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    result = swap(model, relu=HALF, example=(torch.randn(2, 6, generator=torch.Generator().manual_seed(1)),))
    assert swapped(result) == ["act"] and torch.equal(torch.get_rng_state(), state)


def test_an_activation_in_a_plain_list_is_refused():
    model = Calls(torch.tanh)
    model.hidden = [nn.ReLU()]
    model.call = lambda x: model.hidden[0](x)
    with pytest.raises(ValueError, match=r"a ReLU that is not a registered submodule"):
        swap(model, relu=HALF)
    with pytest.raises(ValueError, match=r"would miss relu\(\)"):
        swap(model, relu=HALF, example=torch.randn(2, 6))


@pytest.mark.parametrize(
    "module",
    [
        nn.RNN(3, 3, nonlinearity="relu"),
        nn.RNNCell(3, 3, nonlinearity="relu"),
        nn.TransformerEncoderLayer(4, 2, 8),
        nn.TransformerDecoderLayer(4, 2, 8, activation=torch.relu),
    ],
    ids=lambda module: type(module).__name__,
)
def test_a_relu_inside_a_module_of_torch_is_refused(module):
    with pytest.raises(ValueError, match=rf"the relu inside 1 \({type(module).__name__}\)"):
        swap(nn.Sequential(nn.ReLU(), module), relu=HALF)


def test_a_transformer_with_an_activation_module_is_swapped():
    model = nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, activation=nn.ReLU(), batch_first=True)
    x = torch.randn(2, 3, 4)
    result = swap(model, relu=HALF, example=x)
    assert swapped(result) == ["activation"]
    assert torch.equal(result(x), model(x))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_an_inplace_module_a_forward_of_its_own_and_a_scripted_model_are_refused():
    with pytest.raises(ValueError, match=r"swap: 1 \(ReLU\) has inplace=True .*; allowed: inplace=False"):
        swap(nn.Sequential(nn.Linear(2, 2), nn.ReLU(inplace=True)), relu=HALF)
    with pytest.raises(ValueError, match=r"swap: 0 \(Scaled\) has a forward of its own; allowed: nn.ReLU's forward"):
        swap(nn.Sequential(Scaled()), relu=HALF)
    scripted = torch.jit.script(nn.Sequential(nn.ReLU()))
    with pytest.raises(ValueError, match=r"is scripted or compiled"):
        swap(scripted, relu=HALF)
    with pytest.raises(ValueError, match=r"is scripted or compiled"):
        swap(torch.compile(nn.Sequential(nn.ReLU()), backend="eager"), relu=HALF)


def test_nothing_to_replace_and_nothing_asked_for_are_refused():
    with pytest.raises(ValueError, match=r"swap: Sequential has no nn.ReLU for relu="):
        swap(nn.Sequential(nn.Linear(2, 2), nn.Tanh()), relu=HALF)
    with pytest.raises(ValueError, match=r"swap: no derivative given; allowed: one or more of relu="):
        swap(nn.Sequential(nn.ReLU()))


def test_looking_leaves_the_model_s_own_attributes_alone():
    class Counts(Calls):
        steps, last = 0, None

        def forward(self, x):
            self.steps, self.last = self.steps + 1, x
            return super().forward(x)

    model = Counts(torch.tanh)
    for example in (None, torch.randn(2, 6)):
        result = swap(model, relu=HALF, example=example)
        assert (model.steps, model.last, result.steps, result.last) == (0, None, 0, None)
