"""What Colab asks: that installing the course moves nothing it brings, that no widget is used that
breaks there, and a way out.
"""

import ast
import os
import pathlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import nbformat
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wmlab.lessons import start_here
from wmlab.tools import notebooks

ROOT = pathlib.Path(__file__).parent.parent
BROUGHT = (
    pathlib.Path(sys.prefix) / "brought.txt"
)  # where `make set-up-colab` says what was there before wmlab
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
}


def brings():
    """What tests/colab.txt pins, {name: version}, for this system."""
    lines = [
        line.partition("#")[0].strip()
        for line in (ROOT / "tests" / "colab.txt").read_text(encoding="utf-8").splitlines()
    ]
    asked = [
        each
        for each in map(Requirement, filter(None, lines))
        if not each.marker or each.marker.evaluate()
    ]
    return {
        each.name: str(each.specifier).removeprefix("==")
        for each in asked
        if str(each.specifier).startswith("==")
    }


def test_the_base_list_takes_what_colab_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lab = project["optional-dependencies"]["lab"]
    wanted = {
        each.name: each.specifier for each in map(Requirement, [*lab, *project["dependencies"]])
    }
    assert {
        name for name, version in brings().items() if name in wanted and version not in wanted[name]
    } == set()
    assert {"keras", "plotly", "anywidget", "ipywidgets", "numpy", "pandas", "jax"} <= set(
        brings()
    ) & set(wanted)


@pytest.mark.skipif(not BROUGHT.exists(), reason="these are not Colab's packages: make test-colab")
def test_installing_wmlab_moved_nothing():
    """`make set-up-colab` wrote down what was there before it installed wmlab, without a word to
    pip on versions.
    """
    before = dict(
        line.split("==")
        for line in BROUGHT.read_text(encoding="utf-8").splitlines()
        if "==" in line
    )
    before = {canonicalize_name(name): version for name, version in before.items()}
    assert (
        brings().items() <= before.items() and "wmlab" not in before and metadata.version("wmlab")
    )
    assert {name: metadata.version(name) for name in before} == before
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
@pytest.mark.skipif(BROUGHT.exists(), reason="this is make test-colab")
def test_every_panel_and_two_notebooks_on_what_colab_brings(colab):
    """`make test-colab`, cut to what takes some minutes: nothing moved, every state of every panel,
    two light notebooks.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    chosen = (
        "TESTFLAGS=-q -k 'test_colab or test_panels_swept or 02_key_samples or 05_expected_queries'"
    )
    done = subprocess.run(
        ["make", "test-colab", chosen],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=1800,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    passed = int(re.search(r"(\d+) passed", done.stdout)[1])
    assert passed > 50, "both notebooks ran, each cell a test"


def test_no_tab_and_no_accordion():
    """They break on Colab once its custom widget manager is on."""
    code = {str(path): path.read_text(encoding="utf-8") for path in (ROOT / "wmlab").rglob("*.py")}
    code |= {
        name: "\n".join(
            cell.source
            for cell in notebook.cells
            if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", [])
        )
        for name, notebook in NOTEBOOKS.items()
    }
    used = {
        name: {
            getattr(node, "attr", getattr(node, "id", getattr(node, "name", None)))
            for node in ast.walk(ast.parse(source))
        }
        for name, source in code.items()
    }
    assert any("ToggleButtons" in names for names in used.values()), "names are seen"
    assert {name for name, names in used.items() if names & {"Tab", "Accordion", "Stack"}} == set()


def test_every_notebook_switches_colabs_widgets_on():
    for name, notebook in NOTEBOOKS.items():
        (cell,) = [
            cell.source for cell in notebook.cells if "setup" in cell.metadata.get("tags", [])
        ]
        guarded = cell.partition('if "google.colab" in sys.modules:\n')[2]
        assert all(line.startswith("    ") for line in guarded.splitlines() if line), name
        assert "    output.enable_custom_widget_manager()" in guarded.splitlines(), name


@pytest.mark.parametrize("end", [-1, 0, 0.7])
def test_the_line_of_00_ends_where_the_slider_is(end):
    panel = start_here.line()
    panel.controls["end"].value = end
    assert panel.figure.data[0].x == (0, 1) and panel.figure.data[0].y == (0, end)
    assert f"ends at {end:.1f}." in panel.caption.value and panel.error is None
    assert ("rises" in panel.caption.value, "falls" in panel.caption.value) == (end > 0, end < 0)


def test_00_asks_whether_the_line_moves_and_names_what_to_do_if_not():
    cells = [cell.source for cell in NOTEBOOKS["00_start_here"].cells]
    shown = next(number for number, source in enumerate(cells) if "start_here.line()" in source)
    asked = cells[shown + 1]
    assert "Do you see the line move?" in cells[shown - 1] and "**Does it?**" in asked
    assert all(
        way in asked
        for way in ("Runtime > ", "another browser", "from code", "`make lab`", "`make html`")
    )
    assert "moving.set(" in cells[shown + 2]


@pytest.mark.slow
@pytest.mark.parametrize(("stored", "ends"), [("2\n", 0), ("3\n", 1)])
def test_a_marked_cell_is_compared_with_its_stored_output(tmp_path, stored, ends):
    """By nbval, and only if tag, output and count survive `make clean-notebooks`."""
    output = nbformat.v4.new_output("stream", text=stored)
    cell = nbformat.v4.new_code_cell(
        "print(1 + 1)", execution_count=1, outputs=[output], metadata={"tags": [notebooks.CHECKED]}
    )
    (tmp_path / "notebooks").mkdir()
    path = tmp_path / "notebooks" / "00_x.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": {}}), path)
    assert notebooks.clean_notebooks(tmp_path) == [path]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "--nbval-current-env", path],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == ends, done.stdout
