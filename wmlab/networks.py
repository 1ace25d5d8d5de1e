"""The networks of the course, in plain Keras layers.

Each takes images in [0, 1], normalises them inside, and returns logits without a softmax. The last
layer, named "output", has one column of weights for each label. Widths and depths are ours; the
paper's are lost.
"""

import functools

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


def network(name, outputs):
    """An untrained network by name, with so many outputs. Raises ValueError for another name."""
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](outputs)


def check_takes(model, data):
    """Raise ValueError if the model does not take images of the size that a Dataset has."""
    if model.input_shape[1:] != data.x_train.shape[1:]:
        raise ValueError(
            f"{model.name} takes images of {model.input_shape[1:]}, those of {data.name} are "
            f"{data.x_train.shape[1:]}"
        )
