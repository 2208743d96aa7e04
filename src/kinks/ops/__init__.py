"""Activations and pools whose derivative at their kinks is a parameter; `swap` puts them into any module."""

from kinks.ops.derivative import (
    DerivativeSwitch,
    Forward,
    LeakyReLUDerivative,
    NormPoolDerivative,
    PoolDerivative,
    PoolSwitch,
    ReLU6Derivative,
    ReLUDerivative,
    Rule,
)
from kinks.ops.leaky_relu import LeakyReLU, leaky_relu
from kinks.ops.norm_pool import NormPool2d, norm_pool2d
from kinks.ops.pool import MaxPool2d, max_pool2d, max_pool2d_with_ties
from kinks.ops.pool_windows import tied_windows
from kinks.ops.relu import ReLU, relu
from kinks.ops.relu6 import ReLU6, relu6
from kinks.ops.swap import restore, swap, swapped
from kinks.ops.zeros import has_zero

__all__ = [
    "DerivativeSwitch",
    "Forward",
    "LeakyReLU",
    "LeakyReLUDerivative",
    "MaxPool2d",
    "NormPool2d",
    "NormPoolDerivative",
    "PoolDerivative",
    "PoolSwitch",
    "ReLU",
    "ReLU6",
    "ReLU6Derivative",
    "ReLUDerivative",
    "Rule",
    "has_zero",
    "leaky_relu",
    "max_pool2d",
    "max_pool2d_with_ties",
    "norm_pool2d",
    "relu",
    "relu6",
    "restore",
    "swap",
    "swapped",
    "tied_windows",
]
