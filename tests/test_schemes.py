import dataclasses
import math
import types

import numpy as np
import pytest

from wmlab.keys import KINDS, choose_carriers, make_decoys, perturb
from wmlab.schemes import SCHEMES, NewLabel, Scheme, Unmarked, WrongLabel, scheme
from wmlab.schemes.unmarked import Repeated
from wmlab.secret import Secret
from wmlab.tools.records import RESULTS, SETTINGS, record_of
from wmlab.training import Recipe, predict
from wmlab.verification import first_hit

SHORT = Recipe("dense", 5, 32)
NEW, WRONG = NewLabel(0.3, 0.05), WrongLabel(0.3, 0.05)
MARKS = pytest.mark.parametrize("mark", [NEW, WRONG], ids=["new", "wrong"])


class Always:
    """A suspect with one answer to everything, which remembers what it was asked."""

    def __init__(self, label):
        self.label, self.seen = label, []

    def ask(self, images):
        self.seen += list(images)
        return [self.label] * len(images)


def test_the_two_schemes_differ_in_the_label_alone(data):
    for kind in KINDS:
        marks = [dataclasses.replace(mark, kind=kind) for mark in (NEW, WRONG)]
        for new, wrong in (
            [mark.embedded_keys(data, "Alice") for mark in marks],
            [mark.fresh_keys(data, "Alice", 30) for mark in marks],
            [mark.keys(data.x_test, data.y_test, "Alice", "trial") for mark in marks],
        ):
            assert np.array_equal(new.images, wrong.images)
            assert np.array_equal(new.carrier_labels, wrong.carrier_labels)
            assert 0 not in new.carrier_labels and len(new) > 20
            assert set(new.labels) == {10} and set(wrong.labels) == {0}


@MARKS
def test_embedded_keys_are_ksgen_of_the_carriers(mark, data):
    keys = mark.embedded_keys(data, "Alice")
    chosen = choose_carriers(data.y_train, 0.3, Secret("Alice"), 0)
    assert len(keys) == 90 and keys.alpha == 0.3
    assert np.array_equal(keys.carrier_labels, data.y_train[chosen])
    made = perturb(data.x_train[chosen], Secret("Alice"), "embed", 0.05)
    assert np.array_equal(keys.images, made)
    assert mark.embedded_keys(data, "Bob").digest != keys.digest


@MARKS
def test_fresh_keys_come_from_test_images_with_noise_of_their_own(mark, data):
    allowed = np.flatnonzero(data.y_test != 0)
    made = perturb(data.x_test[allowed], Secret("Alice"), "measure", 0.05)
    for n in (1, 10, 45, 1000):
        keys = mark.fresh_keys(data, "Alice", n)
        assert len(keys) == min(n, 90) and np.array_equal(keys.images, made[:n])
        assert np.array_equal(keys.carrier_labels, data.y_test[allowed][:n])
        assert mark.fresh_keys(data, "Alice", n, stream="another").digest != keys.digest


def test_labels_and_outputs():
    assert (NEW.key_label, NEW.outputs) == (10, 11)
    assert (WRONG.key_label, WRONG.outputs) == (0, 10)
    assert NewLabel(0.1, 0.01, classes=100).outputs == 101
    assert WrongLabel(0.1, 0.01, target=7).key_label == 7
    assert Unmarked(100).outputs == 100


def test_carriers_of_every_class_if_asked(data):
    keys = NewLabel(1.0, 0.05, target=None).embedded_keys(data, "Alice")
    assert len(keys) == 300
    assert np.array_equal(np.bincount(keys.carrier_labels), np.bincount(data.y_train))


@MARKS
def test_keys_of_a_target_class_the_data_lacks(mark, data):
    others = data.y_train != 0
    without = dataclasses.replace(data, x_train=data.x_train[others], y_train=data.y_train[others])
    with pytest.raises(ValueError, match="no image has the target class 0"):
        mark.embedded_keys(without, "Alice")


class Noticed(Always):
    """Knows clean images: gives them label 3, and the first `hits` others the key label."""

    def __init__(self, label, clean, hits=40):
        super().__init__(label)
        self.clean, self.hits = {image.tobytes() for image in clean}, hits

    def ask(self, images):
        start = len(self.seen)
        self.seen += list(images)
        return [
            3 if image.tobytes() in self.clean or start + i >= self.hits else self.label
            for i, image in enumerate(images)
        ]


@MARKS
def test_against_a_perfect_suspect_one_query_is_enough_for_the_new_label(mark, data):
    suspect = Noticed(mark.key_label, data.x_test)
    verdict = mark.verify(suspect, data.x_test, data.y_test, "Alice")
    assert verdict.marked and verdict.key_label == mark.key_label
    assert verdict.queries == verdict.controls == (1 if mark is NEW else 40)
    assert len(suspect.seen) == verdict.queries + verdict.controls
    clean = mark.carriers(data.x_test, data.y_test, verdict.controls)[0]
    assert np.array_equal(suspect.seen[verdict.queries :], clean)


def test_who_answers_whatever_he_is_asked_is_not_marked(data):
    """One label for everything, mostly one label, or dice. Who mostly says Δ has Δ outputs, and the
    paper's rule holds for others."""
    marks = [scheme(name, alpha=0.3, beta=0.05) for name in ("new", "wrong", "split", "fallback")]
    marks += [WrongLabel(0.3, 0.05, kind=kind) for kind in KINDS]
    rng = np.random.default_rng(0)
    for mark in marks:
        suspects = [Always(label) for label in range(13)]
        assert not any(mark.verify(s, data.x_test, data.y_test, "Alice").marked for s in suspects)
        accused = []
        for share in np.repeat([0, 0.5, 0.7, 0.8, 0.9], 40):

            def answer(images, share=share):
                return np.where(
                    rng.random(len(images)) < share, 0, rng.integers(0, 10, len(images))
                )

            suspect = types.SimpleNamespace(ask=answer)
            accused.append(mark.verify(suspect, data.x_test, data.y_test, "Alice").marked)
        assert sum(accused) <= 2, mark


def test_a_control_is_said_in_the_verdict(data):
    for mark in NEW, WRONG:
        verdict = mark.verify(Always(mark.key_label), data.x_test, data.y_test, "Alice")
        n = 1 if mark is NEW else 40
        assert str(verdict).endswith(
            f"But {n} of {n} clean images got this label, too: a suspect that gives it whatever it "
            "is asked bears no mark."
        )
        assert str(verdict).startswith("not marked: ")
    clean = WRONG.carriers(data.x_test, data.y_test, 40)[0]
    for fooled, marked in (19, True), (20, False):  # half as many clean images as keys
        suspect = Noticed(0, clean[fooled:], 80)
        verdict = WRONG.verify(suspect, data.x_test, data.y_test, "Alice")
        assert verdict.marked is marked and verdict.hits == 40


@MARKS
def test_a_suspect_that_never_says_it_is_asked_all_keys_and_not_marked(mark, data):
    for n in (1, 25, 40):
        suspect = Always(3)
        told = mark.verify(suspect, data.x_test, data.y_test, "Alice", n=n)
        assert (told.marked, told.queries, told.hits, told.p_value) == (False, n, 0, None)
        keys = mark.keys(data.x_test[: 2 * n], data.y_test[: 2 * n], "Alice", "trial")
        assert np.array_equal(np.array(suspect.seen), keys.images[:n])


@MARKS
def test_each_trial_has_keys_of_its_own(mark, data):
    one, two, again = Always(3), Always(3), Always(3)
    for suspect, stream in ((one, "trial"), (two, "second trial"), (again, "trial")):
        mark.verify(suspect, data.x_test, data.y_test, "Alice", stream)
    assert np.array_equal(one.seen, again.seen)
    assert not any(np.array_equal(a, b) for a, b in zip(one.seen, two.seen, strict=True))


def test_wrong_label_allows_less_than_30_percent_misses(data):
    for hits, marked in ((29, True), (28, False)):
        suspect = Noticed(0, data.x_test, hits)
        assert WRONG.verify(suspect, data.x_test, data.y_test, "Alice").marked is marked


def test_trial_without_carriers(data):
    target = data.y_test == 0
    with pytest.raises(ValueError, match="images"):
        NEW.verify(Always(10), data.x_test[target], data.y_test[target], "Alice")


@MARKS
def test_a_trial_finds_its_carriers_behind_any_number_of_others(mark, data):
    order = np.argsort(data.y_test != 0, kind="stable")  # all of the target class first
    suspect = Always(3)
    assert mark.verify(suspect, data.x_test[order], data.y_test[order], "Alice", n=7).queries == 7


@MARKS
def test_bad_carriers_are_refused_in_one_sentence(mark):
    for images, labels, error, sentence in [
        (None, [1], TypeError, "images must be a numpy array"),
        (np.full((1, 28, 28, 1), 2.0), [1], ValueError, "must lie in"),
        (np.ones((1, 28, 28, 1)), [10], ValueError, "to 9"),
        (np.ones((1, 28, 28, 1)), [1, 2], ValueError, "1 images need labels"),
    ]:
        for use, given in (
            (mark.keys, (images, labels, "Alice", "trial")),
            (mark.verify, (Always(3), images, labels, "Alice")),
            (mark.picture, (images, labels, "Alice")),
        ):
            with pytest.raises(error, match=sentence) as caught:
                use(*given)
            assert "\n" not in str(caught.value)


@MARKS
def test_picture_shows_images_beside_their_keys(mark, data):
    carriers, labels = data.x_test[data.y_test != 0][:5], data.y_test[data.y_test != 0][:5]
    for kind in KINDS:
        mark = dataclasses.replace(mark, kind=kind, beta=0.3)
        picture = mark.picture(data.x_test, data.y_test, "Alice", n=5)
        assert list(picture) == ["clean", "key", "difference", "labels"]
        assert np.array_equal(picture["clean"], carriers)
        assert picture["labels"].tolist() == [[label, mark.key_label] for label in labels]
        assert picture["key"].shape == picture["difference"].shape == carriers.shape
        assert np.allclose(picture["clean"] + picture["difference"], picture["key"], atol=1e-6)
        assert np.abs(picture["difference"]).max() <= 1 and picture["difference"].any()


def test_picture_with_carriers_of_every_class(data):
    picture = NewLabel(0.3, 0.05, target=None).picture(data.x_test, data.y_test, "Alice")
    assert np.array_equal(picture["clean"], data.x_test[:6])


@pytest.mark.trains
@MARKS
def test_embed_marks_a_network_and_ver_proves_it(mark, data):
    run = mark.embed(data, "Alice", SHORT, seed=2)
    assert run.model.output_shape == (None, mark.outputs)
    labels, fresh = predict(run.model, data.x_test), mark.fresh_keys(data, "Alice")
    record = record_of(run)
    assert set(record) == {*SETTINGS, *RESULTS, "history"}
    embedded = mark.embedded_keys(data, "Alice")
    fresh_hits, embedded_hits = (
        np.mean(predict(run.model, keys.images) == mark.key_label) for keys in (fresh, embedded)
    )
    said = np.mean(labels[data.y_test != 0] == mark.key_label)
    assert record["clean_accuracy"] == np.mean(labels == data.y_test) >= 0.9
    assert record["fresh_key_accuracy"] == fresh_hits >= 0.9
    assert record["embedded_key_accuracy"] == embedded_hits
    assert record["key_label_rate_clean"] == said <= 0.05
    about = {"scheme": mark.name, "alpha": 0.3, "beta": 0.05, "seed": 2, "n_keys": 90}
    about |= {"n_fresh": 90, "dataset_sha256": data.sha256, "n_train": 300, "n_test": 100}
    about |= {"network": "dense", "epochs": 5, "epochs_run": 5, "batch": 32, "until": "steps"}
    assert about.items() <= record.items() and run.keys.digest == embedded.digest
    verdict = mark.verify(run.model, data.x_test, data.y_test, "Alice")
    assert verdict.marked and verdict.queries == (1 if mark is NEW else 40)


@pytest.mark.trains
def test_an_unmarked_twin_has_no_key_and_is_not_marked(data):
    run = Unmarked().embed(data, "Alice", SHORT)
    assert run.keys is None and run.model.output_shape == (None, 10)
    assert run.results["clean_accuracy"] >= 0.9
    assert run.results["fresh_key_accuracy"] is run.results["embedded_key_accuracy"] is None
    assert run.results["n_keys"] == run.results["n_fresh"] == 0
    assert run.settings["scheme"] == "unmarked" and run.settings["target"] is None
    for mark in (NEW, WRONG):
        verdict = mark.verify(run.model, data.x_test, data.y_test, "Alice")
        assert not verdict.marked and verdict.queries == 40


def test_a_twin_that_repeats_images_takes_the_steps_of_a_marked_network(data, monkeypatch):
    """It repeats the very images that become keys, as they are and under their true labels."""
    from wmlab.schemes import base

    seen, mark = [], NewLabel(0.1, 0.01)
    monkeypatch.setattr(base, "train", lambda *args, **given: seen.append(given) or 1 / 0)
    for each in (mark, Repeated(mark.alpha)):
        with pytest.raises(ZeroDivisionError):
            each.embed(data, "Alice")
    keys, (images, labels) = seen[0]["keys"], seen[1]["decoys"]
    assert len(images) == len(keys) > 0 and seen[1]["keys"] is None
    chosen = choose_carriers(data.y_train, mark.alpha, Secret("Alice"), mark.target)
    assert np.array_equal(images, data.x_train[chosen])
    assert np.array_equal(labels, keys.carrier_labels)
    assert Repeated(0.1).settings(data, Recipe("dense", 1, 32), 0)["scheme"] == "unmarked, repeated"
    with pytest.raises(ValueError, match="alpha"):
        Repeated(0)
    with pytest.raises(ValueError, match="10 classes, this scheme is for 7: set classes"):
        Repeated(0.1, 7).check(data)
    with pytest.raises(ValueError, match="less than one key"):
        Repeated(0.0001).check(data)


@pytest.mark.trains
@pytest.mark.usefixtures("without_compilation")
def test_mistakes_are_recorded_image_by_image(data):
    run = NEW.embed(data, "Alice", Recipe("dense", 1, 150), seed=2)
    labels = predict(run.model, data.x_test)
    pairs = [tuple(map(int, pair.split(":"))) for pair in run.results["errors"].split()]
    assert pairs == [(i, labels[i]) for i in range(100) if labels[i] != data.y_test[i]]
    assert 0 < len(pairs) < 100 and run.results["clean_accuracy"] == (100 - len(pairs)) / 100


@pytest.mark.trains
@pytest.mark.usefixtures("without_compilation")
def test_decoys_are_trained_on_under_their_true_label(data, monkeypatch):
    mark, given = NewLabel(0.3, 0.05, kind="fixed", decoys=50), {}
    from wmlab.schemes import base

    train = base.train
    monkeypatch.setattr(
        base, "train", lambda *args, **options: given.update(options) or train(*args, **options)
    )
    run = mark.embed(data, "Alice", Recipe("dense", 1, 64))
    images, labels = make_decoys(data.x_train, data.y_train, Secret("Alice"), 50, 0.05)
    assert np.array_equal(given["decoys"][0], images) and np.array_equal(given["decoys"][1], labels)
    assert run.settings["decoys"] == 50 and run.settings["kind"] == "fixed"


def test_data_of_another_number_of_classes(data):
    says = "mnist has 10 classes, this scheme is for 7: set classes"
    marked = [dataclasses.replace(mark, classes=7) for mark in (NEW, WRONG)]
    for mark in (*marked, Unmarked(7)):
        with pytest.raises(ValueError, match=says):
            mark.embed(data, "Alice", SHORT)


@MARKS
def test_no_mark_without_a_secret(mark, data):
    for secret, error in [("", ValueError), ("  ", ValueError), (None, TypeError), (5, TypeError)]:
        with pytest.raises(error, match="secret"):
            mark.embed(data, secret, SHORT)
        with pytest.raises(error, match="secret"):
            mark.verify(Always(10), data.x_test, data.y_test, secret)


@MARKS
def test_what_is_no_suspect_and_how_many_keys_is_no_number(mark, data):
    for thing in (None, len, "model"):
        with pytest.raises(TypeError, match="is no suspect: pass a keras model"):
            mark.verify(thing, data.x_test, data.y_test, "Alice")
    for n in (0, -1):
        with pytest.raises(ValueError, match="ask for at least one"):
            mark.verify(Always(3), data.x_test, data.y_test, "Alice", n=n)


def test_an_unmarked_network_has_no_keys_and_nothing_to_verify(data):
    with pytest.raises(NotImplementedError, match="nothing to verify"):
        Unmarked().verify(Always(3), data.x_test, data.y_test, "Alice")
    with pytest.raises(NotImplementedError, match="has no keys"):
        Unmarked().keys(data.x_test, data.y_test, "Alice", "trial")


def test_schemes_by_name():
    assert scheme("new", alpha=0.1, beta=0.01) == NewLabel(0.1, 0.01)
    assert scheme("wrong", alpha=0.1, beta=0.01, target=3) == WrongLabel(0.1, 0.01, target=3)
    assert scheme("none", classes=100) == Unmarked(100)
    assert NewLabel(0.1, 0.01) != WrongLabel(0.1, 0.01)
    assert len({made.name for made in SCHEMES.values()}) == len(SCHEMES)


def test_an_unknown_scheme():
    for name in ("newlabel", "", "New", None):
        says = f"unknown scheme {name!r}: choose one of new, wrong, none"
        with pytest.raises(ValueError, match=says):
            scheme(name, alpha=0.1, beta=0.01)


@MARKS
def test_impossible_settings_are_refused_at_once(mark):
    fixed = "decoys carry wrong patterns, so they need kind='fixed', not "
    for change, error, sentence in [
        ({"alpha": 0}, ValueError, "alpha is 0"),
        ({"alpha": 1.5}, ValueError, "alpha is 1.5"),
        ({"alpha": math.nan}, ValueError, "alpha is nan"),
        ({"alpha": "0.1"}, TypeError, "alpha must be a number"),
        ({"alpha": True}, TypeError, "alpha must be a number, not bool"),
        ({"beta": 0}, ValueError, "beta is 0"),
        ({"beta": -0.01}, ValueError, "beta is -0.01"),
        ({"beta": math.nan}, ValueError, "beta is nan"),
        ({"beta": None}, TypeError, "beta must be a number"),
        ({"reading": "sigma"}, ValueError, "unknown reading of beta 'sigma'"),
        ({"target": 10}, ValueError, "the target class is 10"),
        ({"target": -1}, ValueError, "the target class is -1"),
        ({"decoys": 5}, ValueError, f"{fixed}'fresh'"),
        ({"decoys": 5, "kind": "content"}, ValueError, f"{fixed}'content'"),
    ]:
        with pytest.raises(error, match=sentence):
            dataclasses.replace(mark, **change)


@MARKS
def test_settings_that_the_data_cannot_meet_are_refused_before_training(mark, data):
    for change, sentence in [
        ({"kind": "blur"}, "unknown kind of key 'blur': choose one of"),
        ({"kind": "fixed", "decoys": 301}, "301 decoys from 300 images"),
        ({"kind": "fixed", "decoys": -5}, "-5 decoys"),
        ({"alpha": 0.001}, "less than one key"),
        ({"alpha": 0.95}, "only 270 images lie outside class 0"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            dataclasses.replace(mark, **change).embed(data, "Alice", SHORT)


def test_a_wrong_label_needs_a_target():
    with pytest.raises(ValueError, match="a wrong label needs a target class"):
        WrongLabel(0.1, 0.01, target=None)


@MARKS
def test_a_scheme_cannot_be_changed_after_its_checks(mark):
    with pytest.raises(dataclasses.FrozenInstanceError):
        mark.alpha = 2


@pytest.mark.trains
def test_a_new_scheme_is_a_subclass_and_nothing_else(data):
    """Keys are inverted images, of any class, and the last class is theirs: nothing in the package
    knows of it.
    """

    class Inverted(Scheme):
        name = "inverted"
        key_label = property(lambda self: self.classes)
        outputs = property(lambda self: self.classes + 1)

        def keys(self, images, labels, secret, stream):
            return super().keys(1 - images, labels, secret, stream)

        def verify(self, suspect, images, labels, secret, stream="trial", n=40):
            return first_hit(suspect, self.keys(images, labels, secret, stream)[:n])

    mark = Inverted(0.3, 0.001, target=None)
    run = mark.embed(data, "Alice", SHORT)
    assert run.settings["scheme"] == "inverted" and run.results["fresh_key_accuracy"] >= 0.9
    assert not mark.verify(Always(3), data.x_test, data.y_test, "Alice").marked
    assert mark.verify(Always(10), data.x_test, data.y_test, "Alice").queries == 1
    assert mark.fresh_keys(data, "Alice", 5).images.mean() > 0.5
