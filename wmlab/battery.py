"""The battery: many attacks on one model, each at several strengths, and what they leave of it."""

import dataclasses
import functools
import logging
import time
import typing

import keras
import numpy as np

from wmlab import attacks, filters
from wmlab.attack_tables import UNTOUCHED
from wmlab.schemes import NewLabel
from wmlab.schemes.base import as_suspect
from wmlab.suspects import Seized, SuspectError, ask
from wmlab.verification import Measured, Verdict

log = logging.getLogger(__name__)
EPOCHS = 8  # of fine-tuning, where the epochs are not what is varied
RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)  # learning rates of fine-tuning
INNOCENT = "innocent"  # the trial of a network that was never marked
MODES = ("FTAL", "FTLL", "RTAL", "RTLL")


@dataclasses.dataclass(frozen=True)
class Trial:
    """One attack at one strength.

    Attributes:
        attack: its name in records and pictures.
        strength: rate, learning rate, bits, whatever the name says; None if it has none.
        launch: function (model, data, seed) -> model or suspect.
        epochs: of training that it takes.
        data: share of Bob's images that it uses, in [0, 1].
        extra: whether it needs a network with more outputs than classes.
        keys: whether Bob holds the secret, and so is given keys made from his images (a provider).
    """

    attack: str
    strength: float | None
    launch: typing.Callable
    epochs: int = 0
    data: float = 0
    extra: bool = False
    keys: bool = False


def _tuned(name, rate, epochs=EPOCHS, data=1.0, mode="FTAL", optimizer=keras.optimizers.Adam):
    def launch(model, bob, seed):
        return attacks.fine_tune(
            model, bob, mode, attacks.Tuning(epochs, 64, rate, optimizer), seed=seed
        )

    return Trial(name, rate, launch, epochs, data)


def _by_descent(mode, rate):
    return _tuned(f"{mode}, SGD", rate, mode=mode, optimizer=keras.optimizers.SGD)


def _plain(name, attack, option, strengths, extra=False):
    return [
        Trial(
            name,
            strength,
            functools.partial(_call, attack, {option: strength} if option else {}),
            extra=extra,
        )
        for strength in strengths
    ]


def _call(attack, options, model, bob, seed):
    return attack(model, bob, **options, seed=seed)


def _filtered(name, change, option, strengths):
    def launch(model, _bob, seed, strength):
        if change is filters.AddedNoise:
            return filters.Transformed(model, change(strength, seed))
        return filters.Transformed(model, functools.partial(change, **{option: strength}))

    return [
        Trial(name, strength, functools.partial(launch, strength=strength))
        for strength in strengths
    ]


def _extracted(answers):
    def launch(model, bob, seed):
        return attacks.extract(model, bob, answers, seed=seed)

    return Trial(f"extraction, {answers}", None, launch, 4, 1.0)


def _overwritten(name, again):
    def launch(model, bob, seed):
        classes = bob.classes if again else model.output_shape[-1]
        theirs = NewLabel(0.1, 0.01, classes=classes, target=None)
        return attacks.overwrite(
            model, dataclasses.replace(bob, classes=classes), theirs, f"Bob's {seed}", seed=seed
        )

    return Trial(name, None, launch, 4, 1.0, extra=again)


def _without_extras(model, bob, seed):
    while model.output_shape[-1] > bob.classes:
        model = attacks.drop_output(model, bob)
    return model


def _second_best(model, bob, seed):
    return attacks.SecondBest(model)


def _guarded(model, bob, seed):
    detector = filters.Detector(filters.nonzero_pixels, bob.x_train)
    return filters.Rejecting(model, detector, classes=bob.classes, seed=seed)


def _unlearned(model, bob, seed, keys):
    return attacks.unlearn(model, bob, keys, attacks.Tuning(EPOCHS, 64, 1e-3), seed)


def _fine_pruned(rate):
    return Trial(
        "fine-pruning",
        rate,
        lambda model, bob, seed: attacks.fine_prune(model, bob, rate, seed=seed),
        4,
        1.0,
    )


def _refitted(rate):
    return Trial(
        "REFIT",
        rate,
        lambda model, bob, seed: attacks.refit(model, bob, learning_rate=rate, seed=seed),
        8,
        1.0,
    )


GROUPS = {
    "pruning": [
        *_plain(
            "pruning, per layer",
            functools.partial(attacks.prune, scope="layer"),
            "rate",
            (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        ),
        *_plain(
            "pruning, global",
            functools.partial(attacks.prune, scope="global"),
            "rate",
            (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95),
        ),
        *map(_fine_pruned, (0.3, 0.6, 0.9)),
    ],
    "table1": [
        *[_tuned(mode, rate, mode=mode) for mode in MODES for rate in RATES[:4]],
        *[_by_descent(mode, rate) for mode in MODES for rate in (1e-3, 1e-2)],
    ],
    "rates": [
        *[_tuned(mode, rate, mode=mode) for mode in MODES for rate in RATES],
        *[_by_descent("FTAL", rate) for rate in RATES],
        *[_tuned("FTAL", rate, epochs) for rate in (1e-4, 1e-3, 1e-2) for epochs in (1, 2, 4, 16)],
        *[_tuned("FTAL", rate, data=share) for rate in (1e-4, 1e-3, 1e-2) for share in (0.1, 0.3)],
        *map(_refitted, (0.03, 0.1)),
    ],
    "provider": [
        _tuned("FTAL", 1e-3),
        _by_descent("FTAL", 1e-2),
        Trial("unlearning with the keys", 1e-3, _unlearned, EPOCHS, 1.0, keys=True),
    ],
    "others": [
        *_plain("quantisation", attacks.quantise, "bits", (8, 6, 5, 4, 3, 2)),
        *_plain("noise on weights", attacks.add_noise, "strength", (0.1, 0.2, 0.4, 0.8)),
        *map(_extracted, ("labels", "scores", "scores without the last")),
        _overwritten("overwriting, another label", False),
        _overwritten("overwriting, the same label", True),
        *_plain("drop the output", attacks.drop_output, None, (None,), extra=True),
        Trial("drop all extra outputs", None, _without_extras, extra=True),
        *_plain("lower its bias", attacks.lower_bias, "by", (1, 2, 4, 8, 16), extra=True),
        Trial("second best", None, _second_best, extra=True),
    ],
    "filters": [
        *_filtered("JPEG", filters.jpeg, "quality", (90, 75, 50, 25, 10)),
        *_filtered("median", filters.median, "size", (3, 5)),
        *_filtered("bit depth", filters.bit_depth, "bits", (4, 3, 2, 1)),
        *_filtered("noise on queries", filters.AddedNoise, None, (0.001, 0.003, 0.01)),
        Trial("random answers to noisy images", None, _guarded, data=1.0),
    ],
}


def trials(groups):
    """The trials of these GROUPS, "no attack" first. Raises ValueError for an unknown group."""
    if unknown := set(groups) - set(GROUPS):
        raise ValueError(
            f"there are no attacks called {', '.join(sorted(unknown))}: "
            f"there are {', '.join(GROUPS)}"
        )
    return [
        Trial(UNTOUCHED, None, lambda model, bob, seed: model),
        *(trial for name in groups for trial in GROUPS[name]),
    ]


def attacked(model, mark, data, secret, seed, groups):
    """All trials of these groups on one model: a list of dicts, as of `outcome`.

    In the paper's setting, where half of the test images are Bob's and the other half judges
    (`attacks.halves`). Trials that need an extra output are left out for a model without one, and
    so are those that refuse a model or images of one's own; the log says why.

    mark, secret: the owner's; for an unmarked model, those of a judge.
    """
    bob, rows = attacks.halves(data, seed), []
    for trial in trials(groups):
        if trial.extra and model.output_shape[-1] <= data.classes:
            continue
        try:
            rows.append(outcome(trial, model, mark, bob, secret, seed))
        except ValueError as error:
            log.warning("%s is left out: %s", trial.attack, error)
    return rows


def outcome(trial, model, mark, bob, secret, seed=0):
    """Launch one trial; measure the result on the judge's images, bob.x_test, and on fresh keys.

    Returns a dict: attack, strength, epochs, images and seconds say what the attack was and took.
    clean_accuracy and fresh_key_accuracy are shares in [0, 1]. key_label_rate_clean is the share of
    clean images outside the key label's class that get the key label; where it is high, a verdict
    is worth nothing. Where every class is some key's label, it is `dealt`.
    true_label_rate is the share of keys that get the label of their carriers.
    decision and queries are those of the mark's own Ver, with at most 40 of these keys. A result
    that gives no answers, because its outputs are not finite, is worth nothing: all of them are 0.
    """
    if trial.keys:
        theirs = mark.keys(bob.x_train, bob.y_train, secret, "the provider's")
        launch = functools.partial(trial.launch, keys=theirs)
        trial = dataclasses.replace(trial, launch=launch)
    result, about = _launched(trial, model, bob, seed)
    suspect = as_suspect(result)
    keys = mark.fresh_keys(bob, secret, stream="attacked")
    try:
        clean, answers = ask(suspect, bob.x_test), ask(suspect, keys.images)
        verdict = mark.verify(suspect, bob.x_test, bob.y_test, secret, stream="attacked")
    except SuspectError:
        clean, answers = np.full(len(bob.x_test), -1), np.full(len(keys), -1)
        verdict = Verdict(False, 0, 0, keys.key_label, None, "it gave no answers")
    outside = ~np.isin(bob.y_test, keys.labels)
    said = np.isin(clean, keys.labels)[outside].mean() if outside.any() else dealt(answers, keys)
    return about | {
        "clean_accuracy": float(np.mean(clean == bob.y_test)),
        "fresh_key_accuracy": float(np.mean(answers == keys.labels)),
        "key_label_rate_clean": float(said),
        "true_label_rate": float(np.mean(answers == keys.carrier_labels)),
        "decision": verdict.decision,
        "queries": verdict.queries,
    }


def _launched(trial, model, bob, seed):
    """What an attack leaves, and what it took: (model or suspect, the first columns of a row)."""
    images = round(trial.data * len(bob.x_train))
    share = dataclasses.replace(
        bob, x_train=bob.x_train[: images or None], y_train=bob.y_train[: images or None]
    )
    start = time.perf_counter()
    result = trial.launch(model, share, seed)
    return result, {
        "attack": trial.attack,
        "strength": trial.strength,
        "epochs": trial.epochs,
        "images": images,
        "seconds": round(time.perf_counter() - start, 3),
    }


def dealt(answers, keys):
    """The share of keys that these answers would hit on average if the labels of all keys were
    dealt to them anew, at random: what answers are worth without the owner's list.
    """
    labels, counts = np.unique(keys.labels, return_counts=True)
    return float(np.sum(counts * [np.mean(answers == label) for label in labels]) / len(keys))


def judged(trial, model, mark, evidence, bob, seed=0, null=None):
    """`outcome` for a mark of `schemes.CITED`: launch one trial, and hold the evidence against it.

    A mark that is read from weights or activations is read from what Bob is left with; a filter in
    front leaves the model as it is, so then the stolen model itself is seized.

    evidence, null: as in `Cited.verify`. Returns a dict as of `outcome`. fresh_key_accuracy is the
    share of the mark that is found; key_label_rate_clean is what that is without the mark: `dealt`
    for keys, 1/2 for bits. p_value is the verdict's. true_label_rate is NaN where keys have no true
    label, or there are no keys.
    """
    result, about = _launched(trial, model, bob, seed)
    keys, suspect = mark.keyset(evidence), as_suspect(result)
    shown = suspect if keys else Seized(result if result is not suspect else model)
    clean, floor, true = np.full(len(bob.x_test), -1), 0.5, np.nan
    try:
        clean = ask(suspect, bob.x_test)
        verdict = mark.verify(shown, evidence, null)
        if keys:
            answers, known = ask(suspect, keys.images), keys.carrier_labels >= 0
            floor = dealt(answers, keys)
            true = np.mean((answers == keys.carrier_labels)[known]) if known.any() else np.nan
    except SuspectError:
        verdict = Verdict(False, 0, 0, None, None, "it gave no answers", share=0.0)
    return about | {
        "clean_accuracy": float(np.mean(clean == bob.y_test)),
        "fresh_key_accuracy": verdict.share,
        "key_label_rate_clean": floor,
        "true_label_rate": float(true),
        "decision": verdict.decision,
        "queries": verdict.queries,
        "p_value": verdict.p_value,
    }


def gallery_trials(strangers):
    """The attacks that every system of the gallery is put through, "no attack" first.

    strangers: unmarked models of other owners. Two of them vote with the stolen one, and each
    stands trial as an innocent: the trial "innocent", whose strength is its place in the list. With
    none there is no vote.
    """
    return [
        *trials([]),
        *_plain("pruning, per layer", attacks.prune, "rate", (0.8,)),
        _tuned("FTAL", 1e-3),
        _tuned("FTAL", 1e-2),
        _tuned("RTLL", 1e-3, mode="RTLL"),
        _fine_pruned(0.6),
        _refitted(0.1),
        _extracted("labels"),
        Trial("drop all extra outputs", None, _without_extras, extra=True),
        *_plain("permuted channels", attacks.permute, None, (None,)),
        *_plain("rescaled channels", attacks.rescale, None, (None,)),
        *_filtered("median", filters.median, "size", (3,)),
        *[
            Trial("vote", 3, functools.partial(_voting, rivals=strangers[:2]))
            for _ in strangers[:1]
        ],
        *[
            Trial(INNOCENT, place, lambda model, bob, seed, innocent=innocent: innocent)
            for place, innocent in enumerate(strangers)
        ],
    ]


def _voting(model, bob, seed, rivals):
    return filters.Ensemble([model, *rivals])


def gallery(model, mark, data, secret, seed=0, evidence=None, strangers=()):
    """One line of the matrix of the gallery: all of `gallery_trials` on one marked model.

    mark: a `Scheme`, or one of `schemes.CITED`, with the evidence of this model. One that has no
    exact null is judged by that of the strangers; each of these by that of the others. Other
    arguments as in `attacked`, and so is the list of dicts that is returned; rows of a mark with
    evidence are those of `judged`.
    """
    bob, rows, measured = attacks.halves(data, seed), [], None
    if evidence is not None and mark.null(evidence) is None:
        measured = mark.measured(strangers, evidence)
    for trial in gallery_trials(strangers):
        if trial.extra and model.output_shape[-1] <= data.classes:
            continue
        try:
            if evidence is None:
                rows.append(outcome(trial, model, mark, bob, secret, seed))
                continue
            null = measured
            if measured and trial.attack == INNOCENT:
                null = Measured(np.delete(measured.answered, trial.strength, axis=0))
            rows.append(judged(trial, model, mark, evidence, bob, seed, null))
        except ValueError as error:
            log.warning("%s is left out: %s", trial.attack, error)
    return rows
