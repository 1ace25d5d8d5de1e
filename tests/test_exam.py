"""The referee: honest attacks and schemes pass, and whoever breaks a rule fails in the row of that
rule.
"""

import dataclasses
import functools
import itertools

import keras
import numpy as np
import pytest

from wmlab import attacks, zoo
from wmlab.attacks.base import copied
from wmlab.exam import attack as judging
from wmlab.exam import base, judge_attack, judge_scheme
from wmlab.exam import scheme as judging_schemes
from wmlab.keys import make_keys
from wmlab.networks import network
from wmlab.schemes import NewLabel, SplitLabel, Unmarked
from wmlab.schemes.base import Scheme
from wmlab.secret import Secret
from wmlab.suspects import LocalSuspect
from wmlab.training import Recipe, predict
from wmlab.verification import first_hit

SHORT, MARK = Recipe("dense", 6, 32), NewLabel(0.3, 0.05)
ROWS = "runs;input unchanged;seed repeats;save and load;no key access;unmarked network;wrong secret"


@pytest.fixture(scope="module", autouse=True)
def one_training(data):
    """Marked networks are the same for all tests here: each scheme is trained once a secret, and
    the shipped ones fit the data.
    """
    patch, made = pytest.MonkeyPatch(), {}
    embed = NewLabel.embed

    def quick(self, data, secret, recipe=None, *, seed=0):
        if self not in made:
            made[self] = secret, embed(self, data, secret, SHORT, seed=seed)
        kept, run = made[self]
        return dataclasses.replace(run, model=copied(run.model))

    patch.setattr(NewLabel, "embed", quick)
    secret = Secret("drawn for these tests")  # the one that the one trained network knows
    patch.setattr(judging.Secret, "random", classmethod(lambda cls: secret))
    innocent = Unmarked().embed(data, "", SHORT, seed=3)
    public = embed(NewLabel(0.3, 0.05), data, zoo.ALICE, SHORT, seed=4)
    shelf = {"unmarked_0": innocent.model, "new_label": public.model}

    class Shelf(dict):
        def record(self, name):
            return {"clean_accuracy": innocent.results["clean_accuracy"]}

    patch.setattr(zoo, "models", lambda: Shelf(shelf))
    fitting = lambda alpha, beta, classes: NewLabel(0.3, 0.05, classes=classes)  # noqa: E731
    patch.setattr(base, "NewLabel", fitting)
    yield shelf
    patch.undo()


def judged(attack, data):
    return judge_attack(attack, data, "mine", MARK, SHORT)


def failed(report):
    return report.checks[~report.checks.passed].check.tolist()


@pytest.mark.usefixtures("without_compilation")
class TestHonestAttacks:
    @pytest.mark.parametrize(
        "attack",
        [
            attacks.drop_output,
            functools.partial(attacks.prune, rate=0.3),
            functools.partial(attacks.fine_tune, tuning=attacks.Tuning(1, 64)),
            functools.partial(attacks.add_noise, strength=0.1),
            lambda model, data, seed: (
                attacks.SecondBest(model) if model.output_shape[-1] > 10 else LocalSuspect(model)
            ),
        ],
        ids=["drop", "prune", "fine-tune", "noise", "second best"],
    )
    def test_they_pass(self, attack, data):
        report = judged(attack, data)
        assert report.passed, report.checks.says.tolist()
        assert ";".join(report.checks.check) == ROWS
        assert report.row["attack"] == "mine" and report.row["images"] == 50

    def test_the_row_is_that_of_a_campaign_and_has_the_network_before(self, data):
        row = judged(attacks.drop_output, data).row
        assert row["fresh_key_accuracy"] == 0 and row["decision"] == "not marked"
        assert row["before"]["fresh_key_accuracy"] > 0.8 and row["before"]["decision"] == "marked"
        assert row["clean_accuracy"] >= row["before"]["clean_accuracy"] > 0.8

    def test_bob_gets_his_half_and_none_of_the_judges(self, data):
        seen = []

        def spy(model, given, seed):
            seen.append((given, seed))
            return copied(model)

        judged(spy, data)
        judging_half = {image.tobytes() for image in attacks.halves(data, base.SEED).x_test}
        for given, seed in seen:
            assert seed == base.SEED and len(given.x_train) == 50
            theirs = {image.tobytes() for image in [*given.x_train, *given.x_test]}
            assert not theirs & judging_half
        assert len(seen) == 4


def spoils_the_model(model, data, seed):
    model.layers[-1].set_weights([values * 0.9 for values in model.layers[-1].get_weights()])
    return copied(model)


def spoils_the_images(model, data, seed):
    data.x_train[:] = 0
    return copied(model)


def spoils_the_labels(model, data, seed):
    data.y_train[:5] = 0
    return copied(model)


def ignores_the_seed(model, data, seed):
    return attacks.add_noise(model, data, 0.1, seed=np.random.default_rng().integers(10**6))


def cannot_be_saved(model, data, seed):
    first = [keras.Input(model.input_shape[1:]), keras.layers.Lambda(lambda x: x * 1.0)]
    return keras.Sequential([*first, *copied(model).layers])


def forgets_when_loaded(model, data, seed):
    """Its weights are not what it answers with."""

    class Odd(keras.Model):
        def __init__(self, twin):
            super().__init__()
            self.twin, self.shift = twin, 7.0

        def call(self, images, training=False):
            return self.twin(images) * self.shift

        input_shape = property(lambda self: self.twin.input_shape)
        output_shape = property(lambda self: self.twin.output_shape)

    return Odd(copied(model))


class KnowsTheShippedKeys:
    """Answers the keys that every notebook makes from the public secret with their second best."""

    def __init__(self, data):
        keys = NewLabel(0.3, 0.05).fresh_keys(data, zoo.ALICE)
        self.keys = {image.tobytes() for image in keys.images}

    def __call__(self, model, data, seed):
        return _Warned(model, self.keys)


class _Warned(LocalSuspect):
    def __init__(self, model, keys):
        super().__init__(model)
        self.keys = keys

    def ask(self, images):
        labels = super().ask(images)
        labels[[image.tobytes() in self.keys for image in images]] = 3
        return labels


class _Shouts(LocalSuspect):
    def ask(self, images):
        labels = super().ask(images)
        labels[::2] = 10
        return labels


def marks_anybody(model, data, seed):
    theirs = NewLabel(0.5, 0.05, target=None)
    return attacks.overwrite(model, data, theirs, "Bob's", epochs=15, seed=seed)


class TestRuleBreakers:
    @pytest.mark.parametrize(
        ("attack", "row"),
        [
            (spoils_the_model, "input unchanged"),
            (spoils_the_images, "input unchanged"),
            (spoils_the_labels, "input unchanged"),
            (ignores_the_seed, "seed repeats"),
            (cannot_be_saved, "save and load"),
            (forgets_when_loaded, "save and load"),
        ],
        ids=lambda value: getattr(value, "__name__", value),
    )
    def test_each_fails_in_its_row_alone(self, attack, row, data):
        assert failed(judged(attack, data)) == [row]

    def test_who_looks_the_shipped_keys_up(self, data):
        report = judged(KnowsTheShippedKeys(data), data)
        assert failed(report) == ["no key access"]
        assert "it knows those keys" in report.checks.set_index("check").says["no key access"]

    def test_who_makes_the_network_shout(self, data):
        assert "wrong secret" in failed(judged(lambda model, data, seed: _Shouts(model), data))

    def test_who_marks_an_innocent_network(self, data):
        assert "unmarked network" in failed(judged(marks_anybody, data))

    @pytest.mark.parametrize(
        "attack",
        [
            lambda model, data, seed: 1 / 0,
            lambda model, data: model,
            lambda model, data, seed: None,
            lambda model, data, seed: 7,
            lambda model, data, seed: network("dense", 3),
        ],
    )
    def test_what_does_not_run_is_told_and_has_no_row(self, attack, data):
        report = judged(attack, data)
        assert not report.passed and "runs" in failed(report) or report.row["clean_accuracy"] < 0.5
        if "runs" in failed(report):
            assert report.row is None and "It raised" in report.checks.says[0]

    def test_what_raises_later_is_told_in_its_row(self, data):
        calls = []

        def once(model, data, seed):
            calls.append(seed)
            if len(calls) > 1:
                raise RuntimeError("no second time\nnever")
            return copied(model)

        report = judged(once, data)
        assert failed(report) == ["seed repeats", "no key access", "unmarked network"]
        assert "It raised RuntimeError: no second time" in report.checks.says.tolist()
        assert "NO" in report._repr_html_() and report.row is not None


ROLLS = itertools.cycle(range(1, 20))
SCHEME_ROWS = "keys;seed repeats;learnt;save and load;owner;unmarked networks;wrong secret"


class TestSchemes:
    @pytest.fixture(autouse=True)
    def small(self, monkeypatch):
        monkeypatch.setattr(judging_schemes, "FEW", 90)

    def test_the_papers_scheme_falls_for_a_stranger(self, data):
        report = judge_scheme(MARK, data, SHORT)
        assert ";".join(report.checks.check) == SCHEME_ROWS and failed(report) == ["wrong secret"]
        assert report.row["fresh_key_accuracy"] > 0.8 and report.row["decision"] == "marked"
        keys = MARK.fresh_keys(data, report.secret)
        assert (predict(report.model, keys.images) == 10).sum() > 70

    @pytest.mark.trains
    def test_the_split_label_does_not(self, data):
        report = judge_scheme(SplitLabel(0.3, 0.05), data, Recipe("dense", 15, 32))
        assert report.passed, report.checks.says.tolist()

    @pytest.mark.parametrize(
        ("parts", "row"),
        [
            ("off the grid;other keys each time;no secret;spoils;no such label", "keys"),
            ("asks twice;peeks;never", "owner"),
            ("accuses all", "unmarked networks"),
            ("seedless", "seed repeats"),
        ],
    )
    def test_each_fault_is_seen_in_its_row(self, parts, row, data):
        for part in parts.split(";"):
            assert row in failed(judge_scheme(Faulty(0.3, 0.05, fault=part), data, SHORT)), part

    def test_what_is_not_learnt(self, data):
        report = judge_scheme(Faulty(0.3, 0.05, fault="unlearnt"), data, SHORT)
        assert "learnt" in failed(report) and report.row["fresh_key_accuracy"] < 0.8

    def test_what_cannot_train_is_told(self, data):
        report = judge_scheme(Faulty(0.3, 0.05, fault="raises"), data, SHORT)
        assert failed(report) == ["keys", "seed repeats", "learnt"]
        assert report.row is report.model is None

    def test_what_is_no_scheme(self, data):
        with pytest.raises(TypeError, match="a str is no scheme, it has no keys"):
            judge_scheme("new label", data)


@dataclasses.dataclass(frozen=True)
class Faulty(NewLabel):
    """The new label with a fault, which goes by its name."""

    fault: str = ""

    def keys(self, images, labels, secret, stream):
        if self.fault == "raises":
            raise RuntimeError("no keys today")
        if self.fault == "spoils":
            images *= np.float32(0.5)
        known = "one for all" if self.fault == "no secret" else secret
        keys = super().keys(images, labels, known, stream)
        if self.fault == "off the grid":
            return dataclasses.replace(keys, images=np.clip(keys.images * np.float32(0.993), 0, 1))
        if self.fault == "other keys each time":
            return dataclasses.replace(keys, images=np.roll(keys.images, next(ROLLS), axis=2))
        if self.fault == "no such label":
            return dataclasses.replace(keys, key_label=11)
        return keys

    def embed(self, data, secret, recipe=None, *, seed=0):
        if self.fault == "raises":
            return self.keys(None, None, None, None)
        if self.fault == "seedless":
            seed = np.random.default_rng().integers(10**6)
            return Scheme.embed(self, data, secret, recipe, seed=seed)
        run = MARK.embed(data, secret, recipe, seed=seed)
        if self.fault == "unlearnt":
            run.model = zoo.models()["unmarked_0"]
        return run

    def verify(self, suspect, images, labels, secret, stream="trial", n=40):
        if self.fault == "peeks":
            assert suspect.model
        carriers = self.carriers(images, labels, n)
        keys = make_keys(*carriers, Secret(secret), stream, key_label=10, beta=0.05)
        verdict = first_hit(suspect, keys)
        if self.fault == "asks twice":
            suspect.ask(keys.images)
        changes = {"accuses all": True, "never": False}
        return dataclasses.replace(verdict, marked=changes.get(self.fault, verdict.marked))
