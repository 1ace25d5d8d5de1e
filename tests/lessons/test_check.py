"""What holds for the check of every exercise."""

import pytest

from wmlab import lessons
from wmlab.lessons import check


def test_an_unanswered_exercise_is_left_alone_and_an_unknown_one_is_an_error(said):
    for exercise in lessons.checks():
        assert check(exercise, ...) is None and check(exercise, None) is None, exercise
        assert said[-1].startswith("Not answered yet")
    with pytest.raises(ValueError, match="no exercise '99.9'"):
        check("99.9", 1)
