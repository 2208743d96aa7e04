"""Intervals and tests against textbook values, library implementations and simulated coverage."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from kinks import stats


@pytest.mark.parametrize(("count", "n"), [(0, 10), (10, 10), (1, 1), (7, 20), (463, 1000)])
@pytest.mark.parametrize(("ours", "method"), [(stats.clopper_pearson, "exact"), (stats.wilson, "wilson")])
def test_proportion_intervals_equal_scipys(ours, method, count, n):
    theirs = scipy_stats.binomtest(count, n).proportion_ci(method=method)
    got = ours(count, n)
    assert got == pytest.approx(tuple(theirs), abs=1e-12)
    assert isinstance(got.low, float)


def test_intervals_of_the_published_table():
    # 95% Clopper-Pearson intervals of the published counts 463, 54 and 0 of 1,000.
    low, high = stats.clopper_pearson([463, 54, 0], 1000)
    assert low == pytest.approx([0.4317, 0.0408, 0.0], abs=5e-5)
    assert high == pytest.approx([0.4945, 0.0699, 0.0037], abs=5e-5)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
def test_clopper_pearson_covers_at_least_its_level_and_wilson_on_average(share):
    n, k = 60, np.arange(61)
    weight = scipy_stats.binom.pmf(k, n, share)

    def coverage(interval):
        return weight[(interval.low <= share) & (share <= interval.high)].sum()

    assert coverage(stats.clopper_pearson(k, n)) >= 0.95
    assert 0.91 < coverage(stats.wilson(k, n)) < 0.99


def test_garwood_textbook_values():
    # Garwood (1936): 95% limits of a Poisson mean for 0, 1 and 10 events.
    got = stats.poisson_rate([0, 1, 10])
    assert got.low == pytest.approx([0, 0.0253, 4.7954], abs=5e-5)
    assert got.high == pytest.approx([3.6889, 5.5716, 18.3904], abs=5e-5)
    assert stats.poisson_rate(10, 2.0) == pytest.approx((4.7954 / 2, 18.3904 / 2), abs=5e-5)


def test_garwood_covers_at_least_its_level():
    k = np.arange(80)
    got = stats.poisson_rate(k)
    for mean in (0.5, 3.0, 20.0):
        assert scipy_stats.poisson.pmf(k, mean)[(got.low <= mean) & (mean <= got.high)].sum() >= 0.95


@pytest.mark.parametrize(
    ("inits", "risk", "hoeffding", "mcdiarmid"),
    # Half-widths for 235 mini-batches; 0.0504 and 0.1155 are the paper's +-5 % and +-11.55 %, a joint risk over four.
    [
        (100, 0.05, 0.13581, 0.16215),
        (100, 0.0125, 0.1593, 0.19019),
        (1000, 0.05, 0.04295, 0.09845),
        (1000, 0.0125, 0.05037, 0.11548),
    ],
)
def test_error_bounds_of_the_paper(inits, risk, hoeffding, mcdiarmid):
    assert stats.hoeffding(inits, risk) == pytest.approx(hoeffding, abs=5e-6)
    assert stats.mcdiarmid(inits, 235, risk) == pytest.approx(mcdiarmid, abs=5e-6)


def test_rescaled_share_is_the_identity_at_the_same_size_and_composes():
    assert stats.rescaled_share(0.463, 60_000, 60_000) == pytest.approx(0.463)
    tenth = stats.rescaled_share(0.463, 10_000, 60_000)
    assert tenth == pytest.approx(0.0984, abs=5e-5)
    assert 1 - (1 - tenth) ** 6 == pytest.approx(0.463)
    assert stats.rescaled_share([0.0, 1.0], 10_000, 60_000).tolist() == [0.0, 1.0]


def test_newcombe_textbook_example():
    # Newcombe (1998), method 10, example (a): 56/70 against 48/80 is 0.0524 to 0.3339.
    assert stats.difference(56, 70, 48, 80) == pytest.approx((0.2, 0.0524, 0.3339), abs=5e-5)


def test_lady_tasting_tea():
    assert stats.two_proportions(3, 4, 1, 4) == pytest.approx(0.4857, abs=5e-5)


def test_two_rates_is_the_conditional_binomial_test():
    # Equal exposure, 8 events against 2: twice the binomial tail 56/1024.
    assert stats.two_rates(8, 1.0, 2, 1.0) == pytest.approx(2 * 56 / 1024)
    assert stats.two_rates(0, 1.0, 0, 5.0) == 1.0
    assert stats.two_rates(10, 1.0, 100, 10.0) == pytest.approx(1.0, abs=0.2)


def test_rate_ratio():
    got = stats.rate_ratio(20, 1.0, 10, 2.0)
    assert got.value == pytest.approx(4.0)
    assert got.low < 4.0 < got.high
    assert stats.rate_ratio(5, 1.0, 0, 1.0).high == np.inf
    assert np.isnan(stats.rate_ratio(0, 1.0, 0, 1.0).value)
    k = np.arange(31)  # coverage given 30 events in all, true ratio 2
    ends = np.array([stats.rate_ratio(int(i), 1.0, 30 - int(i), 1.0)[1:] for i in k])
    assert scipy_stats.binom.pmf(k, 30, 2 / 3)[(ends[:, 0] <= 2) & (ends[:, 1] >= 2)].sum() >= 0.95


def test_cochran_armitage_textbook_example():
    # Agresti, Categorical Data Analysis, table of infant malformation by alcohol: z^2 = 6.57 with these scores.
    got = stats.cochran_armitage([48, 38, 5, 1, 1], [17114, 14502, 793, 127, 38], [0, 0.5, 1.5, 4, 7])
    assert got.statistic**2 == pytest.approx(6.57, abs=0.005)
    assert got.p_increasing < 0.01 < got.p_decreasing


def test_trends_are_two_sided_and_silent_where_nothing_can_show():
    rising, falling = stats.cochran_armitage([1, 5, 9], [10] * 3), stats.cochran_armitage([9, 5, 1], [10] * 3)
    assert rising.statistic == -falling.statistic > 0
    assert stats.cochran_armitage([10, 10], [10, 10]) == (0.0, 0.5, 0.5)
    assert stats.rate_trend([0, 0], [1.0, 2.0]) == (0.0, 0.5, 0.5)


def test_rate_trend_is_the_rare_event_limit():
    rare = stats.cochran_armitage([5, 9, 30], [1e9, 2e9, 3e9])
    assert stats.rate_trend([5, 9, 30], [1e9, 2e9, 3e9]).statistic == pytest.approx(rare.statistic)


def test_null_p_values_are_uniform_enough():
    generator = np.random.default_rng(0)
    p = [stats.cochran_armitage(generator.binomial(200, 0.3, 4), [200] * 4).p for _ in range(1500)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.017)
    rates = [stats.rate_trend(generator.poisson(40, 4), [1.0] * 4).p for _ in range(1500)]
    assert np.mean(np.array(rates) < 0.05) == pytest.approx(0.05, abs=0.017)


def test_holm_steps_down_and_keeps_the_order():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])


def test_sign_test_drops_zeros():
    assert stats.sign_test([1, 2, 3, 4, 5, 0, 0]) == pytest.approx(2 / 32)
    assert stats.sign_test([0.0, 0.0]) == 1.0


def test_bootstrap_of_a_median_is_seeded_and_covers():
    generator = np.random.default_rng(1)
    inside = 0
    for _ in range(60):
        values = generator.normal(3.0, 1.0, 40)
        low, high = stats.bootstrap(values, resamples=300)[1:]
        inside += low <= 3.0 <= high
    assert inside >= 51  # 57 expected; fewer than 51 has probability 1e-3
    assert stats.bootstrap(values, seed=5) == stats.bootstrap(values, seed=5)


def test_bootstrap_by_groups_is_wider_where_groups_agree_within():
    generator = np.random.default_rng(2)
    centre = generator.normal(size=30)
    values, groups = np.repeat(centre, 20), np.repeat(np.arange(30), 20)
    alone, grouped = (stats.bootstrap(values, np.mean, groups=labels) for labels in (None, groups))
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_geometric_mean():
    assert stats.geometric_mean([1, 10, 100]) == pytest.approx(10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: stats.wilson(3, 2), "0 <= count <= n"),
        (lambda: stats.clopper_pearson(0, 0), "n >= 1"),
        (lambda: stats.poisson_rate(1, 0.0), "exposure > 0"),
        (lambda: stats.poisson_rate(float("nan")), "events >= 0"),
        (lambda: stats.cochran_armitage([1], [2]), "at least two groups"),
        (lambda: stats.geometric_mean([1.0, 0.0]), "positive values"),
        (lambda: stats.bootstrap([]), "needs numbers"),
    ],
)
def test_bad_input_is_one_clear_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_student_equals_scipys_and_knows_its_scale():
    values = np.array([0.01, 0.03, -0.01, 0.02, 0.04])
    theirs = scipy_stats.ttest_1samp(values, 0)
    assert stats.student_test(values) == pytest.approx(theirs.pvalue)
    ends = stats.student(values)
    assert (ends.value, ends.low, ends.high) == pytest.approx((values.mean(), *theirs.confidence_interval()))
    assert stats.student([0.002, 0.002]).low == 0.002, "equal differences have no spread of their own"
    assert stats.student_test([0.002, 0.002], resolution=0.002) > 0.15 and stats.student_test([0.002, 0.002]) == 0.5
    assert stats.student([0.002, 0.002], resolution=0.002).low < 0
    assert stats.student_test([0.0, 0.0, 0.0], resolution=0.002) == 1.0
    assert np.isnan([stats.student([1.0]).low, stats.student([]).value, stats.student_test([1.0])]).all()


def test_sign_flips_are_counted_exactly_for_few_and_drawn_for_many():
    assert stats.sign_flip([1, 2, 3, 4, 5]) == 2 / 2**5
    assert stats.sign_flip([0.1, 0.2, 0.3]) == stats.sign_flip([-0.3, -0.1, -0.2]) == 0.25
    theirs = scipy_stats.permutation_test(
        (np.array([3.0, -1, 4, 1, -5]),), np.sum, permutation_type="samples", n_resamples=np.inf
    )
    assert stats.sign_flip([3.0, -1, 4, 1, -5]) == pytest.approx(theirs.pvalue)
    many = np.random.default_rng(3).normal(0.4, 1, 40)
    assert stats.sign_flip(many) == pytest.approx(stats.student_test(many), abs=0.01)
    assert stats.sign_flip(np.ones(40)) == 1 / 20_000, "p is never 0"
    assert np.isnan(stats.sign_flip([])) and stats.sign_flip([0.0, 0.0]) == 1.0


def test_rank_sum_is_exact_with_ties_and_agrees_with_scipy():
    assert stats.rank_sum([1, 2, 3], [4, 5, 6]) == pytest.approx(2 / 20)
    assert stats.rank_sum([-np.inf, -np.inf, 1, 2, 3], [4, 5, 6, 7, 8]) == pytest.approx(2 / 252)
    assert stats.rank_sum([1, 1], [1, 1]) == 1.0 and np.isnan(stats.rank_sum([], [1.0]))
    rng = np.random.default_rng(5)
    one, two = rng.normal(0, 1, 6), rng.normal(1, 1, 7)
    assert stats.rank_sum(one, two) == pytest.approx(scipy_stats.mannwhitneyu(one, two, method="exact").pvalue)
    tied = np.round(one), np.round(two)
    ranked = scipy_stats.rankdata(np.concatenate(tied))
    theirs = scipy_stats.permutation_test(
        (ranked[:6], ranked[6:]), lambda a, b: np.sum(a), permutation_type="independent", n_resamples=np.inf
    )
    assert stats.rank_sum(*tied) == pytest.approx(theirs.pvalue)
    many = rng.normal(0, 1, 30), rng.normal(0.5, 1, 30)
    assert stats.rank_sum(*many) == pytest.approx(scipy_stats.mannwhitneyu(*many).pvalue)


def test_boschloo_rejects_where_few_pairs_cannot():
    assert stats.boschloo(5, 5, 0, 5) == pytest.approx(2 / 4**5)
    assert stats.boschloo(5, 5, 0, 5) < stats.two_proportions(5, 5, 0, 5) < stats.sign_test(np.ones(5))
    assert stats.boschloo(0, 5, 0, 5) == 1.0
