"""The exam of an attack, on a network marked for it with a secret that stands in no file."""

import dataclasses

import numpy as np

from wmlab import attacks, zoo
from wmlab.attacks.base import copied
from wmlab.battery import UNTOUCHED, Trial, judged, outcome
from wmlab.exam import base
from wmlab.exam.base import SEED, STRANGER, Checks, alike, answers, first_line, saved
from wmlab.schemes import NewLabel
from wmlab.schemes.base import as_suspect
from wmlab.secret import Secret
from wmlab.suspects import ask

APART = 0.5  # share of keys that the shipped, public mark may lose more than an unknown mark
MORE = 0.05  # share by which an attack may raise the rate of the key label
LOOKED_AT = 200  # images on which results are compared


def judge_attack(attack, data, name="my attack", mark=None, recipe=None):
    """Judge an attack, a function (model, data, seed) -> model or suspect.

    data: a Dataset; half of its test images are Bob's, the judge has the others. name: for the row.
    mark: the scheme, by default the course's new label; or one of `schemes.CITED`, of which the
    judge keeps the evidence. recipe: of the network to attack, by
    default the course's. Trains one network (about 10 s at class scale), on data of one's own two
    more, and runs the attack four times: twice on that network, once on an innocent one and once
    on one whose secret is public.
    Returns a Report; errors of the attack are findings and are not raised.
    """
    mark, secret = mark or NewLabel(0.1, 0.01, classes=data.classes), Secret.random()
    marked = mark.embed(data, secret, recipe, seed=SEED)
    model, evidence = marked.model, marked.evidence
    clean, bob, checks, kept, row = copied(model), attacks.halves(data, SEED), Checks(), [], {}
    given, (*known, innocent) = _given(bob), base.public(data, recipe)
    null = evidence and (mark.null(evidence) or mark.measured(innocent.values(), evidence))

    def measured(trial, model):
        if evidence is None:
            return outcome(trial, model, mark, bob, secret, SEED)
        return judged(trial, model, mark, evidence, bob, SEED, null)

    def launch(model, data, seed):
        kept.append(attack(model, given, seed=seed))
        return kept[-1]

    def run():
        row.update(measured(Trial(name, None, launch, data=1.0), model))
        row["before"] = measured(Trial(UNTOUCHED, None, lambda model, *_: model), clean)
        keys, clean_images = (
            f"{row['before'][column]:.3f} before, {row[column]:.3f} after"
            for column in ("fresh_key_accuracy", "clean_accuracy")
        )
        return True, f"key accuracy {keys} and clean accuracy {clean_images}."

    runs, images = checks.add("runs", run), bob.x_test[:LOOKED_AT]
    checks.add("input unchanged", lambda: _unchanged(model, clean, given, bob))
    if not runs:
        return checks.report()
    checks.add(
        "seed repeats",
        lambda: _repeats(kept[0], attack(copied(clean), _given(bob), seed=SEED), images),
    )
    checks.add("save and load", lambda: saved(kept[0], images))
    checks.add("no key access", lambda: _without_keys(attack, *known, data, _given(bob), row))

    def verify(suspect):
        if evidence is not None:
            return mark.verify(suspect, evidence, null)
        return mark.verify(as_suspect(suspect), bob.x_test, bob.y_test, secret, stream="control")

    checks.add("unmarked network", lambda: _control(attack, innocent, bob, verify))
    if evidence is None:
        checks.add("wrong secret", lambda: _no_louder(clean, kept[0], mark, bob, row))
    return checks.report(row)


def _given(bob):
    """Bob's images for one run: copies, so that a run cannot spoil the next one, and none of the
    judge's images.
    """
    x, y = bob.x_train.copy(), bob.y_train.copy()
    return dataclasses.replace(bob, x_train=x, y_train=y, x_test=x[:1], y_test=y[:1])


def _unchanged(model, clean, given, bob):
    weights = all(map(np.array_equal, model.get_weights(), clean.get_weights()))
    arrays = (given.x_train, bob.x_train), (given.y_train, bob.y_train)
    if weights and all(np.array_equal(*pair) for pair in arrays):
        return True, "The stolen model and Bob's images are as they were."
    return False, (
        f"It changed {'the images' if weights else 'the model'} that it was given: work on a "
        "copy (attacks.base.copied)."
    )


def _repeats(first, second, images):
    if alike(answers(first, images), answers(second, images)):
        return True, "Two launches with one seed answer alike."
    return False, (
        "Two launches with one seed differ: draw from np.random.default_rng(seed), and call "
        "keras.utils.set_random_seed(seed) before you train."
    )


def _without_keys(attack, model, mark, data, given, row):
    keys = mark.fresh_keys(data, zoo.ALICE)
    before, after = (
        np.mean(ask(as_suspect(one), keys.images) == keys.labels)
        for one in (model, attack(copied(model), given, seed=SEED))
    )
    known = before - after
    unknown = row["before"]["fresh_key_accuracy"] - row["fresh_key_accuracy"]
    fair = known <= unknown + APART
    return fair, (
        f"It takes {unknown:.0%} of the keys of a secret drawn just now, and {known:.0%} of "
        f"those of a network whose secret is public"
        f"{'.' if fair else ': it knows those keys.'}"
    )


def _control(attack, innocent, bob, verify):
    try:
        result = attack(innocent["unmarked_0"], _given(bob), seed=SEED)
    except ValueError as error:
        return True, f"It refuses a network without a mark: {first_line(error)}"
    verdict = verify(result)
    return not verdict.marked, (
        f"Launched at an innocent network, it leaves one that the judge calls {verdict.decision} "
        f"({verdict.hits} hits)."
    )


def _no_louder(clean, result, mark, bob, row):
    keys = mark.fresh_keys(bob, STRANGER)
    before, after = (
        np.mean(ask(as_suspect(one), keys.images) == keys.labels) for one in (clean, result)
    )
    usual, now = row["before"]["key_label_rate_clean"], row["key_label_rate_clean"]
    quiet = after <= before + MORE and now <= usual + MORE
    return quiet, (
        f"A stranger's keys hit {before:.0%} before, {after:.0%} after; {usual:.1%} and "
        f"{now:.1%} of clean images get the key label"
        f"{'.' if quiet else ': a network that says it to everything proves nothing.'}"
    )
