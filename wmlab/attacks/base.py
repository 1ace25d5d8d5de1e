"""What every attack needs: a copy of the stolen model, its output layer, and a training loop.

An attack is a function `attack(model, data, …, seed=0) -> model`. It leaves its input as it was,
sees neither keys nor secret, and gives the same model for the same seed. `data` is Bob's Dataset:
he tunes on its training images. Attacks that need no images or no seed take them too, so that all
attacks can be called in the same way.
"""

import dataclasses
import math

import keras

from wmlab.networks import check_classifier, check_takes
from wmlab.networks import copied as copied
from wmlab.networks import kernels as kernels
from wmlab.networks import output_layer as output_layer
from wmlab.training import Batches

BOB = 2**31  # added to Bob's seeds, so that they are not Alice's


def with_weights(model, tuned):
    """A copy of the model with the weights of `tuned`: uncompiled, and with the frozen layers and
    penalties of the model, not those of `tuned`.
    """
    twin = copied(model)
    twin.set_weights(tuned.get_weights())
    return twin


def check_rate(name, value, what):
    """Raise ValueError unless the value is a number in [0, 1]."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 <= value <= 1:  # NaN fails too
        raise ValueError(f"{name} is {value!r}, but must be a number from 0 to 1: it is {what}")


@dataclasses.dataclass(frozen=True)
class Tuning:
    """How Bob trains: epochs, batch size, learning rate, and an optimiser.

    learning_rate: a number above 0, or a Keras schedule. optimizer: a function of the rate, such as
    `keras.optimizers.SGD`. Raises ValueError for values that are not positive.
    """

    epochs: int = 4
    batch: int = 64
    learning_rate: float = 1e-3
    optimizer: object = keras.optimizers.Adam

    def __post_init__(self):
        rate = self.learning_rate
        if self.epochs < 1 or self.batch < 1 or not (callable(rate) or 0 < rate < math.inf):
            raise ValueError(f"epochs, batch and learning rate must be positive: {self}")


def fit(model, images, targets, tuning, loss, seed=0):
    """Train the model itself on images (n, height, width, channels) and targets; returns it. Call
    `seeded` before; the seed is that of the order of batches.
    """
    model.compile(tuning.optimizer(tuning.learning_rate), loss)
    Batches(images, targets, tuning.batch, BOB + seed).fit(model, tuning.epochs)
    return model


def seeded(seed):
    """Set the seed of what follows: new weights, dropout, the order of batches.

    Bob's seeds are offset: with Alice's seed, a layer that he re-initialises would start from her
    initial weights, close to her trained ones.
    """
    keras.utils.set_random_seed(BOB + seed)


def hard_loss():
    """Cross-entropy of logits with labels."""
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def check_labels_fit(model, data):
    """Raise ValueError unless the model takes these images and has an output for each of their
    classes.
    """
    check_classifier(model)
    check_takes(model, data)
    if model.output_shape[-1] < data.classes:
        raise ValueError(
            f"{model.name} has {model.output_shape[-1]} outputs, {data.name} {data.classes} "
            "classes: "
            "Bob can only tune a model that has a label for each of them"
        )
