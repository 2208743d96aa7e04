"""`python -m benchmarks costs`: what every published training run would cost on this machine, from measured steps.

A few steps of each distinct configuration are timed at the published batch size, in a process of its own, on embedded
images of the same size; sizes of the data sets, epochs and numbers of runs are the published ones. On a CPU seconds are
CPU seconds of one core.
"""

import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Iterator
from functools import cache

import pandas as pd
import torch

from benchmarks.timing import CPU, GPU, Clock
from benchmarks.training import dataset_of
from kinks import paths
from kinks.precision import fixed
from kinks.train import loop, published
from kinks.train.settings import Settings
from kinks.train.training import Training

IMAGES = {"mnist": (60_000, 10_000), "cifar10": (50_000, 10_000), "svhn": (531_131, 26_032)}  # trained on, tested on
KEY = ["paper", "network", "optimiser", "precision", "batch_norm", "dropout"]
BATCH = 128
SECONDS, STEPS = 0.5, (2, 20)  # steps are timed for so long, at least and at most so many
COLUMNS = (
    "name dataset network batch_norm optimiser precision dropout epochs runs step_s test_s epoch_s run_h "
    "runs_per_h total_h memory_mib device"
).split()


def main(device: str | None = None) -> int:
    """Measure, print, and write reports/costs.csv and .md."""
    start, found = time.monotonic(), table(device)
    paths.RESULTS.mkdir(exist_ok=True)
    found.to_csv(paths.RESULTS / "costs.csv", index=False)
    (paths.RESULTS / "costs.md").write_text(text(found))
    print(text(found))
    print(f"written in {time.monotonic() - start:.0f} s: {paths.RESULTS / 'costs.csv'}, costs.md")
    return 0


def table(device: str | None = None, configurations: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return one row per published configuration (all, unless given as rows of `listed`), in `COLUMNS`."""
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    rows = listed() if configurations is None else configurations
    distinct = rows[KEY].drop_duplicates()
    measured = pd.DataFrame(apart([(given, device) for given in distinct.to_dict("records")]))
    rows = rows.merge(pd.concat([distinct.reset_index(drop=True), measured], axis=1), on=KEY)
    steps = -(-rows["train_images"] // BATCH)
    rows["epoch_s"] = steps * rows["step_s"] + rows["test_images"] * rows["test_s"]
    rows["run_h"] = rows["epochs"] * rows["epoch_s"] / 3600
    rows["runs_per_h"] = 1 / rows["run_h"]
    rows["total_h"] = rows["runs"] * rows["run_h"]
    pixels = rows["dataset"].map(lambda dataset: 28 * 28 if dataset == "mnist" else 3 * 32 * 32)
    rows["memory_mib"] += ((rows["train_images"] + rows["test_images"]) * pixels / 2**20).round().astype(int)
    return rows[COLUMNS].round({"step_s": 5, "test_s": 6, "epoch_s": 1, "run_h": 3, "runs_per_h": 3, "total_h": 1})


def apart(jobs: list[tuple[dict[str, object], str]]) -> list[dict[str, object]]:
    """`measure` in a process per job, so that each has its own peak of memory; one at a time on a GPU."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.costs"])
    with context.Pool(1 if jobs[0][1] == "cuda" else 2, maxtasksperchild=1) as pool:
        return pool.starmap(measure, jobs, chunksize=1)


def listed() -> pd.DataFrame:
    """Return every published configuration: its settings, epochs, runs (of a search: trials) and sizes of its data.

    Runs are of one program per value of ReLU'(0) or beta; with the corrected one they are about twice as many.
    """
    rows = []
    for row in published.table().to_dict("records"):
        values, dropouts = str(row["values"]).split(), [float(share) for share in str(row["dropouts"]).split()]
        each = int(row["trials"]) if row["name"].startswith("M7") else row["runs"]
        train_images, test_images = IMAGES[row["dataset"]]
        for dropped in sorted({share > 0 for share in dropouts}):
            count = sum((share > 0) == dropped for share in dropouts)
            rows.append({
                **{name: row[name] for name in ("name", "dataset", "epochs", *KEY[:-1])},
                "dropout": 0.5 if dropped else 0.0, "runs": len(values) * each * count,
                "train_images": train_images, "test_images": test_images,
            })  # fmt: skip
    return pd.DataFrame(rows)


def settings(given: dict[str, object], device: str) -> Settings:
    """The run to time: the derivative at the kink is 1, which is not torch's own."""
    data = _images(dataset_of(given["network"]), (STEPS[1] + 1) * BATCH, BATCH)
    kink = {"alpha": 1.0, "rule": "assign"} if given["paper"] == "relu-prime" else {"beta": 1.0}
    names = ("network", "optimiser", "batch_norm", "dropout")
    shared = {name: given[name] for name in names} | published.FORMATS[given["precision"]]
    return Settings(
        **data | {"classes": None} | shared | kink | {"epochs": 1, "rate": 1e-6, "batch": BATCH, "device": device}
    )


@cache
def _images(dataset: str, images: int, held_out: int) -> dict[str, object]:
    return loop.data(dataset, images=images, held_out=held_out)[0]


def measure(given: dict[str, object], device: str) -> dict[str, object]:
    """Return seconds per step, seconds per test image, and the process's peak of memory in MiB."""
    run, clock = settings(given, device), GPU if device == "cuda" else CPU
    with fixed(run.layers):
        training = Training(run)
        times = list(_times(training, clock))
        training.net.eval()
        start = clock.now()
        with torch.no_grad():
            training.classified(training.test)
        tested = (clock.now() - start) / run.held_out
    memory = torch.cuda.max_memory_allocated() if device == "cuda" else resident()
    found = {"step_s": statistics.median(times), "test_s": tested, "memory_mib": round(memory / 2**20)}
    return found | {"device": clock.device()}


def _times(training: Training, clock: Clock) -> Iterator[float]:
    """Seconds of each step, its mini-batch included, after a first one that is left out."""
    training.net.train()
    training.census.start()
    batches, total = training.minibatches(0), 0.0
    for count in range(-1, STEPS[1]):
        start = clock.now()
        _, logits, _ = training.step(0, *(batch := next(batches)))
        (logits.argmax(1) == batch[1]).sum()
        taken = clock.now() - start
        if count >= 0:
            yield taken
            total += taken
        if count + 1 >= STEPS[0] and total > SECONDS:
            return


def resident() -> int:
    """Peak of this process's resident memory in bytes."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def text(found: pd.DataFrame) -> str:
    """The table as a page: hours per experiment and configuration, and their sum."""
    searches = found["name"].str.startswith("M7")
    hours, wanted = found["total_h"].sum(), found.loc[~searches, "total_h"].sum()
    shown = found.drop(columns=["device", "test_s"]).to_markdown(index=False)
    sizes = ", ".join(f"{name} {n:,} + {m:,} images" for name, (n, m) in IMAGES.items())
    return (
        "# What the published training runs would cost here\n\n"
        f"Measured on {found['device'].iloc[0]}: the median of some steps of {BATCH} images, with the "
        "derivative 1 at the kink, zeros and ties counted, and the evaluation of as many; seconds are of one core "
        "where this is a processor, and memory is that of the process with all images. The rest is arithmetic with the "
        f"published epochs, runs and sizes: {sizes}. M7 are learning-rate searches, whose pruned trials cost less.\n\n"
        f"In all {hours:,.0f} hours, of them {wanted:,.0f} of training runs; {len(found)} configurations, "
        f"{found['runs'].sum():,} runs.\n\n{shown}\n"
    )
