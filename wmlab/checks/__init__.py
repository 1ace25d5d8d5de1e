"""Checks of exercises: they say whether an answer is right and, when it is not, what to think of next. A file a notebook."""
import html

from wmlab.checks import c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10

LESSONS = (c00, c01, c02, c03, c04, c05, c06, c07, c08, c09, c10)
CHECKS = {number: judge for lesson in LESSONS for number, judge in lesson.CHECKS.items()}


def check(exercise, answer, *context):
    """Judge the answer to an exercise and show a sentence. An unanswered one (`...` or None) is left alone.

    exercise: its number, as in "03.1". context: what the exercise says to pass along, such as a model.
    Returns True, False, or None for unanswered; never raises over a wrong answer, so that a notebook runs on.
    Raises ValueError for an exercise that does not exist.
    """
    if exercise not in CHECKS:
        raise ValueError(f"there is no exercise {exercise!r}: there are {', '.join(CHECKS)}")
    if answer is ... or answer is None:
        _say("Not answered yet: put your answer in place of the dots and run the cell again.")
        return None
    try:
        right, sentence = CHECKS[exercise](answer, *context)
    except Exception as error:  # the answer may be any object or function: what it raises is part of the lesson
        right, sentence = False, f"Your answer could not be used ({type(error).__name__}: {error})."
    _say(("Right. " if right else "Not yet. ") + sentence)
    return bool(right)


def _say(sentence):
    from IPython.display import HTML, display

    display(HTML(f"<p role='status' style='font-size:16px'>{html.escape(sentence)}</p>"))
