"""setup(), doctor() and the files. Each backend is loaded in one process of its own."""

import errno
import importlib.metadata
import json
import re
import sys

import pytest

from wmlab import __main__, machine, runtime

# What each process begins with. `report` prints what setup() left behind, and what `tries` raise.
BEGIN = """
import json, os, random, sys
import wmlab
from wmlab import machine

def drawn(seed, **choices):
    import numpy
    wmlab.setup(seed=seed, **choices)
    numbers = [random.random(), float(numpy.random.random())]
    if "keras" in sys.modules:
        numbers.append(float(sys.modules["keras"].random.normal(())))
    return numbers

def report(shown, **more):
    loaded = sys.modules.get("keras")
    print(json.dumps(more | {
        "shown": str(shown), "environment": dict(os.environ),
        "backend": loaded and loaded.config.backend(),
        "loaded": sorted({"keras", "tensorflow", "jax", "torch"} & set(sys.modules)),
    }))

def refusal(backend):
    os.environ["KERAS_BACKEND"] = backend
    try:
        wmlab.setup()
    except RuntimeError as error:
        return str(error)
"""
ON_A_CPU = """
machine.nvidia = lambda: False
shown = wmlab.setup()
report(shown, drawn=[drawn(7), drawn(7), drawn(8)], refused=refusal("jax"))
"""
ON_A_GPU = """
machine.gpu = lambda backend: "Big GPU" if backend == "jax" else None
shown = wmlab.setup()
report(shown, drawn=[drawn(7), drawn(7), drawn(8)], refused=refusal("tensorflow"))
"""
WITHOUT_KERAS = """
machine.nvidia = lambda: False
shown = wmlab.setup(keras=False)
state = random.getstate()
doctor = str(wmlab.doctor())
assert random.getstate() == state, "doctor() seeds nothing"
numbers = [drawn(7, keras=False), drawn(7, keras=False), drawn(8, keras=False)]
report(shown, doctor=doctor, drawn=numbers)
"""


def in_a_process(python, code, **environment):
    """What `report` said, and what stood on stderr."""
    done = python(BEGIN + code, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) | {"stderr": done.stderr}


def seeded(found):
    """Whether equal seeds gave equal numbers, and another seed others, from every generator."""
    one, same, other = found["drawn"]
    return one == same and all(a != b for a, b in zip(one, other, strict=True))


def test_on_a_cpu_setup_takes_tensorflow(python):
    found = in_a_process(python, ON_A_CPU)
    assert found["backend"] == "tensorflow"
    assert f"backend tensorflow {machine.version('tensorflow')}" in found["shown"]
    assert found["environment"]["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert found["environment"]["TF_ENABLE_ONEDNN_OPTS"] == "1"
    assert found["stderr"] == ""  # a notebook would show it in red
    assert seeded(found) and len(found["drawn"][0]) == 3
    assert found["refused"].startswith("keras already runs on tensorflow, not jax")
    assert "restart the kernel" in found["refused"]


def test_with_a_gpu_setup_takes_jax_and_leaves_what_the_environment_says(python):
    found = in_a_process(python, ON_A_GPU, TF_ENABLE_ONEDNN_OPTS="0", TF_CPP_MIN_LOG_LEVEL="2")
    assert found["backend"] == "jax" and "Big GPU" in found["shown"]
    environment = found["environment"]
    assert environment["TF_ENABLE_ONEDNN_OPTS"] == "0"
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "2"
    assert found["stderr"] == ""
    assert seeded(found), "keras was imported before the second setup(), with the same backend"
    assert found["refused"].startswith("keras already runs on jax, not tensorflow")


def test_without_keras_nothing_heavy_is_loaded(python):
    found = in_a_process(python, WITHOUT_KERAS)
    assert found["loaded"] == [] and "KERAS_BACKEND" not in found["environment"]
    assert re.search(r"^versions .*backend tensorflow", found["doctor"], re.MULTILINE)
    assert seeded(found) and len(found["drawn"][0]) == 2


class TestBackend:
    """Which backend is chosen, as doctor() says without loading it."""

    @pytest.fixture
    def chosen(self, monkeypatch):
        def chosen(wanted, installed=runtime.BACKENDS, gpu=None):
            monkeypatch.setenv("KERAS_BACKEND", wanted)
            monkeypatch.setattr(machine, "is_installed", lambda package: package in installed)
            monkeypatch.setattr(machine, "gpu", lambda name: "a GPU" if name == gpu else None)
            return runtime.doctor().versions["backend"].split()[0]

        return chosen

    def test_the_environment_then_a_gpu_of_jax_then_tensorflow(self, chosen):
        for wanted in ("tensorflow", "jax", "torch", ""):
            assert chosen(wanted) == (wanted or "tensorflow")
        assert chosen("", gpu="jax") == "jax" and chosen("tensorflow", gpu="jax") == "tensorflow"

    def test_a_missing_one_gives_way_with_a_note(self, chosen, caplog):
        assert chosen("tensorflow", installed=("jax", "torch")) == "jax"
        assert caplog.messages == ["tensorflow is not installed; using jax instead."]

    def test_none_at_all_and_an_unknown_one(self, chosen):
        with pytest.raises(RuntimeError, match="get one with: pip install tensorflow"):
            chosen("jax", installed=())
        with pytest.raises(ValueError, match="^KERAS_BACKEND is 'theano'; it must be one of tens"):
            chosen("theano")

    def test_doctor_from_the_shell(self, chosen, capsys):
        chosen("jax")
        __main__.main(["doctor"])
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == "versions device scale data slow".split()
        assert "several times slower" in lines[-1]
        with pytest.raises(ValueError):
            chosen("theano")
        with pytest.raises(SystemExit, match="^KERAS_BACKEND is 'theano'"):
            __main__.main(["doctor"])


def test_bad_seed():
    for seed in (-1, 2**32, 1.5, "0", None, True):
        with pytest.raises(ValueError, match="whole number from 0"):
            runtime.setup(keras=False, seed=seed)


def test_unsupported_python(monkeypatch):
    for version in [(3, 10, 13), (3, 14, 0), (4, 0, 0)]:
        monkeypatch.setattr(sys, "version_info", version)
        for function in runtime.setup, runtime.doctor:
            with pytest.raises(RuntimeError, match=r"^wmlab needs Python 3\.11 to 3\.13; this is"):
                function()


class TestScale:
    @pytest.fixture(autouse=True)
    def fresh(self, monkeypatch):
        monkeypatch.setattr(runtime, "_scale", None)
        monkeypatch.delenv("WMLAB_SCALE", raising=False)

    def test_default_asked_for_and_from_the_environment(self, monkeypatch):
        assert runtime.scale() == "class"
        assert runtime.scale("paper") == "paper"
        assert runtime.scale() == "class", "to ask sets nothing"
        for there, found in (("paper", "paper"), ("", "class")):
            monkeypatch.setenv("WMLAB_SCALE", there)
            assert runtime.scale() == found

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
        assert "takes minutes" in " ".join(runtime._slow("tensorflow", "paper", None))
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
