"""How many queries a proof takes: mean and quantile, batch rules, and tests of a fixed size, in
sequence, or at any time.

p is the suspect's hit rate on fresh keys, p₀ that of an innocent model; answers are independent.
Hits are answers that are the key label, misses (the paper's θ) all others. A float is read as the
decimal that it shows: 0.3 is 3/10.
"""

import dataclasses
import fractions
import math

import numpy as np
from scipy import special, stats

LARGEST = 10**6  # queries; no search goes further
LOST = 1e-13  # probability that sums leave out


def _share(name, value, low=False, high=False):
    """Raise ValueError unless all values lie in (0, 1), or are the ends that are allowed."""
    values = np.asarray(value, float)
    if not np.all((values >= 0 if low else values > 0) & (values <= 1 if high else values < 1)):
        raise ValueError(
            f"{name} is {value}, but it lies in {'[' if low else '('}0, 1{']' if high else ')'}"
        )


def _count(name, value, least=1):
    if np.any(np.asarray(value) < least) or np.asarray(value).dtype.kind not in "iu":
        raise ValueError(f"{name} is {value}, but it is a whole number of at least {least}")


def expected(p, n=None):
    """Mean number of queries of a judge who stops at the first hit, or after n: (1 - (1-p)ⁿ)/p, 1/p
    without a limit.

    p: in [0, 1], or an array. n: at least 1. A suspect that never hits costs n queries, or
    infinitely many. The paper states E[q] ≤ 1/p (section 3.1).

    >>> expected(0.8)
    1.25
    """
    _share("p", p, low=True, high=True)
    _count("n", 1 if n is None else n)
    p = np.asarray(p, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 1 / p if n is None else np.where(p == 0, n, -np.expm1(n * np.log1p(-p)) / p)
    return float(mean) if mean.ndim == 0 else mean


def paper_sum(p, n):
    """The paper's sum, as reconstructed: Σ (θ+1)(1-p)^θ p over θ = 0 … n-1, at most `expected`(p,
    n).

    It leaves out the case that all n keys miss, with probability (1-p)ⁿ. p: in [0, 1]. n: at least
    1.
    """
    _share("p", p, low=True, high=True)
    _count("n", n)
    misses = np.arange(n)
    return float(np.sum((misses + 1) * p * np.float64(1 - p) ** misses))


def quantile(p, probability):
    """The number of queries within which the first hit comes with at least this probability, both
    in (0, 1).

    >>> quantile(0.8, 0.95)
    2
    """
    _share("p", p, high=True)
    _share("probability", probability)
    queries = 1 if p == 1 else int(stats.geom.ppf(probability, p))
    # one less may reach the probability exactly, which floats do not see
    if 1 < queries < 1000 and (1 - _exact(p)) ** (queries - 1) <= 1 - _exact(probability):
        return queries - 1
    return queries


def batch_accuracy(p, n, tau, strict=True):
    """Probability that a marked suspect passes: of n keys it misses θ < τn, or θ ≤ τn if not
    strict.

    p: in [0, 1]. n: at least 1, or an array. tau: in [0, 1], and exact, so that 0.29 · 100 is 29.
    Source: the batch rule of the wrong-label scheme in the paper, section 3.1.

    >>> round(batch_accuracy(0.8, 40, 0.3), 4), round(batch_accuracy(0.8, 40, 0.3, strict=False), 4)
    (0.9125, 0.9568)
    """
    _share("p", p, low=True, high=True)
    _share("tau", tau, low=True, high=True)
    _count("n", n)
    n = np.asarray(n)
    # counted in hits, so that p near 0 keeps its digits
    accuracy = stats.binom.sf(n - allowed(n, tau, strict) - 1, n, p)
    return float(accuracy) if n.ndim == 0 else accuracy


def allowed(n, tau, strict=True):
    """The most misses with which n keys still pass; -1 if none do. n may be an array."""
    tau, n = _exact(tau), np.asarray(n)
    # Python's integers do not overflow
    product = n.astype(np.int64 if tau.denominator < 2**40 else object) * tau.numerator
    most = -(-product // tau.denominator) - 1 if strict else product // tau.denominator
    return np.asarray(most, np.int64) if n.ndim else int(most)


def smallest_batch(p, tau, accuracy, multiple=1, strict=True, lasting=False):
    """The smallest number of keys, a multiple of `multiple`, with `batch_accuracy` of at least
    `accuracy`.

    lasting: the smallest from which on all larger multiples have that accuracy too. It is a larger
    number, because the accuracy rises and falls in a saw-tooth. Chernoff's bound proves it, except
    for τ = 1-p. p, tau, accuracy: in (0, 1). Raises ValueError if there is none up to 10⁶.

    >>> smallest_batch(0.8, 0.3, 0.9), smallest_batch(0.8, 0.3, 0.9, multiple=10)
    (24, 40)
    >>> smallest_batch(0.8, 0.3, 0.9, lasting=True)
    34
    """
    for name, value in (("p", p), ("tau", tau), ("accuracy", accuracy)):
        _share(name, value)
    _count("multiple", multiple)
    share, miss = _exact(tau), 1 - _exact(p)
    if lasting and share == miss:
        raise ValueError(
            "at τ = 1-p the accuracy tends to 1/2, and nothing proves from where on it stays above "
            f"{accuracy}"
        )
    # Chernoff: Pr[θ ≥ τn] where τ > 1-p is at most exp(-n KL(τ, 1-p)); so is Pr[θ ≤ τn] where
    # τ < 1-p
    rate = float(
        special.rel_entr(float(share), float(miss))
        + special.rel_entr(float(1 - share), float(1 - miss))
    )
    end = -math.log(1 - accuracy if share > miss else accuracy) / rate if rate > 0 else math.inf
    n = np.arange(multiple, min(end, LARGEST) + 2 * multiple, multiple, dtype=np.int64)
    fails = batch_accuracy(p, n, tau, strict) < accuracy
    if fails.all() or lasting and not (share > miss and end <= LARGEST):
        tends = "1/2" if share == miss else "1, too slowly," if share > miss else "0"
        raise ValueError(
            f"no number of keys has an accuracy of {accuracy}{' for good' if lasting else ''}: "
            f"with a hit rate of {p} and τ = {tau} it tends to {tends} with their number"
        )
    return int(n[np.flatnonzero(fails).max(initial=-1) + 1] if lasting else n[fails.argmin()])


def neyman_pearson(p1, p0, power, fpr):
    """The most powerful count test: (queries, hits needed), with as few queries as can be.

    A suspect with hit rate p1 is found with probability `power` at least, an innocent one with hit
    rate p0 < p1 accused with probability `fpr` at most. p0: in [0, 1), the others in (0, 1), p1
    also 1. Raises ValueError beyond 10⁶ queries.

    >>> neyman_pearson(0.8, 0.1, 0.9, 0.1), neyman_pearson(0.8, 0.003, 0.9, 0.1)
    ((4, 2), (2, 1))
    """
    _ordered(p1, p0, power, fpr)
    first = 1
    while first <= LARGEST:
        n = np.arange(first, 2 * first)
        # the fewest hits that an innocent model gives seldom enough
        needed = stats.binom.isf(fpr, n, p0).astype(np.int64) + 1
        good = (stats.binom.sf(needed - 1, n, p1) >= power) & (
            stats.binom.sf(needed - 1, n, p0) <= fpr
        )
        if good.any():
            return int(n[good][0]), int(needed[good][0])
        first *= 2
    raise ValueError(f"hit rates of {p1} and {p0} take more than {LARGEST:,} queries to tell apart")


def _ordered(p1, p0, power, fpr):
    _share("power", power)
    _share("fpr", fpr)
    _share("p1", p1, high=True)
    if not 0 <= p0 < p1:
        raise ValueError(
            f"a marked suspect hits more often than an innocent one, but p1 is {p1} and p0 is {p0}"
        )


@dataclasses.dataclass(frozen=True)
class Sequential:
    """Wald's sequential test, which decides or goes on after each answer; made by `sprt`.

    hit, miss: what an answer adds to the log of the likelihood ratio. The suspect is marked from
    `upper` upwards, and not marked from `lower` downwards.
    """

    hit: float
    miss: float
    upper: float
    lower: float

    def evidence(self, hits, n):
        """Log of the likelihood ratio after n answers, of which so many were hits; both may be
        arrays.
        """
        hits, misses = np.asarray(hits), np.asarray(n) - hits
        with np.errstate(invalid="ignore"):  # an impossible answer adds infinity, and 0 · ∞ is NaN
            for_marked = np.where(hits > 0, hits * self.hit, 0)
            return for_marked + np.where(misses > 0, misses * self.miss, 0)

    def decide(self, hits, n):
        """True for marked, False for not, None to go on, after n answers of which so many were
        hits.
        """
        evidence = self.evidence(hits, n)
        return True if evidence >= self.upper else False if evidence <= self.lower else None

    def characteristic(self, p):
        """(probability of "marked", mean number of queries) for a suspect of hit rate p in [0, 1].

        Summed exactly, answer by answer, over the numbers of hits with which the test goes on,
        until their probability is below 1e-13. Raises ValueError if it still goes on after 10⁶
        answers.
        """
        _share("p", p, low=True, high=True)
        going, fewest, marked, mean = np.ones(1), 0, 0.0, 0.0
        for n in range(1, LARGEST + 1):
            mean += going.sum()
            going = np.append(going * (1 - p), 0) + np.append(0, going * p)
            evidence = self.evidence(fewest + np.arange(len(going)), n)
            marked += going[evidence >= self.upper].sum()
            open_ = np.flatnonzero((evidence > self.lower) & (evidence < self.upper))
            going, fewest = going[open_], fewest + (open_[0] if len(open_) else 0)
            if going.sum() < LOST:
                return float(marked), float(mean)
        raise ValueError(f"with a hit rate of {p} the test still goes on after {LARGEST:,} queries")


def sprt(p1, p0, power, fpr):
    """Wald's sequential test of hit rate p1 (marked) against p0 < p1 (innocent); a `Sequential`.

    Its limits ln(1/fpr) and ln(1 - power) guarantee the errors (Wald 1945): an innocent suspect is
    called marked with probability `fpr` at most, a marked one not marked with 1 - power at most.
    Ranges: as in `neyman_pearson`.

    >>> sprt(0.8, 0.1, 0.9, 0.1).decide(hits=2, n=2)
    True
    """
    _ordered(p1, p0, power, fpr)
    hit = math.log(p1 / p0) if p0 else math.inf
    miss = math.log1p(-p1) - math.log1p(-p0) if p1 < 1 else -math.inf
    return Sequential(hit, miss, -math.log(fpr), math.log1p(-power))


def p_value(hits, n, p0):
    """Probability that a model with hit rate p0 gives so many hits or more in n answers; p0 in [0,
    1].
    """
    _share("p0", p0, low=True, high=True)
    _count("n", n, hits)
    _count("hits", hits, 0)
    return float(stats.binom.sf(hits - 1, n, p0))


def anytime_p_value(hits_sequence, p0):
    """A p-value after each answer that stays valid whenever one stops: float64 (n,), never rising.

    hits_sequence: 1 or True for a hit, 0 for a miss, in the order of the answers. p0: the innocent
    hit rate, in [0, 1]; smaller ones are covered too. By Ville's inequality it is one over the
    largest likelihood ratio so far, of a hit rate drawn evenly from (p0, 1) against p0. No number
    of misses makes it small.
    """
    _share("p0", p0, low=True, high=True)
    hit = np.asarray(hits_sequence)
    if hit.ndim != 1 or not np.isin(hit, (0, 1)).all():
        raise ValueError("the answers are a sequence of 0, a miss, and 1, a hit")
    hits = np.cumsum(hit)
    misses = np.arange(1, len(hit) + 1) - hits
    if p0 in (0, 1):
        return np.where((hits > 0) & (p0 == 0), 0.0, 1.0)
    with np.errstate(divide="ignore"):  # a mean over (p0, 1) that is 0 in floats is no evidence
        tail = (
            np.log(stats.beta.sf(p0, hits + 1, misses + 1))
            + special.betaln(hits + 1, misses + 1)
            - math.log1p(-p0)
        )
    evidence = tail - special.xlogy(hits, p0) - special.xlog1py(misses, -p0)
    return np.minimum(1, np.exp(-np.maximum.accumulate(evidence)))


def _exact(value):
    """A number as the fraction that its decimals show."""
    return value if isinstance(value, fractions.Fraction) else fractions.Fraction(str(value))
