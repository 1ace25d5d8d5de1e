"""Lesson 04: accuracy over α and β, from recorded runs and from one's own.

Checks of notebook 04, fidelity.
"""

import itertools
import math
import re

import ipywidgets as widgets
import numpy as np
import pandas as pd
from plotly.subplots import make_subplots

from wmlab import stats
from wmlab.keys import check_share
from wmlab.schemes import scheme
from wmlab.show import figures
from wmlab.show.old_panel import Panel

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
TRAIN = "Train this cell now"
SHEET = (
    "alpha",
    "beta",
    "seed",
    "new_key",
    "wrong_key",
    "new_clean",
    "wrong_clean",
)  # a line of a class's shared sheet
MOST = (
    200  # pairs of runs beyond which a cell counts as one where nobody can tell the schemes apart
)


def arms(table, alpha, beta, column="fresh_key_accuracy"):
    """Two plots of a column, over α at this β and over β at this α: a dot a run, a line the mean, a
    band the interval.
    """
    figure = make_subplots(
        1,
        2,
        shared_yaxes=True,
        subplot_titles=("over α, the share of keys", "over β, their strength"),
    )
    look = figures.looks(MARKS)
    for (place, _), name in itertools.product(enumerate(stats.CELL, 1), MARKS):
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
    figure.update_layout(template=figures.TEMPLATE, height=420, margin=dict(b=130, l=85))
    for place, name in enumerate(stats.CELL, 1):
        values = sorted(table[table[name] > 0][name].unique())
        figure.update_xaxes(
            type="log",
            tickangle=-60,
            tickvals=values,
            ticktext=[f"{v:g}" for v in values],
            range=[np.log10(values[0]) - 0.07, np.log10(values[-1]) + 0.07],
            col=place,
        )
        figure.add_vline(
            x=values[0], line=dict(color=figures.COLOURS["grey"], dash="dot"), col=place
        )
    draw_arms(figure, arm_values(table, alpha, beta, column))
    return figure


def arm_values(table, alpha, beta, column):
    """What `arms` draws: {"alpha" | "beta": {scheme: (cells, runs)}}, and the cell and column they
    belong to.
    """
    values = {"cell": (alpha, beta), "column": column}
    for along, other, fixed in (("alpha", "beta", beta), ("beta", "alpha", alpha)):
        rows = table[table[other] == fixed]
        means = stats.cells(rows, column)
        values[along] = {
            name: (
                means[means.scheme == name].sort_values(along),
                rows[rows.scheme == name].dropna(subset=[column]),
            )
            for name in MARKS
        }
    return values


def draw_arms(figure, values):
    """Put what `arm_values` computed into a figure of `arms`."""
    traces, column = iter(figure.data), values["column"]
    for along, name in itertools.product(stats.CELL, MARKS):
        means, runs = values[along][name]
        known = means.dropna(subset=["low"])
        band, line, dots = next(traces), next(traces), next(traces)
        band.update(x=[*known[along], *known[along][::-1]], y=[*known.low, *known.high[::-1]])
        line.update(x=means[along].tolist(), y=means["mean"].tolist())
        dots.update(x=runs[along].tolist(), y=runs[column].tolist())
    for shape, value in zip(figure.layout.shapes, values["cell"], strict=True):
        shape.x0 = shape.x1 = value
    seen = [
        number for arm in stats.CELL for _, runs in values[arm].values() for number in runs[column]
    ]
    low = 0 if column != "clean_accuracy" or not seen else min(seen) - 0.01
    figure.update_yaxes(tickformat=".1%" if low else ".0%")
    figure.update_yaxes(
        title=TITLES[column], range=[low - 0.03 * (1 - low), 1 + 0.03 * (1 - low)], col=1
    )


def sentence(table, alpha, beta, column):
    """What the records say of one cell, in words: means, intervals, runs, and the paired
    difference.
    """
    at = table[(table.alpha == alpha) & (table.beta == beta)]
    parts = []
    for _, row in stats.cells(at, column).iterrows():
        interval = f" [{row.low:.1%}, {row.high:.1%}]" if row.runs >= stats.FEW else ""
        parts.append(
            f"{row.scheme} {row['mean']:.1%}{interval}, {row.runs} run{'' if row.runs == 1 else 's'}"
        )
    if not parts:
        return f"At α = {alpha:g} and β = {beta:g} there is no run yet."
    said = f"At α = {alpha:g}, β = {beta:g}, {TITLES[column]}: {'; '.join(parts)}."
    for _, row in stats.paired(at, column).dropna(subset=["p"]).iterrows():
        said += (
            f" Same seed, new minus wrong: {100 * row['mean']:+.1f} points [{100 * row.low:+.1f}, {100 * row.high:+.1f}],"
            f" p = {row.p:.2g}."
        )
    return said


def grid(table, data=None, how=None, seed=None):
    """Panel: α and β sliders over recorded runs; with data and a recipe, a button that trains the
    chosen cell.

    table: recorded runs. seed: of the first two runs that the button trains, one of each scheme;
    later ones count on from it. `panel.own` keeps their records.
    """
    own = []

    def compute(alpha, beta, of):
        everything = pd.concat([table, pd.DataFrame(own)], ignore_index=True) if own else table
        return arm_values(everything, alpha, beta, MEASURED[of]) | {
            "says": sentence(everything, alpha, beta, MEASURED[of])
        }

    def draw(figure, values):
        draw_arms(figure, values)
        return values["says"]

    def job(alpha, beta, of):
        mine = seed + len(own)  # for each two another, since a pair is one run of each scheme
        for number, name in enumerate(("new", "wrong"), 1):
            own.append(train_cell(data, how, name, alpha, beta, mine))
            yield number / 2, compute(alpha, beta, of)

    controls = {}
    for name, text in (("alpha", "α, share of keys"), ("beta", "β, strength")):
        values = sorted(table[table[name] > 0][name].unique())
        controls[name] = widgets.SelectionSlider(
            options=[(f"{v:g}", v) for v in values],
            value=values[-1],
            description=text,
            style=dict(description_width="initial"),
            layout=dict(width="360px"),
        )
    controls["of"] = widgets.ToggleButtons(
        options=list(MEASURED), description="share of", style=dict(button_width="auto")
    )
    start = {name: control.value for name, control in controls.items()}
    figure = arms(table, start["alpha"], start["beta"])
    panel = Panel(
        figure, controls, compute, draw, first=1, jobs={TRAIN: job} if data is not None else None
    )
    panel.own = own
    return panel


def train_cell(data, how, name, alpha, beta, seed):
    """The record of one network marked by the scheme `name` ("new" or "wrong") in one cell, made as
    a sweep makes its runs.
    """
    mark, secret = scheme(name, alpha=alpha, beta=beta), f"my cell {seed}"
    run = mark.embed(data, secret, how, seed=seed)
    return run.settings | run.results | {"noisy_accuracy": mark.noisy_accuracy(run.model, data)}


def line(own):
    """The newest cell that was trained, both schemes, as one line for a shared sheet: the numbers
    of SHEET.
    """
    pairs = [
        pair for pair in itertools.pairwise(own) if pair[0]["seed"] == pair[1]["seed"]
    ]  # who cancels leaves one alone
    if not pairs:
        raise ValueError(f"there is nothing to share yet: press “{TRAIN}” first")
    new, wrong = pairs[-1]
    shares = [
        f"{run[column]:.4f}"
        for column in ("fresh_key_accuracy", "clean_accuracy")
        for run in (new, wrong)
    ]
    return ", ".join([f"{new['alpha']:g}", f"{new['beta']:g}", str(new["seed"]), *shares])


def pool(text):
    """A class's lines, pasted, as a table of runs; the same numbers twice count once.

    Numbers stand between commas, tabs or semicolons, and with the last two may have a decimal
    comma; empty lines and a heading are left out. Raises ValueError naming the first line that is
    none.
    """
    rows, known = [], {}
    for number, pasted in enumerate(text.strip().splitlines(), 1):
        bare = pasted.strip(" \t,;")
        parts = (
            re.split("[\t;]", bare.replace(",", "."))
            if re.search("[\t;]", bare)
            else bare.split(",")
        )
        if not bare or parts[0].strip().lower() in ("alpha", "α"):
            continue  # an empty line, a heading
        try:
            if len(parts) != len(SHEET):
                raise ValueError(f"{len(parts)} parts, not {len(SHEET)}")
            alpha, beta, seed, *shares = map(float, parts)
            check_share("alpha", alpha, "the share of images made into keys")
            check_share("beta", beta, "the strength of the perturbation")
            if not seed.is_integer():
                raise ValueError("a seed is a whole number")
            if not all(0 <= share <= 1 for share in shares):
                raise ValueError("accuracies are shares from 0 to 1")
            if known.setdefault((alpha, beta, seed), shares) != shares:
                raise ValueError("its cell and seed stand above with other accuracies")
        except ValueError as error:
            raise ValueError(
                f"line {number}, {pasted!r}, is no cell ({error}): it has {', '.join(SHEET)}"
            ) from error
        rows += [
            (name, alpha, beta, int(seed), key, clean)
            for name, key, clean in zip(MARKS, shares[:2], shares[2:], strict=True)
        ]
    columns = ["scheme", *stats.CELL, "seed", "fresh_key_accuracy", "clean_accuracy"]
    return pd.DataFrame(rows, columns=columns).drop_duplicates(ignore_index=True)


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
    """A table α × β of counts as a map with its numbers; cells without one are grey."""
    rows = [
        [None if np.isnan(v) else v for v in row] for row in values.to_numpy()
    ]  # JSON knows no NaN
    figure = figures.blank(
        height=150 + 44 * len(values),
        title=title,
        plot_bgcolor="#BDBDBD",
        margin=dict(l=80, t=60, b=70),
        # else plotly takes the names for numbers, and cells are as wide as the steps between them
        xaxis=dict(title="β", showgrid=False, type="category"),
        yaxis=dict(title="α", showgrid=False, type="category"),
    )
    return figure.add_heatmap(
        x=[f"{v:g}" for v in values.columns],
        y=[f"{v:g}" for v in values.index],
        z=rows,
        text=[["" if v is None else f"{v:.0f}" for v in row] for row in rows],
        texttemplate="%{text}",
        textfont=dict(size=14),
        colorscale="Cividis",
        colorbar=dict(title=unit),
    )


def churn(table):
    """Share of clean test images that a network labels differently than unmarked networks of other
    seeds, the mean over
    those: {"unmarked (floor)" | scheme: a share for each run}. Networks of the same seed are never
    compared: they start alike.
    """
    n, plain = table.n_test.iloc[0], table[table.scheme == "unmarked"].set_index("seed").errors
    shares = {}
    for title, name in (("unmarked (floor)", "unmarked"), *((name, name) for name in MARKS)):
        runs = table[table.scheme == name]
        shares[title] = [
            np.mean([stats.churn(errors, other, n) for other in plain.drop(seed, errors="ignore")])
            for errors, seed in zip(runs.errors, runs.seed, strict=True)
            if len(plain.drop(seed, errors="ignore"))
        ]
    return shares


def inventory(tables):
    """What there is on record, {name: table}, a row each: runs, seeds, cells, network, epochs,
    devices.
    """

    def listed(values):
        return ", ".join(
            f"{value:g}" if isinstance(value, float) else str(value)
            for value in sorted(set(values))
        )

    return pd.DataFrame(
        {
            name: {
                "runs": len(table),
                "seeds a cell": listed(table.groupby(["scheme", *stats.CELL]).seed.nunique()),
                "cells a scheme": len(table[table.scheme == MARKS[0]].groupby(stats.CELL)),
                "network": listed(table.network),
                "epochs": listed(table.epochs),
                "batch": listed(table.batch),
                "device": listed(table.device),
            }
            for name, table in tables.items()
        }
    ).T


def verdicts(table, column="fresh_key_accuracy"):
    """Paired tests of all cells, a row each, in points of a column: new label minus wrong label,
    with interval and p.
    """
    rows = []
    for _, row in stats.paired(table, column).iterrows():
        shown = {
            "α": f"{row.alpha:g}",
            "β": f"{row.beta:g}",
            "pairs": int(row.pairs),
            "new − wrong, points": f"{100 * row['mean']:+.1f}",
            "95 % interval": "",
            "p": "",
            "better": "too few pairs",
        }
        if row.pairs >= stats.FEW:
            better = "cannot tell" if row.p > 0.05 else MARKS[0] if row["mean"] > 0 else MARKS[1]
            interval = f"[{100 * row.low:+.1f}, {100 * row.high:+.1f}]"
            shown |= {"95 % interval": interval, "p": f"{row.p:.2g}", "better": better}
        rows.append(shown)
    return pd.DataFrame(rows)


def spread(shares, title):
    """Groups of shares, {name: list}, as dots beside each other with a line at their mean, which
    stands under them.
    """
    means = {
        name: f"<br>mean {np.mean(values):.2%}" if values else "" for name, values in shares.items()
    }
    figure = figures.blank(
        showlegend=False,
        yaxis=dict(title=title, tickformat=".1%", rangemode="tozero"),
        margin=dict(b=70, l=85),
        xaxis=dict(
            range=[-0.6, len(shares) - 0.4],
            tickvals=list(range(len(shares))),
            ticktext=[name + mean for name, mean in means.items()],
        ),
    )
    for place, (name, values) in enumerate(shares.items()):
        look = figures.looks([name.partition(" (")[0]]).popitem()[1]
        across = place + np.linspace(-0.25, 0.25, len(values))
        figure.add_scatter(
            x=across,
            y=values,
            mode="markers",
            marker=dict(color=look["color"], symbol=look["symbol"], size=8),
            opacity=0.5,
            name=name,
        )
        if values:
            figure.add_scatter(
                x=[place - 0.3, place + 0.3],
                y=[np.mean(values)] * 2,
                mode="lines",
                hoverinfo="skip",
                line=dict(color=look["color"], width=3),
            )
    return figure


def _cheapest(answer, table):
    alpha, beta = map(float, answer)
    new = table[table.scheme == "new label"].groupby(["alpha", "beta"]).fresh_key_accuracy
    often = (new.agg(lambda p: (p >= 0.9).mean())).sort_index()
    good = often[often >= 0.9]
    if (alpha, beta) not in often.index:
        return (
            False,
            f"There is no cell α = {alpha:g}, β = {beta:g} on record. Group the runs by alpha and beta.",
        )
    if (alpha, beta) not in good.index:
        return (
            False,
            f"There {often[alpha, beta]:.0%} of the seeds reach 0.9. Look at each seed, not at the mean.",
        )
    if (alpha, beta) != good.index[0]:
        return (
            False,
            "It works there, but there is a cheaper cell: sort the good ones by alpha, then by beta.",
        )
    seeds = len(new.get_group((alpha, beta)))
    low = 0.05 ** (1 / seeds) if often[alpha, beta] == 1 else None
    bound = (
        f" {seeds} of {seeds} still only says: more than {low:.0%} of seeds, at 95 %."
        if low
        else ""
    )
    return True, f"The cheapest cell that keeps its promise on record.{bound}"


def _pairs(answer):
    from wmlab.stats import power

    if not answer >= 2:
        return False, "A deviation takes at least two pairs."
    needed = next(n for n in range(2, 200) if power(5, 10, n) >= 0.8)
    if answer == needed:
        sees = "half a deviation is an effect of medium size. The paper's 50 runs would see it; 6 would not."
        return True, f"{needed} pairs, {2 * needed} networks: {sees}"
    return (
        False,
        f"With {answer} pairs the power is {power(5, 10, answer):.1%}. Look for the first number with 80 %.",
    )


def _false_alarms(answer):
    if math.isclose(answer, 5):
        return (
            True,
            "Five cells that look like a discovery, with nothing to discover. Say before which cell you will test.",
        )
    return (
        False,
        "Each test cries wolf with a probability of 5 % where there is nothing. How many of 100?",
    )


CHECKS = {"04.1": _cheapest, "04.2": _pairs, "04.3": _false_alarms}
