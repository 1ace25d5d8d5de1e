"""Checks of notebook 08, fine-tuning."""
import math


def _cheapest(answer, means):
    mode, rate = answer
    new = means[(means.scheme == "new label") & (means.acquitted > 0.5)]
    tried = means[(means.attack == mode) & (abs(means.strength - float(rate)) < 1e-9)]
    if tried.empty:
        modes = ", ".join(f"“{name}”" for name in means.attack.unique())
        return False, f"{mode} at {rate} is not on record. Modes are {modes}; rates are numbers such as 0.001."
    if not len(ends := new[(new.attack == mode) & (abs(new.strength - float(rate)) < 1e-9)]):
        return False, "There Ver still says “marked” of most of the new-label networks. Keep the rows with acquitted > 0.5 first."
    best = new.sort_values("lost").iloc[0]
    if (mode, float(rate)) != (best.attack, best.strength):
        cost = f"{ends.lost.min():.1f} points"
        return False, f"That ends the mark for {cost}. Another setting costs less: sort those that end it by lost."
    other = means[(means.scheme == "wrong label") & (means.attack == mode) & (means.strength == best.strength)]
    kept = f" The wrong label keeps {other['keys'].max():.0%} of its keys there." if len(other) else ""
    return True, f"It costs Bob {best.lost:.1f} points and leaves {best['keys']:.1%} of the keys.{kept}"


def _omega(answer):
    before, after = 0.98, (0.91, 0.73, 0.6, 0.44, 0.28)
    mean = sum(after) / len(after)
    if math.isclose(answer, mean / before, abs_tol=2e-3):
        return True, "Three fifths on the way, and less than a third is left in the end: Ω is a mean over the way, so look at both."
    if math.isclose(answer, mean, abs_tol=2e-3):
        return False, "That is the mean of what is left. Ω measures it against the accuracy before: divide."
    if math.isclose(answer, (sum(after) + before) / 6 / before, abs_tol=2e-3):
        return False, "You counted “before” as a session. It is what the sessions are measured against, and not one of them."
    if math.isclose(answer, after[-1] / before, abs_tol=2e-3):
        return False, "That is what is left in the end. Ω is a mean over all five sessions."
    return False, "Divide each accuracy by the one before, and take the mean of the five."


def _restored(answer, untouched):
    if math.isclose(answer, untouched, abs_tol=2e-3):
        return True, ("All other layers were frozen, so with her layer back it is the stolen network, weight by weight. No mark "
                      "can fail this test, and a test that nothing fails shows no robustness.")
    if answer < 0.05:
        return False, "That is what Bob's network hits, with his layer. Now Alice's is back: which weights still differ from hers?"
    return False, "List the layers that RTLL moved. Put Alice's last layer back. Which weights are still not hers?"


CHECKS = {"08.1": _cheapest, "08.2": _omega, "08.3": _restored}
