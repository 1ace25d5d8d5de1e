"""Blind watermark (Li, Hu, Zhang and Guo 2019): an encoder hides a logo in images, and the network
is taught labels of the owner's for them.
"""

import dataclasses

import keras
import numpy as np
from keras import layers, ops

from wmlab.networks import copied
from wmlab.schemes.evidence import Triggers, as_bytes

WINDOW = 7  # of the structural similarity, pixels
C1, C2 = 0.01**2, 0.03**2  # of the structural similarity, for images in [0, 1]


def similarity(one, other):
    """The mean structural similarity of images in [0, 1], (n, height, width, channels), over
    windows of 7 x 7: 1 for equal ones (Wang, Bovik, Sheikh and Simoncelli 2004, without their
    weights in a window).
    """

    def mean(images):
        return ops.average_pool(images, WINDOW, 1)

    m, k = mean(one), mean(other)
    v, u, both = mean(one**2) - m**2, mean(other**2) - k**2, mean(one * other) - m * k
    return ops.mean(
        (2 * m * k + C1) * (2 * both + C2) / ((m**2 + k**2 + C1) * (v + u + C2)),
    )


def unlike(image, key):
    """What a key may not be seen by: 3 · mean squared error + 5 · (1 - similarity)."""
    return 3 * ops.mean(ops.square(key - image)) + 5 * (1 - similarity(image, key))


def encoder(shape):
    """A network from images in [0, 1] and logos, both of this shape, to keys."""
    image, logo = keras.Input(shape), keras.Input(shape)
    marked = layers.Concatenate()([image, logo])
    for _ in range(2):
        marked = layers.Conv2D(16, 3, padding="same", activation="relu")(marked)
    change = layers.Conv2D(shape[-1], 3, padding="same", activation="tanh")(marked)
    return keras.Model([image, logo], layers.Add()([image, change]))


def discriminator(shape):
    """A network that tells images (1) from keys (0): a logit."""
    image = marked = keras.Input(shape)
    for _ in range(2):
        marked = layers.Conv2D(16, 3, 2, activation="relu")(marked)
    return keras.Model(image, layers.Dense(1)(layers.Flatten()(marked)))


@dataclasses.dataclass(frozen=True)
class Blind(Triggers):
    """Training images in which an encoder hides a logo, so that nobody sees it; each gets a label
    that the secret draws (Li, Hu, Zhang and Guo 2019, and their public code, zhenglisec).

    The loss of the encoder is 3 · MSE + 5 · (1 - SSIM) + the cross-entropy of a discriminator that
    takes the key for an image + 0.1 · the cross-entropy of the network with the key's label.
    Published: 1 % of the images; encoder, discriminator and network are trained in turn, batch by
    batch. Ours: encoder and discriminator in turn, on a trained network; then the network on the
    keys. Since the encoder knows the labels, so may the keys: innocent networks must be asked.

    count: of keys. steps: of the encoder, with 20 images each.
    """

    level: float = 0.1
    copies: int = 6
    count: int = 100
    steps: int = 200
    epochs: int = 6

    name = "blind"
    keeps = "keys"
    tuned = True

    def made(self, data, secret, model):
        shape = data.x_train.shape[1:]
        chosen = secret.rng("keys").permutation(len(data.x_train))[: self.count]
        images, true = data.x_train[chosen], data.y_train[chosen].astype(np.int64)
        labels = (secret.rng("labels").uniform(len(chosen)) * self.classes).astype(np.int64)
        logo = (secret.rng("logo").uniform(shape) > 0.5).astype(np.float32)
        logos = np.broadcast_to(logo, images.shape)
        hide = self._encoder(images, logos, labels, model)
        keys = hide.predict([images, logos], verbose=0)
        return {"images": as_bytes(keys), "labels": labels, "true": true}

    def _encoder(self, images, logos, labels, model):
        """The encoder, trained against a discriminator and the network."""
        hide, tell = encoder(images.shape[1:]), discriminator(images.shape[1:])
        entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        doubt = keras.losses.BinaryCrossentropy(from_logits=True)
        tell.compile("adam", doubt)
        judge, host = copied(tell), copied(model)
        judge.trainable = host.trainable = False
        key = hide.outputs[0]
        all_of_it = keras.Model(hide.inputs, [key, judge(key), host(key, training=False)])
        all_of_it.compile("adam", loss=[unlike, doubt, entropy], loss_weights=[1, 1, 0.1])
        order = np.random.default_rng(0)
        for _ in range(self.steps):
            batch = order.permutation(len(images))[:20]
            shown, one = [images[batch], logos[batch]], np.ones((len(batch), 1))
            keys = hide.predict_on_batch(shown)
            tell.train_on_batch(np.concatenate([shown[0], keys]), np.concatenate([one, 0 * one]))
            judge.set_weights(tell.get_weights())
            all_of_it.train_on_batch(shown, [shown[0], one, labels[batch]])
        return hide

    def null(self, evidence):
        return None
