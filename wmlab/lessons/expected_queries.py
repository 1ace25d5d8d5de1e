"""Lesson 05: a race of three judges, and a mean that settles.

Lesson 05, continued: the batch rule, and all judges at equal errors.
Lesson 05, continued: what a proof costs in money and in suspicion, a race against Bob.
Checks of notebook 05, expected queries.
"""

import functools
import math

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import queries
from wmlab.show import figures
from wmlab.show.old_panel import Panel

JUDGES = ("first hit", "fixed batch", "sequential")
LOOK = figures.looks((*JUDGES, "Neyman-Pearson"))
P1, POWER, FPR = (
    0.8,
    0.9,
    0.1,
)  # what the sequential judge of the race expects of a marked suspect, and the errors he allows
LONGEST = 60  # answers of a race
TRIALS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
P0 = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3)
WIDE = dict(style=dict(description_width="initial"), layout=dict(width="360px"))


def slider(value, low, high, step, text):
    """A slider for numbers with two decimals, as wide as its text needs."""
    return widgets.FloatSlider(
        value, min=low, max=high, step=step, description=text, readout_format=".2f", **WIDE
    )


def choice(value, options, text, show="g"):
    """A slider of few positions, shown in a format of numbers."""
    return widgets.SelectionSlider(
        options=[(format(v, show), v) for v in options], value=value, description=text, **WIDE
    )


def sequential(hits, test):
    """(answers bought, verdict) of `queries.sprt` on a row of answers; the verdict is None if it
    would go on.
    """
    for n, so_far in enumerate(np.cumsum(hits), 1):
        if test.decide(so_far, n) is not None:
            return n, test.decide(so_far, n)
    return len(hits), None


def race_of(stream, p, keys, tau, p0):
    """One row of answers and the three judges on it.

    stream: seed of the answers. p: hit rate of the suspect, in [0, 1]. keys, tau: |K| and τ of the
    batch, |K| also the limit of the first hit. p0: the innocent hit rate of the sequential judge.
    Returns hits, bool (LONGEST,); `ends`, {judge: (answers bought, marked)}; misses and the most
    `allowed` of the batch; `evidence` after 0, 1, … answers; and `means` and `found`, a number a
    judge: over all streams, answers bought and share of "marked".
    """
    p, tau = round(p, 2), round(tau, 2)  # a slider's 0.1 + 0.2 is 0.3
    hits = np.random.default_rng(stream).random(LONGEST) < p
    test = queries.sprt(P1, p0, POWER, FPR)
    first, misses = (
        int(hits.argmax()) + 1 if hits.any() else LONGEST + 1,
        int(keys - hits[:keys].sum()),
    )
    ends = {
        "first hit": (min(first, keys), first <= keys),
        "fixed batch": (keys, misses <= queries.allowed(keys, tau)),
        "sequential": sequential(hits, test),
    }
    found, mean = test.characteristic(p)
    taken = np.arange(ends["sequential"][0] + 1)
    return {
        "p": p,
        "stream": stream,
        "hits": hits,
        "ends": ends,
        "misses": misses,
        "allowed": queries.allowed(keys, tau),
        "evidence": test.evidence(np.r_[0, np.cumsum(hits)][taken], taken),
        "test": test,
        "means": (queries.expected(p, keys), keys, mean),
        "found": (1 - (1 - p) ** keys, queries.batch_accuracy(p, keys, tau), found),
    }


def _race_figure():
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.58, 0.42], vertical_spacing=0.06)
    dots = {"hit": ("new label", "diamond"), "miss": ("grey", "x-thin")}
    for name, (colour, symbol) in dots.items():
        colour = figures.COLOURS[colour]
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name=name,
            row=1,
            col=1,
            marker=dict(color=colour, symbol=symbol, size=9, line=dict(color=colour, width=2)),
        )
    for name in JUDGES:
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines+markers+text",
            name=name,
            showlegend=False,
            cliponaxis=False,
            **figures.line(LOOK[name]),
            row=1,
            col=1,
        )
    figure.add_scatter(
        x=[],
        y=[],
        mode="lines+markers",
        name="evidence",
        showlegend=False,
        **figures.line(LOOK["sequential"]),
        row=2,
        col=1,
    )
    test = queries.sprt(P1, P0[0], POWER, FPR)  # its limits depend on the errors alone
    for limit, says, side in (
        (test.upper, "from here up: marked", "bottom"),
        (test.lower, "from here down: not marked", "top"),
    ):
        figure.add_hline(
            y=limit, line=dict(color=figures.BLACK, width=1, dash="dash"), row=2, col=1
        )
        figure.add_annotation(
            text=says,
            x=LONGEST,
            y=limit,
            showarrow=False,
            xanchor="right",
            yanchor=side,
            row=2,
            col=1,
        )
    figure.update_layout(template=figures.TEMPLATE, height=500, margin=dict(l=110, t=20, b=100))
    figure.update_xaxes(range=[-0.5, LONGEST + 1]).update_xaxes(title="answers bought", row=2)
    figure.update_yaxes(
        tickvals=[3, 2, 1, 0], ticktext=["answers", *JUDGES], range=[-0.6, 3.5], row=1
    )
    return figure.update_yaxes(title="evidence (ln)", row=2)


VERDICT = {True: "marked", False: "not marked", None: "still undecided"}


def _draw_race(figure, race):
    number, parts = np.arange(1, LONGEST + 1), []
    for trace, which in zip(figure.data[:2], (race["hits"], ~race["hits"]), strict=True):
        trace.update(
            x=number[which].tolist() or [None], y=[3] * int(which.sum()) or [None]
        )  # or the legend would leave it out
    for lane, (trace, (name, (n, marked))) in enumerate(
        zip(figure.data[2:5], race["ends"].items(), strict=True)
    ):
        side = "middle right" if n <= 0.6 * LONGEST else "top left"
        trace.update(
            x=[0, n], y=[2 - lane] * 2, text=["", f" {VERDICT[marked]}, {n}"], textposition=side
        )
        detail = (
            f" ({race['misses']} misses, {race['allowed']} allowed)"
            if name == "fixed batch"
            else ""
        )
        parts.append(f"<b>{name}</b> says {VERDICT[marked]} after {n}{detail}")
    figure.data[5].update(x=list(range(len(race["evidence"]))), y=race["evidence"].tolist())
    low, high = race["test"].lower + race["test"].miss, race["test"].upper + race["test"].hit
    figure.update_yaxes(range=[low - 0.3, high + 0.3], row=2)
    means, found = (
        ", ".join(form.format(v) for v in race[of])
        for of, form in (("means", "{:.3g}"), ("found", "{:.1%}"))
    )
    return (
        f"Stream {race['stream']} of a suspect with p = {race['p']:.2f}: {'; '.join(parts)}. Over all streams they buy {means} "
        f"answers on average and say “marked” in {found} of them."
    )


def race():
    """Panel: three judges on one row of answers. Its `result` is what `race_of` returns."""
    controls = {
        "stream": widgets.IntSlider(1, min=1, max=200, description="stream of answers", **WIDE),
        "p": slider(0.8, 0, 1, 0.05, "p, hit rate of the suspect"),
        "keys": widgets.IntSlider(40, min=1, max=LONGEST, description="|K|, most keys", **WIDE),
        "tau": slider(0.3, 0.05, 0.95, 0.05, "τ, share of misses allowed"),
        "p0": choice(0.1, P0, "p₀, innocent hit rate"),
    }
    presets = {
        "A weak mark": {"p": 0.5},
        "Innocent, wrong label": {"p": 0.1},
        "Innocent, new label": {"p": 0},
    }
    return Panel(_race_figure(), controls, race_of, _draw_race, presets, first=1)


@functools.lru_cache(maxsize=16)
def _trials(p):
    return np.random.default_rng(5).geometric(p, TRIALS[-1])


def settling(trials, p, keys):
    """The running mean of simulated trials, each of which stops at the first hit or after |K| =
    `keys` answers.

    p: in (0, 1]. Returns the settings; x, numbers of trials; mean, of the first x, and error, its
    standard error (their deviation over √x); and `lines`, the numbers to compare with, {name:
    value}.
    """
    bought = np.minimum(_trials(p)[:trials], keys).astype(float)
    x = np.unique(np.geomspace(2, trials, 150).astype(int))
    mean, square = np.cumsum(bought)[x - 1] / x, np.cumsum(bought**2)[x - 1] / x
    lines = {
        "E[q]": queries.expected(p, keys),
        "the paper's sum": queries.paper_sum(p, keys),
        "1/p": queries.expected(p),
        "⌈1/p⌉": math.ceil(round(1 / p, 9)),
    }
    return {
        "trials": trials,
        "p": p,
        "keys": keys,
        "x": x,
        "mean": mean,
        "error": np.sqrt(np.maximum(square - mean**2, 0) / (x - 1)),
        "lines": lines,
    }


def _settling_figure():
    figure = figures.blank(height=460, margin=dict(t=20, b=130))
    blue = figures.COLOURS["unmarked"]
    figure.add_scatter(
        mode="lines", fill="toself", fillcolor=blue, opacity=0.25, line_width=0, hoverinfo="skip"
    )
    figure.add_scatter(mode="lines", line=dict(color=blue, width=3))
    for dash, colour in (
        ("solid", figures.BLACK),
        ("dash", figures.VERMILLION),
        ("dot", figures.GREEN),
        ("dashdot", figures.GREY),
    ):
        figure.add_scatter(mode="lines", line=dict(color=colour, dash=dash, width=2))
    figure.update_xaxes(
        title="trials",
        type="log",
        range=[0.25, np.log10(TRIALS[-1])],
        tickvals=TRIALS,
        ticktext=[f"{n:,}" if str(n)[0] == "1" else "" for n in TRIALS],
    )
    return figure.update_yaxes(title="queries, mean")


def _draw_settling(figure, drawn):
    x, mean, error, lines = drawn["x"].tolist(), drawn["mean"], drawn["error"], drawn["lines"]
    # all traces get x, y and name in each update: what was set at the start alone was lost in the
    # browser (plotly 7.1)
    figure.data[0].update(
        x=x + x[::-1],
        y=[*(mean + 2 * error), *(mean - 2 * error)[::-1]],
        name="± 2 standard errors",
    )
    figure.data[1].update(x=x, y=mean.tolist(), name="mean of the trials so far")
    named = [f"{name} = {value:.4g}" for name, value in lines.items()]
    for trace, value, name in zip(figure.data[2:], lines.values(), named, strict=True):
        trace.update(x=[1, TRIALS[-1]], y=[value, value], name=name)
    exact = lines["E[q]"]
    top = max(1.6 * exact, min(1.15 * lines["⌈1/p⌉"], 2.2 * exact))  # 1/p may be far away
    figure.layout.yaxis.range = [0, top]
    above = [name for name, value in zip(named, lines.values(), strict=True) if value > top]
    out = f" Above the picture: {', '.join(above)}." if above else ""
    return (
        f"With p = {drawn['p']:g} and at most {drawn['keys']} keys, {drawn['trials']:,} trials took {mean[-1]:.4g} queries on "
        f"average, with a standard error of {error[-1]:.2g}; {', '.join(named)}.{out}"
    )


def settle():
    """Panel: the mean number of queries of simulated trials settles on E[q]. Its `result` is what
    `settling` returns.
    """
    controls = {
        "trials": choice(TRIALS[2], TRIALS, "trials", ","),
        "p": choice(
            0.8,
            (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99),
            "p, hit rate",
        ),
        "keys": widgets.IntSlider(40, min=1, max=100, description="|K|, most keys", **WIDE),
    }
    return Panel(
        _settling_figure(),
        controls,
        settling,
        _draw_settling,
        {"Hardly a mark": {"p": 0.001, "trials": 1000}},
        first=1,
    )


WIDEST, MOST = (
    160,
    400,
)  # keys in the picture of the batch rule, and those that it may take at equal errors
POWERS, FPRS = (0.8, 0.9, 0.95, 0.99), (0.1, 0.05, 0.01, 0.001)
RULES = {"θ < τ|K|": True, "θ ≤ τ|K|": False}  # strict or not


def share(value):
    """A probability in percent, a small one as it is."""
    return f"{value:.1%}" if value >= 0.001 else f"{value:.1g}"


def batch_of(p, keys, tau, accuracy):
    """The batch rule over |K| = 1 … 160, for both rules: `curves`, {rule: Acc of a suspect with hit
    rate p, (160,)}, and `first`, {rule: (fewest keys that reach the accuracy, first multiple of
    ten, number from which on it lasts)}, None for what is beyond 160 keys or, in the last place,
    for τ ≤ 1-p.
    """
    p, tau, n = round(p, 2), round(tau, 2), np.arange(1, WIDEST + 1)  # a slider's 0.1 + 0.2 is 0.3
    curves = {name: queries.batch_accuracy(p, n, tau, strict) for name, strict in RULES.items()}
    first = {}
    for name, strict in RULES.items():
        reach = n[curves[name] >= accuracy]
        lasts = round(tau - (1 - p), 9) > 0
        first[name] = (
            *(int(few[0]) if len(few) else None for few in (reach, reach[reach % 10 == 0])),
            queries.smallest_batch(p, tau, accuracy, strict=strict, lasting=True)
            if lasts
            else None,
        )
    return {
        "p": p,
        "tau": tau,
        "keys": keys,
        "accuracy": accuracy,
        "curves": curves,
        "first": first,
    }


def _batch_figure():
    figure = figures.blank(height=440, margin=dict(t=20, b=110))
    for name, look, size in zip(
        RULES, figures.looks(("wrong label", "unmarked")).values(), (8, 5), strict=True
    ):
        figure.add_scatter(
            mode="lines+markers",
            name=name.replace("<", "&lt;"),
            line=dict(color=look["color"], width=1),
            marker=dict(color=look["color"], symbol=look["symbol"], size=size),
        )
    figure.add_scatter(
        mode="markers",
        name="your |K|",
        marker=dict(color=figures.BLACK, symbol="circle-open", size=15, line_width=3),
    )
    figure.add_hline(y=0.9, line=dict(color=figures.BLACK, dash="dash", width=1))
    figure.update_xaxes(title="|K|, keys in the batch", range=[0, WIDEST + 1], dtick=20)
    return figure.update_yaxes(
        title="Acc: a marked<br>suspect passes", tickformat=".0%", range=[-0.03, 1.03]
    )


def _draw_batch(figure, drawn):
    parts, n = [], list(range(1, WIDEST + 1))
    figure.layout.shapes[0].update(y0=drawn["accuracy"], y1=drawn["accuracy"])
    for trace, (name, accuracies) in zip(figure.data, drawn["curves"].items(), strict=False):
        trace.update(x=n, y=accuracies.tolist())
        here = accuracies[drawn["keys"] - 1]
        fewest, ten, lasting = drawn["first"][name]
        reached = f"{fewest or f'no number up to {WIDEST}'}, of multiples of ten {ten or 'none'}, for good {lasting or 'none'}"
        parts.append(
            f"with {name.replace('<', '&lt;')}, Acc({drawn['keys']}) = {here:.4f}, and the first |K| to reach "
            f"{drawn['accuracy']:.0%} is {reached}"
        )
    figure.data[2].update(
        x=[drawn["keys"]] * 2,
        y=[accuracies[drawn["keys"] - 1] for accuracies in drawn["curves"].values()],
    )
    return f"p = {drawn['p']:.2f}, τ = {drawn['tau']:.2f}: {'; '.join(parts)}."


def batch():
    """Panel: the accuracy of the batch rule over |K|, a saw-tooth. Its `result` is what `batch_of`
    returns.
    """
    controls = {
        "p": slider(0.8, 0.5, 0.99, 0.01, "p, hit rate"),
        "keys": widgets.IntSlider(40, min=1, max=WIDEST, description="|K|, keys", **WIDE),
        "tau": slider(0.3, 0.05, 0.6, 0.01, "τ, share of misses allowed"),
        "accuracy": choice(0.9, POWERS, "accuracy wanted"),
    }
    presets = {"p falls by 0.05": {"p": 0.75}, "p rises by 0.05": {"p": 0.85}}
    return Panel(_batch_figure(), controls, batch_of, _draw_batch, presets, first=1)


@functools.lru_cache(maxsize=512)
def _tests(p, p0, power, fpr):
    """(Neyman-Pearson's queries, hits needed); of the sequential test, if marked and if innocent:
    (share "marked", mean).
    """
    test = queries.sprt(p, p0, power, fpr)
    return (
        queries.neyman_pearson(p, p0, power, fpr),
        test.characteristic(p),
        test.characteristic(p0),
    )


@functools.lru_cache(maxsize=512)
def _fewest(p, p0, tau, power, fpr):
    """The fewest keys with which the strict batch rule holds both errors, None if no number up to
    `MOST` does.
    """
    n = np.arange(1, MOST + 1)
    n = n[queries.batch_accuracy(p, n, tau) >= power]
    n = n[queries.batch_accuracy(p0, n, tau) <= fpr] if len(n) else n
    return int(n[0]) if len(n) else None


def judges(p, p0, power=POWER, fpr=FPR, tau=0.3, keys=40):
    """A table of judges, one a row: queries at most, mean if marked and if innocent, marked found,
    innocent accused.

    p, p0: hit rates of a marked and of an innocent suspect; the new label is held against 0, all
    others against p0 < p. power, fpr: the errors asked for; `holds` says whether a row does. tau,
    keys: of the batch rule, the strict one.
    """
    limit, fewest = queries.quantile(p, power), _fewest(p, p0, tau, power, fpr)
    (n, hits), (found, mean), (accused, cleared) = _tests(p, p0, power, fpr)
    rows = {}
    for name, null in (("new label, first hit", 0.0), ("wrong label, first hit", p0)):
        means = (queries.expected(rate, limit) for rate in (p, null))
        rows[name] = (limit, *means, 1 - (1 - p) ** limit, 1 - (1 - null) ** limit)
    for name, size in (
        (f"batch rule, |K| = {keys}", keys),
        (f"batch rule, fewest |K| with τ = {tau:g}", fewest),
    ):
        if size:
            rows[name] = (
                size,
                size,
                size,
                queries.batch_accuracy(p, size, tau),
                queries.batch_accuracy(p0, size, tau),
            )
    counted = f"Neyman-Pearson, {hits} {'hit' if hits == 1 else 'hits'} in {n}"
    rows[counted] = (n, n, n, queries.p_value(hits, n, p), queries.p_value(hits, n, p0))
    rows["sequential"] = (np.inf, mean, cleared, found, accused)
    columns = [
        "queries at most",
        "mean if marked",
        "mean if innocent",
        "marked found",
        "innocent accused",
    ]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.assign(
        holds=(table["marked found"] >= power - 1e-12) & (table["innocent accused"] <= fpr + 1e-12)
    )


def readable(table):
    """What `judges` returns, for the eye."""
    forms = {
        "queries at most": lambda n: "no limit" if np.isinf(n) else f"{n:.0f}",
        "mean if marked": "{:.3g}".format,
        "mean if innocent": "{:.3g}".format,
        "marked found": share,
        "innocent accused": share,
        "holds": lambda yes: "yes" if yes else "no",
    }
    shown = pd.DataFrame({name: table[name].map(form) for name, form in forms.items()})
    return shown.rename(columns={"holds": "errors held"})


def compare_of(p0, p, power, fpr, tau, keys):
    """All judges at equal errors: `table`, as `judges` returns it, and `curves`, {name: queries at
    each p₀ of P0}.
    """
    p, tau = round(p, 2), round(tau, 2)
    limit, tests = queries.quantile(p, power), [_tests(p, null, power, fpr) for null in P0]
    curves = {
        "new label, at most": [limit] * len(P0),
        "new label, mean": [queries.expected(p, limit)] * len(P0),
        "sequential, mean": [mean for _, (_, mean), _ in tests],
        "Neyman-Pearson": [n for (n, _), *_ in tests],
        "batch rule, fewest |K|": [_fewest(p, null, tau, power, fpr) for null in P0],
        "batch rule, your |K|": [keys] * len(P0),
    }
    return {
        "p": p,
        "p0": p0,
        "tau": tau,
        "keys": keys,
        "power": power,
        "fpr": fpr,
        "curves": curves,
        "table": judges(p, p0, power, fpr, tau, keys),
    }


def _compare_figure():
    figure, new, own = (
        figures.blank(height=500, margin=dict(t=20, b=140)),
        *figures.looks(("new label", "wrong label")).values(),
    )
    for look, changed in (
        (new, dict(dash="solid")),
        (new, dict(symbol="diamond-open")),
        (LOOK["sequential"], {}),
        (LOOK["Neyman-Pearson"], {}),
        (LOOK["fixed batch"], {}),
        (own, dict(symbol="square-open")),
    ):
        figure.add_scatter(x=P0, mode="lines+markers", **figures.line(look | changed))
    figure.add_vline(x=P0[0], line=dict(color=figures.BLACK, width=1, dash="dot"))
    figure.update_xaxes(
        title="p₀: how often an innocent model<br>answers the key label",
        type="log",
        tickvals=P0,
        ticktext=[f"{v:g}" for v in P0],
    )
    ticks = (1, 2, 3, 5, 10, 20, 40, 100, 200, 400)
    return figure.update_yaxes(
        title="queries of a<br>marked suspect",
        type="log",
        range=[-0.1, np.log10(500)],
        tickvals=ticks,
        ticktext=[str(v) for v in ticks],
    )


def _draw_compare(figure, drawn):
    for trace, (name, counts) in zip(figure.data, drawn["curves"].items(), strict=True):
        trace.update(y=counts, name=name)
    figure.layout.shapes[0].update(x0=drawn["p0"], x1=drawn["p0"])
    table, at = drawn["table"], P0.index(drawn["p0"])
    most, mean, sequential, _, fewest, keys = (counts[at] for counts in drawn["curves"].values())
    own, test = (
        table.loc[f"batch rule, |K| = {keys}"],
        next(name for name in table.index if name.startswith("Neyman")),
    )
    return (
        f"Of suspects with p = {drawn['p']:.2f} at least {drawn['power']:.0%} found, of innocents with p₀ = {drawn['p0']:g} "
        f"at most {drawn['fpr']:.1%} accused: <b>{test}</b> queries; <b>sequential</b> {sequential:.3g} on average; <b>batch "
        f"rule</b> (τ = {drawn['tau']:.2f}) {fewest or f'more than {MOST}'}; <b>new label</b> at most {most}, {mean:.3g} on "
        f"average. Your {keys} keys find {share(own['marked found'])} and accuse {share(own['innocent accused'])}."
    )


def compare():
    """Panel: queries over p₀ for all judges at equal errors. Its `result` is what `compare_of`
    returns.
    """
    controls = {
        "p0": choice(0.1, P0, "p₀, innocent hit rate"),
        "p": slider(0.8, 0.6, 0.99, 0.01, "p, hit rate if marked"),
        "power": choice(0.9, POWERS, "marked found, at least"),
        "fpr": choice(0.1, FPRS, "innocent accused, at most"),
        "tau": slider(0.3, 0.05, 0.6, 0.01, "τ, share of misses allowed"),
        "keys": widgets.IntSlider(40, min=1, max=100, description="|K|, your batch", **WIDE),
    }
    presets = {
        "1/classes": {},
        "Measured": {"p0": 0.003},
        "Stricter": {"p0": 0.003, "power": 0.99, "fpr": 0.001},
    }
    return Panel(_compare_figure(), controls, compare_of, _draw_compare, presets, first=1)


NOTICED = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
GRID = np.geomspace(0.001, 1, 61)
RACES, ASKED = 4000, 200  # simulated, and answers of each


@functools.lru_cache(maxsize=64)
def _ends(p, p0, keys):
    """How many queries each judge needs on a suspect with hit rate p: {judge: probability of 0, 1,
    2 … queries}, exact.
    """
    test, going, last = queries.sprt(p, p0, POWER, FPR), np.ones(1), [0.0]
    while going.sum() > queries.LOST:
        going = np.append(going * (1 - p), 0) + np.append(0, going * p)
        evidence = test.evidence(np.arange(len(going)), len(last))
        ended = (evidence >= test.upper) | (evidence <= test.lower)
        last.append(going[ended].sum())
        going = np.where(ended, 0, going)
    first = np.r_[0, p * (1 - p) ** np.arange(keys)]
    first[keys] += (1 - p) ** keys
    n = queries.neyman_pearson(p, p0, POWER, FPR)[0]
    return dict(
        zip(LOOK, (first, np.eye(keys + 1)[keys], np.array(last), np.eye(n + 1)[n]), strict=True)
    )


def undisturbed(ends, noticed):
    """Probability that a judge is done before Bob notices a key, who notices each with probability
    `noticed`: E[(1 - noticed)^q].

    ends: probability of 0, 1, 2 … queries q. noticed: in [0, 1], or an array."""
    return np.power.outer(1 - np.asarray(noticed, float), np.arange(len(ends))) @ ends


@functools.lru_cache(maxsize=64)
def _simulated(p, p0, keys):
    """As `_ends`, simulated: {judge: queries of `RACES` races}."""
    hits = np.random.default_rng(7).random((RACES, ASKED)) < p
    test, first = (
        queries.sprt(p, p0, POWER, FPR),
        np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, ASKED),
    )
    evidence = np.where(hits, test.hit, test.miss).cumsum(axis=1)
    ended = (evidence >= test.upper) | (evidence <= test.lower)
    ended[:, -1] = True
    n = queries.neyman_pearson(p, p0, POWER, FPR)[0]
    bought = (
        np.minimum(first, keys),
        np.full(RACES, keys),
        ended.argmax(axis=1) + 1,
        np.full(RACES, n),
    )
    return dict(zip(LOOK, bought, strict=True))


def notice_of(noticed, price, p, p0, keys):
    """The race against Bob, who notices each key with probability `noticed`: {judge: value} for
    `curves` over GRID, `exact` and `simulated` probability of being done first, and `cost`, the
    mean price of all queries if nobody interferes.
    """
    p, ends = round(p, 2), _ends(round(p, 2), p0, keys)
    bob = np.random.default_rng(8).geometric(
        noticed, RACES
    )  # the key that he notices, and does not answer
    return {
        "noticed": noticed,
        "price": price,
        "curves": {name: undisturbed(each, GRID) for name, each in ends.items()},
        "exact": {name: float(undisturbed(each, noticed)) for name, each in ends.items()},
        "simulated": {
            name: float(np.mean(each < bob)) for name, each in _simulated(p, p0, keys).items()
        },
        "cost": {name: price * float(each @ np.arange(len(each))) for name, each in ends.items()},
    }


def _notice_figure():
    figure = figures.blank(height=440, margin=dict(t=20, b=120))
    for name, look in LOOK.items():
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"])
    figure.add_scatter(
        mode="markers",
        name=f"{RACES:,} races",
        marker=dict(color=figures.BLACK, symbol="circle-open", size=11, line_width=2),
    )
    ticks = [*NOTICED, 1]
    figure.update_xaxes(
        title="d, probability that Bob notices a key",
        type="log",
        tickvals=ticks,
        ticktext=[f"{v:g}" for v in ticks],
    )
    return figure.update_yaxes(
        title="done before Bob notices", tickformat=".0%", range=[-0.03, 1.05]
    )


def _draw_notice(figure, drawn):
    for trace, curve in zip(figure.data, drawn["curves"].values(), strict=False):
        trace.update(x=GRID, y=curve)
    figure.data[-1].update(x=[drawn["noticed"]] * len(LOOK), y=list(drawn["simulated"].values()))
    parts = (
        f"<b>{name}</b> {chance:.1%} at {drawn['cost'][name]:.3g} cents"
        for name, chance in drawn["exact"].items()
    )
    return (
        f"Bob notices one key in {1 / drawn['noticed']:.0f}. How often a judge is done before that, and what the queries cost "
        f"on average if nobody interferes: {', '.join(parts)}."
    )


def notice():
    """Panel: is the judge done before Bob notices? Its `result` is what `notice_of` returns."""
    controls = {
        "noticed": choice(0.05, NOTICED, "d, share of keys noticed"),
        "price": choice(1, (0.1, 1, 10, 100), "price of an answer, cents"),
        "p": slider(0.8, 0.6, 0.99, 0.01, "p, hit rate"),
        "p0": choice(0.1, P0, "p₀, innocent hit rate"),
        "keys": widgets.IntSlider(40, min=1, max=100, description="|K|, most keys", **WIDE),
    }
    return Panel(_notice_figure(), controls, notice_of, _draw_notice, first=1)


def _limited_mean(answer):
    if math.isclose(answer, (1 - 0.7**5) / 0.3, rel_tol=1e-3):
        return (
            True,
            "A limit makes the mean smaller than 1/p = 3.33, and with a probability of 0.7⁵ = 17 % there is no proof.",
        )
    if math.isclose(answer, 1 / 0.3, rel_tol=1e-2):
        return (
            False,
            "That is 1/p, of a judge who goes on for ever. This one stops after five answers at the latest.",
        )
    if math.isclose(answer, sum(k * 0.7 ** (k - 1) * 0.3 for k in range(1, 6)), rel_tol=1e-2):
        return (
            False,
            "That is the paper's sum. When all five miss, five answers were bought too: add that case.",
        )
    return (
        False,
        "Add up the probabilities that more than 0, 1, … 4 answers are bought: that the first k all miss.",
    )


def _smallest_batch(answer):
    from wmlab.queries import batch_accuracy, smallest_batch

    setting, n = (0.7, 0.4, 0.95), int(answer)
    if n != answer or n < 1:
        return False, "Hand in one whole number of keys."
    first, lasting = smallest_batch(*setting), smallest_batch(*setting, lasting=True)
    if n == first:
        return (
            True,
            f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f}. Only from {lasting} on does no larger number fall below 0.95.",
        )
    found = f"Acc({n}) = {batch_accuracy(0.7, n, 0.4):.4f} if θ < τ|K|"
    if n == smallest_batch(*setting, strict=False):
        return False, f"{found}. You allowed θ = τ|K| too; this judge does not."
    if batch_accuracy(0.7, n, 0.4) >= 0.95:
        return (
            False,
            f"{found}: enough, but a smaller number does it as well. Try all of them, not only multiples, from 1 up.",
        )
    return (
        False,
        f"{found}: not enough. Go up key by key, and do not stop where one more key made it worse.",
    )


def _honest_null(answer):
    from wmlab.queries import neyman_pearson
    from wmlab.stats import clopper_pearson

    (p0, n), bound = answer, clopper_pearson(0, 50, 0.9)[1]
    needed = neyman_pearson(0.8, bound, 0.99, 0.01)[0]
    if p0 == 0:
        return (
            False,
            "No hit in 50 does not mean never. With which hit rate would 50 misses in a row have a probability of 5 %?",
        )
    if math.isclose(p0, clopper_pearson(0, 50, 0.95)[1], abs_tol=5e-4):
        return (
            False,
            "That bound holds with 97.5 %: an interval of 95 % leaves half of the 5 % above. Put all of it there.",
        )
    if not math.isclose(p0, bound, abs_tol=5e-4):
        return (
            False,
            "Find the p₀ at which 50 misses in a row have a probability of 5 %: (1 - p₀)⁵⁰ = 0.05.",
        )
    if n != needed:
        return (
            False,
            f"The null is right, but {n} queries are not. Ask queries.neyman_pearson(0.8, p₀, 0.99, 0.01).",
        )
    return (
        True,
        f"p₀ = {bound:.3f} is what 50 answers allow, and {needed} queries do; p₀ = 0, never shown, would take 3.",
    )


CHECKS = {"05.1": _limited_mean, "05.2": _smallest_batch, "05.3": _honest_null}
