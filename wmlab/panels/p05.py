"""Lesson 05: a race of three judges, and a mean that settles."""
import functools
import math

import ipywidgets as widgets
import numpy as np
from plotly.subplots import make_subplots

from wmlab import figures, queries
from wmlab.panels.base import Panel

JUDGES = ("first hit", "fixed batch", "sequential")
LOOK = figures.looks((*JUDGES, "Neyman-Pearson"))
P1, POWER, FPR = 0.8, 0.9, 0.1  # what the sequential judge of the race expects of a marked suspect, and the errors he allows
LONGEST = 60  # answers of a race
TRIALS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
P0 = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3)
WIDE = dict(style=dict(description_width="initial"), layout=dict(width="360px"))


def slider(value, low, high, step, text):
    """A slider for numbers with two decimals, as wide as its text needs."""
    return widgets.FloatSlider(value, min=low, max=high, step=step, description=text, readout_format=".2f", **WIDE)


def choice(value, options, text, show="g"):
    """A slider of few positions, shown in a format of numbers."""
    return widgets.SelectionSlider(options=[(format(v, show), v) for v in options], value=value, description=text, **WIDE)


def sequential(hits, test):
    """(answers bought, verdict) of `queries.sprt` on a row of answers; the verdict is None if it would go on."""
    for n, so_far in enumerate(np.cumsum(hits), 1):
        if test.decide(so_far, n) is not None:
            return n, test.decide(so_far, n)
    return len(hits), None


def race_of(stream, p, keys, tau, p0):
    """One row of answers and the three judges on it.

    stream: seed of the answers. p: hit rate of the suspect, in [0, 1]. keys, tau: |K| and τ of the batch, |K| also the
    limit of the first hit. p0: the innocent hit rate of the sequential judge. Returns hits, bool (LONGEST,); `ends`,
    {judge: (answers bought, marked)}; misses and the most `allowed` of the batch; `evidence` after 0, 1, … answers;
    and `means` and `found`, a number a judge: over all streams, answers bought and share of "marked".
    """
    p, tau = round(p, 2), round(tau, 2)  # a slider's 0.1 + 0.2 is 0.3
    hits = np.random.default_rng(stream).random(LONGEST) < p
    test = queries.sprt(P1, p0, POWER, FPR)
    first, misses = int(hits.argmax()) + 1 if hits.any() else LONGEST + 1, int(keys - hits[:keys].sum())
    ends = {"first hit": (min(first, keys), first <= keys), "fixed batch": (keys, misses <= queries.allowed(keys, tau)),
            "sequential": sequential(hits, test)}
    found, mean = test.characteristic(p)
    taken = np.arange(ends["sequential"][0] + 1)
    return {"p": p, "stream": stream, "hits": hits, "ends": ends, "misses": misses, "allowed": queries.allowed(keys, tau),
            "evidence": test.evidence(np.r_[0, np.cumsum(hits)][taken], taken), "test": test,
            "means": (queries.expected(p, keys), keys, mean),
            "found": (1 - (1 - p) ** keys, queries.batch_accuracy(p, keys, tau), found)}


def _race_figure():
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.58, 0.42], vertical_spacing=0.06)
    dots = {"hit": ("new label", "diamond"), "miss": ("grey", "x-thin")}
    for name, (colour, symbol) in dots.items():
        colour = figures.COLOURS[colour]
        figure.add_scatter(x=[], y=[], mode="markers", name=name, row=1, col=1,
                           marker=dict(color=colour, symbol=symbol, size=9, line=dict(color=colour, width=2)))
    for name in JUDGES:
        figure.add_scatter(x=[], y=[], mode="lines+markers+text", name=name, showlegend=False, cliponaxis=False,
                           **figures.line(LOOK[name]), row=1, col=1)
    figure.add_scatter(x=[], y=[], mode="lines+markers", name="evidence", showlegend=False, **figures.line(LOOK["sequential"]),
                       row=2, col=1)
    test = queries.sprt(P1, P0[0], POWER, FPR)  # its limits depend on the errors alone
    for limit, says, side in ((test.upper, "from here up: marked", "bottom"), (test.lower, "from here down: not marked", "top")):
        figure.add_hline(y=limit, line=dict(color=figures.BLACK, width=1, dash="dash"), row=2, col=1)
        figure.add_annotation(text=says, x=LONGEST, y=limit, showarrow=False, xanchor="right", yanchor=side, row=2, col=1)
    figure.update_layout(template=figures.TEMPLATE, height=500, margin=dict(l=110, t=20, b=100))
    figure.update_xaxes(range=[-0.5, LONGEST + 1]).update_xaxes(title="answers bought", row=2)
    figure.update_yaxes(tickvals=[3, 2, 1, 0], ticktext=["answers", *JUDGES], range=[-0.6, 3.5], row=1)
    return figure.update_yaxes(title="evidence (ln)", row=2)


VERDICT = {True: "marked", False: "not marked", None: "still undecided"}


def _draw_race(figure, race):
    number, parts = np.arange(1, LONGEST + 1), []
    for trace, which in zip(figure.data[:2], (race["hits"], ~race["hits"]), strict=True):
        trace.update(x=number[which].tolist() or [None], y=[3] * int(which.sum()) or [None])  # or the legend would leave it out
    for lane, (trace, (name, (n, marked))) in enumerate(zip(figure.data[2:5], race["ends"].items(), strict=True)):
        side = "middle right" if n <= 0.6 * LONGEST else "top left"
        trace.update(x=[0, n], y=[2 - lane] * 2, text=["", f" {VERDICT[marked]}, {n}"], textposition=side)
        detail = f" ({race['misses']} misses, {race['allowed']} allowed)" if name == "fixed batch" else ""
        parts.append(f"<b>{name}</b> says {VERDICT[marked]} after {n}{detail}")
    figure.data[5].update(x=list(range(len(race["evidence"]))), y=race["evidence"].tolist())
    low, high = race["test"].lower + race["test"].miss, race["test"].upper + race["test"].hit
    figure.update_yaxes(range=[low - 0.3, high + 0.3], row=2)
    means, found = (", ".join(form.format(v) for v in race[of]) for of, form in (("means", "{:.3g}"), ("found", "{:.1%}")))
    return (f"Stream {race['stream']} of a suspect with p = {race['p']:.2f}: {'; '.join(parts)}. Over all streams they buy {means} "
            f"answers on average and say “marked” in {found} of them.")


def race():
    """Panel: three judges on one row of answers. Its `result` is what `race_of` returns."""
    controls = {
        "stream": widgets.IntSlider(1, min=1, max=200, description="stream of answers", **WIDE),
        "p": slider(0.8, 0, 1, 0.05, "p, hit rate of the suspect"),
        "keys": widgets.IntSlider(40, min=1, max=LONGEST, description="|K|, most keys", **WIDE),
        "tau": slider(0.3, 0.05, 0.95, 0.05, "τ, share of misses allowed"),
        "p0": choice(0.1, P0, "p₀, innocent hit rate"),
    }
    presets = {"A weak mark": {"p": 0.5}, "Innocent, wrong label": {"p": 0.1}, "Innocent, new label": {"p": 0}}
    return Panel(_race_figure(), controls, race_of, _draw_race, presets, first=1)


@functools.lru_cache(maxsize=16)
def _trials(p):
    return np.random.default_rng(5).geometric(p, TRIALS[-1])


def settling(trials, p, keys):
    """The running mean of simulated trials, each of which stops at the first hit or after |K| = `keys` answers.

    p: in (0, 1]. Returns the settings; x, numbers of trials; mean, of the first x, and error, its standard error (their
    deviation over √x); and `lines`, the numbers to compare with, {name: value}.
    """
    bought = np.minimum(_trials(p)[:trials], keys).astype(float)
    x = np.unique(np.geomspace(2, trials, 150).astype(int))
    mean, square = np.cumsum(bought)[x - 1] / x, np.cumsum(bought**2)[x - 1] / x
    lines = {"E[q]": queries.expected(p, keys), "the paper's sum": queries.paper_sum(p, keys), "1/p": queries.expected(p),
             "⌈1/p⌉": math.ceil(round(1 / p, 9))}
    return {"trials": trials, "p": p, "keys": keys, "x": x, "mean": mean,
            "error": np.sqrt(np.maximum(square - mean**2, 0) / (x - 1)), "lines": lines}


def _settling_figure():
    figure = figures.blank(height=460, margin=dict(t=20, b=130))
    blue = figures.COLOURS["unmarked"]
    figure.add_scatter(mode="lines", fill="toself", fillcolor=blue, opacity=0.25, line_width=0, hoverinfo="skip")
    figure.add_scatter(mode="lines", line=dict(color=blue, width=3))
    for dash, colour in (("solid", figures.BLACK), ("dash", figures.VERMILLION), ("dot", figures.GREEN), ("dashdot", figures.GREY)):
        figure.add_scatter(mode="lines", line=dict(color=colour, dash=dash, width=2))
    figure.update_xaxes(title="trials", type="log", range=[0.25, np.log10(TRIALS[-1])], tickvals=TRIALS,
                        ticktext=[f"{n:,}" if str(n)[0] == "1" else "" for n in TRIALS])
    return figure.update_yaxes(title="queries, mean")


def _draw_settling(figure, drawn):
    x, mean, error, lines = drawn["x"].tolist(), drawn["mean"], drawn["error"], drawn["lines"]
    # all traces get x, y and name in each update: what was set at the start alone was lost in the browser (plotly 7.1)
    figure.data[0].update(x=x + x[::-1], y=[*(mean + 2 * error), *(mean - 2 * error)[::-1]], name="± 2 standard errors")
    figure.data[1].update(x=x, y=mean.tolist(), name="mean of the trials so far")
    named = [f"{name} = {value:.4g}" for name, value in lines.items()]
    for trace, value, name in zip(figure.data[2:], lines.values(), named, strict=True):
        trace.update(x=[1, TRIALS[-1]], y=[value, value], name=name)
    exact = lines["E[q]"]
    top = max(1.6 * exact, min(1.15 * lines["⌈1/p⌉"], 2.2 * exact))  # 1/p may be far away
    figure.layout.yaxis.range = [0, top]
    above = [name for name, value in zip(named, lines.values(), strict=True) if value > top]
    out = f" Above the picture: {', '.join(above)}." if above else ""
    return (f"With p = {drawn['p']:g} and at most {drawn['keys']} keys, {drawn['trials']:,} trials took {mean[-1]:.4g} queries on "
            f"average, with a standard error of {error[-1]:.2g}; {', '.join(named)}.{out}")


def settle():
    """Panel: the mean number of queries of simulated trials settles on E[q]. Its `result` is what `settling` returns."""
    controls = {
        "trials": choice(TRIALS[2], TRIALS, "trials", ","),
        "p": choice(0.8, (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99), "p, hit rate"),
        "keys": widgets.IntSlider(40, min=1, max=100, description="|K|, most keys", **WIDE),
    }
    return Panel(_settling_figure(), controls, settling, _draw_settling, {"Hardly a mark": {"p": 0.001, "trials": 1000}}, first=1)
