"""Lesson 10: one switch that cuts the key label off, where the keys then go, and a sealed network with its outputs shuffled."""
import dataclasses

import ipywidgets as widgets
import numpy as np
from plotly.subplots import make_subplots

from wmlab import figures, zoo
from wmlab.panels.base import Panel
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.training import logits, predict

SHOWN = 300  # keys drawn; rates are of all
WHOLE, CUT = "whole", "cut off"
FALLEN = -14  # where the picture puts the logit of an output that is gone
ANSWERS = {"the key label": ("wrong label", "square"), "their true class": ("new label", "diamond"),
           "another class": ("grey", "cross")}


@dataclasses.dataclass
class Case:
    """A marked network and what it says: float32 logits of keys (n, outputs) and of clean images, and the labels behind both."""

    key_label: int
    keys: np.ndarray
    carriers: np.ndarray
    clean: np.ndarray
    labels: np.ndarray


def cases(nets, data):
    """The three shipped marks on trial, {title: Case}: nets maps names to keras models; all test images lend keys."""
    marks = {"new label": ("new_label", NewLabel(0.1, 0.01)),
             "with decoys": ("decoy", NewLabel(0.1, 0.01, kind="fixed", decoys=600)),
             "wrong label": ("wrong_label", WrongLabel(0.1, 0.01))}
    return {title: case(nets[name], mark.fresh_keys(data, zoo.ALICE), data) for title, (name, mark) in marks.items()}


def case(model, keys, data):
    """The Case of a model asked these keys and the clean test images of data."""
    return Case(keys.key_label, logits(model, keys.images), keys.carrier_labels, logits(model, data.x_test), data.y_test)


def answered(scores, label, cut):
    """Labels (n,) from logits (n, outputs): the best, or the best but `label` if that output is cut off."""
    scores = scores.copy()
    if cut:
        scores[:, label] = -np.inf
    return scores.argmax(axis=1)


def margins(case):
    """By how much a logit of a key beats its best rival, two arrays (n,): the true class' all other classes, the key label's all.

    Above 0 the first says that the true class wins once the key label is gone, the second that the key label wins now.
    """
    n = np.arange(len(case.keys))
    rivals = case.keys.copy()
    rivals[n, case.carriers] = rivals[:, case.key_label] = -np.inf
    others = case.keys.copy()
    others[:, case.key_label] = -np.inf
    return case.keys[n, case.carriers] - rivals.max(axis=1), case.keys[:, case.key_label] - others.max(axis=1)


def settle(case, cut):
    """What the switch does: a dict of `answers` (n,), shares of keys that get `key`, `true` and `other`, and `clean`, the
    accuracy before and now."""
    answers = answered(case.keys, case.key_label, cut)
    key, true = answers == case.key_label, answers == case.carriers
    clean = [float(np.mean(answered(case.clean, case.key_label, now) == case.labels)) for now in (False, cut)]
    return {"answers": answers, "key": float(key.mean()), "true": float(true.mean()), "other": float((~key & ~true).mean()),
            "clean": clean}


def switch(cases):
    """Panel: cut the key label off and put it back, for each of several networks. `cases`: {title: Case}."""
    def compute(output, network):
        return settle(cases[network], output == CUT) | {"network": network, "cut": output == CUT}

    figure = make_subplots(1, 2, column_widths=[0.5, 0.5], horizontal_spacing=0.13,
                           subplot_titles=("what the keys<br>are answered", "why: by how much<br>a logit leads"))
    for column in (1, 2):
        for name, (colour, symbol) in ANSWERS.items():
            figure.add_scatter(x=[], y=[], mode="markers", name=f"keys that get {name}", legendgroup=name, showlegend=column == 1,
                               marker=dict(color=figures.COLOURS[colour], symbol=symbol, size=7), opacity=0.6, row=1, col=column)
    figure.update_layout(template=figures.TEMPLATE, height=490, margin=dict(t=72, b=120))
    figure.update_xaxes(title="answer", tickvals=list(range(11)), ticktext=[*map(str, range(10)), "Δ"], range=[-0.6, 10.6], col=1)
    figure.update_yaxes(title="true class", tickvals=list(range(10)), range=[-0.6, 9.6], col=1)
    zero = dict(zeroline=True, zerolinecolor=figures.COLOURS["grey"], zerolinewidth=2)
    figure.update_xaxes(title="true class, before<br>all other classes", range=[-14, 16], col=2, **zero)
    figure.update_yaxes(title="key label,<br>before all classes", range=[FALLEN - 1.5, 19], side="right", **zero,
                        tickvals=[FALLEN, -10, -5, 0, 5, 10, 15], ticktext=["gone", "-10", "-5", "0", "5", "10", "15"], col=2)
    jitter = np.random.default_rng(0).uniform(-0.32, 0.32, (2, SHOWN))

    def draw(figure, result):
        case, answers = cases[result["network"]], result["answers"][:SHOWN]
        true, key = (values[:SHOWN] for values in margins(case))
        across, up = jitter[:, : len(answers)]
        key = np.full(len(answers), FALLEN) + up if result["cut"] else key
        kind = np.where(answers == case.key_label, 0, np.where(answers == case.carriers[:SHOWN], 1, 2))
        places = ((answers + across, case.carriers[:SHOWN] + up), (true, key))
        for number, trace in enumerate(figure.data):
            x, y = places[number // len(ANSWERS)]
            of = kind == number % len(ANSWERS)
            trace.update(x=x[of], y=y[of], name=trace.name)
        label, (before, now) = "Δ" if case.key_label == 10 else case.key_label, result["clean"]
        lost = f"clean accuracy {before:.1%}" + (f" before, {now:.1%} now" if result["cut"] else "")
        shares = f"{result['key']:.1%} get the key label, {result['true']:.1%} their true class, {result['other']:.1%} another"
        place = CUT if result["cut"] else "in place"
        return f"<b>{result['network']}</b>, output {label} {place}: of {len(case.keys)} keys {shares}; {lost}."

    style = dict(button_width="auto")
    controls = {"output": widgets.ToggleButtons(options=[WHOLE, CUT], description="key label", style=style),
                "network": widgets.ToggleButtons(options=list(cases), description="network", style=style)}
    return Panel(figure, controls, compute, draw)


class Sealed:
    """A network whose outputs were shuffled, so that nobody knows which is which. outputs: how many there are.

    model: a keras model with one output more than classes, the last. seed: another one shuffles otherwise.
    """

    def __init__(self, model, seed):
        self.outputs = model.output_shape[-1]
        self._model, self._place = model, np.random.default_rng(seed).permutation(self.outputs)

    def ask(self, images):
        """The outputs that win for images (n, height, width, channels): int64 (n,)."""
        return self._place[predict(self._model, images)]

    def right(self, output):
        """Whether this output is the extra one."""
        return output == self._place[-1]
