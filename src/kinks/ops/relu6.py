"""ReLU6 whose derivatives at zero and at six are parameters."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops.derivative import ReLU6Derivative
from kinks.ops.kinked import Native, apply, check_input


def _backward(upstream: Tensor, z: Tensor) -> Tensor:
    return torch.ops.aten.hardtanh_backward(upstream, z, 0.0, 6.0)


NATIVE = Native(F.relu6, _backward)


def relu6(z: Tensor, derivative: ReLU6Derivative) -> Tensor:
    """min(max(z, 0), 6), bit for bit PyTorch's, for a dense fp64, fp32, fp16 or bf16 tensor (TypeError otherwise).

    Values of the derivative at the kinks, z = 0.0 or -0.0 and z = 6: `at_zero` and `at_six`, times the upstream
    gradient (rule chain) or alone (rule assign); elsewhere PyTorch's. Both 0 is PyTorch's relu6 under both rules.
    At NaN PyTorch's CPU kernel passes the upstream gradient or 0, depending on the place in memory; so does this.
    """
    if has_torch_function_unary(z):
        return handle_torch_function(relu6, (z,), z, derivative)
    check_input("relu6", z)
    if not isinstance(derivative, ReLU6Derivative):
        raise TypeError(f"relu6: got {derivative!r}; allowed: a ReLU6Derivative")
    if derivative.at_zero == 0.0 and derivative.at_six == 0.0:
        return F.relu6(z)
    return apply(z, NATIVE, derivative)


class ReLU6(nn.Module):
    """`relu6` as a module: input and output of any shape."""

    def __init__(self, derivative: ReLU6Derivative) -> None:
        super().__init__()
        self.derivative = derivative

    def forward(self, z: Tensor) -> Tensor:
        """min(max(z, 0), 6) with the module's derivatives at zero and at six."""
        return relu6(z, self.derivative)

    def extra_repr(self) -> str:
        """The derivative, for printing."""
        return repr(self.derivative)
