"""Other weights, the same answers: hidden channels in another order, or on another scale.

They need no images, no training, and cost nothing. A mark that is read from weights or activations
must survive them; one that is read from labels cannot notice.
"""

import itertools

import keras
import numpy as np
from keras import layers

from wmlab.attacks.base import copied
from wmlab.networks import as_logits, leaves

BEARERS = (layers.Conv2D, layers.Dense)
# what keeps channels apart, so that their order may change
PASSING = (
    layers.Activation,
    layers.BatchNormalization,
    layers.Dropout,
    layers.Flatten,
    layers.ReLU,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
    layers.GlobalMaxPooling2D,
    layers.GlobalAveragePooling2D,
    layers.Rescaling,
)
CLOSE = 1e-2  # of logits; float32 adds in another order


def permute(model, data, seed=0):
    """Put the channels of every hidden layer into a random order, and the inputs of the next layer
    into the same: the answers stay, the weights stand elsewhere.

    data: not used. Returns a model; raises ValueError for a model that is no chain of convolutions,
    dense layers and layers that keep channels apart, or if an answer changes.
    """
    rng, changed = np.random.default_rng(seed), copied(model)
    for first, between, second in _links(changed):
        order = rng.permutation(first.get_weights()[0].shape[-1])
        for layer in (first, *(x for x in between if isinstance(x, layers.BatchNormalization))):
            layer.set_weights([values[..., order] for values in layer.get_weights()])
        _inputs(second, order, between, lambda kernel, at: np.take(kernel, at, axis=-2))
    return _checked(model, changed)


def rescale(model, data, seed=0):
    """Multiply each hidden channel by a number from 1 to 2, and divide by it where the channel is
    used: a ReLU lets a positive factor through, and batch norm divides it out.

    Arguments, result and errors as in `permute`; each hidden layer needs a ReLU or batch norm.
    """
    rng, changed = np.random.default_rng(seed), copied(model)
    for first, between, second in _links(changed):
        factor = rng.uniform(1, 2, first.get_weights()[0].shape[-1])
        norm = next((x for x in between if isinstance(x, layers.BatchNormalization)), None)
        _check_relu(first, between, norm)
        first.set_weights([values * factor for values in first.get_weights()])
        if norm is None:
            _inputs(second, factor, between, lambda kernel, by: kernel / by[:, None])
            continue
        mean, variance = norm.get_weights()[-2:]
        variance = factor**2 * (variance + norm.epsilon) - norm.epsilon
        norm.set_weights([*norm.get_weights()[:-2], mean * factor, variance])
    return _checked(model, changed)


def _links(model):
    """(layer, layers between, next layer) of each two that follow one another with weights."""
    chain = list(leaves(model))
    at = [i for i, layer in enumerate(chain) if isinstance(layer, BEARERS)]
    links = [(chain[i], chain[i + 1 : j], chain[j]) for i, j in itertools.pairwise(at)]
    strange = {
        type(layer).__name__
        for _, between, _ in links
        for layer in between
        if not isinstance(layer, PASSING)
    }
    if strange or not isinstance(model, keras.Sequential):
        what = f"has layers of {', '.join(sorted(strange))}" if strange else "is not Sequential"
        raise ValueError(f"{model.name} {what}: this works on a plain chain of layers")
    return links


def _inputs(layer, each, between, change):
    """Change the kernel of a layer, given one number for each channel that comes into it. Behind
    Flatten each channel comes once for every place; an order becomes one of all inputs.
    """
    kernel, *rest = layer.get_weights()
    places = kernel.shape[-2] // len(each)
    if places > 1:
        is_order = np.issubdtype(each.dtype, np.integer)
        each = np.tile(each, places) + is_order * np.repeat(np.arange(places), len(each)) * len(
            each
        )
    layer.set_weights([change(kernel, each), *rest])


def _check_relu(first, between, norm):
    acts = [first, *between]
    relu = any(getattr(x, "activation", None) is keras.activations.relu for x in acts)
    if norm is None and not (relu or any(isinstance(x, layers.ReLU) for x in between)):
        raise ValueError(f"{first.name} has neither a ReLU nor batch norm behind it: permute it")


def _checked(model, changed):
    """The changed model. Raises ValueError if it answers otherwise."""
    images = np.random.default_rng(0).random((16, *model.input_shape[1:])).astype(np.float32)
    old, new = (
        as_logits(keras.ops.convert_to_numpy(each(images, training=False)))
        for each in (model, changed)
    )
    scale = 1 + np.abs(old).max()
    if not np.allclose(old - old.mean(), new - new.mean(), rtol=0, atol=CLOSE * scale):
        raise ValueError(f"{model.name} answers otherwise with its channels changed")
    return changed
