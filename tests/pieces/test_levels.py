"""Noise levels of formats (K5) and the bound against noise draws (C7)."""

import numpy as np
import pytest

from kinks.pieces import bounded, levels, tasks
from kinks.pieces.arithmetic import named
from kinks.pieces.gradients import bias_gradients, parameters, stacked
from kinks.pieces.initial import initial

WIDE = named("fp64")
T1 = {"name": "interval", "target": "sine", "points": 64}
SHAPE = {"task": T1, "init": "default", "bias_sd": 0.0, "hidden_layers": 2, "widths": [8], "step_size": 0.05}


@pytest.fixture(scope="module")
def several():
    return stacked([parameters(initial([1, 8, 8, 1], "default", seed), WIDE) for seed in range(3)])


def median(errors):
    found = np.concatenate([one.ravel() for one in errors])
    return np.median(found[np.isfinite(found)])


def test_float64_is_its_own_reference_and_its_order_of_summation_matters_in_the_last_bits(several):
    found = levels.compared(several, tasks.task(**T1), "fp64", "fp64")
    assert all(np.nan_to_num(one).max() == 0 for one in (*found["fp64"], *found["stored"]))
    assert 0 < median(found["reordered"]) < 1e-12


def test_each_narrower_step_adds_noise(several):
    data = tasks.task(**T1)
    half, wide = (levels.compared(several, data, "fp16", sums) for sums in ("fp16", "fp32"))
    single = levels.compared(several, data, "fp32", "fp32")
    assert median(single["fp64"]) < median(wide["stored"]) < median(wide["fp64"])
    assert median(wide["stored"]) < median(half["stored"])
    assert median(wide["reordered"]) == 0 < median(half["reordered"])


def test_numpys_program_is_the_same_gradient_and_sums_examples_in_the_format(several):
    data = tasks.task(**T1)
    for ours, theirs in zip(
        levels.as_numpy(several, data, "fp64"), bias_gradients(several, data.x, data.y, WIDE), strict=False
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-9, atol=1e-14)
    error = median(levels.compared(several, data, "fp16", "numpy")["fp64"])
    assert median(levels.compared(several, data, "fp16", "fp32")["fp64"]) < 2 * error
    assert set(levels.compared(several, data, "fp16", "numpy")) == {"fp64"}


def test_rows_name_the_format_and_what_it_is_held_against():
    rows = levels.job(**SHAPE, seeds=2, steps=[0, 2], formats=[["fp16", "fp32"], ["fp32", "numpy"]])
    assert len(rows) == 2 * 2 * 2 * (3 + 1)
    assert set(rows["against"]) == {"fp64", "stored", "reordered"} and set(map(len, rows["delta"])) == {8}


def test_float64_is_close_to_exact_rationals():
    rows = levels.exact_job(hidden_layers=[2], width=3, points=8, seeds=2, formats=["fp64", "fp16"])
    worst = rows.groupby("storage")["delta"].agg(lambda ones: np.nanmax(np.concatenate([*map(np.array, ones)])))
    assert worst["fp64"] < 1e-11 < worst["fp16"]


def test_the_level_has_the_median_of_the_errors():
    uniform = np.random.default_rng(0).uniform(-0.05, 0.05, 20_001)
    assert bounded.level([1 + uniform], [np.ones(20_001)]) == pytest.approx(0.1, rel=0.03)
    assert np.isnan(bounded.level([[0.0]], [[0.0]]))


def test_the_bound_holds_and_is_sharp_for_one_hidden_layer_under_large_noise():
    job = SHAPE | {"hidden_layers": 1, "seeds": 2, "steps": [0]}
    rows = bounded.job(**job, formats=["fp16"], deltas=[1.0, 1e6], draws=200)
    assert len(rows) == 2 * 3 and (rows["t"] < 3).all()
    assert (rows["bound"] <= rows["polynomial"] * (1 + 1e-9)).all() and (rows["most"] == 9).all()
    far = rows[rows["delta"] == 1e6]
    assert (far["bound"] / far["mean_regions"]).between(0.8, 1.5).all()
    near = rows[rows["delta"] == 1.0]
    assert (near["bound"] / near["mean_regions"] > 10).all() and (near["t"] < -10).all()
    assert (far["t_tenfold"] >= far["t"]).all()


def test_a_student_statistic_of_equal_numbers_is_infinite_or_zero():
    assert bounded._student(np.array([1.0, 1.0])) == np.inf and bounded._student(np.zeros(3)) == 0.0
