"""Checks of exercises: right, wrong, unanswered, and answers that raise."""

import numpy as np
import pytest

from wmlab import lessons
from wmlab.lessons import check


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
