"""One autograd function for piecewise linear activations whose derivative at the kinks is a parameter.

First derivative: PyTorch's own away from the kinks, the chosen value at them. Second derivative: under `chain`
the gradient is linear in the upstream gradient, so its derivative with respect to upstream is the chosen value
at a kink; under `assign` it is a constant there, so that derivative is 0. With respect to the input it is 0
under both. Forward mode has no upstream gradient to ignore, so both rules multiply the tangent by the value.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function

from kinks.ops.derivative import (
    DerivativeSwitch,
    LeakyReLUDerivative,
    PoolDerivative,
    ReLU6Derivative,
    ReLUDerivative,
    Switch,
)

DTYPES = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
Derivative = ReLUDerivative | ReLU6Derivative | LeakyReLUDerivative | PoolDerivative


@dataclass(frozen=True)
class Native:
    """PyTorch's own activation: `forward(z, *arguments)` and `backward(upstream, z, *arguments)`."""

    forward: Callable[..., Tensor]
    backward: Callable[..., Tensor]
    arguments: tuple[float, ...] = ()


def slope(upstream: Tensor, z: Tensor, native: Native, derivative: Derivative, rule: str) -> Tensor:
    """The gradient for input `z`: PyTorch's, with the chosen values where `z` is exactly at a kink.

    A value of 0 gives +0.0 even for an infinite upstream gradient, as PyTorch does at 0.
    """
    gradient = native.backward(upstream, z, *native.arguments)
    for place, value in derivative.kinks:
        there = value * upstream if rule == "chain" and value != 0.0 else value
        gradient = torch.where(z == place, there, gradient)
    return gradient


class Kinked(Function):
    """Reverse mode. Saves its input, so that autograd's version check catches a later in-place change."""

    @staticmethod
    def forward(z: Tensor, native: Native, derivative: Derivative | DerivativeSwitch) -> Tensor:
        return native.forward(z, *native.arguments)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        z, ctx.native, ctx.derivative = inputs
        ctx.save_for_backward(z)
        ctx.save_for_forward(z)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        derivative = current(ctx.derivative)
        return slope(upstream, z, ctx.native, derivative, derivative.rule), None, None


class KinkedEverywhere(Kinked):
    """`Kinked` with forward mode and vmap; torch.compile refuses functions that define a jvp."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx, tangent: Tensor, *_: None) -> Tensor:
        (z,) = ctx.saved_tensors
        return slope(tangent, z, ctx.native, current(ctx.derivative), "chain")


def current(derivative: Derivative | Switch) -> Derivative:
    """The choice itself, read now if it is behind a switch."""
    return derivative.derivative if isinstance(derivative, Switch) else derivative


def supported(plain: type[Function], everywhere: type[Function], derivative: Derivative | Switch) -> type[Function]:
    """Of the same function without and with forward mode and vmap, the one that the caller's mode supports.

    A compiled backward would keep the choice that a switch held while compiling, hence the error below:
    torch.compile reports it with fullgraph=True, and runs the calling function eagerly without.
    """
    if not torch.compiler.is_compiling():
        return everywhere
    if isinstance(derivative, Switch):
        raise RuntimeError(f"got a {type(derivative).__name__} inside torch.compile; allowed there: its derivative")
    return plain


def apply(z: Tensor, native: Native, derivative: Derivative | DerivativeSwitch) -> Tensor:
    """The activation of `z` with the chosen derivative."""
    return supported(Kinked, KinkedEverywhere, derivative).apply(z, native, derivative)


def check_input(name: str, z: Tensor) -> None:
    """Raise TypeError unless `z` is a dense tensor of a floating-point type that has a kink to speak of."""
    if z.dtype not in DTYPES or z.layout is not torch.strided:
        raise TypeError(
            f"{name}: got a {z.layout} tensor of {z.dtype}; allowed: torch.strided of {', '.join(map(str, DTYPES))}"
        )


def values_can_be_read(z: Tensor) -> bool:
    """Whether `z` is an ordinary CPU tensor in eager mode, so that a branch may depend on its values."""
    return (
        not torch.compiler.is_compiling()
        and type(z) in (Tensor, torch.nn.Parameter)
        and z.device.type == "cpu"
        # No public name exists for the next two; autograd.Function.apply itself asks the first.
        and not torch._C._are_functorch_transforms_active()
        and torch._C._len_torch_dispatch_stack() == 0
    )
