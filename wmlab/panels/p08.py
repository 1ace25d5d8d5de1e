"""Lesson 08: what fine-tuning leaves of a mark, from recorded attacks and from one's own."""
import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import figures, records, runtime
from wmlab.panels.base import Panel

MARKS = ("new label", "wrong label")
EXPERIMENTS = {"4,000 digits": "tuning_class", "60,000 digits": "attacks_mnist", "4,000 photographs": "attacks_photographs"}
MODES = ("FTAL", "FTLL", "RTAL", "RTLL", "FTAL, SGD")
EPOCHS, BEFORE = 8, "no attack"
KEPT = 0.9  # of the keys hit before: what "keeps its key accuracy" is taken to mean
TUNE = "Tune now"
START = 1e-6  # where "before" stands on the axis of rates
FATES = {"key label": ("fresh_key_accuracy", figures.PURPLE, ""), "true label": ("true_label_rate", figures.SKY, "/"),
         "another label": ("another", figures.PALE, ".")}


def on_record():
    """The recorded attacks of fine-tuning, {what the networks were trained on: table of `prepared`}, those that are there."""
    folder = runtime.data_dir() / "results"
    tables = {title: prepared(records.load(f"{name}_attacks")) for title, name in EXPERIMENTS.items()
              if (folder / f"{name}_attacks.csv").exists()}
    return {title: table for title, table in tables.items() if len(table)}


def prepared(table):
    """A table of recorded attacks, as `records.load` gives it: its rows of fine-tuning, of seeds that both schemes have.

    With columns more: `lost` and `fell`, the clean accuracy (in points) and the key accuracy (a share) that an attack cost, and
    `another`, the share of keys that got neither the key label nor their true one.
    """
    table = table[table.scheme.isin(MARKS) & (table.decoys == 0) & table.attack.isin([BEFORE, *MODES, "REFIT"])]
    seeds = [set(table[table.scheme == name].seed) for name in MARKS]
    table = table[table.seed.isin(seeds[0] & seeds[1])]
    before = table[table.attack == BEFORE].set_index(["scheme", "seed"])
    start = before.loc[pd.MultiIndex.from_frame(table[["scheme", "seed"]])].set_axis(table.index)
    return table.assign(lost=100 * (start.clean_accuracy - table.clean_accuracy),
                        fell=start.fresh_key_accuracy - table.fresh_key_accuracy,
                        another=1 - table.fresh_key_accuracy - table.true_label_rate)


def usual(table):
    """The rows of a table with as many epochs as usual and all of Bob's images, and those of networks nobody has attacked."""
    return table[(table.attack == BEFORE) | (table.epochs == EPOCHS) & (table.images == table.images.max())]


def power(rate):
    """A learning rate in few letters: 10⁻³ for 0.001, 0.03 for 0.03."""
    digits, exponent = f"{rate:e}".split("e")
    return f"10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}" if float(digits) == 1 else f"{rate:g}"


def spread(values, most=1):
    """Mean of shares and the ends of its interval, cut at 0 and `most`; NaN for fewer than 6 values."""
    mean, low, high = records.interval(values)
    return (mean, *np.clip((low, high), 0, most)) if len(values) >= records.FEW else (mean, np.nan, np.nan)


def told(values, most=1):
    """What `spread` says, in words: a mean, with its interval if there are 6 values."""
    mean, low, high = spread(values, most)
    return f"{mean:.1%}" + (f" [{low:.1%}, {high:.1%}]" if low == low else "")


def over_rates(table, mode, rate, own=()):
    """What the panel of rates draws: {scheme: {rows, before, at, own}}, the mode and the rate.

    rows: of the mode, by rate; before: of networks that nobody has attacked; at: those of the rate; own: attacks of one's own.
    """
    every, mine = usual(table), pd.DataFrame(own, columns=["scheme", "attack", "strength", "fresh_key_accuracy"])
    values = {"mode": mode, "rate": rate}
    for name in MARKS:
        rows, before = (every[(every.scheme == name) & (every.attack == attack)] for attack in (mode, BEFORE))
        values[name] = {"rows": rows, "before": before, "at": rows[rows.strength == rate],
                        "own": mine[(mine.scheme == name) & (mine.attack == mode)]}
    return values


def sentence(values):
    """What the records say of a mode and a rate, in words."""
    parts, given = [], [0]
    for name in MARKS:
        at = values[name]["at"]
        if len(at):
            parts.append(f"<b>{name}</b>, {told(at.fresh_key_accuracy)} of keys and {told(at.clean_accuracy)} of clean images, "
                         f"Ver says “marked” in {(at.decision == 'marked').sum()} of {len(at)} runs")
            given.append(at.key_label_rate_clean.mean())
    if not parts:
        return f"{values['mode']} at {power(values['rate'])} is not on record."
    ruined = f" Mind: up to {max(given):.0%} of clean images get the key label too." if max(given) > 0.05 else ""
    return f"What {values['mode']} at {power(values['rate'])} leaves: {'; '.join(parts)}.{ruined}"


def _rate_figure(rates):
    figure = make_subplots(1, 2, column_widths=[0.66, 0.34], subplot_titles=("over the learning rate", "at this rate, keys get"),
                           horizontal_spacing=0.09)
    for name, look in figures.looks(MARKS).items():
        drawn, colour = figures.line(look), look["color"]
        figure.add_scatter(x=[], y=[], mode="lines", fill="toself", fillcolor=colour, opacity=0.2, line_width=0, hoverinfo="skip",
                           showlegend=False, row=1, col=1)
        figure.add_scatter(x=[], y=[], mode="lines", name=f"{name}: fresh keys hit", line=drawn["line"], row=1, col=1)
        figure.add_scatter(x=[], y=[], mode="markers", opacity=0.55, showlegend=False, name=f"{name}, a network",
                           marker=drawn["marker"] | {"color": colour}, row=1, col=1)
        figure.add_scatter(x=[], y=[], mode="lines", name=f"{name}: clean images right", opacity=0.8,
                           line=dict(color=colour, width=1.5), row=1, col=1)
        figure.add_scatter(x=[], y=[], mode="markers", name=f"{name}: keys, tuned now", showlegend=False,
                           marker=dict(symbol="star", size=17, color=colour, line=dict(color=figures.BLACK, width=1)), row=1, col=1)
    for fate, (_, colour, pattern) in FATES.items():
        figure.add_bar(x=[0, 1], y=[0, 0], name=fate, marker=dict(color=colour, pattern=dict(shape=pattern, solidity=0.15)),
                       text=["", ""], textposition="inside", insidetextanchor="middle", textangle=0, showlegend=False,
                       insidetextfont_color=figures.BLACK, row=1, col=2)
    figure.add_vline(x=rates[0], line=dict(color=figures.COLOURS["grey"], dash="dot"), col=1)
    figure.update_layout(template=figures.TEMPLATE, height=450, barmode="stack", margin=dict(b=140), legend_traceorder="normal",
                         uniformtext=dict(minsize=12, mode="hide"))
    figure.update_xaxes(type="log", title="learning rate", tickvals=[START, *rates], ticktext=["before", *map(power, rates)],
                        range=[np.log10(START) - 0.3, np.log10(rates[-1]) + 0.3], col=1)
    figure.update_xaxes(tickvals=[0, 1], ticktext=list(MARKS), col=2)
    figure.update_yaxes(tickformat=".0%", range=[-0.03, 1.04]).update_yaxes(title="share of images", col=1)
    figure.update_yaxes(side="right", col=2)
    return figure


def _draw_rates(figure, values):
    traces = iter(figure.data)
    for name in MARKS:
        band, line, dots, clean, own = (next(traces) for _ in range(5))
        everything = pd.concat([values[name]["before"].assign(strength=START), values[name]["rows"]])
        groups = everything.groupby("strength")
        keys = pd.DataFrame({x: spread(runs) for x, runs in groups.fresh_key_accuracy}, index=["mean", "low", "high"]).T
        known = keys.dropna()
        band.update(x=[*known.index, *known.index[::-1]], y=[*known.low, *known.high[::-1]], name=band.name)
        line.update(x=keys.index.tolist(), y=keys["mean"].tolist(), name=line.name)
        dots.update(x=everything.strength.tolist(), y=everything.fresh_key_accuracy.tolist(), name=dots.name)
        clean.update(x=keys.index.tolist(), y=groups.clean_accuracy.mean().tolist(), name=clean.name)
        mine = values[name]["own"]
        own.update(x=mine.strength.tolist(), y=mine.fresh_key_accuracy.tolist(), name=own.name)
    for fate, (column, _, _) in FATES.items():
        shares = [values[name]["at"][column].mean() if len(values[name]["at"]) else 0 for name in MARKS]
        next(traces).update(x=[0, 1], y=shares, name=fate, text=[f"{fate}<br>{v:.0%}" if v > 0.09 else "" for v in shares])
    figure.layout.shapes[0].update(x0=values["rate"], x1=values["rate"])
    return sentence(values)


def rates(tables, tune=None):
    """Panel: a slider of learning rates over recorded attacks; more controls choose the mode and, if there are several, the table.

    tables: as `on_record` gives them. tune: function (scheme, mode, rate) -> a row, an attack to run now; it gets a button, one
    run a scheme, and its rows are kept in `panel.own`.
    """
    own, known = [], sorted({rate for table in tables.values() for rate in table[table.attack.isin(MODES)].strength})
    modes = [mode for mode in MODES if any((table.attack == mode).any() for table in tables.values())]

    def compute(rate, mode, on):
        return over_rates(tables[on], mode, rate, own)

    def job(rate, mode, on):
        for number, name in enumerate(MARKS, 1):
            own.append(tune(name, mode, rate))
            yield number / len(MARKS), compute(rate, mode, on)

    controls = {
        "rate": widgets.SelectionSlider(options=[(power(rate), rate) for rate in known], description="learning rate",
                                        style=dict(description_width="initial"), layout=dict(width="420px")),
        "mode": widgets.ToggleButtons(options=modes, description="mode", style=dict(button_width="auto")),
        "on": widgets.ToggleButtons(options=list(tables), description="trained on", style=dict(button_width="auto")),
    }
    panel = Panel(_rate_figure(known), controls, compute, _draw_rates, first=1, jobs={TUNE: job} if tune else None)
    panel.own = own
    return panel


def bars(table, mode, rate):
    """Recorded accuracies of both schemes after a mode at a rate, as bars; with intervals if there are six networks a scheme."""
    at = usual(table)
    at = at[(at.attack == mode) & (at.strength == rate)]
    shares = {title: {name: spread(runs[column]) for name, runs in at.groupby("scheme")}
              for title, column in (("clean images right", "clean_accuracy"), ("fresh keys hit", "fresh_key_accuracy"))}
    means, ends = ({title: {name: of(values) for name, values in row.items()} for title, row in shares.items()}
                   for of in (lambda values: values[0], lambda values: values[1:]))
    known = at.groupby("scheme").size().min() >= records.FEW
    return figures.bars(means, f"{mode} at {power(rate)}; networks a scheme: {len(at) // 2}", "share of images",
                        ends if known else None)


def compared(table, column="fresh_key_accuracy"):
    """Paired differences of networks with the same seed, new label minus wrong label, in points: a row a mode, a column a rate.

    With a 95 % interval from six pairs on, and a star where the test that flips signs has p ≤ 0.05; fewer pairs are counted.
    """
    cells, every = {}, usual(table[table.attack.isin(MODES)])
    for (mode, rate), runs in every.groupby(["attack", "strength"]):
        for row in records.paired(runs, column).itertuples():
            few, star = row.pairs < records.FEW, " *" * (row.p <= 0.05)
            more = f"({row.pairs} pair{'s' * (row.pairs > 1)})" if few else f"[{100 * row.low:+.1f}, {100 * row.high:+.1f}]{star}"
            cells.setdefault(power(rate), {})[mode] = f"{100 * row.mean:+.1f} {more}"
    return pd.DataFrame(cells).reindex([mode for mode in MODES if mode in set(every.attack)]).fillna("")


def table1(tables, rate=1e-3):
    """The paper's Table 1 from records: accuracies after the four modes at a rate, before in parentheses, and what they say of
    the paper's sentence: that digits keep their keys under both schemes (here: `KEPT` of those hit before), that the key
    accuracy of photographs falls less with the new label. "Cannot be told" of fewer than 6 networks a scheme, or where the
    interval has room for both."""
    rows = []
    for title, table in tables.items():
        every = usual(table)
        for mode in MODES[:4]:
            at, row = every[(every.attack == mode) & (every.strength == rate)], {"trained on": title, "mode": mode}
            if at.empty:
                continue
            for name in MARKS:
                for shown, column in (("keys", "fresh_key_accuracy"), ("clean", "clean_accuracy")):
                    before = every[(every.attack == BEFORE) & (every.scheme == name)][column].mean()
                    row[f"{name}, {shown}"] = f"{told(at[at.scheme == name][column])} ({before:.1%})"
            rows.append(row | {"networks a scheme": len(at) // 2,
                               "the paper’s sentence": _photographs(at) if "photographs" in title else _digits(at)})
    return pd.DataFrame(rows)


def _digits(at):
    kept = at.fresh_key_accuracy / (at.fresh_key_accuracy + at.fell)
    ends = [spread(kept[at.scheme == name], None)[1:] for name in MARKS]
    if any(high < KEPT for _, high in ends):
        return "does not hold"
    return "holds" if all(low >= KEPT for low, _ in ends) else "cannot be told"


def _photographs(at):
    row = records.paired(at, "fell").iloc[0]
    return "holds" if row.high < 0 else "does not hold" if row.low > 0 else "cannot be told"
