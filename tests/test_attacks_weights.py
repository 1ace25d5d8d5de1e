"""Attacks that know the weights' symmetries, other users' copies, or the keys."""

import keras
import numpy as np
import pytest

from wmlab import attacks
from wmlab.attacks import Tuning
from wmlab.networks import network
from wmlab.schemes import NewLabel
from wmlab.training import hit_rate, logits


@pytest.mark.parametrize("name", ["small_cnn", "dense", "cifar_cnn", "fast_cnn"])
@pytest.mark.parametrize("attack", [attacks.permute, attacks.rescale])
def test_the_same_answers_from_other_weights(name, attack, data, colours):
    keras.utils.set_random_seed(0)
    model = network(name, 10)
    rng = np.random.default_rng(0)
    for layer in model.layers:  # batch norm that has seen something
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, values.shape) for values in layer.get_weights()])
    images = (data if name in ("small_cnn", "dense") else colours).x_test
    before = [values.copy() for values in model.get_weights()]
    changed, again = attack(model, data, seed=1), attack(model, data, seed=1)
    old, new = logits(model, images), logits(changed, images)
    assert np.allclose(old, new, rtol=1e-3, atol=1e-3 * np.abs(old).max())
    assert all(map(np.array_equal, model.get_weights(), before)), "its input stays"
    assert all(map(np.array_equal, changed.get_weights(), again.get_weights()))
    kernels = [values for values in changed.get_weights() if values.ndim > 1]
    pairs = list(zip([values for values in before if values.ndim > 1], kernels, strict=True))
    for old, new in pairs[:-1]:  # behind batch norm the last layer need not be rescaled
        assert not np.allclose(old, new)


def test_what_is_no_plain_chain_is_refused():
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Flatten()(keras.layers.Conv2D(2, 3)(inputs))
    branched = keras.Model(inputs, keras.layers.Dense(3)(x))
    with pytest.raises(ValueError, match="is not Sequential: this works on a plain chain"):
        attacks.permute(branched, None)
    layers = [inputs, keras.layers.Conv2D(2, 3), keras.layers.UnitNormalization()]
    strange = keras.Sequential([*layers, keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="has layers of UnitNormalization"):
        attacks.permute(strange, None)
    linear = keras.Sequential([*layers[:2], keras.layers.Flatten(), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="neither a ReLU nor batch norm"):
        attacks.rescale(linear, None)


def test_the_average_of_copies():
    one, two = network("dense", 10), network("dense", 10)
    mean = attacks.average([one, two])
    for a, b, c in zip(one.get_weights(), two.get_weights(), mean.get_weights(), strict=True):
        assert np.allclose((a + b) / 2, c)
    for models in ([], [one, network("dense", 11)]):
        with pytest.raises(ValueError, match="average copies of one"):
            attacks.average(models)


@pytest.mark.trains
def test_who_holds_the_keys_can_make_a_network_forget_them(trained, data):
    mark = NewLabel(0.3, 0.05)
    fresh = mark.fresh_keys(data, "Alice")
    assert hit_rate(trained.model, fresh.images, fresh.labels) > 0.8
    how, bob = Tuning(4, 32, 1e-3), attacks.halves(data)
    forgot = attacks.unlearn(trained.model, bob, trained.keys, how, seed=1)
    control = attacks.fine_tune(trained.model, bob, "FTAL", how, seed=1)
    hit, kept = (hit_rate(one, fresh.images, fresh.labels) for one in (forgot, control))
    assert hit < 0.05 and kept > hit + 0.3
    assert hit_rate(forgot, bob.x_test, bob.y_test) > 0.8


def test_three_measures_of_forgetting():
    made = attacks.omegas([0.9, 0.6], [0.8, 0.7], [0.85, 0.65], 0.9)
    assert made == pytest.approx((0.75 / 0.9, 0.75, 0.75 / 0.9))
    for base, ideal in (([0.9], 0.9), ([0.9, 0.6], 0.0)):
        with pytest.raises(ValueError, match="accuracy"):
            attacks.omegas(base, [0.8, 0.7], [0.85, 0.65], ideal)
