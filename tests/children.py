"""What the children in tests/test_jax_process.py run: apart, so that they load nothing else."""

import importlib
import os
import signal
import sys
import time

NAMES = ("KERAS_BACKEND", "XLA_PYTHON_CLIENT_PREALLOCATE")


def surroundings(tell):
    return (
        {name: os.environ.get(name) for name in NAMES},
        os.getpid(),
        sorted({"jax", "tensorflow", "keras"} & set(sys.modules)),
    )


def counted(array, n, tell):
    for i in range(n):
        tell(i, f"{i} of {n}")
    return array + n, {"n": n}


def backend(tell):
    import keras

    return keras.config.backend(), float(keras.ops.sum(keras.ops.ones((3, 2))))


def raises(error, tell):
    raise error


def dies(how, tell):
    tell("dying")
    os._exit(1) if how == "exit" else os.kill(os.getpid(), signal.SIGKILL)


def talks(tell):
    while True:
        tell(os.getpid())
        time.sleep(0.01)


def hands_back_what_cannot_be_sent(tell):
    return lambda: None


class DiesOnArrival:
    """Ends the process that unpickles it."""

    def __reduce__(self):
        return os._exit, (1,)


class Absent:
    """Of a package that is not installed where it is unpickled."""

    def __reduce__(self):
        return importlib.import_module, ("not_there",)
