"""Pruning: set weights to zero and see whether the mark was in them."""

import fractions
import itertools
import math

import keras
import numpy as np

from wmlab.attacks.base import check_rate, copied, kernels
from wmlab.attacks.fine_tuning import fine_tune
from wmlab.networks import check_takes
from wmlab.training import forward

SCOPES = ("layer", "global")


def prune(model, data, rate, scope="layer", seed=0):
    """Magnitude pruning: the smallest kernel weights become 0 (Han et al. 2015; paper, Fig. 4).

    rate: share r of weights to remove, in [0, 1]. scope: "layer", the ⌊r·n⌋ smallest of the n
    weights of each kernel, by absolute value; "global", the ⌊r·n⌋ smallest of all kernels together.
    Among equal weights the first ones go. Biases and batch norm stay. data, seed: not used.
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
    """The arrays with the smallest ⌊rate·n⌋ of all their n values set to 0."""
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
    return forward(features, data.x_train).mean(axis=(0, 1, 2))


def fine_prune(model, data, rate, tuning=None, seed=0):
    """Fine-pruning (Liu, Dolan-Gavitt and Garg 2018): drop channels that clean images do not
    activate, then fine-tune all layers.

    rate: share r of the n channels of the last convolution to remove, in [0, 1]: the ⌊r·n⌋ least
    active ones on Bob's training images. Their weights become 0 and stay 0, because a ReLU passes
    no gradient at 0. tuning: a `Tuning`. Returns a model; raises ValueError for another rate, a
    model without a convolution, or data that do not fit.
    """
    check_rate("rate", rate, "the share of channels removed")
    activity = channel_activity(model, data)
    count = math.floor(fractions.Fraction(str(rate)) * len(activity))
    idle = np.argsort(activity, kind="stable")[:count]
    pruned = copied(model)
    first, last = _last_convolution(pruned)
    for layer in pruned.layers[first : last + 1]:
        weights = layer.get_weights()
        for values in weights:  # of a convolution or of batch norm, both with the channel last
            values[..., idle] = 0
        layer.set_weights(weights)
    return fine_tune(pruned, data, "FTAL", tuning, seed=seed)


def _last_convolution(model):
    """Indices of two layers: the last convolution, and the one that applies its activation."""
    places = [i for i, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Conv2D)]
    if not places:
        raise ValueError(
            f"{model.name} has no convolution outside of nested models: fine-pruning removes "
            "channels of the last one"
        )
    behind = (keras.layers.BatchNormalization, keras.layers.ReLU, keras.layers.Activation)
    follow = itertools.takewhile(
        lambda layer: isinstance(layer, behind), model.layers[places[-1] + 1 :]
    )
    return places[-1], places[-1] + len(list(follow))
