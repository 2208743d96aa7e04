"""A small project in a temporary folder: result tables with known verdicts, and the folders they lie in."""

import matplotlib
import pandas as pd
import pytest

from kinks import paths, stats
from kinks.report import save_table

matplotlib.use("agg")  # for this process only: kernels that tests start still draw inline

WHO = {"data": "MNIST, first 10,000 training images (embedded)", "device": "cpu", "torch": "2.13.0", "code": "c0ffee"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project root with empty results, made the current one."""
    (tmp_path / "params.yaml").write_text("scale: laptop\n")
    (tmp_path / "notebooks").mkdir()
    reports = tmp_path / "reports"
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "REPORTS", reports)
    monkeypatch.setattr(paths, "RESULTS", reports)
    monkeypatch.setattr(paths, "TABLES", reports / "tables")
    monkeypatch.setattr(paths, "FIGURES", reports / "figures")
    monkeypatch.setenv("KINKS_SCALE", "laptop")
    return tmp_path


@pytest.fixture
def full(project):
    """The same with every table that the claims of the first paper name, holding what a laptop run would."""
    for name, table, keys in tables():
        save_table(table.assign(**WHO), name, keys=keys)
    return project


def share(count: int, n: int) -> dict:
    """The columns of a counted share."""
    low, high = stats.clopper_pearson(count, n)
    return {"count": count, "n": n, "share": count / n, "low": low, "high": high}


def tables():
    """The result tables, in the form the notebooks write them."""
    yield "introduction/summary", _introduction(), ["variant", "precision", "arm"]
    yield "volume/cells", _cells(), ["precision", "hidden_layers", "neurons", "batch_size", "rule"]
    yield "volume/sample_size", _curve(), ["network", "precision", "rule", "images"]
    yield "effect/summary", _effect(), ["network", "precision", "rule", "alpha"]
    yield "zeros/totals", _zeros(), ["precision", "hidden_layers", "neurons", "arm"]
    yield "zones/norms", _norms(), ["network", "precision", "bias", "deterministic", "arm"]
    yield "zones/norm_pool", _norm_pool(), ["precision", "bias", "rule"]
    zone = ["network", "batch_norm", "batch_size", "precision", "level", "arm", "threshold"]
    yield "zones/shares", _zone_shares(), zone
    yield "convolutional/cells", _networks(NETWORKS), ["network", "norm", "precision", "bias", "rule"]
    yield "convolutional/mnist", _networks(PERCEPTRONS), ["network", "norm", "precision", "bias", "rule"]
    yield "convolutional/first", _first(), ["precision", "rule"]
    yield "convolutional/zeros", _norm_zeros(), ["network", "norm", "precision"]


def _introduction() -> pd.DataFrame:
    rows = []
    for variant in ("relu", "relu6"):
        for precision, apart in (("fp32", 17), ("fp64", 0)):
            for arm in ("assign", "chain", "noise"):
                separated = 0 if arm == "noise" else apart
                low, high = stats.clopper_pearson(separated, 20)
                rows.append(
                    {"variant": variant, "precision": precision, "arm": arm, "n": 20, "separated": separated}
                    | {"low": low, "high": high, "zero_seeds": apart, "min_activation": 1e-9}
                    | {"max_difference": float(separated), "min_distance_to_six": 4.6}
                )
    return pd.DataFrame(rows)


def _cells() -> pd.DataFrame:
    published = {(1, 256): 0.054, (2, 256): 0.258, (3, 256): 0.476, (5, 256): 0.647, (6, 256): 0.697}
    published |= {(3, 16): 0.021, (3, 64): 0.163, (3, 512): 0.582, (3, 1024): 0.873}
    cells = [("fp32", depth, width, 256, value) for (depth, width), value in published.items()]
    cells += [("fp32", 3, 256, batch, value) for batch, value in ((16, 0.439), (512, 0.351), (1024, 0.384))]
    cells += [("fp16", 3, 256, 256, 1.0), ("fp16", 3, 16, 256, 0.333), ("fp64", 3, 256, 256, 0.0)]
    rows = []
    for precision, depth, width, batch, value in cells:
        implied = stats.rescaled_share(value, 10_000, 60_000)
        seen = stats.rescaled_share(0.476, 10_000, 60_000) if batch != 256 else min(implied, 0.95)
        for rule in ("assign", "chain", "noise"):
            count, n = (0, 100) if rule == "noise" else (round(1000 * seen), 1000)
            cell = {"network": "intended", "precision": precision, "bias": "accumulator", "hidden_layers": depth}
            cell |= {"neurons": width, "batch_size": batch, "images": 10_000, "rule": rule}
            rows.append(cell | share(count, n) | {"published": value, "implied": implied})
    return pd.DataFrame(rows)


def _curve() -> pd.DataFrame:
    cell = {"network": "published", "images": 10_000}
    return pd.DataFrame(
        cell | {"precision": precision, "rule": rule} | share(count, n) | {"published": value}
        for precision, value, count, n in (("fp32", 0.089, 22, 240), ("fp16", 0.789, 47, 60))
        for rule in ("assign", "chain")
    )


def _effect() -> pd.DataFrame:
    rows = []
    for precision, affected, minibatches in (("fp32", 24, 9600), ("fp16", 88, 2400)):
        for rule, alpha, count, size in (
            ("assign", 1.0, affected, 89.0), ("chain", 1.0, affected, 4e-3), ("noise", 0.0, 0, float("nan")),
            ("reordered", 0.0, affected, 1e-7), ("chain", 0.5, affected, 2e-3),
        ):  # fmt: skip
            low, high = stats.clopper_pearson(count, minibatches)
            row = {"network": "published", "precision": precision, "rule": rule, "alpha": alpha, "inits": 240}
            row |= {"minibatches": minibatches, "affected": count, "share": count / minibatches}
            row |= {"low": low, "high": high, "relative_q50": size, "median_low": size / 2, "median_high": 2 * size}
            rows.append(row)
    return pd.DataFrame(rows)


def _zeros() -> pd.DataFrame:
    rows = []
    for precision, rate in (("fp16", 2e-7), ("fp32", 5e-9)):
        for layers in (1, 3, 6):
            for neurons in (64, 256, 512):
                evaluations = layers * neurons * 10_000 * 10
                zeros = round(rate * evaluations)
                cell = {"precision": precision, "hidden_layers": layers, "neurons": neurons, "arm": "base"}
                epochs = {"epochs": 100, "first_epoch": round(0.4 * zeros), "last_epoch": round(0.1 * zeros)}
                rows.append(cell | {"zeros": zeros, "evaluations": evaluations} | epochs)
    return pd.DataFrame(rows)


NETWORKS = [  # network, norm, precision, bias, mini-batches affected under the released and the chain rule, of so many
    ("vgg11", "none", "fp16", "after_convolution", 40, 40, 40),
    ("vgg11", "centred", "fp16", "after_convolution", 21, 15, 100),
    ("vgg11", "none", "fp32", "after_convolution", 44, 6, 400),
    ("vgg11", "centred", "fp32", "after_convolution", 54, 20, 200),
    ("resnet18-3x3", "none", "fp32", "after_convolution", 26, 26, 400),
    ("resnet18-3x3", "centred", "fp32", "after_convolution", 54, 54, 200),
    ("vgg11", "fused", "fp32", "after_convolution", 1, 0, 200),
    ("vgg11", "none", "fp64", "after_convolution", 0, 0, 400),
]  # fmt: skip
PERCEPTRONS = [
    ("3x2048", "none", "fp32", "accumulator", 31, 31, 4000), ("3x2048", "centred", "fp32", "accumulator", 55, 55, 4000),
    ("3x2048", "none", "fp16", "accumulator", 88, 88, 400), ("3x2048", "centred", "fp16", "accumulator", 11, 11, 400),
]  # fmt: skip


def _networks(cells: list[tuple]) -> pd.DataFrame:
    rows = []
    for network, norm, precision, bias, assign, chain, n in cells:
        cell = {"network": network, "norm": norm, "precision": precision, "bias": bias}
        for rule, count, of in (("assign", assign, n), ("chain", chain, n), ("noise", 0, 100)):
            rows.append(cell | {"rule": rule} | share(count, of))
    return pd.DataFrame(rows)


def _first() -> pd.DataFrame:
    counts = (("assign", 40, 40), ("chain", 40, 40), ("noise", 0, 40))
    return pd.DataFrame({"precision": "fp16", "rule": rule} | share(count, n) for rule, count, n in counts)


def _norm_zeros() -> pd.DataFrame:
    cell = {"network": "vgg11", "precision": "fp32", "evaluations": 10**9}
    return pd.DataFrame(cell | {"norm": norm, "events": events} for norm, events in (("centred", 20), ("fused", 0)))


def _norms() -> pd.DataFrame:
    rows = []
    for precision, meant in (("fp16", 64), ("fp32", 64), ("fp64", 40)):
        for arm, count, n in (("swapped", 0, 64), ("beta", meant, meant), ("repeated", 0, 2)):
            low, high = stats.clopper_pearson(count, n)
            cell = {"network": "lenet5", "precision": precision, "bias": "accumulator"}
            cell |= {"deterministic": True, "arm": arm}
            within = {"within": count / n, "within_low": low, "within_high": high}
            rows.append(cell | share(count, n) | within)
    return pd.DataFrame(rows)


def _norm_pool() -> pd.DataFrame:
    rows = []
    for rule, zeros, above in (("chain", 8, 0), ("assign", 8, 230)):
        low, high = stats.clopper_pearson(zeros, 240)
        cell = {"precision": "fp16", "bias": "accumulator", "rule": rule, "n": 240, "zeros": zeros}
        rows.append(cell | {"zero": zeros / 240, "zero_low": low, "zero_high": high, "above": above})
    return pd.DataFrame(rows)


def _zone_shares() -> pd.DataFrame:
    cells = [("vgg11", False, 128, "fp16", 40, 40), ("vgg11", False, 128, "fp32", 52, 100)]
    cells += [("vgg11", False, 128, "fp64", 0, 20), ("vgg11", True, 128, "fp32", 80, 100)]
    cells += [("vgg11", False, 64, "fp32", 27, 100), ("vgg19", False, 64, "fp32", 27, 100)]
    cells += [("vgg19", False, 256, "fp32", 60, 100)]
    pairs = [("beta", "published"), ("beta", "reordered"), ("beta", "error"), ("reordered", "published")]
    rows = []
    for network, batch_norm, batch_size, precision, count, n in cells:
        for level in ("minibatch", "network", "first"):
            for arm, threshold in pairs:
                cell = {"network": network, "batch_norm": batch_norm, "batch_size": batch_size, "precision": precision}
                rows.append(cell | {"level": level, "arm": arm, "threshold": threshold} | share(count, n))
    return pd.DataFrame(rows)
