"""Lesson 06: evidence answer by answer, p-values where there is nothing to find, and a courtroom.

Checks of notebook 06, the judge.
"""

import functools
import math

import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import records
from wmlab.schemes.innocents import Reject
from wmlab.secret import Secret
from wmlab.show import figures, tables
from wmlab.show.answers import number, staged
from wmlab.show.controls import buttons, slider
from wmlab.show.page_helper import Caption
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.suspects import LocalSuspect, ask
from wmlab.verification import Chance, Impossible, Measured

LEAST = 1e-8  # smaller p-values are drawn here
NEVER = 1e-9  # where "impossible" is drawn
NEW = 10  # the new label of ten digits
LEVEL = 0.05  # at which p-values convict
# How the p-value under each null is drawn.
NULLS = {
    "impossible": dict(color=figures.COLOURS["new label"], dash="dot", symbol="circle"),
    "chance": dict(color=figures.COLOURS["grey"], dash="dash", symbol="circle"),
    "measured": dict(color=figures.COLOURS["unmarked"], dash="solid", symbol="circle"),
}


class Purchase:
    """Answers bought from a suspect key by key, each of them once. labels: those so far."""

    def __init__(self, suspect, keys):
        self.suspect, self.keys, self.labels = suspect, keys, []

    def hits(self, n):
        """Hits among the first n keys, cumulated: int64 (n,).

        Buys the answers that are still missing, one by one.
        """
        for i in range(len(self.labels), n):
            self.labels.append(int(ask(self.suspect, self.keys.images[i : i + 1])[0]))
        return np.cumsum(np.array(self.labels[:n]) == self.keys.key_label)


def weighed(hits, keys, nulls):
    """p-value after each answer under each null, {name: float64 (n,)}: 1 before the first hit;
    "impossible" is 0.
    """
    values = {}
    for name, null in nulls.items():
        found = [null.weigh(int(h), n, keys)[0] if h else 1.0 for n, h in enumerate(hits, 1)]
        values[name] = np.array([0.0 if p == "impossible" else p for p in found])
    return values


def evidence(cases, nulls):
    """Panel: a slider buys answers; p-values under every null follow, and innocent networks stand
    behind as dots.

    cases: {title: (suspect, keys)}, a column each. nulls: {name: {title: {name of null: null}}}, to
    choose between; each has a "measured" one for every case, whose networks are the dots. Its
    `result` has for every case hits (cumulated), labels, p (of `weighed`) and innocent (hits of
    every network among as many keys).
    """
    bought = {title: Purchase(*case) for title, case in cases.items()}
    most = min(len(purchase.keys) for purchase in bought.values())
    axes = trial_axes(list(cases), most)

    @functools.cache
    def state(title, n, innocents):
        purchase, against = bought[title], nulls[innocents][title]
        hits = purchase.hits(n)
        return {
            "hits": hits,
            "labels": purchase.labels[:n],
            "p": weighed(hits, purchase.keys, against),
            "innocent": against["measured"].answered[:, :n].sum(axis=1),
        }

    def picture(n, innocents):
        result = {title: state(title, n, innocents) for title in cases}
        traces = []
        for plot, case in enumerate(result.values(), 1):
            traces += [
                *answer_marks(case, plot),
                *p_curves(case, len(cases) + plot, legend=plot == 1),
                *network_dots(case, 2 * len(cases) + plot, legend=plot == 1),
            ]
        figure = figures.figure(traces, 600, **axes, margin=dict(l=120, t=54, b=100))
        paid = {title: purchase.suspect.cost for title, purchase in bought.items()}
        return figure, trial_so_far(result, n, paid), result

    bought_so_far = slider(0, 0, most, 1, "answers bought")
    panel = Panel(picture, n=bought_so_far, innocents=buttons(nulls, "innocents"))
    play = widgets.Play(value=0, min=0, max=most, interval=700)  # buys one after the other
    widgets.jslink((bought_so_far, "value"), (play, "value"))  # the page starts at the slider's
    panel.widget.children = [play, *panel.widget.children]
    return panel


def trial_axes(titles, most):
    """Axes of three rows of plots: answers, p-values and innocent networks. most: answers."""
    columns = len(titles)
    ticks = {NEVER: "impossible", LEAST: "10⁻⁸ or less", 1e-6: "10⁻⁶", 1e-4: "10⁻⁴"}
    ticks |= {LEVEL: "0.05", 1: "1"}
    logarithmic = dict(type="log", tickvals=list(ticks), ticktext=list(ticks.values()))
    bought = dict(range=[0, most + 0.8])
    rows = [
        dict(
            x=bought | dict(title=dict(standoff=5), showticklabels=False),
            y=dict(range=[-0.6, 1.6], showticklabels=False, showgrid=False),
        ),
        dict(
            x=bought | dict(title=dict(text="answers bought", standoff=5)),
            y=logarithmic | dict(range=[-9.5, 0.5]),
        ),
        dict(
            x=dict(
                title=dict(text="hits among<br>as many keys", standoff=5),
                range=[-0.8, most + 0.8],
            ),
            y=dict(range=[-8, 66], tickvals=[0, 20, 40, 60]),
        ),
    ]
    each = {}
    for row, title in zip(rows, (None, "p-value", "networks"), strict=True):
        for column in range(columns):
            y = row["y"] | ({} if column or not title else dict(title=title))
            each[len(each) + 1] = dict(x=row["x"], y=y)
    names = titles + [""] * 2 * columns
    heights = [0.14, 0.53, 0.33]
    axes = figures.plots(names, rows=3, gap=0.1, between=0.13, heights=heights, each=each)
    shapes = [figures.level(LEVEL, columns + 1 + column, width=1) for column in range(columns)]
    return axes | dict(shapes=shapes)


def answer_marks(case, plot):
    """Traces of the answers so far: a mark for each, hits in another look than misses."""
    hit = np.diff(case["hits"], prepend=0).astype(bool)
    numbers = np.arange(1, len(hit) + 1)
    text = np.array(["Δ" if label == NEW else str(label) for label in case["labels"]], object)
    for those, name, colour, symbol in (
        (~hit, "a miss", "grey", "circle-open"),
        (hit, "a hit", "wrong label", "diamond"),
    ):
        at, look = numbers[those], (figures.COLOURS[colour], symbol, plot, 9)
        marks = figures.dots(at, np.zeros(len(at)), name, *look, legend=False)
        words = dict(text=text[those].tolist(), textposition="top center")
        yield marks | words | dict(mode="markers+text")


def p_curves(case, plot, legend):
    """Traces of the p-value after each answer, a curve for each null."""
    for name, p in case["p"].items():
        look, x = NULLS[name], np.arange(1, len(p) + 1)
        y = np.where(p == 0, NEVER, np.maximum(p, LEAST))
        small = dict(color=look["color"], size=6)
        yield figures.points(x, y, f"p, {name}", look, plot, legend=legend, marker=small)


def network_dots(case, plot, legend):
    """Traces of the innocent networks, stacked over their number of hits, and of the suspect."""
    stacked = np.sort(case["innocent"])
    height = np.arange(len(stacked)) - np.searchsorted(stacked, stacked) + 1
    hits = case["hits"][-1:] if len(case["hits"]) else [0]
    for x, y, name, colour, symbol, size in (
        (stacked, height, "an innocent network", "unmarked", "circle", 5),
        (hits, [-4], "the suspect", "wrong label", "diamond", 14),
    ):
        look = (figures.COLOURS[colour], symbol, plot, size)
        trace = figures.dots(x, y, name, *look, legend=legend)
        if size == 5:
            trace["marker"]["opacity"] = 0.7
        yield trace


def trial_so_far(result, n, paid):
    """The state of a trial in words: for each case hits and the p-value under every null.

    result: of the panel `evidence`, after n answers. paid: {title: what all answers have cost}.
    """
    if not n:
        return "No answer is bought yet: move the slider, or press play."
    parts = []
    for title, case in result.items():
        hits, networks = int(case["hits"][-1]), len(case["innocent"])
        weight = "nothing to explain"
        if hits:
            values = [
                f"{name} p {_small(p[-1])}" if p[-1] else name for name, p in case["p"].items()
            ]
            weight = ", ".join(values)
            if case["p"]["measured"][-1] == 1 / (1 + networks):
                weight += f" (the least that {networks} networks can give)"
        cost = f"{n} answers, {paid[title]:.2f} paid in all"
        parts.append(f"<b>{title}</b>: {hits} of {n} hit; {weight}; {cost}")
    return ". ".join(parts) + "."


def _small(p):
    """A p-value after its "p": "= 0.02", "below 10⁻⁶"."""
    return "below 10⁻⁶" if p < 1e-6 else f"= {p:.2g}"


def nulls(innocent):
    """The nulls for both marks, {title: {name: null}}, from labels (networks, keys) that innocent
    networks gave to the keys.
    """
    return {
        "new label": {
            "impossible": Impossible(),
            "chance": Chance(NEW + 1),
            "measured": Measured(innocent == NEW),
        },
        "wrong label": {"chance": Chance(NEW), "measured": Measured(innocent == 0)},
    }


def histogram(values):
    """p-values that innocent suspects got, {name: values in [0, 1]}, as shares of bins beside what
    an honest one may give.
    """
    bins, traces = 20, []
    edges = np.linspace(0, 1, bins + 1)
    accused = edges[1:] - 1e-9 <= LEVEL
    colours = [figures.COLOURS["wrong label" if bad else "unmarked"] for bad in accused]
    more = dict(width=0.9 / bins, showlegend=False)
    for plot, (name, p) in enumerate(values.items(), 1):
        share = np.histogram(p, edges)[0] / len(p)
        centres = (edges[:-1] + edges[1:]) / 2
        traces.append(figures.column(centres, share, name, colours, plot=plot, **more))
    x = dict(title="p-value of an<br>innocent suspect", range=[0, 1])
    y = dict(title="share of suspects", tickformat=".0%")
    shapes = [figures.level(1 / bins, plot, dash="dash") for plot in range(1, len(values) + 1)]
    axes = figures.plots(list(values), gap=0.2 / len(values), x=x, y=y)
    return figures.figure(traces, 340, **axes, shapes=shapes, margin=dict(b=70))


def kinds(table, n=40):
    """What recorded networks of each kind answered to the public keys, and how many the paper's
    rule convicts within n keys.
    """
    rows, says = {}, records.answers(table) == NEW
    for name in ["unmarked", *sorted(set(table.scheme) - {"unmarked"})]:
        of = (table.scheme == name).to_numpy()
        hits = says[of].sum(axis=1)
        rows[name] = {
            "networks": of.sum(),
            "clean accuracy, mean": f"{table[of].clean_accuracy.mean():.1%}",
            f"Δ on {says.shape[1]} keys": f"{hits.min()} to {hits.max()}",
            f"convicted by one hit in {n}": says[of][:, :n].any(axis=1).sum(),
        }
    return pd.DataFrame(rows).T


def convicted(table):
    """Whom the paper's rule convicts of the networks in a table, as bars: a row a kind, with 40
    keys and with 100; the numbers of `kinds` are folded under it.
    """
    rates = {}
    for kind, networks in kinds(table, 100).iterrows():
        some = kinds(table)["convicted by one hit in 40"][kind]
        counts = {"40 keys": some, "100 keys": networks["convicted by one hit in 100"]}
        rates[kind] = {keys: count / networks.networks for keys, count in counts.items()}
    title = "one hit convicts: who is convicted"
    return tables.with_numbers(figures.bars(rates, title, "share of networks"), kinds(table))


def accused(x, shares, x_title, y_title):
    """Lines of the innocents accused, {name: shares (n,)} over x (n,)."""
    lines = zip(shares.items(), figures.SPARE, strict=False)
    return figures.figure(
        [figures.points(x, share, name, look, mode="lines") for (name, share), look in lines],
        xaxis=dict(title=x_title),
        yaxis=dict(title=y_title, tickformat=".0%", rangemode="tozero"),
        shapes=[figures.level(LEVEL)],
    )


def against_controls(hits_of, secret, controls=99):
    """The rank p of a claim among as many secrets that the judge draws.

    hits_of: function of a secret that returns the hits among the keys made from it.
    """
    own = hits_of(secret)
    strangers = [hits_of(f"the judge's draw {i}") for i in range(controls)]
    return (1 + sum(hits >= own for hits in strangers)) / (1 + controls)


def junk(data, n):
    """n images that are no digits: float32 (n, height, width, 1) in [0, 1]."""
    return Reject().rejected(data, "the court's junk", n)


class NoMoreCoins(ValueError):
    """What a court does not pay for; a notebook shows its sentence without a traceback."""

    def _render_traceback_(self):
        return [str(self)]


class Court:
    """Four sealed suspects behind doors A to D, and a budget of answers for all of them together.

    models: the shipped models. seed: another one seals them in another order. left: answers that
    may still be bought. named: {door: who} by the menus of the `game`, None for open ones.
    """

    WHO = {
        "Alice's mark": "decoy",
        "someone else's mark": "other_owner",
        "rejects noise": "reject_class",
        "unmarked": "unmarked_2",
    }

    def __init__(self, models, seed, budget=40):
        order = Secret(f"court {seed}").rng("sealed").permutation(4)
        sealed = [list(self.WHO)[number] for number in order]
        self._kind = dict(zip("ABCD", sealed, strict=True))
        self._suspect = {
            name: LocalSuspect(models[self.WHO[kind]]) for name, kind in self._kind.items()
        }
        self.names, self.budget = list(self._kind), budget
        kinds, narrow = {"who is it?": None} | {kind: kind for kind in self.WHO}, dict(width="auto")
        self._menus = {
            name: widgets.Dropdown(options=kinds.items(), layout=narrow) for name in self.names
        }

    @property
    def named(self):
        """{door: who} as the menus of the game stand, None for those left open."""
        return {name: menu.value for name, menu in self._menus.items()}

    @property
    def left(self):
        """Answers that the court still pays for."""
        return self.budget - sum(suspect.queries for suspect in self._suspect.values())

    def ask(self, name, images):
        """Labels that a suspect, "A" to "D", gives to images: int64 (n,).

        Raises ValueError for another name, NoMoreCoins beyond the budget.
        """
        if name not in self._suspect:
            raise ValueError(f"there is no suspect {name!r}: they are {', '.join(self.names)}")
        if len(images) > self.left:
            raise NoMoreCoins(
                f"The court pays for {self.left} more answers, not for {len(images)}. Decide by "
                "what you have heard, or run the cell that makes the court again."
            )
        return ask(self._suspect[name], images)

    def game(self, piles):
        """Doors and piles as buttons: a click shows the next picture of a pile behind a door, for
        one coin; a menu a door says who is there. piles: {name: images}. Returns a widget.
        """
        coins, grid = Caption(), [widgets.HTML()]

        def tell(more=""):  # the line of coins breaks where the page ends
            coins.value = f"<p>{self.left} coins: {'●<wbr>' * self.left} {more}</p>"

        def knock(door, images, heard, button):
            try:
                said = self.ask(door, images[len(heard) % len(images)][None])[0]
            except NoMoreCoins as no:
                return tell(f"<b>{no}</b>")
            heard.append("Δ" if said == NEW else str(said))
            button.description = " ".join(heard)
            return tell()

        for name, images in piles.items():
            grid.append(widgets.HTML(f"{figures.pictures({'': images[:3]}, size=44)}<b>{name}</b>"))
        grid.append(widgets.HTML())
        for door, menu in self._menus.items():
            grid.append(widgets.HTML(f"<b>Door {door}</b>"))
            for name, images in piles.items():
                grid.append(widgets.Button(description="ask", layout=dict(width="auto")))
                grid[-1].tooltip = f"Show door {door} a picture: {name}"
                grid[-1].on_click(functools.partial(knock, door, images, []))
            grid.append(menu)
        tell()
        columns = dict(grid_template_columns="70px repeat(3, minmax(90px, 180px)) max-content")
        return widgets.VBox([coins, widgets.GridBox(grid, layout=columns)])

    def right(self, answer):
        """How many of the four a verdict {name: who} names rightly."""
        return sum(kind == answer.get(name) for name, kind in self._kind.items())


# the questions of the notebook


def p_of_ten_hits(panel):
    """Ten hits of ten against 50 innocent networks; panel: of `evidence`."""
    panel.set(n=10)
    return Question(
        "Bob gives Δ to all of the first ten keys. What is the p-value of a judge who asked 50 "
        "innocent networks?",
        ["0: it is impossible", "about 10⁻¹⁰", "about 0.02"],
        panel,
        answer="about 0.02",
        because="1/51. The first two are what follows from an idea of an innocent model; this one "
        "from 50 of them.",
    )


def whom_one_hit_convicts(table):
    """The paper's rule on innocents; table: the records of the gallery."""
    return Question(
        "Whom does the paper's rule convict, with 40 keys and one hit?",
        [
            "nobody",
            "other owners alone",
            "other owners and unreadable classes",
            "all with eleven outputs",
        ],
        lambda: convicted(table),
        answer="other owners and unreadable classes",
        because="Zero false positives holds where Δ is no output, and for three of the kinds where "
        "it is.",
    )


def honest_where_networks_differ(values):
    """p-values of innocent suspects, {name: values}, in the world where networks differ."""
    return Question(
        "In the second world, which p-value accuses more than 5 % of the innocent at the 5 % "
        "level?",
        ["none", "chance alone", "chance and Fisher", "all three"],
        lambda: histogram(values),
        answer="chance and Fisher",
        because="Both count answers, as if each were a fresh draw. The rank p counts networks.",
    )


def best_of_fifty_sets(sets, shares):
    """Key shopping; shares: {how it is judged: innocents accused}, over the numbers of sets."""
    titles = "sets of keys she could choose from", "innocent suspects accused"
    return Question(
        "With 50 sets to choose from, how many of the innocent can she have convicted at the 5 % "
        "level?",
        ["5 %", "about 20 %", "nearly 90 %"],
        lambda: accused(sets, shares, *titles),
        answer="nearly 90 %",
        because="One set accuses 4.2 % (hits are whole numbers), and 1 - 0.958⁵⁰ = 0.88.",
    )


def a_look_after_each_answer(shares):
    """Peeking; shares: {how it is judged: innocents convicted so far}, over the looks."""
    looks = np.arange(1, len(next(iter(shares.values()))) + 1)
    titles = "answers, with a look after each", "innocent convicted so far"
    return Question(
        "The level is 5 %. How many innocent suspects are convicted within 200 looks?",
        ["5 %", "about 20 %", "nearly 90 %"],
        lambda: accused(looks, shares, *titles),
        answer="about 20 %",
        because="21 %, and it goes on rising: whoever looks long enough convicts everybody.",
    )


def what_gives_mallory_away(fires, claim):
    """A forged claim; fires: {who: {network: share of that person's keys answered Δ}}; claim: the
    verdict on Mallory's keys.
    """
    table = pd.DataFrame(fires)
    shown = table.rename(index=lambda name: name.replace("_", " ")).T.to_dict()
    figure = figures.bars(shown, "whose keys does a network answer with Δ?", "share of keys")
    return Question(
        "How does the judge see that Mallory's claim is false?",
        ["his commitment does not open", "he hits less often", "neither of these"],
        lambda: tables.with_numbers(figure, table.map("{:.0%}".format)),
        answer="neither of these",
        because=f"Mallory's verdict: “{claim}” And his commitment is the older one.",
    )


def whose_claim_passes(ranked):
    """Claims against controls; ranked: {network: {who: p-value}}."""
    table = pd.DataFrame(ranked).T
    looks = zip(table, figures.SPARE, strict=False)
    dots = [
        figures.dots(
            [*table.index], table[who].to_numpy(), who, look["color"], look["symbol"], 1, 14
        )
        for who, look in looks
    ]
    y = figures.log_axis((0.01, 0.05, 0.1, 0.5, 1), "p-value among 99 secrets<br>of the judge's")
    y |= dict(range=[-2.2, 0.15])
    figure = figures.figure(
        dots, 340, yaxis=y, shapes=[figures.level(LEVEL)], margin=dict(t=20, b=90)
    )
    return Question(
        "Whose claim passes the test?",
        ["both", "Alice's, on the network with decoys", "nobody's"],
        lambda: tables.with_numbers(figure, table),
        answer="Alice's, on the network with decoys",
        because="A small p passes. The price of one test: 1,000 answers, 10.00 in all.",
    )


# the checks of its exercises


def _enough_networks(answer):
    if answer == 99:
        return True, "1/(99 + 1) = 0.01. More keys would not help: it is networks that are counted."
    if answer == 100:
        return False, "One too many: the suspect counts among them, as the one in 1/(n + 1)."
    return False, "With n networks, none of which hit as often, the rank p is 1/(n + 1)."


def _corrected(answer, p=0.008):
    praise = (
        f"Ten sets, ten chances: 10 × {p:g} = {10 * p:g} (Bonferroni). That convicts nobody at the "
        "5 % level."
    )
    hint = (
        "Each of the ten sets had its chance of a p so small. Multiply, or have her make fresh "
        "keys."
    )
    sidak = 1 - (1 - p) ** 10
    if isinstance(answer, float) and math.isclose(answer, sidak, rel_tol=0.01):
        return True, f"{sidak:.3f} is Šidák's correction, for sets that are independent. {praise}"
    return number(answer, 10 * p, praise, [], hint)


def _controls(answer):
    def court(own, others):
        asked = []

        def hits_of(secret):
            asked.append(secret)
            return own if secret == "hers" else others

        return answer(hits_of, "hers", 3), asked

    one, none = "The claimant is one of those who are ranked: (1 + …) / (1 + controls).", []
    cases = [
        (
            "She hits 9 times, three controls twice",
            lambda: court(9, 2)[0],
            0.25,
            [
                (0, one),
                (1 / 3, "Divide by the number of all who are ranked, herself among them."),
                (1, "Count the controls that do *as well or better*, not those that do worse."),
            ],
        ),
        (
            "All hit 9 times",
            lambda: court(9, 9)[0],
            1.0,
            [(0.25, "A control that hits as often as she does counts: ≥, not >.")],
        ),
        ("She hits 2 times, the controls 9 times", lambda: court(2, 9)[0], 1.0, none),
    ]
    for case, made, right, misses in cases:
        if wrong := staged(made, [(case, (), right, misses, one)]):
            return wrong
    asked = court(9, 2)[1]
    drawn = [secret for secret in asked if secret != "hers"]
    if len(drawn) != 3 or len(set(drawn)) != 3:
        return False, (
            f"For 3 controls it asked for keys of {len(set(drawn))} secrets other than hers, "
            f"{len(drawn)} times. Draw as many different secrets as there are controls."
        )
    luck = np.random.default_rng(0)
    found = [answer(lambda secret: luck.integers(1000), "nobody's", 19) for _ in range(400)]
    return True, (
        f"Of 400 claimants with nothing but luck yours gives {np.mean(np.array(found) <= 0.05):.1%}"
        " a p of 0.05 or less. It never says more than 1/(1 + controls)."
    )


def _court(answer, court):
    named = isinstance(answer, dict) and set(answer) == set(court.names)
    if not named or not set(answer.values()) <= set(court.WHO):
        return False, f"Hand in a dict from {', '.join(court.names)} to {', '.join(court.WHO)}."
    right = court.right(answer)
    if right == 4:
        return True, (
            f"All four, and {court.left} answers are left. No single kind of picture would have "
            "done."
        )
    return False, (
        f"{right} of 4. Who answers Δ to her pattern, who to a stranger's too, and who only to "
        "what is no digit?"
    )


CHECKS = {"06.1": _enough_networks, "06.2": _corrected, "06.3": _controls, "06.4": _court}
