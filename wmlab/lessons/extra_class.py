"""Lesson 10: the key label cut off, where the keys then go, and every attack on record against
every mark.

Two panels, a network whose outputs are shuffled, tables from records, and the checks of notebook
10.
"""

import dataclasses
import functools

import numpy as np
import pandas as pd

from wmlab import attack_tables, stats, zoo
from wmlab.attack_tables import DECOYS, UNTOUCHED
from wmlab.attacks.extraction import ANSWERS as BOUGHT
from wmlab.battery import EPOCHS, MODES
from wmlab.schemes import NewLabel, WrongLabel
from wmlab.show import figures
from wmlab.show.controls import buttons, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.show.tables import with_numbers
from wmlab.training import logits, predict

SHOWN = 300  # keys drawn; rates are of all
WHOLE, CUT = "whole", "cut off"
FLIGHT = dict(duration=600, easing="cubic-in-out")  # of the keys when the switch is moved
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
        DECOYS: ("decoy", NewLabel(0.1, 0.01, kind="fixed", decoys=600)),
        "wrong label": ("wrong_label", WrongLabel(0.1, 0.01)),
    }
    found = {}
    for title, (name, mark) in marks.items():
        keys = mark.fresh_keys(data, zoo.ALICE)
        said = logits(nets[name], keys.images), keys.carrier_labels, logits(nets[name], data.x_test)
        found[title] = Case(keys.key_label, *said, data.y_test)
    return found


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
    classes = case.keys.copy()
    classes[:, case.key_label] = -np.inf
    others = classes.copy()
    others[n, case.carriers] = -np.inf
    key = case.keys[:, case.key_label] - classes.max(axis=1)
    return case.keys[n, case.carriers] - others.max(axis=1), key


def switched(case, cut):
    """What the switch does: a dict of `answers` (n,), shares of keys that get `key`, `true` and
    `other`, and `clean`, the accuracy before and now.
    """
    answers = answered(case.keys, case.key_label, cut)
    key, true = answers == case.key_label, answers == case.carriers
    shares = {"key": key, "true": true, "other": ~key & ~true}
    clean = [answered(case.clean, case.key_label, now) == case.labels for now in (False, cut)]
    found = {name: float(which.mean()) for name, which in shares.items()}
    return {"answers": answers} | found | {"clean": [float(right.mean()) for right in clean]}


def dots(case, cut):
    """The traces of the switch: what the first `SHOWN` keys are answered, and by how much logits
    lead. A key is the same dot in both states, so that it can fly from one to the other; the first
    traces are the legend.
    """
    answers = answered(case.keys, case.key_label, cut)[:SHOWN]
    carriers, (true, key) = case.carriers[:SHOWN], (lead[:SHOWN] for lead in margins(case))
    across, up = np.random.default_rng(0).uniform(-0.32, 0.32, (2, SHOWN))[:, : len(answers)]
    key = FALLEN + up if cut else key
    kinds = np.where(answers == case.key_label, 0, np.where(answers == carriers, 1, 2))
    looks = [(figures.COLOURS[colour], symbol) for colour, symbol in ANSWERS.values()]
    for name, look in zip(ANSWERS, looks, strict=True):
        yield figures.dots([None], [None], f"keys that get {name}", *look)
    colours, symbols = ([look[part] for look in looks] for part in (0, 1))
    for plot, (x, y) in enumerate(((answers + across, carriers + up), (true, key)), 1):
        marker = dict(size=7, color=[colours[kind] for kind in kinds])
        marker["symbol"] = [symbols[kind] for kind in kinds]
        more = dict(legend=False, opacity=0.6, marker=marker, ids=[*map(str, range(len(x)))])
        yield figures.dots(x, y, "a key", figures.GREY, plot=plot, **more)


def _switch_axes():
    zero = dict(zeroline=True, zerolinecolor=figures.COLOURS["grey"], zerolinewidth=2)
    answers = dict(tickvals=list(range(11)), ticktext=[*map(str, range(10)), "Δ"])
    answers |= dict(title="answer", range=[-0.6, 10.6])
    ticks = [-10, -5, 0, 5, 10, 15]
    lead = dict(title="key label,<br>before all classes", range=[FALLEN - 1.5, 19], side="right")
    lead |= dict(tickvals=[FALLEN, *ticks], ticktext=["gone", *map(str, ticks)])
    true = dict(title="true class, before<br>all other classes", range=[-14, 16])
    classes = dict(title="true class", tickvals=list(range(10)), range=[-0.6, 9.6])
    titles = ["what the keys<br>are answered", "why: by how much<br>a logit leads"]
    each = {1: {"x": answers, "y": classes}, 2: {"x": true | zero, "y": lead | zero}}
    return figures.plots(titles, gap=0.13, shared_y=False, each=each)


def switch(cases):
    """Panel: cut the key label off and put it back, for each of several networks. `cases`: {title:
    Case}. Its `result` is that of `switched`.
    """
    result = functools.cache(lambda network, cut: switched(cases[network], cut))
    traces = functools.cache(lambda network, cut: list(dots(cases[network], cut)))
    axes = _switch_axes()

    def picture(output, network):
        case, cut = cases[network], output == CUT
        now, label = result(network, cut), "Δ" if case.key_label == 10 else case.key_label
        before, after = (f"{share:.1%}" for share in now["clean"])
        clean = f"clean accuracy {before}" + (f" before, {after} now" if cut else "")
        said = (
            f"<b>{network}</b>, output {label} {CUT if cut else 'in place'}: of {len(case.keys)} "
            f"keys {now['key']:.1%} get the key label, {now['true']:.1%} their true class, "
            f"{now['other']:.1%} another; {clean}."
        )
        more = dict(margin=dict(t=72, b=120), transition=FLIGHT)
        return figures.figure(traces(network, cut), 490, **axes, **more), said, now

    output, network = buttons([WHOLE, CUT], "key label"), buttons(cases, "network")
    return Panel(picture, output=output, network=network)


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
    "4,000 digits": ["attacks_class", "tuning_class", "replies_class"],
    "60,000 digits": ["attacks_mnist"],
    "4,000 photographs": ["attacks_photographs"],
}
LEAST, FARTHEST, MOST = -2, 20, 10  # points: ends of the map, and of the slider
# family: colour (Okabe and Ito), symbol, the attacks that belong to it
OUTPUT = ("drop the output", "drop all extra outputs", "lower its bias", "second best")
PRUNING = ("pruning, per layer", "pruning, global", "fine-pruning")
TUNING = (*MODES, *(f"{mode}, SGD" for mode in MODES), "REFIT")
COPIES = tuple(f"extraction, {answers}" for answers in BOUGHT)
SECOND = ("overwriting, another label", "overwriting, the same label")
QUERIES = "JPEG,median,bit depth,noise on queries,random answers to noisy images".split(",")
FAMILIES = {
    "the extra output": (figures.VERMILLION, "square", OUTPUT),
    "pruning": (figures.BLUE, "circle", PRUNING),
    "fine-tuning": (figures.GREEN, "diamond", TUNING),
    "weights blurred": (figures.PURPLE, "cross", ("quantisation", "noise on weights")),
    "a copy from answers": (figures.ORANGE, "triangle-up", COPIES),
    "a second mark": (figures.SKY, "pentagon", SECOND),
    "queries changed": (figures.DARK, "x", QUERIES),
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


def recorded():
    """Attacks on record, {title: table of `attack_tables`}, those of EXPERIMENTS that there are."""
    return attack_tables.recorded(EXPERIMENTS)


def marks(table):
    """The schemes of a table that mark a network."""
    return [scheme for scheme in dict.fromkeys(table.scheme) if scheme != "unmarked"]


def named(attack, strength):
    """An attack and its strength in words."""
    if strength is None or np.isnan(strength):
        return attack
    if "pruning" in attack:
        return f"{attack}, {100 * strength:g} %"
    return f"{attack}, {NAMES.get(attack, 'rate {:g}').format(strength)}"


def costs(table, scheme):
    """What the attacks cost on a scheme, as of `attack_tables.costs`."""
    return attack_tables.costs(table[table.scheme == scheme])


def replies(table, chosen):
    """Attack against scheme: key accuracy left, mean with interval from six runs on, and how often
    a judge still proves the mark.

    chosen: attacks, {(name, strength or None): what it stands for}. Attacks and schemes that are
    not on record are left out.
    """
    rows = {}
    for title, of in _replied(table, chosen):
        rows[title] = {"Bob loses, points": f"{of.lost.mean():.1f}"}
        for scheme, runs in of.groupby("scheme", sort=False):
            left = stats.told(runs.fresh_key_accuracy)
            rows[title][scheme] = f"{left}; {runs.proved.sum()} of {len(runs)}"
    columns = ["Bob loses, points", *marks(table)]
    return pd.DataFrame(rows, index=columns).T.rename_axis("attack").fillna("–")


def _replied(table, chosen):
    """The rows of each chosen attack on marked networks, (title, rows), those on record."""
    for (attack, strength), title in chosen.items():
        alike = table.strength.isna() if strength is None else np.isclose(table.strength, strength)
        of = table[(table.attack == attack) & alike]
        of = of[of.images == of.images.max()]
        if EPOCHS in set(of.epochs):
            of = of[of.epochs == EPOCHS]
        # two sweeps may have the same seed: those are no two networks to count
        of = of[of.scheme != "unmarked"].drop_duplicates(["scheme", "seed"])
        if len(of):
            yield title, of


def grid(table, chosen, title):
    """`replies` as a coloured grid: the brighter, the more keys are left; in each cell the keys
    left, and in how many networks a judge still proves the mark. The numbers are folded under it.
    """
    left, texts = {}, {}
    for name, of in _replied(table, chosen):
        row = figures.wrapped(f"{name} ({of.lost.mean():.1f})", 26)
        by = of.groupby("scheme")
        left[row] = by.fresh_key_accuracy.mean()
        texts[row] = {
            scheme: f"{runs.fresh_key_accuracy.mean():.0%}<br>{runs.proved.sum()}/{len(runs)}"
            for scheme, runs in by
        }
    shares = pd.DataFrame(left).T.reindex(columns=marks(table))
    words = pd.DataFrame(texts).T.reindex(columns=marks(table)).fillna("")
    cells = figures.heatmap(shares, ".0%", zmin=0, zmax=1, showscale=False)
    cells |= dict(text=words.to_numpy().tolist(), textfont=dict(size=11), xgap=1, ygap=1)
    cells["x"] = [name.replace(" ", "<br>") for name in shares]
    figure = figures.figure([cells], 140 + 36 * len(shares), **_grid_layout(190, 110))
    figure["layout"]["title"] = dict(text=title)
    return with_numbers(figure, replies(table, chosen))


def _grid_layout(left, top):
    """The layout of a coloured grid, read from the top, with room for the names of its rows."""
    x = dict(side="top", tickangle=0, tickfont=dict(size=12))
    y = dict(autorange="reversed", tickfont=dict(size=12))
    return dict(xaxis=x, yaxis=y, margin=dict(l=left, t=top, b=20))


def audited(audit):
    """A table of similarities, suspects by layers, as a coloured grid."""
    audit = audit.rename(columns=lambda name: name.replace(" ", "<br>"))
    audit = audit.rename(index=lambda name: figures.wrapped(name.replace("_", " "), 20))
    more = dict(zmin=0, zmax=1, showscale=False, xgap=1, ygap=1)
    cells = figures.heatmap(audit.round(2) + 0.0, ".2f", **more)  # no -0.00
    return figures.figure([cells], 380, **_grid_layout(150, 60))


def homecoming(table):
    """Keys that get their true class: of a mark with its extra output dropped, and of unmarked
    networks that get the same keys.
    """
    rows = {}
    for scheme in dict.fromkeys(table.scheme):
        attack = UNTOUCHED if scheme in ("unmarked", "wrong label") else "drop the output"
        runs = table[(table.scheme == scheme) & (table.attack == attack)].drop_duplicates("seed")
        if len(runs):
            home = runs.true_label_rate
            rows[f"{scheme}, {attack}"] = {
                "keys to their true class": stats.told(home),
                "least and most": f"{home.min():.1%}, {home.max():.1%}",
                "networks": len(runs),
            }
    return pd.DataFrame(rows).T


def described(row):
    """A row of `costs` in words: what it costs, what it leaves, what the judge says."""
    images = f"{row.images:.0f} images" if row.images else "no image"
    return (
        f"<b>{named(row.attack, row.strength)}</b><br>{row.lost:.1f} points lost, "
        f"{row['keys']:.1%} of keys left<br>{row.seconds:.1f} s, {images}, {row.epochs:.0f} epochs"
        f"<br>proved in {row.proved * row.runs:.0f} of {row.runs} runs"
    )


def families(every):
    """Rows of `costs` as families of the map, those that are still proved first: the legend shows
    the first.
    """
    every = every.assign(open=every.proved <= 0.5).sort_values("open", kind="stable")
    for name, (colour, symbol, of) in FAMILIES.items():
        rows = every[every.attack.isin(of)]
        labels = [described(row) for _, row in rows.iterrows()]
        spans = (rows.lost_low, rows.lost_high, rows.keys_low, rows.keys_high)
        more = dict(labels=labels, open=rows.open, spans=spans)
        yield figures.Family(name, colour, symbol, rows.lost, rows["keys"], **more)


def stars(own):
    """The trace of a reader's own attacks, dicts of attack, lost (points) and keys (share left)."""
    lost = [float(np.clip(row["lost"], LEAST, FARTHEST)) for row in own]
    more = dict(text=[row["attack"] for row in own], textposition="top right")
    more |= dict(size=20, legend=False)
    keys = [row["keys"] for row in own]
    trace = figures.dots(lost, keys, "your own", figures.YELLOW, "star", **more)
    trace["marker"]["line"] = dict(width=2, color=figures.BLACK)
    return trace | dict(mode="markers+text")


def frontier(tables):
    """Panel: a point for each attack and strength, clean accuracy lost against key accuracy left,
    and a line at what Bob can bear.

    Filled where most runs are still proved. tables: those of `recorded`. `panel.add(row)` puts a
    row of the referee's beside them. Its `result` has the rows of `costs`.
    """
    own, title = [], "filled: most networks are still proved;<br>open: no longer"
    every = functools.cache(lambda on, scheme: costs(tables[on], scheme))
    drawn = functools.cache(lambda *of: [*families(every(*of))] if len(every(*of)) else [])

    def picture(loss, mark, on):
        look = dict(least=LEAST, farthest=FARTHEST, height=575, y_title="key accuracy left")
        figure = figures.trade_off({title: drawn(on, mark)}, loss, **look, margin=dict(b=170))
        figure["data"].append(stars(own))
        return figure, summary(every(on, mark), mark, loss), every(on, mark)

    def add(row):
        lost = 100 * (row["before"]["clean_accuracy"] - row["clean_accuracy"])
        own.append({"attack": row["attack"], "lost": lost, "keys": row["fresh_key_accuracy"]})
        panel.redraw()

    panel = Panel(
        picture,
        first=2,
        dragged=figures.line_moves(MOST),
        loss=slider(2, 0, MOST, 0.5, "loss that Bob bears, points"),
        mark=buttons(marks(pd.concat(tables.values())), "mark"),
        on=buttons(tables, "trained on"),
    )
    panel.add = add
    return panel


def summary(every, mark, loss):
    """What rows of `costs` say, in a sentence."""
    if not len(every):
        return f"There is nothing on record of the mark <b>{mark}</b> here."
    done = every[(every.lost <= loss) & (every.proved <= 0.5)]
    free = done[done.images == 0].sort_values("lost")
    least, most = every.runs.min(), every.runs.max()
    runs = f"{least}" if least == most else f"{least} to {most}"
    few = "" if least >= stats.FEW else ", too few for intervals"
    said = (
        f"<b>{mark}</b>, {runs} run{'' if most == 1 else 's'} a point{few}: for {loss:g} points or "
        f"less, {len(done)} of {len(every)} attacks leave no proof"
    )
    if len(free):
        example = named(free.iloc[0].attack, free.iloc[0].strength)
        return f"{said}, {len(free)} of them without an image, such as {example}."
    return said + (", each with images of Bob's." if len(done) else ".")


# the questions of the notebook


def where_keys_go(panel):
    """The switch; panel: of `switch`."""
    panel.set(output=CUT)
    return Question(
        "Bob cuts output Δ off. What do most of Alice's keys get then?",
        ["class 0", "any class", "their true class"],
        panel,
        answer="their true class",
        because="Press “whole”, then “cut off”, and see where they go.",
    )


def does_a_lower_bias_help(by, shares):
    """The bias lowered until one key in ten is left; shares: {what: (n,)} over `by` (n,)."""
    lines = zip(shares.items(), figures.SPARE, strict=False)
    lines = [figures.points(by, share, name, look) for (name, share), look in lines]
    axes = dict(xaxis=dict(title="bias lowered by"), yaxis=figures.SHARE)
    return Question(
        "Bob lowers the bias until one key in ten still gets Δ. Does Ver, with 40 keys, still "
        "prove the mark?",
        ["no", "in one trial of ten", "nearly always"],
        lambda: figures.figure(lines, **axes),
        answer="nearly always",
        because="1 - 0.9⁴⁰ = 0.985. One hit proves it, so lowering the bias a little does not help "
        "Bob.",
    )


def which_marks_stand(after):
    """The marks after the cut; after: {mark: {when: (share of keys that hit, decision)}}."""
    shares = {
        f"{name}:<br>{list(row.values())[-1][1]}": {when: hit for when, (hit, _) in row.items()}
        for name, row in after.items()
    }
    told = {
        name: {when: f"{hit:.0%}, {decision}" for when, (hit, decision) in row.items()}
        for name, row in after.items()
    }
    words = "keys that get their label; under each mark what Ver says after the cut", "keys"
    return Question(
        "Bob cuts off every output beyond the ten. Which of these marks is still proved?",
        ["none", "split", "fallback and wrong label", "all but the plain new label"],
        lambda: with_numbers(figures.bars(shares, *words), pd.DataFrame(told).T),
        answer="fallback and wrong label",
        because="They have keys in labels that Bob needs.",
    )


def the_least_that_bob_pays(panel):
    """The cheapest attack; panel: of `frontier`."""
    return Question(
        "What is the least that Bob must pay to be rid of a new label?",
        ["nothing, and he needs no image", "no accuracy, but images", "about one point"],
        panel,
        answer="nothing, and he needs no image",
        because="The switch. Choose “wrong label” next: what is the cheapest there?",
    )


# the checks of its exercises

REPLIES = {"decoys", "split", "fallback", "audit"}
SURVIVES = {
    "cut": {"fallback", "audit"},
    "copy": set(),
    "stranger": {"decoys", "split", "fallback"},
}


def _drop_wrongly(kernel, bias, label, new_kernel, new_bias):
    """What is wrong with a deleted output, in a sentence; None if nothing is."""
    features, outputs = kernel.shape
    if new_kernel.shape == kernel.shape and not np.isfinite(new_kernel[:, label]).all():
        return (
            "-∞ never wins, but the output is still there, and a customer sees eleven. Delete it."
        )
    if new_kernel.shape == kernel.shape and not new_kernel[:, label].any():
        return (
            "A column of zeros is still an output: where all others lie below 0, it wins. Delete "
            "the column."
        )
    if new_kernel.shape == (features - 1, outputs):
        return "You deleted a row, so a feature. Labels are columns: axis=1."
    if new_kernel.shape != (features, outputs - 1) or new_bias.shape != (outputs - 1,):
        return (
            f"From a kernel ({features}, {outputs}) and a bias ({outputs},) came "
            f"{new_kernel.shape} and {new_bias.shape}: one column, one number less, please. "
            "Columns are labels."
        )
    kept = [column for column in range(outputs) if column != label]
    same_kernel = np.array_equal(new_kernel, kernel[:, kept])
    if not (same_kernel and np.array_equal(new_bias, bias[kept])):
        return (
            f"The shapes are right, but it is not label {label} of {outputs} that is missing, or "
            "the others moved."
        )
    return None


def _drop(answer):
    rng = np.random.default_rng(0)
    small = np.array([[1.0, 2, 3], [4, 5, 6]]), np.array([7.0, 8, 9])
    by_hand = "Of the kernel [[1, 2, 3], [4, 5, 6]] label 1 is the column 2, 5. "
    cases = [(*small, 1, by_hand)]
    for outputs, label in ((11, 10), (11, 3), (4, 0)):
        cases.append((rng.normal(size=(5, outputs)), rng.normal(size=outputs), label, ""))
    for kernel, bias, label, told in cases:
        given = kernel.copy(), bias.copy()
        made = (np.asarray(part) for part in answer(*given, label))
        if not (np.array_equal(kernel, given[0]) and np.array_equal(bias, given[1])):
            return False, (
                "It changed the weights that it was given. Work on a copy: Alice's model is Bob's "
                "evidence, too."
            )
        if wrong := _drop_wrongly(kernel, bias, label, *made):
            return False, told + wrong
    return (
        True,
        "Two slices, no data, no training: this is all that the paper's mark stands against.",
    )


def _found(answer, sealed):
    if answer not in range(sealed.outputs):
        return False, f"That is no output: they count from 0 to {sealed.outputs - 1}."
    if sealed.right(answer):
        return True, "No image of Bob's gets it, so nobody he sells to will miss it."
    return False, (
        "Some of Bob's images get that one. Ask them all and count the answers, output by output."
    )


def _survives(answer):
    for attack, right in SURVIVES.items():
        given = {answer[attack]} if isinstance(answer[attack], str) else set(answer[attack])
        if unknown := given - REPLIES:
            return False, (
                f"There is no reply {sorted(unknown)[0]!r}: choose among decoys, split, fallback "
                "and audit."
            )
        if given != right:
            more, less = given - right, right - given
            wrong = f"{sorted(more)[0]} does not help" if more else f"{sorted(less)[0]} helps too"
            return False, f"Look at “{attack}” again: {wrong}, by the numbers above."
    return True, "No reply of these helps against all three. Whom do you fear?"


CHECKS = {"10.1": _drop, "10.2": _found, "10.3": _survives}
