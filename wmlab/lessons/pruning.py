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
from plotly.subplots import make_subplots

from wmlab import attacks, records, runtime
from wmlab.show import figures
from wmlab.show.panel import Panel
from wmlab.training import predict
from wmlab.verification import limit

MARKS, DECOYS = ("new label", "wrong label"), "new label, decoys"
EXPERIMENTS = {
    "4,000 digits": "attacks_class",
    "60,000 digits": "attacks_mnist",
    "4,000 photographs": "attacks_photographs",
}
UNTOUCHED, PER_LAYER, GLOBAL, FINE = (
    "no attack",
    "pruning, per layer",
    "pruning, global",
    "fine-pruning",
)
MEASURES = {
    "fresh keys hit": "fresh_key_accuracy",
    "clean images right": "clean_accuracy",
    "clean images given the key label": "key_label_rate_clean",
}
FARTHEST = 30  # points of clean accuracy lost beyond which the map does not tell losses apart


def recorded():
    """Attacks on record, {title: table of `prepared`}, those of EXPERIMENTS that there are."""
    folder = runtime.data_dir() / "results"
    return {
        title: prepared(records.load(f"{name}_attacks"))
        for title, name in EXPERIMENTS.items()
        if (folder / f"{name}_attacks.csv").exists()
    }


def prepared(table):
    """A table of attacks with the decoys as a scheme of their own, strength 0 for no attack, and
    two columns more.

    lost: clean accuracy lost to the attack, in points. told_apart: key accuracy less the rate of
    the key label on clean images of other classes, in [-1, 1] (Youden's J): what a judge can still
    see.
    """
    table = table.assign(
        scheme=table.scheme.mask(table.decoys > 0, DECOYS),
        strength=table.strength.mask(table.attack == UNTOUCHED, 0),
        told_apart=table.fresh_key_accuracy - table.key_label_rate_clean,
    )
    before = table[table.attack == UNTOUCHED].set_index(["scheme", "seed"]).clean_accuracy
    start = before.loc[pd.MultiIndex.from_frame(table[["scheme", "seed"]])].to_numpy()
    return table.assign(lost=100 * (start - table.clean_accuracy))


def over_rates(table, attack):
    """The rows of one attack, with those of no attack as its rate 0."""
    return table[table.attack.isin([attack, UNTOUCHED])]


def rate_slider(rates):
    """A slider of pruning rates."""
    return widgets.SelectionSlider(
        options=[(f"{rate:.0%}", rate) for rate in rates],
        description="pruning rate",
        style=dict(description_width="initial"),
        layout=dict(width="420px"),
    )


def rate_axes(figure, *columns):
    """Axes of shares over the pruning rate in these columns, with a line that marks a rate in each."""
    for column in columns:
        figure.update_xaxes(
            title="pruning rate", range=[-0.03, 0.98], tickformat=".0%", dtick=0.25, col=column
        )
        figure.update_yaxes(range=[-0.03, 1.03], tickformat=".0%", col=column)
        figure.add_vline(x=0, line=dict(color=figures.COLOURS["grey"], dash="dot"), col=column)


def across(table, attack):
    """Runs and means at every rate of an attack, {(measure, scheme): (means as of `records.cells`,
    runs)}, with strength.
    """
    rows, values = over_rates(table, attack), {}
    for (name, column), scheme in itertools.product(MEASURES.items(), MARKS):
        runs = rows[rows.scheme == scheme].sort_values("strength")
        means = [
            records.cells(group, column).assign(strength=rate)
            for rate, group in runs.groupby("strength")
        ]
        values[name, scheme] = (pd.concat(means, ignore_index=True), runs[["strength", column]])
    return values


def figure4(tables):
    """Panel: the paper's Figure 4 from records: both schemes over the pruning rate, a dot a run, a
    band the 95 % interval.

    tables: those of `recorded`. Its `result` has values (of `across`), table, attack and rate.
    """
    figure = make_subplots(
        1,
        len(MEASURES),
        shared_yaxes=True,
        horizontal_spacing=0.04,
        subplot_titles=[name.replace(" given", "<br>given") for name in MEASURES],
    )
    look = figures.looks(MARKS)
    for (place, _), name in itertools.product(enumerate(MEASURES, 1), MARKS):
        at, drawn = dict(legendgroup=name, row=1, col=place), figures.line(look[name])
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            fill="toself",
            fillcolor=look[name]["color"],
            opacity=0.2,
            line_width=0,
            hoverinfo="skip",
            showlegend=False,
            name=f"{name}, interval",
            **at,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            name=f"{name}, mean",
            line=drawn["line"],
            showlegend=place == 1,
            **at,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name=f"{name}, a run",
            showlegend=place == 1,
            opacity=0.6,
            marker=drawn["marker"] | {"color": look[name]["color"]},
            **at,
        )
    rate_axes(
        figure.update_layout(template=figures.TEMPLATE, height=470, margin=dict(t=72, b=140)),
        1,
        2,
        3,
    )

    @functools.cache
    def values(title, attack):
        return across(tables[title], attack)

    def compute(rate, attack, of):
        return {"values": values(of, attack), "table": tables[of], "attack": attack, "rate": rate}

    rates = sorted(set(over_rates(next(iter(tables.values())), PER_LAYER).strength))
    pruned = widgets.ToggleButtons(
        options=[("per layer", PER_LAYER), ("global", GLOBAL)],
        description="pruned",
        style=dict(button_width="auto"),
    )
    controls = {
        "rate": rate_slider(rates),
        "attack": pruned,
        "of": widgets.Dropdown(options=list(tables), description="on record"),
    }
    return Panel(
        figure,
        controls,
        compute,
        draw_figure4,
        first=1,
        presets={"Per layer, 90 %": {"rate": 0.9}, "Global, 90 %": {"rate": 0.9, "attack": GLOBAL}},
    )


def draw_figure4(figure, result):
    """Put what `figure4` computed into its figure."""
    traces = iter(figure.data)
    for means, runs in result["values"].values():
        known, column = means.dropna(subset=["low"]), runs.columns[1]
        band, line, dots = next(traces), next(traces), next(traces)
        band.update(
            x=[*known.strength, *known.strength[::-1]],
            y=[*known.low, *known.high[::-1]],
            name=band.name,
        )
        line.update(x=means.strength.tolist(), y=means["mean"].tolist(), name=line.name)
        dots.update(x=runs.strength.tolist(), y=runs[column].tolist(), name=dots.name)
    for shape in figure.layout.shapes:
        shape.x0 = shape.x1 = result["rate"]
    return sentence(result["table"], result["attack"], result["rate"])


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
            f"<b>{scheme}</b>: {key} of keys hit, {clean} of clean images right, {given} given the key label, "
            f"Ver says “marked” in {marked} of {len(runs)} runs"
        )
    said = f"{attack[0].upper()}{attack[1:]}, {rate:.0%}. {'; '.join(parts)}."
    for _, row in records.paired(at, "fresh_key_accuracy").dropna(subset=["p"]).iterrows():
        said += (
            f" Keys, new minus wrong, same seed: {100 * row['mean']:+.1f} points [{100 * row.low:+.1f}, "
            f"{100 * row.high:+.1f}], p = {row.p:.2g}."
        )
    return said


def tested(table, attack, column="fresh_key_accuracy"):
    """Paired tests at every rate of an attack, rows by strength: `records.paired` of a column, new
    label minus wrong label.
    """
    rows = over_rates(table, attack)
    return (
        pd.concat({rate: records.paired(at, column) for rate, at in rows.groupby("strength")})
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


def frontier(tables):
    """Panel: the map of clean accuracy lost against keys left, a scheme a plot; the loss that Bob
    bears is a line to drag.

    tables: those of `recorded`. Small dots are runs, large ones their means. Shaded: within Bob's
    loss, and Ver is more likely to acquit than to convict. Its `result` has costs and removed for
    each scheme, and loss.
    """
    figure = make_subplots(
        1, len(MARKS), shared_yaxes=True, subplot_titles=list(MARKS), horizontal_spacing=0.04
    )
    looks = dict(zip((PER_LAYER, GLOBAL, FINE), figures.SPARE, strict=False))
    for (place, _), (attack, look) in itertools.product(enumerate(MARKS, 1), looks.items()):
        at, drawn = dict(legendgroup=attack, row=1, col=place), figures.line(look)
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name=f"{attack}, a run",
            showlegend=False,
            opacity=0.35,
            hoverinfo="skip",
            marker=dict(color=look["color"], symbol=look["symbol"], size=5),
            **at,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines+markers+text",
            name=attack,
            showlegend=place == 1,
            textposition="middle right",
            hovertemplate="%{customdata}: %{x:.1f} points, %{y:.1%}",
            line=drawn["line"] | {"width": 1.5},
            marker=drawn["marker"] | {"color": look["color"], "size": 10},
            **at,
        )
    for place, name in enumerate(MARKS, 1):
        figure.add_shape(
            type="rect",
            x0=-3,
            x1=0,
            y0=-0.06,
            y1=limit(name),
            fillcolor=figures.COLOURS["unmarked"],
            opacity=0.25,
            line_width=0,
            layer="below",
            row=1,
            col=place,
        )
        figure.add_shape(
            type="line",
            x0=0,
            x1=0,
            y0=-0.06,
            y1=1.06,
            row=1,
            col=place,
            line=dict(color=figures.COLOURS["unmarked"], dash="dash", width=4),
        )
    figure.update_layout(template=figures.TEMPLATE, height=470)
    figure.update_yaxes(range=[-0.06, 1.06], tickformat=".0%").update_yaxes(
        title="fresh keys hit", col=1
    )
    figure.update_xaxes(
        title="clean accuracy<br>lost, points",
        range=[-3, FARTHEST + 3],
        tickvals=[0, 5, 10, 15, 20, 25, FARTHEST],
        ticktext=["0", "5", "10", "15", "20", "25", f"≥ {FARTHEST}"],
    )

    def compute(loss, of):
        table = tables[of]
        return {
            "loss": loss,
            "of": of,
            "table": table,
            "costs": {name: costs(table, name) for name in MARKS},
            "removed": {name: removed(table, name, loss) for name in MARKS},
        }

    controls = {
        "loss": widgets.FloatSlider(
            value=2,
            min=0,
            max=FARTHEST,
            step=0.5,
            description="loss that Bob bears, points",
            style=dict(description_width="initial"),
            layout=dict(width="480px"),
        ),
        "of": widgets.Dropdown(options=list(tables), description="on record"),
    }
    panel = Panel(
        figure,
        controls,
        compute,
        draw_frontier,
        first=1,
        presets={"2 points": {}, "5 points": {"loss": 5.0}},
    )

    def dragged(layout, shapes):
        """A line that was dragged in the picture moves the slider, to the nearest half point."""
        bears = panel.controls["loss"].value
        moved = next(
            (end for line in shapes[1::2] for end in (line.x0, line.x1) if end != bears), None
        )
        if moved is not None:
            panel.set(loss=float(np.clip(round(2 * moved) / 2, 0, FARTHEST)))

    # as in `live`; the lines alone, since what lies below the points cannot be dragged
    panel.figure._config = panel.figure._config | {"edits": {"shapePosition": True}}
    panel.figure.layout.on_change(dragged, "shapes")
    return panel


def draw_frontier(figure, result):
    """Put what `frontier` computed into its figure."""
    traces, table, parts = iter(figure.data), result["table"], []
    for name, attack in itertools.product(MARKS, (PER_LAYER, GLOBAL, FINE)):
        runs = table[(table.scheme == name) & (table.attack == attack)]
        means = result["costs"][name].query("attack == @attack")
        rates = [f"{rate:.0%}" for rate in means.strength]
        small, large = next(traces), next(traces)
        small.update(
            x=runs.lost.clip(upper=FARTHEST).tolist(),
            y=runs.fresh_key_accuracy.tolist(),
            name=small.name,
        )
        large.update(
            x=means.lost.clip(upper=FARTHEST).tolist(),
            y=means.key.tolist(),
            customdata=rates,
            name=large.name,
            text=rates if attack == FINE else [""] * len(rates),
        )
    for place, name in enumerate(MARKS):
        rectangle, line = figure.layout.shapes[2 * place : 2 * place + 2]
        rectangle.x1 = line.x0 = line.x1 = result["loss"]
        line.y0, line.y1 = -0.06, 1.06
        gone = [
            f"{row.attack} at {row.strength:.0%} ({row.acquitted} of {row.runs} runs)"
            for row in result["removed"][name].itertuples()
        ]
        parts.append(f"the <b>{name}</b> is removed by {', '.join(gone) or 'none of these'}")
    return f"On {result['of']}, for at most {result['loss']:g} points of clean accuracy, {'; '.join(parts)}."


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
    that every move is instant. `result` has runs (of `pruned`), now (the run of the rate), bars (of
    `histogram`), zeros, weights, and the settings.
    """
    names = layer_names(next(iter(networks.values()))[0])
    weights = {name: kernels(model) for name, (model, _) in networks.items()}

    @functools.cache
    def tried(network, scope):
        return pruned(*networks[network], data, secret, scope)

    def compute(rate, scope, network, layer):
        runs, place = tried(network, scope), names.index(layer)
        now, chosen = runs[RATES.index(rate)], slice(place - 1, place) if place else slice(None)
        flat, kept = (
            np.concatenate([one.ravel() for one in arrays[chosen]])
            for arrays in (weights[network], now["kept"])
        )
        return {
            "runs": runs,
            "now": now,
            "bars": histogram(flat, kept),
            "zeros": int((~kept).sum()),
            "weights": len(flat),
            "network": network,
            "scope": scope,
            "layer": layer,
        }

    figure = make_subplots(
        1, 2, column_widths=[0.45, 0.55], subplot_titles=("weights", "what the network answers")
    )
    for name, colour, shape in (
        ("kept", figures.COLOURS["unmarked"], ""),
        ("set to 0", figures.PALE, "/"),
    ):
        pattern = dict(shape=shape, fillmode="overlay", fgcolor="white")
        figure.add_bar(
            x=[],
            y=[],
            name=name,
            marker=dict(color=colour, line_width=0, pattern=pattern),
            row=1,
            col=1,
        )
    for name, look in figures.looks(MEASURES).items():
        figure.add_scatter(
            x=[], y=[], name=name, mode="lines+markers", **figures.line(look), row=1, col=2
        )
    figure.update_layout(
        template=figures.TEMPLATE, height=440, barmode="stack", bargap=0, legend_traceorder="normal"
    )
    figure.update_xaxes(title="value of a weight", col=1).update_yaxes(
        title="number of weights", col=1
    )
    rate_axes(figure, 2)
    controls = {
        "rate": rate_slider(RATES),
        "scope": widgets.ToggleButtons(
            options=[("per layer", "layer"), ("global", "global")],
            description="pruned",
            style=dict(button_width="auto"),
        ),
        "network": widgets.Dropdown(options=list(networks), description="network"),
        "layer": widgets.Dropdown(options=names, description="weights of"),
    }
    presets = {
        "Per layer, 80 %": {"rate": 0.8},
        "Global, 80 %": {"rate": 0.8, "scope": "global"},
        "First layer, per layer": {"rate": 0.8, "layer": names[1]},
        "First layer, global": {"rate": 0.8, "layer": names[1], "scope": "global"},
    }
    return Panel(figure, controls, compute, draw, presets, first=1)


def draw(figure, result):
    """Put what `cut` computed into its figure."""
    centres, *counts = result["bars"]
    for bar, values in zip(figure.data, counts, strict=False):
        bar.update(x=centres, y=values, name=bar.name)
    for line in figure.data[2:]:
        line.update(x=list(RATES), y=[run[line.name] for run in result["runs"]], name=line.name)
    figure.layout.shapes[0].x0 = figure.layout.shapes[0].x1 = result["now"]["rate"]
    key, clean, given = (f"{result['now'][name]:.1%}" for name in MEASURES)
    how = "of each layer" if result["scope"] == "layer" else "of all layers together"
    return (
        f"{result['now']['rate']:.0%} {how} pruned: of the {result['weights']:,} weights of {result['layer']}, "
        f"{result['zeros']:,} are 0. The network ({result['network']}) hits {key} of its fresh keys, gets {clean} of the clean "
        f"images right, and gives the key label to {given} of those that it is not the label of."
    )


def _by_hand(answer, layer, rate):
    answer, layer = np.asarray(answer, float), np.asarray(layer, float)
    if answer.shape != layer.shape:
        return (
            False,
            f"Hand in all {layer.size} weights, in their order: those that go become 0, they are not left out.",
        )
    if not np.all((answer == layer) | (answer == 0)):
        return False, "A weight either becomes 0 or stays as it is, sign and all."
    count = math.floor(fractions.Fraction(str(rate)) * layer.size)
    cut = np.flatnonzero((answer == 0) & (layer != 0))
    zeros = int((answer == 0).sum())
    if zeros != count:
        return False, (
            f"You have {zeros} zeros. At rate {rate:g}, ⌊{rate:g} · {layer.size}⌋ = {count} weights become 0, "
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
        "The 0 that was there counts as one of the smallest, and so pruning removed only two weights that did anything.",
    )


def _largest_rate(answer, table):
    answer = float(answer)
    rows = table[(table.attack == "pruning, global") & (table.scheme == "new label")]
    lost = rows.groupby("strength").lost.mean()
    if answer not in lost.index:
        return (
            False,
            f"{answer:g} is no rate on record: there are {', '.join(f'{rate:g}' for rate in lost.index)}.",
        )
    if lost[answer] > 2:
        return (
            False,
            f"At {answer:g} he loses {lost[answer]:.1f} points. Group by strength, take the mean of lost.",
        )
    if answer != lost.index[lost <= 2].max():
        return (
            False,
            f"At {answer:g} he loses {lost[answer]:.1f} points, which he bears; but a larger rate does, too.",
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
                f"“{attack}” at {strength:g} is not on record. Look at the columns attack and strength.",
            )
        found = tried.loc[(attack, strength)]
        if found.lost > 2:
            return (
                False,
                f"{attack} at {strength:g} costs {found.lost:.1f} points, more than Bob bears.",
            )
        return (
            False,
            f"After {attack} at {strength:g} Ver acquits in {found.gone:.0%} of the runs, which is not more than half.",
        )
    if given != right:
        return (
            False,
            f"That is {len(given)} of {len(right)}. Go through all attacks with “pruning” in their name, at all rates.",
        )
    return (
        True,
        "Pruning without tuning is not among them. It takes images, and that is what the next lesson is about.",
    )


CHECKS = {"07.1": _by_hand, "07.2": _largest_rate, "07.3": _removes}
