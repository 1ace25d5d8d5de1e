"""setup(), doctor() and the files, each choice of backend in a Python of its own."""

import errno
import importlib.metadata
import json
import re
import sys

import pytest

from wmlab import machine, runtime

SETUP = """
import json, os, sys, time
start = time.perf_counter()
import wmlab
shown = wmlab.setup({arguments})
print(json.dumps({{
    "seconds": time.perf_counter() - start, "shown": str(shown), "html": shown._repr_html_(),
    "environment": dict(os.environ), "loaded": [name for name in sys.modules if "." not in name],
    "backend": sys.modules["keras"].config.backend() if "keras" in sys.modules else None,
}}))
"""


def set_up(python, arguments="", before="", **environment):
    """Run setup() in a fresh Python and return what it left behind."""
    done = python(before + SETUP.format(arguments=arguments), **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr}


def refusal(python, code, **environment):
    """Return the last line of the traceback that `code` ends with."""
    done = python(code, **environment)
    assert done.returncode == 1, done.stdout
    return done.stderr.strip().splitlines()[-1]


NO_GPU = "from wmlab import machine; machine.nvidia = lambda: False\n"
A_GPU = """
from wmlab import machine
machine.gpu = lambda backend: "Big GPU" if backend == "jax" else None
"""


def absent(*packages):
    """Code that makes wmlab see `packages` as not installed."""
    return (
        NO_GPU
        + f"""
present = machine.is_installed
machine.is_installed = lambda package: package not in {packages} and present(package)
"""
    )


def test_setup_on_a_cpu_takes_tensorflow(python):
    found = set_up(python, before=NO_GPU)
    assert found["backend"] == "tensorflow"
    assert found["environment"]["KERAS_BACKEND"] == "tensorflow"
    assert found["environment"]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert found["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert found["stderr"] == ""  # a notebook would show it in red
    assert found["seconds"] < 15  # 3 to 4 on an idle machine


def test_setup_leaves_what_the_environment_asks_of_tensorflow(python):
    found = set_up(python, before=NO_GPU, TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="2")
    assert (
        found["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "0"
        and found["environment"]["TF_CPP_MIN_LOG_LEVEL"] == "2"
    )


def test_setup_with_a_gpu_takes_jax(python):
    found = set_up(python, before=A_GPU)
    assert found["backend"] == "jax"
    assert "Big GPU" in found["shown"]


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_setup_obeys_keras_backend(python, backend):
    found = set_up(python, before=NO_GPU, KERAS_BACKEND=backend)
    assert found["backend"] == backend
    assert f"backend {backend} {machine.version(backend)}" in found["shown"]
    assert ("several times slower" in found["shown"]) == (backend == "jax")
    assert found["stderr"] == ""


def test_missing_backend_gives_way_with_a_note(python):
    found = set_up(python, before=absent("tensorflow"), KERAS_BACKEND="tensorflow")
    assert found["backend"] == "jax"
    assert found["stderr"] == "tensorflow is not installed; using jax instead.\n"


def test_no_backend_at_all(python):
    code = absent(*runtime.BACKENDS) + "import wmlab; wmlab.setup()"
    assert "get one with: pip install tensorflow" in refusal(python, code)


def test_unknown_backend(python):
    line = refusal(python, "import wmlab; wmlab.setup()", KERAS_BACKEND="theano")
    assert line.startswith("ValueError: KERAS_BACKEND is 'theano'; it must be one of tensorflow")


def test_keras_imported_first_with_another_backend(python):
    code = "import os, keras, wmlab; os.environ['KERAS_BACKEND'] = 'tensorflow'; wmlab.setup()"
    line = refusal(python, code, KERAS_BACKEND="jax")
    assert line.startswith("RuntimeError: keras already runs on jax, not tensorflow")
    assert "restart the kernel" in line


def test_keras_imported_first_with_the_same_backend(python):
    assert set_up(python, before=NO_GPU + "import keras\n", KERAS_BACKEND="jax")["backend"] == "jax"


def test_setup_without_keras_loads_none(python):
    found = set_up(python, "keras=False", before="import os; os.environ.pop('KERAS_BACKEND', 0)\n")
    assert not {"keras", "tensorflow", "jax"} & set(found["loaded"])
    assert "KERAS_BACKEND" not in found["environment"]


def test_doctor_loads_no_keras_and_seeds_nothing(python):
    code = (
        NO_GPU
        + """
import random, sys, wmlab
state = random.getstate()
print(wmlab.doctor())
assert random.getstate() == state
assert not {"keras", "tensorflow", "jax"} & set(sys.modules)
"""
    )
    done = python(code)
    assert done.returncode == 0, done.stderr
    assert re.search(r"^versions .*backend tensorflow", done.stdout, re.MULTILINE)


def test_doctor_from_the_shell(python):
    code = "import sys; sys.argv[1:] = ['doctor']; import runpy; runpy.run_module('wmlab', run_name='__main__')"
    done = python(code)
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        "versions",
        "device",
        "scale",
        "data",
        "slow",
    ]
    done = python(code, KERAS_BACKEND="theano")
    assert done.returncode == 1
    assert done.stderr.startswith("KERAS_BACKEND is 'theano'") and done.stderr.count("\n") == 1


@pytest.mark.parametrize("keras", [True, False])
def test_same_seed_same_numbers(python, keras):
    code = (
        NO_GPU
        + f"""
import random, wmlab, numpy
drawn = []
for seed in 7, 7, 8:
    wmlab.setup(keras={keras}, seed=seed)
    drawn.append([random.random(), numpy.random.random()])
    if {keras}:
        import keras
        drawn[-1].append(float(keras.random.normal(())))
assert drawn[0] == drawn[1]
assert all(one != other for one, other in zip(drawn[1], drawn[2]))
"""
    )
    done = python(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None, True])
def test_bad_seed(seed):
    with pytest.raises(ValueError, match="whole number from 0"):
        runtime.setup(keras=False, seed=seed)


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 14, 0), (4, 0, 0)])
def test_unsupported_python(monkeypatch, version):
    monkeypatch.setattr(sys, "version_info", version)
    for function in runtime.setup, runtime.doctor:
        with pytest.raises(RuntimeError, match=r"^wmlab needs Python 3\.11 to 3\.13; this is"):
            function()


class TestScale:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        monkeypatch.setattr(runtime, "_scale", None)
        monkeypatch.delenv("WMLAB_SCALE", raising=False)

    def test_default(self):
        assert runtime.scale() == "class"

    def test_environment(self, monkeypatch):
        monkeypatch.setenv("WMLAB_SCALE", "paper")
        assert runtime.scale() == "paper"
        monkeypatch.setenv("WMLAB_SCALE", "")
        assert runtime.scale() == "class"

    def test_asked_for(self):
        assert runtime.scale("paper") == "paper"
        assert runtime.scale() == "class"

    @pytest.mark.parametrize("bad", ["Paper", "", "full", 1])
    def test_bad(self, monkeypatch, bad):
        with pytest.raises(ValueError, match="it must be one of class, paper"):
            runtime.scale(bad)
        with pytest.raises(ValueError, match="it must be one of class, paper"):
            runtime.setup(keras=False, scale=bad)
        if bad == "full":
            monkeypatch.setenv("WMLAB_SCALE", bad)
            with pytest.raises(ValueError, match="The scale is 'full'"):
                runtime.setup(keras=False)

    def test_setup_is_remembered(self, monkeypatch):
        monkeypatch.setenv("WMLAB_SCALE", "class")
        assert runtime.setup(keras=False, scale="paper").scale == "paper"
        assert runtime.scale() == "paper"
        with pytest.raises(ValueError, match="scale"):
            runtime.setup(keras=False, scale="nonsense")
        assert runtime.scale() == "paper"
        assert runtime.setup(keras=False).scale == "class"


class TestTable:
    SETUP = runtime.Setup(
        versions={"python": "3.12.1", "wmlab": "0.1.0"},
        device="<GPU> & CPU",
        gpu=True,
        scale="paper",
        data={"mnist": "sample"},
        slow=("Training takes hours.",),
    )

    def test_text(self):
        assert str(self.SETUP).splitlines() == [
            "versions   python 3.12.1, wmlab 0.1.0",
            "device     <GPU> & CPU",
            "scale      paper",
            "data       mnist: sample",
            "slow here  Training takes hours.",
        ]

    def test_html(self):
        shown = self.SETUP._repr_html_()
        assert "&lt;GPU&gt; &amp; CPU" in shown
        assert shown.count("<tr>") == shown.count('scope="row"') == 5
        assert "color" not in shown and "background" not in shown  # so both themes can show it

    def test_slow(self, monkeypatch):
        monkeypatch.setattr(machine, "nvidia", lambda: False)
        monkeypatch.setattr(machine, "cores", lambda: 2)
        assert list(runtime._slow("tensorflow", "class", None)) == []
        assert list(runtime._slow("tensorflow", "paper", "a GPU")) == []
        assert "takes hours" in " ".join(runtime._slow("tensorflow", "paper", None))
        monkeypatch.setattr(machine, "cores", lambda: 1)
        monkeypatch.setattr(machine, "nvidia", lambda: True)
        convolutions, core, gpu = runtime._slow("torch", "class", None)
        assert "torch trains" in convolutions and "one core" in core and "NVIDIA GPU" in gpu


class TestMachine:
    def test_versions_are_those_installed(self):
        versions = runtime.versions()
        for package in "numpy", "keras", "plotly", "ipywidgets":
            assert versions[package] == importlib.metadata.version(package)
        assert versions["python"] == ".".join(map(str, sys.version_info[:3]))

    def test_tensorflow_by_either_name(self, monkeypatch):
        known = {"tensorflow-cpu": "2.99"}

        def version(name):
            if name in known:
                return known[name]
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
        assert machine.version.__wrapped__("tensorflow") == "2.99"  # not what was looked up before
        assert machine.version.__wrapped__("jax") is None

    def test_device_is_not_empty(self):
        assert re.search(r"\w.*, \d+ cores?$", machine.cpu())
        assert runtime.device()

    def test_no_hint_of_a_gpu_loads_no_backend(self, monkeypatch):
        monkeypatch.setattr(machine, "nvidia", lambda: False)
        monkeypatch.setitem(sys.modules, "jax", None)  # an import would raise
        assert machine.gpu("jax") is None

    def test_left_over_folder_is_no_package(self, tmp_path, monkeypatch):
        (tmp_path / "left_over").mkdir()
        monkeypatch.syspath_prepend(tmp_path)
        assert not machine.is_installed("left_over")
        assert not machine.is_installed("never_there")
        assert machine.is_installed("json")


def test_note_outside_a_notebook_is_logged(caplog):
    assert not runtime.in_notebook()
    runtime.note("Mind the gap.")
    assert [(record.name, record.levelname, record.message) for record in caplog.records] == [
        ("wmlab", "WARNING", "Mind the gap."),
    ]


def test_note_in_a_notebook_is_shown(monkeypatch):
    shown = []
    monkeypatch.setattr(runtime, "in_notebook", lambda: True)
    monkeypatch.setattr("IPython.display.display", lambda html: shown.append(html.data))
    runtime.note("1 < 2")
    assert shown == ['<p role="note"><strong>Note:</strong> 1 &lt; 2</p>']


class TestWriting:
    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "model.keras").write_text("old")
        return tmp_path / "model.keras"

    @staticmethod
    def unharmed(path):
        return path.read_text() == "old" and list(path.parent.iterdir()) == [path]

    def test_moves_into_place(self, path):
        with runtime.writing(path) as part:
            assert part.parent == path.parent and part.suffix == ".keras" and part != path
            part.write_text("new")
            assert path.read_text() == "old"
        assert path.read_text() == "new"
        assert list(path.parent.iterdir()) == [path]

    def test_makes_the_folder(self, tmp_path):
        with runtime.writing(str(tmp_path / "a" / "b" / "new.json")) as part:
            part.write_text("{}")
        assert (tmp_path / "a" / "b" / "new.json").read_text() == "{}"

    @pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
    def test_full_disk(self, path, code):
        with pytest.raises(
            OSError, match="The disk is full: .*model.keras was not written; the old"
        ) as caught:
            with runtime.writing(path) as part:
                part.write_text("half")
                raise OSError(code, "No space left on device")
        assert caught.value.errno == code
        assert self.unharmed(path)

    def test_full_disk_without_an_old_file(self, tmp_path):
        with pytest.raises(OSError, match="nothing was left behind"):
            with runtime.writing(tmp_path / "new.npz") as part:
                part.write_text("half")
                raise OSError(errno.ENOSPC, "No space left on device")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        "error", [PermissionError(13, "no"), ValueError("no"), KeyboardInterrupt()]
    )
    def test_other_errors_pass_through(self, path, error):
        with pytest.raises(type(error)) as caught:
            with runtime.writing(path) as part:
                part.write_text("half")
                raise error
        assert caught.value is error
        assert self.unharmed(path)

    def test_the_move_itself_fails(self, path, monkeypatch):
        def replace(source, target):
            raise PermissionError(13, "open elsewhere")

        monkeypatch.setattr("os.replace", replace)
        with pytest.raises(PermissionError):
            with runtime.writing(path) as part:
                part.write_text("new")
        assert self.unharmed(path)


class TestDataDir:
    @pytest.fixture
    def package(self, tmp_path, monkeypatch):
        """The path that wmlab would have, somewhere else."""
        monkeypatch.setattr("wmlab.files.__file__", str(tmp_path / "wmlab" / "files.py"))
        (tmp_path / "wmlab").mkdir()
        return tmp_path / "wmlab"

    def test_installed(self, package):
        (package / "_data").mkdir()
        assert runtime.data_dir() == (package / "_data").resolve()

    def test_checkout(self, package):
        (package.parent / "data").mkdir()
        (package.parent / "pyproject.toml").touch()
        assert runtime.data_dir() == (package.parent / "data").resolve()

    def test_a_strange_folder_beside_an_installed_package(self, package):
        (package.parent / "data").mkdir()
        with pytest.raises(FileNotFoundError, match="install wmlab again"):
            runtime.data_dir()
