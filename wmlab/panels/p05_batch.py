"""Lesson 05, continued: the batch rule, and all judges at equal errors."""
import functools

import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import figures, queries
from wmlab.panels.base import Panel
from wmlab.panels.p05 import FPR, LOOK, P0, POWER, WIDE, choice, slider

WIDEST, MOST = 160, 400  # keys in the picture of the batch rule, and those that it may take at equal errors
POWERS, FPRS = (0.8, 0.9, 0.95, 0.99), (0.1, 0.05, 0.01, 0.001)
RULES = {"θ < τ|K|": True, "θ ≤ τ|K|": False}  # strict or not


def share(value):
    """A probability in percent, a small one as it is."""
    return f"{value:.1%}" if value >= 0.001 else f"{value:.1g}"


def batch_of(p, keys, tau, accuracy):
    """The batch rule over |K| = 1 … 160, for both rules: `curves`, {rule: Acc of a suspect with hit rate p, (160,)}, and
    `first`, {rule: (fewest keys that reach the accuracy, first multiple of ten, number from which on it lasts)}, None for
    what is beyond 160 keys or, in the last place, for τ ≤ 1-p."""
    p, tau, n = round(p, 2), round(tau, 2), np.arange(1, WIDEST + 1)  # a slider's 0.1 + 0.2 is 0.3
    curves = {name: queries.batch_accuracy(p, n, tau, strict) for name, strict in RULES.items()}
    first = {}
    for name, strict in RULES.items():
        reach = n[curves[name] >= accuracy]
        lasts = round(tau - (1 - p), 9) > 0
        first[name] = (*(int(few[0]) if len(few) else None for few in (reach, reach[reach % 10 == 0])),
                       queries.smallest_batch(p, tau, accuracy, strict=strict, lasting=True) if lasts else None)
    return {"p": p, "tau": tau, "keys": keys, "accuracy": accuracy, "curves": curves, "first": first}


def _batch_figure():
    figure = figures.blank(height=440, margin=dict(t=20, b=110))
    for name, look, size in zip(RULES, figures.looks(("wrong label", "unmarked")).values(), (8, 5), strict=True):
        figure.add_scatter(mode="lines+markers", name=name.replace("<", "&lt;"), line=dict(color=look["color"], width=1),
                           marker=dict(color=look["color"], symbol=look["symbol"], size=size))
    figure.add_scatter(mode="markers", name="your |K|",
                       marker=dict(color=figures.BLACK, symbol="circle-open", size=15, line_width=3))
    figure.add_hline(y=0.9, line=dict(color=figures.BLACK, dash="dash", width=1))
    figure.update_xaxes(title="|K|, keys in the batch", range=[0, WIDEST + 1], dtick=20)
    return figure.update_yaxes(title="Acc: a marked<br>suspect passes", tickformat=".0%", range=[-0.03, 1.03])


def _draw_batch(figure, drawn):
    parts, n = [], list(range(1, WIDEST + 1))
    figure.layout.shapes[0].update(y0=drawn["accuracy"], y1=drawn["accuracy"])
    for trace, (name, accuracies) in zip(figure.data, drawn["curves"].items(), strict=False):
        trace.update(x=n, y=accuracies.tolist())
        here = accuracies[drawn["keys"] - 1]
        fewest, ten, lasting = drawn["first"][name]
        reached = f"{fewest or f'no number up to {WIDEST}'}, of multiples of ten {ten or 'none'}, for good {lasting or 'none'}"
        parts.append(f"with {name.replace('<', '&lt;')}, Acc({drawn['keys']}) = {here:.4f}, and the first |K| to reach "
                     f"{drawn['accuracy']:.0%} is {reached}")
    figure.data[2].update(x=[drawn["keys"]] * 2, y=[accuracies[drawn["keys"] - 1] for accuracies in drawn["curves"].values()])
    return f"p = {drawn['p']:.2f}, τ = {drawn['tau']:.2f}: {'; '.join(parts)}."


def batch():
    """Panel: the accuracy of the batch rule over |K|, a saw-tooth. Its `result` is what `batch_of` returns."""
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
    """(Neyman-Pearson's queries, hits needed); of the sequential test, if marked and if innocent: (share "marked", mean)."""
    test = queries.sprt(p, p0, power, fpr)
    return queries.neyman_pearson(p, p0, power, fpr), test.characteristic(p), test.characteristic(p0)


@functools.lru_cache(maxsize=512)
def _fewest(p, p0, tau, power, fpr):
    """The fewest keys with which the strict batch rule holds both errors, None if no number up to `MOST` does."""
    n = np.arange(1, MOST + 1)
    n = n[queries.batch_accuracy(p, n, tau) >= power]
    n = n[queries.batch_accuracy(p0, n, tau) <= fpr] if len(n) else n
    return int(n[0]) if len(n) else None


def judges(p, p0, power=POWER, fpr=FPR, tau=0.3, keys=40):
    """A table of judges, one a row: queries at most, mean if marked and if innocent, marked found, innocent accused.

    p, p0: hit rates of a marked and of an innocent suspect; the new label is held against 0, all others against p0 < p.
    power, fpr: the errors asked for; `holds` says whether a row does. tau, keys: of the batch rule, the strict one.
    """
    limit, fewest = queries.quantile(p, power), _fewest(p, p0, tau, power, fpr)
    (n, hits), (found, mean), (accused, cleared) = _tests(p, p0, power, fpr)
    rows = {}
    for name, null in (("new label, first hit", 0.0), ("wrong label, first hit", p0)):
        means = (queries.expected(rate, limit) for rate in (p, null))
        rows[name] = (limit, *means, 1 - (1 - p) ** limit, 1 - (1 - null) ** limit)
    for name, size in ((f"batch rule, |K| = {keys}", keys), (f"batch rule, fewest |K| with τ = {tau:g}", fewest)):
        if size:
            rows[name] = (size, size, size, queries.batch_accuracy(p, size, tau), queries.batch_accuracy(p0, size, tau))
    counted = f"Neyman-Pearson, {hits} {'hit' if hits == 1 else 'hits'} in {n}"
    rows[counted] = (n, n, n, queries.p_value(hits, n, p), queries.p_value(hits, n, p0))
    rows["sequential"] = (np.inf, mean, cleared, found, accused)
    columns = ["queries at most", "mean if marked", "mean if innocent", "marked found", "innocent accused"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.assign(holds=(table["marked found"] >= power - 1e-12) & (table["innocent accused"] <= fpr + 1e-12))


def readable(table):
    """What `judges` returns, for the eye."""
    forms = {"queries at most": lambda n: "no limit" if np.isinf(n) else f"{n:.0f}", "mean if marked": "{:.3g}".format,
             "mean if innocent": "{:.3g}".format, "marked found": share, "innocent accused": share,
             "holds": lambda yes: "yes" if yes else "no"}
    shown = pd.DataFrame({name: table[name].map(form) for name, form in forms.items()})
    return shown.rename(columns={"holds": "errors held"})


def compare_of(p0, p, power, fpr, tau, keys):
    """All judges at equal errors: `table`, as `judges` returns it, and `curves`, {name: queries at each p₀ of P0}."""
    p, tau = round(p, 2), round(tau, 2)
    limit, tests = queries.quantile(p, power), [_tests(p, null, power, fpr) for null in P0]
    curves = {"new label, at most": [limit] * len(P0), "new label, mean": [queries.expected(p, limit)] * len(P0),
              "sequential, mean": [mean for _, (_, mean), _ in tests], "Neyman-Pearson": [n for (n, _), *_ in tests],
              "batch rule, fewest |K|": [_fewest(p, null, tau, power, fpr) for null in P0],
              "batch rule, your |K|": [keys] * len(P0)}
    return {"p": p, "p0": p0, "tau": tau, "keys": keys, "power": power, "fpr": fpr, "curves": curves,
            "table": judges(p, p0, power, fpr, tau, keys)}


def _compare_figure():
    figure, new, own = figures.blank(height=500, margin=dict(t=20, b=140)), *figures.looks(("new label", "wrong label")).values()
    for look, changed in ((new, dict(dash="solid")), (new, dict(symbol="diamond-open")), (LOOK["sequential"], {}),
                          (LOOK["Neyman-Pearson"], {}), (LOOK["fixed batch"], {}), (own, dict(symbol="square-open"))):
        figure.add_scatter(x=P0, mode="lines+markers", **figures.line(look | changed))
    figure.add_vline(x=P0[0], line=dict(color=figures.BLACK, width=1, dash="dot"))
    figure.update_xaxes(title="p₀: how often an innocent model<br>answers the key label", type="log", tickvals=P0,
                        ticktext=[f"{v:g}" for v in P0])
    ticks = (1, 2, 3, 5, 10, 20, 40, 100, 200, 400)
    return figure.update_yaxes(title="queries of a<br>marked suspect", type="log", range=[-0.1, np.log10(500)], tickvals=ticks,
                               ticktext=[str(v) for v in ticks])


def _draw_compare(figure, drawn):
    for trace, (name, counts) in zip(figure.data, drawn["curves"].items(), strict=True):
        trace.update(y=counts, name=name)
    figure.layout.shapes[0].update(x0=drawn["p0"], x1=drawn["p0"])
    table, at = drawn["table"], P0.index(drawn["p0"])
    most, mean, sequential, _, fewest, keys = (counts[at] for counts in drawn["curves"].values())
    own, test = table.loc[f"batch rule, |K| = {keys}"], next(name for name in table.index if name.startswith("Neyman"))
    return (f"Of suspects with p = {drawn['p']:.2f} at least {drawn['power']:.0%} found, of innocents with p₀ = {drawn['p0']:g} "
            f"at most {drawn['fpr']:.1%} accused: <b>{test}</b> queries; <b>sequential</b> {sequential:.3g} on average; <b>batch "
            f"rule</b> (τ = {drawn['tau']:.2f}) {fewest or f'more than {MOST}'}; <b>new label</b> at most {most}, {mean:.3g} on "
            f"average. Your {keys} keys find {share(own['marked found'])} and accuse {share(own['innocent accused'])}.")


def compare():
    """Panel: queries over p₀ for all judges at equal errors. Its `result` is what `compare_of` returns."""
    controls = {
        "p0": choice(0.1, P0, "p₀, innocent hit rate"),
        "p": slider(0.8, 0.6, 0.99, 0.01, "p, hit rate if marked"),
        "power": choice(0.9, POWERS, "marked found, at least"),
        "fpr": choice(0.1, FPRS, "innocent accused, at most"),
        "tau": slider(0.3, 0.05, 0.6, 0.01, "τ, share of misses allowed"),
        "keys": widgets.IntSlider(40, min=1, max=100, description="|K|, your batch", **WIDE),
    }
    presets = {"1/classes": {}, "Measured": {"p0": 0.003}, "Stricter": {"p0": 0.003, "power": 0.99, "fpr": 0.001}}
    return Panel(_compare_figure(), controls, compare_of, _draw_compare, presets, first=1)
