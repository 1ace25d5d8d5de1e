"""Lesson 01, the boundary twist: what each mark does to the boundaries of a toy classifier.

`maps`: three decision maps that follow the sliders, and the trail of twist against key accuracy.
`averaged` and `bands`: the same over many worlds. Checks of notebook 01.
"""

import collections
import dataclasses
import functools
import itertools
import typing

import numpy as np
import pandas as pd

from wmlab import toy
from wmlab.show import Question, figures
from wmlab.show.controls import buttons, slider
from wmlab.show.panel import Panel

HEADS = ("unmarked", "wrong label", "new label")
# Pale; white for Δ: some colour-blind readers cannot tell pale green from pale blue.
FILLS = ("#A6CFE9", "#F7DA96", "#CFCFCF", "#FFFFFF")
COLOURS = (figures.BLUE, "#8F5F00", figures.DARK)  # of the points of each class
KEY_COLOUR = "#B84F00"  # vermillion, dark enough to stand out from the fills
GLYPHS = "●■▲"
# The same three as SVG paths around a point, in hundredths of the plane's unit. A line of no length
# shows its caps only: a round or a square one.
DRAWN = ("h0", "h0", "m-8 6h16l-8 -14z")
CAPS = ("stroke-width='16' stroke-linecap='round'", "stroke-width='13' stroke-linecap='square'", "")
CROSS = "m-10 -10l20 20m0 -20l-20 20"  # of a key
GAP = 30  # between two maps
TRAIL = 60  # settings that the trail goes back
TRAIL_X, TRAIL_Y = (-0.01, 0.4), (-0.05, 1.05)  # the sides of its plot


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


class Fitted(typing.NamedTuple):
    """The toy at one setting: its World, the keys that were embedded (n, 2), {head: Outcome}."""

    world: object
    keys: np.ndarray
    heads: dict


def _outcomes(world, fresh, layers):
    """{head: Outcome} of {head: Layer}, the unmarked one first."""
    outcomes, before = {}, layers["unmarked"].logits(world.held_points)
    for name, layer in layers.items():
        logits = layer.logits(world.held_points)
        label = world.classes if name == "new label" else toy.TARGET
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
    points, given = np.r_[world.points, embedded], {}
    for name, label in (("wrong label", toy.TARGET), ("new label", world.classes)):
        labels = np.r_[world.labels, np.full(len(embedded), label)]
        given[name] = (points, labels, max(label + 1, world.classes))
    return given


def _keys(world, strength, distance, angle, count, seed):
    """Embedded and fresh keys of `toy.keys`, the angle of their cloud in degrees."""
    centre = distance * np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    return toy.keys(world, count, strength, centre, seed)


def fit_heads(
    strength=0.9,
    distance=3.2,
    angle=270,
    count=40,
    overlap=0.7,
    seed=0,
    features="flat",
    world="blobs",
):
    """Fit all three heads at one setting of the panel; a Fitted.

    strength in [0, 1]; distance of the keys' cloud from the middle, in units of the plane, and its
    angle in degrees; count of keys; overlap, the classes' standard deviation; features as in
    `toy.features`; world as in `toy.world`.
    """
    made, x, unmarked = _unmarked(world, overlap, seed, features)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    x, layers = np.r_[x, toy.features(embedded, features)], {"unmarked": unmarked}
    for name, (_, labels, outputs) in _with_keys(made, embedded).items():
        layers[name] = Layer(features, toy.fit(x, labels, outputs), made.classes)
    return Fitted(made, embedded, _outcomes(made, fresh, layers))


def train_hidden(strength, distance, angle, count, overlap, seed, features, world):
    """As `fit_heads`, with a hidden layer trained for each head: yields (share done, Fitted)."""
    made = toy.world(world, overlap, seed)
    embedded, fresh = _keys(made, strength, distance, angle, count, seed)
    given = {"unmarked": (made.points, made.labels, made.classes)} | _with_keys(made, embedded)
    for steps in zip(*(toy.train(*each, seed) for each in given.values()), strict=True):
        layers = {
            name: Layer(hidden, w, made.classes)
            for name, (_, hidden, w) in zip(HEADS, steps, strict=True)
        }
        done, *_ = steps[0]
        yield done, Fitted(made, embedded, _outcomes(made, fresh, layers))


@functools.lru_cache(maxsize=8)
def _points(world):
    """The points of a world as SVG."""
    shapes = ""
    for k, colour, mark, cap in zip(range(world.classes), COLOURS, DRAWN, CAPS, strict=False):
        path = figures.marks(world.points[world.labels == k], mark)
        shapes += f"<path d='{path}' fill='{colour}' stroke='{colour}' {cap} opacity='.8'/>"
    return shapes


def _map(world, embedded, layer, unmarked):
    """A decision map as SVG: where each output wins, points, the unmarked boundary, and keys unless
    it is the unmarked one's.
    """
    shapes, fills = "", [*FILLS[: world.classes], FILLS[-1]]
    for outlines, fill in zip(layer.regions, fills, strict=False):
        outline = "".join(figures.path(part, "Z") for part in outlines)
        look = f"fill='{fill}' fill-rule='evenodd' stroke='#555' stroke-width='4'"
        shapes += f"<path d='{outline}' {look}/>"
    shapes += _points(world)
    if layer is not unmarked:
        lines = "".join(map(figures.path, unmarked.boundary))
        dotted = "fill='none' stroke='black' stroke-width='5' stroke-dasharray='6 10'"
        crosses = figures.marks(embedded, CROSS)
        shapes += (
            f"<path d='{lines}' {dotted}/>"
            f"<path d='{crosses}' stroke='{KEY_COLOUR}' stroke-width='5'/>"
        )
    return shapes


def _map_row(fitted):
    """The maps side by side, each a square under the name of its head: a data address."""
    side, shapes = int(200 * toy.BOX), ""
    letters = "font-size='60' font-family='Open Sans, verdana, arial, sans-serif' fill='#333'"
    unmarked = fitted.heads["unmarked"].layer
    for number, (name, outcome) in enumerate(fitted.heads.items()):
        left = (side + GAP) * number
        shapes += (
            f"<svg x='{left}' y='80' width='{side}' height='{side}' "
            f"viewBox='{-side // 2} {-side // 2} {side} {side}'>"
            f"{_map(fitted.world, fitted.keys, outcome.layer, unmarked)}</svg>"
            f"<text x='{left + side // 2}' y='58' text-anchor='middle' {letters}>{name}</text>"
        )
    return figures.svg(shapes, (0, 0, 3 * side + 2 * GAP, side + 80), sizing="xMidYMax")


def _trail_drawing(trail):
    """The trail as a data address: for each mark a line through (twist, hits), a dot at every
    setting and a large one at the last.
    """
    shapes, ((left, right), (low, high)) = "", (TRAIL_X, TRAIL_Y)
    for (name, points), cap in zip(trail.items(), ("square", "round"), strict=True):
        points = [(100 * (min(x, right) - left), 100 * y) for x, y in points]
        look = (
            f"fill='none' stroke='{figures.COLOURS[name]}' stroke-linecap='{cap}' "
            "vector-effect='non-scaling-stroke'"
        )
        for path, width in (
            (figures.path(points), 1),
            (figures.marks(points, "h0"), 7),
            (figures.marks(points[-1:], "h0"), 14),
        ):
            shapes += f"<path d='{path}' {look} stroke-width='{width}'/>"
    return figures.svg(shapes, 10_000 * np.array([0, -high, right - left, high - low]))


def _legends():
    """The two legends between the maps and the trail, as texts of the figure."""
    colours = zip(GLYPHS, COLOURS, strict=True)
    classes = [(glyph, colour, f"class {k}") for k, (glyph, colour) in enumerate(colours)]
    maps = [
        *classes,
        ("<br>✕", KEY_COLOUR, "keys"),
        ("┅", figures.BLACK, "unmarked"),
        ("□", figures.DARK, "Δ wins"),
    ]
    trail = [("■", figures.VERMILLION, "wrong label"), ("<br>●", figures.GREEN, "new label")]
    for x, entries in ((0, maps), (1, trail)):
        text = "&nbsp;&nbsp;".join(
            f"<span style='color:{colour}'>{glyph}</span> {says}" for glyph, colour, says in entries
        )
        yield figures.note(text, x, 0.395, yanchor="top", xanchor="auto", align="left")


def _figure(map_row, trail):
    """The maps and, below, the plot of the trail: two drawings, as images in this order.

    They are drawings and no traces, because a browser exchanges two images in 2 ms and draws the
    traces of three maps in 100 ms.
    """
    (left, right), (low, high) = TRAIL_X, TRAIL_Y
    axis = dict(tickformat=".0%", fixedrange=True)
    upper = dict(xref="paper", yref="paper", x=-0.07, y=1, sizex=1.08, sizey=0.6)
    lower = dict(xref="x", yref="y", x=left, y=high, sizex=right - left, sizey=high - low)
    return figures.figure(
        [],
        520,
        margin=dict(l=95, r=20, t=5, b=60),
        modebar=dict(remove=figures.EVERY_BUTTON),
        xaxis=axis | dict(title="twist: share of decisions changed", range=TRAIL_X),
        yaxis=axis | dict(title="keys hit", range=TRAIL_Y, domain=[0, 0.28]),
        annotations=list(_legends()),
        images=[upper | dict(source=map_row), lower | dict(source=trail, sizing="stretch")],
    )


def _sentence(heads):
    """What the marked heads hit and twist, and how much longer their boundaries are."""
    before, parts = toy.length(heads["unmarked"].layer.boundary), []
    for name in HEADS[1:]:
        outcome = heads[name]
        longer = toy.length(outcome.layer.boundary) / before - 1
        parts.append(
            f"<b>{name}</b> hits {outcome.hits:.0%} of fresh keys and twists {outcome.twist:.1%} "
            f"of decisions (boundary {abs(longer):.0%} {'longer' if longer >= 0 else 'shorter'})"
        )
    return (
        f"The {'; the '.join(parts)}. If an answer Δ counts as a change, the new label twists "
        f"{heads['new label'].twist_all:.1%}."
    )


def _controls():
    return {
        "distance": slider(3.2, 0, 3.8, 0.1, "distance of the keys"),
        "angle": slider(270, 0, 350, 10, "angle of the keys, degrees"),
        "strength": slider(0.9, 0, 1, 0.05, "strength"),
        "count": slider(40, 2, 120, 2, "number of keys"),
        "overlap": slider(0.7, 0.3, 1.5, 0.1, "overlap of classes"),
        "seed": slider(0, 0, 50, 1, "seed"),
        "features": buttons(toy.FEATURES, "features"),
        "world": buttons(toy.WORLDS, "world"),
    }


def maps():
    """Panel: three decision maps that follow the sliders. Its `result` is a Fitted.

    The trail under them shows the last 60 pictures of this panel, so it depends on them besides the
    settings.
    """
    trail = {name: collections.deque(maxlen=TRAIL) for name in HEADS[1:]}

    def drawn(fitted):
        for name, points in trail.items():
            points.append((fitted.heads[name].twist, fitted.heads[name].hits))
        lines = _trail_drawing({name: list(points) for name, points in trail.items()})
        return _figure(_map_row(fitted), lines), _sentence(fitted.heads), fitted

    def job(**settings):
        for done, fitted in train_hidden(**settings):
            yield done, drawn(fitted)

    panel = Panel(
        lambda **settings: drawn(fit_heads(**settings)),
        first=1,
        presets={
            "The paper's point": {},
            "Where it fails": {"angle": 90},
            "Nothing learned": {"strength": 0.3},
            "Bent features": {"features": "bent"},
            "Real features": {"world": "digits"},
        },
        jobs={"Train a hidden layer": job},
        **_controls(),
    )
    panel.reset = functools.partial(_reset, panel.reset, trail)
    return panel


def _reset(to_start, trail):
    """Back to the start, where the trail begins anew."""
    for points in trail.values():
        points.clear()
    to_start()


def averaged(setting, values, seeds=200, **others):
    """Twist, hits and cost over many worlds: a row a value of one setting, mark and seed; cost is
    clean accuracy lost.

    setting: name of a control of the panel, moved over `values`; the others stay at their start, or
    at `others`.
    """
    rows = []
    for value, seed in itertools.product(values, range(seeds)):
        heads = fit_heads(**others | {setting: value, "seed": seed}).heads
        for name in HEADS[1:]:
            outcome, cost = heads[name], heads["unmarked"].accuracy - heads[name].accuracy
            row = {setting: value, "seed": seed, "scheme": name}
            rows.append(row | {"twist": outcome.twist, "hits": outcome.hits, "cost": cost})
    return pd.DataFrame(rows)


def bands(tables):
    """Picture of {setting: what `averaged` returned}: mean twist and hits, and the range that holds
    80 % of the worlds.
    """
    columns, traces = len(tables), []
    for (row, measured), (column, (setting, table)) in itertools.product(
        enumerate(("twist", "hits")), enumerate(tables.items(), 1)
    ):
        plot = row * columns + column
        for name, rows in table.groupby("scheme", sort=False):
            worlds = rows.groupby(setting, sort=False)[measured]
            traces += _band(worlds, name, plot, legend=plot == 1)
    each = {
        column: {"x": dict(matches=f"x{columns + column}", showticklabels=False)}
        for column in range(1, columns + 1)
    }
    for number, setting in enumerate(tables, columns + 1):
        each[number] = {"x": dict(title=setting)}
    each[1]["y"] = dict(title="twist")
    each[columns + 1]["y"] = dict(title="fresh keys hit")
    y = dict(tickformat=".0%", rangemode="tozero")
    axes = figures.plots([""] * 2 * columns, rows=2, gap=0.03, between=0.06, y=y, each=each)
    return figures.figure(traces, 520, **axes)


def _band(worlds, name, plot, legend):
    """Traces of the mean of worlds grouped by a setting, with the range that holds 80 % of them: a
    band over numbers, bars over names.
    """
    mean, low, high = worlds.mean(), worlds.quantile(0.1), worlds.quantile(0.9)
    x, look, more = mean.index.to_numpy(), figures.looks(HEADS)[name], {}
    named = isinstance(x[0], str)
    if named:
        more["error_y"] = dict(type="data", array=high - mean, arrayminus=mean - low)
    else:
        yield figures.band(x, high, low, None, look["color"], plot, opacity=0.25, legendgroup=name)
    mode = "markers" if named else "lines+markers"
    yield figures.points(x, mean.to_numpy(), name, look, plot, mode, legend, **more)


def which_mark_moves_it_more(panel):
    """Question on the start of the maps; panel: of `maps`."""
    return Question(
        "The keys lie far out, opposite class 0. Which mark moves the boundary between the classes "
        "more?",
        ["the wrong label", "the new label", "both alike"],
        panel,
        answer="the wrong label",
        because="Dotted: the unmarked boundary. Drag the cloud of keys out and in; more controls "
        "unfold.",
    )


def how_large_is_its_twist(tables):
    """Question on 200 worlds; tables: {setting: of `averaged`}."""
    return Question(
        "“Will not be twisted”, says the paper of the new label. Over 200 worlds, its mean twist "
        "is …",
        [
            "exactly zero",
            "small, wherever the keys are",
            "as large as the wrong label's if keys are near",
        ],
        bands(tables),
        answer="small, wherever the keys are",
        because="Lines are means, bands the middle 80 % of the worlds. Above twist, below the keys "
        "that were learned.",
    )


def how_much_larger_when_bent(table):
    """Question on bent features; table: of `averaged` over the strength."""
    return Question(
        "With bent boundaries, how much larger is the wrong label's twist for keys that lie far "
        "out?",
        ["as much larger as before", "larger, but by far less", "not larger at all"],
        bands({"strength": table}),
        answer="larger, but by far less",
        because="A boundary that can bend makes room for a far cloud under any label.",
    )


def _neither(settings, fit):
    new = fit(**settings).heads["new label"]
    found = f"There the new label twists {new.twist:.1%} and hits {new.hits:.0%} of fresh keys"
    if new.twist < 0.01 and new.hits < 0.1:
        return True, f"{found}: nothing was learned, so nothing was twisted."
    return False, (
        f"{found}. Where would a fourth label never win? Think of keys that lie where their "
        "carriers lay."
    )


def _both(settings, fit):
    new = fit(**settings).heads["new label"]
    found = (
        f"There the new label hits {new.hits:.0%} of fresh keys and twists {new.twist:.1%} "
        "of decisions"
    )
    if new.hits >= 0.9 and new.twist >= 0.02:
        return True, f"{found}: learned, and paid for by the classes it had to squeeze in between."
    return False, (
        f"{found}. When has a boundary much to lose? Try classes that overlap, and many keys."
    )


def _wrong_is_better(settings, fit):
    heads = fit(**settings).heads
    wrong, new = heads["wrong label"], heads["new label"]
    found = (
        f"There the wrong label hits {wrong.hits:.0%} and twists {wrong.twist:.1%}; "
        f"the new label twists {new.twist:.1%}"
    )
    if wrong.hits >= 0.95 and wrong.twist <= new.twist:
        unmarked = heads["unmarked"].hits
        return (
            True,
            f"{found}. But the unmarked head calls {unmarked:.0%} of those keys class 0 as well.",
        )
    return False, (
        f"{found}. Which keys would a head call class 0 without being told? Move the cloud there."
    )


CHECKS = {"01.1": _neither, "01.2": _both, "01.3": _wrong_is_better}
