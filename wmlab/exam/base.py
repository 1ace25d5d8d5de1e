"""What both exams share: a report, a list of checks, and the check that a model can be saved."""

import dataclasses
import pathlib
import tempfile

import keras
import numpy as np
import pandas as pd

from wmlab import zoo
from wmlab.battery import UNTOUCHED, Trial, outcome
from wmlab.schemes import NewLabel, Unmarked
from wmlab.schemes.base import as_suspect
from wmlab.suspects import ask
from wmlab.training import load, logits, save

SEED, STRANGER = 5, "somebody else"
CLOSE = 1e-4  # outputs that differ by less are the same


@dataclasses.dataclass
class Report:
    """The result of an exam.

    checks: a DataFrame with columns check, passed, says. row: results as of `battery.outcome`; for
    an attack with `before`, the row of the network before it; None if the attack or scheme failed.
    model, secret: of a scheme, its marked network and the secret of its keys.
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
    """The rows of a report. A check that raises has failed, and its row says why."""

    def add(self, name, judge):
        """Append the row of a check, and return whether it is passed. judge: a function that
        returns that and a sentence.
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
    """The first line of what an exception says."""
    return str(error).partition("\n")[0]


def answers(result, images):
    """What is compared of a result: all outputs of a model, or the labels of a suspect."""
    if hasattr(result, "output_shape"):
        return logits(result, images)
    return ask(as_suspect(result), images)


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
        loaded = load(save(result, pathlib.Path(folder) / "result.keras"))
    same = alike(answers(result, images), answers(loaded, images))
    return same, f"Saved and loaded, it answers {'as before' if same else 'otherwise'}."


def public(data, recipe):
    """A network marked with a secret that is public, its mark, and innocent networks by name: those
    that ship with the course, or, for data of one's own, trained here.
    """
    mark = NewLabel(0.1, 0.01, classes=data.classes)
    if data.name == "mnist":
        shipped = zoo.models()
        names = [name for name in shipped if name.startswith("unmarked")]
        return shipped["new_label"], mark, {name: shipped[name] for name in names}
    marked = mark.embed(data, zoo.ALICE, recipe, seed=SEED + 1).model
    innocent = Unmarked(data.classes).embed(data, "", recipe, seed=SEED + 2).model
    return marked, mark, {"unmarked_0": innocent}


def untouched(model, mark, bob, secret):
    """The row of results of a model that nobody attacked."""
    return outcome(Trial(UNTOUCHED, None, lambda model, *_: model), model, mark, bob, secret, SEED)
