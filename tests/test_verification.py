import fractions
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from wmlab.keys import KeySet
from wmlab.suspects import LocalSuspect, RemoteSuspect, SuspectError, serve
from wmlab.verification import Chance, Impossible, Measured, Verdict, batch, first_hit

KEY, ELSE = 10, 3


def keys(n, key_label=KEY, sources=9):
    """n keys of one pixel each, whose value is their number; from carriers of so many classes."""
    carriers = 1 + np.arange(n) % sources
    return KeySet(
        np.arange(n, dtype=np.float32).reshape(n, 1, 1, 1), key_label, carriers, "fresh", 0.01
    )


class Hits:
    """Answers the key label to the keys of these numbers, and something else to the rest."""

    def __init__(self, hits, key_label=KEY):
        self.hits, self.key_label, self.seen = set(hits), key_label, []

    def ask(self, images):
        numbers = images[:, 0, 0, 0].astype(int).tolist()
        self.seen.append(numbers)
        return [self.key_label if number in self.hits else ELSE for number in numbers]


class Guesses:
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


def test_queries_to_the_first_hit_are_geometric_cut_off_at_all_keys():
    for p, n, trials in [(0.8, 40, 1500), (0.1, 10, 1500), (0.02, 40, 800), (0.5, 2, 500)]:
        suspect, asked = Guesses(p, seed=1), keys(n)
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
    verdict = batch(Hits(range(misses, n)), keys(n), percent / 100, Chance(10))
    assert verdict.marked is (100 * misses < percent * n)
    assert (verdict.queries, verdict.hits) == (n, n - misses)


def test_batch_is_not_misled_by_floating_point():
    """tau |K| is a whole number here, of which floating point makes a little more or less."""
    ways = [(0.29, 100, 28), (0.28, 25, 6), (0.3, 40, 11), (0.57, 100, 56), (0.1, 30, 2)]
    for tau, n, allowed in ways:
        assert allowed + 1 == fractions.Fraction(str(tau)) * n
        assert batch(Hits(range(allowed, n)), keys(n), tau, 10).marked
        assert not batch(Hits(range(allowed + 1, n)), keys(n), tau, 10).marked


def test_batch_acceptance_rate_is_the_papers():
    exact = sum(math.comb(40, misses) * 0.2**misses * 0.8 ** (40 - misses) for misses in range(12))
    assert exact == pytest.approx(0.9125, abs=5e-5)
    suspect, asked, trials = Guesses(0.8, seed=2), keys(40), 1500
    rate = np.mean([batch(suspect, asked, 0.3, 10).marked for _ in range(trials)])
    assert abs(rate - exact) / math.sqrt(exact * (1 - exact) / trials) <= 4.5


def test_batch_asks_everything_at_once():
    suspect = Hits([0, 2])
    batch(suspect, keys(5), 0.3, 10)
    assert suspect.seen == [list(range(5))]


def test_p_value_is_the_exact_binomial_test():
    ways = [(40, 40, 10), (40, 28, 10), (40, 1, 10), (7, 3, 100), (1, 1, 2), (25, 25, 1000)]
    for n, hits, classes in ways:
        verdict = batch(Hits(range(hits)), keys(n), 0.3, classes)
        exact = stats.binomtest(hits, n, 1 / classes, "greater").pvalue
        assert 0 < verdict.p_value <= 1 and verdict.p_value == pytest.approx(exact, rel=1e-9)


def test_p_value_is_how_often_the_null_does_as_well():
    for hits in [1, 4, 8]:
        n, classes, trials = 40, 10, 20_000
        p_value = batch(Hits(range(hits)), keys(n), 0.3, classes).p_value
        answers = np.random.default_rng(3).integers(0, classes, (trials, n))
        as_well = np.mean((answers == 0).sum(axis=1) >= hits)
        assert abs(as_well - p_value) / math.sqrt(p_value * (1 - p_value) / trials) <= 4.5


def test_no_hit_needs_no_explanation():
    for verdict in (batch(Hits([]), keys(20), 0.3, 10), first_hit(Hits([]), keys(20))):
        assert not verdict.marked and verdict.hits == 0 and verdict.queries == 20
        assert verdict.p_value is None


def test_against_a_model_without_the_label_a_hit_is_impossible_not_zero():
    verdict = first_hit(Hits([4]), keys(40))
    assert verdict.p_value == "impossible"
    assert "new label" in verdict.null


def test_a_verdict_can_be_read_aloud():
    without = "the key label, 10; a model without the new label"
    chance = "the key label, 0; a model that answers all 10 classes alike gives it as often or more"
    for verdict, got, explained in [
        (first_hit(Hits([0]), keys(40)), "marked: the one key got", f"{without} cannot give it."),
        (
            first_hit(Hits([]), keys(1)),
            "not marked: the one key did not get",
            f"{without} answers no differently.",
        ),
        (first_hit(Hits([2]), keys(40)), "marked: 1 of 3 keys got", f"{without} cannot give it."),
        (
            first_hit(Hits([]), keys(40)),
            "not marked: none of 40 keys got",
            f"{without} answers no differently.",
        ),
        (
            batch(Hits(range(38), 0), keys(40, 0), 0.3, 10),
            "marked: 38 of 40 keys got",
            f"{chance} with probability 6.4e-36.",
        ),
        (
            batch(Hits([3], 0), keys(4, 0), 0.3, 10),
            "not marked: 1 of 4 keys got",
            f"{chance} with probability 0.34.",
        ),
    ]:
        assert str(verdict) == f"{got} {explained}" and verdict.decision == got.split(":")[0]


@given(st.integers(1, 40), st.integers(0, 40), st.integers(2, 1000))
def test_no_verdict_speaks_of_probability_zero(n, hits, classes):
    verdict = batch(Hits(range(min(hits, n))), keys(n), 0.3, classes)
    assert verdict.p_value is None or 0 < verdict.p_value <= 1
    assert "probability 0 " not in str(verdict) and "nan" not in str(verdict)


def test_no_keys_prove_nothing():
    for verify in [first_hit, lambda suspect, keys: batch(suspect, keys, 0.3, 10)]:
        with pytest.raises(ValueError, match="no keys to ask"):
            verify(Hits([]), keys(0))


def test_a_tau_outside_its_range_is_refused():
    for tau in [0, 1, -0.1, 1.5, math.nan]:
        with pytest.raises(ValueError, match="tau is"):
            batch(Hits([]), keys(4), tau, 10)


def test_a_suspect_that_answers_no_label_is_named():
    class Silent:
        def ask(self, images):
            return [0.5]

    for verify in (first_hit, lambda suspect, keys: batch(suspect, keys, 0.3, 10)):
        with pytest.raises(SuspectError, match="the suspect"):
            verify(Silent(), keys(1))


def test_a_verdict_cannot_be_edited():
    with pytest.raises(AttributeError):
        Verdict(False, 1, 0, KEY, None, "a model").marked = True


def hand_fisher(hits, n, others, asked):
    """One-sided by its definition: hits of a sample of n drawn from all answers, of which hits +
    others are hits.
    """
    total, every = hits + others, n + asked
    as_many = sum(
        math.comb(total, k) * math.comb(every - total, n - k)
        for k in range(hits, min(n, total) + 1)
    )
    return as_many / math.comb(every, n)


def of(*rows):
    """Answers of innocent networks, written as rows of 0 and 1."""
    return np.array([[character == "1" for character in row] for row in rows])


class TestNulls:
    """The three nulls on the same data, each by hand."""

    # four innocent networks, eight keys each; five hits in all; among the first three keys only one
    # network hits
    ANSWERED = of("10000000", "00010010", "00000000", "00001100")

    def test_they_differ_on_one_batch_exactly_as_by_hand(self):
        suspect = Hits(range(6), 0)
        impossible, chance, measured = (
            batch(suspect, keys(8, 0), 0.3, null)
            for null in (Impossible(), Chance(10), Measured(self.ANSWERED))
        )
        assert impossible.p_value == "impossible"
        six_or_more = 28 * 0.1**6 * 0.9**2 + 8 * 0.1**7 * 0.9 + 0.1**8
        assert chance.p_value == pytest.approx(six_or_more, rel=1e-12)
        # no network of 4 hit 6 times; Fisher's is smaller
        assert measured.p_value == pytest.approx(1 / 5)
        assert hand_fisher(6, 8, 5, 32) == pytest.approx(0.0026, abs=5e-5)
        assert [verdict.marked for verdict in (impossible, chance, measured)] == [True] * 3
        assert len({verdict.null for verdict in (impossible, chance, measured)}) == 3
        assert impossible.note == chance.note == ""

    def test_they_differ_on_one_first_hit_exactly_as_by_hand(self):
        verdicts = [
            first_hit(Hits([2]), keys(8), null)
            for null in (Impossible(), Chance(11), Measured(self.ANSWERED))
        ]
        assert [verdict.queries for verdict in verdicts] == [3] * 3
        assert verdicts[0].p_value == "impossible"
        assert verdicts[1].p_value == pytest.approx(1 - (10 / 11) ** 3)
        # none of 6 hits among the suspect's 3 answers
        fisher = 1 - math.comb(32, 6) / math.comb(35, 6)
        assert hand_fisher(1, 3, 5, 32) == pytest.approx(fisher) == pytest.approx(0.4417, abs=5e-5)
        # the rank p is 2/5: one network hits within three keys
        assert verdicts[2].p_value == pytest.approx(fisher)
        assert "This is Fisher's exact p: 1 of 3 answers against 5 of 32." in verdicts[2].note
        assert "bounds" not in verdicts[2].note and "smallest" not in verdicts[2].note

    def test_a_level_asks_more_than_the_rule(self):
        suspect, asked = Hits(range(6), 0), keys(8, 0)
        for null, p_value in ((Chance(10), 2.341e-5), (Measured(self.ANSWERED), 0.2)):
            assert batch(suspect, asked, 0.3, null, level=p_value * 1.01).marked
            assert not batch(suspect, asked, 0.3, null, level=p_value * 0.9).marked
            assert first_hit(Hits([2]), keys(8), null, level=0.5).marked
            assert not first_hit(Hits([2]), keys(8), null, level=0.2).marked
        assert first_hit(Hits([2]), keys(8), level=1e-9).marked, "what is impossible needs no level"
        assert not batch(Hits([0]), keys(8), 0.3, Chance(10), level=0.9).marked, (
            "no level makes up for misses"
        )

    @given(st.data(), st.integers(1, 12), st.integers(1, 12))
    def test_measured_is_the_larger_of_fisher_and_rank(self, data, networks, n):
        answered = data.draw(arrays(bool, (networks, n + 2)))
        hits = data.draw(st.integers(1, n))
        verdict = batch(Hits(range(hits)), keys(n), 0.5, Measured(answered))
        as_often = sum(sum(row[:n]) >= hits for row in answered.tolist())
        rank = (1 + as_often) / (1 + networks)
        fisher = hand_fisher(hits, n, int(answered.sum()), answered.size)
        assert verdict.p_value == pytest.approx(max(rank, fisher))
        assert verdict.p_value >= 1 / (networks + 1)
        tie = rank == pytest.approx(fisher)
        assert tie or ("rank p:" in verdict.note) is (rank > fisher)
        assert ("bounds the share" in verdict.note) is (as_often == 0)

    def test_fifty_networks_never_give_less_than_one_in_51_and_the_verdict_says_so(self):
        verdict = batch(Hits(range(100)), keys(100), 0.3, Measured(np.zeros((50, 100), bool)))
        assert verdict.p_value == 1 / 51
        assert "the smallest that 50 networks can give, 1/51" in verdict.note
        assert 1 - 0.05 ** (1 / 50) == pytest.approx(0.058, abs=5e-4)
        assert "0 in 50 bounds the share of such networks at 5.8% (95% confidence)." in verdict.note
        assert stats.binom.cdf(0, 50, 0.0581551) == pytest.approx(0.05, rel=1e-4)

    def test_the_verdict_says_which_of_the_two_it_is(self):
        rank = batch(Hits(range(3)), keys(3), 0.5, Measured(of("111", "000", "000")))
        assert str(rank) == (
            "marked: 3 of 3 keys got the key label, 10; a network like the 3 innocent ones gives "
            "it as often or more with "
            "probability 0.5. This is the rank p: 1 of 3 innocent networks hit as often among as "
            "many keys."
        )
        fisher = first_hit(Hits([0]), keys(3), Measured(np.eye(30, 60, 30, bool)))
        assert fisher.note.startswith("This is the rank p: none of 30") and fisher.p_value == 1 / 31

    def test_no_hit_needs_no_explanation_under_any_null(self):
        for null in (Impossible(), Chance(10), Measured(self.ANSWERED)):
            verdicts = first_hit(Hits([]), keys(8), null), batch(Hits([]), keys(8), 0.3, null)
            for verdict in verdicts:
                assert (verdict.marked, verdict.p_value, verdict.note) == (False, None, "")
                assert str(verdict).endswith(f"{verdict.null} answers no differently.")

    def test_innocents_must_have_been_asked_as_many_keys(self):
        assert first_hit(Hits([7]), keys(40), Measured(self.ANSWERED)).queries == 8
        says = "the suspect was asked 9 keys, the innocent networks 8: ask them as many"
        with pytest.raises(ValueError, match=says):
            first_hit(Hits([8]), keys(40), Measured(self.ANSWERED))

    def test_what_are_no_answers(self):
        no_answers = [np.zeros(shape, bool) for shape in (4, (0, 4), (3, 0))]
        for answered in (np.zeros((3, 4), int), *no_answers, []):
            with pytest.raises(ValueError, match="answers of innocent networks are true or false"):
                Measured(answered)

    def test_chance_needs_two_classes(self):
        for classes in [1, 0, -2, math.nan]:
            with pytest.raises(ValueError, match="at least 2"):
                Chance(classes)

    def test_a_level_outside_its_range_is_refused(self):
        for level in (0, 1, -0.1, math.nan):
            with pytest.raises(ValueError, match="level is"):
                first_hit(Hits([]), keys(4), level=level)
            with pytest.raises(ValueError, match="level is"):
                batch(Hits([]), keys(4), 0.3, Chance(10), level)


class TestIndependence:
    def test_one_source_class_is_told(self):
        for null in [Chance(10), Measured(np.zeros((50, 40), bool))]:
            verdict = batch(Hits(range(40), 0), keys(40, 0, sources=1), 0.3, null)
            assert "All keys were made from class 1. So keys stand or fall together" in verdict.note
            says = "count innocent networks, as the rank p does, or draw carriers from all classes"
            assert says in verdict.note
            several = batch(Hits(range(40), 0), keys(40, 0, sources=2), 0.3, null)
            assert "together" not in several.note

    def test_the_source_is_that_of_all_keys_not_of_the_few_that_were_asked(self):
        assert "together" not in first_hit(Hits([0]), keys(40), Chance(11)).note
        assert "together" in first_hit(Hits([0]), keys(40, sources=1), Chance(11)).note
        one_key = first_hit(Hits([0]), keys(1), Chance(11))
        assert "together" not in one_key.note, "one key has nothing to fall with"
        impossible = first_hit(Hits([0]), keys(40, sources=1))
        assert impossible.note == "", "what is impossible needs no independence"

    def test_networks_that_vary_more_than_binomially_are_told(self):
        rng = np.random.default_rng(4)
        alike = rng.random((50, 100)) < 0.1
        unlike = rng.random((50, 100)) < rng.beta(0.5, 4.5, (50, 1))
        said = [
            batch(Hits(range(90)), keys(100), 0.3, Measured(answered)).note
            for answered in (alike, unlike)
        ]
        assert ["vary more than binomially" in note for note in said] == [False, True]
        assert said[1].endswith(
            "must not be counted as independent: count innocent networks, as the rank p does."
        )

    def test_that_alarm_is_rare_where_answers_are_independent(self):
        rng, trials = np.random.default_rng(5), 150
        alarms = sum(
            bool(Measured(rng.random((50, 40)) < p)._uneven)
            for p in (0.02, 0.1, 0.5)
            for _ in range(trials // 3)
        )
        assert alarms <= stats.binom.isf(1e-5, trials, 0.01)

    def test_it_is_the_exact_test_of_equal_rates(self):
        """Against the chi-squared test, which is close where counts are large."""
        rng = np.random.default_rng(6)
        for spread in (0, 0.02, 0.1, 0.3):
            rates = np.clip(0.5 + spread * rng.normal(size=(20, 1)), 0, 1)
            answered = rng.random((20, 100)) < rates
            hits = answered.sum(axis=1)
            p_value = stats.chi2_contingency([hits, 100 - hits], correction=False).pvalue
            if not 0.003 < p_value < 0.03:
                assert bool(Measured(answered)._uneven) is bool(p_value < 0.01)


class TestLevels:
    """Under the null, a p-value of at most a comes with probability a at most."""

    def test_of_the_judge_who_stops_at_the_first_hit(self):
        ways = [(1 / 10, 40, 0.05), (1 / 10, 40, 0.3), (1 / 100, 40, 0.05), (1 / 2, 5, 0.6)]
        for p0, n, level in ways:
            classes, trials = round(1 / p0), 1000
            suspect, asked = Guesses(p0, seed=7), keys(n)
            verdicts = [first_hit(suspect, asked, Chance(classes), level) for _ in range(trials)]
            # a hit within so many convicts
            last = max(q for q in range(n + 1) if 1 - (1 - p0) ** q <= level)
            assert all(verdict.queries <= last for verdict in verdicts if verdict.marked)
            shares = {last: np.mean([verdict.marked for verdict in verdicts])}
            for q in {1, 2, 5, n} - {last}:
                shares[q] = np.mean([v.hits and v.queries <= q for v in verdicts])
            for q, share in shares.items():
                exact = 1 - (1 - p0) ** q
                error = math.sqrt(exact * (1 - exact) / trials)
                assert abs(share - exact) <= 4.5 * error + 1e-12

    def test_fishers_p_of_the_number_of_queries_summed_exactly(self):
        """Over all hits of the innocent networks and all numbers of queries: with 200 innocent
        answers.
        """
        for p0 in [0.0005, 0.005, 0.05, 0.3]:
            asked, others = 200, np.arange(201)
            weight = stats.binom.pmf(others, asked, p0)
            marked = dict.fromkeys((0.01, 0.05, 0.2, 0.5), 0.0)
            for many in np.flatnonzero(weight > 1e-12):
                # none of the hits in k answers of the suspect
                misses = np.cumprod(1 - (many + 1) / (asked + np.arange(1, 400)))
                assert misses[2] == pytest.approx(1 - hand_fisher(1, 3, int(many), asked))
                for level in marked:
                    last = int((1 - misses <= level).sum())
                    marked[level] += weight[many] * (1 - (1 - p0) ** last)
            assert all(share <= level for level, share in marked.items()), marked

    def test_of_networks_that_are_exchangeable_however_uneven(self):
        """Where answers of a network go together, Fisher's p alone would accuse many times as often
        as it says.
        """
        for spread in [None, (0.3, 2.7), (0.1, 0.4)]:
            for stops in [True, False]:
                rng, trials = np.random.default_rng(8), 150
                rates = rng.beta(*spread, (trials, 20)) if spread else np.full((trials, 20), 0.1)
                accused = by_fisher = 0
                for row in rates:
                    answered = rng.random((19, 20)) < row[1:, None]
                    suspect = Hits(np.flatnonzero(rng.random(20) < row[0]).tolist())
                    null, asked = Measured(answered), keys(20)
                    if stops:
                        verdict = first_hit(suspect, asked, null, 0.05)
                    else:
                        verdict = batch(suspect, asked, 0.999, null, 0.05)
                    accused, of = accused + verdict.marked, (int(answered.sum()), answered.size)
                    if verdict.hits:
                        by_fisher += hand_fisher(verdict.hits, verdict.queries, *of) <= 0.05
                most = stats.binom.isf(1e-5, trials, 0.05)
                assert accused <= most
                if spread == (0.1, 0.4) and not stops:
                    assert by_fisher > most, "unevenness is not noticed, and so not tested"


class Linear:
    """A model of one layer, without keras, for images of one pixel."""

    input_shape = (None, 1, 1, 1)

    def __call__(self, images, training=False):
        value = images.reshape(-1, 1)
        return np.concatenate([value * 0 + 0.6, value, value * 0], axis=1)  # 1 above 0.6, else 0


def test_local_and_remote_verdicts_are_equal():
    values = np.array([0, 51, 102, 204, 153, 255, 204, 255, 229, 240], np.float32) / np.float32(255)
    asked = KeySet(values.reshape(-1, 1, 1, 1), 1, np.arange(10) % 3, "fresh", 0.01)
    measured = Measured(of("0010100001", "0000000000", "0111111111"))
    with serve(Linear()) as url:
        suspects = LocalSuspect(Linear()), RemoteSuspect(url)
        for null in (Impossible(), Chance(3), measured):
            for here, there in (
                [first_hit(suspect, asked, null) for suspect in suspects],
                [batch(suspect, asked, 0.5, null, 0.4) for suspect in suspects],
            ):
                assert here == there and str(here) == str(there)
                assert here.hits in (1, 6) and here.queries in (4, 10)
        assert [suspect.queries for suspect in suspects] == [3 * 14] * 2
