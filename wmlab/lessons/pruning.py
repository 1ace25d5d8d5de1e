"""Lesson 07, on record: the paper's Figure 4, its tests, and what each attack costs Bob.

Lesson 07, live: the smallest weights of a shipped network set to zero, and what it then answers.
Checks of notebook 07, pruning.
"""

import fractions
import functools
import itertools
import math

import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import attack_tables, attacks, stats
from wmlab.attack_tables import UNTOUCHED
from wmlab.show import figures
from wmlab.show.panel import Panel
from wmlab.training import predict
from wmlab.verification import critical_accuracy

MARKS = ("new label", "wrong label")
EXPERIMENTS = {
    "4,000 digits": ["attacks_class"],
    "60,000 digits": ["attacks_mnist"],
    "4,000 photographs": ["attacks_photographs"],
}
PER_LAYER, GLOBAL, FINE = "pruning, per layer", "pruning, global", "fine-pruning"
MEASURES = {
    "fresh keys hit": "fresh_key_accuracy",
    "clean images right": "clean_accuracy",
    "clean images given the key label": "key_label_rate_clean",
}
FARTHEST = 30  # points of clean accuracy lost beyond which the map does not tell losses apart


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


RATE_AXIS = dict(title="pruning rate", range=[-0.03, 0.98], tickformat=".0%", dtick=0.25)


def rate_slider(rates):
    """A slider of pruning rates."""
    return widgets.SelectionSlider(
        options=[(f"{rate:.0%}", rate) for rate in rates],
        description="pruning rate",
        style=dict(description_width="initial"),
        layout=dict(width="420px"),
    )


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
    said = functools.cache(lambda title, attack, rate: sentence(tables[title], attack, rate))
    look = figures.looks(MARKS)
    titles = [name.replace(" given", "<br>given") for name in MEASURES]
    axes = figures.plots(titles, gap=0.04, x=RATE_AXIS, y=figures.SHARE)

    def picture(rate, attack, of):
        traces = []
        for plot, name in enumerate(MEASURES, 1):
            for scheme in MARKS:
                means, runs = values(of, attack)[name, scheme]
                traces += figures.curve(
                    means.strength,
                    means["mean"],
                    means.low,
                    means.high,
                    scheme,
                    look[scheme],
                    plot,
                    legend=plot == 1,
                    runs=runs.to_numpy().T,
                )
        shapes = [figures.upright(rate, plot) for plot in (1, 2, 3)]
        figure = figures.figure(traces, 470, **axes, shapes=shapes, margin=dict(t=72, b=140))
        return figure, said(of, attack, rate), values(of, attack)

    rates = sorted(set(over_rates(next(iter(tables.values())), PER_LAYER).strength))
    pruned = widgets.ToggleButtons(
        options=[("per layer", PER_LAYER), ("global", GLOBAL)],
        description="pruned",
        style=dict(button_width="auto"),
    )
    return Panel(
        picture,
        first=1,
        presets={
            "Per layer, 90 %": {"rate": 0.9},
            "Global, 90 %": {"rate": 0.9, "attack": GLOBAL},
        },
        rate=rate_slider(rates),
        attack=pruned,
        of=widgets.Dropdown(options=list(tables), description="on record"),
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
        marked = (runs.decision == "marked").sum()
        parts.append(
            f"<b>{scheme}</b>: {key} of keys hit, {clean} of clean images right, {given} given "
            "the key label, "
            f"Ver says “marked” in {marked} of {len(runs)} runs"
        )
    said = f"{attack[0].upper()}{attack[1:]}, {rate:.0%}. {'; '.join(parts)}."
    for _, row in stats.paired(at, "fresh_key_accuracy").dropna(subset=["p"]).iterrows():
        said += (
            f" Keys, new minus wrong, same seed: {100 * row['mean']:+.1f} points "
            f"[{100 * row.low:+.1f}, "
            f"{100 * row.high:+.1f}], p = {row.p:.2g}."
        )
    return said


def tested(table, attack, column="fresh_key_accuracy"):
    """Paired tests at every rate of an attack, rows by strength: `stats.paired` of a column, new
    label minus wrong label.
    """
    rows = over_rates(table, attack)
    return (
        pd.concat({rate: stats.paired(at, column) for rate, at in rows.groupby("strength")})
        .droplevel(1)
        .rename_axis("rate")
    )


def verdicts(table, attack):
    """What is left at every rate of an attack, both schemes beside each other: shares as text, and
    Ver's decisions.
    """
    shown = {}
    for (rate, scheme), runs in over_rates(table, attack).groupby(["strength", "scheme"]):
        if scheme in MARKS:
            marked = runs.decision == "marked"
            shares = {
                title: f"{runs[column].mean():.1%}"
                for title, column in (*MEASURES.items(), ("told apart", "told_apart"))
            }
            shown[f"{rate:.0%}", scheme] = shares | {
                "Ver: marked": f"{marked.sum()} of {len(runs)}",
                "answers bought": f"{runs.queries.mean():.1f}",
            }
    return pd.DataFrame(shown).T.rename_axis(["rate", "scheme"])


def costs(table, scheme):
    """Every attack of this lesson at every strength on one scheme, a row each: lost (points), key,
    acquitted, runs.
    """
    rows = table[(table.scheme == scheme) & table.attack.isin([PER_LAYER, GLOBAL, FINE])]
    by = rows.assign(acquitted=rows.decision == "not marked").groupby(["attack", "strength"])
    return by.agg(
        lost=("lost", "mean"),
        key=("fresh_key_accuracy", "mean"),
        acquitted=("acquitted", "sum"),
        runs=("seed", "count"),
    ).reset_index()


def removed(table, scheme, loss):
    """The rows of `costs` that lose at most `loss` points on average and where Ver acquits in more
    than half of the runs.
    """
    rows = costs(table, scheme)
    return rows[(rows.lost <= loss) & (rows.acquitted > rows.runs / 2)]


def families(table, scheme):
    """What the map draws of a scheme: a `figures.Family` an attack, small dots for runs."""
    found, means = [], costs(table, scheme)
    for attack, look in zip((PER_LAYER, GLOBAL, FINE), figures.SPARE, strict=False):
        rows = means[means.attack == attack]
        runs = table.query("scheme == @scheme and attack == @attack")
        rates = [f"{rate:.0%}" for rate in rows.strength]
        labels = [
            f"{rate}: {row.lost:.1f} points, {row.key:.1%}"
            for rate, row in zip(rates, rows.itertuples(), strict=True)
        ]
        more = dict(labels=labels, texts=rates if attack == FINE else None, joined=True)
        more["runs"] = (runs.lost, runs.fresh_key_accuracy)
        look = (look["color"], look["symbol"])
        found.append(figures.Family(attack, *look, rows.lost, rows.key, **more))
    return found


def frontier(tables):
    """Panel: the map of clean accuracy lost against keys left, a plot a scheme; the loss that Bob
    bears is a line to drag.

    tables: those of `recorded`. Small dots are runs, large ones their means. Shaded: within Bob's
    loss, and Ver is more likely to acquit than to convict. Its `result` is {scheme: the rows of
    `removed`}.
    """
    limits = {scheme: critical_accuracy(scheme) for scheme in MARKS}
    drawn = functools.cache(lambda of, scheme: families(tables[of], scheme))

    @functools.cache
    def gone_at(of, loss):
        return {scheme: removed(tables[of], scheme, loss) for scheme in MARKS}

    def picture(loss, of):
        gone = gone_at(of, loss)
        maps = {scheme: drawn(of, scheme) for scheme in MARKS}
        figure = figures.trade_off(maps, loss, farthest=FARTHEST, limits=limits)
        parts = []
        for scheme, rows in gone.items():
            named = [
                f"{row.attack} at {row.strength:.0%} ({row.acquitted} of {row.runs} runs)"
                for row in rows.itertuples()
            ]
            parts.append(f"the <b>{scheme}</b> is removed by {', '.join(named) or 'none of these'}")
        said = f"On {of}, for at most {loss:g} points of clean accuracy, {'; '.join(parts)}."
        return figure, said, gone

    wide = dict(style=dict(description_width="initial"), layout=dict(width="480px"))
    return Panel(
        picture,
        first=1,
        dragged=figures.line_moves(FARTHEST, len(MARKS)),
        presets={"2 points": {}, "5 points": {"loss": 5.0}},
        loss=widgets.FloatSlider(
            value=2,
            min=0,
            max=FARTHEST,
            step=0.5,
            description="loss that Bob bears, points",
            **wide,
        ),
        of=widgets.Dropdown(options=list(tables), description="on record"),
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
    return [
        "all layers",
        *(f"{kind} {kinds[: place + 1].count(kind)}" for place, kind in enumerate(kinds)),
        "output",
    ]


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
        clean, answers = predict(cut, seen), predict(cut, keys.images)
        shares = (
            answers == keys.key_label,
            clean == labels,
            clean[labels != keys.key_label] == keys.key_label,
        )
        found.append(
            {
                "rate": rate,
                "kept": [kernel != 0 for kernel in kernels(cut)],
                **{
                    name: float(np.mean(share))
                    for name, share in zip(MEASURES, shares, strict=True)
                },
            }
        )
    return found


def histogram(weights, kept):
    """Weights (n,) and which of them are kept, bool (n,), as counts: (centres of BINS, kept, cut).
    The farthest 0.1 % of the weights are counted in the bins at the ends.
    """
    reach = np.quantile(np.abs(weights), 0.999)
    centres = np.linspace(-reach, reach, 2 * BINS + 1)[1::2]
    return centres, *(
        np.histogram(np.clip(weights[chosen], -reach, reach), BINS, (-reach, reach))[0]
        for chosen in (kept, ~kept)
    )


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

    @functools.cache
    def tried(network, scope):
        return pruned(*networks[network], data, secret, scope)

    def picture(rate, scope, network, layer):
        runs, place = tried(network, scope), names.index(layer)
        now, chosen = runs[RATES.index(rate)], slice(place - 1, place) if place else slice(None)
        values, kept = (
            np.concatenate([one.ravel() for one in arrays[chosen]])
            for arrays in (weights[network], now["kept"])
        )
        figure = cut_figure(values, kept, runs, rate)
        key, clean, given = (f"{now[name]:.1%}" for name in MEASURES)
        how = "of each layer" if scope == "layer" else "of all layers together"
        zeros = int((~kept).sum())
        said = (
            f"{rate:.0%} {how} pruned: of the {len(kept):,} weights of {layer}, {zeros:,} are 0. "
            f"The network ({network}) hits {key} of its fresh keys, gets {clean} of the clean "
            f"images right, and gives the key label to {given} of those that it is not the "
            "label of."
        )
        return figure, said, {"runs": runs, "now": now, "zeros": zeros, "weights": len(kept)}

    return Panel(
        picture,
        first=1,
        presets={
            "Per layer, 80 %": {"rate": 0.8},
            "Global, 80 %": {"rate": 0.8, "scope": "global"},
            "First layer, per layer": {"rate": 0.8, "layer": names[1]},
            "First layer, global": {"rate": 0.8, "layer": names[1], "scope": "global"},
        },
        rate=rate_slider(RATES),
        scope=widgets.ToggleButtons(
            options=[("per layer", "layer"), ("global", "global")],
            description="pruned",
            style=dict(button_width="auto"),
        ),
        network=widgets.Dropdown(options=list(networks), description="network"),
        layer=widgets.Dropdown(options=names, description="weights of"),
    )


def cut_figure(weights, kept, runs, rate):
    """The histogram of weights and, beside it, what the network answers at every rate."""
    axes = figures.plots(
        ["weights", "what the network answers"],
        widths=[0.45, 0.55],
        gap=0.1,
        shared_y=False,
        each={
            1: {"x": dict(title="value of a weight"), "y": dict(title="number of weights")},
            2: {"x": RATE_AXIS, "y": figures.SHARE},
        },
    )
    lines = [
        figures.points(RATES, [run[name] for run in runs], name, look, plot=2)
        for name, look in figures.looks(MEASURES).items()
    ]
    more = dict(barmode="stack", bargap=0, legend=dict(traceorder="normal"))
    shapes = [figures.upright(rate, 2)]
    return figures.figure([*bars(weights, kept), *lines], 440, **axes, **more, shapes=shapes)


def bars(weights, kept):
    """The traces of a histogram of weights, those kept and those set to 0 on top of them."""
    centres, *counts = histogram(weights, kept)
    for values, name, colour, shape in zip(
        counts,
        ("kept", "set to 0"),
        (figures.COLOURS["unmarked"], figures.PALE),
        ("", "/"),
        strict=True,
    ):
        pattern = dict(shape=shape, fillmode="overlay", fgcolor="white")
        marker = dict(color=colour, line=dict(width=0), pattern=pattern)
        yield dict(type="bar", x=centres, y=values, name=name, marker=marker)


def _by_hand(answer, layer, rate):
    answer, layer = np.asarray(answer, float), np.asarray(layer, float)
    if answer.shape != layer.shape:
        return (
            False,
            f"Hand in all {layer.size} weights, in their order: those that go become 0, they "
            "are not left out.",
        )
    if not np.all((answer == layer) | (answer == 0)):
        return False, "A weight either becomes 0 or stays as it is, sign and all."
    count = math.floor(fractions.Fraction(str(rate)) * layer.size)
    cut = np.flatnonzero((answer == 0) & (layer != 0))
    zeros = int((answer == 0).sum())
    if zeros != count:
        return False, (
            f"You have {zeros} zeros. At rate {rate:g}, ⌊{rate:g} · {layer.size}⌋ = {count} "
            "weights become 0, "
            "and one that was 0 before is one of the smallest."
        )
    if len(cut) and np.abs(layer[cut]).max() > np.sort(np.abs(layer))[count - 1]:
        return (
            False,
            "There are smaller ones than those you took: the absolute value counts, not the sign.",
        )
    right = layer.copy()
    right[np.argsort(np.abs(layer), kind="stable")[:count]] = 0
    if not np.array_equal(answer, right):
        return (
            False,
            "As many as it should be, and small ones; but among equal weights the first go.",
        )
    return (
        True,
        "The 0 that was there counts as one of the smallest, and so pruning removed only two "
        "weights that did anything.",
    )


def _largest_rate(answer, table):
    answer = float(answer)
    rows = table[(table.attack == "pruning, global") & (table.scheme == "new label")]
    lost = rows.groupby("strength").lost.mean()
    if answer not in lost.index:
        return (
            False,
            f"{answer:g} is no rate on record: there are "
            f"{', '.join(f'{rate:g}' for rate in lost.index)}.",
        )
    if lost[answer] > 2:
        return (
            False,
            f"At {answer:g} he loses {lost[answer]:.1f} points. Group by strength, take the "
            "mean of lost.",
        )
    if answer != lost.index[lost <= 2].max():
        return (
            False,
            f"At {answer:g} he loses {lost[answer]:.1f} points, which he bears; but a larger "
            "rate does, too.",
        )
    return (
        True,
        f"{lost[answer]:.1f} points at {answer:.0%}. Per layer he would have to stop earlier.",
    )


def _removes(answer, table):
    rows = table[(table.scheme == "new label") & table.attack.str.contains("pruning")]
    tried = rows.groupby(["attack", "strength"]).agg(
        lost=("lost", "mean"), gone=("decision", lambda d: (d == "not marked").mean())
    )
    right = set(tried.index[(tried.lost <= 2) & (tried.gone > 0.5)])
    given = {(str(attack), float(strength)) for attack, strength in answer}
    for attack, strength in sorted(given - right):
        if (attack, strength) not in tried.index:
            return (
                False,
                f"“{attack}” at {strength:g} is not on record. Look at the columns attack and "
                "strength.",
            )
        found = tried.loc[(attack, strength)]
        if found.lost > 2:
            return (
                False,
                f"{attack} at {strength:g} costs {found.lost:.1f} points, more than Bob bears.",
            )
        return (
            False,
            f"After {attack} at {strength:g} Ver acquits in {found.gone:.0%} of the runs, "
            "which is not more than half.",
        )
    if given != right:
        return (
            False,
            f"That is {len(given)} of {len(right)}. Go through all attacks with “pruning” in "
            "their name, at all rates.",
        )
    return (
        True,
        "Pruning without tuning is not among them. It takes images, and that is what the next "
        "lesson is about.",
    )


CHECKS = {"07.1": _by_hand, "07.2": _largest_rate, "07.3": _removes}
