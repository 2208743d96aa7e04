"""Networks with and without batch norm (E8, E11): what to run, and the tables of shares, zeros and curves."""

from collections.abc import Mapping, Sequence

import pandas as pd

from kinks import stats
from kinks.audit.cells import proportion
from kinks.audit.first_weight import NORMS

CELL = ["network", "batch_norm", "norm", "precision", "bias", "batch_size"]
RULES = ("assign", "chain", "zero", "noise")
PRECISIONS = {16: "fp16", 32: "fp32", 64: "fp64"}
REGISTERED = {"vgg11": "vgg11", "resnet18": "resnet18-3x3"}
CODE_BATCH, TABLE_BATCH = 128, 100  # the size of mini-batches by the published notebooks, and by their own tables
MNIST_BATCH = 100
SLOW = {"fp64": 7}  # times the cost of other precisions
CHEAP = 0.06  # a perceptron's mini-batch, against a convolutional network's


def plan(
    inits: Mapping[str, Mapping[str, Sequence[int]]],
    early_bias: Mapping[str, int],
    most: Mapping[str, int],
    noise: Mapping[str, int],
    per_job: int,
    batch_size: int,
    colours: dict,
    digits: dict,
    device: str,
) -> list[dict]:
    """List the jobs of `kinks.audit.first_difference.job`, longest first, each of at most `per_job` initialisations.

    Args:
        inits: per network and precision, how many initialisations without batch norm, with batch norm in a GPU's order
            of operations, and in a CPU's. Networks called `3x...` get `digits` in mini-batches of 100, others colours.
        early_bias: per precision, initialisations of VGG-11 without batch norm whose bias enters the accumulator; all
            others add it after the convolution was rounded, as a GPU does.
        most: per precision, mini-batches after which an initialisation is given up (those of digits end with the data).
        noise: per precision, how many initialisations of a convolutional network's cell measure the noise floor; of a
            perceptron's, all do.

    Raises:
        ValueError: not three numbers, or a precision for which `most` says nothing.
    """
    cells = [("vgg11", "none", precision, "accumulator", n) for precision, n in early_bias.items()]
    for network, by_precision in inits.items():
        late = "accumulator" if network.startswith("3x") else "after_convolution"
        for precision, counts in by_precision.items():
            if len(counts) != len(NORMS):
                raise ValueError(f"{network}, {precision}: {list(counts)} given; give one number for each of {NORMS}")
            cells += [(network, norm, precision, late, n) for norm, n in zip(NORMS, counts, strict=True)]
    if unknown := sorted({cell[2] for cell in cells} - set(most)):
        raise ValueError(f"most has no number for {unknown[0]}; it has {', '.join(most)}")
    jobs = []
    for network, norm, precision, bias, n in cells:
        dense = network.startswith("3x")
        job = {"network": network, "norm": norm, "precision": precision, "bias": bias, "device": device}
        job |= {"data": digits, "batch_size": MNIST_BATCH, "most": digits["images"] // MNIST_BATCH} if dense else {
            "data": colours, "batch_size": batch_size, "most": most[precision]
        }  # fmt: skip
        job["noise_seeds"] = n if dense else noise.get(precision, 0)
        jobs += [job | {"first_seed": at, "seeds": min(per_job, n - at)} for at in range(0, n, per_job)]
    return sorted(jobs, key=_cost, reverse=True)


def _cost(job: dict) -> float:
    kind = CHEAP if job["network"].startswith("3x") else 1
    return job["seeds"] * job["most"] * kind * SLOW.get(job["precision"], 1)


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, per cell and rule, the share of mini-batches in which the gradient differs.

    count of n mini-batches, share, low, high (95 %, Clopper-Pearson, which covers under this stopping rule too, though
    the share itself is somewhat high where few initialisations stop it); mean_first, the mean index of the first, from
    1, over the affected of inits. Rule `zero` counts mini-batches that meet an exact zero, `noise` gradients that are
    not equal to themselves. Initialisations with numbers that are not finite are left out and counted in not_finite.
    """
    found = []
    for key, group in rows.assign(batch_norm=rows["norm"] != "none").groupby(CELL, sort=True):
        sound = group[group["finite"]]
        cell = dict(zip(CELL, key, strict=True)) | {"inits": len(sound), "not_finite": len(group) - len(sound)}
        total = int(sound["minibatches"].sum())
        for rule in RULES:
            if rule == "noise":
                again = sound["noise"].dropna()
                found.append(cell | {"rule": rule, "affected": 0} | proportion(int(again.sum()), len(again)))
                continue
            first = sound.loc[sound[f"first_{rule}"] >= 0, f"first_{rule}"]
            seen = {"rule": rule, "affected": len(first), "mean_first": float((first + 1).mean())}
            found.append(cell | seen | proportion(int(sound[f"with_{rule}"].sum()), total))
    return pd.DataFrame(found)


def published_shares(summary: pd.DataFrame, batch_size: int) -> pd.DataFrame:
    """Return the published rates per mini-batch, one over the mean first index, keyed like `shares`, with intervals.

    `published_if_100` brings the rate to `batch_size` images in case the published mini-batches held 100, as the tables
    say, and not 128, as the code does.
    """
    n = (summary["n_inits"] * summary["mean_first_minibatch"]).round().astype(int)
    low, high = stats.clopper_pearson(summary["n_in_S01"].to_numpy(), n.to_numpy())
    share = summary["n_in_S01"] / n
    return pd.DataFrame(
        {"network": summary["network"].map(REGISTERED), "batch_norm": summary["batch_norm"],
         "precision": summary["precision_bits"].map(PRECISIONS), "published": share, "published_low": low,
         "published_high": high, "published_mean_first": summary["mean_first_minibatch"],
         "published_if_100": stats.rescaled_share(share.to_numpy(), batch_size, TABLE_BATCH)}
    )  # fmt: skip


def published_digits(curve: pd.DataFrame, network: str) -> pd.DataFrame:
    """Return the rate per mini-batch of 100 that each digitised curve implies where it is nearest to one half."""
    middle = curve.assign(off=(curve["proportion"] - 0.5).abs()).sort_values("off", kind="stable")
    rows = middle.drop_duplicates(["batch_norm", "precision_bits"]).sort_index()
    rate = stats.rescaled_share(rows["proportion"].to_numpy(), MNIST_BATCH, rows["images"].to_numpy())
    precision = rows["precision_bits"].map(PRECISIONS)
    keyed = {"network": network, "batch_norm": rows["batch_norm"], "precision": precision, "published": rate}
    return pd.DataFrame(keyed).reset_index(drop=True)


def first_minibatch(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of initialisations that differ in their very first mini-batch, in 16 bits, per rule.

    Pooled over the networks for which the paper found all of 1000: VGG-11 without batch norm and ResNet-18.
    """
    chosen = rows[(rows["precision"] == "fp16") & (rows["bias"] == "after_convolution") & rows["finite"]]
    chosen = chosen[(chosen["norm"] == "none") | ((chosen["norm"] == "centred") & (chosen["network"] != "vgg11"))]
    again = chosen["noise"].dropna()
    counted = {rule: (int((chosen[f"first_{rule}"] == 0).sum()), len(chosen)) for rule in ("assign", "chain")}
    counted["noise"] = (int(again.sum()), len(again))
    return pd.DataFrame([{"precision": "fp16", "rule": rule} | proportion(*pair) for rule, pair in counted.items()])


def zeros(rows: pd.DataFrame) -> pd.DataFrame:
    """Return exact zeros per pre-activation of each cell: events, evaluations, rate, low, high (95 %, Poisson)."""
    found = []
    for key, group in rows.assign(batch_norm=rows["norm"] != "none").groupby(CELL, sort=True):
        events, evaluations = int(group["zeros"].sum()), int(group["evaluations"].sum())
        low, high = stats.poisson_rate(events, evaluations)
        counted = {"events": events, "evaluations": evaluations, "rate": events / evaluations, "low": low, "high": high}
        found.append(dict(zip(CELL, key, strict=True)) | counted)
    return pd.DataFrame(found)


def survival(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the share of initialisations affected within so many mini-batches (Kaplan-Meier: some are given up).

    One row per cell, rule and step of its curve: minibatches, images, share, at_risk (initialisations followed so far).
    """
    found = []
    sound = rows[rows["finite"]].assign(batch_norm=rows["norm"] != "none")
    for key, group in sound.groupby(CELL, sort=True):
        for rule in ("assign", "chain"):
            met = group[f"first_{rule}"] >= 0
            time = group["minibatches"].where(~met, group[f"first_{rule}"] + 1)
            left = 1.0
            for step in sorted({0, *time[met], int(time.max())}):
                at_risk = int((time >= step).sum())
                left *= 1 - int((met & (time == step)).sum()) / at_risk
                cell = dict(zip(CELL, key, strict=True)) | {"rule": rule, "minibatches": int(step)}
                found.append(cell | {"images": int(step) * key[-1], "share": 1 - left, "at_risk": at_risk})
    return pd.DataFrame(found)
