"""What a notebook stands on: backend, device, seed and scale; and where files are kept."""

import contextlib
import dataclasses
import html
import logging
import os
import platform
import random
import sys
import tempfile

from wmlab import machine
from wmlab.files import data_dir, writing

__all__ = [
    "Setup",
    "data_dir",
    "device",
    "doctor",
    "in_notebook",
    "note",
    "scale",
    "setup",
    "versions",
    "writing",
]

PYTHONS = ((3, 11), (3, 13))  # oldest and newest, as in pyproject.toml
BACKENDS = ("tensorflow", "jax", "torch")  # in the order wmlab prefers them on a CPU
SCALES = ("class", "paper")

_scale = None  # what the last setup() chose


@dataclasses.dataclass(frozen=True)
class Setup:
    """What setup() found and chose; shows as one table.

    Attributes:
        versions: package name to version.
        device: the CPU, or the GPU that training uses.
        gpu: whether it is a GPU, on which equal seeds need not give equal networks.
        scale: "class" or "paper".
        data: data set name to where it would come from.
        slow: sentences about what will take long here; empty if nothing will.
        problem: a sentence if WMLAB_DATA is set but useless.
    """

    versions: dict
    device: str
    gpu: bool
    scale: str
    data: dict
    slow: tuple
    problem: str = ""

    def _rows(self):
        return {
            "versions": ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            "device": self.device,
            "scale": self.scale,
            "data": "; ".join(f"{name}: {source}" for name, source in self.data.items()) or "none",
            **({"WMLAB_DATA": self.problem} if self.problem else {}),
            "slow here": " ".join(self.slow) or "nothing at this scale",
        }

    def __str__(self):
        return "\n".join(f"{name:<10} {text}" for name, text in self._rows().items())

    def _repr_html_(self):
        # No colours: the table takes those of the notebook's theme, light or dark.
        left = 'style="text-align: left; vertical-align: top"'
        rows = (
            f'<tr><th scope="row" {left}>{html.escape(name)}</th>'
            f"<td {left}>{html.escape(text)}</td></tr>"
            for name, text in self._rows().items()
        )
        return f"<table>{''.join(rows)}</table>"


def setup(keras=True, scale=None, seed=0):
    """Choose backend and scale, seed everything, and say what this machine offers.

    Call it first in a notebook. The backend is $KERAS_BACKEND if set, else jax if it has a GPU,
    else tensorflow; if that one is not installed, the next of tensorflow, jax and torch, with a
    note.

    Args:
        keras: False in a notebook that trains nothing; keras is then not loaded.
        scale: "class" or "paper"; default $WMLAB_SCALE, else "class".
        seed: a whole number from 0 to 2**32 - 1.

    Returns:
        A Setup.

    Raises:
        ValueError: an unknown scale or backend, or a seed out of range.
        RuntimeError: a Python that wmlab does not support, no backend installed, or keras was
            imported before with another backend.
    """
    global _scale
    _check_python()
    chosen_scale = _valid_scale(scale)
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise ValueError(f"The seed is {seed!r}; it must be a whole number from 0 to 2**32 - 1.")
    backend = _choose_backend() if keras else None
    if keras:
        _start_keras(backend, seed)
    else:
        import numpy as np

        random.seed(seed)
        np.random.seed(seed)
    _scale = chosen_scale
    return _describe(backend)


def doctor():
    """Return the Setup that setup() would, without seeding or loading keras.

    Raises:
        ValueError: $WMLAB_SCALE or $KERAS_BACKEND is not one that wmlab knows.
        RuntimeError: a Python that wmlab does not support, or no backend installed.
    """
    _check_python()
    return _describe(_choose_backend())


def scale(wanted=None):
    """Return the scale in force, or `wanted` if it is a scale.

    In force is what the last setup() chose, else $WMLAB_SCALE, else "class".

    Raises:
        ValueError: it is neither "class" nor "paper".
    """
    return _valid_scale(_scale if wanted is None else wanted)


def device():
    """Return the device that training uses, in words: the name of the GPU, or of the CPU."""
    backend = _backend_in_use()
    return (backend and machine.gpu(backend)) or machine.cpu()


def multiplies_bfloat16():
    """Return whether training here is faster in bfloat16: on most GPUs since 2020, and processors
    with AVX512-BF16 or AMX.
    """
    return machine.multiplies_bfloat16(_backend_in_use())


def versions():
    """Return name to version of python, wmlab, the backend in use and the main packages."""
    return machine.versions(_backend_in_use())


def in_notebook():
    """Return whether this runs in a notebook, where HTML can be shown."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return getattr(shell, "kernel", None) is not None


def note(text):
    """Show a sentence that the user should see: in the notebook, or else as a logged warning."""
    if in_notebook():
        from IPython.display import HTML, display

        display(HTML(f'<p role="note"><strong>Note:</strong> {html.escape(text)}</p>'))
    else:
        logging.getLogger("wmlab").warning(text)


def _check_python():
    oldest, newest = PYTHONS
    if not oldest <= sys.version_info[:2] <= newest:
        supported = " to ".join(f"{major}.{minor}" for major, minor in PYTHONS)
        raise RuntimeError(f"wmlab needs Python {supported}; this is {platform.python_version()}.")


def _valid_scale(wanted):
    name = (os.environ.get("WMLAB_SCALE") or "class") if wanted is None else wanted
    if name not in SCALES:
        raise ValueError(f"The scale is {name!r}; it must be one of {', '.join(SCALES)}.")
    return name


def _choose_backend():
    wanted = os.environ.get("KERAS_BACKEND") or ("jax" if machine.gpu("jax") else "tensorflow")
    if wanted not in BACKENDS:
        raise ValueError(f"KERAS_BACKEND is {wanted!r}; it must be one of {', '.join(BACKENDS)}.")
    installed = [name for name in (wanted, *BACKENDS) if machine.is_installed(name)]
    if not installed:
        raise RuntimeError(
            "None of tensorflow, jax and torch is installed; get one with: pip install tensorflow"
        )
    if installed[0] != wanted:
        note(f"{wanted} is not installed; using {installed[0]} instead.")
    return installed[0]


def _backend_in_use():
    keras = sys.modules.get("keras")
    return keras.config.backend() if keras else os.environ.get("KERAS_BACKEND")


def _start_keras(backend, seed):
    if "keras" in sys.modules and _backend_in_use() != backend:
        raise RuntimeError(
            f"keras already runs on {_backend_in_use()}, not {backend}, and cannot change: restart "
            "the kernel and run wmlab.setup() before anything imports keras."
        )
    os.environ["KERAS_BACKEND"] = backend
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # errors are raised all the same
    # twice as fast on processors where it is not tensorflow's default
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    with _chatter_kept():
        import keras

        keras.utils.set_random_seed(seed)
    plain_keras()


def plain_keras():
    """See that layers compute in float32 on images with channels last, whatever keras.json says."""
    import keras

    found = (keras.config.floatx(), keras.config.image_data_format())
    if found != ("float32", "channels_last"):
        note(
            f"keras.json asks for {' and '.join(found)}; "
            "this session uses float32 and channels_last."
        )
        keras.config.set_floatx("float32")
        keras.config.set_image_data_format("channels_last")
    if keras.config.dtype_policy().name != "float32":
        keras.config.set_dtype_policy("float32")


@contextlib.contextmanager
def _chatter_kept():
    """Keep back what libraries write to stderr, past Python; show it only if loading them fails.

    TensorFlow's first lines ignore TF_CPP_MIN_LOG_LEVEL, and a notebook shows them in red.
    """
    with tempfile.TemporaryFile() as kept:
        stderr = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(stderr, kept.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def _describe(backend):
    from wmlab.datasets import available, own_folder

    in_force, gpu = scale(), machine.gpu(backend) if backend else None
    return Setup(
        versions=machine.versions(backend),
        device=gpu or machine.cpu(),
        gpu=bool(gpu),
        scale=in_force,
        data=available(),
        slow=tuple(_slow(backend, in_force, gpu)) if backend else (),
        problem=own_folder()[1],
    )


def _slow(backend, scale, gpu):
    """Yield the sentences about what will take long here."""
    if gpu:
        return
    if scale == "paper":
        yield "Without a GPU a network at paper scale takes minutes, and more on a slow machine."
    if backend != "tensorflow":
        yield f"{backend} trains convolutions on a CPU several times slower than tensorflow does."
    if machine.cores() < 2:
        yield "With one core, training takes longer than the minutes a notebook names."
    if machine.nvidia():
        yield f"There is an NVIDIA GPU here that {backend} cannot use; jax with CUDA would."
