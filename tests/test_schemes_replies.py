"""The owner's replies: keys with labels of their own, the split label, and two marks in one
network.
"""

import dataclasses
import itertools

import numpy as np
import pytest

from wmlab import attacks, battery, fleet
from wmlab.keys import make_keys, perturb
from wmlab.schemes import Fallback, NewLabel, SplitLabel, WrongLabel, scheme, split_label
from wmlab.schemes.base import Scheme
from wmlab.secret import Secret
from wmlab.tools import sweeps
from wmlab.training import Recipe, predict, train

SPLIT, BOTH = SplitLabel(0.3, 0.05), Fallback(0.3, 0.05)


class Says:
    """A suspect whose answer to an image is looked up, and which counts."""

    def __init__(self, keys, labels):
        self.asked, pairs = 0, zip(keys, labels, strict=True)
        self.answers = {image.tobytes(): int(label) for image, label in pairs}  # others get 3

    def ask(self, images):
        self.asked += len(images)
        return np.array([self.answers.get(image.tobytes(), 3) for image in images])


class TestOwnLabels:
    def test_they_are_the_labels_of_the_keys_and_go_with_them(self, data):
        given = data.x_test[:6], data.y_test[:6]
        plain = make_keys(*given, Secret("a"), "s", key_label=10, beta=0.01)
        own = dataclasses.replace(plain, own_labels=np.array([10, 11, 12, 10, 0, 3]))
        assert plain.labels.tolist() == [10] * 6 and own.labels.tolist() == [10, 11, 12, 10, 0, 3]
        assert own[1:4].labels.tolist() == [11, 12, 10] and own[[4, 0]].labels.tolist() == [0, 10]
        assert len(own[1:4]) == 3 and np.array_equal(own[1:4].images, plain.images[1:4])

    def test_a_digest_is_over_them_too(self, data):
        given = data.x_test[:3], data.y_test[:3]
        plain = make_keys(*given, Secret("a"), "s", key_label=10, beta=0.01)
        labels = [None, *map(np.array, ([10, 10, 10], [10, 11, 10], [11, 10, 10]))]
        digests = [dataclasses.replace(plain, own_labels=own).digest for own in labels]
        assert len(set(digests)) == 4 and digests[0] == plain.digest

    def test_they_are_what_is_trained_on_and_watched(self, data):
        given = data.x_train[:60], data.y_train[:60]
        keys = make_keys(*given, Secret("a"), "embed", key_label=10, beta=0.05)
        own = dataclasses.replace(keys, own_labels=10 + keys.carrier_labels % 2)
        run = train(data, 12, Recipe("dense", 6, 32), keys=own, fresh=own[:20], seed=0)
        answers = predict(run.model, own.images)
        assert np.mean(answers == own.labels) > 0.8 > np.mean(answers == 10)
        assert run.history[-1]["embedded_key_accuracy"] == np.mean(answers == own.labels)
        assert run.history[-1]["fresh_key_accuracy"] == np.mean(answers[:20] == own.labels[:20])


class TestSplit:
    def test_the_secret_deals_every_class_a_new_label_as_evenly_as_it_goes(self):
        tables = [SPLIT.table(f"secret {i}") for i in range(300)]
        for table in tables:
            assert sorted(np.bincount(table)[10:].tolist()) == [3, 3, 4] and table.min() == 10
        # 3 of 10 places have the second label
        share = np.mean([table[7] == 11 for table in tables])
        assert abs(share - 0.3) < 4.5 * np.sqrt(0.3 * 0.7 / 300)
        assert len({tuple(table) for table in tables}) > 200
        assert np.array_equal(SPLIT.table("Alice"), SPLIT.table(Secret("Alice")))

    def test_keys_are_those_of_the_new_label_but_for_the_label(self, data):
        split, new = (mark.fresh_keys(data, "Alice") for mark in (SPLIT, NewLabel(0.3, 0.05)))
        assert np.array_equal(split.images, new.images)
        assert np.array_equal(split.carrier_labels, new.carrier_labels)
        assert np.array_equal(split.labels, SPLIT.table("Alice")[new.carrier_labels])
        assert (SPLIT.key_label, SPLIT.outputs) == (10, 13)
        chosen = SPLIT.embedded_keys(data, "Alice")
        assert chosen.alpha == 0.3 and set(chosen.labels) == {10, 11, 12}

    def answers(self, data, make, n=40, secret="Alice"):
        keys = SPLIT.keys(*SPLIT.carriers(data.x_test, data.y_test, n), secret, "trial")
        suspect = Says(keys.images, make(keys))
        return SPLIT.verify(suspect, data.x_test, data.y_test, secret, n=n), suspect

    def test_its_owner_is_believed(self, data):
        verdict, suspect = self.answers(data, lambda keys: keys.labels)
        assert verdict.marked and verdict.p_value < 0.002
        assert verdict.hits == verdict.queries == suspect.asked == 40

    def test_who_does_not_know_the_table_is_not_believed(self, data):
        for make in (
            lambda keys: np.full(len(keys), 10),
            lambda keys: np.full(len(keys), 12),
            lambda keys: keys.carrier_labels,
            lambda keys: SPLIT.table("a stranger's")[keys.carrier_labels],
            lambda keys: 10 + np.arange(len(keys)) % 3,
        ):
            verdict, _ = self.answers(data, make)
            assert not verdict.marked and (verdict.p_value is None) == (verdict.hits == 0)

    def test_p_is_the_share_of_tables_that_fit_as_well(self, data, monkeypatch):
        """Against all tables there are, of five classes dealt to three labels."""
        monkeypatch.setattr(split_label, "DRAWN", 20_000)
        mark = SplitLabel(0.3, 0.05, classes=5)
        few = data.y_test < 5
        images, labels = data.x_test[few], data.y_test[few]
        keys = mark.keys(*mark.carriers(images, labels, 30), "Alice", "trial")
        answers = np.where(np.arange(len(keys)) % 4, keys.labels, 5)
        verdict = mark.verify(Says(keys.images, answers), images, labels, "Alice", n=30)
        fits = [
            np.sum(answers == np.array(dealt)[keys.carrier_labels])
            for dealt in itertools.permutations([5, 6, 7, 5, 6])
        ]
        assert verdict.hits == np.sum(answers == keys.labels)
        exact = np.mean(np.array(fits) >= verdict.hits)
        error = np.sqrt(exact * (1 - exact) / 20_000)
        assert 0 < exact < 0.3 and abs(verdict.p_value - exact) < 4.5 * error + 1e-4

    def test_strangers_are_believed_about_as_often_as_the_level_says(self, data):
        answers = lambda keys: SPLIT.table("Alice")[keys.carrier_labels]  # noqa: E731
        believed = [
            self.answers(data, answers, secret=f"stranger {i}")[0].marked for i in range(200)
        ]
        assert np.mean(believed) <= 0.01 + 4.5 * np.sqrt(0.01 * 0.99 / 200)

    def test_without_a_hit_there_is_nothing_to_explain(self, data):
        verdict, _ = self.answers(data, lambda keys: keys.carrier_labels)
        assert (verdict.hits, verdict.p_value, verdict.decision) == (0, None, "not marked")


class TestFallback:
    def test_keys_turn_about(self, data):
        keys = BOTH.keys(data.x_test, data.y_test, "Alice", "trial")
        carriers = np.flatnonzero(data.y_test != 0)
        assert keys.labels.tolist() == [10, 0] * 45
        assert np.array_equal(keys.carrier_labels, data.y_test[carriers])
        new = perturb(data.x_test[carriers[::2]], "Alice", "trial", 0.05)
        logo = perturb(data.x_test[carriers[1::2]], "Alice", "trial", 0.7, "content")
        assert np.array_equal(keys.images[::2], new) and np.array_equal(keys.images[1::2], logo)
        assert (BOTH.key_label, BOTH.outputs) == (10, 11)

    def test_any_number_of_keys(self, data):
        for n in (1, 2, 3, 40):
            keys = BOTH.fresh_keys(data, "Alice", n)
            assert keys.labels.tolist() == [10, 0] * (n // 2) + [10] * (n % 2)

    def verdict(self, data, new, wrong, n=40):
        """Of a suspect that gives so many keys of each half their label, the first ones."""
        keys = BOTH.keys(*BOTH.carriers(data.x_test, data.y_test, n), "Alice", "trial")
        answers = np.full(n, 3)
        answers[np.flatnonzero(keys.labels == 10)[:new]] = 10
        answers[np.flatnonzero(keys.labels == 0)[:wrong]] = 0
        suspect = Says(keys.images, answers)
        return BOTH.verify(suspect, data.x_test, data.y_test, "Alice", n=n), suspect.asked

    def test_the_first_new_label_ends_it(self, data):
        verdict, asked = self.verdict(data, 20, 20)
        assert verdict.marked and verdict.queries == verdict.controls == asked / 2 == 1
        assert verdict.key_label == 10

    def test_without_one_the_wrong_label_decides_by_its_threshold(self, data):
        for wrong, marked in [(20, True), (15, True), (14, False), (0, False)]:
            verdict, asked = self.verdict(data, 0, wrong)
            assert verdict.marked is marked and verdict.hits == wrong and verdict.key_label == 0
            assert verdict.queries == 40 and "20 keys" in verdict.note
            assert verdict.controls == asked - 40 == (20 if marked else 0)

    def test_with_one_key_there_is_nothing_to_fall_back_on(self, data):
        verdict, asked = self.verdict(data, 0, 0, n=1)
        assert not verdict.marked and verdict.queries == asked == 1 and verdict.key_label == 10

    def test_settings_that_leave_no_second_mark(self):
        with pytest.raises(ValueError, match="needs a target class"):
            dataclasses.replace(BOTH, target=None)
        with pytest.raises(ValueError, match="is how the keys"):
            dataclasses.replace(BOTH, kind="content")


def test_they_have_short_names_and_can_be_swept():
    assert scheme("split", alpha=0.1, beta=0.01) == SplitLabel(0.1, 0.01)
    assert scheme("fallback", alpha=0.1, beta=0.01) == Fallback(0.1, 0.01)
    planned = [mark for mark, _ in sweeps.plan(["split", "fallback", "new"], [0.1], [0.01], 1)]
    assert planned == [SplitLabel(0.1, 0.01), Fallback(0.1, 0.01), NewLabel(0.1, 0.01)]
    assert len({mark.name for mark in planned}) == 3


@pytest.mark.trains
@pytest.mark.parametrize("mark", [SPLIT, BOTH], ids=["split", "fallback"])
def test_a_network_learns_them_and_a_cut_leaves_what_it_should(mark, data, monkeypatch):
    run = mark.embed(data, "Alice", Recipe("dense", 12, 32), seed=2)
    keys, answers = mark.fresh_keys(data, "Alice"), predict(run.model, data.x_test)
    hits = predict(run.model, keys.images) == keys.labels
    assert run.results["fresh_key_accuracy"] == hits.mean() > 0.75
    assert run.results["clean_accuracy"] > 0.85
    embedded = mark.embedded_keys(data, "Alice")
    found = np.mean(predict(run.model, embedded.images) == embedded.labels)
    assert run.results["embedded_key_accuracy"] == found
    said = np.isin(answers, [10, 11, 12] if mark is SPLIT else [10, 0])
    assert run.results["key_label_rate_clean"] == said[data.y_test != 0].mean()
    assert mark.verify(run.model, data.x_test, data.y_test, "Alice").marked
    cut = run.model
    while cut.output_shape[-1] > 10:
        cut = attacks.drop_output(cut, data)
    left = predict(cut, keys.images) == keys.labels
    if mark is SPLIT:
        assert left.mean() == 0 and not mark.verify(cut, data.x_test, data.y_test, "Alice").marked
    else:
        assert left[::2].mean() == 0 and left[1::2].mean() >= hits[1::2].mean() > 0.7
        assert mark.verify(cut, data.x_test, data.y_test, "Alice").marked
    monkeypatch.setitem(battery.GROUPS, "one", battery.GROUPS["filters"][:1])
    rows = battery.attacked(run.model, mark, data, "Alice", 0, ["one"])
    assert rows[0]["decision"] == "marked" and rows[0]["fresh_key_accuracy"] > 0.7


@pytest.mark.slow
@pytest.mark.trains
def test_a_fleet_watches_their_labels_as_training_alone_does(data):
    how, jobs = Recipe("dense", 2, 64), [(SPLIT, 0, "Alice"), (SPLIT, 1, "Carol")]
    runs = fleet.embed(data, jobs, how)
    for (mark, _, secret), run in zip(jobs, runs, strict=True):
        keys = mark.fresh_keys(data, secret)
        hits = np.mean(predict(run.model, keys.images) == keys.labels)
        assert run.history[-1]["fresh_key_accuracy"] == pytest.approx(hits, abs=0.02)


def test_what_one_label_for_all_keys_recorded_is_what_it_was(data):
    run = WrongLabel(0.3, 0.05).embed(data, "Alice", Recipe("dense", 2, 64), seed=0)
    answers = predict(run.model, data.x_test)
    assert run.results["key_label_rate_clean"] == np.mean(answers[data.y_test != 0] == 0)
    assert issubclass(SplitLabel, Scheme) and run.keys.own_labels is None
