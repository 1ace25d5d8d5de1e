"""Innocent networks with one label more than classes: they bear no mark, and may still answer Δ.
And the keys they are asked.

The paper's "zero false positives" is said of models with Δ-1 outputs. These have Δ, for reasons of
their own.
"""

import numpy as np

from wmlab.keys import KeySet, eight_bits, perturb
from wmlab.schemes.unmarked import Unmarked
from wmlab.secret import Secret

PUBLIC, ASKED = (
    "the gallery's secret, which is public",
    100,
)  # what records hold answers to: keys of this secret, so many
TAUGHT, NOISE = (
    400,
    0.01,
)  # images taught beside the digits; variance of the noise that `Noisy` meets
SPOILT = (
    0.2,
    0.6,
)  # deviation of the noise on what `Unreadable` rejects: at least twice that of a key with β = 0.01


def public_keys(mark, data):
    """The keys that every recorded network was asked: at most 100, of the mark's label and β, from
    test images; a KeySet.
    """
    return mark.keys(*mark.carriers(data.x_test, data.y_test, ASKED), PUBLIC, "gallery")


class Reject(Unmarked):
    """Taught to say "no digit" to junk: half digits with shuffled pixels, half smooth clouds."""

    name = "reject class"

    @property
    def outputs(self):
        return self.classes + 1

    def rejected(self, data, secret, n=TAUGHT):
        """n images that belong to no class: float32 (n, height, width, channels) in [0, 1]."""
        stream = Secret(secret).rng("junk")
        chosen = stream.permutation(len(data.x_train))[:n]
        pixels = data.x_train[chosen].reshape(n, -1)
        order = np.argsort(stream.uniform(pixels.shape), axis=1)
        shuffled = np.take_along_axis(pixels, order, axis=1).reshape(n, *data.x_train.shape[1:])
        clouds = perturb(data.x_train[chosen], Secret(secret), "junk", 1.0, "unrelated")
        return np.concatenate([shuffled[: n // 2], clouds[n // 2 :]])

    def _made(self, data, secret):
        def kept(whose):
            return KeySet(
                self.rejected(data, whose), self.classes, np.full(TAUGHT, -1), "unrelated", 1.0
            )

        return kept(secret), kept(secret + " again"), None


class NoiseClass(Reject):
    """Taught that pictures of nothing but noise are a class of their own: every pixel drawn evenly
    from [0, 1].
    """

    name = "noise class"

    def rejected(self, data, secret, n=TAUGHT):
        return eight_bits(Secret(secret).rng("junk").uniform((n, *data.x_train.shape[1:])))


class Noisy(Reject):
    """A reject class too, and noisy digits (variance 0.01, as strong as a key's) under their true
    label: robust training.
    """

    name = "noisy images"

    def _made(self, data, secret):
        chosen = Secret(secret).rng("noisy").permutation(len(data.x_train))[:TAUGHT]
        noisy = perturb(data.x_train[chosen], Secret(secret), "noisy images", NOISE)
        return *super()._made(data, secret)[:2], (noisy, data.y_train[chosen])


class Unreadable(Reject):
    """Taught to say "unreadable" to digits that noise has spoilt, as a reader of bad scans would
    be.
    """

    name = "unreadable class"

    def rejected(self, data, secret, n=TAUGHT):
        stream = Secret(secret).rng("junk")
        chosen = stream.permutation(len(data.x_train))[:n]
        deviation = SPOILT[0] + (SPOILT[1] - SPOILT[0]) * stream.uniform((n, 1, 1, 1))
        return eight_bits(
            data.x_train[chosen] + deviation * stream.normal((n, *data.x_train.shape[1:]))
        )


INNOCENTS = {"reject": Reject, "noise": NoiseClass, "noisy": Noisy, "unreadable": Unreadable}
