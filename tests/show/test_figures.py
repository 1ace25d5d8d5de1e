"""Figures: they draw the numbers they are given, in the course's look, and plotly knows every word
of them.
"""

import base64
import io
import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import PIL.Image
import plotly.graph_objects as go
import pytest

from wmlab.show import figures
from wmlab.show.picture import plain


def valid(figure):
    """The figure itself, if plotly's own schema knows every name and value in it."""
    go.Figure(plain(figure))
    return figure


def test_plots_stand_beside_and_below_each_other_without_touching():
    for rows, titles, widths in [(1, "ab", None), (1, "abc", [1, 2, 1]), (2, "abcd", None)]:
        layout = figures.plots(list(titles), rows=rows, widths=widths, x=dict(title="t"))
        figure = valid(figures.figure([dict(type="bar", y=[1]) | figures.at(2)], **layout))
        boxes = []
        for number in range(1, len(titles) + 1):
            name = "" if number == 1 else str(number)
            x, y = figure["layout"][f"xaxis{name}"], figure["layout"][f"yaxis{name}"]
            assert x["anchor"] == f"y{name}" and y["anchor"] == f"x{name}" and x["title"] == "t"
            boxes.append((*x["domain"], *y["domain"]))
            assert 0 <= min(boxes[-1]) and max(boxes[-1]) <= 1 + 1e-9
        for i, (left, right, low, high) in enumerate(boxes):
            for other in boxes[:i]:
                apart = left > other[1] or right < other[0] or low > other[3] or high < other[2]
                assert apart
        assert [note["text"] for note in layout["annotations"]] == list(titles)
    titles = figures.plots(["two words", "two<br>own lines"], widths=[8, 92])["annotations"]
    assert [note["text"] for note in titles] == ["two<br>words", "two<br>own lines"]
    own = figures.plots(["a", "b"], y=dict(title="y"), each={2: {"y": dict(side="right")}})
    assert own["yaxis"]["title"] == "y" and own["yaxis2"]["title"] is None
    assert own["yaxis2"]["matches"] == "y" and own["yaxis2"]["side"] == "right"


def test_a_curve_has_a_band_where_there_is_an_interval_and_a_dot_a_run():
    x, mean = np.arange(4), np.array([0.1, 0.2, 0.3, 0.4])
    low, high = mean - 0.05, mean + [0.1, 0.1, np.nan, 0.1]
    low[2] = np.nan
    look = figures.looks(["new label"])["new label"]
    traces = figures.curve(x, mean, low, high, "new label", look, 2, runs=([0, 0], [0.0, 0.2]))
    band, line, dots = traces
    valid(figures.figure(traces, **figures.plots(["a", "b"])))
    assert band["x"].tolist() == [0, 1, 3, 3, 1, 0]
    assert np.allclose(band["y"], [*low[[0, 1, 3]], *high[[3, 1, 0]]])
    assert line["y"].tolist() == mean.tolist() and dots["y"] == [0.0, 0.2]
    assert {trace["xaxis"] for trace in traces} == {"x2"}
    assert [trace["showlegend"] for trace in traces] == [False, True, True]


def family(**changes):
    given = dict(name="f", colour="#000000", symbol="circle", lost=[1.0, 50.0], kept=[0.9, 0.1])
    return figures.Family(**given | changes)


def test_texts_of_a_trade_off_map_make_way_for_each_other_and_for_marks():
    """At the end of the axis to the left; beside a mark above; where six lie in one place two are
    told beside the mouse only.
    """
    lost = [5, 5, 6.2, 12] + [20] * 6
    kept = [0.5, 0.9, 0.9, 0.5] + [0.2] * 6
    words = ["free", "by a mark", "x", "free"] + list("abcdef")
    one = family(lost=lost, kept=kept, texts=words, labels=words)
    (trace,) = figures.trade_off({"a map": [one]}, 2.0, farthest=20)["data"]
    placed = dict(zip(zip(trace["text"], lost, strict=True), trace["textposition"], strict=True))
    assert placed["free", 5] == placed["free", 12] == "middle right"
    assert placed["by a mark", 5] == "middle left"
    assert [placed[each, 20] for each in "abcd"] == list(figures.SIDES)
    assert trace["text"][-2:] == ["", ""] and trace["customdata"] == words


def test_the_trade_off_map_draws_what_attacks_cost_and_a_line_to_move():
    spans = ([0.5, 40], [1.5, 60], [0.8, 0], [1.0, 0.2])
    marks = {
        "one": [family(runs=([-9, 99], [1, 0]), joined=True, texts=["", "x"], dash="dot")],
        "two": [family(open=[False, True], spans=spans)],
    }
    figure = valid(figures.trade_off(marks, 2.0, farthest=30, limits={"one": 0.3}))
    small, large, other = figure["data"]
    assert small["x"].tolist() == [-3, 30] and large["x"].tolist() == [1, 30], "ends of the axis"
    assert large["line"]["dash"] == "dot" and large["textposition"] == ["middle right"] * 2
    assert large["mode"] == "lines+markers+text" and other["mode"] == "markers"
    assert other["marker"]["symbol"] == ["circle", "circle-open"]
    assert np.allclose(other["error_x"]["array"], [0.5, 10]) and np.allclose(
        other["error_y"]["arrayminus"], [0.1, 0.1]
    )
    assert large["showlegend"] and not other["showlegend"]
    shapes = figure["layout"]["shapes"]
    for plot in (0, 1):
        area, line = shapes[2 * plot : 2 * plot + 2]
        assert area["x1"] == line["x0"] == line["x1"] == 2.0
        assert line["xref"] == ("x", "x2")[plot]
    assert shapes[0]["y1"] == 0.3 and shapes[2]["y1"] > 1
    dragged = figures.line_moves(30, 2)
    assert dragged({"shapes[3].x0": 4.6, "shapes[3].x1": 4.6}) == {"loss": 4.5}
    assert dragged({"shapes[1].x1": 99}) == {"loss": 30} and dragged({"shapes[0].x1": 1}) is None


def test_confidences_are_shares_of_images_and_bars_show_value_and_interval():
    values = np.array([0.01, 0.01, 0.02, 0.99])
    figure = valid(figures.confidences({"clean": {"unmarked": values}}, "probability"))
    heights = figure["data"][0]["y"]
    assert heights.sum() == pytest.approx(1) and heights[0] == 0.75 and heights[-1] == 0.25
    ends = {"clean": {"a": (0.4, 0.7)}}
    (bar,) = valid(figures.bars({"clean": {"a": 0.5}}, "title", "share", ends))["data"]
    assert bar["y"] == [0.5] and bar["text"] == ["50%"]
    assert bar["error_y"]["array"] == pytest.approx([0.2])
    assert bar["error_y"]["arrayminus"] == pytest.approx([0.1])


def test_recorded_curves_draw_every_run_and_the_mean():
    rows = {"seed": [0, 1, 0, 1], "epoch": [1, 1, 2, 2], "key": [0.0, 0.5, 0.8, 1.0]}
    table = pd.DataFrame(rows | {"scheme": "new label"})
    figure = valid(figures.recorded_curves({"one": (table, "key"), "two": (table, "key")}))
    dots, mean, _, second = figure["data"]
    drawn = list(zip(dots["x"], dots["y"], strict=True))
    assert drawn == [(1, 0.0), (1, 0.5), (2, 0.8), (2, 1.0)]
    assert np.allclose(mean["y"], [0.25, 0.9]) and "mean of 2" in mean["name"]
    assert mean["showlegend"] and not second["showlegend"] and second["xaxis"] == "x2"
    fewer = {"one": (table, "key"), "two": (table[table.seed == 0], "key")}
    names = [trace["name"] for trace in figures.recorded_curves(fewer)["data"]]
    assert not any("mean of" in name for name in names), "the plots have other counts"


def decoded(source):
    return base64.b64decode(source.partition(",")[2], validate=True)


def test_pictures_keep_the_pixels_and_have_titles_captions_and_text_alternatives():
    for channels in (1, 3):
        images = np.linspace(0, 1, 32 * channels, dtype=np.float32).reshape(2, 4, 4, channels)
        sources = re.findall("src='([^']+)'", figures.pictures({"row": images}))
        for image, source in zip(images, sources, strict=True):
            shown = np.asarray(PIL.Image.open(io.BytesIO(decoded(source))))
            assert np.array_equal(shown.reshape(image.shape), np.round(image * 255))
    image = np.linspace(0, 1, 12).reshape(3, 4, 1)
    shown = np.asarray(PIL.Image.open(io.BytesIO(decoded(figures.png(image, size=21)))))
    assert np.array_equal(shown, np.kron(np.round(image[..., 0] * 255), np.ones((5, 5))))
    rows = {"clean": np.zeros((2, 4, 4, 1)), "<key>": np.zeros((2, 4, 4, 1))}
    table = ElementTree.fromstring(figures.pictures(rows, {"<key>": ["label 3", "a < b"]}))
    assert [row.find("th").text for row in table] == ["clean", "<key>"]
    said = ["clean 1", "clean 2", "<key> 1", "<key> 2"]
    assert [image.get("alt") for image in table.iter("img")] == said
    assert ["".join(cell.itertext()) for cell in table.iter("td")] == ["", "", "label 3", "a < b"]


def test_shapes_become_a_drawing_of_their_own_in_the_box_they_name():
    shapes = "<path d='M0 0L5 5'/><text>a ✕ b</text>"
    drawn = ElementTree.fromstring(decoded(figures.svg(shapes, (-1, -2.5, 10, 20), "xMidYMax")))
    assert [float(n) for n in drawn.get("viewBox").split()] == [-1, -2.5, 10, 20]
    assert (float(drawn.get("width")), float(drawn.get("height"))) == (10, 20)
    assert drawn.get("preserveAspectRatio") == "xMidYMax" and drawn[1].text == "a ✕ b"
    assert figures.path([(0, 0), (0.5, -1)], "Z") == "M0 0 50 100Z"
    assert figures.marks([(0, 0), (0.5, -1)], "h0") == "M0 0h0M50 100h0"


def test_networks_of_any_name_have_looks_of_their_own():
    for look in (figures.COLOURS, figures.DASHES, figures.MARKERS):
        assert len(set(look.values())) == len(look)
    names = ("unmarked", "mine", "new label", "yours")
    look = figures.looks(names)
    assert len({tuple(look[name].items()) for name in names}) == 4
    assert look["unmarked"]["color"] == figures.COLOURS["unmarked"]
    drawn = figures.bars({"row": {"yours": 0.1, "Alice's": 0.2}}, "", "")["data"]
    known = {figures.COLOURS[name] for name in ("unmarked", "wrong label", "new label")}
    assert not {bar["marker"]["color"] for bar in drawn} & known


def test_the_upload_button_is_gone_and_all_four_roles_are_named():
    assert "sendChartToCloud" in figures.LOOK["layout"]["modebar"]["remove"]
    notes = valid(figures.roles())["layout"]["annotations"]
    texts = " ".join(note.get("text", "") for note in notes)
    assert all(role in texts for role in ("provider", "Alice", "Bob", "judge"))
