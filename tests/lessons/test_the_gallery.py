"""Lesson 11: its panels against counts made by hand, on records and on made-up tables; a live cell;
its checks.
"""

import itertools
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from wmlab import attacks, battery
from wmlab.lessons import check, gallery
from wmlab.schemes import DeepMarks, Uchida
from wmlab.schemes.deepmarks import code
from wmlab.show.picture import plain
from wmlab.tools.models import USERS

REORDER, TUNE, COPY = "reorder channels", "tune, 10⁻²", "copy from labels"


@pytest.fixture(scope="module")
def copies():
    models = gallery.shipped()
    return {user: models[f"deepmarks_{user}"] for user in USERS}


def table(rows):
    """Attacks as of `recorded`, from (system, did, runs as (share, lost, marked))."""
    made = [
        dict(system=system, did=did, fresh_key_accuracy=share, lost=lost, p_value=0.5)
        | dict(decision="marked" if marked else "not marked")
        for system, did, runs in rows
        for share, lost, marked in runs
    ]
    return pd.DataFrame(made)


MADE = table(
    [
        ("Adi 2018", "nothing", [(1, 0, True), (0.9, 0, True)]),
        ("Adi 2018", TUNE, [(0.1, 6, False), (0.2, 4, True)]),  # gone in half of the runs
        ("Adi 2018", COPY, [(0.1, 12, False), (0.1, 12, False)]),
        ("Adi 2018", "vote of three", [(0, -1, False), (0, -1, False)]),
        ("Uchida 2017", "nothing", [(1, 0, True), (1, 0, True)]),
        ("Uchida 2017", REORDER, [(0.5, 0, False), (0.6, 0, False)]),
        ("Frontier 2017", "nothing", [(1, 0, True), (1, 0, True)]),
        ("Frontier 2017", TUNE, [(0.8, 5, True), (0.7, 5, True)]),
        ("Adi 2018", battery.INNOCENT, [(0.1, 0, False), (0.3, 0, False)]),
    ]
)


def test_a_price_is_that_of_the_cheapest_attack_that_removes():
    found = gallery.cells(MADE)
    assert found.loc[("Adi 2018", TUNE)].tolist() == pytest.approx([0.15, 5, 0.5, 0.5, 2])
    assert battery.INNOCENT not in found.index.get_level_values("did")
    order = gallery.prices(found)
    assert order.to_dict("index") == {
        "Frontier 2017": dict(lost=np.inf, did=TUNE),
        "Adi 2018": dict(lost=5, did=TUNE),
        "Uchida 2017": dict(lost=0, did=REORDER),
    }
    assert [*order.index] == ["Frontier 2017", "Adi 2018", "Uchida 2017"]
    assert [*map(gallery.price, order.lost)] == ["not removed", "5.0 points", "0.0 points"]


def test_the_matrix_draws_what_is_on_record_and_a_click_chooses():
    panel = gallery.matrix(MADE)
    grid = plain(panel.figure["data"][0])
    row = [label.partition("<br>")[0] for label in grid["y"]].index("Adi 2018")
    column = grid["x"].index(TUNE)
    assert (grid["z"][row][column], grid["text"][row][column]) == (0.5, "15")
    assert grid["z"][row][grid["x"].index(REORDER)] is None
    said = "Bob: tune, 10⁻². 15% of the mark is left; convicted in 1 of 2 networks. Bob loses 5.0"
    panel._shown.clicked = dict(x=TUNE, y=grid["y"][row], at=1)
    assert panel.settings() == dict(system="Adi 2018", did=TUNE) and said in panel.caption_text
    panel._shown.clicked = dict(x="nothing", y="what is not there", at=2)
    assert "what is not there" in panel.error
    with pytest.raises(ValueError, match="no extra output"):
        gallery.attacked("Adi 2018", *gallery.marked("Adi 2018"), "cut extra outputs", MADE)


def test_records_have_each_system_under_each_attack():
    found = gallery.recorded()
    assert set(found.system) == set(gallery.SYSTEMS)
    counted = found[found.did != battery.INNOCENT].groupby(["system", "did"]).size().unstack()
    extra = counted.pop("cut extra outputs").dropna()
    assert [*extra.index] == ["New label, noise", "New label, unrelated"]
    assert (counted >= 6).all().all() and (extra >= 6).all()
    assert set(counted.columns) == set(gallery.DID) - {"cut extra outputs"}
    innocent = found[found.did == battery.INNOCENT].groupby("system").size()
    assert (innocent >= 60).all()
    before = found[found.did == "nothing"].groupby("system").decision
    assert before.agg(lambda said: (said == "marked").sum() >= 5).all()  # each is marked


def test_innocents_are_convicted_no_more_often_than_the_level():
    found = gallery.recorded()
    innocent = found[found.did == battery.INNOCENT]
    for system, rows in innocent.groupby("system"):
        level = getattr(gallery.SYSTEMS[system][0](), "level", 0.05)
        convicted = (rows.decision == "marked").sum()
        assert stats.binomtest(convicted, len(rows), level, "greater").pvalue > 0.001, system


def test_what_innocents_hit_beside_what_was_claimed():
    made = table(
        [
            (name, battery.INNOCENT, [(s, 0, 0) for s in (0.1, 0.2, 0.5, 0.8)])
            for name in gallery.CLAIMED
        ]
    )
    panel = gallery.innocents(made)
    for system, (p, n, _) in gallery.CLAIMED.items():
        panel.set(system=system)
        convicted, spread = panel.result
        assert spread == pytest.approx(np.var([0.1, 0.2, 0.5, 0.8]) / (p * (1 - p) / n))
        if system == "Frontier 2017":  # 58 hits are 42 misses, which is not fewer than 42
            assert convicted == 0.25
        else:
            tail = [stats.binom.sf(round(s * n) - 1, n, p) for s in (0.1, 0.2, 0.5, 0.8)]
            assert convicted == np.mean(np.array(tail) <= 0.01)
        bars, law = (np.array(trace["y"], float) for trace in plain(panel.figure)["data"])
        assert bars.sum() == pytest.approx(1) and law.sum() == pytest.approx(1)


def test_every_coalition_is_named_as_by_a_real_average(copies):
    evidence = gallery.shipped().evidence("deepmarks_3")
    panel = gallery.leak(copies, evidence)
    for count, start in itertools.product(range(1, 6), USERS):
        panel.set(count=count, start=start)
        place = USERS.index(start)
        users = sorted((USERS[place:] + USERS[:place])[:count])
        average = attacks.average([copies[user] for user in users])
        assert panel.result == users == DeepMarks().named(average, evidence)
        assert f"users <b>{', '.join(map(str, users))}</b>" in panel.caption_text


def test_bits_are_those_that_ver_counts():
    models = gallery.shipped()
    evidence, mark = models.evidence("uchida"), Uchida()
    nets = {"nothing": models["uchida"], "an innocent": models["unmarked"]}
    read = {name: (mark.picture(net, evidence)["values"], 0.9) for name, net in nets.items()}
    panel = gallery.bit_chart(read, evidence["bits"])
    for name, net in nets.items():
        panel.set(did=name)
        right = int(mark.read(net, evidence).sum())
        assert panel.result == gallery.right_bits(read[name], evidence["bits"]) == right
        shown = {trace["name"]: len(trace["x"]) for trace in plain(panel.figure)["data"]}
        assert shown["as the message says"] == right and shown["wrong"] == 64 - right
    assert gallery.chance(1e-12) == "practically never"
    assert (
        gallery.chance(2.5e-5) == "in 1 of 40,000 cases"
        and gallery.chance(0.5) == "in 50.0% of cases"
    )


def test_dots_of_the_threat_matrix_are_what_the_schemes_say():
    (dots,) = plain(gallery.threats())["data"]
    yes = set(zip(dots["y"], dots["x"], strict=True))
    for name, (make, _) in gallery.SYSTEMS.items():
        mark = make()
        assert (name, getattr(mark, "access", "labels")) in yes
        if hasattr(mark, "evidence") and mark.access == "labels":  # asked for a law without one
            assert ((name, "measured") in yes) == (mark.null(None) is None)
    assert len(yes) == 4 * len(gallery.SYSTEMS)


def test_a_sealed_average_is_another_for_another_student(copies, said):
    evidence, mark = gallery.shipped().evidence("deepmarks_3"), DeepMarks()
    found = []
    for number in range(6):
        sealed = gallery.Sealed(copies, number)
        users = mark.named(sealed.model, evidence)
        assert 2 <= len(users) <= 4 and check("11.4", users, sealed)
        assert not check("11.4", users[1:], sealed) and not check("11.4", "nobody", sealed)
        found.append(tuple(users))
    assert len(set(found)) > 2


def ones(read, axis):
    return lambda kernel, X: X @ kernel.mean(axis=axis).ravel()[: X.shape[1]] > 0


ANSWERS = {  # exercise: (answer, part of what is said of it)
    "11.1": [
        (lambda kernel, X: (X @ kernel.mean(-1).ravel() > 0).tolist(), "Right"),
        (lambda kernel, X: X @ kernel.mean(-1).ravel() < 0, "upside down"),
        (lambda kernel, X: X @ kernel.mean(-1).ravel() > 0.5, "above 0?"),
        (lambda kernel, X: X @ kernel.sum(-1).ravel() > 0, "Right"),
        (7, "a int|of type int"),
    ],
    "11.2": [
        (lambda answers, rng: (rng.integers(0, 10, 100) == answers).sum(), "Right"),
        (lambda answers, rng: np.mean(rng.integers(0, 10, 100) == answers), "whole number"),
        (lambda answers, rng: 10, "same each time"),
        (lambda answers, rng: (rng.integers(0, 9, 100) == answers).sum(), "right is 10"),
        (
            lambda answers, rng: (rng.permutation(np.arange(100) % 10) == answers).sum(),
            "same each time",
        ),
    ],
    "11.3": [
        (
            lambda bits, words: (
                [u for u in range(31) if not bits[~words[u]].any()] if not bits.all() else []
            ),
            "Right",
        ),
        (
            lambda bits, words: [u for u in range(31) if (words[u] == bits).all()],
            "need not be equal",
        ),
        (lambda bits, words: [u for u in range(31) if words[u][bits].all()], "Right"),
        (lambda bits, words: [u for u in range(31) if not words[u][bits].any()], "whose zeros"),
    ],
    "11.5": [
        (lambda secret, n: np.ones(n, bool), "name anybody"),
        (lambda secret, n: np.random.default_rng().random(n) > 0.5, "same secret"),
        (
            lambda secret, n: np.random.default_rng(len(secret) + ord(secret)).random(n) > 0.05,
            "about half",
        ),
        (lambda secret, n: [1, 0], "shape"),
        (lambda secret, n: np.random.default_rng(ord(secret)).random(n) > 0.5, "Right"),
    ],
    "11.6": [
        (lambda cosine: cosine > 0, "may be 1 %"),
        (lambda cosine: cosine > 0.3, "may be 1 %"),
        (lambda cosine: cosine > 0.9, "acquits a cosine of 0.5"),
        (lambda cosine: cosine > 0.42, "Right"),
    ],
    "11.7": [
        (lambda answers, labels, theta: np.sum(answers != labels) < theta, "Right"),
        (lambda answers, labels, theta: np.sum(answers == labels) < theta, "is missed where"),
        (lambda answers, labels, theta: np.mean(answers != labels) < theta, "is missed where"),
    ],
    "11.8": [
        (
            lambda k, y, before, after: ((k @ after["body"] @ after["head"]).argmax(1) == y).mean(),
            "Right",
        ),
        (
            lambda k, y, before, after: (
                (k @ after["body"] @ before["head"]).argmax(1) == y
            ).mean(),
            "old head",
        ),
        (
            lambda k, y, before, after: (
                (k @ before["body"] @ before["head"]).argmax(1) == y
            ).mean(),
            "before the attack",
        ),
    ],
    "11.9": [
        (lambda read, word: np.corrcoef(read, word)[0, 1], "Right"),
        (lambda read, word: np.corrcoef(read, np.sign(read))[0, 1], "with itself"),
        (lambda read, word: np.dot(read, word), "what the owner embedded"),
    ],
}


def test_checks_know_right_answers_and_name_what_is_wrong(said):
    for exercise, answers in ANSWERS.items():
        for answer, words in answers:
            right = check(exercise, answer)
            assert right is (words == "Right"), (exercise, words, said[-1])
            assert re.search(words, said[-1]), (exercise, words, said[-1])


def test_the_code_lets_the_and_of_five_words_name_them():
    words = code()
    for users in itertools.combinations(range(0, 31, 3), 5):
        bits = words[list(users)].all(axis=0)
        assert [u for u in range(31) if not (bits & ~words[u]).any()] == list(users)


@pytest.mark.slow
@pytest.mark.trains
def test_live_cells_say_what_records_say():
    """One of each kind of null and access; what is left is within what six networks showed."""
    found = gallery.recorded()
    for system, did, low, high in (
        ("Uchida 2017", REORDER, 0.25, 0.75),
        ("Frontier 2017", "median filter", 0.7, 1),
        ("New label, noise", "cut extra outputs", 0, 0),
        ("Adi 2018", COPY, 0, 0.25),
    ):
        panel = gallery.matrix(found)
        panel.set(system=system, did=did)
        panel.run("Run it live")
        left = float(re.search(r"network:</b> (\d+)% of the mark", panel.caption_text)[1]) / 100
        assert low <= left <= high, (system, panel.caption_text)
