"""Each network's forward pass, written out in numpy from its weights; convolutions as patches
beside keras' own.
"""

import itertools

import keras
import numpy as np
import pytest

from wmlab.networks import MNIST_DEVIATION, MNIST_MEAN, NETWORKS, network, whiten

SHAPES = {
    name: (32, 32, 3) if name not in ("mnist_cnn", "small_cnn", "dense") else (28, 28, 1)
    for name in NETWORKS
}
RNG = np.random.default_rng(0)


def relu(x):
    return np.maximum(x, 0)


def convolve(x, kernel, padding=0):
    """Cross-correlation of (n, h, w, c) with (rows, columns, c, d), stride 1."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], axis=(1, 2))
    return np.einsum("nhwcij,ijcd->nhwd", windows, kernel)


def pool(x):
    n, h, w, c = x.shape
    return x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c).max(axis=(2, 4))


def by_hand(name, weights, x):
    """Logits from the weights in order."""
    w = iter(np.asarray(weight, np.float64) for weight in weights)
    if name == "cifar_cnn":
        x = 4 * x - 2
        for _ in range(3):
            for _ in range(2):
                x = convolve(x, next(w), 1)
                gamma, beta, mean, variance = (next(w) for _ in range(4))
                x = relu(gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta)
            x = pool(x)
        return x.reshape(len(x), -1) @ next(w) + next(w)
    if SHAPES[name] == (32, 32, 3):  # the fast ones
        x = relu(convolve(4 * x - 2, next(w)))
        for _ in range(3):
            for pooled in (pool, lambda x: x):
                x = pooled(convolve(x, next(w), 1))
                beta, mean, variance = (next(w) for _ in range(3))
                x = relu((x - mean) / np.sqrt(variance + 1e-5) + beta)
        return x.max(axis=(1, 2)) @ next(w) / 9
    x = (x - 0.1307) / 0.3081
    if name in ("mnist_cnn", "small_cnn"):
        for _ in range(2):
            x = pool(relu(convolve(x, next(w)) + next(w)))
    x = relu(x.reshape(len(x), -1) @ next(w) + next(w))
    return x @ next(w) + next(w)


@pytest.mark.trains
def test_forward_pass_is_what_it_says():
    for name in NETWORKS:
        keras.utils.set_random_seed(0)
        model = network(name, 11)
        # anything but the initial values, under which a forgotten bias or batch norm would not show
        model.set_weights(
            [weight + RNG.uniform(0.01, 0.05, weight.shape) for weight in model.get_weights()]
        )
        images = RNG.random((5, *SHAPES[name]), np.float32)
        logits = keras.ops.convert_to_numpy(model(images, training=False))
        assert logits.shape == (5, 11)
        expected = by_hand(name, model.get_weights(), images.astype(np.float64))
        assert np.allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_output_layer_is_one_column_of_weights_a_label():
    for name in NETWORKS:
        for outputs in [2, 10, 100]:
            model = network(name, outputs)
            assert model.name == name and model.output_shape == (None, outputs)
            last = model.layers[-1]
            kernel, *bias = last.get_weights()
            assert last.name == "output" and last.activation is keras.activations.linear
            assert kernel.shape[1] == outputs and all(one.shape == (outputs,) for one in bias)


def test_number_of_weights():
    def stack(more, *channels):
        """So many weights of a channel beside the kernels of a stack of convolutions."""
        return sum(9 * a * b + more * b for a, b in itertools.pairwise(channels))

    for name, weights in [
        ("mnist_cnn", 3 * 3 * 32 + 32 + 3 * 3 * 32 * 64 + 64 + 1600 * 128 + 128 + 128 * 10 + 10),
        ("small_cnn", 3 * 3 * 16 + 16 + 3 * 3 * 16 * 32 + 32 + 5 * 5 * 32 * 64 + 64 + 64 * 10 + 10),
        ("dense", 784 * 64 + 64 + 64 * 10 + 10),
        ("cifar_cnn", stack(4, 3, 32, 32, 64, 64, 128, 128) + 2048 * 10 + 10),
        ("fast_cnn", 9 * 3 * 24 + stack(3, 24, 32, 32, 128, 128, 128, 128) + 1280),
        ("wide_cnn", 9 * 3 * 24 + stack(3, 24, 64, 64, 256, 256, 256, 256) + 2560),
    ]:
        assert network(name, 10).count_params() == weights


def test_the_small_network_says_how_many_weights_it_has():
    assert (
        f"{round(network('small_cnn', 10).count_params(), -3):,} weights"
        in NETWORKS["small_cnn"].__doc__
    )


def test_the_small_network_is_half_of_the_other_in_every_layer():
    half, whole = (
        [part for layer in network(name, 10).layers[:-1] for part in layer.get_weights()[1:]]
        for name in ("small_cnn", "mnist_cnn")
    )
    assert (
        [2 * len(biases) for biases in half] == [len(biases) for biases in whole] == [32, 64, 128]
    )


def test_cifar_network_mirrors_and_drops_only_in_training():
    keras.utils.set_random_seed(0)
    model = network("cifar_cnn", 10)
    images = RNG.random((8, 32, 32, 3), np.float32)
    still = [keras.ops.convert_to_numpy(model(images, training=False)) for _ in range(2)]
    moving = [keras.ops.convert_to_numpy(model(images, training=True)) for _ in range(2)]
    assert np.array_equal(*still) and not np.allclose(*moving)
    flip = next(layer for layer in model.layers if isinstance(layer, keras.layers.RandomFlip))
    flipped = keras.ops.convert_to_numpy(flip(images, training=True))
    mirrored = [
        np.array_equal(out, image[:, ::-1]) for out, image in zip(flipped, images, strict=True)
    ]
    assert all(
        same or np.array_equal(out, image)
        for same, out, image in zip(mirrored, flipped, images, strict=True)
    )
    assert any(mirrored)


def test_an_untrained_fast_network_hands_its_first_filters_on():
    """Each later convolution starts as the identity as far as it has inputs, and at random beyond
    them.
    """
    keras.utils.set_random_seed(0)
    for layer in [
        layer for layer in network("fast_cnn", 10).layers if isinstance(layer, keras.layers.Conv2D)
    ][1:]:
        kernel = layer.get_weights()[0]
        same, limit = kernel.shape[2], 1 / np.sqrt(9 * kernel.shape[2])
        images = RNG.random((2, 8, 8, same), np.float32)
        answer = keras.ops.convert_to_numpy(layer(images))
        assert np.allclose(answer[..., :same], images, atol=1e-6)
        others = kernel[..., same:]
        assert not others.size or (
            0.9 * limit < np.abs(others).max() <= limit and abs(others.mean()) < limit / 10
        )


def test_whitening_filters_make_patches_white_but_for_the_smoothing():
    images = RNG.random((40, 32, 32, 3), np.float32) * RNG.random(
        (40, 1, 1, 3), np.float32
    )  # colours and pixels correlate
    model, plain = network("whitening_cnn", 10), network("fast_cnn", 10)
    before = [weight.copy() for weight in plain.get_weights()]
    whiten(plain, images)
    assert all(np.array_equal(*pair) for pair in zip(plain.get_weights(), before, strict=True))
    whiten(model, images)
    layer = model.get_layer("whitening")
    assert not layer.trainable and layer.compute_dtype == "float32"
    filters = layer.get_weights()[0]
    assert filters.shape == (2, 2, 3, 24) and np.array_equal(filters[..., 12:], -filters[..., :12])
    answers = convolve(4 * images.astype(np.float64) - 2, filters[..., :12]).reshape(-1, 12)
    power = answers.T @ answers / len(answers)
    values = np.linalg.eigvalsh(
        np.cov(
            np.lib.stride_tricks.sliding_window_view(
                4 * images.astype(np.float64) - 2, (2, 2), (1, 2)
            )
            .reshape(-1, 12)
            .T,
            bias=True,
        )
    )
    assert np.allclose(power, np.diag(np.diag(power)), atol=1e-3)
    assert (
        np.all(np.diag(power) < 1 + 1e-6)
        and values.min() / (values.min() + 5e-4) - 1e-3 < np.diag(power).min()
    )


def test_first_and_last_layers_compute_in_float32_whatever_the_policy():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = network("fast_cnn", 10)
    finally:
        keras.config.set_dtype_policy(before)
    computed = [layer.compute_dtype for layer in model.layers]
    assert computed[:2] == computed[-2:] == ["float32"] * 2 and set(computed[2:-2]) == {"bfloat16"}
    assert {weight.dtype for weight in model.weights} == {"float32"}


def test_mnist_normalisation_is_that_of_the_digits():
    from wmlab.datasets import load

    pixels = load("mnist", "class").x_train
    assert abs(pixels.mean(dtype=np.float64) - MNIST_MEAN) < 0.005
    assert abs(pixels.std(dtype=np.float64) - MNIST_DEVIATION) < 0.005


def test_a_seed_decides_the_weights():
    def weights(seed):
        keras.utils.set_random_seed(seed)
        return network("dense", 10).get_weights()[0]

    assert np.array_equal(weights(1), weights(1)) and not np.array_equal(weights(1), weights(2))


def test_unknown_network():
    for name in ["resnet", "", None]:
        with pytest.raises(
            ValueError,
            match=f"unknown network {name!r}: choose one of mnist_cnn, small_cnn, dense, cifar_cnn",
        ):
            network(name, 10)
