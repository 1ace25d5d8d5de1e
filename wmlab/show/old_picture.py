"""Pictures that share one copy of plotly's JavaScript, which a `FigureWidget` sends with every
figure, 5 MB each time.
"""

import functools
import pathlib
import sys

import ipywidgets as widgets
import plotly.graph_objects as go
import traitlets


@functools.cache
def _plotly():
    """plotly's JavaScript in a widget that nothing shows: one for a kernel."""
    return widgets.HTML(str(go.FigureWidget._esm))


class Picture(go.FigureWidget):
    """A `FigureWidget` that loads plotly's JavaScript from `_plotly`, and is drawn once that has
    come, however late.
    """

    _esm = pathlib.Path(__file__).with_name("old_picture.js")
    _holder = traitlets.Unicode().tag(sync=True)

    @traitlets.default("_holder")
    def _held(self):
        return f"IPY_MODEL_{_plotly().model_id}"


def picture(figure):
    """A plotly figure as a widget.

    plotly's own kind where that is no anywidget (plotly 5, which Colab has) and on Colab, where
    every output is a page of its own.
    """
    shares = hasattr(go.FigureWidget, "_esm") and "google.colab" not in sys.modules
    return (Picture if shares else go.FigureWidget)(figure)
