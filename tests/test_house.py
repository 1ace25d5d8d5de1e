"""What surrounds the package: one list of packages, one address, the notebooks as stored, make, the
wheel.
"""

import json
import os
import pathlib
import re
import shutil
import stat
import subprocess
import sys
import tomllib
import zipfile

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

import wmlab
from wmlab import runtime
from wmlab.tools import notebooks

ROOT = pathlib.Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

TOP_LEVEL = {
    "notebooks",
    "wmlab",
    "data",
    "tests",
    "environment.yml",
    "pyproject.toml",
    "Makefile",
    "README.md",
    "LICENSE",
    ".ci",
    ".gitignore",
}


def test_nothing_else_at_the_top():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert {path.partition("/")[0] for path in listed.split("\0") if path} == TOP_LEVEL


class TestOneList:
    def test_environment_is_fed_by_pyproject(self):
        environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
        python, pip, packages = environment["dependencies"]
        assert python == f"python {PROJECT['requires-python']}"
        assert (pip, packages) == ("pip", {"pip": ["-e .[lab]"]})

    def test_pythons_are_the_same_everywhere(self):
        (low, high), declared = runtime.PYTHONS, SpecifierSet(PROJECT["requires-python"])
        allowed = {minor for minor in range(30) if f"3.{minor}.5" in declared}
        assert allowed == set(range(low[1], high[1] + 1)) and low[0] == high[0] == 3
        makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
        assert f"{low} <= sys.version_info[:2] <= {high}" in makefile
        assert {
            int(minor) for minor in re.findall(r"python3\.(\d+)", makefile.split("CANDIDATES")[1])
        } == allowed
        sentence = re.search(r"wmlab needs Python ([^;]*);", makefile).group(1)
        assert {int(minor) for minor in re.findall(r"3\.(\d+)", sentence)} == allowed

    def test_version(self):
        assert PYPROJECT["tool"]["hatch"]["version"]["path"] == "wmlab/__init__.py"
        assert re.fullmatch(r"\d+\.\d+\.\d+", wmlab.__version__)

    def test_base_has_no_backend_and_no_jupyterlab(self):
        base = {Requirement(line).name for line in PROJECT["dependencies"]}
        assert not base & {"tensorflow", "tensorflow-cpu", "jax", "torch", "jupyterlab", "notebook"}

    @pytest.mark.parametrize(
        ("system", "processor", "expected"),
        [
            ("linux", "x86_64", "tensorflow-cpu"),
            ("linux", "aarch64", "tensorflow"),
            ("darwin", "arm64", "tensorflow"),
            ("win32", "AMD64", "tensorflow"),
        ],
    )
    def test_one_tensorflow_a_system(self, system, processor, expected):
        here = {"sys_platform": system, "platform_machine": processor}
        lab = map(Requirement, PROJECT["optional-dependencies"]["lab"])
        chosen = {line.name for line in lab if not line.marker or line.marker.evaluate(here)}
        assert chosen == {"jupyterlab", "latex2mathml", "nbconvert", "jax", "distributed", expected}


class TestStamp:
    @pytest.fixture
    def house(self, tmp_path):
        """A repository at another address, with one notebook and a README from before it moved."""
        (tmp_path / "notebooks").mkdir()
        (tmp_path / "pyproject.toml").write_text(
            '[project.urls]\nRepository = "https://github.com/school/course.git"\n'
        )
        (tmp_path / "README.md").write_text(
            "See [x](https://github.com/other/thing).\n\n    git clone https://github.com/a/b.git\n"
            f"{notebooks.badge('00_x.ipynb', 'https://github.com/a/b')}\n"
        )
        cells = [
            nbformat.v4.new_markdown_cell("# Title"),
            nbformat.v4.new_code_cell('%pip install -q "wmlab @ git+https://github.com/a/b"'),
        ]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "notebooks" / "00_x.ipynb")
        return tmp_path

    def test_writes_the_address_everywhere(self, house):
        changed = notebooks.stamp(house)
        assert [path.name for path in changed] == ["README.md", "00_x.ipynb"]
        readme = (house / "README.md").read_text()
        assert "https://github.com/other/thing" in readme  # no business of ours
        assert "git clone https://github.com/school/course\n" in readme and "a/b" not in readme
        title, install = nbformat.read(house / "notebooks" / "00_x.ipynb", as_version=4).cells
        assert title.source == (
            "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
            "(https://colab.research.google.com/github/school/course/blob/main/notebooks/00_x.ipynb)\n\n# Title"
        )
        assert install.source == '%pip install -q "wmlab @ git+https://github.com/school/course"'

    def test_twice_is_once(self, house):
        notebooks.stamp(house)
        before = {path: path.read_bytes() for path in house.rglob("*.*") if path.is_file()}
        assert notebooks.stamp(house) == []
        assert {path: path.read_bytes() for path in before} == before

    def test_here_all_is_stamped(self, tmp_path):
        for name in "pyproject.toml", "README.md":
            shutil.copy(ROOT / name, tmp_path)
        shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
        assert notebooks.stamp(tmp_path) == [], "run make stamp"


class TestCleanNotebooks:
    @pytest.fixture
    def house(self, tmp_path):
        """One notebook as JupyterLab leaves it after a run."""

        def ran(source, **metadata):
            output = nbformat.v4.new_output("stream", text="1\n")
            return nbformat.v4.new_code_cell(
                source, execution_count=3, outputs=[output], metadata=metadata
            )

        cells = [
            nbformat.v4.new_markdown_cell("# Title", metadata={"editable": True}),
            ran("print(1)", execution={"iopub.status.busy": "now"}, scrolled=True),
            ran("print(1)", tags=["nbval-check-output"], trusted=True),
        ]
        metadata = {
            "widgets": {"state": {}},
            "language_info": {"name": "python", "version": "3.11.7"},
        }
        (tmp_path / "notebooks").mkdir()
        path = tmp_path / "notebooks" / "00_x.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), path)
        return tmp_path

    def test_strips_all_but_tagged_cells(self, house):
        changed = notebooks.clean_notebooks(house)
        notebook = nbformat.read(changed[0], as_version=4)
        title, plain, checked = notebook.cells
        assert dict(notebook.metadata) == notebooks.KERNEL
        assert (plain.outputs, plain.execution_count, dict(plain.metadata)) == ([], None, {})
        assert checked.outputs[0].text == "1\n" and checked.execution_count == 3
        assert dict(checked.metadata) == {"tags": ["nbval-check-output"]} and title.metadata == {}
        assert notebooks.clean_notebooks(house) == []


def test_the_first_lessons_are_there():
    assert {"00_start_here", "03_embedding"} <= {path.stem for path in NOTEBOOKS}


@every_notebook
class TestNotebook:
    def test_stored_outputs(self, path):
        """A checked cell without its output compares nothing, one without its count always fails."""
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        for cell in notebook.cells:
            if cell.cell_type != "code":
                continue
            assert "NBVAL_CHECK_OUTPUT" not in cell.source, "mark it with the tag"
            checked = notebooks.CHECKED in cell.metadata.get("tags", [])
            assert bool(cell.outputs) == checked, cell.source
            assert (cell.execution_count is not None) == checked, cell.source

    def test_is_clean_and_small(self, path, tmp_path):
        assert "widgets" not in nbformat.read(path, as_version=4).metadata
        assert path.stat().st_size < 300_000
        (tmp_path / "notebooks").mkdir()
        shutil.copy(path, tmp_path / "notebooks")
        assert notebooks.clean_notebooks(tmp_path) == [], "run make clean-notebooks"

    def test_colab_installs_from_the_repository(self, path):
        code = [
            cell.source
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        ]
        assert re.search(rf"pip install .*git\+{re.escape(notebooks.repository())}\b", code[0])


# A stand-in for Python, whose `-m venv` makes another. Files in a folder tell it how each call
# ends.
PYTHON = """#!/bin/sh
say={folder}
case "$*" in
    *version_info*) exit $(cat "$say/version") ;;
    *base_prefix*) echo {folder} ;;
    *ensurepip*) exit $(cat "$say/ensurepip") ;;
    *"-m venv"*) mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    *"-m pip --version"*) ;;
    *"-m pip install"*) echo "$*" >>installs; echo chatter; echo chatter >&2; exit $(cat "$say/pip") ;;
    *) echo "ran: $*" ;;
esac
"""


@pytest.mark.skipif(not shutil.which("make"), reason="there is no make")
class TestMake:
    @pytest.fixture
    def make(self, tmp_path):
        """A function: run make in an otherwise empty folder, with a Python that says what it is
        told.
        """
        fakes = tmp_path / "fakes"
        fakes.mkdir()
        for name in "python3.13", "python3.12", "python3.11", "python3", "python":
            (fakes / name).write_text(PYTHON.format(folder=fakes))
            (fakes / name).chmod(0o755)
        shutil.copy(ROOT / "Makefile", tmp_path)
        shutil.copy(ROOT / "pyproject.toml", tmp_path)

        def make(*arguments, version=0, ensurepip=0, pip=0):
            for name, status in dict(version=version, ensurepip=ensurepip, pip=pip).items():
                (fakes / name).write_text(str(status))
            path = f"{fakes}{os.pathsep}{os.defpath}"
            environment = {
                name: value for name, value in os.environ.items() if not name.startswith("MAKE")
            }
            environment.pop("PYTHON", None)
            return subprocess.run(
                ["make", *arguments],
                cwd=tmp_path,
                env=environment | {"PATH": path},
                capture_output=True,
                text=True,
                timeout=60,
            )

        return make

    @staticmethod
    def complaint(done):
        """Return the one line that make said, beside its own."""
        assert done.returncode != 0
        (line,) = [line for line in done.stderr.splitlines() if not line.startswith("make")]
        return line

    def test_no_suitable_python(self, make):
        line = self.complaint(make("lab", version=1))
        assert line.startswith(
            "wmlab needs Python 3.11, 3.12 or 3.13; none of these is one: python3.13 "
        )

    def test_a_python_that_does_not_run(self, make, tmp_path):
        line = self.complaint(make("test", "PYTHON=/no such/python"))
        assert "none of these is one: /no such/python (name yours" in line
        assert not (tmp_path / ".venv").exists()

    def test_python_without_venv(self, make):
        line = self.complaint(make("lab", ensurepip=1))
        assert line.endswith("lacks venv or pip (on Debian and Ubuntu: apt install python3-venv)")

    def test_no_network(self, make):
        done = make("lab", pip=1)
        assert self.complaint(done).startswith(
            "pip could not install the packages: is there a network"
        )
        assert "ran:" not in done.stdout

    def test_sets_up_once(self, make, tmp_path):
        installs = tmp_path / "installs"
        assert make("lab", pip=1).returncode != 0
        for _ in range(2):  # after a failure it starts again; after a success it does not
            done = make("lab")
            assert done.returncode == 0, done.stderr
            assert (
                "ran: -m jupyterlab" in done.stdout
                and "notebooks/00_start_here.ipynb" in done.stdout
            )
            assert installs.read_text().count("[lab]") == 2
        (settings,) = tmp_path.glob(".venv/share/jupyter/lab/settings/overrides.json")
        assert json.loads(settings.read_text()) == {
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
        }
        for target in "test", "test-fast", "lab":
            assert make(target).returncode == 0
        assert installs.read_text().count("[lab,test]") == 1
        assert installs.read_text().count("\n") == 3
        (tmp_path / "pyproject.toml").touch()
        assert make("test", version=1).returncode == 0  # touched, but the same
        assert installs.read_text().count("\n") == 3
        with (tmp_path / "pyproject.toml").open("a") as file:
            file.write("# changed\n")
        assert make("test").returncode == 0
        assert installs.read_text().count("\n") == 4

    def test_another_python_by_name_starts_anew(self, make, tmp_path):
        assert make("lab").returncode == 0
        other = tmp_path / "other"
        shutil.copytree(tmp_path / "fakes", other)
        python = other / "python3.12"
        python.write_text(python.read_text().replace(str(tmp_path / "fakes"), str(other)))
        for _ in range(2):
            assert make("lab", f"PYTHON={python}").returncode == 0
        assert make("lab").returncode == 0  # no name, no wish
        assert (tmp_path / ".venv" / "bin" / "python").read_text() == python.read_text()
        assert (tmp_path / "installs").read_text().count("\n") == 2
        assert "none of these is one" in self.complaint(make("lab", "PYTHON=/no/such/python"))

    def test_clean(self, make, tmp_path):
        for folder in "wmlab", "tests", "notebooks":
            (tmp_path / folder / "__pycache__").mkdir(parents=True)
        make("lab")
        assert make("clean").returncode == 0
        assert {path.name for path in tmp_path.iterdir()} >= {"wmlab", "Makefile"}
        assert not (tmp_path / ".venv").exists() and not list(tmp_path.rglob("__pycache__"))


def test_ci_run_can_be_run():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & stat.S_IXUSR
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0


@pytest.mark.slow
def test_wheel_carries_the_data(python, tmp_path):
    pytest.importorskip("hatchling")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path / "dist"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name == f"wmlab-{wmlab.__version__}-py3-none-any.whl"
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    shipped = {
        path.relative_to(ROOT / "data") for path in (ROOT / "data").rglob("*") if path.is_file()
    }
    carried = {
        path.relative_to(site / "wmlab/_data")
        for path in (site / "wmlab/_data").rglob("*")
        if path.is_file()
    }
    assert carried == shipped and shipped

    away = """
import wmlab
from wmlab import runtime
assert wmlab.__file__.startswith({site!r}) and str(runtime.data_dir()).startswith({site!r})
assert wmlab.load("mnist", scale="class").x_train.shape[1:] == (28, 28, 1)
"""
    done = python(
        f"import os; os.chdir({str(tmp_path)!r})" + away.format(site=str(site)),
        PYTHONPATH=str(site),
    )
    assert done.returncode == 0, done.stderr
