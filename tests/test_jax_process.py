"""A function in a child process on jax: its result, its failures, and no process left behind."""

import multiprocessing
import os
import signal
import subprocess
import sys
from multiprocessing import resource_tracker

import children
import numpy as np
import psutil
import pytest

from wmlab.jax_process import on_jax

DIED = "^The child process on jax died; if memory ran out, train fewer networks at once.$"


def refuse(*said):
    raise AssertionError(f"the child said {said}")


@pytest.fixture(autouse=True)
def no_child_stays():
    resource_tracker.ensure_running()  # Python's own, started with the first child and never ended
    before = set(psutil.Process().children(recursive=True))
    yield
    assert multiprocessing.active_children() == []
    assert set(psutil.Process().children(recursive=True)) <= before


SCRIPT = """
import signal, sys
# a job that a shell runs in the background ignores SIGINT
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path[:0] = sys.argv[1:]
from children import talks
from wmlab.jax_process import on_jax
if __name__ == "__main__":
    on_jax(talks, tell=lambda process: print(process, flush=True))
"""


@pytest.fixture
def pair(tmp_path):
    """A Python at work, and its child on jax, which has begun to talk."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, script, *sys.path]
    parent = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    yield parent, psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.communicate()


def test_what_is_told_arrives_in_order_and_then_the_result():
    told = []
    array, more = on_jax(
        children.counted, np.arange(300_000), 5, tell=lambda *said: told.append(said)
    )
    assert told == [(i, f"{i} of 5") for i in range(5)]
    assert np.array_equal(array, np.arange(5, 300_005)) and more == {"n": 5}


@pytest.mark.parametrize("before", ["torch", None])
def test_the_environment_is_the_childs_alone(monkeypatch, before):
    for name in children.NAMES:
        monkeypatch.setenv(name, before) if before else monkeypatch.delenv(name, raising=False)
    environment, process, loaded = on_jax(children.surroundings, tell=refuse)
    assert environment == {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    assert [os.environ.get(name) for name in children.NAMES] == [before, before]
    assert process != os.getpid() and loaded == [], (
        "the child loads what its function loads, and no framework before"
    )


def test_keras_runs_on_jax_there(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert on_jax(children.backend, tell=refuse) == ("jax", 6.0)


def test_an_error_there_is_told_here():
    for error, text in (
        (ValueError("no such network"), "ValueError: no such network"),
        (MemoryError(), "MemoryError: "),
        (SystemError("two\nlines"), "SystemError: two\nlines"),
    ):
        with pytest.raises(RuntimeError) as caught:
            on_jax(children.raises, error, tell=refuse)
        assert str(caught.value) == f"The child process on jax failed: {text}"


def test_a_result_that_cannot_be_sent_is_an_error_like_any_other():
    with pytest.raises(RuntimeError, match="^The child process on jax failed: .*[pP]ickle"):
        on_jax(children.hands_back_what_cannot_be_sent, tell=refuse)


def test_what_cannot_be_sent_there_is_refused():
    with pytest.raises(Exception, match="[pP]ickle"):
        on_jax(lambda tell: None, tell=refuse)


def test_a_child_that_dies_is_an_error_in_one_sentence():
    for how in ("exit", "kill") if os.name != "nt" else ("exit",):
        told = []
        with pytest.raises(RuntimeError, match=DIED):
            on_jax(children.dies, how, tell=told.append)
        assert told == ["dying"]


def test_what_the_child_cannot_receive():
    """It dies, or cannot load it; also where more bytes follow than a pipe holds."""
    missing = "^The child process on jax failed: ModuleNotFoundError: No module named 'not_there'$"
    for sent, behind, says in (
        (children.DiesOnArrival(), bytes(10**7), DIED),
        (children.Absent(), b"", missing),
    ):
        with pytest.raises(RuntimeError, match=says):
            on_jax(children.counted, sent, behind, tell=refuse)


def test_an_error_of_the_one_who_is_told_is_not_the_childs():
    def tell(*said):
        raise BrokenPipeError("the notebook is gone")

    with pytest.raises(BrokenPipeError, match="the notebook is gone"):
        on_jax(children.counted, 0, 3, tell=tell)


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("no room for a line")])
def test_stopped_here_it_stops_there(error):
    started = []

    def stop(process):
        started.append(process)
        raise error

    with pytest.raises(error if error is KeyboardInterrupt else ValueError):
        on_jax(children.talks, tell=stop)
    assert len(started) == 1 and not psutil.pid_exists(started[0])


@pytest.mark.skipif(os.name == "nt", reason="Windows sends no SIGINT")
def test_interrupted_from_the_keyboard(pair):
    """Jupyter and shells interrupt the child too: only the parent answers, and once."""
    parent, child = pair
    child.send_signal(signal.SIGINT)
    for _ in range(50):  # it talks on
        assert int(parent.stdout.readline()) == child.pid
    parent.send_signal(signal.SIGINT)
    _, said = parent.communicate(timeout=300)
    assert parent.returncode == -signal.SIGINT
    assert said.count("Traceback") == 1 and said.strip().endswith("KeyboardInterrupt")
    psutil.wait_procs([child], timeout=300)
    assert not child.is_running()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_parent_that_is_killed_leaves_no_child_that_works_on(pair):
    parent, child = pair
    parent.kill()
    parent.communicate(timeout=300)
    psutil.wait_procs([child], timeout=300)
    assert not child.is_running()
