"""What several test files use."""

import functools
import logging
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import settings

from wmlab.datasets import Dataset, load

# How long an example takes says nothing on a shared machine.
settings.register_profile("wmlab", deadline=None, max_examples=40)
settings.load_profile("wmlab")

BY_SETUP = (
    "KERAS_BACKEND",
    "WMLAB_SCALE",
    "TF_CPP_MIN_LOG_LEVEL",
    "TF_ENABLE_ONEDNN_OPTS",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)


@pytest.fixture(autouse=True)
def as_quiet_as_before():
    """The commands of `python -m wmlab` raise the level of the package's log; the next test finds
    it as it was.
    """
    log = logging.getLogger("wmlab")
    before = log.level
    yield
    log.setLevel(before)


@pytest.fixture
def without_compilation(monkeypatch, request):
    """A few steps are quicker as they come than compiled first; the slow tests and the lessons
    compile.
    """
    import keras

    if not request.node.get_closest_marker("slow"):
        monkeypatch.setattr(
            keras.Model, "compile", functools.partialmethod(keras.Model.compile, run_eagerly=True)
        )


@pytest.fixture(scope="session")
def python():
    """A function: run code in a fresh Python and return the finished process.

    Choices that wmlab.setup() reads from the environment are those given as keywords and no others.
    """

    def run(code, timeout=600, **environment):
        inherited = {name: value for name, value in os.environ.items() if name not in BY_SETUP}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=inherited | environment,
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


@pytest.fixture(scope="session")
def colab():
    """The Python that has what Colab brings, once `make set-up-colab` has installed that."""
    made = pathlib.Path(__file__).parent.parent / ".venv-colab"
    if not (made / "set-up").exists():
        missing = "Colab's packages are not installed: make set-up-colab"
        pytest.fail(missing) if os.environ.get("CI") == "true" else pytest.skip(missing)
    return made / "bin" / "python"


@pytest.fixture(scope="session")
def data():
    """A small data set that a small network learns in seconds: ten drawings, faded and soiled."""
    return made_up((28, 28, 1), 300, 100, "mnist")


@pytest.fixture(scope="session")
def colours():
    """As `data`, in colour and smaller still."""
    return made_up((32, 32, 3), 48, 20, "cifar10")


def made_up(shape, n_train, n_test, name):
    rng = np.random.default_rng(0)
    drawings = (rng.random((10, *shape)) < 0.2) * rng.random((10, *shape))
    labels = np.arange(n_train + n_test) % 10
    images = drawings[labels] * rng.uniform(0.6, 1, (len(labels), 1, 1, 1))
    images += (rng.random(images.shape) < 0.02) * rng.random(images.shape)
    images = (np.round(np.clip(images, 0, 1) * 255) / 255).astype(np.float32)
    return Dataset(
        images[:n_train], labels[:n_train], images[n_train:], labels[n_train:], 10, name, "made up"
    )


@pytest.fixture(scope="session")
def digits():
    """The digits that ship."""
    return load("mnist", "class")


@pytest.fixture(scope="session")
def shipped():
    """The models that ship, each loaded once."""
    from wmlab import models

    return {name: models()[name] for name in models()}


@pytest.fixture(scope="session")
def trained(data):
    """A small network with a new-label mark, made with the secret "Alice": a Run."""
    from wmlab.schemes import NewLabel
    from wmlab.training import Recipe

    return NewLabel(0.3, 0.05).embed(data, "Alice", Recipe("dense", 6, 32), seed=1)
