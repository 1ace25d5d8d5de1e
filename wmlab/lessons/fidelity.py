"""Lesson 04, fidelity: accuracy over α and β, from recorded runs and from one's own."""

import functools
import itertools
import re

import numpy as np
import pandas as pd

from wmlab import stats
from wmlab.keys import check_share
from wmlab.schemes import scheme
from wmlab.show import Question, figures
from wmlab.show.answers import number
from wmlab.show.controls import buttons, choice
from wmlab.show.panel import Panel

MARKS = ("new label", "wrong label")
MEASURED = {
    "keys": "fresh_key_accuracy",
    "clean images": "clean_accuracy",
    "noisy images": "noisy_accuracy",
}
TITLES = {
    "fresh_key_accuracy": "fresh keys hit",
    "clean_accuracy": "clean images right",
    "noisy_accuracy": "noisy images right",
}
ARMS = {"alpha": "over α, the share of keys", "beta": "over β, their strength"}
TRAIN = "Train this cell now"
# a line of a class's shared sheet
SHEET = ("alpha", "beta", "seed", "new_key", "wrong_key", "new_clean", "wrong_clean")
MOST = 200  # pairs of runs; where it takes more, the map of pairs is grey


def arms(table, alpha, beta, column="fresh_key_accuracy", means=None):
    """Figure of two plots of a column: over α at this β, and over β at this α.

    A dot is a run, a line the mean, a band the 95 % interval. table: recorded runs. means: of the
    column, as of `stats.cells`, if they are known already.
    """
    means = stats.cells(table, column) if means is None else means
    table, look = table[["scheme", *ARMS, column]], figures.looks(MARKS)
    cell, traces, lowest = {"alpha": alpha, "beta": beta}, [], 1.0
    for (plot, along), name in itertools.product(enumerate(ARMS, 1), MARKS):
        (other,) = set(ARMS) - {along}
        here = means[(means.scheme == name) & (means[other] == cell[other])].sort_values(along)
        runs = table[(table.scheme == name) & (table[other] == cell[other])].dropna()
        band = (here["low"].to_numpy(float), here["high"].to_numpy(float))
        dots = (runs[along].to_numpy(float), runs[column].to_numpy(float))
        drawn = dict(plot=plot, legend=plot == 1, runs=dots)
        traces += figures.curve(here[along], here["mean"], *band, name, look[name], **drawn)
        lowest = min([lowest, *dots[1]])
    shapes = [figures.upright(cell[along], plot) for plot, along in enumerate(ARMS, 1)]
    axes = _axes(table, column, lowest)
    return figures.figure(traces, 420, **axes, shapes=shapes, margin=dict(t=72, b=130, l=85))


def _axes(table, column, lowest):
    """The axes of `arms`: a tick at each α and β on record; shares from 0 on, but clean accuracy
    from below the lowest run on, since its differences are small.
    """
    ticks = {name: sorted(table[table[name] > 0][name].unique()) for name in ARMS}
    each = {}
    for plot, values in enumerate(ticks.values(), 1):
        ends = np.log10([values[0], values[-1]]) + [-0.07, 0.07] if values else None
        each[plot] = {"x": dict(tickvals=values, ticktext=[f"{v:g}" for v in values], range=ends)}
    close = column == "clean_accuracy" and lowest < 1
    low = lowest - 0.01 if close else 0
    room = 0.03 * (1 - low)
    y = dict(
        title=TITLES[column], range=[low - room, 1 + room], tickformat=".1%" if close else ".0%"
    )
    return figures.plots(list(ARMS.values()), x=dict(type="log", tickangle=0), y=y, each=each)


def sentence(table, alpha, beta, column):
    """What the records say of one cell in words: means, intervals, runs, and the paired
    difference.
    """
    at = table[(table.alpha == alpha) & (table.beta == beta)].dropna(subset=[column])
    if at.empty:
        return f"At α = {alpha:g} and β = {beta:g} there is no run yet."
    parts = []
    for name, runs in at.groupby("scheme"):
        count = f", {len(runs)} runs" if len(runs) >= stats.FEW else ""  # `told` has fewer
        parts.append(f"{name} {stats.told(runs[column])}{count}")
    said = f"At α = {alpha:g}, β = {beta:g}, {TITLES[column]}: {'; '.join(parts)}."
    for _, row in stats.paired(at, column).dropna(subset=["p"]).iterrows():
        points = 100 * row[["mean", "low", "high"]]
        difference = stats.told(points, "points", runs=int(row.pairs))
        said += f" Same seed, new minus wrong: {difference}, p = {row.p:.2g}."
    return said


def grid(table, data=None, how=None, seed=None):
    """Panel: α and β sliders over recorded runs; with data and a recipe, a button that trains the
    chosen cell.

    table: recorded runs. seed: of the first two runs that the button trains, one of each scheme;
    later ones count on from it. Its `result` has "own", the records of these runs.
    """
    own = []

    @functools.cache
    def runs(trained):
        return pd.concat([table, pd.DataFrame(own)], ignore_index=True) if trained else table

    means = functools.cache(lambda column, trained: stats.cells(runs(trained), column))
    said = functools.cache(lambda trained, *cell: sentence(runs(trained), *cell))

    def picture(alpha, beta, of):
        column, trained = MEASURED[of], len(own)
        figure = arms(runs(trained), alpha, beta, column, means(column, trained))
        return figure, said(trained, alpha, beta, column), {"own": own}

    def train(alpha, beta, of):
        mine = seed + len(own)  # for each two another, since a pair is one run of each scheme
        for done, name in enumerate(("new", "wrong"), 1):
            own.append(train_cell(data, how, name, alpha, beta, mine))
            yield done / 2, picture(alpha, beta, of)

    return Panel(
        picture,
        first=1,
        jobs=None if data is None else {TRAIN: train},
        alpha=_slider(table.alpha, "α, share of keys"),
        beta=_slider(table.beta, "β, strength"),
        of=buttons(MEASURED, "share of"),
    )


def _slider(column, text):
    """A slider over the values above 0 of a column, at the largest."""
    values = sorted(column[column > 0].unique())
    return choice(values, text, values[-1])


def train_cell(data, how, name, alpha, beta, seed):
    """The record of one network marked by the scheme `name` ("new" or "wrong") in one cell, made as
    a sweep makes its runs.
    """
    mark, secret = scheme(name, alpha=alpha, beta=beta), f"my cell {seed}"
    run = mark.embed(data, secret, how, seed=seed)
    return run.settings | run.results | {"noisy_accuracy": mark.noisy_accuracy(run.model, data)}


def sheet_line(own):
    """The newest cell that was trained, both schemes, as one line for a shared sheet: the numbers
    of SHEET.

    own: records of `train_cell`. Raises ValueError if no cell was trained to its end.
    """
    pairs = [pair for pair in itertools.pairwise(own) if pair[0]["seed"] == pair[1]["seed"]]
    if not pairs:  # who cancels has one run of a cell
        raise ValueError(f"there is nothing to share yet: press “{TRAIN}” first")
    new, wrong = pairs[-1]
    columns = ("fresh_key_accuracy", "clean_accuracy")
    shares = [f"{run[column]:.4f}" for column in columns for run in (new, wrong)]
    return ", ".join([f"{new['alpha']:g}", f"{new['beta']:g}", str(new["seed"]), *shares])


def pool(text):
    """A class's lines, pasted, as a table of runs; the same numbers twice count once.

    Numbers stand between commas, tabs or semicolons, and with the last two may have a decimal
    comma; empty lines and a heading are left out. Raises ValueError naming the first line that is
    none.
    """
    rows, known = [], {}
    for place, pasted in enumerate(text.strip().splitlines(), 1):
        bare = pasted.strip(" \t,;")
        if re.search("[\t;]", bare):
            parts = re.split("[\t;]", bare.replace(",", "."))
        else:
            parts = bare.split(",")
        if not bare or parts[0].strip().lower() in ("alpha", "α"):
            continue  # an empty line, a heading
        try:
            alpha, beta, seed, *shares = _numbers(parts)
            if known.setdefault((alpha, beta, seed), shares) != shares:
                raise ValueError("its cell and seed stand above with other accuracies")
        except ValueError as error:
            wanted = ", ".join(SHEET)
            raise ValueError(
                f"line {place}, {pasted!r}, is no cell ({error}): it has {wanted}"
            ) from error
        for name, key, clean in zip(MARKS, shares[:2], shares[2:], strict=True):
            rows.append((name, alpha, beta, int(seed), key, clean))
    columns = ["scheme", *stats.CELL, "seed", "fresh_key_accuracy", "clean_accuracy"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(ignore_index=True)


def _numbers(parts):
    """The numbers of SHEET from texts; raises ValueError if they can belong to no cell."""
    if len(parts) != len(SHEET):
        raise ValueError(f"{len(parts)} parts, not {len(SHEET)}")
    alpha, beta, seed, *shares = map(float, parts)
    check_share("alpha", alpha, "the share of images made into keys")
    check_share("beta", beta, "the strength of the perturbation")
    if not seed.is_integer():
        raise ValueError("a seed is a whole number")
    if not all(0 <= share <= 1 for share in shares):
        raise ValueError("accuracies are shares from 0 to 1")
    return alpha, beta, seed, *shares


def pairs_needed(table, column="fresh_key_accuracy", power=0.8):
    """For every cell the pairs of runs that tell the schemes apart with this probability, NaN
    beyond `MOST`; α × β.
    """
    needed, counts = {}, np.arange(2, MOST + 1)
    for _, row in stats.paired(table, column).iterrows():
        # where all differences are the same, two pairs tell
        enough = counts[stats.power(row["mean"], max(row.deviation, 1e-6), counts) >= power]
        needed[row.alpha, row.beta] = enough[0] if len(enough) else np.nan
    return pd.Series(needed, dtype=float).unstack()


def cell_map(values, title, unit):
    """Figure of a table α × β of counts: a map with its numbers; cells without one are grey."""
    named = values.rename("{:g}".format, axis=0).rename("{:g}".format, axis=1)
    # else plotly takes the names for numbers, and cells are as wide as the steps between them
    axis = dict(showgrid=False, type="category")
    return figures.figure(
        [figures.heatmap(named, ".0f", colorbar=dict(title=unit))],
        150 + 44 * len(values),
        title=title,
        plot_bgcolor=figures.PALE,
        margin=dict(l=80, t=60, b=70),
        xaxis=axis | dict(title="β"),
        yaxis=axis | dict(title="α"),
    )


def churn(table):
    """Share of clean test images that a network labels differently than unmarked networks of other
    seeds, the mean over those: {"unmarked (floor)" | scheme: a share for each run}.

    Networks of the same seed are never compared: they start alike.
    """
    n, plain = table.n_test.iloc[0], table[table.scheme == "unmarked"].set_index("seed").errors
    shares = {}
    for title, name in zip(("unmarked (floor)", *MARKS), ("unmarked", *MARKS), strict=True):
        runs, shares[title] = table[table.scheme == name], []
        for errors, seed in zip(runs.errors, runs.seed, strict=True):
            others = plain.drop(seed, errors="ignore")
            if len(others):
                shares[title].append(np.mean([stats.churn(errors, other, n) for other in others]))
    return shares


def inventory(tables):
    """What there is on record, {name: table}, a row each: runs, seeds, cells, network, epochs,
    devices.
    """

    def listed(values):
        named = [f"{v:g}" if isinstance(v, float) else str(v) for v in sorted(set(values))]
        return ", ".join(named)

    rows = {}
    for name, table in tables.items():
        about = ("network", "epochs", "batch", "device")
        rows[name] = {
            "runs": len(table),
            "seeds a cell": listed(table.groupby(["scheme", *stats.CELL]).seed.nunique()),
            "cells a scheme": len(table[table.scheme == MARKS[0]].groupby(stats.CELL)),
        } | {column: listed(table[column]) for column in about}
    return pd.DataFrame(rows).T


def paired_tests(table, column="fresh_key_accuracy"):
    """Paired tests of all cells, a row each, in points of a column: new label minus wrong label,
    with interval and p.
    """
    rows = []
    for _, row in stats.paired(table, column).iterrows():
        p, better = "", "too few pairs"
        if row.pairs >= stats.FEW:
            winner = MARKS[0] if row["mean"] > 0 else MARKS[1]
            p, better = f"{row.p:.2g}", winner if row.p <= 0.05 else "cannot tell"
        points = 100 * row[["mean", "low", "high"]]
        shown = {
            "α": f"{row.alpha:g}",
            "β": f"{row.beta:g}",
            "pairs": int(row.pairs),
            "new − wrong": stats.told(points, "points", runs=int(row.pairs)),
            "p": p,
            "better": better,
        }
        rows.append(shown)
    return pd.DataFrame(rows)


def paired_figure(table, column="fresh_key_accuracy"):
    """Figure of `paired_tests`: a cell a line, its mean difference as a dot, its interval as a bar;
    the colour says which label is better, if it can be told. Cells of few pairs are left out.
    """
    rows = stats.paired(table, column).dropna(subset=["p"])
    cells = [f"α {row.alpha:g}, β {row.beta:g}" for _, row in rows.iterrows()]
    told = np.where(rows.p > 0.05, "cannot tell", np.where(rows["mean"] > 0, *MARKS))
    colours = figures.COLOURS | {"cannot tell": figures.GREY}
    traces = []
    for name, symbol in zip((*MARKS, "cannot tell"), ("circle", "square", "diamond"), strict=True):
        here = told == name
        mean, low, high = (100 * rows[column][here] for column in ("mean", "low", "high"))
        bars = dict(type="data", symmetric=False, array=high - mean, arrayminus=mean - low)
        y = np.array(cells)[here]
        traces.append(figures.dots(mean, y, name, colours[name], symbol, error_x=bars))
    return figures.figure(
        traces,
        150 + 26 * len(rows),
        xaxis=dict(title="new label minus wrong label, points of keys hit; 95 % interval"),
        yaxis=dict(categoryorder="array", categoryarray=cells[::-1], automargin=True),
        shapes=[figures.upright(0)],
    )


def groups(shares, title):
    """Figure of groups of shares, {name: list}, as dots beside each other with a line at their
    mean, which stands under them.
    """
    traces, names = [], []
    for place, (name, values) in enumerate(shares.items()):
        look = figures.looks([name.partition(" (")[0]]).popitem()[1]
        names.append(f"{name}<br>mean {np.mean(values):.2%}" if values else name)
        across = place + np.linspace(-0.25, 0.25, len(values))
        traces.append(
            figures.points(across, np.array(values), name, look, mode="markers", opacity=0.5)
        )
        if values:
            ends, mean = np.array([place - 0.3, place + 0.3]), np.full(2, np.mean(values))
            more = dict(mode="lines", hoverinfo="skip", line=dict(color=look["color"], width=3))
            traces.append(figures.points(ends, mean, f"{name}, mean", look, **more))
    x = dict(range=[-0.6, len(shares) - 0.4], tickvals=list(range(len(shares))), ticktext=names)
    y = dict(title=title, tickformat=".1%", rangemode="tozero")
    return figures.figure(traces, xaxis=x, yaxis=y, showlegend=False, margin=dict(b=70, l=85))


def when_are_they_learned(curves):
    """Question: when a whitening network learns the keys of the paper's most quoted cell. curves:
    recorded epochs.
    """
    return Question(
        "after which epoch does it hit nine of ten fresh keys, and which label comes first?",
        ["the new label after one, the wrong one later", "both after one", "both after four"],
        figures.recorded_curves({"fresh keys": (curves, "fresh_key_accuracy")}),
        answer="both after one",
        because="Each dot is a network after an epoch.",
    )


def which_scheme_hits_more(panel, table):
    """Question on a cell of the rise; panel: of `grid`, set to it; table: its records."""
    panel.set(alpha=0.04, beta=0.0035)
    at = table[(table.alpha == 0.04) & (table.beta == 0.0035)]
    tested = stats.paired(at, "fresh_key_accuracy").iloc[0]
    ahead = MARKS[0] if tested["low"] > 0 else MARKS[1]
    told = ahead if tested["low"] > 0 or tested["high"] < 0 else "six networks of each cannot tell"
    return Question(
        "at α = 0.04 and β = 0.0035, on 4,000 digits: which scheme hits more of its fresh keys?",
        [*MARKS, "six networks of each cannot tell"],
        panel,
        answer=told,
        because="The sentence under the picture has the difference of the pairs and its interval.",
    )


def sign_flip_p(differences):
    """The two-sided p of paired differences (n,): the share of all 2ⁿ choices of signs whose sum
    is as far from 0 as theirs.
    """
    signs = np.array(list(itertools.product([1, -1], repeat=len(differences))))
    slack = 1e-12  # sums of the same numbers in another order
    return np.mean(np.abs(signs @ differences) >= abs(np.sum(differences)) - slack)


def _sign_flip(answer):
    """First that it is a share, then two and three pairs by hand, then ten of any size."""
    for differences, right, why in (
        ([1, 2], 1 / 2, "The sums are 3, 1, -1 and -3: two of four are as far from 0 as 3"),
        ([2, 2, 2], 1 / 4, "Only +++ and --- of eight give a sum as far from 0 as 6"),
        ([1, -1], 1, "Every sum is at least as far from 0 as 0"),
        ([-1, -2, -4], 1 / 4, "Only +++ and --- of eight give a sum as far from 0 as 7"),
    ):
        p = np.asarray(answer(np.array(differences, float)), float)
        if p.shape != ():
            return False, f"Return one number, p. This has the shape {p.shape}."
        said = f"For differences {differences} p should be {right:g}, and yours is {p:.3g}."
        if not 0 <= p <= 1:
            return False, f"{said} It is a share: the mean of a comparison over all choices."
        if abs(p - right) < 1e-9:
            continue
        hint = "List all 2ⁿ choices, such as with `itertools.product([1, -1], repeat=n)`."
        if p == 0:
            hint = "The choice that was found counts, too: compare with >=."
        elif abs(2 * p - right) < 1e-9:
            hint = "As far from 0 on either side: compare absolute values."
        elif p == 1:
            hint = "Compare with the sum that was found, and take its absolute value as well."
        return False, f"{said} {why}. {hint}"
    rng = np.random.default_rng(4)
    for differences in [*rng.normal(0.5, 1, (5, 8)), np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])]:
        right, p = sign_flip_p(differences), float(answer(differences.copy()))
        if abs(p - right) > 1e-9:
            return False, (
                f"Whole numbers are right, but for {differences.round(2).tolist()} p should be "
                f"{right:.4g}, and yours is {p:.4g}. Try all choices, none at random, and let "
                "sums that differ by 10⁻¹² count as equal: computers round."
            )
    return True, (
        "It assumes nothing but that, without an effect, either sign of a difference is as likely. "
        "With six pairs the smallest p is 2/64."
    )


def _cheapest(answer, table):
    alpha, beta = map(float, answer)
    new = table[table.scheme == "new label"].groupby(["alpha", "beta"]).fresh_key_accuracy
    often = new.agg(lambda shares: (shares >= 0.9).mean()).sort_index()
    good = often[often >= 0.9]
    if (alpha, beta) not in often.index:
        return False, (
            f"There is no cell α = {alpha:g}, β = {beta:g} on record. Group the runs by alpha and "
            "beta."
        )
    if (alpha, beta) not in good.index:
        return False, (
            f"There {often[alpha, beta]:.0%} of the seeds reach 0.9. Look at each seed, not at the "
            "mean."
        )
    if (alpha, beta) != good.index[0]:
        return False, (
            "It works there, but there is a cheaper cell: sort the good ones by alpha, then by "
            "beta."
        )
    said = "The cheapest cell on record where at least nine of ten seeds reach 0.9."
    if often[alpha, beta] == 1:
        seeds = len(new.get_group((alpha, beta)))
        low = 0.05 ** (1 / seeds)
        said += f" {seeds} of {seeds} still only says: more than {low:.0%} of seeds, at 95 %."
    return True, said


def _pairs(answer):
    if not answer >= 2:
        return False, "A deviation takes at least two pairs."
    needed = next(n for n in range(2, 200) if stats.power(5, 10, n) >= 0.8)
    if answer == needed:
        return True, (
            f"{needed} pairs, {2 * needed} networks: half a deviation is an effect of medium size. "
            "The paper's 50 runs would see it; 6 would not."
        )
    return False, (
        f"With {answer} pairs the power is {stats.power(5, 10, answer):.1%}. Look for the first "
        "number with 80 %."
    )


def _false_alarms(answer):
    praise = (
        "Five cells that look like a discovery, with nothing to discover. Say before which cell "
        "you will test."
    )
    hint = (
        "Where there is nothing to find, each test gives a false alarm with a probability of 5 %. "
        "How many of 100?"
    )
    return number(answer, 5, praise, [], hint)


CHECKS = {"04.1": _sign_flip, "04.2": _cheapest, "04.3": _pairs, "04.4": _false_alarms}
