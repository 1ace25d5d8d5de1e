"""Pictures: arrays or records in, a plotly figure out. One look for the whole course."""

import base64
import html
import io
import itertools
import textwrap

import numpy as np
import plotly.graph_objects as go
from PIL import Image
from plotly.subplots import make_subplots

# Okabe and Ito's colours, which stay apart for colour-blind readers; each goes with a dash and a
# marker of its own. Their orange (#E69F00) and sky blue (#56B4E9) are darker here, as far as it
# takes for lines and marks to reach a contrast of 3 on white.
BLACK, ORANGE, SKY, GREEN, YELLOW = "#000000", "#C68800", "#389DD1", "#009E73", "#F0E442"
BLUE, VERMILLION, PURPLE, GREY, DARK, PALE = (
    "#0072B2",
    "#D55E00",
    "#CC79A7",
    "#7F7F7F",
    "#4D4D4D",
    "#BDBDBD",
)
PALETTE = (
    BLACK,
    ORANGE,
    SKY,
    GREEN,
    YELLOW,
    BLUE,
    VERMILLION,
    PURPLE,
    GREY,
    DARK,
    PALE,
)  # yellow and pale for fills with a rim
COLOURS = {
    "unmarked": BLUE,
    "wrong label": VERMILLION,
    "new label": GREEN,
    "other": PURPLE,
    "grey": GREY,
}
DASHES = {"unmarked": "solid", "wrong label": "dash", "new label": "dot", "other": "dashdot"}
PATTERNS = ("", "/", ".", "x", "-")  # of bars, in order
MARKERS = {"unmarked": "circle", "wrong label": "square", "new label": "diamond", "other": "cross"}

EVERY_BUTTON = (
    "sendChartToCloud",
    "select",
    "lasso",
    "zoom",
    "pan",
    "zoomIn",
    "zoomOut",
    "autoScale",
    "resetScale",
    "toImage",
)

# what has none of those names: as many looks as lines can be told apart by
SPARE = [
    dict(color=PURPLE, dash="dashdot", symbol="cross"),
    dict(color=ORANGE, dash="longdash", symbol="triangle-up"),
    dict(color=SKY, dash="longdashdot", symbol="star"),
    dict(color=DARK, dash="solid", symbol="x"),
]

GRID = dict(
    gridcolor="#DDDDDD",
    linecolor=GREY,
    showline=True,
    mirror=True,
    zeroline=False,
    automargin=True,
    title=dict(standoff=8),
)
TEMPLATE = go.layout.Template(
    layout=dict(
        font=dict(size=14, color="#333333"),
        margin=dict(l=70, r=30, t=60, b=90),
        title=dict(font=dict(size=16), x=0, xref="paper"),
        # white in the dark theme too: no grey of letters reaches a contrast of 4.5 both on white
        # and on the dark page
        paper_bgcolor="white",
        plot_bgcolor="white",
        xaxis=GRID,
        yaxis=GRID,
        legend=dict(orientation="h", yref="container", y=0.02, yanchor="bottom"),
        modebar=dict(
            remove=["sendChartToCloud", "select", "lasso"],
            bgcolor="rgba(0,0,0,0)",
            color=GREY,
            activecolor=BLUE,
        ),
    )
)


def looks(names):
    """The look of each name, {name: {color, dash, symbol}}: its own for the course's networks, a
    spare one for others.
    """
    spare = itertools.cycle(SPARE)
    return {
        name: dict(color=COLOURS[name], dash=DASHES[name], symbol=MARKERS[name])
        if name in DASHES
        else next(spare)
        for name in dict.fromkeys(names)
    }


def line(look, **layout):
    """Line and marker of a trace in a look of `looks`."""
    return dict(
        line=dict(color=look["color"], dash=look["dash"], width=3, **layout),
        marker=dict(symbol=look["symbol"], size=8),
    )


def blank(height=380, **layout):
    """An empty figure in the course's look; `layout` goes to plotly's layout."""
    return go.Figure(layout=dict(template=TEMPLATE, height=height, **layout))


def _narrow(titles):
    """Titles of plots beside each other, in lines that fit when they share half a screen."""
    return ["<br>".join(textwrap.wrap(title, 40 // len(titles))) for title in titles]


def curves(names=("unmarked", "wrong label", "new label"), epochs=4):
    """Two empty plots side by side, clean accuracy and fresh-key accuracy over epochs; a trace a
    network and plot.

    Trace 2i is the clean accuracy of network i, 2i + 1 its key accuracy. Fill them with `x` and
    `y`.
    """
    figure = make_subplots(
        1, 2, subplot_titles=("accuracy on clean images", "accuracy on fresh keys")
    )
    for name, look in looks(names).items():
        for column in (1, 2):
            figure.add_scatter(
                x=[],
                y=[],
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                mode="lines+markers",
                **line(look),
                row=1,
                col=column,
            )
    figure.update_xaxes(title="epoch", range=[0.5, epochs + 0.5], dtick=1 if epochs < 12 else None)
    figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%").update_yaxes(
        range=[0.49, 1.01], col=1
    )
    return figure.update_layout(template=TEMPLATE, height=400)


def recorded_curves(plots):
    """Curves of recorded runs over epochs, one plot beside the other: a dot a run and epoch, a line
    the mean of the runs.

    plots: {title: (table, column)}; a table has rows with scheme, seed, epoch and `column`, a share
    in [0, 1].
    """
    figure, named = (
        make_subplots(1, len(plots), subplot_titles=_narrow(plots), shared_yaxes=True),
        set(),
    )
    look = looks(name for table, _ in plots.values() for name in table["scheme"])
    for number, (table, column) in enumerate(plots.values(), 1):
        for name, rows in table.dropna(subset=[column]).groupby("scheme"):
            place, mean, drawn = (
                dict(legendgroup=name, row=1, col=number),
                rows.groupby("epoch")[column].mean(),
                line(look[name]),
            )
            figure.add_scatter(
                x=rows["epoch"].tolist(),
                y=rows[column].tolist(),
                mode="markers",
                opacity=0.5,
                showlegend=False,
                marker=drawn["marker"] | {"color": look[name]["color"]},
                **place,
            )
            figure.add_scatter(
                x=mean.index.tolist(),
                y=mean.tolist(),
                mode="lines",
                showlegend=name not in named,
                name=f"{name} (mean of {rows['seed'].nunique()})",
                line=drawn["line"],
                **place,
            )
            named.add(name)
    figure.update_xaxes(title="epoch").update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    return figure.update_layout(template=TEMPLATE, height=400)


def confidences(groups, label, bins=20):
    """Histograms of the probability a network gives to a label: one row a group of images, one line
    a network.

    groups: {title: {network: probabilities (n,) in [0, 1]}}. Height is the share of images in a
    bin.
    """
    edges = np.linspace(0, 1, bins + 1)
    figure = make_subplots(1, len(groups), subplot_titles=_narrow(groups), shared_yaxes=True)
    look = looks(name for networks in groups.values() for name in networks)
    for column, networks in enumerate(groups.values(), 1):
        for name, values in networks.items():
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            figure.add_scatter(
                x=(edges[:-1] + edges[1:]) / 2,
                y=share,
                name=name,
                legendgroup=name,
                showlegend=column == 1,
                mode="lines+markers",
                **line(look[name], shape="hvh"),
                row=1,
                col=column,
            )
    figure.update_xaxes(title=_narrow([label, label])[0], range=[-0.02, 1.02], tickformat=".0%")
    figure.update_yaxes(title="share of images", tickformat=".0%", range=[-0.02, 1.03], col=1)
    return figure.update_layout(template=TEMPLATE, height=400)


def bars(rates, title, y_title, intervals=None):
    """Bars of shares in [0, 1]: rates {row: {network: share}}; a bar a network in each row, named
    under it.

    intervals: {row: {network: (low, high)}} draws an interval on each bar.
    """
    names = list(dict.fromkeys(name for row in rates.values() for name in row))
    figure = blank(
        title=_narrow([title])[0],
        yaxis=dict(title=y_title, range=[0, 1.08], tickformat=".0%"),
        barmode="group",
    )
    for number, (name, look) in enumerate(looks(names).items()):
        values = [row.get(name) for row in rates.values()]
        error = None
        if intervals:
            low, high = np.array([intervals[row][name] for row in rates]).T
            error = dict(array=high - values, arrayminus=values - low, thickness=1.5)
        figure.add_bar(
            x=list(rates),
            y=values,
            name=name,
            error_y=error,
            marker=dict(color=look["color"], pattern=dict(shape=PATTERNS[number])),
            text=[f"{v:.0%}" if v is not None else "" for v in values],
            textposition="outside",
            cliponaxis=False,
        )
    return figure


def pictures(rows, captions=None, size=96):
    """Rows of images {title: images (n, h, w, c) in [0, 1]} as HTML: the title beside each row, a
    caption under each image.

    captions: {title: list of n texts}. size: of an image on the screen, in pixels; less where a
    page has no room. HTML, because a plotly figure weighs megabytes in a notebook. Differences are
    to be shifted to [0, 1].
    """
    table, named = (
        "",
        min(150, 10 * max(map(len, rows))),
    )  # the second is the room for titles, in pixels
    for title, images in rows.items():
        cells = ""
        for number, image in enumerate(images):
            caption = html.escape((captions or {}).get(title, [""] * len(images))[number])
            cells += (
                f"<td style='padding:3px 6px; text-align:center'><img src='{png(image)}' "
                f"alt='{html.escape(title)} {number + 1}' style='width:100%; max-width:{size}px; image-rendering:pixelated'/>"
                f"<br/>{caption}</td>"
            )
        title = f"<th scope='row' style='width:{named}px; text-align:left; padding-right:12px'>{html.escape(title)}</th>"
        table += f"<tr style='background:none'>{title}{cells}</tr>"
    wide = named + 12 + (size + 12) * max(map(len, rows.values()))
    return (
        f"<table style='width:100%; max-width:{wide}px; table-layout:fixed; font-size:15px; border-collapse:collapse'>"
        f"{table}</table>"
    )


def png(image, size=None):
    """An image (h, w, c) in [0, 1] as a data address; size: enlarged to about so many pixels, each
    a square.
    """
    picture, file = (
        Image.fromarray(np.round(np.clip(image, 0, 1) * 255).astype(np.uint8).squeeze()),
        io.BytesIO(),
    )
    if size:
        picture = picture.resize(
            [side * max(1, round(size / picture.width)) for side in picture.size],
            Image.Resampling.NEAREST,
        )
    picture.save(file, "png", compress_level=1)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def svg(shapes, box, sizing="none"):
    """SVG shapes as a data address, for an image of a plotly figure.

    box: (left, top, width, height) in the shapes' units. sizing: SVG's preserveAspectRatio; "none"
    stretches.
    """
    left, top, width, height = box
    size = f"viewBox='{left} {top} {width} {height}' width='{width}' height='{height}' preserveAspectRatio='{sizing}'"
    document = f"<svg xmlns='http://www.w3.org/2000/svg' {size}>{shapes}</svg>"
    return "data:image/svg+xml;base64," + base64.b64encode(document.encode()).decode()


def path(points, close=""):
    """Points (n, 2) as an SVG path in hundredths, y downwards: whole numbers, the fastest thing
    Python writes.
    """
    return f"M{' '.join(map(str, np.rint(np.multiply(points, (100, -100))).astype(int).ravel().tolist()))}{close}"


def marks(points, mark):
    """The SVG path `mark` drawn from each of the points (n, 2), in the same units."""
    return "".join(
        f"M{x} {y}{mark}" for x, y in np.rint(np.multiply(points, (100, -100))).astype(int).tolist()
    )


def exchange(figure, images):
    """Put data addresses into the images of a figure without traces, in their order, and let
    nothing else be drawn anew.

    It is the name "images[0].source" that lets plotly's browser side do so;
    `layout.images[0].source = …` sends another.
    """
    figure.plotly_update(
        {}, {f"images[{number}].source": image for number, image in enumerate(images)}
    )


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
    figure = blank(
        height=400,
        margin=dict(l=10, r=10, t=10, b=10),
        modebar=dict(remove=EVERY_BUTTON),
        xaxis=dict(visible=False, range=[-0.75, 4.75], fixedrange=True),
        yaxis=dict(visible=False, range=[-0.4, 1.25], fixedrange=True),
    )
    for (ax, ay), (x, y), text, (text_x, text_y) in arrows:
        figure.add_annotation(
            x=x,
            y=y,
            ax=ax,
            ay=ay,
            axref="x",
            ayref="y",
            arrowhead=2,
            arrowwidth=2,
            arrowcolor=COLOURS["grey"],
        )
        figure.add_annotation(x=text_x, y=text_y, text=text, showarrow=False)
    for name, (x, y, says) in boxes.items():
        figure.add_annotation(
            x=x,
            y=y,
            text=f"<b>{name}</b><br>{says}",
            showarrow=False,
            bordercolor=COLOURS["unmarked"],
            borderwidth=2,
            borderpad=6,
            bgcolor="#E8EEF3",
        )
    return figure
