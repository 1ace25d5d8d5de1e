"""Checks of notebook 09: right answers in every form, and the errors they teach about."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmlab import lessons
from wmlab.lessons import check


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


SCORES = np.random.default_rng(0).permutation(np.arange(250)) / 100  # 0 to 2.49


class TestThreshold:
    """Exercise 09.1."""

    @pytest.mark.parametrize("answer", [2.47, 2.475, np.float32(2.4701), np.array(2.47), "2.47"])
    def test_the_lowest_that_flags_no_more_than_he_can_bear(self, said, answer):
        assert check("09.1", answer, SCORES, 0.01) is True
        assert (
            said[0].startswith("Right. 2 of 250 lie above it.")
            and "even 0 of 250 would only say: below 1.2%" in said[0]
        )

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (2.46, "It flags 3 of 250 clean images, and Bob can bear 2. Raise it."),
            (-1, "It flags 250 of 250"),
            (2.48, "It flags 1 of 250"),
            (2.49, "It flags 0 of 250. Bob can bear 2"),
            (9, "each step up lets keys pass"),
            (np.nan, "one number"),
            ("high", "could not be used"),
            ([2.47, 2.48], "could not be used"),
            (lambda scores: 2.47, "could not be used"),
            (SCORES, "could not be used"),
            (float("inf"), "It flags 0"),
        ],
    )
    def test_others_are_told_what_they_flag(self, said, answer, words):
        assert (
            check("09.1", answer, SCORES, 0.01) is False
            and said[0].startswith("Not yet. ")
            and words in said[0]
        )

    @given(
        scores=st.lists(st.integers(0, 12), min_size=20, max_size=120),
        share=st.sampled_from([0.01, 0.05, 0.29, 0.5]),
    )
    def test_ties_are_flagged_together_or_not_at_all(self, scores, share):
        allowed = round(share * 100) * len(scores) // 100
        flags = {t: sum(score > t for score in scores) for t in np.arange(-1, 14)}
        best = max(n for n in flags.values() if n <= allowed)
        for t, n in flags.items():
            assert lessons.checks()["09.1"](t, scores, share)[0] is bool(n == best)


def test_the_bound_in_words_is_that_of_no_false_alarm_in_so_many(said):
    check("09.1", 2.47, SCORES, 0.01)
    bound = float(re.search(r"below ([\d.]+)%", said[0])[1]) / 100
    assert abs((1 - bound) ** 250 - 0.05) < 0.01


def test_the_precision_is_that_of_a_count_of_customers():
    rng = np.random.default_rng(3)
    keys = rng.random(40_000_000) < 1e-4
    flagged = keys | (rng.random(keys.size) < 0.01)
    share = keys[flagged].mean()
    error = np.sqrt(share * (1 - share) / flagged.sum())
    right = 1e-4 / (1e-4 + 0.01 * 0.9999)
    assert abs(share - right) <= 4.5 * error and lessons.checks()["09.2"](right)[0] is True


@pytest.mark.parametrize(
    ("answer", "right", "words"),
    [
        (0.0099, True, "Right. 1 key and 100 clean images"),
        (1 / 101, True, "Right."),
        (np.float64(0.0099), True, "Right."),
        (0.01, True, "99 of 100"),
        (0.99, False, "that is not asked"),
        (100 / 101, False, "0.99 percent: hand in a share"),
        (1, False, "How many keys"),
        (0.9899, False, "who is flagged"),
        (0.98, False, "Divide"),
        (0.5, False, "Divide"),
        (0.0001, False, "Divide"),
        (0, False, "Divide"),
        (np.nan, False, "Divide"),
        ("1 %", False, "could not be used"),
        ([0.01], False, "could not be used"),
        (lambda: 0.01, False, "could not be used"),
        ({}, False, "could not be used"),
    ],
)
def test_the_precision_is_asked_for_as_a_share(said, answer, right, words):
    """Exercise 09.2."""
    assert check("09.2", answer) is right and words in said[0]


class TestQueries:
    """Exercise 09.3."""

    def test_the_answer_is_that_of_a_simulation(self):
        rng = np.random.default_rng(4)
        asked = (rng.random((40_000, 200)) >= 0.8) & (rng.random((40_000, 200)) < 0.9)
        needed = asked.argmax(axis=1) + 1
        mean, error = needed.mean(), needed.std() / np.sqrt(len(needed))
        assert asked.any(axis=1).all() and abs(mean - 1 / 0.18) <= 4.5 * error
        assert (
            lessons.checks()["09.3"](1 / 0.18)[0] is True
            and lessons.checks()["09.3"](float(mean))[0] is True
        )

    @pytest.mark.parametrize(
        ("answer", "right", "words"),
        [
            (5.556, True, "Right. A query hits with 0.2 · 0.9 = 0.18"),
            (5.6, True, "Right."),
            (1.11, False, "Refused queries are paid for too"),
            (1.39, False, "the share that is refused"),
            (5, False, "both answered and a hit"),
            (6, False, "both answered"),
            (0.18, False, "both answered"),
            (4.5, False, "both answered"),
            (np.inf, False, "both answered"),
            ("5.6", False, "could not be used"),
            (lambda: 5.6, False, "could not be used"),
            ([5.6], False, "could not be used"),
        ],
    )
    def test_others_are_told_what_they_counted(self, said, answer, right, words):
        assert check("09.3", answer) is right and words in said[0]
