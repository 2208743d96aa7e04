"""One place for everything that decides how a number is rounded.

"16 bits" is not a precision: where the bias of a layer is added (inside the accumulator, or after the product was
rounded) moves the share of affected half-precision networks from about a third to all of them. So a precision here is a
model: storage and accumulator formats, bias placement, TF32, reduced-precision reductions and autocast, together with
whether the processor computed it or an exact emulation did. It is stored with every result row. Elementwise operations,
pools and softmax torch computes in fp32 and rounds on every device; batch norm is the exception that
`kinks.nets.precise` mends on a CPU.
"""

import hashlib
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F

Bias = Literal["accumulator", "after_rounding", "after_convolution"]
NAMES = ("fp64", "fp32", "fp16", "bf16")
_STORAGE = {"fp64": torch.float64, "fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """How a network's arithmetic is rounded.

    Attributes:
        name: fp64, fp32, fp16 or bf16.
        bias: `accumulator` (one rounding per layer), `after_rounding` (the product is rounded to the storage format
            first, then the bias is added and the sum rounded again: two roundings) or `after_convolution` (two for
            convolutions, one for linear layers, as PyTorch does it on GPUs).
        emulated: 16-bit products are computed as fp32 products of 16-bit values, rounded once to the storage format
            (exact: a product of two 16-bit numbers is an fp32 number). Elementwise operations need no emulation:
            torch computes them in fp32 and rounds. Only the order of summation differs from a native kernel's.
        tf32: products of fp32 numbers may be computed in TF32 (CUDA only).
        reduced_reduction: 16-bit products may be accumulated in 16 bits (CUDA only).
        autocast: the network runs under torch.autocast instead of being stored in this format.
    """

    name: str
    bias: Bias = "accumulator"
    emulated: bool = False
    tf32: bool = False
    reduced_reduction: bool = False
    autocast: bool = False

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ValueError(f"precision is {self.name!r}; allowed: {', '.join(NAMES)}")
        if self.bias not in get_args(Bias):
            raise ValueError(f"bias placement is {self.bias!r}; allowed: {', '.join(get_args(Bias))}")
        if self.emulated and self.name not in ("fp16", "bf16"):
            raise ValueError(f"{self.name} is computed natively; only fp16 and bf16 are emulated")
        if self.emulated and self.autocast:
            raise ValueError("autocast cannot be emulated; give emulated=False")

    @property
    def storage(self) -> torch.dtype:
        """The format in which weights, activations and gradients are kept."""
        return _STORAGE[self.name]

    @property
    def accumulate(self) -> torch.dtype:
        """The format in which the products of a linear layer are summed."""
        return torch.float64 if self.name == "fp64" else torch.float32

    @property
    def bits(self) -> int:
        """Storage width in bits, the papers' word for a precision."""
        return torch.finfo(self.storage).bits

    def row(self) -> dict[str, object]:
        """The columns that a result row carries about its precision."""
        return {
            "precision": self.name,
            "bias": self.bias,
            "backend": "emulated" if self.emulated else "native",
            "tf32": self.tf32,
            "reduced_reduction": self.reduced_reduction,
            "autocast": self.autocast,
        }


def named(name: str, bias: Bias = "accumulator", device: str = "cpu") -> Precision:
    """Return the precision of that name as the experiments use it on `device`.

    16 bits are emulated on a CPU (native kernels there are 20 to 100 times slower on most processors, and where they
    are not their bits depend on the instruction set) and native on a GPU.

    Raises:
        ValueError: unknown name or bias placement.
    """
    return Precision(name, bias=bias, emulated=name in ("fp16", "bf16") and torch.device(device).type == "cpu")


class _RoundedLinear(torch.autograd.Function):
    """y = x W^T + b of 16-bit tensors with fp32 accumulation and one rounding (two with the bias after rounding)."""

    @staticmethod
    def forward(ctx, x, weight, bias, after_rounding):
        ctx.save_for_backward(x, weight)
        ctx.has_bias = bias is not None
        if bias is None or after_rounding:
            y = F.linear(x.float(), weight.float()).to(x.dtype)
            return y if bias is None else y + bias
        return F.linear(x.float(), weight.float(), bias.float()).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        wide = grad.float()
        grad_x = (wide @ weight.float()).to(grad.dtype) if ctx.needs_input_grad[0] else None
        grad_weight = None
        if ctx.needs_input_grad[1]:
            grad_weight = (wide.flatten(0, -2).T @ x.float().flatten(0, -2)).to(grad.dtype)
        grad_bias = wide.flatten(0, -2).sum(0).to(grad.dtype) if ctx.has_bias else None
        return grad_x, grad_weight, grad_bias, None


def linear(x: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, precision: Precision) -> torch.Tensor:
    """Return x W^T + b, `(..., out)`, rounded as `precision` says, with gradients rounded the same way.

    Args:
        x: `(..., in)`, weight: `(out, in)`, bias: `(out,)` or None, all in `precision.storage`.
        precision: where the bias goes, and whether 16 bits are emulated.

    Raises:
        TypeError: a tensor is not in the storage format.
    """
    _check_storage(x, weight, precision)
    if precision.emulated:
        return _RoundedLinear.apply(x, weight, bias, precision.bias == "after_rounding")
    if precision.bias == "after_rounding" and bias is not None:
        return F.linear(x, weight) + bias
    return F.linear(x, weight, bias)


class _RoundedConv2d(torch.autograd.Function):
    """A convolution without bias of 16-bit tensors, with fp32 accumulation and one rounding; bias added before it."""

    @staticmethod
    def forward(ctx, x, weight, bias, arguments):
        ctx.save_for_backward(x, weight)
        ctx.arguments, ctx.has_bias = arguments, bias is not None
        return F.conv2d(x.float(), weight.float(), None if bias is None else bias.float(), *arguments).to(x.dtype)

    @staticmethod
    def backward(ctx, grad):
        x, weight = ctx.saved_tensors
        stride, padding, dilation, groups = ctx.arguments
        wanted = [ctx.needs_input_grad[0], ctx.needs_input_grad[1], ctx.has_bias and ctx.needs_input_grad[2]]
        wide, sizes = (tensor.float() for tensor in (grad, x, weight)), [weight.shape[0]]
        places = (stride, padding, dilation, False, [0, 0], groups)
        found = torch.ops.aten.convolution_backward(*wide, sizes, *places, wanted)
        return *(None if one is None else one.to(grad.dtype) for one in found), None


Pair = int | tuple[int, int]


def conv2d(
    x: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    precision: Precision,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
) -> torch.Tensor:
    """Return the convolution of `x` `(B, in, H, W)`, rounded as `precision` says, with gradients rounded the same way.

    Args:
        weight: `(out, in / groups, kernel, kernel)`, bias: `(out,)` or None, all in `precision.storage`; the rest as in
            torch.nn.functional.conv2d.

    Raises:
        TypeError: a tensor is not in the storage format.
    """
    _check_storage(x, weight, precision)
    late = bias if precision.bias != "accumulator" else None
    fused = bias if late is None else None
    if precision.emulated:
        arguments = (*(_pair(size) for size in (stride, padding, dilation)), groups)
        y = _RoundedConv2d.apply(x, weight, fused, arguments)
    else:
        y = F.conv2d(x, weight, fused, stride, padding, dilation, groups)
    return y if late is None else y + late[:, None, None]


def _pair(size: Pair) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _check_storage(x: torch.Tensor, weight: torch.Tensor, precision: Precision) -> None:
    for label, tensor in (("input", x), ("weight", weight)):
        if tensor.dtype != precision.storage:
            raise TypeError(f"the {label} is {tensor.dtype}; {precision.name} stores {precision.storage}")


@contextmanager
def fixed(precision: Precision, threads: int = 1) -> Iterator[None]:
    """Set every global switch of torch that changes bits, and put them back afterwards.

    Threads are fixed because the order of summation depends on their number; TF32 is off unless the precision asks for
    it; cuDNN benchmarking is off and deterministic kernels are on.
    """
    before = (
        torch.get_num_threads(),
        torch.backends.cuda.matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction,
        torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
    )
    try:
        _set(threads, precision.tf32, precision.tf32, *[precision.reduced_reduction] * 2, False, True)
        yield
    finally:
        _set(*before)


def _set(threads, matmul_tf32, cudnn_tf32, fp16_reduction, bf16_reduction, benchmark, deterministic) -> None:
    if threads != torch.get_num_threads():
        torch.set_num_threads(threads)
    torch.backends.cuda.matmul.allow_tf32 = matmul_tf32
    torch.backends.cudnn.allow_tf32 = cudnn_tf32
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = fp16_reduction
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = bf16_reduction
    torch.backends.cudnn.benchmark = benchmark
    torch.backends.cudnn.deterministic = deterministic


def device_name(device: str = "cpu") -> str:
    """Name the processor that computes on `device`, for the `device` column of result tables."""
    if torch.device(device).type == "cuda":
        return torch.cuda.get_device_name(torch.device(device))
    return f"{_cpu_model()} ({torch.backends.cpu.get_cpu_capability()})"


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def fingerprint() -> dict[str, object]:
    """Describe this machine's arithmetic: two machines with equal `arithmetic` must give identical tables.

    `arithmetic` is a hash of the bits of products, a softmax and exponentials at the sizes the experiments use, on one
    thread, so it sees a different instruction set or library even where the processor's name is the same.
    """
    digest = hashlib.sha256()
    with fixed(named("fp32")):
        generator = torch.Generator().manual_seed(0)
        for dtype in (torch.float32, torch.float64):
            for rows, inner, out in ((256, 784, 256), (1024, 256, 256), (128, 784, 2000), (1000, 256, 10)):
                x, w, b = (
                    torch.randn(size, generator=generator, dtype=dtype) for size in ((rows, inner), (out, inner), out)
                )
                z = F.linear(x, w, b)
                for part in (z, z.T @ x, z @ w, torch.log_softmax(z, 1), z.exp().sum(0)):
                    digest.update(part.contiguous().numpy().tobytes())
    return {
        "cpu": _cpu_model(),
        "isa": torch.backends.cpu.get_cpu_capability(),
        "torch": torch.__version__,
        "threads": 1,
        "arithmetic": digest.hexdigest()[:16],
    }
