"""Checks of notebook 10: right answers, wrong ones that are told what to look at, and answers that
raise.
"""

import itertools

import numpy as np
import pytest

from wmlab import lessons
from wmlab.lessons import check

REPLIES = ("decoys", "split", "fallback", "audit")
RIGHT = {"cut": ["fallback", "audit"], "copy": [], "stranger": ["decoys", "split", "fallback"]}


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


def spoil(kernel, bias, label):
    kernel[:, label] = 0
    return np.delete(kernel, label, 1), np.delete(bias, label)


class TestDrop:
    @pytest.mark.parametrize(
        "answer",
        [
            lambda kernel, bias, label: (np.delete(kernel, label, axis=1), np.delete(bias, label)),
            lambda kernel, bias, label: (
                kernel[:, np.arange(len(bias)) != label],
                bias[np.arange(len(bias)) != label],
            ),
            lambda kernel, bias, label: (
                np.hstack([kernel[:, :label], kernel[:, label + 1 :]]),
                np.r_[bias[:label], bias[label + 1 :]],
            ),
        ],
    )
    def test_two_slices(self, answer):
        assert check("10.1", answer) is True

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda kernel, bias, label: (kernel[:, :-1], bias[:-1]), "it is not label 3 of 11"),
            (lambda kernel, bias, label: (kernel, bias), "one column, one number less"),
            (
                lambda kernel, bias, label: (
                    np.delete(kernel, label, axis=0),
                    np.delete(bias, label),
                ),
                "could not be used",
            ),
            (
                lambda kernel, bias, label: (np.delete(kernel, label, 1), bias[1:]),
                "it is not label 10 of 11",
            ),
            (
                lambda kernel, bias, label: (
                    np.delete(kernel, label, 1)[:, ::-1],
                    np.delete(bias, label),
                ),
                "it is not label 10 of 11",
            ),
            (spoil, "changed the weights"),
            (lambda kernel, bias: (kernel, bias), "could not be used"),
            (7, "could not be used"),
            (lambda kernel, bias, label: None, "could not be used"),
        ],
    )
    def test_what_is_wrong_is_said(self, answer, words, said):
        assert check("10.1", answer) is False and words in said[0]


class Shuffled:
    outputs = 11

    def right(self, output):
        return output == 4


@pytest.mark.parametrize(
    ("answer", "right", "words"),
    [
        (4, True, "nobody he sells to"),
        (np.int64(4), True, "Right."),
        (10, False, "count the answers"),
        (0, False, "count the answers"),
        (11, False, "no output: they count from 0 to 10"),
        (-1, False, "no output"),
        (4.5, False, "no output"),
        ("4", False, "no output"),
        ([4, 5], False, "no output"),
    ],
)
def test_the_extra_output_is_found(answer, right, words, said):
    assert check("10.2", answer, Shuffled()) is right and words in said[0]


class TestSurvives:
    def test_only_one_of_all_answers_is_right(self):
        subsets = [set(some) for n in range(5) for some in itertools.combinations(REPLIES, n)]
        for attack, some in itertools.product(RIGHT, subsets):
            assert check("10.3", RIGHT | {attack: some}) is (some == set(RIGHT[attack]))

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"copy": ["audit"]}, "“copy” again: audit does not help"),
            ({"cut": ["audit"]}, "“cut” again: fallback helps too"),
            ({"cut": "fallback"}, "audit helps too"),
            ({"stranger": ["prayer"]}, "no reply 'prayer'"),
            ({"cut": 7}, "could not be used"),
        ],
    )
    def test_the_attack_to_look_at_again_is_named(self, change, words, said):
        assert check("10.3", RIGHT | change) is False and words in said[0]

    @pytest.mark.parametrize("answer", [{}, ["fallback"], "audit", 3, {"cut": []}])
    def test_what_is_no_answer(self, answer):
        assert check("10.3", answer) is False
