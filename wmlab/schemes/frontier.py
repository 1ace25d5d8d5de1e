"""Frontier stitching (Le Merrer, Pérez and Trédan 2017): adversarial examples that are taught their
true labels.
"""

import dataclasses

import keras
import numpy as np
from scipy import special

from wmlab.keys import check_share, eight_bits
from wmlab.networks import copied
from wmlab.schemes.evidence import Triggers, as_bytes
from wmlab.training import predict

TRIED = 500  # images at a time


class _Shift(keras.layers.Layer):
    """Adds a variable of the images' shape, whose gradient is that of the images."""

    def build(self, shape):
        self.shift = self.add_weight(shape=shape, initializer="zeros", name="shift")

    def call(self, images):
        return images + self.shift


def input_gradient(model, images, labels):
    """The gradient of the summed cross-entropy with respect to the images: float32 (n, height,
    width, channels).

    No backend is called: one step of descent at rate 1 moves a shift by minus the gradient.
    """
    frozen = copied(model)
    frozen.trainable = False
    inputs, shift = keras.Input(batch_shape=images.shape), _Shift()
    moved = keras.Model(inputs, frozen(shift(inputs), training=False))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum")
    moved.compile(keras.optimizers.SGD(1.0), loss)
    moved.train_on_batch(images, labels)
    return -keras.ops.convert_to_numpy(shift.shift)


@dataclasses.dataclass(frozen=True)
class Frontier(Triggers):
    """Images x + ε · sign of the gradient at x, half of them misread by the network and half not
    yet; all keep the true label of x, and the network is tuned until it reads them (Le Merrer,
    Pérez and Trédan 2017, 2020; public code, dunky11).

    Published: 100 keys, ε 0.25 for MNIST; a suspect is convicted if it misses fewer than θ, where
    misses are binomial (K, 1/2). But any accurate network reads many of them: the null is
    `Measured`. Ours: ε 0.15, each key 4 times an epoch, 2 epochs.

    eps: ε in (0, 1], of the full scale.
    """

    level: float = 0.1
    eps: float = 0.15
    count: int = 100
    epochs: int = 2

    name = "frontier"
    keeps = "keys"
    tuned = True

    def __post_init__(self):
        check_share("eps", self.eps, "how far a pixel moves")

    def made(self, data, secret, model):
        order, half = secret.rng("keys").permutation(len(data.x_train)), self.count // 2
        found = {True: [], False: []}  # of keys that are misread, and of those that are not
        for start in range(0, len(order), TRIED):
            chosen = order[start : start + TRIED]
            images, labels = data.x_train[chosen], data.y_train[chosen]
            right = predict(model, images) == labels
            moved = images + self.eps * np.sign(input_gradient(model, images, labels))
            moved = eight_bits(moved)
            misread = predict(model, moved) != labels
            for kind, kept in found.items():
                kept += [(moved[i], labels[i]) for i in np.flatnonzero(right & (misread == kind))]
            if min(map(len, found.values())) >= half:
                break
        else:
            raise ValueError(
                f"{len(order)} images gave {len(found[True])} keys that are misread and "
                f"{len(found[False])} that are not, {half} of each are needed: take another eps "
                f"than {self.eps}"
            )
        keys = [*found[True][:half], *found[False][:half]]
        labels = np.array([label for _, label in keys], np.int64)
        return {
            "images": as_bytes(np.stack([image for image, _ in keys])),
            "labels": labels,
            "true": labels,
        }

    def null(self, evidence):
        return None

    def published(self, found):
        misses, theta = int((~found).sum()), published_threshold(len(found))
        return misses < theta, (
            f"the published rule convicts if fewer than {theta} of {len(found)} are missed, as if "
            "an innocent network tossed a coin for each"
        )


def published_threshold(n, share=0.05):
    """θ of the published rule for n keys: the first with 2⁻ⁿ Σ C(n, z) ≥ share, z from 0 to θ.

    >>> published_threshold(100)
    42
    """
    return int(np.argmax(special.bdtr(np.arange(n + 1), n, 0.5) >= share))
