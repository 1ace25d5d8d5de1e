"""Attacks on the new label, copies from answers, and second marks."""

import dataclasses

import keras
import numpy as np
import pytest

from wmlab import attacks, models
from wmlab.attacks import extraction, new_label
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.suspects import LocalSuspect, SuspectError
from wmlab.training import Recipe, hit_rate, logits, predict, probabilities

SECRETS = {"new_label": {}, "decoy": {"kind": "fixed", "decoys": 600}, "other_owner": {}}


@pytest.fixture(scope="module")
def digits(digits):
    """A third of their test images: as many as it takes."""
    return dataclasses.replace(digits, x_test=digits.x_test[:300], y_test=digits.y_test[:300])


@pytest.fixture(scope="module")
def keys(digits):
    """Fresh keys of a shipped model's owner, by the model's name."""
    return {
        name: NewLabel(0.1, 0.01, **how).fresh_keys(digits, models().record(name)["secret"])
        for name, how in SECRETS.items()
    }


@pytest.mark.parametrize("name", [*SECRETS, "reject_class"])
def test_dropping_the_output_kills_the_mark_and_costs_nothing(name, shipped, digits, keys):
    model = shipped[name]
    dropped, masked = attacks.drop_output(model, digits), attacks.mask_output(model, digits)
    clean = hit_rate(model, digits.x_test, digits.y_test)
    assert dropped.output_shape == (None, 10) and masked.output_shape == (None, 11)
    assert np.allclose(
        logits(dropped, digits.x_test), logits(model, digits.x_test)[:, :10], atol=1e-4
    ), "no other weight moves"
    for attacked in dropped, masked:
        assert hit_rate(attacked, digits.x_test, digits.y_test) >= clean
    if name in SECRETS:
        asked = keys[name]
        assert hit_rate(model, asked.images, 10) >= 0.9
        for attacked in dropped, masked:
            assert hit_rate(attacked, asked.images, 10) == 0
            assert hit_rate(attacked, asked.images, asked.carrier_labels) >= 0.7, "not their class"


def test_dropping_an_output_in_the_middle(digits):
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(13, use_bias=False)]
    )
    expected = np.delete(logits(model, digits.x_test[:20]), 11, axis=1)
    dropped = attacks.drop_output(model, digits, 11)
    assert np.allclose(logits(dropped, digits.x_test[:20]), expected, atol=1e-5)


def test_masked_probabilities_are_those_of_the_rest_renormalised(shipped, digits, keys):
    images = np.concatenate([digits.x_test[:50], keys["new_label"].images[:50]])
    rest = probabilities(shipped["new_label"], images)[:, :10]
    masked = probabilities(attacks.mask_output(shipped["new_label"], digits), images)
    assert (masked[:, 10] == 0).all()
    assert np.allclose(masked[:, :10], rest / rest.sum(axis=1, keepdims=True), atol=1e-4)


def test_lowering_the_bias_takes_the_mark_by_degrees(shipped, digits, keys):
    model, images = shipped["new_label"], keys["new_label"].images
    rates = []
    for by in (0.0, 2.0, 5.0, 10.0, 100.0):
        lowered = attacks.lower_bias(model, digits, by)
        expected = logits(model, images) - by * np.eye(11)[10]
        assert np.allclose(logits(lowered, images), expected, atol=1e-3)
        rates.append(hit_rate(lowered, images, 10))
    assert rates == sorted(rates, reverse=True)
    assert rates[0] > 0.9 and rates[-1] == 0 and 0.2 < rates[2] < 0.95


def test_the_second_best_is_what_a_masked_model_says(shipped, digits, keys):
    images = np.concatenate([digits.x_test[:100], keys["new_label"].images[:100]])
    suspect = attacks.SecondBest(shipped["new_label"])
    ranked = np.argsort(-logits(shipped["new_label"], images), axis=1)
    expected = [second if first == 10 else first for first, second in ranked[:, :2]]
    assert suspect.ask(images).tolist() == expected
    masked = attacks.mask_output(shipped["new_label"], digits)
    assert predict(masked, images).tolist() == expected
    assert suspect.queries == 200 and suspect.cost == pytest.approx(2)
    assert attacks.SecondBest(shipped["new_label"], 3).ask(digits.x_test).tolist().count(3) == 0


def test_bob_finds_the_output_that_never_wins(shipped, digits):
    unseen = dataclasses.replace(digits, x_train=digits.x_test, y_train=digits.y_test)
    for name in (*SECRETS, "unmarked_0", "wrong_label"):
        unused = attacks.unused_outputs(shipped[name], unseen).tolist()
        assert unused == ([10] if name in SECRETS else []), name
    rates = attacks.answer_rates(shipped["unmarked_0"], unseen)
    labels = predict(shipped["unmarked_0"], digits.x_test)
    assert np.array_equal(rates, np.mean(labels[:, None] == np.arange(10), axis=0))


# extraction


def test_what_answers_say(trained, data):
    scores = probabilities(trained.model, data.x_test)
    for answers, expected in (
        ("labels", np.eye(10)[predict(trained.model, data.x_test)]),
        ("scores", scores),
        ("scores without the last", scores[:, :10] / scores[:, :10].sum(axis=1, keepdims=True)),
    ):
        suspect = attacks.ScoreSuspect(trained.model)
        targets = extraction.bought(suspect, data.x_test, answers, data.classes)
        assert suspect.queries == 100 and targets.shape == expected.shape
        assert np.allclose(targets, expected, atol=1e-6)


def test_a_label_that_was_seen_gets_an_output(trained, data):
    keys = NewLabel(0.3, 0.05).fresh_keys(data, "Alice")
    targets = extraction.bought(LocalSuspect(trained.model), keys.images, classes=10)
    assert targets.shape == (90, 11) and targets[:, 10].mean() > 0.8
    more = extraction.bought(LocalSuspect(trained.model), data.x_test[:3], classes=20)
    assert more.shape == (3, 20)


@pytest.mark.trains
def test_a_copy_learns_from_answers_alone(trained, data):
    liar = keras.models.clone_model(trained.model)
    kernel, bias = trained.model.layers[-1].get_weights()
    turned = np.roll(np.arange(10), 1).tolist() + [10]
    liar.set_weights([*trained.model.get_weights()[:-2], kernel[:, turned], bias[turned]])
    suspect, how = LocalSuspect(liar), Recipe("dense", 4, 32)
    copy = attacks.extract(suspect, data, recipe=how)
    assert suspect.queries == 300 and copy.output_shape == (None, 10)
    assert hit_rate(copy, data.x_test, predict(liar, data.x_test)) >= 0.9
    assert hit_rate(copy, data.x_test, data.y_test) <= 0.1, "it has looked at the true labels"
    blind = dataclasses.replace(data, y_train=np.zeros_like(data.y_train))
    again = attacks.extract(LocalSuspect(liar), blind, recipe=how)
    assert np.array_equal(copy.get_weights()[-1], again.get_weights()[-1])


# overwriting


@pytest.mark.trains
def test_a_second_mark_is_learnt_beside_the_first(trained, data):
    mark = NewLabel(0.3, 0.2, classes=11, kind="unrelated")
    marked = attacks.overwrite(trained.model, data, mark, "Bob", epochs=5)
    assert marked.output_shape == (None, 12)
    assert hit_rate(marked, mark.fresh_keys(data, "Bob").images, 11) >= 0.9
    assert hit_rate(marked, data.x_test, data.y_test) >= 0.9


@pytest.mark.trains
@pytest.mark.parametrize(
    "scheme, outputs",
    [(NewLabel(0.2, 0.05), 11), (WrongLabel(0.2, 0.05), 11), (NewLabel(0.2, 0.05, classes=11), 12)],
)
def test_overwriting_starts_from_the_stolen_model(scheme, outputs, trained, data):
    still = attacks.overwrite(trained.model, data, scheme, "Bob", epochs=1, learning_rate=1e-9)
    assert still.output_shape == (None, outputs)
    before = logits(trained.model, data.x_test)
    assert np.allclose(logits(still, data.x_test)[:, :11], before, atol=1e-3)


# bad input


NO_OUTPUT = "mnist_cnn has 10 outputs for 10 classes: there is no extra output to attack"
BARE = [keras.Input((28, 28, 1)), keras.layers.Flatten()]
BAD = [  # an attack on the model of this name
    ("wrong_label", attacks.drop_output, NO_OUTPUT),
    ("wrong_label", attacks.mask_output, NO_OUTPUT),
    ("wrong_label", lambda m, d: attacks.lower_bias(m, d, 1.0), NO_OUTPUT),
    (
        "new_label",
        lambda m, d: attacks.drop_output(m, d, 4),
        "label 4 is one of the 10 classes: without it",
    ),
    (
        "new_label",
        lambda m, d: attacks.drop_output(m, d, 11),
        "label is 11, but the outputs of mnist_cnn count",
    ),
    ("new_label", lambda m, d: attacks.SecondBest(m, -1), "label is -1, but the outputs"),
    ("new_label", lambda m, d: attacks.lower_bias(m, d, -1), "by is -1, but must be 0 or more"),
    (
        "new_label",
        lambda m, d: attacks.extract(m, d, "logits"),
        "unknown answers 'logits': choose one of labels",
    ),
    (
        "new_label",
        lambda m, d: attacks.extract(LocalSuspect(m), d, "scores"),
        "a LocalSuspect sells labels only: scores need a suspect with scores",
    ),
    (
        "new_label",
        lambda m, d: attacks.drop_output(keras.Sequential(BARE), d),
        "ends in Flatten: this works on a last dense layer",
    ),
    (
        "new_label",
        lambda m, d: attacks.mask_output(
            keras.Sequential([*BARE, keras.layers.Dense(11, use_bias=False)]), d
        ),
        "has no bias: drop the output instead",
    ),
]


def test_bad_input(shipped, data):
    for name, attack, says in BAD:
        with pytest.raises(ValueError, match=says):
            attack(shipped[name], data)


def test_a_suspect_that_refuses_cannot_be_copied(data):
    class Silent:
        def ask(self, images):
            return None

    with pytest.raises(SuspectError, match="gave 0 labels for 300 images"):
        attacks.extract(Silent(), data, recipe=Recipe("dense", 1, 64))


def test_the_label_of_a_mask_is_finite():
    assert np.isfinite(np.float32(new_label.NEVER))
