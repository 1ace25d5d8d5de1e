"""Panels of notebook 01: three decision maps that follow the sliders, and the trail of twist against key accuracy."""
import dataclasses
import functools

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import figures, toy
from wmlab.panels.base import Panel

HEADS = ("unmarked", "wrong label", "new label")
FILLS = ("#9CC9E6", "#F6D68A", "#C9C9C9", "#8FD3BC")  # pale relatives of Okabe and Ito's colours
NEW_FILL = FILLS[-1]
COLOURS = ("#0072B2", "#B77900", "#4D4D4D")  # of the points of each class
KEYS = "#D55E00"
GLYPHS = "●■▲"
# the same three, and the cross of a key, as SVG paths around a point
DRAWN = ("m-.08 0a.08 .08 0 1 0 .16 0a.08 .08 0 1 0 -.16 0", "m-.07 -.07h.14v.14h-.14z", "m-.09 .07h.18l-.09 -.16z")
CROSS = "m-.1 -.1l.2 .2m0 -.2l-.2 .2"
TRAIL, TRAIL_X, TRAIL_Y = 60, (-0.01, 0.4), (-0.05, 1.05)  # settings the trail goes back, and the sides of its plot


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one head makes of a world and its keys; shares in [0, 1].

    features: as `toy.features` takes them. w: the output layer on them. classes: number of the original ones.
    accuracy: on held-out points. hits: fresh keys that get the key label. twist: share of held-out points decided
    otherwise among the original classes; twist_all: the same, an answer Δ counted as a change.
    """

    features: object
    w: np.ndarray
    classes: int
    accuracy: float
    hits: float
    twist: float = 0.0
    twist_all: float = 0.0

    @functools.cached_property
    def length(self):
        """Length of the boundary between the original classes inside the box."""
        return toy.boundary_length(self.w, self.classes, self.features)


def _outcomes(world, fresh, fitted):
    """{head: Outcome} of the layers {head: (features, w)} in `fitted`, the unmarked one first."""
    outcomes, before = {}, None
    for name, (kind, w) in fitted.items():
        logits, label = toy.features(world.held_points, kind) @ w, world.classes if name == "new label" else toy.TARGET
        before = logits if before is None else before
        hits = np.mean(toy.decide(toy.features(fresh, kind), w) == label)
        outcomes[name] = Outcome(kind, w, world.classes, np.mean(logits.argmax(axis=1) == world.held_labels), hits,
                                 *toy.twist(before, logits))
    return outcomes


@functools.lru_cache(maxsize=8)
def _unmarked(kind, overlap, seed, features):
    """A world and the layer fitted on it, which the keys do not change; and the world's features."""
    world = toy.world(kind, overlap, seed)
    x = toy.features(world.points, features)
    return world, x, toy.fit(x, world.labels, world.classes)


def _with_keys(world, embedded):
    """What each head is fitted on: {head: (points, labels, number of outputs)}."""
    def marked(label):
        return np.r_[world.points, embedded], np.r_[world.labels, np.full(len(embedded), label)], max(label + 1, world.classes)

    return dict(zip(HEADS, [(world.points, world.labels, world.classes), marked(toy.TARGET), marked(world.classes)], strict=True))


def _keys(world, strength, distance, angle, count, seed):
    centre = distance * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    return toy.keys(world, count, strength, centre, seed)


def settle(strength=0.9, distance=3.2, angle=270, count=40, overlap=0.7, seed=0, features="flat", world="blobs"):
    """The toy at one setting of the panel: (world, embedded keys, {head: Outcome}).

    strength in [0, 1]; distance of the keys' cloud from the middle, in units of the plane, and its angle in degrees;
    count of keys; overlap, the classes' standard deviation; features as in `toy.features`; world as in `toy.world`.
    """
    made, x, w = _unmarked(world, overlap, seed, features)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    fitted = {"unmarked": (features, w)}
    for name, (_, labels, outputs) in _with_keys(made, embedded).items():
        if name != "unmarked":
            fitted[name] = features, toy.fit(np.r_[x, toy.features(embedded, features)], labels, outputs)
    return made, embedded, _outcomes(made, fresh, fitted)


def train_hidden(strength, distance, angle, count, overlap, seed, features, world):
    """The same with a hidden layer fitted for each head, from one start: yields (share done, what `settle` returns)."""
    made = toy.world(world, overlap, seed)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    runs = {name: toy.train(*given, seed) for name, given in _with_keys(made, embedded).items()}
    for steps in zip(*runs.values(), strict=True):
        fitted = {name: (hidden, w) for name, (_, hidden, w) in zip(runs, steps, strict=True)}
        yield steps[0][0], (made, embedded, _outcomes(made, fresh, fitted))


def _figure():
    """Three maps and the trail below them, each a drawing in a plot of its own: `layout.images`, in this order.

    Drawings and no traces, because a FigureWidget draws all of its traces anew whatever changes, which takes 100 ms for
    three maps, and exchanges four images in 2 ms.
    """
    figure = make_subplots(2, 3, subplot_titles=(*HEADS, "where the settings so far have led"), horizontal_spacing=0.02,
                           vertical_spacing=0.2, row_heights=[0.64, 0.36], specs=[[{}, {}, {}], [{"colspan": 3}, None, None]])
    legend = [*((GLYPHS[k], COLOURS[k], f"class {k}") for k in range(len(COLOURS))), ("✕", KEYS, "keys"),
              ("┅", "black", "unmarked boundary"), ("■", NEW_FILL, "where the new label Δ wins")]
    trails = [(glyph, figures.COLOURS[name], name) for glyph, name in zip("■●", HEADS[1:], strict=True)]
    for y, entries in ((0.475, legend), (-0.18, trails)):
        text = "&nbsp;&nbsp;&nbsp;".join(f"<span style='color:{colour}'>{glyph}</span> {says}" for glyph, colour, says in entries)
        figure.add_annotation(text=text, xref="paper", yref="paper", x=0.5, y=y, showarrow=False, yanchor="top")
    for axes in ("", "2", "3"):
        figure.add_layout_image(xref=f"x{axes}", yref=f"y{axes}", x=-toy.BOX, y=toy.BOX, sizex=2 * toy.BOX, sizey=2 * toy.BOX)
    (left, right), (low, high) = TRAIL_X, TRAIL_Y
    figure.add_layout_image(xref="x4", yref="y4", x=left, y=high, sizex=right - left, sizey=high - low)
    figure.update_layout_images(sizing="stretch", layer="above")
    sides = dict(range=[-toy.BOX, toy.BOX], showticklabels=False, showgrid=False, fixedrange=True, row=1)
    figure.update_xaxes(**sides).update_yaxes(**sides)
    figure.update_xaxes(title="twist: share of held-out points decided otherwise", range=TRAIL_X, tickformat=".0%",
                        fixedrange=True, row=2)
    figure.update_yaxes(title="fresh keys hit", range=TRAIL_Y, tickformat=".0%", fixedrange=True, row=2)
    return figure.update_layout(template=figures.TEMPLATE, height=700, margin=dict(l=80, r=20, t=40, b=100),
                                modebar=dict(remove=figures.EVERY_BUTTON))


def _path(points, closed=False):
    return "M" + "L".join(f"{x:.2f} {-y:.2f}" for x, y in points) + "Z" * closed  # SVG counts y downwards


def _marks(points, mark):
    return "".join(f"M{x:.2f} {-y:.2f}{mark}" for x, y in points)


def _map(world, embedded, outcome, unmarked):
    """A decision map as SVG: where each output wins, points, the unmarked boundary, and keys unless it is the unmarked one's."""
    parts, fills = [], [*FILLS[: world.classes], NEW_FILL]
    for outline, fill in zip(toy.regions(outcome.w, outcome.features), fills, strict=False):
        ends = np.flatnonzero(np.isnan(outline[:, 0]))
        shape = "".join(_path(part[~np.isnan(part[:, 0])], closed=True) for part in np.split(outline, ends)[:-1])
        parts.append(f"<path d='{shape}' fill='{fill}' fill-rule='evenodd' stroke='#555' stroke-width='.04'/>")
    for k in range(world.classes):
        marks = _marks(world.points[world.labels == k], DRAWN[k])
        parts.append(f"<path d='{marks}' fill='{COLOURS[k]}' stroke='white' stroke-width='.02'/>")
    if outcome is not unmarked:
        lines = "".join(map(_path, toy.boundary(unmarked.w, world.classes, unmarked.features)))
        parts.append(f"<path d='{lines}' fill='none' stroke='black' stroke-width='.05' stroke-dasharray='.06 .1'/>")
        parts.append(f"<path d='{_marks(embedded, CROSS)}' stroke='{KEYS}' stroke-width='.05'/>")
    return figures.svg("".join(parts), (-toy.BOX, -toy.BOX, 2 * toy.BOX, 2 * toy.BOX))


def _trail(trail):
    """The trail as SVG: for each mark a line through (twist, hits), a dot at every setting and a large one at the last."""
    parts, ((left, right), (low, high)) = [], (TRAIL_X, TRAIL_Y)
    for (name, points), cap in zip(trail.items(), ("square", "round"), strict=True):
        points = [(100 * (min(x, right) - left), 100 * y) for x, y in points]
        look = f"fill='none' stroke='{figures.COLOURS[name]}' stroke-linecap='{cap}' vector-effect='non-scaling-stroke'"
        parts += [f"<path d='{_path(points)}' {look} stroke-width='1'/>",
                  f"<path d='{_marks(points, 'h0')}' {look} stroke-width='7'/>",
                  f"<path d='{_marks(points[-1:], 'h0')}' {look} stroke-width='14'/>"]
    return figures.svg("".join(parts), (0, -100 * high, 100 * (right - left), 100 * (high - low)))


def _draw(figure, result, trail):
    world, embedded, outcomes = result
    unmarked, says = outcomes["unmarked"], []
    for name in HEADS[1:]:
        outcome, longer = outcomes[name], outcomes[name].length / unmarked.length - 1
        trail[name] = [*trail.get(name, [])[1 - TRAIL :], (outcome.twist, outcome.hits)]
        says.append(f"he <b>{name}</b> hits {outcome.hits:.0%} of fresh keys and twists {outcome.twist:.1%} of decisions "
                    f"(boundary {abs(longer):.0%} {'longer' if longer >= 0 else 'shorter'})")
    drawings = [*(_map(world, embedded, outcome, unmarked) for outcome in outcomes.values()), _trail(trail)]
    figures.exchange(figure, drawings)
    return f"T{'; t'.join(says)}. If an answer Δ counts as a change, the new label twists {outcomes['new label'].twist_all:.1%}."


def maps():
    """Panel: three decision maps that follow the sliders. Its `result` is what `settle` returns."""
    wide, trail = dict(style=dict(description_width="initial"), layout=dict(width="360px")), {}
    one, two = dict(readout_format=".1f", **wide), dict(readout_format=".2f", **wide)
    fitting = dict(style=dict(button_width="auto"))
    controls = {
        "distance": widgets.FloatSlider(3.2, min=0, max=3.8, step=0.1, description="distance of the keys", **one),
        "angle": widgets.IntSlider(270, min=0, max=350, step=10, description="angle of the keys, degrees", **wide),
        "strength": widgets.FloatSlider(0.9, min=0, max=1, step=0.05, description="strength", **two),
        "count": widgets.IntSlider(40, min=2, max=120, step=2, description="number of keys", **wide),
        "overlap": widgets.FloatSlider(0.7, min=0.3, max=1.5, step=0.1, description="overlap of classes", **one),
        "seed": widgets.IntSlider(0, min=0, max=50, description="seed", **wide),
        "features": widgets.ToggleButtons(options=list(toy.FEATURES), description="features", **fitting),
        "world": widgets.ToggleButtons(options=list(toy.WORLDS), description="world", **fitting),
    }
    presets = {"The paper's point": {}, "Where it fails": {"angle": 90}, "Nothing learned": {"strength": 0.3},
               "Bent features": {"features": "bent"}, "Real features": {"world": "digits"}}
    return Panel(_figure(), controls, settle, lambda figure, result: _draw(figure, result, trail), presets, first=1,
                 jobs={"Train a hidden layer": train_hidden})


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
