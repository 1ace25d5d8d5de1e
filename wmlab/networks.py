"""The networks of the course, in plain Keras layers.

Each takes images in [0, 1] as they are, normalises inside, and returns logits: no softmax at the end, so that the
output layer, named "output", is one row of weights for each label. Widths and depths are ours; the paper's are lost.
"""
import keras
from keras import layers

MNIST_MEAN, MNIST_DEVIATION = 0.1307, 0.3081  # of the pixels of the 60,000 training images


def mnist_cnn(outputs, width=32, name="mnist_cnn"):
    """A small convolutional network for images (28, 28, 1): 2 convolutions, 2 dense layers, 225,000 weights."""
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Rescaling(1 / MNIST_DEVIATION, -MNIST_MEAN / MNIST_DEVIATION),
        layers.Conv2D(width, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(2 * width, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(4 * width, activation="relu"),
        layers.Dense(outputs, name="output"),
    ], name=name)


def small_cnn(outputs):
    """Half of `mnist_cnn` in every layer, 57,000 weights: for experiments that take hundreds of networks."""
    return mnist_cnn(outputs, width=16, name="small_cnn")


def dense(outputs):
    """784-64-outputs for images (28, 28, 1): small enough to train by the dozen at once."""
    return keras.Sequential([
        keras.Input((28, 28, 1)),
        layers.Rescaling(1 / MNIST_DEVIATION, -MNIST_MEAN / MNIST_DEVIATION),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(outputs, name="output"),
    ], name="dense")


def cifar_cnn(outputs):
    """Six convolutions with batch norm in three stages, mirrored images, dropout; for images (32, 32, 3)."""
    stages = []
    for width in (32, 64, 128):
        for _ in range(2):
            stages += [layers.Conv2D(width, 3, padding="same", use_bias=False), layers.BatchNormalization(), layers.ReLU()]
        stages += [layers.MaxPooling2D(), layers.Dropout(0.2)]
    return keras.Sequential([
        keras.Input((32, 32, 3)),
        layers.Rescaling(4, -2),
        layers.RandomFlip("horizontal"),
        *stages,
        layers.Flatten(),
        layers.Dense(outputs, name="output"),
    ], name="cifar_cnn")


class PatchConv2D(layers.Conv2D):
    """A convolution of stride 1 as patches and one matrix product. Mapped over many networks it stays a product, where a
    convolution turns into a grouped one, which a CPU computes several times slower (`make bench-training`)."""

    def call(self, images):
        rows, columns = self.kernel_size
        if self.padding == "same":
            images = keras.ops.pad(images, [(0, 0), ((rows - 1) // 2, rows // 2), ((columns - 1) // 2, columns // 2), (0, 0)])
        height, width = images.shape[1] - rows + 1, images.shape[2] - columns + 1
        parts = [images[:, i : i + height, j : j + width] for i in range(rows) for j in range(columns)]
        answer = keras.ops.concatenate(parts, axis=-1) @ keras.ops.reshape(self.kernel, (-1, self.filters))
        return self.activation(answer + self.bias if self.use_bias else answer)


def patched(model):
    """The Sequential network with its convolutions of stride 1 written as patches, untrained; it shares all other layers."""
    def same(layer):  # from_config would import TensorFlow, whatever the backend
        if layer.__class__ is layers.Conv2D and layer.strides == layer.dilation_rate == (1, 1) and layer.groups == 1:
            return PatchConv2D(layer.filters, layer.kernel_size, padding=layer.padding, activation=layer.activation,
                               use_bias=layer.use_bias, name=layer.name)
        return layer

    return keras.Sequential([keras.Input(model.input_shape[1:]), *map(same, model.layers)], name=model.name)


NETWORKS = {"mnist_cnn": mnist_cnn, "small_cnn": small_cnn, "dense": dense, "cifar_cnn": cifar_cnn}


def network(name, outputs):
    """An untrained network by its name, with so many outputs. Raises ValueError for an unknown name."""
    if name not in NETWORKS:
        raise ValueError(f"unknown network {name!r}: choose one of {', '.join(NETWORKS)}")
    return NETWORKS[name](outputs)


def check_takes(model, data):
    """Raise ValueError if the model does not take images of the size that those of a Dataset have."""
    if model.input_shape[1:] != data.x_train.shape[1:]:
        raise ValueError(f"{model.name} takes images of {model.input_shape[1:]}, those of {data.name} are {data.x_train.shape[1:]}")
