"""A function run in a child process whose keras runs on jax, for those whose own keras runs on
another backend.
"""

import contextlib
import multiprocessing
import os
import signal


def on_jax(function, *arguments, tell):
    """What `function(*arguments, tell)` returns there; it and its arguments can be pickled.
    tell(*said) is called here.

    Raises RuntimeError with the child's error, or if the child died; stopped here, it stops there.
    """
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    child = context.Process(target=_child, args=(there,), daemon=True)
    with _environment(KERAS_BACKEND="jax", XLA_PYTHON_CLIENT_PREALLOCATE="false"):
        child.start()
    there.close()
    try:
        # not as arguments of the process: its start would wait forever for one that dies on reading
        # them
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


def _child(connection):
    signal.signal(
        signal.SIGINT, signal.SIG_IGN
    )  # Ctrl-C reaches both; the parent answers it and ends this process
    try:
        function, arguments = connection.recv()
        connection.send(
            ("done", function(*arguments, lambda *said: connection.send(("told", said))))
        )
    except Exception as error:  # whatever it is, the parent raises it
        connection.send(("failed", f"{type(error).__name__}: {error}"))


@contextlib.contextmanager
def _alive():
    try:
        yield
    except (EOFError, ConnectionError) as error:
        raise RuntimeError(
            "The child process on jax died; if memory ran out, train fewer networks at once."
        ) from error


@contextlib.contextmanager
def _environment(**values):
    """Environment variables for a process that is started meanwhile."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
