"""What systems that other authors published have in common: the evidence that their owner keeps,
and KsGen, TrEmb and Ver over it.
"""

import dataclasses
import functools
import hashlib
import pathlib
import zipfile

import keras
import numpy as np

from wmlab import runtime
from wmlab.keys import KeySet
from wmlab.networks import copied, leaves
from wmlab.schemes.base import about_run, as_suspect, results_of
from wmlab.schemes.unmarked import Unmarked
from wmlab.secret import Secret
from wmlab.suspects import SuspectError, ask
from wmlab.training import predict, recipe_for, train, untrained
from wmlab.verification import Measured, RandomLabels, Verdict

DEALT = 999  # times that the labels of keys are dealt anew


@dataclasses.dataclass(frozen=True, eq=False)
class Evidence:
    """Named arrays that an owner shows to a judge: keys, or a projection and a message.

    scheme: the name of its scheme. arrays: {name: array}; images are uint8 (n, height, width,
    channels). commitment: a `Commitment` to secret and arrays, see `commit`; None before that.
    """

    scheme: str
    arrays: dict
    commitment: object = None

    def __getitem__(self, name):
        return self.arrays[name]

    def __repr__(self):
        held = ", ".join(f"{name} {array.shape}" for name, array in self.arrays.items())
        return f"Evidence of {self.scheme}: {held}, sha256 {self.digest[:12]}"

    @functools.cached_property
    def digest(self):
        """SHA-256, in hex, of the scheme and of the name, kind, shape and bytes of every array."""
        hashed = hashlib.sha256(self.scheme.encode())
        for name, array in sorted(self.arrays.items()):
            hashed.update(f"\0{name} {array.dtype.str} {array.shape}\0".encode())
            hashed.update(np.ascontiguousarray(array).tobytes())
        return hashed.hexdigest()

    def commit(self, secret):
        """The same evidence with a fresh commitment to it and to the secret."""
        return dataclasses.replace(self, commitment=Secret(secret).commit(self.digest))

    def save(self, path):
        """Write the arrays to an .npz file, without the commitment; return the path."""
        path = pathlib.Path(path)
        if path.suffix != ".npz":
            raise ValueError(f"{path.name} must end in .npz: evidence is saved as numpy arrays")
        with runtime.writing(path) as part, open(part, "wb") as file:
            np.savez_compressed(file, scheme=np.array(self.scheme), **self.arrays)
        return path

    @classmethod
    def load(cls, path):
        """Evidence from an .npz file. Raises ValueError if it is none."""
        try:
            with np.load(path, allow_pickle=False) as held:
                arrays = {name: held[name] for name in held.files}
            return cls(str(arrays.pop("scheme")), arrays)
        except (AttributeError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} holds no evidence: save it with Evidence.save") from error


@dataclasses.dataclass(frozen=True)
class Cited:
    """A published system. A subclass has `name`, `made` (KsGen), `read` and `null`, and says in
    class attributes what it is.

    Attributes:
        classes: number of classes of the data.
        level: the largest p-value that convicts.
        access: what Ver reads of a suspect: "labels", "activations" or "weights".
        keeps: what the owner has to store until a trial: "secret" if evidence can be made again
            from it and from public data, or "keys".
        tuned: whether the mark is put into a trained network; else it is there from the first step.
    """

    classes: int = 10
    level: float = 0.01

    name = None
    access = "labels"
    keeps = "secret"
    tuned = False

    @property
    def outputs(self):
        """Number of labels of the marked model: no label is added."""
        return self.classes

    def made(self, data, secret, model):
        """KsGen: {name: array}. model: the network before it is marked; only its shapes count,
        unless `tuned`.
        """
        raise NotImplementedError

    def check(self, data):
        """Raise ValueError if a network on these data cannot be marked so."""
        if data.classes != self.classes:
            raise ValueError(
                f"{data.name} has {data.classes} classes, this scheme is for {self.classes}: "
                "set classes"
            )

    def settings(self, data, recipe, seed):
        """Everything that decides a run, as of `Scheme.settings`. A published system has no α or
        β; its own fields stand in `kind`.
        """
        fields = dataclasses.asdict(self)
        return {
            **vars(recipe),
            "alpha": None,
            "beta": None,
            "kind": ", ".join(f"{name}={value}" for name, value in fields.items()),
            "reading": "evidence",
            "classes": self.classes,
            "target": None,
            "decoys": 0,
            **about_run(self, data, recipe, seed),
        }

    def evidence(self, data, secret, model):
        """KsGen: the Evidence for a network like `model` that is trained on `data`."""
        self.check(data)
        return Evidence(self.name, self.made(data, Secret(secret), model))

    def embed(self, data, secret, recipe=None, *, seed=0, on_epoch=None, start=None):
        """TrEmb: a marked network and the evidence of its mark.

        Args:
            data, secret, recipe, seed, on_epoch: as in `Scheme.embed`.
            start: a trained Keras model to put the mark into; a copy is marked.

        Returns:
            A `training.Run` with `evidence`, committed. Of its results, fresh_key_accuracy is the
            share of the mark that is found.

        Raises:
            ValueError: what the scheme cannot mark, in a sentence.
        """
        recipe = recipe_for(data, recipe, start)
        if start is None and self.tuned:
            start = Unmarked(self.classes).embed(data, secret, recipe, seed=seed).model
        keras.utils.set_random_seed(seed)
        model = untrained(recipe, self.outputs, data.x_train) if start is None else copied(start)
        evidence = self.evidence(data, secret, model)
        run = self._train(data, evidence, model, self._how(recipe), seed, on_epoch)
        run = dataclasses.replace(run, model=copied(model))
        run.evidence = self._kept(evidence, start, run.model).commit(secret)
        found = self.read(run.model, run.evidence)
        run.settings = self.settings(data, recipe, seed)
        run.results = results_of(predict(run.model, data.x_test), data) | {
            "n_keys": len(found),
            "fresh_key_accuracy": float(np.mean(found)),
        }
        return run

    def _how(self, recipe):
        """The recipe of the training that embeds. A mark is put into a trained network by Adam."""
        if not self.tuned:
            return recipe
        return dataclasses.replace(
            recipe,
            epochs=self.epochs,
            learning_rate=1e-3,
            optimizer="adam",
            schedule="constant",
            until="steps",
        )

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        """Train the model itself so that it bears the mark; the Run."""
        raise NotImplementedError

    def _kept(self, evidence, before, after):
        """The evidence that is kept, given the network before and after."""
        return evidence

    def read(self, suspect, evidence):
        """Which parts of the mark, keys or bits, are found: bool (n,)."""
        raise NotImplementedError

    def null(self, evidence):
        """The exact law of an innocent suspect; None where there is none."""
        return None

    def published(self, found):
        """The published rule on what `read` found: (whether it convicts, the rule in words), or
        None. It is shown beside a verdict, and never used.
        """
        return None

    def check_evidence(self, evidence):
        """Raise ValueError unless this is evidence of this scheme."""
        if evidence.scheme != self.name:
            raise ValueError(f"this is evidence of {evidence.scheme}, not of {self.name}")

    def verify(self, suspect, evidence, null=None):
        """Ver: a Verdict on the suspect.

        null: what an innocent suspect would do; by default the scheme's own exact law. Where it has
        none, pass that of innocent networks, `measured(networks, evidence)`.
        Raises ValueError without a null, or for evidence of another scheme or kind of network;
        SuspectError for a suspect that does not show what the scheme reads.
        """
        self.check_evidence(evidence)
        null = self.null(evidence) if null is None else null
        if null is None:
            raise ValueError(
                f"{self.name} has no exact null: question innocent networks, and pass "
                "null=mark.measured(networks, evidence)"
            )
        found = self.read(suspect, evidence)
        hits = int(found.sum())
        p_value, note = null.weigh(hits, len(found), self.keyset(evidence)) if hits else (None, "")
        what = "keys get the labels" if self.access == "labels" else "bits are those"
        says = f"{hits or 'none'} of {len(found)} {what} of the evidence"
        return self._verdict(p_value, hits, str(null), note, says, hits / len(found), len(found))

    def _verdict(self, p_value, hits, null, note, says, share, answers=0):
        marked = p_value is not None and p_value <= self.level
        queries = answers if self.access == "labels" else 0
        return Verdict(marked, queries, hits, None, p_value, null, note, says, share)

    def measured(self, networks, evidence):
        """The null of innocent networks that are read with this evidence: a `Measured`.

        networks: keras models or suspects that bear no mark.
        """
        self.check_evidence(evidence)
        return Measured(np.stack([self.read(network, evidence) for network in networks]))

    def keyset(self, evidence):
        """The keys of the evidence as a KeySet; None for a mark without keys."""
        return None

    def picture(self, suspect, evidence, n=6):
        """What there is to see: a dict of arrays."""
        raise NotImplementedError


class _Told:
    """A suspect whose last answers are kept in `labels`."""

    def __init__(self, suspect):
        self.suspect, self.labels = suspect, None

    def ask(self, images):
        self.labels = ask(self.suspect, images)
        return self.labels


@dataclasses.dataclass(frozen=True)
class Triggers(Cited):
    """A mark that is a list of images and labels. A subclass has `made`, with arrays images, labels
    and true, the labels that the images would get by right (-1 for none).

    copies: how often each key comes in an epoch of training.
    """

    copies: int = 4

    def keyset(self, evidence):
        images = evidence["images"].astype(np.float32) / 255
        return KeySet(images, 0, evidence["true"], self.name, 1.0, own_labels=evidence["labels"])

    def read(self, suspect, evidence):
        self.check_evidence(evidence)
        keys = self.keyset(evidence)
        return ask(as_suspect(suspect), keys.images) == keys.labels

    def null(self, evidence):
        return RandomLabels(self.classes)

    def verify(self, suspect, evidence, null=None):
        """Ver: as of every published system. Where keys have labels of several kinds and the null
        is measured, the labels are also dealt to the keys anew, 999 times: a suspect whose answers
        fit as well then is acquitted, for they do not depend on what it is shown.
        """
        told = _Told(as_suspect(suspect))
        verdict = super().verify(told, evidence, null)
        labels = evidence["labels"]
        if not verdict.marked or self.null(evidence) is not None or len(set(labels)) == 1:
            return verdict
        anew = np.random.default_rng(0).permuted(np.tile(labels, (DEALT, 1)), axis=1)
        as_well = ((anew == told.labels).sum(axis=1) >= verdict.hits).sum()
        if (1 + as_well) / (1 + DEALT) <= self.level:
            return verdict
        note = (
            f"{verdict.note} But dealt to the keys anew, the labels fit its answers as well: they "
            "do not depend on the images."
        )
        return dataclasses.replace(verdict, marked=False, note=note.strip())

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        keys = self.keyset(evidence)
        keys = keys[np.tile(np.arange(len(keys)), self.copies)]
        taught = self._taught(data, evidence)
        return train(
            taught,
            self.outputs,
            recipe,
            keys=keys,
            seed=seed,
            name=self.name,
            on_epoch=on_epoch,
            model=model,
        )

    def _taught(self, data, evidence):
        """The data to train on beside the keys."""
        return data

    def picture(self, suspect, evidence, n=6):
        """Dict of `key`, images (n, height, width, channels), and `labels` (n, 3): of the evidence,
        by right (-1 for none), and what the suspect answers.
        """
        keys = self.keyset(evidence)[:n]
        answers = ask(as_suspect(suspect), keys.images)
        labels = np.stack([keys.labels, keys.carrier_labels, answers], axis=1)
        return {"key": keys.images, "labels": labels}


def as_bytes(images):
    """Images in [0, 1] as they are kept: uint8."""
    return np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)


def last_kernel(model):
    """The kernel of the last convolution, a variable. Raises ValueError for a model without one."""
    found = [layer for layer in leaves(model) if isinstance(layer, keras.layers.Conv2D)]
    if not found:
        raise ValueError(f"{model.name} has no convolution, whose kernel could bear a message")
    return found[-1].kernel


def mean_filter(kernel):
    """The mean over output channels of a kernel, as a vector (height · width · channels,)."""
    return keras.ops.reshape(keras.ops.mean(kernel, axis=-1), (-1,))


def check_bits(bits, room, where):
    """Raise ValueError unless a message of so many bits fits into so many numbers."""
    if not 1 <= bits <= room:
        raise ValueError(f"{bits} bits, but {where} has room for 1 to {room}: take fewer")


def projected(matrix, vector, whose):
    """matrix (bits, n) times vector (n,), as a float64 array. Raises ValueError for evidence of
    another model, SuspectError if the model has no numbers there.
    """
    vector = keras.ops.convert_to_numpy(vector).astype(np.float64)
    if not np.isfinite(vector).all():
        raise SuspectError(f"the weights of {whose} are not finite: nothing can be read from them")
    if matrix.shape[1] != len(vector):
        raise ValueError(
            f"this evidence is for {matrix.shape[1]} numbers of another model: {whose} has "
            f"{len(vector)}"
        )
    return matrix @ vector
