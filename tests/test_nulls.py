"""The exact nulls of the gallery, each beside a simulation of what it is the law of."""

import numpy as np
import pytest
from scipy import stats

from wmlab.keys import KeySet
from wmlab.schemes.deepmarks import code
from wmlab.schemes.frontier import published_threshold
from wmlab.secret import Secret
from wmlab.verification import Bits, Direction, RandomLabels, Verdict

DRAWN, LARGEST = 20_000, 4.5


def z(seen, p):
    """How far a count of DRAWN trials is from probability p, in standard deviations."""
    return (seen - DRAWN * p) / np.sqrt(DRAWN * p * (1 - p))


def test_random_labels_against_answers_that_stand_and_fall_together():
    """Whatever the answers: here one class for half of the keys."""
    rng = np.random.default_rng(1)
    answers = np.where(np.arange(40) % 2, 3, np.arange(40) % 10)
    hits = (rng.integers(0, 10, (DRAWN, 40)) == answers).sum(axis=1)
    for least in (1, 3, 5, 7, 9):
        p = RandomLabels(10).weigh(least, 40)[0]
        assert abs(z((hits >= least).sum(), p)) <= LARGEST


def test_random_labels_other_than_the_true_one():
    rng = np.random.default_rng(2)
    true = rng.integers(0, 10, (DRAWN, 40))
    labels = (true + rng.integers(1, 10, true.shape)) % 10
    never_true = ((true + 4) % 10 == labels).sum(axis=1)
    half_true = np.where(np.arange(40) % 2, true, (true + 4) % 10)
    half = (half_true == labels).sum(axis=1)
    for least in (2, 4, 6, 8):
        p = RandomLabels(10, others=True).weigh(least, 40)[0]
        assert abs(z((never_true >= least).sum(), p)) <= LARGEST
        assert z((half >= least).sum(), p) < -LARGEST, "on the safe side"


def test_bits_of_weights_that_are_as_they_are():
    rng = np.random.default_rng(3)
    read = rng.normal(size=64) > 0.4  # mostly zeros, as real weights may be
    hits = (rng.integers(0, 2, (DRAWN, 64)) == read).sum(axis=1)
    for least in (25, 32, 36, 40, 43):
        assert abs(z((hits >= least).sum(), Bits(64).weigh(least)[0])) <= LARGEST


def test_bits_of_a_secret_are_tosses_of_a_coin():
    ones = sum((Secret(str(i)).rng("message").uniform(64) > 0.5).sum() for i in range(300))
    assert abs(ones - 9600) / np.sqrt(19200 / 4) <= LARGEST


def test_direction_of_one_user_is_exact_and_of_all_is_a_bound():
    rng = np.random.default_rng(4)
    read = rng.normal(size=31) ** 3
    drawn = rng.normal(size=(DRAWN, 31))
    cosines = drawn @ read / np.linalg.norm(drawn, axis=1) / np.linalg.norm(read)
    for least in (-0.1, 0.1, 0.3, 0.45):
        p = Direction(31).weigh(least)[0]
        assert abs(z((cosines >= least).sum(), p)) <= LARGEST
    assert Direction(31, 31).weigh(0.45)[0] == pytest.approx(31 * Direction(31).weigh(0.45)[0])
    words = np.where(code(), 1, -1) / np.sqrt(31)
    best = []
    for _ in range(500):
        frame = np.linalg.qr(rng.normal(size=(31, 31)))[0]
        best.append((words @ frame @ read).max() / np.linalg.norm(read))
    p = Direction(31, 31).weigh(0.5)[0]
    assert (np.array(best) >= 0.5).mean() <= p + LARGEST * np.sqrt(p / 500)
    assert Direction(31, 31).weigh(1.0)[0] < 1e-100 and Direction(31, 31).weigh(-1.0)[0] == 1


def test_the_published_threshold_of_frontier_stitching():
    assert published_threshold(100) == 42
    for n in (5, 20, 100):
        theta = published_threshold(n)
        assert stats.binom.cdf(theta, n, 0.5) >= 0.05 > stats.binom.cdf(theta - 1, n, 0.5)


def test_nulls_speak_to_a_judge_and_refuse_nonsense():
    keys = KeySet(np.zeros((1, 1, 1, 1), np.float32), 0, np.array([1]), "fresh", 0.01)
    for null in (RandomLabels(10), Bits(64), Direction(31, 31)):
        p_value, note = null.weigh(1, 1, keys)
        says = str(Verdict(True, 0, 1, None, p_value, str(null), note, "this was found"))
        assert says.startswith("marked: this was found; a model that was trained without th")
        assert "committed before the weights were fixed" in says
    for made, says in (
        (lambda: RandomLabels(1), "drawn from 1"),
        (lambda: RandomLabels(2, others=True), "drawn from 1"),
        (lambda: Bits(0), "message of 0 bits"),
        (lambda: Direction(1), "two dimensions"),
        (lambda: Direction(31, 0), "0 users"),
    ):
        with pytest.raises(ValueError, match=says):
            made()


def test_any_five_users_are_told_by_the_and_of_their_words():
    rng, words = np.random.default_rng(5), code()
    assert (words.sum(axis=1) == 25).all() and len(words) == 31
    for size in (1, 2, 3, 4, 5):
        for _ in range(50):
            users = np.sort(rng.permutation(31)[:size])
            bits = words[users].all(axis=0)
            named = [user for user in range(31) if not (bits & ~words[user]).any()]
            assert named == users.tolist()
