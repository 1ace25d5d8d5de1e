"""Lesson 05, expected queries: how many paid answers a proof takes, in five panels.

`race`: three judges on one row of answers. `running_mean`: simulated trials against E[q].
`batch`: the batch rule over |K|. `compare`: all judges at equal errors.
`notice`: what a proof costs, and whether Bob notices it first. Checks of notebook 05.

Each panel draws what the function named after it with `_of` returns, which is its `result`.
"""

import functools
import math

import numpy as np
import pandas as pd

from wmlab import queries, stats
from wmlab.show import figures
from wmlab.show.answers import number, staged
from wmlab.show.controls import choice, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question

JUDGES = ("first hit", "fixed batch", "sequential")
LOOK = figures.looks((*JUDGES, "Neyman-Pearson"))
# what the sequential judge expects of a marked suspect, and the errors that this judge allows
P1, POWER, FPR = 0.8, 0.9, 0.1
LONGEST = 60  # answers of a race
TRIALS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
P0 = (0.001, 0.003, 0.01, 0.03, 0.1, 0.2, 0.3)
VERDICT = {True: "marked", False: "not marked", None: "still undecided"}
P0_IS, TAU_IS = "p₀, innocent hit rate", "τ, share of misses allowed"


@functools.cache
def characteristic(rate, p, p0, power=POWER, fpr=FPR):
    """(share "marked", mean queries) of the sequential test of p against p0, on a suspect whose hit
    rate is `rate`.
    """
    return queries.sprt(p, p0, power, fpr).characteristic(rate)


def first_hit(answers, keys):
    """(answers bought, whether it convicts) of the first-hit judge on a row of answers, True for a
    hit, who has money for so many keys.
    """
    hits = np.flatnonzero(answers[:keys])
    return (int(hits[0]) + 1, True) if len(hits) else (keys, False)


def sequential(answers, p1=P1, p0=0.1, power=POWER, fpr=FPR):
    """(answers bought, verdict) of `queries.sprt` on a row of answers, True for a hit; the verdict
    is None if it would go on.
    """
    test, so_far = queries.sprt(p1, p0, power, fpr), 0
    for n, hit in enumerate(answers, 1):
        so_far += hit
        verdict = test.decide(so_far, n)
        if verdict is not None:
            return n, verdict
    return len(answers), None


def race_of(stream, p, keys, tau, p0):
    """One row of answers and the three judges on it.

    stream: seed of the answers. p: hit rate of the suspect, in [0, 1]. keys, tau: |K| and τ of the
    batch; |K| is also the limit of the first hit. p0: the innocent hit rate of the sequential
    judge.
    Returns a dict:
    - hits: bool (LONGEST,)
    - ends: {judge: (answers bought, marked)}
    - misses, allowed: of the batch, and the most with which it convicts
    - evidence: after 0, 1, … answers, and `test`, the sequential test that it belongs to
    - means, found: {judge: mean of the answers bought} and {judge: share of "marked"}, over all
      streams
    """
    p, tau = round(p, 2), round(tau, 2)  # a slider's 0.3 may be 0.1 + 0.2
    hits = np.random.default_rng(stream).random(LONGEST) < p
    test = queries.sprt(P1, p0, POWER, FPR)
    misses, allowed = int(keys - hits[:keys].sum()), queries.allowed(keys, tau)
    bought, verdict = sequential(hits, p0=p0)
    share, mean = characteristic(p, P1, p0)
    batch = queries.batch_accuracy(p, keys, tau)
    taken = np.arange(bought + 1)
    ends = first_hit(hits, keys), (keys, misses <= allowed), (bought, verdict)
    means, found = (queries.expected(p, keys), keys, mean), (1 - (1 - p) ** keys, batch, share)
    return {
        "hits": hits,
        "ends": dict(zip(JUDGES, ends, strict=True)),
        "misses": misses,
        "allowed": allowed,
        "evidence": test.evidence(np.r_[0, np.cumsum(hits)][taken], taken),
        "test": test,
        "means": dict(zip(JUDGES, means, strict=True)),
        "found": dict(zip(JUDGES, found, strict=True)),
    }


def _race_traces(run):
    """Answers on the top lane, a lane a judge under it, and the evidence in the second plot."""
    n = np.arange(1, LONGEST + 1)
    marks = (("hit", run["hits"], "new label", "diamond"), ("miss", ~run["hits"], "grey", "x-thin"))
    for name, which, colour, symbol in marks:
        colour, x = figures.COLOURS[colour], n[which]
        marker = dict(color=colour, symbol=symbol, size=9, line=dict(color=colour, width=2))
        # a trace without points is left out of the legend; one at None is not
        place = (x, np.full(len(x), 3)) if len(x) else ([None], [None])
        yield figures.dots(*place, name, colour, marker=marker)
    for lane, (name, (bought, verdict)) in zip((2, 1, 0), run["ends"].items(), strict=True):
        side = "middle right" if bought <= 0.6 * LONGEST else "top left"
        more = dict(text=["", f" {VERDICT[verdict]}, {bought}"], textposition=side, legend=False)
        ends, mode = ([0, bought], [lane, lane]), "lines+markers+text"
        yield figures.points(*ends, name, LOOK[name], mode=mode, cliponaxis=False, **more)
    x = np.arange(len(run["evidence"]))
    yield figures.points(x, run["evidence"], "evidence", LOOK["sequential"], 2, legend=False)


def _race_layout(test):
    """Two plots under each other: the lanes, and the evidence between the limits of the test."""
    limits = (
        (test.upper, "from here up: marked", "bottom"),
        (test.lower, "from here down: not marked", "top"),
    )
    look = dict(color=figures.BLACK, width=1, dash="dash")
    place = dict(xref="x2", yref="y2", xanchor="right")
    # one answer may carry the evidence beyond a limit
    low, high = test.lower + test.miss - 0.3, test.upper + test.hit + 0.3
    x, lanes = dict(range=[-0.5, LONGEST + 1]), dict(domain=[0.455, 1], range=[-0.6, 3.5])
    return dict(
        margin=dict(l=110, t=20, b=100),
        xaxis=x | dict(anchor="y", matches="x2", showticklabels=False),
        xaxis2=x | dict(anchor="y2", title="answers bought"),
        yaxis=lanes | dict(tickvals=[3, 2, 1, 0], ticktext=["answers", *JUDGES]),
        yaxis2=dict(domain=[0, 0.395], anchor="x2", range=[low, high], title="evidence (ln)"),
        shapes=[figures.level(limit, 2, **look) for limit, *_ in limits],
        annotations=[figures.note(text, LONGEST, y, yanchor=at, **place) for y, text, at in limits],
    )


def _race_picture(**settings):
    run = race_of(**settings)
    figure = figures.figure(_race_traces(run), 500, **_race_layout(run["test"]))
    batch = f" ({run['misses']} misses, {run['allowed']} allowed)"
    parts = [
        f"<b>{name}</b> says {VERDICT[verdict]} after {bought}{batch * (name == 'fixed batch')}"
        for name, (bought, verdict) in run["ends"].items()
    ]
    means = ", ".join(f"{mean:.3g}" for mean in run["means"].values())
    found = ", ".join(f"{value:.1%}" for value in run["found"].values())
    said = (
        f"Stream {settings['stream']} of a suspect with p = {settings['p']:.2f}: "
        f"{'; '.join(parts)}. Over all streams they buy {means} answers on average and say "
        f"“marked” in {found} of them."
    )
    return figure, said, run


def race():
    """Panel: three judges on one row of answers."""
    presets = {
        "A weak mark": {"p": 0.5},
        "Innocent, wrong label": {"p": 0.1},
        "Innocent, new label": {"p": 0},
    }
    return Panel(
        _race_picture,
        first=1,
        presets=presets,
        stream=slider(1, 1, 200, 1, "stream of answers"),
        p=slider(0.8, 0, 1, 0.05, "p, hit rate of the suspect"),
        keys=slider(40, 1, LONGEST, 1, "|K|, most keys"),
        tau=slider(0.3, 0.05, 0.95, 0.05, TAU_IS),
        p0=choice(P0, P0_IS, 0.1),
    )


@functools.lru_cache(maxsize=16)
def _trials(p):
    return np.random.default_rng(5).geometric(p, TRIALS[-1])


@functools.lru_cache(maxsize=64)
def running_mean_of(trials, p, keys):
    """The running mean of simulated trials, each of which stops at the first hit or after |K| =
    `keys` answers.

    p: in (0, 1]. Returns a dict: x, numbers of trials; mean, of the first x, and error, its
    standard error (their deviation over √x); formulas, {name: value}, what to compare it with.
    """
    bought = np.minimum(_trials(p)[:trials], keys).astype(float)
    x = np.unique(np.geomspace(2, trials, 150).astype(int))
    mean, square = np.cumsum(bought)[x - 1] / x, np.cumsum(bought**2)[x - 1] / x
    formulas = {
        "E[q]": queries.expected(p, keys),
        "the paper's sum": queries.paper_sum(p, keys),
        "1/p": queries.expected(p),
        "⌈1/p⌉": math.ceil(round(1 / p, 9)),
    }
    error = np.sqrt(np.maximum(square - mean**2, 0) / (x - 1))
    return {"x": x, "mean": mean, "error": error, "formulas": formulas}


def alike(formulas):
    """{name: value} with the names of equal values in one, so that no line hides another."""
    names = {}
    for name, value in formulas.items():
        names.setdefault(f"{value:.4g}", []).append(name)
    return {f"{' = '.join(same)} = {text}": formulas[same[0]] for text, same in names.items()}


def _running_mean_picture(trials, p, keys):
    run = running_mean_of(trials, p, keys)
    x, mean, error, formulas = run.values()
    blue, ends = figures.COLOURS["unmarked"], (mean + 2 * error, mean - 2 * error)
    more, look = dict(opacity=0.25, showlegend=True), dict(color=blue, dash="solid")
    traces = [
        figures.band(x, *ends, "± 2 standard errors", blue, **more),
        figures.points(x, mean, "mean of the trials so far", look, mode="lines"),
    ]
    named = alike(formulas)
    colours = figures.BLACK, figures.VERMILLION, figures.GREEN, figures.GREY
    dashes = "solid", "dash", "dot", "dashdot"
    for (name, value), colour, dash in zip(named.items(), colours, dashes, strict=False):
        look = dict(color=colour, dash=dash)
        ends = [1, TRIALS[-1]], [value, value]
        traces.append(figures.points(*ends, name, look, mode="lines", line=look | dict(width=2)))
    exact = formulas["E[q]"]
    top = max(1.6 * exact, min(1.15 * formulas["⌈1/p⌉"], 2.2 * exact))  # 1/p may be far away
    axis = figures.log_axis(TRIALS, "trials", lambda n: f"{n:,}" if str(n)[0] == "1" else "")
    axis["range"] = [0.25, np.log10(TRIALS[-1])]
    y = dict(title="queries, mean", range=[0, top])
    figure = figures.figure(traces, 460, margin=dict(t=20, b=130), xaxis=axis, yaxis=y)
    above = [name for name, value in named.items() if value > top]
    said = (
        f"With p = {p:g} and at most {keys} keys, {trials:,} trials took {mean[-1]:.4g} queries "
        f"on average, with a standard error of {error[-1]:.2g}; {', '.join(named)}."
    )
    return figure, said + (f" Above the picture: {', '.join(above)}." if above else ""), run


def running_mean():
    """Panel: the mean number of queries of simulated trials comes to E[q]."""
    rates = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 0.99)
    return Panel(
        _running_mean_picture,
        first=1,
        presets={"Hardly a mark": {"p": 0.001, "trials": 1000}},
        trials=choice(TRIALS, "trials", TRIALS[2], "{:,}".format),
        p=choice(rates, "p, hit rate", 0.8),
        keys=slider(40, 1, 100, 1, "|K|, most keys"),
    )


WIDEST = 160  # keys in the picture of the batch rule
MOST = 400  # keys that the batch rule may take at equal errors
POWERS, FPRS = (0.8, 0.9, 0.95, 0.99), (0.1, 0.05, 0.01, 0.001)
RULES = {"θ < τ|K|": True, "θ ≤ τ|K|": False}  # strict or not


def share(value):
    """A probability in words: in percent, a small one as it is."""
    if 0 < value < 1e-6:
        return "practically none"
    return f"{value:.1%}" if value >= 0.001 else f"{value:.1g}"


@functools.lru_cache(maxsize=512)
def _batch_rule(p, tau, accuracy, strict):
    """Acc of one batch rule over |K| = 1 … 160, and the first numbers that reach an accuracy."""
    n = np.arange(1, WIDEST + 1)
    curve = queries.batch_accuracy(p, n, tau, strict)
    reach, lasting = n[curve >= accuracy].tolist(), None
    if round(tau - (1 - p), 9) > 0:
        lasting = queries.smallest_batch(p, tau, accuracy, strict=strict, lasting=True)
    ten = next((n for n in reach if n % 10 == 0), None)
    first = {"fewest": next(iter(reach), None), "multiple of ten": ten, "lasting": lasting}
    return curve, first


def batch_of(p, keys, tau, accuracy):
    """The batch rule over |K| = 1 … 160, strict and not strict.

    Returns a dict:
    - curves: {rule: Acc of a suspect with hit rate p, (160,)}
    - here: {rule: Acc at |K| = keys}
    - first: {rule: {"fewest": keys that reach the accuracy, "multiple of ten": the first such one,
      "lasting": number from which on all reach it}}, None for what is beyond 160 keys or, in the
      last place, for τ ≤ 1-p
    """
    p, tau = round(p, 2), round(tau, 2)  # a slider's 0.3 may be 0.1 + 0.2
    found = {name: _batch_rule(p, tau, accuracy, strict) for name, strict in RULES.items()}
    return {
        "curves": {name: curve for name, (curve, _) in found.items()},
        "here": {name: float(curve[keys - 1]) for name, (curve, _) in found.items()},
        "first": {name: first for name, (_, first) in found.items()},
    }


def _batch_picture(p, keys, tau, accuracy):
    run, traces, parts = batch_of(p, keys, tau, accuracy), [], []
    looks = figures.looks(("wrong label", "unmarked")).values()
    for (name, curve), look, size in zip(run["curves"].items(), looks, (8, 5), strict=True):
        rule, first = name.replace("<", "&lt;"), run["first"][name]
        trace = figures.points(np.arange(1, WIDEST + 1), curve, rule, look)
        trace["line"], trace["marker"]["size"] = dict(color=look["color"], width=1), size
        traces.append(trace)
        parts.append(
            f"with {rule}, Acc({keys}) = {run['here'][name]:.4f}, and the first |K| to reach "
            f"{accuracy:.0%} is {first['fewest'] or f'no number up to {WIDEST}'}, of multiples of "
            f"ten {first['multiple of ten'] or 'none'}, for good {first['lasting'] or 'none'}"
        )
    here = [keys] * len(RULES), list(run["here"].values())
    traces.append(figures.ring(*here, "your |K|", size=15))
    wanted = figures.level(accuracy, color=figures.BLACK, dash="dash", width=1)
    x = dict(title="|K|, keys in the batch", range=[0, WIDEST + 1], dtick=20)
    y = dict(title="Acc: a marked<br>suspect passes") | figures.SHARE
    more = dict(margin=dict(t=20, b=110), shapes=[wanted], xaxis=x, yaxis=y)
    said = f"p = {p:.2f}, τ = {tau:.2f}: {'; '.join(parts)}."
    return figures.figure(traces, 440, **more), said, run


def batch():
    """Panel: the accuracy of the batch rule over |K|, a saw-tooth."""
    return Panel(
        _batch_picture,
        first=1,
        presets={"p falls by 0.05": {"p": 0.75}, "p rises by 0.05": {"p": 0.85}},
        p=slider(0.8, 0.5, 0.99, 0.01, "p, hit rate"),
        keys=slider(40, 1, WIDEST, 1, "|K|, keys"),
        tau=slider(0.3, 0.05, 0.6, 0.01, TAU_IS),
        accuracy=choice(POWERS, "accuracy wanted", 0.9),
    )


_count_test = functools.lru_cache(maxsize=512)(queries.neyman_pearson)


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
    innocent accused, and whether the row holds both errors.

    p, p0: hit rates of a marked and of an innocent suspect; the new label is held against 0, all
    others against p0 < p. power, fpr: the errors asked for. tau, keys: of the batch rule, the
    strict one.
    """
    rows, limit = {}, queries.quantile(p, power)
    for name, null in (("new label, first hit", 0.0), ("wrong label, first hit", p0)):
        means = [queries.expected(rate, limit) for rate in (p, null)]
        rows[name] = (limit, *means, 1 - (1 - p) ** limit, 1 - (1 - null) ** limit)
    fewest = f"batch rule, fewest |K| with τ = {tau:g}", _fewest(p, p0, tau, power, fpr)
    for name, size in ((f"batch rule, |K| = {keys}", keys), fewest):
        if size:
            passed = [queries.batch_accuracy(rate, size, tau) for rate in (p, p0)]
            rows[name] = (size, size, size, *passed)
    n, hits = _count_test(p, p0, power, fpr)
    counted = f"Neyman-Pearson, {hits} {'hit' if hits == 1 else 'hits'} in {n}"
    rows[counted] = (n, n, n, *(queries.p_value(hits, n, rate) for rate in (p, p0)))
    found, mean = characteristic(p, p, p0, power, fpr)
    accused, cleared = characteristic(p0, p, p0, power, fpr)
    rows["sequential"] = (np.inf, mean, cleared, found, accused)
    columns = "queries at most,mean if marked,mean if innocent,marked found,innocent accused"
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns.split(","))
    held = (table["marked found"] >= power - 1e-12) & (table["innocent accused"] <= fpr + 1e-12)
    return table.assign(holds=held)


def readable(table):
    """What `judges` returns, for the eye."""
    forms = {
        "queries at most": lambda n: "no limit" if np.isinf(n) else f"{n:.0f}",
        "mean if marked": "{:.3g}".format,
        "mean if innocent": "{:.3g}".format,
        "marked found": share,
        "innocent accused": share,
        "holds": {True: "yes", False: "no"},
    }
    shown = pd.DataFrame({name: table[name].map(form) for name, form in forms.items()})
    return shown.rename(columns={"holds": "errors held"})


def compare_of(p0, p, power, fpr, tau, keys):
    """All judges at equal errors: `table`, as `judges` returns it, and `curves`, {name: queries at
    each p₀ of P0}, None where there is no such number.
    """
    p, tau = round(p, 2), round(tau, 2)  # a slider's 0.3 may be 0.1 + 0.2
    limit, errors = queries.quantile(p, power), (power, fpr)
    curves = {
        "new label, at most": [limit] * len(P0),
        "new label, mean": [queries.expected(p, limit)] * len(P0),
        "sequential, mean": [characteristic(p, p, at, *errors)[1] for at in P0],
        "Neyman-Pearson": [_count_test(p, at, *errors)[0] for at in P0],
        "batch rule, fewest |K|": [_fewest(p, at, tau, *errors) for at in P0],
        "batch rule, your |K|": [keys] * len(P0),
    }
    return {"curves": curves, "table": judges(p, p0, power, fpr, tau, keys)}


def _compare_figure(curves, p0):
    """Queries over p₀, a curve a judge, with an upright line at the p₀ chosen."""
    new, own = figures.looks(("new label", "wrong label")).values()
    looks = [new | dict(dash="solid"), new | dict(symbol="diamond-open")]
    looks += [LOOK[name] for name in ("sequential", "Neyman-Pearson", "fixed batch")]
    looks.append(own | dict(symbol="square-open"))
    lines = zip(curves.items(), looks, strict=True)
    traces = [figures.points(P0, counts, name, look) for (name, counts), look in lines]
    ticks = (1, 2, 3, 5, 10, 20, 40, 100, 200, 400)
    y = figures.log_axis(ticks, "queries of a<br>marked suspect")
    return figures.figure(
        traces,
        500,
        margin=dict(t=20, b=140),
        shapes=[figures.upright(p0, color=figures.BLACK, width=1)],
        xaxis=figures.log_axis(P0, "p₀: how often an innocent model<br>answers the key label"),
        yaxis=y | dict(range=[-0.1, np.log10(500)]),
    )


def _compare_picture(p0, p, power, fpr, tau, keys):
    run = compare_of(p0, p, power, fpr, tau, keys)
    table = run["table"]
    here = {name: counts[P0.index(p0)] for name, counts in run["curves"].items()}
    own = table.loc[f"batch rule, |K| = {keys}"]
    test = next(name for name in table.index if name.startswith("Neyman"))
    said = (
        f"Of suspects with p = {p:.2f} at least {power:.0%} found, of innocents with p₀ = {p0:g} "
        f"at most {fpr:.1%} accused: <b>{test}</b> queries; <b>sequential</b> "
        f"{here['sequential, mean']:.3g} on average; <b>batch rule</b> (τ = {tau:.2f}) "
        f"{here['batch rule, fewest |K|'] or f'more than {MOST}'}; <b>new label</b> at most "
        f"{here['new label, at most']}, {here['new label, mean']:.3g} on average. Your {keys} keys "
        f"find {share(own['marked found'])} and accuse {share(own['innocent accused'])}."
    )
    return _compare_figure(run["curves"], p0), said, run


def compare():
    """Panel: queries over p₀ for all judges at equal errors."""
    presets = {
        "1/classes": {},
        "Measured": {"p0": 0.003},
        "Stricter": {"p0": 0.003, "power": 0.99, "fpr": 0.001},
    }
    return Panel(
        _compare_picture,
        first=1,
        presets=presets,
        p0=choice(P0, P0_IS, 0.1),
        p=slider(0.8, 0.6, 0.99, 0.01, "p, hit rate if marked"),
        power=choice(POWERS, "marked found, at least", 0.9),
        fpr=choice(FPRS, "innocent accused, at most"),
        tau=slider(0.3, 0.05, 0.6, 0.01, TAU_IS),
        keys=slider(40, 1, 100, 1, "|K|, your batch"),
    )


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
    n, _ = _count_test(p, p0, POWER, FPR)
    exact = first, np.eye(keys + 1)[keys], np.array(last), np.eye(n + 1)[n]
    return dict(zip(LOOK, exact, strict=True))


def undisturbed(ends, noticed):
    """Probability that a judge is done before Bob notices a key, who notices each with probability
    `noticed`: E[(1 - noticed)^q].

    ends: probability of 0, 1, 2 … queries q. noticed: in [0, 1], or an array.
    """
    return np.power.outer(1 - np.asarray(noticed, float), np.arange(len(ends))) @ ends


@functools.lru_cache(maxsize=64)
def _simulated(p, p0, keys):
    """As `_ends`, simulated: {judge: queries of `RACES` races}."""
    hits = np.random.default_rng(7).random((RACES, ASKED)) < p
    test = queries.sprt(p, p0, POWER, FPR)
    first = np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, ASKED)
    evidence = np.where(hits, test.hit, test.miss).cumsum(axis=1)
    ended = (evidence >= test.upper) | (evidence <= test.lower)
    ended[:, -1] = True
    n, _ = _count_test(p, p0, POWER, FPR)
    last = ended.argmax(axis=1) + 1
    raced = np.minimum(first, keys), np.full(RACES, keys), last, np.full(RACES, n)
    return dict(zip(LOOK, raced, strict=True))


@functools.lru_cache(maxsize=64)
def _notice_curves(p, p0, keys):
    """`undisturbed` of every judge over GRID."""
    return {name: undisturbed(ends, GRID) for name, ends in _ends(p, p0, keys).items()}


def notice_of(noticed, price, p, p0, keys):
    """The race against Bob, who notices each key with probability `noticed`: a dict of dicts
    {judge: value}.

    - curves: probability of being done first, over GRID
    - exact, simulated: the same, at `noticed`
    - cost: mean price of all queries if nobody interferes
    """
    p = round(p, 2)  # a slider's 0.3 may be 0.1 + 0.2
    ends, races = _ends(p, p0, keys), _simulated(p, p0, keys)
    # which key Bob notices; he does not answer it
    bob = np.random.default_rng(8).geometric(noticed, RACES)
    return {
        "curves": _notice_curves(p, p0, keys),
        "exact": {name: float(undisturbed(each, noticed)) for name, each in ends.items()},
        "simulated": {name: float(np.mean(each < bob)) for name, each in races.items()},
        "cost": {name: price * float(each @ np.arange(len(each))) for name, each in ends.items()},
    }


def _notice_picture(noticed, **settings):
    run = notice_of(noticed, **settings)
    traces = [
        figures.points(GRID, curve, name, LOOK[name], mode="lines")
        for name, curve in run["curves"].items()
    ]
    here = [noticed] * len(LOOK), list(run["simulated"].values())
    traces.append(figures.ring(*here, f"{RACES:,} races", size=11))
    x = figures.log_axis((*NOTICED, 1), "d, probability that Bob notices a key")
    y = dict(title="done before Bob notices", tickformat=".0%", range=[-0.03, 1.05])
    figure = figures.figure(traces, 440, margin=dict(t=20, b=120), xaxis=x, yaxis=y)
    parts = [
        f"<b>{name}</b> {chance:.1%} at {run['cost'][name]:.3g} cents"
        for name, chance in run["exact"].items()
    ]
    said = (
        f"Bob notices one key in {1 / noticed:.0f}. How often a judge is done before that, and "
        f"what the queries cost on average if nobody interferes: {', '.join(parts)}."
    )
    return figure, said, run


def notice():
    """Panel: is the judge done before Bob notices?"""
    return Panel(
        _notice_picture,
        first=1,
        noticed=choice(NOTICED, "d, share of keys noticed", 0.05),
        price=choice((0.1, 1, 10, 100), "price of an answer, cents", 1),
        p=slider(0.8, 0.6, 0.99, 0.01, "p, hit rate"),
        p0=choice(P0, P0_IS, 0.1),
        keys=slider(40, 1, 100, 1, "|K|, most keys"),
    )


# the questions of the notebook


def who_is_first(panel):
    """Three judges on the same answers; panel: of `race`."""
    return Question(
        "Bob sells answers from a copy of Alice's model, p = 0.8. All judges get the same answers. "
        "Who is done first?",
        JUDGES,
        panel,
        answer="first hit",
        because="Drag to other streams of answers. The presets have a weak mark, and two suspects "
        "who are innocent.",
    )


def mean_of_the_first_hit(panel):
    """The paper's example; panel: of `running_mean`."""
    panel.set(trials=TRIALS[-1])
    return Question(
        "p = 0.8, the paper's example, and 40 keys at hand. How many answers does the first-hit "
        "judge buy on average?",
        ["1.25", "1.5", "2"],
        panel,
        answer="1.25",
        because="With few trials the mean still moves. More controls have p and |K|.",
    )


def what_becomes_of_forty(panel):
    """The batch after pruning; panel: of `batch`."""
    panel.set(p=0.75)
    return Question(
        "The paper's 40 belongs to p = 0.8. If pruning takes a copy down to p = 0.75, what becomes "
        "of the 40?",
        ["50", "80", "150"],
        panel,
        answer="150",
        because="In multiples of ten, with θ &lt; τ|K|. Each dot is a number of keys. Reset has "
        "the paper's p = 0.8.",
    )


def queries_at_equal_errors(panel):
    """The wrong label against a measured null; panel: of `compare`."""
    panel.set(p0=0.003)
    return Question(
        "Zhang's wrong label, p = 0.8 against p₀ = 0.003, errors of 10 % each: how many queries "
        "does it take?",
        ["2", "about 10", "about 40"],
        panel,
        answer="2",
        because="The upright line stands at p₀ = 0.003. More controls have p, τ, |K| and the "
        "errors.",
    )


def before_bob_notices(panel):
    """A batch against a Bob who watches; panel: of `notice`."""
    return Question(
        "Bob notices one key in twenty. How often does the judge with a batch of 40 get all of "
        "them answered?",
        ["13 %", "50 %", "87 %"],
        panel,
        answer="13 %",
        because="Lines are exact, circles simulated. More controls have the price, p, p₀ and |K|.",
    )


# the checks of its exercises


def _tried(judge, cases, limits, hint):
    """What is wrong with a judge on rows of answers, as of `staged`: the form first, then every
    case.

    cases: {row, "+" for a hit and "-" for a miss: (right, {wrong result: sentence})}. limits: {row:
    the arguments after it}.
    """
    stages = []
    for row, (right, misses) in cases.items():
        given = [answer == "+" for answer in row], *limits[row]
        case = f"Answers {' '.join(row)}".replace("-", "–")
        stages.append((case, given, right, misses.items(), hint))
    said = judge(*stages[0][1])
    if not isinstance(said, (tuple, list)) or len(said) != 2:
        two = "Return two things: how many answers were bought, and the verdict."
        return False, f"{two} Yours returns {said}."
    return staged(judge, stages)


def _first_hit(answer):
    limits = {"--++": [4], "-----": [3], "--+": [2], "+": [1]}
    cases = {
        "--++": (
            (3, True),
            {
                (2, True): "Python counts from 0, and the judge from 1.",
                (4, True): "The judge buys no answer after the first hit.",
                (1, True): "The first answer is a miss: look at the answer, not at the row.",
            },
        ),
        "-----": (
            (3, False),
            {(5, False): "There is money for 3 keys, the second argument, not for all in the row."},
        ),
        "--+": ((2, False), {(3, True): "That hit was not bought: there is money for 2 keys."}),
        "+": ((1, True), {(1, False): "A hit at the last key counts, too."}),
    }
    hint = "Stop at the first hit and return its number. After `keys` misses the judge gives up."
    right = True, "A hit ends it, and nothing but the money ends a row of misses."
    return _tried(answer, cases, limits, hint) or right


def _wald(answer):
    known, other, rng = (P1, 0.1, POWER, FPR), (0.6, 0.3, 0.99, 0.001), np.random.default_rng(1)
    cases = {
        "+++++": (
            (2, True),
            {
                (1, True): "One hit is worth 2.08, and the limit is ln(1/fpr) = 2.30: take logs.",
                (5, None): "Compare with the limit after every answer: ln(1/fpr) = 2.30.",
            },
        ),
        "-----": (
            (2, False),
            {
                (1, False): "One miss is worth -1.50, and the limit is ln(1 - power) = -2.30.",
                (5, None): "There is a limit for innocence, too: ln(1 - power) = -2.30.",
                (2, True): "Evidence below the lower limit says not marked: False.",
            },
        ),
        "+--++": ((5, True), {(4, True): "Misses count as well, against the suspect's guilt."}),
        "+-": ((2, None), {(2, False): "Between the limits nothing is decided: None."}),
    }
    weights = "A hit adds ln(p₁/p₀) = 2.08, a miss ln((1-p₁)/(1-p₀)) = -1.50."
    if wrong := _tried(answer, cases, dict.fromkeys(cases, known), weights):
        return wrong
    used = "Use the four arguments: with p₁ = 0.6 and p₀ = 0.3 other limits and weights hold."
    rows = (rng.random((20, 200)) < 0.6).tolist()
    stages = [("", (row, *other), sequential(row, *other), [], used) for row in rows]
    innocent = (rng.random((2000, 60)) < 0.1).tolist()
    if wrong := staged(answer, stages):
        return wrong
    accused = np.mean([bool(answer(row, *known)[1]) for row in innocent])
    said = f"Of 2,000 innocent suspects yours accuses {accused:.1%}; at most 10 % were agreed."
    return True, said


def _limited_mean(answer, p=0.3):
    q = 1 - p
    forever = (
        "That is 1/p, of a judge who goes on for ever. This one stops after five answers at the "
        "latest."
    )
    sums = (
        "That is the paper's sum. When all five miss, five answers were bought too: add that case."
    )
    return number(
        answer,
        (1 - q**5) / p,
        f"A limit makes the mean smaller than 1/p = {1 / p:.2f}, and with a probability of "
        f"{q:.2g}⁵ = {100 * q**5:.0f} % there is no proof.",
        [(1 / p, forever), (queries.paper_sum(p, 5), sums)],
        "Add up the probabilities that more than 0, 1, … 4 answers are bought: "
        "that the first k all miss.",
    )


def _smallest_batch(answer):
    setting, n = (0.7, 0.4, 0.95), int(answer)
    if n != answer or n < 1:
        return False, "Hand in one whole number of keys."
    accuracy = queries.batch_accuracy(0.7, n, 0.4)
    if n == queries.smallest_batch(*setting):
        lasting = queries.smallest_batch(*setting, lasting=True)
        return True, (
            f"Acc({n}) = {accuracy:.4f}. Only from {lasting} on does no larger number fall "
            "below 0.95."
        )
    found = f"Acc({n}) = {accuracy:.4f} if θ < τ|K|"
    if n == queries.smallest_batch(*setting, strict=False):
        return False, f"{found}. You allowed θ = τ|K| too; this judge does not."
    if accuracy >= 0.95:
        return False, (
            f"{found}: enough, but a smaller number does it as well. Try all of them, not only "
            "multiples, from 1 up."
        )
    return False, (
        f"{found}: not enough. Go up key by key, and do not stop where one more key made it worse."
    )


def _honest_null(answer):
    p0, n = answer
    _, bound = stats.clopper_pearson(0, 50, 0.9)
    _, two_sided = stats.clopper_pearson(0, 50, 0.95)
    needed, _ = queries.neyman_pearson(0.8, bound, 0.99, 0.01)
    if p0 == 0:
        return False, (
            "No hit in 50 does not mean never. With which hit rate would 50 misses in a row have "
            "a probability of 5 %?"
        )
    if math.isclose(p0, two_sided, abs_tol=5e-4):
        return False, (
            "That bound holds with 97.5 %: an interval of 95 % leaves half of the 5 % above. "
            "Put all of it there."
        )
    if not math.isclose(p0, bound, abs_tol=5e-4):
        return False, (
            "Find the p₀ at which 50 misses in a row have a probability of 5 %: (1 - p₀)⁵⁰ = 0.05."
        )
    if n != needed:
        return False, (
            f"The null is right, but {n} queries are not. "
            "Ask queries.neyman_pearson(0.8, p₀, 0.99, 0.01)."
        )
    return True, (
        f"p₀ = {bound:.3f} is what 50 answers allow, and {needed} queries do; "
        "p₀ = 0, never shown, would take 3."
    )


CHECKS = {
    "05.1": _first_hit,
    "05.2": _wald,
    "05.3": _limited_mean,
    "05.4": _smallest_batch,
    "05.5": _honest_null,
}
