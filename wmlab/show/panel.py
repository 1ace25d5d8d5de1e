"""The panel: controls in, a picture and a sentence out; and the one way to show anything."""

import asyncio
import html
import itertools
import sys
import time

import ipywidgets as widgets
import traitlets
from IPython.display import HTML, display

from wmlab.show.page_helper import Caption, PageHelper
from wmlab.show.picture import Picture, as_dict, grown, is_figure

PROJECTED = 1.5  # how much larger a picture and its words are on a projector
AGAIN = "<p><i>Run this cell again to see the picture.</i></p>"
AUTO = dict(layout=dict(width="auto"))  # buttons as wide as their words


def show(*parts):
    """Display widgets, figures, tables, HTML and panels under each other: the course's only way to
    do so.

    Texts and tables are outputs of their own, which a notebook that is opened again still has.
    Widgets are in a box, because Colab shows only what is displayed so.
    """
    for static, group in itertools.groupby(parts, lambda part: _static(part) is not None):
        if static:
            display(HTML("".join(map(_static, group))))
            continue
        box = widgets.VBox([*map(as_widget, group), PageHelper()], layout=dict(width="100%"))
        box.add_class("wmlab-shown")
        if "google.colab" in sys.modules or not hasattr(box, "_repr_mimebundle_"):
            display(box)
        else:  # where there is no kernel, on GitHub say, the sentence stands for the widget
            display(box._repr_mimebundle_() | {"text/html": AGAIN}, raw=True)


def _static(part):
    """A text or a table as HTML; None for what lives, such as a figure or a widget."""
    if isinstance(part, str):
        return f"<div>{part}</div>"
    if is_figure(part) or isinstance(part, widgets.Widget) or not hasattr(part, "_repr_html_"):
        return None
    return part._repr_html_()


def as_widget(part):
    """A figure, text, table, panel or anything else of the course as a widget."""
    if isinstance(part, str):
        return widgets.HTML(part)
    if is_figure(part):
        return Picture(part)
    if hasattr(part, "_repr_html_") and not isinstance(part, widgets.Widget):  # a table
        return widgets.HTML(f"<div class='jp-RenderedHTMLCommon'>{part._repr_html_()}</div>")
    return getattr(part, "widget", part)


class Panel:
    """Controls bound to one picture and one sentence.

    Args:
        picture: function of the controls' values by name: `picture(**settings)` returns (figure,
            sentence). The figure is a plotly figure as a dict (`show.figures` helps), made anew
            each time; the sentence is HTML. A third value, the numbers behind them, is kept as
            `result`.
        presets: {name: settings}, a button each; what a preset leaves out goes back to its start.
            The values it sets are said beside the buttons, for some controls may be folded away.
        first: how many controls are shown, the others unfold; by default all.
        jobs: {name: job}, for what takes longer than a slider may: a button each, with a bar and
            Cancel, which goes through `job(**settings)`, a generator of (share done in [0, 1],
            (figure, sentence)).
        dragged: function of what a reader moved in the picture, as plotly tells it
            ({"shapes[0].x0": 2.5}), that returns settings; with it, shapes above the traces can be
            moved.
        clicked: function of the x and y of a point that was clicked; returns settings.
        controls: {setting: ipywidget}.

    Moves of a slider are throttled; the last position is always drawn.

    Attributes:
        figure, caption_text, result: what was last drawn, and the numbers behind it if the picture
        gives them.
        error: message of the last change from the page that failed, None if it went well. A
        notebook ends with
            `assert panel.error is None`.
    """

    def __init__(
        self,
        picture,
        *,
        presets=None,
        first=None,
        jobs=None,
        dragged=None,
        clicked=None,
        **controls,
    ):
        self.picture, self.controls, self.presets, self.jobs = (
            picture,
            controls,
            presets or {},
            jobs or {},
        )
        self.first = len(controls) if first is None else first
        self.figure = self.result = self.error = None
        self.caption_text = ""
        self._later = self._task = None  # the picture that is due, and the job in progress
        self._rested, self._quiet = (
            0.0,
            False,
        )  # when the next picture may be drawn; whether to ignore moves
        self._start = self.settings()
        self._build(dragged, clicked)
        self.redraw()

    def _build(self, dragged, clicked):
        self.caption, self._chip = Caption(), widgets.HTML()
        self._sliders, self._others = (
            widgets.VBox(),
            widgets.HBox(layout=dict(flex_flow="row wrap")),
        )
        self._sliders.add_class("wmlab-sliders")
        edits = {"edits": {"shapePosition": True}} if dragged else {}
        self._shown = Picture({"data": [], "layout": {}}, **edits)
        if dragged:
            self._shown.observe(
                lambda change: self._try(lambda: self._drag(dragged, change["new"])), "dragged"
            )
        if clicked:
            self._shown.observe(lambda change: self._click(clicked, **change["new"]), "clicked")
        self._more = widgets.ToggleButton(description="More controls", icon="sliders", **AUTO)
        self._projector = widgets.ToggleButton(description="Projector", icon="desktop", **AUTO)
        self._bar = widgets.FloatProgress(max=1, description="working")
        self._cancel = widgets.Button(description="Cancel", icon="stop", **AUTO)
        self._cancel.on_click(lambda _: self._stop_job())
        self._working = widgets.HBox()
        for control in self.controls.values():
            control.layout.max_width = "calc(100% - 4px)"
            control.observe(self._moved, "value")
        for button in (self._more, self._projector):
            button.observe(self._unfold, "value")
        above = [self._sliders, self._others, self._buttons(), self._working]
        self.widget = widgets.VBox([*above, self._shown, self.caption])
        self.widget.add_class("wmlab-panel")
        self._unfold()

    def _buttons(self):
        buttons = []

        def add(name, action, icon=""):
            buttons.append(widgets.Button(description=name, icon=icon, **AUTO))
            buttons[-1].on_click(lambda _: action())

        for name in self.presets:
            add(name, lambda name=name: self._try(lambda: self._preset(name)))
        for name in self.jobs:
            add(name, lambda name=name: self._start_job(name), "cogs")
        if len(self.controls) > 1:
            add("Reset", lambda: self._try(self.reset), "undo")
        if self.first < len(self.controls):
            buttons.append(self._more)
        shown = [*buttons, self._projector, self._chip] if buttons else []
        return widgets.HBox(shown, layout=dict(flex_flow="row wrap"))

    def _preset(self, name):
        self.set(**self._start | self.presets[name])
        values = (_told(self.controls[setting]) for setting in self.presets[name])
        self._chip.value = f"<span class='wmlab-chip'>{html.escape(' · '.join(values))}</span>"

    def _unfold(self, change=None):
        """Show the controls and the size that the two toggles ask for."""
        count = len(self.controls) if self._more.value else self.first
        shown = list(self.controls.values())[:count]
        self._sliders.children = [each for each in shown if hasattr(each, "readout")]
        self._others.children = [each for each in shown if not hasattr(each, "readout")]
        switch = self.widget.add_class if self._projector.value else self.widget.remove_class
        switch("wmlab-projected")
        if self.figure:
            self._draw(self.figure, self.caption_text, self.result)

    def settings(self):
        """The value of every control."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Move controls from code and draw.

        Raises what the page would only show, and ValueError for an unknown control or a value that
        its control cannot take; then all controls stay as they were.
        """
        unknown, before = set(settings) - set(self.controls), self.settings()
        if unknown:
            none, there = ", ".join(sorted(unknown)), ", ".join(self.controls)
            raise ValueError(f"this panel has no {none}: its controls are {there}")
        try:
            self._move(settings)
            self.redraw()
        except Exception:
            self._move(before)
            raise

    def reset(self):
        """Put every control back to its start and draw."""
        self.set(**self._start)

    def _move(self, settings):
        self._quiet = True
        try:
            for name, value in settings.items():
                try:
                    self.controls[name].value = value
                except traitlets.TraitError:
                    pass  # told below, in words of the lesson
                if self.controls[name].value != value:
                    raise ValueError(
                        f"{name} cannot be {value}: its control is at {self.controls[name].value}"
                    )
        finally:
            self._quiet = False

    def redraw(self):
        """Make and draw the picture of the current settings; a job in progress is cancelled."""
        self._drop()
        self._chip.value = ""
        started = time.monotonic()
        self._draw(*self.picture(**self.settings()))
        now = time.monotonic()
        self._rested = now + (now - started) / 2

    def _draw(self, figure, sentence, result=None):
        self.figure, self.caption_text, self.error = as_dict(figure), sentence, None
        self.result = result
        large = self._projector.value
        self._shown.figure = grown(self.figure, PROJECTED) if large else self.figure
        self._say(sentence)

    def _say(self, sentence):
        self.caption.value = f"<p>{sentence}</p>"

    def _drop(self):
        """Forget the picture that is due and the job in progress."""
        for due in (self._later, self._task):
            if due:
                due.cancel()
        self._later = self._task = None

    def _moved(self, change):
        if self._quiet or self._later:
            return  # a picture of the newest positions is due already
        loop, wait = _running_loop(), self._rested - time.monotonic()
        if loop is None or wait <= 0:
            self._try(self.redraw)
        else:
            self._later = loop.call_later(wait, self._try, self.redraw)

    def _drag(self, dragged, moved):
        settings = dragged(moved)
        if settings and settings != {name: self.controls[name].value for name in settings}:
            self.set(**settings)
        elif moved:
            self._shown.send_state("figure")  # put it back where it belongs

    def _click(self, clicked, x, y, at):
        self._try(lambda: self.set(**clicked(x, y)))

    def run(self, name):
        """Go through a job from code, to its end; raises what the button would only show,
        ValueError for an unknown name.
        """
        if name not in self.jobs:
            raise ValueError(
                f"this panel has no job {name!r}: choose one of {', '.join(self.jobs) or 'none'}"
            )
        self._drop()
        for _, drawn in self.jobs[name](**self.settings()):
            self._draw(*drawn)

    def _start_job(self, name):
        if self._task:
            return
        self._drop()
        if _running_loop():
            self._task = asyncio.ensure_future(self._work(name))
        else:
            self._try(lambda: self.run(name))

    def _stop_job(self):
        if self._task:
            self._drop()
            self._say(f"{self.caption_text} Cancelled: this is as far as it came.")

    async def _work(self, name):
        """A job in small steps, so that sliders and Cancel are heard between them."""
        self._bar.value, self._working.children = 0, [self._bar, self._cancel]
        try:
            for done, drawn in self.jobs[name](**self.settings()):
                self._bar.value = done
                self._draw(*drawn)
                await asyncio.sleep(0.01)
        except asyncio.CancelledError:
            pass  # by Cancel, or by a slider that has drawn something else meanwhile
        except Exception as error:  # as in _try: a task would keep it to itself
            self._fail(error)
        finally:
            if self._task in (None, asyncio.current_task()):  # else another job has the bar
                self._task, self._working.children = None, []

    def _try(self, action):
        try:
            action()
        except Exception as error:  # the page would swallow it: say it where the student looks
            self._fail(error)

    def _fail(self, error):
        self.error = f"{type(error).__name__}: {error}"
        self.caption.value = f"<b>That did not work.</b> {html.escape(self.error)}"


def _told(control):
    """A control's name and value: "β 0.01"."""
    value = getattr(control, "label", None)  # of a choice
    if value is None:
        value = format(control.value, getattr(control, "readout_format", ""))
    return f"{control.description} {value}"


def _running_loop():
    """The event loop that runs now, as in a kernel, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
