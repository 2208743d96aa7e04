import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from kinks import stats
from kinks.report import reference, style
from kinks.report.relu_prime import convolutional, convolutional_text

COLOURS = {"dataset": "photographs"}
DIGITS = {"dataset": "mnist", "images": 1000}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def plan(**changes):
    given = dict(
        inits={"vgg11": {"fp32": [3, 0, 1], "fp64": [1, 0, 0]}, "3x64": {"fp32": [2, 2, 0]}}, early_bias={"fp16": 1},
        most={"fp16": 2, "fp32": 5, "fp64": 1}, noise={"fp32": 1}, per_job=2, batch_size=128, colours=COLOURS,
        digits=DIGITS, device="cpu",
    )  # fmt: skip
    return convolutional.plan(**(given | changes))


def test_the_plan_covers_every_initialisation_once_longest_first():
    jobs = plan()
    seeds = [
        (j["network"], j["norm"], j["precision"], s)
        for j in jobs
        for s in range(j["first_seed"], j["first_seed"] + j["seeds"])
    ]
    assert len(seeds) == len(set(seeds)) == 3 + 1 + 1 + 4 + 1
    assert jobs[0]["seeds"] == 2 and jobs[0]["network"] == "vgg11" and jobs[-1]["network"] == "3x64"
    dense = [j for j in jobs if j["network"] == "3x64"]
    assert {(j["batch_size"], j["most"], j["bias"]) for j in dense} == {(100, 10, "accumulator")}
    assert {j["data"]["dataset"] for j in dense} == {"mnist"}
    assert [j["precision"] for j in jobs if j["network"] == "vgg11" and j["bias"] == "accumulator"] == ["fp16"]
    assert {j["noise_seeds"] for j in jobs if j["precision"] == "fp64"} == {0}
    assert {j["noise_seeds"] for j in dense} == {2}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inits": {"vgg11": {"fp32": [1, 2]}}}, r"vgg11, fp32: \[1, 2\] given; give one number for each of"),
        ({"most": {"fp32": 3}}, "most has no number for fp16; it has fp32"),
    ],
)
def test_plans_that_do_not_fit_are_one_clear_line(changes, message):
    with pytest.raises(ValueError, match=message):
        plan(**changes)


def followed(minibatches, first, network="vgg11", norm="none", precision="fp32", chain=None, **cell):
    """Rows as the job gives them: each initialisation met its one zero at `first`, -1 for none."""
    chain = first if chain is None else chain
    base = {"network": network, "norm": norm, "precision": precision, "bias": "after_convolution", "batch_size": 128}
    rows = pd.DataFrame({"seed": range(len(first)), "minibatches": minibatches, "first_zero": first})
    rows = rows.assign(first_assign=first, first_chain=chain, finite=True, noise=[0.0] + [np.nan] * (len(first) - 1))
    for name in ("zero", "assign", "chain"):
        rows[f"with_{name}"] = (rows[f"first_{name}"] >= 0).astype(int)
    return rows.assign(zeros=rows["with_zero"], evaluations=rows["minibatches"] * 1000, **(base | cell))


def test_shares_count_minibatches_and_leave_out_what_is_not_finite():
    rows = followed([10, 4, 10, 7], [2, 3, -1, 0], chain=[-1, 3, -1, -1])
    rows.loc[3, "finite"] = False
    found = convolutional.shares(rows).set_index("rule")
    assert found.loc["assign", ["count", "n", "inits", "affected", "not_finite"]].tolist() == [2, 24, 3, 2, 1]
    assert found.loc["assign", "mean_first"] == 3.5 and found.loc["chain", "count"] == 1
    assert found.loc["noise", ["count", "n"]].tolist() == [0, 1]
    assert found.loc["assign", "low"] < 2 / 24 < found.loc["assign", "high"]
    pooled = convolutional.zeros(rows).iloc[0]
    assert pooled["events"] == 3 and pooled["evaluations"] == 31_000


@pytest.mark.parametrize(("rate", "left", "inits", "most"), [(0.11, 0.15, 2, 12), (0.27, 1.0, 3, 12), (0.2, 0.6, 1, 6)])
def test_the_intervals_cover_though_the_number_of_minibatches_is_chance(rate, left, inits, most):
    g = np.random.default_rng(0)
    assign = g.random((2000, inits, most)) < rate
    chain = assign & (g.random(assign.shape) < left)
    stop = np.where(chain.any(2), chain.argmax(2) + 1, most)
    looked_at = np.arange(most) < stop[..., None]
    for events, true in ((assign, rate), (chain, rate * left)):
        low, high = stats.clopper_pearson((events & looked_at).sum((1, 2)), stop.sum(1))
        assert ((low <= true) & (true <= high)).mean() > 0.94


def test_curves_of_the_affected_take_those_given_up_into_account():
    steps = convolutional.survival(followed([5, 2, 9, 3], [4, 1, -1, -1])).query("rule == 'assign'")
    assert steps["minibatches"].tolist() == [0, 2, 5, 9] and steps["images"].tolist() == [0, 256, 640, 1152]
    assert steps["share"].tolist() == pytest.approx([0, 1 / 4, 5 / 8, 5 / 8])
    assert steps["at_risk"].tolist() == [4, 4, 2, 1]


def test_the_first_minibatch_is_pooled_over_the_networks_that_always_differ():
    rows = pd.concat(
        [followed([1, 1], [0, 0], precision="fp16"), followed([3], [2], "resnet18-3x3", "centred", "fp16"),
         followed([9], [8], norm="centred", precision="fp16"), followed([9], [8], precision="fp16", bias="accumulator"),
         followed([9], [8])]
    )  # fmt: skip
    found = convolutional.first_minibatch(rows).set_index("rule")
    assert found.loc["assign", ["count", "n"]].tolist() == [2, 3] and found.loc["noise", "n"] == 2


def test_published_shares_are_rates_per_minibatch_with_their_intervals():
    published = convolutional.published_shares(reference("volume_cifar10_summary"), 128)
    row = published.set_index(["network", "batch_norm", "precision"]).loc[("vgg11", False, "fp32")]
    assert row["published"] == pytest.approx(1000 / 9120) and row["published_low"] < 0.1096 < row["published_high"]
    assert row["published_if_100"] == pytest.approx(1 - (1 - 1000 / 9120) ** 1.28)
    assert set(published["network"]) == {"vgg11", "resnet18-3x3"} and len(published) == 8


def test_digitised_curves_are_read_where_they_say_most():
    rates = convolutional.published_digits(reference("volume_mnist_batch_norm"), "3x2048")
    rates = rates.set_index(["batch_norm", "precision"])["published"]
    assert rates[(False, "fp32")] == pytest.approx(1 - 0.5 ** (1 / 90)) and rates[(False, "fp16")] == pytest.approx(
        0.22
    )
    assert rates[(True, "fp16")] == pytest.approx(1 - 0.26 ** (1 / 50))


@pytest.fixture
def rows():
    return pd.concat(
        [followed([10, 4], [2, 3], chain=[-1, 3]), followed([3, 2], [2, 1], norm="centred"),
         followed([20], [-1], norm="fused"), followed([1, 1], [0, 0], precision="fp16"),
         followed([2], [-1], precision="fp64")]
    )  # fmt: skip


def test_curves_have_a_panel_without_and_one_with_batch_norm(rows):
    published = convolutional_text.published_curves(reference("volume_cifar10_curves"))
    fig = convolutional_text.curves(
        convolutional.survival(rows), convolutional.shares(rows), published, style.PRECISION_COLOURS
    )
    assert [ax.get_title(loc="left") or ax.get_title() for ax in fig.axes] == [
        "VGG-11 without batch norm", "VGG-11 with batch norm",
    ]  # fmt: skip
    assert [text.get_text() for text in fig.legends[0].get_texts()][-3:] == [
        "published rule",
        "chain rule",
        "as published",
    ]
    assert len(fig.axes[0].collections) == 3 and len(fig.axes[1].collections) == 1  # one band for each precision


def test_text_is_computed_from_the_rows(rows):
    published = convolutional.published_shares(reference("volume_cifar10_summary"), 128)
    shares = convolutional.shares(rows).merge(published, how="left")
    text = convolutional_text.text(shares, convolutional.zeros(rows), "some photographs")
    assert "Data: some photographs" in text and "- VGG-11 without batch norm: 2 of 14 (" in text
    assert "; 1 of 14 (" in text and "Published: 11.0%." in text
    assert "an exact zero: 2; of these, the published rule changes the gradient of 2, the chain rule that of 1" in text
    assert "2 of 5e+03 pre-activations are exactly 0 where the mean is subtracted first, 0 of 2e+04" in text
    assert "0.14 (not 0.11)" in text and "differed 0 of 5 times" in text
