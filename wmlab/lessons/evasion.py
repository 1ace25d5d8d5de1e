"""Lesson 09: detectors of keys over β, the threshold that Bob can bear, and what a flag is worth
where keys are rare.

Lesson 09, continued: keys in front of a service that refuses, and what filters cost and leave, on
record. Checks of notebook 09, evasion.
"""

import math

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import queries, stats
from wmlab.filters.detectors import Detector, roc
from wmlab.show import figures
from wmlab.show.old_panel import Panel

BETAS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3.5e-3, 1e-2, 3e-2)
ALARMS = (
    0.001,
    0.004,
    0.01,
    0.02,
    0.05,
    0.1,
    0.2,
)  # shares of clean images that Bob can bear to see called keys
RATES = (0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # shares of queries that are keys
WIDE = dict(style=dict(description_width="initial"), layout=dict(width="400px"))
BINS = 40


def scored(detectors, aside, clean, keys):
    """The scores that every panel here reads: {detector: {"aside" | "clean" | β: float (n,)}}.

    detectors: {name: score}, functions of `filters.detectors`. aside, clean: Bob's images to set
    thresholds on, and others to judge them by, (n, height, width, channels) in [0, 1]. keys: {β:
    images}.
    """
    sets = {"aside": aside, "clean": clean, **keys}
    return {
        name: {group: score(images) for group, images in sets.items()}
        for name, score in detectors.items()
    }


def flagged(scores, beta, alarms):
    """What a detector with a threshold for at most `alarms` of the images set aside flags:
    (threshold, of clean, of keys).

    scores: those of one detector, of `scored`. The last two are bool (n,).
    """
    threshold = Detector(lambda images: scores["aside"], scores["aside"], alarms).threshold
    return threshold, scores["clean"] > threshold, scores[beta] > threshold


def choice(value, values, text, name="{:g}".format):
    """A slider over the given values."""
    return widgets.SelectionSlider(
        options=[(name(v), v) for v in values], value=value, description=text, **WIDE
    )


def _controls(scores):
    betas = [group for group in next(iter(scores.values())) if group not in ("aside", "clean")]
    return {
        "beta": choice(betas[-2], betas, "β, strength of the keys"),
        "alarms": choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
        "detector": widgets.ToggleButtons(
            options=list(scores), description="detector", style=dict(button_width="auto")
        ),
    }


def histograms(clean, keys):
    """Shares of scores in `BINS` bins from the least of all to the largest: (middles, of clean, of
    keys), float (BINS,).
    """
    edges = np.histogram_bin_edges(np.concatenate([clean, keys]), BINS)
    shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (clean, keys)]
    return (edges[:-1] + edges[1:]) / 2, *shares


def watched(scores, beta, alarms, detector):
    """The state of `watch`: threshold, flags, histograms, and {detector: (false alarms, detections,
    area)} of all.
    """
    threshold, clean, keys = flagged(scores[detector], beta, alarms)
    return {
        "beta": beta,
        "alarms": alarms,
        "detector": detector,
        "threshold": threshold,
        "false": clean,
        "found": keys,
        "bars": histograms(scores[detector]["clean"], scores[detector][beta]),
        "aside": len(scores[detector]["aside"]),
        "roc": {name: roc(of["clean"], of[beta]) for name, of in scores.items()},
    }


def watch(scores):
    """Panel: the scores of clean images and keys with Bob's threshold, beside the ROC of every
    detector.

    scores: of `scored`. Its `result` is what `watched` returns.
    """
    figure = make_subplots(
        1,
        2,
        subplot_titles=("scores of the chosen detector", "ROC of all"),
        column_widths=[0.55, 0.45],
    )
    for name, look, pattern in (("clean images", "unmarked", ""), ("keys", "new label", "/")):
        figure.add_bar(
            name=name,
            marker=dict(color=figures.COLOURS[look], pattern_shape=pattern),
            opacity=0.65,
            row=1,
            col=1,
        )
    figure.add_scatter(
        mode="lines",
        name="threshold",
        line=dict(color=figures.BLACK, dash="dash", width=3),
        row=1,
        col=1,
    )
    for name, look in zip(scores, figures.SPARE, strict=False):
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"], row=1, col=2)
    figure.add_scatter(
        mode="markers",
        name="at the threshold",
        row=1,
        col=2,
        marker=dict(color=figures.BLACK, symbol="circle-open", size=14, line_width=3),
    )
    figure.update_layout(
        template=figures.TEMPLATE, height=480, barmode="overlay", bargap=0, margin=dict(b=130, t=40)
    )
    figure.add_annotation(
        x=0.97,
        y=0.05,
        xref="x2",
        yref="y2",
        showarrow=False,
        xanchor="right",
        yanchor="bottom",
        align="right",
        bgcolor="rgba(255,255,255,0.8)",
        text="",
    )
    figure.update_xaxes(title="score", col=1).update_yaxes(
        title="share of images", tickformat=".0%", col=1
    )
    figure.update_xaxes(
        title="false alarms:<br>clean images flagged", tickformat=".0%", range=[-0.02, 1.02], col=2
    )
    figure.update_yaxes(
        title="keys flagged", tickformat=".0%", range=[-0.02, 1.02], side="right", col=2
    )

    def draw(figure, result):
        middles, *shares = result["bars"]
        traces = iter(figure.data)
        for share in shares:
            next(traces).update(x=middles, y=share, width=[middles[1] - middles[0]] * BINS)
        top = max(map(max, shares))
        next(traces).update(x=[result["threshold"]] * 2, y=[0, top])
        for alarms, detections, _ in result["roc"].values():
            next(traces).update(x=alarms, y=detections)
        next(traces).update(x=[result["false"].mean()], y=[result["found"].mean()])
        figure.layout.annotations[-1].text = "<br>".join(
            f"{name}: area {area:.3f}" for name, (*_, area) in result["roc"].items()
        )
        area = result["roc"][result["detector"]][2]
        return (
            f"β = {result['beta']:g}, <b>{result['detector']}</b>: area {area:.3f}. A threshold for at most "
            f"{result['alarms']:.1%} of Bob's {result['aside']} images flags {result['found'].mean():.1%} of the keys and "
            f"{result['false'].mean():.1%} of {len(result['false'])} other clean images."
        )

    return Panel(figure, _controls(scores), lambda **at: watched(scores, **at), draw, first=1)


def areas(found):
    """Area below the ROC over β, a line each detector: found {name: areas in [0, 1], one for each
    of `BETAS`}.
    """
    figure = figures.blank(height=420, margin=dict(t=20, b=130))
    for name, look in zip(
        found, [*figures.SPARE, *figures.looks(["unmarked"]).values()], strict=False
    ):
        figure.add_scatter(
            x=BETAS, y=found[name], name=name, mode="lines+markers", **figures.line(look)
        )
    figure.add_hline(
        y=0.5, line=dict(color=figures.COLOURS["grey"], dash="dot"), annotation_text="guessing"
    )
    figure.update_xaxes(
        title="β, strength of the keys",
        type="log",
        tickvals=BETAS,
        ticktext=[f"{beta:g}" for beta in BETAS],
    )
    return figure.update_yaxes(title="area below the ROC", range=[0.42, 1.03])


def precision(found, false, rate):
    """Share of the flagged queries that are keys: TPR·π/(TPR·π + FPR·(1-π)); NaN where nothing is
    flagged.

    found, false: shares of keys and of clean images flagged. rate: share π of queries that are
    keys; all in [0, 1], or arrays.
    """
    keys, others = np.multiply(found, rate), np.multiply(false, np.subtract(1, rate))
    with np.errstate(invalid="ignore"):
        return keys / (keys + others)


def worth(scores, rate, detector, alarms, beta):
    """The state of `rare`: {detector: (found, false, low, high)}, the ends those of a 95 % interval
    for the false alarms.
    """
    rates = {}
    for name, of in scores.items():
        _, false, found = flagged(of, beta, alarms)
        rates[name] = (
            float(found.mean()),
            float(false.mean()),
            *stats.clopper_pearson(int(false.sum()), len(false)),
        )
    return {"rate": rate, "detector": detector, "alarms": alarms, "beta": beta, "rates": rates}


def rare(scores):
    """Panel: precision over the share of queries that are keys, a line each detector, a band for
    what is not known of one.

    scores: of `scored`. Its `result` is what `worth` returns.
    """
    grid, controls = np.geomspace(min(RATES), max(RATES), 61), _controls(scores)
    figure = figures.blank(height=460, margin=dict(t=20, b=120))
    figure.add_scatter(
        mode="lines",
        fill="toself",
        line_width=0,
        fillcolor=figures.COLOURS["grey"],
        opacity=0.3,
        hoverinfo="skip",
        name=f"what {len(next(iter(scores.values()))['clean'])} clean images leave open",
    )
    for name, look in zip(scores, figures.SPARE, strict=False):
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"])
    figure.add_scatter(
        mode="markers",
        name="here",
        marker=dict(color=figures.BLACK, symbol="circle-open", size=14, line_width=3),
    )
    ticks = [f"1 in {1 / rate:,.0f}" for rate in RATES]
    figure.update_xaxes(title="queries that are keys", type="log", tickvals=RATES, ticktext=ticks)
    figure.update_yaxes(
        title="precision: flagged<br>queries that are keys", tickformat=".0%", range=[-0.03, 1.05]
    )
    controls = {
        "rate": choice(0.01, RATES, "queries that are keys", lambda rate: f"1 in {1 / rate:,.0f}"),
        **controls,
    }

    def draw(figure, result):
        traces, (found, false, low, high) = iter(figure.data), result["rates"][result["detector"]]
        band = np.concatenate([precision(found, high, grid), precision(found, low, grid)[::-1]])
        next(traces).update(x=np.concatenate([grid, grid[::-1]]), y=_known(band))
        for of_keys, of_clean, *_ in result["rates"].values():
            next(traces).update(x=grid, y=_known(precision(of_keys, of_clean, grid)))
        here = precision(found, false, result["rate"])
        next(traces).update(x=[result["rate"]], y=_known([here]))
        queries = max(10_000, round(1 / result["rate"]))
        keys, others = queries * result["rate"] * found, queries * (1 - result["rate"]) * false
        says = "nothing is flagged"
        if found or false:
            ends = ", ".join(f"{precision(found, end, result['rate']):.1%}" for end in (high, low))
            says = f"a flag is right in {here:.1%} of cases [{ends}]"
        return (
            f"<b>{result['detector']}</b>, β = {result['beta']:g}: of {queries:,} queries {queries * result['rate']:,.0f} "
            f"are keys; Bob flags {keys:,.1f} of them and {others:,.0f} clean images: {says}."
        )

    return Panel(figure, controls, lambda **at: worth(scores, **at), draw, first=1)


def _known(values):
    return [None if np.isnan(value) else float(value) for value in values]  # JSON knows no NaN


FAMILIES = {
    "JPEG": "quality",
    "median": "size",
    "bit depth": "bits",
    "noise on queries": "variance",
    "random answers to noisy images": None,
}  # the filters on record, and what their strength is called
LIMIT = 40  # keys that Ver asks on record, at most


def asked(scores, hits, detector, alarms, keys):
    """What Alice meets at each β behind a detector that refuses: {"hit" | "answered" | "both" |
    "chance" | "mean": float (n,)}.

    scores: of `evasion.scored`. hits: {β: bool (n,)}, whether the model, unguarded, gives each of
    the same keys its label. Chance of a first hit within so many keys, and mean number of queries
    up to it or to the last, refused ones counted.
    """
    rows = []
    for beta, hit in hits.items():
        refused = flagged(scores[detector], beta, alarms)[2]
        both = float(np.mean(hit & ~refused))
        rows.append(
            (
                hit.mean(),
                1 - refused.mean(),
                both,
                1 - (1 - both) ** keys,
                queries.expected(both, keys),
            )
        )
    return {
        "beta": list(hits),
        "detector": detector,
        "alarms": alarms,
        "keys": keys,
        **dict(
            zip(("hit", "answered", "both", "chance", "mean"), np.array(rows, float).T, strict=True)
        ),
    }


def ask(scores, hits):
    """Panel: how strong should the keys be that Alice asks with, if Bob refuses what he finds?

    scores, hits: as in `asked`, which gives its `result`.
    """
    figure = make_subplots(1, 2, subplot_titles=("one key", "all keys of a trial"))
    lines = {
        "answered": ("grey", "dash"),
        "hit": ("new label", "dot"),
        "both": ("unmarked", "solid"),
    }
    titles = {
        "answered": "is answered",
        "hit": "would hit, were it answered",
        "both": "is answered and hits",
    }
    for name, (look, dash) in lines.items():
        figure.add_scatter(
            mode="lines+markers",
            name=titles[name],
            row=1,
            col=1,
            line=dict(color=figures.COLOURS[look], dash=dash, width=3),
        )
    figure.add_scatter(
        mode="lines+markers",
        name="one of them hits",
        row=1,
        col=2,
        line=dict(color=figures.COLOURS["wrong label"], width=3),
    )
    figure.update_layout(template=figures.TEMPLATE, height=440, margin=dict(b=130, t=40))
    betas = list(hits)
    figure.update_xaxes(
        type="log",
        title="β of the keys<br>that Alice asks with",
        tickvals=betas,
        tickangle=-60,
        ticktext=[f"{beta:g}" for beta in betas],
    )
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.05]).update_yaxes(
        title="probability", col=1
    )
    figure.update_yaxes(side="right", col=2)

    def draw(figure, result):
        traces = iter(figure.data)
        for name in lines:
            next(traces).update(x=betas, y=result[name])
        next(traces).update(x=betas, y=result["chance"])
        best = int(np.argmax(result["both"]))
        if not result["both"][best]:
            return (
                f"<b>{result['detector']}</b>, at most {result['alarms']:.1%} false alarms: no key of any strength is both "
                "answered and hits. Alice has no proof here."
            )
        return (
            f"<b>{result['detector']}</b>, at most {result['alarms']:.1%} false alarms: Alice's best keys have β = "
            f"{betas[best]:g}: {result['answered'][best]:.1%} are answered, {result['both'][best]:.1%} answered and hits; "
            f"{result['keys']} of them prove the mark with {result['chance'][best]:.1%}, "
            f"at {result['mean'][best]:.1f} queries on average."
        )

    controls = {
        "alarms": choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
        "detector": widgets.ToggleButtons(
            options=list(scores), description="detector", style=dict(button_width="auto")
        ),
        "keys": widgets.IntSlider(LIMIT, min=1, max=200, description="|K|, most keys", **WIDE),
    }
    return Panel(figure, controls, lambda **at: asked(scores, hits, **at), draw, first=1)


def prices(table):
    """The rows of an attacks table that are filters or no attack, with `mark` (decoys told apart)
    and `lost`: points of clean accuracy below that of the same network without a filter.
    """
    rows = table[table.attack.isin(["no attack", *FAMILIES])].copy()
    rows["mark"] = rows.scheme.where(rows.decoys == 0, "decoys")
    network = ["mark", "alpha", "beta", "seed"]
    plain = rows[rows.attack == "no attack"].set_index(network).clean_accuracy
    rows["lost"] = 100 * (
        plain.reindex(pd.MultiIndex.from_frame(rows[network])).to_numpy() - rows.clean_accuracy
    )
    return rows.reset_index(drop=True)


def title(attack, strength):
    """A filter in words: "JPEG, quality 10"."""
    return attack if np.isnan(strength) else f"{attack}, {FAMILIES[attack]} {strength:g}"


def groups(rows):
    """The rows of one mark by filter and strength: a list of (attack, strength, rows)."""
    found = rows[rows.attack != "no attack"].groupby(
        ["attack", "strength"], dropna=False, sort=False
    )
    return [(attack, strength, these) for (attack, strength), these in found]


def within(rows, loss):
    """The filters that cost at most `loss` points on average, least key accuracy first: a list of
    (title, rows).
    """
    cheap = [
        (title(attack, strength), these)
        for attack, strength, these in groups(rows)
        if these.lost.mean() <= loss
    ]
    return sorted(cheap, key=lambda each: each[1].fresh_key_accuracy.mean())


def wide(points):
    """Points of accuracy on an axis that has room for small ones and large ones: their inverse
    hyperbolic sine.
    """
    return np.arcsinh(np.asarray(points, float))


def filtered(tables):
    """Panel: every filter on record, clean accuracy lost against key accuracy left, and the loss
    that Bob can bear.

    tables: {title: attacks table of `records.load`}. A dot is a network, a mark the mean of one
    strength, with 95 % intervals from six networks on. Its `result` has loss, mark and rows.
    """
    rows = {name: prices(table) for name, table in tables.items()}
    marks = [
        mark
        for mark in ("new label", "wrong label", "decoys")
        if any((each["mark"] == mark).any() for each in rows.values())
    ]
    figure, ticks = (
        figures.blank(height=520, margin=dict(t=20, b=130)),
        (-2, -1, 0, 1, 2, 5, 10, 20, 50, 90),
    )
    for name, look, where in zip(
        FAMILIES,
        [*figures.SPARE, *figures.looks(["unmarked"]).values()],
        ("middle right", "bottom center", "middle left", "top center", "top center"),
        strict=True,
    ):
        drawn = dict(color=look["color"], symbol=look["symbol"])
        figure.add_scatter(
            mode="markers",
            opacity=0.4,
            showlegend=False,
            hoverinfo="skip",
            marker=drawn | {"size": 6},
        )
        figure.add_scatter(
            mode="markers+lines+text",
            name=name,
            textposition=where,
            cliponaxis=False,
            marker=drawn | {"size": 13},
            line=dict(color=look["color"], width=1),
        )
    figure.add_vline(x=0, line=dict(color=figures.BLACK, dash="dash", width=2))
    figure.add_vrect(x0=-9, x1=0, fillcolor=figures.COLOURS["grey"], opacity=0.15, line_width=0)
    figure.update_xaxes(
        title="clean accuracy lost, points",
        tickvals=wide(ticks),
        ticktext=ticks,
        range=wide([-3, 130]),
    )
    figure.update_yaxes(title="fresh keys that still hit", tickformat=".0%", range=[-0.09, 1.1])

    def draw(figure, result):
        traces, of = iter(figure.data), result["rows"]
        for name in FAMILIES:
            these = [(strength, each) for attack, strength, each in groups(of) if attack == name]
            dots = of[of.attack == name]
            next(traces).update(x=wide(dots.lost), y=dots.fresh_key_accuracy.to_numpy())
            enough = all(len(each) >= stats.FEW for _, each in these)
            x, y = (
                [stats.interval(each[column]) for _, each in these]
                for column in ("lost", "fresh_key_accuracy")
            )
            x, y = wide(np.reshape(x, (-1, 3))), np.reshape(y, (-1, 3))
            bars = {
                axis: dict(
                    array=(v[:, 2] - v[:, 0]).tolist(),
                    arrayminus=(v[:, 0] - v[:, 1]).tolist(),
                    thickness=1.5,
                )
                if enough
                else dict(array=[], arrayminus=[])
                for axis, v in (("error_x", x), ("error_y", y))
            }
            next(traces).update(
                x=x[:, 0],
                y=y[:, 0],
                text=["" if np.isnan(s) else f"{s:g}" for s, _ in these],
                hovertext=[title(name, s) for s, _ in these],
                **bars,
            )
        line, region = figure.layout.shapes
        line.x0 = line.x1 = region.x1 = float(wide(result["loss"]))
        return says(of, result["loss"])

    controls = {
        "loss": widgets.FloatSlider(
            2, min=0, max=20, step=0.5, description="points Bob can bear to lose", **WIDE
        ),
        "mark": widgets.ToggleButtons(
            options=marks, description="mark", style=dict(button_width="auto")
        ),
        "of": widgets.ToggleButtons(
            options=list(tables), description="on record", style=dict(button_width="auto")
        ),
    }

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
    return (
        f"Within {loss:g} points: <b>{name}</b> leaves the fewest keys, {_about(best.fresh_key_accuracy, '{:.1%}')}, at "
        f"{_about(best.lost, '{:.1f}')} points; Ver with {LIMIT} keys still says “marked” for {marked} of {n} "
        f"network{'' if n == 1 else 's'}."
    )


def _about(values, form):
    """The mean of runs, with a 95 % interval from six on, with the least and the largest of fewer,
    alone if it is one.
    """
    mean, low, high = stats.interval(values)
    if len(values) == 1:
        return form.format(mean)
    if len(values) < stats.FEW:
        low, high = min(values), max(values)
    brackets = "[{}, {}]" if len(values) >= stats.FEW else "({} to {})"
    return f"{form.format(mean)} " + brackets.format(form.format(low), form.format(high))


def bill(table, mark):
    """What every filter costs Bob and what it leaves of one mark ("new label", "wrong label" or
    "decoys"), a row each.

    Means over the networks on record; in brackets 95 % intervals from six of them on, else in
    parentheses the extremes.
    """
    of, rows = prices(table), {}
    of = of[of["mark"] == mark]
    for attack, strength, each in [
        ("no filter", np.nan, of[of.attack == "no attack"]),
        *groups(of),
    ]:
        rows[title(attack, strength)] = {
            "networks": len(each),
            "clean accuracy lost, points": _about(each.lost, "{:.1f}"),
            "keys that hit": _about(each.fresh_key_accuracy, "{:.1%}"),
            "mean queries of Ver": f"{each.queries.mean():.1f}",
            "Ver says marked": f"{(each.decision == 'marked').sum()} of {len(each)}",
            "clean images with the key label": f"{each.key_label_rate_clean.mean():.1%}",
        }
    return pd.DataFrame(rows).T.rename_axis(f"{mark}, filter")


def _threshold(answer, scores, share):
    import numpy as np

    answer, scores = float(answer), np.asarray(scores)
    allowed = math.floor(share * len(scores) + 1e-9)
    flagged = int((scores > answer).sum())
    if math.isnan(answer):
        return False, "Hand in one number, a score."
    if flagged > allowed:
        return (
            False,
            f"It flags {flagged} of {len(scores)} clean images, and Bob can bear {allowed}. Raise it.",
        )
    if flagged < int((scores > np.sort(scores)[-1 - allowed]).sum()):
        return False, (
            f"It flags {flagged} of {len(scores)}. Bob can bear {allowed}, and each step up lets keys pass: sort the "
            "scores and count from the end."
        )
    bound = 1 - 0.05 ** (1 / len(scores))
    return True, (
        f"{flagged} of {len(scores)} lie above it. That is what happened to these images; even 0 of {len(scores)} would "
        f"only say: below {bound:.1%}, with 95 %."
    )


def _precision(answer):
    right = 1e-4 / (1e-4 + 0.01 * (1 - 1e-4))
    if math.isclose(answer, right, rel_tol=2e-2):
        return (
            True,
            "1 key and 100 clean images: 99 of 100 refusals hit a customer, although the detector misses nothing.",
        )
    if math.isclose(answer, 0.99, abs_tol=5e-3):
        return False, (
            "99 % of clean images pass, but that is not asked. (If you mean 0.99 percent: hand in a share.) Take 10,000 "
            "queries: who is flagged?"
        )
    return (
        False,
        "Take 10,000 queries. How many keys are flagged, how many clean images? Divide the one by both.",
    )


def _queries(answer):
    if math.isclose(answer, 1 / 0.18, rel_tol=1e-2):
        return (
            True,
            "A query hits with 0.2 · 0.9 = 0.18, so the first hit takes 1/0.18 = 5.6 on average: refusal costs time.",
        )
    if math.isclose(answer, 1 / 0.9, rel_tol=1e-2):
        return False, "That counts the answered ones alone. Refused queries are paid for too."
    if math.isclose(answer, 1 / 0.72, rel_tol=1e-2):
        return (
            False,
            "You took 80 % for the share that is answered; it is the share that is refused.",
        )
    return (
        False,
        "With which probability is a query both answered and a hit? The mean number up to the first is one over that.",
    )


CHECKS = {"09.1": _threshold, "09.2": _precision, "09.3": _queries}
