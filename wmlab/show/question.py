"""Questions before answers: the result stays hidden until a prediction is made."""

import html
import os

import ipywidgets as widgets

from wmlab.show.page_helper import Caption
from wmlab.show.panel import as_widget

predictions = []  # of this kernel: {"question", "said", "right"}, the last None if nobody knows


class Question:
    """A prediction to commit to: the result stays hidden until an option is chosen.

    Args:
        text: the question.
        options: the answers to choose from.
        result: what appears then: a panel, figure, widget or text, or a function that makes one.
        answer: the right option, or None where the reader compares with the result.
        because: a sentence for below the answer.
    """

    def __init__(self, text, options, result, answer=None, because=""):
        self.text, self.options, self.answer, self.because = text, list(options), answer, because
        self.chosen = self.error = self._made = None
        self._peeked = False  # shown without a guess: a choice after that is no prediction
        self._result = result
        self._choice = widgets.ToggleButtons(
            options=self.options, value=None, style=dict(button_width="auto")
        )
        narrow = dict(width="auto", align_self="flex-start")
        self._skip = widgets.Button(description="Show without guessing", layout=narrow)
        self._said = Caption("<i>Choose first; then the result appears.</i>")
        self._shown = widgets.VBox([self._said, self._skip])
        asked = widgets.HTML(f"<p style='font-size:16px'><b>Your prediction:</b> {text}</p>")
        self.widget = widgets.VBox([asked, self._choice, self._shown])
        self._choice.observe(self._picked, "value")
        self._skip.on_click(lambda _: self._peek())

    def reveal(self):
        """Make the result, and show it if an option was chosen; a prediction that is still open
        stays so. With the environment variable WMLAB_WATCH=1 it is shown in any case.
        """
        self._make()
        if self.chosen is not None or os.environ.get("WMLAB_WATCH") == "1":
            self._show()

    def _peek(self):
        self._peeked = self.chosen is None
        self._open()

    def _picked(self, change):
        if self._peeked:
            self._tell("You saw the result first, so a choice is no prediction. ")
        elif self.chosen is None and change["new"] is not None:
            self.chosen = change["new"]
            right = None if self.answer is None else self.chosen == self.answer
            predictions.append({"question": self.text, "said": self.chosen, "right": right})
            self._open()
        elif change["new"] not in (None, self.chosen):
            self._tell(f"Your first choice counts: “{html.escape(self.chosen)}”. ")

    def _open(self):
        try:
            self._make()
            self._show()
        except Exception as error:  # a traceback from a click would be lost, as in Panel
            self.error = f"{type(error).__name__}: {error}"
            self._said.value = f"<b>That did not work.</b> {html.escape(self.error)}"

    def _make(self):
        if self._made is None:
            self._made = as_widget(self._result() if callable(self._result) else self._result)

    def _show(self):
        self._tell()
        self._shown.children = [self._said, self._made]

    def _tell(self, first=""):
        guess, answer = (self.chosen and html.escape(self.chosen), html.escape(self.answer or ""))
        if guess is None:
            said = f"The answer: “{answer}”." if answer else ""
        elif not answer:
            said = f"You said “{guess}”. Compare it with the result."
        elif self.chosen == self.answer:
            said = f"✓ Right: “{answer}”."
        else:
            said = f"✗ You said “{guess}”; the answer is “{answer}”."
        self._said.value = f"<p style='font-size:16px'>{first}{said} {self.because}</p>"
