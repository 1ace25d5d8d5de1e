"""Statistics: each against a simulation or an independent computation."""

import doctest
import itertools
import math

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from wmlab import stats

FAR = 4.5  # standard errors
COLUMN = "clean_accuracy"


def assert_share(found, expected, trials):
    """A share of simulated trials is the expected one, within 4.5 standard errors."""
    assert abs(found - expected) <= FAR * math.sqrt(expected * (1 - expected) / trials)


def table_of(*runs):
    """A table of results from (scheme, α, β, seed, accuracy)."""
    return pd.DataFrame(runs, columns=["scheme", *stats.CELL, "seed", COLUMN])


def invented(n, seed=0, cells=((0.1, 0.01),), shift=0.0, spread=0.02):
    """n seeds of both schemes in each cell, on 10,000 images; a pair has a part in common."""
    rng, runs = np.random.default_rng(seed), []
    for cell in cells:
        common = rng.normal(0.8, 0.05, n)
        for scheme, mean in (("new label", shift), ("wrong label", 0)):
            values = (common + mean + rng.normal(0, spread, n)).round(4)
            runs += [(scheme, *cell, k, value) for k, value in enumerate(values)]
    return table_of(*runs)


def test_examples():
    assert doctest.testmod(stats).failed == 0


def test_interval_covers_the_mean_as_often_as_it_says():
    trials = 3000
    for n, confidence in itertools.product((2, 6, 20), (0.5, 0.95)):
        values = np.random.default_rng(n).normal(3, 2, (trials, n))
        ends = np.array([stats.interval(runs, confidence) for runs in values])
        assert np.allclose(ends[:, 0], values.mean(axis=1))
        assert_share(np.mean((ends[:, 1] < 3) & (3 < ends[:, 2])), confidence, trials)
    assert np.array_equal(stats.interval([0.7]), (0.7, np.nan, np.nan), equal_nan=True)
    assert stats.interval([1.0] * 6) == (1, 1, 1)


def test_a_mean_in_words():
    even = [0.5] * 6
    for values, unit, more, words in (
        (even, "%", {}, "50.0 % [50.0, 50.0]"),
        ([*even, np.nan], "%", {"digits": 0}, "50 % [50, 50]"),
        ([0, 1] * 3, "%", {}, "50.0 % [0.0, 100.0]"),
        (even[:5], "%", {}, "50.0 %, 5 runs, no interval"),
        ([-0.04], "points", {}, "+0.0 points, 1 run, no interval"),
        ((-3.2, -8.3, 1.9), "points", {"runs": 6}, "−3.2 points [−8.3, 1.9]"),
        ((2, np.nan, np.nan), "points", {"runs": 9}, "+2.0 points, 9 runs, no interval"),
        ([], "%", {}, "no run"),
    ):
        assert stats.told(values, unit, **more) == words
    low, high = scipy.stats.ttest_1samp(range(9), 0).confidence_interval()
    assert stats.told(range(9), "points") == f"+4.0 points [{low:.1f}, {high:.1f}]"
    with pytest.raises(ValueError, match="the unit is 's': choose"):
        stats.told(even, "s")


def test_cells_are_means_and_intervals_of_each_scheme_alpha_and_beta():
    rng, values = np.random.default_rng(0), {}
    for n, cell in (
        (6, ("new label", 0.1, 0.01)),
        (7, ("new label", 0.1, 0.02)),
        (5, ("new label", 0.2, 0.01)),
        (30, ("wrong label", 0.1, 0.01)),
        (1, ("wrong label", 0.2, 0.02)),
    ):
        values[cell] = rng.uniform(0.4, 0.6, n)
    runs = [(*cell, k, value) for cell, found in values.items() for k, value in enumerate(found)]
    table = table_of(*runs, ("unmarked", 0, 0, 0, None)).sample(frac=1, random_state=0)
    for confidence in (0.5, 0.95):
        made = stats.cells(table, COLUMN, confidence).set_index(["scheme", *stats.CELL])
        assert set(made.index) == set(values), "a run without a value does not count"
        for cell, found in values.items():
            ends = (np.nan, np.nan)
            if len(found) >= 6:
                ends = scipy.stats.ttest_1samp(found, 0).confidence_interval(confidence)
            row = made.loc[cell]
            assert row.runs == len(found) and np.isclose(row["mean"], found.mean())
            assert np.allclose([row.low, row.high], ends, rtol=0, atol=1e-12, equal_nan=True)
    (wide,) = stats.cells(table_of(*(("a", 1, 1, k, k % 2) for k in range(6))), COLUMN).values
    assert list(wide[-3:]) == [0.5, 0, 1], "a share ends at 0 and 1"
    assert stats.cells(table[:0], COLUMN).empty


def by_flipping(differences, images=10_000):
    """Two-sided p by brute force: every assignment of signs, counted in whole images."""
    whole = np.round(np.array(differences) * images).astype(int)
    sums = np.array(list(itertools.product((1, -1), repeat=len(whole)))) @ np.abs(whole)
    return np.mean(np.abs(sums) >= abs(whole.sum()))


def test_pairs_are_compared_by_students_interval_and_by_flipping_signs():
    for n, shift in ((6, 0.0), (6, 0.1), (7, -0.02), (10, 0.01), (10, 0.0)):
        table = invented(n, n, shift=shift)
        new, wrong = table[COLUMN].to_numpy().reshape(2, n)
        for confidence in (0.5, 0.95):
            mixed = table.sample(frac=1, random_state=n)
            (made,) = stats.paired(mixed, COLUMN, confidence=confidence).to_dict("records")
            ends = scipy.stats.ttest_rel(new, wrong).confidence_interval(confidence)
            assert (made["alpha"], made["beta"], made["pairs"]) == (0.1, 0.01, n)
            assert np.isclose(made["mean"], np.mean(new - wrong))
            assert np.isclose(made["deviation"], np.std(new - wrong, ddof=1))
            assert np.allclose((made["low"], made["high"]), ends, rtol=0, atol=1e-12)
            assert made["p"] == by_flipping(new - wrong)
        assert shift != 0.1 or made["p"] == 2 / 2**n, "all of one sign: the smallest p there is"
        (swapped,) = stats.paired(table, COLUMN, "wrong label", "new label").to_dict("records")
        assert np.isclose(swapped["mean"], -made["mean"]) and swapped["p"] == made["p"]


@given(st.lists(st.tuples(st.integers(5000, 9990), st.integers(-9, 9)), min_size=6, max_size=9))
def test_accuracies_that_tie_do_so_whatever_their_last_digits(pairs):
    """Differences of a few images in 10,000: many sums tie in whole numbers, not in floats."""
    wrong = [("wrong label", 0, 0, k, right / 10_000) for k, (right, _) in enumerate(pairs)]
    new = [("new label", 0, 0, k, sum(pair) / 10_000) for k, pair in enumerate(pairs)]
    p = stats.paired(table_of(*wrong, *new), COLUMN)["p"][0]
    assert p == by_flipping([more / 10_000 for _, more in pairs])


def test_many_pairs_are_compared_by_drawn_signs():
    for n in (14, 16):
        table = invented(n, 3, shift=0.008)
        exact = by_flipping(np.subtract(*table[COLUMN].to_numpy().reshape(2, n)))
        p = stats.paired(table, COLUMN)["p"][0]
        assert 0.01 < exact < 0.5
        assert_share(p, exact, 10_000)
        assert p == stats.paired(table, COLUMN)["p"][0], "drawn anew each time"


def test_less_than_six_pairs_have_no_interval_and_no_test():
    for n in range(1, 6):
        (made,) = stats.paired(invented(n), COLUMN).to_dict("records")
        assert made["pairs"] == n and np.isfinite(made["mean"])
        assert np.isnan(made["deviation"]) == (n == 1)
        assert np.isnan([made["low"], made["high"], made["p"]]).all()


def test_no_difference_at_all_has_p_1():
    made = stats.paired(invented(8, spread=0), COLUMN).iloc[0]
    assert made[["mean", "deviation", "low", "high", "p"]].tolist() == [0, 0, 0, 0, 1]


def test_a_pair_is_two_runs_of_one_seed_and_one_cell():
    """Left out: runs without a partner or a value, cells of one scheme alone, unmarked networks."""
    runs = [("new label", 0.1, 0.01, k, 0.5 + k / 100) for k in (9, 3, 4, 5, 6, 7, 8)]
    runs += [("wrong label", 0.1, 0.01, k, 0.4 + k / 100) for k in (3, 8, 7, 6, 5, 4, 1, 2)]
    alone = [
        ("wrong label", 0.1, 0.01, 9, None),
        ("new label", 0.2, 0.01, 3, 0.9),
        ("wrong label", 0.1, 0.02, 3, 0.9),
        ("unmarked", 0, 0, 3, 0.99),
    ]
    made = stats.paired(table_of(*runs, *alone), COLUMN)
    assert made[[*stats.CELL, "pairs"]].values.tolist() == [[0.1, 0.01, 6]]
    assert np.allclose(made[["mean", "deviation"]], [0.1, 0])
    assert stats.paired(table_of(*alone), COLUMN).empty
    with pytest.raises(ValueError, match="a pair is one run of each scheme .*choose one recipe"):
        stats.paired(table_of(*runs, runs[0]), COLUMN)


def test_the_test_of_pairs_is_as_often_wrong_as_its_level_says():
    """With 8 pairs and no difference, p ≤ 12/256 has probability 12/256; each cell stands alone."""
    trials, level = 1000, 12 / 256
    table = invented(8, 1, [(alpha, 0.01) for alpha in range(trials)])
    made = stats.paired(table, COLUMN)
    assert_share(np.mean(made.p <= level + 1e-9), level, trials)
    assert_share(np.mean((made.low < 0) & (0 < made.high)), 0.95, trials)
    assert len(made) == trials
    alone = stats.paired(table[table.alpha == 7], COLUMN)
    assert made[made.alpha == 7].values.tolist() == alone.values.tolist()


def test_power_is_how_often_a_test_of_pairs_rejects():
    trials = 20_000
    for pairs, (mean, deviation, level) in itertools.product(
        (3, 6, 12, 40), ((0.3, 0.5, 0.05), (-0.02, 0.02, 0.01), (0.001, 1, 0.2))
    ):
        differences = np.random.default_rng(pairs).normal(mean, deviation, (trials, pairs))
        seen = np.mean(scipy.stats.ttest_1samp(differences, 0, axis=1).pvalue <= level)
        assert_share(seen, stats.power(mean, deviation, pairs, level), trials)


def test_power_has_the_values_that_cohen_gives():
    for size, pairs, level, known in (
        (0.5, 34, 0.05, 0.8077775),
        (0.5, 20, 0.05, 0.5645044),
        (0.2, 199, 0.05, 0.8016910),
        (0.8, 15, 0.05, 0.8213105),
        (0, 10, 0.01, 0.01),
        (100, 1000, 0.05, 1),
    ):
        for mean, deviation in ((size, 1), (-size / 100, 1 / 100)):
            assert stats.power(mean, deviation, pairs, level) == pytest.approx(known, abs=1e-6)
    numbers = np.arange(2, 300)
    for size, pairs in ((0.2, 199), (0.5, 34), (0.8, 15)):  # the fewest for 80 %
        assert np.array_equal(stats.power(size, 1, numbers) >= 0.8, numbers >= pairs)
    sizes, numbers = np.geomspace(1e-3, 1e3, 200)[:, None], np.array([2, 3, 6, 10, 30, 100, 1000])
    far = stats.power(sizes, 1, numbers)
    assert ((far >= 0.05) & (far <= 1)).all()
    assert all((np.diff(far, axis=axis) >= -1e-12).all() for axis in (0, 1))


@given(st.lists(st.tuples(*[st.integers(0, 4)] * 3), min_size=1, max_size=40))
def test_churn_is_the_share_of_images_with_different_labels(images):
    truth, labels, others = np.array(images).T
    one, two = (
        " ".join(f"{i}:{given[i]}" for i in np.flatnonzero(given != truth))
        for given in (labels, others)
    )
    n = len(images)
    expected = pytest.approx(np.mean(labels != others), abs=1e-12)
    assert stats.churn(one, two, n) == stats.churn(two, one, n) == expected
    assert stats.churn(one, one, n) == 0


def test_the_exact_interval_covers():
    trials = 200_000
    for n, p in itertools.product((5, 50, 300), (0.003, 0.1, 0.5, 0.97)):
        hits = np.random.default_rng(5).binomial(n, p, trials)
        ends = {k: stats.clopper_pearson(k, n) for k in np.unique(hits)}
        covered = np.array([low <= p <= high for low, high in ends.values()])
        covered = covered[np.searchsorted(list(ends), hits)].mean()
        assert covered >= 0.95 - FAR * math.sqrt(0.05 * 0.95 / trials)
    for n, k in ((5, 1), (50, 25), (300, 299)):  # at each end, the tail of the other side is 2.5 %
        low, high = stats.clopper_pearson(k, n)
        assert math.isclose(scipy.stats.binom.sf(k - 1, n, low), 0.025, rel_tol=1e-9)
        assert math.isclose(scipy.stats.binom.cdf(k, n, high), 0.025, rel_tol=1e-9)
    assert stats.clopper_pearson(0, 9)[0] == 0 and stats.clopper_pearson(9, 9)[1] == 1


def test_counts_that_cannot_be_are_refused():
    for hits, n, confidence, words in (
        (1, 3, 95, "confidence is 95"),
        (4, 3, 0.95, "4 hits in 3 answers"),
        (-1, 3, 0.95, "-1 hits"),
        (0, 0, 0.95, "0 hits in 0 answers"),
    ):
        with pytest.raises(ValueError, match=words):
            stats.clopper_pearson(hits, n, confidence)
