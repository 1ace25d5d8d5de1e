"""Ver: question a suspect with fresh keys, hold the outcome against a stated null, put it in words
(paper, section 3.1).

A null is what an innocent suspect would do: `Impossible`, `Chance` or `Measured`. Each says how
probable so many hits or more are. For a judge who stops at the first hit, after q queries, that is
the probability that it comes within q, and so the statistic is q: 1 - (1-p₀)^q where answers are
independent, the tail of the binomial at one hit of q.
"""

import dataclasses
import fractions
import functools

import numpy as np
import scipy.stats

from wmlab import queries, stats
from wmlab.suspects import ask

CONFIDENCE, UNEVEN = (
    0.95,
    0.01,
)  # of the bound on a share; p-value below which networks count as varying too much
TOGETHER = (
    "So keys stand or fall together, and their answers must not be counted as independent: count innocent networks, "
    "as the rank p does"
)


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Outcome of a verification.

    marked: the decision. queries: answers bought. hits: answers that were the key label. key_label:
    that label.
    p_value: probability of so many hits or more under the null; "impossible" where the null cannot
    give any; None where no hit was found, for there is nothing to explain. null: the model the
    evidence is held against.
    note: what the p-value rests on, in sentences; empty if there is nothing to say.
    """

    marked: bool
    queries: int
    hits: int
    key_label: int
    p_value: float | str | None
    null: str
    note: str = ""

    @property
    def decision(self):
        """ "marked" or "not marked"."""
        return "marked" if self.marked else "not marked"

    def __str__(self):
        if self.queries == 1:
            hits = f"the one key {'got' if self.hits else 'did not get'} the key label, {self.key_label}"
        else:
            hits = (
                f"{self.hits or 'none'} of {self.queries} keys got the key label, {self.key_label}"
            )
        if self.p_value is None:
            says = "answers no differently"
        elif self.p_value == "impossible":
            says = "cannot give it"
        else:
            says = f"gives it as often or more with probability {self.p_value:.2g}"
        return f"{self.decision}: {hits}; {self.null} {says}. {self.note}".rstrip()


@dataclasses.dataclass(frozen=True)
class Impossible:
    """The paper's null for a new label: a suspect with Δ-1 outputs cannot say Δ. It is none for a
    suspect with Δ outputs.
    """

    def __str__(self):
        return "a model without the new label"

    def weigh(self, hits, n, keys):
        """("impossible", "") for any hit at all."""
        return "impossible", ""


IMPOSSIBLE = Impossible()


@dataclasses.dataclass(frozen=True)
class Chance:
    """A suspect that says each of so many classes with probability 1/classes, whatever it is asked.
    No real one does.
    """

    classes: int

    def __post_init__(self):
        if not self.classes >= 2:
            raise ValueError(f"chance among {self.classes} classes: a classifier has at least 2")

    def __str__(self):
        return f"a model that answers all {self.classes} classes alike"

    def weigh(self, hits, n, keys):
        """(exact binomial tail, note) of so many hits in n answers; keys: those that the suspect
        was to be asked.
        """
        return queries.p_value(hits, n, 1 / self.classes), _one_source(keys)


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """A suspect like the innocent networks that were asked: the null that rests on nothing else.

    answered: bool (networks, keys), whether an innocent network gave the key label to its j-th key;
    best to the very keys that the suspect gets, else to as many of the same kind. The p-value is
    the larger of two: Fisher's exact p, all answers pooled as if independent, and the rank p, (1 +
    networks that hit as often among as many keys) / (1 + networks), which holds as long as an
    innocent suspect is a network like the others. So n networks never give less than 1/(n+1),
    however many keys. Raises ValueError for any other array, or when fewer keys were asked than the
    suspect got.
    """

    answered: np.ndarray

    def __post_init__(self):
        answered = np.asarray(self.answered)
        if answered.dtype != bool or answered.ndim != 2 or not answered.size:
            raise ValueError(
                f"answers of innocent networks are true or false, of shape (networks, keys), not {answered.dtype} "
                f"{answered.shape}: compare their labels with the key label"
            )
        object.__setattr__(self, "answered", answered)

    def __str__(self):
        n = len(self.answered)
        return f"a network like the {f'{n} innocent ones' if n > 1 else 'one innocent one'}"

    def weigh(self, hits, n, keys):
        """(the larger of Fisher's p and the rank p, note that says which, and what limits it)."""
        networks, asked = self.answered.shape
        if n > asked:
            raise ValueError(
                f"the suspect was asked {n} keys, the innocent networks {asked}: ask them as many"
            )
        pooled = int(self.answered.sum())
        table = [[hits, n - hits], [pooled, self.answered.size - pooled]]
        fisher = float(scipy.stats.fisher_exact(table, alternative="greater").pvalue)
        as_often = int((self.answered[:, :n].sum(axis=1) >= hits).sum())
        rank = (1 + as_often) / (1 + networks)
        says = [
            f"This is the rank p: {as_often or 'none'} of {networks} innocent networks hit as often among as many keys."
            if rank >= fisher
            else f"This is Fisher's exact p: {hits} of {n} answers against {pooled} of {self.answered.size}."
        ]
        if not as_often:
            if rank >= fisher:
                says += [
                    f"It is the smallest that {networks} networks can give, 1/{networks + 1}; more of them, not more keys, "
                    "would make it smaller."
                ]
            share = stats.clopper_pearson(0, networks, 2 * CONFIDENCE - 1)[1]
            says += [
                f"0 in {networks} bounds the share of such networks at {share:.1%} ({CONFIDENCE:.0%} confidence)."
            ]
        return max(rank, fisher), " ".join([*says, _one_source(keys) or self._uneven]).rstrip()

    @functools.cached_property
    def _uneven(self):
        """A sentence if networks differ by more than independent answers would: an exact test that
        deals all hits out anew.
        """
        hits, asked = self.answered.sum(axis=1), self.answered.shape[1]
        dealt = np.random.default_rng(0).multivariate_hypergeometric(
            [asked] * len(hits), hits.sum(), size=999
        )
        p_value = (1 + ((dealt**2).sum(axis=1) >= (hits**2).sum()).sum()) / 1000
        return (
            f"Innocent networks vary more than binomially. {TOGETHER}." if p_value <= UNEVEN else ""
        )


def _one_source(keys):
    source = set(np.asarray(keys.carrier_labels).tolist())
    if not len(keys) > 1 == len(source):
        return ""
    return f"All keys were made from class {min(source)}. {TOGETHER}, or draw carriers from all classes."


def _checked(keys, level):
    if not len(keys):
        raise ValueError("no keys to ask: make at least one from images outside the target class")
    if level is not None and not 0 < level < 1:
        raise ValueError(
            f"level is {level}, but the largest p-value that convicts lies between 0 and 1"
        )


def _verdict(marked, hits, n, keys, null, level):
    """The verdict on so many hits in n answers; one that is `marked` by the rule needs a p-value up
    to `level`, if any.
    """
    p_value, note = null.weigh(hits, n, keys) if hits else (None, "")
    if level is not None and isinstance(p_value, float):
        marked = marked and p_value <= level
    return Verdict(marked, n, hits, keys.key_label, p_value, str(null), note)


def first_hit(suspect, keys, null=IMPOSSIBLE, level=None):
    """Ver for a new label: ask one key at a time, stop at the first answer Δ; without one, after
    all of them.

    suspect: anything with `ask(images) -> labels`. keys: a fresh KeySet, never one shown before.
    null: what the number of queries is held against. level: the largest p-value that still
    convicts; None, the paper's rule: any hit does. Returns a Verdict; raises SuspectError if an
    answer is no label, ValueError for an empty KeySet.
    """
    _checked(keys, level)
    for i in range(len(keys)):
        if ask(suspect, keys.images[i : i + 1])[0] == keys.key_label:
            return _verdict(True, 1, i + 1, keys, null, level)
    return _verdict(False, 0, len(keys), keys, null, level)


def batch(suspect, keys, tau, null, level=None):
    """Ver for a wrong label: ask all keys; marked if the misses θ < τ |K| (strict, as the paper's
    |K| = 40 implies).

    tau: the share of misses allowed, in (0, 1). null: what the hits are held against; a number of
    classes means Chance.
    level: the largest p-value that still convicts; None: τ alone decides. Returns a Verdict; raises
    what `first_hit` raises.
    """
    if not 0 < tau < 1:
        raise ValueError(f"tau is {tau}, but the share of misses allowed lies between 0 and 1")
    _checked(keys, level)
    hits = int((ask(suspect, keys.images) == keys.key_label).sum())
    # in floating point tau * |K| can fall below a whole number: 0.29 * 100
    marked = len(keys) - hits < fractions.Fraction(str(tau)) * len(keys)
    return _verdict(
        marked, hits, len(keys), keys, Chance(null) if isinstance(null, int) else null, level
    )


KEYS, NEEDED = (
    40,
    {"new label": 1, "wrong label": 29},
)  # hits of 40 that Ver asks for: one; fewer misses than 0.3 * 40


def limit(scheme):
    """Key accuracy at which the scheme's Ver, with 40 keys, convicts every second time: a share in
    [0, 1].

    Hits are binomial, so it is the median of a beta distribution (Clopper and Pearson 1934).
    """
    return float(scipy.stats.beta.median(NEEDED[scheme], KEYS - NEEDED[scheme] + 1))
