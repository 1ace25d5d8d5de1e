"""What the kernel tells a page: every widget that was shown as plain HTML, its figures as data.

`watch()` runs in a notebook's kernel before the first cell, `send()` after the last; the pages are
built elsewhere.
"""

import functools
import html
import itertools
import json
import re

import bs4
import ipywidgets as widgets
from IPython.display import display

from wmlab.show.page_helper import Caption, PageHelper
from wmlab.show.picture import Picture, plain

MIME = "application/vnd.wmlab.twins+json"
# They do something, which a page cannot.
STATELESS = (widgets.Button, widgets.ToggleButton, widgets.Play, PageHelper)

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
    kind = type(widget).__name__
    raise TypeError(f"{kind} has no twin for the pages: write one in wmlab/tools/pages/twins.py")


@twin.register(widgets.Box)
def box(widget):
    """What is in a box that is not empty; a question, and a picture with its caption, as such."""
    children = widget.children
    if [type(child) for child in children] == [widgets.HTML, widgets.ToggleButtons, widgets.VBox]:
        return question(*children)
    parts, before = [], None
    for child, after in itertools.zip_longest(children, children[1:]):
        if isinstance(child, Picture):
            parts.append(picture(child, after.value if isinstance(after, Caption) else ""))
        elif not (isinstance(child, Caption) and isinstance(before, Picture)):
            parts.append(twin(child))
        before = child
    row = " row" if isinstance(widget, widgets.HBox) else ""
    return f"<div class='box{row}'>{''.join(parts)}</div>" if any(parts) else ""


@twin.register(widgets.HTML)
def text(widget):
    """HTML as it is."""
    seen = words(widget.value) or "<img" in widget.value
    return f"<div class='text'>{widget.value}</div>" if seen else ""


@twin.register(widgets.FloatProgress)
def progress(widget):
    """A bar that says how far it came."""
    share = (widget.value - widget.min) / (widget.max - widget.min)
    name = named(widget) or "progress"
    return f"<progress class='control' value='{share}' aria-label=\"{name}\">{share:.0%}</progress>"


@twin.register(Picture)
def picture(widget, caption=""):
    """A figure as data, in which no word becomes a tag; its place; and its words, which are those
    of its caption, or else its titles.
    """
    figure = plain(widget.figure)
    data = json.dumps(figure, allow_nan=False).replace("<", "\\u003c")
    said = html.escape(words(caption) or described(figure))
    style = f"height:{figure['layout'].get('height') or 450}px"
    place = f"<div class='plot' role='img' aria-label=\"{said}\" style='{style}'></div>"
    below = f"<figcaption>{caption}</figcaption>" if words(caption) else ""
    return f"<figure>{place}<script type='application/json'>{data}</script>{below}</figure>"


@twin.register(widgets.IntSlider)
@twin.register(widgets.FloatSlider)
@twin.register(widgets.SelectionSlider)
def slider(widget):
    """A slider as its name, its place between its ends, and its value."""
    if isinstance(widget, widgets.SelectionSlider):
        low, high, at, reads = 0, len(widget.options) - 1, widget.index, widget.label
    else:
        low, high, at = widget.min, widget.max, widget.value
        reads = format(at, widget.readout_format)
    bar = f"<input type='range' disabled min='{low}' max='{high}' step='any' value='{at}'>"
    value = f"<output>{html.escape(reads)}</output>"
    return f"<label class='control'>{named(widget)} {bar} {value}</label>"


@twin.register(widgets.ToggleButtons)
@twin.register(widgets.Dropdown)
def choice(widget):
    """Options as buttons, the chosen one marked."""
    name, buttons = named(widget), []
    for option in widget.options:
        label = option[0] if isinstance(option, tuple) else str(option)
        pressed = f"aria-pressed='{str(label == widget.label).lower()}'"
        buttons.append(f"<button type='button' disabled {pressed}>{html.escape(label)}</button>")
    group = f"<div class='control' role='group' aria-label=\"{name}\">"
    return f"{group}{name} {''.join(buttons)}</div>"


def question(asked, options, shown):
    """A question: its result unfolds, after the reader has had the chance to predict it."""
    note = "In the notebook you predict first; then this appears."
    return (
        f"<section class='prediction' aria-label='Prediction'>{twin(asked)}{choice(options)}"
        f"<details><summary>Show the result</summary><p class='note'>{note}</p>"
        f"{twin(shown)}</details></section>"
    )


def named(widget):
    """The name that a control has."""
    return html.escape(widget.description)


def words(markup):
    """HTML without its tags."""
    spaced = re.sub("<br[^>]*>", " ", markup or "")
    return " ".join(bs4.BeautifulSoup(spaced, "html.parser").get_text().split())


def described(figure):
    """What a figure without a caption shows, from its titles: "accuracy. epoch; share. Shows
    unmarked, new label.".
    """
    layout = figure["layout"]
    axes = [layout[name] for name in sorted(layout) if name[1:].startswith("axis")]
    parts = [[layout], axes, layout.get("annotations", [])]
    titles = [[each.get("title", each.get("text")) for each in part] for part in parts]
    names = [trace["name"] for trace in figure["data"] if trace.get("name")]
    said = ["; ".join(dict.fromkeys(filter(None, map(title, part)))) for part in titles]
    shows = f"Shows {', '.join(dict.fromkeys(map(words, names)))}" if names else ""
    return ". ".join(filter(None, [*said, shows])) or "Picture"


def title(written):
    """The words of a title, which plotly takes as a text or as {"text": …}."""
    return words(written.get("text") if isinstance(written, dict) else written)
