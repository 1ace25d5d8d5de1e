import dataclasses
import itertools
import json
import logging

import numpy as np
import pytest

from wmlab import datasets, records, training
from wmlab.__main__ import main
from wmlab.datasets import KNOWN, SAMPLE, DataError
from wmlab.schemes import NewLabel, Unmarked, WrongLabel
from wmlab.tools import sweeps
from wmlab.tools.sweeps import plan, sweep

FAST = {"scale": "class", "network": "dense", "epochs": 3, "batch": 32}
MARKS = plan(["new", "none"], [0.3], [0.05], 2)


@pytest.fixture
def tiny(data, monkeypatch):
    """Sweeps load the tiny data set, say which they asked for, and run here."""
    asked = []
    monkeypatch.setattr(sweeps, "load", lambda *args: asked.append(args) or data)
    monkeypatch.setattr(sweeps, "_place", lambda *args: "here")
    return asked


class Stub:
    """Stands in for training: the record of a run at once. Seeds in `unlucky` raise what stands
    there.
    """

    def __init__(self):
        self.seeds, self.unlucky = [], {}

    def __call__(self, data, job, how, measure, **options):
        self.seeds.append(job.seed)
        if job.seed in self.unlucky:
            raise self.unlucky[job.seed]
        results = dict.fromkeys(records.RESULTS) | {"device": "none", "versions": "none"}
        epoch = dict.fromkeys(
            (
                "epoch",
                "loss",
                "clean_accuracy",
                "fresh_key_accuracy",
                "embedded_key_accuracy",
                "seconds",
            )
        )
        return job.about | results | {"history": [epoch]}


@pytest.fixture
def stub(tiny, monkeypatch):
    """Sweeps load the tiny data set, and train nothing."""
    stub = Stub()
    monkeypatch.setattr(sweeps, "_train", stub)
    monkeypatch.setattr(sweeps, "_pace", lambda *args, **options: (10, 0.1, 0.01))
    return stub


def assert_same(folder, other, tolerance=1e-5):
    """Both folders hold the same records, but for the time they took, and losses within a
    tolerance; and nothing else.
    """
    assert {path.name for path in folder.iterdir()} == {path.name for path in other.iterdir()}
    for path in folder.glob("*.failed"):
        assert path.read_bytes() == (other / path.name).read_bytes()
    for path in folder.glob("*.json"):
        one, two = (
            json.loads((where / path.name).read_text()) | {"seconds": 0}
            for where in (folder, other)
        )
        histories = [
            [{**epoch, "seconds": 0} for epoch in record.pop("history")] for record in (one, two)
        ]
        losses = [[epoch.pop("loss") for epoch in history] for history in histories]
        assert one == two and histories[0] == histories[1]
        assert np.allclose(*losses, rtol=0, atol=tolerance)


@pytest.mark.parametrize(
    "schemes, alphas, betas, runs, count",
    [
        (["new"], [0.1], [0.01], 1, 1),
        (["new", "wrong"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 60),
        (["new", "wrong", "none"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 65),
        (["none"], [0.1, 0.2], [0.01, 0.02], 4, 4),
        (["new", "new-any"], [0.1], [0.01], 3, 6),
        (["new", "new"], [0.1, 0.1], [0.01], 2, 2),
    ],
)
def test_plan_counts_every_setting_once_a_seed(schemes, alphas, betas, runs, count):
    planned = plan(schemes, alphas, betas, runs)
    assert len(planned) == count == len(set(planned))
    assert [seed for _, seed in planned] == sorted(seed for _, seed in planned), "seeds first"
    assert {seed for _, seed in planned} == set(range(runs))
    assert sum(isinstance(mark, Unmarked) for mark, _ in planned) == runs * ("none" in schemes)
    marked = {(mark.alpha, mark.beta) for mark, _ in planned if not isinstance(mark, Unmarked)}
    assert marked == (set(itertools.product(alphas, betas)) if schemes != ["none"] else set())


def test_plan_passes_settings_on():
    (new, _), (wrong, _), (anyone, _), (none, _) = plan(
        ["new", "wrong", "new-any", "none"],
        [0.1],
        [0.01],
        1,
        classes=100,
        kind="fixed",
        reading="deviation",
    )
    assert new == NewLabel(0.1, 0.01, "fixed", "deviation", 100)
    assert wrong == WrongLabel(0.1, 0.01, "fixed", "deviation", 100)
    assert anyone == NewLabel(0.1, 0.01, "fixed", "deviation", 100, target=None)
    assert none == Unmarked(100)


@pytest.mark.parametrize(
    "schemes, runs, part",
    [
        (["old"], 1, "this one has old and 1 runs"),
        (["new", "old"], 1, "new, old"),
        ([], 3, "none and 3 runs"),
        (["new"], 0, "0 runs"),
        (["new"], -1, "-1 runs"),
    ],
)
def test_plans_of_nothing_are_refused(schemes, runs, part):
    with pytest.raises(
        ValueError,
        match=f"a sweep takes schemes of new, wrong, none, split, fallback, new-any.*{part}",
    ):
        plan(schemes, [0.1], [0.01], runs)


@pytest.mark.parametrize("alphas, betas, sentence", [([0], [0.01], "alpha"), ([0.1], [2], "beta")])
def test_impossible_settings_are_refused_before_the_first_run(alphas, betas, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(["new"], alphas, betas, 1)


@pytest.mark.trains
def test_a_sweep_records_each_run_once(tiny, tmp_path, monkeypatch):
    paths = sweep("toy", "mnist", MARKS, tmp_path / "out", alpha=0.3, beta=0.05, **FAST)
    assert len(paths) == len(set(paths)) == 4 and set(paths) == set((tmp_path / "out").iterdir()), (
        "something else was left"
    )
    assert tiny == [("mnist", "class")]
    runs, curves = records.read(tmp_path / "out")
    assert (
        runs["experiment"].eq("toy").all()
        and sorted(runs["scheme"]) == ["new label"] * 2 + ["unmarked"] * 2
    )
    assert sorted(runs["seed"]) == [0, 0, 1, 1] and len(curves) == 12
    assert runs["network"].eq("dense").all() and runs["epochs"].eq(3).all()
    marked, unmarked = runs[runs["scheme"] == "new label"], runs[runs["scheme"] == "unmarked"]
    assert marked["decision"].eq("marked").all() and (marked["queries"] <= 3).all()
    assert unmarked["decision"].eq("not marked").all() and unmarked["queries"].eq(40).all()
    assert marked["clean_accuracy"].nunique() + marked["fresh_key_accuracy"].nunique() > 2, (
        "two seeds, one network"
    )

    before = [path.stat().st_mtime_ns for path in paths]
    monkeypatch.setattr(
        sweeps, "_train", lambda *args, **options: pytest.fail("a run on file was run again")
    )
    assert sweep("toy", "mnist", MARKS, tmp_path / "out", alpha=0.3, beta=0.05, **FAST) == []
    assert [path.stat().st_mtime_ns for path in paths] == before and len(
        list((tmp_path / "out").iterdir())
    ) == 4


@pytest.mark.trains
def test_each_seed_has_a_secret_of_its_own(tiny, tmp_path, monkeypatch):
    secrets = []
    embed = NewLabel.embed
    monkeypatch.setattr(
        NewLabel,
        "embed",
        lambda self, data, secret, *args, **options: (
            secrets.append(secret) or embed(self, data, secret, *args, **options)
        ),
    )
    sweep("toy", "mnist", plan(["new"], [0.3], [0.05], 2), tmp_path, **FAST | {"epochs": 1})
    assert len(set(secrets)) == 2


@pytest.mark.trains
def test_an_interrupted_sweep_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    marks, epochs = plan(["new", "none", "wrong"], [0.3], [0.05], 1), []
    sweep("toy", "mnist", marks, tmp_path / "whole", **FAST)
    measure = training._Watch.on_epoch_end

    def stop(self, epoch, logs=None):
        epochs.append(epoch)
        if len(epochs) == 5:  # the second epoch of the second run
            raise KeyboardInterrupt
        measure(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._Watch, "on_epoch_end", stop)
        sweep("toy", "mnist", marks, tmp_path / "parts", **FAST)
    assert len(list((tmp_path / "parts").glob("*.json"))) == 1

    epochs.clear()
    monkeypatch.setattr(
        training._Watch,
        "on_epoch_end",
        lambda self, epoch, logs: (epochs.append(epoch), measure(self, epoch, logs)),
    )
    assert len(sweep("toy", "mnist", marks, tmp_path / "parts", **FAST)) == 2
    assert epochs == [1, 2, 0, 1, 2], "the finished epoch was run again, or one was left out"
    assert_same(tmp_path / "parts", tmp_path / "whole")


def test_the_same_run_planned_twice_is_one_run(stub, tmp_path):
    assert len(sweep("toy", "mnist", MARKS + MARKS, tmp_path, **FAST)) == 4 == len(stub.seeds)


def test_other_settings_are_other_runs(stub, tmp_path):
    marks = plan(["none"], [0.3], [0.05], 1)
    assert len(sweep("toy", "mnist", marks, tmp_path, **FAST)) == 1
    assert len(sweep("toy", "mnist", marks, tmp_path, **FAST | {"batch": 64})) == 1
    assert len(sweep("other", "mnist", marks, tmp_path, **FAST)) == 1
    assert len(records.read(tmp_path)[0]) == 3 == len(stub.seeds)


def test_the_small_sample_is_not_called_paper_scale(data, tmp_path, monkeypatch):
    monkeypatch.setattr(
        sweeps, "load", lambda *args: dataclasses.replace(data, source=f"from {SAMPLE}")
    )
    with pytest.raises(DataError, match="A sweep at paper scale needs all of mnist: put mnist.npz"):
        sweep("toy", "mnist", MARKS, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "classes, network, sentence",
    [
        (10, "wide", "unknown network 'wide'"),
        (10, "cifar_cnn", "cifar_cnn takes images of .32, 32, 3., those of mnist"),
        (100, "dense", "mnist has 10 classes"),
    ],
)
def test_what_fits_no_run_is_refused_before_the_first(stub, tmp_path, classes, network, sentence):
    with pytest.raises(ValueError, match=sentence):
        sweep(
            "toy",
            "mnist",
            plan(["new"], [0.3], [0.05], 2, classes=classes),
            tmp_path,
            **FAST | {"network": network},
        )
    assert not stub.seeds and not list(tmp_path.iterdir())


def test_what_is_planned_is_said_first(stub, tmp_path, caplog):
    marks = plan(["new"], [0.5], [0.05], 4)
    sweep("toy", "mnist", marks[:1], tmp_path, **FAST)
    assert not caplog.messages, "nobody asked"
    with caplog.at_level(logging.INFO, "wmlab"):
        sweep("toy", "mnist", marks, tmp_path, **FAST)
        sweep("toy", "mnist", marks, tmp_path, **FAST)
    # a run: 10 s to build; three times 450 images of 0.1 s and 300 answers of 0.01 s; in the end,
    # 400 answers
    assert caplog.messages == [
        "toy: 4 runs, 1 of them on file; 3 to do one after the other, about 8 minutes",
        "toy: all 4 runs are on file",
    ]


def test_the_pace_is_measured(data):
    build, train, label = sweeps._pace(data, training.Recipe("dense", 1, 32))
    assert build >= 0 and 1e-7 < train < 0.1 and 1e-7 < label < 0.1


@pytest.mark.parametrize(
    "seconds, words",
    [
        (0, "0 seconds"),
        (119, "119 seconds"),
        (600, "10 minutes"),
        (9000, "2 hours"),
        (3e5, "3 days"),
    ],
)
def test_a_time_in_words(seconds, words):
    assert sweeps._words(seconds) == words


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--epochs", "0"], "epochs, batch and learning rate must be positive"),
        (["--batch", "0"], "must be positive"),
        (["--dataset", "cifar10"], "There are two ways to get it"),
        (["--dataset", "mnits"], "unknown data set 'mnits'"),
        (["--runs", "0"], "0 runs"),
        (["--alpha", "2"], "alpha is 2"),
        (["--network", "wide"], "unknown network 'wide'"),
        (["--scheduler", "tcp://127.0.0.1:9"], "No Dask scheduler"),
    ],
)
def test_the_command_ends_with_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.delenv("WMLAB_DATA", raising=False)
    monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))
    nowhere = {
        name: dataclasses.replace(known, base="http://127.0.0.1:9/")
        for name, known in KNOWN.items()
    }
    monkeypatch.setattr(datasets, "KNOWN", nowhere)
    where = ["--scale", "class", "--out", str(tmp_path / "runs"), "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match=sentence):
        main(["sweep", "toy", "--schemes", "new", "--alpha", "0.3", *where, *arguments])


@pytest.mark.parametrize(
    "arguments, changes",
    [
        (["--rate", "constant"], {"schedule": "constant"}),
        (["--rate", "cosine"], {"schedule": "cosine"}),
        (["--network", "dense"], {"network": "dense"}),
        (["--scheduler", "tcp://10.0.0.1:8786"], {"scheduler": "tcp://10.0.0.1:8786"}),
        (["--answers"], {"answers": True}),
        (["--attacks", "pruning,table1"], {"attacks": ["pruning", "table1"]}),
    ],
)
def test_options_are_passed_on(arguments, changes, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(sweeps, "sweep", lambda *args, **changes: given.update(changes))
    main(["sweep", "toy", *arguments, "--out", str(tmp_path), "--results", str(tmp_path)])
    assert given == changes


def test_a_hundred_classes_are_planned_for(tmp_path, monkeypatch):
    planned = []
    monkeypatch.setattr(
        sweeps, "sweep", lambda experiment, dataset, marks, *args, **changes: planned.extend(marks)
    )
    main(
        [
            "sweep",
            "toy",
            "--dataset",
            "cifar100",
            "--runs",
            "1",
            "--out",
            str(tmp_path),
            "--results",
            str(tmp_path),
        ]
    )
    assert {mark.classes for mark, _ in planned} == {100}


def test_the_command_tells_of_failed_runs_then_does_them_and_then_nothing(stub, tmp_path, capsys):
    command = [
        "sweep",
        "toy",
        "--schemes",
        "none",
        "--runs",
        "3",
        "--scale",
        "class",
        "--out",
        str(tmp_path / "runs"),
        "--results",
        str(tmp_path / "results"),
    ]
    stub.unlucky = {1: ValueError("no luck")}
    with pytest.raises(
        SystemExit,
        match="1 of 3 runs failed, the first because of ValueError: no luck. .* the same command",
    ):
        main(command)
    assert "exported: toy.csv" in capsys.readouterr().out and stub.seeds == [0, 1, 2]
    stub.unlucky.clear()
    main(command)
    assert stub.seeds == [0, 1, 2, 1]
    before = {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "runs").iterdir()
    }
    main(command)
    assert len(stub.seeds) == 4 and len(before) == 3
    assert {
        path: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "runs").iterdir()
    } == before
    assert len((tmp_path / "results" / "toy.csv").read_text().splitlines()) == 4


def test_the_command_stopped_by_hand_says_so(stub, tmp_path):
    stub.unlucky = {1: KeyboardInterrupt()}
    with pytest.raises(
        SystemExit, match="Stopped. Finished runs are on file, and the same command does the rest."
    ):
        main(
            [
                "sweep",
                "toy",
                "--schemes",
                "none",
                "--scale",
                "class",
                "--out",
                str(tmp_path / "runs"),
                "--results",
                str(tmp_path),
            ]
        )
    assert len(list((tmp_path / "runs").iterdir())) == 1
