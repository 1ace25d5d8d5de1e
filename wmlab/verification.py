"""Ver: question a suspect with fresh keys and put the outcome in words (paper, section 3.1)."""
import dataclasses
import fractions

from scipy import stats

from wmlab.suspects import ask

IMPOSSIBLE = "a model without the new label"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """Outcome of a verification.

    marked: the decision. queries: answers bought. hits: answers that were the key label. key_label: that label.
    p_value: exact probability of so many hits or more under the null; "impossible" where the null cannot give any;
    None where no hit was found, for there is nothing to explain. null: the model the evidence is held against.
    """

    marked: bool
    queries: int
    hits: int
    key_label: int
    p_value: float | str | None
    null: str

    @property
    def decision(self):
        """ "marked" or "not marked"."""
        return "marked" if self.marked else "not marked"

    def __str__(self):
        if self.queries == 1:
            hits = f"the one key {'got' if self.hits else 'did not get'} the key label, {self.key_label}"
        else:
            hits = f"{self.hits or 'none'} of {self.queries} keys got the key label, {self.key_label}"
        if self.p_value is None:
            says = "answers no differently"
        elif self.p_value == "impossible":
            says = "cannot give it"
        else:
            says = f"gives it as often or more with probability {self.p_value:.2g}"
        return f"{self.decision}: {hits}; {self.null} {says}."


def _checked(keys):
    if not len(keys):
        raise ValueError("no keys to ask: make at least one from images outside the target class")
    return keys


def first_hit(suspect, keys):
    """Ver for a new label: ask one key at a time, stop at the first answer Δ; without one, after all of them.

    suspect: anything with `ask(images) -> labels`. keys: a fresh KeySet, never one shown before. Returns a Verdict;
    raises SuspectError if an answer is no label, ValueError for an empty KeySet.
    """
    for i in range(len(_checked(keys))):
        if ask(suspect, keys.images[i : i + 1])[0] == keys.key_label:
            return Verdict(True, i + 1, 1, keys.key_label, "impossible", IMPOSSIBLE)
    return Verdict(False, len(keys), 0, keys.key_label, None, IMPOSSIBLE)


def batch(suspect, keys, tau, classes):
    """Ver for a wrong label: ask all keys; marked if the misses θ < τ |K| (strict, as the paper's |K| = 40 implies).

    tau: the share of misses allowed, in (0, 1). The p-value is against answers drawn evenly from `classes`, a null
    that real unmarked models do not keep to. Returns a Verdict; raises what `first_hit` raises.
    """
    if not 0 < tau < 1:
        raise ValueError(f"tau is {tau}, but the share of misses allowed lies between 0 and 1")
    hits = int((ask(suspect, _checked(keys).images) == keys.key_label).sum())
    # in floating point tau * |K| can fall below a whole number: 0.29 * 100
    marked = len(keys) - hits < fractions.Fraction(str(tau)) * len(keys)
    p_value = float(stats.binom.sf(hits - 1, len(keys), 1 / classes)) if hits else None
    return Verdict(marked, len(keys), hits, keys.key_label, p_value, f"a model that answers all {classes} classes alike")
