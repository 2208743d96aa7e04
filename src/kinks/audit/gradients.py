"""Gradients of one forward pass under any number of derivative choices at the kink, and how far they differ.

The graph is built once; the derivative is read when the backward pass runs, so A choices cost one forward and A
backwards of the one gradient that is asked for, with the bits of A separate networks.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from kinks.audit.forward import logits
from kinks.nets.mlp import MLP, Layers
from kinks.ops import DerivativeSwitch, ReLUDerivative, relu
from kinks.precision import Precision


def first_layer_gradients(
    net: MLP,
    layers: Layers,
    x: torch.Tensor,
    labels: torch.Tensor,
    derivatives: Sequence[ReLUDerivative],
    precision: Precision,
) -> list[torch.Tensor]:
    """Return the gradient of the mean cross-entropy with respect to the first weight matrix, once per derivative.

    This is the quantity that the published volume experiments compare (section 3: the first layer's weights only).

    Args:
        layers: weights in `precision.storage`. x: `(B, inputs)` in the same format. labels: `(B,)` int64.

    Returns:
        One `(hidden, inputs)` tensor per derivative, in the order given.
    """
    weight = layers[0][0].detach().requires_grad_()
    switch = DerivativeSwitch(derivatives[0])
    outputs = logits(net, [(weight, layers[0][1]), *layers[1:]], x, lambda _, z: relu(z, switch), precision)
    loss = F.cross_entropy(outputs, labels)
    gradients = []
    for derivative in derivatives:
        switch.derivative = derivative
        gradients.append(torch.autograd.grad(loss, weight, retain_graph=True)[0])
    return gradients


def relative_difference(ours: torch.Tensor, reference: torch.Tensor) -> float:
    """Return the L2 norm of `ours - reference` over that of `reference`, computed in float64; NaN if undefined."""
    reference = reference.double()
    norm = float(reference.norm())
    return float((ours.double() - reference).norm()) / norm if norm > 0 else float("nan")


def differs(ours: torch.Tensor, reference: torch.Tensor) -> bool:
    """Say whether two gradients differ in any entry; refuse non-finite ones, where NaN would count as a difference.

    Raises:
        FloatingPointError: an entry is not finite.
    """
    if not (torch.isfinite(ours).all() and torch.isfinite(reference).all()):
        raise FloatingPointError("a gradient is not finite, so 'equal' has no meaning; audit it in a wider format")
    return not torch.equal(ours, reference)
