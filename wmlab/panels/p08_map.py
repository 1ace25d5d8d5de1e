"""Lesson 08, the map: what every recorded fine-tuning costs Bob, and what it leaves of the mark."""
import itertools

import ipywidgets as widgets
import numpy as np
from plotly.subplots import make_subplots

from wmlab import figures
from wmlab.panels.base import Panel
from wmlab.panels.p07_records import limit
from wmlab.panels.p08 import BEFORE, EPOCHS, MARKS, power

SETTING = ["attack", "strength", "epochs", "images"]
ALONG = {"learning rate": "strength", "epochs": "epochs", "images": "images"}
VARIED = (1e-4, 1e-3, 1e-2)  # rates at which epochs and images were varied
SIDES = ("middle right", "middle left", "top right", "top left")  # of a mark, for the text of a path
FARTHEST, LEAST, MOST = 20, -5, 15  # points: losses beyond FARTHEST are not told apart; ends of the picture and of the slider


def settings(table):
    """What each setting did to the networks of each scheme, a row each: runs, and the means of lost (points) and keys, and
    acquitted, the share of runs that Ver no longer calls marked."""
    rows = table[table.attack != BEFORE].assign(acquitted=table.decision == "not marked")
    return rows.groupby(["scheme", *SETTING]).agg(runs=("seed", "size"), lost=("lost", "mean"), keys=("fresh_key_accuracy", "mean"),
                                                  acquitted=("acquitted", "mean")).reset_index()


def removed(means, scheme, loss):
    """The settings, rows of `settings`, that lose at most so many points on average and after which Ver acquits most runs."""
    return means[(means.scheme == scheme) & (means.lost <= loss) & (means.acquitted > 0.5)]


def paths(means, along):
    """Settings that differ in one thing alone, in its order: {name: rows of `settings`}. means: of one scheme."""
    full, tuned = means.images == means.images.max(), means.attack == "FTAL"
    if along == "learning rate":
        return {mode: means[(means.attack == mode) & full & (means.epochs == EPOCHS)].sort_values("strength")
                for mode in ("FTAL", "FTLL", "FTAL, SGD", "REFIT")}
    fixed = full if along == "epochs" else means.epochs == EPOCHS
    return {f"FTAL at {power(rate)}": means[tuned & fixed & (means.strength == rate)].sort_values(along) for rate in VARIED}


def described(row):
    """A setting in words: a row of `settings`."""
    return f"{row.attack} at {power(row.strength)}, {row.epochs} epochs, {row.images} images"


def frontier(tables):
    """Panel: clean accuracy lost against keys left, a scheme a plot and a dot a setting; the loss that Bob bears is a line to drag.

    tables: as `p08.on_record` gives them. Lines join settings that differ in one thing. Shaded: within Bob's loss, and Ver is
    more likely to acquit than to convict. Its `result` has settings, paths, removed, loss and along.
    """
    def compute(loss, along, on):
        means = settings(tables[on])
        return {"loss": loss, "along": along, "settings": means, "removed": {name: removed(means, name, loss) for name in MARKS},
                "paths": {name: paths(means[means.scheme == name], along) for name in MARKS}}

    controls = {
        "loss": widgets.FloatSlider(value=2, min=0, max=MOST, step=0.5, description="loss that Bob bears, points",
                                    style=dict(description_width="initial"), layout=dict(width="480px")),
        "along": widgets.ToggleButtons(options=list(ALONG), description="lines over", style=dict(button_width="auto")),
        "on": widgets.ToggleButtons(options=list(tables), description="trained on", style=dict(button_width="auto")),
    }
    panel = Panel(_figure(), controls, compute, _draw, first=2)

    def dragged(_, shapes):
        """A line that was dragged in the picture moves the slider, to the nearest half point."""
        moved = next((end for line in shapes[1::2] for end in (line.x0, line.x1) if end != controls["loss"].value), None)
        if moved is not None:
            panel.set(loss=float(np.clip(round(2 * moved) / 2, 0, MOST)))

    panel.figure._config = panel.figure._config | {"edits": {"shapePosition": True}}  # else the marks keep the mouse from the line
    panel.figure.layout.on_change(dragged, "shapes")
    return panel


def _figure():
    figure = make_subplots(1, len(MARKS), shared_yaxes=True, subplot_titles=list(MARKS), horizontal_spacing=0.04)
    looks = figures.SPARE
    for place, _ in enumerate(MARKS, 1):
        figure.add_scatter(x=[], y=[], mode="markers", name="every setting", showlegend=False, row=1, col=place,
                           marker=dict(color=figures.COLOURS["grey"], size=7), opacity=0.5,
                           hovertemplate="%{text}: %{customdata:.1f} points, %{y:.1%}<extra></extra>")
        for number, look in enumerate(looks):
            drawn = figures.line(look)
            figure.add_scatter(x=[], y=[], mode="lines+markers+text", legendgroup=str(number), showlegend=place == 1, name=" ",
                               textposition=SIDES[number], hoverinfo="skip", cliponaxis=False,
                               line=drawn["line"] | {"width": 1.5}, marker=drawn["marker"] | {"color": look["color"], "size": 10},
                               row=1, col=place)
    for place, name in enumerate(MARKS, 1):
        figure.add_shape(type="rect", x0=LEAST, x1=0, y0=-0.06, y1=limit(name), fillcolor=figures.COLOURS["unmarked"], opacity=0.25,
                         line_width=0, layer="below", row=1, col=place)
        figure.add_shape(type="line", x0=0, x1=0, y0=-0.06, y1=1.06, row=1, col=place,
                         line=dict(color=figures.COLOURS["unmarked"], dash="dash", width=4))
    figure.update_layout(template=figures.TEMPLATE, height=500)
    figure.update_yaxes(range=[-0.06, 1.06], tickformat=".0%").update_yaxes(title="fresh keys left", col=1)
    figure.update_xaxes(title="clean accuracy<br>lost, points", range=[LEAST, FARTHEST + 3], tickvals=[0, 5, 10, 15, FARTHEST],
                        ticktext=["0", "5", "10", "15", f"≥ {FARTHEST}"])
    return figure


def _draw(figure, values):
    traces, column, parts = iter(figure.data), ALONG[values["along"]], []
    for name in MARKS:
        means = values["settings"][values["settings"].scheme == name]
        next(traces).update(x=means.lost.clip(LEAST, FARTHEST).tolist(), y=means["keys"].tolist(), name="every setting",
                            customdata=means.lost.tolist(), text=[described(row) for row in means.itertuples()])
        drawn = [*values["paths"][name].items(), *[(" ", means[:0])] * 4]
        for label, rows in itertools.islice(drawn, 4):
            # where nearly all keys are left the settings lie upon each other
            texts = [(power(value) if column == "strength" else str(value)) if keys < 0.9 else ""
                     for value, keys in zip(rows[column], rows["keys"], strict=True)]
            next(traces).update(x=rows.lost.clip(LEAST, FARTHEST).tolist(), y=rows["keys"].tolist(), text=texts, name=label)
        parts.append(f"{len(values['removed'][name])} of {len(means)} settings remove the {name}")
    for place in range(len(MARKS)):
        rectangle, line = figure.layout.shapes[2 * place : 2 * place + 2]
        rectangle.x1 = line.x0 = line.x1 = values["loss"]
        line.y0, line.y1 = -0.06, 1.06
    return f"For at most {values['loss']:g} points of clean accuracy, {' and '.join(parts)}."
