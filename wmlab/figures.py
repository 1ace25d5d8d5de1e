"""Pictures: arrays or records in, a plotly figure out. One look for the whole course."""
import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

# Okabe and Ito's colours, which stay apart for colour-blind readers; each goes with a dash and a marker of its own
COLOURS = {"unmarked": "#0072B2", "wrong label": "#D55E00", "new label": "#009E73", "other": "#CC79A7", "grey": "#7F7F7F"}
DASHES = {"unmarked": "solid", "wrong label": "dash", "new label": "dot", "other": "dashdot"}
MARKERS = {"unmarked": "circle", "wrong label": "square", "new label": "diamond", "other": "cross"}

TEMPLATE = go.layout.Template(layout=dict(
    font=dict(size=14), title=dict(font=dict(size=16), x=0, xref="paper"), margin=dict(l=60, r=20, t=50, b=50),
    paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(127,127,127,0.08)",
    xaxis=dict(gridcolor="rgba(127,127,127,0.25)", zeroline=False), yaxis=dict(gridcolor="rgba(127,127,127,0.25)", zeroline=False),
    legend=dict(orientation="h", y=-0.2), modebar=dict(remove=["sendChartToCloud", "select", "lasso"]),
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
    for name in names:
        colour = COLOURS.get(name, COLOURS["other"])
        values = [row.get(name) for row in rates.values()]
        error = None
        if intervals:
            low, high = np.array([intervals[row][name] for row in rates]).T
            error = dict(array=high - values, arrayminus=values - low)
        figure.add_bar(x=list(rates), y=values, name=name, marker=dict(color=colour), error_y=error,
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
    places = {"provider": (0, 0), "Alice": (1, 0), "judge": (1, 1), "Bob": (2, 0)}
    says = {"provider": "trains the model,<br>sees data and keys", "Alice": "owns the model<br>and the secret",
            "judge": "decides", "Bob": "sells answers<br>from a copy"}
    arrows = [("Alice", "provider", "data, keys"), ("provider", "Alice", "marked model"), ("Alice", "judge", "secret, at the trial"),
              ("judge", "Bob", "key samples, paid"), ("Bob", "judge", "labels")]
    figure = blank(height=360, title="Who does what", xaxis=dict(visible=False, range=[-0.5, 2.5]), yaxis=dict(visible=False, range=[-0.45, 1.35]))
    for number, (start, end, text) in enumerate(arrows):
        (x0, y0), (x1, y1) = places[start], places[end]
        shift = 0.09 if (end, start) in {(a, b) for a, b, _ in arrows} else 0
        dx, dy = (0, shift if number % 2 else -shift) if y0 == y1 else (shift * (1 if number % 2 else -1), 0)
        ax, ay, x, y = (x0 + .3 * np.sign(x1 - x0) + dx, y0 + .22 * np.sign(y1 - y0) + dy, x1 - .3 * np.sign(x1 - x0) + dx, y1 - .22 * np.sign(y1 - y0) + dy)
        figure.add_annotation(x=x, y=y, ax=ax, ay=ay, axref="x", ayref="y", showarrow=True, arrowhead=2, arrowwidth=2, arrowcolor=COLOURS["grey"])
        figure.add_annotation(x=(x + ax) / 2, y=(y + ay) / 2 + (0.05 if dy >= 0 else -0.05), text=text, showarrow=False, font=dict(size=12))
    for name, (x, y) in places.items():
        figure.add_annotation(x=x, y=y, text=f"<b>{name}</b><br>{says[name]}", showarrow=False, bordercolor=COLOURS["unmarked"],
                              borderwidth=2, borderpad=6, bgcolor="rgba(127,127,127,0.15)")
    return figure
