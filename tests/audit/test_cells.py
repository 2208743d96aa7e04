import pandas as pd
import pytest

from kinks.audit import cells


def full_grid(**changes):
    plan = dict(
        shallow={"fp32": 50}, deep={"fp32": 20}, batch={"fp32": 10}, width={"fp32": [5, 4, 0, 2]},
        published={"fp32": 7},
    )  # fmt: skip
    return cells.grid(**(plan | changes))


def seeds(cell):
    return range(cell["first_seed"], cell["first_seed"] + cell["seeds"])


def test_every_seed_of_the_common_networks_is_audited_once():
    common = [c for c in full_grid() if c["neurons"] == 256 and c["network"] == "intended"]
    covered = [seed for cell in common for seed in seeds(cell)]
    assert sorted(covered) == list(range(50))
    deep = [seed for cell in common if 6 in cell["hidden_layers"] for seed in seeds(cell)]
    many = [seed for cell in common if len(cell["batch_sizes"]) > 1 for seed in seeds(cell)]
    assert sorted(deep) == list(range(20)) and sorted(many) == list(range(10))


def test_a_width_without_initialisations_is_left_out():
    assert [c["neurons"] for c in full_grid() if c["hidden_layers"] == [3] and c["network"] == "intended"] == [
        16, 64, 1024,
    ]  # fmt: skip


def test_a_late_bias_is_listed_by_width_in_half_and_by_depth_in_single_precision():
    listed = cells.late_bias({"16": 3, "256": 0}, 5)
    assert [(c["precision"], c["neurons"], c["hidden_layers"], c["seeds"]) for c in listed] == [
        ("fp16", 16, [3], 3), ("fp32", 256, [1, 2, 3], 5),
    ]  # fmt: skip
    assert {c["bias"] for c in listed} == {"after_rounding"} and cells.late_bias({}, 0) == []


def test_jobs_cover_the_seeds_and_stop_early_only_where_asked():
    jobs = cells.jobs(full_grid(), 2, ["fp32"], 4, images=10)
    per_cell = [s for j in jobs if j["network"] == "published" for s in seeds(j)]
    assert per_cell == list(range(7)) and max(j["seeds"] for j in jobs) == 4
    early = [j["network"] == "intended" and j["precision"] == "fp32" for j in jobs]
    assert [j["stop_when_decided"] for j in jobs] == early and all(j["images"] == 10 for j in jobs)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"deep": {"fp32": 51}}, "51 deep and 10 batch-size initialisations are among the 50 shallow ones"),
        ({"width": {"fp32": [1, 2]}}, r"width_inits of fp32 are \[1, 2\]; give one number for each of"),
    ],
)
def test_plans_that_do_not_fit_are_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message):
        full_grid(**changes)


def decisions(first, batch=256, **cell):
    base = {"network": "intended", "precision": "fp32", "bias": "accumulator", "hidden_layers": 3, "neurons": 256}
    rows = {"batch_size": batch, "images": 2048, "seed": range(len(first)), "first_assign": first, "seen": 2048}
    return pd.DataFrame(base | rows | {"first_chain": -1, "noise": [0.0] + [float("nan")] * (len(first) - 1)} | cell)


def test_shares_count_decisions_and_leave_out_cells_off_the_panels():
    table = pd.concat([decisions([-1, 3, 0, -1]), decisions([1, 1], batch=16, hidden_layers=1)])
    shares = cells.shares(table).set_index("rule")
    assert shares.loc["assign", ["count", "n", "share"]].tolist() == [2, 4, 0.5]
    assert shares.loc["chain", "count"] == 0 and shares.loc["noise", ["count", "n"]].tolist() == [0, 1]
    assert shares.loc["assign", "low"] < 0.5 < shares.loc["assign", "high"]


def test_sample_size_cuts_the_same_decisions_short():
    curve = cells.sample_size(decisions([-1, 3, 0, 7]), [256, 1024, 2048]).query("rule == 'assign'")
    assert curve["count"].tolist() == [1, 2, 3]


def test_affected_minibatches_ignore_zeros_that_were_not_looked_at():
    table = decisions([0, 1]).assign(seen=[512, 2048])
    events = pd.DataFrame(
        {"network": "intended", "precision": "fp32", "bias": "accumulator", "neurons": 256,
         "seed": [0, 0, 0, 1, 1], "layer": [1, 3, 1, 2, 5], "image": [10, 20, 600, 700, 100], "unit": 0}
    )  # fmt: skip
    hit, exposure = cells.affected_minibatches(table, events)
    assert hit[["seed", "minibatch", "zeros"]].to_numpy().tolist() == [[0, 0, 2], [1, 2, 1]]
    assert exposure[["inits", "minibatches", "hit"]].to_numpy().tolist() == [[2, 2 + 8, 2]]


def test_rates_pool_events_over_evaluations():
    census = pd.DataFrame({"precision": "fp32", "zeros": [2, 0], "evaluations": [100.0, 300.0]})
    row = cells.rates(census, ["precision"]).iloc[0]
    assert row["rate"] == 2 / 400 and row["low"] < row["rate"] < row["high"]


def test_nothing_counted_is_not_a_share():
    assert cells.proportion(0, 0)["share"] != cells.proportion(0, 0)["share"]
