"""Lesson 05, continued: what a proof costs in money and in suspicion, a race against Bob."""
import functools

import ipywidgets as widgets
import numpy as np

from wmlab import figures, queries
from wmlab.panels.base import Panel
from wmlab.panels.p05 import FPR, LOOK, P0, POWER, WIDE, choice, slider

NOTICED = (0.001, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
GRID = np.geomspace(0.001, 1, 61)
RACES, LONGEST = 4000, 200  # simulated, and answers of each


@functools.lru_cache(maxsize=64)
def _ends(p, p0, keys):
    """How many queries each judge needs on a suspect with hit rate p: {judge: probability of 0, 1, 2 … queries}, exact."""
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
    return dict(zip(LOOK, (first, np.eye(keys + 1)[keys], np.array(last), np.eye(n + 1)[n]), strict=True))


def undisturbed(ends, noticed):
    """Probability that a judge is done before Bob notices a key, who notices each with probability `noticed`: E[(1 - noticed)^q].

    ends: probability of 0, 1, 2 … queries q. noticed: in [0, 1], or an array."""
    return np.power.outer(1 - np.asarray(noticed, float), np.arange(len(ends))) @ ends


@functools.lru_cache(maxsize=64)
def _simulated(p, p0, keys):
    """As `_ends`, simulated: {judge: queries of `RACES` races}."""
    hits = np.random.default_rng(7).random((RACES, LONGEST)) < p
    test, first = queries.sprt(p, p0, POWER, FPR), np.where(hits.any(axis=1), hits.argmax(axis=1) + 1, LONGEST)
    evidence = np.where(hits, test.hit, test.miss).cumsum(axis=1)
    ended = (evidence >= test.upper) | (evidence <= test.lower)
    ended[:, -1] = True
    n = queries.neyman_pearson(p, p0, POWER, FPR)[0]
    bought = (np.minimum(first, keys), np.full(RACES, keys), ended.argmax(axis=1) + 1, np.full(RACES, n))
    return dict(zip(LOOK, bought, strict=True))


def notice_of(noticed, price, p, p0, keys):
    """The race against Bob, who notices each key with probability `noticed`: {judge: value} for `curves` over GRID, `exact`
    and `simulated` probability of being done first, and `cost`, the mean price of all queries if nobody interferes."""
    p, ends = round(p, 2), _ends(round(p, 2), p0, keys)
    bob = np.random.default_rng(8).geometric(noticed, RACES)  # the key that he notices, and does not answer
    return {"noticed": noticed, "price": price, "curves": {name: undisturbed(each, GRID) for name, each in ends.items()},
            "exact": {name: float(undisturbed(each, noticed)) for name, each in ends.items()},
            "simulated": {name: float(np.mean(each < bob)) for name, each in _simulated(p, p0, keys).items()},
            "cost": {name: price * float(each @ np.arange(len(each))) for name, each in ends.items()}}


def _notice_figure():
    figure = figures.blank(height=440, margin=dict(t=20, b=120))
    for name, look in LOOK.items():
        figure.add_scatter(mode="lines", name=name, line=figures.line(look)["line"])
    figure.add_scatter(mode="markers", name=f"{RACES:,} races",
                       marker=dict(color=figures.BLACK, symbol="circle-open", size=11, line_width=2))
    ticks = [*NOTICED, 1]
    figure.update_xaxes(title="d, probability that Bob notices a key", type="log", tickvals=ticks,
                        ticktext=[f"{v:g}" for v in ticks])
    return figure.update_yaxes(title="done before Bob notices", tickformat=".0%", range=[-0.03, 1.05])


def _draw_notice(figure, drawn):
    for trace, curve in zip(figure.data, drawn["curves"].values(), strict=False):
        trace.update(x=GRID, y=curve)
    figure.data[-1].update(x=[drawn["noticed"]] * len(LOOK), y=list(drawn["simulated"].values()))
    parts = (f"<b>{name}</b> {chance:.1%} at {drawn['cost'][name]:.3g} cents" for name, chance in drawn["exact"].items())
    return (f"Bob notices one key in {1 / drawn['noticed']:.0f}. How often a judge is done before that, and what the queries cost "
            f"on average if nobody interferes: {', '.join(parts)}.")


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
