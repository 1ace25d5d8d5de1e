"""The null gallery: innocent networks with Δ outputs, the keys all of them were asked, and what is
on record of them.
"""

import dataclasses

import numpy as np
import pytest

from wmlab import records, runtime
from wmlab.keys import KeySet, perturb
from wmlab.schemes import NewLabel, Unmarked, WrongLabel, innocents, scheme
from wmlab.schemes.innocents import (
    INNOCENTS,
    PUBLIC,
    NoiseClass,
    Noisy,
    Reject,
    Unreadable,
    public_keys,
)
from wmlab.secret import Secret
from wmlab.tools import sweeps
from wmlab.tools.sweeps import plan, sweep
from wmlab.training import predict
from wmlab.verification import Measured, first_hit

GALLERY = runtime.data_dir() / "results" / "gallery.csv"


@pytest.fixture(scope="session")
def many(data):
    """The small data set with as many images as innocents are taught."""
    return dataclasses.replace(
        data, x_train=np.tile(data.x_train, (2, 1, 1, 1)), y_train=np.tile(data.y_train, 2)
    )


def test_an_innocent_has_one_output_more_and_no_keys_of_its_own(many):
    for kind in INNOCENTS.values():
        mark = kind()
        assert isinstance(mark, Unmarked) and (mark.alpha, mark.beta) == (0, 0)
        assert (mark.outputs, kind(7).outputs) == (11, 8)
        with pytest.raises(NotImplementedError, match="nothing to verify"):
            mark.verify(None, many.x_test, many.y_test, "a secret")
        with pytest.raises(NotImplementedError, match="has no keys"):
            mark.keys(many.x_test, many.y_test, "a secret", "trial")


def test_what_is_rejected_is_drawn_by_the_secret_and_new_for_the_test(many):
    for kind in INNOCENTS.values():
        rejected, fresh, _ = kind()._made(many, "one")
        for keys in (rejected, fresh):
            assert isinstance(keys, KeySet) and len(keys) == 400 and keys.key_label == 10
            assert keys.images.dtype == np.float32 and keys.images.shape[1:] == (28, 28, 1)
            assert 0 <= keys.images.min() <= keys.images.max() <= 1
        again, other = (kind()._made(many, secret)[0].digest for secret in ("one", "two"))
        assert rejected.digest == again and len({again, other, fresh.digest}) == 3


def test_kinds_and_names_are_different(many):
    assert len({kind.name for kind in (Unmarked, *INNOCENTS.values())}) == 5
    made = {name: kind()._made(many, "one") for name, kind in INNOCENTS.items()}
    both = made["reject"][0].digest, made["noisy"][0].digest
    assert both[0] == both[1], "noisy images come on top of the reject class"
    assert len({material[0].digest for material in made.values()}) == 3
    assert [name for name, material in made.items() if material[2] is not None] == ["noisy"]


def test_junk_is_half_shuffled_digits_half_clouds(many):
    junk = Reject().rejected(many, "one")
    known = {tuple(sorted(image.ravel().tolist())) for image in many.x_train}
    shuffled = [tuple(sorted(image.ravel().tolist())) in known for image in junk]
    assert shuffled == [True] * 200 + [False] * 200
    digits = {image.tobytes() for image in many.x_train}
    assert not any(image.tobytes() in digits for image in junk)
    rough = np.abs(np.diff(junk, axis=1)).mean(axis=(1, 2, 3))
    assert rough[200:].max() < 0.12 < rough[:200].mean() * 2, "clouds are smooth"


def test_pure_noise_is_uniform_noise(many):
    noise = NoiseClass().rejected(many, "one")
    assert len(np.unique(noise)) == 256, "it has the grid of a picture"
    deviation = np.sqrt(1 / 12 / noise.size)
    assert abs(noise.mean() - 0.5) <= 4.5 * deviation and abs(noise.var() - 1 / 12) <= 0.001
    beside = np.corrcoef(noise[:, :, :-1].ravel(), noise[:, :, 1:].ravel())[0, 1]
    assert abs(beside) <= 4.5 / np.sqrt(noise.size)


def test_unreadable_digits_are_noisier_than_any_key(many):
    # grey images, where hardly anything is clipped
    grey = dataclasses.replace(many, x_train=np.full_like(many.x_train, 0.5))
    deviations = Unreadable().rejected(grey, "one").std(axis=(1, 2, 3))
    assert 0.18 < deviations.min() < 0.22, "half of 0.6 is lost to clipping"
    assert 0.35 < deviations.max() < 0.45
    assert deviations.min() > 1.8 * np.sqrt(0.01)
    digits = Unreadable().rejected(many, "one")
    chosen = Secret("one").rng("junk").permutation(len(many.x_train))[:400]
    alike = [
        np.corrcoef(image.ravel(), many.x_train[row].ravel())[0, 1]
        for image, row in zip(digits, chosen, strict=True)
    ]
    assert np.mean(alike) > 0.2, "there is a digit under the noise"


def test_robust_training_shows_noisy_digits_under_their_true_label(many):
    _, _, (images, labels) = Noisy()._made(many, "one")
    chosen = Secret("one").rng("noisy").permutation(len(many.x_train))[:400]
    assert np.array_equal(labels, many.y_train[chosen]) and 10 not in labels
    noisy = perturb(many.x_train[chosen], Secret("one"), "noisy images", 0.01)
    assert np.array_equal(images, noisy)


def test_public_keys_are_the_same_images_for_both_schemes_and_nobodys_secret(data):
    new, wrong = (public_keys(mark(0.1, 0.01), data) for mark in (NewLabel, WrongLabel))
    assert np.array_equal(new.images, wrong.images) and (new.key_label, wrong.key_label) == (10, 0)
    assert len(new) == 90 and 0 not in new.carrier_labels
    public = NewLabel(0.5, 0.01).keys(data.x_test, data.y_test, PUBLIC, "gallery")
    assert np.array_equal(new.images, public.images)
    images, labels = np.tile(data.x_test, (2, 1, 1, 1)), np.tile(data.y_test, 2)
    twice = dataclasses.replace(data, x_test=images, y_test=labels)
    assert len(public_keys(NewLabel(0.1, 0.01), twice)) == 100 == innocents.ASKED


def test_a_sweep_plans_innocents_once_a_seed():
    planned = plan(["none", *INNOCENTS, "new"], [0.1, 0.2], [0.01], 3, classes=7)
    kinds = [Unmarked, Reject, NoiseClass, Noisy, Unreadable, NewLabel, NewLabel]
    assert [type(mark) for mark, seed in planned if seed == 1] == kinds
    assert len(planned) == 21 and {mark.classes for mark, _ in planned} == {7}
    with pytest.raises(ValueError, match="unknown scheme 'reject'"):
        scheme("reject")


@pytest.mark.trains
def test_a_sweep_records_what_each_network_answers_to_the_public_keys(many, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "load", lambda *args: many)
    models, measured = {}, sweeps.measured

    def kept(run, job, data, **how):
        models[job.mark.name] = run.model
        return measured(run, job, data, **how)

    monkeypatch.setattr(sweeps, "measured", kept)
    marks = plan(["none", *INNOCENTS, "new", "wrong"], [0.3], [0.05], 1)
    how = {"scale": "class", "network": "dense", "epochs": 4, "batch": 32, "answers": True}
    keyed = {"alpha": 0.3, "beta": 0.05, "follow": lambda name: None}
    sweep("toy", "mnist", marks, tmp_path / "results", **how, **keyed)
    table = records.load("toy", tmp_path / "results")
    keys = public_keys(NewLabel(0.3, 0.05), many)
    for name, answers in zip(table.scheme, records.answers(table), strict=True):
        assert np.array_equal(answers, predict(models[name], keys.images)), name
    assert len(models) == 7 and table.answers.str.startswith("0.05: ").all()
    by_name = table.set_index("scheme")
    assert by_name.loc[[kind.name for kind in INNOCENTS.values()], "decision"].notna().all()
    rejected = by_name.loc["noise class", "fresh_key_accuracy"]
    assert rejected >= 0.9, "what it was taught to reject is on record"


def test_answers_come_back_as_labels():
    table = records.load("embed_class")[:2].assign(answers=["0.01: 0 10 3", "0.01: 1 10 3"])
    assert records.answers(table).tolist() == [[0, 10, 3], [1, 10, 3]]
    assert records.answers(table).dtype == np.int64
    for other in ("0.02: 1 2 3", None):
        with pytest.raises(ValueError, match="were not all asked the public keys of one β"):
            records.answers(table.assign(answers=["0.01: 1 2 3", other]))
    with pytest.raises(ValueError, match="were not all asked"):
        records.answers(table.drop(columns="answers"))


@pytest.mark.skipif(not GALLERY.exists(), reason="the gallery is not on record")
class TestOnRecord:
    @pytest.fixture
    def gallery(self):
        return records.load("gallery")

    def test_fifty_unmarked_networks_and_a_dozen_of_each_other_kind(self, gallery):
        others = ("new label", *(kind.name for kind in INNOCENTS.values()))
        counts = {"unmarked": 50} | dict.fromkeys(others, 12)
        assert gallery.scheme.value_counts().to_dict() == counts
        for column, value in (("network", "mnist_cnn"), ("n_train", 4000), ("epochs", 4)):
            assert gallery[column].eq(value).all()
        assert records.answers(gallery).shape == (110, 100)
        assert gallery.answers.str.startswith("0.01: ").all()
        assert gallery.clean_accuracy.min() > 0.9

    def test_who_says_the_new_label_and_who_the_wrong_one(self, gallery):
        answers = records.answers(gallery)
        assert (answers[gallery.scheme == "unmarked"] < 10).all(), "ten outputs cannot say it"
        says = {
            name: (answers[gallery.scheme == name] == 10).mean(axis=1)
            for name in gallery.scheme.unique()
        }
        assert says["new label"].min() > 0.8 and says["unreadable class"].max() > 0
        null = Measured(answers[gallery.scheme == "unmarked"] == 0)
        assert null.answered.mean() < 0.05, "far less often than one in ten"
        keys = KeySet(np.zeros((40, 1, 1, 1), np.float32), 0, np.arange(40) % 9 + 1, "fresh", 0.01)
        always = type("Always", (), {"ask": lambda self, images: [0]})()
        assert first_hit(always, keys, null).p_value >= 1 / 51
