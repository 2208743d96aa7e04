"""Multilayer perceptrons of the ReLU'(0) paper (sections 1 and 3), with PyTorch's default start."""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from kinks.nets.dropout import Dropout

Layers = list[tuple[torch.Tensor, torch.Tensor]]


@dataclass(frozen=True)
class MLP:
    """Sizes of a multilayer perceptron.

    Attributes:
        sizes: units per layer, inputs first, classes last: `(784, 256, 256, 256, 10)`.
        first_relu: False leaves out the ReLU after the first layer, as the network of the published sample-size and
            effect-size notebooks does by accident.
    """

    sizes: tuple[int, ...]
    first_relu: bool = True

    def __post_init__(self) -> None:
        if len(self.sizes) < 3 or any(not isinstance(size, int) or size < 1 for size in self.sizes):
            raise ValueError(f"sizes are {self.sizes}; give input, hidden and output sizes, each at least 1")

    @classmethod
    def of(cls, hidden_layers: int, neurons: int, first_relu: bool = True) -> "MLP":
        """The MNIST network of `hidden_layers` layers of `neurons` units: 784-neurons-...-10."""
        return cls((784, *[neurons] * hidden_layers, 10), first_relu)

    @property
    def relus(self) -> tuple[bool, ...]:
        """For each hidden layer, whether a ReLU follows it."""
        return (self.first_relu, *[True] * (len(self.sizes) - 3))


def draw(net: MLP, seed: int) -> Layers:
    """Draw the network's weights and biases, fp32 on the CPU: `(out, in)` and `(out,)` for each layer.

    The numbers are those of `torch.manual_seed(seed)` followed by building the `nn.Linear` layers in order, bit for
    bit, without touching the global generator. Networks of different depth and equal width therefore share their first
    layers for equal seeds.
    """
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(net.sizes):
        # kaiming_uniform_(a=sqrt(5)): written as torch computes it, since 1/sqrt(fan_in) may differ in the last bit.
        weight_bound = math.sqrt(3.0) * (math.sqrt(2.0 / (1 + 5.0)) / math.sqrt(fan_in))
        weight = torch.empty(fan_out, fan_in).uniform_(-weight_bound, weight_bound, generator=generator)
        bias_bound = 1 / math.sqrt(fan_in)
        layers.append((weight, torch.empty(fan_out).uniform_(-bias_bound, bias_bound, generator=generator)))
    return layers


def module(net: MLP, seed: int) -> nn.Sequential:
    """Build the same network, with the same weights, as an ordinary `nn.Sequential` of `nn.Linear` and `nn.ReLU`."""
    parts: list[nn.Module] = []
    for index, (weight, bias) in enumerate(draw(net, seed)):
        layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0])
        layer.weight.data, layer.bias.data = weight, bias
        parts.append(layer)
        if index < len(net.relus) and net.relus[index]:
            parts.append(nn.ReLU())
    return nn.Sequential(*parts)


def perceptron(
    hidden_layers: int, neurons: int, *, batch_norm: bool, classes: int = 10, dropout: float = 0.0
) -> nn.Sequential:
    """The network that the ReLU'(0) paper trains, for images (N, 1, 28, 28): 784-neurons-...-classes.

    After every hidden linear layer come batch norm, if asked for, a ReLU and, if its share is above 0, dropout.
    3 layers of 2048 neurons and ten classes: 10,020,874 parameters.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    for fan_in in (784, *[neurons] * (hidden_layers - 1)):
        layers.append(nn.Linear(fan_in, neurons))
        layers += [nn.BatchNorm1d(neurons)] if batch_norm else []
        layers.append(nn.ReLU())
        layers += [Dropout(dropout)] if dropout else []
    return nn.Sequential(*layers, nn.Linear(neurons, classes))
