"""What Colab asks: that installing the course moves nothing it brings, that no widget is used that
breaks there, and a way out.
"""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata

import nbformat
import pytest
import slices
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from wmlab.lessons import start_here
from wmlab.tools import notebooks

ROOT = pathlib.Path(__file__).parent.parent
# Where `make set-up-colab` says what was there before wmlab.
BROUGHT = pathlib.Path(sys.prefix) / "brought.txt"
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def brings():
    """What tests/colab.txt pins, {name: version}, for this system."""
    found = {}
    for line in (ROOT / "tests" / "colab.txt").read_text(encoding="utf-8").splitlines():
        if line := line.partition("#")[0].strip():
            asked = Requirement(line)
            if "==" in str(asked.specifier) and (not asked.marker or asked.marker.evaluate()):
                found[asked.name] = str(asked.specifier).removeprefix("==")
    return found


def test_the_base_list_takes_what_colab_brings():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lab = project["optional-dependencies"]["lab"]
    asked = map(Requirement, [*lab, *project["dependencies"]])
    wanted, brought = {each.name: each.specifier for each in asked}, brings()
    both = wanted.keys() & brought.keys()
    assert {name for name in both if brought[name] not in wanted[name]} == set()
    assert {"keras", "plotly", "anywidget", "ipywidgets", "numpy", "pandas", "jax"} <= both


@pytest.mark.skipif(not BROUGHT.exists(), reason="not Colab's packages: make test-colab")
def test_installing_wmlab_moved_nothing():
    """`make set-up-colab` wrote down what was there before it installed wmlab, without a word to
    pip on versions.
    """
    lines = BROUGHT.read_text(encoding="utf-8").splitlines()
    before = dict(line.split("==") for line in lines if "==" in line)
    before = {canonicalize_name(name): version for name, version in before.items()}
    assert brings().items() <= before.items()
    assert "wmlab" not in before and metadata.version("wmlab")
    assert {name: metadata.version(name) for name in before} == before
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_tab_and_no_accordion():
    """They break on Colab once its custom widget manager is on."""
    code = {path.name: ast.parse(path.read_bytes()) for path in (ROOT / "wmlab").rglob("*.py")}
    code |= {path.name: ast.Module(slices.statements(path), []) for path in NOTEBOOKS}
    used = {
        name: {
            getattr(node, "attr", getattr(node, "id", getattr(node, "name", None)))
            for node in ast.walk(tree)
        }
        for name, tree in code.items()
    }
    assert any("ToggleButtons" in names for names in used.values()), "names are seen"
    assert [name for name, names in used.items() if names & {"Tab", "Accordion", "Stack"}] == []


def test_every_notebook_switches_colabs_widgets_on():
    for path in NOTEBOOKS:
        cells = nbformat.read(path, as_version=4).cells
        (cell,) = [each.source for each in cells if "setup" in each.metadata.get("tags", [])]
        guarded = cell.partition('if "google.colab" in sys.modules:\n')[2]
        assert all(line.startswith("    ") for line in guarded.splitlines() if line), path.name
        assert "    output.enable_custom_widget_manager()" in guarded.splitlines(), path.name


def test_the_line_of_00_ends_where_the_slider_is():
    panel = start_here.moving_line()
    for end in (-1, 0, 0.7):
        panel.controls["end"].value = end
        (line,) = panel.figure["data"]
        assert (line["x"], line["y"]) == ([0, 1], [0, end])
        assert f"ends at {end:.1f}." in panel.caption_text and panel.error is None
        assert ("rises" in panel.caption_text, "falls" in panel.caption_text) == (end > 0, end < 0)


def test_00_asks_whether_the_line_moves_and_names_what_to_do_if_not():
    (path,) = [path for path in NOTEBOOKS if path.stem == "00_start_here"]
    cells = [cell.source for cell in nbformat.read(path, as_version=4).cells]
    shown = next(n for n, source in enumerate(cells) if "start_here.moving_line()" in source)
    asked = cells[shown + 1]
    assert "Do you see the line move?" in cells[shown - 1] and "**Does it?**" in asked
    for way in ("Runtime > ", "another browser", "from code", "`make lab`", "`make html`"):
        assert way in asked
    assert "moving.set(" in cells[shown + 2]


def test_a_marked_cell_is_compared_with_its_stored_output(tmp_path):
    """By nbval, and only if tag, output and count survive `make clean-notebooks`."""
    cells, tags = [], {"tags": [notebooks.CHECKED]}
    for stored in ("2\n", "3\n"):  # the right output, and a wrong one
        outputs = [nbformat.v4.new_output("stream", text=stored)]
        marked = dict(execution_count=1, outputs=outputs, metadata=dict(tags))
        cells.append(nbformat.v4.new_code_cell("print(1 + 1)", **marked))
    (tmp_path / "notebooks").mkdir()
    made = nbformat.v4.new_notebook(cells=cells, metadata={"widgets": {}})
    nbformat.write(made, tmp_path / "notebooks" / "a.ipynb")
    assert len(notebooks.clean_notebooks(tmp_path)) == 1
    nbval = ["-m", "pytest", "-rA", "--nbval-lax", "--nbval-current-env", "notebooks"]
    done = subprocess.run(
        [sys.executable, *nbval], cwd=tmp_path, capture_output=True, text=True, timeout=600
    )
    said = done.stdout[done.stdout.index("short test summary") :]
    assert re.search(r"PASSED notebooks/a\b.*Cell 0\b", said), said
    assert re.search(r"FAILED notebooks/a\b.*Cell 1\b", said), said
