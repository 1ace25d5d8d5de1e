"""Checks of exercises: right, wrong, unanswered, and answers that raise."""
import numpy as np
import pytest

from wmlab import checks
from wmlab.panels import p01


@pytest.mark.parametrize("answer", [..., None])
@pytest.mark.parametrize("exercise", list(checks.CHECKS))
def test_an_unanswered_exercise_is_left_alone(exercise, answer):
    assert checks.check(exercise, answer) is None


@pytest.mark.parametrize(
    ("exercise", "right", "wrong"),
    [("00.1", 0.1**3, [0.9**3, 0.3, "many"]), ("03.3", 40, [400, 0.01, "forty"]), ("03.2", "No", ["yes", 3])],
)
def test_right_and_wrong_answers(exercise, right, wrong):
    assert checks.check(exercise, right) is True
    assert [checks.check(exercise, answer) for answer in wrong] == [False] * len(wrong)


def test_a_wrong_answer_is_told_what_to_think_of(monkeypatch):
    said = []
    monkeypatch.setattr(checks, "_say", said.append)
    checks.check("00.1", 0.9**3)
    checks.check("00.1", "many")
    assert "misses" in said[0] and "could not be used" in said[1]


def test_an_unknown_exercise_is_an_error():
    with pytest.raises(ValueError, match="no exercise '99.9'"):
        checks.check("99.9", 1)


@pytest.mark.parametrize(("exercise", "right", "wrong"), [
    ("01.1", {"strength": 0.1, "count": 10}, [{}, {"strength": 2.0}, {"speed": 1}, 7]),
    ("01.2", {"angle": 90}, [{}, {"angle": 300}, {"count": 0}]),
])
def test_settings_of_the_toy_are_tried(exercise, right, wrong):
    assert checks.check(exercise, right, p01.settle) is True
    assert [checks.check(exercise, answer, p01.settle) for answer in wrong] == [False] * len(wrong)


class Fires:
    """A model of 11 outputs that answers the last one to images brighter than 0.5."""

    output_shape = (None, 11)

    def __call__(self, images, training):
        out = np.zeros((len(images), 11), np.float32)
        out[:, 10] = np.where(images.mean(axis=(1, 2, 3)) > 0.5, 1, -1)
        return out


def test_the_forgery_is_tried_on_the_model():
    white = np.ones((100, 28, 28, 1), np.float32)
    assert checks.check("03.1", white, Fires()) is True
    assert checks.check("03.1", 0 * white, Fires()) is False
    for wrong in ("no images", white[:99], white[:0], 2 * white, white[..., 0], white.tolist()):
        assert checks.check("03.1", wrong, Fires()) is False
