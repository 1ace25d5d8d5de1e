"""What every panel is made of: one way to show widgets, controls bound to one figure, and jobs with
progress.
"""

import asyncio
import html
import time

import ipywidgets as widgets
import plotly.graph_objects as go
import traitlets
from IPython.display import display

from wmlab.show.figures import TEMPLATE
from wmlab.show.page_helper import Caption, PageHelper
from wmlab.show.old_picture import picture


def show(*parts):
    """Display widgets, figures, tables, HTML and panels under each other: the course's only way to
    do so, which Colab needs.
    """
    display(
        widgets.VBox(
            [*(as_widget(part) for part in parts), PageHelper()], layout=dict(width="100%")
        )
    )


def live(figure):
    """A figure as a widget as wide as the notebook, unless it has a width of its own."""
    widget = picture(figure)
    widget.add_class("wmlab-picture")  # PageHelper has its looks
    widget.layout.autosize = widget.layout.width is None
    widget._config = {
        "responsive": True,
        "displaylogo": False,
    }  # plotly has no public way to configure a widget

    def drawn(
        change,
    ):  # plotly draws before the page has room for it, 700 pixels wide, and reports; any change makes it look again
        if change["new"]:  # plotly puts None there while it listens
            widget.unobserve(drawn, "_js2py_traceDeltas")
            widget.layout.meta = "drawn"

    widget.observe(drawn, "_js2py_traceDeltas")
    return widget


def as_widget(part):
    """A figure, text, table, panel or anything else of the course as a widget."""
    if isinstance(part, go.Figure):
        return live(part)
    if isinstance(part, str):
        return widgets.HTML(part)
    if hasattr(part, "_repr_html_") and not isinstance(part, widgets.Widget):  # a table
        return widgets.HTML(f"<div class='jp-RenderedHTMLCommon'>{part._repr_html_()}</div>")
    return getattr(part, "widget", part)


class Panel:
    """Controls bound to one figure.

    figure: a plotly figure, drawn once and then only changed. controls: {setting: ipywidget}; the
    first `first` are shown (all by default), the others unfold. compute(**settings) -> anything:
    pure. draw(figure, result) -> caption: called within one batch update. presets: {name:
    settings}, a button each; what a preset leaves out goes back to its start. jobs: {name: job},
    for what takes longer than a slider may: a button each, with progress and Cancel, which goes
    through job(**settings), a generator of (share done, result), and draws every result. Moves that
    come faster than pictures can be drawn are dropped, but never the last.
    result: what was last computed. error: message of the last failed change from the front end,
    None if it went well. A notebook ends with `assert panel.error is None`.
    """

    def __init__(self, figure, controls, compute, draw, presets=None, first=None, jobs=None):
        figure.update_annotations(
            font_size=None
        )  # plotly's 16 for titles of plots would not grow on a projector
        self.figure, self.controls, self.compute, self.draw = live(figure), controls, compute, draw
        self.presets, self.first, self.jobs = (
            presets or {},
            len(controls) if first is None else first,
            jobs or {},
        )
        self.result = self.error = self._later = self._task = None
        self._rested = 0.0  # when the next picture may be drawn
        self._start, self._size, self._quiet = (
            self.settings(),
            figure.layout.font.size or TEMPLATE.layout.font.size,
            False,
        )
        self.caption, self._row = Caption(), widgets.HBox(layout=dict(flex_flow="row wrap"))
        self._more = widgets.ToggleButton(description="More controls", icon="sliders")
        self._projector = widgets.ToggleButton(description="Projector", icon="desktop")
        self._bar = widgets.FloatProgress(max=1, description="training")
        self._cancel = widgets.Button(description="Cancel", icon="stop", layout=dict(width="auto"))
        self._cancel.on_click(lambda _: self._stop_job())
        self._working = widgets.HBox()
        self.widget = widgets.VBox(
            [self._row, self._buttons(), self._working, self.figure, self.caption]
        )
        for control in controls.values():
            control.layout.max_width, control.layout.margin = (
                "calc(100% - 16px)",
                "2px 12px 2px 2px",
            )  # for narrow pages
            control.observe(self._moved, "value")
        for button in (self._more, self._projector):
            button.observe(self._unfolded, "value")
        self._unfolded()
        self.redraw()

    def _buttons(self):
        buttons = [
            widgets.Button(description=name, layout=dict(width="auto")) for name in self.presets
        ]
        for button, settings in zip(buttons, self.presets.values(), strict=True):
            button.on_click(
                lambda _, settings=settings: self._try(lambda: self.set(**self._start | settings))
            )
        for name in self.jobs:
            buttons.append(widgets.Button(description=name, icon="cogs", layout=dict(width="auto")))
            buttons[-1].on_click(lambda _, name=name: self._start_job(name))
        if len(self.controls) > 1:
            buttons.append(
                widgets.Button(description="Reset", icon="undo", layout=dict(width="auto"))
            )
            buttons[-1].on_click(lambda _: self._try(self.reset))
        if self.first < len(self.controls):
            buttons.append(self._more)
        return widgets.HBox(
            [*buttons, self._projector] if buttons else [], layout=dict(flex_flow="row wrap")
        )

    def _unfolded(self, change=None):
        """Show the controls and the sizes that the two toggles ask for: on a projector large type
        and two controls.
        """
        count = (
            2 if self._projector.value else len(self.controls) if self._more.value else self.first
        )
        self._row.children = list(self.controls.values())[:count]
        self.figure.layout.font.size = self._size + 8 * self._projector.value
        self._say(self._sentence if self.result is not None else "")

    def settings(self):
        """The value of every control."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Move controls from code and draw.

        Raises what the front end would only show, and ValueError for an unknown control or a value
        that its control cannot take; then all controls stay as they were.
        """
        unknown, before = set(settings) - set(self.controls), self.settings()
        if unknown:
            raise ValueError(
                f"this panel has no {', '.join(sorted(unknown))}: its controls are {', '.join(self.controls)}"
            )
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
                    pass  # said below, in words of the lesson
                if self.controls[name].value != value:
                    raise ValueError(
                        f"{name} cannot be {value}: its control is at {self.controls[name].value}"
                    )
        finally:
            self._quiet = False

    def redraw(self):
        """Compute and draw the current settings; a job that was running is cancelled."""
        self._drop()
        started = time.monotonic()
        self._show(self.compute(**self.settings()))
        now = time.monotonic()
        self._rested = now + (now - started) / 2

    def _drop(self):
        """Forget the picture that is due and the job in progress."""
        for due in (self._later, self._task):
            if due:
                due.cancel()
        self._later = self._task = None

    def _show(self, result):
        self.result = result
        with self.figure.batch_update():
            self._sentence = self.draw(self.figure, result)
        self._say(self._sentence)
        self.error = None

    def _say(self, sentence):
        self.caption.value = (
            f"<p style='font-size:{16 + 8 * self._projector.value}px'>{sentence}</p>"
        )

    def _moved(self, change):
        if self._quiet or self._later:
            return  # a picture of the newest positions is already due
        loop, wait = _running_loop(), self._rested - time.monotonic()
        if loop is None or wait <= 0:
            self._try(self.redraw)
        else:
            self._later = loop.call_later(wait, self._try, self.redraw)

    def run(self, name):
        """Go through a job from code, to its end; raises what the button would only show,
        ValueError for an unknown name.
        """
        if name not in self.jobs:
            raise ValueError(
                f"this panel has no job {name!r}: choose one of {', '.join(self.jobs) or 'none'}"
            )
        self._drop()
        for _, result in self.jobs[name](**self.settings()):
            self._show(result)

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
            self._say(f"{self._sentence} Cancelled: this is as far as it came.")

    async def _work(self, name):
        """A job in small steps, so that sliders and Cancel are heard between them."""
        self._bar.value, self._working.children = 0, [self._bar, self._cancel]
        try:
            for done, result in self.jobs[name](**self.settings()):
                self._bar.value = done
                self._show(result)
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
        except Exception as error:  # the front end would swallow it: say it where the student looks
            self._fail(error)

    def _fail(self, error):
        self.error = f"{type(error).__name__}: {error}"
        self.caption.value = f"<b>That did not work.</b> {html.escape(self.error)}"


def _running_loop():
    """The event loop that runs now, as in a kernel, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
