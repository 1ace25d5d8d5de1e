"""Ver: question a suspect with fresh keys, compare the answers with a stated null, put the verdict
in words (paper, section 3.1).

A null is what an innocent suspect would do: `Impossible`, `Chance` or `Measured`, and for systems
that other authors published `RandomLabels`, `Bits` or `Direction`. Each gives the
probability of so many hits or more. A judge who stops at the first hit, after q queries, needs the
probability that the first hit comes within q: 1 - (1-p₀)^q where answers are independent.
"""

import dataclasses
import fractions
import functools

import numpy as np
import scipy.stats

from wmlab import queries, stats
from wmlab.suspects import ask

CONFIDENCE = 0.95  # of the bound on the share of innocent networks
UNEVEN = 0.01  # p-value up to which innocent networks count as varying too much
TOGETHER = (
    "So keys stand or fall together, and their answers must not be counted as independent: count "
    "innocent networks, as the rank p does"
)
TRIAL_KEYS = 40  # that Ver asks for
HITS_NEEDED = {"new label": 1, "wrong label": 29}  # of 40; 29 leave fewer misses than 0.3 * 40


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Outcome of a verification.

    marked: the decision. queries: answers to keys that were bought. hits: those that were the key
    label. key_label: that label.
    p_value: probability of so many hits or more under the null; "impossible" where the null gives
    no hit; None without a hit, since there is nothing to explain.
    null: the name of the null. note: what the p-value rests on, in sentences; may be empty.
    found: what was found, in words, where keys do not all have one label, or weights were read;
    key_label is then None. share: how much of the mark was found, in [0, 1]; None if not measured.
    controls: answers to images without a mark that were bought besides, see `controlled`.
    """

    marked: bool
    queries: int
    hits: int
    key_label: int | None
    p_value: float | str | None
    null: str
    note: str = ""
    found: str = ""
    share: float | None = None
    controls: int = 0

    @property
    def decision(self):
        """ "marked" or "not marked"."""
        return "marked" if self.marked else "not marked"

    def __str__(self):
        if self.found:
            hits = self.found
        elif self.queries == 1:
            got = "got" if self.hits else "did not get"
            hits = f"the one key {got} the key label, {self.key_label}"
        else:
            some = self.hits or "none"
            hits = f"{some} of {self.queries} keys got the key label, {self.key_label}"
        if self.p_value is None:
            says = "answers no differently"
        elif self.p_value == "impossible":
            says = "cannot give it"
        else:
            says = f"gives it as often or more with probability {self.p_value:.2g}"
        return f"{self.decision}: {hits}; {self.null} {says}. {self.note}".rstrip()


@dataclasses.dataclass(frozen=True)
class Impossible:
    """The paper's null for a new label: a suspect with Δ-1 outputs cannot answer Δ. It is no null
    for a suspect with Δ outputs.
    """

    def __str__(self):
        return "a model without the new label"

    def weigh(self, hits, n, keys):
        """("impossible", "") for any hit at all."""
        return "impossible", ""


IMPOSSIBLE = Impossible()


@dataclasses.dataclass(frozen=True)
class Chance:
    """The null of a suspect that answers each class with probability 1/classes, whatever it is
    asked. No real one does.
    """

    classes: int

    def __post_init__(self):
        if not self.classes >= 2:
            raise ValueError(f"chance among {self.classes} classes: a classifier has at least 2")

    def __str__(self):
        return f"a model that answers all {self.classes} classes alike"

    def weigh(self, hits, n, keys):
        """(exact binomial tail, note) of so many hits in n answers. keys: the KeySet that the
        suspect was asked.
        """
        return queries.p_value(hits, n, 1 / self.classes), _one_source(keys)


COMMITTED = (
    "It holds if the evidence was committed before the weights were fixed: evidence that is chosen "
    "after seeing a model fits that model."
)


@dataclasses.dataclass(frozen=True)
class RandomLabels:
    """The null of keys whose labels a secret drew, each with equal probability, apart from any
    innocent model.

    Given the suspect's answers, whatever they are, the labels are still random: hits are binomial
    (n, 1/classes), exactly. No innocent network is needed. others: whether the label was drawn
    among the classes - 1 other than the true one; hits are then binomial (n, 1/(classes - 1)) for
    a suspect that answers no key truly, and fewer for all others, so the p-value is on the safe
    side. Raises ValueError for fewer than 2 labels to draw from.
    """

    classes: int
    others: bool = False

    def __post_init__(self):
        if not self.classes - self.others >= 2:
            raise ValueError(f"labels drawn from {self.classes - self.others}: draw from 2 or more")

    def __str__(self):
        return "a model that was trained without these labels"

    def weigh(self, hits, n, keys=None):
        """(exact binomial tail, note) of so many hits in n answers."""
        drawn = self.classes - self.others
        says = f"Each label was drawn from {drawn}, whatever the model answers. {COMMITTED}"
        return queries.p_value(hits, n, 1 / drawn), says


@dataclasses.dataclass(frozen=True)
class Bits:
    """The null of a message that a secret drew apart from any innocent model: what is read agrees
    with each of its `count` bits with probability 1/2, whatever the weights are. Exact.

    Raises ValueError for no bits.
    """

    count: int

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"a message of {self.count} bits: take at least one")

    def __str__(self):
        return "a model that was trained without this message"

    def weigh(self, hits, n=None, keys=None):
        """(exact binomial tail, note) of so many right bits, or more."""
        says = f"Each bit was a toss of a coin, whatever the weights are. {COMMITTED}"
        return queries.p_value(hits, self.count, 0.5), says


@dataclasses.dataclass(frozen=True)
class Direction:
    """The null of a direction that a secret drew evenly from all those in `dimensions` dimensions,
    apart from any innocent model: its cosine c with what is read has t = c √((d-1) / (1-c²)) of
    Student's distribution with d - 1 degrees of freedom. Exact for one user.

    users: whose directions are tried; the p-value of the best is at most `users` times that of one.
    Raises ValueError for fewer than 2 dimensions, or no user.
    """

    dimensions: int
    users: int = 1

    def __post_init__(self):
        if self.dimensions < 2 or self.users < 1:
            raise ValueError(
                f"{self.users} users in {self.dimensions} dimensions: take at least one user and "
                "two dimensions"
            )

    def __str__(self):
        return "a model that was trained without these directions"

    def weigh(self, cosine, n=None, keys=None):
        """(p-value, note) of a best cosine, in [-1, 1], as large or larger."""
        free = self.dimensions - 1
        t = cosine * np.sqrt(free / max(1 - cosine**2, 1e-300))
        p_value = min(1.0, self.users * float(scipy.stats.t.sf(t, free)))
        return p_value, f"The best of {self.users} random directions counts. {COMMITTED}"


@dataclasses.dataclass(frozen=True, eq=False)
class Measured:
    """The null of a suspect that is a network like the innocent ones that were asked.

    answered: bool (networks, keys), whether an innocent network gave the key label to its j-th key.
    Best are the same keys that the suspect gets, else as many of the same kind.
    The p-value is the larger of two. Fisher's exact p pools all answers as if they were
    independent. The rank p is (1 + networks that hit as often among as many keys) / (1 + networks):
    n networks never give less than 1/(n+1), however many keys they are asked.
    Raises ValueError for another array, or if the suspect was asked more keys than they were.
    """

    answered: np.ndarray

    def __post_init__(self):
        answered = np.asarray(self.answered)
        if answered.dtype != bool or answered.ndim != 2 or not answered.size:
            raise ValueError(
                "answers of innocent networks are true or false, of shape (networks, keys), not "
                f"{answered.dtype} {answered.shape}: compare their labels with the key label"
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
        if rank >= fisher:
            says = [
                f"This is the rank p: {as_often or 'none'} of {networks} innocent networks hit as "
                "often among as many keys."
            ]
        else:
            says = [
                f"This is Fisher's exact p: {hits} of {n} answers against {pooled} of "
                f"{self.answered.size}."
            ]
        if not as_often:
            if rank >= fisher:
                says += [
                    f"It is the smallest that {networks} networks can give, 1/{networks + 1}; "
                    "more of them, not more keys, would make it smaller."
                ]
            share = stats.clopper_pearson(0, networks, 2 * CONFIDENCE - 1)[1]
            says += [
                f"0 in {networks} bounds the share of such networks at {share:.1%} "
                f"({CONFIDENCE:.0%} confidence)."
            ]
        return max(rank, fisher), " ".join([*says, _one_source(keys) or self._uneven]).rstrip()

    @functools.cached_property
    def _uneven(self):
        """A sentence if networks differ by more than independent answers would. The test deals all
        hits to the networks anew, at random.
        """
        hits, asked = self.answered.sum(axis=1), self.answered.shape[1]
        dealt = np.random.default_rng(0).multivariate_hypergeometric(
            [asked] * len(hits), hits.sum(), size=999
        )
        p_value = (1 + ((dealt**2).sum(axis=1) >= (hits**2).sum()).sum()) / 1000
        if p_value > UNEVEN:
            return ""
        return f"Innocent networks vary more than binomially. {TOGETHER}."


def _one_source(keys):
    """A sentence if several keys were all made from one class."""
    source = set(np.asarray(keys.carrier_labels).tolist())
    if len(keys) == 1 or len(source) > 1 or source == {-1}:  # which is no class
        return ""
    return (
        f"All keys were made from class {min(source)}. {TOGETHER}, or draw carriers from all "
        "classes."
    )


def _checked(keys, level):
    if not len(keys):
        raise ValueError("no keys to ask: make at least one from images outside the target class")
    if level is not None and not 0 < level < 1:
        raise ValueError(
            f"level is {level}, but the largest p-value that convicts lies between 0 and 1"
        )


def _verdict(marked, hits, n, keys, null, level):
    """The Verdict on so many hits in n answers. marked: what the rule says; with a `level` the
    p-value must not be larger than that either.
    """
    p_value, note = null.weigh(hits, n, keys) if hits else (None, "")
    if level is not None and isinstance(p_value, float):
        marked = marked and p_value <= level
    return Verdict(marked, n, hits, keys.key_label, p_value, str(null), note)


def first_hit(suspect, keys, null=IMPOSSIBLE, level=None):
    """Ver for a new label: ask one key at a time, and stop at the first answer Δ.

    suspect: anything with `ask(images) -> labels`. keys: a fresh KeySet, never one shown before.
    null: what an innocent suspect would answer. level: the largest p-value that still convicts;
    None is the paper's rule: any hit convicts. Returns a Verdict; raises SuspectError if an answer
    is no label, ValueError for an empty KeySet.
    """
    _checked(keys, level)
    for i in range(len(keys)):
        if ask(suspect, keys.images[i : i + 1])[0] == keys.key_label:
            return _verdict(True, 1, i + 1, keys, null, level)
    return _verdict(False, 0, len(keys), keys, null, level)


def batch(suspect, keys, tau, null, level=None):
    """Ver for a wrong label: ask all keys; marked if the misses θ < τ |K| (strict, as the paper's
    |K| = 40 implies).

    tau: the share of misses allowed, in (0, 1). null: what an innocent suspect would answer; a
    number of classes means Chance. level: the largest p-value that still convicts; None: τ alone
    decides. Returns a Verdict; raises what `first_hit` raises.
    """
    if not 0 < tau < 1:
        raise ValueError(f"tau is {tau}, but the share of misses allowed lies between 0 and 1")
    _checked(keys, level)
    hits = int((ask(suspect, keys.images) == keys.key_label).sum())
    # in floating point tau * |K| can fall below a whole number: 0.29 * 100
    marked = len(keys) - hits < fractions.Fraction(str(tau)) * len(keys)
    null = Chance(null) if isinstance(null, int) else null
    return _verdict(marked, hits, len(keys), keys, null, level)


def controlled(verdict, suspect, clean):
    """The verdict after a control: who is "marked" is asked clean images, too, and acquitted if
    they get the key label half as often as the keys did, or more. A broken model that gives one
    label to everything is no marked one. The paper has no such control; tables that were recorded
    before it say "marked" of such models.

    clean: images (n, height, width, channels) whose true label is another one; none, no control.
    """
    if not verdict.marked or not len(clean):
        return verdict
    said = int((ask(suspect, clean) == verdict.key_label).sum())
    verdict = dataclasses.replace(verdict, controls=len(clean))
    if said / len(clean) < verdict.hits / verdict.queries / 2:
        return verdict
    note = (
        f"{verdict.note} But {said} of {len(clean)} clean images got this label, too: a suspect "
        "that gives it whatever it is asked bears no mark."
    )
    return dataclasses.replace(verdict, marked=False, note=note.strip())


def critical_accuracy(scheme):
    """The key accuracy at which Ver convicts every second time, with 40 keys: a share in [0, 1].

    scheme: "new label" or "wrong label". Hits are binomial, so it is the median of a beta
    distribution, as in the interval of Clopper and Pearson (1934).
    """
    needed = HITS_NEEDED[scheme]
    return float(scipy.stats.beta.median(needed, TRIAL_KEYS - needed + 1))
