"""Does a network's gradient depend on the max-pools' Jacobian at ties? One forward pass, the least of backward passes.

The norms are those of "A MaxPool case study" (a2): sums over parameter tensors of the L1 norm (N1) and of the largest
absolute entry (Ninf) of the difference of two gradients. Both programs have the same forward pass, so one graph serves
both. They part at the topmost pool in which a window's maximum is attained twice: what lies above it has equal
gradients, bit for bit, and adds exactly 0 to the norms. A window of zeros after a ReLU does not count, since
ReLU'(0) = 0 stops whatever is routed there.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isfinite

import torch
from torch import Tensor, nn

from kinks.nets import precise
from kinks.ops import MaxPool2d, PoolDerivative, PoolSwitch, ReLU, max_pool2d_with_ties
from kinks.ops.pool import shares
from kinks.ops.pool_windows import Windows, windows

Loss = Callable[[Tensor, Tensor], Tensor]
NATIVE = PoolDerivative(0.0)


@dataclass(frozen=True)
class Norms:
    """The size of the difference of two gradients given by parameter tensor.

    Attributes:
        n1, ninf: as the released code adds them up, in the gradients' own dtype (half at 16 bits).
        n1_wide, ninf_wide: the same norms of the tensors added up in float64.
    """

    n1: float
    ninf: float
    n1_wide: float
    ninf_wide: float


@dataclass(frozen=True)
class Comparison:
    """What `compare` found: the norms, and per pool (from the input up) its windows and how many have a tie."""

    norms: Norms
    tied: tuple[int, ...]
    windows: tuple[int, ...]

    @property
    def topmost(self) -> int:
        """Index of the topmost pool with a tie, -1 without one."""
        return max((index for index, count in enumerate(self.tied) if count), default=-1)


EQUAL = Norms(0.0, 0.0, 0.0, 0.0)


def compare(
    model: nn.Sequential, switch: PoolSwitch, x: Tensor, labels: Tensor, beta: float = 1.0, loss: Loss = precise.loss
) -> Comparison:
    """Compare the gradients of one mini-batch for max-pool Jacobians 0 and `beta`: bit for bit the norms of two
    networks with two forward and two full backward passes.

    Without a tie no backward pass is run and the norms are exactly 0. Ties count where they can matter: all of them,
    or those of positive value where the pool follows a ReLU whose derivative at 0 is 0. Parameters that do not
    require a gradient are left out. Batch norm in training mode moves its running statistics once.

    Args:
        model: a Sequential with the pools to compare, `kinks.ops.MaxPool2d` with `switch`, among its own children.
        x: `(B, ...)` in the model's dtype. labels: what `loss(model(x), labels)` takes.

    Raises:
        ValueError: another kind of model, no pool with that switch, one deeper inside, or a parameter used on both
            sides of a pool.
        FloatingPointError: the loss or a norm is not finite.
    """
    pools = _pools(model, switch)
    above = [p for child in list(model)[pools[-1] + 1 :] for p in child.parameters() if p.requires_grad]
    switch.derivative = NATIVE
    try:
        for parameter in above:  # never asked for, and some layers compute whatever requires a gradient
            parameter.requires_grad_(False)
        value, passes = _forward(model, pools, x, labels, loss)
        topmost = next((one for one in reversed(passes) if one.ties), None)
        norms = EQUAL if topmost is None else _split(model, topmost, value, switch, beta)
    finally:
        switch.derivative = NATIVE
        for parameter in above:
            parameter.requires_grad_(True)
    if not isfinite(norms.n1):
        raise FloatingPointError("compare: a gradient is not finite, so it has no distance; audit it in a wider format")
    return Comparison(norms, tuple(one.ties for one in passes), tuple(one.output.numel() for one in passes))


def distance(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> Norms:
    """Return the norms of the difference of two gradients, equally long lists of tensors of one dtype."""
    differences = [a - b for a, b in zip(ours, theirs, strict=True)]
    sums, tops = (torch.stack([torch.linalg.vector_norm(d, order) for d in differences]) for order in (1, torch.inf))
    return Norms(_added(sums), _added(tops), float(sums.double().sum()), float(tops.double().sum()))


def gradient(model: nn.Module, x: Tensor, labels: Tensor, loss: Loss = precise.loss) -> list[Tensor]:
    """Return the gradient of `loss(model(x), labels)` by all parameters that require one, with its own forward pass."""
    return list(torch.autograd.grad(loss(model(x), labels), [p for p in model.parameters() if p.requires_grad]))


def _added(norms: Tensor) -> float:
    """The entries added one by one, each sum rounded to their dtype, as the released loop does."""
    total = torch.zeros_like(norms[0])
    for one in norms:
        total = total + one
    return float(total)


def _pools(model: nn.Sequential, switch: PoolSwitch) -> list[int]:
    """Places of the pools that `switch` governs among the model's children; ValueError if a cut there is no cut."""
    if not isinstance(model, nn.Sequential) or type(model).forward is not nn.Sequential.forward:
        raise ValueError(f"compare: got a {type(model).__name__}; allowed: a torch.nn.Sequential")
    children = list(model)
    found = [i for i, child in enumerate(children) if isinstance(child, MaxPool2d) and child.derivative is switch]
    governed = sum(isinstance(m, MaxPool2d) and m.derivative is switch for m in model.modules())
    if not found or governed != len({children[i] for i in found}):
        hidden = governed - len({children[i] for i in found})
        raise ValueError(
            f"compare: {len(found)} pools with this switch are children of the model and {hidden} lie deeper; allowed: "
            "at least one, all of them children (swap them in with swap(model, pool=switch))"
        )
    owners: dict[int, int] = {}
    for place, child in enumerate(children):
        segment = sum(place > pool for pool in found)
        for parameter in child.parameters():
            if owners.setdefault(id(parameter), segment) != segment:
                raise ValueError("compare: a parameter is used on both sides of a pool; allowed: one side only")
    return found


@dataclass(frozen=True)
class _Pass:
    """One pool in the forward pass: its place, what went in and out (in the graph), and its windows with a tie that
    matters, a mask shaped as the output, and their number.
    """

    place: int
    entries: Tensor
    output: Tensor
    tied: Tensor
    ties: int


def _forward(
    model: nn.Sequential, pools: list[int], x: Tensor, labels: Tensor, loss: Loss
) -> tuple[Tensor, list[_Pass]]:
    """The loss, and the pools on the way to it."""
    passes, before = [], None
    for place, child in enumerate(model):
        if place in pools:
            entries = x
            x, count = max_pool2d_with_ties(entries, child.derivative, *_windows(child))
            tied = count > 1
            tied &= x.detach() > 0 if _kills_zeros(before) else True
            passes.append(_Pass(place, entries, x, tied, int(torch.count_nonzero(tied))))
        else:
            x = child(x)
        before = child
    value = loss(x, labels)
    if not isfinite(value.detach()):
        raise FloatingPointError(f"compare: the loss is {float(value.detach())}; allowed: a finite one")
    return value, passes


def _windows(pool: MaxPool2d) -> tuple:
    return pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode


def _kills_zeros(child: nn.Module | None) -> bool:
    """Whether a layer passes no gradient to where its output is 0."""
    if isinstance(child, ReLU):
        return getattr(child.derivative, "derivative", child.derivative).alpha == 0
    return isinstance(child, nn.ReLU)


def _split(model: nn.Sequential, at: _Pass, value: Tensor, switch: PoolSwitch, beta: float) -> Norms:
    """The norms, from one backward pass above the pool with the topmost tie and two below it."""
    below = [p for child in list(model)[: at.place] for p in child.parameters() if p.requires_grad]
    if not below or not at.output.requires_grad:
        return EQUAL
    (upstream,) = torch.autograd.grad(value, at.output)
    (native,) = torch.autograd.grad(at.output, at.entries, upstream, retain_graph=True)
    reference = torch.autograd.grad(at.entries, below, native, retain_graph=True)
    switch.derivative = PoolDerivative(beta)  # for the pools further down as well
    cells = windows("compare", *_windows(model[at.place]))
    if (cells.size, cells.padding, cells.dilation, cells.ceil_mode) == (cells.stride, (0, 0), (1, 1), False):
        other = _rerouted(native, at, upstream, cells, switch.derivative)
    else:  # windows overlap or leave the input: the operator knows how
        (other,) = torch.autograd.grad(at.output, at.entries, upstream, retain_graph=True)
    return distance(torch.autograd.grad(at.entries, below, other), reference)


def _rerouted(native: Tensor, at: _Pass, upstream: Tensor, cells: Windows, derivative: PoolDerivative) -> Tensor:
    """The gradient by the entries with another Jacobian: `native`, which is written over, but in tied windows."""
    entries, gradient, width = at.entries.detach().flatten(), native.contiguous(), native.shape[-1]
    held = lead, row, column = at.tied.flatten(0, -3).nonzero(as_tuple=True)
    corner = (lead * native.shape[-2] + row * cells.stride[0]) * width + column * cells.stride[1]
    places = [corner + (i * width + j) for i in range(cells.size[0]) for j in range(cells.size[1])]
    top = at.output.detach().flatten(0, -3)[held]
    maximal = torch.stack([entries[place] == top for place in places])
    first, further = shares(upstream.flatten(0, -3)[held], maximal.sum(0), derivative)
    for place, holds, is_first in zip(places, maximal, (maximal.cumsum(0) == 1) & maximal, strict=True):
        gradient.view(-1)[place] = torch.where(is_first, first, torch.where(holds, further, 0))
    return gradient
