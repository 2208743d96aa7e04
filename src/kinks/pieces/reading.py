"""Read a user's `nn.Sequential` as affine maps and ReLUs, or say in one line what cannot be read."""

import copy
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from kinks.ops import ReLU
from kinks.pieces.network import Layer, Network

SHAPES = (nn.Flatten, nn.Unflatten, nn.Identity)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
SUMS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
LARGEST = 2**26  # entries of one weight matrix: half a gigabyte in float64
KNOWN = "Linear, Conv, AvgPool, BatchNorm and Dropout in eval mode, Flatten, Identity and ReLU in an nn.Sequential"


class CannotCountError(ValueError):
    """The model is not a sequence of affine maps and ReLUs that this package can read."""


@torch.no_grad()
def read(model: nn.Module, shape: Sequence[int]) -> Network:
    """Return the real function that the model's stored numbers define, as a `Network` in float64.

    Convolutions and average pools become their dense matrices; every stored weight is taken as it is, while the weight
    1/k^2 of an average pool and the factor of a batch norm are rounded to float64 once.

    Args:
        model: an `nn.Sequential` (nested ones too), in eval mode if it has dropout or batch norm.
        shape: of one input, without the batch.

    Raises:
        CannotCountError: a layer is of another kind, in training mode, has hooks, numbers that are not finite or do not
            fit its input, or is too large as a matrix; the message names it.
    """
    layers: list[Layer] = []
    shape = torch.Size(shape)
    for name, part in _parts("", model):
        label = _label(name, part)
        if type(part) in (nn.ReLU, ReLU):
            if layers and not layers[-1].relu:
                layers[-1] = Layer(layers[-1].weight, layers[-1].bias, True)
            elif not layers:
                layers.append(Layer(np.eye(shape.numel()), np.zeros(shape.numel()), True))
        elif isinstance(part, SHAPES):
            shape = _images(label, part, shape, torch.zeros(1, *shape)).shape[1:]
        elif type(part) in SUMS:
            layer, shape = _affine(label, part, shape)
            layers.append(layer)
        elif isinstance(part, (*NORMS, *DROPOUTS)) and part.training:
            raise CannotCountError(f"{label} is in training mode; call model.eval() first")
        elif type(part) in NORMS:
            layers.append(_norm(label, part, shape))
        elif not isinstance(part, DROPOUTS):
            raise CannotCountError(f"{label} cannot be read; pieces are counted for {KNOWN}")
    return Network(tuple(layers))


def _parts(name: str, module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    if isinstance(module, nn.Module) and (module._forward_hooks or module._forward_pre_hooks):
        raise CannotCountError(f"{_label(name, module)} has forward hooks, which may do anything; remove them first")
    # A subclass with a forward of its own may do anything.
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        # named_children() would leave out the second use of a module.
        for key, part in module._modules.items():
            yield from _parts(f"{name}.{key}" if name else key, part)
    else:
        yield name, module


def _label(name: str, part: nn.Module) -> str:
    return f"layer {name!r} ({type(part).__name__})" if name else f"the model ({type(part).__name__})"


def _affine(label: str, part: nn.Module, shape: torch.Size) -> tuple[Layer, torch.Size]:
    """The matrix of a linear map, from its columns: the images of the unit vectors."""
    bare, bias = _in_double(label, part), getattr(part, "bias", None)
    if bias is not None:
        bare.bias = None
    after = _images(label, bare, shape, torch.zeros(2, *shape, dtype=torch.float64)).shape[1:]
    _check_size(label, shape.numel(), after.numel())
    if isinstance(part, nn.Linear) and len(shape) == 1:
        weight = bare.weight
    else:
        unit = torch.eye(shape.numel(), dtype=torch.float64)
        columns = [_images(label, bare, shape, some.unflatten(1, shape)).flatten(1) for some in unit.split(256)]
        weight = torch.cat(columns).T
    shift = torch.zeros(after, dtype=torch.float64)
    if bias is not None:
        trailing = 0 if isinstance(part, nn.Linear) else len(after) - 1
        shift += bias.double().cpu().reshape(-1, *[1] * trailing)
    return _layer(label, weight, shift.flatten()), after


def _norm(label: str, part: nn.Module, shape: torch.Size) -> Layer:
    if part.running_var is None:
        raise CannotCountError(f"{label} has no running statistics, so it is not affine")
    _images(label, _in_double(label, part), shape, torch.zeros(2, *shape, dtype=torch.float64))
    _check_size(label, shape.numel(), shape.numel())
    mean, variance = part.running_mean.double().cpu(), part.running_var.double().cpu()
    scale = 1 / (variance + part.eps).sqrt()
    shift = torch.zeros_like(mean)
    if part.affine:
        scale, shift = scale * part.weight.double().cpu(), part.bias.double().cpu()
    shift = shift - mean * scale
    each = shape[1:].numel()
    return _layer(label, scale.repeat_interleave(each).diag(), shift.repeat_interleave(each))


def _in_double(label: str, part: nn.Module) -> nn.Module:
    """A copy in float64 on the CPU."""
    if any(one.is_meta or one.is_complex() for one in part.parameters()):
        raise CannotCountError(f"{label} has no real numbers: its weights are complex or on the meta device")
    return copy.deepcopy(part).to("cpu", torch.float64)


def _images(label: str, part: nn.Module, shape: torch.Size, inputs: Tensor) -> Tensor:
    """What a layer makes of a batch of inputs of `shape`."""
    try:
        found = part(inputs)
    except (RuntimeError, ValueError, IndexError) as error:
        reason = str(error).partition("\n")[0]
        raise CannotCountError(f"{label} does not take one input of shape {tuple(shape)}: {reason}") from error
    # A layer may have taken the batch for the channels.
    if len(found) != len(inputs):
        raise CannotCountError(f"{label} does not take one input of shape {tuple(shape)}; an axis is missing")
    return found


def _layer(label: str, weight: Tensor, bias: Tensor) -> Layer:
    if not (weight.isfinite().all() and bias.isfinite().all()):
        raise CannotCountError(f"{label} has a weight or bias that is NaN or infinite")
    return Layer(weight.numpy(), bias.numpy(), False)


def _check_size(label: str, before: int, after: int) -> None:
    if before * after > LARGEST:
        raise CannotCountError(f"{label} is a matrix of {after} x {before} numbers; at most {LARGEST} are handled")


def as_network(model: nn.Module | Network, start: Tensor | np.ndarray) -> Network:
    """Return a `Network` as it is, and a model read for inputs of the shape of `start`."""
    return model if isinstance(model, Network) else read(model, np.shape(start) or (1,))
