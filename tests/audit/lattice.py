"""Networks and inputs on a coarse lattice, so that exact zeros are common, and a slow audit to compare with."""

from itertools import pairwise

import torch
import torch.nn.functional as F

from kinks.nets.mlp import MLP


def draw(net: MLP, seed: int):
    g = torch.Generator().manual_seed(seed)
    layers = []
    for fan_in, fan_out in pairwise(net.sizes):
        weight = torch.randint(-2, 3, (fan_out, fan_in), generator=g) / 8
        keep = torch.rand(fan_out, fan_in, generator=g) < 6 / fan_in
        layers.append((weight * keep, torch.randint(-2, 3, (fan_out,), generator=g) / 8))
    return layers


def images(rows: int, inputs: int, seed: int = 0):
    g = torch.Generator().manual_seed(seed)
    x = torch.rand(rows, inputs, generator=g)
    # Off the lattice for most images, so that most mini-batches have no zero and the first one is not always index 0.
    coarse = (x * 4).round() / 4
    pick = (torch.arange(rows) % 37 == 36)[:, None]
    return torch.where(pick, coarse, x), torch.randint(0, net_classes, (rows,), generator=g)


net_classes = 10


class SlowReLU(torch.autograd.Function):
    """An independent ReLU: a mask per case, the rule spelt out."""

    @staticmethod
    def forward(ctx, z, alpha, rule):
        ctx.save_for_backward(z)
        ctx.alpha, ctx.rule = alpha, rule
        return z.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        result = grad.clone()
        result[z < 0] = 0
        result[z == 0] = grad[z == 0] * ctx.alpha if ctx.rule == "chain" else ctx.alpha
        return result, None, None


def described_first_difference(net: MLP, layers, x, labels, batch: int, rule: str) -> int:
    """The paper's loop: two networks, two forwards, two full backwards, compare; index of the first difference."""
    for index, (rows, targets) in enumerate(zip(x.split(batch), labels.split(batch), strict=True)):
        gradients = []
        for alpha in (0.0, 1.0):
            tensors = [(w.clone().requires_grad_(), b.clone().requires_grad_()) for w, b in layers]
            h = rows
            for k, (w, b) in enumerate(tensors):
                h = F.linear(h, w, b)
                if k < len(net.relus) and net.relus[k]:
                    h = SlowReLU.apply(h, alpha, rule)
            F.cross_entropy(h, targets).backward()
            gradients.append(tensors[0][0].grad)
        if not torch.equal(*gradients):
            return index
    return -1
