"""Lesson 12, claims: what the paper says, beside what was measured.

data/claims.csv lists the claims. The query of a claim is a function of this file, an underscore
before its name, that returns `Bar`s from records, the toy or exact formulae; the column `evidence`
says what they measure, and `decided` makes a verdict of them. Nothing here needs keras.
"""

import dataclasses
import functools
import html
import itertools
import math
import os

import ipywidgets as widgets
import numpy as np
import pandas as pd

from wmlab import attack_tables, datasets, queries, records, runtime, stats, toy
from wmlab.keys import perturb
from wmlab.secret import Secret
from wmlab.show import figures
from wmlab.show.answers import number
from wmlab.show.page_helper import Caption
from wmlab.show.panel import as_widget
from wmlab.show.question import predictions

NEW, WRONG = MARKS = ("new label", "wrong label")
VERDICTS = {
    "holds": "the intervals lie where the paper says",
    "in part": "some of them do",
    "not here": "none of them does",
    "cannot be told": "intervals too wide, or fewer than six runs",
    "cannot be tested": "it says what the authors did or assumed",
    "misread": "the cited work says otherwise",
    "untried": "nothing was measured",
}
VOTES = ("holds", "in part", "not here", "cannot be told")
P0 = 0.003  # hits of a network that never learned a wrong label's keys (05)
ERRORS = ((0.9, 0.1), (0.99, 0.001))  # marked networks found, innocent ones accused
MODES = ("FTAL", "FTLL", "RTAL", "RTLL")
BEARABLE = 2  # points of clean accuracy that Bob accepts to lose
LITTLE = 5  # points: a fall of the keys below that is called little


@dataclasses.dataclass(frozen=True)
class Bar:
    """A measured quantity of a claim.

    Attributes:
        of: what was measured on, in words.
        unit: "%" for a share in [0, 1], "points" for a difference in percentage points, or
            "number".
        says: where the paper stands: "=", ">" or "<" (each with equality) and
        paper: its number, in the unit.
        mean, low, high: with the ends of a 95 % interval; NaN where there is none.
        n: how many networks or worlds; 0 where it is exact.
        close: how far from "=" still counts as equal.
    """

    of: str
    unit: str
    says: str
    paper: float
    mean: float
    low: float
    high: float
    n: int = 0
    close: float = 0.0

    @property
    def verdict(self):
        """Whether the interval lies where the paper says."""
        if not self.low <= self.high:  # NaN
            return "cannot be told"
        lowest, highest = {
            "=": (self.paper - self.close, self.paper + self.close),
            ">": (self.paper, math.inf),
            "<": (-math.inf, self.paper),
        }[self.says]
        if self.says == "=" and not self.close:
            return "holds" if self.low <= self.paper <= self.high else "not here"
        if lowest <= self.low and self.high <= highest:
            return "holds"
        if self.high < lowest or highest < self.low:
            return "not here"
        return "cannot be told"


def decided(bars):
    """One verdict of several bars: theirs if they agree; "in part" if one of them holds or a part
    does; else that of those that can be told.
    """
    found = {bar.verdict for bar in bars} or {"cannot be told"}
    if len(found) == 1:
        return found.pop()
    return "in part" if "holds" in found else "not here"


def exact(of, unit, says, paper, value, close=0.0):
    """A Bar without an interval, of a formula."""
    return Bar(of, unit, says, paper, value, value, value, 0, close)


def of_runs(of, unit, says, paper, values, close=0.0):
    """A Bar of one value a run: in [0, 1] for "%", else in percentage points. Fewer than six have
    no interval.
    """
    values = np.asarray(values, float)
    if not len(values):
        return Bar(of, unit, says, paper, math.nan, math.nan, math.nan)
    mean, low, high = (stats.share_interval if unit == "%" else stats.interval)(values)
    if len(values) < stats.FEW:
        low = high = math.nan
    return Bar(of, unit, says, paper, mean, low, high, len(values), close)


def of_counts(of, says, paper, hits, n):
    """A Bar of a share of n networks or cells, with the exact interval."""
    return Bar(of, "%", says, paper, hits / n, *stats.clopper_pearson(hits, n), n)


def _table(name):
    """A table of records, or None if it is not there."""
    path = runtime.data_dir() / "results" / f"{name}.csv"
    return records.load(name) if path.exists() else None


def _by_seed(table, column):
    """Values of a column in points, a row a seed, a column a scheme."""
    return 100 * table.pivot_table(index="seed", columns="scheme", values=column)


def _cell(table, alpha, beta):
    return table[(table.alpha == alpha) & (table.beta == beta)]


def _ahead(table, column="fresh_key_accuracy"):
    """New minus wrong label in points, a seed each."""
    by_seed = _by_seed(table, column).reindex(columns=MARKS)
    return (by_seed[NEW] - by_seed[WRONG]).dropna()


@functools.cache
def toy_twists(worlds=200):
    """Twist of each marked head in worlds of the toy, in points: a DataFrame, a row a world. The
    keys lie far out, opposite the target class, as at the start of lesson 01.
    """
    rows = []
    for seed in range(worlds):
        world = toy.blobs(0.7, seed)
        keys, _ = toy.keys(world, 40, 0.9, np.array([0.0, -3.2]), seed)
        x, held = toy.features(world.points), toy.features(world.held_points)
        before, row = held @ toy.fit(x, world.labels, world.classes), {}
        for name, label in ((WRONG, toy.TARGET), (NEW, world.classes)):
            labels = np.r_[world.labels, np.full(len(keys), label)]
            head = toy.fit(np.r_[x, toy.features(keys)], labels, max(label + 1, world.classes))
            row[name] = 100 * toy.twist(before, held @ head)[0]
        rows.append(row)
    return pd.DataFrame(rows)


@functools.cache
def _churn(scheme):
    """Points of clean digits that a marked network labels otherwise than the unmarked networks of
    other seeds, less what the unmarked network of its seed does: the mean over cells, a value a
    seed.
    """
    table = records.load("fig3_mnist")
    n, plain = table.n_test.iloc[0], table[table.scheme == "unmarked"].set_index("seed").errors

    def against(errors, seed):
        return np.mean([stats.churn(errors, other, n) for other in plain.drop(seed)])

    floor = {seed: against(errors, seed) for seed, errors in plain.items()}
    runs = table[table.scheme == scheme]
    more = [
        100 * (against(errors, seed) - floor[seed])
        for errors, seed in zip(runs.errors, runs.seed, strict=True)
    ]
    return pd.Series(more).groupby(runs.seed.to_numpy()).mean()


def _twists(scheme, says, paper, close=0.0):
    return [
        of_runs("200 toy worlds", "points", says, paper, toy_twists()[scheme], close),
        of_runs("60,000 digits, answers", "points", says, paper, _churn(scheme), close),
    ]


def _not_twisted():
    return _twists(NEW, "=", 0, close=0.1)


def _less_twist():
    lead = toy_twists()[WRONG] - toy_twists()[NEW]
    return [of_runs("200 toy worlds", "points", ">", 0, lead)]


def _wrong_twists():
    return _twists(WRONG, ">", 0)


def _heavily():
    return _twists(WRONG, ">", 5)


def _small_in_toy():
    return [of_runs("200 toy worlds", "points", "<", 2, toy_twists()[NEW])]


def _clean_cost(name, title):
    """Clean accuracy of the new label minus unmarked, in points, a Bar; of an experiment whose
    unmarked networks took as many steps within 2 %.
    """
    table = _table(name)
    table = pd.DataFrame() if table is None else table[table.network != "cifar_cnn"]
    if table.empty or not {NEW, "unmarked"} <= {*table.scheme}:
        return []
    by_seed = _by_seed(table, "clean_accuracy")
    lost = (by_seed[NEW] - by_seed["unmarked"]).dropna()
    return [of_runs(title, "points", "=", 0, lost, close=0.5)]


def _fidelity():
    return [
        *_clean_cost("fig3_mnist", "60,000 digits"),
        *_clean_cost("embed_cifar10", "50,000 photographs, CIFAR-10"),
        *_clean_cost("embed_cifar100", "50,000 photographs, CIFAR-100"),
    ]


def _merits():
    table = records.load("fig3_mnist")
    plain = table[table.scheme == "unmarked"].noisy_accuracy.mean()
    marked = _cell(table, 0.01, 0.0035)
    return [
        of_runs(
            f"noisy digits, {name}", "%", ">", plain, marked[marked.scheme == name].noisy_accuracy
        )
        for name in MARKS
    ]


def _secret_pattern():
    return _merits()[:1]


def _free_weights():
    return [*_fidelity()[:1], *_merits()[:1]]


def _paper_scale():
    """The runs of each data set at the paper's scale and Table 1's α and β, {title: table}."""
    found = {
        "MNIST, 3 epochs": _cell(records.load("fig3_mnist"), 0.01, 0.0035),
        "MNIST, 10 epochs": records.load("table1_mnist"),
    }
    for name, title in (("embed_cifar10", "CIFAR-10"), ("embed_cifar100", "CIFAR-100")):
        table = _table(name)
        if table is not None:
            found[title] = table[table.network != "cifar_cnn"]
    return found


def _accuracies():
    stated = {"MNIST": 0.98, "CIFAR-10": 0.87, "CIFAR-100": 0.60}
    return [
        of_runs(title, "%", ">", stated[title.partition(",")[0]], new.clean_accuracy)
        for title, table in _paper_scale().items()
        for new in [table[table.scheme == NEW]]
    ]


def _detection():
    weak = _cell(records.load("fig3_mnist"), 0.01, 0.001)
    strong = [
        of_runs(title, "%", ">", 0.8, table[table.scheme == NEW].fresh_key_accuracy)
        for title, table in _paper_scale().items()
    ]
    few = weak[weak.scheme == NEW].fresh_key_accuracy
    return [*strong, of_runs("60,000 digits, β = 0.001", "%", ">", 0.8, few)]


def _ground_truth():
    return [
        of_runs(f"{title}, {name}", "%", ">", 0.95, table[table.scheme == name].fresh_key_accuracy)
        for title, table in _paper_scale().items()
        for name in MARKS
    ]


def _learns_better():
    table = records.load("fig3_mnist")
    means = table[table.scheme.isin(MARKS)].groupby(stats.CELL).fresh_key_accuracy.mean()
    learned = table.set_index(stats.CELL).index.isin(means.index[means > 0.9])
    return [
        of_runs("on the rise", "points", ">", 0, _ahead(_cell(table, 0.006, 0.0035))),
        of_runs("where 90 % is learned", "points", ">", 0, _ahead(table[learned])),
    ]


def alpha_for(target, runs):
    """Where a seed's curve over α, straight between its points, first reaches the target; inf if it
    never does.
    """
    runs = runs.sort_values("alpha")
    reached = np.maximum.accumulate(runs.fresh_key_accuracy.to_numpy())
    return np.interp(target, reached, runs.alpha) if reached[-1] >= target else math.inf


def _fewer():
    table = records.load("fig3_mnist")
    arm = table[(table.beta == 0.0035) & table.scheme.isin(MARKS)]
    needed = {key: 100 * alpha_for(0.8, runs) for key, runs in arm.groupby(["scheme", "seed"])}
    by_seed = pd.Series(needed).unstack(0)
    lead = by_seed[WRONG] - by_seed[NEW]
    return of_runs("α for 80 % of hits", "points", ">", 0, lead[np.isfinite(lead)])


def _fewer_keys():
    return [
        _fewer(),
        of_runs("the whole cross", "points", ">", 0, _ahead(records.load("fig3_mnist"))),
    ]


def _all_datasets():
    tables = {
        "60,000 digits, the cross": records.load("fig3_mnist"),
        "4,000 photographs": records.load("embed_photographs"),
        "50,000 photographs, the quoted cell": _quoted("whitening_cnn", 4),
    }
    return [of_runs(title, "points", ">", 0, _ahead(each)) for title, each in tables.items()]


def _quoted(network, epochs):
    """Runs of the paper's most quoted cell on CIFAR-10, with this network and these epochs."""
    table = _cell(records.load("fig3_cifar10"), 0.006, 0.001)
    return table[(table.network == network) & (table.epochs == epochs)]


def _quoted_cell():
    found = []
    for title, *how in (("whitening", "whitening_cnn", 4), ("plain, 10 epochs", "fast_cnn", 10)):
        for name, says in ((NEW, ">"), (WRONG, "<")):
            runs = _quoted(*how)
            hits = runs[runs.scheme == name].fresh_key_accuracy
            found.append(of_runs(f"{name}, {title}", "%", says, 0.8, hits))
    return found


def _minimized():
    return [_fewer(), _more_queries()[0]]


def _random_answers():
    table = attack_tables.load("attacks_class")
    plain = table[(table.scheme == "unmarked") & (table.attack == attack_tables.UNTOUCHED)]
    return [of_runs("4,000 digits", "%", "=", 0.1, plain.true_label_rate)]


def _false_positives():
    table = records.load("gallery")
    convicted = (records.answers(table)[:, :40] == 10).any(axis=1)  # at the first of 40 keys
    plain = (table.scheme == "unmarked").to_numpy()
    groups = {"no output more than classes": plain, "an output more": ~plain}
    return [
        of_counts(title, "=", 0.0, int(convicted[chosen].sum()), int(chosen.sum()))
        for title, chosen in groups.items()
    ]


def _most_choices():
    found = []
    for name, title in (("fig3_mnist", "60,000 digits"), ("fig3_class", "4,000 digits")):
        table = records.load(name)
        means = stats.cells(table[table.scheme == NEW], "fresh_key_accuracy")["mean"]
        found.append(of_counts(f"cells, {title}", ">", 0.5, int((means >= 0.8).sum()), len(means)))
    return found


def _grows():
    table = records.load("fig3_mnist")
    arm = table[(table.alpha == 0.01) & (table.scheme == NEW)]
    shares = []
    for _, runs in arm.groupby("seed"):
        hits = runs.sort_values("beta").fresh_key_accuracy
        shares.append(np.mean([b >= a for a, b in itertools.combinations(hits, 2)]))
    return [of_runs("pairs of strengths", "%", ">", 0.5, shares)]


def _bounded():
    rates = np.arange(0.01, 1.001, 0.01)
    largest = max(p * queries.expected(p, n) for p in rates for n in (1, 2, 5, 40, None))
    return [exact("largest p·E[q]", "number", "<", 1.0, round(float(largest), 9))]


def _two_queries():
    return [exact("mean to the first hit", "number", "=", 2.0, queries.expected(0.8))]


def _at(errors):
    power, false = errors
    return f"{1 - power:.0%} and {false:.1%} errors"


def _more_queries():
    found = []
    for errors in ERRORS:
        batch, _ = queries.neyman_pearson(0.8, P0, *errors)
        more = batch - queries.quantile(0.8, errors[0])
        found.append(exact(_at(errors), "number", ">", 1.0, float(more)))
    return found


def _forty_keys():
    least = queries.smallest_batch(0.8, 0.3, 0.9, multiple=10)
    return [exact("first multiple of ten", "number", "=", 40.0, float(least))]


def _efficient():
    found = []
    for errors in ERRORS:
        _, mean = queries.sprt(0.8, P0, *errors).characteristic(0.8)
        first = queries.expected(0.8, queries.quantile(0.8, errors[0]))
        found.append(exact(_at(errors), "number", ">", 0.5, float(mean - first)))
    return found


def _suspicion():
    p, noticed = 0.8, 0.05
    first = (1 - noticed) * p / (1 - (1 - noticed) * (1 - p))
    lead = 100 * (first - (1 - noticed) ** 40)
    counted = _ranked(nonzero, _digits(), 0.01)
    return [
        exact("done before noticed", "points", ">", 0.0, lead),
        exact("keys noticed by counting", "%", "<", 0.5, counted),
    ]


@functools.cache
def _digits():
    return datasets.load("mnist", "class").x_test[:500]


@functools.cache
def _pieces():
    return datasets.photographs()[0][:500]


def nonzero(images):
    """Share of pixels that are not black, (n,)."""
    return np.mean(images > 0, axis=(1, 2, 3))


def roughness(images):
    """Mean size of the second difference along rows: an estimate of noise, (n,)."""
    return np.abs(np.diff(images, 2, axis=2)).mean(axis=(1, 2, 3))


def _ranked(score, images, beta):
    """AUC of a detector: how often a key scores above a clean image, ties half."""
    half = len(images) // 2
    clean, made = images[:half], perturb(images[half:], Secret("claims"), "detect", beta=beta)
    before, after = score(clean)[:, None], score(made)[None]
    return float(np.mean((after > before) + 0.5 * (after == before)))


def _harder_to_detect():
    found = []
    for title, score, images in (
        ("counting pixels, digits", nonzero, _digits()),
        ("noise, photographs", roughness, _pieces()),
    ):
        lead = 100 * (_ranked(score, images, 0.01) - _ranked(score, images, 0.0001))
        found.append(exact(title, "points", ">", 1.0, lead))
    return found


def _random_label():
    return [exact("ten labels", "%", "<", 0.5, 0.1)]


ATTACKED = {  # tables of attacks on networks of the paper's scale and of the course's
    "60,000 digits": "attacks_mnist",
    "4,000 digits": "attacks_class",
    "4,000 photographs": "attacks_photographs",
    "CIFAR-10": "embed_cifar10",
    "CIFAR-100": "embed_cifar100",
}


@functools.cache
def _attacked(name):
    """The recorded attacks of an experiment on networks of both marks; empty if there are none.
    fell: the share of keys, in points, that an attack cost the run."""
    found = attack_tables.recorded({name: [name]}).get(name, pd.DataFrame())
    if found.empty:
        return found
    before = found[found.attack == attack_tables.UNTOUCHED].set_index("run").fresh_key_accuracy
    before = found.run.map(before)
    return found[found.scheme.isin(MARKS)].assign(
        fell=100 * (before - found.fresh_key_accuracy), kept=found.fresh_key_accuracy / before
    )


def _worst(table, attacks, scheme=NEW):
    """The rows of one attack at the setting that leaves the fewest keys among those that cost at
    most 2 points of clean accuracy, in the mean.
    """
    rows = table[table.attack.isin(attacks) & (table.scheme == scheme)]
    means = rows.groupby(attack_tables.SETTING, dropna=False)[["lost", "fresh_key_accuracy"]].mean()
    bearable = means[means.lost <= BEARABLE]
    if bearable.empty:
        return rows[:0]
    attack, strength, epochs, images = bearable.fresh_key_accuracy.idxmin()
    same = (rows.attack == attack) & (rows.epochs == epochs) & (rows.images == images)
    return rows[
        same & ((rows.strength == strength) | (math.isnan(strength) & rows.strength.isna()))
    ]


PRUNING = ("pruning, per layer", "pruning, global")


def _robust_pruning():
    found = []
    for title, name in ATTACKED.items():
        for how, attacks in (("pruned", PRUNING), ("fine-pruned", ("fine-pruning",))):
            if len(table := _attacked(name)):
                left = _worst(table, attacks).fresh_key_accuracy
                found.append(of_runs(f"{title}, {how}", "%", ">", 0.8, left))
    return [bar for bar in found if bar.n]


def _falls_little():
    found = []
    for title, name in ATTACKED.items():
        if len(table := _attacked(name)):
            found += [
                of_runs(
                    f"{title}, {mark}", "points", "<", LITTLE, _worst(table, PRUNING, mark).fell
                )
                for mark in MARKS
            ]
    return [bar for bar in found if bar.n]


def _better_pruned():
    found = []
    for title, name in ATTACKED.items():
        if len(table := _attacked(name)):
            high = table[table.attack.isin(PRUNING) & table.strength.isin((0.8, 0.9, 0.95))]
            found.append(of_runs(title, "points", ">", 0, _ahead(high)))
    return found


TUNED = ATTACKED | {"4,000 digits": "tuning_class"}


def _tuned(name, attack, rate):
    """The rows of fine-tuning for 8 epochs on all of Bob's images."""
    table = _attacked(name)
    if table.empty:
        return table
    usual = (table.epochs == 8) & (table.images == table.images.max())
    return table[usual & (table.attack == attack) & (table.strength == rate)]


def _robust_tuning():
    found = []
    for title, name in TUNED.items():
        if len(table := _attacked(name)):
            modes = [attack for attack in table.attack.unique() if attack.startswith(MODES)]
            left = _worst(table, modes).fresh_key_accuracy
            found.append(of_runs(title, "%", ">", 0.8, left))
    return found


def _kept_clean():
    found = []
    for rate, said in ((1e-4, "10⁻⁴"), (1e-3, "10⁻³"), (1e-2, "10⁻²")):
        for title in ("4,000 digits", "CIFAR-10"):
            rows = _tuned(TUNED[title], "FTAL", rate)
            if len(rows):
                lost = rows[rows.scheme == NEW].lost
                found.append(of_runs(f"{title}, {said}", "points", "<", BEARABLE, lost))
    return found


def _mnist_keeps():
    found = []
    for title, name, attack, rate in (
        ("3 epochs, Adam 10⁻³", "attacks_mnist", "FTAL", 1e-3),
        ("3 epochs, Adam 10⁻⁴", "gentle_mnist", "FTAL", 1e-4),
        ("10 epochs, Adam 10⁻⁴", "table1_mnist", "FTAL", 1e-4),
        ("10 epochs, SGD 10⁻³", "table1_mnist", "FTAL, SGD", 1e-3),
    ):
        rows = _tuned(name, attack, rate)
        found += [
            of_runs(f"{title}, {mark}", "%", ">", 0.9, rows[rows.scheme == mark].kept)
            for mark in MARKS
            if len(rows)
        ]
    return found


def _photographs_fall():
    found = []
    for title in ("4,000 photographs", "CIFAR-10", "CIFAR-100"):
        rows = _tuned(ATTACKED[title], "FTAL", 1e-3)
        found += [
            of_runs(f"{title}, {mark}", "points", ">", LITTLE, rows[rows.scheme == mark].fell)
            for mark in MARKS
            if len(rows)
        ]
    return found


def _mitigates():
    found = []
    for title in ("4,000 photographs", "CIFAR-10", "CIFAR-100"):
        for mode in MODES:
            rows = _tuned(ATTACKED[title], mode, 1e-3)
            if len(rows):
                fell = rows.pivot_table(index="seed", columns="scheme", values="fell")
                spared = (fell[WRONG] - fell[NEW]).dropna()
                found.append(of_runs(f"{title}, {mode}", "points", ">", 0, spared))
    return found


def _forget():
    rows = [_tuned(TUNED[title], "FTAL", 1e-3) for title in ("4,000 digits", "60,000 digits")]
    return [
        of_runs(title, "points", ">", 0, (of.fell - of.lost)[of.scheme == NEW])
        for title, of in zip(("4,000 digits", "60,000 digits"), rows, strict=True)
    ]


INNOCENT = "innocent"  # in records: not an attack, but what a network without a mark says
KINDS = {"fresh": "noise", "content": "a logo", "unrelated": "unrelated images"}


@functools.cache
def _gallery():
    """The attacks of lesson 11 on every published system; `keys`: of the paper's two labels the
    kind of key, "" for others. kept: the share of what the network had before.
    """
    found = attack_tables.recorded({"": ["cited_class"]})[""]
    before = found[found.attack == attack_tables.UNTOUCHED].set_index("run").fresh_key_accuracy
    kinds = records.load("cited_class").set_index("run").kind.map(KINDS)
    keys = found.run.map(kinds).where(found.scheme.isin(MARKS), "")
    return found.assign(keys=keys, kept=found.fresh_key_accuracy / found.run.map(before))


def _by_keys(label, attack, strength, column):
    """A column of the gallery in points, a row a seed, a column a kind of keys."""
    rows = _gallery()
    rows = rows[(rows.scheme == label) & (rows.attack == attack)]
    if strength is not None:
        rows = rows[rows.strength == strength]
    return 100 * rows.pivot_table(index="seed", columns="keys", values=column).dropna()


TUNING = "FTAL", 1e-3


def _kinds_matter():
    found = []
    for label in MARKS:
        kept = _by_keys(label, *TUNING, "kept")
        clean = _by_keys(label, attack_tables.UNTOUCHED, None, "clean_accuracy")
        for title, by in (("keys kept after tuning", kept), ("clean accuracy", clean)):
            apart = by.max(axis=1) - by.min(axis=1)
            found.append(of_runs(f"{label}, {title}", "points", ">", LITTLE, apart))
    return found


def _two_kinds():
    found = []
    for label in MARKS:
        by = _by_keys(label, *TUNING, "kept")
        lead = by[KINDS["unrelated"]] - by[KINDS["fresh"]]
        found.append(of_runs(f"{label}, kept after tuning", "points", "=", 0, lead, close=LITTLE))
    by = _by_keys(WRONG, INNOCENT, None, "fresh_key_accuracy")
    lead = by[KINDS["unrelated"]] - by[KINDS["fresh"]]
    return [*found, of_runs("keys that innocents hit", "points", "=", 0, lead, close=LITTLE)]


def _unrelated_new():
    untouched = attack_tables.UNTOUCHED, None
    hits = _by_keys(NEW, *untouched, "fresh_key_accuracy")[KINDS["unrelated"]]
    clean = _by_keys(NEW, *untouched, "clean_accuracy")
    lead = clean[KINDS["unrelated"]] - clean[KINDS["fresh"]]
    return [
        of_runs("keys hit", "%", ">", 0.8, hits / 100),
        of_runs("clean accuracy, against noise", "points", "=", 0, lead, close=0.5),
    ]


def _noise_best():
    found = []
    for title, attack, strength in (
        ("pruned, 80 %", "pruning, per layer", 0.8),
        ("tuned, 10⁻³", *TUNING),
        ("fine-pruned, 60 %", "fine-pruning", 0.6),
        ("median filter", "median", 3),
    ):
        by = _by_keys(WRONG, attack, strength, "kept")
        noise = KINDS["fresh"]
        lead = by[noise] - by.drop(columns=noise).max(axis=1)
        found.append(of_runs(f"keys kept, {title}", "points", ">", 0, lead))
    return found


def _more_robust():
    rows = _gallery()
    rows = rows[~rows.attack.isin([INNOCENT, attack_tables.UNTOUCHED])]
    rows = rows[rows.lost <= BEARABLE]
    system = rows.scheme + rows["keys"].map(lambda kind: f", {kind}" if kind else "")
    marked = 100 * (rows.decision == "marked")
    stands = marked.groupby([rows.seed, system]).mean().unstack()
    ours = f"{NEW}, {KINDS['fresh']}"
    others = [name for name in stands if not name.startswith(NEW)]
    return [of_runs(name, "points", ">", 0, stands[ours] - stands[name]) for name in others]


@functools.cache
def _provided():
    """What Bob, and a provider, leave of the new label in five cells of α and β."""
    rows = attack_tables.recorded({"": ["provider_class"]})[""]
    return rows[rows.scheme == NEW]


def _provider():
    rows = _cell(_provided(), 0.1, 0.01)
    return [
        of_runs(title, "%", ">", 0.8, rows[rows.attack == attack].fresh_key_accuracy)
        for title, attack in (("tuned, 10⁻³", "FTAL"), ("unlearnt", "unlearning with the keys"))
    ]


def _nearer_keys():
    rows, found = _provided()[_provided().alpha == 0.1], []
    for title, attack in (("keys hit", attack_tables.UNTOUCHED), ("keys left by tuning", "FTAL")):
        of = rows[rows.attack == attack]
        by = of.pivot_table(index="seed", columns="beta", values="fresh_key_accuracy")
        by = 100 * by.reindex(columns=[0.0035, 0.1])
        lead = (by[0.1] - by[0.0035]).dropna()
        found.append(of_runs(f"β 0.1 less β 0.0035, {title}", "points", ">", 0, lead))
    return found


def _weak_features():
    found = []
    for alpha, beta in ((0.04, 0.0035), (0.04, 0.01), (0.1, 0.0035)):
        rows = _cell(_provided(), alpha, beta)
        hits = rows[rows.attack == attack_tables.UNTOUCHED].fresh_key_accuracy
        found.append(of_runs(f"α {alpha:.0%}, β {beta}", "%", ">", 0.95, hits))
    return found


def _tables():
    table = records.load("embed_table")
    found = []
    for beta in (0.01, 0.1, 0.3):
        hits = _cell(table, 0.1, beta).fresh_key_accuracy
        found.append(of_runs(f"569 rows of 30 numbers, β {beta:g}", "%", ">", 0.8, hits))
    return found


QUERIES = {
    query.__name__[1:]: query
    for query in (
        _not_twisted,
        _less_twist,
        _wrong_twists,
        _heavily,
        _small_in_toy,
        _free_weights,
        _merits,
        _fidelity,
        _accuracies,
        _kept_clean,
        _learns_better,
        _fewer_keys,
        _all_datasets,
        _minimized,
        _random_answers,
        _false_positives,
        _detection,
        _most_choices,
        _grows,
        _quoted_cell,
        _ground_truth,
        _bounded,
        _two_queries,
        _more_queries,
        _forty_keys,
        _efficient,
        _suspicion,
        _robust_pruning,
        _falls_little,
        _better_pruned,
        _robust_tuning,
        _mnist_keeps,
        _photographs_fall,
        _mitigates,
        _forget,
        _harder_to_detect,
        _random_label,
        _secret_pattern,
        _kinds_matter,
        _two_kinds,
        _unrelated_new,
        _noise_best,
        _more_robust,
        _provider,
        _nearer_keys,
        _weak_features,
        _tables,
    )
}
SIGNS = {  # of a verdict, and of a bar
    "holds": ("●", figures.GREEN, "circle"),
    "in part": ("◐", figures.ORANGE, "diamond"),
    "not here": ("✗", figures.VERMILLION, "x"),
    "cannot be told": ("?", figures.GREY, "circle-open"),
    "cannot be tested": ("–", figures.GREY, "line-ew"),
    "misread": ("✎", figures.PURPLE, "star"),
    "untried": ("·", figures.GREY, "line-ew"),
}
STANDS = {"=": "x-thin", ">": "triangle-right", "<": "triangle-left"}  # signs of the paper
UNITS = ("%", "points", "number")


def table():
    """The claims as data/claims.csv lists them, a DataFrame by number; empty texts are ""."""
    path = runtime.data_dir() / "claims.csv"
    return pd.read_csv(
        path, dtype={"section": str, "lesson": str}, keep_default_na=False
    ).set_index("number")


@functools.cache
def bars(query):
    """The bars of a claim's query; none for a claim that is argued or was not tried."""
    found = QUERIES[query]() if query in QUERIES else []
    return [bar for bar in found if not math.isnan(bar.mean)]


def verdict(query):
    """The verdict of a claim's query: of its bars; of the argument that it names; or "untried"."""
    if query.startswith("argument: "):
        return query.partition(": ")[2]
    return decided(bars(query)) if query else "untried"


def _told(bar):
    """A bar in words: what it is of, the number, its interval and on how many."""
    factor, digits = (100, 1) if bar.unit == "%" else (1, 2)
    unit = {"%": " %", "points": " points", "number": ""}[bar.unit]
    said = f"{bar.of}: {factor * bar.mean:.{digits}f}{unit}"
    if bar.n and bar.low <= bar.high:
        said += f" [{factor * bar.low:.{digits}f}, {factor * bar.high:.{digits}f}]"
    count = f", n = {bar.n}" if bar.n else ", exact"
    stands = {"=": "", ">": "at least ", "<": "at most "}[bar.says]
    return f"{said}{count}; the paper: {stands}{factor * bar.paper:.{digits}f}{unit}".replace(
        "-", "−"
    )


def listed(claims):
    """A table to read: each claim with its verdict, what was measured, and what would change it."""
    rows = []
    for n, claim in claims.iterrows():
        sign, _, _ = SIGNS[claim.verdict]
        rows.append(
            {
                "claim": f"{n}. {claim.quote} ({claim.section})",
                "verdict": f"{sign} {claim.verdict}",
                "decided by": " ".join(
                    [claim.evidence, *(f"{_told(bar)}." for bar in bars(claim["query"]))]
                ),
                "lesson": claim.lesson,
                "what would change it": claim.changes,
            }
        )
    style = (
        pd.DataFrame(rows)
        .style.hide(axis="index")
        .set_properties(**{"text-align": "left", "vertical-align": "top"})
    )
    return style.set_table_styles([dict(selector="th", props="text-align: left")])


def forest(claims, votes=None):
    """Figure of the claims that were measured, a row a claim: a sign and a line for each measured
    quantity and its 95 % interval, a black sign where the paper stands.

    claims: rows of `table`. votes: {number: verdict}, shown beside the claim.
    """
    traces, ticks, y = [], {}, 0.0
    for n, claim in claims.iterrows():
        if not (found := bars(claim["query"])):
            continue
        title, lines = _row_title(n, claim, (votes or {}).get(n))
        room = max(len(found), 0.9 * lines)
        ticks[y + room / 2] = title
        for place, bar in enumerate(found):
            traces += _bar_traces(bar, y + room / 2 + place - (len(found) - 1) / 2)
        y += room + 0.4
    ends = [-0.4, y + 0.2]
    axes = figures.plots(
        list(UNITS),
        gap=0.04,
        y=dict(
            tickvals=list(ticks), ticktext=list(ticks.values()), range=ends[::-1], showgrid=False
        ),
        each={place: {"x": _axis(unit)} for place, unit in enumerate(UNITS, 1)},
    )
    height = int(110 + 21 * (ends[1] - ends[0]))
    return figures.figure(
        traces, height, **axes, showlegend=False, margin=dict(l=20, r=10, t=50, b=40)
    )


def _row_title(n, claim, vote):
    """The words beside a row, and how many lines they take."""
    sign, colour, _ = SIGNS[claim.verdict]
    words = figures.wrapped(f"{n}. {claim.quote}", 44)
    said = f"{sign} {claim.verdict}" + (f" (you: {vote})" if vote else "")
    title = f"{words}<br><span style='color:{colour}'><b>{said}</b></span>"
    return title, title.count("<br>") + 1


def _scaled(unit, values):
    """Where numbers of a unit stand on its axis: shares in percent; others so that 0.05 and 50 can
    both be seen, nearly linear around 0 and logarithmic farther out.
    """
    values = np.asarray(values, float)
    return 100 * values if unit == "%" else np.arcsinh(values / 0.05)


def _axis(unit):
    if unit == "%":
        return dict(range=[-6, 106], tickvals=[0, 50, 100])
    ticks = [0, 1, 10, 50] if unit == "number" else [-50, -5, -0.5, 0, 0.5, 5, 50]
    names = [f"{tick:g}".replace("-", "−") for tick in ticks]
    return dict(tickvals=_scaled(unit, ticks).tolist(), ticktext=names, tickangle=0)


def _bar_traces(bar, y):
    """A bar's sign with its interval, and the sign where the paper stands."""
    _, colour, symbol = SIGNS[bar.verdict]
    plot = list(UNITS).index(bar.unit) + 1
    known = bar.low <= bar.high
    mean, low, high, stands = _scaled(
        bar.unit, [bar.mean, *((bar.low, bar.high) if known else (bar.mean, bar.mean)), bar.paper]
    )
    look = dict(color=colour, dash="solid")
    line = figures.points(np.array([low, high]), np.array([y, y]), bar.of, look, plot, "lines")
    more = dict(text=_told(bar), hoverinfo="text")
    mark = figures.dots([mean], [y], bar.of, colour, symbol, plot, 10, **more)
    paper = figures.dots(
        [stands], [y], "the paper", figures.BLACK, STANDS[bar.says], plot, 10, **more
    )
    paper["marker"]["line"] = dict(width=2, color=figures.BLACK)
    return [line | dict(hoverinfo="skip"), paper, mark]


class Ballot:
    """A vote on each claim of a group, and then what was measured.

    Every claim has buttons for the verdicts that a reader may expect. The picture stays hidden
    until the button "Open this group" is pressed; votes made by then count, later ones do not.
    Attributes: votes {number: verdict}; opened; error, of the button.
    """

    def __init__(self, claims):
        self.claims, self.votes, self.opened, self.error = claims, {}, False, None
        rows = [self._row(number, claim) for number, claim in claims.iterrows()]
        button = widgets.Button(description="Open this group", button_style="primary")
        button.on_click(lambda _: self._open())
        self._said = Caption("<i>Vote first; then open the group.</i>")
        self._shown = widgets.VBox([button, self._said])
        self.widget = widgets.VBox([*rows, self._shown])

    def _row(self, number, claim):
        asked = widgets.HTML(f"<p style='font-size:16px'><b>{number}.</b> {claim.quote}</p>")
        found = {*VOTES, *self.claims.verdict}
        options = [verdict for verdict in VERDICTS if verdict in found]
        look = dict(button_width="auto")
        choice = widgets.ToggleButtons(options=options, value=None, style=look)
        choice.observe(lambda change: self._voted(number, change["new"]), "value")
        return widgets.VBox([asked, choice])

    def _voted(self, number, verdict):
        if not self.opened and verdict is not None:
            self.votes[number] = verdict

    def reveal(self):
        """Open the group where the environment variable WMLAB_WATCH is 1, or if all its claims have
        a vote."""
        if os.environ.get("WMLAB_WATCH") == "1" or len(self.votes) == len(self.claims):
            self._open()

    def _open(self):
        try:
            if not self.opened:
                self.opened = True
                predictions.extend(
                    {"question": f"claim {number}", "said": vote, "right": right}
                    for number, vote, right in self._scored()
                )
            self._shown.children = [self._said, *map(as_widget, self._result())]
            self._said.value = f"<p style='font-size:16px'>{self.score()}</p>"
        except Exception as error:  # a traceback from a click would be lost, as in Panel
            self.error = f"{type(error).__name__}: {error}"
            self._said.value = f"<b>That did not work.</b> {html.escape(self.error)}"

    def _result(self):
        measured = [bool(bars(query)) for query in self.claims["query"]]
        return [forest(self.claims, self.votes)] if any(measured) else [listed(self.claims)]

    def _scored(self):
        return [(n, vote, vote == self.claims.verdict[n]) for n, vote in self.votes.items()]

    def score(self):
        """How many votes met the verdict, in words."""
        met = sum(right for *_, right in self._scored())
        if not self.votes:
            return "You did not vote here."
        return f"{met} of your {len(self.votes)} votes met the verdict."


def vote(group):
    """The Ballot of a group of claims."""
    claims = table()
    return Ballot(claims[claims.group == group])


def scores(ballots):
    """How many votes of several Ballots met the verdict, in words."""
    votes = [right for ballot in ballots for *_, right in ballot._scored()]
    return f"{sum(votes)} of your {len(votes)} votes met the verdict." if votes else "No vote yet."


def tally(claims):
    """How many claims have each verdict: a DataFrame, a row a verdict, with what it means."""
    counts = claims.verdict.value_counts()
    rows = {
        f"{SIGNS[name][0]} {name}": {"claims": int(counts.get(name, 0)), "meaning": meaning}
        for name, meaning in VERDICTS.items()
    }
    return pd.DataFrame(rows).T


def _rule(judge):
    """Exercise 12.1: a function (low, high, least) -> verdict of "at least"."""
    cases = {
        (0.85, 0.95, 0.8): ("holds", "The whole interval lies above the paper's number."),
        (0.10, 0.30, 0.8): ("not here", "The whole interval lies below the paper's number."),
        (0.70, 0.90, 0.8): ("cannot be told", "The paper's number lies inside the interval."),
        (0.80, 0.95, 0.8): ("holds", "“At least” includes the number itself."),
    }
    for (low, high, least), (right, why) in cases.items():
        said = judge(low, high, least)
        if said != right:
            return False, (
                f"For [{low:g}, {high:g}] and “at least {least:g}” yours says {said!r}. {why} It "
                f"is {right!r}."
            )
    for low, high, least in np.random.default_rng(0).uniform(size=(200, 3)):
        low, high = sorted((low, high))
        right = Bar("", "%", ">", least, (low + high) / 2, low, high).verdict
        if judge(low, high, least) != right:
            return False, f"For [{low:.3f}, {high:.3f}] and “at least {least:.3f}” it is {right!r}."
    return True, (
        "There are three verdicts, not two: an interval with the number inside decides nothing. "
        "Many papers write “comparable” there."
    )


def _misses(answer):
    count = intervals()
    praise = (
        f"{count} intervals, of which one in twenty misses on average. So a few signs in the "
        "picture are wrong, and nobody knows which."
    )
    misses = [(0, "Each 95 % interval misses the truth once in twenty times.")]
    return number(
        answer,
        0.05 * count,
        praise,
        misses,
        "How many intervals are there? `claims.intervals()` counts them.",
    )


def intervals():
    """How many 95 % intervals of runs the picture has."""
    return sum(bar.n > 0 for query in table()["query"] for bar in bars(query))


CHECKS = {"12.1": _rule, "12.2": _misses}
