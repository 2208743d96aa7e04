"""The audit of anyone's model: does its gradient depend on the derivative chosen where a ReLU has none?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
from torch import nn

from kinks.audit.gradients import relative_difference
from kinks.ops import DerivativeSwitch, ReLU, ReLUDerivative, swap

DERIVATIVES = (ReLUDerivative(0.0), ReLUDerivative(1.0, "chain"), ReLUDerivative(1.0, "assign"))


@dataclass(frozen=True)
class Audit:
    """What `audit` found.

    Attributes:
        census: per ReLU (module name) and image: zeros, evaluations.
        gradients: per derivative and parameter: differs (any bit), relative_difference (L2, against the first
            derivative); the row of derivative `noise` is the first derivative run a second time.
    """

    census: pd.DataFrame
    gradients: pd.DataFrame

    @property
    def depends_on_the_kink(self) -> bool:
        """Whether some gradient differs between derivatives while the same derivative run twice does not."""
        differs = self.gradients.groupby("derivative")["differs"].any()
        return bool(differs.drop("noise").any()) and not differs["noise"]


def audit(
    model: nn.Module,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    inputs: torch.Tensor,
    targets: torch.Tensor,
    derivatives: Sequence[ReLUDerivative] = DERIVATIVES,
) -> Audit:
    """Compare the gradients of one mini-batch under several values of ReLU'(0), from one forward pass.

    Where no ReLU input is exactly zero, all derivatives give the same bits and no further backward pass is run.

    Args:
        model: any module whose ReLUs are `nn.ReLU` modules; it is copied, never changed. Randomness (dropout) is drawn
            from the same generator state for the noise floor.
        loss: called as `loss(model(inputs), targets)`, returns a scalar.
        inputs: `(B, ...)`; the first dimension counts images.
        derivatives: the first is the reference.

    Raises:
        ValueError: no derivative given; or the model's ReLUs cannot all be replaced (see `kinks.ops.swap`).
    """
    if not derivatives:
        raise ValueError("no derivative given; give at least one ReLUDerivative")
    switch = DerivativeSwitch(derivatives[0])
    copy = swap(model, relu=switch)
    parameters = {name: p for name, p in copy.named_parameters() if p.requires_grad}
    census, value = _forward(copy, loss, inputs, targets)
    hit = bool(census["zeros"].sum())
    reference = torch.autograd.grad(value, list(parameters.values()), retain_graph=True, allow_unused=True)
    rows = []
    for derivative in derivatives[1:]:
        switch.derivative = derivative
        ours = (
            torch.autograd.grad(value, list(parameters.values()), retain_graph=True, allow_unused=True) if hit else None
        )
        rows += _rows(f"{derivative.alpha:g} ({derivative.rule})", parameters, ours or reference, reference)
    switch.derivative = derivatives[0]
    _, again = _forward(copy, loss, inputs, targets)
    twice = torch.autograd.grad(again, list(parameters.values()), allow_unused=True)
    return Audit(census, pd.DataFrame(rows + _rows("noise", parameters, twice, reference)))


def _forward(model: nn.Module, loss, inputs, targets) -> tuple[pd.DataFrame, torch.Tensor]:
    counts: list[dict] = []

    def count(name: str):
        def hook(_module, args, _output) -> None:
            zeros = (args[0].detach() == 0).flatten(1)
            counts.extend(
                {"layer": name, "image": image, "zeros": int(n), "evaluations": zeros.shape[1]}
                for image, n in enumerate(zeros.sum(1).tolist())
            )

        return hook

    handles = [
        part.register_forward_hook(count(name)) for name, part in model.named_modules() if isinstance(part, ReLU)
    ]
    try:
        with torch.random.fork_rng(devices=[inputs.device] if inputs.is_cuda else []):
            value = loss(model(inputs), targets)
    finally:
        for handle in handles:
            handle.remove()
    return pd.DataFrame(counts, columns=["layer", "image", "zeros", "evaluations"]), value


def _rows(derivative: str, parameters: dict, ours, reference) -> list[dict]:
    rows = []
    for name, a, b in zip(parameters, ours, reference, strict=True):
        if a is None or b is None:  # a parameter that the loss does not use has no gradient to compare
            continue
        difference = relative_difference(a, b)
        rows.append(
            {
                "derivative": derivative,
                "parameter": name,
                "differs": not torch.equal(a, b),
                "relative_difference": difference,
            }
        )
    return rows
