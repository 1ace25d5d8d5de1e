"""Answers to exercises that are one number."""

import math


def number(answer, right, praise, misses, hint):
    """Judge a number: (whether it is right, a sentence about it).

    right: the answer. misses: (number, sentence) of wrong answers that show what was
    misunderstood. Both are recognised to 1 %. hint: the sentence for all others.
    """
    if math.isclose(answer, right, rel_tol=0.01):
        return True, praise
    for value, sentence in misses:
        if math.isclose(answer, value, rel_tol=0.01):
            return False, sentence
    return False, hint
