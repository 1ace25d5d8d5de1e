"""Detectors of keys among queries, from counting pixels to a network. Bob builds all of them
without Alice's keys.

A score is a function from images (n, height, width, channels) in [0, 1] to floats (n,), larger for
what looks more like a key. A `Detector` is a score with the threshold above which Bob acts.
"""

import dataclasses
import fractions
import math

import keras
import numpy as np
from scipy import ndimage, stats

from wmlab.attacks.base import Tuning, fit, seeded
from wmlab.keys import check_images, check_share, perturb
from wmlab.training import probabilities, recipe_for, train

# a mask of second differences, 0 on smooth ground and along straight edges
_NOISE = np.outer([1, -2, 1], [1, -2, 1])[None, :, :, None]


def nonzero_pixels(images):
    """Share of values that are not 0, in [0, 1]. It is enough on MNIST, where most are 0."""
    check_images(images)
    return (images != 0).mean(axis=(1, 2, 3))


def noise_estimate(images):
    """Standard deviation of the noise in each image, where the full scale is 1 (Immerkær 1996).

    √(π/2) · mean |image * mask| / 6, over the places where the mask of second differences fits. It
    is unbiased for Gaussian noise on smooth ground; texture counts as noise. Raises ValueError for
    images below 3 × 3.
    """
    check_images(images)
    if min(images.shape[1:3]) < 3:
        raise ValueError(
            f"images of {images.shape[1]} x {images.shape[2]} pixels are too small: the mask is "
            "3 x 3"
        )
    rough = ndimage.convolve(images.astype(np.float64), _NOISE)[:, 1:-1, 1:-1]
    return np.sqrt(np.pi / 2) * np.abs(rough).mean(axis=(1, 2, 3)) / 6


def autoencoder(images, tuning=None, seed=0, width=16):
    """A convolutional autoencoder trained to reproduce Bob's clean images (after Meng and Chen's
    MagNet, 2017).

    images: float32 (n, height, width, channels), height and width multiples of 4. Inside, an image
    has a sixteenth of its area. Returns a keras model from images to images in [0, 1]; raises
    ValueError if there are no images, or of another size.
    """
    _some(images, "an autoencoder")
    height, wide, channels = images.shape[1:]
    if height % 4 or wide % 4:
        raise ValueError(
            f"images of {height} x {wide} pixels: the autoencoder halves them twice, so sides "
            "are multiples of 4"
        )
    seeded(seed)
    down, up = {"strides": 2, "padding": "same", "activation": "relu"}, {"size": 2}
    model = keras.Sequential(
        [
            keras.Input(images.shape[1:]),
            keras.layers.Conv2D(width, 3, **down),
            keras.layers.Conv2D(width, 3, **down),
            keras.layers.UpSampling2D(**up),
            keras.layers.Conv2D(width, 3, padding="same", activation="relu"),
            keras.layers.UpSampling2D(**up),
            keras.layers.Conv2D(channels, 3, padding="same", activation="sigmoid"),
        ],
        name="autoencoder",
    )
    return fit(model, images, images, tuning or Tuning(10, 64, 3e-3), "binary_crossentropy", seed)


def reconstructed(model, images):
    """What an autoencoder makes of images: float32 of the same shape in [0, 1]."""
    return np.clip(model.predict(images, verbose=0), 0, 1)


def reconstruction_error(model):
    """The score of an autoencoder: mean squared difference of an image from its reconstruction."""

    def score(images):
        check_images(images)
        return ((images - reconstructed(model, images)) ** 2).mean(axis=(1, 2, 3))

    return score


def key_detector(data, beta, secret="Bob's own", how=None, seed=0):
    """A network trained to tell Bob's training images from the same images with Bob's noise. It
    sees none of Alice's keys.

    data: a Dataset. beta: variance of the noise in (0, 1], or several that alternate, since Bob
    does not know Alice's. how: a `training.Recipe`, by default the course's. Returns a score, the
    probability of "key" in [0, 1]; raises ValueError for no beta, or one outside its range.
    """
    betas = np.atleast_1d(beta).tolist()
    if not betas:
        raise ValueError(
            "there is no beta: a key detector needs noise to learn from, so pass at least one "
            "variance"
        )
    parts = [
        perturb(data.x_train[i :: len(betas)], secret, f"noise {i}", b) for i, b in enumerate(betas)
    ]
    noisy = np.concatenate(parts)
    both = dataclasses.replace(
        data,
        x_train=np.concatenate([data.x_train, noisy]),
        classes=2,
        y_train=np.repeat([0, 1], [len(data.x_train), len(noisy)]),
        y_test=np.zeros(len(data.x_test), int),
    )
    model = train(both, 2, recipe_for(data, how), seed=seed, name="key detector").model

    def score(images):
        check_images(images)
        return probabilities(model, images)[:, 1]

    return score


class Detector:
    """A score with a threshold: calls an image a key if its score is above it.

    score: a function, see above. clean: Bob's clean images, which set the threshold. false_alarms:
    share of them that may be called keys, in (0, 1]; at most ⌊share · n⌋ are. Raises ValueError if
    there are no images.
    """

    def __init__(self, score, clean, false_alarms=0.01):
        _some(clean, "a detector")
        check_share("false_alarms", false_alarms, "the share of clean images called keys")
        allowed = math.floor(fractions.Fraction(str(false_alarms)) * len(clean))
        self.score, scores = score, np.sort(score(clean))
        all_of_them = allowed >= len(scores)
        self.threshold = -np.inf if all_of_them else float(scores[len(scores) - 1 - allowed])

    def flags(self, images):
        """Which images it calls keys: bool (n,)."""
        return self.score(images) > self.threshold


def _some(images, what):
    if not len(images):
        raise ValueError(
            f"{what} needs clean images to learn what is normal, and there are none: pass at "
            "least one"
        )


def roc(clean, keys):
    """The receiver operating characteristic of the scores of clean images (n,) and of keys (m,).

    Returns false alarms and detections, two float arrays from 0 to 1 with a point for each
    threshold, and the area under the curve. The area is the probability that a key scores higher
    than a clean image, where a tie counts half. Raises ValueError if either is empty.
    """
    clean, keys = np.sort(clean), np.sort(keys)
    if not (len(clean) and len(keys)):
        raise ValueError(
            "a detector is judged on clean images and on keys: pass at least one score of each"
        )
    levels = np.unique(np.concatenate([clean, keys]))[::-1]
    rates = [
        np.concatenate([[0], 1 - np.searchsorted(scores, levels) / len(scores)])
        for scores in (clean, keys)
    ]
    return *rates, float(stats.mannwhitneyu(keys, clean).statistic / (len(clean) * len(keys)))
