"""The operator: relu with a derivative at zero against torch.relu, forward and backward, on 8 MB."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.autograd import grad

from benchmarks.described_loop import AssignedReLU
from benchmarks.timing import Cost, Result, paired, require
from kinks.ops import DerivativeSwitch, ReLUDerivative, relu

BYTES = 8 * 2**20
Activation = Callable[[Tensor], Tensor]


def rows() -> Iterator[Result]:
    """One result per goal, and, without a goal, what hits and other formulations cost."""
    for rule in ("chain", "assign"):
        yield _row(f"relu, alpha 0, {rule}", ReLUDerivative(0.0, rule), goal=Cost(1.15))
        yield _row(f"relu, alpha 0.5, {rule}, no exact zero", ReLUDerivative(0.5, rule), goal=Cost(1.6))
    switch = DerivativeSwitch(ReLUDerivative(0.5))
    yield _row("relu, switch, no exact zero", switch, goal=Cost(1.6))
    for dtype in (torch.float64, torch.float16, torch.bfloat16):
        goal = Cost(1.6) if dtype == torch.float64 else Cost()
        name = f"relu, alpha 0.5, chain, no exact zero, {str(dtype).removeprefix('torch.')}"
        yield _row(name, ReLUDerivative(0.5), goal=goal, dtype=dtype)
    yield _row("relu, alpha 0.5, chain, 1 zero in 1,000", ReLUDerivative(0.5), goal=Cost(), every=1000)
    yield _row(
        "masked assignment, alpha 0.5, as described", ReLUDerivative(0.5, "assign"), goal=Cost(),
        activation=lambda z: AssignedReLU.apply(z, 0.5),
    )  # fmt: skip


def _row(
    name: str,
    derivative: ReLUDerivative | DerivativeSwitch,
    *,
    goal: Cost,
    dtype: torch.dtype = torch.float32,
    every: int | None = None,
    activation: Activation | None = None,
) -> Result:
    """Forward and backward of `activation` (default: ours) against torch.relu, a zero in every `every` inputs."""
    generator = torch.Generator().manual_seed(0)
    count = BYTES // dtype.itemsize
    z = torch.randn(count, generator=generator).to(dtype)
    z[z == 0] = 1.0
    if every is not None:
        z[::every] = 0.0
    upstream = torch.randn(count, generator=generator).to(dtype)
    activation = partial(relu, derivative=derivative) if activation is None else activation
    leaf = z.requires_grad_()
    return paired(
        name,
        lambda: grad(activation(leaf), leaf, upstream),
        "torch.relu",
        lambda: grad(torch.relu(leaf), leaf, upstream),
        check=lambda: _check(activation, derivative, leaf.detach(), upstream, zeros=every is not None),
        goal=goal,
    )


def _check(
    activation: Activation, derivative: ReLUDerivative | DerivativeSwitch, z: Tensor, upstream: Tensor, zeros: bool
) -> str:
    """Compare with the definition, written out, on the timed input and on one that is a third exact zeros."""
    require(bool((z == 0).any()) == zeros, f"the timed input has {'some zeros' if zeros else 'no zero'}")
    choice = derivative.derivative if isinstance(derivative, DerivativeSwitch) else derivative
    for inputs in (z, (z * 1.5).round()):
        leaf = inputs.clone().requires_grad_()
        out = activation(leaf)
        require(torch.equal(out, torch.relu(inputs)), "forward equals torch.relu")
        at_zero = choice.alpha * upstream if choice.rule == "chain" else torch.full_like(upstream, choice.alpha)
        expected = torch.where(inputs > 0, upstream, torch.where(inputs == 0, at_zero, torch.zeros_like(upstream)))
        require(torch.equal(grad(out, leaf, upstream)[0], expected), "gradient equals its definition")
    return "forward and gradient equal the definition, entry by entry, with and without zeros"
