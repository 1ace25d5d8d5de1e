"""Lesson 08: what fine-tuning leaves of a mark, from recorded attacks and from one's own.

Lesson 08, the map: what every recorded fine-tuning costs Bob, and what it leaves of the mark.
Checks of notebook 08, fine-tuning.
"""

import itertools
import math

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import records, runtime, stats
from wmlab.show import figures
from wmlab.show.old_panel import Panel
from wmlab.verification import limit

MARKS = ("new label", "wrong label")
EXPERIMENTS = {
    "4,000 digits": "tuning_class",
    "60,000 digits": "attacks_mnist",
    "4,000 photographs": "attacks_photographs",
}
MODES = ("FTAL", "FTLL", "RTAL", "RTLL", "FTAL, SGD")
EPOCHS, BEFORE = 8, "no attack"
KEPT = 0.9  # of the keys hit before: what "keeps its key accuracy" is taken to mean
TUNE = "Tune now"
START = 1e-6  # where "before" stands on the axis of rates
FATES = {
    "key label": ("fresh_key_accuracy", figures.PURPLE, ""),
    "true label": ("true_label_rate", figures.SKY, "/"),
    "another label": ("another", figures.PALE, "."),
}


def on_record():
    """The recorded attacks of fine-tuning, {what the networks were trained on: table of
    `prepared`}, those that are there.
    """
    folder = runtime.data_dir() / "results"
    tables = {
        title: prepared(records.load(f"{name}_attacks"))
        for title, name in EXPERIMENTS.items()
        if (folder / f"{name}_attacks.csv").exists()
    }
    return {title: table for title, table in tables.items() if len(table)}


def prepared(table):
    """A table of recorded attacks, as `records.load` gives it: its rows of fine-tuning, of seeds
    that both schemes have.

    With columns more: `lost` and `fell`, the clean accuracy (in points) and the key accuracy (a
    share) that an attack cost, and `another`, the share of keys that got neither the key label nor
    their true one.
    """
    table = table[
        table.scheme.isin(MARKS)
        & (table.decoys == 0)
        & table.attack.isin([BEFORE, *MODES, "REFIT"])
    ]
    seeds = [set(table[table.scheme == name].seed) for name in MARKS]
    table = table[table.seed.isin(seeds[0] & seeds[1])]
    before = table[table.attack == BEFORE].set_index(["scheme", "seed"])
    start = before.loc[pd.MultiIndex.from_frame(table[["scheme", "seed"]])].set_axis(table.index)
    return table.assign(
        lost=100 * (start.clean_accuracy - table.clean_accuracy),
        fell=start.fresh_key_accuracy - table.fresh_key_accuracy,
        another=1 - table.fresh_key_accuracy - table.true_label_rate,
    )


def usual(table):
    """The rows of a table with as many epochs as usual and all of Bob's images, and those of
    networks nobody has attacked.
    """
    return table[
        (table.attack == BEFORE) | (table.epochs == EPOCHS) & (table.images == table.images.max())
    ]


def power(rate):
    """A learning rate in few letters: 10⁻³ for 0.001, 0.03 for 0.03."""
    digits, exponent = f"{rate:e}".split("e")
    return (
        f"10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"
        if float(digits) == 1
        else f"{rate:g}"
    )


def spread(values, most=1):
    """Mean of shares and the ends of its interval, cut at 0 and `most`; NaN for fewer than 6
    values.
    """
    mean, low, high = stats.interval(values)
    return (
        (mean, *np.clip((low, high), 0, most))
        if len(values) >= stats.FEW
        else (mean, np.nan, np.nan)
    )


def told(values, most=1):
    """What `spread` says, in words: a mean, with its interval if there are 6 values."""
    mean, low, high = spread(values, most)
    return f"{mean:.1%}" + (f" [{low:.1%}, {high:.1%}]" if low == low else "")


def over_rates(table, mode, rate, own=()):
    """What the panel of rates draws: {scheme: {rows, before, at, own}}, the mode and the rate.

    rows: of the mode, by rate; before: of networks that nobody has attacked; at: those of the rate;
    own: attacks of one's own.
    """
    every, mine = (
        usual(table),
        pd.DataFrame(own, columns=["scheme", "attack", "strength", "fresh_key_accuracy"]),
    )
    values = {"mode": mode, "rate": rate}
    for name in MARKS:
        rows, before = (
            every[(every.scheme == name) & (every.attack == attack)] for attack in (mode, BEFORE)
        )
        values[name] = {
            "rows": rows,
            "before": before,
            "at": rows[rows.strength == rate],
            "own": mine[(mine.scheme == name) & (mine.attack == mode)],
        }
    return values


def sentence(values):
    """What the records say of a mode and a rate, in words."""
    parts, given = [], [0]
    for name in MARKS:
        at = values[name]["at"]
        if len(at):
            parts.append(
                f"<b>{name}</b>, {told(at.fresh_key_accuracy)} of keys and {told(at.clean_accuracy)} of clean images, "
                f"Ver says “marked” in {(at.decision == 'marked').sum()} of {len(at)} runs"
            )
            given.append(at.key_label_rate_clean.mean())
    if not parts:
        return f"{values['mode']} at {power(values['rate'])} is not on record."
    ruined = (
        f" Mind: up to {max(given):.0%} of clean images get the key label too."
        if max(given) > 0.05
        else ""
    )
    return f"What {values['mode']} at {power(values['rate'])} leaves: {'; '.join(parts)}.{ruined}"


def _rate_figure(rates):
    figure = make_subplots(
        1,
        2,
        column_widths=[0.66, 0.34],
        subplot_titles=("over the learning rate", "at this rate, keys get"),
        horizontal_spacing=0.09,
    )
    for name, look in figures.looks(MARKS).items():
        drawn, colour = figures.line(look), look["color"]
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            fill="toself",
            fillcolor=colour,
            opacity=0.2,
            line_width=0,
            hoverinfo="skip",
            showlegend=False,
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            name=f"{name}: fresh keys hit",
            line=drawn["line"],
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            opacity=0.55,
            showlegend=False,
            name=f"{name}, a network",
            marker=drawn["marker"] | {"color": colour},
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="lines",
            name=f"{name}: clean images right",
            opacity=0.8,
            line=dict(color=colour, width=1.5),
            row=1,
            col=1,
        )
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name=f"{name}: keys, tuned now",
            showlegend=False,
            marker=dict(
                symbol="star", size=17, color=colour, line=dict(color=figures.BLACK, width=1)
            ),
            row=1,
            col=1,
        )
    for fate, (_, colour, pattern) in FATES.items():
        figure.add_bar(
            x=[0, 1],
            y=[0, 0],
            name=fate,
            marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.15)),
            text=["", ""],
            textposition="inside",
            insidetextanchor="middle",
            textangle=0,
            showlegend=False,
            insidetextfont_color=figures.BLACK,
            row=1,
            col=2,
        )
    figure.add_vline(x=rates[0], line=dict(color=figures.COLOURS["grey"], dash="dot"), col=1)
    figure.update_layout(
        template=figures.TEMPLATE,
        height=450,
        barmode="stack",
        margin=dict(b=140),
        legend_traceorder="normal",
        uniformtext=dict(minsize=12, mode="hide"),
    )
    figure.update_xaxes(
        type="log",
        title="learning rate",
        tickvals=[START, *rates],
        ticktext=["before", *map(power, rates)],
        range=[np.log10(START) - 0.3, np.log10(rates[-1]) + 0.3],
        col=1,
    )
    figure.update_xaxes(tickvals=[0, 1], ticktext=list(MARKS), col=2)
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.04]).update_yaxes(
        title="share of images", col=1
    )
    figure.update_yaxes(side="right", col=2)
    return figure


def _draw_rates(figure, values):
    traces = iter(figure.data)
    for name in MARKS:
        band, line, dots, clean, own = (next(traces) for _ in range(5))
        everything = pd.concat(
            [values[name]["before"].assign(strength=START), values[name]["rows"]]
        )
        groups = everything.groupby("strength")
        keys = pd.DataFrame(
            {x: spread(runs) for x, runs in groups.fresh_key_accuracy},
            index=["mean", "low", "high"],
        ).T
        known = keys.dropna()
        band.update(
            x=[*known.index, *known.index[::-1]], y=[*known.low, *known.high[::-1]], name=band.name
        )
        line.update(x=keys.index.tolist(), y=keys["mean"].tolist(), name=line.name)
        dots.update(
            x=everything.strength.tolist(), y=everything.fresh_key_accuracy.tolist(), name=dots.name
        )
        clean.update(
            x=keys.index.tolist(), y=groups.clean_accuracy.mean().tolist(), name=clean.name
        )
        mine = values[name]["own"]
        own.update(x=mine.strength.tolist(), y=mine.fresh_key_accuracy.tolist(), name=own.name)
    for fate, (column, _, _) in FATES.items():
        shares = [
            values[name]["at"][column].mean() if len(values[name]["at"]) else 0 for name in MARKS
        ]
        next(traces).update(
            x=[0, 1],
            y=shares,
            name=fate,
            text=[f"{fate}<br>{v:.0%}" if v > 0.09 else "" for v in shares],
        )
    figure.layout.shapes[0].update(x0=values["rate"], x1=values["rate"])
    return sentence(values)


def rates(tables, tune=None):
    """Panel: a slider of learning rates over recorded attacks; more controls choose the mode and,
    if there are several, the table.

    tables: as `on_record` gives them. tune: function (scheme, mode, rate) -> a row, an attack to
    run now; it gets a button, one run a scheme, and its rows are kept in `panel.own`.
    """
    own, known = (
        [],
        sorted(
            {rate for table in tables.values() for rate in table[table.attack.isin(MODES)].strength}
        ),
    )
    modes = [
        mode for mode in MODES if any((table.attack == mode).any() for table in tables.values())
    ]

    def compute(rate, mode, on):
        return over_rates(tables[on], mode, rate, own)

    def job(rate, mode, on):
        for number, name in enumerate(MARKS, 1):
            own.append(tune(name, mode, rate))
            yield number / len(MARKS), compute(rate, mode, on)

    controls = {
        "rate": widgets.SelectionSlider(
            options=[(power(rate), rate) for rate in known],
            description="learning rate",
            style=dict(description_width="initial"),
            layout=dict(width="420px"),
        ),
        "mode": widgets.ToggleButtons(
            options=modes, description="mode", style=dict(button_width="auto")
        ),
        "on": widgets.ToggleButtons(
            options=list(tables), description="trained on", style=dict(button_width="auto")
        ),
    }
    panel = Panel(
        _rate_figure(known),
        controls,
        compute,
        _draw_rates,
        first=1,
        jobs={TUNE: job} if tune else None,
    )
    panel.own = own
    return panel


def bars(table, mode, rate):
    """Recorded accuracies of both schemes after a mode at a rate, as bars; with intervals if there
    are six networks a scheme.
    """
    at = usual(table)
    at = at[(at.attack == mode) & (at.strength == rate)]
    shares = {
        title: {name: spread(runs[column]) for name, runs in at.groupby("scheme")}
        for title, column in (
            ("clean images right", "clean_accuracy"),
            ("fresh keys hit", "fresh_key_accuracy"),
        )
    }
    means, ends = (
        {title: {name: of(values) for name, values in row.items()} for title, row in shares.items()}
        for of in (lambda values: values[0], lambda values: values[1:])
    )
    known = at.groupby("scheme").size().min() >= stats.FEW
    return figures.bars(
        means,
        f"{mode} at {power(rate)}; networks a scheme: {len(at) // 2}",
        "share of images",
        ends if known else None,
    )


def compared(table, column="fresh_key_accuracy"):
    """Paired differences of networks with the same seed, new label minus wrong label, in points: a
    row a mode, a column a rate.

    With a 95 % interval from six pairs on, and a star where the test that flips signs has p ≤ 0.05;
    fewer pairs are counted.
    """
    cells, every = {}, usual(table[table.attack.isin(MODES)])
    for (mode, rate), runs in every.groupby(["attack", "strength"]):
        for row in stats.paired(runs, column).itertuples():
            few, star = row.pairs < stats.FEW, " *" * (row.p <= 0.05)
            more = (
                f"({row.pairs} pair{'s' * (row.pairs > 1)})"
                if few
                else f"[{100 * row.low:+.1f}, {100 * row.high:+.1f}]{star}"
            )
            cells.setdefault(power(rate), {})[mode] = f"{100 * row.mean:+.1f} {more}"
    return (
        pd.DataFrame(cells)
        .reindex([mode for mode in MODES if mode in set(every.attack)])
        .fillna("")
    )


def table1(tables, rate=1e-3):
    """The paper's Table 1 from records: accuracies after the four modes at a rate, before in
    parentheses, and what they say of the paper's sentence: that digits keep their keys under both
    schemes (here: `KEPT` of those hit before), that the key accuracy of photographs falls less with
    the new label. "Cannot be told" of fewer than 6 networks a scheme, or where the interval has
    room for both.
    """
    rows = []
    for title, table in tables.items():
        every = usual(table)
        for mode in MODES[:4]:
            at, row = (
                every[(every.attack == mode) & (every.strength == rate)],
                {"trained on": title, "mode": mode},
            )
            if at.empty:
                continue
            for name in MARKS:
                for shown, column in (("keys", "fresh_key_accuracy"), ("clean", "clean_accuracy")):
                    before = every[(every.attack == BEFORE) & (every.scheme == name)][column].mean()
                    row[f"{name}, {shown}"] = (
                        f"{told(at[at.scheme == name][column])} ({before:.1%})"
                    )
            rows.append(
                row
                | {
                    "networks a scheme": len(at) // 2,
                    "the paper’s sentence": _photographs(at)
                    if "photographs" in title
                    else _digits(at),
                }
            )
    return pd.DataFrame(rows)


def _digits(at):
    kept = at.fresh_key_accuracy / (at.fresh_key_accuracy + at.fell)
    ends = [spread(kept[at.scheme == name], None)[1:] for name in MARKS]
    if any(high < KEPT for _, high in ends):
        return "does not hold"
    return "holds" if all(low >= KEPT for low, _ in ends) else "cannot be told"


def _photographs(at):
    row = stats.paired(at, "fell").iloc[0]
    return "holds" if row.high < 0 else "does not hold" if row.low > 0 else "cannot be told"


SETTING = ["attack", "strength", "epochs", "images"]
ALONG = {"learning rate": "strength", "epochs": "epochs", "images": "images"}
VARIED = (1e-4, 1e-3, 1e-2)  # rates at which epochs and images were varied
SIDES = (
    "middle right",
    "middle left",
    "top right",
    "top left",
)  # of a mark, for the text of a path
FARTHEST, LEAST, MOST = (
    20,
    -5,
    15,
)  # points: losses beyond FARTHEST are not told apart; ends of the picture and of the slider


def settings(table):
    """What each setting did to the networks of each scheme, a row each: runs, and the means of lost
    (points) and keys, and acquitted, the share of runs that Ver no longer calls marked.
    """
    rows = table[table.attack != BEFORE].assign(acquitted=table.decision == "not marked")
    return (
        rows.groupby(["scheme", *SETTING])
        .agg(
            runs=("seed", "size"),
            lost=("lost", "mean"),
            keys=("fresh_key_accuracy", "mean"),
            acquitted=("acquitted", "mean"),
        )
        .reset_index()
    )


def removed(means, scheme, loss):
    """The settings, rows of `settings`, that lose at most so many points on average and after which
    Ver acquits most runs.
    """
    return means[(means.scheme == scheme) & (means.lost <= loss) & (means.acquitted > 0.5)]


def paths(means, along):
    """Settings that differ in one thing alone, in its order: {name: rows of `settings`}. means: of
    one scheme.
    """
    full, tuned = means.images == means.images.max(), means.attack == "FTAL"
    if along == "learning rate":
        return {
            mode: means[(means.attack == mode) & full & (means.epochs == EPOCHS)].sort_values(
                "strength"
            )
            for mode in ("FTAL", "FTLL", "FTAL, SGD", "REFIT")
        }
    fixed = full if along == "epochs" else means.epochs == EPOCHS
    return {
        f"FTAL at {power(rate)}": means[tuned & fixed & (means.strength == rate)].sort_values(along)
        for rate in VARIED
    }


def described(row):
    """A setting in words: a row of `settings`."""
    return f"{row.attack} at {power(row.strength)}, {row.epochs} epochs, {row.images} images"


def frontier(tables):
    """Panel: clean accuracy lost against keys left, a scheme a plot and a dot a setting; the loss
    that Bob bears is a line to drag.

    tables: as `fine_tuning.on_record` gives them. Lines join settings that differ in one thing.
    Shaded: within Bob's loss, and Ver is more likely to acquit than to convict. Its `result` has
    settings, paths, removed, loss and along.
    """

    def compute(loss, along, on):
        means = settings(tables[on])
        return {
            "loss": loss,
            "along": along,
            "settings": means,
            "removed": {name: removed(means, name, loss) for name in MARKS},
            "paths": {name: paths(means[means.scheme == name], along) for name in MARKS},
        }

    controls = {
        "loss": widgets.FloatSlider(
            value=2,
            min=0,
            max=MOST,
            step=0.5,
            description="loss that Bob bears, points",
            style=dict(description_width="initial"),
            layout=dict(width="480px"),
        ),
        "along": widgets.ToggleButtons(
            options=list(ALONG), description="lines over", style=dict(button_width="auto")
        ),
        "on": widgets.ToggleButtons(
            options=list(tables), description="trained on", style=dict(button_width="auto")
        ),
    }
    panel = Panel(_figure(), controls, compute, _draw, first=2)

    def dragged(_, shapes):
        """A line that was dragged in the picture moves the slider, to the nearest half point."""
        moved = next(
            (
                end
                for line in shapes[1::2]
                for end in (line.x0, line.x1)
                if end != controls["loss"].value
            ),
            None,
        )
        if moved is not None:
            panel.set(loss=float(np.clip(round(2 * moved) / 2, 0, MOST)))

    panel.figure._config = panel.figure._config | {
        "edits": {"shapePosition": True}
    }  # else the marks keep the mouse from the line
    panel.figure.layout.on_change(dragged, "shapes")
    return panel


def _figure():
    figure = make_subplots(
        1, len(MARKS), shared_yaxes=True, subplot_titles=list(MARKS), horizontal_spacing=0.04
    )
    looks = figures.SPARE
    for place, _ in enumerate(MARKS, 1):
        figure.add_scatter(
            x=[],
            y=[],
            mode="markers",
            name="every setting",
            showlegend=False,
            row=1,
            col=place,
            marker=dict(color=figures.COLOURS["grey"], size=7),
            opacity=0.5,
            hovertemplate="%{text}: %{customdata:.1f} points, %{y:.1%}<extra></extra>",
        )
        for number, look in enumerate(looks):
            drawn = figures.line(look)
            figure.add_scatter(
                x=[],
                y=[],
                mode="lines+markers+text",
                legendgroup=str(number),
                showlegend=place == 1,
                name=" ",
                textposition=SIDES[number],
                hoverinfo="skip",
                cliponaxis=False,
                line=drawn["line"] | {"width": 1.5},
                marker=drawn["marker"] | {"color": look["color"], "size": 10},
                row=1,
                col=place,
            )
    for place, name in enumerate(MARKS, 1):
        figure.add_shape(
            type="rect",
            x0=LEAST,
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
    figure.update_layout(template=figures.TEMPLATE, height=500)
    figure.update_yaxes(range=[-0.06, 1.06], tickformat=".0%").update_yaxes(
        title="fresh keys left", col=1
    )
    figure.update_xaxes(
        title="clean accuracy<br>lost, points",
        range=[LEAST, FARTHEST + 3],
        tickvals=[0, 5, 10, 15, FARTHEST],
        ticktext=["0", "5", "10", "15", f"≥ {FARTHEST}"],
    )
    return figure


def _draw(figure, values):
    traces, column, parts = iter(figure.data), ALONG[values["along"]], []
    for name in MARKS:
        means = values["settings"][values["settings"].scheme == name]
        next(traces).update(
            x=means.lost.clip(LEAST, FARTHEST).tolist(),
            y=means["keys"].tolist(),
            name="every setting",
            customdata=means.lost.tolist(),
            text=[described(row) for row in means.itertuples()],
        )
        drawn = [*values["paths"][name].items(), *[(" ", means[:0])] * 4]
        for label, rows in itertools.islice(drawn, 4):
            # where nearly all keys are left the settings lie upon each other
            texts = [
                (power(value) if column == "strength" else str(value)) if keys < 0.9 else ""
                for value, keys in zip(rows[column], rows["keys"], strict=True)
            ]
            next(traces).update(
                x=rows.lost.clip(LEAST, FARTHEST).tolist(),
                y=rows["keys"].tolist(),
                text=texts,
                name=label,
            )
        parts.append(f"{len(values['removed'][name])} of {len(means)} settings remove the {name}")
    for place in range(len(MARKS)):
        rectangle, line = figure.layout.shapes[2 * place : 2 * place + 2]
        rectangle.x1 = line.x0 = line.x1 = values["loss"]
        line.y0, line.y1 = -0.06, 1.06
    return f"For at most {values['loss']:g} points of clean accuracy, {' and '.join(parts)}."


def _cheapest(answer, means):
    mode, rate = answer
    new = means[(means.scheme == "new label") & (means.acquitted > 0.5)]
    tried = means[(means.attack == mode) & (abs(means.strength - float(rate)) < 1e-9)]
    if tried.empty:
        modes = ", ".join(f"“{name}”" for name in means.attack.unique())
        return (
            False,
            f"{mode} at {rate} is not on record. Modes are {modes}; rates are numbers such as 0.001.",
        )
    if not len(ends := new[(new.attack == mode) & (abs(new.strength - float(rate)) < 1e-9)]):
        return (
            False,
            "There Ver still says “marked” of most of the new-label networks. Keep the rows with acquitted > 0.5 first.",
        )
    best = new.sort_values("lost").iloc[0]
    if (mode, float(rate)) != (best.attack, best.strength):
        cost = f"{ends.lost.min():.1f} points"
        return (
            False,
            f"That ends the mark for {cost}. Another setting costs less: sort those that end it by lost.",
        )
    other = means[
        (means.scheme == "wrong label") & (means.attack == mode) & (means.strength == best.strength)
    ]
    kept = (
        f" The wrong label keeps {other['keys'].max():.0%} of its keys there." if len(other) else ""
    )
    return (
        True,
        f"It costs Bob {best.lost:.1f} points and leaves {best['keys']:.1%} of the keys.{kept}",
    )


def _omega(answer):
    before, after = 0.98, (0.91, 0.73, 0.6, 0.44, 0.28)
    mean = sum(after) / len(after)
    if math.isclose(answer, mean / before, abs_tol=2e-3):
        return (
            True,
            "Three fifths on the way, and less than a third is left in the end: Ω is a mean over the way, so look at both.",
        )
    if math.isclose(answer, mean, abs_tol=2e-3):
        return (
            False,
            "That is the mean of what is left. Ω measures it against the accuracy before: divide.",
        )
    if math.isclose(answer, (sum(after) + before) / 6 / before, abs_tol=2e-3):
        return (
            False,
            "You counted “before” as a session. It is what the sessions are measured against, and not one of them.",
        )
    if math.isclose(answer, after[-1] / before, abs_tol=2e-3):
        return False, "That is what is left in the end. Ω is a mean over all five sessions."
    return False, "Divide each accuracy by the one before, and take the mean of the five."


def _restored(answer, untouched):
    if math.isclose(answer, untouched, abs_tol=2e-3):
        return True, (
            "All other layers were frozen, so with her layer back it is the stolen network, weight by weight. No mark "
            "can fail this test, and a test that nothing fails shows no robustness."
        )
    if answer < 0.05:
        return (
            False,
            "That is what Bob's network hits, with his layer. Now Alice's is back: which weights still differ from hers?",
        )
    return (
        False,
        "List the layers that RTLL moved. Put Alice's last layer back. Which weights are still not hers?",
    )


CHECKS = {"08.1": _cheapest, "08.2": _omega, "08.3": _restored}
