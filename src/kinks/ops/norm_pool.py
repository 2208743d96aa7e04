"""Pooling by the Euclidean norm, whose derivative at a window of zeros is a parameter (a6 of "A MaxPool case study").

The square root is the only kink: out = sqrt(sum of squares) has the derivative x / out except where out is 0. That
is a window of zeros over the reals, but in floating point also one whose squares all underflow (|x| < 1.73e-4 in
half precision): there `at_zero` acts although x is not 0, and nothing else would be defined.
"""

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops.derivative import NormPoolDerivative
from kinks.ops.kinked import supported
from kinks.ops.pool_windows import Pair, check_pooled, part, windows


def _slope(tangent: Tensor, entries: Tensor, norm: Tensor, derivative: NormPoolDerivative, rule: str) -> Tensor:
    """`tangent` x entries / norm, the chosen value where it is 0; a window's entries lie along the first axis."""
    smooth = tangent * (entries / torch.where(norm == 0, 1, norm))
    value = derivative.at_zero
    there = value * tangent if rule == "chain" and value != 0.0 else value
    return torch.where(norm == 0, there, smooth)


class Norm(Function):
    """Reverse mode. The norm over the first axis, along which autograd's own stacking has put a window's entries."""

    @staticmethod
    def forward(entries: Tensor, derivative: NormPoolDerivative) -> Tensor:
        return (entries * entries).sum(0).sqrt()

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        entries, ctx.derivative = inputs
        ctx.save_for_backward(entries, output)
        ctx.save_for_forward(entries, output)

    @staticmethod
    def backward(ctx, upstream: Tensor) -> tuple[Tensor, None]:
        entries, norm = ctx.saved_tensors
        return _slope(upstream, entries, norm, ctx.derivative, ctx.derivative.rule), None


class NormEverywhere(Norm):
    """`Norm` with forward mode and vmap; torch.compile refuses functions that define a jvp."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx, tangent: Tensor, _: None) -> Tensor:
        entries, norm = ctx.saved_tensors
        return _slope(tangent, entries, norm, ctx.derivative, "chain").sum(0)


def norm_pool2d(
    x: Tensor, derivative: NormPoolDerivative, kernel_size: int | Pair = 2, stride: int | Pair | None = None
) -> Tensor:
    """The Euclidean norm of each window, for a dense fp64, fp32, fp16 or bf16 tensor (C, H, W) or (N, C, H, W).

    Squares, sum and root are each rounded to the tensor's dtype, as published. Raises TypeError for other tensors,
    ValueError for shapes without a window. Value of the derivative at the kink, where the norm is 0: `at_zero` x
    upstream (rule chain) or `at_zero` (rule assign) for every entry of the window; elsewhere upstream x entry / norm.
    """
    if has_torch_function_unary(x):
        return handle_torch_function(norm_pool2d, (x,), x, derivative, kernel_size, stride)
    cells = windows("norm_pool2d", kernel_size, stride)
    check_pooled("norm_pool2d", x, cells)
    if not isinstance(derivative, NormPoolDerivative):
        raise TypeError(f"norm_pool2d: got {derivative!r}; allowed: a NormPoolDerivative")
    entries = torch.stack([part(x, inside) for inside, _ in cells.offsets(x.shape)])
    return supported(Norm, NormEverywhere, derivative).apply(entries, derivative)


class NormPool2d(nn.Module):
    """`norm_pool2d` as a module; the paper's NormPool1 has `at_zero` 0, its NormPool2 has 1."""

    def __init__(
        self, derivative: NormPoolDerivative, kernel_size: int | Pair = 2, stride: int | Pair | None = None
    ) -> None:
        super().__init__()
        self.derivative = derivative
        cells = windows("NormPool2d", kernel_size, stride)
        self.kernel_size, self.stride = cells.size, cells.stride

    def forward(self, x: Tensor) -> Tensor:
        """The norm of each window with the module's derivative at zero."""
        return norm_pool2d(x, self.derivative, self.kernel_size, self.stride)

    def extra_repr(self) -> str:
        """The windows and the derivative, for printing."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, {self.derivative!r}"
