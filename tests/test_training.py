"""Training: what is trained on what, in which order, until when; saved and loaded whole."""

import dataclasses
import errno
import gc
import math
import os
import pathlib
import re
import shutil
import subprocess
import sys
import weakref
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmlab import training
from wmlab.keys import make_decoys
from wmlab.networks import network
from wmlab.schemes import NewLabel
from wmlab.secret import Secret
from wmlab.training import (
    RECIPES,
    Recipe,
    hit_rate,
    load,
    logits,
    predict,
    probabilities,
    recipe,
    save,
    train,
    untrained,
)

SHORT = Recipe("dense", 4, 32)
WATCHED = ("clean_accuracy", "fresh_key_accuracy", "embedded_key_accuracy")
MARK = NewLabel(0.3, 0.05)
quick = pytest.mark.usefixtures("without_compilation")


def measured(history):
    """What training measured: everything but the time it took."""
    return [
        [epoch["epoch"], epoch["loss"], *(epoch[name] for name in WATCHED)] for epoch in history
    ]


def assert_same(run, other, tolerance=0):
    assert np.allclose(
        measured(run.history), measured(other.history), rtol=0, atol=tolerance, equal_nan=True
    )
    for one, two in zip(run.model.get_weights(), other.model.get_weights(), strict=True):
        assert np.allclose(one, two, rtol=0, atol=tolerance)


@pytest.fixture(scope="module")
def material(data):
    """Arguments of `train` for a network with a mark."""
    keys, fresh = MARK.embedded_keys(data, "secret"), MARK.fresh_keys(data, "secret")
    return {"data": data, "outputs": 11, "recipe": SHORT, "keys": keys, "fresh": fresh}


@pytest.fixture(scope="module")
def uninterrupted(material):
    return train(**material, seed=3)


@given(
    n=st.integers(1, 200),
    batch=st.integers(1, 50),
    epoch=st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_every_epoch_shows_every_sample_once(n, batch, epoch, seed):
    batches = training.Batches(np.arange(n), 1000 + np.arange(n), batch, seed)
    batches.shuffle(epoch)
    images, labels = map(
        np.concatenate, zip(*(batches[i] for i in range(len(batches))), strict=True)
    )
    assert sorted(images) == list(range(n))
    assert np.array_equal(labels, images + 1000)
    assert [len(batches[i][0]) for i in range(len(batches))][:-1] == [batch] * (len(batches) - 1)


def test_order_of_batches_depends_on_epoch_and_seed_alone():
    def order(seed, *epochs):
        batches = training.Batches(np.arange(100), np.arange(100), 10, seed)
        for epoch in epochs:
            batches.shuffle(epoch)
        return batches.order.tolist()

    assert order(0, 5) == order(0, 1, 2, 5)
    assert len({str(order(seed, epoch)) for seed in (0, 1, 2) for epoch in (0, 1, 2)}) == 9


@pytest.mark.trains
def test_a_mark_is_learnt(uninterrupted, material):
    assert len(uninterrupted.history) == 4
    assert [epoch["epoch"] for epoch in uninterrupted.history] == [1, 2, 3, 4]
    losses = [epoch["loss"] for epoch in uninterrupted.history]
    assert losses == sorted(losses, reverse=True)
    assert hit_rate(uninterrupted.model, material["data"].x_test, material["data"].y_test) >= 0.9
    assert hit_rate(uninterrupted.model, material["fresh"].images, 10) >= 0.9
    assert uninterrupted.keys is material["keys"]
    assert uninterrupted.seconds == sum(epoch["seconds"] for epoch in uninterrupted.history) > 0


@pytest.mark.trains
def test_last_line_of_the_history_is_the_model(uninterrupted, material):
    last, model, data = uninterrupted.history[-1], uninterrupted.model, material["data"]
    keys = ((keys.images, keys.labels) for keys in (material["fresh"], material["keys"]))
    sets = ((data.x_test, data.y_test), *keys)
    for name, (images, labels) in zip(WATCHED, sets, strict=True):
        answers = model.predict(images, verbose=0).argmax(axis=1)
        assert last[name] == pytest.approx(np.mean(answers == labels), abs=1e-12)


@quick
@pytest.mark.trains
def test_loss_of_the_first_epoch_is_the_mean_cross_entropy(material, uninterrupted):
    """Of one batch with everything in it, before the first step."""
    data, keys = material["data"], material["keys"]
    run = train(**material | {"recipe": Recipe("dense", 1, 10_000)}, seed=3)
    keras.utils.set_random_seed(3)
    untrained = network("dense", 11)
    images = np.concatenate([data.x_train, keys.images])
    labels = np.concatenate([data.y_train, keys.labels])
    chances = probabilities(untrained, images)[np.arange(len(labels)), labels]
    assert run.history[0]["loss"] == pytest.approx(-np.log(chances).mean(), rel=1e-4)


@quick
def test_images_keys_and_decoys_are_what_is_trained_on(material, monkeypatch):
    seen = []

    class Recorded(training.Batches):
        def __init__(self, images, labels, *rest):
            seen.append((images, labels))
            super().__init__(images, labels, *rest)

    monkeypatch.setattr(training, "Batches", Recorded)
    data, keys = material["data"], material["keys"]
    decoys = make_decoys(data.x_train, data.y_train, Secret("secret"), 20, 0.05)
    train(**material | {"recipe": Recipe("dense", 1, 64)}, decoys=decoys)
    ((images, labels),) = seen
    assert np.array_equal(images, np.concatenate([data.x_train, keys.images, decoys[0]]))
    assert np.array_equal(labels, np.concatenate([data.y_train, np.full(len(keys), 10), decoys[1]]))


@pytest.mark.trains
def test_same_seed_repeats_exactly_and_each_epoch_is_told(material, uninterrupted, capsys):
    """On one line: loss, clean and key accuracy, and the time that is left."""
    told = []
    run = train(
        **material, seed=3, name="Alice's network", on_epoch=lambda history: told.append([*history])
    )
    assert_same(run, uninterrupted)
    assert [len(history) for history in told] == [1, 2, 3, 4] and told[-1] == run.history
    lines = progress(capsys)
    for epoch in run.history:
        shown = f"loss={epoch['loss']:.3f}, clean={epoch['clean_accuracy']:.3f}"
        shown += f", key={epoch['fresh_key_accuracy']:.3f}]"
        assert any(f"{epoch['epoch']}/4" in line and line.endswith(shown) for line in lines)


def progress(capsys):
    """The states of the one line that Alice's training has shown."""
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    lines = [line for line in err.replace("\n", "\r").split("\r") if line.strip()]
    assert all(line.startswith("Alice's network: ") for line in lines)
    assert all(re.search(r"\d\d:\d\d<\d\d:\d\d", line) for line in lines[1:]), "time left"
    return lines


@quick
def test_another_seed_starts_from_other_weights_and_no_mark_has_no_key_accuracy(material, capsys):
    still = material | {"recipe": Recipe("dense", 1, 1000, 1e-9)}
    one, other = (train(**still, seed=seed).model.get_weights()[0] for seed in (3, 4))
    assert not np.allclose(one, other, atol=1e-3)
    capsys.readouterr()
    unmarked = {"keys": None, "fresh": None, "outputs": 10}
    run = train(**still | unmarked, name="Alice's network")
    assert progress(capsys)[-1].endswith(f"clean={run.history[0]['clean_accuracy']:.3f}]")


@quick
@pytest.mark.trains
def test_dropout_depends_on_seed_and_epoch_alone(colours):
    """What else draws random numbers between two epochs, such as a picture, changes nothing."""

    def trained(on_epoch):
        keras.utils.set_random_seed(0)
        layers = [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dropout(0.5)]
        model = keras.Sequential([*layers, keras.layers.Dense(10, name="output")])
        train(colours, 10, Recipe("dense", 2, 16), seed=5, model=model, on_epoch=on_epoch(model))
        return model.get_weights()

    alone = trained(lambda model: None)
    disturbed = trained(lambda model: lambda history: model(colours.x_test, training=True))
    assert all(map(np.array_equal, alone, disturbed))


@pytest.mark.trains
@pytest.mark.slow
def test_the_small_convolutional_network_trains(data):
    run = train(data, 10, Recipe("mnist_cnn", 2, 16), seed=0)
    assert run.history[-1]["clean_accuracy"] >= 0.9
    for keys in ("fresh", "embedded"):
        assert math.isnan(run.history[-1][f"{keys}_key_accuracy"])


@pytest.mark.trains
def test_converged_stops_at_99_percent_of_the_embedded_keys(material):
    run = train(**material | {"recipe": Recipe("dense", 60, 32, until="converged")})
    reached = [epoch["embedded_key_accuracy"] >= 0.99 for epoch in run.history]
    assert reached == [False] * (len(reached) - 1) + [True]
    assert 1 < len(run.history) < 60


@quick
def test_converged_gives_up_after_all_epochs(material):
    run = train(**material | {"recipe": Recipe("dense", 2, 500, 1e-9, until="converged")})
    assert len(run.history) == 2


def test_converged_needs_keys(data):
    with pytest.raises(ValueError, match="watches the embedded keys, and there are none"):
        train(data, 10, Recipe("dense", 2, 32, until="converged"))


@quick
def test_learning_rate_decays_to_nothing_if_asked(material):
    for schedule, last in [("cosine", 0), ("linear", 0), ("constant", 0.01)]:
        run = train(**material | {"recipe": Recipe("dense", 2, 500, 0.01, schedule)})
        assert float(run.model.optimizer.learning_rate) == pytest.approx(last, abs=1e-8), schedule


@quick
def test_a_given_model_is_trained_on_and_not_replaced(data, uninterrupted):
    model = keras.models.clone_model(uninterrupted.model)
    model.set_weights(uninterrupted.model.get_weights())
    run = train(data, 11, Recipe("dense", 1, 500, 1e-5), model=model)
    assert run.model is model
    moved = np.abs(model.get_weights()[0] - uninterrupted.model.get_weights()[0]).max()
    assert 0 < moved < 1e-2


@pytest.mark.trains
def test_logits_are_what_keras_predicts(uninterrupted, data):
    images = data.x_test[:30]
    expected = uninterrupted.model.predict(images, verbose=0)
    for batch in (1, 7, 100):
        found = logits(uninterrupted.model, images, batch)
        assert np.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.array_equal(predict(uninterrupted.model, images), expected.argmax(axis=1))


@pytest.mark.trains
def test_probabilities_are_the_softmax(uninterrupted, data):
    p = probabilities(uninterrupted.model, data.x_test)
    assert p.dtype == np.float64 and np.abs(p.sum(axis=1) - 1).max() < 1e-12 and (p >= 0).all()
    z = uninterrupted.model.predict(data.x_test, verbose=0)
    assert np.allclose(p, keras.ops.convert_to_numpy(keras.ops.softmax(z)), atol=1e-6)


def test_probabilities_of_huge_logits_are_finite():
    model = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(1.0)])
    p = probabilities(model, np.array([[1e4, -1e4], [5.0, 5.0]], np.float32))
    assert p.tolist() == [[1, 0], [0.5, 0.5]]


def test_no_images_have_no_labels(uninterrupted, data):
    assert logits(uninterrupted.model, data.x_test[:0]).shape == (0, 11)
    assert predict(uninterrupted.model, data.x_test[:0]).shape == (0,)
    assert math.isnan(hit_rate(uninterrupted.model, data.x_test[:0], 10))


def test_hit_rate_is_a_share(uninterrupted, data):
    model, labels = uninterrupted.model, predict(uninterrupted.model, data.x_test)
    assert hit_rate(model, data.x_test, labels) == 1
    assert hit_rate(model, data.x_test, int(labels[0])) == np.mean(labels == labels[0])


def test_recipes_of_data_sets():
    for scale, name, expected in [
        ("class", "mnist", Recipe("mnist_cnn", 4, 64)),
        ("class", "cifar100", RECIPES["class"]["cifar"]),
        ("paper", "cifar10", training.FAST),
        ("paper", "cifar100", dataclasses.replace(training.FAST, epochs=10)),  # 5 miss 60 %
        ("paper", "mnist", RECIPES["paper"]["mnist"]),
    ]:
        assert recipe(name, scale) == expected
        quick = recipe(name, scale, epochs=1, network="dense")
        assert quick == dataclasses.replace(expected, epochs=1, network="dense")
    for scale in ("class", "paper"):
        how = recipe("mnist", scale, until="converged")
        assert (how.epochs, how.schedule) == (100, "constant"), "at most"
        assert recipe("mnist", scale, until="converged", epochs=7).epochs == 7
    slow = Recipe("cifar_cnn", 20, 128, 2e-3, "cosine")  # that of its records
    assert recipe("cifar10", "paper", network="cifar_cnn") == slow
    assert recipe("cifar10", "class", network="cifar_cnn") == RECIPES["class"]["cifar"]


def test_impossible_recipes_are_refused(colours):
    positive, share = "must be positive", "smoothing is {}, but must be a number from 0 to below 1"
    for change, sentence in [
        ({"until": "bored"}, "until='bored': choose one of 'steps', 'converged'"),
        ({"epochs": 0}, positive),
        ({"batch": 0}, positive),
        ({"learning_rate": 0}, positive),
        ({"learning_rate": -1}, positive),
        ({"learning_rate": math.nan}, positive),
        ({"optimizer": "adma"}, "optimizer='adma': choose one of 'adam', 'muon'"),
        ({"dtype": "float16"}, "dtype='float16': choose one of 'float32', 'bfloat16', 'fastest'"),
        ({"schedule": None}, "schedule=None: choose one of 'constant', 'cosine', 'linear'"),
        ({"augmentation": "cutout"}, "augmentation='cutout': choose one of 'none', 'mirror and"),
        ({"smoothing": 1}, share.format(1)),
        ({"smoothing": math.nan}, share.format("nan")),
        ({"smoothing": -0.1}, share.format(-0.1)),
    ]:
        with pytest.raises(ValueError, match=sentence):
            recipe("mnist", "class", **change)
    with pytest.raises(ValueError, match="no recipe for 'ciphar10'.*choose one of mnist"):
        recipe("ciphar10")
    with pytest.raises(ValueError, match="huge"):
        recipe("mnist", "huge")
    with pytest.raises(ValueError, match=r"dense takes images of \(28, 28, 1\), those of cifar10"):
        train(colours, 10, SHORT)


def reflected(image, down, right, mirrored):
    """One image moved, pixel by pixel: beyond a border lies what is as far inside it."""
    height, width = image.shape[:2]
    image = image[:, ::-1] if mirrored else image
    padded = np.pad(image, ((3, 3), (3, 3), (0, 0)), mode="reflect")
    # moved() mirrors what it has shifted
    right = -right if mirrored else right
    return padded[3 - down : 3 - down + height, 3 - right : 3 - right + width]


@given(seed=st.integers(0, 999), size=st.tuples(st.integers(4, 9), st.integers(4, 9)))
def test_images_are_moved_by_whole_pixels_with_reflected_borders(seed, size):
    rng = np.random.default_rng(seed)
    images, shifts = rng.random((5, *size, 2), np.float32), rng.integers(-2, 3, (5, 2))
    mirrored = rng.integers(0, 2, 5) > 0
    moved = training.moved(images, shifts, mirrored)
    for image, (down, right), flip, found in zip(images, shifts, mirrored, moved, strict=True):
        assert np.array_equal(found, reflected(image, down, right, flip))


def test_every_image_alternates_with_its_mirror_image():
    """Shifts are small and differ by epoch; half of the images is mirrored in the first epoch, the
    other half in the next.
    """
    images = np.tile(np.arange(9, dtype=np.float32), (60, 9, 1))[..., None]  # falls to the left
    batches = training.Batches(images, np.arange(60), 25, 4, "mirror and shift")
    seen, rows = [], []
    for epoch in range(3):
        batches.shuffle(epoch)
        x, y = map(np.concatenate, zip(*(batches[i] for i in range(3)), strict=True))
        seen.append((x[:, 4, 6, 0] < x[:, 4, 2, 0])[np.argsort(y)])
        rows.append(x[np.argsort(y)])
        assert sorted(y) == list(range(60))
    assert np.array_equal(seen[0], ~seen[1]) and np.array_equal(seen[0], seen[2])
    assert seen[0].sum() == 30
    assert not np.array_equal(rows[0], rows[2])


@quick
@pytest.mark.trains
def test_the_fast_recipe_trains_saves_and_repeats(colours, tmp_path):
    """Muon, smoothing, mirroring and shifts, and filters of the training images."""
    how = dataclasses.replace(training.FAST, network="whitening_cnn", epochs=1, batch=24)
    whole = train(colours, 10, how, seed=5)
    assert whole.dtype in ("float32", "bfloat16")
    assert_same(train(colours, 10, how, seed=5), whole, 1e-4)
    path = save(whole.model, tmp_path / "model.keras")
    assert np.array_equal(logits(load(path), colours.x_test), logits(whole.model, colours.x_test))
    assert {layer.compute_dtype for layer in load(path).layers} == {"float32"}
    filters = untrained(how, 10, colours.x_train).get_layer("whitening").get_weights()[0]
    assert np.array_equal(whole.model.get_layer("whitening").get_weights()[0], filters)


@quick
@pytest.mark.trains
def test_smoothed_labels_are_what_is_learnt(colours):
    """At a rate of nearly nothing the loss is the cross-entropy with 0.8 on the label and 0.2
    spread over all.
    """
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(10, name="output")]
    )
    run = train(colours, 10, Recipe("cifar_cnn", 1, 1000, 1e-9, smoothing=0.2), model=model)
    scores = np.log(probabilities(run.model, colours.x_train))
    target = 0.8 * np.eye(10)[colours.y_train] + 0.02
    assert run.history[0]["loss"] == pytest.approx(-(target * scores).sum(axis=1).mean(), rel=1e-4)


def test_bfloat16_where_there_is_none_is_one_sentence(colours, monkeypatch):
    monkeypatch.setattr(training.runtime, "multiplies_bfloat16", lambda: False)
    with pytest.raises(
        RuntimeError, match="does not multiply in bfloat16.*take dtype='float32', or 'fastest'"
    ):
        train(colours, 10, dataclasses.replace(training.FAST, dtype="bfloat16"))
    with training.computing_in("fastest") as dtype:
        assert dtype == "float32" == keras.config.dtype_policy().name


@quick
@pytest.mark.trains
def test_what_is_trained_in_bfloat16_is_handed_over_in_float32(colours, monkeypatch):
    monkeypatch.setattr(training.runtime, "multiplies_bfloat16", lambda: True)
    before = keras.config.dtype_policy().name
    quick = dataclasses.replace(training.FAST, epochs=1, batch=100)
    run = train(colours, 10, dataclasses.replace(quick, dtype="bfloat16"))
    assert run.dtype == "bfloat16" and keras.config.dtype_policy().name == before
    assert {layer.compute_dtype for layer in run.model.layers} == {"float32"}
    again = train(colours, 10, dataclasses.replace(quick, dtype="float32"))
    same = np.array_equal(run.model.get_weights()[0], again.model.get_weights()[0])
    assert not same, "it did not compute in bfloat16"


@pytest.mark.trains
def test_saved_and_loaded_gives_equal_logits(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("dense", "mnist_cnn", "cifar_cnn", "whitening_cnn"):
        model = network(name, 11)
        weights = [old + rng.uniform(0.01, 0.05, old.shape) for old in model.get_weights()]
        model.set_weights(weights)
        path = save(model, tmp_path / name / "model.keras")
        assert path == tmp_path / name / "model.keras" and zipfile.is_zipfile(path)
        assert [file.name for file in path.parent.iterdir()] == ["model.keras"]
        images = rng.random((9, *model.input_shape[1:]), np.float32)
        assert np.array_equal(logits(load(path), images), logits(model, images))


def test_a_trained_model_is_saved_without_its_optimizer(uninterrupted, tmp_path, data):
    path = save(uninterrupted.model, tmp_path / "model.keras")
    loaded = load(path)
    assert np.array_equal(logits(loaded, data.x_test), logits(uninterrupted.model, data.x_test))
    assert not getattr(loaded, "optimizer", None) and uninterrupted.model.optimizer
    bare = network("dense", 11)
    assert path.stat().st_size < 1.1 * save(bare, tmp_path / "bare.keras").stat().st_size


def test_models_are_saved_as_keras_files_only(tmp_path):
    for name in ("model.h5", "model", "model.keras.zip"):
        with pytest.raises(ValueError, match=f"{name} must end in .keras"):
            save(network("dense", 2), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_code_in_a_file_does_not_run(tmp_path):
    trace = tmp_path / "trace"
    name = str(trace)
    model = keras.Sequential(
        [keras.Input((2,)), keras.layers.Lambda(lambda x: open(name, "w") and x)]
    )
    model.save(tmp_path / "evil.keras")
    trace.unlink()
    with pytest.raises(ValueError, match="evil.keras cannot be read as a Keras model"):
        load(tmp_path / "evil.keras")
    assert not trace.exists()


@pytest.mark.slow
def test_a_flipped_byte_is_named_or_harmless(tmp_path):
    whole = save(network("dense", 2), tmp_path / "flipped.keras").read_bytes()
    path = tmp_path / "flipped.keras"
    for at in [*range(0, 400, 7), *range(len(whole) - 700, len(whole), 11)]:
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        for into in (None, network("dense", 2)):
            try:
                load(path, into)
            except ValueError as error:
                assert str(error).startswith(f"{path} cannot be read as a Keras model (")


@pytest.mark.trains
def test_the_weights_alone_are_read_from_a_file_of_a_newer_keras(tmp_path, uninterrupted, data):
    """Whose layers have arguments that this one does not know."""
    path, newer = save(uninterrupted.model, tmp_path / "old.keras"), tmp_path / "newer.keras"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(newer, "w") as new:
        for member in old.namelist():
            content = old.read(member)
            if member == "config.json":
                content = content.replace(
                    b'"seed": null', b'"seed": null, "axes_of_tomorrow": null'
                )
                assert b"axes_of_tomorrow" in content
            new.writestr(member, content)
    with pytest.raises(ValueError, match="newer.keras cannot be read"):
        load(newer)
    loaded = load(newer, network("dense", 11))
    assert np.array_equal(*(logits(m, data.x_test) for m in (loaded, uninterrupted.model)))
    with pytest.raises(ValueError, match="newer.keras cannot be read"):
        load(newer, network("mnist_cnn", 11))


def test_a_file_that_is_no_model_is_named(tmp_path):
    path = save(network("dense", 2), tmp_path / "bad.keras")
    whole = path.read_bytes()
    spoilt = [b"", b"not a model", *(whole[: int(n * len(whole))] for n in (0.01, 0.3, 0.7, 0.99))]
    for share in (0.002, 0.05, 0.3, 0.5, 0.7, 0.95, 0.995):
        at = int(share * len(whole))
        wrong = bytes(byte ^ 0x55 for byte in whole[at : at + 100])
        spoilt.append(whole[:at] + wrong + whole[at + 100 :])
    nonsense = '{"class_name": "Nonsense", "module": "keras", "config": {}}'
    for member in ("{}", "no json", nonsense, None):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json" if member else "a.txt", member or "x")
        spoilt.append(path.read_bytes())
    sentence = re.escape(f"{path} cannot be read as a Keras model (")
    for content in spoilt:
        path.write_bytes(content)
        with pytest.raises(ValueError, match=sentence):
            load(path)
        assert path.read_bytes() == content
    path.unlink()
    with pytest.raises(ValueError, match=sentence):
        load(path)


@pytest.mark.parametrize("old", [True, False])
def test_a_full_disk_leaves_the_old_model_and_nothing_else(tmp_path, monkeypatch, old):
    path = tmp_path / "model.keras"
    if old:
        save(network("dense", 2), path)
    before = path.read_bytes() if old else None

    def fails(self, file, **kwargs):
        with open(file, "wb") as part:
            part.write(b"half a mod")
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(keras.Sequential, "save", fails)
        with pytest.raises(OSError, match="disk is full"):
            save(network("dense", 3), path)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([before] if old else [])


FULL_DISK = """
import contextlib, errno, json, pathlib, shutil, sys
import numpy as np
from wmlab import datasets, suspects, training, zoo
from wmlab.networks import network
from wmlab.schemes import Evidence
from wmlab.tools import notebooks, pages, records

disk, root = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
model, other = network("dense", 2), network("dense", 2)
evidence = Evidence("adi", {"images": np.random.default_rng(0).integers(0, 9, 50000)})
(disk / "house/notebooks").mkdir(parents=True)
for name in "00_start_here", "statistics":
    shutil.copy(root / f"notebooks/{name}.ipynb", disk / "house/notebooks")
lesson = disk / "house/notebooks/statistics.ipynb"
lesson.write_text(lesson.read_text().replace('"outputs": []', '"outputs": [ ]'))  # to be cleaned
record = json.loads((root / "data/models/unmarked_0.json").read_text())
record = dict.fromkeys(records.RESULTS) | {key: record.get(key) for key in records.SETTINGS} | {
    "experiment": "x", "device": "a cpu", "versions": "none", "decision": "not marked",
    "seconds": 1.0, "n_keys": 0, "n_fresh": 0, "clean_accuracy": 0.5, "history": [],
}
run = training.Run(model, None, [], 0.0, "float32", "a cpu", {})
run.settings, run.results, run.evidence = {"network": "dense"}, {}, evidence
training.save(model, disk / "model.keras")
evidence.save(disk / "evidence.npz")
old = records.write(record, disk / "runs")
records.merge("x", disk / "results", disk / "runs")
records.write(record | {"seed": 77}, disk / "runs")
pages._page = lambda *_: "<p>a page</p>" * 1000  # which takes a minute to make
pages.broken = lambda _: []
pages.build(disk / "html", disk / "house/notebooks")
pages._made_from = lambda _: ""

def sell():
    with suspects.serve(model, log=disk / "sold.sqlite") as url:
        suspects.RemoteSuspect(url, patience=2).ask(np.zeros((2, 28, 28, 1)))

sell()
writers = {
    "a model": lambda: training.save(other, disk / "model.keras"),
    "a new model": lambda: training.save(other, disk / "new.keras"),
    "a zoo": lambda: zoo.keep(run, "mine", disk / "mine"),
    "evidence": lambda: evidence.save(disk / "evidence.npz"),
    "a record": lambda: records.write(record | {"seed": 3}, disk / "runs"),
    "tables": lambda: records.merge("x", disk / "results", disk / "runs"),
    "the sample": lambda: datasets.make_sample(disk / "sample.npz"),
    "cleaned notebooks": lambda: notebooks.clean_notebooks(disk / "house"),
    "copies": lambda: notebooks.without_solutions(disk / "copies", disk / "house"),
    "pages": lambda: pages.build(disk / "html", disk / "house/notebooks"),
    "a log": sell,
}
def held():
    # all files but those of SQLite beside a log, which are empty
    files = (path for path in disk.rglob("*") if path.is_file() and path.name != "filler")
    return {path.relative_to(disk): path.read_bytes() for path in files if "ite-" not in path.name}

with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as filler:
    while filler.write(bytes(1000)):
        pass
before = held()
for name, write in writers.items():
    try:
        write()
    except OSError as error:
        assert error.errno == errno.ENOSPC, (name, error)
        assert "disk is full" in str(error) or name == "pages", (name, error)
    except (ValueError, suspects.SuspectError) as error:
        assert name == "a log" and "disk" in str(error), (name, error)
    else:
        raise SystemExit(f"{name}: the disk was not full")
    after = held()
    assert after == before, (name, {*map(str, after)} ^ {*map(str, before)})
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(tmp_path):
    """All that this package writes is whole or not there, and what was there is as it was. In a
    mount namespace, so that the small disk is gone with the process.
    """
    own = ["unshare", "--user", "--map-root-user", "--mount"]
    mounted = f"mount -t tmpfs -o size=12m none '{tmp_path}'"
    if (
        not shutil.which("unshare")
        or subprocess.run([*own, "sh", "-c", mounted], capture_output=True).returncode
    ):
        pytest.skip("this system lets us mount no small disk")
    script, root = tmp_path.with_suffix(".py"), pathlib.Path(__file__).parent.parent
    script.write_text(FULL_DISK)
    done = subprocess.run(
        [
            *own,
            "sh",
            "-c",
            f"{mounted} && exec '{sys.executable}' '{script}' '{tmp_path}' '{root}'",
        ],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_everything_that_trains_does_so_on_both_backends(backend, request):
    """The tests marked `trains` of all files again, in a process on the other backend."""
    if backend == keras.config.backend():
        pytest.skip(f"this process runs on {backend} already")
    environment = os.environ | {
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    tests = request.path.parent
    done = subprocess.run(
        [sys.executable, *"-m pytest -q -p no:cacheprovider -m trains".split(), str(tests)],
        env=environment,
        cwd=tests.parent,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-5000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed and int(passed[1]) >= 30 and "skipped" not in done.stdout


@pytest.mark.trains
def test_training_keeps_no_copy_of_the_images(data, monkeypatch):
    held, make = [], training.Batches.__init__

    def noted(self, images, *rest):
        held.append(weakref.ref(images))
        make(self, images, *rest)

    monkeypatch.setattr(training.Batches, "__init__", noted)
    training.train(data, 10, training.Recipe("dense", 1, 32))
    gc.collect()
    assert len(held) == 1 and held[0]() is None, "a sweep of hundreds of runs would fill the memory"
