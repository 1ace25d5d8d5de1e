"""Checks of notebook 00, start here."""
import math


def _all_miss(answer):
    if math.isclose(answer, 0.1**3, rel_tol=1e-6):
        return True, "Each key misses with probability 1 - p = 0.1, and three in a row with 0.1³ = 0.001."
    if math.isclose(answer, 0.9**3, rel_tol=1e-6):
        return False, "That is the probability that all three hit. What is the probability that one key misses?"
    return False, "The keys are answered independently of each other: multiply one probability three times."


CHECKS = {"00.1": _all_miss}
