"""Attacks on the weights: pruning, fine-tuning, quantisation, noise; and what all attacks have in
common.
"""

import dataclasses
import functools
import inspect
import itertools
import math

import keras
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wmlab import attacks, models
from wmlab.attacks import Tuning, base, fine_tuning, pruning
from wmlab.networks import network
from wmlab.schemes import NewLabel
from wmlab.training import Recipe, hit_rate, logits, predict, probabilities, save
from wmlab.training import load as load_model

pytestmark = pytest.mark.usefixtures("without_compilation")
QUICK = Tuning(1, 64)
SLOW_RATE = Tuning(1, 64, 1e-9)
ATTACKS = {  # name: the attack and what it is given beside a model, data and a seed
    "prune": (attacks.prune, 0.5),
    "prune globally": (attacks.prune, 0.5, "global"),
    "fine-prune": (attacks.fine_prune, 0.5, QUICK),
    **{mode: (attacks.fine_tune, mode, QUICK) for mode in fine_tuning.MODES},
    "refit": (
        functools.partial(attacks.refit, epochs=1, measured_on=2),
        np.ones((2, 28, 28, 1), "f4"),
    ),
    "quantise": (attacks.quantise, 3),
    "noise": (attacks.add_noise, 0.1),
    "drop": (attacks.drop_output,),
    "mask": (attacks.mask_output,),
    "lower bias": (attacks.lower_bias, 3.0),
    "extract": (attacks.extract, "scores", Recipe("dense", 1, 64)),
    "overwrite": (functools.partial(attacks.overwrite, epochs=1), NewLabel(0.2, 0.05), "Bob"),
}
CHANCE = {"fine-prune", "RTLL", "refit", "noise", "extract", "overwrite"}  # the seed matters


@pytest.fixture(scope="module")
def stolen():
    """An untrained network with 11 outputs, convolutions and batch norm, every weight of it some
    number of its own.
    """
    keras.utils.set_random_seed(5)
    stage = [keras.layers.BatchNormalization, keras.layers.ReLU]
    model = keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            keras.layers.Conv2D(6, 3, strides=2),
            *(layer() for layer in stage),
            keras.layers.Conv2D(10, 3, strides=2),
            *(layer() for layer in stage),
            keras.layers.MaxPooling2D(),
            keras.layers.Flatten(),
            keras.layers.Dense(11, name="output"),
        ]
    )
    rng = np.random.default_rng(0)
    for layer in model.layers:
        low = 0.5 if isinstance(layer, keras.layers.BatchNormalization) else -0.5
        layer.set_weights(
            [
                weight if weight.ndim > 1 else rng.uniform(low, 1.5, weight.shape)
                for weight in layer.get_weights()
            ]
        )
    return model


@pytest.fixture(scope="module")
def few(data):
    """So few images that training on them is one step an epoch."""
    return dataclasses.replace(data, x_train=data.x_train[:64], y_train=data.y_train[:64])


numbers = keras.ops.convert_to_numpy


def weights_by_layer(model):
    return [layer.get_weights() for layer in model.layers]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def changed_layers(model, other):
    return [
        i
        for i, pair in enumerate(zip(weights_by_layer(model), weights_by_layer(other), strict=True))
        if not same(*pair)
    ]


def activations(model, images):
    """What each layer of a Sequential network gives, one after the other."""
    given, outputs = images, []
    for layer in model.layers:
        given = (
            layer(given, training=False)
            if "training" in inspect.signature(layer.call).parameters
            else layer(given)
        )
        outputs.append(np.array(given))
    return outputs


def softmax(z):
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.trains
@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_keeps_the_rules(name, stolen, few, tmp_path):
    """It changes a copy, by seed alone, from the training half of the data alone, and gives a model
    that can be saved.
    """
    before, images = [weight.copy() for weight in stolen.get_weights()], few.x_train.copy()
    attack, *how = ATTACKS[name]
    attacked = attack(stolen, few, *how, seed=1)
    assert same(before, stolen.get_weights()) and np.array_equal(images, few.x_train)
    assert all(layer.trainable for layer in [*stolen.layers, *attacked.layers])
    assert not set(map(id, attacked.variables)) & set(map(id, stolen.variables))
    got = attacked.get_weights()
    alike = [a.shape for a in got] == [b.shape for b in before]
    assert not alike or not same(got, before), "it does nothing"
    assert all(np.isfinite(weight).all() for weight in got) and attacked.losses == []

    unseen = dataclasses.replace(few, x_test=few.x_test[:10] * 0, y_test=few.y_test[:10])
    again = attack(stolen, unseen, *how, seed=1).get_weights()
    assert same(got, again), "the seed does not decide, or it has looked at the test images"
    if name in CHANCE:
        assert not same(got, attack(stolen, few, *how, seed=2).get_weights())

    loaded = load_model(save(attacked, tmp_path / "attacked.keras"))
    assert np.allclose(logits(loaded, few.x_test), logits(attacked, few.x_test), atol=1e-4)


def test_no_attack_takes_keys_and_every_one_takes_a_model_data_and_a_seed():
    functions = {getattr(attack, "func", attack) for attack, *_ in ATTACKS.values()}
    assert len(functions) == 11
    for function in functions:
        names = list(inspect.signature(function).parameters)
        assert names[0] in ("model", "suspect") and names[1] == "data" and "seed" in names
        assert "keys" not in names and ("secret" not in names or function is attacks.overwrite)
        assert inspect.signature(function).parameters["seed"].default == 0


# pruning


@given(
    rate=st.sampled_from([0, 0.07, 0.29, 0.3, 0.5, 0.58, 0.95, 0.999, 1, 1.0]),
    seed=st.integers(0, 50),
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=3),
    ties=st.booleans(),
)
@example(rate=0.29, seed=0, sizes=[60, 40], ties=True)  # 28.999999999999996 in floating point
def test_the_smallest_weights_go_and_ties_do_not_break_the_count(rate, seed, sizes, ties):
    rng = np.random.default_rng(seed)
    arrays = [
        (rng.choice([-0.5, 0.5, 1.0], size) if ties else rng.standard_normal(size)).astype(
            np.float32
        )
        for size in sizes
    ]
    flat = np.concatenate(arrays)
    pruned = np.concatenate(pruning._without_smallest(arrays, rate))
    gone = pruned == 0
    assert gone.sum() == round(1000 * rate) * len(flat) // 1000
    assert np.array_equal(pruned[~gone], flat[~gone])
    assert not gone.any() or gone.all() or np.abs(flat[gone]).max() <= np.abs(flat[~gone]).min()


def test_pruning_a_layer_at_a_time(stolen, data):
    for rate in (0, 0.29, 1):
        pruned = attacks.prune(stolen, data, rate)
        for old, new in zip(stolen.layers, pruned.layers, strict=True):
            if hasattr(old, "kernel"):
                kernel, n = numbers(new.kernel), math.prod(old.kernel.shape)
                assert (kernel == 0).sum() == round(rate * 100) * n // 100
                kept = kernel != 0
                assert np.array_equal(kernel[kept], numbers(old.kernel)[kept])
                assert same(old.get_weights()[1:], new.get_weights()[1:]), "biases stay"
            else:
                assert same(old.get_weights(), new.get_weights()), "batch norm stays"


def test_pruning_all_layers_together(stolen, data):
    for rate in (0.29, 0.95):
        pruned = attacks.prune(stolen, data, rate, "global")
        kernels = [[*map(numbers, base.kernels(model))] for model in (stolen, pruned)]
        before, after = (np.concatenate([*map(np.ravel, each)]) for each in kernels)
        assert (after == 0).sum() == round(rate * 100) * len(before) // 100
        assert np.abs(before[after == 0]).max() <= np.abs(before[after != 0]).min()
        shares = [np.mean(kernel == 0) for kernel in kernels[1]]
        assert max(shares) - min(shares) > 0.05, "it is not a layer at a time"


@pytest.mark.parametrize("kind", ["bias", "batch norm"])
@pytest.mark.trains
def test_fine_pruning_drops_the_idle_channels_for_good(kind, stolen, few):
    keras.utils.set_random_seed(0)
    model = stolen if kind == "batch norm" else network("small_cnn", 11)
    convolutions = [
        i for i, layer in enumerate(model.layers) if isinstance(layer, keras.layers.Conv2D)
    ]
    after = convolutions[-1] + 2 * (kind == "batch norm")  # behind batch norm and ReLU
    activity = activations(model, few.x_train)[after].mean(axis=(0, 1, 2))
    assert np.allclose(attacks.channel_activity(model, few), activity, rtol=1e-3, atol=1e-4)
    attacked = attacks.fine_prune(model, few, 0.3, Tuning(2, 32, 1e-3))
    idle = np.argsort(activity)[: int(0.3 * len(activity))]
    features = activations(attacked, few.x_train)[after]
    assert (features[..., idle] == 0).all()
    assert (np.delete(features, idle, axis=-1).max(axis=(0, 1, 2)) > 0).mean() > 0.8
    assert changed_layers(model, attacked) == [
        i for i, layer in enumerate(model.layers) if layer.get_weights()
    ], "all are tuned"


@pytest.mark.trains
def test_fine_pruning_nothing_is_fine_tuning(stolen, few):
    pruned = attacks.fine_prune(stolen, few, 0, Tuning(1, 32), seed=3)
    tuned = attacks.fine_tune(stolen, few, "FTAL", Tuning(1, 32), seed=3)
    assert same(pruned.get_weights(), tuned.get_weights())


# fine-tuning


def test_halves_of_the_test_set(data):
    half = attacks.halves(data, seed=4)
    assert len(half.x_train) == len(half.x_test) == 50
    images = [image.tobytes() for image in [*half.x_train, *half.x_test]]
    labels = dict(zip((image.tobytes() for image in data.x_test), data.y_test, strict=True))
    assert sorted(images) == sorted(image.tobytes() for image in data.x_test)
    assert [labels[image] for image in images] == [*half.y_train, *half.y_test]
    assert not np.array_equal(half.x_train, attacks.halves(data, seed=5).x_train)
    assert np.array_equal(half.x_train, attacks.halves(data, seed=4).x_train)


@pytest.mark.trains
@pytest.mark.parametrize(
    "mode, everything, anew", [("FTAL", 1, 0), ("FTLL", 0, 0), ("RTAL", 1, 1), ("RTLL", 0, 1)]
)
def test_what_the_four_ways_of_fine_tuning_change(mode, everything, anew, stolen, few):
    learnt = [i for i, layer in enumerate(stolen.layers) if layer.get_weights()]
    tuned = attacks.fine_tune(stolen, few, mode, Tuning(1, 64, 1e-3))
    assert changed_layers(stolen, tuned) == (learnt if everything else learnt[-1:])
    # at next to no rate, what does not start anew stays: the model is not trained from scratch
    still = attacks.fine_tune(stolen, few, mode, SLOW_RATE)
    far = {
        i
        for i in learnt
        for old, new in zip(
            stolen.layers[i].get_weights()[:2], still.layers[i].get_weights()[:2], strict=True
        )
        if not np.allclose(old, new, atol=1e-6)
    }
    assert far == (set(learnt[-1:]) if anew else set())
    if anew:
        kernel, fresh = (numbers(model.layers[-1].kernel).ravel() for model in (stolen, still))
        assert np.abs(np.corrcoef(kernel, fresh)[0, 1]) * math.sqrt(len(kernel)) < 4.5


@pytest.mark.trains
def test_one_step_of_descent_by_hand(data):
    """Of the last layer, over all images at once: w - rate · mean of h (softmax - label)."""
    keras.utils.set_random_seed(2)
    model = network("dense", 11)
    tuned = attacks.fine_tune(model, data, "FTLL", Tuning(1, 1000, 0.3, keras.optimizers.SGD))
    hidden = activations(model, data.x_train)[-2]
    kernel, bias = model.layers[-1].get_weights()
    error = (softmax(hidden @ kernel + bias) - np.eye(11)[data.y_train]) / len(hidden)
    expected = kernel - 0.3 * hidden.T @ error, bias - 0.3 * error.sum(axis=0)
    for one, other in zip(tuned.layers[-1].get_weights(), expected, strict=True):
        assert np.allclose(one, other, atol=1e-5)


@pytest.mark.trains
def test_fisher_information_of_the_last_layer_by_hand(data):
    keras.utils.set_random_seed(2)
    model, images, labels = network("dense", 11), data.x_train[:8], data.y_train[:8]
    found = attacks.fine_tuning.fisher(model, images, labels)
    assert [array.shape for array in found] == [
        tuple(variable.shape) for variable in model.trainable_variables
    ]
    hidden = activations(model, images)[-2]
    error = probabilities(model, images) - np.eye(11)[labels]
    of_kernel = ((hidden[:, :, None] * error[:, None, :]) ** 2).mean(axis=0)
    assert np.allclose(found[-2], of_kernel, rtol=1e-3, atol=1e-6)
    assert np.allclose(found[-1], (error**2).mean(axis=0), rtol=1e-3)


@pytest.mark.trains
def test_elastic_weights_hold_what_matters(trained, data):
    importance = fine_tuning.fisher(trained.model, data.x_train[:12], data.y_train[:12])

    def moved(elastic):
        tuned = attacks.refit(trained.model, data, elastic=elastic, epochs=2, measured_on=12)
        return sum(
            float((f * (numbers(new) - numbers(old)) ** 2).sum())
            for f, old, new in zip(
                importance,
                trained.model.trainable_variables,
                tuned.trainable_variables,
                strict=True,
            )
        )

    assert moved(1e6) < 0.7 * moved(0.0)
    assert fine_tuning._Elastic(np.array([1.0, 2]), np.array([3.0, 4]))(
        np.array([2.0, 4])
    ) == 0.5 * (3 * 1 + 4 * 4)


@pytest.mark.trains
def test_refit_labels_what_has_no_label_and_lets_the_rate_fall(trained, data, monkeypatch):
    seen = []
    monkeypatch.setattr(
        fine_tuning,
        "fit",
        lambda *args: seen.append((args, [v.regularizer for v in args[0].trainable_variables])),
    )
    unlabelled = np.random.default_rng(0).random((20, 28, 28, 1)).astype(np.float32)
    attacks.refit(
        trained.model,
        data,
        unlabelled,
        learning_rate=0.2,
        decay=0.5,
        elastic=1e6,
        batch=100,
        measured_on=10,
    )
    (((_, images, labels, tuning, _, _), held),) = seen
    assert np.array_equal(images, np.concatenate([data.x_train, unlabelled]))
    assert np.array_equal(
        labels, np.concatenate([data.y_train, predict(trained.model, unlabelled)])
    )
    assert [round(float(tuning.learning_rate(step)), 6) for step in (0, 3, 4, 8)] == [
        0.2,
        0.2,
        0.1,
        0.05,
    ]  # 4 steps an epoch
    assert tuning.optimizer is keras.optimizers.SGD
    assert max(one.stiffness.max() for one in held) == pytest.approx(5), "cut at 1/rate"


@pytest.mark.slow
@pytest.mark.trains
def test_the_learning_rate_decides_whether_the_mark_survives(digits, shipped):
    """On the shipped new-label model, as in the paper: gone at 0.01, still there at 0.0001."""
    half, mark, model = attacks.halves(digits), NewLabel(0.1, 0.01), shipped["new_label"]
    keys = mark.fresh_keys(half, models().record("new_label")["secret"])
    rates = {
        rate: hit_rate(attacks.fine_tune(model, half, "FTAL", Tuning(4, 64, rate)), keys.images, 10)
        for rate in (1e-4, 1e-2)
    }
    assert rates[1e-4] >= 0.9 and rates[1e-2] <= 0.2


# weights


def test_quantisation_leaves_so_many_levels_and_the_statistics_of_batch_norm(stolen, data):
    for bits in (1, 2, 4, 8):
        coarse = attacks.quantise(stolen, data, bits)
        for pair in zip(stolen.trainable_variables, coarse.trainable_variables, strict=True):
            old, new = map(numbers, pair)
            levels, step = np.unique(new), np.ptp(old) / (2**bits - 1)
            assert len(levels) <= 2**bits and np.abs(new - old).max() <= step / 2 + 1e-6
            assert (levels[0], levels[-1]) == pytest.approx((old.min(), old.max()), abs=1e-6)
            apart = np.diff(levels) / step
            assert np.allclose(apart, np.round(apart), atol=1e-2)
        assert bits > 4 or len(np.unique(coarse.layers[-1].get_weights()[0])) == 2**bits
        for old, new in zip(stolen.layers, coarse.layers, strict=True):
            if isinstance(old, keras.layers.BatchNormalization):
                assert same(old.get_weights()[2:], new.get_weights()[2:])


def test_noise_is_gaussian_and_as_strong_as_said(stolen, data):
    layers = [number for number, layer in enumerate(stolen.layers) if hasattr(layer, "kernel")]
    for strength, number in itertools.product((0.1, 0.5), layers):
        noisy = attacks.add_noise(stolen, data, strength, seed=7)
        old, new = stolen.layers[number], noisy.layers[number]
        before = numbers(old.kernel)
        noise = (numbers(new.kernel) - before).ravel() / (strength * before.std())
        for power, mean, variance in ((1, 0, 1), (2, 1, 2), (4, 3, 96)):
            z = ((noise**power).mean() - mean) * math.sqrt(len(noise) / variance)
            assert abs(z) <= 4.5, (strength, number, power)
        assert same(old.get_weights()[1:], new.get_weights()[1:])
    assert same(stolen.get_weights(), attacks.add_noise(stolen, data, 0.0).get_weights())


# bad input


NO_RATE = "rate is .* must be a number from 0 to 1: it is the share"
NO_TUNING = "epochs, batch and learning rate must be positive"
BARE = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
BAD = [
    *(
        (lambda m, d, rate=rate: attacks.prune(m, d, rate), NO_RATE)
        for rate in (-0.1, 1.1, math.nan, "0.5", True, None)
    ),
    (lambda m, d: attacks.fine_prune(m, d, 1.5), "rate is 1.5, but must be a number from 0 to 1"),
    (lambda m, d: attacks.prune(m, d, 0.5, "all"), "unknown scope 'all': choose one of layer, glo"),
    (
        lambda m, d: attacks.fine_prune(network("dense", 11), d, 0.5),
        "dense has no convolution outside of nested models: fi",
    ),
    (lambda m, d: attacks.fine_tune(m, d, "FTXX"), "unknown mode 'FTXX': choose one of FTAL, FTLL"),
    (
        lambda m, d: attacks.fine_tune(network("small_cnn", 9), d),
        "has 9 outputs, mnist 10 classes: Bob can only tune",
    ),
    (lambda m, d: attacks.fine_tune(network("cifar_cnn", 10), d), r"takes images of \(32, 32, 3\)"),
    (
        lambda m, d: attacks.fine_tune(keras.Sequential(BARE), d),
        "ends in Flatten: this works on a l",
    ),
    (lambda m, d: attacks.refit(m, d, decay=0.0), "decay lies above 0 and not above 1"),
    (lambda m, d: attacks.refit(m, d, elastic=-1), "elastic is 0 or more"),
    (lambda m, d: attacks.refit(m, d, learning_rate=0), "learning rate must be positive"),
    (lambda m, d: attacks.quantise(m, d, 0), "bits is 0, but must be a whole number from 1 to 16"),
    (lambda m, d: attacks.quantise(m, d, 2.5), "bits is 2.5"),
    (lambda m, d: attacks.add_noise(m, d, -1), "strength is -1, but must be 0 or more"),
    (lambda m, d: Tuning(epochs=0), NO_TUNING),
    (lambda m, d: Tuning(batch=0), NO_TUNING),
    (lambda m, d: Tuning(learning_rate=0), NO_TUNING),
    (lambda m, d: Tuning(learning_rate=math.nan), NO_TUNING),
]


def test_bad_input(stolen, data):
    for attack, says in BAD:
        with pytest.raises(ValueError, match=says):
            attack(stolen, data)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_head_started_anew_does_not_start_where_the_owner_started_hers(trained, data, seed):
    """The network had seed 1: with the same seed its last layer would be back at once."""
    tuned = attacks.fine_tune(trained.model, data, "RTLL", SLOW_RATE, seed=seed)
    theirs, hers = (model.layers[-1].get_weights()[0].ravel() for model in (tuned, trained.model))
    assert abs(np.corrcoef(theirs, hers)[0, 1]) < 0.2
    keras.utils.set_random_seed(1)
    again = network("dense", 11)
    assert (
        np.corrcoef(again.layers[-1].get_weights()[0].ravel(), hers)[0, 1] > 0.5
    )  # so the seed matters


def test_a_copy_made_from_answers_does_not_start_where_the_original_did(trained, data):
    copy = attacks.extract(trained.model, data, "scores", Recipe("dense", 1, 300, 1e-9), seed=1)
    theirs, hers = (model.layers[-1].get_weights()[0].ravel() for model in (copy, trained.model))
    assert abs(np.corrcoef(theirs, hers)[0, 1]) < 0.2
