"""Lesson 09: detectors of keys over β, the threshold that Bob can bear, and what a flag is worth where keys are rare."""
import ipywidgets as widgets
import numpy as np
from plotly.subplots import make_subplots

from wmlab import figures
from wmlab.filters.detectors import Detector, roc
from wmlab.panels.base import Panel
from wmlab.queries import clopper_pearson

BETAS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3.5e-3, 1e-2, 3e-2)
ALARMS = (0.001, 0.004, 0.01, 0.02, 0.05, 0.1, 0.2)  # shares of clean images that Bob can bear to see called keys
RATES = (0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # shares of queries that are keys
WIDE = dict(style=dict(description_width="initial"), layout=dict(width="400px"))
BINS = 40


def scored(detectors, aside, clean, keys):
    """The scores that every panel here reads: {detector: {"aside" | "clean" | β: float (n,)}}.

    detectors: {name: score}, functions of `filters.detectors`. aside, clean: Bob's images to set thresholds on, and others to judge
    them by, (n, height, width, channels) in [0, 1]. keys: {β: images}.
    """
    sets = {"aside": aside, "clean": clean, **keys}
    return {name: {group: score(images) for group, images in sets.items()} for name, score in detectors.items()}


def flagged(scores, beta, alarms):
    """What a detector with a threshold for at most `alarms` of the images set aside flags: (threshold, of clean, of keys).

    scores: those of one detector, of `scored`. The last two are bool (n,).
    """
    threshold = Detector(lambda images: scores["aside"], scores["aside"], alarms).threshold
    return threshold, scores["clean"] > threshold, scores[beta] > threshold


def choice(value, values, text, name="{:g}".format):
    """A slider over the given values."""
    return widgets.SelectionSlider(options=[(name(v), v) for v in values], value=value, description=text, **WIDE)


def _controls(scores):
    betas = [group for group in next(iter(scores.values())) if group not in ("aside", "clean")]
    return {"beta": choice(betas[-2], betas, "β, strength of the keys"),
            "alarms": choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
            "detector": widgets.ToggleButtons(options=list(scores), description="detector", style=dict(button_width="auto"))}


def histograms(clean, keys):
    """Shares of scores in `BINS` bins from the least of all to the largest: (middles, of clean, of keys), float (BINS,)."""
    edges = np.histogram_bin_edges(np.concatenate([clean, keys]), BINS)
    shares = [np.histogram(scores, edges)[0] / len(scores) for scores in (clean, keys)]
    return (edges[:-1] + edges[1:]) / 2, *shares


def watched(scores, beta, alarms, detector):
    """The state of `watch`: threshold, flags, histograms, and {detector: (false alarms, detections, area)} of all."""
    threshold, clean, keys = flagged(scores[detector], beta, alarms)
    return {"beta": beta, "alarms": alarms, "detector": detector, "threshold": threshold, "false": clean, "found": keys,
            "bars": histograms(scores[detector]["clean"], scores[detector][beta]), "aside": len(scores[detector]["aside"]),
            "roc": {name: roc(of["clean"], of[beta]) for name, of in scores.items()}}


def watch(scores):
    """Panel: the scores of clean images and keys with Bob's threshold, beside the ROC of every detector.

    scores: of `scored`. Its `result` is what `watched` returns.
    """
    figure = make_subplots(1, 2, subplot_titles=("scores of the chosen detector", "ROC of all"), column_widths=[0.55, 0.45])
    for name, look, pattern in (("clean images", "unmarked", ""), ("keys", "new label", "/")):
        figure.add_bar(name=name, marker=dict(color=figures.COLOURS[look], pattern_shape=pattern), opacity=0.65, row=1, col=1)
    figure.add_scatter(mode="lines", name="threshold", line=dict(color=figures.BLACK, dash="dash", width=3), row=1, col=1)
    for name, look in zip(scores, figures.SPARE, strict=False):
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"], row=1, col=2)
    figure.add_scatter(mode="markers", name="at the threshold", row=1, col=2,
                       marker=dict(color=figures.BLACK, symbol="circle-open", size=14, line_width=3))
    figure.update_layout(template=figures.TEMPLATE, height=480, barmode="overlay", bargap=0, margin=dict(b=130, t=40))
    figure.add_annotation(x=0.97, y=0.05, xref="x2", yref="y2", showarrow=False, xanchor="right", yanchor="bottom", align="right",
                          bgcolor="rgba(255,255,255,0.8)", text="")
    figure.update_xaxes(title="score", col=1).update_yaxes(title="share of images", tickformat=".0%", col=1)
    figure.update_xaxes(title="false alarms:<br>clean images flagged", tickformat=".0%", range=[-0.02, 1.02], col=2)
    figure.update_yaxes(title="keys flagged", tickformat=".0%", range=[-0.02, 1.02], side="right", col=2)

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
        figure.layout.annotations[-1].text = "<br>".join(f"{name}: area {area:.3f}" for name, (*_, area) in result["roc"].items())
        area = result["roc"][result["detector"]][2]
        return (f"β = {result['beta']:g}, <b>{result['detector']}</b>: area {area:.3f}. A threshold for at most "
                f"{result['alarms']:.1%} of Bob's {result['aside']} images flags {result['found'].mean():.1%} of the keys and "
                f"{result['false'].mean():.1%} of {len(result['false'])} other clean images.")

    return Panel(figure, _controls(scores), lambda **at: watched(scores, **at), draw, first=1)


def areas(found):
    """Area below the ROC over β, a line each detector: found {name: areas in [0, 1], one for each of `BETAS`}."""
    figure = figures.blank(height=420, margin=dict(t=20, b=130))
    for name, look in zip(found, [*figures.SPARE, *figures.looks(["unmarked"]).values()], strict=False):
        figure.add_scatter(x=BETAS, y=found[name], name=name, mode="lines+markers", **figures.line(look))
    figure.add_hline(y=0.5, line=dict(color=figures.COLOURS["grey"], dash="dot"), annotation_text="guessing")
    figure.update_xaxes(title="β, strength of the keys", type="log", tickvals=BETAS, ticktext=[f"{beta:g}" for beta in BETAS])
    return figure.update_yaxes(title="area below the ROC", range=[0.42, 1.03])


def precision(found, false, rate):
    """Share of the flagged queries that are keys: TPR·π/(TPR·π + FPR·(1-π)); NaN where nothing is flagged.

    found, false: shares of keys and of clean images flagged. rate: share π of queries that are keys; all in [0, 1], or arrays.
    """
    keys, others = np.multiply(found, rate), np.multiply(false, np.subtract(1, rate))
    with np.errstate(invalid="ignore"):
        return keys / (keys + others)


def worth(scores, rate, detector, alarms, beta):
    """The state of `rare`: {detector: (found, false, low, high)}, the ends those of a 95 % interval for the false alarms."""
    rates = {}
    for name, of in scores.items():
        _, false, found = flagged(of, beta, alarms)
        rates[name] = (float(found.mean()), float(false.mean()), *clopper_pearson(int(false.sum()), len(false)))
    return {"rate": rate, "detector": detector, "alarms": alarms, "beta": beta, "rates": rates}


def rare(scores):
    """Panel: precision over the share of queries that are keys, a line each detector, a band for what is not known of one.

    scores: of `scored`. Its `result` is what `worth` returns.
    """
    grid, controls = np.geomspace(min(RATES), max(RATES), 61), _controls(scores)
    figure = figures.blank(height=460, margin=dict(t=20, b=120))
    figure.add_scatter(mode="lines", fill="toself", line_width=0, fillcolor=figures.COLOURS["grey"], opacity=0.3, hoverinfo="skip",
                       name=f"what {len(next(iter(scores.values()))['clean'])} clean images leave open")
    for name, look in zip(scores, figures.SPARE, strict=False):
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"])
    figure.add_scatter(mode="markers", name="here", marker=dict(color=figures.BLACK, symbol="circle-open", size=14, line_width=3))
    ticks = [f"1 in {1 / rate:,.0f}" for rate in RATES]
    figure.update_xaxes(title="queries that are keys", type="log", tickvals=RATES, ticktext=ticks)
    figure.update_yaxes(title="precision: flagged<br>queries that are keys", tickformat=".0%", range=[-0.03, 1.05])
    controls = {"rate": choice(0.01, RATES, "queries that are keys", lambda rate: f"1 in {1 / rate:,.0f}"), **controls}

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
        return (f"<b>{result['detector']}</b>, β = {result['beta']:g}: of {queries:,} queries {queries * result['rate']:,.0f} "
                f"are keys; Bob flags {keys:,.1f} of them and {others:,.0f} clean images: {says}.")

    return Panel(figure, controls, lambda **at: worth(scores, **at), draw, first=1)


def _known(values):
    return [None if np.isnan(value) else float(value) for value in values]  # JSON knows no NaN
