"""The exam of a scheme: its keys, its training, a Ver that sees labels only, and two claims that
should fail.
"""

import dataclasses

import numpy as np

from wmlab import attacks
from wmlab.exam.base import SEED, STRANGER, Checks, public, saved, untouched
from wmlab.secret import Secret
from wmlab.training import Recipe, hit_rate, predict

LEARNT = 0.8  # share of fresh keys that must hit
LOSS = 0.05  # clean accuracy that the mark may cost, against the shipped unmarked network
FEW = 1000  # images of the two short trainings
ASKED = 40  # keys that Ver may ask


def judge_scheme(mark, data, recipe=None):
    """Judge a scheme, an object of a subclass of `schemes.Scheme`, with a secret drawn here.

    data: a Dataset. recipe: of the network to mark, by default the course's. Trains that network
    (about 10 s at class scale), two small ones for an epoch, and on data of one's own two to
    compare with. Returns a Report with the
    network and its results before any attack; errors of the scheme are findings and are not
    raised. Raises TypeError for what is no scheme.
    """
    for part in ("keys", "embed", "verify", "outputs"):
        if not hasattr(mark, part):
            raise TypeError(
                f"a {type(mark).__name__} is no scheme, it has no {part}: pass an object of a "
                "subclass of Scheme"
            )
    secret, checks, runs, row = Secret.random(), Checks(), [], {}

    innocent = public(data, recipe)[-1]
    usual = recipe if data.name != "mnist" else None  # own data may not fit the dense network

    def learns():
        runs.append(mark.embed(data, secret, recipe, seed=SEED))
        row.update(untouched(runs[0].model, mark, attacks.halves(data, SEED), secret))
        hit, clean = row["fresh_key_accuracy"], runs[0].results["clean_accuracy"]
        floor = hit_rate(innocent["unmarked_0"], data.x_test, data.y_test) - LOSS
        return hit >= LEARNT and clean >= floor, (
            f"{hit:.1%} of fresh keys hit (at least {LEARNT:.0%}), {clean:.1%} of clean images "
            f"are right (at least {floor:.1%})."
        )

    checks.add("keys", lambda: _keys(mark, data, secret))
    checks.add("seed repeats", lambda: _repeats(mark, data, secret, usual))
    checks.add("learnt", learns)
    if not row:
        return checks.report()
    model = runs[0].model
    checks.add("save and load", lambda: saved(model, data.x_test))
    checks.add("owner", lambda: _claim(mark, model, data, secret, True))
    checks.add("unmarked networks", lambda: _innocents(mark, innocent, data, secret))
    checks.add("wrong secret", lambda: _claim(mark, model, data, STRANGER, False))
    return checks.report(row, model, secret)


class _Counter:
    """A suspect that answers labels only: Ver sees no weights and no scores."""

    def __init__(self, model):
        self._predict, self.queries = lambda images: predict(model, images), 0

    def ask(self, images):
        self.queries += len(images)
        return self._predict(images)


def _keys(mark, data, secret):
    images, labels = data.x_test[:FEW].copy(), data.y_test[:FEW].copy()
    one, again = (mark.keys(images, labels, secret, "referee") for _ in range(2))
    other, pixels = mark.keys(images, labels, STRANGER, "referee"), one.images
    faults = {
        "it changed the images that it was given": not np.array_equal(images, data.x_test[:FEW]),
        "pixels are not float32 in [0, 1]": pixels.dtype != np.float32
        or not (pixels.min() >= 0 and pixels.max() <= 1),
        "pixels are off the grid of 1/255, which gives keys away": not np.allclose(
            pixels * 255, np.round(pixels * 255), atol=1e-3
        ),
        "one secret and one stream gave two sets of keys": one.digest != again.digest,
        "two secrets gave the same keys": one.digest == other.digest,
        "a label is none of the outputs": not np.isin(one.labels, range(mark.outputs)).all(),
    }
    found = "; ".join(fault for fault, there in faults.items() if there)
    return (
        not found,
        f"{found[:1].upper()}{found[1:]}."
        if found
        else "On the grid, repeatable, and another secret's are others.",
    )


def _repeats(mark, data, secret, usual):
    how = dataclasses.replace(usual, epochs=1) if usual else Recipe("dense", 1, 64)
    few = dataclasses.replace(data, x_train=data.x_train[:FEW], y_train=data.y_train[:FEW])
    one, two = (mark.embed(few, secret, how, seed=SEED).model.get_weights() for _ in range(2))
    same = all(map(np.array_equal, one, two))
    return same, f"Two trainings with one seed give {'the same' if same else 'different'} weights."


def _claim(mark, model, data, secret, wanted):
    suspect = _Counter(model)
    verdict = mark.verify(suspect, data.x_test, data.y_test, secret, stream="referee", n=ASKED)
    honest = verdict.queries + verdict.controls == suspect.queries
    honest = honest and verdict.queries <= ASKED
    says = f"The judge says: {verdict.decision}, {verdict.hits} hits in {verdict.queries} answers."
    return verdict.marked is wanted and honest, says if honest else (
        f"{says} But {suspect.queries} answers were bought, and {ASKED} were allowed."
    )


def _innocents(mark, innocent, data, secret):
    accused = sum(
        mark.verify(_Counter(model), data.x_test, data.y_test, secret).marked
        for model in innocent.values()
    )
    return not accused, f"It accuses {accused} of {len(innocent)} networks that bear no mark."
