"""Lesson 07, on record: the paper's Figure 4, its tests, and what each attack costs Bob.

Lesson 07, live: the smallest weights of a shipped network set to zero, and what it then answers.
Checks of notebook 07, pruning.
"""

import fractions
import functools
import itertools
import math

import numpy as np
import pandas as pd

from wmlab import attack_tables, attacks, stats
from wmlab.attack_tables import UNTOUCHED, removed
from wmlab.show import figures
from wmlab.show.controls import buttons, choice, menu, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.show.tables import with_numbers
from wmlab.training import predict
from wmlab.verification import critical_accuracy

MARKS = ("new label", "wrong label")
EXPERIMENTS = {
    "4,000 digits": ["attacks_class"],
    "60,000 digits": ["attacks_mnist"],
    "4,000 photographs": ["attacks_photographs"],
    "50,000 photographs": ["embed_cifar10"],
}
ATTACKS = PER_LAYER, GLOBAL, FINE = "pruning, per layer", "pruning, global", "fine-pruning"
MEASURES = {
    "fresh keys hit": "fresh_key_accuracy",
    "clean images right": "clean_accuracy",
    "clean images given the key label": "key_label_rate_clean",
}
FARTHEST = 30  # points of clean accuracy lost beyond which the map does not tell losses apart
RATE_AXIS = dict(title="pruning rate", range=[-0.03, 0.98], tickformat=".0%", dtick=0.25)


def recorded():
    """Attacks on record, {title: table of `prepared`}, those of EXPERIMENTS that there are."""
    tables = attack_tables.recorded(EXPERIMENTS)
    return {title: prepared(table) for title, table in tables.items()}


def prepared(table):
    """A table of `attack_tables.load` with strength 0 for no attack, and the column told_apart.

    told_apart: key accuracy less the rate of the key label on clean images of other classes, in
    [-1, 1] (Youden's J): what a judge can still see.
    """
    return table.assign(
        strength=table.strength.mask(table.attack == UNTOUCHED, 0),
        told_apart=table.fresh_key_accuracy - table.key_label_rate_clean,
    )


def over_rates(table, attack):
    """The rows of one attack, with those of no attack as its rate 0."""
    return table[table.attack.isin([attack, UNTOUCHED])]


def _rate(rates):
    return choice(rates, "pruning rate", name="{:.0%}".format)


def across(table, attack):
    """Runs and means at every rate of an attack, {(measure, scheme): (means as of `stats.cells`,
    runs)}, with strength.
    """
    rows, values = over_rates(table, attack), {}
    for (name, column), scheme in itertools.product(MEASURES.items(), MARKS):
        runs = rows[rows.scheme == scheme].sort_values("strength")
        means = [
            stats.cells(group, column).assign(strength=rate)
            for rate, group in runs.groupby("strength")
        ]
        values[name, scheme] = (pd.concat(means, ignore_index=True), runs[["strength", column]])
    return values


def figure4(tables):
    """Panel: the paper's Figure 4 from records: both schemes over the pruning rate, a dot a run, a
    band the 95 % interval.

    tables: those of `recorded`. Its `result` is what `across` returns.
    """
    values = functools.cache(lambda title, attack: across(tables[title], attack))
    said = functools.cache(lambda title, *settings: sentence(tables[title], *settings))
    look = figures.looks(MARKS)
    titles = [name.replace(" given", "<br>given") for name in MEASURES]
    axes = figures.plots(titles, gap=0.04, x=RATE_AXIS, y=figures.SHARE)

    def picture(rate, attack, of):
        traces = []
        for (plot, name), scheme in itertools.product(enumerate(MEASURES, 1), MARKS):
            means, runs = values(of, attack)[name, scheme]
            drawn = (means[part] for part in ("strength", "mean", "low", "high"))
            more = dict(legend=plot == 1, runs=runs.to_numpy().T)
            traces += figures.curve(*drawn, scheme, look[scheme], plot, **more)
        shapes = [figures.upright(rate, plot) for plot in (1, 2, 3)]
        figure = figures.figure(traces, 470, **axes, shapes=shapes, margin=dict(t=72, b=140))
        return figure, said(of, attack, rate), values(of, attack)

    rates = sorted(set(over_rates(next(iter(tables.values())), PER_LAYER).strength))
    ninety = {"rate": 0.9}
    return Panel(
        picture,
        first=1,
        presets={"Per layer, 90 %": ninety, "Global, 90 %": ninety | {"attack": GLOBAL}},
        rate=_rate(rates),
        attack=buttons([("per layer", PER_LAYER), ("global", GLOBAL)], "pruned"),
        of=menu(tables, "on record"),
    )


def sentence(table, attack, rate):
    """What the records say of one attack at one rate: both schemes, and the paired difference from
    six pairs on.
    """
    rows = over_rates(table, attack)
    at, parts = rows[rows.strength == rate], []
    for scheme in MARKS:
        runs = at[at.scheme == scheme]
        key, clean, given = (f"{runs[column].mean():.1%}" for column in MEASURES.values())
        parts.append(
            f"<b>{scheme}</b>: {key} of keys hit, {clean} of clean images right, {given} given "
            f"the key label, Ver says “marked” in {(runs.decision == 'marked').sum()} of "
            f"{len(runs)} runs"
        )
    said = f"{attack[0].upper()}{attack[1:]}, {rate:.0%}. {'; '.join(parts)}."
    for row in stats.paired(at, "fresh_key_accuracy").dropna(subset=["p"]).itertuples():
        mean, low, high = (f"{100 * value:+.1f}" for value in (row.mean, row.low, row.high))
        said += f" Keys, new minus wrong, same seed: {mean} points [{low}, {high}], "
        said += f"p = {row.p:.2g}."
    return said


def tested(table, attack, column="fresh_key_accuracy"):
    """Paired tests at every rate of an attack, rows by strength: `stats.paired` of a column, new
    label minus wrong label.
    """
    by_rate = over_rates(table, attack).groupby("strength")
    tests = pd.concat({rate: stats.paired(at, column) for rate, at in by_rate})
    return tests.droplevel(1).rename_axis("rate")


def verdicts(table, attack):
    """What is left at every rate of an attack, both schemes beside each other: shares as text, and
    Ver's decisions.
    """
    rows, shown, columns = over_rates(table, attack), {}, MEASURES | {"told apart": "told_apart"}
    rows = rows[rows.scheme.isin(MARKS)]
    for (rate, scheme), runs in rows.groupby(["strength", "scheme"]):
        shares = {title: f"{runs[column].mean():.1%}" for title, column in columns.items()}
        shown[f"{rate:.0%}", scheme] = shares | {
            "Ver: marked": f"{(runs.decision == 'marked').sum()} of {len(runs)}",
            "answers bought": f"{runs.queries.mean():.1f}",
        }
    return pd.DataFrame(shown).T.rename_axis(["rate", "scheme"])


def convictions(table):
    """How often Ver says "marked" over the pruning rate: per layer and globally, a line a scheme;
    the numbers of `verdicts` are folded under it.
    """
    titles, traces = {"per layer": PER_LAYER, "global": GLOBAL}, []
    for plot, attack in enumerate(titles.values(), 1):
        rows = over_rates(table, attack)
        for scheme, look in figures.looks(MARKS).items():
            runs = rows[rows.scheme == scheme]
            share = (runs.decision == "marked").groupby(runs.strength).mean()
            line = (share.index.to_numpy(), share.to_numpy(), scheme, look)
            traces.append(figures.points(*line, plot, legend=plot == 1))
    y = figures.SHARE | dict(title="Ver says marked,<br>share of networks")
    axes = figures.plots(list(titles), x=RATE_AXIS, y=y)
    numbers = pd.concat({title: verdicts(table, attack) for title, attack in titles.items()})
    return with_numbers(figures.figure(traces, 400, **axes), numbers)


COLUMNS = {"keys hit": "fresh_key_accuracy", "told apart": "told_apart"}
HIGH = (0.8, 0.9, 0.95)  # rates, for "slightly better at high rates"


def claimed(tables):
    """New label minus wrong label at high rates, a row for each data set, attack, measure and rate:
    mean, low and high in points, pairs, p and `said`, what the three rates together say (each must
    reach a third of 5 %, Bonferroni).
    """
    rows = {}
    for of, attack, name in itertools.product(tables, (PER_LAYER, GLOBAL), COLUMNS):
        found = tested(tables[of], attack, COLUMNS[name]).loc[list(HIGH)]
        sure = found[found.p <= 0.05 / len(HIGH)]
        if sure.empty or sure["mean"].min() < 0 < sure["mean"].max():
            said = "cannot be told"
        else:
            better = sure["mean"].min() > 0
            said = "holds" if better else "does not hold: the wrong label is better"
        for rate, row in found.iterrows():
            points = {part: 100 * row[part] for part in ("mean", "low", "high")}
            rows[of, attack, name, rate] = points | dict(pairs=row.pairs, p=row.p, said=said)
    return pd.DataFrame(rows).T.rename_axis(["on", "attack", "measure", "rate"])


def differences(found):
    """The rows of `claimed` as dots with 95 % intervals, a plot a measure; the numbers are folded
    under it.
    """
    traces, names = [], {PER_LAYER: "per layer", GLOBAL: "global"}
    for plot, name in enumerate(COLUMNS, 1):
        at = found.xs(name, level="measure")
        for (attack, title), look in zip(names.items(), figures.SPARE, strict=False):
            rows = at.xs(attack, level="attack")
            y = [[on for on, _ in rows.index], [f"{title}, {rate:.0%}" for _, rate in rows.index]]
            mean, low, high = (rows[part].to_numpy(float) for part in ("mean", "low", "high"))
            bars = dict(type="data", symmetric=False, array=high - mean, arrayminus=mean - low)
            more = dict(legend=plot == 1, error_x=bars | dict(color=look["color"]))
            dots = (mean, y, title, look["color"], look["symbol"], plot)
            traces.append(figures.dots(*dots, **more))
    zero = [figures.upright(0, plot, color=figures.BLACK) for plot in (1, 2)]
    x = dict(title="new label minus<br>wrong label, points")
    y = dict(autorange="reversed", showgrid=False, tickfont=dict(size=12))
    axes = figures.plots(list(COLUMNS), x=x, y=y, gap=0.05)
    figure = figures.figure(traces, 620, **axes, shapes=zero, margin=dict(l=180, b=110))
    form = "{:+.1f}".format
    shown = found.assign(**{part: found[part].map(form) for part in ("mean", "low", "high")})
    return with_numbers(figure, shown)


def spread(rows):
    """Networks as dots over the share of keys that they still hit, a row for what Bob did.

    rows: {what he did: rows of attacks}.
    """
    traces, words = [], list(rows)
    schemes = dict.fromkeys(name for of in rows.values() for name in of.scheme)
    looks = figures.looks(name for name in schemes if name != "unmarked")
    for shift, (scheme, look) in enumerate(looks.items()):
        x, y = [], []
        for place, of in enumerate(rows.values()):
            hit = of[of.scheme == scheme].fresh_key_accuracy.tolist()
            x, y = x + hit, y + [place + 0.22 * (shift - 1)] * len(hit)
        traces.append(figures.dots(x, y, scheme, look["color"], look["symbol"], opacity=0.7))
    y = dict(tickvals=list(range(len(words))), ticktext=words, autorange="reversed")
    x = dict(title="fresh keys hit", tickformat=".0%", range=[-0.03, 1.03])
    return figures.figure(traces, 400, xaxis=x, yaxis=y, margin=dict(t=20, b=110, l=180))


def costs(table):
    """What the attacks of this lesson cost, as of `attack_tables.costs`."""
    return attack_tables.costs(table[table.attack.isin(ATTACKS)])


def families(table, means, scheme):
    """What the map draws of a scheme: a `figures.Family` an attack, small dots for runs. means: the
    `costs` of the table.
    """
    for attack, look in zip(ATTACKS, figures.SPARE, strict=False):
        rows = means[(means.scheme == scheme) & (means.attack == attack)].sort_values("strength")
        runs = table.query("scheme == @scheme and attack == @attack")
        rates = [f"{rate:.0%}" for rate in rows.strength]
        costs = zip(rates, rows.lost, rows["keys"], strict=True)
        more = dict(texts=rates if attack == FINE else None, joined=True)
        more["labels"] = [f"{rate}: {lost:.1f} points, {key:.1%}" for rate, lost, key in costs]
        more["runs"] = (runs.lost, runs.fresh_key_accuracy)
        look = (look["color"], look["symbol"])
        yield figures.Family(attack, *look, rows.lost, rows["keys"], **more)


def frontier(tables):
    """Panel: the map of clean accuracy lost against keys left, a plot a scheme; the loss that Bob
    bears is a line to drag.

    tables: those of `recorded`. Small dots are runs, large ones their means. Shaded: within Bob's
    loss, and Ver is more likely to acquit than to convict. Its `result` is {scheme: the rows of
    `removed`}.
    """
    limits = {scheme: critical_accuracy(scheme) for scheme in MARKS}
    means = functools.cache(lambda of: costs(tables[of]))
    drawn = functools.cache(lambda of, scheme: [*families(tables[of], means(of), scheme)])

    def picture(loss, of):
        maps, gone, parts = {scheme: drawn(of, scheme) for scheme in MARKS}, {}, []
        figure = figures.trade_off(maps, loss, farthest=FARTHEST, limits=limits)
        for scheme in MARKS:
            gone[scheme] = removed(means(of), scheme, loss)
            named = [
                f"{row.attack} at {row.strength:.0%} ({row.acquitted * row.runs:.0f} of {row.runs} "
                "runs)"
                for row in gone[scheme].itertuples()
            ]
            parts.append(f"the <b>{scheme}</b> is removed by {', '.join(named) or 'none of these'}")
        said = f"On {of}, for at most {loss:g} points of clean accuracy, {'; '.join(parts)}."
        return figure, said, gone

    return Panel(
        picture,
        first=1,
        dragged=figures.line_moves(FARTHEST, len(MARKS)),
        presets={"2 points": {}, "5 points": {"loss": 5.0}},
        loss=slider(2, 0, FARTHEST, 0.5, "loss that Bob bears, points"),
        of=menu(tables, "on record"),
    )


RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
BINS = 61


def kernels(model):
    """The arrays of weights that pruning is about, layer by layer: those of more than one
    dimension, so no biases.
    """
    return [weights for weights in model.get_weights() if weights.ndim > 1]


def layer_names(model):
    """What the layers with weights are called: "all layers", then each of them, from "convolution
    1" to "output".
    """
    kinds = ["convolution" if kernel.ndim == 4 else "dense" for kernel in kernels(model)][:-1]
    named = [f"{kind} {kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)]
    return ["all layers", *named, "output"]


def pruned(model, mark, data, secret, scope, images=300, rates=RATES):
    """A network at every rate, asked the first `images` test images and the keys made from them: a
    list of dicts.

    Each has rate, a share under each name of MEASURES, and kept, a bool array of the shape of each
    kernel.
    """
    seen, labels, found = data.x_test[:images], data.y_test[:images], []
    keys = mark.keys(*mark.carriers(seen, labels), secret, "pruned")
    for rate in rates:
        cut = attacks.prune(model, data, rate, scope)
        clean, key = predict(cut, seen), keys.key_label
        hit, given = predict(cut, keys.images) == key, clean[labels != key] == key
        shares = [float(np.mean(share)) for share in (hit, clean == labels, given)]
        kept = [kernel != 0 for kernel in kernels(cut)]
        found.append({"rate": rate, "kept": kept, **dict(zip(MEASURES, shares, strict=True))})
    return found


def histogram(weights, kept):
    """Weights (n,) and which of them are kept, bool (n,), as counts: (centres of BINS, kept, cut).
    The farthest 0.1 % of the weights are counted in the bins at the ends.
    """
    reach = np.quantile(np.abs(weights), 0.999)
    centres = np.linspace(-reach, reach, 2 * BINS + 1)[1::2]
    inside, ends = np.clip(weights, -reach, reach), (-reach, reach)
    return centres, *(np.histogram(inside[which], BINS, ends)[0] for which in (kept, ~kept))


def cut(networks, data, secret):
    """Panel: a pruning rate, the histogram of the weights with what is cut, and three accuracies
    beside it.

    networks: {name: (model, mark)}, all with the same layers; their marks make the keys that they
    are asked. A network is pruned at all rates when it is first chosen, which takes seconds; after
    that every move is instant. `result` has runs (of `pruned`), now (the run of the rate), and the
    numbers of zeros and weights.
    """
    names = layer_names(next(iter(networks.values()))[0])
    weights = {name: kernels(model) for name, (model, _) in networks.items()}
    tried = functools.cache(lambda name, scope: pruned(*networks[name], data, secret, scope))

    def picture(rate, scope, network, layer):
        runs, place = tried(network, scope), names.index(layer)
        now, chosen = runs[RATES.index(rate)], slice(place - 1, place) if place else slice(None)
        values, kept = (
            np.concatenate([one.ravel() for one in arrays[chosen]])
            for arrays in (weights[network], now["kept"])
        )
        key, clean, given = (f"{now[name]:.1%}" for name in MEASURES)
        how = "of each layer" if scope == "layer" else "of all layers together"
        zeros = int((~kept).sum())
        said = (
            f"{rate:.0%} {how} pruned: of the {len(kept):,} weights of {layer}, {zeros:,} are 0. "
            f"The network ({network}) hits {key} of its fresh keys, gets {clean} of the clean "
            f"images right, and gives the key label to {given} of those that it is not the "
            "label of."
        )
        result = {"runs": runs, "now": now, "zeros": zeros, "weights": len(kept)}
        return _cut_figure(values, kept, runs, rate), said, result

    first, everywhere = {"rate": 0.8, "layer": names[1]}, {"scope": "global"}
    return Panel(
        picture,
        first=1,
        presets={
            "Per layer, 80 %": {"rate": 0.8},
            "Global, 80 %": {"rate": 0.8} | everywhere,
            "First layer, per layer": first,
            "First layer, global": first | everywhere,
        },
        rate=_rate(RATES),
        scope=buttons([("per layer", "layer"), ("global", "global")], "pruned"),
        network=menu(networks, "network"),
        layer=menu(names, "weights of"),
    )


def _cut_figure(weights, kept, runs, rate):
    """The histogram of weights, those set to 0 on top of those kept, and, beside it, what the
    network answers at every rate.
    """
    x, y = dict(title="value of a weight"), dict(title="number of weights")
    each = {1: {"x": x, "y": y}, 2: {"x": RATE_AXIS, "y": figures.SHARE}}
    titles = ["weights", "what the network answers"]
    axes = figures.plots(titles, widths=[0.45, 0.55], gap=0.1, shared_y=False, each=each)
    centres, stays, goes = histogram(weights, kept)
    traces = [
        figures.column(centres, stays, "kept", figures.COLOURS["unmarked"]),
        figures.column(centres, goes, "set to 0", figures.PALE, "/"),
    ]
    for bars in traces:
        bars["marker"]["line"] = dict(width=0)
        bars["marker"]["pattern"] |= dict(fillmode="overlay", fgcolor="white")
    for name, look in figures.looks(MEASURES).items():
        traces.append(figures.points(RATES, [run[name] for run in runs], name, look, plot=2))
    more = dict(barmode="stack", bargap=0, legend=dict(traceorder="normal"))
    return figures.figure(traces, 440, **axes, **more, shapes=[figures.upright(rate, 2)])


# the questions of the notebook


def half_of_the_weights(panel):
    """A network pruned at 50 %; panel: of `cut`."""
    panel.set(rate=0.5)
    return Question(
        "Bob prunes half of the weights of every layer. How many of the fresh keys does the "
        "network still hit?",
        ["nearly all", "about half", "hardly any"],
        panel,
        answer="nearly all",
        because="Half of the weights are gone, and the mark is not in them. Now drag the rate to "
        "its end.",
    )


def share_of_the_first_layer(shares):
    """Global pruning at 90 %; shares: {layer: {how: share of its weights set to 0}}."""
    words = "Pruned at 90 %", "share of the layer's weights set to 0"
    return Question(
        "Global pruning removes 90 % of all weights. How many of the 288 weights of the first "
        "convolution?",
        ["90 %", "about a quarter", "none"],
        lambda: figures.bars(shares, *words),
        answer="about a quarter",
        because="A layer of few weights has large ones: each must carry more.",
    )


def has_it_survived(measured):
    """A ruined network; measured: {network: {measure: share}}, all pruned per layer at 90 %."""
    words = "pruned per layer at 90 %", "share of images"
    table = pd.DataFrame(measured).map("{:.0%}".format)
    return Question(
        "Pruned per layer at 90 %, Alice's network hits 100 % of her fresh keys. Has her mark "
        "survived?",
        ["yes", "no", "the number alone does not say"],
        lambda: with_numbers(figures.bars(measured, *words), table),
        answer="the number alone does not say",
        because="It answers Δ to everything. So would a stone on which somebody wrote Δ.",
    )


def which_scheme_at_ninety(panel, table):
    """Figure 4 at 90 %; panel: of `figure4`. table: the records on which the answer stands."""
    panel.set(rate=0.9)
    row, rows = tested(table, PER_LAYER).loc[0.9], over_rates(table, PER_LAYER)
    means = rows[rows.strength == 0.9].groupby("scheme").fresh_key_accuracy.mean()
    mean, low, high = 100 * row[["mean", "low", "high"]]
    told = "the new label" if low > 0 else "the wrong label" if high < 0 else "it cannot be told"
    return Question(
        "Pruned per layer at 90 %: which scheme hits more of its fresh keys?",
        ["the new label", "the wrong label", "it cannot be told"],
        panel,
        answer=told,
        because=f"{means['new label']:.0%} against {means['wrong label']:.0%} on average; but the "
        f"difference in {row.pairs:.0f} pairs is {mean:+.0f} points, [{low:+.0f}, {high:+.0f}].",
    )


def which_part_removes_it(parts):
    """An ablation of fine-pruning; parts: {what Bob did: {measure: share}}."""
    words = "what is left after each part", "share of images"
    table = pd.DataFrame(parts).T.map("{:.1%}".format)
    return Question(
        "Which part of fine-pruning removes the mark?",
        ["dropping channels", "tuning", "only both together"],
        lambda: with_numbers(figures.bars(parts, *words), table),
        answer="only both together",
        because="Each alone leaves more than a third of the keys. Together they leave hardly one, "
        "at no loss.",
    )


def within_two_points(panel):
    """What Bob can afford; panel: of `frontier`."""
    return Question(
        "Bob bears a loss of 2 points. What removes the new label within that?",
        ["pruning per layer", "global pruning", "fine-pruning", "none of them"],
        panel,
        answer="none of them",
        because="No mark lies in the shaded area of the new label. Fine-pruning at 60 % comes "
        "closest: a tenth of the keys, of which one hit in 40 is enough for Ver.",
    )


# the checks of its exercises

BY_HAND = np.array([0.3, -0.1, 0.1, -0.7, 0.0, 0.1, -0.4, 0.1, 0.9])


def _pruned_wrongly(given, layer, rate):
    """What is wrong with a pruned layer, in a sentence; None if nothing is."""
    if np.shape(given) != layer.shape:
        return (
            f"From an array of shape {layer.shape} came one of shape {np.shape(given)}. Hand back "
            "all weights: those that go become 0, they are not left out."
        )
    given = np.asarray(given, float)
    if not np.all((given == layer) | (given == 0)):
        return "A weight either becomes 0 or stays as it is, sign and all, and in its place."
    count = math.floor(fractions.Fraction(str(rate)) * layer.size)
    cut = np.flatnonzero((given == 0) & (layer != 0))
    zeros = int((given == 0).sum())
    if zeros != count:
        return (
            f"You have {zeros} zeros. At rate {rate:g}, ⌊{rate:g} · {layer.size}⌋ = {count} "
            "weights become 0, and one that was 0 before is one of the smallest."
        )
    if len(cut) and np.abs(layer.flat[cut]).max() > np.sort(np.abs(layer), None)[count - 1]:
        return (
            "There are smaller ones than those you took: the absolute value counts, not the sign."
        )
    right = layer.flatten()
    right[np.argsort(np.abs(right), kind="stable")[:count]] = 0
    if not np.array_equal(given.ravel(), right):
        return "As many as it should be, and small ones; but among equal weights the first go."
    return None


def _prune(answer):
    kernel = np.random.default_rng(0).normal(size=(3, 3, 4, 8))
    cases = (
        ("By hand, nine weights at rate 0.4", BY_HAND, 0.4),
        ("A kernel of shape (3, 3, 4, 8) at rate 0.5", kernel, 0.5),
        ("The same kernel at rate 0.9", kernel, 0.9),
        ("The same kernel at rate 0", kernel, 0),
    )
    for case, layer, rate in cases:
        mine = layer.copy()
        wrong = _pruned_wrongly(answer(mine, rate), layer, rate)
        if not np.array_equal(mine, layer):
            wrong = (
                "It changed the array that it was given. Work on a copy: Alice still needs hers."
            )
        if wrong:
            return False, f"{case}: {wrong}"
    return True, (
        "In the nine weights the 0 that was there counts as one of the smallest, and so pruning "
        "removed only two weights that did anything."
    )


def _largest_rate(answer, table):
    answer = float(answer)
    rows = table[(table.attack == GLOBAL) & (table.scheme == "new label")]
    lost = rows.groupby("strength").lost.mean()
    if answer not in lost.index:
        known = ", ".join(f"{rate:g}" for rate in lost.index)
        return False, f"{answer:g} is no rate on record: there are {known}."
    said = f"At {answer:g} he loses {lost[answer]:.1f} points"
    if lost[answer] > 2:
        return False, f"{said}. Group by strength, take the mean of lost."
    if answer != lost.index[lost <= 2].max():
        return False, f"{said}, which he bears; but a larger rate does, too."
    said = f"{lost[answer]:.1f} points at {answer:.0%}."
    return True, f"{said} Per layer he would have to stop earlier."


def _removes(answer, table):
    rows = table[table.attack.str.contains("pruning")]
    tried = (
        attack_tables.costs(rows).query("scheme == 'wrong label'").set_index(["attack", "strength"])
    )
    right = set(removed(tried, "wrong label", 2).index)
    given = {(str(attack), float(strength)) for attack, strength in answer}
    for attack, strength in sorted(given - right):
        if (attack, strength) not in tried.index:
            return False, (
                f"“{attack}” at {strength:g} is not on record. Look at the columns attack and "
                "strength."
            )
        found = tried.loc[(attack, strength)]
        if found.lost > 2:
            said = f"costs {found.lost:.1f} points, more than Bob bears."
            return False, f"{attack} at {strength:g} {said}"
        return False, (
            f"After {attack} at {strength:g} Ver acquits in {found.acquitted:.0%} of the runs, "
            "which is not more than half."
        )
    if given != right:
        return False, (
            f"That is {len(given)} of {len(right)}. Go through all attacks with “pruning” in "
            "their name, at all rates."
        )
    return True, (
        "Pruning without tuning is not among them. Many keys still hit at the lower rate: the "
        "judge of a wrong label acquits at 30 % of misses."
    )


CHECKS = {"07.1": _prune, "07.2": _largest_rate, "07.3": _removes}
