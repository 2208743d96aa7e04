"""The random starts of both papers, drawn from a seed without touching the global generator."""

import math
from typing import Literal, get_args

import torch
from torch import Generator, Tensor, nn

Init = Literal["default", "kaiming_normal", "kaiming_uniform", "densenet"]


@torch.no_grad()
def initialise(model: nn.Module, init: Init, seed: int) -> nn.Module:
    """Draw the weights of `model` anew, in place, and return it; batch norm gets weight 1, bias 0, fresh statistics.

    - `default`: PyTorch's own start, weights and biases U(+-1/sqrt(fan_in)): LeNet-5 and VGG; every network in the
      volume estimates of the ReLU'(0) paper and the thresholds of the MaxPool paper.
    - `kaiming_normal`: convolutions N(0, 2/fan_out), the rest as in `default`: the ResNets, in training.
    - `kaiming_uniform`: convolutions U(+-sqrt(6/fan_in)), linear weights N(0, 0.01^2), biases 0: the volumes and
      trajectories of the MaxPool paper.
    - `densenet`: convolutions N(0, 2/fan_in), linear biases 0, the rest as in `default`: DenseNet-121, in training.

    Numbers are drawn in fp32 on the CPU, layer by layer, and cast, so that they do not depend on the model's dtype and
    device. Raises ValueError for another `init` and for layers other than Conv2d, Linear and BatchNorm.
    """
    if init not in get_args(Init):
        raise ValueError(f"initialise: init is {init!r}; allowed: {', '.join(map(repr, get_args(Init)))}")
    _refuse_other_layers(model)
    generator = torch.Generator().manual_seed(seed)
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.reset_parameters()
        elif isinstance(layer, nn.Conv2d | nn.Linear):
            layer.weight.copy_(_weight(init, layer, generator))
            if layer.bias is not None:
                layer.bias.copy_(_bias(init, layer, generator))
    return model


def _weight(init: Init, layer: nn.Conv2d | nn.Linear, generator: Generator) -> Tensor:
    weight = torch.empty(layer.weight.shape, dtype=torch.float32)
    convolution = isinstance(layer, nn.Conv2d)
    if init == "kaiming_normal" and convolution:
        return nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu", generator=generator)
    if init == "densenet" and convolution:
        return nn.init.kaiming_normal_(weight, mode="fan_in", nonlinearity="relu", generator=generator)
    if init == "kaiming_uniform" and convolution:
        return nn.init.kaiming_uniform_(weight, mode="fan_in", nonlinearity="relu", generator=generator)
    if init == "kaiming_uniform":
        return nn.init.normal_(weight, std=0.01, generator=generator)
    return nn.init.kaiming_uniform_(weight, a=math.sqrt(5), generator=generator)


def _bias(init: Init, layer: nn.Conv2d | nn.Linear, generator: Generator) -> Tensor:
    bias = torch.zeros(layer.bias.shape, dtype=torch.float32)
    if init == "kaiming_uniform" or (init == "densenet" and isinstance(layer, nn.Linear)):
        return bias
    bound = 1 / math.sqrt(layer.weight[0].numel())
    return bias.uniform_(-bound, bound, generator=generator)


def _refuse_other_layers(model: nn.Module) -> None:
    known = nn.Conv2d | nn.Linear | nn.BatchNorm1d | nn.BatchNorm2d
    for name, layer in model.named_modules():
        if not isinstance(layer, known) and any(True for _ in layer.parameters(recurse=False)):
            raise ValueError(
                f"initialise: {name or 'the model'} ({type(layer).__name__}) has parameters; "
                "allowed: Conv2d, Linear and BatchNorm layers"
            )
