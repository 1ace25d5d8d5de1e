"""Checks of exercises: right, wrong, unanswered, and answers that raise."""

import numpy as np
import pytest

from wmlab import lessons
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
