"""A plotly figure as a widget: the whole figure goes to the page in one message, its arrays as
binary.
"""

import base64
import functools
import gzip
import pathlib
import re
import sys

import anywidget
import ipywidgets as widgets
import numpy as np
import plotly
import plotly.offline
import traitlets

HERE = pathlib.Path(__file__).parent
SENT = ("float32", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32")


def packed(value):
    """A figure as it travels: numpy arrays of numbers as {"wmlab_array": …, "bytes": …}, NaN in
    lists as None.
    """
    if isinstance(value, dict):
        return {name: packed(part) for name, part in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None  # JSON knows no NaN
    if isinstance(value, (list, tuple)) or hasattr(value, "to_numpy"):
        return [packed(part) for part in value]
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype.kind not in "fiu" or not 0 < value.ndim < 3:
        return packed(value.tolist())
    if value.dtype.name not in SENT:  # 64-bit whole numbers, which JavaScript has no array of
        value = value.astype(np.float64)
    about = {"dtype": value.dtype.name, "shape": list(value.shape)}
    return {"wmlab_array": about, "bytes": memoryview(np.ascontiguousarray(value)).cast("B")}


def plain(value):
    """A figure as JSON has it: arrays as lists, NaN as None. For pages, and to compare figures."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (list, tuple)) or hasattr(value, "to_numpy"):
        return [plain(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not np.isfinite(value) else value


# The sizes in a figure that are pixels, by their names.
PIXELS = re.compile(
    r".*(font|marker)\.size|.*line\.width|.*margin\.[lrtb]|layout\.height|.*\.standoff"
)


def grown(value, by, name=""):
    """A figure whose height, letters, lines, marks and margins are `by` times as large."""
    if isinstance(value, dict):
        start = f"{name}." if name else ""
        return {key: grown(part, by, start + key) for key, part in value.items()}
    if value is not None and PIXELS.fullmatch(name):
        return np.multiply(value, by)
    return [grown(part, by, name) for part in value] if isinstance(value, list) else value


@functools.cache
def _code():
    """plotly's JavaScript in a widget that nothing shows: sent to the page once for a kernel, as
    base64 of a gzip file, 2 MB instead of 5.
    """
    code = gzip.compress(plotly.offline.get_plotlyjs().encode(), 6)
    return widgets.HTML(base64.b64encode(code).decode())


def on_colab():
    """Whether this is Colab, where each output is a page of its own and plotly comes from its
    public address.
    """
    return "google.colab" in sys.modules


class Picture(anywidget.AnyWidget):
    """A plotly figure in the page: a dict with `data` (traces) and `layout`, whose arrays may be
    numpy's.

    Setting `figure` draws it anew. config: of `Plotly.react`. dragged: what a reader has moved
    last, as plotly's event `plotly_relayout` tells it, such as {"shapes[0].x0": 2.5}. clicked: the
    point of a trace that was clicked last, {"x": …, "y": …, "at": milliseconds}.
    """

    _esm = HERE / "picture.js"
    _css = HERE / "page.css"
    figure = traitlets.Dict().tag(sync=True, to_json=lambda value, _: packed(value))
    config = traitlets.Dict().tag(sync=True)
    dragged = traitlets.Dict().tag(sync=True)
    clicked = traitlets.Dict().tag(sync=True)
    holder = traitlets.Unicode().tag(sync=True)
    address = traitlets.Unicode().tag(sync=True)

    def __init__(self, figure, **config):
        if on_colab():
            version = plotly.offline.get_plotlyjs_version()
            place = {"address": f"https://cdn.plot.ly/plotly-{version}.min.js"}
        else:
            place = {"holder": f"IPY_MODEL_{_code().model_id}"}
        super().__init__(figure=as_dict(figure), config=config, **place)


def is_figure(value):
    """Whether a value is a plotly figure: one of plotly's own, or a dict with data and layout."""
    return hasattr(value, "to_plotly_json") or (
        isinstance(value, dict) and "data" in value and "layout" in value
    )


def as_dict(figure):
    """A plotly figure as a dict."""
    return figure if isinstance(figure, dict) else figure.to_plotly_json()
