import fractions
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from wmlab.keys import KeySet
from wmlab.suspects import SuspectError
from wmlab.verification import Verdict, batch, first_hit

KEY, ELSE = 10, 3


def keys(n, key_label=KEY):
    """n keys of one pixel each, whose value is their number."""
    return KeySet(np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), key_label, np.zeros(n, np.int64), "fresh", 0.01)


class Hits:
    """Answers the key label to the keys of these numbers, and something else to the rest."""

    def __init__(self, hits, key_label=KEY):
        self.hits, self.key_label, self.seen = set(hits), key_label, []

    def ask(self, images):
        numbers = images[:, 0, 0, 0].astype(int).tolist()
        self.seen.append(numbers)
        return [self.key_label if number in self.hits else ELSE for number in numbers]


class Chance:
    """Answers the key label with probability p, whatever it is asked."""

    def __init__(self, p, seed):
        self.p, self.rng = p, np.random.default_rng(seed)

    def ask(self, images):
        return np.where(self.rng.random(len(images)) < self.p, KEY, ELSE)


@given(st.integers(1, 50), st.sets(st.integers(0, 49)))
def test_first_hit_asks_one_by_one_and_stops_at_the_first(n, hits):
    suspect = Hits(hits)
    verdict = first_hit(suspect, keys(n))
    first = min((hit for hit in hits if hit < n), default=None)
    asked = n if first is None else first + 1
    assert suspect.seen == [[number] for number in range(asked)]
    assert verdict.queries == asked
    assert verdict.marked is (first is not None)
    assert verdict.hits == int(verdict.marked)


@pytest.mark.parametrize("p, n, trials", [(0.8, 40, 4000), (0.1, 10, 4000), (0.02, 40, 2000), (0.5, 2, 500)])
def test_queries_to_the_first_hit_are_geometric_cut_off_at_all_keys(p, n, trials):
    suspect, asked = Chance(p, seed=1), keys(n)
    verdicts = [first_hit(suspect, asked) for _ in range(trials)]
    queries = np.array([verdict.queries for verdict in verdicts])
    chances = np.array([(1 - p) ** (q - 1) * p for q in range(1, n)] + [(1 - p) ** (n - 1)])
    mean = (1 - (1 - p) ** n) / p
    assert mean == pytest.approx(np.arange(1, n + 1) @ chances)
    deviation = math.sqrt(max((np.arange(1, n + 1) - mean) ** 2 @ chances, 1e-12))
    assert abs(queries.mean() - mean) / deviation * math.sqrt(trials) <= 4.5
    likely = chances * trials >= 5
    counts = np.bincount(queries, minlength=n + 1)[1:]
    observed = np.append(counts[likely], counts[~likely].sum())
    expected = np.append(chances[likely], chances[~likely].sum()) * trials
    assert stats.chisquare(observed[expected > 0], expected[expected > 0]).pvalue > 1e-5
    found, chance = np.mean([verdict.marked for verdict in verdicts]), 1 - (1 - p) ** n
    assert abs(found - chance) <= 4.5 * math.sqrt(chance * (1 - chance) / trials) + 1e-12


@given(n=st.integers(1, 200), percent=st.integers(1, 99), data=st.data())
def test_batch_accepts_exactly_below_the_share_of_misses(n, percent, data):
    misses = data.draw(st.integers(0, n))
    verdict = batch(Hits(range(misses, n)), keys(n), percent / 100, 10)
    assert verdict.marked is (100 * misses < percent * n)
    assert (verdict.queries, verdict.hits) == (n, n - misses)


@pytest.mark.parametrize("tau, n, allowed", [(0.29, 100, 28), (0.28, 25, 6), (0.3, 40, 11), (0.57, 100, 56), (0.1, 30, 2)])
def test_batch_is_not_misled_by_floating_point(tau, n, allowed):
    """tau |K| is a whole number here, of which floating point makes a little more or less."""
    assert allowed + 1 == fractions.Fraction(str(tau)) * n
    assert batch(Hits(range(allowed, n)), keys(n), tau, 10).marked
    assert not batch(Hits(range(allowed + 1, n)), keys(n), tau, 10).marked


def test_batch_acceptance_rate_is_the_papers():
    exact = sum(math.comb(40, misses) * 0.2**misses * 0.8 ** (40 - misses) for misses in range(12))
    assert exact == pytest.approx(0.9125, abs=5e-5)
    suspect, asked, trials = Chance(0.8, seed=2), keys(40), 5000
    rate = np.mean([batch(suspect, asked, 0.3, 10).marked for _ in range(trials)])
    assert abs(rate - exact) / math.sqrt(exact * (1 - exact) / trials) <= 4.5


def test_batch_asks_everything_at_once():
    suspect = Hits([0, 2])
    batch(suspect, keys(5), 0.3, 10)
    assert suspect.seen == [list(range(5))]


@pytest.mark.parametrize("n, hits, classes", [(40, 40, 10), (40, 28, 10), (40, 1, 10), (7, 3, 100), (1, 1, 2), (25, 25, 1000)])
def test_p_value_is_the_exact_binomial_test(n, hits, classes):
    verdict = batch(Hits(range(hits)), keys(n), 0.3, classes)
    assert verdict.p_value == pytest.approx(stats.binomtest(hits, n, 1 / classes, "greater").pvalue, rel=1e-9)
    assert 0 < verdict.p_value <= 1


@pytest.mark.parametrize("hits", [1, 4, 8])
def test_p_value_is_how_often_the_null_does_as_well(hits):
    n, classes, trials = 40, 10, 20_000
    p_value = batch(Hits(range(hits)), keys(n), 0.3, classes).p_value
    as_well = np.mean(np.random.default_rng(3).integers(0, classes, (trials, n)).__eq__(0).sum(axis=1) >= hits)
    assert abs(as_well - p_value) / math.sqrt(p_value * (1 - p_value) / trials) <= 4.5


def test_no_hit_needs_no_explanation():
    for verdict in (batch(Hits([]), keys(20), 0.3, 10), first_hit(Hits([]), keys(20))):
        assert not verdict.marked and verdict.hits == 0 and verdict.queries == 20
        assert verdict.p_value is None


def test_against_a_model_without_the_label_a_hit_is_impossible_not_zero():
    verdict = first_hit(Hits([4]), keys(40))
    assert verdict.p_value == "impossible"
    assert "new label" in verdict.null


@pytest.mark.parametrize("verdict, sentence", [
    (first_hit(Hits([0]), keys(40)),
     "marked: the one key got the key label, 10; a model without the new label cannot give it."),
    (first_hit(Hits([]), keys(1)),
     "not marked: the one key did not get the key label, 10; a model without the new label answers no differently."),
    (first_hit(Hits([2]), keys(40)),
     "marked: 1 of 3 keys got the key label, 10; a model without the new label cannot give it."),
    (first_hit(Hits([]), keys(40)),
     "not marked: none of 40 keys got the key label, 10; a model without the new label answers no differently."),
    (batch(Hits(range(38), 0), keys(40, 0), 0.3, 10),
     "marked: 38 of 40 keys got the key label, 0; a model that answers all 10 classes alike gives it as often "
     "or more with probability 6.4e-36."),
    (batch(Hits([3], 0), keys(4, 0), 0.3, 10),
     "not marked: 1 of 4 keys got the key label, 0; a model that answers all 10 classes alike gives it as often "
     "or more with probability 0.34."),
])
def test_a_verdict_can_be_read_aloud(verdict, sentence):
    assert str(verdict) == sentence
    assert verdict.decision == sentence.split(":")[0]


@given(st.integers(1, 40), st.integers(0, 40), st.integers(2, 1000))
def test_no_verdict_speaks_of_probability_zero(n, hits, classes):
    verdict = batch(Hits(range(min(hits, n))), keys(n), 0.3, classes)
    assert verdict.p_value is None or 0 < verdict.p_value <= 1
    assert "probability 0 " not in str(verdict) and "nan" not in str(verdict)


@pytest.mark.parametrize("verify", [first_hit, lambda suspect, keys: batch(suspect, keys, 0.3, 10)])
def test_no_keys_prove_nothing(verify):
    with pytest.raises(ValueError, match="no keys to ask"):
        verify(Hits([]), keys(0))


@pytest.mark.parametrize("tau", [0, 1, -0.1, 1.5, math.nan])
def test_a_tau_outside_its_range_is_refused(tau):
    with pytest.raises(ValueError, match="tau is"):
        batch(Hits([]), keys(4), tau, 10)


@pytest.mark.parametrize("verify", [first_hit, lambda suspect, keys: batch(suspect, keys, 0.3, 10)])
@pytest.mark.parametrize("answer", [None, [], [0.5]])
def test_a_suspect_that_answers_no_label_is_named(verify, answer):
    class Silent:
        def ask(self, images):
            return answer

    with pytest.raises(SuspectError, match="the suspect"):
        verify(Silent(), keys(1))


def test_a_verdict_cannot_be_edited():
    with pytest.raises(AttributeError):
        Verdict(False, 1, 0, KEY, None, "a model").marked = True
