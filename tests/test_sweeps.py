"""Sweeps: what is planned, where it is done, what is recorded, and what a killed one loses."""

import concurrent.futures
import dataclasses
import errno
import itertools
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
import types

import keras
import numpy as np
import pytest
import scipy.stats

import wmlab
from wmlab import battery, datasets, machine
from wmlab.__main__ import main
from wmlab.battery import GROUPS
from wmlab.datasets import KNOWN, SAMPLE, DataError
from wmlab.schemes import NewLabel, Scheme, Unmarked, WrongLabel
from wmlab.tools import dask_workers, records, sweeps
from wmlab.tools.sweeps import RunsFailed, plan, sweep
from wmlab.training import Recipe

QUICK = {"scale": "class", "network": "dense", "epochs": 1, "batch": 32}
MARKS = plan(["new", "none"], [0.3], [0.05], 2)
FEW = plan(["none"], [0.3], [0.05], 4)
BARE = types.SimpleNamespace(is_installed=lambda package: False)  # a machine without jax and Dask
JAX = types.SimpleNamespace(is_installed=lambda package: package == "jax")


@pytest.fixture
def tiny(data, monkeypatch):
    """Sweeps load the tiny data set, and train in this process."""
    monkeypatch.setattr(sweeps, "load", lambda *args: data)
    monkeypatch.setattr(sweeps, "machine", BARE)
    monkeypatch.setattr(dask_workers, "machine", BARE)


class Stub:
    """Stands in for training: a record at once. Seeds in `unlucky` raise what stands there."""

    def __init__(self):
        self.seeds, self.unlucky = [], {}

    def __call__(self, data, job, how=None, measure=None, on_epoch=None):
        self.seeds.append(job.seed)
        if job.seed in self.unlucky:
            raise self.unlucky[job.seed]
        results = dict.fromkeys(records.RESULTS) | {"device": "none", "versions": "none"}
        return job.settings | results | {"epochs_run": 0, "history": []}


@pytest.fixture
def stub(tiny, monkeypatch):
    """Sweeps load the tiny data set, and train nothing."""
    stub = Stub()
    monkeypatch.setattr(sweeps, "_train", stub)
    return stub


def on_record(folder, part=""):
    return records.read_table(folder / "results" / f"toy{part}.csv")


def run(marks, folder, **options):
    sweep("toy", "mnist", marks, folder / "results", **QUICK | options)


def assert_same(folder, other, tolerance=1e-5):
    """The tables of both hold the same, but for the time it took, and losses within a tolerance."""
    for part in ("", "_curves"):
        one, two = (on_record(place, part) for place in (folder, other))
        assert len(one) == len(two) > 0
        for row, its in zip(one, two, strict=True):
            assert np.isclose(row.pop("loss", 0), its.pop("loss", 0), rtol=0, atol=tolerance)
            assert row | {"seconds": 0} == its | {"seconds": 0}


def test_plan_counts_every_setting_once_a_seed():
    for schemes, alphas, betas, runs, count in [
        (["new"], [0.1], [0.01], 1, 1),
        (["new", "wrong"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 60),
        (["new", "wrong", "none"], [0.1, 0.2, 0.3], [0.01, 0.02], 5, 65),
        (["none"], [0.1, 0.2], [0.01, 0.02], 4, 4),
        (["repeated"], [0.1, 0.2], [0.01, 0.02], 4, 8),
        (["new", "new-any"], [0.1], [0.01], 3, 6),
        (["new", "new"], [0.1, 0.1], [0.01], 2, 2),
    ]:
        planned = plan(schemes, alphas, betas, runs)
        assert len(planned) == count == len(set(planned))
        assert [seed for _, seed in planned] == sorted(seed for _, seed in planned), "seeds first"
        assert {seed for _, seed in planned} == set(range(runs))
        unmarked = sum(isinstance(mark, Unmarked) for mark, _ in planned)
        assert unmarked == runs * ("none" in schemes) + runs * len(alphas) * ("repeated" in schemes)
        cells = {(mark.alpha, mark.beta) for mark, _ in planned if not isinstance(mark, Unmarked)}
        marks = set(schemes) - {"none", "repeated"}
        assert cells == (set(itertools.product(alphas, betas)) if marks else set())
    settings = {"classes": 100, "kind": "fixed", "reading": "deviation"}
    planned = plan(["new", "wrong", "new-any", "none"], [0.1], [0.01], 1, **settings)
    assert [mark for mark, _ in planned] == [
        NewLabel(0.1, 0.01, "fixed", "deviation", 100),
        WrongLabel(0.1, 0.01, "fixed", "deviation", 100),
        NewLabel(0.1, 0.01, "fixed", "deviation", 100, target=None),
        Unmarked(100),
    ]


def test_what_no_run_can_be_is_refused_before_the_first(stub, tmp_path, data, monkeypatch):
    for schemes, runs, part in [
        (["old"], 1, "this one has old and 1 runs"),
        (["new", "old"], 1, "new, old"),
        ([], 3, "none and 3 runs"),
        (["new"], 0, "0 runs"),
        (["new"], -1, "-1 runs"),
    ]:
        with pytest.raises(ValueError, match=f"schemes of new, wrong, none, .*new-any.*{part}"):
            plan(schemes, [0.1], [0.01], runs)
    for alpha, beta, part in [(0, 0.01, "alpha"), (0.1, 2, "beta")]:
        with pytest.raises(ValueError, match=part):
            plan(["new"], [alpha], [beta], 1)
    for name in ("toy_curves", "a/b", "", "toy.csv"):
        with pytest.raises(ValueError, match="cannot name an experiment: take letters"):
            sweep(name, "mnist", FEW, tmp_path / "results", **QUICK)
    for options, sentence in [
        ({"network": "wide"}, "unknown network 'wide'"),
        ({"network": "cifar_cnn"}, "cifar_cnn takes images of .32, 32, 3., those of mnist"),
        ({"attacks": ["stealing"]}, "no attacks called stealing"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            run(FEW, tmp_path, **options)
    for attacks in ([], ["pruning"], ["pruning", "gallery"]):
        with pytest.raises(ValueError, match="are attacked by gallery, which stands alone"):
            run(plan(["adi"], [0.3], [0.05], 1), tmp_path, attacks=attacks)
    with pytest.raises(ValueError, match="mnist has 10 classes"):
        run(plan(["new"], [0.3], [0.05], 2, classes=100), tmp_path)
    monkeypatch.setattr(sweeps, "load", lambda *a: dataclasses.replace(data, source=f"a {SAMPLE}"))
    with pytest.raises(DataError, match="A sweep at paper scale needs all of mnist: put mnist.npz"):
        run(FEW, tmp_path, scale="paper")
    assert not stub.seeds and not list(tmp_path.iterdir())


@pytest.mark.trains
def test_published_systems_are_recorded_beside_innocent_networks(tiny, tmp_path, monkeypatch):
    quick = ("no attack", "permuted channels", battery.INNOCENT)
    every = battery.gallery_trials
    monkeypatch.setattr(
        battery, "gallery_trials", lambda nets: [one for one in every(nets) if one.attack in quick]
    )
    monkeypatch.setattr(sweeps, "STRANGERS", 3)
    marks = plan(["uchida", "deepsigns-black", "new"], [0.1, 0.3], [0.05], 1)
    assert [mark.name for mark, _ in marks] == ["uchida", "deepsigns black", *["new label"] * 2]
    run(marks, tmp_path, network="small_cnn", epochs=2, attacks=["gallery"])
    table = {row["run"]: row for row in on_record(tmp_path)}
    assert all(records.name(row) == name for name, row in table.items()) and len(table) == 4
    rows = {name: [] for name in table}
    for row in on_record(tmp_path, "_attacks"):
        rows[row["run"]].append(row)
    for name, row in table.items():
        found = rows[name]
        assert [one["strength"] for one in found if one["attack"] == "innocent"] == [0, 1, 2]
        untouched = next(one for one in found if one["attack"] == "no attack")
        assert row["decision"] == untouched["decision"] and len(found) == 5
        assert (untouched["p_value"] is None) == (row["scheme"] == "new label")
        if row["scheme"] == "uchida":
            assert row["kind"].startswith("classes=10, level=0.01, bits=64") and not row["alpha"]
            assert untouched["fresh_key_accuracy"] == row["fresh_key_accuracy"]
        if row["scheme"] == "deepsigns black":  # an innocent is judged by the other two
            hits = [one["fresh_key_accuracy"] * 20 for one in found if one["strength"] is not None]
            for one in found:
                at = one["strength"]
                others = hits if at is None else hits[:at] + hits[at + 1 :]
                mine = one["fresh_key_accuracy"] * 20
                rank = (1 + sum(other >= mine for other in others)) / (1 + len(others))
                pooled = [[mine, 20 - mine], [sum(others), 20 * len(others) - sum(others)]]
                fisher = scipy.stats.fisher_exact(np.rint(pooled).astype(int), "greater").pvalue
                wanted = max(rank, fisher) if mine else None
                assert one["p_value"] == (wanted and pytest.approx(wanted)), one["attack"]


@pytest.mark.trains
def test_a_sweep_records_each_run_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(GROUPS, "few", GROUPS["filters"][:2])
    options = {"alpha": 0.3, "beta": 0.05, "attacks": ["few"], "answers": True, "epochs": 3}
    run(MARKS, tmp_path, **options)
    rows, curves, attacks = (on_record(tmp_path, part) for part in ("", "_curves", "_attacks"))
    runs = [(row["scheme"], row["seed"]) for row in rows]
    assert runs == list(itertools.product(["new label", "unmarked"], [0, 1]))
    assert len(curves) == 12 and {(row["network"], row["epochs"]) for row in rows} == {("dense", 3)}
    assert [row["attack"] for row in attacks] == ["no attack", "JPEG", "JPEG"] * 4
    marked, unmarked = rows[:2], rows[2:]
    assert {row["decision"] for row in marked} == {"marked"}
    assert max(row["queries"] for row in marked) <= 3
    assert {(row["decision"], row["queries"]) for row in unmarked} == {("not marked", 40)}
    assert len({row["clean_accuracy"] + row["fresh_key_accuracy"] for row in marked}) == 2
    assert {row["fresh_key_accuracy"] for row in attacks if row["scheme"] == "unmarked"} == {0}
    assert all(row["answers"].startswith("0.05: ") and row["noisy_accuracy"] for row in rows)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()}
    monkeypatch.setattr(sweeps, "_train", lambda *args, **options: pytest.fail("it ran again"))
    run(MARKS + MARKS, tmp_path, **options)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "results").iterdir()} == before


def test_a_seed_has_a_secret_of_its_own(stub, tmp_path, monkeypatch):
    jobs = []
    monkeypatch.setattr(
        sweeps, "_train", lambda data, job, *rest: jobs.append(job) or stub(data, job)
    )
    run(MARKS, tmp_path)
    assert [job.secret for job in jobs] == ["toy 0", "toy 0", "toy 1", "toy 1"]
    run(MARKS, tmp_path, batch=64)
    sweep("other", "mnist", MARKS, tmp_path / "results", tmp_path / "elsewhere", **QUICK)
    assert len(jobs) == 12 and len(on_record(tmp_path)) == 8, "other settings are other runs"
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["elsewhere", "results", "runs"]


def test_runs_that_fail_are_told_and_the_others_go_on(stub, tmp_path, caplog):
    stub.unlucky = {0: ValueError("no luck.\nat all"), 2: MemoryError(), 3: ValueError("no luck.")}
    reasons = r"3 of 4 runs failed: ValueError: no luck \(2 times\); MemoryError\. .* same command"
    with caplog.at_level(logging.INFO, "wmlab"), pytest.raises(RunsFailed, match=reasons):
        run(FEW, tmp_path)
    assert caplog.messages[0] == "toy: 4 runs, 4 to do one after the other"
    assert caplog.messages[1] == "unmarked with seed 0 failed: ValueError: no luck"
    assert stub.seeds == [0, 1, 2, 3] and [row["seed"] for row in on_record(tmp_path)] == [1]
    del stub.unlucky[0], stub.unlucky[3], stub.seeds[:]
    with pytest.raises(RunsFailed, match="1 of 3 runs failed: MemoryError"):
        run(FEW, tmp_path)
    stub.unlucky.clear()
    with caplog.at_level(logging.INFO, "wmlab"):
        run(FEW, tmp_path)
        run(FEW, tmp_path)
    assert stub.seeds == [0, 2, 3, 2] and len(on_record(tmp_path)) == 4
    assert caplog.messages[-1] == "toy: all 4 runs are on record"


def test_stopped_by_hand_or_by_a_full_disk_it_keeps_what_is_done(stub, tmp_path, monkeypatch):
    stub.unlucky = {1: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        run(FEW, tmp_path)
    assert stub.seeds == [0, 1] and [row["seed"] for row in on_record(tmp_path)] == [0]
    stub.unlucky, write = {}, records.write

    def full(record, runs):
        if record["seed"] == 2:
            raise OSError(errno.ENOSPC, "The disk is full")
        return write(record, runs)

    with monkeypatch.context() as patch, pytest.raises(OSError, match="The disk is full"):
        patch.setattr(records, "write", full)
        run(FEW, tmp_path)
    assert stub.seeds == [0, 1, 1, 2] and len(on_record(tmp_path)) == 2, "it went on"
    run(FEW, tmp_path)
    assert len(on_record(tmp_path)) == 4


# where runs are done


def test_the_place_depends_on_machine_and_network(data, monkeypatch):
    jobs = [sweeps.Job(mark, seed, {}) for mark, seed in FEW]
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    free = types.SimpleNamespace(available=8 * dask_workers.PROCESS)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
    both, dask = ("jax", "distributed"), ("distributed",)
    for network, cores, gpus, installed, options, place in [
        ("mnist_cnn", 1, (), both, {}, "one after the other"),
        ("mnist_cnn", 2, (), both, {}, "in 2 processes"),
        ("mnist_cnn", 64, (), dask, {}, "in 4 processes"),
        ("mnist_cnn", 4, (), ("jax",), {}, "one after the other"),
        ("dense", 4, (), both, {}, "in fleets"),
        ("dense", 4, (), both, {"workers": 3}, "in 3 processes"),
        ("dense", 4, (), dask, {}, "in 4 processes"),
        ("mnist_cnn", 8, ("jax", "tensorflow"), both, {}, "in fleets"),
        ("mnist_cnn", 8, ("tensorflow",), both, {}, "one after the other"),
        ("fast_cnn", 8, ("jax", "tensorflow"), both, {}, "one after the other"),
        ("mnist_cnn", 8, (), both, {"scheduler": "there"}, "by the workers of there"),
        ("mnist_cnn", 8, (), both, {"follow": print}, "one after the other"),
    ]:
        monkeypatch.setattr(machine, "cores", lambda cores=cores: cores)
        monkeypatch.setattr(machine, "gpu", lambda backend, gpus=gpus: backend in gpus or None)
        monkeypatch.setattr(machine, "is_installed", lambda package, all=installed: package in all)
        how = Recipe(network, 1, 1, optimizer="muon" if network == "fast_cnn" else "adam")
        options = {"follow": None, "workers": None, "scheduler": None} | options
        assert sweeps._place(jobs, data, how, None, "class", **options)[0] == place
    monkeypatch.setattr(machine, "is_installed", lambda package: True)
    monkeypatch.setattr(machine, "cores", lambda: 64)
    assert dask_workers.processes(data) == 7
    free.available = 0
    assert dask_workers.processes(data) == 1


@pytest.fixture
def fleets(tiny, monkeypatch):
    """Sweeps train by a stand-in for `wmlab.fleet`, whose members train alone; returns who was
    asked for together.
    """

    def embed(data, members, recipe):
        asked.append(members)
        return [mark.embed(data, secret, recipe, seed=seed) for mark, seed, secret in members]

    asked, module = [], types.SimpleNamespace(embed=embed, steps_alike=lambda recipe: True)
    monkeypatch.setattr(sweeps, "machine", JAX)
    monkeypatch.setitem(sys.modules, "wmlab.fleet", module)
    monkeypatch.setattr(wmlab, "fleet", module, raising=False)
    return asked


@pytest.mark.trains
def test_fleets_give_the_records_of_single_runs(fleets, tmp_path, monkeypatch):
    marks = plan(["wrong", "new", "none"], [0.3], [0.05], 1)
    run(marks, tmp_path / "together")
    assert [[mark.outputs for mark, _, _ in members] for members in fleets] == [[10, 10], [11]]
    run(marks, tmp_path / "alone", follow=lambda name: None)
    assert_same(tmp_path / "together", tmp_path / "alone")


def test_a_member_that_fails_does_not_take_its_fleet_along(fleets, stub, tmp_path, monkeypatch):
    def embed(self, data, secret, recipe, seed):
        if seed == 2:
            raise ValueError("no luck")

    monkeypatch.setattr(sweeps, "machine", JAX)
    monkeypatch.setattr(Scheme, "embed", embed)
    monkeypatch.setattr(sweeps, "measured", lambda run, job, data, **how: stub(data, job))
    monkeypatch.setattr(sweeps, "FLEET", 4)
    with pytest.raises(RunsFailed, match="1 of 5 runs failed: ValueError: no luck"):
        run(plan(["none"], [0.3], [0.05], 5), tmp_path)
    assert [row["seed"] for row in on_record(tmp_path)] == [0, 1, 3, 4]
    assert [len(members) for members in fleets] == [4, 2, 2, 1, 1, 1]


def test_a_scheduler_out_of_reach(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "REACHED", 1)
    with dask_workers.distributed().LocalCluster(n_workers=0, dashboard_address=":0") as lonely:
        for there in (
            "tcp://127.0.0.1:9",
            "nowhere",
            "odd://127.0.0.1:9",
            lonely.scheduler_address,
        ):
            with pytest.raises(RuntimeError, match=f"No Dask scheduler with a worker .* {there} "):
                run(MARKS, tmp_path, scheduler=there)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match="Dask is not installed: pip install distributed"):
        run(MARKS, tmp_path, scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir()) and not stub.seeds


def test_a_scheduler_that_goes_stops_the_sweep(stub, tmp_path, monkeypatch):
    def gone():
        raise concurrent.futures.CancelledError

    def outcomes(jobs, data, *rest):
        yield jobs[0], lambda: stub(data, jobs[0])
        yield jobs[1], gone

    monkeypatch.setattr(sweeps, "_here", outcomes)
    with pytest.raises(RuntimeError, match="The Dask scheduler is gone.* the same command does"):
        run(FEW, tmp_path)
    assert len(on_record(tmp_path)) == 1


def test_processes_of_this_machine(monkeypatch, data):
    """Each has one thread for its work, since two networks in a process would share its seed."""

    def work(number):  # pickled as it is, so the workers need not load this file
        import os

        if number == 1:
            os._exit(1)
        return os.getpid(), os.environ["TF_NUM_INTRAOP_THREADS"]

    monkeypatch.setattr(machine, "cores", lambda: 6)
    with dask_workers.hired(None, 2) as client:
        assert list(client.nthreads().values()) == [1, 1]
        futures = [client.submit(work, number, pure=False) for number in (0, 2, 3)]
        done = {
            number: future.result() for number, future in dask_workers.finished(client, futures)
        }
        pids, threads = zip(*done.values(), strict=True)
        assert len(done) == 3 and os.getpid() not in pids and set(threads) == {"3"}
        assert client.status == "running"
        with pytest.raises(Exception, match="worker.* died|attempted to run task"):
            client.submit(work, 1, pure=False).result()


@pytest.mark.slow
def test_dask_workers_give_the_records_of_one_process(tmp_path, data, monkeypatch):
    """All take the shipped sample, since each worker loads the data itself. Runs of unmarked
    networks fail: they have no keys to converge on.
    """
    marks = plan(["new", "none"], [0.1], [0.05], 2)
    how = {"batch": 256, "until": "converged", "epochs": 1}
    ways = {"alone": {"follow": lambda name: None}, "processes": {"workers": 2}}
    local = dask_workers.distributed().LocalCluster(
        n_workers=1, threads_per_worker=2, dashboard_address=":0"
    )
    with local as cluster:
        ways["scheduler"] = {"scheduler": cluster.scheduler_address}
        for way, options in ways.items():
            with pytest.raises(
                RunsFailed, match="2 of 4 runs failed: ValueError: training to conv"
            ):
                run(marks, tmp_path / way, **how, **options)
        monkeypatch.setattr(sweeps, "load", lambda *args: data)
        with pytest.raises(RunsFailed, match="4 of 4 .*: DataError: this worker has another mnist"):
            run(MARKS, tmp_path / "other", **ways["scheduler"])
    assert_same(tmp_path / "processes", tmp_path / "alone", 1e-4)
    assert_same(tmp_path / "scheduler", tmp_path / "alone", 1e-4)
    assert on_record(tmp_path / "other") == []


# sweeps that are killed


@pytest.fixture(scope="module")
def start():
    """Starts a function in a process, forked from one that has loaded keras, and so at once."""
    context, started = multiprocessing.get_context("forkserver"), []
    context.set_forkserver_preload(["wmlab.tools.sweeps"])

    def start(function, *arguments):
        started.append(context.Process(target=function, args=arguments))
        started[-1].start()
        return started[-1]

    yield start
    for process in started:
        process.kill()


def sweep_alone(data, marks, folder, train=True):
    """Sweep in a process of its own; without training, each run takes 0.1 s."""
    sweeps.load, sweeps.machine, dask_workers.machine = lambda *args: data, BARE, BARE
    if not train:
        stub = Stub()
        sweeps._train = lambda *args: time.sleep(0.1) or stub(*args)
    run(marks, folder, epochs=2)


def files(folder):
    """The runs on file: {name: text of its file}."""
    return {path.name: path.read_text() for path in folder.glob("runs/toy/[!.]*.json")}


def kill_while_it_works(start, data, marks, folder, kills, train):
    """Kill a sweep so many times, at random moments; return what was on file after each."""
    seed, seen = random.randrange(10**6), [{}]
    print("the moments are those of seed", seed)
    moments = random.Random(seed)
    for _ in range(kills):
        child = start(sweep_alone, data, marks, folder, train)
        more = moments.randrange(2)  # kill it soon after it has recorded none or one run
        end = time.monotonic() + 120
        while child.is_alive() and len(files(folder)) < len(seen[-1]) + more:
            assert time.monotonic() < end, "it records nothing"
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        child.kill()
        child.join()
        seen.append(files(folder))
        assert seen[-2].items() <= seen[-1].items(), "a finished run was lost, or run again"
    return seen


@pytest.mark.parametrize(
    "kills, train", [(2, False), pytest.param(10, True, marks=pytest.mark.slow)]
)
def test_a_sweep_that_is_killed_loses_no_finished_run(start, data, tmp_path, kills, train):
    marks = plan(["new", "none"], [0.3], [0.05], 7)
    seen = kill_while_it_works(start, data, marks, tmp_path / "killed", kills, train)
    for folder in ("killed", "whole"):
        last = start(sweep_alone, data, marks, tmp_path / folder, train)
        last.join()
        assert last.exitcode == 0
    kept = files(tmp_path / "killed")
    assert seen[-1].items() <= kept.items() and len(kept) == 14 == len(
        on_record(tmp_path / "killed")
    )
    assert not list((tmp_path / "killed").glob("results/.*")), "half a file was left"
    if train:
        assert_same(tmp_path / "killed", tmp_path / "whole")


def kill_itself(data, folder, moment):
    """Sweep, but die when the record of seed 1 is written: before, or after."""
    write, sweeps._train = records.write, Stub()
    sweeps.load, sweeps.machine, dask_workers.machine = lambda *args: data, BARE, BARE

    def killed(record, runs):
        if record["seed"] == 1 and moment == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        write(record, runs)
        if record["seed"] == 1:
            os.kill(os.getpid(), signal.SIGKILL)

    records.write = killed
    run(FEW, folder)


def test_killed_before_or_after_it_records_a_run(start, data, stub, tmp_path):
    for moment, left in (("before", [1, 2, 3]), ("after", [2, 3])):
        child = start(kill_itself, data, tmp_path / moment, moment)
        child.join()
        assert child.exitcode == -signal.SIGKILL and on_record(tmp_path / moment) == []
        stub.seeds.clear()
        run(FEW, tmp_path / moment)
        assert stub.seeds == left and len(on_record(tmp_path / moment)) == 4


# the command


def command(folder, *more):
    main(["sweep", "toy", "--scale", "class", "--results", str(folder / "results"), *more])


def test_the_command_ends_with_one_sentence(tmp_path, monkeypatch):
    monkeypatch.delenv("WMLAB_DATA", raising=False)
    monkeypatch.setenv("WMLAB_CACHE", str(tmp_path / "cache"))
    nowhere = {
        name: dataclasses.replace(known, base="http://127.0.0.1:9/")
        for name, known in KNOWN.items()
    }
    monkeypatch.setattr(datasets, "KNOWN", nowhere)
    for arguments, sentence in [
        (["--epochs", "0"], "epochs, batch and learning rate must be positive"),
        (["--dataset", "cifar10"], "There are two ways to get it"),
        (["--dataset", "mnits"], "unknown data set 'mnits'"),
        (["--runs", "0"], "0 runs"),
        (["--alpha", "2"], "alpha is 2"),
        (["--network", "wide"], "unknown network 'wide'"),
        (["--scheduler", "tcp://127.0.0.1:9"], "No Dask scheduler"),
    ]:
        with pytest.raises(SystemExit, match=sentence):
            command(tmp_path, "--schemes", "new", "--alpha", "0.3", *arguments)


def test_options_are_passed_on(tmp_path, monkeypatch):
    given = {}
    monkeypatch.setattr(sweeps, "sweep", lambda *args, **options: given.update(options, args=args))
    plain = {"scale": "class", "alpha": 0.01, "beta": 0.0035}
    for arguments, options in [
        ([], {}),
        (["--rate", "constant"], {"schedule": "constant"}),
        (["--network", "dense", "--workers", "3"], {"network": "dense", "workers": 3}),
        (["--scheduler", "tcp://10.0.0.1:8786"], {"scheduler": "tcp://10.0.0.1:8786"}),
        (["--answers", "--epochs", "0"], {"answers": True, "epochs": 0}),
        (["--attacks", "pruning,table1"], {"attacks": ["pruning", "table1"]}),
    ]:
        given.clear()
        command(tmp_path, *arguments)
        given.pop("args")
        assert given == plain | options
    where = ["--runs-folder", str(tmp_path / "elsewhere")]
    command(tmp_path, "--dataset", "cifar100", "--runs", "1", *where)
    experiment, dataset, marks, results, runs = given["args"]
    assert {mark.classes for mark, _ in marks} == {100}, "a hundred classes are planned for"
    assert (experiment, dataset, runs) == ("toy", "cifar100", tmp_path / "elsewhere")
    assert results == tmp_path / "results"


def test_the_command_tells_what_became_of_it(stub, tmp_path, capsys):
    few = ["--schemes", "none", "--runs", "3"]
    stub.unlucky = {1: ValueError("no luck")}
    with pytest.raises(
        SystemExit, match="1 of 3 runs failed: ValueError: no luck. .* same command"
    ):
        command(tmp_path, *few)
    stub.unlucky = {1: KeyboardInterrupt()}
    with pytest.raises(SystemExit, match="Stopped. Finished runs are on record, and the same comm"):
        command(tmp_path, *few)
    stub.unlucky = {}
    for _ in range(2):
        command(tmp_path, *few)
        assert f"on record: {tmp_path}/results/toy.csv" in capsys.readouterr().out
        assert stub.seeds == [0, 1, 2, 1, 1] and len(on_record(tmp_path)) == 3
    assert len(list(tmp_path.glob("runs/toy/*.json"))) == 3
