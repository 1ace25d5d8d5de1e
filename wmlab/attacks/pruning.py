"""Pruning: set weights to zero and see whether the mark was in them."""

import fractions
import itertools
import math

import keras
import numpy as np

from wmlab.attacks.base import check_rate, copied, kernels
from wmlab.attacks.fine_tuning import fine_tune
from wmlab.networks import check_takes
from wmlab.training import logits

SCOPES = ("layer", "global")


def prune(model, data, rate, scope="layer", seed=0):
    """Magnitude pruning: the smallest kernel weights become 0 (Han et al. 2015; the paper's Fig.
    4).

    rate: share of weights to remove, in [0, 1]. scope: "layer", ⌊r·n⌋ of the n weights of each
    kernel, the smallest by absolute value; "global", ⌊r·n⌋ of all n kernel weights together. Biases
    and batch norm stay. Among equal weights the first go. data, seed: not used; it needs no images.
    Returns a model; raises ValueError for another rate or scope.
    """
    check_rate("rate", rate, "the share of weights set to 0")
    if scope not in SCOPES:
        raise ValueError(f"unknown scope {scope!r}: choose one of {', '.join(SCOPES)}")
    pruned = copied(model)
    weights = [keras.ops.convert_to_numpy(kernel) for kernel in kernels(pruned)]
    groups = [weights] if scope == "global" else [[one] for one in weights]
    zeroed = [one for group in groups for one in _without_smallest(group, rate)]
    for kernel, values in zip(kernels(pruned), zeroed, strict=True):
        kernel.assign(values)
    return pruned


def _without_smallest(arrays, rate):
    flat = np.concatenate([array.ravel() for array in arrays])
    # in floating point r·n can fall below a whole number: 0.29 * 100
    count = math.floor(fractions.Fraction(str(rate)) * len(flat))
    flat[np.argsort(np.abs(flat), kind="stable")[:count]] = 0
    cuts = np.cumsum([array.size for array in arrays])[:-1]
    return [
        part.reshape(array.shape) for part, array in zip(np.split(flat, cuts), arrays, strict=True)
    ]


def channel_activity(model, data):
    """Mean activation of each channel of the last convolution on Bob's training images: float
    (channels,).

    Measured after its activation function, batch norm included. Raises ValueError for a model
    without a convolution.
    """
    _, last = _last_convolution(model)
    check_takes(model, data)
    features = keras.Model(model.inputs[0], model.layers[last].output)
    return logits(features, data.x_train).mean(axis=(0, 1, 2))


def fine_prune(model, data, rate, tuning=None, seed=0):
    """Fine-pruning (Liu, Dolan-Gavitt and Garg 2018): drop the channels that clean images leave
    idle, then fine-tune.

    rate: share of the channels of the last convolution to remove, in [0, 1]: ⌊r·n⌋, the least
    active on Bob's training images first. Their weights become 0 and stay so while all layers are
    tuned, because a ReLU passes no gradient at 0.
    tuning: a `Tuning`. Returns a model; raises ValueError for another rate, a model without a
    convolution, or data that do not fit.
    """
    check_rate("rate", rate, "the share of channels removed")
    activity = channel_activity(model, data)
    idle = np.argsort(activity, kind="stable")[
        : math.floor(fractions.Fraction(str(rate)) * len(activity))
    ]
    pruned = copied(model)
    first, last = _last_convolution(pruned)
    for layer in pruned.layers[first : last + 1]:
        weights = layer.get_weights()
        for values in (
            weights
        ):  # of the convolution, or of the batch norm behind it; both have the channel last
            values[..., idle] = 0
        layer.set_weights(weights)
    return fine_tune(pruned, data, "FTAL", tuning, seed=seed)


def _last_convolution(model):
    """Where the last convolution is among the layers, and where its activation function has been
    applied.
    """
    places = [i for i, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Conv2D)]
    if not places:
        raise ValueError(
            f"{model.name} has no convolution: fine-pruning removes channels of the last one"
        )
    behind = (keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.Activation)
    follow = itertools.takewhile(
        lambda layer: isinstance(layer, behind), model.layers[places[-1] + 1 :]
    )
    return places[-1], places[-1] + len(list(follow))
