"""Anybody's model on anybody's data: what fits works, and what does not is said in one sentence."""

import collections
import functools

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keras import layers

from wmlab import (
    attacks,
    battery,
    datasets,
    filters,
    judge_attack,
    judge_scheme,
    suspects,
    training,
    zoo,
)
from wmlab.__main__ import main
from wmlab.attacks import base
from wmlab.datasets import DataError, Dataset
from wmlab.networks import anew, check_classifier, copied, leaves, output_layer, title
from wmlab.schemes import DeepSignsWhite, Frontier, NewLabel, Uchida, WrongLabel
from wmlab.tools import records
from wmlab.training import Recipe, hit_rate, predict, probabilities

SIZE = (20, 30, 3)
eager = pytest.mark.usefixtures("without_compilation")


def stripes(n, size=SIZE, classes=4, seed=0):
    """Images that are easy to tell apart: a bright stripe in another place for each class."""
    rng, labels = np.random.default_rng(seed), np.arange(n) % classes
    images = rng.integers(0, 30, (n, *size))
    width = size[1] // classes
    for image, label in zip(images, labels, strict=True):
        image[:, width * label : width * (label + 1)] += 120
    return images.astype(np.uint8), labels


def own(classes=4, size=SIZE, n=200):
    x, y = stripes(n, size, classes)
    return Dataset.of(x[: n // 2], y[: n // 2], x[n // 2 :], y[n // 2 :], name="stripes")


DATA = own()


def sold(model):
    with suspects.serve(model) as url:
        return url


class Scaled(layers.Layer):
    """A layer of one's own, not registered anywhere."""

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="ones", name="factor")

    def call(self, images):
        return images * self.factor


class Sub(keras.Model):
    """A model that is a class."""

    def __init__(self, outputs=4):
        super().__init__()
        self.flat, self.dense = layers.Flatten(), layers.Dense(outputs)

    def call(self, images):
        return self.dense(self.flat(images))


def adapted():
    normalise = layers.Normalization()
    normalise.adapt(DATA.x_train)
    return normalise


def small(outputs):
    """A function as a recipe or the command line names it."""
    return keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(outputs, activation="softmax"),
        ]
    )


def backbone(*more):
    return keras.Sequential(
        [keras.Input(SIZE), *more, layers.Conv2D(2, 3, strides=3), layers.ReLU()]
    )


def headed(head, *more):
    """A functional model with a nested backbone, and an end made by `head`."""
    image = keras.Input(SIZE)
    features = layers.Flatten()(backbone(*more)(image))
    return keras.Model(image, head(features))


HEADS = {
    "logits": layers.Dense(4),
    "softmax in the dense layer": layers.Dense(4, activation="softmax"),
    "a softmax layer": lambda x: layers.Softmax()(layers.Dense(4)(x)),
    "an activation layer": lambda x: layers.Activation("softmax")(layers.Dense(4)(x)),
    "a softmax function": lambda x: keras.ops.softmax(layers.Dense(4)(x)),
    "a nested head": lambda x: keras.Sequential(
        [layers.Dense(6), layers.Dense(4, activation="softmax")]
    )(x),
}


class TestDataset:
    def test_takes_what_people_have(self):
        x, y = stripes(40)
        wanted = Dataset.of(x, y, x, y)
        assert wanted.classes == 4 and wanted.x_train.dtype == np.float32
        assert wanted.x_train.max() <= 1 and wanted.y_train.dtype == np.int64
        for images in x, x / 255, (x / 255).astype(np.float16).astype(np.float32), x.tolist():
            images = np.asarray(images, np.uint8) if isinstance(images, list) else images
            for labels in (
                y,
                y[:, None],
                np.eye(4)[y],
                np.eye(4, dtype=bool)[y],
                y.astype(float),
                list(y),
            ):
                made = Dataset.of(images, labels, images, labels)
                assert np.array_equal(made.y_train, y) and made.classes == 4
        grey = x[..., 0]
        assert Dataset.of(grey, y, grey, y).x_train.shape == (40, 20, 30, 1)
        assert Dataset.of(x, np.eye(7)[y], x, y).classes == 7  # three have no images

    @pytest.mark.parametrize(
        ("images", "labels", "sentence"),
        [
            (lambda x: x.transpose(0, 3, 1, 2) / 255, None, r"transpose\(0, 2, 3, 1\)"),
            (lambda x: np.concatenate([x, x[..., :1]], -1), None, r"images\[..., :3\]"),
            (lambda x: x.astype(float), None, "divide 8-bit pixels by 255"),
            (lambda x: x.astype(np.int64), None, "divide 8-bit pixels by 255"),
            (lambda x: x[0], None, "need labels"),
            (lambda x: x[:0], None, "at least one"),
            (lambda x: x * np.float32(np.nan), None, "NaN"),
            (None, lambda y: y + 0.5, "whole numbers"),
            (None, lambda y: y - 1, "count from 0"),
            (None, lambda y: y[:-1], "need labels"),
            (None, lambda y: np.full((40, 4), 0.25), "one-hot"),
            (None, lambda y: y * 0, "two classes"),
            (None, lambda y: y.astype(str), "whole numbers"),
        ],
    )
    def test_says_what_it_cannot_take(self, images, labels, sentence):
        x, y = stripes(40)
        x, y = images(x) if images else x, labels(y) if labels else y
        with pytest.raises((TypeError, ValueError), match=sentence) as caught:
            Dataset.of(x, y, x, y)
        assert len(str(caught.value)) < 200 and "\n" not in str(caught.value)

    def test_digests_tell_labels_over_255_and_half_grey_levels_apart(self):
        x, y = stripes(600, classes=2)
        y = np.arange(600)
        assert Dataset.of(x, y, x, y).sha256 != Dataset.of(x, y, x, y % 256 + 300).sha256
        finer = x.astype(np.float32) / 255
        other = np.clip(finer + np.float32(0.001), 0, 1)
        two = [Dataset.of(images, y, images, y).sha256 for images in (finer, other)]
        assert two[0] == Dataset.of(x, y, x, y).sha256 != two[1]

    def test_a_file_is_loaded_by_its_path(self, tmp_path):
        x, y = stripes(40)
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        data = datasets.load(str(tmp_path / "mine.npz"))
        assert data.name == "mine" and data.classes == 4 == datasets.classes(tmp_path / "mine.npz")
        np.savez(tmp_path / "half.npz", x_train=x, y_train=y)
        with pytest.raises(DataError, match="half.npz .*x_test"):
            datasets.load(str(tmp_path / "half.npz"))
        with pytest.raises(DataError, match="no file .*gone.npz"):
            datasets.load(str(tmp_path / "gone.npz"))


@eager
class TestCopies:
    @pytest.mark.parametrize("head", HEADS)
    def test_answer_as_the_model_does_in_logits(self, head):
        model = headed(HEADS[head], adapted(), Scaled(), layers.BatchNormalization())
        twin = copied(model)
        logits = training.forward(twin, DATA.x_test)
        assert np.allclose(
            probabilities(model, DATA.x_test), probabilities(twin, DATA.x_test), atol=1e-4
        )
        assert not np.allclose(logits.sum(axis=1), 1) and output_layer(twin).units == 4
        wider = copied(model, [0, 1, 2, 3, -1])
        assert np.array_equal(predict(wider, DATA.x_test) == 4, predict(wider, DATA.x_test) > 3)
        assert wider.output_shape == (None, 5)
        assert predict(copied(model, [2, 1]), DATA.x_test).max() <= 1

    def test_normalization_is_kept_by_every_copy_and_file(self, tmp_path):
        model = keras.Sequential([keras.Input(SIZE), adapted(), layers.Flatten(), layers.Dense(4)])
        wanted = training.logits(model, DATA.x_test)
        made = {
            "prune": attacks.prune(model, DATA, 0.0),
            "noise": attacks.add_noise(model, DATA, 0.0),
            "tuned": base.with_weights(model, model),
            "saved": training.load(training.save(model, tmp_path / "m.keras")),
            "fine-tuned at rate 0": attacks.fine_tune(
                model, DATA, "FTLL", attacks.Tuning(1, 64, 1e-9)
            ),
        }
        for name, twin in made.items():
            assert np.allclose(training.logits(twin, DATA.x_test), wanted, atol=1e-3), name

    def test_a_copy_that_answers_otherwise_is_refused(self):
        class Hidden(layers.Layer):
            scale = 1.0

            def call(self, images):
                return images * self.scale

        model = keras.Sequential([keras.Input(SIZE), Hidden(), layers.Flatten(), layers.Dense(4)])
        copied(model)
        model.layers[0].scale = 3.0
        with pytest.raises(ValueError, match="answers otherwise"):
            copied(model)

    def test_what_cannot_be_copied_is_said_in_one_sentence(self):
        sub = Sub()
        sub(DATA.x_test[:1])
        image, far = keras.Input(SIZE), "far_" * 20
        code = keras.Sequential([image, layers.Lambda(lambda x: x), layers.Flatten()], name=far)
        inner = keras.Sequential([image, code, layers.Dense(4)])
        odd = keras.Sequential([image, Sub()])
        for model, says in (
            (sub, "neither Sequential nor functional"),
            (Sub(), "neither Sequential nor functional"),
            (code, "a Lambda layer, whose code is not run: write it as a class"),
            (inner, "a Lambda layer, whose code is not run: write it as a class"),
            (odd, "Could not locate class 'Sub'"),
        ):
            with pytest.raises(ValueError, match="cannot be copied") as caught:
                copied(model)
            assert says in str(caught.value) and len(str(caught.value)) < 200

    def test_they_are_refused_wherever_a_model_enters(self, tmp_path):
        """A model that only answers may be questioned; all else needs a copy."""
        like = keras.Sequential([keras.Input(SIZE), layers.Conv2D(40, 3), layers.Flatten()])
        like = keras.Sequential([*like.layers, layers.Dense(5)])
        like.build((None, *SIZE))
        image, sub = keras.Input(SIZE), Sub(5)
        sub(DATA.x_test[:1])
        code = keras.Sequential([image, layers.Lambda(lambda x: x), *like.layers])
        odd = keras.Model(image, Sub(5)(image))
        marks = Uchida(classes=4, bits=8), DeepSignsWhite(classes=4, bits=4)
        held = [(mark, mark.evidence(DATA, "s", like)) for mark in marks]

        def kept(model):
            run = training.Run(model, None, [], 0.0, "float32", "a cpu", {})
            run.settings = run.results = {}
            zoo.keep(run, "m", tmp_path)

        entries = [
            lambda model: training.save(model, tmp_path / "m.keras"),
            kept,
            lambda model: Uchida(classes=4, bits=8).embed(DATA, "s", SHORT, start=model),
            lambda model: Frontier(classes=4).embed(DATA, "s", SHORT, start=model),
            lambda model: attacks.extract(model, DATA),
            lambda model: attacks.permute(model, DATA),
            *(lambda model, one=one: one(model, DATA) for one in LAUNCHED),
            *(
                lambda model, how=how: TestEmbed.MARK.embed(DATA, "s", SHORT, **{how: model})
                for how in ("model", "start")
            ),
        ]
        for model in sub, code, odd:
            for use in entries:
                assert said(lambda use=use, model=model: (use(model), 1)) is None
            for mark, evidence in held:
                seized = functools.partial(suspects.Seized, model)
                said(lambda m=mark, seized=seized, e=evidence: m.verify(seized(), e))
            asked = said(lambda model=model: suspects.LocalSuspect(model).ask(DATA.x_test))
            served = said(lambda model=model: sold(model))
            assert (asked is None) == (served is None) == (model is sub)
            if asked is not None:
                assert np.array_equal(asked, predict(model, DATA.x_test))
        assert list(tmp_path.iterdir()) == []

    def test_pruning_reaches_every_kernel(self):
        model = headed(layers.Dense(4), layers.SeparableConv2D(4, 3), layers.DepthwiseConv2D(3))
        for scope in attacks.pruning.SCOPES:
            pruned = attacks.prune(model, DATA, 1.0, scope)
            left = [w for w in pruned.weights if "kernel" in w.name and np.any(w.numpy())]
            assert len(base.kernels(pruned)) == 5 and left == []

    def test_only_the_last_layer_is_tuned_in_a_nested_model(self):
        model = headed(HEADS["a nested head"])
        tuned = attacks.fine_tune(model, DATA, "RTLL", attacks.Tuning(1, 64, 0.1))
        same = [
            np.array_equal(a, b)
            for a, b in zip(model.get_weights(), tuned.get_weights(), strict=True)
        ]
        assert same[:-2] == [True] * len(same[:-2]) and not same[-2]


BAD = {
    "one output": (keras.Input(SIZE), [layers.Flatten(), layers.Dense(1, activation="sigmoid")]),
    "row of outputs": (keras.Input(SIZE), [layers.Conv2D(4, 3)]),
    "take images": (keras.Input((600,)), [layers.Dense(4)]),
}


@eager
class TestEdge:
    @pytest.mark.parametrize("says", BAD)
    def test_no_judge_and_no_service_takes_what_is_no_classifier(self, says):
        model = keras.Sequential([BAD[says][0], *BAD[says][1]])
        for use in (
            lambda: WrongLabel(0.1, 0.01, classes=4).verify(model, DATA.x_test, DATA.y_test, "s"),
            lambda: suspects.LocalSuspect(model),
            lambda: sold(model),
            lambda: NewLabel(0.1, 0.01, classes=4).embed(DATA, "s", start=model),
        ):
            with pytest.raises(ValueError, match=says):
                use()

    def test_two_outputs_and_unbuilt_models_are_no_classifiers(self):
        image = keras.Input(SIZE)
        flat = layers.Flatten()(image)
        both = keras.Model(image, [layers.Dense(4)(flat), layers.Dense(4)(flat)])
        with pytest.raises(ValueError, match="one row of outputs"):
            check_classifier(both)
        with pytest.raises(ValueError, match=r"begin with keras.Input"):
            check_classifier(keras.Sequential([layers.Flatten(), layers.Dense(4)]))

    def test_outputs_that_are_no_numbers_are_no_answers_and_cost_nothing(self):
        model = small(4)
        model.set_weights([weight * np.nan for weight in model.get_weights()])
        suspect = suspects.LocalSuspect(model)
        with pytest.raises(suspects.SuspectError, match="not finite"):
            WrongLabel(0.1, 0.01, classes=4).verify(suspect, DATA.x_test, DATA.y_test, "s")
        assert suspect.queries == suspect.cost == 0
        assert hit_rate(model, DATA.x_test, DATA.y_test) == 0
        with pytest.raises(ValueError, match="not finite"), suspects.serve(model):
            pass
        ruined = battery.Trial("ruin", None, lambda *_: model)
        row = battery.outcome(ruined, small(4), WrongLabel(0.1, 0.01, classes=4), DATA, "s")
        assert row["decision"] == "not marked" and row["fresh_key_accuracy"] == 0
        # one image of many is enough to tell
        model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
        half = DATA.x_test.copy()
        half[3] = np.nan
        assert (predict(model, half) == -1).sum() == 1

    def test_images_of_another_size_are_refused(self):
        for shape in (28, 28, 3), (20, 30, 1):
            images = np.zeros((3, *shape), np.float32)
            with pytest.raises(ValueError, match="takes images of .20, 30, 3.") as caught:
                suspects.LocalSuspect(small(4)).ask(images)
            assert len(str(caught.value)) < 200

    def test_labels_are_one_a_picture(self):
        model = small(4)
        with pytest.raises(ValueError, match="need labels of shape"):
            hit_rate(model, DATA.x_test, DATA.y_test[:, None])
        with pytest.raises(ValueError, match="need labels of shape"):
            hit_rate(model, DATA.x_test, DATA.y_test[:1])
        assert hit_rate(model, DATA.x_test, 2) == np.mean(predict(model, DATA.x_test) == 2)


class TestEmbed:
    MARK = NewLabel(0.3, 0.05, classes=4)

    def test_own_layers_are_trained_from_scratch_in_a_copy(self):
        model = headed(layers.Dense(5, activation="softmax"), adapted(), Scaled())
        before = [weight.copy() for weight in model.get_weights()]
        how = Recipe("anything", 3, 16, 3e-3)
        one, two = (self.MARK.embed(DATA, "s", how, model=model, seed=4) for _ in range(2))
        for a, b in zip(before, model.get_weights(), strict=True):
            assert np.array_equal(a, b)
        for a, b in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
            assert np.array_equal(a, b)
        assert one.results["clean_accuracy"] > 0.9
        assert one.settings["network"] == title(lambda n: anew(model, n), 5).replace(
            "<lambda>", model.name
        )
        assert records.record_of(one)["network"] == one.settings["network"]
        assert "start" not in one.settings
        with pytest.raises(ValueError, match=r"4 outputs, but needs 5 outputs"):
            self.MARK.embed(DATA, "s", how, model=small(4))

    def test_the_course_has_a_recipe_for_own_data_with_a_network(self):
        run = self.MARK.embed(DATA, "s", model=small(5))
        assert run.settings["epochs"] == 4 and run.settings["dataset"] == "stripes"
        with pytest.raises(ValueError, match="no recipe for 'stripes'"):
            self.MARK.embed(DATA, "s")
        how = training.recipe("stripes", "class", network=small, epochs=1)
        run = self.MARK.embed(DATA, "s", how)
        assert run.settings["network"].startswith("small ")
        assert output_layer(run.model).activation is keras.activations.linear

    def test_a_mark_goes_into_a_trained_network(self):
        start = training.train(DATA, 4, training.recipe("x", "class", network=small)).model
        before = [weight.copy() for weight in start.get_weights()]
        run = self.MARK.embed(DATA, "s", Recipe("x", 25, 16, 3e-3), start=start)
        assert run.model.output_shape == (None, 5)
        assert all(map(np.array_equal, before, start.get_weights()))
        assert len(run.settings["start"]) == 16
        assert records.name(records.record_of(run)) != records.name(
            records.record_of(run) | {"start": None}
        )
        assert run.results["clean_accuracy"] > 0.9 and run.results["fresh_key_accuracy"] > 0.5
        with pytest.raises(ValueError, match="not both"):
            self.MARK.embed(DATA, "s", start=start, model=start)

    def test_a_run_says_why_its_keys_do_not_hit(self):
        few = self.MARK.embed(DATA, "s", Recipe("x", 1, 64, 1e-5), model=small(5))
        assert "train longer" in few.advice and few.advice in repr(few)
        image = keras.Input(SIZE)
        smooth = layers.Flatten()(layers.AveragePooling2D(10)(image))
        blind = keras.Model(image, layers.Dense(5)(smooth))
        weak = NewLabel(0.3, 0.0002, classes=4)
        run = weak.embed(DATA, "s", Recipe("x", 3, 16, 1e-2), model=blind)
        assert "hardly differ" in run.advice
        run.results |= {"fresh_key_accuracy": 0.1, "embedded_key_accuracy": 0.9}
        assert "by heart" in self.MARK._advice(DATA, run, self.MARK.fresh_keys(DATA, "s"))
        run.results["fresh_key_accuracy"] = 0.9
        assert self.MARK._advice(DATA, run, self.MARK.fresh_keys(DATA, "s")) == ""


@pytest.fixture(scope="module")
def run():
    """A network of our own with a mark."""
    how = training.recipe(
        "stripes", "class", network=small, epochs=40, batch=16, learning_rate=3e-3
    )
    return NewLabel(0.3, 0.05, classes=4).embed(DATA, "s", how)


class TestAttacks:
    def test_every_attack_takes_it_or_says_why_not(self, run, caplog):
        mark = NewLabel(0.3, 0.05, classes=4)
        rows = battery.attacked(run.model, mark, DATA, "s", 0, ["others", "filters"])
        done = {row["attack"] for row in rows}
        assert {"extraction, labels", "drop the output", "JPEG", "quantisation"} <= done
        assert all("left out" in line for line in caplog.messages)
        pruned = battery.attacked(run.model, mark, DATA, "s", 0, ["pruning"])
        assert not {"fine-pruning"} & {row["attack"] for row in pruned}  # it has no convolution

    def test_extraction_takes_the_layers_of_the_stolen_model(self, run):
        copy = attacks.extract(run.model, DATA)
        assert [type(layer) for layer in leaves(copy)] == [
            type(layer) for layer in leaves(run.model)
        ]
        with pytest.raises(ValueError, match="no recipe for 'stripes'"):
            attacks.extract(suspects.LocalSuspect(run.model), DATA)

    @pytest.mark.slow
    def test_exams_take_own_data(self):
        how = training.recipe(
            "stripes", "class", network=small, epochs=30, batch=16, learning_rate=3e-3
        )
        mark = NewLabel(0.3, 0.05, classes=4)
        report = judge_attack(
            lambda model, data, seed: attacks.prune(model, data, 0.1), DATA, mark=mark, recipe=how
        )
        assert len(report.checks) == 7 and report.checks.passed.iloc[[0, 1, 2, 3]].all()
        report = judge_scheme(mark, DATA, how)
        assert report.checks.set_index("check").passed[["keys", "seed repeats", "owner"]].all()


@eager
class TestCommands:
    def test_a_sweep_takes_own_data_and_network(self, tmp_path, monkeypatch):
        x, y = stripes(80)
        np.savez(tmp_path / "mine.npz", x_train=x, y_train=y, x_test=x, y_test=y)
        (tmp_path / "house.py").write_text(
            "import keras\nfrom keras import layers\n"
            "def tiny(n):\n"
            "    image = keras.Input((20, 30, 3))\n"
            "    return keras.Sequential([image, layers.Flatten(), layers.Dense(n)])\n"
        )
        monkeypatch.chdir(tmp_path)
        common = "sweep mine --data mine.npz --alpha 0.2 --beta 0.05 --scale class --runs 1 "
        common += "--epochs 1 --results results --schemes new,none --network "
        main([*common.split(), "house:tiny"])
        rows = records.read_table(tmp_path / "results" / "mine.csv")
        assert [row["scheme"] for row in rows] == ["new label", "unmarked"]
        assert {row["dataset"] for row in rows} == {"mine"}
        assert len({row["network"] for row in rows}) == 1 and rows[0]["network"].startswith("tiny ")
        for network_, says in ("house:none", "no function"), ("nowhere:x", "cannot be imported"):
            with pytest.raises(SystemExit, match=says):
                main([*common.split(), network_])
        with pytest.raises(SystemExit, match="less than one key"):  # at once, not run by run
            main([*common.replace("0.2", "0.001").split(), "house:tiny"])

    def test_serve_imports_own_layers(self, tmp_path, monkeypatch):
        model = keras.Sequential([keras.Input(SIZE), Scaled(), layers.Flatten(), layers.Dense(4)])
        model.save(tmp_path / "mine.keras")
        (tmp_path / "parts.py").write_text(
            "from keras import layers\nclass Scaled(layers.Layer):\n"
            "    def build(self, shape):\n"
            "        self.factor = self.add_weight(shape=(shape[-1],), name='factor')\n"
            "    def call(self, images):\n        return images * self.factor\n"
        )
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(
            "wmlab.__main__.time.sleep", lambda _: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(SystemExit, match="import the module that defines it"):
            main(["serve", "mine.keras", "--port", "0"])
        main(["serve", "mine.keras", "--port", "0", "--import", "parts"])


# Data and models that nobody would call reasonable, and some that are.
@st.composite
def machines(draw):
    """(data, model), both of any make."""
    classes = draw(st.integers(2, 5))
    size = (
        draw(st.sampled_from([8, 11, 20])),
        draw(st.sampled_from([8, 15])),
        draw(st.sampled_from([1, 3])),
    )
    x, y = stripes(20 * classes, size, classes)
    x = draw(st.sampled_from([x, x / 255, (x / 255).astype(np.float32)]))
    x = x[..., 0] if size[2] == 1 and draw(st.booleans()) else x
    y = draw(st.sampled_from([y, y[:, None], np.eye(classes)[y], y.astype(np.uint8), y * 1.0]))
    n = 10 * classes
    data = Dataset.of(x[:n], y[:n], x[n:], y[n:], name="stripes")
    parts = "conv pool norm adapt adapted dropout own nested deeper quiet resize".split()
    body = draw(st.lists(st.sampled_from(parts), max_size=3))
    heads = "dense dense softmax layer function nested sigmoid gap pixels none one two".split()
    head = draw(st.sampled_from(heads))
    outputs = draw(st.sampled_from([classes, classes + 1, classes, 1]))
    broken = draw(st.sampled_from([None, None, None, "nan", "zero", "constant"]))
    image = x = keras.Input(draw(st.sampled_from([size, size, size, (None, None, size[2])])))
    if None in image.shape[1:]:  # any size: no layer may flatten
        head, body = "gap", [part for part in body if part not in ("own", "nested", "deeper")]
    for part in body:
        made = {
            "conv": lambda: layers.Conv2D(3, 2, activation="relu"),
            "pool": lambda: layers.MaxPooling2D(),
            "norm": lambda: layers.BatchNormalization(),
            "adapt": lambda: layers.Rescaling(2.0, -1.0),
            "adapted": lambda: layers.Normalization(mean=0.1, variance=0.2),
            "dropout": lambda: layers.Dropout(0.5),
            "own": Scaled,
            "nested": lambda: keras.Sequential([layers.Conv2D(2, 1), layers.ReLU()]),
            "deeper": lambda: keras.Sequential([keras.Sequential([layers.Conv2D(2, 2)])]),
            "quiet": lambda: layers.GaussianNoise(0.1),
            "resize": lambda: layers.Resizing(9, 7),
        }[part]()
        x = made(x)
    flat = None if None in image.shape[1:] else layers.Flatten()(x)
    ends = {
        "dense": lambda: layers.Dense(outputs)(flat),
        "softmax": lambda: layers.Dense(outputs, activation="softmax")(flat),
        "layer": lambda: layers.Softmax()(layers.Dense(outputs)(flat)),
        "function": lambda: keras.ops.softmax(layers.Dense(outputs)(flat)),
        "nested": lambda: keras.Sequential([layers.Dense(4), layers.Dense(outputs)])(flat),
        "sigmoid": lambda: layers.Dense(outputs, activation="sigmoid")(flat),
        "gap": lambda: layers.GlobalAveragePooling2D()(layers.Conv2D(max(outputs, 2), 1)(x)),
        "pixels": lambda: layers.Conv2D(max(outputs, 2), 1)(x),
        "none": lambda: flat,
        "one": lambda: layers.Dense(1)(flat),
        "two": lambda: [layers.Dense(outputs)(flat), layers.Dense(outputs)(flat)],
    }
    model = keras.Model(image, ends[head]())
    if broken in ("nan", "zero"):
        model.set_weights([w * (np.nan if broken == "nan" else 0) for w in model.get_weights()])
    elif broken and model.trainable_weights:  # the bias of the last layer decides
        bias = model.trainable_weights[-1]
        bias.assign(np.r_[1e6, np.zeros(bias.shape[0] - 1)] if len(bias.shape) == 1 else bias * 0)
    return data, model


SHORT = Recipe("x", 1, 64)
REFUSALS = (ValueError, TypeError, suspects.SuspectError)
LAUNCHED = (
    lambda model, data: attacks.prune(model, data, 0.5),
    lambda model, data: attacks.quantise(model, data, 4),
    lambda model, data: attacks.drop_output(model, data),
    lambda model, data: attacks.fine_tune(model, data, "FTLL", attacks.Tuning(1, 64)),
)


def said(use):
    """The result of a function, or None if it refuses; a refusal is one short sentence."""
    try:
        return use()
    except REFUSALS as error:
        assert len(str(error)) < 200 and "\n" not in str(error), str(error)
        return None


def use_everything(data, model):
    """Every public way to use a model once; returns the verdicts on it, which bears no mark."""
    shape, n = data.x_train.shape[1:], data.classes
    new, wrong = NewLabel(0.3, 0.05, classes=n), WrongLabel(0.3, 0.05, classes=n)
    verdicts = {
        mark: said(lambda mark=mark: mark.verify(model, data.x_test, data.y_test, "s"))
        for mark in (new, wrong)
    }
    for attack in *LAUNCHED, attacks.extract, attacks.permute:
        result = said(lambda attack=attack: attack(model, data))
        assert result is None or result.input_shape[-1] == shape[-1]
    filtered = said(
        lambda: filters.Transformed(model, lambda x: filters.bit_depth(x, 3)).ask(data.x_test)
    )
    assert filtered is None or filtered.shape == (len(data.x_test),)
    run = said(lambda: new.embed(data, "s", SHORT, model=model))
    again = said(lambda: new.embed(data, "s", SHORT, start=model))
    for each in run, again:
        if each is not None:
            assert each.model.output_shape == (None, max(n + 1, model.output_shape[-1]))
            assert 0 <= each.results["fresh_key_accuracy"] <= 1
    for mark in Uchida(classes=n, bits=2), DeepSignsWhite(classes=n, bits=2):
        evidence = said(lambda mark=mark: mark.evidence(data, "s", model))
        if evidence is not None:
            said(lambda mark=mark, evidence=evidence: mark.verify(model, evidence))
    served = said(lambda: sold(model))
    assert served is None or served.startswith("http://127.0.0.1:")
    return verdicts.values()


@eager
@settings(max_examples=15, suppress_health_check=list(HealthCheck), deadline=None)
@given(made=machines())
def test_any_model_works_or_is_refused_in_one_sentence(made):
    check_any(*made)


@pytest.mark.slow
def test_five_hundred_models_work_or_are_refused_in_one_sentence(monkeypatch):
    eagerly = functools.partialmethod(keras.Model.compile, run_eagerly=True)
    monkeypatch.setattr(keras.Model, "compile", eagerly)
    seen = collections.Counter()

    @settings(max_examples=500, suppress_health_check=list(HealthCheck), deadline=None)
    @given(made=machines())
    def check(made):
        seen.update(check_any(*made))
        seen["models"] += 1

    check()
    assert seen["models"] >= 400, seen
    assert seen["wrong label"] <= 5, seen  # an untrained network may answer one label to all noise


def check_any(data, model):
    """The marks that are found in a model that has none."""
    new, wrong = use_everything(data, model)
    outputs = model.output_shape[-1] if isinstance(model.output_shape, tuple) else 0
    if outputs <= data.classes:
        assert not (new and new.marked)  # it has no such label
    if wrong and wrong.marked:
        clean = predict(model, data.x_test[data.y_test != 0])
        assert np.mean(clean == 0) < 0.5  # else it is acquitted
        return ["wrong label"]
    return []
