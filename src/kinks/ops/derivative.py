"""The choice of a derivative at a kink: small frozen values, and one holder that is read at backward time.

`chain` multiplies the upstream gradient by the chosen value, as the chain rule says. `assign` puts the chosen
value itself into the gradient, whatever comes from upstream, as the code released with "Numerical influence of
ReLU'(0) on backpropagation" (NeurIPS 2021) does.
"""

import math
from dataclasses import dataclass, fields
from numbers import Real
from typing import Literal, get_args

Rule = Literal["chain", "assign"]


@dataclass(frozen=True)
class _Derivative:
    """Validation shared by the choices below: every value a finite float, the rule one of two words."""

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            where = f"{type(self).__name__}: {field.name} is {given!r}"
            if field.name == "rule":
                if given not in get_args(Rule):
                    raise ValueError(f"{where}; allowed: {', '.join(map(repr, get_args(Rule)))}")
            elif given is not None or field.default is not None:
                if isinstance(given, bool) or not isinstance(given, Real) or not math.isfinite(given):
                    raise ValueError(f"{where}; allowed: a finite number")
                # Adding zero turns -0.0 into 0.0, so that both mean "no gradient at the kink".
                object.__setattr__(self, field.name, float(given) + 0.0)


@dataclass(frozen=True)
class ReLUDerivative(_Derivative):
    """ReLU'(0) = `alpha` (section 2 of the NeurIPS 2021 paper) under `rule`; raises ValueError for other values."""

    alpha: float = 0.0
    rule: Rule = "chain"

    @property
    def kinks(self) -> tuple[tuple[float, float], ...]:
        """Pairs (place of the kink, value of the derivative there)."""
        return ((0.0, self.alpha),)


@dataclass(frozen=True)
class ReLU6Derivative(_Derivative):
    """ReLU6'(0) = `at_zero` and ReLU6'(6) = `at_six` under `rule`; both are 0 in PyTorch."""

    at_zero: float = 0.0
    at_six: float = 0.0
    rule: Rule = "chain"

    @property
    def kinks(self) -> tuple[tuple[float, float], ...]:
        """Pairs (place of the kink, value of the derivative there)."""
        return ((0.0, self.at_zero), (6.0, self.at_six))


@dataclass(frozen=True)
class LeakyReLUDerivative(_Derivative):
    """LeakyReLU'(0) = `at_zero` under `rule`; None means the negative slope, which is what PyTorch returns."""

    at_zero: float | None = None
    rule: Rule = "chain"

    def with_slope(self, slope: float) -> "LeakyReLUDerivative":
        """The same choice with None replaced by `slope`."""
        return LeakyReLUDerivative(slope, self.rule) if self.at_zero is None else self

    @property
    def kinks(self) -> tuple[tuple[float, float], ...]:
        """Pairs (place of the kink, value of the derivative there); call after `with_slope`."""
        return ((0.0, self.at_zero),)


class DerivativeSwitch:
    """A holder of one ReLUDerivative that `relu` reads when backward runs, not when forward runs.

    One forward graph then serves any number of choices: set `switch.derivative`, call
    `torch.autograd.grad(..., retain_graph=True)`, set it again. The gradients equal, bit for bit, those of
    separate graphs. Forward-mode derivatives read the switch when they are computed, which is during forward.
    """

    def __init__(self, derivative: ReLUDerivative | None = None) -> None:
        self.derivative = ReLUDerivative() if derivative is None else derivative

    @property
    def derivative(self) -> ReLUDerivative:
        """The choice that the next backward will use; setting anything but a ReLUDerivative is a TypeError."""
        return self._derivative

    @derivative.setter
    def derivative(self, derivative: ReLUDerivative) -> None:
        if not isinstance(derivative, ReLUDerivative):
            raise TypeError(f"DerivativeSwitch: got {derivative!r}; allowed: a ReLUDerivative")
        self._derivative = derivative

    def __repr__(self) -> str:
        return f"DerivativeSwitch({self._derivative!r})"
