"""Checks of exercises of notebook 07: right, wrong, told what to think of next, and answers that
raise.
"""

import numpy as np
import pandas as pd
import pytest

from wmlab import lessons
from wmlab.lessons import check

LAYER = [0.3, -0.1, 0.1, -0.7, 0.0, 0.1, -0.4, 0.1, 0.9]
BY_HAND = [0.3, 0, 0, -0.7, 0, 0.1, -0.4, 0.1, 0.9]


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


@pytest.mark.parametrize("answer", [BY_HAND, tuple(BY_HAND), np.array(BY_HAND), pd.Series(BY_HAND)])
def test_a_layer_pruned_by_hand(answer):
    assert check("07.1", answer, np.array(LAYER), 0.4) is True


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (LAYER, "You have 1 zeros. At rate 0.4, ⌊0.4 · 9⌋ = 3"),
        ([0.3, 0, 0, -0.7, 0, 0, -0.4, 0.1, 0.9], "You have 4 zeros"),
        ([0.3, 0, 0, -0.7, 0, 0, -0.4, 0, 0.9], "You have 5 zeros"),
        ([0.3, 0, 0.1, 0, 0, 0.1, -0.4, 0.1, 0.9], "the absolute value counts"),
        ([0.3, 0.0, 0.1, -0.7, 0, 0.1, 0, 0.1, 0.9], "the absolute value counts"),
        ([0.3, -0.1, 0.1, -0.7, 0, 0, -0.4, 0, 0.9], "among equal weights the first go"),
        ([0.3, 0, 0.1, -0.7, 0, 0, -0.4, 0.1, 0.9], "among equal weights the first go"),
        ([0.3, 0, 0, 0.7, 0, 0.1, 0.4, 0.1, 0.9], "stays as it is, sign and all"),
        ([0.3, -0.7, 0.1, -0.4, 0.1, 0.9], "Hand in all 9 weights"),
        (0, "Hand in all 9"),
        ([BY_HAND], "Hand in all 9"),
        ([np.nan] * 9, "stays as it is"),
        ("three", "could not be used"),
        ({}, "could not be used"),
        (lambda: 0, "could not be used"),
    ],
)
def test_a_layer_pruned_otherwise(said, answer, words):
    assert check("07.1", answer, np.array(LAYER), 0.4) is False
    assert said[0].startswith("Not yet. ") and words in said[0]


@pytest.mark.parametrize(
    ("rate", "zeros"), [(0.29, 29), (0.57, 57), (0.999, 99), (0.0, 0), (1.0, 100)]
)
def test_the_floor_is_that_of_the_number_as_it_is_written(rate, zeros):
    """In floating point 0.29 · 100 is below 29."""
    layer = np.linspace(0.1, 1, 100)
    assert check("07.1", np.where(np.arange(100) < zeros, 0, layer), layer, rate) is True
    if 0 < zeros < 100:
        assert check("07.1", np.where(np.arange(100) < zeros - 1, 0, layer), layer, rate) is False


def runs(outcomes, scheme="new label"):
    """Rows of attacks, {(attack, strength): [(points lost, decision), …]}."""
    return pd.DataFrame(
        [
            {
                "scheme": scheme,
                "attack": attack,
                "strength": strength,
                "lost": lost,
                "decision": decision,
            }
            for (attack, strength), several in outcomes.items()
            for lost, decision in several
        ]
    )


M, N = "marked", "not marked"
GLOBAL = {
    ("pruning, global", 0.3): [(0.0, M), (0.2, M)],
    ("pruning, global", 0.5): [(3.5, M), (0.5, M)],
    ("pruning, global", 0.7): [(2.0, M), (2.2, M)],
    ("pruning, per layer", 0.7): [(0.0, M), (0.0, M)],
}


@pytest.fixture
def rates():
    return pd.concat([runs(GLOBAL), runs({("pruning, global", 0.7): [(0.0, M)]}, "wrong label")])


@pytest.mark.parametrize("answer", [0.5, np.float64(0.5), "0.5"])
def test_the_largest_rate_is_that_of_the_mean(said, rates, answer):
    assert check("07.2", answer, rates) is True and "2.0 points at 50%" in said[0]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (0.3, "At 0.3 he loses 0.1 points, which he bears; but a larger rate"),
        (0.7, "At 0.7 he loses 2.1 points. Group"),
        (50, "50 is no rate on record: there are 0.3, 0.5, 0.7"),
        (np.nan, "nan is no rate"),
        ("half", "could not be used"),
        ([0.5, 0.7], "could not be used"),
        (lambda: 0.5, "could not be used"),
    ],
)
def test_other_rates_are_told_what_they_cost(said, rates, answer, words):
    assert (
        check("07.2", answer, rates) is False
        and words in said[0]
        and said[0].startswith("Not yet. ")
    )


TRIED = GLOBAL | {
    ("fine-pruning", 0.3): [(1, M), (1, M), (1, N)],
    ("fine-pruning", 0.6): [(1, N), (3, N), (1.5, M)],
    ("fine-pruning", 0.9): [(5, N)] * 3,
    ("fine-pruning", 0.8): [(2, N), (2, M)],
    ("FTAL", 0.01): [(0, N)],
}
RIGHT = [("fine-pruning", 0.6)]


@pytest.fixture
def tried():
    return pd.concat([runs(TRIED), runs({("fine-pruning", 0.3): [(0, N)] * 9}, "wrong label")])


@pytest.mark.parametrize(
    "answer",
    [
        RIGHT,
        tuple(RIGHT),
        set(RIGHT),
        [["fine-pruning", 0.6]],
        RIGHT * 2,
        [("fine-pruning", "0.6")],
        np.array([("fine-pruning", 0.6)], dtype=object),
    ],
)
def test_what_removes_the_mark_within_the_loss(answer, tried):
    assert check("07.3", answer, tried) is True


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ([], "That is 0 of 1"),
        ([*RIGHT, ("fine-pruning", 0.9)], "fine-pruning at 0.9 costs 5.0 points"),
        (
            [*RIGHT, ("fine-pruning", 0.3)],
            "After fine-pruning at 0.3 Ver acquits in 33% of the runs",
        ),
        ([*RIGHT, ("fine-pruning", 0.8)], "acquits in 50% of the runs"),
        ([("pruning, global", 0.3)], "acquits in 0% of the runs"),
        ([("FTAL", 0.01)], "“FTAL” at 0.01 is not on record"),
        ([("fine-pruning", 0.5)], "not on record"),
        (("fine-pruning", 0.6), "could not be used"),
        ("fine-pruning", "could not be used"),
        (0.6, "could not be used"),
        (lambda: RIGHT, "could not be used"),
    ],
)
def test_what_does_not_is_told_why(said, tried, answer, words):
    assert (
        check("07.3", answer, tried) is False
        and words in said[0]
        and said[0].startswith("Not yet. ")
    )


def test_where_nothing_removes_the_mark_the_answer_is_none():
    assert check("07.3", [], runs(GLOBAL)) is True
    assert check("07.3", [("pruning, global", 0.3)], runs(GLOBAL)) is False


def test_where_two_attacks_do_one_is_half_of_it(said):
    both = runs(TRIED | {("fine-pruning", 0.3): [(1, N)] * 3})
    assert check("07.3", RIGHT, both) is False and "1 of 2" in said[0]
    assert check("07.3", [*RIGHT, ("fine-pruning", 0.3)], both) is True
