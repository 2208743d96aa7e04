"""Max-pooling whose Jacobian at ties is a blend of two (a2 of "A MaxPool case study", TMLR 2024).

Where k entries of a window share its maximum, the native Jacobian (beta = 0) passes the upstream gradient to the
first of them in row-major order, the minimal-norm one (beta = 1) passes 1/k of it to each, and beta blends:
(1 - beta) x native + beta x minimal. A row sums to 1 for every beta, so that windows without a tie do not differ.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd import Function
from torch.overrides import handle_torch_function, has_torch_function_unary

from kinks.ops import two_by_two
from kinks.ops.derivative import PoolDerivative, PoolSwitch
from kinks.ops.kinked import current, supported, values_can_be_read
from kinks.ops.pool_windows import Pair, Windows, check_pooled, maximal, part, windows

NATIVE = PoolDerivative(0.0)
ACCUMULATOR = {torch.float16: torch.float32, torch.bfloat16: torch.float32}


def shares(upstream: Tensor, count: Tensor, derivative: PoolDerivative) -> tuple[Tensor, Tensor]:
    """What the first and what each further maximal entry of a window receives, if `count` entries are maximal.

    With the exact forward every share is rounded once to the accumulation type (fp32 for the 16-bit types) and
    once to storage. With the mixed forward the two Jacobians are rounded apart and then added, as published:
    then beta x upstream + (1 - beta) x upstream is not upstream, even without a tie.
    """
    beta, dtype = derivative.beta, upstream.dtype
    accumulator = ACCUMULATOR.get(dtype, dtype)
    # A window with a NaN has no maximal entry by comparison; PyTorch's choice then stands alone.
    k = count.clamp(min=1).to(accumulator)
    if derivative.forward == "mixed":
        further = ((beta * upstream).to(accumulator) / k).to(dtype)
        return (1 - beta) * upstream + further, further
    upstream = upstream.to(accumulator)
    return (upstream * (k - beta * (k - 1)) / k).to(dtype), (beta * upstream / k).to(dtype)


class Pooled(Function):
    """Reverse mode. Returns the pooled tensor, the place of each window's first maximum, as PyTorch counts it, and how
    often the maximum occurs (uint8; empty where that was not counted on the way).
    """

    @staticmethod
    def forward(x: Tensor, cells: Windows, derivative: PoolDerivative | PoolSwitch) -> tuple[Tensor, Tensor, Tensor]:
        found = two_by_two.pooled(x) if two_by_two.applies(x, cells) else None
        if found is None:
            found = (*F.max_pool2d(x, *cells.arguments, return_indices=True), torch.empty(0, dtype=torch.uint8))
        top, indices, count = found
        return blend(top, current(derivative)), indices, count

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: tuple) -> None:
        x, ctx.cells, ctx.derivative = inputs
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(x, *output[1:])
        ctx.save_for_forward(x, output[1])

    @staticmethod
    def backward(ctx, upstream: Tensor, *_: None) -> tuple[Tensor, None, None]:
        x, indices, known = ctx.saved_tensors
        derivative = current(ctx.derivative)
        native = torch.ops.aten.max_pool2d_with_indices_backward
        if derivative == NATIVE:
            return native(upstream, x, *ctx.cells.arguments, indices), None, None
        if derivative.forward == "exact" and known.numel() and values_can_be_read(x) and known.amax() <= 1:
            return native(upstream, x, *ctx.cells.arguments, indices), None, None
        count, later = maximal(x, take(x, indices), ctx.cells)
        # Without a tie the shares are upstream itself and nothing: skipping them saves a third of the time.
        if derivative.forward == "exact" and values_can_be_read(x) and count.amax() <= 1:
            return native(upstream, x, *ctx.cells.arguments, indices), None, None
        first, further = shares(upstream, count, derivative)
        gradient = native(first, x, *ctx.cells.arguments, indices)
        for inside, holders, mask in later:
            part(gradient, inside).add_(torch.where(mask, part(further, holders), 0))
        return gradient, None, None


class PooledEverywhere(Pooled):
    """`Pooled` with forward mode and vmap; torch.compile refuses functions that define a jvp."""

    generate_vmap_rule = True

    @staticmethod
    def jvp(ctx, tangent: Tensor, *_: None) -> tuple[Tensor, None, None]:
        x, indices = ctx.saved_tensors
        derivative, at_first = current(ctx.derivative), take(tangent, indices)
        if derivative == NATIVE:
            return at_first, None, None
        count, later = maximal(x, take(x, indices), ctx.cells)
        at_further = torch.zeros_like(at_first)
        for inside, holders, mask in later:
            part(at_further, holders).add_(torch.where(mask, part(tangent, inside), 0))
        return shares(at_first, count, derivative)[0] + shares(at_further, count, derivative)[1], None, None


def take(x: Tensor, indices: Tensor) -> Tensor:
    """The entry of `x` at the place that PyTorch's max-pool returned for each window."""
    return x.flatten(-2).gather(-1, indices.flatten(-2)).view_as(indices)


def blend(top: Tensor, derivative: PoolDerivative) -> Tensor:
    """The maximum as the forward gives it: itself if exact, beta x top + (1 - beta) x top rounded if mixed."""
    return derivative.beta * top + (1 - derivative.beta) * top if derivative.forward == "mixed" else top


def max_pool2d(
    x: Tensor,
    derivative: PoolDerivative | PoolSwitch,
    kernel_size: int | Pair,
    stride: int | Pair | None = None,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    ceil_mode: bool = False,
) -> Tensor:
    """The maximum of each window, for a dense fp64, fp32, fp16 or bf16 tensor (C, H, W) or (N, C, H, W).

    With the exact forward, bit for bit torch.nn.functional.max_pool2d; with the mixed one, rounded as published.
    Raises TypeError for other tensors, ValueError for shapes and windows that PyTorch refuses, for an empty batch
    and for a window without an entry. Value at the kink, a window with k >= 2 maximal entries (0.0 and -0.0 are
    equal): upstream x (1 - beta + beta/k) at the first, upstream x beta/k at the others. Elsewhere, and in a
    window with a NaN (all to its last NaN), PyTorch's. beta = 0 with the exact forward is PyTorch's own.
    """
    arguments = (kernel_size, stride, padding, dilation, ceil_mode)
    if has_torch_function_unary(x):
        return handle_torch_function(max_pool2d, (x,), x, derivative, *arguments)
    cells = windows("max_pool2d", *arguments)
    check_pooled("max_pool2d", x, cells)
    if derivative == NATIVE:
        return F.max_pool2d(x, *cells.arguments)
    return _apply(x, cells, derivative)[0]


def max_pool2d_with_ties(
    x: Tensor, derivative: PoolDerivative | PoolSwitch, kernel_size: int | Pair, *arguments: object
) -> tuple[Tensor, Tensor]:
    """`max_pool2d`, and what `tied_windows` returns for it, at less than the cost of both (integers, 0 if NaN)."""
    cells = windows("max_pool2d_with_ties", kernel_size, *arguments)
    check_pooled("max_pool2d_with_ties", x, cells)
    top, indices, count = _apply(x, cells, derivative)
    if not count.numel():
        count = maximal(x.detach(), take(x.detach(), indices), cells)[0]
    return top, count


def _apply(x: Tensor, cells: Windows, derivative: PoolDerivative | PoolSwitch) -> tuple[Tensor, Tensor, Tensor]:
    if not isinstance(derivative, PoolDerivative | PoolSwitch):
        raise TypeError(f"max_pool2d: got {derivative!r}; allowed: a PoolDerivative or a PoolSwitch")
    return supported(Pooled, PooledEverywhere, derivative).apply(x, cells, derivative)


class MaxPool2d(nn.Module):
    """`max_pool2d` as a module; all arguments but the first are those of torch.nn.MaxPool2d."""

    def __init__(
        self,
        derivative: PoolDerivative | PoolSwitch,
        kernel_size: int | Pair,
        stride: int | Pair | None = None,
        padding: int | Pair = 0,
        dilation: int | Pair = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.derivative = derivative
        cells = windows("MaxPool2d", kernel_size, stride, padding, dilation, ceil_mode)
        self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode = cells.arguments

    def forward(self, x: Tensor) -> Tensor:
        """The maximum of each window with the module's derivative at ties."""
        return max_pool2d(
            x, self.derivative, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The windows and the derivative, for printing."""
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        return ", ".join([*(f"{name}={getattr(self, name)}" for name in names), repr(self.derivative)])
