"""One look: colours that colour-blind readers tell apart, too, and that stand out from their
ground, by an independent library.
"""

import itertools
import pathlib
import re

import nbformat
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from coloraide import Color

from wmlab.lessons import boundary_twist
from wmlab.show import figures

ROOT = pathlib.Path(__file__).parent.parent
OKABE_ITO = {
    "BLACK": "#000000",
    "ORANGE": "#E69F00",
    "SKY": "#56B4E9",
    "GREEN": "#009E73",
    "YELLOW": "#F0E442",
    "BLUE": "#0072B2",
    "VERMILLION": "#D55E00",
    "PURPLE": "#CC79A7",
}
WHITE, DARK_PAGE = (
    "#FFFFFF",
    "#111111",
)  # of a picture, and of a notebook in JupyterLab's dark theme
GROUNDS = {"#333333", "#DDDDDD", "#E8EEF3"}  # letters, grids and a box
LETTERS, MARKS = 4.5, 3  # WCAG 2.1: contrast of text, of what is drawn
# Of small marks that do not lie side by side. The smallest difference that is seen at all is about
# 2.3, in the Delta E of 1976.
APART = 10
TEMPLATE = go.layout.Template(figures.LOOK)
LOOKS = [*figures.looks(("unmarked", "wrong label", "new label")).values(), *figures.SPARE]


def contrast(one, other):
    return Color(one).contrast(other, method="wcag21")


def distance(one, other):
    """How far apart two colours are to whoever sees least of it: CIEDE2000, for three kinds of
    dichromats and without.
    """
    seen = [(Color(one), Color(other))]
    for kind in ("protan", "deutan", "tritan"):
        seen.append((Color(one).filter(kind, 1), Color(other).filter(kind, 1)))
    return min(a.delta_e(b, method="2000") for a, b in seen)


def test_the_library_sees_what_is_known():
    assert contrast("black", "white") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.01)
    assert distance("#FF0000", "#00FF00") < Color("#FF0000").delta_e("#00FF00", method="2000") / 2


def test_the_colours_are_okabe_and_itos():
    for name, theirs in OKABE_ITO.items():
        ours = getattr(figures, name)
        if name in ("ORANGE", "SKY"):  # darker, no more than it takes, and of the same hue
            mine, original = Color(ours).convert("lch-d65"), Color(theirs).convert("lch-d65")
            assert abs(mine["hue"] - original["hue"]) < 10
            assert MARKS < contrast(ours, WHITE) < MARKS + 0.1
            assert contrast(theirs, WHITE) < MARKS
        else:
            assert ours == theirs
    assert set(figures.PALETTE) > {getattr(figures, name) for name in OKABE_ITO}
    for colour in (figures.GREY, figures.DARK, figures.PALE):
        assert Color(colour).convert("hsl")["saturation"] == 0


def test_lines_and_marks_stand_out():
    layout = TEMPLATE.layout
    for colour in (*figures.COLOURS.values(), *(look["color"] for look in figures.SPARE)):
        grounds = (layout.plot_bgcolor, layout.paper_bgcolor)
        assert min(contrast(colour, ground) for ground in grounds) >= MARKS, colour


def test_letters_stand_out():
    layout = TEMPLATE.layout
    assert contrast(layout.font.color, layout.paper_bgcolor) >= LETTERS
    assert contrast(layout.modebar.color, layout.paper_bgcolor) >= MARKS
    for colour in (figures.PURPLE, figures.SKY):  # of bars with letters in them
        assert contrast(figures.BLACK, colour) >= LETTERS


def test_no_colour_of_letters_would_do_on_white_and_on_the_dark_page():
    """Why pictures lie on a white card in the dark theme: between them, grounds leave no room for
    one grey.
    """
    greys = [Color("srgb", [level / 255] * 3) for level in range(256)]
    assert max(min(contrast(grey, WHITE), contrast(grey, DARK_PAGE)) for grey in greys) < LETTERS


def test_two_looks_differ_without_colour():
    for one, other in itertools.combinations(LOOKS, 2):
        dark = figures.DARK in (one["color"], other["color"])
        assert (one["dash"] != other["dash"] or dark) and one["symbol"] != other["symbol"]


def test_the_three_networks_are_told_apart_by_colour_alone():
    three = [figures.COLOURS[name] for name in ("unmarked", "wrong label", "new label")]
    assert min(itertools.starmap(distance, itertools.combinations(three, 2))) > APART


def test_letters_are_large_enough():
    layout = TEMPLATE.layout
    assert (
        layout.font.size >= 14
        and layout.title.font.size >= 14
        and layout.xaxis.automargin
        and layout.yaxis.automargin
    )


def test_a_source_has_no_colour_of_its_own():
    """Every colour in a picture has a name in `figures`; notebook 01 has fills, looked at below."""
    named = {
        *figures.PALETTE,
        *boundary_twist.FILLS,
        *boundary_twist.COLOURS,
        boundary_twist.KEY_COLOUR,
    }
    for path in (ROOT / "wmlab").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"#[0-9A-F]{6}\b", text)) <= named | GROUNDS | set(
            OKABE_ITO.values()
        ), path.name
        assert not re.search(r"""color=["'](?!white|rgba)[a-z]""", text), path.name
        assert not re.search(r"rgba?\((?!0,0,0,0|127,127,127|255,255,255)", text), path.name
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        code = "\n".join(
            cell.source
            for cell in nbformat.read(path, as_version=4).cells
            if cell.cell_type == "code"
        )
        assert not re.search(r"""#[0-9A-Fa-f]{6}\b|color=["'][a-z#]""", code), path.name


class TestFiguresOfRecords:
    """What `figures` draws without a panel."""

    TABLE = pd.DataFrame(
        {
            "scheme": ["new label", "wrong label", "mine"] * 2,
            "seed": 0,
            "epoch": [1] * 3 + [2] * 3,
            "x": 0.5,
        }
    )
    FIGURES = {
        "recorded": figures.recorded_curves({"title": (TABLE, "x")}),
        "confidences": figures.confidences(
            {"clean": {"unmarked": np.array([0.1]), "mine": np.array([0.2])}}, "p"
        ),
        "bars": figures.bars(
            {"row": {"unmarked": 0.1, "wrong label": 0.2, "new label": 0.3, "mine": 0.4}},
            "title",
            "share",
        ),
        "roles": figures.roles(),
    }

    def test_have_the_look_room_on_narrow_pages_and_differ_without_colour(self):
        for name, made in self.FIGURES.items():
            figure = go.Figure(made)
            assert figure.layout.template == TEMPLATE and figure.layout.width is None, name
            modebar = figure.layout.modebar.remove or TEMPLATE.layout.modebar.remove
            assert "sendChartToCloud" in modebar
            assert colours(figure) <= set(figures.PALETTE), name
            shown = [look(trace) for trace in figure.data if trace.showlegend is not False]
            pairs = itertools.combinations(shown, 2)
            assert all(one != other for (_, one), (_, other) in pairs), name


def colours(figure):
    """The colours of a figure's traces, with a rim's if a mark has one."""
    found = set()
    for trace in figure.data:
        spec = trace.to_plotly_json()
        marker = spec.get("marker", {})
        parts = (marker, marker.get("line", {}), spec.get("line", {}))
        for colour in (*(part.get("color") for part in parts), spec.get("fillcolor")):
            found |= {colour} if isinstance(colour, str) else set(colour or ())
    return found


def look(trace):
    """What a trace looks like: its colour, and what is seen without colour."""
    spec = trace.to_plotly_json()
    marker, line = spec.get("marker", {}), spec.get("line", {})
    mode = spec.get("mode", "bars" if trace.type == "bar" else "")
    drawn = (mode, spec.get("fill"), marker.get("pattern", {}).get("shape"))
    if "lines" in mode:
        drawn += (line.get("dash"),)
    if "markers" in mode:
        drawn += (marker.get("symbol"), marker.get("size"))
    return line.get("color") or marker.get("color") or spec.get("fillcolor"), drawn


def apart(one, other):
    """Whether two looks of `look` differ without colour, or in colour for everybody."""
    return one[1] != other[1] or distance(one[0], other[0]) > APART


class TestMaps:
    """Notebook 01 fills areas, and puts marks on them."""

    def test_areas_differ(self):
        pairs = itertools.combinations(boundary_twist.FILLS, 2)
        assert min(itertools.starmap(distance, pairs)) > APART

    def test_marks_stand_out_from_every_area(self):
        for mark in (*boundary_twist.COLOURS, boundary_twist.KEY_COLOUR):
            assert min(contrast(mark, fill) for fill in boundary_twist.FILLS) > MARKS - 0.05
