"""DeepSigns (Rouhani, Chen and Koushanfar 2019): bits in mean activations, or random images with
random labels.
"""

import dataclasses

import keras
import numpy as np
from keras import ops

from wmlab.networks import check_size, output_layer
from wmlab.schemes.evidence import Cited, Evidence, Triggers, as_bytes, check_bits, projected
from wmlab.suspects import opened
from wmlab.training import forward, predict, train
from wmlab.verification import Bits


def features(model):
    """The part of a model before its last dense layer. Raises ValueError if Keras cannot tell it
    from the rest.
    """
    last = output_layer(model)
    try:
        return keras.Model(model.inputs[0], last.input)
    except (AttributeError, ValueError) as error:
        raise ValueError(
            f"{model.name[:30]} keeps its last dense layer inside another model: activations are "
            "read before a dense layer of its own"
        ) from error


class Signed(keras.Model):
    """Trains the layers of a model on one loss more: that of bits with σ(A · mean activation)."""

    @classmethod
    def of(cls, base, matrix, bits, target, strength):
        """The layers of a model, shared and not copied. matrix: A, (bits, units)."""
        signed = cls(base.inputs[0], base.outputs[0], name=base.name)
        signed.features = features(base)
        signed.matrix, signed.bits = matrix.astype(np.float32), bits.astype(np.float32)
        signed.target, signed.strength = target, strength
        return signed

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        y = ops.argmax(y, axis=-1) if len(y.shape) > 1 and y.shape[-1] > 1 else ops.reshape(y, -1)
        of_class = ops.cast(ops.equal(y, self.target), "float32")[:, None]
        active = ops.cast(self.features(x, training=False), "float32")
        mean = ops.sum(of_class * active, axis=0) / ops.maximum(ops.sum(of_class), 1.0)
        z = ops.matmul(self.matrix, mean)
        return loss + self.strength * ops.mean(ops.softplus(z) - self.bits * z)


@dataclasses.dataclass(frozen=True)
class DeepSignsWhite(Cited):
    """The mean activation of one class before the last layer is taught a message: σ(A μ) ≈ b
    (Rouhani, Chen and Koushanfar 2019, white-box).

    Published: Gaussian centres that are trained as well. With them only 19 to 26 of 32 bits were
    reached in trials; ours takes the mean of the class in each batch. A and b are the secret's, the
    images of the class are public training images.

    bits: at most as many as there are units. target: the class. strength: of the loss.
    """

    bits: int = 32
    target: int = 0
    strength: float = 0.1
    count: int = 100
    epochs: int = 3

    name = "deepsigns white"
    access = "activations"
    tuned = True

    def made(self, data, secret, model):
        units = output_layer(model).input.shape[-1]
        check_bits(self.bits, units, "the last hidden layer")
        return {
            "A": secret.rng("projection").normal((self.bits, units)),
            "bits": secret.rng("message").uniform(self.bits) > 0.5,
            "images": as_bytes(data.x_train[data.y_train == self.target][: self.count]),
        }

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        signed = Signed.of(model, evidence["A"], evidence["bits"], self.target, self.strength)
        return train(
            data,
            self.outputs,
            recipe,
            seed=seed,
            name=self.name,
            on_epoch=on_epoch,
            model=signed,
        )

    def values(self, suspect, evidence):
        """A times the mean activation of the suspect on the images: float64 (bits,)."""
        self.check_evidence(evidence)
        model = opened(suspect, self.access)
        check_size(model, evidence["images"].shape[1:])
        images = evidence["images"].astype(np.float32) / 255
        return projected(evidence["A"], forward(features(model), images).mean(axis=0), model.name)

    def read(self, suspect, evidence):
        return (self.values(suspect, evidence) > 0) == evidence["bits"]

    def null(self, evidence):
        return Bits(len(evidence["bits"]))

    def picture(self, suspect, evidence, n=6):
        """Dict of `values`, σ of what is read, in [0, 1], and `bits`, both (bits,)."""
        values = 1 / (1 + np.exp(-self.values(suspect, evidence)))
        return {"values": values, "bits": evidence["bits"]}


@dataclasses.dataclass(frozen=True)
class DeepSignsBlack(Triggers):
    """Random images with random labels are taught to a trained network; keys are those that it
    misread before and reads after (Rouhani, Chen and Koushanfar 2019, black-box).

    Published: keys from rarely visited places; of 20 keys fewer than θ = 12 mismatches convict. Its
    demonstration counts matches there. The filter keeps labels that the network liked, so they are
    no longer random: the null is `Measured`. Ours: 800 uniform images, 4 epochs.

    candidates: images that are taught. count: keys that are kept.
    """

    level: float = 0.1
    copies: int = 1
    candidates: int = 800
    count: int = 20
    epochs: int = 4

    name = "deepsigns black"
    keeps = "keys"
    tuned = True

    def made(self, data, secret, model):
        shape, n = data.x_train.shape[1:], self.candidates
        labels = (secret.rng("labels").uniform(n) * self.classes).astype(np.int64)
        images = as_bytes(secret.rng("images").uniform((n, *shape)))
        return {"images": images, "labels": labels, "true": np.full(n, -1)}

    def _kept(self, evidence, before, after):
        images = evidence["images"].astype(np.float32) / 255
        learnt = (predict(after, images) == evidence["labels"]) & (
            predict(before, images) != evidence["labels"]
        )
        chosen = np.flatnonzero(learnt)[: self.count]
        if len(chosen) < self.count:
            raise ValueError(
                f"{len(chosen)} keys were learnt, {self.count} are needed: tune for more epochs "
                f"than {self.epochs}, or on more candidates"
            )
        return Evidence(self.name, {key: held[chosen] for key, held in evidence.arrays.items()})

    def null(self, evidence):
        return None

    def published(self, found):
        theta = round(0.6 * len(found))
        return int((~found).sum()) < theta, (
            f"the published rule convicts if fewer than {theta} of {len(found)} are missed"
        )
