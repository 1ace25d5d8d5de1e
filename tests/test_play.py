"""A reader who plays: between any two cells of a notebook every panel is moved at random and every
question answered, and the next cell must still run.

A lesson without networks is played here once. `make test-slow` plays all of them, once or as
often as the environment variable WMLAB_PLAYS says.
"""

import os
import pathlib

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("[0-9]*.ipynb"))
SEEDS = range(int(os.environ.get("WMLAB_PLAYS", 1)))
# Run in the notebook's kernel. A job that trains is left alone: it is what the next cell would do.
PLAY = """
def _play(seed, state={}):
    import gc, random
    from wmlab.show import Panel, Question
    dice = state.setdefault("dice", random.Random(seed))
    for question in [each for each in gc.get_objects() if type(each) is Question]:
        question._choice.value = dice.choice(question.options)
        assert question.error is None, question.error
    for ballot in [each for each in gc.get_objects() if type(each).__name__ == "Ballot"]:
        for row in ballot.widget.children[:-1]:
            row.children[1].value = dice.choice(row.children[1].options)
        ballot._open()
        assert ballot.error is None, ballot.error
    for panel in [each for each in gc.get_objects() if type(each) is Panel]:
        for name, control in panel.controls.items():
            if hasattr(control, "options"):
                control.index = dice.randrange(len(control.options))
            elif isinstance(control.value, bool):
                control.value = dice.random() < 0.5
            else:
                steps = round((control.max - control.min) / control.step)
                control.value = control.min + control.step * dice.randint(0, steps)
        panel._try(panel.redraw)
        assert panel.error is None, (panel.settings(), panel.error)
    gc.collect()
_play({seed})
"""


def played(path, seed, folder):
    """Run a notebook with play after each of its cells; raises what a reader would see in red."""
    notebook = nbformat.read(path, as_version=4)
    play = nbformat.v4.new_code_cell(PLAY.replace("{seed}", str(seed)))
    cells = []
    for cell in notebook.cells:
        cells.append(cell)
        if cell.cell_type == "code" and "setup" not in cell.metadata.get("tags", []):
            cells.append(play.copy())
    notebook.cells = cells
    NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        store_widget_state=False,
    ).execute()


def test_play_breaks_no_lesson(tmp_path):
    (path,) = [path for path in NOTEBOOKS if path.stem == "05_expected_queries"]
    played(path, 0, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_play_breaks_no_lesson_at_all(path, seed, tmp_path):
    played(path, seed, tmp_path)


def test_play_would_see_a_cell_that_trusts_a_panel(tmp_path):
    cells = [
        "import ipywidgets\nfrom wmlab.show import Panel\n"
        "level = ipywidgets.IntSlider(0, min=0, max=10_000)\n"
        "panel = Panel(lambda level: ({'data': [], 'layout': {}}, f'{level}'), level=level)",
        "assert panel.caption_text == '0'",
    ]
    notebook = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)))
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, tmp_path / "00.ipynb")
    with pytest.raises(Exception, match="AssertionError"):
        played(tmp_path / "00.ipynb", 1, tmp_path)
