"""Run a function in a child process whose keras runs on jax, from one whose keras does not."""

import contextlib
import multiprocessing
import os
import signal
import sys


def on_jax(function, *arguments, tell):
    """Return what `function(*arguments, tell)` returns in the child. When the function calls its
    `tell(*said)`, `tell(*said)` is called here.

    function, arguments, result: what can be pickled. Raises RuntimeError if the child failed or
    died, or as `check_guard` does. The child ends when this call ends, also by KeyboardInterrupt.
    """
    check_guard()
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there,), daemon=True)
    with _environment(KERAS_BACKEND="jax", XLA_PYTHON_CLIENT_PREALLOCATE="false"):
        child.start()
    there.close()
    try:
        # Not as arguments of the process: its start would wait forever if the child died on reading
        # them.
        with _alive():
            here.send((function, arguments))
        while True:
            with _alive():
                kind, said = here.recv()
            if kind == "done":
                return said
            if kind == "failed":
                raise RuntimeError(f"The child process on jax failed: {said}")
            tell(*said)
    finally:
        child.terminate()
        child.join()
        here.close()


def check_guard():
    """Raise RuntimeError if the script that runs would start itself again in each new process."""
    main = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if main.__spec__ or not file or not os.path.isfile(file):
        return
    with open(file, encoding="utf-8", errors="replace") as script:
        if "__name__" not in script.read():
            raise RuntimeError(
                f"{file} would run again in every process that this starts: put what it does "
                'under the line if __name__ == "__main__":'
            )


def _child(connection):
    # Ctrl-C reaches both processes: the parent answers it, and ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        function, arguments = connection.recv()
        connection.send(
            ("done", function(*arguments, lambda *said: connection.send(("told", said))))
        )
    except Exception as error:  # whatever it is, the parent raises it
        connection.send(("failed", f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def _alive():
    """Turn the end of the connection into a sentence about the child."""
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise RuntimeError(
            "The child process on jax died; if memory ran out, train fewer networks at once."
        ) from error


@contextlib.contextmanager
def _environment(**values):
    """Set environment variables for a process that is started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
