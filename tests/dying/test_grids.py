"""Grids of sweeps: momenta at equal speed, pairs at equal rate, and first weights that stand for target scales."""

import pytest

from kinks.dying import equivariance, grids


def test_rates_of_equal_speed():
    speeds = [0.1, 0.03, 0.01]
    assert grids.rates("sgd", 0.0, speeds, []) == speeds
    assert grids.rates("sgd", 0.9, speeds, []) == [0.01, 0.003, 0.001], "in every digit, so that equal rates meet"
    assert grids.rates("nesterov", 0.99, speeds, []) == [0.001, 0.0003, 0.0001]
    assert grids.rates("averaged", 0.9, speeds, []) == speeds
    assert grids.rates("adam", 0.0, speeds, [0.001]) == [0.001]


def test_cells_times_optimisers_times_rates():
    cells = [{"data": "sine-8", "depth": [1, 4], "speeds": [0.1, 0.01]}, {"data": "net-8", "depth": 2, "speeds": [1]}]
    by = [
        {"optimiser": "sgd", "momentum": 0.9},
        {"optimiser": "adam", "momentum": 0.0, "epsilon": 1e-12, "rates": [0.5]},
    ]
    jobs = grids.sweeps(cells, by, [0.001], {"width": 8, "depth": 7})
    assert len(jobs) == 2 * (2 + 1) + 1 + 1
    assert jobs[0] == {
        "width": 8, "data": "sine-8", "depth": 1, "optimiser": "sgd", "momentum": 0.9, "epsilon": 1e-8, "rates": [0.01]
    }  # fmt: skip
    assert jobs[-1]["rates"] == [0.5] and jobs[-1]["epsilon"] == 1e-12 and jobs[-1]["depth"] == 2


@pytest.mark.parametrize(("optimiser", "momentum", "rate"), [("sgd", 0.0, 0.1), ("sgd", 0.9, 0.1), ("adam", 0.0, 0.01)])
def test_one_relu_knows_no_scale(optimiser, momentum, rate):
    table = equivariance.job(
        d=4, n=50, starts=40, seed=0, optimiser=optimiser, momentum=momentum, rate=rate, steps=60, powers=[0, 3, 12]
    )
    assert not table["different"].any() and (table["dead_by_gamma"] == table["dead_by_scale"]).all()
    assert table["dead_by_gamma"].nunique() > 1 or (optimiser == "sgd" and not momentum), "scale does matter"
    assert (table["gamma"] * table["scale"] == 1).all() and (table["n"] == 40).all()
