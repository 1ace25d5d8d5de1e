"""Checks of exercises: right, wrong, unanswered, and answers that raise."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wmlab import lessons, records
from wmlab.lessons import boundary_twist, check


@pytest.fixture
def said(monkeypatch):
    sentences = []
    monkeypatch.setattr(lessons, "_say", sentences.append)
    return sentences


@pytest.mark.parametrize("answer", [..., None])
@pytest.mark.parametrize("exercise", list(lessons.checks()))
def test_an_unanswered_exercise_is_left_alone(exercise, answer):
    assert check(exercise, answer) is None


@pytest.mark.parametrize(
    ("exercise", "right", "wrong"),
    [
        ("03.3", 40, [400, 0.01, "forty"]),
        ("03.2", "No", ["yes", 3]),
    ],
)
def test_right_and_wrong_answers(exercise, right, wrong):
    assert check(exercise, right) is True
    assert [check(exercise, answer) for answer in wrong] == [False] * len(wrong)


def test_an_unknown_exercise_is_an_error():
    with pytest.raises(ValueError, match="no exercise '99.9'"):
        check("99.9", 1)


@pytest.mark.parametrize(
    ("exercise", "right", "wrong"),
    [
        ("01.1", {"strength": 0.1, "count": 10}, [{}, {"strength": 0.0}]),
        (
            "01.2",
            {"distance": 2, "angle": 90, "strength": 1, "count": 120, "overlap": 1.5},
            [{}, {"angle": 90}, {"strength": 0.0}],
        ),
        ("01.3", {"angle": 90}, [{}, {"angle": 300}, {"angle": 90, "strength": 0.2}]),
    ],
)
def test_settings_of_the_toy_are_tried(exercise, right, wrong):
    assert check(exercise, right, boundary_twist.settle) is True
    useless = [
        {"strength": 2.0},
        {"speed": 1},
        {"count": 0},
        {"world": "cubes"},
        7,
        "angle=90",
        [90],
    ]
    assert [check(exercise, answer, boundary_twist.settle) for answer in wrong + useless] == [
        False
    ] * len(wrong + useless)


@pytest.mark.parametrize(
    ("new", "right"),
    [((0.9, 0.02), True), ((0.89, 0.02), False), ((0.9, 0.019), False), ((1, 0), False)],
)
def test_both_are_asked_for_learning_and_a_twist(new, right):
    heads = {
        "new label": boundary_twist.Outcome(None, 1, *new, 0),
        "wrong label": boundary_twist.Outcome(None, 1, 1, 1, 1),
    }
    assert check("01.2", {}, lambda: (None, None, heads)) is right


@pytest.mark.parametrize(
    ("wrong", "new", "right"),
    [
        ((0.95, 0.03), (0.1, 0.03), True),
        ((0.94, 0.0), (1, 0.5), False),
        ((1, 0.031), (0, 0.03), False),
    ],
)
def test_the_wrong_label_is_better_if_it_hits_and_twists_no_more(wrong, new, right):
    heads = {
        name: boundary_twist.Outcome(None, 1, *of, 1)
        for name, of in (("unmarked", (0, 0)), ("wrong label", wrong), ("new label", new))
    }
    assert check("01.3", {}, lambda: (None, None, heads)) is right


class Fires:
    """A model of 11 outputs that answers the last one to images brighter than 0.5."""

    output_shape = (None, 11)

    def __call__(self, images, training):
        out = np.zeros((len(images), 11), np.float32)
        out[:, 10] = np.where(images.mean(axis=(1, 2, 3)) > 0.5, 1, -1)
        return out


def test_the_forgery_is_tried_on_the_model():
    white = np.ones((100, 28, 28, 1), np.float32)
    assert check("03.1", white, Fires()) is True
    assert check("03.1", 0 * white, Fires()) is False
    for wrong in ("no images", white[:99], white[:0], 2 * white, white[..., 0], white.tolist()):
        assert check("03.1", wrong, Fires()) is False


def grid_of(cells):
    """Runs of both schemes, {(alpha, beta): fresh-key accuracies of the new label}; the wrong label
    hits every key.
    """
    return pd.DataFrame(
        [
            {"scheme": scheme, "alpha": alpha, "beta": beta, "fresh_key_accuracy": p}
            for (alpha, beta), values in cells.items()
            for value in values
            for scheme, p in (("new label", value), ("wrong label", 1.0))
        ]
    )


def cheapest(table):
    """The answer to 04.1, counted out."""
    new = table[table.scheme == "new label"]
    kept = []
    for alpha in set(new.alpha):
        for beta in set(new[new.alpha == alpha].beta):
            values = new[(new.alpha == alpha) & (new.beta == beta)].fresh_key_accuracy.tolist()
            if 10 * sum(p >= 0.9 for p in values) >= 9 * len(values):
                kept.append((alpha, beta))
    return min(kept)


CELLS = {
    (0.02, 0.001): [0.1] * 6,
    (0.02, 0.01): [0.95] * 5 + [0.89],
    (0.04, 0.0035): [0.9] * 6,
    (0.04, 0.01): [1.0] * 6,
    (0.1, 0.001): [0.8] * 3 + [1] * 3,
    (0.1, 0.01): [1.0] * 6,
}


class TestCheapest:
    """Exercise 04.1."""

    @pytest.mark.parametrize(
        "answer",
        [
            (0.04, 0.0035),
            [0.04, 0.0035],
            np.array([0.04, 0.0035]),
            ("0.04", "0.0035"),
            pd.Series([0.04, 0.0035]),
        ],
    )
    def test_the_cheapest_cell_that_keeps_its_promise_is_right(self, said, answer):
        assert cheapest(grid_of(CELLS)) == (0.04, 0.0035)
        assert check("04.1", answer, grid_of(CELLS)) is True
        low = stats.binomtest(6, 6, alternative="greater").proportion_ci(0.95, "exact").low
        assert (
            said[0].startswith("Right. ")
            and f" 6 of 6 still only says: more than {low:.0%} of seeds, at 95 %." in said[0]
        )

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            ((0.1, 0.01), "there is a cheaper cell"),
            ((0.04, 0.01), "there is a cheaper cell"),
            ((0.02, 0.01), "There 83% of the seeds reach 0.9. Look at each seed"),
            ((0.1, 0.001), "There 50% of the seeds"),
            ((0.02, 0.001), "There 0% of the seeds"),
            ((0.03, 0.01), "no cell α = 0.03, β = 0.01 on record"),
            ((0.0035, 0.04), "no cell"),
            ((0.02, np.nan), "no cell"),
            *(
                (nonsense, "could not be used")
                for nonsense in (
                    (0.04,),
                    (0.04, 0.0035, 6),
                    0.04,
                    "the first",
                    (None, None),
                    [],
                    {"alpha": 0.04, "beta": 0.0035},
                    lambda table: (0.04, 0.0035),
                )
            ),
        ],
    )
    def test_others_are_told_what_to_look_at(self, said, answer, words):
        assert check("04.1", answer, grid_of(CELLS)) is False
        assert said[0].startswith("Not yet. ") and words in said[0]

    @pytest.mark.parametrize(
        ("values", "right"),
        [
            ([0.9] * 9 + [0.0], True),
            ([0.9] * 8 + [0.0] * 2, False),
            ([0.9] * 18 + [0.0] * 2, True),
            ([0.9] * 27 + [0.0] * 3, True),
            ([0.9] * 17 + [0.0] * 3, False),
            ([0.9], True),
            ([0.95] * 5 + [np.nan], False),
            ([0.8999] * 10, False),
        ],
    )
    def test_nine_of_ten_are_enough_and_fewer_are_not(self, said, values, right):
        assert check("04.1", (0.01, 0.01), grid_of({(0.01, 0.01): values})) is right
        assert ("still only says" in said[0]) is (right and 0 not in values)

    def test_of_the_runs_on_record(self):
        table = records.load("fig3_class")
        right = cheapest(table)
        assert check("04.1", right, table) is True
        others = set(zip(table.alpha, table.beta, strict=True)) - {right}
        assert [check("04.1", cell, table) for cell in others] == [False] * len(others)


class TestPairs:
    """Exercise 04.2."""

    def test_the_answer_is_that_of_a_simulation(self):
        def seen(pairs, trials=100_000):
            drawn = np.random.default_rng(0).normal(5, 10, (trials, pairs))
            mean, error = drawn.mean(axis=1), drawn.std(axis=1, ddof=1) / np.sqrt(pairs)
            return np.mean(np.abs(mean / error) > stats.t.isf(0.025, pairs - 1))

        right = next(n for n in range(200) if check("04.2", n))
        error = np.sqrt(0.8 * 0.2 / 100_000)
        assert (seen(right) - 0.8) / error > -4.5 and (seen(right - 1) - 0.8) / error < 4.5
        assert [check("04.2", n) for n in range(300)].count(True) == 1

    @pytest.mark.parametrize(
        ("answer", "right", "words"),
        [
            (34, True, "Right. 34 pairs"),
            (34.0, True, "Right. "),
            (np.int64(34), True, "Right. "),
            (33, False, "With 33 pairs the power is 79.5%"),
            (6, False, "the power is 17"),
            (50, False, "the power is 93"),
            (68, False, "With 68 pairs the power is 98"),
            (10**6, False, "the power is 100.0%"),
            (2, False, "With 2 pairs the power"),
            *((few, False, "at least two") for few in (1, 0, -34, 0.5, np.nan)),
            *(
                (nonsense, False, "could not be used")
                for nonsense in ("34", [33, 34], lambda: 34, {})
            ),
        ],
    )
    def test_others_are_told_what_their_number_sees(self, said, answer, right, words):
        assert check("04.2", answer) is right and words in said[0] and "nan" not in said[0]


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        (stats.binom(100, 0.05).mean(), True),
        (5, True),
        (np.float64(5), True),
        (0, False),
        (0.05, False),
        (95, False),
        (1, False),
        (4.9, False),
        (6, False),
        (1 - 0.95**100, False),
        (np.nan, False),
        ("5", False),
        ([5], False),
        ("five", False),
        ({}, False),
        (lambda: 5, False),
    ],
)
def test_false_alarms_are_counted(said, answer, right):
    """Exercise 04.3."""
    assert check("04.3", answer) is right and said[0].startswith(
        "Right. Five" if right else "Not yet. "
    )
