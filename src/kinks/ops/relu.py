"""ReLU whose derivative at zero is a parameter."""

import torch
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops.derivative import DerivativeSwitch, ReLUDerivative
from kinks.ops.kinked import Native, apply, check_input, values_can_be_read
from kinks.ops.zeros import has_zero


def _backward(upstream: Tensor, z: Tensor) -> Tensor:
    return torch.ops.aten.threshold_backward(upstream, z, 0)


NATIVE = Native(torch.relu, _backward)


def relu(z: Tensor, derivative: ReLUDerivative | DerivativeSwitch) -> Tensor:
    """max(z, 0), bit for bit torch.relu's, for a dense fp64, fp32, fp16 or bf16 tensor (TypeError otherwise).

    Value of the derivative at the kink, z = 0.0 or -0.0: `alpha` x upstream (rule chain) or `alpha` (rule
    assign); elsewhere, and at NaN (which passes the upstream gradient), torch.relu's. alpha = 0 is torch.relu
    under both rules. alpha is rounded to the accumulation type (fp32 for the 16-bit types) before it multiplies.
    """
    if has_torch_function_unary(z):
        return handle_torch_function(relu, (z,), z, derivative)
    check_input("relu", z)
    if isinstance(derivative, ReLUDerivative):
        if derivative.alpha == 0.0:
            return torch.relu(z)
    elif not isinstance(derivative, DerivativeSwitch):
        raise TypeError(f"relu: got {derivative!r}; allowed: a ReLUDerivative or a DerivativeSwitch")
    # Without a zero the choice cannot matter, and PyTorch's own function is 1.3 times faster than ours.
    if values_can_be_read(z) and z.requires_grad and torch.is_grad_enabled() and not has_zero(z):
        return torch.relu(z)
    return apply(z, NATIVE, derivative)


class ReLU(nn.Module):
    """`relu` as a module: input and output of any shape."""

    def __init__(self, derivative: ReLUDerivative | DerivativeSwitch) -> None:
        super().__init__()
        self.derivative = derivative

    def forward(self, z: Tensor) -> Tensor:
        """max(z, 0) with the module's derivative at zero."""
        return relu(z, self.derivative)

    def extra_repr(self) -> str:
        """The derivative, for printing."""
        return repr(self.derivative)
