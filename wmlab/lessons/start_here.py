"""Lesson 00: the case of two sealed services, and a line that shows whether panels move here.

Checks of notebook 00, start here.
"""

import numpy as np

from wmlab.schemes import NewLabel
from wmlab.secret import Secret
from wmlab.show import Question, figures, tables
from wmlab.show.answers import number
from wmlab.show.controls import slider
from wmlab.show.panel import Panel
from wmlab.suspects import LocalSuspect


class Case:
    """Two services, A and B, of which one runs Alice's model; one key to ask each.

    models: the shipped models. data: a Dataset with test images nobody trained on. secret: Alice's.
    verdicts: {service: Verdict} after the `hearing`.
    """

    def __init__(self, models, data, secret):
        sealed = [models["new_label"], models["unmarked_0"]]
        if Secret(secret).rng("who is who").uniform(1)[0] < 0.5:
            sealed.reverse()
        self.suspects = dict(zip("AB", map(LocalSuspect, sealed), strict=True))
        self.secret, self.scheme, self.verdicts = secret, NewLabel(alpha=0.1, beta=0.01), {}
        seven = np.flatnonzero(data.y_test == 7)[:1]
        self.images, self.labels = data.x_test[seven], data.y_test[seven]

    def picture(self):
        """The clean digit and Alice's key, as HTML."""
        shown = self.scheme.picture(self.images, self.labels, self.secret)
        both = np.concatenate([shown["clean"], shown["key"]])
        return figures.pictures({"": both}, {"": ["a digit", "Alice's picture"]}, size=224)

    def hearing(self):
        """Ask each service the one key; what each answered, and the verdict, as HTML."""
        titled = {}
        for name, suspect in self.suspects.items():
            heard = _Heard(suspect)
            self.verdicts[name] = self.scheme.verify(
                heard, self.images, self.labels, self.secret, stream="picture", n=1
            )
            titled[f"Service {name} answered {heard.said[0]}"] = self.verdicts[name]
        return tables.verdict_list(titled)


class _Heard:
    """A suspect whose last answers are kept in `said`."""

    def __init__(self, suspect):
        self.suspect, self.said = suspect, None

    def ask(self, images):
        self.said = self.suspect.ask(images)
        return self.said


def moving_line():
    """Panel: a slider for the height, from -1 to 1, at which a line ends."""
    look = figures.looks(["unmarked"])["unmarked"]
    axes = dict(xaxis=dict(range=[-0.02, 1.02]), yaxis=dict(range=[-1.1, 1.1]))

    def picture(end):
        trace = figures.points([0, 1], [0, end], "the line", look, legend=False)
        goes = "rises" if end > 0 else "falls" if end < 0 else "is level"
        said = f"The line {goes} and ends at {end:.1f}."
        return figures.figure([trace], 300, margin=dict(t=20, b=40), **axes), said

    return Panel(picture, end=slider(0.5, -1, 1, 0.1, "where it ends"))


def can_one_answer_prove_theft(case):
    """Question of the first case; opens on its hearing."""
    return Question(
        "can <i>one answer</i> prove theft?",
        ["no, never", "yes, if no innocent network can give it", "only together with many others"],
        case.hearing,
        answer="yes, if no innocent network can give it",
        because="This is what the two services answered to the one picture, and what follows for "
        "Alice's claim. Whether an innocent network could answer so is what the course is about.",
    )


def how_many_keys(verdicts, results):
    """Question before one's own proof. verdicts: {network: Verdict}; results: of its Run."""
    return Question(
        "how many keys does the proof against your network take?",
        ["one to three", "about ten", "all forty"],
        tables.verdict_list(verdicts),
        answer="one to three",
        because=f"Of all fresh keys, your network answers {results['fresh_key_accuracy']:.1%} with "
        "label 10.",
    )


def _all_miss(answer, p=0.9):
    miss = 1 - p
    praise = (
        f"Each key misses with probability 1 - p = {miss:.2g}, and three in a row with {miss:.2g}³ "
        f"= {miss**3:.2g}."
    )
    hit = "That is the probability that all three hit. What is the probability that one key misses?"
    hint = (
        "The keys are answered independently of each other: multiply one probability three times."
    )
    return number(answer, miss**3, praise, [(p**3, hit)], hint)


CHECKS = {"00.1": _all_miss}
