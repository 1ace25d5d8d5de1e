"""Lesson 09, evasion: detectors of keys over β, what a flag is worth where keys are rare, keys in
front of a service that refuses, and what filters cost and leave, on record.
"""

import functools
import math
import typing

import numpy as np
import pandas as pd

from wmlab import queries, stats
from wmlab.attack_tables import DECOYS, UNTOUCHED
from wmlab.filters.detectors import Detector, roc
from wmlab.show import figures
from wmlab.show.answers import number
from wmlab.show.controls import buttons, choice, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.show.tables import with_numbers

BETAS = (1e-6, 3e-6, 1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3.5e-3, 1e-2, 3e-2)
# shares of clean images that Bob can bear to see called keys
ALARMS = (0.001, 0.004, 0.01, 0.02, 0.05, 0.1, 0.2)
RATES = (0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-5)  # shares of queries that are keys
LIMIT = 40  # keys that Ver asks on record, at most
MARKS = ("new label", "wrong label", DECOYS)
FILTERS = {  # those on record, and what their strength is called
    "JPEG": "quality",
    "median": "size",
    "bit depth": "bits",
    "noise on queries": "variance",
    "random answers to noisy images": None,
}
# where their strengths stand in the map, if there is room
SIDES = {"median": "bottom center", "bit depth": "middle left", "noise on queries": "bottom center"}
LOOKS = (*figures.SPARE, figures.looks(["unmarked"])["unmarked"])
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
    sets = {"aside": aside, "clean": clean, **keys}
    return {
        name: {group: score(images) for group, images in sets.items()}
        for name, score in detectors.items()
    }


def flagged(scores, beta, alarms):
    """The Flags of a threshold for at most `alarms` of the images set aside; scores: those of one
    detector, of `scored`.
    """
    threshold = Detector(lambda images: scores["aside"], scores["aside"], alarms).threshold
    return Flags(threshold, scores["clean"] > threshold, scores[beta] > threshold)


def power_of_ten(value):
    """A tick: 10⁻³ for 0.001, nothing for what lies between two powers of ten."""
    digits, exponent = f"{value:e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if float(digits) == 1 else ""


def _alarms():
    return choice(ALARMS, "false alarms Bob can bear", 0.01, "{:.1%}".format)


def _controls(scores):
    betas = [group for group in next(iter(scores.values())) if group not in ("aside", "clean")]
    beta = choice(betas, "β, strength of the keys", betas[-2])
    return dict(beta=beta, alarms=_alarms(), detector=buttons(scores, "detector"))


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

    flags = functools.cache(lambda name, *settings: flagged(scores[name], *settings))
    bars = functools.cache(lambda name, beta: _bars(scores[name]["clean"], scores[name][beta]))

    def picture(beta, alarms, detector):
        threshold, clean, keys = flags(detector, beta, alarms)
        false, found = float(clean.mean()), float(keys.mean())
        area_of, traces = {}, [*bars(detector, beta)]
        top = max(trace["y"].max() for trace in traces)
        ends = np.full(2, threshold), np.array([0, top])
        traces.append(figures.points(*ends, "threshold", EDGE, mode="lines"))
        for look, (name, curve) in zip(LOOKS, curves(beta).items(), strict=False):
            *curve, area_of[name] = curve
            told = f"{name}: area {area_of[name]:.3f}"
            traces.append(figures.points(*curve, told, look, 2, mode="lines"))
        traces.append(figures.ring([false], [found], "at the threshold", 2))
        figure = figures.figure(traces, 500, **_axes_of_watch())
        said = (
            f"β = {beta:g}, <b>{detector}</b>: area {area_of[detector]:.3f}. A threshold for at "
            f"most {alarms:.1%} of Bob's {len(scores[detector]['aside'])} images flags "
            f"{found:.1%} of the keys and {false:.1%} of {len(clean)} other clean images."
        )
        return figure, said, dict(threshold=threshold, false=false, found=found, areas=area_of)

    return Panel(picture, first=1, **_controls(scores))


def _bars(clean, keys):
    """The traces of a histogram of scores in 40 bins from the least of all to the largest: shares
    of clean images and of keys.
    """
    edges = np.histogram_bin_edges(np.concatenate([clean, keys]), 40)
    more = dict(width=np.diff(edges), opacity=0.65)
    traces = []
    for name, scores, look, shape in (
        ("clean images", clean, "unmarked", ""),
        ("keys", keys, "new label", "/"),
    ):
        share = np.histogram(scores, edges)[0] / len(scores)
        bars = ((edges[:-1] + edges[1:]) / 2, share, name, figures.COLOURS[look], shape)
        traces.append(figures.column(*bars, **more))
    return traces


def _axes_of_watch():
    """The layout of `watch`."""
    share = dict(tickformat=".0%", range=[-0.02, 1.02])
    false = share | dict(title="false alarms:<br>clean images flagged")
    found = share | dict(title="keys flagged", side="right")
    each = {
        1: {"x": dict(title="score"), "y": dict(title="share of images", tickformat=".0%")},
        2: {"x": false, "y": found},
    }
    titles = ["scores of the chosen detector", "ROC of all"]
    layout = figures.plots(titles, gap=0.1, widths=[0.45, 0.55], each=each, shared_y=False)
    return layout | dict(barmode="overlay", bargap=0, margin=dict(b=150, t=64))


def areas(found):
    """Figure: area below the ROC over β, a line each detector.

    found: {name: areas in [0, 1], one for each of `BETAS`}.
    """
    lines = zip(found.items(), LOOKS, strict=False)
    return figures.figure(
        [figures.points(BETAS, values, name, look) for (name, values), look in lines],
        420,
        margin=dict(t=20, b=130),
        xaxis=figures.log_axis(BETAS, "β, strength of the keys", power_of_ten),
        yaxis=dict(title="area below the ROC", range=[0.42, 1.03]),
        shapes=[figures.level(0.5)],
        annotations=[figures.note("guessing", 1, 0.5, xref="x domain", yref="y", xanchor="right")],
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
        _, clean, keys = flagged(of, beta, alarms)
        ends = stats.clopper_pearson(int(clean.sum()), len(clean))
        rates[name] = Rates(float(keys.mean()), float(clean.mean()), *ends)
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
    rates_at = functools.cache(functools.partial(rates_of, scores))

    def picture(rate, beta, alarms, detector):
        rates = rates_at(alarms, beta)
        at = rates[detector]
        ends = (precision(at.found, end, grid) for end in (at.high, at.low))
        name, more = f"what {clean} clean images leave open", dict(opacity=0.3, showlegend=True)
        traces = [figures.band(grid, *ends, name, figures.COLOURS["grey"], **more)]
        for look, (name, of) in zip(LOOKS, rates.items(), strict=False):
            curve = precision(of.found, of.false, grid)
            traces.append(figures.points(grid, curve, name, look, mode="lines"))
        here = precision(at.found, at.false, rate)
        traces.append(figures.ring(np.array([rate]), np.array([here]), "here"))
        x = figures.log_axis(RATES, "share of queries that are keys", power_of_ten)
        y = dict(tickformat=".0%", range=[-0.03, 1.05])
        y["title"] = "precision: flagged<br>queries that are keys"
        figure = figures.figure(traces, 460, margin=dict(t=20, b=120), xaxis=x, yaxis=y)
        return figure, f"<b>{detector}</b>, β = {beta:g}: {worth(at, rate)}", rates

    rate = choice(RATES, "queries that are keys", 0.01, one_in)
    return Panel(picture, first=1, rate=rate, **_controls(scores))


def worth(at, rate):
    """What a flag is worth, in words; at: Rates. rate: share of queries that are keys."""
    asked = max(10_000, round(1 / rate))
    keys, others = asked * rate * at.found, asked * (1 - rate) * at.false
    says = "nothing is flagged"
    if at.found or at.false:
        right, low, high = (precision(at.found, end, rate) for end in (at.false, at.high, at.low))
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
        answered = ~flagged(scores[detector], beta, alarms).keys
        both = float(np.mean(hit & answered))
        proof = {"chance": 1 - (1 - both) ** keys, "mean": queries.expected(both, keys)}
        rows[beta] = {"hit": hit.mean(), "answered": answered.mean(), "both": both} | proof
    return pd.DataFrame(rows).T.rename_axis("beta")


ASKED = {  # columns of `asked`: the plot, name, colour and dash of their lines
    "answered": (1, "is answered", "grey", "dash"),
    "hit": (1, "would hit, were it answered", "new label", "dot"),
    "both": (1, "is answered and hits", "unmarked", "solid"),
    "chance": (2, "one of them hits", "wrong label", "solid"),
}


def ask(scores, hits):
    """Panel: how strong should the keys be that Alice asks with, if Bob refuses what he finds?

    scores, hits: as in `asked`, which gives its `result`.
    """
    betas = list(hits)
    x = figures.log_axis(betas, "β of the keys<br>that Alice asks with", power_of_ten)
    y = dict(tickformat=".0%", range=[-0.03, 1.05])
    each = {1: {"y": dict(title="probability")}, 2: {"y": dict(side="right")}}
    titles = ["one key", "all keys of a trial"]
    axes = figures.plots(titles, gap=0.1, shared_y=False, x=x, y=y, each=each)
    table_at = functools.cache(functools.partial(asked, scores, hits))

    def picture(alarms, detector, keys):
        table, traces = table_at(detector, alarms, keys), []
        for column, (plot, name, colour, dash) in ASKED.items():
            look = dict(color=figures.COLOURS[colour], dash=dash, symbol="circle")
            traces.append(figures.points(betas, table[column].to_numpy(), name, look, plot))
        figure = figures.figure(traces, 440, margin=dict(b=130, t=40), **axes)
        said = f"<b>{detector}</b>, at most {alarms:.1%} false alarms: {best_keys(table, keys)}"
        return figure, said, table

    keys = slider(LIMIT, 1, 200, 1, "|K|, most keys")
    detector = buttons(scores, "detector")
    return Panel(picture, first=1, alarms=_alarms(), detector=detector, keys=keys)


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
    """The filters in a table of attacks: {(attack, strength): rows}."""
    rows = table[table.attack.isin(list(FILTERS))]
    return dict(iter(rows.groupby(["attack", "strength"], dropna=False, sort=False)))


def within(table, loss):
    """The filters that cost at most `loss` points on average, least key accuracy first: a list of
    (name, rows).
    """
    every = settings_of(table).items()
    cheap = [(named(*filter), rows) for filter, rows in every if rows.lost.mean() <= loss]
    return sorted(cheap, key=lambda each: each[1].fresh_key_accuracy.mean())


def families(table):
    """The filters in a table of attacks on one mark, for the trade-off map: a list of
    figures.Family, with 95 % intervals where every strength has six networks or more.
    """
    found = []
    for name, look in zip(FILTERS, LOOKS, strict=True):
        every = {key: rows for key, rows in settings_of(table).items() if key[0] == name}
        if not every:
            continue
        (lost, *lost_ends), (kept, *kept_ends) = (
            np.array([stats.interval(rows[column]) for rows in every.values()]).T
            for column in ("lost", "fresh_key_accuracy")
        )
        runs = pd.concat(every.values())
        more = dict(runs=(runs.lost, runs.fresh_key_accuracy), joined=True)
        more["labels"] = [
            f"{named(*key)}: {cost:.1f} points, {left:.1%} of keys hit"
            for key, cost, left in zip(every, lost, kept, strict=True)
        ]
        more["texts"] = ["" if np.isnan(strength) else f"{strength:g}" for _, strength in every]
        more["side"] = SIDES.get(name, "middle right")
        if min(map(len, every.values())) >= stats.FEW:
            more["spans"] = (*lost_ends, *kept_ends)
        found.append(figures.Family(name, look["color"], look["symbol"], lost, kept, **more))
    return found


def filtered(tables):
    """Panel: every filter on record, clean accuracy lost against key accuracy left, and the loss
    that Bob can bear, a line to drag.

    tables: {title: table of `attack_tables`}. Small dots are networks, large ones the means of a
    strength. Its `result` is what `within` returns.
    """
    known = set(pd.concat(tables.values()).scheme)
    marks = [mark for mark in MARKS if mark in known]
    most = 20  # points; filters that cost more stand at the end of the map

    def rows_of(title, mark):
        return tables[title][tables[title].scheme == mark]

    drawn = functools.cache(lambda *chosen: families(rows_of(*chosen)))
    cheap = functools.cache(lambda loss, *chosen: within(rows_of(*chosen), loss))

    def picture(loss, mark, of):
        look = dict(height=520, farthest=most, y_title="fresh keys that still hit")
        figure = figures.trade_off({mark: drawn(of, mark)}, loss, **look)
        found = cheap(loss, of, mark)
        return figure, sentence(found, loss), found

    return Panel(
        picture,
        first=1,
        dragged=figures.line_moves(most),
        loss=slider(2, 0, most, 0.5, "points Bob can bear to lose"),
        mark=buttons(marks, "mark"),
        of=buttons(tables, "on record"),
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
    none = {("no filter", np.nan): of[of.attack == UNTOUCHED]}
    for key, each in (none | settings_of(of)).items():
        rows[named(*key)] = {
            "networks": len(each),
            "clean accuracy lost": stats.told(each.lost, "points"),
            "keys that hit": stats.told(each.fresh_key_accuracy),
            "mean queries of Ver": f"{each.queries.mean():.1f}",
            "Ver says marked": f"{(each.decision == 'marked').sum()} of {len(each)}",
            "clean images with the key label": f"{each.key_label_rate_clean.mean():.1%}",
        }
    return pd.DataFrame(rows).T.rename_axis(f"{mark}, filter")


def proofs(runs):
    """What the keys that still hit are worth, as dots: the chance of a first hit within 40 and
    within 400 keys, a dot a network; the numbers are folded under it. runs: rows of one filter.
    """
    hit, traces = runs.fresh_key_accuracy.to_numpy(), []
    chances = {f"a hit within {keys}": 1 - (1 - hit) ** keys for keys in (40, 400)}
    for (name, chance), look in zip(chances.items(), figures.SPARE, strict=False):
        traces.append(figures.dots(hit, chance, name, look["color"], look["symbol"], size=10))
    x = dict(title="keys that hit", tickformat=".0%")
    y = figures.SHARE | dict(title="the mark is proved")
    figure = figures.figure(traces, 360, xaxis=x, yaxis=y, margin=dict(t=20, b=110))
    mean = [f"{each:.0f}" if np.isfinite(each) else "never" for each in queries.expected(hit)]
    columns = {"keys that hit": runs.fresh_key_accuracy.map("{:.1%}".format)}
    columns |= {"mean queries, no limit": mean}
    columns |= {name: [f"{each:.0%}" for each in chance] for name, chance in chances.items()}
    columns["Δ on clean images"] = runs.key_label_rate_clean.map("{:.1%}".format)
    return with_numbers(figure, pd.DataFrame(columns).set_index(runs.seed))


def bills(table):
    """What every filter leaves of each mark, and what it costs, as dots with 95 % intervals from
    six networks on; the numbers of `bill` are folded under it.
    """
    marks, traces, names = [mark for mark in MARKS if mark in set(table.scheme)], [], {}
    for shift, (mark, look) in enumerate(figures.looks(marks).items()):
        of = table[table.scheme == mark]
        none = {("no filter", np.nan): of[of.attack == UNTOUCHED]}
        rows = {named(*key): each for key, each in (none | settings_of(of)).items()}
        places = [names.setdefault(name, len(names)) + 0.25 * (shift - 1) for name in rows]
        for plot, column in enumerate(("fresh_key_accuracy", "lost"), 1):
            found = [stats.interval(each[column]) for each in rows.values()]
            mean, low, high = np.array(found).T
            if column == "fresh_key_accuracy":
                low, high = low.clip(0), high.clip(max=1)
            bars = dict(type="data", symmetric=False, array=high - mean, arrayminus=mean - low)
            drawn = (mean, places, mark, look["color"], look["symbol"], plot, 7)
            if min(map(len, rows.values())) < stats.FEW:
                bars = dict(visible=False)
            traces.append(figures.dots(*drawn, legend=plot == 1, error_x=bars))
    words = [figures.wrapped(name, 20) for name in names]
    y = dict(tickvals=[*names.values()], ticktext=words, autorange="reversed")
    y["tickfont"] = dict(size=12)
    x = {1: dict(title="keys that hit", tickformat=".0%", range=[-0.04, 1.04])}
    x[2] = dict(title="clean accuracy<br>lost, points")
    each = {plot: {"x": axis} for plot, axis in x.items()}
    axes = figures.plots(["what is left", "what it costs"], y=y, each=each, gap=0.06)
    numbers = pd.concat({mark: bill(table, mark) for mark in marks})
    margin = dict(l=150, b=110)
    return with_numbers(figures.figure(traces, 620, **axes, margin=margin), numbers)


# the questions of the notebook


def which_detector_is_sure(panel):
    """Weak keys; panel: of `watch`."""
    panel.set(beta=1e-4)
    return Question(
        "Keys of β = 0.0001, noise of two or three grey levels: which of these tells them from "
        "clean digits every time?",
        ["non-zero pixels", "the noise estimate", "the autoencoder", "none"],
        panel,
        answer="non-zero pixels",
        because="Its area is 1. Move β: the other curves sink towards the diagonal long before "
        "that one does.",
    )


def what_a_flag_is_worth(panel):
    """One key in 10,000 queries; panel: of `rare`."""
    panel.set(rate=1e-4, detector="noise estimate", beta=1e-2)
    return Question(
        "Bob sells 10,000 answers, one of them to a key of Alice's. He flags every key and 1 % of "
        "clean images. Of the queries he flags, how many are keys?",
        ["99 in 100", "about half", "one in a hundred"],
        panel,
        answer="one in a hundred",
        because="One key, and a hundred customers with a clean image.",
    )


def do_weaker_keys_prove_it(panel):
    """Keys behind a detector that refuses; panel: of `ask`."""
    panel.set(detector="noise estimate", alarms=0.01)
    return Question(
        "Bob refuses whatever the noise estimate flags, at 1 % false alarms. Do weaker keys prove "
        "the mark in 40 queries?",
        ["never", "at some β, nearly always", "the weaker, the better"],
        panel,
        answer="at some β, nearly always",
        because="Weak enough to be answered, strong enough to hit. Change the detector under “More "
        "controls”.",
    )


def which_filter_leaves_fewest(panel):
    """Filters within two points; panel: of `filtered`."""
    return Question(
        "Bob can bear to lose two points of accuracy on 4,000 digits. Which of these leaves Alice "
        "the fewest keys?",
        ["JPEG of quality 10", "a median of 3 × 3 pixels", "noise of his own"],
        panel,
        answer="a median of 3 × 3 pixels",
        because="Of these three; nothing to train, nothing to set. (Random answers to noisy images "
        "leave fewer, but they need a detector, and who asks twice sees them.)",
    )


def what_the_median_leaves_of_a_logo(measured):
    """One network with a logo; measured: {filter: {what: share}}."""
    left = measured["median of 3"]["Alice's keys that hit"]
    options = ["a few in a hundred", "about half or more", "all"]
    table = pd.DataFrame(measured).T.map("{:.1%}".format)
    words = "the logo behind each filter", "share of images"
    return Question(
        "The median left a few noise keys in a hundred. What does it leave of the keys with a "
        "logo?",
        options,
        lambda: with_numbers(figures.bars(measured, *words), table),
        answer=options[int(np.searchsorted([0.2, 0.97], left))],
        because=f"{left:.0%} of them still hit, in this one network.",
    )


# the checks of its exercises


def _flags_wrongly(flags, scores, share):
    """What is wrong with a detector that flags so many of the images set aside; None if nothing.

    flags: bool (n,), of images with the scores (n,).
    """
    allowed = math.floor(share * len(scores) + 1e-9)
    above, n = int(np.sum(flags)), len(scores)
    most = int((scores > np.sort(scores)[-1 - allowed]).sum())  # with ties, fewer than allowed
    if above > allowed:
        return (
            f"It flags {above} of {n} clean images, and Bob can bear {allowed}. Raise the "
            "threshold; an image that lies *on* it is not flagged."
        )
    if above < most:
        return (
            f"It flags {above} of {n}. Bob can bear {allowed}, and each step up lets keys pass: "
            "sort the scores and count from the end."
        )
    return None


def _images(scores):
    """Images whose only pixel is their score."""
    return np.asarray(scores, np.float32).reshape(-1, 1, 1, 1)


def _detector(answer):
    def score(images):
        return np.asarray(images)[:, 0, 0, 0]

    ten, tied = np.array([3, 0, 9, 5, 1, 8, 2, 7, 4, 6.0]), np.repeat([1.0, 2.0], 5)
    cases = (("ten images, share 0.2", ten, 0.2), ("ten images, share 0.05", ten, 0.05))
    cases += (("ten images with ties, share 0.2", tied, 0.2), ("share 0.5", ten, 0.5))
    for case, scores, share in cases:
        flags = answer(score, _images(scores), share)
        if not callable(flags):
            return False, "Return a function of images, `flags`, that says which are flagged."
        said = np.asarray(flags(_images(scores)))
        if said.shape != scores.shape or said.dtype != bool:
            return False, (
                f"For {len(scores)} images `flags` should return {len(scores)} truth values, an "
                f"array of bool; yours has shape {said.shape} and type {said.dtype}."
            )
        if wrong := _flags_wrongly(said, scores, share):
            return False, f"On {case}: {wrong}"
        wanted = said != (scores > np.sort(scores)[-1 - int(share * len(scores))])
        if wanted.any():
            return False, f"On {case}: keys have *high* scores, and it flags others."
    flags = answer(score, _images(ten), 0.2)  # the threshold lies at 7
    if not np.all(flags(_images([7.001, 7.5, 8, 30]))):
        return False, (
            "Two of ten may lie above: any image above 7, the third largest score, is flagged. "
            "Yours lets 7.001, 7.5, 8 or 30 pass: take the threshold from the images set aside "
            "alone, and as low as it may be."
        )
    if np.any(flags(_images([7, 6.9, 0]))):
        return False, "An image at 7 or below is not flagged, whoever else is asked about."
    return True, (
        "That is what happened to the images set aside. Of 250 of them even 0 flagged would only "
        f"say: below {1 - 0.05 ** (1 / 250):.1%} of all clean images, with 95 %."
    )


def _precision(answer, rarity=10_000):
    praise = (
        f"1 key and {rarity / 100:.0f} clean images: all refusals but one in "
        f"{rarity / 100 + 1:.0f} hit a customer, although the detector misses nothing."
    )
    passed = (
        "99 % of clean images pass, but that is not asked. (If you mean 0.99 percent: hand in "
        f"a share.) Take {rarity:,} queries: who is flagged?"
    )
    hint = (
        f"Take {rarity:,} queries. How many keys are flagged, how many clean images? Divide the "
        "number of keys by the sum of both."
    )
    return number(answer, precision(1, 0.01, 1 / rarity), praise, [(0.99, passed)], hint)


def _queries(answer):
    praise = (
        "A query hits with 0.2 · 0.9 = 0.18, so the first hit takes 1/0.18 = 5.6 on average: "
        "refusal costs time."
    )
    paid = "That counts the answered ones alone. Refused queries are paid for too."
    refused = "You took 80 % for the share that is answered; it is the share that is refused."
    hint = (
        "With which probability is a query both answered and a hit? The mean number up to the "
        "first is one over that."
    )
    return number(answer, 1 / 0.18, praise, [(1 / 0.9, paid), (1 / 0.72, refused)], hint)


CHECKS = {"09.1": _detector, "09.2": _precision, "09.3": _queries}
