"""The gradient of any network's first weights under several values of ReLU'(0), from one graph.

It is the quantity that the published volume experiments compare (sections 3 and 4.4 of the ReLU'(0) paper).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from kinks.audit.bare import watched
from kinks.nets.centred import centre
from kinks.nets.precise import at, loss
from kinks.ops import DerivativeSwitch, ReLUDerivative, swap
from kinks.precision import Precision

ZERO = ReLUDerivative(0.0)
# How batch norm is computed: not at all, the mean subtracted first as on a GPU, or with one multiply-add as on a CPU.
NORMS = ("none", "centred", "fused")


@dataclass(frozen=True)
class Network:
    """A network under a precision model, ReLU'(0) behind a switch, frozen but for the weights of its first layer."""

    model: nn.Sequential
    switch: DerivativeSwitch
    weight: nn.Parameter

    @classmethod
    def of(
        cls,
        model: nn.Sequential,
        precision: Precision,
        device: str = "cpu",
        norm: str = "fused",
        example: Tensor | None = None,
    ) -> "Network":
        """Make one of `model`, which is left as it is; ValueError for a norm that is not in `NORMS`.

        With an `example`, fp32 images that the model takes, hidden activations are looked for in one forward pass, not
        by torch.fx, which takes a process five seconds to load.
        """
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}; allowed: {', '.join(NORMS)}")
        switch = DerivativeSwitch(ZERO)
        model = at(swap(model, relu=switch, example=example), precision, device).requires_grad_(False)
        model = centre(model) if norm == "centred" else model
        first = next(layer for layer in model.modules() if isinstance(layer, nn.Conv2d | nn.Linear))
        return cls(model, switch, first.weight.requires_grad_())

    def gradients(self, x: Tensor, labels: Tensor, derivatives: Sequence[ReLUDerivative]) -> tuple[list[Tensor], int]:
        """Return the gradient of the mean cross-entropy under each derivative, and how many exact zeros ReLUs met.

        Above its topmost zero the network is one program for all derivatives, so that part of backward runs once.

        Args:
            x: `(B, ...)` in the network's format. labels: int64 `(B,)`.
        """
        zeros, y, cut = 0, x, None
        for part in self.model:
            met: list[Tensor] = []
            with watched(part, lambda z, met=met: met.append((z.detach() == 0).sum())):
                y = part(y)
            here = int(torch.stack(met).sum()) if met else 0
            zeros, cut = zeros + here, y if here else cut
        value = loss(y, labels)
        if cut is None:
            return [torch.autograd.grad(value, self.weight)[0]] * len(derivatives), 0
        upstream = torch.autograd.grad(value, cut, retain_graph=True)
        found = []
        for derivative in derivatives:
            self.switch.derivative = derivative
            found += torch.autograd.grad(cut, self.weight, upstream, retain_graph=True)
        return found, zeros

    @torch.no_grad()
    def units(self, image: Tensor) -> int:
        """Return the number of ReLU inputs that one image `(1, ...)` has."""
        sizes: list[int] = []
        self.model.eval()
        with watched(self.model, lambda z: sizes.append(z.numel())):
            self.model(image)
        self.model.train()
        return sum(sizes)
