"""Exact zeros met while training MNIST networks (E12): SGD with momentum in every precision, pure 16-bit weights."""

import pandas as pd
import torch
import torch.nn.functional as F

from kinks.audit.forward import cast, chunks, logits
from kinks.audit.samples import pixels
from kinks.nets.mlp import MLP, draw
from kinks.ops import ReLUDerivative, has_zero, relu
from kinks.precision import fixed, named

RATE, MOMENTUM, DECAY = 0.01, 0.9, 5e-4  # as published: count_zeros notebook of the paper's repository


def job(
    *,
    hidden_layers: int,
    neurons: int,
    precision: str,
    alpha: float,
    rule: str,
    repeat: int,
    epochs: int,
    batch: int,
    seed: int,
    source: str,
    checksum: str,
    images: int,
    device: str,
) -> pd.DataFrame:
    """Train one network and count the pre-activations that are exactly zero, per epoch.

    Unshuffled mini-batches of raw pixels, mean cross-entropy, no loss scaling. A run whose loss stops being finite goes
    on to the end, as published; the row says so. `repeat` changes nothing: it tells apart runs of the same program.

    Returns:
        One row per epoch: zeros, evaluations (ReLU calls), mean loss, finite (every loss of the epoch was finite).
    """
    model = named(precision, device=device)
    with fixed(model):
        x, labels = pixels(source, checksum, images, model.storage, device)
        net = MLP.of(hidden_layers, neurons)
        layers = [(w.requires_grad_(), b.requires_grad_()) for w, b in cast(draw(net, seed), model, device)]
        tensors = [tensor for layer in layers for tensor in layer]
        optimiser = torch.optim.SGD(tensors, lr=RATE, momentum=MOMENTUM, weight_decay=DECAY)
        counter = _Counter(ReLUDerivative(alpha, rule))
        rows = []
        for epoch in range(1, epochs + 1):
            counter.zeros, losses = 0, []
            for part in chunks(len(x), batch):
                loss = F.cross_entropy(logits(net, layers, x[part], counter, model), labels[part])
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
            mean = float(torch.stack(losses).double().mean())
            finite = bool(torch.isfinite(torch.stack(losses)).all())
            rows.append({"epoch": epoch, "zeros": int(counter.zeros), "loss": mean, "finite": finite})
    columns = {
        "hidden_layers": hidden_layers,
        "neurons": neurons,
        "alpha": alpha,
        "rule": rule,
        "repeat": repeat,
        "seed": seed,
    }
    evaluations = images * hidden_layers * neurons
    return pd.DataFrame(rows).assign(evaluations=evaluations, images=images, **columns, **model.row())


class _Counter:
    """ReLU with the chosen derivative that counts the exact zeros of its inputs (no synchronisation on a GPU)."""

    def __init__(self, derivative: ReLUDerivative) -> None:
        self.derivative, self.zeros = derivative, 0

    def __call__(self, _: int, z: torch.Tensor) -> torch.Tensor:
        if z.is_cuda:
            self.zeros = self.zeros + (z.detach() == 0).sum()  # stays on the device until the epoch ends
        elif has_zero(z.detach()):
            self.zeros += int((z.detach() == 0).sum())
        return relu(z, self.derivative)
