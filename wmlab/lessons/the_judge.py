"""Lesson 06: evidence that builds up answer by answer, p-values where there is nothing to find, and
a courtroom.

Checks of notebook 06, the judge.
"""

import math

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import records
from wmlab.schemes.innocents import Reject
from wmlab.secret import Secret
from wmlab.show import figures
from wmlab.show.old_panel import Panel
from wmlab.suspects import LocalSuspect, ask
from wmlab.verification import Chance, Impossible, Measured

SHOWN, NEVER = 1e-8, 1e-9  # p-values below the one are drawn at it, "impossible" at the other
NULLS = {
    "impossible": "new label",
    "chance": "grey",
    "measured": "unmarked",
}  # a curve each, and its colour
NEW = 10  # the new label of ten digits


class Purchase:
    """Answers bought from a suspect key by key, each of them once. labels: those so far."""

    def __init__(self, suspect, keys):
        self.suspect, self.keys, self.labels = suspect, keys, []

    def hits(self, n):
        """Hits among the first n keys, cumulated: int64 (n,). Buys the answers that are still
        missing, one by one.
        """
        for i in range(len(self.labels), n):
            self.labels.append(int(ask(self.suspect, self.keys.images[i : i + 1])[0]))
        return np.cumsum(np.array(self.labels[:n]) == self.keys.key_label)


def weighed(hits, keys, nulls):
    """p-value after each answer under each null, {name: float64 (n,)}: 1 before the first hit;
    "impossible" is 0.
    """
    values = {}
    for name, null in nulls.items():
        found = [null.weigh(int(h), n, keys)[0] if h else 1.0 for n, h in enumerate(hits, 1)]
        values[name] = np.array([0.0 if p == "impossible" else p for p in found])
    return values


def evidence(cases, nulls):
    """Panel: a slider buys answers; p-values under every null follow, and innocent networks stand
    behind as dots.

    cases: {title: (suspect, keys)}, a column each. nulls: {name: {title: {name of null: null}}}, to
    choose between; each has a "measured" one for every case, whose networks are the dots. Its
    `result` has for every case hits (cumulated), labels, p (of `weighed`) and innocent (hits of
    every network among as many keys).
    """
    bought = {title: Purchase(*case) for title, case in cases.items()}
    most = min(len(keys) for _, keys in cases.values())

    def compute(n, innocents):
        result = {"n": n, "nulls": nulls[innocents]}
        for title, purchase in bought.items():
            hits = purchase.hits(n)
            result[title] = {
                "hits": hits,
                "labels": purchase.labels[:n],
                "keys": purchase.keys,
                "p": weighed(hits, purchase.keys, nulls[innocents][title]),
                "innocent": nulls[innocents][title]["measured"].answered[:, :n].sum(axis=1),
            }
        return result

    figure = make_subplots(
        3,
        len(cases),
        subplot_titles=list(cases),
        row_heights=[0.14, 0.5, 0.36],
        vertical_spacing=0.12,
        shared_yaxes=True,
    )
    for column, _ in enumerate(cases, 1):
        for look, symbol in (
            ("grey", "circle-open"),
            ("wrong label", "diamond"),
        ):  # misses and hits
            figure.add_scatter(
                x=[],
                y=[],
                mode="markers+text",
                textposition="top center",
                showlegend=False,
                row=1,
                col=column,
                marker=dict(color=figures.COLOURS[look], symbol=symbol, size=9),
            )
        for name, look in NULLS.items():
            drawn = dict(
                color=figures.COLOURS[look],
                dash=dict(chance="dash", measured="solid", impossible="dot")[name],
            )
            figure.add_scatter(
                x=[],
                y=[],
                mode="lines+markers",
                name=f"p, {name}",
                legendgroup=name,
                showlegend=column == 1,
                line=drawn | {"width": 3},
                row=2,
                col=column,
            )
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name="an innocent network",
            legendgroup="dots",
            showlegend=column == 1,
            marker=dict(color=figures.COLOURS["unmarked"], size=5),
            opacity=0.7,
            row=3,
            col=column,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name="the suspect",
            legendgroup="suspect",
            showlegend=column == 1,
            marker=dict(color=figures.COLOURS["wrong label"], symbol="diamond", size=14),
            row=3,
            col=column,
        )
    figure.update_layout(template=figures.TEMPLATE, height=800, margin=dict(l=120, b=110))
    figure.update_xaxes(range=[0, most + 0.8], title_standoff=5).update_xaxes(
        showticklabels=False, row=1
    )
    figure.update_xaxes(title_text="answers bought", row=2)
    figure.update_xaxes(range=[-0.8, most + 0.8], title_text="hits among<br>as many keys", row=3)
    figure.update_yaxes(visible=False, range=[-0.6, 1.6], row=1)
    ticks = {
        NEVER: "impossible",
        SHOWN: "10⁻⁸ or less",
        1e-6: "10⁻⁶",
        1e-4: "10⁻⁴",
        0.05: "0.05",
        1: "1",
    }
    figure.update_yaxes(
        type="log", range=[-9.5, 0.5], tickvals=list(ticks), ticktext=list(ticks.values()), row=2
    )
    figure.update_yaxes(range=[-8, 66], tickvals=[0, 20, 40, 60], row=3).update_yaxes(
        title="p-value", row=2, col=1
    )
    figure.update_yaxes(title="networks", row=3, col=1)
    figure.add_hline(
        y=0.05, row=2, col="all", line=dict(color=figures.COLOURS["grey"], width=1, dash="dot")
    )

    def draw(figure, result):
        traces, n = iter(figure.data), result["n"]
        for title in cases:
            case = result[title]
            hit, at = np.diff(case["hits"], prepend=0).astype(bool), np.arange(1, n + 1)
            text = np.array(
                ["Δ" if label == NEW else str(label) for label in case["labels"]], object
            )
            for those in (
                ~hit,
                hit,
            ):  # a trace each: a marker that is changed in one trace loses its look in all others
                next(traces).update(x=at[those], y=np.zeros(those.sum()), text=text[those].tolist())
            for name in NULLS:
                p = case["p"].get(name, np.empty(0))
                next(traces).update(x=at[: len(p)], y=np.where(p == 0, NEVER, np.maximum(p, SHOWN)))
            dots, order = case["innocent"], np.argsort(case["innocent"], kind="stable")
            height = np.empty(len(dots))
            height[order] = (
                np.arange(len(dots)) - np.searchsorted(dots[order], dots[order]) + 1
            )  # stacked over each number
            next(traces).update(x=dots, y=height)
            next(traces).update(x=[int(case["hits"][-1]) if n else 0], y=[-4])
        return said(cases, result)

    slider = widgets.IntSlider(
        0,
        min=0,
        max=most,
        description="answers bought",
        style=dict(description_width="initial"),
        layout=dict(width="420px"),
    )
    innocents = widgets.ToggleButtons(
        options=list(nulls), description="innocents", style=dict(button_width="auto")
    )
    controls = {"n": slider, "innocents": innocents}
    panel = Panel(figure, controls, compute, draw)
    play = widgets.Play(value=0, min=0, max=most, interval=700)  # buys one after the other
    widgets.jslink((play, "value"), (slider, "value"))
    panel.widget.children = [play, *panel.widget.children]
    return panel


def said(cases, result):
    """The state of a trial in words: for each case hits and the p-value under every null."""
    n, parts = result["n"], []
    if not n:
        return "No answer is bought yet: move the slider, or press play."
    for title, (suspect, _) in cases.items():
        case, hits = result[title], int(result[title]["hits"][-1])
        values = [f"{name} p = {p[-1]:.2g}" if p[-1] else name for name, p in case["p"].items()]
        floor = 1 / (1 + len(case["innocent"]))
        limit = (
            f" (the least that {len(case['innocent'])} networks can give)"
            if case["p"]["measured"][-1] == floor
            else ""
        )
        weight = f"{', '.join(values)}{limit}" if hits else "nothing to explain"
        parts.append(
            f"<b>{title}</b>: {hits} of {n} hit; {weight}; {len(case['labels'])} answers, {suspect.cost:.2f} paid in all"
        )
    return ". ".join(parts) + "."


def nulls(innocent):
    """The nulls for both marks, {title: {name: null}}, from labels (networks, keys) that innocent
    networks gave to the keys.
    """
    return {
        "new label": {
            "impossible": Impossible(),
            "chance": Chance(NEW + 1),
            "measured": Measured(innocent == NEW),
        },
        "wrong label": {"chance": Chance(NEW), "measured": Measured(innocent == 0)},
    }


def histogram(values, level=0.05, bins=20):
    """p-values that innocent suspects got, {name: values in [0, 1]}, as shares of bins beside what
    an honest one may give.
    """
    edges = np.linspace(0, 1, bins + 1)
    figure = make_subplots(1, len(values), subplot_titles=list(values), shared_yaxes=True)
    for column, (name, p) in enumerate(values.items(), 1):
        share = np.histogram(p, edges)[0] / len(p)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=share,
            name=name,
            width=0.9 / bins,
            showlegend=False,
            row=1,
            col=column,
            marker_color=[
                figures.COLOURS["wrong label" if high <= level else "unmarked"]
                for high in edges[1:] - 1e-9
            ],
        )
        figure.add_hline(
            y=1 / bins, row=1, col=column, line=dict(color=figures.COLOURS["grey"], dash="dash")
        )
    figure.update_xaxes(title="p-value of an<br>innocent suspect", range=[0, 1])
    figure.update_yaxes(title="share of suspects", tickformat=".0%", col=1)
    return figure.update_layout(template=figures.TEMPLATE, height=340, margin=dict(b=70))


def kinds(table, n=40):
    """What recorded networks of each kind answered to the public keys, and how many the paper's
    rule convicts within n keys.
    """
    rows, says = {}, records.answers(table) == NEW
    for name in ["unmarked", *sorted(set(table.scheme) - {"unmarked"})]:
        of = (table.scheme == name).to_numpy()
        hits = says[of].sum(axis=1)
        rows[name] = {
            "networks": of.sum(),
            "clean accuracy, mean": f"{table[of].clean_accuracy.mean():.1%}",
            f"Δ on {says.shape[1]} keys": f"{hits.min()} to {hits.max()}",
            f"convicted by one hit in {n}": says[of][:, :n].any(axis=1).sum(),
        }
    return pd.DataFrame(rows).T


def junk(data, n):
    """n images that are no digits: float32 (n, height, width, 1) in [0, 1]."""
    return Reject().rejected(data, "the court's junk", n)


class Court:
    """Four sealed suspects, A to D, and a budget of answers for all of them together.

    models: the shipped models. seed: another one seals them in another order. left: answers that
    may still be bought.
    """

    WHO = {
        "Alice's mark": "decoy",
        "someone else's mark": "other_owner",
        "rejects noise": "reject_class",
        "unmarked": "unmarked_2",
    }

    def __init__(self, models, seed, budget=40):
        order = Secret(f"court {seed}").rng("sealed").permutation(4)
        who = np.array(list(self.WHO))[order]
        self._sealed = {
            name: (str(kind), LocalSuspect(models[self.WHO[kind]]))
            for name, kind in zip("ABCD", who, strict=True)
        }
        self.names, self.budget = list(self._sealed), budget

    @property
    def left(self):
        """Answers that the court still pays for."""
        return self.budget - sum(suspect.queries for _, suspect in self._sealed.values())

    def ask(self, name, images):
        """Labels that a suspect, "A" to "D", gives to images: int64 (n,). Raises ValueError beyond
        the budget.
        """
        if name not in self._sealed:
            raise ValueError(f"there is no suspect {name!r}: they are {', '.join(self.names)}")
        if len(images) > self.left:
            raise ValueError(
                f"the court pays for {self.left} more answers, not for {len(images)}: ask with fewer images, "
                "or make a new Court"
            )
        return ask(self._sealed[name][1], images)

    def right(self, answer):
        """How many of the four a verdict {name: who} names rightly."""
        return sum(kind == answer.get(name) for name, (kind, _) in self._sealed.items())


def _enough_networks(answer):
    if answer == 99:
        return True, "1/(99 + 1) = 0.01. More keys would not help: it is networks that are counted."
    if answer == 100:
        return False, "One too many: the suspect counts among them, as the one in 1/(n + 1)."
    return False, "With n networks, none of which hit as often, the rank p is 1/(n + 1)."


def _corrected(answer):
    if math.isclose(answer, 0.08):
        return (
            True,
            "Ten sets, ten chances: 10 × 0.008 = 0.08 (Bonferroni). That convicts nobody at the 5 % level.",
        )
    return (
        False,
        "Each of the ten sets had its chance of a p so small. Multiply, or have her make fresh keys.",
    )


def _court(answer, court):
    if (
        not isinstance(answer, dict)
        or set(answer) != set(court.names)
        or not set(answer.values()) <= set(court.WHO)
    ):
        return False, f"Hand in a dict from {', '.join(court.names)} to {', '.join(court.WHO)}."
    if (right := court.right(answer)) == 4:
        return (
            True,
            f"All four, and {court.left} answers are left. No single kind of picture would have done.",
        )
    return (
        False,
        f"{right} of 4. Who answers Δ to her pattern, who to a stranger's too, and who only to what is no digit?",
    )


CHECKS = {"06.1": _enough_networks, "06.2": _corrected, "06.3": _court}
