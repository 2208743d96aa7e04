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
Forward = Literal["exact", "mixed"]
WORDS = {"rule": get_args(Rule), "forward": get_args(Forward)}


@dataclass(frozen=True)
class _Derivative:
    """Validation shared by the choices below: every value a finite float, rule and forward one of two words."""

    def __post_init__(self) -> None:
        for field in fields(self):
            given = getattr(self, field.name)
            where = f"{type(self).__name__}: {field.name} is {given!r}"
            if field.name in WORDS:
                if given not in WORDS[field.name]:
                    raise ValueError(f"{where}; allowed: {', '.join(map(repr, WORDS[field.name]))}")
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


@dataclass(frozen=True)
class PoolDerivative(_Derivative):
    """The max-pool's Jacobian at a tie, `beta` x minimal-norm + (1 - `beta`) x native (a1 of the TMLR 2024 paper).

    `forward` is "exact", the maximum itself, or "mixed", beta x maximum + (1 - beta) x maximum rounded at each
    step, which is what the code released with that paper computes.
    """

    beta: float = 0.0
    forward: Forward = "exact"


@dataclass(frozen=True)
class NormPoolDerivative(_Derivative):
    """The derivative of the norm-pool at a window of zeros: `at_zero` for each entry (0 or 1 in the paper)."""

    at_zero: float = 0.0
    rule: Rule = "chain"


class Switch:
    """A holder of one choice that an operator reads when backward runs, not when forward runs.

    One forward graph then serves any number of choices: set `switch.derivative`, call
    `torch.autograd.grad(..., retain_graph=True)`, set it again. The gradients equal, bit for bit, those of
    separate graphs. Forward-mode derivatives read the switch when they are computed, which is during forward.
    """

    kind: type[_Derivative]

    def __init__(self, derivative: _Derivative | None = None) -> None:
        self.derivative = self.kind() if derivative is None else derivative

    @property
    def derivative(self) -> _Derivative:
        """The choice that the next backward will use; setting one of another kind is a TypeError."""
        return self._derivative

    @derivative.setter
    def derivative(self, derivative: _Derivative) -> None:
        if not isinstance(derivative, self.kind):
            raise TypeError(f"{type(self).__name__}: got {derivative!r}; allowed: a {self.kind.__name__}")
        self._derivative = derivative

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._derivative!r})"


class DerivativeSwitch(Switch):
    """A switch for `relu`: holds a ReLUDerivative."""

    kind = ReLUDerivative


class PoolSwitch(Switch):
    """A switch for `max_pool2d`: holds a PoolDerivative with the exact forward, which does not depend on beta."""

    kind = PoolDerivative

    @Switch.derivative.setter
    def derivative(self, derivative: PoolDerivative) -> None:
        if isinstance(derivative, PoolDerivative) and derivative.forward != "exact":
            raise ValueError(f"PoolSwitch: got {derivative!r}; allowed: forward='exact', which beta does not change")
        Switch.derivative.fset(self, derivative)
