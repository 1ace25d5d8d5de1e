"""The battery: what a row says of an attack, and who sees what of the data."""

import dataclasses

import keras
import numpy as np
import pytest

from wmlab import attacks, battery
from wmlab.attacks import Tuning, fine_tuning
from wmlab.battery import GROUPS, Trial, outcome, trials
from wmlab.networks import network
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.training import Recipe, predict

MARK = NewLabel(0.3, 0.05)


class Says:
    """A suspect with one answer to everything, but for as many images as it knows answers to."""

    def __init__(self, label, known=()):
        self.label, self.known = label, known

    def ask(self, images):
        return self.known if len(images) == len(self.known) else np.full(len(images), self.label)


def row_of(suspect, trained, bob, mark=MARK):
    trial = Trial("any", None, lambda model, bob, seed: suspect)
    return outcome(trial, trained.model, mark, bob, "Alice")


def test_rows_of_a_group(trained, data):
    rows = battery.attacked(trained.model, MARK, data, "Alice", 3, ["filters"])
    asked = [("no attack", None), *((one.attack, one.strength) for one in GROUPS["filters"])]
    assert [(row["attack"], row["strength"]) for row in rows] == asked
    judging = attacks.halves(data, 3)
    keys = MARK.fresh_keys(judging, "Alice", stream="attacked")
    labels, answers = predict(trained.model, judging.x_test), predict(trained.model, keys.images)
    assert rows[0] | {"seconds": 0} == {
        "attack": "no attack",
        "strength": None,
        "epochs": 0,
        "images": 0,
        "seconds": 0,
        "clean_accuracy": np.mean(labels == judging.y_test),
        "fresh_key_accuracy": np.mean(answers == 10),
        "key_label_rate_clean": np.mean(labels == 10),
        "true_label_rate": np.mean(answers == keys.carrier_labels),
        "decision": "marked",
        "queries": 1 + np.flatnonzero(answers == 10)[0],
    }
    assert min(rows[0]["clean_accuracy"], rows[0]["fresh_key_accuracy"]) > 0.8


def test_a_provider_is_given_keys_of_the_secret_from_his_own_images(trained, data):
    bob, given = attacks.halves(data, 3), []

    def launch(model, share, seed, keys):
        given.append((share, keys))
        return model

    row = outcome(
        Trial("any", None, launch, data=1.0, keys=True), trained.model, MARK, bob, "Alice"
    )
    ((share, keys),) = given
    assert np.array_equal(share.x_train, bob.x_train)
    wanted = MARK.keys(bob.x_train, bob.y_train, "Alice", "the provider's")
    assert keys.digest == wanted.digest != MARK.fresh_keys(bob, "Alice", stream="attacked").digest
    assert row == row_of(trained.model, trained, bob) | {
        "images": len(bob.x_train),
        "seconds": row["seconds"],
    }
    (unlearning,) = [trial for trial in GROUPS["provider"] if trial.keys]
    after = outcome(unlearning, trained.model, MARK, bob, "Alice")
    assert after["fresh_key_accuracy"] < 0.1 < row["fresh_key_accuracy"]


def test_every_trial_is_another():
    for name, group in GROUPS.items():
        told_apart = [(one.attack, one.strength, one.epochs, one.data) for one in group]
        assert len(set(told_apart)) == len(told_apart), name
    table1 = {(one.attack, one.strength) for one in GROUPS["table1"]}
    modes = ("FTAL", "FTLL", "RTAL", "RTLL")
    assert table1 == {(mode, rate) for mode in modes for rate in (1e-5, 1e-4, 1e-3, 1e-2)} | {
        (f"{mode}, SGD", rate) for mode in modes for rate in (1e-3, 1e-2)
    }
    assert {(one.epochs, one.data) for one in GROUPS["table1"]} == {(8, 1.0)}


def test_a_model_that_answers_the_key_label_to_everything_is_seen(trained, data):
    bob = attacks.halves(data)
    row = row_of(Says(10), trained, bob)
    assert row["key_label_rate_clean"] == row["fresh_key_accuracy"] == 1
    assert row["clean_accuracy"] == 0 and row["decision"] == "not marked"
    mark = WrongLabel(0.3, 0.05, target=4)  # whose own class is left out
    assert row_of(Says(4), trained, bob, mark)["key_label_rate_clean"] == 1
    only_fours = Says(0, np.where(bob.y_test == 4, 4, 0))
    assert row_of(only_fours, trained, bob, mark)["key_label_rate_clean"] == 0


def test_bob_gets_his_share_of_his_half_and_no_more(trained, data):
    bob, seen = attacks.halves(data, 3), []

    def launch(model, given, seed):
        seen.append((given, seed))
        return model

    for share in (0, 0.1, 0.3, 1.0):
        row = outcome(Trial("any", 0.5, launch, 7, share), trained.model, MARK, bob, "Alice", 3)
        (given, seed), n = seen.pop(), round(share * len(bob.x_train))
        assert (row["images"], row["epochs"], row["strength"], seed) == (n, 7, 0.5, 3)
        assert np.array_equal(given.x_train, bob.x_train[: n or None])
        assert len(given.x_train) == len(given.y_train)
    judging = {image.tobytes() for image in bob.x_test}
    assert not any(image.tobytes() in judging for image in bob.x_train)


def test_what_needs_an_extra_output_is_left_out_without_one(data, monkeypatch):
    run = WrongLabel(0.3, 0.05).embed(data, "Alice", Recipe("dense", 1, 64), seed=0)
    needs = Trial("any", None, lambda model, bob, seed: model, extra=True)
    monkeypatch.setitem(GROUPS, "two", [needs, dataclasses.replace(needs, attack="b", extra=False)])
    rows = battery.attacked(run.model, WrongLabel(0.3, 0.05), data, "Alice", 0, ["two"])
    assert [row["attack"] for row in rows] == ["no attack", "b"]


def test_an_unknown_group_is_refused():
    says = "no attacks called stealing: there are pruning, table1, rates, provider, others, filters"
    with pytest.raises(ValueError, match=says):
        trials(["pruning", "stealing"])


@pytest.mark.slow
def test_every_attack_of_the_lessons_can_be_launched(data):
    small = dataclasses.replace(data, x_test=data.x_test[:40], y_test=data.y_test[:40])
    run = NewLabel(0.3, 0.05).embed(data, "Alice", Recipe("small_cnn", 1, 64), seed=0)
    before = [values.copy() for values in run.model.get_weights()]
    for trial in (trial for group in GROUPS.values() for trial in group if trial.epochs <= 8):
        row = outcome(trial, run.model, MARK, attacks.halves(small), "Alice")
        assert 0 <= row["clean_accuracy"] <= 1 and row["images"] == round(trial.data * 20)
    assert all(map(np.array_equal, before, run.model.get_weights()))


@pytest.mark.trains
def test_the_last_layer_alone_learns_what_it_would_behind_frozen_ones(trained, data, monkeypatch):
    def tuned(model, bob, mode, optimizer):
        return attacks.fine_tune(model, bob, mode, Tuning(2, 32, 0.01, optimizer), seed=4)

    ways = [("FTLL", keras.optimizers.SGD), ("RTLL", keras.optimizers.Adam)]
    quick = [tuned(trained.model, data, *way) for way in ways]
    monkeypatch.setattr(fine_tuning, "_draws", lambda model: True)  # the long way for all
    for one, way in zip(quick, ways, strict=True):
        other = tuned(trained.model, data, *way)
        for old, new, long in zip(
            trained.model.get_weights(), one.get_weights(), other.get_weights(), strict=True
        ):
            assert np.allclose(new, long, rtol=0, atol=1e-6)
            if old.shape[-1] != 11:
                assert np.array_equal(old, new)
        assert np.abs(old - new).max() > 1e-4, "the last layer learned nothing"


def test_networks_with_dropout_or_mirroring_are_not_cut():
    drawn = {name: fine_tuning._draws(network(name, 10)) for name in ("cifar_cnn", "mnist_cnn")}
    assert drawn == {"cifar_cnn": True, "mnist_cnn": False}
