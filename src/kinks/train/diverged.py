"""Where a training run met its first number that is not finite."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from kinks.ops import MaxPool2d

PATIENCE = 50  # steps skipped in a row by dynamic loss scaling, after which a run counts as diverged


def failed_at(losses: Tensor, skipped: Tensor | None) -> int | None:
    """Return the mini-batch of a pass, counted from 0, at which the run was lost, or None.

    Args:
        losses: `(steps,)`, of the mini-batches.
        skipped: `(steps,)`, 1 where dynamic scaling skipped the step, which may be without harm; the run is lost where
            `PATIENCE` skips in a row begin, or if no loss of the pass was finite. None without such scaling.
    """
    infinite = (~torch.isfinite(losses)).tolist()
    if skipped is None:
        return infinite.index(True) if True in infinite else None
    if all(infinite):
        return 0
    left_out = (skipped > 0).tolist()
    starts = range(len(left_out) - PATIENCE + 1)
    return next((at for at in starts if all(left_out[at : at + PATIENCE])), None)


def all_finite(tensors: Sequence[Tensor]) -> bool:
    """Whether every number in every tensor is finite."""
    return bool(torch.stack([torch.isfinite(tensor).all() for tensor in tensors]).all())


def first_bad(named: Sequence[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor with a number that is not finite, or None."""
    return next((name for name, tensor in named if not torch.isfinite(tensor).all()), None)


class Listener:
    """The first layer of a forward pass that gave a number that is not finite, as `forward: NAME` or `pool: NAME`."""

    def __init__(self) -> None:
        self.found = ""

    @contextmanager
    def on(self, net: nn.Module) -> Iterator["Listener"]:
        """Listen to `net` within this context; `found` starts anew with each pass."""
        hooks = [net.register_forward_pre_hook(self._begin)]
        for name, layer in net.named_modules():
            if name:
                above = name.rpartition(".")[0]
                owner = f"{above} {type(net.get_submodule(above)).__name__}"
                hooks.append(layer.register_forward_pre_hook(self._input(f"forward: {owner}")))
                pool = isinstance(layer, MaxPool2d | nn.MaxPool2d)
                cause = f"pool: {name} MaxPool2d" if pool else f"forward: {name} {type(layer).__name__}"
                hooks.append(layer.register_forward_hook(self._output(cause)))
        try:
            yield self
        finally:
            for hook in hooks:
                hook.remove()

    def _begin(self, *_: object) -> None:
        self.found = ""

    def _input(self, cause: str) -> Callable[[nn.Module, tuple], None]:
        # A layer that is given what no layer returned: the module around it, which adds or concatenates, made it.
        def note(layer: nn.Module, inputs: tuple) -> None:
            self._note(inputs[0], cause)

        return note

    def _output(self, cause: str) -> Callable[[nn.Module, tuple, Tensor], None]:
        def note(layer: nn.Module, inputs: tuple, output: Tensor) -> None:
            self._note(output, cause)

        return note

    def _note(self, tensor: object, cause: str) -> None:
        if not self.found and isinstance(tensor, Tensor) and not torch.isfinite(tensor).all():
            self.found = cause
