"""How often does the value of ReLU'(0) matter? Exact zeros and first differing mini-batches of random networks (E2).

An initialisation belongs to the bifurcation zone when, for at least one mini-batch of a pass over the data, the
first-layer weight gradient with ReLU'(0) = 1 differs in any bit from that with ReLU'(0) = 0 (section 3). Where no
pre-activation is exactly zero both are the same program on the same numbers, so one bare forward pass decides almost
every mini-batch, and a zero belongs to an (initialisation, image) pair, so one pass decides every batch size.
"""

import math
from collections.abc import Sequence
from functools import lru_cache

import pandas as pd
import torch

from kinks.audit.forward import cast, chunks, exact_zeros, rows_keep_their_bits, widen
from kinks.audit.gradients import differs, first_layer_gradients
from kinks.audit.samples import pixels
from kinks.nets.mlp import MLP, draw
from kinks.ops import ReLUDerivative
from kinks.precision import Precision, fixed, named

CHUNK = 2048
NOISE_CELL = (3, 256)  # hidden layers and batch size at which the noise floor is measured: all panels share them
ZERO, ASSIGN, CHAIN = ReLUDerivative(0.0), ReLUDerivative(1.0, "assign"), ReLUDerivative(1.0, "chain")


def job(
    *,
    network: str,
    neurons: int,
    hidden_layers: list[int],
    batch_sizes: list[int],
    precision: str,
    bias: str,
    source: str,
    checksum: str,
    images: int,
    first_seed: int,
    seeds: int,
    noise_seeds: int,
    stop_when_decided: bool,
    device: str,
) -> pd.DataFrame:
    """Audit `seeds` initialisations, first_seed onwards; networks of several depths share their first layers.

    Returns:
        A table with a column `kind`: `event` rows (one exact zero: seed, layer, image, unit), `census` rows (per seed
        and layer: zeros, evaluations) and `decision` rows (per seed, depth and batch size: first mini-batch with a zero
        at a ReLU input, first that differs under each rule, -1 for none; `noise`: whether ReLU'(0) = 0 differed from
        itself on one mini-batch, NaN where not asked or not in `NOISE_CELL`).
    """
    if network not in ("intended", "published"):
        raise ValueError(f"network is {network!r}; allowed: intended, published")
    model = named(precision, bias=bias, device=device)
    with fixed(model):
        x, labels = pixels(source, checksum, images, model.storage, device)
        wide = x.float() if model.emulated else x
        rows = []
        for seed in range(first_seed, first_seed + seeds):
            rows += audit_seed(
                seed, network == "intended", neurons, hidden_layers, batch_sizes, model, x, wide, labels,
                seed < noise_seeds, stop_when_decided,
            )  # fmt: skip
    fixed_columns = {"network": network, "neurons": neurons, **model.row(), "images": images}
    return pd.DataFrame(rows).assign(**fixed_columns)


def audit_seed(
    seed: int,
    first_relu: bool,
    neurons: int,
    hidden_layers: Sequence[int],
    batch_sizes: Sequence[int],
    precision: Precision,
    x: torch.Tensor,
    wide: torch.Tensor,
    labels: torch.Tensor,
    noise: bool,
    stop_when_decided: bool,
) -> list[dict]:
    """Audit one initialisation: rows as `job` describes them."""
    device = x.device.type
    deepest = MLP.of(max(hidden_layers), neurons, first_relu)
    raw = widen(cast(draw(deepest, seed), precision, device), precision)
    decisions, census = [], []
    for size, batches in passes(deepest, precision, tuple(batch_sizes), device):
        new = [
            Decision(seed, MLP.of(depth, neurons, first_relu), batch, precision)
            for depth in hidden_layers
            for batch in batches
        ]
        events, seen = walk(deepest, raw, precision, wide, size, new, x, labels, stop_when_decided)
        census = census or _census(seed, deepest, events, seen)  # the first pass is the whole map: one census per seed
        decisions += [d.row(seen, x, labels, noise and d.cell == NOISE_CELL) for d in new]
    return census + decisions


def walk(net, raw, precision, wide, size, decisions, x, labels, stop) -> tuple[list[tuple[int, int, int]], int]:
    """Run one forward pass in slices of `size` rows; return (layer, image, unit) of every zero, and the rows seen."""
    events: list[tuple[int, int, int]] = []
    for part in chunks(len(wide), size):
        new = [
            (layer, part.start + row, unit)
            for layer, zeros in enumerate(exact_zeros(net, raw, wide[part], precision))
            if zeros is not None
            for row, unit in zeros.tolist()
        ]
        events += new
        for decision in decisions:
            decision.advance(new, x, labels)
        if stop and all(decision.settled for decision in decisions):
            return events, part.stop
    return events, len(wide)


def _census(seed: int, net: MLP, events: list[tuple[int, int, int]], seen: int) -> list[dict]:
    rows = [{"kind": "event", "seed": seed, "layer": k + 1, "image": i, "unit": u} for k, i, u in events]
    for layer, has_relu in enumerate(net.relus):
        if has_relu:
            zeros, evaluations = sum(event[0] == layer for event in events), seen * net.sizes[layer + 1]
            rows.append(
                {
                    "kind": "census",
                    "seed": seed,
                    "layer": layer + 1,
                    "zeros": zeros,
                    "evaluations": evaluations,
                }
            )
    return rows


class Decision:
    """The first mini-batch at which one network's gradients differ, for one batch size, found as zeros come in."""

    def __init__(self, seed: int, net: MLP, batch: int, precision: Precision) -> None:
        self.seed, self.net, self.batch, self.precision = seed, net, batch, precision
        self.first = {"hit": -1, "assign": -1, "chain": -1}

    @property
    def cell(self) -> tuple[int, int]:
        return len(self.net.relus), self.batch

    @property
    def settled(self) -> bool:
        return min(self.first.values()) >= 0

    def advance(self, zeros: list[tuple[int, int, int]], x: torch.Tensor, labels: torch.Tensor) -> None:
        """Resolve the mini-batches with these (layer, image, unit) zeros, in order, until both rules differ."""
        if self.settled:
            return
        depth = len(self.net.relus)
        for index in sorted({image // self.batch for layer, image, _ in zeros if layer < depth}):
            if self.settled:
                return
            reference, assign, chain = self.gradients(index, (ZERO, ASSIGN, CHAIN), x, labels)
            if self.first["hit"] < 0:
                self.first["hit"] = index
            for name, gradient in (("assign", assign), ("chain", chain)):
                if self.first[name] < 0 and differs(gradient, reference):
                    self.first[name] = index

    def gradients(self, index: int, derivatives, x: torch.Tensor, labels: torch.Tensor) -> list[torch.Tensor]:
        part = slice(index * self.batch, (index + 1) * self.batch)
        layers = _weights(self.net, self.seed, self.precision, x.device.type)
        return first_layer_gradients(self.net, layers, x[part], labels[part], derivatives, self.precision)

    def row(self, seen: int, x: torch.Tensor, labels: torch.Tensor, noise: bool) -> dict:
        again = float("nan")
        if noise:
            # The noise floor is the same program run twice, each time from its own forward pass.
            once, twice = (self.gradients(max(self.first["hit"], 0), (ZERO,), x, labels)[0] for _ in range(2))
            again = float(differs(once, twice))
        return {
            "kind": "decision", "seed": self.seed, "hidden_layers": len(self.net.relus), "batch_size": self.batch,
            "first_hit": self.first["hit"], "first_assign": self.first["assign"], "first_chain": self.first["chain"],
            "noise": again, "seen": seen,
        }  # fmt: skip


@lru_cache(maxsize=8)
def _weights(net: MLP, seed: int, precision: Precision, device: str):
    """The network of this depth, its own output layer included; cached because several batch sizes resolve in turn."""
    return cast(draw(net, seed), precision, device)


def chunk(precision: Precision, device: str) -> int:
    """Rows computed at once: on a CPU so few that fp64 activations stay in a core's cache."""
    return CHUNK // 4 if precision.storage == torch.float64 and device == "cpu" else CHUNK


@lru_cache(maxsize=64)
def passes(
    net: MLP, precision: Precision, batch_sizes: tuple[int, ...], device: str
) -> list[tuple[int, tuple[int, ...]]]:
    """Say which batch sizes one pass over the data may serve on this machine: (rows at a time, batch sizes) per pass.

    A row must have the same bits in a mini-batch as in the pass, which no library promises, so it is tested (once per
    process). A batch size for which it fails gets a pass of its own, in slices of exactly that size.
    """
    layers = widen(cast(draw(net, 0), precision, device), precision)
    generator = torch.Generator().manual_seed(1)
    size = math.lcm(chunk(precision, device), *batch_sizes)
    x = torch.rand(size, net.sizes[0], generator=generator).to(precision.storage).to(device, layers[0][0].dtype)
    alone = [batch for batch in batch_sizes if not rows_keep_their_bits(net, layers, x, precision, batch)]
    shared = tuple(batch for batch in batch_sizes if batch not in alone)
    return ([(size, shared)] if shared else []) + [(batch, (batch,)) for batch in alone]
