"""The report on the max-pool training sweep: tables, published numbers and sentences from runs whose ends are known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks.report import claims, reference, save_table, training
from kinks.report.max_pool import sweep, sweep_text

ROW = {
    "network": "lenet5", "dataset": "mnist", "batch_norm": False, "dropout": 0.0, "optimiser": "sgd",
    "precision": "fp16", "rate": 0.02326495, "autocast": False, "loss_scaling": "none", "reorder": False,
    "beta": 0.0, "forward": "exact", "batch": 16, "images": 2000, "held_out": 1000, "chance": 0.12,
    "experiment": "M8b", "rate_share": 1.0, "published_network": "lenet5", "published_dataset": "mnist",
}  # fmt: skip


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def runs(accuracies, *, epochs=2, ties=500, **given):
    """Rows of runs with equal settings, seed by seed: an accuracy at the end, or "diverged" or "chance"."""
    found = []
    for seed, end in enumerate(accuracies):
        status = end if isinstance(end, str) else "trained"
        lost = status == "diverged"
        accuracy = np.nan if lost else 0.12 if status == "chance" else end
        for epoch in range(epochs):
            row = (
                ROW
                | given
                | {"seed": seed, "epochs": epochs, "epoch": epoch, "status": status, "step": 125 * (epoch + 1)}
            )
            row |= {
                "test_accuracy": accuracy,
                "train_accuracy": accuracy,
                "train_loss": np.nan if lost else 2.0 - epoch,
            }
            row |= {
                "overflowed": 0.0,
                "zeros": 0.0,
                "ties": np.nan if lost else ties,
                "skipped": 0.0,
                "dead_layers": 0.0,
            }
            found.append(row | {"diverged_step": 3 if lost else -1, "cause": "pool: 2 MaxPool2d" if lost else ""})
    return found


BASE = [0.900, 0.905, 0.910, 0.915, 0.908, 0.903, 0.912, 0.907]
NEAR = [0.901, 0.904, 0.911, 0.915, 0.907, 0.903, 0.913, 0.906]


@pytest.fixture
def rows():
    """16 bits: 1,000 diverges with the released forward alone, 10,000 with both; 64 bits: nothing does; VGG small."""
    found = runs(BASE) + runs(BASE, forward="mixed") + runs(NEAR, reorder=True)
    for forward, bad in (("mixed", ["diverged"] * 8), ("exact", NEAR)):
        found += runs(NEAR, beta=10.0, forward=forward) + runs(bad, beta=1000.0, forward=forward)
        found += runs(["diverged"] * 7 + ["chance"], beta=10_000.0, forward=forward)
    exact = {"precision": "fp64", "experiment": "M8a", "rate": 0.03527836}
    found += runs(BASE, **exact) + runs(BASE, forward="mixed", **exact) + runs(BASE, beta=10_000.0, **exact)
    small = {"network": "vgg11/8", "published_network": "vgg11", "dataset": "photographs", "experiment": "M8h"}
    small |= {"rate": 1e-5, "rate_share": 0.5, "published_dataset": "svhn", "images": 480}
    found += runs(["chance"] * 3, **small) + runs(["chance"] * 3, beta=10.0, forward="mixed", **small)
    return training.dosed(pd.DataFrame(found), "beta")


@pytest.fixture
def tables(rows):
    finals = training.finals(rows)
    summary, effects = training.summary(finals), training.effects(finals)
    bounds = training.boundary(effects)
    return summary, effects, bounds, training.causes(effects, training.interaction(finals))


def one(table, **key):
    found = table[np.logical_and.reduce([table[name] == value for name, value in key.items()])]
    assert len(found) == 1
    return found.iloc[0]


def test_outcomes_count_failures_with_exact_intervals_and_name_the_experiment(rows, tables):
    found = sweep.outcomes(tables[0], rows)
    bad = one(found, experiment="M8b", variant="mixed", dose=1000.0)
    assert (bad["n"], bad["diverged_share"], bad["steps"], bad["rate_share"]) == (8, 1.0, 250, 1.0)
    assert bad["diverged_low"] == pytest.approx(0.6306, abs=1e-4) and bad["diverged_high"] == 1.0
    worst = one(found, experiment="M8b", variant="exact", dose=10_000.0)
    assert (worst["failed_share"], worst["diverged_share"], worst["trains"]) == (1.0, 7 / 8, True)
    small = found[found["network"] == "vgg11/8"]
    assert not small["same_network"].any() and not small["trains"].any() and (small["steps"] == 60).all()
    assert len(found) == len(tables[0])


def test_effects_carry_the_columns_that_claims_are_judged_by(rows, tables):
    summary, effects, *_ = tables
    found = sweep.compared(effects, summary, rows)
    lost = one(found, experiment="M8b", variant="mixed", dose=1000.0)
    assert lost["loss"] == -lost["difference"] and lost["loss_low"] == -lost["high"] and lost["differs"] == 1
    same = one(found, experiment="M8b", variant="exact", dose=1000.0)
    assert same["differs"] == 0 and same["compared"] == 1 and same["half_width"] < 0.005 and same["trains"]


def test_every_table_is_named_and_saved_with_keys_that_tell_rows_apart(project, rows, tables):
    summary, effects, bounds, causes = tables
    for name, table in (("effects", effects), ("boundaries", bounds), ("causes", causes)):
        named = sweep.named(table, rows).assign(data="some digits")
        assert named["experiment"].notna().all() and len(named) == len(table)
        save_table(named, f"pool_sweep/{name}", **training.saving(named))
    outcomes = sweep.outcomes(summary, rows)
    save_table(outcomes, "pool_sweep/outcomes", **training.saving(outcomes))


def test_the_text_says_what_fails_where_and_by_which_of_the_two(rows, tables):
    summary, effects, bounds, causes = tables
    text = sweep_text.text(sweep.outcomes(summary, rows), effects, bounds, causes, "some digits")
    assert "Data: some digits. 86 runs of 60 to 250 steps. Smaller than published: VGG-11 with 1/8" in text
    assert "β = 10 against β = 0: 0 of 3 comparisons differ significantly; 3 of 19 runs failed, against 3" in text
    assert "β = 1000 failed in 8 of 8 (8 diverged, the first after 3 steps: pool), β = 10000 failed in 8 of 8" in text
    assert "64 bits, rate 0.0353: β = 0 reaches 90.8%, 0 of 8 failed; exact forward, m: none of 8 runs failed" in text
    assert "rate 1e-05 (0.5 × the published one): β = 0 reaches 12.0%, 3 of 3 failed" in text
    assert "released form only 1, derivative 1" in text or "derivative 1, released form only 1" in text


def test_the_answer_parts_the_rounded_layer_from_the_jacobian(rows, tables):
    answer = sweep_text.answer(sweep.outcomes(tables[0], rows))
    assert "Released forward, β m + (1 − β) m: most runs of a network fail in 16 bits from β = 1000." in answer
    assert "in 16 bits from β = 10000, in 64 bits for no β up to 10000 (0 of 8 runs failed)." in answer
    assert "3 combinations of a network" in answer  # β = 10, 1,000 and 10,000; VGG learns nothing at β = 0
    cell = "LeNet-5 without batch norm, MNIST, SGD, 16 bits, rate 0.0233"
    assert f"with the released one alone at 1 ({cell}, β = 1000): there the rounded layer" in answer
    assert f"with both at 1 ({cell}, β = 10000): there the Jacobian is enough" in answer


def test_a_figure_names_the_images_it_stands_on(rows):
    labels = {"mnist": "some digits", "photographs": "some patches"}
    assert sweep.source(rows[rows["network"] == "lenet5"], labels) == "some digits"
    assert sweep.source(rows, labels) == "some digits; some patches"


def test_published_numbers_are_drawn_only_where_a_run_is_as_long(rows):
    summary, losses = reference("pool_train_summary"), reference("pool_train_curves")
    assert sweep.boxes(summary, rows).empty and sweep.losses(losses, rows).empty
    long = rows.assign(batch=128, images=60_000, epochs=100)
    found = sweep.boxes(summary, long)
    assert set(found["network"]) == {"lenet5"} and set(found["dose"]) == {0, 1, 10, 100}  # beyond, all diverged
    assert not found["batch_norm"].any() and (found["precision"] == "fp16").all()
    curves = sweep.losses(losses, long)
    assert curves["mean"].notna().all() and set(curves["precision"]) == {"fp16"}
    training.box(training.finals(long[long["network"] == "lenet5"]), published=found)
    training.curves(long[long["network"] == "lenet5"], published=curves)


def test_the_published_tables_agree_with_each_other():
    summary, curves = reference("pool_train_summary"), reference("pool_train_curves")
    assert "ec0eba5" in summary.attrs["source"] and "ec0eba5" in curves.attrs["source"]
    assert len(summary) == 139 and (summary["diverged"] <= summary["runs"]).all()
    keys = ["dataset", "network", "batch_norm", "optimiser", "precision", "autocast", "beta"]
    last = curves.sort_values("epoch").groupby(keys).tail(1).merge(summary, on=keys)
    assert len(last) and (last["epoch"] + 1 == last["epochs"]).all()
    assert last["test_accuracy"].to_numpy() == pytest.approx(last["mean"].to_numpy(), abs=2e-5)
    assert (last["finite"] == last["runs"] - last["diverged"]).all()
    small = summary[summary["beta"].isin([1, 10])]
    assert small["welch_t"].abs().max() < 2.3 and (small["diverged"] == 0).all()


EXPECTED = {
    ("M8b-fp16-thousand", "published"): "reproduced",
    ("M8b-fp16-thousand", "corrected"): "inconclusive",  # 250 steps without divergence cannot refute the claim
    ("M8b-forward-thousand", "corrected"): "reproduced",
    ("M8b-jacobian-thousand", "corrected"): "inconclusive",  # no significant loss
    ("M8b-jacobian-ten-thousand", "corrected"): "reproduced",
    ("M8b-jacobian-ten-thousand", "noise"): "reproduced",
    ("M8b-precision", "corrected"): "reproduced",
    ("M8-low-norm-trains", "published"): "reproduced",
    ("M8-low-norm-equal", "published"): "inconclusive",  # one comparison excludes little
    ("M8b-rate", "published"): "not run at this scale",
}


def test_claims_are_judged_arm_by_arm(project, rows, tables):
    summary, effects, *_ = tables
    for name, table in (
        ("outcomes", sweep.outcomes(summary, rows)),
        ("effects", sweep.compared(effects, summary, rows)),
    ):
        save_table(table.assign(data="some digits"), f"pool_sweep/{name}", **training.saving(table))
    ours = [claim for claim in claims.load() if claim.table.startswith("pool_sweep/")]
    found = {(result.claim.id, result.arm): result.verdict for result in claims.results(claims=ours)}
    assert {key: found[key] for key in EXPECTED} == EXPECTED


def test_a_networks_name_becomes_part_of_a_files():
    assert [sweep.slug(name) for name in ("lenet5", "resnet18-2x2/8")] == ["lenet5", "resnet18_2x2_8"]
