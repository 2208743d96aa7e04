"""Activations whose derivative at their kinks is a parameter, and `swap`, which puts them into any module."""

from kinks.ops.derivative import (
    DerivativeSwitch,
    LeakyReLUDerivative,
    ReLU6Derivative,
    ReLUDerivative,
    Rule,
)
from kinks.ops.leaky_relu import LeakyReLU, leaky_relu
from kinks.ops.relu import ReLU, relu
from kinks.ops.relu6 import ReLU6, relu6
from kinks.ops.swap import restore, swap, swapped
from kinks.ops.zeros import has_zero

__all__ = [
    "DerivativeSwitch",
    "LeakyReLU",
    "LeakyReLUDerivative",
    "ReLU",
    "ReLU6",
    "ReLU6Derivative",
    "ReLUDerivative",
    "Rule",
    "has_zero",
    "leaky_relu",
    "relu",
    "relu6",
    "restore",
    "swap",
    "swapped",
]
