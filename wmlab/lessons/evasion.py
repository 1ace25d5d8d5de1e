"""Lesson 09, evasion: detectors of keys over β, what a flag is worth where keys are rare, keys in
front of a service that refuses, and what filters cost and leave, on record.
"""

import functools
import math
import typing

import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import queries, stats
from wmlab.attack_tables import DECOYS, UNTOUCHED
from wmlab.filters.detectors import Detector, roc
from wmlab.show import figures
from wmlab.show.panel import Panel

BETAS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3.5e-3, 1e-2, 3e-2)
# shares of clean images that Bob can bear to see called keys
ALARMS = (0.001, 0.004, 0.01, 0.02, 0.05, 0.1, 0.2)
RATES = (0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # shares of queries that are keys
LIMIT = 40  # keys that Ver asks on record, at most
BINS = 40
MARKS = ("new label", "wrong label", DECOYS)
FILTERS = {  # those on record, and what their strength is called
    "JPEG": "quality",
    "median": "size",
    "bit depth": "bits",
    "noise on queries": "variance",
    "random answers to noisy images": None,
}
SIDES = {  # where their strengths stand in the map; those at its right end beside each other
    "median": "bottom center",
    "bit depth": "middle left",
    "noise on queries": ["bottom center", "bottom left", "bottom right"],
}
LOOKS = (*figures.SPARE, figures.looks(["unmarked"])["unmarked"])
WIDE = dict(style=dict(description_width="initial"), layout=dict(width="400px"))
HERE = dict(color=figures.BLACK, dash="solid", symbol="circle-open")  # what the sliders say
EDGE = dict(color=figures.BLACK, dash="dash", symbol="circle")  # a threshold


class Flags(typing.NamedTuple):
    """What a detector flags: its threshold, and which clean images and keys score above it, bool
    (n,).
    """

    threshold: float
    clean: np.ndarray
    keys: np.ndarray


def scored(detectors, aside, clean, keys):
    """The scores that every panel here reads: {detector: {"aside" | "clean" | β: float (n,)}}.

    detectors: {name: score}, functions of `filters.detectors`. aside, clean: Bob's images to set
    thresholds on, and others to judge them by, (n, height, width, channels) in [0, 1]. keys: {β:
    images}.
    """
    found, sets = {}, {"aside": aside, "clean": clean, **keys}
    for name, score in detectors.items():
        found[name] = {group: score(images) for group, images in sets.items()}
    return found


def flagged(scores, beta, alarms):
    """The Flags of a threshold for at most `alarms` of the images set aside; scores: those of one
    detector, of `scored`.
    """
    threshold = Detector(lambda images: scores["aside"], scores["aside"], alarms).threshold
    return Flags(threshold, scores["clean"] > threshold, scores[beta] > threshold)


def _choice(value, values, text, name="{:g}".format):
    """A slider over the given values."""
    options = [(name(each), each) for each in values]
    return widgets.SelectionSlider(options=options, value=value, description=text, **WIDE)


def _buttons(options, text):
    """A row of buttons to choose from."""
    auto = dict(button_width="auto")
    return widgets.ToggleButtons(options=list(options), description=text, style=auto)


def _controls(scores):
    betas = [group for group in next(iter(scores.values())) if group not in ("aside", "clean")]
    return {
        "beta": _choice(betas[-2], betas, "β, strength of the keys"),
        "alarms": _choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
        "detector": _buttons(scores, "detector"),
    }


def watch(scores):
    """Panel: the scores of clean images and keys with Bob's threshold, beside the ROC of every
    detector.

    scores: of `scored`. Its `result` has threshold, false and found (shares of clean images and of
    keys flagged) and areas, {detector: area below its ROC}.
    """

    @functools.cache
    def curves(beta):
        """The ROC of every detector, {name: (false alarms, detections, area)}."""
        return {name: roc(of["clean"], of[beta]) for name, of in scores.items()}

    @functools.cache
    def flags(detector, beta, alarms):
        return flagged(scores[detector], beta, alarms)

    @functools.cache
    def drawn_bars(detector, beta):
        return list(bars(scores[detector]["clean"], scores[detector][beta]))

    def picture(beta, alarms, detector):
        threshold, clean, keys = flags(detector, beta, alarms)
        false, found = float(clean.mean()), float(keys.mean())
        area_of, traces = {}, [*drawn_bars(detector, beta)]
        x, top = np.full(2, threshold), max(trace["y"].max() for trace in traces)
        traces.append(figures.points(x, np.array([0, top]), "threshold", EDGE, mode="lines"))
        for look, (name, curve) in zip(LOOKS, curves(beta).items(), strict=False):
            alarmed, detected, area_of[name] = curve
            traces.append(figures.points(alarmed, detected, name, look, 2, mode="lines"))
        traces.append(_here(false, found, "at the threshold", plot=2))
        figure = figures.figure(traces, 480, **_axes_of_watch(area_of))
        aside = len(scores[detector]["aside"])
        said = (
            f"β = {beta:g}, <b>{detector}</b>: area {area_of[detector]:.3f}. A threshold for at "
            f"most {alarms:.1%} of Bob's {aside} images flags {found:.1%} of the keys and "
            f"{false:.1%} of {len(clean)} other clean images."
        )
        return figure, said, dict(threshold=threshold, false=false, found=found, areas=area_of)

    return Panel(picture, first=1, **_controls(scores))


def _here(x, y, name, plot=1):
    """A trace of one ring."""
    marker = dict(color=figures.BLACK, symbol="circle-open", size=14, line=dict(width=3))
    x, y = np.array([x], float), np.array([y], float)
    return figures.points(x, y, name, HERE, plot, "markers", marker=marker)


def bars(clean, keys):
    """The traces of a histogram of scores in `BINS` bins from the least of all to the largest:
    shares of clean images and of keys.
    """
    edges = np.histogram_bin_edges(np.concatenate([clean, keys]), BINS)
    middles, width = (edges[:-1] + edges[1:]) / 2, np.diff(edges)
    looks = {"clean images": ("unmarked", ""), "keys": ("new label", "/")}
    for (name, (look, shape)), scores in zip(looks.items(), (clean, keys), strict=True):
        marker = dict(color=figures.COLOURS[look], pattern=dict(shape=shape))
        share = np.histogram(scores, edges)[0] / len(scores)
        drawn = dict(type="bar", x=middles, y=share, width=width, name=name, marker=marker)
        yield drawn | dict(opacity=0.65) | figures.at(1)


def _axes_of_watch(area_of):
    """The layout of `watch`; area_of: {detector: area below its ROC}."""
    share = dict(tickformat=".0%", range=[-0.02, 1.02])
    each = {
        1: {"x": dict(title="score"), "y": dict(title="share of images", tickformat=".0%")},
        2: {
            "x": share | dict(title="false alarms:<br>clean images flagged"),
            "y": share | dict(title="keys flagged", side="right"),
        },
    }
    titles = ["scores of the chosen detector", "ROC of all"]
    layout = figures.plots(titles, gap=0.1, widths=[0.55, 0.45], each=each, shared_y=False)
    text = "<br>".join(f"{name}: area {area:.3f}" for name, area in area_of.items())
    corner = dict(xref="x2", yref="y2", xanchor="right", yanchor="bottom", align="right")
    layout["annotations"].append(
        figures.note(text, 0.97, 0.05, bgcolor="rgba(255,255,255,0.8)", **corner)
    )
    return layout | dict(barmode="overlay", bargap=0, margin=dict(b=130, t=64))


def areas(found):
    """Figure: area below the ROC over β, a line each detector.

    found: {name: areas in [0, 1], one for each of `BETAS`}.
    """
    traces = [
        figures.points(BETAS, found[name], name, look)
        for name, look in zip(found, LOOKS, strict=False)
    ]
    layout = dict(
        xaxis=_log("β, strength of the keys", BETAS),
        yaxis=dict(title="area below the ROC", range=[0.42, 1.03]),
        shapes=[figures.level(0.5)],
        annotations=[figures.note("guessing", 1, 0.5, xref="x domain", yref="y", xanchor="right")],
    )
    return figures.figure(traces, 420, margin=dict(t=20, b=130), **layout)


def _log(title, values, name="{:g}".format):
    """A logarithmic axis with a tick at each of the values."""
    return dict(
        title=title, type="log", tickvals=list(values), ticktext=[name(value) for value in values]
    )


def precision(found, false, rate):
    """Share of the flagged queries that are keys: TPR·π/(TPR·π + FPR·(1-π)); NaN where nothing is
    flagged.

    found, false: shares of keys and of clean images flagged. rate: share π of queries that are
    keys; all in [0, 1], or arrays.
    """
    keys, others = np.multiply(found, rate), np.multiply(false, np.subtract(1, rate))
    with np.errstate(invalid="ignore"):
        return keys / (keys + others)


class Rates(typing.NamedTuple):
    """Shares of keys (found) and of clean images (false) that a detector flags; low and high are
    the ends of the 95 % interval for the false alarms.
    """

    found: float
    false: float
    low: float
    high: float


def rates_of(scores, alarms, beta):
    """The Rates of every detector, {name: Rates}; scores: of `scored`."""
    rates = {}
    for name, of in scores.items():
        flags = flagged(of, beta, alarms)
        ends = stats.clopper_pearson(int(flags.clean.sum()), len(flags.clean))
        rates[name] = Rates(float(flags.keys.mean()), float(flags.clean.mean()), *ends)
    return rates


def one_in(rate):
    """A small share in words."""
    return f"1 in {1 / rate:,.0f}"


def rare(scores):
    """Panel: precision over the share of queries that are keys, a line each detector, a band for
    what is not known of one.

    scores: of `scored`. Its `result` is what `rates_of` returns.
    """
    grid = np.geomspace(min(RATES), max(RATES), 61)
    clean = len(next(iter(scores.values()))["clean"])

    @functools.cache
    def rates_at(alarms, beta):
        return rates_of(scores, alarms, beta)

    def picture(rate, beta, alarms, detector):
        rates = rates_at(alarms, beta)
        at = rates[detector]
        worst, best = (precision(at.found, end, grid) for end in (at.high, at.low))
        band = dict(
            type="scatter",
            x=np.r_[grid, grid[::-1]],
            y=np.r_[worst, best[::-1]],
            name=f"what {clean} clean images leave open",
            mode="lines",
            fill="toself",
            line=dict(width=0),
            fillcolor=figures.COLOURS["grey"],
            opacity=0.3,
            hoverinfo="skip",
        )
        lines = [
            figures.points(grid, precision(of.found, of.false, grid), name, look, mode="lines")
            for look, (name, of) in zip(LOOKS, rates.items(), strict=False)
        ]
        here = _here(rate, precision(at.found, at.false, rate), "here")
        y = dict(
            title="precision: flagged<br>queries that are keys",
            tickformat=".0%",
            range=[-0.03, 1.05],
        )
        layout = dict(xaxis=_log("queries that are keys", RATES, one_in), yaxis=y)
        figure = figures.figure([band, *lines, here], 460, margin=dict(t=20, b=120), **layout)
        return figure, f"<b>{detector}</b>, β = {beta:g}: {worth(at, rate)}", rates

    rate = _choice(0.01, RATES, "queries that are keys", one_in)
    return Panel(picture, first=1, rate=rate, **_controls(scores))


def worth(at, rate):
    """What a flag is worth, in words; at: Rates. rate: share of queries that are keys."""
    asked = max(10_000, round(1 / rate))
    keys, others = asked * rate * at.found, asked * (1 - rate) * at.false
    says = "nothing is flagged"
    if at.found or at.false:
        right, low, high = (
            precision(at.found, false, rate) for false in (at.false, at.high, at.low)
        )
        says = f"a flag is right in {right:.1%} of cases [{low:.1%}, {high:.1%}]"
    return (
        f"of {asked:,} queries {asked * rate:,.0f} are keys; Bob flags {keys:,.1f} of them and "
        f"{others:,.0f} clean images: {says}."
    )


def asked(scores, hits, detector, alarms, keys):
    """What Alice meets at each β behind a detector that refuses, a table by β.

    Columns: hit and answered (shares of the keys), both, chance (of a first hit within so many
    keys) and mean (number of queries up to it or to the last, refused ones counted).
    scores: of `scored`. hits: {β: bool (n,)}, whether the model, unguarded, gives each of the same
    keys its label.
    """
    rows = {}
    for beta, hit in hits.items():
        refused = flagged(scores[detector], beta, alarms).keys
        both = float(np.mean(hit & ~refused))
        rows[beta] = {
            "hit": hit.mean(),
            "answered": 1 - refused.mean(),
            "both": both,
            "chance": 1 - (1 - both) ** keys,
            "mean": queries.expected(both, keys),
        }
    return pd.DataFrame(rows).T.rename_axis("beta")


ASKED = {  # columns of `asked`: the plot, name and look of their lines
    "answered": (1, "is answered", dict(color=figures.COLOURS["grey"], dash="dash")),
    "hit": (1, "would hit, were it answered", dict(color=figures.COLOURS["new label"], dash="dot")),
    "both": (1, "is answered and hits", dict(color=figures.COLOURS["unmarked"], dash="solid")),
    "chance": (2, "one of them hits", dict(color=figures.COLOURS["wrong label"], dash="solid")),
}


def ask(scores, hits):
    """Panel: how strong should the keys be that Alice asks with, if Bob refuses what he finds?

    scores, hits: as in `asked`, which gives its `result`.
    """
    betas = list(hits)

    @functools.cache
    def table_at(detector, alarms, keys):
        return asked(scores, hits, detector, alarms, keys)

    def picture(alarms, detector, keys):
        table, traces = table_at(detector, alarms, keys), []
        for column, (plot, name, look) in ASKED.items():
            look = look | dict(symbol="circle")
            traces.append(figures.points(betas, table[column].to_numpy(), name, look, plot))
        axes = figures.plots(
            ["one key", "all keys of a trial"],
            gap=0.1,
            shared_y=False,
            x=_log("β of the keys<br>that Alice asks with", betas) | dict(tickangle=-60),
            y=dict(tickformat=".0%", range=[-0.03, 1.05]),
            each={1: {"y": dict(title="probability")}, 2: {"y": dict(side="right")}},
        )
        figure = figures.figure(traces, 440, margin=dict(b=130, t=40), **axes)
        said = f"<b>{detector}</b>, at most {alarms:.1%} false alarms: {best_keys(table, keys)}"
        return figure, said, table

    return Panel(
        picture,
        first=1,
        alarms=_choice(0.01, ALARMS, "false alarms Bob can bear", "{:.1%}".format),
        detector=_buttons(scores, "detector"),
        keys=widgets.IntSlider(LIMIT, min=1, max=200, description="|K|, most keys", **WIDE),
    )


def best_keys(table, keys):
    """Which keys Alice should ask with, in words; table: of `asked`."""
    beta = table.both.idxmax()
    best = table.loc[beta]
    if not best.both:
        return "no key of any strength is both answered and hits. Alice has no proof here."
    return (
        f"Alice's best keys have β = {beta:g}: {best.answered:.1%} are answered, {best.both:.1%} "
        f"answered and hits; {keys} of them prove the mark with {best.chance:.1%}, at "
        f"{best['mean']:.1f} queries on average."
    )


def named(attack, strength):
    """A filter in words: "JPEG, quality 10"."""
    return attack if np.isnan(strength) else f"{attack}, {FILTERS[attack]} {strength:g}"


def settings_of(table):
    """The filters in a table of attacks: a list of (attack, strength, rows)."""
    rows = table[table.attack.isin(list(FILTERS))]
    by = rows.groupby(["attack", "strength"], dropna=False, sort=False)
    return [(attack, strength, each) for (attack, strength), each in by]


def within(table, loss):
    """The filters that cost at most `loss` points on average, least key accuracy first: a list of
    (name, rows).
    """
    cheap = [
        (named(attack, strength), rows)
        for attack, strength, rows in settings_of(table)
        if rows.lost.mean() <= loss
    ]
    return sorted(cheap, key=lambda each: each[1].fresh_key_accuracy.mean())


def families(table):
    """The filters in a table of attacks on one mark, for the trade-off map: a list of
    figures.Family, with 95 % intervals where every strength has six networks or more.
    """
    found = []
    for name, look in zip(FILTERS, LOOKS, strict=True):
        every = [
            (strength, rows) for attack, strength, rows in settings_of(table) if attack == name
        ]
        if not every:
            continue
        columns = ("lost", "fresh_key_accuracy")
        lost, kept = (
            np.array([stats.interval(rows[column]) for _, rows in every]).T for column in columns
        )
        enough = all(len(rows) >= stats.FEW for _, rows in every)
        runs = pd.concat([rows for _, rows in every])
        labels = [
            f"{named(name, strength)}: {cost:.1f} points, {left:.1%} of keys hit"
            for (strength, _), cost, left in zip(every, lost[0], kept[0], strict=True)
        ]
        more = dict(
            labels=labels,
            texts=["" if np.isnan(strength) else f"{strength:g}" for strength, _ in every],
            runs=(runs.lost, runs.fresh_key_accuracy),
            spans=(*lost[1:], *kept[1:]) if enough else None,
            joined=True,
            side=SIDES.get(name, "middle right"),
        )
        found.append(figures.Family(name, look["color"], look["symbol"], lost[0], kept[0], **more))
    return found


def filtered(tables):
    """Panel: every filter on record, clean accuracy lost against key accuracy left, and the loss
    that Bob can bear, a line to drag.

    tables: {title: table of `attack_tables`}. Small dots are networks, large ones the means of a
    strength. Its `result` is what `within` returns.
    """
    marks = [
        mark for mark in MARKS if any((table.scheme == mark).any() for table in tables.values())
    ]
    most = 20  # points; filters that cost more stand at the end of the map

    @functools.cache
    def rows_of(title, mark):
        return tables[title][tables[title].scheme == mark]

    drawn = functools.cache(lambda title, mark: families(rows_of(title, mark)))
    cheap = functools.cache(lambda title, mark, loss: within(rows_of(title, mark), loss))

    def picture(loss, mark, of):
        look = dict(height=520, farthest=most, y_title="fresh keys that still hit")
        figure = figures.trade_off({mark: drawn(of, mark)}, loss, **look)
        found = cheap(of, mark, loss)
        return figure, sentence(found, loss), found

    return Panel(
        picture,
        first=1,
        dragged=figures.line_moves(most),
        loss=widgets.FloatSlider(
            2, min=0, max=most, step=0.5, description="points Bob can bear to lose", **WIDE
        ),
        mark=_buttons(marks, "mark"),
        of=_buttons(tables, "on record"),
    )


def sentence(cheap, loss):
    """What the filters within a loss leave of a mark, in words; cheap: of `within`."""
    if not cheap:
        return f"No filter on record costs {loss:g} points or less."
    name, best = cheap[0]
    marked, n = (best.decision == "marked").sum(), len(best)
    return (
        f"Within {loss:g} points: <b>{name}</b> leaves the fewest keys: "
        f"{stats.told(best.fresh_key_accuracy)} hit, at a loss of "
        f"{stats.told(best.lost, 'points')}; Ver with {LIMIT} keys still says “marked” for "
        f"{marked} of {n} network{'' if n == 1 else 's'}."
    )


def bill(table, mark):
    """What every filter costs Bob and what it leaves of one mark (of MARKS), a row each.

    table: of `attack_tables`. Means over the networks on record, with 95 % intervals from six of
    them on.
    """
    of, rows = table[table.scheme == mark], {}
    none = ("no filter", np.nan, of[of.attack == UNTOUCHED])
    for attack, strength, each in [none, *settings_of(of)]:
        rows[named(attack, strength)] = {
            "networks": len(each),
            "clean accuracy lost": stats.told(each.lost, "points"),
            "keys that hit": stats.told(each.fresh_key_accuracy),
            "mean queries of Ver": f"{each.queries.mean():.1f}",
            "Ver says marked": f"{(each.decision == 'marked').sum()} of {len(each)}",
            "clean images with the key label": f"{each.key_label_rate_clean.mean():.1%}",
        }
    return pd.DataFrame(rows).T.rename_axis(f"{mark}, filter")


def _threshold(answer, scores, share):
    answer, scores = float(answer), np.asarray(scores)
    if math.isnan(answer):
        return False, "Hand in one number, a score."
    allowed = math.floor(share * len(scores) + 1e-9)
    above = int((scores > answer).sum())
    most = int((scores > np.sort(scores)[-1 - allowed]).sum())  # with ties, fewer than allowed
    if above > allowed:
        return False, (
            f"It flags {above} of {len(scores)} clean images, and Bob can bear {allowed}. Raise it."
        )
    if above < most:
        return False, (
            f"It flags {above} of {len(scores)}. Bob can bear {allowed}, and each step up lets "
            "keys pass: sort the scores and count from the end."
        )
    bound = 1 - 0.05 ** (1 / len(scores))
    return True, (
        f"{above} of {len(scores)} lie above it. That is what happened to these images; even 0 of "
        f"{len(scores)} would only say: below {bound:.1%}, with 95 %."
    )


def _precision(answer):
    right = precision(1, 0.01, 1e-4)
    if math.isclose(answer, right, rel_tol=2e-2):
        return True, (
            "1 key and 100 clean images: 99 of 100 refusals hit a customer, although the detector "
            "misses nothing."
        )
    if math.isclose(answer, 0.99, abs_tol=5e-3):
        return False, (
            "99 % of clean images pass, but that is not asked. (If you mean 0.99 percent: hand in "
            "a share.) Take 10,000 queries: who is flagged?"
        )
    return False, (
        "Take 10,000 queries. How many keys are flagged, how many clean images? Divide the number "
        "of keys by the sum of both."
    )


def _queries(answer):
    if math.isclose(answer, 1 / 0.18, rel_tol=1e-2):
        return True, (
            "A query hits with 0.2 · 0.9 = 0.18, so the first hit takes 1/0.18 = 5.6 on average: "
            "refusal costs time."
        )
    if math.isclose(answer, 1 / 0.9, rel_tol=1e-2):
        return False, "That counts the answered ones alone. Refused queries are paid for too."
    if math.isclose(answer, 1 / 0.72, rel_tol=1e-2):
        return False, (
            "You took 80 % for the share that is answered; it is the share that is refused."
        )
    return False, (
        "With which probability is a query both answered and a hit? The mean number up to the "
        "first is one over that."
    )


CHECKS = {"09.1": _threshold, "09.2": _precision, "09.3": _queries}
