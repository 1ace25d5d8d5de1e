"""Checks of the exercises of notebook 08."""

import itertools

import numpy as np
import pandas as pd
import pytest

from wmlab import lessons
from wmlab.lessons import check


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


COLUMNS = ["scheme", "attack", "strength", "epochs", "images", "runs", "lost", "keys", "acquitted"]
MEANS = pd.DataFrame(
    [
        ("new label", "FTAL", 0.01, 8, 500, 6, 2.5, 0.0, 1.0),
        ("new label", "FTAL", 0.01, 16, 500, 6, 1.5, 0.0, 1.0),
        ("new label", "FTLL", 0.1, 8, 500, 6, 0.4, 0.004, 0.9),
        ("new label", "FTLL", 0.01, 8, 500, 6, 0.1, 0.05, 0.5),
        ("new label", "FTAL, SGD", 0.1, 8, 500, 6, 0.6, 0.0, 1.0),
        ("wrong label", "FTLL", 0.1, 8, 500, 6, -1.0, 0.61, 0.8),
        ("wrong label", "RTLL", 0.01, 8, 500, 6, -2.0, 0.6, 1.0),
    ],
    columns=COLUMNS,
)


class TestCheapest:
    """Exercise 08.1."""

    @pytest.mark.parametrize(
        "answer",
        [
            ("FTLL", 0.1),
            ["FTLL", 0.1],
            ("FTLL", "0.1"),
            np.array(["FTLL", 0.1], object),
            MEANS.loc[2, ["attack", "strength"]],
        ],
    )
    def test_the_setting_that_ends_it_for_least_is_right(self, said, answer):
        assert check("08.1", answer, MEANS) is True
        assert said[0] == (
            "Right. It costs Bob 0.4 points and leaves 0.4% of the keys. "
            "The wrong label keeps 61% of its keys there."
        )

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (("FTAL", 0.01), "ends the mark for 1.5 points. Another setting costs less"),
            (("FTAL, SGD", 0.1), "for 0.6 points"),
            (("FTLL", 0.01), "still says “marked” of most"),
            (("RTLL", 0.01), "still says “marked”"),
            (
                ("FTAL", 0.1),
                "FTAL at 0.1 is not on record. Modes are “FTAL”, “FTLL”, “FTAL, SGD”, “RTLL”",
            ),
            (("REFIT", 0.1), "not on record"),
            ((0.1, "FTLL"), "could not be used"),
            *(
                (nonsense, "could not be used")
                for nonsense in (
                    "FTLL",
                    0.1,
                    ("FTLL",),
                    ("FTLL", 0.1, 8),
                    {"FTLL": 0.1},
                    lambda m: m,
                )
            ),
        ],
    )
    def test_others_are_told_what_to_look_at(self, said, answer, words):
        assert check("08.1", answer, MEANS) is False
        assert said[0].startswith("Not yet. ") and words in said[0]

    def test_one_answer_is_right_whatever_the_records(self):
        rng = np.random.default_rng(0)
        places = [
            *itertools.product(
                ("new label", "wrong label"), ("FTAL", "FTLL"), (0.001, 0.01, 0.1), (4, 8)
            )
        ]
        for _ in range(20):
            means = pd.DataFrame(
                [(*place, 500, 6, *rng.random(3)) for place in places], columns=COLUMNS
            )
            ended = [
                row
                for row in means.itertuples()
                if row.scheme == "new label" and row.acquitted > 0.5
            ]
            best = min(ended, key=lambda row: row.lost)
            right = [
                answer
                for answer in itertools.product(("FTAL", "FTLL"), (0.001, 0.01, 0.1))
                if check("08.1", answer, means)
            ]
            assert right == [(best.attack, best.strength)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.mean(np.array([91, 73, 60, 44, 28]) / 98), "Right. "),
        (0.604, "Right. "),
        (np.float32(0.604), "Right. "),
        (0.592, "divide"),
        ((0.98 + 2.96) / 6 / 0.98, "You counted “before”"),
        (0.28 / 0.98, "in the end"),
        (60.4, "Divide each"),
        (0, "Divide each"),
        (np.nan, "Divide each"),
        ("0.604", "could not be used"),
        ([0.604], "could not be used"),
    ],
)
def test_omega(said, answer, words):
    """Exercise 08.2."""
    assert check("08.2", answer) is words.startswith("Right")
    assert words in said[0] and said[0].startswith(("Right. ", "Not yet. "))


@pytest.mark.parametrize(
    ("answer", "untouched", "words"),
    [
        (0.991, 0.9911, "Right. All other layers were frozen"),
        (1, 1.0, "Right. "),
        (0.0, 0.991, "That is what Bob's network hits"),
        (0.04, 0.991, "with his layer"),
        (0.5, 0.991, "List the layers"),
        (0.98, 0.991, "List the layers"),
        (1.0, 0.991, "List the layers"),
        (np.nan, 0.991, "List the layers"),
        ("all", 0.991, "could not be used"),
        (lambda: 1, 0.991, "could not be used"),
    ],
)
def test_the_layer_that_is_put_back(said, answer, untouched, words):
    """Exercise 08.3."""
    assert check("08.3", answer, untouched) is words.startswith("Right")
    assert words in said[0] and said[0].startswith(("Right. ", "Not yet. "))
