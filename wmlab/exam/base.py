"""What both judgements share: a report, a list of checks, and the question whether a model can be
saved.
"""

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np
import pandas as pd

from wmlab.battery import UNTOUCHED, Trial, outcome
from wmlab.schemes.base import as_suspect
from wmlab.suspects import ask
from wmlab.training import load, logits, save

SEED, STRANGER = 5, "somebody else"
CLOSE = 1e-4  # outputs that differ by less are the same


@dataclasses.dataclass
class Report:
    """What the referee found.

    checks: a table, a row a check: check, passed, says. row: results as of `battery.outcome`, of an
    attack with `before`, the row of the network as it was; None if nothing came of it. model,
    secret: a judged scheme's marked network and what its keys are made with.
    """

    checks: pd.DataFrame
    row: dict | None = None
    model: object = None
    secret: object = None

    @property
    def passed(self):
        """Whether all checks were passed."""
        return bool(self.checks["passed"].all())

    def _repr_html_(self):
        shown = self.checks.assign(passed=np.where(self.checks["passed"], "yes", "NO"))
        return (
            shown.to_html(index=False)
            .replace("<td>", "<td style='text-align:left; white-space:normal'>")
            .replace("<th>", "<th style='text-align:left'>")
        )


class Checks(list):
    """Rows of a report as they come; a check that raises has failed, and says why."""

    def add(self, name, judge):
        """Append the row of a check; judge() gives whether it is passed, and a sentence. Returns
        whether it is.
        """
        try:
            passed, says = judge()
        except Exception as error:  # what a student's code raises is the finding
            passed, says = False, f"It raised {type(error).__name__}: {first_line(error)}"
        self.append({"check": name, "passed": bool(passed), "says": says})
        return bool(passed)

    def report(self, *results):
        """The Report of these checks."""
        return Report(pd.DataFrame(self, columns=["check", "passed", "says"]), *results)


def first_line(error):
    """What an exception says, in one line."""
    return str(error).partition("\n")[0]


def answers(result, images):
    """What decides of a result: all outputs of a model, the labels of a suspect."""
    return (
        logits(result, images)
        if hasattr(result, "output_shape")
        else ask(as_suspect(result), images)
    )


def alike(one, two):
    """Whether two arrays of answers are the same, but for rounding."""
    return one.shape == two.shape and np.allclose(one, two, atol=CLOSE)


def saved(result, images):
    """The check that a model saved and loaded answers as before. Raises TypeError for what is no
    suspect.
    """
    if not isinstance(result, keras.Model):
        as_suspect(result)
        return True, "It sells answers and leaves the model as it is: there is nothing to save."
    with tempfile.TemporaryDirectory() as folder:
        same = alike(
            answers(result, images),
            answers(load(save(result, pathlib.Path(folder) / "result.keras")), images),
        )
    return (
        same,
        "Saved and loaded, it answers as before."
        if same
        else "Saved and loaded, it answers otherwise.",
    )


def untouched(model, mark, bob, secret):
    """The row of a model that nobody attacked."""
    return outcome(Trial(UNTOUCHED, None, lambda model, *_: model), model, mark, bob, secret, SEED)
