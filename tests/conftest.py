"""What several test files use."""
import os
import subprocess
import sys

import pytest

BY_SETUP = ("KERAS_BACKEND", "WMLAB_SCALE", "TF_CPP_MIN_LOG_LEVEL", "XLA_PYTHON_CLIENT_PREALLOCATE")


@pytest.fixture(scope="session")
def python():
    """A function: run code in a fresh Python and return the finished process.

    Choices that wmlab.setup() reads from the environment are those given as keywords and no others.
    """

    def run(code, timeout=120, **environment):
        inherited = {name: value for name, value in os.environ.items() if name not in BY_SETUP}
        return subprocess.run(
            [sys.executable, "-c", code], env=inherited | environment,
            capture_output=True, text=True, timeout=timeout,
        )

    return run
