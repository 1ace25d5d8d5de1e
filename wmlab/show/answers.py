"""Answers to exercises that are one number, or a function."""

import copy
import math

import numpy as np


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


def staged(function, stages):
    """Try a function on one case after the other: None if all are right, else (False, a sentence
    about the first that is not).

    stages: (case in words, arguments, right result, misses, hint); misses: (wrong result, sentence)
    as in `number`, hint: the sentence for all other results. Results are numbers, truth values,
    None, or several of these.
    """
    for case, arguments, right, misses, hint in stages:
        said = function(*copy.deepcopy(arguments))
        if not _same(said, right):
            found = (sentence for wrong, sentence in misses if _same(said, wrong))
            told = f"{case}: yours says {said}, right is {right}." if case else ""
            return False, f"{told} {next(found, hint)}".strip()
    return None


def _same(said, right):
    try:
        said, right = (np.asarray(each, float) for each in (said, right))  # None becomes NaN
    except (TypeError, ValueError):
        return False
    return said.shape == right.shape and np.allclose(said, right, equal_nan=True)
