"""How large is the difference where there is one? The affected mini-batches of random networks (E3)."""

import pandas as pd
import torch

from kinks.audit.forward import cast
from kinks.audit.gradients import differs, first_layer_gradients, relative_difference
from kinks.audit.samples import pixels
from kinks.nets.mlp import MLP, draw
from kinks.ops import ReLUDerivative
from kinks.precision import fixed, named


def job(
    *,
    network: str,
    neurons: int,
    hidden_layers: int,
    precision: str,
    bias: str,
    alphas: list[float],
    batch: int,
    minibatches: list[list[int]],
    source: str,
    checksum: str,
    images: int,
    device: str,
) -> pd.DataFrame:
    """Compare first-layer weight gradients on given mini-batches, each `[seed, index]`, for every alpha and both rules.

    Returns:
        One row per mini-batch, alpha and rule: differs (any bit), relative (L2 difference over the norm of the gradient
        with ReLU'(0) = 0), norm (that norm). Two rules more serve as yardsticks: `noise` (alpha 0 once more, from its
        own forward pass) and `reordered` (alpha 0 with the examples of the mini-batch permuted: the same sum in
        another order).
    """
    model = named(precision, bias=bias, device=device)
    net = MLP.of(hidden_layers, neurons, network == "intended")
    choices = [ReLUDerivative(0.0)] + [ReLUDerivative(a, rule) for a in alphas for rule in ("assign", "chain")]
    with fixed(model):
        x, labels = pixels(source, checksum, images, model.storage, device)
        rows = []
        for seed, index in minibatches:
            layers = cast(draw(net, seed), model, device)
            part = slice(index * batch, min((index + 1) * batch, images))
            order = torch.randperm(part.stop - part.start, generator=torch.Generator().manual_seed(seed))
            reference, *others = first_layer_gradients(net, layers, x[part], labels[part], choices, model)
            again = first_layer_gradients(net, layers, x[part], labels[part], choices[:1], model)[0]
            mixed = x[part][order.to(device)], labels[part][order.to(device)]
            reordered = first_layer_gradients(net, layers, *mixed, choices[:1], model)[0]
            named_gradients = [(c.rule, c.alpha, g) for c, g in zip(choices[1:], others, strict=True)]
            for rule, alpha, gradient in [
                *named_gradients,
                ("noise", 0.0, again),
                ("reordered", 0.0, reordered),
            ]:
                rows.append(
                    {
                        "seed": seed,
                        "minibatch": index,
                        "rule": rule,
                        "alpha": alpha,
                        "differs": differs(gradient, reference),
                        "relative": relative_difference(gradient, reference),
                        "norm": float(reference.double().norm()),
                    }
                )
    columns = {"network": network, "neurons": neurons, "hidden_layers": hidden_layers, "images": images}
    return pd.DataFrame(rows).assign(**columns, **model.row())
