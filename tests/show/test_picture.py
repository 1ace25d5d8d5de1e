"""A picture: the whole figure in one message, arrays as bytes, plotly's code once."""

import base64
import gzip
import json
import sys
import types

import ipywidgets as widgets
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import plotly.offline
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from wmlab.show import panel, picture, show
from wmlab.show.figures import figure
from wmlab.show.panel import as_widget
from wmlab.show.picture import Picture, _code, packed, plain


def unpacked(value):
    """What picture.js does, written once more: bytes to arrays."""
    if isinstance(value, dict) and "wmlab_array" in value:
        about = value["wmlab_array"]
        assert isinstance(value["bytes"], memoryview)
        return np.frombuffer(value["bytes"], about["dtype"]).reshape(about["shape"])
    if isinstance(value, dict):
        return {name: unpacked(part) for name, part in value.items()}
    return [unpacked(part) for part in value] if isinstance(value, list) else value


KINDS = ("f4", "f8", "u1", "i4", "i8", "?", "U3")


@given(st.data())
def test_arrays_arrive_as_they_were_sent(data):
    kind = data.draw(st.sampled_from(KINDS))
    array = data.draw(hnp.arrays(kind, hnp.array_shapes(max_dims=3, max_side=5)))
    sent = packed({"z": array, "more": [array, {"x": array}]})
    seen = unpacked(sent)
    for one in (seen["z"], seen["more"][0], seen["more"][1]["x"]):
        if array.dtype.kind in "fi":
            finite = np.where(np.isfinite(array), array, np.nan)
            one = np.array(one, float) if isinstance(one, list) else one  # three dimensions: lists
            one = np.where(np.isfinite(one), one, np.nan)
            assert np.array_equal(one, finite.astype(one.dtype), equal_nan=True)
        else:
            assert np.array_equal(one, array)


def test_what_is_no_array_is_json_without_nan():
    odd = {
        "a": [1.5, np.nan, np.inf, None],
        "b": np.float32(2),
        "c": (1, 2),
        "d": pd.Series([1, 2]),
        "e": np.array(["x", "y"]),
        "f": np.array([True]),
        "g": np.int64(3),
        "h": np.array([np.nan, "x"], object),
    }
    wanted = {"a": [1.5, None, None, None], "b": 2.0, "c": [1, 2], "d": [1, 2]}
    wanted |= {"e": ["x", "y"], "f": [True], "g": 3, "h": [None, "x"]}
    for made in (packed(odd), plain(odd)):
        assert json.loads(json.dumps(made, allow_nan=False)) == wanted
    assert plain({"z": np.array([[1.0, np.nan]])}) == {"z": [[1.0, None]]}


def test_a_change_is_one_message_and_the_same_figure_none(monkeypatch):
    picture, sent = Picture(figure([dict(type="bar", x=np.arange(3), y=np.zeros(3))])), []
    monkeypatch.setattr(picture, "send_state", lambda key=None: sent.append(key))
    picture.figure = figure([dict(type="bar", x=np.arange(3), y=np.ones(3))])
    assert len(sent) == 1 and sent[0] in ("figure", {"figure"})
    state = picture.get_state(key={"figure"})
    assert unpacked(state["figure"])["data"][0]["y"].tolist() == [1, 1, 1]


def test_plotlys_code_is_in_one_widget_for_all_pictures_and_in_none_of_them():
    pictures = [Picture(figure([])) for _ in range(3)]
    holders = {picture.holder for picture in pictures}
    assert len(holders) == 1 and not any(picture.address for picture in pictures)
    code = gzip.decompress(base64.b64decode(_code().value))
    assert code.decode() == plotly.offline.get_plotlyjs() and len(_code().value) < 2.5e6
    assert holders == {f"IPY_MODEL_{_code().model_id}"}
    size = sum(len(str(part)) for part in pictures[0].get_state().values())
    assert size < 50_000


def test_colab_takes_the_code_from_its_public_address_in_the_version_of_python(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    picture = Picture(figure([]))
    version = plotly.offline.get_plotlyjs_version()
    assert picture.address == f"https://cdn.plot.ly/plotly-{version}.min.js" and not picture.holder


def test_anything_of_the_course_is_shown_by_one_function(monkeypatch):
    table = pd.DataFrame({"a": [1]})
    owner = types.SimpleNamespace(widget=widgets.Label("inside"))
    for part, kind in [
        ("words", widgets.HTML),
        (figure([]), Picture),
        (go.Figure(), Picture),
        (table, widgets.HTML),
        (owner, widgets.Label),
        (widgets.Button(), widgets.Button),
    ]:
        assert isinstance(as_widget(part), kind)
    assert "<table" in as_widget(table).value
    outputs = []
    monkeypatch.setattr(panel, "display", lambda part, raw=False: outputs.append(part))
    show("words", table, figure([]), owner, table)
    words, shown, last = outputs
    assert "words" in words.data and "<table" in words.data and "<table" in last.data
    assert shown["application/vnd.jupyter.widget-view+json"]["model_id"]
    assert "Run this cell again" in shown["text/html"], "which GitHub shows in its place"
    monkeypatch.undo()
    with pytest.raises(Exception):  # noqa: B017 - ipywidgets' own error for what it cannot show
        show(3)


def test_a_grown_figure_has_larger_pixels_and_the_same_numbers():
    made = figure(
        [
            dict(type="scatter", x=[4, 5], marker=dict(size=np.array([6, 8])), line=dict(width=2)),
            dict(type="bar", x=[1], y=[2], width=[0.5], textfont=dict(size=10)),
        ],
        margin=dict(l=20),
        annotations=[dict(text="a title", x=0.5, font=dict(size=16))],
        xaxis=dict(range=[0, 9], title=dict(standoff=8)),
    )
    scatter, bar = (grown := plain(picture.grown(made, 1.5)))["data"]
    layout = grown["layout"]
    assert scatter["marker"]["size"] == [9, 12] and scatter["line"]["width"] == 3
    assert scatter["x"] == [4, 5] and bar["width"] == [0.5] and bar["textfont"]["size"] == 15
    assert layout["height"] == 570 and layout["margin"]["l"] == 30
    assert layout["annotations"] == [dict(text="a title", x=0.5, font=dict(size=24))]
    assert layout["xaxis"] == dict(range=[0, 9], title=dict(standoff=12))
    assert made["layout"]["height"] == 380
