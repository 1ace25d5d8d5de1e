"""Lesson 11: the systems that the paper cites, what each says of innocents, and what Bob pays to be
rid of each.

Four panels, an average of copies that is sealed, and the checks of notebook 11.
"""

import dataclasses
import functools

import numpy as np
import scipy.stats

from wmlab import attack_tables, attacks, battery, records, runtime, zoo
from wmlab.attack_tables import UNTOUCHED
from wmlab.battery import INNOCENT
from wmlab.datasets import load
from wmlab.schemes import CITED, DeepMarks, NewLabel, WrongLabel
from wmlab.schemes.deepmarks import THRESHOLD, code
from wmlab.schemes.frontier import published_threshold
from wmlab.show import figures
from wmlab.show.answers import staged
from wmlab.show.controls import buttons, choice, menu, slider
from wmlab.show.panel import Panel
from wmlab.show.question import Question
from wmlab.training import recipe
from wmlab.verification import Measured

UNRELATED = dict(alpha=0.1, beta=0.7, kind="unrelated")
SYSTEMS = {  # name: how to make it, and what it is in a sentence
    "Uchida 2017": (
        CITED["uchida"],
        "64 bits: the signs of secret sums over the weights of one convolution.",
    ),
    "DeepMarks 2019": (
        CITED["deepmarks"],
        "A code word for each user in the weights, so that a leak names who leaked.",
    ),
    "DeepSigns 2019, activations": (
        CITED["deepsigns-white"],
        "32 bits in the mean activation of one class.",
    ),
    "DeepSigns 2019, labels": (
        CITED["deepsigns-black"],
        "Random images; those are kept that only the marked network reads as told.",
    ),
    "Adi 2018": (CITED["adi"], "100 mosaics, each with a label that a secret drew."),
    "Frontier 2017": (
        CITED["frontier"],
        "100 images beside the boundary, which are taught their true labels.",
    ),
    "Exponential 2019": (
        CITED["exponential"],
        "Training images with wrong labels, learnt by large weights alone.",
    ),
    "BadNets 2017": (
        CITED["badnets"],
        "Four bright pixels in a corner turn any image into a 0. Published as an attack.",
    ),
    "Blind 2019": (
        CITED["blind"],
        "Training images in which an encoder hides a logo, with labels that a secret drew.",
    ),
    "Zhang 2018, noise": (
        functools.partial(WrongLabel, 0.1, 0.01),
        "Noisy digits are taught one wrong label.",
    ),
    "Zhang 2018, content": (
        functools.partial(WrongLabel, 0.1, 0.7, kind="content"),
        "Digits with a logo are taught one wrong label.",
    ),
    "Zhang 2018, unrelated": (
        functools.partial(WrongLabel, **UNRELATED),
        "Images that show no digit are taught one of the ten labels.",
    ),
    "New label, noise": (
        functools.partial(NewLabel, 0.1, 0.01),
        "The paper's: noisy digits are taught a label that the data do not have.",
    ),
    "New label, unrelated": (
        functools.partial(NewLabel, **UNRELATED),
        "Images that show no digit are taught the new label.",
    ),
}
ATTACKS = {  # attack and strength in records: what Bob does
    (UNTOUCHED, None): "nothing",
    ("permuted channels", None): "reorder channels",
    ("rescaled channels", None): "rescale channels",
    ("drop all extra outputs", None): "cut extra outputs",
    ("median", 3): "median filter",
    ("vote", 3): "vote of three",
    ("pruning, per layer", 0.8): "prune 80 %",
    ("RTLL", 1e-3): "new last layer",
    ("FTAL", 1e-3): "tune, 10⁻³",
    ("FTAL", 1e-2): "tune, 10⁻²",
    ("REFIT", 0.1): "REFIT",
    ("fine-pruning", 0.6): "fine-prune 60 %",
    ("extraction, labels", None): "copy from labels",
}
DID = list(ATTACKS.values())
WIDE = dict(least=640)  # pixels of a figure that a narrower page scrolls
BLUE, ORANGE = (figures.COLOURS[name] for name in ("unmarked", "wrong label"))


def shipped():
    """The small networks of this lesson, with their owners' evidence: a `zoo.Models`."""
    return zoo.models(runtime.data_dir() / "models" / "gallery")


# the threat matrix

COLUMNS = {  # what a judge sees; what Alice keeps; how innocents are known; when it is put in
    "the judge sees": ("labels", "activations", "weights"),
    "Alice keeps": ("secret", "keys"),
    "innocents are": ("computed", "measured"),
    "put in": ("from the start", "later"),
}
# no law says what innocents do
MEASURED = ("badnets", "blind", "frontier", "deepsigns black", "wrong label")


def threats():
    """What each system reads of a suspect, what its owner keeps, whether a law says what innocents
    do, and when it is put in: a figure of dots; point at one for a sentence.
    """
    x, y, told = [], [], []
    for name, (make, says) in SYSTEMS.items():
        mark = make()
        x += [getattr(mark, "access", "labels"), getattr(mark, "keeps", "secret")]
        x += ["measured" if mark.name in MEASURED else "computed"]
        x += ["later" if getattr(mark, "tuned", False) else "from the start"]
        y, told = y + 4 * [name], told + 4 * [f"<b>{name}</b>. {says}"]
    dots = figures.dots(x, y, "system", BLUE, size=13, hovertext=told, legend=False)
    words, lines, start = [], [], -0.5
    for title, columns in COLUMNS.items():
        middle = start + len(columns) / 2
        words.append(figures.note(f"<b>{title}</b>", middle, -0.08, xref="x"))
        start += len(columns)
        lines.append(figures.upright(start, width=1))
    columns = [column for group in COLUMNS.values() for column in group]
    x = dict(categoryorder="array", categoryarray=columns, side="top", range=[-0.5, 8.5])
    x |= dict(tickangle=-30, tickfont=dict(size=13))
    y = dict(categoryorder="array", categoryarray=[*SYSTEMS][::-1], tickfont=dict(size=13))
    figure = figures.figure([dots | dict(hoverinfo="text")], 540, xaxis=x, yaxis=y)
    more = dict(meta=WIDE, annotations=words, shapes=lines[:-1], margin=dict(l=200, t=80, b=50))
    figure["layout"] |= more
    return figure


# in the weights or in the answers: Uchida


def right_bits(read, bits):
    """How many bits are read as the message has them; read: (σ(X w), clean accuracy)."""
    return int(((read[0] > 0.5) == bits).sum())


def bit_chart(read, bits):
    """Panel: σ(X w) of each bit after what Bob did, right bits in blue.

    read: {what Bob did: (σ(X w) float (n,), clean accuracy in [0, 1])}. bits: the message, bool
    (n,). Its `result` is the number of right bits.
    """
    places = np.arange(1, len(bits) + 1)

    def picture(did):
        values, clean = read[did]
        right = (values > 0.5) == bits
        traces = [
            figures.column(places[which], values[which] - 0.5, name, colour, shape, base=0.5)
            for name, which, colour, shape in (
                ("as the message says", right, BLUE, ""),
                ("wrong", ~right, ORANGE, "/"),
            )
        ]
        ones = dict(x=places, y=np.where(bits, 1.04, -0.04), name="the message")
        look = dict(color=figures.BLACK, symbol="line-ew-open", dash="solid")
        traces.append(figures.points(look=look, mode="markers", **ones))
        p = scipy.stats.binom.sf(right.sum() - 1, len(bits), 0.5)
        said = (
            f"<b>{did}</b>: {right.sum()} of {len(bits)} bits are right; an innocent network has "
            f"as many or more {chance(p)}. Clean accuracy {clean:.1%}."
        )
        y = dict(title="σ(X w)", range=[-0.1, 1.1])
        figure = figures.figure(traces, 400, xaxis=dict(title="bit"), yaxis=y, barmode="overlay")
        figure["layout"]["margin"] = dict(t=30)
        return figure, said, int(right.sum())

    return Panel(picture, did=buttons(read, "Bob"))


def chance(p):
    """A probability in words: "in 3.2 % of cases", "in 1 of 40,000 cases", "practically never"."""
    if p < 1e-9:
        return "practically never"
    return f"in {p:.1%} of cases" if p >= 0.001 else f"in 1 of {1 / p:,.0f} cases"


# when is "chance" true? Adi, Zhang's unrelated images, frontier

CLAIMED = {  # system: (probability of a hit that was claimed, keys, what was claimed)
    "Adi 2018": (0.1, 100, "one label of ten was drawn for each key"),
    "Zhang 2018, unrelated": (0.1, 40, "such an image gets one of ten labels"),
    "Frontier 2017": (0.5, 100, "an innocent network tosses a coin for each key"),
}


def recorded():
    """The attacks on record for this lesson, each row with `system` and `did` as this lesson names
    them, and with what the attack cost, `lost`: a table.
    """
    table = attack_tables.load("cited_class")
    kinds = records.load("cited_class").set_index("run").kind
    marks = {name: make() for name, (make, _) in SYSTEMS.items()}
    names = {(mark.name, getattr(mark, "kind", "")): name for name, mark in marks.items()}
    own = table.scheme.isin(("new label", "wrong label"))
    about = zip(table.scheme, table.run.map(kinds).where(own, ""), strict=True)
    strengths = table.strength.astype(object).where(table.strength.notna(), None)
    did = map(ATTACKS.get, zip(table.attack, strengths, strict=True))
    table = table.assign(system=[*map(names.get, about)], did=[*did])
    table.did = table.did.mask(table.attack == INNOCENT, INNOCENT)
    return table.dropna(subset=["system", "did"])


def innocents(table):
    """Panel: the shares of keys that innocent networks hit, as bars, beside the law that was
    claimed for them, as a line.

    table: of `recorded`. Its `result` is (share of innocents that the claimed law convicts at 1 %,
    variance of their hits over that of the law).
    """
    shares = {name: innocent_shares(table, name) for name in CLAIMED}

    def picture(system):
        p, n, claim = CLAIMED[system]
        found = shares[system]
        edges = np.linspace(-0.025, 1.025, 22)
        middles = (edges[:-1] + edges[1:]) / 2
        seen = np.histogram(found, edges)[0] / len(found)
        law = np.diff(scipy.stats.binom.cdf(np.floor(edges * n), n, p))
        least = scipy.stats.binom.isf(0.01, n, p) + 1  # hits that convict at 1 %
        if system == "Frontier 2017":  # its rule is published, at 5 %
            least = n - published_threshold(n) + 1
        convicted = np.mean(found >= least / n)
        spread = float(np.var(found) / (p * (1 - p) / n))
        traces = [
            figures.column(middles, seen, f"{len(found)} innocent networks", BLUE, opacity=0.7),
            figures.points(middles, law, "claimed", dict(color=ORANGE, dash="dash", symbol="x")),
        ]
        line = [figures.upright(least / n - 0.5 / n, color=figures.BLACK)]
        said = (
            f"<b>{system}</b>, claimed: {claim}. Right of the line the claim convicts: "
            f"{convicted:.0%} of {len(found)} innocent networks. Their hits vary {spread:.1f} "
            "times as much as the claim says."
        )
        x = dict(title="share of keys that get the owner's label", tickformat=".0%")
        y = dict(title="share of networks", tickformat=".0%")
        figure = figures.figure(traces, 420, xaxis=x, yaxis=y, shapes=line, bargap=0.05)
        return figure, said, (float(convicted), spread)

    return Panel(picture, system=buttons(CLAIMED, "system"))


def innocent_shares(table, system):
    """What innocent networks hit of the keys of a system, shares in [0, 1] (networks,)."""
    rows = table[(table.system == system) & (table.did == INNOCENT)]
    return rows.fresh_key_accuracy.to_numpy()


# who leaked? DeepMarks


def leak(copies, evidence):
    """Panel: users average their copies, and the bits of the average name them.

    copies: {user: keras model}. A bar a user: how many of the six zeros of his word are read as
    zeros; with all six he is named. Averages of weights are averages of what is read, so nothing is
    computed anew. Its `result` is the list of those named.
    """
    mark, words, users = DeepMarks(), code(), list(copies)
    values = {user: mark.values(model, evidence) for user, model in copies.items()}

    def picture(count, start):
        turned = users[users.index(start) :] + users[: users.index(start)]
        guilty = sorted(turned[:count])
        bits = np.mean([values[user] for user in guilty], axis=0) > THRESHOLD
        zeros = (~words & ~bits).sum(axis=1)
        named = [int(user) for user in np.flatnonzero(zeros == 6)]
        traces = []
        for name, which, colour, shape in (
            ("named", zeros == 6, ORANGE, "/"),
            ("not named", zeros < 6, BLUE, ""),
        ):
            at = np.flatnonzero(which)
            traces.append(figures.column(at, zeros[at], name, colour, shape, width=0.8))
        x = dict(title="user", dtick=2, range=[-0.7, 30.7])
        y = dict(title="zeros of the word that are read", range=[0, 6.3], dtick=1)
        who = ", ".join(map(str, guilty))
        said = (
            f"The average of the copies of users <b>{who}</b> reads as {(~bits).sum()} zeros in "
            "31 bits. All six zeros of a word are among them for users "
            f"{', '.join(map(str, named)) or 'none'}."
        )
        return figures.figure(traces, 400, xaxis=x, yaxis=y, barmode="overlay"), said, named

    return Panel(
        picture,
        count=slider(1, 1, len(users), 1, "copies averaged"),
        start=choice(users, "starting with user", name=str),
    )


# the live matrix


def cells(table):
    """What is left of each system after each attack, a row for each two: share and lost (points of
    clean accuracy), means; marked, the share of runs that are still convicted; p, the median
    p-value (NaN where there is none); runs.

    table: of `recorded`.
    """
    rows = table[table.did != INNOCENT]
    by = rows.assign(marked=rows.decision == "marked").groupby(["system", "did"], sort=False)
    found = by[["fresh_key_accuracy", "lost", "marked"]].mean()
    found = found.rename(columns={"fresh_key_accuracy": "share"})
    return found.assign(p=by.p_value.median(), runs=by.size())


def prices(found):
    """What the cheapest removal costs Bob: a row a system, the dearest first; lost, in points of
    clean accuracy, and did. A mark is removed if at most half of the runs are convicted; lost is
    infinite where no attack does. The vote does not count: who has two other networks as good does
    not need the stolen one. found: of `cells`.
    """
    rows = found.drop([DID[0], "vote of three"], level="did").reset_index()
    rows["lost"] = rows.lost.where(rows.marked <= 0.5, np.inf)
    cheapest = rows.loc[rows.groupby("system").lost.idxmin(), ["system", "lost", "did"]]
    return cheapest.set_index("system").sort_values("lost", ascending=False, kind="stable")


def price(points):
    """What a removal costs, in words."""
    return "not removed" if np.isinf(points) else f"{max(points, 0):.1f} points"


def told(found, system, did):
    """A cell of the matrix in sentences; found: of `cells`."""
    if (system, did) not in found.index:
        return f"<b>{system}</b>, {did}: it has no extra output."
    cell = found.loc[system, did]
    return (
        f"<b>{system}</b>, Bob: {did}. {cell.share:.0%} of the mark is left; convicted in "
        f"{cell.marked * cell.runs:.0f} of {cell.runs:.0f} networks. Bob loses {cell.lost:.1f} "
        "points of clean accuracy."
    )


def matrix(table):
    """Panel: every system against every attack. Click a cell to choose it; run it live.

    table: of `recorded`. Colour: the share of networks that are still convicted. Number: percent of
    the mark that is left. Rows: the dearest to remove first. Its `result` is (`cells`, `prices`).
    """
    found = cells(table)
    order = prices(found)
    rows = {name: f"{name}<br><b>{price(order.lost[name])}</b>" for name in order.index[::-1]}
    wide = {name: found[name].unstack().reindex(index=[*rows], columns=DID) for name in found}
    grid = figures.heatmap(100 * wide["share"].rename(index=rows), ".0f")
    grid |= dict(z=wide["marked"].to_numpy(), zmin=0, zmax=1, xgap=2, ygap=2)
    words = [[told(found, name, did).replace(". ", ".<br>") for did in DID] for name in rows]
    grid |= dict(customdata=words, hovertemplate="%{customdata}<extra></extra>", showscale=False)

    def picture(system, did):
        ring = figures.ring([did], [rows[system]], "chosen") | dict(hoverinfo="skip")
        x = dict(side="top", tickangle=-40, showgrid=False, tickfont=dict(size=12))
        y = dict(showgrid=False, tickfont=dict(size=12))
        figure = figures.figure([grid, ring], 572, xaxis=x, yaxis=y, showlegend=False)
        figure["layout"] |= dict(margin=dict(l=200, t=110, b=10, r=50), meta=WIDE)
        return figure, f"{told(found, system, did)} {SYSTEMS[system][1]}", (found, order)

    return Panel(
        picture,
        clicked=lambda x, y: dict(system=y.partition("<br>")[0], did=x),
        jobs={"Run it live": functools.partial(_live, picture, table)},
        system=menu(order.index, "system"),
        did=menu(DID, "Bob"),
    )


def _live(picture, table, system, did):
    """The job of the matrix: a cell with a small network, of a seed that no record has."""
    figure, said, _ = picture(system, did)
    yield 0.1, (figure, f"{said} <b>Live:</b> the mark is put in …")
    mark, run = marked(system)
    yield 0.6, (figure, f"{said} <b>Live:</b> Bob attacks …")
    row = attacked(system, mark, run, did, table)
    more = (
        f"<b>Live, one small network:</b> {row['fresh_key_accuracy']:.0%} of the mark is left, "
        f"{row['decision']}, clean accuracy {row['clean_accuracy']:.1%}."
    )
    yield 1, (figure, f"{said} {more}")


def small():
    """The recipe of small networks, which train in seconds."""
    return dataclasses.replace(recipe("mnist", "class"), network="small_cnn")


@functools.cache
def marked(system):
    """(mark, Run) of a system on a small network; trained once."""
    mark = SYSTEMS[system][0]()
    return mark, mark.embed(load("mnist", "class"), zoo.ALICE, small(), seed=99)


def attacked(system, mark, run, did, table):
    """One cell of the matrix, measured: a dict as of `battery.judged`.

    mark, run: of `marked`. A mark without an exact law is judged by the innocents in `table`.
    Raises ValueError for an attack that this network does not allow.
    """
    rivals = [zoo.models()[name] for name in ("unmarked_0", "unmarked_1")]
    names = battery.gallery_trials(rivals)
    trial = next(one for one in names if ATTACKS.get((one.attack, one.strength)) == did)
    if trial.extra and run.model.output_shape[-1] <= mark.classes:
        raise ValueError(f"{system} has no extra output that could be cut")
    if did == "copy from labels":  # a copy of the same layers, which the evidence fits
        trial = dataclasses.replace(trial, launch=_copied)
    bob = attacks.halves(load("mnist", "class"))
    if run.evidence is None:
        return battery.outcome(trial, run.model, mark, bob, zoo.ALICE)
    null = mark.null(run.evidence)
    if null is None:
        n = len(mark.keyset(run.evidence))
        hits = np.round(innocent_shares(table, system) * n)
        null = Measured(np.arange(n) < hits[:, None])
    return battery.judged(trial, run.model, mark, run.evidence, bob, null=null)


def _copied(model, bob, seed):
    return attacks.extract(model, bob, recipe=small(), seed=seed)


# questions


def how_many_bits(panel):
    """What is left in other weights with the same answers; panel: of `bit_chart`."""
    return Question(
        "Bob puts the channels of every layer into another order. No answer changes. How many of "
        "the 64 bits are still right?",
        ["all 64", "about 48", "about 32", "none"],
        panel,
        answer="about 32",
        because="Half of 64, which is what chance gives: the weights are the same numbers at other "
        "places, and the secret sums take them by place.",
    )


def how_many_innocents(panel):
    """What a published rule does; panel: of `innocents`."""
    share, _ = panel.result
    return Question(
        "The published rule of frontier stitching promises at most 5 % false accusations. How many "
        "of these innocent networks does it convict?",
        ["about 5 %", "about 20 %", "more than half"],
        panel,
        answer="more than half",
        because=f"{share:.0%}. The keys keep their true labels, and an innocent network that is "
        "good at its task reads most of them: that is no coin.",
    )


def what_is_read(panel):
    """What an average of copies says; panel: of `leak`."""
    return Question(
        "Users 3, 8 and 14 average the weights of their copies. What does Alice read in the "
        "average?",
        ["nothing that names anybody", "the word of one of them", "all three names"],
        panel,
        answer="all three names",
        because="A bit that is 1 in all three words stays 1; where one of them has a 0 the mean is "
        "lower. So the average reads as the AND of the words, and the code is made so that the AND "
        "names up to five.",
    )


def what_costs_most(panel):
    """Which mark is the dearest to remove; panel: of `matrix`."""
    _, order = panel.result
    shown = ["Uchida 2017", "Adi 2018", "Zhang 2018, noise", "New label, noise"]
    lost = {name: order.lost[name] for name in shown}
    dearest = max(lost, key=lost.get)
    prices = ", ".join(f"{name} {price(points)}" for name, points in lost.items())
    return Question(
        "Which of these four costs Bob most to be rid of, in points of clean accuracy?",
        shown,
        panel,
        answer=dearest,
        because=f"The cheapest removal of each: {prices}.",
    )


# the checks of its exercises


class Sealed:
    """An average of 2 to 4 of the shipped copies, for a student to open.

    copies: {user: keras model}. number: the student's; another one seals another average. model:
    the average.
    """

    def __init__(self, copies, number):
        rng = np.random.default_rng(int(number))
        chosen = rng.choice(list(copies), rng.integers(2, 5), replace=False)
        self._users = sorted(int(user) for user in chosen)
        self.model = attacks.average([copies[user] for user in self._users])

    def right(self, users):
        """Whether these are the users whose copies were averaged."""
        return sorted({int(user) for user in users}) == self._users


def _read_bits(answer):
    rng, stages = np.random.default_rng(11), []
    for shape, count in (((2, 2, 1, 2), 3), ((3, 3, 4, 8), 64)):
        kernel, X = rng.normal(size=shape), rng.normal(size=(count, int(np.prod(shape[:-1]))))
        right = X @ kernel.mean(axis=-1).ravel() > 0
        case = f"A kernel of shape {shape} and {count} bits"
        hint = "Mean over the last axis, the output channels; flatten; X @ w; above 0?"
        misses = [(~right, "Each bit is upside down: it is 1 where X w is above 0.")]
        stages.append((case, (kernel, X), right, misses, hint))
    return staged(answer, stages) or (
        True,
        "That is all that Ver reads. It needs the weights, so Bob's service cannot be asked.",
    )


def _relabelled(answer):
    for answers, words in (
        (np.arange(100) % 10, "answers of all kinds"),
        (np.zeros(100, int), "a network that says 0 to everything"),
    ):
        rng = np.random.default_rng(0)
        hits = np.array([answer(answers, rng) for _ in range(4000)], float)
        if hits.shape != (4000,) or not (hits == np.round(hits)).all():
            return False, "It must return one whole number: how many labels agree with the answers."
        if hits.std() == 0:
            return False, (
                f"For {words} it returns the same each time: at each call draw each label anew, "
                "with rng."
            )
        off = (hits.mean() - 10) / np.sqrt(9 / len(hits))
        if abs(off) > 5 or not 7 < hits.var() < 11:
            return False, (
                f"For {words} yours hits {hits.mean():.1f} times on average, variance "
                f"{hits.var():.1f}; right is 10, variance 9. Each label is one of 0 to 9, evenly."
            )
    return True, (
        "10 hits of 100 on average, variance 9, even for a network that always says 0: the labels "
        "are random, so the network need not be. That is why this law is exact."
    )


def _named(answer):
    words, stages = code(), []
    for users in ([4], [3, 8], [3, 8, 14], [0, 1, 2, 30], [3, 8, 14, 21, 27], []):
        bits = words[users].all(axis=0)
        case = f"The AND of the words of users {users}" if users else "31 ones"
        least = [user for user in range(31) if (bits == words[user]).all()]
        misses = [
            (least, "A word need not be equal to the bits: it must have no 0 where they have a 1."),
        ]
        stages.append((case, (bits, words), users, misses, "Name users whose zeros are all read."))
    return staged(lambda *a: sorted(answer(*a)), stages) or (
        True,
        "Each zero of the average comes from somebody's word, and no stranger's word has its six "
        "zeros among those of five others.",
    )


def _leaked(answer, sealed):
    if sealed.right(answer):
        return True, "Those are the users, all of them and nobody else."
    return False, (
        "Not these. Read the bits of sealed.model with DeepMarks().bits(sealed.model, evidence), "
        "then your NAMED."
    )


def _message(answer):
    one, again, other = (np.asarray(answer(secret, 64)) for secret in ("a", "a", "b"))
    if one.shape != (64,) or not np.isin(one, (0, 1)).all():
        return False, "It must return n bits: an array of shape (n,) of true and false."
    if not (one == again).all():
        return False, "The same secret must give the same message, or Alice cannot show it again."
    if (one == other).all():
        return False, "Another secret must give another message: this one would name anybody."
    if not 16 <= one.sum() <= 48:
        return False, f"{one.sum()} of 64 bits are 1; a tossed coin gives about half."
    return True, "A message that everybody would have names nobody."


def _convicts(answer):
    rng = np.random.default_rng(5)
    found = rng.normal(size=(4000, 31))
    cosines = found[:, 0] / np.linalg.norm(found, axis=1)
    false = np.mean([bool(answer(cosine)) for cosine in cosines])
    if false > 0.016:
        return False, (
            f"It convicts {false:.1%} of 4,000 random directions; at level 0.01 it may be 1 %."
        )
    if not all(answer(cosine) for cosine in (0.5, 0.8, 0.99)):
        return False, "It acquits a cosine of 0.5, which one innocent in 550 has."
    return True, f"{false:.1%} of 4,000 innocents. The rule with 0 convicts every second one."


def _misses(answer):
    labels = np.arange(20) % 10
    wrong = np.where(np.arange(20) < 15, (labels + 1) % 10, labels)
    hint = "A key is missed where the answer is not its label."
    stages = [
        ("All 20 keys are read as told", (labels, labels, 12), True, [], hint),
        ("15 of 20 keys are missed", (wrong, labels, 12), False, [], hint),
    ]
    return staged(answer, stages) or (
        True,
        "With matches counted, the marked network was acquitted and the innocent one convicted.",
    )


def _after(answer):
    rng = np.random.default_rng(3)
    before, after = (
        {"body": rng.normal(size=(5, 8)), "head": rng.normal(size=(8, 4))} for _ in range(2)
    )
    keys, labels = rng.normal(size=(200, 5)), rng.integers(0, 4, 200)

    def rate(body, head):
        return np.mean((keys @ body["body"] @ head["head"]).argmax(axis=1) == labels)

    misses = [(rate(after, before), "This is still the new body under the old head.")]
    misses += [(rate(before, before), "This is the network before the attack.")]
    stage = ("A random network", (keys, labels, before, after), rate(after, after), misses, "")
    return staged(answer, [stage]) or (
        True,
        "Bob sells the network that he has. An attack on the last layer is undone if the old one "
        "is put back, and every mark then looks robust.",
    )


def _correlation(answer):
    rng = np.random.default_rng(4)
    words = np.where(code()[0], 1.0, -1.0)
    cases = {
        "a marked network": words + 0.1 * rng.normal(size=31),
        "an innocent": rng.normal(size=31),
    }
    stages = []
    for case, read in cases.items():
        right = np.corrcoef(read, words)[0, 1]
        own = np.corrcoef(read, np.sign(read))[0, 1]
        misses = [(own, "This compares what was read with itself: that is high for everybody.")]
        hint = "Compare what was read with what the owner embedded."
        stages.append((case, (read, words), right, misses, hint))
    return staged(answer, stages) or (
        True,
        "With itself, an innocent network correlates at 0.8 and more.",
    )


CHECKS = {
    "11.1": _read_bits,
    "11.2": _relabelled,
    "11.3": _named,
    "11.4": _leaked,
    "11.5": _message,
    "11.6": _convicts,
    "11.7": _misses,
    "11.8": _after,
    "11.9": _correlation,
}
