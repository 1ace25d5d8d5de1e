"""Lesson 09, continued: keys in front of a service that refuses, and what filters cost and leave, on record."""
import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import figures, queries, records
from wmlab.panels.base import Panel
from wmlab.panels.p09 import ALARMS, WIDE, choice, flagged

FAMILIES = {"JPEG": "quality", "median": "size", "bit depth": "bits", "noise on queries": "variance",
            "random answers to noisy images": None}  # the filters on record, and what their strength is called
LIMIT = 40  # keys that Ver asks on record, at most


def asked(scores, hits, detector, alarms, keys):
    """What Alice meets at each β behind a detector that refuses: {"hit" | "answered" | "both" | "chance" | "mean": float (n,)}.

    scores: of `p09.scored`. hits: {β: bool (n,)}, whether the model, unguarded, gives each of the same keys its label. Chance of a
    first hit within so many keys, and mean number of queries up to it or to the last, refused ones counted.
    """
    rows = []
    for beta, hit in hits.items():
        refused = flagged(scores[detector], beta, alarms)[2]
        both = float(np.mean(hit & ~refused))
        rows.append((hit.mean(), 1 - refused.mean(), both, 1 - (1 - both) ** keys, queries.expected(both, keys)))
    return {"beta": list(hits), "detector": detector, "alarms": alarms, "keys": keys,
            **dict(zip(("hit", "answered", "both", "chance", "mean"), np.array(rows, float).T, strict=True))}


def ask(scores, hits):
    """Panel: how strong should the keys be that Alice asks with, if Bob refuses what he finds?

    scores, hits: as in `asked`, which gives its `result`.
    """
    figure = make_subplots(1, 2, subplot_titles=("one key", "all keys of a trial"))
    lines = {"answered": ("grey", "dash"), "hit": ("new label", "dot"), "both": ("unmarked", "solid")}
    titles = {"answered": "is answered", "hit": "would hit, were it answered", "both": "is answered and hits"}
    for name, (look, dash) in lines.items():
        figure.add_scatter(mode="lines+markers", name=titles[name], row=1, col=1,
                           line=dict(color=figures.COLOURS[look], dash=dash, width=3))
    figure.add_scatter(mode="lines+markers", name="one of them hits", row=1, col=2,
                       line=dict(color=figures.COLOURS["wrong label"], width=3))
    figure.update_layout(template=figures.TEMPLATE, height=440, margin=dict(b=130, t=40))
    betas = list(hits)
    figure.update_xaxes(type="log", title="β of the keys<br>that Alice asks with", tickvals=betas, tickangle=-60,
                        ticktext=[f"{beta:g}" for beta in betas])
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.05]).update_yaxes(title="probability", col=1)
    figure.update_yaxes(side="right", col=2)

    def draw(figure, result):
        traces = iter(figure.data)
        for name in lines:
            next(traces).update(x=betas, y=result[name])
        next(traces).update(x=betas, y=result["chance"])
        best = int(np.argmax(result["both"]))
        if not result["both"][best]:
            return (f"<b>{result['detector']}</b>, at most {result['alarms']:.1%} false alarms: no key of any strength is both "
                    "answered and hits. Alice has no proof here.")
        return (f"<b>{result['detector']}</b>, at most {result['alarms']:.1%} false alarms: Alice's best keys have β = "
                f"{betas[best]:g}: {result['answered'][best]:.1%} are answered, {result['both'][best]:.1%} answered and hits; "
                f"{result['keys']} of them prove the mark with {result['chance'][best]:.1%}, "
                f"at {result['mean'][best]:.1f} queries on average.")

    controls = {"alarms": choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
                "detector": widgets.ToggleButtons(options=list(scores), description="detector", style=dict(button_width="auto")),
                "keys": widgets.IntSlider(LIMIT, min=1, max=200, description="|K|, most keys", **WIDE)}
    return Panel(figure, controls, lambda **at: asked(scores, hits, **at), draw, first=1)


def prices(table):
    """The rows of an attacks table that are filters or no attack, with `mark` (decoys told apart) and `lost`: points of clean
    accuracy below that of the same network without a filter."""
    rows = table[table.attack.isin(["no attack", *FAMILIES])].copy()
    rows["mark"] = rows.scheme.where(rows.decoys == 0, "decoys")
    network = ["mark", "alpha", "beta", "seed"]
    plain = rows[rows.attack == "no attack"].set_index(network).clean_accuracy
    rows["lost"] = 100 * (plain.reindex(pd.MultiIndex.from_frame(rows[network])).to_numpy() - rows.clean_accuracy)
    return rows.reset_index(drop=True)


def title(attack, strength):
    """A filter in words: "JPEG, quality 10"."""
    return attack if np.isnan(strength) else f"{attack}, {FAMILIES[attack]} {strength:g}"


def groups(rows):
    """The rows of one mark by filter and strength: a list of (attack, strength, rows)."""
    found = rows[rows.attack != "no attack"].groupby(["attack", "strength"], dropna=False, sort=False)
    return [(attack, strength, these) for (attack, strength), these in found]


def within(rows, loss):
    """The filters that cost at most `loss` points on average, least key accuracy first: a list of (title, rows)."""
    cheap = [(title(attack, strength), these) for attack, strength, these in groups(rows) if these.lost.mean() <= loss]
    return sorted(cheap, key=lambda each: each[1].fresh_key_accuracy.mean())


def wide(points):
    """Points of accuracy on an axis that has room for small ones and large ones: their inverse hyperbolic sine."""
    return np.arcsinh(np.asarray(points, float))


def filtered(tables):
    """Panel: every filter on record, clean accuracy lost against key accuracy left, and the loss that Bob can bear.

    tables: {title: attacks table of `records.load`}. A dot is a network, a mark the mean of one strength, with 95 % intervals
    from six networks on. Its `result` has loss, mark and rows.
    """
    rows = {name: prices(table) for name, table in tables.items()}
    marks = [mark for mark in ("new label", "wrong label", "decoys") if any((each["mark"] == mark).any() for each in rows.values())]
    figure, ticks = figures.blank(height=520, margin=dict(t=20, b=130)), (-2, -1, 0, 1, 2, 5, 10, 20, 50, 90)
    for name, look, where in zip(FAMILIES, [*figures.SPARE, *figures.looks(["unmarked"]).values()],
                                 ("middle right", "bottom center", "middle left", "top center", "top center"), strict=True):
        drawn = dict(color=look["color"], symbol=look["symbol"])
        figure.add_scatter(mode="markers", opacity=0.4, showlegend=False, hoverinfo="skip", marker=drawn | {"size": 6})
        figure.add_scatter(mode="markers+lines+text", name=name, textposition=where, cliponaxis=False,
                           marker=drawn | {"size": 13}, line=dict(color=look["color"], width=1))
    figure.add_vline(x=0, line=dict(color=figures.BLACK, dash="dash", width=2))
    figure.add_vrect(x0=-9, x1=0, fillcolor=figures.COLOURS["grey"], opacity=0.15, line_width=0)
    figure.update_xaxes(title="clean accuracy lost, points", tickvals=wide(ticks), ticktext=ticks, range=wide([-3, 130]))
    figure.update_yaxes(title="fresh keys that still hit", tickformat=".0%", range=[-0.09, 1.1])

    def draw(figure, result):
        traces, of = iter(figure.data), result["rows"]
        for name in FAMILIES:
            these = [(strength, each) for attack, strength, each in groups(of) if attack == name]
            dots = of[of.attack == name]
            next(traces).update(x=wide(dots.lost), y=dots.fresh_key_accuracy.to_numpy())
            enough = all(len(each) >= records.FEW for _, each in these)
            x, y = ([records.interval(each[column]) for _, each in these] for column in ("lost", "fresh_key_accuracy"))
            x, y = wide(np.reshape(x, (-1, 3))), np.reshape(y, (-1, 3))
            bars = {axis: dict(array=(v[:, 2] - v[:, 0]).tolist(), arrayminus=(v[:, 0] - v[:, 1]).tolist(), thickness=1.5)
                    if enough else dict(array=[], arrayminus=[]) for axis, v in (("error_x", x), ("error_y", y))}
            next(traces).update(x=x[:, 0], y=y[:, 0], text=["" if np.isnan(s) else f"{s:g}" for s, _ in these],
                                hovertext=[title(name, s) for s, _ in these], **bars)
        line, region = figure.layout.shapes
        line.x0 = line.x1 = region.x1 = float(wide(result["loss"]))
        return says(of, result["loss"])

    controls = {"loss": widgets.FloatSlider(2, min=0, max=20, step=0.5, description="points Bob can bear to lose", **WIDE),
                "mark": widgets.ToggleButtons(options=marks, description="mark", style=dict(button_width="auto")),
                "of": widgets.ToggleButtons(options=list(tables), description="on record", style=dict(button_width="auto"))}

    def compute(loss, mark, of):
        return {"loss": loss, "mark": mark, "rows": rows[of][rows[of]["mark"] == mark]}

    return Panel(figure, controls, compute, draw, first=1)


def says(rows, loss):
    """What the records of one mark say at a loss that Bob can bear, in words."""
    cheap = within(rows, loss)
    if not cheap:
        return f"No filter on record costs {loss:g} points or less."
    name, best = cheap[0]
    marked, n = (best.decision == "marked").sum(), len(best)
    return (f"Within {loss:g} points: <b>{name}</b> leaves the fewest keys, {_about(best.fresh_key_accuracy, '{:.1%}')}, at "
            f"{_about(best.lost, '{:.1f}')} points; Ver with {LIMIT} keys still says “marked” for {marked} of {n} "
            f"network{'' if n == 1 else 's'}.")


def _about(values, form):
    """The mean of runs, with a 95 % interval from six on, with the least and the largest of fewer, alone if it is one."""
    mean, low, high = records.interval(values)
    if len(values) == 1:
        return form.format(mean)
    if len(values) < records.FEW:
        low, high = min(values), max(values)
    brackets = "[{}, {}]" if len(values) >= records.FEW else "({} to {})"
    return f"{form.format(mean)} " + brackets.format(form.format(low), form.format(high))


def bill(table, mark):
    """What every filter costs Bob and what it leaves of one mark ("new label", "wrong label" or "decoys"), a row each.

    Means over the networks on record; in brackets 95 % intervals from six of them on, else in parentheses the extremes.
    """
    of, rows = prices(table), {}
    of = of[of["mark"] == mark]
    for attack, strength, each in [("no filter", np.nan, of[of.attack == "no attack"]), *groups(of)]:
        rows[title(attack, strength)] = {
            "networks": len(each), "clean accuracy lost, points": _about(each.lost, "{:.1f}"),
            "keys that hit": _about(each.fresh_key_accuracy, "{:.1%}"), "mean queries of Ver": f"{each.queries.mean():.1f}",
            "Ver says marked": f"{(each.decision == 'marked').sum()} of {len(each)}",
            "clean images with the key label": f"{each.key_label_rate_clean.mean():.1%}"}
    return pd.DataFrame(rows).T.rename_axis(f"{mark}, filter")
