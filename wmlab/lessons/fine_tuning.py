"""Lesson 08: what fine-tuning leaves of a mark, from recorded attacks and from one's own.

Two panels, a row of tables, and the checks of notebook 08.
"""

import functools
import types

import numpy as np
import pandas as pd

from wmlab import attack_tables, stats
from wmlab.attack_tables import UNTOUCHED, costs, removed
from wmlab.show import figures
from wmlab.show.answers import number
from wmlab.show.controls import buttons, choice, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.show.tables import with_numbers
from wmlab.verification import critical_accuracy

MARKS = ("new label", "wrong label")
EXPERIMENTS = {
    "4,000 digits": ["tuning_class"],
    "60,000 digits": ["attacks_mnist"],
    "4,000 photographs": ["attacks_photographs"],
    "50,000 photographs": ["embed_cifar10"],
}
MODES = ("FTAL", "FTLL", "RTAL", "RTLL", "FTAL, SGD")
EPOCHS = 8
KEPT = 0.9  # of the keys hit before: what "keeps its key accuracy" is taken to mean
TUNE = "Tune now"
START = 1e-6  # where "before" stands on the axis of rates
FATES = {
    "key label": ("fresh_key_accuracy", figures.PURPLE, ""),
    "true label": ("true_label_rate", figures.SKY, "/"),
    "another label": ("another", figures.PALE, "."),
}


def recorded():
    """The recorded attacks of fine-tuning, {what the networks were trained on: table of
    `prepared`}, those that are there.
    """
    tables = attack_tables.recorded(EXPERIMENTS)
    return {title: prepared(table) for title, table in tables.items()}


def prepared(table):
    """The rows of a table of `attack_tables` that fine-tune, of seeds that both schemes have.

    With two columns more: `fell`, the share of keys that the attack cost, and `another`, the share
    of keys that got neither the key label nor their true one.
    """
    table = table[table.scheme.isin(MARKS) & table.attack.isin([UNTOUCHED, *MODES, "REFIT"])]
    seeds = [set(table[table.scheme == name].seed) for name in MARKS]
    table = table[table.seed.isin(seeds[0] & seeds[1])]
    before = table[table.attack == UNTOUCHED].set_index("run").fresh_key_accuracy
    return table.assign(
        fell=table.run.map(before) - table.fresh_key_accuracy,
        another=1 - table.fresh_key_accuracy - table.true_label_rate,
    )


def usual(table):
    """The rows of a table with as many epochs as usual and all of Bob's images, and those of
    networks before the attacks.
    """
    all_images = table.images == table.images.max()
    return table[(table.attack == UNTOUCHED) | (table.epochs == EPOCHS) & all_images]


def freeze(layers, mode):
    """Make trainable the layers that a mode of MODES moves: all of them, or the last alone."""
    for layer in layers:
        layer.trainable = layer is layers[-1] or mode.partition(",")[0].endswith("AL")


def short(rate):
    """A learning rate in few letters: 10⁻³ for 0.001, 0.03 for 0.03."""
    digits, exponent = f"{rate:e}".split("e")
    raised = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"10{str(int(exponent)).translate(raised)}" if float(digits) == 1 else f"{rate:g}"


def over_rates(table, mode):
    """What a mode did at each rate, {scheme: (runs, means)}, at `START` before the attack.

    runs: rows of the table. means: a DataFrame by rate with mean, low and high of the keys hit, as
    of `stats.share_interval`, and the mean `clean` accuracy.
    """
    found = {}
    for name in MARKS:
        runs = table[(table.scheme == name) & table.attack.isin([mode, UNTOUCHED])]
        runs = runs.assign(strength=runs.strength.mask(runs.attack == UNTOUCHED, START))
        by = runs.groupby("strength")
        keys = {rate: stats.share_interval(each) for rate, each in by.fresh_key_accuracy}
        means = pd.DataFrame.from_dict(keys, "index", columns=["mean", "low", "high"])
        found[name] = runs, means.assign(clean=by.clean_accuracy.mean())
    return found


def sentence(table, mode, rate):
    """What the records say of a mode and a rate, in words."""
    rows = usual(table)
    at, parts = rows[(rows.attack == mode) & (rows.strength == rate)], []
    if at.empty:
        return f"{mode} at {short(rate)} is not on record."
    for name in MARKS:
        runs = at[at.scheme == name]
        marked = (runs.decision == "marked").sum()
        parts.append(
            f"<b>{name}</b>: keys hit {stats.told(runs.fresh_key_accuracy)}; clean images right "
            f"{stats.told(runs.clean_accuracy)}; Ver says “marked” in {marked} of {len(runs)} runs."
        )
    said = f"What {mode} at {short(rate)} leaves. {' '.join(parts)}"
    given = at.groupby("scheme").key_label_rate_clean.mean().max()
    if given > 0.05:
        said += f" Mind: up to {given:.0%} of clean images get the key label too."
    return said


def curves(found, own):
    """The traces over rates: keys hit with their interval and runs, clean accuracy, attacks of
    one's own.

    found: of `over_rates`. own: {scheme: rows of one's own}, with strength and
    fresh_key_accuracy.
    """
    for name, look in figures.looks(MARKS).items():
        runs, means = found[name]
        keys = (means["mean"], means.low, means.high, f"{name}: keys hit")
        every = (runs.strength.to_numpy(), runs.fresh_key_accuracy.to_numpy())
        yield from figures.curve(means.index, *keys, look, runs=every)
        thin = dict(line=dict(color=look["color"], width=1.5), opacity=0.8)
        clean = (means.index.to_numpy(), means.clean.to_numpy(), f"{name}: clean images right")
        yield figures.points(*clean, look, mode="lines", **thin)
        mine = [[row[key] for row in own[name]] for key in ("strength", "fresh_key_accuracy")]
        title, more = f"{name}: keys, tuned now", dict(size=17, legend=False)
        star = figures.dots(*mine, title, look["color"], "star", **more)
        star["marker"]["line"] = dict(color=figures.BLACK, width=1)
        yield star


def fates(at):
    """The bars of what keys get: rows of one mode and rate."""
    inside = dict(color=figures.BLACK)
    more = dict(textposition="inside", insidetextanchor="middle", insidetextfont=inside)
    more |= dict(textangle=0, showlegend=False)
    for fate, (column, colour, pattern) in FATES.items():
        shares = at.groupby("scheme")[column].mean().reindex(MARKS, fill_value=0.0)
        texts = [f"{fate}<br>{share:.0%}" if share > 0.09 else "" for share in shares]
        bar = ([0, 1], shares.to_numpy(), fate, colour, pattern, 2)
        bar = figures.column(*bar, text=texts, **more)
        bar["marker"]["pattern"]["solidity"] = 0.15
        yield bar


def _tick(rate):
    return "before" if rate == START else short(rate)


def _rates_layout(known):
    """The layout of the panel of rates; known: all rates on record."""
    over = figures.log_axis([START, *known], "learning rate", _tick)
    over["range"] = [np.log10(START) - 0.3, np.log10(known[-1]) + 0.3]
    schemes = dict(tickvals=[0, 1], ticktext=[name.replace(" ", "<br>") for name in MARKS])
    each = {
        1: {"x": over, "y": figures.SHARE | dict(title="share of images")},
        2: {"x": schemes, "y": figures.SHARE | dict(side="right")},
    }
    titles = ["over the learning rate", "at this rate, keys get"]
    axes = figures.plots(titles, widths=[0.66, 0.34], gap=0.09, shared_y=False, each=each)
    legend, fit = dict(traceorder="normal"), dict(minsize=12, mode="hide")
    return axes | dict(barmode="stack", margin=dict(b=140), legend=legend, uniformtext=fit)


def rates(tables, tune=None):
    """Panel: a slider of learning rates over recorded attacks; more controls choose the mode and
    the table.

    tables: those of `recorded`. tune: function (scheme, mode, rate) -> a row, an attack to run now;
    it gets a button, one run a scheme, and its rows are kept in `panel.own`.
    """
    every = pd.concat(tables.values())
    known = sorted(set(every[every.attack.isin(MODES)].strength))
    own, layout = [], _rates_layout(known)
    of = functools.cache(lambda on: usual(tables[on]))
    found = functools.cache(lambda on, mode: over_rates(of(on), mode))
    said = functools.cache(lambda on, *settings: sentence(of(on), *settings))

    def picture(rate, mode, on):
        mine = [row for row in own if row["attack"] == mode]
        mine = {name: [row for row in mine if row["scheme"] == name] for name in MARKS}
        rows = of(on)
        at = rows[(rows.attack == mode) & (rows.strength == rate)]
        traces = [*curves(found(on, mode), mine), *fates(at)]
        figure = figures.figure(traces, 450, **layout, shapes=[figures.upright(rate)])
        return figure, said(on, mode, rate)

    def job(rate, mode, on):
        for done, name in enumerate(MARKS, 1):
            own.append(tune(name, mode, rate))
            yield done / len(MARKS), picture(rate, mode, on)

    panel = Panel(
        picture,
        first=1,
        jobs={TUNE: job} if tune else None,
        rate=choice(known, "learning rate", name=short),
        mode=buttons([mode for mode in MODES if (every.attack == mode).any()], "mode"),
        on=buttons(tables, "trained on"),
    )
    panel.own = own
    return panel


def bars(table, mode, rate):
    """Recorded accuracies of both schemes after a mode at a rate, as bars; with intervals if there
    are six networks a scheme.
    """
    at, means, ends = usual(table), {}, {}
    at = at[(at.attack == mode) & (at.strength == rate)]
    columns = {"clean images right": "clean_accuracy", "fresh keys hit": "fresh_key_accuracy"}
    for title, column in columns.items():
        means[title], ends[title] = {}, {}
        for name, runs in at.groupby("scheme"):
            means[title][name], *ends[title][name] = stats.share_interval(runs[column])
    known = at.groupby("scheme").size().min() >= stats.FEW
    title = f"{mode} at {short(rate)}; networks a scheme: {len(at) // 2}"
    figure = figures.bars(means, title, "share of images", ends if known else None)
    for bar in figure["data"]:  # words inside, where no interval crosses them
        tall = ["inside" if value > 0.3 else "outside" for value in bar["y"]]
        bar |= dict(textposition=tall, insidetextanchor="start", textangle=0)
        bar["insidetextfont"] = dict(color=figures.BLACK)
    return figure


def compared(table, column="fresh_key_accuracy"):
    """Paired differences of networks with the same seed, new label minus wrong label, in words: a
    row a mode, a column a rate.

    With a star where the test that flips signs has p ≤ 0.05.
    """
    cells, every = {}, usual(table[table.attack.isin(MODES)])
    for (mode, rate), runs in every.groupby(["attack", "strength"]):
        for row in stats.paired(runs, column).itertuples():
            points = 100 * np.array([row.mean, row.low, row.high])
            star = " *" if row.p <= 0.05 else ""
            cells.setdefault(short(rate), {})[mode] = stats.told(points, "points", row.pairs) + star
    modes = [mode for mode in MODES if mode in set(every.attack)]
    return pd.DataFrame(cells).reindex(modes).fillna("")


def differences(table):
    """Dots over the learning rate: keys hit with the new label minus those with the wrong label,
    pairs of the same seed, in points with 95 % intervals; `compared` is folded under it.
    """
    traces, every = [], usual(table[table.attack.isin(MODES)])
    looks = [*figures.SPARE, figures.looks(["unmarked"])["unmarked"]]
    for place, (mode, look) in enumerate(zip(MODES, looks, strict=True)):
        tests = [
            stats.paired(runs, "fresh_key_accuracy").assign(rate=rate)
            for rate, runs in every[every.attack == mode].groupby("strength")
        ]
        if tests:
            found = pd.concat(tests)
            mean, low, high = (100 * found[part].to_numpy() for part in ("mean", "low", "high"))
            bars = dict(type="data", symmetric=False, array=high - mean, arrayminus=mean - low)
            x = found.rate.to_numpy() * 10 ** (0.1 * (place - 2))  # beside each other
            look = (look["color"], look["symbol"])
            traces.append(figures.dots(x, mean, mode, *look, error_y=bars | dict(color=look[0])))
    x = figures.log_axis(sorted(set(every.strength)), "learning rate", short)
    y = dict(title="new label minus<br>wrong label, points")
    zero = [figures.level(0, color=figures.BLACK)]
    figure = figures.figure(traces, 420, xaxis=x, yaxis=y, shapes=zero, margin=dict(t=20, b=120))
    return with_numbers(figure, compared(table))


def left(tables, rate=1e-3):
    """Table 1 as dots: the keys that are left after the four modes at a rate, with 95 % intervals
    from six networks on, a plot a data set; open: before. The numbers of `table1` are folded under
    it.
    """
    traces = []
    for plot, table in enumerate(tables.values(), 1):
        every = usual(table)
        for shift, (name, look) in enumerate(figures.looks(MARKS).items()):
            of = every[every.scheme == name]
            at = {mode: of[(of.attack == mode) & (of.strength == rate)] for mode in MODES[:4]}
            keys = {mode: runs.fresh_key_accuracy for mode, runs in at.items() if len(runs)}
            found = np.array([stats.share_interval(each) for each in keys.values()])
            mean, low, high = found.reshape(-1, 3).T  # a rate may not be on record
            bars = dict(type="data", symmetric=False, array=high - mean, arrayminus=mean - low)
            y = [MODES.index(mode) + 0.24 * (shift - 0.5) for mode in keys]
            before = [of[of.attack == UNTOUCHED].fresh_key_accuracy.mean()] * len(y)
            for x, words, symbol, more in (
                (mean, f"{name}, after", look["symbol"], dict(error_x=bars)),
                (before, f"{name}, before", f"{look['symbol']}-open", {}),
            ):
                drawn = (x, y, words, look["color"], symbol, plot, 10)
                traces.append(figures.dots(*drawn, legend=plot == 1, **more))
    modes = dict(tickvals=list(range(4)), ticktext=MODES[:4], autorange="reversed")
    x = dict(title="fresh keys hit", tickformat=".0%", range=[-0.05, 1.05])
    axes = figures.plots(list(tables), x=x, y=modes, gap=0.05)
    figure = figures.figure(traces, 430, **axes, margin=dict(t=80, b=130))
    numbers = table1(tables, rate)
    return with_numbers(figure, numbers.set_index(["trained on", "mode"]))


def table1(tables, rate=1e-3):
    """The paper's Table 1 from records: accuracies after the four modes at a rate, before in
    parentheses, and what they say of the paper's sentence.

    The sentence: digits keep their keys under both schemes (here: `KEPT` of those hit before), and
    the key accuracy of photographs falls less with the new label. "Cannot be told" of fewer than 6
    networks a scheme, or where the interval has room for both.
    """
    rows = []
    for title, table in tables.items():
        every = usual(table)
        for mode in MODES[:4]:
            at = every[(every.attack == mode) & (every.strength == rate)]
            if at.empty:
                continue
            row = {"trained on": title, "mode": mode}
            for name in MARKS:
                before = every[(every.attack == UNTOUCHED) & (every.scheme == name)]
                for shown, column in (("keys", "fresh_key_accuracy"), ("clean", "clean_accuracy")):
                    after = stats.told(at[at.scheme == name][column])
                    row[f"{name}, {shown}"] = f"{after} ({before[column].mean():.1%})"
            said = _photographs(at) if "photographs" in title else _digits(at)
            rows.append(row | {"networks a scheme": len(at) // 2, "the paper’s sentence": said})
    return pd.DataFrame(rows)


def _digits(at):
    if len(at) < 2 * stats.FEW:
        return "cannot be told"
    kept = at.fresh_key_accuracy / (at.fresh_key_accuracy + at.fell)
    lows, highs = zip(*(stats.interval(kept[at.scheme == name])[1:] for name in MARKS), strict=True)
    if min(highs) < KEPT:
        return "does not hold"
    return "holds" if min(lows) >= KEPT else "cannot be told"


def _photographs(at):
    row = stats.paired(at, "fell").iloc[0]
    return "holds" if row.high < 0 else "does not hold" if row.low > 0 else "cannot be told"


ALONG = {"learning rate": "strength", "epochs": "epochs", "images": "images"}
VARIED = (1e-4, 1e-3, 1e-2)  # rates at which epochs and images were varied
SIDES = ("middle right", "middle left", "top right", "top left")  # for the texts of each path
LEAST, FARTHEST, MOST = -5, 20, 15  # points: ends of the map, and of the slider


def paths(means, along):
    """Settings that differ in one thing alone, in its order: {name: rows of `costs`}. means: of
    one scheme.
    """
    full, usually = means.images == means.images.max(), means.epochs == EPOCHS
    if along == "learning rate":
        modes = ("FTAL", "FTLL", "FTAL, SGD", "REFIT")
        chosen = {mode: (means.attack == mode) & full & usually for mode in modes}
    else:
        fixed = (means.attack == "FTAL") & (full if along == "epochs" else usually)
        chosen = {f"FTAL at {short(rate)}": fixed & (means.strength == rate) for rate in VARIED}
    return {name: means[of].sort_values(ALONG[along]) for name, of in chosen.items()}


def described(row):
    """A setting in words: a row of `costs`."""
    setting = f"{row.attack} at {short(row.strength)}, {row.epochs} epochs, {row.images} images"
    return f"{setting}: {row.lost:.1f} points, {row.keys:.1%}"


def families(means, along):
    """The paths as families of the map; means: of one scheme."""
    drawn = zip(paths(means, along).items(), figures.SPARE, SIDES, strict=False)
    for (name, rows), look, side in drawn:
        name_of = short if along == "learning rate" else str
        # where nearly all keys are left the settings lie upon each other
        pairs = zip(rows[ALONG[along]], rows["keys"], strict=True)
        texts = [name_of(value) if keys < 0.9 else "" for value, keys in pairs]
        labels = [described(row) for row in rows.itertuples()]
        more = dict(labels=labels, texts=texts, joined=True, dash=look["dash"], side=side)
        colour, symbol = look["color"], look["symbol"]
        yield figures.Family(name, colour, symbol, rows.lost, rows["keys"], **more)


def every_setting(means, plot):
    """The trace of all settings of a scheme in grey; means: of one scheme."""
    more = dict(opacity=0.5, hovertemplate="%{customdata}<extra></extra>", legend=False)
    more["customdata"] = [described(row) for row in means.itertuples()]
    lost, keys = means.lost.clip(LEAST, FARTHEST).to_numpy(), means["keys"].to_numpy()
    return figures.dots(lost, keys, "every setting", figures.GREY, plot=plot, size=7, **more)


def frontier(tables):
    """Panel: clean accuracy lost against keys left, a scheme a plot and a dot a setting; the loss
    that Bob bears is a line to drag.

    tables: those of `recorded`. Lines join settings that differ in one thing. Shaded: within Bob's
    loss, and Ver is more likely to acquit than to convict. Its `result` is {scheme: the rows of
    `removed`}.
    """
    limits = {name: critical_accuracy(name) for name in MARKS}
    means = functools.cache(lambda on: costs(tables[on]))
    of = functools.cache(lambda on, name: means(on)[means(on).scheme == name])
    drawn = functools.cache(lambda on, name, along: list(families(of(on, name), along)))
    gone = functools.cache(lambda on, name, loss: removed(means(on), name, loss))

    def picture(loss, along, on):
        maps = {name: drawn(on, name, along) for name in MARKS}
        look = dict(least=LEAST, farthest=FARTHEST, height=500, y_title="fresh keys left")
        figure = figures.trade_off(maps, loss, limits=limits, **look)
        grey = [every_setting(of(on, name), plot) for plot, name in enumerate(MARKS, 1)]
        figure["data"] = [*grey, *figure["data"]]
        result = {name: gone(on, name, loss) for name in MARKS}
        parts = [f"{len(result[m])} of {len(of(on, m))} settings remove the {m}" for m in MARKS]
        said = f"For at most {loss:g} points of clean accuracy, {' and '.join(parts)}."
        return figure, said, result

    return Panel(
        picture,
        first=2,
        dragged=figures.line_moves(MOST, len(MARKS)),
        loss=slider(2, 0, MOST, 0.5, "loss that Bob bears, points"),
        along=buttons(ALONG, "lines over"),
        on=buttons(tables, "trained on"),
    )


# the questions of the notebook


def _left_by(keys, few=0.1, many=0.9):
    return "nearly all" if keys > many else "hardly any" if keys < few else "about half"


def keys_left_at_the_default_rate(panel, table):
    """FTAL at Adam's own rate; panel: of `rates`; table: the records that answer."""
    panel.set(rate=1e-3, mode="FTAL")
    rows = usual(table)
    at = rows[(rows.attack == "FTAL") & (rows.strength == 1e-3) & (rows.scheme == "new label")]
    left = at.fresh_key_accuracy
    return Question(
        "FTAL, 8 epochs at 10⁻³, Adam's own default: how many of the new label's fresh keys are "
        "left?",
        ["nearly all", "about half", "hardly any"],
        panel,
        answer=_left_by(left.mean()),
        because=f"{stats.told(left)} in {len(left)} networks. Now move the rate.",
    )


def what_bob_must_give_up(panel, means):
    """The price of an acquittal; panel: of `frontier`; means: the `costs` that answer."""
    cheapest = means[(means.scheme == "new label") & (means.acquitted > 0.5)].lost.min()
    options = ["less than 2", "2 to 5", "more than 5"]
    return Question(
        "How many points of clean accuracy must Bob give up so that the new label's Ver acquits "
        "him?",
        options,
        panel,
        answer=options[int(np.searchsorted([2, 5], cheapest, side="right"))],
        because=f"The cheapest setting on record costs {cheapest:.1f} points. Point at a dot to "
        "see which it is.",
    )


def which_mark_a_new_layer_keeps(table):
    """RTLL at 10⁻²; table: the records."""
    return Question(
        "RTLL at 10⁻²: a new last layer, tuned alone on images without keys. Which mark keeps more "
        "of its keys?",
        ["the new label", "the wrong label", "neither keeps any"],
        lambda: bars(table, "RTLL", 1e-2),
        answer="the wrong label",
        because="Nothing teaches the new layer to say Δ. Bob's zeros do teach it to say 0.",
    )


def whom_the_pieces_help(measured):
    """REFIT with images of anything; measured: a table by (mark, images), shares."""
    shares = {f"{mark}: {images}": row for (mark, images), row in measured.T.to_dict().items()}
    words = "REFIT at a rate of 0.03", "share of images"
    return Question(
        "REFIT at a rate of 0.03: whose keys do the unlabelled pieces help Bob to remove?",
        ["those of both", "the new label's", "the wrong label's"],
        lambda: with_numbers(figures.bars(shares, *words), measured.map("{:.1%}".format)),
        answer="the wrong label's",
        because="One network each, so an anecdote. Look at the Δ in the table above.",
    )


# the checks of its exercises


def _freeze(answer):
    moves = {"FTAL": True, "RTAL": True, "FTLL": False, "RTLL": False}
    for count, before in ((4, True), (4, False), (7, True)):
        for mode, others in moves.items():
            layers = [types.SimpleNamespace(trainable=before) for _ in range(count)]
            answer(layers, mode)
            states = [bool(layer.trainable) for layer in layers]
            told = f"{mode}, {count} layers: yours makes trainable "
            told += ", ".join(str(n) for n, state in enumerate(states, 1) if state) or "none"
            if states == [others] * (count - 1) + [True]:
                continue
            if not states[-1]:
                return False, f"{told}. The last layer moves in every mode."
            if states == [not others] * (count - 1) + [True]:
                hint = "AL means all layers, LL the last layer."
                if others and not before:
                    hint = "These layers were frozen before: in this mode say True, too."
                return False, f"{told}. {hint}"
            return False, f"{told}. In {mode} {'all layers move' if others else 'only the last'}."
    return True, (
        "FT or RT makes no difference here: that says where the last layer starts, not what moves."
    )


def _cheapest(answer, means):
    mode, given = answer
    rate = float(given)
    tried = means[(means.attack == mode) & (abs(means.strength - rate) < 1e-9)]
    if tried.empty:
        modes = ", ".join(f"“{name}”" for name in means.attack.unique())
        return False, (
            f"{mode} at {given} is not on record. Modes are {modes}; rates are numbers such "
            "as 0.001."
        )
    new = means[(means.scheme == "new label") & (means.acquitted > 0.5)]
    ends = new[(new.attack == mode) & (abs(new.strength - rate) < 1e-9)]
    if ends.empty:
        return False, (
            "There Ver still says “marked” of most of the new-label networks. Keep the rows with "
            "acquitted > 0.5 first."
        )
    best = new.sort_values("lost").iloc[0]
    if (mode, rate) != (best.attack, best.strength):
        return False, (
            f"That ends the mark for {ends.lost.min():.1f} points. Another setting costs less: "
            "sort those that end it by lost."
        )
    other = tried[tried.scheme == "wrong label"]
    said = f"It costs Bob {best.lost:.1f} points and leaves {best['keys']:.1%} of the keys."
    if len(other):
        said += f" The wrong label keeps {other['keys'].max():.0%} of its keys there."
    return True, said


def _omega(answer):
    before, after = 0.98, (0.91, 0.73, 0.6, 0.44, 0.28)
    mean = sum(after) / len(after)
    praise = (
        "Three fifths on the way, and less than a third is left in the end: Ω is a mean over "
        "the way, so look at both."
    )
    share = "That is the mean of what is left. Ω measures it against the accuracy before: divide."
    six = (
        "You counted “before” as a session. It is what the sessions are measured against, and "
        "not one of them."
    )
    end = "That is what is left in the end. Ω is a mean over all five sessions."
    misses = [(mean, share), ((sum(after) + before) / 6 / before, six), (after[-1] / before, end)]
    hint = "Divide each accuracy by the one before, and take the mean of the five."
    return number(answer, mean / before, praise, misses, hint)


def _restored(answer, untouched):
    praise = (
        "All other layers were frozen, so with her layer back it is the stolen network, weight by "
        "weight. No mark can fail this test, and a test that nothing fails shows no robustness."
    )
    hint = (
        "List the layers that RTLL moved. Put Alice's last layer back. Which weights are still not "
        "hers?"
    )
    if answer < 0.05:
        hint = (
            "That is what Bob's network hits, with his layer. Now Alice's is back: which weights "
            "still differ from hers?"
        )
    return number(answer, untouched, praise, [], hint)


CHECKS = {"08.1": _freeze, "08.2": _cheapest, "08.3": _omega, "08.4": _restored}
