"""Questions before answers: the result stays hidden until a prediction is made."""

import html

import ipywidgets as widgets

from wmlab.show.page_helper import Caption
from wmlab.show.panel import as_widget


class Question:
    """A prediction to commit to: the result stays hidden until an option is chosen, or code calls
    `reveal`.

    text: the question. options: the answers to choose from. answer: the right one, or None where
    the result itself answers. result: what appears then: a panel, figure, widget or text, or a
    function that makes one on demand.
    """

    def __init__(self, text, options, result, answer=None, because=""):
        self.options, self.answer, self.because, self._result = (
            list(options),
            answer,
            because,
            result,
        )
        self.chosen = self.error = self._made = None
        self._choice = widgets.ToggleButtons(
            options=self.options, value=None, style=dict(button_width="auto")
        )
        self._said, self._shown = (
            Caption("<i>Choose first; then the result appears.</i>"),
            widgets.VBox(),
        )
        self._shown.children = [self._said]
        asked = widgets.HTML(f"<p style='font-size:16px'><b>Your prediction:</b> {text}</p>")
        self.widget = widgets.VBox([asked, self._choice, self._shown])
        self._choice.observe(self._picked, "value")

    def _picked(self, change):
        if change["new"] is not None and self.chosen is None:
            self.chosen = change["new"]
            try:
                self.reveal()
            except Exception as error:  # as in Panel
                self.error = f"{type(error).__name__}: {error}"
                self._said.value = f"<b>That did not work.</b> {html.escape(self.error)}"

    def reveal(self):
        """Show the result, made once, and how the prediction compares if one was made."""
        if self._made is None:
            self._made = as_widget(self._result() if callable(self._result) else self._result)
        said = ""
        if self.chosen is not None and self.answer is not None:
            said = (
                "You said so."
                if self.chosen == self.answer
                else f"You said “{self.chosen}”; it is “{self.answer}”."
            )
        self._said.value = f"<p style='font-size:16px'>{said} {self.because}</p>"
        self._shown.children = [self._said, self._made]
