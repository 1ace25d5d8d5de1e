"""Lesson 10, continued: every attack on record as a point, its price against what it leaves; and attack against reply."""
import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import figures, records, runtime
from wmlab.attacks.extraction import ANSWERS
from wmlab.campaign import EPOCHS, UNTOUCHED
from wmlab.panels.base import Panel

EXPERIMENTS = {"4,000 digits": ("attacks_class_attacks", "tuning_class_attacks", "replies_class_attacks"),
               "60,000 digits": ("attacks_mnist_attacks",), "4,000 photographs": ("attacks_photographs_attacks",)}
DECOYS = "with decoys"
WORTH = 0.05  # a verdict is worth nothing where more clean images than that get the key label
# points of clean accuracy: where the axis begins, the most that Bob may bear, and where all is drawn that costs more
LEAST, MOST, FARTHEST = -2, 10, 20
# family: colour (Okabe and Ito), symbol, the attacks that belong to it
FAMILIES = {
    "the extra output": (figures.VERMILLION, "square",
                         ("drop the output", "drop all extra outputs", "lower its bias", "second best")),
    "pruning": (figures.BLUE, "circle", ("pruning, per layer", "pruning, global", "fine-pruning")),
    "fine-tuning": (figures.GREEN, "diamond", ("FTAL", "FTLL", "RTAL", "RTLL", "FTAL, SGD", "REFIT")),
    "weights blurred": (figures.PURPLE, "cross", ("quantisation", "noise on weights")),
    "a copy from answers": (figures.ORANGE, "triangle-up", tuple(f"extraction, {answers}" for answers in ANSWERS)),
    "a second mark": (figures.SKY, "pentagon", ("overwriting, another label", "overwriting, the same label")),
    "queries changed": (figures.DARK, "x", ("JPEG", "median", "bit depth", "noise on queries", "random answers to noisy images")),
}
NAMES = {"JPEG": "quality {:g}", "median": "{:g} pixels", "quantisation": "{:g} bits", "bit depth": "{:g} bits",
         "noise on weights": "{:g} deviations", "noise on queries": "variance {:g}", "lower its bias": "by {:g}"}
CASE = ["attack", "strength", "epochs", "images"]


def tables():
    """Recorded attacks, {title: table}, of the experiments whose results are there. Columns beside those on record: `mark`, the
    scheme, or "with decoys"; `lost`, clean accuracy below that of the same network before; `proved`: the judge says "marked"
    and at most 5 % of clean images get the key label."""
    folder = runtime.data_dir() / "results"
    found = {title: [records.load(name) for name in names if (folder / f"{name}.csv").exists()]
             for title, names in EXPERIMENTS.items()}
    return {title: prepared(pd.concat(parts, ignore_index=True)) for title, parts in found.items() if parts}


def prepared(table):
    """A table of attacks with the columns that `tables` adds."""
    table = table.assign(mark=table.scheme.mask(table.decoys > 0, DECOYS))
    runs = ["experiment", "mark", "seed"]
    before = table[table.attack == UNTOUCHED].groupby(runs).clean_accuracy.first().rename("before")
    table = table.join(before, on=runs)
    return table.assign(lost=table.before - table.clean_accuracy,
                        proved=(table.decision == "marked") & (table.key_label_rate_clean <= WORTH))


def named(attack, strength):
    """An attack and its strength in words."""
    if strength is None or np.isnan(strength):
        return attack
    how = NAMES.get(attack, "{:g} %" if "pruning" in attack else "rate {:g}")
    return f"{attack}, {how.format(100 * strength if 'pruning' in attack else strength)}"


def points(table, mark):
    """A row for each attack and strength on a mark: means of `lost`, key accuracy `keys` and seconds over seeds, their 95 %
    intervals from six seeds on (else NaN), `runs`, and how often it was still `proved`."""
    rows = []
    for case, runs in table[(table.mark == mark) & (table.attack != UNTOUCHED)].groupby(CASE, dropna=False, sort=False):
        row = dict(zip(CASE, case, strict=True))
        row |= {"runs": len(runs), "proved": int(runs.proved.sum()), "seconds": runs.seconds.mean()}
        for name, column in (("lost", "lost"), ("keys", "fresh_key_accuracy")):
            mean, low, high = records.interval(runs[column])
            if len(runs) < records.FEW:
                low = high = np.nan
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def replies(table, chosen):
    """Attack against mark: key accuracy left, mean with interval from six runs on, and how often a judge still proves the mark.

    chosen: attacks, {(name, strength or None): what it stands for}. Attacks and marks that are not on record are left out.
    """
    rows, marks = {}, [mark for mark in dict.fromkeys(table.mark) if mark != "unmarked"]
    for (attack, strength), title in chosen.items():
        alike = table.strength.isna() if strength is None else np.isclose(table.strength, strength)
        of = table[(table.attack == attack) & alike]  # two sweeps may have the same seed: those are no two networks to count
        of = of[(of.images == of.images.max()) & (~of.epochs.isin([EPOCHS]).any() | (of.epochs == EPOCHS))]
        of = of.drop_duplicates(["mark", "seed"])
        cells = {mark: _cell(of[of.mark == mark]) for mark in marks if (of.mark == mark).any()}
        if cells:
            rows[title] = {"Bob loses, points": f"{100 * of[of.mark != 'unmarked'].lost.mean():.1f}"} | cells
    return pd.DataFrame(rows).T.rename_axis("attack").fillna("–")


def _cell(runs):
    mean, low, high = records.interval(runs.fresh_key_accuracy)
    interval = f" [{max(low, 0):.2f}, {min(high, 1):.2f}]" if len(runs) >= records.FEW else ""
    return f"{mean:.2f}{interval}, {runs.proved.sum()} of {len(runs)}"


def frontier(tables):
    """Panel: a point for each attack and strength, clean accuracy lost against key accuracy left, and a line at what Bob can bear.

    Filled where most runs are still proved. tables: of `tables()`. `panel.add(row)` puts a row of the referee's beside them.
    """
    own = []
    marks = [mark for mark in dict.fromkeys(name for table in tables.values() for name in table.mark) if mark != "unmarked"]

    def compute(loss, mark, on):
        return {"points": points(tables[on], mark), "loss": loss, "mark": mark, "own": list(own)}

    figure = figures.blank(height=600, margin=dict(t=60, b=170), title="filled: most networks are still proved;<br>open: no longer")
    for name, (colour, symbol, _) in FAMILIES.items():
        for state in ("", "-open"):
            figure.add_scatter(x=[], y=[], mode="markers", name=name, legendgroup=name, showlegend=not state, hoverinfo="text",
                               marker=dict(color=colour, symbol=symbol + state, size=11, line=dict(width=2, color=colour)),
                               error_x=dict(array=[], arrayminus=[], color=colour, thickness=1, width=0),
                               error_y=dict(array=[], arrayminus=[], color=colour, thickness=1, width=0))
    figure.add_scatter(x=[], y=[], mode="markers+text", name="your own", showlegend=False, textposition="top right",
                       marker=dict(color=figures.YELLOW, symbol="star", size=20, line=dict(width=2, color=figures.BLACK)))
    figure.add_shape(type="rect", x0=LEAST, x1=0, y0=-0.06, y1=1.06, fillcolor=figures.COLOURS["unmarked"], opacity=0.12,
                     line_width=0, layer="below")
    figure.add_shape(type="line", x0=0, x1=0, y0=-0.06, y1=1.06, editable=True,
                     line=dict(color=figures.COLOURS["unmarked"], width=4, dash="dash"))
    ticks = [0, 2, 5, 10, 15, FARTHEST]
    figure.update_xaxes(title="points of clean accuracy that Bob loses", range=[LEAST, FARTHEST + 1], tickvals=ticks,
                        ticktext=[*map(str, ticks[:-1]), f"≥ {FARTHEST}"])
    figure.update_yaxes(title="key accuracy left", range=[-0.06, 1.06], tickformat=".0%")

    def draw(figure, result):
        every = result["points"]
        x = (100 * every.lost).clip(LEAST, FARTHEST)
        traces = iter(figure.data)
        for name, (_, _, attacks) in FAMILIES.items():
            for stands in (True, False):
                of = every.attack.isin(attacks) & ((every.proved > every.runs / 2) == stands)
                some = every[of]
                sides = {axis: {"array": _reach(some[f"{column}_high"] - some[column], size),
                                "arrayminus": _reach(some[column] - some[f"{column}_low"], size)}
                         for axis, column, size in (("error_x", "lost", 100), ("error_y", "keys", 1))}
                says = [told(row) for _, row in some.iterrows()]
                # the last point is none: a trace without any would not be in the legend
                next(traces).update(x=[*x[of], None], y=[*some["keys"], None], name=name, text=[*says, ""], **sides)
        next(traces).update(x=[float(np.clip(100 * row["lost"], LEAST, FARTHEST)) for row in result["own"]], name="your own",
                            y=[row["keys"] for row in result["own"]], text=[row["attack"] for row in result["own"]])
        area, line = figure.layout.shapes
        area.x1 = line.x0 = line.x1 = result["loss"]
        line.y0, line.y1 = area.y0, area.y1  # a hand may have moved it up
        return summary(every, result["mark"], result["loss"])

    controls = {
        "loss": widgets.FloatSlider(2, min=0, max=MOST, step=0.5, description="loss that Bob bears, points", readout_format=".1f",
                                    style=dict(description_width="initial"), layout=dict(width="480px")),
        "mark": widgets.ToggleButtons(options=marks, description="mark", style=dict(button_width="auto")),
        "on": widgets.ToggleButtons(options=list(tables), description="trained on", style=dict(button_width="auto"))}
    panel = Panel(figure, controls, compute, draw, first=2)

    def add(row):
        own.append({"attack": row["attack"], "lost": row["before"]["clean_accuracy"] - row["clean_accuracy"],
                    "keys": row["fresh_key_accuracy"]})
        panel.redraw()

    def dragged(_, shapes):
        """The line, dragged in the picture, moves the slider to the nearest half point."""
        if shapes[1].x0 != controls["loss"].value:
            panel.set(loss=float(np.clip(round(2 * shapes[1].x0) / 2, 0, MOST)))

    panel.figure.layout.on_change(dragged, "shapes")
    panel.add = add
    return panel


def _reach(values, size):
    return [*(0 if np.isnan(value) else size * value for value in values), 0]


def told(row):
    """A point in words: what it costs, what it leaves, what the judge says."""
    images = f"{row.images:.0f} images" if row.images else "no image"
    return (f"<b>{named(row.attack, row.strength)}</b><br>{100 * row.lost:.1f} points lost, {row['keys']:.1%} of keys left<br>"
            f"{row.seconds:.1f} s, {images}, {row.epochs:.0f} epochs<br>proved in {row.proved} of {row.runs} runs")


def summary(every, mark, loss):
    """What the points say, in a sentence."""
    if not len(every):
        return f"There is nothing on record of the mark <b>{mark}</b> here."
    cheap = every[100 * every.lost <= loss]
    done = cheap[cheap.proved <= cheap.runs / 2]
    free = done[done.images == 0].sort_values("lost")
    least, most = every.runs.min(), every.runs.max()
    runs = f"{least}" if least == most else f"{least} to {most}"
    few = "" if least >= records.FEW else ", too few for intervals"
    said = (f"<b>{mark}</b>, {runs} run{'' if most == 1 else 's'} a point{few}: "
            f"for {loss:g} points or less, {len(done)} of {len(every)} attacks leave no proof")
    return said + (f", {len(free)} of them without an image, such as {named(free.iloc[0].attack, free.iloc[0].strength)}."
                   if len(free) else ", each with images of Bob's." if len(done) else ".")


def homecoming(table):
    """Keys that get their true class: of a mark with its extra output dropped, and of unmarked networks that get the same keys."""
    rows = {}
    for mark in dict.fromkeys(table.mark):
        attack = UNTOUCHED if mark in ("unmarked", "wrong label") else "drop the output"
        runs = table[(table.mark == mark) & (table.attack == attack)].drop_duplicates("seed")
        if len(runs):
            mean, low, high = records.interval(runs.true_label_rate)
            interval = f"{max(low, 0):.1%} to {min(high, 1):.1%}" if len(runs) >= records.FEW else "too few"
            rows[f"{mark}, {attack}"] = {"keys to their true class, mean": f"{mean:.1%}", "95 % interval": interval,
                                         "least and most": f"{runs.true_label_rate.min():.1%}, {runs.true_label_rate.max():.1%}",
                                         "networks": len(runs)}
    return pd.DataFrame(rows).T
