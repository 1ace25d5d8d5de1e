"""What every panel is made of: one way to show widgets, controls bound to one figure, and questions before answers."""
import html

import ipywidgets as widgets
import plotly.graph_objects as go
from IPython.display import display


def show(*parts):
    """Display widgets, figures, tables, HTML and panels under each other: the course's only way to do so, which Colab needs."""
    display(widgets.VBox([_widget(part) for part in parts], layout=dict(width="100%")))


def live(figure):
    """A figure as a widget as wide as the notebook, unless it has a width of its own."""
    widget = go.FigureWidget(figure)
    widget._config = {"responsive": True, "displaylogo": False}  # plotly has no public way to configure a widget
    return widget


def _widget(part):
    if isinstance(part, go.Figure):
        return live(part)
    if isinstance(part, str):
        return widgets.HTML(part)
    if hasattr(part, "_repr_html_"):  # a table
        return widgets.HTML(f"<div class='jp-RenderedHTMLCommon'>{part._repr_html_()}</div>")
    return getattr(part, "widget", part)


class Panel:
    """Controls bound to one figure.

    figure: a plotly figure, drawn once and then only changed. controls: {setting: ipywidget}.
    compute(**settings) -> anything: pure. draw(figure, result) -> caption: called within one batch update.
    result: what was last computed. error: message of the last failed change from the front end, None if it went well. A notebook ends with
    `assert panel.error is None`.
    """

    def __init__(self, figure, controls, compute, draw):
        self.figure, self.controls, self.compute, self.draw = live(figure), controls, compute, draw
        self.result = self.error = None
        self._quiet = False
        self.caption = widgets.HTML()
        self.widget = widgets.VBox([widgets.HBox(list(controls.values()), layout=dict(flex_flow="row wrap")), self.figure, self.caption])
        for control in controls.values():
            control.observe(self._moved, "value")
        self.redraw()

    def settings(self):
        """The value of every control."""
        return {name: control.value for name, control in self.controls.items()}

    def set(self, **settings):
        """Move controls from code and draw; raises what the front end would only show, ValueError for an unknown control."""
        unknown = set(settings) - set(self.controls)
        if unknown:
            raise ValueError(f"this panel has no {', '.join(sorted(unknown))}: its controls are {', '.join(self.controls)}")
        self._quiet = True
        try:
            for name, value in settings.items():
                self.controls[name].value = value
                if self.controls[name].value != value:
                    raise ValueError(f"{name} cannot be {value}: its control goes to {self.controls[name].value}")
        finally:
            self._quiet = False
        self.redraw()

    def redraw(self):
        """Compute and draw the current settings."""
        self.result = self.compute(**self.settings())
        with self.figure.batch_update():
            self.caption.value = f"<p role='status' style='font-size:16px'>{self.draw(self.figure, self.result)}</p>"
        self.error = None

    def _moved(self, change):
        if self._quiet:
            return
        try:
            self.redraw()
        except Exception as error:  # the front end would swallow it: say it where the student looks
            self.error = f"{type(error).__name__}: {error}"
            self.caption.value = f"<p role='alert'><b>That did not work.</b> {html.escape(self.error)}</p>"


class Question:
    """A prediction to commit to: the result stays hidden until an option is chosen, or code calls `reveal`.

    text: the question. options: the answers to choose from. answer: the right one, or None where the result itself
    answers. result: what appears then: a panel, figure, widget or text, or a function that makes one on demand.
    """

    def __init__(self, text, options, result, answer=None, because=""):
        self.options, self.answer, self.because, self._result = list(options), answer, because, result
        self.chosen = self.error = None
        self._choice = widgets.ToggleButtons(options=self.options, value=None, style=dict(button_width="auto"))
        self._shown = widgets.VBox([widgets.HTML("<i>Choose first; then the result appears.</i>")])
        self.widget = widgets.VBox([widgets.HTML(f"<p style='font-size:16px'><b>Your prediction:</b> {text}</p>"), self._choice, self._shown])
        self._choice.observe(self._picked, "value")

    def _picked(self, change):
        if change["new"] is not None and self.chosen is None:
            self.chosen = change["new"]
            try:
                self.reveal()
            except Exception as error:  # as in Panel
                self.error = f"{type(error).__name__}: {error}"
                self._shown.children = [widgets.HTML(f"<b>That did not work.</b> {html.escape(self.error)}")]

    def reveal(self):
        """Show the result, made once, and how the prediction compares if one was made."""
        if callable(self._result):
            self._result = self._result()
        said = ""
        if self.chosen is not None and self.answer is not None:
            said = "You said so." if self.chosen == self.answer else f"You said “{self.chosen}”; it is “{self.answer}”."
        self._shown.children = [widgets.HTML(f"<p role='status' style='font-size:16px'>{said} {self.because}</p>"), _widget(self._result)]
