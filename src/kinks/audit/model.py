"""Does the gradient of your own model depend on the derivative chosen at a kink?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor, nn

from kinks.audit.gradients import relative_difference
from kinks.ops import DerivativeSwitch, MaxPool2d, PoolDerivative, PoolSwitch, ReLU, ReLUDerivative, swap, tied_windows
from kinks.ops.swap import TORCH, refuse_calls

RELUS = (ReLUDerivative(0.0), ReLUDerivative(1.0, "chain"), ReLUDerivative(1.0, "assign"))
POOLS = (PoolDerivative(0.0), PoolDerivative(1.0))
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes:
        census: per layer (module name) and image: `kind` (`zero` at a ReLU; `tie`, or `tie at zero` if the maximum is
            0, at a max-pool), count, evaluations (ReLU inputs, or windows).
        gradients: per choice and parameter: differs (any bit), relative_difference (L2, against the first ReLU and pool
            derivatives); `noise` is that first choice, run a second time.
    """

    census: pd.DataFrame
    gradients: pd.DataFrame

    @property
    def depends_on_the_kink(self) -> bool:
        """Whether some gradient differs between choices while the same choice run twice does not."""
        differs = self.gradients.groupby("derivative")["differs"].any()
        return bool(differs.drop("noise").any()) and not differs["noise"]


def audit(
    model: nn.Module,
    loss: Loss,
    inputs: Tensor,
    targets: Tensor,
    relus: Sequence[ReLUDerivative] = RELUS,
    pools: Sequence[PoolDerivative] = POOLS,
) -> Audit:
    """Compare the gradients of one mini-batch under several values of ReLU'(0) and several max-pool Jacobians.

    One forward pass serves them all. Where no ReLU input is exactly zero, all values of ReLU'(0) give the same bits,
    and where no window is tied all Jacobians do; no further backward pass is run then.

    Args:
        model: any module whose ReLUs and max-pools are `nn.ReLU` and `nn.MaxPool2d` modules; it is copied, never
            changed. Randomness (dropout) is drawn from the same generator state for the noise floor.
        loss: called as `loss(model(inputs), targets)`, returns a scalar.
        inputs: `(B, ...)`; the first dimension counts images.
        relus, pools: the first of each is the reference; each of the others is compared with it, one at a time.

    Raises:
        ValueError: no derivative given, a pool derivative with the mixed forward (which is another forward), a model
            without ReLU and max-pool, or one in which a call would be missed (see `kinks.ops.swap`).
    """
    if not relus or not pools:
        raise ValueError("no derivative given; give at least one ReLUDerivative and one PoolDerivative")
    switches = {"relu": DerivativeSwitch(relus[0]), "pool": PoolSwitch(pools[0])}
    copy = _swapped(model, switches, inputs)
    parameters = {name: p for name, p in copy.named_parameters() if p.requires_grad}

    def gradients(value: Tensor) -> tuple[Tensor | None, ...]:
        return torch.autograd.grad(value, list(parameters.values()), retain_graph=True, allow_unused=True)

    census, value = _forward(copy, loss, inputs, targets)
    met = {"relu": _met(census, "zero"), "pool": _met(census, "tie")}
    reference, rows = gradients(value), []
    for kind, choices in (("relu", relus), ("pool", pools)):
        for choice in choices[1:]:
            switches[kind].derivative = choice
            rows += _rows(_words(choice), parameters, gradients(value) if met[kind] else reference, reference)
        switches[kind].derivative = choices[0]
    _, again = _forward(copy, loss, inputs, targets)
    return Audit(census, pd.DataFrame(rows + _rows("noise", parameters, gradients(again), reference)))


def _swapped(model: nn.Module, switches: dict[str, object], inputs: Tensor) -> nn.Module:
    """A copy with our ReLUs and pools, where it has any, and nothing of either kind missed on these inputs."""
    has = {kind for kind in switches if any(isinstance(part, TORCH[kind]) for part in model.modules())}
    if not has:
        raise ValueError(f"audit: {type(model).__name__} has no nn.ReLU and no nn.MaxPool2d; it needs one of them")
    copy = swap(model, **{kind: switches[kind] for kind in has}, example=inputs)
    if absent := [kind for kind in switches if kind not in has]:
        refuse_calls(copy, absent, inputs)
    return copy


def _met(census: pd.DataFrame, kind: str) -> bool:
    return bool(census.loc[census["kind"].str.startswith(kind), "count"].sum())


def _words(choice: ReLUDerivative | PoolDerivative) -> str:
    if isinstance(choice, PoolDerivative):
        return f"max-pool, beta = {choice.beta:g}"
    return f"ReLU'(0) = {choice.alpha:g} ({choice.rule})"


def _forward(model: nn.Module, loss: Loss, inputs: Tensor, targets: Tensor) -> tuple[pd.DataFrame, Tensor]:
    counts: list[dict] = []

    def note(layer: str, kind: str, found: Tensor) -> None:
        found = found.flatten(1)
        counts.extend(
            {"layer": layer, "kind": kind, "image": image, "count": n, "evaluations": found.shape[1]}
            for image, n in enumerate(found.sum(1).tolist())
        )

    def at_relu(name: str):
        return lambda _, args, __: note(name, "zero", args[0].detach() == 0)

    def at_pool(name: str):
        def hook(pool: MaxPool2d, args: tuple, output: Tensor) -> None:
            windows = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)
            tied = tied_windows(args[0].detach(), *windows) > 1
            note(name, "tie", tied & (output.detach() != 0))
            note(name, "tie at zero", tied & (output.detach() == 0))

        return hook

    hooks = {ReLU: at_relu, MaxPool2d: at_pool}
    parts = [(name, part) for name, part in model.named_modules() if type(part) in hooks]
    handles = [part.register_forward_hook(hooks[type(part)](name)) for name, part in parts]
    try:
        with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
            value = loss(model(inputs), targets)
    finally:
        for handle in handles:
            handle.remove()
    return pd.DataFrame(counts, columns=["layer", "kind", "image", "count", "evaluations"]), value


def _rows(derivative: str, parameters: dict, ours, reference) -> list[dict]:
    rows = []
    for name, a, b in zip(parameters, ours, reference, strict=True):
        if a is None or b is None:  # a parameter that the loss does not use has no gradient to compare
            continue
        rows.append(
            {
                "derivative": derivative,
                "parameter": name,
                "differs": not torch.equal(a, b),
                "relative_difference": relative_difference(a, b),
            }
        )
    return rows
