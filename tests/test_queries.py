"""Expected queries and tests: against simulations, exact sums in fractions, and the paper's
figures.
"""

import fractions
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab import queries

TRIALS = 200_000
FAR = 4.5  # standard errors
F = fractions.Fraction
shares = st.integers(1, 99).map(lambda percent: percent / 100)


def assert_mean(samples, expected):
    """The samples' mean is the expected one, within 4.5 of its standard errors."""
    error = samples.std() / math.sqrt(len(samples))
    assert abs(samples.mean() - expected) <= FAR * error + 1e-12, (
        f"{samples.mean()} ± {error}, expected {expected}"
    )


def exact_accuracy(p, n, tau, strict=True):
    """Share of accepted numbers of misses, summed in fractions."""
    hit, share = F(str(p)), F(str(tau))
    return sum(
        math.comb(n, misses) * (1 - hit) ** misses * hit ** (n - misses)
        for misses in range(n + 1)
        if (misses < share * n if strict else misses <= share * n)
    )


def exact_tail(hits, n, p):
    p = F(str(p))
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(hits, n + 1))


# mean and quantile


def test_the_papers_figures():
    assert queries.expected(0.8) == 1.25
    assert queries.quantile(0.8, 0.95) == 2 == math.ceil(1 / 0.8)
    assert round(queries.batch_accuracy(0.8, 40, 0.3), 4) == 0.9125
    assert round(queries.batch_accuracy(0.8, 40, 0.3, strict=False), 4) == 0.9568
    assert queries.smallest_batch(0.8, 0.3, 0.9) == 24
    assert queries.smallest_batch(0.8, 0.3, 0.9, multiple=10) == 40
    assert queries.smallest_batch(0.8, 0.3, 0.9, multiple=10, strict=False) == 20
    for strict in (True, False):
        assert queries.smallest_batch(0.8, 0.3, 0.9, strict=strict, lasting=True) == 34
    assert queries.neyman_pearson(0.8, 0.1, 0.9, 0.1) == (4, 2)
    assert queries.neyman_pearson(0.8, 0.003, 0.9, 0.1) == (2, 1)
    assert round(queries.paper_sum(0.001, 40), 2) == 0.80


def test_mean_and_sum_against_judges_who_stop():
    for p, n in [(0.8, 40), (0.1, 5), (0.02, 60), (0.5, 1), (0.99, 3), (0.003, 200)]:
        first = np.random.default_rng(1).geometric(p, TRIALS)  # the query that hits
        assert_mean(np.minimum(first, n), queries.expected(p, n))
        assert_mean(first.astype(float), queries.expected(p))
        assert_mean(np.where(first <= n, first, 0).astype(float), queries.paper_sum(p, n))


@given(shares, st.integers(1, 60))
def test_mean_and_sum_are_exact(p, n):
    hit = F(str(p))
    miss = 1 - hit
    limited = sum(k * miss ** (k - 1) * hit for k in range(1, n + 1))
    assert math.isclose(queries.paper_sum(p, n), limited, rel_tol=1e-12)
    assert math.isclose(queries.expected(p, n), limited + n * miss**n, rel_tol=1e-12)


def test_mean_and_sum_at_the_ends():
    for p, n, mean, total in [
        (0, 7, 7, 0),
        (1, 7, 1, 1),
        (1e-12, 10**6, 10**6 * (1 - 5e-7), 0.5e-12 * 10**6 * (10**6 + 1)),
        (1e-300, 40, 40, 820e-300),
        (1 - 2**-53, 10**6, 1, 1),
        (1e-3, 10**6, 1000, 1000),
    ]:
        assert math.isclose(queries.expected(p, n), mean, rel_tol=1e-9)
        assert math.isclose(queries.paper_sum(p, n), total, rel_tol=2e-6)


def test_many_hit_rates_at_once():
    p = np.array([0, 0.1, 0.8, 1])
    assert np.allclose(queries.expected(p, 40), [queries.expected(float(one), 40) for one in p])
    assert queries.expected(p)[0] == np.inf == queries.expected(0)


@given(shares, shares)
def test_the_quantile_is_the_first_number_that_reaches_the_probability(p, probability):
    found, miss, left = queries.quantile(p, probability), 1 - F(str(p)), 1 - F(str(probability))
    assert miss**found <= left and (found == 1 or miss ** (found - 1) > left)


def test_quantiles_at_the_ends():
    for p, probability, n in ((1, 0.99, 1), (0.5, 0.75, 2), (0.1, 0.19, 2)):
        assert queries.quantile(p, probability) == n
    assert queries.quantile(1e-7, 0.5) == math.ceil(math.log(2) / -math.log1p(-1e-7))


# the batch rule


@given(shares, st.integers(1, 60), shares, st.booleans())
def test_accuracy_of_a_batch_is_exact(p, n, tau, strict):
    found, exact = queries.batch_accuracy(p, n, tau, strict), exact_accuracy(p, n, tau, strict)
    assert math.isclose(found, exact, rel_tol=1e-10, abs_tol=1e-300)


def test_accuracy_of_a_batch_against_trials():
    for strict in [True, False]:
        for p, n, tau in [(0.8, 40, 0.3), (0.8, 25, 0.28), (0.7, 100, 0.29), (0.05, 20, 0.9)]:
            misses = np.random.default_rng(2).binomial(n, 1 - p, TRIALS)
            passed = misses * 100 < round(tau * 100) * n + (not strict)
            assert_mean(passed.astype(float), queries.batch_accuracy(p, n, tau, strict))


def test_thresholds_are_exact():
    ways = [(0.28, 25, 7), (0.29, 100, 29), (0.1, 30, 3), (F(1, 3), 9, 3), (0.57, 100, 57)]
    for tau, n, product in ways:
        assert queries.allowed(n, tau, strict=False) == product == queries.allowed(n, tau) + 1
        assert queries.allowed(np.array([n, 2 * n]), tau).tolist() == [product - 1, 2 * product - 1]


def test_a_threshold_with_many_digits_does_not_overflow():
    tau = 0.1 + 0.2
    exact = [math.ceil(F(str(tau)) * n) - 1 for n in (10**6, 5)]
    assert queries.allowed(np.array([10**6, 5]), tau).tolist() == exact


def test_a_million_keys():
    assert math.isclose(queries.batch_accuracy(0.8, 10**6, 0.2, strict=False), 0.5, abs_tol=1e-3)
    two_hits = 1 - math.exp(-1e-3) * (1 + 1e-3)  # Poisson, of mean 10⁻³
    assert queries.batch_accuracy(1e-9, 10**6, 0.999999) == pytest.approx(two_hits, rel=1e-4)


@given(
    st.sampled_from([0.6, 0.75, 0.8, 0.9]),
    st.sampled_from([0.05, 0.25, 0.3, 0.45, 0.6]),
    st.sampled_from([0.3, 0.8, 0.9]),
    st.sampled_from([1, 7, 10]),
    st.booleans(),
    st.booleans(),
)
def test_the_smallest_batch_is_the_smallest(p, tau, accuracy, multiple, strict, lasting):
    n = np.arange(multiple, 4000, multiple)
    good = queries.batch_accuracy(p, n, tau, strict) >= accuracy
    try:
        found = queries.smallest_batch(p, tau, accuracy, multiple, strict, lasting)
    except ValueError as error:
        if lasting and p + tau == 1:
            assert "the accuracy tends to 1/2, and nothing proves" in str(error)
        else:
            assert "no number of keys has" in str(error)
            assert not (good[-50:].all() if lasting else good.any())
        return
    assert found % multiple == 0
    assert found == (n[np.flatnonzero(~good).max(initial=-1) + 1] if lasting else n[good.argmax()])


def test_where_there_is_no_batch_it_says_what_the_accuracy_tends_to(monkeypatch):
    monkeypatch.setattr(queries, "LARGEST", 20_000)
    for p, tau, lasting, tends in (
        (0.7, 0.3, False, "1/2"),
        (0.6, 0.3, False, "0"),
        (0.95, 0.01, True, "0"),
        (0.8, 0.2001, True, "1, too slowly,"),
    ):
        with pytest.raises(ValueError, match=f"it tends to {tends} with their number"):
            queries.smallest_batch(p, tau, 0.9, lasting=lasting)
    assert queries.smallest_batch(0.95, 0.01, 0.9) == 1


# tests

RATES = [(0.8, 0.1), (0.8, 0.003), (0.5, 0.3), (0.9, 0.6), (0.3, 0.004), (0.95, 0.9)]
LEVELS = list(itertools.product(RATES, [(0.9, 0.1), (0.99, 0.01)]))


def test_the_count_test_holds_its_level_and_no_smaller_one_does():
    for rates, errors in LEVELS:
        (p1, p0), (power, fpr) = rates, errors
        n, needed = queries.neyman_pearson(p1, p0, power, fpr)
        assert exact_tail(needed, n, p1) >= F(str(power))
        assert exact_tail(needed, n, p0) <= F(str(fpr))
        for fewer in range(1, n):  # by number of hits needed
            found, accused = (stats.binom.sf(np.arange(-1, fewer), fewer, p) for p in (p1, p0))
            assert not np.any((found >= power) & (accused <= fpr))


def test_the_sequential_test_holds_both_errors():
    for rates, errors in LEVELS:
        (p1, p0), (power, fpr) = rates, errors
        test = queries.sprt(p1, p0, power, fpr)
        assert test.characteristic(p1)[0] >= power and test.characteristic(p0)[0] <= fpr


def sequential_trials(test, p, trials, rng):
    """(marked, queries) of so many tests, answer by answer."""
    hits, marked, used = np.zeros(trials, int), np.zeros(trials, bool), np.zeros(trials, int)
    going = np.arange(trials)
    for n in itertools.count(1):
        hits[going] += rng.random(len(going)) < p
        says = {k: test.decide(k, n) for k in np.unique(hits[going])}
        decided = np.array(
            [{True: 1, False: 0, None: -1}[says[k]] for k in range(n + 1) if k in says]
        )
        decided = decided[np.searchsorted(sorted(says), hits[going])]
        marked[going[decided == 1]] = True
        used[going[decided >= 0]] = n
        going = going[decided < 0]
        if not len(going):
            return marked, used


def test_the_sequential_test_against_trials():
    for p1, p0, power, fpr, p in [
        (0.8, 0.1, 0.9, 0.1, 0.8),
        (0.8, 0.1, 0.9, 0.1, 0.1),
        (0.8, 0.1, 0.9, 0.1, 0.5),
        (0.8, 0.003, 0.99, 0.001, 0.6),
        (0.5, 0.3, 0.95, 0.05, 0.4),
    ]:
        test = queries.sprt(p1, p0, power, fpr)
        marked, used = sequential_trials(test, p, 30_000, np.random.default_rng(3))
        probability, mean = test.characteristic(p)
        assert_mean(marked.astype(float), probability)
        assert_mean(used.astype(float), mean)


def test_against_a_model_that_cannot_hit_one_hit_decides():
    test = queries.sprt(0.8, 0, 0.9, 0.1)
    assert test.decide(1, 1) is True and test.decide(0, 1) is None and test.decide(1, 2) is True
    assert test.decide(0, 2) is False  # 0.2² is less than the miss rate allowed
    marked, mean = test.characteristic(0.8)
    assert math.isclose(marked, 0.96) and math.isclose(mean, 1.2) and test.characteristic(0)[0] == 0
    assert queries.sprt(1, 0.5, 0.9, 0.01).decide(3, 4) is False, "a marked suspect never misses"


def test_a_test_that_hardly_ever_ends_says_so(monkeypatch):
    monkeypatch.setattr(queries, "LARGEST", 100)
    with pytest.raises(ValueError, match="still goes on after 100 queries"):
        queries.sprt(0.51, 0.5, 0.9, 0.1).characteristic(0.5)
    with pytest.raises(ValueError, match="more than 100 queries to tell apart"):
        queries.neyman_pearson(0.51, 0.5, 0.9, 0.1)


@given(st.integers(0, 40), st.integers(1, 40), shares)
def test_the_p_value_is_exact(hits, misses, p0):
    n = hits + misses
    assert math.isclose(queries.p_value(hits, n, p0), exact_tail(hits, n, p0), rel_tol=1e-9)


def test_p_values_far_out():
    assert queries.p_value(50, 50, 1e-6) == pytest.approx(1e-300, rel=1e-9)
    assert queries.p_value(1, 10**6, 1e-12) == pytest.approx(1e-6, rel=1e-5)
    assert queries.p_value(1, 5, 0) == 0 and queries.p_value(0, 5, 0) == 1


def test_the_exact_test_holds_its_level():
    """In 12 settings, over all numbers of hits, and in trials."""
    for n, p0 in [(5, 0.1), (40, 0.1), (40, 0.003), (200, 0.3), (7, 0.5), (1000, 0.01)]:
        for level in [0.05, 0.01]:
            p_values = np.array([queries.p_value(hits, n, p0) for hits in range(n + 1)])
            rejecting = int(np.argmax(p_values <= level)) if (p_values <= level).any() else n + 1
            false = exact_tail(rejecting, n, p0)
            assert false <= F(str(level)) and np.all(np.diff(p_values) <= 0)
            hits = np.random.default_rng(4).binomial(n, p0, TRIALS)
            assert_mean((p_values[hits] <= level).astype(float), float(false))


# at any time


def test_whoever_peeks_after_every_answer_is_wrong_in_at_most_5_percent():
    for p0 in [0.003, 0.1, 0.5]:
        trials, answers = 600, np.random.default_rng(6).random((600, 200)) < p0
        # it never rises: the last is the smallest
        last = np.array([queries.anytime_p_value(hits, p0)[-1] for hits in answers])
        assert (last <= 0.05).mean() <= 0.05 + FAR * math.sqrt(0.05 * 0.95 / trials)


def test_the_anytime_p_value_is_the_integral(p0=0.1):
    rate = np.linspace(p0, 1, 200_001)
    hits = np.random.default_rng(7).random(30) < 0.5
    found, smallest = queries.anytime_p_value(hits, p0), 1
    for n in range(1, 31):
        k = hits[:n].sum()
        ratio = np.trapezoid((rate / p0) ** k * ((1 - rate) / (1 - p0)) ** (n - k), rate) / (1 - p0)
        smallest = min(smallest, 1 / ratio)
        assert math.isclose(found[n - 1], smallest, rel_tol=1e-6)


def test_no_run_of_misses_proves_anything():
    assert (queries.anytime_p_value(np.zeros(10**5, int), 0.9) == 1).all()
    few = queries.anytime_p_value([1] + [0] * 10**4, 0.9)
    assert few[-1] == few.min() >= 1 / 1.06


def test_anytime_far_out():
    many = queries.anytime_p_value(np.ones(10**6, int), 0.1)
    assert (np.diff(many) <= 0).all() and many[-1] == 0
    assert many[99] == pytest.approx(101 * 0.9 * 1e-100, rel=1e-6)
    assert queries.anytime_p_value([0, 1, 0], 0).tolist() == [1, 0, 0]
    assert queries.anytime_p_value([1, 1], 1).tolist() == [1, 1]
    assert queries.anytime_p_value([], 0.1).shape == (0,)


def test_what_is_no_probability_or_count_is_refused():
    for call, sentence in [
        (lambda: queries.expected(1.1), r"p is 1.1, but it lies in \[0, 1\]"),
        (lambda: queries.expected(math.nan), "p is nan"),
        (lambda: queries.expected(0.5, 0), "n is 0, but it is a whole number of at least 1"),
        (lambda: queries.expected(0.5, 2.5), "n is 2.5"),
        (lambda: queries.quantile(0, 0.5), r"p is 0, but it lies in \(0, 1\]"),
        (lambda: queries.batch_accuracy(0.5, 10, 1.2), "tau is 1.2"),
        (lambda: queries.smallest_batch(0.5, 0.3, 1), "accuracy is 1"),
        (lambda: queries.smallest_batch(0.5, 0.3, 0.9, multiple=0), "multiple is 0"),
        (lambda: queries.neyman_pearson(0.1, 0.1, 0.9, 0.1), "but p1 is 0.1 and p0 is 0.1"),
        (lambda: queries.sprt(0.8, 0.1, 1, 0.1), "power is 1"),
        (lambda: queries.sprt(0.8, 0.1, 0.9, 0), "fpr is 0"),
        (lambda: queries.p_value(4, 3, 0.1), "n is 3, but it is a whole number of at least 4"),
        (lambda: queries.p_value(-1, 3, 0.1), "hits is -1"),
        (lambda: queries.anytime_p_value([0.5], 0.1), "a sequence of 0, a miss, and 1, a hit"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            call()
