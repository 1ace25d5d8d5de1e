"""What surrounds the package: one list of packages, one address, the notebooks as stored, make, the
wheel.
"""

import json
import os
import pathlib
import pkgutil
import re
import shlex
import shutil
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


def test_conda_installs_what_pyproject_lists():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, packages = environment["dependencies"]
    assert python == f"python {PROJECT['requires-python']}"
    assert (pip, packages) == ("pip", {"pip": ["-e .[lab]"]})


def test_pythons_are_the_same_everywhere():
    (low, high), declared = runtime.PYTHONS, SpecifierSet(PROJECT["requires-python"])
    allowed = {minor for minor in range(30) if f"3.{minor}.5" in declared}
    assert allowed == set(range(low[1], high[1] + 1)) and low[0] == high[0] == 3
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert f"{low} <= sys.version_info[:2] <= {high}" in makefile
    named = makefile.split("CANDIDATES :=")[1].partition("\n")[0]
    sentence = re.search(r"wmlab needs Python ([^;]*);", makefile)[1]
    for text, pattern in (named, r"python3\.(\d+)"), (sentence, r"3\.(\d+)"):
        assert {int(minor) for minor in re.findall(pattern, text)} == allowed


def test_one_tensorflow_a_system_and_none_in_the_base():
    base = {Requirement(line).name for line in PROJECT["dependencies"]}
    assert not base & {"tensorflow", "tensorflow-cpu", "jax", "torch", "jupyterlab", "notebook"}
    lab = [*map(Requirement, PROJECT["optional-dependencies"]["lab"])]
    for system, processor, expected in [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
        ("win32", "AMD64", "tensorflow"),
    ]:
        here = {"sys_platform": system, "platform_machine": processor}
        chosen = {line.name for line in lab if not line.marker or line.marker.evaluate(here)}
        assert {name for name in chosen if "tensorflow" in name} == {expected}
        assert {"jupyterlab", "jax"} <= chosen


@pytest.fixture
def house(tmp_path):
    """A repository with one notebook: not stamped yet, and as JupyterLab leaves it after a run."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nRepository = "https://github.com/school/course"\n'
    )
    (tmp_path / "README.md").write_text(
        "See [x](https://github.com/other/thing).\n\n    git clone https://github.com/a/b.git\n"
        f"{notebooks.badge('00_x.ipynb', 'https://github.com/a/b')}\n"
    )
    output = nbformat.v4.new_output("stream", text="1\n")
    stored = dict(execution_count=3, outputs=[output])
    install = '%pip install -q "wmlab @ git+https://github.com/a/b"'
    cells = [
        nbformat.v4.new_markdown_cell("# Title", metadata={"editable": True}),
        nbformat.v4.new_code_cell(install, metadata={"scrolled": True}, **stored),
        nbformat.v4.new_code_cell(
            "print(1)", metadata={"tags": [notebooks.CHECKED], "trusted": True}, **stored
        ),
    ]
    metadata = {"widgets": {"state": {}}, "language_info": {"name": "python", "version": "3.11.7"}}
    made = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.write(made, tmp_path / "notebooks" / "00_x.ipynb")
    return tmp_path


def cells(house):
    return nbformat.read(house / "notebooks" / "00_x.ipynb", as_version=4).cells


def test_stamp_writes_the_address_everywhere_once(house):
    assert [path.name for path in notebooks.stamp(house)] == ["README.md", "00_x.ipynb"]
    readme = (house / "README.md").read_text()
    assert "https://github.com/other/thing" in readme  # no business of ours
    assert "git clone https://github.com/school/course\n" in readme and "a/b" not in readme
    title, install, _ = cells(house)
    assert title.source == (
        "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
        "(https://colab.research.google.com/github/school/course/blob/main/notebooks/00_x.ipynb)"
        "\n\n# Title"
    )
    assert install.source == '%pip install -q "wmlab @ git+https://github.com/school/course"'
    assert notebooks.stamp(house) == []


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_stamp_takes_the_address_of_gits_remote(house):
    git = ["git", "-C", house]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "x"], check=True)
    ours = "https://github.com/lab.one/wm-2"
    for written, address in [
        ("git@github.com:lab.one/wm-2.git", ours),
        ("https://me:secret@github.com/lab.one/wm-2.git", ours),
        ("ssh://git@github.com/lab.one/wm-2/", ours),
        (ours, ours),
        ("/srv/git/course.git", None),
        ("https://notgithub.com/lab/wm", None),
    ]:
        subprocess.run([*git, "remote", "set-url", "origin", written], check=True)
        assert notebooks.remote(house) == address, written
    assert notebooks.stamp(house)[0].name == "README.md"  # no address there: pyproject's stays
    subprocess.run([*git, "remote", "set-url", "origin", ours], check=True)
    stamped = [path.name for path in notebooks.stamp(house)]
    assert stamped == ["pyproject.toml", "README.md", "00_x.ipynb"]
    assert notebooks.repository(house) == ours and f"git+{ours}" in cells(house)[1].source


def test_clean_notebooks_strips_all_but_tagged_cells(house):
    (path,) = notebooks.clean_notebooks(house)
    title, plain, checked = cells(house)
    assert dict(nbformat.read(path, as_version=4).metadata) == notebooks.KERNEL
    assert (plain.outputs, plain.execution_count, dict(plain.metadata)) == ([], None, {})
    assert checked.outputs[0].text == "1\n" and checked.execution_count == 3
    assert dict(checked.metadata) == {"tags": [notebooks.CHECKED]} and title.metadata == {}
    assert notebooks.clean_notebooks(house) == []


def test_notebooks_here_are_stamped_clean_small_and_valid(tmp_path):
    for name in "pyproject.toml", "README.md":
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    assert notebooks.stamp(tmp_path) == [], "run make stamp"
    assert notebooks.clean_notebooks(tmp_path) == [], "run make clean-notebooks"
    assert {"00_start_here", "03_embedding"} <= {path.stem for path in NOTEBOOKS}
    install = rf"pip install .*git\+{re.escape(notebooks.repository())}\b"
    for path in NOTEBOOKS:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        assert path.stat().st_size < 300_000 and re.search(install, code[0].source), path.name
        # pip does not replace an installed package by one of the same version from git
        before = code[0].source.partition("%pip install")[0]
        assert "%pip uninstall -qq -y wmlab" in before, path.name
        for cell in code:
            # a checked cell without its output compares nothing, one without its count always fails
            checked = notebooks.CHECKED in cell.metadata.get("tags", [])
            assert (bool(cell.outputs), cell.execution_count is not None) == (checked, checked)
            assert "NBVAL_CHECK_OUTPUT" not in cell.source, "mark it with the tag"


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
    *"-m pip install"*) echo "$*" >>installs; echo chat; echo chat >&2; exit $(cat "$say/pip") ;;
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
        says = "wmlab needs Python 3.11, 3.12 or 3.13; none of these is one: python3.13 "
        assert line.startswith(says)

    def test_a_python_that_does_not_run(self, make, tmp_path):
        line = self.complaint(make("test", "PYTHON=/no such/python"))
        assert "none of these is one: /no such/python (name yours" in line
        assert not (tmp_path / ".venv").exists()

    def test_python_without_venv(self, make):
        line = self.complaint(make("lab", ensurepip=1))
        assert line.endswith("lacks venv or pip (on Debian and Ubuntu: apt install python3-venv)")

    def test_no_network(self, make):
        done = make("lab", pip=1)
        says = "pip could not install the packages: is there a network"
        assert self.complaint(done).startswith(says)
        assert "ran:" not in done.stdout

    def test_sets_up_once(self, make, tmp_path):
        installs = tmp_path / "installs"
        assert make("lab", pip=1).returncode != 0
        for _ in range(2):  # after a failure it starts again; after a success it does not
            done = make("lab")
            assert done.returncode == 0, done.stderr
            for part in ("ran: -m jupyterlab", "notebooks/00_start_here.ipynb"):
                assert part in done.stdout
            assert installs.read_text().count("[lab]") == 2
        (settings,) = tmp_path.glob(".venv/share/jupyter/lab/settings/overrides.json")
        assert json.loads(settings.read_text()) == {
            "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
            "@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": True},
        }
        for target in "test", "test-slow", "lab":
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

    def test_an_older_set_up_gets_the_settings_of_now(self, make, tmp_path):
        """The first edition's .venv named a class that has moved: JupyterLab would not start."""
        assert make("lab").returncode == 0
        config = tmp_path / ".venv" / "etc" / "jupyter" / "jupyter_server_config.json"
        config.write_text(
            '{"ServerApp": {"kernel_websocket_connection_class": "wmlab._lab.PromptConnection"}}'
        )
        assert make("lab").returncode == 0
        assert (tmp_path / "installs").read_text().count("\n") == 1, "nothing was installed anew"
        (named,) = json.loads(config.read_text())["ServerApp"].values()
        assert pkgutil.resolve_name(named).__module__ == "wmlab.tools.jupyter"

    def test_all_tests_are_those_of_the_other_three(self, make):
        """Those of `make test`, which are not slow; with Colab's versions; and the slow ones."""
        said = make("--dry-run", "test-all").stdout.replace("\\\n", "")
        ran = [shlex.split(line) for line in said.splitlines() if " -m pytest " in line]
        chosen = [line[line.index("pytest") + 1 :] for line in ran]
        assert all("-n 2 --dist loadfile" in " ".join(line) for line in chosen)
        usual, colab, slow = chosen
        assert usual[-2:] == ["-m", "not slow"] and slow[-2:] == ["-m", "slow"]
        assert "-m" not in colab and "notebooks" in colab and ".venv-colab/" in " ".join(ran[1])
        named = [name for name in colab if name.startswith(("tests", "notebooks"))]
        assert len(named) == 5 and all((ROOT / name).exists() for name in named), named

    def test_clean(self, make, tmp_path):
        for folder in "wmlab", "tests", "notebooks":
            (tmp_path / folder / "__pycache__").mkdir(parents=True)
        make("lab")
        assert make("clean").returncode == 0
        assert {path.name for path in tmp_path.iterdir()} >= {"wmlab", "Makefile"}
        assert not (tmp_path / ".venv").exists() and not list(tmp_path.rglob("__pycache__"))


def test_ci_runs_what_make_runs():
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    assert "CI=true" in script.read_text() and "make test-all" in script.read_text()


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
    shipped, carried = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        for folder in (ROOT / "data", site / "wmlab/_data")
    )
    assert carried == shipped and shipped

    away = """
import wmlab
from wmlab import runtime
assert wmlab.__file__.startswith({site!r}) and str(runtime.data_dir()).startswith({site!r})
assert wmlab.load("mnist", scale="class").x_train.shape[1:] == (28, 28, 1)
"""
    code = f"import os; os.chdir({str(tmp_path)!r})" + away.format(site=str(site))
    done = python(code, PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
