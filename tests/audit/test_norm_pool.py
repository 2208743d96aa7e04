"""NormPool: gradients differ only where squares underflow, and the short way finds what two networks give."""

import pytest
import torch
from torch import nn

from kinks.audit import norm_pool
from kinks.audit.pool_gradients import EQUAL
from kinks.data import load
from kinks.nets.initialise import initialise
from kinks.nets.precise import loss
from kinks.precision import fixed, named


def pair(precision, rule="chain", seed=0):
    models = [norm_pool.network(value, rule, precision) for value in (0.0, 1.0)]
    return [initialise(model, "kaiming_uniform", seed) for model in models]


def images(precision, scale=1.0):
    x = torch.rand(8, 1, 28, 28, generator=torch.Generator().manual_seed(2)) * scale
    return x.to(precision.storage), torch.arange(8)


def described(models, x, labels):
    for model in models:
        loss(model(x), labels).backward()
    n1 = torch.zeros((), dtype=x.dtype)
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        n1 = n1 + torch.linalg.vector_norm(a.grad - b.grad, 1)
    return float(n1)


@pytest.mark.parametrize("rule", ["chain", "assign"])
@pytest.mark.parametrize("scale", [1.0, 3e-4])
def test_norms_are_those_of_two_networks(rule, scale):
    precision = named("fp16")
    models, (x, labels) = pair(precision, rule), images(precision, scale)
    with fixed(precision):
        norms, underflowed, windows = norm_pool.compare(*models, x, labels)
        assert norms.n1 == described(models, x, labels)
    assert windows == 8 * (6 * 144 + 16 * 16)
    if scale < 1:
        assert underflowed > 0 and norms.n1 > 0


def test_nothing_is_differentiated_where_nothing_underflows(monkeypatch):
    precision = named("fp32")
    models, (x, labels) = pair(precision), images(precision, 3e-4)
    monkeypatch.setattr(norm_pool, "gradient", None)
    with fixed(precision):
        assert norm_pool.compare(*models, x, labels) == (EQUAL, 0, 8 * (6 * 144 + 16 * 16))


def test_underflow_is_counted_window_by_window():
    model = norm_pool.network(0.0, "chain", named("fp16"))
    first = next(place for place, child in enumerate(model) if isinstance(child, norm_pool.NormPool2d))
    x = torch.zeros(1, 1, 4, 4, dtype=torch.float16)
    x[0, 0, 0, 0], x[0, 0, 3, 3] = 1e-4, 1e-3  # the square of the first is 0, that of the second is not
    assert norm_pool._underflowed(nn.Sequential(model[first]), x) == (1, 4)


def test_a_job_gives_a_row_per_network_and_minibatch():
    card = load("mnist", source="embedded").card
    common = {"bias": "accumulator", "rule": "chain", "init": "kaiming_uniform", "source": "embedded", "device": "cpu"}
    common |= {"checksum": card.checksum, "batch_size": 32, "first_seed": 0, "seeds": 2, "minibatches": 3}
    rows = norm_pool.job(precision="fp16", **common)
    assert len(rows) == 6 and rows["minibatch"].tolist() == [0, 1, 2, 3, 4, 5]
    assert ((rows["underflowed"] > 0) | (rows["n1"] == 0)).all() and rows["n1"].between(0, 1e-3).all()
    wide = norm_pool.job(precision="fp32", **common | {"seeds": 1})
    assert (wide[["n1", "underflowed"]] == 0).all(axis=None)
