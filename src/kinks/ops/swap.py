"""Puts activations and pools with a chosen derivative into an existing model, and takes them out again."""

import copy
from collections.abc import Callable, Iterable

from torch import Tensor, jit, nn

from kinks.ops.coverage import CannotTraceError, hidden_in_modules, in_example, in_trace
from kinks.ops.derivative import (
    DerivativeSwitch,
    LeakyReLUDerivative,
    PoolDerivative,
    PoolSwitch,
    ReLU6Derivative,
    ReLUDerivative,
)
from kinks.ops.leaky_relu import LeakyReLU
from kinks.ops.pool import MaxPool2d
from kinks.ops.relu import ReLU
from kinks.ops.relu6 import ReLU6

TORCH = {"relu": nn.ReLU, "relu6": nn.ReLU6, "leaky_relu": nn.LeakyReLU, "pool": nn.MaxPool2d}
OURS = {"relu": ReLU, "relu6": ReLU6, "leaky_relu": LeakyReLU, "pool": MaxPool2d}
WINDOWS = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
Choice = ReLUDerivative | DerivativeSwitch | ReLU6Derivative | LeakyReLUDerivative | PoolDerivative | PoolSwitch


def swap(
    model: nn.Module,
    relu: ReLUDerivative | DerivativeSwitch | None = None,
    relu6: ReLU6Derivative | None = None,
    leaky_relu: LeakyReLUDerivative | None = None,
    pool: PoolDerivative | PoolSwitch | None = None,
    *,
    inplace: bool = False,
    example: Tensor | tuple | None = None,
) -> nn.Module:
    """A copy of `model` (or `model` itself, if `inplace`) whose activations and max-pools have the chosen derivatives.

    A kind of module whose choice is None stays as it is; hooks stay in place; parameters and `state_dict`
    keep their names. Raises ValueError, and changes nothing, where a module of an asked kind would be
    missed: a call of a function (found by torch.fx, or in a forward pass on `example`, a tensor or a tuple of
    arguments, which models that torch.fx cannot follow need), an `inplace=True` module, a subclass with a
    forward of its own, a scripted or compiled model, or a model with no such module.
    """
    choices = {"relu": relu, "relu6": relu6, "leaky_relu": leaky_relu, "pool": pool}
    choices = {kind: choice for kind, choice in choices.items() if choice is not None}
    if not choices:
        raise ValueError("swap: no derivative given; allowed: one or more of relu=, relu6=, leaky_relu=, pool=")
    _refuse_modules(model, choices)
    probe = _replace(copy.deepcopy(model), lambda module: _replacement(module, choices))
    refuse_calls(probe, choices, example)
    for kind in choices:
        if not any(type(module) is OURS[kind] for module in probe.modules()):
            raise ValueError(f"swap: {type(model).__name__} has no nn.{TORCH[kind].__name__} for {kind}=")
    if inplace and type(model) in (*TORCH.values(), *OURS.values()):
        raise ValueError(f"swap: a lone {type(model).__name__} cannot be replaced inplace; use the result")
    target = model if inplace else copy.deepcopy(model)
    return _replace(target, lambda module: _replacement(module, choices))


def restore(model: nn.Module, *, inplace: bool = False) -> nn.Module:
    """A copy of `model` (or `model` itself, if `inplace`) with the modules that `swap` replaced back in place."""
    target = model if inplace else copy.deepcopy(model)
    return _replace(target, _original)


def swapped(model: nn.Module) -> list[str]:
    """Names of the modules that `swap` put into `model`, every name of a shared module included."""
    named = model.named_modules(remove_duplicate=False)
    return [name for name, module in named if "replaced" in vars(module)]


def _replace(model: nn.Module, replacement: Callable[[nn.Module], nn.Module | None]) -> nn.Module:
    """`model` with each module replaced for which there is a replacement; a shared module by a shared one."""
    known = {module: replacement(module) for module in model.modules()}
    for parent in known:
        for name, child in list(parent._modules.items()):
            if child is not None and known[child] is not None:
                parent._modules[name] = known[child]
    return model if known[model] is None else known[model]


def _replacement(module: nn.Module, choices: dict[str, Choice]) -> nn.Module | None:
    """Our module in the place of `module`, which it remembers; None if no kind in `choices` covers `module`."""
    kind = next((kind for kind in choices if isinstance(module, (TORCH[kind], OURS[kind]))), None)
    if kind is None:
        return None
    if kind == "leaky_relu":
        slope = module.slope if isinstance(module, LeakyReLU) else module.negative_slope
        new = LeakyReLU(slope, choices[kind])
    elif kind == "pool":
        new = MaxPool2d(choices[kind], **{name: getattr(module, name) for name in WINDOWS})
    else:
        new = OURS[kind](choices[kind])
    # Past Module.__setattr__: the original must not become a submodule.
    vars(new)["replaced"] = vars(module).get("replaced", module)
    return _inherit(new, module)


def _original(module: nn.Module) -> nn.Module | None:
    original = vars(module).get("replaced")
    return None if original is None else _inherit(original, module)


def _inherit(new: nn.Module, old: nn.Module) -> nn.Module:
    """`new` in the mode of `old` and with its hooks; the dictionaries are shared, so that handles still work."""
    new.training = old.training
    vars(new).update({name: value for name, value in vars(old).items() if "_hook" in name})
    return new


def _refuse_modules(model: nn.Module, choices: dict[str, Choice]) -> None:
    """Raise ValueError if `model` holds a module of an asked kind that no replacement can stand for."""
    for name, module in model.named_modules():
        shown = f"swap: {name or 'the model'} ({type(module).__name__})"
        if isinstance(module, jit.ScriptModule) or hasattr(module, "_orig_mod"):
            raise ValueError(f"{shown} is scripted or compiled; allowed: the model as it was before")
        for kind in choices:
            if not isinstance(module, TORCH[kind]):
                continue
            if getattr(module, "inplace", False):
                raise ValueError(f"{shown} has inplace=True and overwrites its input; allowed: inplace=False")
            if getattr(module, "return_indices", False):
                raise ValueError(f"{shown} has return_indices=True; allowed: return_indices=False")
            if type(module).forward is not TORCH[kind].forward or "forward" in vars(module):
                raise ValueError(f"{shown} has a forward of its own; allowed: nn.{TORCH[kind].__name__}'s forward")


def refuse_calls(probe: nn.Module, kinds: Iterable[str], example: Tensor | tuple | None) -> None:
    """Raise ValueError if `probe`, a copy whose modules of these kinds are swapped, calls their functions elsewhere."""
    kinds = tuple(kinds)
    found = hidden_in_modules(probe, kinds)
    if not found and type(probe) not in OURS.values():
        try:
            if example is None:
                found = in_trace(probe, kinds, tuple(TORCH[kind] for kind in kinds))
            else:
                found = in_example(probe, kinds, example)
        except CannotTraceError as error:
            raise ValueError(
                f"swap: torch.fx cannot follow {type(probe).__name__} ({error}); "
                "pass example=, a tensor or a tuple of arguments, and one forward pass will be checked instead"
            ) from error
    if found:
        raise ValueError(f"swap: would miss {'; '.join(found)}; allowed: registered modules such as nn.ReLU()")
