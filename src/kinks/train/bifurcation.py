"""The bifurcation picture of the introduction (E1): one pre-activation over a plane of first-layer weights."""

import numpy as np
import pandas as pd
import torch

from kinks.audit.forward import cast
from kinks.audit.samples import pixels
from kinks.nets.mlp import draw
from kinks.precision import fixed, linear, named
from kinks.train.introduction import VARIANTS, activation, batches, descend, gradients


def job(
    *,
    variant: str,
    train_precision: str,
    precision: str,
    seed: int,
    rate: float,
    step: int,
    sample: int,
    unit: int,
    plane_seed: int,
    half_width: float,
    points: int,
    batch: int,
    source: str,
    checksum: str,
    images: int,
    device: str,
) -> pd.DataFrame:
    """Train to `step` in `train_precision`, then evaluate one pre-activation on a plane around the first weights.

    The plane is W1 + x P + y Q with P, Q uniform on [0, 1), scaled to Frobenius norm 1; x and y take `points` values
    from -half_width (included) to half_width (excluded). `precision` is the format in which the plane is evaluated.

    Returns:
        One row per grid point: x, y, value (the absolute pre-activation, 0 where it is exactly zero).
    """
    model = named(train_precision, device=device)
    with fixed(model):
        x, labels = pixels(source, checksum, images, model.storage, device)
        layers = [
            (w.requires_grad_(), b.requires_grad_()) for w, b in cast(draw(VARIANTS[variant], seed), model, device)
        ]
        parts = batches(len(x), batch, step + 1)
        for part in parts[:-1]:
            found = gradients(VARIANTS[variant], layers, x[part], labels[part], activation(variant, "base"), model)
            descend(layers, found, rate)
        weight, bias = (tensor.detach() for tensor in layers[0])
        point = (x[parts[-1]], sample, unit)
        values = _plane(weight, bias[unit], *point, plane_seed, half_width, points, precision, device)
    return values.assign(variant=variant, seed=seed, step=step, precision=precision)


@torch.no_grad()
def _plane(weight, bias, rows, sample, unit, plane_seed, half_width, points, precision, device) -> pd.DataFrame:
    generator = torch.Generator().manual_seed(plane_seed)
    model = named(precision, device=device)
    directions = [torch.rand(weight.shape, generator=generator) for _ in range(2)]
    p, q = ((d / d.norm())[unit].to(device, model.storage) for d in directions)
    base, bias, rows = weight[unit].to(model.storage), bias.to(model.storage), rows.to(model.storage)
    axis = torch.from_numpy(np.linspace(-half_width, half_width, points, endpoint=False)).to(device, model.storage)
    xs, ys = axis.repeat_interleave(points), axis.repeat(points)
    # Every product has the shape of the network's own (whole mini-batch, all units), because another shape may take
    # another matrix kernel, which sums in another order: then the zero that training met would not be one here.
    units, values = weight.shape[0], []
    for first in range(0, len(xs), units):
        part = slice(first, first + units)
        line = base + xs[part, None] * p + ys[part, None] * q
        line = torch.cat([line, base.expand(units - len(line), -1)])
        values.append(linear(rows, line, bias.expand(units), model)[sample].abs())
    value = torch.cat(values)[: len(xs)].double().cpu().numpy()
    return pd.DataFrame({"x": xs.double().cpu().numpy(), "y": ys.double().cpu().numpy(), "value": value})
