"""Campaigns: what a row says of an attack, whom it lets see what, and how it goes on record."""

import dataclasses
import json

import numpy as np
import pytest

from wmlab import attacks, battery, records
from wmlab.battery import GROUPS, Trial, outcome, trials
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.tools import sweeps
from wmlab.training import Recipe, predict

MARK = NewLabel(0.3, 0.05)


@pytest.fixture(scope="module")
def rows(trained, data):
    return battery.attacked(trained.model, MARK, data, "Alice", 3, ["filters"])


def test_the_first_row_is_the_model_itself(trained, data, rows):
    judging = attacks.halves(data, 3)
    keys = MARK.fresh_keys(judging, "Alice", stream="attacked")
    labels, answers = predict(trained.model, judging.x_test), predict(trained.model, keys.images)
    first = rows[0]
    assert (first["attack"], first["strength"], first["epochs"], first["images"]) == (
        "no attack",
        None,
        0,
        0,
    )
    assert first["clean_accuracy"] == np.mean(labels == judging.y_test) > 0.8
    assert first["fresh_key_accuracy"] == np.mean(answers == 10) > 0.8
    assert first["true_label_rate"] == np.mean(answers == keys.carrier_labels)
    assert first["key_label_rate_clean"] == np.mean(labels == 10)
    assert (
        first["decision"] == "marked" and first["queries"] == 1 + np.flatnonzero(answers == 10)[0]
    )


def test_every_trial_has_its_row(rows):
    assert [(row["attack"], row["strength"]) for row in rows[1:]] == [
        (one.attack, one.strength) for one in GROUPS["filters"]
    ]


def test_every_trial_is_another():
    for name, group in GROUPS.items():
        told_apart = [(one.attack, one.strength, one.epochs, one.data) for one in group]
        assert len(set(told_apart)) == len(told_apart), name


def test_a_model_that_answers_the_key_label_to_everything_is_seen(trained, data):
    row = outcome(
        Trial("any", None, lambda model, bob, seed: Says(10)),
        trained.model,
        MARK,
        attacks.halves(data),
        "Alice",
    )
    assert (
        row["key_label_rate_clean"] == row["fresh_key_accuracy"] == 1 and row["clean_accuracy"] == 0
    )
    assert row["decision"] == "marked"  # the reason why the rate is on record


def test_the_rate_of_a_wrong_label_leaves_its_own_class_out(trained, data):
    bob, mark = attacks.halves(data), WrongLabel(0.3, 0.05, target=4)
    row = outcome(
        Trial("any", None, lambda model, bob, seed: Says(4)), trained.model, mark, bob, "Alice"
    )
    assert row["key_label_rate_clean"] == 1
    cheat = np.where(bob.y_test == 4, 4, 0)
    row = outcome(
        Trial("any", None, lambda model, bob, seed: Says(0, cheat)),
        trained.model,
        mark,
        bob,
        "Alice",
    )
    assert row["key_label_rate_clean"] == 0


class Says:
    def __init__(self, label, first=None):
        self.label, self.first = label, first

    def ask(self, images):
        if self.first is not None and len(images) == len(self.first):
            return self.first
        return np.full(len(images), self.label)


@pytest.mark.parametrize("share", [0, 0.1, 0.3, 1.0])
def test_bob_gets_his_share_of_his_half_and_no_more(trained, data, share):
    bob, seen = attacks.halves(data, 3), []

    def launch(model, given, seed):
        seen.append((given, seed))
        return model

    row = outcome(Trial("any", 0.5, launch, 7, share), trained.model, MARK, bob, "Alice", 3)
    (given, seed), n = seen[0], round(share * len(bob.x_train))
    assert (row["images"], row["epochs"], row["strength"], seed) == (n, 7, 0.5, 3)
    assert np.array_equal(given.x_train, bob.x_train[: n or None]) and len(given.x_train) == len(
        given.y_train
    )
    judging = {image.tobytes() for image in bob.x_test}
    assert not any(image.tobytes() in judging for image in bob.x_train)


def test_what_needs_an_extra_output_is_left_out_without_one(data, monkeypatch):
    run = WrongLabel(0.3, 0.05).embed(data, "Alice", Recipe("dense", 1, 64), seed=0)
    needs = [
        Trial("any", None, lambda model, bob, seed: model, extra=True),
        Trial("other", None, lambda model, bob, seed: model),
    ]
    monkeypatch.setitem(GROUPS, "two", needs)
    rows = battery.attacked(run.model, WrongLabel(0.3, 0.05), data, "Alice", 0, ["two"])
    assert [row["attack"] for row in rows] == ["no attack", "other"]


@pytest.mark.slow
@pytest.mark.parametrize("name", list(GROUPS))
def test_every_attack_of_the_lessons_can_be_launched(name, data):
    small = dataclasses.replace(data, x_test=data.x_test[:40], y_test=data.y_test[:40])
    run = NewLabel(0.3, 0.05).embed(data, "Alice", Recipe("small_cnn", 1, 64), seed=0)
    before = [values.copy() for values in run.model.get_weights()]
    for trial in GROUPS[name]:
        if trial.epochs <= 8:
            row = outcome(trial, run.model, MARK, attacks.halves(small), "Alice")
            assert 0 <= row["clean_accuracy"] <= 1 and row["images"] == round(trial.data * 20)
    assert all(map(np.array_equal, before, run.model.get_weights()))


def test_an_unknown_group_is_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(
        ValueError,
        match="no attacks called stealing: there are pruning, table1, gentle, rates, others, filters",
    ):
        trials(["pruning", "stealing"])
    with pytest.raises(ValueError, match="no attacks called stealing"):
        sweeps.sweep(
            "any",
            "mnist",
            sweeps.plan(["new"], [0.3], [0.05], 1),
            tmp_path,
            "class",
            attacks=["stealing"],
        )
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_records_what_attacks_left(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "load", lambda *_: data)
    monkeypatch.setitem(GROUPS, "few", GROUPS["filters"][:2])
    marks = sweeps.plan(["new", "none"], [0.3], [0.05], 2)
    sweeps.sweep(
        "toy",
        "mnist",
        marks,
        tmp_path,
        "class",
        0.3,
        0.05,
        network="dense",
        epochs=1,
        attacks=["few"],
    )
    paths = records.export(tmp_path, tmp_path / "results")
    assert [path.name for path in paths] == ["toy.csv", "toy_curves.csv", "toy_attacks.csv"]
    monkeypatch.setattr(records.runtime, "data_dir", lambda: tmp_path)
    table = records.load("toy_attacks")
    assert (
        len(table) == 4 * 3
        and set(table["scheme"]) == {"new label", "unmarked"}
        and set(table["seed"]) == {0, 1}
    )
    assert table["attack"].tolist() == ["no attack", "JPEG", "JPEG"] * 4
    unmarked = table[table.scheme == "unmarked"]
    assert (unmarked["fresh_key_accuracy"] == 0).all() and (
        unmarked["decision"] == "not marked"
    ).all()
    assert "attack" not in records.load("toy")


def test_a_spoilt_row_of_attacks_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "load", lambda *_: data)
    monkeypatch.setitem(GROUPS, "few", GROUPS["filters"][:1])
    (path,) = sweeps.sweep(
        "toy",
        "mnist",
        sweeps.plan(["none"], [0.3], [0.05], 1),
        tmp_path,
        "class",
        0.3,
        0.05,
        network="dense",
        epochs=1,
        attacks=["few"],
    )
    record = json.loads(path.read_text())
    record["attacks"][1]["clean_accuracy"] = 1.5
    path.write_text(json.dumps(record))
    with pytest.raises(ValueError, match=r"attacks\[1\]\.clean_accuracy"):
        records.read(tmp_path)
