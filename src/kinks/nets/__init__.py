"""The papers' architectures, built so that the derivative at every kink is a parameter."""

from kinks.nets.mlp import MLP, draw, module

__all__ = ["MLP", "draw", "module"]
