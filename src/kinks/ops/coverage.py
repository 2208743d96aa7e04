"""Finds the activation and pooling calls of a model that replacing its modules would miss.

Two ways: a symbolic trace by torch.fx, which needs no input, and a forward pass on an example, which sees the
calls of that pass. Other spellings of the same function, such as `clamp(min=0)`, are not calls of it and are
left as they are.
"""

import re
import traceback
from collections.abc import Iterable

import torch
from torch import Tensor, fx, nn
from torch.overrides import TorchFunctionMode

# The names under which torch, torch.nn.functional and Tensor offer each operation.
CALLS = {
    "relu": {"relu", "relu_", "rnn_relu", "rnn_relu_cell"},
    "relu6": {"relu6"},
    "leaky_relu": {"leaky_relu", "leaky_relu_"},
    "pool": {"max_pool2d", "max_pool2d_with_indices"},
}
OURS = "kinks.ops"


class CannotTraceError(Exception):
    """torch.fx could not follow the model's forward; `in_example` can."""


class _Tracer(fx.Tracer):
    """Enters every module but PyTorch's and ours, and notes activation modules that were never registered."""

    def __init__(self, targets: tuple[type[nn.Module], ...]) -> None:
        super().__init__()
        self.record_stack_traces = True
        self.targets = targets
        self.unregistered: list[str] = []

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m).__module__.startswith(OURS) or super().is_leaf_module(m, module_qualified_name)

    def path_of_module(self, mod: nn.Module) -> str:
        try:
            return super().path_of_module(mod)
        except NameError:
            if isinstance(mod, self.targets):
                self.unregistered.append(f"a {type(mod).__name__} that is not a registered submodule")
            raise


class _Listener(TorchFunctionMode):
    """Notes each call of one of `names` with the innermost line of code outside PyTorch that made it."""

    def __init__(self, names: set[str]) -> None:
        super().__init__()
        self.names = names
        self.found: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if _is_call(func, self.names):
            places = [f"{f.filename}:{f.lineno}" for f in traceback.extract_stack() if f.filename != __file__]
            self.found.append(f"{func.__name__}() {_innermost(places)}")
        return func(*args, **(kwargs or {}))


def _is_call(function: object, names: set[str]) -> bool:
    module = getattr(function, "__module__", None) or ""
    return getattr(function, "__name__", "") in names and not module.startswith(OURS)


def _innermost(places: list[str]) -> str:
    """The last of `places` (innermost last) that is not PyTorch's own code."""
    outside = [place for place in places if not place.startswith(torch.__path__[0])]
    return f"at {outside[-1]}" if outside else "inside PyTorch"


def hidden_in_modules(model: nn.Module, kinds: Iterable[str]) -> list[str]:
    """PyTorch's own modules that call the activation inside: RNNs and transformer layers set to relu."""
    if "relu" not in kinds:
        return []
    relus = ("relu", torch.relu, nn.functional.relu)
    return [
        f"the relu inside {name or 'the model'} ({type(module).__name__})"
        for name, module in model.named_modules()
        if type(module).__module__.startswith("torch.nn")
        and (getattr(module, "nonlinearity", None) in relus or getattr(module, "activation", None) in relus)
    ]


def in_trace(model: nn.Module, kinds: Iterable[str], targets: tuple[type[nn.Module], ...]) -> list[str]:
    """Calls left in a symbolic trace of `model`, which runs the model's Python code: pass a copy.

    Raises CannotTraceError where torch.fx cannot follow that code.
    """
    names = set().union(*(CALLS[kind] for kind in kinds))
    tracer = _Tracer(targets)
    try:
        graph = tracer.trace(model)
    except Exception as error:  # the model's own code ran on symbols: it may raise anything
        if tracer.unregistered:
            return tracer.unregistered
        raise CannotTraceError(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}") from error
    found = []
    for node in graph.nodes:
        method = node.op == "call_method" and node.target in names
        if method or (node.op == "call_function" and _is_call(node.target, names)):
            places = [":".join(place) for place in re.findall(r'File "(.+?)", line (\d+)', node.stack_trace)]
            name = node.target if method else node.target.__name__
            found.append(f"{name}() {_innermost(places)}")
    return found


def in_example(model: nn.Module, kinds: Iterable[str], example: Tensor | tuple) -> list[str]:
    """Calls left in one forward pass of `model` (pass a copy) on `example`, a tensor or a tuple of arguments.

    The random generators are left as they were.
    """
    listener = _Listener(set().union(*(CALLS[kind] for kind in kinds)))
    arguments = example if isinstance(example, tuple) else (example,)
    # With gradients on: without, transformer layers call one fused operation that hides their relu.
    with torch.random.fork_rng(range(torch.cuda.device_count())), torch.enable_grad(), listener:
        model(*arguments)
    return list(dict.fromkeys(listener.found))
