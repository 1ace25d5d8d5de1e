"""Where sweeps run: as fleets, in processes of this machine, or at the workers of a Dask scheduler."""

import errno
import os
import sys
import time
import types

import keras
import pytest
import test_sweeps
from test_sweeps import FAST, MARKS, assert_same

import wmlab
from wmlab import machine, records
from wmlab.schemes import Scheme
from wmlab.tools import dask_workers, run_folder, sweeps
from wmlab.tools.sweeps import RunsFailed, plan, sweep
from wmlab.training import Recipe

QUICK = FAST | {"epochs": 1}
FEW = plan(["none"], [0.3], [0.05], 4)
stub, tiny = test_sweeps.stub, test_sweeps.tiny  # fixtures


@pytest.mark.parametrize(
    "network, cores, gpus, installed, place",
    [
        ("mnist_cnn", 2, (), ("jax", "distributed"), "here"),
        ("mnist_cnn", 4, (), ("jax", "distributed"), "workers"),
        ("mnist_cnn", 4, (), ("jax",), "here"),
        ("dense", 4, (), ("jax", "distributed"), "fleets"),
        ("dense", 4, (), ("distributed",), "workers"),
        ("dense", 2, (), (), "here"),
        ("mnist_cnn", 8, ("jax", "tensorflow"), ("jax", "distributed"), "fleets"),
        ("mnist_cnn", 8, ("tensorflow",), ("jax", "distributed"), "here"),
    ],
)
def test_the_place_depends_on_machine_and_network(
    data, monkeypatch, network, cores, gpus, installed, place
):
    monkeypatch.setattr(keras.config, "backend", lambda: "tensorflow")
    monkeypatch.setattr(machine, "cores", lambda: cores)
    monkeypatch.setattr(machine, "gpu", lambda backend: "a GPU" if backend in gpus else None)
    monkeypatch.setattr(machine, "is_installed", lambda package: package in installed)
    assert sweeps._place(data, Recipe(network, 1, 1)) == place


def test_processes_have_memory_for_their_images(data, monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 64)
    free = types.SimpleNamespace(available=8 * dask_workers.PROCESS)
    monkeypatch.setattr("psutil.virtual_memory", lambda: free)
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

    asked, module = [], types.SimpleNamespace(embed=embed)
    monkeypatch.setattr(sweeps, "_place", lambda *args: "fleets")
    monkeypatch.setitem(sys.modules, "wmlab.fleet", module)
    monkeypatch.setattr(wmlab, "fleet", module, raising=False)
    return asked


@pytest.mark.trains
def test_fleets_give_the_records_of_single_runs(fleets, tmp_path, monkeypatch):
    marks = plan(["wrong", "new", "none"], [0.3], [0.05], 1)
    assert len(sweep("toy", "mnist", marks, tmp_path / "together", **QUICK)) == 3
    assert [[mark.outputs for mark, _, _ in members] for members in fleets] == [[10, 10], [11]]
    monkeypatch.setattr(sweeps, "_place", lambda *args: "here")
    sweep("toy", "mnist", marks, tmp_path / "alone", **QUICK)
    assert_same(tmp_path / "together", tmp_path / "alone")
    assert sweep("toy", "mnist", marks, tmp_path / "together", **QUICK) == [] and len(fleets) == 2


def test_a_member_that_fails_does_not_take_its_fleet_along(fleets, tmp_path, monkeypatch):
    def embed(self, data, secret, recipe, seed):
        if seed in unlucky:
            raise unlucky[seed]

    def record(run, job, data, **how):
        return dict.fromkeys(records.RESULTS, "none") | job.about | {"history": []}

    monkeypatch.setattr(Scheme, "embed", embed)
    monkeypatch.setattr(sweeps, "measured", record)
    monkeypatch.setattr(sweeps, "FLEET", 4)
    marks, unlucky = plan(["none"], [0.3], [0.05], 5), {2: ValueError("no luck")}
    with pytest.raises(
        RunsFailed, match="1 of 5 runs failed, the first because of ValueError: no luck"
    ):
        sweep("toy", "mnist", marks, tmp_path, **QUICK)
    assert len(list(tmp_path.glob("*.json"))) == 4 and len(list(tmp_path.iterdir())) == 5
    unlucky = {2: OSError(errno.ENOSPC, "No space left on device")}
    with pytest.raises(OSError, match="The disk is full"):
        sweep("toy", "mnist", marks, tmp_path, **QUICK)
    unlucky = {}
    assert len(sweep("toy", "mnist", marks, tmp_path, **QUICK)) == 1
    assert [len(members) for members in fleets] == [4, 2, 2, 1, 1, 1] + [1] + [1], (
        "what fails is not narrowed down"
    )


@pytest.mark.parametrize(
    "address", ["tcp://127.0.0.1:9", "127.0.0.1:9", "nowhere", "odd://127.0.0.1:9"]
)
def test_a_scheduler_out_of_reach(stub, tmp_path, address):
    with pytest.raises(
        RuntimeError, match=f"No Dask scheduler with a worker answers at {address}.*dask scheduler"
    ):
        sweep("toy", "mnist", MARKS, tmp_path / "out", scheduler=address, **QUICK)
    assert not (tmp_path / "out").exists()


def test_a_scheduler_without_dask(stub, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(RuntimeError, match="Dask is not installed: pip install distributed"):
        sweep("toy", "mnist", MARKS, tmp_path, scheduler="tcp://127.0.0.1:9", **QUICK)


def test_a_scheduler_without_workers(stub, tmp_path, monkeypatch):
    monkeypatch.setattr(dask_workers, "REACHED", 1)
    with dask_workers.distributed().LocalCluster(n_workers=0, dashboard_address=None) as cluster:
        with pytest.raises(RuntimeError, match="No Dask scheduler with a worker answers"):
            sweep("toy", "mnist", MARKS, tmp_path, scheduler=cluster.scheduler_address, **QUICK)


def test_processes_of_this_machine(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 6)
    with dask_workers.hired(None, 2) as client:
        assert list(client.nthreads().values()) == [1, 1], (
            "two networks in one process share its seed"
        )
        assert client.submit(os.getenv, "TF_NUM_INTRAOP_THREADS").result() == "3"
        others = client.run(os.getpid).values()
        assert len({os.getpid(), *others}) == 3


@pytest.fixture
def light(stub, monkeypatch):
    """Workers that load no keras: they answer with what the stub of a training gives, or call
    `light.before(seed)` there.
    """

    def submit(client, backend, data, scale, function, **options):
        def work(before, seed, record):
            before(seed)
            return record

        job = function.keywords["job"]
        light.sent.append(job.seed)
        return client.submit(work, light.before, job.seed, stub(data, job, None, None), pure=False)

    light = types.SimpleNamespace(sent=[], before=lambda seed: None)
    monkeypatch.setattr(dask_workers, "submit", submit)
    return light


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_a_failed_one(light, tmp_path, monkeypatch):
    def die(seed):
        import os

        if seed == 1:
            os._exit(1)

    monkeypatch.setattr(sweeps, "_place", lambda *args: "workers")
    monkeypatch.setattr(
        sweeps, "SPARE", 0
    )  # those that wait at a worker are suspects too, when it dies
    monkeypatch.setattr(dask_workers, "processes", lambda data: 2)
    light.before = die
    with pytest.raises(RunsFailed, match="1 of 4 runs failed, the first because of KilledWorker"):
        sweep("toy", "mnist", FEW, tmp_path, **QUICK)
    assert records.read(tmp_path)[0]["seed"].tolist() == [0, 2, 3] and light.sent == [0, 1, 2, 3]


def one_worker():
    """A scheduler with one worker of several threads, all in this process."""
    return dask_workers.distributed().LocalCluster(
        n_workers=1, threads_per_worker=4, processes=False, protocol="tcp", dashboard_address=None
    )


def test_no_more_runs_are_claimed_than_workers_soon_take(light, tmp_path, monkeypatch):
    def count(self, record):
        claimed.append(len(list(tmp_path.glob("part/*.lock"))))
        write(self, record)

    claimed, write = [], run_folder.Folder.write
    monkeypatch.setattr(run_folder.Folder, "write", count)
    with one_worker() as cluster:
        sweep(
            "toy",
            "mnist",
            plan(["none"], [0.3], [0.05], 12),
            tmp_path,
            scheduler=cluster.scheduler_address,
            **QUICK,
        )
    assert len(records.read(tmp_path)[0]) == 12 == len(claimed)
    assert max(claimed) == 1 + sweeps.SPARE + 1, (
        "one at the worker, those that wait there, and one that waits here"
    )


def test_a_scheduler_that_goes_stops_the_sweep(light, tmp_path, monkeypatch):
    write = run_folder.Folder.write

    def close_after(self, record):
        write(self, record)
        cluster.close()

    monkeypatch.setattr(dask_workers, "REACHED", 2)
    monkeypatch.setattr(run_folder.Folder, "write", close_after)
    light.before = lambda seed: time.sleep(0.2 * seed)
    with one_worker() as cluster:
        with pytest.raises(
            RuntimeError, match="The Dask scheduler is gone.* the same command does the rest"
        ):
            sweep("toy", "mnist", FEW, tmp_path, scheduler=cluster.scheduler_address, **QUICK)
    assert len(list(tmp_path.iterdir())) == 1 == len(records.read(tmp_path)[0])


@pytest.fixture(scope="module")
def dask():
    """The address of a scheduler with two workers of two threads each."""
    with dask_workers.distributed().LocalCluster(
        n_workers=2, threads_per_worker=2, dashboard_address=None
    ) as cluster:
        yield cluster.scheduler_address


@pytest.mark.slow
def test_two_dask_workers_give_the_records_of_one_process(dask, tmp_path, monkeypatch):
    """All take the shipped sample, since each worker loads the data itself. Runs of unmarked
    networks fail: they have no keys to converge on.
    """
    monkeypatch.setattr(sweeps, "_place", lambda *args: "here")
    marks, how = (
        plan(["new", "none"], [0.1], [0.05], 3),
        QUICK | {"batch": 256, "until": "converged"},
    )
    for place, scheduler in (("alone", None), ("dask", dask)):
        with pytest.raises(
            RunsFailed,
            match="3 of 6 runs failed, the first because of ValueError: training to convergence",
        ):
            sweep("toy", "mnist", marks, tmp_path / place, scheduler=scheduler, **how)
    assert (
        len(list((tmp_path / "dask").glob("*.json")))
        == len(list((tmp_path / "dask").glob("*.failed")))
        == 3
    )
    assert_same(tmp_path / "dask", tmp_path / "alone", 1e-4)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "dask").glob("*.json")}
    assert sweep("toy", "mnist", marks[::2], tmp_path / "dask", scheduler=dask, **how) == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "dask").glob("*.json")} == before


@pytest.mark.slow
def test_a_worker_with_other_data_trains_nothing(dask, tiny, tmp_path):
    with pytest.raises(
        RunsFailed,
        match="4 of 4 runs failed, the first because of DataError: this worker has another mnist",
    ):
        sweep("toy", "mnist", MARKS, tmp_path, scheduler=dask, **QUICK)
    assert not list(tmp_path.glob("*.json"))
