"""Checks of notebook 04, fidelity."""
import math


def _cheapest(answer, table):
    alpha, beta = map(float, answer)
    new = table[table.scheme == "new label"].groupby(["alpha", "beta"]).fresh_key_accuracy
    often = (new.agg(lambda p: (p >= 0.9).mean())).sort_index()
    good = often[often >= 0.9]
    if (alpha, beta) not in often.index:
        return False, f"There is no cell α = {alpha:g}, β = {beta:g} on record. Group the runs by alpha and beta."
    if (alpha, beta) not in good.index:
        return False, f"There {often[alpha, beta]:.0%} of the seeds reach 0.9. Look at each seed, not at the mean."
    if (alpha, beta) != good.index[0]:
        return False, "It works there, but there is a cheaper cell: sort the good ones by alpha, then by beta."
    seeds = len(new.get_group((alpha, beta)))
    low = 0.05 ** (1 / seeds) if often[alpha, beta] == 1 else None
    bound = f" {seeds} of {seeds} still only says: more than {low:.0%} of seeds, at 95 %." if low else ""
    return True, f"The cheapest cell that keeps its promise on record.{bound}"


def _pairs(answer):
    from wmlab.records import power

    if not answer >= 2:
        return False, "A deviation takes at least two pairs."
    needed = next(n for n in range(2, 200) if power(5, 10, n) >= 0.8)
    if answer == needed:
        sees = "half a deviation is an effect of medium size. The paper's 50 runs would see it; 6 would not."
        return True, f"{needed} pairs, {2 * needed} networks: {sees}"
    return False, f"With {answer} pairs the power is {power(5, 10, answer):.1%}. Look for the first number with 80 %."


def _false_alarms(answer):
    if math.isclose(answer, 5):
        return True, "Five cells that look like a discovery, with nothing to discover. Say before which cell you will test."
    return False, "Each test cries wolf with a probability of 5 % where there is nothing. How many of 100?"


CHECKS = {"04.1": _cheapest, "04.2": _pairs, "04.3": _false_alarms}
