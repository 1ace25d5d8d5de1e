"""Many networks at once: each as it is alone, whatever its neighbours; in a process on jax, and
through a child.

What runs on jax does so in one other Python, `on_jax`, since starting one and compiling costs
seconds.
"""

import concurrent.futures
import dataclasses
import math
import multiprocessing
import os

import keras
import numpy as np
import psutil
import pytest
from keras import layers

from wmlab import fleet, networks
from wmlab.datasets import Dataset
from wmlab.schemes import NewLabel, Scheme, Unmarked, WrongLabel
from wmlab.tools import records
from wmlab.training import CONVERGED, Recipe, predict

DENSE = Recipe("dense", 2, 40, 2e-3)
# 390, 330, 400 and 390 images in batches of 40: other numbers of steps, and rests of 30, 10, none
# and 30
MEMBERS = [
    (NewLabel(0.3, 0.05), 0, "Alice"),
    (NewLabel(0.1, 0.02), 1, "Bob"),
    (NewLabel(0.2, 0.05, kind="fixed", decoys=40), 2, "Carol"),
    (NewLabel(0.3, 0.05), 3, "Alice"),
]
RATES = [2e-3, 1e-3, 4e-3, 2e-3]
ALIKE = [(NewLabel(0.2, 0.05), seed, "Alice") for seed in range(3)]  # 360 images each: no rest
RUN = ("seconds", "device", "versions", "history")  # what of a record depends on how it was made
own_backend = pytest.mark.skipif(
    keras.config.backend() == "jax", reason="keras runs on jax here: there is no child"
)


def tiny(outputs):
    """Everything that a step can change or draw, in the smallest network: batch norm, dropout,
    mirroring.

    No bias before batch norm: its slope is 0 but for rounding, of which Adam makes steps of full
    length.
    """
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Rescaling(2.0, -0.5),
            layers.RandomFlip("horizontal"),
            layers.Conv2D(4, 3, strides=2, activation="relu"),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Dropout(0.3),
            layers.Flatten(),
            layers.Dense(outputs, name="output"),
        ],
        name="tiny",
    )


def start():
    networks.NETWORKS["tiny"] = tiny


def told(runs, data):
    """Of runs what another process can use."""
    return [
        dict(
            weights=run.model.get_weights(),
            labels=predict(run.model, data.x_test),
            history=run.history,
            record=records.record_of(run),
            keys=run.keys and run.keys.digest,
        )
        for run in runs
    ]


def together(data, members, recipe, rates=None, **changes):
    """A fleet; changes: parts of wmlab.fleet that are other than they were."""
    before = dataclasses.replace(data).sha256, list(members), list(rates or [])
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changes.items():
            patch.setattr(fleet, name, value)
        made = told(fleet.embed(data, members, recipe, rates), data)
    assert (dataclasses.replace(data).sha256, members, rates or []) == before, (
        "the fleet changed what it was given"
    )
    return made


def alone(data, members, recipe, rates=None):
    rates = rates or [recipe.learning_rate] * len(members)
    return told(
        [
            mark.embed(data, secret, dataclasses.replace(recipe, learning_rate=rate), seed=seed)
            for (mark, seed, secret), rate in zip(members, rates, strict=True)
        ],
        data,
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """What is compiled in this module is compiled once, and without optimising: twice as fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(
            "XLA_FLAGS", f"{os.environ.get('XLA_FLAGS', '')} --xla_backend_optimization_level=0"
        )
        patch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path_factory.mktemp("compiled")))
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
        patch.setenv("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
        yield


@pytest.fixture(scope="module")
def on_jax(kept):
    """A function: call another, with arguments, in a Python whose keras runs on jax on the CPU."""
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, context, start) as pool:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KERAS_BACKEND", "jax")
            patch.setenv("JAX_PLATFORMS", "cpu")
            assert pool.submit(keras.config.backend).result(120) == "jax"
        yield lambda function, *arguments, **options: pool.submit(
            function, *arguments, **options
        ).result(300)


def measured(history):
    return [[value for name, value in epoch.items() if name != "seconds"] for epoch in history]


def assert_alike(made, expected):
    """Weights and history to 1e-4, everything else that was measured exactly."""
    for one, other in zip(made, expected, strict=True):
        for weight, its in zip(one["weights"], other["weights"], strict=True):
            assert weight.shape == its.shape
        assert distance(one, other) <= 1e-4
        assert np.array_equal(one["labels"], other["labels"]) and one["keys"] == other["keys"]
        assert list(one["history"][0]) == list(other["history"][0])
        histories = measured(one["history"]), measured(other["history"])
        assert np.allclose(*histories, rtol=0, atol=1e-4, equal_nan=True)
        rest, its = (
            {k: v for k, v in each["record"].items() if k not in RUN} for each in (one, other)
        )
        assert rest == its and set(one["record"]) == set(other["record"])


def distance(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one["weights"], other["weights"], strict=True))


@pytest.fixture(scope="module")
def made(on_jax, data):
    return on_jax(together, data, MEMBERS, DENSE, RATES)


@pytest.mark.slow
def test_each_member_is_what_it_is_alone(on_jax, data, made):
    """Of other α, β, kinds, numbers of steps, seeds, secrets and learning rates."""
    assert_alike(made, on_jax(alone, data, MEMBERS, DENSE, RATES))
    apart = min(distance(made[i], made[j]) for i in range(4) for j in range(i))
    assert apart > 1e-2, "a test of four equal networks"
    assert [run["record"]["learning_rate"] for run in made] == RATES
    assert [run["record"]["n_keys"] for run in made] == [90, 30, 60, 90]
    assert all(run["record"]["device"].endswith(", fleet of 4") for run in made)


@pytest.mark.slow
def test_what_a_network_draws_or_counts_is_what_it_is_alone(on_jax, data):
    """In 18 steps, over 3 epochs, since each of them draws anew what to drop and to mirror."""
    recipe, rates = Recipe("tiny", 3, 60, schedule="cosine"), [1e-3, 2e-3]
    expected = on_jax(alone, data, ALIKE[:2], recipe, rates)
    assert_alike(on_jax(together, data, ALIKE[:2], recipe, rates), expected)


@pytest.mark.slow
def test_wrong_labels_decay_and_unmarked_twins(on_jax, data):
    """A fleet of 10 outputs: marked by two classes, and one that has no key; one of them smaller
    than a batch.
    """
    members = [
        (Unmarked(), 7, "nobody"),
        (WrongLabel(0.3, 0.05), 5, "Alice"),
        (WrongLabel(0.1, 0.05, target=3), 5, "Alice"),
    ]
    recipe = Recipe("dense", 6, 330, 5e-3, "cosine")
    made = on_jax(together, data, members, recipe)
    assert_alike(made, on_jax(alone, data, members, recipe))
    assert [run["record"]["fresh_key_accuracy"] is None for run in made] == [True, False, False]
    assert all(math.isnan(epoch["embedded_key_accuracy"]) for epoch in made[0]["history"])


@pytest.mark.slow
def test_to_convergence_members_stop_one_by_one_and_then_stay(on_jax, data):
    members, rates = [MEMBERS[0], ALIKE[1], MEMBERS[0]], [3e-3, 1e-3, 1e-6]
    recipe = Recipe("dense", 10, 40, until="converged")
    made = on_jax(together, data, members, recipe, rates)
    assert_alike(made, on_jax(alone, data, members, recipe, rates))
    epochs = [len(run["history"]) for run in made]
    assert len(set(epochs)) == 3 and epochs[2] == 10
    assert [run["record"]["epochs_run"] for run in made] == epochs
    for run in made:
        reached = [epoch["embedded_key_accuracy"] >= CONVERGED for epoch in run["history"]]
        assert not any(reached[:-1]) and reached[-1] == (len(reached) < 10)


@own_backend
@pytest.mark.slow
def test_through_a_child_it_is_the_same_on_ones_own_backend(data, made, capfd):
    capfd.readouterr()
    before = dataclasses.replace(data).sha256
    runs = fleet.embed(data, MEMBERS, DENSE, RATES)
    out, err = capfd.readouterr()
    assert_alike(told(runs, data), made)
    assert dataclasses.replace(data).sha256 == before

    for run, (mark, seed, secret) in zip(runs, MEMBERS, strict=True):
        assert run.keys.digest == mark.embedded_keys(data, secret).digest
        assert run.model.output_shape == (None, 11)
        assert run.model.predict(data.x_test, verbose=0).shape == (100, 11)
        verdict = mark.verify(run.model, data.x_test, data.y_test, secret)
        assert verdict.marked == (verdict.hits > 0)
        assert run.seconds == sum(epoch["seconds"] for epoch in run.history) > 0
        assert set(records.record_of(run)) == {*records.SETTINGS, *records.RESULTS, "history"}
        assert run.settings["seed"] == seed and run.device.endswith(", fleet of 4")
        assert run.versions["backend"].startswith("jax "), "whatever asks it afterwards"

    assert out == ""
    lines = [line for line in err.replace("\n", "\r").split("\r") if line.strip()]
    assert err.count("\n") == 1 and all(line.startswith("fleet of 4: ") for line in lines)
    last = [run.history[-1] for run in runs]
    clean, key = (
        np.mean([epoch[name] for epoch in last])
        for name in ("clean_accuracy", "fresh_key_accuracy")
    )
    assert "2/2" in lines[-1] and lines[-1].endswith(f"clean={clean:.3f}, key={key:.3f}]")


class Deadly(Dataset):
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


@own_backend
@pytest.mark.slow
def test_a_child_that_dies_is_an_error_in_one_sentence(data, monkeypatch):
    # not the child's own, only because loading that takes seconds
    monkeypatch.setattr(fleet, "_embed", os.getpid)
    deadly = Deadly(*(getattr(data, field.name) for field in dataclasses.fields(data)))
    says = "^The child process on jax died; if memory ran out, train fewer networks at once.$"
    with pytest.raises(RuntimeError, match=says):
        fleet.embed(deadly, ALIKE, DENSE)


@own_backend
@pytest.mark.slow
def test_interrupted_it_leaves_no_child(kept, data, monkeypatch):
    class Line(fleet.tqdm):
        def update(self, n=1):
            raise KeyboardInterrupt

    monkeypatch.setattr(fleet, "tqdm", Line)
    before = set(psutil.Process().children())
    with pytest.raises(KeyboardInterrupt):
        fleet.embed(data, ALIKE, DENSE)
    assert set(psutil.Process().children()) <= before


def test_what_cannot_be_trained_is_refused_before_anything_starts(data, monkeypatch, capsys):
    monkeypatch.setattr(fleet, "_embed", None)
    monkeypatch.setattr(fleet, "on_jax", None)
    wrong = WrongLabel(0.3, 0.05), 1, "Bob"
    of_seven, too_few = NewLabel(0.3, 0.05, classes=7), NewLabel(0.001, 0.05)
    for members, change, sentence in [
        ([], {}, "a fleet has networks with one number of outputs; these have no members"),
        ([MEMBERS[0], wrong], {}, r"one number of outputs; these have \[10, 11\]"),
        ([(of_seven, 1, "Bob")], {}, "mnist has 10 classes, this scheme is for 7: set classes"),
        ([(Unmarked(), 1, ""), wrong], {"until": "converged"}, "has none: use until='steps'"),
        (MEMBERS, {"network": "cifar_cnn"}, r"takes images of \(32, 32, 3\), those of mnist are"),
        (MEMBERS, {"network": "resnet"}, "unknown network 'resnet'"),
        ([(too_few, 1, "Bob")], {}, "less than one key"),
    ]:
        with pytest.raises(ValueError, match=sentence) as caught:
            fleet.embed(data, members, dataclasses.replace(DENSE, **change))
        assert "\n" not in str(caught.value) and capsys.readouterr().err == ""
    for rates in ([1e-3] * 3, [1e-3] * 5):
        with pytest.raises(ValueError, match="is (shorter|longer) than"):
            fleet.embed(data, MEMBERS, DENSE, rates)


def test_a_scheme_of_ones_own_needs_no_place_in_the_package(data, monkeypatch):
    """What goes to the child are arrays, recipes and numbers: it could not find a class of a
    notebook.
    """

    class Inverted(Scheme):
        name = "inverted"
        key_label = outputs = property(lambda self: self.classes)

        def keys(self, images, labels, secret, stream):
            return dataclasses.replace(
                super().keys(1 - images, labels, secret, stream), key_label=0
            )

    def child(function, *arguments, tell):
        multiprocessing.reduction.ForkingPickler.dumps((function, arguments))
        raise EOFError("sent")

    monkeypatch.setattr(fleet, "on_jax", child)
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    with pytest.raises(EOFError, match="sent"):
        fleet.embed(data, [(Inverted(0.3, 0.05), 0, "Alice")], DENSE)
