"""Figures: they draw the numbers they are given, in the course's look."""

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


def test_confidences_are_shares_of_images():
    values = np.array([0.01, 0.01, 0.02, 0.99])
    figure = figures.confidences({"clean": {"unmarked": values}}, "probability")
    heights = np.asarray(figure.data[0].y)
    assert heights.sum() == pytest.approx(1)
    assert heights[0] == 0.75 and heights[-1] == 0.25


def test_bars_show_value_and_interval():
    figure = figures.bars(
        {"clean": {"a": 0.5}}, "title", "share", intervals={"clean": {"a": (0.4, 0.7)}}
    )
    (bar,) = figure.data
    assert list(bar.y) == [0.5]
    assert bar.error_y.array[0] == pytest.approx(0.2) and bar.error_y.arrayminus[
        0
    ] == pytest.approx(0.1)
    assert bar.text[0] == "50%"


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_keep_the_pixels(channels):
    images = np.linspace(0, 1, 32 * channels, dtype=np.float32).reshape(2, 4, 4, channels)
    drawn = re.findall("base64,([^']+)", figures.pictures({"row": images}))
    for image, source in zip(images, drawn, strict=True):
        shown = np.asarray(PIL.Image.open(io.BytesIO(base64.b64decode(source))))
        assert np.array_equal(shown.reshape(image.shape), np.round(image * 255))


def test_an_enlarged_picture_shows_each_pixel_as_a_square():
    image = np.linspace(0, 1, 12).reshape(3, 4, 1)
    shown = np.asarray(
        PIL.Image.open(io.BytesIO(base64.b64decode(figures.png(image, size=21).partition(",")[2])))
    )
    assert np.array_equal(shown, np.kron(np.round(image[..., 0] * 255), np.ones((5, 5))))


def test_pictures_have_a_title_a_row_a_caption_each_and_a_text_alternative():
    rows = {"clean": np.zeros((2, 4, 4, 1)), "<key>": np.zeros((2, 4, 4, 1))}
    table = ElementTree.fromstring(figures.pictures(rows, {"<key>": ["label 3", "a < b"]}))
    assert [row.find("th").text for row in table] == ["clean", "<key>"]
    assert [image.get("alt") for image in table.iter("img")] == [
        "clean 1",
        "clean 2",
        "<key> 1",
        "<key> 2",
    ]
    assert ["".join(cell.itertext()) for cell in table.iter("td")] == ["", "", "label 3", "a < b"]


def test_recorded_curves_draw_every_run_and_the_mean():
    table = pd.DataFrame(
        {
            "scheme": "new label",
            "seed": [0, 1, 0, 1],
            "epoch": [1, 1, 2, 2],
            "fresh_key_accuracy": [0.0, 0.5, 0.8, 1.0],
        }
    )
    figure = figures.recorded_curves(
        {"one": (table, "fresh_key_accuracy"), "two": (table, "fresh_key_accuracy")}
    )
    dots, mean, _, second = figure.data
    assert list(zip(dots.x, dots.y, strict=True)) == [(1, 0.0), (1, 0.5), (2, 0.8), (2, 1.0)]
    assert list(mean.y) == [0.25, 0.9] and "mean of 2" in mean.name
    assert mean.showlegend and not second.showlegend and second.xaxis == "x2"


def test_no_two_networks_share_colour_dash_or_marker():
    for look in (figures.COLOURS, figures.DASHES, figures.MARKERS):
        assert len(set(look.values())) == len(look)


def test_networks_of_any_name_can_be_drawn_and_none_in_anothers_colour():
    names = ("unmarked", "mine", "new label", "yours")
    look = figures.looks(names)
    assert len({tuple(look[name].items()) for name in names}) == 4
    assert (
        look["unmarked"]["color"] == figures.COLOURS["unmarked"]
        and look["new label"]["symbol"] == "diamond"
    )
    drawn = figures.bars({"row": {"yours": 0.1, "Alice's": 0.2}}, "", "").data
    assert not {bar.marker.color for bar in drawn} & {
        figures.COLOURS[name] for name in ("unmarked", "wrong label", "new label")
    }
    assert [trace.name for trace in figures.curves(["mine", "unmarked"]).data] == [
        "mine",
        "mine",
        "unmarked",
        "unmarked",
    ]
    figures.confidences({"clean": {"mine": np.array([0.5])}}, "label")
    table = pd.DataFrame(
        {"scheme": ["mine"], "seed": [0], "epoch": [1], "fresh_key_accuracy": [1.0]}
    )
    figures.recorded_curves({"": (table, "fresh_key_accuracy")})


def test_shapes_become_a_drawing_of_their_own_in_the_box_they_name():
    kind, _, data = figures.svg(
        "<path d='M0 0L5 5'/><text>a ✕ b</text>", (-1, -2.5, 10, 20), "xMidYMax"
    ).partition(",")
    drawn = ElementTree.fromstring(base64.b64decode(data, validate=True))
    assert kind == "data:image/svg+xml;base64" and drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert [float(n) for n in drawn.get("viewBox").split()] == [-1, -2.5, 10, 20]
    assert (float(drawn.get("width")), float(drawn.get("height"))) == (10, 20) and drawn.get(
        "preserveAspectRatio"
    ) == "xMidYMax"
    assert [part.tag.rpartition("}")[2] for part in drawn] == ["path", "text"] and drawn[
        1
    ].text == "a ✕ b"
    stretched = base64.b64decode(figures.svg("", (0, 0, 1, 1)).partition(",")[2])
    assert ElementTree.fromstring(stretched).get("preserveAspectRatio") == "none"


@pytest.mark.parametrize("batch", [False, True])
def test_images_are_exchanged_by_one_message_that_names_their_sources_only(monkeypatch, batch):
    figure, sent = go.FigureWidget(figures.blank()), []
    for old in ("data:,first", "data:,second", "data:,third"):
        figure.add_layout_image(source=old, x=0.5, sizex=0.25)
    for kind in ("update", "relayout", "restyle", "addTraces", "react"):
        if hasattr(figure, f"_send_{kind}_msg"):
            monkeypatch.setattr(
                figure,
                f"_send_{kind}_msg",
                lambda *args, kind=kind, **more: sent.append((kind, args, more)),
            )
    if batch:
        with figure.batch_update():
            figures.exchange(figure, ["data:,new", "data:,newer"])
    else:
        figures.exchange(figure, ["data:,new", "data:,newer"])
    ((kind, _, message),) = sent
    assert kind == "update" and message["relayout_data"] == {
        "images[0].source": "data:,new",
        "images[1].source": "data:,newer",
    }
    assert not message["restyle_data"]
    assert [image.source for image in figure.layout.images] == [
        "data:,new",
        "data:,newer",
        "data:,third",
    ]
    assert [(image.x, image.sizex) for image in figure.layout.images] == [(0.5, 0.25)] * 3


def test_the_upload_button_is_gone():
    assert "sendChartToCloud" in figures.blank().layout.template.layout.modebar.remove


def test_roles_names_all_four():
    texts = " ".join(note.text or "" for note in figures.roles().layout.annotations)
    assert all(role in texts for role in ("provider", "Alice", "Bob", "judge"))
