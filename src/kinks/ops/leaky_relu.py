"""LeakyReLU whose derivative at zero is a parameter."""

import math
from numbers import Real

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops.derivative import LeakyReLUDerivative
from kinks.ops.kinked import Native, apply, check_input


def _backward(upstream: Tensor, z: Tensor, slope: float) -> Tensor:
    return torch.ops.aten.leaky_relu_backward(upstream, z, slope, False)


def leaky_relu(z: Tensor, slope: float, derivative: LeakyReLUDerivative) -> Tensor:
    """z where z > 0, else `slope` x z, bit for bit PyTorch's, for a dense fp64, fp32, fp16 or bf16 tensor.

    Raises TypeError for other tensors, ValueError for a slope that is no finite number. Value of the derivative
    at the kink, z = 0.0 or -0.0: `at_zero` x upstream (rule chain) or `at_zero` (rule assign); None means
    `slope`, which is PyTorch's choice. Elsewhere, and at NaN (`slope` x upstream), PyTorch's.
    """
    if has_torch_function_unary(z):
        return handle_torch_function(leaky_relu, (z,), z, slope, derivative)
    check_input("leaky_relu", z)
    if isinstance(slope, bool) or not isinstance(slope, Real) or not math.isfinite(slope):
        raise ValueError(f"leaky_relu: slope is {slope!r}; allowed: a finite number")
    if not isinstance(derivative, LeakyReLUDerivative):
        raise TypeError(f"leaky_relu: got {derivative!r}; allowed: a LeakyReLUDerivative")
    derivative = derivative.with_slope(slope)
    if derivative.rule == "chain" and derivative.at_zero == slope:
        return F.leaky_relu(z, slope)
    return apply(z, Native(F.leaky_relu, _backward, (float(slope),)), derivative)


class LeakyReLU(nn.Module):
    """`leaky_relu` as a module: input and output of any shape."""

    def __init__(self, slope: float = 0.01, derivative: LeakyReLUDerivative | None = None) -> None:
        super().__init__()
        self.slope = slope
        self.derivative = LeakyReLUDerivative() if derivative is None else derivative

    def forward(self, z: Tensor) -> Tensor:
        """z where z > 0, else slope x z, with the module's derivative at zero."""
        return leaky_relu(z, self.slope, self.derivative)

    def extra_repr(self) -> str:
        """The slope and the derivative, for printing."""
        return f"slope={self.slope}, {self.derivative!r}"
