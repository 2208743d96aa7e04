"""Loss scaling with the rules of torch.amp.GradScaler, for 16-bit gradients too."""

from collections.abc import Sequence

import torch
from torch import Tensor

from kinks.train.optimise import SGD, Adam

START, GROWTH, BACKOFF, INTERVAL = 2.0**16, 2.0, 0.5, 2000


class NoScaling:
    """The loss as it is: gradients that are not finite reach the weights."""

    state: tuple[Tensor, ...] = ()
    skips = False

    def scaled(self, loss: Tensor) -> Tensor:
        """The number to differentiate."""
        return loss

    def step(self, optimiser: SGD | Adam, gradients: Sequence[Tensor], rate: float) -> Tensor | None:
        """Take the step; returns None, since none is ever skipped."""
        optimiser.step(gradients, rate)


class FixedScaling(NoScaling):
    """The loss times a constant; gradients are divided by it in their own format, and no step is skipped."""

    def __init__(self, scale: float) -> None:
        self.scale = scale

    def scaled(self, loss: Tensor) -> Tensor:
        """The number to differentiate, in at least fp32."""
        return loss.to(torch.promote_types(loss.dtype, torch.float32)) * self.scale

    @torch.no_grad()
    def step(self, optimiser: SGD | Adam, gradients: Sequence[Tensor], rate: float) -> None:
        """Take the step with the gradients of the loss itself."""
        torch._foreach_div_(gradients, self.scale)
        optimiser.step(gradients, rate)


class DynamicScaling:
    """The loss times 2^16 at first; halved and the step skipped where a gradient is not finite.

    After 2000 good steps in a row the scale doubles. Gradients are divided by it in their own format, so that in pure
    16 bits small ones may be lost there after all.
    """

    skips = True

    def __init__(self, device: torch.device) -> None:
        self.scale = torch.full((), START, device=device)
        self.tracker = torch.zeros((), dtype=torch.int32, device=device)

    @property
    def state(self) -> tuple[Tensor, ...]:
        """What a snapshot has to keep."""
        return self.scale, self.tracker

    def scaled(self, loss: Tensor) -> Tensor:
        """The number to differentiate, in at least fp32."""
        return loss * self.scale

    @torch.no_grad()
    def step(self, optimiser: SGD | Adam, gradients: Sequence[Tensor], rate: float) -> Tensor:
        """Take the step unless a gradient is not finite; returns 1.0 where it was skipped, else 0.0, on the device."""
        skipped = torch.zeros((), device=self.scale.device)
        inverse = self.scale.double().reciprocal().float()
        torch._amp_foreach_non_finite_check_and_unscale_(list(gradients), skipped, inverse)
        if self.scale.is_cuda and isinstance(optimiser, SGD):
            undoable(optimiser, gradients, rate, skipped)
        elif not float(skipped):  # Adam's number of steps is the host's: with it, a GPU waits here in every step
            optimiser.step(gradients, rate)
        torch._amp_update_scale_(self.scale, self.tracker, skipped, GROWTH, BACKOFF, INTERVAL)
        return skipped


def undoable(optimiser: SGD, gradients: Sequence[Tensor], rate: float, skipped: Tensor) -> None:
    """Take a step and, where `skipped` is not 0, take it back, without asking the device which it was."""
    tensors = [*optimiser.weights, *optimiser.state]
    before = [tensor.detach().clone() for tensor in tensors]
    optimiser.step(gradients, rate)
    for tensor, old in zip(tensors, before, strict=True):
        tensor.copy_(torch.where(skipped > 0, old, tensor))


def scaling(given: str | float, device: torch.device) -> NoScaling | DynamicScaling:
    """Return the scaling that the setting `loss_scaling` names: "none", "dynamic" or a number."""
    if given == "none":
        return NoScaling()
    return DynamicScaling(device) if given == "dynamic" else FixedScaling(float(given))
