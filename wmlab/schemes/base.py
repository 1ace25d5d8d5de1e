"""What schemes have in common: KsGen, TrEmb and Ver, given a key label and a number of outputs."""

import dataclasses
import hashlib

import numpy as np

from wmlab.keys import (
    check_images,
    check_labels,
    check_share,
    choose_carriers,
    make_decoys,
    make_keys,
    noise_deviation,
)
from wmlab.networks import check_classifier, title, with_outputs
from wmlab.secret import Secret
from wmlab.suspects import LocalSuspect
from wmlab.training import hit_rate, logits, predict, recipe_for, train

FRESH = 2000  # keys a fresh-key accuracy is measured on, at most
UNSEEN = 0.1  # of how much outputs differ between images: less, and keys are not seen
LEARNT = 0.8  # share of keys that hit, from which on there is nothing to explain


@dataclasses.dataclass(frozen=True)
class Scheme:
    """A way to mark a classifier. A subclass sets `name`, `key_label`, `outputs` and `verify`.

    Attributes:
        alpha: share of the training images that are made into keys, in (0, 1].
        beta, kind, reading: the perturbation, see `keys.perturb`.
        classes: number of classes of the data.
        target: the class that lends no carriers; None for carriers of every class.
        decoys: number of images with wrong patterns under their true label; for kind "fixed" alone.

    Raises:
        ValueError: a value outside these ranges.
    """

    alpha: float
    beta: float
    kind: str = "fresh"
    reading: str = "variance"
    classes: int = 10
    target: int | None = 0
    decoys: int = 0

    name = None
    marks = True  # whether it has keys

    def __post_init__(self):
        check_share("alpha", self.alpha, "the share of images made into keys")
        noise_deviation(self.beta, self.reading)
        if self.target is not None and not 0 <= self.target < self.classes:
            raise ValueError(
                f"the target class is {self.target}, but the {self.classes} classes count from 0"
            )
        if self.decoys and self.kind != "fixed":
            raise ValueError(
                f"decoys carry wrong patterns, so they need kind='fixed', not {self.kind!r}"
            )

    @property
    def key_label(self):
        """The label all keys receive."""
        raise NotImplementedError(f"the scheme {self.name!r} has no keys")

    @property
    def outputs(self):
        """Number of labels of the marked model."""
        raise NotImplementedError

    def carriers(self, images, labels, n=None):
        """The first n of the images that may lend keys, those outside the target class: (images,
        labels); all of them by default.

        Raises TypeError or ValueError for images outside [0, 1], labels that are no classes, or n
        below 1.
        """
        if n is not None and n < 1:
            raise ValueError(f"{n} carriers: ask for at least one")
        check_images(images)
        labels = check_labels(labels, len(images), self.classes)
        chosen = np.flatnonzero(labels != self.target)[:n]
        return images[chosen], labels[chosen]

    def keys(self, images, labels, secret, stream):
        """KsGen: a KeySet made from those of the images that may lend keys."""
        return make_keys(
            *self.carriers(images, labels),
            Secret(secret),
            stream,
            key_label=self.key_label,
            beta=self.beta,
            kind=self.kind,
            reading=self.reading,
        )

    def embedded_keys(self, data, secret):
        """K made from D₁: the α |D| training images that the secret chooses; a KeySet."""
        chosen = choose_carriers(data.y_train, self.alpha, Secret(secret), self.target)
        keys = self.keys(data.x_train[chosen], data.y_train[chosen], secret, "embed")
        return dataclasses.replace(keys, alpha=self.alpha)

    def fresh_keys(self, data, secret, n=FRESH, stream="measure"):
        """At most n keys from test images, which the model never saw (D₂); a KeySet."""
        return self.keys(*self.carriers(data.x_test, data.y_test, n), secret, stream)

    def noisy_accuracy(self, model, data):
        """Share of test images that get their true label when they carry noise as strong as that of
        the keys, but nobody's. In [0, 1].
        """
        noisy = self.keys(*self.carriers(data.x_test, data.y_test, FRESH), "anyone", "noise")
        return hit_rate(model, noisy.images, noisy.carrier_labels)

    def embed(self, data, secret, recipe=None, *, seed=0, on_epoch=None, model=None, start=None):
        """TrEmb: train a network from scratch on D ∪ K, and on the decoys if there are any.

        Args:
            data: a Dataset with `classes` classes.
            secret: what the keys are made with.
            recipe: a `training.Recipe`; by default the course's own.
            seed: of initial weights, dropout and the order of batches.
            on_epoch: called with the history after each epoch.
            model: a Keras model with `outputs` outputs, whose layers are trained from scratch in
                place of the recipe's network. It stays as it is: the Run has the trained copy.
            start: a trained Keras model to go on from. A copy gets the outputs that it lacks.

        Returns:
            A `training.Run`, with its settings and results.

        Raises:
            ValueError: a model that is no classifier of these images, with these outputs.
        """
        if model is not None and start is not None:
            raise ValueError("pass model to train its layers anew, or start to go on, not both")
        for given, outputs in (model, self.outputs), (start, None):
            if given is not None:
                check_classifier(given, outputs)
        recipe = recipe_for(data, recipe, start if model is None else model)
        keys, fresh, decoys = self._material(data, secret)
        run = train(
            data,
            self.outputs,
            recipe,
            keys=keys,
            fresh=fresh,
            decoys=decoys,
            seed=seed,
            name=self.name,
            on_epoch=on_epoch,
            model=None if start is None else with_outputs(start, self.outputs),
        )
        run.settings = self.settings(data, recipe, seed)
        if start is not None:
            weights = b"".join(weight.tobytes() for weight in start.get_weights())
            run.settings["start"] = hashlib.sha256(weights).hexdigest()[:16]
        run.results = self._results(data, run, fresh)
        run.advice = self._advice(data, run, fresh)
        return run

    def _advice(self, data, run, fresh):
        """Why few fresh keys hit, in a sentence; empty if they do, or there are no keys."""
        hit, embedded = (run.results[f"{kind}_key_accuracy"] for kind in ("fresh", "embedded"))
        if hit is None or hit >= LEARNT:
            return ""
        says = f"{hit:.0%} of fresh keys hit, and {embedded:.0%} of those that it was trained on"
        count = len(run.keys)
        if embedded >= LEARNT:
            return f"{says}: it learnt {count} keys by heart. Take more (alpha) or stronger (beta)."
        clean = self.carriers(data.x_test, data.y_test, len(fresh))[0]
        asked = fresh.images[: len(clean)]  # keys that are no test images may be more
        plain, keyed = (logits(run.model, images) for images in (clean, asked))
        seen = np.abs(keyed - plain).mean() / max(np.abs(plain - plain.mean(axis=0)).mean(), 1e-9)
        if seen < UNSEEN:
            return (
                f"{says}: its outputs hardly differ between an image and its key. Its first layers "
                "may smooth, shrink or round keys away; or keys are too weak (beta)."
            )
        steps = len(run.history) * -(-(len(data.y_train) + count) // run.settings["batch"])
        return (
            f"{says}, after {steps:,} steps: train longer (epochs), take more than {count} keys, "
            "or a first layer that does not smooth them."
        )

    def check(self, data):
        """Raise ValueError, before anything is trained, if no network can be marked so."""
        if data.classes != self.classes:
            raise ValueError(
                f"{data.name} has {data.classes} classes, this scheme is for {self.classes}: "
                "set classes"
            )
        if self.alpha:
            choose_carriers(data.y_train, self.alpha, "anyone", self.target)
        if self.marks:
            self.keys(*self.carriers(data.x_test, data.y_test, 2), "anyone", "check")

    def _material(self, data, secret):
        self.check(data)
        return self._made(data, secret)

    def _made(self, data, secret):
        decoys = None
        if self.decoys:
            decoys = make_decoys(
                data.x_train, data.y_train, Secret(secret), self.decoys, self.beta, self.reading
            )
        return self.embedded_keys(data, secret), self.fresh_keys(data, secret), decoys

    def settings(self, data, recipe, seed):
        """Everything that decides a run: a dict of the fields of this scheme and of the recipe,
        of seed, scheme, dataset, dataset_sha256, n_train and n_test.
        """
        return {
            **dataclasses.asdict(self),
            **vars(recipe),
            **about_run(self, data, recipe, seed),
        }

    def _results(self, data, run, fresh):
        """What a network does on all test images and all keys."""
        labels = predict(run.model, data.x_test)
        results = results_of(labels, data) | {
            "n_keys": len(run.keys or ()),
            "n_fresh": len(fresh or ()),
        }
        if run.keys:
            others = labels[data.y_test != self.target]
            results |= {
                "fresh_key_accuracy": hit_rate(run.model, fresh.images, fresh.labels),
                "embedded_key_accuracy": hit_rate(run.model, run.keys.images, run.keys.labels),
                "key_label_rate_clean": float(np.mean(np.isin(others, run.keys.labels))),
            }
        return results

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        """Ver: question a suspect with at most n fresh keys made from unseen images; a Verdict.

        stream: another name for each trial, since the keys of an earlier one are known to the
        suspect.
        """
        raise NotImplementedError

    def picture(self, images, labels, secret, n=6):
        """What the scheme does to images: dict of arrays `clean`, `key` (n, h, w, channels), their
        `difference` in [-1, 1], and the `labels` before and after (n, 2).
        """
        clean, labels = self.carriers(images, labels, n)
        keys = self.keys(clean, labels, secret, "picture")
        return {
            "clean": clean,
            "key": keys.images,
            "difference": keys.images - clean,
            "labels": np.stack([keys.carrier_labels, keys.labels], axis=1),
        }


def about_run(mark, data, recipe, seed):
    """The settings of a run that are neither fields of its scheme nor of its recipe: a dict."""
    return {
        "network": title(recipe.network, mark.outputs),
        "scheme": mark.name,
        "dataset": data.name,
        "dataset_sha256": data.sha256,
        "seed": seed,
        "n_train": len(data.x_train),
        "n_test": len(data.x_test),
    }


def results_of(labels, data):
    """The results of a network that answers `labels` to all test images, and has no keys: shares in
    [0, 1], None without keys; errors: "image:label" of each mistake.
    """
    wrong = np.flatnonzero(labels != data.y_test)
    return {
        "clean_accuracy": float(np.mean(labels == data.y_test)),
        "n_keys": 0,
        "n_fresh": 0,
        "fresh_key_accuracy": None,
        "embedded_key_accuracy": None,
        "key_label_rate_clean": None,
        "errors": " ".join(f"{i}:{labels[i]}" for i in wrong),
    }


def as_suspect(suspect):
    """The suspect itself, or a keras model behind a LocalSuspect. Raises TypeError for anything
    else.
    """
    if hasattr(suspect, "ask"):
        return suspect
    if not hasattr(suspect, "layers"):
        raise TypeError(
            f"a {type(suspect).__name__} is no suspect: pass a keras model, or an object with "
            "ask(images) -> labels"
        )
    return LocalSuspect(suspect)
