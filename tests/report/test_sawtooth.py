"""Sawteeth (K4, K6): tables, intervals, sentences and figures from rows whose answers are known."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from scipy import special

from kinks.pieces import noise_study, sawtooth_executed, sawtooth_training, sawtooth_updates
from kinks.report import reference
from kinks.report.affine_pieces import (
    sawtooth_figures,
    sawtooth_growth,
    sawtooth_noise,
    sawtooth_runs,
    sawtooth_runs_text,
    sawtooth_text,
)


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def draws(law, family="bounded", neg_log2=4, levels=14, n=40, spread=0.05):
    """Rows of the noise study whose mean regions at each depth are `law(depth)`."""
    random = np.random.default_rng(0)
    rows = []
    for depth in range(1, levels + 1):
        counted = law(depth) * (1 + spread * random.standard_normal(n))
        rows.append(
            pd.DataFrame({"levels": depth, "seed": range(n), "regions": counted, "pieces": counted, "bound": 1e9})
        )
    return pd.concat(rows).assign(family=family, neg_log2=neg_log2)


@pytest.mark.parametrize(
    ("law", "exponent", "rejected"),
    [(lambda depth: 100.0, 0.0, {"doubling"}), (lambda depth: 10.0 * depth, 1.0, {"constant", "doubling"}),
     (lambda depth: 2.0**depth, None, {"constant", "line"})],
)  # fmt: skip
def test_growth_tells_a_constant_a_line_and_doubling_apart(law, exponent, rejected):
    (row,) = sawtooth_growth.growth(draws(law)).to_dict("records")
    assert (row["first"], row["last"], row["n"]) == (7, 14, 40)
    wanted = row["exponential"] if exponent is None else exponent
    assert row["exponent_low"] < wanted < row["exponent_high"]
    assert {name for name in ("constant", "line", "doubling") if row[f"p_{name}"] < 0.01} == rejected
    assert row["doublings"] == pytest.approx(1.0, abs=0.02) if exponent is None else row["doublings"] < 0.2


def test_too_few_depths_beyond_the_knee_say_nothing():
    found = sawtooth_growth.growth(draws(lambda depth: 5.0, levels=9))
    assert found.empty and list(found.columns) == sawtooth_growth.GROWTH


def test_hotelling_is_students_test_for_one_column():
    values = np.random.default_rng(1).standard_normal(20) + 0.4
    t = values.mean() / values.std(ddof=1) * 20**0.5
    expected = 2 * special.stdtr(19, -abs(t))
    assert sawtooth_growth.hotelling(values[:, None]) == pytest.approx(expected)
    doubled = np.stack([values, 2 * values], axis=1)  # a direction without spread is left out
    assert sawtooth_growth.hotelling(doubled) == pytest.approx(expected)
    assert np.isnan(sawtooth_growth.hotelling(np.zeros((5, 2))))


@pytest.fixture
def inverse():
    """Plateaus of 4 / eta, except at 2^-7, where it is 5 / eta."""
    parts = [draws(lambda depth, k=k: (5 if k == 7 else 4) * 2.0**k, neg_log2=k) for k in (4, 5, 6, 7)]
    return pd.concat(parts)


def test_the_plateau_times_the_noise(inverse):
    found = sawtooth_growth.plateau(inverse)
    assert found["plateau"].round(1).tolist() == [4.0, 4.0, 4.0, 5.0]
    assert ((found["low"] < found["plateau"]) & (found["plateau"] < found["high"])).all()
    counted = sawtooth_noise.table(inverse)
    found = sawtooth_growth.findings(inverse, counted, counted.assign(bound=1e9)).set_index("quantity")
    assert found.loc["plateau ratio", "low"] < 1.25 < found.loc["plateau ratio", "high"]
    assert found.loc["linear bound", "measured"] > 1  # at one level, 4 / eta is above 1 + 2 / eta
    assert found.loc["noise bound", "measured"] < 1e-6 and found.loc["noise bound", "cells"] == 56


def test_check_values_are_held_against_ours():
    ours = noise_study.absolute(family="bounded", neg_log2=5, levels=6, draws=300)
    check = reference("sawtooth_noise_check")
    compared = sawtooth_noise.against_check(sawtooth_noise.table(ours), check)
    assert len(compared) == 6 and (compared["n_check"] == 200).all()
    found = sawtooth_noise.agreement(compared)
    assert found["n"] == 12 and found["largest"] < found["limit"] and 2.5 < found["limit"] < 3
    moved = sawtooth_noise.against_check(sawtooth_noise.table(ours), check.assign(regions=check["regions"] * 1.5))
    assert sawtooth_noise.agreement(moved)["largest"] > 5


def test_the_naive_count_of_noise_in_every_parameter_is_beside_the_exact_one():
    rows = pd.concat([noise_study.multiplied(size=size, levels=8, draws=4) for size in (0.3, 0.01)])
    check = pd.DataFrame({"size": [0.01], "levels": [8], "naive": [300.0]})
    found = sawtooth_noise.multiplied_table(rows, check)
    assert found["size"].tolist() == [0.01, 0.3] and found["check"].notna().tolist() == [True, False]
    assert (found["split"] >= 1).all() and (found["overcounted"] <= 4).all()
    text = sawtooth_text.multiplied(found)
    assert "(256 regions) multiplied by 1 + U(-e, e)" in text and "Of 1 check values" in text


def runs(storage, regions, order="given", kind="smooth", product=0.5, levels=8, steps=(0, 3), seeds=(0, 1, 2)):
    """Rows of training: `regions` after each of `steps`, for every seed."""
    rows = []
    for seed in seeds:
        for step, count in zip(steps, regions, strict=True):
            row = {"family": "unit", "levels": levels, "kind": kind, "storage": storage, "order": order, "seed": seed}
            row |= {"step_size": product, "step": step, "regions": float(count), "pieces": float(count)}
            row |= {"lambda_max": 1.0, "product": product, "moved": count != regions[0]}
            rows.append(row | {"inputs": 64, "steps": steps[-1], "neurons": 2 * levels})
    return pd.DataFrame(rows)


@pytest.fixture
def trained():
    parts = [runs("fp64", (256, 200)), runs("fp16", (256, 50)), runs("fp64", (256, 200), order="shuffled")]
    parts += [runs("fp16", (256, 100), order="shuffled"), runs("fp64", (256, 30), product=50.0)]
    parts += [runs("fp64", (256, 256), kind="own"), runs("fp16", (256, float("nan")), product=50.0)]
    return pd.concat(parts, ignore_index=True)


def test_pairs_of_formats_are_told_from_the_order_of_the_examples(trained):
    found = sawtooth_runs.training_pairs(trained).set_index(["kind", "stable", "storage", "against"])
    apart = found.loc[("smooth", True, "fp16", "fp64")]
    assert (apart["count"], apart["n"], apart["ratio"]) == (3, 3, pytest.approx(0.25))
    assert found.loc[("smooth", True, "fp64", "order"), "count"] == 0
    assert found.loc[("smooth", True, "fp16", "order"), "ratio"] == pytest.approx(0.5)
    assert found.loc[("smooth", False, "fp16", "fp64"), "n"] == 0  # not finite
    assert ("smooth", True, "fp64", "fp64") not in found.index


def test_a_run_keeps_its_regions_if_it_has_them_at_every_recorded_step(trained):
    found = sawtooth_runs.kept(trained).set_index(["kind", "stable", "storage"])
    assert found.loc[("smooth", True, "fp64"), ["n", "count", "moved"]].tolist() == [3, 3, 3]
    assert found.loc[("smooth", True, "fp16"), "count"] == 0  # 50 regions of 16 neurons
    assert found.loc[("smooth", False, "fp16"), "count"] == 0  # a run that is not finite keeps nothing
    assert found.loc[("own", True, "fp64"), ["count", "moved_share"]].tolist() == [3, 0.0]
    assert sawtooth_runs.kept(runs("fp64", (16, 16), levels=4)).empty  # it starts with too few


def test_settings_are_listed_for_every_format_and_order():
    kinds = {"own": ["given"], "smooth": ["given", "shuffled"]}
    listed = sawtooth_runs.settings({"unit": [4, 8]}, {"unit": [0.1]}, kinds, ["fp16", "fp64"], steps=3)
    assert len(listed) == 2 * 3 * 2 and all(one["step_sizes"] == [0.1] and one["steps"] == 3 for one in listed)
    with pytest.raises(ValueError, match="levels are given for unit, step sizes for bounded; name the same families"):
        sawtooth_runs.settings({"unit": [4]}, {"bounded": [0.1]}, kinds, ["fp16"])


@pytest.fixture(scope="module")
def real():
    """Small runs of the jobs themselves."""
    common = {"step_sizes": [1e-5, 1e-3], "steps": 3, "inputs": 48, "seeds": [0, 1], "device": "cpu"}
    kinds = {"own": ["given"], "float64": ["given"], "rational": ["given"], "smooth": ["given", "shuffled"]}
    listed = sawtooth_runs.settings({"unit": [7]}, {"unit": [1e-5, 1e-3]}, kinds, ["fp16", "fp64"])
    rows = pd.concat([sawtooth_training.job(**(one | common)) for one in listed])
    settings = {"family": "unit", "levels": 4, "formats": ["fp16", "fp64"], "step_sizes": [1e-4, 0.1], "inputs": 30}
    updates = pd.concat([sawtooth_updates.job(seed=seed, **settings) for seed in (0, 1)])
    return rows, updates


def test_sentences_and_figures_of_training(real):
    rows, updated = real
    table, pairs, kept = sawtooth_runs.training(rows), sawtooth_runs.training_pairs(rows), sawtooth_runs.kept(rows)
    assert table[table["kind"] == "own"]["regions"].eq(128).all() and set(table["n"]) == {2}
    dyadic = sawtooth_runs.dyadic(table.assign(step=100), reference("sawtooth_dyadic_check"))
    bounds = pd.DataFrame({"neg_log2": [12], "bound": [1e6]})
    text = sawtooth_runs_text.training(table, pairs, kept, dyadic, bounds)
    assert "0 of 8 runs moved" in text and "fp64 moved in 0 of 4 runs" in text and "bound (2) was 1e+06" in text
    assert "- **random inputs and a smooth term in the targets**" in text and "nan" not in text
    fig = sawtooth_figures.training(table, "unit", 7)
    assert len(fig.axes) == 8 and "max" in fig.axes[0].get_title()
    after, apart = sawtooth_runs.updates(updated), sawtooth_runs.update_pairs(updated)
    text = sawtooth_runs_text.updates(apart, after)
    assert "**fp64**: another count than with the exact gradient in 0 of 2 trials" in text
    assert len(sawtooth_figures.updates(after).axes) == 1


def test_sentences_and_figures_of_noise(inverse):
    small = noise_study.absolute(family="unit", neg_log2=12, levels=5, draws=5)
    rows = pd.concat([inverse, small])
    counted = sawtooth_noise.table(rows)
    updates = sawtooth_noise.update_table(
        noise_study.relative(family="unit", levels=[2], neg_log2=[2], step_size=0.1, inputs=20, draws=4)
    )
    found, growth = sawtooth_growth.findings(rows, counted, updates), sawtooth_growth.growth(rows)
    check = {"n": 10, "largest": 2.0, "limit": 3.0, "rms": 1.0}
    text = sawtooth_text.noise(found, growth, check)
    assert "**Bounded-slope sawtooth.**" in text and "rejected (p < 0.01) at 4 of 4 noises, with 40 draws" in text
    assert "largest over smallest 1.2" in text and "10 means have a check value" in text and "nan" not in text
    assert "(λ = 0.1), bound (2) is" in sawtooth_text.bounds(found, updates)
    assert len(sawtooth_figures.noise(counted).axes) == 2
    assert len(sawtooth_figures.plateau(sawtooth_growth.plateau(rows), counted).axes) == 2


def test_sentences_and_figures_without_noise_and_as_executed():
    exact, crossed = noise_study.exact(levels=3), noise_study.crossings(levels=2, draws=4)
    assert sawtooth_text.exact(exact, crossed).startswith("Without noise, 12 of 12 counts")
    curves = noise_study.pictured([0.0, 2.0**-4], 0).assign(family="bounded")
    assert [ax.get_title()[:5] for ax in sawtooth_figures.picture(curves).axes] == ["η = 0", "η = $"]
    table = pd.concat([
        sawtooth_executed.everywhere(storage="fp16", levels=[5, 10, 12, 25]),
        sawtooth_executed.everywhere(storage="fp32", levels=[3, 5]),
    ])  # fmt: skip
    gone = sawtooth_executed.vanishing(storage="bf16", inputs=10, seed=0)
    text = sawtooth_text.executed(table, gone)
    assert "$2^L$ regions up to 10 levels, then 15,361 at 25" in text and "41 instead of 32 at 5 levels" in text
    assert "bf16 9: 1 more than the format has significant bits" in text
    assert len(sawtooth_figures.executed(table).axes) == 1
