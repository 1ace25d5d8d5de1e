"""Panels of notebook 01: three decision maps that follow the sliders, and the trail of twist against key accuracy."""
import dataclasses

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import figures, toy
from wmlab.panels.base import Panel

HEADS = ("unmarked", "wrong label", "new label")
FILLS = ("#9CC9E6", "#F6D68A", "#C9C9C9", "#8FD3BC")  # pale relatives of Okabe and Ito's colours
SYMBOLS = ("circle", "square", "triangle-up")
POINT_COLOURS = ("#0072B2", "#B77900", "#4D4D4D")
TRAIL = 60  # settings the trail goes back


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one head makes of a world and its keys; shares in [0, 1].

    w: the output layer. accuracy: on held-out points. hits: fresh keys that get the key label. twist: share of held-out
    points decided otherwise among the original classes; twist_all: the same, an answer Δ counted as a change.
    """

    w: np.ndarray
    accuracy: float
    hits: float
    twist: float
    twist_all: float


def fit_all(world, embedded, fresh, kind):
    """The three heads fitted on a world and its keys: {head: Outcome}."""
    x, held, keys, unseen = (toy.features(points, kind) for points in (world.points, world.held_points, embedded, fresh))
    unmarked, outcomes = toy.fit(x, world.labels, world.classes), {}
    for name, label in zip(HEADS, (None, toy.TARGET, world.classes), strict=True):
        w = unmarked
        if label is not None:
            labels = np.r_[world.labels, np.full(len(keys), label)]
            w = toy.fit(np.r_[x, keys], labels, labels.max() + 1)
        outcomes[name] = Outcome(
            w, accuracy=float(np.mean(toy.decide(held, w) == world.held_labels)),
            hits=float(np.mean(toy.decide(unseen, w) == (label or toy.TARGET))),
            **dict(zip(("twist", "twist_all"), toy.twist(held, unmarked, w), strict=True)))
    return outcomes


def settle(strength=0.9, distance=3.2, angle=270, count=40, overlap=0.7, seed=0, features="flat"):
    """The toy at one setting of the panel: (world, embedded keys, {head: Outcome}).

    strength in [0, 1]; distance of the keys' cloud from the middle, in units of the plane, and its angle in degrees;
    count of keys; overlap, the classes' standard deviation; features as in `toy.features`.
    """
    world = toy.blobs(overlap, seed)
    centre = distance * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    embedded, fresh = toy.keys(world, count, strength, centre, seed)
    return world, embedded, fit_all(world, embedded, fresh, features)


def _figure():
    """Three empty maps: in each four regions, the unmarked boundary, points of three classes, and keys; the trail below."""
    figure = make_subplots(2, 3, subplot_titles=(*HEADS, "where the settings so far have led"), horizontal_spacing=0.02,
                           vertical_spacing=0.14, row_heights=[0.62, 0.38], specs=[[{}, {}, {}], [{"colspan": 3}, None, None]])
    for column in (1, 2, 3):
        look = dict(row=1, col=column, hoverinfo="skip")
        for fill in FILLS:
            figure.add_scatter(fill="toself", fillcolor=fill, mode="lines", line=dict(color="#555555", width=1.5),
                               showlegend=False, **look)
        figure.add_scatter(mode="lines", line=dict(color="black", width=2, dash="dot"), name="unmarked boundary",
                           showlegend=column == 2, **look)
        for k, symbol in enumerate(SYMBOLS):
            figure.add_scatter(mode="markers", name=f"class {k}", showlegend=column == 1, legendgroup=str(k), **look,
                               marker=dict(symbol=symbol, size=6, color=POINT_COLOURS[k], line=dict(width=0.5, color="white")))
        figure.add_scatter(mode="markers", name="keys", showlegend=column == 2, **look,
                           marker=dict(symbol="x", size=8, color="#D55E00", line=dict(width=1, color="white")))
    for name in HEADS[1:]:
        figure.add_scatter(mode="lines+markers", name=name, showlegend=True, row=2, col=1,
                           line=dict(color=figures.COLOURS[name], width=1), marker=dict(symbol=figures.MARKERS[name], size=8))
    sides = dict(range=[-toy.BOX, toy.BOX], showticklabels=False, showgrid=False, fixedrange=True, row=1)
    figure.update_xaxes(**sides).update_yaxes(**sides)
    figure.update_xaxes(title="twist: share of held-out points decided otherwise", range=[-0.005, 0.3], tickformat=".0%", row=2)
    figure.update_yaxes(title="fresh keys hit", range=[-0.05, 1.05], tickformat=".0%", row=2)
    return figure.update_layout(template=figures.TEMPLATE, height=710, margin=dict(l=80, r=20, t=60, b=110))


def _joined(lines):
    """Lines (m, 2) as one, with gaps between them: x and y."""
    return np.concatenate([np.empty((0, 2)), *(np.r_[line, [[np.nan, np.nan]]] for line in lines)]).T


def _draw(figure, result, trail):
    world, embedded, outcomes, features = result
    unmarked = _joined(toy.boundary(outcomes["unmarked"].w, world.classes, features))
    traces = iter(figure.data)
    for name, outcome in outcomes.items():
        outlines = toy.regions(outcome.w, features)
        for outline in outlines + [np.empty((0, 2))] * (len(FILLS) - len(outlines)):
            _put(next(traces), outline.T)
        _put(next(traces), unmarked if name != "unmarked" else ([], []))
        for k in range(len(SYMBOLS)):
            _put(next(traces), world.points[world.labels == k].T)
        _put(next(traces), embedded.T if name != "unmarked" else ([], []))
    for name in HEADS[1:]:
        trail[name] = [*trail.get(name, [])[1 - TRAIL :], (outcomes[name].twist, outcomes[name].hits)]
        _put(next(traces), np.transpose(trail[name]))
    says = [f"the <b>{name}</b> hits {outcomes[name].hits:.0%} of fresh keys and twists {outcomes[name].twist:.1%} of decisions"
            for name in HEADS[1:]]
    return f"{'; '.join(says)} ({outcomes['new label'].twist_all:.1%} if an answer Δ counts as a change)."


def _put(trace, points):
    trace.x, trace.y = points


def maps():
    """Panel: three decision maps that follow the sliders. Its `result` is (world, embedded keys, {head: Outcome}, features)."""
    wide, trail = dict(style=dict(description_width="initial"), layout=dict(width="360px")), {}
    one, two = dict(readout_format=".1f", **wide), dict(readout_format=".2f", **wide)
    controls = {
        "distance": widgets.FloatSlider(3.2, min=0, max=3.8, step=0.1, description="distance of the keys", **one),
        "strength": widgets.FloatSlider(0.9, min=0, max=1, step=0.05, description="strength", **two),
        "angle": widgets.IntSlider(270, min=0, max=350, step=10, description="angle of the keys, degrees", **wide),
        "count": widgets.IntSlider(40, min=2, max=120, step=2, description="number of keys", **wide),
        "overlap": widgets.FloatSlider(0.7, min=0.3, max=1.5, step=0.1, description="overlap of classes", **one),
        "seed": widgets.IntSlider(0, min=0, max=50, description="seed", **wide),
        "features": widgets.ToggleButtons(options=list(toy.FEATURES), description="features", style=dict(button_width="auto")),
    }
    presets = {"The paper's point": {}, "Where it fails": {"strength": 0.3}, "Bent features": {"features": "bent"}}
    return Panel(_figure(), controls, lambda **settings: (*settle(**settings), settings["features"]),
                 lambda figure, result: _draw(figure, result, trail), presets, first=1)


def averaged(setting, values, seeds=200, **others):
    """Twist and hits over many worlds: a row a value of one setting, mark and seed.

    setting: name of a slider of the panel, moved over `values`; the other sliders stay at their start, or at `others`.
    """
    rows = []
    for value in values:
        for seed in range(seeds):
            *_, outcomes = settle(**others | {setting: value, "seed": seed})
            rows += [{setting: value, "seed": seed, "scheme": name, "twist": outcomes[name].twist, "hits": outcomes[name].hits,
                      "cost": outcomes["unmarked"].accuracy - outcomes[name].accuracy} for name in HEADS[1:]]
    return pd.DataFrame(rows)


def bands(table, setting, title):
    """Picture of `averaged`: mean twist and hits over a setting, each with the range that holds 80 % of the worlds."""
    figure = make_subplots(1, 2, subplot_titles=("twist", "fresh keys hit"), horizontal_spacing=0.1)
    for name, rows in table.groupby("scheme", sort=False):
        for column, measured in enumerate(("twist", "hits"), 1):
            by_value = rows.groupby(setting)[measured]
            x, low, high = by_value.mean().index.tolist(), by_value.quantile(0.1), by_value.quantile(0.9)
            look = dict(legendgroup=name, row=1, col=column)
            figure.add_scatter(x=x + x[::-1], y=[*high, *low[::-1]], fill="toself", mode="none", opacity=0.25, hoverinfo="skip",
                               fillcolor=figures.COLOURS[name], showlegend=False, **look)
            figure.add_scatter(x=x, y=by_value.mean().tolist(), mode="lines+markers", name=name, showlegend=column == 1,
                               line=dict(color=figures.COLOURS[name], dash=figures.DASHES[name], width=3),
                               marker=dict(symbol=figures.MARKERS[name], size=8), **look)
    figure.update_xaxes(title=title).update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure.update_layout(template=figures.TEMPLATE, height=400)
