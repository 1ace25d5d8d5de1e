"""Lessons: a file a notebook, named as it is, with its panels, its tables and the checks of its
exercises.
"""

import contextlib
import html
import importlib
import json

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
    "11": "gallery",
    "12": "claims",
    "13": "full_scale",
}


HANDED_IN = "wmlab-answers "  # what a line to hand in starts with
KINDS = {"str": "a text", "function": "a function", "list": "a list", "dict": "a dict"}
_given = {}  # exercise: what was answered last, whether it was right, and how often it was tried
_numbers = set()  # the student's, as they were put into exercises


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
    with contextlib.suppress(TypeError, ValueError):
        if isinstance(answer, str):
            answer = float(answer.replace(",", "."))  # a number between quotes is one, too
    try:
        right, sentence = judges[exercise](answer, *context)
    except (
        Exception
    ) as error:  # the answer may be any object or function: what it raises is part of the lesson
        kind = KINDS.get(type(answer).__name__, f"of type {type(answer).__name__}")
        right = False
        sentence = f"Your answer is {kind}, and that could not be used. Python says: {error}."
    tries = _given.get(exercise, {}).get("tries", 0) + 1
    shown = " ".join(repr(answer).split())[:80]
    _given[exercise] = {"right": bool(right), "tries": tries, "answer": shown}
    _say(("Right. " if right else "Not yet. ") + sentence)
    return bool(right)


def yours(student, values):
    """One of the values, another for the next student. student: a whole number from 0, which every
    student chooses or is given; `my_answers` hands it in. Raises ValueError for any other.
    """
    if not isinstance(student, int) or student < 0:
        raise ValueError(f"a student's number is a whole number from 0, not {student!r}")
    if student:
        _numbers.add(student)
    return values[student % len(values)]


def my_answers(name):
    """Show one line to hand in: what was answered in this notebook since its kernel started, how
    often each exercise was tried, the predictions, and the student's number, if one was put in.
    `python -m wmlab grade FOLDER` reads it.
    """
    from IPython.display import display

    from wmlab.show.question import predictions

    line = {"name": str(name), "exercises": _given, "predictions": predictions}
    line = json.dumps(line | {"student": sorted(_numbers)})
    display({"text/plain": HANDED_IN + line}, raw=True)


def _say(sentence):
    from IPython.display import HTML, display

    looks = {"Right.": ("✓", "#009E73"), "Not yet.": ("✗", "#E69F00")}  # Okabe-Ito green and amber
    sign, colour = next((looks[word] for word in looks if sentence.startswith(word)), ("", "#999"))
    box = f"font-size:16px;border-left:5px solid {colour};padding:4px 10px"
    text = html.escape(f"{sign} {sentence}".strip())
    display(HTML(f"<p role='status' style='{box}'>{text}</p>"))
