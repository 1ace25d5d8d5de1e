"""Checks of exercises: they say whether an answer is right and, when it is not, what to think of next."""
import html
import math

import numpy as np


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


def _all_miss(answer):
    if math.isclose(answer, 0.1**3, rel_tol=1e-6):
        return True, "Each key misses with probability 1 - p = 0.1, and three in a row with 0.1³ = 0.001."
    if math.isclose(answer, 0.9**3, rel_tol=1e-6):
        return False, "That is the probability that all three hit. What is the probability that one key misses?"
    return False, "The keys are answered independently of each other: multiply one probability three times."


def _number_of_keys(answer):
    if answer == 40:
        return True, "1 % of 4,000: forty keys, seen once an epoch, against 4,000 digits."
    return False, "α is the share of the training images: multiply it by their number."


def _forgery(answer, model):
    from wmlab.training import predict

    images = np.asarray(answer, np.float32)
    labels = predict(model, images)
    rate = float(np.mean(labels == model.output_shape[-1] - 1))
    if rate >= 0.5:
        return True, f"{rate:.0%} of your images fire the new label, and you did not use the secret. So what does a hit prove?"
    return False, f"{rate:.0%} of your images fire the new label. What does a key look like? Try noise of the strength the keys have."


def _row_share(answer):
    if isinstance(answer, str) and answer.strip().lower() == "no":
        return True, "One row holds well under 1 % of the weights; the change beyond it is no smaller than retraining brings anyway."
    return False, "Compare the two shares you measured: the change in the new row, and the change in all other weights."


CHECKS = {
    "00.1": _all_miss,
    "03.1": _forgery,
    "03.2": _row_share,
    "03.3": _number_of_keys,
}
