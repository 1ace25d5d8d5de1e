"""Lesson 13: the reckoning of time, one's own network beside the paper, and the checks."""

import dataclasses
import types

import numpy as np
import pandas as pd
import pytest

from wmlab import attacks
from wmlab.lessons import check, full_scale
from wmlab.training import Recipe, logits


def test_time_is_reckoned_from_the_second_short_epoch(data, monkeypatch):
    seen = []

    def train(part, outputs, how, name):
        seen.append((len(part.x_train), outputs, how.epochs))
        return types.SimpleNamespace(history=[{"seconds": 100.0}, {"seconds": 3.0}])

    monkeypatch.setattr(full_scale, "train", train)
    how = Recipe("dense", 7, 10)
    images = len(data.x_train)
    assert full_scale.seconds(data, how) == pytest.approx(3 * 7 * images / 120)
    few = dataclasses.replace(data, x_train=data.x_train[:50], y_train=data.y_train[:50])
    assert full_scale.seconds(few, how) == pytest.approx(3 * 7)
    assert seen == [(120, data.classes, 2), (50, data.classes, 2)]


def test_durations_in_words_and_the_question():
    expected = {4: "4 seconds", 89: "89 seconds", 150: "2 minutes", 5399: "90 minutes"}
    expected[9000] = "2.5 hours"
    for seconds, words in expected.items():
        assert full_scale.in_words(seconds) == words
    for seconds, place in {59: 0, 60: 1, 599: 1, 600: 2}.items():
        question = full_scale.how_long(seconds)
        assert question.answer == question.options[place]


def test_keys_of_the_paper_and_of_the_class():
    assert full_scale.strength("mnist", "paper") == (0.01, 0.0035)
    assert full_scale.strength("cifar100", "paper") == (0.01, 0.01)
    assert full_scale.strength("cifar10", "class") == (0.1, 0.01)


def test_what_is_left_of_a_network(shipped, digits):
    bob, model = attacks.halves(digits), shipped["new_label"]
    from wmlab import zoo
    from wmlab.schemes import NewLabel

    keys = NewLabel(0.1, 0.01).fresh_keys(bob, zoo.ALICE)
    left = full_scale.left(model, bob, keys)
    answers = logits(model, keys.images).argmax(axis=1)
    assert left["fresh keys hit"] == np.mean(answers == 10) > 0.9
    clean = logits(model, bob.x_test).argmax(axis=1)
    assert left["clean images right"] == pytest.approx(np.mean(clean == bob.y_test))
    by_rate = full_scale.pruned(model, bob, keys)
    assert by_rate.loc[0.0].to_dict() == pytest.approx(left)
    assert by_rate.loc[0.9, "clean images right"] < 0.8
    figure = full_scale.fates(by_rate, by_rate.rename(index=lambda rate: 10 * rate))
    drawn = {(trace["name"], trace["xaxis"]): trace for trace in figure["data"]}
    assert len(drawn) == 4
    for name in by_rate:
        assert drawn[name, "x"]["y"].tolist() == by_rate[name].tolist()
        assert drawn[name, "x2"]["x"].tolist() == [10 * rate for rate in full_scale.RATES]


def test_beside_the_paper():
    by_rate = pd.DataFrame({"fresh keys hit": {0.0: 0.9, 0.8: 0.7}})
    by_epoch = pd.DataFrame({"fresh keys hit": {0: 0.9, 4: 0.3}})
    results = {"fresh_key_accuracy": 0.8, "clean_accuracy": 0.881}
    table = full_scale.beside_the_paper(
        "cifar10", results, by_rate, by_epoch, {"fresh keys hit": 0}
    )
    assert table["mine"].tolist() == ["88.1%", "80.0%", "1.25", "70.0%", "30.0%", "0.0%"]
    assert table["the paper"].iloc[0] == "87%"


def test_checks(shipped):
    results, model = {"fresh_key_accuracy": 0.8}, shipped["new_label"]
    for answer, right in {1.25: True, "1.25": True, 0.8: False, 2: False}.items():
        assert check("13.1", answer, results) is right
    assert check("13.1", 1.0, {"fresh_key_accuracy": 0.0}) is False
    answers = {
        lambda outputs, classes: outputs[:, :-1].argmax(axis=1): True,
        lambda outputs, classes: outputs.argmax(axis=1): False,
        lambda outputs, classes: outputs[:, :classes].argmin(axis=1): False,
        lambda outputs, classes: outputs[:, :classes]: False,
        lambda outputs: outputs: False,
    }
    for answer, right in answers.items():
        assert check("13.2", answer, model) is right
