"""Checks of notebook 07, pruning."""
import fractions
import math

import numpy as np


def _by_hand(answer, layer, rate):
    answer, layer = np.asarray(answer, float), np.asarray(layer, float)
    if answer.shape != layer.shape:
        return False, f"Hand in all {layer.size} weights, in their order: those that go become 0, they are not left out."
    if not np.all((answer == layer) | (answer == 0)):
        return False, "A weight either becomes 0 or stays as it is, sign and all."
    count = math.floor(fractions.Fraction(str(rate)) * layer.size)
    cut = np.flatnonzero((answer == 0) & (layer != 0))
    zeros = int((answer == 0).sum())
    if zeros != count:
        return False, (f"You have {zeros} zeros. At rate {rate:g}, ⌊{rate:g} · {layer.size}⌋ = {count} weights become 0, "
                       "and one that was 0 before is one of the smallest.")
    if len(cut) and np.abs(layer[cut]).max() > np.sort(np.abs(layer))[count - 1]:
        return False, "There are smaller ones than those you took: the absolute value counts, not the sign."
    right = layer.copy()
    right[np.argsort(np.abs(layer), kind="stable")[:count]] = 0
    if not np.array_equal(answer, right):
        return False, "As many as it should be, and small ones; but among equal weights the first go."
    return True, "The 0 that was there counts as one of the smallest, and so pruning removed only two weights that did anything."


def _largest_rate(answer, table):
    answer = float(answer)
    rows = table[(table.attack == "pruning, global") & (table.scheme == "new label")]
    lost = rows.groupby("strength").lost.mean()
    if answer not in lost.index:
        return False, f"{answer:g} is no rate on record: there are {', '.join(f'{rate:g}' for rate in lost.index)}."
    if lost[answer] > 2:
        return False, f"At {answer:g} he loses {lost[answer]:.1f} points. Group by strength, take the mean of lost."
    if answer != lost.index[lost <= 2].max():
        return False, f"At {answer:g} he loses {lost[answer]:.1f} points, which he bears; but a larger rate does, too."
    return True, f"{lost[answer]:.1f} points at {answer:.0%}. Per layer he would have to stop earlier."


def _removes(answer, table):
    rows = table[(table.scheme == "new label") & table.attack.str.contains("pruning")]
    tried = rows.groupby(["attack", "strength"]).agg(lost=("lost", "mean"), gone=("decision", lambda d: (d == "not marked").mean()))
    right = set(tried.index[(tried.lost <= 2) & (tried.gone > 0.5)])
    given = {(str(attack), float(strength)) for attack, strength in answer}
    for attack, strength in sorted(given - right):
        if (attack, strength) not in tried.index:
            return False, f"“{attack}” at {strength:g} is not on record. Look at the columns attack and strength."
        found = tried.loc[(attack, strength)]
        if found.lost > 2:
            return False, f"{attack} at {strength:g} costs {found.lost:.1f} points, more than Bob bears."
        return False, f"After {attack} at {strength:g} Ver acquits in {found.gone:.0%} of the runs, which is not more than half."
    if given != right:
        return False, f"That is {len(given)} of {len(right)}. Go through all attacks with “pruning” in their name, at all rates."
    return True, "Pruning without tuning is not among them. It takes images, and that is what the next lesson is about."


CHECKS = {"07.1": _by_hand, "07.2": _largest_rate, "07.3": _removes}
