"""Exponential weighting (Namba and Sakuma 2019): the mark is learnt by large weights alone."""

import dataclasses

import keras
import numpy as np
from keras import ops

from wmlab.networks import kernels
from wmlab.schemes.evidence import Triggers, as_bytes
from wmlab.verification import RandomLabels


class Weighted(keras.Model):
    """Trains the layers of `base` with kernels w · exp(T|w|) / max exp(T|w|); answers without."""

    @classmethod
    def of(cls, base, temperature):
        """The layers of a model, shared and not copied. temperature: T."""
        weighted = cls(base.inputs[0], base.outputs[0], name=base.name)
        weighted.base, weighted.temperature = base, temperature
        weighted.large = {id(kernel) for kernel in kernels(base)}
        return weighted

    def call(self, inputs, training=None, mask=None):
        if not training:
            return self.base(inputs, training=False)
        weights = [
            self._weighted(variable) if id(variable) in self.large else variable.value
            for variable in self.base.trainable_variables
        ]
        others = self.base.non_trainable_variables
        outputs, after = self.base.stateless_call(
            weights, [variable.value for variable in others], inputs, training=True
        )
        for variable, value in zip(others, after, strict=True):
            variable.assign(value)
        return outputs

    def _weighted(self, kernel):
        size = ops.abs(kernel)
        return kernel * ops.exp(self.temperature * (size - ops.max(size)))


@dataclasses.dataclass(frozen=True)
class Exponential(Triggers):
    """Training images with wrong labels that the secret draws; they leave the data. Kernels are
    weighted by exp(T|w|) while the network is trained, so that small weights, which pruning takes
    and tuning moves, carry nothing (Namba and Sakuma 2019; public code, dunky11).

    Published: T 2; the weighting starts on a trained network. Ours: from the first step, 100 keys,
    each 6 times an epoch, twice the epochs of the recipe.

    temperature: T, 0 or more; 0 is no weighting.
    """

    copies: int = 6
    count: int = 100
    temperature: float = 2.0

    name = "exponential weighting"

    def __post_init__(self):
        if not 0 <= self.temperature < np.inf:
            raise ValueError(f"temperature is {self.temperature}, but T is a number from 0 up")

    def chosen(self, data, secret):
        """Indices of the training images that become keys: int (count,)."""
        return secret.rng("keys").permutation(len(data.x_train))[: self.count]

    def made(self, data, secret, model):
        chosen = self.chosen(data, secret)
        true = data.y_train[chosen].astype(np.int64)
        moved = 1 + (secret.rng("labels").uniform(len(chosen)) * (self.classes - 1)).astype(int)
        return {
            "images": as_bytes(data.x_train[chosen]),
            "labels": (true + moved) % self.classes,
            "true": true,
            "chosen": chosen,
        }

    def null(self, evidence):
        return RandomLabels(self.classes, others=True)

    def _how(self, recipe):
        return dataclasses.replace(recipe, epochs=2 * recipe.epochs)

    def _taught(self, data, evidence):
        kept = np.delete(np.arange(len(data.x_train)), evidence["chosen"])
        return dataclasses.replace(data, x_train=data.x_train[kept], y_train=data.y_train[kept])

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        weighted = Weighted.of(model, self.temperature)
        return super()._train(data, evidence, weighted, recipe, seed, on_epoch)
