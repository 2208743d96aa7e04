"""The jobs on sawteeth: noise, real updates, training and execution, against the same thing done plainly."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
import torch

from kinks.pieces import along, counts, noise_study, sawtooth_executed, sawtooth_training, sawtooth_updates
from kinks.pieces.arithmetic import named
from kinks.pieces.descent import descent
from kinks.pieces.gradients import curvature, exact_gradients, network, parameters
from kinks.pieces.initial import initial
from kinks.pieces.noise import scaled, shaken
from kinks.pieces.rational import rational
from kinks.pieces.sawtooth import sawtooth
from kinks.pieces.sawtooth_data import SMOOTH, columns, examples, ordered

FORMATS = ("fp16", "bf16", "fp32", "fp64")


def test_a_draw_of_the_noise_study_is_a_network_counted_alone():
    rows = noise_study.absolute(family="bounded", neg_log2=3, levels=5, draws=4).set_index(["levels", "seed"])
    for levels, seed in ((2, 0), (5, 3)):
        alone = along(shaken(sawtooth(levels, "bounded"), 2.0**-3, [seed]).only(0), 0.0, 1.0)
        assert rows.loc[(levels, seed), ["regions", "pieces"]].tolist() == [alone.regions, alone.pieces]
    means = rows.groupby("levels")[["regions", "bound"]].mean()
    assert (means["regions"] <= means["bound"]).all()
    assert (means["bound"] <= 1 + 2 * means.index * 2.0**3).all()


def test_noise_far_below_the_smallest_tooth_raises_regions_more_than_pieces():
    rows = noise_study.absolute(family="bounded", neg_log2=20, levels=8, draws=30)
    last = rows[rows["levels"] == 8]
    assert 1.25 < last["regions"].mean() / 2**8 < 1.5
    assert 1.1 < last["pieces"].mean() / 2**8 < 1.25


def test_relative_noise_is_counted_beside_the_update_without_it():
    settings = {"levels": [3, 6], "step_size": 0.1, "inputs": 40, "draws": 8}
    rows = noise_study.relative(family="bounded", neg_log2=[1, 40], **settings)
    faint = rows[rows["neg_log2"] == 40]
    assert (faint["regions"] == faint["without"]).all()
    assert (
        rows.groupby(["levels", "neg_log2"])["regions"].mean() <= rows.groupby(["levels", "neg_log2"])["bound"].min()
    ).all()
    by_noise = rows.groupby(["levels", "neg_log2"])["bound"].first().unstack()
    np.testing.assert_allclose(by_noise[40] / by_noise[1], 2.0**39, rtol=0.2)  # inverse to the noise


def test_float64_alone_splits_breakpoints_that_coincide():
    rows = noise_study.multiplied(size=0.03, levels=7, draws=3)
    for _, row in rows.iterrows():
        true = rational(scaled(sawtooth(7), 0.03, int(row["seed"])), np.zeros(1), np.ones(1))
        assert row["regions"] == len(true.boundaries) + 1 and row["naive"] >= row["regions"]
    assert (rows["naive"] > rows["regions"]).any()
    for generic in (initial([1, 9, 7, 1], "default", 0), shaken(sawtooth(6), 0.1, [0]).only(0)):
        assert noise_study.naive_regions(generic) == along(generic, 0.0, 1.0).regions


def test_counts_without_noise_and_crossings_are_powers_of_two():
    exact = noise_study.exact(levels=6)
    assert len(exact) == 24 and (exact["ratio"] == 1).all() and exact["expected"].max() == 64
    crossed = noise_study.crossings(levels=5, draws=20)
    assert len(crossed) == 100 and (crossed["ratio"] == 1).all()
    assert (crossed["count"] == 2 ** crossed["levels"]).all()


def test_the_picture_is_the_network_rescaled_to_unit_height():
    table = noise_study.pictured([0.0, 2.0**-4], 3)
    before = table[table["eta"] == 0]
    assert before["y"].tolist() == [0.0, *[1.0, 0.0] * 16] and before["pieces"].iloc[0] == 32
    after = table[table["eta"] > 0]
    shown = shaken(sawtooth(5, "bounded"), 2.0**-4, [3]).only(0)
    np.testing.assert_allclose(after["y"], 32 * shown(after["x"].to_numpy()[:, None])[:, 0], atol=1e-12)


@pytest.mark.parametrize("storage", FORMATS)
def test_examples_are_exact_in_their_own_format_and_in_no_other_kind(storage):
    x, y = columns(*examples(50, 5, "unit", 0, "own", storage))
    arithmetic = named(storage)
    for numbers in (x, y):
        assert torch.equal(arithmetic.store(numbers).double(), numbers)
    x, _ = examples(50, 5, "unit", 0, "rational", storage)
    assert not any(Fraction(float(one)) == one for one in x)


def test_kinds_of_examples():
    x, y = examples(20, 4, "bounded", 1, "rational", "fp64")
    same, higher = examples(20, 4, "bounded", 1, "smooth", "fp64")
    assert x == same and [b - a for a, b in zip(y, higher, strict=True)] == [4 * SMOOTH * one * (1 - one) for one in x]
    assert all((one * 2**53).denominator == 1 for one in examples(20, 4, "unit", 1, "float64", "fp16")[0])
    mixed_x, mixed_y = ordered(x, y, "shuffled", 0)
    assert mixed_x != x and dict(zip(mixed_x, mixed_y, strict=True)) == dict(zip(x, y, strict=True))
    assert ordered(x, y, "given", 0) == (x, y)
    with pytest.raises(ValueError, match="kind of inputs is 'random'; allowed: own, float64, rational, smooth"):
        examples(2, 2, "unit", 0, "random", "fp64")


def test_an_update_with_exact_gradients_is_the_oracles():
    settings = {"levels": 4, "formats": list(FORMATS), "step_sizes": [1e-4, 0.1], "inputs": 30}
    rows = sawtooth_updates.job(family="bounded", seed=2, **settings)
    assert len(rows) == 2 * (1 + 2 * 4)
    plain = sawtooth(4, "bounded")
    slopes = exact_gradients(plain, *examples(30, 4, "bounded", 2, "smooth", "fp64"))[:-1]
    biases = [layer.bias[0] - 0.1 * one.astype(float) for layer, one in zip(plain.hidden, slopes, strict=True)]
    exact = rows[(rows["storage"] == "exact") & (rows["step_size"] == 0.1)].iloc[0]
    true = rational(plain.with_biases(biases), np.zeros(1), np.ones(1))
    assert exact["regions"] == len(true.boundaries) + 1 and exact["largest"] <= 2.0**-53
    largest = rows[rows["order"] == "given"].groupby("storage")["median"].first()
    assert largest["fp64"] < 1e-12 < largest["fp32"] < 1e-4 < largest["fp16"] < largest["bf16"]


def test_an_infinite_update_is_not_counted():
    layers = sawtooth(2).hidden
    row = sawtooth_updates._after(sawtooth(2), [np.full(len(one.weight), np.inf) for one in layers], 0.1)
    assert np.isnan(row["regions"]) and np.isnan(row["pieces"])


@pytest.mark.parametrize("storage", ["fp16", "fp32", "fp64"])
def test_training_side_by_side_is_plain_descent_bit_for_bit(storage):
    arithmetic, sizes, seeds = named(storage), [1e-3, 1e-2], [0, 5]
    samples = [columns(*examples(30, 4, "unit", seed, "smooth", storage)) for seed in seeds]
    x, y = (torch.stack(some)[:, None] for some in zip(*samples, strict=True))
    start = parameters(sawtooth(4), arithmetic)
    together = dict(sawtooth_training.descended(start, x, y, sizes, arithmetic, [0, 2, 6]))
    assert set(together) == {0, 2, 6}
    for one, sample in enumerate(samples):
        for k, size in enumerate(sizes):
            *_, last = islice(descent(start, *sample, size, arithmetic), 6)
            for (w, b), (weight, bias) in zip(together[6], last, strict=True):
                assert torch.equal(w[one, k], weight) and torch.equal(b[one, k], bias)


def training(**changes):
    settings = {"family": "unit", "levels": 5, "kind": "own", "storage": "fp16", "order": "given"}
    settings |= {"step_sizes": [1e-4, 1e-3], "steps": 12, "inputs": 64, "seeds": [0, 1], "device": "cpu"}
    return sawtooth_training.job(**(settings | changes))


@pytest.mark.parametrize("storage", FORMATS)
def test_zero_residuals_leave_the_sawtooth_still_in_every_format(storage):
    still = training(storage=storage)
    assert (still["regions"] == 32).all() and not still["moved"].any()
    assert sorted(still["step"].unique()) == [0, 1, 3, 10, 12] and len(still) == 5 * 2 * 2
    one_grid = training(storage=storage, kind="float64")
    assert one_grid["moved"].any() == (storage != "fp64")
    assert training(storage=storage, kind="rational")["moved"].any()


def test_every_run_has_the_curvature_of_its_own_inputs():
    rows = training(kind="smooth", order="shuffled")
    for seed in (0, 1):
        (x,) = columns(examples(64, 5, "unit", seed, "rational", "fp16")[0])
        largest = curvature(parameters(sawtooth(5), named("fp64")), x)
        assert rows[rows["seed"] == seed]["lambda_max"].to_numpy() == pytest.approx(largest)
    assert rows["product"].to_numpy() == pytest.approx((rows["step_size"] * rows["lambda_max"]).to_numpy())


def test_a_run_that_overflows_has_no_count():
    rows = training(kind="smooth", step_sizes=[1e3], seeds=[0]).set_index("step")
    assert rows.loc[0, "regions"] == 32 and np.isnan(rows.loc[12, ["regions", "pieces"]].astype(float)).all()


def test_counts_are_those_of_the_stored_numbers():
    rows = training(kind="rational", storage="fp32", steps=3, seeds=[1], step_sizes=[1e-3])
    x, y = columns(*examples(64, 5, "unit", 1, "rational", "fp32"))
    *_, last = islice(descent(parameters(sawtooth(5), named("fp32")), x, y, 1e-3, named("fp32")), 3)
    assert rows[rows["step"] == 3]["regions"].tolist() == counts(network(last), 0.0, 1.0).regions.tolist()


def test_the_executed_sawtooth_has_its_known_counts():
    half = sawtooth_executed.everywhere(storage="fp16", levels=[5, 10, 11, 12, 25]).set_index("levels")
    assert half["regions"].tolist() == [32, 1024, 1793, 2817, 15361] and half.loc[5, "strict"] == 41
    assert half.loc[11, "upper_nonzero"] > 0 == half.loc[12, "upper_nonzero"] and half.loc[25, "nonzero"] == 0
    assert half["exhaustive"].all() and (half["inputs"] == 15361).all()
    single = sawtooth_executed.everywhere(storage="fp32", levels=[3, 9])
    assert single["regions"].tolist() == [8, 512] and not single["exhaustive"].any()


@pytest.mark.parametrize(("storage", "levels"), [("fp16", 12), ("bf16", 9), ("fp32", 25)])
def test_it_is_zero_above_one_half_once_the_bits_are_used_up(storage, levels):
    (row,) = sawtooth_executed.vanishing(storage=storage, inputs=500, seed=0).to_dict("records")
    assert (row["levels"], row["excess"], row["exhaustive"]) == (levels, 1, storage != "fp32")
