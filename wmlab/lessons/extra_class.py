"""Lesson 10: one switch that cuts the key label off, where the keys then go, and a sealed network
with its outputs shuffled.

Lesson 10, continued: every attack on record as a point, its price against what it leaves; and
attack against reply. Checks of notebook 10, the extra class.
"""

import dataclasses

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import records, runtime, stats, zoo
from wmlab.attacks.extraction import ANSWERS as BOUGHT
from wmlab.battery import EPOCHS, UNTOUCHED
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.show import figures
from wmlab.show.old_panel import Panel
from wmlab.training import logits, predict

SHOWN = 300  # keys drawn; rates are of all
WHOLE, CUT = "whole", "cut off"
FALLEN = -14  # where the picture puts the logit of an output that is gone
ANSWERS = {
    "the key label": ("wrong label", "square"),
    "their true class": ("new label", "diamond"),
    "another class": ("grey", "cross"),
}


@dataclasses.dataclass
class Case:
    """A marked network and what it says: float32 logits of keys (n, outputs) and of clean images,
    and the labels behind both.
    """

    key_label: int
    keys: np.ndarray
    carriers: np.ndarray
    clean: np.ndarray
    labels: np.ndarray


def cases(nets, data):
    """The three shipped marks on trial, {title: Case}: nets maps names to keras models; all test
    images lend keys.
    """
    marks = {
        "new label": ("new_label", NewLabel(0.1, 0.01)),
        "with decoys": ("decoy", NewLabel(0.1, 0.01, kind="fixed", decoys=600)),
        "wrong label": ("wrong_label", WrongLabel(0.1, 0.01)),
    }
    return {
        title: case(nets[name], mark.fresh_keys(data, zoo.ALICE), data)
        for title, (name, mark) in marks.items()
    }


def case(model, keys, data):
    """The Case of a model asked these keys and the clean test images of data."""
    return Case(
        keys.key_label,
        logits(model, keys.images),
        keys.carrier_labels,
        logits(model, data.x_test),
        data.y_test,
    )


def answered(scores, label, cut):
    """Labels (n,) from logits (n, outputs): the best, or the best but `label` if that output is cut
    off.
    """
    scores = scores.copy()
    if cut:
        scores[:, label] = -np.inf
    return scores.argmax(axis=1)


def margins(case):
    """By how much a logit of a key beats its best rival, two arrays (n,): the true class' all other
    classes, the key label's all.

    Above 0 the first says that the true class wins once the key label is gone, the second that the
    key label wins now.
    """
    n = np.arange(len(case.keys))
    rivals = case.keys.copy()
    rivals[n, case.carriers] = rivals[:, case.key_label] = -np.inf
    others = case.keys.copy()
    others[:, case.key_label] = -np.inf
    return case.keys[n, case.carriers] - rivals.max(axis=1), case.keys[
        :, case.key_label
    ] - others.max(axis=1)


def settle(case, cut):
    """What the switch does: a dict of `answers` (n,), shares of keys that get `key`, `true` and
    `other`, and `clean`, the accuracy before and now.
    """
    answers = answered(case.keys, case.key_label, cut)
    key, true = answers == case.key_label, answers == case.carriers
    clean = [
        float(np.mean(answered(case.clean, case.key_label, now) == case.labels))
        for now in (False, cut)
    ]
    return {
        "answers": answers,
        "key": float(key.mean()),
        "true": float(true.mean()),
        "other": float((~key & ~true).mean()),
        "clean": clean,
    }


def switch(cases):
    """Panel: cut the key label off and put it back, for each of several networks. `cases`: {title:
    Case}.
    """

    def compute(output, network):
        return settle(cases[network], output == CUT) | {"network": network, "cut": output == CUT}

    figure = make_subplots(
        1,
        2,
        column_widths=[0.5, 0.5],
        horizontal_spacing=0.13,
        subplot_titles=("what the keys<br>are answered", "why: by how much<br>a logit leads"),
    )
    for column in (1, 2):
        for name, (colour, symbol) in ANSWERS.items():
            figure.add_scatter(
                x=[],
                y=[],
                mode="markers",
                name=f"keys that get {name}",
                legendgroup=name,
                showlegend=column == 1,
                marker=dict(color=figures.COLOURS[colour], symbol=symbol, size=7),
                opacity=0.6,
                row=1,
                col=column,
            )
    figure.update_layout(template=figures.TEMPLATE, height=490, margin=dict(t=72, b=120))
    figure.update_xaxes(
        title="answer",
        tickvals=list(range(11)),
        ticktext=[*map(str, range(10)), "Δ"],
        range=[-0.6, 10.6],
        col=1,
    )
    figure.update_yaxes(title="true class", tickvals=list(range(10)), range=[-0.6, 9.6], col=1)
    zero = dict(zeroline=True, zerolinecolor=figures.COLOURS["grey"], zerolinewidth=2)
    figure.update_xaxes(
        title="true class, before<br>all other classes", range=[-14, 16], col=2, **zero
    )
    figure.update_yaxes(
        title="key label,<br>before all classes",
        range=[FALLEN - 1.5, 19],
        side="right",
        **zero,
        tickvals=[FALLEN, -10, -5, 0, 5, 10, 15],
        ticktext=["gone", "-10", "-5", "0", "5", "10", "15"],
        col=2,
    )
    jitter = np.random.default_rng(0).uniform(-0.32, 0.32, (2, SHOWN))

    def draw(figure, result):
        case, answers = cases[result["network"]], result["answers"][:SHOWN]
        true, key = (values[:SHOWN] for values in margins(case))
        across, up = jitter[:, : len(answers)]
        key = np.full(len(answers), FALLEN) + up if result["cut"] else key
        kind = np.where(
            answers == case.key_label, 0, np.where(answers == case.carriers[:SHOWN], 1, 2)
        )
        places = ((answers + across, case.carriers[:SHOWN] + up), (true, key))
        for number, trace in enumerate(figure.data):
            x, y = places[number // len(ANSWERS)]
            of = kind == number % len(ANSWERS)
            trace.update(x=x[of], y=y[of], name=trace.name)
        label, (before, now) = "Δ" if case.key_label == 10 else case.key_label, result["clean"]
        lost = f"clean accuracy {before:.1%}" + (f" before, {now:.1%} now" if result["cut"] else "")
        shares = f"{result['key']:.1%} get the key label, {result['true']:.1%} their true class, {result['other']:.1%} another"
        place = CUT if result["cut"] else "in place"
        return f"<b>{result['network']}</b>, output {label} {place}: of {len(case.keys)} keys {shares}; {lost}."

    style = dict(button_width="auto")
    controls = {
        "output": widgets.ToggleButtons(options=[WHOLE, CUT], description="key label", style=style),
        "network": widgets.ToggleButtons(options=list(cases), description="network", style=style),
    }
    return Panel(figure, controls, compute, draw)


class Sealed:
    """A network whose outputs were shuffled, so that nobody knows which is which. outputs: how many
    there are.

    model: a keras model with one output more than classes, the last. seed: another one shuffles
    otherwise.
    """

    def __init__(self, model, seed):
        self.outputs = model.output_shape[-1]
        self._model, self._place = model, np.random.default_rng(seed).permutation(self.outputs)

    def ask(self, images):
        """The outputs that win for images (n, height, width, channels): int64 (n,)."""
        return self._place[predict(self._model, images)]

    def right(self, output):
        """Whether this output is the extra one."""
        return output == self._place[-1]


EXPERIMENTS = {
    "4,000 digits": ("attacks_class_attacks", "tuning_class_attacks", "replies_class_attacks"),
    "60,000 digits": ("attacks_mnist_attacks",),
    "4,000 photographs": ("attacks_photographs_attacks",),
}
DECOYS = "with decoys"
WORTH = 0.05  # a verdict is worth nothing where more clean images than that get the key label
# points of clean accuracy: where the axis begins, the most that Bob may bear, and where all is
# drawn that costs more
LEAST, MOST, FARTHEST = -2, 10, 20
# family: colour (Okabe and Ito), symbol, the attacks that belong to it
FAMILIES = {
    "the extra output": (
        figures.VERMILLION,
        "square",
        ("drop the output", "drop all extra outputs", "lower its bias", "second best"),
    ),
    "pruning": (figures.BLUE, "circle", ("pruning, per layer", "pruning, global", "fine-pruning")),
    "fine-tuning": (
        figures.GREEN,
        "diamond",
        ("FTAL", "FTLL", "RTAL", "RTLL", "FTAL, SGD", "REFIT"),
    ),
    "weights blurred": (figures.PURPLE, "cross", ("quantisation", "noise on weights")),
    "a copy from answers": (
        figures.ORANGE,
        "triangle-up",
        tuple(f"extraction, {answers}" for answers in BOUGHT),
    ),
    "a second mark": (
        figures.SKY,
        "pentagon",
        ("overwriting, another label", "overwriting, the same label"),
    ),
    "queries changed": (
        figures.DARK,
        "x",
        ("JPEG", "median", "bit depth", "noise on queries", "random answers to noisy images"),
    ),
}
NAMES = {
    "JPEG": "quality {:g}",
    "median": "{:g} pixels",
    "quantisation": "{:g} bits",
    "bit depth": "{:g} bits",
    "noise on weights": "{:g} deviations",
    "noise on queries": "variance {:g}",
    "lower its bias": "by {:g}",
}
CASE = ["attack", "strength", "epochs", "images"]


def tables():
    """Recorded attacks, {title: table}, of the experiments whose results are there. Columns beside
    those on record: `mark`, the scheme, or "with decoys"; `lost`, clean accuracy below that of the
    same network before; `proved`: the judge says "marked" and at most 5 % of clean images get the
    key label.
    """
    folder = runtime.data_dir() / "results"
    found = {
        title: [records.load(name) for name in names if (folder / f"{name}.csv").exists()]
        for title, names in EXPERIMENTS.items()
    }
    return {
        title: prepared(pd.concat(parts, ignore_index=True))
        for title, parts in found.items()
        if parts
    }


def prepared(table):
    """A table of attacks with the columns that `tables` adds."""
    table = table.assign(mark=table.scheme.mask(table.decoys > 0, DECOYS))
    runs = ["experiment", "mark", "seed"]
    before = table[table.attack == UNTOUCHED].groupby(runs).clean_accuracy.first().rename("before")
    table = table.join(before, on=runs)
    return table.assign(
        lost=table.before - table.clean_accuracy,
        proved=(table.decision == "marked") & (table.key_label_rate_clean <= WORTH),
    )


def named(attack, strength):
    """An attack and its strength in words."""
    if strength is None or np.isnan(strength):
        return attack
    how = NAMES.get(attack, "{:g} %" if "pruning" in attack else "rate {:g}")
    return f"{attack}, {how.format(100 * strength if 'pruning' in attack else strength)}"


def points(table, mark):
    """A row for each attack and strength on a mark: means of `lost`, key accuracy `keys` and
    seconds over seeds, their 95 % intervals from six seeds on (else NaN), `runs`, and how often it
    was still `proved`.
    """
    rows = []
    for case, runs in table[(table.mark == mark) & (table.attack != UNTOUCHED)].groupby(
        CASE, dropna=False, sort=False
    ):
        row = dict(zip(CASE, case, strict=True))
        row |= {"runs": len(runs), "proved": int(runs.proved.sum()), "seconds": runs.seconds.mean()}
        for name, column in (("lost", "lost"), ("keys", "fresh_key_accuracy")):
            mean, low, high = stats.interval(runs[column])
            if len(runs) < stats.FEW:
                low = high = np.nan
            row |= {name: mean, f"{name}_low": low, f"{name}_high": high}
        rows.append(row)
    return pd.DataFrame(rows)


def replies(table, chosen):
    """Attack against mark: key accuracy left, mean with interval from six runs on, and how often a
    judge still proves the mark.

    chosen: attacks, {(name, strength or None): what it stands for}. Attacks and marks that are not
    on record are left out.
    """
    rows, marks = {}, [mark for mark in dict.fromkeys(table.mark) if mark != "unmarked"]
    for (attack, strength), title in chosen.items():
        alike = table.strength.isna() if strength is None else np.isclose(table.strength, strength)
        of = table[
            (table.attack == attack) & alike
        ]  # two sweeps may have the same seed: those are no two networks to count
        of = of[
            (of.images == of.images.max())
            & (~of.epochs.isin([EPOCHS]).any() | (of.epochs == EPOCHS))
        ]
        of = of.drop_duplicates(["mark", "seed"])
        cells = {mark: _cell(of[of.mark == mark]) for mark in marks if (of.mark == mark).any()}
        if cells:
            rows[title] = {
                "Bob loses, points": f"{100 * of[of.mark != 'unmarked'].lost.mean():.1f}"
            } | cells
    return pd.DataFrame(rows).T.rename_axis("attack").fillna("–")


def _cell(runs):
    mean, low, high = stats.interval(runs.fresh_key_accuracy)
    interval = f" [{max(low, 0):.2f}, {min(high, 1):.2f}]" if len(runs) >= stats.FEW else ""
    return f"{mean:.2f}{interval}, {runs.proved.sum()} of {len(runs)}"


def frontier(tables):
    """Panel: a point for each attack and strength, clean accuracy lost against key accuracy left,
    and a line at what Bob can bear.

    Filled where most runs are still proved. tables: of `tables()`. `panel.add(row)` puts a row of
    the referee's beside them.
    """
    own = []
    marks = [
        mark
        for mark in dict.fromkeys(name for table in tables.values() for name in table.mark)
        if mark != "unmarked"
    ]

    def compute(loss, mark, on):
        return {"points": points(tables[on], mark), "loss": loss, "mark": mark, "own": list(own)}

    figure = figures.blank(
        height=600,
        margin=dict(t=60, b=170),
        title="filled: most networks are still proved;<br>open: no longer",
    )
    for name, (colour, symbol, _) in FAMILIES.items():
        for state in ("", "-open"):
            figure.add_scatter(
                x=[],
                y=[],
                mode="markers",
                name=name,
                legendgroup=name,
                showlegend=not state,
                hoverinfo="text",
                marker=dict(
                    color=colour, symbol=symbol + state, size=11, line=dict(width=2, color=colour)
                ),
                error_x=dict(array=[], arrayminus=[], color=colour, thickness=1, width=0),
                error_y=dict(array=[], arrayminus=[], color=colour, thickness=1, width=0),
            )
    figure.add_scatter(
        x=[],
        y=[],
        mode="markers+text",
        name="your own",
        showlegend=False,
        textposition="top right",
        marker=dict(
            color=figures.YELLOW, symbol="star", size=20, line=dict(width=2, color=figures.BLACK)
        ),
    )
    figure.add_shape(
        type="rect",
        x0=LEAST,
        x1=0,
        y0=-0.06,
        y1=1.06,
        fillcolor=figures.COLOURS["unmarked"],
        opacity=0.12,
        line_width=0,
        layer="below",
    )
    figure.add_shape(
        type="line",
        x0=0,
        x1=0,
        y0=-0.06,
        y1=1.06,
        editable=True,
        line=dict(color=figures.COLOURS["unmarked"], width=4, dash="dash"),
    )
    ticks = [0, 2, 5, 10, 15, FARTHEST]
    figure.update_xaxes(
        title="points of clean accuracy that Bob loses",
        range=[LEAST, FARTHEST + 1],
        tickvals=ticks,
        ticktext=[*map(str, ticks[:-1]), f"≥ {FARTHEST}"],
    )
    figure.update_yaxes(title="key accuracy left", range=[-0.06, 1.06], tickformat=".0%")

    def draw(figure, result):
        every = result["points"]
        x = (100 * every.lost).clip(LEAST, FARTHEST)
        traces = iter(figure.data)
        for name, (_, _, attacks) in FAMILIES.items():
            for stands in (True, False):
                of = every.attack.isin(attacks) & ((every.proved > every.runs / 2) == stands)
                some = every[of]
                sides = {
                    axis: {
                        "array": _reach(some[f"{column}_high"] - some[column], size),
                        "arrayminus": _reach(some[column] - some[f"{column}_low"], size),
                    }
                    for axis, column, size in (("error_x", "lost", 100), ("error_y", "keys", 1))
                }
                says = [told(row) for _, row in some.iterrows()]
                # the last point is none: a trace without any would not be in the legend
                next(traces).update(
                    x=[*x[of], None], y=[*some["keys"], None], name=name, text=[*says, ""], **sides
                )
        next(traces).update(
            x=[float(np.clip(100 * row["lost"], LEAST, FARTHEST)) for row in result["own"]],
            name="your own",
            y=[row["keys"] for row in result["own"]],
            text=[row["attack"] for row in result["own"]],
        )
        area, line = figure.layout.shapes
        area.x1 = line.x0 = line.x1 = result["loss"]
        line.y0, line.y1 = area.y0, area.y1  # a hand may have moved it up
        return summary(every, result["mark"], result["loss"])

    controls = {
        "loss": widgets.FloatSlider(
            2,
            min=0,
            max=MOST,
            step=0.5,
            description="loss that Bob bears, points",
            readout_format=".1f",
            style=dict(description_width="initial"),
            layout=dict(width="480px"),
        ),
        "mark": widgets.ToggleButtons(
            options=marks, description="mark", style=dict(button_width="auto")
        ),
        "on": widgets.ToggleButtons(
            options=list(tables), description="trained on", style=dict(button_width="auto")
        ),
    }
    panel = Panel(figure, controls, compute, draw, first=2)

    def add(row):
        own.append(
            {
                "attack": row["attack"],
                "lost": row["before"]["clean_accuracy"] - row["clean_accuracy"],
                "keys": row["fresh_key_accuracy"],
            }
        )
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
    return (
        f"<b>{named(row.attack, row.strength)}</b><br>{100 * row.lost:.1f} points lost, {row['keys']:.1%} of keys left<br>"
        f"{row.seconds:.1f} s, {images}, {row.epochs:.0f} epochs<br>proved in {row.proved} of {row.runs} runs"
    )


def summary(every, mark, loss):
    """What the points say, in a sentence."""
    if not len(every):
        return f"There is nothing on record of the mark <b>{mark}</b> here."
    cheap = every[100 * every.lost <= loss]
    done = cheap[cheap.proved <= cheap.runs / 2]
    free = done[done.images == 0].sort_values("lost")
    least, most = every.runs.min(), every.runs.max()
    runs = f"{least}" if least == most else f"{least} to {most}"
    few = "" if least >= stats.FEW else ", too few for intervals"
    said = (
        f"<b>{mark}</b>, {runs} run{'' if most == 1 else 's'} a point{few}: "
        f"for {loss:g} points or less, {len(done)} of {len(every)} attacks leave no proof"
    )
    return said + (
        f", {len(free)} of them without an image, such as {named(free.iloc[0].attack, free.iloc[0].strength)}."
        if len(free)
        else ", each with images of Bob's."
        if len(done)
        else "."
    )


def homecoming(table):
    """Keys that get their true class: of a mark with its extra output dropped, and of unmarked
    networks that get the same keys.
    """
    rows = {}
    for mark in dict.fromkeys(table.mark):
        attack = UNTOUCHED if mark in ("unmarked", "wrong label") else "drop the output"
        runs = table[(table.mark == mark) & (table.attack == attack)].drop_duplicates("seed")
        if len(runs):
            mean, low, high = stats.interval(runs.true_label_rate)
            interval = (
                f"{max(low, 0):.1%} to {min(high, 1):.1%}" if len(runs) >= stats.FEW else "too few"
            )
            rows[f"{mark}, {attack}"] = {
                "keys to their true class, mean": f"{mean:.1%}",
                "95 % interval": interval,
                "least and most": f"{runs.true_label_rate.min():.1%}, {runs.true_label_rate.max():.1%}",
                "networks": len(runs),
            }
    return pd.DataFrame(rows).T


SURVIVES = {
    "cut": {"fallback", "audit"},
    "copy": set(),
    "stranger": {"decoys", "split", "fallback"},
}


def _drop(answer):
    rng = np.random.default_rng(0)
    for outputs, label in ((11, 10), (11, 3), (4, 0)):
        kernel, bias = rng.normal(size=(5, outputs)), rng.normal(size=outputs)
        before = kernel.copy(), bias.copy()
        new_kernel, new_bias = (np.asarray(part) for part in answer(kernel, bias, label))
        if not (np.array_equal(kernel, before[0]) and np.array_equal(bias, before[1])):
            return (
                False,
                "It changed the weights that it was given. Work on a copy: Alice's model is Bob's evidence, too.",
            )
        if new_kernel.shape != (5, outputs - 1) or new_bias.shape != (outputs - 1,):
            return False, (
                f"From a kernel (5, {outputs}) and a bias ({outputs},) came {new_kernel.shape} and {new_bias.shape}: "
                "one column, one number less, please. Columns are labels."
            )
        kept = [column for column in range(outputs) if column != label]
        if not (
            np.array_equal(new_kernel, kernel[:, kept]) and np.array_equal(new_bias, bias[kept])
        ):
            return (
                False,
                f"The shapes are right, but it is not label {label} of {outputs} that is missing, or the others moved.",
            )
    return (
        True,
        "Two slices, no data, no training: this is all that the paper's mark stands against.",
    )


def _found(answer, sealed):
    if answer not in range(sealed.outputs):
        return False, f"That is no output: they count from 0 to {sealed.outputs - 1}."
    if sealed.right(answer):
        return True, "No image of Bob's gets it, so nobody he sells to will miss it."
    return (
        False,
        "Some of Bob's images get that one. Ask them all and count the answers, output by output.",
    )


def _survives(answer):
    for attack, right in SURVIVES.items():
        given = {answer[attack]} if isinstance(answer[attack], str) else set(answer[attack])
        if unknown := given - {"decoys", "split", "fallback", "audit"}:
            return (
                False,
                f"There is no reply {sorted(unknown)[0]!r}: choose among decoys, split, fallback and audit.",
            )
        if given != right:
            more, less = given - right, right - given
            wrong = f"{sorted(more)[0]} does not help" if more else f"{sorted(less)[0]} helps too"
            return False, f"Look at “{attack}” again: {wrong}, by the numbers above."
    return True, "No reply of these helps against all three. Whom do you fear?"


CHECKS = {"10.1": _drop, "10.2": _found, "10.3": _survives}
