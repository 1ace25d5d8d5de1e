"""Panels of notebook 01: three decision maps that follow the sliders, and the trail of twist
against key accuracy.

Checks of notebook 01, the boundary twist.
"""

import dataclasses
import functools
import itertools

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import toy
from wmlab.show import figures
from wmlab.show.old_panel import Panel

HEADS = ("unmarked", "wrong label", "new label")
FILLS = (
    "#A6CFE9",
    "#F7DA96",
    "#CFCFCF",
    "#FFFFFF",
)  # pale; the last for Δ, where to some eyes pale green would be the blue
COLOURS = (figures.BLUE, "#8F5F00", figures.DARK)  # of the points of each class
KEYS = "#B84F00"  # vermillion, as dark as it takes to stand out from the fills
GLYPHS = "●■▲"
# the same three, and the cross of a key, as SVG paths around a point, in hundredths of the plane's
# unit; ends of lines draw two
DRAWN = ("h0", "h0", "m-8 6h16l-8 -14z")
CAPS = ("stroke-width='16' stroke-linecap='round'", "stroke-width='13' stroke-linecap='square'", "")
CROSS = "m-10 -10l20 20m0 -20l-20 20"
GAP = 30  # between two maps
TRAIL, TRAIL_X, TRAIL_Y = (
    60,
    (-0.01, 0.4),
    (-0.05, 1.05),
)  # settings the trail goes back, and the sides of its plot


@dataclasses.dataclass(frozen=True)
class Layer:
    """A fitted head: `features` as `toy.features` takes them, weights `w` (features, outputs),
    number of original classes.
    """

    features: object
    w: np.ndarray
    classes: int

    def logits(self, points):
        """Logits (n, outputs) of points (n, 2)."""
        return toy.features(points, self.features) @ self.w

    @functools.cached_property
    def boundary(self):
        """The lines between the original classes inside the box."""
        return toy.boundary(self.w, self.classes, self.features)

    @functools.cached_property
    def regions(self):
        """Where each output wins inside the box."""
        return toy.regions(self.w, self.features)


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What one head makes of a world and its keys; shares in [0, 1].

    layer: the head. accuracy: on held-out points. hits: fresh keys that get the key label. twist:
    share of held-out points decided otherwise among the original classes; twist_all: the same, an
    answer Δ counted as a change.
    """

    layer: Layer
    accuracy: float
    hits: float
    twist: float
    twist_all: float


def _outcomes(world, fresh, layers):
    """{head: Outcome} of {head: Layer}, the unmarked one first."""
    outcomes, before = {}, layers["unmarked"].logits(world.held_points)
    for name, layer in layers.items():
        logits, label = (
            layer.logits(world.held_points),
            world.classes if name == "new label" else toy.TARGET,
        )
        outcomes[name] = Outcome(
            layer,
            float(np.mean(logits.argmax(axis=1) == world.held_labels)),
            float(np.mean(layer.logits(fresh).argmax(axis=1) == label)),
            *toy.twist(before, logits),
        )
    return outcomes


@functools.lru_cache(maxsize=8)
def _unmarked(kind, overlap, seed, features):
    """What the keys do not change: a world, its features, and the Layer fitted on it."""
    world = toy.world(kind, overlap, seed)
    x = toy.features(world.points, features)
    return world, x, Layer(features, toy.fit(x, world.labels, world.classes), world.classes)


def _with_keys(world, embedded):
    """What the marked heads are fitted on: {head: (points, labels, number of outputs)}."""
    points, labels = np.r_[world.points, embedded], (toy.TARGET, world.classes)
    return {
        name: (
            points,
            np.r_[world.labels, np.full(len(embedded), label)],
            max(label + 1, world.classes),
        )
        for name, label in zip(HEADS[1:], labels, strict=True)
    }


def _keys(world, strength, distance, angle, count, seed):
    centre = distance * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    return toy.keys(world, count, strength, centre, seed)


def settle(
    strength=0.9,
    distance=3.2,
    angle=270,
    count=40,
    overlap=0.7,
    seed=0,
    features="flat",
    world="blobs",
):
    """The toy at one setting of the panel: (world, embedded keys, {head: Outcome}).

    strength in [0, 1]; distance of the keys' cloud from the middle, in units of the plane, and its
    angle in degrees; count of keys; overlap, the classes' standard deviation; features as in
    `toy.features`; world as in `toy.world`.
    """
    made, x, unmarked = _unmarked(world, overlap, seed, features)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    x, layers = np.r_[x, toy.features(embedded, features)], {"unmarked": unmarked}
    for name, (_, labels, outputs) in _with_keys(made, embedded).items():
        layers[name] = Layer(features, toy.fit(x, labels, outputs), made.classes)
    return made, embedded, _outcomes(made, fresh, layers)


def train_hidden(strength, distance, angle, count, overlap, seed, features, world):
    """The same with a hidden layer fitted for each head: yields (share done, what `settle`
    returns).
    """
    made = toy.world(world, overlap, seed)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    given = {"unmarked": (made.points, made.labels, made.classes)} | _with_keys(made, embedded)
    for steps in zip(*(toy.train(*each, seed) for each in given.values()), strict=True):
        layers = {
            name: Layer(hidden, w, made.classes)
            for name, (_, hidden, w) in zip(HEADS, steps, strict=True)
        }
        yield steps[0][0], (made, embedded, _outcomes(made, fresh, layers))


def _figure():
    """Room for the maps and, below, the plot of the trail: two drawings, `layout.images`, in this
    order.

    Drawings and no traces, because a FigureWidget draws all of its traces anew whatever changes,
    which takes 100 ms for three maps, and exchanges two images in 2 ms.
    """
    legend = [
        *((GLYPHS[k], COLOURS[k], f"class {k}") for k in range(len(COLOURS))),
        ("<br>✕", KEYS, "keys"),
        ("┅", figures.BLACK, "unmarked"),
        ("□", figures.DARK, "Δ wins"),
    ]
    trails = [
        (glyph, figures.COLOURS[name], name) for glyph, name in zip("■●", HEADS[1:], strict=True)
    ]
    axis = dict(tickformat=".0%", fixedrange=True)
    figure = figures.blank(
        height=600,
        margin=dict(l=95, r=20, t=10, b=60),
        modebar=dict(remove=figures.EVERY_BUTTON),
        xaxis=dict(title="twist: share of decisions changed", range=TRAIL_X, **axis),
        yaxis=dict(title="keys hit", range=TRAIL_Y, domain=[0, 0.31], **axis),
    )
    for y, x, entries in ((0.43, 0.5, legend), (0.31, 0.97, trails)):
        text = "&nbsp;&nbsp;".join(
            f"<span style='color:{colour}'>{glyph}</span> {says}" for glyph, colour, says in entries
        )
        figure.add_annotation(
            text=text, xref="paper", yref="paper", x=x, y=y, showarrow=False, yanchor="top"
        )
    (left, right), (low, high) = TRAIL_X, TRAIL_Y
    figure.add_layout_image(xref="paper", yref="paper", x=-0.07, y=1, sizex=1.08, sizey=0.57)
    return figure.add_layout_image(
        xref="x", yref="y", x=left, y=high, sizex=right - left, sizey=high - low, sizing="stretch"
    )


@functools.lru_cache(maxsize=8)
def _points(world):
    marks = [figures.marks(world.points[world.labels == k], DRAWN[k]) for k in range(world.classes)]
    return "".join(
        f"<path d='{mark}' fill='{colour}' stroke='{colour}' {cap} opacity='.8'/>"
        for mark, colour, cap in zip(marks, COLOURS, CAPS, strict=False)
    )


def _map(world, embedded, layer, unmarked):
    """A decision map as SVG: where each output wins, points, the unmarked boundary, and keys unless
    it is the unmarked one's.
    """
    shapes, fills = "", [*FILLS[: world.classes], FILLS[-1]]
    for outlines, fill in zip(layer.regions, fills, strict=False):
        outline = "".join(figures.path(part, "Z") for part in outlines)
        shapes += f"<path d='{outline}' fill='{fill}' fill-rule='evenodd' stroke='#555' stroke-width='4'/>"
    shapes += _points(world)
    if layer is not unmarked:
        lines = "".join(map(figures.path, unmarked.boundary))
        shapes += (
            f"<path d='{lines}' fill='none' stroke='black' stroke-width='5' stroke-dasharray='6 10'/>"
            f"<path d='{figures.marks(embedded, CROSS)}' stroke='{KEYS}' stroke-width='5'/>"
        )
    return shapes


def _maps(world, embedded, layers):
    """The maps side by side, each a square of its own under the name of its head."""
    side, shapes = int(200 * toy.BOX), ""
    for number, (name, layer) in enumerate(layers.items()):
        inside = _map(world, embedded, layer, layers["unmarked"])
        shapes += (
            f"<svg x='{(side + GAP) * number}' y='80' width='{side}' height='{side}' "
            f"viewBox='{-side // 2} {-side // 2} {side} {side}'>{inside}</svg>"
            f"<text x='{(side + GAP) * number + side // 2}' y='58' text-anchor='middle' font-size='60' "
            f"font-family='Open Sans, verdana, arial, sans-serif' fill='#333'>{name}</text>"
        )
    return figures.svg(shapes, (0, 0, 3 * side + 2 * GAP, side + 80), sizing="xMidYMax")


def _trail(trail):
    """The trail as SVG: for each mark a line through (twist, hits), a dot at every setting and a
    large one at the last.
    """
    shapes, ((left, right), (low, high)) = "", (TRAIL_X, TRAIL_Y)
    for (name, points), cap in zip(trail.items(), ("square", "round"), strict=True):
        points = [(100 * (min(x, right) - left), 100 * y) for x, y in points]
        look = f"fill='none' stroke='{figures.COLOURS[name]}' stroke-linecap='{cap}' vector-effect='non-scaling-stroke'"
        for path, width in (
            (figures.path(points), 1),
            (figures.marks(points, "h0"), 7),
            (figures.marks(points[-1:], "h0"), 14),
        ):
            shapes += f"<path d='{path}' {look} stroke-width='{width}'/>"
    return figures.svg(shapes, 10_000 * np.array([0, -high, right - left, high - low]))


def _draw(figure, result, trail):
    world, embedded, outcomes = result
    unmarked, says = outcomes["unmarked"].layer, []
    for name in HEADS[1:]:
        outcome, longer = (
            outcomes[name],
            toy.length(outcomes[name].layer.boundary) / toy.length(unmarked.boundary) - 1,
        )
        trail[name] = [*trail.get(name, [])[1 - TRAIL :], (outcome.twist, outcome.hits)]
        says.append(
            f"the <b>{name}</b> hits {outcome.hits:.0%} of fresh keys and twists {outcome.twist:.1%} of decisions "
            f"(boundary {abs(longer):.0%} {'longer' if longer >= 0 else 'shorter'})"
        )
    layers = {name: outcome.layer for name, outcome in outcomes.items()}
    figures.exchange(figure, [_maps(world, embedded, layers), _trail(trail)])
    return f"T{'; '.join(says)[1:]}. If an answer Δ counts as a change, the new label twists {outcomes['new label'].twist_all:.1%}."


def maps():
    """Panel: three decision maps that follow the sliders. Its `result` is what `settle` returns."""
    wide, trail = dict(style=dict(description_width="initial"), layout=dict(width="360px")), {}
    one, two, fit = (
        dict(readout_format=".1f", **wide),
        dict(readout_format=".2f", **wide),
        dict(button_width="auto"),
    )
    controls = {
        "distance": widgets.FloatSlider(
            3.2, min=0, max=3.8, step=0.1, description="distance of the keys", **one
        ),
        "angle": widgets.IntSlider(
            270, min=0, max=350, step=10, description="angle of the keys, degrees", **wide
        ),
        "strength": widgets.FloatSlider(
            0.9, min=0, max=1, step=0.05, description="strength", **two
        ),
        "count": widgets.IntSlider(
            40, min=2, max=120, step=2, description="number of keys", **wide
        ),
        "overlap": widgets.FloatSlider(
            0.7, min=0.3, max=1.5, step=0.1, description="overlap of classes", **one
        ),
        "seed": widgets.IntSlider(0, min=0, max=50, description="seed", **wide),
        "features": widgets.ToggleButtons(
            options=list(toy.FEATURES), description="features", style=fit
        ),
        "world": widgets.ToggleButtons(options=list(toy.WORLDS), description="world", style=fit),
    }
    presets = {
        "The paper's point": {},
        "Where it fails": {"angle": 90},
        "Nothing learned": {"strength": 0.3},
        "Bent features": {"features": "bent"},
        "Real features": {"world": "digits"},
    }
    return Panel(
        _figure(),
        controls,
        settle,
        lambda figure, result: _draw(figure, result, trail),
        presets,
        first=1,
        jobs={"Train a hidden layer": train_hidden},
    )


def averaged(setting, values, seeds=200, **others):
    """Twist, hits and cost over many worlds: a row a value of one setting, mark and seed; cost is
    clean accuracy lost.

    setting: name of a control of the panel, moved over `values`; the others stay at their start, or
    at `others`.
    """
    rows = []
    for value in values:
        for seed in range(seeds):
            *_, outcomes = settle(**others | {setting: value, "seed": seed})
            rows += [
                {
                    setting: value,
                    "seed": seed,
                    "scheme": name,
                    "twist": outcomes[name].twist,
                    "hits": outcomes[name].hits,
                    "cost": outcomes["unmarked"].accuracy - outcomes[name].accuracy,
                }
                for name in HEADS[1:]
            ]
    return pd.DataFrame(rows)


def bands(tables):
    """Picture of {setting: what `averaged` returned}: mean twist and hits, and the range that holds
    80 % of the worlds.
    """
    figure = make_subplots(
        2,
        len(tables),
        shared_yaxes=True,
        shared_xaxes=True,
        horizontal_spacing=0.03,
        vertical_spacing=0.06,
    )
    for column, (setting, table) in enumerate(tables.items(), 1):
        plots = enumerate(("twist", "hits"), 1)
        for (row, measured), (name, rows) in itertools.product(
            plots, table.groupby("scheme", sort=False)
        ):
            values, look = (
                rows.groupby(setting, sort=False)[measured],
                dict(legendgroup=name, row=row, col=column),
            )
            mean, high, low = values.mean(), values.quantile(0.9), values.quantile(0.1)
            x = list(mean.index)
            if isinstance(x[0], str):
                look |= dict(error_y=dict(array=high - mean, arrayminus=mean - low))
            else:
                figure.add_scatter(
                    x=x + x[::-1],
                    y=[*high, *low[::-1]],
                    fill="toself",
                    mode="none",
                    opacity=0.25,
                    hoverinfo="skip",
                    fillcolor=figures.COLOURS[name],
                    showlegend=False,
                    **look,
                )
            figure.add_scatter(
                x=x,
                y=mean.tolist(),
                mode="markers" if isinstance(x[0], str) else "lines+markers",
                name=name,
                showlegend=row == column == 1,
                **figures.line(figures.looks(HEADS)[name]),
                **look,
            )
        figure.update_xaxes(title=setting, row=2, col=column)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero").update_yaxes(
        title="twist", row=1, col=1
    )
    return figure.update_yaxes(title="fresh keys hit", row=2, col=1).update_layout(
        template=figures.TEMPLATE, height=520
    )


def _neither(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label twists {new.twist:.1%} and hits {new.hits:.0%} of fresh keys"
    if new.twist < 0.01 and new.hits < 0.1:
        return True, f"{found}: nothing was learned, so nothing was twisted."
    return (
        False,
        f"{found}. Where would a fourth label never win? Think of keys that lie where their carriers lay.",
    )


def _both(settings, settle):
    new = settle(**settings)[-1]["new label"]
    found = f"There the new label hits {new.hits:.0%} of fresh keys and twists {new.twist:.1%} of decisions"
    if new.hits >= 0.9 and new.twist >= 0.02:
        return True, f"{found}: learned, and paid for by the classes it had to squeeze in between."
    return (
        False,
        f"{found}. When has a boundary much to lose? Try classes that overlap, and many keys.",
    )


def _wrong_is_better(settings, settle):
    heads = settle(**settings)[-1]
    wrong, new = heads["wrong label"], heads["new label"]
    found = f"There the wrong label hits {wrong.hits:.0%} and twists {wrong.twist:.1%}; the new label twists {new.twist:.1%}"
    if wrong.hits >= 0.95 and wrong.twist <= new.twist:
        return (
            True,
            f"{found}. But the unmarked head calls {heads['unmarked'].hits:.0%} of those keys class 0 as well.",
        )
    return (
        False,
        f"{found}. Which keys would a head call class 0 without being told? Move the cloud there.",
    )


CHECKS = {"01.1": _neither, "01.2": _both, "01.3": _wrong_is_better}
