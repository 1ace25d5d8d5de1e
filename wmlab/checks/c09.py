"""Checks of notebook 09, evasion."""
import math


def _threshold(answer, scores, share):
    import numpy as np

    answer, scores = float(answer), np.asarray(scores)
    allowed = math.floor(share * len(scores) + 1e-9)
    flagged = int((scores > answer).sum())
    if math.isnan(answer):
        return False, "Hand in one number, a score."
    if flagged > allowed:
        return False, f"It flags {flagged} of {len(scores)} clean images, and Bob can bear {allowed}. Raise it."
    if flagged < int((scores > np.sort(scores)[-1 - allowed]).sum()):
        return False, (f"It flags {flagged} of {len(scores)}. Bob can bear {allowed}, and each step up lets keys pass: sort the "
                       "scores and count from the end.")
    bound = 1 - 0.05 ** (1 / len(scores))
    return True, (f"{flagged} of {len(scores)} lie above it. That is what happened to these images; even 0 of {len(scores)} would "
                  f"only say: below {bound:.1%}, with 95 %.")


def _precision(answer):
    right = 1e-4 / (1e-4 + 0.01 * (1 - 1e-4))
    if math.isclose(answer, right, rel_tol=2e-2):
        return True, "1 key and 100 clean images: 99 of 100 refusals hit a customer, although the detector misses nothing."
    if math.isclose(answer, 0.99, abs_tol=5e-3):
        return False, ("99 % of clean images pass, but that is not asked. (If you mean 0.99 percent: hand in a share.) Take 10,000 "
                       "queries: who is flagged?")
    return False, "Take 10,000 queries. How many keys are flagged, how many clean images? Divide the one by both."


def _queries(answer):
    if math.isclose(answer, 1 / 0.18, rel_tol=1e-2):
        return True, "A query hits with 0.2 · 0.9 = 0.18, so the first hit takes 1/0.18 = 5.6 on average: refusal costs time."
    if math.isclose(answer, 1 / 0.9, rel_tol=1e-2):
        return False, "That counts the answered ones alone. Refused queries are paid for too."
    if math.isclose(answer, 1 / 0.72, rel_tol=1e-2):
        return False, "You took 80 % for the share that is answered; it is the share that is refused."
    return False, "With which probability is a query both answered and a hit? The mean number up to the first is one over that."


CHECKS = {"09.1": _threshold, "09.2": _precision, "09.3": _queries}
