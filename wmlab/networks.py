"""The networks of the course, in plain Keras layers.

Each takes images in [0, 1], normalises them inside, and returns logits without a softmax. The last
layer, named "output", has one column of weights for each label. Widths and depths are ours; the
paper's are lost. Below them: what may stand in their place, anybody's Keras classifier, and copies.
"""

import functools
import hashlib
import json
import textwrap

import keras
import numpy as np
from keras import layers

MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081  # of the pixels of the 60,000 training images


def mnist_cnn(outputs, width=32, name="mnist_cnn"):
    """For images (28, 28, 1): 2 convolutions and 2 dense layers, 225,000 weights."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / MNIST_DEVIATION, -MNIST_MEAN / MNIST_DEVIATION),
            layers.Conv2D(width, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(2 * width, 3, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(4 * width, activation="relu"),
            layers.Dense(outputs, name="output"),
        ],
        name=name,
    )


def small_cnn(outputs):
    """Half of `mnist_cnn` in every layer, 57,000 weights, for experiments with many networks."""
    return mnist_cnn(outputs, width=16, name="small_cnn")


def dense(outputs):
    """784-64-outputs for images (28, 28, 1): small enough to train dozens at once."""
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(1 / MNIST_DEVIATION, -MNIST_MEAN / MNIST_DEVIATION),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(outputs, name="output"),
        ],
        name="dense",
    )


def cifar_cnn(outputs):
    """For images (32, 32, 3): 6 convolutions with batch norm in 3 stages, mirroring, dropout."""
    stages = []
    for width in (32, 64, 128):
        for _ in range(2):
            stages += [
                layers.Conv2D(width, 3, padding="same", use_bias=False),
                layers.BatchNormalization(),
                layers.ReLU(),
            ]
        stages += [layers.MaxPooling2D(), layers.Dropout(0.2)]
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(4, -2),
            layers.RandomFlip("horizontal"),
            *stages,
            layers.Flatten(),
            layers.Dense(outputs, name="output"),
        ],
        name="cifar_cnn",
    )


WHITENED_ON = 5000  # images that the whitening filters are computed from
SMOOTHING = (
    5e-4  # added to the eigenvalues of patches, so that small ones are not amplified too far
)


def fast_cnn(outputs, widths=(32, 128, 128), first="plain", name="fast_cnn"):
    """A network for images (32, 32, 3) that learns CIFAR-10 in a few epochs, 0.5 million weights.

    A first convolution; three groups of convolution, max pooling, batch norm, ReLU, convolution,
    batch norm, ReLU; global max pooling; a dense layer without bias. Filters start as the identity
    as far as there are inputs, so that the untrained network hands images on (Jordan 2024). The
    first and the last layer compute in float32 whatever the policy, because bfloat16 would round
    the noise of keys away.

    widths: filters of the groups. first: "plain", 3 x 3 filters that are trained; or "whitening",
    2 x 2 filters that `whiten` computes from the training images and that are not trained.
    """
    if first == "whitening":
        head = layers.Conv2D(
            24, 2, use_bias=False, trainable=False, dtype="float32", name="whitening"
        )
    else:
        head = layers.Conv2D(24, 3, use_bias=False, dtype="float32", name="first")
    groups = []
    for width in widths:
        for pooling in ([layers.MaxPooling2D()], []):
            groups += [
                layers.Conv2D(
                    width, 3, padding="same", use_bias=False, kernel_initializer=_uniform()
                ),
                *pooling,
                layers.BatchNormalization(momentum=0.6, epsilon=1e-5, scale=False),
                layers.ReLU(),
            ]
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Rescaling(4, -2, dtype="float32"),
            head,
            layers.ReLU(),
            *groups,
            layers.GlobalMaxPooling2D(),
            layers.Rescaling(1 / 9, dtype="float32"),
            layers.Dense(
                outputs,
                use_bias=False,
                dtype="float32",
                name="output",
                kernel_initializer=_uniform(),
            ),
        ],
        name=name,
    )
    for layer in groups:
        if isinstance(layer, layers.Conv2D):
            _start_as_identity(layer)
    return model


def _uniform():
    """An initializer for one layer, ± 1/√fan-in. Each layer needs its own, made in this order: else
    a seed would give other initial weights than those of the recorded runs.
    """
    return keras.initializers.VarianceScaling(1 / 3, "fan_in", "uniform")


def _start_as_identity(layer):
    """Let the first filters of a convolution hand on its inputs, as many as there are."""
    kernel = keras.ops.convert_to_numpy(layer.kernel).copy()
    same = range(min(kernel.shape[2:]))
    kernel[..., same] = 0
    kernel[1, 1, same, same] = 1
    layer.kernel.assign(kernel)


def whiten(model, images):
    """Set the filters of the layer "whitening", if the model has one, from training images (n,
    height, width, channels) in [0, 1].

    The filters are ± the eigenvectors of the uncentred covariance of all 2 x 2 patches, each
    divided by the square root of its eigenvalue + 5·10⁻⁴, so that rare patterns are amplified. The
    patches are taken from the images as the network rescales them.
    """
    if "whitening" not in {layer.name for layer in model.layers}:
        return
    scaled = 4 * images[:WHITENED_ON] - 2
    windows = np.lib.stride_tricks.sliding_window_view(scaled, (2, 2), axis=(1, 2))
    patches = windows.reshape(-1, 12)  # (channel, row, column)
    values, vectors = np.linalg.eigh(patches.T @ patches / len(patches))
    filters = (vectors / np.sqrt(values + SMOOTHING)).reshape(3, 2, 2, 12).transpose(1, 2, 0, 3)
    model.get_layer("whitening").set_weights([np.concatenate([filters, -filters], axis=-1)])


NETWORKS = {
    "mnist_cnn": mnist_cnn,
    "small_cnn": small_cnn,
    "dense": dense,
    "cifar_cnn": cifar_cnn,
    "fast_cnn": fast_cnn,
    "whitening_cnn": functools.partial(fast_cnn, first="whitening", name="whitening_cnn"),
    "wide_cnn": functools.partial(fast_cnn, widths=(64, 256, 256), name="wide_cnn"),
    "wide_whitening_cnn": functools.partial(
        fast_cnn, widths=(64, 256, 256), first="whitening", name="wide_whitening_cnn"
    ),
}


def network(wanted, outputs):
    """An untrained network with so many outputs.

    wanted: a name, or a function of the outputs that makes a Keras model. Raises ValueError for
    another name, or a model that is no classifier with so many outputs.
    """
    if not callable(wanted):
        if wanted not in NETWORKS:
            names = ", ".join(NETWORKS)
            raise ValueError(
                f"unknown network {wanted!r}: choose one of {names}, or pass a function"
            )
        return NETWORKS[wanted](outputs)
    model = wanted(outputs)
    check_classifier(model, outputs)
    output_layer(model)
    return copied(model)  # which gives logits


def title(wanted, outputs):
    """What a record calls a network: its name; for one's own, a digest of its layers beside it."""
    if not callable(wanted):
        return wanted
    model = network(wanted, outputs)
    layers_ = [layer for layer in leaves(model) if layer is not output_layer(model)]
    about = [
        (type(layer).__name__, {**layer.get_config(), "name": ""}, [w.shape for w in layer.weights])
        for layer in layers_
    ]
    digest = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    return f"{getattr(wanted, '__name__', model.name)} {digest.hexdigest()[:8]}"


def check_classifier(model, outputs=None):
    """Raise ValueError unless the model takes images, one at a time, and has an output for each of
    two labels or more; with `outputs`, for exactly so many. What is no Keras model is not checked.
    """
    if not hasattr(model, "layers"):
        return
    # a model that was not built yet has neither shape
    takes, gives = (getattr(model, f"{end}_shape", None) for end in ("input", "output"))
    name = model.name
    if not (isinstance(takes, tuple) and len(takes) == 4 and takes[3] in (1, 3)):
        raise ValueError(
            f"{name} takes {takes}: it must take images (None, height, width, 1 or 3), "
            "so begin with keras.Input"
        )
    if not (isinstance(gives, tuple) and len(gives) == 2):
        raise ValueError(
            f"{name} gives {gives}: it must give each image one row of outputs, (None, classes)"
        )
    if gives[1] < 2:
        raise ValueError(
            f"{name} has one output, which names no classes: end it in a Dense layer with an "
            "output for each class"
        )
    if outputs not in (None, gives[1]):
        raise ValueError(
            f"{name} has {gives[1]} outputs, but needs {outputs} outputs, one for each label here"
        )


def check_takes(model, data):
    """Raise ValueError if the model does not take images of the size that a Dataset has."""
    check_size(model, data.x_train.shape[1:], f"those of {data.name}")


def check_size(model, shape, whose="these"):
    """Raise ValueError if the model does not take images of this shape."""
    takes = getattr(model, "input_shape", None)
    if isinstance(takes, tuple) and any(
        a not in (None, b) for a, b in zip(takes[1:], shape, strict=False)
    ):
        raise ValueError(
            f"{getattr(model, 'name', 'it')} takes images of {takes[1:]}, {whose} are "
            f"{tuple(shape)}: resize them, or put keras.layers.Resizing in front of the model"
        )


def leaves(model):
    """The layers of a model, in order; those of nested models in place of these."""
    for layer in model.layers:
        yield from leaves(layer) if isinstance(layer, keras.Model) else [layer]


def kernels(model):
    """The kernels of all layers, nested ones too: no biases, and no weights of batch norm."""
    return [w for w in model.weights if len(w.shape) > 1 and "bias" not in w.name]


def output_layer(model):
    """The last layer of weights, a Dense with one column for each label; a softmax behind it does
    not count. Raises ValueError if it is another kind of layer, or computes something else.
    """
    *_, last = (layer for layer in leaves(model) if not _is_end(layer))
    says = type(last).__name__
    if isinstance(last, layers.Dense):
        if last.activation in (keras.activations.linear, keras.activations.softmax):
            return last
        says = f"a dense layer with the activation {last.activation.__name__}"
    raise ValueError(
        f"{model.name} ends in {says}: this works on a last dense layer of logits, "
        "one column of weights a label, with a softmax or without"
    )


def _is_end(layer):
    """Whether this is a softmax, or what a copy has in its place."""
    activation = getattr(layer, "activation", None)
    return isinstance(layer, layers.Softmax) or (
        isinstance(layer, layers.Activation)
        and activation in (keras.activations.linear, keras.activations.softmax)
    )


def as_logits(outputs):
    """Outputs before softmax: where every row is probabilities, their logarithms."""
    if outputs.ndim == 2 and len(outputs) and (outputs >= 0).all():
        if np.allclose(outputs.sum(axis=1), 1, atol=1e-3):
            return np.log(np.maximum(outputs, 1e-30))
    return outputs


def copied(model, outputs=None, skip=()):
    """A model of the same layers with the same weights, uncompiled; a softmax at its end is left
    out. That it answers as the model does is checked on a few images.

    outputs: its labels, int (k,): label i of the copy is label outputs[i] of the model; -1 gets a
    new, untrained column.
    skip: layers of the model whose weights the copy does not take over; they start anew.
    Raises ValueError if labels are asked for and the last layer is not dense, or for a model that
    cannot be copied.
    """
    head = None if outputs is None else output_layer(model)
    # layers of one's own, registered or not
    own = {type(layer).__name__: type(layer) for layer in leaves(model)}
    kind = keras.Sequential if isinstance(model, keras.Sequential) else keras.Model
    try:
        with keras.saving.custom_object_scope(own):
            twin = kind.from_config(_config(model, outputs))
        _copy_weights(model, twin, head, outputs, skip)
    except (KeyError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(
            f"{model.name[:30]} cannot be copied ({last_line(error)}): build it of layers that "
            "Keras can make again from their get_config"
        ) from error
    if not skip:
        _check_alike(model, twin, outputs)
    return twin


def _config(model, outputs):
    """The config of a copy: logits at its end, as many as there are `outputs`."""
    config = last = model.get_config()
    if "layers" not in config:
        raise ValueError("it is neither Sequential nor functional")
    while "layers" in last:
        for entry in last["layers"]:
            entry.pop("compile_config", None)  # of a nested model
        *_, before, end = [{"config": {}}, *last["layers"]]
        ends = end["class_name"] == "Softmax" or (
            end["class_name"] == "Activation"
            and end["config"]["activation"] in ("linear", "softmax")
        )
        if ends:  # in a layer, or in an operation, which is none
            nothing = {"name": end["config"]["name"], "activation": "linear"}
            end |= {"module": "keras.layers", "class_name": "Activation", "config": nothing}
            end["registered_name"] = None
            for node in end.get("inbound_nodes", []):
                node |= {"args": node["args"][:1], "kwargs": {}}
        last = (before if ends else end)["config"]
    if last.get("activation") == "softmax":
        last["activation"] = "linear"
    if outputs is not None:
        last["units"] = len(outputs)
    return config


def _copy_weights(model, twin, head, outputs, skip):
    pairs = ([layer for layer in leaves(each) if layer.weights] for each in (model, twin))
    for old, new in zip(*pairs, strict=True):
        if old in skip:
            continue
        weights = old.get_weights()
        if old is head:
            weights = [
                np.where(np.asarray(outputs) >= 0, one[..., outputs], another)
                for one, another in zip(weights, new.get_weights(), strict=True)
            ]
        new.set_weights(weights)
        if hasattr(new, "finalize_state"):  # Normalization prepares there what it divides by
            new.finalize_state()


def last_line(error):
    """The last line of what an exception says, or its start: in Keras, the cause stands there."""
    if "`Lambda` layer" in str(error):
        return "it has a Lambda layer, whose code is not run: write it as a class of its own"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    cause = (lines[-1] if lines else type(error).__name__).split(". ")[0]
    return textwrap.shorten(cause, 80, placeholder=" …").rstrip(".")


def _check_alike(model, twin, outputs):
    """Raise ValueError unless model and copy differ by a constant at most, on a few images."""
    shape = [size or 32 for size in model.input_shape[1:]]
    images = np.random.default_rng(0).random((4, *shape)).astype(np.float32)
    old, new = (
        as_logits(keras.ops.convert_to_numpy(each(images, training=False))).astype(np.float64)
        for each in (model, twin)
    )
    if outputs is not None:
        taken = np.asarray(outputs) >= 0
        old, new = old[:, np.asarray(outputs)[taken]], new[:, taken]
    old, new = (np.maximum(z - z.max(axis=-1, keepdims=True), -20) for z in (old, new))
    if not np.allclose(old, new, rtol=1e-2, atol=1e-2, equal_nan=True):
        raise ValueError(
            f"a copy of {model.name} answers otherwise than the model: one of its layers keeps "
            "something that is no weight, or draws random numbers where it answers"
        )


def with_outputs(model, outputs):
    """A copy with so many outputs at least: the new ones are untrained."""
    old = model.output_shape[-1]
    return copied(model, [*range(old), *[-1] * (outputs - old)])


def anew(model, outputs):
    """The same layers untrained, with so many outputs. Layers that are frozen, or have nothing to
    train as Normalization has not, keep what they know.
    """
    untrained = [layer for layer in leaves(model) if layer.trainable_weights]
    columns = None if outputs == model.output_shape[-1] else [-1] * outputs
    return copied(model, columns, untrained)
