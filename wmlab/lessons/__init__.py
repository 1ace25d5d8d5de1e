"""Lessons: a file a notebook, named as it is, with its panels, its tables and the checks of its
exercises.
"""

import html
import importlib

LESSONS = {
    "00": "start_here",
    "01": "boundary_twist",
    "02": "key_samples",
    "03": "embedding",
    "04": "fidelity",
    "05": "expected_queries",
    "06": "the_judge",
    "07": "pruning",
    "08": "fine_tuning",
    "09": "evasion",
    "10": "extra_class",
}


def checks():
    """The judge of every exercise, {number: function}; loads all lessons."""
    lessons = (importlib.import_module(f"wmlab.lessons.{name}") for name in LESSONS.values())
    return {number: judge for lesson in lessons for number, judge in lesson.CHECKS.items()}


def check(exercise, answer, *context):
    """Judge the answer to an exercise and show a sentence. An unanswered one (`...` or None) is
    left alone.

    exercise: its number, as in "03.1". context: what the exercise says to pass along, such as a
    model. Returns True, False, or None for unanswered; never raises over a wrong answer, so that a
    notebook runs on. Raises ValueError for an exercise that does not exist.
    """
    lesson = LESSONS.get(str(exercise).partition(".")[0])
    judges = importlib.import_module(f"wmlab.lessons.{lesson}").CHECKS if lesson else checks()
    if exercise not in judges:
        raise ValueError(f"there is no exercise {exercise!r}: there are {', '.join(judges)}")
    if answer is ... or answer is None:
        _say("Not answered yet: put your answer in place of the dots and run the cell again.")
        return None
    try:
        right, sentence = judges[exercise](answer, *context)
    except (
        Exception
    ) as error:  # the answer may be any object or function: what it raises is part of the lesson
        right, sentence = False, f"Your answer could not be used ({type(error).__name__}: {error})."
    _say(("Right. " if right else "Not yet. ") + sentence)
    return bool(right)


def _say(sentence):
    from IPython.display import HTML, display

    display(HTML(f"<p role='status' style='font-size:16px'>{html.escape(sentence)}</p>"))
