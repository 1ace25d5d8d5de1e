"""Uchida et al. 2017: a message of bits in the weights of one convolution."""

import dataclasses

import keras
import numpy as np
from keras import ops

from wmlab.schemes.evidence import Cited, check_bits, last_kernel, mean_filter, projected
from wmlab.suspects import opened
from wmlab.training import train
from wmlab.verification import Bits


class Message(keras.regularizers.Regularizer):
    """strength · Σ cross-entropy of bits (k,) with σ(X w): w is the mean filter, X (k, n)."""

    def __init__(self, matrix, bits, strength):
        self.matrix, self.bits = matrix.astype(np.float32), bits.astype(np.float32)
        self.strength = strength

    def __call__(self, kernel):
        z = ops.matmul(self.matrix, mean_filter(kernel))
        return self.strength * ops.sum(ops.softplus(z) - self.bits * z)


@dataclasses.dataclass(frozen=True)
class Uchida(Cited):
    """While the network is trained, a regulariser pulls σ(X w) towards the bits; Ver reads X w > 0
    (Uchida, Nagai, Sakazawa and Satoh 2017, and their public code, yu4u/dnn-watermark).

    w is the mean over output channels of the kernel of the last convolution, X is drawn from
    N(0, 1) by the secret. Published: 256 bits in a convolution of a wide residual network, λ 0.01;
    the public code embeds all ones. Ours: 64 bits, drawn by the secret; for `mnist_cnn` w has 288
    numbers.

    bits: at most as many as w has numbers. strength: λ.
    """

    bits: int = 64
    strength: float = 0.01

    name = "uchida"
    access = "weights"

    def made(self, data, secret, model):
        room = int(np.prod(last_kernel(model).shape[:-1]))
        check_bits(self.bits, room, "the mean filter")
        return {
            "X": secret.rng("projection").normal((self.bits, room)),
            "bits": secret.rng("message").uniform(self.bits) > 0.5,
        }

    def _train(self, data, evidence, model, recipe, seed, on_epoch):
        message = Message(evidence["X"], evidence["bits"], self.strength)
        last_kernel(model).regularizer = message
        return train(
            data,
            self.outputs,
            recipe,
            seed=seed,
            name=self.name,
            on_epoch=on_epoch,
            model=model,
        )

    def values(self, suspect, evidence):
        """X w of the suspect's weights: float64 (bits,)."""
        self.check_evidence(evidence)
        model = opened(suspect, self.access)
        return projected(evidence["X"], mean_filter(last_kernel(model)), model.name)

    def read(self, suspect, evidence):
        return (self.values(suspect, evidence) > 0) == evidence["bits"]

    def null(self, evidence):
        return Bits(len(evidence["bits"]))

    def picture(self, suspect, evidence, n=6):
        """Dict of `values`, σ of what is read, in [0, 1], and `bits`, both (bits,)."""
        values = 1 / (1 + np.exp(-self.values(suspect, evidence)))
        return {"values": values, "bits": evidence["bits"]}
