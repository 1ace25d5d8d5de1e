"""Pictures: arrays or records in, a plotly figure out. One look for the whole course."""

import base64
import dataclasses
import html
import io
import itertools
import textwrap

import numpy as np
from PIL import Image

# Okabe and Ito's colours, which stay apart for colour-blind readers; each goes with a dash and a
# marker of its own. Their orange (#E69F00) and sky blue (#56B4E9) are darker here, as far as it
# takes for lines and marks to reach a contrast of 3 on white. Yellow and pale are for fills with a
# rim.
BLACK, ORANGE, SKY, GREEN, YELLOW = "#000000", "#C68800", "#389DD1", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE = "#0072B2", "#D55E00", "#CC79A7"
GREY, DARK, PALE = "#7F7F7F", "#4D4D4D", "#BDBDBD"
PALETTE = (BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, VERMILLION, PURPLE, GREY, DARK, PALE)
NETWORKS = ("unmarked", "wrong label", "new label", "other")
COLOURS = dict(zip((*NETWORKS, "grey"), (BLUE, VERMILLION, GREEN, PURPLE, GREY), strict=True))
DASHES = dict(zip(NETWORKS, ("solid", "dash", "dot", "dashdot"), strict=True))
MARKERS = dict(zip(NETWORKS, ("circle", "square", "diamond", "cross"), strict=True))
PATTERNS = ("", "/", ".", "x", "-")  # of bars, in order
# what has none of those names: as many looks as lines can be told apart by
SPARE = [
    dict(color=PURPLE, dash="dashdot", symbol="cross"),
    dict(color=ORANGE, dash="longdash", symbol="triangle-up"),
    dict(color=SKY, dash="longdashdot", symbol="star"),
    dict(color=DARK, dash="solid", symbol="x"),
]
EVERY_BUTTON = (
    "sendChartToCloud select lasso zoom pan zoomIn zoomOut autoScale resetScale toImage".split()
)
GRID = dict(gridcolor="#DDDDDD", linecolor=GREY, showline=True, mirror=True, zeroline=False)
GRID |= dict(automargin=True, title=dict(standoff=8))
MODEBAR = dict(bgcolor="rgba(0,0,0,0)", color=GREY, activecolor=BLUE)
LOOK = dict(
    layout=dict(
        font=dict(size=14, color="#333333"),
        margin=dict(l=70, r=30, t=60, b=90),
        title=dict(font=dict(size=16), x=0, xref="paper"),
        # White in the dark theme too: no grey of letters reaches a contrast of 4.5 both on white
        # and on the dark page.
        paper_bgcolor="white",
        plot_bgcolor="white",
        xaxis=GRID,
        yaxis=GRID,
        legend=dict(orientation="h", yref="container", y=0.02, yanchor="bottom"),
        modebar=MODEBAR | dict(remove=EVERY_BUTTON[:3]),
    )
)
SHARE = dict(range=[-0.03, 1.03], tickformat=".0%")  # an axis of shares


def figure(traces, height=380, **layout):
    """A figure in the course's look, a dict: traces are dicts, `layout` is plotly's."""
    return {"data": list(traces), "layout": dict(template=LOOK, height=height) | layout}


def plots(
    titles,
    *,
    rows=1,
    gap=0.06,
    between=0.16,
    widths=None,
    heights=None,
    x=None,
    y=None,
    each=None,
    shared_y=True,
):
    """Axes of plots beside each other, row by row, as entries of a layout: `figure(traces,
    **plots(…))`.

    titles: of the plots, in reading order, "" for none. gap, between: room between columns and
    between rows, in [0, 1]. widths, heights: relative, of columns and rows. x, y: what all axes
    have in common. each: {number of the plot, from 1: {"x": …, "y": …}} on top of that. shared_y:
    tick labels and title of y at the first plot of a row only. Traces name their plot by `at`.
    """
    columns = -(-len(titles) // rows)
    across, down = _sides(widths, columns, gap), _sides(heights, rows, between)
    layout, words = {}, []
    for number, title in enumerate(titles, 1):
        row, column = divmod(number - 1, columns)
        (left, right), (above, below) = across[column], down[row]
        name, own = _axis(number), (each or {}).get(number, {})
        inner = shared_y and column
        hidden = dict(showticklabels=False, title=None) if inner else {}
        place = dict(domain=[left, right], anchor=f"y{name}")
        layout[f"xaxis{name}"] = place | (x or {}) | own.get("x", {})
        place = dict(domain=[max(1 - below, 0), 1 - above], anchor=f"x{name}")
        layout[f"yaxis{name}"] = place | (y or {}) | hidden | own.get("y", {})
        if inner:
            layout[f"yaxis{name}"]["matches"] = f"y{_axis(row * columns + 1)}"
        if title:
            text = wrapped(title, 56 * (right - left))
            words.append(note(text, (left + right) / 2, 1 - above, font=dict(size=16)))
    return layout | {"annotations": words}


def _sides(sizes, count, gap):
    """Where parts of relative sizes begin and end in [0, 1], with gaps between them."""
    sizes = np.array(sizes or [1] * count, float)
    sizes *= (1 - gap * (count - 1)) / sizes.sum()
    starts = [float(sizes[:place].sum() + gap * place) for place in range(count)]
    return [(start, start + float(size)) for start, size in zip(starts, sizes, strict=True)]


def _axis(number):
    return "" if number == 1 else str(number)


def at(number):
    """The axes of a plot, for its traces: {"xaxis": "x2", "yaxis": "y2"}."""
    return dict(xaxis=f"x{_axis(number)}", yaxis=f"y{_axis(number)}")


def log_axis(values, title, name="{:g}".format):
    """A logarithmic axis with a tick at each of the values; name: function from value to text."""
    return dict(title=title, type="log", tickvals=list(values), ticktext=[*map(name, values)])


def note(text, x, y, **more):
    """A text in a figure; x, y in [0, 1] of the paper unless `more` names other axes."""
    place = dict(xref="paper", yref="paper", xanchor="center", yanchor="bottom", showarrow=False)
    return dict(text=text, x=x, y=y) | place | more


def points(x, y, name, look, plot=1, mode="lines+markers", legend=True, **more):
    """A trace of points and lines in a look of `looks`; `legend`: whether this trace stands for its
    name there.
    """
    trace = dict(type="scatter", x=x, y=y, name=name, mode=mode, legendgroup=name)
    trace |= dict(showlegend=legend) | at(plot)
    if "lines" in mode:
        trace["line"] = dict(color=look["color"], dash=look["dash"], width=3)
    if "markers" in mode:
        trace["marker"] = dict(symbol=look["symbol"], size=8, color=look["color"])
    return trace | more


def dots(x, y, name, colour, symbol="circle", plot=1, size=8, **more):
    """A trace of marks without lines."""
    marker = dict(color=colour, symbol=symbol, size=size)
    look = dict(color=colour, dash="solid", symbol=symbol)
    return points(x, y, name, look, plot, "markers", **dict(marker=marker) | more)


def ring(x, y, name, plot=1, size=14):
    """A trace of black rings, around what the controls of a panel say."""
    marker = dict(color=BLACK, symbol="circle-open", size=size, line=dict(width=3))
    return dict(type="scatter", mode="markers", x=x, y=y, name=name, marker=marker) | at(plot)


def band(x, low, high, name, colour, plot=1, **more):
    """A trace: the area between two curves without NaN; in the legend only if `more` says so."""
    sides = dict(x=np.r_[x, x[::-1]], y=np.r_[low, high[::-1]], name=name)
    look = dict(type="scatter", mode="lines", fill="toself", fillcolor=colour, opacity=0.2)
    return (
        sides
        | look
        | dict(line=dict(width=0), hoverinfo="skip", showlegend=False)
        | at(plot)
        | more
    )


def curve(x, mean, low, high, name, look, plot=1, legend=True, runs=None):
    """Traces of a mean over x with its interval as a band and, if given, a dot a run.

    low, high: NaN where there is no interval. runs: (x, y) of single networks.
    """
    x, mean, low, high = (np.asarray(part, float) for part in (x, mean, low, high))
    known, group = ~np.isnan(low), dict(legendgroup=name)
    sides = (x[known], low[known], high[known], f"{name}, interval", look["color"], plot)
    traces = [band(*sides, **group)]
    traces.append(points(x, mean, f"{name}, mean", look, plot, "lines", legend, **group))
    if runs is not None:
        more = dict(legend=legend, opacity=0.6, **group)
        traces.append(points(*runs, f"{name}, a run", look, plot, "markers", **more))
    return traces


def column(x, y, name, colour, shape="", plot=1, **more):
    """A trace of bars; shape: their pattern, of PATTERNS."""
    marker = dict(color=colour, pattern=dict(shape=shape))
    return dict(type="bar", x=x, y=y, name=name, marker=marker) | at(plot) | more


def upright(x, plot=1, **look):
    """A shape: an upright line at x through a whole plot."""
    place = dict(xref=at(plot)["xaxis"], yref=f"{at(plot)['yaxis']} domain")
    drawn = dict(color=COLOURS["grey"], dash="dot", width=2) | look
    return dict(type="line", x0=x, x1=x, y0=0, y1=1, line=drawn) | place


def level(y, plot=1, **look):
    """A shape: a level line at y through a whole plot."""
    place = dict(xref=f"{at(plot)['xaxis']} domain", yref=at(plot)["yaxis"])
    drawn = dict(color=COLOURS["grey"], dash="dot", width=2) | look
    return dict(type="line", x0=0, x1=1, y0=y, y1=y, line=drawn) | place


@dataclasses.dataclass(frozen=True)
class Family:
    """Attacks that share a colour in a trade-off map; all arrays have one entry an attack.

    name, colour, symbol: its look. lost: points of clean accuracy that an attack costs. kept: what
    it leaves of the mark, in [0, 1]. labels: what stands beside the mouse. texts: what stands in
    the plot. open: whether the mark is no longer proved. runs: (lost, kept) of single networks,
    drawn small. joined: draw a line of this dash from one to the next. side: where texts stand.
    spans: (lost low, lost high, kept low, kept high), intervals.
    """

    name: str
    colour: str
    symbol: str
    lost: object
    kept: object
    labels: object = None
    texts: object = None
    open: object = None
    runs: tuple | None = None
    joined: bool = False
    dash: str = "solid"
    side: str = "middle right"
    spans: tuple | None = None


TOP = 1.06  # of the axis of shares in a trade-off map


def trade_off(maps, loss, least=-3, farthest=30, limits=None, y_title="fresh keys hit", **layout):
    """The trade-off map: what each attack costs Bob against what it leaves of the mark, with a line
    that can be moved.

    maps: {title: list of Family}, a plot each. loss: points of clean accuracy that Bob bears, where
    the line stands. least, farthest: ends of the axis, where all beyond them is drawn. limits:
    {title: kept below which the judge is more likely to acquit}, shaded; by default all within the
    loss. layout: plotly's. Shape 2i + 1 is the line of plot i from 0.
    """
    traces, shapes = [], []
    for number, (title, families) in enumerate(maps.items(), 1):
        for one, texts in zip(families, _texts(families, least, farthest, len(maps)), strict=True):
            traces += _family(one, number, (least, farthest), texts)
        shapes += _bearable(number, least, loss, (limits or {}).get(title))
    ticks = list(range(0, farthest + 1, 5))
    words = [*map(str, ticks[:-1]), f"≥ {farthest}"]
    x = dict(title="clean accuracy<br>lost, points", range=[least, farthest + 3])
    x |= dict(tickvals=ticks, ticktext=words)
    y = dict(title=y_title, range=[-0.06, TOP], tickformat=".0%")
    axes = plots(list(maps), gap=0.04, x=x, y=y)
    return figure(traces, **dict(height=470, margin=dict(b=130), shapes=shapes) | axes | layout)


def _bearable(plot, least, loss, limit):
    """Two shapes: the area of losses that Bob bears, up to the limit if there is one; its edge."""
    place, blue = dict(xref=at(plot)["xaxis"], yref=at(plot)["yaxis"]), COLOURS["unmarked"]
    area = dict(type="rect", x0=least, x1=loss, y0=-0.06, y1=TOP if limit is None else limit)
    area |= dict(fillcolor=blue, line=dict(width=0), layer="below")
    edge = dict(type="line", x0=loss, x1=loss, y0=-0.06, y1=TOP)
    edge |= dict(line=dict(color=blue, dash="dash", width=4))
    return [area | place | dict(opacity=0.12 if limit is None else 0.25), edge | place]


SIDES = ("middle right", "middle left", "top center", "bottom center")  # of a mark, for its text
ACROSS, DOWN = dict(left=-0.5, center=0, right=0.5), dict(bottom=-0.5, middle=0, top=0.5)


def _texts(families, least, farthest, count):
    """The texts of each Family of a plot and their sides: a pair a Family.

    A text stands where no other text and no mark is on a narrow page, else it is "" and is still
    told beside the mouse.
    """
    pixel = np.array([(farthest + 3 - least) * count / 480, (TOP + 0.06) / 240])
    marks = [np.c_[np.clip(one.lost, least, farthest), one.kept] for one in families]
    taken = [(place, 5 * pixel) for place in itertools.chain(*marks)]  # middle, half of its size
    for one, places in zip(families, marks, strict=True):
        texts, sides = [], []
        for text, place in zip(one.texts if one.texts is not None else (), places, strict=False):
            size = (8 * len(text), 16) * pixel
            for side in dict.fromkeys([one.side, *SIDES]):
                down, across = side.split()
                middle = place + (ACROSS[across], DOWN[down]) * (size + 12 * pixel)
                inside = np.all(middle - size / 2 > (least, -0.06))
                inside &= np.all(middle + size / 2 < (farthest + 3, TOP))
                met = any(np.all(abs(middle - at) < size / 2 + half) for at, half in taken)
                if inside and not met:
                    taken.append((middle, size / 2))
                    break
            else:
                text = ""
            texts.append(text)
            sides.append(side)
        yield texts, sides


def _family(one, plot, ends, texts):
    """The traces of a Family: single networks, then means; ends: of the axis of losses; texts: of
    `_texts`.
    """
    look = dict(color=one.colour, symbol=one.symbol, dash=one.dash)
    lost, kept = np.asarray(one.lost, float), np.asarray(one.kept, float)
    if one.runs is not None:
        x, y = np.clip(np.asarray(one.runs[0], float), *ends), np.asarray(one.runs[1], float)
        more = dict(legendgroup=one.name, opacity=0.35, hoverinfo="skip", legend=False)
        yield dots(x, y, f"{one.name}, a run", one.colour, one.symbol, plot, 5, **more)
    symbols = one.symbol
    if one.open is not None:
        symbols = [one.symbol + "-open" * bool(state) for state in one.open]
    marker = dict(color=one.colour, symbol=symbols, size=11, line=dict(width=2, color=one.colour))
    mode = "lines+" * one.joined + "markers" + "+text" * (one.texts is not None)
    more = dict(marker=marker, hovertemplate="%{customdata}<extra></extra>")
    more |= dict(customdata=list(one.labels if one.labels is not None else [one.name] * len(lost)))
    if one.texts is not None:
        more["text"], more["textposition"] = texts
    if one.joined:
        more["line"] = dict(color=one.colour, width=1.5, dash=one.dash)
    if one.spans is not None:
        left, right, low, high = (np.asarray(part, float) for part in one.spans)
        bars = dict(color=one.colour, thickness=1, width=0, type="data", symmetric=False)
        more["error_x"] = bars | dict(array=right - lost, arrayminus=lost - left)
        more["error_y"] = bars | dict(array=high - kept, arrayminus=kept - low)
    shown = np.clip(lost, *ends)
    yield points(shown, kept, one.name, look, plot, mode, plot == 1, **more)


def line_moves(most, count=1):
    """For `Panel(dragged=…)` of a `trade_off` with so many plots: the function that takes the line
    a reader has moved for the setting `loss`, to the nearest half point from 0 to `most`.
    """

    def dragged(moved):
        names = [f"shapes[{2 * plot + 1}].x{end}" for plot in range(count) for end in (0, 1)]
        x = next((moved[name] for name in names if name in moved), None)
        return None if x is None else {"loss": float(np.clip(round(2 * x) / 2, 0, most))}

    return dragged


def looks(names):
    """The look of each name, {name: {color, dash, symbol}}: its own for the course's networks, a
    spare one for others.
    """
    spare, found = itertools.cycle(SPARE), {}
    for name in dict.fromkeys(names):
        if name in DASHES:
            found[name] = dict(color=COLOURS[name], dash=DASHES[name], symbol=MARKERS[name])
        else:
            found[name] = next(spare)
    return found


def wrapped(title, letters):
    """A title in lines of at most so many letters; one that has its lines already stays so."""
    lines = textwrap.wrap(title, int(letters), break_long_words=False)
    return title if "<br>" in title else "<br>".join(lines)


def recorded_curves(plots_by_title):
    """Curves of recorded runs over epochs, one plot beside the other: a dot a run and epoch, a line
    the mean of the runs.

    plots_by_title: {title: (table, column)}; a table has rows with scheme, seed, epoch and
    `column`, a share in [0, 1].
    """
    look = looks(name for table, _ in plots_by_title.values() for name in table["scheme"])
    traces, named, counts = [], set(), {}
    for table, column in plots_by_title.values():
        for name, seeds in table.dropna(subset=[column]).groupby("scheme")["seed"]:
            counts.setdefault(name, set()).add(seeds.nunique())
    for plot, (table, column) in enumerate(plots_by_title.values(), 1):
        for name, rows in table.dropna(subset=[column]).groupby("scheme"):
            mean, runs = rows.groupby("epoch")[column].mean(), max(counts[name])
            said = f"mean of {runs}" if len(counts[name]) == 1 else "mean"
            place = dict(look=look[name], plot=plot, legendgroup=name)
            every = (rows["epoch"].to_numpy(), rows[column].to_numpy(), name)
            traces.append(points(*every, mode="markers", opacity=0.5, legend=False, **place))
            line = (mean.index.to_numpy(), mean.to_numpy(), f"{name} ({said})")
            traces.append(points(*line, mode="lines", legend=name not in named, **place))
            named.add(name)
    return figure(traces, 400, **plots(list(plots_by_title), x=dict(title="epoch"), y=SHARE))


def confidences(groups, label):
    """Histograms, in 20 bins, of the probability a network gives to a label: a plot a group of
    images, a line a network.

    groups: {title: {network: probabilities (n,) in [0, 1]}}. Height is the share of images in a
    bin.
    """
    edges, traces = np.linspace(0, 1, 21), []
    look = looks(name for networks in groups.values() for name in networks)
    for plot, networks in enumerate(groups.values(), 1):
        for name, values in networks.items():
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            centres = (edges[:-1] + edges[1:]) / 2
            traces.append(points(centres, share, name, look[name], plot, legend=plot == 1))
            traces[-1]["line"]["shape"] = "hvh"
    x = dict(title=wrapped(label, 20), range=[-0.02, 1.02], tickformat=".0%")
    y = dict(title="share of images", tickformat=".0%", range=[-0.02, 1.03])
    return figure(traces, 400, **plots(list(groups), x=x, y=y))


def bars(rates, title, y_title, intervals=None):
    """Bars of shares in [0, 1]: rates {row: {network: share}}; a bar a network in each row, named
    under it.

    intervals: {row: {network: (low, high)}} draws an interval on each bar.
    """
    names, traces = list(dict.fromkeys(name for row in rates.values() for name in row)), []
    for pattern, (name, look) in zip(PATTERNS, looks(names).items(), strict=False):
        values = [row.get(name) for row in rates.values()]
        texts = [f"{v:.0%}" if v is not None else "" for v in values]
        more = dict(text=texts, textposition="outside", cliponaxis=False)
        if intervals:
            low, high = np.array([intervals[row][name] for row in rates]).T
            ends = dict(array=high - values, arrayminus=values - low, symmetric=False)
            more["error_y"] = dict(type="data", thickness=1.5) | ends
        traces.append(column(list(rates), values, name, look["color"], pattern, **more))
    y = dict(title=y_title, range=[0, 1.08], tickformat=".0%")
    return figure(traces, title=dict(text=wrapped(title, 40)), yaxis=y, barmode="group")


def heatmap(table, form, **more):
    """A trace: a table as a map of colours with its numbers, in a format such as ".0%"; NaN is left
    out.
    """
    rows = table.to_numpy(float)
    texts = [["" if np.isnan(value) else format(value, form) for value in row] for row in rows]
    trace = dict(type="heatmap", x=[*table.columns], y=[*table.index], z=rows, colorscale="Cividis")
    return trace | dict(text=texts, texttemplate="%{text}", textfont=dict(size=14)) | more


def pictures(rows, captions=None, size=96):
    """Rows of images {title: images (n, h, w, c) in [0, 1]} as HTML: the title beside each row, a
    caption under each image.

    captions: {title: list of n texts}. size: of an image on the screen, in pixels; less where a
    page has no room. HTML, because a plotly figure weighs megabytes in a notebook. Differences are
    to be shifted to [0, 1].
    """
    named = min(150, 10 * max(map(len, rows)))  # room for titles, in pixels
    table, look = "", f"style='width:100%; max-width:{size}px; image-rendering:pixelated'"
    for title, images in rows.items():
        said, cells = (captions or {}).get(title, [""] * len(images)), ""
        for number, image in enumerate(images):
            cells += (
                "<td style='padding:3px 6px; text-align:center'>"
                f"<img src='{png(image)}' alt='{html.escape(title)} {number + 1}' {look}/>"
                f"<br/>{html.escape(said[number])}</td>"
            )
        side = f"width:{named}px; text-align:left; padding-right:12px"
        head = f"<th scope='row' style='{side}'>{html.escape(title)}</th>"
        table += f"<tr style='background:none'>{head}{cells}</tr>"
    wide = named + 12 + (size + 12) * max(map(len, rows.values()))
    look = f"width:100%; max-width:{wide}px; table-layout:fixed; font-size:15px"
    return f"<table style='{look}; border-collapse:collapse'>{table}</table>"


def png(image, size=None):
    """An image (h, w, c) in [0, 1] as a data address; size: enlarged to about so many pixels, each
    a square.
    """
    pixels, file = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8), io.BytesIO()
    picture = Image.fromarray(pixels.squeeze())
    if size:
        larger = [side * max(1, round(size / picture.width)) for side in picture.size]
        picture = picture.resize(larger, Image.Resampling.NEAREST)
    picture.save(file, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def svg(shapes, box, sizing="none"):
    """SVG shapes as a data address, for an image of a plotly figure.

    box: (left, top, width, height) in the shapes' units. sizing: SVG's preserveAspectRatio; "none"
    stretches.
    """
    left, top, width, height = box
    size = f"viewBox='{left} {top} {width} {height}' width='{width}' height='{height}'"
    about = f"xmlns='http://www.w3.org/2000/svg' {size} preserveAspectRatio='{sizing}'"
    document = f"<svg {about}>{shapes}</svg>"
    return "data:image/svg+xml;base64," + base64.b64encode(document.encode()).decode()


def path(points, close=""):
    """Points (n, 2) as an SVG path in hundredths, y downwards: whole numbers, the fastest thing
    Python writes.
    """
    return f"M{' '.join(str(n) for pair in _hundredths(points) for n in pair)}{close}"


def marks(points, mark):
    """The SVG path `mark` drawn from each of the points (n, 2), in the same units."""
    return "".join(f"M{x} {y}{mark}" for x, y in _hundredths(points))


def _hundredths(points):
    return np.rint(np.multiply(points, (100, -100))).astype(int).tolist()


def roles():
    """The four roles and what passes between them (after the paper's Fig. 1)."""
    boxes = {
        "provider": (0, 0, "trains, sees<br>data and keys"),
        "Alice": (2, 0, "owns the model<br>and the secret"),
        "judge": (2, 1, "decides"),
        "Bob": (4, 0, "sells answers<br>from a copy"),
    }
    # from, to, what is written beside the arrow, and where
    arrows = [
        ((0.62, 0.1), (1.4, 0.1), "marked<br>model", (1, 0.26)),
        ((1.38, -0.1), (0.6, -0.1), "data,<br>keys", (1, -0.26)),
        ((2, 0.25), (2, 0.8), "secret,<br>at the trial", (1.55, 0.52)),
        ((2.4, 0.98), (3.9, 0.25), "keys,<br>paid for", (3.6, 0.78)),
        ((3.6, 0.2), (2.3, 0.82), "labels", (2.6, 0.42)),
    ]
    words, head = [], dict(arrowhead=2, arrowwidth=2, arrowcolor=COLOURS["grey"])
    for (ax, ay), (x, y), text, (text_x, text_y) in arrows:
        words.append(dict(x=x, y=y, ax=ax, ay=ay, axref="x", ayref="y") | head)
        words.append(dict(x=text_x, y=text_y, text=text, showarrow=False))
    rim = dict(bordercolor=COLOURS["unmarked"], borderwidth=2, borderpad=6, bgcolor="#E8EEF3")
    for name, (x, y, says) in boxes.items():
        words.append(dict(x=x, y=y, text=f"<b>{name}</b><br>{says}", showarrow=False) | rim)
    axis = dict(visible=False, fixedrange=True)
    axes = dict(xaxis=axis | dict(range=[-0.75, 4.75]), yaxis=axis | dict(range=[-0.4, 1.25]))
    margin, bare = dict(l=10, r=10, t=10, b=10), dict(remove=EVERY_BUTTON)
    return figure([], 400, annotations=words, margin=margin, modebar=bare, **axes)
