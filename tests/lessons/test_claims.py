"""Lesson 12: verdicts recomputed from the records, and from records that say something else."""

import html
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wmlab import records
from wmlab.lessons import boundary_twist, check, claims
from wmlab.show import question

NUMBERS = st.floats(-100, 100)


@pytest.fixture
def anew():
    """Queries that read the records again, before and after a test that changes them."""
    cached = (claims.bars, claims._attacked, claims._churn, claims._gallery, claims._provided)
    for function in cached:
        function.cache_clear()
    yield
    for function in cached:
        function.cache_clear()


def test_every_verdict_follows_from_the_records():
    table = claims.table()
    assert table.index.tolist().sort() == list(range(1, 55)).sort() and len(table) == 54
    wrong = {
        n: (claim.verdict, claims.verdict(claim["query"]))
        for n, claim in table.iterrows()
        if claim.verdict != claims.verdict(claim["query"])
    }
    assert wrong == {}, "(in data/claims.csv, of the records)"
    assert set(table.verdict) <= set(claims.VERDICTS)
    for n, claim in table.iterrows():
        assert (
            claim["query"] in claims.QUERIES
            or claim["query"].startswith("argument")
            or (claim["query"] == "" and claim.verdict == "untried")
        ), n
        assert claim.evidence, n
    asked = {query for query in table["query"] if query and not query.startswith("argument")}
    assert asked == set(claims.QUERIES), "no query is left over"


# column of the runs, what it becomes, and the verdicts that change with it
CHANGED = {
    "nobody's noise is read": ("noisy_accuracy", lambda t: 0.999, {3: "holds", 27: "holds"}),
    "a marked network loses 3 points": (
        "clean_accuracy",
        lambda t: t.clean_accuracy - 0.03 * (t.scheme == claims.NEW),
        {14: "not here", 35: "not here"},
    ),
    "the wrong label is learned later": (
        "fresh_key_accuracy",
        lambda t: t.fresh_key_accuracy * np.where(t.scheme == claims.NEW, 1, 0.5),
        {4: "holds", 5: "holds"},
    ),
    "all keys are missed": ("fresh_key_accuracy", lambda t: 0.0, {15: "not here", 34: "not here"}),
    "all keys are hit": ("fresh_key_accuracy", lambda t: 1.0, {19: "holds"}),
    "every network answers the new label": (
        "answers",
        lambda t: "0.01: " + " ".join(["10"] * 100),
        {13: "not here"},
    ),
}


@pytest.mark.parametrize("change", CHANGED)
def test_other_records_give_other_verdicts(change, monkeypatch, anew):
    column, changed, verdicts = CHANGED[change]
    load = records.load

    def altered(name, *folder):
        table = load(name, *folder)
        if column in table and not name.endswith(("_attacks", "_curves")):
            table[column] = changed(table)
        return table

    monkeypatch.setattr(records, "load", altered)
    table = claims.table()
    found = {n: claims.verdict(table["query"][n]) for n in verdicts}
    assert found == verdicts


def test_attacks_that_leave_the_keys_give_other_verdicts(monkeypatch, anew):
    recorded = claims.attack_tables.recorded

    def kept(experiments):
        tables = recorded(experiments)
        for title, table in tables.items():
            untouched = table[table.attack == claims.attack_tables.UNTOUCHED].set_index("run")
            before = table.run.map(untouched.fresh_key_accuracy)
            tables[title] = table.assign(fresh_key_accuracy=before)
        return tables

    monkeypatch.setattr(claims.attack_tables, "recorded", kept)
    table = claims.table()
    for n, verdict in {16: "holds", 17: "holds", 41: "holds", 45: "not here", 53: "holds"}.items():
        assert claims.verdict(table["query"][n]) in (verdict, "in part") != table.verdict[n], n


@given(NUMBERS, NUMBERS, NUMBERS)
def test_a_bar_holds_where_its_whole_interval_lies_where_the_paper_says(a, b, paper):
    low, high = sorted((a, b))
    grid = np.linspace(low, high, 50)
    for says, inside in {">": grid >= paper, "<": grid <= paper}.items():
        bar = claims.Bar("", "points", says, paper, (low + high) / 2, low, high)
        expected = {1.0: "holds", 0.0: "not here"}.get(inside.mean(), "cannot be told")
        assert bar.verdict == expected
    equal = claims.Bar("", "points", "=", paper, low, low, high).verdict
    assert equal == ("holds" if low <= paper <= high else "not here")
    near = claims.Bar("", "points", "=", paper, low, low, high, close=200).verdict
    assert near == "holds"
    unknown = claims.Bar("", "points", ">", paper, low, math.nan, math.nan)
    assert unknown.verdict == "cannot be told"


def test_several_bars_make_one_verdict():
    bars = {
        "holds": claims.exact("", "%", ">", 0, 1),
        "not here": claims.exact("", "%", ">", 0, -1),
        "cannot be told": claims.of_runs("", "%", ">", 0.5, [0.1, 0.9]),
    }
    for expected, found in {
        "cannot be told": [[], ["cannot be told"]],
        "holds": [["holds", "holds"]],
        "not here": [["not here"], ["not here", "cannot be told"]],
        "in part": [["holds", "not here"], ["holds", "cannot be told"], [*bars]],
    }.items():
        for names in found:
            assert claims.decided([bars[name] for name in names]) == expected


def test_the_toy_is_that_of_lesson_01():
    for seed in range(5):
        heads = boundary_twist.fit_heads(seed=seed).heads
        for name in claims.MARKS:
            assert claims.toy_twists()[name][seed] == pytest.approx(100 * heads[name].twist)


def test_the_picture_has_every_number_where_it_belongs():
    every = claims.table()
    drawn = [trace for trace in claims.forest(every)["data"] if "markers" in trace["mode"]]
    bars = [bar for query in every["query"] for bar in claims.bars(query)]
    assert len(drawn) == 2 * len(bars)
    for bar, paper, mark in zip(bars, drawn[::2], drawn[1::2], strict=True):
        for trace, value in ((paper, bar.paper), (mark, bar.mean)):
            x = trace["x"][0]
            back = x / 100 if bar.unit == "%" else 0.05 * math.sinh(x)
            assert back == pytest.approx(value, abs=1e-9)
            assert trace["y"] == mark["y"] and trace["xaxis"] == mark["xaxis"]
    words = claims.listed(every).to_html()
    assert all(html.escape(quote, quote=False) in words for quote in every.quote)


def every_group():
    return list(dict.fromkeys(claims.table().group))


def test_votes_count_until_the_group_opens(monkeypatch):
    monkeypatch.setattr(question, "predictions", made := [])
    monkeypatch.setattr(claims, "predictions", made)
    monkeypatch.delenv("WMLAB_WATCH", raising=False)
    ballot = claims.vote("pruning")
    rows = ballot.widget.children[:-1]
    ballot.reveal()
    assert not ballot.opened, "Run All opens none"
    right = ballot.claims.verdict.iloc[0]
    rows[0].children[1].value = right
    rows[1].children[1].value = next(v for v in claims.VOTES if v != ballot.claims.verdict.iloc[1])
    ballot.widget.children[-1].children[0].click()
    assert ballot.opened and ballot.error is None
    rows[2].children[1].value = "holds"  # too late
    assert list(ballot.votes) == ballot.claims.index[:2].tolist()
    assert [vote["right"] for vote in made] == [True, False]
    assert ballot.score() == "1 of your 2 votes met the verdict." == claims.scores([ballot])
    for group in every_group():
        ballot = claims.vote(group)
        for row, verdict in zip(ballot.widget.children[:-1], ballot.claims.verdict, strict=True):
            row.children[1].value = verdict  # every right answer can be given
        assert ballot.votes == ballot.claims.verdict.to_dict()
    monkeypatch.setenv("WMLAB_WATCH", "1")
    watched = claims.vote("scope")
    watched.reveal()
    assert watched.opened and watched.error is None and "did not vote" in watched.score()


def test_checks(capsys):
    def rule(low, high, least):
        return "holds" if low >= least else "not here" if high < least else "cannot be told"

    answers = {
        rule: True,
        lambda low, high, least: rule(low - 1e-9, high, least): False,
        lambda low, high, least: "holds" if (low + high) / 2 >= least else "not here": False,
        lambda low, high, least: None: False,
        lambda low: "holds": False,
    }
    for answer, right in answers.items():
        assert check("12.1", answer) is right
    count = sum(bar.n > 0 for q in claims.table()["query"] for bar in claims.bars(q))
    assert claims.intervals() == count > 50
    for answer, right in {
        0.05 * count: True,
        f"{0.05 * count:.2f}": True,
        0: False,
        count: False,
    }.items():
        assert check("12.2", answer) is right
    assert isinstance(claims.tally(claims.table()), pd.DataFrame)
