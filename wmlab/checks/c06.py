"""Checks of notebook 06, the judge."""
import math


def _enough_networks(answer):
    if answer == 99:
        return True, "1/(99 + 1) = 0.01. More keys would not help: it is networks that are counted."
    if answer == 100:
        return False, "One too many: the suspect counts among them, as the one in 1/(n + 1)."
    return False, "With n networks, none of which hit as often, the rank p is 1/(n + 1)."


def _corrected(answer):
    if math.isclose(answer, 0.08):
        return True, "Ten sets, ten chances: 10 × 0.008 = 0.08 (Bonferroni). That convicts nobody at the 5 % level."
    return False, "Each of the ten sets had its chance of a p so small. Multiply, or have her make fresh keys."


def _court(answer, court):
    if not isinstance(answer, dict) or set(answer) != set(court.names) or not set(answer.values()) <= set(court.WHO):
        return False, f"Hand in a dict from {', '.join(court.names)} to {', '.join(court.WHO)}."
    if (right := court.right(answer)) == 4:
        return True, f"All four, and {court.left} answers are left. No single kind of picture would have done."
    return False, f"{right} of 4. Who answers Δ to her pattern, who to a stranger's too, and who only to what is no digit?"


CHECKS = {"06.1": _enough_networks, "06.2": _corrected, "06.3": _court}
