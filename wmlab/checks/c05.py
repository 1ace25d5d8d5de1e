"""Checks of notebook 05, expected queries."""
import math


def _limited_mean(answer):
    if math.isclose(answer, (1 - 0.7**5) / 0.3, rel_tol=1e-3):
        return True, "A limit makes the mean smaller than 1/p = 3.33, and with a probability of 0.7⁵ = 17 % there is no proof."
    if math.isclose(answer, 1 / 0.3, rel_tol=1e-2):
        return False, "That is 1/p, of a judge who goes on for ever. This one stops after five answers at the latest."
    if math.isclose(answer, sum(k * 0.7 ** (k - 1) * 0.3 for k in range(1, 6)), rel_tol=1e-2):
        return False, "That is the paper's sum. When all five miss, five answers were bought too: add that case."
    return False, "Add up the probabilities that more than 0, 1, … 4 answers are bought: that the first k all miss."


def _smallest_batch(answer):
    from wmlab.queries import batch_accuracy, smallest_batch

    setting, n = (0.7, 0.4, 0.95), int(answer)
    if n != answer or n < 1:
        return False, "Hand in one whole number of keys."
    first, lasting = smallest_batch(*setting), smallest_batch(*setting, lasting=True)
    if n == first:
        return True, f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f}. Only from {lasting} on does no larger number fall below 0.95."
    found = f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f} if θ < τ|K|"
    if n == smallest_batch(*setting, strict=False):
        return False, f"{found}. You allowed θ = τ|K| too; this judge does not."
    if batch_accuracy(0.7, n, 0.4) >= 0.95:
        return False, f"{found}: enough, but a smaller number does it as well. Try all of them, not only multiples, from 1 up."
    return False, f"{found}: not enough. Go up key by key, and do not stop where one more key made it worse."


def _honest_null(answer):
    from wmlab.queries import clopper_pearson, neyman_pearson

    (p0, n), bound = answer, clopper_pearson(0, 50, 0.9)[1]
    needed = neyman_pearson(0.8, bound, 0.99, 0.01)[0]
    if p0 == 0:
        return False, "No hit in 50 does not mean never. With which hit rate would 50 misses in a row have a probability of 5 %?"
    if math.isclose(p0, clopper_pearson(0, 50, 0.95)[1], abs_tol=5e-4):
        return False, "That bound holds with 97.5 %: an interval of 95 % leaves half of the 5 % above. Put all of it there."
    if not math.isclose(p0, bound, abs_tol=5e-4):
        return False, "Find the p₀ at which 50 misses in a row have a probability of 5 %: (1 - p₀)⁵⁰ = 0.05."
    if n != needed:
        return False, f"The null is right, but {n} queries are not. Ask queries.neyman_pearson(0.8, p₀, 0.99, 0.01)."
    return True, f"p₀ = {bound:.3f} is what 50 answers allow, and {needed} queries do; p₀ = 0, never shown, would take 3."


CHECKS = {"05.1": _limited_mean, "05.2": _smallest_batch, "05.3": _honest_null}
