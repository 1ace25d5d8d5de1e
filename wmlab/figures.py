"""Pictures: arrays or records in, a plotly figure out. One look for the whole course."""
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's colours, which stay apart for colour-blind readers; each goes with a dash and a marker of its own
COLOURS = {"unmarked": "#0072B2", "wrong label": "#D55E00", "new label": "#009E73", "other": "#CC79A7", "grey": "#7F7F7F"}
DASHES = {"unmarked": "solid", "wrong label": "dash", "new label": "dot", "other": "dashdot"}
PATTERNS = ("", "/", ".", "x", "-")  # of bars, in order
MARKERS = {"unmarked": "circle", "wrong label": "square", "new label": "diamond", "other": "cross"}

TEMPLATE = go.layout.Template(layout=dict(
    font=dict(size=14), title=dict(font=dict(size=16), x=0, xref="paper"), margin=dict(l=70, r=20, t=60, b=90),
    paper_bgcolor="white", plot_bgcolor="#F4F4F4",
    xaxis=dict(gridcolor="rgba(127,127,127,0.25)", zeroline=False), yaxis=dict(gridcolor="rgba(127,127,127,0.25)", zeroline=False),
    legend=dict(orientation="h", yref="container", y=0.02, yanchor="bottom"),
    modebar=dict(remove=["sendChartToCloud", "select", "lasso"], bgcolor="rgba(0,0,0,0)", color="#7F7F7F", activecolor="#0072B2"),
))


def blank(height=380, **layout):
    """An empty figure in the course's look; `layout` goes to plotly's layout."""
    return go.Figure(layout=dict(template=TEMPLATE, height=height, **layout))


def curves(names=("unmarked", "wrong label", "new label"), epochs=4):
    """Two empty plots side by side, clean accuracy and fresh-key accuracy over epochs; a trace a network and plot.

    Trace 2i is the clean accuracy of network i, 2i + 1 its key accuracy. Fill them with `x` and `y`.
    """
    figure = make_subplots(1, 2, subplot_titles=("accuracy on clean images", "accuracy on fresh keys"))
    for name in names:
        for column in (1, 2):
            figure.add_scatter(x=[], y=[], name=name, legendgroup=name, showlegend=column == 1, mode="lines+markers",
                               line=dict(color=COLOURS[name], dash=DASHES[name], width=3),
                               marker=dict(symbol=MARKERS[name], size=9), row=1, col=column)
    figure.update_xaxes(title="epoch", range=[0.5, epochs + 0.5], dtick=1 if epochs < 12 else None)
    figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%")
    return figure.update_layout(template=TEMPLATE, height=400)


def recorded_curves(table, column, title):
    """Curves of recorded runs: the mean over seeds with the range of all seeds as a band, a colour a scheme.

    table: rows with scheme, seed, epoch and `column` (a share in [0, 1]).
    """
    figure = blank(title=title, xaxis_title="epoch", yaxis=dict(range=[-0.03, 1.03], tickformat=".0%"))
    for name, rows in table.dropna(subset=[column]).groupby("scheme"):
        by_epoch = rows.groupby("epoch")[column].agg(["mean", "min", "max"])
        x = by_epoch.index.tolist()
        figure.add_scatter(x=x + x[::-1], y=[*by_epoch["max"], *by_epoch["min"][::-1]], fill="toself", mode="none",
                           fillcolor=COLOURS[name], opacity=0.2, showlegend=False, hoverinfo="skip", legendgroup=name)
        figure.add_scatter(x=x, y=by_epoch["mean"].tolist(), name=f"{name} (mean of {rows['seed'].nunique()})",
                           legendgroup=name, mode="lines+markers", marker=dict(symbol=MARKERS[name], size=8),
                           line=dict(color=COLOURS[name], dash=DASHES[name], width=3))
    return figure


def confidences(groups, label, bins=20):
    """Histograms of the probability a network gives to a label: one row a group of images, one line a network.

    groups: {title: {network: probabilities (n,) in [0, 1]}}. Height is the share of images in a bin.
    """
    edges = np.linspace(0, 1, bins + 1)
    figure = make_subplots(1, len(groups), subplot_titles=list(groups), shared_yaxes=True)
    for column, networks in enumerate(groups.values(), 1):
        for name, values in networks.items():
            share = np.histogram(values, edges)[0] / max(len(values), 1)
            figure.add_scatter(x=(edges[:-1] + edges[1:]) / 2, y=share, name=name, legendgroup=name, showlegend=column == 1,
                               mode="lines+markers", line=dict(color=COLOURS[name], dash=DASHES[name], shape="hvh", width=3),
                               marker=dict(symbol=MARKERS[name], size=7), row=1, col=column)
    figure.update_xaxes(title=label, range=[0, 1], tickformat=".0%")
    figure.update_yaxes(title="share of images", tickformat=".0%", range=[0, 1.03], col=1)
    return figure.update_layout(template=TEMPLATE, height=400)


def bars(rates, title, y_title, intervals=None):
    """Bars of shares in [0, 1]: rates {row: {network: share}}; a bar a network in each row, named under it.

    intervals: {row: {network: (low, high)}} draws an interval on each bar.
    """
    names = list(dict.fromkeys(name for row in rates.values() for name in row))
    figure = blank(title=title, yaxis=dict(title=y_title, range=[0, 1.08], tickformat=".0%"), barmode="group")
    for number, name in enumerate(names):
        colour = COLOURS.get(name, list(COLOURS.values())[number])
        values = [row.get(name) for row in rates.values()]
        error = None
        if intervals:
            low, high = np.array([intervals[row][name] for row in rates]).T
            error = dict(array=high - values, arrayminus=values - low, thickness=1.5)
        figure.add_bar(x=list(rates), y=values, name=name, error_y=error,
                       marker=dict(color=colour, pattern=dict(shape=PATTERNS[number])),
                       text=[f"{v:.0%}" if v is not None else "" for v in values], textposition="outside", cliponaxis=False)
    return figure


def pictures(rows, captions=None, scale=3):
    """Rows of images on one picture: {title: images (n, h, w, c) in [0, 1]}, with a caption under each image.

    captions: {title: list of n texts}. Drawn as one bitmap, which is light; differences are to be shifted to [0, 1].
    """
    n = max(len(images) for images in rows.values())
    figure = make_subplots(len(rows), n, row_titles=list(rows), horizontal_spacing=0.01, vertical_spacing=0.06,
                           subplot_titles=[c for title in rows for c in (captions or {}).get(title, [""] * n)])
    for row, images in enumerate(rows.values(), 1):
        for column, image in enumerate(images, 1):
            rgb = np.repeat(image, 3, axis=2) if image.shape[2] == 1 else image
            figure.add_image(z=np.round(np.clip(rgb, 0, 1) * 255).astype(np.uint8), row=row, col=column, hoverinfo="skip")
    figure.update_xaxes(visible=False).update_yaxes(visible=False)
    return figure.update_layout(template=TEMPLATE, height=90 + 45 * scale * len(rows), margin=dict(l=10, r=40, t=40, b=10))


def roles():
    """The four roles and what passes between them (after the paper's Fig. 1)."""
    boxes = {"provider": (0, 0, "trains the model,<br>sees data and keys"), "Alice": (1.2, 0, "owns the model<br>and the secret"),
             "judge": (1.2, 1, "decides"), "Bob": (2.4, 0, "sells answers<br>from a copy")}
    # from, to, what is written beside the arrow, and where
    arrows = [((0.4, 0.1), (0.85, 0.1), "marked model", (0.62, 0.19)), ((0.85, -0.1), (0.4, -0.1), "data, keys", (0.62, -0.2)),
              ((1.2, 0.25), (1.2, 0.8), "secret,<br>at the trial", (0.98, 0.52)),
              ((1.5, 0.95), (2.25, 0.3), "keys, paid for", (2.13, 0.7)), ((2.1, 0.25), (1.45, 0.82), "labels", (1.62, 0.48))]
    figure = blank(height=360, title="Who does what", margin=dict(l=10, r=10, t=50, b=10),
                   xaxis=dict(visible=False, range=[-0.5, 2.9]), yaxis=dict(visible=False, range=[-0.45, 1.35]))
    for (ax, ay), (x, y), text, (text_x, text_y) in arrows:
        figure.add_annotation(x=x, y=y, ax=ax, ay=ay, axref="x", ayref="y", arrowhead=2, arrowwidth=2, arrowcolor=COLOURS["grey"])
        figure.add_annotation(x=text_x, y=text_y, text=text, showarrow=False, font=dict(size=13))
    for name, (x, y, says) in boxes.items():
        figure.add_annotation(x=x, y=y, text=f"<b>{name}</b><br>{says}", showarrow=False, bordercolor=COLOURS["unmarked"],
                              borderwidth=2, borderpad=6, bgcolor="rgba(127,127,127,0.15)")
    return figure
