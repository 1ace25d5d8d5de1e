import dataclasses
import itertools
import json
import multiprocessing
import os
import signal

import numpy as np
import pytest

from wmlab import _downloads, records, sweeps, training
from wmlab.__main__ import main
from wmlab.datasets import KNOWN, SAMPLE, DataError
from wmlab.schemes import NewLabel, Unmarked, WrongLabel
from wmlab.sweeps import plan, sweep

FAST = {"scale": "class", "network": "dense", "epochs": 3, "batch": 32}
MARKS = plan(["new", "none"], [0.3], [0.05], 2)


@pytest.fixture
def tiny(data, monkeypatch):
    """Sweeps load the tiny data set, and say which they asked for."""
    asked = []
    monkeypatch.setattr(sweeps, "load", lambda *args: asked.append(args) or data)
    return asked


def measured(folder):
    """The records of a folder, without what depends on the clock."""
    kept = []
    for path in sorted(folder.glob("*.json")):
        record = json.loads(path.read_text())
        record.pop("seconds")
        for epoch in record["history"]:
            epoch.pop("seconds")
        kept.append(record)
    return kept


@pytest.mark.parametrize("schemes, alphas, betas, runs, count", [
    (["new"], [0.1], [0.01], 1, 1), (["new", "wrong"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 60),
    (["new", "wrong", "none"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 65), (["none"], [0.1, 0.2], [0.01, 0.02], 4, 4),
    (["new", "new-any"], [0.1], [0.01], 3, 6), (["new", "new"], [0.1, 0.1], [0.01], 2, 2),
])
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
        ["new", "wrong", "new-any", "none"], [0.1], [0.01], 1, classes=100, kind="fixed", reading="deviation")
    assert new == NewLabel(0.1, 0.01, "fixed", "deviation", 100)
    assert wrong == WrongLabel(0.1, 0.01, "fixed", "deviation", 100)
    assert anyone == NewLabel(0.1, 0.01, "fixed", "deviation", 100, target=None)
    assert none == Unmarked(100)


@pytest.mark.parametrize("schemes, runs, part", [
    (["old"], 1, "this one has old and 1 runs"), (["new", "old"], 1, "new, old"), ([], 3, "none and 3 runs"),
    (["new"], 0, "0 runs"), (["new"], -1, "-1 runs"),
])
def test_plans_of_nothing_are_refused(schemes, runs, part):
    with pytest.raises(ValueError, match=f"a sweep takes schemes of new, wrong, none, new-any.*{part}"):
        plan(schemes, [0.1], [0.01], runs)


@pytest.mark.parametrize("alphas, betas, sentence", [([0], [0.01], "alpha"), ([0.1], [2], "beta")])
def test_impossible_settings_are_refused_before_the_first_run(alphas, betas, sentence):
    with pytest.raises(ValueError, match=sentence):
        plan(["new"], alphas, betas, 1)


@pytest.mark.trains
def test_a_sweep_records_each_run_once(tiny, tmp_path, monkeypatch):
    paths = sweep("toy", "mnist", MARKS, tmp_path / "out", alpha=0.3, beta=0.05, **FAST)
    assert len(paths) == len(set(paths)) == 4 and set(paths) == set((tmp_path / "out").glob("*.json"))
    assert tiny == [("mnist", "class")]
    runs, curves = records.read(tmp_path / "out")
    assert runs["experiment"].eq("toy").all() and sorted(runs["scheme"]) == ["new label"] * 2 + ["unmarked"] * 2
    assert sorted(runs["seed"]) == [0, 0, 1, 1] and len(curves) == 12
    assert runs["network"].eq("dense").all() and runs["epochs"].eq(3).all()
    marked, unmarked = runs[runs["scheme"] == "new label"], runs[runs["scheme"] == "unmarked"]
    assert marked["decision"].eq("marked").all() and (marked["queries"] <= 3).all()
    assert unmarked["decision"].eq("not marked").all() and unmarked["queries"].eq(40).all()
    assert marked["clean_accuracy"].nunique() + marked["fresh_key_accuracy"].nunique() > 2, "two seeds, one network"

    before = [path.stat().st_mtime_ns for path in paths]
    monkeypatch.setattr(training, "train", lambda *args, **kwargs: pytest.fail("a run on file was run again"))
    assert sweep("toy", "mnist", MARKS, tmp_path / "out", alpha=0.3, beta=0.05, **FAST) == []
    assert [path.stat().st_mtime_ns for path in paths] == before


@pytest.mark.trains
def test_each_seed_has_a_secret_of_its_own(tiny, tmp_path, monkeypatch):
    secrets = []
    embed = NewLabel.embed
    monkeypatch.setattr(NewLabel, "embed", lambda self, data, secret, *args, **options: (
        secrets.append(secret) or embed(self, data, secret, *args, **options)))
    sweep("toy", "mnist", plan(["new"], [0.3], [0.05], 2), tmp_path, **FAST | {"epochs": 1})
    assert len(set(secrets)) == 2


@pytest.mark.trains
def test_an_interrupted_sweep_goes_on_where_it_stopped(tiny, tmp_path, monkeypatch):
    sweep("toy", "mnist", MARKS, tmp_path / "whole", **FAST)
    epochs = []
    measure = training._Watch.on_epoch_end

    def stop(self, epoch, logs=None):
        measure(self, epoch, logs)
        epochs.append(epoch)
        if len(epochs) == 5:  # the second epoch of the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(training._Watch, "on_epoch_end", stop)
        sweep("toy", "mnist", MARKS, tmp_path / "parts", **FAST)
    assert len(list((tmp_path / "parts").glob("*.json"))) == 1

    epochs.clear()
    monkeypatch.setattr(training._Watch, "on_epoch_end", lambda self, epoch, logs: (
        epochs.append(epoch), measure(self, epoch, logs)))
    assert len(sweep("toy", "mnist", MARKS, tmp_path / "parts", **FAST)) == 3
    assert epochs == [1, 2, 0, 1, 2, 0, 1, 2], "the finished epoch was run again, or one was left out"
    for one, two in zip(measured(tmp_path / "parts"), measured(tmp_path / "whole"), strict=True):
        histories = [np.array([list(epoch.values()) for epoch in record.pop("history")], float) for record in (one, two)]
        assert np.allclose(*histories, atol=1e-5, equal_nan=True)
        assert one == two


def _sweep_until_killed(data, out):
    sweeps.load = lambda *args: data
    written = []
    write = records.write

    def kill(record, folder):
        if written:
            os.kill(os.getpid(), signal.SIGKILL)
        written.append(write(record, folder))
        return written[-1]

    records.write = kill
    sweep("toy", "mnist", MARKS, out, **FAST)


@pytest.mark.slow
def test_a_killed_sweep_goes_on_where_it_stopped(data, tiny, tmp_path):
    child = multiprocessing.get_context("spawn").Process(target=_sweep_until_killed, args=(data, tmp_path))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    done = list(tmp_path.glob("*.json"))
    assert len(done) == 1
    assert len(sweep("toy", "mnist", MARKS, tmp_path, **FAST)) == 3
    assert done[0] in tmp_path.glob("*.json") and len(records.read(tmp_path)[0]) == 4


def test_the_small_sample_is_not_called_paper_scale(data, tmp_path, monkeypatch):
    monkeypatch.setattr(sweeps, "load", lambda *args: dataclasses.replace(data, source=f"from {SAMPLE}"))
    with pytest.raises(DataError, match="A sweep at paper scale needs all of mnist: put mnist.npz"):
        sweep("toy", "mnist", MARKS, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("arguments", "sentence"), [
    (["--epochs", "0"], "epochs, batch and learning rate must be positive"), (["--batch", "0"], "must be positive"),
    (["--dataset", "cifar10"], "There are two ways to get it"), (["--dataset", "mnits"], "unknown data set 'mnits'"),
    (["--runs", "0"], "0 runs"), (["--alpha", "2"], "alpha is 2"),
])
def test_the_command_ends_with_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.delenv("WMLAB_DATA", raising=False)
    monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))
    nowhere = {name: dataclasses.replace(known, base="http://127.0.0.1:9/") for name, known in KNOWN.items()}
    monkeypatch.setattr(_downloads, "KNOWN", nowhere)
    where = ["--scale", "class", "--out", str(tmp_path / "runs"), "--results", str(tmp_path)]
    with pytest.raises(SystemExit, match=sentence):
        main(["sweep", "toy", "--schemes", "new", "--alpha", "0.3", *where, *arguments])


@pytest.mark.parametrize("rate, decay", [("constant", False), ("cosine", True)])
def test_the_learning_rate_can_be_chosen(rate, decay, tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(sweeps, "sweep", lambda *args, **changes: given.update(changes))
    main(["sweep", "toy", "--rate", rate, "--out", str(tmp_path), "--results", str(tmp_path)])
    assert given == {"decay": decay}


def test_a_hundred_classes_are_planned_for(tmp_path, monkeypatch):
    planned = []
    monkeypatch.setattr(sweeps, "sweep", lambda experiment, dataset, marks, *args, **changes: planned.extend(marks))
    main(["sweep", "toy", "--dataset", "cifar100", "--runs", "1", "--out", str(tmp_path), "--results", str(tmp_path)])
    assert {mark.classes for mark, _ in planned} == {100}


def test_other_settings_are_other_runs(tiny, tmp_path):
    marks = plan(["none"], [0.3], [0.05], 1)
    quick = FAST | {"epochs": 1}
    assert len(sweep("toy", "mnist", marks, tmp_path, **quick)) == 1
    assert len(sweep("toy", "mnist", marks, tmp_path, **quick | {"batch": 64})) == 1
    assert len(sweep("other", "mnist", marks, tmp_path, **quick)) == 1
    assert len(records.read(tmp_path)[0]) == 3
