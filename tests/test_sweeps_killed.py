"""What becomes of a sweep that is killed, shares its folder, has runs that fail, or fills the disk."""

import errno
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import subprocess
import time

import filelock
import pytest
import test_sweeps
from test_sweeps import FAST, assert_same

from wmlab import records
from wmlab.tools import sweeps
from wmlab.tools.sweeps import RunsFailed, plan, sweep

stub, tiny = test_sweeps.stub, test_sweeps.tiny  # fixtures
LONG = plan(["new", "none"], [0.3], [0.05], 4)
FEW = plan(["none"], [0.3], [0.05], 4)


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


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory):
    """The folder of an undisturbed sweep of one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweeps, "load", lambda *args: data)
        patch.setattr(sweeps, "_place", lambda *args: "here")
        (path,) = sweep("toy", "mnist", FEW[:1], tmp_path_factory.mktemp("whole"), **FAST)
    return path.parent


def sweep_alone(data, marks, out, diary, stuck=None):
    """Sweep in a process of its own. Each training leaves a line in the diary; that of seed `stuck`
    stays at its second epoch.
    """
    sweeps.load, sweeps._place, train = lambda *args: data, lambda *args: "here", sweeps._train

    def told(data, job, *args, **options):
        with open(diary, "a") as file:
            file.write(f"{os.getpid()} {job.name}\n")
        if job.seed == stuck:
            options["on_epoch"] = lambda history: time.sleep(600 * (len(history) == 2))
        return train(data, job, *args, **options)

    sweeps._train = told
    sweep("toy", "mnist", marks, out, **FAST)


def wait(condition, process, seconds=100):
    end = time.monotonic() + seconds
    while not condition():
        assert process.is_alive(), "it ended before its time"
        assert time.monotonic() < end, "it takes too long"
        time.sleep(0.01)


def trainings(diary):
    """The lines of a diary: [[process, run], …]."""
    return [line.split() for line in diary.read_text().splitlines()] if diary.exists() else []


@pytest.mark.slow
def test_killed_at_ten_random_moments_a_sweep_loses_nothing(start, data, tmp_path):
    whole = start(sweep_alone, data, LONG, tmp_path / "whole", tmp_path / "whole.txt")
    wait(lambda: trainings(tmp_path / "whole.txt"), whole)
    began = time.monotonic()
    wait(lambda: len(trainings(tmp_path / "whole.txt")) > 1, whole)
    first_run = (
        time.monotonic() - began
    )  # which takes longer than others, and is what a process killed soon is at
    whole.join()
    assert whole.exitcode == 0

    out, diary, seed = tmp_path / "out", tmp_path / "out.txt", random.randrange(10**6)
    longest, finished, seen = first_run, {}, set()
    print("the moments are those of seed", seed)
    moments = random.Random(seed)
    for _ in range(10):
        before = len(trainings(diary))
        child = start(sweep_alone, data, LONG, out, diary)
        wait(lambda before=before: len(trainings(diary)) > before, child)
        time.sleep(moments.uniform(0, longest))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it was done before"
        for path in out.glob("[!.]*.json"):
            finished.setdefault(path, path.stat().st_mtime_ns)
        files = {
            (path, path.stat().st_mtime_ns)
            for path in out.glob("**/[!.]*")
            if path.suffix in (".json", ".npz")
        }
        longest = first_run if files - seen else 1.5 * longest  # the machine may have become slower
        seen |= files
    assert seen and len(finished) < len(LONG)
    last = start(sweep_alone, data, LONG, out, diary)
    last.join()
    assert (
        last.exitcode == 0 and {path: path.stat().st_mtime_ns for path in finished} == finished
    ), "one was run again"
    assert len(records.read(out)[0]) == len(LONG)
    assert_same(out, tmp_path / "whole")


def kill_itself(data, out, moment):
    """Sweep, but die when the record of seed 1 is written: before, in the middle, or after."""
    write, write_text = records.write, pathlib.Path.write_text
    sweeps.load, sweeps._place, sweeps._train = (
        lambda *args: data,
        lambda *args: "here",
        test_sweeps.Stub(),
    )

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    def killed(record, folder):
        if record["seed"] == 1 and moment == "before":
            die()
        if record["seed"] == 1 and moment == "middle":
            pathlib.Path.write_text = lambda self, text: (
                write_text(self, text[: len(text) // 2]),
                die(),
            )
        path = write(record, folder)
        if record["seed"] == 1:
            die()
        return path

    records.write = killed
    sweep("toy", "mnist", FEW, out, **FAST)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before", "middle", "after"])
def test_killed_while_it_records_a_run(start, data, stub, tmp_path, moment):
    child = start(kill_itself, data, tmp_path, moment)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(records.read(tmp_path)[0]) == (2 if moment == "after" else 1), "half a file was read"
    assert (
        len(list(tmp_path.glob(".*"))) == (moment == "middle")
        and len(list(tmp_path.glob("part/*.lock"))) == 1
    )
    sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert stub.seeds == ([2, 3] if moment == "after" else [1, 2, 3])
    assert len(list(tmp_path.iterdir())) == 4 == len(list(tmp_path.glob("[!.]*.json"))), (
        "something was left behind"
    )


def kill_itself_at(data, out, number, after):
    """Sweep, but die at one of the moments when a file is moved into place: at the latest before,
    at the earliest after.
    """
    sweeps.load, sweeps._place, replace, moved = (
        lambda *args: data,
        lambda *args: "here",
        os.replace,
        [],
    )

    def killed(*paths):
        moved.append(paths)
        if after:
            replace(*paths)
        if len(moved) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        if not after:
            replace(*paths)

    os.replace = killed
    sweep("toy", "mnist", FEW[:1], out, **FAST)


@pytest.mark.slow
@pytest.mark.parametrize("number, after", [(2, False), (2, True), (3, True), (4, False)])
def test_killed_while_it_saves_an_epoch(start, data, tiny, whole, tmp_path, number, after):
    """One of three, after which the fourth file is the record."""
    child = start(kill_itself_at, data, tmp_path / "out", number, after)
    child.join()
    assert child.exitcode == -signal.SIGKILL and not list((tmp_path / "out").glob("[!.]*.json"))
    sweep("toy", "mnist", FEW[:1], tmp_path / "out", **FAST)
    assert_same(tmp_path / "out", whole)


@pytest.mark.slow
def test_two_sweeps_side_by_side_share_the_work(start, data, tmp_path):
    both = [
        start(sweep_alone, data, LONG, tmp_path / "out", tmp_path / "diary.txt") for _ in range(2)
    ]
    for one in both:
        one.join()
        assert one.exitcode == 0
    who, what = zip(*trainings(tmp_path / "diary.txt"), strict=True)
    assert len(what) == len(LONG) == len(set(what)), "a run was trained twice, or not at all"
    assert set(who) == {str(one.pid) for one in both}, "one did all the work"
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(what), (
        "something was left behind"
    )
    assert len(records.read(tmp_path / "out")[0]) == len(LONG)


@pytest.mark.slow
def test_the_claim_of_a_killed_sweep_is_taken_over(start, data, tmp_path):
    out, diaries = tmp_path / "out", [tmp_path / "one.txt", tmp_path / "two.txt"]
    one = start(sweep_alone, data, FEW, out, diaries[0], 0)
    wait(lambda: list(out.glob("part/*/*")), one)  # the first epoch of its first run is over
    two = start(sweep_alone, data, FEW, out, diaries[1])
    wait(lambda: len(list(out.glob("[!.]*.json"))) == 3, two)
    time.sleep(3 * sweeps.PATIENCE)
    assert two.is_alive() and len(trainings(diaries[1])) == 3, (
        "it did not wait for the run that another holds"
    )
    one.kill()
    two.join()
    assert two.exitcode == 0
    ((_, held),) = trainings(diaries[0])
    assert [run for _, run in trainings(diaries[1])][3:] == [held]
    assert {path.name for path in out.iterdir()} == {run for _, run in trainings(diaries[1])}
    assert len(records.read(out)[0]) == 4


def test_a_run_that_another_sweep_has_just_finished_is_left_alone(stub, tmp_path, monkeypatch):
    (path,) = sweep("toy", "mnist", FEW[:1], tmp_path / "another", **FAST)
    acquire = filelock.FileLock.acquire

    def late(self, **options):
        shutil.copy(path, tmp_path / "out")  # since we looked
        return acquire(self, **options)

    monkeypatch.setattr(filelock.FileLock, "acquire", late)
    assert sweep("toy", "mnist", FEW[:1], tmp_path / "out", **FAST) == [] and stub.seeds == [0], (
        "it was run again"
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == [path.name], (
        "something was left behind"
    )


def test_a_run_that_fails_is_recorded_and_the_rest_go_on(stub, tmp_path):
    stub.unlucky = {0: ValueError("no luck.\nat all"), 2: MemoryError()}
    with pytest.raises(
        RunsFailed,
        match=r"2 of 4 runs failed, the first because of ValueError: no luck\. .* the same command",
    ):
        sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert stub.seeds == [0, 1, 2, 3] and records.read(tmp_path)[0]["seed"].tolist() == [1, 3]
    failed = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.failed")}
    assert {one["seed"]: one["reason"] for one in failed.values()} == {
        0: "ValueError: no luck.\nat all",
        2: "MemoryError: ",
    }
    assert all(records.name(one) == f"{name}.json" for name, one in failed.items())
    assert len(list(tmp_path.iterdir())) == 4, "something was left behind"

    del stub.unlucky[0], stub.seeds[:]
    with pytest.raises(RunsFailed, match="1 of 2 runs failed, the first because of MemoryError"):
        sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert stub.seeds == [0, 2], "a finished run was run again, or a failed one was not"
    assert [json.loads(path.read_text())["seed"] for path in tmp_path.glob("*.failed")] == [2]
    stub.unlucky.clear()
    sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert len(list(tmp_path.iterdir())) == 4 == len(list(tmp_path.glob("*.json")))


def test_a_stop_by_hand_is_no_failure(stub, tmp_path):
    stub.unlucky = {1: KeyboardInterrupt()}
    with pytest.raises(KeyboardInterrupt):
        sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert stub.seeds == [0, 1] and len(list(tmp_path.iterdir())) == 1


@pytest.mark.trains
def test_a_backup_that_cannot_be_read_fails_once(tiny, whole, tmp_path):
    (path,) = whole.iterdir()
    backup = tmp_path / "out" / "part" / path.name / "epoch.npz"
    backup.parent.mkdir(parents=True)
    backup.write_bytes(b"PK\3\4 no archive")
    with pytest.raises(RunsFailed):
        sweep("toy", "mnist", FEW[:1], tmp_path / "out", **FAST)
    sweep("toy", "mnist", FEW[:1], tmp_path / "out", **FAST)
    assert_same(tmp_path / "out", whole)


@pytest.mark.parametrize("file", ["record", "note"])
def test_a_full_disk_stops_the_sweep(stub, tmp_path, monkeypatch, file):
    """Full in the middle of a record, or of the note that a run failed."""
    stub.unlucky = {1: ValueError("no luck")} if file == "note" else {}
    write, texts = pathlib.Path.write_text, []

    def fill(self, text):
        texts.append(text)
        if len(texts) == 2:
            write(self, text[: len(text) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, text)

    with (
        monkeypatch.context() as patch,
        pytest.raises(OSError, match=f"The disk is full: {tmp_path} .* the same command") as told,
    ):
        patch.setattr(pathlib.Path, "write_text", fill)
        sweep("toy", "mnist", FEW, tmp_path, **FAST)
    assert told.value.errno == errno.ENOSPC and stub.seeds == [0, 1], "the sweep went on"
    assert records.read(tmp_path)[0]["seed"].tolist() == [0] and len(list(tmp_path.iterdir())) == 1
    stub.unlucky = {}
    assert (
        len(sweep("toy", "mnist", FEW, tmp_path, **FAST)) == 3
        and len(list(tmp_path.iterdir())) == 4
    )


@pytest.fixture
def small_disk(tmp_path):
    """A folder that holds 3 MB, and a function that fills it."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder],
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        pytest.skip("this system has no mount")
    if mounted.returncode:
        pytest.skip(f"a small disk cannot be made here: {mounted.stderr.strip()}")

    def fill():
        with (
            pytest.raises(OSError, match="No space"),
            open(folder / "filler", "wb", buffering=0) as file,
        ):
            while True:
                file.write(bytes(4096))

    yield folder, fill
    subprocess.run(["umount", folder], check=True)


@pytest.mark.trains
@pytest.mark.parametrize("file", ["backup", "record"])
def test_a_disk_that_is_really_full(small_disk, tiny, whole, monkeypatch, file):
    (disk, fill), write = small_disk, records.write

    def filling(record, folder):
        if file == "record":
            fill()
        return write(record, folder)

    def on_epoch(history):
        if file == "backup" and len(history) == 2:
            fill()

    monkeypatch.setattr(records, "write", filling)
    with pytest.raises(OSError, match=f"The disk is full: {disk}/runs takes no more"):
        sweep("toy", "mnist", FEW[:1], disk / "runs", follow=lambda name: on_epoch, **FAST)
    assert not list(disk.glob("runs/*.json")) and not list(disk.glob("**/.*")), (
        "half a file was left"
    )
    (disk / "filler").unlink()
    monkeypatch.setattr(records, "write", write)
    sweep("toy", "mnist", FEW[:1], disk / "runs", **FAST)
    assert_same(disk / "runs", whole)
