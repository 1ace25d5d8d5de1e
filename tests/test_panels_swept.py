"""Every panel of every lesson, made as its notebook makes it, with each of its controls moved from
end to end.

Runs on the newest packages and, by `make test-colab`, on those that Colab brings. Of a notebook
only the statements run that a panel is made from; nbval runs the whole.
"""

import ast
import importlib
import inspect
import pathlib
import pkgutil
import re

import numpy as np
import plotly.graph_objects as go
import pytest
import slices
from slices import needed, statements

import wmlab.lessons
from wmlab import runtime, training
from wmlab.show import Panel
from wmlab.show.picture import plain

LESSONS = {
    path.stem: path
    for path in sorted((pathlib.Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
}
MODULES = {
    info.name: importlib.import_module(f"wmlab.lessons.{info.name}")
    for info in pkgutil.iter_modules(wmlab.lessons.__path__)
}
# The functions that make a panel.
MAKERS = {
    f"{name}.{function}"
    for name, module in MODULES.items()
    for function, made in vars(module).items()
    if inspect.isfunction(made)
    and made.__module__ == module.__name__
    and re.search(r"\bPanel\(", inspect.getsource(made))
}


def made_by(statement):
    """The makers of panels that a statement calls."""
    called = {ast.unparse(node.func) for node in ast.walk(statement) if isinstance(node, ast.Call)}
    return called & MAKERS


def places(control):
    """Functions that move a control: to each of its choices, or to its ends and its middle."""
    if hasattr(control, "options"):
        return [
            lambda number=number: setattr(control, "index", number)
            for number in range(len(control.options))
        ]
    if isinstance(control.value, bool):
        values = (not control.value, control.value)
    else:
        middle = control.min + (control.max - control.min) // (2 * control.step) * control.step
        values = (control.min, middle, control.max)
    return [lambda value=value: setattr(control, "value", value) for value in values]


def drawn(figure):
    """The numbers and texts of a figure's traces."""
    return [[trace.get(part) for part in ("x", "y", "text")] for trace in plain(figure)["data"]]


def look(panel):
    """What a panel shows."""
    return repr((drawn(panel.figure), plain(panel.figure["layout"]), panel.caption_text))


def check(panel):
    """A panel whose last change went well: a caption in words, and a figure that plotly takes and
    that fits together.
    """
    assert panel.error is None
    said = re.sub("<[^>]*>", "", panel.caption_text)
    assert len(said.split()) > 3 and not re.search(r"\b(nan|None|inf)\b", said), said
    figure = plain(panel.figure)
    go.Figure(figure)  # raises for any name or value that plotly does not know
    for trace in figure["data"]:
        if trace["type"] == "heatmap":
            shape = len(trace["y"]), len(trace["x"])
            assert np.shape(trace["z"]) == np.shape(trace["text"]) == shape
            continue
        assert trace["type"] in ("scatter", "bar"), "say below what fits together in it"
        x, y, text = (np.asarray(trace.get(part)) for part in ("x", "y", "text"))
        assert x.shape == y.shape and text.shape in ((), x.shape), trace["name"]
    points = [value for trace in figure["data"] for value in trace["y"] if value is not None]
    assert points or any(image["source"] for image in figure["layout"].get("images", ()))


def swept(panel, control):
    """Move one control to all its places; returns what the panel showed."""
    shown = set()
    for move in places(control):
        move()
        check(panel)
        shown.add(look(panel))
    return shown


@pytest.mark.slow
@pytest.mark.parametrize(
    "lesson", [lesson for lesson in LESSONS if any(map(made_by, statements(LESSONS[lesson])))]
)
def test_every_state_of_every_panel(lesson, monkeypatch):
    made, make = [], Panel.__init__

    def noted(self, *arguments, **named):
        make(self, *arguments, **named)
        made.append(self)

    monkeypatch.setattr(Panel, "__init__", noted)
    monkeypatch.setitem(
        training.RECIPES["class"], "mnist", training.Recipe("mnist_cnn", 1, 64)
    )  # nobody asks how good it is
    monkeypatch.setattr(
        runtime, "_scale", None
    )  # setup() chooses one, and later tests find it as it was
    monkeypatch.setenv("WMLAB_SCALE", "class")
    monkeypatch.chdir(LESSONS[lesson].parent)
    code = needed(statements(LESSONS[lesson]), made_by)
    slices.run(code, lesson)
    assert len(made) == sum(len(made_by(statement)) for statement in code)
    for panel in made:
        check(panel)
        at_first, idle = drawn(panel.figure), []
        for name, control in panel.controls.items():
            if len(swept(panel, control)) < min(2, len(places(control))):
                idle.append(name)
            panel.reset()
            assert drawn(panel.figure) == at_first, (
                "back at its start a panel draws what it drew at first"
            )
        for name in idle:  # what moves nothing at the start does so somewhere
            assert any(
                move() or len(swept(panel, panel.controls[name])) > 1
                for other in set(panel.controls) - {name}
                for move in places(panel.controls[other])
            ), name


def test_no_panel_is_left_out():
    called = set().union(
        *(made_by(statement) for lesson in LESSONS for statement in statements(LESSONS[lesson]))
    )
    assert called == MAKERS and len(MAKERS) > 20
