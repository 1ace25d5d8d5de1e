"""What the kernel tells a page: every widget that was shown, as plain HTML with its figures as
data.

`watch()` runs in a notebook's kernel before the first cell, `send()` after the last; the pages are
built elsewhere.
"""

import functools
import html
import itertools
import re

import bs4
import ipywidgets as widgets
import plotly.graph_objects as go
from IPython.display import display

from wmlab.show.page_helper import Caption, PageHelper

MIME = "application/vnd.wmlab.twins+json"
SLIDERS = (widgets.IntSlider, widgets.FloatSlider, widgets.SelectionSlider)
CHOICES = (widgets.ToggleButtons, widgets.Dropdown)
STATELESS = (
    widgets.Button,
    widgets.ToggleButton,
    widgets.Play,
    PageHelper,
)  # they do something, which a page cannot

_made = []


def watch():
    """Remember every widget that is made from now on."""
    widgets.Widget.on_widget_constructed(_made.append)


def send(shown):
    """Display {model id: HTML} of the widgets with the model ids `shown`, under MIME.

    Raises:
        TypeError: there is a widget among them that no twin was written for.
    """
    by_id = {widget.model_id: widget for widget in _made if widget.comm}
    display({MIME: {model: twin(by_id[model]) for model in shown}}, raw=True)


@functools.singledispatch
def twin(widget):
    """A widget in its present state as HTML that needs no kernel: controls disabled, figures as
    data for pages.js.

    Raises:
        TypeError: no twin was written for this kind of widget.
    """
    if isinstance(widget, STATELESS):
        return ""
    if isinstance(widget, SLIDERS):
        return slider(widget)
    if isinstance(widget, CHOICES):
        return choice(widget)
    raise TypeError(
        f"{type(widget).__name__} has no twin for the pages: write one in wmlab/tools/pages/twins.py"
    )


@twin.register(widgets.Box)
def box(widget):
    """A box: what is in it, without the boxes that are empty; a prediction, and a figure with its
    caption, as such.
    """
    children = widget.children
    if [type(child) for child in children] == [widgets.HTML, widgets.ToggleButtons, widgets.VBox]:
        return prediction(*children)
    parts = []
    for child, after in itertools.pairwise([*children, None]):
        if isinstance(child, go.FigureWidget):
            parts.append(figure(child, after.value if isinstance(after, Caption) else ""))
        elif not (isinstance(child, Caption) and parts and parts[-1].startswith("<figure")):
            parts.append(twin(child))
    row = " row" if isinstance(widget, widgets.HBox) else ""
    return f"<div class='box{row}'>{''.join(parts)}</div>" if any(parts) else ""


@twin.register(widgets.HTML)
@twin.register(Caption)
def text(widget):
    """HTML as it is."""
    seen = plain(widget.value) or "<img" in widget.value
    return f"<div class='text'>{widget.value}</div>" if seen else ""


@twin.register(widgets.FloatProgress)
def progress(widget):
    """A bar that says how far it came."""
    share = (widget.value - widget.min) / (widget.max - widget.min)
    return f"<progress class='control' value='{share}' aria-label=\"{named(widget) or 'progress'}\">{share:.0%}</progress>"


@twin.register(go.FigureWidget)
def figure(widget, caption=""):
    """A figure as data, in which plotly leaves no tag, its place, and its words: those of its
    caption, else its titles.
    """
    data, height = widget.to_json(), widget.layout.height or 450
    said = html.escape(plain(caption) or described(widget))
    place = f"<div class='plot' role='img' aria-label=\"{said}\" style='height:{height}px'></div>"
    below = f"<figcaption>{caption}</figcaption>" if plain(caption) else ""
    return f"<figure>{place}<script type='application/json'>{data}</script>{below}</figure>"


def slider(widget):
    """A slider as its name, its place between its ends, and its value."""
    if isinstance(widget, widgets.SelectionSlider):
        low, high, at, reads = 0, len(widget.options) - 1, widget.index, widget.label
    else:
        low, high, at, reads = (
            widget.min,
            widget.max,
            widget.value,
            format(widget.value, widget.readout_format),
        )
    bar = f"<input type='range' disabled min='{low}' max='{high}' step='any' value='{at}'>"
    return f"<label class='control'>{named(widget)} {bar} <output>{html.escape(reads)}</output></label>"


def choice(widget):
    """Options as buttons, the chosen one marked."""
    labels = [option[0] if isinstance(option, tuple) else str(option) for option in widget.options]
    buttons = "".join(
        f"<button type='button' disabled aria-pressed='{str(label == widget.label).lower()}'>"
        f"{html.escape(label)}</button>"
        for label in labels
    )
    return f"<div class='control' role='group' aria-label=\"{named(widget)}\">{named(widget)} {buttons}</div>"


def prediction(asked, options, shown):
    """A question: its result unfolds, after the reader has had the chance to predict it."""
    return (
        f"<section class='prediction' aria-label='Prediction'>{twin(asked)}{choice(options)}"
        "<details><summary>Show the result</summary><p class='note'>In the notebook you predict first; then this appears.</p>"
        f"{twin(shown)}</details></section>"
    )


def named(widget):
    """The name a control has."""
    return html.escape(widget.description)


def plain(markup):
    """HTML without its tags."""
    return " ".join(
        bs4.BeautifulSoup(re.sub("<br[^>]*>", " ", markup or ""), "html.parser").get_text().split()
    )


def described(widget):
    """What a figure without a caption shows, from its titles: "accuracy. epoch; share. Shows
    unmarked, new label.".
    """
    layout = widget.layout
    axes = [
        axis.title.text for kind in (widget.select_xaxes, widget.select_yaxes) for axis in kind()
    ]
    notes = [note.text for note in layout.annotations]
    parts = [[layout.title.text], axes, notes]
    names = [trace.name for trace in widget.data if trace.name]
    said = ["; ".join(dict.fromkeys(plain(each) for each in part if each)) for part in parts]
    shows = f"Shows {', '.join(dict.fromkeys(map(plain, names)))}" if names else ""
    return ". ".join(filter(None, [*said, shows])) or "Picture"
